//! Ingresses: class, controller, hosts and paths.

use super::super::address::is_public;
use super::backends::Which;
use super::service::{annotation, cite};
use super::{Entry, Found, Origin, Publicity, Search, Way};
use crate::model::kind::{Kind, Obj};
use crate::model::network::{Ingress, ServiceBackend};
use crate::model::platform::controller_image;

/// Annotation from before classes had objects.
pub(super) const CLASS: &str = "kubernetes.io/ingress.class";
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
        let front = self.front(&addresses, controller, None);
        if let Some(front) = front {
            let mut own = self.front_found(&front);
            // Nothing says which of several controllers of a kind serves it.
            let alike = self.cluster.objects.ingress_classes.iter().filter(|c| c.spec.controller == controller).count();
            if status.is_empty() && front.service.is_none() && alike > 1 {
                own = own.possible(id.clone(), "several classes have its controller, and none says that it serves it");
            }
            let origin = Origin::Pods(front.pods);
            return match own.publicity {
                // The status tells of an address that no Service of the cluster has: a balancer before the controller.
                Publicity::Internal if front.service.is_none() && public => (found, origin),
                Publicity::Internal if front.service.is_none() && !private && !status.is_empty() => {
                    (found.possible(id, "its address is a name"), origin)
                }
                _ => (Found { hops: own.hops.iter().cloned().chain(found.hops).collect(), ..own }, origin),
            };
        }
        // AWS application load balancers have names; other names tell nothing.
        let alb = controller == "ingress.k8s.aws/alb";
        if alb && !status.is_empty() {
            return match scheme {
                Some("internet-facing") => (found, outside),
                _ => (
                    Found {
                        hops: found.hops,
                        ..Found::internal("the controller makes internal load balancers unless told otherwise")
                    },
                    outside,
                ),
            };
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
        // No address: only a controller that could not be looked for makes it unknown.
        let read = self.cluster.was_read(Kind::IngressClass) && self.cluster.was_read(Kind::Pod);
        if read && class.is_none() && legacy.is_some_and(|c| self.serves_legacy(c)) {
            return (found.possible(id, "it has no address yet"), outside);
        }
        if read && class.is_none() {
            return (Found { hops: found.hops, ..Found::internal("no controller serves it") }, outside);
        }
        if read && controller_image(controller).is_some() {
            return (Found { hops: found.hops, ..Found::internal("its controller does not run") }, outside);
        }
        (found.possible(id, "it has no address yet"), outside)
    }
}
