//! Every source against every target, worst first, with sources of the same tail in one row.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::answer::{self, Question, Verdict};
use super::choke::choke_points;
use super::name;
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
use crate::search::pivot::{Closed, Pivot};
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

/// What one source reaches, by kind of target: rank and name, how sure, which members.
type Groups = BTreeMap<(u8, String), (Verdict, Vec<FactId>)>;

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
    let mut marks = vec![usize::MAX; attack.graph.facts];
    let mut rows = Rows::new(attack, cluster);
    let mut pods_with_path = [0; 3];
    // Sources that reach cluster-admin for sure: only these can lose it when something is removed.
    let mut admins: Vec<&Source> = Vec::new();
    let pivots = both(&masks, |m| Pivot::new(&attack.graph, m, api));
    for chunk in sources.chunks(LANES) {
        let starts: Vec<Vec<FactId>> = chunk.iter().map(|s| s.starts.clone()).collect();
        let lanes = both(&pivots, |p| p.close(&starts));
        let all_hits = hits(to, &lanes, chunk.len());
        for ((lane, source), hits) in chunk.iter().enumerate().zip(&all_hits) {
            let admin_verdict = admin.and_then(|a| verdict(&lanes, a, lane));
            if admin_verdict == Some(Verdict::Yes) {
                admins.push(source);
            }
            let groups = group(attack, cluster, source, admin.zip(admin_verdict), hits);
            let proofs = prove(&mut prover, &masks, guides.as_ref(), admin, &mut marks, source, groups.values());
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
        internet_workloads: internet_workloads(attack, cluster, &masks[0]),
        choke_points: choke_points(attack, cluster, &masks[0], &admins, &paths, admin),
        paths,
    }
}

/// Namespaces of the pods of a source.
fn namespaces<'c>(cluster: &'c Cluster, source: &Source) -> BTreeSet<&'c str> {
    let pods = source.pods.iter().filter_map(|p| cluster.objects.pods.get(*p as usize));
    pods.map(|p| p.metadata.namespace.as_str()).collect()
}

/// How sure a fact is in a lane; `None` when it does not follow.
fn verdict(lanes: &[Closed<'_>; 2], fact: FactId, lane: usize) -> Option<Verdict> {
    match lanes.each_ref().map(|l| l.holds(fact, lane)) {
        [true, _] => Some(Verdict::Yes),
        [false, true] => Some(Verdict::Unknown),
        [false, false] => None,
    }
}

/// Targets by lane, gathered from the targets' side: sources × targets is never walked.
fn hits(to: &Selection, lanes: &[Closed<'_>; 2], count: usize) -> Vec<Vec<(FactId, Verdict)>> {
    let mut hits = vec![Vec::new(); count];
    let [must, may] = lanes;
    for f in &to.facts {
        for lane in may.lanes_of(*f) {
            let verdict = if must.holds(*f, lane) { Verdict::Yes } else { Verdict::Unknown };
            if let Some(list) = hits.get_mut(lane) {
                list.push((*f, verdict));
            }
        }
    }
    hits
}

/// Sorts what a source reaches by kind of target. What it holds itself is no finding, what cluster-admin includes
/// neither.
fn group(
    attack: &Attack,
    cluster: &Cluster,
    source: &Source,
    admin: Option<(FactId, Verdict)>,
    hits: &[(FactId, Verdict)],
) -> Groups {
    let mut groups = Groups::new();
    if let Some((fact, verdict)) = admin {
        groups.insert((0, "cluster-admin".into()), (verdict, vec![fact]));
        if verdict == Verdict::Yes {
            return groups;
        }
    }
    let namespaces = namespaces(cluster, source);
    for (f, v) in hits {
        if source.own.contains(f) || (*v == Verdict::Unknown && admin.is_some()) {
            continue;
        }
        let key = match attack.fact(*f) {
            Some(Fact::Node(_) | Fact::NodeOf(_) | Fact::AnyNode) => (1, "node/*".to_owned()),
            Some(Fact::Secret(s)) => {
                let ns = cluster.objects.secrets.get(s as usize).map_or("", |x| x.metadata.namespace.as_str());
                let own = ns == "kube-system" || namespaces.contains(ns);
                (2, if own { format!("secret/{ns}/*") } else { "secret/*".to_owned() })
            }
            Some(Fact::ClusterAdmin) | None => continue,
            Some(x) => (3, name::selector(attack, cluster, x)),
        };
        let entry = groups.entry(key).or_insert((*v, Vec::new()));
        if *v == Verdict::Yes && entry.0 == Verdict::Unknown {
            *entry = (*v, Vec::new());
        }
        if entry.0 == *v {
            entry.1.push(*f);
        }
    }
    groups
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
