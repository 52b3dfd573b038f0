//! Saved answers of the command lines of clouds, one file a call: the objects that they tell of.
//!
//! List answers name objects; an answer about one completes it. What an answer has that no rule reads is dropped.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{aws, azure, gcp};
use crate::model::cloud::{CloudObject, Provider, scope};
use crate::model::meta::Meta;

/// Objects of an account under construction, by kind and name.
#[derive(Debug, Default)]
pub struct Account {
    pub(super) objects: BTreeMap<(String, String), Map<String, Value>>,
    /// Account that the answers are about, where it is not that of the cluster.
    scope: String,
}

/// Kinds whose names are used again in other accounts.
const SCOPED: [&str; 11] = [
    "Account",
    "IamGroup",
    "IamInstanceProfile",
    "IamRole",
    "IamUser",
    "KmsAlias",
    "KmsKey",
    "OpenIDConnectProvider",
    "Organization",
    "SecretsManagerSecret",
    "Version",
];

impl Account {
    /// Takes a saved answer up, by the name of its file; in a folder that is named by an account, it is of that one. `false`
    /// for a call that is not known.
    pub fn answer(&mut self, provider: Provider, file: &str, value: &Value) -> bool {
        let (folder, stem) = file.rsplit_once('/').unwrap_or(("", file));
        let folder = folder.rsplit('/').next().unwrap_or_default();
        let account = format!("{folder}:");
        self.about(if scope(&account).0.is_empty() { "" } else { folder });
        let known = self.take(provider, stem.strip_suffix(".json").unwrap_or(stem), value);
        if known && !self.scope.is_empty() {
            let account = self.scope.clone();
            self.entry("Account", &account);
        }
        self.about("");
        known
    }

    /// Says which account the answers that follow are about: an empty name for that of the cluster.
    pub fn about(&mut self, account: &str) {
        self.scope = account.to_owned();
    }

    /// Takes an answer up, by the name of its call. `false` for a call that is not known.
    pub fn take(&mut self, provider: Provider, stem: &str, value: &Value) -> bool {
        // Names may begin with that of the program.
        let stem = stem.strip_prefix(provider.program()).and_then(|s| s.strip_prefix('-')).unwrap_or(stem);
        let known = match provider {
            Provider::Aws => aws::read(self, stem, value),
            Provider::Gcp => gcp::read(self, stem, value),
            Provider::Azure => azure::read(self, stem, value),
        };
        // A page of several says nothing of what is on the others.
        let whole = value.get("IsTruncated") != Some(&Value::Bool(true))
            && ["NextToken", "nextToken", "Marker", "NextMarker", "nextLink", "@odata.nextLink"]
                .iter()
                .all(|k| text(value, k).is_empty());
        if known && whole {
            let call = provider.call(stem);
            let call = if self.scope.is_empty() { call } else { format!("{}:{call}", self.scope) };
            self.objects.entry(("Call".to_owned(), call)).or_default();
        }
        known
    }

    /// The objects, sorted by kind and name.
    pub fn into_objects(mut self) -> Vec<CloudObject> {
        aws::place(&mut self);
        gcp::place(&mut self);
        azure::place(&mut self);
        let named = self.objects.into_iter().filter(|((_, name), _)| !name.is_empty());
        named
            .map(|((kind, name), spec)| CloudObject {
                metadata: Meta { namespace: kind, name, ..Meta::default() },
                spec: Value::Object(spec),
            })
            .collect()
    }

    /// The object of that kind and name, new if it is not there.
    pub(super) fn entry(&mut self, kind: &str, name: &str) -> &mut Map<String, Value> {
        let scoped = !self.scope.is_empty() && !name.is_empty() && SCOPED.contains(&kind);
        let name = if scoped { format!("{}:{name}", self.scope) } else { name.to_owned() };
        let entry = self.objects.entry((kind.to_owned(), name)).or_default();
        // Buckets do not say whose they are.
        if kind == "S3Bucket" && !self.scope.is_empty() {
            entry.insert("Account".to_owned(), Value::from(self.scope.as_str()));
        }
        entry
    }

    /// Names of the objects of a kind.
    pub(super) fn names(&self, kind: &str) -> Vec<String> {
        self.objects.keys().filter(|(k, _)| k == kind).map(|(_, n)| n.clone()).collect()
    }

    /// Gives an object another name. Where one has that name already, it is completed; lists are joined.
    pub(super) fn rename(&mut self, kind: &str, from: &str, to: &str) {
        if from == to {
            return;
        }
        let Some(old) = self.objects.remove(&(kind.to_owned(), from.to_owned())) else { return };
        let entry = self.entry(kind, to);
        for (field, value) in old {
            match (entry.get_mut(&field), value) {
                (Some(Value::Array(all)), Value::Array(more)) => {
                    let new: Vec<Value> = more.into_iter().filter(|v| !all.contains(v)).collect();
                    all.extend(new);
                }
                (Some(_), _) => {}
                (None, value) => {
                    entry.insert(field, value);
                }
            }
        }
    }

