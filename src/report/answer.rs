//! Answers: yes with a proof, no with what was reached and what is missing, unknown with the datum that is missing.

use std::collections::BTreeSet;

use serde::Serialize;

use super::name;
use super::step::{self, Step};
use crate::graph::FactId;
use crate::model::cloud::Provider;
use crate::model::{Cluster, Effect, Kind};
use crate::netpol::network::CNI_ENFORCES;
use crate::query::presets::Only;
use crate::query::selector::Selection;
use crate::rules::Attack;
use crate::rules::container::IMAGES_RUN_AS_ROOT;
use crate::rules::entry::EXPOSED;
use crate::rules::fact::Fact;
use crate::rules::technique::{SCOPE, technique};
use crate::search::closure::closure;
use crate::search::lanes::LANES;
use crate::search::pivot::Pivot;
use crate::search::proof::{Prover, Ranking};
use crate::search::{Lane, Settings};

/// Yes, no, or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Proven.
    Yes,
    /// Proven not to follow.
    No,
    /// Depends on data that is missing.
    Unknown,
}

impl Verdict {
    /// `yes`, `no` or `unknown`.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Yes => "yes",
            Verdict::No => "no",
            Verdict::Unknown => "unknown",
        }
    }
}

/// Threat model and settled unknowns of a question, by name.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Assumptions that are on.
    pub assumptions: BTreeSet<String>,
    /// `ID=yes|no`, globs allowed.
    pub given: Vec<(String, bool)>,
    /// Rank by hops alone.
    pub shortest: bool,
}

impl Question {
    /// The default threat model.
    pub fn new() -> Self {
        Question {
            assumptions: [EXPOSED, IMAGES_RUN_AS_ROOT].into_iter().map(str::to_owned).collect(),
            ..Question::default()
        }
    }

    /// Settings for a graph.
    pub fn settings(&self, attack: &Attack) -> Settings {
        let mut s = Settings::default();
        for (i, a) in attack.graph.assumptions.values().enumerate() {
            if self.assumptions.contains(a) {
                s.assumptions.push(i as u32);
            }
        }
        for (i, u) in attack.graph.unknowns.values().enumerate() {
            // With the assumption on, its unknown twin needs no mention.
            let settled = u.starts_with("image-runs-as-root:") && self.assumptions.contains(IMAGES_RUN_AS_ROOT);
            // An instance needs its unknowns to be true; of what confines it needs the opposite.
            let given = self.given_of(u).map(|v| v != (u.starts_with("lsm-confines:") || u == CNI_ENFORCES));
            match given {
                Some(true) => s.given_yes.push(i as u32),
                Some(false) => s.given_no.push(i as u32),
                None if settled => s.given_no.push(i as u32),
                None => {}
            }
        }
        s
    }

    /// How the user settled an unknown; the last match counts.
    pub fn given_of(&self, id: &str) -> Option<bool> {
        self.given.iter().rev().find(|(g, _)| crate::query::selector::glob(g, id)).map(|(_, v)| *v)
    }

    fn ranking(&self) -> Ranking {
        if self.shortest { Ranking::Hops } else { Ranking::Cost }
    }
}

/// A datum that is missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Missing {
    /// Stable id.
    pub id: String,
    /// What it means.
    pub text: String,
    /// How to settle it.
    pub settle: String,
}

/// A technique that lacks exactly one premise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Near {
    /// Technique id.
    pub technique: String,
    /// What it would give.
    pub would: String,
    /// The premise that is missing.
    pub missing: String,
}

/// An answer.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Verdict.
    pub answer: Verdict,
    /// The pair that was proven, as selectors.
    pub from: String,
    /// Target of the proof.
    pub to: String,
    /// Proofs, best first; empty for a no.
    pub proofs: Vec<Vec<Step>>,
    /// What makes it unknown.
    pub unknown_because: Vec<Missing>,
    /// Facts reached, for a no.
    pub reached: Vec<String>,
    /// Techniques that lack one premise, for a no.
    pub nearest: Vec<Near>,
    /// Whether the one pod that was asked about may connect to the other: control is more than that.
    pub connects: Option<super::net::Reach>,
    /// The start of the proof, by number.
    #[serde(skip)]
    pub source: Option<FactId>,
}

