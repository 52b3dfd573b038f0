//! Nodes as instances of Compute Engine: the account of their metadata service, tokens that it gives to pods, and who may
//! change their metadata.
//!
//! Sources: "About Workload Identity Federation for GKE" (modes of the metadata server, pods in the network of the node),
//! "Service accounts" of Compute Engine (scopes), google-guest-agent (`oslogin.go`, `non_windows_accounts.go`).

use serde_json::Value;

use super::depending;
use super::joins::{Pool, clusters, node};
use super::world::{World, cloud};
use crate::model::cloud::CloudObject;
use crate::netpol::network::Network;
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::{Apis, Fact, Subject};
use crate::rules::metadata::{self, Answers, METADATA, Way};

/// Where the metadata server of GKE listens for pods since 1.21 ("Troubleshoot GKE authentication", network policies).
const GKE_METADATA: ([u8; 4], u16) = ([169, 254, 169, 252], 988);

/// Where a pool says which metadata service its nodes have.
const MODE: &str = "/spec/config/workloadMetadataConfig/mode";

/// A field to cite: the object itself where it is not there, which means its default.
fn present<'p>(o: &CloudObject, pointer: &'p str) -> &'p str {
    let inner = pointer.strip_prefix("/spec").unwrap_or(pointer);
    if o.spec.pointer(inner).is_some() { pointer } else { "/metadata/name" }
}

/// Label of nodes of a pool.
const POOL: &str = "cloud.google.com/gke-nodepool";

/// A node with what is known of its instance.
#[derive(Debug)]
pub struct Machine<'c> {
    /// Number of the node.
    pub node: u32,
    /// The instance, or the pool that it is of; nothing where neither was read.
    pub object: Option<(u32, &'c CloudObject)>,
    /// The pool.
    pub pool: Option<(u32, &'c CloudObject)>,
    /// Address of its service account.
    pub account: Option<String>,
    /// Pointer to it in the object.
    pointer: &'static str,
    scopes: Vec<&'c str>,
}

/// Nodes of Google Cloud, in order.
pub fn machines<'c>(world: &World<'c>) -> Vec<Machine<'c>> {
    let all = clusters(world);
    let nodes = world.cluster.objects.nodes.iter().zip(0u32..);
    let own = nodes.filter(|(n, _)| n.spec.provider_id.starts_with("gce://"));
    let made = |(n, node): (&'c crate::model::objects::Node, u32)| {
        let id = n.spec.provider_id.rsplit('/').next().unwrap_or_default();
        let instance = world.find("GcpInstance", id);
        let label = n.metadata.labels.get(POOL).map_or("", String::as_str);
        let pool = all.iter().find_map(|(_, c, _)| world.find("GcpNodePool", &format!("{} {label}", c.metadata.name)));
        let texts = |v: Option<&'c Value>| -> Vec<&'c str> {
            v.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let first = instance.and_then(|(_, i)| i.list("serviceAccounts").first());
        let (object, account, pointer, scopes) = match (first, pool) {
            (Some(a), _) => (
                instance,
                a.get("email").and_then(Value::as_str),
                "/spec/serviceAccounts/0/email",
                texts(a.get("scopes")),
            ),
            // An instance without an account has none to give.
            (None, _) if instance.is_some() => (instance, None, "", Vec::new()),
            (None, Some((i, p))) => {
                let named = p.spec.pointer("/config/serviceAccount").and_then(Value::as_str);
                (Some((i, p)), named, "/spec/config/serviceAccount", texts(p.spec.pointer("/config/oauthScopes")))
            }
            (None, None) => (None, None, "", Vec::new()),
        };
        let account = account.and_then(|a| if a == "default" { default_account(world) } else { Some(a.to_owned()) });
        Machine { node, object, pool, account, pointer, scopes }
    };
    own.map(made).collect()
}

/// The service account that Compute Engine gives instances by default.
fn default_account(world: &World<'_>) -> Option<String> {
    let (_, p) = world.find("GcpProject", &world.project)?;
    let number = p.spec.get("projectNumber").map(|n| n.to_string().trim_matches('"').to_owned());
    let said = Some(p.text("defaultServiceAccount")).filter(|d| !d.is_empty()).map(str::to_owned);
    said.or_else(|| Some(format!("{}-compute@developer.gserviceaccount.com", number?)))
}