    /// Gives objects that go by a path, in `field`, the last segment of it as name, or `other` where several share that.
    /// What an answer names by the last segment alone is the one that has it.
    pub(super) fn shorten(&mut self, kind: &str, field: &str, other: &dyn Fn(&str) -> String) {
        let mut by_last: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in self.names(kind) {
            let own = self.objects.get(&(kind.to_owned(), name.clone())).is_some_and(|o| o.contains_key(field));
            if own {
                by_last.entry(last(&name).to_owned()).or_default().push(name);
            }
        }
        for (short, all) in by_last {
            match all.as_slice() {
                [one] => self.rename(kind, one, &short),
                several => {
                    // Where the longer names are shared as well, the path stays.
                    let longer: Vec<String> = several.iter().map(|n| other(n)).collect();
                    for (name, long) in several.iter().zip(&longer) {
                        if longer.iter().filter(|l| *l == long).count() == 1 {
                            self.rename(kind, name, long);
                        }
                    }
                }
            }
        }
    }

    /// Keeps some fields of an answer.
    pub(super) fn put(&mut self, kind: &str, name: &str, value: &Value, fields: &[&str]) {
        let entry = self.entry(kind, name);
        for f in fields {
            if let Some(v) = value.get(f).filter(|v| !v.is_null()) {
                entry.insert((*f).to_owned(), v.clone());
            }
        }
    }

    /// Sets one field, unless there is nothing to set.
    pub(super) fn set(&mut self, kind: &str, name: &str, field: &str, value: Option<&Value>) {
        if let Some(v) = value.filter(|v| !v.is_null()) {
            self.entry(kind, name).insert(field.to_owned(), v.clone());
        }
    }
}

/// How the answer of a call is taken up; the text is what follows the call in the name of the file.
pub(super) type Reader = fn(&mut Account, &str, &Value);

/// Takes an answer up by the call, of those in a table, that the name of its file begins with; of several that fit the
/// longest counts. `false` for a call that is not in it.
pub(super) fn read_by(calls: &[(&str, Reader)], account: &mut Account, stem: &str, value: &Value) -> bool {
    let fitting = calls.iter().filter_map(|(call, read)| Some((call, after(stem, call)?, read)));
    let Some((_, rest, read)) = fitting.max_by_key(|(call, ..)| call.len()) else { return false };
    read(account, rest, value);
    true
}

/// What follows the call in a file name; nothing where it is another call.
pub(super) fn after<'a>(stem: &'a str, call: &str) -> Option<&'a str> {
    match stem.strip_prefix(call)? {
        "" => Some(""),
        rest => rest.strip_prefix('-'),
    }
}

/// A text of an answer; empty where it is not there.
pub(super) fn text<'a>(v: &'a Value, field: &str) -> &'a str {
    v.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A list of an answer; empty where it is not there.
pub(super) fn list<'a>(v: &'a Value, field: &str) -> &'a [Value] {
    v.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Objects of an answer that is a list of them, or one.
pub(super) fn each(v: &Value) -> &[Value] {
    match v {
        Value::Array(all) => all,
        // The APIs themselves keep the items of a list below `value`.
        one => one.get("value").and_then(Value::as_array).map_or(std::slice::from_ref(one), Vec::as_slice),
    }
}

/// Some fields of an object.
pub(super) fn kept(v: &Value, fields: &[&str]) -> Value {
    let all = fields.iter().filter_map(|f| Some(((*f).to_owned(), v.get(f).filter(|x| !x.is_null())?.clone())));
    Value::Object(all.collect())
}

/// The last segment of a path or an ARN.
pub(super) fn last(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page about saved answers names every call that is read, and no other.
    #[test]
    fn every_call_is_in_the_documentation() {
        let page = include_str!("../../../docs/cloud.md");
        let rows = page.lines().filter(|l| l.starts_with("| `"));
        let mut named: Vec<&str> = rows.flat_map(|l| l.split('`').skip(1).step_by(2)).collect();
        named.retain(|n| n.contains('-') && !n.contains([' ', '.']));
        let read: Vec<&str> = aws::calls().into_iter().chain(gcp::calls()).chain(azure::calls()).collect();
        let lacking: Vec<&&str> = read.iter().filter(|c| !named.contains(c)).collect();
        assert!(lacking.is_empty(), "not in docs/cloud.md: {lacking:?}");
        let strange: Vec<&&str> = named.iter().filter(|c| !read.contains(c)).collect();
        assert!(strange.is_empty(), "in docs/cloud.md, and not read: {strange:?}");
    }
}
