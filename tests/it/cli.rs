//! The program as a user runs it: answers, exit codes, the README.

use std::process::{Command, Output};

use crate::support::repo;

fn kpath(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kpath")).args(args).env("NO_COLOR", "1").env("COLUMNS", "100").output().unwrap()
}

fn out(o: &Output) -> String {
    String::from_utf8(o.stdout.clone()).unwrap()
}

#[test]
fn can_answers_in_the_first_line_with_exit_codes() {
    let yes = kpath(&["can", "pod/shop/queue-worker", "reach", "secret/ci/registry-push", "--demo", "--expect", "yes"]);
    assert_eq!(yes.status.code(), Some(0));
    assert!(out(&yes).starts_with("yes: "), "{}", out(&yes));
    assert!(out(&yes).contains("RoleBinding ci/queue-worker-secrets") && out(&yes).contains("kubectl auth can-i"));
    let no = kpath(&["can", "pod/shop/redis", "reach", "cluster-admin", "--demo", "--expect", "yes"]);
    assert_eq!(no.status.code(), Some(10));
    assert!(out(&no).starts_with("no: "), "{}", out(&no));
    let wrong = kpath(&["can", "pod/shop/reddis", "reach", "cluster-admin", "--demo"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean \"shop/redis\""));
    assert_eq!(kpath(&["analyze", "--demo", "--fail-on", "critical"]).status.code(), Some(14));
    assert_eq!(kpath(&["can"]).status.code(), Some(2));
}

#[test]
fn unknown_names_what_was_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(repo("testdata/techniques/token-automount/fires.yaml")).unwrap();
    std::fs::write(dir.path().join("a.yaml"), text).unwrap();
    let path = dir.path().to_str().unwrap();
    let o = kpath(&["can", "pod/prod/app", "reach", "cluster-admin", "-f", path, "-o", "json"]);
    let v: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(v["answer"], "unknown");
    assert!(v["unknownBecause"].as_array().unwrap().iter().any(|m| m["id"] == "unread:ClusterRoleBinding"));
    let o = kpath(&["can", "pod/prod/app", "reach", "cluster-admin", "-f", path, "--complete", "-o", "json"]);
    let v: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(v["answer"], "no");
    assert_eq!(kpath(&["analyze", "-f", path, "--strict"]).status.code(), Some(3));
}

#[test]
fn secrets_that_could_not_be_listed_are_known_by_reference() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec: {containers: [{name: c, image: i, envFrom: [{secretRef: {name: db}}]}]}\n").unwrap();
    let path = file.to_str().unwrap();
    let answer = |to: &str| out(&kpath(&["can", "pod/shop/p", "reach", to, "-f", path]));
    assert!(answer("secret/shop/db").starts_with("yes: "), "{}", answer("secret/shop/db"));
    assert!(
        answer("secret/shop/other").starts_with("unknown: ") && answer("secret/shop/other").contains("unread:Secret")
    );
}

#[test]
fn a_user_that_no_binding_names_exists_and_reaches_nothing() {
    let o = kpath(&["can", "user/nobody@example.com", "reach", "cluster-admin", "--demo"]);
    assert_eq!(o.status.code(), Some(0), "{}", String::from_utf8_lossy(&o.stderr));
    assert!(out(&o).starts_with("no: "), "{}", out(&o));
}

#[test]
fn json_follows_the_committed_schema() {
    let schema: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(repo("docs/schema/kpath.schema.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for args in [
        &["analyze", "--demo", "-o", "json"][..],
        &["can", "pod/ci/runner", "reach", "cluster-admin", "--demo", "-o", "json"],
        &["can", "pod/shop/redis", "reach", "cluster-admin", "--demo", "-o", "json"],
        &["can", "pod/shop/redis", "reach", "pod/shop/web", "--demo", "-o", "json"],
        &["can", "internet", "reach", "kms/card-data", "--demo", "-o", "json"],
    ] {
        let v: serde_json::Value = serde_json::from_slice(&kpath(args).stdout).unwrap();
        let errors: Vec<String> = validator.iter_errors(&v).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{args:?}: {errors:?}");
    }
    assert!(!validator.is_valid(&serde_json::json!({"schemaVersion": "1"})));
}

#[test]
fn the_first_screen_of_the_readme_is_current() {
    let screen = out(&kpath(&["analyze", "--demo"]));
    let path = repo("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = readme.split_once("<!-- demo -->\n```text\n").unwrap();
    let (old, tail) = rest.split_once("```\n<!-- /demo -->").unwrap();
    if std::env::var_os("KPATH_WRITE").is_some() && old != screen {
        std::fs::write(&path, format!("{head}<!-- demo -->\n```text\n{screen}```\n<!-- /demo -->{tail}")).unwrap();
    } else {
        assert_eq!(old, screen, "README.md is old; write it with KPATH_WRITE=1 cargo test");
    }
}

#[test]
fn between_two_pods_the_network_is_told_apart_from_control() {
    let o = out(&kpath(&["can", "pod/shop/redis", "reach", "pod/shop/web", "--demo"]));
    assert!(o.starts_with("no: pod/shop/redis does not reach pod/shop/web\n"), "{o}");
    assert!(o.contains("the network alone: connects to it on all ports"), "{o}");
    let v: serde_json::Value =
        serde_json::from_str(&out(&kpath(&["can", "pod/shop/redis", "reach", "pod/shop/web", "--demo", "-o", "json"])))
            .unwrap();
    assert_eq!((&v["answer"], &v["connects"]["answer"]), (&"no".into(), &"yes".into()));
    let other = out(&kpath(&["can", "pod/shop/redis", "reach", "cluster-admin", "--demo", "-o", "json"]));
    assert!(!other.contains("connects\":"), "{other}");
}

#[test]
fn presets_run_and_explain_knows_every_technique() {
    let list = out(&kpath(&["query", "list"]));
    assert!(list.lines().count() >= 11);
    let mut answered = 0;
    for id in list.lines().filter_map(|l| l.split_whitespace().next()) {
        let o = kpath(&["query", "run", id, "--demo", "-o", "json"]);
        assert!(o.status.success(), "{id}: {}", String::from_utf8_lossy(&o.stderr));
        let v: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
        let rows = ["paths", "connections", "namespaces"].into_iter().find_map(|k| v[k].as_array());
        answered += usize::from(!rows.unwrap().is_empty());
    }
    assert!(answered >= 8, "{answered} presets have an answer on the demo");
    for t in kpath::rules::table::TECHNIQUES {
        assert!(out(&kpath(&["explain", t.id])).starts_with(t.id));
    }
    assert_eq!(kpath(&["explain", "secret-gett"]).status.code(), Some(2));
}

#[test]
fn snapshots_answer_like_their_source() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("demo.kpath");
    let file = file.to_str().unwrap();
    assert!(kpath(&["snapshot", "--demo", "-o", file]).status.success());
    let a = out(&kpath(&["analyze", "--demo"]));
    let b = out(&kpath(&["analyze", "--snapshot", file, "--complete"]));
    assert_eq!(a, b);
}

#[test]
fn a_closed_pipe_is_success() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kpath"))
        .args(["explain"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
