//! From identities to rights: identity classes, bindings as grants, and the rows that one binding alone satisfies.

use std::collections::{BTreeMap, BTreeSet};

use super::ctx::{Ctx, Emit, SUBJECT_POINTER};
use super::fact::{EVERYWHERE, Fact, Right, Subject};
use super::rows::{self, Names, Row, Target};
use crate::authz::rbac::{GrantId, MASTERS};
use crate::model::kind::{Kind, Obj};

/// A class of identities that hold the same grants.
#[derive(Debug, Clone)]
pub struct Class {
    /// Grants of the user name itself.
    pub direct: Vec<GrantId>,
    /// Grants of the user name and of all its groups.
    pub all: Vec<GrantId>,
}

/// Emits identities, classes and grants; returns the classes for the rows that need several rights at once.
pub fn emit(ctx: &mut Ctx<'_>) -> Vec<Class> {
    let subjects = all_subjects(ctx);
    let mut numbers: BTreeMap<(Vec<GrantId>, Vec<GrantId>), u32> = BTreeMap::new();
    let mut classes: Vec<Class> = Vec::new();
    let mut groups_with_grants: BTreeSet<String> = BTreeSet::new();
    for g in ctx.authz.subjects().1 {
        if ctx.authz.group_grants(g).iter().any(|(id, _)| !harmless(ctx, *id)) || g == MASTERS {
            groups_with_grants.insert(g.to_owned());
        }
    }
    groups_with_grants.insert(MASTERS.into());
    for (subject, object) in subjects {
        let identity = Fact::Identity(ctx.subject(subject.clone()));
        let direct: Vec<GrantId> = direct_grants(ctx, &subject);
        let groups = implied_groups(&subject);
        let mut all = direct.clone();
        for g in &groups {
            all.extend(ctx.authz.group_grants(g).iter().map(|(id, _)| *id));
        }
        all.sort();
        all.dedup();
        for g in groups.iter().filter(|g| groups_with_grants.contains(*g)) {
            let group = Fact::Identity(ctx.subject(Subject::Group(g.clone())));
            let technique = if g == "system:authenticated" { "entry-authenticated-binding" } else { "identity-groups" };
            if let Some(o) = object.or_else(|| group_binding(ctx, g)) {
                let e = Emit::new(technique, group).from(identity).tier(1);
                ctx.emit(named(ctx, e, o, "the identity is a member of the group"));
            }
        }
        if let Subject::Group(g) = &subject
            && g == MASTERS
            && let Some(o) = group_binding(ctx, g)
        {
            let e = Emit::new("rbac-grant", Fact::ClusterAdmin).from(identity).from(Fact::ApiReach);
            ctx.emit(e.because(o, SUBJECT_POINTER, MASTERS, "members are allowed everything before RBAC is asked"));
        }
        if all.iter().all(|id| harmless(ctx, *id)) {
            continue;
        }
        let key = (direct.clone(), all.clone());
        let next = classes.len() as u32;
        let class = *numbers.entry(key).or_insert(next);
        if class == next {
            classes.push(Class { direct: direct.clone(), all });
            let useful: Vec<GrantId> = direct.iter().copied().filter(|id| !harmless(ctx, *id)).collect();
            for id in &useful {
                class_to_grant(ctx, Fact::Class(class), *id);
            }
        }
        let evidence = object.or_else(|| direct.first().and_then(|g| ctx.authz.grant(*g)).map(|g| g.object));
        let evidence = evidence.or_else(|| groups.iter().find_map(|g| group_binding(ctx, g)));
        if let Some(o) = evidence {
            let e = Emit::scope(Fact::Class(class)).from(identity).from(Fact::ApiReach);
            ctx.emit(named(ctx, e, o, "requests are authorized as this identity"));
        }
    }
    let ids: Vec<GrantId> = (0..ctx.authz.grants().len() as u32).map(GrantId).collect();
    for id in ids {
        single_rows(ctx, id);
        // A binding that could be made, or joined, is not held by the attacker yet; its own combinations count all the same.
        if ctx.authz.is_hypothetical(id) || !harmless(ctx, id) {
            classes.push(Class { direct: Vec::new(), all: vec![id] });
        }
    }
    classes
}

