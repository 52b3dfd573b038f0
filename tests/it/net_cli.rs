//! `kpath net`: answers, exit codes and formats.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::repo;

fn kpath(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kpath")).args(args).env("NO_COLOR", "1").env("COLUMNS", "100").output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let all: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
    let o = kpath(&all);
    serde_json::from_slice(&o.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&o.stderr)))
}

/// Two pods of one namespace with a policy between them, and a plugin that enforces it.
fn cluster() -> String {
    repo("testdata/techniques/net-pod-to-pod/fires.yaml").display().to_string()
}

#[test]
fn can_says_yes_no_and_unknown() {
    let file = cluster();
    let file = file.as_str();
    for (args, answer, part) in [
        (&["pod/prod/web", "to", "pod/prod/db"][..], "yes", "NetworkPolicy prod/db rule 0 allows TCP 5432"),
        (&["pod/prod/web", "to", "pod/prod/db", "--port", "5432"], "yes", "NetworkPolicy prod/web rule 0 allows"),
        (&["pod/prod/web", "to", "pod/prod/db", "--port", "5432", "--protocol", "UDP"], "no", "no rule allows it"),
        (&["pod/prod/web", "to", "pod/prod/db", "--port", "443"], "no", "NetworkPolicy prod/web denies TCP 443"),
        (&["pod/prod/db", "to", "pod/prod/web", "--port", "80"], "yes", "no policy decides it"),
        (&["pod/prod/web", "to", "internet"], "no", "denies"),
        (&["pod/prod/db", "to", "metadata", "--port", "80"], "yes", "no policy decides it"),
        (&["pod/prod/web", "to", "169.254.169.254", "--port", "80"], "no", "denies"),
        (&["pod/prod/web", "to", "node/w1", "--port", "10250"], "no", "denies"),
        (&["pod/prod/*", "to", "pod/prod/db", "--port", "5432"], "yes", "rule 0 allows"),
        (&["internet", "to", "pod/prod/db"], "no", "nothing publishes it"),
    ] {
        let command: Vec<&str> = ["net", "can"].iter().chain(args).copied().chain(["-f", file, "--complete"]).collect();
        let v = json(&command);
        assert_eq!(v["answer"], answer, "{args:?}: {v}");
        assert!(v["reasons"].to_string().contains(part), "{args:?}: {v}");
        let expected: Vec<&str> = command.iter().copied().chain(["--expect", answer]).collect();
        let o = kpath(&expected);
        assert_eq!(o.status.code(), Some(0), "{args:?}");
        assert!(String::from_utf8_lossy(&o.stdout).starts_with(&format!("{answer}: ")), "{args:?}");
        let other = if answer == "no" { "yes" } else { "no" };
        let wrong: Vec<&str> = command.iter().copied().chain(["--expect", other]).collect();
        assert_eq!(kpath(&wrong).status.code(), Some(10), "{args:?}");
    }
}

#[test]
fn from_the_internet_the_answer_is_that_of_exposure() {
    let shop = json(&["net", "can", "internet", "to", "pod/shop/payment-api", "--demo"]);
    assert_eq!((&shop["answer"], &shop["ports"]), (&"yes".into(), &"TCP 8443".into()));
    assert!(shop["reasons"].to_string().contains("Ingress shop/shop"), "{shop}");
    let other = json(&["net", "can", "internet", "to", "pod/shop/payment-api", "--port", "1", "--demo"]);
    assert_eq!(other["answer"], "no");
    let node_port = repo("testdata/techniques/entry-nodeport/fires.yaml").display().to_string();
    let possible = json(&["net", "can", "internet", "to", "pod/prod/app", "-f", &node_port, "--complete"]);
    assert_eq!(possible["answer"], "unknown", "{possible}");
    assert_eq!(possible["unknownBecause"][0]["id"], "node-ports-open");
    let private = repo("testdata/techniques/entry-loadbalancer/near-miss.yaml").display().to_string();
    assert_eq!(json(&["net", "can", "internet", "to", "pod/prod/app", "-f", &private, "--complete"])["answer"], "no");
}