/// What a token with these scopes opens; everything where it has the scope of the whole platform.
fn apis(scopes: &[&str]) -> Option<Apis> {
    let short = |s: &&&str| s.rsplit('/').next().unwrap_or(s).to_owned();
    let names: Vec<String> = scopes.iter().map(|s| short(&s)).collect();
    let has = |n: &str| names.iter().any(|x| x == n);
    if has("cloud-platform") {
        return None;
    }
    Some(Apis {
        storage: names.iter().any(|n| n.starts_with("devstorage.")),
        compute: has("compute"),
        kms: has("cloudkms"),
        iam: has("iam"),
    })
}

/// Emits the ways of nodes and pods to the account of the node, and of pods to tokens of their own.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>, network: &Network<'_>, pools: &[Pool]) {
    let mut way = Way::new(network, METADATA);
    let mut own = Way::new(network, GKE_METADATA);
    let automatic =
        clusters(world).iter().any(|(_, c, _)| c.spec.pointer("/autopilot/enabled") == Some(&Value::Bool(true)));
    for m in machines(world) {
        account(ctx, world, &m);
        let mode = m.pool.and_then(|(_, p)| p.spec.pointer("/config/workloadMetadataConfig/mode")?.as_str());
        let label = ctx.cluster.objects.nodes.get(m.node as usize).and_then(|n| n.metadata.labels.get(POOL)).cloned();
        let served = automatic || mode == Some("GKE_METADATA");
        for p in ctx.pods_of_node.get(m.node as usize).cloned().unwrap_or_default() {
            let Some(pod) = ctx.cluster.objects.pods.get(p as usize) else { continue };
            let unknown = (m.pool.is_none() && !automatic && !pod.spec.host_network)
                .then(|| format!("unread:gcloud-container-node-pools-describe-{}", label.clone().unwrap_or_default()));
            if pod.spec.host_network || !served {
                let because = match (m.pool, m.object) {
                    (Some((i, o)), _) => (cloud(i), present(o, MODE).to_owned(), mode.unwrap_or_default().to_owned()),
                    (None, Some((i, _))) => (cloud(i), "/metadata/name".to_owned(), String::new()),
                    (None, None) => (node(m.node), "/spec/providerID".to_owned(), String::new()),
                };
                let why = "the metadata service of the instance answers the pod";
                let answers = Answers { because, why, unknown: unknown.clone() };
                let judged = way.judge(p);
                metadata::emit(ctx, p, &judged, &|| Emit::new("net-pod-to-imds", Fact::Imds(m.node)), &answers);
            }
            if pod.spec.host_network || !(served || m.pool.is_none()) {
                continue;
            }
            let subject = Subject::ServiceAccount(pod.metadata.namespace.clone(), pod.account().to_owned());
            let subject = ctx.subject(subject);
            for pool in pools {
                let audience = ctx.audiences.id(&pool.name);
                let because = match m.pool {
                    Some((i, _)) if !automatic => (cloud(i), MODE.to_owned(), "GKE_METADATA".to_owned()),
                    _ => (node(m.node), "/spec/providerID".to_owned(), String::new()),
                };
                let why = "the metadata server of GKE gives the pod a token of its account";
                let answers = Answers { because, why, unknown: unknown.clone() };
                let step = || depending(Emit::scope(Fact::Token(subject, audience)), &pool.unknowns);
                for judged in [way.judge(p), own.judge(p)] {
                    metadata::emit(ctx, p, &judged, &step, &answers);
                }
            }
        }
    }
}

/// From the node and its metadata service to the account, as far as scopes reach.
fn account(ctx: &mut Ctx<'_>, world: &World<'_>, m: &Machine<'_>) {
    let (Some((object, o)), Some(email)) = (m.object, &m.account) else { return };
    let Some((index, _)) = world.find("GcpServiceAccount", email) else { return };
    let to = match apis(&m.scopes) {
        None => Fact::CloudPrincipal(index),
        Some(apis) => Fact::CloudScoped(index, apis),
    };
    let scopes =
        if m.pointer.ends_with("email") { "/spec/serviceAccounts/0/scopes" } else { "/spec/config/oauthScopes" };
    let named = if m.pointer.ends_with("email") { email.clone() } else { String::new() };
    let id = ctx.cluster.objects.nodes.get(m.node as usize).map(|n| n.spec.provider_id.clone()).unwrap_or_default();
    for (technique, from) in [("node-to-imds", Fact::Node(m.node)), ("gcp-node-sa", Fact::Imds(m.node))] {
        let e = Emit::new(technique, to).from(from);
        let e = e.because(node(m.node), "/spec/providerID", id.clone(), "the node is an instance of Compute Engine");
        let e = e.because(cloud(object), m.pointer, named.clone(), "the instance has this service account");
        ctx.emit(e.because(cloud(object), present(o, scopes), "", "the scopes of its tokens"));
    }
}