/// Evidence for an identity: its object, or the subject of a binding that names it.
fn named<'a>(ctx: &Ctx<'a>, e: Emit<'a>, o: Obj, why: &'static str) -> Emit<'a> {
    if matches!(o.kind, Kind::RoleBinding | Kind::ClusterRoleBinding) {
        return e.because(o, SUBJECT_POINTER, "", why);
    }
    let path = ctx.meta(o).map(crate::model::meta::Meta::path).unwrap_or_default();
    e.because(o, "/metadata/name", path, why)
}

fn class_to_grant(ctx: &mut Ctx<'_>, class: Fact, id: GrantId) {
    let Some(g) = ctx.authz.grant(id).copied() else { return };
    let value = format!("{} {}", g.binding.role_ref.kind, g.binding.role_ref.name);
    let e = Emit::scope(Fact::Grant(id.0)).from(class);
    let e = e.because(g.object, SUBJECT_POINTER, "", "the binding names the identity or its group");
    ctx.emit(e.because(g.object, "/roleRef", value, "the binding grants this role"));
}

/// Whether a binding opens nothing, by the rules of its role: the defaults for discovery and self reviews are such.
pub(super) fn harmless(ctx: &Ctx<'_>, id: GrantId) -> bool {
    ctx.authz.grant(id).is_some_and(|g| g.role.is_none_or(|(_, r)| r.rules.iter().all(rows::inert)))
}

fn group_binding(ctx: &Ctx<'_>, group: &str) -> Option<Obj> {
    ctx.authz.group_grants(group).first().and_then(|(id, _)| ctx.authz.grant(*id)).map(|g| g.object)
}

fn direct_grants(ctx: &Ctx<'_>, subject: &Subject) -> Vec<GrantId> {
    let list = match subject {
        Subject::Group(g) => ctx.authz.group_grants(g),
        s => ctx.authz.user_grants(&s.user_name().unwrap_or_default()),
    };
    let mut ids: Vec<GrantId> = list.iter().map(|(id, _)| *id).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Groups that the API server adds to an identity.
pub fn implied_groups(subject: &Subject) -> Vec<String> {
    match subject {
        Subject::ServiceAccount(ns, _) => {
            vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{ns}"), "system:authenticated".into()]
        }
        Subject::User(u) if u == "system:anonymous" => vec!["system:unauthenticated".into()],
        Subject::User(u) if u.starts_with("system:node:") => vec!["system:nodes".into(), "system:authenticated".into()],
        Subject::User(_) => vec!["system:authenticated".into()],
        // A group comes with some user, which is authenticated unless the group says otherwise.
        Subject::Group(g) if g == "system:unauthenticated" || g == "system:authenticated" => Vec::new(),
        Subject::Group(_) => vec!["system:authenticated".into()],
    }
}

/// Accounts, nodes, and users and groups that bindings name, in a stable order.
fn all_subjects(ctx: &Ctx<'_>) -> Vec<(Subject, Option<Obj>)> {
    let o = &ctx.cluster.objects;
    let mut out: BTreeMap<Subject, Option<Obj>> = BTreeMap::new();
    for (i, a) in o.service_accounts.iter().enumerate() {
        let s = Subject::ServiceAccount(a.metadata.namespace.clone(), a.metadata.name.clone());
        out.insert(s, Some(Obj { kind: Kind::ServiceAccount, index: i as u32 }));
    }
    for (i, n) in o.nodes.iter().enumerate() {
        out.insert(
            Subject::User(format!("system:node:{}", n.metadata.name)),
            Some(Obj { kind: Kind::Node, index: i as u32 }),
        );
    }
    let (users, groups) = ctx.authz.subjects();
    for u in users {
        let subject = match u.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':')) {
            Some((ns, n)) => Subject::ServiceAccount(ns.into(), n.into()),
            None => Subject::User(u.to_owned()),
        };
        let first = ctx.authz.user_grants(u).first().and_then(|(id, _)| ctx.authz.grant(*id)).map(|g| g.object);
        out.entry(subject).or_insert(first);
    }
    for g in groups {
        out.entry(Subject::Group(g.to_owned())).or_insert_with(|| group_binding(ctx, g));
    }
    // Pods whose account is not in the data still act as it.
    for p in &o.pods {
        let s = Subject::ServiceAccount(p.metadata.namespace.clone(), p.account().to_owned());
        out.entry(s).or_insert(None);
    }
    out.into_iter().collect()
}

