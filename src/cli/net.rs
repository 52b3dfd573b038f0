//! `kpath net`: connections, and what the internet reaches.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::source::Source;
use super::{Failure, net_can, settle};
use crate::model::Cluster;
use crate::netpol::End;
use crate::netpol::exposure::{self, Exposure};
use crate::netpol::network::Network;
use crate::netpol::ports::Ports;
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
        after_help = "Ends are selectors of pods, internet, an address, node/NAME, api-server, metadata, kubelet, etcd, dns,\nnode-local (caches and agents at addresses of every node) or admission (webhooks).\nFrom internet the answer is yes for what is proven public, unknown for what is possible.\n\nExamples:\n  kpath net can pod/shop/payment-api to pod/shop/queue-worker --demo\n  kpath net can 'deploy/shop/*' to metadata --port 80 -f dump/\n  kpath net can internet to pod/prod/web --snapshot prod.kpath -o json"
    )]
    Can(net_can::Can),
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
    forks: Forks,
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
    forks: Forks,
    #[command(flatten)]
    output: NetOutput,
}

#[derive(Debug, Args)]
struct ExposureCommand {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    forks: Forks,
    #[command(flatten)]
    output: NetOutput,
}

/// Where results go.
#[derive(Debug, Clone, Args)]
pub(super) struct NetOutput {
    /// Format
    #[arg(short = 'o', value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    pub(super) format: NetFormat,
    /// File instead of standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

/// Output formats of `net`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum NetFormat {
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

/// Where network plugins differ.
#[derive(Debug, Clone, Args)]
pub(super) struct Forks {
    /// Whether an ipBlock that covers the address of a pod matches the pod; under Cilium it never does
    #[arg(long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set, help_heading = "Network plugins")]
    ipblock_matches_pods: bool,
    /// Whether the baseline is asked for a direction in which no NetworkPolicy isolates the pod, if one does in the other
    #[arg(long, value_name = "true|false", default_value_t = true, action = clap::ArgAction::Set, help_heading = "Network plugins")]
    baseline_per_direction: bool,
    /// What nodes send to isolated pods of other nodes
    #[arg(long, value_name = "SETTING", default_value = "unknown", help_heading = "Network plugins")]
    remote_nodes: RemoteNodes,
}

/// What becomes of traffic of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RemoteNodes {
    /// Plugins differ
    Unknown,
    /// It passes
    Allowed,
    /// It passes where a rule means the node's address
    ByAddress,
}

impl Forks {
    /// The network of a cluster under these settings.
    pub(super) fn network<'c>(&self, cluster: &'c Cluster) -> Network<'c> {
        let settings = crate::netpol::Settings {
            ipblock_matches_pods: self.ipblock_matches_pods,
            baseline_per_direction: self.baseline_per_direction,
            remote_nodes: match self.remote_nodes {
                RemoteNodes::Unknown => None,
                RemoteNodes::Allowed => Some(true),
                RemoteNodes::ByAddress => Some(false),
            },
            ..crate::netpol::Settings::default()
        };
        Network::with(cluster, settings)
    }
}

