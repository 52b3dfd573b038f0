//! Ways to take over traffic, to publish pods and to overrule policies, as far as one rule alone does not tell: what there
//! must be something to take over, or a foothold beside.
//!
//! Sources: Kubernetes documentation "Service", "Ingress"; gateway-api, "API specification" (AllowedRoutes, ReferenceGrant);
//! CoreDNS, plugin "reload".

use std::collections::BTreeSet;

use super::ctx::{Ctx, Emit};
use super::fact::{EVERYWHERE, Fact, Right};
use super::rows::{self, Names, Need, cluster, need};
use crate::authz::rbac::GrantId;
use crate::model::gateway::{FromNamespaces, Gateway, Reference, Route};
use crate::model::kind::{Kind, Obj};
use crate::netpol::network::Network;

/// What a right is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    Services,
    PodLabels,
    Ingresses,
    Routes,
    References,
    Policies,
    Dns,
    Publishing,
}

const WRITE: &[&str] = &["create", "patch", "update"];
const CHANGE: &[&str] = &["patch", "update"];
const REPLACE: &[&str] = &["create", "patch", "update", "delete", "deletecollection"];
const GATEWAY: &str = "gateway.networking.k8s.io";

/// Rights by what they are about.
pub(super) const RIGHTS: &[(About, Need)] = &[
    (About::Services, need(CHANGE, "", "services", "")),
    (About::PodLabels, need(CHANGE, "", "pods", "")),
    (About::Ingresses, need(WRITE, "networking.k8s.io", "ingresses", "")),
    (About::Routes, need(WRITE, GATEWAY, "httproutes", "")),
    (About::Routes, need(WRITE, GATEWAY, "grpcroutes", "")),
    (About::Routes, need(WRITE, GATEWAY, "tlsroutes", "")),
    (About::Routes, need(WRITE, GATEWAY, "tcproutes", "")),
    (About::References, need(WRITE, GATEWAY, "referencegrants", "")),
    (About::Policies, cluster(REPLACE, "policy.networking.k8s.io", "adminnetworkpolicies", "")),
    (About::Policies, cluster(REPLACE, "policy.networking.k8s.io", "clusternetworkpolicies", "")),
    (About::Policies, cluster(REPLACE, "cilium.io", "ciliumclusterwidenetworkpolicies", "")),
    (About::Policies, cluster(REPLACE, "crd.projectcalico.org", "globalnetworkpolicies", "")),
    (About::Policies, cluster(REPLACE, "projectcalico.org", "globalnetworkpolicies", "")),
    (About::Policies, cluster(REPLACE, "crd.antrea.io", "clusternetworkpolicies", "")),
    (About::Policies, need(REPLACE, "cilium.io", "ciliumnetworkpolicies", "")),
    (About::Policies, need(REPLACE, "crd.projectcalico.org", "networkpolicies", "")),
    (About::Policies, need(REPLACE, "projectcalico.org", "networkpolicies", "")),
    (About::Dns, need(CHANGE, "", "configmaps", "")),
    (About::Publishing, need(WRITE, "", "services", "")),
    (About::Publishing, need(WRITE, "networking.k8s.io", "ingresses", "")),
    (About::Publishing, need(WRITE, GATEWAY, "httproutes", "")),
];

/// A right of a binding, with the rule that gives it.
struct Held {
    grant: Fact,
    scope: u32,
    role: Obj,
    pointer: String,
    value: String,
    names: Names,
    need: &'static Need,
}

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, network: &Network<'_>) {
    let mut scopes: BTreeSet<u32> = BTreeSet::new();
    for i in 0..ctx.authz.grants().len() as u32 {
        let id = GrantId(i);
        let Some(g) = ctx.authz.grant(id).copied() else { continue };
        let Some((role, r)) = g.role else { continue };
        let scope = if g.namespace().is_empty() { EVERYWHERE } else { ctx.ns(g.namespace()).unwrap_or(EVERYWHERE) };
        for (j, rule) in r.rules.iter().enumerate() {
            for (about, need) in RIGHTS {
                let Some((verb, names)) = need.held_by(rule) else { continue };
                if need.cluster_scoped && scope != EVERYWHERE {
                    continue;
                }
                let value = format!("{verb} {} ({})", need.label(), rows::describe(rule));
                let pointer = format!("/rules/{j}");
                let held = Held { grant: Fact::Grant(i), scope, role, pointer, value, names, need };
                if matches!(about, About::Services | About::PodLabels) {
                    scopes.insert(scope);
                }
                one(ctx, *about, &held);
            }
        }
    }
    footholds(ctx, network, &scopes);
    routes(ctx);
}

