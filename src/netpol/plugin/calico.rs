//! Calico's NetworkPolicy and GlobalNetworkPolicy.

use super::{Compiled, FIELD, ORDER, Stage, Subject, with_prefix};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::network::IntOrString;
use crate::model::plugin_policy::{EntityRule, NetworkSet, PluginPolicySpec, PluginRule};
use crate::model::policy::IpBlock;
use crate::model::rbac::{LabelSelector, Requirement};
use crate::netpol::address::Block;
use crate::netpol::classes::NAME_LABEL;
use crate::netpol::compile::{Action, Namespaces, OrderedRule, Peer, Place, Policies, PortSpec};
use crate::netpol::ports::{PROTOCOLS, Ports, Protocol};

/// Fields of a policy that change nothing about traffic of pods.
const HARMLESS: [&str; 1] = ["performanceHints"];

/// Order of NetworkPolicies among Calico's own ("Kubernetes policy ... order 1000").
const NETWORK_POLICIES: f64 = 1000.0;

/// One policy.
pub fn compile(
    object: Obj,
    namespace: &str,
    spec: &PluginPolicySpec,
    cluster: &Cluster,
    orders: &[f64],
    all: &mut Policies,
) -> Option<Compiled> {
    let (selector, exact) = expression(&spec.selector, false);
    let (namespaces, in_namespaces) = scope(namespace, &spec.namespace_selector);
    let subject = Subject { namespaces, selector, sure: exact && in_namespaces };
    let [ingress, egress] = [&spec.ingress, &spec.egress].map(|l| l.as_deref().unwrap_or_default());
    let listed = |t: &str| spec.types.iter().any(|x| x == t);
    // Without types: ingress, and egress where it has rules for it; of the two only egress where it has those alone.
    let directions = match spec.types.is_empty() {
        true => [!ingress.is_empty() || egress.is_empty(), !egress.is_empty()],
        false => [listed("Ingress"), listed("Egress")],
    };
    let (stage, order) = (stage(spec, cluster), order(spec));
    let mut unknown = match stage {
        None => Some(ORDER),
        // NetworkPolicies have that order themselves.
        Some(_) if spec.order.is_some() && order == NETWORK_POLICIES => Some(ORDER),
        Some(_) => None,
    };
    // Sets of host endpoints and traffic before addresses are translated are not about pods alone.
    let other = |o: &crate::model::plugin_policy::Other| o.keys().any(|k| !HARMLESS.contains(&k.as_str()));
    if other(&spec.other) {
        unknown = Some(FIELD);
    }
    let mut rules = [Vec::new(), Vec::new()];
    for ((out, list), (name, outgoing)) in
        rules.iter_mut().zip([ingress, egress]).zip([("ingress", false), ("egress", true)])
    {
        for (index, r) in list.iter().enumerate() {
            let place = Place { spec: 0, list: name, index };
            match rule(r, place, outgoing, namespace, cluster, all) {
                Ok(rule) => out.extend(rule),
                Err(()) => unknown = Some(FIELD),
            }
        }
    }
    Some(Compiled {
        object,
        stage: stage.unwrap_or(Stage::After),
        order: orders.partition_point(|x| *x < order) as u32,
        subject,
        directions,
        isolates: directions,
        rules,
        unknown,
    })
}

/// The order of a policy; none is last.
fn order(spec: &PluginPolicySpec) -> f64 {
    spec.order.as_ref().and_then(serde_json::Number::as_f64).unwrap_or(f64::INFINITY)
}

/// Orders of all policies, sorted and each once.
pub fn orders(cluster: &Cluster) -> Vec<f64> {
    let o = &cluster.objects;
    let all = o.calico_network_policies.iter().chain(&o.global_network_policies);
    let mut all: Vec<f64> = all.map(|p| order(&p.spec)).collect();
    all.sort_unstable_by(f64::total_cmp);
    all.dedup();
    all
}

