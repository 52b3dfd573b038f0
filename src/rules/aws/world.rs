//! The account as the IAM engine needs it: policies of each principal, with the places to cite.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::metadata::{self, Instance};
use crate::iam::evaluate::Policy;
use crate::iam::policy::Effect;
use crate::iam::{Caller, Context, Decision, Document, Grant, Layers, Request, decide, pattern, principal};
use crate::model::Cluster;
use crate::model::cloud::{CloudObject, scope};
use crate::model::kind::Obj;
use crate::rules::fact::Fact;

/// A document with its place.
#[derive(Debug)]
struct Placed {
    name: String,
    document: Document,
}

/// A user or a role, with the policies that say what it may do.
#[derive(Debug)]
pub struct Principal {
    /// Number of the object.
    pub index: u32,
    /// ARN.
    pub arn: String,
    identity: Vec<Placed>,
    boundary: Option<Placed>,
    /// Ids of calls whose answers were not there, and could allow or deny.
    missing: Vec<String>,
    /// Those that could only deny.
    blocking: Vec<String>,
}

/// A statement that took part, with its place.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Object.
    pub object: Obj,
    /// JSON pointer.
    pub pointer: String,
    /// The statement in a few words.
    pub value: String,
    /// Whether it denies.
    pub denies: bool,
}

/// Whether something is allowed.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// It is, or may be.
    pub open: bool,
    /// Ids of unknowns that decide it; none when it is sure.
    pub unknowns: Vec<String>,
    /// Statements.
    pub statements: Vec<Statement>,
}

/// What the resource of a request says itself.
#[derive(Debug, Clone, Default)]
pub struct Own<'d> {
    /// Its policy, with the place.
    pub policy: Option<(String, &'d Document)>,
    /// Id of the call that would have told the policy.
    pub missing: Option<String>,
    /// Id of a call that could only have let more in.
    pub adding: Option<String>,
    /// Grants of a key.
    pub grants: Vec<Grant>,
    /// Whether it is a bucket that a public policy opens to nobody else.
    pub restricted: bool,
}

impl<'d> Own<'d> {
    /// A policy alone.
    pub fn policy(name: &str, document: &'d Document) -> Self {
        Own { policy: Some((name.to_owned(), document)), ..Own::default() }
    }
}

/// The account.
#[derive(Debug)]
pub struct World<'c> {
    /// Cluster with the objects of the account.
    pub cluster: &'c Cluster,
    /// Users and roles by ARN.
    pub principals: BTreeMap<String, Principal>,
    /// What organizations say, by account.
    above: BTreeMap<String, Above>,
    /// Account of the cluster.
    pub account: String,
    /// Partition of its ARNs: `aws`, `aws-cn`, `aws-us-gov` (AWS General Reference, "Amazon Resource Names").
    pub partition: String,
    calls: BTreeSet<String>,
    /// Nodes that are instances.
    pub(super) instances: Vec<Instance>,
}

/// Policies above an account.
#[derive(Debug, Default)]
struct Above {
    scps: Option<Vec<Vec<Placed>>>,
    rcps: Option<Vec<Vec<Placed>>>,
    /// Ids of calls without an answer.
    missing: Vec<String>,
    /// Whether it manages the organization.
    management: bool,
    /// Ids of what it could deny to everybody.
    limits: Vec<String>,
}

impl Above {
    fn denied_to_all(&self) -> Vec<String> {
        let some = self.scps.iter().chain(&self.rcps).flatten().flatten();
        let denies = some.into_iter().any(|p| {
            let all = |s: &crate::iam::policy::Statement| !s.actions.not && s.actions.list.iter().any(|a| a == "*");
            p.document.statements.iter().any(|s| s.effect == Effect::Deny || !all(s))
        });
        let mut out = self.missing.clone();
        out.extend(denies.then(|| "organization-denies".to_owned()));
        out
    }
}

