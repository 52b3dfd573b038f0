//! Import of what `kubectl get -o json|yaml` writes, and of plain manifests.

mod aws;
mod azure;
pub mod cloud;
mod gcp;
pub mod prepare;
pub mod reader;
pub mod yaml;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Snapshot;
use crate::model::cloud::Provider;
use crate::model::{Gap, Kind, Version};
use prepare::{group_of, text};

/// Collects objects from decoded documents.
#[derive(Debug, Default)]
pub struct Importer {
    /// What was read so far.
    pub snapshot: Snapshot,
    /// Objects or empty lists accepted.
    pub accepted: usize,
    /// Kinds kpath does not read, with counts.
    other_kinds: BTreeMap<String, usize>,
    /// Objects of cloud accounts.
    account: cloud::Account,
}

impl Importer {
    /// Takes one document: an object, a list of any kind, or the answer of `kubectl version -o json`.
    /// `file` names the file in messages; `hint` is the kind that the file name gives.
    ///
    /// # Errors
    /// A reason when the document is no Kubernetes object.
    pub fn document(&mut self, value: Value, file: &str, hint: Option<Kind>) -> Result<(), String> {
        let Value::Object(map) = value else {
            return Err(format!("not a Kubernetes object: the document is {}", kind_of_json(&value)));
        };
        if let Some(version) = map.get("serverVersion").and_then(|v| v.get("gitVersion")).and_then(Value::as_str) {
            self.snapshot.version = Version::parse(version).or(self.snapshot.version);
            self.accepted += 1;
            return Ok(());
        }
        if map.contains_key("clientVersion") {
            self.accepted += 1;
            return Ok(());
        }
        let kind = text(&map, "kind").to_owned();
        if kind.is_empty() {
            return Err("not a Kubernetes object: it has no kind".into());
        }
        if let Some(item_kind) = kind.strip_suffix("List")
            && (map.contains_key("items") || item_kind.is_empty() || !map.contains_key("spec"))
        {
            return self.list(map, item_kind.to_owned(), file, hint);
        }
        self.object(map, file, None);
        Ok(())
    }

