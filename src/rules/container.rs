//! What code in a container wins: its tokens, its Secrets, its siblings, and the node below it.

use super::ctx::{Ctx, Emit};
use super::fact::{Area, Fact, Key, Right};
use crate::admission::service_account::TOKEN_PATH;
use crate::model::facts::{Located, Uid, dropped_default, effective_uid, has_capability};
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;

/// Assumption under which an image that sets no user runs as root.
pub const IMAGES_RUN_AS_ROOT: &str = "images-run-as-root";

/// Runtime handlers that put a virtual machine or a user-space kernel between container and node.
const SANDBOXES: [&str; 8] =
    ["runsc", "gvisor", "kata", "kata-qemu", "kata-clh", "kata-fc", "kata-dragonball", "firecracker"];

/// Emits the steps of every running container.
pub fn emit(ctx: &mut Ctx<'_>) {
    for (i, pod) in ctx.cluster.objects.pods.iter().enumerate() {
        let i = i as u32;
        let o = Obj { kind: Kind::Pod, index: i };
        let host = host_of(ctx, pod, i);
        for c in pod.running_containers() {
            let exec = Fact::Exec(i, c.ordinal);
            api_reach(ctx, pod, o, exec);
            tokens(ctx, pod, o, &c, exec);
            secrets(ctx, pod, o, &c, exec);
            siblings(ctx, pod, i, o, &c, exec);
            if !pod.is_windows() && !sandboxed(ctx, pod) {
                escapes(ctx, pod, o, &c, exec, host);
            }
        }
    }
}

/// The node fact of a pod: its node, or the node that it will get.
fn host_of(ctx: &mut Ctx<'_>, pod: &Pod, index: u32) -> (Fact, Option<u32>) {
    if !pod.spec.node_name.is_empty() {
        return match ctx.cluster.find(Kind::Node, "", &pod.spec.node_name) {
            Some(n) => (Fact::Node(n), Some(n)),
            None => (Fact::NodeOf(index), None),
        };
    }
    let free: Vec<u32> = ctx
        .cluster
        .objects
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, n)| {
            !n.spec.unschedulable && pod.spec.node_selector.iter().all(|(k, v)| n.metadata.labels.get(k) == Some(v))
        })
        .map(|(i, _)| i as u32)
        .collect();
    match free.as_slice() {
        [only] => (Fact::Node(*only), Some(*only)),
        _ => (Fact::NodeOf(index), None),
    }
}

fn api_reach(ctx: &mut Ctx<'_>, pod: &Pod, o: Obj, exec: Fact) {
    let policy = if pod.spec.host_network { None } else { crate::netpol::egress_policy(ctx.cluster, pod) };
    let mut e = Emit::scope(Fact::ApiReach).from(exec);
    e = match policy {
        None => {
            let unread = !ctx.cluster.was_read(Kind::NetworkPolicy) && !pod.spec.host_network;
            e.maybe(unread.then(|| "unread:NetworkPolicy".to_owned())).because(
                o,
                "/metadata/namespace",
                pod.metadata.namespace.clone(),
                "no policy limits what the pod may connect to",
            )
        }
        Some(p) => {
            let name = ctx.meta(p).map(crate::model::meta::Meta::path).unwrap_or_default();
            e.unless_known(format!("netpol-allows:{name}")).because(
                p,
                "/spec/egress",
                name,
                "limits what the pod may connect to",
            )
        }
    };
    ctx.emit(e);
}

fn tokens(ctx: &mut Ctx<'_>, pod: &Pod, o: Obj, c: &Located<'_>, exec: Fact) {
    let (ns, account) = (pod.metadata.namespace.clone(), pod.account().to_owned());
    if pod.is_mirror() {
        return;
    }
    for (m, mount) in c.container.volume_mounts.iter().enumerate() {
        let Some((v, volume)) = pod.spec.volumes.iter().enumerate().find(|(_, v)| v.name == mount.name) else {
            continue;
        };
        for (s, source) in volume.projected.iter().flat_map(|p| &p.sources).enumerate() {
            let Some(t) = &source.service_account_token else { continue };
            let pointer = format!("{}/volumeMounts/{m}", c.pointer());
            let identity = ctx.account(&ns, &account);
            if t.audience.is_empty() {
                let default = mount.mount_path == TOKEN_PATH;
                let technique = if default { "token-automount" } else { "token-projected" };
                let e = Emit::new(technique, identity).from(exec);
                let e = e.because(o, pointer, mount.mount_path.clone(), "the token of the account is mounted here");
                ctx.emit(e.because(o, "/spec/serviceAccountName", account.clone(), "the account of the pod"));
            } else {
                let Fact::Identity(subject) = identity else { continue };
                let audience = ctx.audiences.id(&t.audience);
                let token = Fact::Token(subject, audience);
                let p = format!("/spec/volumes/{v}/projected/sources/{s}/serviceAccountToken/audience");
                ctx.emit(Emit::new("token-projected", token).from(exec).because(
                    o,
                    p.clone(),
                    t.audience.clone(),
                    "a token for another audience is mounted",
                ));
                // The usual issuer names of the API server; anything else is a federation token.
                if t.audience.contains("kubernetes.default.svc") {
                    let e = Emit::new("token-is-identity", identity)
                        .from(token)
                        .unless_known(format!("api-audience:{}", t.audience));
                    ctx.emit(e.because(o, p, t.audience.clone(), "the API server may accept this audience"));
                }
            }
        }
    }
}