/// Facts that a start gives: a pod stands for its running containers, an identity holds its credential and reaches the API.
pub fn starts(attack: &Attack, cluster: &Cluster, fact: FactId) -> Vec<FactId> {
    let mut out = vec![fact];
    match attack.fact(fact) {
        Some(Fact::Pod(p)) => {
            out.clear();
            if let Some(pod) = cluster.objects.pods.get(p as usize) {
                out.extend(pod.running_containers().filter_map(|c| attack.id(Fact::Exec(p, c.ordinal))));
            }
        }
        Some(Fact::Identity(_) | Fact::CloudPrincipal(_)) => out.extend(attack.id(Fact::ApiReach)),
        _ => {}
    }
    out
}

/// The facts that reach a target: a pod is reached by running code in it.
pub fn targets(attack: &Attack, cluster: &Cluster, to: &Selection) -> Selection {
    let mut out = to.clone();
    for f in &to.facts {
        if let Some(Fact::Pod(p)) = attack.fact(*f)
            && let Some(pod) = cluster.objects.pods.get(p as usize)
        {
            out.facts.extend(pod.running_containers().filter_map(|c| attack.id(Fact::Exec(p, c.ordinal))));
        }
    }
    out
}

/// Answers whether any member of `from` reaches any member of `to`.
pub fn ask(
    attack: &Attack,
    cluster: &Cluster,
    question: &Question,
    from: &Selection,
    to: &Selection,
    paths: usize,
) -> Answer {
    let settings = question.settings(attack);
    let to = &targets(attack, cluster, to);
    let is_target = |f: FactId| to.facts.contains(&f);
    let mut unknown: Option<(FactId, Vec<bool>)> = None;
    for lane in [Lane::Must, Lane::May] {
        let mask = settings.mask(&attack.graph, lane);
        let Some(source) = first_hit(attack, cluster, &mask, from, to) else { continue };
        if lane == Lane::May {
            unknown = Some((source, mask));
            break;
        }
        let starts = starts(attack, cluster, source);
        return proven(attack, cluster, question, &settings, Verdict::Yes, source, &starts, &mask, &is_target, paths);
    }
    if let Some((source, mask)) = unknown {
        let starts = starts(attack, cluster, source);
        return proven(
            attack,
            cluster,
            question,
            &settings,
            Verdict::Unknown,
            source,
            &starts,
            &mask,
            &is_target,
            paths,
        );
    }
    let unread = unread(cluster, question, from, to);
    let (reached, nearest) = explain_no(attack, cluster, &settings, from, to);
    Answer {
        answer: if unread.is_empty() { Verdict::No } else { Verdict::Unknown },
        from: String::new(),
        to: String::new(),
        proofs: Vec::new(),
        unknown_because: unread,
        reached,
        nearest,
        connects: None,
        source: None,
    }
}

/// Sources whose reach is drawn; a picture has no room for more.
const DRAWN: usize = 40;

/// Steps to everything that the sources reach, each source alone, facts that a reader sees only: what a *no* has to show.
pub fn reached(attack: &Attack, cluster: &Cluster, question: &Question, from: &Selection) -> Vec<Vec<Step>> {
    let settings = question.settings(attack);
    let mask = settings.mask(&attack.graph, Lane::May);
    let mut prover = Prover::new(&attack.graph, &settings, question.ranking());
    let mut out = Vec::new();
    for source in from.facts.iter().take(DRAWN) {
        let all = starts(attack, cluster, *source);
        let known = closure(&attack.graph, &mask, &all);
        let mut group = vec![usize::MAX; attack.graph.facts];
        let mut count = 0;
        for (slot, (i, _)) in group.iter_mut().zip(known.iter().enumerate()).filter(|(_, (_, known))| **known) {
            let id = FactId(i as u32);
            if attack.fact(id).is_some_and(|f| !f.internal()) && !all.contains(&id) && id != *source {
                *slot = count;
                count += 1;
            }
        }
        let of = |f: FactId| group.get(f.0 as usize).copied().filter(|g| *g != usize::MAX);
        let proofs = prover.prove_each(&mask, &all, count, &of);
        out.extend(proofs.iter().flatten().map(|p| step::steps(attack, cluster, &settings, p)));
    }
    out
}

