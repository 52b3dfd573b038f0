//! RBAC-shaped techniques as rows: which verb on which resource gives what.

use super::fact::Right;
use crate::authz::rbac::{matches, resource_matches};
use crate::model::rbac::PolicyRule;
use crate::model::{Kind, Version};

/// One right that a technique needs: any of the verbs on the resource.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Verbs, any of them.
    pub verbs: &'static [&'static str],
    /// API group.
    pub group: &'static str,
    /// Resource.
    pub resource: &'static str,
    /// Subresource, empty for none.
    pub sub: &'static str,
    /// Whether the resource lives outside namespaces.
    pub cluster_scoped: bool,
}

/// Which objects a rule covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Every object.
    All,
    /// These names only.
    Some(Vec<String>),
}

impl Need {
    /// `pods/exec` or `secrets`, with the group when it is not core.
    pub fn label(&self) -> String {
        let r = if self.sub.is_empty() { self.resource.to_owned() } else { format!("{}/{}", self.resource, self.sub) };
        if self.group.is_empty() { r } else { format!("{r}.{}", self.group) }
    }

    /// The first verb that a rule grants for this need, and for which objects.
    ///
    /// Requests without a name (create, bare list, watch, deletecollection) match `resourceNames` only through an
    /// empty entry; list and watch by name work with the field selector `metadata.name`.
    pub fn held_by(&self, rule: &PolicyRule) -> Option<(&'static str, Names)> {
        if !matches(&rule.api_groups, self.group) || !resource_matches(&rule.resources, self.resource, self.sub) {
            return None;
        }
        for verb in self.verbs {
            if !matches(&rule.verbs, verb) {
                continue;
            }
            if rule.resource_names.is_empty() {
                return Some((verb, Names::All));
            }
            let empty = rule.resource_names.iter().any(String::is_empty);
            let named: Vec<String> = rule.resource_names.iter().filter(|n| !n.is_empty()).cloned().collect();
            match *verb {
                // Subresource creates (exec, token, eviction) carry the name of their parent.
                "create" if self.sub.is_empty() && empty => return Some((verb, Names::All)),
                "deletecollection" if empty => return Some((verb, Names::All)),
                "deletecollection" => {}
                "create" if self.sub.is_empty() => {}
                "list" | "watch" if empty => return Some((verb, Names::All)),
                _ if !named.is_empty() => return Some((verb, Names::Some(named))),
                _ => {}
            }
        }
        None
    }
}

/// What a row gives in its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Content of Secrets.
    Secrets,
    /// Acting as service accounts.
    Accounts,
    /// Acting as service accounts by name, existing or not.
    AccountNames,
    /// Code in running pods.
    Pods,
    /// The running processes of pods.
    Attach,
    /// Code in the pods of nodes; names are nodes.
    NodePods,
    /// A pod of chosen spec; with a kind: through the template of an object of that kind, which must exist.
    Workload(Option<Kind>),
    /// A right that needs another premise.
    Right(Right),
    /// Traffic to Services.
    Services,
    /// Traffic to whatever a Service of the namespace may stand for; names are pods.
    ServicesByPod,
    /// Network policies that are out of the way; names are policies.
    Policies,
    /// A finding without an effect.
    Hint,
}

/// A technique that one rule satisfies.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Technique id, or [`HOLDS`].
    pub technique: &'static str,
    /// Alternatives, any of them.
    pub needs: &'static [Need],
    /// What follows.
    pub target: Target,
    /// Cost tier.
    pub tier: u8,
    /// Evidence phrase.
    pub why: &'static str,
    /// First server version.
    pub since: Option<Version>,
    /// Last server version.
    pub until: Option<Version>,
}

pub(super) const fn need(
    verbs: &'static [&'static str],
    group: &'static str,
    resource: &'static str,
    sub: &'static str,
) -> Need {
    Need { verbs, group, resource, sub, cluster_scoped: false }
}

pub(super) const fn cluster(
    verbs: &'static [&'static str],
    group: &'static str,
    resource: &'static str,
    sub: &'static str,
) -> Need {
    Need { verbs, group, resource, sub, cluster_scoped: true }
}

const fn row(technique: &'static str, needs: &'static [Need], target: Target, tier: u8, why: &'static str) -> Row {
    Row { technique, needs, target, tier, why, since: None, until: None }
}

