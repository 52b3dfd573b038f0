//! What roles let principals do: with each other, with keys, buckets and secrets, with instances, and inside of the cluster.
//!
//! A role that is given for a project is given for everything below it: that is one fact, and one step to each thing below.

use std::collections::{BTreeMap, BTreeSet};

use super::depending;
use super::joins::{clusters, node};
use super::machines::{Machine, machines};
use super::roles::{ACT_AS, STARTS};
use super::world::{Given, World, cloud};
use crate::model::cloud::CloudObject;
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::{Access, Apis, Fact, Subject};

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    everybody(ctx, world);
    let scoped: BTreeSet<(u32, Apis)> = ctx
        .facts
        .values()
        .filter_map(|f| match f {
            Fact::CloudScoped(i, apis) => Some((*i, *apis)),
            _ => None,
        })
        .collect();
    for (principal, given) in &world.given {
        let Some(p) = world.cluster.objects.cloud.get(*principal as usize) else { continue };
        let acts: Vec<&Given<'_>> = given.iter().filter(|g| has(g, ACT_AS)).collect();
        let starts: Vec<&Given<'_>> = given.iter().filter(|g| STARTS.iter().any(|s| has(g, s))).collect();
        let own = if of_pool(p) { Fact::CloudMember(*principal) } else { Fact::CloudPrincipal(*principal) };
        let mut from = vec![(own, None)];
        from.extend(scoped.iter().filter(|(i, _)| i == principal).map(|(i, a)| (Fact::CloudScoped(*i, *a), Some(*a))));
        for (from, apis) in from {
            for g in given {
                for access in Access::ALL.into_iter().filter(|a| apis.is_none_or(|x| opens(x, *a))) {
                    one(ctx, world, p, from, g, access, &acts);
                }
            }
            if apis.is_none() {
                passed(ctx, world, p, from, &acts, &starts);
            }
        }
        basic(ctx, world, *principal, given);
    }
    below(ctx, world);
    in_cluster(ctx, world);
    identities(ctx, world);
}

/// Whether a token for some APIs only is enough for an access.
fn opens(apis: Apis, access: Access) -> bool {
    match access {
        Access::ReadObjects => apis.storage,
        Access::Machines | Access::CommonMetadata => apis.compute,
        Access::Decrypt => apis.kms,
        Access::Impersonate | Access::CreateKeys => apis.iam,
        _ => false,
    }
}

fn has(g: &Given<'_>, permission: &str) -> bool {
    g.holds.as_ref().is_none_or(|h| h.contains(permission))
}

/// Cites a binding: the member in it, and the role that it gives.
fn because(e: Emit<'static>, g: &Given<'_>, member: &str) -> Emit<'static> {
    let role = g.pointer.split("/members/").next().unwrap_or_default();
    let e = e.because(cloud(g.object), g.pointer.clone(), member.to_owned(), "the binding names the principal");
    let e = e.because(cloud(g.object), format!("{role}/role"), g.role.to_owned(), "the role holds the permission");
    depending(e, &g.unknowns)
}

/// The member of a policy that a principal is.
fn member(p: &CloudObject) -> String {
    match p.kind() {
        "GcpServiceAccount" => format!("serviceAccount:{}", p.metadata.name),
        _ => p.metadata.name.clone(),
    }
}

/// Whether a principal is of a pool of workload identities.
fn of_pool(p: &CloudObject) -> bool {
    p.kind() == "GcpMember" && (p.metadata.name.contains(".svc.id.goog"))
}

