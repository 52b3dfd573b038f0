//! 512 closures at once, one bit each, over a graph whose components are merged.

use std::sync::Mutex;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use smallvec::SmallVec;

use crate::graph::{FactId, Graph, Instance};

/// Lanes of one pass.
pub const LANES: usize = 512;
const WORDS: usize = LANES / 64;
type Bits = [u64; WORDS];

/// Objects that a lane may be without: bits of a set of up to eight.
pub type Removed = u8;

/// The result of a pass.
#[derive(Debug)]
pub struct Lanes<'c> {
    of: &'c Condensed,
    bits: Vec<Bits>,
    /// Components that any lane reached.
    touched: Vec<u32>,
}

/// The bits go back where they came from, zeroed where they were not zero: a pass reaches little of a large graph, and
/// fresh pages for all of it would cost more than the pass.
impl Drop for Lanes<'_> {
    fn drop(&mut self) {
        for c in &self.touched {
            if let Some(b) = self.bits.get_mut(*c as usize) {
                *b = [0; WORDS];
            }
        }
        if let Ok(mut spare) = self.of.spare.lock() {
            spare.push(std::mem::take(&mut self.bits));
        }
    }
}

impl Lanes<'_> {
    fn bits_of(&self, fact: FactId) -> Bits {
        self.of.component.get(fact.0 as usize).and_then(|c| self.bits.get(*c as usize)).copied().unwrap_or_default()
    }

    /// Lanes in which a fact follows, in order.
    pub fn lanes_of(&self, fact: FactId) -> impl Iterator<Item = usize> + use<> {
        self.bits_of(fact)
            .into_iter()
            .enumerate()
            .filter(|(_, w)| *w != 0)
            .flat_map(|(n, w)| (0..64).filter(move |b| w >> b & 1 == 1).map(move |b| n * 64 + b))
    }

    /// Whether a fact follows in a lane.
    pub fn holds(&self, fact: FactId, lane: usize) -> bool {
        self.bits_of(fact).get(lane / 64).is_some_and(|w| w >> (lane % 64) & 1 == 1)
    }
}

/// An instance with several premises, over components.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Join {
    premises: SmallVec<[u32; 3]>,
    conclusion: u32,
    removed: Removed,
}

/// A graph whose strongly connected components over single-premise instances are merged.
///
/// Components are numbered in topological order, so that a pass visits a scope with many members when all lanes have
/// reached it, not once a lane.
#[derive(Debug)]
pub struct Condensed {
    component: Vec<u32>,
    count: usize,
    /// Conclusions of single premises.
    steps: Lists<(u32, Removed)>,
    joins: Vec<Join>,
    joined: Lists<u32>,
    /// Zeroed bits for passes to come.
    spare: Mutex<Vec<Vec<Bits>>>,
}

/// Lists by number, one behind the other.
#[derive(Debug)]
struct Lists<T> {
    ends: Vec<u32>,
    items: Vec<T>,
}

impl<T: Copy> Lists<T> {
    /// From pairs sorted by number.
    fn new(count: usize, pairs: &[(u32, T)]) -> Self {
        let mut ends = Vec::with_capacity(count + 1);
        let mut at = 0;
        ends.push(0);
        for n in 0..count as u32 {
            while pairs.get(at).is_some_and(|(k, _)| *k == n) {
                at += 1;
            }
            ends.push(at as u32);
        }
        Lists { ends, items: pairs.iter().map(|(_, t)| *t).collect() }
    }

