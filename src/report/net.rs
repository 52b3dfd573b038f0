//! Network verdicts in words.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::answer::Verdict;
use super::connections::verdict;
use crate::model::{Cluster, Kind};
use crate::netpol::enforce::Enforcement;
use crate::netpol::exposure::{Exposure, Hop, Publicity};
use crate::netpol::network::{Judged, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::netpol::{Direction, Effect, End, Engine, Event, Place};

/// The verdict on one connection, or on all ports between two ends.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Reach {
    /// Whether it connects.
    pub answer: Verdict,
    /// Whether the destination's side lets it in.
    pub ingress: Verdict,
    /// Whether the source's side lets it out.
    pub egress: Verdict,
    /// Ports that connect, those that may included.
    pub ports: String,
    /// What allowed or denied each side.
    pub reasons: Vec<String>,
}

/// Words for a flow as far as some ports go; with several ports, one that connects is enough.
pub fn reach(cluster: &Cluster, judged: &Judged, of: &Ports) -> Reach {
    Reach {
        answer: verdict(judged.allowed),
        ingress: verdict(judged.ingress),
        egress: verdict(judged.egress),
        ports: judged.ports.to_string(),
        reasons: reasons(cluster, &judged.events, of),
    }
}

/// What happened to some ports, in order and each once.
pub fn reasons(cluster: &Cluster, events: &[Event], of: &Ports) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for e in events {
        let ports = e.ports.and(of);
        if ports.is_empty() {
            continue;
        }
        let text = event(cluster, e, &ports);
        if !out.contains(&text) {
            out.push(text);
        }
    }
    out
}

/// ` rule 0`, or with the list where it is a list of its own.
fn rule_words(r: Place, direction: Direction) -> String {
    if r.list == direction.name() { format!(" rule {}", r.index) } else { format!(" {} rule {}", r.list, r.index) }
}

/// One event: side, effect, ports, policy and rule, why.
pub fn event(cluster: &Cluster, e: &Event, ports: &Ports) -> String {
    let effect = match e.effect {
        Effect::Allowed => "allows",
        Effect::Denied => "denies",
        Effect::Passed => "passes",
        Effect::Unknown => "may allow or deny",
    };
    let who = e.policy.and_then(|o| {
        let path = cluster.meta(o)?.path();
        let rule = e.rule.map(|r| rule_words(r, e.direction)).unwrap_or_default();
        Some(format!("{} {path}{rule} {effect} ", o.kind.info().kind))
    });
    let who = who.unwrap_or_else(|| match e.effect {
        Effect::Allowed => "allowed: ".to_owned(),
        Effect::Denied => "denied: ".to_owned(),
        _ => "unknown: ".to_owned(),
    });
    format!("{}: {who}{ports}: {}", e.direction.name(), e.why)
}

/// The end of that name: `internet`, an address, or a pod as `namespace/name`, with or without `pod/` before it. `None`
/// when there is no such pod.
pub fn end(engine: &Engine<'_>, name: &str) -> Option<End> {
    if name == "internet" {
        return Some(End::Internet);
    }
    if let Ok(address) = name.parse() {
        return Some(engine.end(address));
    }
    let (namespace, name) = name.strip_prefix("pod/").unwrap_or(name).split_once('/')?;
    engine.cluster().find(Kind::Pod, namespace, name).map(End::Pod)
}

/// One port as a set, from a number or the name of a port of the destination.
///
/// # Errors
/// A message that says what is wrong with the port.
pub fn port(engine: &Engine<'_>, to: End, protocol: Protocol, port: &str) -> Result<Ports, String> {
    if let Ok(n) = port.parse::<u32>() {
        return match u16::try_from(n) {
            Ok(n) if n > 0 => Ok(Ports::one(protocol, n)),
            _ => Err(format!("port {port} is not between 1 and 65535")),
        };
    }
    let pod = match to {
        End::Pod(p) => engine.cluster().objects.pods.get(p as usize),
        _ => None,
    };
    let found = pod
        .into_iter()
        .flat_map(crate::netpol::classes::named_ports)
        .filter(|(name, p, _)| *name == port && *p == protocol)
        .fold(Ports::none(), |all, (_, p, n)| all.or(&Ports::one(p, n)));
    if found.is_empty() {
        Err(format!("the destination has no {} port named {port:?}", protocol.name()))
    } else {
        Ok(found)
    }
}

