//! What a mounted directory of the node gives to a container.

use super::container::as_root;
use super::ctx::{Ctx, Emit};
use super::fact::{Area, Fact, Key};
use crate::model::facts::Located;
use crate::model::kind::{Kind, Obj};
use crate::model::pod::{Pod, VolumeMount};

/// A directory of the node inside a container.
struct HostMount<'p> {
    /// Path on the node, cleaned.
    path: String,
    /// Whether the container may write.
    writable: bool,
    /// Fields that show it: object, JSON pointer, value.
    evidence: Vec<(Obj, String, String)>,
    /// The mount.
    mount: &'p VolumeMount,
}

/// hostPath volumes, and claims bound to a volume of type hostPath or local.
fn host_mounts<'p>(ctx: &Ctx<'_>, pod: &'p Pod, o: Obj, c: &Located<'p>) -> Vec<HostMount<'p>> {
    let mut out = Vec::new();
    for m in &c.container.volume_mounts {
        let Some((v, volume)) = pod.spec.volumes.iter().enumerate().find(|(_, v)| v.name == m.name) else { continue };
        let (base, evidence, read_only) = if let Some(h) = &volume.host_path {
            let field = (o, format!("/spec/volumes/{v}/hostPath/path"), h.path.clone());
            (h.path.clone(), vec![field], m.read_only)
        } else if let Some(claim) = &volume.persistent_volume_claim {
            let key = (pod.metadata.namespace.clone(), claim.claim_name.clone());
            let Some((index, field, path)) = ctx.claim_paths.get(&key) else { continue };
            let pointer = format!("/spec/volumes/{v}/persistentVolumeClaim/claimName");
            let volume = Obj { kind: Kind::PersistentVolume, index: *index };
            let evidence = vec![(o, pointer, claim.claim_name.clone()), (volume, (*field).to_owned(), path.clone())];
            (path.clone(), evidence, m.read_only || claim.read_only)
        } else {
            continue;
        };
        let full = if m.sub_path.is_empty() { base } else { format!("{}/{}", base.trim_end_matches('/'), m.sub_path) };
        let parts: Vec<&str> = full.split('/').filter(|s| !s.is_empty() && *s != ".").collect();
        // A path that climbs may end anywhere.
        let path = if parts.contains(&"..") { "/".to_owned() } else { format!("/{}", parts.join("/")) };
        out.push(HostMount { path, writable: !read_only, evidence, mount: m });
    }
    out
}

/// Whether a mounted path is, or contains, one of the listed paths.
fn covers(mounted: &str, list: &[&str]) -> bool {
    list.iter().any(|p| mounted == *p || mounted == "/" || p.strip_prefix(mounted).is_some_and(|r| r.starts_with('/')))
}

/// Sockets of container runtimes. A read-only mount does not protect: connect() looks at the inode.
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
/// Directories with programs or configuration that run as root, themselves, above and below where said so.
const EXECUTABLE: [&str; 18] = [
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
    "/etc/ld.so.preload",
    "/etc/ld.so.conf.d",
];

/// Emits the steps that the mounts of a container open.
pub fn emit(ctx: &mut Ctx<'_>, pod: &Pod, o: Obj, c: &Located<'_>, exec: Fact, host: (Fact, Option<u32>)) {
    let (node, number) = host;
    let control_plane = number.is_some_and(|n| super::node::is_control_plane(ctx, n));
    for HostMount { path, writable: rw, evidence, mount } in host_mounts(ctx, pod, o, c) {
        let cite =
            |e: Emit<'static>, why| evidence.iter().fold(e, |e, (o, p, v)| e.because(*o, p.clone(), v.clone(), why));
        let p = path.as_str();
        let emit =
            |ctx: &mut Ctx<'_>, t: &'static str, f: Fact, tier: u8, why: &'static str, unknown: Option<String>| {
                let build = || cite(Emit::new(t, f).from(exec).tier(tier), why).maybe(unknown.clone());
                as_root(ctx, pod, c, build, false);
            };
        let below = ["/etc/systemd/", "/etc/cron", "/opt/cni/", "/lib", "/usr/lib/systemd/"];
        if rw && (covers(p, &EXECUTABLE) || below.iter().any(|b| p.starts_with(b))) {
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
                let propagated = !mount.mount_propagation.is_empty() && mount.mount_propagation != "None";
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
            if rw && covers(p, &["/var/log", "/var/log/pods"]) {
                let why = "a symbolic link among the logs makes the kubelet read any file";
                let build = || {
                    let e = Emit::new("hp-var-log-symlink", Fact::HostFs(n, Area::Root)).from(exec);
                    cite(e.from(Fact::LogsOn(n)).tier(2), why)
                };
                as_root(ctx, pod, c, build, false);
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
        if control_plane && covers(p, &["/etc/kubernetes/pki/ca.key"]) {
            for k in [Key::Ca, Key::ServiceAccount] {
                emit(ctx, "hp-k8s-pki", Fact::ControlKey(k), 1, "the keys of the control plane are mounted", None);
            }
        }
        if control_plane && covers(p, &["/var/lib/etcd"]) {
            emit(ctx, "hp-etcd-data", Fact::Etcd, 1, "the data of etcd is mounted", Some("etcd-not-encrypted".into()));
        }
        if covers(p, &SOCKETS) && p != "/var" {
            emit(ctx, "hp-runtime-socket", node, 1, "the socket of the container runtime is mounted", None);
        }
        if rw && covers(p, &["/etc/cni/net.d", "/opt/cni/bin"]) {
            emit(ctx, "hp-cni", node, 2, "the network plugin of the node runs programs from here as root", None);
        }
        if rw
            && pod.spec.host_users != Some(false)
            && covers(p, &["/proc/sys/kernel"])
            && p != "/"
            && c.container.security_context.privileged != Some(true)
        {
            emit(ctx, "hp-proc-core-pattern", node, 2, "core_pattern of the node can be set to a program", None);
        }
    }
}
