//! From service accounts of the cluster to members of policies: Workload Identity Federation for GKE.

use std::collections::BTreeMap;

use super::world::{World, segment};
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit, cloud};
use crate::rules::fact::Fact;
use crate::rules::federation::{Tokens, Way};

/// A pool of workload identities that accounts of the cluster are in.
#[derive(Debug)]
pub struct Pool {
    /// Its name, which is the audience of its tokens too: `PROJECT.svc.id.goog`.
    pub name: String,
    /// Cluster that has it, if it was described.
    pub cluster: Option<u32>,
    /// Ids of what leaves it open.
    pub unknowns: Vec<String>,
}

/// The pools of each cluster that this one may be; without a described cluster, each pool that a policy names.
pub fn pools(world: &World<'_>) -> Vec<Pool> {
    let clusters = clusters(world);
    let several = clusters.len();
    if clusters.is_empty() {
        let named = world.of("GcpMember").filter_map(|(_, m)| Some(Member::new(&m.metadata.name)?.pool));
        let named: std::collections::BTreeSet<String> = named.collect();
        let unread = || vec!["unread:gcloud-container-clusters-describe".to_owned()];
        return named.into_iter().map(|name| Pool { name, cluster: None, unknowns: unread() }).collect();
    }
    let mut out: Vec<Pool> = Vec::new();
    for (index, c, unknown) in clusters {
        let name = c.spec.pointer("/workloadIdentityConfig/workloadPool").and_then(|p| p.as_str());
        let Some(name) = name else { continue };
        out.push(Pool { name: name.to_owned(), cluster: Some(index), unknowns: unknown.into_iter().collect() });
    }
    // Whichever of several it is, they share the pool of their project.
    let shared = out.len() == several && out.iter().all(|p| out.first().is_some_and(|f| f.name == p.name));
    if shared && several > 1 {
        out.truncate(1);
        out.iter_mut().for_each(|p| p.unknowns.clear());
    }
    out
}

/// Clusters of the project that this one may be: the only one, the one that its instances name, or each of several.
pub fn clusters<'c>(world: &World<'c>) -> Vec<(u32, &'c CloudObject, Option<String>)> {
    let mut all: Vec<_> = world.of("GcpCluster").collect();
    // The API server that was asked is that of one cluster, and of no other.
    let server = world.cluster.source.server.as_str();
    if let Some((i, c)) = all.iter().find(|(_, c)| !server.is_empty() && c.text("endpoint") == server) {
        return vec![(*i, *c, None)];
    }
    let ids: Vec<&str> = world.cluster.objects.nodes.iter().map(|n| n.spec.provider_id.as_str()).collect();
    let ids: Vec<&str> = ids.into_iter().filter(|id| !id.is_empty()).collect();
    let named: Vec<&str> = ids
        .iter()
        .filter_map(|id| world.instance(id))
        .filter_map(|(_, i)| i.spec.pointer("/metadata/cluster-name")?.as_str())
        .collect();
    if let Some(name) = named.first().filter(|n| named.iter().all(|x| x == *n))
        && all.iter().any(|(_, c)| c.metadata.name == **name)
    {
        all.retain(|(_, c)| c.metadata.name == **name);
    }
    // Nodes are in the project and in the place of their cluster.
    let holds = |c: &CloudObject| ids.iter().any(|id| is_in(id, c));
    if all.iter().any(|(_, c)| holds(c)) {
        all.retain(|(_, c)| holds(c));
    }
    let several = all.len() > 1;
    let unknown = |c: &CloudObject| {
        let elsewhere = !ids.is_empty() && !holds(c);
        (several || elsewhere).then(|| format!("gke-cluster:{}", c.metadata.name))
    };
    all.into_iter().map(|(i, c)| (i, c, unknown(c))).collect()
}

/// Whether an instance, `gce://PROJECT/ZONE/NAME`, is in the project and the place of a cluster, as far as those are known.
fn is_in(provider_id: &str, c: &CloudObject) -> bool {
    let Some(rest) = provider_id.strip_prefix("gce://") else { return false };
    let mut parts = rest.split('/');
    let (project, zone) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let own = segment(c.text("selfLink"), "projects");
    let place = c.text("location");
    let near = place.is_empty() || zone == place || zone.strip_prefix(place).is_some_and(|r| r.starts_with('-'));
    own.is_none_or(|o| o == project) && near
}

/// Whom of a pool a member of a policy means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    Account(String, String),
    Uid(String),
    Namespace(String),
    Cluster(String),
    All,
}

/// A member of a policy that is of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    pool: String,
    whom: Whom,
}

impl Member {
    /// Reads a member; `None` for any other ("Principal identifiers").
    fn new(text: &str) -> Option<Self> {
        const SUFFIX: &str = ".svc.id.goog";
        if let Some(legacy) = text.strip_prefix("serviceAccount:") {
            let (pool, account) = legacy.strip_suffix(']')?.split_once('[')?;
            let (ns, name) = account.split_once('/')?;
            let whom = Whom::Account(ns.to_owned(), name.to_owned());
            return pool.ends_with(SUFFIX).then(|| Member { pool: pool.to_owned(), whom });
        }
        let (scheme, rest) = text.split_once("://iam.googleapis.com/")?;
        let (_, rest) = rest.split_once("/workloadIdentityPools/")?;
        let (pool, rest) = rest.split_once('/')?;
        if !pool.ends_with(SUFFIX) {
            return None;
        }
        let whom = match (scheme, rest) {
            ("principalSet", "*") => Whom::All,
            ("principalSet", r) => match r.split_once('/')? {
                ("namespace", ns) => Whom::Namespace(ns.to_owned()),
                ("kubernetes.cluster", url) => Whom::Cluster(url.to_owned()),
                _ => return None,
            },
            (_, r) => match r.split_once('/')? {
                ("kubernetes.serviceaccount.uid", uid) => Whom::Uid(uid.to_owned()),
                ("subject", s) => {
                    let (ns, name) = s.strip_prefix("ns/")?.split_once("/sa/")?;
                    Whom::Account(ns.to_owned(), name.to_owned())
                }
                _ => return None,
            },
        };
        Some(Member { pool: pool.to_owned(), whom })
    }
}

