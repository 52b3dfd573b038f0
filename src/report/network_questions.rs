//! Saved questions about the network: who connects to an infrastructure target, and which namespaces are open.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::answer::Verdict;
use super::connections::{Connection, verdict, workloads};
use crate::model::Cluster;
use crate::netpol::network::{Allowed, Judged, Network};
use crate::netpol::ports::Ports;
use crate::netpol::{Direction, End};

/// Workloads of some pods that connect to one of several ends, in order.
pub fn connecting(
    cluster: &Cluster,
    network: &Network<'_>,
    from: &BTreeSet<u32>,
    to: &[End],
    name: &str,
    ports: &Ports,
) -> Vec<Connection> {
    let mut out = Vec::new();
    for w in workloads(cluster, network, Some(from)) {
        let pairs = w.representatives.iter().flat_map(|p| to.iter().map(move |t| (*p, *t)));
        let mut best: Option<Judged> = None;
        for (p, t) in pairs {
            let j = network.judge(End::Pod(p), t, ports);
            let better = best.as_ref().is_none_or(|b| j.allowed > b.allowed);
            if better {
                let done = j.allowed == Allowed::Yes;
                best = Some(j);
                if done {
                    break;
                }
            }
        }
        if let Some(j) = best.filter(|j| j.allowed != Allowed::No) {
            out.push(Connection {
                from: w.name,
                to: name.to_owned(),
                ports: j.ports.to_string(),
                answer: verdict(j.allowed),
                unknown_if: j.unknowns,
            });
        }
    }
    out
}

/// A namespace that holds Secrets, with its pods that nothing isolates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenNamespace {
    /// Name.
    pub namespace: String,
    /// Secrets that it holds.
    pub secrets: usize,
    /// Pods that every other pod may connect to, as far as policies go.
    pub open_pods: usize,
    /// Its pods with a network of their own.
    pub pods: usize,
    /// Yes; unknown where policies were not read.
    pub answer: Verdict,
}

/// Namespaces that hold Secrets and have pods that no policy isolates for ingress. Those of Kubernetes itself are left out:
/// every cluster has them.
pub fn open_namespaces(cluster: &Cluster, network: &Network<'_>) -> Vec<OpenNamespace> {
    let mut secrets: BTreeMap<&str, usize> = BTreeMap::new();
    for s in &cluster.objects.secrets {
        *secrets.entry(s.metadata.namespace.as_str()).or_default() += 1;
    }
    let classes = network.engine.classes();
    let read = cluster.was_read(crate::model::Kind::NetworkPolicy);
    let mut out = Vec::new();
    for (n, i) in classes.namespaces.iter().zip(0u32..).filter(|(n, _)| !n.name.starts_with("kube-")) {
        let Some(secrets) = secrets.get(n.name.as_str()) else { continue };
        let (mut open, mut pods) = (0, 0);
        for c in classes.of_namespace(i) {
            let count = classes.get(*c).map_or(0, |c| c.pods.len());
            pods += count;
            if network.engine.is_open(*c, Direction::Ingress) {
                open += count;
            }
        }
        if open > 0 {
            let answer = if read { Verdict::Yes } else { Verdict::Unknown };
            out.push(OpenNamespace { namespace: n.name.clone(), secrets: *secrets, open_pods: open, pods, answer });
        }
    }
    out
}
