//! Scope vertices: what "every Secret", "any pod" or "namespace admin" contain, and the steps that workloads open.

use super::ctx::{Ctx, Emit};
use super::fact::{EVERYWHERE, Fact, Right, Subject};
use crate::admission::psa::{self, Level};
use crate::admission::service_account::secret_references;
use crate::admission::webhook::{Guard, Request, guards};
use crate::authz::rbac::{Attributes, rule_allows};
use crate::model::Version;
use crate::model::kind::{Kind, Obj};
use crate::model::objects::TOKEN_SECRET;

/// Emits the expansion of every scope.
pub fn emit(ctx: &mut Ctx<'_>) {
    secrets(ctx);
    accounts(ctx);
    templates(ctx);
    pods(ctx);
    for ns in 0..ctx.namespaces.len() as u32 {
        namespace(ctx, ns);
    }
    nodes(ctx);
    cluster_admin(ctx);
}

fn member(ctx: &mut Ctx<'_>, from: Fact, to: Fact, o: Obj, why: &'static str) {
    let value = ctx.meta(o).map(crate::model::meta::Meta::path).unwrap_or_default();
    ctx.emit(Emit::scope(to).from(from).because(o, "/metadata/name", value, why));
}

fn secrets(ctx: &mut Ctx<'_>) {
    // Names that pods and accounts show to anybody who may create a pod.
    let mut named: std::collections::BTreeSet<(String, String)> = std::collections::BTreeSet::new();
    for p in &ctx.cluster.objects.pods {
        named.extend(secret_references(p).into_iter().map(|s| (p.metadata.namespace.clone(), s)));
    }
    for (_, w) in ctx.cluster.workloads() {
        if let Some(t) = w.spec.pod_template() {
            let p = crate::model::pod::Pod { spec: t.spec.clone(), ..Default::default() };
            named.extend(secret_references(&p).into_iter().map(|s| (w.metadata.namespace.clone(), s)));
        }
    }
    for a in &ctx.cluster.objects.service_accounts {
        for s in a.secrets.iter().chain(&a.image_pull_secrets) {
            named.insert((a.metadata.namespace.clone(), s.name.clone()));
        }
    }
    for i in &ctx.cluster.objects.ingresses {
        named.extend(i.spec.tls.iter().map(|t| (i.metadata.namespace.clone(), t.secret_name.clone())));
    }
    for (i, s) in ctx.cluster.objects.secrets.iter().enumerate() {
        let o = Obj { kind: Kind::Secret, index: i as u32 };
        let fact = Fact::Secret(i as u32);
        if let Some(ns) = ctx.ns(&s.metadata.namespace) {
            member(ctx, Fact::AnySecret(ns), fact, o, "the Secret is in the scope of the right");
            let known = named.contains(&(s.metadata.namespace.clone(), s.metadata.name.clone()));
            let unknown = (!known).then(|| format!("secret-name-known:{}/{}", s.metadata.namespace, s.metadata.name));
            let e = Emit::new("workload-any-secret", fact).from(Fact::Mountable(ns)).tier(1).maybe(unknown);
            ctx.emit(e.because(o, "/metadata/name", s.metadata.path(), "a pod of this namespace can mount it by name"));
        }
        if s.kind == TOKEN_SECRET {
            token_secret(ctx, i as u32, o);
        }
    }
}

fn token_secret(ctx: &mut Ctx<'_>, index: u32, o: Obj) {
    let Some(m) = ctx.meta(o) else { return };
    if m.labels.contains_key("kubernetes.io/legacy-token-invalid-since") {
        return;
    }
    let Some(name) = m.annotations.get("kubernetes.io/service-account.name").cloned() else { return };
    let Some(account) = ctx.cluster.service_account(&m.namespace, &name) else { return };
    let uid = m.annotations.get("kubernetes.io/service-account.uid");
    if uid.is_some_and(|u| !account.metadata.uid.is_empty() && *u != account.metadata.uid) {
        return;
    }
    let ns = m.namespace.clone();
    let f = ctx.account(&ns, &name);
    let e = Emit::new("secret-sa-token", f).from(Fact::Secret(index));
    ctx.emit(e.because(o, "/type", TOKEN_SECRET, "the Secret holds a token of the account").because(
        o,
        "/metadata/annotations/kubernetes.io~1service-account.name",
        name,
        "names the account",
    ));
}