/// A step from the binding, with the rule as evidence.
fn step<'a>(held: &Held, e: Emit<'a>, why: &'static str) -> Emit<'a> {
    e.from(held.grant).because(held.role, held.pointer.clone(), held.value.clone(), why)
}

fn one(ctx: &mut Ctx<'_>, about: About, held: &Held) {
    let hold = |r: Right, ns: u32| Emit::scope(Fact::Right(r, ns));
    match (about, &held.names) {
        (About::Services, Names::All) => {
            let e = hold(Right::ChangeServices, held.scope);
            ctx.emit(step(held, e, "the rule allows changing Services"));
        }
        (About::Services, Names::Some(names)) => {
            for (i, o) in named(ctx, Kind::Service, names, held.scope) {
                let service = ctx.cluster.objects.services.get(i as usize);
                let ns = ctx.meta(o).and_then(|m| ctx.ns(&m.namespace));
                let Some(ns) = ns.filter(|_| service.is_some_and(|s| !s.spec.selector.is_empty())) else { continue };
                let e = Emit::new("svc-selector-hijack", Fact::InterceptsService(i)).tier(3);
                let e = step(held, e.from(Fact::FootholdIn(ns)), "the rule allows changing the Service");
                ctx.emit(e.because(o, "/spec/selector", "", "its selector can be made to mean a pod of the attacker"));
            }
        }
        (About::PodLabels, Names::All) => {
            let e = hold(Right::ChangePods, held.scope);
            ctx.emit(step(held, e, "the rule allows changing labels of pods"));
        }
        (About::PodLabels, Names::Some(names)) => {
            for (i, o) in named(ctx, Kind::Pod, names, held.scope) {
                let Some(pod) = ctx.cluster.objects.pods.get(i as usize).filter(|p| !p.finished()) else { continue };
                let service = selecting_service(ctx, &pod.metadata.namespace);
                let Some((ns, service)) = ctx.ns(&pod.metadata.namespace).zip(service) else { continue };
                for c in pod.running_containers() {
                    let e = Emit::new("svc-join-by-label", Fact::Intercepts(ns)).tier(3);
                    let e = step(held, e.from(Fact::Exec(i, c.ordinal)), "the rule allows changing labels of the pod");
                    let e = e.because(o, "/metadata/labels", "", "the pod can be given the labels of another");
                    ctx.emit(e.because(service, "/spec/selector", "", "the Service sends to pods with its labels"));
                }
            }
        }
        (About::Ingresses, names) => {
            if let Names::Some(names) = names
                && named(ctx, Kind::Ingress, names, held.scope).is_empty()
            {
                return;
            }
            // There must be a host to take over: one of an Ingress elsewhere.
            let own = ctx.ns_name(held.scope).to_owned();
            let victim = ctx.cluster.objects.ingresses.iter().zip(0u32..).find_map(|(g, index)| {
                let (n, rule) = g.spec.rules.iter().enumerate().find(|(_, r)| !r.host.is_empty())?;
                (g.metadata.namespace != own).then(|| (Obj { kind: Kind::Ingress, index }, n, rule.host.clone()))
            });
            let Some((o, n, host)) = victim else { return };
            let e = Emit::new("ingress-hijack", Fact::InterceptsHosts).tier(3).unless_known("ingress-hosts-merge");
            let e = step(held, e, "the rule allows an Ingress for any host");
            ctx.emit(e.because(o, format!("/spec/rules/{n}/host"), host, "a host that an Ingress elsewhere has"));
        }
        (About::Routes, names) => {
            let scopes: BTreeSet<u32> = match names {
                Names::All => [held.scope].into(),
                Names::Some(names) => {
                    let kinds = [Kind::HTTPRoute, Kind::GRPCRoute, Kind::TLSRoute, Kind::TCPRoute];
                    let kind = kinds.into_iter().find(|k| k.info().resource == held.need.resource);
                    let found = kind.map(|k| named(ctx, k, names, held.scope)).unwrap_or_default();
                    found.into_iter().filter_map(|(_, o)| ctx.ns(&ctx.meta(o)?.namespace)).collect()
                }
            };
            for ns in scopes {
                ctx.emit(step(held, hold(Right::WriteRoutes, ns), "the rule allows writing routes"));
            }
        }
        (About::References, Names::All) => {
            let e = Emit::new("referencegrant-write", Fact::ReferencesInto(held.scope)).tier(3);
            let e = step(held, e, "the rule allows letting routes of other namespaces in");
            ctx.emit(e);
        }
        (About::References, Names::Some(names)) => {
            for (_, o) in named(ctx, Kind::ReferenceGrant, names, held.scope) {
                let Some(ns) = ctx.meta(o).and_then(|m| ctx.ns(&m.namespace)) else { continue };
                let e = Emit::new("referencegrant-write", Fact::ReferencesInto(ns)).tier(3);
                ctx.emit(step(held, e, "resourceNames limits the rule to this object"));
            }
        }
        (About::Policies, _) => policies(ctx, held),
        (About::Dns, names) => {
            let Some(index) = ctx.cluster.find(Kind::ConfigMap, "kube-system", "coredns") else { return };
            let here = held.scope == EVERYWHERE || ctx.ns_name(held.scope) == "kube-system";
            let by_name = match names {
                Names::All => true,
                Names::Some(list) => list.iter().any(|n| n == "coredns"),
            };
            if here && by_name {
                let e = Emit::new("coredns-config", Fact::InterceptsDns).tier(3).unless_known("dns-config-kept");
                let e = step(held, e, "the rule allows changing the ConfigMap");
                let o = Obj { kind: Kind::ConfigMap, index };
                ctx.emit(e.because(o, "/metadata/name", "coredns", "CoreDNS answers by it"));
            }
        }
        (About::Publishing, Names::All) => {
            if let Some((o, pointer, value, why)) = provisioner(ctx, held) {
                let e = Emit::new("entry-create-exposure", Fact::Publishes(held.scope)).tier(3);
                let e = step(held, e.unless_known("exposure-admitted"), "the rule allows publishing pods");
                ctx.emit(e.because(o, pointer, value, why));
            }
        }
        (About::Publishing, Names::Some(names)) => {
            let kinds = [Kind::Service, Kind::Ingress, Kind::HTTPRoute];
            let Some(kind) = kinds.into_iter().find(|k| k.info().resource == held.need.resource) else { return };
            for (_, own) in named(ctx, kind, names, held.scope) {
                let Some(ns) = ctx.meta(own).and_then(|m| ctx.ns(&m.namespace)) else { continue };
                if let Some((o, pointer, value, why)) = provisioner(ctx, held) {
                    let e = Emit::new("entry-create-exposure", Fact::Publishes(ns)).tier(3);
                    let e = step(held, e.unless_known("exposure-admitted"), "the rule allows publishing pods");
                    ctx.emit(e.because(o, pointer, value, why));
                }
            }
        }
    }
}

