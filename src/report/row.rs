//! Rows of an analysis: sources of the same tail share one.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringBitmap;
use serde::Serialize;

use super::answer::{self, Missing, Verdict};
use super::name;
use super::source::Source;
use super::step::Step;
use crate::graph::FactId;
use crate::model::Cluster;
use crate::model::platform::{is_platform, short_kind};
use crate::rules::Attack;

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

/// Most members of a target that a row names: who reads every Secret is not told better by naming each of them, and rows
/// times Secrets would outgrow everything else in a large cluster.
pub const SHOWN: usize = 100;

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
    /// Members of the target that are reached, [`SHOWN`] at most.
    pub targets: Vec<String>,
    /// How many members are reached.
    pub target_count: usize,
    /// Proof from the first source.
    pub steps: Vec<Step>,
    /// What makes it unknown.
    pub unknown_because: Vec<Missing>,
    /// Workloads that are platform by design.
    pub platform: bool,
    /// Whether the targets are Secrets of another namespace.
    pub foreign: bool,
}

/// What one source reaches: a row before it is shared.
#[derive(Debug)]
pub(super) struct Finding {
    /// Yes or unknown.
    pub(super) verdict: Verdict,
    /// Name of the group of targets.
    pub(super) label: String,
    /// Members that are reached.
    pub(super) targets: RoaringBitmap,
    /// Proof.
    pub(super) steps: Vec<Step>,
    /// Whether the targets are Secrets of another namespace.
    pub(super) foreign: bool,
}

/// Target, severity, and the steps after the first as (technique, fact).
type Key = (String, String, Vec<(String, String)>);

/// Rows under construction.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    attack: &'a Attack,
    cluster: &'a Cluster,
    rows: BTreeMap<Key, (Row, RoaringBitmap)>,
}

impl<'a> Rows<'a> {
    /// No rows.
    pub(super) fn new(attack: &'a Attack, cluster: &'a Cluster) -> Self {
        Rows { attack, cluster, rows: BTreeMap::new() }
    }

    /// Workloads of a source, and whether each is platform by design.
    fn owners(&self, source: &Source) -> BTreeMap<String, bool> {
        if source.internet {
            return BTreeMap::from([("internet".into(), false)]);
        }
        if source.pods.is_empty() {
            let start = source.starts.first().and_then(|f| self.attack.fact(*f));
            let name = start.map(|f| name::selector(self.attack, self.cluster, f)).unwrap_or_default();
            return BTreeMap::from([(name, false)]);
        }
        source.pods.iter().filter_map(|p| self.owner(*p)).collect()
    }

    /// The workload of a pod, and whether it is platform by design.
    fn owner(&self, pod: u32) -> Option<(String, bool)> {
        let pod = self.cluster.objects.pods.get(pod as usize)?;
        let (kind, owner) = pod.owner(self.cluster);
        let ns = &pod.metadata.namespace;
        Some((format!("{}/{ns}/{owner}", short_kind(&kind)), is_platform(&owner, ns)))
    }

    /// Adds what a source reaches.
    pub(super) fn add(&mut self, source: &Source, finding: Finding) {
        let Finding { verdict, label, targets, steps, foreign } = finding;
        let owners = self.owners(source);
        let platform = !owners.is_empty() && owners.values().all(|p| *p);
        let mut severity = match label.as_str() {
            "cluster-admin" => Severity::Critical,
            "node/*" | "secret/kube-system/*" | "every-secret" => Severity::High,
            _ if foreign => Severity::Medium,
            _ => Severity::Low,
        };
        if source.internet {
            severity = shift(severity, true);
        }
        if verdict == Verdict::Unknown {
            severity = shift(severity, false);
        }
        let key = (label.clone(), format!("{severity:?}"), self.tail(source, verdict, platform, foreign, &steps));
        let first = source.pods.first().and_then(|p| self.owner(*p)).map(|(name, _)| name);
        let unknown: BTreeSet<Missing> = steps.iter().flat_map(|s| &s.unknown_if).map(|u| answer::missing(u)).collect();
        let (row, reached) = self.rows.entry(key).or_insert_with(|| {
            let row = Row {
                severity,
                answer: verdict,
                from: Vec::new(),
                count: 0,
                to: label,
                targets: Vec::new(),
                target_count: 0,
                steps,
                unknown_because: Vec::new(),
                platform,
                foreign,
            };
            (row, RoaringBitmap::new())
        });
        row.count += source.pods.len().max(1);
        // The owner of the pod that the proof starts from comes first.
        row.from.extend(first);
        row.from.extend(owners.into_keys());
        let all: BTreeSet<Missing> = row.unknown_because.drain(..).chain(unknown).collect();
        row.unknown_because = all.into_iter().collect();
        *reached |= targets;
    }

