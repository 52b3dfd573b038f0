//! Steps that look like attacks and are none: the explicit non-edges of the catalogue, each named after its reason.
//!
//! The start `pod/prod/app` holds the rules given. It must reach nothing: not with every unknown taken as open.

use kpath::query::selector;
use kpath::report::Verdict;
use kpath::report::answer::{self, Question};
use kpath::rules;
use kpath::snapshot::ClusterOptions;

use crate::support::snapshot_of;

const BASE: &str = "apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: v1
kind: Node
metadata: {name: w1}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: prod}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: victim, namespace: prod}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: prod}
type: Opaque
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: prod}
spec: {serviceAccountName: app, nodeName: w1, containers: [{name: c, image: i, securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: victim, namespace: prod}
spec: {serviceAccountName: victim, nodeName: w1, containers: [{name: c, image: i, securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cluster-admin}
rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: Group, name: ops}, {kind: User, name: alice}]
";

fn rbac(kind: &str, rules: &str) -> String {
    let ns = if kind == "Role" { ", namespace: prod" } else { "" };
    let binding = format!("{kind}Binding");
    format!(
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: r{ns}}}\nrules: [{rules}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {binding}\nmetadata: {{name: r{ns}}}\nroleRef: {{kind: {kind}, name: r}}\nsubjects: [{{kind: ServiceAccount, name: app, namespace: prod}}]\n"
    )
}

const R: &str = "rbac.authorization.k8s.io";
const C: &str = "certificates.k8s.io";

/// (reason, Role or ClusterRole, rules as (group, resources, verbs, names))
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str, &'static str, &'static str)]);

const CASES: &[Case] = &[
    (
        "sign on a signer and status update issue no identity",
        "ClusterRole",
        &[(C, "signers", "sign", ""), (C, "certificatesigningrequests/status", "update", "")],
    ),
    (
        "the legacy-unknown signer issues no API identity",
        "ClusterRole",
        &[
            (C, "certificatesigningrequests", "create", ""),
            (C, "certificatesigningrequests/approval", "update", ""),
            (C, "signers", "approve", "kubernetes.io/legacy-unknown"),
        ],
    ),
    ("a CSR without approval is nothing", "ClusterRole", &[(C, "certificatesigningrequests", "create", "")]),
    (
        "update of approval needs approve on the signer",
        "ClusterRole",
        &[(C, "certificatesigningrequests", "create", ""), (C, "certificatesigningrequests/approval", "update", "")],
    ),
    (
        "writing bindings and roles needs bind or escalate",
        "ClusterRole",
        &[(R, "clusterrolebindings, rolebindings, roles, clusterroles", "create, patch, update", "")],
    ),
    ("labelling a powerful ClusterRole needs escalate", "ClusterRole", &[(R, "clusterroles", "patch", "")]),
    (
        "uids and extras are read by no default authorizer",
        "ClusterRole",
        &[("authentication.k8s.io", "uids, userextras/scopes", "impersonate", "")],
    ),
    ("a group header needs a user", "ClusterRole", &[("", "groups", "impersonate", "")]),
    ("users and groups are cluster-scoped", "Role", &[("", "users, groups", "impersonate", "")]),
    (
        "impersonating users does not cover service accounts",
        "ClusterRole",
        &[("", "users", "impersonate", "system:serviceaccount:prod:victim")],
    ),
    ("a node user without its group is no node", "ClusterRole", &[("", "users", "impersonate", "system:node:w1")]),
    (
        "a Role does not grant cluster-scoped resources",
        "Role",
        &[("", "nodes, nodes/proxy, persistentvolumes", "*", ""), (R, "clusterroles, clusterrolebindings", "*", "")],
    ),
    ("pods/* matches nothing", "Role", &[("", "pods/*", "*", "")]),
    ("a star among resourceNames is a name", "Role", &[("", "secrets", "get", "'*'")]),
    ("create and update of Secrets do not disclose", "Role", &[("", "secrets", "create, update", "")]),
    ("creating an account gives no token", "Role", &[("", "serviceaccounts", "create", "")]),
    ("creating a namespace gives nothing inside it", "ClusterRole", &[("", "namespaces", "create", "")]),
    (
        "scale and status do not change the template",
        "Role",
        &[("apps", "deployments/scale, deployments/status", "patch, update", "")],
    ),
    ("a Job's template is immutable", "Role", &[("batch", "jobs", "patch, update", "")]),
    ("ControllerRevisions are immutable", "Role", &[("apps", "controllerrevisions", "patch, update, create", "")]),
    ("PodTemplates are used by no controller", "Role", &[("", "podtemplates", "*", "")]),
    ("pods/resize changes resources only", "Role", &[("", "pods/resize", "patch, update", "")]),
    ("leases carry no right", "Role", &[("coordination.k8s.io", "leases", "*", "")]),
    (
        "reviews answer questions only",
        "ClusterRole",
        &[
            ("authentication.k8s.io", "tokenreviews", "create", ""),
            ("authorization.k8s.io", "subjectaccessreviews", "create", ""),
        ],
    ),
    (
        "fine-grained node rights do not run commands",
        "ClusterRole",
        &[("", "nodes/metrics, nodes/stats, nodes/healthz, nodes/pods, nodes/configz", "get", "")],
    ),
    ("bind on bindings means nothing", "ClusterRole", &[(R, "clusterrolebindings, rolebindings", "bind, create", "")]),
    ("escalate needs a write verb", "ClusterRole", &[(R, "roles, clusterroles", "escalate", "")]),
    ("exec by GET ended with 1.34", "Role", &[("", "pods/exec, pods/attach", "get", "")]),
    ("the wrong API group grants nothing", "Role", &[("apps", "secrets, pods", "*", "")]),
    (
        "groups, resources and verbs of different rules do not combine",
        "Role",
        &[("apps", "secrets", "get", ""), ("", "configmaps", "get", ""), ("", "secrets", "update", "")],
    ),
];

