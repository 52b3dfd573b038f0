//! What follows from a set of facts: for one source, and for many sources at once.

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::graph::{FactId, Graph};

/// Facts that follow from the starts, by number.
pub fn closure(graph: &Graph, mask: &[bool], starts: &[FactId]) -> Vec<bool> {
    let mut known = vec![false; graph.facts];
    let mut waiting: Vec<u32> = graph.instances.iter().map(|i| i.premises.len() as u32).collect();
    let mut queue: Vec<FactId> = Vec::new();
    let learn = |f: FactId, known: &mut Vec<bool>, queue: &mut Vec<FactId>| {
        if let Some(k) = known.get_mut(f.0 as usize)
            && !*k
        {
            *k = true;
            queue.push(f);
        }
    };
    starts.iter().for_each(|f| learn(*f, &mut known, &mut queue));
    while let Some(f) = queue.pop() {
        for &i in graph.using(f) {
            if !mask.get(i as usize).copied().unwrap_or(false) {
                continue;
            }
            if let (Some(w), Some(instance)) = (waiting.get_mut(i as usize), graph.instances.get(i as usize)) {
                *w = w.saturating_sub(1);
                if *w == 0 {
                    learn(instance.conclusion, &mut known, &mut queue);
                }
            }
        }
    }
    known
}

/// Lanes of one pass.
pub const LANES: usize = 512;
const WORDS: usize = LANES / 64;

/// 512 closures at once, one bit each.
#[derive(Debug)]
pub struct Lanes {
    component: Vec<u32>,
    bits: Vec<[u64; WORDS]>,
}

impl Lanes {
    /// Lanes in which a fact follows, in order.
    pub fn lanes_of(&self, fact: FactId) -> impl Iterator<Item = usize> + use<> {
        let words =
            self.component.get(fact.0 as usize).and_then(|c| self.bits.get(*c as usize)).copied().unwrap_or_default();
        words
            .into_iter()
            .enumerate()
            .filter(|(_, w)| *w != 0)
            .flat_map(|(n, w)| (0..64).filter(move |b| w >> b & 1 == 1).map(move |b| n * 64 + b))
    }

    /// Whether a fact follows in a lane.
    pub fn holds(&self, fact: FactId, lane: usize) -> bool {
        self.component
            .get(fact.0 as usize)
            .and_then(|c| self.bits.get(*c as usize))
            .and_then(|b| b.get(lane / 64))
            .is_some_and(|w| w >> (lane % 64) & 1 == 1)
    }
}

/// A graph whose strongly connected components over single-premise instances are merged.
#[derive(Debug)]
pub struct Condensed {
    component: Vec<u32>,
    count: usize,
    /// Place of each component in an order over all premises: sources have high numbers.
    rank: Vec<u32>,
    rules: Vec<(Box<[u32]>, u32)>,
    using: Vec<Vec<u32>>,
}

impl Condensed {
    /// Merges the components of the active part of a graph.
    pub fn new(graph: &Graph, mask: &[bool]) -> Self {
        let mut single = DiGraph::<(), ()>::with_capacity(graph.facts, graph.instances.len());
        (0..graph.facts).for_each(|_| {
            single.add_node(());
        });
        let active = || {
            graph.instances.iter().enumerate().filter(|(i, _)| mask.get(*i).copied().unwrap_or(false)).map(|(_, x)| x)
        };
        for i in active() {
            if let [p] = i.premises.as_slice() {
                single.add_edge(NodeIndex::new(p.0 as usize), NodeIndex::new(i.conclusion.0 as usize), ());
            }
        }
        // Visits follow an order over every premise, so that a scope with many members is expanded when all lanes
        // have reached it, not once a lane.
        let mut every = single.clone();
        for i in active().filter(|i| i.premises.len() > 1) {
            for p in &i.premises {
                every.add_edge(NodeIndex::new(p.0 as usize), NodeIndex::new(i.conclusion.0 as usize), ());
            }
        }
        let mut component = vec![0; graph.facts];
        let components = tarjan_scc(&single);
        for (n, members) in components.iter().enumerate() {
            for m in members {
                if let Some(c) = component.get_mut(m.index()) {
                    *c = n as u32;
                }
            }
        }
        let mut rank = vec![0; components.len()];
        for (n, members) in tarjan_scc(&every).iter().enumerate() {
            for m in members {
                let c = component.get(m.index()).copied().unwrap_or(0);
                if let Some(r) = rank.get_mut(c as usize) {
                    *r = n as u32;
                }
            }
        }
        let of = |f: FactId| component.get(f.0 as usize).copied().unwrap_or(0);
        let mut rules: Vec<(Box<[u32]>, u32)> = active()
            .map(|i| {
                let mut p: Vec<u32> = i.premises.iter().map(|f| of(*f)).collect();
                p.sort_unstable();
                p.dedup();
                (p.into_boxed_slice(), of(i.conclusion))
            })
            .filter(|(p, c)| !p.contains(c))
            .collect();
        rules.sort_unstable();
        rules.dedup();
        let mut using = vec![Vec::new(); components.len()];
        for (n, (premises, _)) in rules.iter().enumerate() {
            for p in premises {
                if let Some(list) = using.get_mut(*p as usize) {
                    list.push(n as u32);
                }
            }
        }
        Condensed { component, count: components.len(), rank, rules, using }
    }

    /// Closes up to 512 sources at once.
    pub fn close(&self, sources: &[Vec<FactId>]) -> Lanes {
        let mut bits = vec![[0u64; WORDS]; self.count];
        let mut queued = vec![false; self.count];
        // High ranks first, and first come first served among equals.
        let mut heap = std::collections::BinaryHeap::new();
        let mut sequence = 0u64;
        let mut next = |c: u32| {
            sequence += 1;
            (self.rank.get(c as usize).copied().unwrap_or(0), std::cmp::Reverse(sequence), c)
        };
        for (lane, starts) in sources.iter().enumerate().take(LANES) {
            for f in starts {
                let Some(c) = self.component.get(f.0 as usize).copied() else { continue };
                if let Some(word) = bits.get_mut(c as usize).and_then(|b| b.get_mut(lane / 64)) {
                    *word |= 1 << (lane % 64);
                }
                if let Some(q) = queued.get_mut(c as usize)
                    && !*q
                {
                    *q = true;
                    heap.push(next(c));
                }
            }
        }
        while let Some((_, _, c)) = heap.pop() {
            if let Some(q) = queued.get_mut(c as usize) {
                *q = false;
            }
            for &r in self.using.get(c as usize).map_or(&[][..], Vec::as_slice) {
                let Some((premises, conclusion)) = self.rules.get(r as usize) else { continue };
                let mut all = [u64::MAX; WORDS];
                for p in premises {
                    let have = bits.get(*p as usize).copied().unwrap_or_default();
                    all.iter_mut().zip(have).for_each(|(a, b)| *a &= b);
                }
                let Some(target) = bits.get_mut(*conclusion as usize) else { continue };
                let mut changed = false;
                for (t, a) in target.iter_mut().zip(all) {
                    changed |= a & !*t != 0;
                    *t |= a;
                }
                if changed
                    && let Some(q) = queued.get_mut(*conclusion as usize)
                    && !*q
                {
                    *q = true;
                    heap.push(next(*conclusion));
                }
            }
        }
        Lanes { component: self.component.clone(), bits }
    }
}
