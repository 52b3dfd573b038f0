//! Every source against every target, worst first, with sources of the same tail in one row.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::answer::{self, Missing, Question, Verdict};
use super::choke::choke_points;
use super::name;
use super::platform::{is_platform, short_kind};
use super::step::{self, Step};
use crate::graph::FactId;
use crate::model::Cluster;
use crate::query::selector::Selection;
use crate::rules::Attack;
use crate::rules::fact::Fact;
use crate::search::Lane;
use crate::search::closure::Local;
use crate::search::lanes::{Condensed, LANES};
use crate::search::proof::{Guide, Proof, Prover, Ranking};

/// How bad a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Exit code 11.
    Low,
    /// Exit code 12.
    Medium,
    /// Exit code 13.
    High,
    /// Exit code 14.
    Critical,
}

/// One row: sources that reach a target over the same tail.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Severity.
    pub severity: Severity,
    /// Yes or unknown.
    pub answer: Verdict,
    /// Sources as workloads, `deploy/ns/name`.
    pub from: Vec<String>,
    /// Number of sources (pods, or 1 for the internet).
    pub count: usize,
    /// What is reached: `cluster-admin`, `node/*`, `secret/ns/*`.
    pub to: String,
    /// Members of the target that are reached.
    pub targets: Vec<String>,
    /// Proof from the first source.
    pub steps: Vec<Step>,
    /// What makes it unknown.
    pub unknown_because: Vec<Missing>,
    /// Workloads that are platform by design.
    pub platform: bool,
}

/// The whole result.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// Rows, worst first.
    pub paths: Vec<Row>,
    /// Pods asked.
    pub pods: usize,
    /// Pods with a path to cluster-admin, a node, or a Secret of another namespace.
    pub pods_with_path: [usize; 3],
    /// Workloads that the internet reaches.
    pub internet_workloads: usize,
    /// Objects whose removal breaks most paths, with how many pods lose one.
    pub choke_points: Vec<(String, usize)>,
}

/// Target, severity, and the steps after the first as (technique, fact).
type RowKey = (String, String, Vec<(String, String)>);
/// One way out of a container: technique, conclusion, unknowns, assumptions, other premises.
type WayOut = (u16, FactId, Vec<u32>, Vec<u32>, Vec<FactId>);

pub(super) struct Source {
    pub(super) pods: Vec<u32>,
    pub(super) starts: Vec<FactId>,
    pub(super) internet: bool,
    own: BTreeSet<FactId>,
}

