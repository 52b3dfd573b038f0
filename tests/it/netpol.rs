//! Semantics of network policies, one test a row of the table of cases.

use kpath::model::Cluster;
use kpath::netpol::network::Network;
use kpath::netpol::ports::{Ports, Protocol};
use kpath::netpol::{End, Engine, Settings};
use kpath::report::answer::Verdict;
use kpath::report::net;

use crate::support::cluster_from;

/// Pods a and b of namespace x, c of namespace other; `http` is 9090 on a and 8080 on b.
pub const PODS: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {team: x}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x, labels: {pod: a}}, status: {podIP: 10.0.0.1, phase: Running},
 spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 9090}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: x, labels: {pod: b}}, status: {podIP: 10.0.0.2, phase: Running},
 spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: other, labels: {pod: c}}, status: {podIP: 10.0.0.3, phase: Running},
 spec: {nodeName: n2, containers: [{name: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: h1, namespace: x, labels: {pod: h}}, status: {podIP: 192.168.0.1, phase: Running},
 spec: {nodeName: n1, hostNetwork: true, containers: [{name: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: h2, namespace: x, labels: {pod: h}}, status: {podIP: 192.168.0.2, phase: Running},
 spec: {nodeName: n2, hostNetwork: true, containers: [{name: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: done, namespace: x, labels: {pod: b}}, status: {podIP: 10.0.0.9, phase: Succeeded},
 spec: {nodeName: n1, containers: [{name: c}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {role: one}}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {role: two}}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}
"#;

/// The cluster with policies of namespace x; each is the text of a spec.
fn with(specs: &[&str]) -> Cluster {
    let mut text = PODS.to_owned();
    for (n, spec) in specs.iter().enumerate() {
        text += &format!(
            "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p{n}, namespace: x}}, spec: {spec}}}\n"
        );
    }
    cluster_from(&text)
}

fn end(engine: &Engine<'_>, name: &str) -> End {
    let pod = match name {
        "a" | "b" | "h1" | "h2" | "done" => format!("x/{name}"),
        "c" => "other/c".to_owned(),
        other => other.to_owned(),
    };
    net::end(engine, &pod).unwrap_or_else(|| panic!("no {name}"))
}

/// The ends and the port of a connection such as `a>b:80` or `c>internet:UDP/53`.
fn question(engine: &Engine<'_>, flow: &str) -> (End, End, Ports) {
    let (from, rest) = flow.split_once('>').unwrap();
    let (to, port) = rest.rsplit_once(':').unwrap();
    let (protocol, port) = port.split_once('/').unwrap_or(("TCP", port));
    let ports = Ports::one(Protocol::parse(protocol).unwrap(), port.parse().unwrap());
    (end(engine, from), end(engine, to), ports)
}

/// `A`, `D` or `U`.
pub fn verdict(network: &Network<'_>, flow: &str) -> char {
    let (from, to, ports) = question(&network.engine, flow);
    let reach = net::reach(network.engine.cluster(), &network.judge(from, to, &ports), &ports);
    assert!(!reach.reasons.is_empty(), "{flow} has no reason");
    match reach.answer {
        Verdict::Yes => 'A',
        Verdict::No => 'D',
        Verdict::Unknown => 'U',
    }
}

pub fn check(case: &str, cluster: &Cluster, expected: &str) {
    let engine = Network::enforced(cluster);
    for e in expected.split_whitespace() {
        let (flow, want) = e.split_once('=').unwrap();
        assert_eq!(verdict(&engine, flow).to_string(), want, "case {case}: {flow}");
    }
}

/// The cases of the reference: policies of namespace x, and what follows. b is the pod that is asked about.
#[test]
fn cases_of_network_policy() {
    const ALL: &str = "podSelector: {}";
    let cases: Vec<(&str, Vec<String>, &str)> = vec![
        ("1", vec![], "a>b:80=A c>b:80=A internet>b:80=A b>internet:80=A c>b:UDP/53=A"),
        ("2", vec![format!("{{{ALL}}}")], "a>b:80=D c>b:80=D b>c:80=A internet>b:80=D"),
        ("3", vec![format!("{{{ALL}, egress: [{{}}]}}")], "a>b:80=D b>c:80=A"),
        ("4", vec![format!("{{{ALL}, egress: []}}")], "a>b:80=D b>c:80=A"),
        (
            "5",
            vec![format!("{{{ALL}, policyTypes: [Egress], ingress: [{{from: [{{podSelector: {{}}}}]}}]}}")],
            "c>b:80=A b>c:80=D",
        ),
        (
            "6",
            vec![format!("{{{ALL}, policyTypes: [Ingress, Egress], ingress: [{{}}]}}")],
            "c>b:80=A b>c:80=D internet>b:SCTP/1=A",
        ),
        ("7", vec![format!("{{{ALL}, ingress: []}}")], "a>b:80=D b>c:80=A"),
        (
            "8",
            vec![format!("{{{ALL}, ingress: [{{from: [], ports: [{{port: 80}}]}}]}}")],
            "internet>b:80=A internet>b:81=D internet>b:UDP/80=D",
        ),
        (
            "9",
            vec![format!("{{{ALL}, ingress: [{{from: [{{podSelector: {{}}}}]}}]}}")],
            "a>b:80=A c>b:80=D internet>b:80=D 8.8.8.8>b:80=D",
        ),
        (
            "10",
            vec![format!("{{{ALL}, ingress: [{{from: [{{namespaceSelector: {{}}}}]}}]}}")],
            "a>b:80=A c>b:80=A internet>b:80=D",
        ),
        (
            "11",
            vec![format!(
                "{{{ALL}, ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: other}}}}, podSelector: {{matchLabels: {{pod: a}}}}}}]}}]}}"
            )],
            "a>b:80=D c>b:80=D",
        ),
        (
            "12",
            vec![format!(
                "{{{ALL}, ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: other}}}}}}, {{podSelector: {{matchLabels: {{pod: a}}}}}}]}}]}}"
            )],
            "a>b:80=A c>b:80=A",
        ),
        (
            "13",
            vec![format!("{{{ALL}, ingress: [{{from: [{{podSelector: {{matchLabels: {{pod: c}}}}}}]}}]}}")],
            "c>b:80=D a>b:80=D",
        ),
        (
            "14",
            vec![format!(
                "{{{ALL}, ingress: [{{from: [{{namespaceSelector: {{matchExpressions: [{{key: team, operator: NotIn, values: [x]}}]}}}}]}}]}}"
            )],
            "c>b:80=A a>b:80=D",
        ),
        (
            "15",
            vec![format!(
                "{{{ALL}, ingress: [{{from: [{{podSelector: {{matchLabels: {{pod: a}}, matchExpressions: [{{key: pod, operator: In, values: [b, c]}}]}}}}]}}]}}"
            )],
            "a>b:80=D",
        ),
        (
            "16",
            vec![
                format!(
                    "{{{ALL}, ingress: [{{from: [{{podSelector: {{matchLabels: {{pod: a}}}}}}], ports: [{{port: 80}}]}}]}}"
                ),
                format!(
                    "{{{ALL}, ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: other}}}}}}], ports: [{{port: 81}}]}}]}}"
                ),
            ],
            "a>b:80=A a>b:81=D c>b:81=A c>b:80=D",
        ),
        ("17", vec![format!("{{{ALL}}}"), format!("{{{ALL}, ingress: [{{}}]}}")], "a>b:80=A"),
        ("18", vec![format!("{{{ALL}, ingress: [{{ports: [{{protocol: UDP}}]}}]}}")], "a>b:80=D a>b:UDP/80=A"),
        ("19", vec![format!("{{{ALL}, ingress: [{{ports: [{{}}]}}]}}")], "a>b:80=A a>b:65535=A a>b:UDP/80=D"),
        ("20", vec![format!("{{{ALL}, ingress: [{{ports: [{{port: 80}}]}}]}}")], "a>b:80=A a>b:UDP/80=D"),
        (
            "21",
            vec![format!("{{{ALL}, ingress: [{{ports: [{{port: 80, endPort: 90}}]}}]}}")],
            "a>b:80=A a>b:90=A a>b:91=D a>b:79=D",
        ),
        (
            "22",
            vec![format!("{{{ALL}, ingress: [{{ports: [{{port: http}}]}}]}}")],
            "a>b:8080=A a>b:9090=D b>a:9090=A b>a:8080=D",
        ),
        ("23", vec![format!("{{{ALL}, ingress: [{{ports: [{{port: dns}}]}}]}}")], "a>b:53=D a>b:UDP/53=D"),
        ("24", vec![format!("{{{ALL}, ingress: [{{ports: [{{port: none}}]}}]}}")], "a>b:80=D a>b:8080=D"),
        (
            "25",
            vec![format!(
                "{{podSelector: {{matchLabels: {{pod: a}}}}, policyTypes: [Egress], egress: [{{ports: [{{port: http}}]}}]}}"
            )],
            "a>b:8080=A a>b:9090=D",
        ),
        (
            "26",
            vec![format!(
                "{{{ALL}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 8.8.8.0/24}}}}], ports: [{{port: http}}]}}]}}"
            )],
            "b>8.8.8.8:8080=D b>8.8.8.8:80=D",
        ),
        (
            "27",
            vec![format!("{{{ALL}, policyTypes: [Egress], egress: [{{ports: [{{port: 80}}]}}]}}")],
            "a>b:8080=D a>b:80=A",
        ),
        (
            "28",
            vec![
                format!("{{{ALL}, policyTypes: [Egress], egress: [{{ports: [{{port: 80}}]}}]}}"),
                format!("{{{ALL}, policyTypes: [Ingress], ingress: [{{ports: [{{port: 443}}]}}]}}"),
            ],
            "a>b:80=D a>b:443=D",
        ),
        ("29", vec![format!("{{{ALL}, policyTypes: [Egress, Ingress], egress: [{{}}]}}")], "a>b:80=D"),
        ("30", vec!["{podSelector: {matchLabels: {pod: b}}, policyTypes: [Egress]}".into()], "a>b:80=A b>a:80=D"),
        (
            "31",
            vec![format!("{{{ALL}, ingress: [{{ports: [{{protocol: SCTP, port: 80}}]}}]}}")],
            "a>b:80=D a>b:SCTP/80=A",
        ),
        (
            "32",
            vec![format!(
                "{{{ALL}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}}}]}}]}}"
            )],
            "b>169.254.169.254:80=D b>169.254.169.253:80=A b>internet:80=A",
        ),
        (
            "33",
            vec![format!(
                "{{{ALL}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}}}]}}, {{ports: [{{port: 53}}, {{port: 53, protocol: UDP}}]}}]}}"
            )],
            "b>169.254.169.254:80=D b>169.254.169.254:53=A b>169.254.169.254:UDP/53=A",
        ),
        (
            "34",
            vec![
                format!(
                    "{{{ALL}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}}}]}}]}}"
                ),
                format!("{{{ALL}, policyTypes: [Egress], egress: [{{}}]}}"),
            ],
            "b>169.254.169.254:80=A",
        ),
        (
            "35",
            vec![
                format!(
                    "{{{ALL}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 10.0.0.0/8, except: [10.0.0.3/32]}}}}]}}]}}"
                ),
                format!("{{{ALL}, policyTypes: [Egress], egress: [{{to: [{{ipBlock: {{cidr: 10.0.0.3/32}}}}]}}]}}"),
            ],
            "b>c:80=A",
        ),
        (
            "36",
            vec![format!("{{{ALL}, ingress: [{{from: [{{ipBlock: {{cidr: 10.0.0.3/32}}}}]}}]}}")],
            "c>b:80=A a>b:80=D",
        ),
        ("37", vec![format!("{{{ALL}, policyTypes: [Ingress, Egress]}}")], "b>b:80=A"),
        ("38", vec![format!("{{{ALL}}}")], "h1>b:80=A h2>b:80=U b>h1:80=A c>h2:80=A"),
        (
            "38, block",
            vec![format!("{{{ALL}, ingress: [{{from: [{{ipBlock: {{cidr: 192.168.0.0/24}}}}]}}]}}")],
            "h2>b:80=A 192.168.0.2>b:80=A 192.168.1.2>b:80=D",
        ),
        (
            "38, egress",
            vec![format!(
                "{{{ALL}, policyTypes: [Egress], egress: [{{to: [{{podSelector: {{matchLabels: {{pod: h}}}}}}]}}]}}"
            )],
            "b>h2:80=U b>c:80=D h1>c:80=A",
        ),
        ("39", vec![format!("{{{ALL}}}")], "192.168.0.1>b:80=A 192.168.0.2>b:80=U"),
        ("40", vec![format!("{{{ALL}, ingress: [{{}}]}}")], "a>done:80=D done>a:80=D"),
    ];
    assert_eq!(cases.len(), 42);
    for (case, specs, expected) in &cases {
        let specs: Vec<&str> = specs.iter().map(String::as_str).collect();
        check(case, &with(&specs), expected);
    }
}

/// Settings turn the forks.
#[test]
fn forks_are_settings() {
    let block = with(&["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.3/32}}]}]}"]);
    let connects = |engine: &Engine<'_>| {
        let (from, to, ports) = question(engine, "c>b:80");
        !engine.flow(from, to).must().and(&ports).is_empty()
    };
    let engine = Engine::new(&block, Settings { ipblock_matches_pods: false, ..Settings::default() });
    assert!(!connects(&engine));
    let text = "---\n{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: default}, spec: {subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}}\n";
    let egress = "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}}\n";
    let cluster = cluster_from(&format!("{PODS}{text}{egress}"));
    assert!(!connects(&Engine::new(&cluster, Settings::default())));
    let settings = Settings { baseline_per_direction: false, ..Settings::default() };
    assert!(connects(&Engine::new(&cluster, settings)));
    // What another node sends to an isolated pod.
    let isolated = with(&["{podSelector: {}}"]);
    for (setting, must, may) in [(None, false, true), (Some(true), true, true), (Some(false), false, false)] {
        let engine = Engine::new(&isolated, Settings { remote_nodes: setting, ..Settings::default() });
        let (from, to, ports) = question(&engine, "h2>b:80");
        let flow = engine.flow(from, to);
        let open = |p: Ports| !p.and(&ports).is_empty();
        assert_eq!((open(flow.must()), open(flow.may())), (must, may), "{setting:?}");
    }
}

/// Administrators' policies: order, Pass, fall-through, ports, and what is not defined.
#[test]
fn tiers() {
    let anp = |name: &str, priority: i32, spec: &str| {
        format!(
            "---\n{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {{name: {name}}}, spec: {{priority: {priority}, subject: {{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{pod: b}}}}}}}}, {spec}}}}}\n"
        )
    };
    let cnp = |name: &str, tier: &str, priority: i32, spec: &str| {
        format!(
            "---\n{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: {name}}}, spec: {{tier: {tier}, priority: {priority}, subject: {{namespaces: {{matchLabels: {{team: x}}}}}}, {spec}}}}}\n"
        )
    };
    let np = |spec: &str| {
        format!(
            "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: x}}, spec: {spec}}}\n"
        )
    };
    let from_a = "from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}]";
    let from_all = "from: [{namespaces: {}}]";
    let deny_all = np("{podSelector: {}}");
    let cases: Vec<(&str, String, &str)> = vec![
        (
            "deny goes before a NetworkPolicy that allows",
            anp("d", 5, &format!("ingress: [{{action: Deny, {from_all}}}]")) + &np("{podSelector: {}, ingress: [{}]}"),
            "a>b:80=D c>b:80=D internet>b:80=A",
        ),
        (
            "allow goes before deny-all",
            anp("d", 5, &format!("ingress: [{{action: Allow, {from_a}}}]")) + &deny_all,
            "a>b:80=A c>b:80=D",
        ),
        ("no implicit deny", anp("d", 5, &format!("ingress: [{{action: Allow, {from_a}}}]")), "a>b:80=A c>b:80=A"),
        (
            "the first rule wins",
            anp("d", 5, &format!("ingress: [{{action: Allow, {from_a}}}, {{action: Deny, {from_all}}}]")),
            "a>b:80=A c>b:80=D",
        ),
        (
            "the lower number wins",
            anp("z", 1, &format!("ingress: [{{action: Deny, {from_a}}}]"))
                + &anp("a", 9, &format!("ingress: [{{action: Allow, {from_all}}}]"))
                + &deny_all,
            "a>b:80=D c>b:80=A",
        ),
        (
            "pass skips the tier",
            anp("p", 1, &format!("ingress: [{{action: Pass, {from_a}}}]"))
                + &anp("q", 9, &format!("ingress: [{{action: Allow, {from_all}}}]"))
                + &deny_all,
            "a>b:80=D c>b:80=A",
        ),
        (
            "ports, per protocol",
            anp(
                "d",
                5,
                &format!(
                    "ingress: [{{action: Deny, {from_all}, ports: [{{portNumber: {{port: 80}}}}, {{portRange: {{protocol: UDP, start: 50, end: 60}}}}, {{namedPort: http}}]}}]"
                ),
            ),
            "a>b:80=D a>b:81=A a>b:UDP/80=A a>b:UDP/53=D a>b:8080=D a>b:9090=A",
        ),
        (
            "equal priorities that differ",
            anp("p", 5, &format!("ingress: [{{action: Deny, {from_a}}}]"))
                + &anp("q", 5, &format!("ingress: [{{action: Allow, {from_all}}}]"))
                + &deny_all,
            "a>b:80=U c>b:80=A internet>b:80=D",
        ),
        (
            "equal priorities that agree",
            anp("p", 5, &format!("ingress: [{{action: Deny, {from_a}}}]"))
                + &anp("q", 5, &format!("ingress: [{{action: Deny, {from_all}}}]")),
            "a>b:80=D c>b:80=D",
        ),
        (
            "an unknown peer in allow",
            anp("p", 5, "ingress: [{action: Allow, from: [{planets: {}}]}]") + &deny_all,
            "a>b:80=D",
        ),
        (
            "an unknown peer in deny",
            anp("p", 5, "ingress: [{action: Deny, from: [{planets: {}}]}]"),
            "a>b:80=D internet>b:80=D",
        ),
        (
            "nodes and networks",
            anp(
                "p",
                5,
                "egress: [{action: Deny, to: [{nodes: {matchLabels: {role: two}}}, {networks: [10.0.0.3/32, 8.0.0.0/8]}]}]",
            ),
            "b>h2:80=D b>h1:80=A b>192.168.0.2:80=D b>c:80=D b>a:80=A b>8.8.8.8:80=D b>9.9.9.9:80=A",
        ),
        (
            "domain names",
            anp("p", 1, "egress: [{action: Allow, to: [{domainNames: [example.com]}]}]")
                + &np("{podSelector: {}, policyTypes: [Egress]}"),
            "b>internet:443=U b>c:443=D",
        ),
        (
            "admin before NetworkPolicy before baseline",
            cnp("net", "Baseline", 1, &format!("ingress: [{{action: Deny, {from_all}}}]"))
                + &np("{podSelector: {matchLabels: {pod: b}}, ingress: [{}]}"),
            "c>b:80=A c>a:80=D internet>a:80=A",
        ),
        (
            "v1alpha2 ports",
            cnp(
                "net",
                "Admin",
                1,
                &format!(
                    "ingress: [{{action: Deny, {from_all}, protocols: [{{tcp: {{destinationPort: {{number: 80}}}}}}, {{udp: {{destinationPort: {{range: {{start: 1, end: 9}}}}}}}}, {{sctp: {{}}}}, {{destinationNamedPort: dns}}]}}]"
                ),
            ),
            "c>b:80=D c>b:81=A c>b:UDP/9=D c>b:UDP/10=A c>b:SCTP/7=D c>b:UDP/53=D c>a:UDP/53=A",
        ),
        (
            "accept, and pass in the baseline",
            cnp(
                "p",
                "Baseline",
                1,
                &format!(
                    "ingress: [{{action: Pass, {from_a}}}, {{action: Accept, {from_all}, protocols: [{{tcp: {{destinationPort: {{number: 80}}}}}}]}}]"
                ),
            ) + &cnp("q", "Baseline", 2, &format!("ingress: [{{action: Deny, {from_all}}}]")),
            "a>b:80=A a>b:81=A c>b:80=A c>b:81=D",
        ),
        (
            "pods in the network of a node are no subject",
            cnp("net", "Admin", 1, "ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
            "c>h1:80=A",
        ),
    ];
    for (case, policies, expected) in &cases {
        check(case, &cluster_from(&format!("{PODS}{policies}")), expected);
    }
}

/// Labels of a namespace that were not read, and addresses that a pod has not got yet, make it unknown, not denied.
#[test]
fn what_was_not_read_is_unknown() {
    let policy = "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: other}}}]}, {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]}]}}\n";
    let text: String = format!("{PODS}{policy}")
        .split("---\n")
        .filter(|o| !o.contains("kind: Namespace,"))
        .collect::<Vec<_>>()
        .join("---\n");
    let mut cluster = cluster_from(&text);
    cluster.complete = false;
    cluster.read.remove(&kpath::model::Kind::Namespace);
    check("labels of namespaces", &cluster, "c>b:80=U a>b:80=U internet>b:80=D");
    let block = with(&["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/24}}]}]}"]);
    let mut unbound = block.clone();
    for p in &mut unbound.objects.pods {
        p.status.pod_ip.clear();
    }
    check("addresses", &unbound, "a>b:80=U");
    check("addresses", &block, "a>b:80=A");
}