/// The first source, in number order, that reaches any target. A start that is the target itself is reached at once.
fn first_hit(attack: &Attack, cluster: &Cluster, mask: &[bool], from: &Selection, to: &Selection) -> Option<FactId> {
    let sources: Vec<FactId> = from.facts.iter().copied().collect();
    if let [one] = sources.as_slice() {
        let known = closure(&attack.graph, mask, &starts(attack, cluster, *one));
        let hit = to.facts.contains(one) || to.facts.iter().any(|t| known.get(t.0 as usize).copied().unwrap_or(false));
        return hit.then_some(*one);
    }
    let pivot = Pivot::new(&attack.graph, mask, attack.id(Fact::ApiReach));
    for chunk in sources.chunks(LANES) {
        let lanes = pivot.close(&chunk.iter().map(|s| starts(attack, cluster, *s)).collect::<Vec<_>>());
        let reached = to.facts.iter().filter_map(|t| lanes.lanes_of(*t).min()).min();
        let trivial = chunk.iter().position(|s| to.facts.contains(s));
        if let Some(lane) = reached.into_iter().chain(trivial).min() {
            return chunk.get(lane).copied();
        }
    }
    None
}

/// Calls about an account without which a path through it may be missed: beginnings of their names.
const LEADING: [&str; 22] = [
    "iam-get-account-authorization-details",
    "iam-list-roles",
    "iam-list-open-id-connect-providers",
    "eks-list-clusters",
    "eks-describe-cluster",
    "eks-list-access-entries",
    "eks-list-pod-identity-associations",
    "eks-describe-pod-identity-association",
    "ec2-describe-instances",
    "gcloud-container-clusters",
    "gcloud-projects-get",
    "gcloud-organizations-get",
    "gcloud-resource-manager-folders-get",
    "gcloud-iam-service-accounts",
    "gcloud-compute-instances",
    "gcloud-projects-describe",
    "gcloud-identity-groups",
    "az-aks-show",
    "az-role-assignment-list",
    "az-identity",
    "az-vmss-list",
    "az-ad",
];

/// Kinds, objects and answers that were not read and could add a path.
pub fn unread(cluster: &Cluster, question: &Question, from: &Selection, to: &Selection) -> Vec<Missing> {
    let mut kinds: BTreeSet<Kind> = cluster.unread_adding().into_iter().filter(|k| !k.info().optional).collect();
    kinds.extend(from.unread.iter().chain(&to.unread).copied().filter(|k| !cluster.was_read(*k)));
    let mut out: BTreeSet<Missing> = kinds.into_iter().map(|k| missing(&format!("unread:{}", k.info().kind))).collect();
    let adds = |id: &str| {
        let kind = id.strip_prefix("skipped:").and_then(|k| Kind::ALL.iter().find(|x| x.info().kind == k));
        let call = id.strip_prefix("unread:").is_some_and(|c| LEADING.iter().any(|l| c.starts_with(l)));
        kind.is_some_and(|k| k.info().effect == Effect::Adds) || id.starts_with("unread-file:") || call
    };
    for g in cluster.gaps.iter().filter(|g| adds(&g.id)) {
        out.insert(match g.id.starts_with("unread:") {
            true => Missing { text: g.reason.clone(), ..missing(&g.id) },
            false => Missing {
                id: g.id.clone(),
                text: format!("{} {} was skipped: {}", g.file, g.object, g.reason),
                settle: "repair the object and run again".into(),
            },
        });
    }
    for call in from.unread_calls.iter().chain(&to.unread_calls) {
        let id = format!("unread:{call}");
        if !out.iter().any(|m| m.id == id) {
            out.insert(missing(&id));
        }
    }
    out.retain(|m| question.given_of(&m.id).is_none());
    out.into_iter().collect()
}