/// Analyzes all sources against all targets.
pub fn analyze(attack: &Attack, cluster: &Cluster, question: &Question, from: &Selection, to: &Selection) -> Analysis {
    let settings = question.settings(attack);
    let to = &answer::targets(attack, cluster, to);
    let mut rows: BTreeMap<RowKey, Row> = BTreeMap::new();
    let mut reached: BTreeMap<RowKey, BTreeSet<FactId>> = BTreeMap::new();
    let admin = to.facts.iter().copied().find(|f| attack.fact(*f) == Some(Fact::ClusterAdmin));
    // Who reaches cluster-admin has no other row: what follows from it need not be walked.
    let masks = [Lane::Must, Lane::May].map(|lane| {
        let mut mask = settings.mask(&attack.graph, lane);
        for i in admin.iter().flat_map(|a| attack.graph.using(*a)) {
            if let Some(m) = mask.get_mut(*i as usize) {
                *m = false;
            }
        }
        mask
    });
    let condensed = both(&masks, |m| Condensed::new(&attack.graph, m));
    let mut analysis = Analysis {
        paths: Vec::new(),
        pods: 0,
        pods_with_path: [0; 3],
        internet_workloads: 0,
        choke_points: Vec::new(),
    };
    let ranking = if question.shortest { Ranking::Hops } else { Ranking::Cost };
    let mut prover = Prover::new(&attack.graph, &settings, ranking);
    let sources = classes(attack, cluster, from);
    analysis.pods = sources.iter().map(|s| s.pods.len()).sum();
    let sources = loud(attack, &masks[1], sources, to);
    let mut marks = vec![usize::MAX; attack.graph.facts];
    let guides = admin.map(|a| both(&masks, |m| prover.guide(m, a, attack.id(Fact::ApiReach))));
    // Sources that reach cluster-admin for sure: only these can lose it when something is removed.
    let mut admins: Vec<&Source> = Vec::new();
    for chunk in sources.chunks(LANES) {
        let starts: Vec<Vec<FactId>> = chunk.iter().map(|s| s.starts.clone()).collect();
        let lanes = both(&condensed, |c| c.close(&starts));
        // Targets by source: from the targets' side, so that sources × targets is never walked.
        let mut hits: Vec<Vec<(FactId, Verdict)>> = vec![Vec::new(); chunk.len()];
        for f in &to.facts {
            for lane in lanes[1].lanes_of(*f) {
                let verdict = if lanes[0].holds(*f, lane) { Verdict::Yes } else { Verdict::Unknown };
                if let Some(list) = hits.get_mut(lane) {
                    list.push((*f, verdict));
                }
            }
        }
        for (lane, source) in chunk.iter().enumerate() {
            let namespaces: BTreeSet<&str> = source
                .pods
                .iter()
                .filter_map(|p| cluster.objects.pods.get(*p as usize))
                .map(|p| p.metadata.namespace.as_str())
                .collect();
            let mut groups: BTreeMap<(u8, String), (Verdict, Vec<FactId>)> = BTreeMap::new();
            let holds = |f: FactId| {
                if lanes[0].holds(f, lane) {
                    Some(Verdict::Yes)
                } else if lanes[1].holds(f, lane) {
                    Some(Verdict::Unknown)
                } else {
                    None
                }
            };
            let admin_verdict = admin.and_then(holds);
            if admin_verdict == Some(Verdict::Yes) {
                admins.push(source);
            }
            if let Some(v) = admin_verdict {
                groups.insert((0, "cluster-admin".into()), (v, admin.into_iter().collect()));
            }
            if admin_verdict != Some(Verdict::Yes) {
                for (f, v) in hits.get(lane).into_iter().flatten().map(|(f, v)| (f, *v)) {
                    if source.own.contains(f) || (v == Verdict::Unknown && admin_verdict.is_some()) {
                        continue;
                    }
                    let key = match attack.fact(*f) {
                        Some(Fact::Node(_) | Fact::NodeOf(_) | Fact::AnyNode) => (1, "node/*".to_owned()),
                        Some(Fact::Secret(s)) => {
                            let ns =
                                cluster.objects.secrets.get(s as usize).map_or("", |x| x.metadata.namespace.as_str());
                            let own = ns == "kube-system" || namespaces.contains(ns);
                            (2, if own { format!("secret/{ns}/*") } else { "secret/*".to_owned() })
                        }
                        Some(Fact::ClusterAdmin) | None => continue,
                        Some(x) => (3, name::selector(attack, cluster, x)),
                    };
                    let entry = groups.entry(key).or_insert((v, Vec::new()));
                    if v == Verdict::Yes && entry.0 == Verdict::Unknown {
                        *entry = (v, Vec::new());
                    }
                    if entry.0 == v {
                        entry.1.push(*f);
                    }
                }
            }
            let mut flags = [false; 3];
            let proofs = prove(&mut prover, &masks, guides.as_ref(), admin, &mut marks, source, groups.values());
            for (((rank, label), (verdict, targets)), proof) in groups.iter().zip(proofs) {
                let kube_system = label == "secret/kube-system/*" && !namespaces.contains("kube-system");
                let foreign = label == "secret/*" || kube_system;
                if *verdict == Verdict::Yes {
                    flags[0] |= *rank == 0;
                    flags[1] |= *rank <= 1;
                    flags[2] |= *rank == 0 || (*rank == 2 && foreign);
                }
                let Some(proof) = proof else { continue };
                let steps = step::steps(attack, cluster, &settings, &proof);
                add_row(&mut rows, &mut reached, attack, cluster, source, *verdict, label, targets, steps, foreign);
            }
            for (slot, flag) in analysis.pods_with_path.iter_mut().zip(flags) {
                if flag {
                    *slot += source.pods.len();
                }
            }
        }
    }
    for (key, row) in &mut rows {
        let facts = reached.get(key).into_iter().flatten().filter_map(|t| attack.fact(*t));
        row.targets = facts.map(|f| name::selector(attack, cluster, f)).collect();
    }
    let mut paths: Vec<Row> = merge(rows.into_values());
    for r in &mut paths {
        // The proof starts from the first source: it stays in front.
        if let Some((first, rest)) = r.from.split_first() {
            let others: BTreeSet<&String> = rest.iter().filter(|x| *x != first).collect();
            r.from = std::iter::once(first.clone()).chain(others.into_iter().cloned()).collect();
        }
        r.targets.sort();
        r.targets.dedup();
    }
    paths.sort_by(|a, b| {
        (a.answer == Verdict::Unknown)
            .cmp(&(b.answer == Verdict::Unknown))
            .then(b.severity.cmp(&a.severity))
            .then(b.count.cmp(&a.count))
            .then(a.from.cmp(&b.from))
            .then(a.to.cmp(&b.to))
    });
    analysis.internet_workloads = internet_workloads(attack, cluster, &masks[0]);
    analysis.choke_points = choke_points(attack, cluster, &masks[0], &admins, &paths, admin);
    analysis.paths = paths;
    analysis
}

