//! Techniques for which one identity must hold several rights at once. The API server checks one requester, so the
//! needs are looked up in one identity class, never over several identities.

use std::collections::BTreeSet;

use super::ctx::{Ctx, Emit, SUBJECT_POINTER};
use super::fact::{EVERYWHERE, Fact, Right, Subject};
use super::grants::Class;
use super::rows;
use crate::authz::rbac::{Attributes, GrantId, rule_allows};
use crate::model::kind::{Kind, Obj};

const RBAC: &str = "rbac.authorization.k8s.io";

/// A right that was found: in which binding and rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    grant: GrantId,
    rule: usize,
}

/// Finds the first rule of a class that allows a request. `namespace` empty: only cluster-wide grants count.
fn find(
    ctx: &Ctx<'_>,
    class: &Class,
    verbs: &[&str],
    group: &str,
    resource: &str,
    name: &str,
    namespace: &str,
) -> Option<(Held, String)> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    for id in &class.all {
        let Some(g) = ctx.authz.grant(*id) else { continue };
        if !g.namespace().is_empty() && g.namespace() != namespace {
            continue;
        }
        let Some((_, role)) = g.role else { continue };
        for verb in verbs {
            let a = Attributes::Resource { verb, group, resource, subresource, name, namespace };
            if let Some(rule) = role.rules.iter().position(|r| rule_allows(r, a)) {
                return Some((Held { grant: *id, rule }, format!("{verb} {resource}")));
            }
        }
    }
    None
}

/// Namespaces in which a class holds anything, with the empty name for the whole cluster.
fn scopes(ctx: &Ctx<'_>, class: &Class) -> BTreeSet<String> {
    class.all.iter().filter_map(|g| ctx.authz.grant(*g)).map(|g| g.namespace().to_owned()).collect()
}

/// Emits every combination for every class.
pub fn emit(ctx: &mut Ctx<'_>, classes: &[Class]) {
    for (k, class) in classes.iter().enumerate() {
        let k = k as u32;
        let scopes = scopes(ctx, class);
        if class_has(ctx, class, &["impersonate"], "") {
            impersonation(ctx, k, class);
        }
        if class_has(ctx, class, &["approve"], "") {
            csr(ctx, k, class);
        }
        let escalating = class_has(ctx, class, &["bind", "escalate"], "");
        let named = class
            .all
            .iter()
            .filter_map(|g| ctx.authz.grant(*g)?.role)
            .flat_map(|(_, r)| &r.rules)
            .any(|r| !r.resource_names.is_empty() && r.verbs.iter().any(|v| v == "create" || v == "*"));
        for scope in &scopes {
            if escalating {
                bindings(ctx, k, class, scope);
                roles(ctx, k, class, scope);
            }
            if named {
                named_create(ctx, k, class, scope);
            }
        }
    }
    two_identities(ctx);
}

