//! Services, endpoints and ingresses, reduced.

use serde::{Deserialize, Serialize};

use super::meta::{Labels, Meta};
use super::pod::is_default;

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: ServiceSpec,
    /// Status.
    #[serde(skip_serializing_if = "is_default")]
    pub status: ServiceStatus,
}

/// Reduced `ServiceSpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Pods behind the Service; empty means endpoints are managed elsewhere.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub selector: Labels,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Client ranges that a cloud load balancer lets in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub load_balancer_source_ranges: Vec<String>,
    /// Extra addresses.
    #[serde(rename = "externalIPs", skip_serializing_if = "Vec::is_empty")]
    pub external_ips: Vec<String>,
    /// `Local` keeps traffic on the node that received it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_traffic_policy: String,
    /// Implementation chosen for the load balancer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub load_balancer_class: String,
    /// `false`: a load balancer without ports on the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// Pods that are not ready get traffic too.
    #[serde(skip_serializing_if = "is_default")]
    pub publish_not_ready_addresses: bool,
    /// Address inside of the cluster; `None` for a headless Service.
    #[serde(rename = "clusterIP", skip_serializing_if = "String::is_empty")]
    pub cluster_ip: String,
    /// Target of an ExternalName Service.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub external_name: String,
}

/// A Service port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Port of the Service.
    pub port: i32,
    /// Port on every node, 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub node_port: i32,
    /// Port of the pod, number or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<IntOrString>,
    /// Protocol; empty is TCP.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// A number or a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// Number.
    Int(i32),
    /// Name.
    Str(String),
}

/// Reduced `ServiceStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Addresses of the load balancer.
    #[serde(skip_serializing_if = "is_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// Addresses that a load balancer published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// Addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<LoadBalancerAddress>,
}

/// One published address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerAddress {
    /// IP address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// Host name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
}

/// An EndpointSlice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointSlice {
    /// Metadata; label `kubernetes.io/service-name` names the Service.
    pub metadata: Meta,
    /// Endpoints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Ports of every endpoint; none is every port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
}

/// A port of an EndpointSlice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    /// Name of the Service port.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Port at the endpoint; none is every port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Protocol; empty is TCP.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// One endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// Addresses.
    pub addresses: Vec<String>,
    /// Conditions.
    #[serde(skip_serializing_if = "is_default")]
    pub conditions: EndpointConditions,
    /// Object behind the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<TargetRef>,
}

/// Endpoint conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// Absent means ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
}

/// Object behind an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetRef {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
}

/// An Ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ingress {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: IngressSpec,
    /// Status.
    #[serde(skip_serializing_if = "is_default")]
    pub status: ServiceStatus,
}

/// Reduced `IngressSpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    /// Class by name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ingress_class_name: String,
    /// Backend of unmatched requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_backend: Option<IngressBackend>,
    /// Rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<IngressRule>,
    /// Certificates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<IngressTls>,
}

/// TLS entry of an Ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Secret of the certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_name: String,
}

/// An Ingress rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressRule {
    /// Host; empty is every host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Paths.
    #[serde(skip_serializing_if = "is_default")]
    pub http: IngressHttp,
}

/// HTTP part of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressHttp {
    /// Paths.
    pub paths: Vec<IngressPath>,
}

/// A path and its backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressPath {
    /// Path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    #[serde(rename = "pathType", skip_serializing_if = "String::is_empty")]
    pub path_type: String,
    /// Backend.
    pub backend: IngressBackend,
}

/// Backend of a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressBackend {
    /// Service backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceBackend>,
}

/// Service behind a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceBackend {
    /// Service name.
    pub name: String,
    /// Port of the Service.
    #[serde(skip_serializing_if = "is_default")]
    pub port: ServiceBackendPort,
}

/// A Service port, by number or name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceBackendPort {
    /// Number; 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub number: i32,
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// An ingress class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressClass {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: IngressClassSpec,
}

/// Spec of an ingress class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IngressClassSpec {
    /// Controller that serves the class.
    pub controller: String,
}
