//! From principals of the account back into the cluster: access entries, the ConfigMap aws-auth, and rights on the EKS API.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::metadata::Instance;
use super::world::{Answer, Own, World, last};
use super::{cloud, resting};
use crate::iam::policy::Named;
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::{EVERYWHERE, Fact, Subject};

/// Access policies by the end of their ARN, and what they give where they are bound (EKS User Guide, "Review access policy
/// permissions", as of 2025-11): everything, the content of workloads and Secrets, or reading Secrets.
const POLICIES: [(&str, Gives); 5] = [
    ("AmazonEKSClusterAdminPolicy", Gives::Everything),
    ("AmazonEKSAdminPolicy", Gives::Workloads),
    ("AmazonEKSEditPolicy", Gives::Workloads),
    ("AmazonEKSAdminViewPolicy", Gives::Secrets),
    ("AmazonEKSViewPolicy", Gives::Nothing),
];

/// What an access policy gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    Everything,
    Workloads,
    Secrets,
    Nothing,
}

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for (cluster, eks, unknown) in world.clusters() {
        of_cluster(ctx, world, (cluster, eks), unknown);
    }
}

fn of_cluster(ctx: &mut Ctx<'_>, world: &World<'_>, (cluster, eks): (u32, &CloudObject), which: Option<String>) {
    let mode = eks.spec.pointer("/accessConfig/authenticationMode").and_then(Value::as_str).unwrap_or_default();
    // Without a word both may count.
    let by_entry = !matches!(mode, "CONFIG_MAP");
    let by_map = !matches!(mode, "API");
    let described = mode.is_empty().then(|| format!("unread:eks-describe-cluster-{}", eks.metadata.name));
    let unknowns: Vec<String> = described.into_iter().chain(which).collect();
    let mut entered = BTreeSet::new();
    if by_entry {
        entries(ctx, world, eks, &unknowns, &mut entered);
    }
    // Who made the cluster administers it, and no call says who that was unless it is an entry.
    if !by_entry {
        creators(ctx, world, (cluster, eks), &unknowns);
    }
    if by_map {
        // An entry that was not listed would go before the ConfigMap.
        let list = format!("eks-list-access-entries-{}", eks.metadata.name);
        let mut unknowns = unknowns.clone();
        unknowns.extend((by_entry && !world.was_called(&list)).then(|| format!("unread:{list}")));
        aws_auth(ctx, world, &unknowns, &entered);
    }
    write_entries(ctx, world, (cluster, eks), mode, &entered, &unknowns);
}

/// Principals that may have made a cluster: not those that are younger than it, and not roles that trust nothing but its own
/// tokens, which nobody had before it.
fn creators(ctx: &mut Ctx<'_>, world: &World<'_>, (cluster, eks): (u32, &CloudObject), unknowns: &[String]) {
    let made = time(eks.spec.get("createdAt"));
    let issuer = eks.spec.pointer("/identity/oidc/issuer").and_then(Value::as_str).unwrap_or_default();
    let provider = format!("oidc-provider/{}", issuer.trim_start_matches("https://"));
    let own = |o: &CloudObject| {
        let trust = World::trust(o).map(|(_, d)| d);
        let named: Vec<Named> = trust
            .iter()
            .flat_map(|d| &d.statements)
            .filter_map(|s| s.principals.as_ref())
            .flat_map(|l| l.list.clone())
            .collect();
        let is = |n: &Named| matches!(n, Named::Federated(arn) if !issuer.is_empty() && arn.ends_with(&provider));
        !named.is_empty() && named.iter().all(is)
    };
    let account = crate::iam::principal::account(eks.text("arn")).unwrap_or(&world.account);
    for p in world.principals.values().filter(|p| crate::iam::principal::account(&p.arn) == Some(account)) {
        let Some(o) = world.cluster.objects.cloud.get(p.index as usize) else { continue };
        let younger = made.zip(time(o.spec.get("CreateDate"))).is_some_and(|(cluster, role)| role > cluster);
        if younger || own(o) || p.arn.contains(":role/aws-service-role/") {
            continue;
        }
        let e = Emit::scope(Fact::ClusterAdmin).from(Fact::CloudPrincipal(p.index)).from(Fact::ApiReach);
        let e = e.unless_known(format!("eks-cluster-creator:{}", eks.metadata.name));
        let e = e.unless_all_known(unknowns);
        let mode = eks.spec.pointer("/accessConfig/authenticationMode").and_then(Value::as_str).unwrap_or_default();
        let pointer = "/spec/accessConfig/authenticationMode";
        ctx.emit(e.because(cloud(cluster), pointer, mode.to_owned(), "the creator of the cluster is not shown"));
    }
}

