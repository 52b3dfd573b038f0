//! The independent checker: accepts a proof of a *yes* and a certificate of a *no*, or says what is wrong with it.
//!
//! It shares no code with the search. A proof is a list of rule instances, each of which has its premises before it; a
//! certificate is a set of facts that no rule instance leads out of. Both checks are a single walk.

pub mod certificate;
pub mod evidence;
pub mod file;
pub mod proof;

use std::fmt;

/// What is wrong with a proof or certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A step that the rules do not have for this cluster.
    NoSuchStep(usize),
    /// A step whose premise is neither a start nor concluded before.
    MissingPremise(usize),
    /// A step that the threat model or the settled unknowns of the question rule out.
    Excluded(usize),
    /// The last step does not conclude a target.
    NotATarget,
    /// A start that the certificate leaves out.
    StartMissing,
    /// A target inside the certificate.
    TargetInside,
    /// A rule instance, by number, that leads out of the certificate.
    NotClosed(u32),
    /// Evidence that the objects do not bear out.
    Evidence(String),
    /// The file itself.
    File(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoSuchStep(n) => write!(f, "step {n}: the rules have no such step for this cluster"),
            Fault::MissingPremise(n) => write!(f, "step {n}: a premise is neither a start nor won before"),
            Fault::Excluded(n) => write!(f, "step {n}: the question's assumptions or settled unknowns rule it out"),
            Fault::NotATarget => write!(f, "the last step does not win what was asked"),
            Fault::StartMissing => write!(f, "the set of facts lacks a start"),
            Fault::TargetInside => write!(f, "the set of facts contains what was asked"),
            Fault::NotClosed(i) => write!(f, "the set of facts is not closed: rule instance {i} leads out of it"),
            Fault::Evidence(why) => write!(f, "evidence: {why}"),
            Fault::File(why) => write!(f, "{why}"),
        }
    }
}
