//! What code in a container wins: its tokens, its Secrets, its siblings, and the node below it.

use super::ctx::{Ctx, Emit};
use super::fact::{Area, Fact};
use super::hostpath;
use crate::admission::service_account::TOKEN_PATH;
use crate::model::facts::{
    DEFAULT_CAPABILITIES, Located, Uid, capability_name, dropped_default, effective_uid, has_capability,
};
use crate::model::kind::{Kind, Obj};
use crate::model::pod::Pod;

/// Assumption under which an image that sets no user runs as root.
pub const IMAGES_RUN_AS_ROOT: &str = "images-run-as-root";

/// Runtime handlers that put a virtual machine or a user-space kernel between container and node.
const SANDBOXES: [&str; 8] =
    ["runsc", "gvisor", "kata", "kata-qemu", "kata-clh", "kata-fc", "kata-dragonball", "firecracker"];

/// Runtime handlers that are plain containers.
const PLAIN_RUNTIMES: [&str; 6] = ["runc", "crun", "youki", "nvidia", "nvidia-cdi", "nvidia-legacy"];

/// Emits the steps of every running container.
pub fn emit(ctx: &mut Ctx<'_>) {
    for (i, pod) in ctx.cluster.objects.pods.iter().enumerate() {
        let i = i as u32;
        let o = Obj { kind: Kind::Pod, index: i };
        let host = host_of(ctx, pod, i);
        for c in pod.running_containers() {
            let exec = Fact::Exec(i, c.ordinal);
            tokens(ctx, pod, o, &c, exec);
            secrets(ctx, pod, o, &c, exec);
            siblings(ctx, pod, i, o, &c, exec);
            if !pod.is_windows()
                && let Some(kernel) = kernel_position(ctx, pod, i, o, &c, exec)
            {
                escapes(ctx, pod, o, &c, kernel, host);
            }
        }
    }
}

/// The node fact of a pod: its node, or the node that it will get.
fn host_of(ctx: &mut Ctx<'_>, pod: &Pod, index: u32) -> (Fact, Option<u32>) {
    if !pod.spec.node_name.is_empty() {
        return match ctx.node_of(index) {
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
                } else {
                    // Who trusts the issuer for this audience is no data of this cluster.
                    let e = Emit::new("sa-group-federation", Fact::Elsewhere(subject, audience))
                        .from(token)
                        .unless_known(format!("relying-party-trusts:{}", t.audience));
                    ctx.emit(e.because(o, p, t.audience.clone(), "the audience is not the API server's"));
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
pub(super) fn as_root<'a>(
    ctx: &mut Ctx<'_>,
    pod: &Pod,
    c: &Located<'_>,
    build: impl Fn() -> Emit<'a>,
    setuid_helps: bool,
) {
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
    let pointer = match (pod.spec.share_process_namespace, pod.spec.host_pid) {
        (true, _) => "/spec/shareProcessNamespace",
        (false, true) => "/spec/hostPID",
        _ => return,
    };
    for other in pod.running_containers().filter(|x| x.ordinal != c.ordinal) {
        let (mine, theirs) = (effective_uid(pod, c.container), effective_uid(pod, other.container));
        let same = matches!((mine, theirs), (Uid::Set(a), Uid::Set(b)) if a == b);
        let why = "containers see and enter each other's processes";
        let build = || {
            Emit::new("ctr-share-process-ns", Fact::Exec(i, other.ordinal)).from(exec).because(o, pointer, "true", why)
        };
        // The kernel asks for the capabilities of the target, or for SYS_PTRACE (ptrace_may_access).
        if has_capability(c.container, "SYS_PTRACE") {
            ctx.emit(build());
        } else if !covers_capabilities(c, &other) {
            continue;
        } else if same {
            ctx.emit(build());
        } else {
            as_root(ctx, pod, c, build, false);
        }
    }
}

/// Whether a container has every capability that was added to another.
fn covers_capabilities(c: &Located<'_>, other: &Located<'_>) -> bool {
    let sc = &other.container.security_context;
    let added = sc.capabilities.iter().flat_map(|k| &k.add);
    c.container.security_context.privileged == Some(true)
        || (sc.privileged != Some(true)
            && added.into_iter().map(|a| capability_name(a)).all(|a| {
                let default = DEFAULT_CAPABILITIES.contains(&a.as_str()) && !dropped_default(c.container, &a);
                default || has_capability(c.container, &a)
            }))
}

/// The fact from which escapes start: the container itself where its runtime shares the kernel of the node, that
/// unknown where the runtime class tells nothing, `None` in a sandbox. The handler decides, not the name of the class.
fn kernel_position(ctx: &mut Ctx<'_>, pod: &Pod, i: u32, o: Obj, c: &Located<'_>, exec: Fact) -> Option<Fact> {
    let class = &pod.spec.runtime_class_name;
    if class.is_empty() {
        return Some(exec);
    }
    let handler = ctx
        .cluster
        .find(Kind::RuntimeClass, "", class)
        .and_then(|n| ctx.cluster.objects.runtime_classes.get(n as usize))
        .map(|r| r.handler.as_str());
    match handler {
        Some(h) if SANDBOXES.contains(&h) => None,
        Some(h) if PLAIN_RUNTIMES.contains(&h) => Some(exec),
        _ => {
            let kernel = Fact::OnKernel(i, c.ordinal);
            let e = Emit::scope(kernel).from(exec).unless_known(format!("runtime-shares-kernel:{class}"));
            ctx.emit(e.because(o, "/spec/runtimeClassName", class.clone(), "the runtime class decides the isolation"));
            Some(kernel)
        }
    }
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
    let lsm = || (!lsm_off(pod, c)).then(|| format!("lsm-confines:{node_name}"));
    let at = |e: Emit<'static>| {
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
                let pid = |e: Emit<'static>| {
                    e.because(o, "/spec/hostPID", "true", "the container sees the processes of the node")
                };
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
    hostpath::emit(ctx, pod, o, c, exec, host);
}
