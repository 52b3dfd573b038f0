//! Derived facts about pods that several engines and rules share: running containers, effective user, capabilities.

use super::cluster::Cluster;
use super::kind::Kind;
use super::pod::{Container, ContainerStatus, Pod};

/// Which list of the pod a container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerKind {
    /// `spec.containers`
    Main,
    /// `spec.initContainers`
    Init,
    /// `spec.ephemeralContainers`
    Ephemeral,
}

impl ContainerKind {
    /// Field name in the pod spec.
    pub fn field(self) -> &'static str {
        match self {
            ContainerKind::Main => "containers",
            ContainerKind::Init => "initContainers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        }
    }
}

/// A container with its place in the pod.
#[derive(Debug, Clone, Copy)]
pub struct Located<'a> {
    /// Position over all three lists: ordinary, init, ephemeral.
    pub ordinal: u16,
    /// Which list.
    pub kind: ContainerKind,
    /// Index in that list.
    pub index: usize,
    /// The container.
    pub container: &'a Container,
}

impl Located<'_> {
    /// JSON pointer of the container, `/spec/containers/0`.
    pub fn pointer(&self) -> String {
        format!("/spec/{}/{}", self.kind.field(), self.index)
    }
}

impl Pod {
    /// All containers: ordinary, init, ephemeral.
    pub fn all_containers(&self) -> impl Iterator<Item = Located<'_>> {
        let lists = [
            (ContainerKind::Main, &self.spec.containers),
            (ContainerKind::Init, &self.spec.init_containers),
            (ContainerKind::Ephemeral, &self.spec.ephemeral_containers),
        ];
        lists
            .into_iter()
            .flat_map(|(kind, list)| list.iter().enumerate().map(move |(index, container)| (kind, index, container)))
            .enumerate()
            .map(|(n, (kind, index, container))| Located { ordinal: n as u16, kind, index, container })
    }

    /// Whether the pod has ended, or will never run again.
    pub fn finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it is the API server as a static pod: by its name, or by the label that kubeadm gives.
    pub fn is_api_server(&self) -> bool {
        self.metadata.namespace == "kube-system"
            && (self.metadata.name.starts_with("kube-apiserver-")
                || self.metadata.labels.get("component").is_some_and(|c| c == "kube-apiserver"))
    }

    /// Addresses of the pod; none while it has no sandbox, and in a manifest. A pod in the network of its node has those
    /// of the node.
    pub fn addresses(&self) -> impl Iterator<Item = std::net::IpAddr> {
        let several = self.status.pod_ips.iter().map(|a| a.ip.as_str());
        let one = Some(self.status.pod_ip.as_str()).filter(|_| self.status.pod_ips.is_empty());
        several.chain(one).filter_map(|a| a.parse().ok())
    }

    /// Whether Services send traffic to the pod: its condition Ready. A manifest has no conditions and will be ready.
    pub fn ready(&self) -> bool {
        let condition = self.status.conditions.iter().find(|c| c.kind == "Ready");
        condition.map_or(self.status.phase != "Pending", |c| c.status == "True")
    }

    /// Containers that run now: state running where the status says so; in a manifest or a pod without container
    /// statuses the ordinary containers and native sidecars.
    pub fn running_containers(&self) -> impl Iterator<Item = Located<'_>> {
        let finished = self.finished();
        self.all_containers().filter(move |c| !finished && self.is_running(c))
    }

    fn is_running(&self, c: &Located<'_>) -> bool {
        let statuses: &[ContainerStatus] = match c.kind {
            ContainerKind::Main => &self.status.container_statuses,
            ContainerKind::Init => &self.status.init_container_statuses,
            ContainerKind::Ephemeral => &self.status.ephemeral_container_statuses,
        };
        let lasting = match c.kind {
            ContainerKind::Main => true,
            ContainerKind::Init => c.container.restart_policy == "Always",
            ContainerKind::Ephemeral => false,
        };
        match statuses.iter().find(|s| s.name == c.container.name) {
            Some(s) if s.state.running.is_some() => true,
            // A pod that waits for a node, a volume or an image runs nothing yet.
            _ if self.status.phase == "Pending" => false,
            Some(s) if s.state.terminated.is_some() => {
                lasting && c.kind == ContainerKind::Main && !self.finished() && self.restarts()
            }
            // A crash-looping or image-pulling container comes back; it is part of the running pod.
            Some(s) if s.state.waiting.is_some() => lasting,
            Some(_) | None => lasting,
        }
    }

    /// Whether a terminated ordinary container is started again.
    fn restarts(&self) -> bool {
        !matches!(self.spec.restart_policy.as_str(), "Never" | "OnFailure")
    }

    /// Service account name after defaulting.
    pub fn account(&self) -> &str {
        let s = &self.spec;
        if !s.service_account_name.is_empty() {
            &s.service_account_name
        } else if !s.service_account.is_empty() {
            &s.service_account
        } else {
            "default"
        }
    }

    /// Whether it mirrors a static pod of the kubelet: such pods have no API identity of their own.
    pub fn is_mirror(&self) -> bool {
        self.metadata.annotations.contains_key("kubernetes.io/config.mirror")
    }

    /// Whether it declares Windows.
    pub fn is_windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|o| o.name == "windows")
    }

    /// Name of the workload that made it: Deployment behind a ReplicaSet, CronJob behind a Job, else the owner or itself.
    pub fn owner(&self, cluster: &Cluster) -> (String, String) {
        let Some(o) = self.metadata.controller() else {
            return ("Pod".into(), self.metadata.name.clone());
        };
        let above = match o.kind.as_str() {
            "ReplicaSet" => Some((Kind::ReplicaSet, "Deployment")),
            "Job" => Some((Kind::Job, "CronJob")),
            _ => None,
        };
        if let Some((kind, parent)) = above {
            let found = cluster
                .find(kind, &self.metadata.namespace, &o.name)
                .and_then(|i| cluster.workloads_of(kind).get(i as usize))
                .and_then(|w| w.metadata.controller());
            if let Some(p) = found.filter(|p| p.kind == parent) {
                return (p.kind.clone(), p.name.clone());
            }
            // Without ReplicaSets in the data the pod-template-hash tells the Deployment's name.
            if kind == Kind::ReplicaSet
                && let Some(hash) = self.metadata.labels.get("pod-template-hash")
                && let Some(name) = o.name.strip_suffix(&format!("-{hash}"))
            {
                return ("Deployment".into(), name.to_owned());
            }
        }
        if o.kind == "Node" {
            return ("Pod".into(), self.metadata.name.clone());
        }
        (o.kind.clone(), o.name.clone())
    }
}

