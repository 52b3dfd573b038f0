//! What the collector reads from a real server: everything, with every kind of credential, and what it says when a
//! right is missing.

use std::path::Path;

use kpath::model::Kind;
use kpath::snapshot::Snapshot;
use kpath::snapshot::import::Importer;
use serde_json::{Value, json};

use super::caller::{Caller, kubeconfig};
use super::objects::put_all;
use super::program::kpath;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The whole list of a kind in one page, asked for by this test.
async fn list(admin: &Caller, kind: Kind) -> Vec<Value> {
    let info = kind.info();
    let group = if info.group.is_empty() { "/api/v1".into() } else { format!("/apis/{}/{}", info.group, info.version) };
    let answer = admin.get(&format!("{group}/{}", info.resource)).await;
    if answer.code == 404 && info.optional {
        return Vec::new();
    }
    assert!(answer.ok(), "{}: {answer:?}", info.kind);
    let mut items = answer.json()["items"].as_array().cloned().unwrap_or_default();
    for item in &mut items {
        item["kind"] = json!(info.kind);
        item["apiVersion"] = json!(kind.api_version());
    }
    items
}

/// The snapshot holds just what this test lists by itself, page size and order aside.
pub async fn everything(admin: &Caller, dir: &Path) -> Result<String, String> {
    let mut reference = Importer::default();
    for kind in Kind::ALL {
        for item in list(admin, *kind).await {
            reference.document(item, "", None)?;
        }
    }
    let reference = reference.finish();
    let target = dir.join("paged.kpath");
    let (mut seen, mut took) = (0, Vec::new());
    for chunk in ["500", "7"] {
        let started = std::time::Instant::now();
        let run = kpath(kubeconfig(), &["snapshot", "--chunk-size", chunk, "-o", target.to_str().unwrap()]);
        took.push(format!("{:.2} s", started.elapsed().as_secs_f64()));
        if run.code != 0 {
            return Err(run.err);
        }
        let snapshot = kpath::snapshot::file::read(&target).map_err(|e| e.to_string())?;
        if !snapshot.gaps.is_empty() {
            return Err(format!("gaps: {:?}", snapshot.gaps));
        }
        seen = 0;
        for kind in Kind::ALL {
            let (a, b) = (snapshot.objects.lines(*kind), reference.objects.lines(*kind));
            let (a, b) = (comparable(*kind, a), comparable(*kind, b));
            seen += a.len();
            if a != b {
                let odd: Vec<_> =
                    a.iter().filter(|x| !b.contains(x)).chain(b.iter().filter(|x| !a.contains(x))).collect();
                return Err(format!("{} with --chunk-size {chunk}: {odd:?}", kind.info().kind));
            }
        }
    }
    Ok(format!(
        "{seen} objects of {} kinds, as listed by the test, in pages of 500 and of 7 ({})",
        Kind::ALL.len(),
        took.join(", ")
    ))
}

/// Secrets and ConfigMaps are listed as metadata: type and content are read in other ways, or not at all.
fn comparable(kind: Kind, lines: Vec<String>) -> Vec<String> {
    if !matches!(kind, Kind::Secret | Kind::ConfigMap) {
        return lines;
    }
    let name = |line: &String| {
        let value: Value = serde_json::from_str(line).unwrap();
        format!("{} {}", value["metadata"]["namespace"], value["metadata"]["name"])
    };
    lines.iter().map(name).collect()
}

/// The types of Secrets that the technique of token Secrets needs.
pub async fn secret_types(admin: &Caller, snapshot: &Snapshot) -> Result<String, String> {
    let secrets = list(admin, Kind::Secret).await;
    let mut checked = 0;
    for secret in &secrets {
        let text = |p: &str| secret.pointer(p).and_then(Value::as_str).unwrap_or_default();
        let found =
            snapshot.objects.secrets.iter().find(|s| {
                s.metadata.namespace == text("/metadata/namespace") && s.metadata.name == text("/metadata/name")
            });
        let found = found.ok_or_else(|| format!("{secret} is missing"))?;
        if text("/type") != "Opaque" {
            checked += 1;
            if found.kind != text("/type") {
                return Err(format!("{}: {} instead of {}", found.metadata.name, found.kind, text("/type")));
            }
        }
    }
    if checked == 0 {
        return Err("no typed Secret is there".into());
    }
    Ok(format!("{checked} of {} Secrets have a type of their own", secrets.len()))
}

