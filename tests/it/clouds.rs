//! Google Cloud and Azure from saved answers: what counts, what does not, and what is missing.

use std::process::Command;

use kpath::model::Kind;
use kpath::model::cloud::Provider;
use kpath::snapshot::ClusterOptions;
use serde_json::{Map, Value, json};

use crate::support::{account_of, repo, snapshot_of, text};

/// Answers by the name of their call.
type Answers = Map<String, Value>;

/// Answers of a firing fixture.
fn answers(technique: &str) -> Answers {
    let all = account_of(&repo(&format!("testdata/techniques/{technique}/fires.yaml")));
    let name = |file: String| file.split_once('/').unwrap().1.trim_end_matches(".json").to_owned();
    all.into_iter().map(|(file, v)| (name(file), serde_json::from_str(&v).unwrap())).collect()
}

/// The verdict on a question, and the ids that leave it open.
fn ask(technique: &str, objects: &str, answers: &Answers, more: &[&str], from: &str, to: &str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let provider = if technique.starts_with("gcp") { Provider::Gcp } else { Provider::Azure };
    std::fs::write(dir.path().join("cluster.yaml"), objects).unwrap();
    std::fs::create_dir(dir.path().join(provider.folder())).unwrap();
    for (call, v) in answers {
        let file = dir.path().join(provider.folder()).join(format!("{call}.json"));
        std::fs::write(file, v.to_string()).unwrap();
    }
    let out = Command::new(env!("CARGO_BIN_EXE_kpath"))
        .args(["can", from, "reach", to, "-f", dir.path().to_str().unwrap(), "-o", "json"])
        .args(more)
        .output()
        .unwrap();
    let v: Value = serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{from} {to}: {e}: {}", String::from_utf8_lossy(&out.stderr)));
    let ids: Vec<&str> = v["unknownBecause"].as_array().unwrap().iter().map(|u| u["id"].as_str().unwrap()).collect();
    (v["answer"].as_str().unwrap().to_owned(), ids.join(" "))
}

fn objects(technique: &str) -> String {
    text(&repo(&format!("testdata/techniques/{technique}/fires.yaml")))
}

/// The verdict after a change of the answers of a fixture.
fn changed(technique: &str, change: impl FnOnce(&mut Answers), to: &str) -> (String, String) {
    let mut all = answers(technique);
    change(&mut all);
    ask(technique, &objects(technique), &all, &["--complete"], "pod/prod/app", to)
}

fn verdict(technique: &str, change: impl FnOnce(&mut Answers), to: &str) -> String {
    changed(technique, change, to).0
}

/// The same without `--complete`: which call a *no* lacks.
fn lacks(technique: &str, change: impl FnOnce(&mut Answers), to: &str) -> (String, String) {
    let mut all = answers(technique);
    change(&mut all);
    // Kinds of the cluster are settled one by one: there is nothing more in it.
    let kinds: Vec<String> = Kind::ALL.iter().map(|k| format!("--given=unread:{}=no", k.info().kind)).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    ask(technique, &objects(technique), &all, &kinds, "pod/prod/app", to)
}

fn bind(role: &str, member: &str) -> Value {
    json!({"bindings": [{"role": role, "members": [member]}]})
}

const APP: &str = "serviceAccount:app@p1.iam.gserviceaccount.com";
const POLICY: &str = "iam-service-accounts-get-iam-policy-app@p1.iam.gserviceaccount.com";
const POOL: &str = "//iam.googleapis.com/projects/111122223333/locations/global/workloadIdentityPools/p1.svc.id.goog";
const GSA: &str = "role:app@p1.iam.gserviceaccount.com";

#[test]
fn every_form_of_a_member_means_the_accounts_that_it_says() {
    let cluster = "https://container.googleapis.com/v1/projects/p1/locations/europe-west1-b/clusters/c1";
    for (member, expected) in [
        ("serviceAccount:p1.svc.id.goog[prod/app]".to_owned(), "yes"),
        ("serviceAccount:p1.svc.id.goog[prod/other]".to_owned(), "no"),
        ("serviceAccount:p2.svc.id.goog[prod/app]".to_owned(), "no"),
        (format!("principal:{POOL}/subject/ns/prod/sa/app"), "yes"),
        (format!("principal:{POOL}/subject/ns/other/sa/app"), "no"),
        (format!("principalSet:{POOL}/namespace/prod"), "yes"),
        (format!("principalSet:{POOL}/namespace/other"), "no"),
        (format!("principalSet:{POOL}/kubernetes.cluster/{cluster}"), "yes"),
        (format!("principalSet:{POOL}/kubernetes.cluster/{cluster}2"), "no"),
        (format!("principalSet:{POOL}/*"), "yes"),
    ] {
        let change = |a: &mut Answers| {
            a.insert(POLICY.into(), bind("roles/iam.workloadIdentityUser", &member));
        };
        assert_eq!(verdict("gcp-workload-identity-gsa", change, GSA), expected, "{member}");
    }
}

