//! Answers that were wrong once, each beside the configuration that it was confused with.

use kpath::query::selector;
use kpath::report::Verdict;
use kpath::report::answer::{self, Question};
use kpath::rules;
use kpath::snapshot::{ClusterOptions, Snapshot};

use crate::support::snapshot_of;

const BASE: &str = "apiVersion: v1
kind: Namespace
metadata: {name: prod}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: v1
kind: Namespace
metadata: {name: kube-system}
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
metadata: {name: victim, namespace: other}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: other}
---
apiVersion: v1
kind: Pod
metadata: {name: app, namespace: prod, labels: {app: app}}
spec: {serviceAccountName: app, nodeName: w1, containers: [{name: c, image: i, securityContext: {runAsUser: 1000, allowPrivilegeEscalation: false}}]}
";

fn snapshot(extra: &str) -> Snapshot {
    snapshot_of(&[("c.yaml".into(), format!("{BASE}---\n{extra}"))])
}

fn ask_of(snapshot: Snapshot, from: &str, to: &str, complete: bool) -> (Verdict, Vec<String>, Vec<String>) {
    let cluster = snapshot.into_cluster(&ClusterOptions { complete, version: None });
    let attack = rules::build(&cluster);
    let pick = |s: &str| selector::resolve(&attack, &cluster, s, true).unwrap();
    let a = answer::ask(&attack, &cluster, &Question::new(), &pick(from), &pick(to), 1);
    let steps = a.proofs.first().into_iter().flatten().map(|s| s.technique.clone()).collect();
    (a.answer, steps, a.unknown_because.into_iter().map(|m| m.id).collect())
}

fn ask(extra: &str, from: &str, to: &str) -> Verdict {
    let s = snapshot(extra);
    assert!(s.gaps.is_empty(), "{:?}", s.gaps);
    ask_of(s, from, to, true).0
}

/// A role with its binding to `prod/app`; `ns` empty makes both cluster-wide.
fn grant(name: &str, ns: &str, rules: &str) -> String {
    let (kind, meta) =
        if ns.is_empty() { ("ClusterRole", String::new()) } else { ("Role", format!(", namespace: {ns}")) };
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}{meta}}}\nrules: [{rules}]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}Binding\nmetadata: {{name: {name}{meta}}}\nroleRef: {{kind: {kind}, name: {name}}}\nsubjects: [{{kind: ServiceAccount, name: app, namespace: prod}}]\n---\n"
    )
}

fn rule(group: &str, resources: &str, verbs: &str, names: &str) -> String {
    let names = if names.is_empty() { String::new() } else { format!(", resourceNames: [{names}]") };
    format!("{{apiGroups: ['{group}'], resources: [{resources}], verbs: [{verbs}]{names}}}")
}

const R: &str = "rbac.authorization.k8s.io";

#[test]
fn a_role_that_may_be_bound_by_name_gives_its_rules() {
    let reader = format!(
        "apiVersion: {R}/v1\nkind: ClusterRole\nmetadata: {{name: reader}}\nrules: [{}]\n---\n",
        rule("", "secrets", "get", "")
    );
    let bind = |ns: &str, resource: &str| {
        grant("b", ns, &format!("{}, {}", rule(R, resource, "create", ""), rule(R, "clusterroles", "bind", "reader")))
    };
    assert_eq!(
        ask(&format!("{reader}{}", bind("other", "rolebindings")), "pod/prod/app", "secret/other/db"),
        Verdict::Yes
    );
    assert_eq!(
        ask(&format!("{reader}{}", bind("prod", "rolebindings")), "pod/prod/app", "secret/other/db"),
        Verdict::No
    );
    assert_eq!(
        ask(&format!("{reader}{}", bind("", "clusterrolebindings")), "pod/prod/app", "secret/other/db"),
        Verdict::Yes
    );
    assert_eq!(ask(&format!("{reader}{}", bind("", "rolebindings")), "pod/prod/app", "secret/other/db"), Verdict::Yes);
    // The bound role's own combinations count too: it may bind everything.
    let binder = format!(
        "apiVersion: {R}/v1\nkind: ClusterRole\nmetadata: {{name: reader}}\nrules: [{}]\n---\n",
        rule(R, "clusterrolebindings, clusterroles", "create, bind", "")
    );
    assert_eq!(
        ask(&format!("{binder}{}", bind("", "clusterrolebindings")), "pod/prod/app", "cluster-admin"),
        Verdict::Yes
    );
}

#[test]
fn role_bindings_may_be_made_in_every_namespace() {
    let rules = |b: &str| format!("{}, {}", rule(R, "rolebindings", "create", ""), rule(R, b, "bind", ""));
    assert_eq!(ask(&grant("b", "", &rules("clusterroles")), "pod/prod/app", "secret/other/db"), Verdict::Yes);
    assert_eq!(ask(&grant("b", "", &rules("roles")), "pod/prod/app", "secret/other/db"), Verdict::No);
    let rewrite =
        format!("{}, {}", rule(R, "rolebindings, roles", "create, bind", ""), rule(R, "roles", "escalate", ""));
    assert_eq!(ask(&grant("b", "", &rewrite), "pod/prod/app", "secret/other/db"), Verdict::Yes);
}

