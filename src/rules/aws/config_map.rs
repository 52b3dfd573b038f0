//! The ConfigMap aws-auth: who may write it maps a principal of its own to the cluster's administrators.
//!
//! A principal of AWS is no obstacle: anybody has one in an account of their own (EKS User Guide, "Grant IAM users access to
//! Kubernetes with a ConfigMap").

use serde_json::Value;

use super::cloud;
use super::world::World;
use crate::authz::rbac::GrantId;
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;
use crate::rules::rows::{self, Names, Need, need};

/// To change the ConfigMap that is there, and to make one that is not.
pub const WRITES: [Need; 2] =
    [need(&["patch", "update"], "", "configmaps", ""), need(&["create"], "", "configmaps", "")];

/// Whether the authenticator reads the ConfigMap: what says so, and what leaves it open.
struct Reads {
    because: (Obj, &'static str, String),
    unknowns: Vec<String>,
}

/// Emits the step of each rule that allows writing the ConfigMap of a cluster of EKS.
pub fn emit(ctx: &mut Ctx<'_>, world: Option<&World<'_>>) {
    let map = ctx.cluster.find(Kind::ConfigMap, "kube-system", "aws-auth");
    let reads = match world.map(World::clusters).filter(|c| !c.is_empty()) {
        Some(clusters) => clusters
            .into_iter()
            .filter_map(|(index, c, which)| {
                let mode = c.spec.pointer("/accessConfig/authenticationMode").and_then(Value::as_str);
                let (pointer, value) = match mode {
                    Some("API") => return None,
                    Some(m) => ("/spec/accessConfig/authenticationMode", m.to_owned()),
                    None => ("/metadata/name", c.metadata.name.clone()),
                };
                let unread = mode.is_none().then(|| format!("unread:eks-describe-cluster-{}", c.metadata.name));
                let unknowns = unread.into_iter().chain(which).collect();
                Some(Reads { because: (cloud(index), pointer, value), unknowns })
            })
            .collect(),
        None => undescribed(ctx, map),
    };
    // One that is there is changed, one that is not is made; whether it is there may not be known.
    let [change, make] = WRITES;
    let unread = !ctx.cluster.was_read(Kind::ConfigMap) && map.is_none();
    let wanted: &[Need] = match (unread, map.is_some()) {
        (true, _) => &[change, make],
        (_, true) => &[change],
        (_, false) => &[make],
    };
    if reads.is_empty() {
        return;
    }
    for i in 0..ctx.authz.grants().len() as u32 {
        let Some(g) = ctx.authz.grant(GrantId(i)).copied() else { continue };
        let Some((role, r)) = g.role else { continue };
        let here = g.namespace().is_empty() || g.namespace() == "kube-system";
        // Whoever may do everything everywhere wins nothing by it.
        if !here || (g.namespace().is_empty() && r.rules.iter().any(crate::model::rbac::PolicyRule::is_everything)) {
            continue;
        }
        for (j, rule) in r.rules.iter().enumerate() {
            let Some((verb, names)) = wanted.iter().find_map(|w| w.held_by(rule)) else { continue };
            if matches!(&names, Names::Some(list) if !list.iter().any(|n| n == "aws-auth")) {
                continue;
            }
            for read in &reads {
                let e = Emit::new("aws-auth-config", Fact::ClusterAdmin).from(Fact::Grant(i)).from(Fact::ApiReach);
                let value = format!("{verb} configmaps ({})", rows::describe(rule));
                let e = e.tier(3).because(role, format!("/rules/{j}"), value, "the rule allows writing the ConfigMap");
                let (object, pointer, value) = read.because.clone();
                let e = e.unless_all_known(&read.unknowns);
                let e = e.maybe(unread.then(|| "unread:ConfigMap".to_owned()));
                ctx.emit(e.because(object, pointer, value, "the cluster maps principals of AWS by the ConfigMap"));
            }
        }
    }
}

/// A cluster of EKS that no answer describes: by its ConfigMap, or by labels of its nodes.
fn undescribed(ctx: &Ctx<'_>, map: Option<u32>) -> Vec<Reads> {
    let nodes = ctx.cluster.objects.nodes.iter().zip(0u32..);
    let node = nodes
        .filter(|(n, _)| n.metadata.labels.keys().any(|k| k.starts_with("eks.amazonaws.com/")))
        .map(|(_, i)| i)
        .next();
    // Where ConfigMaps were not read, a node of AWS is all that there is to go by.
    let mut nodes = ctx.cluster.objects.nodes.iter().zip(0u32..);
    let on_aws = nodes.find(|(n, _)| n.spec.provider_id.starts_with("aws://")).map(|(_, i)| i);
    let node = node.or(on_aws.filter(|_| !ctx.cluster.was_read(Kind::ConfigMap)));
    let because = match (map, node) {
        (Some(index), _) => (Obj { kind: Kind::ConfigMap, index }, "/metadata/name", "aws-auth".to_owned()),
        (None, Some(index)) => (Obj { kind: Kind::Node, index }, "/metadata/name", String::new()),
        (None, None) => return Vec::new(),
    };
    vec![Reads { because, unknowns: vec!["unread:eks-describe-cluster".to_owned()] }]
}
