//! AWS accounts from saved answers: where they are read, what is missing, evidence, and scale.

use std::path::Path;
use std::process::Command;

use kpath::model::{Cluster, Kind};
use kpath::report::{answer, name};
use kpath::rules;
use kpath::snapshot::{ClusterOptions, file};
use kpath::verify::evidence;
use serde_json::{Value, json};

use crate::support::{account_of, repo, snapshot_of, text};

pub(crate) fn kpath(args: &[&str]) -> (i32, String, String) {
    let o = Command::new(env!("CARGO_BIN_EXE_kpath")).args(args).env("NO_COLOR", "1").output().unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (o.status.code().unwrap_or(-1), text(&o.stdout), text(&o.stderr))
}

/// Writes a fixture as a dump: objects, and the answers in a folder of their own.
pub(crate) fn dump(technique: &str, dir: &Path, answers: &Path) {
    let fixture = repo(&format!("testdata/techniques/{technique}/fires.yaml"));
    std::fs::copy(&fixture, dir.join("cluster.yaml")).unwrap();
    std::fs::create_dir_all(answers).unwrap();
    for (call, answer) in account_of(&fixture) {
        std::fs::write(answers.join(call.trim_start_matches("aws/")), answer).unwrap();
    }
}

pub(crate) fn ask(args: &[&str]) -> Value {
    let all: Vec<&str> = ["can"].iter().chain(args).copied().chain(["--complete", "-o", "json"]).collect();
    let (_, out, err) = kpath(&all);
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {err}"))
}

