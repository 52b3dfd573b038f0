//! The proof file: what `kpath can --proof` writes and `kpath verify` reads.
//!
//! Facts are written as the rules name them, with numbers that index the sorted objects of the snapshot: a proof belongs
//! to one snapshot. Objects of evidence are written in full.

use serde::{Deserialize, Serialize};

use super::Fault;

/// Format that this build writes and reads.
pub const FORMAT: u32 = 1;

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Format version.
    pub format: u32,
    /// `yes`, `no` or `unknown`.
    pub answer: String,
    /// The question.
    pub question: Question,
    /// The start of the proof, as a fact.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub start: String,
    /// Steps of a *yes*, or of an *unknown* that some datum decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// One set of closed facts for all sources together, or one a source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    /// Sources, as a selector.
    pub from: String,
    /// Targets, as a selector.
    pub to: String,
    /// Assumptions that are on.
    pub assumptions: Vec<String>,
    /// Unknowns that the user settled, `ID=yes` or `ID=no`, in order.
    pub given: Vec<String>,
}

/// One rule instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Technique id; empty for a structural step.
    pub technique: String,
    /// Facts that it needs.
    pub premises: Vec<String>,
    /// Fact that it gives.
    pub conclusion: String,
    /// Unknowns that it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknowns: Vec<String>,
    /// Assumptions that it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
    /// Evidence.
    pub evidence: Vec<Evidence>,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Evidence {
    /// Kind.
    pub kind: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Namespace, empty for cluster-wide objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid, empty for manifests.
    pub uid: String,
    /// JSON pointer.
    pub pointer: String,
    /// Value there.
    pub value: String,
    /// Why it matters.
    pub why: String,
}

/// Facts that nothing leads out of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Certificate {
    /// The sources, as facts.
    pub from: Vec<String>,
    /// The closed set, starts included.
    pub facts: Vec<String>,
}

/// Reads a file.
///
/// # Errors
/// [`Fault::File`] when it is no proof or has another format.
pub fn parse(text: &str) -> Result<File, Fault> {
    let file: File = serde_json::from_str(text).map_err(|e| Fault::File(format!("not a proof file: {e}")))?;
    if file.format != FORMAT {
        return Err(Fault::File(format!("the proof has format {}, this kpath reads {FORMAT}", file.format)));
    }
    Ok(file)
}
