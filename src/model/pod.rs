//! Pods, reduced. Field names are those of `k8s.io/api/core/v1`, so that API JSON and snapshot lines read alike.
//!
//! Environment values and commands have no field here: what has no field is never kept. Of arguments stay those that a rule
//! knows word for word.

use serde::{Deserialize, Serialize};

use super::meta::{Labels, Meta};

/// A pod with the parts of its spec and status that decide an attack step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Metadata.
    pub metadata: Meta,
    /// Spec.
    pub spec: PodSpec,
    /// Status.
    #[serde(skip_serializing_if = "is_default")]
    pub status: PodStatus,
    /// Whether no server made this pod: it stands for the pods that a workload's template will have.
    #[serde(skip)]
    pub derived: bool,
}

/// Reduced `PodSpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// Node the pod is bound to; empty while pending.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node_name: String,
    /// Service account name; `default` when admission filled it in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// Deprecated alias of `serviceAccountName`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service_account: String,
    /// Pod-level opt in or out of the token volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// Shares the network namespace of the node.
    #[serde(skip_serializing_if = "is_default")]
    pub host_network: bool,
    /// Shares the process namespace of the node.
    #[serde(rename = "hostPID", skip_serializing_if = "is_default")]
    pub host_pid: bool,
    /// Shares the IPC namespace of the node.
    #[serde(rename = "hostIPC", skip_serializing_if = "is_default")]
    pub host_ipc: bool,
    /// `false`: the pod has a user namespace of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_users: Option<bool>,
    /// Containers share one process namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub share_process_namespace: bool,
    /// RuntimeClass by name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runtime_class_name: String,
    /// Operating system, when declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<PodOs>,
    /// `Always` (the default), `OnFailure` or `Never`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restart_policy: String,
    /// Pod-level security context.
    #[serde(skip_serializing_if = "is_default")]
    pub security_context: PodSecurityContext,
    /// Ordinary containers.
    pub containers: Vec<Container>,
    /// Init containers; those with restartPolicy Always are native sidecars.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_containers: Vec<Container>,
    /// Ephemeral containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ephemeral_containers: Vec<Container>,
    /// Volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Pull secrets, which the kubelet reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<LocalRef>,
    /// Node labels that the pod asks for.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub node_selector: Labels,
    /// Tolerations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Dynamic resource claims.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_claims: Vec<ResourceClaimUse>,
    /// Affinity; only its presence counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Present>,
}

/// `spec.os`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodOs {
    /// `linux` or `windows`.
    pub name: String,
}

/// A structure of which only the presence is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {}

/// A resource claim of a pod, in spec or status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceClaimUse {
    /// Name inside the pod.
    pub name: String,
    /// The ResourceClaim.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_claim_name: String,
}

/// A toleration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// Taint key; empty tolerates every key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `Exists` or `Equal`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
}

/// A reference to an object of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalRef {
    /// Name.
    pub name: String,
}

/// Reduced `PodSecurityContext`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurityContext {
    /// Default uid of the containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// Refuses uid 0 at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// Seccomp profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<Profile>,
    /// AppArmor profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_armor_profile: Option<Profile>,
    /// SELinux context.
    #[serde(rename = "seLinuxOptions", skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinuxOptions>,
    /// Sysctls; values are not kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<LocalRef>,
    /// Windows options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows_options: Option<WindowsOptions>,
}

/// Seccomp or AppArmor profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// `RuntimeDefault`, `Localhost` or `Unconfined`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// SELinux context; the level is not needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeLinuxOptions {
    /// SELinux type.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// SELinux user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// SELinux role.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub role: String,
}

/// Windows security options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WindowsOptions {
    /// HostProcess container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_process: Option<bool>,
}

/// Reduced `Container` (ephemeral containers have the same fields).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Container {
    /// Name, unique in the pod.
    pub name: String,
    /// Image reference as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// `Always` on an init container makes it a sidecar.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub restart_policy: String,
    /// Standard input is kept open.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin: bool,
    /// Arguments that are known to switch a login off; all others are dropped.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "known_args")]
    pub args: Vec<String>,
    /// The same of the command.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "known_args")]
    pub command: Vec<String>,
    /// Declared ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    /// Variables that refer to objects; values are never kept.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "env_refs")]
    pub env: Vec<EnvVar>,
    /// Whole-object environment sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFrom>,
    /// Mounts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Container-level security context.
    #[serde(skip_serializing_if = "is_default")]
    pub security_context: SecurityContext,
    /// Liveness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Handler>,
    /// Readiness probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Handler>,
    /// Startup probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Handler>,
    /// Lifecycle hooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// Lifecycle hooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Lifecycle {
    /// Hook after start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_start: Option<Handler>,
    /// Hook before stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<Handler>,
}

/// The host fields of a probe or hook, the only ones that Pod Security reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Handler {
    /// HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HandlerHost>,
    /// TCP connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_socket: Option<HandlerHost>,
}

