//! Best proofs: Knuth's generalisation of Dijkstra's algorithm to AND/OR graphs, and several different proofs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use roaring::RoaringBitmap;
use rustc_hash::FxHashMap;

use super::Settings;
use super::bundle::Bundles;
use crate::graph::{FactId, Graph};

/// A proof: instances in an order in which each premise is a start or concluded before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Instance numbers in order.
    pub instances: Vec<u32>,
    /// Fact that is proven.
    pub target: FactId,
    /// Cost of the proof tree.
    pub cost: u64,
}

/// How proofs are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ranking {
    /// Assumptions, unknowns, technique tier, hops.
    #[default]
    Cost,
    /// Hops alone.
    Hops,
}

/// Additive cost of one instance: assumptions, open unknowns, tier and hops, packed so that sums compare in that order.
pub(super) fn cost(graph: &Graph, settings: &Settings, ranking: Ranking, i: u32) -> u64 {
    let Some(x) = graph.instances.get(i as usize) else { return u64::MAX };
    let hop = u64::from(x.tier > 0);
    match ranking {
        Ranking::Hops => hop,
        Ranking::Cost => {
            ((x.assumptions.len() as u64) << 52)
                + ((settings.open(x).count() as u64) << 40)
                + (u64::from(x.tier) << 16)
                + hop
        }
    }
}

/// Lower bounds of the way to a target, by fact.
#[derive(Debug)]
pub struct Guide {
    target: FactId,
    given: Option<FactId>,
    ahead: Vec<u64>,
}

/// Place in the queue; `None` when the fact leads nowhere.
fn key(guide: Option<&Guide>, cost: u64, fact: u32) -> Option<u64> {
    let Some(g) = guide else { return Some(cost) };
    let ahead = g.ahead.get(fact as usize).copied().filter(|a| *a != u64::MAX)?;
    Some(cost.saturating_add(ahead))
}

/// A fact with more instances than this is joined from the other premises where that is less work.
const WIDE: usize = 64;

/// Finds best proofs from one set of starts; the buffers are reused between calls.
#[derive(Debug)]
pub struct Prover<'g> {
    graph: &'g Graph,
    settings: &'g Settings,
    ranking: Ranking,
    /// Facts with an instance that cannot be found from another premise.
    opaque: Vec<bool>,
    best: Vec<u64>,
    by: Vec<u32>,
    done: Vec<bool>,
    touched: Vec<u32>,
    /// Of instances with many premises, the first that was not settled when it was last looked at.
    watched: FxHashMap<u32, usize>,
}

/// An instance with more premises than this is not looked at from its first premise each time.
const MANY_PREMISES: usize = 8;

const NONE: u32 = u32::MAX;

/// Most searches for further proofs of one target.
pub const ATTEMPTS: usize = 500;

impl<'g> Prover<'g> {
    /// Prepares buffers.
    pub fn new(graph: &'g Graph, settings: &'g Settings, ranking: Ranking) -> Self {
        Self::with_width(graph, settings, ranking, WIDE)
    }

    /// The same with another number of instances that makes a fact wide.
    pub fn with_width(graph: &'g Graph, settings: &'g Settings, ranking: Ranking, width: usize) -> Self {
        let mut opaque = vec![false; graph.facts];
        for (n, o) in opaque.iter_mut().enumerate() {
            *o = graph.using(FactId(n as u32)).len() <= width;
        }
        let narrow = opaque.clone();
        let is = |list: &[bool], f: &FactId| list.get(f.0 as usize).copied().unwrap_or(true);
        for x in graph.instances.iter().filter(|x| x.premises.iter().all(|p| !is(&narrow, p))) {
            for p in &x.premises {
                if let Some(o) = opaque.get_mut(p.0 as usize) {
                    *o = true;
                }
            }
        }
        Prover {
            graph,
            settings,
            ranking,
            opaque,
            best: vec![u64::MAX; graph.facts],
            by: vec![NONE; graph.facts],
            done: vec![false; graph.facts],
            touched: Vec::new(),
            watched: FxHashMap::default(),
        }
    }

