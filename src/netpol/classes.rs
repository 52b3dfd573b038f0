//! Pods that no policy can tell apart share a class.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use indexmap::IndexMap;
use roaring::RoaringBitmap;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use super::address::{Block, Number, number};
use super::compile::{Namespaces, Peer, Policies};
use super::ports::Protocol;
use crate::model::meta::Labels;
use crate::model::pod::Pod;
use crate::model::rbac::LabelSelector;
use crate::model::{Cluster, Kind};

/// Label that the API server gives every namespace.
pub const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A namespace with its labels.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Name.
    pub name: String,
    /// Labels, with the one that every namespace has.
    pub labels: Labels,
    /// Whether the labels were read.
    pub known: bool,
}

impl Namespace {
    /// Whether a selector matches; `None` when that depends on labels that were not read.
    pub fn matches(&self, selector: &LabelSelector) -> Option<bool> {
        let keys = selector.match_labels.keys().chain(selector.match_expressions.iter().map(|r| &r.key));
        (self.known || keys.into_iter().all(|k| k == NAME_LABEL)).then(|| selector.matches(&self.labels))
    }
}

/// Pods of one class: same namespace, same labels as far as a policy asks, same named ports, addresses that the same
/// blocks have.
#[derive(Debug, Clone)]
pub struct Class {
    /// Namespace, by number.
    pub namespace: u32,
    /// Labels with keys that a policy mentions.
    pub labels: Labels,
    /// Ports with names that a policy mentions.
    pub named: Vec<(String, Protocol, u16)>,
    /// Addresses of one of its pods: in every other, the same blocks have them.
    pub addresses: SmallVec<[IpAddr; 1]>,
    /// Its pods, by number.
    pub pods: Vec<u32>,
}

/// What decides the class of a pod.
type Key = (u32, Vec<(u32, String)>, Vec<(String, Protocol, u16)>, SmallVec<[u32; 1]>);

/// Classes with the peers that they belong to.
#[derive(Debug, Default)]
pub struct Classes {
    /// Namespaces, by name.
    pub namespaces: Vec<Namespace>,
    /// Classes.
    pub list: Vec<Class>,
    /// Class of each pod; none for those in the network of their node and those that have ended.
    pub of: Vec<Option<u32>>,
    /// Classes of each namespace.
    pub of_namespace: Vec<Vec<u32>>,
    /// Classes that belong to each peer for sure, and those that may.
    pub members: Vec<(RoaringBitmap, RoaringBitmap)>,
    /// Group of each node: those of one are alike to every policy, as far as pods go that run elsewhere.
    node_groups: Vec<u32>,
}

/// What decides the group of a node: its addresses among those that blocks tell apart, its labels that rules ask for, and
/// the pods in its network by what rules ask of pods.
type NodeKey = (Vec<u32>, Labels, BTreeSet<HostedKey>);

/// Namespace, and labels that rules ask for, of a pod in the network of its node.
type HostedKey = (u32, Vec<(u32, String)>);

/// Ports with a name, of every container that runs beside the others.
pub fn named_ports(pod: &Pod) -> impl Iterator<Item = (&str, Protocol, u16)> {
    let sidecars = pod.spec.init_containers.iter().filter(|c| c.restart_policy == "Always");
    pod.spec.containers.iter().chain(sidecars).flat_map(|c| &c.ports).filter(|p| !p.name.is_empty()).filter_map(|p| {
        Some((p.name.as_str(), Protocol::parse(&p.protocol)?, u16::try_from(p.container_port).ok().filter(|n| *n > 0)?))
    })
}

impl Classes {
    /// Sorts the pods of a cluster into classes.
    pub fn new(cluster: &Cluster, policies: &Policies, ipblock_matches_pods: bool) -> Self {
        let namespaces = namespaces(cluster);
        let number_of: FxHashMap<&str, u32> =
            namespaces.iter().zip(0u32..).map(|(n, i)| (n.name.as_str(), i)).collect();
        let mentioned = Mentioned::new(cluster, policies);
        let mut keys: IndexMap<Key, Vec<u32>, FxBuildHasher> = IndexMap::default();
        let mut of = Vec::with_capacity(cluster.objects.pods.len());
        for (p, i) in cluster.objects.pods.iter().zip(0u32..) {
            let ns = number_of.get(p.metadata.namespace.as_str()).copied();
            let (Some(ns), false, false) = (ns, p.spec.host_network, p.finished()) else {
                of.push(None);
                continue;
            };
            let entry = keys.entry(mentioned.key(ns, p));
            of.push(Some(entry.index() as u32));
            entry.or_default().push(i);
        }
        let mut of_namespace = vec![Vec::new(); namespaces.len()];
        let mut list = Vec::with_capacity(keys.len());
        for (n, ((namespace, labels, named, _), pods)) in keys.into_iter().enumerate() {
            let first = pods.first().and_then(|p| cluster.objects.pods.get(*p as usize));
            let keys = labels.into_iter().filter_map(|(k, v)| Some((mentioned.label(k)?, v)));
            if let Some(list) = of_namespace.get_mut(namespace as usize) {
                list.push(n as u32);
            }
            list.push(Class {
                namespace,
                labels: keys.collect(),
                named,
                addresses: first.into_iter().flat_map(Pod::addresses).collect(),
                pods,
            });
        }
        let node_groups = node_groups(cluster, policies, &mentioned, &number_of);
        let mut classes = Classes { namespaces: Vec::new(), list, of, of_namespace, members: Vec::new(), node_groups };
        classes.namespaces = namespaces;
        classes.members = policies.peers.iter().map(|p| classes.members_of(p, ipblock_matches_pods)).collect();
        classes
    }

