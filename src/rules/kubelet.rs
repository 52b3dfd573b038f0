//! Who can connect to kubelets, and what that gives with a right at them.
//!
//! Nodes that no policy can tell apart are a group: a pod is asked about one of each.

use std::collections::BTreeMap;

use super::ctx::{Ctx, Emit};
use super::fact::{EVERYWHERE, Fact, Right};
use crate::model::kind::{Kind, Obj};
use crate::netpol::network::{Judged, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::netpol::targets::KUBELET;
use crate::netpol::{Direction, End};

/// Whether something between a pod, or the internet, and a node lets connections to its kubelet pass: not in the data.
const FIREWALL: &str = "kubelet-reachable";

/// Nodes that no policy tells apart.
struct Group {
    /// One of them; none where nodes were not read.
    first: Option<u32>,
    nodes: Vec<u32>,
    /// Whether they have an address of the internet.
    external: bool,
}

/// Emits the ways to kubelets.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    let groups = groups(ctx, network);
    let port = Ports::one(Protocol::Tcp, KUBELET);
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..) {
        let o = Obj { kind: Kind::Pod, index: i };
        let class = network.engine.classes().of.get(i as usize).copied().flatten();
        for c in p.running_containers() {
            let exec = Fact::Exec(i, c.ordinal);
            match class {
                Some(class) => {
                    let e = Emit::scope(Fact::NetClass(class)).from(exec);
                    let ns = p.metadata.namespace.as_str();
                    ctx.emit(e.because(o, "/metadata/namespace", ns, "the pod has a network of its own"));
                }
                None if p.spec.host_network => {
                    let e = Emit::new("net-host-bypass", Fact::NetHost).from(exec);
                    ctx.emit(e.because(o, "/spec/hostNetwork", "true", "the pod is in the network of its node"));
                }
                None => {}
            }
        }
    }
    for (c, class) in network.engine.classes().list.iter().zip(0u32..) {
        let Some(first) = c.pods.first().copied() else { continue };
        for (g, n) in groups.iter().zip(0u32..) {
            let judged = network.judge(End::Pod(first), g.first.map_or(End::Somewhere, End::Node), &port);
            class_to_group(ctx, class, first, n, &judged);
        }
    }
    for (n, i) in ctx.cluster.objects.nodes.iter().zip(0u32..) {
        let o = Obj { kind: Kind::Node, index: i };
        let e = Emit::scope(Fact::NetHost).from(Fact::Node(i));
        ctx.emit(e.because(o, "/metadata/name", n.metadata.name.as_str(), "root on a node is in its network"));
    }
    reached(ctx, &groups);
}

/// From the pods of a class to the kubelets of a group of nodes: each of several unknowns alone opens the way.
fn class_to_group(ctx: &mut Ctx<'_>, class: u32, first: u32, group: u32, judged: &Judged) {
    let decided = judged.events.iter().find(|e| e.direction == Direction::Egress && e.policy.is_some());
    for id in judged.ways() {
        let e = Emit::new("net-pod-to-kubelet", Fact::KubeletsOf(group)).tier(1);
        let e = e.from(Fact::NetClass(class)).maybe(id).unless_known(FIREWALL);
        ctx.emit(match decided.and_then(|d| Some((d, d.policy?))) {
            Some((d, policy)) => {
                let pointer = d.rule.map_or("/spec".to_owned(), |r| r.pointer());
                e.because(policy, pointer, d.ports.to_string(), d.why)
            }
            None => {
                let o = Obj { kind: Kind::Pod, index: first };
                e.because(o, "/metadata/namespace", "", "no policy limits what the pod may connect to")
            }
        });
    }
}

/// What a connection gives.
fn reached(ctx: &mut Ctx<'_>, groups: &[Group]) {
    let Some(anchor) = ctx.anchor() else { return };
    for (g, n) in groups.iter().zip(0u32..) {
        let reach = Fact::KubeletsOf(n);
        let e = Emit::scope(reach).from(Fact::NetHost).unless_known(FIREWALL);
        ctx.emit(e.because(anchor, "/metadata/name", "", "policies do not limit the network of a node"));
        if let Some(first) = g.first.filter(|_| g.external) {
            let o = Obj { kind: Kind::Node, index: first };
            let addresses = ctx.cluster.objects.nodes.get(first as usize).map(|n| &n.status.addresses);
            let place = addresses.and_then(|a| a.iter().position(|a| a.kind == "ExternalIP")).unwrap_or_default();
            let e = Emit::new("entry-kubelet-public", reach).tier(1).from(Fact::Internet).unless_known("node-firewall");
            ctx.emit(e.because(o, format!("/status/addresses/{place}"), "", "the node has an address of the internet"));
        }
        // Both a right and a way are premises of much: they meet in one fact, from which the rest follows.
        let e = Emit::scope(Fact::KubeletCommands(n)).from(Fact::Kubelets).from(reach);
        ctx.emit(e.because(anchor, "/metadata/name", "", "the right and the way to kubelets"));
        let e = Emit::scope(Fact::KubeletLogs(n)).from(Fact::Right(Right::NodesLog, EVERYWHERE)).from(reach);
        ctx.emit(e.because(anchor, "/metadata/name", "", "the right and the way to kubelets"));
        let exec = |f: Fact| Emit::new("kubelet-api-exec", f).from(Fact::KubeletCommands(n)).tier(3);
        if groups.len() == 1 {
            ctx.emit(exec(Fact::AllPods).because(anchor, "/metadata/name", "", "a kubelet runs commands in its pods"));
        } else {
            for node in &g.nodes {
                for p in ctx.pods_of_node.get(*node as usize).cloned().unwrap_or_default() {
                    let Some(pod) = ctx.cluster.objects.pods.get(p as usize).filter(|p| !p.finished()) else {
                        continue;
                    };
                    let o = Obj { kind: Kind::Pod, index: p };
                    let name = pod.spec.node_name.as_str();
                    ctx.emit(exec(Fact::Pod(p)).because(
                        o,
                        "/spec/nodeName",
                        name,
                        "a kubelet runs commands in its pods",
                    ));
                }
            }
        }
        for node in &g.nodes {
            let o = Obj { kind: Kind::Node, index: *node };
            let direct = Emit::scope(Fact::LogsOn(*node)).from(Fact::KubeletLogs(n));
            ctx.emit(direct.because(o, "/metadata/name", "", "the kubelet serves /var/log of the node"));
        }
    }
}

/// Nodes by what policies can tell of them. One group without nodes where none were read.
fn groups(ctx: &Ctx<'_>, network: &Network<'_>) -> Vec<Group> {
    let external = |i: u32| {
        let n = ctx.cluster.objects.nodes.get(i as usize);
        n.is_some_and(|n| n.status.addresses.iter().any(|a| a.kind == "ExternalIP"))
    };
    let mut by: BTreeMap<(bool, u32), Vec<u32>> = BTreeMap::new();
    for i in 0..ctx.cluster.objects.nodes.len() as u32 {
        by.entry((external(i), network.engine.classes().node_group(i))).or_default().push(i);
    }
    if by.is_empty() {
        return vec![Group { first: None, nodes: Vec::new(), external: false }];
    }
    by.into_iter().map(|((external, _), nodes)| Group { first: nodes.first().copied(), nodes, external }).collect()
}