    /// What each fact costs at least on the way to a target, other premises taken as free; `u64::MAX` when it leads
    /// nowhere. Worth its walk over the whole graph when many sources are asked about one target.
    ///
    /// `given` is a fact that sources have at once: what would only lead to it counts as leading nowhere.
    pub fn guide(&self, mask: &[bool], target: FactId, given: Option<FactId>) -> Guide {
        let mut ahead = vec![u64::MAX; self.graph.facts];
        let mut heap = BinaryHeap::new();
        if let Some(a) = ahead.get_mut(target.0 as usize) {
            *a = 0;
            heap.push(Reverse((0u64, target.0)));
        }
        while let Some(Reverse((c, f))) = heap.pop() {
            if ahead.get(f as usize).is_none_or(|a| *a < c) || given == Some(FactId(f)) {
                continue;
            }
            for &i in self.graph.concluding(FactId(f)) {
                let on = mask.get(i as usize).copied().unwrap_or(false);
                let Some(x) = self.graph.instances.get(i as usize).filter(|_| on) else { continue };
                let new = c.saturating_add(cost(self.graph, self.settings, self.ranking, i));
                for p in &x.premises {
                    if let Some(a) = ahead.get_mut(p.0 as usize)
                        && new < *a
                    {
                        *a = new;
                        heap.push(Reverse((new, p.0)));
                    }
                }
            }
        }
        if let Some(a) = given.and_then(|g| ahead.get_mut(g.0 as usize)) {
            *a = 0;
        }
        Guide { target, given, ahead }
    }

    /// Best proof of the cheapest of the targets, or of the first target in number order among equals.
    pub fn prove(
        &mut self,
        mask: &[bool],
        banned: &BTreeSet<u32>,
        starts: &[FactId],
        targets: &dyn Fn(FactId) -> bool,
    ) -> Option<Proof> {
        let mut found = None;
        let sources: Vec<(FactId, u64)> = starts.iter().map(|f| (*f, 0)).collect();
        self.run(mask, banned, &sources, None, &mut |_| Vec::new(), &mut |f, c| {
            let hit = targets(f);
            if hit {
                found = Some((f, c));
            }
            hit
        });
        found.map(|(f, c)| self.extract(f, c))
    }

    /// Best proof of the target of a guide: first of the given fact, then the rest with that fact at its price.
    pub fn prove_guided(&mut self, mask: &[bool], starts: &[FactId], guide: &Guide) -> Option<Proof> {
        let target = guide.target;
        let none = BTreeSet::new();
        let given = guide.given.and_then(|g| self.prove(mask, &none, starts, &|f| f == g));
        if guide.given == Some(target) {
            return given;
        }
        let mut sources: Vec<(FactId, u64)> = starts.iter().map(|f| (*f, 0)).collect();
        sources.extend(given.as_ref().map(|p| (p.target, p.cost)));
        let mut found = None;
        self.run(mask, &none, &sources, Some(guide), &mut |_| Vec::new(), &mut |f, c| {
            if f == target {
                found = Some(c);
            }
            f == target
        });
        let mut proof = found.map(|c| self.extract(target, c))?;
        if let Some(given) = given {
            let mut all = given.instances;
            let rest = std::mem::take(&mut proof.instances);
            let premises = |i: &u32| self.graph.instances.get(*i as usize).map(|x| &x.premises);
            if rest.iter().filter_map(premises).any(|p| p.contains(&given.target)) {
                let conclusion = |i: &u32| self.graph.instances.get(*i as usize).map(|x| x.conclusion);
                let won: BTreeSet<FactId> = all.iter().filter_map(conclusion).collect();
                all.extend(rest.iter().filter(|i| conclusion(i).is_none_or(|c| !won.contains(&c))));
                proof.instances = all;
            } else {
                proof.instances = rest;
            }
        }
        Some(proof)
    }

    /// Best proof for each group of targets; `groups` tells the group of a fact.
    pub fn prove_each(
        &mut self,
        mask: &[bool],
        starts: &[FactId],
        count: usize,
        groups: &dyn Fn(FactId) -> Option<usize>,
    ) -> Vec<Option<Proof>> {
        self.prove_groups(mask, starts, count, groups, &mut |_, _| Vec::new())
    }

