//! What the internet reaches: the traps of Services, Ingresses and the Gateway API.

use kpath::model::Cluster;
use kpath::netpol::exposure::{Publicity, exposures};
use kpath::netpol::network::Network;

use crate::support::cluster_from;

/// A node with a public address, pod web behind Service web, and a plugin that enforces policies.
const BASE: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: prod, labels: {team: a}}}
---
{apiVersion: v1, kind: Node, metadata: {name: w1}, status: {addresses: [{type: InternalIP, address: 10.1.0.1}, {type: ExternalIP, address: 203.0.113.9}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: w2}, status: {addresses: [{type: InternalIP, address: 10.1.0.2}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: prod, labels: {app: web}}, status: {phase: Running, podIP: 10.2.0.1},
 spec: {nodeName: w2, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: calico-node, namespace: kube-system}, spec: {replicas: 0, template: {spec: {hostNetwork: true, containers: [{name: c, image: "calico/node:v3"}]}}}}
"#;

fn svc(extra: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: prod}}, spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: http, nodePort: 30080}}], {extra}}}}}\n"
    )
}

fn lb(annotations: &str, extra: &str, status: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Service, metadata: {{name: web, namespace: prod, annotations: {{{annotations}}}}}, spec: {{type: LoadBalancer, selector: {{app: web}}, ports: [{{port: 80, targetPort: http}}], {extra}}}, status: {{loadBalancer: {{ingress: [{status}]}}}}}}\n"
    )
}

fn np(spec: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: prod}}, spec: {spec}}}\n"
    )
}

/// The best verdict on pod web with the ids that it depends on, or the reason.
fn verdict(cluster: &Cluster) -> String {
    let network = Network::new(cluster);
    let all = exposures(cluster, &network);
    let web = cluster.objects.pods.iter().position(|p| p.metadata.name == "web").unwrap() as u32;
    let best = all.iter().filter(|e| e.pod == web).max_by_key(|e| e.publicity);
    match best {
        None => "nothing".into(),
        Some(e) if e.publicity == Publicity::Public => {
            assert!(e.unknowns.is_empty() && e.reason.is_empty(), "{e:?}");
            assert!(e.hops.len() > 1, "{e:?}");
            format!("public {}", e.ports)
        }
        Some(e) if e.publicity == Publicity::Possible => {
            assert!(!e.unknowns.is_empty(), "{e:?}");
            format!("possible {}", e.unknowns.join(" "))
        }
        Some(e) => format!("internal: {}", e.reason),
    }
}

fn check(cases: &[(&str, String, &str)]) {
    for (case, objects, expected) in cases {
        let cluster = cluster_from(&format!("{BASE}{objects}"));
        // A case may replace an object of the base.
        let lost = cluster.gaps.iter().find(|g| !g.reason.contains("came twice"));
        assert!(lost.is_none(), "{case}: {lost:?}");
        assert_eq!(verdict(&cluster), *expected, "{case}");
    }
}

