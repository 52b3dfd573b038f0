//! From service accounts to roles: IAM roles for service accounts, and EKS Pod Identity.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Answer, World, last};
use super::{cloud, resting};
use crate::authz::rbac::GrantId;
use crate::iam::{Caller, Context, Document, principal};
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::{EVERYWHERE, Fact, Right, Subject};
use crate::rules::rows::{self, Names, need};

/// The service of Pod Identity.
const AGENT: &str = "pods.eks.amazonaws.com";

/// Emits both ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    irsa(ctx, world);
    pod_identity(ctx, world);
}

/// The provider of the cluster's tokens: its key (issuer without scheme) and the audiences that it takes.
fn provider(world: &World<'_>) -> Option<(u32, String, String, Vec<String>)> {
    let issuer = world.eks().and_then(|(_, c)| c.spec.pointer("/identity/oidc/issuer")?.as_str().map(str::to_owned));
    let issuer = issuer.map(|i| i.trim_start_matches("https://").to_owned());
    let mut all = world.of("OpenIDConnectProvider").filter(|(_, o)| !o.text("Arn").is_empty());
    let found = match &issuer {
        Some(key) => all.find(|(_, o)| o.metadata.name == *key),
        None => {
            let first = all.next();
            all.next().is_none().then_some(first).flatten()
        }
    };
    let (index, o) = found?;
    let audiences = o.list("ClientIDList").iter().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    Some((index, o.metadata.name.clone(), o.text("Arn").to_owned(), audiences))
}

/// A role that trusts tokens of the cluster.
struct Trusting<'w> {
    index: u32,
    arn: &'w str,
    name: String,
    document: Document,
}

