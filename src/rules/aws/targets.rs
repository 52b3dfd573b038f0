//! Among roles, and from roles to keys, buckets and secrets; and what makes a principal an administrator of the account.
//!
//! Nothing is asked for every principal and every resource: a principal is asked about what its own policies can mean, and
//! a resource about the principals that its policy names.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Answer, Own, Principal, World, last};
use super::{cloud, resting};
use crate::iam::policy::Named;
use crate::iam::{Document, Grant, principal};
use crate::model::cloud::{CloudObject, scope};
use crate::rules::ctx::{Ctx, Emit};
use crate::rules::fact::Fact;

/// Actions on a principal itself, or on policies and groups of its own, that give it everything.
const SELF: [(&str, &str); 7] = [
    ("role", "iam:AttachRolePolicy"),
    ("role", "iam:PutRolePolicy"),
    ("user", "iam:AttachUserPolicy"),
    ("user", "iam:PutUserPolicy"),
    ("policy", "iam:CreatePolicyVersion"),
    ("group", "iam:AttachGroupPolicy"),
    ("group", "iam:PutGroupPolicy"),
];

/// What is asked about resources of a kind: technique, actions of which one is enough.
type Asked = (&'static str, &'static [&'static str]);

const KEYS: [Asked; 2] =
    [("aws-kms-decrypt", &["kms:Decrypt"]), ("aws-kms-policy-write", &["kms:PutKeyPolicy", "kms:CreateGrant"])];
const BUCKETS: [Asked; 2] =
    [("aws-s3-read", &["s3:GetObject"]), ("aws-resource-policy-write", &["s3:PutBucketPolicy"])];
const SECRETS: [Asked; 2] = [
    ("aws-secretsmanager-read", &["secretsmanager:GetSecretValue"]),
    ("aws-resource-policy-write", &["secretsmanager:PutResourcePolicy"]),
];

/// A resource with its policy.
pub(super) struct Resource {
    pub(super) index: u32,
    pub(super) arn: String,
    policy: Result<Option<(String, Document)>, String>,
    grants: Vec<Grant>,
    /// Answers that are missing and could allow anybody.
    missing: Vec<String>,
    /// Key that its content is encrypted with, if it is one of the account's own.
    key: Option<String>,
    /// Whether it is a bucket that a public policy opens to nobody else.
    restricted: bool,
    /// Account of a bucket that is none of the cluster's: its ARN does not say it.
    home: String,
    /// Whether a key of KMS encrypts the content of a bucket by default.
    kms: bool,
    /// Id of the call that would tell whether a bucket is closed to the public.
    unblocked: Option<String>,
    /// Id of the call that would tell whether a key is usable, where it was refused.
    undescribed: Option<String>,
}

impl Resource {
    /// Account that it is of: buckets name none, they are of the one that lists them.
    pub(super) fn account<'r>(&'r self, world: &'r World<'_>) -> &'r str {
        let listed = if self.home.is_empty() { world.account.as_str() } else { self.home.as_str() };
        principal::account(&self.arn).unwrap_or(listed)
    }

    /// What it says itself.
    pub(super) fn own(&self) -> Own<'_> {
        Own {
            policy: self.policy.as_ref().ok().and_then(|o| o.as_ref()).map(|(n, d)| (n.clone(), d)),
            missing: self.policy.as_ref().err().cloned(),
            adding: None,
            grants: self.grants.clone(),
            restricted: self.restricted,
        }
    }
}

/// How a service decrypts for a principal.
pub(super) struct Decrypts {
    answer: Option<Answer>,
    /// Number of the key's object.
    pub(super) key: Option<u32>,
    unknowns: Vec<String>,
}