    /// The same for sets of targets that have none in common, where `mask` is without the instances of `bundles`.
    pub fn prove_sets(
        &mut self,
        mask: &[bool],
        bundles: &Bundles,
        starts: &[FactId],
        sets: &[&RoaringBitmap],
    ) -> Vec<Option<Proof>> {
        // Small sets by their members: there may be one for each of many targets.
        let small = |s: &RoaringBitmap| s.len() <= 4;
        let members = |(n, s): (usize, &&RoaringBitmap)| s.iter().map(|f| (f, n)).collect::<Vec<_>>();
        let of: FxHashMap<u32, usize> = sets.iter().enumerate().filter(|(_, s)| small(s)).flat_map(members).collect();
        let large: Vec<(usize, &RoaringBitmap)> =
            sets.iter().enumerate().filter(|(_, s)| !small(s)).map(|(n, s)| (n, *s)).collect();
        let group =
            |f: FactId| of.get(&f.0).copied().or_else(|| large.iter().find(|(_, s)| s.contains(f.0)).map(|(n, _)| *n));
        // Of the leaves of a bundle, all at the same price, the first of each set is the one that would be settled first.
        let mut more = |f: FactId, found: &[bool]| {
            let wanted = || sets.iter().zip(found).filter(|(_, found)| !**found).map(|(set, _)| *set);
            bundles.of(f).flat_map(|b| wanted().flat_map(|set| b.first(set))).collect()
        };
        self.prove_groups(mask, starts, sets.len(), &group, &mut more)
    }

    fn prove_groups(
        &mut self,
        mask: &[bool],
        starts: &[FactId],
        count: usize,
        groups: &dyn Fn(FactId) -> Option<usize>,
        more: &mut dyn FnMut(FactId, &[bool]) -> Vec<u32>,
    ) -> Vec<Option<Proof>> {
        let mut found: Vec<Option<(FactId, u64)>> = vec![None; count];
        let done = std::cell::RefCell::new(vec![false; count]);
        let mut left = count;
        let sources: Vec<(FactId, u64)> = starts.iter().map(|f| (*f, 0)).collect();
        let mut extra = |f: FactId| more(f, &done.borrow());
        self.run(mask, &BTreeSet::new(), &sources, None, &mut extra, &mut |f, c| {
            if let Some(g) = groups(f)
                && let Some(slot) = found.get_mut(g)
                && slot.is_none()
            {
                *slot = Some((f, c));
                if let Some(d) = done.borrow_mut().get_mut(g) {
                    *d = true;
                }
                left = left.saturating_sub(1);
            }
            left == 0
        });
        found.into_iter().map(|x| x.map(|(f, c)| self.extract(f, c))).collect()
    }

    /// Settles facts, cheapest first, until `stop` says so. With a guide: first those of the cheapest whole way, as in
    /// A*. That settles each fact at its final cost too: a guide never falls by more than an instance costs. `more` tells
    /// instances of a settled fact that count beside the active ones.
    fn run(
        &mut self,
        mask: &[bool],
        banned: &BTreeSet<u32>,
        starts: &[(FactId, u64)],
        guide: Option<&Guide>,
        more: &mut dyn FnMut(FactId) -> Vec<u32>,
        stop: &mut dyn FnMut(FactId, u64) -> bool,
    ) {
        self.reset();
        let mut heap = BinaryHeap::new();
        for (f, price) in starts {
            if let Some(b) = self.best.get_mut(f.0 as usize) {
                *b = (*b).min(*price);
                self.touched.push(f.0);
                heap.push(Reverse((*b, f.0)));
            }
        }
        // Settled facts, with how many instances they take part in: what a wide fact is joined with.
        let mut settled: Vec<FactId> = Vec::new();
        let mut walked = 0;
        while let Some(Reverse((_, f))) = heap.pop() {
            match self.done.get_mut(f as usize) {
                Some(d) if !*d => *d = true,
                _ => continue,
            }
            let f = FactId(f);
            if stop(f, self.best.get(f.0 as usize).copied().unwrap_or(0)) {
                return;
            }
            for i in more(f) {
                self.relax(i, None, banned, guide, &mut heap);
            }
            let using = self.graph.using(f);
            if using.len() > walked && !self.opaque.get(f.0 as usize).copied().unwrap_or(true) {
                for g in &settled {
                    for &i in self.graph.using(*g) {
                        self.relax(i, Some(mask), banned, guide, &mut heap);
                    }
                }
            } else {
                for &i in using {
                    self.relax(i, Some(mask), banned, guide, &mut heap);
                }
                settled.push(f);
                walked += using.len();
            }
        }
    }

