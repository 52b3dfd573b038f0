//! What roles let principals do: with each other, with keys, buckets and secrets, with instances, and inside of the cluster.
//!
//! A role that is given for a project is given for everything below it: that is one fact, and one step to each thing below.

use std::collections::{BTreeMap, BTreeSet};

use super::joins::{clusters, node};
use super::machines::{Machine, machines};
use super::roles::{ACT_AS, CLUSTER_ADMIN, STARTS, UPDATE_ROLE};
use super::world::{Given, World};
use crate::model::cloud::CloudObject;
use crate::rules::ctx::{Ctx, Emit, cloud};
use crate::rules::fact::{Access, Apis, Fact, Subject};

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    memberships(ctx, world);
    let machines = machines(world);
    let mut accounts = Accounts::new();
    for m in &machines {
        let id = ctx.cluster.objects.nodes.get(m.node as usize).map_or("", |n| n.spec.provider_id.as_str());
        let project = id.strip_prefix("gce://").and_then(|r| r.split('/').next()).unwrap_or_default();
        let account = m.account.as_deref().and_then(|a| world.find("GcpServiceAccount", a));
        if let (Some((a, _)), Some((p, _))) = (account, world.find("GcpProject", project)) {
            accounts.entry(a).or_default().insert(p);
        }
    }
    let tokens = scoped(ctx);
    for (principal, given) in &world.given {
        let own = tokens.get(principal).into_iter().flatten();
        basic(ctx, world, *principal, given, &own.copied().collect::<Vec<Apis>>());
    }
    let tokens = scoped(ctx);
    for (principal, given) in &world.given {
        let Some(p) = world.cluster.objects.cloud.get(*principal as usize) else { continue };
        let own = if of_pool(p) { Fact::CloudMember(*principal) } else { Fact::CloudPrincipal(*principal) };
        let mut all = vec![(own, None)];
        let own = tokens.get(principal).into_iter().flatten();
        all.extend(own.map(|a| (Fact::CloudScoped(*principal, *a), Some(*a))));
        for (from, apis) in all {
            let who = Who { p, from, given };
            for g in given {
                for access in Access::ALL.into_iter().filter(|a| apis.is_none_or(|x| opens(x, *a))) {
                    match access {
                        Access::Machines | Access::CommonMetadata => metadata(ctx, world, &who, g, access, &accounts),
                        _ => one(ctx, world, &who, g, access),
                    }
                }
            }
            if apis.is_none() {
                passed(ctx, world, &who);
                pairs(ctx, world, &who);
            }
        }
    }
    below(ctx, world, &machines);
    in_cluster(ctx, world);
    identities(ctx, world);
}

/// The APIs that tokens are for which do not open all, of each principal that has such.
fn scoped(ctx: &Ctx<'_>) -> BTreeMap<u32, BTreeSet<Apis>> {
    let mut all: BTreeMap<u32, BTreeSet<Apis>> = BTreeMap::new();
    for f in ctx.facts.values() {
        if let Fact::CloudScoped(principal, apis) = f {
            all.entry(*principal).or_default().insert(*apis);
        }
    }
    all
}

/// A principal, the fact of acting as it, and what it was given.
struct Who<'a> {
    p: &'a CloudObject,
    from: Fact,
    given: &'a [Given<'a>],
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
fn because(e: Emit<'static>, g: &Given<'_>, p: &CloudObject) -> Emit<'static> {
    let role = g.pointer.split("/members/").next().unwrap_or_default();
    let member = match p.kind() {
        "GcpServiceAccount" => format!("serviceAccount:{}", p.metadata.name),
        _ => p.metadata.name.clone(),
    };
    let e = e.because(cloud(g.object), g.pointer.clone(), member, "the binding names the principal");
    let e = e.because(cloud(g.object), format!("{role}/role"), g.role.to_owned(), "the role holds the permission");
    e.unless_all_known(&g.unknowns)
}

/// Whether a principal is of a pool of workload identities.
fn of_pool(p: &CloudObject) -> bool {
    p.kind() == "GcpMember" && p.metadata.name.contains(".svc.id.goog")
}

/// Whether an object is a level that others are below.
fn is_level(world: &World<'_>, object: u32) -> bool {
    let o = world.cluster.objects.cloud.get(object as usize);
    o.is_some_and(|o| matches!(o.kind(), "GcpProject" | "GcpFolder" | "GcpOrganization"))
}

