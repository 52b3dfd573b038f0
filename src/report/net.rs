//! Network verdicts in words.

use serde::Serialize;

use super::answer::Verdict;
use crate::model::{Cluster, Kind};
use crate::netpol::ports::{Ports, Protocol};
use crate::netpol::{Effect, End, Engine, Event, Flow};

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

fn verdict(must: &Ports, may: &Ports, of: &Ports) -> Verdict {
    if !must.and(of).is_empty() {
        Verdict::Yes
    } else if !may.and(of).is_empty() {
        Verdict::Unknown
    } else {
        Verdict::No
    }
}

/// Words for a flow as far as some ports go; with several ports, one that connects is enough.
pub fn reach(cluster: &Cluster, flow: &Flow, events: &[Event], of: &Ports) -> Reach {
    Reach {
        answer: verdict(&flow.must(), &flow.may(), of),
        ingress: verdict(&flow.ingress.must, &flow.ingress.may, of),
        egress: verdict(&flow.egress.must, &flow.egress.may, of),
        ports: flow.may().and(of).to_string(),
        reasons: reasons(cluster, events, of),
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
        let rule = e.rule.map(|n| format!(" rule {n}")).unwrap_or_default();
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