    /// The number of a namespace.
    pub fn namespace(&self, name: &str) -> Option<u32> {
        self.namespaces.binary_search_by(|n| n.name.as_str().cmp(name)).ok().map(|i| i as u32)
    }

    /// The group of a node: nodes of one group are alike to every policy.
    pub fn node_group(&self, node: u32) -> u32 {
        self.node_groups.get(node as usize).copied().unwrap_or(u32::MAX)
    }

    /// The class of a number.
    pub fn get(&self, class: u32) -> Option<&Class> {
        self.list.get(class as usize)
    }

    /// Classes of a namespace.
    pub fn of_namespace(&self, namespace: u32) -> &[u32] {
        self.of_namespace.get(namespace as usize).map_or(&[], Vec::as_slice)
    }

    fn members_of(&self, peer: &Peer, ipblock_matches_pods: bool) -> (RoaringBitmap, RoaringBitmap) {
        let (mut sure, mut maybe) = (RoaringBitmap::new(), RoaringBitmap::new());
        match peer {
            Peer::Everyone | Peer::Cluster => {
                sure.insert_range(0..self.list.len() as u32);
            }
            Peer::Pods(namespaces, selector) => {
                let mut add = |ns: u32, known: bool| {
                    let hits = self
                        .of_namespace(ns)
                        .iter()
                        .filter(|c| self.get(**c).is_some_and(|c| selector.matches(&c.labels)));
                    if known { sure.extend(hits) } else { maybe.extend(hits) }
                };
                match namespaces {
                    Namespaces::One(name) => self.namespace(name).into_iter().for_each(|n| add(n, true)),
                    Namespaces::Labelled(s) => {
                        for (n, i) in self.namespaces.iter().zip(0u32..) {
                            match n.matches(s) {
                                Some(true) => add(i, true),
                                Some(false) => {}
                                None => add(i, false),
                            }
                        }
                    }
                }
            }
            Peer::Block(_) if !ipblock_matches_pods => {}
            // A pod with addresses of both families may be reached by either: a rule about one of them is not about all.
            Peer::Networks(b) => {
                for (c, i) in self.list.iter().zip(0u32..) {
                    let hits = c.addresses.iter().filter(|a| b.contains(**a)).count();
                    match in_block(b, &c.addresses) {
                        Some(true) if hits == c.addresses.len() => sure.insert(i),
                        Some(false) => false,
                        _ => maybe.insert(i),
                    };
                }
            }
            Peer::Block(b) => {
                for (c, i) in self.list.iter().zip(0u32..) {
                    match in_block(b, &c.addresses) {
                        Some(true) => sure.insert(i),
                        Some(false) => false,
                        None => maybe.insert(i),
                    };
                }
            }
            Peer::Nodes(_) | Peer::DomainNames | Peer::Outside(_) | Peer::World | Peer::SomeNodes | Peer::ApiServer => {
            }
        }
        (sure, maybe)
    }
}

/// The group of each node.
fn node_groups(
    cluster: &Cluster,
    policies: &Policies,
    mentioned: &Mentioned<'_>,
    number_of: &FxHashMap<&str, u32>,
) -> Vec<u32> {
    let asked: BTreeSet<&String> = policies
        .peers
        .iter()
        .filter_map(|p| if let Peer::Nodes(s) = p { Some(s) } else { None })
        .flat_map(|s| s.match_labels.keys().chain(s.match_expressions.iter().map(|r| &r.key)))
        .collect();
    let mut hosted: BTreeMap<&str, BTreeSet<HostedKey>> = BTreeMap::new();
    for p in cluster.objects.pods.iter().filter(|p| p.spec.host_network && !p.finished()) {
        if let Some(ns) = number_of.get(p.metadata.namespace.as_str()) {
            let (_, labels, ..) = mentioned.key(*ns, p);
            hosted.entry(p.spec.node_name.as_str()).or_default().insert((*ns, labels));
        }
    }
    let api: BTreeSet<IpAddr> = super::targets::api_server(cluster).into_iter().map(|(a, _)| a).collect();
    let mut numbers: BTreeMap<NodeKey, u32> = BTreeMap::new();
    let group = |n: &crate::model::objects::Node| {
        let addresses = n.status.addresses.iter().filter_map(|a| a.address.parse().ok());
        let addresses: Vec<IpAddr> = addresses.collect();
        let mut atoms: Vec<u32> = addresses.iter().map(|a| mentioned.atom(*a)).collect();
        // A node that the API server listens on is apart.
        atoms.extend(addresses.iter().any(|a| api.contains(a)).then_some(u32::MAX));
        atoms.sort_unstable();
        atoms.dedup();
        let labels = n.metadata.labels.iter().filter(|(k, _)| asked.contains(k));
        let labels = labels.map(|(k, v)| (k.clone(), v.clone())).collect();
        let key = (atoms, labels, hosted.get(n.metadata.name.as_str()).cloned().unwrap_or_default());
        let next = numbers.len() as u32;
        *numbers.entry(key).or_insert(next)
    };
    cluster.objects.nodes.iter().map(group).collect()
}

