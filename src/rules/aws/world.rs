//! The account as the IAM engine needs it: policies of each principal, with the places to cite.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::iam::evaluate::Policy;
use crate::iam::policy::Effect;
use crate::iam::{Caller, Context, Decision, Document, Grant, Layers, Request, decide, pattern, principal};
use crate::model::Cluster;
use crate::model::cloud::CloudObject;
use crate::model::kind::{Kind, Obj};

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

/// The account.
#[derive(Debug)]
pub struct World<'c> {
    /// Cluster with the objects of the account.
    pub cluster: &'c Cluster,
    /// Users and roles by ARN.
    pub principals: BTreeMap<String, Principal>,
    scps: Option<Vec<Vec<Placed>>>,
    organization: Vec<String>,
    management: bool,
    calls: BTreeSet<String>,
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

impl<'c> World<'c> {
    /// Reads the account.
    pub fn new(cluster: &'c Cluster) -> Self {
        let named = |kind: &str| {
            let all = cluster.objects.cloud.iter();
            all.filter(move |o| o.kind() == kind).map(|o| o.metadata.name.clone()).collect::<Vec<_>>()
        };
        let mut world = World {
            cluster,
            principals: BTreeMap::new(),
            scps: None,
            organization: Vec::new(),
            management: false,
            calls: named("Call").into_iter().collect(),
        };
        for (o, index) in cluster.objects.cloud.iter().zip(0u32..) {
            if matches!(o.kind(), "IamRole" | "IamUser") && !o.text("Arn").is_empty() {
                let p = world.principal(o, index);
                world.principals.insert(p.arn.clone(), p);
            }
        }
        world.read_organization();
        world
    }

    /// An object by kind and name.
    pub fn find(&self, kind: &str, name: &str) -> Option<(u32, &'c CloudObject)> {
        let index = self.cluster.find(Kind::CloudObject, kind, name)?;
        self.cluster.objects.cloud.get(index as usize).map(|o| (index, o))
    }

    /// Objects of a kind.
    pub fn of(&self, kind: &'static str) -> impl Iterator<Item = (u32, &'c CloudObject)> {
        let all = (0u32..).zip(&self.cluster.objects.cloud);
        all.filter(move |(_, o)| o.kind() == kind)
    }

