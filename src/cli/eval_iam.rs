//! `kpath eval iam`: one request with all its policies a line.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::iam::evaluate::Policy;
use crate::iam::{Caller, Context, Document, Grant, Layers, Request, decide, principal};

/// A request with the policies that have a say.
#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Case {
    principal: String,
    principal_role_arn: Option<String>,
    action: String,
    resource: String,
    resource_account: String,
    context: serde_json::Map<String, Value>,
    unknown_keys: Vec<String>,
    identity: Option<Vec<Value>>,
    boundary: Option<Value>,
    session: Option<Value>,
    resource_policy: Option<Value>,
    scps: Option<Vec<Vec<Value>>>,
    rcps: Option<Vec<Vec<Value>>>,
    grants: Vec<KmsGrant>,
    s3_restrict_public_buckets: bool,
    account_is_management: bool,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct KmsGrant {
    grantee_principal: String,
    operations: Vec<String>,
    constraints: Option<serde_json::Map<String, Value>>,
}

/// A document, with the name of its place for an error.
fn document(place: &str, value: &Value) -> Result<Document, String> {
    Document::new(value).map_err(|e| format!("{place}: {e}"))
}

fn several(place: &str, values: &[Value]) -> Result<Vec<(String, Document)>, String> {
    let named = |(n, v): (usize, &Value)| {
        let name = format!("{place}/{n}");
        document(&name, v).map(|d| (name, d))
    };
    values.iter().enumerate().map(named).collect()
}

/// Documents of an organization by level, with their names.
type Levels = Vec<Vec<(String, Document)>>;

fn levels(place: &str, values: Option<&Vec<Vec<Value>>>) -> Result<Option<Levels>, String> {
    let level = |(n, l): (usize, &Vec<Value>)| several(&format!("{place}/{n}"), l);
    values.map(|v| v.iter().enumerate().map(level).collect()).transpose()
}

fn one(place: &str, value: Option<&Value>) -> Result<Option<(String, Document)>, String> {
    value.map(|v| document(place, v).map(|d| (place.to_owned(), d))).transpose()
}

fn borrowed(list: &[(String, Document)]) -> Vec<Policy<'_>> {
    list.iter().map(|(n, d)| (n.clone(), d)).collect()
}

/// Answers one line.
///
/// # Errors
/// What cannot be read.
pub(super) fn line(text: &str) -> Result<Value, String> {
    let c: Case = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let caller = Caller::parse(&c.principal, c.principal_role_arn.as_deref());
    let mut context = Context::new();
    for (key, value) in &c.context {
        let values = match value {
            Value::Array(list) => list.iter().map(plain).collect::<Option<Vec<_>>>(),
            one => plain(one).map(|v| vec![v]),
        };
        context.set(key, values.ok_or_else(|| format!("context {key}: neither a text nor a list of texts"))?);
    }
    c.unknown_keys.iter().for_each(|k| context.set_unknown(k));
    let identity = several("identity", c.identity.as_deref().unwrap_or_default())?;
    let boundary = one("boundary", c.boundary.as_ref())?;
    let session = one("session", c.session.as_ref())?;
    let resource = one("resource_policy", c.resource_policy.as_ref())?;
    let (scps, rcps) = (levels("scps", c.scps.as_ref())?, levels("rcps", c.rcps.as_ref())?);
    let single = |p: &'_ Option<(String, Document)>| p.as_ref().map(|(n, _)| n.clone());
    let layers = Layers {
        identity: borrowed(&identity),
        boundary: single(&boundary).zip(boundary.as_ref().map(|(_, d)| d)),
        session: single(&session).zip(session.as_ref().map(|(_, d)| d)),
        resource: single(&resource).zip(resource.as_ref().map(|(_, d)| d)),
        scps: scps.as_ref().map(|l| l.iter().map(|x| borrowed(x)).collect()),
        rcps: rcps.as_ref().map(|l| l.iter().map(|x| borrowed(x)).collect()),
        grants: c
            .grants
            .into_iter()
            .enumerate()
            .map(|(index, g)| Grant {
                name: "grants".to_owned(),
                index,
                grantee: g.grantee_principal,
                operations: g.operations,
                constrained: g.constraints.is_some_and(|c| !c.is_empty()),
            })
            .collect(),
        restrict_public_buckets: c.s3_restrict_public_buckets,
        is_management: c.account_is_management,
    };
    let account = match c.resource_account.as_str() {
        "" => principal::account(&c.resource).unwrap_or_default(),
        given => given,
    };
    let request = Request {
        caller: &caller,
        action: &c.action,
        resource: &c.resource,
        resource_account: account,
        context: &context,
    };
    let outcome = decide(&request, &layers);
    let statements: Vec<Value> = outcome
        .statements
        .iter()
        .map(|s| {
            let effect = if s.denies { "Deny" } else { "Allow" };
            json!({"policy": s.policy, "statement": s.statement, "effect": effect, "certain": s.sure})
        })
        .collect();
    Ok(json!({
        "decision": outcome.decision.name(),
        "statements": statements,
        "unknown_keys": outcome.unknown_keys,
    }))
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}