fn secrets(ctx: &mut Ctx<'_>, pod: &Pod, o: Obj, c: &Located<'_>, exec: Fact) {
    let ns = &pod.metadata.namespace;
    let mut found: Vec<(String, String)> = Vec::new();
    for e in &c.container.env {
        if let Some(s) = e.value_from.as_ref().and_then(|f| f.secret_key_ref.as_ref()) {
            found.push((format!("{}/env/{}/valueFrom/secretKeyRef/name", c.pointer(), e.index), s.name.clone()));
        }
    }
    for (i, e) in c.container.env_from.iter().enumerate() {
        if let Some(s) = &e.secret_ref {
            found.push((format!("{}/envFrom/{i}/secretRef/name", c.pointer()), s.name.clone()));
        }
    }
    for mount in &c.container.volume_mounts {
        let Some((v, volume)) = pod.spec.volumes.iter().enumerate().find(|(_, v)| v.name == mount.name) else {
            continue;
        };
        if let Some(s) = &volume.secret {
            found.push((format!("/spec/volumes/{v}/secret/secretName"), s.secret_name.clone()));
        }
        for (n, s) in volume.projected.iter().flat_map(|p| &p.sources).enumerate() {
            if let Some(s) = &s.secret {
                found.push((format!("/spec/volumes/{v}/projected/sources/{n}/secret/name"), s.name.clone()));
            }
        }
    }
    for (pointer, name) in found {
        if let Some(i) = ctx.cluster.find(Kind::Secret, ns, &name) {
            let e = Emit::new("ctr-to-own-secrets", Fact::Secret(i)).from(exec);
            ctx.emit(e.because(o, pointer, name, "the container is given the Secret"));
        }
    }
}

/// How sure it is that the container runs as root: certain, by assumption, or unknown with the id.
enum Root {
    Yes,
    Assumed(String),
    Unlikely(String),
}

fn root(pod: &Pod, c: &Located<'_>) -> Root {
    match effective_uid(pod, c.container) {
        Uid::Set(0) => Root::Yes,
        Uid::Image => Root::Assumed(c.container.image.clone()),
        Uid::Set(_) | Uid::NonRoot => Root::Unlikely(c.container.image.clone()),
    }
}

/// Emits a step that needs root once with the assumption, and once with the unknown that replaces it.
fn as_root(ctx: &mut Ctx<'_>, pod: &Pod, c: &Located<'_>, build: impl Fn() -> Emit, setuid_helps: bool) {
    match root(pod, c) {
        Root::Yes => ctx.emit(build()),
        Root::Assumed(image) => {
            ctx.emit(build().assuming(IMAGES_RUN_AS_ROOT));
            ctx.emit(build().unless_known(format!("image-runs-as-root:{image}")));
        }
        Root::Unlikely(image)
            if setuid_helps && c.container.security_context.allow_privilege_escalation != Some(false) =>
        {
            ctx.emit(build().unless_known(format!("image-setuid:{image}")));
        }
        Root::Unlikely(_) => {}
    }
}

