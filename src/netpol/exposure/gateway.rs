//! Gateway API: which routes attach to which listeners, and where they send requests
//! (gateway-api, "API specification": ParentReference, AllowedRoutes, ReferenceGrant).

use std::collections::BTreeMap;

use super::super::address::is_public;
use super::super::classes::Namespace;
use super::backends::Which;
use super::service::{annotation, internal_annotation};
use super::{Entry, Found, Origin, Publicity, Search, Way};
use crate::model::gateway::{Condition, FromNamespaces, Gateway, Listener, Reference, Route};
use crate::model::kind::{Kind, Obj};

/// Kinds of routes.
const ROUTES: [Kind; 5] = [Kind::HTTPRoute, Kind::GRPCRoute, Kind::TLSRoute, Kind::TCPRoute, Kind::UDPRoute];

/// A listener of a Gateway, own or added by a ListenerSet.
#[derive(Clone, Copy)]
struct Listening<'c> {
    gateway: u32,
    /// Gateway or ListenerSet that has it.
    owner: (Kind, u32),
    place: usize,
    namespace: &'c str,
    listener: &'c Listener,
}

/// Listeners by the object that has them.
type Listeners<'c> = BTreeMap<(Kind, &'c str, &'c str), Vec<Listening<'c>>>;

/// Whether a condition is true; `None` where it is not there.
fn condition(all: &[Condition], kind: &str) -> Option<bool> {
    all.iter().find(|c| c.kind == kind).map(|c| c.status == "True")
}

/// Whether a kind of route fits a listener's protocol, where the listener names no kinds.
fn fits(kind: Kind, protocol: &str) -> bool {
    match protocol {
        "HTTP" | "HTTPS" => matches!(kind, Kind::HTTPRoute | Kind::GRPCRoute),
        "TLS" => matches!(kind, Kind::TLSRoute | Kind::TCPRoute),
        "TCP" => kind == Kind::TCPRoute,
        "UDP" => kind == Kind::UDPRoute,
        // A protocol of an implementation's own.
        _ => true,
    }
}

/// Whether a host that a listener serves can be one of a route: `*.` stands for any number of labels.
pub(super) fn hosts_meet(listener: &str, routes: &[String]) -> bool {
    let covers = |wide: &str, narrow: &str| {
        wide.strip_prefix('*').is_some_and(|end| narrow.len() > end.len() && narrow.ends_with(end))
    };
    listener.is_empty()
        || routes.is_empty()
        || routes.iter().any(|r| r.eq_ignore_ascii_case(listener) || covers(listener, r) || covers(r, listener))
}

