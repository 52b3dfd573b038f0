//! The RBAC authorizer (`plugin/pkg/auth/authorizer/rbac/rbac.go`, `pkg/apis/rbac/v1/evaluation_helpers.go`).

use std::fmt;

use rustc_hash::FxHashMap;

use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::rbac::{Binding, PolicyRule, Role, Subject};

/// The group whose members are allowed everything before RBAC is asked.
pub const MASTERS: &str = "system:masters";

/// A requester: its user name and its complete list of groups.
#[derive(Debug, Clone, Copy)]
pub struct User<'a> {
    /// User name.
    pub name: &'a str,
    /// Groups; the authorizer adds none.
    pub groups: &'a [&'a str],
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub enum Attributes<'a> {
    /// A request for an API resource.
    Resource {
        /// Verb.
        verb: &'a str,
        /// API group.
        group: &'a str,
        /// Resource.
        resource: &'a str,
        /// Subresource, empty for none.
        subresource: &'a str,
        /// Object name, empty for none.
        name: &'a str,
        /// Namespace, empty for cluster-wide.
        namespace: &'a str,
    },
    /// A request for another path.
    Path {
        /// Verb.
        verb: &'a str,
        /// Path.
        path: &'a str,
    },
}

/// One binding seen as a grant: which role, in which scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub u32);

/// A binding with its role resolved.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'c> {
    /// The binding as an object.
    pub object: Obj,
    /// The binding.
    pub binding: &'c Binding,
    /// The role as an object and its content; `None` when the reference dangles.
    pub role: Option<(Obj, &'c Role)>,
}

impl Grant<'_> {
    /// Namespace the grant is limited to; empty for the whole cluster.
    pub fn namespace(&self) -> &str {
        &self.binding.metadata.namespace
    }
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed because of the group `system:masters`.
    Masters,
    /// Allowed by a binding: the subject's index and the rule's index.
    Allowed {
        /// Binding.
        grant: GrantId,
        /// Index in the binding's `subjects`.
        subject: usize,
        /// Index in the role's `rules`.
        rule: usize,
    },
    /// Not allowed; `missing` holds the roles that bindings of the requester name and that do not exist.
    Denied {
        /// `clusterrole.rbac.authorization.k8s.io "x" not found`, one each.
        missing: Vec<String>,
    },
}

impl Decision {
    /// Whether the request is allowed.
    pub fn allowed(&self) -> bool {
        !matches!(self, Decision::Denied { .. })
    }
}

/// RBAC of one cluster, indexed by subject.
#[derive(Debug)]
pub struct Authorizer<'c> {
    grants: Vec<Grant<'c>>,
    real: usize,
    users: FxHashMap<String, Vec<(GrantId, u32)>>,
    groups: FxHashMap<String, Vec<(GrantId, u32)>>,
}

impl<'c> Authorizer<'c> {
    /// Indexes the bindings of a cluster: cluster role bindings first, as the server visits them.
    pub fn new(cluster: &'c Cluster) -> Self {
        let o = &cluster.objects;
        let bindings = (o.cluster_role_bindings.iter().enumerate().map(|(i, b)| (Kind::ClusterRoleBinding, i, b)))
            .chain(o.role_bindings.iter().enumerate().map(|(i, b)| (Kind::RoleBinding, i, b)));
        let mut a =
            Authorizer { grants: Vec::new(), real: 0, users: FxHashMap::default(), groups: FxHashMap::default() };
        for (kind, index, binding) in bindings {
            let id = GrantId(a.grants.len() as u32);
            let object = Obj { kind, index: index as u32 };
            a.grants.push(Grant { object, binding, role: resolve(cluster, binding) });
            for (n, s) in binding.subjects.iter().enumerate() {
                match subject_key(s, &binding.metadata.namespace) {
                    Some(Key::User(name)) => a.users.entry(name).or_default().push((id, n as u32)),
                    Some(Key::Group(name)) => a.groups.entry(name).or_default().push((id, n as u32)),
                    None => {}
                }
            }
        }
        a.real = a.grants.len();
        a
    }

