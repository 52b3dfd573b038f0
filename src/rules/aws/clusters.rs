//! Which EKS cluster of an account this one is.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::{World, last};
use crate::model::cloud::CloudObject;

/// The host of an address, `https://HOST`.
fn host(endpoint: &str) -> &str {
    endpoint.trim_start_matches("https://").split(['/', ':']).next().unwrap_or_default()
}

impl<'c> World<'c> {
    /// Clusters of the account that this one may be: the only one, the one that the nodes are tagged with, or each of
    /// several if it is that. What leaves it open is an unknown.
    pub fn clusters(&self) -> Vec<(u32, &'c CloudObject, Option<String>)> {
        let mut all: Vec<_> = self.of("EksCluster").collect();
        // The API server that was asked is that of one cluster, and of no other.
        let server = self.cluster.source.server.as_str();
        if let Some((i, c)) = all.iter().find(|(_, c)| !server.is_empty() && host(c.text("endpoint")) == server) {
            return vec![(*i, *c, None)];
        }
        let tagged = self.tagged();
        let is_tagged = |o: &CloudObject| tagged.contains(o.metadata.name.as_str());
        if tagged.len() == 1 && all.iter().any(|(_, o)| is_tagged(o)) {
            all.retain(|(_, o)| is_tagged(o));
        }
        let open = all.len() > 1 || self.nodes_elsewhere();
        let unknown = |o: &CloudObject| {
            let other = !tagged.is_empty() && !is_tagged(o);
            (open || other).then(|| format!("eks-cluster:{}", o.metadata.name))
        };
        all.into_iter().map(|(i, o)| (i, o, unknown(o))).collect()
    }

    /// Names of clusters in the tags of instances that are nodes of this one (EKS User Guide, "Tag your Amazon EKS
    /// resources").
    fn tagged(&self) -> BTreeSet<&'c str> {
        let instances = self.instances.iter().filter_map(|i| self.cluster.objects.cloud.get(i.instance as usize));
        let tags = instances.flat_map(|o| o.list("Tags"));
        tags.filter_map(|t| {
            let text = |field: &str| t.get(field).and_then(Value::as_str).unwrap_or_default();
            match text("Key") {
                "eks:cluster-name" | "aws:eks:cluster-name" => Some(text("Value")),
                key => key.strip_prefix("kubernetes.io/cluster/").filter(|_| text("Value") == "owned"),
            }
        })
        .collect()
    }

    /// Whether the nodes are none of the account's instances: of another cloud, or none of those that were read.
    fn nodes_elsewhere(&self) -> bool {
        let ids = self.cluster.objects.nodes.iter().map(|n| n.spec.provider_id.as_str()).filter(|id| !id.is_empty());
        let ids: Vec<&str> = ids.collect();
        let on_aws = |id: &&str| id.starts_with("aws://") || id.starts_with("eks-hybrid:");
        // Nodes of Fargate and hybrid nodes are no instances.
        let instances = ids.iter().any(|id| last(id).starts_with("i-"));
        let unseen = self.was_called("ec2-describe-instances") && instances && self.instances.is_empty();
        unseen || (!ids.is_empty() && !ids.iter().any(on_aws))
    }
}
