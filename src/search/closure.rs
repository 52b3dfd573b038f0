//! What follows from one set of facts: everything, or all of it as long as it is little.

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

/// A fact with more instances than this is not walked by [`Local`], but joined from the other premises.
const WIDE: usize = 64;

/// Closures of sources from which little follows, without a pass over the whole graph.
///
/// Most pods reach next to nothing. Facts that nearly everybody has (reaching the API server) are premises of very many
/// instances; those are found from their other premise.
#[derive(Debug)]
pub struct Local<'g> {
    graph: &'g Graph,
    mask: &'g [bool],
    width: usize,
    /// Facts with an instance that cannot be found from another premise.
    opaque: Vec<bool>,
    seen: Vec<u32>,
    round: u32,
}

impl<'g> Local<'g> {
    /// Prepares the active part of a graph.
    pub fn new(graph: &'g Graph, mask: &'g [bool]) -> Self {
        Self::with_width(graph, mask, WIDE)
    }

    /// The same with another number of instances that makes a fact wide.
    pub fn with_width(graph: &'g Graph, mask: &'g [bool], width: usize) -> Self {
        let mut opaque = vec![false; graph.facts];
        for (x, _) in graph.instances.iter().zip(mask).filter(|(_, on)| **on) {
            if x.premises.iter().all(|p| graph.using(*p).len() > width) {
                for p in &x.premises {
                    if let Some(o) = opaque.get_mut(p.0 as usize) {
                        *o = true;
                    }
                }
            }
        }
        Local { graph, mask, width, opaque, seen: vec![0; graph.facts], round: 0 }
    }

    fn learn(&mut self, f: FactId, list: &mut Vec<FactId>) {
        if let Some(s) = self.seen.get_mut(f.0 as usize)
            && *s != self.round
        {
            *s = self.round;
            list.push(f);
        }
    }

    fn knows(&self, f: FactId) -> bool {
        self.seen.get(f.0 as usize) == Some(&self.round)
    }

    /// Facts that follow from the starts, these included, in no order; `None` when they are more than `limit` or cannot
    /// be told without a wide walk.
    pub fn closure(&mut self, starts: &[FactId], limit: usize) -> Option<Vec<FactId>> {
        self.round += 1;
        let mut list = Vec::new();
        starts.iter().for_each(|f| self.learn(*f, &mut list));
        loop {
            let before = list.len();
            let (mut at, mut wide) = (0, false);
            while let Some(f) = list.get(at).copied() {
                at += 1;
                if self.opaque.get(f.0 as usize).copied().unwrap_or(true) || list.len() > limit {
                    return None;
                }
                let using = self.graph.using(f);
                if using.len() > self.width {
                    wide = true;
                    continue;
                }
                for &i in using {
                    if let (Some(true), Some(x)) = (self.mask.get(i as usize), self.graph.instances.get(i as usize))
                        && x.premises.iter().all(|p| self.knows(*p))
                    {
                        self.learn(x.conclusion, &mut list);
                    }
                }
            }
            // A wide fact completes instances of facts that were walked before it: once more, until nothing is new.
            if !wide || list.len() == before {
                return Some(list);
            }
        }
    }
}
