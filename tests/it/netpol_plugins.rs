//! Policies of Cilium's and Calico's own kinds: what is like the standard kinds is decided, the rest is unknown.

use kpath::netpol::network::Network;

use crate::netpol::{PODS, check, verdict};
use crate::support::cluster_from;

fn cilium(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: {name}, namespace: x}}, {spec}}}\n"
    )
}

/// About pod b, with this in its spec.
fn about_b(rest: &str) -> String {
    cilium("p", &format!("spec: {{endpointSelector: {{matchLabels: {{pod: b}}}}, {rest}}}"))
}

fn wide(spec: &str) -> String {
    format!("---\n{{apiVersion: cilium.io/v2, kind: CiliumClusterwideNetworkPolicy, metadata: {{name: p}}, {spec}}}\n")
}

fn standard(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {name}, namespace: x}}, spec: {spec}}}\n"
    )
}

fn calico(spec: &str) -> String {
    format!(
        "---\n{{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {{name: p, namespace: x}}, spec: {spec}}}\n"
    )
}

fn global(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: crd.projectcalico.org/v1, kind: GlobalNetworkPolicy, metadata: {{name: {name}}}, spec: {spec}}}\n"
    )
}

fn tier(spec: &str) -> String {
    format!("---\n{{apiVersion: crd.projectcalico.org/v1, kind: Tier, metadata: {{name: early}}, spec: {spec}}}\n")
}

fn all(cases: &[(&str, String, &str)]) {
    for (case, policies, expected) in cases {
        let cluster = cluster_from(&format!("{PODS}{policies}"));
        assert!(cluster.gaps.is_empty(), "{case}: {:?}", cluster.gaps);
        check(case, &cluster, expected);
    }
}