/// Makes accounts in `kpath-e2e` that are bound to roles, and the role of `kpath permissions`.
pub async fn accounts(admin: &Caller) {
    let run = kpath("", &["permissions"]);
    assert_eq!(run.code, 0, "{}", run.err);
    let full: Value = serde_json::from_str(&run.out).unwrap();
    let without = |resource: &str| {
        let mut role = full.clone();
        role["metadata"]["name"] = json!(format!("kpath-without-{resource}"));
        for rule in role["rules"].as_array_mut().unwrap() {
            rule["resources"].as_array_mut().unwrap().retain(|r| r != resource);
        }
        role
    };
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kpath-e2e"}});
    let mut all = vec![namespace, full.clone(), without("secrets"), without("roles")];
    all.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "kpath-impersonate"},
        "rules": [
            {"apiGroups": [""], "resources": ["users", "groups"], "verbs": ["impersonate"]},
            {"apiGroups": ["authentication.k8s.io"], "resources": ["uids"], "verbs": ["impersonate"]},
        ],
    }));
    for (account, role, namespaced) in [
        ("full", "kpath", false),
        ("no-secrets", "kpath-without-secrets", false),
        ("no-roles", "kpath-without-roles", false),
        ("one-namespace", "kpath", true),
        ("impersonator", "kpath-impersonate", false),
    ] {
        all.push(json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": "kpath-e2e"}}));
        let mut binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": format!("kpath-e2e-{account}")},
            "kind": if namespaced { "RoleBinding" } else { "ClusterRoleBinding" },
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "kpath-e2e"}],
        });
        if namespaced {
            binding["metadata"]["namespace"] = json!("kpath-e2e");
        }
        all.push(binding);
    }
    all.push(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "kpath-e2e-auditors"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "kpath"},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": "auditors"}],
    }));
    put_all(admin, &all).await;
}

/// A kubeconfig of an account of `kpath-e2e`, with a token.
pub async fn config_of(admin: &Caller, dir: &Path, account: &str) -> String {
    let token = admin.account_token("kpath-e2e", account).await;
    write_config(dir, account, &json!({"token": token}))
}

/// Writes a kubeconfig whose user has the given credential; its context has the user's name.
pub fn write_config(dir: &Path, name: &str, user: &Value) -> String {
    let admin = kube::config::Kubeconfig::read_from(kubeconfig()).unwrap();
    let cluster = serde_json::to_value(&admin.clusters[0].cluster).unwrap();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "clusters": [{"name": format!("c-{name}"), "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": format!("c-{name}"), "user": name}}],
    });
    let path = dir.join(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn take(config: &str, dir: &Path, more: &[&str]) -> Result<Snapshot, String> {
    let target = dir.join("role.kpath");
    let _ = std::fs::remove_file(&target);
    let mut args = vec!["snapshot", "-o", target.to_str().unwrap()];
    args.extend(more);
    let run = kpath(config, &args);
    if run.code != 0 {
        return Err(run.err);
    }
    kpath::snapshot::file::read(&target).map_err(|e| e.to_string())
}

/// The kinds that a credential may not list, by the server's own word.
async fn forbidden(who: &Caller) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        let info = kind.info();
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec":
            {"resourceAttributes": {"verb": "list", "group": info.group, "version": info.version, "resource": info.resource}}});
        let answer = who.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review).await;
        if answer.json()["status"]["allowed"] != true {
            kinds.push(info.kind);
        }
    }
    kinds
}

/// A snapshot has just the gaps of the kinds that its credential may not list; none at all is an error.
fn gaps_are(run: Result<Snapshot, String>, forbidden: &[&str]) -> Result<(), String> {
    let part = match run {
        Err(message) if forbidden.len() == Kind::ALL.len() && message.contains("kpath permissions") => return Ok(()),
        other => other?,
    };
    let mut named: Vec<&str> = part.gaps.iter().filter_map(|g| g.id.strip_prefix("unread:")).collect();
    let mut wanted = forbidden.to_vec();
    named.sort_unstable();
    wanted.sort_unstable();
    if named != wanted || part.gaps.len() != named.len() {
        return Err(format!("gaps {:?}, and the server forbids {wanted:?}", part.gaps));
    }
    match part.gaps.iter().find(|g| !g.reason.contains("needs verb list on")) {
        Some(gap) => Err(format!("a gap that does not say what is missing: {gap:?}")),
        None => Ok(()),
    }
}

