//! Saved answers of gcloud with `--format json`: clusters, service accounts, policies, instances.
//!
//! Sources: Google Cloud SDK reference ("gcloud container clusters describe", "gcloud projects get-iam-policy", …), and the
//! APIs whose answers it prints.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cloud::{Account, Reader, each, kept, last, list, read_by, text};
use crate::model::decode::percent_decoded;

/// Calls by the beginning of the file name; of several that fit the longest counts.
const CALLS: [(&str, Reader); 32] = [
    ("container-clusters-describe", |a, _, v| cluster(a, v)),
    ("container-clusters-list", |a, _, v| each(v).iter().for_each(|c| cluster(a, c))),
    ("container-node-pools-list", |a, rest, v| each(v).iter().for_each(|p| node_pool(a, rest, p))),
    ("container-node-pools-describe", |a, _, v| node_pool(a, "", v)),
    ("iam-service-accounts-list", |a, _, v| each(v).iter().for_each(|x| service_account(a, x))),
    ("iam-service-accounts-describe", |a, _, v| service_account(a, v)),
    ("iam-service-accounts-get-iam-policy", |a, rest, v| policy(a, "GcpServiceAccount", rest, v)),
    ("projects-get-iam-policy", |a, rest, v| policy(a, "GcpProject", rest, v)),
    ("projects-describe", |a, _, v| project(a, v)),
    ("projects-list", |a, _, v| each(v).iter().for_each(|p| project(a, p))),
    ("projects-get-ancestors", |a, rest, v| ancestors(a, rest, v)),
    ("projects-get-ancestors-iam-policy", |a, rest, v| {
        ancestors(a, rest, v);
        for level in each(v) {
            let kind = match text(level, "type") {
                "project" => "GcpProject",
                "folder" => "GcpFolder",
                "organization" => "GcpOrganization",
                _ => continue,
            };
            policy(a, kind, text(level, "id"), level.get("policy").unwrap_or(&Value::Null));
        }
    }),
    ("resource-manager-folders-get-iam-policy", |a, rest, v| policy(a, "GcpFolder", rest, v)),
    ("organizations-get-iam-policy", |a, rest, v| policy(a, "GcpOrganization", rest, v)),
    ("asset-search-all-iam-policies", |a, _, v| each(v).iter().for_each(|x| found(a, x))),
    ("iam-roles-describe", |a, _, v| {
        // One that holds nothing has an etag all the same.
        if v.get("etag").is_some() || v.get("includedPermissions").is_some() {
            role(a, v);
        }
    }),
    // A list names roles without what they hold.
    ("iam-roles-list", |a, _, v| {
        each(v).iter().filter(|r| r.get("includedPermissions").is_some()).for_each(|r| role(a, r));
    }),
    ("iam-policies-list", |a, _, v| each(v).iter().for_each(|p| deny_policy(a, p))),
    ("iam-policies-get", |a, _, v| deny_policy(a, v)),
    ("org-policies-describe", |a, rest, v| organization_policy(a, rest, v)),
    ("compute-instances-list", |a, _, v| each(v).iter().for_each(|i| instance(a, i))),
    ("compute-instances-describe", |a, _, v| instance(a, v)),
    ("compute-project-info-describe", |a, rest, v| {
        let name = Some(text(v, "name")).filter(|n| !n.is_empty()).unwrap_or(rest);
        a.set("GcpProject", name, "commonInstanceMetadata", Some(&metadata(v.get("commonInstanceMetadata"))));
        a.put("GcpProject", name, v, &["defaultServiceAccount"]);
    }),
    ("kms-keys-list", |a, _, v| each(v).iter().for_each(|k| path(a, "GcpKmsKey", text(k, "name")))),
    ("kms-keys-get-iam-policy", |a, rest, v| policy(a, "GcpKmsKey", rest, v)),
    ("kms-keyrings-get-iam-policy", |a, rest, v| policy(a, "GcpKeyRing", rest, v)),
    ("storage-buckets-list", |a, _, v| each(v).iter().for_each(|b| bucket(a, b))),
    ("storage-buckets-describe", |a, _, v| bucket(a, v)),
    ("storage-buckets-get-iam-policy", |a, rest, v| policy(a, "GcpBucket", rest, v)),
    ("secrets-list", |a, _, v| each(v).iter().for_each(|s| path(a, "GcpSecret", text(s, "name")))),
    ("secrets-get-iam-policy", |a, rest, v| policy(a, "GcpSecret", rest, v)),
    ("identity-groups-memberships-list", |a, rest, v| {
        let of =
            |m: &Value| m.get("preferredMemberKey").or(m.get("memberKey")).map_or("", |k| text(k, "id")).to_owned();
        let members: Vec<String> = each(v).iter().map(of).filter(|m| !m.is_empty()).collect();
        a.set("GcpMember", &format!("group:{rest}"), "members", Some(&json!(members)));
        // Groups in the group have members of their own.
        for m in each(v).iter().filter(|m| text(m, "type") == "GROUP") {
            a.entry("GcpMember", &format!("group:{}", of(m)));
        }
    }),
];

