//! Pods behind a Service, with the ports that it sends to.

use std::collections::BTreeMap;

use super::super::classes::named_ports;
use super::super::end::End;
use super::super::network::Network;
use super::super::ports::{Ports, Protocol};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::network::{IntOrString, Service, ServicePort};
use crate::model::pod::Pod;

/// Label of a slice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Endpoints by Service: what slices say where they were read, else what selectors say.
#[derive(Debug)]
pub struct Backends<'c> {
    cluster: &'c Cluster,
    slices: BTreeMap<(&'c str, &'c str), Vec<u32>>,
    /// Pods by namespace and a label that a selector of a Service asks for.
    labelled: BTreeMap<(&'c str, &'c str, &'c str), Vec<u32>>,
    live: bool,
}

/// A pod that a Service port sends to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Pod, by number.
    pub pod: u32,
    /// Ports at the pod.
    pub ports: Ports,
    /// What says so.
    pub because: (Obj, String, String),
}

/// Which ports of a Service are meant.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// All.
    All,
    /// That of a number.
    Number(i32),
    /// That of a name.
    Name(&'a str),
}

impl Which<'_> {
    fn is(&self, p: &ServicePort) -> bool {
        match self {
            Which::All => true,
            Which::Number(n) => p.port == *n,
            Which::Name(n) => p.name == *n,
        }
    }
}

impl<'c> Backends<'c> {
    /// Reads the slices of a cluster.
    pub fn new(cluster: &'c Cluster) -> Self {
        let mut slices: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
        for (s, i) in cluster.objects.endpoint_slices.iter().zip(0u32..) {
            if let Some(name) = s.metadata.labels.get(SERVICE_NAME) {
                slices.entry((s.metadata.namespace.as_str(), name.as_str())).or_default().push(i);
            }
        }
        // Manifests have no slices: then selectors tell what they will say.
        let live = cluster.read.contains(&Kind::EndpointSlice) && !cluster.objects.endpoint_slices.is_empty();
        let selectors = cluster.objects.services.iter().filter(|_| !live);
        let wanted = selectors
            .flat_map(|s| s.spec.selector.iter().map(|(k, v)| (s.metadata.namespace.as_str(), k.as_str(), v.as_str())));
        let mut labelled: BTreeMap<(&str, &str, &str), Vec<u32>> = wanted.map(|w| (w, Vec::new())).collect();
        if !labelled.is_empty() {
            for (p, i) in cluster.objects.pods.iter().zip(0u32..) {
                for (k, v) in &p.metadata.labels {
                    if let Some(list) = labelled.get_mut(&(p.metadata.namespace.as_str(), k.as_str(), v.as_str())) {
                        list.push(i);
                    }
                }
            }
        }
        Backends { cluster, slices, labelled, live }
    }

    /// Pods that get the traffic of some ports of a Service, in order, each once.
    pub fn of(&self, network: &Network<'c>, index: u32, which: Which<'_>) -> Vec<Backend> {
        let Some(s) = self.cluster.objects.services.get(index as usize) else { return Vec::new() };
        if s.spec.kind == "ExternalName" {
            return Vec::new();
        }
        let mut found: BTreeMap<u32, Backend> = BTreeMap::new();
        let mut add = |b: Backend| {
            let ports = b.ports.clone();
            let entry = found.entry(b.pod).or_insert(b);
            entry.ports = entry.ports.or(&ports);
        };
        if self.live {
            self.of_slices(network, s, which, &mut add);
        } else {
            self.of_selector(Obj { kind: Kind::Service, index }, s, which, &mut add);
        }
        found.into_values().collect()
    }