#[test]
fn answers_are_read_beside_the_dump_and_from_a_folder_and_from_a_snapshot() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    dump("aws-kms-decrypt", dir.path(), &other.path().join("answers"));
    let (f, aws) = (dir.path().to_str().unwrap(), other.path().join("answers"));
    let aws = aws.to_str().unwrap();
    let question = ["pod/prod/app", "reach", "kms/k-1", "-f", f];
    let without = ask(&question);
    assert_eq!(
        (&without["answer"], &without["unknownBecause"][0]["id"]),
        (&"unknown".into(), &"unread:CloudObject".into())
    );
    let with: Vec<&str> = question.iter().copied().chain(["--aws-data", aws]).collect();
    let with = ask(&with);
    assert_eq!(with["answer"], "yes", "{with}");
    let steps = with["proof"]["steps"].as_array().unwrap();
    let techniques: Vec<&str> = steps.iter().filter_map(|s| s["technique"].as_str()).collect();
    assert_eq!(techniques, ["aws-irsa", "aws-kms-decrypt"], "{with}");
    assert_eq!(steps[1]["verify"], "aws kms get-key-policy --key-id k-1 --policy-name default");
    dump("aws-kms-decrypt", dir.path(), &dir.path().join("aws"));
    assert_eq!(ask(&question)["proof"], with["proof"], "a folder aws beside the dump");
    let saved = other.path().join("s.kpath");
    let (code, _, err) = kpath(&["snapshot", "-f", f, "-o", saved.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let again = ask(&["pod/prod/app", "reach", "kms/k-1", "--snapshot", saved.to_str().unwrap()]);
    assert_eq!(again["proof"], with["proof"], "a snapshot");
    assert_eq!(file::read(&saved).unwrap().objects.lines(Kind::CloudObject).len(), 15, "6 objects, 9 calls");
    // What a proof says can be checked.
    let proof = other.path().join("proof.json");
    kpath(&["can", "pod/prod/app", "reach", "kms/k-1", "-f", f, "--complete", "--proof", proof.to_str().unwrap()]);
    let (code, out, err) = kpath(&["verify", proof.to_str().unwrap(), "-f", f, "--complete"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn an_answer_that_is_missing_is_named() {
    for (file, to, id, answer) in [
        ("kms-get-key-policy-k-1", "kms/k-1", "unread:kms-get-key-policy-k-1", "unknown"),
        ("organizations-describe-organization", "kms/k-1", "unread:organizations-describe-organization", "unknown"),
        ("sts-get-caller-identity", "kms/k-1", "", "yes"),
        ("iam-list-open-id-connect-providers", "kms/k-1", "", "yes"),
        (
            "iam-get-open-id-connect-provider-EXAMPLE",
            "kms/k-1",
            "unread:iam-get-open-id-connect-provider-EXAMPLE",
            "unknown",
        ),
        ("kms-list-grants-k-1", "kms/k-1", "", "yes"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        dump("aws-kms-decrypt", dir.path(), &dir.path().join("aws"));
        std::fs::remove_file(dir.path().join(format!("aws/{file}.json"))).unwrap();
        let v = ask(&["pod/prod/app", "reach", to, "-f", dir.path().to_str().unwrap()]);
        assert_eq!(v["answer"], answer, "{file}: {v}");
        if !id.is_empty() {
            assert!(v["unknownBecause"].to_string().contains(id), "{file}: {v}");
            assert!(v["unknownBecause"].to_string().contains("--aws-data"), "{file}: {v}");
        }
    }
    // A file that is broken costs no other, and is named.
    let dir = tempfile::tempdir().unwrap();
    dump("aws-kms-decrypt", dir.path(), &dir.path().join("aws"));
    std::fs::write(dir.path().join("aws/kms-get-key-policy-k-1.json"), "{\"Policy\": \"hunter2").unwrap();
    std::fs::write(dir.path().join("aws/sns-list-topics.json"), "{}").unwrap();
    let v = ask(&["pod/prod/app", "reach", "kms/k-1", "-f", dir.path().to_str().unwrap()]);
    assert_eq!(v["answer"], "unknown");
    let gaps = v["gaps"].to_string();
    assert!(gaps.contains("unread:kms-get-key-policy-k-1") && gaps.contains("sns-list-topics"), "{gaps}");
    assert!(!v.to_string().contains("hunter2"), "{v}");
}

/// One change to the answers of a fixture, and what follows.
#[test]
fn what_a_look_with_fresh_eyes_found() {
    const ROLE: &str = "arn:aws:iam::111122223333:role/app";
    let policy = |s: Value| json!({"Version": "2012-10-17", "Statement": s});
    let entry = |cluster: &str, created: Value| json!({"accessEntry": {"principalArn": ROLE, "clusterName": cluster, "type": "STANDARD", "username": "x", "kubernetesGroups": [], "createdAt": created}});
    // Name, technique of the fixture, target, changed answers, what follows.
    type Case = (&'static str, &'static str, &'static str, Vec<(&'static str, Value)>, &'static str);
    let cases: Vec<Case> = vec![
        (
            "a constrained grant",
            "aws-kms-decrypt",
            "kms/k-1",
            vec![
                (
                    "kms-list-grants-k-1",
                    json!({"Grants": [{"KeyId": "k-1", "GranteePrincipal": ROLE, "Operations": ["Decrypt"], "Constraints": {"EncryptionContextEquals": {"a": "b"}}}]}),
                ),
                ("kms-get-key-policy-k-1", json!({"Policy": policy(json!([])).to_string()})),
            ],
            "unknown",
        ),
        (
            "a plain grant",
            "aws-kms-decrypt",
            "kms/k-1",
            vec![
                (
                    "kms-list-grants-k-1",
                    json!({"Grants": [{"KeyId": "k-1", "GranteePrincipal": ROLE, "Operations": ["Decrypt"]}]}),
                ),
                ("kms-get-key-policy-k-1", json!({"Policy": policy(json!([])).to_string()})),
            ],
            "yes",
        ),
        (
            "a key that signs",
            "aws-kms-decrypt",
            "kms/k-1",
            vec![(
                "kms-describe-key-k-1",
                json!({"KeyMetadata": {"KeyId": "k-1", "Arn": "arn:aws:kms:eu-west-1:111122223333:key/k-1", "KeyUsage": "SIGN_VERIFY"}}),
            )],
            "no",
        ),
        (
            "another cluster's entry",
            "aws-access-entry",
            "cluster-admin",
            vec![
                ("eks-describe-access-entry-app", entry("staging", json!("2025-06-01T00:00:00Z"))),
                (
                    "eks-list-associated-access-policies-app",
                    json!({"clusterName": "staging", "principalArn": ROLE, "associatedAccessPolicies": [{"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy", "accessScope": {"type": "cluster"}}]}),
                ),
            ],
            "no",
        ),
        (
            "an entry that is not listed",
            "aws-access-entry",
            "cluster-admin",
            vec![("eks-list-access-entries-prod", json!({"accessEntries": []}))],
            "no",
        ),
        (
            "an entry that is not described",
            "aws-auth-mapping",
            "cluster-admin",
            vec![("eks-list-access-entries-prod", json!({"accessEntries": [ROLE]}))],
            "unknown",
        ),
        (
            "a dead entry by seconds",
            "aws-access-entry",
            "cluster-admin",
            vec![("eks-describe-access-entry-app", entry("prod", json!(1_600_000_000)))],
            "no",
        ),
        (
            "an entry of a time that is not known",
            "aws-access-entry",
            "cluster-admin",
            vec![("eks-describe-access-entry-app", entry("prod", json!("then")))],
            "unknown",
        ),
        (
            "a broken bucket policy",
            "aws-s3-read",
            "bucket/receipts",
            vec![("s3api-get-bucket-policy-receipts", json!({"Policy": "{\"Statement\": broken"}))],
            "unknown",
        ),
        (
            "objects by a policy of the bucket",
            "aws-s3-read",
            "bucket/receipts",
            vec![
                ("iam-get-account-authorization-details", json!(null)),
                (
                    "s3api-get-bucket-policy-receipts",
                    json!({"Policy": policy(json!([{"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::receipts/2025/*"}])).to_string()}),
                ),
            ],
            "yes",
        ),
        (
            "a service control policy that was not read",
            "aws-kms-decrypt",
            "kms/k-1",
            vec![
                (
                    "organizations-describe-organization",
                    json!({"Organization": {"Id": "o-1", "MasterAccountId": "999999999999"}}),
                ),
                ("organizations-list-parents-111122223333", json!({"Parents": [{"Id": "r-1", "Type": "ROOT"}]})),
                (
                    "organizations-list-policies-for-target-111122223333-SERVICE_CONTROL_POLICY",
                    json!({"Policies": [{"Id": "p-1"}]}),
                ),
            ],
            "unknown",
        ),
        (
            "a resource control policy",
            "aws-kms-decrypt",
            "kms/k-1",
            vec![
                (
                    "organizations-describe-organization",
                    json!({"Organization": {"Id": "o-1", "MasterAccountId": "999999999999"}}),
                ),
                (
                    "organizations-list-policies-for-target-111122223333-RESOURCE_CONTROL_POLICY",
                    json!({"Policies": [{"Id": "p-2"}]}),
                ),
                (
                    "organizations-describe-policy-p-2",
                    json!({"Policy": {"PolicySummary": {"Id": "p-2"}, "Content": policy(json!([{"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}])).to_string()}}),
                ),
            ],
            "no",
        ),
        (
            "two clusters",
            "aws-irsa",
            "role:app",
            vec![(
                "eks-describe-cluster-dev",
                json!({"cluster": {"name": "dev", "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/dev", "identity": {"oidc": {"issuer": "https://other"}}}}),
            )],
            "unknown",
        ),
        (
            "a session policy",
            "aws-pod-identity",
            "role:app",
            vec![(
                "eks-describe-pod-identity-association-a-1",
                json!({"association": {"associationId": "a-1", "clusterName": "prod", "namespace": "prod", "serviceAccount": "app", "roleArn": ROLE, "policy": policy(json!([])).to_string()}}),
            )],
            "unknown",
        ),
        (
            "an association of another cluster",
            "aws-pod-identity",
            "role:app",
            vec![(
                "eks-describe-pod-identity-association-a-1",
                json!({"association": {"associationId": "a-1", "clusterName": "dev", "namespace": "prod", "serviceAccount": "app", "roleArn": ROLE}}),
            )],
            "no",
        ),
        (
            "a page of several",
            "aws-kms-decrypt",
            "kms/k-1",
            vec![("iam-get-account-authorization-details", json!("truncated"))],
            "unknown",
        ),
    ];
    for (case, technique, to, changes, wanted) in cases {
        let dir = tempfile::tempdir().unwrap();
        dump(technique, dir.path(), &dir.path().join("aws"));
        for (call, answer) in changes {
            let path = dir.path().join(format!("aws/{call}.json"));
            let details = || -> Value { serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap() };
            let answer = match &answer {
                // The role has no policy of its own.
                Value::Null => {
                    let mut d = details();
                    d["RoleDetailList"][0]["RolePolicyList"] = json!([]);
                    d
                }
                Value::String(_) => {
                    let mut d = details();
                    d["IsTruncated"] = json!(true);
                    d
                }
                other => other.clone(),
            };
            std::fs::write(path, answer.to_string()).unwrap();
        }
        let v = ask(&["pod/prod/app", "reach", to, "-f", dir.path().to_str().unwrap()]);
        assert_eq!(v["answer"], wanted, "{case}: {v}");
    }
}

/// Settling what an entry gives does not settle of which cluster the entry is.
#[test]
fn an_entry_that_was_not_read_is_still_of_one_cluster_of_two() {
    let policies = "eks-list-associated-access-policies-app";
    for (id, missing) in
        [(policies, vec![policies]), ("eks-describe-access-entry-app", vec![policies, "eks-describe-access-entry-app"])]
    {
        let dir = tempfile::tempdir().unwrap();
        let aws = dir.path().join("aws");
        dump("aws-access-entry", dir.path(), &aws);
        missing.iter().for_each(|call| std::fs::remove_file(aws.join(format!("{call}.json"))).unwrap());
        let write = |call: &str, v: Value| std::fs::write(aws.join(format!("{call}.json")), v.to_string()).unwrap();
        write("eks-list-access-entries-prod", json!({"accessEntries": ["arn:aws:iam::111122223333:role/app"]}));
        let given = format!("unread:{id}=yes");
        let question = ["role:app", "reach", "cluster-admin", "-f", dir.path().to_str().unwrap(), "--given", &given];
        assert_eq!(ask(&question)["answer"], "yes", "{id}: one cluster");
        write(
            "eks-describe-cluster-dev",
            json!({"cluster": {"name": "dev", "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/dev", "identity": {"oidc": {"issuer": "https://other"}}, "accessConfig": {"authenticationMode": "API"}}}),
        );
        let v = ask(&question);
        assert_eq!(
            (&v["answer"], &v["unknownBecause"][0]["id"]),
            (&"unknown".into(), &"eks-cluster:prod".into()),
            "{id}"
        );
    }
}

#[test]
fn selectors_of_an_account() {
    let dir = tempfile::tempdir().unwrap();
    dump("aws-access-entry", dir.path(), &dir.path().join("aws"));
    let f = dir.path().to_str().unwrap();
    for from in ["role:app", "role:arn:aws:iam::111122223333:role/app", "role:a*"] {
        assert_eq!(ask(&[from, "reach", "cluster-admin", "-f", f])["answer"], "yes", "{from}");
    }
    let (code, _, err) = kpath(&["can", "pod/prod/app", "reach", "role:ap", "-f", f, "--complete"]);
    assert!(code == 2 && err.contains("did you mean \"app\"?"), "{err}");
    assert_eq!(ask(&["pod/prod/app", "reach", "account-admin", "-f", f])["answer"], "no");
}

/// Every field that a step of an account cites is there, and says what is cited.
#[test]
fn evidence_says_what_the_answers_say() {
    let mut checked = 0;
    for e in std::fs::read_dir(repo("testdata/techniques")).unwrap() {
        for f in ["fires", "near-miss"] {
            let path = e.as_ref().unwrap().path().join(format!("{f}.yaml"));
            let account = account_of(&path);
            if account.is_empty() {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let texts: Vec<_> = [("cluster.yaml".to_owned(), text)].into_iter().chain(account).collect();
            let cluster = snapshot_of(&texts).into_cluster(&ClusterOptions { complete: true, version: None });
            assert!(cluster.gaps.is_empty(), "{}: {:?}", path.display(), cluster.gaps);
            let attack = rules::build(&cluster);
            for x in &attack.graph.instances {
                for cited in &x.evidence {
                    let Some(o) = rules::ctx::unpack(cited.object).filter(|o| o.kind == Kind::CloudObject) else {
                        continue;
                    };
                    let object = cluster.objects.json(o.kind, o.index as usize).unwrap();
                    let (pointer, value) = (attack.graph.text(cited.pointer), attack.graph.text(cited.value));
                    let agrees = evidence::agrees(&object, pointer, value);
                    assert!(
                        agrees.is_ok(),
                        "{}: {agrees:?} {}",
                        path.display(),
                        name::object(&cluster, cited.object).short()
                    );
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 60, "{checked}");
}

#[allow(dead_code, reason = "the example's own main")]
#[path = "../../examples/synth_aws.rs"]
mod synth;

fn large(roles: usize, keys: usize) -> Cluster {
    snapshot_of(&synth::texts(roles, keys)).into_cluster(&ClusterOptions { complete: true, version: None })
}

/// Twice the account gives twice the graph, not four times.
#[test]
fn the_graph_grows_with_the_account_and_not_faster() {
    let count = |n: usize| rules::build(&large(n, n / 2)).graph.instances.len();
    let (small, big) = (count(200), count(400));
    assert!(big < small * 3, "{small} {big}");
    // The answer is there all the same.
    let cluster = large(200, 100);
    let attack = rules::build(&cluster);
    let pick = |s: &str| kpath::query::selector::resolve(&attack, &cluster, s, false).unwrap();
    let question = answer::Question::new();
    for (to, wanted) in [("kms/k-50", answer::Verdict::Yes), ("kms/k-51", answer::Verdict::No)] {
        let a = answer::ask(&attack, &cluster, &question, &pick("role:role-150"), &pick(to), 1);
        assert_eq!(a.answer, wanted, "{to}");
    }
}

/// The demo as a folder that a test may change.
fn copy_of_demo() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let demo = repo("testdata/clusters/payment-api");
    std::fs::create_dir(dir.path().join("aws")).unwrap();
    for folder in ["", "aws"] {
        for file in std::fs::read_dir(demo.join(folder)).unwrap().map(|f| f.unwrap().path()).filter(|p| p.is_file()) {
            std::fs::copy(&file, dir.path().join(folder).join(file.file_name().unwrap())).unwrap();
        }
    }
    dir
}

#[test]
fn one_of_several_clusters_is_chosen_by_name_or_by_the_tags_of_its_nodes() {
    let dir = copy_of_demo();
    let ask = |more: &[&str]| {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_kpath"))
            .args(["can", "internet", "reach", "kms/card-data", "--complete", "-o", "json", "-f"])
            .arg(dir.path())
            .args(more)
            .output()
            .unwrap();
        (run.status.code(), String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
    };
    let answer = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["answer"].clone();
    assert_eq!(answer(&ask(&[]).1), "yes", "the only one");
    // Another cluster with the same issuer, as far as anybody knows.
    let file = dir.path().join("aws/eks-describe-cluster-other.json");
    let other = text(&dir.path().join("aws/eks-describe-cluster-payments.json")).replace("\"payments\"", "\"other\"");
    std::fs::write(file, other.replace("PAYMENTS", "OTHER")).unwrap();
    let (_, unknown, _) = ask(&[]);
    assert_eq!(answer(&unknown), "unknown");
    assert!(unknown.contains("eks-cluster:payments"), "{unknown}");
    assert_eq!(answer(&ask(&["--eks-cluster", "payments"]).1), "yes");
    assert_ne!(answer(&ask(&["--eks-cluster", "other"]).1), "yes");
    let (code, _, err) = ask(&["--eks-cluster", "third"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("it has other, payments"), "{err}");
    // Nodes are instances, and those are tagged with the cluster.
    let file = dir.path().join("aws/ec2-describe-instances.json");
    let tag = r#""Tags": [{"Key": "kubernetes.io/cluster/payments", "Value": "owned"}], "PrivateDnsName""#;
    let tagged = text(&file).replace("\"PrivateDnsName\"", tag);
    std::fs::write(&file, &tagged).unwrap();
    assert_eq!(answer(&ask(&[]).1), "yes");
    // Tags of two clusters decide nothing.
    std::fs::write(&file, tagged.replacen("cluster/payments", "cluster/other", 1)).unwrap();
    assert_eq!(answer(&ask(&[]).1), "unknown");
}

/// A fixture with its objects and some of its answers changed; the verdict of a question, and what it names.
pub(crate) fn changed(
    technique: &str,
    objects: &dyn Fn(String) -> String,
    change: &dyn Fn(&str, Value) -> Option<Value>,
    from: &str,
    to: &str,
) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let fixture = repo(&format!("testdata/techniques/{technique}/fires.yaml"));
    std::fs::write(dir.path().join("cluster.yaml"), objects(text(&fixture))).unwrap();
    std::fs::create_dir(dir.path().join("aws")).unwrap();
    for (call, answer) in account_of(&fixture) {
        let name = call.trim_start_matches("aws/").trim_end_matches(".json").to_owned();
        if let Some(answer) = change(&name, serde_json::from_str(&answer).unwrap()) {
            std::fs::write(dir.path().join("aws").join(format!("{name}.json")), answer.to_string()).unwrap();
        }
    }
    let (code, out, err) =
        kpath(&["can", from, "reach", to, "-f", dir.path().to_str().unwrap(), "--complete", "-o", "json"]);
    assert_eq!(code, 0, "{err}");
    let v: Value = serde_json::from_str(&out).unwrap();
    (v["answer"].as_str().unwrap().to_owned(), v["unknownBecause"].to_string())
}

/// The same with the objects of the fixture.
pub(crate) fn asked(
    technique: &str,
    change: &dyn Fn(&str, Value) -> Option<Value>,
    from: &str,
    to: &str,
) -> (String, String) {
    changed(technique, &|o| o, change, from, to)
}

#[test]
fn a_session_of_an_instance_is_its_node_by_entry_or_config_map_and_by_the_name_in_use() {
    const NODE: &str = "user/system:node:w1";
    let ask = |objects: &dyn Fn(String) -> String, change: &dyn Fn(&str, Value) -> Option<Value>, to: &str| {
        changed("aws-node-role-cluster", objects, change, "pod/prod/app", to).0
    };
    let same = |o: String| o;
    assert_eq!(ask(&same, &|_, v| Some(v), NODE), "yes");
    // The instance has another name: then the session is another user.
    let renamed = |name: &str, v: Value| {
        Some(if name == "ec2-describe-instances" {
            serde_json::from_str(&v.to_string().replace("w1", "w2")).unwrap()
        } else {
            v
        })
    };
    assert_eq!(ask(&same, &renamed, NODE), "no");
    // Nodes of Auto Mode are named by their instance, whatever its DNS name.
    let auto = |name: &str, mut v: Value| {
        if name == "eks-describe-access-entry-nodes" {
            v["accessEntry"]["username"] = "system:node:{{SessionName}}".into();
        }
        renamed(name, v)
    };
    let by_id = |o: String| o.replace("name: w1", "name: i-1").replace("nodeName: w1", "nodeName: i-1");
    assert_eq!(ask(&by_id, &auto, "user/system:node:i-1"), "yes");
    assert_eq!(ask(&same, &auto, NODE), "no");
    // An entry from before the role that is there now is dead.
    let dead = |name: &str, mut v: Value| {
        if name == "eks-describe-access-entry-nodes" {
            v["accessEntry"]["createdAt"] = "2020-01-01T00:00:00Z".into();
        }
        Some(v)
    };
    assert_eq!(ask(&same, &dead, NODE), "no");
    // The ConfigMap says it too; of several entries for a role the last counts.
    let map = |entries: &str| {
        let data = format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: aws-auth, namespace: kube-system}}\ndata:\n  mapRoles: |\n{entries}"
        );
        move |o: String| format!("{o}\n{data}")
    };
    let entry = |group: &str| {
        format!(
            "    - rolearn: arn:aws:iam::111122223333:role/nodes\n      username: system:node:{{{{EC2PrivateDNSName}}}}\n      groups: [\"{group}\"]\n"
        )
    };
    let by_map = |name: &str, mut v: Value| {
        if name == "eks-describe-cluster-prod" {
            v["cluster"]["accessConfig"]["authenticationMode"] = "CONFIG_MAP".into();
        }
        (!name.contains("access-entr")).then_some(v)
    };
    assert_eq!(ask(&map(&entry("system:nodes")), &by_map, NODE), "yes");
    // Whether the role made the cluster cannot be seen in this mode.
    assert_eq!(ask(&map(&(entry("system:nodes") + &entry("viewers"))), &by_map, NODE), "unknown");
}

#[test]
fn a_launch_template_is_changed_by_who_may_and_rolled_out_where_its_group_is() {
    let ask = |objects: &dyn Fn(String) -> String, statements: Value, tags: Value| {
        let change = |name: &str, mut v: Value| {
            match name {
                "iam-get-account-authorization-details" => {
                    v["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"]["Statement"] = statements.clone();
                }
                "ec2-describe-instances" => v["Reservations"][0]["Instances"][0]["Tags"] = tags.clone(),
                _ => {}
            }
            Some(v)
        };
        changed("aws-eks-launch-template", objects, &change, "role:app", "node/w1")
    };
    let allow = |action: &str, resource: &str| json!({"Effect": "Allow", "Action": action, "Resource": resource});
    let (version, roll) = ("ec2:CreateLaunchTemplateVersion", "eks:UpdateNodegroupVersion");
    let same = |o: String| o;
    let unlabelled = |o: String| o.replace(", labels: {eks.amazonaws.com/nodegroup: workers}", "");
    let group = "arn:aws:eks:eu-west-1:111122223333:nodegroup/prod/workers/0a1b2c";
    let pinned = json!([allow(version, "*"), allow(roll, group)]);
    let (answer, because) = ask(&same, pinned.clone(), json!([]));
    assert_eq!(answer, "unknown");
    assert!(because.contains("launch-template:workers"), "{because}");
    // Another group, another kind of resource, and nodes that are of no group.
    let other = json!([allow(version, "*"), allow(roll, &group.replace("workers", "batch"))]);
    assert_eq!(ask(&same, other, json!([])).0, "no");
    let instances = json!([allow(version, "arn:aws:ec2:eu-west-1:111122223333:instance/*"), allow(roll, "*")]);
    assert_eq!(ask(&same, instances, json!([])).0, "no");
    assert_eq!(ask(&unlabelled, pinned, json!([])).0, "no");
    // Nodes that are not managed by EKS: their Auto Scaling group is a tag.
    let tags = json!([{"Key": "aws:autoscaling:groupName", "Value": "own"}]);
    let scaling = |resource: &str| json!([allow(version, "*"), allow("autoscaling:UpdateAutoScalingGroup", resource)]);
    let (answer, because) = ask(&unlabelled, scaling("*"), tags.clone());
    assert_eq!(answer, "unknown");
    assert!(because.contains("launch-template:own"), "{because}");
    let name = "arn:aws:autoscaling:eu-west-1:111122223333:autoScalingGroup:0a1b:autoScalingGroupName/";
    assert_eq!(ask(&unlabelled, scaling(&format!("{name}own")), tags.clone()).0, "unknown");
    assert_eq!(ask(&unlabelled, scaling(&format!("{name}down")), tags).0, "no");
}

#[test]
fn services_have_a_second_name_in_china_and_nowhere_else() {
    for (partition, service, wanted) in [
        ("aws-cn", "lambda.amazonaws.com.cn", "yes"),
        ("aws-cn", "lambda.amazonaws.com", "yes"),
        ("aws", "lambda.amazonaws.com.cn", "no"),
    ] {
        let change = |_: &str, v: Value| {
            let text = v.to_string().replace("lambda.amazonaws.com", service);
            Some(serde_json::from_str(&text.replace("arn:aws:", &format!("arn:{partition}:"))).unwrap())
        };
        let target = text(&repo("testdata/techniques/aws-passrole-compute/fires.aws.json"));
        let names: Vec<&str> = target.split("\"RoleName\": \"").skip(1).filter_map(|p| p.split('"').next()).collect();
        let to = names.iter().find(|n| **n != "app").unwrap();
        let (answer, _) = asked("aws-passrole-compute", &change, "role:app", &format!("role:{to}"));
        assert_eq!(answer, wanted, "{partition} {service}");
    }
}

#[test]
fn an_entry_that_was_not_described_may_be_anything_though_its_policies_were_listed() {
    let whole = asked("aws-access-entry", &|_, v| Some(v), "role:app", "cluster-admin");
    assert_eq!(whole.0, "yes", "{whole:?}");
    let without = |name: &str, v: Value| (!name.starts_with("eks-describe-access-entry")).then_some(v);
    let (answer, because) = asked("aws-access-entry", &without, "role:app", "cluster-admin");
    assert_eq!(answer, "unknown");
    assert!(because.contains("access-entry"), "{because}");
}

#[test]
fn a_cluster_whose_nodes_are_elsewhere_is_perhaps_another() {
    let nodes = |id: &'static str| {
        move |name: &str, v: Value| match name {
            "ec2-describe-instances" => {
                Some(json!({"Reservations": [{"Instances": [{"InstanceId": id, "PrivateDnsName": "w1"}]}]}))
            }
            _ => Some(v),
        }
    };
    let with = asked("aws-ssm-to-node", &nodes("i-1"), "pod/prod/app", "role:app");
    assert_eq!(with.0, "yes", "{with:?}");
    let (answer, because) = asked("aws-ssm-to-node", &nodes("i-2"), "pod/prod/app", "role:app");
    assert_eq!(answer, "unknown");
    assert!(because.contains("eks-cluster:prod"), "{because}");
}

#[test]
fn an_organization_without_service_control_policies_denies_nothing() {
    let dir = copy_of_demo();
    let write = |call: &str, answer: Value| {
        std::fs::write(dir.path().join("aws").join(format!("{call}.json")), answer.to_string()).unwrap();
    };
    let (account, root) = ("111122223333", "r-1");
    let organization = json!({"Organization": {"Id": "o-1", "MasterAccountId": "999988887777"}});
    write("organizations-describe-organization", organization);
    write(&format!("organizations-list-parents-{account}"), json!({"Parents": [{"Id": root, "Type": "ROOT"}]}));
    for at in [account, root] {
        for kind in ["SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"] {
            write(&format!("organizations-list-policies-for-target-{at}-{kind}"), json!({"Policies": []}));
        }
    }
    let ask = || {
        let folder = dir.path().to_str().unwrap();
        let (_, out, err) = kpath(&["can", "internet", "reach", "kms/card-data", "--complete", "-f", folder]);
        out.lines().next().unwrap_or(&err).to_owned()
    };
    assert!(ask().starts_with("yes"), "{}", ask());
    // Where they are on and allow nothing, nothing is allowed.
    write(
        &format!("organizations-list-policies-for-target-{root}-SERVICE_CONTROL_POLICY"),
        json!({"Policies": [{"Id": "p-1"}]}),
    );
    let content =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]});
    write(
        "organizations-describe-policy-p-1",
        json!({"Policy": {"PolicySummary": {"Id": "p-1"}, "Content": content.to_string()}}),
    );
    assert!(ask().starts_with("no"), "{}", ask());
}
