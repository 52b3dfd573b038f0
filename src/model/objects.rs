//! The remaining kinds, each reduced to the fields that a rule reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::meta::Meta;
use super::pod::{LocalRef, PodSpec, is_default};
use super::rbac::LabelSelector;

/// An object of which only metadata is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetaOnly {
    /// Metadata.
    pub metadata: Meta,
}

/// A service account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAccount {
    /// Metadata.
    pub metadata: Meta,
    /// Account-level opt out of token volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// Secrets listed on the account.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<LocalRef>,
    /// Pull secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalRef>,
}

/// A Secret without its data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// Metadata.
    pub metadata: Meta,
    /// Type, empty when only metadata was read.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Exists only as a reference of another object: Secrets themselves could not be read.
    #[serde(skip_serializing_if = "is_default")]
    pub inferred: bool,
}

/// Type of a Secret that holds a service account token.
pub const TOKEN_SECRET: &str = "kubernetes.io/service-account-token";

/// A ConfigMap without data, except for the allow-listed ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Metadata.
    pub metadata: Meta,
    /// Data of `kube-system/aws-auth` and `kube-system/coredns` only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: NodeSpec,
    /// Status.
    #[serde(skip_serializing_if = "is_default")]
    pub status: NodeStatus,
}

/// Reduced `NodeSpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSpec {
    /// Cordoned.
    #[serde(skip_serializing_if = "is_default")]
    pub unschedulable: bool,
    /// Taints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Cloud instance.
    #[serde(rename = "providerID", skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
}

/// A taint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Reduced `NodeStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeStatus {
    /// Addresses by type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
    /// Versions.
    #[serde(skip_serializing_if = "is_default")]
    pub node_info: NodeInfo,
}

/// An address of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Address.
    pub address: String,
}

/// Software of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeInfo {
    /// `linux` or `windows`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operating_system: String,
    /// Distribution.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os_image: String,
    /// `containerd://1.7.2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container_runtime_version: String,
    /// `v1.36.2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kubelet_version: String,
}

/// A controller with a pod template: Deployment, DaemonSet, StatefulSet, ReplicaSet, ReplicationController, Job or CronJob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Workload {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: WorkloadSpec,
}

/// The spec fields that the seven controllers share.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSpec {
    /// Wanted pods; none means 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// Wanted pods of a Job at one time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<i64>,
    /// Suspended Job or CronJob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Pods the controller counts as its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Pod template; absent for a CronJob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Job template of a CronJob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_template: Option<JobTemplate>,
    /// How template changes roll out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
}

/// A pod template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Template {
    /// Metadata of the pods.
    pub metadata: Meta,
    /// Spec of the pods.
    pub spec: PodSpec,
}

/// Job template of a CronJob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobTemplate {
    /// Spec of the Jobs.
    pub spec: JobSpec,
}

/// The part of a Job spec inside a CronJob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSpec {
    /// Pod template.
    pub template: Template,
}

/// Update strategy of DaemonSets and StatefulSets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateStrategy {
    /// `RollingUpdate` or `OnDelete`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl WorkloadSpec {
    /// The pod template, wherever the kind keeps it.
    pub fn pod_template(&self) -> Option<&Template> {
        self.template.as_ref().or(self.job_template.as_ref().map(|j| &j.spec.template))
    }

    /// Whether a changed template waits until somebody deletes a pod.
    pub fn waits_for_deletion(&self) -> bool {
        self.update_strategy.as_ref().is_some_and(|s| s.kind == "OnDelete")
    }

    /// Whether the controller wants no pod now (0 replicas, parallelism 0).
    pub fn wants_none(&self) -> bool {
        self.replicas == Some(0) || self.parallelism == Some(0)
    }
}

/// A persistent volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PersistentVolume {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: PersistentVolumeSpec,
}

/// Reduced `PersistentVolumeSpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PersistentVolumeSpec {
    /// Directory of the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<super::volume::HostPath>,
    /// Local disk or directory of a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<super::volume::HostPath>,
    /// CSI source with its secret references.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csi: Option<CsiSource>,
    /// `Filesystem` or `Block`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_mode: String,
    /// The claim it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_ref: Option<ClaimRef>,
    /// Secrets of other volume sources, as `namespace/name`.
    #[serde(skip_serializing_if = "Vec::is_empty", rename = "kpathSecretRefs")]
    pub secret_refs: Vec<String>,
}

/// CSI source of a persistent volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CsiSource {
    /// Driver.
    pub driver: String,
    /// Secret for NodePublishVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_publish_secret_ref: Option<ClaimRef>,
    /// Secret for NodeStageVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_stage_secret_ref: Option<ClaimRef>,
    /// Secret for NodeExpandVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_expand_secret_ref: Option<ClaimRef>,
    /// Secret for ControllerPublishVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_publish_secret_ref: Option<ClaimRef>,
    /// Secret for ControllerExpandVolume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller_expand_secret_ref: Option<ClaimRef>,
}

/// Namespace and name of another object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

/// A claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PersistentVolumeClaim {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: ClaimSpec,
}

/// Reduced claim spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimSpec {
    /// Bound volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_name: String,
}

/// A runtime class.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuntimeClass {
    /// Metadata.
    pub metadata: Meta,
    /// CRI handler, which decides the isolation.
    pub handler: String,
}

/// A certificate signing request, or any other kind whose spec is not read.
pub type CertificateSigningRequest = MetaOnly;

/// A custom resource definition: group and names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomResourceDefinition {
    /// Metadata; the name is `plural.group`.
    pub metadata: Meta,
}

/// A CSI driver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CsiDriver {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: CsiDriverSpec,
}

/// Reduced CSI driver spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CsiDriverSpec {
    /// Tokens that the kubelet hands to the driver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_requests: Vec<TokenRequestSpec>,
}

/// A token that a CSI driver gets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenRequestSpec {
    /// Audience.
    pub audience: String,
}

/// A volume attachment; the Node authorizer reads its node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeAttachment {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: NodeNameSpec,
}

/// A resource slice; the Node authorizer reads its node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceSlice {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    #[serde(skip_serializing_if = "is_default")]
    pub spec: NodeNameSpec,
}

/// A spec that names a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeNameSpec {
    /// Node.
    pub node_name: String,
}
