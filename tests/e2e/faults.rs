//! A proxy in front of the real server that spoils the answers for pods: the rest of the snapshot stays whole, and the
//! gap says what happened.

use std::path::Path;
use std::time::{Duration, Instant};

use kpath::model::Kind;
use kpath::snapshot::Snapshot;
use serde_json::json;

use super::caller::Caller;
use super::program::{self, kpath};
use super::server::{Reply, Server};

const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Passes a request on with the administrator's credential.
fn forward(admin: &Caller, runtime: &tokio::runtime::Handle, path: &str) -> Reply {
    let list = path.split('?').next().unwrap_or_default();
    let partial = list.ends_with("/secrets") || list.ends_with("/configmaps");
    let who = if partial { admin.headers(&[("Accept", METADATA)]) } else { admin.clone() };
    let answer = runtime.block_on(who.get(path));
    Reply::Whole(answer.code, None, "application/json", answer.text.into_bytes())
}

type Spoil = fn(&str, usize) -> Option<Reply>;

/// Name, what becomes of the Nth request for pods, and the words of the gap; none when the fault passes.
const FAULTS: &[(&str, Spoil, &str)] = &[
    ("403", |_, _| Some(super::server::json(403, r#"{"message":"no"}"#)), "needs verb list on pods"),
    ("404", |_, _| Some(super::server::json(404, "")), "does not have this kind"),
    ("410 once, midway", |p, n| (p.contains("continue") && n < 2).then(|| super::server::json(410, "")), ""),
    ("429 once", |_, n| (n == 0).then(|| super::server::json(429, "")), ""),
    (
        "429 once, with a time",
        |_, n| (n == 0).then(|| Reply::Whole(429, Some(("Retry-After", "1".into())), "text/plain", vec![])),
        "",
    ),
    ("500 once", |_, n| (n == 0).then(|| super::server::json(500, "")), ""),
    ("503 for ever", |_, _| Some(super::server::json(503, "")), "the server answered 503"),
    ("reset midway", |p, _| p.contains("continue").then_some(Reply::Reset), "connection"),
    ("truncated once", |_, n| (n == 0).then(|| Reply::Truncated(vec![b' '; 4096])), ""),
    (
        "an HTML page",
        |_, _| Some(Reply::Whole(200, None, "text/html", b"<html>log in</html>".to_vec())),
        "the answer is no JSON",
    ),
    ("slow drip", |_, _| Some(Reply::Drip), "no whole answer within"),
    (
        "a page of 200 MB",
        |p, _| (!p.contains("limit=7&") && !p.ends_with("limit=7")).then_some(Reply::Endless(200 << 20)),
        "",
    ),
    ("401 midway", |p, _| p.contains("continue").then(|| super::server::json(401, "")), "log in again"),
];

/// How often a fault is tried again because the cluster itself changed meanwhile.
const TRIES: usize = 6;

/// What a fault led to.
enum Outcome {
    Right(Duration),
    Wrong(String),
}

/// Tries each fault.
///
/// The cluster is not still: the server's own controllers write objects (the certificate bundle of every new namespace,
/// for instance). A snapshot taken through a fault is therefore held against one taken before it and one taken after; a
/// difference counts once those two agree, and else the fault is tried again.
pub fn all(admin: &Caller, runtime: &tokio::runtime::Runtime, dir: &Path) -> Result<String, String> {
    let mut slowest = Duration::ZERO;
    let mut again = 0;
    for fault in FAULTS {
        let mut tries = 0;
        loop {
            let before = program::snapshot(&dir.join("whole.kpath"));
            let wrong = match one(fault, &before, admin, runtime, dir)? {
                Outcome::Right(time) => {
                    slowest = slowest.max(time);
                    break;
                }
                Outcome::Wrong(words) => words,
            };
            let after = program::snapshot(&dir.join("whole.kpath"));
            let still = Kind::ALL.iter().all(|k| before.objects.lines(*k) == after.objects.lines(*k));
            tries += 1;
            if still || tries == TRIES {
                return Err(format!(
                    "{}: {wrong} (the cluster itself {} meanwhile)",
                    fault.0,
                    if still { "did not change" } else { "changed" }
                ));
            }
            again += 1;
        }
    }
    let slowest = slowest.as_secs_f64();
    Ok(format!("{} faults in front of the server, {again} tried again, the slowest run {slowest:.1} s", FAULTS.len()))
}

/// Takes a snapshot through a proxy that makes one fault and holds it against a `whole` one.
fn one(
    (name, spoil, words): &(&str, Spoil, &str),
    whole: &Snapshot,
    admin: &Caller,
    runtime: &tokio::runtime::Runtime,
    dir: &Path,
) -> Result<Outcome, String> {
    let (caller, handle, spoil) = (admin.clone(), runtime.handle().clone(), *spoil);
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |path, _| {
        let pods = path.starts_with("/api/v1/pods");
        pods.then(|| spoil(path, asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
            .flatten()
            .unwrap_or_else(|| forward(&caller, &handle, path))
    });
    let config = server.kubeconfig(dir, &json!({}));
    let target = dir.join("fault.kpath");
    let _ = std::fs::remove_file(&target);
    let started = Instant::now();
    let args = ["snapshot", "--chunk-size", "60", "--request-timeout", "3s", "-o", target.to_str().unwrap()];
    let run = kpath(config, &args);
    let time = started.elapsed();
    if run.code != 0 {
        return Err(format!("{name}: {run:?}"));
    }
    let snapshot = kpath::snapshot::file::read(&target).map_err(|e| e.to_string())?;
    let ids: Vec<&str> = snapshot.gaps.iter().map(|g| g.id.as_str()).collect();
    let expected: &[&str] = if words.is_empty() { &[] } else { &["unread:Pod"] };
    if ids != expected || snapshot.gaps.iter().any(|g| !g.reason.contains(words)) {
        return Err(format!("{name}: {:?}", snapshot.gaps));
    }
    let differs = |k: &Kind| snapshot.objects.lines(*k) != whole.objects.lines(*k);
    let compared = Kind::ALL.iter().filter(|k| **k != Kind::Pod || words.is_empty());
    if let Some(kind) = compared.copied().find(differs) {
        return Ok(Outcome::Wrong(format!("{} differs", kind.info().kind)));
    }
    if !words.is_empty() {
        let mut args = vec!["can", "internet", "reach", "cluster-admin", "-o", "json", "--snapshot"];
        args.push(target.to_str().unwrap());
        let run = kpath("", &args);
        let answer: serde_json::Value = serde_json::from_str(&run.out).unwrap_or_default();
        if run.code != 0 || answer["answer"] != "unknown" {
            return Err(format!("{name}: not unknown: {run:?}"));
        }
    }
    Ok(Outcome::Right(time))
}
