//! The account read live, from a server of our own that speaks the protocols of AWS: pages, faults and refusals included.

use std::collections::BTreeMap;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use indicatif::ProgressBar;
use kpath::snapshot::Snapshot;
use serde_json::{Value, json};

use crate::server::{Reply, Server};
use crate::support::{repo, text};

fn config(url: &str) -> SdkConfig {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let keys = Credentials::new("AKIAEXAMPLE", "secret", None, None, "test");
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-west-1"))
        .endpoint_url(url)
        .http_client(kpath::collect::aws::http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .credentials_provider(SharedCredentialsProvider::new(keys));
    runtime.block_on(loader.load())
}

fn read(config: &SdkConfig, cluster: Option<&str>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = kpath::collect::aws::http_client();
    let hidden = |_: &'static str| ProgressBar::hidden();
    runtime.block_on(kpath::collect::aws::read(config, http, cluster, &hidden, &mut snapshot));
    snapshot
}

fn answer(kind: &'static str, body: impl Into<Vec<u8>>) -> Reply {
    Reply::Whole(200, None, kind, body.into())
}

fn json_answer(body: &Value) -> Reply {
    answer("application/json", body.to_string())
}

/// What the JSON protocols and the XML ones answer to who may not.
fn denied(request: &str) -> Reply {
    if request.starts_with("iam ") || request.starts_with("sts ") {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not allowed</Message></Error></ErrorResponse>";
        return Reply::Whole(403, None, "text/xml", body.into());
    }
    if request.starts_with("ec2 ") {
        let body = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>not allowed</Message></Error></Errors></Response>";
        return Reply::Whole(403, None, "text/xml", body.into());
    }
    if request == "/"
        || request.starts_with("/?")
        || request.contains("?policy")
        || request.contains("publicAccessBlock")
        || request.contains("?encryption")
    {
        let body = "<Error><Code>AccessDenied</Code><Message>not allowed</Message></Error>";
        return Reply::Whole(403, None, "application/xml", body.into());
    }
    let kind = ("x-amzn-errortype", "AccessDeniedException".to_owned());
    Reply::Whole(
        403,
        Some(kind),
        "application/json",
        br#"{"__type":"AccessDeniedException","message":"not allowed"}"#.to_vec(),
    )
}

/// JSON as the XML of the Query protocol: lists are elements `member`.
fn xml(v: &Value) -> String {
    match v {
        Value::Object(map) => map.iter().map(|(k, v)| format!("<{k}>{}</{k}>", xml(v))).collect(),
        Value::Array(list) => list.iter().map(|v| format!("<member>{}</member>", xml(v))).collect(),
        Value::String(s) => s.replace('&', "&amp;").replace('<', "&lt;"),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The answer of an IAM or STS operation; policy documents are texts there.
fn query(operation: &str, result: &Value) -> Reply {
    fn documents(v: &mut Value) {
        match v {
            Value::Object(map) => map.iter_mut().for_each(|(k, v)| match k.as_str() {
                "AssumeRolePolicyDocument" | "PolicyDocument" | "Document" if v.is_object() => {
                    *v = v.to_string().bytes().map(|b| format!("%{b:02X}")).collect::<String>().into();
                }
                _ => documents(v),
            }),
            Value::Array(list) => list.iter_mut().for_each(documents),
            _ => {}
        }
    }
    let mut result = result.clone();
    documents(&mut result);
    let body =
        format!("<{operation}Response><{operation}Result>{}</{operation}Result></{operation}Response>", xml(&result));
    answer("text/xml", body)
}

/// Instances in the XML of EC2: its lists are elements `item`, its names begin small.
fn instances(saved: &Value) -> String {
    fn lower(name: &str) -> String {
        let name = match name {
            "Reservations" => "reservationSet",
            "Instances" => "instancesSet",
            "Tags" => "tagSet",
            "State" => "instanceState",
            other => other,
        };
        name[..1].to_ascii_lowercase() + &name[1..]
    }
    fn inside(v: &Value) -> String {
        match v {
            Value::Object(map) => map.iter().map(|(k, v)| format!("<{0}>{1}</{0}>", lower(k), inside(v))).collect(),
            Value::Array(list) => list.iter().map(|v| format!("<item>{}</item>", inside(v))).collect(),
            Value::String(s) => s.clone(),
            other => other.to_string(),
        }
    }
    inside(saved)
}

fn saved(name: &str) -> Value {
    serde_json::from_str(&text(&repo("testdata/clusters/payment-api/aws").join(name))).unwrap()
}

/// A server that gives the demo's account; what the demo does not have is denied.
fn account(request: &str) -> Reply {
    let form: BTreeMap<&str, &str> = request
        .split_once(' ')
        .map(|(_, body)| body.split('&').filter_map(|p| p.split_once('=')).collect())
        .unwrap_or_default();
    let of = |name: &str| form.get(name).copied().unwrap_or_default();
    match (request.split(' ').next().unwrap_or_default(), of("Action")) {
        ("sts", "GetCallerIdentity") => return query("GetCallerIdentity", &saved("sts-get-caller-identity.json")),
        ("iam", "GetAccountAuthorizationDetails") => {
            // Two pages: users and groups come with the second.
            let mut whole = saved("iam-get-account-authorization-details.json");
            let profile = saved("iam-get-instance-profile-shop-nodes.json")["InstanceProfile"].clone();
            let node =
                whole["RoleDetailList"].as_array_mut().unwrap().iter_mut().find(|r| r["RoleName"] == "shop-nodes");
            node.unwrap()["InstanceProfileList"] = json!([profile]);
            let roles = json!({"RoleDetailList": whole["RoleDetailList"], "IsTruncated": true, "Marker": "more"});
            let mut rest = whole;
            rest.as_object_mut().unwrap().remove("RoleDetailList");
            rest["IsTruncated"] = false.into();
            return query("GetAccountAuthorizationDetails", if of("Marker") == "more" { &rest } else { &roles });
        }
        ("iam", "ListOpenIDConnectProviders") => {
            return query("ListOpenIDConnectProviders", &saved("iam-list-open-id-connect-providers.json"));
        }
        ("iam", "GetOpenIDConnectProvider") => {
            let url = saved("iam-get-open-id-connect-provider-PAYMENTS.json");
            return query("GetOpenIDConnectProvider", &url);
        }
        ("ec2", "DescribeInstances") => {
            let whole = saved("ec2-describe-instances.json");
            let (first, second) = whole["Reservations"][0]["Instances"].as_array().unwrap().split_at(1);
            let more = of("NextToken") == "more+1%2F2".replace('+', "%2B");
            let part = if more { second } else { first };
            let next = if more { "" } else { "<nextToken>more+1/2</nextToken>" };
            let body = instances(&json!({"Reservations": [{"Instances": part}]}));
            return answer("text/xml", format!("<DescribeInstancesResponse>{body}{next}</DescribeInstancesResponse>"));
        }
        ("organizations", _) if request.contains("DescribeOrganization") => {
            return json_answer(&saved("organizations-describe-organization.json"));
        }
        ("kms", _) => {
            let name = ["ListKeys", "GetKeyPolicy", "ListGrants"]
                .into_iter()
                .find(|n| request.contains(&format!("TrentService.{n} ")));
            match name {
                Some("ListKeys") => return json_answer(&saved("kms-list-keys.json")),
                Some("GetKeyPolicy") => {
                    let mut v = saved("kms-get-key-policy-card-data.json");
                    if v["Policy"].is_object() {
                        v["Policy"] = v["Policy"].to_string().into();
                    }
                    return json_answer(&v);
                }
                Some("ListGrants") => return json_answer(&saved("kms-list-grants-card-data.json")),
                _ => {}
            }
        }
        ("secretsmanager", _) if request.contains("ListSecrets") => return json_answer(&json!({"SecretList": []})),
        _ => {}
    }
    let path = request.split('?').next().unwrap_or_default();
    let entry = |rest: &str| if rest.contains("ci-deploy") { "ci-deploy" } else { "shop-nodes" };
    match path.trim_start_matches("/clusters").trim_start_matches("/payments") {
        "" if path == "/clusters" => json_answer(&json!({"clusters": ["payments"]})),
        "" => json_answer(&saved("eks-describe-cluster-payments.json")),
        "/access-entries" => {
            // One entry a page.
            let all = saved("eks-list-access-entries-payments.json");
            let all = all["accessEntries"].as_array().unwrap();
            let at: usize = request.split_once("nextToken=").map_or(0, |(_, n)| n.parse().unwrap());
            let mut page = json!({"accessEntries": [all[at]]});
            if at + 1 < all.len() {
                page["nextToken"] = (at + 1).to_string().into();
            }
            json_answer(&page)
        }
        rest if rest.ends_with("/access-policies") => {
            json_answer(&saved(&format!("eks-list-associated-access-policies-{}.json", entry(rest))))
        }
        rest if rest.starts_with("/access-entries/") => {
            let mut v = saved(&format!("eks-describe-access-entry-{}.json", entry(rest)));
            // REST JSON has seconds.
            v["accessEntry"]["createdAt"] = json!(1_739_178_000);
            json_answer(&v)
        }
        "/pod-identity-associations" => json_answer(&json!({"associations": []})),
        "/" if request.contains("x-id=ListBuckets") => {
            let all = saved("s3api-list-buckets.json");
            let all = all["Buckets"]
                .as_array()
                .unwrap()
                .iter()
                .map(|b| format!("<Bucket><Name>{}</Name></Bucket>", b["Name"].as_str().unwrap()));
            let body: String = all.collect();
            answer(
                "application/xml",
                format!("<ListAllMyBucketsResult><Buckets>{body}</Buckets></ListAllMyBucketsResult>"),
            )
        }
        bucket if request.contains("?policy") => {
            let v = saved(&format!("s3api-get-bucket-policy-{}.json", bucket.trim_matches('/')));
            match v.get("Policy") {
                Some(Value::String(s)) => answer("application/json", s.clone()),
                Some(p) => answer("application/json", p.to_string()),
                None => {
                    let body = "<Error><Code>NoSuchBucketPolicy</Code><Message>none</Message></Error>";
                    Reply::Whole(404, None, "application/xml", body.into())
                }
            }
        }
        _ => denied(request),
    }
}

/// Objects without the calls that they came from, and without empty lists: the SDK does not tell them from none.
fn objects(snapshot: &Snapshot) -> BTreeMap<String, Value> {
    fn bare(v: &Value) -> Value {
        match v {
            Value::Object(m) => {
                let some = m
                    .iter()
                    .filter(|(k, v)| *k == "Grants" || *k == "Statement" || v.as_array().is_none_or(|a| !a.is_empty()));
                some.map(|(k, v)| (k.clone(), bare(v))).collect()
            }
            Value::Array(list) => list.iter().map(bare).collect(),
            other => other.clone(),
        }
    }
    let all = snapshot.objects.cloud.iter().filter(|o| o.kind() != "Call");
    all.map(|o| (format!("{}/{}", o.kind(), o.metadata.name), bare(&o.spec))).collect()
}

fn calls(snapshot: &Snapshot) -> Vec<&str> {
    let all = snapshot.objects.cloud.iter().filter(|o| o.kind() == "Call");
    all.map(|o| o.metadata.name.as_str()).collect()
}

/// The IAM action of a request.
fn action(request: &str) -> String {
    let (first, body) = request.split_once(' ').unwrap_or((request, ""));
    if let Some((_, rest)) = body.split_once("Action=") {
        return format!("{first}:{}", rest.split('&').next().unwrap());
    }
    if !body.is_empty() {
        let operation = body.split(' ').next().unwrap().rsplit('.').next().unwrap();
        return format!("{first}:{operation}");
    }
    let path: Vec<&str> = first.split('?').next().unwrap().trim_matches('/').split('/').collect();
    match path.as_slice() {
        [""] => "s3:ListAllMyBuckets",
        ["clusters"] => "eks:ListClusters",
        ["clusters", _] => "eks:DescribeCluster",
        ["clusters", _, "access-entries"] => "eks:ListAccessEntries",
        ["clusters", _, "access-entries", _] => "eks:DescribeAccessEntry",
        ["clusters", _, "access-entries", _, "access-policies"] => "eks:ListAssociatedAccessPolicies",
        ["clusters", _, "pod-identity-associations"] => "eks:ListPodIdentityAssociations",
        ["clusters", _, "pod-identity-associations", _] => "eks:DescribePodIdentityAssociation",
        ["clusters", _, "node-groups"] => "eks:ListNodegroups",
        ["clusters", _, "fargate-profiles"] => "eks:ListFargateProfiles",
        ["clusters", _, "addons"] => "eks:ListAddons",
        ["clusters", _, "capabilities"] => "eks:ListCapabilities",
        ["clusters", _, "capabilities", _] => "eks:DescribeCapability",
        [_] if first.contains("?policy") => "s3:GetBucketPolicy",
        [_] if first.contains("?encryption") => "s3:GetEncryptionConfiguration",
        [_] if first.contains("publicAccessBlock") => "s3:GetBucketPublicAccessBlock",
        other => panic!("{other:?}"),
    }
    .to_owned()
}

#[test]
fn a_live_account_is_the_same_as_its_saved_answers() {
    let server = Server::start(|request, _| account(request));
    let live = read(&config(&server.url), None);
    let offline = kpath::snapshot::import::reader::read(&repo("testdata/clusters/payment-api")).unwrap();
    let (live_objects, saved) = (objects(&live), objects(&offline));
    for (name, o) in &saved {
        assert_eq!(live_objects.get(name), Some(o), "{name}");
    }
    let more: Vec<&String> = live_objects.keys().filter(|k| !saved.contains_key(*k)).collect();
    assert!(more.is_empty(), "{more:?}");
    // Both pages of each list were read, and what was denied has a gap that names the action.
    let said = calls(&live);
    for call in ["iam-get-account-authorization-details", "eks-list-access-entries-payments", "ec2-describe-instances"]
    {
        assert!(said.contains(&call), "{call}");
    }
    let reasons: Vec<&str> = live.gaps.iter().map(|g| g.reason.as_str()).collect();
    for denied in ["eks:ListAddons", "kms:DescribeKey", "s3:GetBucketPublicAccessBlock"] {
        assert!(reasons.iter().any(|r| r.starts_with(&format!("denied: needs {denied}"))), "{denied}: {reasons:?}");
    }
    // Nothing is written, and nothing is asked for that the printed policy does not allow.
    for request in server.log.lock().unwrap().iter() {
        let action = action(request);
        assert!(kpath::collect::AWS_ACTIONS.contains(&action.as_str()), "{request}");
        let verb = action.split(':').nth(1).unwrap();
        assert!(["Get", "List", "Describe"].iter().any(|v| verb.starts_with(v)), "{request}");
    }
}

#[test]
fn each_service_that_refuses_is_a_gap_and_the_rest_goes_on() {
    let identity = |request: &str| request.starts_with("sts ").then(|| account(request));
    let server = Server::start(move |request, _| identity(request).unwrap_or_else(|| denied(request)));
    let snapshot = read(&config(&server.url), None);
    assert_eq!(objects(&snapshot).len(), 1, "the account alone is known");
    let gaps: Vec<&str> = snapshot.gaps.iter().map(|g| g.reason.split(" (").next().unwrap()).collect();
    let want = [
        "ec2:DescribeInstances",
        "eks:ListClusters",
        "iam:GetAccountAuthorizationDetails",
        "iam:ListOpenIDConnectProviders",
        "kms:ListKeys",
        "organizations:DescribeOrganization",
        "s3:ListAllMyBuckets",
        "secretsmanager:ListSecrets",
    ];
    assert_eq!(gaps, want.map(|a| format!("denied: needs {a}")));
}

#[test]
fn a_list_that_is_refused_leaves_a_no_open() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |server: &Server, to: &str| {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_kpath"))
            .args([
                "can",
                "pod/shop/redis",
                "reach",
                to,
                "--complete",
                "--aws",
                "--aws-region",
                "eu-west-1",
                "-o",
                "json",
            ])
            .args(["-f"])
            .arg(dir.path())
            .env_clear()
            .env("HOME", dir.path())
            .env("AWS_ENDPOINT_URL", &server.url)
            .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
        serde_json::from_slice::<Value>(&run.stdout).unwrap()
    };
    for file in ["cluster.yaml", "shop.yaml", "platform.yaml", "rbac.yaml"] {
        std::fs::copy(repo("testdata/clusters/payment-api").join(file), dir.path().join(file)).unwrap();
    }
    let whole = Server::start(|request, _| account(request));
    assert_eq!(ask(&whole, "cluster-admin")["answer"], "no");
    let cases = [
        ("GetAccountAuthorizationDetails", "cluster-admin", "iam-get-account-authorization-details"),
        ("ListOpenIDConnectProviders", "cluster-admin", "iam-list-open-id-connect-providers"),
        ("DescribeInstances", "cluster-admin", "ec2-describe-instances"),
        ("/access-entries?", "cluster-admin", "eks-list-access-entries-payments"),
        ("/pod-identity-associations", "cluster-admin", "eks-list-pod-identity-associations-payments"),
        ("/clusters", "cluster-admin", "eks-list-clusters"),
        ("ListKeys", "kms/card-data", "kms-list-keys"),
        ("GetAccountAuthorizationDetails", "role:payment-api", "iam-get-account-authorization-details"),
    ];
    for (refused, to, call) in cases {
        let server = Server::start(move |request, _| {
            let this = match refused {
                "/clusters" => request == "/clusters",
                "/access-entries?" => request.ends_with("/access-entries") || request.contains(refused),
                part => request.contains(part),
            };
            if this { denied(request) } else { account(request) }
        });
        let answer = ask(&server, to);
        assert_eq!(answer["answer"], "unknown", "{refused}: {answer}");
        assert!(answer["unknownBecause"].to_string().contains(&format!("unread:{call}")), "{refused}: {answer}");
    }
}

/// A cluster that EKS does not run: its nodes are instances, and no cluster is listed.
#[test]
fn an_account_without_clusters_leaves_a_no_only_where_the_nodes_are_not_found() {
    let gaps = |instances: bool| {
        let server = Server::start(move |request, _| match request {
            "/clusters" => json_answer(&json!({"clusters": []})),
            r if r.starts_with("ec2 ") && !instances => {
                answer("text/xml", "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>")
            }
            r => account(r),
        });
        let mut snapshot =
            kpath::snapshot::import::reader::read(&repo("testdata/clusters/payment-api/cluster.yaml")).unwrap();
        let live = read(&config(&server.url), None);
        snapshot.objects.cloud = live.objects.cloud;
        snapshot.read.extend(live.read);
        let cluster = snapshot.into_cluster(&kpath::snapshot::ClusterOptions::default());
        cluster.gaps.iter().map(|g| g.id.clone()).filter(|id| id.starts_with("unread:eks-")).collect::<Vec<_>>()
    };
    assert!(gaps(true).is_empty(), "{:?}", gaps(true));
    assert_eq!(gaps(false), ["unread:eks-describe-cluster"], "another region");
}

#[test]
fn a_named_profile_goes_before_keys_of_the_environment_and_what_its_program_says_is_not_kept() {
    let server = Server::start(|request, _| account(request));
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("config");
    let process = "sh -c 'echo the-password-is-hunter2 >&2; exit 1'";
    std::fs::write(&file, format!("[profile audit]\ncredential_process = {process}\n")).unwrap();
    let run = |profile: &[&str]| {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_kpath"))
            .args(["analyze", "--aws", "--aws-region", "eu-west-1", "-f"])
            .arg(repo("testdata/clusters/payment-api/cluster.yaml"))
            .args(profile)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home.path())
            .env("AWS_CONFIG_FILE", &file)
            .env("AWS_ENDPOINT_URL", &server.url)
            .env("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .output()
            .unwrap();
        let text = [run.stdout, run.stderr].map(|b| String::from_utf8(b).unwrap()).concat();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(!run(&[]).contains("the AWS account:"), "{}", run(&[]));
    let said = run(&["--aws-profile", "audit"]);
    assert!(said.contains("not read: the AWS account: sts:GetCallerIdentity failed"), "{said}");
    assert!(said.contains("name another profile") && !said.contains("hunter2"), "{said}");
}

#[test]
fn what_aws_asks_to_repeat_is_repeated() {
    let server = Server::start(|request, before| {
        let busy = |code: u16, kind: &'static str, body: &str| Reply::Whole(code, None, kind, body.into());
        match request {
            r if before == 0 && r == "/clusters" => {
                busy(429, "application/json", r#"{"__type":"ThrottlingException","message":"slow down"}"#)
            }
            r if before == 0 && r.starts_with("ec2 ") => {
                let body = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow down</Message></Error></Errors></Response>";
                busy(503, "text/xml", body)
            }
            r if before == 0 && (r.contains("ListKeys") || r.contains("NextToken")) => Reply::Reset,
            r => account(r),
        }
    });
    let snapshot = read(&config(&server.url), None);
    for call in ["eks-describe-cluster-payments", "ec2-describe-instances", "kms-list-keys"] {
        assert!(calls(&snapshot).contains(&call), "{call}: {:?}", snapshot.gaps);
    }
}

#[test]
fn a_page_that_fails_costs_the_list_and_broken_answers_cost_their_call() {
    let server = Server::start(|request, _| match request {
        r if r.contains("Marker=more") => denied(r),
        r if r.starts_with("ec2 ") => answer("text/xml", "<Describe"),
        r if r.contains("GetKeyPolicy") => json_answer(&json!({"Policy": 3})),
        r => account(r),
    });
    let snapshot = read(&config(&server.url), None);
    let said = calls(&snapshot);
    for call in ["iam-get-account-authorization-details", "ec2-describe-instances", "kms-get-key-policy-card-data"] {
        assert!(!said.contains(&call), "{call}");
        assert!(snapshot.gaps.iter().any(|g| g.id == format!("unread:{call}")), "{call}: {:?}", snapshot.gaps);
    }
    assert!(said.contains(&"eks-describe-cluster-payments"));
}

#[test]
fn without_credentials_the_cluster_is_analyzed_and_the_gap_is_said() {
    let home = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_kpath"))
            .args(["can", "internet", "reach", "kms/card-data", "-f"])
            .arg(repo("testdata/clusters/payment-api/cluster.yaml"))
            .arg("--aws")
            .args(more)
            .env_clear()
            .env("HOME", home.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    let out = run(&["--aws-region", "eu-west-1", "-o", "json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(answer["answer"], "unknown", "{out}");
    assert!(answer["unknownBecause"].to_string().contains("unread:CloudObject"), "{out}");
    let words = |out: &str| out.split_whitespace().collect::<Vec<_>>().join(" ");
    let out = words(&run(&["--aws-region", "eu-west-1"]));
    assert!(out.contains("not read: the AWS account: sts:GetCallerIdentity failed (no credentials found)"), "{out}");
    assert!(out.contains("log in again, or name another profile with --aws-profile"), "{out}");
    let out = words(&run(&[]));
    assert!(out.contains("no region is set; name one with --aws-region"), "{out}");
}

#[test]
fn policies_above_the_account_are_read_level_by_level() {
    let server = Server::start(|request, _| {
        let body = |v: Value| json_answer(&v);
        match request {
            r if r.contains("DescribeOrganization ") => {
                body(json!({"Organization": {"Id": "o-1", "MasterAccountId": "999988887777"}}))
            }
            r if r.contains("ListParents ") && r.contains("111122223333") => {
                body(json!({"Parents": [{"Id": "ou-1", "Type": "ORGANIZATIONAL_UNIT"}]}))
            }
            r if r.contains("ListParents ") => body(json!({"Parents": [{"Id": "r-1", "Type": "ROOT"}]})),
            r if r.contains("ListPoliciesForTarget ") && r.contains("SERVICE_CONTROL_POLICY") => {
                // Two pages at the root.
                match (r.contains("r-1"), r.contains("NextToken")) {
                    (true, false) => body(json!({"Policies": [{"Id": "p-full"}], "NextToken": "2"})),
                    (true, true) => body(json!({"Policies": [{"Id": "p-no-kms"}]})),
                    (false, _) => body(json!({"Policies": [{"Id": "p-full"}]})),
                }
            }
            r if r.contains("ListPoliciesForTarget ") => body(json!({"Policies": []})),
            r if r.contains("DescribePolicy ") => {
                let id = if r.contains("p-full") { "p-full" } else { "p-no-kms" };
                let content = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]});
                body(json!({"Policy": {"PolicySummary": {"Id": id}, "Content": content.to_string()}}))
            }
            r => account(r),
        }
    });
    let snapshot = read(&config(&server.url), None);
    let all = objects(&snapshot);
    assert_eq!(all["OrganizationNode/r-1"]["SERVICE_CONTROL_POLICY"], json!(["p-full", "p-no-kms"]));
    assert_eq!(all["OrganizationNode/ou-1"]["Parents"][0]["Id"], "r-1");
    assert_eq!(all["OrganizationPolicy/p-no-kms"]["Content"]["Statement"][0]["Effect"], "Allow");
    let asked = server.log.lock().unwrap().iter().filter(|r| r.contains("DescribePolicy ")).count();
    assert_eq!(asked, 2, "each policy once");

    // An account that is in none says so.
    let server = Server::start(|request, _| match request.contains("DescribeOrganization ") {
        true => {
            let body = br#"{"__type":"AWSOrganizationsNotInUseException","Message":"no"}"#;
            Reply::Whole(400, None, "application/x-amz-json-1.1", body.to_vec())
        }
        false => account(request),
    });
    let snapshot = read(&config(&server.url), None);
    assert!(calls(&snapshot).contains(&"organizations-describe-organization"));
    assert!(objects(&snapshot)["Organization/organization"].as_object().unwrap().is_empty());
}

#[test]
fn both_tls_stacks_start_in_one_process() {
    // Two providers would make whichever comes second panic; a certificate that nobody trusts is only an error.
    let (_, config_of_server) = crate::faults::certificate("127.0.0.1", -1, 1);
    let server = Server::start_tls(config_of_server, |_, _| crate::server::empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kubernetes = runtime.block_on(async {
        let config = kube::Config::new(server.url.parse().unwrap());
        let client = kpath::collect::fetch::client(config).unwrap();
        let options = kpath::collect::fetch::Options { attempts: 1, ..Default::default() };
        kpath::collect::fetch::collect_all(&client, &options, &|_| ProgressBar::hidden()).await
    });
    assert!(kubernetes.unwrap_err().contains("certificate"));
    let snapshot = read(&config(&server.url), None);
    let reason = &snapshot.gaps.first().unwrap().reason;
    assert!(reason.contains("sts:GetCallerIdentity failed"), "{reason}");
    assert!(reason.contains("UnknownIssuer"), "{reason}");
}

#[test]
fn one_cluster_of_several_is_read_by_its_name() {
    let server = Server::start(|request, _| match request {
        "/clusters" => json_answer(&json!({"clusters": ["other", "payments"]})),
        r if r.starts_with("/clusters/other") => {
            let own = r.replacen("/clusters/other", "/clusters/payments", 1);
            let Reply::Whole(code, header, kind, body) = account(&own) else { unreachable!() };
            let body = String::from_utf8(body).unwrap().replace("\"payments\"", "\"other\"");
            Reply::Whole(code, header, kind, body.into())
        }
        r => account(r),
    });
    let names = |s: &Snapshot| objects(s).keys().filter(|k| k.starts_with("EksCluster/")).cloned().collect::<Vec<_>>();
    assert_eq!(names(&read(&config(&server.url), None)), ["EksCluster/other", "EksCluster/payments"]);
    assert_eq!(names(&read(&config(&server.url), Some("payments"))), ["EksCluster/payments"]);
}

/// A second profile adds its account under its own number; what it refuses is a gap that names it; the same account twice is
/// one.
#[test]
fn an_account_of_another_profile_is_read_beside_the_first() {
    const OWN: &str = "111122223333";
    const OTHER: &str = "444455556666";
    let first = Server::start(|request, _| account(request));
    let replaced = |reply: Reply| match reply {
        Reply::Whole(code, header, kind, body) => {
            Reply::Whole(code, header, kind, String::from_utf8(body).unwrap().replace(OWN, OTHER).into_bytes())
        }
        other => other,
    };
    let second = Server::start(move |request, _| match request.starts_with("kms ") {
        true => denied(request),
        false => replaced(account(&request.replace(OTHER, OWN))),
    });
    let mut snapshot = read(&config(&first.url), None);
    let alone = objects(&snapshot);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let more = |config: &SdkConfig, snapshot: &mut Snapshot| {
        let http = kpath::collect::aws::http_client();
        let hidden = |_: &'static str| ProgressBar::hidden();
        runtime.block_on(kpath::collect::aws::read_other(config, http, "second", &hidden, snapshot));
    };
    more(&config(&second.url), &mut snapshot);
    let both = objects(&snapshot);
    // What was read of the first is there as it was; buckets of one name are one.
    for (name, o) in &alone {
        let same = name.starts_with("S3Bucket/") || name.starts_with("IamPolicy/") || both.get(name) == Some(o);
        assert!(same, "{name}: {:?}", both.get(name));
    }
    let role = alone.keys().find(|k| k.starts_with("IamRole/")).unwrap().replacen('/', &format!("/{OTHER}:"), 1);
    let arn = both[&role]["Arn"].as_str().unwrap();
    assert!(arn.contains(OTHER), "{arn}");
    let refused = |id: &str| snapshot.gaps.iter().filter(|g| g.id == id && g.reason.contains("not allowed")).count();
    assert_eq!(refused(&format!("unread:{OTHER}:kms-list-keys")), 1, "{:?}", snapshot.gaps);
    assert_eq!(refused("unread:kms-list-keys"), 0);
    // No call of EKS or EC2 is made there: the cluster is in the first.
    more(&config(&second.url), &mut snapshot);
    assert_eq!(objects(&snapshot), both);
    let nobody = Server::start(|request, _| denied(request));
    more(&config(&nobody.url), &mut snapshot);
    assert!(snapshot.gaps.iter().any(|g| g.reason.contains("profile second")), "{:?}", snapshot.gaps);
}