/// Keys of instance metadata that rules read. Others may hold secrets (`kube-env`, start-up scripts) and are dropped.
const METADATA: [&str; 3] = ["enable-oslogin", "block-project-ssh-keys", "cluster-name"];

/// Names of the calls that are read.
#[cfg(test)]
pub(super) fn calls() -> Vec<&'static str> {
    CALLS.iter().map(|(c, _)| *c).collect()
}

/// Reads an answer, by the name of its call. `false` for a call that is not known.
pub(super) fn read(account: &mut Account, stem: &str, value: &Value) -> bool {
    read_by(&CALLS, account, stem, value)
}

/// Clusters and their pools go by their links until all is read: names are used again in other places.
fn cluster(a: &mut Account, c: &Value) {
    let link = link(text(c, "selfLink"));
    let name = if link.is_empty() { text(c, "name").to_owned() } else { link };
    let fields = ["selfLink", "location", "workloadIdentityConfig", "autopilot", "endpoint", "rbacBindingConfig"];
    a.put("GcpCluster", &name, c, &fields);
    a.set("GcpCluster", &name, "name", c.get("name"));
    let network = c.get("networkConfig").map(|n| kept(n, &["datapathProvider"]));
    a.set("GcpCluster", &name, "networkConfig", network.as_ref());
    for p in list(c, "nodePools") {
        node_pool(a, text(c, "name"), p);
    }
}

/// A link to an object of a zone or a region in one form.
fn link(text: &str) -> String {
    text.replace("/zones/", "/locations/")
}

/// A node pool is one of a cluster.
fn node_pool(a: &mut Account, of: &str, p: &Value) {
    let link = link(text(p, "selfLink"));
    let name = if link.is_empty() { format!("{of} {}", text(p, "name")) } else { link };
    a.put("GcpNodePool", &name, p, &["selfLink", "name"]);
    if let Some(c) = p.get("config") {
        let own = kept(c, &["serviceAccount", "oauthScopes", "workloadMetadataConfig"]);
        a.set("GcpNodePool", &name, "config", Some(&own));
        a.set("GcpNodePool", &name, "metadata", c.get("metadata").map(|m| kept(m, &METADATA)).as_ref());
    }
}

fn service_account(a: &mut Account, x: &Value) {
    a.put("GcpServiceAccount", text(x, "email"), x, &["uniqueId", "disabled", "projectId"]);
}

fn project(a: &mut Account, p: &Value) {
    a.put("GcpProject", text(p, "projectId"), p, &["projectNumber", "parent"]);
}

/// What is above a project, nearest first: `[{"id": "p", "type": "project"}, {"id": "1", "type": "folder"}, …]`.
fn ancestors(a: &mut Account, rest: &str, v: &Value) {
    let own = each(v).iter().find(|x| text(x, "type") == "project").map_or(rest, |x| text(x, "id")).to_owned();
    let all: Vec<Value> = each(v).iter().map(|x| kept(x, &["id", "type"])).collect();
    a.set("GcpProject", &own, "ancestors", Some(&json!(all)));
}

/// An object that is named by a path, which it goes by until all is read.
fn path(a: &mut Account, kind: &str, path: &str) {
    a.set(kind, path, "path", Some(&json!(path)));
}

fn bucket(a: &mut Account, b: &Value) {
    let number = b.get("project_number").or(b.get("projectNumber"));
    a.set("GcpBucket", text(b, "name"), "projectNumber", number);
}

fn role(a: &mut Account, r: &Value) {
    let permissions: Vec<&str> =
        list(r, "includedPermissions").iter().filter_map(Value::as_str).filter(|p| relevant(p)).collect();
    a.set("GcpRole", text(r, "name"), "includedPermissions", Some(&json!(permissions)));
}