fn accounts(ctx: &mut Ctx<'_>) {
    for (i, a) in ctx.cluster.objects.service_accounts.iter().enumerate() {
        let o = Obj { kind: Kind::ServiceAccount, index: i as u32 };
        let f = ctx.account(&a.metadata.namespace, &a.metadata.name);
        let Some(ns) = ctx.ns(&a.metadata.namespace) else { continue };
        match (a.metadata.namespace == "kube-system").then(|| unlimited(ctx, &a.metadata.name)).flatten() {
            Some((role, j, text)) => {
                let e = Emit::new("ns-admin-kube-system", f).from(Fact::AnySa(ns));
                let e = e.because(o, "/metadata/name", a.metadata.path(), "the account is in kube-system");
                ctx.emit(e.because(role, format!("/rules/{j}"), text, "its role leads to cluster-admin"));
            }
            None => member(ctx, Fact::AnySa(ns), f, o, "the account is in the scope"),
        }
    }
    // Subjects of bindings that name an account which does not exist: creating it claims the binding.
    if !ctx.cluster.was_read(Kind::ServiceAccount) {
        return;
    }
    let dangling: Vec<(Obj, usize, String, String)> = ctx
        .authz
        .grants()
        .iter()
        .filter(|g| g.role.is_some_and(|(_, r)| !r.rules.is_empty()))
        .flat_map(|g| {
            g.binding.subjects.iter().enumerate().filter(|(_, s)| s.kind == "ServiceAccount").map(move |(n, s)| {
                let ns =
                    if s.namespace.is_empty() { g.binding.metadata.namespace.clone() } else { s.namespace.clone() };
                (g.object, n, ns, s.name.clone())
            })
        })
        .filter(|(_, _, ns, name)| ctx.cluster.service_account(ns, name).is_none())
        .collect();
    for (object, n, ns_name, name) in dangling {
        let Some(ns) = ctx.ns(&ns_name) else { continue };
        let f = ctx.account(&ns_name, &name);
        for second in [Fact::Workload(ns), Fact::Right(Right::CreateTokens, ns), Fact::Right(Right::CreateSecrets, ns)]
        {
            let e =
                Emit::new("dangling-sa-create", f).from(Fact::Right(Right::CreateAccounts, ns)).from(second).tier(3);
            ctx.emit(e.because(
                object,
                format!("/subjects/{n}"),
                format!("{ns_name}/{name}"),
                "the binding names an account that does not exist",
            ));
        }
        // Impersonation works for names that do not exist.
        let e = Emit::new("imp-serviceaccount", f).from(Fact::AnyAccountName(ns)).tier(2);
        ctx.emit(e.because(
            object,
            format!("/subjects/{n}"),
            format!("{ns_name}/{name}"),
            "the binding names an account that does not exist",
        ));
    }
}

/// The rule by which an account of kube-system is as good as cluster-admin: everything, or escalation of ClusterRoles.
fn unlimited(ctx: &Ctx<'_>, account: &str) -> Option<(Obj, usize, String)> {
    let user = crate::authz::rbac::service_account_user("kube-system", account);
    ctx.authz.user_grants(&user).iter().find_map(|(id, _)| {
        let g = ctx.authz.grant(*id).filter(|g| g.namespace().is_empty())?;
        let (object, role) = g.role?;
        let j = role.rules.iter().position(|r| {
            let escalates = Attributes::Resource {
                verb: "escalate",
                group: crate::model::rbac::GROUP,
                resource: "clusterroles",
                subresource: "",
                name: "",
                namespace: "",
            };
            r.is_everything() || rule_allows(r, escalates)
        })?;
        Some((object, j, role.rules.get(j).map(super::rows::describe).unwrap_or_default()))
    })
}

