//! Techniques for which one identity must hold several rights at once. The API server checks one requester, so the
//! needs are looked up in one identity class, never over several identities.

use std::collections::BTreeSet;

use super::ctx::{Ctx, Emit, SUBJECT_POINTER};
use super::fact::{EVERYWHERE, Fact, Right, Subject};
use super::grants::Class;
use super::{binding, rows};
use crate::authz::rbac::{Attributes, GrantId, MASTERS, matches, resource_matches, rule_allows};
use crate::model::kind::{Kind, Obj};
use crate::model::rbac::{GROUP as RBAC, PolicyRule};

/// A right that was found: in which binding and rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) grant: GrantId,
    pub(super) rule: usize,
}

/// Finds the first rule of a class that allows a request. `namespace` empty: only cluster-wide grants count.
pub(super) fn find(
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
                let slash = if subresource.is_empty() { "" } else { "/" };
                return Some((Held { grant: *id, rule }, format!("{verb} {resource}{slash}{subresource}")));
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
        // One rule that allows everything everywhere says it all.
        let everything = |id: &GrantId| {
            ctx.authz.grant(*id).is_some_and(|g| {
                g.namespace().is_empty() && g.role.is_some_and(|(_, r)| r.rules.iter().any(PolicyRule::is_everything))
            })
        };
        if class.all.iter().any(everything) {
            continue;
        }
        let scopes = scopes(ctx, class);
        if class_has(ctx, class, &["impersonate"], "") {
            impersonation(ctx, k, class);
        }
        if class_has(ctx, class, &["approve"], "") {
            csr(ctx, k, class);
        }
        let escalating = class_has(ctx, class, &["bind", "escalate"], "");
        if escalating {
            binding::create_named(ctx, k, class);
            binding::join(ctx, k, class);
        }
        pass_on(ctx, k, class);
        let named = class
            .all
            .iter()
            .filter_map(|g| ctx.authz.grant(*g)?.role)
            .flat_map(|(_, r)| &r.rules)
            .any(|r| !r.resource_names.is_empty() && r.verbs.iter().any(|v| v == "create" || v == "*"));
        for scope in &scopes {
            if escalating {
                binding::create(ctx, k, class, scope);
                roles(ctx, k, class, scope);
            }
            if named {
                named_create(ctx, k, class, scope);
            }
        }
    }
    two_identities(ctx);
}

/// Who holds a role and may create bindings in its scope gives the role to others; the holder wins nothing by it. The
/// role that holds the right to create bindings passes with any of them and is no news.
fn pass_on(ctx: &mut Ctx<'_>, k: u32, class: &Class) {
    for id in class.all.clone() {
        let Some(g) = ctx.authz.grant(id).copied().filter(|_| !ctx.authz.is_hypothetical(id)) else { continue };
        let resource = if g.namespace().is_empty() { "clusterrolebindings" } else { "rolebindings" };
        let Some((role, _)) = g.role.filter(|(_, r)| !r.rules.iter().all(rows::inert)) else { continue };
        let Some(create) = find(ctx, class, &["create"], RBAC, resource, "", g.namespace()) else { continue };
        let same = ctx.authz.grant(create.0.grant).and_then(|c| c.role).is_some_and(|(o, _)| o == role);
        if !same {
            let bound =
                (g.object, "/roleRef/name", g.binding.role_ref.name.clone(), "the identity holds this role itself");
            conclude(ctx, k, "binding-hold-all", Fact::PassesOn(id.0), 3, &[create], &[bound]);
        }
    }
}

/// Emits a conclusion from the rights found: from the binding when one is enough, else from the class.
pub(super) fn conclude(
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
    let Some(companion) = users.clone().or_else(|| some_name(ctx, class)) else { return };
    let every_group = find(ctx, class, &["impersonate"], "", "groups", "", "");
    if let (Some(g), Some(u)) = (&every_group, &users) {
        let rule = ctx.authz.grant(g.0.grant).and_then(|x| x.role).and_then(|(_, r)| r.rules.get(g.0.rule));
        let wildcard = rule.is_some_and(|r| r.resources.iter().any(|x| x == "*"));
        let technique = if wildcard { "imp-core-wildcard" } else { "imp-group" };
        conclude(ctx, k, technique, Fact::ClusterAdmin, 1, &[g.clone(), u.clone()], &[]);
    }
    let mut groups: BTreeSet<String> = all_groups.into_iter().collect();
    groups.insert(MASTERS.into());
    for g in groups {
        if let Some(h) = find(ctx, class, &["impersonate"], "", "groups", &g, "") {
            let masters = g == MASTERS;
            let f = if masters { Fact::ClusterAdmin } else { Fact::Identity(ctx.subject(Subject::Group(g))) };
            conclude(ctx, k, "imp-group", f, 1, &[h, companion.clone()], &[]);
        }
    }
}

