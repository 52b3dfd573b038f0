//! The command line: one file a subcommand. How anything is computed is not known here.

pub mod commands;
pub mod eval;
mod eval_iam;
pub mod net;
pub mod net_can;
pub mod net_query;
pub mod source;
pub mod verify;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::report::Question;
use source::Source;

/// Finds and proves attack paths in Kubernetes clusters.
#[derive(Debug, Parser)]
#[command(
    name = "kpath",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done · 1 error · 2 usage · 3 gaps under --strict · 10 --expect did not hold · 11–14 --fail-on low … critical\n\nExamples:\n  kpath analyze --demo\n  kpath analyze -f dump/\n  kpath can pod/prod/web reach secret/prod/db --context prod"
)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What can reach what, worst first
    #[command(
        after_help = "Examples:\n  kpath analyze --demo\n  kpath analyze -f dump/ -o json\n  kpath analyze --context prod --from internet --to 'secret/prod/*'\n  kpath analyze --demo -o png --output paths.png"
    )]
    Analyze(commands::Analyze),
    /// Yes, no or unknown, with the proof
    #[command(
        after_help = "Examples:\n  kpath can pod/shop/web reach secret/shop/db --demo\n  kpath can sa/ci/runner reach cluster-admin -f dump/ --expect no"
    )]
    Can(commands::Can),
    /// Check a proof written by `can --proof`, without the search
    #[command(
        after_help = "Examples:\n  kpath can pod/prod/web reach secret/prod/db --snapshot prod.kpath --proof web-db.json\n  kpath verify web-db.json --snapshot prod.kpath"
    )]
    Verify(verify::Verify),
    /// Connections between pods, and what the internet reaches
    Net(net::Net),
    /// Saved questions
    Query(commands::Query),
    /// Collect only, into a file that every command reads
    Snapshot(commands::SnapshotCommand),
    /// What a technique is, when it fires, how to fix it
    Explain(commands::Explain),
    /// One engine alone: JSON Lines in, JSON Lines out
    Eval(commands::Eval),
    /// The minimal read-only ClusterRole
    Permissions {
        /// The IAM policy that --aws needs instead
        #[arg(long)]
        aws: bool,
    },
    /// Completion script for a shell
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
}

/// Threat model and settled unknowns.
#[derive(Debug, Clone, Args)]
pub struct Model {
    /// Switch an assumption on, repeatable
    #[arg(long, value_name = "NAME", help_heading = "Threat model")]
    pub assume: Vec<String>,
    /// Switch an assumption off, repeatable
    #[arg(long, value_name = "NAME", help_heading = "Threat model")]
    pub no_assume: Vec<String>,
    /// Settle an unknown: ID=yes or ID=no, globs allowed, repeatable
    #[arg(long, value_name = "ID=yes|no", help_heading = "Threat model")]
    pub given: Vec<String>,
    /// Rank proofs by hops alone
    #[arg(long, help_heading = "Threat model")]
    pub shortest: bool,
}

/// Assumptions by name, with their meaning.
pub const ASSUMPTIONS: [&str; 4] = [
    crate::rules::entry::EXPOSED,
    crate::rules::container::IMAGES_RUN_AS_ROOT,
    crate::rules::lateral::LATERAL,
    crate::rules::entry::IMAGES,
];

impl Model {
    /// The threat model of a question with this start: who starts with an image can push it.
    ///
    /// # Errors
    /// Usage errors.
    pub fn question_from(&self, from: &str) -> Result<Question, Failure> {
        let mut q = self.question()?;
        let images = from.split(['|', '&', '~', ' ']).any(|t| t.starts_with("image/"));
        if images && !self.no_assume.iter().any(|n| n == crate::rules::entry::IMAGES) {
            q.assumptions.insert(crate::rules::entry::IMAGES.to_owned());
        }
        Ok(q)
    }

