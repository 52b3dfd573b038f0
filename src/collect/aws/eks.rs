//! Calls of EKS: clusters with their access entries, Pod Identity associations and what runs in them.

use aws_sdk_eks::Client;
use aws_sdk_eks::types::{AuthenticationMode, Cluster, PodIdentityAssociation};
use futures::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::call::{Call, last, outcome, text, time};
use super::{PARALLEL, Session};

/// Everything of the clusters of the region, or of the one that the user named.
pub(super) async fn calls(session: &Session<'_>) -> Vec<Call> {
    let client = Client::new(session.config);
    let bar = (session.progress)("eks");
    let mut calls = Vec::new();
    let mut names = Vec::new();
    match session.cluster {
        Some(name) => names.push(name.to_owned()),
        None => {
            let all = client.list_clusters().into_paginator().items().send().try_collect().await;
            calls.push(outcome("eks-list-clusters", "eks:ListClusters", all, &[], |x: &Vec<String>| {
                names.clone_from(x);
                json!({"clusters": x})
            }));
        }
    }
    for name in names {
        calls.extend(cluster(&client, &name).await);
        bar.inc(1);
    }
    bar.finish_and_clear();
    calls
}

async fn cluster(client: &Client, name: &str) -> Vec<Call> {
    let mut mode = None;
    let described = client.describe_cluster().name(name).send().await;
    let mut calls = vec![outcome(format!("eks-describe-cluster-{name}"), "eks:DescribeCluster", described, &[], |x| {
        let Some(c) = x.cluster() else { return Value::Null };
        mode = c.access_config().and_then(|a| a.authentication_mode()).cloned();
        json!({"cluster": description(c)})
    })];
    // Without the mode API there are no entries, and asking for them is an error.
    let entries = mode != Some(AuthenticationMode::ConfigMap);
    if entries {
        let all = client.list_access_entries().cluster_name(name).into_paginator().items().send().try_collect().await;
        let mut arns = Vec::new();
        let list = format!("eks-list-access-entries-{name}");
        calls.push(outcome(list, "eks:ListAccessEntries", all, &[], |x: &Vec<String>| {
            arns.clone_from(x);
            json!({"accessEntries": x})
        }));
        let each = stream::iter(arns).map(|arn| entry(client, name, arn)).buffered(PARALLEL).concat().await;
        calls.extend(each);
    } else {
        let answer = Ok(json!({"accessEntries": []}));
        calls.push(Call {
            name: format!("eks-list-access-entries-{name}"),
            action: "eks:ListAccessEntries",
            result: answer,
        });
    }
    calls.extend(associations(client, name).await);
    calls.extend(parts(client, name).await);
    calls
}

fn description(c: &Cluster) -> Value {
    let issuer = c.identity().and_then(|i| i.oidc()).and_then(|o| o.issuer());
    let access = c.access_config().map(|a| {
        json!({
            "authenticationMode": a.authentication_mode().map(|m| m.as_str()),
            "bootstrapClusterCreatorAdminPermissions": a.bootstrap_cluster_creator_admin_permissions(),
        })
    });
    let network = c.resources_vpc_config().map(
        |r| json!({"endpointPublicAccess": r.endpoint_public_access(), "publicAccessCidrs": r.public_access_cidrs()}),
    );
    json!({
        "name": c.name(), "arn": c.arn(), "endpoint": c.endpoint(), "version": c.version(),
        "status": c.status().map(|s| s.as_str()), "identity": {"oidc": {"issuer": issuer}},
        "accessConfig": access, "resourcesVpcConfig": network, "createdAt": time(c.created_at()),
    })
}

