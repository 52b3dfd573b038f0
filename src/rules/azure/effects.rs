//! What role assignments let principals do: in the cluster, on its machines, with vaults, and with each other.
//!
//! A role at a scope is held for everything below it: that is one fact, and one step to each thing below.

use std::collections::BTreeMap;

use super::joins::machine;
use super::world::{Assignment, World, covers};
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit, cloud};
use crate::rules::fact::{Access, EVERYWHERE, Fact, Subject};

/// What is asked for an access: operations of which one is enough, and whether they are on data.
type Asked = (Access, &'static [&'static str], bool);

/// Operations by what they give ("Azure resource provider operations").
const OPERATIONS: [Asked; 14] = [
    (Access::Policy, &["Microsoft.Authorization/roleAssignments/write"], false),
    (Access::Federate, &["Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"], false),
    (
        Access::Machines,
        &[
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/runCommand/action",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/runCommands/write",
            "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/extensions/write",
            "Microsoft.Compute/virtualMachineScaleSets/extensions/write",
            "Microsoft.Compute/virtualMachineScaleSets/write",
        ],
        false,
    ),
    (
        Access::VirtualMachines,
        &[
            "Microsoft.Compute/virtualMachines/runCommand/action",
            "Microsoft.Compute/virtualMachines/runCommands/write",
            "Microsoft.Compute/virtualMachines/extensions/write",
        ],
        false,
    ),
    (Access::AdminCredential, &[ADMIN_CREDENTIAL], false),
    (Access::UserCredential, &["Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"], false),
    (Access::RunCommand, &["Microsoft.ContainerService/managedClusters/runCommand/action"], false),
    (
        Access::VaultPolicies,
        &["Microsoft.KeyVault/vaults/accessPolicies/write", "Microsoft.KeyVault/vaults/write"],
        false,
    ),
    (Access::ReadSecrets, &["Microsoft.KeyVault/vaults/secrets/getSecret/action"], true),
    (
        Access::Decrypt,
        &["Microsoft.KeyVault/vaults/keys/decrypt/action", "Microsoft.KeyVault/vaults/keys/unwrap/action"],
        true,
    ),
    (Access::ClusterSecrets, &["Microsoft.ContainerService/managedClusters/secrets/read"], true),
    (
        Access::ClusterPods,
        &[
            "Microsoft.ContainerService/managedClusters/pods/write",
            "Microsoft.ContainerService/managedClusters/apps/deployments/write",
            "Microsoft.ContainerService/managedClusters/apps/daemonsets/write",
            "Microsoft.ContainerService/managedClusters/apps/statefulsets/write",
            "Microsoft.ContainerService/managedClusters/apps/replicasets/write",
            "Microsoft.ContainerService/managedClusters/batch/jobs/write",
            "Microsoft.ContainerService/managedClusters/batch/cronjobs/write",
            "Microsoft.ContainerService/managedClusters/replicationcontrollers/write",
        ],
        true,
    ),
    (Access::ClusterExec, &["Microsoft.ContainerService/managedClusters/pods/exec/action"], true),
    (Access::ClusterAccounts, &["Microsoft.ContainerService/managedClusters/serviceaccounts/impersonate/action"], true),
];

/// What takes two operations on data of one principal: to write bindings of the whole cluster, or of namespaces, and to bind
/// any role by them.
const PAIRS: [(Access, [&str; 2]); 2] = [
    (
        Access::ClusterAdmin,
        [
            "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/clusterrolebindings/write",
            "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/clusterroles/bind/action",
        ],
    ),
    (
        Access::NamespaceAdmin,
        [
            "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/rolebindings/write",
            "Microsoft.ContainerService/managedClusters/rbac.authorization.k8s.io/clusterroles/bind/action",
        ],
    ),
];

const ADMIN_CREDENTIAL: &str = "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action";
const CLUSTER_WRITE: &str = "Microsoft.ContainerService/managedClusters/write";

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for a in &world.assignments {
        held(ctx, world, a);
    }
    pairs(ctx, world);
    members(ctx, world);
    administrator(ctx, world);
    reopened(ctx, world);
    below(ctx, world);
    users(ctx, world);
}

