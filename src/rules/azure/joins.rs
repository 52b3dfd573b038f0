//! From accounts of the cluster to identities that trust its issuer, and from nodes to the identities of their machines.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::World;
use crate::iam::pattern::matches_action;
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};
use crate::netpol::network::Network;
use crate::rules::ctx::{Ctx, Emit, cloud};
use crate::rules::fact::Fact;
use crate::rules::federation::{Tokens, Way};
use crate::rules::metadata::{self, Answers, METADATA};

/// Emits both.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>, network: &Network<'_>) {
    federated(ctx, world);
    machines(ctx, world, network);
}

/// Number of a cluster's object, the field of its issuer, the issuer, and what leaves open whether it is this one's.
type Issuer = (u32, &'static str, String, Vec<String>);

/// Issuers of the clusters that this one may be, with the field that says so and what leaves it open; nothing where no
/// cluster is described. A cluster of AWS may be trusted as well.
fn issuers(world: &World<'_>) -> Option<Vec<Issuer>> {
    let mut out: Vec<Issuer> = Vec::new();
    for (i, c, unknown) in world.clusters() {
        out.push((i, "/spec/issuer", c.text("issuer").to_owned(), unknown.into_iter().collect()));
    }
    let eks: Vec<(u32, &CloudObject)> = world.of("EksCluster").collect();
    for (i, c) in &eks {
        let issuer = c.spec.pointer("/identity/oidc/issuer").and_then(Value::as_str).unwrap_or_default();
        let several = (eks.len() > 1).then(|| format!("eks-cluster:{}", c.metadata.name));
        out.push((*i, "/spec/identity/oidc/issuer", issuer.to_owned(), several.into_iter().collect()));
    }
    // Where the nodes are of none of them, any other issuer may be the cluster's own.
    let known = world.clusters().iter().any(|(_, _, unknown)| unknown.is_none()) || !eks.is_empty();
    known.then_some(out)
}

/// Subjects that a credential takes.
enum Subjects {
    One(String, String),
    /// By a pattern over the subject.
    Like(String),
    /// By an expression that is not read here.
    Unread,
}

/// The account that a subject names; nothing for one that is no account.
fn account_of(subject: &str) -> Option<Subjects> {
    let (ns, name) = subject.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    Some(Subjects::One(ns.to_owned(), name.to_owned()))
}

/// What a credential asks of the subject: `claims['sub'] matches '…'` and `eq` are read ("Flexible federated identity
/// credentials").
fn subjects(c: &Value) -> Option<Subjects> {
    let Some(expression) = c.get("claimsMatchingExpression").filter(|e| !e.is_null()) else {
        return account_of(c.get("subject").and_then(Value::as_str)?);
    };
    let text = expression.as_str().or_else(|| expression.get("value")?.as_str()).unwrap_or_default().trim();
    let rest = text.strip_prefix("claims['sub']").map(str::trim_start);
    let quoted = |rest: &str| {
        let inner = rest.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        (!inner.contains('\'')).then(|| inner.to_owned())
    };
    match rest.and_then(|r| r.split_once(' ')) {
        Some(("eq", r)) => match quoted(r) {
            Some(s) => account_of(&s),
            None => Some(Subjects::Unread),
        },
        Some(("matches", r)) => Some(quoted(r).map_or(Subjects::Unread, Subjects::Like)),
        _ => Some(Subjects::Unread),
    }
}

/// Identities that trust tokens of accounts.
fn federated(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let issuers = issuers(world);
    let tokens = Tokens::new(ctx);
    let accounts: Vec<(String, String)> = ctx
        .cluster
        .objects
        .service_accounts
        .iter()
        .map(|a| (a.metadata.namespace.clone(), a.metadata.name.clone()))
        .collect();
    for (holder, o) in world.of("AzureIdentity").chain(world.of("AzureApplication")) {
        let Some(to) = principal(world, holder, o) else { continue };
        for (n, c) in o.list("federatedCredentials").iter().enumerate() {
            let text = |f: &str| c.get(f).and_then(Value::as_str).unwrap_or_default();
            // Issuers are compared letter by letter.
            let issuer = text("issuer");
            // Without a described cluster each issuer may be its own.
            let (cluster, mut unknowns) = match &issuers {
                None if world.on_azure() => (None, vec!["unread:az-aks-show".to_owned()]),
                None => (None, vec![format!("token-issuer:{issuer}")]),
                Some(all) => match all.iter().find(|(_, _, i, _)| !i.is_empty() && i == issuer) {
                    Some((index, field, _, unknowns)) => (Some((*index, *field)), unknowns.clone()),
                    None => continue,
                },
            };
            let Some(subjects) = subjects(c) else { continue };
            let name = text("name").to_owned();
            if !matches!(subjects, Subjects::One(..)) {
                unknowns.push(format!("claims-matching:{name}"));
            }
            let audiences = c.get("audiences").and_then(Value::as_array).into_iter().flatten();
            for audience in audiences.filter_map(Value::as_str) {
                let step = |way: Way| {
                    let why = match way {
                        Way::Held => "the credential takes tokens of the account",
                        Way::Chosen => "the credential takes any token of the account for this audience",
                        Way::Claimed => "the credential takes an account that nobody has yet",
                    };
                    let at = format!("/spec/federatedCredentials/{n}");
                    let pointer = match c.get("claimsMatchingExpression") {
                        Some(_) => format!("{at}/claimsMatchingExpression"),
                        None => format!("{at}/subject"),
                    };
                    let value = if c.get("claimsMatchingExpression").is_some_and(Value::is_object) {
                        ""
                    } else {
                        text("subject")
                    };
                    let e = Emit::new("azure-workload-identity", Fact::CloudPrincipal(to));
                    let e = e.because(cloud(holder), pointer, value.to_owned(), why);
                    let e = e.because(
                        cloud(holder),
                        format!("{at}/issuer"),
                        text("issuer").to_owned(),
                        "it trusts the issuer",
                    );
                    let e = match cluster {
                        Some((i, field)) => e.because(cloud(i), field, "", "the cluster has this issuer"),
                        None => e,
                    };
                    e.unless_all_known(&unknowns)
                };
                match &subjects {
                    Subjects::One(ns, account) => {
                        if ctx.cluster.find(Kind::ServiceAccount, ns, account).is_some() {
                            tokens.account(ctx, (ns, account), audience, &step);
                        }
                        tokens.claimed(ctx, (ns, account), &step);
                    }
                    Subjects::Like(pattern) => {
                        let fits =
                            |ns: &str, n: &str| matches_action(pattern, &format!("system:serviceaccount:{ns}:{n}"));
                        let all = accounts.iter().filter(|(ns, n)| fits(ns, n));
                        let all: Vec<(&str, &str)> = all.map(|(ns, n)| (ns.as_str(), n.as_str())).collect();
                        tokens.accounts(ctx, &all, audience, &step);
                        let free = pattern.replace('*', "kpath-claimed-name").replace('?', "x");
                        if let Some(Subjects::One(ns, account)) = account_of(&free) {
                            tokens.claimed(ctx, (&ns, &account), &step);
                        }
                    }
                    // By an expression that is not read any account may be meant.
                    Subjects::Unread => {
                        let all: Vec<(&str, &str)> = accounts.iter().map(|(ns, n)| (ns.as_str(), n.as_str())).collect();
                        tokens.accounts(ctx, &all, audience, &step);
                    }
                }
            }
        }
    }
}

/// The principal of an identity, or of an application: its service principal.
fn principal(world: &World<'_>, index: u32, o: &CloudObject) -> Option<u32> {
    if o.kind() == "AzureIdentity" {
        return Some(index);
    }
    let own = |(_, s): &(u32, &CloudObject)| {
        let app = s.text("appId");
        !app.is_empty() && (app == o.metadata.name)
    };
    world.of("AzureServicePrincipal").find(own).map(|(i, _)| i)
}

/// Machines by the id of a node: `azure:///subscriptions/…/virtualMachineScaleSets/NAME/virtualMachines/0`.
pub fn machine<'c>(world: &World<'c>, provider_id: &str) -> Option<(u32, &'c CloudObject)> {
    let id = provider_id.strip_prefix("azure://")?;
    let lower = id.to_lowercase();
    match lower.find("/virtualmachines/").filter(|_| lower.contains("/virtualmachinescalesets/")) {
        Some(end) => {
            let set = id.get(..end)?;
            // An answer about its identity alone does not say the id.
            let named = || {
                let last = set.rsplit('/').next()?;
                world
                    .of("AzureScaleSet")
                    .find(|(_, o)| o.text("id").is_empty() && o.metadata.name.eq_ignore_ascii_case(last))
            };
            world.by_id("AzureScaleSet", set).or_else(named)
        }
        None => world.by_id("AzureVirtualMachine", id),
    }
}

