//! Which targets each source reaches, as sets: what a right covers is never listed one by one.

use std::collections::{BTreeMap, BTreeSet};

use roaring::{MultiOps, RoaringBitmap};

use super::answer::Verdict;
use super::name;
use super::source::Source;
use crate::graph::FactId;
use crate::model::Cluster;
use crate::query::selector::Selection;
use crate::rules::Attack;
use crate::rules::fact::Fact;
use crate::search::Settings;
use crate::search::bundle::{Bundles, MANY};
use crate::search::lanes::LANES;
use crate::search::pivot::{Closed, Pivot};
use crate::search::proof::Ranking;

/// What one source reaches, by kind of target: rank and name, how sure, which members.
pub(super) type Groups = BTreeMap<(u8, String), (Verdict, RoaringBitmap)>;

/// How sure cluster-admin is in a lane, and what else is sure and what is possible.
#[derive(Debug, Clone, Default)]
pub(super) struct Hits {
    /// How sure cluster-admin is; `None` when it does not follow.
    pub(super) admin: Option<Verdict>,
    sure: RoaringBitmap,
    possible: RoaringBitmap,
}

/// A graph prepared for closing sources: what is certain, or what is possible.
#[derive(Debug)]
pub(super) struct Half {
    /// The active part, without the instances of the bundles.
    pub(super) mask: Vec<bool>,
    /// Targets that need no visit.
    pub(super) bundles: Bundles,
    pivot: Pivot,
}

/// Both halves, certain first.
#[derive(Debug)]
pub(super) struct Reach {
    pub(super) halves: [Half; 2],
    admin: Option<FactId>,
    targets: Vec<FactId>,
}

impl Reach {
    /// Prepares the active parts of a graph.
    pub(super) fn new(
        attack: &Attack,
        settings: &Settings,
        ranking: Ranking,
        masks: [Vec<bool>; 2],
        to: &Selection,
        admin: Option<FactId>,
    ) -> Self {
        let [_, may] = &masks;
        let leaves = Bundles::leaves(&attack.graph, may, to.facts.iter().copied().filter(|f| Some(*f) != admin));
        let api = attack.id(Fact::ApiReach);
        let halves = both(&masks, |mask| {
            let mut mask = mask.clone();
            let bundles = Bundles::take(&attack.graph, settings, ranking, &mut mask, &leaves, MANY);
            let pivot = Pivot::with(&attack.graph, &mask, api, admin, &|_| 0);
            Half { mask, bundles, pivot }
        });
        Reach { halves, admin, targets: to.facts.iter().copied().collect() }
    }

    /// What each of up to 512 sources reaches. Of one that reaches cluster-admin only that is told, and of one that
    /// perhaps does only what is sure.
    pub(super) fn of(&self, sources: &[Source]) -> Vec<Hits> {
        let starts: Vec<Vec<FactId>> = sources.iter().take(LANES).map(|s| s.starts.clone()).collect();
        let [must, may] = both(&self.halves, |h| h.pivot.close(&starts));
        let admins: Vec<Option<Verdict>> = (0..starts.len())
            .map(|lane| {
                self.admin.and_then(|a| match (must.holds(a, lane), may.holds(a, lane)) {
                    (true, _) => Some(Verdict::Yes),
                    (false, true) => Some(Verdict::Unknown),
                    (false, false) => None,
                })
            })
            .collect();
        let [certain, possible] = &self.halves;
        let sure = self.gather(&must, &certain.bundles, |l| admins.get(l) != Some(&Some(Verdict::Yes)));
        let possible = self.gather(&may, &possible.bundles, |l| admins.get(l) == Some(&None));
        let sets = sure.zip(possible).zip(&admins);
        sets.map(|((sure, possible), admin)| Hits { admin: *admin, sure, possible }).collect()
    }