#[test]
fn services() {
    let public = "{ip: 203.0.113.5}";
    let local = "externalTrafficPolicy: Local";
    let slice = |ready: &str| {
        format!(
            "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: web-1, namespace: prod, labels: {{kubernetes.io/service-name: web}}}}, ports: [{{port: 8080}}], endpoints: [{{addresses: [10.2.0.1], conditions: {{{ready}}}, targetRef: {{kind: Pod, name: web, namespace: prod}}}}]}}\n"
        )
    };
    check(&[
        ("nothing publishes it", svc("type: ClusterIP"), "nothing"),
        ("a public address", lb("", "", public), "public TCP 8080"),
        ("a private address", lb("", "", "{ip: 10.9.9.9}"), "internal: its address is private"),
        ("no address yet", lb("", "", ""), "possible load-balancer-public:prod/web"),
        ("a name", lb("", "", "{hostname: a.example.com}"), "possible load-balancer-public:prod/web"),
        (
            "the name of an internal one",
            lb("", "", "{hostname: internal-x.eu-west-1.elb.amazonaws.com}"),
            "internal: its name is that of an internal load balancer",
        ),
        (
            "GKE, internal",
            lb("networking.gke.io/load-balancer-type: Internal", "", public),
            "internal: an annotation makes the load balancer internal",
        ),
        (
            "Azure, internal",
            lb("service.beta.kubernetes.io/azure-load-balancer-internal: 'true'", "", public),
            "internal: an annotation makes the load balancer internal",
        ),
        (
            "AWS in the tree, internal",
            lb("service.beta.kubernetes.io/aws-load-balancer-internal: '0.0.0.0/0'", "", "{hostname: a}"),
            "internal: an annotation makes the load balancer internal",
        ),
        (
            "AWS in the tree, told not to be",
            lb("service.beta.kubernetes.io/aws-load-balancer-internal: 'false'", "", "{hostname: a}"),
            "possible load-balancer-public:prod/web",
        ),
        (
            "the AWS controller is internal by default",
            lb("", "loadBalancerClass: service.k8s.aws/nlb", "{hostname: a}"),
            "internal: the controller makes internal load balancers unless told otherwise",
        ),
        (
            "the AWS controller, by its type",
            lb("service.beta.kubernetes.io/aws-load-balancer-type: external", "", "{hostname: a}"),
            "internal: the controller makes internal load balancers unless told otherwise",
        ),
        (
            "the AWS controller, told to",
            lb(
                "service.beta.kubernetes.io/aws-load-balancer-scheme: internet-facing",
                "loadBalancerClass: service.k8s.aws/nlb",
                "{hostname: a}",
            ),
            "public TCP 8080",
        ),
        (
            "private client ranges",
            lb("", "loadBalancerSourceRanges: [10.0.0.0/8, 192.168.0.0/16]", public),
            "possible source-ranges-ignored:prod/web",
        ),
        (
            "a public client range",
            lb("", "loadBalancerSourceRanges: [10.0.0.0/8, 198.51.100.0/24]", public),
            "public TCP 8080",
        ),
        (
            "private client ranges in a cloud that heeds them",
            lb("", "loadBalancerSourceRanges: [10.0.0.0/8]", public)
                + "---\n{apiVersion: v1, kind: Node, metadata: {name: w2}, spec: {providerID: 'aws:///eu-west-1a/i-1'}, status: {addresses: [{type: InternalIP, address: 10.1.0.2}]}}\n",
            "internal: it lets only private addresses in",
        ),
        (
            "private client ranges by annotation",
            lb("service.beta.kubernetes.io/load-balancer-source-ranges: 10.0.0.0/8", "", public)
                + "---\n{apiVersion: v1, kind: Node, metadata: {name: w2}, spec: {providerID: 'aws:///eu-west-1a/i-1'}, status: {addresses: [{type: InternalIP, address: 10.1.0.2}]}}\n",
            "internal: it lets only private addresses in",
        ),
        (
            "a node port that is not assigned yet",
            svc("type: NodePort").replace(", nodePort: 30080", ""),
            "possible node-ports-open",
        ),
        (
            "a policy for some clients, where nodes stand between",
            lb("", "", public) + &np("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.51.100.0/24}}]}]}"),
            "possible netpol-allows:prod/p",
        ),
        (
            "a policy that lets one of two ports in",
            lb("", local, public).replace(
                "ports: [{port: 80, targetPort: http}]",
                "ports: [{name: a, port: 80, targetPort: http}, {name: b, port: 5432}]",
            ) + &np("{podSelector: {}, ingress: [{ports: [{port: 8080}]}]}"),
            "public TCP 8080",
        ),
        ("a node port", svc("type: NodePort"), "possible node-ports-open"),
        (
            "ranges do not bind a node port",
            svc("type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.0/8]"),
            "possible node-ports-open",
        ),
        (
            "Local: only the node of an endpoint, which has no public address",
            svc(&format!("type: NodePort, {local}")),
            "internal: no node has a public address",
        ),
        (
            "an external address",
            svc("type: ClusterIP, externalIPs: [203.0.113.77]"),
            "possible external-ip-routed:203.0.113.77",
        ),
        (
            "an external address that is private",
            svc("type: ClusterIP, externalIPs: [10.0.0.7]"),
            "internal: its address is private",
        ),
        ("ExternalName", svc("type: ExternalName, externalName: example.com"), "nothing"),
        ("a slice says that it is not ready", lb("", "", public) + &slice("ready: false"), "nothing"),
        ("a slice that says nothing is ready", lb("", "", public) + &slice(""), "public TCP 8080"),
        (
            "a named port that the pod lacks",
            lb("", "", public).replace("targetPort: http", "targetPort: admin"),
            "nothing",
        ),
        ("a policy that denies", lb("", local, public) + &np("{podSelector: {}}"), "internal: prod/p denies it"),
        (
            "a policy that denies, where nodes stand between",
            lb("", "", public) + &np("{podSelector: {}}"),
            "possible netpol-allows:prod/p",
        ),
        (
            "a policy that allows everybody",
            lb("", "", public) + &np("{podSelector: {}, ingress: [{ports: [{port: http}]}]}"),
            "public TCP 8080",
        ),
        (
            "a policy that allows another port",
            lb("", local, public) + &np("{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"),
            "internal: prod/p denies it",
        ),
        (
            "a policy that allows clients and not nodes",
            lb("", "", public)
                + &np("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}"),
            "possible netpol-allows:prod/p",
        ),
    ]);
    // No plugin that is known to enforce: the policy may have no effect.
    let text =
        format!("{BASE}{}{}", lb("", local, public), np("{podSelector: {}}")).replace("calico/node:v3", "other:1");
    assert_eq!(verdict(&cluster_from(&text)), "possible cni-enforces");
    let flannel = text.replace("other:1", "docker.io/flannel/flannel:v0.26");
    assert_eq!(verdict(&cluster_from(&flannel)), "public TCP 8080", "flannel alone enforces nothing");
}