/// Whether a block has one of the addresses; `None` when a pod has none yet that would tell.
pub fn in_block(block: &Block, addresses: &[IpAddr]) -> Option<bool> {
    if addresses.is_empty() && !block.is_everything() {
        return None;
    }
    Some(addresses.is_empty() || addresses.iter().any(|a| block.contains(*a)))
}

fn namespaces(cluster: &Cluster) -> Vec<Namespace> {
    let read = cluster.was_read(Kind::Namespace);
    let mut all: BTreeMap<&str, Namespace> = cluster
        .namespace_names()
        .into_iter()
        .chain(cluster.objects.network_policies.iter().map(|p| p.metadata.namespace.as_str()))
        .map(|n| (n, Namespace { name: n.to_owned(), labels: Labels::new(), known: read }))
        .collect();
    for n in &cluster.objects.namespaces {
        if let Some(x) = all.get_mut(n.metadata.name.as_str()) {
            x.labels = n.metadata.labels.clone();
        }
    }
    all.into_values()
        .map(|mut n| {
            n.labels.entry(NAME_LABEL.to_owned()).or_insert_with(|| n.name.clone());
            n
        })
        .collect()
}

/// What policies ask about pods: everything else is left out of a class.
#[derive(Debug)]
struct Mentioned<'a> {
    keys: Vec<&'a str>,
    ports: BTreeSet<&'a str>,
    /// Where the spans of blocks begin and end, sorted.
    bounds: Vec<Number>,
}

impl<'a> Mentioned<'a> {
    fn new(cluster: &'a Cluster, policies: &'a Policies) -> Self {
        let of = |s: &'a LabelSelector| {
            s.match_labels.keys().chain(s.match_expressions.iter().map(|r| &r.key)).map(String::as_str)
        };
        let subjects = cluster.objects.network_policies.iter().map(|p| &p.spec.pod_selector);
        let peers = policies.peers.iter().filter_map(|p| match p {
            Peer::Pods(_, s) => Some(s),
            _ => None,
        });
        let subjects = subjects.chain(policies.plugin.iter().map(|p| &p.subject.selector));
        let keys: BTreeSet<&str> = subjects.chain(peers).flat_map(of).collect();
        let standard = policies.standard.iter().flat_map(|p| p.rules.iter().flatten().flatten().map(|r| &r.ports));
        let tiered = policies.tiered.iter().flat_map(|p| p.rules.iter().flatten().map(|r| &r.ports));
        let plugin = policies.plugin.iter().flat_map(|p| p.rules.iter().flatten().map(|r| &r.ports));
        let ports = standard.chain(tiered).chain(plugin).flat_map(|p| &p.names).map(|(n, _)| n.as_str()).collect();
        let blocks = policies.peers.iter().filter_map(|p| match p {
            Peer::Block(b) | Peer::Networks(b) | Peer::Outside(b) => Some(b),
            _ => None,
        });
        let bounds: BTreeSet<Number> = blocks.flat_map(Block::bounds).collect();
        Mentioned { keys: keys.into_iter().collect(), ports, bounds: bounds.into_iter().collect() }
    }

    /// Between which bounds of blocks an address is.
    fn atom(&self, a: IpAddr) -> u32 {
        self.bounds.partition_point(|b| *b <= number(a)) as u32
    }

    fn label(&self, key: u32) -> Option<String> {
        self.keys.get(key as usize).map(|k| (*k).to_owned())
    }

    fn key(&self, ns: u32, p: &Pod) -> Key {
        let labels = p.metadata.labels.iter().filter_map(|(k, v)| {
            let n = self.keys.binary_search(&k.as_str()).ok()?;
            Some((n as u32, v.clone()))
        });
        let mut named: Vec<(String, Protocol, u16)> = Vec::new();
        if !self.ports.is_empty() {
            named.extend(
                named_ports(p).filter(|(n, _, _)| self.ports.contains(n)).map(|(n, x, port)| (n.to_owned(), x, port)),
            );
            named.sort_unstable();
            named.dedup();
        }
        // Pods without an address are a class of their own where a block asks.
        let atoms = p.addresses().map(|a| self.atom(a));
        let atoms = if self.bounds.is_empty() { SmallVec::new() } else { atoms.collect() };
        (ns, labels.collect(), named, atoms)
    }
}