/// Emits a conclusion from the rights found: from the binding when one is enough, else from the class.
fn conclude(
    ctx: &mut Ctx<'_>,
    class: u32,
    technique: &str,
    conclusion: Fact,
    tier: u8,
    held: &[(Held, String)],
    extra: &[(Obj, &str, String, &'static str)],
) {
    let grants: BTreeSet<GrantId> = held.iter().map(|(h, _)| h.grant).collect();
    let premise = match (grants.len(), grants.first()) {
        (1, Some(g)) => Fact::Grant(g.0),
        _ => Fact::Class(class),
    };
    let mut e = Emit::new(technique, conclusion).from(premise).tier(tier);
    for (h, what) in held {
        let Some(g) = ctx.authz.grant(h.grant).copied() else { return };
        if grants.len() > 1 {
            e = e.because(g.object, SUBJECT_POINTER, "", "the binding names the identity or its group");
        }
        if let Some((role, r)) = g.role {
            let text = r.rules.get(h.rule).map(rows::describe).unwrap_or_default();
            e = e.because(
                role,
                format!("/rules/{}", h.rule),
                format!("{what} ({text})"),
                "the rule gives one of the rights needed",
            );
        }
    }
    for (o, pointer, value, why) in extra {
        e = e.because(*o, *pointer, value.clone(), why);
    }
    ctx.emit(e);
}

fn impersonation(ctx: &mut Ctx<'_>, k: u32, class: &Class) {
    let users = find(ctx, class, &["impersonate"], "", "users", "", "");
    let (all_users, all_groups) = {
        let (u, g) = ctx.authz.subjects();
        (u.into_iter().map(str::to_owned).collect::<Vec<_>>(), g.into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    for u in all_users.iter().filter(|u| !u.starts_with("system:serviceaccount:") && !u.starts_with("system:node:")) {
        if let Some(h) = find(ctx, class, &["impersonate"], "", "users", u, "") {
            let f = Fact::Identity(ctx.subject(Subject::User(u.clone())));
            conclude(ctx, k, "imp-user", f, 1, &[h], &[]);
        }
    }
    // A group header needs a user, and the same requester must be allowed to impersonate some user or account.
    let named_user = all_users.iter().find_map(|u| find(ctx, class, &["impersonate"], "", "users", u, ""));
    let any_account = |ctx: &Ctx<'_>| {
        let scopes = scopes(ctx, class);
        scopes.iter().find_map(|ns| find(ctx, class, &["impersonate"], "", "serviceaccounts", "", ns))
    };
    let Some(companion) = users.clone().or(named_user).or_else(|| any_account(ctx)) else { return };
    let every_group = find(ctx, class, &["impersonate"], "", "groups", "", "");
    if let (Some(g), Some(u)) = (&every_group, &users) {
        let rule = ctx.authz.grant(g.0.grant).and_then(|x| x.role).and_then(|(_, r)| r.rules.get(g.0.rule));
        let wildcard = rule.is_some_and(|r| r.resources.iter().any(|x| x == "*"));
        let technique = if wildcard { "imp-core-wildcard" } else { "imp-group" };
        conclude(ctx, k, technique, Fact::ClusterAdmin, 1, &[g.clone(), u.clone()], &[]);
    }
    let mut groups: BTreeSet<String> = all_groups.into_iter().collect();
    groups.insert(crate::authz::rbac::MASTERS.into());
    for g in groups {
        if let Some(h) = find(ctx, class, &["impersonate"], "", "groups", &g, "") {
            let masters = g == crate::authz::rbac::MASTERS;
            let f = if masters { Fact::ClusterAdmin } else { Fact::Identity(ctx.subject(Subject::Group(g))) };
            conclude(ctx, k, "imp-group", f, 1, &[h, companion.clone()], &[]);
        }
    }
}

fn csr(ctx: &mut Ctx<'_>, k: u32, class: &Class) {
    let approval =
        find(ctx, class, &["update", "patch"], "certificates.k8s.io", "certificatesigningrequests/approval", "", "");
    let signer = ["kubernetes.io/kube-apiserver-client", "kubernetes.io/*"]
        .iter()
        .find_map(|s| find(ctx, class, &["approve"], "certificates.k8s.io", "signers", s, ""));
    if let (Some(a), Some(s)) = (approval, signer) {
        conclude(ctx, k, "rbac-grant", Fact::Right(Right::ApproveCsr, EVERYWHERE), 1, &[a, s], &[]);
    }
}

fn bindings(ctx: &mut Ctx<'_>, k: u32, class: &Class, scope: &str) {
    let cluster_wide = scope.is_empty();
    let (resource, write) = if cluster_wide { ("clusterrolebindings", "") } else { ("rolebindings", scope) };
    let ns = if cluster_wide { EVERYWHERE } else { ctx.ns(scope).unwrap_or(EVERYWHERE) };
    let create = find(ctx, class, &["create"], RBAC, resource, "", write);
    let change_any = find(ctx, class, &["patch", "update"], RBAC, resource, "", write);
    let full = if cluster_wide { Fact::ClusterAdmin } else { Fact::NamespaceAdmin(ns) };
    let technique = if cluster_wide { "bind-crb" } else { "bind-rb" };
    if let Some(c) = &create {
        let bind_all = find(ctx, class, &["bind"], RBAC, "clusterroles", "", write);
        if let Some(b) = bind_all {
            conclude(ctx, k, technique, full, 3, &[c.clone(), b], &[]);
        } else {
            // bind limited to roles that already give everything.
            for (i, r) in ctx.cluster.objects.cluster_roles.iter().enumerate() {
                let all = r.rules.iter().any(is_everything);
                if all && let Some(b) = find(ctx, class, &["bind"], RBAC, "clusterroles", &r.metadata.name, write) {
                    let o = Obj { kind: Kind::ClusterRole, index: i as u32 };
                    conclude(
                        ctx,
                        k,
                        technique,
                        full,
                        3,
                        &[c.clone(), b],
                        &[(o, "/metadata/name", r.metadata.name.clone(), "the role that may be bound")],
                    );
                }
            }
        }
        if !cluster_wide {
            bind_roles(ctx, k, class, scope, c);
        }
        escalate_and_bind(ctx, k, class, scope, full, c);
    }
    // Adding a subject to an existing binding needs bind on its role.
    let list: Vec<(usize, String, crate::model::rbac::RoleRef, String)> = if cluster_wide {
        ctx.cluster
            .objects
            .cluster_role_bindings
            .iter()
            .enumerate()
            .map(|(i, b)| (i, b.metadata.name.clone(), b.role_ref.clone(), String::new()))
            .collect()
    } else {
        ctx.cluster
            .objects
            .role_bindings
            .iter()
            .enumerate()
            .filter(|(_, b)| b.metadata.namespace == scope)
            .map(|(i, b)| (i, b.metadata.name.clone(), b.role_ref.clone(), scope.to_owned()))
            .collect()
    };
    let some_change = change_any.is_some() || class_has(ctx, class, &["patch", "update"], resource);
    if !some_change || !class_has(ctx, class, &["bind"], "") {
        return;
    }
    let kind = if cluster_wide { Kind::ClusterRoleBinding } else { Kind::RoleBinding };
    for (i, name, r, binding_ns) in list {
        let Some(c) = find(ctx, class, &["patch", "update"], RBAC, resource, &name, write) else { continue };
        let role_resource = if r.kind == "ClusterRole" { "clusterroles" } else { "roles" };
        let Some(b) = find(ctx, class, &["bind"], RBAC, role_resource, &r.name, write) else { continue };
        let id = ctx.authz.grants().iter().position(|g| g.object == Obj { kind, index: i as u32 });
        let _ = binding_ns;
        if let Some(id) = id {
            let o = Obj { kind, index: i as u32 };
            let value = format!("{} {}", r.kind, r.name);
            conclude(
                ctx,
                k,
                "binding-patch-subjects",
                Fact::Grant(id as u32),
                4,
                &[c, b],
                &[(o, "/roleRef", value, "the binding that the attacker joins")],
            );
        }
    }
}

fn class_has(ctx: &Ctx<'_>, class: &Class, verbs: &[&str], resource: &str) -> bool {
    class.all.iter().filter_map(|g| ctx.authz.grant(*g)?.role).flat_map(|(_, r)| &r.rules).any(|r| {
        r.verbs.iter().any(|v| v == "*" || verbs.contains(&v.as_str()))
            && (resource.is_empty() || r.resources.iter().any(|x| x == "*" || x == resource))
    })
}

fn is_everything(r: &crate::model::rbac::PolicyRule) -> bool {
    r.resource_names.is_empty() && [&r.verbs, &r.api_groups, &r.resources].iter().all(|l| l.iter().any(|x| x == "*"))
}

/// Binding an existing Role of the namespace gives its rules: those rules are followed through a grant that binds it.
fn bind_roles(ctx: &mut Ctx<'_>, k: u32, class: &Class, scope: &str, create: &(Held, String)) {
    let Some(ns) = ctx.ns(scope) else { return };
    for (i, r) in ctx.cluster.objects.roles.iter().enumerate().filter(|(_, r)| r.metadata.namespace == scope) {
        let Some(b) = find(ctx, class, &["bind"], RBAC, "roles", &r.metadata.name, scope) else { continue };
        let role = Obj { kind: Kind::Role, index: i as u32 };
        let extra = |why| [(role, "/metadata/name", r.metadata.name.clone(), why)];
        for rule in &r.rules {
            if is_everything(rule) {
                conclude(
                    ctx,
                    k,
                    "bind-rb-role",
                    Fact::NamespaceAdmin(ns),
                    3,
                    &[create.clone(), b.clone()],
                    &extra("the role gives every right in the namespace"),
                );
            }
            for row in rows::SINGLE {
                for need in row.needs.iter().filter(|n| !n.cluster_scoped) {
                    if let Some((_, rows::Names::All)) = need.held_by(rule) {
                        let fact = match row.target {
                            rows::Target::Secrets => Fact::AnySecret(ns),
                            rows::Target::Accounts => Fact::AnySa(ns),
                            rows::Target::Pods => Fact::PodsIn(ns),
                            rows::Target::Workload(_) => Fact::Workload(ns),
                            _ => continue,
                        };
                        conclude(
                            ctx,
                            k,
                            "bind-rb-role",
                            fact,
                            3,
                            &[create.clone(), b.clone()],
                            &extra("the role that may be bound"),
                        );
                    }
                }
            }
        }
    }
}

fn escalate_and_bind(
    ctx: &mut Ctx<'_>,
    k: u32,
    class: &Class,
    scope: &str,
    full: Fact,
    create_binding: &(Held, String),
) {
    let resource = if scope.is_empty() { "clusterroles" } else { "roles" };
    let parts = (
        find(ctx, class, &["create"], RBAC, resource, "", scope),
        find(ctx, class, &["escalate"], RBAC, resource, "", scope),
        // A binding may name a role that is created afterwards.
        find(ctx, class, &["bind"], RBAC, resource, "", scope),
    );
    if let (Some(c), Some(e), Some(b)) = parts {
        conclude(ctx, k, "escalate-create-bind", full, 4, &[c, e, create_binding.clone(), b], &[]);
    }
}

fn roles(ctx: &mut Ctx<'_>, k: u32, class: &Class, scope: &str) {
    if scope.is_empty() {
        let escalate = find(ctx, class, &["escalate"], RBAC, "clusterroles", "", "");
        if let (Some(w), Some(e)) =
            (find(ctx, class, &["patch", "update"], RBAC, "clusterroles", "", ""), escalate.clone())
        {
            conclude(ctx, k, "escalate-clusterrole", Fact::ClusterAdmin, 3, &[w, e], &[]);
        }
        aggregate(ctx, k, class, escalate);
    }
    // Rewriting a role that the class itself is bound to gives everything in the scope of that binding.
    for id in class.all.clone() {
        let Some(g) = ctx.authz.grant(id).copied() else { continue };
        let Some((object, role)) = g.role else { continue };
        let (resource, technique) = if object.kind == Kind::Role {
            ("roles", "escalate-role")
        } else {
            ("clusterroles", "escalate-clusterrole")
        };
        let in_scope =
            if object.kind == Kind::Role { g.namespace() == scope && !scope.is_empty() } else { scope.is_empty() };
        if !in_scope {
            continue;
        }
        let ask = if object.kind == Kind::Role { scope } else { "" };
        let w = find(ctx, class, &["patch", "update"], RBAC, resource, &role.metadata.name, ask);
        let e = find(ctx, class, &["escalate"], RBAC, resource, &role.metadata.name, ask);
        if let (Some(w), Some(e)) = (w, e) {
            let fact = if g.namespace().is_empty() {
                Fact::ClusterAdmin
            } else {
                Fact::NamespaceAdmin(ctx.ns(g.namespace()).unwrap_or(EVERYWHERE))
            };
            let value = format!("{} {}", g.binding.role_ref.kind, g.binding.role_ref.name);
            conclude(
                ctx,
                k,
                technique,
                fact,
                3,
                &[w, e],
                &[(g.object, "/roleRef", value, "the identity is bound to the role it may rewrite")],
            );
        }
    }
}

fn aggregate(ctx: &mut Ctx<'_>, k: u32, class: &Class, escalate: Option<(Held, String)>) {
    let create = find(ctx, class, &["create"], RBAC, "clusterroles", "", "");
    let (Some(c), Some(e)) = (create, escalate) else { return };
    for id in class.all.clone() {
        let Some(g) = ctx.authz.grant(id).copied() else { continue };
        let Some((object, role)) = g.role else { continue };
        if role.aggregation_rule.is_some() {
            let fact = if g.namespace().is_empty() {
                Fact::ClusterAdmin
            } else {
                Fact::NamespaceAdmin(ctx.ns(g.namespace()).unwrap_or(EVERYWHERE))
            };
            conclude(
                ctx,
                k,
                "escalate-create-aggregate",
                fact,
                3,
                &[c.clone(), e.clone()],
                &[(object, "/aggregationRule", String::new(), "the bound role takes up rules by label")],
            );
        }
    }
}

/// create with resourceNames works through server-side apply when the same name may be patched.
fn named_create(ctx: &mut Ctx<'_>, k: u32, class: &Class, scope: &str) {
    for (group, resource) in [
        ("", "pods"),
        ("apps", "deployments"),
        ("apps", "daemonsets"),
        ("apps", "statefulsets"),
        ("batch", "jobs"),
        ("batch", "cronjobs"),
    ] {
        let names: BTreeSet<String> = class
            .all
            .iter()
            .filter_map(|g| ctx.authz.grant(*g))
            .filter(|g| g.namespace() == scope)
            .filter_map(|g| g.role)
            .flat_map(|(_, r)| &r.rules)
            .filter(|r| {
                r.verbs.iter().any(|v| v == "create" || v == "*")
                    && r.resources.iter().any(|x| x == "*" || x == resource)
            })
            .flat_map(|r| r.resource_names.iter().filter(|n| !n.is_empty()).cloned())
            .collect();
        for n in names {
            let create = find(ctx, class, &["create"], group, resource, &n, scope);
            let patch = find(ctx, class, &["patch", "update"], group, resource, &n, scope);
            if let (Some(c), Some(p)) = (create, patch) {
                let fact = if scope.is_empty() {
                    Fact::AllWorkloads
                } else {
                    Fact::Workload(ctx.ns(scope).unwrap_or(EVERYWHERE))
                };
                conclude(ctx, k, "rbac-named-create", fact, 3, &[c, p], &[]);
            }
        }
    }
}

/// Rules whose premises may come from different identities.
fn two_identities(ctx: &mut Ctx<'_>) {
    let any_object = Obj { kind: Kind::ClusterRoleBinding, index: 0 };
    // CSR: filing and approving; then any subject of a powerful binding.
    if !ctx.cluster.objects.cluster_role_bindings.is_empty() {
        let e = Emit::new("csr-apiserver-client", Fact::AnyCertificate)
            .from(Fact::Right(Right::CreateCsr, EVERYWHERE))
            .from(Fact::Right(Right::ApproveCsr, EVERYWHERE));
        ctx.emit(e.because(
            any_object,
            "/apiVersion",
            RBAC,
            "the signer issues client certificates for any user and group but system:masters",
        ));
        let grants: Vec<(u32, Obj, usize, String)> = ctx
            .authz
            .grants()
            .iter()
            .enumerate()
            .filter(|(_, g)| g.namespace().is_empty() && g.role.is_some_and(|(_, r)| r.rules.iter().any(is_everything)))
            .flat_map(|(i, g)| {
                g.binding
                    .subjects
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| {
                        matches!(s.kind.as_str(), "User" | "Group") && s.name != crate::authz::rbac::MASTERS
                    })
                    .map(move |(n, s)| (i as u32, g.object, n, s.name.clone()))
            })
            .collect();
        for (_, object, n, name) in grants {
            let e = Emit::new("csr-to-cluster-admin", Fact::ClusterAdmin)
                .from(Fact::AnyCertificate)
                .from(Fact::ApiReach)
                .tier(2);
            ctx.emit(e.because(
                object,
                format!("/subjects/{n}/name"),
                name,
                "a certificate for this subject is cluster-admin",
            ));
        }
    }
}
