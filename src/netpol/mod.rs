//! Network policy: who may connect to whom, per protocol and port.
//!
//! The verdict on a connection is that of the source's egress side and of the destination's ingress side, each of which
//! is decided by the tiers in order: administrators' policies, NetworkPolicies, the baseline, and allowed where none of
//! them decides (`networking.k8s.io/v1` NetworkPolicySpec; network-policy-api, ClusterNetworkPolicy). Replies always pass.

pub mod address;
pub mod classes;
pub mod compile;
mod decide;
mod end;
pub mod enforce;
pub mod exposure;
pub mod network;
pub mod ports;
pub mod targets;

use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;

pub use decide::{Effect, Engine, Event, Flow, Side};
pub use end::End;

/// Direction of traffic, seen from the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

impl Direction {
    /// `ingress` or `egress`.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

/// Where network plugins differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// An ipBlock matches pods by their address, as in the upstream end-to-end tests. Cilium does not (cilium #9209).
    pub ipblock_matches_pods: bool,
    /// The baseline is asked for a direction in which no NetworkPolicy isolates the pod, even if one does in the other.
    pub baseline_per_direction: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { ipblock_matches_pods: true, baseline_per_direction: true }
    }
}
/// The first policy, by name, that isolates the pod in a direction; `None` when none does. Pods in the network of
/// their node are not isolated.
///
/// Without `policyTypes` a policy isolates for ingress, and for egress when it has egress rules
/// (`networking.k8s.io/v1`, NetworkPolicySpec).
pub fn isolating_policy(cluster: &Cluster, pod: &Pod, direction: Direction) -> Option<Obj> {
    if pod.spec.host_network {
        return None;
    }
    let list = &cluster.objects.network_policies;
    let start = list.partition_point(|p| p.metadata.namespace < pod.metadata.namespace);
    list.iter()
        .enumerate()
        .skip(start)
        .take_while(|(_, p)| p.metadata.namespace == pod.metadata.namespace)
        .find(|(_, p)| {
            let types = p.spec.policy_types.as_ref();
            let isolates = match direction {
                Direction::Ingress => types.is_none_or(|t| t.iter().any(|x| x == "Ingress")),
                Direction::Egress => types.map_or(p.spec.egress.is_some(), |t| t.iter().any(|x| x == "Egress")),
            };
            isolates && p.spec.pod_selector.matches(&pod.metadata.labels)
        })
        .map(|(i, _)| Obj { kind: Kind::NetworkPolicy, index: i as u32 })
}

/// The pods that a policy selects, in words.
pub fn selected(cluster: &Cluster, policy: Obj) -> String {
    let Some(p) = cluster.objects.network_policies.get(policy.index as usize) else { return String::new() };
    let s = &p.spec.pod_selector;
    let mut parts: Vec<String> = s.match_labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    parts.extend(s.match_expressions.iter().map(|r| format!("{} {} {}", r.key, r.operator, r.values.join(","))));
    if parts.is_empty() { "every pod of the namespace".to_owned() } else { parts.join(", ") }
}
