//! Connections between pods, for the threat model in which what a pod can connect to can be compromised.
//!
//! No pair of pods is stored: a class stands for its pods, a peer of a rule for the classes that it means. Only where both
//! sides are limited is a pair of classes looked at, because ports must fit (`egress ∩ ingress`).

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;

use super::ctx::{Ctx, Emit};
use super::fact::Fact;
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;
use crate::netpol::classes::in_block;
use crate::netpol::compile::{Peer, PortSpec, Rule};
use crate::netpol::enforce::Enforcement;
use crate::netpol::network::{Allowed, CNI_ENFORCES, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::netpol::{Direction, Effect, End, Limits};

/// Assumption under which what another pod connects to can be compromised.
pub const LATERAL: &str = "lateral-exploitable";

/// Pairs of classes that are looked at; beyond that the rest is unknown.
const PAIRS: usize = 300_000;

/// Unknown whether a pod without an address will get one that a rule names.
const ADDRESS: &str = "pod-address-in-block";

/// Unknown for pairs that were not looked at.
const TOO_MANY: &str = "network-pairs-allowed";

/// Ports that a pod serves: those that it declares, or any.
fn serves(p: &Pod) -> Ports {
    let declared = p
        .running_containers()
        .flat_map(|c| c.container.ports.clone())
        .filter_map(|x| Some(Ports::one(Protocol::parse(&x.protocol)?, u16::try_from(x.container_port).ok()?)));
    let all = declared.fold(Ports::none(), |all, p| all.or(&p));
    if all.is_empty() { Ports::all() } else { all }
}

/// Labels of a pod in words.
fn words(pods: &[Pod], p: u32) -> String {
    let labels = pods.get(p as usize).into_iter().flat_map(|p| &p.metadata.labels);
    labels.map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

/// Pods of each class by the ports that they serve.
fn groups(ctx: &Ctx<'_>, network: &Network<'_>) -> BTreeMap<u32, Vec<Group>> {
    let mut out: BTreeMap<u32, Vec<Group>> = BTreeMap::new();
    let mut number = 0;
    for (class, c) in (0u32..).zip(&network.engine.classes().list) {
        let mut by_ports: BTreeMap<Ports, Vec<u32>> = BTreeMap::new();
        for p in &c.pods {
            if let Some(pod) = ctx.cluster.objects.pods.get(*p as usize) {
                by_ports.entry(serves(pod)).or_default().push(*p);
            }
        }
        for (serves, pods) in by_ports {
            out.entry(class).or_default().push(Group { number, serves, pods });
            number += 1;
        }
    }
    out
}

struct Lateral<'a, 'c> {
    network: &'a Network<'c>,
    /// What limits each class, by direction.
    limits: [Vec<Limits<'a>>; 2],
    /// Nodes with pods in their network, by name: number and one of these pods.
    nodes: BTreeMap<&'c str, (u32, u32)>,
    /// Peer and ports of an egress rule, by number.
    destinations: BTreeMap<(u32, PortSpec), u32>,
    pairs: usize,
    /// The id where policies were not read, or not all: what is open may be limited.
    unread: Option<String>,
    /// Pods of each class by the ports that they serve: number and pods.
    groups: BTreeMap<u32, Vec<Group>>,
    /// Groups that something connects to.
    used: BTreeSet<u32>,
}

/// Pods of one class that serve the same ports.
#[derive(Debug, Clone)]
struct Group {
    number: u32,
    serves: Ports,
    pods: Vec<u32>,
}

/// Emits the connections.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    let open = matches!(network.enforcement, Enforcement::No(..));
    let count = network.engine.classes().list.len() as u32;
    let limits = [Direction::Ingress, Direction::Egress]
        .map(|d| (0..count).map(|c| if open { Limits::Open } else { network.engine.limits(c, d) }).collect());
    let mut nodes: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| p.spec.host_network && !p.finished()) {
        let next = nodes.len() as u32;
        nodes.entry(p.spec.node_name.as_str()).or_insert((next, i));
    }
    let mut l = Lateral {
        network,
        limits,
        nodes,
        destinations: BTreeMap::new(),
        pairs: 0,
        unread: network.unread().filter(|_| !open).map(str::to_owned),
        groups: groups(ctx, network),
        used: BTreeSet::new(),
    };
    positions(ctx, &l);
    let peers = l.incoming(ctx);
    l.members(ctx, &peers);
    l.outgoing(ctx);
    l.both(ctx);
    l.hosts(ctx);
    l.group_members(ctx);
    l.opened(ctx);
    l.published(ctx);
    l.cut(ctx);
    l.unenforced(ctx);
    exploit(ctx);
}

fn pod_of(p: u32) -> Obj {
    Obj { kind: Kind::Pod, index: p }
}

/// Where each container connects from.
fn positions(ctx: &mut Ctx<'_>, l: &Lateral<'_, '_>) {
    // NetClass and NetHost come from rules::kubelet.
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| p.spec.host_network) {
        let Some((n, _)) = l.nodes.get(p.spec.node_name.as_str()) else { continue };
        for c in p.running_containers() {
            let e = Emit::scope(Fact::NetNode(*n)).from(Fact::Exec(i, c.ordinal));
            ctx.emit(e.because(pod_of(i), "/spec/hostNetwork", "true", "the pod is in the network of its node"));
        }
    }
    let Some(anchor) = ctx.anchor() else { return };
    let e = Emit::scope(Fact::NetOpen).from(Fact::NetHost);
    ctx.emit(e.because(anchor, "/metadata/name", "", "policies do not limit the network of a node"));
    for (class, limits) in (0u32..).zip(&l.limits[Direction::Egress as usize]) {
        let first = l.network.engine.classes().get(class).and_then(|c| c.pods.first());
        if let (Limits::Open, Some(first)) = (limits, first) {
            let e = Emit::scope(Fact::NetOpen).from(Fact::NetClass(class));
            let e = e.maybe(l.unread.clone());
            ctx.emit(e.because(
                pod_of(*first),
                "/metadata/namespace",
                "",
                "no policy limits what the pod may connect to",
            ));
        }
    }
}