/// The user and the groups that a principal is, from what an entry says.
fn identities(
    ctx: &mut Ctx<'_>,
    technique: &str,
    principal: u32,
    (user, groups): (&str, Vec<&str>),
    because: (Obj, String, String),
    unknowns: &[String],
) {
    let groups = groups.into_iter().chain(["system:authenticated"]);
    let mut subjects: Vec<(Subject, Option<String>)> = groups.map(|g| (Subject::Group(g.to_owned()), None)).collect();
    match user.contains("{{") {
        // Who starts a session chooses its name, unless the trust policy pins it: any user that bindings name and the
        // template can become.
        true => {
            let pattern = templated(user);
            let named: Vec<String> =
                ctx.authz.subjects().0.into_iter().filter(|u| glob(&pattern, u)).map(str::to_owned).collect();
            subjects.extend(named.into_iter().map(|u| (Subject::User(u), Some("session-name-chosen".to_owned()))));
        }
        false if user.is_empty() => {}
        false => subjects.push(match user.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':')) {
            Some((ns, n)) => (Subject::ServiceAccount(ns.to_owned(), n.to_owned()), None),
            None => (Subject::User(user.to_owned()), None),
        }),
    }
    for (s, unknown) in subjects {
        let masters = matches!(&s, Subject::Group(g) if g == crate::authz::rbac::MASTERS);
        let to = if masters { Fact::ClusterAdmin } else { Fact::Identity(ctx.subject(s)) };
        let e = Emit::new(technique, to).from(Fact::CloudPrincipal(principal)).maybe(unknown);
        let e = e.unless_all_known(unknowns);
        let (o, pointer, value) = because.clone();
        ctx.emit(e.because(o, pointer, value, "the principal is mapped to this identity"));
    }
}

/// A user name with templates as a pattern.
fn templated(user: &str) -> String {
    let mut out = String::new();
    let mut rest = user;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        out.push('*');
        rest = after.split_once("}}").map_or("", |(_, r)| r);
    }
    out + rest
}