/// When a policy is asked; `None` where its tier is not known.
fn stage(spec: &PluginPolicySpec, cluster: &Cluster) -> Option<Stage> {
    if spec.tier.is_empty() || spec.tier == "default" {
        return Some(if order(spec) < NETWORK_POLICIES { Stage::Before } else { Stage::After });
    }
    let tiers = &cluster.objects.tiers;
    let place =
        |o: &Option<serde_json::Number>| o.as_ref().and_then(serde_json::Number::as_f64).unwrap_or(f64::INFINITY);
    let own = tiers.iter().find(|t| t.metadata.name == spec.tier)?;
    let standard = tiers.iter().find(|t| t.metadata.name == "default").and_then(|t| t.spec.order.as_ref()?.as_f64());
    let at = place(&own.spec.order);
    // The tier of NetworkPolicies has order 1,000,000; tiers after it are asked last, and those of one order by name.
    if at >= standard.unwrap_or(1_000_000.0) || tiers.iter().filter(|t| place(&t.spec.order) == at).count() > 1 {
        return None;
    }
    let rank = tiers.iter().filter(|t| place(&t.spec.order) < at).count() as u32;
    Some(Stage::Tier(rank, own.spec.default_action == "Pass"))
}

/// A rule; an error where it cannot be said what it does. `None` for one that only logs, or is about no port.
fn rule(
    r: &PluginRule,
    place: Place,
    egress: bool,
    namespace: &str,
    cluster: &Cluster,
    all: &mut Policies,
) -> Result<Option<OrderedRule>, ()> {
    let action = match r.action.to_ascii_lowercase().as_str() {
        "allow" => Action::Allow,
        "deny" => Action::Deny,
        "pass" | "next-tier" => Action::Pass,
        "log" => return Ok(None),
        _ => return Err(()),
    };
    let none = EntityRule::default();
    let [source, destination] = [&r.source, &r.destination].map(|e| e.as_ref().unwrap_or(&none));
    let (peer, own) = if egress { (destination, source) } else { (source, destination) };
    // The own end must be left open but for the ports at the destination; a source's ports are not modelled.
    let ports_only = |e: &EntityRule| *e == EntityRule { ports: e.ports.clone(), ..EntityRule::default() };
    let mut sure = r.other.keys().all(|k| k == "metadata") && ports_only(own) && source.ports.is_empty();
    let (peers, exact) = peers(peer, namespace, cluster, all);
    sure &= exact;
    let (ports, exact) = ports(r.protocol.as_ref(), &destination.ports);
    sure &= exact;
    let Some(ports) = ports else { return Ok(None) };
    Ok(Some(OrderedRule { action, peers, ports, place, sure }))
}

/// The peers of an end, and whether they are all, and no more.
fn peers(e: &EntityRule, namespace: &str, cluster: &Cluster, all: &mut Policies) -> (Vec<u32>, bool) {
    let mut sure = e.other.is_empty();
    let selects = !e.selector.is_empty() || !e.namespace_selector.is_empty();
    let addresses = !e.nets.is_empty() || !e.not_nets.is_empty();
    let mut out = Vec::new();
    if addresses {
        // Labels and addresses must both fit: the addresses alone are more.
        sure &= !selects;
        let everything = ["0.0.0.0/0".to_owned(), "::/0".to_owned()];
        let nets = if e.nets.is_empty() { &everything[..] } else { &e.nets };
        let mut blocks = Vec::new();
        for cidr in nets {
            let block =
                IpBlock { cidr: with_prefix(cidr), except: e.not_nets.iter().map(|n| with_prefix(n)).collect() };
            blocks.extend(Block::new(&block));
        }
        if !blocks.is_empty() {
            out.push(all.peer(Peer::Networks(Block::union(blocks))));
        }
    } else if selects {
        let (selector, exact) = expression(&e.selector, false);
        let (namespaces, in_namespaces) = scope(namespace, &e.namespace_selector);
        sure &= exact && (in_namespaces || e.namespace_selector.trim() == "global()");
        let o = &cluster.objects;
        // Sets without a namespace: those of a word of their own, and of a policy without a namespace.
        let only_global = e.namespace_selector.trim() == "global()";
        let global = only_global
            || namespace.is_empty() && e.namespace_selector.is_empty()
            || !in_namespaces && e.namespace_selector.contains("global()");
        let sets = o.network_sets.iter().filter(|_| !only_global);
        let sets = sets.chain(o.global_network_sets.iter().filter(|_| global));
        let mut blocks = Vec::new();
        for set in sets.filter(|s| selector.matches(&s.metadata.labels) && may_be_in(s, &namespaces)) {
            sure &= set.spec.other.is_empty() && (global || matches!(&namespaces, Namespaces::One(_)));
            blocks.extend(
                set.spec
                    .nets
                    .iter()
                    .filter_map(|cidr| Block::new(&IpBlock { cidr: with_prefix(cidr), except: Vec::new() })),
            );
        }
        if !blocks.is_empty() {
            out.push(all.peer(Peer::Networks(Block::union(blocks))));
        }
        // Sets that were not read, or not all, may have any address of the outside.
        if unread(cluster, if only_global { Kind::GlobalNetworkSet } else { Kind::NetworkSet })
            || global && unread(cluster, Kind::GlobalNetworkSet)
        {
            sure = false;
            out.push(all.peer(Peer::World));
        }
        // Without namespaces it may mean host endpoints too.
        if global && !o.host_endpoints.is_empty() {
            out.push(all.peer(Peer::SomeNodes));
        }
        if only_global {
            // No pods; a host endpoint with these labels is a node.
            out.push(all.peer(Peer::SomeNodes));
        } else {
            out.push(all.peer(Peer::Pods(namespaces, selector)));
        }
    } else {
        out.push(all.peer(Peer::Everyone));
    }
    if !e.other.is_empty() {
        // A field more may mean fewer, or (accounts, services) others.
        out.push(all.peer(Peer::Everyone));
    }
    (out, sure)
}

