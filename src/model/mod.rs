//! Typed facts about the cluster. API types stop before this module; nothing here knows graphs or output.

pub mod admission;
pub mod cloud;
pub mod cluster;
pub mod decode;
pub mod facts;
pub mod gateway;
pub mod kind;
pub mod meta;
pub mod network;
pub mod objects;
pub mod platform;
pub mod plugin_policy;
pub mod pod;
pub mod policy;
pub mod rbac;
pub mod version;
pub mod volume;

pub use cluster::{Cluster, Gap, SourceInfo};
pub use kind::{Effect, Kind, Obj, Objects, Stored};
pub use version::Version;
