//! The verdict on one connection, side by side, with what decided it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::address::{Number, address, is_public};
use super::classes::{Classes, in_block};
use super::compile::{Action, Match, Namespaces, OrderedRule, Peer, Place, Policies, Rule, Tiered};
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
struct Profile {
    /// NetworkPolicies that isolate it, by number and direction.
    standard: [Vec<u32>; 2],
    /// Administrators' policies in order, and whether it is sure.
    tiered: Vec<(u32, bool)>,
    /// Policies of the plugin's own kinds that are about it, by number and direction.
    plugin: [Vec<u32>; 2],
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
    cluster: &'c Cluster,
    settings: Settings,
    policies: Policies,
    classes: Classes,
    profiles: Vec<Profile>,
    directory: Directory,
    /// One public address of each kind that rules of administrators tell apart.
    public: Vec<IpAddr>,
    /// Pods in the network of each node, by its name.
    hosts: BTreeMap<&'c str, Vec<u32>>,
    /// Policies of the plugin's own kinds for nodes, by direction.
    host_plugin: [Vec<Obj>; 2],
    /// Addresses of the API server; none where they were not read.
    api: Vec<IpAddr>,
}

/// State of one side while its tiers are gone through.
struct State<'e> {
    /// Ports that nothing has decided.
    live: Ports,
    allowed: Ports,
    denied: Ports,
    direction: Direction,
    events: Option<&'e mut Vec<Event>>,
}