/// Cilium documentation, "Layer 3 Policies" and "Layer 4 Policies", "Deny Policies".
#[test]
fn rules_of_cilium() {
    let from_a = "ingress: [{fromEndpoints: [{matchLabels: {pod: a}}]}]";
    let of_other = "{matchLabels: {'k8s:io.kubernetes.pod.namespace': other}}";
    let port = |p: &str| about_b(&format!("ingress: [{{toPorts: [{{ports: [{p}]}}]}}]"));
    let with_standard = |own: String| {
        standard(
            "s",
            "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]}",
        ) + &own
    };
    all(&[
        ("an empty rule isolates", about_b("ingress: [{}]"), "a>b:80=D c>b:80=D h1>b:80=A b>a:80=A c>a:80=A"),
        ("an empty list says nothing", about_b("ingress: []"), "a>b:80=A b>a:80=A"),
        ("by label", about_b(from_a), "a>b:80=A c>b:80=D internet>b:80=D h2>b:80=U b>c:80=A a>b:UDP/53=A"),
        (
            "by marked label",
            about_b("ingress: [{fromEndpoints: [{matchLabels: {'k8s:pod': a}}]}]"),
            "a>b:80=A c>b:80=D",
        ),
        ("all of the namespace", about_b("ingress: [{fromEndpoints: [{}]}]"), "a>b:80=A c>b:80=D internet>b:80=D"),
        ("another namespace", about_b(&format!("ingress: [{{fromEndpoints: [{of_other}]}}]")), "a>b:80=D c>b:80=A"),
        (
            "every namespace",
            about_b(
                "ingress: [{fromEndpoints: [{matchExpressions: [{key: 'k8s:io.kubernetes.pod.namespace', operator: Exists}]}]}]",
            ),
            "a>b:80=A c>b:80=A internet>b:80=D",
        ),
        (
            "labels of namespaces leave the own one or not",
            about_b("ingress: [{fromEndpoints: [{matchLabels: {io.cilium.k8s.namespace.labels.team: x}}]}]"),
            "a>b:80=U c>b:80=D",
        ),
        ("a reserved label", about_b("ingress: [{fromEndpoints: [{matchLabels: {'reserved:host': ''}}]}]"), "a>b:80=U"),
        (
            "only denies",
            about_b(&format!("ingressDeny: [{{fromEndpoints: [{of_other}]}}]")),
            "a>b:80=D c>b:80=D b>a:80=A",
        ),
        (
            "a deny wins",
            about_b("ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{matchLabels: {pod: a}}]}]"),
            "a>b:80=D c>b:80=A internet>b:80=A",
        ),
        (
            "a deny of a port",
            about_b(
                "ingress: [{fromEntities: [all]}], ingressDeny: [{fromEntities: [world], toPorts: [{ports: [{port: '80', protocol: TCP}]}]}]",
            ),
            "a>b:80=A internet>b:80=D internet>b:81=A internet>b:UDP/80=A",
        ),
        (
            "a deny wins over a NetworkPolicy",
            with_standard(about_b("ingressDeny: [{fromEndpoints: [{matchLabels: {pod: a}}]}]")),
            "a>b:80=D c>b:80=D",
        ),
        (
            "allowed by either",
            with_standard(about_b(&format!("ingress: [{{fromEndpoints: [{of_other}]}}]"))),
            "a>b:80=A c>b:80=A internet>b:80=D",
        ),
        (
            "the world",
            about_b("egress: [{toEntities: [world]}]"),
            "b>internet:80=A b>8.8.8.8:80=A b>c:80=D b>h2:80=D a>b:80=A",
        ),
        ("the cluster", about_b("ingress: [{fromEntities: [cluster]}]"), "a>b:80=A c>b:80=A h2>b:80=A internet>b:80=D"),
        ("nodes", about_b("egress: [{toEntities: [host]}]"), "b>h1:80=U b>h2:80=U b>a:80=D b>internet:80=D"),
        ("nobody", about_b("ingress: [{fromEntities: [none]}]"), "a>b:80=D"),
        ("a word that is not known", about_b("ingress: [{fromEntities: [unmanaged]}]"), "a>b:80=U"),
        (
            "addresses are none of pods",
            about_b("egress: [{toCIDR: [10.0.0.0/8]}]"),
            "b>a:80=D b>10.9.9.9:80=A b>internet:80=D b>h2:80=D",
        ),
        ("addresses of nodes", about_b("egress: [{toCIDR: [192.168.0.0/16]}]"), "b>h2:80=U b>a:80=D"),
        (
            "addresses left out",
            about_b("egress: [{toCIDRSet: [{cidr: 0.0.0.0/0, except: [9.0.0.0/8]}]}]"),
            "b>9.1.1.1:80=D b>8.8.8.8:80=A b>internet:80=A b>a:80=D",
        ),
        ("a group of addresses", about_b("egress: [{toCIDRSet: [{cidrGroupRef: g}]}]"), "b>8.8.8.8:80=U b>a:80=D"),
        ("a port", port("{port: '80', protocol: TCP}"), "a>b:80=A a>b:81=D internet>b:80=A a>b:UDP/80=D"),
        ("a port of each protocol", port("{port: '80'}"), "a>b:80=A a>b:UDP/80=A a>b:SCTP/81=D"),
        ("every port of a protocol", port("{port: '0', protocol: UDP}"), "a>b:UDP/9=A a>b:80=D"),
        ("a range", port("{port: '80', endPort: 90, protocol: TCP}"), "a>b:85=A a>b:91=D"),
        ("a name", port("{port: http, protocol: TCP}"), "a>b:8080=A a>b:80=D"),
        (
            "what is said",
            about_b("ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}]"),
            "a>b:80=U a>b:81=D",
        ),
        (
            "what is said, and another port",
            about_b(
                "ingress: [{toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{}]}}, {ports: [{port: '81', protocol: TCP}]}]}]",
            ),
            "a>b:80=U a>b:81=A",
        ),
        ("not isolating", about_b(&format!("enableDefaultDeny: {{ingress: false}}, {from_a}")), "c>b:80=A"),
        (
            "a deny of some of the internet",
            about_b("ingress: [{fromEntities: [world]}], ingressDeny: [{fromCIDR: [198.51.100.0/24]}]"),
            "internet>b:80=A 198.51.100.7>b:80=D 8.8.8.8>b:80=A a>b:80=D",
        ),
        (
            "no port is every port",
            about_b("ingress: [{fromEndpoints: [{}], toPorts: []}]"),
            "a>b:80=A a>b:UDP/9=A c>b:80=D",
        ),
        (
            "a deny of no port is one of every port",
            about_b("ingress: [{fromEntities: [all]}], ingressDeny: [{fromEndpoints: [{}], toPorts: []}]"),
            "a>b:80=D c>b:80=A",
        ),
        (
            "no address",
            about_b("egress: [{toCIDR: [], toPorts: [{ports: [{port: '80'}]}]}]"),
            "b>8.8.8.8:80=U b>a:80=U",
        ),
        (
            "a label of the world",
            about_b("egress: [{toEndpoints: [{matchLabels: {'reserved:world': ''}}]}]"),
            "b>internet:80=U b>h2:80=U",
        ),
        (
            "a deny by a label of the world",
            about_b(
                "egress: [{toEntities: [all]}], egressDeny: [{toEndpoints: [{matchLabels: {'reserved:world': ''}}]}]",
            ),
            "b>internet:80=U",
        ),
        (
            "a deny of the own node",
            about_b("ingress: [{fromEntities: [all]}], ingressDeny: [{fromEntities: [host]}]"),
            "h1>b:80=U a>b:80=A",
        ),
        ("ICMP", about_b("ingress: [{icmps: [{fields: [{type: 8, family: IPv4}]}]}]"), "a>b:80=D"),
        (
            "labels that are required",
            about_b("ingress: [{fromRequires: [{matchLabels: {pod: a}}]}]"),
            "a>b:80=U c>b:80=U",
        ),
        (
            "mutual authentication",
            about_b("ingress: [{fromEndpoints: [{}], authentication: {mode: required}}]"),
            "a>b:80=U",
        ),
        ("names of domains", about_b("egress: [{toFQDNs: [{matchName: example.com}]}]"), "b>internet:443=U b>a:80=D"),
        ("Services", about_b("egress: [{toServices: [{k8sService: {serviceName: s}}]}]"), "b>internet:443=U b>a:80=U"),
        ("a field that is new", about_b("ingress: [{}], somethingNew: true"), "a>b:80=U b>a:80=U c>a:80=A"),
        (
            "several specs",
            cilium(
                "p",
                "specs: [{endpointSelector: {matchLabels: {pod: a}}, ingress: [{}]}, {endpointSelector: {matchLabels: {pod: b}}, egress: [{}]}]",
            ),
            "b>a:80=D c>a:80=D c>b:80=A b>c:80=D",
        ),
        ("everything", wide("spec: {endpointSelector: {}, ingress: [{}]}"), "a>b:80=D a>c:80=D a>h1:80=A"),
        (
            "a namespace",
            wide("spec: {endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': other}}, ingress: [{}]}"),
            "a>b:80=A a>c:80=D",
        ),
        (
            "namespaces by label",
            wide(
                "spec: {endpointSelector: {matchLabels: {io.cilium.k8s.namespace.labels.team: x}}, ingress: [{fromEndpoints: [{}]}]}",
            ),
            "a>b:80=A c>b:80=A internet>b:80=D a>c:80=A internet>c:80=A",
        ),
        ("nodes", wide("spec: {nodeSelector: {}, ingress: [{}]}"), "a>b:80=A a>c:80=A a>h1:80=U h1>a:80=A"),
    ]);
}