/// Under the printed role no gap remains; under smaller ones the gaps name the rights that are missing.
pub async fn roles(admin: &Caller, dir: &Path, whole: &Snapshot) -> Result<String, String> {
    let full = take(&config_of(admin, dir, "full").await, dir, &[])?;
    if !full.gaps.is_empty() {
        return Err(format!("full: {:?}", full.gaps));
    }
    for kind in Kind::ALL {
        if full.objects.len(*kind) != whole.objects.len(*kind) {
            return Err(format!("{}: not what the administrator sees", kind.info().kind));
        }
    }
    let mut said = vec!["full: no gap".to_owned()];
    for account in ["no-secrets", "no-roles", "one-namespace"] {
        let config = config_of(admin, dir, account).await;
        let who = admin.token(&admin.account_token("kpath-e2e", account).await);
        let kinds = forbidden(&who).await;
        if kinds.is_empty() {
            return Err(format!("{account} may list everything"));
        }
        gaps_are(take(&config, dir, &[]), &kinds).map_err(|e| format!("{account}: {e}"))?;
        said.push(format!("{account}: {} gaps", kinds.len()));
        // Nothing is claimed safe: what a missing kind could change is unknown, not no.
        let run = kpath(&config, &["can", "internet", "reach", "cluster-admin", "-o", "json"]);
        let answer: Value = serde_json::from_str(&run.out).unwrap_or_default();
        // Secrets hold no right to cluster-admin by themselves, but a token Secret may.
        if run.code != 0 || answer["answer"] != "unknown" {
            return Err(format!("{account}: not unknown: {run:?}"));
        }
    }
    Ok(said.join(", "))
}

/// `--as`, `--as-group` and `--as-uid` impersonate; without the right kpath says what is missing.
pub async fn impersonation(admin: &Caller, dir: &Path) -> Result<String, String> {
    let config = config_of(admin, dir, "impersonator").await;
    let flags = ["--as", "carol", "--as-group", "auditors", "--as-group", "extra", "--as-uid", "1234"];
    let part = take(&config, dir, &flags)?;
    if !part.gaps.is_empty() {
        return Err(format!("{:?}", part.gaps));
    }
    let who = admin.token(&admin.account_token("kpath-e2e", "impersonator").await);
    gaps_are(take(&config, dir, &[]), &forbidden(&who).await)?;
    let full = config_of(admin, dir, "full").await;
    let run = kpath(&full, &["analyze", "--as", "carol"]);
    if run.code != 1 || !run.err.contains("impersonate") {
        return Err(format!("without the right to impersonate: {run:?}"));
    }
    Ok("as a member of a group that holds the role: no gap; refused, with the reason, without the right".into())
}

/// Exec plugin, token, token file, client certificate, and two contexts in two files.
pub async fn kubeconfigs(admin: &Caller, dir: &Path) -> Result<String, String> {
    let token = admin.account_token("kpath-e2e", "full").await;
    let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": token}});
    let plugin = dir.join("plugin.sh");
    std::fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
    std::fs::write(dir.join("token"), &token).unwrap();
    let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
        "args": [plugin.to_str().unwrap()], "interactiveMode": "Never"}});
    let by_exec = write_config(dir, "by-exec", &exec);
    let by_token = write_config(dir, "by-token", &json!({"token": token}));
    let by_file = write_config(dir, "by-file", &json!({"tokenFile": dir.join("token").to_str().unwrap()}));
    for config in [&by_exec, &by_token, &by_file] {
        let part = take(config, dir, &[]).map_err(|e| format!("{config}: {e}"))?;
        if !part.gaps.is_empty() {
            return Err(format!("{config}: {:?}", part.gaps));
        }
    }
    let broken = write_config(
        dir,
        "broken",
        &json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-plugin-for-kpath", "interactiveMode": "Never"}}),
    );
    let run = kpath(&broken, &["analyze"]);
    if run.code != 1 || !run.err.contains("no-such-plugin-for-kpath") {
        return Err(format!("a missing plugin: {run:?}"));
    }
    // Two files: the first one's current context holds, the other is there by name.
    let bad = write_config(dir, "bad", &json!({"token": "wrong"}));
    let both = format!("{bad}:{by_token}");
    let run = kpath(&both, &["analyze"]);
    if run.code != 1 || !run.err.contains("401") {
        return Err(format!("a wrong token: {run:?}"));
    }
    let run = kpath(&both, &["analyze", "--context", "by-token", "-o", "json"]);
    if run.code != 0 {
        return Err(format!("the second context: {}", run.err));
    }
    let run = kpath(&both, &["analyze", "--context", "absent"]);
    if run.code != 1 || !run.err.contains("by-token") {
        return Err(format!("an absent context: {run:?}"));
    }
    let run = kpath(&both, &["analyze", "--user", "by-token", "-o", "json"]);
    if run.code != 0 {
        return Err(format!("--user: {}", run.err));
    }
    Ok("exec plugin, token, token file; two files with two contexts; missing plugin, wrong token, absent context"
        .into())
}