/// A row that only notes the right: the step that uses it is another technique's.
pub const HOLDS: &str = "";

const CHANGE: &[&str] = &["patch", "update"];
const LAST_GET: Version = Version { major: 1, minor: 34, patch: u32::MAX };

/// Techniques that one rule of one role satisfies.
pub const SINGLE: &[Row] = &[
    row("secret-get", &[need(&["get"], "", "secrets", "")], Target::Secrets, 1, "the rule allows reading Secrets"),
    row(
        "secret-list",
        &[need(&["list"], "", "secrets", "")],
        Target::Secrets,
        1,
        "a list returns every Secret with its content",
    ),
    row(
        "secret-watch",
        &[need(&["watch"], "", "secrets", "")],
        Target::Secrets,
        1,
        "a watch streams every Secret with its content",
    ),
    row(
        "secret-patch",
        &[need(&["patch"], "", "secrets", "")],
        Target::Secrets,
        2,
        "an empty patch returns the whole Secret",
    ),
    row(
        "secret-delete-dryrun",
        &[need(&["delete"], "", "secrets", "")],
        Target::Secrets,
        3,
        "a dry-run delete returns the Secret",
    ),
    row(
        "secret-deletecollection-dryrun",
        &[need(&["deletecollection"], "", "secrets", "")],
        Target::Secrets,
        3,
        "a dry-run deletecollection returns the Secrets",
    ),
    row(
        "svc-externalname",
        &[need(CHANGE, "", "services", "")],
        Target::Services,
        3,
        "a Service can be made a name outside of the cluster",
    ),
    row(
        "svc-externalips",
        &[need(&["create", "patch", "update"], "", "services", "")],
        Target::Services,
        4,
        "a Service can claim the address of another",
    ),
    row(
        "svc-status-lb-hijack",
        &[need(CHANGE, "", "services", "status")],
        Target::Services,
        3,
        "the status of a load balancer can name any address",
    ),
    row(
        "svc-join-by-status",
        &[need(CHANGE, "", "pods", "status")],
        Target::ServicesByPod,
        3,
        "the status of a pod carries its labels and addresses too",
    ),
    row(
        "svc-endpoints-write",
        &[
            need(&["create", "patch", "update"], "discovery.k8s.io", "endpointslices", ""),
            need(&["create", "patch", "update"], "", "endpoints", ""),
        ],
        Target::Services,
        3,
        "endpoints say where a Service sends to",
    ),
    row(
        "netpol-remove",
        &[need(&["delete", "deletecollection", "patch", "update"], "networking.k8s.io", "networkpolicies", "")],
        Target::Policies,
        3,
        "the rule allows taking policies away",
    ),
    row(
        "netpol-add-allow",
        &[need(&["create"], "networking.k8s.io", "networkpolicies", "")],
        Target::Policies,
        3,
        "what one policy allows, no other takes away",
    ),
    row(
        "configmap-read-creds",
        &[need(&["get", "list", "watch", "patch", "delete", "deletecollection"], "", "configmaps", "")],
        Target::Hint,
        1,
        "ConfigMaps sometimes hold credentials",
    ),
    row(
        "sa-tokenrequest",
        &[need(&["create"], "", "serviceaccounts", "token")],
        Target::Accounts,
        1,
        "the rule allows issuing tokens of service accounts",
    ),
    row(
        "imp-serviceaccount",
        &[need(&["impersonate"], "", "serviceaccounts", "")],
        Target::AccountNames,
        1,
        "the rule allows impersonating service accounts",
    ),
    row("create-pod", &[need(&["create"], "", "pods", "")], Target::Workload(None), 2, "the rule allows creating pods"),
    row(
        "create-deployment",
        &[need(&["create"], "apps", "deployments", "")],
        Target::Workload(None),
        3,
        "a Deployment makes pods of any spec",
    ),
    row(
        "create-daemonset",
        &[need(&["create"], "apps", "daemonsets", "")],
        Target::Workload(None),
        3,
        "a DaemonSet makes pods of any spec",
    ),
    row(
        "create-statefulset",
        &[need(&["create"], "apps", "statefulsets", "")],
        Target::Workload(None),
        3,
        "a StatefulSet makes pods of any spec",
    ),
    row(
        "create-replicaset",
        &[need(&["create"], "apps", "replicasets", "")],
        Target::Workload(None),
        3,
        "a ReplicaSet makes pods of any spec",
    ),
    row(
        "create-replicationcontroller",
        &[need(&["create"], "", "replicationcontrollers", "")],
        Target::Workload(None),
        3,
        "a ReplicationController makes pods of any spec",
    ),
    row(
        "create-job",
        &[need(&["create"], "batch", "jobs", "")],
        Target::Workload(None),
        3,
        "a Job makes pods of any spec",
    ),
    row(
        "create-cronjob",
        &[need(&["create"], "batch", "cronjobs", "")],
        Target::Workload(None),
        3,
        "a CronJob makes pods of any spec",
    ),
    row(
        HOLDS,
        &[need(CHANGE, "apps", "deployments", "")],
        Target::Workload(Some(Kind::Deployment)),
        1,
        "the pod template can be replaced",
    ),
    row(
        HOLDS,
        &[need(CHANGE, "apps", "daemonsets", "")],
        Target::Workload(Some(Kind::DaemonSet)),
        1,
        "the pod template can be replaced",
    ),
    row(
        HOLDS,
        &[need(CHANGE, "apps", "statefulsets", "")],
        Target::Workload(Some(Kind::StatefulSet)),
        1,
        "the pod template can be replaced",
    ),
    row(
        HOLDS,
        &[need(CHANGE, "apps", "replicasets", "")],
        Target::Workload(Some(Kind::ReplicaSet)),
        1,
        "the pod template can be replaced",
    ),
    row(
        HOLDS,
        &[need(CHANGE, "", "replicationcontrollers", "")],
        Target::Workload(Some(Kind::ReplicationController)),
        1,
        "the pod template can be replaced",
    ),
    row(
        HOLDS,
        &[need(CHANGE, "batch", "cronjobs", "")],
        Target::Workload(Some(Kind::CronJob)),
        1,
        "the pod template can be replaced",
    ),
    row(
        "pods-exec-create",
        &[need(&["create"], "", "pods", "exec")],
        Target::Pods,
        1,
        "the rule allows exec into running pods",
    ),
    Row {
        until: Some(LAST_GET),
        ..row(
            "pods-exec-get",
            &[need(&["get"], "", "pods", "exec")],
            Target::Pods,
            1,
            "up to 1.34 a websocket GET is enough for exec",
        )
    },
    row(
        "patch-pod-image",
        &[need(CHANGE, "", "pods", "")],
        Target::Pods,
        3,
        "the image of a running container can be replaced",
    ),
    row(
        "pods-attach",
        &[need(&["create"], "", "pods", "attach")],
        Target::Attach,
        2,
        "the rule allows attaching to running containers",
    ),
    Row {
        until: Some(LAST_GET),
        ..row(
            "pods-attach-get",
            &[need(&["get"], "", "pods", "attach")],
            Target::Attach,
            2,
            "up to 1.34 a websocket GET is enough to attach",
        )
    },
    row(
        HOLDS,
        &[need(CHANGE, "", "pods", "ephemeralcontainers")],
        Target::Right(Right::AddEphemeral),
        1,
        "the rule allows adding ephemeral containers",
    ),
    row(
        "ephemeral-exec",
        &[need(CHANGE, "", "pods", "ephemeralcontainers")],
        Target::Pods,
        2,
        "an ephemeral container joins the running pod",
    ),
    row(
        "nodes-proxy-exec",
        &[cluster(&["get", "create"], "", "nodes", "proxy")],
        Target::NodePods,
        1,
        "the API server proxies to the kubelet, which runs commands in its pods",
    ),
    row(
        HOLDS,
        &[need(&["create"], "", "secrets", "")],
        Target::Right(Right::CreateSecrets),
        1,
        "the rule allows creating Secrets",
    ),
    row(
        HOLDS,
        &[need(&["get", "list", "watch", "patch", "delete"], "", "secrets", "")],
        Target::Right(Right::ReadSecrets),
        1,
        "the rule returns the content of Secrets",
    ),
    row(
        HOLDS,
        &[cluster(&["create"], "", "namespaces", "")],
        Target::Right(Right::CreateNamespaces),
        1,
        "the rule allows creating namespaces",
    ),
    row(
        HOLDS,
        &[need(&["create"], "", "serviceaccounts", "")],
        Target::Right(Right::CreateAccounts),
        1,
        "the rule allows creating service accounts",
    ),
    row(
        HOLDS,
        &[need(&["create"], "", "serviceaccounts", "token")],
        Target::Right(Right::CreateTokens),
        1,
        "the rule allows issuing tokens",
    ),
    row(
        HOLDS,
        &[cluster(&["create"], "", "persistentvolumes", "")],
        Target::Right(Right::CreateVolumes),
        1,
        "the rule allows creating persistent volumes",
    ),
    row(
        HOLDS,
        &[need(&["create"], "", "persistentvolumeclaims", "")],
        Target::Right(Right::CreateClaims),
        1,
        "the rule allows creating claims",
    ),
    row(
        HOLDS,
        &[need(&["get"], "", "pods", "log")],
        Target::Right(Right::ReadLogs),
        1,
        "the rule allows reading pod logs",
    ),
    row(
        HOLDS,
        &[need(CHANGE, "", "namespaces", "")],
        Target::Right(Right::PatchNamespaces),
        1,
        "the rule allows changing the labels of the namespace",
    ),
    row(
        HOLDS,
        &[cluster(&["create"], "certificates.k8s.io", "certificatesigningrequests", "")],
        Target::Right(Right::CreateCsr),
        1,
        "the rule allows filing certificate requests",
    ),
    row(
        HOLDS,
        &[need(&["delete"], "", "pods", ""), need(&["create"], "", "pods", "eviction")],
        Target::Right(Right::EvictPods),
        1,
        "the rule allows removing pods",
    ),
    row(
        HOLDS,
        &[cluster(&["get", "create"], "", "nodes", "proxy")],
        Target::Right(Right::NodesProxy),
        1,
        "the kubelet accepts this right for exec",
    ),
    row(
        HOLDS,
        &[cluster(&["get"], "", "nodes", "proxy")],
        Target::Right(Right::NodesProxyGet),
        1,
        "the API server proxies reading requests to kubelets",
    ),
    row(
        HOLDS,
        &[cluster(&["get"], "", "nodes", "log")],
        Target::Right(Right::NodesLog),
        1,
        "the kubelet accepts this right for its log directory",
    ),
    row(
        HOLDS,
        &[cluster(CHANGE, "", "nodes", "")],
        Target::Right(Right::PatchNodes),
        1,
        "the rule allows tainting nodes, which removes pods",
    ),
];

