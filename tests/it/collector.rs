//! The collector against a fake API server in process: paging, faults, and which requests are sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use indicatif::ProgressBar;
use kpath::collect::fetch::{self, Options};
use kpath::model::{Kind, Version};
use kpath::snapshot::Snapshot;
use kube::client::Body;

type Log = Arc<Mutex<Vec<(String, String)>>>;

/// Runs the collector; `answer` maps (path with query, how often it was asked before) to a response. A response with
/// code 0 never comes.
fn collect(
    answer: impl Fn(&str, usize) -> Option<(u16, Option<&'static str>, String)> + Send + Sync + 'static,
) -> (Snapshot, Vec<(String, String)>) {
    collect_within(Duration::from_secs(5), answer)
}

/// The same with a time that one request may take.
fn collect_within(
    timeout: Duration,
    answer: impl Fn(&str, usize) -> Option<(u16, Option<&'static str>, String)> + Send + Sync + 'static,
) -> (Snapshot, Vec<(String, String)>) {
    let log: Log = Arc::default();
    let seen = log.clone();
    let counts: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |r: Request<Body>| {
        let path = r.uri().path_and_query().unwrap().to_string();
        seen.lock().unwrap().push((r.method().to_string(), path.clone()));
        let n = {
            let mut c = counts.lock().unwrap();
            let n = c.entry(path.clone()).or_default();
            *n += 1;
            *n - 1
        };
        let answer = answer.clone();
        async move {
            let (code, header, body) = answer(&path, n)
                .unwrap_or_else(|| (200, None, "{\"kind\":\"List\",\"metadata\":{},\"items\":[]}".into()));
            if code == 0 {
                std::future::pending::<()>().await;
            }
            let mut b = Response::builder().status(StatusCode::from_u16(code).unwrap());
            if let Some(seconds) = header {
                b = b.header("Retry-After", seconds);
            }
            Ok::<_, std::convert::Infallible>(b.body(Body::from(body.into_bytes())).unwrap())
        }
    });
    let options = Options { pause: Duration::from_millis(1), timeout, ..Options::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let snapshot = runtime.block_on(async {
        let client = kube::Client::new(service, "default");
        fetch::collect_all(&client, &options, &|_| ProgressBar::hidden()).await.unwrap()
    });
    let log = log.lock().unwrap().clone();
    (snapshot, log)
}

fn pods(names: &[&str], token: &str) -> String {
    let items: Vec<String> = names.iter().map(|n| format!("{{\"metadata\":{{\"name\":\"{n}\",\"namespace\":\"n\"}},\"spec\":{{\"containers\":[{{\"name\":\"c\",\"env\":[{{\"name\":\"A\",\"value\":\"CANARY\"}}]}}]}}}}")).collect();
    format!(
        "{{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{{\"continue\":\"{token}\"}},\"items\":[{}]}}",
        items.join(",")
    )
}

#[test]
fn pages_are_followed_and_only_get_is_sent() {
    let (s, log) = collect(|path, _| match path {
        "/version" => Some((200, None, "{\"gitVersion\":\"v1.35.3\"}".into())),
        p if p.starts_with("/api/v1/pods") && p.contains("continue=a%2Fb") => Some((200, None, pods(&["q"], ""))),
        p if p.starts_with("/api/v1/pods") => Some((200, None, pods(&["p"], "a/b"))),
        _ => None,
    });
    assert_eq!(s.objects.pods.len(), 2);
    assert_eq!(s.version, Version::parse("1.35.3"));
    assert_eq!(s.read.len(), Kind::ALL.len());
    assert!(s.gaps.is_empty(), "{:?}", s.gaps);
    assert!(log.iter().all(|(m, _)| m == "GET"));
    assert!(log.iter().all(|(_, p)| p == "/version" || p.contains("limit=500")), "{log:?}");
    assert!(!s.objects.lines(Kind::Pod).concat().contains("CANARY"));
}

#[test]
fn forbidden_absent_and_failing_kinds_become_gaps() {
    let (s, _) = collect(|path, _| match path.split('?').next().unwrap() {
        "/api/v1/secrets" => Some((403, None, "{\"message\":\"secrets is forbidden\"}".into())),
        "/apis/gateway.networking.k8s.io/v1/gateways" => Some((404, None, String::new())),
        "/apis/apps/v1/deployments" => Some((500, None, "boom".into())),
        "/api/v1/nodes" => Some((200, None, "{\"kind\":\"NodeList\",\"items\":[".into())),
        _ => None,
    });
    let reason = |id: &str| s.gaps.iter().find(|g| g.id == id).map(|g| g.reason.clone()).unwrap_or_default();
    assert!(reason("unread:Secret").contains("needs verb list on secrets"), "{:?}", s.gaps);
    assert!(reason("unread:Deployment").contains("500"));
    assert!(reason("unread:Node").contains("no JSON"));
    assert_eq!(s.gaps.len(), 3);
    assert!(s.read.contains(&Kind::Gateway), "an optional kind that the server lacks is empty");
}

#[test]
fn busy_servers_and_expired_lists_are_asked_again() {
    let (s, log) = collect(|path, n| match path.split('?').next().unwrap() {
        "/api/v1/namespaces" if n < 2 => Some((429, Some("0"), String::new())),
        "/api/v1/services" if n < 1 => Some((503, None, String::new())),
        "/api/v1/pods" if path.contains("continue") && n == 0 => Some((410, None, "{\"message\":\"expired\"}".into())),
        "/api/v1/pods" if path.contains("continue") => Some((200, None, pods(&["q"], ""))),
        "/api/v1/pods" => Some((200, None, pods(&["p"], "t"))),
        _ => None,
    });
    assert!(s.gaps.is_empty(), "{:?}", s.gaps);
    assert_eq!(s.objects.pods.len(), 2);
    let asked = |p: &str| log.iter().filter(|(_, x)| x.starts_with(p)).count();
    assert_eq!((asked("/api/v1/namespaces?"), asked("/api/v1/services?"), asked("/api/v1/pods?")), (3, 2, 4));
}

#[test]
fn a_server_that_falls_silent_or_talks_nonsense_costs_one_kind() {
    let (s, _) = collect_within(Duration::from_millis(400), |path, _| {
        match path.split('?').next().unwrap() {
        "/api/v1/pods" => Some((0, None, String::new())),
        "/api/v1/services" => Some((200, None, "{\"kind\":\"ServiceList\",\"items\":[{\"metadata\"".into())),
        "/api/v1/nodes" => Some((200, None, "<html>proxy</html>".into())),
        "/api/v1/namespaces" => Some((
            200,
            None,
            "{\"kind\":\"NamespaceList\",\"metadata\":{},\"items\":[{\"metadata\":{\"name\":\"a\"}},{\"metadata\":\"CANARY\"},7]}".into(),
        )),
        _ => None,
    }
    });
    for kind in ["Pod", "Service", "Node"] {
        let gap = s.gaps.iter().find(|g| g.id == format!("unread:{kind}"));
        assert!(gap.is_some_and(|g| !g.reason.is_empty()), "{kind}: {:?}", s.gaps);
    }
    // Of a good list one malformed object costs itself alone.
    assert_eq!(s.objects.namespaces.len(), 1);
    assert!(s.gaps.iter().any(|g| g.id == "skipped:Namespace"), "{:?}", s.gaps);
    assert!(!format!("{:?}", s.gaps).contains("CANARY"), "{:?}", s.gaps);
    assert!(s.read.contains(&Kind::Secret) && !s.read.contains(&Kind::Pod));
}

#[test]
fn endless_pages_end() {
    let (s, _) = collect(|path, _| path.starts_with("/api/v1/pods").then(|| (200, None, pods(&["p"], "same"))));
    assert!(s.gaps.iter().any(|g| g.id == "unread:Pod" && g.reason.contains("do not end")));
}

#[test]
fn permissions_cover_every_list_request() {
    let role = kpath::collect::permissions();
    let rules = role.rules.unwrap();
    for kind in Kind::ALL {
        let i = kind.info();
        let ok = rules.iter().any(|r| {
            r.api_groups.as_ref().unwrap().iter().any(|g| g == i.group)
                && r.resources.as_ref().unwrap().iter().any(|x| x == i.resource)
                && r.verbs == ["list"]
        });
        assert!(ok, "{}", i.kind);
    }
}