#[test]
fn pods_of_nodes() {
    let on = |node: &str, spec: &str, port: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: web, namespace: prod, labels: {{app: web}}}}, status: {{phase: Running}}, spec: {{nodeName: {node}, {spec} containers: [{{name: c, ports: [{port}]}}]}}}}\n"
        )
    };
    let host = "hostNetwork: true,";
    check(&[
        ("a host port", on("w1", "", "{containerPort: 8080, hostPort: 80}"), "possible node-ports-open"),
        (
            "a host port of a node without a public address",
            on("w2", "", "{containerPort: 8080, hostPort: 80}"),
            "nothing",
        ),
        ("a host port on loopback", on("w1", "", "{containerPort: 8080, hostPort: 80, hostIP: 127.0.0.1}"), "nothing"),
        (
            "a host port and a policy",
            on("w1", "", "{containerPort: 8080, hostPort: 80}") + &np("{podSelector: {}}"),
            "internal: prod/p denies it",
        ),
        ("the network of the node", on("w1", host, "{containerPort: 8080}"), "possible node-ports-open"),
        (
            "no policy limits the network of the node",
            on("w1", host, "{containerPort: 8080}") + &np("{podSelector: {}}"),
            "possible node-ports-open",
        ),
        ("no declared port", on("w1", host, ""), "possible node-ports-open pod-listens:prod/web"),
    ]);
}

/// A controller of the class with its Service, and an Ingress of that class for pod web.
fn ingress(class: &str, status: &str, annotations: &str) -> String {
    format!(
        "{}---\n{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: web, namespace: prod, annotations: {{{annotations}}}}}, spec: {{{class} rules: [{{host: a.example.com, http: {{paths: [{{path: /, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}}}]}}, status: {{loadBalancer: {{ingress: [{status}]}}}}}}\n",
        svc("type: ClusterIP")
    )
}