#[test]
fn a_foreign_binding_may_be_joined_with_cluster_wide_rights() {
    let target = format!(
        "apiVersion: {R}/v1\nkind: Role\nmetadata: {{name: reader, namespace: other}}\nrules: [{}]\n---\napiVersion: {R}/v1\nkind: RoleBinding\nmetadata: {{name: reader, namespace: other}}\nroleRef: {{kind: Role, name: reader}}\nsubjects: [{{kind: User, name: bob}}]\n---\n",
        rule("", "secrets", "get", "")
    );
    let join = |verb: &str| {
        grant("j", "", &format!("{}, {}", rule(R, "rolebindings", verb, ""), rule(R, "roles", "bind", "")))
    };
    assert_eq!(ask(&format!("{target}{}", join("patch")), "pod/prod/app", "secret/other/db"), Verdict::Yes);
    assert_eq!(ask(&format!("{target}{}", join("get")), "pod/prod/app", "secret/other/db"), Verdict::No);
}

#[test]
fn a_missing_account_is_claimed_by_creating_or_impersonating_it_and_not_by_a_pod() {
    let ghost = format!("{}subjects: []\n", "").replace("subjects: []\n", "")
        + &grant("ghost", "", &rule("*", "'*'", "'*'", ""))
            .replace("name: app, namespace: prod}]", "name: ghost, namespace: prod}]");
    let with = |resources: &str, verbs: &str| format!("{ghost}{}", grant("w", "prod", &rule("", resources, verbs, "")));
    // Pod Security keeps the new pod from the node, so that only the account matters.
    let restricted = |s: String| {
        s + "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {pod-security.kubernetes.io/enforce: restricted}}\n"
    };
    let answer = |s: String| ask_of(snapshot(&restricted(s)), "pod/prod/app", "cluster-admin", true).0;
    assert_eq!(answer(with("pods", "create")), Verdict::No);
    assert_eq!(answer(with("serviceaccounts/token", "create")), Verdict::No);
    assert_eq!(answer(with("serviceaccounts", "impersonate")), Verdict::Yes);
    assert_eq!(answer(with("serviceaccounts, serviceaccounts/token", "create")), Verdict::Yes);
}

#[test]
fn a_default_role_that_was_changed_counts() {
    let anyone = |rules: &str| {
        grant("system:discovery", "", rules).replace(
            "{kind: ServiceAccount, name: app, namespace: prod}",
            "{kind: Group, name: 'system:authenticated'}",
        )
    };
    assert_eq!(ask(&anyone(&rule("", "secrets", "get", "")), "pod/prod/app", "secret/other/db"), Verdict::Yes);
    assert_eq!(
        ask(&anyone("{nonResourceURLs: ['/api', '/healthz'], verbs: [get]}"), "pod/prod/app", "secret/other/db"),
        Verdict::No
    );
}

#[test]
fn changing_a_template_needs_an_object_with_one() {
    let patch = grant("p", "other", &rule("apps", "deployments, daemonsets", "patch", ""));
    let deploy = |kind: &str, strategy: &str| {
        format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: d, namespace: other}}\nspec: {{{strategy}selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}}}\n"
        )
    };
    assert_eq!(ask(&patch, "pod/prod/app", "sa/other/victim"), Verdict::No);
    assert_eq!(ask(&format!("{patch}{}", deploy("Deployment", "")), "pod/prod/app", "sa/other/victim"), Verdict::Yes);
    assert_eq!(
        ask(
            &format!("{patch}{}", deploy("DaemonSet", "updateStrategy: {type: OnDelete}, ")),
            "pod/prod/app",
            "sa/other/victim"
        ),
        Verdict::Unknown
    );
}

#[test]
fn a_pod_that_waits_is_no_foothold_and_serves_nobody() {
    let pending = "apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: prod}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}], nodeName: w1}\nstatus: {phase: PHASE}\n";
    assert_eq!(ask(&pending.replace("PHASE", "Pending"), "pod/prod/late", "node/w1"), Verdict::No);
    assert_eq!(ask(&pending.replace("PHASE", "Running"), "pod/prod/late", "node/w1"), Verdict::Yes);
}

#[test]
fn a_policy_in_front_of_a_published_pod_makes_it_unknown() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: prod}\nspec: {type: LoadBalancer, selector: {app: app}, ports: [{port: 80}]}\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}\n---\n";
    let policy = |types: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: np, namespace: prod}}\nspec: {{podSelector: {{}}, policyTypes: [{types}]}}\n"
        )
    };
    assert_eq!(ask(service, "internet", "pod/prod/app"), Verdict::Yes);
    assert_eq!(ask(&format!("{service}{}", policy("Ingress")), "internet", "pod/prod/app"), Verdict::Unknown);
    assert_eq!(ask(&format!("{service}{}", policy("Egress")), "internet", "pod/prod/app"), Verdict::Yes);
    let (answer, _, ids) = ask_of(snapshot(service), "internet", "pod/prod/app", false);
    assert_eq!((answer, ids.contains(&"unread:NetworkPolicy".to_owned())), (Verdict::Unknown, true), "{ids:?}");
}