/// Whether an assignment allows an operation: `None` where it does not, else what leaves it open.
fn allows(a: &Assignment, operations: &[&str], data: bool) -> Option<Vec<String>> {
    let Some(permissions) = &a.permissions else { return Some(a.unknowns.clone()) };
    let mut found: Option<Vec<String>> = None;
    for p in permissions.iter().filter(|p| operations.iter().any(|o| p.allows(o, data))) {
        let mut unknowns = a.unknowns.clone();
        unknowns.extend(p.conditional.then(|| format!("role-definition-condition:{}", a.role)));
        if found.as_ref().is_none_or(|f| f.len() > unknowns.len()) {
            found = Some(unknowns);
        }
    }
    found
}

fn assigned(e: Emit<'static>, world: &World<'_>, a: &Assignment, unknowns: &[String]) -> Emit<'static> {
    let text = |f: &str| world.cluster.objects.cloud.get(a.index as usize).map_or("", |o| o.text(f)).to_owned();
    let e =
        e.because(cloud(a.index), "/spec/principalId", text("principalId"), "the role is assigned to the principal");
    let (field, value) = match text("roleDefinitionName") {
        name if name.is_empty() => ("/spec/roleDefinitionId", text("roleDefinitionId")),
        name => ("/spec/roleDefinitionName", name),
    };
    e.because(cloud(a.index), field, value, "the role allows the operation").unless_all_known(unknowns)
}

/// What an assignment gives at its scope.
fn held(ctx: &mut Ctx<'_>, world: &World<'_>, a: &Assignment) {
    let from = Fact::CloudPrincipal(a.principal);
    for (access, operations, data) in OPERATIONS {
        let Some(unknowns) = allows(a, operations, data) else { continue };
        let to = Fact::CloudHolds(access, a.scope);
        let e = match access {
            Access::Policy => Emit::new("azure-rbac-write", to).tier(3),
            _ => Emit::scope(to),
        };
        ctx.emit(assigned(e.from(from), world, a, &unknowns));
    }
}

/// Assignments of one principal that hold the two parts of a pair, at the narrower of their scopes.
fn pairs(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let scope =
        |a: &Assignment| world.cluster.objects.cloud.get(a.scope as usize).map_or("", |s| s.metadata.name.as_str());
    let both = |first: &dyn Fn(&Assignment) -> Option<Vec<String>>,
                second: &dyn Fn(&Assignment) -> Option<Vec<String>>| {
        let mut out: Vec<(usize, usize, Vec<String>)> = Vec::new();
        let mut by: BTreeMap<u32, Vec<(usize, Vec<String>)>> = BTreeMap::new();
        for (n, a) in world.assignments.iter().enumerate() {
            if let Some(u) = second(a) {
                by.entry(a.principal).or_default().push((n, u));
            }
        }
        for (n, a) in world.assignments.iter().enumerate() {
            let Some(u) = first(a) else { continue };
            for (m, more) in by.get(&a.principal).into_iter().flatten() {
                out.push((n, *m, u.iter().chain(more).cloned().collect()));
            }
        }
        out
    };
    for (access, [write, bind]) in PAIRS {
        let found = both(&|a| allows(a, &[write], true), &|a| allows(a, &[bind], true));
        for (n, m, unknowns) in found {
            let (Some(a), Some(b)) = (world.assignments.get(n), world.assignments.get(m)) else { continue };
            let to = match (covers(scope(b), scope(a)), covers(scope(a), scope(b))) {
                (true, _) => a.scope,
                (_, true) => b.scope,
                _ => continue,
            };
            let e = Emit::scope(Fact::CloudHolds(access, to)).from(Fact::CloudPrincipal(a.principal));
            ctx.emit(assigned(assigned(e, world, a, &unknowns), world, b, &[]));
        }
    }
    // An identity that is attached to a machine of one's own choice is taken from its metadata service.
    const ATTACH: &str = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action";
    const WRITE: [&str; 2] =
        ["Microsoft.Compute/virtualMachineScaleSets/write", "Microsoft.Compute/virtualMachines/write"];
    // The write that is held with the fewest conditions is enough.
    let mut writes: BTreeMap<u32, (&Assignment, Vec<String>)> = BTreeMap::new();
    for a in &world.assignments {
        let Some(u) = allows(a, &WRITE, false) else { continue };
        if writes.get(&a.principal).is_none_or(|(_, old)| old.len() > u.len()) {
            writes.insert(a.principal, (a, u));
        }
    }
    for a in &world.assignments {
        let (Some(mut unknowns), Some((b, more))) = (allows(a, &[ATTACH], false), writes.get(&a.principal)) else {
            continue;
        };
        unknowns.extend(more.iter().cloned());
        let e = Emit::scope(Fact::CloudHolds(Access::Attach, a.scope)).from(Fact::CloudPrincipal(a.principal));
        ctx.emit(assigned(assigned(e, world, a, &unknowns), world, b, &[]));
    }
}