#[test]
fn whether_policies_are_enforced_can_be_given() {
    let text = std::fs::read_to_string(cluster()).unwrap().replace("calico/node", "example/other");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let ask = |given: &[&str]| {
        let args = ["net", "can", "pod/prod/web", "to", "internet", "-f", file, "--complete"];
        json(&args.iter().chain(given).copied().collect::<Vec<_>>())
    };
    let open = ask(&[]);
    assert_eq!((&open["answer"], &open["unknownBecause"][0]["id"]), (&"unknown".into(), &"cni-enforces".into()));
    assert_eq!(ask(&["--given", "cni-enforces=yes"])["answer"], "no");
    assert_eq!(ask(&["--given", "cni-*=no"])["answer"], "yes");
    assert_eq!(kpath(&["net", "can", "a", "to", "b", "--demo", "--given", "x"]).status.code(), Some(2));
}

#[test]
fn list_has_what_can_says_in_every_format() {
    let file = cluster();
    let of = |format: &str| kpath(&["net", "list", "-f", &file, "--complete", "-o", format]);
    let v: Value = serde_json::from_slice(&of("json").stdout).unwrap();
    let rows: BTreeSet<(String, String, String)> = v["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| ["from", "to", "ports"].map(|k| c[k].as_str().unwrap().to_owned()))
        .map(|[a, b, c]| (a, b, c))
        .collect();
    let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert!(rows.contains(&row("pod/prod/web", "pod/prod/db", "TCP 5432")), "{rows:?}");
    assert!(rows.contains(&row("pod/prod/db", "pod/prod/web", "all ports")), "{rows:?}");
    assert!(rows.contains(&row("pod/prod/db", "internet", "all ports")), "{rows:?}");
    assert!(!rows.iter().any(|(a, b, _)| a == "pod/prod/web" && b != "pod/prod/db"), "{rows:?}");
    let csv = String::from_utf8(of("csv").stdout).unwrap();
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert!(csv.starts_with("from,to,ports,answer\n"));
    let dot = String::from_utf8(of("dot").stdout).unwrap();
    assert!(dot.contains("TCP 5432") && dot.contains("digraph"), "{dot}");
    // The plugin's pods are in the network of a node that is not known yet: what they send may be dropped.
    let one = kpath(&["net", "list", "-f", &file, "--complete", "--from", "pod/prod/web", "--to", "pod/prod/*"]);
    assert_eq!(
        String::from_utf8(one.stdout).unwrap(),
        "pod/prod/db\n  TCP 5432 from pod/prod/web\n\n1 connections between workloads, 0 of them unknown\n"
    );
}

#[cfg(feature = "pictures")]
#[test]
fn a_picture_has_its_workloads_and_says_when_there_are_too_many() {
    let svg = String::from_utf8(
        kpath(&["net", "list", "--demo", "--to", "pod/shop/*", "--from", "pod/shop/*", "-o", "svg"]).stdout,
    )
    .unwrap();
    for part in ["payment-api", "postgres", "internet", "all ports", "TCP 8443"] {
        assert!(svg.contains(part), "{part} is not drawn");
    }
    let mut text = String::new();
    for n in 0..41 {
        text += &format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a{n}, namespace: x}}\nspec: {{containers: [{{name: c}}]}}\n"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let o = kpath(&["net", "list", "-f", file.to_str().unwrap(), "-o", "svg"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&o.stderr).contains("41 workloads are too many"));
}

#[test]
fn explain_names_every_rule_and_finds_slips() {
    let slip = std::fs::read_to_string(cluster())
        .unwrap()
        .replace("          app: web\n    ports:", "          app: wbe\n    ports:");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, slip).unwrap();
    let v = json(&["net", "explain", "pod/prod/web", "pod/prod/db", "-f", file.to_str().unwrap(), "--complete"]);
    let rows = v["policies"].as_array().unwrap();
    let find = |side: &str, verdict: &str| rows.iter().find(|r| r["side"] == side && r["verdict"] == verdict);
    assert_eq!(find("egress", "allows").unwrap()["policy"], "NetworkPolicy prod/web");
    assert_eq!(find("ingress", "no match").unwrap()["rule"], 0);
    assert_eq!(find("ingress", "denies").unwrap()["policy"], "NetworkPolicy prod/db");
    assert!(v.to_string().contains("no pod has the label app=wbe"), "{v}");
    assert_eq!(v["enforcement"], "Calico enforces policies");
}

