//! Policies prepared for evaluation: peers are interned, ports are sets.

use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;

use super::Direction;
use super::address::Block;
use super::plugin::{Compiled, Plugin};
use super::ports::{PROTOCOLS, Ports, Protocol};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::network::IntOrString;
use crate::model::policy::{AdminPeer, AdminPolicy, AdminRule, NetworkPolicyPeer, NetworkPolicyPort};
use crate::model::rbac::LabelSelector;

/// Namespaces whose pods a peer means.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Namespaces {
    /// The one of that name.
    One(String),
    /// Those with labels.
    Labelled(LabelSelector),
}

/// What a rule says about the other end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Anything.
    Everyone,
    /// Pods with labels in some namespaces, not those in the network of their node.
    Pods(Namespaces, LabelSelector),
    /// Addresses of an ipBlock.
    Block(Block),
    /// Addresses of an administrator's policy: pods have them too.
    Networks(Block),
    /// Nodes with labels.
    Nodes(LabelSelector),
    /// Outside addresses behind names that only the plugin resolves.
    DomainNames,
    /// Addresses of a block that neither pods nor nodes have, as Cilium's CIDRs mean them.
    Outside(Block),
    /// Every address that neither pods nor nodes have.
    World,
    /// Pods and nodes.
    Cluster,
    /// Some of the nodes: the own one, or the others.
    SomeNodes,
    /// The API server.
    ApiServer,
}

/// How sure it is that something matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// It does not.
    No,
    /// It may.
    Maybe,
    /// It does.
    Yes,
}

/// Where a rule is in its policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// `spec` is 0, `specs[N-1]` is N.
    pub spec: u32,
    /// Name of the list.
    pub list: &'static str,
    /// Index in the list.
    pub index: usize,
}

impl Place {
    /// The rule of a list of the policy's spec.
    pub fn new(direction: Direction, index: usize) -> Self {
        Place { spec: 0, list: direction.name(), index }
    }

    /// JSON pointer to the rule.
    pub fn pointer(&self) -> String {
        match self.spec.checked_sub(1) {
            None => format!("/spec/{}/{}", self.list, self.index),
            Some(n) => format!("/specs/{n}/{}/{}", self.list, self.index),
        }
    }
}

/// Ports of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortSpec {
    /// Numbers.
    pub numbers: Ports,
    /// Names at the destination, with the protocol where one is said.
    pub names: Vec<(String, Option<Protocol>)>,
}

impl PortSpec {
    /// Every port of every protocol.
    pub fn all() -> Self {
        PortSpec { numbers: Ports::all(), names: Vec::new() }
    }

    /// The ports at a destination with these named ports.
    pub fn at(&self, named: &[(String, Protocol, u16)]) -> Ports {
        let hits = named.iter().filter(|(n, p, _)| {
            self.names.iter().any(|(name, protocol)| name == n && protocol.is_none_or(|want| want == *p))
        });
        hits.fold(self.numbers.clone(), |all, (_, p, n)| all.or(&Ports::one(*p, *n)))
    }
}

/// A rule of a NetworkPolicy: peers by number. It has the place of the rule in the object.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Peers, by number.
    pub peers: Vec<u32>,
    /// Ports.
    pub ports: PortSpec,
}

/// A NetworkPolicy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The object.
    pub object: Obj,
    /// Rules by direction; `None` where it does not isolate.
    pub rules: [Option<Vec<Rule>>; 2],
}

/// What a rule of an administrator does with traffic that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Lets it through; NetworkPolicies are not asked.
    Allow,
    /// Drops it.
    Deny,
    /// Leaves it to NetworkPolicies and the baseline.
    Pass,
}

/// A rule of an administrator's policy.
#[derive(Debug, Clone)]
pub struct OrderedRule {
    /// What it does.
    pub action: Action,
    /// Peers, by number.
    pub peers: Vec<u32>,
    /// Ports.
    pub ports: PortSpec,
    /// Place in the policy.
    pub place: Place,
    /// Whether peers and ports are all that the rule asks for.
    pub sure: bool,
}

/// A policy of an administrator: AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.
#[derive(Debug, Clone)]
pub struct Tiered {
    /// The object.
    pub object: Obj,
    /// Evaluated after NetworkPolicies.
    pub baseline: bool,
    /// Lower first.
    pub priority: i32,
    /// Peer that stands for the subject, by number.
    pub subject: Option<u32>,
    /// Rules by direction.
    pub rules: [Vec<OrderedRule>; 2],
}