/// Objects of a kind by name in a scope.
fn named(ctx: &Ctx<'_>, kind: Kind, names: &[String], scope: u32) -> Vec<(u32, Obj)> {
    let all = (0..ctx.cluster.objects.len(kind)).filter_map(|i| {
        let o = Obj { kind, index: u32::try_from(i).ok()? };
        let m = ctx.meta(o)?;
        let here = scope == EVERYWHERE || ctx.ns(&m.namespace) == Some(scope);
        (here && names.contains(&m.name)).then_some((o.index, o))
    });
    all.collect()
}

/// A Service of a namespace that sends to pods by label.
fn selecting_service(ctx: &Ctx<'_>, namespace: &str) -> Option<Obj> {
    let all = ctx.cluster.objects.services.iter().zip(0u32..);
    // Services are sorted by namespace.
    let (start, list) = (ctx.cluster.objects.services.as_slice(), all);
    let first = start.partition_point(|s| s.metadata.namespace.as_str() < namespace);
    let mut own = list.skip(first).take_while(|(s, _)| s.metadata.namespace == namespace);
    own.find(|(s, _)| !s.spec.selector.is_empty()).map(|(_, index)| Obj { kind: Kind::Service, index })
}

/// Policies that go before NetworkPolicies, or beside them: what they allow or no longer deny is open.
fn policies(ctx: &mut Ctx<'_>, held: &Held) {
    let name = format!("{}.{}", held.need.resource, held.need.group);
    let definitions = &ctx.cluster.objects.resource_definitions;
    let defined = definitions.iter().zip(0u32..).find(|(d, _)| d.metadata.name == name);
    let object = defined.map(|(_, index)| Obj { kind: Kind::CustomResourceDefinition, index });
    let kind = Kind::ALL.iter().copied().find(|k| {
        let i = k.info();
        i.resource == held.need.resource && i.group == held.need.group
    });
    let kind = kind.filter(|k| ctx.cluster.objects.len(*k) > 0);
    let object = object.or(kind.map(|kind| Obj { kind, index: 0 }));
    // Without the kind there is nothing to write.
    if object.is_none() && ctx.cluster.was_read(Kind::CustomResourceDefinition) {
        return;
    }
    let fact = match (held.need.cluster_scoped, held.scope) {
        (true, _) => Fact::OrderedPoliciesOff,
        (false, ns) => Fact::PoliciesOff(ns),
    };
    let e = Emit::new("cni-policy-write", fact).tier(3).unless_known("policy-order");
    let e = step(held, e, "the rule allows writing policies of the network plugin");
    ctx.emit(match object {
        Some(o) => e.because(o, "/metadata/name", name, "the kind is there"),
        None => e.unless_known("unread:CustomResourceDefinition"),
    });
}