/// Rows that a single binding satisfies: binding → conclusion, one instance a rule.
fn single_rows(ctx: &mut Ctx<'_>, id: GrantId) {
    let Some(g) = ctx.authz.grant(id).copied() else { return };
    let Some((role_object, role)) = g.role else { return };
    let scope = if g.namespace().is_empty() { EVERYWHERE } else { ctx.ns(g.namespace()).unwrap_or(EVERYWHERE) };
    let version = ctx.cluster.version;
    for (j, rule) in role.rules.iter().enumerate() {
        let everything = rule.is_everything();
        let pointer = format!("/rules/{j}");
        let text = rows::describe(rule);
        if everything {
            let (technique, conclusion) = if scope == EVERYWHERE {
                ("rbac-grant", Fact::ClusterAdmin)
            } else {
                ("ns-wildcard", Fact::NamespaceAdmin(scope))
            };
            let e = Emit::new(technique, conclusion).from(Fact::Grant(id.0));
            ctx.emit(e.because(
                role_object,
                pointer.clone(),
                text.clone(),
                "the rule allows every verb on every resource",
            ));
        }
        for row in rows::SINGLE {
            if row.since.is_some_and(|v| version < v) || row.until.is_some_and(|v| version > v) {
                continue;
            }
            for need in row.needs {
                let Some((verb, names)) = need.held_by(rule) else { continue };
                // Cluster-scoped resources answer only to cluster-wide bindings; namespaces are the exception.
                if need.cluster_scoped && scope != EVERYWHERE {
                    continue;
                }
                let value = format!("{verb} {} ({text})", need.label());
                conclude(ctx, row, id, scope, &names, role_object, &pointer, &value);
            }
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one call site; a struct would only rename the arguments")]
fn conclude(
    ctx: &mut Ctx<'_>,
    row: &Row,
    id: GrantId,
    scope: u32,
    names: &Names,
    role: Obj,
    pointer: &str,
    value: &str,
) {
    let grant = Fact::Grant(id.0);
    let put = |ctx: &mut Ctx<'_>, f: Fact, extra: Option<Obj>| {
        let e = if row.technique == rows::HOLDS { Emit::scope(f) } else { Emit::new(row.technique, f).tier(row.tier) };
        let mut e = e.from(grant).because(role, pointer, value, row.why);
        if let Some(o) = extra {
            let name = ctx.meta(o).map(|m| m.name.clone()).unwrap_or_default();
            e = e.because(o, "/metadata/name", name, "resourceNames limits the rule to this object");
        }
        ctx.emit(e);
    };
    let named = |list: &Names| matches!(list, Names::Some(_));
    if let (Target::Workload(Some(kind)), true) = (row.target, named(names)) {
        return named_template(ctx, kind, grant, scope, names, role, pointer, value);
    }
    if let Target::Right(right) = row.target {
        match names {
            Names::All => put(ctx, Fact::Right(right, scope), None),
            Names::Some(list) if right == Right::PatchNamespaces => {
                for n in list {
                    if let Some(ns) = ctx.ns(n).filter(|ns| scope == EVERYWHERE || scope == *ns) {
                        put(ctx, Fact::Right(right, ns), None);
                    }
                }
            }
            // A taint removes the pods of a node.
            Names::Some(list) if right == Right::PatchNodes => {
                for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
                    if list.contains(&p.spec.node_name) && !p.finished() {
                        put(ctx, Fact::Evictable(i as u32), Some(Obj { kind: Kind::Pod, index: i as u32 }));
                    }
                }
            }
            Names::Some(list) if right == Right::EvictPods => {
                for n in list {
                    each(ctx, Kind::Pod, n, scope, |ctx, i, o| put(ctx, Fact::Evictable(i), Some(o)));
                }
            }
            Names::Some(_) => {}
        }
        return;
    }
    match names {
        Names::All => {
            let fact = match (row.target, scope) {
                (Target::Secrets, EVERYWHERE) => Fact::AllSecrets,
                (Target::Secrets, ns) => Fact::AnySecret(ns),
                (Target::Accounts, EVERYWHERE) => Fact::AllSa,
                (Target::Accounts, ns) => Fact::AnySa(ns),
                (Target::Pods | Target::NodePods, EVERYWHERE) => Fact::AllPods,
                (Target::Pods, ns) => Fact::PodsIn(ns),
                (Target::AccountNames, ns) => Fact::AnyAccountName(ns),
                (Target::Workload(None), EVERYWHERE) => Fact::AllWorkloads,
                (Target::Workload(None), ns) => Fact::Workload(ns),
                (Target::Workload(Some(kind)), ns) => Fact::Templates(kind, ns),
                (Target::Attach, ns) => Fact::AttachIn(ns),
                (Target::Hint, ns) => Fact::Hint(ns),
                (Target::Services | Target::ServicesByPod, ns) => Fact::Intercepts(ns),
                (Target::Policies, ns) => Fact::PoliciesOff(ns),
                (Target::Right(_) | Target::NodePods, _) => return,
            };
            put(ctx, fact, None);
        }
        Names::Some(list) => {
            for name in list {
                match row.target {
                    Target::Secrets => {
                        each(ctx, Kind::Secret, name, scope, |ctx, i, o| put(ctx, Fact::Secret(i), Some(o)))
                    }
                    Target::Pods => each(ctx, Kind::Pod, name, scope, |ctx, i, o| put(ctx, Fact::Pod(i), Some(o))),
                    Target::Accounts | Target::AccountNames => {
                        each(ctx, Kind::ServiceAccount, name, scope, |ctx, _, o| {
                            let Some(m) = ctx.meta(o) else { return };
                            let f = ctx.account(&m.namespace, &m.name);
                            put(ctx, f, Some(o));
                        })
                    }
                    Target::Attach => {
                        each(ctx, Kind::Pod, name, scope, |ctx, i, o| put(ctx, Fact::Attached(i), Some(o)));
                    }
                    Target::Services => each(ctx, Kind::Service, name, scope, |ctx, i, o| {
                        put(ctx, Fact::InterceptsService(i), Some(o));
                    }),
                    Target::ServicesByPod => each(ctx, Kind::Pod, name, scope, |ctx, _, o| {
                        let ns = ctx.meta(o).and_then(|m| ctx.ns(&m.namespace));
                        if let Some(ns) = ns {
                            put(ctx, Fact::Intercepts(ns), Some(o));
                        }
                    }),
                    Target::Policies => each(ctx, Kind::NetworkPolicy, name, scope, |ctx, i, o| {
                        put(ctx, Fact::PolicyGone(i), Some(o));
                    }),
                    Target::NodePods => {
                        for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
                            if p.spec.node_name == *name && !p.finished() {
                                put(ctx, Fact::Pod(i as u32), Some(Obj { kind: Kind::Pod, index: i as u32 }));
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Objects with a pod template that a rule names: each gives a pod of any spec where it is.
#[allow(clippy::too_many_arguments, reason = "one call site; a struct would only rename the arguments")]
fn named_template(
    ctx: &mut Ctx<'_>,
    kind: Kind,
    grant: Fact,
    scope: u32,
    names: &Names,
    role: Obj,
    pointer: &str,
    value: &str,
) {
    let Names::Some(names) = names else { return };
    for (i, w) in ctx.cluster.workloads_of(kind).iter().enumerate() {
        let ns = ctx.ns(&w.metadata.namespace).filter(|n| scope == EVERYWHERE || scope == *n);
        let Some(ns) = ns.filter(|_| names.contains(&w.metadata.name)) else { continue };
        let o = Obj { kind, index: i as u32 };
        let e = super::scopes::template_step(ctx, o, Fact::Workload(ns)).from(grant);
        ctx.emit(e.because(role, pointer, value, "resourceNames limits the rule to this object"));
    }
}

fn each(ctx: &mut Ctx<'_>, kind: Kind, name: &str, scope: u32, mut f: impl FnMut(&mut Ctx<'_>, u32, Obj)) {
    let found = ctx.by_name.get(&(kind, name.to_owned())).cloned().unwrap_or_default();
    for index in found {
        let o = Obj { kind, index };
        let ns = ctx.meta(o).and_then(|m| ctx.ns(&m.namespace));
        if scope == EVERYWHERE || ns == Some(scope) {
            f(ctx, index, o);
        }
    }
}
