//! Policies of Cilium's and Calico's own kinds: which pods they are about. Their rules are not evaluated.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use super::meta::Meta;
use super::pod::is_default;
use super::rbac::LabelSelector;

/// A policy of a plugin's own kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PluginPolicy {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: PluginPolicySpec,
    /// Further specs, of Cilium's kinds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub specs: Vec<PluginPolicySpec>,
}

/// Whom a policy is about, and in which directions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginPolicySpec {
    /// Pods of a policy of Cilium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_selector: Option<LabelSelector>,
    /// A policy of Cilium for nodes.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "there")]
    pub node_selector: bool,
    /// Pods of a policy of Calico, an expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Namespaces of a GlobalNetworkPolicy, an expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace_selector: String,
    /// Directions of a policy of Calico.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Whether it has rules for traffic to the pods.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "there")]
    pub ingress: bool,
    /// Whether it has denying rules for traffic to the pods.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "there")]
    pub ingress_deny: bool,
    /// Whether it has rules for traffic from the pods.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "there")]
    pub egress: bool,
    /// Whether it has denying rules for traffic from the pods.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "there")]
    pub egress_deny: bool,
}

/// Keeps only that a field is there.
fn there<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(d).map(|_| true)
}