#[test]
fn errors_say_what_to_do() {
    for (args, part) in [
        (&["net", "can", "pod/shop/web", "to", "pod/shop/weeb", "--demo"][..], "does not exist"),
        (&["net", "can", "internet", "to", "internet", "--demo"], "reaches itself"),
        (&["net", "can", "secret/shop/*", "to", "internet", "--demo"], "names no pod"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--port", "70000", "--demo"], "between 1 and 65535"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--port", "nope", "--demo"], "no TCP port named"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--protocol", "ICMP", "--demo"], "TCP, UDP or SCTP"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--demo", "-o", "csv"], "no such format"),
    ] {
        let o = kpath(args);
        let text = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
}

#[test]
fn json_follows_the_committed_schema() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(repo("docs/schema/net.schema.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for args in [
        &["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--demo"][..],
        &["net", "can", "internet", "to", "pod/shop/web", "--demo"],
        &["net", "can", "deploy/ci/runner", "to", "pod/shop/postgres-0", "--demo"],
        &["net", "list", "--demo"],
        &["net", "explain", "pod/ci/runner", "pod/shop/postgres-0", "--demo"],
        &["net", "exposure", "--demo"],
    ] {
        let v = json(args);
        let errors: Vec<String> = validator.iter_errors(&v).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{args:?}: {errors:?}: {v}");
    }
    assert!(!validator.is_valid(&serde_json::json!({"schemaVersion": 1, "connections": [{"from": "a"}]})));
}

/// Under lateral-exploitable, who may change the policies is not kept apart by them.
#[test]
fn rights_over_policies_open_what_they_close() {
    let base = std::fs::read_to_string(repo("testdata/techniques/netpol-remove/fires.yaml")).unwrap();
    // A plugin that enforces policies and has no pods of its own.
    let base = base.replace("operatingSystem: linux", "operatingSystem: linux\n    kubeletVersion: v1.36.2+k3s1");
    let more = |policy: &str| {
        format!(
            "{base}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: db, namespace: prod, labels: {{app: db}}}}\nspec: {{nodeName: w1, automountServiceAccountToken: false, containers: [{{name: c, image: db}}]}}\n---\napiVersion: {policy}\n"
        )
    };
    let standard = "networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: prod}\nspec: {podSelector: {matchLabels: {app: db}}}";
    let admin = "policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: db}\nspec: {priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}";
    let dir = tempfile::tempdir().unwrap();
    let ask = |text: String, assume: bool| {
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, text).unwrap();
        let mut args = vec!["can", "pod/prod/app", "reach", "pod/prod/db", "--complete", "-f", file.to_str().unwrap()];
        if assume {
            args.extend(["--assume", "lateral-exploitable"]);
        }
        json(&args)
    };
    let yes = ask(more(standard), true);
    assert_eq!(yes["answer"], "yes", "{yes}");
    assert!(yes["proof"].to_string().contains("NetworkPolicy"), "{yes}");
    assert_eq!(ask(more(standard), false)["answer"], "no", "nothing is exploitable without the assumption");
    assert_eq!(ask(more(standard).replace("- delete", "- get"), true)["answer"], "no");
    assert_eq!(ask(more(admin), true)["answer"], "no", "what administrators deny stays denied");
    // The right over that one policy is enough, over another it is not.
    let named = |name: &str| {
        more(standard).replace("  verbs:\n  - delete\n", &format!("  verbs:\n  - delete\n  resourceNames: [{name}]\n"))
    };
    assert_eq!(ask(named("db"), true)["answer"], "yes");
    assert_eq!(ask(named("other"), true)["answer"], "no");
}
