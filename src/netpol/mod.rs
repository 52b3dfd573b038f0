//! Network policy: for now only whether any policy limits what a pod may connect to.

use crate::model::cluster::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;

/// The first policy, by name, that isolates the pod for egress; `None` when none selects it.
///
/// A policy isolates for egress when `policyTypes` has Egress, or when it has egress rules and no `policyTypes`
/// (`networking.k8s.io/v1`, NetworkPolicySpec).
pub fn egress_policy(cluster: &Cluster, pod: &Pod) -> Option<Obj> {
    let list = &cluster.objects.network_policies;
    let start = list.partition_point(|p| p.metadata.namespace < pod.metadata.namespace);
    list.iter()
        .enumerate()
        .skip(start)
        .take_while(|(_, p)| p.metadata.namespace == pod.metadata.namespace)
        .find(|(_, p)| {
            let types = p.spec.policy_types.as_ref();
            let egress = types.map_or(p.spec.egress.is_some(), |t| t.iter().any(|x| x == "Egress"));
            egress && p.spec.pod_selector.matches(&pod.metadata.labels)
        })
        .map(|(i, _)| Obj { kind: Kind::NetworkPolicy, index: i as u32 })
}