    /// Uses an instance if it is active and all its premises are settled.
    fn relax(
        &mut self,
        i: u32,
        mask: Option<&[bool]>,
        banned: &BTreeSet<u32>,
        guide: Option<&Guide>,
        heap: &mut BinaryHeap<Reverse<(u64, u32)>>,
    ) {
        if mask.is_some_and(|m| !m.get(i as usize).copied().unwrap_or(false)) {
            return;
        }
        let Some(x) = self.graph.instances.get(i as usize) else { return };
        let to = x.conclusion.0;
        if self.done.get(to as usize).copied().unwrap_or(true) || banned.contains(&i) {
            return;
        }
        if x.premises.len() > MANY_PREMISES {
            let at = self.watched.entry(i).or_default();
            let settled = |p: &FactId| self.done.get(p.0 as usize) == Some(&true);
            *at += x.premises.iter().skip(*at).take_while(|p| settled(p)).count();
            if *at < x.premises.len() {
                return;
            }
        }
        let mut total = 0u64;
        for p in &x.premises {
            match (self.done.get(p.0 as usize), self.best.get(p.0 as usize)) {
                (Some(true), Some(b)) => total = total.saturating_add(*b),
                _ => return,
            }
        }
        let new = total.saturating_add(cost(self.graph, self.settings, self.ranking, i));
        if let (Some(b), Some(by)) = (self.best.get_mut(to as usize), self.by.get_mut(to as usize)) {
            if new < *b {
                *b = new;
                *by = i;
                self.touched.push(to);
                if let Some(key) = key(guide, new, to) {
                    heap.push(Reverse((key, to)));
                }
            } else if new == *b && *by != NONE && i < *by {
                *by = i;
            }
        }
    }

    fn reset(&mut self) {
        self.watched.clear();
        for f in self.touched.drain(..) {
            let f = f as usize;
            if let (Some(b), Some(by), Some(d)) = (self.best.get_mut(f), self.by.get_mut(f), self.done.get_mut(f)) {
                *b = u64::MAX;
                *by = NONE;
                *d = false;
            }
        }
    }

    fn extract(&self, target: FactId, cost: u64) -> Proof {
        let mut order = Vec::new();
        let mut placed = BTreeSet::new();
        // Depth first with an explicit stack: premises before conclusions.
        let mut stack = vec![(target, false)];
        while let Some((f, ready)) = stack.pop() {
            let i = self.by.get(f.0 as usize).copied().unwrap_or(NONE);
            if i == NONE || placed.contains(&i) {
                continue;
            }
            if ready {
                placed.insert(i);
                order.push(i);
                continue;
            }
            stack.push((f, true));
            if let Some(x) = self.graph.instances.get(i as usize) {
                for p in x.premises.iter().rev() {
                    stack.push((*p, false));
                }
            }
        }
        Proof { instances: order, target, cost }
    }

    /// The `k` cheapest proofs, cheapest first. After [`ATTEMPTS`] searches the rest may be missing.
    ///
    /// Lawler's scheme: another proof lacks some instance of this one, so it is the best one without it, or lacks an
    /// instance of that one too, and so on.
    pub fn prove_many(
        &mut self,
        mask: &[bool],
        starts: &[FactId],
        targets: &dyn Fn(FactId) -> bool,
        k: usize,
    ) -> Vec<Proof> {
        let mut found: Vec<Proof> = Vec::new();
        let mut seen: BTreeSet<Vec<u32>> = BTreeSet::new();
        let mut tried: BTreeSet<BTreeSet<u32>> = BTreeSet::new();
        let mut candidates: Vec<(Proof, BTreeSet<u32>)> = Vec::new();
        if let Some(p) = self.prove(mask, &BTreeSet::new(), starts, targets) {
            candidates.push((p, BTreeSet::new()));
        }
        while found.len() < k && !candidates.is_empty() {
            candidates.sort_by(|a, b| b.0.cost.cmp(&a.0.cost).then_with(|| b.0.instances.cmp(&a.0.instances)));
            let Some((proof, banned)) = candidates.pop() else { break };
            for i in &proof.instances {
                let mut ban = banned.clone();
                ban.insert(*i);
                if tried.len() < ATTEMPTS
                    && tried.insert(ban.clone())
                    && let Some(p) = self.prove(mask, &ban, starts, targets)
                {
                    candidates.push((p, ban));
                }
            }
            // The same proof may be the best one without several things; what lies behind each of them counts.
            let mut key = proof.instances.clone();
            key.sort_unstable();
            if seen.insert(key) {
                found.push(proof);
            }
        }
        found
    }
}
