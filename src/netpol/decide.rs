//! The verdict on one connection, side by side, with what decided it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::address::{Number, address, is_public};
use super::classes::Classes;
use super::compile::{Action, Match, Namespaces, OrderedRule, Peer, Place, Policies, Rule};
use super::end::{Directory, End, Party};
use super::plugin::{self, Compiled, Stage};
use super::ports::Ports;
use super::targets::api_server;
use super::{Direction, Settings};
use crate::model::Cluster;
use crate::model::kind::Obj;

/// Ports that one side lets through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    /// For sure.
    pub must: Ports,
    /// For sure or perhaps.
    pub may: Ports,
}

/// Ports that both sides let through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flow {
    /// The source's side.
    pub egress: Side,
    /// The destination's side.
    pub ingress: Side,
}

impl Flow {
    /// Ports that connect for sure.
    pub fn must(&self) -> Ports {
        self.egress.must.and(&self.ingress.must)
    }

    /// Ports that connect for sure or perhaps.
    pub fn may(&self) -> Ports {
        self.egress.may.and(&self.ingress.may)
    }
}

/// What something did to ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Let them through.
    Allowed,
    /// Dropped them.
    Denied,
    /// Left them to the next tier.
    Passed,
    /// Cannot be told.
    Unknown,
}

/// One thing that happened on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Side.
    pub direction: Direction,
    /// Effect.
    pub effect: Effect,
    /// Ports it happened to.
    pub ports: Ports,
    /// Policy, if one did it.
    pub policy: Option<Obj>,
    /// Rule of the policy; none for its being there.
    pub rule: Option<Place>,
    /// Short phrase.
    pub why: &'static str,
}

/// Policies that are about a class.
#[derive(Debug, Default, Clone)]
pub(super) struct Profile {
    /// NetworkPolicies that isolate it, by number and direction.
    pub(super) standard: [Vec<u32>; 2],
    /// Administrators' policies in order, and whether it is sure.
    tiered: Vec<(u32, bool)>,
    /// Policies of the plugin's own kinds that are about it, by number and direction.
    pub(super) plugin: [Vec<u32>; 2],
    /// Those of which it is not known what they do.
    unknown: [Vec<u32>; 2],
}

/// What limits a class in one direction.
#[derive(Debug)]
pub enum Limits<'e> {
    /// Nothing.
    Open,
    /// NetworkPolicies: what none of these rules allows is denied. Each is policy, place, rule.
    Rules(Vec<(Obj, usize, &'e Rule)>),
    /// Administrators' policies too: only a pair of ends tells.
    Mixed,
}

/// The network policies of a cluster, ready for questions.
#[derive(Debug)]
pub struct Engine<'c> {
    pub(super) cluster: &'c Cluster,
    pub(super) settings: Settings,
    pub(super) policies: Policies,
    pub(super) classes: Classes,
    pub(super) profiles: Vec<Profile>,
    pub(super) directory: Directory,
    /// One public address of each kind that rules of administrators tell apart.
    public: Vec<IpAddr>,
    /// Pods in the network of each node, by its name.
    pub(super) hosts: BTreeMap<&'c str, Vec<u32>>,
    /// Policies of the plugin's own kinds for nodes, by direction.
    host_plugin: [Vec<Obj>; 2],
    /// Addresses of the API server; none where they were not read.
    pub(super) api: Vec<IpAddr>,
}

/// State of one side while its tiers are gone through.
pub(super) struct State<'e> {
    /// Ports that nothing has decided.
    pub(super) live: Ports,
    pub(super) allowed: Ports,
    pub(super) denied: Ports,
    pub(super) direction: Direction,
    events: Option<&'e mut Vec<Event>>,
}

impl State<'_> {
    pub(super) fn record(
        &mut self,
        effect: Effect,
        ports: &Ports,
        policy: Option<(Obj, Option<Place>)>,
        why: &'static str,
    ) {
        if let Some(events) = self.events.as_deref_mut()
            && !ports.is_empty()
        {
            let (policy, rule) = policy.map_or((None, None), |(o, r)| (Some(o), r));
            events.push(Event { direction: self.direction, effect, ports: ports.clone(), policy, rule, why });
        }
    }
}

