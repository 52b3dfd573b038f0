//! `kpath net`: connections, and what the internet reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::source::Source;
use super::{Failure, settle};
use crate::model::Cluster;
use crate::netpol::End;
use crate::netpol::exposure::{self, Exposure, Publicity};
use crate::netpol::network::{Allowed, Judged, Network};
use crate::netpol::ports::{Ports, Protocol};
use crate::query::selector;
use crate::report::Verdict;
use crate::report::answer::missing;
use crate::report::connections::{self, Connection, Workload};
use crate::report::net;
use crate::rules::Attack;
use crate::rules::fact::Fact;

/// `kpath net`
#[derive(Debug, Args)]
pub struct Net {
    #[command(subcommand)]
    command: NetCommand,
}

#[derive(Debug, Subcommand)]
enum NetCommand {
    /// Whether one end may connect to another
    #[command(
        after_help = "Ends are selectors of pods, internet, an address, node/NAME, api-server or metadata.\nFrom internet the answer is yes for what is proven public, unknown for what is possible.\n\nExamples:\n  kpath net can pod/shop/payment-api to pod/shop/queue-worker --demo\n  kpath net can 'deploy/shop/*' to metadata --port 80 -f dump/\n  kpath net can internet to pod/prod/web --snapshot prod.kpath -o json"
    )]
    Can(Can),
    /// Every connection that policies allow between workloads
    #[command(
        after_help = "Examples:\n  kpath net list --demo\n  kpath net list --to 'pod/shop/*' -f dump/ -o csv\n  kpath net list --from 'pod/shop/*' --to 'pod/shop/*' --demo -o svg --output shop.svg"
    )]
    List(List),
    /// Each policy and rule that decides a connection
    #[command(after_help = "Examples:\n  kpath net explain pod/shop/payment-api pod/shop/queue-worker --demo")]
    Explain(Explain),
    /// What is published: host and path, Service, pod, and how public it is
    #[command(after_help = "Examples:\n  kpath net exposure --demo\n  kpath net exposure -f dump/ -o json")]
    Exposure(ExposureCommand),
}

#[derive(Debug, Args)]
struct Can {
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
    output: NetOutput,
}

#[derive(Debug, Args)]
struct List {
    /// Sources, pods by selector
    #[arg(long, value_name = "SELECTOR")]
    from: Option<String>,
    /// Destinations, pods by selector
    #[arg(long, value_name = "SELECTOR")]
    to: Option<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: NetOutput,
}

#[derive(Debug, Args)]
struct Explain {
    /// Source
    from: String,
    /// Destination
    to: String,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: NetOutput,
}

#[derive(Debug, Args)]
struct ExposureCommand {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: NetOutput,
}

/// Where results go.
#[derive(Debug, Clone, Args)]
struct NetOutput {
    /// Format
    #[arg(short = 'o', value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    format: NetFormat,
    /// File instead of standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

/// Output formats of `net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum NetFormat {
    /// Text
    Table,
    /// JSON
    Json,
    /// Comma-separated values
    Csv,
    /// Graphviz document
    Dot,
    /// Picture
    #[cfg(feature = "pictures")]
    Svg,
    /// Picture
    #[cfg(feature = "pictures")]
    Png,
}

impl NetOutput {
    /// Hands a writer to the chosen place over.
    fn to(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Failure> {
        if let Some(path) = &self.output {
            let fail = |e: std::io::Error| Failure::error(format!("cannot write {}: {e}", path.display()));
            let mut out = std::io::BufWriter::new(std::fs::File::create(path).map_err(fail)?);
            return write(&mut out).and_then(|()| out.flush()).map_err(fail);
        }
        let mut out = std::io::BufWriter::new(anstream::stdout().lock());
        settle(write(&mut out).and_then(|()| out.flush()))
    }

    fn only(&self, allowed: &[NetFormat], what: &str) -> Result<(), Failure> {
        if allowed.contains(&self.format) {
            return Ok(());
        }
        Err(Failure::usage(format!("net {what} has no such format\nhint: use -o table or -o json")))
    }
}

impl Net {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            NetCommand::Can(c) => c.run(),
            NetCommand::List(c) => c.run(),
            NetCommand::Explain(c) => c.run(),
            NetCommand::Exposure(c) => c.run(),
        }
    }
}