#[test]
fn conditions_deny_policies_and_switched_off_accounts_count() {
    let t = "gcp-workload-identity-gsa";
    let (answer, because) = changed(
        t,
        |a| a[POLICY]["bindings"][0]["condition"] = json!({"title": "until friday", "expression": "request.time < x"}),
        GSA,
    );
    assert!(answer == "unknown" && because.ends_with(":until friday"), "{answer} {because}");
    let deny = |attached: &str, who: &str, exceptions: Value| {
        let attached = attached.replace('/', "%2F");
        json!([{"name": format!("policies/cloudresourcemanager.googleapis.com%2F{attached}/denypolicies/d"),
            "rules": [{"denyRule": {"deniedPrincipals": [who], "exceptionPrincipals": exceptions,
                "deniedPermissions": ["iam.googleapis.com/serviceAccounts.*"]}}]}])
    };
    let everybody = "principalSet://goog/public:all";
    for (attached, who, exceptions, expected) in [
        ("projects/111122223333", everybody, json!([]), "no"),
        ("projects/p1", everybody, json!([]), "no"),
        ("projects/999", everybody, json!([]), "yes"),
        ("projects/p1", "principal://goog/subject/alice@example.com", json!([]), "yes"),
        ("projects/p1", everybody, json!(["principal://goog/subject/x@example.com"]), "unknown"),
        ("projects/p1", "principalSet://goog/group/some@example.com", json!([]), "unknown"),
    ] {
        let change = |a: &mut Answers| {
            a.insert("iam-policies-list-p1".into(), deny(attached, who, exceptions.clone()));
        };
        assert_eq!(verdict(t, change, GSA), expected, "{attached} {who} {exceptions}");
    }
    // Without the list nobody knows; a policy that is only listed may say anything.
    let (answer, because) = changed(t, |a| drop(a.remove("iam-policies-list-p1")), GSA);
    assert!(answer == "unknown" && because.contains("unread:gcloud-iam-policies-list"), "{answer} {because}");
    assert_eq!(verdict(t, |a| a["iam-service-accounts-list"][0]["disabled"] = json!(true), GSA), "no");
}

#[test]
fn roles_are_read_from_answers_then_from_the_table_and_are_else_not_known() {
    let t = "gcp-iam-grant";
    let give =
        |role: &'static str| move |a: &mut Answers| drop(a.insert("secrets-get-iam-policy-db".into(), bind(role, APP)));
    assert_eq!(verdict(t, give("roles/secretmanager.secretAccessor"), "cloud-secret/db"), "yes");
    let (answer, because) = changed(t, give("projects/p1/roles/own"), "cloud-secret/db");
    assert!(
        answer == "unknown" && because.contains("unread:gcloud-iam-roles-describe-projects-p1-roles-own"),
        "{because}"
    );
    let described = |permissions: Value| {
        move |a: &mut Answers| {
            a.insert("secrets-get-iam-policy-db".into(), bind("projects/p1/roles/own", APP));
            let role = json!({"name": "projects/p1/roles/own", "etag": "x", "includedPermissions": permissions});
            a.insert("iam-roles-describe-own".into(), role);
        }
    };
    assert_eq!(verdict(t, described(json!(["secretmanager.versions.access"])), "cloud-secret/db"), "yes");
    assert_eq!(verdict(t, described(json!(["secretmanager.secrets.get"])), "cloud-secret/db"), "no");
    // A list of roles does not say what they hold.
    let listed = |a: &mut Answers| {
        a.insert("iam-roles-list".into(), json!([{"name": "roles/secretmanager.secretAccessor", "etag": "x"}]));
    };
    assert_eq!(verdict(t, listed, "cloud-secret/db"), "yes");
}

