//! The network engine with its classes, interned peers and port sets against an evaluator that looks at one pod, one
//! other end and one port at a time, on random clusters with every feature on.

use std::net::IpAddr;

use kpath::model::pod::Pod;
use kpath::model::policy::{AdminPeer, AdminRule, NetworkPolicyPeer};
use kpath::model::rbac::LabelSelector;
use kpath::model::{Cluster, Kind};
use kpath::netpol::address::is_public;
use kpath::netpol::ports::Protocol;
use kpath::netpol::{End, Engine, Settings};
use serde_json::{Value, json};

use crate::support::snapshot_of;
use kpath::snapshot::ClusterOptions;

/// Whether something holds; `None` where it is not known.
type Known = Option<bool>;

/// What may happen: allowed, denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Outcomes {
    allow: bool,
    deny: bool,
}

impl Outcomes {
    fn or(self, o: Outcomes) -> Outcomes {
        Outcomes { allow: self.allow || o.allow, deny: self.deny || o.deny }
    }
}

const ALLOW: Outcomes = Outcomes { allow: true, deny: false };
const DENY: Outcomes = Outcomes { allow: false, deny: true };
const BOTH: Outcomes = Outcomes { allow: true, deny: true };

#[derive(Clone, Copy)]
struct Question<'c> {
    cluster: &'c Cluster,
    ingress: bool,
    subject: &'c Pod,
    other: Other<'c>,
    protocol: Protocol,
    port: u16,
    read: bool,
}

#[derive(Clone, Copy)]
enum Other<'c> {
    Pod(&'c Pod),
    Address(IpAddr),
    Internet,
}

fn namespace_matches(q: &Question<'_>, s: &LabelSelector, name: &str) -> Known {
    let found = q.cluster.objects.namespaces.iter().find(|n| n.metadata.name == name);
    let mut labels = found.map(|n| n.metadata.labels.clone()).unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name".into(), name.into());
    let other = |k: &String| k != "kubernetes.io/metadata.name";
    let asks = s.match_labels.keys().any(other) || s.match_expressions.iter().any(|r| other(&r.key));
    if asks && !q.read { None } else { Some(s.matches(&labels)) }
}

fn in_cidr(cidr: &str, a: IpAddr) -> bool {
    let (net, bits) = cidr.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match (net.parse::<IpAddr>().unwrap(), a) {
        (IpAddr::V4(n), IpAddr::V4(a)) => (u32::from(n) ^ u32::from(a)).checked_shr(32 - bits).unwrap_or(0) == 0,
        (IpAddr::V6(n), IpAddr::V6(a)) => (u128::from(n) ^ u128::from(a)).checked_shr(128 - bits).unwrap_or(0) == 0,
        _ => false,
    }
}

fn block(q: &Question<'_>, cidr: &str, except: &[String], all: bool) -> Known {
    let inside = |a: IpAddr| in_cidr(cidr, a) && !except.iter().any(|e| in_cidr(e, a));
    match q.other {
        Other::Internet => {
            // Every block of the generator either has one of these or no public address.
            let some = ["8.8.8.8", "9.9.9.9", "2600::1"].map(|a| a.parse::<IpAddr>().unwrap());
            assert!(some.iter().all(|a| is_public(*a)));
            Some(some.iter().any(|a| inside(*a)))
        }
        Other::Address(a) => Some(inside(a)),
        Other::Pod(p) => {
            let mut addresses: Vec<IpAddr> = p.addresses().collect();
            if p.spec.host_network {
                let node = q.cluster.objects.nodes.iter().find(|n| n.metadata.name == p.spec.node_name);
                addresses.extend(
                    node.into_iter().flat_map(|n| &n.status.addresses).map(|a| a.address.parse::<IpAddr>().unwrap()),
                );
            }
            if addresses.is_empty() && !(except.is_empty() && cidr == "0.0.0.0/0") {
                return None;
            }
            // One that denies is about a pod only if it is about every address that the pod can be reached at.
            let hits = addresses.iter().filter(|a| inside(**a)).count();
            if all && hits > 0 && hits < addresses.len() && !p.spec.host_network {
                return None;
            }
            Some(addresses.is_empty() || hits > 0)
        }
    }
}