/// Sources that reach some target beside what they hold themselves, as far as a short walk tells.
fn loud(attack: &Attack, mask: &[bool], sources: Vec<Source>, to: &Selection) -> Vec<Source> {
    /// Facts after which a walk is no longer short.
    const SHORT: usize = 256;
    let mut local = Local::new(&attack.graph, mask);
    let mut targets = vec![false; attack.graph.facts];
    for f in &to.facts {
        if let Some(t) = targets.get_mut(f.0 as usize) {
            *t = true;
        }
    }
    let finding = |s: &Source, f: &FactId| targets.get(f.0 as usize) == Some(&true) && !s.own.contains(f);
    sources
        .into_iter()
        .filter(|s| local.closure(&s.starts, SHORT).is_none_or(|known| known.iter().any(|f| finding(s, f))))
        .collect()
}

/// The same for what is certain and for what is possible, on two threads.
fn both<'a, A: Sync, T: Send>(inputs: &'a [A; 2], f: impl Fn(&'a A) -> T + Sync) -> [T; 2] {
    let [must, may] = inputs;
    std::thread::scope(|s| {
        let other = s.spawn(|| f(may));
        let first = f(must);
        [first, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))]
    })
}

/// The best proof of each group of targets; certain ones are proven without what is unknown. `marks` is a buffer: the
/// group of each fact.
fn prove<'a>(
    prover: &mut Prover<'_>,
    masks: &[Vec<bool>; 2],
    guides: Option<&[Guide; 2]>,
    admin: Option<FactId>,
    marks: &mut [usize],
    source: &Source,
    groups: impl Iterator<Item = &'a (Verdict, Vec<FactId>)> + Clone,
) -> Vec<Option<Proof>> {
    let mut out: Vec<Option<Proof>> = groups.clone().map(|_| None).collect();
    for (verdict, mask) in [Verdict::Yes, Verdict::Unknown].into_iter().zip(masks) {
        let of_verdict = || groups.clone().enumerate().filter(|(_, (v, _))| *v == verdict);
        let numbers: Vec<usize> = of_verdict().map(|(n, _)| n).collect();
        if numbers.is_empty() {
            continue;
        }
        if let ([n], Some(admin), Some(guide)) =
            (numbers.as_slice(), admin, guides.and_then(|g| g.get(usize::from(verdict == Verdict::Unknown))))
            && of_verdict().all(|(_, (_, targets))| *targets == [admin])
        {
            if let Some(slot) = out.get_mut(*n) {
                *slot = prover.prove_guided(mask, &source.starts, guide);
            }
            continue;
        }
        let mark = |marks: &mut [usize], set: bool| {
            for (n, f) in of_verdict().flat_map(|(n, (_, targets))| targets.iter().map(move |f| (n, f))) {
                if let Some(m) = marks.get_mut(f.0 as usize) {
                    *m = if set { n } else { usize::MAX };
                }
            }
        };
        mark(marks, true);
        let group = |f: FactId| marks.get(f.0 as usize).and_then(|m| numbers.iter().position(|n| n == m));
        let proofs = prover.prove_each(mask, &source.starts, numbers.len(), &group);
        for (n, proof) in numbers.iter().zip(proofs) {
            if let Some(slot) = out.get_mut(*n) {
                *slot = proof;
            }
        }
        mark(marks, false);
    }
    out
}

