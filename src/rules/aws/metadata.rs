//! From nodes, and pods that reach the metadata service, to the role of the node.

use std::collections::BTreeMap;

use super::cloud;
use super::world::{World, last};
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};
use crate::netpol::network::{Judged, Network};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;
use crate::rules::metadata::{self as reach, Answers, METADATA, Way};

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
    let mut way = Way::new(network, METADATA);
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
            let judged = way.judge(p);
            pod(ctx, &judged, p, (i, instance), &options);
        }
    }
}

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
    let value = match (options.optional, options.hops) {
        (Some(true), _) => ("/spec/MetadataOptions/HttpTokens", "optional".to_owned()),
        (_, Some(h)) => ("/spec/MetadataOptions/HttpPutResponseHopLimit", h.to_string()),
        _ => ("/spec/MetadataOptions", String::new()),
    };
    let name = ctx.cluster.objects.cloud.get(instance as usize).map_or("", |o| &o.metadata.name);
    let answers = Answers {
        because: (cloud(instance), value.0.to_owned(), value.1),
        why: "the metadata service answers pods",
        unknown: (!opens).then(|| format!("metadata-options:{name}")),
    };
    reach::emit(ctx, p, judged, &|| Emit::new("net-pod-to-imds", Fact::Imds(node)), &answers);
}