async fn entry(client: &Client, cluster: &str, arn: String) -> Vec<Call> {
    let described = client.describe_access_entry().cluster_name(cluster).principal_arn(&arn).send().await;
    let name = format!("eks-describe-access-entry-{}", last(&arn));
    let first = outcome(name, "eks:DescribeAccessEntry", described, &[], |x| {
        let Some(e) = x.access_entry() else { return Value::Null };
        json!({"accessEntry": {
            "principalArn": e.principal_arn(), "clusterName": e.cluster_name(), "type": e.r#type(),
            "username": e.username(), "kubernetesGroups": e.kubernetes_groups(), "createdAt": time(e.created_at()),
        }})
    });
    let request = client.list_associated_access_policies().cluster_name(cluster).principal_arn(&arn);
    // The items of the paginator leave the entry out, which the request names.
    let mut pages = request.into_paginator().send();
    let mut policies = Vec::new();
    let mut result = Ok(());
    while let Some(page) = pages.next().await {
        match page {
            Ok(page) => policies.extend(page.associated_access_policies().iter().map(|p| {
                let scope = p.access_scope();
                json!({"policyArn": p.policy_arn(), "accessScope": {
                    "type": scope.and_then(|s| s.r#type()).map(|t| t.as_str()),
                    "namespaces": scope.map(|s| s.namespaces()).unwrap_or_default(),
                }})
            })),
            Err(e) => {
                result = Err(e);
                break;
            }
        }
    }
    let name = format!("eks-list-associated-access-policies-{}", last(&arn));
    let second = outcome(
        name,
        "eks:ListAssociatedAccessPolicies",
        result,
        &[],
        |()| json!({"clusterName": cluster, "principalArn": arn, "associatedAccessPolicies": policies}),
    );
    vec![first, second]
}

async fn associations(client: &Client, cluster: &str) -> Vec<Call> {
    let all = client.list_pod_identity_associations().cluster_name(cluster);
    let all: Result<Vec<_>, _> = all.into_paginator().items().send().try_collect().await;
    let mut ids = Vec::new();
    let name = format!("eks-list-pod-identity-associations-{cluster}");
    let mut calls = vec![outcome(name, "eks:ListPodIdentityAssociations", all, &[], |x| {
        ids.extend(x.iter().filter_map(|a| a.association_id().map(str::to_owned)));
        json!({"associations": ids.iter().map(|id| json!({"associationId": id})).collect::<Vec<_>>()})
    })];
    let each: Vec<Call> = stream::iter(ids)
        .map(|id| {
            let request = client.describe_pod_identity_association().cluster_name(cluster).association_id(&id);
            async move {
                let name = format!("eks-describe-pod-identity-association-{id}");
                outcome(name, "eks:DescribePodIdentityAssociation", request.send().await, &[], |x| {
                    x.association().map_or(Value::Null, |a| json!({"association": association(a)}))
                })
            }
        })
        .buffered(PARALLEL)
        .collect()
        .await;
    calls.extend(each);
    calls
}

fn association(a: &PodIdentityAssociation) -> Value {
    json!({
        "associationId": a.association_id(), "clusterName": a.cluster_name(), "namespace": a.namespace(),
        "serviceAccount": a.service_account(), "roleArn": a.role_arn(), "targetRoleArn": a.target_role_arn(),
        "externalId": a.external_id(), "disableSessionTags": a.disable_session_tags(), "policy": a.policy(),
    })
}

/// What runs in a cluster, by name.
async fn parts(client: &Client, cluster: &str) -> Vec<Call> {
    let groups = client.list_nodegroups().cluster_name(cluster).into_paginator().items().send();
    let profiles = client.list_fargate_profiles().cluster_name(cluster).into_paginator().items().send();
    let addons = client.list_addons().cluster_name(cluster).into_paginator().items().send();
    let capabilities = client.list_capabilities().cluster_name(cluster).into_paginator().items().send();
    let name = |part: &str| format!("eks-list-{part}-{cluster}");
    let capabilities: Result<Vec<aws_sdk_eks::types::CapabilitySummary>, _> = capabilities.try_collect().await;
    let names: Vec<String> =
        capabilities.iter().flatten().filter_map(|c| c.capability_name().map(str::to_owned)).collect();
    let mut calls = vec![
        outcome(
            name("nodegroups"),
            "eks:ListNodegroups",
            groups.try_collect().await,
            &[],
            |x: &Vec<String>| json!({"nodegroups": x}),
        ),
        outcome(
            name("fargate-profiles"),
            "eks:ListFargateProfiles",
            profiles.try_collect().await,
            &[],
            |x: &Vec<String>| json!({"fargateProfileNames": x}),
        ),
        outcome(
            name("addons"),
            "eks:ListAddons",
            addons.try_collect().await,
            &[],
            |x: &Vec<String>| json!({"addons": x}),
        ),
        outcome(
            name("capabilities"),
            "eks:ListCapabilities",
            capabilities,
            &[],
            |x: &Vec<aws_sdk_eks::types::CapabilitySummary>| {
                let all = x.iter().map(
                    |c| json!({"capabilityName": text(c.capability_name()), "type": c.r#type().map(|t| t.as_str())}),
                );
                json!({"capabilities": all.collect::<Vec<_>>()})
            },
        ),
    ];
    // The list leaves the role out.
    for capability in names {
        let described = client.describe_capability().cluster_name(cluster).capability_name(&capability).send().await;
        calls.push(outcome(
            format!("eks-describe-capability-{capability}"),
            "eks:DescribeCapability",
            described,
            &[],
            |x| {
                let Some(c) = x.capability() else { return Value::Null };
                json!({"capability": {
                    "capabilityName": c.capability_name(), "clusterName": c.cluster_name(),
                    "type": c.r#type().map(|t| t.as_str()), "roleArn": c.role_arn(),
                }})
            },
        ));
    }
    calls
}
