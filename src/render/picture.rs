//! The picture of an answer as boxes and arrows, before any format: shared by DOT, SVG and PNG.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::FactId;
use crate::model::Cluster;
use crate::model::cloud::{CloudObject, Provider};
use crate::report::{Step, name};
use crate::rules::Attack;
use crate::rules::fact::{Fact, Subject};

/// What a box stands for; decides shape and colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Attacker position.
    Attacker,
    /// Sensitive target.
    Target,
    /// Node.
    Node,
    /// Role, binding or right.
    Permission,
    /// Service account, user, group or credential.
    Identity,
    /// Pod or container.
    Workload,
    /// All inputs are needed.
    And,
    /// Every one of several workloads.
    Group,
}

impl Shape {
    /// Fill, line and text colours.
    pub fn colors(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Shape::Attacker => ("#1F1F1F", "#000000", "#FFFFFF"),
            Shape::Target => ("#A63A00", "#5E2100", "#FFFFFF"),
            Shape::Node => ("#999999", "#222222", "#111111"),
            Shape::Permission => ("#C4A6DE", "#55307A", "#111111"),
            Shape::Identity => ("#FFE8A3", "#7A5600", "#111111"),
            Shape::Workload => ("#FFFFFF", "#333333", "#111111"),
            Shape::And => ("#4A4A4A", "#000000", "#FFFFFF"),
            Shape::Group => ("#FFFFFF", "#555555", "#111111"),
        }
    }

    /// Word for the legend and the small line of a box.
    pub fn word(self) -> &'static str {
        match self {
            Shape::Attacker => "attacker",
            Shape::Target => "target",
            Shape::Node => "node",
            Shape::Permission => "permission",
            Shape::Identity => "identity",
            Shape::Workload => "workload",
            Shape::And => "AND",
            Shape::Group => "each of them",
        }
    }
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Box_ {
    /// Kind line, `service account`.
    pub kind: String,
    /// Name line.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Namespace that it is drawn in; empty for none.
    pub namespace: String,
}

/// What the boundary of boxes is called: those of a cloud account are marked by a word that no namespace has.
pub fn boundary(namespace: &str) -> String {
    match namespace.strip_prefix(ACCOUNT) {
        Some(account) => account.to_owned(),
        None => format!("namespace {namespace}"),
    }
}

/// Begins the boundary of a cloud account, whose title follows.
pub const ACCOUNT: &str = "account ";

/// An arrow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// From box.
    pub from: usize,
    /// To box.
    pub to: usize,
    /// Verb or setting that makes the step possible.
    pub label: String,
    /// Depends on missing data.
    pub unknown: bool,
    /// A step of an attack, or a way in from the internet; others are drawn quietly.
    pub strong: bool,
}

/// Boxes and arrows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picture {
    /// Caption.
    pub caption: String,
    /// Boxes.
    pub boxes: Vec<Box_>,
    /// Arrows.
    pub arrows: Vec<Arrow>,
}

/// Most boxes of one picture.
pub const LIMIT: usize = 40;

