//! Saved answers of the Azure CLI with `-o json`: clusters, identities, role assignments, scale sets, vaults.
//!
//! Objects of Azure Resource Manager say by their id what they are. Sources: Azure CLI reference (`az aks`, `az identity`,
//! `az role`, `az vmss`, `az keyvault`, `az ad`), Azure Resource Manager template reference.

use serde_json::{Map, Value, json};

use super::cloud::{Account, Reader, each, kept, last, list, read_by, text};

/// Calls by the beginning of the file name; of several that fit the longest counts.
const CALLS: [(&str, Reader); 23] = [
    ("account-show", |a, _, v| a.put("AzureSubscription", text(v, "id"), v, &["tenantId"])),
    ("aks-list", |a, _, v| each(v).iter().for_each(|c| cluster(a, c))),
    ("aks-show", |a, _, v| cluster(a, v)),
    ("identity-list", |a, _, v| each(v).iter().for_each(|i| identity(a, i))),
    ("identity-show", |a, _, v| identity(a, v)),
    ("identity-federated-credential-list", |a, rest, v| {
        let name = each(v).first().map_or(rest.to_owned(), |c| parent_of(text(c, "id"), rest));
        a.set("AzureIdentity", &name, "federatedCredentials", Some(&credentials(v)));
    }),
    ("identity-federated-credential-show", |a, rest, v| {
        let name = parent_of(text(v, "id"), rest);
        let one = credentials(v);
        let entry = a.entry("AzureIdentity", &name).entry("federatedCredentials").or_insert_with(|| json!([]));
        if let (Some(all), Value::Array(more)) = (entry.as_array_mut(), one) {
            all.extend(more);
        }
    }),
    ("ad-group-member-list", |a, rest, v| {
        let members: Vec<&str> = each(v).iter().map(|m| text(m, "id")).filter(|m| !m.is_empty()).collect();
        a.set("AzureGroup", rest, "members", Some(&json!(members)));
    }),
    ("ad-sp-list", |a, _, v| each(v).iter().for_each(|s| service_principal(a, s))),
    ("ad-sp-show", |a, _, v| service_principal(a, v)),
    ("ad-app-list", |a, _, v| each(v).iter().for_each(|s| application(a, s))),
    ("ad-app-show", |a, _, v| application(a, v)),
    ("ad-app-federated-credential-list", |a, rest, v| {
        a.set("AzureApplication", rest, "federatedCredentials", Some(&credentials(v)));
    }),
    ("role-assignment-list", |a, _, v| each(v).iter().for_each(|r| assignment(a, r))),
    ("role-definition-list", |a, _, v| each(v).iter().for_each(|r| definition(a, r))),
    ("role-definition-show", |a, _, v| definition(a, v)),
    ("vmss-list", |a, _, v| each(v).iter().for_each(|s| machines(a, "AzureScaleSet", s))),
    ("vmss-show", |a, _, v| machines(a, "AzureScaleSet", v)),
    ("vmss-identity-show", |a, rest, v| {
        a.set("AzureScaleSet", rest, "identity", Some(&managed(v)));
    }),
    ("vm-list", |a, _, v| each(v).iter().for_each(|s| machines(a, "AzureVirtualMachine", s))),
    ("vm-show", |a, _, v| machines(a, "AzureVirtualMachine", v)),
    ("keyvault-list", |a, _, v| each(v).iter().for_each(|s| vault(a, s))),
    ("keyvault-show", |a, _, v| vault(a, v)),
];

/// Names of the calls that are read.
#[cfg(test)]
pub(super) fn calls() -> Vec<&'static str> {
    CALLS.iter().map(|(c, _)| *c).collect()
}

/// Reads an answer, by the name of its call. `false` for a call that is not known.
pub(super) fn read(account: &mut Account, stem: &str, value: &Value) -> bool {
    read_by(&CALLS, account, stem, value)
}