fn entries(
    ctx: &mut Ctx<'_>,
    world: &World<'_>,
    eks: &CloudObject,
    unknowns: &[String],
    entered: &mut BTreeSet<String>,
) {
    let cluster = &eks.metadata.name;
    let listed = eks.spec.get("accessEntries").and_then(Value::as_array);
    let listed: Option<BTreeSet<&str>> = listed.map(|l| l.iter().filter_map(Value::as_str).collect());
    // An entry that is listed and not described may give anything.
    for arn in listed.iter().flatten() {
        entered.insert((*arn).to_owned());
        let described = world.find("EksAccessEntry", &format!("{cluster} {arn}"));
        let described = described.is_some_and(|(_, e)| !e.text("type").is_empty());
        let Some(p) = world.principals.get(*arn).filter(|_| !described).map(|p| p.index) else { continue };
        let e = Emit::new("aws-access-entry", Fact::ClusterAdmin).from(Fact::CloudPrincipal(p));
        let e = e.unless_known(format!("unread:eks-describe-access-entry-{}", last(arn)));
        let e = e.unless_all_known(unknowns);
        let Some((index, _)) = world.find("EksCluster", cluster) else { continue };
        ctx.emit(e.because(cloud(index), "/spec/accessEntries", "", "the principal has an entry"));
    }
    for (index, e) in world.of("EksAccessEntry").filter(|(_, e)| e.text("clusterName") == cluster) {
        let arn = e.text("principalArn");
        if listed.as_ref().is_some_and(|l| !l.contains(arn)) {
            continue;
        }
        entered.insert(arn.to_owned());
        let Some(p) = world.principals.get(arn).map(|p| p.index) else { continue };
        // An entry is bound to the role of its time: one made anew under the name is another.
        let created = world.cluster.objects.cloud.get(p as usize).and_then(|o| time(o.spec.get("CreateDate")));
        let mut unknowns = unknowns.to_vec();
        match created.zip(time(e.spec.get("createdAt"))) {
            Some((role, entry)) if role > entry => continue,
            Some(_) => {}
            None => unknowns.push(format!("access-entry-alive:{}", last(arn))),
        }
        let groups: Vec<&str> = e.list("kubernetesGroups").iter().filter_map(Value::as_str).collect();
        let kind = e.text("type");
        if kind.starts_with("EC2") {
            let because = (cloud(index), "/spec/type".to_owned(), kind.to_owned());
            node_sessions(ctx, world, p, e.text("username"), &because, &unknowns);
        } else if !kind.ends_with("LINUX") {
            let because = (cloud(index), "/spec/principalArn".to_owned(), arn.to_owned());
            identities(ctx, "aws-access-entry", p, (e.text("username"), groups), because, &unknowns);
        }
        if e.spec.get("associatedAccessPolicies").is_none() {
            let x = Emit::new("aws-access-entry", Fact::ClusterAdmin).from(Fact::CloudPrincipal(p));
            let x = x.unless_known(format!("unread:eks-list-associated-access-policies-{}", last(arn)));
            let x = x.unless_all_known(&unknowns);
            ctx.emit(x.because(cloud(index), "/spec/principalArn", arn.to_owned(), "the principal has an entry"));
        }
        for (n, a) in e.list("associatedAccessPolicies").iter().enumerate() {
            policy(ctx, p, index, n, a, &unknowns);
        }
    }
}

/// Sessions of a role are nodes: that of an instance is its own node and no other, since the authenticator asks EC2 for its
/// name (EKS User Guide, "Create access entries"; aws-iam-authenticator). So it takes what the metadata service gives.
fn node_sessions(
    ctx: &mut Ctx<'_>,
    world: &World<'_>,
    role: u32,
    user: &str,
    because: &(Obj, String, String),
    unknowns: &[String],
) {
    for Instance { node, instance, .. } in world.instances.iter().filter(|i| i.roles.contains(&role)) {
        let Some(o) = ctx.cluster.objects.cloud.get(*instance as usize) else { continue };
        let own = ctx.cluster.objects.nodes.get(*node as usize).map_or("", |n| n.metadata.name.as_str());
        // Nodes of Auto Mode have the id of their instance as name, which is the name of the session too.
        let (pointer, name) = match user.contains("{{SessionName") {
            true => ("/metadata/name", o.metadata.name.clone()),
            false => ("/spec/PrivateDnsName", o.text("PrivateDnsName").to_owned()),
        };
        if !name.is_empty() && name != own {
            continue;
        }
        let fact = Fact::Identity(ctx.subject(Subject::User(format!("system:node:{own}"))));
        let e = Emit::new("aws-node-role-cluster", fact).from(Fact::Imds(*node)).tier(2);
        let e = e.maybe(name.is_empty().then(|| format!("instance-name:{}", o.metadata.name)));
        let e = e.unless_all_known(unknowns);
        let (at, place, value) = because.clone();
        let e = e.because(at, place, value, "sessions of the role are nodes");
        ctx.emit(e.because(cloud(*instance), pointer, name, "the name of the node is that of the instance"));
    }
}