/// Numbers of the identities that a machine has.
fn identities(world: &World<'_>, o: &CloudObject) -> Vec<u32> {
    let text = |p: &str| o.spec.pointer(p).and_then(Value::as_str).unwrap_or_default();
    let own = world.principal(text("/identity/principalId"));
    let ids = o.spec.pointer("/identity/userAssigned").and_then(Value::as_array).into_iter().flatten();
    let assigned = ids.filter_map(Value::as_str).filter_map(|id| world.by_id("AzureIdentity", id)).map(|(i, _)| i);
    own.into_iter().chain(assigned).collect()
}

/// From nodes, and pods that get through to their metadata service, to the identities of the machine.
fn machines(ctx: &mut Ctx<'_>, world: &World<'_>, network: &Network<'_>) {
    let interceptor = intercepting(ctx);
    let mut way = metadata::Way::new(network, METADATA);
    let nodes: Vec<(u32, String)> =
        ctx.cluster.objects.nodes.iter().zip(0u32..).map(|(n, i)| (i, n.spec.provider_id.clone())).collect();
    for (n, id) in nodes.into_iter().filter(|(_, id)| id.starts_with("azure://")) {
        let node = Obj { kind: Kind::Node, index: n };
        let described = world.cluster_of(&id);
        let blocked = described.is_some_and(|(_, c)| c.text("podLinkLocalAccess").eq_ignore_ascii_case("None"));
        let intercepted = interceptor.on(n);
        // Without an answer about the machine, the cluster names the identity of its kubelets.
        let kubelet = || {
            let (i, c) = described?;
            let resource = c.spec.pointer("/kubeletIdentity/resourceId")?.as_str()?;
            Some(((i, c), "/spec/kubeletIdentity/resourceId", vec![world.by_id("AzureIdentity", resource)?.0]))
        };
        let found = machine(world, &id).map(|(i, o)| ((i, o), "/spec/identity", identities(world, o))).or_else(kubelet);
        if let Some(((object, _), pointer, all)) = found {
            for to in all {
                for (technique, from) in
                    [("node-to-imds", Fact::Node(n)), ("azure-imds-kubelet-identity", Fact::Imds(n))]
                {
                    let e = Emit::new(technique, Fact::CloudPrincipal(to)).from(from);
                    let e = e.because(node, "/spec/providerID", id.clone(), "the node is a machine of Azure");
                    let value = match pointer {
                        "/spec/identity" => String::new(),
                        _ => world.cluster.objects.cloud.get(to as usize).map_or("", |o| o.text("id")).to_owned(),
                    };
                    // Ids differ in case between answers.
                    let value =
                        if pointer == "/spec/identity" { value } else { same_case(world, object, pointer, value) };
                    ctx.emit(e.because(cloud(object), pointer, value, "the machine has this identity"));
                }
            }
        }
        for p in ctx.pods_of_node.get(n as usize).cloned().unwrap_or_default() {
            let Some(pod) = ctx.cluster.objects.pods.get(p as usize) else { continue };
            let host = pod.spec.host_network;
            let bound = pod.metadata.labels.contains_key("aadpodidbinding");
            if !host && (blocked || (intercepted && !bound && !interceptor.exceptions)) {
                continue;
            }
            let unknown = (!host && intercepted).then(|| match bound {
                true => "pod-identity-intercepts".to_owned(),
                false => "pod-identity-exempts".to_owned(),
            });
            let answers = Answers {
                because: (node, "/spec/providerID".to_owned(), id.clone()),
                why: "machines of Azure answer every pod unless the cluster blocks it",
                unknown,
            };
            let judged = way.judge(p);
            metadata::emit(ctx, p, &judged, &|| Emit::new("net-pod-to-imds", Fact::Imds(n)), &answers);
        }
    }
}