#[test]
fn an_unknown_runtime_class_and_a_sandbox_differ() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: prod}\nspec: {nodeName: w1, runtimeClassName: rc, automountServiceAccountToken: false, containers: [{name: c, image: i, securityContext: {privileged: true, runAsUser: 0}}]}\n---\n";
    let class = |h: &str| {
        format!("{pod}apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata: {{name: rc}}\nhandler: {h}\n")
    };
    assert_eq!(ask(&class("runc"), "pod/prod/x", "node/w1"), Verdict::Yes);
    assert_eq!(ask(&class("kata-qemu"), "pod/prod/x", "node/w1"), Verdict::No);
    assert_eq!(ask(&class("homemade"), "pod/prod/x", "node/w1"), Verdict::Unknown);
    assert_eq!(ask_of(snapshot(pod), "pod/prod/x", "node/w1", false).0, Verdict::Unknown);
}

#[test]
fn root_without_the_capabilities_of_its_sibling_does_not_enter_it() {
    let pod = |a: &str, b: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: x, namespace: prod}}\nspec: {{shareProcessNamespace: true, automountServiceAccountToken: false, volumes: [{{name: s, secret: {{secretName: k}}}}], containers: [{{name: a, image: a, securityContext: {{{a}}}}}, {{name: b, image: b, volumeMounts: [{{name: s, mountPath: /s}}], securityContext: {{{b}}}}}]}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: k, namespace: prod}}\n"
        )
    };
    let steps = |a: &str, b: &str| {
        let cluster = snapshot(&pod(a, b)).into_cluster(&ClusterOptions { complete: true, version: None });
        let attack = rules::build(&cluster);
        let n = rules::technique::number("ctr-share-process-ns");
        attack
            .graph
            .instances
            .iter()
            .filter(|i| {
                Some(i.technique) == n
                    && attack.fact(i.premises[0]).is_some_and(|f| matches!(f, rules::fact::Fact::Exec(_, 0)))
            })
            .count()
    };
    assert!(steps("runAsUser: 0", "runAsUser: 5") > 0);
    assert_eq!(steps("runAsUser: 0", "privileged: true"), 0);
    assert_eq!(steps("runAsUser: 7", "runAsUser: 7, capabilities: {add: [NET_ADMIN]}"), 0);
    assert!(steps("runAsUser: 7", "runAsUser: 7") > 0);
}

#[test]
fn directories_below_and_above_the_listed_ones_count() {
    let pod = |path: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: x, namespace: prod}}\nspec: {{nodeName: w1, automountServiceAccountToken: false, containers: [{{name: c, image: i, securityContext: {{runAsUser: 0}}, volumeMounts: [{{name: h, mountPath: /h}}]}}], volumes: [{{name: h, hostPath: {{path: {path}}}}}]}}\n"
        )
    };
    for path in ["/usr/local", "/var/spool", "/usr/", "//etc"] {
        assert_eq!(ask(&pod(path), "pod/prod/x", "node/w1"), Verdict::Yes, "{path}");
    }
    for path in ["/usr/share/zoneinfo", "/var/tmp/data", "/data"] {
        assert_eq!(ask(&pod(path), "pod/prod/x", "node/w1"), Verdict::No, "{path}");
    }
}

#[test]
fn propagation_is_read_from_the_mount_itself() {
    let pod = |kubelet: &str, other: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: x, namespace: prod}}\nspec: {{nodeName: w1, automountServiceAccountToken: false, containers: [{{name: c, image: i, securityContext: {{runAsUser: 0}}, volumeMounts: [{{name: h, mountPath: /h, readOnly: true{kubelet}}}, {{name: e, mountPath: /e{other}}}]}}], volumes: [{{name: h, hostPath: {{path: /var/lib/kubelet}}}}, {{name: e, emptyDir: {{}}}}]}}\n"
        )
    };
    let p = ", mountPropagation: HostToContainer";
    // The kubelet's own credentials are there either way; what the volumes of pods need is propagation.
    let certain = |text: &str| {
        let cluster = snapshot(text).into_cluster(&ClusterOptions { complete: true, version: None });
        let attack = rules::build(&cluster);
        let volumes = rules::fact::Area::Kubelet;
        let shown = |f| matches!(attack.fact(f), Some(rules::fact::Fact::HostFs(_, a)) if a == volumes);
        let t = rules::technique::number("hp-kubelet-dir-read");
        let mut all =
            attack.graph.instances.iter().filter(|i| Some(i.technique) == t && shown(i.conclusion)).peekable();
        assert!(all.peek().is_some());
        all.any(|i| i.unknowns.is_empty())
    };
    assert!(certain(&pod(p, "")));
    assert!(!certain(&pod("", p)));
}

