//! Calls of IAM: who there is, what each may do, and the identity providers.

use std::collections::BTreeSet;

use aws_sdk_iam::types::{
    AttachedPermissionsBoundary, AttachedPolicy, GroupDetail, InstanceProfile, ManagedPolicyDetail, PolicyDetail,
    RoleDetail, Tag, UserDetail,
};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::call::{Call, failure, last, outcome, text, time, without_nulls};
use super::{PARALLEL, Session};

/// Everything of IAM.
pub(super) async fn calls(session: &Session<'_>) -> Vec<Call> {
    let client = aws_sdk_iam::Client::new(session.config);
    let bar = (session.progress)("iam");
    let mut calls = vec![details(&client, &bar).await];
    let boundaries = calls.iter().filter_map(|c| c.result.as_ref().ok()).flat_map(boundaries).collect::<Vec<_>>();
    for arn in boundaries {
        calls.extend(policy(&client, &arn).await);
    }
    let providers = client.list_open_id_connect_providers().send().await;
    let mut arns = Vec::new();
    calls.push(outcome("iam-list-open-id-connect-providers", "iam:ListOpenIDConnectProviders", providers, &[], |x| {
        arns.extend(x.open_id_connect_provider_list().iter().filter_map(|p| p.arn().map(str::to_owned)));
        json!({"OpenIDConnectProviderList": arns.iter().map(|a| json!({"Arn": a})).collect::<Vec<_>>()})
    }));
    let each: Vec<Call> = stream::iter(arns)
        .map(|arn| {
            let request = client.get_open_id_connect_provider().open_id_connect_provider_arn(&arn);
            async move {
                let name = format!("iam-get-open-id-connect-provider-{}", last(&arn));
                outcome(
                    name,
                    "iam:GetOpenIDConnectProvider",
                    request.send().await,
                    &[],
                    |x| json!({"Url": text(x.url()), "ClientIDList": x.client_id_list()}),
                )
            }
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    bar.finish_and_clear();
    calls.extend(each);
    calls
}

/// All users, groups, roles and policies, all pages in one.
async fn details(client: &aws_sdk_iam::Client, bar: &indicatif::ProgressBar) -> Call {
    const NAME: &str = "iam-get-account-authorization-details";
    const ACTION: &str = "iam:GetAccountAuthorizationDetails";
    let (mut users, mut groups, mut roles, mut policies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut pages = client.get_account_authorization_details().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = match page {
            Ok(page) => page,
            Err(e) => return Call { name: NAME.into(), action: ACTION, result: Err(failure(&e)) },
        };
        users.extend(page.user_detail_list().iter().map(user));
        groups.extend(page.group_detail_list().iter().map(group));
        roles.extend(page.role_detail_list().iter().map(role));
        policies.extend(page.policies().iter().map(managed));
        bar.set_position((users.len() + roles.len() + policies.len()) as u64);
    }
    let answer = json!({
        "UserDetailList": users, "GroupDetailList": groups, "RoleDetailList": roles, "Policies": policies,
    });
    Call { name: NAME.into(), action: ACTION, result: Ok(without_nulls(answer)) }
}

/// Policies that are boundaries only: the answer about the account may leave them out.
fn boundaries(details: &Value) -> BTreeSet<String> {
    let list = |field: &str| details.get(field).and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
    let arn = |v: &Value| v.as_str().map(str::to_owned);
    let known: BTreeSet<String> = list("Policies").iter().filter_map(|p| arn(p.get("Arn")?)).collect();
    let all = list("RoleDetailList").iter().chain(list("UserDetailList"));
    let named = all.filter_map(|x| arn(x.get("PermissionsBoundary")?.get("PermissionsBoundaryArn")?));
    named.filter(|a| !known.contains(a)).collect()
}

async fn policy(client: &aws_sdk_iam::Client, arn: &str) -> Vec<Call> {
    let name = last(arn);
    let mut version = String::new();
    let answer = client.get_policy().policy_arn(arn).send().await;
    let first = outcome(format!("iam-get-policy-{name}"), "iam:GetPolicy", answer, &[], |x| {
        version = x.policy().and_then(|p| p.default_version_id()).unwrap_or_default().to_owned();
        json!({"Policy": {"Arn": arn, "DefaultVersionId": version}})
    });
    if version.is_empty() {
        return vec![first];
    }
    let answer = client.get_policy_version().policy_arn(arn).version_id(&version).send().await;
    let name = format!("iam-get-policy-version-{name}-{version}");
    let second = outcome(
        name,
        "iam:GetPolicyVersion",
        answer,
        &[],
        |x| json!({"PolicyVersion": {"Document": x.policy_version().and_then(|v| v.document()), "IsDefaultVersion": true}}),
    );
    vec![first, second]
}

fn attached(list: &[AttachedPolicy]) -> Vec<Value> {
    list.iter().map(|p| json!({"PolicyName": p.policy_name(), "PolicyArn": p.policy_arn()})).collect()
}

fn inline(list: &[PolicyDetail]) -> Vec<Value> {
    list.iter().map(|p| json!({"PolicyName": p.policy_name(), "PolicyDocument": p.policy_document()})).collect()
}

fn tags(list: &[Tag]) -> Vec<Value> {
    list.iter().map(|t| json!({"Key": t.key(), "Value": t.value()})).collect()
}

fn boundary(b: Option<&AttachedPermissionsBoundary>) -> Option<Value> {
    b.map(|b| json!({"PermissionsBoundaryArn": b.permissions_boundary_arn()}))
}

fn profile(p: &InstanceProfile) -> Value {
    let roles: Vec<Value> = p.roles().iter().map(|r| json!({"Arn": r.arn()})).collect();
    json!({"InstanceProfileName": p.instance_profile_name(), "Arn": p.arn(), "Roles": roles})
}

fn user(u: &UserDetail) -> Value {
    json!({
        "UserName": u.user_name(), "Arn": u.arn(), "CreateDate": time(u.create_date()), "GroupList": u.group_list(),
        "PermissionsBoundary": boundary(u.permissions_boundary()), "Tags": tags(u.tags()),
        "UserPolicyList": inline(u.user_policy_list()), "AttachedManagedPolicies": attached(u.attached_managed_policies()),
    })
}

fn group(g: &GroupDetail) -> Value {
    json!({
        "GroupName": g.group_name(), "Arn": g.arn(), "GroupPolicyList": inline(g.group_policy_list()),
        "AttachedManagedPolicies": attached(g.attached_managed_policies()),
    })
}

fn role(r: &RoleDetail) -> Value {
    json!({
        "RoleName": r.role_name(), "Arn": r.arn(), "CreateDate": time(r.create_date()),
        "AssumeRolePolicyDocument": r.assume_role_policy_document(), "Tags": tags(r.tags()),
        "PermissionsBoundary": boundary(r.permissions_boundary()), "RolePolicyList": inline(r.role_policy_list()),
        "AttachedManagedPolicies": attached(r.attached_managed_policies()),
        "InstanceProfileList": r.instance_profile_list().iter().map(profile).collect::<Vec<_>>(),
    })
}

fn managed(p: &ManagedPolicyDetail) -> Value {
    // Only the version in force is of interest.
    let versions: Vec<Value> = p
        .policy_version_list()
        .iter()
        .filter(|v| v.is_default_version())
        .map(|v| json!({"VersionId": v.version_id(), "IsDefaultVersion": true, "Document": v.document()}))
        .collect();
    json!({"PolicyName": p.policy_name(), "Arn": p.arn(), "DefaultVersionId": p.default_version_id(), "PolicyVersionList": versions})
}