fn pods(q: &Question<'_>, namespace: Known, s: &LabelSelector) -> Known {
    match q.other {
        Other::Pod(p) if !p.spec.host_network => {
            if !s.matches(&p.metadata.labels) {
                Some(false)
            } else {
                namespace
            }
        }
        Other::Pod(_) if q.ingress => None,
        Other::Pod(p) => {
            if s.matches(&p.metadata.labels) && namespace != Some(false) {
                None
            } else {
                Some(false)
            }
        }
        _ => Some(false),
    }
}

fn any(all: impl Iterator<Item = Known>) -> Known {
    let all: Vec<Known> = all.collect();
    if all.contains(&Some(true)) {
        Some(true)
    } else if all.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn peer(q: &Question<'_>, own: &str, p: &NetworkPolicyPeer) -> Known {
    if let Some(b) = &p.ip_block {
        return block(q, &b.cidr, &b.except, false);
    }
    let empty = LabelSelector::default();
    let Other::Pod(other) = q.other else { return Some(false) };
    let ns = &other.metadata.namespace;
    match (&p.namespace_selector, &p.pod_selector) {
        (None, None) => Some(false),
        (Some(n), s) => pods(q, namespace_matches(q, n, ns), s.as_ref().unwrap_or(&empty)),
        (None, Some(s)) => pods(q, Some(ns == own), s),
    }
}

fn destination<'c>(q: &Question<'c>) -> Option<&'c Pod> {
    match (q.ingress, q.other) {
        (true, _) => Some(q.subject),
        (false, Other::Pod(p)) => Some(p),
        _ => None,
    }
}

/// Whether the destination declares the asked port under a name.
fn named(q: &Question<'_>, name: &str) -> bool {
    destination(q).is_some_and(|p| {
        let sidecars = p.spec.init_containers.iter().filter(|c| c.restart_policy == "Always");
        p.spec.containers.iter().chain(sidecars).flat_map(|c| &c.ports).any(|x| {
            x.name == name && x.container_port == i32::from(q.port) && Protocol::parse(&x.protocol) == Some(q.protocol)
        })
    })
}

fn standard(q: &Question<'_>) -> Option<Outcomes> {
    let (mut isolated, mut sure, mut maybe) = (false, false, false);
    for p in &q.cluster.objects.network_policies {
        let egress = p.spec.egress.clone().unwrap_or_default();
        let types = p.spec.policy_types.clone().filter(|t| !t.is_empty()).unwrap_or_else(|| {
            if egress.is_empty() { vec!["Ingress".into()] } else { vec!["Ingress".into(), "Egress".into()] }
        });
        let listed = types.iter().any(|t| t == if q.ingress { "Ingress" } else { "Egress" });
        let here = p.metadata.namespace == q.subject.metadata.namespace;
        if !listed || !here || !p.spec.pod_selector.matches(&q.subject.metadata.labels) {
            continue;
        }
        isolated = true;
        let rules = if q.ingress { p.spec.ingress.clone().unwrap_or_default() } else { egress };
        for r in rules {
            let port = r.ports.is_empty()
                || r.ports.iter().any(|x| {
                    use kpath::model::network::IntOrString::{Int, Str};
                    Protocol::parse(&x.protocol) == Some(q.protocol)
                        && match &x.port {
                            None => true,
                            Some(Int(n)) => (*n..=x.end_port.unwrap_or(*n)).contains(&i32::from(q.port)),
                            Some(Str(s)) => named(q, s),
                        }
                });
            let peers = if q.ingress { &r.from } else { &r.to };
            let hit = if peers.is_empty() {
                Some(true)
            } else {
                any(peers.iter().map(|x| peer(q, &p.metadata.namespace, x)))
            };
            if port {
                sure |= hit == Some(true);
                maybe |= hit.is_none();
            }
        }
    }
    if !isolated {
        return None;
    }
    let remote = q.ingress && matches!(q.other, Other::Pod(p) if p.spec.host_network);
    Some(if sure {
        ALLOW
    } else if maybe || remote {
        BOTH
    } else {
        DENY
    })
}