/// Whether a set can be of one of these namespaces.
fn may_be_in(set: &NetworkSet, namespaces: &Namespaces) -> bool {
    match namespaces {
        Namespaces::One(n) => set.metadata.namespace == *n,
        Namespaces::Labelled(_) => true,
    }
}

/// Whether objects of a kind may be there that were not read.
fn unread(cluster: &Cluster, kind: Kind) -> bool {
    let id = format!("skipped:{}", kind.info().kind);
    !cluster.was_read(kind) || cluster.gaps.iter().any(|g| g.id == id)
}

/// Ports at the destination, and whether that is all that is said; none for another protocol.
fn ports(protocol: Option<&IntOrString>, list: &[IntOrString]) -> (Option<PortSpec>, bool) {
    let protocols: Vec<Protocol> = match protocol {
        None => PROTOCOLS.to_vec(),
        Some(IntOrString::Int(n)) => match n {
            6 => vec![Protocol::Tcp],
            17 => vec![Protocol::Udp],
            132 => vec![Protocol::Sctp],
            _ => return (None, true),
        },
        Some(IntOrString::Str(s)) => match Protocol::parse(&s.to_ascii_uppercase()) {
            Some(p) => vec![p],
            None => match s.parse() {
                Ok(n) => return ports(Some(&IntOrString::Int(n)), list),
                Err(_) => return (None, true),
            },
        },
    };
    let mut spec = PortSpec::default();
    let mut sure = true;
    for protocol in protocols {
        if list.is_empty() {
            spec.numbers = spec.numbers.or(&Ports::range(protocol, 0, u16::MAX));
        }
        for p in list {
            let text = match p {
                IntOrString::Int(n) => n.to_string(),
                IntOrString::Str(s) => s.clone(),
            };
            let (first, last) = text.split_once(':').unwrap_or((&text, &text));
            match (first.parse::<u16>(), last.parse::<u16>()) {
                (Ok(a), Ok(b)) if a <= b => spec.numbers = spec.numbers.or(&Ports::range(protocol, a, b)),
                (Err(_), Err(_)) if !text.contains(':') => spec.names.push((text, Some(protocol))),
                _ => sure = false,
            }
        }
    }
    (Some(spec), sure)
}

/// Namespaces of a policy or a peer, and whether the expression was understood.
fn scope(namespace: &str, selector: &str) -> (Namespaces, bool) {
    if selector.trim().is_empty() {
        return match namespace {
            "" => (Namespaces::Labelled(LabelSelector::default()), true),
            own => (Namespaces::One(own.to_owned()), true),
        };
    }
    let (s, sure) = expression(selector, true);
    (Namespaces::Labelled(s), sure)
}

