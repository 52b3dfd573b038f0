//! One cluster: its objects, what could not be read, and lookups by name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::cloud::CloudObject;
use super::kind::{Effect, Kind, Obj, Objects, Stored};
use super::meta::Meta;
use super::objects::{Secret, ServiceAccount, Workload};
use super::version::Version;

/// Something that was not read, and what that hides.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Gap {
    /// Stable id, `unread:KIND`, or empty for a skipped file or object.
    pub id: String,
    /// File it came from, if any.
    pub file: String,
    /// Object, `Kind namespace/name`, if any.
    pub object: String,
    /// Why it was not read.
    pub reason: String,
    /// What the missing data could hide.
    pub hides: String,
}

impl Gap {
    /// The kind of the cluster that was not read; none for files, objects, and answers about an account.
    pub fn kind(&self) -> Option<Kind> {
        let name = self.id.strip_prefix("unread:")?;
        Kind::ALL.iter().copied().find(|k| k.info().kind == name)
    }
}

/// Where the data came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SourceInfo {
    /// `live`, `snapshot`, `files` or `demo`.
    pub kind: String,
    /// Context, file or folder.
    pub name: String,
    /// Host of the API server that was asked; empty for data that was not read live.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// Server version as used.
    pub server_version: String,
    /// Whether the version is an assumption because nothing gave it.
    pub version_assumed: bool,
    /// When the data was taken, RFC 3339, if known.
    pub time: String,
}

/// A cluster ready for questions. Objects of each kind are sorted by namespace and name.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Objects.
    pub objects: Objects,
    /// Kinds that were read, empty ones included.
    pub read: BTreeSet<Kind>,
    /// What was not read.
    pub gaps: Vec<Gap>,
    /// The input is the whole cluster: kinds that are missing are empty.
    pub complete: bool,
    /// Server version.
    pub version: Version,
    /// Origin.
    pub source: SourceInfo,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster {
            objects: Objects::default(),
            read: BTreeSet::new(),
            gaps: Vec::new(),
            complete: false,
            version: Version::DEFAULT,
            source: SourceInfo::default(),
        }
    }
}

impl Cluster {
    /// Whether the kind was read, or settled as empty by `--complete`, which says nothing of a cloud account.
    pub fn was_read(&self, kind: Kind) -> bool {
        (self.complete && kind != Kind::CloudObject) || self.read.contains(&kind)
    }

    /// Kinds that were not read and whose objects could add a path.
    pub fn unread_adding(&self) -> Vec<Kind> {
        Kind::ALL.iter().copied().filter(|k| k.info().effect == Effect::Adds && !self.was_read(*k)).collect()
    }

    /// The object of a cloud account of that kind and name, with its number.
    pub fn cloud_object(&self, kind: &str, name: &str) -> Option<(u32, &CloudObject)> {
        let index = self.find(Kind::CloudObject, kind, name)?;
        self.objects.cloud.get(index as usize).map(|o| (index, o))
    }

    /// Objects of cloud accounts of a kind, with their numbers.
    pub fn cloud_objects<'c>(&'c self, kind: &'static str) -> impl Iterator<Item = (u32, &'c CloudObject)> + use<'c> {
        (0u32..).zip(&self.objects.cloud).filter(move |(_, o)| o.kind() == kind)
    }

    /// Index of the object of that namespace and name.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<u32> {
        macro_rules! search {
            ($list:expr) => {
                position($list, namespace, name)
            };
        }
        let o = &self.objects;
        match kind {
            Kind::Namespace => search!(&o.namespaces),
            Kind::Node => search!(&o.nodes),
            Kind::Pod => search!(&o.pods),
            Kind::ServiceAccount => search!(&o.service_accounts),
            Kind::Secret => search!(&o.secrets),
            Kind::Role => search!(&o.roles),
            Kind::ClusterRole => search!(&o.cluster_roles),
            Kind::RoleBinding => search!(&o.role_bindings),
            Kind::ClusterRoleBinding => search!(&o.cluster_role_bindings),
            Kind::Service => search!(&o.services),
            Kind::PersistentVolume => search!(&o.persistent_volumes),
            Kind::PersistentVolumeClaim => search!(&o.persistent_volume_claims),
            Kind::RuntimeClass => search!(&o.runtime_classes),
            Kind::IngressClass => search!(&o.ingress_classes),
            Kind::Gateway => search!(&o.gateways),
            Kind::CloudObject => search!(&o.cloud),
            Kind::ValidatingAdmissionPolicy => search!(&o.validating_policies),
            Kind::MutatingAdmissionPolicy => search!(&o.mutating_policies),
            kind if WORKLOADS.contains(&kind) => search!(o.workloads(kind)),
            _ => (0..self.objects.len(kind))
                .find(|i| self.objects.meta(kind, *i).is_some_and(|m| m.namespace == namespace && m.name == name))
                .map(|i| i as u32),
        }
    }

    /// Metadata of an object; `None` when the reference is stale.
    pub fn meta(&self, object: Obj) -> Option<&Meta> {
        self.objects.meta(object.kind, object.index as usize)
    }

    /// The service account of that name.
    pub fn service_account(&self, namespace: &str, name: &str) -> Option<&ServiceAccount> {
        self.find(Kind::ServiceAccount, namespace, name).and_then(|i| self.objects.service_accounts.get(i as usize))
    }

    /// The Secret of that name.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&Secret> {
        self.find(Kind::Secret, namespace, name).and_then(|i| self.objects.secrets.get(i as usize))
    }

    /// Every controller with its kind and index.
    pub fn workloads(&self) -> impl Iterator<Item = (Obj, &Workload)> {
        WORKLOADS.iter().flat_map(|kind| {
            self.workloads_of(*kind).iter().enumerate().map(|(i, w)| (Obj { kind: *kind, index: i as u32 }, w))
        })
    }

    /// The controllers of one kind; empty for kinds without a pod template.
    pub fn workloads_of(&self, kind: Kind) -> &[Workload] {
        self.objects.workloads(kind)
    }

    /// Namespaces by name: those that were read, and those that objects name.
    pub fn namespace_names(&self) -> BTreeSet<&str> {
        let mut names: BTreeSet<&str> = self.objects.namespaces.iter().map(|n| n.metadata.name.as_str()).collect();
        for kind in [Kind::Pod, Kind::ServiceAccount, Kind::Secret, Kind::Role, Kind::RoleBinding] {
            // They are sorted by namespace: one look for each run of the same.
            let mut last = None;
            for m in (0..self.objects.len(kind)).filter_map(|i| self.objects.meta(kind, i)) {
                if last != Some(&m.namespace) {
                    names.insert(&m.namespace);
                    last = Some(&m.namespace);
                }
            }
        }
        names.remove("");
        names
    }
}

/// The seven controllers.
pub const WORKLOADS: [Kind; 7] = [
    Kind::Deployment,
    Kind::DaemonSet,
    Kind::StatefulSet,
    Kind::ReplicaSet,
    Kind::ReplicationController,
    Kind::Job,
    Kind::CronJob,
];

fn position<T: Stored>(list: &[T], namespace: &str, name: &str) -> Option<u32> {
    list.binary_search_by(|o| (o.meta().namespace.as_str(), o.meta().name.as_str()).cmp(&(namespace, name)))
        .ok()
        .map(|i| i as u32)
}
