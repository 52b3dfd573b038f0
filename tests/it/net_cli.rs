//! `kpath net`: answers, exit codes and formats.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::repo;

fn kpath(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kpath")).args(args).env("NO_COLOR", "1").env("COLUMNS", "100").output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let all: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
    let o = kpath(&all);
    serde_json::from_slice(&o.stdout)
        .unwrap_or_else(|e| panic!("{args:?}: {e}: {}", String::from_utf8_lossy(&o.stderr)))
}

/// Two pods of one namespace with a policy between them, and a plugin that enforces it.
fn cluster() -> String {
    repo("testdata/techniques/net-pod-to-pod/fires.yaml").display().to_string()
}

#[test]
fn can_says_yes_no_and_unknown() {
    let file = cluster();
    let file = file.as_str();
    for (args, answer, part) in [
        (&["pod/prod/web", "to", "pod/prod/db"][..], "yes", "NetworkPolicy prod/db rule 0 allows TCP 5432"),
        (&["pod/prod/web", "to", "pod/prod/db", "--port", "5432"], "yes", "NetworkPolicy prod/web rule 0 allows"),
        (&["pod/prod/web", "to", "pod/prod/db", "--port", "5432", "--protocol", "UDP"], "no", "no rule allows it"),
        (&["pod/prod/web", "to", "pod/prod/db", "--port", "443"], "no", "NetworkPolicy prod/web denies TCP 443"),
        (&["pod/prod/db", "to", "pod/prod/web", "--port", "80"], "yes", "no policy decides it"),
        (&["pod/prod/web", "to", "internet"], "no", "denies"),
        (&["pod/prod/db", "to", "metadata", "--port", "80"], "yes", "no policy decides it"),
        (&["pod/prod/web", "to", "169.254.169.254", "--port", "80"], "no", "denies"),
        (&["pod/prod/web", "to", "node/w1", "--port", "10250"], "no", "denies"),
        (&["pod/prod/*", "to", "pod/prod/db", "--port", "5432"], "yes", "rule 0 allows"),
        (&["internet", "to", "pod/prod/db"], "no", "nothing publishes it"),
    ] {
        let command: Vec<&str> = ["net", "can"].iter().chain(args).copied().chain(["-f", file, "--complete"]).collect();
        let v = json(&command);
        assert_eq!(v["answer"], answer, "{args:?}: {v}");
        assert!(v["reasons"].to_string().contains(part), "{args:?}: {v}");
        let expected: Vec<&str> = command.iter().copied().chain(["--expect", answer]).collect();
        let o = kpath(&expected);
        assert_eq!(o.status.code(), Some(0), "{args:?}");
        assert!(String::from_utf8_lossy(&o.stdout).starts_with(&format!("{answer}: ")), "{args:?}");
        let other = if answer == "no" { "yes" } else { "no" };
        let wrong: Vec<&str> = command.iter().copied().chain(["--expect", other]).collect();
        assert_eq!(kpath(&wrong).status.code(), Some(10), "{args:?}");
    }
}

/// A login may be switched off by one argument or by two, in the command too.
#[test]
fn consoles_without_a_login() {
    let ask = |container: &str| {
        let text = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: a}}}}\n---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: s, namespace: a}}}}\n---\n{{apiVersion: v1, kind: Pod, metadata: {{name: w, namespace: a, labels: {{app: w}}}}, spec: {{serviceAccountName: s, nodeName: n1, containers: [{{name: c, ports: [{{containerPort: 80}}], {container}}}]}}, status: {{phase: Running, podIP: 10.0.0.1, conditions: [{{type: Ready, status: 'True'}}]}}}}\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: w, namespace: a}}, spec: {{type: LoadBalancer, selector: {{app: w}}, ports: [{{port: 80}}]}}, status: {{loadBalancer: {{ingress: [{{ip: 34.1.1.1}}]}}}}}}\n"
        );
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let args = [
            "can",
            "internet",
            "reach",
            "sa/a/s",
            "--complete",
            "-f",
            file,
            "--no-assume",
            "exposed-workloads-exploitable",
        ];
        json(&args)["answer"].clone()
    };
    for (container, wanted) in [
        ("image: 'quay.io/argoproj/argocli:v3.6.0', args: [server, '--auth-mode=server']", "yes"),
        ("image: 'quay.io/argoproj/argocli:v3.6.0', args: [server, '--auth-mode', server]", "yes"),
        ("image: 'quay.io/argoproj/argocli:v3.6.0', command: [argo, server, '--auth-mode', server]", "yes"),
        ("image: 'quay.io/argoproj/argocli:v3.6.0', args: [server, '--auth-mode', client]", "no"),
        ("image: 'docker.io/weaveworks/scope:1.13.2', args: ['--mode=probe']", "no"),
    ] {
        assert_eq!(ask(container), wanted, "{container}");
    }
}