/// Whether rules read a permission of this service: a role of an owner has thousands.
fn relevant(permission: &str) -> bool {
    const SERVICES: [&str; 10] = [
        "iam",
        "resourcemanager",
        "container",
        "compute",
        "cloudkms",
        "storage",
        "secretmanager",
        "run",
        "cloudfunctions",
        "cloudbuild",
    ];
    permission.split('.').next().is_some_and(|s| SERVICES.contains(&s))
}

fn deny_policy(a: &mut Account, p: &Value) {
    let rules: Vec<Value> = list(p, "rules").iter().filter_map(|r| r.get("denyRule")).map(deny_rule).collect();
    // `policies/ATTACHMENT/denypolicies/ID`, where the attachment is percent-encoded.
    let name = text(p, "name");
    let attached = name.strip_prefix("policies/").and_then(|r| r.split('/').next()).unwrap_or_default();
    let attached = percent_decoded(attached).unwrap_or_default();
    a.set(
        "GcpDenyPolicy",
        name,
        "attachment",
        Some(&json!(attached.trim_start_matches("cloudresourcemanager.googleapis.com/"))),
    );
    // A list names policies without their rules.
    a.set("GcpDenyPolicy", name, "rules", p.get("rules").map(|_| json!(rules)).as_ref());
}

fn deny_rule(r: &Value) -> Value {
    let mut out = kept(r, &["deniedPrincipals", "exceptionPrincipals", "deniedPermissions", "exceptionPermissions"]);
    if let (Some(map), true) = (out.as_object_mut(), r.get("denialCondition").is_some()) {
        map.insert("conditional".into(), Value::Bool(true));
    }
    out
}

/// A constraint of the organization: whether it is enforced.
fn organization_policy(a: &mut Account, rest: &str, v: &Value) {
    let name = match text(v, "name") {
        "" => rest,
        path => last(path),
    };
    let rules = v.get("spec").map_or(&[][..], |s| list(s, "rules"));
    let enforced =
        rules.iter().any(|r| matches!(r.get("enforce"), Some(Value::Bool(true))) || text(r, "enforce") == "TRUE");
    a.set("GcpConstraint", name.trim_start_matches("constraints/"), "enforced", Some(&Value::Bool(enforced)));
}

/// Instance metadata as a map of the keys that rules read.
fn metadata(m: Option<&Value>) -> Value {
    let items = m.map_or(&[][..], |m| list(m, "items"));
    let own = items.iter().filter(|i| METADATA.contains(&text(i, "key")));
    Value::Object(own.map(|i| (text(i, "key").to_owned(), json!(text(i, "value")))).collect())
}

fn instance(a: &mut Account, i: &Value) {
    let name = text(i, "name");
    // Two zones may have instances of one name.
    let link = text(i, "selfLink");
    let other = a.entry("GcpInstance", name).get("selfLink").is_some_and(|l| l.as_str() != Some(link));
    let name = if other { link } else { name };
    a.put("GcpInstance", name, i, &["selfLink"]);
    let accounts: Vec<Value> = list(i, "serviceAccounts").iter().map(|s| kept(s, &["email", "scopes"])).collect();
    a.set("GcpInstance", name, "serviceAccounts", Some(&json!(accounts)));
    a.set("GcpInstance", name, "metadata", Some(&metadata(i.get("metadata"))));
}

/// A policy of `asset search-all-iam-policies`, by the full name of its resource.
fn found(a: &mut Account, x: &Value) {
    let resource = text(x, "resource").trim_start_matches("//");
    let (service, path) = resource.split_once('/').unwrap_or((resource, ""));
    let (kind, by_path) = match service {
        "cloudresourcemanager.googleapis.com" => match path.split('/').next().unwrap_or_default() {
            "projects" => ("GcpProject", false),
            "folders" => ("GcpFolder", false),
            "organizations" => ("GcpOrganization", false),
            _ => return,
        },
        "iam.googleapis.com" if path.contains("/serviceAccounts/") => ("GcpServiceAccount", false),
        "storage.googleapis.com" => ("GcpBucket", false),
        "secretmanager.googleapis.com" => ("GcpSecret", true),
        "cloudkms.googleapis.com" if path.contains("/cryptoKeys/") => ("GcpKmsKey", true),
        "cloudkms.googleapis.com" => ("GcpKeyRing", true),
        _ => return,
    };
    let name = if by_path { path } else { last(path) };
    policy(a, kind, name, x.get("policy").unwrap_or(&Value::Null));
    if by_path {
        a.set(kind, name, "path", Some(&json!(path)));
    }
    if kind == "GcpBucket" {
        let project = last(text(x, "project"));
        a.set(kind, name, "projectNumber", Some(&json!(project)).filter(|_| !project.is_empty()));
    }
}