/// Words for an unknown id.
pub fn missing(id: &str) -> Missing {
    let (what, arg) = id.split_once(':').unwrap_or((id, ""));
    let text = match what {
        "unread" if arg == "CloudObject" => "the cloud account was not read".into(),
        "unread" if Provider::of_call(arg).is_some() => format!("the answer of {arg} was not read"),
        "unread" => format!("{arg} objects were not read"),
        "webhook-admits" => format!("whether admission webhook or policy {arg} lets the request pass"),
        "netpol-allows" => format!("whether network policy {arg} allows the connection"),
        "cni-enforces" => "whether the network plugin enforces network policies".into(),
        "cni-sees-service-address" => {
            "whether the network plugin checks the address of a Service before it is translated".into()
        }
        "external-ip-routed" => format!("whether routers send the address {arg} to a node"),
        "pod-listens" => format!("whether pod {arg} listens on a port of its node"),
        "source-ranges-ignored" => format!("whether the load balancer of Service {arg} ignores its client ranges"),
        "route-resolved" => format!("whether route {arg} sends requests to what is there"),
        "gateway-programmed" => format!("whether a controller serves Gateway {arg}"),
        "pod-address-in-block" => "whether pods without an address get one that a policy names".into(),
        "cni-allows-hairpin" => "whether a pod connects to itself through its Service".into(),
        "network-pairs-allowed" => "whether pods that were too many to look at connect".into(),
        "gateway-public" => format!("whether the address of Gateway {arg} is public"),
        "route-accepted" => format!("whether the Gateway accepted route {arg}"),
        "image-setuid" => format!("whether image {arg} has a usable set-uid program"),
        "image-runs-as-root" => format!("whether image {arg} runs as root"),
        "lsm-confines" => format!("whether AppArmor or SELinux confines the container on {arg}"),
        "secret-name-known" => format!("whether the attacker knows the name of secret {arg}"),
        "load-balancer-public" => format!("whether the address of Service {arg} is public"),
        "ingress-public" => format!("whether the address of Ingress {arg} is public"),
        "node-ports-open" => "whether a firewall lets node ports through".into(),
        "api-server-public" => "whether the API server is reachable from the internet".into(),
        "kubelet-reachable" => "whether a firewall lets connections of the cluster to kubelets through".into(),
        "request-key" => format!("which value {arg} has in the request"),
        "ssm-managed" => format!("whether instance {arg} takes commands of Systems Manager"),
        "eks-cluster" => format!("whether this is the EKS cluster {arg}"),
        "session-policy" => format!("what the session policy of association {arg} lets through"),
        "session-name" => format!("whether a session of role {arg} can have the name that a policy asks for"),
        "session-name-chosen" => "whether the name of the session can be chosen".into(),
        "access-entry-alive" => format!("whether the access entry of {arg} is for the principal that is there now"),
        "organization-denies" => "whether a policy of the organization denies it".into(),
        "resource-policy-denies" => format!("whether the policy of {arg} denies it"),
        "pod-identity-agent" => "whether the agent of EKS Pod Identity runs on the nodes".into(),
        "metadata-options" => format!("whether the metadata service of instance {arg} answers pods"),
        "instance-name" => format!("whether the private DNS name of instance {arg} is the name of its node"),
        "eks-cluster-creator" => format!("whether the principal is the one that made the EKS cluster {arg}"),
        "add-on-runs-code" => "whether an add-on can be made to run what the attacker wants".into(),
        "capability-runs-code" => "whether the attacker may write what the capability carries out".into(),
        "ssh-reachable" => format!("whether SSH of instance {arg} can be reached"),
        "ecr-tags-mutable" => format!("whether the tags of repository {arg} that run can be moved"),
        "node-group-runs-code" => "whether nodes of a new group run what the attacker wants".into(),
        "launch-template" => format!("whether node group {arg} follows a launch template of its own"),
        "gke-cluster" => format!("whether this is the GKE cluster {arg}"),
        "aks-cluster" => format!("whether this is the AKS cluster {arg}"),
        "token-issuer" => format!("whether the tokens of the cluster have the issuer {arg}"),
        "key-ring" => format!("whether the policy of a key ring that was read is that of the ring of key {arg}"),
        "gke-dataplane" => {
            "whether the cluster has Dataplane V2, and which address of the metadata server policies see".into()
        }
        "iam-condition" => format!("whether the condition {arg} of a binding holds"),
        "deny-policy" => format!("whether the deny policy {arg} denies it"),
        "acts-as-node-account" => format!("whether {arg} may act as the service account of the node"),
        "startup-script-runs" => format!("whether instance {arg} starts again, and runs a changed script"),
        "role-assignment-condition" => format!("whether the condition of role assignment {arg} lets it through"),
        "role-definition-condition" => format!("whether the condition in the definition of role {arg} lets it through"),
        "pod-identity-exempts" => "whether AAD Pod Identity leaves the pod out".into(),
        "claims-matching" => format!("whether the expression of federated credential {arg} matches the token"),
        "pod-identity-intercepts" => "which identity AAD Pod Identity gives the pod".into(),
        "vault-network" => format!("whether the firewall of vault {arg} lets the attacker through"),
        "access-policy" => format!("what the access policy {arg} gives"),
        "image-pulled" => format!("whether a new image of {arg} is pulled and runs"),
        "etcd-not-seen" => "whether etcd listens where pods connect to (a managed cluster does not show it)".into(),
        "node-firewall" => "whether a firewall keeps the internet from kubelets".into(),
        "ingress-hosts-merge" => {
            "whether the controller lets a second Ingress take a host that another namespace has".into()
        }
        "dns-config-kept" => "whether a change of the DNS ConfigMap stays (providers put it back)".into(),
        "exposure-admitted" => "whether quota and admission let an object that publishes pods in".into(),
        "policy-order" => "whether the order of policies lets a new one decide".into(),
        _ => format!(
            "whether {}{}",
            what.replace('-', " "),
            if arg.is_empty() { String::new() } else { format!(" ({arg})") }
        ),
    };
    let settle = if what == "unread" && arg == "CloudObject" {
        "read the account with --aws, or add saved answers with --aws-data, --gcp-data or --azure-data DIR".into()
    } else if let Some(provider) = Provider::of_call(arg).filter(|_| what == "unread") {
        let file = arg.strip_prefix(provider.program()).and_then(|a| a.strip_prefix('-')).unwrap_or(arg);
        match provider {
            Provider::Aws => format!(
                "add the answer of that call of the AWS CLI to --aws-data as {}.json, or allow it (kpath permissions --aws)",
                file.replacen(':', "/", 1)
            ),
            Provider::Gcp => {
                format!("add the answer of that call of gcloud (--format json) to --gcp-data as {file}.json")
            }
            Provider::Azure if file == "role-assignment-list" => {
                "add the answer of `az role assignment list --all --include-inherited -o json` to --azure-data as role-assignment-list.json".into()
            }
            Provider::Azure => {
                format!("add the answer of that call of the Azure CLI (-o json) to --azure-data as {file}.json")
            }
        }
    } else if what == "unread" {
        let resource = Kind::ALL.iter().find(|k| k.info().kind == arg).map_or(arg.to_owned(), |k| k.argument());
        format!("add `kubectl get {resource} -A -o json`, or say --complete")
    } else {
        format!("--given '{id}=yes' or --given '{id}=no'")
    };
    Missing { id: id.to_owned(), text, settle }
}

