//! Lanes around a fact that nearly every source has and most instances need, such as reaching the API server.
//!
//! Where every lane has it, it joins nothing and far more components merge. So a pass is done in two: first without the
//! instances that need the fact, which tells the lanes that come by it; then those lanes with the fact given. What a
//! lane reaches does not change by giving it a fact that it reaches anyway.

use super::lanes::{Condensed, LANES, Lanes, Removed};
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
    after: Option<(Lanes<'p>, Vec<bool>)>,
}

impl Closed<'_> {
    /// Whether a lane came by the fact.
    fn has(&self, lane: usize) -> bool {
        self.after.as_ref().is_some_and(|(_, has)| has.get(lane) == Some(&true))
    }

    /// Whether a fact follows in a lane.
    pub fn holds(&self, fact: FactId, lane: usize) -> bool {
        match &self.after {
            Some((after, _)) if self.has(lane) => after.holds(fact, lane),
            _ => self.before.holds(fact, lane),
        }
    }

    /// Lanes in which a fact follows, those with the fact of the pivot last.
    pub fn lanes_of(&self, fact: FactId) -> impl Iterator<Item = usize> {
        let after = self.after.iter().flat_map(move |(after, _)| after.lanes_of(fact));
        let with = after.filter(|l| self.has(*l));
        self.before.lanes_of(fact).filter(|l| !self.has(*l)).chain(with)
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
    pub fn close_without(&self, lanes: &[(&[FactId], Removed)]) -> Closed<'_> {
        let before = self.before.close_without(lanes);
        let (Some(fact), Some(after)) = (self.fact, &self.after) else { return Closed { before, after: None } };
        let has: Vec<bool> = (0..lanes.len().min(LANES)).map(|l| before.holds(fact, l)).collect();
        let starts: Vec<Vec<FactId>> = lanes
            .iter()
            .zip(&has)
            .map(|((starts, _), has)| if *has { starts.iter().copied().chain([fact]).collect() } else { Vec::new() })
            .collect();
        let again: Vec<(&[FactId], Removed)> =
            starts.iter().zip(lanes).map(|(s, (_, removed))| (s.as_slice(), *removed)).collect();
        Closed { before, after: Some((after.close_without(&again), has)) }
    }
}