impl NetOutput {
    /// Hands a writer to the chosen place over.
    pub(super) fn to(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<(), Failure> {
        if let Some(path) = &self.output {
            let fail = |e: std::io::Error| Failure::error(format!("cannot write {}: {e}", path.display()));
            let mut out = std::io::BufWriter::new(std::fs::File::create(path).map_err(fail)?);
            return write(&mut out).and_then(|()| out.flush()).map_err(fail);
        }
        let mut out = std::io::BufWriter::new(anstream::stdout().lock());
        settle(write(&mut out).and_then(|()| out.flush()))
    }

    pub(super) fn only(&self, allowed: &[NetFormat], what: &str) -> Result<(), Failure> {
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
    /// Behind the address of a Service, by number.
    Service(u32),
    /// The API server.
    ApiServer,
    /// These, each on its ports.
    Ported(Vec<(End, Ports)>),
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
        // Policies see the pods behind the address of a Service.
        let service = cluster.objects.services.iter().position(|s| s.spec.cluster_ip == text);
        let own = matches!(service, Some(i) if cluster.objects.services.get(i).is_some_and(|s| s.metadata.path() == "default/kubernetes"));
        return Ok(match service {
            Some(_) if own => Ends::ApiServer,
            Some(i) => Ends::Service(i as u32),
            None => Ends::Some(vec![network.engine.end(address)]),
        });
    }
    match text {
        "metadata" => return Ok(Ends::Some(crate::netpol::targets::metadata(cluster))),
        "api-server" => return Ok(Ends::ApiServer),
        _ => {}
    }
    match crate::netpol::targets::named(cluster, network, text) {
        Some(Ok(all)) if all.is_empty() => {
            return Err(Failure::usage(format!(
                "the cluster has no {text} that is known\nhint: name pods or addresses"
            )));
        }
        Some(Ok(all)) => return Ok(Ends::Ported(all)),
        Some(Err(id)) => return Ok(Ends::Unread(id)),
        None => {}
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

/// One pair of ends, each of a class or a pod of its own: pods of a class are asked once.
pub(super) fn distinct(network: &Network<'_>, all: &[End]) -> Vec<End> {
    let mut seen = BTreeSet::new();
    let class = |e: &End| match e {
        End::Pod(p) => network.engine.classes().of.get(*p as usize).copied().flatten(),
        _ => None,
    };
    all.iter().filter(|e| class(e).is_none_or(|c| seen.insert(c))).copied().collect()
}

/// The name of an end.
pub(super) fn shown(cluster: &Cluster, end: End) -> String {
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

impl Explain {
    fn run(self) -> Result<(), Failure> {
        self.output.only(&[NetFormat::Table, NetFormat::Json], "explain")?;
        let cluster = self.source.load()?;
        let network = self.forks.network(&cluster);
        let attack = crate::rules::vocabulary(&cluster);
        let [from, to] = [&self.from, &self.to].map(|t| ends(&attack, &cluster, &network, t, false));
        let one = |e: Ends, text: &str| match e {
            Ends::Internet => Ok(vec![End::Internet]),
            Ends::Some(list) if distinct(&network, &list).len() == 1 => Ok(list),
            Ends::Some(list) => Err(Failure::usage(format!(
                "{text} stands for {} that policies tell apart\nhint: explain is about one of them; `kpath net can` takes several",
                list.len()
            ))),
            Ends::Service(_) | Ends::ApiServer | Ends::Ported(_) => {
                Err(Failure::usage(format!("{text} stands for several ends\nhint: name a pod or an address behind it")))
            }
            Ends::Unread(id) => Err(Failure::error(format!("{text}: {}", missing(&id).text))),
        };
        let (from, to) = (one(from?, &self.from)?, one(to?, &self.to)?);
        // Of replicas, two different ones.
        let pair = from.iter().flat_map(|a| to.iter().map(move |b| (*a, *b))).find(|(a, b)| a != b);
        let alone = from.first().copied().zip(to.first().copied());
        let Some((from, to)) = pair.or(alone) else { return Err(Failure::usage("there is no such pair")) };
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
        let network = self.forks.network(&cluster);
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
        let network = self.forks.network(&cluster);
        let attack = crate::rules::vocabulary(&cluster);
        let side = |text: &Option<String>| -> Result<(Vec<Workload>, bool), Failure> {
            let Some(text) = text else { return Ok((connections::workloads(&cluster, &network, None), true)) };
            match ends(&attack, &cluster, &network, text, false)? {
                Ends::Internet => Ok((Vec::new(), true)),
                Ends::Service(_) | Ends::ApiServer | Ends::Ported(_) => {
                    Err(Failure::usage(format!("{text} names no pods\nhint: `kpath net can` takes it")))
                }
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
