//! From service accounts to roles: IAM roles for service accounts, and EKS Pod Identity.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Answer, Own, World, last};
use super::{cloud, resting};
use crate::iam::{Caller, Context, Document, principal};
use crate::model::cloud::{CloudObject, scope};
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;
use crate::rules::federation::{Tokens, Way, is_name};

/// The service of Pod Identity.
const AGENT: &str = "pods.eks.amazonaws.com";

/// Emits both ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    irsa(ctx, world);
    pod_identity(ctx, world);
}

/// A provider of the cluster's tokens.
struct Provider {
    index: u32,
    /// Issuer without the scheme.
    key: String,
    arn: String,
    audiences: Vec<String>,
    /// What is not known of it.
    unknowns: Vec<String>,
}

/// The provider of each cluster that this one may be. Without a described cluster each provider may be the one.
fn providers(world: &World<'_>) -> Vec<Provider> {
    let made = |index: u32, o: &CloudObject, unknown: Option<String>| {
        let (account, key) = scope(&o.metadata.name);
        let (account, key) = (if account.is_empty() { &world.account } else { account }, key.to_owned());
        let mut unknowns: Vec<String> = unknown.into_iter().collect();
        let mut audiences: Vec<String> =
            o.list("ClientIDList").iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
        if o.spec.get("ClientIDList").is_none() {
            unknowns.push(format!("unread:iam-get-open-id-connect-provider-{}", last(&key)));
            audiences.push("sts.amazonaws.com".to_owned());
        }
        let arn = match o.text("Arn") {
            "" => format!("arn:{}:iam::{account}:oidc-provider/{key}", world.partition),
            arn => arn.to_owned(),
        };
        Provider { index, key, arn, audiences, unknowns }
    };
    let clusters = world.clusters();
    let all: Vec<(u32, &CloudObject)> = world.of("OpenIDConnectProvider").collect();
    if clusters.is_empty() {
        let unknown = || Some("unread:eks-describe-cluster".to_owned());
        return all.iter().map(|(i, o)| made(*i, o, unknown())).collect();
    }
    let mut out = Vec::new();
    for (_, c, unknown) in clusters {
        match c.spec.pointer("/identity/oidc/issuer").and_then(|v| v.as_str()) {
            Some(issuer) => {
                let key = issuer.trim_start_matches("https://");
                out.extend(
                    all.iter()
                        .filter(|(_, o)| scope(&o.metadata.name).1 == key)
                        .map(|(i, o)| made(*i, o, unknown.clone())),
                );
            }
            // The cluster was not described.
            None => {
                let id = format!("unread:eks-describe-cluster-{}", c.metadata.name);
                out.extend(all.iter().map(|(i, o)| made(*i, o, Some(id.clone()))));
            }
        }
    }
    out
}

/// A role that trusts tokens of the cluster.
struct Trusting<'w> {
    index: u32,
    arn: &'w str,
    name: String,
    document: Document,
}

fn irsa(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let providers = providers(world);
    if providers.is_empty() {
        return;
    }
    let accounts: BTreeSet<(String, String)> = ctx
        .cluster
        .objects
        .service_accounts
        .iter()
        .map(|a| (a.metadata.namespace.clone(), a.metadata.name.clone()))
        .collect();
    let tokens = Tokens::new(ctx);
    for provider in providers {
        let web = Caller::Federated(provider.arn.clone());
        let trusting = world.of("IamRole").filter_map(|(index, o)| {
            let (name, document) = World::trust(o)?;
            let about = document.statements.iter().any(|s| web.means(s.principals.as_ref()) != principal::Means::Not);
            about.then(|| Trusting { index, arn: o.text("Arn"), name, document })
        });
        for role in trusting.collect::<Vec<_>>() {
            let ask = |ns: &str, name: &str, audience: &str| {
                let c = claims(&provider.key, ns, name, audience);
                let trust = (role.name.clone(), &role.document);
                let mut answer = world.trusts(&web, "sts:AssumeRoleWithWebIdentity", role.arn, trust, &c);
                answer.unknowns.extend(provider.unknowns.iter().cloned());
                answer
            };
            let literal = literal_subjects(&role.document, &web);
            let asked: Vec<&(String, String)> = match &literal {
                // Only those that the policy names.
                Some(list) => list.iter().filter_map(|a| accounts.get(a)).collect(),
                None => accounts.iter().collect(),
            };
            for (ns, name) in asked {
                for audience in &provider.audiences {
                    let answer = ask(ns, name, audience);
                    if answer.open {
                        let step = step(audience, role.index, provider.index, &answer);
                        tokens.account(ctx, (ns, name), audience, &step);
                    }
                }
            }
            claimable(ctx, &tokens, &role, &provider, &literal, &ask);
        }
    }
}