    /// Rows with the same steps after the first share a line; a single step counts by its technique. The namespace of
    /// the source itself makes no difference: the same mistake in forty namespaces is one row.
    fn tail(
        &self,
        source: &Source,
        verdict: Verdict,
        platform: bool,
        foreign: bool,
        steps: &[Step],
    ) -> Vec<(String, String)> {
        let own = source.pods.first().and_then(|p| self.cluster.objects.pods.get(*p as usize));
        let own = own.map(|p| p.metadata.namespace.as_str()).unwrap_or_default();
        let words = |s: &Step| {
            let ends_in_own = !own.is_empty() && s.fact.strip_suffix(own).is_some_and(|rest| rest.ends_with(" in "));
            if ends_in_own { s.fact.strip_suffix(own).unwrap_or(&s.fact).to_owned() } else { s.fact.clone() }
        };
        let mut tail: Vec<(String, String)> = steps.iter().skip(1).map(|s| (s.technique.clone(), words(s))).collect();
        if tail.is_empty() || source.internet {
            let shared = |s: &Step| if s.fact.contains("node/") { "node".into() } else { s.fact.clone() };
            tail = steps.iter().map(|s| (s.technique.clone(), shared(s))).collect();
        }
        let first = steps.first().map(|s| s.technique.clone()).unwrap_or_default();
        tail.insert(0, (first, format!("{verdict:?}{platform}{}{foreign}", source.internet)));
        tail
    }

    /// All rows, worst first.
    pub(super) fn finish(self) -> Vec<Row> {
        let (attack, cluster) = (self.attack, self.cluster);
        let mut rows = merge(self.rows.into_values());
        for (r, reached) in &mut rows {
            let facts = reached.iter().take(SHOWN).filter_map(|t| attack.fact(FactId(t)));
            r.targets = facts.map(|f| name::selector(attack, cluster, f)).collect();
            r.target_count = usize::try_from(reached.len()).unwrap_or(usize::MAX);
            // The proof starts from the first source: it stays in front.
            if let Some((first, rest)) = r.from.split_first() {
                let others: BTreeSet<&String> = rest.iter().filter(|x| *x != first).collect();
                r.from = std::iter::once(first.clone()).chain(others.into_iter().cloned()).collect();
            }
            r.targets.sort();
        }
        let mut rows: Vec<Row> = rows.into_iter().map(|(r, _)| r).collect();
        rows.sort_by(|a, b| {
            (a.answer == Verdict::Unknown)
                .cmp(&(b.answer == Verdict::Unknown))
                .then(b.severity.cmp(&a.severity))
                .then(b.count.cmp(&a.count))
                .then(a.from.cmp(&b.from))
                .then(a.to.cmp(&b.to))
        });
        rows
    }
}

/// Joins rows of the same workloads that differ only in the node between: the first proof stands for all.
fn merge(rows: impl Iterator<Item = (Row, RoaringBitmap)>) -> Vec<(Row, RoaringBitmap)> {
    /// Workloads, target, whether it is unknown, severity.
    type Same = (BTreeSet<String>, String, bool, Severity);
    let mut out: BTreeMap<Same, (Row, RoaringBitmap)> = BTreeMap::new();
    for (row, reached) in rows {
        let key = (row.from.iter().cloned().collect(), row.to.clone(), row.answer == Verdict::Unknown, row.severity);
        match out.entry(key) {
            std::collections::btree_map::Entry::Vacant(v) => {
                v.insert((row, reached));
            }
            std::collections::btree_map::Entry::Occupied(mut o) => {
                let (kept, all) = o.get_mut();
                kept.count += row.count;
                *all |= reached;
                if row.steps.len() < kept.steps.len() {
                    kept.from = row.from;
                    kept.steps = row.steps;
                    kept.unknown_because = row.unknown_because;
                }
            }
        }
    }
    out.into_values().collect()
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
