//! Writes a seeded cluster for measurements: the same bytes for the same number of pods and seed.
//!
//! `cargo run --release --example synth -- --pods 25000 --seed 1 -o big.kpath`
//!
//! Rates are those seen in real clusters: most workloads have no rights beyond reading their own configuration, a few
//! read Secrets, a few percent of pods reach their node, and operators hold wide rights.
//!
//! With `--adversarial` nothing can be shared: each pod has an account of its own, each account may read another set of
//! Secrets, here and in a namespace elsewhere, and each pod has a network policy of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use kpath::model::{Kind, Version};
use kpath::snapshot::import::Importer;
use kpath::snapshot::{Snapshot, file};
use serde_json::{Value, json};

#[derive(Parser)]
struct Args {
    /// Number of pods
    #[arg(long)]
    pods: usize,
    /// Seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// As little alike as possible: an account, a set of Secrets and a policy for each pod
    #[arg(long)]
    adversarial: bool,
    /// A .kpath file, or a folder for one JSON list a kind
    #[arg(short, long)]
    output: PathBuf,
}

struct Synth {
    rng: fastrand::Rng,
    objects: Vec<(Kind, Value)>,
}

const RBAC: &str = "rbac.authorization.k8s.io";

impl Synth {
    fn chance(&mut self, per_thousand: u32) -> bool {
        self.rng.u32(0..1000) < per_thousand
    }

    fn uid(&mut self) -> String {
        format!("{:032x}", self.rng.u128(..))
    }

    fn add(&mut self, kind: Kind, namespace: &str, name: &str, mut body: Value) {
        let uid = self.uid();
        let mut meta = json!({"name": name, "uid": uid, "resourceVersion": (self.objects.len() + 1).to_string()});
        if !namespace.is_empty() {
            meta["namespace"] = namespace.into();
        }
        if let Some(labels) = body.get("labels").cloned() {
            meta["labels"] = labels;
        }
        if let Some(owner) = body.get("owner").cloned() {
            meta["ownerReferences"] = json!([owner]);
        }
        body["metadata"] = meta;
        body["kind"] = kind.info().kind.into();
        body["apiVersion"] = kind.api_version().into();
        self.objects.push((kind, body));
    }

    fn grant(&mut self, namespace: &str, name: &str, account: (&str, &str), rules: Value) {
        let (role, binding) = if namespace.is_empty() {
            (Kind::ClusterRole, Kind::ClusterRoleBinding)
        } else {
            (Kind::Role, Kind::RoleBinding)
        };
        self.add(role, namespace, name, json!({"rules": rules}));
        let subjects = json!([{"kind": "ServiceAccount", "namespace": account.0, "name": account.1}]);
        let reference = json!({"apiGroup": RBAC, "kind": role.info().kind, "name": name});
        self.add(binding, namespace, name, json!({"roleRef": reference, "subjects": subjects}));
    }

