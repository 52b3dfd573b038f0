//! What every cluster has: API server, kubelets, metadata services, etcd, DNS, services of a node, admission webhooks.

use std::net::IpAddr;

use super::end::End;
use super::exposure::backends::{Backends, Which};
use super::network::Network;
use super::ports::{Ports, Protocol};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;

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

/// Words for targets that [`named`] knows.
pub const WORDS: [&str; 5] = ["kubelet", "etcd", "dns", "node-local", "admission"];

/// The ends, each with its ports, that a word stands for; `None` for another word. Empty where the cluster has none.
///
/// # Errors
/// The id of the unknown where what would tell was not read, or is not seen in a managed cluster.
pub fn named(cluster: &Cluster, network: &Network<'_>, word: &str) -> Option<Result<Vec<(End, Ports)>, String>> {
    let unread = |kind: Kind| Err(format!("unread:{}", kind.info().kind));
    Some(match word {
        "kubelet" if !cluster.was_read(Kind::Node) => unread(Kind::Node),
        "kubelet" => {
            let nodes = 0..cluster.objects.nodes.len() as u32;
            Ok(nodes.map(|n| (End::Node(n), Ports::one(Protocol::Tcp, KUBELET))).collect())
        }
        "etcd" if !cluster.was_read(Kind::Pod) => unread(Kind::Pod),
        "etcd" => match etcd(cluster) {
            all if all.is_empty() => Err("etcd-not-seen".to_owned()),
            all => Ok(all),
        },
        "dns" if !cluster.was_read(Kind::Service) => unread(Kind::Service),
        "dns" => {
            let services = cluster.objects.services.iter().zip(0u32..);
            let own = services.filter(|(s, _)| s.metadata.labels.get("k8s-app").is_some_and(|a| a == "kube-dns"));
            let own: Vec<(u32, Option<i32>)> = own.map(|(_, i)| (i, None)).collect();
            Ok(behind(cluster, network, &own))
        }
        "node-local" if !cluster.was_read(Kind::DaemonSet) => unread(Kind::DaemonSet),
        "node-local" => Ok(node_local(cluster)),
        "admission" if !cluster.was_read(Kind::ValidatingWebhookConfiguration) => {
            unread(Kind::ValidatingWebhookConfiguration)
        }
        "admission" if !cluster.was_read(Kind::MutatingWebhookConfiguration) => {
            unread(Kind::MutatingWebhookConfiguration)
        }
        "admission" => {
            let o = &cluster.objects;
            let all = o.validating_webhooks.iter().chain(&o.mutating_webhooks).flat_map(|c| &c.webhooks);
            let services: std::collections::BTreeSet<(u32, Option<i32>)> = all
                .filter_map(|w| w.client_config.service.as_ref())
                .filter_map(|s| {
                    let service = cluster.find(Kind::Service, &s.namespace, &s.name)?;
                    Some((service, Some(s.port.unwrap_or(443))))
                })
                .collect();
            Ok(behind(cluster, network, &services.into_iter().collect::<Vec<_>>()))
        }
        _ => return None,
    })
}

/// Pods behind Services, on the ports that a port of the Service leads to.
fn behind(cluster: &Cluster, network: &Network<'_>, services: &[(u32, Option<i32>)]) -> Vec<(End, Ports)> {
    let backends = Backends::new(cluster);
    let all = services.iter().flat_map(|(s, port)| {
        let which = port.map_or(Which::All, Which::Number);
        backends.of(network, *s, which).into_iter().map(|b| (End::Pod(b.pod), b.ports))
    });
    let mut all: Vec<(End, Ports)> = all.collect();
    all.sort();
    all.dedup();
    all
}

/// Pods of etcd, by the label that kubeadm gives them or by their image.
fn etcd(cluster: &Cluster) -> Vec<(End, Ports)> {
    let own = |p: &Pod| {
        let labelled = p.metadata.labels.get("component").is_some_and(|c| c == "etcd");
        labelled || p.running_containers().any(|c| c.container.image.contains("/etcd:"))
    };
    let pods = cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| !p.finished() && own(p));
    pods.map(|(_, i)| (End::Pod(i), Ports::one(Protocol::Tcp, 2379))).collect()
}

/// Addresses that are the same on every node: the cache of DNS, the agent of EKS Pod Identity.
fn node_local(cluster: &Cluster) -> Vec<(End, Ports)> {
    let runs = |name: &str| cluster.objects.daemon_sets.iter().any(|d| d.metadata.name == name);
    let mut out = Vec::new();
    if runs("node-local-dns") {
        let ports = Ports::one(Protocol::Udp, 53).or(&Ports::one(Protocol::Tcp, 53));
        out.push((End::Address(IpAddr::from([169, 254, 20, 10])), ports));
    }
    if runs("eks-pod-identity-agent") {
        out.push((End::Address(IpAddr::from([169, 254, 170, 23])), Ports::one(Protocol::Tcp, 80)));
    }
    out
}
