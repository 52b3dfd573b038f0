//! Whether a requester may write an RBAC object (`pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased`).

use serde_json::Value;

use super::covers;
use super::rbac::{Attributes, Authorizer, MASTERS, User};
use crate::model::Cluster;
use crate::model::kind::{Kind, Stored};
use crate::model::rbac::{Binding, PolicyRule, Role};

/// A write of a Role, ClusterRole, RoleBinding or ClusterRoleBinding.
#[derive(Debug, Clone)]
pub struct Write<'a> {
    /// `create`, `update` or `patch`.
    pub op: &'a str,
    /// Content type of the body: `application/json`, a merge patch or an apply patch.
    pub content_type: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Namespace, empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// Object name.
    pub name: &'a str,
    /// The object or the patch.
    pub body: &'a Value,
}

/// What the server would answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Stored.
    Allowed,
    /// The verb on the resource is not granted.
    RefusedAuthorization,
    /// Granted, but the object gives rights that the requester lacks: these.
    RefusedEscalation(Vec<String>),
    /// The role to bind, or the object to change, does not exist.
    NotFound,
    /// Refused by validation, such as a changed roleRef.
    RefusedOther,
}

impl Outcome {
    /// Name as in the data set of the API server.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Allowed => "allowed",
            Outcome::RefusedAuthorization => "refused-authorization",
            Outcome::RefusedEscalation(_) => "refused-escalation",
            Outcome::NotFound => "not-found",
            Outcome::RefusedOther => "refused-other",
        }
    }
}

const GROUP: &str = "rbac.authorization.k8s.io";

/// Decides a write.
///
/// # Errors
/// A message when the body cannot be read as an object of the resource.
pub fn decide(cluster: &Cluster, authz: &Authorizer<'_>, user: User<'_>, w: &Write<'_>) -> Result<Outcome, String> {
    let kind = match w.resource {
        "roles" => Kind::Role,
        "clusterroles" => Kind::ClusterRole,
        "rolebindings" => Kind::RoleBinding,
        "clusterrolebindings" => Kind::ClusterRoleBinding,
        other => return Err(format!("resource {other:?} is not an RBAC resource")),
    };
    let namespace = if kind.info().namespaced { w.namespace } else { "" };
    let ask = |verb: &str, resource: &str, name: &str| {
        let a = Attributes::Resource { verb, group: GROUP, resource, subresource: "", name, namespace };
        authz.decide(user, a).allowed()
    };
    // A POST carries no name.
    let name = if w.op == "create" { "" } else { w.name };
    if !ask(w.op, w.resource, name) {
        return Ok(Outcome::RefusedAuthorization);
    }
    let exists = cluster.find(kind, namespace, w.name).is_some();
    if w.op != "create" && !exists {
        if w.op == "patch" && !w.content_type.contains("apply-patch") {
            return Ok(Outcome::NotFound);
        }
        // PUT and apply create a missing object when create is granted too, with the name this time.
        if !ask("create", w.resource, w.name) {
            return Ok(Outcome::RefusedAuthorization);
        }
    }
    let masters = user.groups.contains(&MASTERS);
    match kind {
        Kind::Role | Kind::ClusterRole => {
            let list = if kind == Kind::Role { &cluster.objects.roles } else { &cluster.objects.cluster_roles };
            let old =
                cluster.find(kind, namespace, w.name).and_then(|i| list.get(i as usize)).filter(|_| w.op != "create");
            let (new, changed): (Role, bool) = body_over(old, w)?;
            if masters || ask("escalate", w.resource, name) || !changed {
                return Ok(Outcome::Allowed);
            }
            let mut wanted = new.rules.clone();
            let aggregation_changed =
                new.aggregation_rule.is_some() && old.is_none_or(|o| o.aggregation_rule != new.aggregation_rule);
            if kind == Kind::ClusterRole && aggregation_changed {
                wanted.extend(full_authority());
            }
            Ok(escalates(authz, user, namespace, &wanted))
        }
        _ => {
            let list = if kind == Kind::RoleBinding {
                &cluster.objects.role_bindings
            } else {
                &cluster.objects.cluster_role_bindings
            };
            let old =
                cluster.find(kind, namespace, w.name).and_then(|i| list.get(i as usize)).filter(|_| w.op != "create");
            let (new, changed): (Binding, bool) = body_over(old, w)?;
            if !changed {
                return Ok(Outcome::Allowed);
            }
            let r = &new.role_ref;
            let resource = if r.kind == "ClusterRole" { "clusterroles" } else { "roles" };
            if !masters && !ask("bind", resource, &r.name) {
                let Some(role) = find_role(cluster, &new, namespace) else { return Ok(Outcome::NotFound) };
                let outcome = escalates(authz, user, namespace, &role.rules);
                if outcome != Outcome::Allowed {
                    return Ok(outcome);
                }
            }
            // Validation runs after the escalation check.
            let changed_ref = old.is_some_and(|o| (&o.role_ref.kind, &o.role_ref.name) != (&r.kind, &r.name));
            Ok(if changed_ref { Outcome::RefusedOther } else { Outcome::Allowed })
        }
    }
}

