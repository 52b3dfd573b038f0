//! All network code: lists of a Kubernetes API server, page by page, and of an AWS account. Only what gets, lists and
//! describes is ever sent, and each page is reduced before anything is kept.

#[cfg(feature = "aws")]
pub mod aws;
pub mod fetch;

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use k8s_openapi::Resource as _;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::snapshot::Snapshot;

/// Connection flags, as kubectl means them.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Kubeconfig file; none uses KUBECONFIG, the home folder, then the in-cluster configuration.
    pub kubeconfig: Option<PathBuf>,
    /// Context.
    pub context: Option<String>,
    /// Cluster.
    pub cluster: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Impersonated user.
    pub impersonate: Option<String>,
    /// Impersonated groups.
    pub impersonate_groups: Vec<String>,
    /// Impersonated uid.
    pub impersonate_uid: Option<String>,
    /// Time for one request, `0` for kpath's own limit.
    pub request_timeout: String,
    /// Objects of one page.
    pub chunk_size: usize,
}

/// How the account of a cluster is read, as the AWS CLI means it.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Profiles, that of the cluster's account first; none uses AWS_PROFILE, then the default one.
    pub profiles: Vec<String>,
    /// Region; none uses AWS_REGION, then that of the profile.
    pub region: Option<String>,
    /// Name of the cluster in EKS; none reads all of the region.
    pub cluster: Option<String>,
}

/// Why nothing could be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The connection could not be set up.
    #[error(
        "cannot connect: {0}\nhint: check `kubectl config current-context`, or read files with -f and a snapshot with --snapshot"
    )]
    Connect(String),
    /// A flag has a wrong value.
    #[error("{0}")]
    Flag(String),
    /// The server refused everything.
    #[error("nothing could be listed: {0}\nhint: `kpath permissions` prints the ClusterRole that kpath needs")]
    Nothing(String),
}

/// Collects from a live cluster.
///
/// # Errors
/// [`CollectError`] when no connection is possible or not a single kind could be listed.
pub fn collect(connection: &Connection) -> Result<Snapshot, CollectError> {
    let timeout = parse_duration(&connection.request_timeout).ok_or_else(|| {
        CollectError::Flag(format!(
            "--request-timeout is {:?}; write seconds or a duration such as 30s or 1m30s",
            connection.request_timeout
        ))
    })?;
    runtime()?.block_on(async {
        let defaults = fetch::Options::default();
        let options =
            fetch::Options { timeout: timeout.unwrap_or(defaults.timeout), page: connection.chunk_size, ..defaults };
        let (config, context) = configuration(connection).await?;
        let server = config.cluster_url.host().unwrap_or_default().to_owned();
        let plugin = config.auth_info.exec.as_ref().and_then(|e| e.command.clone());
        let client = fetch::client(config).map_err(|e| {
            let plugin = plugin.map(|p| format!(" (the kubeconfig's credential plugin is {p:?})"));
            CollectError::Connect(format!("{e}{}", plugin.unwrap_or_default()))
        })?;
        let bars = MultiProgress::new();
        let collected = fetch::collect_all(&client, &options, &|kind| counter(&bars, kind.to_owned())).await;
        let _ = bars.clear();
        let mut snapshot = collected.map_err(CollectError::Connect)?;
        if snapshot.read.is_empty() {
            let reason = snapshot.gaps.first().map(|g| g.reason.clone()).unwrap_or_default();
            return Err(CollectError::Nothing(reason));
        }
        snapshot.source.kind = "live".into();
        snapshot.source.name = context;
        snapshot.source.server = server;
        snapshot.source.time = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Ok(snapshot)
    })
}

/// What network code runs on.
fn runtime() -> Result<tokio::runtime::Runtime, CollectError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().map_err(|e| CollectError::Connect(e.to_string()))
}

/// A bar that counts what came of one thing.
fn counter(bars: &MultiProgress, what: String) -> ProgressBar {
    let bar = bars.add(ProgressBar::new_spinner());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {pos}") {
        bar.set_style(style);
    }
    bar.with_message(what)
}

async fn configuration(c: &Connection) -> Result<(kube::Config, String), CollectError> {
    let err = |e: String| CollectError::Connect(e);
    let kubeconfig = match &c.kubeconfig {
        Some(path) => Some(Kubeconfig::read_from(path).map_err(|e| err(format!("{}: {e}", path.display())))?),
        None => match Kubeconfig::read() {
            Ok(k) => Some(k),
            // Inside a pod there is no kubeconfig; asking for a context by name needs one.
            Err(e) if c.context.is_some() || std::env::var_os("KUBECONFIG").is_some() => {
                return Err(err(e.to_string()));
            }
            Err(_) => None,
        },
    };
    let Some(mut kubeconfig) = kubeconfig else {
        let mut config =
            kube::Config::incluster().map_err(|e| err(format!("no kubeconfig and not in a cluster ({e})")))?;
        impersonate(&mut config, c);
        return Ok((config, "in-cluster".into()));
    };
    let context = c.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    if let Some(wanted) = &c.context
        && !kubeconfig.contexts.iter().any(|x| x.name == *wanted)
    {
        let names: Vec<&str> = kubeconfig.contexts.iter().map(|x| x.name.as_str()).collect();
        return Err(err(format!("context {wanted:?} does not exist; contexts: {}", names.join(", "))));
    }
    kubeconfig.current_context.get_or_insert_with(String::new);
    let options = KubeConfigOptions { context: c.context.clone(), cluster: c.cluster.clone(), user: c.user.clone() };
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|e| err(e.to_string()))?;
    impersonate(&mut config, c);
    Ok((config, context))
}