/// What makes an object that publishes pods have an effect.
fn provisioner(ctx: &Ctx<'_>, held: &Held) -> Option<(Obj, &'static str, String, &'static str)> {
    let o = &ctx.cluster.objects;
    match held.need.resource {
        "services" => {
            let clouds = ["aws", "gce", "azure", "openstack", "digitalocean", "oci", "alicloud", "ibm", "linode"];
            let cloud = |id: &str| clouds.iter().any(|c| id.starts_with(c));
            let node = o.nodes.iter().zip(0u32..).find(|(n, _)| cloud(&n.spec.provider_id));
            let by_node = node.map(|(n, index)| {
                let why = "the cloud of the nodes makes load balancers";
                (Obj { kind: Kind::Node, index }, "/spec/providerID", n.spec.provider_id.clone(), why)
            });
            by_node.or_else(|| {
                let served = o.services.iter().zip(0u32..);
                let (s, index) = served
                    .filter(|(s, _)| s.spec.kind == "LoadBalancer")
                    .find(|(s, _)| !s.status.load_balancer.ingress.is_empty())?;
                let why = "load balancers are made in this cluster";
                Some((Obj { kind: Kind::Service, index }, "/status/loadBalancer", s.metadata.path(), why))
            })
        }
        "ingresses" => {
            let class = o.ingress_classes.first()?;
            let why = "a controller may serve Ingresses";
            Some((Obj { kind: Kind::IngressClass, index: 0 }, "/metadata/name", class.metadata.name.clone(), why))
        }
        _ => {
            let open = o.gateways.iter().zip(0u32..).find(|(g, _)| {
                let names = [ctx.ns_name(held.scope)];
                g.spec.listeners.iter().any(|l| {
                    let from = l.allowed_routes.as_ref().and_then(|a| a.namespaces.as_ref());
                    let own = g.metadata.namespace.as_str();
                    held.scope == EVERYWHERE || names.iter().any(|n| admits(ctx, from, own, n) != Some(false))
                })
            });
            let (g, index) = open?;
            let why = "a Gateway takes routes of the namespace";
            Some((Obj { kind: Kind::Gateway, index }, "/spec/listeners", g.metadata.path(), why))
        }
    }
}

