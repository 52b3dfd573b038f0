//! kpath finds and proves attack paths in Kubernetes clusters.
//!
//! The pipeline is the folder layout: `collect → snapshot → model → rules → graph → search → report → render`.
//! ARCHITECTURE.md says what each part owns and must not know.

pub mod admission;
pub mod authz;
pub mod cli;
pub mod collect;
pub mod graph;
pub mod iam;
pub mod model;
pub mod netpol;
pub mod query;
pub mod render;
pub mod report;
pub mod rules;
pub mod search;
pub mod snapshot;
pub mod verify;
