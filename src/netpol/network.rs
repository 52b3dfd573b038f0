//! The engine together with what decides whether it counts: were policies read, and does the plugin enforce them.

use super::decide::{Effect, Engine, Event};
use super::end::End;
use super::enforce::{Enforcement, enforcement};
use super::plugin::Plugin;
use super::ports::{Ports, Protocol};
use super::targets::api_server;
use super::{Direction, Settings};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};

/// Id of the unknown whether the network plugin enforces policies.
pub const CNI_ENFORCES: &str = "cni-enforces";

/// Id of the unknown whether the plugin checks the address of a Service before it is translated.
pub const SEES_SERVICE: &str = "cni-sees-service-address";

/// Kinds of which an object that could not be read may be the policy that decides.
const POLICIES: [Kind; 9] = [
    Kind::NetworkPolicy,
    Kind::AdminNetworkPolicy,
    Kind::BaselineAdminNetworkPolicy,
    Kind::ClusterNetworkPolicy,
    Kind::CiliumNetworkPolicy,
    Kind::CiliumClusterwideNetworkPolicy,
    Kind::CalicoNetworkPolicy,
    Kind::GlobalNetworkPolicy,
    Kind::Tier,
];

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
    /// The same by side, egress first: on each side that is open, one of its policies that allows is enough.
    pub sides: [Vec<String>; 2],
    /// Policies stand in the way, and whether they are enforced is not known: without, the connection is there.
    pub unenforced: bool,
    /// What happened, side by side.
    pub events: Vec<Event>,
}

impl Judged {
    /// What opens the connection, each alone: nothing more where it is allowed, or the id of an unknown. One policy that
    /// allows is enough, and so is that none is enforced. Empty where it is closed.
    pub fn ways(&self) -> Vec<Option<String>> {
        if self.allowed == Allowed::No {
            return Vec::new();
        }
        let sure = (self.allowed == Allowed::Yes).then_some(None);
        let unenforced = self.unenforced && !self.unknowns.iter().any(|u| u == CNI_ENFORCES);
        let mut out: Vec<Option<String>> = self.unknowns.iter().cloned().map(Some).collect();
        out.extend(unenforced.then(|| Some(CNI_ENFORCES.to_owned())));
        out.extend(sure);
        out
    }
}

/// The network of a cluster.
#[derive(Debug)]
pub struct Network<'c> {
    /// The engine.
    pub engine: Engine<'c>,
    /// Whether policies have an effect.
    pub enforcement: Enforcement,
    unread: Option<String>,
    /// Where the API server listens, and the address of its Service.
    api: (Vec<(End, Ports)>, Option<End>),
}

impl<'c> Network<'c> {
    /// Prepares the network of a cluster.
    pub fn new(cluster: &'c Cluster) -> Self {
        Self::with(cluster, Settings::default())
    }

    /// The same with settings; whose own policies count is read from the cluster.
    pub fn with(cluster: &'c Cluster, settings: Settings) -> Self {
        let enforcement = enforcement(cluster);
        let plugin = match enforcement {
            Enforcement::Yes(_, "Cilium") => Plugin::Cilium,
            Enforcement::Yes(_, "Calico") => Plugin::Calico,
            _ => Plugin::Other,
        };
        // Under Cilium an ipBlock is never about pods (cilium #9209), whatever is the default elsewhere.
        let ipblock_matches_pods = settings.ipblock_matches_pods && plugin != Plugin::Cilium;
        Network {
            engine: Engine::new(cluster, Settings { plugin, ipblock_matches_pods, ..settings }),
            enforcement,
            api: api(cluster),
            // A policy that could not be read may be the one.
            unread: unread(cluster),
        }
    }

