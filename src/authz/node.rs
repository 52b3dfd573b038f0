//! The Node authorizer (`plugin/pkg/auth/authorizer/node/{node_authorizer,graph}.go`): what a kubelet may do,
//! through the pods that are bound to its node.

use std::collections::{BTreeMap, BTreeSet};

use super::rbac::{Attributes, User, rule_allows};
use crate::admission::service_account;
use crate::model::rbac::PolicyRule;
use crate::model::{Cluster, Version};

/// Objects that a node may read, by node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeObjects {
    /// Secrets as (namespace, name).
    pub secrets: BTreeSet<(String, String)>,
    /// ConfigMaps.
    pub config_maps: BTreeSet<(String, String)>,
    /// Service accounts of its pods.
    pub accounts: BTreeSet<(String, String)>,
    /// Claims.
    pub claims: BTreeSet<(String, String)>,
    /// Volumes.
    pub volumes: BTreeSet<String>,
    /// Pods.
    pub pods: BTreeSet<(String, String)>,
    /// Resource claims.
    pub resource_claims: BTreeSet<(String, String)>,
    /// Volume attachments.
    pub attachments: BTreeSet<String>,
    /// Resource slices.
    pub slices: BTreeSet<String>,
}

/// The Node authorizer of one cluster.
#[derive(Debug)]
pub struct NodeAuthorizer {
    version: Version,
    nodes: BTreeMap<String, NodeObjects>,
    rules: Vec<PolicyRule>,
}

impl NodeAuthorizer {
    /// Collects what every node may read.
    pub fn new(cluster: &Cluster) -> Self {
        let mut nodes: BTreeMap<String, NodeObjects> = BTreeMap::new();
        let o = &cluster.objects;
        // Volumes by the claim they name, whether or not the claim names them: the authorizer follows claimRef.
        let mut volumes: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (i, pv) in o.persistent_volumes.iter().enumerate() {
            if let Some(c) = &pv.spec.claim_ref {
                volumes.entry((c.namespace.clone(), c.name.clone())).or_default().push(i);
            }
        }
        for pod in &o.pods {
            let spec = &pod.spec;
            if spec.node_name.is_empty() {
                continue;
            }
            let ns = pod.metadata.namespace.clone();
            let n = nodes.entry(spec.node_name.clone()).or_default();
            n.pods.insert((ns.clone(), pod.metadata.name.clone()));
            // Mirror pods are written by the node itself: their references open nothing.
            if pod.is_mirror() {
                continue;
            }
            if !spec.service_account_name.is_empty() {
                n.accounts.insert((ns.clone(), spec.service_account_name.clone()));
            }
            n.secrets.extend(service_account::secret_references(pod).into_iter().map(|s| (ns.clone(), s)));
            n.config_maps.extend(config_maps(pod).into_iter().map(|s| (ns.clone(), s)));
            for v in &spec.volumes {
                let claim = match (&v.persistent_volume_claim, &v.ephemeral) {
                    (Some(c), _) => c.claim_name.clone(),
                    (None, Some(_)) => format!("{}-{}", pod.metadata.name, v.name),
                    _ => continue,
                };
                let key = (ns.clone(), claim);
                for pv in volumes.get(&key).into_iter().flatten().filter_map(|i| o.persistent_volumes.get(*i)) {
                    n.volumes.insert(pv.metadata.name.clone());
                    n.secrets.extend(volume_secrets(pv));
                }
                n.claims.insert(key);
            }
            for c in &spec.resource_claims {
                let from_status = pod.status.resource_claim_statuses.iter().find(|s| s.name == c.name);
                let name = if c.resource_claim_name.is_empty() {
                    from_status.map(|s| s.resource_claim_name.clone()).unwrap_or_default()
                } else {
                    c.resource_claim_name.clone()
                };
                if !name.is_empty() {
                    n.resource_claims.insert((ns.clone(), name));
                }
            }
        }
        for a in &o.volume_attachments {
            nodes.entry(a.spec.node_name.clone()).or_default().attachments.insert(a.metadata.name.clone());
        }
        for s in &o.resource_slices {
            nodes.entry(s.spec.node_name.clone()).or_default().slices.insert(s.metadata.name.clone());
        }
        NodeAuthorizer { version: cluster.version, nodes, rules: node_rules() }
    }

    /// What a node may read; `None` for a node without pods.
    pub fn objects(&self, node: &str) -> Option<&NodeObjects> {
        self.nodes.get(node)
    }