#[test]
fn what_is_given_above_counts_below_and_nowhere_else() {
    let t = "gcp-iam-grant";
    let above = |call: &'static str, role: &'static str| {
        move |a: &mut Answers| {
            a.insert("secrets-get-iam-policy-db".into(), json!({}));
            let levels = json!([{"id": "p1", "type": "project"}, {"id": "7", "type": "folder"}, {"id": "8", "type": "organization"}]);
            a.insert("projects-get-ancestors-p1".into(), levels);
            a.insert(call.into(), bind(role, APP));
        }
    };
    let reader = "roles/secretmanager.secretAccessor";
    for (call, expected) in [
        ("projects-get-iam-policy-p1", "yes"),
        ("resource-manager-folders-get-iam-policy-7", "yes"),
        ("organizations-get-iam-policy-8", "yes"),
        ("resource-manager-folders-get-iam-policy-9", "no"),
        ("projects-get-iam-policy-p2", "no"),
    ] {
        assert_eq!(verdict(t, above(call, reader), "cloud-secret/db"), expected, "{call}");
    }
    // Who gives roles has each; a right for folders is of no use at a project.
    assert_eq!(
        verdict(t, above("projects-get-iam-policy-p1", "roles/resourcemanager.projectIamAdmin"), "account-admin"),
        "yes"
    );
    assert_eq!(verdict(t, above("organizations-get-iam-policy-8", "roles/owner"), "cluster-admin"), "yes");
    assert_eq!(verdict(t, above("projects-get-iam-policy-p1", "roles/viewer"), "account-admin"), "no");
    // A secret of the same name in another project is another one.
    let searched = |project: &'static str| {
        move |a: &mut Answers| {
            a.remove("secrets-get-iam-policy-db");
            let found = json!([{"resource": format!("//secretmanager.googleapis.com/projects/{project}/secrets/db"),
                "project": format!("projects/{project}"), "policy": bind(reader, APP)}]);
            a.insert("asset-search-all-iam-policies".into(), found);
        }
    };
    assert_eq!(verdict(t, searched("111122223333"), "cloud-secret/db"), "yes");
    assert_eq!(verdict(t, searched("999"), "cloud-secret/projects/p1/*"), "no");
}

#[test]
fn tokens_of_nodes_reach_as_far_as_their_scopes() {
    let t = "gcp-node-sa";
    let scoped = |scope: &'static str| {
        move |a: &mut Answers| {
            a["compute-instances-list"][0]["serviceAccounts"][0]["scopes"] =
                json!([format!("https://www.googleapis.com/auth/{scope}")]);
            let node = "serviceAccount:node@p1.iam.gserviceaccount.com";
            a.insert("projects-get-iam-policy-p1".into(), bind("roles/editor", node));
            a.insert("storage-buckets-list".into(), json!([{"name": "data"}]));
            let readers = bind("roles/storage.legacyObjectReader", "projectEditor:p1");
            a.insert("storage-buckets-get-iam-policy-data".into(), readers);
        }
    };
    for (scope, bucket, role) in [
        ("cloud-platform", "yes", "yes"),
        ("devstorage.read_only", "yes", "no"),
        ("devstorage.write_only", "no", "no"),
        ("logging.write", "no", "no"),
    ] {
        assert_eq!(verdict(t, scoped(scope), "bucket/data"), bucket, "{scope}");
        assert_eq!(verdict(t, scoped(scope), "role:node@p1.iam.gserviceaccount.com"), role, "{scope}");
    }
    // Pods in the network of the node go past the metadata server of GKE.
    let host = objects("gcp-workload-identity-gsa").replace("  nodeName: w1", "  nodeName: w1\n  hostNetwork: true");
    let all = answers("gcp-workload-identity-gsa");
    let ask = |to: &str| ask("gcp-x", &host, &all, &["--complete"], "pod/prod/app", to).0;
    assert_eq!((ask("role:node@p1.iam.gserviceaccount.com"), ask(GSA)), ("yes".into(), "no".into()));
}

#[test]
fn metadata_is_changed_by_who_may_act_as_the_account_of_the_node() {
    let t = "gcp-compute-metadata";
    let rights = |permissions: Value, act_as: &'static str| {
        move |a: &mut Answers| {
            a["iam-roles-describe-meta"]["includedPermissions"] = permissions;
            if !act_as.is_empty() {
                let call = format!("iam-service-accounts-get-iam-policy-{act_as}@p1.iam.gserviceaccount.com");
                a.insert(call, bind("roles/iam.serviceAccountUser", APP));
            }
        }
    };
    let set = json!(["compute.instances.setMetadata"]);
    assert_eq!(verdict(t, rights(set.clone(), "node"), "node/w1"), "yes");
    assert_eq!(verdict(t, rights(set.clone(), "admin"), "node/w1"), "no");
    assert_eq!(verdict(t, rights(set.clone(), ""), "node/w1"), "no");
    // The switch of the instance is its own metadata, unless the organization has a say.
    let switched = |a: &mut Answers| {
        rights(set.clone(), "node")(a);
        let items = json!([{"key": "enable-oslogin", "value": "TRUE"}, {"key": "kube-env", "value": "hunter2"}]);
        a["compute-instances-list"][0]["metadata"]["items"] = items;
    };
    let (answer, because) = changed(t, switched, "node/w1");
    assert!(answer == "unknown" && because.contains("compute.requireOsLogin"), "{answer} {because}");
    let free = |a: &mut Answers| {
        switched(a);
        a.insert(
            "org-policies-describe-compute.requireOsLogin".into(),
            json!({"name": "x/compute.requireOsLogin", "spec": {}}),
        );
    };
    assert_eq!(verdict(t, free, "node/w1"), "yes");
}