/// Local accounts that are switched off are switched on again by who may change the cluster and get their credential:
/// one principal must hold both.
fn reopened(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for (index, c, unknown) in world.clusters() {
        if c.spec.get("disableLocalAccounts") != Some(&serde_json::Value::Bool(true)) {
            continue;
        }
        let scope =
            |a: &Assignment| world.cluster.objects.cloud.get(a.scope as usize).map_or("", |s| s.metadata.name.as_str());
        let able = |operation: &'static str| {
            let all = world.assignments.iter().filter(|a| covers(scope(a), c.text("id")));
            all.filter_map(move |a| Some((a, allows(a, &[operation], false)?))).collect::<Vec<_>>()
        };
        let credential = able(ADMIN_CREDENTIAL);
        for (write, first) in able(CLUSTER_WRITE) {
            let own = credential.iter().filter(|(a, _)| a.principal == write.principal);
            let Some((list, second)) = own.min_by_key(|(_, u)| u.len()) else { continue };
            let e =
                Emit::new("azure-aks-admin-credential", Fact::ClusterAdmin).from(Fact::CloudPrincipal(write.principal));
            let e = assigned(assigned(e.tier(3), world, write, &first), world, list, second).maybe(unknown.clone());
            let why = "who may change the cluster switches local accounts on";
            ctx.emit(e.because(cloud(index), "/spec/disableLocalAccounts", "true", why));
        }
        // Who assigns roles gives itself both.
        for (scope, s) in world.of("AzureScope").filter(|(_, s)| covers(&s.metadata.name, c.text("id"))) {
            let from = Fact::CloudHolds(Access::Policy, scope);
            if ctx.facts.find(&from).is_some() {
                let e = Emit::new("azure-aks-admin-credential", Fact::ClusterAdmin)
                    .from(from)
                    .tier(4)
                    .maybe(unknown.clone());
                let e = e.because(
                    cloud(scope),
                    "/metadata/name",
                    s.metadata.name.clone(),
                    "the cluster is below the scope",
                );
                let why = "who may change the cluster switches local accounts on";
                ctx.emit(e.because(cloud(index), "/spec/disableLocalAccounts", "true", why));
            }
        }
    }
}

/// Members of groups, as far as they were read.
fn members(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for (index, g) in world.of("AzureGroup") {
        for (n, id) in g.list("members").iter().enumerate().filter_map(|(n, v)| Some((n, v.as_str()?))) {
            if let Some(p) = world.principal(id) {
                let e = Emit::scope(Fact::CloudPrincipal(index)).from(Fact::CloudPrincipal(p));
                let at = format!("/spec/members/{n}");
                ctx.emit(e.because(cloud(index), at, id.to_owned(), "the principal is in the group"));
            }
        }
    }
}

/// The subscription of the cluster is the account: who assigns roles there administers it, and the other way round.
fn administrator(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let of = |id: &str| id.split('/').nth(2).map(|s| format!("/subscriptions/{s}"));
    let nodes = world.cluster.objects.nodes.iter().filter_map(|n| n.spec.provider_id.strip_prefix("azure://"));
    let own = world.clusters().first().and_then(|(_, c, _)| of(c.text("id")));
    let said = || world.of("AzureSubscription").next().map(|(_, s)| format!("/subscriptions/{}", s.metadata.name));
    let Some(own) = own.or_else(|| nodes.filter_map(of).next()).or_else(said) else { return };
    for (scope, s) in world.of("AzureScope").filter(|(_, s)| covers(&s.metadata.name, &own)) {
        let policy = Fact::CloudHolds(Access::Policy, scope);
        let exact = s.metadata.name.trim_end_matches('/').eq_ignore_ascii_case(&own);
        // Above the subscription there may be others.
        let ways: &[(Fact, Fact)] = match (exact, ctx.facts.find(&policy).is_some()) {
            (true, _) => &[(policy, Fact::AccountAdmin), (Fact::AccountAdmin, policy)],
            (false, true) => &[(policy, Fact::AccountAdmin)],
            (false, false) => &[],
        };
        for (a, b) in ways.iter().copied() {
            let e = Emit::new("azure-rbac-write", b).from(a);
            let why = "the subscription of the cluster is the account";
            ctx.emit(e.because(cloud(scope), "/metadata/name", s.metadata.name.clone(), why));
        }
    }
}

