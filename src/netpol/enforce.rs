//! Whether the network plugin enforces policies, read from what runs in the cluster.
//!
//! Without a plugin that does, policies have no effect (Kubernetes documentation, "Network Policies": prerequisites).

use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::platform::{Does, network_plugin};
use crate::model::pod::PodSpec;

/// Whether policies have an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enforcement {
    /// A plugin that enforces them runs: what shows it, and its name.
    Yes(Option<Obj>, &'static str),
    /// Only plugins that are known not to.
    No(Obj, &'static str),
    /// Not clear: the reason.
    Unknown(&'static str),
}

/// Looks for the network plugin.
pub fn enforcement(cluster: &Cluster) -> Enforcement {
    let o = &cluster.objects;
    let daemon_sets = o
        .daemon_sets
        .iter()
        .zip(0u32..)
        .filter_map(|(d, index)| Some((Obj { kind: Kind::DaemonSet, index }, &d.spec.template.as_ref()?.spec)));
    let pods = o.pods.iter().zip(0u32..).filter(|(p, _)| !p.finished() && p.spec.host_network);
    let pods = pods.map(|(p, index)| (Obj { kind: Kind::Pod, index }, &p.spec));
    let mut found: Vec<(Obj, &'static str, Does)> = Vec::new();
    for (object, spec) in daemon_sets.chain(pods) {
        if let Some((name, does)) = plugin(spec) {
            found.push((object, name, does));
        }
    }
    if let Some((object, name, _)) = found.iter().find(|(_, _, d)| *d == Does::Enforce) {
        return Enforcement::Yes(Some(*object), name);
    }
    if let Some(reason) = found.iter().find_map(|(_, _, d)| if let Does::Depends(r) = d { Some(*r) } else { None }) {
        return Enforcement::Unknown(reason);
    }
    // Its controller is part of the k3s binary, and on unless --disable-network-policy is given.
    if o.nodes.iter().any(|n| n.status.node_info.kubelet_version.contains("+k3s")) {
        return Enforcement::Yes(o.nodes.first().map(|_| Obj { kind: Kind::Node, index: 0 }), "k3s");
    }
    match found.first() {
        Some((object, name, _)) => Enforcement::No(*object, name),
        None => Enforcement::Unknown("no known network plugin runs in the cluster"),
    }
}

fn plugin(spec: &PodSpec) -> Option<(&'static str, Does)> {
    // A pod may hold several: what enforces counts for more than what does not.
    let all = spec.containers.iter().filter_map(|c| network_plugin(&c.image));
    all.max_by_key(|(_, does)| match does {
        Does::Enforce => 2,
        Does::Ignore => 0,
        _ => 1,
    })
}
