//! Saved questions about the network.

use super::net::{Ends, ends};
use super::source::Source;
use super::{Failure, Format, Output};
use crate::netpol::End;
use crate::netpol::network::Network;
use crate::netpol::ports::{Ports, Protocol};
use crate::query::presets::{Ask, Preset};
use crate::report::answer::missing;
use crate::report::network_questions::{connecting, open_namespaces};

/// Asks a saved question about the network.
///
/// # Errors
/// Messages and exit codes.
pub(super) fn run(p: &Preset, source: &Source, output: &Output) -> Result<(), Failure> {
    if !matches!(output.format, Format::Table | Format::Json) {
        return Err(Failure::usage("this question has no picture\nhint: use -o table or -o json"));
    }
    let json = output.format == Format::Json;
    let cluster = source.load()?;
    let network = Network::new(&cluster);
    let text = match p.ask {
        Ask::OpenNamespaces => {
            let rows = open_namespaces(&cluster, &network);
            if json {
                pretty(
                    &serde_json::json!({"schemaVersion": crate::render::json::SCHEMA_VERSION, "query": p, "namespaces": rows, "source": cluster.source, "gaps": cluster.gaps}),
                )
            } else {
                crate::render::net::open_namespaces(&rows)
            }
        }
        _ => {
            let attack = crate::rules::vocabulary(&cluster);
            let [from, to] = [&p.from, &p.to].map(|t| ends(&attack, &cluster, &network, t, true));
            let list = |e: Ends, text: &str| match e {
                Ends::Some(all) => Ok(all),
                Ends::Internet => Ok(vec![End::Internet]),
                Ends::Service(_) | Ends::ApiServer | Ends::Ported(_) => {
                    Err(Failure::usage(format!("{text} is no end of a saved question")))
                }
                Ends::Unread(id) => Err(Failure::error(format!("{text}: {}", missing(&id).text))),
            };
            let (from, to) = (list(from?, &p.from)?, list(to?, &p.to)?);
            let pods = from.iter().filter_map(|e| if let End::Pod(p) = e { Some(*p) } else { None }).collect();
            let ports = p.port.map_or_else(Ports::all, |n| Ports::one(Protocol::Tcp, n));
            let rows = connecting(&cluster, &network, &pods, &to, &p.to, &ports);
            if json {
                pretty(
                    &serde_json::json!({"schemaVersion": crate::render::json::SCHEMA_VERSION, "query": p, "connections": rows, "source": cluster.source, "gaps": cluster.gaps}),
                )
            } else {
                crate::render::net::connecting(&rows, &p.to)
            }
        }
    };
    output.write(&text, None)
}

fn pretty(v: &serde_json::Value) -> String {
    serde_json::to_string_pretty(v).unwrap_or_default() + "\n"
}
