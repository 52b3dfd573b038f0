//! Text for terminals.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::model::Cluster;
use crate::report::analyze::{Analysis, Row, Severity};
use crate::report::{Answer, Step, Verdict};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

fn color(c: AnsiColor) -> Style {
    Style::new().bold().fg_color(Some(anstyle::Color::Ansi(c)))
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Control and bidirectional characters of names are shown as escapes, never sent to the terminal.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
            {
                c.escape_unicode().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

fn wrap(text: &str, indent: &str, first: &str, width: usize) -> String {
    let options = textwrap::Options::new(width.max(40))
        .initial_indent(first)
        .subsequent_indent(indent)
        .break_words(false)
        // A value that is broken at its hyphens cannot be copied.
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(&clean(text), options)
}

fn steps(out: &mut String, list: &[Step], width: usize, verbose: bool) {
    for (n, s) in list.iter().enumerate() {
        let mark = if s.unknown_if.is_empty() { "" } else { " ?" };
        let assumed =
            if s.assumptions.is_empty() { String::new() } else { format!(" [assuming {}]", s.assumptions.join(", ")) };
        let _ = writeln!(
            out,
            "{}",
            wrap(&format!("{} ({}){mark}{assumed}", s.fact, s.technique), "     ", &format!("  {}. ", n + 1), width)
        );
        let key: Vec<String> = s
            .evidence
            .iter()
            .filter(|e| !e.pointer.starts_with("/metadata/name"))
            .map(|e| {
                let value = if e.value.is_empty() { String::new() } else { format!(" = {}", e.value) };
                format!("{} {}{value}", e.object.short(), e.pointer)
            })
            .collect();
        let shown: Vec<String> = if key.is_empty() {
            s.evidence.iter().map(|e| format!("{} {}: {}", e.object.short(), e.pointer, e.why)).collect()
        } else {
            key
        };
        for e in shown.iter().take(if verbose { usize::MAX } else { 5 }) {
            let _ = writeln!(out, "{}", paint(DIM, &wrap(e, "         ", "       ", width)));
        }
        if verbose {
            let _ = writeln!(out, "{}", paint(DIM, &format!("       check: {}", clean(&s.verify))));
            let _ = writeln!(out, "{}", paint(DIM, &wrap(&format!("fix: {}", s.fix), "         ", "       ", width)));
        }
    }
}

/// One answer.
pub fn answer(cluster: &Cluster, from: &str, to: &str, a: &Answer, width: usize) -> String {
    let mut out = String::new();
    let (word, style) = match a.answer {
        Verdict::Yes => ("yes", color(AnsiColor::Red)),
        Verdict::No => ("no", color(AnsiColor::Green)),
        Verdict::Unknown => ("unknown", color(AnsiColor::Yellow)),
    };
    let (f, t) = if a.proofs.is_empty() { (from, to) } else { (a.from.as_str(), a.to.as_str()) };
    let verb = match a.answer {
        Verdict::Yes => "reaches",
        Verdict::No => "does not reach",
        Verdict::Unknown => "may reach",
    };
    let _ = writeln!(out, "{}: {} {verb} {}", paint(style, word), clean(f), clean(t));
    if let Some(c) = &a.connects {
        let words = match c.answer {
            Verdict::Yes => format!("connects to it on {}", c.ports),
            Verdict::No => "does not connect to it".to_owned(),
            Verdict::Unknown => format!("may connect to it on {}", c.ports),
        };
        let _ = writeln!(out, "{}", paint(DIM, &format!("  the network alone: {words} (kpath net can says why)")));
    }
    for (n, p) in a.proofs.iter().enumerate() {
        if n > 0 {
            let _ = writeln!(out, "\n{}", paint(BOLD, &format!("another path ({})", n + 1)));
        }
        if p.is_empty() {
            let _ = writeln!(out, "  the start is the target");
        }
        steps(&mut out, p, width, true);
    }
    if !a.unknown_because.is_empty() {
        let _ = writeln!(out, "\n{}", paint(BOLD, "unknown because"));
        for m in &a.unknown_because {
            let _ = writeln!(out, "{}", wrap(&format!("{}: {}", m.id, m.text), "    ", "  ", width));
            let _ = writeln!(out, "    settle: {}", clean(&m.settle));
        }
    }
    if a.proofs.is_empty() {
        if a.reached.is_empty() {
            let _ = writeln!(out, "  nothing is reached from there");
        } else {
            let _ = writeln!(out, "\n{}", paint(BOLD, &format!("reached on the way ({})", a.reached.len())));
            for r in a.reached.iter().take(12) {
                let _ = writeln!(out, "{}", wrap(r, "    ", "  ", width));
            }
            if a.reached.len() > 12 {
                let _ = writeln!(out, "  {} more", a.reached.len() - 12);
            }
        }
        if !a.nearest.is_empty() {
            let _ = writeln!(out, "\n{}", paint(BOLD, "one premise is missing for"));
            for n in &a.nearest {
                let _ = writeln!(
                    out,
                    "{}",
                    wrap(&format!("{}: {} needs one who {}", n.technique, n.would, n.missing), "    ", "  ", width)
                );
            }
        }
    }
    let used: std::collections::BTreeSet<&String> = a.proofs.iter().flatten().flat_map(|s| &s.assumptions).collect();
    for u in used {
        let _ = writeln!(out, "assumption: {u} (switch it off with --no-assume {u})");
    }
    footer(&mut out, cluster);
    out
}

fn footer(out: &mut String, cluster: &Cluster) {
    if cluster.source.version_assumed {
        let _ = writeln!(
            out,
            "{}",
            paint(
                DIM,
                &format!("server version not given, {} assumed (--server-version)", cluster.source.server_version)
            )
        );
    }
    let all = cluster.gaps.iter().filter(|g| g.id.starts_with("unread:"));
    let (kinds, calls): (Vec<_>, Vec<_>) = all.partition(|g| g.kind().is_some());
    let unread: Vec<&str> = kinds.iter().filter_map(|g| g.kind()).map(|k| k.info().kind).collect();
    if !unread.is_empty() {
        let text = format!("not read: {} (--complete settles them as empty)", unread.join(", "));
        let _ = writeln!(out, "{}", paint(DIM, &textwrap::fill(&text, 100)));
    }
    for gap in calls {
        let _ = writeln!(out, "{}", paint(DIM, &textwrap::fill(&format!("not read: {}", gap.reason), 100)));
    }
    let skipped = cluster.gaps.iter().filter(|g| !g.id.starts_with("unread:")).count();
    if skipped > 0 {
        let _ =
            writeln!(out, "{}", paint(DIM, &format!("{skipped} files or objects were skipped; -o json lists them")));
    }
}

/// Short name of a severity, padded.
fn severity(s: Severity) -> (String, Style) {
    match s {
        Severity::Critical => ("CRITICAL".into(), color(AnsiColor::Red)),
        Severity::High => ("HIGH    ".into(), color(AnsiColor::Magenta)),
        Severity::Medium => ("MEDIUM  ".into(), color(AnsiColor::Yellow)),
        Severity::Low => ("LOW     ".into(), color(AnsiColor::Blue)),
    }
}

/// An analysis: one screen, or every row.
pub fn analysis(cluster: &Cluster, a: &Analysis, width: usize, all: bool) -> String {
    let mut out = String::new();
    let own: Vec<&Row> = a.paths.iter().filter(|r| !r.platform).collect();
    let platform: Vec<&Row> = a.paths.iter().filter(|r| r.platform && r.answer == Verdict::Yes).collect();
    let (sure, open): (Vec<&Row>, Vec<&Row>) = own.iter().partition(|r| r.answer == Verdict::Yes);
    let limit = if all { usize::MAX } else { 12 };
    if a.paths.is_empty() {
        let _ = match a.pods {
            0 => writeln!(out, "no path found"),
            n => writeln!(out, "no path found from {n} pods"),
        };
    }
    for (n, r) in sure.iter().take(limit).enumerate() {
        row(&mut out, r, n + 1, width, all);
    }
    if sure.len() > limit {
        let _ = writeln!(out, "{} more rows (--all shows them)", sure.len() - limit);
    }
    if !open.is_empty() {
        let mut ids: std::collections::BTreeMap<String, (usize, usize)> = std::collections::BTreeMap::new();
        for r in &open {
            let id = r.unknown_because.first().map(|m| m.id.clone()).unwrap_or_default();
            let e = ids.entry(id).or_default();
            e.0 += 1;
            e.1 += r.count;
        }
        let mut list: Vec<_> = ids.into_iter().collect();
        list.sort_by(|a, b| b.1.1.cmp(&a.1.1).then(a.0.cmp(&b.0)));
        let _ = writeln!(out, "\n{}", paint(BOLD, &format!("unknown: {} rows more if", open.len())));
        for (id, (rows, pods)) in list.iter().take(if all { usize::MAX } else { 5 }) {
            let _ = writeln!(out, "  {} ({rows} rows, {pods} sources)", clean(id));
        }
        if list.len() > 5 && !all {
            let _ = writeln!(out, "  {} more unknowns", list.len() - 5);
        }
        if all {
            for (n, r) in open.iter().enumerate() {
                row(&mut out, r, sure.len() + n + 1, width, true);
            }
        }
    }
    if !platform.is_empty() {
        let names: std::collections::BTreeSet<&str> =
            platform.iter().flat_map(|r| &r.from).map(String::as_str).collect();
        let shown: Vec<&str> = names.iter().take(6).copied().collect();
        let more = if names.len() > 6 { format!(" and {} more", names.len() - 6) } else { String::new() };
        let _ = writeln!(
            out,
            "\n{}",
            wrap(
                &format!(
                    "platform: {} workloads that need node access by design: {}{more}",
                    names.len(),
                    shown.join(", ")
                ),
                "  ",
                "",
                width
            )
        );
    }
    let share = |n: usize| format!("{} %", (n * 100).checked_div(a.pods).unwrap_or(0));
    let [admin, node, secret] = a.pods_with_path;
    let _ = writeln!(out, "\n{} workloads are reachable from the internet", a.internet_workloads);
    // Without pods among the sources there is nothing to share.
    let _ = (a.pods > 0).then(|| writeln!(
        out,
        "of {} pods {admin} ({}) reach cluster-admin, {node} ({}) a node, {secret} ({}) a secret of another namespace",
        a.pods,
        share(admin),
        share(node),
        share(secret)
    ));
    if !a.choke_points.is_empty() {
        let list: Vec<String> = a.choke_points.iter().map(|(o, n)| format!("{o} ({n})")).collect();
        let _ = writeln!(
            out,
            "{}",
            wrap(&format!("removing these keeps most pods from cluster-admin: {}", list.join(", ")), "  ", "", width)
        );
    }
    footer(&mut out, cluster);
    out
}

fn row(out: &mut String, r: &Row, n: usize, width: usize, verbose: bool) {
    let (label, style) = severity(r.severity);
    let first = r.from.first().cloned().unwrap_or_default();
    let from = if r.from.len() > 1 { format!("{first} and {} more workloads", r.from.len() - 1) } else { first };
    let pods = if r.count > 1 { format!(" ({} pods)", r.count) } else { String::new() };
    let target = match r.targets.as_slice() {
        [one] => one.clone(),
        many if r.to == "cluster-admin" || many.is_empty() => r.to.clone(),
        _ => format!("{} ({})", r.to, r.target_count),
    };
    let text = format!("{from}{pods} → {target}");
    let _ = writeln!(
        out,
        "{n:>3} {} {}",
        paint(style, &label),
        paint(BOLD, wrap(&text, "             ", "", width.saturating_sub(13)).trim_start())
    );
    if verbose {
        steps(out, &r.steps, width, true);
        return;
    }
    for s in &r.steps {
        let rule = s.evidence.iter().rev().find(|e| e.pointer.starts_with("/rules/"));
        let field =
            s.evidence.iter().find(|e| !e.pointer.starts_with("/metadata/name") && e.pointer != "/metadata/namespace");
        let why = rule.or(field).or(s.evidence.last());
        let why = why
            .map(|e| {
                let value = if e.value.is_empty() { String::new() } else { format!(" = {}", e.value) };
                // A template is the part of a workload that counts; the line is short.
                let pointer = ["/spec/jobTemplate/spec/template/spec", "/spec/template/spec"]
                    .iter()
                    .find_map(|p| e.pointer.strip_prefix(p))
                    .map_or_else(|| e.pointer.clone(), |rest| format!("…{rest}"));
                format!(": {} {pointer}{value}", e.object.short())
            })
            .unwrap_or_default();
        let line = clean(&format!("{}: {}{}", s.technique, s.fact, why.replacen(": ", " ← ", 1)));
        let mut line: String = line.chars().take(width.saturating_sub(8)).collect();
        if line.chars().count() == width.saturating_sub(8) {
            line.pop();
            line.push('…');
        }
        let _ = writeln!(out, "      {}", paint(DIM, &line));
    }
}
