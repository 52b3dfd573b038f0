//! Calls about what is worth protecting: keys of KMS, buckets of S3, secrets of Secrets Manager.

use std::collections::BTreeMap;

use aws_config::Region;
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::call::{Call, last, outcome, text};
use super::{PARALLEL, Session};

/// Keys of the region, with their policies and grants.
pub(super) async fn keys(session: &Session<'_>) -> Vec<Call> {
    let client = aws_sdk_kms::Client::new(session.config);
    let bar = (session.progress)("kms");
    let all: Result<Vec<_>, _> = client.list_keys().into_paginator().items().send().try_collect().await;
    let mut ids = Vec::new();
    let mut calls = vec![outcome("kms-list-keys", "kms:ListKeys", all, &[], |x| {
        ids.extend(x.iter().filter_map(|k| k.key_id().map(str::to_owned)));
        json!({"Keys": x.iter().map(|k| json!({"KeyId": k.key_id(), "KeyArn": k.key_arn()})).collect::<Vec<_>>()})
    })];
    let each = stream::iter(ids).map(|id| {
        let (client, bar) = (&client, &bar);
        async move {
            let calls = key(client, &id).await;
            bar.inc(1);
            calls
        }
    });
    calls.extend(each.buffered(PARALLEL).concat().await);
    bar.finish_and_clear();
    calls
}

async fn key(client: &aws_sdk_kms::Client, id: &str) -> Vec<Call> {
    let described = client.describe_key().key_id(id).send().await;
    let policy = client.get_key_policy().key_id(id).policy_name("default").send().await;
    let grants: Result<Vec<_>, _> = client.list_grants().key_id(id).into_paginator().items().send().try_collect().await;
    vec![
        outcome(format!("kms-describe-key-{id}"), "kms:DescribeKey", described, &[], |x| {
            let Some(k) = x.key_metadata() else { return Value::Null };
            json!({"KeyMetadata": {
                "KeyId": k.key_id(), "Arn": k.arn(), "AWSAccountId": k.aws_account_id(),
                "KeyManager": k.key_manager().map(|m| m.as_str()), "KeyState": k.key_state().map(|s| s.as_str()),
                "KeyUsage": k.key_usage().map(|u| u.as_str()),
            }})
        }),
        outcome(format!("kms-get-key-policy-{id}"), "kms:GetKeyPolicy", policy, &[], |x| json!({"Policy": x.policy()})),
        outcome(format!("kms-list-grants-{id}"), "kms:ListGrants", grants, &[], |x| {
            let all = x.iter().map(|g| {
                let operations: Vec<&str> = g.operations().iter().map(|o| o.as_str()).collect();
                // An encryption context may tell too much: that there is one is enough.
                let constraints = g.constraints().map(|_| json!({"EncryptionContext": true}));
                json!({
                    "KeyId": id, "GrantId": g.grant_id(), "GranteePrincipal": g.grantee_principal(),
                    "Operations": operations, "Constraints": constraints,
                })
            });
            json!({"Grants": all.collect::<Vec<_>>()})
        }),
    ]
}

/// Buckets of the account, with their policies; each is asked in its own region.
pub(super) async fn buckets(session: &Session<'_>) -> Vec<Call> {
    // A double has one host for all buckets.
    let builder = || {
        let own = session.config.endpoint_url().is_some();
        aws_sdk_s3::config::Builder::from(session.config).force_path_style(own)
    };
    let client = aws_sdk_s3::Client::from_conf(builder().build());
    let bar = (session.progress)("s3");
    // With a limit of its own for a page the answer names regions.
    let all = client.list_buckets().into_paginator().page_size(1000).items().send();
    let all: Result<Vec<_>, _> = all.try_collect().await;
    let mut names: Vec<(String, Option<String>)> = Vec::new();
    let mut calls = vec![outcome("s3api-list-buckets", "s3:ListAllMyBuckets", all, &[], |x| {
        names.extend(x.iter().map(|b| (text(b.name()).to_owned(), b.bucket_region().map(str::to_owned))));
        json!({"Buckets": names.iter().map(|(n, _)| json!({"Name": n})).collect::<Vec<_>>()})
    })];
    let regions: BTreeMap<String, aws_sdk_s3::Client> = names
        .iter()
        .filter_map(|(_, region)| region.clone())
        .map(|r| (r.clone(), aws_sdk_s3::Client::from_conf(builder().region(Region::new(r)).build())))
        .collect();
    let each = stream::iter(&names).map(|(name, region)| {
        let client = region.as_ref().and_then(|r| regions.get(r)).unwrap_or(&client);
        let bar = &bar;
        async move {
            let calls = bucket(client, name).await;
            bar.inc(1);
            calls
        }
    });
    calls.extend(each.buffered(PARALLEL).concat().await);
    bar.finish_and_clear();
    calls
}

