//! A small HTTP server that answers as told, faults included: over plain TCP or TLS, one request a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a request is answered.
pub enum Reply {
    /// A code, one more header, a content type and a body.
    Whole(u16, Option<(&'static str, String)>, &'static str, Vec<u8>),
    /// The connection ends without an answer.
    Reset,
    /// Half of the body, then the end.
    Truncated(Vec<u8>),
    /// A body of so many bytes, made as it is sent.
    Endless(usize),
    /// A byte at a time, with pauses, for a minute.
    Drip,
    /// Nothing, for a minute.
    Silence,
}

/// A whole JSON answer.
pub fn json(code: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply::Whole(code, None, "application/json", body.into())
}

/// An empty list.
pub fn empty() -> Reply {
    json(200, r#"{"kind":"List","metadata":{},"items":[]}"#)
}

/// Handles (path with query, how often this path was asked before). Of a POST of AWS it gets the service, the operation if
/// a header names it, and the body.
pub type Handler = dyn Fn(&str, usize) -> Reply + Send + Sync;

/// A running server; it ends with the test's process.
pub struct Server {
    /// Address with scheme.
    pub url: String,
    /// Paths asked for.
    pub log: Arc<Mutex<Vec<String>>>,
    /// Bytes of bodies sent.
    pub sent: Arc<AtomicUsize>,
}

impl Server {
    /// Serves plain HTTP.
    pub fn start(handler: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::with(None, Arc::new(handler))
    }

    /// Serves with TLS.
    pub fn start_tls(
        config: rustls::ServerConfig,
        handler: impl Fn(&str, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::with(Some(Arc::new(config)), Arc::new(handler))
    }

    fn with(tls: Option<Arc<rustls::ServerConfig>>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (log, sent) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (all, bytes) = (log.clone(), sent.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, tls, log, sent) = (handler.clone(), tls.clone(), all.clone(), bytes.clone());
                std::thread::spawn(move || match tls {
                    Some(config) => {
                        let session = rustls::ServerConnection::new(config).unwrap();
                        serve(&mut rustls::StreamOwned::new(session, stream), &*handler, &log, &sent)
                    }
                    None => serve(&mut { stream }, &*handler, &log, &sent),
                });
            }
        });
        Server { url, log, sent }
    }

    /// A kubeconfig for it in a folder.
    pub fn kubeconfig(&self, dir: &Path, cluster: &serde_json::Value) -> PathBuf {
        let mut c = cluster.clone();
        c["server"] = self.url.clone().into();
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "t", "clusters": [{"name": "t", "cluster": c}],
            "users": [{"name": "t", "user": {"token": "secret-token"}}],
            "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
        });
        let path = dir.join("kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }
}

fn serve<S: Read + Write>(
    stream: &mut S,
    handler: &Handler,
    log: &Mutex<Vec<String>>,
    sent: &AtomicUsize,
) -> Option<()> {
    let mut first = String::new();
    let (mut service, mut target, mut body) = (String::new(), String::new(), Vec::new());
    {
        let mut reader = BufReader::new(&mut *stream);
        reader.read_line(&mut first).ok()?;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some((name, value)) = line.trim().split_once(": ") {
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => body.resize(value.parse().ok()?, 0),
                    "x-amz-target" => target = format!(" {value}"),
                    // Credential=ID/DATE/REGION/SERVICE/aws4_request
                    "authorization" => service = value.split('/').nth(3).unwrap_or_default().to_owned(),
                    _ => {}
                }
            }
            line.clear();
        }
        reader.read_exact(&mut body).ok()?;
    }
    let path = match first.split_once(' ')? {
        ("POST", _) => format!("{service}{target} {}", String::from_utf8_lossy(&body)),
        ("GET", rest) => rest.split(' ').next()?.to_owned(),
        (method, rest) => format!("{method} {}", rest.split(' ').next()?),
    };
    let before = {
        let mut all = log.lock().unwrap();
        let before = all.iter().filter(|p| **p == path).count();
        all.push(path.clone());
        before
    };
    let head = |code: u16, kind: &str, length: usize, more: &str| {
        format!(
            "HTTP/1.1 {code} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n"
        )
    };
    match handler(&path, before) {
        Reply::Whole(code, header, kind, body) => {
            let more = header.map(|(k, v)| format!("{k}: {v}\r\n")).unwrap_or_default();
            stream.write_all(head(code, kind, body.len(), &more).as_bytes()).ok()?;
            stream.write_all(&body).ok()?;
            sent.fetch_add(body.len(), Ordering::Relaxed);
        }
        Reply::Reset => {}
        Reply::Truncated(body) => {
            stream.write_all(head(200, "application/json", body.len(), "").as_bytes()).ok()?;
            stream.write_all(&body[..body.len() / 2]).ok()?;
        }
        Reply::Endless(size) => {
            stream.write_all(head(200, "application/json", size, "").as_bytes()).ok()?;
            stream.write_all(br#"{"kind":"PodList","items":["#).ok()?;
            let block = [b' '; 1 << 16];
            for _ in 0..size / block.len() {
                stream.write_all(&block).ok()?;
                sent.fetch_add(block.len(), Ordering::Relaxed);
            }
        }
        Reply::Drip => {
            stream.write_all(head(200, "application/json", 1 << 20, "").as_bytes()).ok()?;
            for _ in 0..600 {
                stream.write_all(b" ").ok()?;
                stream.flush().ok()?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Reply::Silence => std::thread::sleep(Duration::from_secs(60)),
    }
    stream.flush().ok()
}
