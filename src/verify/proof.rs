//! Proofs of a *yes*.

use std::collections::BTreeSet;

use super::Fault;
use crate::graph::{FactId, Graph, Instance};

/// Checks a proof: every step is a rule instance of the graph (given by number, `None` for one that the rules do not
/// have), allowed by the question, with its premises won before; the last one wins a target.
///
/// # Errors
/// The first fault, with the number of the step from 1.
pub fn check(
    graph: &Graph,
    allowed: &dyn Fn(&Instance) -> bool,
    starts: &[FactId],
    targets: &BTreeSet<FactId>,
    steps: &[Option<u32>],
) -> Result<(), Fault> {
    let mut known: BTreeSet<FactId> = starts.iter().copied().collect();
    let mut last = None;
    for (step, n) in steps.iter().zip(1..) {
        let Some(x) = step.and_then(|i| graph.instances.get(i as usize)) else { return Err(Fault::NoSuchStep(n)) };
        if !allowed(x) {
            return Err(Fault::Excluded(n));
        }
        if !x.premises.iter().all(|p| known.contains(p)) {
            return Err(Fault::MissingPremise(n));
        }
        known.insert(x.conclusion);
        last = Some(x.conclusion);
    }
    // Without a step, a start must be what was asked.
    let won = match last {
        Some(f) => targets.contains(&f),
        None => starts.iter().any(|s| targets.contains(s)),
    };
    if won { Ok(()) } else { Err(Fault::NotATarget) }
}
