//! From nodes, and pods that reach the metadata service, to the role of the node.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::cloud;
use super::world::{World, last};
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};
use crate::netpol::network::{Judged, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::netpol::{Direction, End};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;

/// What the metadata service of an instance lets pods do.
struct Options {
    enabled: Option<bool>,
    /// Version 1 answers without a token.
    optional: Option<bool>,
    hops: Option<u64>,
}

/// A node that is an instance of the account.
#[derive(Debug)]
pub(super) struct Instance {
    /// Number of the node.
    pub(super) node: u32,
    /// Number of the instance's object.
    pub(super) instance: u32,
    /// Numbers of the roles of its profile.
    pub(super) roles: Vec<u32>,
}

/// The ARN of an instance's profile.
fn profile(o: &CloudObject) -> &str {
    o.spec.pointer("/IamInstanceProfile/Arn").and_then(|a| a.as_str()).unwrap_or_default()
}

/// Nodes that are instances of the account, in order.
pub(super) fn instances(world: &World<'_>) -> Vec<Instance> {
    let index = |r: &serde_json::Value| Some(world.principals.get(r.as_str()?)?.index);
    let profiles: BTreeMap<&str, Vec<u32>> = world
        .of("IamInstanceProfile")
        .map(|(_, p)| (p.text("Arn"), p.list("Roles").iter().filter_map(index).collect()))
        .collect();
    let nodes = world.cluster.objects.nodes.iter().zip(0u32..);
    let found = nodes.filter_map(|(n, node)| {
        let (instance, o) = world.find("Ec2Instance", last(&n.spec.provider_id))?;
        Some(Instance { node, instance, roles: profiles.get(profile(o)).cloned().unwrap_or_default() })
    });
    found.collect()
}

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>, network: &Network<'_>) {
    let mut known: FxHashMap<u32, Judged> = FxHashMap::default();
    for Instance { node: i, instance, roles } in &world.instances {
        let (i, instance) = (*i, *instance);
        let Some(o) = ctx.cluster.objects.cloud.get(instance as usize) else { continue };
        let profile = profile(o);
        let node = Obj { kind: Kind::Node, index: i };
        for role in roles.iter().copied() {
            let id = ctx.cluster.objects.nodes.get(i as usize).map(|n| n.spec.provider_id.clone()).unwrap_or_default();
            let e = Emit::new("node-to-imds", Fact::CloudPrincipal(role)).from(Fact::Node(i));
            let e = e.because(node, "/spec/providerID", id, "the node is this instance");
            ctx.emit(e.because(
                cloud(instance),
                "/spec/IamInstanceProfile/Arn",
                profile.to_owned(),
                "the instance has this role",
            ));
            let e = Emit::new("cloud-imds-node-role", Fact::CloudPrincipal(role)).from(Fact::Imds(i));
            ctx.emit(e.because(
                cloud(instance),
                "/spec/IamInstanceProfile/Arn",
                profile.to_owned(),
                "the instance has this role",
            ));
        }
        let options = Options {
            enabled: text(o, "HttpEndpoint").map(|v| v == "enabled"),
            optional: text(o, "HttpTokens").map(|v| v == "optional"),
            hops: o.spec.pointer("/MetadataOptions/HttpPutResponseHopLimit").and_then(serde_json::Value::as_u64),
        };
        for p in ctx.pods_of_node.get(i as usize).cloned().unwrap_or_default() {
            let class = network.engine.classes().of.get(p as usize).copied().flatten();
            let ask = || network.judge(End::Pod(p), METADATA, &Ports::one(Protocol::Tcp, 80));
            // The pods of a class are alike to every policy.
            let judged = match class {
                Some(c) => known.entry(c).or_insert_with(ask).clone(),
                None => ask(),
            };
            pod(ctx, &judged, p, (i, instance), &options);
        }
    }
}

/// The address of the metadata service.
const METADATA: End = End::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254)));

fn text<'a>(o: &'a CloudObject, field: &str) -> Option<&'a str> {
    o.spec.get("MetadataOptions")?.get(field)?.as_str()
}

/// A pod of a node: by version 1, which no hop limit stops, or with a token that comes so far.
fn pod(ctx: &mut Ctx<'_>, judged: &Judged, p: u32, (node, instance): (u32, u32), options: &Options) {
    let Some(pod) = ctx.cluster.objects.pods.get(p as usize).filter(|p| !p.finished()) else { return };
    let host = pod.spec.host_network;
    let far = options.hops.map(|h| h >= 2);
    let opens = match (options.enabled, host, options.optional, far) {
        (Some(false), ..) => return,
        (Some(true), true, ..) | (Some(true), _, Some(true), _) | (Some(true), _, _, Some(true)) => true,
        (Some(true), false, Some(false), Some(false)) => return,
        _ => false,
    };
    let decided = judged.events.iter().find(|e| e.direction == Direction::Egress && e.policy.is_some());
    let o = Obj { kind: Kind::Pod, index: p };
    let value = match (options.optional, options.hops) {
        (Some(true), _) => ("/spec/MetadataOptions/HttpTokens", "optional".to_owned()),
        (_, Some(h)) => ("/spec/MetadataOptions/HttpPutResponseHopLimit", h.to_string()),
        _ => ("/spec/MetadataOptions", String::new()),
    };
    for (id, c) in judged.ways().iter().flat_map(|w| pod.running_containers().map(move |c| (w.clone(), c.ordinal))) {
        let e = Emit::new("net-pod-to-imds", Fact::Imds(node)).from(Fact::Exec(p, c)).maybe(id);
        let e = e.maybe((!opens).then(|| {
            format!(
                "metadata-options:{}",
                ctx.cluster.objects.cloud.get(instance as usize).map_or("", |o| &o.metadata.name)
            )
        }));
        let e = match decided.and_then(|d| Some((d, d.policy?))) {
            Some((d, policy)) => {
                let pointer = d.rule.map_or("/spec".to_owned(), |r| r.pointer());
                e.because(policy, pointer, d.ports.to_string(), d.why)
            }
            None if host => e.because(o, "/spec/hostNetwork", "true", "the pod is in the network of its node"),
            None => e.because(o, "/metadata/namespace", "", "no policy limits what the pod may connect to"),
        };
        ctx.emit(e.because(cloud(instance), value.0, value.1.clone(), "the metadata service answers pods"));
    }
}
