//! Ways in from the internet: published Services, Ingresses, and rights of anonymous callers.

use super::ctx::{Ctx, Emit};
use super::fact::{Fact, Subject};
use crate::model::kind::{Kind, Obj};
use crate::model::network::{LoadBalancerAddress, Service};
use crate::netpol::{Direction, isolating_policy, selected};

/// Assumption under which what the internet reaches can be compromised.
pub const EXPOSED: &str = "exposed-workloads-exploitable";

/// Emits the ways in.
pub fn emit(ctx: &mut Ctx<'_>) {
    for (i, s) in ctx.cluster.objects.services.iter().enumerate() {
        service(ctx, Obj { kind: Kind::Service, index: i as u32 }, s);
    }
    for i in 0..ctx.cluster.objects.ingresses.len() {
        ingress(ctx, i);
    }
    for (i, p) in ctx.cluster.objects.pods.iter().enumerate() {
        let o = Obj { kind: Kind::Pod, index: i as u32 };
        let reach = Fact::Reach(i as u32);
        if ctx.facts.find(&reach).is_none() {
            continue;
        }
        for c in p.running_containers() {
            // Containers that declare ports serve; without any declaration every container may.
            let declared = p.running_containers().any(|x| !x.container.ports.is_empty());
            if declared && c.container.ports.is_empty() {
                continue;
            }
            let e = Emit::new("entry-app-exploit", Fact::Exec(i as u32, c.ordinal)).from(reach).assuming(EXPOSED);
            ctx.emit(e.because(
                o,
                format!("{}/image", c.pointer()),
                c.container.image.clone(),
                "the application is reachable from the internet",
            ));
        }
    }
    anonymous(ctx);
}

/// Pods behind a Service: its selector, running pods of its namespace.
fn backends(ctx: &Ctx<'_>, s: &Service) -> Vec<u32> {
    if s.spec.selector.is_empty() {
        return Vec::new();
    }
    let pods = &ctx.cluster.objects.pods;
    let start = pods.partition_point(|p| p.metadata.namespace < s.metadata.namespace);
    pods.iter()
        .enumerate()
        .skip(start)
        .take_while(|(_, p)| p.metadata.namespace == s.metadata.namespace)
        .filter(|(_, p)| p.running_containers().next().is_some())
        .filter(|(_, p)| s.spec.selector.iter().all(|(k, v)| p.metadata.labels.get(k) == Some(v)))
        .map(|(i, _)| i as u32)
        .collect()
}

/// Whether an address is routable on the internet.
fn public(address: &str) -> bool {
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(a)) => {
            let o = a.octets();
            let shared = o[0] == 100 && (64..128).contains(&o[1]);
            !(a.is_private() || a.is_loopback() || a.is_link_local() || a.is_unspecified() || shared)
        }
        Ok(std::net::IpAddr::V6(a)) => {
            !(a.is_loopback()
                || a.is_unspecified()
                || a.segments()[0] & 0xfe00 == 0xfc00
                || a.segments()[0] & 0xffc0 == 0xfe80)
        }
        Err(_) => false,
    }
}