/// The permission of several that no deny policy denies, with what leaves that open.
fn allowed(world: &World<'_>, p: &CloudObject, permissions: &[&str], on: u32) -> Option<Vec<String>> {
    permissions.iter().filter_map(|x| world.denied(Some(p), x, on)).min_by_key(Vec::len)
}

fn one(ctx: &mut Ctx<'_>, world: &World<'_>, who: &Who<'_>, g: &Given<'_>, access: Access) {
    let Some(object) = world.cluster.objects.cloud.get(g.object as usize) else { return };
    let Some(denied) = allowed(world, who.p, &world.permissions(g, access), g.object) else { return };
    let (to, technique) = match object.kind() {
        "GcpServiceAccount" => match access {
            // Nobody gets tokens of one that is switched off.
            Access::Impersonate | Access::CreateKeys if !disabled(object) => {
                let of_pool = if of_pool(who.p) { "gcp-workload-identity-gsa" } else { "gcp-sa-impersonation" };
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
    if to == who.from || (access == Access::CreateKeys && keys_forbidden(world)) {
        return;
    }
    let e = Emit::new(technique.unwrap_or(granting(who.p)), to).from(who.from);
    let e = if access == Access::CreateKeys { e.tier(2).unless_all_known(&keys_unknown(world)) } else { e };
    ctx.emit(because(e, g, who.p).unless_all_known(&denied));
}

/// The technique of a role that is given.
fn granting(p: &CloudObject) -> &'static str {
    if of_pool(p) { "gcp-workload-identity-direct" } else { "gcp-iam-grant" }
}

/// Whether a service account is switched off.
pub fn disabled(o: &CloudObject) -> bool {
    o.spec.get("disabled") == Some(&serde_json::Value::Bool(true))
}

/// Metadata of instances: to change it takes the right to act as their service account too, of the same principal.
fn metadata(ctx: &mut Ctx<'_>, world: &World<'_>, who: &Who<'_>, g: &Given<'_>, access: Access, nodes: &Accounts) {
    let Some(denied) = allowed(world, who.p, &world.permissions(g, access), g.object) else { return };
    if !is_level(world, g.object) {
        return;
    }
    let step = |to: u32, more: &[String]| {
        let e = Emit::new(granting(who.p), Fact::CloudHolds(access, to)).from(who.from);
        because(e, g, who.p).unless_all_known(&denied).unless_all_known(more)
    };
    let acts: Vec<(&Given<'_>, Vec<String>)> = who
        .given
        .iter()
        .filter(|a| has(a, ACT_AS))
        .filter_map(|a| Some((a, world.denied(Some(who.p), ACT_AS, a.object)?)))
        .collect();
    for (a, more) in acts.iter().filter(|(a, _)| is_level(world, a.object)) {
        if let Some(to) = world.narrower(g.object, a.object) {
            ctx.emit(because(step(to, more), a, who.p));
        }
    }
    for (account, projects) in nodes {
        // The instances are below what the right is held for.
        if !projects.iter().any(|p| world.narrower(*p, g.object) == Some(*p)) {
            continue;
        }
        let own: Vec<&(&Given<'_>, Vec<String>)> = acts.iter().filter(|(a, _)| a.object == *account).collect();
        for (a, more) in own.iter().copied() {
            ctx.emit(because(step(*account, more), a, who.p));
        }
        let Some(o) = world.cluster.objects.cloud.get(*account as usize) else { continue };
        if own.is_empty() && o.spec.get("bindings").is_none() && !world.searched() {
            let id = format!("unread:gcloud-iam-service-accounts-get-iam-policy-{}", o.metadata.name);
            ctx.emit(step(*account, &[id]));
        }
    }
}

/// Service accounts of nodes, each with the projects of those nodes.
type Accounts = BTreeMap<u32, BTreeSet<u32>>;

/// What takes two permissions of one principal: everything in clusters, and a custom role that it widens for itself.
fn pairs(ctx: &mut Ctx<'_>, world: &World<'_>, who: &Who<'_>) {
    let levels: Vec<&Given<'_>> = who.given.iter().filter(|g| is_level(world, g.object)).collect();
    for g in levels.iter().filter(|g| g.holds.is_some() && has(g, UPDATE_ROLE)) {
        let Some(denied) = world.denied(Some(who.p), UPDATE_ROLE, g.object) else { continue };
        // The role is one of what the right is held for, and gives what it holds where it is bound.
        for custom in
            levels.iter().filter(|c| home(world, c.role).is_some_and(|h| world.narrower(h, g.object) == Some(h)))
        {
            let e = Emit::new(granting(who.p), Fact::CloudHolds(Access::Policy, custom.object)).from(who.from).tier(3);
            ctx.emit(because(because(e, g, who.p), custom, who.p).unless_all_known(&denied));
        }
    }
    let alone = |g: &Given<'_>| CLUSTER_ADMIN.iter().any(|pair| pair.iter().all(|p| has(g, p)));
    for g in &levels {
        // One role that holds both says it alone.
        let others: Vec<&Given<'_>> = match alone(g) {
            true => vec![*g],
            false => levels.iter().copied().filter(|o| !alone(o)).collect(),
        };
        for other in others {
            let Some(to) = world.narrower(g.object, other.object) else { continue };
            let free = |[a, b]: &[&str; 2]| {
                let mut ids = world.denied(Some(who.p), a, to)?;
                ids.extend(world.denied(Some(who.p), b, to)?);
                (has(g, a) && has(other, b)).then_some(ids)
            };
            let Some(denied) = CLUSTER_ADMIN.iter().filter_map(free).min_by_key(Vec::len) else { continue };
            let e = Emit::new(granting(who.p), Fact::CloudHolds(Access::ClusterAdmin, to)).from(who.from);
            ctx.emit(because(because(e, g, who.p), other, who.p).unless_all_known(&denied));
        }
    }
}

/// The project or the organization that a custom role is of.
fn home(world: &World<'_>, role: &str) -> Option<u32> {
    let mut parts = role.split('/');
    let kind = match parts.next()? {
        "projects" => "GcpProject",
        "organizations" => "GcpOrganization",
        _ => return None,
    };
    world.find(kind, parts.next()?).map(|(i, _)| i)
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
fn passed(ctx: &mut Ctx<'_>, world: &World<'_>, who: &Who<'_>) {
    let level = |g: &&Given<'_>| is_level(world, g.object);
    let starts: Vec<&Given<'_>> = who.given.iter().filter(level).filter(|g| STARTS.iter().any(|s| has(g, s))).collect();
    for a in who.given.iter().filter(|g| has(g, ACT_AS)) {
        let Some(object) = world.cluster.objects.cloud.get(a.object as usize) else { continue };
        let (to, home) = match object.kind() {
            "GcpServiceAccount" if !disabled(object) => {
                let project = world.find("GcpProject", &world.project_of(object)).map(|(i, _)| i);
                (Fact::CloudPrincipal(a.object), project)
            }
            "GcpProject" | "GcpFolder" | "GcpOrganization" => {
                (Fact::CloudHolds(Access::Impersonate, a.object), Some(a.object))
            }
            _ => continue,
        };
        let Some(denied) = world.denied(Some(who.p), ACT_AS, a.object).filter(|_| to != who.from) else { continue };
        // Other projects run an account only where the organization lets them: the nearest start is enough.
        let near = |s: &Given<'_>| home.is_some_and(|h| world.narrower(h, s.object).is_some());
        let held = |s: &Given<'_>| {
            let own: Vec<&str> = STARTS.iter().copied().filter(|p| has(s, p)).collect();
            allowed(world, who.p, &own, s.object)
        };
        let best = starts.iter().filter_map(|s| Some((*s, held(s)?))).min_by_key(|(s, more)| (!near(s), more.len()));
        let Some((start, more)) = best else { continue };
        let across = "unread:gcloud-org-policies-describe-iam.disableCrossProjectServiceAccountUsage";
        let e = Emit::new("gcp-sa-impersonation", to).from(who.from).tier(3);
        let e = because(because(e, a, who.p), start, who.p).maybe((!near(start)).then(|| across.to_owned()));
        ctx.emit(e.unless_all_known(&denied).unless_all_known(&more));
    }
}

/// Members that stand for others: basic roles of a project, service accounts of a project, groups.
fn memberships(ctx: &mut Ctx<'_>, world: &World<'_>) {
    everybody(ctx, world);
    let find = |email: &str| {
        let account = world.find("GcpServiceAccount", email);
        let account = account.or_else(|| world.find("GcpMember", &format!("user:{email}")));
        account.or_else(|| world.find("GcpMember", &format!("group:{email}")))
    };
    for (index, m) in world.of("GcpMember") {
        // Only what was read of a group is known; what was not is among the calls that are missing.
        for (n, email) in m.list("members").iter().enumerate().filter_map(|(n, v)| Some((n, v.as_str()?))) {
            if let Some((p, _)) = find(email) {
                let e = Emit::scope(Fact::CloudPrincipal(index)).from(Fact::CloudPrincipal(p));
                let at = format!("/spec/members/{n}");
                ctx.emit(e.because(cloud(index), at, email.to_owned(), "the principal is in the group"));
            }
        }
        let Some(level) = m.metadata.name.strip_suffix("/type/ServiceAccount") else { continue };
        let mut parts = level.rsplit('/');
        let (Some(name), Some(kind)) = (parts.next(), parts.next()) else { continue };
        let top = match kind {
            "projects" => world.project_named(name).and_then(|p| world.find("GcpProject", &p)),
            "folders" => world.find("GcpFolder", name),
            "organizations" => world.find("GcpOrganization", name),
            _ => None,
        };
        let Some((top, _)) = top else { continue };
        for (p, _) in world.of("GcpServiceAccount").filter(|(_, a)| world.above(a).contains(&top)) {
            let e = Emit::scope(Fact::CloudPrincipal(index)).from(Fact::CloudPrincipal(p));
            let name = m.metadata.name.clone();
            ctx.emit(e.because(cloud(index), "/metadata/name", name, "every service account of the level"));
        }
    }
}

/// Members that stand for who has a basic role in a project, as policies of buckets name them. A token for some APIs only
/// stays one.
fn basic(ctx: &mut Ctx<'_>, world: &World<'_>, principal: u32, given: &[Given<'_>], apis: &[Apis]) {
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
            ctx.emit(because(e, g, p));
            for a in apis {
                let e = Emit::scope(Fact::CloudScoped(index, *a)).from(Fact::CloudScoped(principal, *a));
                ctx.emit(because(e, g, p));
            }
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
        let scoped = ctx.facts.values().filter(|f| matches!(f, Fact::CloudScoped(..))).copied();
        let all: Vec<Fact> = world.given.keys().map(|p| Fact::CloudPrincipal(*p)).chain(scoped).collect();
        for p in all.into_iter().filter(|p| *p != Fact::CloudPrincipal(index)) {
            let e = Emit::scope(Fact::CloudPrincipal(index)).from(p);
            ctx.emit(e.because(cloud(index), "/metadata/name", name, why));
        }
    }
}

/// From what is held above to what is below: folders, projects, key rings, then each thing in them.
fn below(ctx: &mut Ctx<'_>, world: &World<'_>, machines: &[Machine<'_>]) {
    let own = world.find("GcpProject", &world.project).map(|(i, _)| i);
    // Whoever gives roles of a level has every access to it.
    for kind in ["GcpOrganization", "GcpFolder", "GcpProject"] {
        for (index, o) in world.of(kind) {
            if ctx.facts.find(&Fact::CloudHolds(Access::Policy, index)).is_none() && own != Some(index) {
                continue;
            }
            for access in Access::ALL.into_iter().filter(|a| *a != Access::Policy) {
                // A deny policy may stand in the way of the role that is given.
                let denies =
                    world.denied_below(access, None, index).unwrap_or_else(|| vec!["deny-policy:all".to_owned()]);
                let e = Emit::scope(Fact::CloudHolds(access, index)).from(Fact::CloudHolds(Access::Policy, index));
                let e = e.unless_all_known(&denies);
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
            let e = Emit::new("gcp-iam-grant", to).from(from);
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
        for parent in world.above(o).into_iter().take(1).filter(|_| !disabled(o)) {
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
                let Some(denies) = world.denied_below(access, Some(parent), *index) else { continue };
                let e = Emit::new("gcp-sa-impersonation", Fact::CloudPrincipal(*index)).from(from).tier(2);
                let e = if access == Access::CreateKeys { e.unless_all_known(&keys_unknown(world)) } else { e };
                let e = e.unless_all_known(&denies);
                ctx.emit(e.because(cloud(*index), "/metadata/name", "", "the service account is of the project"));
            }
        }
    }
    for (kind, access) in
        [("GcpKmsKey", Access::Decrypt), ("GcpSecret", Access::ReadSecrets), ("GcpBucket", Access::ReadObjects)]
    {
        for (index, o) in world.of(kind) {
            let near = world.above(o).into_iter().take(1).map(|p| (p, None));
            // A ring that is known by its name alone may be another.
            let ring = world.ring_of(o).filter(|(_, sure)| !sure && kind == "GcpKmsKey");
            let ring = ring.map(|(r, _)| (r, Some(format!("key-ring:{}", o.metadata.name))));
            for (parent, unknown) in near.chain(ring) {
                let from = Fact::CloudHolds(access, parent);
                let Some(denies) = world.denied_below(access, Some(parent), index) else { continue };
                if ctx.facts.find(&from).is_some() {
                    let e = Emit::new("gcp-iam-grant", Fact::CloudResource(index)).from(from);
                    let e = e.unless_all_known(&denies).maybe(unknown);
                    ctx.emit(e.because(cloud(index), "/metadata/name", "", "it is below what the role is given for"));
                }
            }
        }
    }
    instances(ctx, world, machines);
}

/// What is held above an object is held for it: one step a level, nearest first.
fn inherited(ctx: &mut Ctx<'_>, world: &World<'_>, index: u32, o: &CloudObject, accesses: &[Access]) {
    for parent in world.above(o) {
        for access in accesses {
            let from = Fact::CloudHolds(*access, parent);
            let Some(denies) = world.denied_below(*access, Some(parent), index) else { continue };
            if ctx.facts.find(&from).is_some() {
                let e = Emit::scope(Fact::CloudHolds(*access, index)).from(from).unless_all_known(&denies);
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
fn instances(ctx: &mut Ctx<'_>, world: &World<'_>, machines: &[Machine<'_>]) {
    let required = world
        .find("GcpConstraint", "compute.requireOsLogin")
        .map(|(_, c)| c.spec.get("enforced") == Some(&serde_json::Value::Bool(true)));
    for Machine { node: n, object, account, .. } in machines {
        let id = ctx.cluster.objects.nodes.get(*n as usize).map(|x| x.spec.provider_id.clone()).unwrap_or_default();
        let project = id.strip_prefix("gce://").and_then(|r| r.split('/').next()).unwrap_or_default();
        let parent = world.find("GcpProject", project);
        let instance = world.instance(&id);
        let set = |key: &str| {
            instance.and_then(|(_, i)| i.spec.pointer(&format!("/metadata/{key}"))?.as_str()).and_then(boolean)
        };
        let shared = parent.and_then(|(_, p)| p.spec.pointer("/commonInstanceMetadata/enable-oslogin")?.as_str());
        let login = set("enable-oslogin").or(shared.and_then(boolean)) == Some(true);
        let name = instance.map_or(id.rsplit('/').next().unwrap_or_default(), |(_, i)| &i.metadata.name).to_owned();
        let unread = instance.is_none().then(|| format!("unread:gcloud-compute-instances-describe-{name}"));
        let account = account.as_deref().and_then(|a| world.find("GcpServiceAccount", a));
        for access in [Access::Machines, Access::CommonMetadata] {
            let common = access == Access::CommonMetadata;
            // Keys of the project do not count where the instance refuses them; the switch of the instance is its own.
            let refused = set("enable-oslogin") == Some(true) || set("block-project-ssh-keys") == Some(true);
            for (level, _) in parent.iter().chain(&account).filter(|_| !(common && refused)) {
                let from = Fact::CloudHolds(access, *level);
                if ctx.facts.find(&from).is_none() {
                    continue;
                }
                let e = Emit::new("gcp-compute-metadata", Fact::Node(*n)).from(from).tier(3).maybe(unread.clone());
                // Switched off with the same right, unless the organization requires it.
                let e = match required {
                    Some(true) => e.unless_known(format!("startup-script-runs:{name}")),
                    None if login => e.unless_known("unread:gcloud-org-policies-describe-compute.requireOsLogin"),
                    _ => e,
                };
                let e = e.because(node(*n), "/spec/providerID", id.clone(), "the node is an instance of the project");
                let e = match instance.or(*object) {
                    Some((i, _)) => e.because(cloud(i), "/metadata/name", "", "its metadata lets keys for SSH in"),
                    None => e,
                };
                ctx.emit(e);
            }
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
    let all = clusters(world);
    let project = |c: &CloudObject| super::world::segment(c.text("selfLink"), "projects").map(str::to_owned);
    // Whichever of several it is, a role of their project counts.
    let one = all.first().and_then(|(_, c, _)| project(c));
    let shared = all.len() > 1 && one.is_some() && all.iter().all(|(_, c, _)| project(c) == one);
    let all: Vec<_> = match shared {
        true => all.into_iter().take(1).map(|(i, c, _)| (i, c, None)).collect(),
        false => all,
    };
    for (index, c, unknown) in all {
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