/// The name of a call about something: what is of another account has its name first.
fn about(call: &str, name: &str) -> String {
    match scope(name) {
        ("", name) => format!("{call}-{name}"),
        (account, name) => format!("{account}:{call}-{name}"),
    }
}

/// Keys that a request of a principal itself does not have.
const ABSENT: [&str; 7] = [
    "aws:SourceArn",
    "aws:SourceAccount",
    "aws:SourceOrgID",
    "aws:CalledVia",
    "aws:CalledViaFirst",
    "aws:CalledViaLast",
    "kms:ViaService",
];

/// Keys that a request from the internet without a credential does not have.
const NOBODY: [&str; 12] = [
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalServiceName",
    "aws:PrincipalType",
    "aws:userid",
    "aws:username",
    "aws:SourceVpc",
    "aws:SourceVpce",
    "aws:VpcSourceIp",
    "aws:TokenIssueTime",
];

/// The region of a zone, `eu-west-1` of `eu-west-1a` and of the local zone `us-west-2-lax-1a`: up to its first number.
pub fn region(zone: &str) -> &str {
    let digit = zone.find(|c: char| c.is_ascii_digit()).unwrap_or(zone.len());
    let after = zone.get(digit..).and_then(|r| r.find(|c: char| !c.is_ascii_digit()));
    zone.get(..after.map_or(zone.len(), |n| digit.saturating_add(n))).unwrap_or(zone)
}