/// Names that are settled when all is read: the last segment of an id where no other has that, else the group before it. A
/// managed identity is a service principal too: it stays one object, under its own name.
pub(super) fn place(a: &mut Account) {
    for kind in BY_ID {
        a.shorten(kind, "id", &|id| match id.split('/').skip_while(|p| *p != "resourcegroups").nth(1) {
            Some(group) => format!("{group}/{}", last(id)),
            None => id.to_owned(),
        });
        for name in a.names(kind) {
            // Letters as they were given.
            let own = a.entry(kind, &name).get("id").and_then(Value::as_str).map(|id| last(id).to_owned());
            if let Some(own) = own.filter(|o| *o != name && o.eq_ignore_ascii_case(&name)) {
                a.rename(kind, &name, &own);
            }
        }
    }
    let identities: Vec<String> = a
        .objects
        .iter()
        .filter(|((kind, _), _)| kind == "AzureIdentity")
        .filter_map(|(_, spec)| spec.get("principalId")?.as_str().map(str::to_lowercase))
        .collect();
    let managed = |name: &str| identities.contains(&name.to_lowercase());
    a.objects.retain(|(kind, name), _| kind != "AzureServicePrincipal" || !managed(name));
    // The subscription of the cluster is a scope, whether or not a role is given there.
    let mut subscriptions: Vec<String> = a.names("AzureSubscription");
    let clusters = a.objects.iter().filter(|((kind, _), _)| kind == "AzureCluster");
    let ids = clusters.filter_map(|(_, c)| c.get("id")?.as_str()?.split('/').nth(2).map(str::to_owned));
    subscriptions.extend(ids.collect::<Vec<_>>());
    for s in subscriptions {
        let scope = format!("/subscriptions/{s}");
        let given = a.names("AzureScope").into_iter().find(|n| n.eq_ignore_ascii_case(&scope));
        a.entry("AzureScope", &given.unwrap_or(scope));
    }
}

/// Kinds that go by their whole id, in lower case, until all is read.
const BY_ID: [&str; 5] = ["AzureCluster", "AzureIdentity", "AzureScaleSet", "AzureVirtualMachine", "AzureKeyVault"];

/// The key of an object while answers are read: its id, or the name that the answer has.
fn key(id: &str, name: &str) -> String {
    if id.is_empty() { name.to_owned() } else { id.to_lowercase() }
}

/// A field under any of its spellings: the CLI changes them between versions.
fn either<'v>(v: &'v Value, spellings: &[&str]) -> Option<&'v Value> {
    spellings.iter().find_map(|s| v.get(s).filter(|x| !x.is_null()))
}

/// An object as the CLI prints it: Resource Manager itself keeps most fields below `properties`.
fn flat(v: &Value) -> Value {
    let mut out = v.clone();
    if let (Some(map), Some(Value::Object(inner))) = (out.as_object_mut(), v.get("properties")) {
        inner.iter().for_each(|(k, x)| {
            map.entry(k.clone()).or_insert_with(|| x.clone());
        });
    }
    out
}

fn cluster(a: &mut Account, c: &Value) {
    let c = &flat(c);
    let name = &key(text(c, "id"), text(c, "name"));
    a.put("AzureCluster", name, c, &["id", "disableLocalAccounts", "nodeResourceGroup", "fqdn"]);
    // The identity of the control plane is on none of the nodes.
    let own = c.get("identity").map(|i| kept(i, &["principalId"]));
    a.set("AzureCluster", name, "identity", own.as_ref());
    let at = |path: &str| c.pointer(path).filter(|v| !v.is_null());
    let issuer = c.get("oidcIssuerProfile").and_then(|p| either(p, &["issuerUrl", "issuerURL"]));
    let mut set = |field: &str, value: Option<&Value>| a.set("AzureCluster", name, field, value);
    set("issuer", issuer);
    // Without the profile there is no issuer: that is an answer too.
    set("oidcIssuer", Some(&json!(issuer.is_some())));
    let entra = c.get("aadProfile").filter(|p| !p.is_null());
    set("entra", Some(&json!(entra.is_some())));
    let rbac = entra.and_then(|p| either(p, &["enableAzureRbac", "enableAzureRBAC"]));
    set("enableAzureRbac", Some(rbac.unwrap_or(&Value::Bool(false))));
    let command = at("/apiServerAccessProfile/disableRunCommand");
    set("disableRunCommand", Some(command.unwrap_or(&Value::Bool(false))));
    set("restrictionLevel", at("/nodeResourceGroupProfile/restrictionLevel"));
    set("podLinkLocalAccess", at("/networkProfile/podLinkLocalAccess"));
    let kubelet = at("/identityProfile/kubeletidentity").map(|k| kept(k, &["resourceId", "clientId", "objectId"]));
    set("kubeletIdentity", kubelet.as_ref());
    if let Some(k) = at("/identityProfile/kubeletidentity") {
        known_identity(a, text(k, "resourceId"), text(k, "objectId"), text(k, "clientId"));
    }
}

fn identity(a: &mut Account, i: &Value) {
    let i = &flat(i);
    known_identity(a, text(i, "id"), text(i, "principalId"), text(i, "clientId"));
}

fn known_identity(a: &mut Account, id: &str, principal: &str, client: &str) {
    let name = key(id, "");
    for (field, value) in [("id", id), ("principalId", principal), ("clientId", client)] {
        a.set("AzureIdentity", &name, field, Some(&json!(value)).filter(|_| !value.is_empty() && !name.is_empty()));
    }
}

