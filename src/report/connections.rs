//! Connections between workloads, and between workloads and the internet.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::answer::Verdict;
use crate::model::Cluster;
use crate::model::platform::short_kind;
use crate::netpol::exposure::{Exposure, Publicity};
use crate::netpol::network::{Allowed, Judged, Network};
use crate::netpol::ports::Ports;
use crate::netpol::{Direction, End};

/// A workload with one pod of each class: pods of a class are alike to every policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// `deploy/NAMESPACE/NAME`.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// One pod of each class.
    pub representatives: Vec<u32>,
    /// All pods, in order.
    pub pods: Vec<u32>,
    /// Whether its pods are in the network of their node.
    pub host: bool,
}

/// One row: what connects to what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// Source.
    pub from: String,
    /// Destination.
    pub to: String,
    /// Ports at the destination.
    pub ports: String,
    /// Yes, or unknown.
    pub answer: Verdict,
    /// Ids of unknowns that decide it.
    #[serde(rename = "unknownIf", skip_serializing_if = "Vec::is_empty")]
    pub unknown_if: Vec<String>,
}

/// Groups pods that run by the workload that made them, in order of namespace, kind and name.
pub fn workloads(cluster: &Cluster, network: &Network<'_>, only: Option<&BTreeSet<u32>>) -> Vec<Workload> {
    let mut all: BTreeMap<(String, String, String), Workload> = BTreeMap::new();
    let mut seen: BTreeSet<(String, Option<u32>)> = BTreeSet::new();
    for (p, i) in cluster.objects.pods.iter().zip(0u32..) {
        if p.finished() || only.is_some_and(|o| !o.contains(&i)) {
            continue;
        }
        let (kind, name) = p.owner(cluster);
        let namespace = p.metadata.namespace.clone();
        let shown = format!("{}/{namespace}/{name}", short_kind(&kind));
        let class = network.engine.classes().of.get(i as usize).copied().flatten();
        let w = all.entry((namespace.clone(), kind, name)).or_insert_with(|| Workload {
            name: shown.clone(),
            namespace,
            representatives: Vec::new(),
            pods: Vec::new(),
            host: p.spec.host_network,
        });
        w.pods.push(i);
        let host = class.is_none() && w.representatives.len() < HOSTS;
        if host || seen.insert((shown, class)) {
            w.representatives.push(i);
        }
    }
    all.into_values().collect()
}

/// Calls back for every pair of workloads that connects, in order of source and destination; `internet` is both a source,
/// by what publishes a pod, and a destination.
///
/// # Errors
/// Those of the callback, which end the walk.
pub fn each<E>(
    network: &Network<'_>,
    exposures: &[Exposure],
    from: &[Workload],
    to: &[Workload],
    internet: [bool; 2],
    mut row: impl FnMut(Connection) -> Result<(), E>,
) -> Result<(), E> {
    let mut published: BTreeMap<u32, Vec<&Exposure>> = BTreeMap::new();
    for e in exposures.iter().filter(|e| e.publicity != Publicity::Internal) {
        published.entry(e.pod).or_default().push(e);
    }
    if internet[0] {
        for w in to {
            let ways: Vec<&Exposure> = w.pods.iter().filter_map(|p| published.get(p)).flatten().copied().collect();
            let best = ways.iter().map(|e| e.publicity).max();
            let Some(best) = best else { continue };
            let of_best = || ways.iter().filter(|e| e.publicity == best);
            let ports = of_best().fold(Ports::none(), |all, e| all.or(&e.ports));
            let ids: BTreeSet<String> = of_best().take(1).flat_map(|e| e.unknowns.iter().cloned()).collect();
            row(Connection {
                from: "internet".into(),
                to: w.name.clone(),
                ports: ports.to_string(),
                answer: if best == Publicity::Public { Verdict::Yes } else { Verdict::Unknown },
                unknown_if: if best == Publicity::Public { Vec::new() } else { ids.into_iter().collect() },
            })?;
        }
    }
    let open = |w: &Workload, d: Direction| {
        let class = |p: &u32| network.engine.classes().of.get(*p as usize).copied().flatten();
        w.representatives.iter().all(|p| class(p).is_none_or(|c| network.engine.is_open(c, d)))
    };
    let open_in: Vec<bool> = to.iter().map(|w| open(w, Direction::Ingress)).collect();
    for a in from {
        let open_out = open(a, Direction::Egress);
        for (b, open_in) in to.iter().zip(&open_in) {
            if a.name == b.name {
                continue;
            }
            let judged =
                if open_out && *open_in && network.unread().is_none() { None } else { Some(between(network, a, b)) };
            let (ports, allowed, ids) = match judged {
                // Nothing limits either: the same verdict for every pair.
                None => (Ports::all(), Allowed::Yes, Vec::new()),
                Some(j) => (j.ports, j.allowed, j.unknowns),
            };
            if allowed != Allowed::No {
                row(Connection {
                    from: a.name.clone(),
                    to: b.name.clone(),
                    ports: ports.to_string(),
                    answer: verdict(allowed),
                    unknown_if: ids,
                })?;
            }
        }
        if internet[1] {
            let all = a.representatives.iter().map(|p| network.judge(End::Pod(*p), End::Internet, &Ports::all()));
            if let Some(j) = all.max_by_key(|j| j.allowed).filter(|j| j.allowed != Allowed::No) {
                row(Connection {
                    from: a.name.clone(),
                    to: "internet".into(),
                    ports: j.ports.to_string(),
                    answer: verdict(j.allowed),
                    unknown_if: j.unknowns,
                })?;
            }
        }
    }
    Ok(())
}

/// Pods in the network of nodes that are asked about, of one workload: each may have another verdict.
const HOSTS: usize = 64;

/// What any pod of one workload may do to any of another.
fn between(network: &Network<'_>, a: &Workload, b: &Workload) -> Judged {
    let pods = &network.engine.cluster().objects.pods;
    let node = |p: &u32| pods.get(*p as usize).map_or("", |p| p.spec.node_name.as_str());
    let mut pairs: Vec<(u32, u32)> =
        b.representatives.iter().flat_map(|to| a.representatives.iter().map(move |from| (*from, *to))).collect();
    // A pod in the network of a node reaches the pods of that node in any case.
    if a.host {
        let nodes: BTreeMap<&str, u32> = a.pods.iter().map(|p| (node(p), *p)).collect();
        let near = b.pods.iter().find_map(|q| Some((*nodes.get(node(q)).filter(|_| !node(q).is_empty())?, *q)));
        pairs.extend(near);
    }
    let mut best: Option<Judged> = None;
    for (from, to) in pairs {
        let j = network.judge(End::Pod(from), End::Pod(to), &Ports::all());
        best = Some(match best {
            None => j,
            Some(k) if k.allowed == j.allowed => Judged { ports: k.ports.or(&j.ports), ..k },
            Some(k) if j.allowed > k.allowed => j,
            Some(k) => k,
        });
    }
    best.unwrap_or_else(|| network.judge(End::Internet, End::Internet, &Ports::none()))
}

/// A verdict in the words of answers.
pub fn verdict(allowed: Allowed) -> Verdict {
    match allowed {
        Allowed::Yes => Verdict::Yes,
        Allowed::Unknown => Verdict::Unknown,
        Allowed::No => Verdict::No,
    }
}
