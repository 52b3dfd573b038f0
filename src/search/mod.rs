//! Search over the AND/OR graph: closures, best proofs, several proofs. Knows neither Kubernetes nor output.

pub mod bundle;
pub mod closure;
pub mod lanes;
pub mod pivot;
pub mod proof;

use crate::graph::{Graph, Instance};

/// Which instances count, given the assumptions and the unknowns that the user settled.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Numbers of assumptions that are on.
    pub assumptions: Vec<u32>,
    /// Unknowns settled as true, by number.
    pub given_yes: Vec<u32>,
    /// Unknowns settled as false, by number.
    pub given_no: Vec<u32>,
}

/// The value that an open unknown takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Open unknowns close the path.
    Must,
    /// Open unknowns open the path.
    May,
}

impl Settings {
    /// Whether an instance counts in a lane.
    pub fn active(&self, instance: &Instance, lane: Lane) -> bool {
        instance.assumptions.iter().all(|a| self.assumptions.contains(a))
            && instance.unknowns.iter().all(|u| match lane {
                Lane::Must => self.given_yes.contains(u),
                Lane::May => !self.given_no.contains(u),
            })
    }

    /// Activity of every instance.
    pub fn mask(&self, graph: &Graph, lane: Lane) -> Vec<bool> {
        graph.instances.iter().map(|i| self.active(i, lane)).collect()
    }

    /// Unknowns of an instance that nobody settled.
    pub fn open<'a>(&'a self, instance: &'a Instance) -> impl Iterator<Item = u32> + 'a {
        instance.unknowns.iter().copied().filter(|u| !self.given_yes.contains(u))
    }
}