/// The value as the cited object spells it.
fn same_case(world: &World<'_>, object: u32, pointer: &str, value: String) -> String {
    let inner = pointer.strip_prefix("/spec").unwrap_or(pointer);
    let said =
        world.cluster.objects.cloud.get(object as usize).and_then(|o| o.spec.pointer(inner)).and_then(Value::as_str);
    said.filter(|s| s.eq_ignore_ascii_case(&value)).map_or(value, str::to_owned)
}

/// Pods of AAD Pod Identity, which answer in the place of the metadata service (archived in 2023).
struct Interceptor {
    nodes: BTreeSet<u32>,
    /// Whether some pods may be left out, by objects that are not read.
    exceptions: bool,
}

impl Interceptor {
    fn on(&self, node: u32) -> bool {
        self.nodes.contains(&node)
    }
}

/// Nodes on which it runs.
fn intercepting(ctx: &Ctx<'_>) -> Interceptor {
    let is = |m: &crate::model::meta::Meta| {
        let label = |k: &str| m.labels.get(k).is_some_and(|v| v == "nmi");
        label("component") || label("app.kubernetes.io/component")
    };
    let pods = ctx.cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| !p.finished() && is(&p.metadata));
    let exceptions = "azurepodidentityexceptions.aadpodidentity.k8s.io";
    Interceptor {
        nodes: pods.filter_map(|(_, i)| ctx.node_of(i)).collect(),
        exceptions: ctx.cluster.objects.resource_definitions.iter().any(|c| c.metadata.name == exceptions),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn expressions_over_the_subject_are_read_and_no_others() {
        let of = |expression: &str| match subjects(&json!({"claimsMatchingExpression": {"value": expression}})) {
            Some(Subjects::One(ns, n)) => format!("{ns}/{n}"),
            Some(Subjects::Like(p)) => p,
            Some(Subjects::Unread) => "unread".into(),
            None => "none".into(),
        };
        assert_eq!(of("claims['sub'] eq 'system:serviceaccount:prod:app'"), "prod/app");
        assert_eq!(of("claims['sub'] matches 'system:serviceaccount:prod:*'"), "system:serviceaccount:prod:*");
        assert_eq!(of("claims['sub'] eq 'repo:x'"), "none");
        for other in ["claims['sub'] matches 'a' and claims['x'] eq 'b'", "claims['x'] eq 'y'", ""] {
            assert_eq!(of(other), "unread", "{other}");
        }
    }
}
