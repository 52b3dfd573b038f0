//! Pods of ingress and gateway controllers, found by the address they are published on, their name or their image.

use std::collections::{BTreeMap, BTreeSet};

use super::backends::Which;
use super::{Exposure, Found, Search};
use crate::model::platform::{controller_image, controller_part, legacy_class_image};

/// Label of pods and Services that serve a Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Where controllers are, and how public: looked up once, for every route.
#[derive(Debug, Default)]
pub(super) struct Fronts {
    /// Services by the address that they are published on.
    by_address: BTreeMap<String, Vec<u32>>,
    /// Pods of each Gateway, by its namespace and name.
    of_gateway: BTreeMap<(String, String), Vec<u32>>,
    /// Pods by the image of a controller.
    of_image: BTreeMap<&'static str, Vec<u32>>,
    /// Classes by annotation whose controller runs.
    legacy: BTreeSet<String>,
    /// The best way to each Service and to each pod, by its place among those found.
    to_service: BTreeMap<u32, usize>,
    to_pod: BTreeMap<u32, usize>,
}

/// What stands before a route: the pods that forward requests.
#[derive(Debug, Default)]
pub(super) struct Front {
    /// Service of the controller.
    pub service: Option<u32>,
    /// Pods of the controller.
    pub pods: Vec<u32>,
    /// Found by an address or a label, not by its image alone.
    pub certain: bool,
}

impl Fronts {
    pub fn new(search: &Search<'_, '_>) -> Self {
        let mut by_address: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (s, i) in search.cluster.objects.services.iter().zip(0u32..) {
            let published = s.status.load_balancer.ingress.iter().flat_map(|a| [&a.ip, &a.hostname]);
            for a in published.chain(&s.spec.external_ips).chain([&s.spec.cluster_ip]).filter(|a| !a.is_empty()) {
                by_address.entry(a.clone()).or_default().push(i);
            }
        }
        let mut of_gateway: BTreeMap<(String, String), Vec<u32>> = BTreeMap::new();
        let mut of_image: BTreeMap<&'static str, Vec<u32>> = BTreeMap::new();
        for (p, i) in search.cluster.objects.pods.iter().zip(0u32..).filter(|(p, _)| !p.finished()) {
            if let Some(name) = p.metadata.labels.get(GATEWAY_NAME) {
                of_gateway.entry((p.metadata.namespace.clone(), name.clone())).or_default().push(i);
            }
            for image in p.spec.containers.iter().filter_map(|c| controller_part(&c.image)) {
                of_image.entry(image).or_default().push(i);
            }
        }
        let legacy =
            search.cluster.objects.ingresses.iter().filter_map(|i| i.metadata.annotations.get(super::ingress::CLASS));
        let legacy: BTreeSet<&String> = legacy.collect();
        let runs = |class: &str| {
            let pods = search.cluster.objects.pods.iter().filter(|p| !p.finished());
            legacy_class_image(class)
                .is_some_and(|part| pods.flat_map(|p| &p.spec.containers).any(|c| c.image.contains(part)))
        };
        let legacy = legacy.into_iter().filter(|c| runs(c)).cloned().collect();
        let (mut to_service, mut to_pod) = (BTreeMap::new(), BTreeMap::new());
        let better = |map: &mut BTreeMap<u32, usize>, key: u32, n: usize, e: &Exposure| {
            let now = map.get(&key).and_then(|m| search.out.get(*m)).map(|x| x.publicity);
            if now.is_none_or(|p| p < e.publicity) {
                map.insert(key, n);
            }
        };
        for (n, e) in search.out.iter().enumerate() {
            better(&mut to_pod, e.pod, n, e);
            if let Some(s) = e.service {
                better(&mut to_service, s, n, e);
            }
        }
        Fronts { by_address, of_gateway, of_image, legacy, to_service, to_pod }
    }
}

impl Search<'_, '_> {
    /// Whether what serves a class by annotation runs, though the class has no object.
    pub(super) fn serves_legacy(&self, class: &str) -> bool {
        self.fronts.legacy.contains(class)
    }

    /// The front of a route: by the addresses in its status, by the label of its Gateway, by the image of its controller.
    /// `None` where no pod of it is to be seen, as with the load balancers of clouds.
    pub(super) fn front(&self, addresses: &[&str], controller: &str, gateway: Option<(&str, &str)>) -> Option<Front> {
        // Several Services may share an address: the one that is most public counts.
        let found = addresses.iter().filter_map(|a| self.fronts.by_address.get(*a)).flatten().copied();
        let way = |s: &u32| self.fronts.to_service.get(s).and_then(|n| self.out.get(*n)).map(|e| e.publicity);
        let best = found.reduce(|a, b| if way(&b) > way(&a) { b } else { a });
        if let Some(service) = best {
            let pods = self.backends.of(self.network, service, Which::All).into_iter().map(|b| b.pod);
            return Some(Front { service: Some(service), pods: self.distinct(pods), certain: true });
        }
        let labelled = gateway.and_then(|(ns, name)| self.fronts.of_gateway.get(&(ns.to_owned(), name.to_owned())));
        let by_image = || self.fronts.of_image.get(controller_image(controller)?);
        let pods = labelled.or_else(by_image)?;
        Some(Front { service: None, pods: self.distinct(pods.iter().copied()), certain: labelled.is_some() })
    }

    /// One pod of each class: policies cannot tell the others. Of pods in the network of nodes, which may be one a node, a
    /// few stand for all.
    fn distinct(&self, pods: impl Iterator<Item = u32>) -> Vec<u32> {
        const HOSTS: usize = 4;
        let mut classes = BTreeSet::new();
        let mut hosts = 0;
        pods.filter(|p| match self.network.engine.classes().of.get(*p as usize).copied().flatten() {
            Some(class) => classes.insert(class),
            None => {
                hosts += 1;
                hosts <= HOSTS
            }
        })
        .collect()
    }

    /// How public a front is itself: the best way to one of its pods.
    pub(super) fn front_found(&self, front: &Front) -> Found {
        let best = match front.service {
            Some(s) => self.fronts.to_service.get(&s).and_then(|n| self.out.get(*n)),
            None => {
                let all = front.pods.iter().filter_map(|p| self.out.get(*self.fronts.to_pod.get(p)?));
                all.reduce(|a, b| if b.publicity > a.publicity { b } else { a })
            }
        };
        match best {
            Some(e) => Found {
                publicity: e.publicity,
                unknowns: e.unknowns.clone(),
                reason: e.reason.clone(),
                hops: e.hops.clone(),
            },
            None => Found::internal("its controller is not published"),
        }
    }
}