fn siblings(ctx: &mut Ctx<'_>, pod: &Pod, i: u32, o: Obj, c: &Located<'_>, exec: Fact) {
    if !pod.spec.share_process_namespace {
        return;
    }
    for other in pod.running_containers().filter(|x| x.ordinal != c.ordinal) {
        let same = matches!((effective_uid(pod, c.container), effective_uid(pod, other.container)), (Uid::Set(a), Uid::Set(b)) if a == b);
        let build = || {
            Emit::new("ctr-share-process-ns", Fact::Exec(i, other.ordinal)).from(exec).because(
                o,
                "/spec/shareProcessNamespace",
                "true",
                "containers see and enter each other's processes",
            )
        };
        if same || has_capability(c.container, "SYS_PTRACE") {
            ctx.emit(build());
        } else {
            as_root(ctx, pod, c, build, false);
        }
    }
}

fn sandboxed(ctx: &Ctx<'_>, pod: &Pod) -> bool {
    let class = &pod.spec.runtime_class_name;
    if class.is_empty() {
        return false;
    }
    ctx.cluster
        .find(Kind::RuntimeClass, "", class)
        .and_then(|i| ctx.cluster.objects.runtime_classes.get(i as usize))
        .is_some_and(|r| SANDBOXES.contains(&r.handler.as_str()))
}

fn lsm_off(pod: &Pod, c: &Located<'_>) -> bool {
    let sc = &c.container.security_context;
    let unconfined = |p: &Option<crate::model::pod::Profile>| p.as_ref().map(|p| p.kind == "Unconfined");
    let armor =
        unconfined(&sc.app_armor_profile).or(unconfined(&pod.spec.security_context.app_armor_profile)).unwrap_or(false);
    let legacy = pod
        .metadata
        .annotations
        .get(&format!("container.apparmor.security.beta.kubernetes.io/{}", c.container.name))
        .is_some_and(|v| v == "unconfined");
    let selinux = sc
        .se_linux_options
        .as_ref()
        .or(pod.spec.security_context.se_linux_options.as_ref())
        .is_some_and(|s| s.kind == "spc_t");
    armor || legacy || selinux || sc.privileged == Some(true)
}

fn escapes(ctx: &mut Ctx<'_>, pod: &Pod, o: Obj, c: &Located<'_>, exec: Fact, host: (Fact, Option<u32>)) {
    let (node, number) = host;
    let sc = &c.container.security_context;
    let own_userns = pod.spec.host_users == Some(false);
    let privileged = sc.privileged == Some(true);
    let node_name = if pod.spec.node_name.is_empty() { pod.metadata.path() } else { pod.spec.node_name.clone() };
    let caps = format!("{}/securityContext/capabilities/add", c.pointer());
    let cap_value = sc.capabilities.as_ref().map(|k| k.add.join(",")).unwrap_or_default();
    let lsm = || (!lsm_off(pod, c)).then(|| format!("lsm-confines-not:{node_name}"));
    let at = |e: Emit| {
        if pod.spec.node_name.is_empty() {
            e
        } else {
            e.because(o, "/spec/nodeName", pod.spec.node_name.clone(), "the node that the pod runs on")
        }
    };
    if !own_userns {
        if privileged {
            let p = format!("{}/securityContext/privileged", c.pointer());
            as_root(
                ctx,
                pod,
                c,
                || {
                    at(Emit::new("esc-privileged", node).from(exec).because(
                        o,
                        p.clone(),
                        "true",
                        "the container has every capability and device",
                    ))
                },
                true,
            );
        } else {
            let cap = |n: &str| has_capability(c.container, n);
            let with_cap = |t: &str, f: Fact, why| {
                at(Emit::new(t, f).from(exec).tier(2).because(o, caps.clone(), cap_value.clone(), why))
            };
            if pod.spec.host_pid && cap("SYS_PTRACE") {
                let pid =
                    |e: Emit| e.because(o, "/spec/hostPID", "true", "the container sees the processes of the node");
                if cap("SYS_ADMIN") && !dropped_default(c.container, "SYS_CHROOT") {
                    as_root(
                        ctx,
                        pod,
                        c,
                        || {
                            pid(with_cap("esc-hostpid-nsenter", node, "lets the container enter host namespaces"))
                                .maybe(lsm())
                        },
                        false,
                    );
                }
                ctx.emit(
                    pid(with_cap("esc-hostpid-ptrace", node, "lets the container inject code into host processes"))
                        .maybe(lsm()),
                );
            }
            if cap("SYS_ADMIN") {
                as_root(
                    ctx,
                    pod,
                    c,
                    || with_cap("esc-cap-sys-admin", node, "lets the container mount host interfaces").maybe(lsm()),
                    false,
                );
            }
            if cap("SYS_MODULE") {
                ctx.emit(
                    with_cap("esc-cap-sys-module", node, "lets the container load kernel modules")
                        .unless_known(format!("kernel-accepts-modules:{node_name}")),
                );
            }
            if cap("DAC_READ_SEARCH")
                && let Some(n) = number
            {
                as_root(
                    ctx,
                    pod,
                    c,
                    || {
                        with_cap(
                            "esc-cap-dac-read-search",
                            Fact::HostFs(n, Area::Root),
                            "lets the container open any host file by handle",
                        )
                    },
                    false,
                );
                if !dropped_default(c.container, "DAC_OVERRIDE") {
                    as_root(
                        ctx,
                        pod,
                        c,
                        || with_cap("esc-cap-dac-read-search", node, "DAC_OVERRIDE makes the opened files writable"),
                        false,
                    );
                }
            }
            if ((cap("BPF") && cap("PERFMON")) || cap("SYS_ADMIN"))
                && let Some(n) = number
            {
                ctx.emit(
                    with_cap("esc-cap-bpf", Fact::HostFs(n, Area::Memory), "lets the container trace the kernel")
                        .unless_known(format!("kernel-allows-bpf:{node_name}")),
                );
            }
        }
    }
    mounts(ctx, pod, o, c, exec, host, own_userns);
}