#[allow(clippy::too_many_arguments, reason = "one question, many parts")]
fn proven(
    attack: &Attack,
    cluster: &Cluster,
    question: &Question,
    settings: &Settings,
    verdict: Verdict,
    source: FactId,
    starts: &[FactId],
    mask: &[bool],
    is_target: &dyn Fn(FactId) -> bool,
    paths: usize,
) -> Answer {
    let mut prover = Prover::new(&attack.graph, settings, question.ranking());
    let proofs = prover.prove_many(mask, starts, is_target, paths.max(1));
    let to = proofs.first().map_or(source, |p| p.target);
    let words = |f: FactId| attack.fact(f).map(|x| name::selector(attack, cluster, x)).unwrap_or_default();
    let steps: Vec<Vec<Step>> = proofs.iter().map(|p| step::steps(attack, cluster, settings, p)).collect();
    let ids: BTreeSet<&String> = steps.iter().take(1).flatten().flat_map(|s| &s.unknown_if).collect();
    Answer {
        answer: verdict,
        from: words(source),
        to: words(to),
        unknown_because: if verdict == Verdict::Unknown {
            ids.into_iter().map(|i| missing(i)).collect()
        } else {
            Vec::new()
        },
        proofs: steps,
        reached: Vec::new(),
        nearest: Vec::new(),
        connects: None,
        source: Some(source),
    }
}

/// Those of the targets that a saved question is about.
pub fn only(attack: &Attack, cluster: &Cluster, question: &Question, to: &Selection, only: Only) -> BTreeSet<FactId> {
    let all: Vec<FactId> = to.facts.iter().copied().collect();
    match only {
        Only::AnyAccount => {
            let roles = crate::rules::aws::roles_of_any_account(cluster);
            let open = |f: &FactId| matches!(attack.fact(*f), Some(Fact::CloudPrincipal(r)) if roles.contains(&r));
            all.into_iter().filter(open).collect()
        }
        Only::ClusterAdmin => {
            let Some(admin) = attack.id(Fact::ClusterAdmin) else { return BTreeSet::new() };
            let mask = question.settings(attack).mask(&attack.graph, Lane::Must);
            let pivot = Pivot::with(&attack.graph, &mask, attack.id(Fact::ApiReach), Some(admin), &|_| 0);
            let mut out = BTreeSet::new();
            for chunk in all.chunks(LANES) {
                let sources: Vec<Vec<FactId>> = chunk.iter().map(|f| starts(attack, cluster, *f)).collect();
                let lanes = pivot.close(&sources);
                out.extend(lanes.lanes_of(admin).filter_map(|l| chunk.get(l).copied()));
            }
            out
        }
    }
}