    fn list(
        &mut self,
        mut map: Map<String, Value>,
        item_kind: String,
        file: &str,
        hint: Option<Kind>,
    ) -> Result<(), String> {
        if let Some(key) = yaml::marked(&map) {
            self.skip(file, "", format!("duplicate key {key:?}"));
            return Ok(());
        }
        let group = group_of(text(&map, "apiVersion")).to_owned();
        let partial = item_kind == "PartialObjectMetadata";
        let listed = if item_kind.is_empty() || partial { hint } else { Kind::find(&item_kind, &group) };
        let remaining =
            map.get("metadata").and_then(|m| m.get("continue")).and_then(Value::as_str).unwrap_or_default().to_owned();
        let items = match map.remove("items") {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err("items is not a list".into()),
        };
        self.accepted += 1;
        if let Some(kind) = listed {
            self.snapshot.read.insert(kind);
            if !remaining.is_empty() {
                self.snapshot.gaps.push(Gap {
                    id: format!("unread:{}", kind.info().kind),
                    file: file.to_owned(),
                    object: String::new(),
                    reason: "the list is one page of several (metadata.continue is set)".into(),
                    hides: super::build::hides(kind).into(),
                });
                self.snapshot.read.remove(&kind);
            }
        }
        for item in items {
            match item {
                Value::Object(o) => self.object(o, file, listed.filter(|_| !item_kind.is_empty() || partial)),
                Value::Null => {}
                other => {
                    let reason = format!("list item is {}", kind_of_json(&other));
                    match listed {
                        Some(kind) => self.skip_kind(file, "", reason, kind),
                        None => self.skip(file, "", reason),
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes one object; `listed` is the kind of the list it came in, for items that name none.
    fn object(&mut self, map: Map<String, Value>, file: &str, listed: Option<Kind>) {
        let name = text(&map, "kind").to_owned();
        let group = group_of(text(&map, "apiVersion")).to_owned();
        let kind = match (name.as_str(), listed) {
            ("" | "PartialObjectMetadata", Some(k)) => Some(k),
            _ => Kind::find(&name, &group).or_else(|| legacy_group(&name, &group)),
        };
        let label = object_label(&name, &map);
        let Some(kind) = kind else {
            self.accepted += 1;
            let full = if group.is_empty() { name } else { format!("{name}.{group}") };
            if full.is_empty() {
                self.skip(file, &label, "it has no kind".into());
            } else {
                *self.other_kinds.entry(full).or_default() += 1;
            }
            return;
        };
        let mut value = Value::Object(map);
        if let Some(key) = yaml::duplicate_key(&value) {
            let reason = format!("duplicate key {key:?}");
            self.skip_kind(file, &label, reason, kind);
            return;
        }
        prepare::strip_nulls(&mut value);
        prepare::prepare(kind, &mut value);
        let info = kind.info();
        let meta = value.get("metadata").and_then(Value::as_object);
        if meta.is_none_or(|m| text(m, "name").is_empty()) {
            self.skip_kind(file, &label, "metadata.name is missing".into(), kind);
            return;
        }
        if let Some(m) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            // A namespace that is no string (an unquoted `n` is a boolean in YAML 1.1) is refused by the decoder.
            let unset = m.get("namespace").is_none_or(|n| n.as_str() == Some(""));
            if info.namespaced && unset {
                m.insert("namespace".into(), Value::from("default"));
            } else if !info.namespaced {
                m.remove("namespace");
            }
        }
        match self.snapshot.objects.push(kind, value) {
            Ok(()) => {
                self.accepted += 1;
                if !self.snapshot.gaps.iter().any(|g| g.id == format!("unread:{}", info.kind)) {
                    self.snapshot.read.insert(kind);
                }
            }
            Err(reason) => self.skip_kind(file, &label, reason, kind),
        }
    }

    /// Notes a skipped file or object.
    pub fn skip(&mut self, file: &str, object: &str, reason: String) {
        self.snapshot.gaps.push(Gap {
            id: String::new(),
            file: file.to_owned(),
            object: object.to_owned(),
            reason,
            hides: String::new(),
        });
    }

    /// Notes a file, or a part of one, that could hold any object.
    pub fn unread_file(&mut self, file: &str, reason: String) {
        self.snapshot.gaps.push(Gap {
            id: format!("unread-file:{file}"),
            file: file.to_owned(),
            object: String::new(),
            reason,
            hides: "objects that could add a path".into(),
        });
    }

    fn skip_kind(&mut self, file: &str, object: &str, reason: String, kind: Kind) {
        self.snapshot.gaps.push(Gap {
            id: format!("skipped:{}", kind.info().kind),
            file: file.to_owned(),
            object: object.to_owned(),
            reason,
            hides: super::build::hides(kind).into(),
        });
    }

    /// Adds what another importer took.
    pub fn absorb(&mut self, other: Importer) {
        self.snapshot.objects.append(other.snapshot.objects);
        self.snapshot.read.extend(other.snapshot.read);
        self.snapshot.gaps.extend(other.snapshot.gaps);
        self.snapshot.version = self.snapshot.version.or(other.snapshot.version);
        self.accepted += other.accepted;
        for (kind, count) in other.other_kinds {
            *self.other_kinds.entry(kind).or_default() += count;
        }
    }

    /// Takes the saved answer of a call of a cloud's command line; what is malformed is noted by its file.
    pub fn cloud(&mut self, provider: Provider, file: &str, bytes: &[u8]) {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(v) if self.account.answer(provider, file, &v) => {
                self.snapshot.read.insert(Kind::CloudObject);
            }
            Ok(_) => self.skip(file, "", "a call that kpath does not read".into()),
            Err(e) => {
                let call = file.rsplit('/').next().unwrap_or(file);
                let call = call.strip_suffix(".json").unwrap_or(call);
                let call = call.strip_prefix(provider.program()).and_then(|c| c.strip_prefix('-')).unwrap_or(call);
                self.snapshot.gaps.push(Gap {
                    id: format!("unread:{}", provider.call(call)),
                    file: file.to_owned(),
                    reason: format!("malformed JSON: {}", crate::model::decode::redact(&e.to_string())),
                    hides: "cloud objects that could add or block a step".into(),
                    ..Gap::default()
                });
            }
        }
    }

    /// Ends the import: sorts objects, drops duplicates and notes what was left aside.
    pub fn finish(mut self) -> Snapshot {
        self.snapshot.objects.cloud = std::mem::take(&mut self.account).into_objects();
        for (kind, count) in std::mem::take(&mut self.other_kinds) {
            self.skip("", &kind, format!("{count} objects of a kind that kpath does not read"));
        }
        for (kind, count) in self.snapshot.objects.normalise() {
            self.skip("", kind.info().kind, format!("{count} older copies of an object that came twice"));
        }
        self.snapshot
    }
}

/// Groups that older manifests use for kinds that moved.
fn legacy_group(kind: &str, group: &str) -> Option<Kind> {
    match (kind, group) {
        ("Deployment" | "DaemonSet" | "ReplicaSet", "extensions") => Kind::find(kind, "apps"),
        ("Ingress" | "NetworkPolicy", "extensions") => Kind::find(kind, "networking.k8s.io"),
        ("EndpointSlice", "discovery.k8s.io") => Some(Kind::EndpointSlice),
        _ => None,
    }
}

fn object_label(kind: &str, map: &Map<String, Value>) -> String {
    let meta = map.get("metadata").and_then(Value::as_object);
    let part = |k| meta.map(|m| text(m, k)).unwrap_or_default();
    match (part("namespace"), part("name")) {
        ("", "") => kind.to_owned(),
        ("", name) => format!("{kind} {name}"),
        (ns, name) => format!("{kind} {ns}/{name}"),
    }
}

fn kind_of_json(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "plain text",
        Value::Array(_) => "a bare list",
        Value::Object(_) => "a mapping",
    }
}
