//! Requests to the API server under a credential.

use std::path::PathBuf;

use http::{Method, Request};
use http_body_util::BodyExt;
use kpath::model::Kind;
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Code.
    pub code: u16,
    /// Body as text.
    pub text: String,
}

impl Answer {
    /// Whether the code is 2xx.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Whether authentication and authorization let the request pass, whatever came of it later.
    pub fn authorized(&self) -> bool {
        !matches!(self.code, 401 | 403)
    }
}

/// One credential at one server.
#[derive(Clone)]
pub struct Caller {
    config: kube::Config,
    client: kube::Client,
    headers: Vec<(&'static str, String)>,
}

/// The kubeconfig of the administrator.
pub fn kubeconfig() -> PathBuf {
    PathBuf::from(std::env::var_os("KPATH_E2E_KUBECONFIG").expect("KPATH_E2E_KUBECONFIG: run scripts/e2e"))
}

impl Caller {
    /// The administrator of `KPATH_E2E_KUBECONFIG`.
    pub async fn admin() -> Self {
        let file = Kubeconfig::read_from(kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        Self::with(config)
    }

    fn with(config: kube::Config) -> Self {
        Caller { client: kube::Client::try_from(config.clone()).unwrap(), config, headers: Vec::new() }
    }

    fn credential(&self, auth: AuthInfo) -> Self {
        let mut config = self.config.clone();
        config.auth_info = auth;
        Self::with(config)
    }

    /// The same server without a credential.
    pub fn anonymous(&self) -> Self {
        self.credential(AuthInfo::default())
    }

    /// The same server with a token.
    pub fn token(&self, token: &str) -> Self {
        self.credential(AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() })
    }

    /// The same server with a client certificate and key, both PEM.
    pub fn certificate(&self, cert: &str, key: &str) -> Self {
        let text = |s: &str| base64(s.as_bytes());
        self.credential(AuthInfo {
            client_certificate_data: Some(text(cert)),
            client_key_data: Some(text(key).into()),
            ..AuthInfo::default()
        })
    }

    /// The same credential with more headers, for impersonation.
    pub fn headers(&self, headers: &[(&'static str, &str)]) -> Self {
        let mut other = self.clone();
        other.headers.extend(headers.iter().map(|(k, v)| (*k, (*v).to_owned())));
        other
    }

    /// Sends a request with a body of a content type.
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("Content-Type", kind);
        for (k, v) in &self.headers {
            request = request.header(*k, v);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string().into_bytes()) };
        let work = async {
            let response = match self.client.send(request.body(body).unwrap()).await {
                Ok(response) => response,
                Err(e) => return Answer { code: 0, text: e.to_string() },
            };
            let code = response.status().as_u16();
            let bytes = response.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
            Answer { code, text: String::from_utf8_lossy(&bytes).into_owned() }
        };
        let limit = std::time::Duration::from_secs(20);
        let silent = |_| Answer { code: 0, text: format!("no answer within {limit:?}") };
        tokio::time::timeout(limit, work).await.unwrap_or_else(silent)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, "application/json", &Value::Null).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, "application/json", body).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, "application/json", body).await
    }

    /// PATCH, as a JSON merge patch.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, "application/merge-patch+json", body).await
    }

    /// DELETE with options.
    pub async fn delete(&self, path: &str, options: &Value) -> Answer {
        self.send(Method::DELETE, path, "application/json", options).await
    }

    /// A token of a service account, by TokenRequest.
    pub async fn account_token(&self, namespace: &str, name: &str) -> String {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let answer = self.post(&path, &json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"})).await;
        answer.json()["status"]["token"].as_str().unwrap_or_else(|| panic!("{path}: {answer:?}")).to_owned()
    }

    /// The user name that the server sees.
    pub async fn username(&self) -> String {
        let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let answer = self.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", &body).await;
        answer.json()["status"]["userInfo"]["username"].as_str().unwrap_or_default().to_owned()
    }
}

/// Path of an object's collection and of itself.
pub fn paths(object: &Value) -> (String, String) {
    let text = |p: &str| object.pointer(p).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    let (group, _) = version.rsplit_once('/').unwrap_or(("", version));
    let info = Kind::find(text("/kind"), group).unwrap_or_else(|| panic!("{object}")).info();
    let base = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{version}") };
    let collection = if info.namespaced {
        format!("{base}/namespaces/{}/{}", text("/metadata/namespace"), info.resource)
    } else {
        format!("{base}/{}", info.resource)
    };
    let one = format!("{collection}/{}", text("/metadata/name"));
    (collection, one)
}

/// Standard base64, which kubeconfigs and Secret data are written in.
pub fn base64(bytes: &[u8]) -> String {
    let value = serde_json::to_value(k8s_openapi::ByteString(bytes.to_vec())).unwrap();
    value.as_str().unwrap().to_owned()
}