/// Joins rows of the same workloads that differ only in the node between: the first proof stands for all.
fn merge(rows: impl Iterator<Item = Row>) -> Vec<Row> {
    let mut out: BTreeMap<(BTreeSet<String>, String, bool, Severity), Row> = BTreeMap::new();
    for row in rows {
        let key = (row.from.iter().cloned().collect(), row.to.clone(), row.answer == Verdict::Unknown, row.severity);
        match out.entry(key) {
            std::collections::btree_map::Entry::Vacant(v) => {
                v.insert(row);
            }
            std::collections::btree_map::Entry::Occupied(mut o) => {
                let kept = o.get_mut();
                kept.count += row.count;
                kept.targets.extend(row.targets);
                if row.steps.len() < kept.steps.len() {
                    kept.steps = row.steps;
                    kept.unknown_because = row.unknown_because;
                }
            }
        }
    }
    out.into_values().collect()
}

/// Groups pods whose containers have the same ways out.
fn classes(attack: &Attack, cluster: &Cluster, from: &Selection) -> Vec<Source> {
    let mut map: BTreeMap<Vec<WayOut>, Source> = BTreeMap::new();
    let mut out = Vec::new();
    for f in &from.facts {
        let Some(Fact::Pod(p)) = attack.fact(*f) else {
            out.push(Source {
                pods: Vec::new(),
                starts: answer::starts(attack, cluster, *f),
                internet: attack.fact(*f) == Some(Fact::Internet),
                own: BTreeSet::new(),
            });
            continue;
        };
        let starts = answer::starts(attack, cluster, *f);
        if starts.is_empty() {
            continue;
        }
        let mut signature = Vec::new();
        let mut own = BTreeSet::new();
        for s in &starts {
            for i in attack.graph.using(*s) {
                let Some(x) = attack.graph.instances.get(*i as usize) else { continue };
                if matches!(attack.fact(x.conclusion), Some(Fact::Exec(q, _) | Fact::Pod(q)) if q == p) {
                    continue;
                }
                if matches!(attack.fact(x.conclusion), Some(Fact::Secret(_))) {
                    own.insert(x.conclusion);
                }
                let others = x.premises.iter().copied().filter(|q| !starts.contains(q)).collect();
                signature.push((x.technique, x.conclusion, x.unknowns.to_vec(), x.assumptions.to_vec(), others));
            }
        }
        signature.sort();
        signature.dedup();
        let ns = cluster.objects.pods.get(p as usize).map(|x| x.metadata.namespace.clone()).unwrap_or_default();
        // The namespace decides which Secrets are foreign.
        let marker = attack.namespaces.iter().position(|n| *n == ns).unwrap_or(0) as u32;
        signature.push((u16::MAX, FactId(u32::MAX), vec![marker], Vec::new(), Vec::new()));
        map.entry(signature).or_insert_with(|| Source { pods: Vec::new(), starts, internet: false, own }).pods.push(p);
    }
    out.extend(map.into_values());
    out
}

