//! Saved state of a cluster: the file format, and import of what kubectl prints.

pub mod build;
pub mod derive;
pub mod file;
pub mod import;
pub mod pseudonym;
mod unlisted;

use std::collections::BTreeSet;

use crate::model::{Cluster, Gap, Kind, Objects, SourceInfo, Version};

/// Everything that was read from one cluster, before questions are asked.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Reduced objects.
    pub objects: Objects,
    /// Kinds that were read, empty ones included.
    pub read: BTreeSet<Kind>,
    /// What was not read.
    pub gaps: Vec<Gap>,
    /// Server version, if anything told.
    pub version: Option<Version>,
    /// Origin.
    pub source: SourceInfo,
}

/// Settings of the user that decide how a snapshot is understood.
#[derive(Debug, Clone, Default)]
pub struct ClusterOptions {
    /// The input is the whole cluster.
    pub complete: bool,
    /// Server version given on the command line.
    pub version: Option<Version>,
}

impl Snapshot {
    /// Makes a cluster of the snapshot: completes what manifests leave out and lists the gaps.
    pub fn into_cluster(mut self, options: &ClusterOptions) -> Cluster {
        derive::complete_objects(&mut self);
        let version = options.version.or(self.version);
        let mut source = self.source;
        source.version_assumed = version.is_none();
        let version = version.unwrap_or(Version::DEFAULT);
        source.server_version = version.to_string();
        let mut cluster = Cluster {
            objects: self.objects,
            read: self.read,
            gaps: self.gaps,
            complete: options.complete,
            version,
            source,
        };
        build::list_unread(&mut cluster);
        cluster
    }
}