#[test]
fn one_cluster_of_several_is_the_one_where_the_nodes_are() {
    let t = "gcp-node-sa";
    let second = |zone: &'static str, mode: &'static str| {
        move |a: &mut Answers| {
            let mut other = a["container-clusters-describe-c1"].clone();
            other["selfLink"] =
                json!(format!("https://container.googleapis.com/v1/projects/p1/zones/{zone}/clusters/c1"));
            other["location"] = json!(zone);
            other["nodePools"][0]["selfLink"] = json!(format!(
                "https://container.googleapis.com/v1/projects/p1/zones/{zone}/clusters/c1/nodePools/main"
            ));
            other["nodePools"][0]["config"]["workloadMetadataConfig"]["mode"] = json!(mode);
            let both = json!([other, a["container-clusters-describe-c1"]]);
            a.insert("container-clusters-list".into(), both);
            a.remove("container-clusters-describe-c1");
        }
    };
    let node = "role:node@p1.iam.gserviceaccount.com";
    assert_eq!(verdict(t, second("us-east1-b", "GKE_METADATA"), node), "yes");
    // Two of one place cannot be told apart: then each counts if it is that.
    let twins = |a: &mut Answers| {
        let mut other = a["container-clusters-describe-c1"].clone();
        let link = other["selfLink"].as_str().unwrap().replace("/c1", "/c2");
        other["selfLink"] = json!(link);
        other["name"] = json!("c2");
        other["nodePools"][0]["selfLink"] = json!(format!("{link}/nodePools/main"));
        other["nodePools"][0]["config"]["workloadMetadataConfig"]["mode"] = json!("GKE_METADATA");
        a.insert("container-clusters-describe-c2".into(), other);
        a["compute-instances-list"][0]["metadata"] = json!({});
    };
    let (answer, because) = changed(t, twins, node);
    assert!(answer == "unknown" && because.contains("gke-cluster:"), "{answer} {because}");
}

#[test]
fn calls_that_are_missing_leave_a_no_open() {
    let t = "gcp-iam-grant";
    let none = |a: &mut Answers| {
        a.insert("secrets-get-iam-policy-db".into(), json!({}));
    };
    assert_eq!(lacks(t, none, "cloud-secret/db"), ("no".into(), String::new()));
    for (call, id) in [
        ("container-clusters-describe-c1", "gcloud-container-clusters-describe"),
        ("projects-get-iam-policy-p1", "gcloud-projects-get-iam-policy-p1"),
        ("projects-get-ancestors-p1", "gcloud-projects-get-ancestors-iam-policy-p1"),
        ("iam-service-accounts-list", "gcloud-iam-service-accounts-list"),
        ("secrets-get-iam-policy-db", "gcloud-secrets-get-iam-policy-db"),
        (POLICY, "gcloud-iam-service-accounts-get-iam-policy-app@p1.iam.gserviceaccount.com"),
    ] {
        let change = |a: &mut Answers| {
            none(a);
            a.remove(call);
        };
        let (answer, because) = lacks(t, change, "cloud-secret/db");
        assert!(answer == "unknown" && because.contains(&format!("unread:{id}")), "{call}: {answer} {because}");
    }
    let group = |a: &mut Answers| {
        drop(a.insert(
            "secrets-get-iam-policy-db".into(),
            bind("roles/secretmanager.secretAccessor", "group:apps@example.com"),
        ))
    };
    let (answer, because) = lacks(t, group, "cloud-secret/db");
    assert!(
        answer == "unknown" && because.contains("gcloud-identity-groups-memberships-list-apps@example.com"),
        "{because}"
    );
    let members = |a: &mut Answers| {
        group(a);
        let list = json!([{"preferredMemberKey": {"id": "app@p1.iam.gserviceaccount.com"}}]);
        a.insert("identity-groups-memberships-list-apps@example.com".into(), list);
    };
    assert_eq!(verdict(t, members, "cloud-secret/db"), "yes");
}

