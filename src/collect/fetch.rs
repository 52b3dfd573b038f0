//! Lists with paging, retries and redaction, over any kube client: the tests use one with a fake service.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
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
    /// Most bytes of one answer; a page that is larger is asked for again in smaller parts.
    pub page_bytes: usize,
    /// Kinds listed at one time.
    pub parallel: usize,
    /// Time for one request.
    pub timeout: Duration,
    /// Attempts for a request that the server asks to repeat.
    pub attempts: u32,
    /// First pause between attempts.
    pub pause: Duration,
    /// Longest pause between attempts, whatever the server asks for.
    pub longest_pause: Duration,
    /// Most pages of one list.
    pub most_pages: usize,
    /// Most objects of one list, far above what any API server holds of a kind.
    pub most_objects: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            page: 500,
            page_bytes: 32 << 20,
            parallel: 6,
            timeout: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            most_pages: 20_000,
            most_objects: 2_000_000,
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

/// How kpath names itself, so that an audit log tells its requests from others.
const AGENT: &str = concat!("kpath/", env!("CARGO_PKG_VERSION"));

/// A client as [`collect_all`] needs it: time limits and attempts are its own, so the client has none.
///
/// # Errors
/// Those of [`kube::Client`]: certificates, proxies and plugins of the configuration that do not work.
pub fn client(mut config: kube::Config) -> Result<kube::Client, kube::Error> {
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(AGENT)));
    config.read_timeout = None;
    // It would wait for as long as a server asks, within the time of one request, and hide the server's answer.
    config.default_retry = false;
    kube::Client::try_from(config)
}

#[derive(Debug)]
enum Failure {
    /// 404.
    Absent,
    /// Another code that is no success.
    Status(u16, String),
    /// The answer has more bytes than [`Options::page_bytes`].
    TooLarge,
    /// No connection, no trust in the certificate, or no answer in time.
    Unreachable(String),
    /// An answer that cannot be read.
    Other(String),
}