impl<'c> Engine<'c> {
    /// Prepares the policies of a cluster.
    pub fn new(cluster: &'c Cluster, settings: Settings) -> Self {
        let policies = Policies::new(cluster, settings.plugin);
        let classes = Classes::new(cluster, &policies, settings.ipblock_matches_pods);
        let mut profiles = vec![Profile::default(); classes.list.len()];
        for (p, n) in policies.standard.iter().zip(0u32..) {
            let Some(spec) = cluster.objects.network_policies.get(p.object.index as usize) else { continue };
            let Some(ns) = classes.namespace(&spec.metadata.namespace) else { continue };
            for c in classes.of_namespace(ns) {
                let Some((class, profile)) = classes.get(*c).zip(profiles.get_mut(*c as usize)) else { continue };
                if spec.spec.pod_selector.matches(&class.labels) {
                    for (list, _) in profile.standard.iter_mut().zip(&p.rules).filter(|(_, r)| r.is_some()) {
                        list.push(n);
                    }
                }
            }
        }
        for (t, n) in policies.tiered.iter().zip(0u32..) {
            let Some((sure, maybe)) = t.subject.and_then(|s| classes.members.get(s as usize)) else { continue };
            for (set, certain) in [(sure, true), (maybe, false)] {
                for c in set {
                    if let Some(p) = profiles.get_mut(c as usize) {
                        p.tiered.push((n, certain));
                    }
                }
            }
        }
        for (rule, n) in policies.plugin.iter().zip(0u32..) {
            let all = 0..classes.namespaces.len() as u32;
            let places = match &rule.subject.namespaces {
                Namespaces::One(name) => classes.namespace(name).map_or(0..0, |n| n..n + 1),
                Namespaces::Labelled(_) => all,
            };
            for (class, ns) in places.flat_map(|n| classes.of_namespace(n).iter().map(move |c| (*c, n))) {
                let Some((c, ns)) = classes.get(class).zip(classes.namespaces.get(ns as usize)) else { continue };
                let Some(profile) = profiles.get_mut(class as usize) else { continue };
                // Administrators' policies and tiers of Calico: which are asked first is not modelled.
                let mixed = matches!(rule.stage, Stage::Tier(..)) && !profile.tiered.is_empty();
                let lists = match rule.concerns(ns, &c.labels) {
                    Match::No => continue,
                    Match::Yes if rule.unknown.is_none() && !mixed => &mut profile.plugin,
                    _ => &mut profile.unknown,
                };
                for (list, _) in lists.iter_mut().zip(rule.directions).filter(|(_, on)| *on) {
                    list.push(n);
                }
            }
        }
        let public = public_addresses(&policies);
        let directory = Directory::new(cluster);
        let host_plugin = plugin::for_nodes(cluster);
        let mut hosts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (p, i) in cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| p.spec.host_network && !p.finished()) {
            hosts.entry(&p.spec.node_name).or_default().push(i);
        }
        let api = api_server(cluster).into_iter().map(|(a, _)| a).collect();
        Engine { cluster, settings, policies, classes, profiles, directory, public, hosts, host_plugin, api }
    }

    /// The cluster.
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// Pods by class.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// The peer of a number.
    pub fn peer(&self, number: u32) -> Option<&Peer> {
        self.policies.peers.get_index(number as usize)
    }

    /// Addresses of an end, as policies see them.
    pub fn addresses(&self, end: End) -> impl Iterator<Item = std::net::IpAddr> + use<> {
        Party::new(self.cluster, &self.classes.of, &self.directory, end).addresses.into_iter()
    }

    /// Whose an address is.
    pub fn end(&self, address: std::net::IpAddr) -> End {
        self.directory.end(address)
    }

    /// Policies that isolate a class in a direction or are put before or after that by an administrator.
    pub fn policies_of(&self, class: u32, direction: Direction) -> Vec<Obj> {
        let Some(profile) = self.profiles.get(class as usize) else { return Vec::new() };
        let standard = profile.standard.get(direction as usize).into_iter().flatten();
        let standard = standard.filter_map(|n| self.policies.standard.get(*n as usize)).map(|p| p.object);
        let tiered = profile.tiered.iter().filter_map(|(n, _)| self.policies.tiered.get(*n as usize));
        let tiered = tiered.filter(|t| t.rules.get(direction as usize).is_some_and(|r| !r.is_empty()));
        let plugin = [&profile.plugin, &profile.unknown].into_iter().filter_map(|l| l.get(direction as usize));
        let plugin = plugin.flatten().filter_map(|n| self.policies.plugin.get(*n as usize)).map(|c| c.object);
        let mut all: Vec<Obj> = standard.chain(tiered.map(|t| t.object)).collect();
        for object in plugin {
            // A policy of several specs is one.
            if !all.contains(&object) {
                all.push(object);
            }
        }
        all
    }

    /// Rules of a policy for a direction.
    pub fn rules_of(&self, policy: Obj, direction: Direction) -> Vec<Place> {
        let d = direction as usize;
        let standard = self.policies.standard.iter().find(|p| p.object == policy);
        let tiered = || self.policies.tiered.iter().find(|t| t.object == policy);
        let places = |rules: &[OrderedRule]| rules.iter().map(|r| r.place).collect::<Vec<_>>();
        let mut all = match (standard, tiered()) {
            (Some(p), _) => {
                let count = p.rules.get(d).and_then(Option::as_ref).map_or(0, Vec::len);
                (0..count).map(|n| Place::new(direction, n)).collect()
            }
            (None, Some(t)) => t.rules.get(d).map(|r| places(r)).unwrap_or_default(),
            (None, None) => {
                let plugin = self.policies.plugin.iter().filter(|p| p.object == policy);
                plugin.flat_map(|p| p.rules.get(d).map(|r| places(r)).unwrap_or_default()).collect()
            }
        };
        all.dedup();
        all
    }

    /// What limits a class in a direction.
    pub fn limits(&self, class: u32, direction: Direction) -> Limits<'_> {
        let Some(profile) = self.profiles.get(class as usize) else { return Limits::Mixed };
        let d = direction as usize;
        let tiered = profile.tiered.iter().filter_map(|(n, _)| self.policies.tiered.get(*n as usize));
        let plugin = [&profile.plugin, &profile.unknown].iter().any(|p| p.get(d).is_some_and(|p| !p.is_empty()));
        if plugin || tiered.filter_map(|t| t.rules.get(d)).any(|r| !r.is_empty()) {
            return Limits::Mixed;
        }
        let standard = profile.standard.get(d).map_or(&[][..], Vec::as_slice);
        if standard.is_empty() {
            return Limits::Open;
        }
        let policies = standard.iter().filter_map(|n| self.policies.standard.get(*n as usize));
        let rules = policies.flat_map(|p| {
            let rules = p.rules.get(d).and_then(Option::as_ref).into_iter().flatten();
            rules.enumerate().map(|(n, r)| (p.object, n, r))
        });
        Limits::Rules(rules.collect())
    }

    /// Whether administrators deny a class every connection of pods in a direction, whatever NetworkPolicies say.
    pub fn shut(&self, class: u32, direction: Direction) -> bool {
        let Some(profile) = self.profiles.get(class as usize) else { return false };
        let policies = profile.tiered.iter().filter(|(_, sure)| *sure);
        let policies = policies.filter_map(|(n, _)| self.policies.tiered.get(*n as usize)).filter(|t| !t.baseline);
        let everyone = |n: &u32| match self.policies.peers.get_index(*n as usize) {
            Some(Peer::Everyone) => true,
            Some(Peer::Pods(Namespaces::Labelled(n), s)) => *n == Default::default() && *s == Default::default(),
            _ => false,
        };
        let rules = policies.flat_map(|t| t.rules.get(direction as usize).into_iter().flatten());
        let first = rules.into_iter().find(|r| r.action != Action::Deny || r.peers.iter().any(everyone));
        first.is_some_and(|r| r.action == Action::Deny && r.ports.numbers.is_all())
    }

    /// Whether nothing limits a class in a direction.
    pub fn is_open(&self, class: u32, direction: Direction) -> bool {
        self.policies_of(class, direction).is_empty()
    }

    /// The ports on which one end may connect to another.
    pub fn flow(&self, from: End, to: End) -> Flow {
        self.judge(from, to, None)
    }

    /// The same with what decided it.
    pub fn explain(&self, from: End, to: End) -> (Flow, Vec<Event>) {
        let mut events = Vec::new();
        let flow = self.judge(from, to, Some(&mut events));
        (flow, events)
    }

    fn judge(&self, from: End, to: End, mut events: Option<&mut Vec<Event>>) -> Flow {
        let [from, to] = [from, to].map(|e| Party::new(self.cluster, &self.classes.of, &self.directory, e));
        let egress = self.side(Direction::Egress, &from, &to, events.as_deref_mut());
        let ingress = self.side(Direction::Ingress, &to, &from, events);
        Flow { egress, ingress }
    }

    /// One side: `subject` is the pod whose policies count, `peer` the other end.
    fn side(
        &self,
        direction: Direction,
        subject: &Party<'_>,
        peer: &Party<'_>,
        events: Option<&mut Vec<Event>>,
    ) -> Side {
        let none = Ports::none;
        let mut s = State { live: Ports::all(), allowed: none(), denied: none(), direction, events };
        if peer.internet
            && subject
                .class
                .and_then(|c| self.profiles.get(c as usize))
                .is_some_and(|p| !p.tiered.is_empty() || p.plugin.iter().any(|l| !l.is_empty()))
        {
            return self.with_internet(direction, subject, s.events);
        }
        if subject.host.is_some() && subject.pod != peer.pod {
            let plugin = self.host_plugin.get(direction as usize).map_or(&[][..], Vec::as_slice);
            for policy in plugin {
                let why = "policies of the plugin's own kinds are not evaluated";
                s.record(Effect::Unknown, &Ports::all(), Some((*policy, None)), why);
            }
            if !plugin.is_empty() {
                return Side { must: none(), may: Ports::all() };
            }
        }
        if direction == Direction::Ingress
            && subject.runs_on.is_some()
            && subject.runs_on == peer.host
            && !subject.finished
            && !peer.finished
            && let Some((o, place)) = self.denied_own_node(subject, peer)
        {
            let why = "whether a deny rule is about the own node differs between versions";
            s.record(Effect::Unknown, &Ports::all(), Some((o, Some(place))), why);
            return Side { must: none(), may: Ports::all() };
        }
        let settled = self.exempt(direction, subject, peer);
        if let Some((effect, why)) = settled {
            s.record(effect, &Ports::all(), None, why);
            let open = if effect == Effect::Allowed { Ports::all() } else { none() };
            return Side { must: open.clone(), may: open };
        }
        let Some(profile) = subject.class.and_then(|c| self.profiles.get(c as usize)) else {
            return Side { must: none(), may: none() };
        };
        let destination = if direction == Direction::Ingress { subject } else { peer };
        let named = self.named(destination);
        let tier = |baseline: bool| {
            let all =
                profile.tiered.iter().filter_map(|(n, sure)| Some((self.policies.tiered.get(*n as usize)?, *sure)));
            all.filter(move |(t, _)| t.baseline == baseline).collect::<Vec<_>>()
        };
        self.tier(&mut s, &tier(false), peer, &named);
        let own = profile.plugin.get(direction as usize).into_iter().flatten();
        let own: Vec<&Compiled> = own.filter_map(|n| self.policies.plugin.get(*n as usize)).collect();
        self.tiers_of_plugin(&mut s, &own, peer, &named);
        let isolating = profile.standard.get(direction as usize).map_or(&[][..], Vec::as_slice);
        self.standard(&mut s, isolating, &own, peer, &named);
        let decided = !self.settings.baseline_per_direction && profile.standard.iter().any(|l| !l.is_empty());
        if !decided {
            self.tier(&mut s, &tier(true), peer, &named);
        }
        let live = std::mem::take(&mut s.live);
        s.record(Effect::Allowed, &live, None, "no policy decides it");
        let unknown = profile.unknown.get(direction as usize).map_or(&[][..], Vec::as_slice);
        for policy in unknown.iter().filter_map(|n| self.policies.plugin.get(*n as usize)) {
            s.record(Effect::Unknown, &Ports::all(), Some((policy.object, None)), policy.unknown());
        }
        if !unknown.is_empty() {
            return Side { must: Ports::none(), may: Ports::all() };
        }
        let may = s.allowed.or(&live);
        Side { must: may.without(&s.denied), may }
    }

    /// Some address of the internet: what any of the public addresses that rules tell apart is let through to, or from. A
    /// rule that denies some addresses denies not all of them.
    fn with_internet(&self, direction: Direction, subject: &Party<'_>, events: Option<&mut Vec<Event>>) -> Side {
        let one = |a: &IpAddr| Party { addresses: [*a].into_iter().collect(), stranger: true, ..Party::default() };
        let mut all = Side::default();
        let mut best = None;
        for a in &self.public {
            let side = self.side(direction, subject, &one(a), None);
            let rank = (!side.must.is_empty(), !side.may.is_empty());
            if best.is_none_or(|(r, _)| rank > r) {
                best = Some((rank, *a));
            }
            all = Side { must: all.must.or(&side.must), may: all.may.or(&side.may) };
        }
        if let (Some((_, a)), Some(events)) = (best, events) {
            self.side(direction, subject, &one(&a), Some(events));
        }
        all
    }

    /// What no policy changes.
    fn exempt(&self, direction: Direction, subject: &Party<'_>, peer: &Party<'_>) -> Option<(Effect, &'static str)> {
        if subject.finished {
            return Some((Effect::Denied, "the pod has ended and has no address"));
        }
        if peer.finished {
            return Some((Effect::Denied, "the other pod has ended and has no address"));
        }
        if subject.pod.is_some() && subject.pod == peer.pod {
            return Some((Effect::Allowed, "a pod always reaches itself"));
        }
        if subject.host.is_some() {
            return Some((Effect::Allowed, "policies do not limit the network of a node"));
        }
        if subject.class.is_none() {
            return Some((Effect::Allowed, "it is outside of the network of pods"));
        }
        if direction == Direction::Ingress
            && let (Some(a), Some(b)) = (subject.runs_on, peer.host)
            && a == b
        {
            return Some((Effect::Allowed, "a node always reaches its own pods"));
        }
        None
    }

    fn named(&self, destination: &Party<'_>) -> Vec<(String, super::ports::Protocol, u16)> {
        match destination.class.and_then(|c| self.classes.get(c)) {
            Some(class) => class.named.clone(),
            None => {
                let pod = destination.pod.and_then(|p| self.cluster.objects.pods.get(p as usize));
                let ports = pod.into_iter().flat_map(super::classes::named_ports);
                ports.map(|(n, p, port)| (n.to_owned(), p, port)).collect()
            }
        }
    }
}

/// A public address between each two bounds of the blocks of administrators' rules.
fn public_addresses(policies: &Policies) -> Vec<IpAddr> {
    let plain = [IpAddr::from([1, 0, 0, 1]), IpAddr::from([0x2000, 0, 0, 0, 0, 0, 0, 1])];
    let blocks = policies.peers.iter().filter_map(|p| match p {
        Peer::Networks(b) | Peer::Block(b) | Peer::Outside(b) => Some(b),
        _ => None,
    });
    let bounds: std::collections::BTreeSet<Number> = blocks.flat_map(|b| b.bounds()).collect();
    let starts = bounds.into_iter().filter_map(address).filter(|a| is_public(*a));
    plain.into_iter().chain(starts).collect()
}