    /// The same with every policy enforced and read, whatever the cluster says.
    pub fn enforced(cluster: &'c Cluster) -> Self {
        Network {
            engine: Engine::new(cluster, Settings::default()),
            enforcement: Enforcement::Yes(None, "assumed"),
            unread: None,
            api: api(cluster),
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
            sides: [Vec::new(), Vec::new()],
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
            out.sides = self.undecided(&out.events);
            out.unknowns = out.sides.iter().flatten().cloned().collect();
            out.unknowns.sort_unstable();
            out.unknowns.dedup();
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
        // What was not read could forbid it, and could allow what only the baseline forbids.
        let open = out.allowed == Allowed::Yes || !self.ended(&out) && self.by_baseline(&out.events);
        let unread = self.unread.as_ref().filter(|_| !matches!(self.enforcement, Enforcement::No(..)));
        if let Some(id) = unread.filter(|_| open && self.limited(from, to)) {
            out.allowed = Allowed::Unknown;
            out.unknowns = vec![id.clone()];
        }
        out
    }

    /// The id of the unknown where policies were not read, or not all.
    pub fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// Whether a pod may connect to the API server: to one of its endpoints, which is what policies see behind the address
    /// of its Service; where only that address is allowed, it depends on the plugin. Addresses that were not read count as
    /// some address outside of the pods.
    pub fn to_api_server(&self, from: End) -> Judged {
        let (to, service) = &self.api;
        let all = to.iter().map(|(to, ports)| self.judge(from, *to, ports));
        let best = all.reduce(|a, b| if b.allowed > a.allowed { b } else { a });
        let best = best.unwrap_or_else(|| self.judge(from, End::Somewhere, &Ports::all()));
        if let Some(service) = service.filter(|_| best.allowed == Allowed::No) {
            let by_service = self.judge(from, service, &Ports::one(Protocol::Tcp, 443));
            if by_service.allowed != Allowed::No {
                let unknowns = vec![SEES_SERVICE.to_owned()];
                return Judged { allowed: Allowed::Unknown, unknowns, ..by_service };
            }
        }
        best
    }

    /// Whether a policy that others go before is what denies.
    fn by_baseline(&self, events: &[Event]) -> bool {
        let tiers = [Kind::BaselineAdminNetworkPolicy, Kind::ClusterNetworkPolicy];
        events.iter().any(|e| e.effect == Effect::Denied && e.policy.is_some_and(|o| tiers.contains(&o.kind)))
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

    fn undecided(&self, events: &[Event]) -> [Vec<String>; 2] {
        let cluster = self.engine.cluster();
        let path = |o: Obj| cluster.meta(o).map(crate::model::meta::Meta::path).unwrap_or_default();
        [Direction::Egress, Direction::Ingress].map(|direction| {
            let mut ids: Vec<String> = Vec::new();
            let of = || events.iter().filter(move |e| e.direction == direction);
            // Two administrators' policies that disagree at one priority: each is named.
            let open = of().any(|e| e.effect == Effect::Unknown) || {
                let some = |effect| of().any(|e: &Event| e.effect == effect);
                some(Effect::Allowed) && some(Effect::Denied)
            };
            if open {
                ids.extend(of().filter_map(|e| e.policy).map(|o| format!("netpol-allows:{}", path(o))));
                // The labels of namespaces decide where they were asked for and not read.
                if !cluster.was_read(Kind::Namespace) {
                    ids.push("unread:Namespace".to_owned());
                }
            }
            ids.sort_unstable();
            ids.dedup();
            ids
        })
    }
}

/// The id of the unknown where policies were not read, or not all.
fn unread(cluster: &Cluster) -> Option<String> {
    let skipped = |k: &Kind| {
        let id = format!("skipped:{}", k.info().kind);
        cluster.gaps.iter().any(|g| g.id == id)
    };
    let none = Some(Kind::NetworkPolicy).filter(|k| !cluster.was_read(*k));
    none.or_else(|| POLICIES.into_iter().find(skipped)).map(|k| format!("unread:{}", k.info().kind))
}

/// Where the API server listens: its endpoints, else its static pods, else some address; and the address of its Service.
fn api(cluster: &Cluster) -> (Vec<(End, Ports)>, Option<End>) {
    let usual = Ports::one(Protocol::Tcp, 443).or(&Ports::one(Protocol::Tcp, 6443));
    let mut to: Vec<(End, Ports)> =
        api_server(cluster).into_iter().map(|(a, (ports, _))| (End::Address(a), ports)).collect();
    if to.is_empty() {
        let pods = cluster
            .objects
            .pods
            .iter()
            .zip(0u32..)
            .filter(|(p, _)| p.is_api_server() && p.spec.host_network && !p.finished());
        to.extend(pods.map(|(_, i)| (End::Pod(i), usual.clone())));
    }
    if to.is_empty() {
        to.push((End::Somewhere, usual));
    }
    let service = cluster.find(Kind::Service, "default", "kubernetes");
    let service = service.and_then(|s| cluster.objects.services.get(s as usize)?.spec.cluster_ip.parse().ok());
    (to, service.map(End::Address))
}
