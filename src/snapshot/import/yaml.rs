//! YAML as kubectl reads it, decoded to JSON values.
//!
//! kubectl converts YAML 1.1 with `sigs.k8s.io/yaml`: unquoted `yes`, `on` and `y` are booleans, `0644` is octal,
//! anchors and merge keys work, duplicate keys are refused. A duplicate key costs the object it is in, not the file.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Key that marks a mapping with a duplicate key; no Kubernetes field has a NUL in its name.
const DUPLICATE: &str = "\u{0}duplicate";

/// Splits a stream at `---` lines as kubectl does, so that one broken document costs only itself.
/// Returns each document with the line it starts at, counted from 1.
pub fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    for (n, line) in text.split_inclusive('\n').enumerate() {
        let end = offset + line.len();
        let trimmed = line.trim_end();
        if trimmed == "---" || trimmed.starts_with("--- ") || trimmed == "..." {
            out.push((start_line, text.get(start..offset).unwrap_or_default()));
            // Content may follow the marker on its line.
            let keep = if trimmed.len() > 4 { offset + 4 } else { end };
            start = keep;
            start_line = n + 1;
        }
        offset = end;
    }
    out.push((start_line, text.get(start..).unwrap_or_default()));
    out.retain(|(_, d)| {
        d.lines().any(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#') && !l.starts_with('%'))
    });
    out
}

/// Decodes one document.
///
/// # Errors
/// The decoder's message, with line and column, for malformed YAML or one that expands too far.
pub fn decode(text: &str) -> Result<Value, String> {
    let mut options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        legacy_octal_numbers: true,
        strict_booleans: false,
        with_snippet: false,
    };
    if let Some(budget) = options.budget.as_mut() {
        budget.max_nodes = 20_000_000;
        budget.max_events = 60_000_000;
        budget.max_total_scalar_bytes = 1 << 30;
        budget.max_depth = 200;
        budget.max_reader_input_bytes = None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_saphyr::from_str_with_options::<Node>(text, options).map(|n| n.0).map_err(|e| e.to_string())
}

/// The first duplicate key inside a value, if any.
pub fn duplicate_key(value: &Value) -> Option<&str> {
    match value {
        Value::Object(map) => match map.get(DUPLICATE) {
            Some(Value::String(key)) => Some(key),
            _ => map.values().find_map(duplicate_key),
        },
        Value::Array(list) => list.iter().find_map(duplicate_key),
        _ => None,
    }
}

/// Whether this mapping itself, apart from its items, has a duplicate key.
pub fn marked(map: &Map<String, Value>) -> Option<&str> {
    map.get(DUPLICATE).and_then(Value::as_str)
}

struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(NodeVisitor).map(Node)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
        d.deserialize_any(NodeVisitor)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Node(v)) = seq.next_element()? {
            list.push(v);
        }
        Ok(Value::Array(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((Node(key), Node(value))) = access.next_entry()? {
            let key = match key {
                Value::String(s) => s,
                Value::Null => "null".to_owned(),
                Value::Bool(_) | Value::Number(_) => key.to_string(),
                _ => continue,
            };
            if map.contains_key(&key) {
                map.insert(DUPLICATE.to_owned(), Value::String(key));
            } else {
                map.insert(key, value);
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_is_read_as_kubectl_reads_it() {
        let v =
            decode("a: yes\nb: \"yes\"\nc: 0644\nd: &x {k: v}\ne:\n  <<: *x\n  z: 1\nf: on\ng: ~\nh: 0o17\n").unwrap();
        assert_eq!(v["a"], Value::Bool(true));
        assert_eq!(v["b"], Value::from("yes"));
        assert_eq!(v["c"], Value::from(0o644));
        assert_eq!(v["e"]["k"], Value::from("v"));
        assert_eq!(v["f"], Value::Bool(true));
        assert_eq!(v["g"], Value::Null);
    }

    #[test]
    fn documents_split_at_markers_only() {
        let docs = documents("# only a comment\n---\na: 1\n---\n\n--- # x\nb: |\n  --- not a marker\n");
        assert_eq!(docs.iter().map(|d| d.0).collect::<Vec<_>>(), [2, 6]);
    }

    #[test]
    fn a_duplicate_key_is_found_and_aliases_are_bounded() {
        let v = decode("items:\n- {a: 1, a: 2}\n- {b: 1}\n").unwrap();
        assert_eq!(duplicate_key(&v["items"][0]), Some("a"));
        assert_eq!(duplicate_key(&v["items"][1]), None);
        let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..12 {
            bomb += &format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(","));
        }
        assert!(decode(&bomb).is_err());
    }
}
