//! Pods that nodes publish: host ports, and pods in the network of their node.

use super::super::ports::{Ports, Protocol};
use super::backends::Backend;
use super::{Entry, Found, Origin, Search, Way};
use crate::model::kind::{Kind, Obj};

impl Search<'_, '_> {
    pub(super) fn pods(&mut self) {
        let cluster = self.cluster;
        for (p, pod) in cluster.objects.pods.iter().zip(0u32..) {
            if p.finished() || p.running_containers().next().is_none() {
                continue;
            }
            let o = Obj { kind: Kind::Pod, index: pod };
            // Only a node that the internet can address: every cluster has such pods.
            // One that is not bound yet may come to any.
            let bound = Some(pod).filter(|_| !p.spec.node_name.is_empty());
            let Some((node, place, address)) = self.public_node(bound) else { continue };
            let found = || {
                Found::public()
                    .hop(node, format!("/status/addresses/{place}"), address.clone(), "the node has a public address")
                    .possible("node-ports-open".into(), "a firewall may keep ports of nodes closed")
            };
            let mut declared = false;
            for c in p.running_containers() {
                for (n, x) in c.container.ports.iter().enumerate() {
                    let Some(protocol) = Protocol::parse(&x.protocol) else { continue };
                    declared = true;
                    let (way, number, field) = if p.spec.host_network {
                        (Way::HostNetwork, x.container_port, "containerPort")
                    } else if x.host_port > 0 && !loopback(&x.host_ip) {
                        (Way::HostPort, x.host_port, "hostPort")
                    } else {
                        continue;
                    };
                    let (Ok(port), Ok(own)) = (u16::try_from(number), u16::try_from(x.container_port)) else {
                        continue;
                    };
                    let because = (o, format!("{}/ports/{n}/{field}", c.pointer()), number.to_string());
                    let b = Backend { pod, ports: Ports::one(protocol, own), because };
                    self.keep(
                        Entry { way, object: o, service: None, at: format!("{address}:{port}") },
                        &b,
                        found(),
                        &Origin::Client,
                    );
                }
            }
            if p.spec.host_network && !declared {
                let id = format!("pod-listens:{}", p.metadata.path());
                let found = found().possible(id, "it declares no port");
                let b = Backend { pod, ports: Ports::all(), because: (o, "/spec/hostNetwork".into(), "true".into()) };
                self.keep(
                    Entry { way: Way::HostNetwork, object: o, service: None, at: address.clone() },
                    &b,
                    found,
                    &Origin::Client,
                );
            }
        }
    }
}

fn loopback(address: &str) -> bool {
    address.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback())
}
