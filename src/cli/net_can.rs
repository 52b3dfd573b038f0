//! `kpath net can`: whether one end may connect to another.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::Failure;
use super::net::{Ends, Forks, NetFormat, NetOutput, distinct, ends, shown};
use super::source::Source;
use crate::model::{Cluster, Kind};
use crate::netpol::End;
use crate::netpol::exposure::backends::{Backends, Which};
use crate::netpol::exposure::{Exposure, Publicity, exposures};
use crate::netpol::network::{Allowed, CNI_ENFORCES, Judged, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::query::selector;
use crate::report::Verdict;
use crate::report::answer::missing;
use crate::report::connections;
use crate::report::net;

#[derive(Debug, Clone, Args)]
pub struct Can {
    /// Source
    from: String,
    /// The word to
    #[arg(value_name = "to", value_parser = ["to"], hide_possible_values = true)]
    word: String,
    /// Destination
    to: String,
    /// Port of the destination pod, by number or name; any port without it
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Protocol: TCP, UDP or SCTP; with --port TCP where not given
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// Settle an unknown: ID=yes or ID=no, globs allowed, repeatable
    #[arg(long, value_name = "ID=yes|no")]
    given: Vec<String>,
    /// Exit with 10 unless the answer is this
    #[arg(long, value_name = "ANSWER")]
    expect: Option<super::commands::Expect>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    forks: Forks,
    #[command(flatten)]
    output: NetOutput,
}

/// What the user settled: ids with globs, the last that matches counts.
struct Given(Vec<(String, bool)>);

impl Given {
    /// Whether an id, taken alone, opens the way; nothing where it was not settled.
    fn opens(&self, id: &str) -> Option<bool> {
        let hit = self.0.iter().rev().find(|(g, _)| selector::glob(g, id)).map(|(_, v)| *v);
        // That a plugin enforces closes; every other id opens when it is true.
        hit.map(|v| v != (id == CNI_ENFORCES))
    }

    /// Applies what was settled to a verdict.
    fn apply(&self, j: &mut Judged) {
        if j.allowed != Allowed::Unknown {
            return;
        }
        let unenforced = match j.unenforced {
            true => self.opens(CNI_ENFORCES),
            false => Some(false),
        };
        let any = |ids: &[String]| match ids.iter().map(|id| self.opens(id)).collect::<Vec<_>>() {
            all if all.contains(&Some(true)) => Some(true),
            all if all.iter().all(|v| *v == Some(false)) => Some(false),
            _ => None,
        };
        // One policy that allows is enough on each side that is open; what belongs to no side stands alone.
        let own: BTreeSet<&String> = j.sides.iter().flatten().collect();
        let rest: Vec<Option<bool>> = j.unknowns.iter().filter(|u| !own.contains(u)).map(|u| self.opens(u)).collect();
        let mut parts: Vec<Option<bool>> = j.sides.iter().filter(|s| !s.is_empty()).map(|s| any(s)).collect();
        parts.extend(rest);
        let policies = if parts.contains(&Some(false)) {
            Some(false)
        } else if !parts.is_empty() && parts.iter().all(|p| *p == Some(true)) {
            Some(true)
        } else {
            None
        };
        j.allowed = match (policies, unenforced) {
            (Some(true), _) | (_, Some(true)) => Allowed::Yes,
            (Some(false), Some(false)) => Allowed::No,
            (Some(false), None) => {
                j.unknowns = vec![CNI_ENFORCES.to_owned()];
                Allowed::Unknown
            }
            _ => Allowed::Unknown,
        };
        if j.allowed != Allowed::Unknown {
            j.unknowns.clear();
        }
    }
}

fn parse_given(all: &[String]) -> Result<Given, Failure> {
    all.iter()
        .map(|g| match g.rsplit_once('=') {
            Some((id, "yes")) => Ok((id.to_owned(), true)),
            Some((id, "no")) => Ok((id.to_owned(), false)),
            _ => Err(Failure::usage(format!("--given {g:?}: write ID=yes or ID=no"))),
        })
        .collect::<Result<_, _>>()
        .map(Given)
}

fn ports(network: &Network<'_>, to: End, port: Option<&str>, protocol: Option<&str>) -> Result<Ports, Failure> {
    let parsed = protocol
        .map(|p| Protocol::parse(p).ok_or_else(|| Failure::usage(format!("protocol {p:?} is not TCP, UDP or SCTP"))));
    let protocol = parsed.transpose()?;
    match (port, protocol) {
        (None, None) => Ok(Ports::all()),
        (None, Some(p)) => Ok(Ports::range(p, 0, u16::MAX)),
        (Some(port), p) => net::port(&network.engine, to, p.unwrap_or(Protocol::Tcp), port).map_err(Failure::usage),
    }
}

/// Pairs to ask about: pods of a class once, but a pod in the network of a node and a pod of that node in any case, which
/// always connects. A pod is asked about itself only where it is all there is.
fn pairs(cluster: &Cluster, network: &Network<'_>, from: &[End], to: &[End]) -> Vec<(End, End)> {
    let class = |e: &End| match e {
        End::Pod(p) => network.engine.classes().of.get(*p as usize).copied().flatten(),
        _ => None,
    };
    let pod = |e: &End| if let End::Pod(p) = e { cluster.objects.pods.get(*p as usize) } else { None };
    let mut out = Vec::new();
    for b in distinct(network, to) {
        for a in distinct(network, from) {
            let twin =
                |all: &[End]| all.iter().find(|x| **x != b && class(x).is_some() && class(x) == class(&b)).copied();
            match (a == b, twin(from), twin(to)) {
                (false, ..) => out.push((a, b)),
                (true, Some(other), _) => out.push((other, b)),
                (true, None, Some(other)) => out.push((a, other)),
                (true, None, None) if from.len() == 1 && to.len() == 1 => out.push((a, b)),
                (true, None, None) => {}
            }
        }
    }
    let mut nodes: BTreeMap<&str, End> = BTreeMap::new();
    for e in from {
        let name = match e {
            End::Node(n) => cluster.objects.nodes.get(*n as usize).map(|n| n.metadata.name.as_str()),
            _ => pod(e).filter(|p| p.spec.host_network).map(|p| p.spec.node_name.as_str()),
        };
        if let Some(name) = name.filter(|n| !n.is_empty()) {
            nodes.entry(name).or_insert(*e);
        }
    }
    let near = to.iter().filter_map(|b| Some((*nodes.get(pod(b)?.spec.node_name.as_str())?, *b)));
    out.extend(near.filter(|(a, b)| a != b).take(1));
    out
}

impl Can {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub(super) fn run(self) -> Result<(), Failure> {
        self.output.only(&[NetFormat::Table, NetFormat::Json], "can")?;
        let given = parse_given(&self.given)?;
        let cluster = self.source.load()?;
        let network = self.forks.network(&cluster);
        let attack = crate::rules::vocabulary(&cluster);
        let [from, to] = [&self.from, &self.to].map(|t| ends(&attack, &cluster, &network, t, false));
        let (from, to) = (from?, to?);
        let answer = match (from, to) {
            (Ends::Unread(id), _) | (_, Ends::Unread(id)) => Answered::unread(&self.from, &self.to, &id),
            (Ends::Internet, Ends::Internet) => {
                return Err(Failure::usage("the internet reaches itself\nhint: name pods on one side"));
            }
            (Ends::Service(_) | Ends::ApiServer | Ends::Ported(_), _) => {
                return Err(Failure::usage(format!(
                    "{} opens no connections\nhint: name pods as the source",
                    self.from
                )));
            }
            (Ends::Internet, Ends::Some(to)) => self.published(&cluster, &network, &to, &given)?,
            (Ends::Internet, Ends::ApiServer) => Answered::open(&self.to, "api-server-public", &given),
            (Ends::Internet, Ends::Service(s)) => {
                let pods =
                    self.behind(&cluster, &network, s)?.into_iter().map(|(p, _)| End::Pod(p)).collect::<Vec<_>>();
                Can { port: None, ..self.clone() }.published(&cluster, &network, &pods, &given)?
            }
            (Ends::Internet, Ends::Ported(all)) => {
                let pods: Vec<End> = all.iter().map(|(e, _)| *e).collect();
                // Their ports, where they are one and the same.
                let first = all.first().map(|(_, p)| p.clone()).unwrap_or_default();
                let number = first.of(Protocol::Tcp).next().map(|(n, _)| n.to_string());
                let one = number.filter(|_| all.iter().all(|(_, p)| *p == first));
                Can { port: self.port.clone().or(one), ..self.clone() }.published(&cluster, &network, &pods, &given)?
            }
            (Ends::Some(from), Ends::Ported(all)) => {
                let mut asked = Vec::new();
                for (to, own) in all {
                    for (a, b) in pairs(&cluster, &network, &from, &[to]) {
                        let of = ports(&network, b, self.port.as_deref(), self.protocol.as_deref())?.and(&own);
                        if !of.is_empty() && a != b {
                            asked.push((a, b, of));
                        }
                    }
                }
                if asked.is_empty() {
                    return Err(Failure::usage(format!("{} does not listen on that port", self.to)));
                }
                self.best(&cluster, asked.into_iter().map(|(a, b, of)| (network.judge(a, b, &of), a, b, of)), &given)?
            }
            (Ends::Some(from), Ends::Internet) => self.between(&cluster, &network, &from, &[End::Internet], &given)?,
            (Ends::Some(from), Ends::Some(to)) => self.between(&cluster, &network, &from, &to, &given)?,
            (Ends::Some(from), Ends::ApiServer) => self.to_api(&cluster, &network, &from, &given)?,
            (Ends::Some(from), Ends::Service(s)) => {
                let behind = self.behind(&cluster, &network, s)?;
                let asked: Vec<(End, End, Ports)> = behind
                    .into_iter()
                    .flat_map(|(p, ports)| {
                        let all = pairs(&cluster, &network, &from, &[End::Pod(p)]);
                        all.into_iter().map(move |(a, b)| (a, b, ports.clone()))
                    })
                    // What a pod sends to itself through its Service is not defined (kubernetes #95879).
                    .filter(|(a, b, _)| a != b)
                    .collect();
                match asked.is_empty() {
                    true => {
                        let reasons = vec!["it stands behind the Service itself, alone".to_owned()];
                        Answered::undecided(&self.from, &self.to, "cni-allows-hairpin", reasons)
                    }
                    false => {
                        let judged = asked.into_iter().map(|(a, b, of)| (network.judge(a, b, &of), a, b, of));
                        self.best(&cluster, judged, &given)?
                    }
                }
            }
        };
        self.output.to(|out| match self.output.format {
            NetFormat::Json => {
                serde_json::to_writer_pretty(&mut *out, &answer.json(&cluster, &self.from, &self.to))?;
                out.write_all(b"\n")
            }
            _ => out.write_all(
                crate::render::net::answer(&answer.reach, &answer.from, &answer.to, &answer.unknown_because).as_bytes(),
            ),
        })?;
        let got = answer.reach.answer;
        if self.expect.is_some_and(|e| e.verdict() != got) { Err(Failure::code(10)) } else { Ok(()) }
    }

    /// Pods behind a Service, with the ports that the asked port of the Service leads to.
    fn behind(&self, cluster: &Cluster, network: &Network<'_>, service: u32) -> Result<Vec<(u32, Ports)>, Failure> {
        let which = match &self.port {
            None => Which::All,
            Some(p) => p.parse().map_or(Which::Name(p), Which::Number),
        };
        let protocol = parse_protocol(self.protocol.as_deref())?;
        let found = Backends::new(cluster).of(network, service, which);
        let ports = |all: Ports| match protocol {
            Some(p) => all.and(&Ports::range(p, 0, u16::MAX)),
            None => all,
        };
        let found: Vec<(u32, Ports)> =
            found.into_iter().map(|b| (b.pod, ports(b.ports))).filter(|(_, p)| !p.is_empty()).collect();
        if found.is_empty() {
            let text = format!(
                "Service {} sends the port to no pod",
                cluster
                    .objects
                    .meta(Kind::Service, service as usize)
                    .map(crate::model::meta::Meta::path)
                    .unwrap_or_default()
            );
            return Err(Failure::usage(format!("{text}\nhint: --port is the port of the Service here")));
        }
        Ok(found)
    }

    fn between(
        &self,
        cluster: &Cluster,
        network: &Network<'_>,
        from: &[End],
        to: &[End],
        given: &Given,
    ) -> Result<Answered, Failure> {
        let mut asked = Vec::new();
        let mut named_nowhere = None;
        for (a, b) in pairs(cluster, network, from, to) {
            match ports(network, b, self.port.as_deref(), self.protocol.as_deref()) {
                Ok(of) => asked.push((a, b, of)),
                // A name that some of several destinations lack.
                Err(e) => named_nowhere = Some(e),
            }
        }
        if asked.is_empty() {
            return Err(named_nowhere.unwrap_or_else(|| Failure::usage("there is no pair of different pods")));
        }
        self.best(cluster, asked.into_iter().map(|(a, b, of)| (network.judge(a, b, &of), a, b, of)), given)
    }

    fn to_api(
        &self,
        cluster: &Cluster,
        network: &Network<'_>,
        from: &[End],
        given: &Given,
    ) -> Result<Answered, Failure> {
        let of = ports(network, End::Somewhere, self.port.as_deref(), self.protocol.as_deref())?;
        let judged = distinct(network, from).into_iter().map(|a| {
            let mut j = network.to_api_server(a);
            // Asked about one port: another does not help.
            if self.port.is_some() && j.allowed != Allowed::No {
                j.ports = j.ports.and(&of);
                if j.ports.is_empty() {
                    (j.allowed, j.unknowns) = (Allowed::No, Vec::new());
                }
            }
            (j, a, End::Somewhere, Ports::all())
        });
        let mut answer = self.best(cluster, judged, given)?;
        answer.to.clone_from(&self.to);
        Ok(answer)
    }

    /// The best of several verdicts.
    fn best(
        &self,
        cluster: &Cluster,
        all: impl Iterator<Item = (Judged, End, End, Ports)>,
        given: &Given,
    ) -> Result<Answered, Failure> {
        let mut best: Option<(Judged, End, End, Ports)> = None;
        for (mut j, a, b, of) in all {
            given.apply(&mut j);
            if best.as_ref().is_none_or(|(k, ..)| j.allowed > k.allowed) {
                best = Some((j, a, b, of));
            }
        }
        let Some((j, a, b, of)) = best else {
            return Err(Failure::usage("there is no pair of different pods"));
        };
        let mut reasons = net::reasons(cluster, &j.events, &of);
        if reasons.is_empty() {
            reasons.push("no policy decides it".into());
        }
        let reach = net::Reach {
            answer: connections::verdict(j.allowed),
            ingress: connections::verdict(j.ingress),
            egress: connections::verdict(j.egress),
            ports: j.ports.to_string(),
            reasons,
        };
        Ok(Answered { reach, from: shown(cluster, a), to: shown(cluster, b), unknown_because: j.unknowns })
    }

    fn published(
        &self,
        cluster: &Cluster,
        network: &Network<'_>,
        to: &[End],
        given: &Given,
    ) -> Result<Answered, Failure> {
        let protocol = parse_protocol(self.protocol.as_deref())?;
        let asked: Vec<(u32, Result<Ports, Failure>)> = to
            .iter()
            .filter_map(|e| if let End::Pod(p) = e { Some(*p) } else { None })
            .map(|p| (p, ports(network, End::Pod(p), self.port.as_deref(), protocol.map(Protocol::name))))
            .collect();
        // A port that no pod has is a slip; a name that some lack is not.
        if !asked.is_empty() && asked.iter().all(|(_, p)| p.is_err()) {
            return Err(asked.into_iter().find_map(|(_, p)| p.err()).unwrap_or_else(|| Failure::code(1)));
        }
        let asked: BTreeMap<u32, Ports> = asked.into_iter().filter_map(|(p, of)| Some((p, of.ok()?))).collect();
        let all = exposures(cluster, network);
        let under = |e: &Exposure| match e.publicity {
            Publicity::Possible => {
                let values: Vec<Option<bool>> = e.unknowns.iter().map(|u| given.opens(u)).collect();
                if values.contains(&Some(false)) {
                    Publicity::Internal
                } else if values.iter().all(|v| *v == Some(true)) {
                    Publicity::Public
                } else {
                    Publicity::Possible
                }
            }
            other => other,
        };
        let mut best: Option<(&Exposure, Ports, Publicity)> = None;
        for e in &all {
            let Some(hit) = asked.get(&e.pod).map(|of| e.ports.and(of)).filter(|h| !h.is_empty()) else { continue };
            let publicity = under(e);
            if best.as_ref().is_none_or(|(_, _, b)| publicity > *b) {
                best = Some((e, hit, publicity));
            }
        }
        let first = to.first().map_or(String::new(), |e| shown(cluster, *e));
        let target = if to.len() == 1 { first } else { self.to.clone() };
        let found = best.as_ref().map_or(Publicity::Internal, |(_, _, p)| *p);
        if found == Publicity::Internal {
            // A node with a public address answers where its firewall lets it.
            let node = |e: &End| match e {
                End::Node(n) => cluster.objects.nodes.get(*n as usize).is_some_and(|n| {
                    let public = |a: &str| a.parse().is_ok_and(crate::netpol::address::is_public);
                    n.status.addresses.iter().any(|a| public(&a.address))
                }),
                End::Address(a) => crate::netpol::address::is_public(*a),
                _ => false,
            };
            if to.iter().any(node) {
                return Ok(Answered::open(&target, "node-ports-open", given));
            }
            let adding = [Kind::Service, Kind::Ingress, Kind::Node, Kind::Pod];
            if let Some(kind) = adding.into_iter().find(|k| !cluster.was_read(*k)) {
                return Ok(Answered::open(&target, &format!("unread:{}", kind.info().kind), given));
            }
        }
        Ok(match best {
            None => Answered {
                reach: net::Reach {
                    answer: Verdict::No,
                    ingress: Verdict::No,
                    egress: Verdict::Yes,
                    ports: Ports::none().to_string(),
                    reasons: vec!["nothing publishes it".into()],
                },
                from: "internet".into(),
                to: target,
                unknown_because: Vec::new(),
            },
            Some((e, hit, publicity)) => {
                let answer = match publicity {
                    Publicity::Public => Verdict::Yes,
                    Publicity::Possible => Verdict::Unknown,
                    Publicity::Internal => Verdict::No,
                };
                let mut reasons: Vec<String> = e.hops.iter().map(|h| net::hop(cluster, h)).collect();
                if !e.reason.is_empty() {
                    reasons.push(e.reason.clone());
                }
                Answered {
                    reach: net::Reach {
                        answer,
                        ingress: answer,
                        egress: Verdict::Yes,
                        ports: hit.to_string(),
                        reasons,
                    },
                    from: "internet".into(),
                    to: shown(cluster, End::Pod(e.pod)),
                    unknown_because: if answer == Verdict::Unknown { e.unknowns.clone() } else { Vec::new() },
                }
            }
        })
    }
}

fn parse_protocol(text: Option<&str>) -> Result<Option<Protocol>, Failure> {
    let parse =
        |p: &str| Protocol::parse(p).ok_or_else(|| Failure::usage(format!("protocol {p:?} is not TCP, UDP or SCTP")));
    text.map(parse).transpose()
}

/// An answer with the pair that gave it.
struct Answered {
    reach: net::Reach,
    from: String,
    to: String,
    unknown_because: Vec<String>,
}

impl Answered {
    fn unread(from: &str, to: &str, id: &str) -> Self {
        let reasons = vec!["the objects that it names were not read".into()];
        Self::undecided(from, to, id, reasons)
    }

    /// From the internet, by one thing that is not known.
    fn open(to: &str, id: &str, given: &Given) -> Self {
        let mut answer = Self::undecided("internet", to, id, vec![missing(id).text]);
        if let Some(opens) = given.opens(id) {
            answer.unknown_because.clear();
            answer.reach.answer = if opens { Verdict::Yes } else { Verdict::No };
            answer.reach.ingress = answer.reach.answer;
        }
        answer
    }

    fn undecided(from: &str, to: &str, id: &str, reasons: Vec<String>) -> Self {
        Answered {
            reach: net::Reach {
                answer: Verdict::Unknown,
                ingress: Verdict::Unknown,
                egress: Verdict::Unknown,
                ports: Ports::all().to_string(),
                reasons,
            },
            from: from.to_owned(),
            to: to.to_owned(),
            unknown_because: vec![id.to_owned()],
        }
    }

    fn json(&self, cluster: &Cluster, from: &str, to: &str) -> serde_json::Value {
        let missing: Vec<_> = self.unknown_because.iter().map(|id| missing(id)).collect();
        serde_json::json!({
            "schemaVersion": crate::render::json::SCHEMA_VERSION,
            "question": {"from": from, "to": to},
            "answer": self.reach.answer,
            "from": self.from,
            "to": self.to,
            "ingress": self.reach.ingress,
            "egress": self.reach.egress,
            "ports": self.reach.ports,
            "reasons": self.reach.reasons,
            "unknownBecause": missing,
            "source": cluster.source,
            "gaps": cluster.gaps,
        })
    }
}
