//! Object metadata as every Kubernetes object carries it, reduced to what rules and evidence use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Labels of an object, sorted by key.
pub type Labels = BTreeMap<String, String>;

/// The part of `ObjectMeta` that kpath keeps.
///
/// `managedFields` and `last-applied-configuration` are never kept; see [`keep_annotation`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Name; empty only for a pod template.
    pub name: String,
    /// Namespace; empty for cluster-scoped kinds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Unique id that the API server gave, empty for manifests.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Opaque version; compared as a number to choose between two copies of an object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Allow-listed annotations only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Owners, of which the one with `controller: true` manages the object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
}

/// One entry of `metadata.ownerReferences`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner, in the same namespace.
    pub name: String,
    /// Uid of the owner.
    pub uid: String,
    /// Whether this owner is the managing controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
}

/// The value that stands for one that is not kept.
const SET: &str = "(set)";

impl Meta {
    /// Drops annotations that no rule reads, and the value of one of which only its being there counts: the address of a
    /// login service may hold a credential.
    pub fn reduce_annotations(&mut self) {
        self.annotations.retain(|k, _| keep_annotation(k));
        if let Some(v) = self.annotations.get_mut("nginx.ingress.kubernetes.io/auth-url").filter(|v| !v.is_empty()) {
            SET.clone_into(v);
        }
    }

    /// The managing controller, or the only owner where none is marked.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|o| o.controller == Some(true)).or_else(|| self.owner_references.first())
    }

    /// `namespace/name`, or the name alone for cluster-scoped objects.
    pub fn path(&self) -> String {
        if self.namespace.is_empty() { self.name.clone() } else { format!("{}/{}", self.namespace, self.name) }
    }
}

/// Whether an annotation is kept: those that rules read, by exact name or prefix.
///
/// Everything else is dropped in the collector, because annotations hold whole manifests and credentials.
pub fn keep_annotation(key: &str) -> bool {
    const EXACT: [&str; 24] = [
        "kubernetes.io/service-account.name",
        "kubernetes.io/service-account.uid",
        "kubernetes.io/enforce-mountable-secrets",
        "kubernetes.io/config.mirror",
        "kubernetes.io/config.source",
        "kubernetes.io/ingress.class",
        "seccomp.security.alpha.kubernetes.io/pod",
        "networking.gke.io/load-balancer-type",
        "cloud.google.com/load-balancer-type",
        "ingressclass.kubernetes.io/is-default-class",
        "alb.ingress.kubernetes.io/inbound-cidrs",
        "alb.ingress.kubernetes.io/target-type",
        "kubernetes.io/ingress.allow-http",
        "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type",
        "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid",
        "kubernetes.io/ingress.regional-static-ip-name",
        "nginx.ingress.kubernetes.io/whitelist-source-range",
        "nginx.ingress.kubernetes.io/auth-url",
        "nginx.ingress.kubernetes.io/auth-type",
        "nginx.ingress.kubernetes.io/auth-tls-secret",
        "alb.ingress.kubernetes.io/auth-type",
        "eks.amazonaws.com/role-arn",
        "iam.gke.io/gcp-service-account",
        "azure.workload.identity/client-id",
    ];
    const PREFIX: [&str; 6] = [
        "container.apparmor.security.beta.kubernetes.io/",
        "container.seccomp.security.alpha.kubernetes.io/",
        "service.beta.kubernetes.io/",
        "service.kubernetes.io/ibm-load-balancer",
        "alb.ingress.kubernetes.io/scheme",
        "pod-security.kubernetes.io/",
    ];
    EXACT.contains(&key) || PREFIX.iter().any(|p| key.starts_with(p))
}
