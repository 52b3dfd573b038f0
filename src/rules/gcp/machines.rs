//! Nodes as instances of Compute Engine: the account of their metadata service, tokens that it gives to pods, and who may
//! change their metadata.
//!
//! Sources: "About Workload Identity Federation for GKE" (modes of the metadata server, pods in the network of the node),
//! "Service accounts" of Compute Engine (scopes), google-guest-agent (`oslogin.go`, `non_windows_accounts.go`).

use serde_json::Value;

use super::effects::disabled;
use super::joins::{Pool, clusters, node};
use super::world::World;
use crate::model::cloud::CloudObject;
use crate::netpol::network::Network;
use crate::rules::ctx::{Ctx, Emit, cloud};
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
    /// Id of the unknown whether the pool's cluster is this one.
    which: Option<String>,
    /// Whether its cluster is one of Autopilot.
    automatic: bool,
    /// Whether its cluster has Dataplane V2, if that is known.
    dataplane: Option<bool>,
    /// Address of its service account.
    pub account: Option<String>,
    /// Pointer to it in the object.
    pointer: &'static str,
    scopes: Vec<&'c str>,
}

/// A pool that a node may be of, the id of the unknown whether its cluster is this one, and the cluster.
type Candidate<'c> = (u32, &'c CloudObject, Option<String>, Option<&'c CloudObject>);

/// Pools of the clusters that have this name; without a described cluster the only one that has it.
fn candidates<'c>(
    world: &World<'c>,
    clusters: &[(u32, &'c CloudObject, Option<String>)],
    label: &str,
) -> Vec<Candidate<'c>> {
    let of = |(_, c, unknown): &(u32, &'c CloudObject, Option<String>)| {
        let (i, p) = world.find("GcpNodePool", &format!("{} {label}", c.metadata.name))?;
        Some((i, p, unknown.clone(), Some(*c)))
    };
    let found: Vec<Candidate<'c>> = clusters.iter().filter_map(of).collect();
    let mut alone = world.of("GcpNodePool").filter(|(_, p)| clusters.is_empty() && p.text("name") == label);
    match (found.is_empty(), alone.next(), alone.next()) {
        (true, Some((i, p)), None) => vec![(i, p, None, None)],
        _ => found,
    }
}

/// Nodes of Google Cloud, in order: one for each pool that a node may be of.
pub fn machines<'c>(world: &World<'c>) -> Vec<Machine<'c>> {
    let all = clusters(world);
    let nodes = world.cluster.objects.nodes.iter().zip(0u32..);
    let own = nodes.filter(|(n, _)| n.spec.provider_id.starts_with("gce://"));
    let made = |(n, node): (&'c crate::model::objects::Node, u32), found: Option<Candidate<'c>>| {
        let instance = world.instance(&n.spec.provider_id);
        let of =
            found.as_ref().and_then(|f| f.3).or_else(|| all.first().filter(|_| all.len() == 1).map(|(_, c, _)| *c));
        let automatic = of.is_some_and(|c| c.spec.pointer("/autopilot/enabled") == Some(&Value::Bool(true)));
        let dataplane = of.map(|c| {
            let provider = c.spec.pointer("/networkConfig/datapathProvider").and_then(Value::as_str);
            provider == Some("ADVANCED_DATAPATH")
        });
        let which = found.as_ref().and_then(|f| f.2.clone());
        let pool = found.map(|(i, p, ..)| (i, p));
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
        Machine { node, object, pool, which, automatic, dataplane, account, pointer, scopes }
    };
    // Whichever of several clusters it is, a node may be of each of their pools of the name.
    own.flat_map(|(n, node)| {
        let found = candidates(world, &all, n.metadata.labels.get(POOL).map_or("", String::as_str));
        let found: Vec<Option<Candidate<'c>>> =
            if found.is_empty() { vec![None] } else { found.into_iter().map(Some).collect() };
        found.into_iter().map(move |f| ((n, node), f)).collect::<Vec<_>>()
    })
    .map(|(n, found)| made(n, found))
    .collect()
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
    let read = ["devstorage.read_only", "devstorage.read_write", "devstorage.full_control", "cloud-platform.read-only"];
    Some(Apis { storage: read.iter().any(|r| has(r)), compute: has("compute"), kms: has("cloudkms"), iam: has("iam") })
}

