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
mod matching;
pub mod network;
pub mod plugin;
pub mod ports;
pub mod targets;
mod tiers;

pub use compile::Place;
pub use decide::{Effect, Engine, Event, Flow, Limits, Side};
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
    /// Whether what other nodes send passes the policies of a pod: always, or only where a rule means their addresses.
    /// Without a word it is unknown.
    pub remote_nodes: Option<bool>,
    /// Whose own policies have an effect.
    pub plugin: plugin::Plugin,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            ipblock_matches_pods: true,
            baseline_per_direction: true,
            remote_nodes: None,
            plugin: plugin::Plugin::Theirs,
        }
    }
}
