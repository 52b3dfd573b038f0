//! Clean-up of API JSON before it is decoded into reduced objects.

use serde_json::{Map, Value};

use crate::model::Kind;
use crate::model::volume::OTHER_SOURCES;

/// Removes nulls everywhere: an explicit null means "not set" to the API server.
pub fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(list) => {
            list.retain(|v| !v.is_null());
            list.iter_mut().for_each(strip_nulls);
        }
        _ => {}
    }
}

/// Records what reduced structs have no field for: the volume source by name, and Secrets that sources refer to.
pub fn prepare(kind: Kind, value: &mut Value) {
    // Large and never needed; dropped before anything else sees them.
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.remove("managedFields");
        if let Some(a) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            a.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    match kind {
        Kind::Pod => pod_spec(value.get_mut("spec")),
        Kind::CronJob => pod_spec(value.pointer_mut("/spec/jobTemplate/spec/template/spec")),
        Kind::ReplicationController => {
            // Plain labels, where the other controllers have a label selector.
            if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut)
                && let Some(labels) = spec.remove("selector")
            {
                spec.insert("selector".into(), serde_json::json!({ "matchLabels": labels }));
            }
            pod_spec(value.pointer_mut("/spec/template/spec"));
        }
        Kind::Deployment | Kind::DaemonSet | Kind::StatefulSet | Kind::ReplicaSet | Kind::Job => {
            pod_spec(value.pointer_mut("/spec/template/spec"))
        }
        Kind::PersistentVolume => persistent_volume(value),
        Kind::Secret => {
            if let Some(map) = value.as_object_mut() {
                map.remove("data");
                map.remove("stringData");
            }
        }
        Kind::ConfigMap => {
            if let Some(map) = value.as_object_mut() {
                map.remove("binaryData");
            }
        }
        _ => {}
    }
}

fn pod_spec(spec: Option<&mut Value>) {
    let Some(volumes) = spec.and_then(|s| s.get_mut("volumes")).and_then(Value::as_array_mut) else { return };
    for volume in volumes.iter_mut().filter_map(Value::as_object_mut) {
        let Some(name) = OTHER_SOURCES.into_iter().find(|s| volume.contains_key(*s)) else { continue };
        let mut refs = Vec::new();
        if let Some(source) = volume.get(name) {
            if let Some(n) = source.pointer("/secretRef/name").and_then(Value::as_str) {
                refs.push(Value::from(n));
            }
            if let Some(n) = source.get("secretName").and_then(Value::as_str).filter(|_| name == "azureFile") {
                refs.push(Value::from(n));
            }
        }
        volume.insert("kpathOtherSource".into(), Value::from(name));
        volume.insert("kpathSecretRefs".into(), Value::Array(refs));
    }
}

/// Secret references of in-tree volume sources, as the Node authorizer's graph collects them
/// (`pkg/api/persistentvolume/util.go`, VisitPVSecretNames).
fn persistent_volume(value: &mut Value) {
    let mut refs = Vec::new();
    if let Some(spec) = value.get("spec").and_then(Value::as_object) {
        let claim_ns =
            spec.get("claimRef").and_then(|c| c.get("namespace")).and_then(Value::as_str).unwrap_or_default();
        if let Some(azure) = spec.get("azureFile") {
            let ns = azure.get("secretNamespace").and_then(Value::as_str).unwrap_or(claim_ns);
            push(&mut refs, ns, azure.get("secretName"));
        }
        for source in ["cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"] {
            let Some(secret) = spec.get(source).and_then(|s| s.get("secretRef")) else { continue };
            let ns = secret.get("namespace").and_then(Value::as_str).filter(|n| !n.is_empty()).unwrap_or(claim_ns);
            push(&mut refs, ns, secret.get("name"));
        }
    }
    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("kpathSecretRefs".into(), Value::Array(refs));
    }
}

fn push(refs: &mut Vec<Value>, namespace: &str, name: Option<&Value>) {
    if let Some(name) = name.and_then(Value::as_str)
        && !namespace.is_empty()
    {
        refs.push(Value::from(format!("{namespace}/{name}")));
    }
}

/// `group` of an `apiVersion`.
pub fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(g, _)| g)
}

/// The string at a key, empty when absent.
pub fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}