/// One hop in words: object, field, value, why.
pub fn hop(cluster: &Cluster, h: &Hop) -> String {
    let path = cluster.meta(h.object).map(crate::model::meta::Meta::path).unwrap_or_default();
    let value = if h.value.is_empty() { String::new() } else { format!(" = {}", h.value) };
    format!("{} {path} {}{value}: {}", h.object.kind.info().kind, h.pointer, h.why)
}

/// One policy or rule of one side, and what it does to the connection.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Explained {
    /// `egress` or `ingress`.
    pub side: &'static str,
    /// `NetworkPolicy shop/db`.
    pub policy: String,
    /// Rule by index; absent for the policy itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// List of the rule in the policy; absent for the policy itself and where it has the name of the side.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub list: &'static str,
    /// `allows`, `denies`, `passes`, `unknown`, or `no match`.
    pub verdict: &'static str,
    /// Ports it is about.
    pub ports: String,
    /// Short phrase.
    pub why: &'static str,
    /// What of the policy fits nothing in the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lint: Vec<String>,
}

/// Whether policies are enforced, in words.
pub fn enforcement(network: &Network<'_>) -> String {
    match &network.enforcement {
        Enforcement::Yes(_, name) => format!("{name} enforces policies"),
        Enforcement::No(o, name) => {
            let path = network.engine.cluster().meta(*o).map(crate::model::meta::Meta::path).unwrap_or_default();
            format!("{name} ({} {path}) does not enforce policies: what follows has no effect", o.kind.info().kind)
        }
        Enforcement::Unknown(why) => format!("whether policies are enforced is not known: {why}"),
    }
}

/// Every policy that is about either end, rule by rule.
pub fn explain(network: &Network<'_>, from: End, to: End) -> Vec<Explained> {
    let engine = &network.engine;
    let cluster = engine.cluster();
    let (_, events) = engine.explain(from, to);
    let mut out = Vec::new();
    for (direction, end) in [(Direction::Egress, from), (Direction::Ingress, to)] {
        let class = match end {
            End::Pod(p) => engine.classes().of.get(p as usize).copied().flatten(),
            _ => None,
        };
        let own = || events.iter().filter(move |e| e.direction == direction);
        for policy in class.map(|c| engine.policies_of(c, direction)).unwrap_or_default() {
            let path = cluster.meta(policy).map(crate::model::meta::Meta::path).unwrap_or_default();
            let name = format!("{} {path}", policy.kind.info().kind);
            let mut lint = super::lint::policy(cluster, policy);
            let rules = engine.rules_of(policy, direction);
            for rule in rules.iter().copied().map(Some).chain([None]) {
                let hits: Vec<&Event> = own().filter(|e| e.policy == Some(policy) && e.rule == rule).collect();
                if hits.is_empty() {
                    if rule.is_some() || rules.is_empty() {
                        out.push(Explained {
                            side: direction.name(),
                            policy: name.clone(),
                            rule: rule.map(|r| r.index),
                            list: rule.map(|r| r.list).filter(|l| *l != direction.name()).unwrap_or_default(),
                            verdict: "no match",
                            ports: Ports::none().to_string(),
                            why: if rule.is_some() {
                                "the rule is not about this connection"
                            } else {
                                "it has no rule for this direction"
                            },
                            lint: std::mem::take(&mut lint),
                        });
                    }
                    continue;
                }
                for e in hits {
                    out.push(Explained {
                        side: direction.name(),
                        policy: name.clone(),
                        rule: rule.map(|r| r.index),
                        list: rule.map(|r| r.list).filter(|l| *l != direction.name()).unwrap_or_default(),
                        verdict: match e.effect {
                            Effect::Allowed => "allows",
                            Effect::Denied => "denies",
                            Effect::Passed => "passes",
                            Effect::Unknown => "unknown",
                        },
                        ports: e.ports.to_string(),
                        why: e.why,
                        lint: std::mem::take(&mut lint),
                    });
                }
            }
        }
        for e in own().filter(|e| e.policy.is_none()) {
            out.push(Explained {
                side: direction.name(),
                policy: String::new(),
                rule: None,
                list: "",
                verdict: if e.effect == Effect::Allowed { "allows" } else { "denies" },
                ports: e.ports.to_string(),
                why: e.why,
                lint: Vec::new(),
            });
        }
    }
    out
}

