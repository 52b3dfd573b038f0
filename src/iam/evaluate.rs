//! The decision on a request (IAM User Guide, "Policy evaluation logic").

use std::collections::BTreeSet;

use super::context::Context;
use super::pattern::{self, Missing};
use super::policy::{Document, Effect, Listed, Statement};
use super::principal::{Caller, Means};
use super::truth::Truth;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Request<'r> {
    /// Who.
    pub caller: &'r Caller,
    /// `service:Action`.
    pub action: &'r str,
    /// ARN of the resource.
    pub resource: &'r str,
    /// Account of the resource.
    pub resource_account: &'r str,
    /// Keys.
    pub context: &'r Context,
}

/// A policy with the name to cite it by.
pub type Policy<'p> = (String, &'p Document);

/// Every policy that has a say.
#[derive(Debug, Clone, Default)]
pub struct Layers<'p> {
    /// Of the identity: its own, attached ones, those of its groups.
    pub identity: Vec<Policy<'p>>,
    /// Permissions boundary.
    pub boundary: Option<Policy<'p>>,
    /// Session policy.
    pub session: Option<Policy<'p>>,
    /// Of the resource; the trust policy of a role, the key policy of a key.
    pub resource: Option<Policy<'p>>,
    /// Service control policies of the caller's account, by level from the root; none outside of an organization.
    pub scps: Option<Vec<Vec<Policy<'p>>>>,
    /// Resource control policies of the resource's account, the same way. The one that allows everything goes without
    /// saying.
    pub rcps: Option<Vec<Vec<Policy<'p>>>>,
    /// Grants of a KMS key.
    pub grants: Vec<Grant>,
    /// The bucket lets nobody of another account in where its policy is public.
    pub restrict_public_buckets: bool,
    /// The caller's account manages the organization: its policies do not limit it.
    pub is_management: bool,
}

/// A grant of a KMS key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Name to cite it by, and its place there.
    pub name: String,
    /// Place in the list.
    pub index: usize,
    /// ARN of the principal.
    pub grantee: String,
    /// Operations, such as `Decrypt`.
    pub operations: Vec<String>,
    /// Whether it asks for an encryption context: the caller chooses it, if it knows it.
    pub constrained: bool,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Allowed.
    Allow,
    /// No statement allows it.
    ImplicitDeny,
    /// A statement denies it.
    ExplicitDeny,
    /// It depends on keys that are not known.
    Unknown,
}

impl Decision {
    /// `allow`, `implicit_deny`, `explicit_deny` or `unknown`.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::ImplicitDeny => "implicit_deny",
            Decision::ExplicitDeny => "explicit_deny",
            Decision::Unknown => "unknown",
        }
    }
}

/// A statement that took part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cited {
    /// Name of the policy.
    pub policy: String,
    /// Index of the statement.
    pub statement: usize,
    /// Whether it denies.
    pub denies: bool,
    /// Whether that is sure.
    pub sure: bool,
}

/// A decision with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The decision.
    pub decision: Decision,
    /// Statements that decided it, sorted.
    pub statements: Vec<Cited>,
    /// Keys that leave it open; empty unless it is unknown.
    pub unknown_keys: BTreeSet<String>,
}

/// What the statements of one effect say together.
#[derive(Debug, Default)]
struct Found {
    cited: Vec<Cited>,
    open: BTreeSet<String>,
}

impl Found {
    fn take(&mut self, other: &Found) {
        self.cited.extend(other.cited.iter().cloned());
        self.open.extend(other.open.iter().cloned());
    }
}

