//! `kpath eval`: one engine alone, JSON Lines in and out, same order.

use std::io::{BufRead, Write};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::admission::{psa, service_account};
use crate::authz::node::NodeAuthorizer;
use crate::authz::rbac::Decision;
use crate::authz::{Attributes, Authorizer, User, escalation};
use crate::model::network::IntOrString;
use crate::model::pod::Pod;
use crate::model::{Cluster, Kind};
use crate::netpol::network::Network;
use crate::netpol::ports::{Ports, Protocol};
use crate::report::answer::Verdict;
use crate::report::net;
use crate::snapshot::import::prepare;

/// An engine that `eval` can judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// RBAC and Node authorizer: {user, groups, verb, group, resource, subresource, name, namespace} or {user, groups, verb, path}
    Rbac,
    /// RBAC escalation check: {user, groups, op, contentType, resource, namespace, name, body}
    Escalation,
    /// Pod Security: {pod, enforce, enforce_version}; takes no SOURCE
    Psa,
    /// Service account admission: {pod, serviceAccount, namespace}
    Automount,
    /// Network policy: {from, to, protocol, port}; ends are namespace/pod or an address
    Netpol,
    /// IAM: {principal, action, resource, context, identity, resource_policy, …} with the policies; takes no SOURCE
    Iam,
}