fn escalates(authz: &Authorizer<'_>, user: User<'_>, namespace: &str, wanted: &[PolicyRule]) -> Outcome {
    let missing = covers::missing(&authz.rules_for(user, namespace), wanted);
    if missing.is_empty() {
        Outcome::Allowed
    } else {
        Outcome::RefusedEscalation(missing.iter().map(covers::describe).collect())
    }
}

fn full_authority() -> [PolicyRule; 2] {
    let all = || vec!["*".to_owned()];
    [
        PolicyRule { verbs: all(), api_groups: all(), resources: all(), ..PolicyRule::default() },
        PolicyRule { verbs: all(), non_resource_urls: all(), ..PolicyRule::default() },
    ]
}

fn find_role<'c>(cluster: &'c Cluster, b: &Binding, namespace: &str) -> Option<&'c Role> {
    if b.role_ref.kind == "ClusterRole" {
        let i = cluster.find(Kind::ClusterRole, "", &b.role_ref.name)?;
        cluster.objects.cluster_roles.get(i as usize)
    } else {
        let i = cluster.find(Kind::Role, namespace, &b.role_ref.name)?;
        cluster.objects.roles.get(i as usize)
    }
}

/// The object after the write, and whether anything but owners and finalizers changed.
fn body_over<T: Stored + Default>(old: Option<&T>, w: &Write<'_>) -> Result<(T, bool), String> {
    let mut body = w.body.clone();
    if let Value::String(text) = &body {
        body = crate::snapshot::import::yaml::decode(text)?;
    }
    let patch = w.op == "patch";
    let merged = match (old, patch) {
        (Some(old), true) => {
            let mut base = serde_json::to_value(old).map_err(|e| e.to_string())?;
            merge(&mut base, &body);
            base
        }
        _ => body,
    };
    let mut value = merged;
    crate::snapshot::import::prepare::strip_nulls(&mut value);
    let changed = match old {
        Some(old) => {
            let before = serde_json::to_value(old).map_err(|e| e.to_string())?;
            comparable(&before) != comparable(&value)
        }
        None => true,
    };
    Ok((serde_json::from_value(value).map_err(|e| e.to_string())?, changed))
}

/// RFC 7396.
fn merge(base: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *base = patch.clone();
        return;
    };
    if !base.is_object() {
        *base = Value::Object(serde_json::Map::new());
    }
    let Some(map) = base.as_object_mut() else { return };
    for (k, v) in patch {
        if v.is_null() {
            map.remove(k);
        } else {
            merge(map.entry(k.clone()).or_insert(Value::Null), v);
        }
    }
}

/// The parts whose change the escalation check looks at.
fn comparable(v: &Value) -> Value {
    let mut v = v.clone();
    if let Some(map) = v.as_object_mut() {
        map.remove("apiVersion");
        map.remove("kind");
        if let Some(m) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            for k in [
                "resourceVersion",
                "uid",
                "ownerReferences",
                "finalizers",
                "managedFields",
                "creationTimestamp",
                "generation",
            ] {
                m.remove(k);
            }
        }
        if let Some(r) = map.get_mut("roleRef").and_then(Value::as_object_mut) {
            r.remove("apiGroup");
        }
        for s in map.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(s) = s.as_object_mut() {
                s.remove("apiGroup");
            }
        }
    }
    v
}