fn pods(ctx: &mut Ctx<'_>) {
    for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
        if p.finished() {
            continue;
        }
        let o = Obj { kind: Kind::Pod, index: i as u32 };
        let pod = Fact::Pod(i as u32);
        if let Some(ns) = ctx.ns(&p.metadata.namespace) {
            member(ctx, Fact::PodsIn(ns), pod, o, "the pod is in the scope of the right");
        }
        attach(ctx, i as u32, p, o);
        ephemeral(ctx, p, o);
        for c in p.running_containers() {
            let e = Emit::scope(Fact::Exec(i as u32, c.ordinal)).from(pod);
            ctx.emit(e.because(
                o,
                format!("{}/name", c.pointer()),
                c.container.name.clone(),
                "a running container of the pod",
            ));
        }
    }
}

/// Attaching gives input only to a container that keeps its standard input open, and code only if that is a shell.
fn attach(ctx: &mut Ctx<'_>, i: u32, p: &crate::model::pod::Pod, o: Obj) {
    if !p.running_containers().any(|c| c.container.stdin) {
        return;
    }
    let attached = Fact::Attached(i);
    if let Some(ns) = ctx.ns(&p.metadata.namespace) {
        member(ctx, Fact::AttachIn(ns), attached, o, "the pod is in the scope of the right");
    }
    for c in p.running_containers().filter(|c| c.container.stdin) {
        let e = Emit::new("pods-attach", Fact::Exec(i, c.ordinal)).from(attached).tier(2);
        let e = e.unless_known(format!("stdin-runs-commands:{}", p.metadata.path()));
        ctx.emit(e.because(o, format!("{}/stdin", c.pointer()), "true", "the container reads its standard input"));
    }
}

/// What an ephemeral container wins beside the processes of its pod: the token volume, and the node where a
/// privileged one is admitted.
fn ephemeral(ctx: &mut Ctx<'_>, p: &crate::model::pod::Pod, o: Obj) {
    let Some(ns) = ctx.ns(&p.metadata.namespace) else { return };
    let right = Fact::Right(Right::AddEphemeral, ns);
    let token = p.spec.volumes.iter().position(|v| {
        v.projected
            .iter()
            .flat_map(|x| &x.sources)
            .any(|s| s.service_account_token.as_ref().is_some_and(|t| t.audience.is_empty()))
    });
    if let Some(v) = token {
        let identity = ctx.account(&p.metadata.namespace, p.account());
        let e = Emit::new("ephemeral-token", identity).from(right).tier(2);
        let e = e.because(
            o,
            format!("/spec/volumes/{v}/projected/sources"),
            "serviceAccountToken",
            "the volume can be mounted by an ephemeral container",
        );
        ctx.emit(e.because(o, "/spec/serviceAccountName", p.account(), "the account of the pod"));
    }
    if p.spec.host_users == Some(false) {
        return;
    }
    if let Some(n) = ctx.node_of(o.index) {
        let e = Emit::new("ephemeral-node", Fact::Node(n)).from(Fact::PrivilegedEphemeral(ns)).tier(2);
        ctx.emit(e.because(o, "/spec/nodeName", p.spec.node_name.clone(), "the node that the pod runs on"));
    }
}

