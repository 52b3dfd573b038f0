//! Policies of Cilium's and Calico's own kinds: what of them is like the standard kinds, and the names of the fields that
//! are not.
//!
//! A field that is not modelled is kept by name alone: it may hold a secret (a header of an HTTP rule), and that it is there
//! is enough to know that the policy is not understood.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::meta::Meta;
use super::network::IntOrString;
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

/// Whom a policy is about, and its rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginPolicySpec {
    /// Pods of a policy of Cilium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_selector: Option<LabelSelector>,
    /// A policy of Cilium for nodes.
    #[serde(skip_serializing_if = "is_default")]
    pub node_selector: Option<There>,
    /// Whether a policy of Cilium isolates; by default where it has rules.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_default_deny: DefaultDeny,
    /// Pods of a policy of Calico, an expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Namespaces of a GlobalNetworkPolicy, an expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace_selector: String,
    /// Directions of a policy of Calico.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Tier of a policy of Calico, empty for `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tier: String,
    /// Place of a policy of Calico in its tier: lower first, none last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<serde_json::Number>,
    /// Rules for traffic to the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<PluginRule>>,
    /// Denying rules for traffic to the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress_deny: Option<Vec<PluginRule>>,
    /// Rules for traffic from the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<PluginRule>>,
    /// Denying rules for traffic from the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_deny: Option<Vec<PluginRule>>,
    /// Fields that are not modelled.
    #[serde(flatten)]
    pub other: Other,
}

/// Names of fields that are not modelled.
pub type Other = BTreeMap<String, There>;

/// `enableDefaultDeny` of Cilium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DefaultDeny {
    /// Traffic to the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<bool>,
    /// Traffic from the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<bool>,
}

/// A rule: fields of Cilium's rules first, then of Calico's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginRule {
    /// Sources by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_endpoints: Option<Vec<LabelSelector>>,
    /// Destinations by label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_endpoints: Option<Vec<LabelSelector>>,
    /// Sources by the word for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_entities: Option<Vec<String>>,
    /// Destinations by the word for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_entities: Option<Vec<String>>,
    /// Sources by address.
    #[serde(rename = "fromCIDR", skip_serializing_if = "Option::is_none")]
    pub from_cidr: Option<Vec<String>>,
    /// Destinations by address.
    #[serde(rename = "toCIDR", skip_serializing_if = "Option::is_none")]
    pub to_cidr: Option<Vec<String>>,
    /// Sources by address, with exceptions.
    #[serde(rename = "fromCIDRSet", skip_serializing_if = "Option::is_none")]
    pub from_cidr_set: Option<Vec<CidrRule>>,
    /// Destinations by address, with exceptions.
    #[serde(rename = "toCIDRSet", skip_serializing_if = "Option::is_none")]
    pub to_cidr_set: Option<Vec<CidrRule>>,
    /// Destinations by name.
    #[serde(rename = "toFQDNs", skip_serializing_if = "Option::is_none")]
    pub to_fqdns: Option<There>,
    /// Ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ports: Option<Vec<PortRule>>,
    /// Kinds of ICMP: no port of another protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmps: Option<There>,
    /// What a rule of Calico does.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// Protocol of a rule of Calico.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<IntOrString>,
    /// Source of a rule of Calico.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<EntityRule>,
    /// Destination of a rule of Calico.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<EntityRule>,
    /// Fields that are not modelled.
    #[serde(flatten)]
    pub other: Other,
}

/// Addresses without some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CidrRule {
    /// Addresses.
    pub cidr: String,
    /// Those left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Fields that are not modelled.
    #[serde(flatten)]
    pub other: Other,
}

/// Ports of a rule of Cilium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortRule {
    /// Ports; none is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<CiliumPort>,
    /// Fields that are not modelled: rules for what is said, TLS, names of servers.
    #[serde(flatten)]
    pub other: Other,
}

/// A port of a rule of Cilium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CiliumPort {
    /// Number or name; empty or 0 is all.
    pub port: String,
    /// Last of a range.
    #[serde(skip_serializing_if = "is_default")]
    pub end_port: i32,
    /// Protocol; empty or `ANY` is each.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// One end of a rule of Calico.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EntityRule {
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<String>,
    /// Addresses left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_nets: Vec<String>,
    /// Pods and sets of addresses, an expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selector: String,
    /// Namespaces of those, an expression.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace_selector: String,
    /// Ports: a number, `first:last` or a name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<IntOrString>,
    /// Fields that are not modelled.
    #[serde(flatten)]
    pub other: Other,
}

/// Addresses with labels, of Calico.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSet {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: NetworkSetSpec,
}

/// The addresses of a set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSetSpec {
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nets: Vec<String>,
    /// Fields that are not modelled: names of domains.
    #[serde(flatten)]
    pub other: Other,
}

/// A tier of Calico: policies of a lower order are asked first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tier {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: TierSpec,
}

/// Place and end of a tier.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TierSpec {
    /// Lower first, none last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<serde_json::Number>,
    /// What becomes of traffic that a policy of the tier is about and no rule decides: `Deny` (the default) or `Pass`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_action: String,
}

impl PluginPolicySpec {
    /// One of which nothing is known but that it is there.
    pub fn left_out() -> Self {
        PluginPolicySpec {
            endpoint_selector: Some(LabelSelector::default()),
            types: vec!["Ingress".to_owned(), "Egress".to_owned()],
            other: [("leftOut".to_owned(), There)].into(),
            ..PluginPolicySpec::default()
        }
    }
}

/// That a field is there; nothing of what is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct There;

impl Serialize for There {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for There {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(d).map(|_| There)
    }
}
