//! What the internet reaches: hop by hop from a published address to a pod, each hop with its policy check.

pub mod backends;
mod front;
mod gateway;
mod ingress;
mod pods;
mod service;

use super::address::is_public;
use super::decide::Effect;
use super::end::End;
use super::network::{Allowed, Network};
use super::ports::Ports;
use crate::model::Cluster;
use crate::model::kind::Obj;
use backends::Backends;
use front::Fronts;

/// How traffic comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A Service of type LoadBalancer.
    LoadBalancer,
    /// A port on every node.
    NodePort,
    /// An external address of a Service.
    ExternalIp,
    /// A port of the node that a container asks for.
    HostPort,
    /// A pod in the network of its node.
    HostNetwork,
    /// An Ingress.
    Ingress,
    /// A route of the Gateway API.
    Gateway,
}

/// How public something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Publicity {
    /// Not reachable from the internet; the reason is with it.
    Internal,
    /// Perhaps: what is missing is named.
    Possible,
    /// Proven.
    Public,
}

impl Publicity {
    /// `proven public`, `possible` or `internal`.
    pub fn words(self) -> &'static str {
        match self {
            Publicity::Internal => "internal",
            Publicity::Possible => "possible",
            Publicity::Public => "proven public",
        }
    }
}

/// One thing on the way, with the field that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Object.
    pub object: Obj,
    /// JSON pointer into it.
    pub pointer: String,
    /// Value there.
    pub value: String,
    /// Short phrase.
    pub why: &'static str,
}

/// A way from an entry to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Kind of way.
    pub way: Way,
    /// Object that publishes it.
    pub entry: Obj,
    /// Service in front of the pod, by number.
    pub service: Option<u32>,
    /// Host and path, or address and port.
    pub at: String,
    /// Pod, by number.
    pub pod: u32,
    /// Ports at the pod.
    pub ports: Ports,
    /// Verdict.
    pub publicity: Publicity,
    /// Ids of unknowns, for a possible one.
    pub unknowns: Vec<String>,
    /// Why it is internal, or what is missing.
    pub reason: String,
    /// Hops, outermost first.
    pub hops: Vec<Hop>,
}

/// What is known so far about a way.
#[derive(Debug, Clone)]
pub(super) struct Found {
    publicity: Publicity,
    unknowns: Vec<String>,
    reason: String,
    hops: Vec<Hop>,
}

impl Found {
    fn public() -> Self {
        Found { publicity: Publicity::Public, unknowns: Vec::new(), reason: String::new(), hops: Vec::new() }
    }

    fn internal(reason: impl Into<String>) -> Self {
        Found { publicity: Publicity::Internal, reason: reason.into(), ..Found::public() }
    }

    fn possible(mut self, id: String, reason: impl Into<String>) -> Self {
        if self.publicity == Publicity::Public {
            (self.publicity, self.reason) = (Publicity::Possible, reason.into());
        }
        if self.publicity == Publicity::Possible {
            self.unknowns.push(id);
        }
        self
    }

    fn hop(mut self, object: Obj, pointer: impl Into<String>, value: impl Into<String>, why: &'static str) -> Self {
        self.hops.push(Hop { object, pointer: pointer.into(), value: value.into(), why });
        self
    }
}

/// Where the packets of a hop come from, as a policy at the pod sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The client itself.
    Client,
    /// The client, or the node that took the packet: which of them is not defined.
    ClientOrNode,
    /// One of these pods.
    Pods(Vec<u32>),
}

/// Where a way begins.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Kind of way.
    pub way: Way,
    /// Object that publishes it.
    pub object: Obj,
    /// Service in front of the pods, by number.
    pub service: Option<u32>,
    /// Host and path, or address and port.
    pub at: String,
}

/// Everything that looking for exposure needs.
pub(super) struct Search<'s, 'c> {
    cluster: &'c Cluster,
    network: &'s Network<'c>,
    backends: Backends<'c>,
    fronts: Fronts,
    public_nodes: service::PublicNodes<'c>,
    out: Vec<Exposure>,
}

/// Finds every way in, in the order of the objects that publish them. Ways to each pod are as many as the objects that
/// lead to it.
pub fn exposures(cluster: &Cluster, network: &Network<'_>) -> Vec<Exposure> {
    let backends = Backends::new(cluster);
    let public_nodes = service::PublicNodes::new(cluster);
    let mut search = Search { cluster, network, backends, fronts: Fronts::default(), public_nodes, out: Vec::new() };
    search.services();
    search.pods();
    search.fronts = Fronts::new(&search);
    search.ingresses();
    search.gateways();
    search.out
}

impl Search<'_, '_> {
    /// Checks the last hop to a pod and keeps the way: ports that policies judge alike are one way each.
    fn keep(&mut self, e: Entry, b: &backends::Backend, found: Found, origin: &Origin) {
        let (object, pointer, value) = b.because.clone();
        let found = found.hop(object, pointer, value, "the pod is behind it");
        let mut rest = b.ports.clone();
        while !rest.is_empty() {
            let (found, ports) = self.policy(found.clone(), origin, b.pod, &rest);
            rest = rest.without(&ports);
            let done = ports.is_empty();
            self.out.push(Exposure {
                way: e.way,
                entry: e.object,
                service: e.service,
                at: e.at.clone(),
                pod: b.pod,
                ports,
                publicity: found.publicity,
                unknowns: found.unknowns,
                reason: found.reason,
                hops: found.hops,
            });
            if done {
                break;
            }
        }
    }