fn impersonate(config: &mut kube::Config, c: &Connection) {
    if let Some(user) = &c.impersonate {
        config.auth_info.impersonate = Some(user.clone());
    }
    if !c.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(c.impersonate_groups.clone());
    }
    if let Some(uid) = &c.impersonate_uid {
        config.auth_info.impersonate_uid = Some(uid.clone());
    }
}

/// Reads a duration as kubectl does: plain seconds, or Go's form such as `30s`, `1m30s`, `1.5h`; `0` is no limit.
/// `None` for anything else.
#[allow(clippy::option_option, reason = "outer: readable; inner: a limit")]
fn parse_duration(text: &str) -> Option<Option<Duration>> {
    let mut rest = text;
    let mut total = 0.0;
    if let Ok(seconds) = text.parse::<u32>() {
        return Some((seconds > 0).then(|| Duration::from_secs(u64::from(seconds))));
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    let limit = Duration::try_from_secs_f64(total).ok().filter(|_| !text.is_empty())?;
    Some((!limit.is_zero()).then_some(limit))
}

/// The minimal ClusterRole for [`collect`], as a typed object.
pub fn permissions() -> k8s_openapi::api::rbac::v1::ClusterRole {
    use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
    let mut groups: std::collections::BTreeMap<&str, Vec<String>> = std::collections::BTreeMap::new();
    for kind in crate::model::Kind::ALL {
        groups.entry(kind.info().group).or_default().push(kind.info().resource.to_owned());
    }
    let mut rules: Vec<PolicyRule> = groups
        .into_iter()
        .map(|(group, resources)| PolicyRule {
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(resources),
            verbs: vec!["list".into()],
            ..PolicyRule::default()
        })
        .collect();
    rules.push(PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["configmaps".into()]),
        resource_names: Some(vec!["aws-auth".into(), "coredns".into()]),
        verbs: vec!["get".into()],
        ..PolicyRule::default()
    });
    let mut role = ClusterRole { rules: Some(rules), ..ClusterRole::default() };
    role.metadata.name = Some("kpath".into());
    debug_assert_eq!(ClusterRole::KIND, "ClusterRole");
    role
}

/// Actions that reading an account needs, sorted (Service Authorization Reference).
pub const AWS_ACTIONS: [&str; 33] = [
    "ec2:DescribeInstances",
    "eks:DescribeAccessEntry",
    "eks:DescribeCapability",
    "eks:DescribeCluster",
    "eks:DescribePodIdentityAssociation",
    "eks:ListAccessEntries",
    "eks:ListAddons",
    "eks:ListAssociatedAccessPolicies",
    "eks:ListCapabilities",
    "eks:ListClusters",
    "eks:ListFargateProfiles",
    "eks:ListNodegroups",
    "eks:ListPodIdentityAssociations",
    "iam:GetAccountAuthorizationDetails",
    "iam:GetOpenIDConnectProvider",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:ListOpenIDConnectProviders",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:ListGrants",
    "kms:ListKeys",
    "organizations:DescribeOrganization",
    "organizations:DescribePolicy",
    "organizations:ListParents",
    "organizations:ListPoliciesForTarget",
    "s3:GetBucketPolicy",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetEncryptionConfiguration",
    "s3:ListAllMyBuckets",
    "secretsmanager:GetResourcePolicy",
    "secretsmanager:ListSecrets",
    "sts:GetCallerIdentity",
];

/// The minimal IAM policy for reading an account. Nothing in it reads a value that is secret, or writes.
pub fn aws_permissions() -> serde_json::Value {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Sid": "Kpath", "Effect": "Allow", "Action": AWS_ACTIONS.as_slice(), "Resource": "*"}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_kubectl_reads_them() {
        let seconds = |s: f64| Some(Some(Duration::from_secs_f64(s)));
        for (text, want) in [
            ("0", Some(None)),
            ("0s", Some(None)),
            ("45", seconds(45.0)),
            ("30s", seconds(30.0)),
            ("1m30s", seconds(90.0)),
            ("1.5h", seconds(5400.0)),
            ("500ms", seconds(0.5)),
            ("", None),
            ("s", None),
            ("1", seconds(1.0)),
            ("1x", None),
            ("1m30", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(parse_duration(text), want, "{text:?}");
        }
    }
}
