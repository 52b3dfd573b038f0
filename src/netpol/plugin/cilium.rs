//! CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.

use super::{Compiled, FIELD, Stage, Subject, with_prefix};
use crate::model::kind::Obj;
use crate::model::plugin_policy::{PluginPolicySpec, PluginRule, PortRule};
use crate::model::policy::IpBlock;
use crate::model::rbac::{LabelSelector, Requirement};
use crate::netpol::address::Block;
use crate::netpol::classes::NAME_LABEL;
use crate::netpol::compile::{Action, Namespaces, OrderedRule, Peer, Place, Policies, PortSpec};
use crate::netpol::ports::{PROTOCOLS, Ports, Protocol};

/// Fields of a policy that change nothing about traffic.
const HARMLESS: [&str; 2] = ["description", "labels"];

/// One spec of a policy; `None` for one of nodes.
pub fn compile(object: Obj, n: u32, namespace: &str, spec: &PluginPolicySpec, all: &mut Policies) -> Option<Compiled> {
    let selector = spec.endpoint_selector.as_ref().filter(|_| spec.node_selector.is_none())?;
    let (_, selector, sure) = endpoints(selector, namespace);
    // A namespaced policy is about its own namespace alone, whatever its selector says.
    let namespaces = match namespace {
        "" => endpoints(spec.endpoint_selector.as_ref()?, namespace).0,
        own => Namespaces::One(own.to_owned()),
    };
    let lists = [[&spec.ingress_deny, &spec.ingress], [&spec.egress_deny, &spec.egress]];
    let forced = [spec.enable_default_deny.ingress, spec.enable_default_deny.egress];
    let names = [["ingressDeny", "ingress"], ["egressDeny", "egress"]];
    // Without rules for a direction, a policy says nothing about it (`enableDefaultDeny` of rule_validation.go).
    let some = lists.map(|l| l.iter().any(|l| l.as_ref().is_some_and(|l| !l.is_empty())));
    let mut unknown = None;
    let whole = |o: &crate::model::plugin_policy::Other| o.keys().any(|k| !HARMLESS.contains(&k.as_str()));
    let requires = |r: &PluginRule| r.other.contains_key("fromRequires") || r.other.contains_key("toRequires");
    if whole(&spec.other) || lists.iter().flatten().flat_map(|l| l.iter().flatten()).any(requires) {
        unknown = Some(FIELD);
    }
    let mut rules = [Vec::new(), Vec::new()];
    for ((side, lists), (names, egress)) in rules.iter_mut().zip(lists).zip(names.into_iter().zip([false, true])) {
        for ((list, name), action) in lists.into_iter().zip(names).zip([Action::Deny, Action::Allow]) {
            for (index, r) in list.iter().flatten().enumerate() {
                let place = Place { spec: n, list: name, index };
                side.extend(rule(r, place, action, egress, namespace, all));
            }
        }
    }
    let one = |d: usize| forced.get(d).copied().flatten().or(some.get(d).copied()).unwrap_or(true);
    // A policy that is left out by name may be about both directions.
    let directions = if unknown.is_some() { [true, true] } else { [one(0) || some[0], one(1) || some[1]] };
    let subject = Subject { namespaces, selector, sure };
    let isolates = [one(0), one(1)];
    Some(Compiled { object, stage: Stage::With, order: 0, subject, directions, isolates, rules, unknown })
}

/// A rule, once for each of its lists of ports.
fn rule(
    r: &PluginRule,
    place: Place,
    action: Action,
    egress: bool,
    namespace: &str,
    all: &mut Policies,
) -> Vec<OrderedRule> {
    let (peers, mut sure) = peers(r, egress, namespace, all);
    // Rules for other ends than those of the direction, or of a kind that is not modelled.
    sure &= r.other.is_empty();
    let Some(ports) = r.to_ports.as_ref().filter(|l| !l.is_empty()) else {
        // A rule that names neither an end nor a port allows nothing: it isolates. One for ICMP is about no port.
        if peers.is_empty() || r.icmps.is_some() {
            return Vec::new();
        }
        return vec![OrderedRule { action, peers, ports: PortSpec::all(), place, sure }];
    };
    let peers = if !named_end(r, egress) && r.other.is_empty() { vec![all.peer(Peer::Everyone)] } else { peers };
    ports
        .iter()
        .map(|p| OrderedRule {
            action,
            peers: peers.clone(),
            ports: port_spec(p),
            place,
            sure: sure && p.other.is_empty() && !p.ports.is_empty(),
        })
        .collect()
}