    /// Adds bindings without subjects that somebody could make: each with the role that it would grant.
    pub fn with_hypothetical(cluster: &'c Cluster, bindings: &'c [(Obj, Binding)]) -> Self {
        let mut a = Authorizer::new(cluster);
        for (role, binding) in bindings {
            a.grants.push(Grant { object: *role, binding, role: resolve(cluster, binding) });
        }
        a
    }

    /// Whether the grant is no binding of the cluster but one that somebody could make.
    pub fn is_hypothetical(&self, id: GrantId) -> bool {
        id.0 as usize >= self.real
    }

    /// Every binding as a grant, by id.
    pub fn grants(&self) -> &[Grant<'c>] {
        &self.grants
    }

    /// A grant by id.
    pub fn grant(&self, id: GrantId) -> Option<&Grant<'c>> {
        self.grants.get(id.0 as usize)
    }

    /// Grants of a user name, without its groups, with the index of the matching subject.
    pub fn user_grants(&self, name: &str) -> &[(GrantId, u32)] {
        self.users.get(name).map_or(&[], Vec::as_slice)
    }

    /// Grants of a group, with the index of the matching subject.
    pub fn group_grants(&self, name: &str) -> &[(GrantId, u32)] {
        self.groups.get(name).map_or(&[], Vec::as_slice)
    }

    /// User names and group names that bindings mention, sorted.
    pub fn subjects(&self) -> (Vec<&str>, Vec<&str>) {
        let mut users: Vec<&str> = self.users.keys().map(String::as_str).collect();
        let mut groups: Vec<&str> = self.groups.keys().map(String::as_str).collect();
        users.sort_unstable();
        groups.sort_unstable();
        (users, groups)
    }

    /// Every grant that applies to a requester, cluster-wide ones first.
    fn applying<'s>(&'s self, user: User<'s>) -> impl Iterator<Item = (GrantId, u32)> + 's {
        let groups = user.groups.iter().flat_map(|g| self.group_grants(g));
        self.user_grants(user.name).iter().chain(groups).copied()
    }

    /// Decides a request.
    pub fn decide(&self, user: User<'_>, attributes: Attributes<'_>) -> Decision {
        if user.groups.contains(&MASTERS) {
            return Decision::Masters;
        }
        let namespace = match attributes {
            Attributes::Resource { namespace, .. } => namespace,
            Attributes::Path { .. } => "",
        };
        let mut missing = Vec::new();
        for (id, subject) in self.applying(user) {
            let Some(grant) = self.grant(id) else { continue };
            let scope = grant.namespace();
            if !scope.is_empty() && scope != namespace {
                continue;
            }
            match grant.role {
                Some((_, role)) => {
                    if let Some(rule) = role.rules.iter().position(|r| rule_allows(r, attributes)) {
                        return Decision::Allowed { grant: id, subject: subject as usize, rule };
                    }
                }
                None => missing.push(missing_role(&grant.binding.role_ref)),
            }
        }
        missing.sort();
        missing.dedup();
        Decision::Denied { missing }
    }

    /// All rules a requester holds in a namespace (empty: cluster-wide only), as the escalation check collects them.
    pub fn rules_for(&self, user: User<'_>, namespace: &str) -> Vec<&'c PolicyRule> {
        self.applying(user)
            .filter_map(|(id, _)| self.grant(id))
            .filter(|g| g.namespace().is_empty() || (!namespace.is_empty() && g.namespace() == namespace))
            .filter_map(|g| g.role)
            .flat_map(|(_, role)| &role.rules)
            .collect()
    }

    /// The reason as the server words it; empty for `system:masters` and for a plain deny.
    pub fn reason(&self, decision: &Decision) -> String {
        match decision {
            Decision::Masters => String::new(),
            Decision::Allowed { grant, subject, .. } => self.grant(*grant).map_or_else(String::new, |g| {
                let who =
                    g.binding.subjects.get(*subject).map(|s| describe_subject(s, g.namespace())).unwrap_or_default();
                format!("RBAC: allowed by {} to {who}", describe_binding(g))
            }),
            Decision::Denied { missing } if missing.is_empty() => String::new(),
            Decision::Denied { missing } if missing.len() == 1 => format!("RBAC: {}", missing.join("")),
            Decision::Denied { missing } => format!("RBAC: [{}]", missing.join(", ")),
        }
    }
}

