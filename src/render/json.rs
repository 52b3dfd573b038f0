//! JSON output; the schema is committed as `docs/schema/kpath.schema.json`.

use serde_json::{Value, json};

use crate::model::Cluster;
use crate::report::analyze::{Analysis, Row};
use crate::report::{Answer, Question};

/// Version of the JSON form.
pub const SCHEMA_VERSION: &str = "1";

fn frame(cluster: &Cluster, question: &Question, from: &str, to: &str) -> Value {
    json!({
        "schemaVersion": SCHEMA_VERSION,
        "question": {"from": from, "to": to, "assumptions": question.assumptions, "given": question.given.iter().map(|(k, v)| json!({"id": k, "value": v})).collect::<Vec<_>>()},
        "source": cluster.source,
        "gaps": cluster.gaps,
    })
}

/// One answer.
pub fn answer(cluster: &Cluster, question: &Question, from: &str, to: &str, a: &Answer) -> Value {
    let mut v = frame(cluster, question, from, to);
    if let Some(map) = v.as_object_mut() {
        map.insert("answer".into(), json!(a.answer));
        if let Some(first) = a.proofs.first() {
            map.insert("proof".into(), json!({"from": a.from, "to": a.to, "steps": first}));
        }
        if a.proofs.len() > 1 {
            let more: Vec<Value> =
                a.proofs.iter().skip(1).map(|p| json!({"from": a.from, "to": a.to, "steps": p})).collect();
            map.insert("moreProofs".into(), more.into());
        }
        map.insert("unknownBecause".into(), json!(a.unknown_because));
        if let Some(c) = &a.connects {
            map.insert("connects".into(), json!(c));
        }
        if a.proofs.is_empty() {
            map.insert("reached".into(), json!(a.reached));
            map.insert("nearest".into(), json!(a.nearest));
        }
    }
    v
}

/// An analysis.
pub fn analysis(cluster: &Cluster, question: &Question, from: &str, to: &str, a: &Analysis) -> Value {
    let mut v = frame(cluster, question, from, to);
    if let Some(map) = v.as_object_mut() {
        map.insert("paths".into(), a.paths.iter().map(row).collect::<Vec<_>>().into());
        let [admin, node, secret] = a.pods_with_path;
        map.insert("summary".into(), json!({
            "pods": a.pods,
            "internetWorkloads": a.internet_workloads,
            "podsToClusterAdmin": admin,
            "podsToNode": node,
            "podsToForeignSecrets": secret,
            "chokePoints": a.choke_points.iter().map(|(o, n)| json!({"object": o, "podsFreed": n})).collect::<Vec<_>>(),
        }));
    }
    v
}

fn row(r: &Row) -> Value {
    json!({
        "severity": r.severity,
        "answer": r.answer,
        "from": r.from,
        "to": r.to,
        "targets": r.targets,
        "targetCount": r.target_count,
        "count": r.count,
        "platform": r.platform,
        "proof": {"steps": r.steps},
        "unknownBecause": r.unknown_because,
    })
}
