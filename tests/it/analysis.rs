//! Rows, choke points and what a *no* reached, each beside what it was confused with.

use kpath::model::Cluster;
use kpath::query::selector;
use kpath::report::analyze::{self, Analysis};
use kpath::report::answer::{self, Question, Verdict};
use kpath::rules;
use kpath::snapshot::ClusterOptions;

use crate::support::snapshot_of;

fn cluster(text: &str) -> Cluster {
    let s = snapshot_of(&[("c.yaml".into(), text.into())]);
    assert!(s.gaps.is_empty(), "{:?}", s.gaps);
    s.into_cluster(&ClusterOptions { complete: true, version: None })
}

fn analysis(text: &str, from: &str, to: &str) -> Analysis {
    let cluster = cluster(text);
    let attack = rules::build(&cluster);
    let pick = |s: &str| selector::resolve(&attack, &cluster, s, true).unwrap();
    analyze::analyze(&attack, &cluster, &Question::new(), &pick(from), &pick(to))
}

fn object(kind: &str, namespace: &str, name: &str, rest: &str) -> String {
    let group = if kind.contains("Role") { "rbac.authorization.k8s.io/v1" } else { "v1" };
    let ns = if namespace.is_empty() { String::new() } else { format!(", namespace: {namespace}") };
    format!("apiVersion: {group}\nkind: {kind}\nmetadata: {{name: '{name}'{ns}}}\n{rest}\n---\n")
}

/// A namespace with a pod `app` that mounts the token of its account `app`.
fn place(ns: &str) -> String {
    let pod = "spec: {serviceAccountName: app, nodeName: w1, containers: [{name: c, image: i, securityContext: {runAsUser: 1000}}]}";
    object("Namespace", "", ns, "") + &object("ServiceAccount", ns, "app", "") + &object("Pod", ns, "app", pod)
}

fn grant(name: &str, subject: &str, rules: &str) -> String {
    object("ClusterRole", "", name, &format!("rules: [{rules}]"))
        + &object(
            "ClusterRoleBinding",
            "",
            name,
            &format!("roleRef: {{kind: ClusterRole, name: {name}}}\nsubjects: [{subject}]"),
        )
}

#[test]
fn a_binding_that_only_names_a_group_is_no_choke_point() {
    let everybody = "{kind: Group, name: 'system:authenticated'}";
    let text = place("prod")
        // First by name, and harmless.
        + &grant("aaa-basic", everybody, "{apiGroups: [authorization.k8s.io], resources: [selfsubjectaccessreviews], verbs: [create]}")
        + &grant("zzz-admin", everybody, "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}");
    let a = analysis(&text, "pod/*", "cluster-admin");
    assert_eq!(a.choke_points, [("ClusterRoleBinding zzz-admin".to_owned(), 1)]);
}

#[test]
fn a_row_holds_foreign_secrets_or_its_own_and_not_both() {
    let all = "{apiGroups: [''], resources: [secrets], verbs: [get], resourceNames: [key]}";
    let text = place("kube-system")
        + &place("prod")
        + &object("Secret", "kube-system", "key", "")
        + &grant("r", "{kind: Group, name: 'system:serviceaccounts'}", all);
    let a = analysis(&text, "pod/*", "secret/*");
    let rows: Vec<(Vec<String>, bool)> = a.paths.iter().map(|r| (r.from.clone(), r.foreign)).collect();
    let pod = |ns: &str| vec![format!("pod/{ns}/app")];
    assert!(rows.contains(&(pod("kube-system"), false)) && rows.contains(&(pod("prod"), true)), "{rows:?}");
}

#[test]
fn the_same_mistake_in_two_namespaces_is_one_row_and_shows_every_unknown() {
    let rights = "{apiGroups: [''], resources: [pods], verbs: [create]}";
    let one = |ns: &str| {
        let policy = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: deny, namespace: {ns}}}\nspec: {{podSelector: {{}}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 10.0.0.0/8}}}}]}}]}}\n---\n"
        );
        place(ns)
            + &policy
            + &object("Role", ns, "r", &format!("rules: [{rights}]"))
            + &object(
                "RoleBinding",
                ns,
                "r",
                &format!(
                    "roleRef: {{kind: Role, name: r}}\nsubjects: [{{kind: ServiceAccount, name: app, namespace: {ns}}}]"
                ),
            )
    };
    let text = one("a") + &one("b") + &object("Node", "", "w1", "");
    let a = analysis(&text, "pod/*", "node/*");
    assert_eq!(a.paths.len(), 1, "{:?}", a.paths);
    assert_eq!(a.paths[0].from, ["pod/a/app", "pod/b/app"]);
    let ids: Vec<&str> = a.paths[0].unknown_because.iter().map(|m| m.id.as_str()).collect();
    assert_eq!(ids, ["netpol-allows:a/deny", "netpol-allows:b/deny"]);
}

#[test]
fn what_only_two_sources_together_reach_was_not_reached() {
    let csr = "certificates.k8s.io";
    let text = place("a")
        + &place("b")
        + &grant(
            "file",
            "{kind: ServiceAccount, name: app, namespace: a}",
            &format!("{{apiGroups: [{csr}], resources: [certificatesigningrequests], verbs: [create]}}"),
        )
        + &grant(
            "approve",
            "{kind: ServiceAccount, name: app, namespace: b}",
            &format!(
                "{{apiGroups: [{csr}], resources: [certificatesigningrequests/approval], verbs: [update]}}, {{apiGroups: [{csr}], resources: [signers], verbs: [approve]}}"
            ),
        )
        + &grant("admins", "{kind: User, name: alice}", "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}");
    let cluster = cluster(&text);
    let attack = rules::build(&cluster);
    let pick = |s: &str| selector::resolve(&attack, &cluster, s, true).unwrap();
    let from = pick("pod/*");
    let a = answer::ask(&attack, &cluster, &Question::new(), &from, &pick("cluster-admin"), 1);
    assert_eq!(a.answer, Verdict::No);
    assert!(a.reached.iter().any(|r| r.contains("sa/a/app")), "{:?}", a.reached);
    assert!(!a.reached.iter().any(|r| r.contains("cluster-admin")), "{:?}", a.reached);
    let drawn = answer::reached(&attack, &cluster, &Question::new(), &from);
    assert!(!drawn.is_empty() && !drawn.iter().flatten().any(|s| s.fact.contains("cluster-admin")));
}