/// All policies.
#[derive(Debug, Default)]
pub struct Policies {
    /// NetworkPolicies, in the order of their objects: by namespace and name.
    pub standard: Vec<Policy>,
    /// Administrators' policies, first by tier and priority.
    pub tiered: Vec<Tiered>,
    /// Policies of the plugin's own kinds, in the order in which they are asked.
    pub plugin: Vec<Compiled>,
    /// Peers by number.
    pub peers: IndexSet<Peer, FxBuildHasher>,
}

impl Policies {
    /// Prepares the policies of a cluster.
    pub fn new(cluster: &Cluster, plugin: Plugin) -> Self {
        let mut all = Policies::default();
        for (p, index) in cluster.objects.network_policies.iter().zip(0u32..) {
            let types = p.spec.policy_types.as_ref().filter(|t| !t.is_empty());
            // Defaults: Ingress always, Egress when there are egress rules (pkg/apis/networking/v1/defaults.go).
            let isolates = |name: &str, otherwise: bool| types.map_or(otherwise, |t| t.iter().any(|x| x == name));
            let egress = p.spec.egress.as_deref().unwrap_or_default();
            let sides = [
                (isolates("Ingress", true), p.spec.ingress.as_deref().unwrap_or_default(), Direction::Ingress),
                (isolates("Egress", !egress.is_empty()), egress, Direction::Egress),
            ];
            let ns = &p.metadata.namespace;
            let rules = sides.map(|(isolates, rules, direction)| {
                isolates.then(|| {
                    rules
                        .iter()
                        .map(|r| Rule {
                            peers: all.peers_of(ns, if direction == Direction::Ingress { &r.from } else { &r.to }),
                            ports: ports(&r.ports),
                        })
                        .collect()
                })
            });
            all.standard.push(Policy { object: Obj { kind: Kind::NetworkPolicy, index }, rules });
        }
        let o = &cluster.objects;
        for (kind, list) in [
            (Kind::AdminNetworkPolicy, &o.admin_network_policies),
            (Kind::ClusterNetworkPolicy, &o.cluster_network_policies),
            (Kind::BaselineAdminNetworkPolicy, &o.baseline_admin_network_policies),
        ] {
            for (p, index) in list.iter().zip(0u32..) {
                let tiered = all.tiered_of(Obj { kind, index }, p);
                all.tiered.push(tiered);
            }
        }
        // Objects of one kind are sorted by name, so equal priorities stay in a stable order.
        all.tiered.sort_by_key(|t| (t.baseline, t.priority));
        all.plugin = super::plugin::compile(cluster, plugin, &mut all);
        all
    }

    /// The number of a peer.
    pub fn peer(&mut self, peer: Peer) -> u32 {
        self.peers.insert_full(peer).0 as u32
    }

    fn peers_of(&mut self, namespace: &str, peers: &[NetworkPolicyPeer]) -> Vec<u32> {
        if peers.is_empty() {
            return vec![self.peer(Peer::Everyone)];
        }
        let mut out = Vec::new();
        for p in peers {
            // A peer with nothing set is not valid: it matches nothing.
            let peer = match (&p.ip_block, &p.namespace_selector, &p.pod_selector) {
                (Some(b), _, _) => Block::new(b).map(Peer::Block),
                (None, Some(n), s) => Some(Peer::Pods(Namespaces::Labelled(n.clone()), s.clone().unwrap_or_default())),
                (None, None, Some(s)) => Some(Peer::Pods(Namespaces::One(namespace.to_owned()), s.clone())),
                (None, None, None) => None,
            };
            if let Some(peer) = peer {
                out.push(self.peer(peer));
            }
        }
        out
    }

    fn tiered_of(&mut self, object: Obj, p: &AdminPolicy) -> Tiered {
        let (subject, _) = self.admin_peers(std::slice::from_ref(&p.spec.subject));
        let mut rules = |list: &[AdminRule], d: Direction| -> Vec<OrderedRule> {
            let peers = |r: &AdminRule| if d == Direction::Egress { r.to.clone() } else { r.from.clone() };
            let all = list.iter().enumerate();
            all.filter_map(|(n, r)| self.ordered(r, &peers(r), Place::new(d, n))).collect()
        };
        let rules = [rules(&p.spec.ingress, Direction::Ingress), rules(&p.spec.egress, Direction::Egress)];
        let baseline = object.kind == Kind::BaselineAdminNetworkPolicy || p.spec.tier == "Baseline";
        Tiered { object, baseline, priority: p.spec.priority, subject: subject.first().copied(), rules }
    }

