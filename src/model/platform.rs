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

/// What a plugin does with NetworkPolicies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Enforces them.
    Enforce,
    /// Ignores them.
    Ignore,
    /// Depends on settings that no API shows.
    Depends(&'static str),
    /// Enforces from the version of its image on that is dated like this.
    Since(&'static str),
}

/// Network plugins by a part of an image of their DaemonSet. The first that matches counts.
const PLUGINS: [(&str, &str, Does); 21] = [
    ("calico/node", "Calico", Does::Enforce),
    ("calico-node", "Calico", Does::Enforce),
    ("hardened-calico", "Calico", Does::Enforce),
    ("cilium/cilium", "Cilium", Does::Enforce),
    ("cilium-cilium", "Cilium", Does::Enforce),
    ("antrea/antrea-agent", "Antrea", Does::Enforce),
    ("antrea/antrea-ubuntu", "Antrea", Does::Enforce),
    ("ovn-kubernetes", "OVN-Kubernetes", Does::Enforce),
    ("kubeovn/kube-ovn", "Kube-OVN", Does::Enforce),
    ("weaveworks/weave-npc", "Weave Net", Does::Enforce),
    ("cloudnativelabs/kube-router", "kube-router", Does::Enforce),
    ("azure-npm", "Azure NPM", Does::Enforce),
    ("kube-network-policies", "kube-network-policies", Does::Enforce),
    ("romana/agent", "Romana", Does::Enforce),
    (
        "aws-network-policy-agent",
        "Amazon VPC CNI",
        Does::Depends("the node agent of the Amazon VPC CNI enforces only if it is switched on"),
    ),
    ("amazon-k8s-cni", "Amazon VPC CNI", Does::Ignore),
    // Dated image tags: v20241007-36f62932.
    ("kindnetd", "kindnet", Does::Since("20240813")),
    ("gke.gcr.io/netd", "GKE netd", Does::Depends("GKE enforces only with Dataplane V2 or with Calico")),
    ("flannel", "flannel", Does::Ignore),
    ("azure-cns", "Azure CNI", Does::Ignore),
    ("openshift-sdn", "OpenShift SDN", Does::Enforce),
];

/// The network plugin that an image belongs to, and what it does with policies.
pub fn network_plugin(image: &str) -> Option<(&'static str, Does)> {
    let (_, name, does) = PLUGINS.iter().find(|(part, _, _)| image.contains(part))?;
    let does = match does {
        Does::Since(date) => {
            let tag = image.rsplit_once(":v").map_or("", |(_, t)| t);
            let built: String = tag.chars().take_while(char::is_ascii_digit).collect();
            if built.len() == 8 && built.as_str() < *date { Does::Ignore } else { Does::Enforce }
        }
        other => *other,
    };
    Some((*name, does))
}

/// What one who reaches a console without a login can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Run code in its container.
    Code,
    /// Act as its service account.
    Account,
}

/// Consoles by a part of the image, the arguments of which one switches the login off, and what they are for. From
/// the documentation of each: "Access control" of Kubernetes Dashboard, "Argo Server Auth Mode", "Security in the Jupyter
/// Server".
const CONSOLES: [(&str, &[&str], Console); 4] = [
    ("kubernetesui/dashboard:", &["--enable-skip-login", "--enable-skip-login=true"], Console::Account),
    ("kubernetes-dashboard-amd64:", &["--enable-skip-login", "--enable-skip-login=true"], Console::Account),
    ("argoproj/argocli", &["--auth-mode=server"], Console::Account),
    (
        "jupyter/",
        &[
            "--NotebookApp.token=''",
            "--NotebookApp.token=",
            "--ServerApp.token=''",
            "--ServerApp.token=",
            "--IdentityProvider.token=''",
            "--IdentityProvider.token=",
        ],
        Console::Code,
    ),
];

/// Whether an argument is one that switches the login of a console off.
pub fn opens_console(argument: &str) -> bool {
    CONSOLES.iter().any(|(_, args, _)| args.contains(&argument))
}

/// What a container with this image and these arguments lets everyone do who connects, if it is a console without a login:
/// the argument that switches it off, and what the console is for.
pub fn open_console<'a>(image: &str, args: impl Iterator<Item = &'a String>) -> Option<(&'a String, Console)> {
    let (_, wanted, what) = CONSOLES.iter().find(|(part, _, _)| image.contains(part))?;
    args.into_iter().find(|a| wanted.contains(&a.as_str())).map(|a| (a, *what))
}