#[test]
fn logs_of_any_pod_on_the_node_are_enough() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: prod}\nspec: {serviceAccountName: app, nodeName: w1, containers: [{name: c, image: i, securityContext: {runAsUser: 0}, volumeMounts: [{name: h, mountPath: /h}]}], volumes: [{name: h, hostPath: {path: /var/log}}]}\n---\n";
    let elsewhere = |node: &str| {
        format!(
            "apiVersion: v1\nkind: Node\nmetadata: {{name: w2}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: yy, namespace: other}}\nspec: {{nodeName: {node}, containers: [{{name: c, image: i}}]}}\n---\n"
        )
    };
    let logs = grant("l", "other", &rule("", "pods/log", "get", ""));
    assert_eq!(ask(&format!("{pod}{}{logs}", elsewhere("w1")), "pod/prod/x", "user/system:node:w1"), Verdict::Yes);
    assert_eq!(ask(&format!("{pod}{}{logs}", elsewhere("w2")), "pod/prod/x", "user/system:node:w1"), Verdict::No);
}

#[test]
fn more_guards_than_a_handful_are_all_named() {
    let hooks: String = (0..7).map(|i| format!("apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{name: v{i}}}\nwebhooks: [{{name: hook-{i}, rules: [{{operations: [CREATE], apiGroups: [''], apiVersions: [v1], resources: [pods]}}]}}]\n---\n")).collect();
    let text = format!("{hooks}{}", grant("c", "prod", &rule("", "pods", "create", "")));
    let (answer, _, ids) = ask_of(snapshot(&text), "pod/prod/app", "node/w1", true);
    assert_eq!(answer, Verdict::Unknown);
    assert_eq!(ids.iter().filter(|i| i.starts_with("webhook-admits:")).count(), 7, "{ids:?}");
}

#[test]
fn unread_admission_policies_may_block() {
    let text = grant("c", "prod", &rule("", "pods", "create", ""));
    let (answer, _, ids) = ask_of(snapshot(&text), "pod/prod/app", "node/w1", false);
    assert_eq!(answer, Verdict::Unknown);
    for id in ["unread:ValidatingWebhookConfiguration", "unread:ValidatingAdmissionPolicy"] {
        assert!(ids.iter().any(|i| i == id), "{id} in {ids:?}");
    }
}

#[test]
fn an_unbound_pod_may_land_on_any_node() {
    let two = "apiVersion: v1\nkind: Node\nmetadata: {name: w2}\n---\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: prod}\nspec: {automountServiceAccountToken: false, containers: [{name: c, image: i, securityContext: {privileged: true, runAsUser: 0}}]}\n";
    let text = format!("{two}{pod}");
    assert_eq!(ask(&text, "pod/prod/x", "node/*"), Verdict::Yes);
    assert_eq!(ask(&text, "pod/prod/x", "node/w2"), Verdict::Unknown);
}

#[test]
fn pods_share_a_node_that_has_no_object() {
    let pod = |n: &str, sc: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {n}, namespace: prod}}\nspec: {{nodeName: ghost, automountServiceAccountToken: false, containers: [{{name: c, image: i, securityContext: {{{sc}}}}}]}}\n---\n"
        )
    };
    let text = format!("{}{}", pod("x", "privileged: true, runAsUser: 0"), pod("yy", "runAsUser: 5"))
        + &BASE.replace("kind: Node", "kind: PersistentVolume").replace("metadata: {name: w1}", "metadata: {name: pv}");
    let s = snapshot_of(&[("c.yaml".into(), text)]);
    assert_eq!(ask_of(s, "pod/prod/x", "pod/prod/yy", true).0, Verdict::Yes);
}

#[test]
fn a_file_that_is_cut_off_leaves_no_certain_no() {
    let files =
        |cut: &str| snapshot_of(&[("c.yaml".into(), BASE.into()), ("clusterrolebindings.json".into(), cut.into())]);
    let whole = ask_of(files("{\"kind\":\"List\",\"items\":[]}"), "pod/prod/app", "cluster-admin", true);
    assert_eq!(whole.0, Verdict::No);
    let (answer, _, ids) = ask_of(files("{\"kind\":\"List\",\"items\":[{"), "pod/prod/app", "cluster-admin", true);
    assert_eq!((answer, ids), (Verdict::Unknown, vec!["unread-file:clusterrolebindings.json".to_owned()]));
}

