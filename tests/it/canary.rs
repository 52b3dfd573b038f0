//! Values that look like secrets are never kept and never printed, wherever they stand.

use std::collections::BTreeSet;

use kpath::model::Kind;
use kpath::report::analyze;
use kpath::report::answer::Question;
use kpath::snapshot::{ClusterOptions, Snapshot, file};
use serde_json::{Value, json};

use crate::support::{repo, snapshot_of};

const CANARY: &str = "CANARY-s3cr3t";

/// Everything that a snapshot of these objects and an analysis of it say.
fn said(objects: &[Value]) -> String {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let snapshot: Snapshot = snapshot_of(&[("dump.json".into(), list)]);
    let mut out = String::new();
    for kind in Kind::ALL {
        out += &snapshot.objects.lines(*kind).join("\n");
    }
    out += &serde_json::to_string(&snapshot.gaps).unwrap();
    let mut bytes = Vec::new();
    file::to_writer(&snapshot, &mut bytes).unwrap();
    // What was written is what is read again.
    assert_eq!(file::from_reader(bytes.as_slice(), "x").unwrap().gaps, snapshot.gaps);
    let cluster = snapshot.into_cluster(&ClusterOptions { complete: true, version: None });
    let attack = kpath::rules::build(&cluster);
    let pick = |s| kpath::query::selector::resolve(&attack, &cluster, s, true).unwrap();
    let (from, to) = (pick("internet | pod/*"), pick("cluster-admin | node/* | secret/* | pod/*"));
    let a = analyze::analyze(&attack, &cluster, &Question::new(), &from, &to);
    out + &serde_json::to_string(&a).unwrap()
}

/// An object of each kind that has content beyond its metadata, with a canary in each field that may hold a secret.
fn planted() -> Vec<Value> {
    let c = |n: &str| format!("{CANARY}-{n}");
    let meta = |name: &str| {
        json!({"name": name, "namespace": "prod", "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": c("applied"), "example.com/password": c("annotation"),
            "nginx.ingress.kubernetes.io/configuration-snippet": c("snippet"), "meta.helm.sh/values": c("helm")},
            "managedFields": [{"manager": c("manager"), "fieldsV1": {"f:x": c("managed")}}], "generateName": c("generate")})
    };
    let probe = json!({"httpGet": {"path": c("path"), "httpHeaders": [{"name": "Authorization", "value": c("header")}]},
        "exec": {"command": ["sh", "-c", c("probe")]}});
    let spec = json!({"nodeName": "w1", "hostname": c("hostname"), "containers": [{"name": "c", "image": "i",
        "args": [format!("--password={CANARY}")], "command": ["sh", "-c", c("command")], "workingDir": c("dir"),
        "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": c("env")}], "livenessProbe": probe, "readinessProbe": probe,
        "lifecycle": {"preStop": {"exec": {"command": [c("hook")]}}}, "terminationMessagePath": c("termination")}],
        "volumes": [{"name": "v", "csi": {"driver": "d", "volumeAttributes": {"token": c("csi")}}},
            {"name": "f", "flexVolume": {"driver": "d", "options": {"password": c("flex")}}},
            {"name": "n", "nfs": {"server": c("nfs"), "path": "/x"}}],
        "dnsConfig": {"searches": [c("dns")]}, "hostAliases": [{"ip": "1.1.1.1", "hostnames": [c("alias")]}]});
    let status = json!({"phase": "Running", "message": c("message"), "reason": c("reason"),
        "conditions": [{"type": "Ready", "status": "True", "message": c("condition"), "reason": c("why")}],
        "containerStatuses": [{"name": "c", "image": "i", "imageID": "i", "lastState": {"terminated": {"message": c("last")}}}]});
    let mut out = vec![
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("p"), "spec": spec, "status": status}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("s"), "type": "Opaque", "data": {"k": c("data")}, "stringData": {"k": c("string")}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("m"), "data": {"k": c("data")}, "binaryData": {"k": c("binary")}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}, "status": {"conditions": [{"message": c("node")}], "nodeInfo": {"bootID": c("boot")}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta("svc"), "spec": {"type": "ClusterIP"}, "status": {"conditions": [{"message": c("svc")}]}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "sc"}, "provisioner": "p", "parameters": {"password": c("parameter")}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {"csi": {"driver": "d", "volumeHandle": c("handle"), "volumeAttributes": {"k": c("pv")}}, "mountOptions": [c("option")]}}),
        json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "csr"}, "spec": {"signerName": "kubernetes.io/kube-apiserver-client", "request": c("request")}, "status": {"certificate": c("certificate")}}),
    ];
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        out.push(json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": meta("hook"), "webhooks": [{"name": "a.b.c",
            "clientConfig": {"url": format!("https://user:{CANARY}@host/"), "caBundle": c("bundle")},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]}]}));
    }
    for (group, kind) in [
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
    ] {
        out.push(json!({"apiVersion": group, "kind": kind, "metadata": meta("w"), "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": meta("t"), "spec": spec}}, "status": status}));
    }
    out.push(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("w"), "spec": {"schedule": c("schedule"), "jobTemplate": {"spec": {"template": {"metadata": meta("t"), "spec": spec}}}}}));
    out
}

