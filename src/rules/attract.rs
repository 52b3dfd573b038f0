//! Drawing a pod to a node that is held already: removed elsewhere, its controller makes it anew, and the scheduler
//! may place it there.
//!
//! Of a node that is held the attacker has the kubelet's identity, which may set most labels of its own Node object but
//! no taints (`plugin/pkg/admission/noderestriction`). What else steers the scheduler (affinity, capacity, volumes) is
//! the unknown `pod-returns-to-held-node`.

use std::collections::{BTreeMap, BTreeSet};

use super::ctx::{Ctx, Emit};
use super::fact::{EVERYWHERE, Fact, Right};
use crate::model::kind::{Kind, Obj};
use crate::model::objects::Node;
use crate::model::pod::Pod;

/// Reserved labels that a kubelet may set on its own node (`k8s.io/kubelet/pkg/apis/well_known_labels.go`).
const KUBELET_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// Number of the demand that every node meets.
const ANY: u32 = u32::MAX;

/// What a pod asks of a node that the holder of the node cannot arrange: labels, and the taints it tolerates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Demand {
    labels: BTreeMap<String, String>,
    tolerated: BTreeSet<String>,
}

impl Demand {
    fn of(pod: &Pod, taints: &BTreeSet<&str>) -> Self {
        let tolerates = |key: &str| pod.spec.tolerations.iter().any(|t| t.key.is_empty() || t.key == key);
        Demand {
            labels: pod
                .spec
                .node_selector
                .iter()
                .filter(|(k, _)| !kubelet_may_set(k))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            tolerated: taints.iter().filter(|t| tolerates(t)).map(|t| (*t).to_owned()).collect(),
        }
    }

    fn met_by(&self, node: &Node) -> bool {
        // The kubelet may uncordon its node, and writes the status that these taints follow.
        let own = |key: &str| {
            key.strip_prefix("node.kubernetes.io/").is_some_and(|k| {
                k.ends_with("-pressure")
                    || matches!(k, "unschedulable" | "not-ready" | "unreachable" | "network-unavailable")
            })
        };
        let mut hard = node.spec.taints.iter().filter(|t| t.effect != "PreferNoSchedule" && !own(&t.key));
        hard.all(|t| self.tolerated.contains(&t.key))
            && self.labels.iter().all(|(k, v)| node.metadata.labels.get(k) == Some(v))
    }
}

fn kubelet_may_set(label: &str) -> bool {
    let prefix = label.split_once('/').map_or("", |(p, _)| p);
    let under = |d: &str| prefix == d || prefix.ends_with(&format!(".{d}"));
    let reserved = under("kubernetes.io") || under("k8s.io");
    !reserved || KUBELET_LABELS.contains(&label) || under("kubelet.kubernetes.io") || under("node.kubernetes.io")
}

/// Emits the way from an evicted pod to the node that draws it.
pub fn emit(ctx: &mut Ctx<'_>) {
    let taints: BTreeSet<&str> =
        ctx.cluster.objects.nodes.iter().flat_map(|n| &n.spec.taints).map(|t| t.key.as_str()).collect();
    let mut demands: BTreeMap<Demand, u32> = BTreeMap::new();
    let mut drawn: BTreeSet<(u32, u32)> = BTreeSet::new();
    for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
        // A DaemonSet has its pod on every node already.
        let Some(owner) = p.metadata.controller().filter(|o| !matches!(o.kind.as_str(), "DaemonSet" | "Node")) else {
            continue;
        };
        let Some(ns) = ctx.ns(&p.metadata.namespace).filter(|_| !p.finished() && !p.is_mirror()) else { continue };
        let next = demands.len() as u32;
        let demand = *demands.entry(Demand::of(p, &taints)).or_insert(next);
        drawn.insert((ns, demand));
        let o = Obj { kind: Kind::Pod, index: i as u32 };
        let id = format!("pod-returns-to-held-node:{}/{}", p.metadata.namespace, p.owner(ctx.cluster).1);
        let by_name = Fact::Evictable(i as u32);
        let ways = match ctx.facts.find(&by_name) {
            Some(_) => vec![vec![Fact::Drawn(ns, demand)], vec![by_name, Fact::Attract(demand)]],
            None => vec![vec![Fact::Drawn(ns, demand)]],
        };
        for premises in ways {
            let e = Emit::new("evict-and-attract", Fact::Pod(i as u32)).tier(5).unless_known(id.clone());
            let e = premises.into_iter().fold(e, Emit::from);
            ctx.emit(e.because(
                o,
                "/metadata/ownerReferences",
                format!("{} {}", owner.kind, owner.name),
                "the controller makes the pod anew when it is removed",
            ));
        }
    }
    for (ns, demand) in drawn {
        let Some(o) = ctx.namespace_object(ns) else { continue };
        let name = ctx.ns_name(ns).to_owned();
        let right = Emit::scope(Fact::Drawn(ns, demand)).from(Fact::Right(Right::EvictPods, ns));
        let all = Emit::scope(Fact::Drawn(ns, demand)).from(Fact::Drawn(EVERYWHERE, ANY));
        for e in [right.from(Fact::Attract(demand)), all] {
            ctx.emit(e.because(o, "/metadata/name", name.clone(), "pods of this namespace can be removed"));
        }
    }
    // Who may patch nodes taints the others and labels the one that is held.
    if let Some(o) = ctx.anchor() {
        let e = Emit::scope(Fact::Drawn(EVERYWHERE, ANY)).from(Fact::Right(Right::PatchNodes, EVERYWHERE));
        ctx.emit(e.from(Fact::Attract(ANY)).because(o, "/metadata/name", "", "taints remove pods from other nodes"));
    }
    for (i, n) in ctx.cluster.objects.nodes.iter().enumerate() {
        let o = Obj { kind: Kind::Node, index: i as u32 };
        let e = Emit::scope(Fact::Attract(ANY)).from(Fact::Node(i as u32));
        ctx.emit(e.because(o, "/metadata/name", n.metadata.name.clone(), "the node is held"));
    }
    for (demand, number) in &demands {
        for (i, n) in ctx.cluster.objects.nodes.iter().enumerate().filter(|(_, n)| demand.met_by(n)) {
            let o = Obj { kind: Kind::Node, index: i as u32 };
            let e = Emit::scope(Fact::Attract(*number)).from(Fact::Node(i as u32));
            ctx.emit(e.because(o, "/metadata/name", n.metadata.name.clone(), "the pod may be scheduled to this node"));
        }
    }
}