#[test]
fn a_certificate_for_anybody_is_every_named_user() {
    let alice = grant("alice", "other", &rule("", "secrets", "get", ""))
        .replace("{kind: ServiceAccount, name: app, namespace: prod}", "{kind: User, name: alice}");
    let csr = grant(
        "csr",
        "",
        &format!(
            "{}, {}, {}",
            rule("certificates.k8s.io", "certificatesigningrequests", "create", ""),
            rule("certificates.k8s.io", "certificatesigningrequests/approval", "update", ""),
            rule("certificates.k8s.io", "signers", "approve", "kubernetes.io/kube-apiserver-client")
        ),
    );
    assert_eq!(ask(&format!("{alice}{csr}"), "pod/prod/app", "secret/other/db"), Verdict::Yes);
    assert_eq!(ask(&alice, "pod/prod/app", "secret/other/db"), Verdict::No);
}

#[test]
fn the_check_command_names_the_subresource() {
    let text = grant("e", "prod", &rule("", "pods/exec", "create", ""));
    let cluster = snapshot(&format!("{text}apiVersion: v1\nkind: Pod\nmetadata: {{name: yy, namespace: prod}}\nspec: {{containers: [{{name: c, image: i}}]}}\n")).into_cluster(&ClusterOptions { complete: true, version: None });
    let attack = rules::build(&cluster);
    let pick = |s: &str| selector::resolve(&attack, &cluster, s, false).unwrap();
    let a = answer::ask(&attack, &cluster, &Question::new(), &pick("pod/prod/app"), &pick("pod/prod/yy"), 1);
    let last = a.proofs[0].last().unwrap();
    assert_eq!(
        last.verify,
        "kubectl auth can-i create pods --subresource=exec -n prod --as=system:serviceaccount:prod:app"
    );
}

#[test]
fn a_settled_confinement_closes_the_path_and_its_absence_opens_it() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: prod}\nspec: {nodeName: w1, automountServiceAccountToken: false, containers: [{name: c, image: i, securityContext: {runAsUser: 0, capabilities: {add: [SYS_ADMIN]}}}]}\n";
    let cluster = snapshot(pod).into_cluster(&ClusterOptions { complete: true, version: None });
    let attack = rules::build(&cluster);
    let pick = |s: &str| selector::resolve(&attack, &cluster, s, false).unwrap();
    let with = |given: &[(String, bool)]| {
        let q = Question { given: given.to_vec(), ..Question::new() };
        answer::ask(&attack, &cluster, &q, &pick("pod/prod/x"), &pick("node/w1"), 1)
    };
    let open = with(&[]);
    assert_eq!(open.answer, Verdict::Unknown);
    assert_eq!(open.unknown_because.iter().map(|m| m.id.as_str()).collect::<Vec<_>>(), ["lsm-confines:w1"]);
    assert_eq!(with(&[("lsm-confines:*".into(), false)]).answer, Verdict::Yes);
    assert_eq!(with(&[("lsm-confines:w1".into(), true)]).answer, Verdict::No);
}

#[test]
fn the_anonymous_user_is_not_authenticated() {
    let everybody = grant("r", "other", &rule("", "secrets", "get", ""))
        .replace("kind: ServiceAccount, name: app, namespace: prod", "kind: Group, name: 'system:authenticated'");
    for (who, expected) in [
        ("user/alice", Verdict::Yes),
        ("group/some-team", Verdict::Yes),
        ("user/system:anonymous", Verdict::No),
        ("group/system:unauthenticated", Verdict::No),
    ] {
        assert_eq!(ask(&everybody, who, "secret/other/db"), expected, "{who}");
    }
}

/// A pod of `prod` that is privileged on node `w1`, for steps that need a node.
const HELD: &str = "apiVersion: v1
kind: Pod
metadata: {name: held, namespace: prod}
spec: {nodeName: w2, containers: [{name: c, image: i, securityContext: {privileged: true}}], automountServiceAccountToken: false}
---
";

fn owned_pod(kind: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: db, namespace: other, ownerReferences: [{{apiVersion: x/v1, kind: {kind}, name: db, uid: u, controller: true}}]}}\nspec: {{nodeName: w1, containers: [{{name: c, image: i}}]}}\n---\n"
    )
}

fn second_node(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Node\nmetadata: {{name: w2}}\nspec: {spec}\n---\n")
}

#[test]
fn a_held_node_that_is_cordoned_or_not_ready_still_draws_pods() {
    let may_delete = grant("r", "other", &rule("", "pods", "delete", ""));
    // The identity of prod/app is won from its pod; the node from the other.
    let both = "pod/prod/app | pod/prod/held";
    let setup = |spec: &str, owner: &str| format!("{HELD}{}{}{may_delete}", second_node(spec), owned_pod(owner));
    let together = |extra: String| {
        // One source that has both: the held pod runs as the same account.
        ask(
            &extra.replace("automountServiceAccountToken: false", "serviceAccountName: app"),
            "pod/prod/held",
            "pod/other/db",
        )
    };
    for spec in [
        "{}",
        "{unschedulable: true, taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]}",
        "{taints: [{key: node.kubernetes.io/not-ready, effect: NoExecute}]}",
    ] {
        assert_eq!(together(setup(spec, "ReplicaSet")), Verdict::Unknown, "{spec}");
    }
    assert_eq!(together(setup("{}", "Job")), Verdict::Unknown);
    // The kubelet may set most labels of its node, but not those that restrict nodes.
    for (label, expected) in [("pool", Verdict::Unknown), ("node-restriction.kubernetes.io/team", Verdict::No)] {
        let owner =
            owned_pod("ReplicaSet").replace("nodeName: w1", &format!("nodeName: w1, nodeSelector: {{{label}: x}}"));
        let extra = setup("{}", "ReplicaSet").replace(&owned_pod("ReplicaSet"), &owner);
        assert_eq!(together(extra), expected, "{label}");
    }
    assert_eq!(together(setup("{taints: [{key: team, effect: NoSchedule}]}", "ReplicaSet")), Verdict::No);
    assert_eq!(together(setup("{}", "DaemonSet")), Verdict::No);
    // No single pod has both.
    assert_eq!(ask(&setup("{}", "ReplicaSet"), both, "pod/other/db"), Verdict::No);
}