fn irsa(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let Some((provider, key, arn, audiences)) = provider(world) else { return };
    let web = Caller::Federated(arn.clone());
    let trusting: Vec<Trusting<'_>> = world
        .of("IamRole")
        .filter_map(|(index, o)| {
            let (name, document) = World::trust(o)?;
            let about = document.statements.iter().any(|s| web.means(s.principals.as_ref()) != principal::Means::Not);
            about.then(|| Trusting { index, arn: o.text("Arn"), name, document })
        })
        .collect();
    let accounts: Vec<(String, String)> = ctx
        .cluster
        .objects
        .service_accounts
        .iter()
        .map(|a| (a.metadata.namespace.clone(), a.metadata.name.clone()))
        .collect();
    let minters = minters(ctx);
    for role in &trusting {
        let ask = |ns: &str, name: &str, audience: &str| {
            let c = claims(&key, ns, name, audience);
            world.trusts(&web, "sts:AssumeRoleWithWebIdentity", role.arn, (role.name.clone(), &role.document), &c)
        };
        let literal = literal_subjects(&role.document, &web);
        let asked: Vec<&(String, String)> = match &literal {
            // Only those that the policy names.
            Some(list) => accounts.iter().filter(|a| list.contains(a)).collect(),
            None => accounts.iter().collect(),
        };
        for (ns, name) in asked {
            for audience in &audiences {
                let answer = ask(ns, name, audience);
                if answer.open {
                    from_account(ctx, (ns, name), audience, role.index, provider, &answer, &minters);
                }
            }
        }
        claimable(ctx, role, provider, &audiences, &ask);
    }
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
            .filter(|c| c.key.to_lowercase().ends_with(":sub") && c.is_positive())
            .flat_map(|c| &c.values)
            .collect();
        if subjects.is_empty() {
            return None;
        }
        for v in subjects {
            let (ns, name) = v.strip_prefix("system:serviceaccount:")?.split_once(':')?;
            if v.contains(['*', '?', '$']) {
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

/// Who may ask for tokens of accounts: binding, scope, names, and the rule.
struct Minter {
    grant: u32,
    scope: u32,
    names: Names,
    role: Obj,
    pointer: String,
    value: String,
}

fn minters(ctx: &Ctx<'_>) -> Vec<Minter> {
    let wanted = need(&["create"], "", "serviceaccounts", "token");
    let mut out = Vec::new();
    for i in 0..ctx.authz.grants().len() as u32 {
        let Some(g) = ctx.authz.grant(GrantId(i)).copied() else { continue };
        let Some((role, r)) = g.role else { continue };
        let scope = if g.namespace().is_empty() { EVERYWHERE } else { ctx.ns(g.namespace()).unwrap_or(EVERYWHERE) };
        for (j, rule) in r.rules.iter().enumerate() {
            if let Some((verb, names)) = wanted.held_by(rule) {
                let value = format!("{verb} {} ({})", wanted.label(), rows::describe(rule));
                out.push(Minter { grant: i, scope, names, role, pointer: format!("/rules/{j}"), value });
            }
        }
    }
    out
}

/// From one account to a role that trusts it: by a token that a pod has, or by any way to a token of a chosen audience.
fn from_account(
    ctx: &mut Ctx<'_>,
    (ns, name): (&str, &str),
    audience: &str,
    role: u32,
    provider: u32,
    answer: &Answer,
    minters: &[Minter],
) {
    let to = Fact::CloudPrincipal(role);
    let finish = |e: Emit<'static>| {
        let e =
            e.because(cloud(provider), "/spec/ClientIDList", audience.to_owned(), "the provider takes this audience");
        resting(e, answer, role)
    };
    let subject = ctx.subject(Subject::ServiceAccount(ns.to_owned(), name.to_owned()));
    let number = ctx.audiences.id(&audience.to_owned());
    let token = Fact::Token(subject, number);
    if ctx.facts.find(&token).is_some() {
        ctx.emit(finish(Emit::new("aws-irsa", to).from(token).tier(1)));
    }
    let Some(place) = ctx.ns(ns) else { return };
    let account = ctx.cluster.find(Kind::ServiceAccount, ns, name);
    let o = account.map(|index| Obj { kind: Kind::ServiceAccount, index });
    for m in minters.iter().filter(|m| m.scope == EVERYWHERE || m.scope == place) {
        let named = match &m.names {
            Names::All => true,
            Names::Some(list) => list.iter().any(|n| n == name),
        };
        if named {
            let e = Emit::new("aws-irsa-token-choice", to).from(Fact::Grant(m.grant)).tier(1);
            let e = e.because(m.role, m.pointer.clone(), m.value.clone(), "a token of any audience can be asked for");
            ctx.emit(finish(e));
        }
    }
    // A pod of the attacker's own projects a token of any audience.
    if let Some(o) = o {
        let e = Emit::new("aws-irsa-token-choice", to).from(Fact::Workload(place)).tier(2);
        ctx.emit(finish(e.because(
            o,
            "/metadata/name",
            format!("{ns}/{name}"),
            "a pod may project a token of the account",
        )));
    }
}

/// Names that a pattern admits and nobody has yet: who creates them has the role.
fn claimable(
    ctx: &mut Ctx<'_>,
    role: &Trusting<'_>,
    provider: u32,
    audiences: &[String],
    ask: &dyn Fn(&str, &str, &str) -> Answer,
) {
    const FREE: &str = "kpath-claimed-name";
    let patterns: Vec<(String, String)> = role
        .document
        .statements
        .iter()
        .flat_map(|s| &s.conditions)
        .filter(|c| c.key.to_lowercase().ends_with(":sub"))
        .flat_map(|c| &c.values)
        .filter_map(|v| {
            let rest = v.strip_prefix("system:serviceaccount:").unwrap_or(v);
            let (ns, name) = rest.split_once(':').unwrap_or((rest, "*"));
            Some((ns.to_owned(), name.to_owned())).filter(|_| rest.contains(['*', '?']))
        })
        .collect();
    // Without a condition on the subject every name will do.
    let any =
        !role.document.statements.iter().flat_map(|s| &s.conditions).any(|c| c.key.to_lowercase().ends_with(":sub"));
    let patterns = if any { vec![("*".to_owned(), "*".to_owned())] } else { patterns };
    for (ns, name) in patterns {
        let filled = |p: &str| p.replace('*', FREE).replace('?', "x");
        let (new_ns, new_name) = (filled(&ns), filled(&name));
        for audience in audiences {
            let finish = |e: Emit<'static>, answer: &Answer| {
                let e = e.because(
                    cloud(provider),
                    "/spec/ClientIDList",
                    audience.clone(),
                    "the provider takes this audience",
                );
                resting(e, answer, role.index)
            };
            // In namespaces that are there: an account of a new name.
            for place in 0..ctx.namespaces.len() as u32 {
                let existing = ctx.ns_name(place).to_owned();
                if ctx.cluster.find(Kind::ServiceAccount, &existing, &new_name).is_some() {
                    continue;
                }
                let answer = ask(&existing, &new_name, audience);
                if answer.open {
                    let e = Emit::new("aws-irsa-claimable", Fact::CloudPrincipal(role.index)).tier(3);
                    let e = e.from(Fact::Right(Right::CreateAccounts, place)).from(Fact::Workload(place));
                    ctx.emit(finish(e, &answer));
                }
            }
            // A namespace of a new name, with whatever is in it.
            if ctx.ns(&new_ns).is_none() {
                let answer = ask(&new_ns, if name.contains(['*', '?']) { "default" } else { &name }, audience);
                if answer.open {
                    let e = Emit::new("aws-irsa-claimable", Fact::CloudPrincipal(role.index)).tier(3);
                    let e = e.from(Fact::Right(Right::CreateNamespaces, EVERYWHERE)).from(Fact::AllWorkloads);
                    ctx.emit(finish(e, &answer));
                }
            }
        }
    }
}

fn pod_identity(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let agent =
        ctx.cluster.objects.daemon_sets.iter().zip(0u32..).find(|(d, _)| d.metadata.name == "eks-pod-identity-agent");
    let agent = agent.map(|(_, index)| Obj { kind: Kind::DaemonSet, index });
    let mut by_account: BTreeMap<(&str, &str), Vec<(u32, &CloudObject)>> = BTreeMap::new();
    for (index, a) in world.of("EksPodIdentityAssociation") {
        by_account.entry((a.text("namespace"), a.text("serviceAccount"))).or_default().push((index, a));
    }
    for ((ns, account), all) in by_account {
        for (index, association) in all {
            let Some((role, o)) = world.find("IamRole", last(association.text("roleArn"))) else { continue };
            let Some((name, trust)) = World::trust(o).filter(|_| o.text("Arn") == association.text("roleArn")) else {
                continue;
            };
            let mut c = Context::new();
            c.set_unknown("*");
            c.set("aws:RequestTag/kubernetes-namespace", [ns]);
            c.set("aws:RequestTag/kubernetes-service-account", [account]);
            let agent_service = Caller::Service(AGENT.to_owned());
            let assume = world.trusts(&agent_service, "sts:AssumeRole", o.text("Arn"), (name.clone(), &trust), &c);
            if !assume.open {
                continue;
            }
            // Without session tags the second action is not asked for.
            let untagged = association.spec.get("disableSessionTags") == Some(&serde_json::Value::Bool(true));
            let tag = world.trusts(&agent_service, "sts:TagSession", o.text("Arn"), (name, &trust), &c);
            if !untagged && !tag.open {
                continue;
            }
            let pods = ctx.cluster.objects.pods.iter().zip(0u32..);
            let pods = pods.filter(|(p, _)| p.metadata.namespace == ns && p.account() == account && !p.finished());
            for (p, i) in pods {
                for container in p.running_containers() {
                    let e = Emit::new("aws-pod-identity", Fact::CloudPrincipal(role))
                        .from(Fact::Exec(i, container.ordinal));
                    let e = e.because(
                        cloud(index),
                        "/spec/roleArn",
                        association.text("roleArn").to_owned(),
                        "the association gives the account this role",
                    );
                    let e = match agent {
                        Some(o) => {
                            e.because(o, "/metadata/name", "eks-pod-identity-agent", "the agent runs on the nodes")
                        }
                        None => e.unless_known("pod-identity-agent"),
                    };
                    ctx.emit(resting(e, &assume, role));
                }
            }
        }
    }
}