/// What a word on the command line stands for.
#[derive(Debug)]
pub(super) enum Ends {
    /// The internet.
    Internet,
    /// These.
    Some(Vec<End>),
    /// Pods of a kind that was not read.
    Unread(String),
}

/// What a selector of pods or nodes, an address or the name of a target stands for.
///
/// # Errors
/// Usage errors with the place in the text.
pub(super) fn ends(
    attack: &Attack,
    cluster: &Cluster,
    network: &Network<'_>,
    text: &str,
    allow_empty: bool,
) -> Result<Ends, Failure> {
    if text == "internet" {
        return Ok(Ends::Internet);
    }
    if let Ok(address) = text.parse() {
        return Ok(Ends::Some(vec![network.engine.end(address)]));
    }
    match text {
        "metadata" => return Ok(Ends::Some(crate::netpol::targets::metadata(cluster))),
        "api-server" => {
            let found = crate::netpol::targets::api_server(cluster);
            if found.is_empty() {
                return Ok(Ends::Unread("unread:EndpointSlice".into()));
            }
            return Ok(Ends::Some(found.into_iter().map(|(a, _)| network.engine.end(a)).collect()));
        }
        _ => {}
    }
    let selection = selector::resolve(attack, cluster, text, allow_empty).map_err(|e| Failure::usage(e.to_string()))?;
    let mut out = Vec::new();
    for f in &selection.facts {
        match attack.fact(*f) {
            Some(Fact::Pod(p)) => out.push(End::Pod(p)),
            Some(Fact::Node(n)) => out.push(End::Node(n)),
            Some(Fact::Internet) => {
                return Err(Failure::usage("internet stands alone\nhint: ask for it in a question of its own"));
            }
            _ => {}
        }
    }
    if out.is_empty() && !allow_empty {
        if let Some(kind) = selection.unread.first() {
            return Ok(Ends::Unread(format!("unread:{}", kind.info().kind)));
        }
        return Err(Failure::usage(format!(
            "{text} names no pod and no node\nhint: connections are between pods, nodes and addresses"
        )));
    }
    Ok(Ends::Some(out))
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

/// Applies what the user settled to a verdict.
fn given(judged: &mut Judged, given: &[(String, bool)]) {
    if judged.allowed != Allowed::Unknown {
        return;
    }
    // That a plugin enforces closes; every other id opens when it is true.
    let value = |id: &str| {
        let hit = given.iter().rev().find(|(g, _)| selector::glob(g, id)).map(|(_, v)| *v);
        hit.map(|v| v != (id == crate::netpol::network::CNI_ENFORCES))
    };
    let values: Vec<Option<bool>> = judged.unknowns.iter().map(|id| value(id)).collect();
    if values.contains(&Some(false)) {
        judged.allowed = Allowed::No;
    } else if !values.is_empty() && values.iter().all(|v| *v == Some(true)) {
        judged.allowed = Allowed::Yes;
    }
    if judged.allowed != Allowed::Unknown {
        judged.unknowns.clear();
    }
}

fn parse_given(all: &[String]) -> Result<Vec<(String, bool)>, Failure> {
    all.iter()
        .map(|g| match g.rsplit_once('=') {
            Some((id, "yes")) => Ok((id.to_owned(), true)),
            Some((id, "no")) => Ok((id.to_owned(), false)),
            _ => Err(Failure::usage(format!("--given {g:?}: write ID=yes or ID=no"))),
        })
        .collect()
}

/// One pair of ends, each of a class or a pod of its own: pods of a class are asked once.
fn distinct(network: &Network<'_>, all: &[End]) -> Vec<End> {
    let mut seen = BTreeSet::new();
    let class = |e: &End| match e {
        End::Pod(p) => network.engine.classes().of.get(*p as usize).copied().flatten(),
        _ => None,
    };
    all.iter().filter(|e| class(e).is_none_or(|c| seen.insert(c))).copied().collect()
}

/// The name of an end.
fn shown(cluster: &Cluster, end: End) -> String {
    match end {
        End::Pod(p) => {
            cluster.objects.pods.get(p as usize).map_or(String::new(), |p| format!("pod/{}", p.metadata.path()))
        }
        End::Node(n) => {
            cluster.objects.nodes.get(n as usize).map_or(String::new(), |n| format!("node/{}", n.metadata.name))
        }
        End::Address(a) => a.to_string(),
        End::Internet => "internet".into(),
        End::Somewhere => "an unknown address".into(),
    }
}

impl Can {
    fn run(self) -> Result<(), Failure> {
        self.output.only(&[NetFormat::Table, NetFormat::Json], "can")?;
        let settled = parse_given(&self.given)?;
        let cluster = self.source.load()?;
        let network = Network::new(&cluster);
        let attack = crate::rules::vocabulary(&cluster);
        let [from, to] = [&self.from, &self.to].map(|t| ends(&attack, &cluster, &network, t, false));
        let (from, to) = (from?, to?);
        let mut answer = match (&from, &to) {
            (Ends::Unread(id), _) | (_, Ends::Unread(id)) => Answered::unread(&self.from, &self.to, id),
            (Ends::Internet, Ends::Internet) => {
                return Err(Failure::usage("the internet reaches itself\nhint: name pods on one side"));
            }
            (Ends::Internet, Ends::Some(to)) => self.published(&cluster, &network, to)?,
            (Ends::Some(from), Ends::Internet) => self.between(&cluster, &network, from, &[End::Internet], &settled)?,
            (Ends::Some(from), Ends::Some(to)) => self.between(&cluster, &network, from, to, &settled)?,
        };
        answer.unknown_because.dedup();
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

    fn between(
        &self,
        cluster: &Cluster,
        network: &Network<'_>,
        from: &[End],
        to: &[End],
        settled: &[(String, bool)],
    ) -> Result<Answered, Failure> {
        let mut best: Option<(Judged, End, End, Ports)> = None;
        let mut named_nowhere = None;
        for b in distinct(network, to) {
            let of = match ports(network, b, self.port.as_deref(), self.protocol.as_deref()) {
                Ok(p) => p,
                // A name that some of several destinations lack.
                Err(e) if to.len() > 1 => {
                    named_nowhere = Some(e);
                    continue;
                }
                Err(e) => return Err(e),
            };
            for a in distinct(network, from) {
                // Of several, a pod is not asked about itself.
                if a == b && (from.len() > 1 || to.len() > 1) {
                    let Some(other) = from.iter().find(|x| **x != b) else { continue };
                    if distinct(network, from).contains(other) {
                        continue;
                    }
                }
                let mut j = network.judge(a, b, &of);
                given(&mut j, settled);
                if best.as_ref().is_none_or(|(k, ..)| j.allowed > k.allowed) {
                    best = Some((j, a, b, of.clone()));
                }
            }
        }
        let Some((j, a, b, of)) = best else {
            return Err(named_nowhere.unwrap_or_else(|| Failure::usage("there is no pair of different pods")));
        };
        let reach = net::Reach {
            answer: connections::verdict(j.allowed),
            ingress: connections::verdict(j.ingress),
            egress: connections::verdict(j.egress),
            ports: j.ports.to_string(),
            reasons: net::reasons(cluster, &j.events, &of),
        };
        Ok(Answered { reach, from: shown(cluster, a), to: shown(cluster, b), unknown_because: j.unknowns })
    }

    fn published(&self, cluster: &Cluster, network: &Network<'_>, to: &[End]) -> Result<Answered, Failure> {
        let all = exposure::exposures(cluster, network);
        let pods: BTreeSet<u32> = to.iter().filter_map(|e| if let End::Pod(p) = e { Some(*p) } else { None }).collect();
        let mut best: Option<(&Exposure, Ports)> = None;
        for e in all.iter().filter(|e| pods.contains(&e.pod)) {
            let Ok(of) = ports(network, End::Pod(e.pod), self.port.as_deref(), self.protocol.as_deref()) else {
                continue;
            };
            let hit = e.ports.and(&of);
            if !hit.is_empty() && best.as_ref().is_none_or(|(b, _)| e.publicity > b.publicity) {
                best = Some((e, hit));
            }
        }
        let first = to.first().map_or(String::new(), |e| shown(cluster, *e));
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
                to: if to.len() == 1 { first } else { self.to.clone() },
                unknown_because: Vec::new(),
            },
            Some((e, hit)) => {
                let answer = match e.publicity {
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

/// An answer with the pair that gave it.
struct Answered {
    reach: net::Reach,
    from: String,
    to: String,
    unknown_because: Vec<String>,
}

impl Answered {
    fn unread(from: &str, to: &str, id: &str) -> Self {
        Answered {
            reach: net::Reach {
                answer: Verdict::Unknown,
                ingress: Verdict::Unknown,
                egress: Verdict::Unknown,
                ports: Ports::none().to_string(),
                reasons: vec!["the objects that it names were not read".into()],
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

impl Explain {
    fn run(self) -> Result<(), Failure> {
        self.output.only(&[NetFormat::Table, NetFormat::Json], "explain")?;
        let cluster = self.source.load()?;
        let network = Network::new(&cluster);
        let attack = crate::rules::vocabulary(&cluster);
        let [from, to] = [&self.from, &self.to].map(|t| ends(&attack, &cluster, &network, t, false));
        let one = |e: Ends, text: &str| match e {
            Ends::Internet => Ok(End::Internet),
            Ends::Some(list) => list.first().copied().ok_or_else(|| Failure::usage(format!("{text} names nothing"))),
            Ends::Unread(id) => Err(Failure::error(format!("{text}: {}", missing(&id).text))),
        };
        let (from, to) = (one(from?, &self.from)?, one(to?, &self.to)?);
        let explained = net::explain(&network, from, to);
        let (a, b) = (shown(&cluster, from), shown(&cluster, to));
        self.output.to(|out| match self.output.format {
            NetFormat::Json => {
                serde_json::to_writer_pretty(
                    &mut *out,
                    &serde_json::json!({"schemaVersion": crate::render::json::SCHEMA_VERSION, "from": a, "to": b, "enforcement": net::enforcement(&network), "policies": explained, "source": cluster.source, "gaps": cluster.gaps}),
                )?;
                out.write_all(b"\n")
            }
            _ => out.write_all(crate::render::net::explained(&net::enforcement(&network), &a, &b, &explained).as_bytes()),
        })
    }
}

impl ExposureCommand {
    fn run(self) -> Result<(), Failure> {
        self.output.only(&[NetFormat::Table, NetFormat::Json, NetFormat::Csv], "exposure")?;
        let cluster = self.source.load()?;
        let network = Network::new(&cluster);
        let rows = net::exposed(&cluster, &exposure::exposures(&cluster, &network));
        self.output.to(|out| match self.output.format {
            NetFormat::Json => {
                serde_json::to_writer_pretty(
                    &mut *out,
                    &serde_json::json!({"schemaVersion": crate::render::json::SCHEMA_VERSION, "exposure": rows, "source": cluster.source, "gaps": cluster.gaps}),
                )?;
                out.write_all(b"\n")
            }
            NetFormat::Csv => {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(["verdict", "at", "entry", "service", "workload", "ports", "because"])?;
                for r in &rows {
                    csv.write_record([&r.verdict, &r.at, &r.entry, &r.service, &r.workload, &r.ports, &r.because])?;
                }
                csv.flush()
            }
            _ => out.write_all(crate::render::net::exposure(&cluster, &rows).as_bytes()),
        })
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let cluster = self.source.load()?;
        let network = Network::new(&cluster);
        let attack = crate::rules::vocabulary(&cluster);
        let side = |text: &Option<String>| -> Result<(Vec<Workload>, bool), Failure> {
            let Some(text) = text else { return Ok((connections::workloads(&cluster, &network, None), true)) };
            match ends(&attack, &cluster, &network, text, false)? {
                Ends::Internet => Ok((Vec::new(), true)),
                Ends::Unread(id) => Err(Failure::error(format!("{text}: {}", missing(&id).text))),
                Ends::Some(all) => {
                    let pods = all.iter().filter_map(|e| if let End::Pod(p) = e { Some(*p) } else { None }).collect();
                    Ok((connections::workloads(&cluster, &network, Some(&pods)), false))
                }
            }
        };
        let ((from, from_internet), (to, to_internet)) = (side(&self.from)?, side(&self.to)?);
        let exposures =
            if from_internet || self.drawn() { exposure::exposures(&cluster, &network) } else { Vec::new() };
        let internet = [from_internet || self.drawn(), to_internet];
        match self.output.format {
            NetFormat::Json => self.output.to(|out| {
                // Written row by row: there may be millions.
                write!(out, "{{\"schemaVersion\":\"{}\",\"source\":", crate::render::json::SCHEMA_VERSION)?;
                serde_json::to_writer(&mut *out, &cluster.source)?;
                out.write_all(b",\"gaps\":")?;
                serde_json::to_writer(&mut *out, &cluster.gaps)?;
                out.write_all(b",\"connections\":[")?;
                let mut first = true;
                connections::each(&network, &exposures, &from, &to, internet, |c| -> std::io::Result<()> {
                    out.write_all(if first { b"\n" } else { b",\n" })?;
                    first = false;
                    Ok(serde_json::to_writer(&mut *out, &c)?)
                })?;
                out.write_all(b"\n]}\n")
            }),
            NetFormat::Csv => self.output.to(|out| {
                let mut csv = csv::Writer::from_writer(out);
                csv.write_record(["from", "to", "ports", "answer"])?;
                connections::each(&network, &exposures, &from, &to, internet, |c| -> std::io::Result<()> {
                    let answer = if c.answer == Verdict::Yes { "yes" } else { "unknown" };
                    Ok(csv.write_record([&c.from, &c.to, &c.ports, answer])?)
                })?;
                csv.flush()
            }),
            NetFormat::Table => {
                let rows = collect(&network, &exposures, &from, &to, internet);
                self.output.to(|out| out.write_all(crate::render::net::list(&rows, from.len()).as_bytes()))
            }
            _ => self.draw(&network, &exposures, &from, &to, internet),
        }
    }

    fn drawn(&self) -> bool {
        !matches!(self.output.format, NetFormat::Table | NetFormat::Json | NetFormat::Csv)
    }

    fn draw(
        &self,
        network: &Network<'_>,
        exposures: &[Exposure],
        from: &[Workload],
        to: &[Workload],
        internet: [bool; 2],
    ) -> Result<(), Failure> {
        let names: BTreeMap<&str, &str> =
            from.iter().chain(to).map(|w| (w.name.as_str(), w.namespace.as_str())).collect();
        if names.len() > crate::render::picture::LIMIT {
            return Err(Failure::usage(format!(
                "{} workloads are too many for a picture of {}\nhint: choose some with --from and --to, such as 'pod/shop/*'",
                names.len(),
                crate::render::picture::LIMIT
            )));
        }
        let rows = collect(network, exposures, from, to, internet);
        let picture = crate::render::net::picture(&names, &rows);
        #[cfg(feature = "pictures")]
        if matches!(self.output.format, NetFormat::Svg | NetFormat::Png) {
            let svg =
                crate::render::svg::render(&picture, crate::render::layout::Direction::Auto).map_err(Failure::error)?;
            if self.output.format == NetFormat::Svg {
                return self.output.to(|out| out.write_all(svg.as_bytes()));
            }
            if self.output.output.is_none() && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                return Err(Failure::usage("a PNG is not written to a terminal\nhint: add --output FILE.png"));
            }
            let png = crate::render::svg::png(&svg).map_err(Failure::error)?;
            return match &self.output.output {
                Some(path) => std::fs::write(path, png)
                    .map_err(|e| Failure::error(format!("cannot write {}: {e}", path.display()))),
                None => super::write_bytes(&png),
            };
        }
        self.output.to(|out| out.write_all(crate::render::dot::render(&picture).as_bytes()))
    }
}

fn collect(
    network: &Network<'_>,
    exposures: &[Exposure],
    from: &[Workload],
    to: &[Workload],
    internet: [bool; 2],
) -> Vec<Connection> {
    let mut rows = Vec::new();
    let done: Result<(), std::convert::Infallible> = connections::each(network, exposures, from, to, internet, |c| {
        rows.push(c);
        Ok(())
    });
    match done {
        Ok(()) => rows,
        Err(never) => match never {},
    }
}
