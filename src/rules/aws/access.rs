//! From principals of the account back into the cluster: access entries, the ConfigMap aws-auth, and rights on the EKS API.

use serde_json::Value;

use super::world::{Answer, World, last};
use super::{cloud, resting};
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
    let Some((cluster, eks)) = world.eks() else { return };
    let mode = eks.spec.pointer("/accessConfig/authenticationMode").and_then(Value::as_str).unwrap_or_default();
    // Without a word both may count.
    let by_entry = !matches!(mode, "CONFIG_MAP");
    let by_map = !matches!(mode, "API");
    let unread = mode.is_empty().then(|| format!("unread:eks-describe-cluster-{}", eks.metadata.name));
    if by_entry {
        entries(ctx, world, unread.clone());
    }
    if by_map {
        aws_auth(ctx, world, unread);
    }
    write_entries(ctx, world, (cluster, eks), mode);
}

/// The user and the groups that a principal is, from what an entry says.
fn identities(
    ctx: &mut Ctx<'_>,
    technique: &str,
    principal: u32,
    (user, groups): (&str, Vec<&str>),
    because: (Obj, String, String),
    unknown: Option<String>,
) {
    let mut subjects: Vec<Subject> = groups.into_iter().map(|g| Subject::Group(g.to_owned())).collect();
    if !user.is_empty() && !user.contains("{{") {
        subjects.push(match user.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':')) {
            Some((ns, n)) => Subject::ServiceAccount(ns.to_owned(), n.to_owned()),
            None => Subject::User(user.to_owned()),
        });
    }
    for s in subjects {
        let masters = matches!(&s, Subject::Group(g) if g == crate::authz::rbac::MASTERS);
        let to = if masters { Fact::ClusterAdmin } else { Fact::Identity(ctx.subject(s)) };
        let e = Emit::new(technique, to).from(Fact::CloudPrincipal(principal)).maybe(unknown.clone());
        let (o, pointer, value) = because.clone();
        ctx.emit(e.because(o, pointer, value, "the principal is mapped to this identity"));
    }
}

fn entries(ctx: &mut Ctx<'_>, world: &World<'_>, unread: Option<String>) {
    for (index, e) in world.of("EksAccessEntry") {
        let Some(p) = world.principals.get(e.text("principalArn")).map(|p| p.index) else { continue };
        // An entry is bound to the role of its time: one made anew under the name is another.
        let created = world.cluster.objects.cloud.get(p as usize).map_or("", |o| o.text("CreateDate"));
        if later(created, e.text("createdAt")) {
            continue;
        }
        let groups: Vec<&str> = e.list("kubernetesGroups").iter().filter_map(Value::as_str).collect();
        let node = e.text("type").starts_with("EC2") || e.text("type").ends_with("LINUX");
        if !node {
            let because = (cloud(index), "/spec/principalArn".to_owned(), e.text("principalArn").to_owned());
            identities(ctx, "aws-access-entry", p, (e.text("username"), groups), because, unread.clone());
        }
        for (n, a) in e.list("associatedAccessPolicies").iter().enumerate() {
            policy(ctx, p, index, n, a, unread.clone());
        }
    }
}

fn policy(ctx: &mut Ctx<'_>, principal: u32, entry: u32, n: usize, a: &Value, unread: Option<String>) {
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
        let e = Emit::new("aws-access-entry", f)
            .from(Fact::CloudPrincipal(principal))
            .from(Fact::ApiReach)
            .maybe(unread.clone());
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

/// Whether one time is later than another, where both are given.
fn later(a: &str, b: &str) -> bool {
    let time = |t: &str| t.parse::<jiff::Timestamp>().ok();
    time(a).zip(time(b)).is_some_and(|(a, b)| a > b)
}

/// Entries of the ConfigMap: the ARN of a role without its path, compared without case; of several the last counts.
fn aws_auth(ctx: &mut Ctx<'_>, world: &World<'_>, unread: Option<String>) {
    let Some(index) = ctx.cluster.find(Kind::ConfigMap, "kube-system", "aws-auth") else { return };
    let o = Obj { kind: Kind::ConfigMap, index };
    let data = ctx.cluster.objects.config_maps.get(index as usize).map(|c| c.data.clone()).unwrap_or_default();
    for (field, key) in [("mapRoles", "rolearn"), ("mapUsers", "userarn")] {
        let Some(text) = data.get(field) else { continue };
        let Ok(Value::Array(list)) = serde_saphyr::from_str::<Value>(text) else { continue };
        let arn = |e: &Value| e.get(key).and_then(Value::as_str).unwrap_or_default().to_lowercase();
        for (n, entry) in list.iter().enumerate() {
            let own = arn(entry);
            if own.is_empty() || list.iter().skip(n.saturating_add(1)).any(|e| arn(e) == own) {
                continue;
            }
            let matching: Vec<u32> = world
                .principals
                .values()
                .filter(|p| without_path(&p.arn).to_lowercase() == own)
                .map(|p| p.index)
                .collect();
            for p in matching {
                let user = entry.get("username").and_then(Value::as_str).unwrap_or_default();
                let groups = entry.get("groups").and_then(Value::as_array).into_iter().flatten();
                let groups: Vec<&str> = groups.filter_map(Value::as_str).filter(|g| *g != "system:nodes").collect();
                let user = if user.starts_with("system:node:") { "" } else { user };
                let because = (o, format!("/data/{field}"), String::new());
                identities(ctx, "aws-auth-mapping", p, (user, groups), because, unread.clone());
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

/// Who may write access entries gives itself the whole cluster.
fn write_entries(ctx: &mut Ctx<'_>, world: &World<'_>, (index, eks): (u32, &CloudObject), mode: &str) {
    let arn = eks.text("arn");
    let account = crate::iam::principal::account(arn).unwrap_or_default().to_owned();
    for p in world.principals.values() {
        if !world.could(p, &["eks:CreateAccessEntry", "eks:AssociateAccessPolicy"]) {
            continue;
        }
        let context = world.context(&p.arn, &account);
        let ask = |action: &str| world.may(p, action, arn, &account, Ok(None), Vec::new(), &context);
        let mut needed = vec!["eks:CreateAccessEntry", "eks:AssociateAccessPolicy"];
        let technique = match mode {
            "CONFIG_MAP" => {
                needed.push("eks:UpdateClusterConfig");
                "aws-eks-update-config"
            }
            _ => "aws-eks-create-access-entry",
        };
        let answers: Vec<Answer> = needed.into_iter().map(ask).collect();
        if answers.iter().all(|a| a.open) {
            let e = Emit::new(technique, Fact::ClusterAdmin).from(Fact::CloudPrincipal(p.index)).tier(3);
            let e = e.because(cloud(index), "/spec/arn", arn.to_owned(), "the cluster that the entry is for");
            ctx.emit(answers.iter().fold(e, |e, a| resting(e, a, p.index)));
        }
    }
}
