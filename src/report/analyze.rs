//! Every source against every target, worst first, with sources of the same tail in one row.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;
use serde::Serialize;

use super::answer::{self, Question, Verdict};
use super::choke::choke_points;
use super::hits::{Half, Kinds, Reach, both, namespaces};
use super::row::{Finding, Rows};
pub use super::row::{Row, Severity};
use super::source::{Source, classes, loud};
use super::step;
use crate::graph::FactId;
use crate::model::Cluster;
use crate::query::selector::Selection;
use crate::rules::Attack;
use crate::rules::fact::Fact;
use crate::search::Lane;
use crate::search::lanes::LANES;
use crate::search::proof::{Guide, Proof, Prover, Ranking};

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

/// Analyzes all sources against all targets.
pub fn analyze(attack: &Attack, cluster: &Cluster, question: &Question, from: &Selection, to: &Selection) -> Analysis {
    let settings = question.settings(attack);
    let to = &answer::targets(attack, cluster, to);
    let admin = to.facts.iter().copied().find(|f| attack.fact(*f) == Some(Fact::ClusterAdmin));
    let api = attack.id(Fact::ApiReach);
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
    let sources = classes(attack, cluster, from);
    let pods = sources.iter().map(|s| s.pods.len()).sum();
    let sources = loud(attack, &masks[1], sources, to);
    let ranking = if question.shortest { Ranking::Hops } else { Ranking::Cost };
    let mut prover = Prover::new(&attack.graph, &settings, ranking);
    let guides = admin.map(|a| both(&masks, |m| prover.guide(m, a, api)));
    let mut rows = Rows::new(attack, cluster);
    let mut pods_with_path = [0; 3];
    // Sources that reach cluster-admin for sure: only these can lose it when something is removed.
    let mut admins: Vec<&Source> = Vec::new();
    let certain = masks.first().cloned().unwrap_or_default();
    let reach = Reach::new(attack, &settings, ranking, masks, to, admin);
    let kinds = Kinds::new(attack, cluster, to);
    for chunk in sources.chunks(LANES) {
        for (source, hits) in chunk.iter().zip(reach.of(chunk)) {
            if hits.admin == Some(Verdict::Yes) {
                admins.push(source);
            }
            let groups = kinds.group(attack, cluster, source, admin, &hits);
            let proofs = prove(&mut prover, &reach.halves, guides.as_ref(), admin, source, groups.values());
            let namespaces = namespaces(cluster, source);
            let mut flags = [false; 3];
            for (((rank, label), (verdict, targets)), proof) in groups.into_iter().zip(proofs) {
                let kube_system = label == "secret/kube-system/*" && !namespaces.contains("kube-system");
                let foreign = label == "secret/*" || kube_system;
                if verdict == Verdict::Yes {
                    flags[0] |= rank == 0;
                    flags[1] |= rank <= 1;
                    flags[2] |= rank == 0 || (rank == 2 && foreign);
                }
                let Some(proof) = proof else { continue };
                let steps = step::steps(attack, cluster, &settings, &proof);
                rows.add(source, Finding { verdict, label, targets, steps, foreign });
            }
            for (slot, _) in pods_with_path.iter_mut().zip(flags).filter(|(_, flag)| *flag) {
                *slot += source.pods.len();
            }
        }
    }
    let paths = rows.finish();
    Analysis {
        pods,
        pods_with_path,
        internet_workloads: internet_workloads(attack, cluster, &certain),
        choke_points: choke_points(attack, cluster, &certain, &admins, &paths, admin),
        paths,
    }
}

/// The best proof of each group of targets; certain ones are proven without what is unknown.
fn prove<'a>(
    prover: &mut Prover<'_>,
    halves: &[Half; 2],
    guides: Option<&[Guide; 2]>,
    admin: Option<FactId>,
    source: &Source,
    groups: impl Iterator<Item = &'a (Verdict, RoaringBitmap)> + Clone,
) -> Vec<Option<Proof>> {
    let mut out: Vec<Option<Proof>> = groups.clone().map(|_| None).collect();
    for (verdict, half) in [Verdict::Yes, Verdict::Unknown].into_iter().zip(halves) {
        let (numbers, targets): (Vec<usize>, Vec<&RoaringBitmap>) =
            groups.clone().enumerate().filter(|(_, (v, _))| *v == verdict).map(|(n, (_, t))| (n, t)).unzip();
        if numbers.is_empty() {
            continue;
        }
        if let ([n], [one], Some(admin), Some(guide)) = (
            numbers.as_slice(),
            targets.as_slice(),
            admin,
            guides.and_then(|g| g.get(usize::from(verdict == Verdict::Unknown))),
        ) && one.len() == 1
            && one.contains(admin.0)
        {
            if let Some(slot) = out.get_mut(*n) {
                *slot = prover.prove_guided(&half.mask, &source.starts, guide);
            }
            continue;
        }
        let proofs = prover.prove_sets(&half.mask, &half.bundles, &source.starts, &targets);
        for (n, proof) in numbers.iter().zip(proofs) {
            if let Some(slot) = out.get_mut(*n) {
                *slot = proof;
            }
        }
    }
    out
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
