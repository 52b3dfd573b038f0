//! Calls that list what leads from the cluster into its cloud account or back, and have no answer: without it a *no* may be
//! wrong.

use std::collections::BTreeSet;

use crate::model::cloud::{CloudObject, Provider, scope};
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
    let called = |name: &str| called(cluster, name);
    // Other accounts are no answer about that of the cluster.
    let some = |kind: &str| cloud.iter().any(|o| o.kind() == kind && scope(&o.metadata.name).0.is_empty());
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
    let last = |id: &str| id.rsplit('/').next().unwrap_or_default().to_owned();
    let instance = |id: &str| cluster.find(Kind::CloudObject, "GcpInstance", &last(id)).is_some();
    // Where its nodes were found and no cluster is listed, GKE does not run it.
    let own = called(cluster, "gcloud-container-clusters-list") && gce().any(instance);
    lacks(some && of(cluster, "GcpCluster").next().is_none() && !own, "gcloud-container-clusters-describe".into());
    let pools = of(cluster, "GcpNodePool").next().is_some();
    lacks(!pools && !gce().all(instance), "gcloud-compute-instances-list".into());
    // The default account of instances has the number of the project in its name.
    let default =
        of(cluster, "GcpNodePool").any(|p| p.spec.pointer("/config/serviceAccount").is_some_and(|a| a == "default"));
    let mut projects: BTreeSet<&str> = gce().filter_map(|id| id.strip_prefix("gce://")?.split('/').next()).collect();
    // Of those that were only listed nothing is asked.
    let read =
        of(cluster, "GcpProject").filter(|p| p.spec.get("bindings").is_some() || p.spec.get("ancestors").is_some());
    projects.extend(read.map(|p| p.metadata.name.as_str()));
    // One search tells of every policy below its scope; what it does not tell of has none.
    let searched = called(cluster, "gcloud-asset-search-all-iam-policies");
    let object = |kind: &str, name: &str| {
        let found = cluster.find(Kind::CloudObject, kind, name);
        found.and_then(|i| cluster.objects.cloud.get(i as usize))
    };
    for project in projects {
        let o = object("GcpProject", project);
        let has = |field: &str| o.is_some_and(|o| o.spec.get(field).is_some());
        lacks(!searched && !has("bindings"), format!("gcloud-projects-get-iam-policy-{project}"));
        lacks(!has("ancestors"), format!("gcloud-projects-get-ancestors-iam-policy-{project}"));
        let number = has("projectNumber") || has("defaultServiceAccount");
        lacks(default && !number, format!("gcloud-projects-describe-{project}"));
        for a in o.map(|o| o.list("ancestors")).unwrap_or_default() {
            let text = |f: &str| a.get(f).and_then(serde_json::Value::as_str).unwrap_or_default();
            let (kind, call) = match text("type") {
                "folder" => ("GcpFolder", "gcloud-resource-manager-folders-get-iam-policy"),
                "organization" => ("GcpOrganization", "gcloud-organizations-get-iam-policy"),
                _ => continue,
            };
            let read = object(kind, text("id")).is_some_and(|o| o.spec.get("bindings").is_some());
            lacks(!read, format!("{call}-{}", text("id")));
        }
    }
    // Paths have the number of the project where the list had it: which project that is must be known.
    let numbered = ["GcpSecret", "GcpKmsKey", "GcpKeyRing"].into_iter().flat_map(|k| of(cluster, k)).filter_map(|o| {
        let number = o.text("path").strip_prefix("projects/")?.split('/').next()?;
        number.bytes().all(|b| b.is_ascii_digit()).then(|| number.to_owned())
    });
    let several = of(cluster, "GcpProject").nth(1).is_some();
    for number in numbered.collect::<BTreeSet<String>>().into_iter().filter(|_| several) {
        lacks(true, format!("gcloud-projects-describe-{number}"));
    }
    lacks(!called(cluster, "gcloud-iam-service-accounts-list"), "gcloud-iam-service-accounts-list".into());
    for a in of(cluster, "GcpServiceAccount").filter(|a| !of_google(&a.metadata.name)) {
        let read = searched || a.spec.get("bindings").is_some();
        lacks(!read, format!("gcloud-iam-service-accounts-get-iam-policy-{}", a.metadata.name));
    }
    for g in of(cluster, "GcpMember") {
        let group = g.metadata.name.strip_prefix("group:");
        let unread = g.spec.get("members").is_none();
        lacks(
            unread && group.is_some(),
            format!("gcloud-identity-groups-memberships-list-{}", group.unwrap_or_default()),
        );
    }
    out
}