/// Whether a rule names any end of its direction.
fn named_end(r: &PluginRule, egress: bool) -> bool {
    match egress {
        false => {
            r.from_endpoints.is_some()
                || r.from_entities.is_some()
                || r.from_cidr.is_some()
                || r.from_cidr_set.is_some()
        }
        true => {
            r.to_endpoints.is_some()
                || r.to_entities.is_some()
                || r.to_cidr.is_some()
                || r.to_cidr_set.is_some()
                || r.to_fqdns.is_some()
        }
    }
}

/// The peers of a rule by number, and whether they are all, and no more.
fn peers(r: &PluginRule, egress: bool, namespace: &str, all: &mut Policies) -> (Vec<u32>, bool) {
    let (by_label, words, cidrs, sets) = match egress {
        false => (&r.from_endpoints, &r.from_entities, &r.from_cidr, &r.from_cidr_set),
        true => (&r.to_endpoints, &r.to_entities, &r.to_cidr, &r.to_cidr_set),
    };
    let (mut out, mut sure) = (Vec::new(), true);
    for s in by_label.iter().flatten() {
        let (namespaces, selector, exact) = endpoints(s, namespace);
        sure &= exact;
        out.push(all.peer(Peer::Pods(namespaces, selector)));
        // Labels of another source may stand for anything: nodes, the outside.
        if foreign(s) {
            out.push(all.peer(Peer::Everyone));
        }
    }
    for w in words.iter().flatten() {
        match entity(w) {
            Some(peers) => out.extend(peers.into_iter().map(|p| all.peer(p))),
            None => {
                sure = false;
                out.push(all.peer(Peer::Everyone));
            }
        }
    }
    let plain = cidrs.iter().flatten().map(|c| (c, &[][..], true));
    let sets_of =
        sets.iter().flatten().map(|c| (&c.cidr, c.except.as_slice(), c.other.is_empty() && !c.cidr.is_empty()));
    let mut blocks = Vec::new();
    for (cidr, except, exact) in plain.chain(sets_of) {
        sure &= exact;
        // Addresses of a group that is not modelled may be any.
        if !exact {
            out.push(all.peer(Peer::World));
            continue;
        }
        blocks.extend(Block::new(&IpBlock { cidr: with_prefix(cidr), except: except.to_vec() }));
    }
    if !blocks.is_empty() {
        out.push(all.peer(Peer::Outside(Block::union(blocks))));
    }
    if egress && r.to_fqdns.is_some() {
        out.push(all.peer(Peer::DomainNames));
    }
    if !r.other.is_empty() {
        out.push(all.peer(Peer::Everyone));
    }
    // Several ways to name an end in one rule are refused by some versions.
    let ways =
        [by_label.is_some(), words.is_some(), cidrs.is_some() || r.from_cidr_set.is_some() || r.to_cidr_set.is_some()];
    sure &= ways.iter().filter(|w| **w).count() <= 1;
    // Lists that are there and empty: what they mean differs between versions.
    let lengths = [
        by_label.as_ref().map(Vec::len),
        words.as_ref().map(Vec::len),
        cidrs.as_ref().map(Vec::len),
        sets.as_ref().map(Vec::len),
    ];
    if lengths.contains(&Some(0)) {
        sure = false;
        out.push(all.peer(Peer::Everyone));
    }
    (out, sure)
}

/// The ends that a word stands for; `None` for one that is not modelled.
fn entity(word: &str) -> Option<Vec<Peer>> {
    let block =
        |cidr: &str| Some(vec![Peer::Outside(Block::new(&IpBlock { cidr: cidr.to_owned(), except: Vec::new() })?)]);
    match word {
        "all" => Some(vec![Peer::Everyone]),
        "world" => Some(vec![Peer::World]),
        "world-ipv4" => block("0.0.0.0/0"),
        "world-ipv6" => block("::/0"),
        "cluster" => Some(vec![Peer::Cluster, Peer::ApiServer]),
        "host" | "remote-node" => Some(vec![Peer::SomeNodes]),
        "kube-apiserver" => Some(vec![Peer::ApiServer]),
        // Endpoints of Cilium itself and of pods that start: none of those that are asked about.
        "none" | "init" | "health" | "ingress" => Some(Vec::new()),
        _ => None,
    }
}

