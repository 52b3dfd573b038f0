//! Certificates of a *no*.

use std::collections::BTreeSet;

use super::Fault;
use crate::graph::{FactId, Graph, Instance};

/// Checks a certificate: the facts contain the starts, no target, and every conclusion of theirs.
///
/// # Errors
/// The first fault, in the order of the rule instances.
pub fn check(
    graph: &Graph,
    allowed: &dyn Fn(&Instance) -> bool,
    starts: &[FactId],
    targets: &BTreeSet<FactId>,
    facts: &BTreeSet<FactId>,
) -> Result<(), Fault> {
    if !starts.iter().all(|s| facts.contains(s)) {
        return Err(Fault::StartMissing);
    }
    if targets.iter().any(|t| facts.contains(t)) {
        return Err(Fault::TargetInside);
    }
    for (x, i) in graph.instances.iter().zip(0u32..) {
        let fires = !facts.contains(&x.conclusion) && x.premises.iter().all(|p| facts.contains(p));
        if fires && allowed(x) {
            return Err(Fault::NotClosed(i));
        }
    }
    Ok(())
}
