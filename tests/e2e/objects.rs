//! Objects that the end-to-end tests load: the demo cluster, and RBAC drawn at random.

use fastrand::Rng;
use serde_json::{Value, json};

use super::caller::{Answer, Caller, paths};

/// Objects of a YAML text, in its order.
pub fn parse(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap_or_else(|e| panic!("{e}"));
    all.into_iter().filter(Value::is_object).collect()
}

/// Creates an object or replaces it; what controllers still have to make is waited for.
pub async fn put(admin: &Caller, object: &Value) -> Answer {
    let (collection, one) = paths(object);
    let mut object = object.clone();
    // Content that the server demands of these types, and that manifests without values lack.
    if object.get("data").is_none() && object["kind"] == "Secret" {
        match object["type"].as_str() {
            Some("kubernetes.io/tls") => object["data"] = json!({"tls.crt": "", "tls.key": ""}),
            Some("kubernetes.io/dockerconfigjson") => object["data"] = json!({".dockerconfigjson": "e30="}),
            _ => {}
        }
    }
    let object = &object;
    let mut last = Answer { code: 0, text: String::new() };
    for _ in 0..100 {
        last = admin.post(&collection, object).await;
        if last.code == 409 {
            let there = admin.get(&one).await;
            if object["kind"] == "Node" {
                return there; // a node of that name will do, and most of its fields cannot be changed
            }
            let there = there.json();
            let mut next = object.clone();
            next["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
            last = admin.put(&one, &next).await;
            if last.code == 422 {
                // A field that cannot be changed: in place of that object comes a new one.
                let _ = admin.delete(&one, &json!({"gracePeriodSeconds": 0})).await;
                last = admin.post(&collection, object).await;
            }
        }
        let account = last.code == 403 && last.text.contains("error looking up service account");
        if last.code != 409 && last.code != 404 && !account {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    if last.ok() && object.get("status").is_some() && matches!(object["kind"].as_str(), Some("Pod" | "Node")) {
        let mut made = last.json();
        made["status"] = object["status"].clone();
        let _ = admin.put(&format!("{one}/status"), &made).await;
    }
    last
}

/// Creates all of them.
pub async fn put_all(admin: &Caller, objects: &[Value]) {
    for object in objects {
        let answer = put(admin, object).await;
        assert!(answer.ok(), "{object}: {answer:?}");
    }
}

/// Pods of the demo's workloads, which no controller makes here, under the names of the workloads; and so many more that
/// a list of them takes several pages.
pub fn pods(demo: &[Value]) -> Vec<Value> {
    let mut all = Vec::new();
    for w in demo.iter().filter(|o| matches!(o["kind"].as_str(), Some("Deployment" | "StatefulSet" | "DaemonSet"))) {
        let template = &w["spec"]["template"];
        all.push(json!({
            "apiVersion": "v1", "kind": "Pod", "spec": template["spec"], "status": {"phase": "Running"},
            "metadata": {"name": w["metadata"]["name"], "namespace": w["metadata"]["namespace"], "labels": template["metadata"]["labels"]},
        }));
    }
    for i in 0..150 {
        all.push(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("filler-{i}"), "namespace": NAMESPACES[i % 3]},
            "spec": {"containers": [{"name": "c", "image": "a:1"}]},
        }));
    }
    all
}

/// Namespaces, users and groups of the drawn RBAC.
pub const NAMESPACES: [&str; 3] = ["e2e-a", "e2e-b", "e2e-c"];
const ACCOUNTS: [&str; 3] = ["one", "two", "three"];
const USERS: [&str; 6] =
    ["ann", "bob@example.com", "system:node:w1", "system:serviceaccount:e2e-a:one", "Ann", "a:b/c"];
const GROUPS: [&str; 5] =
    ["dev", "ops", "system:authenticated", "system:serviceaccounts", "system:serviceaccounts:e2e-b"];
