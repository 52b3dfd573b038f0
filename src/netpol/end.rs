//! The two ends of a connection.

use std::net::IpAddr;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::model::Cluster;

/// One end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A pod, by number.
    Pod(u32),
    /// A node itself, by number.
    Node(u32),
    /// An address that no pod has; it may be one of a node.
    Address(IpAddr),
    /// Some address of the internet.
    Internet,
    /// An address outside of the pods that is not known.
    Somewhere,
}

/// What the engine needs to know about an end.
#[derive(Debug, Clone, Default)]
pub struct Party<'c> {
    /// Pod, if it is one.
    pub pod: Option<u32>,
    /// Class of a pod with a network of its own.
    pub class: Option<u32>,
    /// Node that the end is, or whose network it is in.
    pub host: Option<&'c str>,
    /// Number of that node, if it was read.
    pub host_number: Option<u32>,
    /// Node that a pod with a network of its own runs on.
    pub runs_on: Option<&'c str>,
    /// Addresses.
    pub addresses: SmallVec<[IpAddr; 1]>,
    /// Some address of the internet.
    pub internet: bool,
    /// One address in the place of the internet: of somebody unknown, no part of the cluster.
    pub stranger: bool,
    /// A pod that has ended.
    pub finished: bool,
}

/// Addresses of a cluster: whose they are.
#[derive(Debug, Default)]
pub struct Directory {
    pods: FxHashMap<IpAddr, u32>,
    nodes: FxHashMap<IpAddr, u32>,
}

impl Directory {
    /// Reads the addresses of pods that run, and of nodes.
    pub fn new(cluster: &Cluster) -> Self {
        let mut directory = Directory::default();
        for (p, i) in cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| !p.spec.host_network && !p.finished()) {
            for a in p.addresses() {
                directory.pods.entry(a).or_insert(i);
            }
        }
        for (n, i) in cluster.objects.nodes.iter().zip(0u32..) {
            for a in n.status.addresses.iter().filter_map(|a| a.address.parse().ok()) {
                directory.nodes.entry(a).or_insert(i);
            }
        }
        directory
    }

    /// Whose an address is.
    pub fn end(&self, address: IpAddr) -> End {
        self.pods.get(&address).map_or(End::Address(address), |p| End::Pod(*p))
    }
}

impl<'c> Party<'c> {
    /// Looks an end up.
    pub fn new(cluster: &'c Cluster, of: &[Option<u32>], directory: &Directory, end: End) -> Self {
        match end {
            End::Pod(i) => {
                let Some(p) = cluster.objects.pods.get(i as usize) else { return Party::default() };
                let node = Some(p.spec.node_name.as_str()).filter(|n| !n.is_empty());
                let party = Party { pod: Some(i), finished: p.finished(), ..Party::default() };
                if !p.spec.host_network {
                    let class = of.get(i as usize).copied().flatten();
                    return Party { class, runs_on: node, addresses: p.addresses().collect(), ..party };
                }
                let number = node.and_then(|n| cluster.find(crate::model::Kind::Node, "", n));
                let mut addresses: SmallVec<[IpAddr; 1]> =
                    number.map(|n| node_addresses(cluster, n)).unwrap_or_default();
                addresses.extend(p.addresses().chain(p.status.host_ip.parse().ok()));
                addresses.sort_unstable();
                addresses.dedup();
                // Not bound yet: it will be in the network of some node.
                Party { host: Some(node.unwrap_or("")), host_number: number, addresses, ..party }
            }
            End::Node(n) => Party { addresses: node_addresses(cluster, n), ..Party::node(cluster, n) },
            End::Address(a) => {
                let node = directory.nodes.get(&a).map(|n| Party::node(cluster, *n));
                Party { addresses: SmallVec::from_slice(&[a]), ..node.unwrap_or_default() }
            }
            End::Internet => Party { internet: true, ..Party::default() },
            End::Somewhere => Party::default(),
        }
    }

    fn node(cluster: &'c Cluster, node: u32) -> Self {
        let name = cluster.objects.nodes.get(node as usize).map(|n| n.metadata.name.as_str());
        Party { host: name, host_number: Some(node), ..Party::default() }
    }
}

/// Addresses that a node's traffic in the cluster has: the internal ones where it has any.
fn node_addresses(cluster: &Cluster, node: u32) -> SmallVec<[IpAddr; 1]> {
    let all = cluster.objects.nodes.get(node as usize).map_or(&[][..], |n| n.status.addresses.as_slice());
    let internal = all.iter().filter(|a| a.kind == "InternalIP").filter_map(|a| a.address.parse().ok());
    let internal: SmallVec<[IpAddr; 1]> = internal.collect();
    if internal.is_empty() { all.iter().filter_map(|a| a.address.parse().ok()).collect() } else { internal }
}
