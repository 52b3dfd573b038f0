//! Objects of a cloud account, each as its API describes it, reduced to what rules read.
//!
//! They are kept beside the objects of the cluster, so that evidence points into them in the same way: an object of kind
//! `IamRole` with the pointer `/spec/AssumeRolePolicyDocument/Statement/0`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::meta::Meta;

/// API group that evidence names for objects of AWS.
pub const AWS: &str = "aws";

/// One object of a cloud account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudObject {
    /// Name of the object, and its kind in the place of a namespace: objects are found and sorted by both.
    pub metadata: Meta,
    /// Fields as the API spells them; policy documents are JSON, not text.
    pub spec: Value,
}

impl CloudObject {
    /// Kind: `IamRole`, `KmsKey`, …; `Call` for an answer that was read.
    pub fn kind(&self) -> &str {
        &self.metadata.namespace
    }

    /// A text of the spec; empty where it is not there.
    pub fn text(&self, field: &str) -> &str {
        self.spec.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A list of the spec; empty where it is not there.
    pub fn list(&self, field: &str) -> &[Value] {
        self.spec.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}