/// Definitions of kinds of policies that network plugins obey beside NetworkPolicy.
const POLICY_DEFINITIONS: [&str; 9] = [
    "adminnetworkpolicies.policy.networking.k8s.io",
    "clusternetworkpolicies.policy.networking.k8s.io",
    "ciliumclusterwidenetworkpolicies.cilium.io",
    "ciliumnetworkpolicies.cilium.io",
    "globalnetworkpolicies.crd.projectcalico.org",
    "globalnetworkpolicies.projectcalico.org",
    "networkpolicies.crd.projectcalico.org",
    "networkpolicies.projectcalico.org",
    "clusternetworkpolicies.crd.antrea.io",
];

/// Whether a CustomResourceDefinition is one of policies of the network.
pub fn is_policy_definition(name: &str) -> bool {
    POLICY_DEFINITIONS.contains(&name)
}

/// Whether an API group is one of AWS Controllers for Kubernetes: `s3.services.k8s.aws`.
pub fn is_controllers_group(group: &str) -> bool {
    group.ends_with(".services.k8s.aws")
}

/// Whether an API group is one of such definitions.
pub fn is_policy_group(group: &str) -> bool {
    let groups = POLICY_DEFINITIONS.iter().filter_map(|d| d.split_once('.'));
    groups.into_iter().any(|(_, g)| g == group)
}

/// Ingress and Gateway controllers: what their class says, and the end of the repository that their pods' image is from.
const CONTROLLERS: [(&str, &str); 11] = [
    ("k8s.io/ingress-nginx", "ingress-nginx/controller"),
    ("nginx.org/ingress-controller", "nginx/nginx-ingress"),
    ("traefik.io/ingress-controller", "traefik"),
    ("traefik.io/gateway-controller", "traefik"),
    ("haproxy-ingress.github.io/controller", "jcmoraisjr/haproxy-ingress"),
    ("haproxy.org/ingress-controller", "haproxytech/kubernetes-ingress"),
    ("ingress-controllers.konghq.com/kong", "kong"),
    ("konghq.com/kic-gateway-controller", "kong"),
    ("projectcontour.io/", "envoyproxy/envoy"),
    ("gateway.envoyproxy.io/gatewayclass-controller", "envoyproxy/envoy"),
    ("cilium.io/ingress-controller", "cilium/cilium-envoy"),
];

/// The part of the image that the pods of a controller have; `None` for one that is not known.
pub fn controller_image(controller: &str) -> Option<&'static str> {
    CONTROLLERS.iter().find(|(c, _)| controller.starts_with(c)).map(|(_, image)| *image)
}

/// Classes by annotation that controllers serve without an IngressClass, and a part of the image of what serves them.
const LEGACY_CLASSES: [(&str, &str); 7] = [
    ("nginx", "ingress-nginx/controller"),
    ("istio", "/pilot:"),
    ("traefik", "traefik"),
    ("kong", "kong"),
    ("haproxy", "haproxy-ingress"),
    ("contour", "projectcontour/contour"),
    ("alb", "aws-load-balancer-controller"),
];

/// The part of an image that shows that an Ingress with a class by annotation alone is served; `None` for a class that is
/// not known.
pub fn legacy_class_image(class: &str) -> Option<&'static str> {
    LEGACY_CLASSES.iter().find(|(c, _)| *c == class).map(|(_, image)| *image)
}

/// An image without tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(i, _)| i);
    match image.rsplit_once(':') {
        // A colon before a slash is that of a registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// The part of an image that tells a controller, if it is one.
pub fn controller_part(image: &str) -> Option<&'static str> {
    let end =
        |part: &&str| repository(image).strip_suffix(*part).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    CONTROLLERS.iter().map(|(_, part)| *part).find(end)
}

/// Whether an image is one of a network plugin or a controller: rules look into its name.
pub fn known_image(image: &str) -> bool {
    network_plugin(image).is_some()
        || CONSOLES.iter().any(|(part, _, _)| image.contains(part))
        || controller_part(image).is_some()
        || LEGACY_CLASSES.iter().any(|(_, part)| image.contains(part))
}
