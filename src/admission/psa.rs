//! Pod Security Standards, check by check, with the versions at which each check changed.
//!
//! Source: `k8s.io/pod-security-admission/policy/check_*.go`. Namespace labels: `pod-security.kubernetes.io/enforce`
//! and `enforce-version`; only enforce refuses pods.

use std::fmt;

use super::sysctl;
use crate::model::facts::Located;
use crate::model::meta::Labels;
use crate::model::pod::{Container, Handler, Pod, Profile, SeLinuxOptions};

/// A Pod Security level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// No restriction.
    Privileged,
    /// Known escalations refused.
    Baseline,
    /// Hardened.
    Restricted,
}

impl Level {
    /// Reads a label value; `None` for anything that is no level.
    pub fn parse(text: &str) -> Option<Level> {
        match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })
    }
}

/// What a namespace enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Level.
    pub level: Level,
    /// Minor version of the policy; `u32::MAX` for latest.
    pub minor: u32,
}

/// Label that enforces a level.
pub const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// Label that pins the version of the level.
pub const ENFORCE_VERSION: &str = "pod-security.kubernetes.io/enforce-version";

/// Reads `latest` or `v1.NN`; `None` for anything else.
pub fn parse_version(text: &str) -> Option<u32> {
    if text == "latest" {
        return Some(u32::MAX);
    }
    let minor = text.strip_prefix("v1.")?;
    let plain =
        !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()) && (minor == "0" || !minor.starts_with('0'));
    plain.then(|| minor.parse().ok()).flatten()
}

impl Policy {
    /// The policy that namespace labels enforce. Unlabelled namespaces get the cluster default, privileged;
    /// an unreadable level is treated as restricted, an unreadable version as latest (`api/helpers.go`).
    pub fn of_labels(labels: &Labels) -> Policy {
        let level = labels.get(ENFORCE).map_or(Level::Privileged, |l| Level::parse(l).unwrap_or(Level::Restricted));
        let minor = labels.get(ENFORCE_VERSION).map_or(u32::MAX, |v| parse_version(v).unwrap_or(u32::MAX));
        Policy { level, minor }
    }
}

/// Names of the violated checks with details, as the server words them; empty when the pod is allowed.
pub fn evaluate(pod: &Pod, policy: Policy) -> Vec<String> {
    let mut out = Violations::default();
    if policy.level == Level::Privileged {
        return out.0;
    }
    let restricted = policy.level == Level::Restricted;
    let v = policy.minor;
    // From 1.25 on, checks that make no sense on Windows are skipped for pods that declare it.
    let linux = v < 25 || !pod.is_windows();
    let containers: Vec<Located<'_>> = pod.all_containers().collect();

    baseline(pod, &containers, v, restricted, &mut out);
    if restricted {
        restrict(pod, &containers, v, linux, &mut out);
    }
    out.0
}

#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn add(&mut self, name: &str, detail: impl fmt::Display) {
        self.0.push(format!("{name} ({detail})"));
    }

    fn containers(&mut self, name: &str, all: &[Located<'_>], bad: impl Fn(&Container) -> bool, what: &str) {
        let names: Vec<String> =
            all.iter().filter(|c| bad(c.container)).map(|c| format!("{:?}", c.container.name)).collect();
        if !names.is_empty() {
            let noun = if names.len() == 1 { "container" } else { "containers" };
            self.add(name, format!("{noun} {} {what}", names.join(", ")));
        }
    }
}

const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