/// Verbs, API groups, resources, names and paths that rules and questions are drawn from.
pub const VERBS: [&str; 12] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "*",
    "bind",
    "escalate",
    "impersonate",
];
pub const API_GROUPS: [&str; 7] = ["", "apps", "batch", "rbac.authorization.k8s.io", "*", "example.com", "Apps"];
pub const RESOURCES: [&str; 16] = [
    "pods",
    "pods/exec",
    "pods/*",
    "*/exec",
    "*/scale",
    "*",
    "*/*",
    "secrets",
    "serviceaccounts/token",
    "deployments",
    "deployments/scale",
    "nodes/proxy",
    "clusterroles",
    "users",
    "Pods",
    "pod",
];
pub const NAMES: [&str; 5] = ["a", "b", "web-0", "*", "A"];
pub const URLS: [&str; 9] =
    ["/healthz", "/healthz/*", "/metrics", "*", "/", "/api", "/apis/*", "/openapi/v3*", "/logs/"];

fn some<'a>(rng: &mut Rng, from: &[&'a str], most: usize) -> Vec<&'a str> {
    (0..rng.usize(1..=most)).map(|_| from[rng.usize(..from.len())]).collect()
}

fn rule(rng: &mut Rng, urls: bool) -> Value {
    if urls && rng.u8(..6) == 0 {
        return json!({"verbs": some(rng, &["get", "post", "*", "head"], 2), "nonResourceURLs": some(rng, &URLS, 2)});
    }
    let mut rule = json!({
        "verbs": some(rng, &VERBS, 3), "apiGroups": some(rng, &API_GROUPS, 2), "resources": some(rng, &RESOURCES, 3),
    });
    if rng.u8(..3) == 0 {
        rule["resourceNames"] = json!(some(rng, &NAMES, 2));
    }
    rule
}

fn subject(rng: &mut Rng) -> Value {
    let api = "rbac.authorization.k8s.io";
    match rng.u8(..3) {
        0 => json!({"kind": "User", "apiGroup": api, "name": USERS[rng.usize(..USERS.len())]}),
        1 => json!({"kind": "Group", "apiGroup": api, "name": GROUPS[rng.usize(..GROUPS.len())]}),
        _ => json!({
            "kind": "ServiceAccount", "name": ACCOUNTS[rng.usize(..ACCOUNTS.len())],
            "namespace": NAMESPACES[rng.usize(..NAMESPACES.len())],
        }),
    }
}

/// Roles, cluster roles and bindings drawn at random, with dangling references, aggregation and odd names.
pub fn random_rbac(rng: &mut Rng) -> Vec<Value> {
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    let mut all: Vec<Value> = Vec::new();
    for n in NAMESPACES {
        all.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}}));
        for a in ACCOUNTS {
            all.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": a, "namespace": n}}));
        }
    }
    for i in 0..40 {
        let rules: Vec<Value> = (0..rng.usize(0..4)).map(|_| rule(rng, true)).collect();
        let tier = ["x", "y", "z"][rng.usize(..3)];
        let mut role = json!({
            "apiVersion": version, "kind": "ClusterRole", "rules": rules,
            "metadata": {"name": format!("e2e:{i}"), "labels": {"tier": tier}},
        });
        if i % 10 == 9 {
            role["rules"] = Value::Null;
            role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {"tier": "y"}}]});
        }
        all.push(role);
    }
    for n in NAMESPACES {
        for i in 0..12 {
            let rules: Vec<Value> = (0..rng.usize(0..4)).map(|_| rule(rng, false)).collect();
            all.push(json!({"apiVersion": version, "kind": "Role", "rules": rules,
                "metadata": {"name": format!("r{i}"), "namespace": n}}));
        }
    }
    for i in 0..90 {
        let subjects: Vec<Value> = (0..rng.usize(0..3)).map(|_| subject(rng)).collect();
        let cluster = i % 3 == 0;
        let role = if cluster || rng.bool() {
            // One in forty refers to a role that does not exist.
            json!({"apiGroup": api, "kind": "ClusterRole", "name": format!("e2e:{}", rng.u8(..41))})
        } else {
            json!({"apiGroup": api, "kind": "Role", "name": format!("r{}", rng.u8(..13))})
        };
        let mut binding = json!({"apiVersion": version, "roleRef": role, "subjects": subjects,
            "kind": if cluster { "ClusterRoleBinding" } else { "RoleBinding" }, "metadata": {"name": format!("e2e:b{i}")}});
        if !cluster {
            binding["metadata"]["namespace"] = json!(NAMESPACES[rng.usize(..NAMESPACES.len())]);
        }
        all.push(binding);
    }
    all
}