fn admin_peer(q: &Question<'_>, p: &AdminPeer) -> Known {
    let ns = match q.other {
        Other::Pod(p) => p.metadata.namespace.as_str(),
        _ => "",
    };
    if let Some(n) = &p.namespaces {
        return pods(q, namespace_matches(q, n, ns), &LabelSelector::default());
    }
    if let Some(x) = &p.pods {
        return pods(q, namespace_matches(q, &x.namespace_selector, ns), &x.pod_selector);
    }
    if let Some(s) = &p.nodes {
        let Other::Pod(p) = q.other else { return Some(false) };
        if !p.spec.host_network {
            return Some(false);
        }
        let node = q.cluster.objects.nodes.iter().find(|n| n.metadata.name == p.spec.node_name);
        return node.map(|n| s.matches(&n.metadata.labels));
    }
    if let Some(all) = &p.networks {
        return any(all.iter().map(|c| block(q, c, &[], true)));
    }
    match q.other {
        Other::Pod(_) => Some(false),
        _ => None,
    }
}

fn rule_hits(q: &Question<'_>, r: &AdminRule) -> Known {
    let number = |protocol: &str, a: i32, b: i32| {
        Protocol::parse(protocol) == Some(q.protocol) && (a..=b).contains(&i32::from(q.port))
    };
    let old = r.ports.iter().any(|p| {
        p.port_number.as_ref().is_some_and(|n| number(&n.protocol, n.port, n.port))
            || p.port_range.as_ref().is_some_and(|n| number(&n.protocol, n.start, n.end))
            || p.named_port.as_ref().is_some_and(|n| named(q, n))
    });
    let new = r.protocols.iter().any(|p| {
        [("TCP", &p.tcp), ("UDP", &p.udp), ("SCTP", &p.sctp)].iter().any(|(name, d)| {
            d.as_ref().is_some_and(|d| match &d.destination_port {
                None => Protocol::parse(name) == Some(q.protocol),
                Some(n) => {
                    n.number.is_some_and(|n| number(name, n, n))
                        || n.range.as_ref().is_some_and(|r| number(name, r.start, r.end))
                }
            })
        }) || p.destination_named_port.as_ref().is_some_and(|n| named(q, n))
    });
    if !(old || new || r.ports.is_empty() && r.protocols.is_empty()) {
        return Some(false);
    }
    any(if q.ingress { &r.from } else { &r.to }.iter().map(|p| admin_peer(q, p)))
}

/// What a tier may do; `next` is what happens to traffic that it leaves alone.
fn tier(q: &Question<'_>, baseline: bool, next: Outcomes) -> Outcomes {
    let o = &q.cluster.objects;
    let mut all: Vec<(i32, &kpath::model::policy::AdminPolicySpec)> = Vec::new();
    if baseline {
        all.extend(o.baseline_admin_network_policies.iter().map(|p| (p.spec.priority, &p.spec)));
    } else {
        all.extend(o.admin_network_policies.iter().map(|p| (p.spec.priority, &p.spec)));
    }
    let cnps = o.cluster_network_policies.iter().filter(|p| (p.spec.tier == "Baseline") == baseline);
    all.extend(cnps.map(|p| (p.spec.priority, &p.spec)));
    all.sort_by_key(|(p, _)| *p);
    fn walk(q: &Question<'_>, groups: &[Vec<&kpath::model::policy::AdminPolicySpec>], next: Outcomes) -> Outcomes {
        let Some((group, rest)) = groups.split_first() else { return next };
        // Any of the group may be asked first.
        let mut out = Outcomes::default();
        let mut through = true;
        for p in group {
            let subject = {
                let own = Question { other: Other::Pod(q.subject), ingress: false, ..*q };
                admin_peer(&own, &p.subject)
            };
            let mut falls = true;
            if subject != Some(false) {
                for r in if q.ingress { &p.ingress } else { &p.egress } {
                    let hit = rule_hits(q, r);
                    if hit == Some(false) {
                        continue;
                    }
                    out = out.or(match r.action.as_str() {
                        "Allow" | "Accept" => ALLOW,
                        "Deny" => DENY,
                        _ => next,
                    });
                    if hit == Some(true) && subject == Some(true) {
                        falls = false;
                        break;
                    }
                }
            }
            through &= falls;
        }
        if through { out.or(walk(q, rest, next)) } else { out }
    }
    let groups: Vec<Vec<&kpath::model::policy::AdminPolicySpec>> =
        all.chunk_by(|a, b| a.0 == b.0).map(|g| g.iter().map(|(_, s)| *s).collect()).collect();
    walk(q, &groups, next)
}