/// Decides a request.
pub fn decide(request: &Request<'_>, layers: &Layers<'_>) -> Outcome {
    // Organizations limit users and roles of their accounts, not services, and not roles that are linked to one.
    let own = matches!(request.caller, Caller::User(_) | Caller::Session(..)) && !request.caller.is_service_linked();
    let scps = layers.scps.as_ref().filter(|_| !layers.is_management && own);
    let rcps = layers.rcps.as_ref().filter(|_| !layers.is_management && !request.caller.is_service_linked());
    let mut denies = Found::default();
    let mut deny = Truth::No;
    {
        let levels = scps.into_iter().chain(rcps).flatten().flatten();
        let all = layers.identity.iter().chain(&layers.boundary).chain(&layers.session).chain(&layers.resource);
        for p in all.chain(levels) {
            let truth = any(request, p, Effect::Deny, &mut denies, |_, s| {
                Truth::of(request.caller.means(s.principals.as_ref()) != Means::Not)
            });
            deny = deny.or(truth);
        }
        // A deny of all but some principals hits every principal with a boundary (IAM User Guide, "NotPrincipal").
        if layers.boundary.is_some()
            && let Some(p) = &layers.resource
        {
            let turned = |s: &Statement| s.principals.as_ref().is_some_and(|p| p.not);
            deny = deny.or(any(request, p, Effect::Deny, &mut denies, |_, s| Truth::of(turned(s))));
        }
    }
    let mut allows = Found::default();
    let granted = granted(request, layers, &mut allows);
    let levels = scps.into_iter().flatten().map(|level| {
        Truth::any(
            level.iter().map(|p| any(request, p, Effect::Allow, &mut allows, |_, _| Truth::Yes)).collect::<Vec<_>>(),
        )
    });
    let permitted = granted.and(Truth::all(levels.collect::<Vec<_>>()));
    let decision = match (deny, permitted) {
        (Truth::Yes, _) => Decision::ExplicitDeny,
        (_, Truth::No) => Decision::ImplicitDeny,
        (Truth::No, Truth::Yes) => Decision::Allow,
        _ => Decision::Unknown,
    };
    let (mut statements, mut unknown_keys) = (Vec::new(), BTreeSet::new());
    match decision {
        Decision::ExplicitDeny => statements.extend(denies.cited.into_iter().filter(|c| c.sure)),
        Decision::ImplicitDeny => {}
        Decision::Allow => statements.extend(allows.cited.into_iter().filter(|c| c.sure)),
        Decision::Unknown => {
            statements.extend(allows.cited.into_iter().chain(denies.cited));
            unknown_keys.extend(allows.open.into_iter().chain(denies.open));
        }
    }
    statements.sort();
    statements.dedup();
    Outcome { decision, statements, unknown_keys }
}

/// Whether policies of identity and resource allow it, organizations aside. Only what takes part in a way that allows, or
/// may, is cited.
fn granted(request: &Request<'_>, layers: &Layers<'_>, found: &mut Found) -> Truth {
    let caller = request.caller;
    let same = caller.account() == Some(request.resource_account);
    // How the policy of the resource allows: itself, by the role, by the account.
    let mut by: [(Truth, Found); 3] = Default::default();
    if let Some(p) = &layers.resource {
        let kinds = [Means::Itself, Means::Role, Means::Account];
        for ((truth, cited), kind) in by.iter_mut().zip(kinds) {
            *truth =
                any(request, p, Effect::Allow, cited, |_, s| Truth::of(caller.means(s.principals.as_ref()) == kind));
        }
        if layers.restrict_public_buckets && !same && is_public(p.1) {
            by = Default::default();
        }
    }
    let [itself, role, account] = by;
    if matches!(caller, Caller::Service(_) | Caller::Federated(_) | Caller::Anonymous) {
        found.take(&itself.1);
        return itself.0;
    }
    let mut own = Found::default();
    let identity = Truth::any(
        layers.identity.iter().map(|p| any(request, p, Effect::Allow, &mut own, |_, _| Truth::Yes)).collect::<Vec<_>>(),
    );
    let mut bounds = Found::default();
    let mut within = |p: &Option<Policy<'_>>| match p {
        None => Truth::Yes,
        Some(p) => any(request, p, Effect::Allow, &mut bounds, |_, _| Truth::Yes),
    };
    let limits = within(&layers.boundary).and(within(&layers.session));
    let mut by_grants = Found::default();
    let grant = Truth::any(layers.grants.iter().map(|g| by_grant(request, g, &mut by_grants)).collect::<Vec<_>>());
    // A key and a role answer to the account only where their own policy says so.
    let (service, _) = request.action.split_once(':').unwrap_or_default();
    let closed = service.eq_ignore_ascii_case("kms") && request.resource.contains(":key/")
        || service.eq_ignore_ascii_case("sts") && request.resource.contains(":role/");
    let nothing = Found::default();
    let ways: Vec<(Truth, Vec<&Found>)> = match same {
        false => {
            let outside = Truth::any([itself.0, role.0, account.0]);
            vec![(outside.and(identity).and(limits), vec![&itself.1, &role.1, &account.1, &own, &bounds])]
        }
        true => {
            let (by_account, cited) = if closed { (account.0, &account.1) } else { (Truth::Yes, &nothing) };
            vec![
                (itself.0, vec![&itself.1]),
                (role.0.and(limits), vec![&role.1, &bounds]),
                (by_account.and(identity).and(limits), vec![cited, &own, &bounds]),
            ]
        }
    };
    let ways: Vec<(Truth, Vec<&Found>)> = ways.into_iter().chain([(grant, vec![&by_grants])]).collect();
    let best = Truth::any(ways.iter().map(|(t, _)| *t));
    for cited in ways.iter().filter(|(t, _)| *t == best && best != Truth::No).flat_map(|(_, f)| f) {
        found.take(cited);
    }
    best
}