fn baseline(pod: &Pod, all: &[Located<'_>], v: u32, restricted: bool, out: &mut Violations) {
    let spec = &pod.spec;
    let ps = &spec.security_context;
    apparmor(pod, all, out);
    // The restricted checks of the same setting replace these.
    if !(restricted && v >= 22) {
        let bad = |c: &Container| {
            c.security_context
                .capabilities
                .iter()
                .flat_map(|k| &k.add)
                .any(|a| !BASELINE_CAPABILITIES.contains(&a.as_str()))
        };
        out.containers("non-default capabilities", all, bad, "must not add capabilities beyond the default set");
    }
    let namespaces: Vec<&str> =
        [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)]
            .into_iter()
            .filter_map(|(n, on)| on.then_some(n))
            .collect();
    if !namespaces.is_empty() {
        let list: Vec<String> = namespaces.iter().map(|n| format!("{n}=true")).collect();
        out.add("host namespaces", list.join(", "));
    }
    let host_paths: Vec<String> =
        spec.volumes.iter().filter(|x| x.host_path.is_some()).map(|x| format!("{:?}", x.name)).collect();
    if !host_paths.is_empty() {
        out.add("hostPath volumes", format!("volumes {}", host_paths.join(", ")));
    }
    let uses_host_port =
        |c: &Container| c.ports.iter().any(|p| p.host_port != 0 || (spec.host_network && p.container_port != 0));
    // Defaulting copies containerPort to hostPort in hostNetwork pods, but not for ephemeral containers.
    out.containers("hostPort", all, uses_host_port, "uses a hostPort");
    if v >= 34 {
        out.containers("probe or lifecycle host", all, probe_host, "uses a probe or lifecycle host");
    }
    out.containers(
        "privileged",
        all,
        |c| c.security_context.privileged == Some(true),
        "must not set securityContext.privileged=true",
    );
    // From 1.35 on a pod with a user namespace of its own may unmask /proc at baseline.
    let relaxed = v >= 35 && spec.host_users == Some(false) && !restricted;
    if !relaxed {
        let bad = |c: &Container| c.security_context.proc_mount.as_deref().is_some_and(|p| p != "Default");
        out.containers("procMount", all, bad, "must not set securityContext.procMount");
    }
    if !(restricted && v >= 19) {
        seccomp_baseline(pod, all, v, out);
    }
    selinux(pod, all, v, out);
    let bad: Vec<&str> = ps.sysctls.iter().map(|s| s.name.as_str()).filter(|s| !sysctl::is_safe(s, v)).collect();
    if !bad.is_empty() {
        out.add("forbidden sysctls", bad.join(", "));
    }
    let host_process =
        |w: &Option<crate::model::pod::WindowsOptions>| w.as_ref().and_then(|w| w.host_process) == Some(true);
    if host_process(&ps.windows_options)
        || all.iter().any(|c| host_process(&c.container.security_context.windows_options))
    {
        out.add("hostProcess", "must not set securityContext.windowsOptions.hostProcess=true");
    }
}

fn probe_host(c: &Container) -> bool {
    let set = |h: &Option<Handler>| {
        h.as_ref().is_some_and(|h| h.http_get.iter().chain(&h.tcp_socket).any(|t| !t.host.is_empty()))
    };
    set(&c.liveness_probe)
        || set(&c.readiness_probe)
        || set(&c.startup_probe)
        || c.lifecycle.as_ref().is_some_and(|l| set(&l.post_start) || set(&l.pre_stop))
}