const SUBSCRIPTION: &str = "/subscriptions/11111111-2222-3333-4444-555555555555";

/// A role of the fixture's identity in the place of those that it has.
fn assign(role: &str, scope: &str) -> Value {
    let id = "cccccccc-0000-0000-0000-000000000009";
    json!([{"id": format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{id}"), "name": id,
        "principalId": "AAAAAAAA-0000-0000-0000-000000000001", "principalType": "ServicePrincipal",
        "roleDefinitionId": format!("{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/x"),
        "roleDefinitionName": role, "scope": scope}])
}

fn given(role: &str, scope: &str) -> impl FnOnce(&mut Answers) {
    let list = assign(role, scope);
    move |a| drop(a.insert("role-assignment-list".into(), list))
}

#[test]
fn a_role_counts_at_its_scope_and_below() {
    let vault = format!("{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/shop");
    let reader = "Key Vault Secrets User";
    for (scope, expected) in [
        (vault.clone(), "yes"),
        (format!("{SUBSCRIPTION}/resourceGroups/rg"), "yes"),
        (format!("{SUBSCRIPTION}/RESOURCEGROUPS/RG"), "yes"),
        (SUBSCRIPTION.to_owned(), "yes"),
        ("/providers/Microsoft.Management/managementGroups/all".to_owned(), "yes"),
        ("/".to_owned(), "yes"),
        (format!("{SUBSCRIPTION}/resourceGroups/r"), "no"),
        (format!("{vault}2"), "no"),
        ("/subscriptions/other".to_owned(), "no"),
    ] {
        assert_eq!(verdict("azure-keyvault-read", given(reader, &scope), "vault/shop"), expected, "{scope}");
    }
    // Roles of Resource Manager say nothing of what a vault holds, but who changes the vault's own policies reads it.
    for (by_role, expected) in [(true, "no"), (false, "yes")] {
        let change = |a: &mut Answers| {
            a["keyvault-show-shop"]["properties"]["enableRbacAuthorization"] = json!(by_role);
            given("Contributor", &vault)(a);
        };
        assert_eq!(verdict("azure-keyvault-read", change, "vault/shop"), expected, "{by_role}");
    }
    let named = |a: &mut Answers| {
        a.insert("role-assignment-list".into(), json!([]));
        let p = &mut a["keyvault-show-shop"]["properties"];
        p["enableRbacAuthorization"] = json!(false);
        p["accessPolicies"] =
            json!([{"objectId": "aaaaaaaa-0000-0000-0000-000000000001", "permissions": {"secrets": ["Get"]}}]);
    };
    assert_eq!(verdict("azure-keyvault-read", named, "vault/shop"), "yes");
    let closed =
        |a: &mut Answers| a["keyvault-show-shop"]["properties"]["networkAcls"] = json!({"defaultAction": "Deny"});
    assert_eq!(changed("azure-keyvault-read", closed, "vault/shop"), ("unknown".into(), "vault-network:shop".into()));
}

#[test]
fn conditions_and_roles_that_were_not_read_leave_it_open() {
    let t = "azure-rbac-write";
    let (answer, because) = changed(t, given("Some Role", SUBSCRIPTION), "account-admin");
    assert!(answer == "unknown" && because.contains("unread:az-role-definition-list-Some Role"), "{answer} {because}");
    let conditional =
        |a: &mut Answers| a["role-assignment-list"][0]["condition"] = json!("@Resource[x] ForAnyOfAnyValues");
    let (answer, because) = changed(t, conditional, "account-admin");
    assert!(answer == "unknown" && because.contains("role-assignment-condition:"), "{answer} {because}");
    let described = |actions: Value, not: Value| {
        move |a: &mut Answers| {
            given("Some Role", SUBSCRIPTION)(a);
            a.insert(
                "role-definition-list".into(),
                json!([{"name": "x", "id": "/x/x", "roleName": "Some Role",
                "permissions": [{"actions": actions, "notActions": not, "dataActions": [], "notDataActions": []}]}]),
            );
        }
    };
    let write = "microsoft.authorization/roleassignments/WRITE";
    assert_eq!(verdict(t, described(json!([write]), json!([])), "account-admin"), "yes");
    assert_eq!(verdict(t, described(json!(["*"]), json!(["Microsoft.Authorization/*"])), "account-admin"), "no");
}