/// `RoleBinding "b/ns" of Role "r"`.
pub fn describe_binding(g: &Grant<'_>) -> String {
    let b = g.binding;
    let (kind, name) = if b.metadata.namespace.is_empty() {
        ("ClusterRoleBinding", b.metadata.name.clone())
    } else {
        ("RoleBinding", format!("{}/{}", b.metadata.name, b.metadata.namespace))
    };
    format!("{kind} {name:?} of {} {:?}", b.role_ref.kind, b.role_ref.name)
}

fn describe_subject(s: &Subject, binding_namespace: &str) -> String {
    if s.kind == "ServiceAccount" {
        let ns = if s.namespace.is_empty() { binding_namespace } else { &s.namespace };
        format!("{} \"{}/{ns}\"", s.kind, s.name)
    } else {
        format!("{} {:?}", s.kind, s.name)
    }
}

fn missing_role(r: &crate::model::rbac::RoleRef) -> String {
    format!("{}.rbac.authorization.k8s.io {:?} not found", r.kind.to_lowercase(), r.name)
}

fn resolve<'c>(cluster: &'c Cluster, binding: &Binding) -> Option<(Obj, &'c Role)> {
    let r = &binding.role_ref;
    let (kind, namespace, list) = match r.kind.as_str() {
        "ClusterRole" => (Kind::ClusterRole, "", &cluster.objects.cluster_roles),
        // A ClusterRoleBinding that names a Role grants nothing: there is no namespace to find it in.
        "Role" if !binding.metadata.namespace.is_empty() => {
            (Kind::Role, binding.metadata.namespace.as_str(), &cluster.objects.roles)
        }
        _ => return None,
    };
    let index = cluster.find(kind, namespace, &r.name)?;
    list.get(index as usize).map(|role| (Obj { kind, index }, role))
}

/// What a subject matches in a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Key {
    /// User name; service accounts are users named `system:serviceaccount:NAMESPACE:NAME`.
    User(String),
    /// Group name.
    Group(String),
}

/// The user or group that a subject stands for; `None` for one that matches nobody.
pub fn subject_key(s: &Subject, binding_namespace: &str) -> Option<Key> {
    match s.kind.as_str() {
        "User" => Some(Key::User(s.name.clone())),
        "Group" => Some(Key::Group(s.name.clone())),
        "ServiceAccount" => {
            let ns = if s.namespace.is_empty() { binding_namespace } else { &s.namespace };
            (!ns.is_empty()).then(|| Key::User(service_account_user(ns, &s.name)))
        }
        _ => None,
    }
}

/// `system:serviceaccount:NAMESPACE:NAME`.
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Whether a single rule allows the request.
pub fn rule_allows(rule: &PolicyRule, attributes: Attributes<'_>) -> bool {
    match attributes {
        Attributes::Resource { verb, group, resource, subresource, name, .. } => {
            matches(&rule.verbs, verb)
                && matches(&rule.api_groups, group)
                && resource_matches(&rule.resources, resource, subresource)
                && (rule.resource_names.is_empty() || rule.resource_names.iter().any(|n| n == name))
        }
        Attributes::Path { verb, path } => {
            matches(&rule.verbs, verb) && rule.non_resource_urls.iter().any(|u| path_matches(u, path))
        }
    }
}

/// `*` or the value itself.
pub fn matches(list: &[String], value: &str) -> bool {
    list.iter().any(|x| x == "*" || x == value)
}

/// `*`, `resource`, `resource/sub` or `*/sub`; no other form has a meaning.
pub fn resource_matches(list: &[String], resource: &str, subresource: &str) -> bool {
    list.iter().any(|x| {
        if x == "*" {
            return true;
        }
        if subresource.is_empty() {
            return x == resource;
        }
        match x.split_once('/') {
            Some((r, s)) => s == subresource && (r == "*" || r == resource),
            None => false,
        }
    })
}

fn path_matches(rule: &str, path: &str) -> bool {
    rule == "*" || rule == path || rule.strip_suffix('*').is_some_and(|p| path.starts_with(p.trim_end_matches('*')))
}

impl fmt::Display for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