/// Evaluates every line. Lines that cannot be read get `{"error": …}`.
///
/// # Errors
/// Errors of the reader or writer.
pub fn run(engine: Engine, cluster: &Cluster, input: impl BufRead, out: &mut impl Write) -> std::io::Result<()> {
    let evaluator = Evaluator::new(engine, cluster);
    for line in input.split(b'\n') {
        let line = line?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let answer = match std::str::from_utf8(&line) {
            Ok(text) => evaluator.line(text),
            Err(e) => json!({"error": format!("not UTF-8 text (byte {})", e.valid_up_to())}),
        };
        serde_json::to_writer(&mut *out, &answer)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// One engine over one cluster.
#[derive(Debug)]
pub struct Evaluator<'c> {
    engine: Engine,
    cluster: &'c Cluster,
    rbac: Authorizer<'c>,
    node: NodeAuthorizer,
    network: Option<Network<'c>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Query<'a> {
    #[serde(borrow)]
    user: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    groups: Vec<std::borrow::Cow<'a, str>>,
    verb: std::borrow::Cow<'a, str>,
    group: std::borrow::Cow<'a, str>,
    resource: std::borrow::Cow<'a, str>,
    subresource: std::borrow::Cow<'a, str>,
    name: std::borrow::Cow<'a, str>,
    namespace: std::borrow::Cow<'a, str>,
    path: Option<std::borrow::Cow<'a, str>>,
    #[serde(rename = "fieldSelector")]
    field_selector: Option<std::borrow::Cow<'a, str>>,
}

impl<'c> Evaluator<'c> {
    /// Prepares an engine.
    pub fn new(engine: Engine, cluster: &'c Cluster) -> Self {
        let network = (engine == Engine::Netpol).then(|| Network::enforced(cluster));
        Evaluator { engine, cluster, rbac: Authorizer::new(cluster), node: NodeAuthorizer::new(cluster), network }
    }

    /// Answers one line.
    pub fn line(&self, text: &str) -> Value {
        let answer = match self.engine {
            Engine::Rbac => self.rbac(text),
            Engine::Escalation => self.escalation(text),
            Engine::Psa => psa_line(text),
            Engine::Automount => self.automount(text),
            Engine::Netpol => self.netpol(text),
            Engine::Iam => super::eval_iam::line(text),
        };
        answer.unwrap_or_else(|error| json!({ "error": error }))
    }

    fn rbac(&self, text: &str) -> Result<Value, String> {
        let q: Query<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let groups: Vec<&str> = q.groups.iter().map(AsRef::as_ref).collect();
        let user = User { name: &q.user, groups: &groups };
        let attributes = match &q.path {
            Some(path) => Attributes::Path { verb: &q.verb, path },
            None => Attributes::Resource {
                verb: &q.verb,
                group: &q.group,
                resource: &q.resource,
                subresource: &q.subresource,
                name: &q.name,
                namespace: &q.namespace,
            },
        };
        let decision = if self.node.allows(user, attributes, q.field_selector.as_deref().unwrap_or_default()) {
            Decision::Masters
        } else {
            self.rbac.decide(user, attributes)
        };
        Ok(json!({"allowed": decision.allowed(), "reason": self.rbac.reason(&decision)}))
    }

    fn escalation(&self, text: &str) -> Result<Value, String> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Case {
            user: String,
            groups: Vec<String>,
            op: String,
            content_type: String,
            resource: String,
            namespace: String,
            name: String,
            body: Value,
        }
        let c: Case = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let groups: Vec<&str> = c.groups.iter().map(String::as_str).collect();
        let write = escalation::Write {
            op: &c.op,
            content_type: &c.content_type,
            resource: &c.resource,
            namespace: &c.namespace,
            name: &c.name,
            body: &c.body,
        };
        let outcome = escalation::decide(self.cluster, &self.rbac, User { name: &c.user, groups: &groups }, &write)?;
        let missing = match &outcome {
            escalation::Outcome::RefusedEscalation(m) => m.clone(),
            _ => Vec::new(),
        };
        Ok(json!({"allowed": outcome == escalation::Outcome::Allowed, "outcome": outcome.name(), "missing": missing}))
    }

    fn automount(&self, text: &str) -> Result<Value, String> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Case {
            pod: Value,
            service_account: Option<String>,
            namespace: Option<String>,
        }
        let c: Case = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let mut pod = pod_of(c.pod)?;
        let namespace = c
            .namespace
            .filter(|n| !n.is_empty())
            .or_else(|| Some(pod.metadata.namespace.clone()).filter(|n| !n.is_empty()))
            .or_else(|| self.only_namespace())
            .unwrap_or_else(|| "default".into());
        // The pod is taken as sent; a separate account name fills in what the pod leaves open.
        if pod.spec.service_account_name.is_empty()
            && pod.spec.service_account.is_empty()
            && !pod.is_mirror()
            && let Some(account) = c.service_account.filter(|a| !a.is_empty())
        {
            pod.spec.service_account_name = account;
        }
        if let Err(message) = service_account::admit(&mut pod, &namespace, self.cluster) {
            return Ok(json!({"admitted": false, "serviceAccountName": "", "tokenMounts": [], "message": message}));
        }
        let mounts: Vec<Value> = service_account::token_mounts(&pod, &namespace, self.cluster)
            .into_iter()
            .map(|m| {
                let mut v = json!({"container": m.container, "containerKind": m.list, "mountPath": m.mount_path, "volume": m.volume});
                if let Some(map) = v.as_object_mut() {
                    match m.token {
                        service_account::Token::Projected { audience, expiration } => {
                            map.insert("audience".into(), audience.into());
                            map.insert("expirationSeconds".into(), expiration.into());
                        }
                        service_account::Token::Secret(name) => {
                            map.insert("secret".into(), name.into());
                        }
                    }
                }
                v
            })
            .collect();
        Ok(json!({"admitted": true, "serviceAccountName": pod.spec.service_account_name, "tokenMounts": mounts}))
    }

    fn netpol(&self, text: &str) -> Result<Value, String> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Case {
            from: String,
            to: String,
            protocol: String,
            port: Option<IntOrString>,
        }
        let c: Case = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let network = self.network.as_ref().ok_or("the network engine is not ready")?;
        let engine = &network.engine;
        let end = |field: &str, name: &str| {
            net::end(engine, name).ok_or_else(|| format!("{field}: no pod {name:?}, and no address"))
        };
        let (from, to) = (end("from", &c.from)?, end("to", &c.to)?);
        let protocol = Protocol::parse(&c.protocol)
            .ok_or_else(|| format!("protocol is {:?}, not TCP, UDP or SCTP", c.protocol))?;
        let ports = match &c.port {
            None => Ports::range(protocol, 0, u16::MAX),
            Some(IntOrString::Int(n)) => net::port(engine, to, protocol, &n.to_string())?,
            Some(IntOrString::Str(s)) => net::port(engine, to, protocol, s)?,
        };
        let reach = net::reach(self.cluster, &network.judge(from, to, &ports), &ports);
        let word = |v: Verdict| match v {
            Verdict::Yes => Value::Bool(true),
            Verdict::No => Value::Bool(false),
            Verdict::Unknown => Value::Null,
        };
        Ok(
            json!({"allowed": word(reach.answer), "ingress": word(reach.ingress), "egress": word(reach.egress), "reasons": reach.reasons}),
        )
    }

    /// The namespace of all accounts of the source, when there is only one.
    fn only_namespace(&self) -> Option<String> {
        let mut names = self.cluster.objects.service_accounts.iter().map(|a| &a.metadata.namespace);
        let first = names.next()?;
        names.all(|n| n == first).then(|| first.clone())
    }
}

fn pod_of(mut value: Value) -> Result<Pod, String> {
    prepare::strip_nulls(&mut value);
    prepare::prepare(Kind::Pod, &mut value);
    serde_json::from_value(value).map_err(|e| format!("pod: {e}"))
}

fn psa_line(text: &str) -> Result<Value, String> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Case {
        pod: Value,
        enforce: String,
        enforce_version: Option<String>,
    }
    let c: Case = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let level = psa::Level::parse(&c.enforce)
        .ok_or_else(|| format!("enforce is {:?}, not privileged, baseline or restricted", c.enforce))?;
    let version = c.enforce_version.unwrap_or_else(|| "latest".into());
    let minor =
        psa::parse_version(&version).ok_or_else(|| format!("enforce_version is {version:?}, not latest or v1.NN"))?;
    let violations = psa::evaluate(&pod_of(c.pod)?, psa::Policy { level, minor });
    Ok(json!({"allowed": violations.is_empty(), "violations": violations}))
}
