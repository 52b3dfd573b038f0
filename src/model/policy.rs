//! Network policies of every tier, kept whole: the network engine reads every field.

use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::network::IntOrString;
use super::rbac::LabelSelector;

/// A NetworkPolicy of `networking.k8s.io/v1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPolicy {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: NetworkPolicySpec,
}

/// `NetworkPolicySpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicySpec {
    /// Pods it isolates.
    pub pod_selector: LabelSelector,
    /// `Ingress`, `Egress`; absent: Ingress, and Egress when there are egress rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_types: Option<Vec<String>>,
    /// Ingress rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<NetworkPolicyRule>>,
    /// Egress rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<NetworkPolicyRule>>,
}

/// An ingress or egress rule: what it allows is peers × ports. An empty list of either allows all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkPolicyRule {
    /// Sources of an ingress rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<NetworkPolicyPeer>,
    /// Destinations of an egress rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<NetworkPolicyPeer>,
    /// Ports at the destination.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<NetworkPolicyPort>,
}

/// A peer: pods by selectors, or addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyPeer {
    /// Pods; alone: of the policy's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces of the pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
}

/// Addresses of a CIDR without those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct IpBlock {
    /// CIDR.
    pub cidr: String,
    /// CIDRs left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// A port or a range of ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicyPort {
    /// `TCP`, `UDP` or `SCTP`; empty is TCP.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Number, or name of a port of the destination; absent: every port of the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<IntOrString>,
    /// Last port of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_port: Option<i32>,
}

/// An AdminNetworkPolicy, a BaselineAdminNetworkPolicy (`policy.networking.k8s.io/v1alpha1`) or a ClusterNetworkPolicy
/// (`v1alpha2`): the three differ in names only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdminPolicy {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: AdminPolicySpec,
}

/// Spec of an administrator's policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdminPolicySpec {
    /// `Admin` or `Baseline` of a ClusterNetworkPolicy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tier: String,
    /// Lower goes first.
    pub priority: i32,
    /// Pods it is about.
    pub subject: AdminPeer,
    /// Rules for traffic to the subject, first match wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<AdminRule>,
    /// Rules for traffic from the subject, first match wins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<AdminRule>,
}

/// A rule of an administrator's policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdminRule {
    /// Name, if any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `Allow` or `Accept`, `Deny`, `Pass`.
    pub action: String,
    /// Sources of an ingress rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<AdminPeer>,
    /// Destinations of an egress rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<AdminPeer>,
    /// Ports of `v1alpha1`; empty: every port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<AdminPort>,
    /// Ports of `v1alpha2`; empty: every port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protocols: Vec<AdminProtocol>,
}

/// A subject or a peer; exactly one field is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdminPeer {
    /// All pods of namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Some pods of namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<NamespacedPods>,
    /// Nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<LabelSelector>,
    /// Addresses, pods included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// Names that the plugin resolves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_names: Option<Vec<String>>,
}

/// Pods by the labels of their namespace and their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespacedPods {
    /// Namespaces.
    pub namespace_selector: LabelSelector,
    /// Pods.
    pub pod_selector: LabelSelector,
}

/// A port of `v1alpha1`; one field is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdminPort {
    /// One port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_number: Option<PortNumber>,
    /// Several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range: Option<PortRange>,
    /// Port of the destination by name, of any protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named_port: Option<String>,
}

/// A protocol and a port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortNumber {
    /// Protocol; empty is TCP.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Port.
    pub port: i32,
}

/// A range of ports, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortRange {
    /// Protocol; empty is TCP.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// First port.
    pub start: i32,
    /// Last port.
    pub end: i32,
}

/// Ports of `v1alpha2`; one field is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdminProtocol {
    /// TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<DestinationPort>,
    /// UDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp: Option<DestinationPort>,
    /// SCTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sctp: Option<DestinationPort>,
    /// Port of the destination by name, of any protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_named_port: Option<String>,
}

/// Destination ports of a protocol; without any, all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DestinationPort {
    /// Port or range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<NumberOrRange>,
}

/// A port or a range of ports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NumberOrRange {
    /// One port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// Several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<PortRange>,
}