    /// What policies say about the hop to a pod, and about which of the ports that is: those that are surely let in first.
    fn policy(&self, found: Found, origin: &Origin, pod: u32, ports: &Ports) -> (Found, Ports) {
        if found.publicity == Publicity::Internal {
            return (found, ports.clone());
        }
        let to = End::Pod(pod);
        let client = match origin {
            Origin::Client | Origin::ClientOrNode => self.network.judge(End::Internet, to, ports),
            Origin::Pods(pods) => {
                let all = pods.iter().map(|p| self.network.judge(End::Pod(*p), to, ports));
                let best = all.reduce(|a, b| if b.allowed > a.allowed { b } else { a });
                best.unwrap_or_else(|| self.network.judge(End::Internet, to, ports))
            }
        };
        // Where the way goes through nodes, the policy sees the client or a node: which of them is not defined.
        let node = (*origin == Origin::ClientOrNode).then(|| self.node_verdict(pod, ports));
        let sure = match &node {
            _ if client.allowed != Allowed::Yes => Ports::none(),
            None => client.ports.clone(),
            Some((Allowed::Yes, by_node)) => client.ports.and(by_node),
            Some(_) => Ports::none(),
        };
        let decides = |e: &&super::Event| e.policy.is_some() && (e.effect != Effect::Allowed || !sure.is_empty());
        let cited = client.events.iter().find(decides).or_else(|| client.events.iter().find(|e| e.policy.is_some()));
        let mut found = found;
        if let Some((e, policy)) = cited.and_then(|e| Some((e, e.policy?))) {
            let pointer = e.rule.map_or("/spec".to_owned(), |r| r.pointer());
            found = found.hop(policy, pointer, e.ports.and(ports).to_string(), e.why);
        }
        if !sure.is_empty() {
            return (found, sure);
        }
        // Policies of the pod, for a verdict that no event names.
        let class = self.network.engine.classes().of.get(pod as usize).copied().flatten();
        let own = || class.map(|c| self.network.engine.policies_of(c, super::Direction::Ingress)).unwrap_or_default();
        let policy = cited.and_then(|e| e.policy).or_else(|| own().first().copied());
        let path = policy.and_then(|o| self.cluster.meta(o)).map(crate::model::meta::Meta::path);
        let path = path.unwrap_or_else(|| "a policy".to_owned());
        let node_lets_in = node.as_ref().is_some_and(|(allowed, _)| *allowed != Allowed::No);
        match client.allowed {
            Allowed::Unknown => {
                let ids = client.unknowns.iter();
                let found = ids.fold(found, |f, id| f.possible(id.clone(), format!("it depends on {id}")));
                (found, if client.ports.is_empty() { ports.clone() } else { client.ports })
            }
            // The client is let in and nodes are not, or the other way round.
            Allowed::Yes => {
                let reason = format!("NetworkPolicy {path} sees the client or a node");
                (found.possible(format!("netpol-allows:{path}"), reason), client.ports)
            }
            Allowed::No if node_lets_in => {
                let reason = format!("NetworkPolicy {path} sees the client or a node");
                (found.possible(format!("netpol-allows:{path}"), reason), ports.clone())
            }
            Allowed::No => {
                let reason = format!("{path} denies it");
                let hops = found.hops;
                (Found { publicity: Publicity::Internal, reason, unknowns: Vec::new(), hops }, ports.clone())
            }
        }
    }

    /// What a pod lets in from nodes other than its own, which it always does: how sure, and the ports.
    fn node_verdict(&self, pod: u32, ports: &Ports) -> (Allowed, Ports) {
        let own = self.cluster.objects.pods.get(pod as usize).map_or("", |p| p.spec.node_name.as_str());
        let mut others =
            self.cluster.objects.nodes.iter().zip(0u32..).filter(|(n, _)| n.metadata.name != own).map(|(_, i)| i);
        let from = match others.next() {
            Some(n) => End::Node(n),
            // All nodes were read, and the pod's own is the only one.
            None if !self.cluster.objects.nodes.is_empty() => return (Allowed::Yes, ports.clone()),
            None => End::Somewhere,
        };
        let judged = self.network.judge(from, End::Pod(pod), ports);
        match (from, judged.allowed) {
            // A node that was not read could be any.
            (End::Somewhere, Allowed::No) => (Allowed::Unknown, ports.clone()),
            (_, allowed) => (allowed, judged.ports),
        }
    }

    /// The first public address of a list, else the first one: its place and text.
    fn address<'a>(all: impl Iterator<Item = &'a str> + Clone) -> Option<(usize, &'a str, bool)> {
        let public = |a: &str| a.parse().is_ok_and(is_public);
        let first = all.clone().enumerate().find(|(_, a)| public(a)).map(|(i, a)| (i, a, true));
        first.or_else(|| all.enumerate().next().map(|(i, a)| (i, a, false)))
    }
}
