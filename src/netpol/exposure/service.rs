//! Services that are published: load balancers, node ports, external addresses.

use std::collections::BTreeMap;

use super::super::address::is_public;
use super::backends::Which;
use super::{Entry, Found, Origin, Search, Way};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::meta::Labels;
use crate::model::network::{LoadBalancerAddress, Service};

/// Annotations that make a load balancer internal, with the values that do; none is any value but `false`.
const INTERNAL: [(&str, &[&str]); 12] = [
    ("networking.gke.io/load-balancer-type", &["Internal", "internal"]),
    ("cloud.google.com/load-balancer-type", &["Internal", "internal"]),
    ("service.beta.kubernetes.io/aws-load-balancer-internal", &[]),
    ("service.beta.kubernetes.io/aws-load-balancer-scheme", &["internal"]),
    ("service.beta.kubernetes.io/azure-load-balancer-internal", &["true"]),
    ("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type", &["private"]),
    ("service.beta.kubernetes.io/openstack-internal-load-balancer", &["true"]),
    ("service.beta.kubernetes.io/oci-load-balancer-internal", &["true"]),
    ("service.beta.kubernetes.io/cce-load-balancer-internal-vpc", &["true"]),
    ("service.kubernetes.io/qcloud-loadbalancer-internal-subnetid", &[]),
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type", &["intranet"]),
    ("service.beta.kubernetes.io/linode-loadbalancer-enable-private", &["true"]),
];

/// The annotation that makes a load balancer internal, if any.
pub(super) fn internal_annotation(annotations: &Labels) -> Option<(&'static str, &str)> {
    INTERNAL.iter().find_map(|(key, values)| {
        let v = annotations.get(*key)?;
        let hit = if values.is_empty() { v != "false" } else { values.contains(&v.as_str()) };
        hit.then_some((*key, v.as_str()))
    })
}

/// The scheme that the AWS Load Balancer Controller is told; it makes internal ones unless told otherwise.
fn aws_controller(s: &Service) -> Option<bool> {
    let a = &s.metadata.annotations;
    let own = s.spec.load_balancer_class == "service.k8s.aws/nlb"
        || a.get("service.beta.kubernetes.io/aws-load-balancer-type").is_some_and(|t| t == "external" || t == "nlb-ip");
    let scheme = a.get("service.beta.kubernetes.io/aws-load-balancer-scheme");
    own.then(|| scheme.is_some_and(|s| s == "internet-facing"))
}

/// A pointer to an annotation.
pub(super) fn annotation(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// A node with a public address: the object, the place of the address in its status, and its text.
pub(super) type PublicNode = (Obj, usize, String);

/// Nodes with public addresses, looked up once.
#[derive(Debug, Default)]
pub(super) struct PublicNodes<'c> {
    first: Option<PublicNode>,
    by_name: BTreeMap<&'c str, PublicNode>,
}

impl<'c> PublicNodes<'c> {
    pub(super) fn new(cluster: &'c Cluster) -> Self {
        let mut out = PublicNodes::default();
        for (n, index) in cluster.objects.nodes.iter().zip(0u32..) {
            let public = |a: &str| a.parse().is_ok_and(is_public);
            let ip = |kind: &str| kind == "ExternalIP" || kind == "InternalIP";
            let place = n.status.addresses.iter().position(|a| ip(&a.kind) && public(&a.address));
            if let Some((place, a)) = place.and_then(|p| Some((p, n.status.addresses.get(p)?))) {
                let node = (Obj { kind: Kind::Node, index }, place, a.address.clone());
                out.first.get_or_insert_with(|| node.clone());
                out.by_name.insert(&n.metadata.name, node);
            }
        }
        out
    }
}

impl Search<'_, '_> {
    pub(super) fn services(&mut self) {
        let cluster = self.cluster;
        for (s, index) in cluster.objects.services.iter().zip(0u32..) {
            let o = Obj { kind: Kind::Service, index };
            if s.spec.kind == "LoadBalancer" {
                self.load_balancer(o, s);
            }
            if matches!(s.spec.kind.as_str(), "LoadBalancer" | "NodePort") {
                self.node_ports(o, s);
            }
            if s.spec.kind != "ExternalName" {
                self.external_addresses(o, s);
            }
        }
    }