/// The uid a container starts with, as far as the API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uid {
    /// Set in the pod or container.
    Set(i64),
    /// `runAsNonRoot` without a uid: some uid other than 0.
    NonRoot,
    /// The image decides.
    Image,
}

/// Effective uid: container, then pod, then image.
pub fn effective_uid(pod: &Pod, c: &Container) -> Uid {
    let (sc, ps) = (&c.security_context, &pod.spec.security_context);
    match sc.run_as_user.or(ps.run_as_user) {
        Some(uid) => Uid::Set(uid),
        None if sc.run_as_non_root.or(ps.run_as_non_root) == Some(true) => Uid::NonRoot,
        None => Uid::Image,
    }
}

/// Capabilities that a container runtime grants by default (containerd and CRI-O with a Docker-compatible set).
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
];

/// Upper case, one `CAP_` prefix removed.
pub fn capability_name(raw: &str) -> String {
    let upper = raw.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// Whether the container was given a capability beyond the default set: added by name or `ALL`, and not dropped by name.
/// Privileged containers have all of them.
pub fn has_capability(c: &Container, name: &str) -> bool {
    if c.security_context.privileged == Some(true) {
        return true;
    }
    let Some(caps) = &c.security_context.capabilities else { return false };
    let named = |list: &[String], n: &str| list.iter().any(|x| capability_name(x) == n);
    // The runtime applies add ALL, then drops, then single adds: an explicit add survives drop ALL.
    if named(&caps.drop, name) {
        return false;
    }
    named(&caps.add, name) || (named(&caps.add, "ALL") && !named(&caps.drop, "ALL"))
}

/// Whether a default capability was taken away.
pub fn dropped_default(c: &Container, name: &str) -> bool {
    if c.security_context.privileged == Some(true) {
        return false;
    }
    let Some(caps) = &c.security_context.capabilities else { return false };
    let named = |list: &[String], n: &str| list.iter().any(|x| capability_name(x) == n);
    named(&caps.drop, name) || (named(&caps.drop, "ALL") && !named(&caps.add, name) && !named(&caps.add, "ALL"))
}