/// Host directories that a mount of this container exposes, as (path, writable, pointer, value).
fn host_mounts(ctx: &Ctx<'_>, pod: &Pod, c: &Located<'_>) -> Vec<(String, bool, String)> {
    let mut out = Vec::new();
    for m in &c.container.volume_mounts {
        let Some((v, volume)) = pod.spec.volumes.iter().enumerate().find(|(_, v)| v.name == m.name) else { continue };
        let (base, pointer, read_only) = if let Some(h) = &volume.host_path {
            (h.path.clone(), format!("/spec/volumes/{v}/hostPath/path"), m.read_only)
        } else if let Some(claim) = &volume.persistent_volume_claim {
            let pv = ctx.cluster.objects.persistent_volumes.iter().find(|p| {
                p.spec
                    .claim_ref
                    .as_ref()
                    .is_some_and(|r| r.namespace == pod.metadata.namespace && r.name == claim.claim_name)
                    && p.spec.volume_mode != "Block"
            });
            let Some(path) = pv.and_then(|p| p.spec.host_path.as_ref().or(p.spec.local.as_ref())) else { continue };
            (
                path.path.clone(),
                format!("/spec/volumes/{v}/persistentVolumeClaim/claimName"),
                m.read_only || claim.read_only,
            )
        } else {
            continue;
        };
        let full = if m.sub_path.is_empty() { base } else { format!("{}/{}", base.trim_end_matches('/'), m.sub_path) };
        let mut clean =
            format!("/{}", full.split('/').filter(|s| !s.is_empty() && *s != ".").collect::<Vec<_>>().join("/"));
        if clean.contains("/..") {
            clean = "/".into();
        }
        out.push((clean, !read_only, pointer));
    }
    out
}

/// Whether a mounted path is, or contains, one of the listed paths.
fn covers(mounted: &str, list: &[&str]) -> bool {
    list.iter().any(|p| mounted == *p || mounted == "/" || p.strip_prefix(mounted).is_some_and(|r| r.starts_with('/')))
}

const SOCKETS: [&str; 9] = [
    "/run/containerd/containerd.sock",
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/cri-dockerd.sock",
    "/run/podman/podman.sock",
    "/var/run/containerd/containerd.sock",
];
const EXECUTABLE: [&str; 16] = [
    "/etc",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/opt",
    "/root",
    "/boot",
    "/var",
    "/var/spool/cron",
    "/etc/cron.d",
    "/etc/systemd",
    "/usr/bin",
    "/usr/local/bin",
    "/usr/lib/systemd",
];