impl<'c> Search<'_, 'c> {
    pub(super) fn gateways(&mut self) {
        let listeners = self.listeners();
        for kind in ROUTES {
            let cluster = self.cluster;
            let o = &cluster.objects;
            let list = match kind {
                Kind::HTTPRoute => &o.http_routes,
                Kind::GRPCRoute => &o.grpc_routes,
                Kind::TLSRoute => &o.tls_routes,
                Kind::TCPRoute => &o.tcp_routes,
                _ => &o.udp_routes,
            };
            for (r, index) in list.iter().zip(0u32..) {
                self.route(Obj { kind, index }, r, &listeners);
            }
        }
    }

    /// Listeners of all Gateways, those of ListenerSets that are allowed included.
    fn listeners(&self) -> Listeners<'c> {
        let cluster = self.cluster;
        let mut out = Listeners::new();
        for (g, gateway) in cluster.objects.gateways.iter().zip(0u32..) {
            let own = g.spec.listeners.iter().enumerate();
            let key = (Kind::Gateway, g.metadata.namespace.as_str(), g.metadata.name.as_str());
            out.entry(key).or_default().extend(own.map(|(place, listener)| Listening {
                gateway,
                owner: (Kind::Gateway, gateway),
                place,
                namespace: &g.metadata.namespace,
                listener,
            }));
        }
        for (set, index) in cluster.objects.listener_sets.iter().zip(0u32..) {
            let Some(parent) = &set.spec.parent_ref else { continue };
            let namespace = if parent.namespace.is_empty() { &set.metadata.namespace } else { &parent.namespace };
            let found = cluster.find(Kind::Gateway, namespace, &parent.name);
            let Some((gateway, g)) = found.and_then(|i| Some((i, cluster.objects.gateways.get(i as usize)?))) else {
                continue;
            };
            // The default is None.
            let allowed = g.spec.allowed_listeners.as_ref().and_then(|a| a.namespaces.as_ref());
            let from = allowed.filter(|f| !f.from.is_empty());
            if from.is_none_or(|f| self.admits(f, namespace, &set.metadata.namespace) == Some(false)) {
                continue;
            }
            let key = (Kind::ListenerSet, set.metadata.namespace.as_str(), set.metadata.name.as_str());
            out.entry(key).or_default().extend(set.spec.listeners.iter().enumerate().map(|(place, listener)| {
                Listening {
                    gateway,
                    owner: (Kind::ListenerSet, index),
                    place,
                    namespace: &set.metadata.namespace,
                    listener,
                }
            }));
        }
        out
    }

    /// Whether objects of a namespace are admitted; `None` where its labels were not read.
    fn admits(&self, from: &FromNamespaces, own: &str, other: &str) -> Option<bool> {
        match from.from.as_str() {
            "All" => Some(true),
            "Selector" => {
                let classes = self.network.engine.classes();
                let ns: Option<&Namespace> = classes.namespace(other).and_then(|n| classes.namespaces.get(n as usize));
                match (&from.selector, ns) {
                    (Some(s), Some(n)) => n.matches(s),
                    (None, _) => Some(false),
                    (Some(_), None) => None,
                }
            }
            "None" => Some(false),
            _ => Some(own == other),
        }
    }

    fn route(&mut self, o: Obj, r: &Route, listeners: &Listeners<'c>) {
        for (p, parent) in r.spec.parent_refs.iter().enumerate() {
            // A Service as parent is a mesh: nothing comes in by it.
            let kind = match parent.kind.as_str() {
                "" | "Gateway" => Kind::Gateway,
                "ListenerSet" => Kind::ListenerSet,
                _ => continue,
            };
            let namespace = if parent.namespace.is_empty() { &r.metadata.namespace } else { &parent.namespace };
            let named = |l: &&Listening<'c>| {
                (parent.section_name.is_empty() || parent.section_name == l.listener.name)
                    && parent.port.is_none_or(|n| n == l.listener.port)
            };
            let own = listeners.get(&(kind, namespace.as_str(), parent.name.as_str()));
            let fitting: Vec<Listening<'c>> = own.into_iter().flatten().filter(named).copied().collect();
            for l in fitting {
                self.attached(o, r, (p, parent), l);
            }
        }
    }

    fn attached(&mut self, o: Obj, r: &Route, (p, parent): (usize, &Reference), l: Listening<'c>) {
        let Some(g) = self.cluster.objects.gateways.get(l.gateway as usize) else { return };
        let routes = l.listener.allowed_routes.as_ref();
        let kinds = routes.map_or(&[][..], |a| a.kinds.as_slice());
        let listed = kinds.is_empty() || kinds.iter().any(|k| k.kind == o.kind.info().kind);
        let kind = listed && fits(o.kind, &l.listener.protocol);
        let same = FromNamespaces::default();
        let from = routes.and_then(|a| a.namespaces.as_ref()).unwrap_or(&same);
        let admitted = self.admits(from, l.namespace, &r.metadata.namespace);
        if !kind || admitted == Some(false) || !hosts_meet(&l.listener.hostname, &r.spec.hostnames) {
            return;
        }
        let (mut found, origin) = self.served(l.gateway, g);
        if found.publicity != Publicity::Internal {
            let id = format!("route-accepted:{}/{}", o.kind.info().resource, r.metadata.path());
            let said = r.status.parents.iter().find(|x| {
                x.parent_ref.name == parent.name
                    && (x.parent_ref.namespace.is_empty()
                        || parent.namespace.is_empty()
                        || x.parent_ref.namespace == parent.namespace)
                    && (x.parent_ref.section_name.is_empty() || x.parent_ref.section_name == l.listener.name)
            });
            let accepted = said.and_then(|x| condition(&x.conditions, "Accepted"));
            match accepted {
                Some(true) => {}
                Some(false) => {
                    found = Found { hops: found.hops, ..Found::internal("the Gateway did not accept the route") }
                }
                None => found = found.possible(id, "no controller says that it accepted the route"),
            }
            if said.and_then(|x| condition(&x.conditions, "ResolvedRefs")) == Some(false) {
                let id = format!("route-resolved:{}/{}", o.kind.info().resource, r.metadata.path());
                found = found.possible(id, "the Gateway says that not all that it refers to is there");
            }
            if admitted.is_none() {
                found = found.possible("unread:Namespace".into(), "the labels of its namespace were not read");
            }
        }
        let owner = Obj { kind: l.owner.0, index: l.owner.1 };
        let place = format!("/spec/listeners/{}/port", l.place);
        let found = found.hop(owner, place, l.listener.port.to_string(), "the listener takes connections");
        let found = found.hop(
            o,
            format!("/spec/parentRefs/{p}/name"),
            parent.name.clone(),
            "the route is attached to the listener",
        );
        let hosts =
            if r.spec.hostnames.is_empty() { std::slice::from_ref(&l.listener.hostname) } else { &r.spec.hostnames };
        let host = hosts.first().filter(|h| !h.is_empty()).map_or("*", String::as_str);
        for (n, rule) in r.spec.rules.iter().enumerate() {
            let path =
                rule.matches.iter().filter_map(|m| m.path.as_ref()).map(|p| p.value.as_str()).find(|v| !v.is_empty());
            let at = match o.kind {
                Kind::TCPRoute | Kind::UDPRoute => format!("port {}", l.listener.port),
                _ => format!("{host}{}", path.unwrap_or("/")),
            };
            for (b, backend) in rule.backend_refs.iter().enumerate() {
                self.backend(o, r, &found, &origin, at.clone(), (n, b, backend));
            }
        }
    }

    fn backend(
        &mut self,
        o: Obj,
        r: &Route,
        found: &Found,
        origin: &Origin,
        at: String,
        (n, b, backend): (usize, usize, &Reference),
    ) {
        let core = backend.group.as_deref().unwrap_or("").is_empty() && matches!(backend.kind.as_str(), "" | "Service");
        if !core || backend.weight == Some(0) {
            return;
        }
        let own = &r.metadata.namespace;
        let namespace = if backend.namespace.is_empty() { own } else { &backend.namespace };
        if namespace != own && !self.granted(o.kind, own, namespace, &backend.name) {
            return;
        }
        let Some(service) = self.cluster.find(Kind::Service, namespace, &backend.name) else { return };
        let which = backend.port.map_or(Which::All, Which::Number);
        let pointer = format!("/spec/rules/{n}/backendRefs/{b}/name");
        let found = found.clone().hop(o, pointer, backend.name.clone(), "the route sends requests to the Service");
        for b in self.backends.of(self.network, service, which) {
            self.keep(
                Entry { way: Way::Gateway, object: o, service: Some(service), at: at.clone() },
                &b,
                found.clone(),
                origin,
            );
        }
    }

    /// Whether a ReferenceGrant lets routes of a namespace refer to a Service of another.
    fn granted(&self, kind: Kind, from: &str, to: &str, name: &str) -> bool {
        let group = Kind::HTTPRoute.info().group;
        self.cluster.objects.reference_grants.iter().filter(|g| g.metadata.namespace == to).any(|g| {
            g.spec.from.iter().any(|f| f.group == group && f.kind == kind.info().kind && f.namespace == from)
                && g.spec
                    .to
                    .iter()
                    .any(|t| t.group.is_empty() && t.kind == "Service" && (t.name.is_empty() || t.name == name))
        })
    }

    /// Whether a Gateway is served and how public that is, and where requests come from.
    fn served(&self, index: u32, g: &Gateway) -> (Found, Origin) {
        let o = Obj { kind: Kind::Gateway, index };
        let outside = Origin::ClientOrNode;
        let path = g.metadata.path();
        let id = format!("gateway-public:{path}");
        let addresses: Vec<&str> =
            g.status.addresses.iter().map(|a| a.value.as_str()).filter(|a| !a.is_empty()).collect();
        let mut found = Found::public();
        if let Some((place, address, _)) = Self::address(addresses.iter().copied()) {
            found = found.hop(o, format!("/status/addresses/{place}/value"), address, "its address");
        }
        let infrastructure = g.spec.infrastructure.as_ref().and_then(|i| internal_annotation(&i.annotations));
        if let Some((key, value)) = infrastructure {
            let pointer = annotation(key).replacen("/metadata", "/spec/infrastructure", 1);
            return (
                Found { hops: found.hops, ..Found::internal("an annotation makes the load balancer internal") }.hop(
                    o,
                    pointer,
                    value,
                    "makes the load balancer internal",
                ),
                outside,
            );
        }
        let classes = &self.cluster.objects.gateway_classes;
        let class = classes.iter().find(|c| c.metadata.name == g.spec.gateway_class_name);
        let controller = class.map_or("", |c| c.spec.controller_name.as_str());
        let programmed = condition(&g.status.conditions, "Programmed");
        if programmed == Some(false) {
            return (Found { hops: found.hops, ..Found::internal("the Gateway is not programmed") }, outside);
        }
        if programmed.is_none() && !addresses.is_empty() {
            found = found.possible(format!("gateway-programmed:{path}"), "no controller says that it is programmed");
        }
        let read = self.cluster.was_read(Kind::GatewayClass);
        if read && class.is_none() && addresses.is_empty() {
            return (Found { hops: found.hops, ..Found::internal("no controller serves it") }, outside);
        }
        let public = addresses.iter().any(|a| a.parse().is_ok_and(is_public));
        let names = addresses.iter().any(|a| a.parse::<std::net::IpAddr>().is_err());
        if let Some(front) = self.front(&addresses, controller, Some((&g.metadata.namespace, &g.metadata.name))) {
            let own = self.front_found(&front);
            let origin = Origin::Pods(front.pods);
            return match own.publicity {
                Publicity::Internal | Publicity::Possible if !front.certain && public => (found, origin),
                Publicity::Public if !front.certain => {
                    (own.possible(id, "its controller was told by its image"), origin)
                }
                Publicity::Internal if !front.certain && (names || addresses.is_empty()) => {
                    (found.possible(id, "its address is not known"), origin)
                }
                _ => (Found { hops: own.hops.iter().cloned().chain(found.hops).collect(), ..own }, origin),
            };
        }
        if public {
            (found, outside)
        } else if addresses.is_empty() || names {
            (found.possible(id, "its address is not known"), outside)
        } else {
            (Found { hops: found.hops, ..Found::internal("its address is private") }, outside)
        }
    }
}