/// The ports of one entry of a rule.
fn port_spec(p: &PortRule) -> PortSpec {
    if p.ports.is_empty() {
        return PortSpec::all();
    }
    let mut spec = PortSpec::default();
    for port in &p.ports {
        let protocols: Vec<Protocol> = match port.protocol.as_str() {
            "" | "ANY" => PROTOCOLS.to_vec(),
            name => Protocol::parse(name).into_iter().collect(),
        };
        for protocol in protocols {
            match port.port.parse::<u16>() {
                Ok(0) => spec.numbers = spec.numbers.or(&Ports::range(protocol, 0, u16::MAX)),
                Ok(first) => {
                    let last = u16::try_from(port.end_port).ok().filter(|n| *n > first).unwrap_or(first);
                    spec.numbers = spec.numbers.or(&Ports::range(protocol, first, last));
                }
                Err(_) if port.port.is_empty() => {
                    spec.numbers = spec.numbers.or(&Ports::range(protocol, 0, u16::MAX));
                }
                Err(_) => spec.names.push((port.port.clone(), Some(protocol))),
            }
        }
    }
    spec
}

/// What a selector of Cilium means: namespaces, labels of pods, and whether that is all it says. Without a namespace it is
/// about that of the policy.
fn endpoints(s: &LabelSelector, own: &str) -> (Namespaces, LabelSelector, bool) {
    let mut sure = true;
    let mut one = None;
    let mut of_namespaces: Option<LabelSelector> = None;
    let mut pods = LabelSelector::default();
    for (key, value) in &s.match_labels {
        match label(key) {
            Label::Pod(k) => {
                pods.match_labels.insert(k.to_owned(), value.clone());
            }
            Label::NamespaceName => one = Some(value.clone()),
            Label::Namespace(k) => {
                of_namespaces.get_or_insert_default().match_labels.insert(k.to_owned(), value.clone());
            }
            Label::Other => sure = false,
        }
    }
    for r in &s.match_expressions {
        match label(&r.key) {
            Label::Pod(k) => pods.match_expressions.push(Requirement { key: k.to_owned(), ..r.clone() }),
            Label::NamespaceName => {
                let all = of_namespaces.get_or_insert_default();
                all.match_expressions.push(Requirement { key: NAME_LABEL.to_owned(), ..r.clone() });
            }
            Label::Namespace(k) => {
                let all = of_namespaces.get_or_insert_default();
                all.match_expressions.push(Requirement { key: k.to_owned(), ..r.clone() });
            }
            Label::Other => sure = false,
        }
    }
    let named = one.is_some()
        || of_namespaces.as_ref().is_some_and(|s| s.match_expressions.iter().any(|r| r.key == NAME_LABEL));
    // Whether a selector of a namespaced policy by labels of namespaces alone leaves its own differs between versions.
    sure &= own.is_empty() || named || of_namespaces.is_none();
    let namespaces = match (one, of_namespaces) {
        (Some(n), None) => Namespaces::One(n),
        (Some(n), Some(mut s)) => {
            s.match_labels.insert(NAME_LABEL.to_owned(), n);
            Namespaces::Labelled(s)
        }
        (None, Some(s)) => Namespaces::Labelled(s),
        (None, None) if own.is_empty() => Namespaces::Labelled(LabelSelector::default()),
        (None, None) => Namespaces::One(own.to_owned()),
    };
    (namespaces, pods, sure)
}

/// Whether a selector asks for labels that are none of pods and namespaces.
fn foreign(s: &LabelSelector) -> bool {
    let mut keys = s.match_labels.keys().chain(s.match_expressions.iter().map(|r| &r.key));
    keys.any(|k| matches!(label(k), Label::Other))
}

/// What a label of Cilium is one of.
enum Label<'a> {
    Pod(&'a str),
    Namespace(&'a str),
    NamespaceName,
    Other,
}

/// Labels are marked by where they come from: `k8s:`, `any:`.
fn label(key: &str) -> Label<'_> {
    let own = key.strip_prefix("k8s:").or(key.strip_prefix("any:")).unwrap_or(key);
    if let Some(k) = own.strip_prefix("io.cilium.k8s.namespace.labels.") {
        return Label::Namespace(k);
    }
    if own == "io.kubernetes.pod.namespace" {
        return Label::NamespaceName;
    }
    let foreign = own.contains(':')
        || own.starts_with("reserved")
        || own.starts_with("io.kubernetes.")
        || own.starts_with("io.cilium.");
    if foreign { Label::Other } else { Label::Pod(own) }
}