#[test]
fn tainting_the_node_of_a_pod_removes_it() {
    let may_taint = grant("r", "", &rule("", "nodes", "patch", "w1"));
    let extra = format!("{HELD}{}{}{may_taint}", second_node("{}"), owned_pod("ReplicaSet"))
        .replace("automountServiceAccountToken: false", "serviceAccountName: app");
    assert_eq!(ask(&extra, "pod/prod/held", "pod/other/db"), Verdict::Unknown);
    let elsewhere = extra.replace("resourceNames: [w1]", "resourceNames: [w9]");
    assert_eq!(ask(&elsewhere, "pod/prod/held", "pod/other/db"), Verdict::No);
}

#[test]
fn a_binding_that_may_be_joined_counts_by_itself() {
    let bindings = format!(
        "apiVersion: {R}/v1\nkind: ClusterRole\nmetadata: {{name: imp}}\nrules: [{}]\n---\napiVersion: {R}/v1\nkind: ClusterRole\nmetadata: {{name: all}}\nrules: [{{apiGroups: ['*'], resources: ['*'], verbs: ['*']}}]\n---\napiVersion: {R}/v1\nkind: ClusterRoleBinding\nmetadata: {{name: a}}\nroleRef: {{kind: ClusterRole, name: imp}}\nsubjects: [{{kind: User, name: alice}}]\n---\napiVersion: {R}/v1\nkind: ClusterRoleBinding\nmetadata: {{name: z}}\nroleRef: {{kind: ClusterRole, name: all}}\nsubjects: [{{kind: User, name: alice}}]\n---\n",
        rule("", "users, groups", "impersonate", "")
    );
    let join = |name: &str| {
        grant(
            "j",
            "",
            &format!("{}, {}", rule(R, "clusterrolebindings", "patch", name), rule(R, "clusterroles", "bind", "imp")),
        )
    };
    assert_eq!(ask(&format!("{bindings}{}", join("a")), "pod/prod/app", "cluster-admin"), Verdict::Yes);
    assert_eq!(ask(&format!("{bindings}{}", join("other")), "pod/prod/app", "cluster-admin"), Verdict::No);
}

#[test]
fn reading_logs_through_the_proxy_needs_get() {
    let logs = "apiVersion: v1
kind: Pod
metadata: {name: logger, namespace: prod}
spec: {nodeName: w1, serviceAccountName: app, containers: [{name: c, image: i, volumeMounts: [{name: l, mountPath: /l}]}], volumes: [{name: l, hostPath: {path: /var/log}}]}
---
";
    let with = |verb: &str| format!("{logs}{}", grant("r", "", &rule("", "nodes/proxy", verb, "")));
    // What the log directory gives is the identity of the node.
    let node = "user/system:node:w1";
    assert_eq!(ask(&with("get"), "pod/prod/logger", node), Verdict::Yes);
    assert_eq!(ask(&with("create"), "pod/prod/logger", node), Verdict::No);
}

#[test]
fn a_namespace_that_the_list_lacks_but_that_holds_objects_is_there() {
    let listed = "apiVersion: v1\nkind: Namespace\nmetadata: {name: listed, resourceVersion: '5'}\n---\n";
    let late = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: late}\n---\n";
    let reader = grant("r", "", &rule("", "secrets", "list", ""));
    assert_eq!(ask(&format!("{listed}{late}{reader}"), "pod/prod/app", "secret/late/s"), Verdict::Yes);
}

#[test]
fn every_secret_is_also_reached_namespace_by_namespace() {
    let more = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: prod}\n---\n";
    let read = |name: &str, ns: &str| grant(name, ns, &rule("", "secrets", "list", ""));
    let both = format!("{more}{}{}", read("a", "prod"), read("b", "other"));
    assert_eq!(ask(&both, "pod/prod/app", "every-secret"), Verdict::Yes);
    assert_eq!(ask(&format!("{more}{}", read("a", "prod")), "pod/prod/app", "every-secret"), Verdict::No);
}

