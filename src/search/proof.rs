//! Best proofs: Knuth's generalisation of Dijkstra's algorithm to AND/OR graphs, and several different proofs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::Settings;
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
fn cost(graph: &Graph, settings: &Settings, ranking: Ranking, i: u32) -> u64 {
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

/// Finds best proofs from one set of starts; the buffers are reused between calls.
#[derive(Debug)]
pub struct Prover<'g> {
    graph: &'g Graph,
    settings: &'g Settings,
    ranking: Ranking,
    best: Vec<u64>,
    by: Vec<u32>,
    waiting: Vec<u32>,
    total: Vec<u64>,
    touched_facts: Vec<u32>,
    touched_instances: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl<'g> Prover<'g> {
    /// Prepares buffers.
    pub fn new(graph: &'g Graph, settings: &'g Settings, ranking: Ranking) -> Self {
        Prover {
            graph,
            settings,
            ranking,
            best: vec![u64::MAX; graph.facts],
            by: vec![NONE; graph.facts],
            waiting: graph.instances.iter().map(|i| i.premises.len() as u32).collect(),
            total: vec![0; graph.instances.len()],
            touched_facts: Vec::new(),
            touched_instances: Vec::new(),
        }
    }

    /// Best proof of the cheapest of the targets, or of the first target in number order among equals.
    pub fn prove(
        &mut self,
        mask: &[bool],
        banned: &BTreeSet<u32>,
        starts: &[FactId],
        targets: &dyn Fn(FactId) -> bool,
    ) -> Option<Proof> {
        self.reset();
        let mut heap = BinaryHeap::new();
        for f in starts {
            if let Some(b) = self.best.get_mut(f.0 as usize) {
                *b = 0;
                self.touched_facts.push(f.0);
                heap.push(Reverse((0u64, f.0)));
            }
        }
        let mut done = rustc_hash::FxHashSet::default();
        while let Some(Reverse((c, f))) = heap.pop() {
            if !done.insert(f) {
                continue;
            }
            if targets(FactId(f)) {
                return Some(self.extract(FactId(f), c));
            }
            for &i in self.graph.using(FactId(f)) {
                if !mask.get(i as usize).copied().unwrap_or(false) || banned.contains(&i) {
                    continue;
                }
                let (Some(w), Some(t), Some(x)) = (
                    self.waiting.get_mut(i as usize),
                    self.total.get_mut(i as usize),
                    self.graph.instances.get(i as usize),
                ) else {
                    continue;
                };
                self.touched_instances.push(i);
                *w = w.saturating_sub(1);
                *t = t.saturating_add(c);
                if *w > 0 {
                    continue;
                }
                let new = t.saturating_add(cost(self.graph, self.settings, self.ranking, i));
                let to = x.conclusion.0;
                if let (Some(b), Some(by)) = (self.best.get_mut(to as usize), self.by.get_mut(to as usize))
                    && (new < *b || (new == *b && *by != NONE && i < *by && !done.contains(&to)))
                {
                    *b = new;
                    *by = i;
                    self.touched_facts.push(to);
                    heap.push(Reverse((new, to)));
                }
            }
        }
        None
    }

    fn reset(&mut self) {
        for f in self.touched_facts.drain(..) {
            if let (Some(b), Some(by)) = (self.best.get_mut(f as usize), self.by.get_mut(f as usize)) {
                *b = u64::MAX;
                *by = NONE;
            }
        }
        for i in self.touched_instances.drain(..) {
            if let (Some(w), Some(t), Some(x)) =
                (self.waiting.get_mut(i as usize), self.total.get_mut(i as usize), self.graph.instances.get(i as usize))
            {
                *w = x.premises.len() as u32;
                *t = 0;
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
            let start = self.best.get(f.0 as usize) == Some(&0) && i == NONE;
            if start || i == NONE || placed.contains(&i) {
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

    /// Up to `k` different proofs, cheapest first: each further one avoids an instance of one found before.
    pub fn prove_many(
        &mut self,
        mask: &[bool],
        starts: &[FactId],
        targets: &dyn Fn(FactId) -> bool,
        k: usize,
    ) -> Vec<Proof> {
        let mut found: Vec<Proof> = Vec::new();
        let mut seen: BTreeSet<Vec<u32>> = BTreeSet::new();
        let mut candidates: Vec<(Proof, BTreeSet<u32>)> = Vec::new();
        if let Some(p) = self.prove(mask, &BTreeSet::new(), starts, targets) {
            candidates.push((p, BTreeSet::new()));
        }
        while found.len() < k && !candidates.is_empty() {
            candidates.sort_by(|a, b| b.0.cost.cmp(&a.0.cost).then_with(|| b.0.instances.cmp(&a.0.instances)));
            let Some((proof, banned)) = candidates.pop() else { break };
            let mut key = proof.instances.clone();
            key.sort_unstable();
            if !seen.insert(key) {
                continue;
            }
            for i in &proof.instances {
                let mut ban = banned.clone();
                ban.insert(*i);
                if let Some(p) = self.prove(mask, &ban, starts, targets) {
                    candidates.push((p, ban));
                }
            }
            found.push(proof);
        }
        found
    }
}
