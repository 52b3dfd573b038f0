//! Addresses that every cluster has: API server, kubelets, metadata services.

use std::net::IpAddr;

use super::end::End;
use super::ports::{Ports, Protocol};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};

/// Port of a kubelet.
pub const KUBELET: u16 = 10250;

/// Addresses of the API server with their ports and the slice that says so: the endpoints of `default/kubernetes`, which
/// policies see behind the address of that Service. None where they were not read.
pub fn api_server(cluster: &Cluster) -> Vec<(IpAddr, (Ports, Obj))> {
    let mut out = Vec::new();
    for (s, index) in cluster.objects.endpoint_slices.iter().zip(0u32..) {
        let own = s.metadata.labels.get("kubernetes.io/service-name").is_some_and(|n| n == "kubernetes");
        if s.metadata.namespace != "default" || !own && s.metadata.name != "kubernetes" {
            continue;
        }
        let numbers = s.ports.iter().filter_map(|p| u16::try_from(p.port?).ok());
        let ports = numbers.fold(Ports::none(), |all, n| all.or(&Ports::one(Protocol::Tcp, n)));
        let ports = if ports.is_empty() { default_ports() } else { ports };
        for a in s.endpoints.iter().flat_map(|e| &e.addresses).filter_map(|a| a.parse().ok()) {
            out.push((a, (ports.clone(), Obj { kind: Kind::EndpointSlice, index })));
        }
    }
    out
}

/// Ports that API servers usually have.
fn default_ports() -> Ports {
    Ports::one(Protocol::Tcp, 443).or(&Ports::one(Protocol::Tcp, 6443))
}

/// Addresses of the instance metadata services of the clouds that the nodes are in.
pub fn metadata(cluster: &Cluster) -> Vec<End> {
    let on = |prefix: &str| cluster.objects.nodes.iter().any(|n| n.spec.provider_id.starts_with(prefix));
    let v6 = cluster.objects.nodes.iter().flat_map(|n| &n.status.addresses).any(|a| a.address.contains(':'));
    let mut all: Vec<IpAddr> = vec![IpAddr::from([169, 254, 169, 254])];
    if on("aws") && v6 {
        all.push(IpAddr::from([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]));
    }
    if on("alicloud") {
        all.push(IpAddr::from([100, 100, 100, 200]));
    }
    all.into_iter().map(End::Address).collect()
}
