//! Saved answers of the command lines of clouds, one file a call: the objects that they tell of.
//!
//! List answers name objects; an answer about one completes it. What an answer has that no rule reads is dropped.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{aws, azure, gcp};
use crate::model::cloud::{CloudObject, Provider};
use crate::model::meta::Meta;

/// Objects of an account under construction, by kind and name.
#[derive(Debug, Default)]
pub struct Account {
    pub(super) objects: BTreeMap<(String, String), Map<String, Value>>,
}

impl Account {
    /// Takes a saved answer up, by the name of its file. `false` for a call that is not known.
    pub fn answer(&mut self, provider: Provider, file: &str, value: &Value) -> bool {
        let stem = file.rsplit('/').next().unwrap_or(file);
        self.take(provider, stem.strip_suffix(".json").unwrap_or(stem), value)
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
            && ["NextToken", "nextToken", "Marker", "NextMarker"].iter().all(|k| text(value, k).is_empty());
        if known && whole {
            self.objects.entry(("Call".to_owned(), provider.call(stem))).or_default();
        }
        known
    }

    /// The objects, sorted by kind and name.
    pub fn into_objects(mut self) -> Vec<CloudObject> {
        aws::place_versions(&mut self);
        azure::place_principals(&mut self);
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
        self.objects.entry((kind.to_owned(), name.to_owned())).or_default()
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
        one => std::slice::from_ref(one),
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
