//! Among roles, and from roles to keys, buckets and secrets; and what makes a principal an administrator of the account.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Principal, World, last};
use super::{cloud, resting};
use crate::iam::{Document, Grant, principal};
use crate::model::cloud::CloudObject;
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;

/// Actions on a principal itself, or on its own policies, that give it everything; what is needed beside.
const SELF: [(&str, &str); 7] = [
    ("role", "iam:AttachRolePolicy"),
    ("role", "iam:PutRolePolicy"),
    ("user", "iam:AttachUserPolicy"),
    ("user", "iam:PutUserPolicy"),
    ("policy", "iam:CreatePolicyVersion"),
    ("policy", "iam:SetDefaultPolicyVersion"),
    ("group", "iam:AttachGroupPolicy"),
];

/// A resource with its policy.
struct Resource {
    index: u32,
    arn: String,
    policy: Result<Option<(String, Document)>, String>,
    grants: Vec<Grant>,
}

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    assume(ctx, world);
    account_admin(ctx, world);
    unread(ctx, world);
    let keys: Vec<Resource> = world.of("KmsKey").map(|(i, o)| key(i, o)).collect();
    let buckets: Vec<Resource> = world.of("S3Bucket").map(|(i, o)| bucket(i, o)).collect();
    let secrets: Vec<Resource> = world.of("SecretsManagerSecret").map(|(i, o)| secret(i, o)).collect();
    for p in world.principals.values() {
        each(ctx, world, p, &keys, "aws-kms-decrypt", &["kms:Decrypt"]);
        each(ctx, world, p, &keys, "aws-kms-policy-write", &["kms:PutKeyPolicy", "kms:CreateGrant"]);
        each(ctx, world, p, &buckets, "aws-s3-read", &["s3:GetObject"]);
        each(ctx, world, p, &buckets, "aws-resource-policy-write", &["s3:PutBucketPolicy"]);
        each(ctx, world, p, &secrets, "aws-secretsmanager-read", &["secretsmanager:GetSecretValue"]);
        each(ctx, world, p, &secrets, "aws-resource-policy-write", &["secretsmanager:PutResourcePolicy"]);
    }
    // An administrator of the account has all of it, and its clusters.
    for p in world.principals.values() {
        let e = Emit::scope(Fact::CloudPrincipal(p.index)).from(Fact::AccountAdmin);
        ctx.emit(e.because(
            cloud(p.index),
            "/metadata/name",
            "",
            "an administrator takes on every role of the account",
        ));
    }
    if let Some((index, o)) = world.eks() {
        let e = Emit::scope(Fact::ClusterAdmin).from(Fact::AccountAdmin);
        let arn = o.text("arn").to_owned();
        ctx.emit(e.because(cloud(index), "/spec/arn", arn, "an administrator of the account writes access entries"));
    }
    for r in keys.iter().chain(&buckets).chain(&secrets) {
        let e = Emit::scope(Fact::CloudResource(r.index)).from(Fact::AccountAdmin);
        ctx.emit(e.because(cloud(r.index), "/metadata/name", "", "an administrator gives itself what a policy lacks"));
    }
}

/// A principal of which not every policy was read may do anything, by those.
fn unread(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for p in world.principals.values().filter(|p| !world.unread(p).is_empty()) {
        let e = Emit::new("aws-iam-self-policy", Fact::AccountAdmin).from(Fact::CloudPrincipal(p.index)).tier(3);
        let e = world.unread(p).iter().fold(e, |e, id| e.unless_known(id.clone()));
        ctx.emit(e.because(cloud(p.index), "/metadata/name", "", "not all of its policies were read"));
    }
}

fn placed(kind: &str, o: &CloudObject, call: &str) -> Result<Option<(String, Document)>, String> {
    let name = &o.metadata.name;
    match o.spec.get("Policy") {
        None => Err(format!("unread:{call}-{name}")),
        Some(d) => match Document::new(d) {
            Ok(d) if d.statements.is_empty() => Ok(None),
            Ok(d) => Ok(Some((format!("{kind}/{name} /spec/Policy"), d))),
            Err(_) => Err(format!("unread:{call}-{name}")),
        },
    }
}

fn key(index: u32, o: &CloudObject) -> Resource {
    let grants = o.list("Grants").iter().map(|g| {
        let text = |f: &str| g.get(f).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let operations = g.get("Operations").and_then(|v| v.as_array()).into_iter().flatten();
        Grant {
            grantee: text("GranteePrincipal"),
            operations: operations.filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            constrained: g.get("Constrained").is_some(),
        }
    });
    Resource {
        index,
        arn: o.text("Arn").to_owned(),
        policy: placed("KmsKey", o, "kms-get-key-policy"),
        grants: grants.collect(),
    }
}

fn bucket(index: u32, o: &CloudObject) -> Resource {
    let arn = format!("arn:aws:s3:::{}", o.metadata.name);
    Resource { index, arn, policy: placed("S3Bucket", o, "s3api-get-bucket-policy"), grants: Vec::new() }
}

fn secret(index: u32, o: &CloudObject) -> Resource {
    let policy = placed("SecretsManagerSecret", o, "secretsmanager-get-resource-policy");
    Resource { index, arn: o.text("ARN").to_owned(), policy, grants: Vec::new() }
}