    fn load_balancer(&mut self, o: Obj, s: &Service) {
        let status = &s.status.load_balancer.ingress;
        let found = self.balancer(o, s, status);
        let local = s.spec.external_traffic_policy == "Local"
            || s.metadata
                .annotations
                .get("service.beta.kubernetes.io/aws-load-balancer-nlb-target-type")
                .is_some_and(|t| t == "ip");
        let origin = if local { Origin::Client } else { Origin::ClientOrNode };
        let at = status.first().map_or("pending", |a| if a.ip.is_empty() { &a.hostname } else { &a.ip });
        let at =
            Self::address(status.iter().map(|a| a.ip.as_str()).filter(|a| !a.is_empty())).map_or(at, |(_, a, _)| a);
        let ports: Vec<String> = s.spec.ports.iter().map(|p| p.port.to_string()).collect();
        let at = format!("{at}:{}", ports.join(","));
        for b in self.backends.of(self.network, o.index, Which::All) {
            self.keep(
                Entry { way: Way::LoadBalancer, object: o, service: Some(o.index), at: at.clone() },
                &b,
                found.clone(),
                &origin,
            );
        }
    }

    /// How public a load balancer is.
    fn balancer(&self, o: Obj, s: &Service, status: &[LoadBalancerAddress]) -> Found {
        let found = Found::public().hop(o, "/spec/type", "LoadBalancer", "the Service is published");
        let found = cite(found, o, status);
        if let Some((key, value)) = internal_annotation(&s.metadata.annotations) {
            return Found { hops: found.hops, ..Found::internal("an annotation makes the load balancer internal") }
                .hop(o, annotation(key), value, "makes the load balancer internal");
        }
        let ranges = source_ranges(s);
        let path = s.metadata.path();
        let mut found = found;
        if let Some((pointer, ranges)) = ranges.filter(|(_, r)| !any_public(r)) {
            let shown = ranges.join(",");
            // Only the load balancers of clouds are known to heed them.
            let cloud = |n: &crate::model::objects::Node| {
                ["aws", "gce", "azure"].iter().any(|c| n.spec.provider_id.starts_with(c))
            };
            if self.cluster.objects.nodes.iter().any(cloud) {
                return Found { hops: found.hops, ..Found::internal("it lets only private addresses in") }.hop(
                    o,
                    pointer,
                    shown,
                    "lets only private addresses in",
                );
            }
            found = found
                .possible(
                    format!("source-ranges-ignored:{path}"),
                    "its load balancer may not heed the ranges of clients",
                )
                .hop(o, pointer, shown, "is to let only private addresses in");
        }
        let id = format!("load-balancer-public:{path}");
        let public = status.iter().any(|a| a.ip.parse().is_ok_and(is_public));
        let private = !status.is_empty() && status.iter().all(|a| !a.ip.is_empty());
        match aws_controller(s) {
            Some(true) if !status.is_empty() => return found,
            Some(false) => {
                return Found {
                    hops: found.hops,
                    ..Found::internal("the controller makes internal load balancers unless told otherwise")
                };
            }
            _ => {}
        }
        if public {
            found
        } else if private {
            Found { hops: found.hops, ..Found::internal("its address is private") }
        } else if status.is_empty() {
            found.possible(id, "it has no address yet")
        } else if status
            .iter()
            .all(|a| a.hostname.starts_with("internal-") && a.hostname.ends_with(".elb.amazonaws.com"))
        {
            Found { hops: found.hops, ..Found::internal("its name is that of an internal load balancer") }
        } else {
            found.possible(id, "its address is a name")
        }
    }