fn by_grant(request: &Request<'_>, grant: &Grant, found: &mut Found) -> Truth {
    let is = match request.caller {
        Caller::User(arn) => grant.grantee == *arn,
        Caller::Session(arn, role) => grant.grantee == *role || grant.grantee == *arn,
        _ => false,
    };
    let operation = request.action.split_once(':').map_or("", |(_, a)| a);
    if !is || !grant.operations.iter().any(|o| o.eq_ignore_ascii_case(operation)) {
        return Truth::No;
    }
    let sure = !grant.constrained;
    found.cited.push(Cited { policy: grant.name.clone(), statement: grant.index, denies: false, sure });
    if sure {
        return Truth::Yes;
    }
    found.open.insert("kms:EncryptionContext".to_owned());
    Truth::Unknown
}

/// Whether a bucket policy is public: it allows everyone without a condition on who (S3 User Guide, "The meaning of
/// public").
fn is_public(d: &Document) -> bool {
    d.statements.iter().any(|s| {
        let everyone =
            s.principals.as_ref().is_some_and(|p| !p.not && p.list.contains(&super::policy::Named::Everyone));
        s.effect == Effect::Allow && everyone && s.conditions.is_empty()
    })
}

/// Whether any statement of an effect matches. `means`: whether it is about the caller.
fn any(
    request: &Request<'_>,
    (name, document): &Policy<'_>,
    effect: Effect,
    found: &mut Found,
    means: impl Fn(&Document, &Statement) -> Truth,
) -> Truth {
    let mut all = Truth::No;
    for (n, s) in document.statements.iter().enumerate().filter(|(_, s)| s.effect == effect) {
        let about = means(document, s);
        if about == Truth::No {
            continue;
        }
        let mut open = Vec::new();
        let truth = about.and(applies(request, document, s, &mut open));
        if truth == Truth::No {
            continue;
        }
        if truth == Truth::Unknown {
            found.open.extend(open);
        }
        let cited =
            Cited { policy: name.clone(), statement: n, denies: effect == Effect::Deny, sure: truth == Truth::Yes };
        found.cited.push(cited);
        all = all.or(truth);
    }
    all
}

/// Whether action, resource and conditions of a statement fit a request.
fn applies(request: &Request<'_>, document: &Document, s: &Statement, open: &mut Vec<String>) -> Truth {
    let action = s.actions.list.iter().any(|a| pattern::matches_action(a, request.action)) != s.actions.not;
    if !action {
        return Truth::No;
    }
    let mut truth = match &s.resources {
        None => Truth::Yes,
        Some(r) => resource(request, document, r, open),
    };
    for c in &s.conditions {
        if truth == Truth::No {
            return Truth::No;
        }
        truth = truth.and(c.holds(request.context, document.variables, open));
    }
    truth
}

fn resource(request: &Request<'_>, document: &Document, list: &Listed<String>, open: &mut Vec<String>) -> Truth {
    let hit = Truth::any(list.list.iter().map(|r| match pattern::expand(r, document.variables, request.context) {
        Ok(parts) => Truth::of(pattern::matches(&parts, request.resource)),
        Err(Missing::Null) => Truth::No,
        Err(Missing::Unknown(key)) => {
            open.push(key);
            Truth::Unknown
        }
    }));
    if list.not { !hit } else { hit }
}
