//! A server that misbehaves: each fault ends in bounded time and memory, becomes a named gap or a clear error, and costs
//! nothing beside it.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use kpath::collect::fetch::{self, Options};
use kpath::model::Kind;
use kpath::snapshot::Snapshot;
use serde_json::json as value;

use crate::server::{Reply, Server, empty, json};

/// Options under which a test does not wait long.
fn hasty() -> Options {
    Options {
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(20),
        timeout: Duration::from_secs(20),
        page_bytes: 4 << 20,
        most_pages: 200,
        most_objects: 5_000,
        ..Options::default()
    }
}

/// The same for servers that fall silent.
fn impatient() -> Options {
    Options { timeout: Duration::from_secs(2), ..hasty() }
}

/// Collects from a server of its own.
fn collect(options: &Options, handler: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> (Snapshot, Server) {
    let server = Server::start(handler);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let snapshot = runtime.block_on(async {
        let client = fetch::client(kube::Config::new(server.url.parse().unwrap())).unwrap();
        fetch::collect_all(&client, options, &|_| ProgressBar::hidden()).await.unwrap()
    });
    // Far above what any of these needs: a fault that is waited out for ever ends the test.
    assert!(started.elapsed() < Duration::from_secs(60));
    (snapshot, server)
}

fn reasons(s: &Snapshot) -> BTreeMap<&str, &str> {
    s.gaps.iter().map(|g| (g.id.as_str(), g.reason.as_str())).collect()
}

fn plural(path: &str) -> &str {
    path.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default()
}

fn version(path: &str) -> Option<Reply> {
    (path == "/version").then(|| json(200, r#"{"gitVersion":"v1.36.3"}"#))
}

fn pods(names: std::ops::Range<usize>, token: &str) -> Reply {
    let items: Vec<_> = names
        .map(|n| value!({"metadata": {"name": format!("p{n:05}"), "namespace": "n"}, "spec": {"containers": []}}))
        .collect();
    json(
        200,
        value!({"kind": "PodList", "apiVersion": "v1", "metadata": {"continue": token}, "items": items}).to_string(),
    )
}

#[test]
fn forbidden_and_absent_kinds_are_named_one_by_one() {
    for code in [403, 404, 401] {
        for kind in Kind::ALL {
            let info = kind.info();
            let (s, _) = collect(&hasty(), move |path, _| match path {
                p if plural(p) == info.resource && p.contains(info.group) => json(code, r#"{"message":"m"}"#),
                p => version(p).unwrap_or_else(empty),
            });
            let ids: Vec<&str> = s.gaps.iter().map(|g| g.id.as_str()).collect();
            if code == 404 && info.optional {
                assert!(ids.is_empty() && s.read.contains(kind), "{}: {ids:?}", info.kind);
            } else {
                assert_eq!(ids, [format!("unread:{}", info.kind)], "{code}");
                assert!(!s.read.contains(kind));
            }
        }
    }
}

#[test]
fn answers_that_fail_for_ever_become_gaps_with_their_reason() {
    type Fault = (&'static str, fn() -> Reply, &'static str);
    let faults: [Fault; 10] = [
        ("500", || json(500, r#"{"message":"boom"}"#), "the server answered 500: boom"),
        ("503", || json(503, ""), "the server answered 503"),
        ("429", || json(429, ""), "the server answered 429"),
        ("429 with a time", || Reply::Whole(429, Some(("Retry-After", "86400".into())), "text/plain", vec![]), "429"),
        ("reset", || Reply::Reset, "connection"),
        ("truncated", || Reply::Truncated(br#"{"kind":"PodList","items":[]}"#.to_vec()), "broke off"),
        ("html", || Reply::Whole(200, None, "text/html", b"<html>log in</html>".to_vec()), "no JSON"),
        ("another list", || json(200, r#"{"kind":"PodList","items":{"a":1}}"#), "no list"),
        ("drip", || Reply::Drip, "no whole answer within"),
        ("silence", || Reply::Silence, "no whole answer within"),
    ];
    for (name, fault, words) in faults {
        let options = if words.contains("no whole") { impatient() } else { hasty() };
        let (s, _) = collect(&options, move |path, _| match plural(path) {
            "pods" => fault(),
            _ => version(path).unwrap_or_else(empty),
        });
        assert_eq!(s.gaps.len(), 1, "{name}: {:?}", s.gaps);
        let reason = s.gaps[0].reason.clone();
        assert!(s.gaps[0].id == "unread:Pod" && reason.contains(words), "{name}: {reason}");
        assert_eq!(s.read.len(), Kind::ALL.len() - 1, "{name}");
    }
}

#[test]
fn faults_that_pass_are_outlived() {
    type Fault = (&'static str, fn() -> Reply);
    let faults: [Fault; 6] = [
        ("500", || json(500, "")),
        ("503 with a time", || Reply::Whole(503, Some(("Retry-After", "0".into())), "text/plain", vec![])),
        ("429", || json(429, "")),
        ("reset", || Reply::Reset),
        ("truncated", || Reply::Truncated(vec![b' '; 200])),
        ("silence", || Reply::Silence),
    ];
    for (name, fault) in faults {
        let (s, _) = collect(&impatient(), move |path, before| match plural(path) {
            "pods" if before == 0 => fault(),
            "pods" => pods(0..3, ""),
            _ => version(path).unwrap_or_else(empty),
        });
        assert!(s.gaps.is_empty(), "{name}: {:?}", s.gaps);
        assert_eq!(s.objects.pods.len(), 3, "{name}");
    }
}

#[test]
fn what_came_before_a_failure_is_kept() {
    let (s, _) = collect(&hasty(), |path, _| match plural(path) {
        "pods" if path.contains("continue") => json(403, r#"{"message":"gone"}"#),
        "pods" => pods(0..3, "next"),
        _ => version(path).unwrap_or_else(empty),
    });
    assert_eq!(s.objects.pods.len(), 3);
    assert!(!s.read.contains(&Kind::Pod), "a part is not the whole");
    assert!(reasons(&s)["unread:Pod"].contains("403") || reasons(&s)["unread:Pod"].contains("forbidden"));
}

#[test]
fn a_kind_that_goes_away_midway_is_not_empty() {
    let (s, _) = collect(&hasty(), |path, _| match plural(path) {
        "gateways" if path.contains("continue") => json(404, ""),
        "gateways" => pods(0..3, "next"),
        _ => version(path).unwrap_or_else(empty),
    });
    assert!(!s.read.contains(&Kind::Gateway) && reasons(&s).contains_key("unread:Gateway"), "{:?}", s.gaps);
}

#[test]
fn a_list_that_expires_starts_over_and_none_of_it_counts_twice() {
    let (s, server) = collect(&hasty(), |path, before| match plural(path) {
        "pods" if path.contains("continue") && before == 0 => json(410, r#"{"message":"expired"}"#),
        "pods" if path.contains("continue") => pods(3..5, ""),
        "pods" => pods(0..3, "next"),
        _ => version(path).unwrap_or_else(empty),
    });
    assert!(s.gaps.is_empty(), "{:?}", s.gaps);
    assert_eq!(s.objects.pods.len(), 5);
    assert_eq!(server.log.lock().unwrap().iter().filter(|p| plural(p) == "pods").count(), 4);
    let (s, _) = collect(&hasty(), |path, _| match plural(path) {
        "pods" if path.contains("continue") => json(410, ""),
        "pods" => pods(0..3, "next"),
        _ => version(path).unwrap_or_else(empty),
    });
    assert!(reasons(&s)["unread:Pod"].contains("expired"), "{:?}", s.gaps);
}

#[test]
fn pages_without_end_end() {
    // The same page again and again, new tokens each time; empty pages; pages that go on and on.
    let again = |path: &str, n: usize| {
        if plural(path) == "pods" { pods(0..3, &format!("t{n}{}", path.len())) } else { empty() }
    };
    let blank = |path: &str, _: usize| {
        let token =
            format!("{{\"kind\":\"PodList\",\"metadata\":{{\"continue\":\"{}x\"}},\"items\":null}}", path.len());
        if plural(path) == "pods" { json(200, token) } else { empty() }
    };
    let more = |path: &str, _: usize| {
        let n: usize = path.split("continue=").nth(1).and_then(|t| t.parse().ok()).unwrap_or(0);
        if plural(path) == "pods" { pods(n..n + 500, &(n + 500).to_string()) } else { empty() }
    };
    for (name, (s, server)) in
        [("again", collect(&hasty(), again)), ("blank", collect(&hasty(), blank)), ("more", collect(&hasty(), more))]
    {
        assert!(reasons(&s)["unread:Pod"].contains("do not end"), "{name}: {:?}", s.gaps);
        assert!(s.objects.pods.len() <= hasty().most_objects + 500, "{name}");
        assert!(server.log.lock().unwrap().len() < 300, "{name}");
    }
}

#[test]
fn a_page_that_is_too_large_is_asked_for_in_parts() {
    let limit = |path: &str| path.split("limit=").nth(1)?.split('&').next()?.parse::<usize>().ok();
    let (s, server) = collect(&hasty(), move |path, _| match plural(path) {
        // 200 MB for a page of many, little for a page of few.
        "pods" if limit(path).is_some_and(|l| l > 10) => Reply::Endless(200 << 20),
        "pods" if path.contains("continue") => pods(7..9, ""),
        "pods" => pods(0..7, "next"),
        _ => version(path).unwrap_or_else(empty),
    });
    assert!(s.gaps.is_empty(), "{:?}", s.gaps);
    assert_eq!(s.objects.pods.len(), 9);
    assert!(server.sent.load(Ordering::Relaxed) < 64 << 20, "the rest of a large answer is not read");
    let (s, _) = collect(&hasty(), |path, _| match plural(path) {
        "pods" => Reply::Endless(200 << 20),
        _ => version(path).unwrap_or_else(empty),
    });
    assert!(reasons(&s)["unread:Pod"].contains("larger"), "{:?}", s.gaps);
}

#[test]
fn one_malformed_object_costs_itself() {
    let good = |name: &str| value!({"metadata": {"name": name, "namespace": "n"}});
    let bad = [
        value!(7),
        value!("text"),
        value!({"metadata": 7}),
        value!({"metadata": {"name": 7}}),
        value!({"metadata": {"name": ""}}),
        value!({}),
        value!({"metadata": {"name": "x", "namespace": ["n"]}}),
        value!({"metadata": {"name": "x", "labels": "l"}}),
        value!({"metadata": {"name": "x", "ownerReferences": 1}}),
    ];
    for kind in Kind::ALL {
        let info = kind.info();
        let mut items = vec![good("a")];
        items.extend(bad.iter().cloned());
        items.push(good("b"));
        let body = value!({"kind": format!("{}List", info.kind), "metadata": {}, "items": items}).to_string();
        let (s, _) = collect(&hasty(), move |path, _| match path {
            p if plural(p) == info.resource && p.contains(info.group) && !p.contains("fieldSelector") => {
                json(200, body.clone())
            }
            p => version(p).unwrap_or_else(empty),
        });
        // A namespace says nothing about an object that lies in none.
        let bad = bad.len() - usize::from(!info.namespaced);
        let kept = 2 + usize::from(!info.namespaced);
        assert_eq!(s.objects.len(*kind), kept, "{}: {:?}", info.kind, s.gaps);
        let named = s.gaps.iter().filter(|g| g.id == format!("skipped:{}", info.kind)).count();
        assert_eq!(named, bad, "{}: {:?}", info.kind, s.gaps);
        assert_eq!(s.gaps.len(), bad, "{}", info.kind);
    }
}

#[test]
fn a_version_that_cannot_be_read_costs_the_version() {
    let (s, _) = collect(&hasty(), |path, _| match path {
        "/version" => Reply::Whole(200, None, "text/html", b"<html>".to_vec()),
        _ => empty(),
    });
    assert!(s.gaps.is_empty() && s.version.is_none() && s.read.len() == Kind::ALL.len(), "{:?}", s.gaps);
}

#[test]
fn a_credential_that_expires_midway_costs_the_rest() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let (s, _) =
        collect(&Options { parallel: 1, ..hasty() }, move |path, _| match asked.fetch_add(1, Ordering::Relaxed) {
            0..20 => version(path).unwrap_or_else(empty),
            _ => json(401, r#"{"message":"Unauthorized"}"#),
        });
    assert!(s.read.len() >= 15, "{:?}", s.read);
    assert!(s.gaps.len() > 20);
    assert!(s.gaps.iter().all(|g| g.id.starts_with("unread:") && g.reason.contains("log in again")), "{:?}", s.gaps);
}

// The program itself: exit codes, memory, signals, certificates.

struct Run {
    code: Option<i32>,
    err: String,
    /// Largest resident size in KiB.
    peak: u64,
    took: Duration,
}

fn kpath(config: &std::path::Path, args: &[&str]) -> Run {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kpath"))
        .args(args)
        .env("KUBECONFIG", config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak = 0;
    loop {
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", child.id())) {
            let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
            peak = peak.max(line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0));
        }
        if child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Run { code: output.status.code(), err, peak, took: started.elapsed() }
}

#[test]
fn exit_codes_are_the_published_ones() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("s.kpath");
    let to = target.to_str().unwrap();
    let part = Server::start(|path, _| match plural(path) {
        "secrets" => json(403, r#"{"message":"no"}"#),
        _ => version(path).unwrap_or_else(empty),
    });
    let config = part.kubeconfig(dir.path(), &value!({}));
    assert_eq!(kpath(&config, &["snapshot", "-o", to]).code, Some(0));
    assert_eq!(kpath(&config, &["analyze"]).code, Some(0));
    assert_eq!(kpath(&config, &["analyze", "--strict"]).code, Some(3));
    std::fs::remove_file(&target).unwrap();
    let nothing = Server::start(|path, _| version(path).unwrap_or_else(|| json(403, r#"{"message":"no"}"#)));
    let run = kpath(&nothing.kubeconfig(dir.path(), &value!({})), &["snapshot", "-o", to]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("kpath permissions") && run.err.contains("needs verb list"), "{}", run.err);
    assert!(!target.exists());
    // Nobody listens there: at once, with a word on what to do.
    let config = nothing.kubeconfig(dir.path(), &value!({}));
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap().replace(&nothing.url, "http://127.0.0.1:9"))
        .unwrap();
    let run = kpath(&config, &["analyze"]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("cannot connect") && run.err.contains("hint"), "{}", run.err);
    assert!(run.took < Duration::from_secs(10), "{:?}", run.took);
    assert!(!run.err.contains("secret-token"));
}

#[test]
fn memory_does_not_follow_what_a_server_sends() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("s.kpath");
    let server = Server::start(|path, _| match plural(path) {
        "pods" | "deployments" | "configmaps" => Reply::Endless(200 << 20),
        _ => version(path).unwrap_or_else(empty),
    });
    let run = kpath(&server.kubeconfig(dir.path(), &value!({})), &["snapshot", "-o", to.to_str().unwrap()]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.peak > 0 && run.peak < 400 << 10, "{} KiB", run.peak);
}

#[test]
fn an_interrupt_ends_at_once_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|path, _| match plural(path) {
        "pods" => Reply::Silence,
        _ => version(path).unwrap_or_else(empty),
    });
    let out = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kpath"))
        .args(["snapshot", "-o", out.path().join("s.kpath").to_str().unwrap()])
        .env("KUBECONFIG", server.kubeconfig(dir.path(), &value!({})))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !server.log.lock().unwrap().iter().any(|p| plural(p) == "pods") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "it goes on after SIGINT");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(!status.success());
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

/// A certificate for 127.0.0.1 (or another name) with its own authority, valid in a span of days around today.
pub fn certificate(name: &str, from: i64, to: i64) -> (String, rustls::ServerConfig) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    // Another authority has another name.
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("authority {:?}", Instant::now()));
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    let now = std::time::SystemTime::now();
    let day = |n: i64| {
        let span = Duration::from_secs(n.unsigned_abs() * 86_400);
        if n < 0 { now - span } else { now + span }.into()
    };
    params.not_before = day(from);
    params.not_after = day(to);
    let cert = params.signed_by(&key, &issuer).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (authority.pem(), config)
}

#[test]
fn certificates_are_checked() {
    let cases = [
        ("127.0.0.1", -1, 1, true, ""),
        ("127.0.0.1", -30, -1, true, "expired"),
        ("127.0.0.1", 10, 30, true, "not valid yet"),
        ("example.com", -1, 1, true, "not valid for name"),
        ("127.0.0.1", -1, 1, false, "UnknownIssuer"),
    ];
    for (name, from, to, trusted, words) in cases {
        let dir = tempfile::tempdir().unwrap();
        let (authority, config) = certificate(name, from, to);
        let authority = if trusted { authority } else { certificate(name, from, to).0 };
        let file = dir.path().join("ca.crt");
        std::fs::write(&file, authority).unwrap();
        let server = Server::start_tls(config, |path, _| version(path).unwrap_or_else(empty));
        let cluster = value!({"certificate-authority": file.to_str().unwrap()});
        let run = kpath(&server.kubeconfig(dir.path(), &cluster), &["analyze"]);
        if words.is_empty() {
            assert_eq!(run.code, Some(0), "{}", run.err);
            continue;
        }
        assert_eq!(run.code, Some(1), "{words}");
        assert!(run.err.contains("certificate") && run.err.contains(words), "{words}: {}", run.err);
        assert!(run.took < Duration::from_secs(10), "{words}: {:?}", run.took);
        assert!(server.log.lock().unwrap().is_empty(), "{words}: nothing may be sent to such a server");
    }
}
