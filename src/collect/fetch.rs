//! Lists with paging, retries and redaction, over any kube client: the tests use one with a fake service.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::model::objects::TOKEN_SECRET;
use crate::model::{Gap, Kind, Version};
use crate::snapshot::Snapshot;
use crate::snapshot::build::hides;
use crate::snapshot::import::Importer;

/// How lists are asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Objects of one page.
    pub page: usize,
    /// Kinds listed at one time.
    pub parallel: usize,
    /// Time for one request.
    pub timeout: Option<Duration>,
    /// Attempts for a request that the server asks to repeat.
    pub attempts: u32,
    /// First pause between attempts.
    pub pause: Duration,
    /// Most pages of one list.
    pub most_pages: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            page: 500,
            parallel: 6,
            timeout: None,
            attempts: 5,
            pause: Duration::from_millis(500),
            most_pages: 20_000,
        }
    }
}

/// Secret types that techniques need; metadata lists do not carry the type.
const SECRET_TYPES: [&str; 5] = [
    TOKEN_SECRET,
    "bootstrap.kubernetes.io/token",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/tls",
    "helm.sh/release.v1",
];

const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

enum Failure {
    Absent,
    Status(u16, String),
    Other(String),
}

/// Lists every kind. What fails becomes a gap; the rest goes on.
pub async fn collect_all(
    client: &kube::Client,
    options: &Options,
    progress: &(dyn Fn(&'static str) -> ProgressBar + Sync),
) -> Snapshot {
    let mut importer = Importer::default();
    let version = get(client, "/version", "application/json", options).await;
    if let Ok(v) = &version {
        importer.snapshot.version = v.get("gitVersion").and_then(Value::as_str).and_then(Version::parse);
    }
    let results: Vec<(Kind, Result<Vec<Value>, Failure>)> = stream::iter(Kind::ALL.iter().copied())
        .map(|kind| async move {
            let bar = progress(kind.info().resource);
            let result = list(client, kind, "", options, &bar).await;
            bar.finish_and_clear();
            (kind, result)
        })
        .buffered(options.parallel)
        .collect()
        .await;
    for (kind, result) in results {
        let info = kind.info();
        match result {
            Ok(items) => {
                importer.snapshot.read.insert(kind);
                for item in items {
                    let mut list = serde_json::json!({"kind": format!("{}List", info.kind), "apiVersion": kind.api_version(), "items": []});
                    if let Some(a) = list.get_mut("items").and_then(Value::as_array_mut) {
                        a.push(item);
                    }
                    let _ = importer.document(list, "", Some(kind));
                }
            }
            Err(failure) => gap(&mut importer.snapshot, kind, &failure),
        }
    }
    secret_types(client, options, &mut importer.snapshot).await;
    for name in ["aws-auth", "coredns"] {
        let path = format!("/api/v1/namespaces/kube-system/configmaps/{name}");
        let known = importer
            .snapshot
            .objects
            .config_maps
            .iter()
            .any(|c| c.metadata.namespace == "kube-system" && c.metadata.name == name);
        if known && let Ok(object) = get(client, &path, "application/json", options).await {
            importer
                .snapshot
                .objects
                .config_maps
                .retain(|c| !(c.metadata.namespace == "kube-system" && c.metadata.name == name));
            let _ = importer.document(object, "", None);
        }
    }
    importer.finish()
}

fn gap(snapshot: &mut Snapshot, kind: Kind, failure: &Failure) {
    let info = kind.info();
    let group = if info.group.is_empty() { "\"\"".to_owned() } else { info.group.to_owned() };
    let reason = match failure {
        // A kind that this server does not have is empty.
        Failure::Absent if info.optional => {
            snapshot.read.insert(kind);
            return;
        }
        Failure::Absent => "the server does not have this kind (404)".to_owned(),
        Failure::Status(403, message) => {
            format!("forbidden: needs verb list on {} in API group {group} ({message})", info.resource)
        }
        Failure::Status(code, message) => format!("the server answered {code}: {message}"),
        Failure::Other(message) => message.clone(),
    };
    snapshot.gaps.push(Gap {
        id: format!("unread:{}", info.kind),
        reason,
        hides: hides(kind).into(),
        ..Gap::default()
    });
}

async fn secret_types(client: &kube::Client, options: &Options, snapshot: &mut Snapshot) {
    if !snapshot.read.contains(&Kind::Secret) {
        return;
    }
    let mut types: BTreeMap<(String, String), &'static str> = BTreeMap::new();
    for kind in SECRET_TYPES {
        let selector = format!("&fieldSelector=type%3D{}", kind.replace('/', "%2F"));
        let Ok(items) = list(client, Kind::Secret, &selector, options, &ProgressBar::hidden()).await else { continue };
        for item in items {
            let text = |k: &str| {
                item.pointer(&format!("/metadata/{k}")).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            types.insert((text("namespace"), text("name")), kind);
        }
    }
    for s in &mut snapshot.objects.secrets {
        if let Some(kind) = types.get(&(s.metadata.namespace.clone(), s.metadata.name.clone())) {
            s.kind = (*kind).to_owned();
        }
    }
}

/// All items of a kind, page by page; starts over once when the server forgot the continue token (410).
async fn list(
    client: &kube::Client,
    kind: Kind,
    selector: &str,
    options: &Options,
    bar: &ProgressBar,
) -> Result<Vec<Value>, Failure> {
    let info = kind.info();
    let base =
        if info.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/{}", info.group, info.version) };
    let accept = if matches!(kind, Kind::Secret | Kind::ConfigMap) { METADATA } else { "application/json" };
    for _ in 0..3 {
        let mut items = Vec::new();
        let mut token = String::new();
        let mut pages = 0;
        loop {
            let next = if token.is_empty() { String::new() } else { format!("&continue={}", encode(&token)) };
            let path = format!("{base}/{}?limit={}{selector}{next}", info.resource, options.page);
            let page = match get(client, &path, accept, options).await {
                Err(Failure::Status(410, _)) => break,
                other => other?,
            };
            let Value::Object(mut page) = page else {
                return Err(Failure::Other("the server's list is no object".into()));
            };
            let new = page
                .get("metadata")
                .and_then(|m| m.get("continue"))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            if let Some(Value::Array(mut list)) = page.remove("items") {
                // Reduced at once: what is dropped here is never kept anywhere.
                for item in &mut list {
                    crate::snapshot::import::prepare::prepare(kind, item);
                }
                bar.inc(list.len() as u64);
                items.append(&mut list);
            }
            pages += 1;
            if new.is_empty() {
                return Ok(items);
            }
            if new == token || pages >= options.most_pages {
                return Err(Failure::Other("the server's pages do not end".into()));
            }
            token = new;
        }
    }
    Err(Failure::Status(410, "the list expired three times while it was read".into()))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

/// One GET, repeated on 429 and 5xx as long as the server asks.
async fn get(client: &kube::Client, path: &str, accept: &str, options: &Options) -> Result<Value, Failure> {
    let mut pause = options.pause;
    let mut last = Failure::Other("no attempt was made".into());
    for attempt in 0..options.attempts.max(1) {
        if attempt > 0 {
            tokio::time::sleep(pause.min(Duration::from_secs(30))).await;
            pause = pause.saturating_mul(2);
        }
        let request = Request::get(path).header(http::header::ACCEPT, accept).body(kube::client::Body::empty());
        let request = request.map_err(|e| Failure::Other(e.to_string()))?;
        let work = async {
            let response = client.send(request).await.map_err(|e| Failure::Other(e.to_string()))?;
            let status = response.status();
            let after = response
                .headers()
                .get(http::header::RETRY_AFTER)
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.parse::<u64>().ok());
            let body = response
                .into_body()
                .collect()
                .await
                .map_err(|e| Failure::Other(format!("the answer broke off: {e}")))?
                .to_bytes();
            Ok::<_, Failure>((status, after, body))
        };
        let limit = options.timeout.unwrap_or(Duration::from_secs(120));
        let (status, after, body) = match tokio::time::timeout(limit, work).await {
            Err(_) => {
                last = Failure::Other(format!("no answer within {} s", limit.as_secs()));
                continue;
            }
            Ok(Err(failure)) => {
                last = failure;
                continue;
            }
            Ok(Ok(parts)) => parts,
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|e| Failure::Other(format!("the answer is no JSON: {e}")));
        }
        let message = serde_json::from_slice::<Value>(&body)
            .ok()
            .and_then(|v| v.get("message").and_then(Value::as_str).map(str::to_owned));
        let message = message.unwrap_or_else(|| status.to_string());
        match status {
            StatusCode::NOT_FOUND => return Err(Failure::Absent),
            StatusCode::TOO_MANY_REQUESTS => {}
            s if s.is_server_error() => {}
            s => return Err(Failure::Status(s.as_u16(), message)),
        }
        if let Some(seconds) = after {
            pause = Duration::from_secs(seconds);
        }
        last = Failure::Status(status.as_u16(), message);
    }
    Err(last)
}