/// The identity that a federated credential is of, from its id.
fn parent_of(id: &str, rest: &str) -> String {
    let lower = id.to_lowercase();
    match lower.find("/federatedidentitycredentials/").and_then(|at| id.get(..at)) {
        Some(parent) => parent.to_lowercase(),
        None => rest.to_owned(),
    }
}

fn credentials(v: &Value) -> Value {
    let fields = ["name", "issuer", "subject", "audiences", "claimsMatchingExpression"];
    Value::Array(each(v).iter().filter(|c| c.is_object()).map(|c| kept(&flat(c), &fields)).collect())
}

fn service_principal(a: &mut Account, s: &Value) {
    a.put(
        "AzureServicePrincipal",
        text(s, "id"),
        s,
        &["appId", "displayName", "servicePrincipalType", "appOwnerOrganizationId"],
    );
}

/// An application goes by the id that its answers about credentials are asked with.
fn application(a: &mut Account, s: &Value) {
    a.put("AzureApplication", text(s, "appId"), s, &["id", "displayName"]);
}

fn assignment(a: &mut Account, r: &Value) {
    let r = &flat(r);
    let name = Some(last(text(r, "id"))).filter(|n| !n.is_empty()).unwrap_or(text(r, "name")).to_owned();
    let fields = ["principalId", "principalType", "roleDefinitionId", "roleDefinitionName", "scope"];
    a.put("AzureRoleAssignment", &name, r, &fields);
    // That there is a condition is kept, not its text.
    let some = r.get("condition").is_some_and(|c| !c.is_null() && c.as_str() != Some(""));
    a.set("AzureRoleAssignment", &name, "conditional", some.then_some(&Value::Bool(true)));
    a.entry("AzureScope", text(r, "scope"));
    let kind = match text(r, "principalType") {
        "User" => "AzureUser",
        "Group" | "ForeignGroup" => "AzureGroup",
        _ => "AzureServicePrincipal",
    };
    a.put(kind, text(r, "principalId"), r, &["principalName"]);
}

fn definition(a: &mut Account, r: &Value) {
    let r = &flat(r);
    let name = Some(last(text(r, "id"))).filter(|n| !n.is_empty()).unwrap_or(text(r, "name")).to_owned();
    a.put("AzureRoleDefinition", &name, r, &["roleName"]);
    let fields = ["actions", "notActions", "dataActions", "notDataActions"];
    let one = |p: &Value| {
        let mut out = kept(p, &fields);
        let some = p.get("condition").is_some_and(|c| !c.is_null());
        if let (Some(map), true) = (out.as_object_mut(), some) {
            map.insert("conditional".into(), Value::Bool(true));
        }
        out
    };
    let all: Vec<Value> = list(r, "permissions").iter().map(one).collect();
    a.set("AzureRoleDefinition", &name, "permissions", Some(&json!(all)));
}

fn machines(a: &mut Account, kind: &str, s: &Value) {
    let name = key(text(s, "id"), text(s, "name"));
    a.put(kind, &name, s, &["id"]);
    let own = s.get("identity").filter(|i| !i.is_null()).map_or(json!({}), managed);
    a.set(kind, &name, "identity", Some(&own));
    for (id, i) in s.pointer("/identity/userAssignedIdentities").and_then(Value::as_object).into_iter().flatten() {
        known_identity(a, id, text(i, "principalId"), text(i, "clientId"));
    }
}

/// Identities of a machine: that of its own, and ids of others.
fn managed(i: &Value) -> Value {
    let mut out = kept(i, &["type", "principalId"]);
    let ids: Vec<&String> = i
        .get("userAssignedIdentities")
        .and_then(Value::as_object)
        .map(|m: &Map<_, _>| m.keys().collect())
        .unwrap_or_default();
    if let Some(map) = out.as_object_mut() {
        map.insert("userAssigned".into(), json!(ids));
    }
    out
}

fn vault(a: &mut Account, s: &Value) {
    let name = &key(text(s, "id"), text(s, "name"));
    a.put("AzureKeyVault", name, s, &["id"]);
    // A list leaves the properties out.
    let Some(p) = s.get("properties").filter(|p| !p.is_null()) else { return };
    a.set(
        "AzureKeyVault",
        name,
        "enableRbacAuthorization",
        Some(&json!(p.get("enableRbacAuthorization") == Some(&Value::Bool(true)))),
    );
    let policies: Vec<Value> =
        list(p, "accessPolicies").iter().map(|x| kept(x, &["objectId", "permissions"])).collect();
    a.set("AzureKeyVault", name, "accessPolicies", Some(&json!(policies)));
    a.set("AzureKeyVault", name, "publicNetworkAccess", p.get("publicNetworkAccess"));
    let rules = p.get("networkAcls").and_then(|n| n.get("defaultAction"));
    a.set("AzureKeyVault", name, "defaultAction", rules);
}
