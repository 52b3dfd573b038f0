//! Ingresses: class, controller, hosts and paths.

use super::super::address::is_public;
use super::backends::Which;
use super::service::{annotation, any_public, cite};
use super::{Entry, Found, Origin, Publicity, Search, Way};
use crate::model::kind::{Kind, Obj};
use crate::model::network::{Ingress, ServiceBackend};

/// Annotation from before classes had objects.
pub(super) const CLASS: &str = "kubernetes.io/ingress.class";
/// Client ranges of an AWS application load balancer.
const ALB_CIDRS: &str = "alb.ingress.kubernetes.io/inbound-cidrs";
/// Scheme of an AWS application load balancer; it is internal unless told otherwise.
const ALB_SCHEME: &str = "alb.ingress.kubernetes.io/scheme";

impl Search<'_, '_> {
    pub(super) fn ingresses(&mut self) {
        let cluster = self.cluster;
        for (i, index) in cluster.objects.ingresses.iter().zip(0u32..) {
            self.ingress(Obj { kind: Kind::Ingress, index }, i);
        }
    }

    fn ingress(&mut self, o: Obj, i: &Ingress) {
        let (found, origin) = self.adopted(o, i);
        let mut routes: Vec<(String, String, &ServiceBackend)> = Vec::new();
        for (r, rule) in i.spec.rules.iter().enumerate() {
            for (p, http) in rule.http.paths.iter().enumerate() {
                if let Some(s) = &http.backend.service {
                    let host = if rule.host.is_empty() { "*" } else { &rule.host };
                    let pointer = format!("/spec/rules/{r}/http/paths/{p}/backend/service/name");
                    routes.push((pointer, format!("{host}{}", if http.path.is_empty() { "/" } else { &http.path }), s));
                }
            }
        }
        if let Some(s) = i.spec.default_backend.as_ref().and_then(|b| b.service.as_ref()) {
            routes.push(("/spec/defaultBackend/service/name".into(), "*/".into(), s));
        }
        for (pointer, at, backend) in routes {
            let Some(service) = self.cluster.find(Kind::Service, &i.metadata.namespace, &backend.name) else {
                continue;
            };
            let which = match (backend.port.number, backend.port.name.as_str()) {
                (0, "") => Which::All,
                (0, name) => Which::Name(name),
                (number, _) => Which::Number(number),
            };
            let found =
                found.clone().hop(o, pointer, backend.name.clone(), "the Ingress routes requests to the Service");
            for b in self.backends.of(self.network, service, which) {
                self.keep(
                    Entry { way: Way::Ingress, object: o, service: Some(service), at: at.clone() },
                    &b,
                    found.clone(),
                    &origin,
                );
            }
        }
    }

    /// Whether a controller serves an Ingress and how public that is, and where requests come from.
    fn adopted(&self, o: Obj, i: &Ingress) -> (Found, Origin) {
        let status = &i.status.load_balancer.ingress;
        let id = format!("ingress-public:{}", i.metadata.path());
        let outside = Origin::ClientOrNode;
        let legacy = i.metadata.annotations.get(CLASS).map(String::as_str);
        let name = if i.spec.ingress_class_name.is_empty() { legacy.unwrap_or("") } else { &i.spec.ingress_class_name };
        let class = self.cluster.find(Kind::IngressClass, "", name);
        let class = class.and_then(|c| self.cluster.objects.ingress_classes.get(c as usize).map(|x| (c, x)));
        let controller = class.map_or("", |(_, c)| c.spec.controller.as_str());
        let mut found = cite(Found::public(), o, status);
        if let Some((index, c)) = class {
            let object = Obj { kind: Kind::IngressClass, index };
            found = found.hop(
                object,
                "/spec/controller",
                c.spec.controller.clone(),
                "the controller that serves the class",
            );
        }
        let scheme = i.metadata.annotations.get(ALB_SCHEME).map(String::as_str);
        if let Some(s) = scheme.filter(|s| *s == "internal") {
            let found = found.hop(o, annotation(ALB_SCHEME), s, "makes the load balancer internal");
            return (
                Found { hops: found.hops, ..Found::internal("an annotation makes the load balancer internal") },
                outside,
            );
        }
        let addresses: Vec<&str> =
            status.iter().map(|a| if a.ip.is_empty() { a.hostname.as_str() } else { a.ip.as_str() }).collect();
        let public = status.iter().any(|a| a.ip.parse().is_ok_and(is_public));
        let private = !status.is_empty() && status.iter().all(|a| !a.ip.is_empty()) && !public;
        // Ranges of clients, which the load balancers of AWS heed.
        let cidrs = i
            .metadata
            .annotations
            .get(ALB_CIDRS)
            .map(|t| t.split(',').map(|r| r.trim().to_owned()).collect::<Vec<_>>());
        if let Some(c) = cidrs.filter(|c| !any_public(c)) {
            let found = found.hop(o, annotation(ALB_CIDRS), c.join(","), "lets only private addresses in");
            return (Found { hops: found.hops, ..Found::internal("it lets only private addresses in") }, outside);
        }
        let front = self.front(&addresses, controller, None);
        let certain = front.as_ref().is_some_and(|f| f.certain);
        if let Some(front) = front.filter(|f| f.certain || status.is_empty()) {
            let own = self.front_found(&front);
            let origin = Origin::Pods(front.pods);
            let own = Found { hops: own.hops.iter().cloned().chain(found.hops).collect(), ..own };
            // A controller writes the address that it serves an Ingress on: without one, it may be another's.
            return match own.publicity {
                Publicity::Public if !certain => (own.possible(id, "no controller says that it serves it"), origin),
                _ => (own, origin),
            };
        }
        // AWS gives load balancers names, internal ones with a mark; its controller makes internal ones unless told otherwise.
        let alb = controller == "ingress.k8s.aws/alb";
        let internal = status.iter().any(|a| a.hostname.starts_with("internal-"));
        match scheme {
            Some("internet-facing") if alb && !status.is_empty() => return (found, outside),
            None if alb && (status.is_empty() || internal) => {
                let why = "the controller makes internal load balancers unless told otherwise";
                return (Found { hops: found.hops, ..Found::internal(why) }, outside);
            }
            _ => {}
        }
        if public {
            return (found, outside);
        }
        if private {
            return (Found { hops: found.hops, ..Found::internal("its address is private") }, outside);
        }
        if !status.is_empty() {
            return (found.possible(id, "its address is a name"), outside);
        }
        // GKE serves Ingresses of its own class and those without any.
        let gke = self.cluster.objects.nodes.iter().any(|n| n.spec.provider_id.starts_with("gce"));
        if gke && matches!(name, "" | "gce") {
            return (found.possible(id, "it has no address yet"), outside);
        }
        // No address: only a controller that could not be looked for makes it unknown.
        let read = self.cluster.was_read(Kind::IngressClass) && self.cluster.was_read(Kind::Pod);
        if read && class.is_none() && legacy.is_some_and(|c| self.serves_legacy(c)) {
            return (found.possible(id, "it has no address yet"), outside);
        }
        if read && class.is_none() {
            return (Found { hops: found.hops, ..Found::internal("no controller serves it") }, outside);
        }
        (found.possible(id, "it has no address yet"), outside)
    }
}