fn controller(status: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {{name: nginx}}, spec: {{controller: k8s.io/ingress-nginx}}}}\n---\n{{apiVersion: v1, kind: Pod, metadata: {{name: ctl, namespace: edge, labels: {{app: ctl}}}}, status: {{phase: Running, podIP: 10.2.0.9}}, spec: {{nodeName: w2, containers: [{{name: c, image: registry.k8s.io/ingress-nginx/controller, ports: [{{containerPort: 80}}]}}]}}}}\n---\n{{apiVersion: v1, kind: Service, metadata: {{name: ctl, namespace: edge}}, spec: {{type: LoadBalancer, externalTrafficPolicy: Local, selector: {{app: ctl}}, ports: [{{port: 80}}]}}, status: {{loadBalancer: {{ingress: [{status}]}}}}}}\n"
    )
}

#[test]
fn ingresses() {
    let nginx = "ingressClassName: nginx,";
    let public = "{ip: 203.0.113.5}";
    let from_edge = np(
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: edge}}}]}]}",
    );
    let alb = "---\n{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: alb}, spec: {controller: ingress.k8s.aws/alb}}\n";
    let of_alb = |a: &str| ingress("ingressClassName: alb,", "{hostname: a.elb.amazonaws.com}", a) + alb;
    check(&[
        ("through the controller's pods", ingress(nginx, public, "") + &controller(public), "public TCP 8080"),
        (
            "the controller has a private address",
            ingress(nginx, "{ip: 10.9.9.9}", "") + &controller("{ip: 10.9.9.9}"),
            "internal: its address is private",
        ),
        (
            "the controller has no address yet",
            ingress(nginx, "", "") + &controller(""),
            "possible load-balancer-public:edge/ctl",
        ),
        (
            "a policy lets the controller in",
            ingress(nginx, public, "") + &controller(public) + &from_edge,
            "public TCP 8080",
        ),
        (
            "a policy keeps the controller out",
            ingress(nginx, public, "")
                + &controller(public)
                + &np("{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"),
            "internal: prod/p denies it",
        ),
        (
            "a policy keeps clients from the controller",
            ingress(nginx, public, "")
                + &controller(public)
                + "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: q, namespace: edge}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}}\n",
            "internal: edge/q denies it",
        ),
        ("a class that nothing serves", ingress(nginx, "", ""), "internal: no controller serves it"),
        ("no class at all", ingress("", "", ""), "internal: no controller serves it"),
        (
            "a class by annotation",
            ingress("", public, "kubernetes.io/ingress.class: nginx") + &controller(public),
            "public TCP 8080",
        ),
        (
            "a controller that does not run",
            ingress(nginx, "", "") + controller("").split("---").nth(1).map(|c| format!("---{c}")).unwrap().as_str(),
            "possible ingress-public:prod/web",
        ),
        ("an address that no Service has", ingress(nginx, public, ""), "public TCP 8080"),
        (
            "a class by annotation that runs without an object",
            ingress("", "", "kubernetes.io/ingress.class: istio")
                + "---\n{apiVersion: v1, kind: Pod, metadata: {name: istiod, namespace: edge}, status: {phase: Running}, spec: {nodeName: w2, containers: [{name: c, image: docker.io/istio/pilot:1.30}]}}\n",
            "possible ingress-public:prod/web",
        ),
        (
            "a class by annotation that does not run",
            ingress("", "", "kubernetes.io/ingress.class: istio"),
            "internal: no controller serves it",
        ),
        (
            "two classes of one controller, and no status",
            ingress(nginx, "", "")
                + &controller(public)
                + "---\n{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: inside}, spec: {controller: k8s.io/ingress-nginx}}\n",
            "possible ingress-public:prod/web",
        ),
        ("no status, one class", ingress(nginx, "", "") + &controller(public), "possible ingress-public:prod/web"),
        (
            "ALB is internal by default",
            of_alb("").replace("{hostname: a.elb.amazonaws.com}", ""),
            "internal: the controller makes internal load balancers unless told otherwise",
        ),
        (
            "ALB with the name of an internal one",
            of_alb("").replace("a.elb.amazonaws.com", "internal-a.elb.amazonaws.com"),
            "internal: the controller makes internal load balancers unless told otherwise",
        ),
        (
            "ALB for private clients",
            of_alb(
                "alb.ingress.kubernetes.io/scheme: internet-facing, alb.ingress.kubernetes.io/inbound-cidrs: '10.0.0.0/8, 192.168.0.0/16'",
            ),
            "internal: it lets only private addresses in",
        ),
        (
            "a controller with an address inside, and another that is public",
            ingress(nginx, "{ip: 10.9.9.9}", "") + &controller(public),
            "internal: its address is private",
        ),
        (
            "an address that two Services share, one of them without pods",
            ingress(nginx, public, "")
                + &controller(public)
                + "---\n{apiVersion: v1, kind: Service, metadata: {name: a, namespace: edge}, spec: {type: LoadBalancer, selector: {app: none}, ports: [{port: 81}]}, status: {loadBalancer: {ingress: [{ip: 203.0.113.5}]}}}\n",
            "public TCP 8080",
        ),
        (
            "an image with a like name is no controller",
            ingress("ingressClassName: traefik,", "", "")
                + "---\n{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: traefik}, spec: {controller: traefik.io/ingress-controller}}\n"
                + &controller(public).replace("registry.k8s.io/ingress-nginx/controller", "docker.io/traefik/whoami"),
            "possible ingress-public:prod/web",
        ),
        ("ALB with a name that is not marked as internal", of_alb(""), "possible ingress-public:prod/web"),
        ("ALB, told to", of_alb("alb.ingress.kubernetes.io/scheme: internet-facing"), "public TCP 8080"),
        (
            "ALB, told not to",
            of_alb("alb.ingress.kubernetes.io/scheme: internal"),
            "internal: an annotation makes the load balancer internal",
        ),
        (
            "another port of the Service",
            ingress(nginx, public, "").replace("number: 80", "number: 81") + &controller(public),
            "nothing",
        ),
        (
            "another namespace's Service",
            ingress(nginx, public, "")
                .replace("name: web, namespace: prod, annotations", "name: web, namespace: edge, annotations")
                + &controller(public),
            "nothing",
        ),
    ]);
}

