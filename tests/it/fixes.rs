//! The fix that `explain` names makes the firing fixture stop firing.
//!
//! Most fixes take away what the evidence names: the rule, the subject, the setting of the pod. The others are named here.

use std::collections::BTreeSet;

use kpath::model::Version;
use kpath::query::selector;
use kpath::report::answer::{self, Question};
use kpath::rules::ctx::{SUBJECT_POINTER, unpack};
use kpath::rules::{self, table::TECHNIQUES, technique};
use kpath::search::Lane;
use kpath::search::closure::closure;
use kpath::snapshot::ClusterOptions;
use serde_json::{Value, json};

use crate::support::{account_of, repo, snapshot_of, threat_model};

/// What a fix does to the objects of a fixture.
#[derive(Clone, Copy)]
enum Fix {
    /// Takes away every rule, subject or setting that the evidence names.
    Evidence,
    /// Sets a field of every object of a kind and name (all names when empty).
    Set(&'static str, &'static str, &'static str, &'static str),
    /// Deletes objects of a kind.
    Delete(&'static str),
    /// The server is of this version.
    Upgrade(&'static str),
}

/// Techniques whose fix is not the removal of what the evidence names.
const FIXES: &[(&str, Fix)] = &[
    ("entry-ingress", Fix::Delete("Ingress")),
    ("entry-loadbalancer", Fix::Set("Service", "", "/spec/type", r#""ClusterIP""#)),
    ("entry-nodeport", Fix::Set("Service", "", "/spec/type", r#""ClusterIP""#)),
    ("net-pod-to-pod", Fix::Set("NetworkPolicy", "db", "/spec/ingress", "[]")),
    ("net-pod-to-kubelet", Fix::Set("NetworkPolicy", "out", "/spec/egress", "[]")),
    ("token-automount", Fix::Set("Pod", "", "/spec/automountServiceAccountToken", "false")),
    ("secret-sa-token", Fix::Delete("Secret")),
    ("node-to-pods", Fix::Set("Pod", "victim", "/spec/nodeName", r#""dedicated""#)),
    ("node-id-sa-token", Fix::Set("Pod", "victim", "/spec/nodeName", r#""dedicated""#)),
    ("node-id-secrets", Fix::Set("Pod", "victim", "/spec/nodeName", r#""dedicated""#)),
    ("workload-privileged-node", Fix::Set("Namespace", "", PSA, r#""baseline""#)),
    ("ephemeral-node", Fix::Set("Namespace", "", PSA, r#""baseline""#)),
    ("workload-nodename", Fix::Set("Namespace", "", PSA, r#""restricted""#)),
    ("hp-root-write", MOUNT),
    ("hp-root-read", MOUNT),
    ("hp-kubelet-dir-read", MOUNT),
    ("hostfs-kubelet-loot", MOUNT),
    ("hp-kubelet-dir-write", MOUNT),
    ("hp-static-manifests", MOUNT),
    ("hp-k8s-pki", MOUNT),
    ("hp-etcd-data", MOUNT),
    ("hp-runtime-socket", MOUNT),
    ("hp-cni", MOUNT),
    ("hp-var-log-symlink", MOUNT),
    ("secret-mint-sa-token", RIGHT),
    ("secret-mint-sa-token-mount", RIGHT),
    ("patch-deployment", RIGHT),
    ("patch-daemonset", RIGHT),
    ("patch-statefulset", RIGHT),
    ("patch-replicaset", RIGHT),
    ("patch-replicationcontroller", RIGHT),
    ("patch-cronjob", RIGHT),
    ("ns-admin-expands", RIGHT),
    ("kubelet-api-exec", Fix::Set("ClusterRole", "", "/rules", "[]")),
    ("entry-authenticated-binding", Fix::Set("ClusterRoleBinding", "", "/subjects", "[]")),
    ("identity-groups", Fix::Set("ClusterRoleBinding", "", "/subjects", "[]")),
    ("workload-any-sa", RIGHT),
    ("workload-any-secret", Fix::Set("Secret", "", "/metadata/namespace", r#""other""#)),
    ("node-to-kubelet-identity", Fix::Set("Pod", "app", "/spec/containers", r#"[{"name": "c", "image": "i"}]"#)),
    ("pods-exec-get", Fix::Upgrade("1.36")),
    ("pods-attach-get", Fix::Upgrade("1.36")),
];

/// "Remove the mount".
const MOUNT: Fix = Fix::Set("Pod", "app", "/spec/volumes", "[]");

/// "Remove" the right that the row is about.
const RIGHT: Fix = Fix::Set("Role", "", "/rules", "[]");

const PSA: &str = "/metadata/labels/pod-security.kubernetes.io~1enforce";

/// Techniques whose fix lies outside what kpath reads, with the reason.
const OUTSIDE: &[(&str, &str)] = &[
    ("entry-apiserver-public", "who may reach the endpoint stands in the cloud's settings"),
    ("entry-app-exploit", "what an image holds is not read; the assumption can be switched off"),
    ("workload-exec", "registries and signatures are not read"),
    ("key-sa-signing", "a key that was changed looks like the old one"),
    ("key-cluster-ca", "a key that was changed looks like the old one"),
    ("etcd-to-all", "encryption at rest is not an object"),
];

struct Firing {
    /// (kind, namespace, name, pointer) of the evidence of every firing instance.
    evidence: BTreeSet<(String, String, String, String)>,
}

fn firing(id: &str, objects: &[Value], from: &str, version: Option<Version>, question: &Question) -> Option<Firing> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let cluster = snapshot_of(&[("a.json".into(), list)]).into_cluster(&ClusterOptions { complete: true, version });
    let attack = rules::build_for(&cluster, &question.assumptions);
    let settings = question.settings(&attack);
    let mask = settings.mask(&attack.graph, Lane::May);
    let from = selector::resolve(&attack, &cluster, from, true).ok()?;
    let starts: Vec<_> = from.facts.iter().flat_map(|f| answer::starts(&attack, &cluster, *f)).collect();
    let known = closure(&attack.graph, &mask, &starts);
    let wanted = technique::number(id).unwrap();
    let mut found = Firing { evidence: BTreeSet::new() };
    let mut fires = false;
    for (x, on) in attack.graph.instances.iter().zip(&mask) {
        if !*on || x.technique != wanted || !x.premises.iter().all(|p| known[p.0 as usize]) {
            continue;
        }
        // The attacker's own pod is on its node too.
        let own = |e: &kpath::graph::Evidence| {
            unpack(e.object).and_then(|o| cluster.meta(o)).is_some_and(|m| m.name == "app" || m.name == "w1")
        };
        if id == "node-to-pods" && x.evidence.iter().all(own) {
            continue;
        }
        fires = true;
        for e in &x.evidence {
            let Some(o) = unpack(e.object) else { continue };
            let meta = cluster.meta(o).cloned().unwrap_or_default();
            let pointer = attack.graph.text(e.pointer).to_owned();
            found.evidence.insert((o.kind.info().kind.into(), meta.namespace, meta.name, pointer));
        }
    }
    fires.then_some(found)
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for part in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[part.replace("~1", "/")];
    }
    *at = value;
}

/// Takes a field away; the members of lists stay where they are, emptied, so that other pointers hold.
fn take(object: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(list)) => {
            if let Some(item) = last.parse::<usize>().ok().and_then(|n| list.get_mut(n)) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

fn applied(fix: Fix, objects: &[Value], found: &Firing) -> Vec<Value> {
    let text = |o: &Value, p: &str| o.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out = objects.to_vec();
    match fix {
        Fix::Upgrade(_) => {}
        Fix::Delete(kind) => out.retain(|o| o["kind"] != kind),
        Fix::Set(kind, name, pointer, value) => {
            for o in out.iter_mut().filter(|o| o["kind"] == kind && (name.is_empty() || o["metadata"]["name"] == name))
            {
                set(o, pointer, serde_json::from_str(value).unwrap());
            }
        }
        Fix::Evidence => {
            for (kind, namespace, name, pointer) in &found.evidence {
                let fits = |o: &&mut Value| {
                    text(o, "/kind") == *kind
                        && text(o, "/metadata/name") == *name
                        && text(o, "/metadata/namespace") == *namespace
                };
                for o in out.iter_mut().filter(fits) {
                    if pointer == SUBJECT_POINTER {
                        o["subjects"] = json!([]);
                    } else if !pointer.starts_with("/metadata/name") && !pointer.starts_with("/roleRef") {
                        take(o, pointer);
                    }
                }
            }
        }
    }
    // Lists lose what was taken away only now.
    for o in &mut out {
        prune(o);
    }
    out
}

fn prune(value: &mut Value) {
    match value {
        Value::Array(list) => {
            list.retain(|v| !v.is_null());
            list.iter_mut().for_each(prune);
        }
        Value::Object(map) => map.values_mut().for_each(prune),
        _ => {}
    }
}

#[test]
fn the_fix_makes_each_firing_fixture_stop() {
    let (mut wrong, mut fixed) = (Vec::new(), 0);
    for t in TECHNIQUES {
        // What is fixed in the cloud account is not among the objects of the cluster.
        let in_account = !account_of(&repo(&format!("testdata/techniques/{}/fires.yaml", t.id))).is_empty();
        if in_account || OUTSIDE.iter().any(|(id, _)| *id == t.id) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(repo(&format!("testdata/techniques/{}/fires.yaml", t.id))) else {
            continue;
        };
        let header = |key: &str| text.lines().find_map(|l| l.strip_prefix(&format!("# {key}: ")).map(str::to_owned));
        let version = header("version").and_then(|v| Version::parse(&v));
        let from = header("from").unwrap();
        let question = threat_model(&text);
        let all: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let objects: Vec<Value> = all.into_iter().filter(Value::is_object).collect();
        let Some(found) = firing(t.id, &objects, &from, version, &question) else {
            wrong.push(format!("{}: does not fire", t.id));
            continue;
        };
        let fix = FIXES.iter().find(|(id, _)| *id == t.id).map_or(Fix::Evidence, |(_, f)| *f);
        let version = match fix {
            Fix::Upgrade(to) => Version::parse(to),
            _ => version,
        };
        let after = applied(fix, &objects, &found);
        if firing(t.id, &after, &from, version, &question).is_some() {
            wrong.push(format!("{}: still fires; explain says: {}; evidence: {:?}", t.id, t.fix, found.evidence));
        } else {
            fixed += 1;
        }
    }
    println!("{fixed} fixtures fixed, {} outside", OUTSIDE.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