#[test]
fn commands_to_paste_quote_what_a_name_may_hold() {
    let who = "$(touch x) 'q";
    let extra = format!(
        "apiVersion: {R}/v1\nkind: ClusterRole\nmetadata: {{name: r}}\nrules: [{}]\n---\napiVersion: {R}/v1\nkind: ClusterRoleBinding\nmetadata: {{name: 'r; touch x'}}\nroleRef: {{kind: ClusterRole, name: r}}\nsubjects: [{{kind: User, name: \"{who}\"}}]\n---\n",
        rule("", "secrets", "get", "")
    );
    let cluster = snapshot(&extra).into_cluster(&ClusterOptions { complete: true, version: None });
    let attack = rules::build(&cluster);
    let pick = |s: &str| selector::resolve(&attack, &cluster, s, true).unwrap();
    let from = pick(&format!("user/{who}"));
    let a = answer::ask(&attack, &cluster, &Question::new(), &from, &pick("secret/other/db"), 1);
    let commands: Vec<&str> = a.proofs.iter().flatten().map(|s| s.verify.as_str()).collect();
    assert_eq!(commands, [r"kubectl auth can-i get secrets -A --as='$(touch x) '\''q'"]);
}

/// Pods of a template: in a manifest the workload is what exists and what the evidence names; a server's workload
/// without pods, where the server's pods were read, has none.
#[test]
fn pods_of_a_template_are_those_of_manifests_only() {
    let manifest = |uid: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "List", "items": [
            {{"apiVersion": "v1", "kind": "Namespace", "metadata": {{"name": "n"}}}},
            {{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "w"}}}},
            {{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {{"name": "agent", "namespace": "n"{uid}}},
              "spec": {{"selector": {{"matchLabels": {{"a": "b"}}}}, "template": {{
                "metadata": {{"labels": {{"a": "b"}}}},
                "spec": {{"nodeName": "w", "containers": [{{"name": "c", "securityContext": {{"privileged": true}}}}]}}}}}}}}]}}"#
        )
    };
    let pods = r#"{"apiVersion": "v1", "kind": "PodList", "items": []}"#;
    let cluster = |uid: &str| {
        let texts = [("a.json".to_owned(), manifest(uid)), ("pods.json".to_owned(), pods.to_owned())];
        crate::support::snapshot_of(&texts).into_cluster(&ClusterOptions { complete: true, version: None })
    };
    let c = cluster("");
    assert_eq!(c.objects.pods.len(), 1);
    let attack = rules::build(&c);
    let question = Question::new();
    let from = selector::resolve(&attack, &c, "ds/n/agent", false).unwrap();
    let to = selector::resolve(&attack, &c, "node/w", false).unwrap();
    let answer = answer::ask(&attack, &c, &question, &from, &to, 1);
    let json = serde_json::to_value(&answer).unwrap().to_string();
    assert!(json.contains("kubectl get daemonset.apps agent -n n"), "{json}");
    assert!(json.contains("/spec/template/spec/containers/0/securityContext/privileged"), "{json}");
    assert!(!json.contains("get pod"), "{json}");
    assert!(cluster(r#", "uid": "1""#).objects.pods.is_empty());
    // The next run of a server's CronJob makes a pod.
    let cron = r#"{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "n", "uid": "2"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}}}"#;
    let texts = [("a.json".to_owned(), cron.to_owned()), ("pods.json".to_owned(), pods.to_owned())];
    let c = crate::support::snapshot_of(&texts).into_cluster(&ClusterOptions { complete: true, version: None });
    assert_eq!(c.objects.pods.len(), 1);
}

fn asked(texts: &[(&str, String)], from: &str, to: &str) -> Verdict {
    let texts: Vec<(String, String)> = texts.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect();
    // Every other kind was read, as from a server.
    let mut snapshot = snapshot_of(&texts);
    snapshot.read.extend(kpath::model::Kind::ALL.iter().filter(|k| **k != kpath::model::Kind::Pod));
    let c = snapshot.into_cluster(&ClusterOptions { complete: false, version: None });
    let attack = rules::build(&c);
    let pick = |words| selector::resolve(&attack, &c, words, true).unwrap();
    answer::ask(&attack, &c, &Question::new(), &pick(from), &pick(to), 1).answer
}

/// A list that broke off is no list, whatever pods it had.
#[test]
fn a_part_of_the_pods_is_not_all_of_them() {
    let list = |token: &str| {
        let pod = r#"{"metadata": {"name": "p", "namespace": "n", "resourceVersion": "1"}, "spec": {"containers": [{"name": "c"}]}}"#;
        format!(r#"{{"apiVersion": "v1", "kind": "PodList", "metadata": {{"continue": "{token}"}}, "items": [{pod}]}}"#)
    };
    assert_eq!(asked(&[("pods.json", list("next"))], "internet", "cluster-admin"), Verdict::Unknown);
    assert_eq!(asked(&[("pods.json", list(""))], "internet", "cluster-admin"), Verdict::No);
}

/// A node that only a pod names is there as long as not every node was listed.
#[test]
fn a_part_of_the_nodes_hides_none() {
    let pods = r#"{"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [
        {"metadata": {"name": "p", "namespace": "n", "resourceVersion": "1"}, "spec": {"nodeName": "w1",
            "containers": [{"name": "c", "securityContext": {"privileged": true}}]}, "status": {"phase": "Running"}}]}"#;
    let nodes = |token: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "NodeList", "metadata": {{"continue": "{token}"}},
                "items": [{{"metadata": {{"name": "w0", "resourceVersion": "1"}}}}]}}"#
        )
    };
    let ask = |token| {
        let texts = [("pods.json".to_owned(), pods.to_owned()), ("nodes.json".to_owned(), nodes(token))];
        let c = snapshot_of(&texts).into_cluster(&ClusterOptions { complete: true, version: None });
        c.objects.nodes.len()
    };
    assert_eq!((ask("next"), ask("")), (2, 1));
}