/// Roles that trust every service account of the cluster for sure: one that nobody can have meant.
pub(super) fn of_any_account(world: &World<'_>) -> BTreeSet<u32> {
    const NOBODY: &str = "kpath-asks-for-nobody";
    let mut out = BTreeSet::new();
    for provider in providers(world).into_iter().filter(|p| p.unknowns.is_empty()) {
        let web = Caller::Federated(provider.arn.clone());
        for (index, o) in world.of("IamRole") {
            let Some((name, trust)) = World::trust(o) else { continue };
            let trusts = |audience: &String| {
                let c = claims(&provider.key, NOBODY, NOBODY, audience);
                let place = (name.clone(), &trust);
                let answer = world.trusts(&web, "sts:AssumeRoleWithWebIdentity", o.text("Arn"), place, &c);
                answer.open && answer.unknowns.is_empty()
            };
            if provider.audiences.iter().any(trusts) {
                out.insert(index);
            }
        }
    }
    out
}

/// The accounts that a trust policy names one by one; nothing where any statement admits others.
fn literal_subjects(d: &Document, caller: &Caller) -> Option<BTreeSet<(String, String)>> {
    let mut out = BTreeSet::new();
    for s in d.statements.iter().filter(|s| s.effect == crate::iam::policy::Effect::Allow) {
        if caller.means(s.principals.as_ref()) == principal::Means::Not {
            continue;
        }
        let subjects: Vec<&String> = s
            .conditions
            .iter()
            .filter(|c| c.key.to_lowercase().ends_with(":sub") && c.is_exact())
            .flat_map(|c| &c.values)
            .collect();
        if subjects.is_empty() {
            return None;
        }
        for v in subjects {
            let (ns, name) = v.strip_prefix("system:serviceaccount:")?.split_once(':')?;
            // In an exact comparison wildcards are letters like others; a variable is not.
            if v.contains("${") {
                return None;
            }
            out.insert((ns.to_owned(), name.to_owned()));
        }
    }
    Some(out)
}

/// Claims of a token.
fn claims(key: &str, ns: &str, name: &str, audience: &str) -> Context {
    let mut c = Context::new();
    c.set(&format!("{key}:sub"), [format!("system:serviceaccount:{ns}:{name}")]);
    c.set(&format!("{key}:aud"), [audience]);
    // What else a token of the cluster says, or the request: not known.
    c.set_unknown("aws:*");
    c.set_unknown("sts:*");
    c
}

/// The step from a token to a role that trusts it.
fn step<'s>(audience: &'s str, role: u32, provider: u32, answer: &'s Answer) -> impl Fn(Way) -> Emit<'static> + 's {
    move |way| {
        let technique = match way {
            Way::Held => "aws-irsa",
            Way::Chosen => "aws-irsa-token-choice",
            Way::Claimed => "aws-irsa-claimable",
        };
        let why = "the provider takes this audience";
        let e = Emit::new(technique, Fact::CloudPrincipal(role));
        resting(e.because(cloud(provider), "/spec/ClientIDList", audience.to_owned(), why), answer, role)
    }
}

