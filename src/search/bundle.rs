//! Bundles: many leaves that follow from one fact, such as every Secret that a right covers.
//!
//! A leaf is a target from which nothing follows. Whether a source reaches it is told by what it follows from, so a pass
//! need not visit each, and a search for proofs need not queue each: sources × Secrets would outgrow everything else in a
//! large cluster.

use std::collections::{BTreeMap, BTreeSet};

use roaring::{MultiOps, RoaringBitmap};
use rustc_hash::FxHashMap;

use super::Settings;
use super::proof::{Ranking, cost};
use crate::graph::{FactId, Graph};

/// Fewer leaves than this are as well visited one by one.
pub const MANY: usize = 4;

/// Leaves that follow from one fact at one cost.
#[derive(Debug)]
pub struct Bundle {
    /// The leaves.
    pub leaves: RoaringBitmap,
    /// Leaf and instance, in order.
    steps: Vec<(u32, u32)>,
}

impl Bundle {
    /// The instances that give the first leaf of a set.
    pub fn first<'a>(&'a self, set: &RoaringBitmap) -> impl Iterator<Item = u32> + 'a {
        let leaf = (&self.leaves & set).min();
        let at = leaf.map_or(self.steps.len(), |leaf| self.steps.partition_point(|(l, _)| *l < leaf));
        let rest = self.steps.get(at..).unwrap_or_default();
        rest.iter().take_while(move |(l, _)| Some(*l) == leaf).map(|(_, i)| *i)
    }
}

/// Leaves by the one fact that they follow from.
#[derive(Debug, Default)]
pub struct Bundles {
    hubs: Vec<(FactId, Bundle)>,
    /// Where the bundles of a fact begin in the list, and how many there are.
    of: FxHashMap<FactId, (usize, usize)>,
    /// Facts from which many of the hubs follow alone, with all their leaves: who has one has what it covers.
    scopes: Vec<(FactId, RoaringBitmap)>,
    /// The scopes of each hub, by place in the list.
    scopes_of: FxHashMap<FactId, Vec<usize>>,
}

impl Bundles {
    /// Targets from which nothing follows in the active part of a graph.
    pub fn leaves(graph: &Graph, mask: &[bool], targets: impl IntoIterator<Item = FactId>) -> RoaringBitmap {
        let active = |i: &u32| mask.get(*i as usize).copied().unwrap_or(false);
        targets.into_iter().filter(|f| !graph.using(*f).iter().any(active)).map(|f| f.0).collect()
    }

    /// Takes the instances that give many of the leaves from one fact, `least` or more, out of the active part of a graph.
    /// Nothing may follow from the `leaves` there.
    pub fn take(
        graph: &Graph,
        settings: &Settings,
        ranking: Ranking,
        mask: &mut [bool],
        leaves: &RoaringBitmap,
        least: usize,
    ) -> Bundles {
        let mut steps: BTreeMap<(FactId, u64), Vec<(u32, u32)>> = BTreeMap::new();
        for leaf in leaves {
            for i in graph.concluding(FactId(leaf)) {
                let on = mask.get(*i as usize).copied().unwrap_or(false);
                let Some(x) = graph.instances.get(*i as usize).filter(|_| on) else { continue };
                if let [hub] = x.premises.as_slice() {
                    steps.entry((*hub, cost(graph, settings, ranking, *i))).or_default().push((leaf, *i));
                }
            }
        }
        let mut bundles = Bundles::default();
        for ((hub, _), steps) in steps.into_iter().filter(|(_, list)| list.len() >= least) {
            for (_, i) in &steps {
                if let Some(m) = mask.get_mut(*i as usize) {
                    *m = false;
                }
            }
            bundles.of.entry(hub).or_insert((bundles.hubs.len(), 0)).1 += 1;
            bundles.hubs.push((hub, Bundle { leaves: steps.iter().map(|(leaf, _)| *leaf).collect(), steps }));
        }
        bundles.find_scopes(graph, mask, least);
        bundles
    }

    fn find_scopes(&mut self, graph: &Graph, mask: &[bool], least: usize) {
        let mut hubs_of: BTreeMap<FactId, BTreeSet<FactId>> = BTreeMap::new();
        let hubs: BTreeSet<FactId> = self.hubs.iter().map(|(hub, _)| *hub).collect();
        for hub in &hubs {
            for i in graph.concluding(*hub) {
                let on = mask.get(*i as usize).copied().unwrap_or(false);
                if let Some([scope]) = graph.instances.get(*i as usize).filter(|_| on).map(|x| x.premises.as_slice()) {
                    hubs_of.entry(*scope).or_default().insert(*hub);
                }
            }
        }
        for (scope, hubs) in hubs_of.into_iter().filter(|(_, hubs)| hubs.len() >= least) {
            let leaves = hubs.iter().flat_map(|h| self.of(*h)).map(|b| &b.leaves).union();
            for hub in hubs {
                self.scopes_of.entry(hub).or_default().push(self.scopes.len());
            }
            self.scopes.push((scope, leaves));
        }
    }

    /// Facts with all that the hubs below them give, in order.
    pub fn scopes(&self) -> impl Iterator<Item = (FactId, &RoaringBitmap)> {
        self.scopes.iter().map(|(scope, leaves)| (*scope, leaves))
    }

    /// The scopes that a hub is below.
    pub fn scopes_of(&self, hub: FactId) -> impl Iterator<Item = FactId> {
        let places = self.scopes_of.get(&hub).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|at| self.scopes.get(*at)).map(|(scope, _)| *scope)
    }

    /// Facts with the leaves that follow from each, in order.
    pub fn hubs(&self) -> impl Iterator<Item = (FactId, &Bundle)> {
        self.hubs.iter().map(|(hub, bundle)| (*hub, bundle))
    }

    /// The bundles of a fact.
    pub fn of(&self, fact: FactId) -> impl Iterator<Item = &Bundle> {
        let (at, count) = self.of.get(&fact).copied().unwrap_or_default();
        self.hubs.iter().skip(at).take(count).map(|(_, bundle)| bundle)
    }
}
