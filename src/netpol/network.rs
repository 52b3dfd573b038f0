//! The engine together with what decides whether it counts: were policies read, and does the plugin enforce them.

use super::decide::{Effect, Engine, Event};
use super::end::End;
use super::enforce::{Enforcement, enforcement};
use super::ports::Ports;
use super::{Direction, Settings};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};

/// Id of the unknown whether the network plugin enforces policies.
pub const CNI_ENFORCES: &str = "cni-enforces";

/// Whether one end may connect to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowed {
    /// No.
    No,
    /// It depends on something that is not known.
    Unknown,
    /// Yes.
    Yes,
}

/// A verdict with what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The verdict on any of the ports.
    pub allowed: Allowed,
    /// The source's side.
    pub egress: Allowed,
    /// The destination's side.
    pub ingress: Allowed,
    /// Ports that connect; where the verdict is unknown, those that may.
    pub ports: Ports,
    /// Ids of unknowns that decide it.
    pub unknowns: Vec<String>,
    /// Policies stand in the way, and whether they are enforced is not known: without, the connection is there.
    pub unenforced: bool,
    /// What happened, side by side.
    pub events: Vec<Event>,
}

/// The network of a cluster.
#[derive(Debug)]
pub struct Network<'c> {
    /// The engine.
    pub engine: Engine<'c>,
    /// Whether policies have an effect.
    pub enforcement: Enforcement,
    read: bool,
}

impl<'c> Network<'c> {
    /// Prepares the network of a cluster.
    pub fn new(cluster: &'c Cluster) -> Self {
        Network {
            engine: Engine::new(cluster, Settings::default()),
            enforcement: enforcement(cluster),
            read: cluster.was_read(Kind::NetworkPolicy),
        }
    }

    /// The same with every policy enforced and read, whatever the cluster says.
    pub fn enforced(cluster: &'c Cluster) -> Self {
        Network {
            engine: Engine::new(cluster, Settings::default()),
            enforcement: Enforcement::Yes(None, "assumed"),
            read: true,
        }
    }

    /// The verdict on any of some ports.
    pub fn judge(&self, from: End, to: End, of: &Ports) -> Judged {
        let (flow, mut events) = self.engine.explain(from, to);
        let (must, may) = (flow.must().and(of), flow.may().and(of));
        let side = |s: &super::Side| {
            if !s.must.and(of).is_empty() {
                Allowed::Yes
            } else if !s.may.and(of).is_empty() {
                Allowed::Unknown
            } else {
                Allowed::No
            }
        };
        events.retain(|e| !e.ports.and(of).is_empty());
        let mut out = Judged {
            allowed: Allowed::No,
            egress: side(&flow.egress),
            ingress: side(&flow.ingress),
            ports: if must.is_empty() { may.clone() } else { must.clone() },
            unknowns: Vec::new(),
            unenforced: false,
            events,
        };
        if matches!(self.enforcement, Enforcement::No(..)) && !self.ended(&out) {
            (out.egress, out.ingress) = (Allowed::Yes, Allowed::Yes);
            out.ports = of.clone();
            out.events.retain(|e| e.policy.is_none());
        }
        out.allowed = if !must.is_empty()
            || out.egress.min(out.ingress) == Allowed::Yes && matches!(self.enforcement, Enforcement::No(..))
        {
            Allowed::Yes
        } else if !may.is_empty() {
            Allowed::Unknown
        } else {
            Allowed::No
        };
        if out.allowed == Allowed::Unknown {
            out.unknowns = self.undecided(&out.events);
        }
        let policy =
            out.events.iter().any(|e| e.policy.is_some() && matches!(e.effect, Effect::Denied | Effect::Unknown));
        // What policies keep apart comes together where nothing enforces them.
        out.unenforced = out.allowed != Allowed::Yes
            && policy
            && matches!(self.enforcement, Enforcement::Unknown(_))
            && !self.ended(&out);
        if out.unenforced && out.allowed == Allowed::No {
            (out.allowed, out.ports) = (Allowed::Unknown, of.clone());
            out.unknowns = vec![CNI_ENFORCES.to_owned()];
        }
        if out.allowed == Allowed::Yes && !self.read && self.limited(from, to) {
            out.allowed = Allowed::Unknown;
            out.unknowns = vec!["unread:NetworkPolicy".to_owned()];
        }
        out
    }

    /// A pod that has ended has no network, whoever enforces what.
    fn ended(&self, judged: &Judged) -> bool {
        judged.events.iter().any(|e| e.effect == Effect::Denied && e.policy.is_none())
    }

    /// Whether policies could limit either end: pods with a network of their own.
    fn limited(&self, from: End, to: End) -> bool {
        let own = |e: End| match e {
            End::Pod(p) => self.engine.classes().of.get(p as usize).is_some_and(Option::is_some),
            _ => false,
        };
        own(from) || own(to)
    }

    fn undecided(&self, events: &[Event]) -> Vec<String> {
        let cluster = self.engine.cluster();
        let path = |o: Obj| cluster.meta(o).map(crate::model::meta::Meta::path).unwrap_or_default();
        let mut ids: Vec<String> = Vec::new();
        for direction in [Direction::Egress, Direction::Ingress] {
            let of = || events.iter().filter(move |e| e.direction == direction);
            // Two administrators' policies that disagree at one priority: each is named.
            let open = of().any(|e| e.effect == Effect::Unknown) || {
                let some = |effect| of().any(|e: &Event| e.effect == effect);
                some(Effect::Allowed) && some(Effect::Denied)
            };
            if open {
                ids.extend(of().filter_map(|e| e.policy).map(|o| format!("netpol-allows:{}", path(o))));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        // The labels of namespaces decide where they were asked for and not read.
        if !cluster.was_read(Kind::Namespace) {
            ids.push("unread:Namespace".to_owned());
        }
        ids
    }
}