    fn node_ports(&mut self, o: Obj, s: &Service) {
        let ports: Vec<(usize, i32, i32)> = s
            .spec
            .ports
            .iter()
            .enumerate()
            .filter(|(_, p)| p.node_port > 0 || s.spec.kind == "NodePort")
            .map(|(n, p)| (n, p.node_port, p.port))
            .collect();
        if ports.is_empty() {
            return;
        }
        let local = s.spec.external_traffic_policy == "Local";
        let origin = if local { Origin::Client } else { Origin::ClientOrNode };
        let node = self.public_node(None);
        for (n, node_port, port) in ports {
            for b in self.backends.of(self.network, o.index, Which::Number(port)) {
                // Only nodes with an endpoint answer.
                let node = if local { self.public_node(Some(b.pod)) } else { node.clone() };
                // A manifest gets its number from the API server.
                let number = if node_port > 0 { node_port.to_string() } else { "assigned".to_owned() };
                let field = if node_port > 0 { format!("/spec/ports/{n}/nodePort") } else { "/spec/type".to_owned() };
                let found = Found::public().hop(o, field, number.clone(), "open on every node");
                let (found, at) = match node {
                    Some((node, place, address)) => (
                        found
                            .hop(
                                node,
                                format!("/status/addresses/{place}"),
                                address.clone(),
                                "the node has a public address",
                            )
                            .possible("node-ports-open".into(), "a firewall may keep node ports closed"),
                        format!("{address}:{number}"),
                    ),
                    None if !self.cluster.was_read(Kind::Node) => {
                        (found.possible("unread:Node".into(), "nodes were not read"), format!("node:{number}"))
                    }
                    // A load balancer is listed as such.
                    None if s.spec.kind == "LoadBalancer" => continue,
                    None => (
                        Found { hops: found.hops, ..Found::internal("no node has a public address") },
                        format!("node:{number}"),
                    ),
                };
                self.keep(Entry { way: Way::NodePort, object: o, service: Some(o.index), at }, &b, found, &origin);
            }
        }
    }

    /// A node with a public address, or that of a pod if it has one: the object, the place and text of the address.
    pub(super) fn public_node(&self, pod: Option<u32>) -> Option<PublicNode> {
        match pod {
            None => self.public_nodes.first.clone(),
            Some(p) => {
                let node = &self.cluster.objects.pods.get(p as usize)?.spec.node_name;
                self.public_nodes.by_name.get(node.as_str()).cloned()
            }
        }
    }

    fn external_addresses(&mut self, o: Obj, s: &Service) {
        let all = s.spec.external_ips.iter().map(String::as_str);
        let Some((place, address, public)) = Self::address(all) else { return };
        let ports: Vec<String> = s.spec.ports.iter().map(|p| p.port.to_string()).collect();
        let found = Found::public().hop(
            o,
            format!("/spec/externalIPs/{place}"),
            address,
            "nodes accept traffic for the address",
        );
        let found = if public {
            found.possible(format!("external-ip-routed:{address}"), "routers may not send the address to a node")
        } else {
            Found { hops: found.hops, ..Found::internal("its address is private") }
        };
        for b in self.backends.of(self.network, o.index, Which::All) {
            let at = format!("{address}:{}", ports.join(","));
            self.keep(
                Entry { way: Way::ExternalIp, object: o, service: Some(o.index), at },
                &b,
                found.clone(),
                &Origin::ClientOrNode,
            );
        }
    }
}

/// Client ranges of a load balancer, by field or by annotation, with the pointer.
fn source_ranges(s: &Service) -> Option<(String, Vec<String>)> {
    const KEY: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
    if !s.spec.load_balancer_source_ranges.is_empty() {
        return Some(("/spec/loadBalancerSourceRanges".to_owned(), s.spec.load_balancer_source_ranges.clone()));
    }
    let text = s.metadata.annotations.get(KEY).filter(|t| !t.trim().is_empty())?;
    Some((annotation(KEY), text.split(',').map(|r| r.trim().to_owned()).collect()))
}

/// Whether a list of CIDRs has a public address.
pub(super) fn any_public(ranges: &[String]) -> bool {
    ranges.iter().any(|r| {
        let block = crate::model::policy::IpBlock { cidr: r.trim().to_owned(), except: Vec::new() };
        super::super::address::Block::new(&block).is_some_and(|b| b.has_public())
    })
}

/// Cites the public address of a status, else the first.
pub(super) fn cite(found: Found, o: Obj, status: &[LoadBalancerAddress]) -> Found {
    let public = status.iter().position(|a| a.ip.parse().is_ok_and(is_public));
    let Some(a) = status.get(public.unwrap_or(0)) else { return found };
    let (field, value) = if a.ip.is_empty() { ("hostname", &a.hostname) } else { ("ip", &a.ip) };
    found.hop(o, format!("/status/loadBalancer/ingress/{}/{field}", public.unwrap_or(0)), value.clone(), "its address")
}
