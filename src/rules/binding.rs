//! Making and joining bindings with the verb `bind`: the role's rights in the scope of the binding follow.
//!
//! A role that may be bound by name becomes a binding that nobody has made yet (`Authorizer::with_hypothetical`): its
//! rows and combinations are found like those of any binding.

use std::collections::BTreeSet;

use super::combos::{class_has, conclude, find};
use super::ctx::Ctx;
use super::fact::{EVERYWHERE, Fact};
use super::grants::Class;
use crate::authz::Authorizer;
use crate::authz::rbac::{GrantId, matches};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::meta::Meta;
use crate::model::rbac::{Binding, GROUP as RBAC, RoleRef};

/// Every binding that a holder of `bind` could make to a role by name, or to a Role of its namespace. ClusterRoles
/// that may all be bound need no entry: binding one of them gives everything.
pub fn hypothetical(cluster: &Cluster, authz: &Authorizer<'_>) -> Vec<(Obj, Binding)> {
    let namespaces: Vec<&str> = cluster.namespace_names().into_iter().collect();
    let mut wanted: BTreeSet<(Obj, String)> = BTreeSet::new();
    for g in authz.grants() {
        let Some((_, role)) = g.role else { continue };
        for rule in role.rules.iter().filter(|r| matches(&r.verbs, "bind") && matches(&r.api_groups, RBAC)) {
            // Who may do everything wins nothing by binding.
            if rule.is_everything() {
                continue;
            }
            let named = |name: &String| rule.resource_names.is_empty() || rule.resource_names.contains(name);
            let scopes: Vec<&str> = if g.namespace().is_empty() { namespaces.clone() } else { vec![g.namespace()] };
            if matches(&rule.resources, "clusterroles") {
                for name in &rule.resource_names {
                    let Some(index) = cluster.find(Kind::ClusterRole, "", name) else { continue };
                    let role = Obj { kind: Kind::ClusterRole, index };
                    wanted.extend(scopes.iter().map(|ns| (role, (*ns).to_owned())));
                    if g.namespace().is_empty() {
                        wanted.insert((role, String::new()));
                    }
                }
            }
            if matches(&rule.resources, "roles") {
                for (i, r) in cluster.objects.roles.iter().enumerate() {
                    let ns = &r.metadata.namespace;
                    if (g.namespace().is_empty() || g.namespace() == ns) && named(&r.metadata.name) {
                        wanted.insert((Obj { kind: Kind::Role, index: i as u32 }, ns.clone()));
                    }
                }
            }
        }
    }
    wanted
        .into_iter()
        .filter_map(|(role, namespace)| {
            let name = cluster.meta(role)?.name.clone();
            let role_ref = RoleRef { kind: role.kind.info().kind.into(), name, ..RoleRef::default() };
            let metadata = Meta { namespace, ..Meta::default() };
            Some((role, Binding { metadata, role_ref, subjects: Vec::new() }))
        })
        .collect()
}

/// Bindings to any ClusterRole, and to a role that the attacker writes first. `scope` empty: cluster role bindings,
/// and role bindings in every namespace.
pub fn create(ctx: &mut Ctx<'_>, k: u32, class: &Class, scope: &str) {
    let ns = if scope.is_empty() { EVERYWHERE } else { ctx.ns(scope).unwrap_or(EVERYWHERE) };
    let mut kinds = vec![("rolebindings", "bind-rb", "roles", Fact::NamespaceAdmin(ns))];
    if scope.is_empty() {
        kinds.push(("clusterrolebindings", "bind-crb", "clusterroles", Fact::ClusterAdmin));
    }
    for (bindings, technique, own, full) in kinds {
        let Some(make) = find(ctx, class, &["create"], RBAC, bindings, "", scope) else { continue };
        if let Some(bind) = find(ctx, class, &["bind"], RBAC, "clusterroles", "", scope) {
            conclude(ctx, k, technique, full, 3, &[make.clone(), bind], &[]);
        }
        let parts = (
            find(ctx, class, &["create"], RBAC, own, "", scope),
            find(ctx, class, &["escalate"], RBAC, own, "", scope),
            find(ctx, class, &["bind"], RBAC, own, "", scope),
        );
        if let (Some(c), Some(e), Some(b)) = parts {
            conclude(ctx, k, "escalate-create-bind", full, 4, &[c, e, make, b], &[]);
        }
    }
}

/// Bindings to the roles that may be bound by name.
pub fn create_named(ctx: &mut Ctx<'_>, k: u32, class: &Class) {
    for i in 0..ctx.authz.grants().len() as u32 {
        let id = GrantId(i);
        let Some(g) = ctx.authz.grant(id).copied().filter(|_| ctx.authz.is_hypothetical(id)) else { continue };
        let cluster_role = g.object.kind == Kind::ClusterRole;
        let (bindings, technique) = match (g.namespace().is_empty(), cluster_role) {
            (true, _) => ("clusterrolebindings", "bind-crb"),
            (false, true) => ("rolebindings", "bind-rb"),
            (false, false) => ("rolebindings", "bind-rb-role"),
        };
        let roles = if cluster_role { "clusterroles" } else { "roles" };
        let name = &g.binding.role_ref.name;
        let Some(make) = find(ctx, class, &["create"], RBAC, bindings, "", g.namespace()) else { continue };
        let Some(bind) = find(ctx, class, &["bind"], RBAC, roles, name, g.namespace()) else { continue };
        let role = [(g.object, "/metadata/name", name.clone(), "the role that may be bound")];
        conclude(ctx, k, technique, Fact::Grant(i), 3, &[make, bind], &role);
    }
}

/// Adding a subject to an existing binding, which needs `bind` on its role.
pub fn join(ctx: &mut Ctx<'_>, k: u32, class: &Class) {
    let may = |r: &str| class_has(ctx, class, &["patch", "update"], r);
    if !(may("rolebindings") || may("clusterrolebindings")) {
        return;
    }
    for i in 0..ctx.authz.grants().len() as u32 {
        let id = GrantId(i);
        let Some(g) = ctx.authz.grant(id).copied().filter(|_| !ctx.authz.is_hypothetical(id)) else { continue };
        let (ns, r) = (g.namespace(), &g.binding.role_ref);
        let bindings = if ns.is_empty() { "clusterrolebindings" } else { "rolebindings" };
        let roles = if r.kind == "ClusterRole" { "clusterroles" } else { "roles" };
        let Some(change) = find(ctx, class, &["patch", "update"], RBAC, bindings, &g.binding.metadata.name, ns) else {
            continue;
        };
        let Some(bind) = find(ctx, class, &["bind"], RBAC, roles, &r.name, ns) else { continue };
        let value = format!("{} {}", r.kind, r.name);
        let joined = [(g.object, "/roleRef", value, "the binding that the attacker joins")];
        conclude(ctx, k, "binding-patch-subjects", Fact::Grant(i), 4, &[change, bind], &joined);
    }
}