/// An expression as a selector of labels, and whether that is all that it says: conditions of another form are left out,
/// which selects more.
fn expression(text: &str, namespaces: bool) -> (LabelSelector, bool) {
    let mut out = LabelSelector::default();
    let text = text.trim();
    if text.is_empty() || text == "all()" {
        return (out, true);
    }
    // Anything but conditions that must all hold is left out as a whole: a part of an alternative says nothing.
    if text.contains("||") || text.contains("!(") || text.contains("! (") {
        return (out, false);
    }
    let mut sure = true;
    for part in text.split("&&").map(str::trim).filter(|p| *p != "all()") {
        match condition(part, namespaces) {
            Some(r) => out.match_expressions.push(r),
            None => sure = false,
        }
    }
    (out, sure)
}

/// One condition: `k == 'v'`, `k != 'v'`, `has(k)`, `!has(k)`, `k in {'a', 'b'}`, `k not in {'a'}`.
fn condition(part: &str, namespaces: bool) -> Option<Requirement> {
    let requirement = |key: &str, operator: &str, values: Vec<String>| {
        let key = key.trim();
        let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        // Labels that Calico adds: the name of a namespace is one of them.
        let key = match key {
            "projectcalico.org/name" | "kubernetes.io/metadata.name" if namespaces => NAME_LABEL,
            k if k.starts_with("projectcalico.org/") || k.starts_with("pcns.") || k.starts_with("pcsa.") => {
                return None;
            }
            k => k,
        };
        plain.then(|| Requirement { key: key.to_owned(), operator: operator.to_owned(), values })
    };
    let (body, not) = match part.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (part, false),
    };
    if let Some(key) = body.strip_prefix("has(").and_then(|r| r.strip_suffix(')')) {
        return requirement(key, if not { "DoesNotExist" } else { "Exists" }, Vec::new());
    }
    if not {
        return None;
    }
    if let Some((key, list)) = body.split_once('{') {
        let values: Option<Vec<String>> = match list.trim_end().strip_suffix('}')?.trim() {
            "" => Some(Vec::new()),
            list => list.split(',').map(quoted).collect(),
        };
        let (key, operator) = match key.trim_end().strip_suffix(" in").map(str::trim_end) {
            Some(k) => match k.strip_suffix(" not") {
                Some(k) => (k, "NotIn"),
                None => (k, "In"),
            },
            None => return None,
        };
        return requirement(key, operator, values?);
    }
    for (symbol, operator) in [("==", "In"), ("!=", "NotIn")] {
        if let Some((key, value)) = body.split_once(symbol) {
            return requirement(key, operator, vec![quoted(value)?]);
        }
    }
    None
}

/// A text in quotes of either kind.
fn quoted(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text
        .strip_prefix('\'')
        .and_then(|v| v.strip_suffix('\''))
        .or(text.strip_prefix('"').and_then(|v| v.strip_suffix('"')))?;
    (!bare.contains(['\'', '"'])).then(|| bare.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::meta::Labels;

    #[test]
    fn expressions_of_calico() {
        let labels: Labels = [("app".to_owned(), "web".to_owned())].into();
        for (text, holds, whole) in [
            ("", true, true),
            ("all()", true, true),
            ("app == 'web'", true, true),
            ("app == \"db\"", false, true),
            ("app != 'db'", true, true),
            ("tier != 'x'", true, true),
            ("has(app) && !has(tier)", true, true),
            ("has(app) && has(tier)", false, true),
            ("app in {'web', 'db'}", true, true),
            ("app in { \"db\" }", false, true),
            ("app not in {'web'}", false, true),
            ("tier not in {'web'}", true, true),
            ("app == 'x' && tier starts with 'a'", false, false),
            ("app == 'web' || app == 'db'", true, false),
            ("(app == 'web')", true, false),
            ("projectcalico.org/namespace == 'a'", true, false),
            ("!app == 'web'", true, false),
            ("!(app == 'web')", true, false),
        ] {
            let (s, sure) = expression(text, false);
            assert_eq!((s.matches(&labels), sure), (holds, whole), "{text}");
        }
    }
}