/// The word for the API server means its endpoints, wherever they are.
#[test]
fn the_api_server_of_cilium() {
    let slice = |address: &str| {
        format!(
            "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, metadata: {{name: kubernetes, namespace: default, labels: {{kubernetes.io/service-name: kubernetes}}}}, endpoints: [{{addresses: ['{address}']}}], ports: [{{port: 6443}}]}}\n"
        )
    };
    let policy = about_b("egress: [{toEntities: [kube-apiserver]}]");
    all(&[
        (
            "of the cluster",
            about_b("egress: [{toEntities: [cluster]}]") + &slice("34.1.1.1"),
            "b>34.1.1.1:6443=A b>34.1.1.2:6443=D b>a:80=A",
        ),
        (
            "outside",
            policy.clone() + &slice("34.1.1.1"),
            "b>34.1.1.1:6443=A b>34.1.1.2:6443=D b>internet:443=D b>a:80=D",
        ),
        ("on a node", policy.clone() + &slice("192.168.0.2"), "b>h2:6443=A b>h1:6443=D"),
        ("not read", policy, "b>34.1.1.1:6443=U b>a:80=D"),
    ]);
}

/// Calico documentation, "NetworkPolicy", "GlobalNetworkPolicy", "Tier".
#[test]
fn rules_of_calico() {
    let in_b = |rest: &str| calico(&format!("{{selector: \"pod == 'b'\", types: [Ingress], {rest}}}"));
    let out_b = |rest: &str| calico(&format!("{{selector: \"pod == 'b'\", types: [Egress], egress: [{rest}]}}"));
    let from_a = "{action: Allow, source: {selector: \"pod == 'a'\"}}";
    let deny_a = "{action: Deny, source: {selector: \"pod == 'a'\"}}";
    let allows_a = standard(
        "s",
        "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]}",
    );
    let allows_none = standard("s", "{podSelector: {matchLabels: {pod: b}}}");
    let of_tier = |rules: &str| {
        global("g", &format!("{{tier: early, selector: \"pod == 'b'\", types: [Ingress], ingress: [{rules}]}}"))
    };
    all(&[
        ("no rule", in_b("ingress: []"), "a>b:80=D b>a:80=A c>a:80=A h1>b:80=A"),
        ("a label", in_b(&format!("ingress: [{from_a}]")), "a>b:80=A c>b:80=D internet>b:80=D h2>b:80=U"),
        (
            "a namespace",
            in_b("ingress: [{action: Allow, source: {namespaceSelector: \"projectcalico.org/name == 'other'\"}}]"),
            "a>b:80=D c>b:80=A",
        ),
        ("no source", in_b("ingress: [{action: Allow}]"), "a>b:80=A internet>b:80=A"),
        ("the first that fits", in_b(&format!("ingress: [{deny_a}, {{action: Allow}}]")), "a>b:80=D c>b:80=A"),
        ("the first that fits, turned", in_b(&format!("ingress: [{{action: Allow}}, {deny_a}]")), "a>b:80=A c>b:80=A"),
        ("only logged", in_b("ingress: [{action: Log}, {action: Allow}]"), "a>b:80=A"),
        ("an action that is not known", in_b("ingress: [{action: Other}]"), "a>b:80=U"),
        (
            "before NetworkPolicies",
            allows_a.clone()
                + &global(
                    "g",
                    &format!("{{order: 10, selector: \"pod == 'b'\", types: [Ingress], ingress: [{deny_a}]}}"),
                ),
            "a>b:80=D c>b:80=D",
        ),
        (
            "after NetworkPolicies",
            allows_a.clone()
                + &global(
                    "g",
                    &format!(
                        "{{order: 2000, selector: \"pod == 'b'\", types: [Ingress], ingress: [{deny_a}, {{action: Allow}}]}}"
                    ),
                ),
            "a>b:80=A c>b:80=A",
        ),
        (
            "without an order: last",
            allows_a.clone()
                + &global("g", &format!("{{selector: \"pod == 'b'\", types: [Ingress], ingress: [{deny_a}]}}")),
            "a>b:80=A c>b:80=D",
        ),
        (
            "the order of NetworkPolicies",
            allows_a.clone()
                + &global(
                    "g",
                    &format!("{{order: 1000, selector: \"pod == 'b'\", types: [Ingress], ingress: [{deny_a}]}}"),
                ),
            "a>b:80=U",
        ),
        (
            "an allow before",
            allows_none.clone()
                + &global("g", "{order: 10, selector: \"pod == 'b'\", types: [Ingress], ingress: [{action: Allow}]}"),
            "a>b:80=A internet>b:80=A",
        ),
        (
            "passed on from the last tier",
            allows_none.clone()
                + &global("g", "{order: 10, selector: \"pod == 'b'\", types: [Ingress], ingress: [{action: Pass}]}"),
            "a>b:80=A",
        ),
        (
            "two orders",
            global("first", &format!("{{order: 10, selector: \"pod == 'b'\", types: [Ingress], ingress: [{deny_a}]}}"))
                + &global(
                    "second",
                    "{order: 20, selector: \"pod == 'b'\", types: [Ingress], ingress: [{action: Allow}]}",
                ),
            "a>b:80=D c>b:80=A",
        ),
        (
            "two of one order that disagree",
            global("first", &format!("{{order: 10, selector: \"pod == 'b'\", types: [Ingress], ingress: [{deny_a}]}}"))
                + &global(
                    "second",
                    "{order: 10, selector: \"pod == 'b'\", types: [Ingress], ingress: [{action: Allow}]}",
                ),
            "a>b:80=U c>b:80=A",
        ),
        ("the end of a tier", tier("{order: 100}") + &of_tier(from_a) + &allows_none, "a>b:80=A c>b:80=D b>c:80=A"),
        ("passed on by a rule", tier("{order: 100}") + &of_tier("{action: Pass}") + &allows_a, "a>b:80=A c>b:80=D"),
        (
            "passed on by the tier",
            tier("{order: 100, defaultAction: Pass}") + &of_tier(deny_a) + &allows_a,
            "a>b:80=D c>b:80=D",
        ),
        ("passed on to nothing", tier("{order: 100, defaultAction: Pass}") + &of_tier(deny_a), "a>b:80=D c>b:80=A"),
        (
            "perhaps passed on",
            tier("{order: 100}") + &of_tier("{action: Pass, source: {selector: \"pod == 'q' || pod == 'r'\"}}"),
            "a>b:80=U",
        ),
        (
            "perhaps passed on, then denied",
            tier("{order: 100, defaultAction: Pass}")
                + &of_tier("{action: Pass, source: {selector: \"pod == 'q' || pod == 'r'\"}}, {action: Deny}"),
            "a>b:80=U",
        ),
        (
            "a deny of some of the internet",
            in_b("ingress: [{action: Deny, source: {nets: [198.51.100.0/24]}}, {action: Allow}]"),
            "internet>b:80=A 198.51.100.7>b:80=D",
        ),
        (
            "a set that was not understood",
            out_b("{action: Allow, destination: {selector: \"set == 'x'\", namespaceSelector: \"global() || has(y)\"}}")
                + "---\n{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: x, labels: {set: x}}, spec: {nets: [8.8.8.8]}}\n",
            "b>8.8.8.8:53=U",
        ),
        ("a protocol by number in quotes", in_b("ingress: [{action: Allow, protocol: '17'}]"), "a>b:UDP/80=A a>b:80=D"),
        (
            "host endpoints",
            "---\n{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: h, labels: {host: h}}, spec: {node: n1}}\n".to_owned(),
            "a>h1:80=U a>b:80=A",
        ),
        ("a tier that was not read", of_tier(deny_a), "a>b:80=U c>b:80=U b>c:80=A"),
        ("a late tier", tier("{order: 2000000}") + &of_tier(deny_a), "a>b:80=U"),
        (
            "addresses are those of pods too",
            out_b("{action: Allow, destination: {nets: [10.0.0.0/24]}}"),
            "b>a:80=A b>internet:80=D b>10.0.0.77:80=A",
        ),
        (
            "addresses left out",
            out_b("{action: Allow, destination: {notNets: [10.0.0.0/8]}}"),
            "b>a:80=D b>internet:80=A b>8.8.8.8:80=A",
        ),
        (
            "ports",
            in_b("ingress: [{action: Allow, protocol: TCP, destination: {ports: [80, '90:99', http]}}]"),
            "a>b:80=A a>b:95=A a>b:8080=A a>b:100=D a>b:UDP/80=D",
        ),
        ("a protocol by number", in_b("ingress: [{action: Allow, protocol: 17}]"), "a>b:UDP/80=A a>b:80=D"),
        ("ICMP", in_b("ingress: [{action: Allow, protocol: ICMP}]"), "a>b:80=D"),
        ("ports at the source", in_b("ingress: [{action: Allow, protocol: TCP, source: {ports: [80]}}]"), "a>b:80=U"),
        ("accounts", in_b("ingress: [{action: Allow, source: {serviceAccounts: {names: [x]}}}]"), "a>b:80=U"),
        ("what is said", in_b("ingress: [{action: Allow, http: {methods: [GET]}}]"), "a>b:80=U"),
        ("pods by account", calico("{serviceAccountSelector: \"has(x)\", types: [Ingress]}"), "a>b:80=U c>a:80=U"),
        (
            "an alternative",
            calico("{selector: \"pod == 'a' || pod == 'b'\", types: [Ingress]}"),
            "c>a:80=U c>b:80=U b>c:80=A",
        ),
        ("a set of values", calico("{selector: \"pod in {'a'}\", types: [Ingress]}"), "c>a:80=D c>b:80=A"),
        (
            "a set of addresses",
            out_b("{action: Allow, destination: {selector: \"set == 'dns'\", namespaceSelector: global()}}")
                + "---\n{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: dns, labels: {set: dns}}, spec: {nets: [8.8.8.8]}}\n",
            "b>8.8.8.8:53=A b>8.8.8.9:53=D b>a:53=D b>h2:53=U",
        ),
        (
            "a set of addresses for all",
            global(
                "g",
                "{selector: \"pod == 'b'\", types: [Egress], egress: [{action: Allow, destination: {selector: \"set == 'dns'\"}}]}",
            ) + "---\n{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: dns, labels: {set: dns}}, spec: {nets: [8.8.8.0/24]}}\n",
            "b>8.8.8.8:53=A b>9.9.9.9:53=D b>a:80=D",
        ),
        (
            "namespaces by expression",
            global("g", "{namespaceSelector: \"team == 'x'\", selector: all(), types: [Egress]}"),
            "a>b:80=D c>a:80=A",
        ),
        ("without types", global("g", "{egress: [{action: Deny}]}"), "a>b:80=D internet>b:80=A"),
        ("traffic before addresses are translated", global("g", "{preDNAT: true, types: [Ingress]}"), "a>b:80=U"),
    ]);
}

