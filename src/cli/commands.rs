//! The subcommands.

use std::collections::BTreeSet;
use std::io::{BufReader, IsTerminal};
use std::mem::ManuallyDrop;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::source::Source;
use super::{Failure, Format, Model, Output, print};
use crate::model::Cluster;
use crate::query::presets;
use crate::query::selector::{self, Selection};
use crate::render::picture::{self, Ends};
use crate::render::{dot, json, table};
use crate::report::analyze::{self, Severity};
use crate::report::{Answer, Step, Verdict, answer, proof_file};
use crate::rules::{self, Attack, table::TECHNIQUES};

/// Sources of an analysis when none is named.
pub const DEFAULT_FROM: &str = "internet | pod/*";
/// Targets of an analysis when none is named.
pub const DEFAULT_TO: &str = "cluster-admin | node/* | secret/*";

/// `kpath analyze`
#[derive(Debug, Args)]
pub struct Analyze {
    #[command(flatten)]
    source: Source,
    /// Where the attacker starts
    #[arg(long, value_name = "SELECTOR")]
    from: Option<String>,
    /// What must not be reached
    #[arg(long, value_name = "SELECTOR")]
    to: Option<String>,
    /// Patterns may match nothing
    #[arg(long)]
    allow_empty: bool,
    /// Every row with every step
    #[arg(long)]
    all: bool,
    /// Only rows that reach secrets of another namespace
    #[arg(skip)]
    foreign: bool,
    #[arg(skip)]
    only: Option<presets::Only>,
    /// Draw or print only this row
    #[arg(long, value_name = "N")]
    row: Option<usize>,
    /// Exit with 11–14 when a row has at least this severity
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FailOn {
    Low,
    Medium,
    High,
    Critical,
}

impl Analyze {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        let question = self.model.question_from(self.from.as_deref().unwrap_or_default())?;
        // Both live until the process ends; taking a large graph apart again would only cost time.
        let cluster = ManuallyDrop::new(self.source.load()?);
        let attack = ManuallyDrop::new(rules::build_for(&cluster, &question.assumptions));
        let allow = self.allow_empty || (self.from.is_none() && self.to.is_none());
        let from_text = self.from.clone().unwrap_or_else(|| DEFAULT_FROM.into());
        let to_text = self.to.clone().unwrap_or_else(|| DEFAULT_TO.into());
        let from = resolve(&attack, &cluster, &from_text, allow || self.from.is_none())?;
        let mut to = resolve(&attack, &cluster, &to_text, allow || self.to.is_none())?;
        if let Some(only) = self.only {
            to.facts = answer::only(&attack, &cluster, &question, &to, only);
        }
        let mut analysis = analyze::analyze(&attack, &cluster, &question, &from, &to);
        if self.only == Some(presets::Only::ClusterAdmin) {
            // Whoever acts as such a role is cluster-admin.
            for r in &mut analysis.paths {
                let sure = r.answer == Verdict::Yes;
                r.severity = if sure { analyze::Severity::Critical } else { analyze::Severity::High };
            }
            analysis.paths.sort_by_key(|r| std::cmp::Reverse(r.severity));
        }
        if self.foreign {
            analysis.paths.retain(|r| r.foreign);
        }
        if let Some(n) = self.row {
            let row = n.checked_sub(1).and_then(|i| {
                analysis.paths.iter().filter(|r| self.output.format != Format::Table || !r.platform).nth(i).cloned()
            });
            let row =
                row.ok_or_else(|| Failure::usage(format!("there is no row {n}; there are {}", analysis.paths.len())))?;
            analysis.paths = vec![row];
        }
        let text = match self.output.format {
            Format::Table => table::analysis(&cluster, &analysis, self.output.width(), self.all || self.row.is_some()),
            Format::Json => pretty(&json::analysis(&cluster, &question, &from_text, &to_text, &analysis)),
            _ => {
                let lists: Vec<&[Step]> = analysis
                    .paths
                    .iter()
                    .filter(|r| !r.platform && r.answer == Verdict::Yes)
                    .map(|r| r.steps.as_slice())
                    .collect();
                let caption = format!("{}: {from_text} to {to_text}", cluster.source.name);
                return finish_picture(
                    &self.output,
                    &attack,
                    &cluster,
                    &caption,
                    &lists,
                    Ends::Proven(&BTreeSet::new()),
                );
            }
        };
        self.output.write(&text, None)?;
        if let Some(limit) = self.fail_on {
            let limit = match limit {
                FailOn::Low => Severity::Low,
                FailOn::Medium => Severity::Medium,
                FailOn::High => Severity::High,
                FailOn::Critical => Severity::Critical,
            };
            let worst = analysis.paths.iter().filter(|r| r.answer == Verdict::Yes).map(|r| r.severity).max();
            if let Some(w) = worst.filter(|w| *w >= limit) {
                return Err(Failure::code(11 + w as u8));
            }
        }
        strict(&self.output, &cluster)
    }
}