/// Emits the ways of nodes and pods to the account of the node, and of pods to tokens of their own.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>, network: &Network<'_>, pools: &[Pool]) {
    let mut ways = (Way::new(network, METADATA), Way::new(network, GKE_METADATA));
    for m in machines(world) {
        account(ctx, world, &m);
        let mode = m.pool.and_then(|(_, p)| p.spec.pointer("/config/workloadMetadataConfig/mode")?.as_str());
        let label = ctx.cluster.objects.nodes.get(m.node as usize).and_then(|n| n.metadata.labels.get(POOL)).cloned();
        let served = m.automatic || mode == Some("GKE_METADATA");
        // Nodes that are of no pool have the metadata service of their instance.
        let open = m.pool.is_none() && label.is_some() && !m.automatic;
        let unread =
            open.then(|| format!("unread:gcloud-container-node-pools-describe-{}", label.clone().unwrap_or_default()));
        for p in ctx.pods_of_node.get(m.node as usize).cloned().unwrap_or_default() {
            let Some(host) = ctx.cluster.objects.pods.get(p as usize).map(|p| p.spec.host_network) else { continue };
            if host || !served {
                instance(ctx, &mut ways.0, &m, p, unread.clone().or(m.which.clone()).filter(|_| !host));
            }
            if !host && (served || open) {
                own_token(ctx, &mut ways, &m, p, pools, &unread);
            }
        }
    }
}

/// A pod that the metadata service of the instance answers.
fn instance(ctx: &mut Ctx<'_>, way: &mut Way<'_, '_>, m: &Machine<'_>, pod: u32, unknown: Option<String>) {
    let because = match (m.pool, m.object) {
        (Some((i, o)), _) => {
            let mode = o.spec.pointer("/config/workloadMetadataConfig/mode").and_then(Value::as_str);
            (cloud(i), present(o, MODE).to_owned(), mode.unwrap_or_default().to_owned())
        }
        (None, Some((i, _))) => (cloud(i), "/metadata/name".to_owned(), String::new()),
        (None, None) => (node(m.node), "/spec/providerID".to_owned(), String::new()),
    };
    let answers = Answers { because, why: "the metadata service of the instance answers the pod", unknown };
    let judged = way.judge(pod);
    metadata::emit(ctx, pod, &judged, &|| Emit::new("net-pod-to-imds", Fact::Imds(m.node)), &answers);
}

/// A pod that the metadata server of GKE gives a token of its account, for each pool that it may be in.
fn own_token(
    ctx: &mut Ctx<'_>,
    ways: &mut (Way<'_, '_>, Way<'_, '_>),
    m: &Machine<'_>,
    p: u32,
    pools: &[Pool],
    unread: &Option<String>,
) {
    let Some(pod) = ctx.cluster.objects.pods.get(p as usize) else { return };
    let subject = ctx.subject(Subject::ServiceAccount(pod.metadata.namespace.clone(), pod.account().to_owned()));
    // Policies see the address before or after it is translated, as the dataplane is.
    let (before, after) = (ways.0.judge(p), ways.1.judge(p));
    let (judged, unknown) = match m.dataplane {
        Some(true) => (vec![before], None),
        Some(false) => (vec![after], None),
        None if before.allowed == after.allowed => (vec![before], None),
        None => (vec![before, after], Some("gke-dataplane".to_owned())),
    };
    for pool in pools {
        let audience = ctx.audiences.id(&pool.name);
        let because = match m.pool {
            Some((i, o)) if !m.automatic => {
                let mode = o.spec.pointer("/config/workloadMetadataConfig/mode").and_then(Value::as_str);
                (cloud(i), present(o, MODE).to_owned(), mode.unwrap_or_default().to_owned())
            }
            _ => (node(m.node), "/spec/providerID".to_owned(), String::new()),
        };
        let why = "the metadata server of GKE gives the pod a token of its account";
        let answers = Answers { because, why, unknown: unread.clone().or(m.which.clone()) };
        let step =
            || Emit::scope(Fact::Token(subject, audience)).unless_all_known(&pool.unknowns).maybe(unknown.clone());
        for j in &judged {
            metadata::emit(ctx, p, j, &step, &answers);
        }
    }
}

/// From the node and its metadata service to the account, as far as scopes reach.
fn account(ctx: &mut Ctx<'_>, world: &World<'_>, m: &Machine<'_>) {
    let (Some((object, o)), Some(email)) = (m.object, &m.account) else { return };
    let Some((index, _)) = world.find("GcpServiceAccount", email).filter(|(_, a)| !disabled(a)) else { return };
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
        let e = e.maybe(m.which.clone().filter(|_| !m.pointer.ends_with("email")));
        ctx.emit(e.because(cloud(object), present(o, scopes), "", "the scopes of its tokens"));
    }
}
