//! Lanes around a fact that nearly every source has and most instances need, such as reaching the API server.
//!
//! Where every lane has it, it joins nothing and far more components merge. So a pass is done in two: first without the
//! instances that need the fact, which tells the lanes that come by it; then those lanes with the fact given. What a
//! lane reaches does not change by giving it a fact that it reaches anyway.

use super::lanes::{Bits, Condensed, Lanes, Removed, lanes};
use crate::graph::{FactId, Graph, Instance};

/// A graph prepared for passes in two halves.
#[derive(Debug)]
pub struct Pivot {
    fact: Option<FactId>,
    before: Condensed,
    after: Option<Condensed>,
}

/// The result of a pass.
#[derive(Debug)]
pub struct Closed<'p> {
    before: Lanes<'p>,
    after: Option<(Lanes<'p>, Bits)>,
}

impl Closed<'_> {
    /// Lanes in which a fact follows, as bits: of lanes that came by the fact of the pivot the second half counts.
    fn bits_of(&self, fact: FactId) -> Bits {
        let mut all = self.before.bits_of(fact);
        if let Some((after, has)) = &self.after {
            for ((all, after), has) in all.iter_mut().zip(after.bits_of(fact)).zip(has) {
                *all = (*all & !has) | (after & has);
            }
        }
        all
    }

    /// Whether a fact follows in a lane.
    pub fn holds(&self, fact: FactId, lane: usize) -> bool {
        self.bits_of(fact).get(lane / 64).is_some_and(|w| w >> (lane % 64) & 1 == 1)
    }

    /// Lanes in which a fact follows, in order.
    pub fn lanes_of(&self, fact: FactId) -> impl Iterator<Item = usize> + use<> {
        lanes(self.bits_of(fact))
    }
}

impl Pivot {
    /// Prepares the active part of a graph around a fact; without one, passes are not divided.
    pub fn new(graph: &Graph, mask: &[bool], fact: Option<FactId>) -> Self {
        Self::with(graph, mask, fact, None, &|_| 0)
    }

    /// The same where of a lane with the fact `sink` nothing else is asked. And for passes in which some lanes are without
    /// some objects: `removals` names the objects that an instance needs.
    pub fn with(
        graph: &Graph,
        mask: &[bool],
        fact: Option<FactId>,
        sink: Option<FactId>,
        removals: &(dyn Fn(&Instance) -> Removed + Sync),
    ) -> Self {
        let Some(f) = fact else {
            return Pivot { fact, before: Condensed::with(graph, mask, None, sink.as_slice(), removals), after: None };
        };
        let mut first = mask.to_vec();
        for i in graph.using(f) {
            if let Some(m) = first.get_mut(*i as usize) {
                *m = false;
            }
        }
        let (before, after) = std::thread::scope(|s| {
            let after = s.spawn(|| Condensed::with(graph, mask, fact, sink.as_slice(), removals));
            // A lane that comes by the fact is closed again: what else it has before is of no interest either.
            let sinks: Vec<FactId> = [f].into_iter().chain(sink).collect();
            let before = Condensed::with(graph, &first, None, &sinks, removals);
            (before, after.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        Pivot { fact, before, after: Some(after) }
    }

    /// Closes up to 512 sources at once.
    pub fn close(&self, sources: &[Vec<FactId>]) -> Closed<'_> {
        let lanes: Vec<(&[FactId], Removed)> = sources.iter().map(|s| (s.as_slice(), 0)).collect();
        self.close_without(&lanes)
    }

    /// Closes up to 512 sources at once, each without some objects.
    pub fn close_without(&self, sources: &[(&[FactId], Removed)]) -> Closed<'_> {
        let before = self.before.close_without(sources);
        let (Some(fact), Some(after)) = (self.fact, &self.after) else { return Closed { before, after: None } };
        let has = before.bits_of(fact);
        let starts: Vec<Vec<FactId>> = sources
            .iter()
            .enumerate()
            .map(|(lane, (starts, _))| {
                let came = has.get(lane / 64).is_some_and(|w| w >> (lane % 64) & 1 == 1);
                if came { starts.iter().copied().chain([fact]).collect() } else { Vec::new() }
            })
            .collect();
        let again: Vec<(&[FactId], Removed)> =
            starts.iter().zip(sources).map(|(s, (_, removed))| (s.as_slice(), *removed)).collect();
        Closed { before, after: Some((after.close_without(&again), has)) }
    }
}