fn side(q: &Question<'_>) -> Outcomes {
    // Some address of the internet: any that is let through is enough.
    if matches!(q.other, Other::Internet) {
        let all = ["8.8.8.8", "9.9.9.9", "2600::1"].map(|a| {
            let other = Other::Address(a.parse().unwrap());
            side(&Question { other, ..*q })
        });
        return match (all.contains(&ALLOW), all.iter().any(|o| o.allow)) {
            (true, _) => ALLOW,
            (false, true) => BOTH,
            _ => DENY,
        };
    }
    if q.subject.finished() {
        return DENY;
    }
    if let Other::Pod(p) = q.other {
        if p.finished() {
            return DENY;
        }
        let same = |a: &Pod, b: &Pod| a.metadata.path() == b.metadata.path();
        let own_node = q.ingress && p.spec.host_network && p.spec.node_name == q.subject.spec.node_name;
        if same(p, q.subject) || own_node {
            return ALLOW;
        }
    }
    if q.subject.spec.host_network {
        return ALLOW;
    }
    let after = standard(q).unwrap_or_else(|| tier(q, true, ALLOW));
    tier(q, false, after)
}

fn pick<'a, T>(r: &mut fastrand::Rng, list: &'a [T]) -> &'a T {
    &list[r.usize(0..list.len())]
}

fn selector(r: &mut fastrand::Rng, keys: &[&str]) -> Value {
    let values = ["v", "w"];
    let key = *pick(r, keys);
    match r.usize(0..6) {
        0 => json!({}),
        1 | 2 => json!({"matchLabels": {key: pick(r, &values)}}),
        3 => json!({"matchExpressions": [{"key": key, "operator": "NotIn", "values": [pick(r, &values)]}]}),
        4 => json!({"matchExpressions": [{"key": key, "operator": pick(r, &["Exists", "DoesNotExist"])}]}),
        _ => json!({"matchExpressions": [{"key": key, "operator": "In", "values": values}]}),
    }
}

const CIDRS: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/29",
    "10.0.0.0/30",
    "10.0.0.2/32",
    "8.0.0.0/8",
    "192.168.0.0/24",
    "192.168.0.2/32",
    "fd00::/64",
    "::/0",
];