/// One row of what is published: the pods of a workload behind one entry.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Exposed {
    /// `proven public`, `possible` or `internal`.
    pub verdict: String,
    /// Host and path, or address and port.
    pub at: String,
    /// Further paths or ports of the same entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_at: Vec<String>,
    /// Object that publishes it.
    pub entry: String,
    /// Service in front of the pods.
    pub service: String,
    /// Workload.
    pub workload: String,
    /// Pods.
    pub pods: usize,
    /// Ports at the pods.
    pub ports: String,
    /// What is missing, or why it is internal.
    pub because: String,
    /// Ids of unknowns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_if: Vec<String>,
    /// Hops of one of the pods.
    pub hops: Vec<String>,
}

/// Rows of what is published, the most public first.
pub fn exposed(cluster: &Cluster, all: &[Exposure]) -> Vec<Exposed> {
    type Key = (std::cmp::Reverse<Publicity>, String, String, String, String, String);
    let mut rows: BTreeMap<Key, Exposed> = BTreeMap::new();
    let mut pods: BTreeMap<Key, BTreeSet<u32>> = BTreeMap::new();
    for e in all {
        let Some(p) = cluster.objects.pods.get(e.pod as usize) else { continue };
        let (kind, name) = p.owner(cluster);
        let workload = format!("{}/{}/{name}", crate::model::platform::short_kind(&kind), p.metadata.namespace);
        let path = |kind: &str, o| cluster.meta(o).map(|m| format!("{kind}/{}", m.path())).unwrap_or_default();
        let entry = path(&e.entry.kind.info().kind.to_lowercase(), e.entry);
        // Pods that publish themselves are named by what made them.
        let entry = if e.entry.kind == Kind::Pod { workload.clone() } else { entry };
        let service = e
            .service
            .map(|index| path("service", crate::model::Obj { kind: Kind::Service, index }))
            .unwrap_or_default();
        let key = (
            std::cmp::Reverse(e.publicity),
            e.at.split_once(['/', ':']).map_or(e.at.as_str(), |(host, _)| host).to_owned(),
            entry.clone(),
            service.clone(),
            workload.clone(),
            e.reason.clone(),
        );
        pods.entry(key.clone()).or_default().insert(e.pod);
        let row = rows.entry(key).or_insert_with(|| Exposed {
            verdict: e.publicity.words().to_owned(),
            at: e.at.clone(),
            also_at: Vec::new(),
            entry,
            service,
            workload,
            pods: 0,
            ports: e.ports.to_string(),
            because: e.reason.clone(),
            unknown_if: e.unknowns.clone(),
            hops: e.hops.iter().map(|h| hop(cluster, h)).collect(),
        });
        if row.at != e.at && !row.also_at.contains(&e.at) {
            row.also_at.push(e.at.clone());
        }
    }
    let counts = pods.into_values().map(|p| p.len());
    rows.into_values().zip(counts).map(|(row, pods)| Exposed { pods, ..row }).collect()
}