#[test]
fn a_federated_credential_takes_exactly_what_it_says() {
    let t = "azure-workload-identity";
    let issuer = |issuer: &'static str| {
        move |a: &mut Answers| a["identity-federated-credential-list-app"][0]["issuer"] = json!(issuer)
    };
    assert_eq!(verdict(t, issuer("https://westeurope.oic.prod-aks.azure.com/tenant/cluster/"), "role:app"), "yes");
    assert_eq!(verdict(t, issuer("https://westeurope.oic.prod-aks.azure.com/tenant/cluster"), "role:app"), "no");
    let subject = |subject: &'static str| {
        move |a: &mut Answers| a["identity-federated-credential-list-app"][0]["subject"] = json!(subject)
    };
    assert_eq!(verdict(t, subject("system:serviceaccount:prod:default"), "role:app"), "no");
    assert_eq!(verdict(t, subject("repo:example/app:ref:refs/heads/main"), "role:app"), "no");
    let expression = |text: &'static str| {
        move |a: &mut Answers| {
            let c = &mut a["identity-federated-credential-list-app"][0];
            c["claimsMatchingExpression"] = json!({"value": text, "languageVersion": 1});
            c["subject"] = json!(null);
        }
    };
    assert_eq!(verdict(t, expression("claims['sub'] matches 'system:serviceaccount:prod:*'"), "role:app"), "unknown");
    assert_eq!(verdict(t, expression("claims['sub'] matches 'system:serviceaccount:dev:*'"), "role:app"), "no");
    // The credentials of another identity of that name, in another group, are its own.
    let other = |a: &mut Answers| {
        let id =
            format!("{SUBSCRIPTION}/resourceGroups/zz/providers/Microsoft.ManagedIdentity/userAssignedIdentities/app");
        let more =
            json!({"id": id, "name": "app", "principalId": "aaaaaaaa-0000-0000-0000-000000000007", "clientId": "c"});
        a["identity-list"].as_array_mut().unwrap().push(more);
        a["identity-federated-credential-list-app"][0]["id"] = json!(format!("{id}/federatedIdentityCredentials/aks"));
    };
    assert_eq!(verdict(t, other, "role:rg/app"), "no");
    assert_eq!(verdict(t, other, "role:zz/app"), "yes");
}

#[test]
fn ways_into_the_cluster_are_open_as_it_is_set_up() {
    let t = "azure-aks-admin-credential";
    let aks = format!("{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ContainerService/managedClusters/aks1");
    let cluster = |role: &'static str, fields: Value| {
        let aks = aks.clone();
        move |a: &mut Answers| {
            given(role, &aks)(a);
            a["aks-show-aks1"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        }
    };
    let admin = "Azure Kubernetes Service Cluster Admin Role";
    let user = "Azure Kubernetes Service Cluster User Role";
    let entra = json!({"aadProfile": {"managed": true, "enableAzureRBAC": true}, "disableLocalAccounts": true});
    for (role, fields, expected) in [
        (admin, json!({}), "yes"),
        (admin, json!({"disableLocalAccounts": true, "apiServerAccessProfile": {"disableRunCommand": true}}), "no"),
        // Without Entra commands run as the administrator.
        (admin, json!({"disableLocalAccounts": true}), "yes"),
        (admin, entra.clone(), "no"),
        // Without Entra every user has the same credential.
        (user, json!({}), "yes"),
        (user, entra.clone(), "no"),
        ("Contributor", entra.clone(), "yes"),
        ("Reader", json!({}), "no"),
        ("Azure Kubernetes Service RBAC Cluster Admin", entra.clone(), "yes"),
        (
            "Azure Kubernetes Service RBAC Cluster Admin",
            json!({"disableLocalAccounts": true, "aadProfile": {"managed": true}}),
            "no",
        ),
        ("Azure Kubernetes Service RBAC Reader", entra, "no"),
    ] {
        assert_eq!(verdict(t, cluster(role, fields.clone()), "cluster-admin"), expected, "{role} {fields}");
    }
}