/// What every cluster has is named by a word, with its ports; a policy stands between it and a pod like any other.
#[test]
fn targets_have_words() {
    const CLUSTER: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: prod}}
---
{apiVersion: v1, kind: Node, metadata: {name: w1}, status: {nodeInfo: {kubeletVersion: v1.36.2+k3s1}, addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: free, namespace: prod, labels: {app: free}}, spec: {nodeName: w1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: bound, namespace: prod, labels: {app: bound}}, spec: {nodeName: w1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: etcd-w1, namespace: kube-system, labels: {component: etcd}}, spec: {nodeName: w1, hostNetwork: true, containers: [{name: c, image: 'registry.k8s.io/etcd:3.6.0'}]}, status: {phase: Running, podIP: 192.168.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: w1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.0.0.3, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {clusterIP: 10.96.0.10, selector: {k8s-app: kube-dns}, ports: [{name: dns, port: 53, protocol: UDP, targetPort: 5353}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: hook, namespace: kube-system, labels: {app: hook}}, spec: {nodeName: w1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.0.0.4, conditions: [{type: Ready, status: 'True'}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: hook, namespace: kube-system}, spec: {selector: {app: hook}, ports: [{name: https, port: 443, targetPort: 8443}, {name: web, port: 80, targetPort: 8080}]}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: hook}, webhooks: [{name: a.example.com, clientConfig: {service: {namespace: kube-system, name: hook, path: /check}}}]}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: node-local-dns, namespace: kube-system}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {hostNetwork: true, containers: [{name: c}]}}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: bound, namespace: prod}, spec: {podSelector: {matchLabels: {app: bound}}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}, {port: 8443}]}]}}
";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, CLUSTER).unwrap();
    for (word, free, bound, ports) in [
        ("kubelet", "yes", "no", "TCP 10250"),
        ("etcd", "yes", "no", "TCP 2379"),
        ("dns", "yes", "no", "UDP 5353"),
        ("node-local", "yes", "yes", "TCP 53; UDP 53"),
        ("admission", "yes", "yes", "TCP 8443"),
    ] {
        for (pod, wanted) in [("free", free), ("bound", bound)] {
            let from = format!("pod/prod/{pod}");
            let v = json(&["net", "can", &from, "to", word, "-f", file.to_str().unwrap(), "--complete"]);
            assert_eq!(v["answer"], wanted, "{pod} to {word}: {v}");
            if pod == "free" {
                assert_eq!(v["ports"], ports, "{word}");
            }
        }
    }
    let o = kpath(&["net", "can", "pod/prod/web", "to", "etcd", "-f", &cluster(), "--complete", "-o", "json"]);
    let v: Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!((&v["answer"], &v["unknownBecause"][0]["id"]), (&"unknown".into(), &"etcd-not-seen".into()));
    let o = kpath(&["net", "can", "pod/prod/web", "to", "dns", "-f", &cluster(), "--complete"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&o.stderr).contains("no dns that is known"), "{o:?}");
}

/// Where plugins differ a flag says what holds.
#[test]
fn forks_are_flags() {
    let text = "{apiVersion: v1, kind: Namespace, metadata: {name: x}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: w1}, status: {nodeInfo: {kubeletVersion: v1.36.2+k3s1}, addresses: [{type: InternalIP, address: 192.168.0.1}]}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: w2}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}, spec: {nodeName: w1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.0.0.1}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x, labels: {app: b}}, spec: {nodeName: w1, containers: [{name: c}]}, status: {phase: Running, podIP: 10.0.0.2}}\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {podSelector: {matchLabels: {app: b}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/24}}]}]}}\n";
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    for (from, flag, wanted) in [
        ("pod/x/a", "--ipblock-matches-pods=true", "yes"),
        ("pod/x/a", "--ipblock-matches-pods=false", "no"),
        ("node/w2", "--remote-nodes=unknown", "unknown"),
        ("node/w2", "--remote-nodes=allowed", "yes"),
        ("node/w2", "--remote-nodes=by-address", "no"),
        ("node/w1", "--remote-nodes=by-address", "yes"),
    ] {
        let v = json(&["net", "can", from, "to", "pod/x/b", "-f", file.to_str().unwrap(), "--complete", flag]);
        assert_eq!(v["answer"], wanted, "{from} {flag}: {v}");
    }
}

