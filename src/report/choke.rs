//! Objects whose removal breaks most paths, measured and not guessed.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Verdict;
use super::name;
use super::row::Row;
use super::source::Source;
use crate::graph::{FactId, Instance};
use crate::model::Cluster;
use crate::rules::Attack;
use crate::rules::ctx::unpack;
use crate::rules::fact::Fact;
use crate::rules::technique::technique;
use crate::search::lanes::{LANES, Removed};
use crate::search::pivot::Pivot;

/// Objects whose removal takes cluster-admin from most pods, measured by closing the graph without them.
pub(super) fn choke_points(
    attack: &Attack,
    cluster: &Cluster,
    mask: &[bool],
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
            .filter(|x| grants(attack, x))
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
    let removals = |x: &Instance| {
        if !grants(attack, x) {
            return 0;
        }
        let cites = |o: &u64| x.evidence.iter().any(|e| e.object.0 == *o);
        candidates.iter().enumerate().filter(|(_, (_, o))| cites(o)).fold(0, |set: Removed, (n, _)| set | 1 << n)
    };
    let pivot = Pivot::with(&attack.graph, mask, attack.id(Fact::ApiReach), Some(admin), &removals);
    // One lane a source and a removed object.
    let mut lost = vec![0usize; candidates.len()];
    let lanes: Vec<(usize, &Source)> =
        (0..candidates.len()).flat_map(|n| sources.iter().map(move |s| (n, *s))).collect();
    for chunk in lanes.chunks(LANES) {
        let starts: Vec<(&[FactId], Removed)> = chunk.iter().map(|(n, s)| (s.starts.as_slice(), 1 << n)).collect();
        let closed = pivot.close_without(&starts);
        for (_, (n, s)) in chunk.iter().enumerate().filter(|(lane, _)| !closed.holds(admin, *lane)) {
            if let Some(count) = lost.get_mut(*n) {
                *count += s.pods.len().max(usize::from(s.internet));
            }
        }
    }
    let mut out: Vec<(String, usize)> = candidates
        .into_iter()
        .zip(lost)
        .map(|((_, o), n)| (name::object(cluster, crate::graph::Object(o)).short(), n))
        .filter(|(_, n)| *n > 0)
        .collect();
    out.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    out.truncate(3);
    out
}

/// Whether the binding that an instance cites gives the right. A binding also shows that a group or user exists; without
/// it, they would exist all the same.
fn grants(attack: &Attack, x: &Instance) -> bool {
    let id = technique(x.technique).map_or("", |t| t.id);
    !matches!(attack.fact(x.conclusion), Some(Fact::Class(_)))
        && !matches!(id, "identity-groups" | "entry-authenticated-binding")
}