/// Whether routes of a namespace are admitted; `None` where its labels were not read. The default is its own alone.
fn admits(ctx: &Ctx<'_>, from: Option<&FromNamespaces>, own: &str, other: &str) -> Option<bool> {
    match from.map_or("", |f| f.from.as_str()) {
        "All" => Some(true),
        "None" => Some(false),
        "Selector" => {
            let object = ctx.ns(other).and_then(|n| ctx.namespace_object(n)).and_then(|o| ctx.meta(o));
            match (from.and_then(|f| f.selector.as_ref()), object) {
                (Some(s), Some(m)) => {
                    let mut labels = m.labels.clone();
                    labels.entry("kubernetes.io/metadata.name".to_owned()).or_insert_with(|| other.to_owned());
                    Some(s.matches(&labels))
                }
                (None, _) => Some(false),
                (Some(_), None) => None,
            }
        }
        _ => Some(own == other),
    }
}

/// Pods that the attacker controls beside Services, and what follows from them.
fn footholds(ctx: &mut Ctx<'_>, network: &Network<'_>, scopes: &BTreeSet<u32>) {
    let all = scopes.contains(&EVERYWHERE);
    let wanted: Vec<(u32, Obj)> = (0..ctx.namespaces.len() as u32)
        .filter(|ns| all || scopes.contains(ns))
        .filter_map(|ns| Some((ns, selecting_service(ctx, ctx.ns_name(ns))?)))
        .collect();
    let places: BTreeSet<u32> = wanted.iter().map(|(ns, _)| *ns).collect();
    for (c, class) in network.engine.classes().list.iter().zip(0u32..) {
        let name = network.engine.classes().namespaces.get(c.namespace as usize).map_or("", |n| n.name.as_str());
        let Some(ns) = ctx.ns(name).filter(|ns| places.contains(ns)) else { continue };
        let Some(first) = c.pods.first().copied() else { continue };
        let e = Emit::scope(Fact::FootholdIn(ns)).from(Fact::NetClass(class));
        let o = Obj { kind: Kind::Pod, index: first };
        ctx.emit(e.because(o, "/metadata/namespace", name, "the pod is in the namespace"));
    }
    for (p, i) in ctx.cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| p.spec.host_network) {
        let Some(ns) = ctx.ns(&p.metadata.namespace).filter(|ns| places.contains(ns)) else { continue };
        for c in p.running_containers() {
            let e = Emit::scope(Fact::FootholdIn(ns)).from(Fact::Exec(i, c.ordinal));
            let o = Obj { kind: Kind::Pod, index: i };
            ctx.emit(e.because(o, "/metadata/namespace", p.metadata.namespace.as_str(), "the pod is in the namespace"));
        }
    }
    for (ns, service) in wanted {
        if let Some(o) = ctx.namespace_object(ns) {
            let e = Emit::scope(Fact::FootholdIn(ns)).from(Fact::Workload(ns));
            ctx.emit(e.because(o, "/metadata/name", "", "the attacker's pod is in the namespace"));
        }
        for (technique, right, why) in [
            ("svc-selector-hijack", Right::ChangeServices, "its selector can be made to mean a pod of the attacker"),
            ("svc-join-by-label", Right::ChangePods, "the attacker's pod can be given the labels that it asks for"),
        ] {
            let ways = [Fact::Right(right, ns), Fact::Right(right, EVERYWHERE)];
            for way in ways.into_iter().filter(|w| ctx.facts.find(w).is_some()).collect::<Vec<_>>() {
                let e = Emit::new(technique, Fact::Intercepts(ns)).from(way).from(Fact::FootholdIn(ns)).tier(3);
                ctx.emit(e.because(service, "/spec/selector", "", why));
            }
        }
    }
}