    fn of_slices(&self, network: &Network<'c>, s: &Service, which: Which<'_>, add: &mut dyn FnMut(Backend)) {
        let key = (s.metadata.namespace.as_str(), s.metadata.name.as_str());
        for index in self.slices.get(&key).into_iter().flatten() {
            let Some(slice) = self.cluster.objects.endpoint_slices.get(*index as usize) else { continue };
            for (n, e) in slice.endpoints.iter().enumerate().filter(|(_, e)| e.conditions.ready != Some(false)) {
                let target = e.target_ref.as_ref().filter(|t| t.kind == "Pod");
                let named = target.and_then(|t| {
                    let ns = if t.namespace.is_empty() { &slice.metadata.namespace } else { &t.namespace };
                    self.cluster.find(Kind::Pod, ns, &t.name)
                });
                let address = || e.addresses.iter().find_map(|a| a.parse().ok());
                let by_address = || match network.engine.end(address()?) {
                    End::Pod(p) => Some(p),
                    _ => None,
                };
                let Some(pod) = named.or_else(by_address) else { continue };
                let Some(p) = self.cluster.objects.pods.get(pod as usize).filter(|p| !p.finished()) else { continue };
                let mut ports = Ports::none();
                for sp in s.spec.ports.iter().filter(|sp| which.is(sp)) {
                    let Some(protocol) = Protocol::parse(&sp.protocol) else { continue };
                    let same = |x: &str| Protocol::parse(x) == Some(protocol);
                    for x in slice.ports.iter().filter(|x| x.name == sp.name && same(&x.protocol)) {
                        ports = match x.port.map(u16::try_from) {
                            Some(Ok(n)) => ports.or(&Ports::one(protocol, n)),
                            Some(Err(_)) => ports,
                            None => ports.or(&Ports::range(protocol, 0, u16::MAX)),
                        };
                    }
                    // A slice that was reduced without its ports: what the Service says.
                    if slice.ports.is_empty() {
                        ports = ports.or(&target_port(sp, p));
                    }
                }
                if !ports.is_empty() {
                    let object = Obj { kind: Kind::EndpointSlice, index: *index };
                    let value = e.addresses.first().cloned().unwrap_or_default();
                    add(Backend { pod, ports, because: (object, format!("/endpoints/{n}/addresses"), value) });
                }
            }
        }
    }

    fn of_selector(&self, object: Obj, s: &Service, which: Which<'_>, add: &mut dyn FnMut(Backend)) {
        if s.spec.selector.is_empty() {
            return;
        }
        let words = s.spec.selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",");
        // The label that the fewest pods have; the others are checked.
        let lists = s.spec.selector.iter().map(|(k, v)| {
            self.labelled.get(&(s.metadata.namespace.as_str(), k.as_str(), v.as_str())).map_or(&[][..], Vec::as_slice)
        });
        for pod in lists.min_by_key(|l| l.len()).unwrap_or_default().iter().copied() {
            let Some(p) = self.cluster.objects.pods.get(pod as usize) else { continue };
            if p.running_containers().next().is_none() {
                continue;
            }
            let selected = s.spec.selector.iter().all(|(k, v)| p.metadata.labels.get(k) == Some(v));
            if !selected || !(p.ready() || s.spec.publish_not_ready_addresses) {
                continue;
            }
            let wanted = s.spec.ports.iter().filter(|sp| which.is(sp));
            let ports = wanted.fold(Ports::none(), |all, sp| all.or(&target_port(sp, p)));
            if !ports.is_empty() {
                add(Backend { pod, ports, because: (object, "/spec/selector".into(), words.clone()) });
            }
        }
    }
}

/// Where a Service port sends to at a pod: a name is that of the pod's own ports.
fn target_port(sp: &ServicePort, p: &Pod) -> Ports {
    let Some(protocol) = Protocol::parse(&sp.protocol) else { return Ports::none() };
    let one = |n: i32| u16::try_from(n).map_or(Ports::none(), |n| Ports::one(protocol, n));
    match &sp.target_port {
        None | Some(IntOrString::Int(0)) => one(sp.port),
        Some(IntOrString::Int(n)) => one(*n),
        Some(IntOrString::Str(name)) => {
            let own = named_ports(p).filter(|(n, x, _)| n == name && *x == protocol);
            own.fold(Ports::none(), |all, (_, x, n)| all.or(&Ports::one(x, n)))
        }
    }
}
