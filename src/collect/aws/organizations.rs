//! Calls of Organizations: the policies above the account.

use aws_sdk_organizations::Client;
use aws_sdk_organizations::types::PolicyType;
use serde_json::{Value, json};

use super::Session;
use super::call::{Call, outcome, text};

/// Most levels of an organization: the root, five levels of units and the account (Organizations quotas).
const LEVELS: usize = 8;

/// The organization of the account, and the service and resource control policies at each level above it.
pub(super) async fn calls(session: &Session<'_>, account: &str) -> Vec<Call> {
    let client = Client::new(session.config);
    let bar = (session.progress)("organizations");
    let answer = client.describe_organization().send().await;
    // An account may be in none.
    let none = [("AWSOrganizationsNotInUseException", json!({"Organization": {}}))];
    let mut manager = String::new();
    let mut some = false;
    let mut calls = vec![outcome(
        "organizations-describe-organization",
        "organizations:DescribeOrganization",
        answer,
        &none,
        |x| {
            let Some(o) = x.organization() else { return Value::Null };
            some = true;
            manager = text(o.master_account_id()).to_owned();
            json!({"Organization": {"Id": o.id(), "MasterAccountId": o.master_account_id()}})
        },
    )];
    // Policies do not bind the account that manages the organization.
    if some && manager != account {
        let mut policies = Vec::new();
        let mut at = account.to_owned();
        for _ in 0..LEVELS {
            calls.extend(attached(&client, &at, &mut policies).await);
            bar.inc(1);
            if at.starts_with("r-") {
                break;
            }
            let (call, parent) = parent(&client, &at).await;
            calls.push(call);
            let Some(parent) = parent else { break };
            at = parent;
        }
        policies.sort();
        policies.dedup();
        for id in policies {
            let answer = client.describe_policy().policy_id(&id).send().await;
            let name = format!("organizations-describe-policy-{id}");
            calls.push(outcome(
                name,
                "organizations:DescribePolicy",
                answer,
                &[],
                |x| json!({"Policy": {"PolicySummary": {"Id": id}, "Content": x.policy().and_then(|p| p.content())}}),
            ));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    calls
}

async fn parent(client: &Client, child: &str) -> (Call, Option<String>) {
    let answer = client.list_parents().child_id(child).into_paginator().send();
    let answer: Result<Vec<_>, _> = answer.try_collect().await;
    let mut parent = None;
    let name = format!("organizations-list-parents-{child}");
    let call = outcome(name, "organizations:ListParents", answer, &[], |x| {
        let all: Vec<_> = x.iter().flat_map(|page| page.parents()).collect();
        parent = all.first().and_then(|p| p.id()).map(str::to_owned);
        let all = all.iter().map(|p| json!({"Id": p.id(), "Type": p.r#type().map(|t| t.as_str())}));
        json!({"Parents": all.collect::<Vec<_>>()})
    });
    (call, parent)
}

/// Policies that are attached to a root, a unit or an account; their ids go to `policies`.
async fn attached(client: &Client, target: &str, policies: &mut Vec<String>) -> Vec<Call> {
    let mut calls = Vec::new();
    for kind in [PolicyType::ServiceControlPolicy, PolicyType::ResourceControlPolicy] {
        let name = format!("organizations-list-policies-for-target-{target}-{}", kind.as_str());
        let answer = client.list_policies_for_target().target_id(target).filter(kind).into_paginator().send();
        let answer: Result<Vec<_>, _> = answer.try_collect().await;
        calls.push(outcome(name, "organizations:ListPoliciesForTarget", answer, &[], |x| {
            let ids: Vec<&str> = x.iter().flat_map(|page| page.policies()).filter_map(|p| p.id()).collect();
            policies.extend(ids.iter().map(|id| (*id).to_owned()));
            json!({"Policies": ids.iter().map(|id| json!({"Id": id})).collect::<Vec<_>>()})
        }));
    }
    calls
}