    /// The question's threat model.
    ///
    /// # Errors
    /// Usage errors.
    pub fn question(&self) -> Result<Question, Failure> {
        let mut q = Question::new();
        for name in self.assume.iter().chain(&self.no_assume) {
            if !ASSUMPTIONS.contains(&name.as_str()) {
                let near = crate::query::selector::nearest(name, ASSUMPTIONS)
                    .map(|n| format!("; did you mean {n}?"))
                    .unwrap_or_default();
                return Err(Failure::usage(format!(
                    "unknown assumption {name:?}{near}\nhint: assumptions are {}",
                    ASSUMPTIONS.join(", ")
                )));
            }
        }
        q.assumptions.extend(self.assume.iter().cloned());
        q.assumptions.retain(|a| !self.no_assume.contains(a));
        for g in &self.given {
            let (id, value) = g
                .rsplit_once('=')
                .ok_or_else(|| Failure::usage(format!("--given {g:?} has no value; write ID=yes or ID=no")))?;
            let value = match value {
                "yes" => true,
                "no" => false,
                _ => return Err(Failure::usage(format!("--given {g:?}: the value is yes or no"))),
            };
            q.given.push((id.to_owned(), value));
        }
        q.shortest = self.shortest;
        Ok(q)
    }
}

/// Where results go.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Format
    #[arg(short = 'o', value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    pub format: Format,
    /// File instead of standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Direction of pictures
    #[cfg(feature = "pictures")]
    #[arg(long, default_value = "auto", help_heading = "Output")]
    pub direction: crate::render::layout::Direction,
    /// Exit with 3 when something was not read
    #[arg(long, help_heading = "Output")]
    pub strict: bool,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text
    Table,
    /// JSON
    Json,
    /// Graphviz document
    Dot,
    /// Picture
    #[cfg(feature = "pictures")]
    Svg,
    /// Picture
    #[cfg(feature = "pictures")]
    Png,
}

/// A failed run: exit code and message.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// Message, empty when everything was said.
    pub message: String,
}

impl Failure {
    /// Exit code 1.
    pub fn error(message: impl Into<String>) -> Self {
        Failure { code: 1, message: message.into() }
    }
    /// Exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure { code: 2, message: message.into() }
    }
    /// Another code without a message.
    pub fn code(code: u8) -> Self {
        Failure { code, message: String::new() }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let code = if e.use_stderr() { 2 } else { 0 };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(f) => {
            if !f.message.is_empty() {
                let _ = writeln!(anstream::stderr(), "error: {}", f.message);
            }
            ExitCode::from(f.code)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Analyze(c) => c.run(),
        Command::Can(c) => c.run(),
        Command::Verify(c) => c.run(),
        Command::Net(c) => c.run(),
        Command::Query(c) => c.run(),
        Command::Snapshot(c) => c.run(),
        Command::Explain(c) => c.run(),
        Command::Eval(c) => c.run(),
        Command::Permissions { aws } => {
            let role = match aws {
                true => crate::collect::aws_permissions(),
                false => {
                    serde_json::to_value(crate::collect::permissions()).map_err(|e| Failure::error(e.to_string()))?
                }
            };
            print(&(serde_json::to_string_pretty(&role).unwrap_or_default() + "\n"))
        }
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kpath", &mut out);
            write_bytes(&out)
        }
    }
}

/// Prints text, with colours where the terminal wants them. A broken pipe is success.
///
/// # Errors
/// Other write errors.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    settle(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn write_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    settle(out.write_all(bytes).and_then(|()| out.flush()))
}

fn settle(result: std::io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Failure::error(format!("cannot write: {e}"))),
    }
}

impl Output {
    /// Writes text or bytes to the chosen place.
    ///
    /// # Errors
    /// Write errors; a PNG to a terminal is refused.
    pub fn write(&self, text: &str, bytes: Option<&[u8]>) -> Result<(), Failure> {
        use std::io::IsTerminal;
        if let Some(path) = &self.output {
            let plain = anstream::adapter::strip_str(text).to_string();
            return std::fs::write(path, bytes.unwrap_or(plain.as_bytes()))
                .map_err(|e| Failure::error(format!("cannot write {}: {e}", path.display())));
        }
        match bytes {
            Some(_) if std::io::stdout().is_terminal() => {
                Err(Failure::usage("a PNG is not written to a terminal\nhint: add --output FILE.png"))
            }
            Some(b) => write_bytes(b),
            None => print(text),
        }
    }

    /// Columns of the terminal, 100 where there is none.
    pub fn width(&self) -> usize {
        std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).filter(|c| *c >= 40).unwrap_or(100)
    }
}

/// The source flags shared by most commands.
pub type SourceArgs = Source;