    fn of(&self, n: usize) -> &[T] {
        match (self.ends.get(n), self.ends.get(n + 1)) {
            (Some(a), Some(b)) => self.items.get(*a as usize..*b as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

impl Condensed {
    /// Merges the components of the active part of a graph.
    pub fn new(graph: &Graph, mask: &[bool]) -> Self {
        Self::with(graph, mask, None, &|_| 0)
    }

    /// The same for sources that all have the fact `given`, which then joins nothing: far more is merged. And for passes
    /// in which some lanes are without some objects: `removals` names the objects that an instance needs.
    pub fn with(graph: &Graph, mask: &[bool], given: Option<FactId>, removals: &dyn Fn(&Instance) -> Removed) -> Self {
        let needs = |x: &Instance| -> SmallVec<[FactId; 3]> {
            match given {
                Some(g) if x.premises.len() > 1 => x.premises.iter().copied().filter(|p| *p != g).collect(),
                _ => x.premises.iter().copied().collect(),
            }
        };
        let removed: Vec<Removed> = graph.instances.iter().map(removals).collect();
        let active =
            || graph.instances.iter().zip(mask).zip(&removed).filter(|((_, on), _)| **on).map(|((x, _), r)| (x, *r));
        let mut edges = DiGraph::<(), (), u32>::with_capacity(graph.facts, graph.instances.len());
        (0..graph.facts).for_each(|_| {
            edges.add_node(());
        });
        for (x, removed) in active() {
            if let ([p], 0) = (needs(x).as_slice(), removed) {
                edges.add_edge(NodeIndex::new(p.0 as usize), NodeIndex::new(x.conclusion.0 as usize), ());
            }
        }
        // Not tarjan_scc: it recurses, as deep as the longest path.
        let merged = kosaraju_scc(&edges);
        let mut component = vec![0u32; graph.facts];
        // They come in reverse topological order.
        for (n, members) in merged.iter().rev().enumerate() {
            for m in members {
                if let Some(c) = component.get_mut(m.index()) {
                    *c = n as u32;
                }
            }
        }
        let count = merged.len();
        let of = |f: FactId| component.get(f.0 as usize).copied().unwrap_or(0);
        let mut steps: Vec<(u32, (u32, Removed))> = Vec::new();
        let mut joins: Vec<Join> = Vec::new();
        for (x, removed) in active() {
            let mut premises: SmallVec<[u32; 3]> = needs(x).iter().map(|f| of(*f)).collect();
            premises.sort_unstable();
            premises.dedup();
            let conclusion = of(x.conclusion);
            match premises.as_slice() {
                _ if premises.contains(&conclusion) => {}
                [one] => steps.push((*one, (conclusion, removed))),
                _ => joins.push(Join { premises, conclusion, removed }),
            }
        }
        steps.sort_unstable();
        steps.dedup();
        joins.sort_unstable();
        joins.dedup();
        let mut joined: Vec<(u32, u32)> =
            joins.iter().zip(0u32..).flat_map(|(j, n)| j.premises.iter().map(move |p| (*p, n))).collect();
        joined.sort_unstable();
        Condensed {
            count,
            steps: Lists::new(count, &steps),
            joined: Lists::new(count, &joined),
            joins,
            component,
            spare: Mutex::default(),
        }
    }

    /// Closes up to 512 sources at once.
    pub fn close(&self, sources: &[Vec<FactId>]) -> Lanes<'_> {
        let lanes: Vec<(&[FactId], Removed)> = sources.iter().map(|s| (s.as_slice(), 0)).collect();
        self.close_without(&lanes)
    }

    /// Closes up to 512 sources at once, each without some objects.
    pub fn close_without(&self, lanes: &[(&[FactId], Removed)]) -> Lanes<'_> {
        let spare = self.spare.lock().ok().and_then(|mut s| s.pop());
        let mut bits = spare.unwrap_or_else(|| vec![[0u64; WORDS]; self.count]);
        let mut touched = Vec::new();
        let mut pending = Pending::new(self.count);
        // Lanes that still have each of the eight objects.
        let mut keeps = [[u64::MAX; WORDS]; Removed::BITS as usize];
        for (lane, (starts, removed)) in lanes.iter().enumerate().take(LANES) {
            let (word, bit) = (lane / 64, 1u64 << (lane % 64));
            for f in *starts {
                let Some(c) = self.component.get(f.0 as usize).copied() else { continue };
                if let Some(w) = bits.get_mut(c as usize).and_then(|b| b.get_mut(word)) {
                    *w |= bit;
                    pending.add(c);
                }
            }
            for (n, keep) in keeps.iter_mut().enumerate() {
                if removed >> n & 1 == 1
                    && let Some(w) = keep.get_mut(word)
                {
                    *w &= !bit;
                }
            }
        }
        let without = |all: &mut Bits, removed: Removed| {
            for (n, keep) in keeps.iter().enumerate() {
                if removed >> n & 1 == 1 {
                    all.iter_mut().zip(keep).for_each(|(a, k)| *a &= k);
                }
            }
        };
        while let Some(c) = pending.next() {
            // A component is visited after each change: often more than once, and then it is zeroed more than once.
            touched.push(c);
            let own = bits.get(c as usize).copied().unwrap_or_default();
            for (conclusion, removed) in self.steps.of(c as usize) {
                let mut all = own;
                if *removed != 0 {
                    without(&mut all, *removed);
                }
                if add(&mut bits, *conclusion, &all) {
                    pending.add(*conclusion);
                }
            }
            for n in self.joined.of(c as usize) {
                let Some(join) = self.joins.get(*n as usize) else { continue };
                let mut all = own;
                for p in join.premises.iter().filter(|p| **p != c) {
                    let have = bits.get(*p as usize).copied().unwrap_or_default();
                    all.iter_mut().zip(have).for_each(|(a, b)| *a &= b);
                    // Not `==`: that is a call for so few words.
                    if all.iter().fold(0, |any, w| any | w) == 0 {
                        break;
                    }
                }
                without(&mut all, join.removed);
                if add(&mut bits, join.conclusion, &all) {
                    pending.add(join.conclusion);
                }
            }
        }
        Lanes { of: self, bits, touched }
    }
}

/// Adds lanes to a component; whether any is new.
fn add(bits: &mut [Bits], component: u32, lanes: &Bits) -> bool {
    let Some(target) = bits.get_mut(component as usize) else { return false };
    let mut changed = 0;
    for (t, a) in target.iter_mut().zip(lanes) {
        changed |= a & !*t;
        *t |= a;
    }
    changed != 0
}

/// Components to visit, lowest number first.
#[derive(Debug)]
struct Pending {
    words: Vec<u64>,
    at: usize,
}

impl Pending {
    fn new(count: usize) -> Self {
        Pending { words: vec![0; count.div_ceil(64)], at: 0 }
    }

    fn add(&mut self, c: u32) {
        let n = c as usize / 64;
        if let Some(w) = self.words.get_mut(n) {
            *w |= 1 << (c % 64);
            self.at = self.at.min(n);
        }
    }

    fn next(&mut self) -> Option<u32> {
        while let Some(w) = self.words.get_mut(self.at) {
            if *w != 0 {
                let bit = w.trailing_zeros();
                *w &= *w - 1;
                return Some(self.at as u32 * 64 + bit);
            }
            self.at += 1;
        }
        None
    }
}