/// From scopes to what is below them.
fn below(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let scopes: Vec<(u32, &CloudObject)> = world.of("AzureScope").collect();
    let clusters = world.clusters();
    for (scope, s) in scopes {
        let at = s.metadata.name.as_str();
        let held = |ctx: &Ctx<'_>, access: Access| ctx.facts.find(&Fact::CloudHolds(access, scope)).is_some();
        if held(ctx, Access::Policy) {
            policy(ctx, scope, at);
        }
        for (index, c, unknown) in &clusters {
            in_cluster(ctx, scope, at, (*index, *c), unknown);
        }
        for access in [Access::Machines, Access::VirtualMachines] {
            if held(ctx, access) {
                nodes(ctx, world, (scope, at), access, &clusters);
            }
        }
        if held(ctx, Access::Attach) {
            for (index, o) in world.of("AzureIdentity").filter(|(_, o)| covers(at, o.text("id"))) {
                let e = Emit::new("azure-imds-kubelet-identity", Fact::CloudPrincipal(index));
                let e = e.from(Fact::CloudHolds(Access::Attach, scope)).tier(3);
                ctx.emit(e.because(cloud(index), "/spec/id", o.text("id").to_owned(), "the identity that is attached"));
            }
        }
        if held(ctx, Access::Federate) {
            for (index, o) in world.of("AzureIdentity").filter(|(_, o)| covers(at, o.text("id"))) {
                let e = Emit::new("azure-federated-credential-write", Fact::CloudPrincipal(index))
                    .from(Fact::CloudHolds(Access::Federate, scope))
                    .tier(3);
                ctx.emit(e.because(
                    cloud(index),
                    "/spec/id",
                    o.text("id").to_owned(),
                    "the identity is below the scope",
                ));
            }
        }
        vaults(ctx, world, scope, at);
    }
    access_policies(ctx, world);
}

/// Who assigns roles gives itself each.
fn policy(ctx: &mut Ctx<'_>, scope: u32, at: &str) {
    let from = Fact::CloudHolds(Access::Policy, scope);
    let why = "who assigns roles gives itself each";
    for access in Access::ALL.into_iter().filter(|a| *a != Access::Policy) {
        let e = Emit::scope(Fact::CloudHolds(access, scope)).from(from).tier(3);
        ctx.emit(e.because(cloud(scope), "/metadata/name", at.to_owned(), why));
    }
}

/// What an access gives in a namespace.
type Makes = (Access, fn(u32) -> Fact);