/// What the ends of the drawn paths are.
#[derive(Debug, Clone, Copy)]
pub enum Ends<'a> {
    /// Targets: the last fact of each path, and these.
    Proven(&'a BTreeSet<FactId>),
    /// What was reached from these starts; a *no* has no target.
    Reached(&'a BTreeSet<FactId>),
}

/// Draws step lists until the limit is reached; returns the picture and how many lists were left out.
pub fn draw(attack: &Attack, cluster: &Cluster, caption: &str, lists: &[&[Step]], ends: Ends<'_>) -> (Picture, usize) {
    let mut p = Picture { caption: caption.to_owned(), ..Picture::default() };
    let mut index: BTreeMap<FactId, usize> = BTreeMap::new();
    let mut ands: BTreeMap<Vec<FactId>, usize> = BTreeMap::new();
    let mut left = 0;
    for list in lists {
        let new = list
            .iter()
            .flat_map(|s| s.premise_ids.iter().chain([&s.id]))
            .filter(|f| !index.contains_key(f))
            .collect::<BTreeSet<_>>()
            .len();
        if !p.boxes.is_empty() && p.boxes.len() + new > LIMIT {
            left += 1;
            continue;
        }
        for s in *list {
            // The attacker's position, from which the API server is reached, is drawn once and not at every request.
            let network: BTreeSet<FactId> = s
                .instances
                .iter()
                .filter_map(|i| attack.graph.instances.get(*i as usize))
                .filter(|x| attack.fact(x.conclusion) == Some(Fact::ApiReach))
                .flat_map(|x| x.premises.iter().copied())
                .collect();
            let needed: Vec<FactId> = s.premise_ids.iter().copied().filter(|q| !network.contains(q)).collect();
            let needed = if needed.is_empty() { s.premise_ids.clone() } else { needed };
            for q in &needed {
                place(&mut p, &mut index, attack, cluster, *q, false);
            }
            let last = list.last().is_some_and(|l| l.id == s.id);
            let target = match ends {
                Ends::Proven(targets) => last || targets.contains(&s.id),
                Ends::Reached(_) => false,
            };
            let to = place(&mut p, &mut index, attack, cluster, s.id, target);
            let label = label(s);
            let unknown = !s.unknown_if.is_empty();
            let from = if needed.len() > 1 {
                let mut key = needed.clone();
                key.push(s.id);
                let and = *ands.entry(key).or_insert_with(|| {
                    p.boxes.push(Box_ {
                        kind: String::new(),
                        name: "AND".into(),
                        shape: Shape::And,
                        namespace: String::new(),
                    });
                    p.boxes.len() - 1
                });
                for q in &needed {
                    let from = place(&mut p, &mut index, attack, cluster, *q, false);
                    p.arrows.push(Arrow { from, to: and, label: String::new(), unknown: false, strong: true });
                }
                Some(and)
            } else {
                needed.first().map(|q| place(&mut p, &mut index, attack, cluster, *q, false))
            };
            if let Some(from) = from.filter(|f| *f != to) {
                p.arrows.push(Arrow { from, to, label, unknown, strong: true });
            }
        }
    }
    let mut starts: Vec<FactId> = lists.iter().filter_map(|l| l.first()).flat_map(|s| s.premise_ids.clone()).collect();
    // A start from which nothing follows is the whole picture.
    if let (Ends::Reached(from), true) = (ends, lists.is_empty()) {
        for f in from.iter().take(LIMIT) {
            place(&mut p, &mut index, attack, cluster, *f, false);
        }
        left += from.len().saturating_sub(LIMIT);
        starts.extend(from);
    }
    // Where a drawn path starts, the attacker stands.
    for start in &starts {
        if let Some(b) = index.get(start).and_then(|i| p.boxes.get_mut(*i))
            && b.shape == Shape::Workload
        {
            b.shape = Shape::Attacker;
        }
    }
    p.arrows.sort();
    p.arrows.dedup_by(|a, b| a.from == b.from && a.to == b.to);
    (p, left)
}

fn label(s: &Step) -> String {
    let rule = s.evidence.iter().rev().find(|e| e.pointer.starts_with("/rules/"));
    let text = match rule {
        Some(r) => r.value.split(" (").next().unwrap_or_default().to_owned(),
        None => match s.technique.as_str() {
            "token-automount" => "mounts token".into(),
            "ctr-to-own-secrets" => "is given".into(),
            "node-to-pods" => "runs on it".into(),
            "workload-privileged-node" => "privileged pod".into(),
            "workload-nodename" => "privileged pod with nodeName".into(),
            "workload-any-sa" => "pod names the account".into(),
            "workload-any-secret" => "pod mounts it".into(),
            "esc-privileged" => "privileged: true".into(),
            "node-id-sa-token" => "requests its token".into(),
            "node-to-kubelet-identity" => "kubelet certificate".into(),
            "entry-app-exploit" => "exploits".into(),
            t => {
                let path = s.evidence.iter().find(|e| e.pointer.contains("hostPath"));
                path.map_or_else(|| t.to_owned(), |e| format!("hostPath {}", e.value))
            }
        },
    };
    text.chars().take(48).collect()
}

/// The title of the account that an object is of: what the cloud calls it, and its name.
fn account_of(cluster: &Cluster, o: &CloudObject) -> String {
    let provider = o.provider();
    let first = |kind: &str| cluster.objects.cloud.iter().find(|x| x.kind() == kind);
    let name = match provider {
        Provider::Aws => {
            let arn = if o.text("Arn").is_empty() { o.text("ARN") } else { o.text("Arn") };
            let own = arn.split(':').nth(4).filter(|a| !a.is_empty()).map(str::to_owned);
            own.or(cluster
                .objects
                .cloud
                .iter()
                .find(|o| o.kind() == "Account" && !o.metadata.name.contains(':'))
                .map(|a| a.metadata.name.clone()))
        }
        Provider::Gcp => {
            let own = o.metadata.name.split_once('@').and_then(|(_, d)| d.strip_suffix(".iam.gserviceaccount.com"));
            own.map(str::to_owned).or(first("GcpProject").map(|p| p.metadata.name.clone()))
        }
        Provider::Azure => {
            let id = if o.text("id").is_empty() { &o.metadata.name } else { o.text("id") };
            let of = |id: &str| id.strip_prefix("/subscriptions/").and_then(|r| r.split('/').next()).map(str::to_owned);
            of(id).or_else(|| of(first("AzureCluster")?.text("id")))
        }
    };
    format!("{} {}", provider.account(), name.unwrap_or_default()).trim_end().to_owned()
}

fn place(
    p: &mut Picture,
    index: &mut BTreeMap<FactId, usize>,
    attack: &Attack,
    cluster: &Cluster,
    f: FactId,
    target: bool,
) -> usize {
    if let Some(i) = index.get(&f) {
        if target
            && let Some(b) = p.boxes.get_mut(*i)
            && b.shape != Shape::Attacker
        {
            b.shape = Shape::Target;
        }
        return *i;
    }
    let fact = attack.fact(f);
    let selector = fact.map(|x| name::selector(attack, cluster, x)).unwrap_or_default();
    let path = selector.split_once('/').map_or(selector.as_str(), |(_, r)| r);
    let (ns, short) = path.split_once('/').unwrap_or(("", path));
    let starts = p.boxes.is_empty();
    let account = match fact {
        Some(Fact::CloudPrincipal(i) | Fact::CloudScoped(i, _) | Fact::CloudResource(i) | Fact::CloudHolds(_, i)) => {
            cluster
                .objects
                .cloud
                .get(i as usize)
                .map(|o| format!("{ACCOUNT}{}", account_of(cluster, o)))
                .unwrap_or_default()
        }
        _ => String::new(),
    };
    let (kind, short, ns, shape) = match fact {
        Some(Fact::Internet) => ("outside", "internet", "", Shape::Attacker),
        Some(Fact::Exec(..) | Fact::Pod(_)) => {
            ("pod", short, ns, if starts { Shape::Attacker } else { Shape::Workload })
        }
        Some(Fact::Identity(s)) => match attack.subjects.get(s) {
            Some(Subject::ServiceAccount(..)) => ("service account", short, ns, Shape::Identity),
            Some(Subject::User(_)) => ("user", path, "", Shape::Identity),
            _ => ("group", path, "", Shape::Identity),
        },
        Some(Fact::Secret(_)) => ("secret", short, ns, Shape::Target),
        Some(Fact::Node(_)) => ("node", path, "", Shape::Node),
        Some(Fact::ClusterAdmin) => ("rights", "cluster-admin", "", Shape::Target),
        Some(Fact::CloudPrincipal(i)) => {
            let o = cluster.objects.cloud.get(i as usize);
            let kind = match o.map_or("", CloudObject::kind) {
                "IamUser" => "IAM user",
                "GcpServiceAccount" => "Google service account",
                "GcpMember" => "workload identity",
                "AzureIdentity" => "managed identity",
                "AzureServicePrincipal" => "service principal",
                "AzureUser" => "user",
                "AzureGroup" => "group",
                _ => "IAM role",
            };
            let shape = if starts { Shape::Attacker } else { Shape::Identity };
            (kind, o.map_or("", |o| o.metadata.name.as_str()), account.as_str(), shape)
        }
        Some(Fact::CloudResource(i)) => {
            let o = cluster.objects.cloud.get(i as usize);
            let kind = match o.map_or("", CloudObject::kind) {
                "KmsKey" | "GcpKmsKey" => "KMS key",
                "S3Bucket" | "GcpBucket" => "bucket",
                "AzureKeyVault" => "vault",
                "EbsVolume" => "volume",
                _ => "cloud secret",
            };
            (kind, o.map_or("", |o| o.metadata.name.as_str()), account.as_str(), Shape::Target)
        }
        Some(Fact::CloudHolds(access, i)) => {
            let o = cluster.objects.cloud.get(i as usize);
            (access.words(), o.map_or("", |o| o.metadata.name.as_str()), account.as_str(), Shape::Permission)
        }
        Some(Fact::CloudScoped(i, _)) => {
            let o = cluster.objects.cloud.get(i as usize);
            (
                "service account, some APIs",
                o.map_or("", |o| o.metadata.name.as_str()),
                account.as_str(),
                Shape::Identity,
            )
        }
        Some(Fact::Workload(n)) => {
            ("own workload", attack.namespaces.get(n as usize).map_or("", String::as_str), "", Shape::Workload)
        }
        Some(Fact::PrivilegedWorkload(n)) => {
            ("privileged pod", attack.namespaces.get(n as usize).map_or("", String::as_str), "", Shape::Workload)
        }
        Some(Fact::NamespaceAdmin(n)) => {
            ("namespace admin", attack.namespaces.get(n as usize).map_or("", String::as_str), "", Shape::Permission)
        }
        _ => ("", selector.as_str(), "", Shape::Permission),
    };
    let shape = if target && shape != Shape::Attacker { Shape::Target } else { shape };
    p.boxes.push(Box_ { kind: kind.to_owned(), name: short.to_owned(), shape, namespace: ns.to_owned() });
    index.insert(f, p.boxes.len() - 1);
    p.boxes.len() - 1
}