/// Target host of a probe or hook.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandlerHost {
    /// Host; empty is the pod itself.
    pub host: String,
}

/// A declared container port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Port in the pod.
    pub container_port: i32,
    /// Port on the node, 0 for none.
    #[serde(skip_serializing_if = "is_default")]
    pub host_port: i32,
    /// Address on the node.
    #[serde(rename = "hostIP", skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`; empty is TCP.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// An environment variable that refers to a Secret or ConfigMap key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    /// Variable name.
    pub name: String,
    /// Index in the container's `env` list, for evidence pointers.
    pub index: usize,
    /// Reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvSource>,
}

/// `valueFrom` of an environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvSource {
    /// Key of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<LocalRef>,
    /// Key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<LocalRef>,
}

/// `envFrom` entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvFrom {
    /// Whole Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// Whole ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalRef>,
}

/// A volume mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeMount {
    /// Volume name.
    pub name: String,
    /// Path in the container.
    pub mount_path: String,
    /// Read-only mount.
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    /// `Enabled` makes sub-mounts read-only too.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub recursive_read_only: String,
    /// Path inside the volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
    /// Path inside the volume with variables.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_path_expr: String,
    /// `HostToContainer`, `Bidirectional` or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mount_propagation: String,
}

/// Reduced container `SecurityContext`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecurityContext {
    /// All capabilities and devices, no confinement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// Uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<i64>,
    /// Refuses uid 0 at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_non_root: Option<bool>,
    /// Whether setuid programs work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_privilege_escalation: Option<bool>,
    /// Capability changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// `Unmasked` shows all of /proc.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proc_mount: Option<String>,
    /// Seccomp profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<Profile>,
    /// AppArmor profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_armor_profile: Option<Profile>,
    /// SELinux context.
    #[serde(rename = "seLinuxOptions", skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinuxOptions>,
    /// Windows options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows_options: Option<WindowsOptions>,
}

/// Capabilities added and dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Added.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Dropped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

pub use super::volume::*;

/// Reduced `PodStatus`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`; empty for a manifest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Address of the pod.
    #[serde(rename = "podIP", skip_serializing_if = "String::is_empty")]
    pub pod_ip: String,
    /// All addresses of the pod, kept where there is more than one.
    #[serde(rename = "podIPs", skip_serializing_if = "Vec::is_empty", deserialize_with = "several")]
    pub pod_ips: Vec<PodAddress>,
    /// Address of its node.
    #[serde(rename = "hostIP", skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
    /// The condition `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "ready")]
    pub conditions: Vec<PodCondition>,
    /// Claims made from templates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_claim_statuses: Vec<ResourceClaimUse>,
    /// States of ordinary containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub container_statuses: Vec<ContainerStatus>,
    /// States of init containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// States of ephemeral containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ephemeral_container_statuses: Vec<ContainerStatus>,
}

/// One of several addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodAddress {
    /// Address.
    pub ip: String,
}

/// A condition of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodCondition {
    /// Name of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
}

/// State of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// Container name.
    pub name: String,
    /// Current state.
    pub state: ContainerState,
}

/// Which state a container is in; only presence counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Present>,
    /// Ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<Present>,
    /// Waiting to start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Present>,
}

/// True for values that need no line in a snapshot.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Keeps a list of addresses only if it says more than the field for one.
fn several<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<PodAddress>, D::Error> {
    let all = Vec::<PodAddress>::deserialize(d)?;
    Ok(if all.len() > 1 { all } else { Vec::new() })
}

/// Keeps the one condition that decides whether Services send traffic to the pod.
fn ready<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<PodCondition>, D::Error> {
    let mut all = Vec::<PodCondition>::deserialize(d)?;
    all.retain(|c| c.kind == "Ready");
    Ok(all)
}

/// Keeps only arguments that a rule knows.
fn known_args<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let all = Vec::<String>::deserialize(d)?;
    // A flag and its value may be one argument or two.
    let pairs = all.iter().zip(all.iter().skip(1)).map(|(flag, value)| format!("{flag}={value}"));
    Ok(all.iter().cloned().chain(pairs).filter(|a| super::platform::opens_console(a)).collect())
}

/// Keeps only variables that refer to objects, with their place in the list.
fn env_refs<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<EnvVar>, D::Error> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Raw {
        name: String,
        index: Option<usize>,
        value_from: Option<EnvSource>,
    }
    let all = Vec::<Raw>::deserialize(d)?;
    Ok(all
        .into_iter()
        .enumerate()
        .filter(|(_, e)| {
            e.value_from.as_ref().is_some_and(|v| v.secret_key_ref.is_some() || v.config_map_key_ref.is_some())
        })
        .map(|(i, e)| EnvVar { name: e.name, index: e.index.unwrap_or(i), value_from: e.value_from })
        .collect())
}
