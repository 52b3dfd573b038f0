//! Volumes, reduced to what a mount gives to a container.

use serde::{Deserialize, Serialize};

use super::pod::{LocalRef, Present, is_default};

/// A pod volume. Exactly one source is set in a valid pod; none is an emptyDir.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Name that mounts refer to.
    pub name: String,
    /// Directory of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<HostPath>,
    /// Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolume>,
    /// ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<LocalRef>,
    /// Projected sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projected: Option<Projected>,
    /// Claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimVolume>,
    /// Scratch directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<Present>,
    /// Inline CSI volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi: Option<CsiVolume>,
    /// Fields of the pod.
    #[serde(rename = "downwardAPI", skip_serializing_if = "Option::is_none")]
    pub downward_api: Option<Present>,
    /// Generic ephemeral volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<Present>,
    /// Image volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Present>,
    /// Any other source, by its field name (`nfs`, `gcePersistentDisk`, …).
    #[serde(skip_serializing_if = "String::is_empty", rename = "kpathOtherSource")]
    pub other: String,
    /// Secrets that the other source refers to.
    #[serde(skip_serializing_if = "Vec::is_empty", rename = "kpathSecretRefs")]
    pub secret_refs: Vec<String>,
}

/// hostPath volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostPath {
    /// Path on the node.
    pub path: String,
}

/// Secret volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretVolume {
    /// Name of the Secret.
    pub secret_name: String,
}

/// Claim volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimVolume {
    /// Name of the claim.
    pub claim_name: String,
    /// Read-only at the volume.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
}

/// Inline CSI volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CsiVolume {
    /// Driver name.
    pub driver: String,
    /// Secret handed to the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_publish_secret_ref: Option<LocalRef>,
}

/// Projected volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Projected {
    /// Sources in order.
    pub sources: Vec<ProjectedSource>,
}

/// One projected source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProjectedSource {
    /// Token of the pod's service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_token: Option<TokenSource>,
    /// Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<LocalRef>,
    /// ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<LocalRef>,
}

/// Projected service account token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenSource {
    /// Audience; empty is the API server.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub audience: String,
    /// Lifetime in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
    /// File name in the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// Field names of volume sources that Pod Security restricted forbids and kpath does not model further.
pub const OTHER_SOURCES: [&str; 20] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
    "photonPersistentDisk",
];