/// Gateways that take routes of namespaces other than those that use them now.
fn routes(ctx: &mut Ctx<'_>) {
    let writers: Vec<u32> = (0..ctx.namespaces.len() as u32)
        .chain([EVERYWHERE])
        .filter(|ns| ctx.facts.find(&Fact::Right(Right::WriteRoutes, *ns)).is_some())
        .collect();
    let owners = [Kind::Gateway, Kind::ListenerSet];
    for kind in owners {
        for index in 0..ctx.cluster.objects.len(kind) as u32 {
            let list: &[Gateway] = match kind {
                Kind::Gateway => &ctx.cluster.objects.gateways,
                _ => &ctx.cluster.objects.listener_sets,
            };
            let Some(g) = list.get(index as usize) else { continue };
            let Some(victim) = attached(ctx, kind, g) else { continue };
            let o = Obj { kind, index };
            let mut anywhere = false;
            let mut by_label: Vec<(u32, Option<String>)> = Vec::new();
            for l in &g.spec.listeners {
                let from = l.allowed_routes.as_ref().and_then(|a| a.namespaces.as_ref());
                match from.map_or("", |f| f.from.as_str()) {
                    "All" => anywhere = true,
                    "Selector" => {
                        for ns in writers.iter().filter(|n| **n != EVERYWHERE) {
                            match admits(ctx, from, &g.metadata.namespace, ctx.ns_name(*ns)) {
                                Some(true) => by_label.push((*ns, None)),
                                Some(false) => {}
                                None => by_label.push((*ns, Some("unread:Namespace".to_owned()))),
                            }
                        }
                    }
                    _ => {}
                }
            }
            by_label.sort();
            by_label.dedup();
            let hijack = |e: Emit<'static>, why| {
                let e = e.tier(3).because(o, "/spec/listeners", g.metadata.path(), why);
                e.because(victim, "/spec/parentRefs", "", "a route that uses the Gateway")
            };
            let fact = || Emit::new("gateway-route-hijack", Fact::InterceptsGateway(kind, index));
            if anywhere {
                let e = fact().from(Fact::RoutesSomewhere);
                ctx.emit(hijack(e, "a listener takes routes of every namespace"));
            } else {
                for (ns, unknown) in by_label {
                    let e = fact().from(Fact::Right(Right::WriteRoutes, ns)).maybe(unknown);
                    ctx.emit(hijack(e, "a listener takes routes of the namespace by its labels"));
                }
            }
            // Who writes routes everywhere writes them where they are taken.
            let e = fact().from(Fact::Right(Right::WriteRoutes, EVERYWHERE));
            ctx.emit(hijack(e, "routes can be written where the listeners take them"));
        }
    }
    for ns in writers.into_iter().filter(|n| *n != EVERYWHERE) {
        if let Some(o) = ctx.namespace_object(ns) {
            let e = Emit::scope(Fact::RoutesSomewhere).from(Fact::Right(Right::WriteRoutes, ns));
            ctx.emit(e.because(o, "/metadata/name", "", "one namespace is enough"));
        }
    }
}

/// A route that refers to a Gateway or a ListenerSet.
fn attached(ctx: &Ctx<'_>, kind: Kind, g: &Gateway) -> Option<Obj> {
    let refers = |r: &Route, p: &Reference| {
        let named = if p.kind.is_empty() { Kind::Gateway.info().kind } else { p.kind.as_str() };
        let namespace = if p.namespace.is_empty() { &r.metadata.namespace } else { &p.namespace };
        named == kind.info().kind && *namespace == g.metadata.namespace && p.name == g.metadata.name
    };
    let o = &ctx.cluster.objects;
    let lists: [(Kind, &[Route]); 4] = [
        (Kind::HTTPRoute, &o.http_routes),
        (Kind::GRPCRoute, &o.grpc_routes),
        (Kind::TLSRoute, &o.tls_routes),
        (Kind::TCPRoute, &o.tcp_routes),
    ];
    lists.into_iter().find_map(|(kind, list)| {
        let hit = list.iter().zip(0u32..).find(|(r, _)| r.spec.parent_refs.iter().any(|p| refers(r, p)));
        hit.map(|(_, index)| Obj { kind, index })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::platform::is_policy_definition;

    #[test]
    fn every_kind_of_policy_is_known_by_its_definition() {
        let all = RIGHTS.iter().filter(|(a, _)| *a == About::Policies);
        let unknown: Vec<String> = all
            .map(|(_, n)| format!("{}.{}", n.resource, n.group))
            .filter(|name| !is_policy_definition(name))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(!is_policy_definition("certificates.cert-manager.io"));
    }
}