#[test]
fn from_the_internet_the_answer_is_that_of_exposure() {
    let shop = json(&["net", "can", "internet", "to", "pod/shop/payment-api", "--demo"]);
    assert_eq!((&shop["answer"], &shop["ports"]), (&"yes".into(), &"TCP 8443".into()));
    assert!(shop["reasons"].to_string().contains("Ingress shop/shop"), "{shop}");
    let other = json(&["net", "can", "internet", "to", "pod/shop/payment-api", "--port", "1", "--demo"]);
    assert_eq!(other["answer"], "no");
    let node_port = repo("testdata/techniques/entry-nodeport/fires.yaml").display().to_string();
    let possible = json(&["net", "can", "internet", "to", "pod/prod/app", "-f", &node_port, "--complete"]);
    assert_eq!(possible["answer"], "unknown", "{possible}");
    assert_eq!(possible["unknownBecause"][0]["id"], "node-ports-open");
    let private = repo("testdata/techniques/entry-loadbalancer/near-miss.yaml").display().to_string();
    assert_eq!(json(&["net", "can", "internet", "to", "pod/prod/app", "-f", &private, "--complete"])["answer"], "no");
}

#[test]
fn whether_policies_are_enforced_can_be_given() {
    let text = std::fs::read_to_string(cluster()).unwrap().replace("calico/node", "example/other");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let ask = |given: &[&str]| {
        let args = ["net", "can", "pod/prod/web", "to", "internet", "-f", file, "--complete"];
        json(&args.iter().chain(given).copied().collect::<Vec<_>>())
    };
    let open = ask(&[]);
    assert_eq!((&open["answer"], &open["unknownBecause"][0]["id"]), (&"unknown".into(), &"cni-enforces".into()));
    assert_eq!(ask(&["--given", "cni-enforces=yes"])["answer"], "no");
    assert_eq!(ask(&["--given", "cni-*=no"])["answer"], "yes");
    assert_eq!(kpath(&["net", "can", "a", "to", "b", "--demo", "--given", "x"]).status.code(), Some(2));
}

#[test]
fn list_has_what_can_says_in_every_format() {
    let file = cluster();
    let of = |format: &str| kpath(&["net", "list", "-f", &file, "--complete", "-o", format]);
    let v: Value = serde_json::from_slice(&of("json").stdout).unwrap();
    let rows: BTreeSet<(String, String, String)> = v["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| ["from", "to", "ports"].map(|k| c[k].as_str().unwrap().to_owned()))
        .map(|[a, b, c]| (a, b, c))
        .collect();
    let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert!(rows.contains(&row("pod/prod/web", "pod/prod/db", "TCP 5432")), "{rows:?}");
    assert!(rows.contains(&row("pod/prod/db", "pod/prod/web", "all ports")), "{rows:?}");
    assert!(rows.contains(&row("pod/prod/db", "internet", "all ports")), "{rows:?}");
    assert!(!rows.iter().any(|(a, b, _)| a == "pod/prod/web" && b != "pod/prod/db"), "{rows:?}");
    let csv = String::from_utf8(of("csv").stdout).unwrap();
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert!(csv.starts_with("from,to,ports,answer\n"));
    let dot = String::from_utf8(of("dot").stdout).unwrap();
    assert!(dot.contains("TCP 5432") && dot.contains("digraph"), "{dot}");
    // The plugin's pods are in the network of a node that is not known yet: what they send may be dropped.
    let one = kpath(&["net", "list", "-f", &file, "--complete", "--from", "pod/prod/web", "--to", "pod/prod/*"]);
    assert_eq!(
        String::from_utf8(one.stdout).unwrap(),
        "pod/prod/db\n  TCP 5432 from pod/prod/web\n\n1 connections between workloads, 0 of them unknown\n"
    );
}

#[cfg(feature = "pictures")]
#[test]
fn a_picture_has_its_workloads_and_says_when_there_are_too_many() {
    let svg = String::from_utf8(
        kpath(&["net", "list", "--demo", "--to", "pod/shop/*", "--from", "pod/shop/*", "-o", "svg"]).stdout,
    )
    .unwrap();
    for part in ["payment-api", "postgres", "internet", "all ports", "TCP 8443"] {
        assert!(svg.contains(part), "{part} is not drawn");
    }
    let mut text = String::new();
    for n in 0..41 {
        text += &format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: a{n}, namespace: x}}\nspec: {{containers: [{{name: c}}]}}\n"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let o = kpath(&["net", "list", "-f", file.to_str().unwrap(), "-o", "svg"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&o.stderr).contains("41 workloads are too many"));
}