    fn workload(&mut self, ns: &str, n: usize, pods: usize, nodes: usize) {
        let name = format!("app-{n}");
        let own_account = self.chance(500);
        let account = if own_account { name.clone() } else { "default".to_owned() };
        if own_account {
            self.add(Kind::ServiceAccount, ns, &account, json!({}));
        }
        let secrets: Vec<String> = (0..self.rng.usize(0..4)).map(|i| format!("{name}-secret-{i}")).collect();
        for s in &secrets {
            self.add(Kind::Secret, ns, s, json!({"type": "Opaque"}));
        }
        if own_account {
            self.rights(ns, &name, &account);
        }
        let mut container = json!({"name": "main", "image": format!("registry.example.com/{ns}/{name}:1"), "ports": [{"containerPort": 8080}]});
        if self.chance(600) {
            container["securityContext"] =
                json!({"runAsNonRoot": true, "runAsUser": 1000, "allowPrivilegeEscalation": false});
        }
        let mut volumes = Vec::new();
        let mut mounts = Vec::new();
        if let Some(s) = secrets.first() {
            volumes.push(json!({"name": "secret", "secret": {"secretName": s}}));
            mounts.push(json!({"name": "secret", "mountPath": "/etc/secret"}));
        }
        if self.chance(12) {
            container["securityContext"] = json!({"privileged": true});
        } else if self.chance(15) {
            let paths = ["/var/log", "/etc", "/var/run/docker.sock", "/opt/data", "/proc"];
            let path = paths[self.rng.usize(0..paths.len())];
            volumes.push(json!({"name": "host", "hostPath": {"path": path}}));
            mounts.push(json!({"name": "host", "mountPath": "/host"}));
        }
        if self.chance(700) {
            volumes.push(json!({"name": "kube-api-access-abcde", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}));
            mounts.push(
                json!({"name": "kube-api-access-abcde", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}),
            );
        }
        container["volumeMounts"] = mounts.into();
        let labels = json!({"app": name});
        let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "", "controller": true});
        for p in 0..pods {
            let node = format!("node-{}", self.rng.usize(0..nodes));
            let spec =
                json!({"nodeName": node, "serviceAccountName": account, "containers": [container], "volumes": volumes});
            self.add(
                Kind::Pod,
                ns,
                &format!("{name}-{p}"),
                json!({"labels": labels, "owner": owner, "spec": spec, "status": {"phase": "Running"}}),
            );
        }
        let template = json!({"metadata": {"labels": labels}, "spec": {"serviceAccountName": account, "containers": [container], "volumes": volumes}});
        self.add(
            Kind::Deployment,
            ns,
            &name,
            json!({"spec": {"replicas": pods, "selector": {"matchLabels": labels}, "template": template}}),
        );
        let kind = if self.chance(10) { "LoadBalancer" } else { "ClusterIP" };
        let mut service =
            json!({"spec": {"type": kind, "selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}});
        if kind == "LoadBalancer" {
            service["status"] =
                json!({"loadBalancer": {"ingress": [{"ip": format!("203.0.113.{}", self.rng.u8(1..250))}]}});
        }
        self.add(Kind::Service, ns, &name, service);
        if self.chance(100) {
            let backend = json!({"service": {"name": name, "port": {"number": 80}}});
            self.add(Kind::Ingress, ns, &name, json!({"spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}}));
        }
    }

    /// A pod that has nothing in common with another.
    fn loner(&mut self, ns: &str, n: usize, nodes: usize, namespaces: usize) {
        let name = format!("app-{n}");
        self.add(Kind::ServiceAccount, ns, &name, json!({}));
        self.add(Kind::Secret, ns, &format!("{name}-secret"), json!({"type": "Opaque"}));
        let there = format!("team-{}", self.rng.usize(0..namespaces));
        for (at, role) in [(ns.to_owned(), name.clone()), (there, format!("{name}-guest"))] {
            let names: Vec<String> = (0..12).map(|_| format!("app-{}-secret", self.rng.usize(0..n + 20))).collect();
            let rules =
                json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get"]}]);
            self.grant(&at, &role, (ns, &name), rules);
        }
        let labels = json!({"app": name});
        let from = json!([{"podSelector": {"matchLabels": {"app": format!("app-{}", self.rng.usize(0..n + 20))}}}]);
        let policy = json!({"spec": {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": [{"from": from}]}});
        self.add(Kind::NetworkPolicy, ns, &name, policy);
        let mut container = json!({"name": "main", "image": format!("registry.example.com/{name}:1")});
        if self.chance(12) {
            container["securityContext"] = json!({"privileged": true});
        }
        container["volumeMounts"] =
            json!([{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
        let token = json!([{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}]);
        let node = format!("node-{}", self.rng.usize(0..nodes));
        let spec = json!({"nodeName": node, "serviceAccountName": name, "containers": [container], "volumes": token});
        self.add(Kind::Pod, ns, &name, json!({"labels": labels, "spec": spec, "status": {"phase": "Running"}}));
    }

    fn rights(&mut self, ns: &str, name: &str, account: &str) {
        let core =
            |resources: Value, verbs: Value| json!([{"apiGroups": [""], "resources": resources, "verbs": verbs}]);
        let who = (ns, account);
        match self.rng.u32(0..1000) {
            0..600 => self.grant(ns, name, who, core(json!(["configmaps"]), json!(["get", "list", "watch"]))),
            600..700 => self.grant(ns, name, who, core(json!(["secrets"]), json!(["get"]))),
            700..730 => self.grant(ns, name, who, core(json!(["secrets"]), json!(["get", "list", "watch"]))),
            730..750 => self.grant(ns, name, who, core(json!(["pods"]), json!(["create", "get", "list", "delete"]))),
            750..760 => self.grant(ns, name, who, core(json!(["pods/exec"]), json!(["create"]))),
            760..764 => {
                self.grant("", &format!("{ns}-{name}"), who, core(json!(["secrets"]), json!(["get", "list", "watch"])))
            }
            764..767 => self.grant(
                "",
                &format!("{ns}-{name}"),
                who,
                json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]),
            ),
            767..790 => self.grant(
                "",
                &format!("{ns}-{name}"),
                who,
                core(json!(["pods", "nodes", "services"]), json!(["get", "list", "watch"])),
            ),
            _ => {}
        }
    }
}

/// Makes the cluster: objects with their kinds.
fn generate(pods: usize, seed: u64, adversarial: bool) -> Synth {
    let mut s = Synth { rng: fastrand::Rng::with_seed(seed), objects: Vec::new() };
    let nodes = (pods / 30).max(1);
    for n in 0..nodes {
        let info = json!({"operatingSystem": "linux", "kubeletVersion": "v1.36.2", "containerRuntimeVersion": "containerd://2.1.4"});
        s.add(Kind::Node, "", &format!("node-{n}"), json!({"status": {"nodeInfo": info}}));
    }
    let namespaces = (pods / 40).max(1);
    let (mut made, mut workload) = (0, 0);
    for n in 0..namespaces {
        let ns = format!("team-{n}");
        let level = ["privileged", "baseline", "restricted"][s.rng.usize(0..3)];
        s.add(
            Kind::Namespace,
            "",
            &ns,
            json!({"labels": {"pod-security.kubernetes.io/enforce": level, "kubernetes.io/metadata.name": ns}}),
        );
        s.add(Kind::ServiceAccount, &ns, "default", json!({}));
        if s.chance(400) {
            let types = if s.chance(500) { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
            s.add(Kind::NetworkPolicy, &ns, "default-deny", json!({"spec": {"podSelector": {}, "policyTypes": types}}));
        }
        let until = pods * (n + 1) / namespaces;
        while made < until {
            if adversarial {
                s.loner(&ns, made, nodes, namespaces);
                made += 1;
                continue;
            }
            let replicas = s.rng.usize(1..6).min(until - made);
            s.workload(&ns, workload, replicas, nodes);
            made += replicas;
            workload += 1;
        }
    }
    s
}

/// The cluster as a snapshot.
pub fn snapshot(pods: usize, seed: u64, adversarial: bool) -> Result<Snapshot, String> {
    let mut importer = Importer::default();
    for (_, value) in generate(pods, seed, adversarial).objects {
        importer.document(value, "synth", None)?;
    }
    importer.snapshot.read.extend(Kind::ALL);
    importer.snapshot.version = Version::parse("1.36.2");
    importer.snapshot.source.name = "synth".into();
    Ok(importer.finish())
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = if args.output.extension().is_some_and(|e| e == "kpath") {
        snapshot(args.pods, args.seed, args.adversarial)
            .and_then(|s| file::write(&s, &args.output).map_err(|e| e.to_string()))
    } else {
        write_folder(&args)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The cluster as named JSON lists, one a kind.
pub fn texts(pods: usize, seed: u64, adversarial: bool) -> Vec<(String, String)> {
    let s = generate(pods, seed, adversarial);
    let list = |kind: &Kind| {
        let items: Vec<&Value> = s.objects.iter().filter(|(k, _)| k == kind).map(|(_, v)| v).collect();
        let list = json!({"kind": "List", "apiVersion": "v1", "items": items});
        (format!("{}.json", kind.info().resource), list.to_string())
    };
    Kind::ALL.iter().map(list).collect()
}

fn write_folder(args: &Args) -> Result<(), String> {
    std::fs::create_dir_all(&args.output).map_err(|e| e.to_string())?;
    for (name, text) in texts(args.pods, args.seed, args.adversarial) {
        std::fs::write(args.output.join(name), text).map_err(|e| e.to_string())?;
    }
    Ok(())
}