impl Decrypts {
    /// Adds what it rests on.
    pub(super) fn cited(&self, e: Emit<'static>) -> Emit<'static> {
        let e = e.unless_all_known(&self.unknowns);
        match (&self.answer, self.key) {
            (Some(a), Some(k)) => resting(e, a, k),
            _ => e,
        }
    }
}

/// Resources of one kind, by what leads to them.
pub(super) struct Resources {
    all: Vec<Resource>,
    by_arn: BTreeMap<String, usize>,
    /// By the end of the ARN, as secrets name their keys.
    by_id: BTreeMap<String, usize>,
    /// Those whose policy or grants name a principal, by its ARN.
    naming: BTreeMap<String, Vec<usize>>,
    /// Those whose policy means more than principals by name.
    open: Vec<usize>,
    /// Ids of keys that are there and serve nobody.
    unusable: BTreeSet<String>,
    /// Ids of keys by their aliases.
    aliases: BTreeMap<String, String>,
}

impl Resources {
    fn new(all: Vec<Resource>) -> Self {
        let mut out = Resources {
            all,
            by_arn: BTreeMap::new(),
            by_id: BTreeMap::new(),
            naming: BTreeMap::new(),
            open: Vec::new(),
            unusable: BTreeSet::new(),
            aliases: BTreeMap::new(),
        };
        for (n, r) in out.all.iter().enumerate() {
            out.by_arn.insert(r.arn.clone(), n);
            out.by_id.entry(last(&r.arn).to_owned()).or_insert(n);
            let mut names: BTreeSet<String> = r.grants.iter().map(|g| g.grantee.clone()).collect();
            let statements = r.policy.as_ref().ok().and_then(|o| o.as_ref()).map(|(_, d)| d.statements.as_slice());
            for l in statements.into_iter().flatten().filter_map(|s| s.principals.as_ref()) {
                if l.not || l.list.contains(&Named::Everyone) {
                    out.open.push(n);
                }
                for named in &l.list {
                    if let Named::Aws(arn) = named {
                        names.insert(role_of_session(arn));
                    }
                }
            }
            for name in names {
                out.naming.entry(name).or_default().push(n);
            }
        }
        out.open.dedup();
        out
    }

    /// The one that has this end of an ARN.
    pub(super) fn named(&self, id: &str) -> Option<&Resource> {
        self.all.get(*self.by_id.get(id)?)
    }

    /// How a principal has a service decrypt with a key; nothing where it cannot.
    pub(super) fn decrypts(
        &self,
        world: &World<'_>,
        p: &Principal,
        (id, account): (&str, &str),
        service: &str,
    ) -> Option<Decrypts> {
        // Aliases are names of one account.
        let alias = if account == world.account { id.to_owned() } else { format!("{account}:{id}") };
        let id = self.aliases.get(&alias).map_or(id, String::as_str);
        let missing = |id: String| Decrypts { answer: None, key: None, unknowns: vec![id] };
        let Some(k) = self.named(last(id)) else {
            // A key that is switched off serves nobody; an alias is another name of one.
            return match (self.unusable.contains(last(id)), id.contains("alias/"), id.is_empty()) {
                (true, ..) => None,
                (_, true, _) => Some(missing("unread:kms-list-aliases".into())),
                (.., true) => Some(missing("unread:ec2-describe-volumes".into())),
                _ => Some(missing(format!("unread:kms-get-key-policy-{}", last(id)))),
            };
        };
        let region = k.arn.split(':').nth(3).unwrap_or_default();
        let home = principal::account(&k.arn).unwrap_or(&world.account);
        let mut through = world.context(&p.arn, home);
        through.set("kms:ViaService", [format!("{service}.{region}.amazonaws.com")]);
        // Grants that were not read could only let more in.
        let own = || Own { adding: k.missing.first().cloned(), ..k.own() };
        let decrypt = world.may(p, "kms:Decrypt", (&k.arn, home), own(), &through);
        let direct = world.context(&p.arn, home);
        // Who rewrites the policy of the key, or grants itself its use, is let in then.
        let rewrites = ["kms:PutKeyPolicy", "kms:CreateGrant"];
        let rewrites = rewrites.iter().map(|a| world.may(p, a, (&k.arn, home), k.own(), &direct));
        let best = [decrypt].into_iter().chain(rewrites).filter(|a| a.open).min_by_key(|a| a.unknowns.len())?;
        Some(Decrypts { answer: Some(best), key: Some(k.index), unknowns: k.undescribed.iter().cloned().collect() })
    }