/// Whether a service account is one that Google runs its services with: nobody else acts as it.
fn of_google(email: &str) -> bool {
    let (local, domain) = email.split_once('@').unwrap_or((email, ""));
    let customers = domain.ends_with(".iam.gserviceaccount.com") && !domain.starts_with("gcp-sa-");
    let default = matches!(domain, "developer.gserviceaccount.com" | "appspot.gserviceaccount.com");
    local.starts_with("service-") || !(customers || default)
}

/// The cluster, its machines, role assignments, identities without their federated credentials, and groups.
fn azure(cluster: &Cluster) -> Vec<String> {
    let mut out = Vec::new();
    let mut lacks = |is: bool, call: String| out.extend(is.then_some(call));
    let ids: Vec<String> = nodes(cluster, "azure://").map(|id| format!("{}/", id.to_lowercase())).collect();
    let machines = || of(cluster, "AzureScaleSet").chain(of(cluster, "AzureVirtualMachine"));
    let seen = |id: &String| {
        machines().any(|m| match m.text("id").to_lowercase() {
            known if known.is_empty() => id.contains(&format!("/{}/", m.metadata.name.to_lowercase())),
            known => id.contains(&format!("{known}/")),
        })
    };
    // Where its nodes were found and no cluster is listed, AKS does not run it.
    let own = called(cluster, "az-aks-list") && ids.iter().any(seen);
    lacks(!ids.is_empty() && of(cluster, "AzureCluster").next().is_none() && !own, "az-aks-show".into());
    let assigned = of(cluster, "Call").any(|c| c.metadata.name.starts_with("az-role-assignment-list"));
    lacks(!assigned, "az-role-assignment-list".into());
    lacks(!ids.iter().all(seen), "az-vmss-list".into());
    // The cluster names the identity of its kubelets, and no other.
    lacks(!called(cluster, "az-identity-list"), "az-identity-list".into());
    for i in of(cluster, "AzureIdentity") {
        let read = i.spec.get("federatedCredentials").is_some();
        let name = i.metadata.name.split('/').rev().collect::<Vec<_>>().join("-");
        lacks(!read, format!("az-identity-federated-credential-list-{name}"));
    }
    let principal = |o: &CloudObject| Some(o.spec.pointer("/identity/principalId")?.as_str()?.to_owned());
    let own: BTreeSet<String> = machines().chain(of(cluster, "AzureCluster")).filter_map(principal).collect();
    let tenant = of(cluster, "AzureSubscription").next().map_or("", |s| s.text("tenantId"));
    for s in of(cluster, "AzureServicePrincipal") {
        let (app, name) = (s.text("appId"), s.metadata.name.as_str());
        let managed = s.text("servicePrincipalType") == "ManagedIdentity" || own.contains(name);
        // Credentials of an application of another tenant are that one's to read.
        let owner = s.text("appOwnerOrganizationId");
        let foreign = !owner.is_empty() && !tenant.is_empty() && owner != tenant;
        let credentials = |app: &str| {
            let o = cluster.find(Kind::CloudObject, "AzureApplication", app);
            let o = o.and_then(|i| cluster.objects.cloud.get(i as usize));
            o.is_some_and(|o| o.spec.get("federatedCredentials").is_some())
        };
        lacks(!managed && app.is_empty(), format!("az-ad-sp-show-{name}"));
        let unread = !managed && !foreign && !app.is_empty() && !credentials(app);
        lacks(unread, format!("az-ad-app-federated-credential-list-{app}"));
    }
    for a in of(cluster, "AzureApplication") {
        let known = of(cluster, "AzureServicePrincipal").any(|s| s.text("appId") == a.metadata.name);
        let asked = a.spec.get("federatedCredentials").is_some();
        lacks(asked && !known, format!("az-ad-sp-show-{}", a.metadata.name));
    }
    for g in of(cluster, "AzureGroup") {
        let unread = g.spec.get("members").is_none();
        lacks(unread, format!("az-ad-group-member-list-{}", g.metadata.name));
    }
    out
}