fn strings(v: &Value) -> usize {
    match v {
        Value::String(s) => usize::from(s.contains(CANARY)),
        Value::Array(l) => l.iter().map(strings).sum(),
        Value::Object(m) => m.values().map(strings).sum(),
        _ => 0,
    }
}

#[test]
fn planted_secrets_are_not_kept() {
    let objects = planted();
    let n: usize = objects.iter().map(strings).sum();
    assert!(n > 200, "{n} canaries");
    let out = said(&objects);
    assert!(out.contains("\"name\":\"p\""), "the objects were read");
    let at = out.find(CANARY);
    assert!(at.is_none(), "{:?}", at.and_then(|i| out.get(i.saturating_sub(80)..i + 40)));
    println!("{n} canaries planted");
}

/// Pointers of everything in a value that is no string.
fn structures(v: &Value, at: &str, out: &mut Vec<String>) {
    if !at.is_empty() && !v.is_string() {
        out.push(at.to_owned());
    }
    match v {
        Value::Array(l) => l.iter().enumerate().for_each(|(i, x)| structures(x, &format!("{at}/{i}"), out)),
        Value::Object(m) => {
            m.iter().for_each(|(k, x)| structures(x, &format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")), out))
        }
        _ => {}
    }
}

#[test]
fn a_secret_in_the_place_of_a_structure_is_not_repeated_in_a_message() {
    let mut objects: Vec<Value> = planted();
    for e in std::fs::read_dir(repo("testdata/techniques")).unwrap() {
        let text = std::fs::read_to_string(e.unwrap().path().join("fires.yaml")).unwrap();
        objects.extend(text.split("\n---\n").filter_map(|d| kpath::snapshot::import::yaml::decode(d).ok()));
    }
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let (mut planted, mut gaps) = (0, 0);
    for o in objects.iter().filter(|o| o.is_object()) {
        let mut all = Vec::new();
        structures(o, "", &mut all);
        for pointer in all {
            // The same field of the same kind once; ports and groups of rules may be strings.
            let shape: String = pointer.chars().filter(|c| !c.is_ascii_digit()).collect();
            let text = ["/port", "/targetPort", "/number"].iter().any(|p| pointer.ends_with(p));
            if text || !seen.insert(format!("{}{shape}", o["kind"])) {
                continue;
            }
            let mut broken = o.clone();
            *broken.pointer_mut(&pointer).unwrap() = CANARY.into();
            let out = said(&[broken]);
            planted += 1;
            gaps += usize::from(out.contains("invalid type"));
            let at = out.find(CANARY);
            let near = at.and_then(|i| out.get(i.saturating_sub(120)..i + 40));
            assert!(at.is_none(), "{} {pointer}: {near:?}", o["kind"]);
        }
    }
    println!("{planted} fields replaced, {gaps} objects skipped with a reason");
    assert!(planted > 200 && gaps > 80);
}

/// Puts canaries into an object where it may carry secrets: annotations, managed fields, messages of its status, unknown
/// fields, and for pods what their containers are started with. Returns how many.
fn sprinkle(object: &mut Value, count: &mut usize) {
    let mut c = |n: &str| {
        *count += 1;
        json!(format!("{CANARY}-{n}-{count}"))
    };
    let annotations = json!({
        "kubectl.kubernetes.io/last-applied-configuration": c("applied"), "vault.hashicorp.com/token": c("vault"),
        "example.com/connection": c("connection"),
    });
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    let Some(meta) = object["metadata"].as_object_mut() else { return };
    match meta.get_mut("annotations").and_then(Value::as_object_mut) {
        Some(own) => own.extend(annotations.as_object().cloned().unwrap_or_default()),
        None => drop(meta.insert("annotations".into(), annotations)),
    }
    meta.insert("managedFields".into(), json!([{"manager": c("manager")}]));
    meta.insert("description".into(), c("unknown field"));
    object["token"] = c("unknown field");
    if !matches!(kind.as_str(), "Pod" | "Node" | "Ingress" | "Service") {
        object["status"] = json!({"message": c("message"), "conditions": [{"type": "X", "message": c("condition")}]});
    }
    for list in
        ["/spec/containers", "/spec/template/spec/containers", "/spec/jobTemplate/spec/template/spec/containers"]
    {
        for container in object.pointer_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container["args"] = json!([c("arg"), "--password", c("password")]);
            container["command"] = json!(["sh", "-c", c("command")]);
            let env = json!({"name": "AWS_SECRET_ACCESS_KEY", "value": c("env")});
            match container.get_mut("env").and_then(Value::as_array_mut) {
                Some(own) => own.push(env),
                None => container["env"] = json!([env]),
            }
        }
    }
}

#[test]
fn a_thousand_secrets_in_objects_of_the_fixtures_are_not_kept() {
    let (mut count, mut kinds) = (0, BTreeSet::new());
    for e in std::fs::read_dir(repo("testdata/techniques")).unwrap() {
        let text = std::fs::read_to_string(e.unwrap().path().join("fires.yaml")).unwrap();
        let mut objects: Vec<Value> =
            text.split("\n---\n").filter_map(|d| kpath::snapshot::import::yaml::decode(d).ok()).collect();
        for o in objects.iter_mut().filter(|o| o.is_object()) {
            kinds.insert(o["kind"].as_str().unwrap_or_default().to_owned());
            sprinkle(o, &mut count);
        }
        let out = said(&objects);
        let at = out.find(CANARY);
        assert!(at.is_none(), "{:?}", at.and_then(|i| out.get(i.saturating_sub(80)..i + 60)));
    }
    let mut bare: Vec<Value> = Kind::ALL
        .iter()
        .map(|k| {
            json!({"apiVersion": k.api_version(), "kind": k.info().kind, "metadata": {"name": "bare", "namespace": "prod"},
                "spec": {}, "data": {"k": format!("{CANARY}-data")}})
        })
        .collect();
    for o in &mut bare {
        kinds.insert(o["kind"].as_str().unwrap_or_default().to_owned());
        sprinkle(o, &mut count);
    }
    assert!(!said(&bare).contains(CANARY));
    println!("{count} canaries in objects of {} kinds", kinds.len());
    assert!(count > 1_000 && kinds.len() == Kind::ALL.len(), "{count} in {kinds:?}");
}

#[test]
fn no_format_and_no_message_prints_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut objects = planted();
    // Something to find: a row needs a path.
    objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}));
    objects.push(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": "prod"}, "spec": {
        "nodeName": "w1", "containers": [{"name": "c", "image": "i", "args": [CANARY], "env": [{"name": "A", "value": CANARY}],
            "securityContext": {"privileged": true}}]}}));
    let text = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let good = dir.path().join("good.json");
    std::fs::write(&good, &text).unwrap();
    let half = dir.path().join("half.json");
    std::fs::write(&half, &text[..text.len() / 2]).unwrap();
    let yaml = dir.path().join("bad.yaml");
    std::fs::write(&yaml, format!("kind: Pod\nmetadata: {{name: {CANARY}\n  x: [{CANARY}\n\"{CANARY}")).unwrap();
    let plain = dir.path().join("plain.yaml");
    std::fs::write(&plain, format!("{CANARY}\n---\n- {CANARY}\n---\nkind: {{a: {CANARY}}}\n")).unwrap();
    let mut runs = 0;
    for file in [&good, &half, &yaml, &plain] {
        let f = file.to_str().unwrap();
        let out = dir.path().join("out.kpath");
        let commands: Vec<Vec<&str>> = vec![
            vec!["analyze", "-f", f, "--complete"],
            vec!["analyze", "-f", f, "--complete", "--row", "1"],
            vec!["analyze", "-f", f, "-o", "json"],
            vec!["analyze", "-f", f, "-o", "dot"],
            vec!["analyze", "-f", f, "-o", "svg"],
            vec!["can", "pod/prod/bad", "reach", "node/w1", "-f", f],
            vec!["can", "pod/prod/p", "reach", "cluster-admin", "-f", f, "-o", "json"],
            vec!["eval", "rbac", "-f", f],
            vec!["snapshot", "-f", f, "-o", out.to_str().unwrap()],
        ];
        for args in commands {
            let o = std::process::Command::new(env!("CARGO_BIN_EXE_kpath"))
                .args(&args)
                .env("RUST_LOG", "trace")
                .stdin(std::process::Stdio::null())
                .output()
                .unwrap();
            runs += 1;
            for bytes in [&o.stdout, &o.stderr] {
                let said = String::from_utf8_lossy(bytes);
                let at = said.find(CANARY);
                assert!(at.is_none(), "{args:?}: {:?}", at.and_then(|i| said.get(i.saturating_sub(80)..i + 40)));
            }
            assert!(file != &good || o.status.success(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
        }
    }
    assert_eq!(runs, 36);
}