impl<'c> World<'c> {
    /// The region of an object: that of its zone, else that of the cluster.
    pub fn region_of(&self, o: &'c CloudObject) -> &'c str {
        match o.text("AvailabilityZone") {
            "" => self.of("EksCluster").find_map(|(_, c)| c.text("arn").split(':').nth(3)).unwrap_or("region"),
            zone => region(zone),
        }
    }

    /// Reads the account.
    pub fn new(cluster: &'c Cluster) -> Self {
        let named = |kind: &str| {
            let all = cluster.objects.cloud.iter();
            all.filter(move |o| o.kind() == kind).map(|o| o.metadata.name.clone()).collect::<Vec<_>>()
        };
        let mut world = World {
            cluster,
            principals: BTreeMap::new(),
            above: BTreeMap::new(),
            account: String::new(),
            partition: String::new(),
            calls: named("Call").into_iter().collect(),
            instances: Vec::new(),
        };
        for (o, index) in cluster.objects.cloud.iter().zip(0u32..) {
            if matches!(o.kind(), "IamRole" | "IamUser") && !o.text("Arn").is_empty() {
                let p = world.principal(o, index);
                world.principals.insert(p.arn.clone(), p);
            }
        }
        world.instances = metadata::instances(&world);
        let accounts: Vec<&str> = world.of("Account").map(|(_, o)| o.metadata.name.as_str()).collect();
        let said = accounts.iter().find(|n| scope(n).0.is_empty()).map(|n| (*n).to_owned());
        let own = |p: &&Principal| said.is_none() || principal::account(&p.arn) == said.as_deref();
        let first = world.principals.values().find(own).map(|p| p.arn.clone()).unwrap_or_default();
        world.partition = first.split(':').nth(1).unwrap_or("aws").to_owned();
        world.account = said.clone().or(principal::account(&first).map(str::to_owned)).unwrap_or_default();
        let others: Vec<String> = accounts.iter().map(|n| scope(n).0.to_owned()).filter(|a| !a.is_empty()).collect();
        let above = world.organization(said.as_deref(), "organization");
        world.above.insert(world.account.clone(), above);
        for other in others {
            let above = world.organization(Some(&other), &format!("{other}:organization"));
            world.above.insert(other, above);
        }
        world
    }

    /// The fact of administering an account; nothing for one that was not read.
    pub fn admin(&self, account: &str) -> Option<Fact> {
        if account == self.account {
            return Some(Fact::AccountAdmin);
        }
        self.find("Account", &format!("{account}:{account}")).map(|(i, _)| Fact::AdminOf(i))
    }

    /// An object by kind and name.
    pub fn find(&self, kind: &str, name: &str) -> Option<(u32, &'c CloudObject)> {
        self.cluster.cloud_object(kind, name)
    }

    /// Objects of a kind.
    pub fn of(&self, kind: &'static str) -> impl Iterator<Item = (u32, &'c CloudObject)> {
        self.cluster.cloud_objects(kind)
    }

    /// Whether a call has an answer.
    pub fn was_called(&self, call: &str) -> bool {
        self.calls.contains(call)
    }

    /// Whether a call about a principal has an answer, or the one that tells of all.
    fn called(&self, call: &str, name: &str) -> bool {
        const ALL: &str = "iam-get-account-authorization-details";
        let account = scope(name).0;
        let all = if account.is_empty() { ALL.to_owned() } else { format!("{account}:{ALL}") };
        self.was_called(&about(call, name)) || self.was_called(&all)
    }

    fn principal(&self, o: &CloudObject, index: u32) -> Principal {
        let kind = if o.kind() == "IamRole" { "role" } else { "user" };
        let name = &o.metadata.name;
        let mut p = Principal {
            index,
            arn: o.text("Arn").to_owned(),
            identity: Vec::new(),
            boundary: None,
            missing: Vec::new(),
            blocking: Vec::new(),
        };
        self.identity(o, kind, &mut p);
        for g in o.list("GroupList").iter().filter_map(Value::as_str) {
            let account = scope(name).0;
            let g = if account.is_empty() { g.to_owned() } else { format!("{account}:{g}") };
            match self.find("IamGroup", &g) {
                Some((_, group)) => self.identity(group, "group", &mut p),
                None => p.missing.push(format!("unread:{}", about("iam-get-group", &g))),
            }
        }
        let boundary = o.spec.get("PermissionsBoundary").map(|b| match b {
            Value::String(arn) => arn.clone(),
            b => b.get("PermissionsBoundaryArn").and_then(Value::as_str).unwrap_or_default().to_owned(),
        });
        if let Some(arn) = boundary.filter(|a| !a.is_empty()) {
            match self.managed(&arn) {
                Some(d) => p.boundary = Some(d),
                None => p.blocking.push(format!("unread:iam-get-policy-version-{}", last(&arn))),
            }
        }
        // A list of roles leaves boundaries out.
        let get = format!("iam-get-{kind}");
        if !self.called(&get, name) {
            p.blocking.push(format!("unread:{}", about(&get, name)));
        }
        p
    }

    /// Policies that are part of an identity, and those that are attached to it.
    fn identity(&self, o: &CloudObject, kind: &str, p: &mut Principal) {
        let name = &o.metadata.name;
        let inline = o.spec.get("InlinePolicies").and_then(Value::as_object);
        for (policy, d) in inline.into_iter().flatten() {
            let place = format!("{}/{name} /spec/InlinePolicies/{}", o.kind(), escaped(policy));
            match Document::new(d) {
                Ok(document) => p.identity.push(Placed { name: place, document }),
                Err(_) => p.missing.push(format!("unread:{}-{policy}", about(&format!("iam-get-{kind}-policy"), name))),
            }
        }
        for listed in o.list("PolicyNames").iter().filter_map(Value::as_str) {
            if inline.is_none_or(|m| !m.contains_key(listed)) {
                p.missing.push(format!("unread:{}-{listed}", about(&format!("iam-get-{kind}-policy"), name)));
            }
        }
        let list = format!("iam-list-{kind}-policies");
        if !self.called(&list, name) {
            p.missing.push(format!("unread:{}", about(&list, name)));
        }
        match o.spec.get("AttachedManagedPolicies").and_then(Value::as_array) {
            None => {
                p.missing.push(format!("unread:{}", about(&format!("iam-list-attached-{kind}-policies"), name)));
            }
            Some(list) => {
                for arn in list.iter().filter_map(Value::as_str) {
                    match self.managed(arn) {
                        Some(d) => p.identity.push(d),
                        None => p.missing.push(format!("unread:iam-get-policy-version-{}", last(arn))),
                    }
                }
            }
        }
    }

    fn managed(&self, arn: &str) -> Option<Placed> {
        // By its ARN; by its name where no answer told the ARN.
        let (name, o) = self.find("IamPolicy", arn).map(|(_, o)| (arn, o)).or_else(|| {
            let name = last(arn);
            self.find("IamPolicy", name).map(|(_, o)| (name, o))
        })?;
        let document = Document::new(o.spec.get("Document")?).ok()?;
        Some(Placed { name: format!("IamPolicy/{name} /spec/Document"), document })
    }

    /// Reads the policies above an account, if an answer says which account it is.
    fn organization(&self, account: Option<&str>, name: &str) -> Above {
        let mut above = Above::default();
        let call = |call: &str| match scope(name).0 {
            "" => format!("unread:{call}"),
            account => format!("unread:{account}:{call}"),
        };
        let Some((_, o)) = self.find("Organization", name) else {
            above.missing.push(call("organizations-describe-organization"));
            above.limits.clone_from(&above.missing);
            return above;
        };
        if o.text("Id").is_empty() {
            return above;
        }
        let Some(account) = account else {
            above.missing.push(call("sts-get-caller-identity"));
            above.limits.clone_from(&above.missing);
            return above;
        };
        if o.text("MasterAccountId") == account {
            above.management = true;
            return above;
        }
        let mut nodes = vec![account.to_owned()];
        while let Some(at) = nodes.last().filter(|n| !n.starts_with("r-") && nodes.len() < 8).cloned() {
            let node = self.find("OrganizationNode", &at).map(|(_, n)| n);
            let parent = node.and_then(|n| n.list("Parents").first()).and_then(|p| p.get("Id")).and_then(Value::as_str);
            match parent {
                Some(p) => nodes.push(p.to_owned()),
                None => {
                    above.missing.push(format!("unread:organizations-list-parents-{at}"));
                    break;
                }
            }
        }
        nodes.reverse();
        let (scps, rcps) = ("SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY");
        above.scps = Some(self.levels(&nodes, scps, &mut above.missing));
        above.rcps = Some(self.levels(&nodes, rcps, &mut above.missing));
        above.limits = above.denied_to_all();
        above
    }

    /// Policies of one type at each node. A level that was not read whole is left out, and named: nothing is denied by it.
    fn levels(&self, nodes: &[String], kind: &str, missing: &mut Vec<String>) -> Vec<Vec<Placed>> {
        let mut levels = Vec::new();
        for at in nodes {
            let node = self.find("OrganizationNode", at).map(|(_, n)| n);
            let Some(ids) = node.and_then(|n| n.spec.get(kind)).and_then(Value::as_array) else {
                missing.push(format!("unread:organizations-list-policies-for-target-{at}-{kind}"));
                continue;
            };
            let mut level = Vec::new();
            let mut whole = true;
            for id in ids.iter().filter_map(Value::as_str) {
                let content = self.find("OrganizationPolicy", id);
                match content.and_then(|(_, p)| Document::new(p.spec.get("Content")?).ok()) {
                    Some(document) => {
                        level.push(Placed { name: format!("OrganizationPolicy/{id} /spec/Content"), document })
                    }
                    None => {
                        whole = false;
                        missing.push(format!("unread:organizations-describe-policy-{id}"));
                    }
                }
            }
            // Where policies of a type are on, each level has at least one: none means that they are off.
            if whole && !(level.is_empty() && kind == "SERVICE_CONTROL_POLICY") {
                levels.push(level);
            }
        }
        levels
    }

    /// Keys of a request: those of the principal are known, all others may have any value.
    pub fn context(&self, arn: &str, resource_account: &str) -> Context {
        let mut c = Context::new();
        c.set_unknown("*");
        c.set("aws:PrincipalArn", [arn]);
        c.set("aws:PrincipalType", [if arn.contains(":role/") { "AssumedRole" } else { "User" }]);
        if let Some(account) = principal::account(arn) {
            c.set("aws:PrincipalAccount", [account]);
            c.set("kms:CallerAccount", [account]);
        }
        c.set("aws:ResourceAccount", [resource_account]);
        c.set("aws:SecureTransport", ["true"]);
        c.set("aws:ViaAWSService", ["false"]);
        c.set("aws:PrincipalIsAWSService", ["false"]);
        ABSENT.iter().for_each(|k| c.set_absent(k));
        c
    }

    /// Whether a principal may do something.
    pub fn may(
        &self,
        p: &Principal,
        action: &str,
        (resource, account): (&str, &str),
        own: Own<'_>,
        context: &Context,
    ) -> Answer {
        // A policy may name a session: its name is chosen by who starts it, unless the trust policy pins it.
        let named = own.policy.as_ref().and_then(|(_, d)| named_session(d, &p.arn));
        let caller = match p.arn.contains(":role/") {
            true => {
                let home = principal::account(&p.arn).unwrap_or_default();
                let partition = p.arn.split(':').nth(1).unwrap_or("aws");
                let session = format!("arn:{partition}:sts::{home}:assumed-role/{}/session", last(&p.arn));
                Caller::Session(session, p.arn.clone())
            }
            false => Caller::User(p.arn.clone()),
        };
        let answer = self.decide(&caller, Some(p), action, (resource, account), own.clone(), context);
        let Some(session) = named.filter(|_| !answer.open) else { return answer };
        let caller = Caller::Session(session, p.arn.clone());
        let mut answer = self.decide(&caller, Some(p), action, (resource, account), own, context);
        if answer.open {
            answer.unknowns.push(format!("session-name:{}", last(&p.arn)));
        }
        answer
    }

    /// The same for a caller that is none of the account: a provider or a service.
    pub fn trusts(&self, caller: &Caller, action: &str, role: &str, trust: (String, &Document), c: &Context) -> Answer {
        let account = principal::account(role).unwrap_or_default();
        let own = Own { policy: Some(trust), ..Own::default() };
        self.decide(caller, None, action, (role, account), own, c)
    }

    /// The same for somebody without a credential.
    pub fn opens(&self, action: &str, resource: &str, own: Own<'_>) -> Answer {
        let mut c = Context::new();
        c.set_unknown("*");
        c.set("aws:SecureTransport", ["true"]);
        c.set("aws:ViaAWSService", ["false"]);
        c.set("aws:PrincipalIsAWSService", ["false"]);
        // Without a credential there is no principal, and the internet is in no network of the account.
        ABSENT.iter().chain(&NOBODY).for_each(|k| c.set_absent(k));
        self.decide(&Caller::Anonymous, None, action, (resource, &self.account), own, &c)
    }

    fn decide(
        &self,
        caller: &Caller,
        p: Option<&Principal>,
        action: &str,
        (resource, account): (&str, &str),
        own: Own<'_>,
        context: &Context,
    ) -> Answer {
        fn policy(p: &Placed) -> Policy<'_> {
            (p.name.clone(), &p.document)
        }
        // Organizations limit principals by their account, and resources by theirs.
        let nothing = Above::default();
        let home = self.above.get(caller.account().unwrap_or_default()).unwrap_or(&nothing);
        let there = self.above.get(account).unwrap_or(&nothing);
        let layers = Layers {
            identity: p.map(|p| p.identity.iter().map(policy).collect()).unwrap_or_default(),
            boundary: p.and_then(|p| p.boundary.as_ref()).map(policy),
            session: None,
            resource: own.policy,
            scps: home.scps.as_ref().map(|l| l.iter().map(|x| x.iter().map(policy).collect()).collect()),
            rcps: there.rcps.as_ref().map(|l| l.iter().map(|x| x.iter().map(policy).collect()).collect()),
            grants: own.grants,
            restrict_public_buckets: own.restricted,
            is_management: home.management,
        };
        let request = Request { caller, action, resource, resource_account: account, context };
        let outcome = decide(&request, &layers);
        let mut unknowns: Vec<String> = match outcome.decision {
            Decision::ExplicitDeny => return Answer::default(),
            // A policy of the resource that was not read could allow it. Of a principal that was not read whole it is said
            // once that it may do anything (`targets::unread`).
            Decision::ImplicitDeny if own.missing.is_none() && own.adding.is_none() => return Answer::default(),
            Decision::ImplicitDeny => own.adding.into_iter().collect(),
            Decision::Allow => Vec::new(),
            Decision::Unknown if outcome.unknown_keys.is_empty() => vec!["request-key:unknown".to_owned()],
            Decision::Unknown => outcome.unknown_keys.iter().map(|k| format!("request-key:{k}")).collect(),
        };
        unknowns.extend(own.missing);
        if let Some(p) = p {
            unknowns.extend(p.missing.iter().chain(&p.blocking).chain(&home.missing).cloned());
            // What is above the account of the resource counts as well.
            unknowns.extend(there.missing.iter().filter(|_| principal::account(&p.arn) != Some(account)).cloned());
        }
        unknowns.sort();
        unknowns.dedup();
        let statements = outcome.statements.iter().filter_map(|s| {
            let (object, pointer) = self.place(&s.policy)?;
            let list = if pointer.ends_with("/Grants") { "" } else { "/Statement" };
            let pointer = format!("{pointer}{list}/{}", s.statement);
            Some(Statement { object, pointer, value: action.to_owned(), denies: s.denies })
        });
        Answer { open: true, unknowns, statements: statements.collect() }
    }