/// What a principal may do with each resource: the first of the actions that it may is enough.
fn each(ctx: &mut Ctx<'_>, world: &World<'_>, p: &Principal, all: &[Resource], technique: &str, actions: &[&str]) {
    let could = world.could(p, actions);
    for r in all.iter().filter(|r| !r.arn.is_empty()) {
        // Without a statement of its own it can be allowed by the resource alone.
        let named = !r.grants.is_empty() || r.policy.as_ref().is_ok_and(Option::is_some);
        if !could && !named {
            continue;
        }
        // Buckets name no account; they are of the one that lists them.
        let own = principal::account(&p.arn).unwrap_or_default();
        let account = principal::account(&r.arn).unwrap_or(own);
        let context = world.context(&p.arn, account);
        let objects: BTreeSet<String> = match technique {
            "aws-s3-read" => {
                let mut some = world.patterns(p, &format!("{}/", r.arn));
                some.insert(format!("{}/object", r.arn));
                some
            }
            _ => [r.arn.clone()].into(),
        };
        let policy = || r.policy.as_ref().map(|o| o.as_ref().map(|(n, d)| (n.clone(), d))).map_err(Clone::clone);
        let asked = actions.iter().flat_map(|a| objects.iter().map(move |o| (*a, o)));
        let answers = asked.map(|(a, o)| world.may(p, a, o, account, policy(), r.grants.clone(), &context));
        let best = answers.filter(|a| a.open).min_by_key(|a| a.unknowns.len());
        if let Some(answer) = best {
            let e = Emit::new(technique, Fact::CloudResource(r.index)).from(Fact::CloudPrincipal(p.index));
            ctx.emit(resting(e.tier(if technique.ends_with("write") { 3 } else { 1 }), &answer, p.index));
        }
    }
}

/// Roles that other principals may take on.
fn assume(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let roles: BTreeMap<&str, (u32, String, Document)> = world
        .of("IamRole")
        .filter_map(|(i, o)| World::trust(o).map(|(n, d)| (o.text("Arn"), (i, n, d))))
        .filter(|(arn, _)| !arn.is_empty())
        .collect();
    for (arn, (index, name, trust)) in &roles {
        // Only principals that the trust policy means, itself or by account.
        let meant = |p: &&Principal| {
            let own = principal::account(&p.arn).unwrap_or_default();
            let text = |n: &crate::iam::policy::Named| match n {
                crate::iam::policy::Named::Everyone => true,
                crate::iam::policy::Named::Aws(x) => *x == p.arn || x == own || x.contains(&format!(":{own}:")),
                _ => false,
            };
            trust.statements.iter().filter_map(|s| s.principals.as_ref()).any(|l| l.not || l.list.iter().any(text))
        };
        for p in world.principals.values().filter(|p| p.arn != **arn).filter(meant) {
            let account = principal::account(arn).unwrap_or_default();
            let context = world.context(&p.arn, account);
            let policy = Ok(Some((name.clone(), trust)));
            let answer = world.may(p, "sts:AssumeRole", arn, account, policy, Vec::new(), &context);
            if answer.open {
                let e = Emit::new("aws-assume-role", Fact::CloudPrincipal(*index)).from(Fact::CloudPrincipal(p.index));
                ctx.emit(resting(e, &answer, p.index));
            }
        }
    }
}

/// Who may give itself any policy, unless a boundary keeps it small.
fn account_admin(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for p in world.principals.values() {
        let account = principal::account(&p.arn).unwrap_or_default().to_owned();
        let context = world.context(&p.arn, &account);
        let ask =
            |action: &str, resource: &str| world.may(p, action, resource, &account, Ok(None), Vec::new(), &context);
        let kind = if p.arn.contains(":role/") { "role" } else { "user" };
        let mut found = None;
        for (of, action) in SELF {
            let resources: Vec<String> = match of {
                k if k == kind => vec![p.arn.clone()],
                "policy" => attached(world, p),
                _ => Vec::new(),
            };
            for r in resources {
                let answer = ask(action, &r);
                if answer.open
                    && found.as_ref().is_none_or(|a: &super::world::Answer| a.unknowns.len() > answer.unknowns.len())
                {
                    found = Some(answer);
                }
            }
        }
        if let Some(answer) = found.filter(|_| !world.bounded(p)) {
            let e = Emit::new("aws-iam-self-policy", Fact::AccountAdmin).from(Fact::CloudPrincipal(p.index)).tier(3);
            ctx.emit(resting(e, &answer, p.index));
        }
    }
}

/// ARNs of the customer's own policies that are attached to a principal.
fn attached(world: &World<'_>, p: &Principal) -> Vec<String> {
    let kind = if p.arn.contains(":role/") { "IamRole" } else { "IamUser" };
    let list = world.find(kind, last(&p.arn)).map(|(_, o)| o.list("AttachedManagedPolicies")).unwrap_or_default();
    list.iter().filter_map(|v| v.as_str()).filter(|a| !a.contains("::aws:policy/")).map(str::to_owned).collect()
}
