//! From nodes, and pods that reach the metadata service, to the role of the node.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::cloud;
use super::world::{World, last};
use crate::model::kind::{Kind, Obj};
use crate::netpol::network::{Judged, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::netpol::{Direction, End};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::{Fact, Subject};

/// What the metadata service of an instance lets pods do.
struct Options {
    enabled: Option<bool>,
    /// Version 1 answers without a token.
    optional: Option<bool>,
    hops: Option<u64>,
}

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>, network: &Network<'_>) {
    let profiles: BTreeMap<&str, Vec<&str>> = world
        .of("IamInstanceProfile")
        .map(|(_, p)| (p.text("Arn"), p.list("Roles").iter().filter_map(|r| r.as_str()).collect()))
        .collect();
    let mapped = super::access::node_roles(ctx, world);
    let mut known: FxHashMap<u32, Judged> = FxHashMap::default();
    for (n, i) in ctx.cluster.objects.nodes.iter().zip(0u32..) {
        let Some((instance, o)) = world.find("Ec2Instance", last(&n.spec.provider_id)) else { continue };
        let profile = o.spec.pointer("/IamInstanceProfile/Arn").and_then(|a| a.as_str()).unwrap_or_default();
        let roles = profiles.get(profile).cloned().unwrap_or_default();
        let node = Obj { kind: Kind::Node, index: i };
        for role in roles.iter().filter_map(|r| world.principals.get(*r)).map(|p| p.index) {
            let e = Emit::new("node-to-imds", Fact::CloudPrincipal(role)).from(Fact::Node(i));
            let e = e.because(node, "/spec/providerID", n.spec.provider_id.clone(), "the node is this instance");
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
        // A session of the instance's own is this node, and no other: the authenticator asks EC2 for its name.
        let sessions = roles.iter().filter_map(|r| mapped.get(&world.principals.get(*r)?.index)).flatten();
        for entry in sessions {
            let private = o.text("PrivateDnsName");
            // Nodes of Auto Mode have the id of their instance as name, which is the name of the session too.
            let name = match entry.user.as_str() {
                user if user.contains("{{SessionName") => o.metadata.name.as_str(),
                _ => private,
            };
            if !name.is_empty() && name != n.metadata.name {
                continue;
            }
            let user = Fact::Identity(ctx.subject(Subject::User(format!("system:node:{}", n.metadata.name))));
            let e = Emit::new("aws-node-role-cluster", user).from(Fact::Imds(i)).tier(2);
            let e = e.maybe(name.is_empty().then(|| format!("instance-name:{}", o.metadata.name)));
            let e = entry.unknowns.iter().fold(e, |e, id| e.unless_known(id.clone()));
            let (at, pointer) = entry.at.clone();
            let e = e.because(at, pointer, entry.value.clone(), "sessions of the role are nodes");
            let why = "the name of the node is that of the instance";
            ctx.emit(e.because(cloud(instance), "/spec/PrivateDnsName", private.to_owned(), why));
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

fn text<'a>(o: &'a crate::model::cloud::CloudObject, field: &str) -> Option<&'a str> {
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
