//! What a technique is.

/// One attack technique of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Technique {
    /// Stable id.
    pub id: &'static str,
    /// Group, as the folders of the rules.
    pub group: &'static str,
    /// What the attacker does.
    pub title: &'static str,
    /// ATT&CK ids.
    pub attack: &'static str,
    /// Static conditions in brackets, then facts.
    pub premises: &'static str,
    /// What follows.
    pub conclusion: &'static str,
    /// Version bounds.
    pub version: &'static str,
    /// When the step is certain, and what is missing when it is not.
    pub certainty: &'static str,
    /// Smallest remediation.
    pub fix: &'static str,
    /// What the audit log shows.
    pub audit: &'static str,
    /// The closest configuration on which it does not fire.
    pub near_miss: &'static str,
}

/// Number of the structural steps that only expand a scope.
pub const SCOPE: u16 = u16::MAX;

/// The technique of that number; `None` for structural steps.
pub fn technique(number: u16) -> Option<&'static Technique> {
    super::table::TECHNIQUES.get(number as usize)
}

/// The number of a technique id.
pub fn number(id: &str) -> Option<u16> {
    super::table::TECHNIQUES.iter().position(|t| t.id == id).map(|i| i as u16)
}
