//! Agreement with what a real API server answered, line by line.

use kpath::cli::eval::{Engine, Evaluator};
use serde_json::{Value, json};

use crate::support::{cluster_of, repo, text};

fn lines(path: &str) -> Vec<Value> {
    text(&repo(path)).lines().filter(|l| !l.is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Compares every line and reports the first differences.
fn compare(name: &str, differences: &[String], total: usize) {
    println!("{name}: {total} lines, {} different", differences.len());
    assert!(total > 0, "{name}: no lines were compared");
    assert!(
        differences.is_empty(),
        "{name}: {} of {total} differ:\n{}",
        differences.len(),
        differences[..differences.len().min(12)].join("\n")
    );
}

fn rbac_objects() -> Vec<std::path::PathBuf> {
    [
        "clusterrolebindings",
        "clusterroles",
        "namespaces",
        "rolebindings",
        "roles",
        "serviceaccounts",
        "node_authorizer_objects",
    ]
    .iter()
    .map(|f| repo(&format!("testdata/oracles/rbac/objects/{f}.json.xz")))
    .collect()
}

fn check_rbac(file: &str, expected: usize) {
    let cluster = cluster_of(&rbac_objects());
    let evaluator = Evaluator::new(Engine::Rbac, &cluster);
    let all = lines(file);
    let mut differences = Vec::new();
    for q in &all {
        let answer = evaluator.line(&q.to_string());
        let missing_role = |v: &Value| v["reason"].as_str().unwrap_or_default().contains("not found");
        let reason_ok = if q["allowed"] == true {
            (q["reason"] == "") == (answer["reason"] == "")
        } else {
            missing_role(q) == missing_role(&answer)
        };
        if answer["allowed"] != q["allowed"] || !reason_ok {
            differences.push(format!("{q}\n  kpath: {answer}"));
        }
    }
    assert_eq!(all.len(), expected);
    compare(file, &differences, all.len());
}

#[test]
fn rbac_agrees_with_the_api_server() {
    check_rbac("testdata/oracles/rbac/queries.jsonl.xz", 12_103);
}

#[test]
fn node_authorizer_agrees_with_the_api_server() {
    check_rbac("testdata/oracles/rbac/node_authorizer.jsonl.xz", 4_095);
}

#[test]
fn escalation_check_agrees_with_the_api_server() {
    let cluster = cluster_of(&[repo("testdata/oracles/rbac-escalation/objects.json.xz")]);
    let evaluator = Evaluator::new(Engine::Escalation, &cluster);
    let all = lines("testdata/oracles/rbac-escalation/cases.jsonl.xz");
    let mut differences = Vec::new();
    for c in &all {
        let answer = evaluator.line(&c.to_string());
        if answer["outcome"] != c["outcome"] || answer["allowed"] != c["allowed"] {
            differences.push(format!(
                "{} {} {} {}: {} want {}, kpath {answer}",
                c["user"], c["op"], c["resource"], c["name"], c["note"], c["outcome"]
            ));
        }
    }
    assert_eq!(all.len(), 2_264);
    compare("escalation", &differences, all.len());
}

#[test]
fn pod_security_agrees_with_the_api_server() {
    let cluster = kpath::model::Cluster::default();
    let evaluator = Evaluator::new(Engine::Psa, &cluster);
    let mut differences = Vec::new();
    let mut total = 0;
    for row in lines("testdata/oracles/psa/pods.jsonl.xz") {
        for (key, want) in row["answers"].as_object().unwrap() {
            total += 1;
            let (level, version) = key.split_once('@').unwrap_or((key, "latest"));
            let q = json!({"pod": row["pod"], "enforce": level, "enforce_version": version});
            let answer = evaluator.line(&q.to_string());
            if answer["allowed"] != want["allowed"] {
                differences.push(format!(
                    "{} {key}: want {} {}\n  kpath {answer}\n  {}",
                    row["id"], want["allowed"], want["message"], row["pod"]["spec"]
                ));
            }
        }
    }
    assert_eq!(total, 14_260);
    compare("psa", &differences, total);
}

#[test]
fn service_account_admission_agrees_with_the_api_server() {
    let cluster = cluster_of(&[repo("testdata/oracles/automount/serviceaccounts.json")]);
    // Secrets are not in the data: as for a user who may not list them.
    let mut cluster = cluster;
    cluster.complete = false;
    let evaluator = Evaluator::new(Engine::Automount, &cluster);
    let (mut differences, mut total, mut invalid) = (Vec::new(), 0, 0);
    let volume = |v: &Value| {
        let mut v = v.clone();
        for m in v.as_array_mut().unwrap() {
            let name = m["volume"].as_str().unwrap().to_owned();
            if name.starts_with("kube-api-access-") && name != "kube-api-access-abcde" {
                m["volume"] = "kube-api-access-xxxxx".into();
            }
        }
        v
    };
    for c in lines("testdata/oracles/automount/pods.jsonl.xz") {
        if c["code"] == 422 {
            invalid += 1;
            continue;
        }
        total += 1;
        let q = json!({"pod": c["pod"], "serviceAccount": c["serviceAccount"], "namespace": "auto"});
        let answer = evaluator.line(&q.to_string());
        let want = if c["admitted"] == true { volume(&c["tokenMounts"]) } else { json!([]) };
        let name_ok = c["admitted"] == false
            || c["result"]["serviceAccountName"].as_str().unwrap_or_default() == answer["serviceAccountName"];
        if answer["admitted"] != c["admitted"] || answer["tokenMounts"] != want || !name_ok {
            differences.push(format!(
                "{} {} {}: want {} {want}\n  kpath {answer}",
                c["case"], c["serviceAccount"], c["podAutomount"], c["admitted"]
            ));
        }
    }
    println!("automount: {invalid} rows that API validation refuses were left out");
    assert_eq!((total, invalid), (942, 27));
    compare("automount", &differences, total);
}

/// 256 clusters with policies, every flow judged by an independent engine (`testdata/oracles/netpol/README.md`).
#[test]
fn network_policy_agrees_with_cyclonus() {
    let file = std::fs::File::open(repo("testdata/oracles/netpol/cyclonus.tar.xz")).unwrap();
    let mut archive = tar::Archive::new(xz2::read::XzDecoder::new(file));
    let mut steps: std::collections::BTreeMap<String, [String; 2]> = std::collections::BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let slot = match path.rsplit_once('/') {
            Some((step, "cluster.yaml")) => (step.to_owned(), 0),
            Some((step, "expected.json")) => (step.to_owned(), 1),
            _ => continue,
        };
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        steps.entry(slot.0).or_default()[slot.1] = text;
    }
    assert_eq!(steps.len(), 256);
    let (mut total, mut differences) = (0, Vec::new());
    for (step, [objects, expected]) in &steps {
        let cluster = crate::support::cluster_from(objects);
        let evaluator = Evaluator::new(Engine::Netpol, &cluster);
        let expected: Value = serde_json::from_str(expected).unwrap();
        for f in expected["flows"].as_array().unwrap() {
            let question = json!({"from": f["Src"], "to": f["Dst"], "protocol": f["Proto"], "port": f["Port"]});
            let answer = evaluator.line(&question.to_string());
            total += 1;
            let same = answer["allowed"] == f["Allowed"]
                && answer["ingress"] == f["Ingress"]
                && answer["egress"] == f["Egress"]
                && answer["reasons"].as_array().is_some_and(|r| !r.is_empty());
            if !same {
                differences.push(format!("{step} {f}\n  kpath: {answer}"));
            }
        }
    }
    assert_eq!(total, 111_036);
    compare("netpol", &differences, total);
}
