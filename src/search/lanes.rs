//! 512 closures at once, one bit each, over a graph whose components are merged.
//!
//! A *sink* is a fact after which a lane's other facts are of no interest, such as cluster-admin. Facts from which a sink
//! follows alone are the sink, and nothing else follows from them: without that, each source that owns the cluster would
//! be walked through all of it, which is sources × facts.

use std::sync::Mutex;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use smallvec::SmallVec;

use crate::graph::{FactId, Graph, Instance};

/// Lanes of one pass.
pub const LANES: usize = 512;
const WORDS: usize = LANES / 64;
pub(super) type Bits = [u64; WORDS];

/// The lanes of bits, in order.
pub(super) fn lanes(bits: Bits) -> impl Iterator<Item = usize> {
    bits.into_iter().enumerate().flat_map(|(n, mut word)| {
        std::iter::from_fn(move || {
            let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
            word &= word - 1;
            Some(n * 64 + bit)
        })
    })
}

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
    /// Lanes in which a fact follows, as bits.
    pub(super) fn bits_of(&self, fact: FactId) -> Bits {
        self.of.component.get(fact.0 as usize).and_then(|c| self.bits.get(*c as usize)).copied().unwrap_or_default()
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
        Self::with(graph, mask, None, &[], &|_| 0)
    }

    /// The same for sources that all have the fact `given`, which then joins nothing: far more is merged. Of a lane that
    /// comes by one of the `sinks` only that is told: of several, the first. And for passes in which some lanes are without some objects:
    /// `removals` names the objects that an instance needs.
    pub fn with(
        graph: &Graph,
        mask: &[bool],
        given: Option<FactId>,
        sinks: &[FactId],
        removals: &dyn Fn(&Instance) -> Removed,
    ) -> Self {
        let needs = |x: &Instance| -> SmallVec<[FactId; 3]> {
            match given {
                Some(g) if x.premises.len() > 1 => x.premises.iter().copied().filter(|p| *p != g).collect(),
                _ => x.premises.iter().copied().collect(),
            }
        };
        let removed: Vec<Removed> = graph.instances.iter().map(removals).collect();
        let sink = sunk(graph, sinks, &|i, x| {
            let plain = mask.get(i) == Some(&true) && removed.get(i) == Some(&0);
            match needs(x).as_slice() {
                [one] if plain => Some(*one),
                _ => None,
            }
        });
        let sunk = |p: &FactId| sink.get(p.0 as usize).is_some_and(|s| *s != NO_SINK);
        // The given fact joins nothing, and so it sinks nothing.
        let counts = |x: &Instance| !x.premises.iter().any(|p| sunk(p) && (x.premises.len() == 1 || Some(*p) != given));
        let all = graph.instances.iter().zip(mask).zip(&removed);
        let active: Vec<(&Instance, Removed)> =
            all.filter(|((x, on), _)| **on && counts(x)).map(|((x, _), r)| (x, *r)).collect();
        let mut edges = DiGraph::<(), (), u32>::with_capacity(graph.facts, graph.instances.len());
        (0..graph.facts).for_each(|_| {
            edges.add_node(());
        });
        for (x, removed) in active.iter().copied() {
            if let ([p], 0) = (needs(x).as_slice(), removed) {
                edges.add_edge(NodeIndex::new(p.0 as usize), NodeIndex::new(x.conclusion.0 as usize), ());
            }
        }
        // Not tarjan_scc: it recurses, as deep as the longest path.
        let merged = kosaraju_scc(&edges);
        let mut component = vec![0u32; graph.facts];
        // They come in reverse topological order.
        let mut count = 0usize;
        for members in merged.iter().rev() {
            // Nothing follows from a sink: it is in no cycle, and comes after all others.
            if members.iter().any(|m| sink.get(m.index()).is_some_and(|s| *s != NO_SINK)) {
                continue;
            }
            for m in members {
                if let Some(c) = component.get_mut(m.index()) {
                    *c = count as u32;
                }
            }
            count += 1;
        }
        for (c, s) in component.iter_mut().zip(&sink).filter(|(_, s)| **s != NO_SINK) {
            *c = count as u32 + u32::from(*s);
        }
        count += sinks.len();
        let of = |f: FactId| component.get(f.0 as usize).copied().unwrap_or(0);
        let mut steps: Vec<(u32, (u32, Removed))> = Vec::new();
        let mut joins: Vec<Join> = Vec::new();
        for (x, removed) in active.iter().copied() {
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
        let (joins, count) = narrow(joins, count);
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

/// Most premises of a join.
const JOINED: usize = 8;

/// Divides joins of many premises: a pass looks at all premises of a join whenever one of them changes, and a Secret scope
/// of all namespaces has as many as there are namespaces. The new components come last; also their number with them.
fn narrow(joins: Vec<Join>, mut count: usize) -> (Vec<Join>, usize) {
    let mut out = Vec::with_capacity(joins.len());
    for mut join in joins {
        while join.premises.len() > JOINED {
            let mut fewer = SmallVec::new();
            for part in join.premises.chunks(JOINED) {
                let conclusion = count as u32;
                count += 1;
                out.push(Join { premises: part.into(), conclusion, removed: 0 });
                fewer.push(conclusion);
            }
            join.premises = fewer;
        }
        out.push(join);
    }
    (out, count)
}

/// In no sink.
const NO_SINK: u8 = u8::MAX;

/// The sink of each fact, by place in `sinks`: the first that follows from the fact alone. `step` tells the
/// one premise of an instance that has one, by number.
fn sunk(graph: &Graph, sinks: &[FactId], step: &dyn Fn(usize, &Instance) -> Option<FactId>) -> Vec<u8> {
    let mut sink = vec![NO_SINK; graph.facts];
    let mut waiting = Vec::new();
    for (s, n) in sinks.iter().zip(0..NO_SINK) {
        waiting.push(*s);
        while let Some(f) = waiting.pop() {
            match sink.get_mut(f.0 as usize) {
                Some(slot) if *slot == NO_SINK => *slot = n,
                _ => continue,
            }
            let into = graph.concluding(f).iter();
            waiting.extend(into.filter_map(|i| step(*i as usize, graph.instances.get(*i as usize)?)));
        }
    }
    sink
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

/// Components to visit, lowest number first: bits, and over each 64 words of bits one that tells which are not zero. A
/// join may conclude a component far in front, and finding it must not cost a walk over all that lies between.
#[derive(Debug)]
struct Pending {
    /// The bits first, the shortest list last.
    levels: Vec<Vec<u64>>,
}

impl Pending {
    fn new(count: usize) -> Self {
        let mut levels = vec![vec![0; count.div_ceil(64)]];
        while let Some(n) = levels.last().map(Vec::len).filter(|n| *n > 1) {
            levels.push(vec![0; n.div_ceil(64)]);
        }
        Pending { levels }
    }

    fn add(&mut self, c: u32) {
        let mut n = c as usize;
        for level in &mut self.levels {
            let Some(w) = level.get_mut(n / 64) else { return };
            let known = *w != 0;
            *w |= 1 << (n % 64);
            if known {
                return;
            }
            n /= 64;
        }
    }

    fn next(&mut self) -> Option<u32> {
        let mut n = 0usize;
        for level in self.levels.iter().rev() {
            let w = level.get(n).filter(|w| **w != 0)?;
            n = n * 64 + w.trailing_zeros() as usize;
        }
        let mut m = n;
        for level in &mut self.levels {
            let w = level.get_mut(m / 64)?;
            *w &= !(1 << (m % 64));
            if *w != 0 {
                break;
            }
            m /= 64;
        }
        u32::try_from(n).ok()
    }
}