fn service(ctx: &mut Ctx<'_>, o: Obj, s: &Service) {
    let path = s.metadata.path();
    let a = &s.metadata.annotations;
    let internal =
        a.get("service.beta.kubernetes.io/aws-load-balancer-internal").is_some_and(|v| v == "true" || v == "0.0.0.0/0")
            || a.get("service.beta.kubernetes.io/aws-load-balancer-scheme").is_some_and(|v| v == "internal")
            || a.get("service.beta.kubernetes.io/azure-load-balancer-internal").is_some_and(|v| v == "true")
            || a.get("networking.gke.io/load-balancer-type")
                .or(a.get("cloud.google.com/load-balancer-type"))
                .is_some_and(|v| v == "Internal");
    // The AWS controller makes internal load balancers unless told otherwise.
    let aws_default = s.spec.load_balancer_class == "service.k8s.aws/nlb"
        && a.get("service.beta.kubernetes.io/aws-load-balancer-scheme").is_none_or(|v| v != "internet-facing");
    if s.spec.kind == "LoadBalancer" && !internal && !aws_default {
        let status = &s.status.load_balancer.ingress;
        let proven = status.iter().any(|i| public(&i.ip));
        let limited = !s.spec.load_balancer_source_ranges.is_empty()
            && !s
                .spec
                .load_balancer_source_ranges
                .iter()
                .any(|r| r.ends_with("/0") || r.split('/').next().is_some_and(public));
        let private = !status.is_empty() && status.iter().all(|i| !i.ip.is_empty() && !public(&i.ip));
        if !limited && !private {
            let unknown = (!proven).then(|| format!("load-balancer-public:{path}"));
            for pod in backends(ctx, s) {
                let e = Emit::new("entry-loadbalancer", Fact::Reach(pod)).from(Fact::Internet).maybe(unknown.clone());
                let e = e.because(o, "/spec/type", "LoadBalancer", "the Service is published");
                let e = cite_address(e, o, status);
                let e = unless_isolated(ctx, e, pod);
                ctx.emit(e.because(
                    Obj { kind: Kind::Pod, index: pod },
                    "/metadata/labels",
                    labels(s),
                    "the pod is behind the Service",
                ));
            }
        }
    }
    let node_ports = s.spec.ports.iter().enumerate().find(|(_, p)| p.node_port > 0);
    if let Some((n, port)) = node_ports.filter(|_| matches!(s.spec.kind.as_str(), "NodePort" | "LoadBalancer")) {
        let external = ctx.cluster.objects.nodes.iter().enumerate().find_map(|(i, node)| {
            let a = node.status.addresses.iter().position(|a| a.kind == "ExternalIP" && public(&a.address))?;
            Some((Obj { kind: Kind::Node, index: i as u32 }, a, node.status.addresses.get(a)?.address.clone()))
        });
        if let Some((node, index, address)) = external {
            for pod in backends(ctx, s) {
                let e =
                    Emit::new("entry-nodeport", Fact::Reach(pod)).from(Fact::Internet).unless_known("node-ports-open");
                let e =
                    e.because(o, format!("/spec/ports/{n}/nodePort"), port.node_port.to_string(), "open on every node");
                let e = e.because(
                    node,
                    format!("/status/addresses/{index}"),
                    address.clone(),
                    "the node has a public address",
                );
                let e = unless_isolated(ctx, e, pod);
                ctx.emit(e.because(
                    Obj { kind: Kind::Pod, index: pod },
                    "/metadata/labels",
                    labels(s),
                    "the pod is behind the Service",
                ));
            }
        }
    }
}

/// What may keep connections from a published pod: a policy that isolates it, or policies that were not read.
fn unless_isolated<'a>(ctx: &Ctx<'a>, e: Emit<'a>, pod: u32) -> Emit<'a> {
    let Some(p) = ctx.cluster.objects.pods.get(pod as usize) else { return e };
    if let Some(policy) = isolating_policy(ctx.cluster, p, Direction::Ingress) {
        let name = ctx.meta(policy).map(crate::model::meta::Meta::path).unwrap_or_default();
        let e = e.unless_known(format!("netpol-allows:{name}"));
        let pods = selected(ctx.cluster, policy);
        return e.because(policy, "/spec/podSelector", pods, "limits who may connect to the pod");
    }
    let unread = !ctx.cluster.was_read(Kind::NetworkPolicy) && !p.spec.host_network;
    e.maybe(unread.then(|| "unread:NetworkPolicy".to_owned()))
}

/// The public address that was published, else the first one; nothing where none was.
fn cite_address<'a>(e: Emit<'a>, o: Obj, status: &'a [LoadBalancerAddress]) -> Emit<'a> {
    let public = status.iter().position(|a| public(&a.ip));
    let Some(a) = status.get(public.unwrap_or(0)) else { return e };
    let (field, value) = if a.ip.is_empty() { ("hostname", &a.hostname) } else { ("ip", &a.ip) };
    let pointer = format!("/status/loadBalancer/ingress/{}/{field}", public.unwrap_or(0));
    e.because(o, pointer, value.clone(), "its address")
}

