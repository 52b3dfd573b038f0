//! Text and pictures of connections.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::picture::{Arrow, Box_, Picture, Shape};
use super::table::clean;
use crate::model::Cluster;
use crate::report::Verdict;
use crate::report::answer::missing;
use crate::report::connections::Connection;
use crate::report::net::{Explained, Exposed, Reach};
use crate::report::network_questions::OpenNamespace;

const DIM: Style = Style::new().dimmed();

fn bold(c: AnsiColor) -> Style {
    Style::new().bold().fg_color(Some(anstyle::Color::Ansi(c)))
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// One answer.
pub fn answer(r: &Reach, from: &str, to: &str, unknowns: &[String]) -> String {
    let (word, verb, style) = match r.answer {
        Verdict::Yes => ("yes", "connects to", bold(AnsiColor::Red)),
        Verdict::No => ("no", "does not connect to", bold(AnsiColor::Green)),
        Verdict::Unknown => ("unknown", "may connect to", bold(AnsiColor::Yellow)),
    };
    let ports = if r.answer == Verdict::No { String::new() } else { format!(" on {}", r.ports) };
    let mut out = format!("{}: {} {verb} {}{ports}\n", paint(style, word), clean(from), clean(to));
    for reason in &r.reasons {
        let _ = writeln!(out, "  {}", clean(reason));
    }
    for id in unknowns {
        let m = missing(id);
        let _ =
            writeln!(out, "unknown because\n  {}: {}\n    settle: {}", clean(&m.id), clean(&m.text), clean(&m.settle));
    }
    out
}

/// Policies and rules of a connection.
pub fn explained(enforcement: &str, from: &str, to: &str, rows: &[Explained]) -> String {
    let mut out = format!("{} to {}\n", clean(from), clean(to));
    let _ = writeln!(out, "{}", paint(DIM, &clean(enforcement)));
    for side in ["egress", "ingress"] {
        let _ = writeln!(out, "\n{side}");
        for r in rows.iter().filter(|r| r.side == side) {
            let who = match (r.policy.as_str(), r.rule) {
                ("", _) => String::new(),
                (p, Some(n)) => format!("{p} rule {n} "),
                (p, None) => format!("{p} "),
            };
            let ports = if r.verdict == "no match" { String::new() } else { format!(" {}", r.ports) };
            let line = format!("  {}{}{ports}: {}", clean(&who), r.verdict, r.why);
            let _ = writeln!(out, "{}", if r.verdict == "no match" { paint(DIM, &line) } else { line });
            for l in &r.lint {
                let _ = writeln!(out, "    {} {}", paint(bold(AnsiColor::Yellow), "lint:"), clean(l));
            }
        }
    }
    out
}

/// Connections by destination: sources with the same ports share a line.
pub fn list(rows: &[Connection], sources: usize) -> String {
    let mut out = String::new();
    let mut by_target: BTreeMap<&str, BTreeMap<(&str, bool), Vec<&str>>> = BTreeMap::new();
    for r in rows {
        let key = (r.ports.as_str(), r.answer == Verdict::Unknown);
        by_target.entry(&r.to).or_default().entry(key).or_default().push(&r.from);
    }
    for (to, lines) in &by_target {
        let _ = writeln!(out, "{}", clean(to));
        for ((ports, unknown), from) in lines {
            let others = from.iter().filter(|f| **f != "internet").count();
            // The destination itself is one of the sources, unless it is the internet.
            let all = others > 3 && others + usize::from(*to != "internet") >= sources;
            let mut names: Vec<String> = Vec::new();
            if from.contains(&"internet") {
                names.push("internet".into());
            }
            match all {
                true => names.push(format!("every workload ({others})")),
                false => names.extend(from.iter().filter(|f| **f != "internet").map(|f| clean(f))),
            }
            let mark = if *unknown { " ?" } else { "" };
            let _ = writeln!(out, "  {ports}{mark} from {}", names.join(", "));
        }
    }
    let unknown = rows.iter().filter(|r| r.answer == Verdict::Unknown).count();
    let ids: BTreeSet<&String> = rows.iter().flat_map(|r| &r.unknown_if).collect();
    let _ = writeln!(out, "\n{} connections between workloads, {unknown} of them unknown", rows.len());
    for id in ids.iter().take(5) {
        let _ = writeln!(out, "{}", paint(DIM, &format!("  ? {}: {}", clean(id), clean(&missing(id).text))));
    }
    if ids.len() > 5 {
        let _ = writeln!(out, "{}", paint(DIM, &format!("  ? and {} more; -o json names them", ids.len() - 5)));
    }
    out
}

/// What is published, the most public first.
pub fn exposure(cluster: &Cluster, rows: &[Exposed]) -> String {
    if rows.is_empty() {
        return "nothing is published\n".into();
    }
    let mut out = String::new();
    for verdict in ["proven public", "possible", "internal"] {
        let of = || rows.iter().filter(|r| r.verdict == verdict);
        if of().next().is_none() {
            continue;
        }
        let style = match verdict {
            "proven public" => bold(AnsiColor::Red),
            "possible" => bold(AnsiColor::Yellow),
            _ => bold(AnsiColor::Green),
        };
        let _ = writeln!(out, "{} ({})", paint(style, verdict), of().count());
        for r in of() {
            let through = match (r.service.is_empty(), r.entry == r.service || r.entry == r.workload) {
                (true, true) => String::new(),
                (true, false) => format!(" → {}", r.entry),
                (false, true) => format!(" → {}", r.service),
                (false, false) => format!(" → {} → {}", r.entry, r.service),
            };
            let pods = if r.pods == 1 { String::new() } else { format!(", {} pods", r.pods) };
            let more = if r.also_at.is_empty() { String::new() } else { format!(" and {} more", r.also_at.len()) };
            let _ =
                writeln!(out, "  {}", clean(&format!("{}{more}{through} → {} ({}{pods})", r.at, r.workload, r.ports)));
            if !r.because.is_empty() {
                let _ = writeln!(out, "{}", paint(DIM, &format!("      {}", clean(&r.because))));
            }
        }
    }
    let skipped = cluster.gaps.len();
    if skipped > 0 {
        let _ = writeln!(out, "{skipped} kinds or objects were not read; -o json lists them");
    }
    out
}

/// Boxes and arrows: workloads by namespace, and the internet.
pub fn picture(names: &BTreeMap<&str, &str>, rows: &[Connection]) -> Picture {
    let mut p = Picture { caption: format!("connections of {} workloads", names.len()), ..Picture::default() };
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    let used = |n: &str| rows.iter().any(|r| r.from == n || r.to == n);
    for (name, namespace) in names {
        let (kind, rest) = name.split_once('/').unwrap_or(("", name));
        index.insert(name, p.boxes.len());
        p.boxes.push(Box_ {
            kind: kind.to_owned(),
            name: rest.split_once('/').map_or(rest, |(_, n)| n).to_owned(),
            shape: Shape::Workload,
            namespace: (*namespace).to_owned(),
        });
    }
    if used("internet") {
        index.insert("internet", p.boxes.len());
        let name = "internet".to_owned();
        p.boxes.push(Box_ { kind: String::new(), name, shape: Shape::Attacker, namespace: String::new() });
    }
    for r in rows {
        // To the internet goes nearly everything: only what comes from it is drawn.
        if r.to == "internet" {
            continue;
        }
        if let (Some(from), Some(to)) = (index.get(r.from.as_str()), index.get(r.to.as_str())) {
            let label = r.ports.clone();
            p.arrows.push(Arrow { from: *from, to: *to, label, unknown: r.answer == Verdict::Unknown });
        }
    }
    p
}

/// Workloads that connect to one target: those that share ports and doubts share a line.
pub fn connecting(rows: &[Connection], to: &str) -> String {
    let mut out = String::new();
    let mut lines: BTreeMap<(bool, &str, Vec<&str>), Vec<&str>> = BTreeMap::new();
    for r in rows {
        let ids = r.unknown_if.iter().map(String::as_str).collect();
        lines.entry((r.answer == Verdict::Unknown, r.ports.as_str(), ids)).or_default().push(&r.from);
    }
    for ((unknown, ports, ids), from) in &lines {
        let (word, style) = match unknown {
            false => ("connect", bold(AnsiColor::Red)),
            true => ("may connect", bold(AnsiColor::Yellow)),
        };
        let _ = writeln!(
            out,
            "{} to {} on {ports}: {} {}",
            paint(style, word),
            clean(to),
            from.len(),
            if from.len() == 1 { "workload" } else { "workloads" }
        );
        for id in ids {
            let _ = writeln!(out, "{}", paint(DIM, &format!("  if {}: {}", clean(id), clean(&missing(id).text))));
        }
        for f in from {
            let _ = writeln!(out, "  {}", clean(f));
        }
    }
    if rows.is_empty() {
        let _ = writeln!(out, "nothing connects to {}", clean(to));
    }
    out
}

/// Namespaces with Secrets and open pods.
pub fn open_namespaces(rows: &[OpenNamespace]) -> String {
    if rows.is_empty() {
        return "no namespace with Secrets has a pod that no policy isolates\n".into();
    }
    let mut out = String::new();
    for r in rows {
        let mark = if r.answer == Verdict::Unknown { " ? (policies were not read)" } else { "" };
        let _ = writeln!(
            out,
            "{}: {} of {} pods accept connections from everywhere, {} {}{mark}",
            clean(&r.namespace),
            r.open_pods,
            r.pods,
            r.secrets,
            if r.secrets == 1 { "Secret" } else { "Secrets" }
        );
    }
    out
}