/// Names that a trust policy admits and nobody has yet: who creates them has the role.
fn claimable(
    ctx: &mut Ctx<'_>,
    tokens: &Tokens,
    role: &Trusting<'_>,
    provider: &Provider,
    literal: &Option<BTreeSet<(String, String)>>,
    ask: &dyn Fn(&str, &str, &str) -> Answer,
) {
    const FREE: &str = "kpath-claimed-name";
    let patterns: Vec<(String, String)> = match literal {
        Some(list) => list.iter().cloned().collect(),
        None => {
            let values = role.document.statements.iter().flat_map(|s| &s.conditions);
            let values: Vec<&String> =
                values.filter(|c| c.key.to_lowercase().ends_with(":sub")).flat_map(|c| &c.values).collect();
            let patterns = values.iter().map(|v| {
                let rest = v.strip_prefix("system:serviceaccount:").unwrap_or("*");
                let (ns, name) = rest.split_once(':').unwrap_or((rest, "*"));
                (ns.to_owned(), name.to_owned())
            });
            // Without a condition on the subject every name will do.
            if values.is_empty() { vec![("*".to_owned(), "*".to_owned())] } else { patterns.collect() }
        }
    };
    for (ns, name) in patterns {
        let filled = |p: &str| p.replace('*', FREE).replace('?', "x");
        let (new_ns, new_name) = (filled(&ns), filled(&name));
        if !is_name(&new_ns) || !is_name(&new_name) {
            continue;
        }
        for audience in &provider.audiences {
            // In namespaces that are there: an account of a new name.
            for place in 0..ctx.namespaces.len() as u32 {
                let existing = ctx.ns_name(place).to_owned();
                let fits = ns.contains(['*', '?']) || ns == existing;
                if !fits || ctx.cluster.find(Kind::ServiceAccount, &existing, &new_name).is_some() {
                    continue;
                }
                let answer = ask(&existing, &new_name, audience);
                if answer.open {
                    let step = step(audience, role.index, provider.index, &answer);
                    tokens.claimed(ctx, (&existing, &new_name), &step);
                }
            }
            // A namespace of a new name.
            if ctx.ns(&new_ns).is_none() {
                let account = if name.contains(['*', '?']) { "default" } else { &name };
                let answer = ask(&new_ns, account, audience);
                if answer.open {
                    let step = step(audience, role.index, provider.index, &answer);
                    tokens.claimed(ctx, (&new_ns, account), &step);
                }
            }
        }
    }
}

/// Pods of an account have the role of its association, or the one behind it; not on Fargate, nor on Windows.
fn pod_identity(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let agents = ctx.cluster.objects.daemon_sets.iter().zip(0u32..);
    let agent = agents.filter(|(d, _)| d.metadata.name == "eks-pod-identity-agent").map(|(_, index)| index).next();
    let agent = agent.map(|index| Obj { kind: Kind::DaemonSet, index });
    let clusters = world.clusters();
    let mut pods: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| !p.finished()) {
        pods.entry((p.metadata.namespace.as_str(), p.account())).or_default().push(i);
    }
    for (index, association) in world.of("EksPodIdentityAssociation") {
        let (ns, account) = (association.text("namespace"), association.text("serviceAccount"));
        // Of another cluster it says nothing about this one.
        let own = clusters.iter().find(|(_, c, _)| c.metadata.name == association.text("clusterName"));
        if own.is_none() && !clusters.is_empty() {
            continue;
        }
        let Some((role, first, o)) = role_of(world, association.text("roleArn")) else { continue };
        let Some((name, trust)) = World::trust(o) else { continue };
        let c = session_tags(association, own.map(|(_, c, _)| c.text("arn")), &world.account);
        let service = Caller::Service(AGENT.to_owned());
        let mut answer = world.trusts(&service, "sts:AssumeRole", first, (name.clone(), &trust), &c);
        // Without session tags the second action is not asked for.
        if !untagged(association) {
            let tag = world.trusts(&service, "sts:TagSession", first, (name, &trust), &c);
            answer.open &= tag.open;
            answer.unknowns.extend(tag.unknowns);
        }
        if !answer.open {
            continue;
        }
        answer.unknowns.extend(own.and_then(|(_, _, u)| u.clone()));
        // A session policy lets less through than the role has.
        if association.spec.get("policy").is_some() {
            answer.unknowns.push(format!("session-policy:{}", association.metadata.name));
        }
        let (technique, to, field) = match association.text("targetRoleArn") {
            "" => ("aws-pod-identity", role, "roleArn"),
            target => {
                let Some((number, more)) = behind(world, association, first, target) else { continue };
                answer.unknowns.extend(more.unknowns);
                answer.statements.extend(more.statements);
                ("aws-pod-identity-target", number, "targetRoleArn")
            }
        };
        let finish = |e: Emit<'static>| {
            let arn = association.text(field).to_owned();
            let e =
                e.because(cloud(index), format!("/spec/{field}"), arn, "the association gives the account this role");
            let e = match agent {
                Some(o) => e.because(o, "/metadata/name", "eks-pod-identity-agent", "the agent runs on the nodes"),
                None => e.unless_known("pod-identity-agent"),
            };
            resting(e, &answer, role)
        };
        for i in pods.get(&(ns, account)).into_iter().flatten() {
            let Some(p) = ctx.cluster.objects.pods.get(*i as usize).filter(|_| !elsewhere(ctx, *i)) else { continue };
            for container in p.running_containers() {
                let e = Emit::new(technique, Fact::CloudPrincipal(to)).from(Fact::Exec(*i, container.ordinal));
                ctx.emit(finish(e));
            }
        }
        if let Some(place) = ctx.ns(ns) {
            let e = Emit::new(technique, Fact::CloudPrincipal(to)).from(Fact::Workload(place)).tier(2);
            ctx.emit(finish(e));
        }
        let here = pods.get(&(ns, account)).into_iter().flatten().filter(|p| !elsewhere(ctx, **p));
        let nodes: BTreeSet<u32> = here.filter_map(|p| ctx.node_of(*p)).collect();
        let arn = own.map_or_else(String::new, |(_, c, _)| c.text("arn").to_owned());
        for n in nodes {
            for (role, e) in by_node(world, n, &arn) {
                let e = e.from(Fact::Node(n));
                let o = Obj { kind: Kind::Node, index: n };
                let e = e.because(o, "/metadata/name", "", "a pod of the account runs on the node");
                ctx.emit(finish(e.to(Fact::CloudPrincipal(to))).because(
                    cloud(role),
                    "/metadata/name",
                    "",
                    "the role of the node",
                ));
            }
        }
    }
}

