//! AWS from saved answers: keys behind services, buckets, volumes and repositories, who made a cluster, other accounts.

use serde_json::{Value, json};

use crate::aws::{ask, asked, changed, dump, kpath};
use crate::support::{account_of, repo, text};

/// What Secrets Manager decrypts with a key of the account is read by who may use that key through the service: the same
/// principal, and no other for it.
#[test]
fn a_secret_takes_its_key_through_the_service() {
    let ask = |condition: &str, principal: &str| {
        let change = |name: &str, mut v: Value| {
            if name == "secretsmanager-list-secrets" {
                v["SecretList"][0]["KmsKeyId"] = "arn:aws:kms:eu-west-1:111122223333:key/k-1".into();
            }
            Some(v)
        };
        let dir = tempfile::tempdir().unwrap();
        let fixture = repo("testdata/techniques/aws-secretsmanager-read/fires.yaml");
        std::fs::write(dir.path().join("cluster.yaml"), text(&fixture)).unwrap();
        std::fs::create_dir(dir.path().join("aws")).unwrap();
        let mut all: Vec<(String, Value)> = account_of(&fixture)
            .into_iter()
            .map(|(call, v)| {
                let name = call.trim_start_matches("aws/").trim_end_matches(".json").to_owned();
                let v = change(&name, serde_json::from_str(&v).unwrap()).unwrap();
                (name, v)
            })
            .collect();
        let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Principal": {"AWS": principal},
            "Condition": {"StringEquals": {"kms:ViaService": condition}},
        }]});
        let key =
            serde_json::json!({"Keys": [{"KeyId": "k-1", "KeyArn": "arn:aws:kms:eu-west-1:111122223333:key/k-1"}]});
        all.push(("kms-list-keys".into(), key));
        all.push(("kms-get-key-policy-k-1".into(), serde_json::json!({"Policy": policy})));
        all.push(("kms-list-grants-k-1".into(), serde_json::json!({"Grants": []})));
        for (name, v) in all {
            std::fs::write(dir.path().join(format!("aws/{name}.json")), v.to_string()).unwrap();
        }
        let f = dir.path().to_str().unwrap().to_owned();
        ask(&["pod/prod/app", "reach", "cloud-secret/*", "-f", &f])["answer"].as_str().unwrap().to_owned()
    };
    let app = "arn:aws:iam::111122223333:role/app";
    assert_eq!(ask("secretsmanager.eu-west-1.amazonaws.com", app), "yes");
    assert_eq!(ask("s3.eu-west-1.amazonaws.com", app), "no");
    // Another principal that may decrypt is of no use to this one.
    assert_eq!(ask("secretsmanager.eu-west-1.amazonaws.com", "arn:aws:iam::111122223333:role/other"), "no");
}