#[test]
fn calls_about_a_subscription_that_are_missing_leave_a_no_open() {
    let t = "azure-rbac-write";
    let none = |a: &mut Answers| drop(a.insert("role-assignment-list".into(), json!([])));
    assert_eq!(lacks(t, none, "account-admin"), ("no".into(), String::new()));
    for (call, id) in [
        ("aks-show-aks1", "az-aks-show"),
        ("role-assignment-list", "az-role-assignment-list"),
        ("identity-list", "az-identity-list"),
        ("identity-federated-credential-list-kubelet", "az-identity-federated-credential-list-kubelet"),
        ("vmss-list", "az-vmss-list"),
    ] {
        let change = |a: &mut Answers| {
            none(a);
            a.remove(call);
        };
        let (answer, because) = lacks(t, change, "account-admin");
        assert!(answer == "unknown" && because.contains(&format!("unread:{id}")), "{call}: {answer} {because}");
    }
    // Members of a group that has a role.
    let group = |a: &mut Answers| {
        let mut list = assign("Owner", SUBSCRIPTION);
        list[0]["principalId"] = json!("g-1");
        list[0]["principalType"] = json!("Group");
        a.insert("role-assignment-list".into(), list);
    };
    let (answer, because) = lacks(t, group, "account-admin");
    assert!(answer == "unknown" && because.contains("az-ad-group-member-list-g-1"), "{answer} {because}");
    let members = |a: &mut Answers| {
        group(a);
        a.insert("ad-group-member-list-g-1".into(), json!([{"id": "aaaaaaaa-0000-0000-0000-000000000001"}]));
    };
    assert_eq!(verdict(t, members, "account-admin"), "yes");
}

#[test]
fn no_value_of_metadata_and_no_text_of_a_condition_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("gcp")).unwrap();
    let mut all = answers("gcp-compute-metadata");
    all["compute-instances-list"][0]["metadata"]["items"] =
        json!([{"key": "kube-env", "value": "hunter2"}, {"key": "startup-script", "value": "hunter2"}]);
    all[POLICY]["bindings"][0]["condition"] = json!({"title": "t", "expression": "hunter2"});
    all.insert("compute-project-info-describe-p1".into(), json!({"name": "p1",
        "commonInstanceMetadata": {"items": [{"key": "ssh-keys", "value": "hunter2"}, {"key": "enable-oslogin", "value": "true"}]}}));
    for (call, v) in &all {
        std::fs::write(dir.path().join(format!("gcp/{call}.json")), v.to_string()).unwrap();
    }
    std::fs::write(dir.path().join("cluster.yaml"), objects("gcp-compute-metadata")).unwrap();
    let snapshot = kpath::snapshot::import::reader::read(dir.path()).unwrap();
    let kept = format!("{:?}", snapshot.objects.cloud);
    assert!(kept.contains("enable-oslogin") && !kept.contains("hunter2"), "{kept}");
}

/// Twice as many principals and twice as much to reach give a graph that is twice as large, not four times.
#[test]
fn graphs_grow_with_the_account_and_not_faster() {
    let count = |technique: &str, folder: &str, answers: &Answers, more: String| {
        let mut texts = vec![("cluster.yaml".to_owned(), objects(technique) + &more)];
        texts.extend(answers.iter().map(|(call, v)| (format!("{folder}/{call}.json"), v.to_string())));
        let cluster = snapshot_of(&texts).into_cluster(&ClusterOptions { complete: true, version: None });
        assert!(cluster.gaps.iter().all(|g| g.id.is_empty()), "{:?}", cluster.gaps);
        kpath::rules::build(&cluster).graph.instances.len()
    };
    let google = |n: usize| {
        let mut all = answers("gcp-iam-grant");
        let email = |i: usize| format!("sa-{i}@p1.iam.gserviceaccount.com");
        let members: Vec<String> = (0..n).map(|i| format!("serviceAccount:{}", email(i))).collect();
        let roles =
            ["roles/secretmanager.secretAccessor", "roles/iam.serviceAccountTokenCreator", "roles/compute.admin"];
        let bindings: Vec<Value> = roles.iter().map(|r| json!({"role": r, "members": members})).collect();
        all.insert("projects-get-iam-policy-p1".into(), json!({"bindings": bindings}));
        let accounts: Vec<Value> =
            (0..n).map(|i| json!({"email": email(i), "uniqueId": format!("{i}0"), "projectId": "p1"})).collect();
        all.insert("iam-service-accounts-list".into(), json!(accounts));
        let secrets: Vec<Value> = (0..n).map(|i| json!({"name": format!("projects/p1/secrets/s-{i}")})).collect();
        all.insert("secrets-list".into(), json!(secrets));
        count("gcp-iam-grant", "gcp", &all, String::new())
    };
    let azure = |n: usize| {
        let mut all = answers("azure-vmss-runcommand");
        let id = |i: usize| {
            format!("{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i-{i}")
        };
        let identities: Vec<Value> = (0..n)
            .map(|i| json!({"id": id(i), "name": format!("i-{i}"), "principalId": format!("p-{i}"), "clientId": format!("c-{i}")}))
            .collect();
        all.insert("identity-list".into(), json!(identities));
        let roles = (0..n).map(|i| {
            let mut one = assign("Contributor", SUBSCRIPTION)[0].clone();
            one["principalId"] = json!(format!("p-{i}"));
            one["id"] = json!(format!("/x/roleAssignments/{i}"));
            one
        });
        all.insert("role-assignment-list".into(), Value::Array(roles.collect()));
        let pool = format!(
            "{SUBSCRIPTION}/resourceGroups/mc_rg_aks1_westeurope/providers/Microsoft.Compute/virtualMachineScaleSets/pool1"
        );
        let nodes = (0..n).map(|i| {
            format!("---\napiVersion: v1\nkind: Node\nmetadata: {{name: n-{i}}}\nspec: {{providerID: \"azure://{pool}/virtualMachines/{i}\"}}\n")
        });
        count("azure-vmss-runcommand", "azure", &all, nodes.collect())
    };
    for (name, small, large) in [("gcp", google(100), google(200)), ("azure", azure(100), azure(200))] {
        assert!(large < small * 3, "{name}: {small} {large}");
    }
}