/// The agent's own call: roles of a node that may ask for the credentials of its pods.
fn by_node(world: &World<'_>, node: u32, cluster: &str) -> Vec<(u32, Emit<'static>)> {
    const ACTION: &str = "eks-auth:AssumeRoleForPodIdentity";
    let roles = world.instances.iter().filter(|i| i.node == node).flat_map(|i| &i.roles);
    let principals = roles.filter_map(|r| world.principals.values().find(|p| p.index == *r));
    let asked = principals.filter_map(|p| {
        let account = principal::account(&p.arn).unwrap_or_default();
        let context = world.context(&p.arn, account);
        let answer = world.may(p, ACTION, (cluster, account), Own::default(), &context);
        let e = Emit::new("aws-node-role-pod-identity", Fact::CloudPrincipal(p.index));
        answer.open.then(|| (p.index, resting(e, &answer, p.index)))
    });
    asked.collect()
}

/// A role by its ARN: number, ARN, object.
fn role_of<'w>(world: &World<'w>, arn: &str) -> Option<(u32, &'w str, &'w CloudObject)> {
    let index = world.principals.get(arn)?.index;
    let o = world.cluster.objects.cloud.get(index as usize).filter(|o| o.kind() == "IamRole")?;
    Some((index, o.text("Arn"), o))
}

fn untagged(association: &CloudObject) -> bool {
    association.spec.get("disableSessionTags") == Some(&serde_json::Value::Bool(true))
}

/// Keys of the request that the agent makes for a pod.
fn session_tags(association: &CloudObject, cluster: Option<&str>, account: &str) -> Context {
    let mut c = Context::new();
    c.set_unknown("*");
    c.set("aws:SourceAccount", [account]);
    if let Some(arn) = cluster.filter(|a| !a.is_empty()) {
        c.set("aws:SourceArn", [arn]);
    }
    let tags = [
        ("aws:RequestTag/kubernetes-namespace", association.text("namespace")),
        ("aws:RequestTag/kubernetes-service-account", association.text("serviceAccount")),
        ("aws:RequestTag/eks-cluster-name", association.text("clusterName")),
    ];
    for (key, value) in tags {
        if untagged(association) {
            c.set_absent(key);
        } else {
            c.set(key, [value]);
        }
    }
    c
}

/// The role behind the first: it trusts the first, with the external id of the association.
fn behind(world: &World<'_>, association: &CloudObject, first: &str, target: &str) -> Option<(u32, Answer)> {
    let p = world.principals.get(first)?;
    let (number, arn, o) = role_of(world, target)?;
    let (name, trust) = World::trust(o)?;
    let account = principal::account(arn).unwrap_or_default();
    let mut context = world.context(&p.arn, account);
    match association.text("externalId") {
        "" => context.set_absent("sts:ExternalId"),
        id => context.set("sts:ExternalId", [id]),
    }
    let answer = world.may(p, "sts:AssumeRole", (arn, account), Own::policy(&name, &trust), &context);
    answer.open.then_some((number, answer))
}

/// Whether a pod is where the agent does not run.
fn elsewhere(ctx: &Ctx<'_>, pod: u32) -> bool {
    let node = ctx.node_of(pod).and_then(|n| ctx.cluster.objects.nodes.get(n as usize));
    node.is_some_and(|n| {
        let label = |k: &str, v: &str| n.metadata.labels.get(k).is_some_and(|x| x == v);
        label("eks.amazonaws.com/compute-type", "fargate")
            || label("kubernetes.io/os", "windows")
            || n.spec.provider_id.contains("fargate")
    })
}