/// Ways into the cluster: its credentials, commands through Azure, and operations on its objects.
fn in_cluster(ctx: &mut Ctx<'_>, scope: u32, at: &str, (index, c): (u32, &CloudObject), unknown: &Option<String>) {
    let id = c.text("id");
    let is = |field: &str| c.spec.get(field) == Some(&serde_json::Value::Bool(true));
    let held = |ctx: &Ctx<'_>, access: Access| ctx.facts.find(&Fact::CloudHolds(access, scope)).is_some();
    if covers(at, id) {
        let local = !is("disableLocalAccounts");
        // The field is there, or it has its default.
        let local_at =
            if c.spec.get("disableLocalAccounts").is_some() { "/spec/disableLocalAccounts" } else { "/metadata/name" };
        let local_value = if local_at == "/metadata/name" { "" } else { "false" };
        for (access, open, pointer, value, why) in [
            (Access::AdminCredential, local, local_at, local_value, "the cluster has local accounts"),
            (
                Access::UserCredential,
                local && !is("entra"),
                "/spec/entra",
                "false",
                "without Entra, every user has the administrator's credential",
            ),
            (
                Access::RunCommand,
                !is("disableRunCommand") && !is("entra"),
                "/spec/disableRunCommand",
                "false",
                "commands run as the administrator",
            ),
        ] {
            if open && held(ctx, access) {
                let e =
                    Emit::new("azure-aks-admin-credential", Fact::ClusterAdmin).from(Fact::CloudHolds(access, scope));
                ctx.emit(e.maybe(unknown.clone()).because(cloud(index), pointer, value, why));
            }
        }
    }
    if !is("enableAzureRbac") {
        return;
    }
    // A scope may be one namespace: `CLUSTER/namespaces/NS`.
    let places: Vec<u32> = (0..ctx.namespaces.len() as u32)
        .filter(|n| covers(at, &format!("{id}/namespaces/{}", ctx.ns_name(*n))))
        .collect();
    let whole = covers(at, id);
    let makes: [Makes; 6] = [
        (Access::ClusterAdmin, Fact::NamespaceAdmin),
        (Access::NamespaceAdmin, Fact::NamespaceAdmin),
        (Access::ClusterSecrets, Fact::AnySecret),
        (Access::ClusterPods, Fact::Workload),
        (Access::ClusterExec, Fact::PodsIn),
        (Access::ClusterAccounts, Fact::AnySa),
    ];
    for (access, make) in makes {
        if !held(ctx, access) {
            continue;
        }
        let to: Vec<Fact> = match access {
            Access::ClusterAdmin if whole => vec![Fact::ClusterAdmin],
            Access::NamespaceAdmin if whole => vec![Fact::NamespaceAdmin(EVERYWHERE)],
            _ => places.iter().map(|p| make(*p)).collect(),
        };
        for fact in to {
            let e = Emit::new("azure-rbac-k8s", fact).from(Fact::CloudHolds(access, scope)).from(Fact::ApiReach);
            let why = "the cluster asks Azure for rights";
            ctx.emit(e.maybe(unknown.clone()).because(cloud(index), "/spec/enableAzureRbac", "true", why));
        }
    }
}

/// A cluster that this one may be, with what leaves that open.
type Described<'c> = (u32, &'c CloudObject, Option<String>);