fn random_cluster(r: &mut fastrand::Rng) -> (Vec<Value>, bool) {
    let mut all = Vec::new();
    let namespaces = ["na", "nb", "nc"];
    let values = ["v", "w"];
    let read = r.usize(0..5) > 0;
    for n in namespaces {
        let labels = if r.bool() { json!({"t": pick(r, &values)}) } else { json!({}) };
        all.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": labels}}));
    }
    for n in 1..3 {
        all.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node{n}"), "labels": {"t": pick(r, &values)}},
            "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.0.{n}")}]}}));
    }
    for n in 1..9 {
        let mut labels = serde_json::Map::new();
        for k in ["k", "l", "unused"] {
            if r.bool() {
                labels.insert(k.into(), (*pick(r, &values)).into());
            }
        }
        let host = r.usize(0..6) == 0;
        let ports: Vec<Value> = (0..r.usize(0..3))
            .map(|_| json!({"name": pick(r, &["http", "dns"]), "containerPort": pick(r, &[80, 53, 8080]), "protocol": pick(r, &["TCP", "UDP"])}))
            .collect();
        let node = format!("node{}", r.usize(1..4));
        let mut status = json!({"phase": if r.usize(0..9) == 0 { "Succeeded" } else { "Running" }});
        if host {
            status["podIP"] = format!("192.168.0.{}", &node[4..]).into();
        } else if r.usize(0..7) > 0 {
            status["podIP"] = format!("10.0.0.{n}").into();
            if r.usize(0..3) == 0 {
                status["podIPs"] = json!([{"ip": format!("10.0.0.{n}")}, {"ip": format!("fd00::{n}")}]);
            }
        }
        let sidecar = json!({"name": "s", "restartPolicy": "Always", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]});
        all.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{n}"), "namespace": pick(r, &namespaces), "labels": labels},
            "spec": {"nodeName": node, "hostNetwork": host, "containers": [{"name": "c", "ports": ports}],
                "initContainers": if r.usize(0..4) == 0 { vec![sidecar] } else { vec![] }},
            "status": status}));
    }
    for n in 0..r.usize(0..5) {
        let rules = |r: &mut fastrand::Rng, side: &str| -> Vec<Value> {
            (0..r.usize(0..3))
                .map(|_| {
                    let peers: Vec<Value> = (0..r.usize(0..3))
                        .map(|_| match r.usize(0..6) {
                            0 => json!({"podSelector": selector(r, &["k", "l"])}),
                            1 => json!({"namespaceSelector": selector(r, &["t", "kubernetes.io/metadata.name"])}),
                            2 => json!({"namespaceSelector": selector(r, &["t"]), "podSelector": selector(r, &["k", "l"])}),
                            3 => json!({"ipBlock": {"cidr": pick(r, &CIDRS[..7]), "except": if r.bool() { vec!["10.0.0.4/30", "10.0.0.2/32"] } else { vec![] }}}),
                            4 => json!({"ipBlock": {"cidr": pick(r, &CIDRS)}}),
                            _ => json!({}),
                        })
                        .collect();
                    let ports: Vec<Value> = (0..r.usize(0..3))
                        .map(|_| match r.usize(0..4) {
                            0 => json!({"protocol": pick(r, &["TCP", "UDP", "SCTP"])}),
                            1 => json!({"port": pick(r, &["http", "dns"]), "protocol": pick(r, &["TCP", "UDP"])}),
                            2 => json!({"port": 50, "endPort": 60, "protocol": "UDP"}),
                            _ => json!({"port": pick(r, &[80, 53, 8080])}),
                        })
                        .collect();
                    json!({side: peers, "ports": ports})
                })
                .collect()
        };
        let mut spec = json!({"podSelector": selector(r, &["k", "l"])});
        if r.bool() {
            spec["ingress"] = rules(r, "from").into();
        }
        if r.bool() {
            spec["egress"] = rules(r, "to").into();
        }
        if r.bool() {
            spec["policyTypes"] =
                pick(r, &[json!(["Ingress"]), json!(["Egress"]), json!(["Ingress", "Egress"]), json!([])]).clone();
        }
        all.push(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("np{n}"), "namespace": pick(r, &namespaces)}, "spec": spec}));
    }
    for n in 0..r.usize(0..4) {
        let new = r.bool();
        let peer = |r: &mut fastrand::Rng, egress: bool| match r.usize(0..if egress { 6 } else { 3 }) {
            0 => json!({"namespaces": selector(r, &["t", "kubernetes.io/metadata.name"])}),
            1 | 2 => {
                json!({"pods": {"namespaceSelector": selector(r, &["t"]), "podSelector": selector(r, &["k", "l"])}})
            }
            3 => json!({"nodes": selector(r, &["t"])}),
            4 => json!({"networks": [pick(r, &CIDRS), pick(r, &CIDRS)]}),
            _ => json!({"domainNames": ["example.com"]}),
        };
        let rules = |r: &mut fastrand::Rng, side: &str| -> Vec<Value> {
            (0..r.usize(0..4))
                .map(|_| {
                    let action = *pick(r, &[if new { "Accept" } else { "Allow" }, "Deny", "Pass"]);
                    let peers: Vec<Value> = (0..r.usize(1..3)).map(|_| peer(r, side == "to")).collect();
                    let mut rule = json!({"action": action, side: peers});
                    if r.bool() {
                        rule[if new { "protocols" } else { "ports" }] = match (new, r.usize(0..3)) {
                            (false, 0) => json!([{"portNumber": {"port": 80}}]),
                            (false, 1) => json!([{"portRange": {"protocol": "UDP", "start": 50, "end": 60}}]),
                            (false, _) => json!([{"namedPort": "dns"}]),
                            (true, 0) => json!([{"tcp": {"destinationPort": {"number": 80}}}, {"sctp": {}}]),
                            (true, 1) => json!([{"udp": {"destinationPort": {"range": {"start": 50, "end": 60}}}}]),
                            (true, _) => json!([{"destinationNamedPort": "http"}]),
                        };
                    }
                    rule
                })
                .collect()
        };
        let subject = peer(r, false);
        let mut spec = json!({"priority": r.usize(0..3), "subject": subject});
        if new {
            spec["tier"] = (*pick(r, &["Admin", "Baseline"])).into();
        }
        spec["ingress"] = rules(r, "from").into();
        spec["egress"] = rules(r, "to").into();
        let (version, kind, name) = match (new, r.usize(0..3)) {
            (true, _) => ("v1alpha2", "ClusterNetworkPolicy", format!("x{n}")),
            (false, 0) => ("v1alpha1", "BaselineAdminNetworkPolicy", "default".to_owned()),
            (false, _) => ("v1alpha1", "AdminNetworkPolicy", format!("x{n}")),
        };
        all.push(json!({"apiVersion": format!("policy.networking.k8s.io/{version}"), "kind": kind, "metadata": {"name": name}, "spec": spec}));
    }
    (all, read)
}