/// `kpath can`
#[derive(Debug, Args)]
pub struct Can {
    /// Where the attacker starts
    from: String,
    /// The word reach
    #[arg(value_parser = ["reach"], hide_possible_values = true)]
    reach: String,
    /// What is asked
    to: String,
    #[command(flatten)]
    source: Source,
    /// Different proofs to print
    #[arg(long, value_name = "K", default_value_t = 1)]
    paths: usize,
    /// Write the proof into a file that `kpath verify` checks
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Exit with 10 unless the answer is this
    #[arg(long, value_name = "ANSWER")]
    expect: Option<Expect>,
    /// Patterns may match nothing
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    output: Output,
}

/// Answers that `--expect` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Expect {
    /// The answer is yes
    Yes,
    /// The answer is no
    No,
    /// The answer is unknown
    Unknown,
}

impl Expect {
    /// The verdict that is expected.
    pub fn verdict(self) -> Verdict {
        match self {
            Expect::Yes => Verdict::Yes,
            Expect::No => Verdict::No,
            Expect::Unknown => Verdict::Unknown,
        }
    }
}

impl Can {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        let question = self.model.question_from(&self.from)?;
        // Both live until the process ends; taking a large graph apart again would only cost time.
        let cluster = ManuallyDrop::new(self.source.load()?);
        let attack = ManuallyDrop::new(rules::build_for(&cluster, &question.assumptions));
        let from = resolve(&attack, &cluster, &self.from, self.allow_empty)?;
        let to = resolve(&attack, &cluster, &self.to, self.allow_empty)?;
        let mut a = answer::ask(&attack, &cluster, &question, &from, &to, self.paths);
        a.connects = answer::connects(&attack, &cluster, &from, &to);
        if let Some(path) = &self.proof {
            let file = proof_file::write(&attack, &cluster, &question, (&self.from, &from), (&self.to, &to), &a)
                .map_err(Failure::error)?;
            std::fs::write(path, pretty(&file))
                .map_err(|e| Failure::error(format!("cannot write {}: {e}", path.display())))?;
        }
        let text = match self.output.format {
            Format::Table => table::answer(&cluster, &self.from, &self.to, &a, self.output.width()),
            Format::Json => pretty(&json::answer(&cluster, &question, &self.from, &self.to, &a)),
            _ => {
                let caption = caption(&a, &self.from, &self.to);
                let reached =
                    if a.proofs.is_empty() { answer::reached(&attack, &cluster, &question, &from) } else { Vec::new() };
                let (proofs, ends) = match a.proofs.is_empty() {
                    true => (&reached, Ends::Reached(&from.facts)),
                    false => (&a.proofs, Ends::Proven(&to.facts)),
                };
                let lists: Vec<&[Step]> = proofs.iter().map(Vec::as_slice).collect();
                finish_picture(&self.output, &attack, &cluster, &caption, &lists, ends)?;
                return self.judge(&a, &cluster);
            }
        };
        self.output.write(&text, None)?;
        self.judge(&a, &cluster)
    }

    fn judge(&self, a: &Answer, cluster: &Cluster) -> Result<(), Failure> {
        if self.expect.is_some_and(|e| e.verdict() != a.answer) {
            return Err(Failure::code(10));
        }
        strict(&self.output, cluster)
    }
}

fn caption(a: &Answer, from: &str, to: &str) -> String {
    match a.answer {
        Verdict::Yes => format!("{} reaches {}", a.from, a.to),
        Verdict::Unknown => format!("{from} may reach {to}"),
        Verdict::No => format!("{from} does not reach {to}"),
    }
}