/// Changing a pod template gives a pod of any spec where an object of the kind exists. An object that rolls changes
/// out by itself is preferred; with OnDelete somebody must delete a pod first.
fn templates(ctx: &mut Ctx<'_>) {
    let kinds = crate::model::cluster::WORKLOADS.into_iter().filter(|k| *k != Kind::Job);
    for kind in kinds {
        let mut best: std::collections::BTreeMap<u32, (bool, u32)> = std::collections::BTreeMap::new();
        for (i, w) in ctx.cluster.workloads_of(kind).iter().enumerate() {
            let Some(ns) = ctx.ns(&w.metadata.namespace) else { continue };
            let this = (w.spec.waits_for_deletion(), i as u32);
            best.entry(ns).and_modify(|b| *b = (*b).min(this)).or_insert(this);
        }
        for (ns, (_, index)) in best {
            let o = Obj { kind, index };
            member(
                ctx,
                Fact::Templates(kind, EVERYWHERE),
                Fact::Templates(kind, ns),
                o,
                "an object of the kind exists",
            );
            let e = template_step(ctx, o, Fact::Workload(ns)).from(Fact::Templates(kind, ns));
            ctx.emit(e);
        }
    }
}

/// The step of changing one object's template.
pub(super) fn template_step<'a>(ctx: &Ctx<'a>, o: Obj, conclusion: Fact) -> Emit<'a> {
    let kind = o.kind.info().kind;
    let path = ctx.meta(o).map(crate::model::meta::Meta::path).unwrap_or_default();
    let waits = ctx.cluster.workloads_of(o.kind).get(o.index as usize).is_some_and(|w| w.spec.waits_for_deletion());
    Emit::new(&format!("patch-{}", kind.to_lowercase()), conclusion)
        .tier(4)
        .maybe(waits.then(|| format!("template-rolls-out:{kind}/{path}")))
        .because(o, "/metadata/name", path, "its pod template can be replaced")
}

fn namespace(ctx: &mut Ctx<'_>, ns: u32) {
    let Some(o) = ctx.namespace_object(ns) else { return };
    for (all, one) in [
        (Fact::AllSecrets, Fact::AnySecret(ns)),
        (Fact::AllSa, Fact::AnySa(ns)),
        (Fact::AllPods, Fact::PodsIn(ns)),
        (Fact::AllWorkloads, Fact::Workload(ns)),
        (Fact::AttachIn(EVERYWHERE), Fact::AttachIn(ns)),
    ] {
        member(ctx, all, one, o, "the namespace is in the cluster-wide scope");
    }
    member(ctx, Fact::NamespaceAdmin(EVERYWHERE), Fact::NamespaceAdmin(ns), o, "the namespace is one of all");
    member(
        ctx,
        Fact::AnyAccountName(EVERYWHERE),
        Fact::AnyAccountName(ns),
        o,
        "the namespace is in the cluster-wide scope",
    );
    member(ctx, Fact::AnyAccountName(ns), Fact::AnySa(ns), o, "existing accounts have a name too");
    for r in Right::NAMESPACED {
        member(ctx, Fact::Right(r, EVERYWHERE), Fact::Right(r, ns), o, "the namespace is in the cluster-wide scope");
        member(ctx, Fact::NamespaceAdmin(ns), Fact::Right(r, ns), o, "the right is one of all in the namespace");
    }
    let name = ctx.ns_name(ns).to_owned();
    let admin = Fact::NamespaceAdmin(ns);
    for f in [Fact::AnySa(ns), Fact::AnySecret(ns), Fact::Workload(ns), Fact::PodsIn(ns)] {
        ctx.emit(Emit::new("ns-admin-expands", f).from(admin).because(
            o,
            "/metadata/name",
            name.clone(),
            "every right in the namespace",
        ));
    }
    let w = Fact::Workload(ns);
    ctx.emit(Emit::new("workload-any-sa", Fact::AnySa(ns)).from(w).because(
        o,
        "/metadata/name",
        name.clone(),
        "a pod may name any account of its namespace",
    ));
    ctx.emit(Emit::scope(Fact::Mountable(ns)).from(w).because(
        o,
        "/metadata/name",
        name.clone(),
        "a pod may mount any Secret of its namespace",
    ));
    let reach = Emit::new("workload-exec", Fact::ApiReach).from(w).tier(1);
    ctx.emit(reach.because(o, "/metadata/name", name.clone(), "the attacker's pod can talk to the API server"));
    let mint = Emit::new("secret-mint-sa-token", Fact::AnySa(ns))
        .from(Fact::Right(Right::CreateSecrets, ns))
        .from(Fact::Right(Right::ReadSecrets, ns))
        .tier(2);
    ctx.emit(mint.because(o, "/metadata/name", name.clone(), "the token controller fills a new token Secret"));
    let mint = Emit::new("secret-mint-sa-token-mount", Fact::AnySa(ns))
        .from(Fact::Right(Right::CreateSecrets, ns))
        .from(w)
        .tier(3);
    ctx.emit(mint.because(o, "/metadata/name", name.clone(), "a pod mounts the new token Secret"));
    privileged(ctx, ns, o, &name);
}