/// A deny below the level of a role, and one of a member of a group, are in the way of what they deny.
#[test]
fn denies_count_below_the_level_of_a_role_and_for_members_of_groups() {
    let t = "gcp-iam-grant";
    let deny = |attached: &str, who: &str, permission: &str| {
        json!([{"name": format!("policies/cloudresourcemanager.googleapis.com%2F{}/denypolicies/d", attached.replace('/', "%2F")),
            "rules": [{"denyRule": {"deniedPrincipals": [who], "deniedPermissions": [permission]}}]}])
    };
    let (all, every) = ("principalSet://goog/public:all", "secretmanager.googleapis.com/*");
    let organization = |attached: &'static str, permission: &'static str| {
        move |a: &mut Answers| {
            a.insert("secrets-get-iam-policy-db".into(), json!({}));
            a.insert(
                "projects-get-ancestors-p1".into(),
                json!([{"id": "p1", "type": "project"}, {"id": "8", "type": "organization"}]),
            );
            a.insert("organizations-get-iam-policy-8".into(), bind("roles/secretmanager.secretAccessor", APP));
            a.insert("iam-policies-list-p1".into(), deny(attached, all, permission));
        }
    };
    let versions = "secretmanager.googleapis.com/versions.access";
    assert_eq!(verdict(t, organization("projects/p1", every), "cloud-secret/db"), "no");
    // Which of two permissions the role held is not known there.
    assert_eq!(verdict(t, organization("projects/p1", versions), "cloud-secret/db"), "unknown");
    assert_eq!(verdict(t, organization("projects/p2", every), "cloud-secret/db"), "yes");
    assert_eq!(verdict(t, organization("organizations/8", versions), "cloud-secret/db"), "no");
    let group = |a: &mut Answers| {
        a.insert("secrets-get-iam-policy-db".into(), bind("roles/secretmanager.secretAccessor", "group:g@example.com"));
        let list = json!([{"preferredMemberKey": {"id": "app@p1.iam.gserviceaccount.com"}}]);
        a.insert("identity-groups-memberships-list-g@example.com".into(), list);
        let app = "principal://iam.googleapis.com/projects/-/serviceAccounts/app@p1.iam.gserviceaccount.com";
        a.insert("iam-policies-list-p1".into(), deny("projects/p1", app, versions));
    };
    assert_eq!(verdict(t, group, "cloud-secret/db"), "unknown");
}

/// A custom role that is widened gives what it holds where it is bound, to who may change roles of its own project.
#[test]
fn a_custom_role_is_widened_where_it_is_bound() {
    let t = "gcp-iam-grant";
    let ask = |role: &'static str, at: &'static str| {
        let change = move |a: &mut Answers| {
            let own = json!({"role": role, "members": [APP]});
            let admin = json!({"role": "roles/iam.roleAdmin", "members": [APP]});
            a.insert("iam-roles-describe-own".into(), json!({"name": role, "etag": "x"}));
            a.insert("projects-get-iam-policy-p1".into(), json!({"bindings": [admin]}));
            let entry = a.entry(at).or_insert_with(|| json!({"bindings": []}));
            entry["bindings"].as_array_mut().unwrap().push(own);
        };
        verdict(t, change, "account-admin")
    };
    assert_eq!(ask("projects/p1/roles/own", "projects-get-iam-policy-p1"), "yes");
    assert_eq!(ask("projects/p1/roles/own", "secrets-get-iam-policy-db"), "no");
    assert_eq!(ask("projects/p2/roles/own", "projects-get-iam-policy-p1"), "no");
}