#[test]
fn classes_agree_with_a_look_at_every_pod() {
    let mut r = fastrand::Rng::with_seed(20_261_128);
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    for round in 0..2_500 {
        let (objects, read) = random_cluster(&mut r);
        let text = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let mut cluster =
            snapshot_of(&[("all.json".into(), text)]).into_cluster(&ClusterOptions { complete: true, version: None });
        if !read {
            cluster.complete = false;
            cluster.read.remove(&Kind::Namespace);
        }
        let engine = Engine::new(&cluster, Settings::default());
        let pods = &cluster.objects.pods;
        assert_eq!(pods.len(), 8, "round {round}: a pod was lost");
        let outside: [End; 3] =
            [End::Internet, End::Address("8.8.8.8".parse().unwrap()), End::Address("10.9.0.1".parse().unwrap())];
        let mut ends: Vec<End> = (0..8).map(End::Pod).collect();
        ends.extend(outside);
        let ports: Vec<(Protocol, u16)> = (0..2)
            .map(|_| {
                (*pick(&mut r, &[Protocol::Tcp, Protocol::Udp, Protocol::Sctp]), *pick(&mut r, &[80, 53, 55, 8080]))
            })
            .collect();
        for (from, to) in ends.iter().flat_map(|a| ends.iter().map(move |b| (*a, *b))) {
            let flow = engine.flow(from, to);
            for (protocol, port) in &ports {
                for (ingress, subject, other, side_of) in
                    [(true, to, from, &flow.ingress), (false, from, to, &flow.egress)]
                {
                    let End::Pod(subject) = subject else { continue };
                    let other = match other {
                        End::Pod(p) => Other::Pod(&pods[p as usize]),
                        End::Address(a) => Other::Address(a),
                        _ => Other::Internet,
                    };
                    let subject = &pods[subject as usize];
                    let q =
                        Question { cluster: &cluster, ingress, subject, other, protocol: *protocol, port: *port, read };
                    let naive = side(&q);
                    let (must, may) = (side_of.must.contains(*protocol, *port), side_of.may.contains(*protocol, *port));
                    let (word, want) = match naive {
                        ALLOW => ("allowed", (true, true)),
                        DENY => ("denied", (false, false)),
                        _ => ("unknown", (false, true)),
                    };
                    assert_eq!(
                        (must, may),
                        want,
                        "round {round}: {from:?} to {to:?} {protocol:?} {port}, ingress {ingress}: {word} by the naive one\n{}",
                        objects.iter().map(|o| format!("{o}\n")).collect::<String>()
                    );
                    *seen.entry(word).or_default() += 1;
                }
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.len() == 3 && seen.values().all(|n| *n > 10_000), "too little was seen: {seen:?}");
}

/// What the graph says about connections between pods is what the engine says about each pair.
#[test]
fn the_graph_connects_what_the_engine_connects() {
    use kpath::netpol::network::{Allowed, Network};
    use kpath::netpol::ports::Ports;
    use kpath::rules::fact::Fact;
    use kpath::search::closure::closure;
    use kpath::search::{Lane, Settings};
    let mut r = fastrand::Rng::with_seed(41);
    let mut seen = std::collections::BTreeMap::<Allowed, usize>::new();
    for round in 0..600 {
        let (mut objects, read) = random_cluster(&mut r);
        let enforced = r.bool();
        let image = if enforced { "calico/node" } else { "other" };
        objects.push(json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "cni", "namespace": "na"},
            "spec": {"selector": {}, "template": {"spec": {"hostNetwork": true, "containers": [{"name": "c", "image": image}]}}}}));
        let text = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        let mut cluster =
            snapshot_of(&[("all.json".into(), text)]).into_cluster(&ClusterOptions { complete: true, version: None });
        if !read {
            cluster.complete = false;
            cluster.read.remove(&Kind::Namespace);
            cluster.read.insert(Kind::NetworkPolicy);
        }
        let network = Network::new(&cluster);
        let assumed = [kpath::rules::lateral::LATERAL.to_owned()].into();
        let attack = kpath::rules::build_for(&cluster, &assumed);
        // Connections alone: no assumption is on, and what code in a pod wins otherwise is left out.
        let net = |f: Option<Fact>| {
            f.is_some_and(|f| {
                use Fact::*;
                matches!(
                    f,
                    NetClass(_)
                        | NetOpen
                        | NetHost
                        | NetNode(_)
                        | NetFrom(_)
                        | NetTo(_)
                        | NetInto(_)
                        | NetUnenforced
                        | Connect(_)
                )
            })
        };
        let masks = [Lane::Must, Lane::May].map(|lane| {
            let mut mask = Settings::default().mask(&attack.graph, lane);
            for (m, x) in mask.iter_mut().zip(&attack.graph.instances) {
                *m &= net(attack.fact(x.conclusion));
            }
            mask
        });
        for (a, i) in cluster.objects.pods.iter().zip(0u32..) {
            let Some(c) = a.running_containers().next() else { continue };
            let start = attack.id(Fact::Exec(i, c.ordinal)).unwrap();
            let known = masks.each_ref().map(|m| closure(&attack.graph, m, &[start]));
            for (b, j) in cluster.objects.pods.iter().zip(0u32..).filter(|(b, j)| *j != i && !b.finished()) {
                let declared =
                    b.running_containers().flat_map(|c| c.container.ports.clone()).fold(Ports::none(), |all, p| {
                        all.or(&Ports::one(Protocol::parse(&p.protocol).unwrap(), p.container_port as u16))
                    });
                let serves = if declared.is_empty() { Ports::all() } else { declared };
                let judged = network.judge(End::Pod(i), End::Pod(j), &serves);
                assert_eq!(
                    judged.allowed == Allowed::Unknown,
                    !judged.unknowns.is_empty(),
                    "round {round}: {judged:?}"
                );
                let has = |lane: usize| attack.id(Fact::Connect(j)).is_some_and(|f| known[lane][f.0 as usize]);
                let graph = match (has(0), has(1)) {
                    (true, _) => Allowed::Yes,
                    (false, true) => Allowed::Unknown,
                    _ => Allowed::No,
                };
                assert_eq!(
                    graph,
                    judged.allowed,
                    "round {round}: {} to {}, enforced {enforced}\n{:?}\n{}",
                    a.metadata.path(),
                    b.metadata.path(),
                    judged,
                    objects.iter().map(|o| format!("{o}\n")).collect::<String>()
                );
                *seen.entry(judged.allowed).or_default() += 1;
            }
        }
    }
    println!("{seen:?}");
    assert!(seen.len() == 3 && seen.values().all(|n| *n > 500), "too little was seen: {seen:?}");
}
