//! Live SubjectAccessReviews beside `kpath eval rbac`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fastrand::Rng;
use futures::StreamExt;
use serde_json::{Value, json};

use super::caller::Caller;
use super::objects::{API_GROUPS, NAMES, NAMESPACES, RESOURCES, URLS, VERBS};
use super::program;

/// How many questions are asked.
pub fn count() -> usize {
    std::env::var("KPATH_E2E_SARS").ok().and_then(|v| v.parse().ok()).unwrap_or(20_000)
}

fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map(|a| a.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// A question about one rule of a role that is loaded, or one drawn freely; a part of the first is changed at times.
fn question(rng: &mut Rng, rules: &[(String, Value)], subjects: &[(String, Vec<String>)]) -> Value {
    let (user, groups) = &subjects[rng.usize(..subjects.len())];
    let (namespace, rule) = &rules[rng.usize(..rules.len())];
    let one = |rng: &mut Rng, field: &str, other: &[&'static str]| -> String {
        let own = texts(&rule[field]);
        if own.is_empty() || rng.u8(..5) == 0 { pick(rng, other).to_owned() } else { pick(rng, &own).to_owned() }
    };
    let verb = one(rng, "verbs", &VERBS);
    let mut q = json!({"user": user, "groups": groups, "verb": verb});
    if rule.get("nonResourceURLs").is_some() || rng.u8(..20) == 0 {
        let mut path = one(rng, "nonResourceURLs", &URLS);
        if rng.bool() {
            path = path.replace('*', "x/y");
        }
        q["path"] = json!(path);
        return q;
    }
    let resource = one(rng, "resources", &RESOURCES);
    let (resource, subresource) = resource.split_once('/').unwrap_or((&resource, ""));
    // A star in a question is a name like any other; most are filled in.
    let fill = |rng: &mut Rng, text: &str, with: &[&'static str]| -> String {
        if text == "*" && rng.u8(..4) > 0 { pick(rng, with).to_owned() } else { text.to_owned() }
    };
    q["resource"] = json!(fill(rng, resource, &["pods", "secrets", "deployments", "widgets"]));
    q["subresource"] = json!(fill(rng, subresource, &["exec", "scale", "status"]));
    let group = one(rng, "apiGroups", &API_GROUPS);
    q["group"] = json!(fill(rng, &group, &["", "apps", "example.com"]));
    let verb = q["verb"].as_str().unwrap_or_default().to_owned();
    q["verb"] = json!(fill(rng, &verb, &["get", "list", "approve"]));
    q["name"] = match rng.u8(..3) {
        0 => json!(""),
        _ => json!(one(rng, "resourceNames", &NAMES)),
    };
    q["namespace"] = match rng.u8(..4) {
        0 => json!(""),
        1 => json!(pick(rng, &NAMESPACES)),
        _ if !namespace.is_empty() => json!(namespace),
        _ => json!(pick(rng, &NAMESPACES)),
    };
    q
}

fn review(q: &Value) -> Value {
    let mut spec = json!({"user": q["user"], "groups": q["groups"]});
    if q.get("path").is_some() {
        spec["nonResourceAttributes"] = json!({"verb": q["verb"], "path": q["path"]});
    } else {
        spec["resourceAttributes"] = json!({
            "verb": q["verb"], "group": q["group"], "version": "*", "resource": q["resource"],
            "subresource": q["subresource"], "name": q["name"], "namespace": q["namespace"],
        });
    }
    json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
}

/// Rules with their namespace, and subjects with their groups, as the server lists them now.
async fn drawn_from(admin: &Caller) -> (Vec<(String, Value)>, Vec<(String, Vec<String>)>) {
    let mut rules = Vec::new();
    let mut subjects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for resource in ["clusterroles", "roles"] {
        let list = admin.get(&format!("/apis/rbac.authorization.k8s.io/v1/{resource}")).await.json();
        for role in list["items"].as_array().unwrap() {
            let namespace = role["metadata"]["namespace"].as_str().unwrap_or_default();
            for rule in role["rules"].as_array().into_iter().flatten() {
                rules.push((namespace.to_owned(), rule.clone()));
            }
        }
    }
    for resource in ["clusterrolebindings", "rolebindings"] {
        let list = admin.get(&format!("/apis/rbac.authorization.k8s.io/v1/{resource}")).await.json();
        for binding in list["items"].as_array().unwrap() {
            for s in binding["subjects"].as_array().into_iter().flatten() {
                let text = |k: &str| s[k].as_str().unwrap_or_default();
                let any = "system:authenticated".to_owned();
                let (user, groups) = match text("kind") {
                    "Group" => (format!("member of {}", text("name")), vec![text("name").to_owned(), any]),
                    "ServiceAccount" => (
                        format!("system:serviceaccount:{}:{}", text("namespace"), text("name")),
                        vec![
                            "system:serviceaccounts".into(),
                            format!("system:serviceaccounts:{}", text("namespace")),
                            any,
                        ],
                    ),
                    _ => (text("name").to_owned(), vec![any]),
                };
                subjects.insert(user, groups);
            }
        }
    }
    subjects.insert("stranger".into(), vec![]);
    (rules, subjects.into_iter().filter(|(u, _)| !u.is_empty()).collect())
}

/// Asks the server and kpath the same questions.
pub async fn reviews(admin: &Caller, snapshot: &str) -> Result<String, String> {
    let mut rng = Rng::with_seed(36);
    let (rules, subjects) = drawn_from(admin).await;
    let questions: Vec<Value> = (0..count()).map(|_| question(&mut rng, &rules, &subjects)).collect();
    let started = std::time::Instant::now();
    let answers: Vec<Result<bool, String>> = futures::stream::iter(&questions)
        .map(|q| async move {
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            let answer = admin.post(path, &review(q)).await;
            answer.json()["status"]["allowed"].as_bool().ok_or_else(|| format!("{q}: {answer:?}"))
        })
        .buffered(16)
        .collect()
        .await;
    let took = started.elapsed();
    let mut input = String::new();
    for q in &questions {
        let _ = writeln!(input, "{q}");
    }
    let run = program::kpath_with("", &["eval", "rbac", "--snapshot", snapshot], &input);
    if run.code != 0 {
        return Err(run.err);
    }
    let (mut different, mut allowed) = (Vec::new(), 0);
    for ((q, server), line) in questions.iter().zip(&answers).zip(run.out.lines()) {
        let ours: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
        let server = server.clone()?;
        allowed += usize::from(server);
        if ours["allowed"].as_bool() != Some(server) {
            different.push(format!("server {server}, kpath {ours}: {q}"));
        }
    }
    if run.out.lines().count() != questions.len() {
        return Err(format!("{} answers to {} questions", run.out.lines().count(), questions.len()));
    }
    if !different.is_empty() {
        return Err(format!("{} different:\n{}", different.len(), different[..different.len().min(20)].join("\n")));
    }
    if allowed * 10 < questions.len() || allowed * 10 > questions.len() * 9 {
        return Err(format!("the questions say little: {allowed} of {} allowed", questions.len()));
    }
    Ok(format!(
        "{} SubjectAccessReviews from {} rules and {} subjects, {allowed} allowed, 0 different ({:.0}/s)",
        questions.len(),
        rules.len(),
        subjects.len(),
        questions.len() as f64 / took.as_secs_f64()
    ))
}