/// A policy that lets everyone read is open to the internet, unless the bucket is closed to the public, or its content is
/// encrypted with a key of the account.
#[test]
fn a_public_bucket_is_read_from_the_internet() {
    let ask = |more: Value| {
        let dir = tempfile::tempdir().unwrap();
        let fixture = repo("testdata/techniques/aws-s3-read/fires.yaml");
        std::fs::write(dir.path().join("cluster.yaml"), text(&fixture)).unwrap();
        std::fs::create_dir(dir.path().join("aws")).unwrap();
        let policy = serde_json::json!({"Policy": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::site/*"}]}});
        let mut answers = serde_json::json!({
            "sts-get-caller-identity": {"Account": "111122223333"},
            "organizations-describe-organization": {"Organization": {}},
            "s3api-list-buckets": {"Buckets": [{"Name": "site"}]},
            "s3api-get-bucket-policy-site": policy,
        });
        answers.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for (name, v) in answers.as_object().unwrap() {
            std::fs::write(dir.path().join(format!("aws/{name}.json")), v.to_string()).unwrap();
        }
        let v = ask(&["internet", "reach", "bucket/site", "-f", dir.path().to_str().unwrap()]);
        (v["answer"].as_str().unwrap().to_owned(), v["unknownBecause"].to_string())
    };
    // The switch of the whole account is not among the answers.
    let (answer, because) = ask(serde_json::json!({}));
    assert!(answer == "unknown" && because.contains("s3control-get-public-access-block"), "{answer} {because}");
    let closed = serde_json::json!({"s3api-get-public-access-block-site":
        {"PublicAccessBlockConfiguration": {"RestrictPublicBuckets": true}}});
    assert_eq!(ask(closed).0, "no");
    let encrypted = serde_json::json!({"s3api-get-bucket-encryption-site": {"ServerSideEncryptionConfiguration": {"Rules":
        [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:eu-west-1:111122223333:key/k-1"}}]}}});
    assert_eq!(ask(encrypted).0, "no");
}

/// In the mode that knows the ConfigMap alone nobody can see who made the cluster: anybody who was there before, but for
/// roles that nothing but its own tokens are trusted for.
#[test]
fn who_made_a_cluster_is_not_known_where_the_config_map_counts_alone() {
    let change = |mode: &'static str, made: &'static str| {
        move |name: &str, mut v: Value| {
            if name.starts_with("eks-describe-cluster-") {
                v["cluster"]["accessConfig"]["authenticationMode"] = mode.into();
                v["cluster"]["createdAt"] = made.into();
            }
            if name == "iam-get-account-authorization-details" {
                v["UserDetailList"] = json!([{"UserName": "founder", "Arn": "arn:aws:iam::111122223333:user/founder",
                    "CreateDate": "2024-01-01T00:00:00Z", "UserPolicyList": [], "GroupList": [], "AttachedManagedPolicies": []}]);
            }
            Some(v)
        }
    };
    let later = "2025-06-01T00:00:00Z";
    let ask = |mode, made, from: &str| asked("aws-irsa", &change(mode, made), from, "cluster-admin");
    let (answer, because) = ask("CONFIG_MAP", later, "role:founder");
    assert!(answer == "unknown" && because.contains("eks-cluster-creator:prod"), "{answer} {because}");
    assert_eq!(ask("CONFIG_MAP", "2023-01-01T00:00:00Z", "role:founder").0, "no");
    assert_eq!(ask("CONFIG_MAP", later, "pod/prod/app").0, "no");
    assert_eq!(ask("API_AND_CONFIG_MAP", later, "role:founder").0, "no");
}

/// Without an answer about the cluster, its own ConfigMap says that it may be one of EKS; nothing else does.
#[test]
fn the_config_map_is_written_by_who_may_where_it_may_count() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = text(&repo("testdata/techniques/aws-auth-config/fires.yaml"));
    let ask = |objects: &str| {
        std::fs::write(dir.path().join("cluster.yaml"), objects).unwrap();
        let f = dir.path().to_str().unwrap();
        let v = ask(&["sa/prod/editor", "reach", "cluster-admin", "-f", f]);
        (v["answer"].as_str().unwrap().to_owned(), v["unknownBecause"].to_string())
    };
    let (answer, because) = ask(&fixture);
    assert!(answer == "unknown" && because.contains("unread:eks-describe-cluster"), "{answer} {because}");
    assert_eq!(ask(&fixture.replace("resourceNames: [aws-auth]", "resourceNames: [other]")).0, "no");
    // To make one takes another verb than to change one.
    let without = fixture
        .replace("metadata: {name: aws-auth, namespace: kube-system}", "metadata: {name: x, namespace: kube-system}");
    let labelled =
        without.replace("metadata: {name: w1}", "metadata: {name: w1, labels: {eks.amazonaws.com/nodegroup: a}}");
    let made = labelled.replace("verbs: [get, patch], resourceNames: [aws-auth]", "verbs: [create]");
    assert_eq!(ask(&without).0, "no");
    assert_eq!(ask(&labelled).0, "no");
    assert_eq!(ask(&made).0, "unknown");
}

/// A task, a function, a build: without a list every role that the service takes may be the one.
#[test]
fn what_runs_with_a_role_is_taken_from_its_list_or_left_open() {
    let dir = tempfile::tempdir().unwrap();
    dump("aws-existing-compute", dir.path(), &dir.path().join("aws"));
    std::fs::remove_file(dir.path().join("aws/lambda-list-functions.json")).unwrap();
    let f = dir.path().to_str().unwrap();
    let (_, out, _) = kpath(&["can", "pod/prod/app", "reach", "role:worker", "-f", f, "-o", "json"]);
    let v: Value = serde_json::from_str(&out).unwrap();
    assert!(v["unknownBecause"].to_string().contains("unread:lambda-list-functions"), "{v}");
    assert_eq!(v["answer"], "unknown");
    assert_eq!(asked("aws-existing-compute", &|_, v| Some(v), "pod/prod/app", "role:worker").0, "yes");
}

/// Another account beside that of the cluster, in a folder that is named by it: roles of the same name are other roles, its
/// own organization and its own administrators count there.
#[test]
fn an_account_beside_the_clusters_is_reached_by_roles_that_trust_it() {
    const OTHER: &str = "444455556666";
    let admin = format!("arn:aws:iam::{OTHER}:role/app");
    let key = format!("arn:aws:kms:eu-west-1:{OTHER}:key/k-9");
    let policy = |actions: Value, resource: &str| {
        json!([{"PolicyName": "p", "PolicyDocument": {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}}])
    };
    let ask = |trusted: &str, may: Value, organization: Value, to: &str| {
        let dir = tempfile::tempdir().unwrap();
        let fixture = repo("testdata/techniques/aws-irsa/fires.yaml");
        std::fs::write(dir.path().join("cluster.yaml"), text(&fixture)).unwrap();
        std::fs::create_dir_all(dir.path().join("aws").join(OTHER)).unwrap();
        for (call, v) in account_of(&fixture) {
            let mut v: Value = serde_json::from_str(&v).unwrap();
            if call.contains("account-authorization-details") {
                v["RoleDetailList"][0]["RolePolicyList"] = policy(json!("sts:AssumeRole"), &admin);
            }
            std::fs::write(dir.path().join(call), v.to_string()).unwrap();
        }
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": trusted}}]});
        let root = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": {"AWS": format!("arn:aws:iam::{OTHER}:root")}}]});
        for (call, v) in [
            ("sts-get-caller-identity", json!({"Account": OTHER})),
            ("organizations-describe-organization", organization),
            (
                "iam-get-account-authorization-details",
                json!({"RoleDetailList": [{"RoleName": "app", "Arn": admin, "AssumeRolePolicyDocument": trust,
                    "RolePolicyList": policy(may, "*"), "AttachedManagedPolicies": []}],
                    "UserDetailList": [], "GroupDetailList": [], "Policies": []}),
            ),
            ("kms-list-keys", json!({"Keys": [{"KeyId": "k-9", "KeyArn": key}]})),
            ("kms-get-key-policy-k-9", json!({"Policy": root})),
            ("kms-list-grants-k-9", json!({"Grants": []})),
        ] {
            std::fs::write(dir.path().join(format!("aws/{OTHER}/{call}.json")), v.to_string()).unwrap();
        }
        let v = ask(&["pod/prod/app", "reach", to, "-f", dir.path().to_str().unwrap()]);
        (v["answer"].as_str().unwrap().to_owned(), v["unknownBecause"].to_string())
    };
    let app = "arn:aws:iam::111122223333:role/app";
    let none = || json!({"Organization": {}});
    let decrypt = || json!("kms:Decrypt");
    let role = format!("role:{admin}");
    assert_eq!(ask(app, decrypt(), none(), &role).0, "yes");
    assert_eq!(ask("arn:aws:iam::111122223333:role/other", decrypt(), none(), &role).0, "no");
    assert_eq!(ask(app, decrypt(), none(), &format!("kms/{key}")).0, "yes");
    assert_eq!(ask(app, json!("kms:Encrypt"), none(), &format!("kms/{key}")).0, "no");
    // Its administrators have what is in it, and nothing of the account of the cluster.
    assert_eq!(ask(app, json!("iam:PutRolePolicy"), none(), &format!("kms/{key}")).0, "yes");
    assert_eq!(ask(app, json!("iam:PutRolePolicy"), none(), "account-admin").0, "no");
    // What is above that account was not read whole.
    let organized = json!({"Organization": {"Id": "o-1", "MasterAccountId": "999999999999"}});
    let (answer, because) = ask(app, decrypt(), organized, &format!("kms/{key}"));
    assert!(
        answer == "unknown" && because.contains(&format!("organizations-list-parents-{OTHER}")),
        "{answer} {because}"
    );
}

/// A repository is one of an account and a region; tags that are fixed are moved by who may unfix them.
#[test]
fn a_repository_is_pushed_to_where_its_images_come_from() {
    let image = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
    let ask = |host: &str, tags: &str, more: &[&str]| {
        let objects = |o: String| o.replace(image, host);
        let change = |name: &str, mut v: Value| {
            match name {
                "ecr-describe-repositories" => v["repositories"][0]["imageTagMutability"] = tags.into(),
                "iam-get-account-authorization-details" => {
                    let s =
                        &mut v["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"]["Statement"][0]["Action"];
                    s.as_array_mut().unwrap().extend(more.iter().map(|a| Value::from(*a)));
                }
                _ => {}
            }
            Some(v)
        };
        changed("aws-ecr-push", &objects, &change, "pod/prod/app", &format!("image/{host}/shop/app"))
    };
    assert_eq!(ask(image, "MUTABLE", &[]).0, "yes");
    assert_eq!(ask(image, "IMMUTABLE", &[]).0, "no");
    assert_eq!(ask(image, "IMMUTABLE", &["ecr:BatchDeleteImage"]).0, "yes");
    assert!(ask(image, "IMMUTABLE_WITH_EXCLUSION", &[]).1.contains("ecr-tags-mutable"));
    // The same name in another account, and in another region, is another repository.
    assert_eq!(ask("999988887777.dkr.ecr.eu-west-1.amazonaws.com", "MUTABLE", &[]).0, "no");
    let (answer, because) = ask("111122223333.dkr.ecr.us-east-1.amazonaws.com", "IMMUTABLE", &[]);
    assert!(answer == "unknown" && because.contains("ecr-"), "{answer} {because}");
}

/// Volumes that a key encrypts are read by who may use the key, or may rewrite its policy; sharing them is of no use.
#[test]
fn a_volume_is_copied_in_the_way_that_its_encryption_leaves() {
    let ask = |encrypted: bool, actions: &[&str]| {
        let change = |name: &str, mut v: Value| {
            match name {
                "ec2-describe-volumes" => {
                    v["Volumes"][0]["Encrypted"] = encrypted.into();
                    v["Volumes"][0]["KmsKeyId"] = "arn:aws:kms:eu-west-1:111122223333:key/k1".into();
                }
                "iam-get-account-authorization-details" => {
                    let s = &mut v["RoleDetailList"][0]["RolePolicyList"][0]["PolicyDocument"]["Statement"];
                    *s = json!([{"Effect": "Allow", "Action": actions, "Resource": "*"}]);
                }
                _ => {}
            }
            Some(v)
        };
        asked("aws-ebs-snapshot", &change, "pod/prod/app", "volume/vol-1").0
    };
    let (create, share, list, get) =
        ("ec2:CreateSnapshot", "ec2:ModifySnapshotAttribute", "ebs:ListSnapshotBlocks", "ebs:GetSnapshotBlock");
    assert_eq!(ask(false, &[create, share]), "yes");
    assert_eq!(ask(false, &[create, list, get]), "yes");
    assert_eq!(ask(false, &[create, get]), "no");
    assert_eq!(ask(false, &[share, list, get]), "no");
    assert_eq!(ask(true, &[create, share, "kms:Decrypt"]), "no");
    assert_eq!(ask(true, &[create, list, get]), "no");
    assert_eq!(ask(true, &[create, list, get, "kms:Decrypt"]), "yes");
    assert_eq!(ask(true, &[create, list, get, "kms:PutKeyPolicy"]), "yes");
    // An administrator of the account has them all.
    assert_eq!(ask(true, &["iam:PutRolePolicy"]), "yes");
}

/// The API server that was asked is that of one cluster, whatever else is in the account.
#[test]
fn a_live_cluster_is_the_one_whose_endpoint_was_asked() {
    let fixture = repo("testdata/techniques/aws-access-entry/fires.yaml");
    let verdict = |server: &str| {
        let mut answers = account_of(&fixture);
        for (call, v) in &mut answers {
            *v = v.replace(
                "\"name\":\"prod\"",
                "\"name\":\"prod\",\"endpoint\":\"https://ABC.gr7.eu-west-1.eks.amazonaws.com\"",
            );
            assert!(!call.contains("describe-cluster-prod") || v.contains("ABC.gr7"), "{v}");
        }
        let other = json!({"cluster": {"name": "other", "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/other",
            "endpoint": "https://DEF.gr7.eu-west-1.eks.amazonaws.com", "accessConfig": {"authenticationMode": "API"}}});
        answers.push(("aws/eks-describe-cluster-other.json".into(), other.to_string()));
        answers.push(("aws/eks-list-access-entries-other.json".into(), json!({"accessEntries": []}).to_string()));
        let texts: Vec<_> = [("cluster.yaml".to_owned(), text(&fixture))].into_iter().chain(answers).collect();
        let mut snapshot = crate::support::snapshot_of(&texts);
        snapshot.source.server = server.to_owned();
        let cluster = snapshot.into_cluster(&kpath::snapshot::ClusterOptions { complete: true, version: None });
        let attack = kpath::rules::build(&cluster);
        let pick = |s: &str| kpath::query::selector::resolve(&attack, &cluster, s, false).unwrap();
        let question = kpath::report::answer::Question::new();
        let (from, to) = (pick("pod/prod/app"), pick("cluster-admin"));
        kpath::report::answer::ask(&attack, &cluster, &question, &from, &to, 1).answer
    };
    use kpath::report::answer::Verdict;
    assert_eq!(verdict(""), Verdict::Unknown);
    assert_eq!(verdict("ABC.gr7.eu-west-1.eks.amazonaws.com"), Verdict::Yes);
    assert_eq!(verdict("DEF.gr7.eu-west-1.eks.amazonaws.com"), Verdict::No);
    assert_eq!(verdict("10.0.0.1"), Verdict::Unknown);
}

/// A key that may not be looked at may be switched off.
#[test]
fn a_key_whose_state_was_refused_is_perhaps_not_usable() {
    let fixture = repo("testdata/techniques/aws-kms-decrypt/fires.yaml");
    let verdict = |refused: bool| {
        let texts: Vec<_> =
            [("cluster.yaml".to_owned(), text(&fixture))].into_iter().chain(account_of(&fixture)).collect();
        let mut snapshot = crate::support::snapshot_of(&texts);
        let gap = kpath::model::Gap { id: "unread:kms-describe-key-other".into(), ..kpath::model::Gap::default() };
        snapshot.gaps.extend(refused.then_some(gap));
        let cluster = snapshot.into_cluster(&kpath::snapshot::ClusterOptions { complete: true, version: None });
        let attack = kpath::rules::build(&cluster);
        let pick = |s: &str| kpath::query::selector::resolve(&attack, &cluster, s, false).unwrap();
        let question = kpath::report::answer::Question::new();
        let a = kpath::report::answer::ask(&attack, &cluster, &question, &pick("pod/prod/app"), &pick("kms/k-1"), 1);
        let ids: Vec<String> = a.unknown_because.iter().map(|m| m.id.clone()).collect();
        ids.join(" ")
    };
    assert_eq!((verdict(false).as_str(), verdict(true).as_str()), ("", "unread:kms-describe-key-k-1"));
}
