//! Facts, AND/OR rule instances and evidence. Nothing here knows Kubernetes: facts, objects and techniques are numbers.

use std::hash::Hash;

use indexmap::{Equivalent, IndexSet};
use rustc_hash::FxBuildHasher;
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
    values: IndexSet<T, FxBuildHasher>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Interner { values: IndexSet::default() }
    }
}

impl<T: Eq + Hash> Interner<T> {
    /// The number of a value, new if needed.
    pub fn id<Q: ?Sized + Hash + Equivalent<T> + ToOwned<Owned = T>>(&mut self, value: &Q) -> u32 {
        match self.values.get_index_of(value) {
            Some(i) => i as u32,
            None => self.values.insert_full(value.to_owned()).0 as u32,
        }
    }

    /// The number of a value that was seen before.
    pub fn find<Q: ?Sized + Hash + Equivalent<T>>(&self, value: &Q) -> Option<u32> {
        self.values.get_index_of(value).map(|i| i as u32)
    }

    /// The value of a number.
    pub fn get(&self, id: u32) -> Option<&T> {
        self.values.get_index(id as usize)
    }

    /// All values in order.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.values.iter()
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
    by_premise: Index,
    by_conclusion: Index,
}

/// Lists of instance numbers by fact, one behind the other.
#[derive(Debug, Default)]
struct Index {
    ends: Vec<u32>,
    list: Vec<u32>,
}

impl Index {
    /// Sorts pairs of fact and instance by fact; instances stay in their order.
    fn new(facts: usize, pairs: impl Iterator<Item = (FactId, u32)> + Clone) -> Self {
        let mut ends = vec![0u32; facts + 1];
        let mut total = 0;
        for (f, _) in pairs.clone() {
            if let Some(n) = ends.get_mut(f.0 as usize + 1) {
                *n += 1;
                total += 1;
            }
        }
        let mut sum = 0;
        for n in &mut ends {
            sum += *n;
            *n = sum;
        }
        let mut list = vec![0u32; total];
        let mut next = ends.clone();
        for (f, i) in pairs {
            if let Some(n) = next.get_mut(f.0 as usize)
                && let Some(slot) = list.get_mut(*n as usize)
            {
                *slot = i;
                *n += 1;
            }
        }
        Index { ends, list }
    }

    fn of(&self, fact: FactId) -> &[u32] {
        match (self.ends.get(fact.0 as usize), self.ends.get(fact.0 as usize + 1)) {
            (Some(a), Some(b)) => self.list.get(*a as usize..*b as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

impl Graph {
    /// Instances that have the fact among their premises.
    pub fn using(&self, fact: FactId) -> &[u32] {
        self.by_premise.of(fact)
    }

    /// Instances that conclude the fact.
    pub fn concluding(&self, fact: FactId) -> &[u32] {
        self.by_conclusion.of(fact)
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
    instances: IndexSet<Instance, FxBuildHasher>,
}

impl Builder {
    /// Starts with room for so many instances: a set that grows by doubling moves and clears far more memory.
    pub fn with_capacity(instances: usize) -> Self {
        Builder { graph: Graph::default(), instances: IndexSet::with_capacity_and_hasher(instances, FxBuildHasher) }
    }

    /// Numbers a string.
    pub fn text(&mut self, text: &str) -> Text {
        Text(self.graph.texts.id(text))
    }

    /// Adds an instance unless it is there already or concludes one of its own premises.
    pub fn add(&mut self, instance: Instance) {
        debug_assert!(!instance.evidence.is_empty(), "an instance without evidence");
        if !instance.premises.contains(&instance.conclusion) {
            self.instances.insert(instance);
        }
    }

    /// Ends the construction; `facts` is the number of facts that were numbered.
    pub fn finish(self, facts: usize) -> Graph {
        let Builder { graph: mut g, instances } = self;
        g.facts = facts;
        g.instances = instances.into_iter().collect();
        let numbered = || g.instances.iter().zip(0u32..);
        g.by_premise = Index::new(facts, numbered().flat_map(|(x, i)| x.premises.iter().map(move |p| (*p, i))));
        g.by_conclusion = Index::new(facts, numbered().map(|(x, i)| (x.conclusion, i)));
        g
    }
}
