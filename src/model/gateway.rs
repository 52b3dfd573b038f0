//! Gateway API, reduced (`gateway.networking.k8s.io`).

use serde::{Deserialize, Serialize};

use super::meta::{Labels, Meta};
use super::pod::is_default;
use super::rbac::LabelSelector;

/// A GatewayClass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayClass {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: GatewayClassSpec,
}

/// Spec of a GatewayClass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayClassSpec {
    /// Controller that serves the class.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub controller_name: String,
}

/// A Gateway, or a ListenerSet that adds listeners to one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gateway {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: GatewaySpec,
    /// Status.
    #[serde(skip_serializing_if = "is_default")]
    pub status: GatewayStatus,
}

/// Spec of a Gateway or ListenerSet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewaySpec {
    /// Class by name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway_class_name: String,
    /// Listeners.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<Listener>,
    /// Which ListenerSets may add listeners; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<AllowedListeners>,
    /// What the load balancer is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<Infrastructure>,
    /// The Gateway of a ListenerSet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<Reference>,
}

/// Annotations for the Service of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Infrastructure {
    /// Annotations.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
}

/// `allowedListeners` of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedListeners {
    /// Namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<FromNamespaces>,
}

/// Namespaces that something is allowed from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FromNamespaces {
    /// `All`, `Same`, `Selector` or `None`; empty is the default of the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Namespaces for `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listener {
    /// Name, unique in the Gateway.
    pub name: String,
    /// Host; empty is every host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Port.
    pub port: i32,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP` or `UDP`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Routes that may attach; absent: those of the Gateway's namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// `allowedRoutes` of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedRoutes {
    /// Namespaces; absent: the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<FromNamespaces>,
    /// Kinds; empty: those that fit the protocol.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<RouteKind>,
}

/// A kind of route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteKind {
    /// Kind.
    pub kind: String,
}

/// Status of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayStatus {
    /// Addresses it is served on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GatewayAddress>,
    /// `Accepted`, `Programmed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// An address of a Gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayAddress {
    /// `IPAddress` or `Hostname`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Address.
    pub value: String,
}

/// A condition of a status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Name of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// A route of any protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: RouteSpec,
    /// Status.
    #[serde(skip_serializing_if = "is_default")]
    pub status: RouteStatus,
}

/// Spec of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteSpec {
    /// Gateways, listeners or, in a mesh, Services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<Reference>,
    /// Hosts; empty is every host of the listener.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RouteRule>,
}

/// A rule of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteRule {
    /// What it matches; empty is everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// Where it sends requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<Reference>,
}

/// A match of an HTTP rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteMatch {
    /// Path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
}

/// A path match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathMatch {
    /// `Exact`, `PathPrefix` or `RegularExpression`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// A reference to a parent or a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Reference {
    /// API group; absent is that of Gateways for a parent, core for a backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Kind; empty is `Gateway` for a parent, `Service` for a backend.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Namespace; empty is that of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Listener by name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub section_name: String,
    /// Port of the listener or of the Service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Share of the requests; absent is 1, 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
}

/// Status of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteStatus {
    /// What each parent says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<RouteParent>,
}

/// What one parent says about a route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteParent {
    /// The parent.
    pub parent_ref: Reference,
    /// `Accepted`, `ResolvedRefs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// A ReferenceGrant: what in other namespaces may refer to what in its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceGrant {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: ReferenceGrantSpec,
}

/// Spec of a ReferenceGrant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferenceGrantSpec {
    /// Who refers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<GrantEnd>,
    /// To what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<GrantEnd>,
}

/// One end of a ReferenceGrant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GrantEnd {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace of a `from`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of a `to`; empty is every one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}