/// Root on nodes whose machines are below the scope, unless their resource group is locked.
fn nodes(ctx: &mut Ctx<'_>, world: &World<'_>, (scope, at): (u32, &str), access: Access, clusters: &[Described<'_>]) {
    let locked = |id: &str| {
        clusters.iter().any(|(_, c, _)| {
            let group = format!("/resourcegroups/{}/", c.text("nodeResourceGroup").to_lowercase());
            c.text("restrictionLevel").eq_ignore_ascii_case("ReadOnly") && id.to_lowercase().contains(&group)
        })
    };
    let all: Vec<(u32, String)> =
        ctx.cluster.objects.nodes.iter().zip(0u32..).map(|(n, i)| (i, n.spec.provider_id.clone())).collect();
    for (n, provider) in all {
        let in_set = provider.to_lowercase().contains("/virtualmachinescalesets/") == (access == Access::Machines);
        let below = provider.strip_prefix("azure://").is_some_and(|id| covers(at, id) && !locked(id));
        if !below || !in_set {
            continue;
        }
        let node = Obj { kind: Kind::Node, index: n };
        let e = Emit::new("azure-vmss-runcommand", Fact::Node(n)).from(Fact::CloudHolds(access, scope)).tier(2);
        let e = e.because(node, "/spec/providerID", provider.clone(), "the node is a machine below the scope");
        let e = match machine(world, &provider) {
            Some((i, _)) => e.because(cloud(i), "/spec/id", "", "the machine"),
            None => e,
        };
        ctx.emit(e);
    }
}

/// The part of a vault's answer that was not read, or its firewall: ids of unknowns.
fn open_to(v: &CloudObject) -> Vec<String> {
    let closed = v.text("defaultAction").eq_ignore_ascii_case("Deny")
        || v.text("publicNetworkAccess").eq_ignore_ascii_case("Disabled");
    closed.then(|| format!("vault-network:{}", v.metadata.name)).into_iter().collect()
}

/// Vaults below a scope: by roles where the vault asks for them, else by who changes its access policies.
fn vaults(ctx: &mut Ctx<'_>, world: &World<'_>, scope: u32, at: &str) {
    for (index, v) in world.of("AzureKeyVault").filter(|(_, v)| covers(at, v.text("id")) || below_vault(at, v)) {
        let by_role = v.spec.get("enableRbacAuthorization").map(|x| x == &serde_json::Value::Bool(true));
        let unread = by_role.is_none().then(|| format!("unread:az-keyvault-show-{}", v.metadata.name));
        let pointer = if by_role.is_some() { "/spec/enableRbacAuthorization" } else { "/metadata/name" };
        let mut ways: Vec<Access> = Vec::new();
        if by_role != Some(false) {
            ways.extend([Access::ReadSecrets, Access::Decrypt]);
        }
        if by_role != Some(true) {
            ways.push(Access::VaultPolicies);
        }
        for access in ways {
            let from = Fact::CloudHolds(access, scope);
            if ctx.facts.find(&from).is_none() {
                continue;
            }
            let e = Emit::new("azure-keyvault-read", Fact::CloudResource(index)).from(from).maybe(unread.clone());
            let e = e.tier(if access == Access::VaultPolicies { 3 } else { 1 }).unless_all_known(&open_to(v));
            let value = if by_role.is_none() { String::new() } else { (access != Access::VaultPolicies).to_string() };
            ctx.emit(e.because(cloud(index), pointer, value, "how the vault decides who reads it"));
        }
    }
}

/// Whether a scope is one secret or one key of a vault.
fn below_vault(at: &str, v: &CloudObject) -> bool {
    let id = v.text("id");
    !id.is_empty() && (covers(&format!("{id}/secrets"), at) || covers(&format!("{id}/keys"), at))
}

/// Vaults that decide by policies of their own.
fn access_policies(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for (index, v) in world.of("AzureKeyVault") {
        if v.spec.get("enableRbacAuthorization") == Some(&serde_json::Value::Bool(true)) {
            continue;
        }
        for (n, policy) in v.list("accessPolicies").iter().enumerate() {
            let id = policy.get("objectId").and_then(serde_json::Value::as_str).unwrap_or_default();
            let Some(principal) = world.principal(id) else { continue };
            let may = |of: &str, wanted: &[&str]| {
                let all = policy.pointer(&format!("/permissions/{of}")).and_then(serde_json::Value::as_array);
                let mut all = all.into_iter().flatten().filter_map(serde_json::Value::as_str);
                all.any(|p| p.eq_ignore_ascii_case("all") || wanted.iter().any(|w| p.eq_ignore_ascii_case(w)))
            };
            if may("secrets", &["get"]) || may("keys", &["decrypt", "unwrapKey"]) {
                let e =
                    Emit::new("azure-keyvault-read", Fact::CloudResource(index)).from(Fact::CloudPrincipal(principal));
                let at = format!("/spec/accessPolicies/{n}/objectId");
                ctx.emit(
                    e.because(cloud(index), at, id.to_owned(), "the policy of the vault names the principal")
                        .unless_all_known(&open_to(v)),
                );
            }
        }
    }
}

/// Principals as users of the API server: by their object id, where a binding of the cluster names it.
fn users(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let (named_users, named_groups) = ctx.authz.subjects();
    let named_users: Vec<String> = named_users.into_iter().map(str::to_owned).collect();
    let named_groups: Vec<String> = named_groups.into_iter().map(str::to_owned).collect();
    for (index, c, unknown) in world.clusters() {
        if c.spec.get("entra") != Some(&serde_json::Value::Bool(true)) {
            continue;
        }
        for (id, principal) in &world.principals {
            let kind = world.cluster.objects.cloud.get(*principal as usize).map_or("", CloudObject::kind);
            let named = if kind == "AzureGroup" { &named_groups } else { &named_users };
            let Some(own) = named.iter().find(|n| n.eq_ignore_ascii_case(id)) else { continue };
            let subject = if kind == "AzureGroup" { Subject::Group(own.clone()) } else { Subject::User(own.clone()) };
            let fact = Fact::Identity(ctx.subject(subject));
            let e = Emit::scope(fact).from(Fact::CloudPrincipal(*principal)).maybe(unknown.clone());
            ctx.emit(e.because(
                cloud(index),
                "/spec/entra",
                "true",
                "the cluster takes identities of Entra by their object id",
            ));
        }
    }
}