/// A rule in one line, `get,list secrets [db]`.
pub fn describe(rule: &PolicyRule) -> String {
    if !rule.non_resource_urls.is_empty() {
        return format!("{} {}", rule.verbs.join(","), rule.non_resource_urls.join(","));
    }
    let groups: Vec<&str> = rule.api_groups.iter().map(|g| if g.is_empty() { "core" } else { g.as_str() }).collect();
    let names =
        if rule.resource_names.is_empty() { String::new() } else { format!(" [{}]", rule.resource_names.join(",")) };
    format!("{} on {} in {}{names}", rule.verbs.join(","), shorten(&rule.resources), shorten(&groups))
}

fn shorten<S: AsRef<str>>(list: &[S]) -> String {
    let shown: Vec<&str> = list.iter().take(6).map(AsRef::as_ref).collect();
    if list.len() > 6 { format!("{} and {} more", shown.join(","), list.len() - 6) } else { shown.join(",") }
}

/// Whether a rule takes part in no technique: neither as a row nor in a combination of rights.
pub fn inert(rule: &PolicyRule) -> bool {
    let strong = ["*", "impersonate", "bind", "escalate", "approve"];
    if !rule.resources.is_empty() && rule.verbs.iter().any(|v| strong.contains(&v.as_str())) {
        return false;
    }
    let rbac = rule.resources.iter().any(|r| r.contains("role") || r.contains("certificatesigningrequests"));
    let needs = SINGLE.iter().flat_map(|r| r.needs).chain(super::hijack::RIGHTS.iter().map(|(_, n)| n));
    let needs = needs.chain(&super::aws::WRITES);
    !rbac && !super::aws::writes_controllers(rule) && needs.into_iter().all(|n| n.held_by(rule).is_none())
}