    /// A rule with an action that is none is not valid and does nothing.
    fn ordered(&mut self, r: &AdminRule, peers: &[AdminPeer], place: Place) -> Option<OrderedRule> {
        let action = match r.action.as_str() {
            "Allow" | "Accept" => Action::Allow,
            "Deny" => Action::Deny,
            "Pass" => Action::Pass,
            _ => return None,
        };
        let (known, unknown) = self.admin_peers(peers);
        // A peer of a kind that a plugin does not know fails closed: Allow matches nothing, the others deny everything
        // (network-policy-api, "fail closed").
        let (action, peers) = match action {
            Action::Deny | Action::Pass if unknown => (Action::Deny, vec![self.peer(Peer::Everyone)]),
            _ => (action, known),
        };
        Some(OrderedRule { action, peers, ports: admin_ports(r, action), place, sure: true })
    }

    /// Numbers of the peers, and whether one says nothing that is known.
    fn admin_peers(&mut self, peers: &[AdminPeer]) -> (Vec<u32>, bool) {
        let mut out = Vec::new();
        let mut unknown = false;
        for p in peers {
            let before = out.len();
            if let Some(n) = &p.namespaces {
                out.push(self.peer(Peer::Pods(Namespaces::Labelled(n.clone()), LabelSelector::default())));
            }
            if let Some(x) = &p.pods {
                let namespaces = Namespaces::Labelled(x.namespace_selector.clone());
                out.push(self.peer(Peer::Pods(namespaces, x.pod_selector.clone())));
            }
            if let Some(n) = &p.nodes {
                out.push(self.peer(Peer::Nodes(n.clone())));
            }
            for cidr in p.networks.iter().flatten() {
                let block = crate::model::policy::IpBlock { cidr: cidr.clone(), except: Vec::new() };
                if let Some(b) = Block::new(&block) {
                    out.push(self.peer(Peer::Networks(b)));
                }
            }
            if p.domain_names.is_some() {
                out.push(self.peer(Peer::DomainNames));
            }
            unknown |= out.len() == before && p.networks.is_none();
        }
        (out, unknown)
    }
}

fn number(n: i32) -> Option<u16> {
    u16::try_from(n).ok().filter(|n| *n > 0)
}

fn ports(list: &[NetworkPolicyPort]) -> PortSpec {
    if list.is_empty() {
        return PortSpec::all();
    }
    let mut spec = PortSpec::default();
    for p in list {
        let Some(protocol) = Protocol::parse(&p.protocol) else { continue };
        match &p.port {
            None => spec.numbers = spec.numbers.or(&Ports::range(protocol, 0, u16::MAX)),
            Some(IntOrString::Int(n)) => {
                if let (Some(first), Some(last)) = (number(*n), number(p.end_port.unwrap_or(*n))) {
                    spec.numbers = spec.numbers.or(&Ports::range(protocol, first, last));
                }
            }
            Some(IntOrString::Str(name)) => spec.names.push((name.clone(), Some(protocol))),
        }
    }
    spec
}

/// Ports of an administrator's rule. An entry that says nothing known matches nothing in a rule that allows, and
/// everything in one that denies.
fn admin_ports(r: &AdminRule, action: Action) -> PortSpec {
    if r.ports.is_empty() && r.protocols.is_empty() {
        return PortSpec::all();
    }
    let mut spec = PortSpec::default();
    let mut unknown = false;
    let mut add = |numbers: Option<Ports>| match numbers {
        Some(n) => spec.numbers = spec.numbers.or(&n),
        None => unknown = true,
    };
    let span = |protocol: Protocol, a: i32, b: i32| Some(Ports::range(protocol, number(a)?, number(b)?));
    for p in &r.ports {
        match (&p.port_number, &p.port_range, &p.named_port) {
            (Some(n), _, _) => add(Protocol::parse(&n.protocol).and_then(|x| span(x, n.port, n.port))),
            (_, Some(n), _) => add(Protocol::parse(&n.protocol).and_then(|x| span(x, n.start, n.end))),
            (_, _, Some(_)) => {}
            _ => add(None),
        }
    }
    for p in &r.protocols {
        let each = [&p.tcp, &p.udp, &p.sctp];
        for (x, d) in PROTOCOLS.into_iter().zip(each).filter_map(|(x, d)| Some((x, d.as_ref()?))) {
            add(match &d.destination_port {
                None => Some(Ports::range(x, 0, u16::MAX)),
                Some(n) => match (n.number, &n.range) {
                    (Some(n), _) => span(x, n, n),
                    (None, Some(r)) => span(x, r.start, r.end),
                    (None, None) => None,
                },
            });
        }
        if each.iter().all(|d| d.is_none()) && p.destination_named_port.is_none() {
            add(None);
        }
    }
    let names = r.ports.iter().filter_map(|p| p.named_port.clone());
    let names = names.chain(r.protocols.iter().filter_map(|p| p.destination_named_port.clone()));
    spec.names = names.map(|n| (n, None)).collect();
    if unknown && action != Action::Allow { PortSpec::all() } else { spec }
}