fn apparmor(pod: &Pod, all: &[Located<'_>], out: &mut Violations) {
    let bad_profile =
        |p: &Option<Profile>| p.as_ref().is_some_and(|p| !matches!(p.kind.as_str(), "RuntimeDefault" | "Localhost"));
    let bad_annotation = pod.metadata.annotations.iter().any(|(k, value)| {
        k.starts_with("container.apparmor.security.beta.kubernetes.io/")
            && !(value.is_empty() || value == "runtime/default" || value.starts_with("localhost/"))
    });
    if bad_annotation
        || bad_profile(&pod.spec.security_context.app_armor_profile)
        || all.iter().any(|c| bad_profile(&c.container.security_context.app_armor_profile))
    {
        out.add("forbidden AppArmor profile", "only RuntimeDefault and Localhost profiles are allowed");
    }
}

fn selinux(pod: &Pod, all: &[Located<'_>], v: u32, out: &mut Violations) {
    let bad = |s: &Option<SeLinuxOptions>| {
        s.as_ref().is_some_and(|s| {
            let kind_ok = matches!(s.kind.as_str(), "" | "container_t" | "container_init_t" | "container_kvm_t")
                || (v >= 31 && s.kind == "container_engine_t");
            !kind_ok || !s.user.is_empty() || !s.role.is_empty()
        })
    };
    if bad(&pod.spec.security_context.se_linux_options)
        || all.iter().any(|c| bad(&c.container.security_context.se_linux_options))
    {
        out.add("seLinuxOptions", "type, user or role is not allowed");
    }
}

fn seccomp_baseline(pod: &Pod, all: &[Located<'_>], v: u32, out: &mut Violations) {
    if v < 19 {
        let allowed =
            |x: &str| x.is_empty() || x == "runtime/default" || x == "docker/default" || x.starts_with("localhost/");
        let annotations = &pod.metadata.annotations;
        let bad = annotations.iter().any(|(k, value)| {
            // Annotations of containers that the pod does not have are ignored.
            let container = k.strip_prefix("container.seccomp.security.alpha.kubernetes.io/");
            let counts = k == "seccomp.security.alpha.kubernetes.io/pod"
                || container.is_some_and(|name| all.iter().any(|c| c.container.name == name));
            counts && !allowed(value)
        });
        if bad {
            out.add("seccompProfile", "forbidden seccomp annotation");
        }
        return;
    }
    let bad =
        |p: &Option<Profile>| p.as_ref().is_some_and(|p| !matches!(p.kind.as_str(), "RuntimeDefault" | "Localhost"));
    if bad(&pod.spec.security_context.seccomp_profile)
        || all.iter().any(|c| bad(&c.container.security_context.seccomp_profile))
    {
        out.add("seccompProfile", "must not set securityContext.seccompProfile.type to \"Unconfined\"");
    }
}

fn restrict(pod: &Pod, all: &[Located<'_>], v: u32, linux: bool, out: &mut Violations) {
    let ps = &pod.spec.security_context;
    if v >= 8 && linux {
        let bad = |c: &Container| c.security_context.allow_privilege_escalation != Some(false);
        out.containers(
            "allowPrivilegeEscalation != false",
            all,
            bad,
            "must set securityContext.allowPrivilegeEscalation=false",
        );
    }
    if v >= 22 && linux {
        let bad = |c: &Container| {
            let caps = c.security_context.capabilities.as_ref();
            !caps.is_some_and(|k| k.drop.iter().any(|d| d == "ALL"))
                || caps.is_some_and(|k| k.add.iter().any(|a| a != "NET_BIND_SERVICE"))
        };
        out.containers("unrestricted capabilities", all, bad, "must set securityContext.capabilities.drop=[\"ALL\"]");
    }
    let bad: Vec<String> =
        pod.spec.volumes.iter().filter(|x| !restricted_volume(x)).map(|x| format!("{:?}", x.name)).collect();
    if !bad.is_empty() {
        out.add("restricted volume types", format!("volumes {}", bad.join(", ")));
    }
    // From 1.35 on a pod with a user namespace of its own may run as root: uid 0 is an unprivileged uid of the node.
    let relaxed = v >= 35 && pod.spec.host_users == Some(false);
    if !relaxed {
        let pod_ok = ps.run_as_non_root == Some(true);
        let explicit_bad = ps.run_as_non_root == Some(false);
        let bad = |c: &Container| match c.security_context.run_as_non_root {
            Some(ok) => !ok,
            None => !pod_ok,
        };
        let names = all.iter().filter(|c| bad(c.container)).count();
        if explicit_bad || names > 0 {
            out.add("runAsNonRoot != true", "pod or containers must set securityContext.runAsNonRoot=true");
        }
        if v >= 23
            && (ps.run_as_user == Some(0) || all.iter().any(|c| c.container.security_context.run_as_user == Some(0)))
        {
            out.add("runAsUser=0", "pod and containers must not set runAsUser=0");
        }
    }
    if v >= 19 && linux {
        let good = |p: &Option<Profile>| p.as_ref().map(|p| matches!(p.kind.as_str(), "RuntimeDefault" | "Localhost"));
        let pod_profile = good(&ps.seccomp_profile);
        let missing =
            all.iter().any(|c| !good(&c.container.security_context.seccomp_profile).or(pod_profile).unwrap_or(false));
        if pod_profile == Some(false) || missing {
            out.add(
                "seccompProfile",
                "pod or containers must set seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            );
        }
    } else if v >= 19 {
        seccomp_baseline(pod, all, v, out);
    }
}

fn restricted_volume(x: &crate::model::volume::Volume) -> bool {
    x.host_path.is_none() && x.other.is_empty()
}