    /// Targets of each wanted lane.
    fn gather(
        &self,
        closed: &Closed<'_>,
        bundles: &Bundles,
        wanted: impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = RoaringBitmap> {
        let mut single: Vec<Vec<u32>> = vec![Vec::new(); LANES];
        let mut many: Vec<Vec<&RoaringBitmap>> = vec![Vec::new(); LANES];
        for (scope, leaves) in bundles.scopes() {
            for lane in closed.lanes_of(scope).filter(|l| wanted(*l)) {
                if let Some(list) = many.get_mut(lane) {
                    list.push(leaves);
                }
            }
        }
        for (hub, bundle) in bundles.hubs() {
            // A lane with a scope has what all its hubs give.
            let covered = |l: &usize| bundles.scopes_of(hub).any(|s| closed.holds(s, *l));
            for lane in closed.lanes_of(hub).filter(|l| wanted(*l) && !covered(l)) {
                if let Some(list) = many.get_mut(lane) {
                    list.push(&bundle.leaves);
                }
            }
        }
        for f in &self.targets {
            for lane in closed.lanes_of(*f).filter(|l| wanted(*l)) {
                if let Some(list) = single.get_mut(lane) {
                    list.push(f.0);
                }
            }
        }
        let sets = single.into_iter().zip(many);
        sets.map(|(single, many)| many.union() | single.into_iter().collect::<RoaringBitmap>())
    }
}

/// The same for what is certain and for what is possible, on two threads.
pub(super) fn both<'a, A: Sync, T: Send>(inputs: &'a [A; 2], f: impl Fn(&'a A) -> T + Sync) -> [T; 2] {
    let [must, may] = inputs;
    std::thread::scope(|s| {
        let other = s.spawn(|| f(may));
        let first = f(must);
        [first, other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))]
    })
}

/// Targets by kind.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    nodes: RoaringBitmap,
    secrets: RoaringBitmap,
    /// Secrets by namespace.
    of_namespace: BTreeMap<String, RoaringBitmap>,
    admin: RoaringBitmap,
}

impl Kinds {
    /// Sorts targets by kind.
    pub(super) fn new(attack: &Attack, cluster: &Cluster, to: &Selection) -> Self {
        let mut kinds = Kinds::default();
        for f in &to.facts {
            match attack.fact(*f) {
                Some(Fact::Node(_) | Fact::NodeOf(_) | Fact::AnyNode) => {
                    kinds.nodes.insert(f.0);
                }
                Some(Fact::Secret(s)) => {
                    let ns = cluster.objects.secrets.get(s as usize).map_or("", |x| x.metadata.namespace.as_str());
                    kinds.secrets.insert(f.0);
                    kinds.of_namespace.entry(ns.to_owned()).or_default().insert(f.0);
                }
                Some(Fact::ClusterAdmin) => {
                    kinds.admin.insert(f.0);
                }
                _ => {}
            }
        }
        kinds
    }

    /// Sorts what a source reaches by kind of target. What it holds itself is no finding, what cluster-admin includes
    /// neither.
    pub(super) fn group(
        &self,
        attack: &Attack,
        cluster: &Cluster,
        source: &Source,
        admin: Option<FactId>,
        hits: &Hits,
    ) -> Groups {
        let mut groups = Groups::new();
        if let (Some(fact), Some(verdict)) = (admin, hits.admin) {
            groups.insert((0, "cluster-admin".into()), (verdict, RoaringBitmap::from([fact.0])));
            if verdict == Verdict::Yes {
                return groups;
            }
        }
        let own: RoaringBitmap = source.own.iter().map(|f| f.0).collect();
        let sure = &hits.sure - &own;
        let possible = &hits.possible - &own;
        let mut add = |key: (u8, String), members: &RoaringBitmap| {
            let (sure, possible) = (&sure & members, &possible & members);
            if !sure.is_empty() {
                groups.insert(key, (Verdict::Yes, sure));
            } else if !possible.is_empty() {
                groups.insert(key, (Verdict::Unknown, possible));
            }
        };
        add((1, "node/*".into()), &self.nodes);
        let mut elsewhere = self.secrets.clone();
        let near: BTreeSet<&str> = namespaces(cluster, source).into_iter().chain(["kube-system"]).collect();
        for ns in near {
            if let Some(members) = self.of_namespace.get(ns) {
                add((2, format!("secret/{ns}/*")), members);
                elsewhere -= members;
            }
        }
        add((2, "secret/*".into()), &elsewhere);
        let mut rest = &sure | &possible;
        for sorted in [&self.nodes, &self.secrets, &self.admin] {
            rest -= sorted;
        }
        for f in rest {
            let Some(fact) = attack.fact(FactId(f)) else { continue };
            let verdict = if sure.contains(f) { Verdict::Yes } else { Verdict::Unknown };
            let key = (3, name::selector(attack, cluster, fact));
            let entry = groups.entry(key).or_insert_with(|| (verdict, RoaringBitmap::new()));
            if verdict == Verdict::Yes && entry.0 == Verdict::Unknown {
                *entry = (verdict, RoaringBitmap::new());
            }
            if entry.0 == verdict {
                entry.1.insert(f);
            }
        }
        groups
    }
}

/// Namespaces of the pods of a source.
pub(super) fn namespaces<'c>(cluster: &'c Cluster, source: &Source) -> BTreeSet<&'c str> {
    let pods = source.pods.iter().filter_map(|p| cluster.objects.pods.get(*p as usize));
    pods.map(|p| p.metadata.namespace.as_str()).collect()
}