#[allow(clippy::too_many_arguments, reason = "one call site")]
fn add_row(
    rows: &mut BTreeMap<RowKey, Row>,
    reached: &mut BTreeMap<RowKey, BTreeSet<FactId>>,
    attack: &Attack,
    cluster: &Cluster,
    source: &Source,
    verdict: Verdict,
    label: &str,
    targets: &[FactId],
    steps: Vec<Step>,
    foreign: bool,
) {
    let mut owners: BTreeMap<String, bool> = BTreeMap::new();
    for p in &source.pods {
        if let Some(pod) = cluster.objects.pods.get(*p as usize) {
            let (kind, owner) = pod.owner(cluster);
            owners.insert(
                format!("{}/{}/{owner}", short_kind(&kind), pod.metadata.namespace),
                is_platform(&owner, &pod.metadata.namespace),
            );
        }
    }
    if source.internet {
        owners.insert("internet".into(), false);
    } else if source.pods.is_empty() {
        owners.insert(
            source
                .starts
                .first()
                .and_then(|f| attack.fact(*f))
                .map(|f| name::selector(attack, cluster, f))
                .unwrap_or_default(),
            false,
        );
    }
    let platform = !owners.is_empty() && owners.values().all(|p| *p);
    let mut severity = match label {
        "cluster-admin" => Severity::Critical,
        "node/*" | "secret/kube-system/*" => Severity::High,
        _ if foreign => Severity::Medium,
        _ => Severity::Low,
    };
    if source.internet {
        severity = shift(severity, true);
    }
    if verdict == Verdict::Unknown {
        severity = shift(severity, false);
    }
    // Rows with the same steps after the first share a line; a single step counts by its technique.
    let mut tail: Vec<(String, String)> = steps.iter().skip(1).map(|s| (s.technique.clone(), s.fact.clone())).collect();
    if tail.is_empty() || source.internet {
        tail = steps
            .iter()
            .map(|s| (s.technique.clone(), if s.fact.contains("node/") { "node".into() } else { s.fact.clone() }))
            .collect();
    }
    tail.insert(
        0,
        (
            steps.first().map(|s| s.technique.clone()).unwrap_or_default(),
            format!("{verdict:?}{platform}{}", source.internet),
        ),
    );
    let unknown: BTreeSet<String> = steps.iter().flat_map(|s| s.unknown_if.iter().cloned()).collect();
    let key = (label.to_owned(), format!("{severity:?}"), tail);
    let row = rows.entry(key.clone()).or_insert_with(|| Row {
        severity,
        answer: verdict,
        from: Vec::new(),
        count: 0,
        to: label.to_owned(),
        targets: Vec::new(),
        steps,
        unknown_because: unknown.iter().map(|u| answer::missing(u)).collect(),
        platform,
    });
    row.count += source.pods.len().max(1);
    row.from.extend(owners.into_keys());
    reached.entry(key).or_default().extend(targets);
}

fn shift(s: Severity, up: bool) -> Severity {
    match (s, up) {
        (Severity::Critical | Severity::High, true) => Severity::Critical,
        (Severity::Medium, true) => Severity::High,
        (Severity::Low, true) => Severity::Medium,
        (Severity::Critical, false) => Severity::High,
        (Severity::High, false) => Severity::Medium,
        (Severity::Medium | Severity::Low, false) => Severity::Low,
    }
}

fn internet_workloads(attack: &Attack, cluster: &Cluster, mask: &[bool]) -> usize {
    let Some(internet) = attack.id(Fact::Internet) else { return 0 };
    let mut owners = BTreeSet::new();
    for i in attack.graph.using(internet) {
        let Some(x) =
            attack.graph.instances.get(*i as usize).filter(|_| mask.get(*i as usize).copied().unwrap_or(false))
        else {
            continue;
        };
        if let Some(Fact::Reach(p)) = attack.fact(x.conclusion)
            && let Some(pod) = cluster.objects.pods.get(p as usize)
        {
            let (kind, owner) = pod.owner(cluster);
            owners.insert((pod.metadata.namespace.clone(), kind, owner));
        }
    }
    owners.len()
}