/// Facts that some source reaches alone: what only several together reach was not reached.
fn reached_alone(attack: &Attack, mask: &[bool], sources: &[Vec<FactId>]) -> Vec<bool> {
    if let [one] = sources {
        return closure(&attack.graph, mask, one);
    }
    let mut known = vec![false; attack.graph.facts];
    let pivot = Pivot::new(&attack.graph, mask, attack.id(Fact::ApiReach));
    for chunk in sources.chunks(LANES) {
        let lanes = pivot.close(chunk);
        for (k, n) in known.iter_mut().zip(0u32..).filter(|(k, _)| !**k) {
            *k = lanes.lanes_of(FactId(n)).next().is_some();
        }
    }
    known
}

/// What a no reaches, and the techniques that lack exactly one premise.
fn explain_no(
    attack: &Attack,
    cluster: &Cluster,
    settings: &Settings,
    from: &Selection,
    to: &Selection,
) -> (Vec<String>, Vec<Near>) {
    let mask = settings.mask(&attack.graph, Lane::May);
    let sources: Vec<Vec<FactId>> = from.facts.iter().map(|f| starts(attack, cluster, *f)).collect();
    let known = reached_alone(attack, &mask, &sources);
    let has = |f: FactId| known.get(f.0 as usize).copied().unwrap_or(false);
    let reached: Vec<String> = known
        .iter()
        .enumerate()
        .filter(|(_, k)| **k)
        .filter_map(|(i, _)| attack.fact(FactId(i as u32)))
        .filter(|f| !f.internal() && !matches!(f, Fact::Internet))
        .map(|f| name::fact(attack, cluster, f))
        .collect();
    let mut nearest: Vec<Near> = Vec::new();
    let mut used = BTreeSet::new();
    // First those that would give the target itself, then those that have most of their premises.
    for direct in [true, false] {
        for (i, x) in attack.graph.instances.iter().enumerate() {
            if nearest.len() == 3 {
                return (reached, nearest);
            }
            let lacking: Vec<FactId> = x.premises.iter().copied().filter(|p| !has(*p)).collect();
            let [one] = lacking.as_slice() else { continue };
            // Nearly everybody connects to kubelets: that says nothing of how near one is.
            let telling = |p: &FactId| has(*p) && !matches!(attack.fact(*p), Some(Fact::KubeletsOf(_)));
            let wanted = if direct { to.facts.contains(&x.conclusion) } else { x.premises.iter().any(telling) };
            if !mask.get(i).copied().unwrap_or(false)
                || !wanted
                || has(x.conclusion)
                || x.technique == SCOPE
                || !used.insert(x.technique)
            {
                continue;
            }
            let words = |f: FactId| attack.fact(f).map(|y| name::fact(attack, cluster, y)).unwrap_or_default();
            nearest.push(Near {
                technique: technique(x.technique).map(|t| t.id.to_owned()).unwrap_or_default(),
                would: words(x.conclusion),
                missing: words(*one),
            });
        }
    }
    (reached, nearest)
}

/// Whether one pod may connect to another, where the question is about two single pods.
pub fn connects(attack: &Attack, cluster: &Cluster, from: &Selection, to: &Selection) -> Option<super::net::Reach> {
    let pod = |s: &Selection| match s.facts.iter().map(|f| attack.fact(*f)).collect::<Vec<_>>().as_slice() {
        [Some(Fact::Pod(p))] => Some(crate::netpol::End::Pod(*p)),
        _ => None,
    };
    let (from, to) = (pod(from)?, pod(to)?);
    let network = crate::netpol::network::Network::new(cluster);
    let all = crate::netpol::ports::Ports::all();
    Some(super::net::reach(cluster, &network.judge(from, to, &all), &all))
}
