//! kpath against moto, a double of AWS. `scripts/aws-double` starts it and runs this; `cargo test` alone leaves it out.
//!
//! moto knows neither access entries nor Pod Identity: those, and every page and fault, are tests with a server of our own
//! (`tests/it/aws_live.rs`).

use std::io::{Read, Write};
use std::process::Command;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use kpath::model::cloud::CloudObject;
use kpath::snapshot::{Snapshot, file};
use serde_json::{Value, json};

const ISSUER: &str = "oidc.eks.us-east-1.amazonaws.com/id/DOUBLE";

/// The value of a secret: it must be nowhere.
const VALUE: &str = "correct-horse-battery";

fn url() -> String {
    std::env::var("KPATH_AWS_DOUBLE").expect("run scripts/aws-double")
}

async fn config() -> SdkConfig {
    let keys = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(url())
        .http_client(kpath::collect::aws::http_client())
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .load()
        .await
}

fn policy(statements: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// What the account has: the id of its key.
async fn fill(config: &SdkConfig) -> String {
    let iam = aws_sdk_iam::Client::new(config);
    let all = policy(json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}]));
    let limits = iam.create_policy().policy_name("limits").policy_document(&all).send().await.unwrap();
    let limits = limits.policy().unwrap().arn().unwrap().to_owned();
    let thumb = "990f4193972f2becf12ddeda5237f9c952f20d9e";
    let provider =
        iam.create_open_id_connect_provider().url(format!("https://{ISSUER}")).client_id_list("sts.amazonaws.com");
    provider.thumbprint_list(thumb).send().await.unwrap();
    let sub = format!("{ISSUER}:sub");
    let trust = policy(json!([{
        "Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity",
        "Principal": {"Federated": format!("arn:aws:iam::123456789012:oidc-provider/{ISSUER}")},
        "Condition": {"StringEquals": {sub: "system:serviceaccount:prod:web"}},
    }]));
    let role = iam.create_role().role_name("app").path("/team/").assume_role_policy_document(trust);
    role.permissions_boundary(&limits).send().await.unwrap();
    let ec2 =
        policy(json!([{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]));
    iam.create_role().role_name("nodes").assume_role_policy_document(ec2).send().await.unwrap();
    iam.create_instance_profile().instance_profile_name("nodes").send().await.unwrap();
    iam.add_role_to_instance_profile().instance_profile_name("nodes").role_name("nodes").send().await.unwrap();
    iam.create_user().user_name("dev").send().await.unwrap();
    iam.create_group().group_name("devs").send().await.unwrap();
    iam.add_user_to_group().user_name("dev").group_name("devs").send().await.unwrap();
    let reader = "arn:aws:iam::aws:policy/ReadOnlyAccess";
    iam.attach_group_policy().group_name("devs").policy_arn(reader).send().await.unwrap();

    let kms = aws_sdk_kms::Client::new(config);
    let root = policy(
        json!([{"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}]),
    );
    let key = kms.create_key().policy(root).send().await.unwrap();
    let key = key.key_metadata().unwrap();
    let decrypt = policy(json!([{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key.arn()}]));
    iam.put_role_policy().role_name("app").policy_name("decrypt").policy_document(decrypt).send().await.unwrap();
    let grant = kms.create_grant().key_id(key.key_id()).grantee_principal("arn:aws:iam::123456789012:role/nodes");
    grant.operations(aws_sdk_kms::types::GrantOperation::Decrypt).send().await.unwrap();

    let s3 = aws_sdk_s3::config::Builder::from(config).force_path_style(true).build();
    let s3 = aws_sdk_s3::Client::from_conf(s3);
    for name in ["data", "plain"] {
        s3.create_bucket().bucket(name).send().await.unwrap();
    }
    let open = policy(
        json!([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data/*", "Principal": "*"}]),
    );
    s3.put_bucket_policy().bucket("data").policy(open).send().await.unwrap();
    let block = aws_sdk_s3::types::PublicAccessBlockConfiguration::builder().restrict_public_buckets(true).build();
    s3.put_public_access_block().bucket("data").public_access_block_configuration(block).send().await.unwrap();

    let secrets = aws_sdk_secretsmanager::Client::new(config);
    secrets.create_secret().name("prod/db").secret_string(VALUE).send().await.unwrap();

    let organizations = aws_sdk_organizations::Client::new(config);
    organizations.create_organization().send().await.unwrap();

    let eks = aws_sdk_eks::Client::new(config);
    let network = aws_sdk_eks::types::VpcConfigRequest::builder().build();
    let cluster = eks.create_cluster().name("double").role_arn("arn:aws:iam::123456789012:role/nodes");
    cluster.resources_vpc_config(network).send().await.unwrap();
    run_instances();
    key.key_id().to_owned()
}

/// EC2 without its crate: moto does not look at signatures.
fn run_instances() {
    let body = "Action=RunInstances&Version=2016-11-15&ImageId=ami-12c6146b&MinCount=2&MaxCount=2&IamInstanceProfile.Name=nodes&MetadataOptions.HttpTokens=required&MetadataOptions.HttpPutResponseHopLimit=1&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=kubernetes.io/cluster/double&TagSpecification.1.Tag.1.Value=owned";
    let host = url().trim_start_matches("http://").to_owned();
    let mut stream = std::net::TcpStream::connect(&host).unwrap();
    let scope =
        "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {host}\r\nAuthorization: {scope}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn of<'s>(snapshot: &'s Snapshot, kind: &str) -> Vec<&'s CloudObject> {
    snapshot.objects.cloud.iter().filter(|o| o.kind() == kind).collect()
}

#[test]
fn an_account_is_read_and_answers_questions() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let key = runtime.block_on(async { fill(&config().await).await });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("double.kpath");
    let kpath = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kpath"));
        command.args(args).env_clear().env("HOME", dir.path()).env("AWS_ENDPOINT_URL", url());
        command.env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE").env("AWS_SECRET_ACCESS_KEY", "secret");
        let output = command.output().unwrap();
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let cluster = dir.path().join("cluster.yaml");
    std::fs::write(&cluster, "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod}\n").unwrap();
    let cluster = cluster.to_str().unwrap();
    let live = ["-f", cluster, "--aws", "--aws-region", "us-east-1"];
    let saved = [&["snapshot", "--output", path.to_str().unwrap()], live.as_slice()].concat();
    let (code, _, err) = kpath(&saved);
    assert_eq!(code, Some(0), "{err}");
    let s = file::read(&path).unwrap();

    let role = *of(&s, "IamRole").iter().find(|o| o.metadata.name == "app").unwrap();
    assert_eq!(role.text("Arn"), "arn:aws:iam::123456789012:role/team/app");
    assert_eq!(role.spec["AssumeRolePolicyDocument"]["Statement"][0]["Action"], "sts:AssumeRoleWithWebIdentity");
    assert_eq!(role.spec["InlinePolicies"]["decrypt"]["Statement"][0]["Action"], "kms:Decrypt");
    let boundary = role.spec["PermissionsBoundary"]["PermissionsBoundaryArn"].as_str().unwrap();
    let policies = of(&s, "IamPolicy");
    assert!(policies.iter().any(|p| p.text("Arn") == boundary && p.spec["Document"].is_object()), "the boundary");
    assert!(policies.iter().any(|p| p.text("Arn").ends_with("/ReadOnlyAccess") && p.spec["Document"].is_object()));
    assert_eq!(of(&s, "IamUser")[0].spec["GroupList"], json!(["devs"]));
    let profile = of(&s, "IamInstanceProfile")[0];
    assert_eq!(profile.spec["Roles"], json!(["arn:aws:iam::123456789012:role/nodes"]));
    let provider = of(&s, "OpenIDConnectProvider")[0];
    assert_eq!((provider.text("Url"), &provider.spec["ClientIDList"]), (ISSUER, &json!(["sts.amazonaws.com"])));

    let own = *of(&s, "KmsKey").iter().find(|o| o.metadata.name == key).unwrap();
    assert_eq!(own.spec["Policy"]["Statement"][0]["Action"], "kms:*");
    assert_eq!(own.spec["Grants"][0]["Operations"], json!(["Decrypt"]));
    assert_eq!(own.text("KeyState"), "Enabled");
    let buckets = of(&s, "S3Bucket");
    let names: Vec<&str> = buckets.iter().map(|b| b.metadata.name.as_str()).collect();
    assert_eq!(names, ["data", "plain"]);
    assert_eq!(buckets[0].spec["Policy"]["Statement"][0]["Action"], "s3:GetObject");
    assert_eq!(buckets[0].spec["PublicAccessBlockConfiguration"]["RestrictPublicBuckets"], true);
    assert_eq!(buckets[1].spec["Policy"], json!({"Statement": []}), "read, and there is none");
    assert_eq!(of(&s, "SecretsManagerSecret")[0].metadata.name, "prod/db");
    assert_eq!(of(&s, "Organization")[0].text("MasterAccountId"), "123456789012");
    assert_eq!(of(&s, "EksCluster")[0].metadata.name, "double");
    let instances = of(&s, "Ec2Instance");
    assert_eq!(instances.len(), 2);
    assert_eq!(instances[0].spec["MetadataOptions"]["HttpTokens"], "required");
    assert_eq!(instances[0].spec["Tags"][0], json!({"Key": "kubernetes.io/cluster/double", "Value": "owned"}));

    // What moto lacks is a gap each, and nothing else is.
    for gap in &s.gaps {
        assert!(gap.reason.contains("eks:") || !gap.id.contains('-'), "{gap:?}");
    }
    let all = s.objects.cloud.iter().map(|o| serde_json::to_string(o).unwrap()).collect::<String>();
    assert!(!all.contains(VALUE), "a value was kept");

    // The account that manages the organization is bound by no policy above it: nothing is open.
    let target = format!("kms/{key}");
    let ask = [&["can", "role:app", "reach", &target, "--complete", "-o", "json"], live.as_slice()].concat();
    let (code, out, err) = kpath(&ask);
    assert_eq!(code, Some(0), "{err}");
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["answer"], "yes", "{out}");
    let ask = [&["can", "role:nodes", "reach", "bucket/plain", "--complete", "-o", "json"], live.as_slice()].concat();
    let answer: Value = serde_json::from_str(&kpath(&ask).1).unwrap();
    // Nothing leads there, as far as was read; moto has no access entries to tell.
    assert_eq!(answer["answer"], "unknown", "{answer}");
    assert!(answer["unknownBecause"].to_string().contains("unread:eks-list-access-entries-double"), "{answer}");
}