/// Emits the step from tokens of accounts to the members that they are.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>, pools: &[Pool]) {
    let tokens = Tokens::new(ctx);
    let accounts: Vec<(String, String, String)> = ctx
        .cluster
        .objects
        .service_accounts
        .iter()
        .map(|a| {
            let m = &a.metadata;
            (m.namespace.clone(), m.name.clone(), m.uid.clone())
        })
        .collect();
    let mut by_namespace: BTreeMap<&str, Vec<&(String, String, String)>> = BTreeMap::new();
    for a in &accounts {
        by_namespace.entry(a.0.as_str()).or_default().push(a);
    }
    for (index, m) in world.of("GcpMember") {
        let Some(member) = Member::new(&m.metadata.name) else { continue };
        // Who is asked about by the name of the member is the member.
        for (from, to) in [
            (Fact::CloudPrincipal(index), Fact::CloudMember(index)),
            (Fact::CloudMember(index), Fact::CloudPrincipal(index)),
        ] {
            let name = m.metadata.name.clone();
            ctx.emit(Emit::scope(to).from(from).because(
                cloud(index),
                "/metadata/name",
                name,
                "the member of policies",
            ));
        }
        for pool in pools.iter().filter(|p| p.name == member.pool) {
            let link = pool.cluster.and_then(|c| ctx.cluster.objects.cloud.get(c as usize)).map(|c| c.text("selfLink"));
            let link = link.filter(|l| !l.is_empty());
            let step = |way: Way| {
                let why = match way {
                    Way::Held => "the pool knows the account as this member",
                    Way::Chosen => "the pool takes any token of the account for it",
                    Way::Claimed => "the member is an account that nobody has yet",
                };
                let e = Emit::scope(Fact::CloudMember(index));
                let e = e.because(cloud(index), "/metadata/name", m.metadata.name.clone(), why);
                let pointer = "/spec/workloadIdentityConfig/workloadPool";
                let e = match pool.cluster {
                    Some(c) => e.because(cloud(c), pointer, pool.name.clone(), "the cluster has this pool"),
                    None => e,
                };
                e.unless_all_known(&pool.unknowns)
            };
            let of = |ns: &str| by_namespace.get(ns).cloned().unwrap_or_default();
            let meant: Vec<&(String, String, String)> = match &member.whom {
                Whom::All => accounts.iter().collect(),
                // Where the cluster was not described it may be this one.
                Whom::Cluster(url) if link.is_none_or(|l| same_cluster(l, url)) => accounts.iter().collect(),
                Whom::Cluster(_) => Vec::new(),
                Whom::Namespace(ns) => of(ns),
                Whom::Uid(uid) => accounts.iter().filter(|a| a.2 == *uid).collect(),
                Whom::Account(ns, name) => of(ns).into_iter().filter(|a| a.1 == *name).collect(),
            };
            let meant: Vec<(&str, &str)> = meant.into_iter().map(|(ns, n, _)| (ns.as_str(), n.as_str())).collect();
            tokens.accounts(ctx, &meant, &pool.name, &step);
            match &member.whom {
                Whom::Account(ns, name) => tokens.claimed(ctx, (ns, name), &step),
                Whom::Namespace(ns) if ctx.ns(ns).is_none() => tokens.claimed(ctx, (ns, "default"), &step),
                _ => {}
            }
        }
    }
}

/// Whether two links mean one cluster: one of a zone says `zones` or `locations`.
fn same_cluster(a: &str, b: &str) -> bool {
    let parts = |l: &str| {
        let place = segment(l, "locations").or(segment(l, "zones")).map(str::to_owned);
        (segment(l, "projects").map(str::to_owned), place, segment(l, "clusters").map(str::to_owned))
    };
    parts(a) == parts(b)
}

/// The object of a node in evidence.
pub fn node(index: u32) -> Obj {
    Obj { kind: Kind::Node, index }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_pools_are_read() {
        let of = |m: &str| Member::new(m).map(|m| m.whom);
        let account = Whom::Account("prod".into(), "app".into());
        let start = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p.svc.id.goog";
        assert_eq!(of("serviceAccount:p.svc.id.goog[prod/app]"), Some(account.clone()));
        assert_eq!(of(&format!("principal:{start}/subject/ns/prod/sa/app")), Some(account));
        assert_eq!(of(&format!("principalSet:{start}/namespace/prod")), Some(Whom::Namespace("prod".into())));
        assert_eq!(of(&format!("principalSet:{start}/*")), Some(Whom::All));
        assert_eq!(of(&format!("principal:{start}/kubernetes.serviceaccount.uid/u")), Some(Whom::Uid("u".into())));
        let url = "https://container.googleapis.com/v1/projects/p/locations/eu/clusters/c";
        assert_eq!(of(&format!("principalSet:{start}/kubernetes.cluster/{url}")), Some(Whom::Cluster(url.into())));
        for other in [
            "serviceAccount:app@p.iam.gserviceaccount.com",
            "user:a@example.com",
            "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/*",
            "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p.svc.id.goog/attribute.x/y",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert!(same_cluster(url, "https://container.googleapis.com/v1/projects/p/zones/eu/clusters/c"));
        assert!(!same_cluster(url, "https://container.googleapis.com/v1/projects/q/zones/eu/clusters/c"));
    }
}