fn mounts(
    ctx: &mut Ctx<'_>,
    pod: &Pod,
    o: Obj,
    c: &Located<'_>,
    exec: Fact,
    host: (Fact, Option<u32>),
    own_userns: bool,
) {
    let (node, number) = host;
    let control_plane = number.is_some_and(|n| super::node::is_control_plane(ctx, n));
    for (path, rw, pointer) in host_mounts(ctx, pod, c) {
        let p = path.as_str();
        let emit =
            |ctx: &mut Ctx<'_>, t: &'static str, f: Fact, tier: u8, why: &'static str, unknown: Option<String>| {
                as_root(
                    ctx,
                    pod,
                    c,
                    || {
                        Emit::new(t, f)
                            .from(exec)
                            .tier(tier)
                            .because(o, pointer.clone(), path.clone(), why)
                            .maybe(unknown.clone())
                    },
                    false,
                );
            };
        if rw && (p == "/" || EXECUTABLE.contains(&p) || p.starts_with("/etc/systemd") || p.starts_with("/etc/cron")) {
            emit(ctx, "hp-root-write", node, 1, "writable host directory with programs or configuration", None);
        }
        if let Some(n) = number {
            if covers(p, &["/var/lib/kubelet"]) {
                emit(
                    ctx,
                    "hp-kubelet-dir-read",
                    Fact::HostFs(n, Area::KubeletOwn),
                    1,
                    "the kubelet's directory is mounted",
                    None,
                );
                let propagated = c
                    .container
                    .volume_mounts
                    .iter()
                    .any(|m| !m.mount_propagation.is_empty() && m.mount_propagation != "None");
                let unknown = (!propagated).then(|| format!("mounts-propagate:{}", pod.metadata.path()));
                emit(
                    ctx,
                    "hp-kubelet-dir-read",
                    Fact::HostFs(n, Area::Kubelet),
                    1,
                    "the kubelet's directory shows the volumes of pods",
                    unknown,
                );
            }
            if ["/", "/etc", "/root", "/home", "/var", "/var/lib"].contains(&p) {
                let area = if p == "/" { Area::Root } else { Area::Files };
                emit(ctx, "hp-root-read", Fact::HostFs(n, area), 1, "host files with credentials are mounted", None);
            }
            if rw
                && covers(p, &["/var/log", "/var/log/pods"])
                && let Some(ns) = ctx.ns(&pod.metadata.namespace)
            {
                as_root(
                    ctx,
                    pod,
                    c,
                    || {
                        Emit::new("hp-var-log-symlink", Fact::HostFs(n, Area::Root))
                            .from(exec)
                            .from(Fact::Right(Right::ReadLogs, ns))
                            .tier(2)
                            .because(
                                o,
                                pointer.clone(),
                                path.clone(),
                                "a symbolic link among the logs makes the kubelet read any file",
                            )
                    },
                    false,
                );
            }
        }
        if rw && covers(p, &["/var/lib/kubelet"]) {
            emit(ctx, "hp-kubelet-dir-write", node, 1, "the kubelet's directory is writable", None);
        } else if rw
            && ["/var/lib/kubelet/device-plugins", "/var/lib/kubelet/plugins_registry", "/var/lib/kubelet/plugins"]
                .contains(&p)
        {
            emit(
                ctx,
                "hp-kubelet-dir-write",
                node,
                2,
                "plugins can be registered with the kubelet",
                Some(format!("kubelet-trusts-plugins:{}", pod.metadata.path())),
            );
        }
        if rw && covers(p, &["/etc/kubernetes/manifests"]) {
            let unknown = (!control_plane).then(|| format!("static-pods-enabled:{}", pod.spec.node_name));
            emit(ctx, "hp-static-manifests", node, 2, "the kubelet starts every pod written here", unknown);
        }
        if control_plane
            && covers(p, &["/etc/kubernetes/pki", "/etc/kubernetes"]) | ["/etc/kubernetes/pki/ca.key"].contains(&p)
        {
            for k in [Key::Ca, Key::ServiceAccount] {
                emit(ctx, "hp-k8s-pki", Fact::ControlKey(k), 1, "the keys of the control plane are mounted", None);
            }
        }
        if control_plane && covers(p, &["/var/lib/etcd"]) {
            emit(ctx, "hp-etcd-data", Fact::Etcd, 1, "the data of etcd is mounted", Some("etcd-not-encrypted".into()));
        }
        if covers(p, &SOCKETS) && (p != "/var") {
            emit(ctx, "hp-runtime-socket", node, 1, "the socket of the container runtime is mounted", None);
        }
        if rw && covers(p, &["/etc/cni/net.d", "/opt/cni/bin"]) {
            emit(ctx, "hp-cni", node, 2, "the network plugin of the node runs programs from here as root", None);
        }
        if rw
            && !own_userns
            && covers(p, &["/proc/sys/kernel", "/proc/sys"]) | (p == "/proc")
            && c.container.security_context.privileged != Some(true)
        {
            let selinux = pod.spec.security_context.se_linux_options.is_some();
            let _ = selinux;
            emit(ctx, "hp-proc-core-pattern", node, 2, "core_pattern of the node can be set to a program", None);
        }
    }
}