fn labels(s: &Service) -> String {
    s.spec.selector.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

fn ingress(ctx: &mut Ctx<'_>, index: usize) {
    let Some(i) = ctx.cluster.objects.ingresses.get(index) else { return };
    let o = Obj { kind: Kind::Ingress, index: index as u32 };
    let path = i.metadata.path();
    let status = &i.status.load_balancer.ingress;
    let proven = status.iter().any(|a| public(&a.ip));
    let private = !status.is_empty() && status.iter().all(|a| !a.ip.is_empty() && !public(&a.ip));
    let internal = i.metadata.annotations.get("alb.ingress.kubernetes.io/scheme").is_some_and(|s| s == "internal");
    if private || internal {
        return;
    }
    // No address: only a controller that could not be looked for makes it unknown.
    let class_known = ctx.cluster.was_read(Kind::IngressClass) && ctx.cluster.was_read(Kind::Pod);
    let class = ctx.cluster.find(Kind::IngressClass, "", &i.spec.ingress_class_name);
    if status.is_empty() && class_known && class.is_none() {
        return;
    }
    let unknown = (!proven).then(|| format!("ingress-public:{path}"));
    let mut targets: Vec<(String, String)> = Vec::new();
    for (r, rule) in i.spec.rules.iter().enumerate() {
        for (p, http) in rule.http.paths.iter().enumerate() {
            if let Some(s) = &http.backend.service {
                targets.push((format!("/spec/rules/{r}/http/paths/{p}/backend/service/name"), s.name.clone()));
            }
        }
    }
    if let Some(s) = i.spec.default_backend.as_ref().and_then(|b| b.service.as_ref()) {
        targets.push(("/spec/defaultBackend/service/name".into(), s.name.clone()));
    }
    for (pointer, name) in targets {
        let Some(n) = ctx.cluster.find(Kind::Service, &i.metadata.namespace, &name) else { continue };
        let Some(s) = ctx.cluster.objects.services.get(n as usize) else { continue };
        for pod in backends(ctx, s) {
            let e = Emit::new("entry-ingress", Fact::Reach(pod)).from(Fact::Internet).maybe(unknown.clone());
            let e = e.because(o, pointer.clone(), name.clone(), "the Ingress routes requests to the Service");
            let e = cite_address(e, o, status);
            let e = unless_isolated(ctx, e, pod);
            ctx.emit(e.because(
                Obj { kind: Kind::Service, index: n },
                "/spec/selector",
                labels(s),
                "the Service selects the pod",
            ));
        }
    }
}

/// Anonymous callers are a user of their own; bindings beyond the defaults give it rights.
fn anonymous(ctx: &mut Ctx<'_>) {
    let binding = ctx
        .authz
        .user_grants("system:anonymous")
        .iter()
        .chain(ctx.authz.group_grants("system:unauthenticated"))
        .filter(|(id, _)| !super::grants::harmless(ctx, *id))
        .filter_map(|(id, n)| ctx.authz.grant(*id).map(|g| (g.object, *n, g.binding.role_ref.name.clone())))
        .next();
    let Some((object, n, role)) = binding else { return };
    let user = Fact::Identity(ctx.subject(Subject::User("system:anonymous".into())));
    let e = Emit::new("entry-anonymous-binding", user).from(Fact::ApiReach);
    ctx.emit(e.because(
        object,
        format!("/subjects/{n}"),
        role,
        "the binding gives rights to callers without a credential",
    ));
    let e = Emit::new("entry-apiserver-public", Fact::ApiReach).from(Fact::Internet).unless_known("api-server-public");
    ctx.emit(e.because(object, "/metadata/name", "", "the API server may be reachable from the internet"));
}
