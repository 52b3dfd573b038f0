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
                (p, Some(n)) if r.list.is_empty() => format!("{p} rule {n} "),
                (p, Some(n)) => format!("{p} {} rule {n} ", r.list),
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

/// An end of an arrow: a workload, every workload drawn, or every one of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Tip<'a> {
    Internet,
    Every,
    Namespace(&'a str),
    Workload(&'a str),
}

/// Ports and whether they are unknown.
type Label<'a> = (&'a str, bool);

/// Fewest workloads that one box stands for.
const GROUP: usize = 3;

/// Arrows, where several workloads share a box if each of them has the same arrow: without that, a namespace without
/// policies is a picture of nothing but arrows.
fn grouped<'a>(names: &BTreeMap<&'a str, &'a str>, rows: &'a [Connection]) -> BTreeSet<(Tip<'a>, Tip<'a>, Label<'a>)> {
    let mut members: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, namespace) in names {
        members.entry(namespace).or_default().insert(name);
    }
    let all: BTreeSet<&str> = names.keys().copied().collect();
    let mut arrows = BTreeSet::new();
    let mut sources: BTreeMap<(&str, Label<'_>), BTreeSet<&str>> = BTreeMap::new();
    for r in rows.iter().filter(|r| r.to != "internet") {
        let label = (r.ports.as_str(), r.answer == Verdict::Unknown);
        match names.get_key_value(r.from.as_str()) {
            Some((from, _)) => {
                sources.entry((r.to.as_str(), label)).or_default().insert(from);
            }
            None => {
                arrows.insert((Tip::Internet, Tip::Workload(r.to.as_str()), label));
            }
        }
    }
    // By source: to which workloads each tip has an arrow of a label.
    let mut targets: BTreeMap<(Tip<'_>, Label<'_>), BTreeSet<&str>> = BTreeMap::new();
    for ((to, label), mut from) in sources {
        let others = |group: &BTreeSet<&'a str>| group.iter().copied().filter(|w| *w != to).collect::<BTreeSet<_>>();
        let mut from_tip = |tip| {
            targets.entry((tip, label)).or_default().insert(to);
        };
        if all.len() > GROUP && from == others(&all) {
            from_tip(Tip::Every);
            continue;
        }
        for (namespace, group) in &members {
            let group = others(group);
            if group.len() >= GROUP && group.is_subset(&from) {
                from_tip(Tip::Namespace(namespace));
                from.retain(|w| !group.contains(w));
            }
        }
        from.into_iter().for_each(|w| from_tip(Tip::Workload(w)));
    }
    for ((tip, label), mut to) in targets {
        let own = |w: &&str| tip != Tip::Workload(w);
        if all.len() > GROUP && all.iter().filter(|w| own(w)).all(|w| to.contains(w)) {
            arrows.insert((tip, Tip::Every, label));
            continue;
        }
        for (namespace, group) in &members {
            let group: BTreeSet<&str> = group.iter().copied().filter(|w| own(w)).collect();
            if group.len() >= GROUP && group.is_subset(&to) {
                arrows.insert((tip, Tip::Namespace(namespace), label));
                to.retain(|w| !group.contains(w));
            }
        }
        arrows.extend(to.into_iter().map(|w| (tip, Tip::Workload(w), label)));
    }
    arrows
}

/// Boxes and arrows: workloads by namespace, and the internet.
pub fn picture(names: &BTreeMap<&str, &str>, rows: &[Connection]) -> Picture {
    let arrows = grouped(names, rows);
    let mut p = Picture { caption: format!("connections of {} workloads", names.len()), ..Picture::default() };
    let mut index: BTreeMap<Tip<'_>, usize> = BTreeMap::new();
    let workloads = names.keys().map(|n| Tip::Workload(n));
    let rest: BTreeSet<Tip<'_>> =
        arrows.iter().flat_map(|(a, b, _)| [*a, *b]).filter(|t| !matches!(t, Tip::Workload(_))).collect();
    for tip in workloads.chain(rest) {
        index.insert(tip, p.boxes.len());
        let (kind, name, shape, namespace) = match tip {
            Tip::Internet => ("", "internet", Shape::Attacker, ""),
            Tip::Every => ("each of the others", "every workload drawn", Shape::Group, ""),
            Tip::Namespace(n) => ("each of the others", "every workload here", Shape::Group, n),
            Tip::Workload(name) => {
                let (kind, rest) = name.split_once('/').unwrap_or(("", name));
                let short = rest.split_once('/').map_or(rest, |(_, n)| n);
                (kind, short, Shape::Workload, names.get(name).copied().unwrap_or(""))
            }
        };
        p.boxes.push(Box_ { kind: kind.to_owned(), name: name.to_owned(), shape, namespace: namespace.to_owned() });
    }
    for (from, to, (ports, unknown)) in arrows {
        if let (Some(a), Some(b)) = (index.get(&from), index.get(&to)) {
            let strong = from == Tip::Internet;
            p.arrows.push(Arrow { from: *a, to: *b, label: ports.to_owned(), unknown, strong });
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Boxes that stand for several workloads say exactly what the rows say.
    #[test]
    fn grouping_loses_and_adds_nothing() {
        let mut r = fastrand::Rng::with_seed(3);
        let mut shared = 0;
        for _ in 0..2000 {
            let count = r.usize(1..9);
            let all: Vec<(String, String)> =
                (0..count).map(|n| (format!("deploy/n{}/w{n}", n % 2), format!("n{}", n % 2))).collect();
            let names: BTreeMap<&str, &str> = all.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let dense = r.usize(0..10);
            let mut rows = Vec::new();
            for (a, _) in &all {
                for (b, _) in all.iter().filter(|(b, _)| b != a) {
                    if r.usize(0..10) >= dense.max(6) {
                        continue;
                    }
                    let known = dense > 5 || r.bool();
                    rows.push(Connection {
                        from: a.clone(),
                        to: b.clone(),
                        ports: if dense > 7 || r.bool() { "all ports".into() } else { "TCP 80".into() },
                        answer: if known { Verdict::Yes } else { Verdict::Unknown },
                        unknown_if: Vec::new(),
                    });
                }
            }
            let arrows = grouped(&names, &rows);
            shared += usize::from(arrows.len() < rows.len());
            let members = |tip: Tip<'_>| -> Vec<String> {
                all.iter()
                    .filter(|(w, n)| match tip {
                        Tip::Every => true,
                        Tip::Namespace(x) => n == x,
                        Tip::Workload(x) => w == x,
                        Tip::Internet => false,
                    })
                    .map(|(w, _)| w.clone())
                    .collect()
            };
            let mut drawn = BTreeSet::new();
            for (from, to, (ports, unknown)) in arrows {
                for a in members(from) {
                    for b in members(to).into_iter().filter(|b| *b != a) {
                        drawn.insert((a.clone(), b, ports.to_owned(), unknown));
                    }
                }
            }
            let wanted: BTreeSet<_> = rows
                .iter()
                .map(|c| (c.from.clone(), c.to.clone(), c.ports.clone(), c.answer == Verdict::Unknown))
                .collect();
            assert_eq!(drawn, wanted);
        }
        assert!(shared > 400, "only {shared} pictures had a shared box");
    }
}