    fn called(&self, call: &str) -> bool {
        self.calls.contains(call) || self.calls.contains("iam-get-account-authorization-details")
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
            match self.find("IamGroup", g) {
                Some((_, group)) => self.identity(group, "group", &mut p),
                None => p.missing.push(format!("unread:iam-get-group-{g}")),
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
        let detailed = self.called(&format!("iam-get-{kind}-{name}")) || self.called(&format!("iam-list-{kind}s"));
        if !detailed {
            p.blocking.push(format!("unread:iam-get-{kind}-{name}"));
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
                Err(_) => p.missing.push(format!("unread:iam-get-{kind}-policy-{name}-{policy}")),
            }
        }
        for listed in o.list("PolicyNames").iter().filter_map(Value::as_str) {
            if inline.is_none_or(|m| !m.contains_key(listed)) {
                p.missing.push(format!("unread:iam-get-{kind}-policy-{name}-{listed}"));
            }
        }
        if !self.called(&format!("iam-list-{kind}-policies-{name}")) {
            p.missing.push(format!("unread:iam-list-{kind}-policies-{name}"));
        }
        match o.spec.get("AttachedManagedPolicies").and_then(Value::as_array) {
            None => p.missing.push(format!("unread:iam-list-attached-{kind}-policies-{name}")),
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
        let name = last(arn);
        let (_, o) = self.find("IamPolicy", name)?;
        let document = Document::new(o.spec.get("Document")?).ok()?;
        Some(Placed { name: format!("IamPolicy/{name} /spec/Document"), document })
    }

    fn read_organization(&mut self) {
        let account = self.of("Account").next().map(|(_, o)| o.metadata.name.clone());
        let Some((_, o)) = self.find("Organization", "organization") else {
            self.organization.push("unread:organizations-describe-organization".into());
            return;
        };
        if o.text("Id").is_empty() {
            return;
        }
        let Some(account) = account else {
            self.organization.push("unread:sts-get-caller-identity".into());
            return;
        };
        if o.text("MasterAccountId") == account {
            self.management = true;
            return;
        }
        let mut levels: Vec<Vec<Placed>> = Vec::new();
        let mut at = account;
        for _ in 0..8 {
            let node = self.find("OrganizationNode", &at).map(|(_, n)| n);
            match node.and_then(|n| n.spec.get("SERVICE_CONTROL_POLICY")).and_then(Value::as_array) {
                None => {
                    let id = format!("unread:organizations-list-policies-for-target-{at}-SERVICE_CONTROL_POLICY");
                    self.organization.push(id);
                }
                Some(ids) => {
                    let mut level = Vec::new();
                    for id in ids.iter().filter_map(Value::as_str) {
                        let content = self.find("OrganizationPolicy", id);
                        let content = content.and_then(|(_, p)| Document::new(p.spec.get("Content")?).ok());
                        match content {
                            Some(document) => {
                                let name = format!("OrganizationPolicy/{id} /spec/Content");
                                level.push(Placed { name, document });
                            }
                            None => self.organization.push(format!("unread:organizations-describe-policy-{id}")),
                        }
                    }
                    levels.push(level);
                }
            }
            if at.starts_with("r-") {
                break;
            }
            let parent = node.and_then(|n| n.list("Parents").first()).and_then(|p| p.get("Id")).and_then(Value::as_str);
            match parent {
                Some(p) => at = p.to_owned(),
                None => {
                    self.organization.push(format!("unread:organizations-list-parents-{at}"));
                    break;
                }
            }
        }
        levels.reverse();
        self.scps = Some(levels);
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

    /// Whether a principal may do something: `resource_policy` is that of the resource with its place, or the id of the
    /// call whose answer is missing.
    #[allow(clippy::too_many_arguments, reason = "one request; its parts have no other home")]
    pub fn may(
        &self,
        p: &Principal,
        action: &str,
        resource: &str,
        account: &str,
        resource_policy: Result<Option<(String, &Document)>, String>,
        grants: Vec<Grant>,
        context: &Context,
    ) -> Answer {
        let caller = match p.arn.contains(":role/") {
            true => {
                let own = principal::account(&p.arn).unwrap_or_default();
                let session = format!("arn:aws:sts::{own}:assumed-role/{}/session", last(&p.arn));
                Caller::Session(session, p.arn.clone())
            }
            false => Caller::User(p.arn.clone()),
        };
        let mut missing = Vec::new();
        let resource_policy = resource_policy.unwrap_or_else(|id| {
            missing.push(id);
            None
        });
        self.decide(&caller, Some(p), action, resource, account, resource_policy, grants, context, missing)
    }

    /// The same for a caller that is none of the account: a provider or a service.
    pub fn trusts(&self, caller: &Caller, action: &str, role: &str, trust: (String, &Document), c: &Context) -> Answer {
        let account = principal::account(role).unwrap_or_default();
        self.decide(caller, None, action, role, account, Some(trust), Vec::new(), c, Vec::new())
    }

    #[allow(clippy::too_many_arguments, reason = "one request; its parts have no other home")]
    fn decide(
        &self,
        caller: &Caller,
        p: Option<&Principal>,
        action: &str,
        resource: &str,
        account: &str,
        resource_policy: Option<(String, &Document)>,
        grants: Vec<Grant>,
        context: &Context,
        missing: Vec<String>,
    ) -> Answer {
        fn policy(p: &Placed) -> Policy<'_> {
            (p.name.clone(), &p.document)
        }
        let layers = Layers {
            identity: p.map(|p| p.identity.iter().map(policy).collect()).unwrap_or_default(),
            boundary: p.and_then(|p| p.boundary.as_ref()).map(policy),
            session: None,
            resource: resource_policy,
            scps: self.scps.as_ref().map(|l| l.iter().map(|x| x.iter().map(policy).collect()).collect()),
            rcps: None,
            grants,
            restrict_public_buckets: false,
            is_management: self.management,
        };
        let request = Request { caller, action, resource, resource_account: account, context };
        let outcome = decide(&request, &layers);
        let mut unknowns: Vec<String> = match outcome.decision {
            Decision::ExplicitDeny => return Answer::default(),
            // A policy of the resource that was not read could allow it. Of a principal that was not read whole it is said
            // once that it may do anything (`targets::unread`).
            Decision::ImplicitDeny if missing.is_empty() => return Answer::default(),
            Decision::ImplicitDeny | Decision::Allow => Vec::new(),
            Decision::Unknown => outcome.unknown_keys.iter().map(|k| format!("request-key:{k}")).collect(),
        };
        unknowns.extend(missing);
        if let Some(p) = p {
            unknowns.extend(p.missing.iter().chain(&p.blocking).chain(&self.organization).cloned());
        }
        unknowns.sort();
        unknowns.dedup();
        let statements = outcome.statements.iter().filter_map(|s| {
            let (object, pointer) = self.place(&s.policy)?;
            let pointer = format!("{pointer}/Statement/{}", s.statement);
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

    /// Ids of what was not read of a principal's own policies.
    pub fn unread<'p>(&self, p: &'p Principal) -> &'p [String] {
        &p.missing
    }

    /// Whether a boundary limits a principal, whatever policies it gives itself.
    pub fn bounded(&self, p: &Principal) -> bool {
        p.boundary.is_some()
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

    /// Patterns of resources in the policies of a principal that begin in this way.
    pub fn patterns(&self, p: &Principal, start: &str) -> BTreeSet<String> {
        let all = p.identity.iter().flat_map(|d| &d.document.statements).filter_map(|s| s.resources.as_ref());
        let all = all.flat_map(|r| &r.list).filter(|r| r.starts_with(start));
        all.map(|r| r.replace(['*', '?'], "x")).collect()
    }

    /// The trust policy of a role, with its place.
    pub fn trust(role: &CloudObject) -> Option<(String, Document)> {
        let d = Document::new(role.spec.get("AssumeRolePolicyDocument")?).ok()?;
        Some((format!("IamRole/{} /spec/AssumeRolePolicyDocument", role.metadata.name), d))
    }

    /// The cluster of the account that this one is: by the issuer of its tokens where both are known, else the only one.
    pub fn eks(&self) -> Option<(u32, &'c CloudObject)> {
        let mut all = self.of("EksCluster");
        let first = all.next()?;
        all.next().is_none().then_some(first)
    }
}

/// The last segment of an ARN or a path.
pub fn last(arn: &str) -> &str {
    arn.rsplit(['/', ':']).next().unwrap_or(arn)
}

/// A key as a part of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
