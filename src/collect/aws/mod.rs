//! The account of a cluster, read from AWS: lists and descriptions only, by the official SDK.
//!
//! Each answer takes the form that the AWS CLI prints, and is taken up as a saved one is (`snapshot::import::cloud`): what
//! rules read has one source. A call that fails is a gap that names the action it needs, and the rest goes on.

mod call;
mod data;
mod ec2;
mod eks;
mod iam;
mod organizations;

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use indicatif::{MultiProgress, ProgressBar};
use serde_json::json;

use self::call::{Call, outcome, text};
use super::{Access, CollectError, counter, runtime};
use crate::model::cloud::{Provider, scope};
use crate::model::{Gap, Kind};
use crate::snapshot::Snapshot;
use crate::snapshot::import::cloud::Account;

/// Calls about single objects under way at one time.
const PARALLEL: usize = 8;

/// Attempts for a call that AWS asks to repeat; the SDK slows down by itself.
const ATTEMPTS: u32 = 8;

/// Time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(30);

/// What all calls are made with.
struct Session<'a> {
    config: &'a SdkConfig,
    http: SharedHttpClient,
    /// The cluster that the user named.
    cluster: Option<&'a str>,
    progress: &'a (dyn Fn(&'static str) -> ProgressBar + Sync),
}

/// HTTPS with the TLS provider that the Kubernetes client has too: two in one process panic at start.
pub fn http_client() -> SharedHttpClient {
    let tls = tls::Provider::Rustls(CryptoMode::Ring);
    // Through the proxy that the environment names, as the AWS CLI and the Kubernetes client go.
    aws_smithy_http_client::Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = aws_smithy_http_client::Connector::builder();
        connector.set_connector_settings(settings.cloned());
        if let Some(sleep) = components.and_then(|c| c.sleep_impl()) {
            connector.set_sleep_impl(Some(sleep));
        }
        connector.tls_provider(tls.clone()).proxy_config(ProxyConfig::from_env()).build()
    })
}

/// Reads the account with the credentials that the AWS CLI would use, and adds it to a snapshot. Without credentials or a
/// region the snapshot gets a gap that says so.
///
/// # Errors
/// [`CollectError::Connect`] when no runtime can be started.
pub fn collect(access: &Access, snapshot: &mut Snapshot) -> Result<(), CollectError> {
    runtime()?.block_on(async {
        let http = http_client();
        let bars = MultiProgress::new();
        let progress = |service: &'static str| counter(&bars, format!("aws {service}"));
        let (first, others) = match access.profiles.split_first() {
            Some((first, others)) => (Some(first.as_str()), others),
            None => (None, &[][..]),
        };
        let config = configuration(access, first, &http).await;
        read(&config, http.clone(), access.cluster.as_deref(), &progress, snapshot).await;
        for profile in others {
            let config = configuration(access, Some(profile), &http).await;
            read_other(&config, http.clone(), profile, &progress, snapshot).await;
        }
        let _ = bars.clear();
    });
    Ok(())
}

/// What the SDK is told for a profile, as the AWS CLI means it.
async fn configuration(access: &Access, profile: Option<&str>, http: &SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .retry_config(RetryConfig::adaptive().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).build());
    if let Ok(name) = AppName::new("kpath") {
        loader = loader.app_name(name);
    }
    if let Some(profile) = profile {
        // A profile that was named goes before keys of the environment, as with the AWS CLI.
        let provider = ProviderConfig::without_region().with_http_client(http.clone());
        let keys = ProfileFileCredentialsProvider::builder().profile_name(profile).configure(&provider).build();
        loader = loader.profile_name(profile).credentials_provider(keys);
    }
    if let Some(region) = &access.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader.load().await
}