    /// The object and the pointer of a place, `KIND/NAME POINTER`.
    fn place(&self, name: &str) -> Option<(Obj, String)> {
        let (object, pointer) = name.split_once(" /")?;
        let (kind, name) = object.split_once('/')?;
        let (index, _) = self.find(kind, name)?;
        Some((super::cloud(index), format!("/{pointer}")))
    }

    /// Ids of what an organization could deny to everybody of an account: nothing where there is none, or it manages.
    pub fn limits(&self, account: &str) -> &[String] {
        self.above.get(account).map_or(&[], |a| &a.limits)
    }

    /// Ids of what was not read of a principal's own policies.
    pub fn unread<'p>(&self, p: &'p Principal) -> &'p [String] {
        &p.missing
    }

    /// Whether a boundary limits a principal, whatever policies it gives itself.
    pub fn bounded(&self, p: &Principal) -> bool {
        // One that allows everything limits nothing.
        p.boundary.as_ref().is_some_and(|b| {
            let all = |list: &[String]| list.iter().any(|x| x == "*");
            let everything = b.document.statements.iter().any(|s| {
                let open = !s.actions.not && all(&s.actions.list) && s.conditions.is_empty();
                s.effect == Effect::Allow && open && s.resources.as_ref().is_some_and(|r| !r.not && all(&r.list))
            });
            !everything || b.document.statements.iter().any(|s| s.effect == Effect::Deny)
        })
    }

    /// Whether any policy of a principal could allow one of these actions: a quick look before each resource is asked.
    pub fn could(&self, p: &Principal, actions: &[&str]) -> bool {
        let allows = |d: &Document| {
            let mut all = d.statements.iter().filter(|s| s.effect == Effect::Allow);
            all.any(|s| {
                s.actions.not || s.actions.list.iter().any(|a| actions.iter().any(|x| pattern::matches_action(a, x)))
            })
        };
        p.identity.iter().any(|d| allows(&d.document))
    }

    /// Resources that policies of a principal mean by patterns that begin so, wildcards filled in.
    pub fn patterns(&self, p: &Principal, start: &str) -> BTreeSet<String> {
        let all = p.identity.iter().flat_map(|d| resources(&d.document)).filter(|r| r.starts_with(start));
        all.map(|r| r.replace(['*', '?'], "x")).collect()
    }

    /// Whether policies of a principal name single resources whose ARN has this in it.
    pub fn names(&self, p: &Principal, part: &str) -> bool {
        p.identity.iter().flat_map(|d| resources(&d.document)).any(|r| r.contains(part))
    }

    /// Objects of a bucket that policies mean: one for each pattern, in the policies of the principal or of the bucket.
    pub fn objects(&self, p: &Principal, bucket: &str, policy: Option<&Document>) -> BTreeSet<String> {
        let own = p.identity.iter().map(|d| &d.document);
        objects(bucket, own.chain(policy))
    }

    /// The same, by the policy of the bucket alone.
    pub fn named_objects(&self, bucket: &str, policy: Option<&Document>) -> BTreeSet<String> {
        objects(bucket, policy.into_iter())
    }

    /// The trust policy of a role, with its place.
    pub fn trust(role: &CloudObject) -> Option<(String, Document)> {
        let d = Document::new(role.spec.get("AssumeRolePolicyDocument")?).ok()?;
        Some((format!("IamRole/{} /spec/AssumeRolePolicyDocument", role.metadata.name), d))
    }

    /// Resources that the policies of a principal name for an action: each as it stands, or `None` where one has a
    /// wildcard, a variable or is turned round.
    pub fn exact_resources(&self, p: &Principal, actions: &[&str]) -> Option<BTreeSet<String>> {
        let mut out = BTreeSet::new();
        for s in p.identity.iter().flat_map(|d| &d.document.statements).filter(|s| s.effect == Effect::Allow) {
            let about =
                s.actions.not || s.actions.list.iter().any(|a| actions.iter().any(|x| pattern::matches_action(a, x)));
            if !about {
                continue;
            }
            let resources = s.resources.as_ref().filter(|r| !r.not)?;
            for r in &resources.list {
                if r.contains(['*', '?', '$']) {
                    return None;
                }
                out.insert(r.clone());
            }
        }
        Some(out)
    }
}

