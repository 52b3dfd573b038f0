//! Calls that list what leads from the cluster into its cloud account or back, and have no answer: without it a *no* may be
//! wrong.

use std::collections::BTreeSet;

use crate::model::cloud::{CloudObject, Provider};
use crate::model::{Cluster, Kind};

/// Names of the calls; nothing for a cloud that there is no data of at all.
pub fn calls(cluster: &Cluster) -> Vec<String> {
    let read: BTreeSet<Provider> = cluster.objects.cloud.iter().map(CloudObject::provider).collect();
    let mut out = Vec::new();
    for provider in read {
        out.extend(match provider {
            Provider::Aws => aws(cluster),
            Provider::Gcp => gcp(cluster),
            Provider::Azure => azure(cluster),
        });
    }
    out
}

/// Ids of nodes that begin so.
fn nodes<'c>(cluster: &'c Cluster, start: &'static str) -> impl Iterator<Item = &'c str> {
    cluster.objects.nodes.iter().map(|n| n.spec.provider_id.as_str()).filter(move |id| id.starts_with(start))
}

/// Objects of a kind.
fn of<'c>(cluster: &'c Cluster, kind: &'static str) -> impl Iterator<Item = &'c CloudObject> {
    cluster.objects.cloud.iter().filter(move |o| o.kind() == kind)
}

fn called(cluster: &Cluster, call: &str) -> bool {
    cluster.find(Kind::CloudObject, "Call", call).is_some()
}

fn aws(cluster: &Cluster) -> Vec<String> {
    let cloud = &cluster.objects.cloud;
    let called = |name: &str| cluster.find(Kind::CloudObject, "Call", name).is_some();
    let some = |kind: &str| cloud.iter().any(|o| o.kind() == kind);
    let mut out = Vec::new();
    let mut lacks = |is: bool, call: &str| out.extend(is.then(|| call.to_owned()));
    let details = "iam-get-account-authorization-details";
    lacks(!called(details) && !called("iam-list-roles") && !some("IamRole"), details);
    let providers = "iam-list-open-id-connect-providers";
    lacks(!called(providers) && !some("OpenIDConnectProvider"), providers);
    let ids =
        || cluster.objects.nodes.iter().map(|n| n.spec.provider_id.as_str()).filter(|id| id.starts_with("aws://"));
    lacks(ids().next().is_some() && !called("ec2-describe-instances"), "ec2-describe-instances");
    // Where its nodes were found and no cluster is listed, EKS does not run it.
    let found =
        |id: &str| cluster.find(Kind::CloudObject, "Ec2Instance", id.rsplit('/').next().unwrap_or(id)).is_some();
    let own = called("eks-list-clusters") && ids().any(found);
    lacks(ids().next().is_some() && !some("EksCluster") && !own, "eks-describe-cluster");
    for c in cloud.iter().filter(|o| o.kind() == "EksCluster") {
        let name = &c.metadata.name;
        let mode = c.spec.pointer("/accessConfig/authenticationMode").and_then(serde_json::Value::as_str);
        let own = |kind: &str| cloud.iter().any(|o| o.kind() == kind && o.text("clusterName") == name);
        let entries = format!("eks-list-access-entries-{name}");
        lacks(mode != Some("CONFIG_MAP") && !called(&entries) && !own("EksAccessEntry"), &entries);
        let associations = format!("eks-list-pod-identity-associations-{name}");
        lacks(!called(&associations) && !own("EksPodIdentityAssociation"), &associations);
    }
    out
}