/// A Gateway in namespace edge with one listener, a route in namespace prod to Service web, and their status.
fn gateway(listener: &str, route: &str, more: &str) -> String {
    format!(
        "{}---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: edge}}}}\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {{name: out}}, spec: {{controllerName: example.com/c}}}}\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: front, namespace: edge}}, spec: {{gatewayClassName: out, listeners: [{{name: web, port: 80, protocol: HTTP, {listener}}}]}}, status: {{addresses: [{{type: IPAddress, value: 203.0.113.5}}], conditions: [{{type: Programmed, status: 'True'}}]}}}}\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: web, namespace: prod}}, spec: {{parentRefs: [{{name: front, namespace: edge}}], {route}}}, status: {{parents: [{{parentRef: {{name: front, namespace: edge}}, conditions: [{{type: Accepted, status: 'True'}}]}}]}}}}\n{more}",
        svc("type: ClusterIP")
    )
}

#[test]
fn gateways() {
    let all = "allowedRoutes: {namespaces: {from: All}}";
    let to = "rules: [{backendRefs: [{name: web, port: 80}]}]";
    let select = |label: &str| {
        format!("allowedRoutes: {{namespaces: {{from: Selector, selector: {{matchLabels: {{team: {label}}}}}}}}}")
    };
    let other = "rules: [{backendRefs: [{name: web, namespace: prod, port: 80}]}]";
    let grant = |from: &str, name: &str| {
        format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {{name: g, namespace: prod}}, spec: {{from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {from}}}], to: [{{group: '', kind: Service{name}}}]}}}}\n"
        )
    };
    // The route moves to namespace edge, beside the Gateway.
    let moved = |more: &str| {
        gateway("", other, more)
            .replace("name: web, namespace: prod}, spec: {parentRefs", "name: web, namespace: edge}, spec: {parentRefs")
    };
    let set = |allowed: &str| {
        gateway(all, to, "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, metadata: {name: more, namespace: prod}, spec: {parentRef: {name: front, namespace: edge}, listeners: [{name: extra, port: 81, protocol: HTTP}]}}\n")
            .replace("parentRefs: [{name: front, namespace: edge}]", "parentRefs: [{kind: ListenerSet, name: more}]")
            .replace("parentRef: {name: front, namespace: edge}, conditions", "parentRef: {kind: ListenerSet, name: more}, conditions")
            .replace("gatewayClassName: out,", &format!("gatewayClassName: out, {allowed}"))
    };
    check(&[
        ("a route of another namespace that is let in", gateway(all, to, ""), "public TCP 8080"),
        ("Same is the default", gateway("", to, ""), "nothing"),
        ("a selector that matches", gateway(&select("a"), to, ""), "public TCP 8080"),
        ("a selector that does not", gateway(&select("b"), to, ""), "nothing"),
        ("a kind that the protocol does not take", gateway(&format!("{all}, "), to, "").replace("protocol: HTTP", "protocol: UDP"), "nothing"),
        ("kinds that the listener names", gateway("allowedRoutes: {namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}", to, ""), "nothing"),
        ("hosts that meet by suffix, over several labels", gateway(&format!("hostname: '*.example.com', {all}"), &format!("hostnames: [a.b.example.com], {to}"), ""), "public TCP 8080"),
        ("hosts that do not meet", gateway(&format!("hostname: '*.example.com', {all}"), &format!("hostnames: [example.org], {to}"), ""), "nothing"),
        ("the bare domain is not below itself", gateway(&format!("hostname: '*.example.com', {all}"), &format!("hostnames: [example.com], {to}"), ""), "nothing"),
        ("a listener of another name", gateway(all, to, "").replace("parentRefs: [{name: front,", "parentRefs: [{sectionName: tls, name: front,"), "nothing"),
        ("weight 0", gateway(all, "rules: [{backendRefs: [{name: web, port: 80, weight: 0}]}]", ""), "nothing"),
        ("a Service as parent is a mesh", gateway(all, to, "").replace("parentRefs: [{name: front,", "parentRefs: [{kind: Service, group: '', name: front,"), "nothing"),
        ("another namespace's Service without a grant", moved(""), "nothing"),
        ("with a grant", moved(&grant("edge", "")), "public TCP 8080"),
        ("with a grant for another Service", moved(&grant("edge", ", name: db")), "nothing"),
        ("with a grant for another namespace", moved(&grant("prod", "")), "nothing"),
        ("not accepted", gateway(all, to, "").replace("{type: Accepted, status: 'True'}", "{type: Accepted, status: 'False'}"), "internal: the Gateway did not accept the route"),
        ("no status", gateway(all, to, "").replace("{type: Accepted, status: 'True'}", ""), "possible route-accepted:httproutes/prod/web"),
        (
            "refers to what is not there",
            gateway(all, to, "").replace("{type: Accepted, status: 'True'}", "{type: Accepted, status: 'True'}, {type: ResolvedRefs, status: 'False'}"),
            "possible route-resolved:httproutes/prod/web",
        ),
        (
            "a Gateway that says nothing",
            gateway(all, to, "").replace("{type: Programmed, status: 'True'}", ""),
            "possible gateway-programmed:edge/front",
        ),
        (
            "a kind that the listener names and its protocol does not take",
            gateway("allowedRoutes: {namespaces: {from: All}, kinds: [{kind: HTTPRoute}]}", to, "").replace("protocol: HTTP", "protocol: TCP"),
            "nothing",
        ),
        ("not programmed", gateway(all, to, "").replace("{type: Programmed, status: 'True'}", "{type: Programmed, status: 'False'}"), "internal: the Gateway is not programmed"),
        ("a private address", gateway(all, to, "").replace("203.0.113.5", "10.0.0.5"), "internal: its address is private"),
        ("an annotation for the load balancer", gateway(all, to, "").replace("gatewayClassName: out,", "gatewayClassName: out, infrastructure: {annotations: {networking.gke.io/load-balancer-type: Internal}},"), "internal: an annotation makes the load balancer internal"),
        ("listener sets are not allowed by default", set(""), "nothing"),
        ("listener sets that are allowed", set("allowedListeners: {namespaces: {from: All}},"), "public TCP 8080"),
    ]);
}