/// Names that are settled when all is read: projects by their id, service accounts by their address, the rest by the last
/// segment of its path where no other has that.
pub(super) fn place(a: &mut Account) {
    let mut numbers: BTreeMap<String, String> = BTreeMap::new();
    for name in a.names("GcpProject") {
        let p = a.entry("GcpProject", &name);
        let number = p.get("projectNumber").map(|n| n.to_string().trim_matches('"').to_owned());
        let default = p.get("defaultServiceAccount").and_then(Value::as_str).and_then(|d| d.split_once('-'));
        if let Some(number) = number.or(default.map(|(n, _)| n.to_owned())) {
            numbers.insert(number, name);
        }
    }
    for (number, id) in &numbers {
        a.rename("GcpProject", number, id);
    }
    let accounts: Vec<(String, String)> = a
        .names("GcpServiceAccount")
        .into_iter()
        .filter_map(|n| Some((a.entry("GcpServiceAccount", &n).get("uniqueId")?.as_str()?.to_owned(), n)))
        .collect();
    for (id, email) in accounts {
        a.rename("GcpServiceAccount", &id, &email);
    }
    for kind in ["GcpSecret", "GcpKmsKey", "GcpKeyRing"] {
        for name in a.names(kind) {
            let Some((number, rest)) = name.strip_prefix("projects/").and_then(|r| r.split_once('/')) else { continue };
            if let Some(id) = numbers.get(number) {
                let path = format!("projects/{id}/{rest}");
                a.rename(kind, &name, &path);
                a.set(kind, &path, "path", Some(&json!(path)));
            }
        }
        a.shorten(kind, "path", &|path| path.to_owned());
    }
    let longer = |l: &str| {
        let part = |after: &str| {
            let mut parts = l.split('/').skip_while(|p| *p != after);
            parts.nth(1).unwrap_or_default().to_owned()
        };
        format!("{}/{}/{}", part("projects"), part("locations"), part("clusters"))
    };
    // Pools first: their names are made of those of their clusters.
    for name in a.names("GcpNodePool") {
        let Some((cluster, pool)) = name.split_once("/nodePools/") else { continue };
        let of = last(cluster);
        let several = a.names("GcpCluster").iter().filter(|c| last(c) == of).count() > 1;
        let short = if several { format!("{} {pool}", longer(cluster)) } else { format!("{of} {pool}") };
        a.rename("GcpNodePool", &name, &short);
    }
    a.shorten("GcpCluster", "selfLink", &longer);
}

/// The bindings of a resource: roles, members, and the name of a condition, whose text is not kept.
fn policy(a: &mut Account, kind: &str, name: &str, v: &Value) {
    let name = name.trim_start_matches("gs:").trim_matches('/');
    let mut bindings = Vec::new();
    for b in list(v, "bindings") {
        let mut own = kept(b, &["role", "members"]);
        if let (Some(map), Some(c)) = (own.as_object_mut(), b.get("condition")) {
            let title = Some(text(c, "title")).filter(|t| !t.is_empty()).unwrap_or("untitled");
            map.insert("condition".into(), json!(title));
        }
        for m in list(b, "members").iter().filter_map(Value::as_str) {
            member(a, m);
        }
        bindings.push(own);
    }
    // The whole of a page of a search is one policy of several of the resource.
    let entry = a.entry(kind, name);
    match entry.get_mut("bindings").and_then(Value::as_array_mut) {
        Some(all) => {
            let new: Vec<Value> = bindings.into_iter().filter(|b| !all.contains(b)).collect();
            all.extend(new);
        }
        None => {
            entry.insert("bindings".into(), Value::Array(bindings));
        }
    }
}

/// Who a policy names: service accounts by their address, all others as they are spelled.
fn member(a: &mut Account, member: &str) {
    match member.strip_prefix("serviceAccount:") {
        Some(email) if !email.contains('[') => {
            a.entry("GcpServiceAccount", email);
        }
        _ if member.starts_with("deleted:") => {}
        _ => {
            a.entry("GcpMember", member);
        }
    }
}