/// Reads another account beside that of the cluster, and adds it to a snapshot: its principals, what is above it, its keys,
/// buckets and secrets. `name` is what messages call it.
pub async fn read_other(
    config: &SdkConfig,
    http: SharedHttpClient,
    name: &str,
    progress: &(dyn Fn(&'static str) -> ProgressBar + Sync),
    snapshot: &mut Snapshot,
) {
    let session = Session { config, http, cluster: None, progress };
    let failed = |reason: String| Gap {
        id: format!("unread:iam-list-roles-{name}"),
        reason: format!("the AWS account of profile {name}: {reason}"),
        hides: HIDES.into(),
        ..Gap::default()
    };
    let calls = match config.region() {
        Some(_) => other(&session).await,
        None => Err("no region is set; name one with --aws-region or in the profile".to_owned()),
    };
    let (account, calls) = match calls {
        Ok(read) => read,
        Err(reason) => return snapshot.gaps.push(failed(reason)),
    };
    let known = |o: &crate::model::cloud::CloudObject| {
        o.kind() == "Account" && (o.metadata.name == account || scope(&o.metadata.name).0 == account)
    };
    if snapshot.objects.cloud.iter().any(known) {
        return;
    }
    let mut gaps = gaps(&calls);
    for g in &mut gaps {
        g.id = g.id.replacen("unread:", &format!("unread:{account}:"), 1);
        g.reason = format!("account {account}: {}", g.reason);
    }
    snapshot.gaps.extend(gaps);
    let mut store = Account::default();
    store.about(&account);
    for call in calls {
        if let Ok(value) = call.result {
            store.take(Provider::Aws, &call.name, &value);
        }
    }
    snapshot.objects.cloud.extend(store.into_objects());
    let _ = snapshot.objects.normalise();
}

/// Calls about an account that is not that of the cluster, after its number; or why not a single one can be made.
async fn other(session: &Session<'_>) -> Result<(String, Vec<Call>), String> {
    let (account, identity) = identity(session).await?;
    let mut calls = vec![identity];
    let (organization, iam, keys, buckets, secrets) = tokio::join!(
        organizations::calls(session, &account),
        iam::calls(session),
        data::keys(session),
        data::buckets(session),
        data::secrets(session),
    );
    for part in [organization, iam, keys, buckets, secrets] {
        calls.extend(part);
    }
    Ok((account, calls))
}

/// Reads the account with a configuration of the SDK, and adds it to a snapshot. `cluster` limits what is read of EKS to
/// one cluster; `progress` gives a bar to each service.
pub async fn read(
    config: &SdkConfig,
    http: SharedHttpClient,
    cluster: Option<&str>,
    progress: &(dyn Fn(&'static str) -> ProgressBar + Sync),
    snapshot: &mut Snapshot,
) {
    // What was known of an account before is of another time, or of another account.
    snapshot.objects.cloud.retain(|o| o.provider() != Provider::Aws);
    if snapshot.objects.cloud.is_empty() {
        snapshot.read.remove(&Kind::CloudObject);
    }
    let of_aws = |id: &str| id.strip_prefix("unread:").is_some_and(|c| Provider::of_call(c) == Some(Provider::Aws));
    snapshot.gaps.retain(|g| !(of_aws(&g.id) || g.id == "unread:CloudObject"));
    let session = Session { config, http, cluster, progress };
    let calls = match config.region() {
        Some(_) => account(&session).await,
        None => Err("no region is set; name one with --aws-region, AWS_REGION or in the profile".to_owned()),
    };
    let mut account = Account::default();
    match calls {
        Ok(calls) => {
            snapshot.gaps.extend(gaps(&calls));
            for call in calls {
                if let Ok(value) = call.result {
                    account.take(Provider::Aws, &call.name, &value);
                }
            }
            snapshot.objects.cloud.extend(account.into_objects());
            let _ = snapshot.objects.normalise();
            snapshot.read.insert(Kind::CloudObject);
        }
        Err(reason) => snapshot.gaps.push(Gap {
            id: "unread:CloudObject".into(),
            reason: format!("the AWS account: {reason}"),
            hides: HIDES.into(),
            ..Gap::default()
        }),
    }
}

/// What is hidden where calls fail.
const HIDES: &str = "paths through roles, keys, buckets and secrets of the account";

/// Whose credentials these are, or why there are none.
async fn identity(session: &Session<'_>) -> Result<(String, Call), String> {
    let sts = aws_sdk_sts::Client::new(session.config);
    let who = sts.get_caller_identity().send().await;
    let identity = outcome(
        "sts-get-caller-identity",
        "sts:GetCallerIdentity",
        who,
        &[],
        |x| json!({"Account": text(x.account()), "Arn": text(x.arn())}),
    );
    // Everybody may ask who they are: without an answer there is no credential, or it is not good any more.
    if let Err(failure) = &identity.result {
        return Err(failure.reason(identity.action, 1));
    }
    let account = identity.result.as_ref().ok().and_then(|v| v.get("Account")?.as_str().map(str::to_owned));
    Ok((account.unwrap_or_default(), identity))
}

/// All calls, or why not a single one can be made.
async fn account(session: &Session<'_>) -> Result<Vec<Call>, String> {
    let (account, identity) = identity(session).await?;
    let mut calls = vec![identity];
    let (organization, iam, eks, instances, keys, buckets, secrets) = tokio::join!(
        organizations::calls(session, &account),
        iam::calls(session),
        eks::calls(session),
        ec2::calls(session),
        data::keys(session),
        data::buckets(session),
        data::secrets(session),
    );
    for part in [organization, iam, eks, instances, keys, buckets, secrets] {
        calls.extend(part);
    }
    Ok(calls)
}

/// One gap for each action that failed, whatever the number of objects.
fn gaps(calls: &[Call]) -> Vec<Gap> {
    let mut failed: std::collections::BTreeMap<&str, Vec<&Call>> = std::collections::BTreeMap::new();
    for call in calls.iter().filter(|c| c.result.is_err()) {
        failed.entry(call.action).or_default().push(call);
    }
    let gap = |(action, calls): (&str, Vec<&Call>)| {
        let first = calls.first()?;
        let failure = first.result.as_ref().err()?;
        Some(Gap {
            id: format!("unread:{}", first.name),
            reason: failure.reason(action, calls.len()),
            hides: HIDES.into(),
            ..Gap::default()
        })
    };
    failed.into_iter().filter_map(gap).collect()
}
