//! Live dry-run pod creations beside `kpath eval psa` and `kpath eval automount`.

use std::fmt::Write as _;

use fastrand::Rng;
use futures::StreamExt;
use serde_json::{Value, json};

use super::caller::{Answer, Caller};
use super::objects::put_all;
use super::program;

const LEVELS: [&str; 3] = ["privileged", "baseline", "restricted"];
const VERSIONS: [&str; 5] = ["latest", "v1.18", "v1.22", "v1.25", "v1.31"];

/// Changes of one field each: a JSON pointer whose parents are made, and a value.
const CHANGES: &[(&str, &str)] = &[
    ("/spec/hostNetwork", "true"),
    ("/spec/hostPID", "true"),
    ("/spec/hostIPC", "true"),
    ("/spec/hostUsers", "false"),
    ("/spec/volumes/0", r#"{"name": "v", "hostPath": {"path": "/etc"}}"#),
    ("/spec/volumes/0", r#"{"name": "v", "emptyDir": {}}"#),
    ("/spec/volumes/0", r#"{"name": "v", "nfs": {"server": "h", "path": "/"}}"#),
    ("/spec/volumes/0", r#"{"name": "v", "image": {"reference": "a:1"}}"#),
    ("/spec/containers/0/ports", r#"[{"containerPort": 80, "hostPort": 80}]"#),
    ("/spec/containers/0/ports", r#"[{"containerPort": 80}]"#),
    ("/spec/containers/0/securityContext/privileged", "true"),
    ("/spec/containers/0/securityContext/allowPrivilegeEscalation", "false"),
    ("/spec/containers/0/securityContext/capabilities/drop", r#"["ALL"]"#),
    ("/spec/containers/0/securityContext/capabilities/drop", r#"["NET_RAW"]"#),
    ("/spec/containers/0/securityContext/capabilities/add", r#"["NET_BIND_SERVICE"]"#),
    ("/spec/containers/0/securityContext/capabilities/add", r#"["SYS_ADMIN"]"#),
    ("/spec/containers/0/securityContext/capabilities/add", r#"["CHOWN"]"#),
    ("/spec/containers/0/securityContext/runAsNonRoot", "true"),
    ("/spec/containers/0/securityContext/runAsNonRoot", "false"),
    ("/spec/containers/0/securityContext/runAsUser", "0"),
    ("/spec/containers/0/securityContext/runAsUser", "1000"),
    ("/spec/containers/0/securityContext/procMount", r#""Unmasked""#),
    ("/spec/containers/0/securityContext/seccompProfile", r#"{"type": "RuntimeDefault"}"#),
    ("/spec/containers/0/securityContext/seccompProfile", r#"{"type": "Unconfined"}"#),
    ("/spec/containers/0/securityContext/seccompProfile", r#"{"type": "Localhost", "localhostProfile": "a.json"}"#),
    ("/spec/containers/0/securityContext/seLinuxOptions", r#"{"type": "container_t"}"#),
    ("/spec/containers/0/securityContext/seLinuxOptions", r#"{"type": "spc_t"}"#),
    ("/spec/containers/0/securityContext/appArmorProfile", r#"{"type": "Unconfined"}"#),
    ("/spec/containers/0/securityContext/windowsOptions", r#"{"hostProcess": true}"#),
    ("/spec/containers/0/livenessProbe", r#"{"httpGet": {"port": 80, "host": "example.com"}}"#),
    ("/spec/containers/0/lifecycle", r#"{"postStart": {"tcpSocket": {"port": 80, "host": "h"}}}"#),
    ("/spec/securityContext/runAsNonRoot", "true"),
    ("/spec/securityContext/runAsUser", "0"),
    ("/spec/securityContext/seccompProfile", r#"{"type": "RuntimeDefault"}"#),
    ("/spec/securityContext/sysctls", r#"[{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]"#),
    ("/spec/securityContext/sysctls", r#"[{"name": "kernel.msgmax", "value": "1"}]"#),
    ("/spec/os", r#"{"name": "windows"}"#),
    ("/spec/os", r#"{"name": "linux"}"#),
    ("/spec/initContainers", r#"[{"name": "i", "image": "a:1"}]"#),
    ("/spec/initContainers", r#"[{"name": "i", "image": "a:1", "securityContext": {"privileged": true}}]"#),
    ("/metadata/annotations", r#"{"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}"#),
    ("/metadata/annotations", r#"{"container.apparmor.security.beta.kubernetes.io/c": "unconfined"}"#),
    ("/metadata/annotations", r#"{"container.apparmor.security.beta.kubernetes.io/c": "runtime/default"}"#),
];

/// What the restricted level asks for: without it hardly any drawn pod would pass.
const HARDENED: &str = r#"{"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"}}"#;

fn set(object: &mut Value, pointer: &str, value: &str) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        at = match part.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let list = at.as_array_mut().unwrap();
                while list.len() <= index {
                    list.push(json!({}));
                }
                &mut list[index]
            }
            Err(_) => {
                if !at.is_object() {
                    *at = json!({});
                }
                &mut at[part]
            }
        };
    }
    *at = serde_json::from_str(value).unwrap();
}

async fn dry_run(admin: &Caller, namespace: &str, pod: &Value) -> Answer {
    admin.post(&format!("/api/v1/namespaces/{namespace}/pods?dryRun=All"), pod).await
}

fn lines(values: &[Value]) -> String {
    values.iter().fold(String::new(), |mut s, v| {
        let _ = writeln!(s, "{v}");
        s
    })
}

/// Pods of one to four changed fields in namespaces of every level and several versions.
pub async fn pod_security(admin: &Caller) -> Result<String, String> {
    let mut spaces = Vec::new();
    for level in LEVELS {
        for version in VERSIONS {
            let name = format!("e2e-psa-{level}-{}", version.replace('.', "-"));
            put_all(
                admin,
                &[json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
                    "pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/enforce-version": version,
                }}})],
            )
            .await;
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": name}});
            put_all(admin, &[account]).await;
            spaces.push((name, level, version));
        }
    }
    let mut rng = Rng::with_seed(7);
    let mut cases = Vec::new();
    for i in 0..1500 {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{i}")},
            "spec": {"containers": [{"name": "c", "image": "a:1"}]}});
        if rng.bool() {
            set(&mut pod, "/spec/containers/0/securityContext", HARDENED);
        }
        for _ in 0..rng.usize(0..4) {
            let (pointer, value) = CHANGES[rng.usize(..CHANGES.len())];
            set(&mut pod, pointer, value);
        }
        cases.push((&spaces[rng.usize(..spaces.len())], pod));
    }
    let answers: Vec<Answer> = futures::stream::iter(&cases)
        .map(|((namespace, ..), pod)| dry_run(admin, namespace, pod))
        .buffered(8)
        .collect()
        .await;
    let asked: Vec<Value> = cases
        .iter()
        .map(|((_, level, version), pod)| json!({"pod": pod, "enforce": level, "enforce_version": version}))
        .collect();
    let run = program::kpath_with("", &["eval", "psa"], &lines(&asked));
    let (mut allowed, mut refused, mut invalid, mut different) = (0, 0, 0, Vec::new());
    for (((_, pod), answer), line) in cases.iter().zip(&answers).zip(run.out.lines()) {
        let ours: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let server = match answer.code {
            201 => true,
            403 if answer.text.contains("violates PodSecurity") => false,
            422 => {
                invalid += 1;
                continue;
            }
            _ => return Err(format!("{pod}: {answer:?}")),
        };
        *(if server { &mut allowed } else { &mut refused }) += 1;
        if ours["allowed"].as_bool() != Some(server) {
            different.push(format!("server {server}, kpath {ours}: {pod} {}", answer.text));
        }
    }
    if !different.is_empty() || run.out.lines().count() != cases.len() {
        return Err(format!("{} different:\n{}", different.len(), different.join("\n")));
    }
    if allowed < 200 || refused < 200 {
        return Err(format!("the pods say little: {allowed} allowed, {refused} refused, {invalid} invalid"));
    }
    Ok(format!("{} dry-run pods: {allowed} allowed, {refused} refused, {invalid} invalid, 0 different", cases.len()))
}

/// Accounts, token Secrets and pods whose token mounts differ.
pub async fn automount(admin: &Caller, dir: &std::path::Path) -> Result<String, String> {
    let namespace = "e2e-automount";
    let account = |name: &str, more: Value| {
        let mut a =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}});
        for (k, v) in more.as_object().unwrap() {
            a[k] = v.clone();
        }
        a
    };
    let token = |name: &str, of: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token", "metadata": {
            "name": name, "namespace": namespace, "annotations": {"kubernetes.io/service-account.name": of}}})
    };
    put_all(
        admin,
        &[
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
            account("default", json!({})),
            account("on", json!({"automountServiceAccountToken": true})),
            account("off", json!({"automountServiceAccountToken": false})),
            account(
                "strict",
                json!({"metadata": {"name": "strict", "namespace": namespace,
                "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}, "secrets": [{"name": "listed"}]}),
            ),
            token("on-token-abcde", "on"),
        ],
    )
    .await;
    let standard = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mut rng = Rng::with_seed(11);
    let mut pods = Vec::new();
    for i in 0..400 {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("p{i}"), "namespace": namespace},
            "spec": {"containers": [{"name": "c", "image": "a:1"}]}});
        let spec = &mut pod["spec"];
        match rng.u8(..6) {
            0 => {}
            1 => spec["serviceAccount"] = json!("on"),
            2 => spec["serviceAccountName"] = json!("absent"),
            3 => spec["serviceAccountName"] = json!("strict"),
            _ => spec["serviceAccountName"] = json!(["on", "off", "default"][rng.usize(..3)]),
        }
        match rng.u8(..4) {
            0 => spec["automountServiceAccountToken"] = json!(true),
            1 => spec["automountServiceAccountToken"] = json!(false),
            _ => {}
        }
        if rng.u8(..3) == 0 {
            spec["initContainers"] = json!([{"name": "i", "image": "a:1"}]);
        }
        match rng.u8(..8) {
            0 => {
                spec["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
                spec["containers"][0]["volumeMounts"] = json!([{"name": "own", "mountPath": standard}]);
            }
            1 => {
                spec["volumes"] = json!([{"name": "t", "projected": {"sources": [{"serviceAccountToken":
                    {"path": "t", "audience": "vault", "expirationSeconds": 900}}]}}]);
                spec["containers"][0]["volumeMounts"] = json!([{"name": "t", "mountPath": "/t"}]);
            }
            2 => {
                spec["volumes"] = json!([{"name": "s", "secret": {"secretName": "on-token-abcde"}}]);
                spec["containers"][0]["volumeMounts"] = json!([{"name": "s", "mountPath": "/s"}]);
            }
            3 => {
                spec["volumes"] = json!([{"name": "s", "secret": {"secretName": "other"}}]);
                spec["containers"][0]["volumeMounts"] = json!([{"name": "s", "mountPath": "/s"}]);
            }
            _ => {}
        }
        pods.push(pod);
    }
    let answers: Vec<Answer> =
        futures::stream::iter(&pods).map(|pod| dry_run(admin, namespace, pod)).buffered(8).collect().await;
    let snapshot = dir.join("automount.kpath");
    program::snapshot(&snapshot);
    let asked: Vec<Value> = pods.iter().map(|p| json!({"pod": p, "namespace": namespace})).collect();
    let args = ["eval", "automount", "--snapshot", snapshot.to_str().unwrap()];
    let run = program::kpath_with("", &args, &lines(&asked));
    let (mut admitted, mut refused, mut mounts, mut different) = (0, 0, 0, Vec::new());
    for ((pod, answer), line) in pods.iter().zip(&answers).zip(run.out.lines()) {
        let ours: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let found = if answer.ok() { tokens(&answer.json()) } else { Vec::new() };
        *(if answer.ok() { &mut admitted } else { &mut refused }) += 1;
        mounts += found.len();
        let mut said: Vec<(String, String)> = ours["tokenMounts"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|m| (m["container"].as_str().unwrap_or("").into(), m["mountPath"].as_str().unwrap_or("").into()))
            .collect();
        said.sort();
        if ours["admitted"].as_bool() != Some(answer.ok()) || said != found {
            different.push(format!("server {} {found:?}, kpath {ours}: {pod}", answer.code));
        }
    }
    if !different.is_empty() || run.out.lines().count() != pods.len() {
        return Err(format!("{} different of {}:\n{}", different.len(), pods.len(), different.join("\n")));
    }
    Ok(format!(
        "{} dry-run pods: {admitted} admitted, {refused} refused, {mounts} token mounts, 0 different",
        pods.len()
    ))
}

/// Where a pod as the server made it mounts a token: (container, path), sorted.
fn tokens(pod: &Value) -> Vec<(String, String)> {
    let holds = |volume: &Value| {
        volume["secret"]["secretName"].as_str() == Some("on-token-abcde")
            || volume["projected"]["sources"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|s| s.get("serviceAccountToken").is_some())
    };
    let volumes: Vec<&str> = pod["spec"]["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|v| holds(v))
        .filter_map(|v| v["name"].as_str())
        .collect();
    let mut found = Vec::new();
    for list in ["initContainers", "containers"] {
        for c in pod["spec"][list].as_array().into_iter().flatten() {
            for m in c["volumeMounts"].as_array().into_iter().flatten() {
                if m["name"].as_str().is_some_and(|n| volumes.contains(&n)) {
                    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                    found.push((text(&c["name"]), text(&m["mountPath"])));
                }
            }
        }
    }
    found.sort();
    found
}
