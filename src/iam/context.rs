//! The keys of a request.

use std::collections::BTreeMap;

/// What a key of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'c> {
    /// It has these values.
    Known(&'c [String]),
    /// The request does not have it.
    Absent,
    /// It is not known whether the request has it, or with which value.
    Unknown,
}

/// The keys of a request: those that are known, and those of which nothing is. Any other is absent. Names of keys do not
/// differ by case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    known: BTreeMap<String, Vec<String>>,
    unknown: Vec<String>,
    absent: Vec<String>,
}

impl Context {
    /// A context without a key.
    pub fn new() -> Self {
        Context::default()
    }

    /// Sets a key; a list of values is a multivalued key. An empty list is an absent key.
    pub fn set(&mut self, key: &str, values: impl IntoIterator<Item = impl Into<String>>) {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        let key = key.to_lowercase();
        if values.is_empty() {
            self.known.remove(&key);
        } else {
            self.known.insert(key, values);
        }
    }

    /// The same, for building.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set(key, [value]);
        self
    }

    /// Says that nothing is known of a key; `*` at the end stands for every key that begins so.
    pub fn set_unknown(&mut self, key: &str) {
        self.unknown.push(key.to_lowercase());
    }

    /// Says that the request does not have a key, whatever is said of others like it.
    pub fn set_absent(&mut self, key: &str) {
        self.absent.push(key.to_lowercase());
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Value<'_> {
        let key = key.to_lowercase();
        if let Some(v) = self.known.get(&key) {
            return Value::Known(v);
        }
        let hit = |u: &String| match u.strip_suffix('*') {
            Some(start) => key.starts_with(start),
            None => *u == key,
        };
        if self.absent.contains(&key) {
            return Value::Absent;
        }
        if self.unknown.iter().any(hit) { Value::Unknown } else { Value::Absent }
    }
}