fn policy(ctx: &mut Ctx<'_>, principal: u32, entry: u32, n: usize, a: &Value, unknowns: &[String]) {
    let arn = a.get("policyArn").and_then(Value::as_str).unwrap_or_default();
    let name = last(arn);
    let gives = POLICIES.iter().find(|(p, _)| *p == name).map(|(_, g)| *g);
    let scope = a.pointer("/accessScope/type").and_then(Value::as_str).unwrap_or("cluster");
    let listed = a.pointer("/accessScope/namespaces").and_then(Value::as_array).into_iter().flatten();
    let listed: Vec<&str> = listed.filter_map(Value::as_str).collect();
    let places: Vec<u32> = (0..ctx.namespaces.len() as u32)
        .filter(|ns| scope == "cluster" || listed.iter().any(|p| glob(p, ctx.ns_name(*ns))))
        .collect();
    let mut facts = Vec::new();
    match gives {
        Some(Gives::Everything) if scope == "cluster" => facts.push(Fact::ClusterAdmin),
        Some(Gives::Everything) => facts.extend(places.iter().map(|ns| Fact::NamespaceAdmin(*ns))),
        Some(Gives::Workloads) => {
            for ns in &places {
                facts.extend([Fact::Workload(*ns), Fact::AnySecret(*ns), Fact::PodsIn(*ns), Fact::AnySa(*ns)]);
            }
        }
        Some(Gives::Secrets) => facts.extend(places.iter().map(|ns| Fact::AnySecret(*ns))),
        Some(Gives::Nothing) => {}
        None => facts.push(Fact::NamespaceAdmin(EVERYWHERE)),
    }
    for f in facts {
        let e = Emit::new("aws-access-entry", f).from(Fact::CloudPrincipal(principal)).from(Fact::ApiReach);
        let e = e.unless_all_known(unknowns);
        // A policy that is not in the table gives something that is not known.
        let e = e.maybe(gives.is_none().then(|| format!("access-policy:{name}")));
        let pointer = format!("/spec/associatedAccessPolicies/{n}/policyArn");
        ctx.emit(e.because(cloud(entry), pointer, arn.to_owned(), "the entry gives the principal this access policy"));
    }
}

/// `*` stands for any run of characters, as in the scope of an access policy.
fn glob(pattern: &str, text: &str) -> bool {
    crate::iam::pattern::expand(pattern, false, &crate::iam::Context::new())
        .is_ok_and(|p| crate::iam::pattern::matches(&p, text))
}

/// A time: a text, or seconds since 1970.
fn time(value: Option<&Value>) -> Option<jiff::Timestamp> {
    match value? {
        Value::String(t) => t.parse().ok(),
        Value::Number(n) => jiff::Timestamp::from_second(n.as_f64()? as i64).ok(),
        _ => None,
    }
}