    /// Whether the Node authorizer allows the request. It never denies: RBAC is asked next.
    pub fn allows(&self, user: User<'_>, attributes: Attributes<'_>, field_selector: &str) -> bool {
        let Some(node) = user.name.strip_prefix("system:node:").filter(|n| !n.is_empty()) else { return false };
        if !user.groups.contains(&"system:nodes") {
            return false;
        }
        let empty = NodeObjects::default();
        let n = self.nodes.get(node).unwrap_or(&empty);
        let Attributes::Resource { verb, group, resource, subresource, name, namespace } = attributes else {
            return self.rules.iter().any(|r| rule_allows(r, attributes));
        };
        let key = (namespace.to_owned(), name.to_owned());
        let named = !name.is_empty();
        let own = |field: &str| {
            let wanted = [format!("{field}={node}"), format!("{field}=={node}")];
            field_selector.split(',').any(|part| wanted.iter().any(|w| w == part.trim()))
        };
        let selectors = self.version >= Version::minor(32);
        match (group, resource) {
            ("", "secrets") => read(verb, subresource) && named && n.secrets.contains(&key),
            ("", "configmaps") => read(verb, subresource) && named && n.config_maps.contains(&key),
            ("", "persistentvolumeclaims") if subresource == "status" => {
                matches!(verb, "update" | "patch") && n.claims.contains(&key)
            }
            ("", "persistentvolumeclaims") => get(verb, subresource) && n.claims.contains(&key),
            ("", "persistentvolumes") => get(verb, subresource) && n.volumes.contains(name),
            ("resource.k8s.io", "resourceclaims") => get(verb, subresource) && n.resource_claims.contains(&key),
            ("storage.k8s.io", "volumeattachments") => get(verb, subresource) && n.attachments.contains(name),
            ("", "serviceaccounts") => {
                let token = verb == "create" && subresource == "token";
                (token || (get(verb, subresource) && self.version >= Version::minor(33))) && n.accounts.contains(&key)
            }
            ("coordination.k8s.io", "leases") => {
                let verbs = matches!(verb, "get" | "create" | "update" | "patch" | "delete");
                verbs && subresource.is_empty() && namespace == "kube-node-lease" && (verb == "create" || name == node)
            }
            ("storage.k8s.io", "csinodes") => {
                let verbs = matches!(verb, "get" | "create" | "update" | "patch" | "delete");
                verbs && subresource.is_empty() && (verb == "create" || name == node)
            }
            ("resource.k8s.io", "resourceslices") => {
                subresource.is_empty()
                    && match verb {
                        "create" => true,
                        "get" | "update" | "patch" | "delete" => n.slices.contains(name),
                        "list" | "watch" | "deletecollection" => own("spec.nodeName") && !field_selector.contains(','),
                        _ => false,
                    }
            }
            ("", "nodes") => match (subresource, verb) {
                ("", "create" | "update" | "patch") | ("status", "update" | "patch") => true,
                ("", "get" | "list" | "watch") if !selectors => true,
                ("", "get") => name == node,
                ("", "list" | "watch") => name == node || own("metadata.name"),
                _ => false,
            },
            ("", "pods") => match (subresource, verb) {
                ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => true,
                ("", "get" | "list" | "watch") if !selectors => true,
                ("", "get") => n.pods.contains(&key),
                ("", "list" | "watch") => own("spec.nodeName") || (named && n.pods.contains(&key)),
                _ => false,
            },
            _ => self.rules.iter().any(|r| rule_allows(r, attributes)),
        }
    }
}

fn read(verb: &str, subresource: &str) -> bool {
    matches!(verb, "get" | "list" | "watch") && subresource.is_empty()
}

fn get(verb: &str, subresource: &str) -> bool {
    verb == "get" && subresource.is_empty()
}

fn config_maps(pod: &crate::model::pod::Pod) -> Vec<String> {
    let mut out = Vec::new();
    for v in &pod.spec.volumes {
        out.extend(v.config_map.iter().map(|c| c.name.clone()));
        out.extend(
            v.projected.iter().flat_map(|p| &p.sources).filter_map(|s| s.config_map.as_ref()).map(|c| c.name.clone()),
        );
    }
    for c in pod.all_containers() {
        out.extend(
            c.container
                .env
                .iter()
                .filter_map(|e| e.value_from.as_ref()?.config_map_key_ref.as_ref())
                .map(|s| s.name.clone()),
        );
        out.extend(c.container.env_from.iter().filter_map(|e| e.config_map_ref.as_ref()).map(|s| s.name.clone()));
    }
    out
}

/// Secrets of a volume that the kubelet sees; controller-side ones are not among them.
fn volume_secrets(pv: &crate::model::objects::PersistentVolume) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = pv
        .spec
        .secret_refs
        .iter()
        .filter_map(|r| r.split_once('/'))
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect();
    if let Some(csi) = &pv.spec.csi {
        let refs = [&csi.node_publish_secret_ref, &csi.node_stage_secret_ref, &csi.node_expand_secret_ref];
        out.extend(refs.into_iter().flatten().map(|r| (r.namespace.clone(), r.name.clone())));
    }
    out
}

/// Rights that every node has whatever runs on it (`rbac/bootstrappolicy/policy.go`, NodeRules).
fn node_rules() -> Vec<PolicyRule> {
    let s = |list: &[&str]| list.iter().map(|x| (*x).to_owned()).collect::<Vec<_>>();
    let rule = |verbs: &[&str], group: &str, resources: &[&str]| PolicyRule {
        verbs: s(verbs),
        api_groups: s(&[group]),
        resources: s(resources),
        ..PolicyRule::default()
    };
    let read = ["get", "list", "watch"];
    vec![
        rule(&["create"], "authentication.k8s.io", &["tokenreviews"]),
        rule(&["create"], "authorization.k8s.io", &["subjectaccessreviews", "localsubjectaccessreviews"]),
        rule(&read, "", &["services"]),
        rule(&["create", "update", "patch"], "", &["events"]),
        rule(&["create", "update", "patch"], "events.k8s.io", &["events"]),
        rule(&["get"], "", &["endpoints"]),
        rule(&["create", "get", "list", "watch"], "certificates.k8s.io", &["certificatesigningrequests"]),
        rule(&read, "storage.k8s.io", &["csidrivers"]),
        rule(&read, "node.k8s.io", &["runtimeclasses"]),
    ]
}
