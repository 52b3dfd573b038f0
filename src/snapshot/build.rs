//! The gap list: which kinds the data lacks, and what that hides.

use crate::model::{Cluster, Effect, Gap, Kind};

/// Adds a gap for every kind that was neither read nor already reported, and settles kinds that a CRD would define.
pub fn list_unread(cluster: &mut Cluster) {
    if cluster.read.contains(&Kind::CustomResourceDefinition) {
        for kind in Kind::ALL {
            let info = kind.info();
            let from_crd = info.optional
                && (info.group.starts_with("gateway.")
                    || info.group.starts_with("policy.")
                    || info.group == "cilium.io"
                    || info.group == "crd.projectcalico.org");
            let name = format!("{}.{}", info.resource, info.group);
            let defined = cluster.objects.resource_definitions.iter().any(|c| c.metadata.name == name);
            if from_crd && !defined {
                cluster.read.insert(*kind);
            }
        }
    }
    if cluster.complete {
        // Kinds of the cluster are settled; what is missing of a cloud account is not.
        cluster.gaps.retain(|g| g.kind().is_none());
        return;
    }
    for call in super::unlisted::calls(cluster) {
        let id = format!("unread:{call}");
        if !cluster.gaps.iter().any(|g| g.id == id) {
            let reason = format!("no answer of {call} is there");
            let hides = "paths through roles of the account".into();
            cluster.gaps.push(Gap { id, reason, hides, ..Gap::default() });
        }
    }
    for kind in Kind::ALL {
        let id = format!("unread:{}", kind.info().kind);
        if cluster.read.contains(kind)
            || kind.info().effect == Effect::Refines
            || cluster.gaps.iter().any(|g| g.id == id)
        {
            continue;
        }
        cluster.gaps.push(Gap { id, reason: "not in the input".into(), hides: hides(*kind).into(), ..Gap::default() });
    }
    cluster.gaps.sort();
    cluster.gaps.dedup();
}

/// What a missing kind could hide, as a short phrase.
pub fn hides(kind: Kind) -> &'static str {
    match kind {
        Kind::Secret => "secrets that could be reached, and tokens in them",
        Kind::Role | Kind::RoleBinding | Kind::ClusterRole | Kind::ClusterRoleBinding => "rights that add paths",
        Kind::Pod => "running containers to start from and pass through",
        Kind::Node => "nodes that could be reached",
        Kind::ServiceAccount => "accounts that can be used, and token mount settings",
        Kind::Namespace => "Pod Security levels, which decide what a new pod may do",
        k if k.info().effect == Effect::Blocks => "objects that could block a step",
        _ => "objects that could add a path",
    }
}
