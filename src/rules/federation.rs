//! Tokens of service accounts that somebody outside of the cluster trusts: who has one, and who can get one.
//!
//! A cloud trusts an issuer, an audience and a subject. A pod may have such a token, a right may mint one of any audience,
//! a pod of the attacker's own may project one, and a subject that nobody has yet may be claimed.

use std::collections::BTreeMap;

use super::ctx::{Ctx, Emit};
use super::fact::{EVERYWHERE, Fact, Right, Subject};
use super::rows::{self, Names, need};
use crate::authz::rbac::GrantId;
use crate::model::kind::{Kind, Obj};

/// How a token is won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Some pod has it.
    Held,
    /// It is asked for, with any audience.
    Chosen,
    /// The account is made first, under a name that is trusted.
    Claimed,
}

/// Begins the step that a token allows: technique, conclusion and what the other side says.
pub type Step<'s> = &'s dyn Fn(Way) -> Emit<'static>;

/// Who may ask for tokens of accounts: binding, scope, names, and the rule.
#[derive(Debug)]
struct Minter {
    grant: u32,
    scope: u32,
    names: Names,
    role: Obj,
    pointer: String,
    value: String,
}

/// Ways to tokens of the cluster's accounts.
#[derive(Debug)]
pub struct Tokens {
    minters: Vec<Minter>,
}

impl Tokens {
    /// Finds who may ask for tokens.
    pub fn new(ctx: &Ctx<'_>) -> Self {
        let wanted = need(&["create"], "", "serviceaccounts", "token");
        let mut minters = Vec::new();
        for i in 0..ctx.authz.grants().len() as u32 {
            let Some(g) = ctx.authz.grant(GrantId(i)).copied() else { continue };
            let Some((role, r)) = g.role else { continue };
            let scope = if g.namespace().is_empty() { EVERYWHERE } else { ctx.ns(g.namespace()).unwrap_or(EVERYWHERE) };
            for (j, rule) in r.rules.iter().enumerate() {
                if let Some((verb, names)) = wanted.held_by(rule) {
                    let value = format!("{verb} {} ({})", wanted.label(), rows::describe(rule));
                    minters.push(Minter { grant: i, scope, names, role, pointer: format!("/rules/{j}"), value });
                }
            }
        }
        Tokens { minters }
    }

    /// What a token of an account for an audience allows: from a pod that has it, and from any way to one.
    pub fn account(&self, ctx: &mut Ctx<'_>, account: (&str, &str), audience: &str, step: Step<'_>) {
        self.accounts(ctx, &[account], audience, step);
    }

    /// The same for any of several accounts. One right over all of them is one step, not one for each.
    pub fn accounts(&self, ctx: &mut Ctx<'_>, accounts: &[(&str, &str)], audience: &str, step: Step<'_>) {
        let number = ctx.audiences.id(&audience.to_owned());
        let mut places: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
        for (ns, name) in accounts {
            let subject = ctx.subject(Subject::ServiceAccount((*ns).to_owned(), (*name).to_owned()));
            let token = Fact::Token(subject, number);
            if ctx.facts.find(&token).is_some() {
                ctx.emit(step(Way::Held).from(token).tier(1));
            }
            if let Some(place) = ctx.ns(ns) {
                places.entry(place).or_default().push(name);
            }
        }
        for m in &self.minters {
            let own = |names: &Vec<&str>| match &m.names {
                Names::All => true,
                Names::Some(list) => list.iter().any(|n| names.contains(&n.as_str())),
            };
            let reaches = match m.scope {
                EVERYWHERE => places.values().any(own),
                place => places.get(&place).is_some_and(own),
            };
            if reaches {
                let e = step(Way::Chosen).from(Fact::Grant(m.grant)).tier(1);
                let why = "a token of any audience can be asked for";
                ctx.emit(e.because(m.role, m.pointer.clone(), m.value.clone(), why));
            }
        }
        // A pod of the attacker's own projects a token of any audience.
        for (place, names) in &places {
            let ns = ctx.ns_name(*place).to_owned();
            let first = names.iter().find_map(|n| Some((*n, ctx.cluster.find(Kind::ServiceAccount, &ns, n)?)));
            let Some((name, index)) = first else { continue };
            let o = Obj { kind: Kind::ServiceAccount, index };
            let e = step(Way::Chosen).from(Fact::Workload(*place)).tier(2);
            let why = "a pod may project a token of the account";
            ctx.emit(e.because(o, "/metadata/name", format!("{ns}/{name}"), why));
        }
    }

    /// What a token of an account allows that is not there: its namespace may be, or be new as well.
    pub fn claimed(&self, ctx: &mut Ctx<'_>, (ns, name): (&str, &str), step: Step<'_>) {
        if !is_name(ns) || !is_name(name) {
            return;
        }
        match ctx.ns(ns) {
            Some(place) if ctx.cluster.find(Kind::ServiceAccount, ns, name).is_none() => {
                let e = step(Way::Claimed).tier(3).from(Fact::Right(Right::CreateAccounts, place));
                ctx.emit(e.from(Fact::Workload(place)));
            }
            Some(_) => {}
            // With a namespace comes whatever is in it.
            None => {
                let e = step(Way::Claimed).tier(3).from(Fact::Right(Right::CreateNamespaces, EVERYWHERE));
                ctx.emit(e.from(Fact::AllWorkloads));
            }
        }
    }
}

/// Whether a text can be the name of a namespace or an account.
pub fn is_name(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    !text.is_empty() && text.chars().all(inside)
}