fn reaches(text: &str, to: &str) -> (Verdict, String) {
    let cluster = snapshot_of(&[("c.yaml".into(), text.to_owned())])
        .into_cluster(&ClusterOptions { complete: true, version: None });
    assert!(cluster.gaps.iter().all(|g| g.id.is_empty()), "{:?}", cluster.gaps);
    let attack = rules::build(&cluster);
    let pick = |s: &str| selector::resolve(&attack, &cluster, s, true).unwrap();
    let a = answer::ask(&attack, &cluster, &Question::new(), &pick("pod/prod/app"), &pick(to), 1);
    let steps = a
        .proofs
        .first()
        .map(|p| p.iter().map(|s| s.technique.clone()).collect::<Vec<_>>().join(" → "))
        .unwrap_or_default();
    (a.answer, steps)
}

#[test]
fn what_looks_like_an_attack_and_is_none() {
    let mut wrong = Vec::new();
    for (reason, kind, rules) in CASES {
        let list: Vec<String> = rules
            .iter()
            .map(|(g, r, v, n)| {
                let names = if n.is_empty() { String::new() } else { format!(", resourceNames: [{n}]") };
                let quote = |s: &str| s.split(", ").map(|x| format!("'{x}'")).collect::<Vec<_>>().join(", ");
                format!("{{apiGroups: ['{g}'], resources: [{}], verbs: [{}]{names}}}", quote(r), quote(v))
            })
            .collect();
        let text = format!("{BASE}{}", rbac(kind, &list.join(", ")));
        for to in ["cluster-admin", "node/*", "secret/*", "sa/prod/victim", "pod/prod/victim", "user/alice"] {
            let (verdict, steps) = reaches(&text, to);
            if verdict != Verdict::No {
                wrong.push(format!("{reason}: {to} is {verdict:?} by {steps}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A container setting by itself, as a pod spec fragment and container fragment.
const CONTAINERS: &[(&str, &str, &str)] = &[
    ("hostNetwork is not the node", "hostNetwork: true, ", ""),
    ("NET_ADMIN is not the node", "", ", securityContext: {capabilities: {add: [NET_ADMIN, NET_RAW]}}"),
    (
        "the default capabilities are no escape",
        "",
        ", securityContext: {capabilities: {add: [CHOWN, DAC_OVERRIDE, FOWNER, SETUID, SETGID, MKNOD, SYS_CHROOT]}}",
    ),
    (
        "hostPath /dev without privileged",
        "volumes: [{name: h, hostPath: {path: /dev}}], ",
        ", volumeMounts: [{name: h, mountPath: /h}]",
    ),
    (
        "inert host files",
        "volumes: [{name: h, hostPath: {path: /etc/localtime}}, {name: m, hostPath: {path: /lib/modules}}, {name: l, hostPath: {path: /run/xtables.lock}}, {name: s, hostPath: {path: /sys}}], ",
        ", volumeMounts: [{name: h, mountPath: /h}, {name: m, mountPath: /m, readOnly: true}, {name: l, mountPath: /l}, {name: s, mountPath: /s, readOnly: true}]",
    ),
    ("procMount Unmasked", "hostUsers: false, ", ", securityContext: {procMount: Unmasked}"),
    ("privileged in a user namespace", "hostUsers: false, ", ", securityContext: {privileged: true}"),
    ("a finished pod", "", ", securityContext: {privileged: true}"),
];

#[test]
fn container_settings_that_are_no_escape() {
    for (reason, spec, container) in CONTAINERS {
        let status = if reason.contains("finished") { "\nstatus: {phase: Succeeded}" } else { "" };
        let pod = format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: x, namespace: prod}}\nspec: {{automountServiceAccountToken: false, nodeName: w1, {spec}containers: [{{name: c, image: i{container}}}]}}{status}\n"
        );
        let text = format!("{BASE}{pod}")
            .replace("name: app, namespace: prod}\nspec", "name: old, namespace: prod}\nspec")
            .replace("name: x,", "name: app,");
        let (verdict, steps) = reaches(&text, "node/*");
        assert_eq!(verdict, Verdict::No, "{reason}: {steps}");
    }
}

#[test]
fn rights_of_two_identities_do_not_add_up() {
    // bind by one account and create by another: the API server checks one requester.
    let half = |name: &str, who: &str, verb: &str, resource: &str| {
        format!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules: [{{apiGroups: [{R}], resources: [{resource}], verbs: [{verb}]}}, {{apiGroups: [''], resources: [serviceaccounts/token], verbs: [create]}}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: {name}}}\nroleRef: {{kind: ClusterRole, name: {name}}}\nsubjects: [{{kind: ServiceAccount, name: {who}, namespace: prod}}]\n"
        )
    };
    let split = format!(
        "{BASE}{}{}",
        half("a", "app", "create", "clusterrolebindings"),
        half("b", "victim", "bind", "clusterroles")
    );
    assert_eq!(reaches(&split, "sa/prod/victim").0, Verdict::Yes, "the second identity is in reach");
    assert_eq!(reaches(&split, "cluster-admin").0, Verdict::No);
    let joined = format!(
        "{BASE}{}{}",
        half("a", "app", "create", "clusterrolebindings"),
        half("b", "app", "bind", "clusterroles")
    );
    assert_eq!(reaches(&joined, "cluster-admin").0, Verdict::Yes);
}