/// An instance of the technique.
fn connect(pod: u32) -> Emit<'static> {
    Emit::new("net-pod-to-pod", Fact::Connect(pod)).tier(3)
}

impl<'a> Lateral<'a, '_> {
    fn limits(&self, class: u32, d: Direction) -> Option<&Limits<'a>> {
        self.limits.get(d as usize).and_then(|l| l.get(class as usize))
    }

    fn pods(&self, class: u32) -> &'a [u32] {
        self.network.engine.classes().get(class).map_or(&[], |c| c.pods.as_slice())
    }

    fn named(&self, class: u32) -> &'a [(String, Protocol, u16)] {
        self.network.engine.classes().get(class).map_or(&[], |c| c.named.as_slice())
    }

    /// What lets connections in, for sources that nothing limits. Returns the peers that rules mean.
    fn incoming(&self, ctx: &mut Ctx<'_>) -> BTreeSet<u32> {
        let mut peers = BTreeSet::new();
        for class in 0..self.network.engine.classes().list.len() as u32 {
            for p in self.pods(class) {
                let Some(pod) = ctx.cluster.objects.pods.get(*p as usize) else { continue };
                let serves = serves(pod);
                match self.limits(class, Direction::Ingress) {
                    Some(Limits::Open) => {
                        let ns = pod.metadata.namespace.clone();
                        let e = connect(*p).from(Fact::NetOpen).maybe(self.unread.clone());
                        ctx.emit(e.because(
                            pod_of(*p),
                            "/metadata/namespace",
                            ns,
                            "no policy limits who may connect to the pod",
                        ));
                    }
                    Some(Limits::Rules(rules)) => self.by_rules(ctx, class, *p, &serves, rules, &mut peers),
                    _ => {}
                }
                // A node always reaches its own pods.
                let node = self.nodes.get(pod.spec.node_name.as_str()).filter(|_| !pod.spec.node_name.is_empty());
                let open = matches!(self.limits(class, Direction::Ingress), Some(Limits::Open));
                if let Some((n, _)) = node.filter(|_| !open) {
                    let denies = self.network.engine.may_deny_own_node(*p);
                    let denies = denies.and_then(|o| ctx.meta(o)).map(|m| format!("netpol-allows:{}", m.path()));
                    let e = connect(*p).from(Fact::NetNode(*n)).maybe(denies);
                    ctx.emit(e.because(
                        pod_of(*p),
                        "/spec/nodeName",
                        pod.spec.node_name.clone(),
                        "a node reaches its own pods",
                    ));
                }
            }
        }
        peers
    }

    fn by_rules(
        &self,
        ctx: &mut Ctx<'_>,
        class: u32,
        p: u32,
        serves: &Ports,
        rules: &[(Obj, usize, &Rule)],
        peers: &mut BTreeSet<u32>,
    ) {
        for (policy, n, r) in rules {
            let ports = r.ports.at(self.named(class)).and(serves);
            if ports.is_empty() {
                continue;
            }
            for peer in &r.peers {
                peers.insert(*peer);
                let e = connect(p).from(Fact::NetFrom(*peer));
                ctx.emit(e.because(
                    *policy,
                    format!("/spec/ingress/{n}"),
                    ports.to_string(),
                    "the rule lets the connection in",
                ));
            }
        }
        // What other nodes send passes on some plugins and not on others.
        let isolating = self.network.engine.policies_of(class, Direction::Ingress);
        if let Some(policy) = isolating.first() {
            let name = ctx.meta(*policy).map(crate::model::meta::Meta::path).unwrap_or_default();
            let e = connect(p).from(Fact::NetHost).unless_known(format!("netpol-allows:{name}"));
            ctx.emit(e.because(*policy, "/spec/podSelector", "", "plugins differ on traffic from another node"));
        }
    }

    /// Which sources that nothing limits a peer means.
    fn members(&self, ctx: &mut Ctx<'_>, peers: &BTreeSet<u32>) {
        let Some(anchor) = ctx.anchor() else { return };
        for peer in peers {
            if matches!(self.network.engine.peer(*peer), Some(Peer::Everyone)) {
                let e = Emit::scope(Fact::NetFrom(*peer)).from(Fact::NetOpen);
                ctx.emit(e.because(anchor, "/metadata/name", "", "the rule names no source, so it means every one"));
                continue;
            }
            if let Some(Peer::Block(b)) = self.network.engine.peer(*peer) {
                for (n, p) in self.nodes.values() {
                    let own: Vec<std::net::IpAddr> = self.network.engine.addresses(End::Pod(*p)).collect();
                    if in_block(b, &own) == Some(true) {
                        let e = Emit::scope(Fact::NetFrom(*peer)).from(Fact::NetNode(*n));
                        ctx.emit(e.because(pod_of(*p), "/spec/nodeName", "", "the rule names the address of the node"));
                    }
                }
            }
            let Some((sure, maybe)) = self.network.engine.classes().members.get(*peer as usize) else { continue };
            for (set, unknown) in [(sure, None), (maybe, self.undecided(*peer))] {
                for class in set {
                    let first = self.pods(class).first();
                    if let (Some(Limits::Open), Some(first)) = (self.limits(class, Direction::Egress), first) {
                        let e = Emit::scope(Fact::NetFrom(*peer)).from(Fact::NetClass(class)).maybe(unknown.clone());
                        let labels = words(&ctx.cluster.objects.pods, *first);
                        ctx.emit(e.because(pod_of(*first), "/metadata/labels", labels, "the rule means the pod"));
                    }
                }
            }
        }
    }

    /// What decides whether a peer that perhaps means a pod does.
    fn undecided(&self, peer: u32) -> Option<String> {
        let by_address = matches!(self.network.engine.peer(peer), Some(Peer::Block(_) | Peer::Networks(_)));
        Some(if by_address { ADDRESS } else { "unread:Namespace" }.to_owned())
    }

    fn destination(&mut self, peer: u32, ports: &PortSpec) -> u32 {
        let next = self.destinations.len() as u32;
        *self.destinations.entry((peer, ports.clone())).or_insert(next)
    }

    /// Sources that policies limit, to destinations that nothing limits.
    fn outgoing(&mut self, ctx: &mut Ctx<'_>) {
        let mut steps = Vec::new();
        for class in 0..self.network.engine.classes().list.len() as u32 {
            let Some(Limits::Rules(rules)) = self.limits(class, Direction::Egress) else { continue };
            let all: Vec<(Obj, usize, u32, PortSpec)> = rules
                .iter()
                .flat_map(|(policy, n, r)| r.peers.iter().map(move |p| (*policy, *n, *p, r.ports.clone())))
                .collect();
            steps.extend(all.into_iter().map(|x| (class, x)));
        }
        for (class, (policy, n, peer, ports)) in steps {
            let to = self.destination(peer, &ports);
            let e = Emit::scope(Fact::NetTo(to)).from(Fact::NetClass(class));
            let text = ports.numbers.to_string();
            ctx.emit(e.because(policy, format!("/spec/egress/{n}"), text, "the rule lets the connection out"));
        }
        let all: Vec<((u32, PortSpec), u32)> = self.destinations.iter().map(|(k, n)| (k.clone(), *n)).collect();
        for ((peer, ports), n) in all {
            let Some((sure, maybe)) = self.network.engine.classes().members.get(peer as usize) else { continue };
            for (set, unknown) in [(sure, None), (maybe, self.undecided(peer))] {
                for class in set.iter().filter(|c| matches!(self.limits(*c, Direction::Ingress), Some(Limits::Open))) {
                    let at = ports.at(self.named(class));
                    for p in self.pods(class) {
                        let Some(pod) = ctx.cluster.objects.pods.get(*p as usize) else { continue };
                        if at.and(&serves(pod)).is_empty() {
                            continue;
                        }
                        let ns = pod.metadata.namespace.clone();
                        let e = connect(*p).from(Fact::NetTo(n)).maybe(unknown.clone()).maybe(self.unread.clone());
                        ctx.emit(e.because(
                            pod_of(*p),
                            "/metadata/namespace",
                            ns,
                            "no policy limits who may connect to the pod",
                        ));
                    }
                }
            }
        }
    }

    /// Destinations that an egress-limited class could have: those that a peer of its rules means.
    fn candidates(&self, class: u32) -> RoaringBitmap {
        let all = || (0..self.network.engine.classes().list.len() as u32).collect::<RoaringBitmap>();
        match self.limits(class, Direction::Egress) {
            Some(Limits::Rules(rules)) => {
                let mut out = RoaringBitmap::new();
                for peer in rules.iter().flat_map(|(_, _, r)| &r.peers) {
                    if let Some((sure, maybe)) = self.network.engine.classes().members.get(*peer as usize) {
                        out |= sure;
                        out |= maybe;
                    }
                }
                out
            }
            _ => all(),
        }
    }

    /// Pairs of classes of which both are limited, or one by administrators.
    fn both(&mut self, ctx: &mut Ctx<'_>) {
        let count = self.network.engine.classes().list.len() as u32;
        let limited = |l: &Self, c: u32, d| !matches!(l.limits(c, d), Some(Limits::Open));
        let mixed = |l: &Self, c: u32, d| matches!(l.limits(c, d), Some(Limits::Mixed));
        let into: RoaringBitmap = (0..count).filter(|c| limited(self, *c, Direction::Ingress)).collect();
        let into_mixed: RoaringBitmap = (0..count).filter(|c| mixed(self, *c, Direction::Ingress)).collect();
        for from in 0..count {
            // A source that nothing limits was done above, but for destinations of administrators.
            let to = match self.limits(from, Direction::Egress) {
                Some(Limits::Open) => into_mixed.clone(),
                Some(Limits::Rules(_)) => self.candidates(from) & (&into | &into_mixed),
                _ => self.candidates(from),
            };
            let Some(a) = self.pods(from).first().copied() else { continue };
            for class in to {
                self.pairs += 1;
                if self.pairs > PAIRS {
                    break;
                }
                self.pair(ctx, from, a, class);
            }
        }
    }

    /// Pods in the network of their node as destinations: nothing limits what comes in.
    fn hosts(&mut self, ctx: &mut Ctx<'_>) {
        let hosts = ctx.cluster.objects.pods.iter().zip(0u32..);
        let hosts: Vec<u32> = hosts.filter(|(p, _)| p.spec.host_network && !p.finished()).map(|(_, i)| i).collect();
        for p in &hosts {
            let e = connect(*p).from(Fact::NetOpen);
            ctx.emit(e.because(pod_of(*p), "/spec/hostNetwork", "true", "policies do not limit the network of a node"));
        }
        // From the network of a node to pods that administrators limit.
        let nodes: Vec<(&str, u32, u32)> = self.nodes.iter().map(|(name, (n, p))| (*name, *n, *p)).collect();
        for to in 0..self.network.engine.classes().list.len() as u32 {
            if !matches!(self.limits(to, Direction::Ingress), Some(Limits::Mixed)) {
                continue;
            }
            for g in self.groups.get(&to).cloned().unwrap_or_default() {
                for (name, n, p) in &nodes {
                    // Its own pods a node reaches in any case.
                    let other = |q: &&u32| {
                        ctx.cluster.objects.pods.get(**q as usize).is_some_and(|q| q.spec.node_name != *name)
                    };
                    let Some(q) = g.pods.iter().find(other).copied() else { continue };
                    self.pairs += 1;
                    if self.pairs <= PAIRS {
                        self.connects(ctx, Fact::NetNode(*n), *p, q, &g.serves, Fact::NetInto(g.number));
                    }
                }
            }
        }
        for from in 0..self.network.engine.classes().list.len() as u32 {
            if matches!(self.limits(from, Direction::Egress), Some(Limits::Open)) {
                continue;
            }
            let Some(a) = self.pods(from).first().copied() else { continue };
            for p in &hosts {
                self.pairs += 1;
                if self.pairs <= PAIRS {
                    let serves = ctx.cluster.objects.pods.get(*p as usize).map_or_else(Ports::all, serves);
                    self.connects(ctx, Fact::NetClass(from), a, *p, &serves, Fact::Connect(*p));
                }
            }
        }
    }

    fn pair(&mut self, ctx: &mut Ctx<'_>, from: u32, a: u32, to: u32) {
        // A pod is no other end for itself: another of its class asks for it.
        let second = self.pods(from).get(1).copied();
        for g in self.groups.get(&to).cloned().unwrap_or_default() {
            let asked = match (g.pods.iter().find(|p| **p != a), second) {
                (Some(p), _) => Some((a, *p)),
                (None, Some(b)) => g.pods.first().map(|p| (b, *p)),
                (None, None) => None,
            };
            if let Some((a, p)) = asked {
                self.connects(ctx, Fact::NetClass(from), a, p, &g.serves, Fact::NetInto(g.number));
            }
        }
    }

    /// From groups to their pods.
    fn group_members(&self, ctx: &mut Ctx<'_>) {
        for g in self.groups.values().flatten().filter(|g| self.used.contains(&g.number)) {
            for p in &g.pods {
                let ns = ctx.cluster.objects.pods.get(*p as usize).map(|p| p.metadata.namespace.clone());
                let e = connect(*p).from(Fact::NetInto(g.number));
                ctx.emit(e.because(
                    pod_of(*p),
                    "/metadata/namespace",
                    ns.unwrap_or_default(),
                    "the pod is one of those that are alike",
                ));
            }
        }
    }

    fn connects(&mut self, ctx: &mut Ctx<'_>, from: Fact, a: u32, p: u32, serves: &Ports, to: Fact) {
        let judged = self.network.judge(End::Pod(a), End::Pod(p), serves);
        if judged.allowed == Allowed::No || judged.unknowns == [CNI_ENFORCES] {
            return;
        }
        if let Fact::NetInto(n) = to {
            self.used.insert(n);
        }
        let step = if matches!(to, Fact::Connect(_)) { connect(p) } else { Emit::scope(to) };
        let mut e = step.from(from);
        for id in &judged.unknowns {
            e = e.unless_known(id.clone());
        }
        let mut cited = false;
        for d in [Direction::Egress, Direction::Ingress] {
            if let Some((x, policy)) = judged
                .events
                .iter()
                .filter(|x| x.direction == d && (x.effect != Effect::Denied || judged.allowed != Allowed::Yes))
                .find_map(|x| Some((x, x.policy?)))
            {
                cited = true;
                let pointer = x.rule.map_or("/spec".to_owned(), |r| r.pointer());
                e = e.because(policy, pointer, x.ports.to_string(), x.why);
            }
        }
        if !cited {
            e = e.because(pod_of(p), "/metadata/namespace", "", "no policy forbids it");
        }
        ctx.emit(e);
    }

    /// Who can change policies is not kept apart by them; those of administrators stay.
    fn opened(&self, ctx: &mut Ctx<'_>) {
        for class in 0..self.network.engine.classes().list.len() as u32 {
            let Some(c) = self.network.engine.classes().get(class) else { continue };
            let namespace = self.network.engine.classes().namespaces.get(c.namespace as usize);
            let Some((name, ns)) = namespace.and_then(|n| Some((n.name.clone(), ctx.ns(&n.name)?))) else { continue };
            for d in [Direction::Ingress, Direction::Egress] {
                // What the attacker changes may not be all that limits the pod where policies of other kinds do.
                let mixed = match self.limits(class, d) {
                    Some(Limits::Rules(_)) => false,
                    Some(Limits::Mixed) => true,
                    _ => continue,
                };
                let policies = self.network.engine.policies_of(class, d);
                let Some(first) = policies.first().copied() else { continue };
                if mixed && self.network.engine.shut(class, d) {
                    continue;
                }
                let unknown = mixed.then(|| {
                    let others = policies.iter().find(|p| p.kind != Kind::NetworkPolicy).unwrap_or(&first);
                    format!(
                        "netpol-allows:{}",
                        ctx.meta(*others).map(crate::model::meta::Meta::path).unwrap_or_default()
                    )
                });
                let mut ways = vec![Fact::PoliciesOff(ns), Fact::PoliciesOff(super::fact::EVERYWHERE)];
                ways.push(Fact::OrderedPoliciesOff);
                let pointer = match first.kind {
                    Kind::NetworkPolicy => "/spec/podSelector",
                    _ => "/metadata/name",
                };
                // One policy alone: it is enough to take that one away.
                let alone = policies.len() == 1 && first.kind == Kind::NetworkPolicy;
                ways.extend(Some(Fact::PolicyGone(first.index)).filter(|_| alone));
                ways.retain(|w| ctx.facts.find(w).is_some());
                for way in ways {
                    let why = "the policy can be changed or overruled";
                    match d {
                        Direction::Ingress => {
                            for p in self.pods(class) {
                                let e = connect(*p).from(way).from(Fact::NetOpen).maybe(unknown.clone());
                                ctx.emit(e.because(first, pointer, name.clone(), why));
                            }
                        }
                        Direction::Egress => {
                            let e = Emit::scope(Fact::NetOpen).from(way).from(Fact::NetClass(class));
                            let e = e.maybe(unknown.clone());
                            ctx.emit(e.because(first, pointer, name.clone(), why));
                        }
                    }
                }
            }
        }
    }

    /// Who can publish pods connects to them from outside, where policies let the internet in.
    fn published(&self, ctx: &mut Ctx<'_>) {
        for (c, class) in self.network.engine.classes().list.iter().zip(0u32..) {
            let name = self.network.engine.classes().namespaces.get(c.namespace as usize).map(|n| n.name.as_str());
            let Some(ns) = name.and_then(|n| ctx.ns(n)) else { continue };
            let ways = [Fact::Publishes(ns), Fact::Publishes(super::fact::EVERYWHERE)];
            let ways: Vec<Fact> = ways.into_iter().filter(|w| ctx.facts.find(w).is_some()).collect();
            if ways.is_empty() {
                continue;
            }
            for g in self.groups.get(&class).into_iter().flatten() {
                let Some(first) = g.pods.first() else { continue };
                let mut judged = self.network.judge(End::Internet, End::Pod(*first), &g.serves);
                if judged.allowed == Allowed::No {
                    // What comes through a controller or a node has another source: its policies may let that in.
                    let policy = self.network.engine.policies_of(class, Direction::Ingress).into_iter().next();
                    let Some(path) = policy.and_then(|o| ctx.meta(o)).map(crate::model::meta::Meta::path) else {
                        continue;
                    };
                    judged.unknowns = vec![format!("netpol-allows:{path}")];
                }
                for (p, way) in g.pods.iter().flat_map(|p| ways.iter().map(move |w| (*p, *w))) {
                    let e = connect(p).from(way).unless_all_known(&judged.unknowns);
                    ctx.emit(e.because(pod_of(p), "/metadata/namespace", "", "a new object can publish the pod"));
                }
            }
        }
    }

    /// Pairs beyond the limit are not known.
    fn cut(&self, ctx: &mut Ctx<'_>) {
        if self.pairs <= PAIRS {
            return;
        }
        let Some(anchor) = ctx.anchor() else { return };
        for class in 0..self.network.engine.classes().list.len() as u32 {
            let e = Emit::scope(Fact::NetUnenforced).from(Fact::NetClass(class)).unless_known(TOO_MANY);
            ctx.emit(e.because(anchor, "/metadata/name", "", "too many pairs of limited pods were not looked at"));
        }
        self.anywhere(ctx);
    }

    /// Without a plugin that enforces them, policies keep nothing apart.
    fn unenforced(&self, ctx: &mut Ctx<'_>) {
        let Some(anchor) = ctx.anchor().filter(|_| matches!(self.network.enforcement, Enforcement::Unknown(_))) else {
            return;
        };
        let open = |d: usize| self.limits.get(d).is_none_or(|l| l.iter().all(|x| matches!(x, Limits::Open)));
        if open(0) && open(1) {
            return;
        }
        for class in 0..self.network.engine.classes().list.len() as u32 {
            let e = Emit::scope(Fact::NetUnenforced).from(Fact::NetClass(class)).unless_known(CNI_ENFORCES);
            ctx.emit(e.because(anchor, "/metadata/name", "", "no network plugin is known to enforce policies"));
        }
        self.anywhere(ctx);
    }

    fn anywhere(&self, ctx: &mut Ctx<'_>) {
        for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| !p.finished()) {
            let e = connect(i).from(Fact::NetUnenforced);
            let ns = p.metadata.namespace.clone();
            ctx.emit(e.because(pod_of(i), "/metadata/namespace", ns, "the pod has an address"));
        }
    }
}

/// What can be connected to can be compromised.
fn exploit(ctx: &mut Ctx<'_>) {
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..) {
        let connect = Fact::Connect(i);
        if ctx.facts.find(&connect).is_none() {
            continue;
        }
        super::entry::exploit(ctx, i, p, connect, LATERAL);
    }
}