/// Projects, folders and the organization without their policies, and service accounts.
fn gcp(cluster: &Cluster) -> Vec<String> {
    let mut out = Vec::new();
    let mut lacks = |is: bool, call: String| out.extend(is.then_some(call));
    let gce = || nodes(cluster, "gce://");
    let some = gce().next().is_some();
    lacks(some && of(cluster, "GcpCluster").next().is_none(), "gcloud-container-clusters-describe".into());
    let instance = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned();
    let unseen = || gce().any(|id| cluster.find(Kind::CloudObject, "GcpInstance", &instance(id)).is_none());
    let pools = of(cluster, "GcpNodePool").next().is_some();
    lacks(!pools && unseen(), "gcloud-compute-instances-list".into());
    let mut projects: BTreeSet<&str> = gce().filter_map(|id| id.strip_prefix("gce://")?.split('/').next()).collect();
    projects.extend(of(cluster, "GcpProject").map(|p| p.metadata.name.as_str()));
    // One search tells of every policy; what it does not tell of has none.
    let searched = called(cluster, "gcloud-asset-search-all-iam-policies");
    for project in projects {
        let o = cluster.find(Kind::CloudObject, "GcpProject", project);
        let o = o.and_then(|i| cluster.objects.cloud.get(i as usize));
        let has = |field: &str| o.is_some_and(|o| o.spec.get(field).is_some());
        lacks(!searched && !has("bindings"), format!("gcloud-projects-get-iam-policy-{project}"));
        lacks(!has("ancestors"), format!("gcloud-projects-get-ancestors-iam-policy-{project}"));
        for a in o.map(|o| o.list("ancestors")).unwrap_or_default() {
            let text = |f: &str| a.get(f).and_then(serde_json::Value::as_str).unwrap_or_default();
            let (kind, call) = match text("type") {
                "folder" => ("GcpFolder", "gcloud-resource-manager-folders-get-iam-policy"),
                "organization" => ("GcpOrganization", "gcloud-organizations-get-iam-policy"),
                _ => continue,
            };
            let above = cluster.find(Kind::CloudObject, kind, text("id"));
            let above = above.and_then(|i| cluster.objects.cloud.get(i as usize));
            let read = above.is_some_and(|o| o.spec.get("bindings").is_some());
            lacks(!searched && !read, format!("{call}-{}", text("id")));
        }
    }
    lacks(!called(cluster, "gcloud-iam-service-accounts-list"), "gcloud-iam-service-accounts-list".into());
    for a in of(cluster, "GcpServiceAccount") {
        // Others are of another project, or of Google.
        let listed = a.spec.get("uniqueId").is_some() || a.spec.get("projectId").is_some();
        let read = searched || a.spec.get("bindings").is_some();
        lacks(listed && !read, format!("gcloud-iam-service-accounts-get-iam-policy-{}", a.metadata.name));
    }
    out
}

/// The cluster, its machines, role assignments, and identities without their federated credentials.
fn azure(cluster: &Cluster) -> Vec<String> {
    let mut out = Vec::new();
    let mut lacks = |is: bool, call: String| out.extend(is.then_some(call));
    let ids: Vec<String> = nodes(cluster, "azure://").map(str::to_lowercase).collect();
    lacks(!ids.is_empty() && of(cluster, "AzureCluster").next().is_none(), "az-aks-show".into());
    lacks(!called(cluster, "az-role-assignment-list"), "az-role-assignment-list".into());
    let machines: Vec<String> = of(cluster, "AzureScaleSet")
        .chain(of(cluster, "AzureVirtualMachine"))
        .map(|m| m.text("id").to_lowercase())
        .filter(|id| !id.is_empty())
        .collect();
    let seen = |id: &String| machines.iter().any(|m| id.contains(m.as_str()));
    lacks(!ids.iter().all(seen), "az-vmss-list".into());
    let identities = || of(cluster, "AzureIdentity");
    lacks(identities().next().is_none() && !called(cluster, "az-identity-list"), "az-identity-list".into());
    for i in identities() {
        let read = i.spec.get("federatedCredentials").is_some();
        lacks(!read, format!("az-identity-federated-credential-list-{}", i.metadata.name));
    }
    let own: BTreeSet<&str> = of(cluster, "AzureScaleSet")
        .chain(of(cluster, "AzureVirtualMachine"))
        .filter_map(|m| m.spec.pointer("/identity/principalId")?.as_str())
        .collect();
    for s in of(cluster, "AzureServicePrincipal") {
        let (app, name) = (s.text("appId"), s.metadata.name.as_str());
        let managed = s.text("servicePrincipalType") == "ManagedIdentity" || own.contains(name);
        let credentials = |app: &str| {
            let o = cluster.find(Kind::CloudObject, "AzureApplication", app);
            let o = o.and_then(|i| cluster.objects.cloud.get(i as usize));
            o.is_some_and(|o| o.spec.get("federatedCredentials").is_some())
        };
        lacks(!managed && app.is_empty(), format!("az-ad-sp-show-{name}"));
        let unread = !managed && !app.is_empty() && !credentials(app);
        lacks(unread, format!("az-ad-app-federated-credential-list-{app}"));
    }
    for a in of(cluster, "AzureApplication") {
        let known = of(cluster, "AzureServicePrincipal").any(|s| s.text("appId") == a.metadata.name);
        let asked = a.spec.get("federatedCredentials").is_some();
        lacks(asked && !known, format!("az-ad-sp-show-{}", a.metadata.name));
    }
    out
}
