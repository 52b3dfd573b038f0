//! Admission webhooks and policies, reduced to which requests they see.

use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::pod::is_default;
use super::rbac::LabelSelector;

/// A validating or mutating webhook configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookConfiguration {
    /// Metadata.
    pub metadata: Meta,
    /// Webhooks in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
}

/// Where a webhook is, if in the cluster; a URL is not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<WebhookService>,
}

/// The Service of a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookService {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Port, 443 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

/// One webhook; its URL and CA are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Webhook {
    /// Fully qualified name.
    pub name: String,
    /// Where it is.
    #[serde(skip_serializing_if = "is_default")]
    pub client_config: ClientConfig,
    /// Requests it sees.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<WebhookRule>,
    /// Namespaces it sees.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace_selector: LabelSelector,
    /// Objects it sees.
    #[serde(skip_serializing_if = "is_default")]
    pub object_selector: LabelSelector,
    /// `Fail` or `Ignore`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub failure_policy: String,
    /// CEL conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_conditions: Vec<MatchCondition>,
    /// `Equivalent` or `Exact`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub match_policy: String,
}

/// A CEL condition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MatchCondition {
    /// Name.
    pub name: String,
    /// Expression.
    pub expression: String,
}

/// Requests that a webhook or policy sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WebhookRule {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `*`.
    pub operations: Vec<String>,
    /// Groups.
    pub api_groups: Vec<String>,
    /// Versions.
    pub api_versions: Vec<String>,
    /// Resources.
    pub resources: Vec<String>,
    /// Names, for policies only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// `Cluster`, `Namespaced` or `*`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
}

/// A validating or mutating admission policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdmissionPolicy {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: AdmissionPolicySpec,
}

/// Reduced policy spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionPolicySpec {
    /// Requests the policy is about.
    #[serde(skip_serializing_if = "is_default")]
    pub match_constraints: MatchResources,
    /// CEL conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_conditions: Vec<MatchCondition>,
}

/// Requests selected by rules and selectors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MatchResources {
    /// Rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_rules: Vec<WebhookRule>,
    /// Namespaces.
    #[serde(skip_serializing_if = "is_default")]
    pub namespace_selector: LabelSelector,
    /// Objects.
    #[serde(skip_serializing_if = "is_default")]
    pub object_selector: LabelSelector,
}

/// A policy binding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdmissionPolicyBinding {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: AdmissionPolicyBindingSpec,
}

/// Reduced binding spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdmissionPolicyBindingSpec {
    /// Bound policy.
    pub policy_name: String,
    /// `Deny`, `Warn`, `Audit`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation_actions: Vec<String>,
    /// Narrower match.
    #[serde(skip_serializing_if = "is_default")]
    pub match_resources: MatchResources,
}
