//! Facts, AND/OR rule instances and evidence. Nothing here knows Kubernetes: facts, objects and techniques are numbers.

use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

/// A fact by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactId(pub u32);

/// An object by number; the layer above knows which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object(pub u64);

/// A string by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(pub u32);

/// Numbers values in order of first use.
#[derive(Debug, Clone)]
pub struct Interner<T> {
    index: FxHashMap<T, u32>,
    values: Vec<T>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner { index: FxHashMap::default(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// The number of a value, new if needed.
    pub fn id(&mut self, value: &T) -> u32 {
        if let Some(id) = self.index.get(value) {
            return *id;
        }
        let id = self.values.len() as u32;
        self.index.insert(value.clone(), id);
        self.values.push(value.clone());
        id
    }

    /// The number of a value that was seen before.
    pub fn find(&self, value: &T) -> Option<u32> {
        self.index.get(value).copied()
    }

    /// The value of a number.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.values.get(id as usize)
    }

    /// All values in order.
    pub fn values(&self) -> &[T] {
        &self.values
    }
}

/// One piece of evidence: which field of which object, what it says, and why it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Evidence {
    /// Object.
    pub object: Object,
    /// JSON pointer into it.
    pub pointer: Text,
    /// The value there, redacted.
    pub value: Text,
    /// Short phrase.
    pub why: &'static str,
}

/// One rule instance: all premises together give the conclusion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Instance {
    /// What must hold, all of it.
    pub premises: SmallVec<[FactId; 2]>,
    /// What follows.
    pub conclusion: FactId,
    /// Index into the table of techniques.
    pub technique: u16,
    /// Cost tier of the technique, 0 for structural steps.
    pub tier: u8,
    /// Unknowns that must be true, by number.
    pub unknowns: SmallVec<[u32; 1]>,
    /// Assumptions that must be on, by number.
    pub assumptions: SmallVec<[u32; 1]>,
    /// Evidence, never empty.
    pub evidence: Box<[Evidence]>,
}

/// The whole AND/OR graph with its indexes.
#[derive(Debug, Default)]
pub struct Graph {
    /// Number of facts.
    pub facts: usize,
    /// Rule instances.
    pub instances: Vec<Instance>,
    /// Strings of evidence.
    pub texts: Interner<String>,
    /// Stable ids of unknowns.
    pub unknowns: Interner<String>,
    /// Names of assumptions.
    pub assumptions: Interner<String>,
    by_premise: Vec<Vec<u32>>,
    by_conclusion: Vec<Vec<u32>>,
}

impl Graph {
    /// Instances that have the fact among their premises.
    pub fn using(&self, fact: FactId) -> &[u32] {
        self.by_premise.get(fact.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Instances that conclude the fact.
    pub fn concluding(&self, fact: FactId) -> &[u32] {
        self.by_conclusion.get(fact.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// The string of a number.
    pub fn text(&self, text: Text) -> &str {
        self.texts.get(text.0).map_or("", String::as_str)
    }
}

/// Collects instances, drops repeated ones and builds the indexes.
#[derive(Debug, Default)]
pub struct Builder {
    /// The graph under construction.
    pub graph: Graph,
    seen: FxHashSet<Instance>,
}

impl Builder {
    /// Numbers a string.
    pub fn text(&mut self, text: &str) -> Text {
        Text(self.graph.texts.id(&text.to_owned()))
    }

    /// Adds an instance unless it is there already or concludes one of its own premises.
    pub fn add(&mut self, instance: Instance) {
        debug_assert!(!instance.evidence.is_empty(), "an instance without evidence");
        if instance.premises.contains(&instance.conclusion) || !self.seen.insert(instance.clone()) {
            return;
        }
        self.graph.instances.push(instance);
    }

    /// Ends the construction; `facts` is the number of facts that were numbered.
    pub fn finish(mut self, facts: usize) -> Graph {
        let g = &mut self.graph;
        g.facts = facts;
        g.by_premise = vec![Vec::new(); facts];
        g.by_conclusion = vec![Vec::new(); facts];
        for (i, instance) in g.instances.iter().enumerate() {
            for p in &instance.premises {
                if let Some(list) = g.by_premise.get_mut(p.0 as usize) {
                    list.push(i as u32);
                }
            }
            if let Some(list) = g.by_conclusion.get_mut(instance.conclusion.0 as usize) {
                list.push(i as u32);
            }
        }
        self.graph
    }
}
