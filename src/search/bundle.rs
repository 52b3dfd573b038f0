//! Bundles: many leaves that follow from one fact, such as every Secret that a right covers.
//!
//! A leaf is a target from which nothing follows. Whether a source reaches it is told by what it follows from, so a pass
//! need not visit each, and a search for proofs need not queue each: sources × Secrets would outgrow everything else in a
//! large cluster.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
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
        bundles
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
