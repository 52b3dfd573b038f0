//! A proxy in front of the real server that spoils the answers for pods: the rest of the snapshot stays whole, and the
//! gap says what happened.

use std::path::Path;
use std::time::{Duration, Instant};

use kpath::model::Kind;
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

/// Tries each fault.
pub fn all(admin: &Caller, runtime: &tokio::runtime::Runtime, dir: &Path) -> Result<String, String> {
    let mut slowest = Duration::ZERO;
    for (name, spoil, words) in FAULTS {
        let (caller, handle, spoil) = (admin.clone(), runtime.handle().clone(), *spoil);
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let server = Server::start(move |path, _| {
            let pods = path.starts_with("/api/v1/pods");
            pods.then(|| spoil(path, asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
                .flatten()
                .unwrap_or_else(|| forward(&caller, &handle, path))
        });
        // Taken anew each time: controllers may still be at work on what was loaded.
        let whole = program::snapshot(&dir.join("whole.kpath"));
        let config = server.kubeconfig(dir, &json!({}));
        let target = dir.join("fault.kpath");
        let _ = std::fs::remove_file(&target);
        let started = Instant::now();
        let args = ["snapshot", "--chunk-size", "60", "--request-timeout", "3s", "-o", target.to_str().unwrap()];
        let run = kpath(config, &args);
        slowest = slowest.max(started.elapsed());
        if run.code != 0 {
            return Err(format!("{name}: {run:?}"));
        }
        let snapshot = kpath::snapshot::file::read(&target).map_err(|e| e.to_string())?;
        for kind in Kind::ALL.iter().filter(|k| **k != Kind::Pod) {
            if snapshot.objects.lines(*kind) != whole.objects.lines(*kind) {
                return Err(format!("{name}: {} differs", kind.info().kind));
            }
        }
        let ids: Vec<&str> = snapshot.gaps.iter().map(|g| g.id.as_str()).collect();
        if words.is_empty() {
            if !ids.is_empty() || snapshot.objects.lines(Kind::Pod) != whole.objects.lines(Kind::Pod) {
                return Err(format!("{name}: not outlived: {:?}", snapshot.gaps));
            }
        } else if ids != ["unread:Pod"] || !snapshot.gaps[0].reason.contains(words) {
            return Err(format!("{name}: {:?}", snapshot.gaps));
        } else {
            let question = ["can", "internet", "reach", "cluster-admin", "-o", "json", "--snapshot"];
            let mut args = question.to_vec();
            args.push(target.to_str().unwrap());
            let run = kpath("", &args);
            let answer: serde_json::Value = serde_json::from_str(&run.out).unwrap_or_default();
            if run.code != 0 || answer["answer"] != "unknown" {
                return Err(format!("{name}: not unknown: {run:?}"));
            }
        }
    }
    Ok(format!("{} faults in front of the server, the slowest run {:.1} s", FAULTS.len(), slowest.as_secs_f64()))
}
