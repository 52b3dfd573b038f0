//! Objects whose removal breaks most paths, measured and not guessed.

use std::collections::{BTreeMap, BTreeSet};

use super::analyze::{Row, Source};
use super::answer::Verdict;
use super::name;
use crate::graph::FactId;
use crate::model::Cluster;
use crate::rules::Attack;
use crate::rules::ctx::unpack;
use crate::search::closure::{Condensed, LANES};
use crate::search::{Lane, Settings};

/// Objects whose removal takes cluster-admin from most pods, measured by closing the graph without them.
pub(super) fn choke_points(
    attack: &Attack,
    cluster: &Cluster,
    settings: &Settings,
    sources: &[&Source],
    rows: &[Row],
    admin: Option<FactId>,
) -> Vec<(String, usize)> {
    let Some(admin) = admin else { return Vec::new() };
    let mut cited: BTreeMap<u64, usize> = BTreeMap::new();
    for r in rows.iter().filter(|r| r.answer == Verdict::Yes && r.to == "cluster-admin") {
        let objects: BTreeSet<u64> = r
            .steps
            .iter()
            .flat_map(|s| &s.instances)
            .filter_map(|i| attack.graph.instances.get(*i as usize))
            .flat_map(|x| x.evidence.iter().map(|e| e.object.0))
            .filter(|o| {
                unpack(crate::graph::Object(*o)).is_some_and(|o| {
                    matches!(o.kind, crate::model::Kind::ClusterRoleBinding | crate::model::Kind::RoleBinding)
                })
            })
            .collect();
        for o in objects {
            *cited.entry(o).or_default() += r.count;
        }
    }
    let mut candidates: Vec<(usize, u64)> = cited.into_iter().map(|(o, n)| (n, o)).collect();
    candidates.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    candidates.truncate(if sources.len() > 2000 { 3 } else { 8 });
    let base = settings.mask(&attack.graph, Lane::Must);
    let count = |mask: &[bool]| -> usize {
        let condensed = Condensed::new(&attack.graph, mask);
        sources
            .chunks(LANES)
            .map(|chunk| {
                let lanes = condensed.close(&chunk.iter().map(|s| s.starts.clone()).collect::<Vec<_>>());
                chunk
                    .iter()
                    .enumerate()
                    .filter(|(l, _)| lanes.holds(admin, *l))
                    .map(|(_, s)| s.pods.len().max(usize::from(s.internet)))
                    .sum::<usize>()
            })
            .sum()
    };
    let before = count(&base);
    let mut out: Vec<(String, usize)> = candidates
        .into_iter()
        .map(|(_, o)| {
            let mask: Vec<bool> = base
                .iter()
                .zip(&attack.graph.instances)
                .map(|(m, x)| *m && !x.evidence.iter().any(|e| e.object.0 == o))
                .collect();
            (name::object(cluster, crate::graph::Object(o)).short(), before.saturating_sub(count(&mask)))
        })
        .filter(|(_, n)| *n > 0)
        .collect();
    out.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    out.truncate(3);
    out
}
