//! Policy documents (IAM User Guide, "IAM JSON policy elements reference").

use serde_json::{Map, Value};

use super::condition::Condition;

/// A policy document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Whether variables have values: from version 2012-10-17 on.
    pub variables: bool,
    /// Statements in order.
    pub statements: Vec<Statement>,
}

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Allows.
    Allow,
    /// Denies.
    Deny,
}

/// A list, and whether it is turned round (`NotAction`, `NotResource`, `NotPrincipal`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// Everything but these.
    pub not: bool,
    /// These.
    pub list: Vec<T>,
}

/// One principal of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// `"*"`, or `{"AWS": "*"}`.
    Everyone,
    /// An account id, an ARN, or the id of a principal that is no more.
    Aws(String),
    /// A service.
    Service(String),
    /// An identity provider.
    Federated(String),
    /// Of another kind.
    Other,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Allow or Deny.
    pub effect: Effect,
    /// Id, may be empty.
    pub sid: String,
    /// Actions.
    pub actions: Listed<String>,
    /// Resources; none in the trust policy of a role.
    pub resources: Option<Listed<String>>,
    /// Principals; none in a policy of an identity.
    pub principals: Option<Listed<Named>>,
    /// Conditions, all of which must hold.
    pub conditions: Vec<Condition>,
}

impl Document {
    /// Reads a document: JSON, or JSON that is percent-encoded as the IAM API gives it.
    ///
    /// # Errors
    /// What is wrong with it, without its content.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_start();
        if text.starts_with('{') {
            let value: Value = serde_json::from_str(text).map_err(|e| crate::model::decode::redact(&e.to_string()))?;
            return Self::new(&value);
        }
        let decoded =
            crate::model::decode::percent_decoded(text).ok_or("the policy is neither JSON nor percent-encoded JSON")?;
        if !decoded.trim_start().starts_with('{') {
            return Err("the policy is no JSON object".into());
        }
        let value: Value = serde_json::from_str(&decoded).map_err(|e| crate::model::decode::redact(&e.to_string()))?;
        Self::new(&value)
    }

    /// Reads a document that is given as JSON or as a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(value: &Value) -> Result<Self, String> {
        if let Value::String(text) = value {
            return Self::parse(text);
        }
        let map = value.as_object().ok_or("a policy is a JSON object")?;
        let variables = map.get("Version").and_then(Value::as_str) == Some("2012-10-17");
        let statements = match map.get("Statement") {
            Some(Value::Array(list)) => {
                list.iter().enumerate().map(|(n, s)| statement(n, s)).collect::<Result<_, _>>()?
            }
            Some(one @ Value::Object(_)) => vec![statement(0, one)?],
            _ => return Err("Statement is missing".into()),
        };
        Ok(Document { variables, statements })
    }
}

fn statement(n: usize, value: &Value) -> Result<Statement, String> {
    let fail = |what: &str| format!("Statement {n}: {what}");
    let map = value.as_object().ok_or_else(|| fail("is no object"))?;
    let effect = match map.get("Effect").and_then(Value::as_str) {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err(fail("Effect is neither Allow nor Deny")),
    };
    let conditions = match map.get("Condition") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(block)) => super::condition::parse(block).map_err(|e| fail(&e))?,
        Some(_) => return Err(fail("Condition is no object")),
    };
    Ok(Statement {
        effect,
        sid: map.get("Sid").and_then(Value::as_str).unwrap_or_default().to_owned(),
        actions: listed(map, "Action", "NotAction").map_err(|e| fail(&e))?.ok_or_else(|| fail("Action is missing"))?,
        resources: listed(map, "Resource", "NotResource").map_err(|e| fail(&e))?,
        principals: principals(map).map_err(|e| fail(&e))?,
        conditions,
    })
}

/// Texts of one element or of the one that turns it round.
fn listed(map: &Map<String, Value>, name: &str, not: &str) -> Result<Option<Listed<String>>, String> {
    match (map.get(name), map.get(not)) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(format!("{name} and {not} are both there")),
        (Some(v), None) => Ok(Some(Listed { not: false, list: texts(v).ok_or(format!("{name} has no texts"))? })),
        (None, Some(v)) => Ok(Some(Listed { not: true, list: texts(v).ok_or(format!("{not} has no texts"))? })),
    }
}

/// A text or a list of them.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(list) => list.iter().map(text).collect(),
        one => text(one).map(|t| vec![t]),
    }
}

/// A text, a number or a boolean, as a text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn principals(map: &Map<String, Value>) -> Result<Option<Listed<Named>>, String> {
    let (not, value) = match (map.get("Principal"), map.get("NotPrincipal")) {
        (None, None) => return Ok(None),
        (Some(v), None) => (false, v),
        (None, Some(v)) => (true, v),
        (Some(_), Some(_)) => return Err("Principal and NotPrincipal are both there".into()),
    };
    let list = match value {
        Value::String(s) if s == "*" => vec![Named::Everyone],
        Value::Object(kinds) => {
            let mut all = Vec::new();
            for (kind, names) in kinds {
                let names = texts(names).ok_or_else(|| format!("Principal {kind} has no texts"))?;
                all.extend(names.into_iter().map(|n| match (kind.as_str(), n.as_str()) {
                    ("AWS", "*") => Named::Everyone,
                    ("AWS", _) => Named::Aws(n),
                    ("Service", _) => Named::Service(n),
                    ("Federated", _) => Named::Federated(n),
                    _ => Named::Other,
                }));
            }
            all
        }
        _ => return Err("Principal is neither \"*\" nor an object".into()),
    };
    Ok(Some(Listed { not, list }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_in_each_form() {
        let json = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":["*"],"Principal":{"AWS":["*","111122223333"],"Service":"ec2.amazonaws.com"}}}"#;
        let encoded: String = json.bytes().map(|b| format!("%{b:02X}")).collect();
        let d = Document::parse(json).unwrap();
        assert_eq!(Document::parse(&encoded), Ok(d.clone()));
        assert_eq!(Document::new(&Value::String(json.into())), Ok(d.clone()));
        let named = [Named::Everyone, Named::Aws("111122223333".into()), Named::Service("ec2.amazonaws.com".into())];
        assert_eq!(d.statements[0].principals.as_ref().unwrap().list, named);
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            "%7",
            r#"{"Statement":[{"Effect":"Maybe","Action":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","NotAction":"*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":{"a":1}}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Principal":"bob"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"*","Condition":{"Bool":"x"}}]}"#,
        ] {
            assert!(Document::parse(bad).is_err(), "{bad}");
        }
    }
}