/// Whether a privileged pod of this namespace is admitted: Pod Security, then webhooks and policies.
fn privileged(ctx: &mut Ctx<'_>, ns: u32, o: Obj, name: &str) {
    let w = Fact::Workload(ns);
    let read = ctx.cluster.was_read(Kind::Namespace);
    let labels = ctx.meta(o).map(|m| m.labels.clone()).unwrap_or_default();
    let policy = psa::Policy::of_labels(&labels);
    let unread: Vec<Kind> = [
        Kind::ValidatingWebhookConfiguration,
        Kind::MutatingWebhookConfiguration,
        Kind::ValidatingAdmissionPolicy,
        Kind::ValidatingAdmissionPolicyBinding,
    ]
    .into_iter()
    .filter(|k| !ctx.cluster.was_read(*k))
    // Admission policies exist from 1.30 on.
    .filter(|k| !k.info().optional || ctx.cluster.version >= Version::minor(30))
    .collect();
    let ask = |operation, resource| {
        guards(ctx.cluster, Request { operation, group: "", version: "v1", resource, namespace: name })
    };
    let (pod_guards, ephemeral_guards) = (ask("CREATE", "pods"), ask("UPDATE", "pods/ephemeralcontainers"));
    let guard = |mut e: Emit<'static>, guards: &[Guard]| {
        for g in guards {
            e = e.unless_known(format!("webhook-admits:{}", g.name)).because(
                g.object,
                g.pointer.clone(),
                g.name.clone(),
                "may refuse the pod",
            );
        }
        for k in &unread {
            e = e.unless_known(format!("unread:{}", k.info().kind));
        }
        e
    };
    let label_pointer = "/metadata/labels/pod-security.kubernetes.io~1enforce";
    if policy.level == Level::Privileged {
        let value = labels.get(psa::ENFORCE).cloned().unwrap_or_else(|| "(not set)".into());
        let e = Emit::new("workload-privileged-node", Fact::PrivilegedWorkload(ns)).from(w).tier(1);
        let e = e
            .because(o, label_pointer, value, "Pod Security lets privileged pods in")
            .maybe((!read).then(|| "unread:Namespace".to_owned()));
        ctx.emit(guard(e, &pod_guards));
        let value = labels.get(psa::ENFORCE).cloned().unwrap_or_else(|| "(not set)".into());
        let e = Emit::scope(Fact::PrivilegedEphemeral(ns))
            .from(Fact::Right(Right::AddEphemeral, ns))
            .maybe((!read).then(|| "unread:Namespace".to_owned()))
            .because(o, label_pointer, value, "Pod Security lets a privileged ephemeral container in");
        ctx.emit(guard(e, &ephemeral_guards));
    } else {
        let value = labels.get(psa::ENFORCE).cloned().unwrap_or_default();
        let off = Emit::new("ns-label-psa", Fact::PsaOff(ns)).from(Fact::Right(Right::PatchNamespaces, ns)).tier(3);
        ctx.emit(off.because(o, label_pointer, value.clone(), "the label can be changed to privileged"));
        let e =
            Emit::new("workload-privileged-node", Fact::PrivilegedWorkload(ns)).from(w).from(Fact::PsaOff(ns)).tier(1);
        ctx.emit(guard(e.because(o, label_pointer, value, "Pod Security was switched off"), &pod_guards));
        // A volume made by the attacker brings a hostPath past Pod Security; restricted pods run as non-root.
        if policy.level == Level::Baseline {
            let e = Emit::new("pv-hostpath", Fact::PrivilegedWorkload(ns))
                .from(Fact::Right(Right::CreateVolumes, EVERYWHERE))
                .from(Fact::Right(Right::CreateClaims, ns))
                .from(w)
                .tier(4);
            let value = labels.get(psa::ENFORCE).cloned().unwrap_or_default();
            let e = e.because(o, label_pointer, value, "baseline does not look behind a claim");
            ctx.emit(guard(e, &pod_guards));
        }
    }
}