/// A CronJob that keeps its last Job has finished pods and pods to come; one that runs now has its pod.
#[test]
fn a_cron_job_with_a_history_still_runs() {
    let objects = |phase: &str| {
        format!(
            r#"{{"apiVersion": "v1", "kind": "List", "items": [
            {{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {{"name": "nightly", "namespace": "n", "uid": "1", "resourceVersion": "1"}},
              "spec": {{"schedule": "0 0 * * *", "jobTemplate": {{"spec": {{"template": {{"spec": {{"serviceAccountName": "a", "containers": [{{"name": "c"}}]}}}}}}}}}}}},
            {{"apiVersion": "batch/v1", "kind": "Job", "metadata": {{"name": "nightly-1", "namespace": "n", "uid": "2", "resourceVersion": "2",
              "ownerReferences": [{{"apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "1", "controller": true}}]}}, "spec": {{}}}},
            {{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "nightly-1-x", "namespace": "n", "resourceVersion": "3",
              "ownerReferences": [{{"apiVersion": "batch/v1", "kind": "Job", "name": "nightly-1", "uid": "2", "controller": true}}]}},
              "spec": {{"containers": [{{"name": "c"}}]}}, "status": {{"phase": "{phase}"}}}}]}}"#
        )
    };
    let count = |phase| {
        let c = snapshot_of(&[("a.json".to_owned(), objects(phase))])
            .into_cluster(&ClusterOptions { complete: true, version: None });
        c.objects.pods.len()
    };
    assert_eq!((count("Succeeded"), count("Running")), (2, 1));
}

/// `can-i get secrets` says no where a rule allows one Secret by name: the printed command names it.
#[test]
fn the_command_for_a_rule_with_names_asks_for_the_name() {
    let o = std::process::Command::new(env!("CARGO_BIN_EXE_kpath"))
        .args(["analyze", "--demo", "-o", "json"])
        .output()
        .unwrap();
    let said = String::from_utf8(o.stdout).unwrap();
    assert!(said.contains("kubectl auth can-i get secrets/card-processor-key -n shop --as="), "{said}");
}

/// Who reads every Secret is not told better by naming each of them.
#[test]
fn a_row_names_a_hundred_targets_and_counts_the_rest() {
    let mut items = vec![
        r#"{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a", "namespace": "n"}}"#.to_owned(),
        r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": {"serviceAccountName": "a", "containers": [{"name": "c"}]}}"#.to_owned(),
        r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": "n"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]}"#.to_owned(),
        r#"{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r", "namespace": "n"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "n"}]}"#.to_owned(),
    ];
    for i in 0..150 {
        items.push(format!(
            r#"{{"apiVersion": "v1", "kind": "Secret", "metadata": {{"name": "s{i}", "namespace": "n"}}}}"#
        ));
    }
    let text = format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{}]}}"#, items.join(","));
    let c = snapshot_of(&[("a.json".to_owned(), text)]).into_cluster(&ClusterOptions { complete: true, version: None });
    let attack = rules::build(&c);
    let pick = |words| selector::resolve(&attack, &c, words, true).unwrap();
    let (from, to) = (pick("pod/*/*"), pick("secret/*/*"));
    let a = kpath::report::analyze::analyze(&attack, &c, &Question::new(), &from, &to);
    let sizes: Vec<_> = a.paths.iter().map(|r| (r.targets.len(), r.target_count)).collect();
    assert_eq!(sizes, [(100, 150)]);
}

/// What a run before left behind does not lend its mode to a snapshot.
#[cfg(unix)]
#[test]
fn a_snapshot_is_its_owners_whatever_lay_there() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".s.kpath.partial");
    std::fs::write(&left, "x").unwrap();
    std::fs::set_permissions(&left, std::fs::Permissions::from_mode(0o666)).unwrap();
    let target = dir.path().join("s.kpath");
    kpath::snapshot::file::write(&Snapshot::default(), &target).unwrap();
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!left.exists());
}
