//! AWS IAM: whether a request is allowed by all the policies that have a say, with what decided it.
//!
//! Logic has three values, because a collector does not see every key of a request. What an unknown key could change is
//! unknown, never a guess. Sources: AWS IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements: Condition
//! operators", "Variables and tags", "Multivalued context keys"; AWS KMS Developer Guide, "Key policies", "Grants"; AWS
//! Organizations User Guide, "SCPs", "RCPs".

pub mod condition;
pub mod context;
pub mod evaluate;
pub mod pattern;
pub mod policy;
pub mod principal;
mod truth;

pub use context::Context;
pub use evaluate::{Cited, Decision, Grant, Layers, Outcome, Request, decide};
pub use policy::Document;
pub use principal::Caller;
pub use truth::Truth;