    /// Those that a principal is asked about.
    fn about(&self, world: &World<'_>, p: &Principal, actions: &[&str], bucket: bool) -> BTreeSet<usize> {
        let mut out: BTreeSet<usize> = self.open.iter().copied().collect();
        out.extend(self.naming.get(&p.arn).into_iter().flatten());
        if world.could(p, actions) {
            match world.exact_resources(p, actions).filter(|_| !bucket) {
                Some(exact) => out.extend(exact.iter().filter_map(|a| self.by_arn.get(a))),
                None => out.extend(0..self.all.len()),
            }
        }
        out
    }
}

/// The role of a session, as policies name it; any other ARN as it is.
fn role_of_session(arn: &str) -> String {
    match arn.split_once(":assumed-role/") {
        Some((start, rest)) => {
            let name = rest.split('/').next().unwrap_or_default();
            format!("{}:role/{name}", start.replacen(":sts:", ":iam:", 1))
        }
        None => arn.to_owned(),
    }
}

/// Emits the ways.
pub fn emit(ctx: &mut Ctx<'_>, world: &World<'_>) {
    ctx.fact(Fact::AccountAdmin);
    for (index, _) in world.of("Account").filter(|(_, o)| !scope(&o.metadata.name).0.is_empty()) {
        ctx.fact(Fact::AdminOf(index));
    }
    assume(ctx, world);
    account_admin(ctx, world);
    unread(ctx, world);
    let mut keys = Resources::new(world.of("KmsKey").filter_map(|(i, o)| key(i, o)).collect());
    // A key may be switched off; where a call was refused that would tell, it is not known.
    const DESCRIBE: &str = "unread:kms-describe-key";
    if world.cluster.gaps.iter().any(|g| g.id.contains("kms-describe-key")) {
        for k in &mut keys.all {
            let o = world.cluster.objects.cloud.get(k.index as usize);
            let open = o.is_some_and(|o| o.text("KeyState").is_empty());
            k.undescribed = open.then(|| format!("{DESCRIBE}-{}", last(&k.arn)));
        }
    }
    keys.unusable = world
        .of("KmsKey")
        .filter(|(i, o)| key(*i, o).is_none())
        .map(|(_, o)| last(scope(&o.metadata.name).1).to_owned())
        .collect();
    keys.aliases =
        world.of("KmsAlias").map(|(_, a)| (a.metadata.name.clone(), a.text("TargetKeyId").to_owned())).collect();
    let buckets = Resources::new(world.of("S3Bucket").map(|(i, o)| bucket(&world.partition, i, o)).collect());
    let secrets = Resources::new(world.of("SecretsManagerSecret").map(|(i, o)| secret(i, o)).collect());
    for p in world.principals.values() {
        let e = Emit::scope(Fact::AnyPrincipal).from(Fact::CloudPrincipal(p.index));
        ctx.emit(e.because(cloud(p.index), "/metadata/name", "", "one principal of the account"));
        for (all, asked) in [(&keys, &KEYS), (&buckets, &BUCKETS), (&secrets, &SECRETS)] {
            for (technique, actions) in asked {
                for n in all.about(world, p, actions, *technique == "aws-s3-read") {
                    if let Some(r) = all.all.get(n).filter(|r| !r.arn.is_empty()) {
                        one(ctx, world, p, r, technique, actions, &keys);
                    }
                }
            }
        }
    }
    super::storage::volumes(ctx, world, &keys);
    buckets.open.iter().filter_map(|n| buckets.all.get(*n)).for_each(|b| public(ctx, world, b));
    for r in keys.all.iter().chain(&buckets.all).chain(&secrets.all) {
        // What was not read of a resource may allow any principal.
        for id in r.missing.iter().chain(r.policy.as_ref().err()) {
            let e = Emit::scope(Fact::CloudResource(r.index)).from(Fact::AnyPrincipal).unless_known(id.clone());
            ctx.emit(e.because(cloud(r.index), "/metadata/name", "", "not all of its policies were read"));
        }
        administered(ctx, world, r);
    }
    for p in world.principals.values() {
        let account = principal::account(&p.arn).unwrap_or_default();
        let Some(admin) = world.admin(account) else { continue };
        let e = Emit::scope(Fact::CloudPrincipal(p.index)).from(admin);
        let e = e.unless_all_known(world.limits(account));
        ctx.emit(e.because(
            cloud(p.index),
            "/metadata/name",
            "",
            "an administrator takes on every role of the account",
        ));
    }
    for (index, o, unknown) in world.clusters() {
        let arn = o.text("arn").to_owned();
        if principal::account(&arn) == Some(world.account.as_str()) {
            let e = Emit::scope(Fact::ClusterAdmin).from(Fact::AccountAdmin).maybe(unknown);
            let e = e.unless_all_known(world.limits(&world.account));
            ctx.emit(e.because(
                cloud(index),
                "/spec/arn",
                arn,
                "an administrator of the account writes access entries",
            ));
        }
    }
}

/// An administrator of the account has a resource of the account, unless an organization or a policy of the resource
/// stands in the way.
fn administered(ctx: &mut Ctx<'_>, world: &World<'_>, r: &Resource) {
    let account = r.account(world);
    let Some(admin) = world.admin(account) else { return };
    let document = r.policy.as_ref().ok().and_then(|o| o.as_ref()).map(|(_, d)| d);
    let denies = document.is_some_and(|d| d.statements.iter().any(|s| s.effect == crate::iam::policy::Effect::Deny));
    // A key answers to its own policy alone: to nobody of the account where it names nobody of it.
    let own = |n: &Named| match n {
        Named::Everyone => true,
        Named::Aws(a) => a == account || principal::account(a) == Some(account),
        _ => false,
    };
    let named = document.is_some_and(|d| {
        d.statements.iter().filter_map(|s| s.principals.as_ref()).any(|l| l.not || l.list.iter().any(own))
    });
    let denies = denies || r.arn.contains(":key/") && !named;
    let name = last(&r.arn);
    let e = Emit::scope(Fact::CloudResource(r.index)).from(admin);
    let e = e.unless_all_known(world.limits(account));
    let e = e.maybe(denies.then(|| format!("resource-policy-denies:{name}")));
    ctx.emit(e.because(cloud(r.index), "/metadata/name", "", "an administrator gives itself what a policy lacks"));
}

/// A bucket whose policy lets everyone read: from the internet, unless its account closes public buckets altogether.
fn public(ctx: &mut Ctx<'_>, world: &World<'_>, b: &Resource) {
    let document = b.policy.as_ref().ok().and_then(|o| o.as_ref()).map(|(_, d)| d);
    let objects = world.named_objects(&b.arn, document);
    let answers = objects.iter().map(|o| world.opens("s3:GetObject", o, b.own()));
    let Some(answer) = answers.filter(|a| a.open).min_by_key(|a| a.unknowns.len()) else { return };
    // Content that a key of KMS encrypts is no good to a caller without a credential.
    if b.kms {
        return;
    }
    let account = b.account(world);
    let own = world.of("Account").find(|(_, o)| scope(&o.metadata.name).1 == account).map(|(_, o)| o);
    let closed = own.and_then(|o| o.spec.pointer("/PublicAccessBlockConfiguration/RestrictPublicBuckets"));
    if closed == Some(&serde_json::Value::Bool(true)) {
        return;
    }
    let e = Emit::new("aws-s3-read", Fact::CloudResource(b.index)).from(Fact::Internet);
    let unread = closed.is_none().then(|| format!("unread:s3control-get-public-access-block-{account}"));
    let e = e.maybe(unread.filter(|id| !world.was_called(id.trim_start_matches("unread:"))));
    let e = e.maybe(b.unblocked.clone());
    ctx.emit(resting(e, &answer, b.index));
}

/// A principal of which not every policy was read may do anything, by those.
fn unread(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for p in world.principals.values().filter(|p| !world.unread(p).is_empty()) {
        let Some(admin) = principal::account(&p.arn).and_then(|a| world.admin(a)) else { continue };
        let e = Emit::new("aws-iam-self-policy", admin).from(Fact::CloudPrincipal(p.index)).tier(3);
        let e = e.unless_all_known(world.unread(p));
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

/// A key that decrypts: not one that signs, and not one that is to be deleted or is switched off.
fn key(index: u32, o: &CloudObject) -> Option<Resource> {
    let name = &o.metadata.name;
    let usable = matches!(o.text("KeyUsage"), "" | "ENCRYPT_DECRYPT") && matches!(o.text("KeyState"), "" | "Enabled");
    let grants = o.list("Grants").iter().enumerate().map(|(index, g)| {
        let text = |f: &str| g.get(f).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let operations = g.get("Operations").and_then(|v| v.as_array()).into_iter().flatten();
        Grant {
            name: format!("KmsKey/{name} /spec/Grants"),
            index,
            grantee: role_of_session(&text("GranteePrincipal")),
            operations: operations.filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            constrained: g.get("Constrained").is_some(),
        }
    });
    usable.then(|| Resource {
        index,
        arn: o.text("Arn").to_owned(),
        policy: placed("KmsKey", o, "kms-get-key-policy"),
        grants: grants.collect(),
        missing: o.spec.get("Grants").is_none().then(|| format!("unread:kms-list-grants-{name}")).into_iter().collect(),
        key: None,
        restricted: false,
        home: String::new(),
        kms: false,
        unblocked: None,
        undescribed: None,
    })
}

fn bucket(partition: &str, index: u32, o: &CloudObject) -> Resource {
    let arn = format!("arn:{partition}:s3:::{}", o.metadata.name);
    let policy = placed("S3Bucket", o, "s3api-get-bucket-policy");
    let block = o.spec.pointer("/PublicAccessBlockConfiguration/RestrictPublicBuckets");
    let restricted = block == Some(&serde_json::Value::Bool(true));
    // Without a key by name the service encrypts with one that lets in who may read.
    let key = customers(o.text("Encryption"));
    let home = o.text("Account").to_owned();
    let kms = o.text("EncryptionAlgorithm").starts_with("aws:kms") || key.is_some();
    let unread = o.spec.get("PublicAccessBlockConfiguration").is_none();
    let unblocked = unread.then(|| format!("unread:s3api-get-public-access-block-{}", o.metadata.name));
    Resource {
        index,
        arn,
        policy,
        grants: Vec::new(),
        missing: Vec::new(),
        key,
        restricted,
        home,
        kms,
        unblocked,
        undescribed: None,
    }
}

/// The name of a key, if it is one of the account's own: those of AWS let everyone of the account in through the service.
/// An alias stays one.
fn customers(key: &str) -> Option<String> {
    let alias = key.find("alias/").and_then(|at| key.get(at..));
    (!key.is_empty() && !key.contains("alias/aws/")).then(|| alias.unwrap_or(last(key)).to_owned())
}

fn secret(index: u32, o: &CloudObject) -> Resource {
    let policy = placed("SecretsManagerSecret", o, "secretsmanager-get-resource-policy");
    let key = customers(o.text("KmsKeyId"));
    Resource {
        index,
        arn: o.text("ARN").to_owned(),
        policy,
        grants: Vec::new(),
        missing: Vec::new(),
        key,
        restricted: false,
        home: String::new(),
        kms: false,
        unblocked: None,
        undescribed: None,
    }
}

/// What a principal may do with a resource: the first of the actions that it may is enough.
fn one(
    ctx: &mut Ctx<'_>,
    world: &World<'_>,
    p: &Principal,
    r: &Resource,
    technique: &str,
    actions: &[&str],
    keys: &Resources,
) {
    let arn = &r.arn;
    let account = r.account(world);
    let context = world.context(&p.arn, account);
    let document = r.policy.as_ref().ok().and_then(|o| o.as_ref()).map(|(_, d)| d);
    let objects: BTreeSet<String> = match technique {
        "aws-s3-read" => world.objects(p, arn, document),
        _ => [arn.clone()].into(),
    };
    let asked = actions.iter().flat_map(|a| objects.iter().map(move |o| (*a, o)));
    let answers = asked.map(|(a, o)| world.may(p, a, (o, account), r.own(), &context));
    let Some(answer) = answers.filter(|a| a.open).min_by_key(|a| a.unknowns.len()) else { return };
    let mut e = Emit::new(technique, Fact::CloudResource(r.index)).from(Fact::CloudPrincipal(p.index));
    // The service decrypts for the one who asks: that one must be let in by the key as well, through the service.
    let service = match technique {
        "aws-secretsmanager-read" => "secretsmanager",
        _ => "s3",
    };
    if let (Some(id), "aws-secretsmanager-read" | "aws-s3-read") = (&r.key, technique) {
        let Some(way) = keys.decrypts(world, p, (id, account), service) else { return };
        e = way.cited(e);
    }
    let e = e.maybe(r.undescribed.clone());
    ctx.emit(resting(e.tier(if technique.ends_with("write") { 3 } else { 1 }), &answer, p.index));
}

/// Roles that other principals may take on.
fn assume(ctx: &mut Ctx<'_>, world: &World<'_>) {
    let may_assume: Vec<&Principal> =
        world.principals.values().filter(|p| world.could(p, &["sts:AssumeRole"])).collect();
    for (index, o) in world.of("IamRole") {
        let Some((name, trust)) = World::trust(o).filter(|_| !o.text("Arn").is_empty()) else { continue };
        let arn = o.text("Arn");
        let account = principal::account(arn).unwrap_or_default();
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        for l in trust.statements.iter().filter_map(|s| s.principals.as_ref()) {
            for named in &l.list {
                match named {
                    Named::Aws(x) => {
                        asked.extend(world.principals.get_key_value(&role_of_session(x)).map(|(k, _)| k.as_str()));
                        // A whole account: those whose own policies let them.
                        if x.ends_with(":root") || !x.contains(':') {
                            asked.extend(may_assume.iter().map(|p| p.arn.as_str()));
                        }
                    }
                    Named::Everyone => asked.extend(world.principals.keys().map(String::as_str)),
                    _ => {}
                }
            }
            if l.not {
                asked.extend(world.principals.keys().map(String::as_str));
            }
        }
        for p in asked.into_iter().filter(|a| *a != arn).filter_map(|a| world.principals.get(a)) {
            let context = world.context(&p.arn, account);
            let answer = world.may(p, "sts:AssumeRole", (arn, account), Own::policy(&name, &trust), &context);
            if answer.open {
                let e = Emit::new("aws-assume-role", Fact::CloudPrincipal(index)).from(Fact::CloudPrincipal(p.index));
                ctx.emit(resting(e, &answer, p.index));
            }
        }
    }
}

/// Who may give itself any policy, unless a boundary keeps it small.
fn account_admin(ctx: &mut Ctx<'_>, world: &World<'_>) {
    for p in world.principals.values() {
        let account = principal::account(&p.arn).unwrap_or_default();
        let Some(admin) = world.admin(account) else { continue };
        let context = world.context(&p.arn, account);
        let ask = |action: &str, resource: &str| world.may(p, action, (resource, account), Own::default(), &context);
        let kind = if p.arn.contains(":role/") { "role" } else { "user" };
        let mut found: Option<Answer> = None;
        for (of, action) in SELF.iter().filter(|(_, a)| world.could(p, &[a])) {
            let resources: Vec<String> = match *of {
                k if k == kind => vec![p.arn.clone()],
                "policy" => attached(world, p),
                "group" => groups(world, p),
                _ => Vec::new(),
            };
            for r in resources {
                let answer = ask(action, &r);
                if answer.open && found.as_ref().is_none_or(|a| a.unknowns.len() > answer.unknowns.len()) {
                    found = Some(answer);
                }
            }
        }
        if let Some(answer) = found.filter(|_| !world.bounded(p)) {
            let e = Emit::new("aws-iam-self-policy", admin).from(Fact::CloudPrincipal(p.index)).tier(3);
            ctx.emit(resting(e, &answer, p.index));
        }
    }
}

fn object_of<'w>(world: &World<'w>, p: &Principal) -> Option<&'w CloudObject> {
    world.cluster.objects.cloud.get(p.index as usize)
}

/// ARNs of the customer's own policies that are attached to a principal.
fn attached(world: &World<'_>, p: &Principal) -> Vec<String> {
    let list = object_of(world, p).map(|o| o.list("AttachedManagedPolicies")).unwrap_or_default();
    list.iter().filter_map(|v| v.as_str()).filter(|a| !a.contains("::aws:policy/")).map(str::to_owned).collect()
}

/// ARNs of the groups of a user.
fn groups(world: &World<'_>, p: &Principal) -> Vec<String> {
    let list = object_of(world, p).map(|o| o.list("GroupList")).unwrap_or_default();
    let account = object_of(world, p).map_or("", |o| scope(&o.metadata.name).0);
    let named = |g: &str| if account.is_empty() { g.to_owned() } else { format!("{account}:{g}") };
    let groups = list.iter().filter_map(|v| v.as_str()).filter_map(|g| world.find("IamGroup", &named(g)));
    groups.map(|(_, o)| o.text("Arn").to_owned()).filter(|a| !a.is_empty()).collect()
}