fn one(
    ctx: &mut Ctx<'_>,
    world: &World<'_>,
    p: &CloudObject,
    from: Fact,
    g: &Given<'_>,
    access: Access,
    acts: &[&Given<'_>],
) {
    let Some(permission) = World::permission(g, access) else { return };
    let Some(object) = world.cluster.objects.cloud.get(g.object as usize) else { return };
    let Some(denied) = world.denied(p, &permission) else { return };
    let (to, technique) = match object.kind() {
        "GcpServiceAccount" => match access {
            Access::Impersonate | Access::CreateKeys => {
                let of_pool = if of_pool(p) { "gcp-workload-identity-gsa" } else { "gcp-sa-impersonation" };
                (Fact::CloudPrincipal(g.object), Some(of_pool))
            }
            _ => return,
        },
        "GcpKmsKey" if access == Access::Decrypt => (Fact::CloudResource(g.object), None),
        "GcpSecret" if access == Access::ReadSecrets => (Fact::CloudResource(g.object), None),
        "GcpBucket" if access == Access::ReadObjects => (Fact::CloudResource(g.object), None),
        "GcpKeyRing" if access == Access::Decrypt => (Fact::CloudHolds(access, g.object), None),
        "GcpProject" | "GcpFolder" | "GcpOrganization" => (Fact::CloudHolds(access, g.object), None),
        _ => return,
    };
    if to == from || (access == Access::CreateKeys && keys_forbidden(world)) {
        return;
    }
    let direct = if of_pool(p) { "gcp-workload-identity-direct" } else { "gcp-iam-grant" };
    let e = Emit::new(technique.unwrap_or(direct), to).from(from);
    let e = if access == Access::CreateKeys { depending(e.tier(2), &keys_unknown(world)) } else { e };
    let mut e = depending(because(e, g, &member(p)), &denied);
    // To change an instance that has a service account takes the right to act as that.
    if matches!(access, Access::Machines | Access::CommonMetadata) {
        e = match acts.iter().min_by_key(|a| a.unknowns.len()) {
            Some(a) => because(e, a, &member(p)),
            None => e.unless_known(format!("acts-as-node-account:{}", p.metadata.name)),
        };
    }
    ctx.emit(e);
}

/// The constraint that forbids keys of service accounts.
const KEYS: [&str; 2] = ["iam.disableServiceAccountKeyCreation", "iam.managed.disableServiceAccountKeyCreation"];

fn keys_forbidden(world: &World<'_>) -> bool {
    KEYS.iter().any(|k| {
        world
            .find("GcpConstraint", k)
            .is_some_and(|(_, c)| c.spec.get("enforced") == Some(&serde_json::Value::Bool(true)))
    })
}

fn keys_unknown(world: &World<'_>) -> Vec<String> {
    let known = KEYS.iter().any(|k| world.find("GcpConstraint", k).is_some());
    (!known).then(|| format!("unread:gcloud-org-policies-describe-{}", KEYS[0])).into_iter().collect()
}

/// Service accounts that a principal has code run as, by one permission to start it and one to pass them: of one principal.
fn passed(
    ctx: &mut Ctx<'_>,
    world: &World<'_>,
    p: &CloudObject,
    from: Fact,
    acts: &[&Given<'_>],
    starts: &[&Given<'_>],
) {
    let Some(start) = starts.iter().min_by_key(|s| s.unknowns.len()) else { return };
    for a in acts {
        let Some(object) = world.cluster.objects.cloud.get(a.object as usize) else { continue };
        let to = match object.kind() {
            "GcpServiceAccount" => Fact::CloudPrincipal(a.object),
            "GcpProject" | "GcpFolder" | "GcpOrganization" => Fact::CloudHolds(Access::Impersonate, a.object),
            _ => continue,
        };
        let Some(denied) = world.denied(p, ACT_AS) else { continue };
        if to == from {
            continue;
        }
        let e = Emit::new("gcp-sa-impersonation", to).from(from).tier(3);
        let e = because(because(e, a, &member(p)), start, &member(p));
        ctx.emit(depending(e, &denied));
    }
}

/// Members that stand for who has a basic role in a project, as policies of buckets name them.
fn basic(ctx: &mut Ctx<'_>, world: &World<'_>, principal: u32, given: &[Given<'_>]) {
    for (role, word) in
        [("roles/owner", "projectOwner"), ("roles/editor", "projectEditor"), ("roles/viewer", "projectViewer")]
    {
        for g in given.iter().filter(|g| g.role == role) {
            let Some(project) = world.cluster.objects.cloud.get(g.object as usize) else { continue };
            let name = format!("{word}:{}", project.metadata.name);
            let (Some((index, _)), Some(p)) =
                (world.find("GcpMember", &name), world.cluster.objects.cloud.get(principal as usize))
            else {
                continue;
            };
            let e = Emit::scope(Fact::CloudPrincipal(index)).from(Fact::CloudPrincipal(principal));
            ctx.emit(because(e, g, &member(p)));
        }
    }
}

/// What is open to everybody is open from the internet, and to every principal.
fn everybody(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for name in ["allUsers", "allAuthenticatedUsers"] {
        let Some((index, _)) = world.find("GcpMember", name) else { continue };
        let why = "the member is everybody";
        let e = Emit::scope(Fact::CloudPrincipal(index)).from(Fact::Internet);
        ctx.emit(e.because(cloud(index), "/metadata/name", name, why));
        for p in world.given.keys().filter(|p| **p != index) {
            let e = Emit::scope(Fact::CloudPrincipal(index)).from(Fact::CloudPrincipal(*p));
            ctx.emit(e.because(cloud(index), "/metadata/name", name, why));
        }
    }
}

/// From what is held above to what is below: folders, projects, key rings, then each thing in them.
fn below(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let own = world.find("GcpProject", &world.project).map(|(i, _)| i);
    // Whoever gives roles of a level has every access to it.
    for kind in ["GcpOrganization", "GcpFolder", "GcpProject"] {
        for (index, o) in world.of(kind) {
            if ctx.facts.find(&Fact::CloudHolds(Access::Policy, index)).is_none() && own != Some(index) {
                continue;
            }
            for access in Access::ALL.into_iter().filter(|a| *a != Access::Policy) {
                let e = Emit::scope(Fact::CloudHolds(access, index)).from(Fact::CloudHolds(Access::Policy, index));
                ctx.emit(e.tier(3).because(
                    cloud(index),
                    "/metadata/name",
                    o.metadata.name.clone(),
                    "who gives roles gives itself each",
                ));
            }
        }
    }
    if let Some(index) = own {
        let policy = Fact::CloudHolds(Access::Policy, index);
        for (from, to) in [(policy, Fact::AccountAdmin), (Fact::AccountAdmin, policy)] {
            let name = world.project.clone();
            let e = Emit::scope(to).from(from);
            ctx.emit(e.because(cloud(index), "/metadata/name", name, "the project of the cluster is the account"));
        }
    }
    let mut accounts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for kind in ["GcpProject", "GcpKeyRing"] {
        for (index, o) in world.of(kind) {
            inherited(ctx, world, index, o, &Access::ALL);
        }
    }
    for (index, o) in world.of("GcpServiceAccount") {
        if o.spec.get("disabled") == Some(&serde_json::Value::Bool(true)) {
            continue;
        }
        for parent in world.above(o).into_iter().take(1) {
            accounts.entry(parent).or_default().push(index);
        }
    }
    for (parent, all) in accounts {
        for access in [Access::Impersonate, Access::CreateKeys] {
            let from = Fact::CloudHolds(access, parent);
            if ctx.facts.find(&from).is_none() || (access == Access::CreateKeys && keys_forbidden(world)) {
                continue;
            }
            for index in &all {
                let e = Emit::new("gcp-sa-impersonation", Fact::CloudPrincipal(*index)).from(from).tier(2);
                let e = if access == Access::CreateKeys { depending(e, &keys_unknown(world)) } else { e };
                ctx.emit(e.because(cloud(*index), "/metadata/name", "", "the service account is of the project"));
            }
        }
    }
    for (kind, access) in
        [("GcpKmsKey", Access::Decrypt), ("GcpSecret", Access::ReadSecrets), ("GcpBucket", Access::ReadObjects)]
    {
        for (index, o) in world.of(kind) {
            for parent in world.above(o).into_iter().take(1) {
                let from = Fact::CloudHolds(access, parent);
                if ctx.facts.find(&from).is_some() {
                    let e = Emit::scope(Fact::CloudResource(index)).from(from);
                    ctx.emit(e.because(cloud(index), "/metadata/name", "", "it is below what the role is given for"));
                }
            }
        }
    }
    instances(ctx, world);
}

/// What is held above an object is held for it: one step a level, nearest first.
fn inherited(ctx: &mut Ctx<'_>, world: &World<'_>, index: u32, o: &CloudObject, accesses: &[Access]) {
    for parent in world.above(o) {
        for access in accesses {
            let from = Fact::CloudHolds(*access, parent);
            if ctx.facts.find(&from).is_some() {
                let e = Emit::scope(Fact::CloudHolds(*access, index)).from(from);
                ctx.emit(e.because(
                    cloud(index),
                    "/metadata/name",
                    o.metadata.name.clone(),
                    "roles above are inherited",
                ));
            }
        }
    }
}

/// Root on nodes, for who may change the metadata of their instances: keys for SSH are taken while they run.
fn instances(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let required = world
        .find("GcpConstraint", "compute.requireOsLogin")
        .map(|(_, c)| c.spec.get("enforced") == Some(&serde_json::Value::Bool(true)));
    for Machine { node: n, object, .. } in machines(world) {
        let id = ctx.cluster.objects.nodes.get(n as usize).map(|x| x.spec.provider_id.clone()).unwrap_or_default();
        let project = id.strip_prefix("gce://").and_then(|r| r.split('/').next()).unwrap_or_default();
        let Some((parent, _)) = world.find("GcpProject", project) else { continue };
        let instance = world.find("GcpInstance", id.rsplit('/').next().unwrap_or_default());
        let set = |key: &str| {
            instance.and_then(|(_, i)| i.spec.pointer(&format!("/metadata/{key}"))?.as_str()).and_then(boolean)
        };
        let name = instance.map_or(id.rsplit('/').next().unwrap_or_default(), |(_, i)| &i.metadata.name).to_owned();
        let unread = instance.is_none().then(|| format!("unread:gcloud-compute-instances-describe-{name}"));
        for access in [Access::Machines, Access::CommonMetadata] {
            let from = Fact::CloudHolds(access, parent);
            if ctx.facts.find(&from).is_none() {
                continue;
            }
            let common = access == Access::CommonMetadata;
            let login = set("enable-oslogin") == Some(true);
            // Keys of the project do not count where the instance refuses them; the instance's own switch is its own metadata.
            if common && (login || set("block-project-ssh-keys") == Some(true)) {
                continue;
            }
            let e = Emit::new("gcp-compute-metadata", Fact::Node(n)).from(from).tier(3).maybe(unread.clone());
            // Switched off with the same right, unless the organization requires it.
            let e = match required {
                Some(true) => e.unless_known(format!("startup-script-runs:{name}")),
                None if login => e.unless_known("unread:gcloud-org-policies-describe-compute.requireOsLogin"),
                _ => e,
            };
            let e = e.because(node(n), "/spec/providerID", id.clone(), "the node is an instance of the project");
            let e = match instance.or(object) {
                Some((i, _)) => e.because(cloud(i), "/metadata/name", "", "its metadata lets keys for SSH in"),
                None => e,
            };
            ctx.emit(e);
        }
    }
}

/// A value of metadata as the guest agent reads it: any other is as if it was not set.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Roles of IAM are rights in every cluster of the project: the API server asks RBAC, then IAM.
fn in_cluster(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for (index, c, unknown) in clusters(world) {
        let project = super::world::segment(c.text("selfLink"), "projects").unwrap_or(&world.project);
        let Some((parent, _)) = world.find("GcpProject", project) else { continue };
        let places: Vec<u32> = (0..ctx.namespaces.len() as u32).collect();
        for (access, make) in [
            (Access::ClusterAdmin, None),
            (Access::ClusterSecrets, Some(Fact::AnySecret as fn(u32) -> Fact)),
            (Access::ClusterPods, Some(Fact::Workload as fn(u32) -> Fact)),
            (Access::ClusterExec, Some(Fact::PodsIn as fn(u32) -> Fact)),
            (Access::ClusterAccounts, Some(Fact::AnySa as fn(u32) -> Fact)),
        ] {
            let from = Fact::CloudHolds(access, parent);
            if ctx.facts.find(&from).is_none() {
                continue;
            }
            let to: Vec<Fact> = match make {
                None => vec![Fact::ClusterAdmin],
                Some(f) => places.iter().map(|p| f(*p)).collect(),
            };
            for fact in to {
                let e = Emit::new("gcp-container-admin", fact).from(from).from(Fact::ApiReach).maybe(unknown.clone());
                let name = c.metadata.name.clone();
                ctx.emit(e.because(cloud(index), "/metadata/name", name, "the cluster is of the project"));
            }
        }
    }
}

/// Principals as users of the API server: by their address, where a binding of the cluster names it, and as any that
/// signed in.
fn identities(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let named: BTreeSet<String> = ctx.authz.subjects().0.into_iter().map(str::to_owned).collect();
    let bound = ctx.authz.subjects().1.into_iter().any(|g| g == "system:authenticated");
    for (cluster, c, unknown) in clusters(world) {
        for (index, p) in world.of("GcpServiceAccount").chain(world.of("GcpMember")) {
            let user = match p.kind() {
                "GcpServiceAccount" => p.metadata.name.as_str(),
                _ => match p.metadata.name.strip_prefix("user:") {
                    Some(u) => u,
                    None => continue,
                },
            };
            let mut to: Vec<Subject> =
                named.contains(user).then(|| Subject::User(user.to_owned())).into_iter().collect();
            to.extend(bound.then(|| Subject::Group("system:authenticated".to_owned())));
            for s in to {
                let fact = Fact::Identity(ctx.subject(s));
                let e = Emit::scope(fact).from(Fact::CloudPrincipal(index)).maybe(unknown.clone());
                let name = c.metadata.name.clone();
                let e = e.because(cloud(cluster), "/metadata/name", name, "the cluster takes accounts of Google");
                ctx.emit(e.because(cloud(index), "/metadata/name", "", "the principal signs in under its address"));
            }
        }
    }
}
