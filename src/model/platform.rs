//! Workloads that are platform by design, and short names of workload kinds.

/// Workloads that need node access to do their work.
const PLATFORM: [&str; 40] = [
    "kube-proxy",
    "calico-node",
    "calico-typha",
    "calico-kube-controllers",
    "aws-node",
    "cilium",
    "antrea-agent",
    "antrea-controller",
    "weave-net",
    "kube-flannel",
    "canal",
    "kindnet",
    "ovnkube",
    "multus",
    "ebs-csi",
    "efs-csi",
    "csi-",
    "longhorn",
    "rook-ceph",
    "nvidia-device-plugin",
    "device-plugin",
    "node-local-dns",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
    "istio-cni",
    "linkerd-cni",
    "node-problem-detector",
    "speaker",
    "local-path-provisioner",
    "kube-router",
    "azure-cni",
    "gke-",
    "secrets-store-csi",
    "tigera",
    "engine-image",
    "instance-manager",
    "node-exporter",
    "snapshot-controller",
];

/// Whether a workload is platform, by its name and namespace.
pub fn is_platform(name: &str, namespace: &str) -> bool {
    platform_word(name).is_some() || (namespace == "kube-system" && PLATFORM.iter().any(|p| name.contains(p)))
}

/// The well-known component that a name names, wherever the workload lies.
pub fn platform_word(name: &str) -> Option<&'static str> {
    PLATFORM
        .into_iter()
        .find(|p| name.starts_with(p) || (p.ends_with('-') && name.contains(p)) || (name.contains(p) && p.len() > 8))
}

/// The word that selectors use for a workload kind.
pub fn short_kind(kind: &str) -> &str {
    match kind {
        "Deployment" => "deploy",
        "DaemonSet" => "ds",
        "StatefulSet" => "sts",
        "Job" => "job",
        "CronJob" => "cronjob",
        "ReplicaSet" => "rs",
        "Pod" => "pod",
        other => other,
    }
}