/// Sets of addresses that were not read, or not understood, may have any.
#[test]
fn sets_that_were_not_read() {
    let policy = global(
        "g",
        "{selector: \"pod == 'b'\", types: [Egress], egress: [{action: Allow, destination: {selector: \"set == 'x'\"}}]}",
    );
    let mut cluster = cluster_from(&format!("{PODS}{policy}"));
    check("read and empty", &cluster, "b>8.8.8.8:53=D");
    cluster.complete = false;
    check("not read", &cluster, "b>8.8.8.8:53=U b>a:53=D");
    let broken = "---\n{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: x, labels: {set: x}}, spec: {nets: 8.8.8.8}}\n";
    let cluster = cluster_from(&format!("{PODS}{policy}{broken}"));
    assert_eq!(cluster.gaps.len(), 1);
    check("not understood", &cluster, "b>8.8.8.8:53=U b>a:53=D");
}

/// Policies of a plugin that does not run have no effect that is known.
#[test]
fn policies_of_another_plugin() {
    let runs = |image: &str| {
        format!(
            "---\n{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: cni, namespace: kube-system}}, spec: {{selector: {{matchLabels: {{k: v}}}}, template: {{metadata: {{labels: {{k: v}}}}, spec: {{hostNetwork: true, containers: [{{name: c, image: '{image}'}}]}}}}}}}}\n"
        )
    };
    let own = about_b("ingress: [{fromEndpoints: [{matchLabels: {pod: a}}]}]");
    for (image, allowed, denied) in
        [("quay.io/cilium/cilium:v1.18.0", 'A', 'D'), ("quay.io/calico/node:v3.30.0", 'U', 'U')]
    {
        let cluster = cluster_from(&format!("{PODS}{own}{}", runs(image)));
        let network = Network::new(&cluster);
        assert_eq!((verdict(&network, "a>b:80"), verdict(&network, "c>b:80")), (allowed, denied), "{image}");
    }
    // A label whose key begins like a mark of its source; a node by its address.
    let labelled = PODS.replace("labels: {pod: a}", "labels: {k8s.io/app: w}");
    let policy = about_b("ingress: [{fromEndpoints: [{matchLabels: {k8s.io/app: w}}]}]");
    let cluster = cluster_from(&format!("{labelled}{policy}{}", runs("quay.io/cilium/cilium:v1.18.0")));
    assert_eq!(verdict(&Network::new(&cluster), "a>b:80"), 'A');
    let block = standard(
        "s",
        "{podSelector: {matchLabels: {pod: b}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.168.0.0/16}}]}]}",
    );
    for (image, wanted) in [("quay.io/cilium/cilium:v1.18.0", 'U'), ("quay.io/calico/node:v3.30.0", 'A')] {
        let cluster = cluster_from(&format!("{PODS}{block}{}", runs(image)));
        assert_eq!(verdict(&Network::new(&cluster), "b>h2:80"), wanted, "{image}");
    }
    // Under Cilium an ipBlock is never about pods.
    let block =
        standard("s", "{podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}");
    for (image, allowed) in [("quay.io/cilium/cilium:v1.18.0", 'D'), ("quay.io/calico/node:v3.30.0", 'A')] {
        let cluster = cluster_from(&format!("{PODS}{block}{}", runs(image)));
        let network = Network::new(&cluster);
        assert_eq!((verdict(&network, "c>b:80"), verdict(&network, "10.9.9.9>b:80")), (allowed, 'A'), "{image}");
    }
    let both = cluster_from(&format!("{PODS}{own}{}", calico("{selector: \"pod == 'b'\", types: [Ingress]}")));
    check("policies of two plugins", &both, "a>b:80=U c>a:80=A");
}