/// `kpath query`
#[derive(Debug, Args)]
pub struct Query {
    #[command(subcommand)]
    command: QueryCommand,
}

#[derive(Debug, Subcommand)]
enum QueryCommand {
    /// Ids and titles
    List,
    /// One saved question
    Show {
        /// Id
        id: String,
    },
    /// Check a file of your own
    Check {
        /// YAML file
        file: PathBuf,
    },
    /// Ask one, or all
    Run {
        /// Id; `kpath query list` shows all
        id: String,
        #[command(flatten)]
        analyze: Box<Analyze>,
    },
}

impl Query {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            QueryCommand::List => {
                let all = presets::all();
                let width = all.iter().map(|p| p.id.len()).max().unwrap_or_default();
                print(&all.iter().map(|p| format!("{:<width$}  {}\n", p.id, p.title)).collect::<String>())
            }
            QueryCommand::Show { id } => {
                let p = presets::find(&id).map_err(Failure::usage)?;
                let foreign = if p.foreign { "foreign: true\n" } else { "" };
                let ask = match p.ask {
                    presets::Ask::Paths => "",
                    presets::Ask::Connections => "ask: connections\n",
                    presets::Ask::OpenNamespaces => "ask: open-namespaces\n",
                };
                let port = p.port.map(|n| format!("port: {n}\n")).unwrap_or_default();
                let only = p.only.map(|o| format!("only: {}\n", o.word())).unwrap_or_default();
                print(&format!(
                    "id: {}\ntitle: {}\n{ask}from: {}\nto: {}\n{port}{only}{foreign}",
                    p.id, p.title, p.from, p.to
                ))
            }
            QueryCommand::Check { file } => {
                let text = std::fs::read_to_string(&file)
                    .map_err(|e| Failure::error(format!("cannot read {}: {e}", file.display())))?;
                let p = presets::parse(&text).map_err(|e| Failure::error(format!("{}: {e}", file.display())))?;
                print(&format!("{}: ok\n", p.id))
            }
            QueryCommand::Run { id, analyze } => {
                let mut a = *analyze;
                let p = presets::find(&id).map_err(Failure::usage)?;
                if p.ask != presets::Ask::Paths {
                    return super::net_query::run(&p, &a.source, &a.output);
                }
                a.from = Some(p.from.clone());
                a.to = Some(p.to.clone());
                a.allow_empty = true;
                a.foreign = p.foreign;
                a.only = p.only;
                a.run()
            }
        }
    }
}

/// `kpath snapshot`
#[derive(Debug, Args)]
pub struct SnapshotCommand {
    #[command(flatten)]
    source: Source,
    /// File to write, usually NAME.kpath
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: PathBuf,
    /// Replace names of objects, users, hosts and labels; verdicts stay the same
    #[arg(long, alias = "pseudonymize")]
    pseudonymise: bool,
    /// Write names with their pseudonyms there, to read answers with
    #[arg(long, value_name = "FILE", requires = "pseudonymise")]
    names: Option<PathBuf>,
}

impl SnapshotCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        let mut snapshot = self.source.read()?;
        if self.pseudonymise {
            let names = crate::snapshot::pseudonym::pseudonymise(&mut snapshot);
            if let Some(path) = &self.names {
                let text = serde_json::to_vec_pretty(&names).map_err(|e| Failure::error(e.to_string()))?;
                crate::snapshot::file::write_private(path, &text).map_err(|e| Failure::error(e.to_string()))?;
            }
        }
        crate::snapshot::file::write(&snapshot, &self.output).map_err(|e| Failure::error(e.to_string()))?;
        let objects: usize = snapshot.read.iter().map(|k| snapshot.objects.len(*k)).sum();
        eprintln!(
            "wrote {}: {objects} objects of {} kinds, {} gaps",
            self.output.display(),
            snapshot.read.len(),
            snapshot.gaps.len()
        );
        Ok(())
    }
}

/// `kpath explain`
#[derive(Debug, Args)]
pub struct Explain {
    /// Technique id; none lists all
    technique: Option<String>,
}