#[test]
fn explain_names_every_rule_and_finds_slips() {
    let slip = std::fs::read_to_string(cluster())
        .unwrap()
        .replace("          app: web\n    ports:", "          app: wbe\n    ports:");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, slip).unwrap();
    let v = json(&["net", "explain", "pod/prod/web", "pod/prod/db", "-f", file.to_str().unwrap(), "--complete"]);
    let rows = v["policies"].as_array().unwrap();
    let find = |side: &str, verdict: &str| rows.iter().find(|r| r["side"] == side && r["verdict"] == verdict);
    assert_eq!(find("egress", "allows").unwrap()["policy"], "NetworkPolicy prod/web");
    assert_eq!(find("ingress", "no match").unwrap()["rule"], 0);
    assert_eq!(find("ingress", "denies").unwrap()["policy"], "NetworkPolicy prod/db");
    assert!(v.to_string().contains("no pod has the label app=wbe"), "{v}");
    assert_eq!(v["enforcement"], "Calico enforces policies");
}

#[test]
fn errors_say_what_to_do() {
    for (args, part) in [
        (&["net", "can", "pod/shop/web", "to", "pod/shop/weeb", "--demo"][..], "does not exist"),
        (&["net", "can", "internet", "to", "internet", "--demo"], "reaches itself"),
        (&["net", "can", "secret/shop/*", "to", "internet", "--demo"], "names no pod"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--port", "70000", "--demo"], "between 1 and 65535"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--port", "nope", "--demo"], "no TCP port named"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--protocol", "ICMP", "--demo"], "TCP, UDP or SCTP"),
        (&["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--demo", "-o", "csv"], "no such format"),
    ] {
        let o = kpath(args);
        let text = String::from_utf8_lossy(&o.stderr).into_owned();
        assert_eq!(o.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
}

#[test]
fn json_follows_the_committed_schema() {
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(repo("docs/schema/net.schema.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for args in [
        &["net", "can", "pod/shop/web", "to", "pod/shop/redis", "--demo"][..],
        &["net", "can", "internet", "to", "pod/shop/web", "--demo"],
        &["net", "can", "deploy/ci/runner", "to", "pod/shop/postgres-0", "--demo"],
        &["net", "list", "--demo"],
        &["net", "explain", "pod/ci/runner", "pod/shop/postgres-0", "--demo"],
        &["net", "exposure", "--demo"],
    ] {
        let v = json(args);
        let errors: Vec<String> = validator.iter_errors(&v).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{args:?}: {errors:?}: {v}");
    }
    assert!(!validator.is_valid(&serde_json::json!({"schemaVersion": 1, "connections": [{"from": "a"}]})));
}

/// Under lateral-exploitable, who may change the policies is not kept apart by them.
#[test]
fn rights_over_policies_open_what_they_close() {
    let base = std::fs::read_to_string(repo("testdata/techniques/netpol-remove/fires.yaml")).unwrap();
    // A plugin that enforces policies and has no pods of its own.
    let base = base.replace("operatingSystem: linux", "operatingSystem: linux\n    kubeletVersion: v1.36.2+k3s1");
    let more = |policy: &str| {
        format!(
            "{base}---\napiVersion: v1\nkind: Pod\nmetadata: {{name: db, namespace: prod, labels: {{app: db}}}}\nspec: {{nodeName: w1, automountServiceAccountToken: false, containers: [{{name: c, image: db}}]}}\n---\napiVersion: {policy}\n"
        )
    };
    let standard = "networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: db, namespace: prod}\nspec: {podSelector: {matchLabels: {app: db}}}";
    let admin = "policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: db}\nspec: {priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}";
    let dir = tempfile::tempdir().unwrap();
    let ask = |text: String, assume: bool| {
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, text).unwrap();
        let mut args = vec!["can", "pod/prod/app", "reach", "pod/prod/db", "--complete", "-f", file.to_str().unwrap()];
        if assume {
            args.extend(["--assume", "lateral-exploitable"]);
        }
        json(&args)
    };
    let yes = ask(more(standard), true);
    assert_eq!(yes["answer"], "yes", "{yes}");
    assert!(yes["proof"].to_string().contains("NetworkPolicy"), "{yes}");
    assert_eq!(ask(more(standard), false)["answer"], "no", "nothing is exploitable without the assumption");
    assert_eq!(ask(more(standard).replace("- delete", "- get"), true)["answer"], "no");
    assert_eq!(ask(more(admin), true)["answer"], "no", "what administrators deny stays denied");
    // The right over that one policy is enough, over another it is not.
    let named = |name: &str| {
        more(standard).replace("  verbs:\n  - delete\n", &format!("  verbs:\n  - delete\n  resourceNames: [{name}]\n"))
    };
    assert_eq!(ask(named("db"), true)["answer"], "yes");
    assert_eq!(ask(named("other"), true)["answer"], "no");
}

const BASE: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: a}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {nodeInfo: {kubeletVersion: v1.36.2+k3s1}, addresses: [{type: InternalIP, address: 10.0.0.1}, {type: ExternalIP, address: 203.0.113.9}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {nodeInfo: {kubeletVersion: v1.36.2+k3s1}, addresses: [{type: InternalIP, address: 10.0.0.2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: a, labels: {app: p}}, status: {phase: Running, podIP: 10.1.0.1}, spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 8080}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p2, namespace: a, labels: {app: p}}, status: {phase: Running, podIP: 10.1.0.2}, spec: {nodeName: n2, containers: [{name: c, ports: [{containerPort: 8080}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: h, namespace: a, labels: {app: h}}, status: {phase: Running, podIP: 10.0.0.2}, spec: {nodeName: n2, hostNetwork: true, containers: [{name: c}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: a}, spec: {clusterIP: 10.96.0.50, selector: {app: p}, ports: [{port: 80, targetPort: 8080}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: default}, spec: {clusterIP: 10.96.0.1, ports: [{port: 443}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}, ports: [{port: 6443}], endpoints: [{addresses: [10.0.0.1]}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web, namespace: a, labels: {kubernetes.io/service-name: web}}, ports: [{port: 8080}], endpoints: [{addresses: [10.1.0.1]}, {addresses: [10.1.0.2]}]}
"#;

/// Asks `net can` about a cluster of the base and policies of namespace a.
fn ask(policies: &[&str], args: &[&str]) -> Value {
    let mut text = BASE.to_owned();
    for (n, spec) in policies.iter().enumerate() {
        text += &format!(
            "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: np{n}, namespace: a}}, spec: {spec}}}\n"
        );
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    std::fs::write(&file, text).unwrap();
    let mut all = vec!["net", "can"];
    all.extend(args);
    all.extend(["-f", file.to_str().unwrap(), "--complete"]);
    json(&all)
}

#[test]
fn sets_services_and_the_api_server() {
    let deny = "{podSelector: {}, policyTypes: [Ingress, Egress]}";
    let out = |to: &str| format!("{{podSelector: {{}}, policyTypes: [Egress], egress: [{to}]}}");
    let (port, vip, pods) = (
        out("{ports: [{port: 443}]}"),
        out("{to: [{ipBlock: {cidr: 10.96.0.1/32}}]}"),
        out("{to: [{podSelector: {}}]}"),
    );
    let endpoint = out("{to: [{ipBlock: {cidr: 10.0.0.1/32}}], ports: [{port: 6443}]}");
    let cases: Vec<(Vec<&str>, &[&str], &str)> = vec![
        // Replicas are asked about each other, a pod alone about itself.
        (vec![deny], &["pod/a/p*", "to", "pod/a/p*"], "no"),
        (vec![], &["pod/a/p*", "to", "pod/a/p*"], "yes"),
        (vec![deny], &["pod/a/p1", "to", "pod/a/p1"], "yes"),
        // A node reaches its own pods, whichever of a class they are.
        (vec![deny], &["pod/a/h", "to", "pod/a/p*"], "yes"),
        (vec![deny], &["pod/a/h", "to", "pod/a/p1"], "unknown"),
        // Behind the address of a Service are its pods, on their ports.
        (vec![&pods], &["pod/a/p1", "to", "10.96.0.50", "--port", "80"], "yes"),
        (vec!["{podSelector: {}}"], &["pod/a/p1", "to", "10.96.0.50", "--port", "80"], "no"),
        (
            vec!["{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"],
            &["pod/a/p1", "to", "10.96.0.50", "--port", "80"],
            "no",
        ),
        (vec!["{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}"], &["pod/a/p1", "to", "10.96.0.50"], "yes"),
        // The API server: its endpoint and port count; what allows the address of the Service alone depends.
        (vec![&endpoint], &["pod/a/p1", "to", "api-server"], "yes"),
        (vec![&vip], &["pod/a/p1", "to", "api-server"], "unknown"),
        (vec![&vip], &["pod/a/p1", "to", "10.96.0.1"], "unknown"),
        (vec![deny], &["pod/a/p1", "to", "api-server"], "no"),
        (vec![&port], &["pod/a/p1", "to", "10.0.0.1", "--port", "6443"], "no"),
        // Only pods are published; a node answers where its firewall lets it.
        (vec![], &["internet", "to", "node/n1"], "unknown"),
        (vec![], &["internet", "to", "node/n2"], "no"),
        (vec![], &["internet", "to", "api-server"], "unknown"),
        (vec![], &["internet", "to", "pod/a/p1"], "no"),
    ];
    for (policies, args, answer) in &cases {
        let v = ask(policies, args);
        assert_eq!(v["answer"], *answer, "{policies:?} {args:?}: {v}");
        assert_eq!(*answer == "unknown", v["unknownBecause"] != serde_json::json!([]), "{v}");
    }
    for (args, part) in [
        (&["internet", "to", "pod/shop/web", "--port", "99999", "--demo"][..], "between 1 and 65535"),
        (&["internet", "to", "pod/shop/web", "--protocol", "FOO", "--demo"], "TCP, UDP or SCTP"),
        (&["internet", "to", "pod/shop/web", "--port", "nosuch", "--demo"], "no TCP port named"),
    ] {
        let all: Vec<&str> = ["net", "can"].iter().chain(args).copied().collect();
        let o = kpath(&all);
        assert_eq!(o.status.code(), Some(2), "{args:?}");
        assert!(String::from_utf8_lossy(&o.stderr).contains(part), "{args:?}");
    }
}

/// Of several policies that may allow, one is enough, and none is only where all do not.
#[test]
fn given_is_about_each_policy() {
    // The pod has no address that would tell.
    let one = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.168.0.0/16}}]}]}";
    let text = BASE.replace(", podIP: 10.1.0.1", "");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    let policy = |n: u32| {
        format!(
            "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: np{n}, namespace: a}}, spec: {one}}}\n"
        )
    };
    let ask = |text: &str, given: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let mut args = vec!["net", "can", "pod/a/p1", "to", "pod/a/p2", "--complete", "-f", file.to_str().unwrap()];
        args.extend(given.iter().flat_map(|g| ["--given", *g]));
        json(&args)["answer"].as_str().unwrap().to_owned()
    };
    let both = format!("{text}{}{}", policy(1), policy(2));
    assert_eq!(ask(&both, &[]), "unknown");
    assert_eq!(ask(&both, &["netpol-allows:a/np1=no"]), "unknown");
    assert_eq!(ask(&both, &["netpol-allows:a/np1=yes"]), "yes");
    assert_eq!(ask(&both, &["netpol-allows:*=no"]), "no");
    // Where nothing is known to enforce, that is left.
    let open = both.replace("+k3s1", "");
    assert_eq!(ask(&open, &["netpol-allows:*=no"]), "unknown");
    assert_eq!(ask(&open, &["netpol-allows:*=no", "cni-enforces=yes"]), "no");
    assert_eq!(ask(&open, &["cni-enforces=no"]), "yes");
}

/// A policy that could not be read, or policies that were not, leave it open.
#[test]
fn policies_that_were_not_read_leave_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    let ask = |text: &str, complete: bool| {
        std::fs::write(&file, text).unwrap();
        let mut args = vec!["net", "can", "pod/a/p1", "to", "pod/a/p2", "-f", file.to_str().unwrap()];
        args.extend(complete.then_some("--complete"));
        let v = json(&args);
        (v["answer"].as_str().unwrap().to_owned(), v["unknownBecause"][0]["id"].as_str().unwrap_or("").to_owned())
    };
    let unread = ("unknown".to_owned(), "unread:NetworkPolicy".to_owned());
    let bad = format!(
        "{BASE}---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: np, namespace: a}}, spec: {{podSelector: text}}}}\n"
    );
    assert_eq!(ask(&bad, true), unread);
    assert_eq!(ask(BASE, true).0, "yes");
    assert_eq!(ask(BASE, false), unread);
    // Paths through the network too: from a pod, and from the network of a node.
    for from in ["pod/a/p1", "pod/a/h"] {
        let path = |text: &str| {
            std::fs::write(&file, text.replace("nodeName: n2, containers", "nodeName: n1, containers")).unwrap();
            let args = ["can", from, "reach", "pod/a/p2", "-f", file.to_str().unwrap(), "--complete"];
            json(&args.iter().chain(&["--assume", "lateral-exploitable"]).copied().collect::<Vec<_>>())
        };
        assert_eq!(path(BASE)["answer"], "yes", "{from}");
        let v = path(&bad);
        assert_eq!(
            (&v["answer"], &v["unknownBecause"][0]["id"]),
            (&"unknown".into(), &"unread:NetworkPolicy".into()),
            "{from}"
        );
    }
    // An unread NetworkPolicy could allow what the baseline denies, not what administrators deny.
    let tier = |kind: &str| {
        format!(
            "{BASE}---\n{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: {kind}, metadata: {{name: default}}, spec: {{priority: 1, subject: {{namespaces: {{}}}}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]}}}}\n"
        )
    };
    assert_eq!(ask(&tier("BaselineAdminNetworkPolicy"), false), unread);
    assert_eq!(ask(&tier("AdminNetworkPolicy"), false).0, "no");
    // A plugin that enforces nothing: what was not read does not matter.
    let flannel = BASE.replace("+k3s1", "")
        + "---\n{apiVersion: v1, kind: Pod, metadata: {name: f, namespace: a}, spec: {hostNetwork: true, containers: [{name: c, image: docker.io/flannel/flannel:v1}]}}\n";
    assert_eq!(ask(&flannel, false).0, "yes");
    let list = json(&["net", "list", "-f", file.to_str().unwrap()]);
    assert!(list["connections"].as_array().unwrap().iter().all(|c| c["from"] == "internet" || c["answer"] == "yes"));
    std::fs::write(&file, BASE).unwrap();
    let list = json(&["net", "list", "-f", file.to_str().unwrap(), "--from", "pod/a/p1"]);
    assert!(list["connections"].as_array().unwrap().iter().all(|c| c["answer"] == "unknown"), "{list}");
}

/// What enforces counts for more than what does not, in one pod and in several.
#[test]
fn the_strongest_plugin_counts() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.yaml");
    for (images, answer) in [
        (
            &["602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni:v1", "x/amazon/aws-network-policy-agent:v1"]
                [..],
            "unknown",
        ),
        (&["602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni:v1"], "yes"),
        (&["rancher/mirrored-calico-node:v3", "rancher/mirrored-flannel:v0.26"], "no"),
        (&["rancher/hardened-flannel:v0.26"], "yes"),
        (&["docker.io/kindest/kindnetd:v20230511-dc714da8"], "yes"),
        (&["docker.io/kindest/kindnetd:v20250512-df8de77b"], "no"),
        (&["example.com/some:1"], "unknown"),
    ] {
        let containers: Vec<String> = images.iter().map(|i| format!("{{name: c, image: '{i}'}}")).collect();
        let text = BASE.replace("+k3s1", "+rke2r1")
            + &format!(
                "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: f, namespace: a}}, spec: {{hostNetwork: true, containers: [{}]}}}}\n",
                containers.join(", ")
            )
            + "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: np, namespace: a}, spec: {podSelector: {}}}\n";
        std::fs::write(&file, text).unwrap();
        let v = json(&["net", "can", "pod/a/p1", "to", "pod/a/p2", "--complete", "-f", file.to_str().unwrap()]);
        assert_eq!(v["answer"], answer, "{images:?}: {v}");
    }
}