/// Objects of a bucket that policies mean: one for each pattern.
fn objects<'d>(bucket: &str, documents: impl Iterator<Item = &'d Document>) -> BTreeSet<String> {
    let mut out: BTreeSet<String> = [format!("{bucket}/object")].into();
    let all = documents.flat_map(resources);
    for r in all {
        let Some((name, object)) = r.split_once('/') else { continue };
        let parts = pattern::expand(name, false, &Context::new()).unwrap_or_default();
        if pattern::matches(&parts, bucket) && !object.is_empty() {
            out.insert(format!("{bucket}/{}", object.replace(['*', '?'], "x")));
        }
    }
    out
}

/// Resources that the statements of a document name.
fn resources(d: &Document) -> impl Iterator<Item = &String> {
    d.statements.iter().filter_map(|s| s.resources.as_ref()).flat_map(|r| &r.list)
}

/// A session of a role that a policy names.
fn named_session(d: &Document, role: &str) -> Option<String> {
    let start = format!(":assumed-role/{}/", last(role));
    let all = d.statements.iter().filter_map(|s| s.principals.as_ref()).flat_map(|p| &p.list);
    all.into_iter().find_map(|n| match n {
        crate::iam::policy::Named::Aws(a)
            if a.contains(&start) && principal::account(a) == principal::account(role) =>
        {
            Some(a.clone())
        }
        _ => None,
    })
}

/// The last segment of an ARN or a path.
pub fn last(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}

/// A key as a part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
