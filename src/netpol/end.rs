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
    /// An address that no pod and no node has.
    Address(IpAddr),
    /// Some address of the internet.
    Internet,
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
    /// A pod that has ended.
    pub finished: bool,
}

/// Addresses of a cluster: whose they are.
#[derive(Debug, Default)]
pub struct Directory {
    ends: FxHashMap<IpAddr, End>,
}

impl Directory {
    /// Reads the addresses of pods that run, and of nodes.
    pub fn new(cluster: &Cluster) -> Self {
        let mut ends = FxHashMap::default();
        for (p, i) in cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| !p.spec.host_network && !p.finished()) {
            for a in p.addresses() {
                ends.entry(a).or_insert(End::Pod(i));
            }
        }
        for (n, i) in cluster.objects.nodes.iter().zip(0u32..) {
            for a in n.status.addresses.iter().filter_map(|a| a.address.parse().ok()) {
                ends.insert(a, End::Node(i));
            }
        }
        Directory { ends }
    }

    /// Whose an address is.
    pub fn end(&self, address: IpAddr) -> End {
        self.ends.get(&address).copied().unwrap_or(End::Address(address))
    }
}

impl<'c> Party<'c> {
    /// Looks an end up.
    pub fn new(cluster: &'c Cluster, of: &[Option<u32>], end: End) -> Self {
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
            End::Node(n) => Party {
                host: cluster.objects.nodes.get(n as usize).map(|n| n.metadata.name.as_str()),
                host_number: Some(n),
                addresses: node_addresses(cluster, n),
                ..Party::default()
            },
            End::Address(a) => Party { addresses: SmallVec::from_slice(&[a]), ..Party::default() },
            End::Internet => Party { internet: true, ..Party::default() },
        }
    }
}

fn node_addresses(cluster: &Cluster, node: u32) -> SmallVec<[IpAddr; 1]> {
    let node = cluster.objects.nodes.get(node as usize);
    node.into_iter().flat_map(|n| &n.status.addresses).filter_map(|a| a.address.parse().ok()).collect()
}