/// Entries of the ConfigMap: the ARN of a role without its path, compared without case; of several the last counts, and
/// roles go before users. Where a principal has an access entry, that counts alone.
fn aws_auth(ctx: &mut Ctx<'_>, world: &World<'_>, unknowns: &[String], entered: &BTreeSet<String>) {
    let Some(index) = ctx.cluster.find(Kind::ConfigMap, "kube-system", "aws-auth") else { return };
    let o = Obj { kind: Kind::ConfigMap, index };
    let data = ctx.cluster.objects.config_maps.get(index as usize).map(|c| c.data.clone()).unwrap_or_default();
    let mut by_arn: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for p in world.principals.values().filter(|p| !entered.contains(&p.arn)) {
        by_arn.entry(without_path(&p.arn).to_lowercase()).or_default().push(p.index);
    }
    let list = |field: &str| match data.get(field).map(|t| serde_saphyr::from_str::<Value>(t)) {
        Some(Ok(Value::Array(list))) => list,
        _ => Vec::new(),
    };
    let mut mapped: BTreeSet<String> = BTreeSet::new();
    for (field, key) in [("mapRoles", "rolearn"), ("mapUsers", "userarn")] {
        let mut own: BTreeMap<String, Value> = BTreeMap::new();
        for entry in list(field) {
            let arn = entry.get(key).and_then(Value::as_str).unwrap_or_default().to_lowercase();
            own.insert(arn, entry);
        }
        for (arn, entry) in own.iter().filter(|(a, _)| !a.is_empty() && !mapped.contains(*a)) {
            for p in by_arn.get(arn).cloned().unwrap_or_default() {
                let user = entry.get("username").and_then(Value::as_str).unwrap_or_default();
                let groups = entry.get("groups").and_then(Value::as_array).into_iter().flatten();
                let groups: Vec<&str> = groups.filter_map(Value::as_str).collect();
                let because = (o, format!("/data/{field}"), String::new());
                if groups.contains(&"system:nodes") && field == "mapRoles" {
                    node_sessions(ctx, world, p, user, &because, unknowns);
                }
                let groups = groups.into_iter().filter(|g| *g != "system:nodes").collect();
                let user = if user.starts_with("system:node:") { "" } else { user };
                identities(ctx, "aws-auth-mapping", p, (user, groups), because, unknowns);
            }
        }
        mapped.extend(own.into_keys());
    }
    // Everybody of an account, by the ARN as the user's name.
    for account in list("mapAccounts").iter().filter_map(|v| v.as_str().map(str::to_owned)) {
        for (arn, all) in by_arn.iter().filter(|(a, _)| !mapped.contains(*a) && a.contains(&format!("::{account}:"))) {
            let named: Vec<String> =
                ctx.authz.subjects().0.into_iter().filter(|u| u.eq_ignore_ascii_case(arn)).map(str::to_owned).collect();
            for (p, user) in all.iter().flat_map(|p| named.iter().map(move |u| (*p, u))) {
                let because = (o, "/data/mapAccounts".to_owned(), String::new());
                identities(ctx, "aws-auth-mapping", p, (user, Vec::new()), because, unknowns);
            }
        }
    }
}

/// The ARN of a role as sessions of it show it.
fn without_path(arn: &str) -> String {
    match arn.split_once(":role/") {
        Some((start, path)) => format!("{start}:role/{}", path.rsplit('/').next().unwrap_or(path)),
        None => arn.to_owned(),
    }
}

/// Who may write access entries gives itself the whole cluster. Policies are associated with the entry, whose ARN has the
/// cluster and the principal; the own entry may be there already.
fn write_entries(
    ctx: &mut Ctx<'_>,
    world: &World<'_>,
    (index, eks): (u32, &CloudObject),
    mode: &str,
    entered: &BTreeSet<String>,
    unknowns: &[String],
) {
    let arn = eks.text("arn");
    let account = crate::iam::principal::account(arn).unwrap_or(&world.account).to_owned();
    for p in world.principals.values().filter(|p| world.could(p, &["eks:AssociateAccessPolicy"])) {
        let kind = if p.arn.contains(":role/") { "role" } else { "user" };
        let entry = arn.replacen(":cluster/", ":access-entry/", 1);
        let entry = format!("{entry}/{kind}/{account}/{}/id", last(&p.arn));
        let context = world.context(&p.arn, &account);
        let ask = |action: &str, on: &str| world.may(p, action, (on, &account), Own::default(), &context);
        let mut answers: Vec<Answer> = vec![ask("eks:AssociateAccessPolicy", &entry)];
        if !entered.contains(&p.arn) {
            answers.push(ask("eks:CreateAccessEntry", arn));
        }
        let technique = match mode {
            "CONFIG_MAP" => {
                answers.push(ask("eks:UpdateClusterConfig", arn));
                "aws-eks-update-config"
            }
            _ => "aws-eks-create-access-entry",
        };
        if answers.iter().all(|a| a.open) {
            let e = Emit::new(technique, Fact::ClusterAdmin).from(Fact::CloudPrincipal(p.index)).tier(3);
            let e = e.unless_all_known(unknowns);
            let e = e.because(cloud(index), "/spec/arn", arn.to_owned(), "the cluster that the entry is for");
            ctx.emit(answers.iter().fold(e, |e, a| resting(e, a, p.index)));
        }
    }
}