/// A right to impersonate some user or account, whatever its name.
fn some_name(ctx: &Ctx<'_>, class: &Class) -> Option<(Held, String)> {
    class.all.iter().find_map(|id| {
        let g = ctx.authz.grant(*id)?;
        let (_, role) = g.role?;
        let resources: &[&str] =
            if g.namespace().is_empty() { &["users", "serviceaccounts"] } else { &["serviceaccounts"] };
        resources.iter().find_map(|resource| {
            let named = |r: &crate::model::rbac::PolicyRule| {
                matches(&r.verbs, "impersonate")
                    && matches(&r.api_groups, "")
                    && resource_matches(&r.resources, resource, "")
            };
            let rule = role.rules.iter().position(named)?;
            Some((Held { grant: *id, rule }, format!("impersonate {resource}")))
        })
    })
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

pub(super) fn class_has(ctx: &Ctx<'_>, class: &Class, verbs: &[&str], resource: &str) -> bool {
    class.all.iter().filter_map(|g| ctx.authz.grant(*g)?.role).flat_map(|(_, r)| &r.rules).any(|r| {
        r.verbs.iter().any(|v| v == "*" || verbs.contains(&v.as_str()))
            && (resource.is_empty() || r.resources.iter().any(|x| x == "*" || x == resource))
    })
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
        // The role itself, or one whose rules it takes up.
        let mut names = vec![role.metadata.name.clone()];
        if let Some(a) = &role.aggregation_rule {
            let taken = ctx.cluster.objects.cluster_roles.iter().filter(|r| a.selects(&r.metadata.labels));
            names.extend(taken.map(|r| r.metadata.name.clone()));
        }
        let held = names.iter().find_map(|n| {
            let w = find(ctx, class, &["patch", "update"], RBAC, resource, n, ask)?;
            Some((w, find(ctx, class, &["escalate"], RBAC, resource, n, ask)?))
        });
        if let Some((w, e)) = held {
            let fact = if g.namespace().is_empty() {
                Fact::ClusterAdmin
            } else {
                Fact::NamespaceAdmin(ctx.ns(g.namespace()).unwrap_or(EVERYWHERE))
            };
            let why = "the identity is bound to the role it may rewrite";
            // A binding that could be made has no object yet: the role stands for it.
            let bound = match g.object.kind {
                Kind::Role | Kind::ClusterRole => (g.object, "/metadata/name", role.metadata.name.clone(), why),
                _ => (g.object, "/roleRef/name", g.binding.role_ref.name.clone(), why),
            };
            conclude(ctx, k, technique, fact, 3, &[w, e], &[bound]);
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

/// Rules whose premises may come from different identities: filing a certificate request and approving it.
fn two_identities(ctx: &mut Ctx<'_>) {
    let Some(object) = ctx.anchor() else { return };
    let e = Emit::new("csr-apiserver-client", Fact::AnyCertificate)
        .from(Fact::Right(Right::CreateCsr, EVERYWHERE))
        .from(Fact::Right(Right::ApproveCsr, EVERYWHERE))
        .from(Fact::ApiReach);
    let why = "the signer issues client certificates for any user and group but system:masters";
    ctx.emit(e.because(object, "/metadata/name", "", why));
    for i in 0..ctx.authz.grants().len() as u32 {
        let id = GrantId(i);
        let Some(g) = ctx.authz.grant(id).copied().filter(|_| !ctx.authz.is_hypothetical(id)) else { continue };
        let Some((n, s)) = g.binding.subjects.iter().enumerate().find(|(_, s)| s.name != MASTERS) else { continue };
        let everything =
            g.namespace().is_empty() && g.role.is_some_and(|(_, r)| r.rules.iter().any(PolicyRule::is_everything));
        let (technique, fact) = if everything {
            ("csr-to-cluster-admin", Fact::ClusterAdmin)
        } else {
            ("csr-apiserver-client", Fact::Grant(i))
        };
        let e = Emit::new(technique, fact).from(Fact::AnyCertificate).tier(2);
        let why = "a certificate can name this subject";
        ctx.emit(e.because(g.object, format!("/subjects/{n}"), format!("{} {}", s.kind, s.name), why));
    }
}