impl State<'_> {
    fn record(&mut self, effect: Effect, ports: &Ports, policy: Option<(Obj, Option<Place>)>, why: &'static str) {
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
            && direction == Direction::Egress
            && subject
                .class
                .and_then(|c| self.profiles.get(c as usize))
                .is_some_and(|p| !p.tiered.is_empty() || p.plugin.iter().any(|l| !l.is_empty()))
        {
            return self.to_internet(subject, s.events);
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

    /// Some address of the internet: what any of the public addresses that rules tell apart is let through to. A rule that
    /// denies some addresses denies not all of them.
    fn to_internet(&self, subject: &Party<'_>, events: Option<&mut Vec<Event>>) -> Side {
        let one = |a: &IpAddr| Party { addresses: [*a].into_iter().collect(), ..Party::default() };
        let mut all = Side::default();
        let mut best = None;
        for a in &self.public {
            let side = self.side(Direction::Egress, subject, &one(a), None);
            let rank = (!side.must.is_empty(), !side.may.is_empty());
            if best.is_none_or(|(r, _)| rank > r) {
                best = Some((rank, *a));
            }
            all = Side { must: all.must.or(&side.must), may: all.may.or(&side.may) };
        }
        if let (Some((_, a)), Some(events)) = (best, events) {
            self.side(Direction::Egress, subject, &one(&a), Some(events));
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

    /// How sure a peer of a rule is the other end.
    fn matches(&self, number: u32, other: &Party<'_>, direction: Direction) -> Match {
        let Some(peer) = self.policies.peers.get_index(number as usize) else { return Match::No };
        if *peer == Peer::Everyone {
            return Match::Yes;
        }
        if let Some(class) = other.class {
            return match self.classes.members.get(number as usize) {
                Some((sure, _)) if sure.contains(class) => Match::Yes,
                Some((_, maybe)) if maybe.contains(class) => Match::Maybe,
                _ => Match::No,
            };
        }
        match peer {
            Peer::Everyone => Match::Yes,
            Peer::Block(b) | Peer::Networks(b) if other.internet => {
                if b.has_public() {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            Peer::Block(b) | Peer::Networks(b) => match in_block(b, &other.addresses) {
                Some(true) => Match::Yes,
                Some(false) => Match::No,
                None => Match::Maybe,
            },
            // Whether a pod in the network of its node counts by its labels differs between plugins: it does on OpenShift.
            // What a node sends to pods of another node is nobody's by label, and still comes through on most.
            Peer::Pods(..) if other.host.is_some() => match direction {
                Direction::Ingress => Match::Maybe,
                Direction::Egress if self.host_labels(peer, other) => Match::Maybe,
                Direction::Egress => Match::No,
            },
            Peer::Nodes(s) if other.host.is_some() => {
                match other.host_number.and_then(|n| self.cluster.objects.nodes.get(n as usize)) {
                    Some(n) if s.matches(&n.metadata.labels) => Match::Yes,
                    Some(_) => Match::No,
                    None => Match::Maybe,
                }
            }
            Peer::Pods(..) | Peer::Nodes(_) => Match::No,
            Peer::DomainNames if other.host.is_none() => Match::Maybe,
            Peer::DomainNames => Match::No,
            Peer::ApiServer => match &self.api {
                list if list.is_empty() => Match::Maybe,
                list if other.addresses.iter().any(|a| list.contains(a)) => Match::Yes,
                _ if other.internet || other.host.is_some() || !other.addresses.is_empty() => Match::No,
                _ => Match::Maybe,
            },
            // Nodes have identities of their own; whether CIDRs mean them too is a setting of Cilium.
            Peer::Outside(b) if other.host.is_some() => match in_block(b, &other.addresses) {
                Some(false) => Match::No,
                _ => Match::Maybe,
            },
            Peer::Outside(b) if other.internet => {
                if b.has_public() {
                    Match::Yes
                } else {
                    Match::No
                }
            }
            Peer::Outside(b) => match in_block(b, &other.addresses) {
                Some(true) => Match::Yes,
                Some(false) => Match::No,
                None => Match::Maybe,
            },
            Peer::World | Peer::Cluster | Peer::SomeNodes if other.addresses.is_empty() && !other.internet => {
                // A node without a known address is one; an end that is not known may be anything.
                match (other.host.is_some(), peer) {
                    (true, Peer::World) => Match::No,
                    (true, Peer::Cluster) => Match::Yes,
                    _ => Match::Maybe,
                }
            }
            Peer::World if other.host.is_none() => Match::Yes,
            Peer::Cluster if other.host.is_some() => Match::Yes,
            Peer::SomeNodes if other.host.is_some() => Match::Maybe,
            Peer::World | Peer::Cluster | Peer::SomeNodes => Match::No,
        }
    }

    /// Whether the labels of a pod in the network of its node would match; of an address of a node, those of any such pod.
    fn host_labels(&self, peer: &Peer, other: &Party<'_>) -> bool {
        let of_node = || other.host.and_then(|n| self.hosts.get(n)).map_or(&[][..], Vec::as_slice);
        let pods = match &other.pod {
            Some(p) => std::slice::from_ref(p),
            None => of_node(),
        };
        pods.iter().filter_map(|p| self.cluster.objects.pods.get(*p as usize)).any(|p| match peer {
            Peer::Pods(namespaces, s) => {
                s.matches(&p.metadata.labels)
                    && match namespaces {
                        super::compile::Namespaces::One(n) => *n == p.metadata.namespace,
                        super::compile::Namespaces::Labelled(s) => {
                            let ns = self.classes.namespace(&p.metadata.namespace);
                            ns.and_then(|n| self.classes.namespaces.get(n as usize))
                                .is_none_or(|n| n.matches(s) != Some(false))
                        }
                    }
            }
            _ => false,
        })
    }

    /// NetworkPolicies: what any rule of any policy allows is allowed, the rest is not.
    fn standard(
        &self,
        s: &mut State<'_>,
        isolating: &[u32],
        own: &[&Compiled],
        peer: &Party<'_>,
        named: &[(String, super::ports::Protocol, u16)],
    ) {
        let d = s.direction as usize;
        let own: Vec<&Compiled> = own.iter().copied().filter(|c| !matches!(c.stage, Stage::Tier(..))).collect();
        let of = |stage: Stage| own.iter().copied().filter(move |c| c.stage == stage);
        let isolates = !isolating.is_empty() || own.iter().any(|c| c.isolates.get(d).is_some_and(|i| *i));
        if s.live.is_empty() || own.is_empty() && isolating.is_empty() {
            return;
        }
        // A deny rule of Cilium comes before whatever allows.
        for c in of(Stage::With) {
            for r in c.rules.get(d).into_iter().flatten().filter(|r| r.action == Action::Deny) {
                self.ordered(s, c.object, r, true, peer, named);
            }
        }
        let mut passed = self.in_order(s, of(Stage::Before), peer, named);
        let live = if isolates { std::mem::take(&mut s.live) } else { s.live.clone() };
        let (mut sure, mut maybe) = (Ports::none(), Ports::none());
        let policies = || isolating.iter().filter_map(|n| self.policies.standard.get(*n as usize));
        for p in policies() {
            let rules = p.rules.get(s.direction as usize).and_then(Option::as_ref);
            for (n, r) in rules.into_iter().flatten().enumerate() {
                let hit = r.peers.iter().map(|n| self.matches(*n, peer, s.direction)).max().unwrap_or(Match::No);
                let ports = r.ports.at(named).and(&live);
                let at = Some((p.object, Some(Place::new(s.direction, n))));
                match hit {
                    Match::Yes => {
                        s.record(Effect::Allowed, &ports, at, "the rule allows it");
                        sure = sure.or(&ports);
                    }
                    Match::Maybe => {
                        s.record(Effect::Unknown, &ports, at, "whether the rule means the other end is not known");
                        maybe = maybe.or(&ports);
                    }
                    Match::No => {}
                }
            }
        }
        for (c, r) in of(Stage::With).flat_map(|c| c.rules.get(d).into_iter().flatten().map(move |r| (c, r))) {
            let hit = r.peers.iter().map(|n| self.matches(*n, peer, s.direction)).max().unwrap_or(Match::No);
            let ports = r.ports.at(named).and(&live);
            let at = Some((c.object, Some(r.place)));
            match hit.min(if r.sure { Match::Yes } else { Match::Maybe }) {
                Match::Yes if r.action == Action::Allow => {
                    s.record(Effect::Allowed, &ports, at, "the rule allows it");
                    sure = sure.or(&ports);
                }
                Match::Maybe if r.action == Action::Allow => {
                    s.record(Effect::Unknown, &ports, at, "whether the rule means the other end is not known");
                    maybe = maybe.or(&ports);
                }
                _ => {}
            }
        }
        if !isolates {
            return;
        }
        if of(Stage::After).next().is_some() {
            s.live = live.without(&sure);
            passed = passed.or(&self.in_order(s, of(Stage::After), peer, named));
            s.allowed = s.allowed.or(&maybe);
            maybe = maybe.and(&s.live);
        }
        let live = if of(Stage::After).next().is_some() { std::mem::take(&mut s.live).or(&sure) } else { live };
        // What other nodes send is exempt on some plugins and not on others.
        if s.direction == Direction::Ingress && peer.host.is_some() && self.settings.remote_nodes == Some(true) {
            s.record(Effect::Allowed, &live, None, "what nodes send passes");
            sure = live.clone();
        }
        if s.direction == Direction::Ingress && peer.host.is_some() && self.settings.remote_nodes.is_none() {
            let rest = live.without(&sure);
            for object in policies().map(|p| p.object).chain(own.iter().map(|c| c.object)) {
                let at = Some((object, None));
                s.record(Effect::Unknown, &rest, at, "plugins differ on traffic from another node");
            }
            maybe = live.clone();
        }
        let maybe = maybe.without(&sure);
        let rest = live.without(&sure).without(&maybe);
        let by_own = own.iter().filter(|c| c.isolates.get(d).is_some_and(|i| *i)).map(|c| c.object);
        for object in policies().map(|p| p.object).chain(by_own) {
            s.record(Effect::Denied, &rest, Some((object, None)), "it selects the pod, and no rule allows it");
        }
        // What a rule of Calico passes on from the last tier is allowed (the profile of every namespace).
        s.allowed = s.allowed.or(&sure).or(&maybe).or(&passed);
        s.denied = s.denied.or(&rest).or(&maybe);
    }

    /// Policies of Calico of one stage: the first rule that matches decides. Returns what is passed on.
    fn in_order<'p>(
        &self,
        s: &mut State<'_>,
        policies: impl Iterator<Item = &'p Compiled>,
        peer: &Party<'_>,
        named: &[(String, super::ports::Protocol, u16)],
    ) -> Ports {
        let policies: Vec<&Compiled> = policies.collect();
        let mut passed = Ports::none();
        for group in policies.chunk_by(|a, b| a.order == b.order) {
            let before = s.live.clone();
            let mut left = before.clone();
            for c in group {
                // Of several of one order each is asked.
                s.live = before.clone();
                for r in c.rules.get(s.direction as usize).into_iter().flatten() {
                    passed = passed.or(&self.ordered(s, c.object, r, true, peer, named));
                }
                left = left.and(&s.live);
            }
            s.live = left;
        }
        passed
    }

    /// Tiers of Calico before that of NetworkPolicies: what no rule of a tier decides is denied at its end, unless the
    /// tier passes it on.
    fn tiers_of_plugin(
        &self,
        s: &mut State<'_>,
        own: &[&Compiled],
        peer: &Party<'_>,
        named: &[(String, super::ports::Protocol, u16)],
    ) {
        for tier in own.chunk_by(|a, b| a.stage == b.stage) {
            let Some(Stage::Tier(_, goes_on)) = tier.first().map(|c| c.stage) else { continue };
            let passed = self.in_order(s, tier.iter().copied(), peer, named);
            if !goes_on {
                let rest = std::mem::take(&mut s.live).without(&passed);
                for c in tier {
                    let at = Some((c.object, None));
                    s.record(Effect::Denied, &rest, at, "it selects the pod, and no rule of its tier allows it");
                }
                s.denied = s.denied.or(&rest);
            }
            s.live = s.live.or(&passed);
        }
    }

    /// Administrators' policies of one tier: the first rule that matches decides.
    fn tier(
        &self,
        s: &mut State<'_>,
        policies: &[(&Tiered, bool)],
        peer: &Party<'_>,
        named: &[(String, super::ports::Protocol, u16)],
    ) {
        let mut passed = Ports::none();
        for group in policies.chunk_by(|a, b| a.0.priority == b.0.priority) {
            let before = s.live.clone();
            let mut left = before.clone();
            for (t, sure) in group {
                // Which of several policies of one priority goes first is not defined: each is asked.
                s.live = before.clone();
                let rules = t.rules.get(s.direction as usize).map_or(&[][..], Vec::as_slice);
                for r in rules {
                    passed = passed.or(&self.ordered(s, t.object, r, *sure, peer, named));
                }
                left = left.and(&s.live);
            }
            s.live = left;
        }
        s.live = s.live.or(&passed);
    }

    #[allow(clippy::too_many_arguments, reason = "one rule, one side")]
    fn ordered(
        &self,
        s: &mut State<'_>,
        policy: Obj,
        r: &OrderedRule,
        sure: bool,
        peer: &Party<'_>,
        named: &[(String, super::ports::Protocol, u16)],
    ) -> Ports {
        let mut hit = r.peers.iter().map(|n| self.matches(*n, peer, s.direction)).max().unwrap_or(Match::No);
        if !sure || !r.sure {
            hit = hit.min(Match::Maybe);
        }
        let ports = r.ports.at(named).and(&s.live);
        if hit == Match::No || ports.is_empty() {
            return Ports::none();
        }
        let (effect, why) = match (hit, r.action) {
            (Match::Maybe, _) => (Effect::Unknown, "whether the rule means the other end is not known"),
            (_, Action::Allow) => (Effect::Allowed, "the rule allows it"),
            (_, Action::Deny) => (Effect::Denied, "the rule denies it"),
            (_, Action::Pass) => (Effect::Passed, "the rule leaves it to the next tier"),
        };
        s.record(effect, &ports, Some((policy, Some(r.place))), why);
        if hit == Match::Yes {
            s.live = s.live.without(&ports);
        }
        match r.action {
            Action::Allow => s.allowed = s.allowed.or(&ports),
            Action::Deny => s.denied = s.denied.or(&ports),
            Action::Pass => return ports,
        }
        Ports::none()
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