impl Explain {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        let Some(id) = self.technique else {
            return print(
                &TECHNIQUES.iter().map(|t| format!("{:<30} {:<10} {}\n", t.id, t.group, t.title)).collect::<String>(),
            );
        };
        let Some(t) = TECHNIQUES.iter().find(|t| t.id == id) else {
            let near = selector::nearest(&id, TECHNIQUES.iter().map(|t| t.id))
                .map(|n| format!("; did you mean {n:?}?"))
                .unwrap_or_default();
            return Err(Failure::usage(format!("unknown technique {id:?}{near}\nhint: `kpath explain` lists all")));
        };
        print(&explain(t))
    }
}

/// The text of `kpath explain`, also used for the generated docs.
pub fn explain(t: &crate::rules::technique::Technique) -> String {
    let fill = |label: &str, text: &str| {
        let options = textwrap::Options::new(96).initial_indent("  ").subsequent_indent("  ").break_words(false);
        format!("{label}\n{}\n", textwrap::fill(text, options))
    };
    format!(
        "{}: {}\n\n{}{}{}{}{}{}{}{}",
        t.id,
        t.title,
        fill("Needs (static conditions in brackets, then what the attacker must hold)", t.premises),
        fill("Gives", t.conclusion),
        fill("Versions", t.version),
        fill("Certainty", t.certainty),
        fill("Does not fire", t.near_miss),
        fill("Fix", t.fix),
        fill("Audit log", t.audit),
        fill("ATT&CK", t.attack)
    )
}

/// `kpath eval`
#[derive(Debug, Args)]
pub struct Eval {
    /// Engine
    engine: super::eval::Engine,
    #[command(flatten)]
    source: Source,
    /// JSON Lines to read instead of standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
}

impl Eval {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        use super::eval::Engine;
        let needs_source = !matches!(self.engine, Engine::Psa | Engine::Iam);
        let cluster = if needs_source {
            if self.source.filename.as_ref().is_some_and(|f| f.as_os_str() == "-") && self.input.is_none() {
                return Err(Failure::usage(
                    "both the objects and the questions come from standard input\nhint: give the questions with --input FILE",
                ));
            }
            // One engine alone: what the source lacks is empty, not unknown.
            Cluster { complete: true, ..self.source.load()? }
        } else {
            Cluster::default()
        };
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let result = match &self.input {
            Some(path) => {
                let file = std::fs::File::open(path)
                    .map_err(|e| Failure::error(format!("cannot read {}: {e}", path.display())))?;
                super::eval::run(self.engine, &cluster, BufReader::new(file), &mut out)
            }
            None => super::eval::run(self.engine, &cluster, std::io::stdin().lock(), &mut out),
        };
        super::settle(result)
    }
}

fn resolve(attack: &Attack, cluster: &Cluster, text: &str, allow_empty: bool) -> Result<Selection, Failure> {
    selector::resolve(attack, cluster, text, allow_empty).map_err(|e| Failure::usage(e.to_string()))
}

fn pretty(v: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(v).unwrap_or_default() + "\n"
}

fn strict(output: &Output, cluster: &Cluster) -> Result<(), Failure> {
    if output.strict && cluster.gaps.iter().any(|g| !g.id.is_empty()) { Err(Failure::code(3)) } else { Ok(()) }
}

fn finish_picture(
    output: &Output,
    attack: &Attack,
    cluster: &Cluster,
    caption: &str,
    lists: &[&[Step]],
    ends: Ends<'_>,
) -> Result<(), Failure> {
    let (mut p, left) = picture::draw(attack, cluster, caption, lists, ends);
    if left > 0 {
        p.caption = format!("{} ({left} more paths not drawn)", p.caption);
        if std::io::stderr().is_terminal() {
            eprintln!("{left} more paths are not drawn; --row N draws one");
        }
    }
    match output.format {
        #[cfg(feature = "pictures")]
        Format::Svg | Format::Png => {
            let svg = crate::render::svg::render(&p, output.direction).map_err(Failure::error)?;
            if output.format == Format::Svg {
                return output.write(&svg, None);
            }
            let png = crate::render::svg::png(&svg).map_err(Failure::error)?;
            output.write("", Some(&png))
        }
        _ => output.write(&dot::render(&p), None),
    }
}