fn nodes(ctx: &mut Ctx<'_>) {
    let namespaces = ctx.namespaces.len() as u32;
    for ns in 0..namespaces {
        if let Some(o) = ctx.namespace_object(ns) {
            let name = ctx.ns_name(ns).to_owned();
            let p = Fact::PrivilegedWorkload(ns);
            ctx.emit(Emit::scope(Fact::AnyNode).from(p).because(
                o,
                "/metadata/name",
                name.clone(),
                "the pod runs on a node",
            ));
            ctx.emit(Emit::new("workload-nodename", Fact::NamedNode).from(p).tier(1).because(
                o,
                "/metadata/name",
                name,
                "nodeName picks the node and passes by taints",
            ));
        }
    }
    for (i, n) in ctx.cluster.objects.nodes.iter().enumerate() {
        let o = Obj { kind: Kind::Node, index: i as u32 };
        if n.status.node_info.operating_system == "windows" {
            continue;
        }
        let closed = n.spec.unschedulable || n.spec.taints.iter().any(|t| t.effect != "PreferNoSchedule");
        let from = if closed { Fact::NamedNode } else { Fact::AnyNode };
        member(ctx, from, Fact::Node(i as u32), o, "a node on which the pod can run");
    }
}

fn cluster_admin(ctx: &mut Ctx<'_>) {
    let Some(o) = ctx.anchor() else { return };
    let e = Emit::scope(Fact::AllSecrets).from(Fact::NamespaceAdmin(EVERYWHERE));
    ctx.emit(e.because(o, "/metadata/name", "", "every namespace is under control"));
    // Or namespace by namespace, where there is a Secret.
    let with: std::collections::BTreeSet<u32> =
        ctx.cluster.objects.secrets.iter().filter_map(|s| ctx.ns(&s.metadata.namespace)).collect();
    if !with.is_empty() {
        let e = with.into_iter().fold(Emit::scope(Fact::AllSecrets), |e, ns| e.from(Fact::AnySecret(ns)));
        ctx.emit(e.because(o, "/metadata/name", "", "every namespace with a Secret is covered"));
    }
    let admin = Fact::ClusterAdmin;
    let why = "cluster-admin may do everything";
    let scopes = [
        Fact::AllSecrets,
        Fact::AnyAccountName(EVERYWHERE),
        Fact::AllSa,
        Fact::AllPods,
        Fact::AllWorkloads,
        Fact::AnyNode,
        Fact::NamedNode,
    ];
    for f in scopes {
        ctx.emit(Emit::scope(f).from(admin).because(o, "/metadata/name", "", why));
    }
    let subjects: Vec<Subject> = ctx.subjects.values().cloned().collect();
    for s in subjects.into_iter().filter(|s| !matches!(s, Subject::ServiceAccount(..))) {
        let e = Emit::new("imp-user", Fact::Identity(ctx.subject(s))).from(admin);
        ctx.emit(e.because(o, "/metadata/name", "", why));
    }
}