/// Lists every kind. What fails becomes a gap; the rest goes on.
///
/// # Errors
/// The reason when the server cannot be spoken to at all: no connection, or no trust in its certificate.
pub async fn collect_all(
    client: &kube::Client,
    options: &Options,
    progress: &(dyn Fn(&'static str) -> ProgressBar + Sync),
) -> Result<Snapshot, String> {
    let mut importer = Importer::default();
    let once = Options { attempts: 2, ..options.clone() };
    match get(client, "/version", "application/json", &once).await {
        Ok(v) => {
            importer.snapshot.version = v.get("gitVersion").and_then(Value::as_str).and_then(Version::parse);
        }
        Err(Failure::Unreachable(reason)) => return Err(reason),
        // A version that is not told costs the version.
        Err(Failure::Absent | Failure::Status(..) | Failure::TooLarge | Failure::Other(_)) => {}
    }
    // Pages become typed objects as they come, so that what is held at one time does not grow with them.
    let results: Vec<(Kind, Importer, Option<Failure>)> = stream::iter(Kind::ALL.iter().copied())
        .map(|kind| async move {
            let bar = progress(kind.info().resource);
            let (part, failure) = list(client, kind, "", options, &bar).await;
            bar.finish_and_clear();
            (kind, part, failure)
        })
        .buffered(options.parallel)
        .collect()
        .await;
    for (kind, part, failure) in results {
        // What came before a failure stays: a path through it holds whatever the rest is.
        importer.absorb(part);
        match failure {
            None => {
                importer.snapshot.read.insert(kind);
            }
            Some(failure) => gap(&mut importer.snapshot, kind, &failure),
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
    Ok(importer.finish())
}

fn gap(snapshot: &mut Snapshot, kind: Kind, failure: &Failure) {
    let info = kind.info();
    let group = if info.group.is_empty() { "\"\"".to_owned() } else { info.group.to_owned() };
    snapshot.read.remove(&kind);
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
        Failure::Status(401, message) => {
            format!("not authenticated (401): {message}; the credential may have expired, log in again")
        }
        Failure::Status(code, message) => format!("the server answered {code}: {message}"),
        Failure::TooLarge => "one object alone is larger than an answer may be".to_owned(),
        Failure::Unreachable(message) | Failure::Other(message) => message.clone(),
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
        let (part, failure) = list(client, Kind::Secret, &selector, options, &ProgressBar::hidden()).await;
        for secret in part.snapshot.objects.secrets {
            types.insert((secret.metadata.namespace, secret.metadata.name), kind);
        }
        if let Some(failure) = failure {
            // Without its type a token Secret looks like any other.
            gap(snapshot, Kind::Secret, &failure);
            break;
        }
    }
    for s in &mut snapshot.objects.secrets {
        if let Some(kind) = types.get(&(s.metadata.namespace.clone(), s.metadata.name.clone())) {
            s.kind = (*kind).to_owned();
        }
    }
}

/// All objects of a kind, page by page; starts over when the server forgot the continue token (410). With a failure
/// comes what was read before it.
async fn list(
    client: &kube::Client,
    kind: Kind,
    selector: &str,
    options: &Options,
    bar: &ProgressBar,
) -> (Importer, Option<Failure>) {
    let mut importer = Importer::default();
    for _ in 0..3 {
        importer = Importer::default();
        match pages(client, kind, selector, options, bar, &mut importer).await {
            Ok(()) => return (importer, None),
            Err(Failure::Status(410, _)) => bar.set_position(0),
            Err(failure) => return (importer, Some(failure)),
        }
    }
    (importer, Some(Failure::Status(410, "the list expired three times while it was read".into())))
}

async fn pages(
    client: &kube::Client,
    kind: Kind,
    selector: &str,
    options: &Options,
    bar: &ProgressBar,
    importer: &mut Importer,
) -> Result<(), Failure> {
    let info = kind.info();
    let base =
        if info.group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{}/{}", info.group, info.version) };
    let accept = if matches!(kind, Kind::Secret | Kind::ConfigMap) { METADATA } else { "application/json" };
    let mut token = String::new();
    let mut size = options.page.max(1);
    let (mut count, mut first) = (0, None);
    for _ in 0..options.most_pages {
        let next = if token.is_empty() { String::new() } else { format!("&continue={}", encode(&token)) };
        let path = format!("{base}/{}?limit={size}{selector}{next}", info.resource);
        let page = match get(client, &path, accept, options).await {
            Err(Failure::TooLarge) if size > 1 => {
                size = (size / 8).max(1);
                continue;
            }
            // Only a kind that was never there is empty.
            Err(Failure::Absent) if !token.is_empty() => {
                return Err(Failure::Status(404, "the list went away while it was read".into()));
            }
            other => other?,
        };
        let Value::Object(mut page) = page else {
            return Err(Failure::Other("the server's list is no object".into()));
        };
        let new = page
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .and_then(|m| m.remove("continue"))
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default();
        match page.get("items") {
            Some(Value::Array(items)) => {
                bar.inc(items.len() as u64);
                count += items.len();
                // A list that begins anew where it should go on would never end.
                let key = items.first().map(identity);
                if key.is_some() && key == first {
                    break;
                }
                first = first.or(key);
            }
            None | Some(Value::Null) => {}
            Some(_) => return Err(Failure::Other("the items of the server's list are no list".into())),
        }
        page.insert("kind".into(), format!("{}List", kind.written()).into());
        page.insert("apiVersion".into(), kind.api_version().into());
        importer.document(Value::Object(page), "", Some(kind)).map_err(Failure::Other)?;
        if new.is_empty() {
            return Ok(());
        }
        if new == token || count >= options.most_objects {
            break;
        }
        token = new;
    }
    Err(Failure::Other("the server's pages do not end".into()))
}

/// An error with what caused it: the HTTP client's own words do not say whether a certificate or a port was wrong.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !words.iter().any(|w| w.contains(&text)) {
            words.push(text);
        }
        next = cause.source();
    }
    words.join(": ")
}

/// Namespace and name of an item.
fn identity(item: &Value) -> (String, String) {
    let text = |p: &str| item.pointer(p).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("/metadata/namespace"), text("/metadata/name"))
}

/// A text as part of a query, percent-encoded.
pub(super) fn encode(text: &str) -> String {
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
            tokio::time::sleep(pause.min(options.longest_pause)).await;
            pause = pause.saturating_mul(2);
        }
        let request = Request::get(path).header(http::header::ACCEPT, accept).body(kube::client::Body::empty());
        let request = request.map_err(|e| Failure::Other(e.to_string()))?;
        let work = async {
            let response = client.send(request).await.map_err(|e| Failure::Unreachable(causes(&e)))?;
            let status = response.status();
            let after = response
                .headers()
                .get(http::header::RETRY_AFTER)
                .and_then(|v| v.to_str().ok())
                .and_then(|v| v.parse::<u64>().ok());
            let body = Limited::new(response.into_body(), options.page_bytes)
                .collect()
                .await
                .map_err(|e| match e.downcast_ref::<LengthLimitError>() {
                    Some(_) => Failure::TooLarge,
                    None => Failure::Other(format!("the answer broke off: {}", causes(&*e))),
                })?
                .to_bytes();
            Ok::<_, Failure>((status, after, body))
        };
        let (status, after, body) = match tokio::time::timeout(options.timeout, work).await {
            // A server that was silent for so long gets one more chance, not several.
            Err(_) => {
                last = Failure::Unreachable(format!("no whole answer within {:?}", options.timeout));
                if attempt > 0 {
                    break;
                }
                continue;
            }
            Ok(Err(Failure::TooLarge)) => return Err(Failure::TooLarge),
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