async fn bucket(client: &aws_sdk_s3::Client, name: &str) -> Vec<Call> {
    let policy = client.get_bucket_policy().bucket(name).send().await;
    let block = client.get_public_access_block().bucket(name).send().await;
    let encryption = client.get_bucket_encryption().bucket(name).send().await;
    vec![
        outcome(
            format!("s3api-get-bucket-policy-{name}"),
            "s3:GetBucketPolicy",
            policy,
            &[("NoSuchBucketPolicy", json!({}))],
            |x| json!({"Policy": x.policy()}),
        ),
        outcome(
            format!("s3api-get-public-access-block-{name}"),
            "s3:GetBucketPublicAccessBlock",
            block,
            &[("NoSuchPublicAccessBlockConfiguration", json!({}))],
            |x| {
                let Some(b) = x.public_access_block_configuration() else { return json!({}) };
                json!({"PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": b.block_public_acls(), "IgnorePublicAcls": b.ignore_public_acls(),
                    "BlockPublicPolicy": b.block_public_policy(),
                    "RestrictPublicBuckets": b.restrict_public_buckets(),
                }})
            },
        ),
        outcome(
            format!("s3api-get-bucket-encryption-{name}"),
            "s3:GetEncryptionConfiguration",
            encryption,
            &[("ServerSideEncryptionConfigurationNotFoundError", json!({}))],
            |x| {
                let rules = x.server_side_encryption_configuration().map(|c| c.rules()).unwrap_or_default();
                let rule = |r: &aws_sdk_s3::types::ServerSideEncryptionRule| {
                    let by = r.apply_server_side_encryption_by_default();
                    json!({"ApplyServerSideEncryptionByDefault": by.map(|d| json!({
                        "SSEAlgorithm": d.sse_algorithm().as_str(), "KMSMasterKeyID": d.kms_master_key_id(),
                    }))})
                };
                json!({"ServerSideEncryptionConfiguration": {"Rules": rules.iter().map(rule).collect::<Vec<_>>()}})
            },
        ),
    ]
}

/// Secrets of the region, with their policies; no value is ever asked for.
pub(super) async fn secrets(session: &Session<'_>) -> Vec<Call> {
    let client = aws_sdk_secretsmanager::Client::new(session.config);
    let bar = (session.progress)("secretsmanager");
    let pages: Result<Vec<_>, _> = client.list_secrets().into_paginator().send().try_collect().await;
    let mut arns: Vec<(String, String)> = Vec::new();
    let mut calls = vec![outcome("secretsmanager-list-secrets", "secretsmanager:ListSecrets", pages, &[], |x| {
        let all: Vec<_> = x.iter().flat_map(|page| page.secret_list()).collect();
        arns.extend(all.iter().filter_map(|s| Some((s.arn()?.to_owned(), s.name()?.to_owned()))));
        let all = all.iter().map(|s| json!({"Name": s.name(), "ARN": s.arn(), "KmsKeyId": s.kms_key_id()}));
        json!({"SecretList": all.collect::<Vec<_>>()})
    })];
    let each: Vec<Call> = stream::iter(arns)
        .map(|(arn, name)| {
            let request = client.get_resource_policy().secret_id(&arn);
            let bar = &bar;
            async move {
                let call = format!("secretsmanager-get-resource-policy-{}", last(&name));
                let answer = request.send().await;
                bar.inc(1);
                outcome(
                    call,
                    "secretsmanager:GetResourcePolicy",
                    answer,
                    &[],
                    |x| json!({"Name": name, "ARN": arn, "ResourcePolicy": x.resource_policy()}),
                )
            }
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    calls.extend(each);
    bar.finish_and_clear();
    calls
}
