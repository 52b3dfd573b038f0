//! ServiceAccount admission: which account a pod runs as, and where its tokens really appear.
//!
//! Source: `plugin/pkg/admission/serviceaccount/admission.go`.

use crate::model::objects::{Secret, ServiceAccount, TOKEN_SECRET};
use crate::model::pod::{Container, Pod};
use crate::model::volume::{Projected, ProjectedSource, TokenSource, Volume};
use crate::model::{pod, rbac};

/// Where the token of a pod is mounted by default.
pub const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Prefix of the volume that admission adds.
const TOKEN_VOLUME: &str = "kube-api-access-";
/// Lifetime of an admission-made token in seconds.
const DEFAULT_EXPIRY: i64 = 3607;

/// A token that arrives in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenMount {
    /// Container name.
    pub container: String,
    /// `containers`, `initContainers` or `ephemeralContainers`.
    pub list: &'static str,
    /// Index in that list.
    pub index: usize,
    /// Mount path of the volume.
    pub mount_path: String,
    /// Volume name.
    pub volume: String,
    /// What the mount holds.
    pub token: Token,
}

/// Kind of token behind a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A projected token: audience (empty for the API server) and lifetime in seconds.
    Projected {
        /// Audience.
        audience: String,
        /// Seconds.
        expiration: i64,
    },
    /// A mounted token Secret.
    Secret(String),
}

/// Looks up accounts and Secrets of the pod's namespace.
pub trait Accounts {
    /// The account, or `None` when it does not exist.
    fn account(&self, namespace: &str, name: &str) -> Option<&ServiceAccount>;
    /// The Secret, or `None` when it is not known.
    fn secret(&self, namespace: &str, name: &str) -> Option<&Secret>;
    /// Whether Secrets were read at all.
    fn secrets_known(&self) -> bool;
}

impl Accounts for crate::model::Cluster {
    fn account(&self, namespace: &str, name: &str) -> Option<&ServiceAccount> {
        self.service_account(namespace, name)
    }
    fn secret(&self, namespace: &str, name: &str) -> Option<&Secret> {
        self.secret(namespace, name)
    }
    fn secrets_known(&self) -> bool {
        self.read.contains(&crate::model::Kind::Secret)
    }
}

/// Admits a new pod: fills in the account, and adds the token volume and mounts.
///
/// # Errors
/// The reason for which the server refuses the pod.
pub fn admit(pod: &mut Pod, namespace: &str, accounts: &dyn Accounts) -> Result<(), String> {
    let spec = &mut pod.spec;
    if spec.service_account_name.is_empty() {
        spec.service_account_name = std::mem::take(&mut spec.service_account);
    }
    if pod.metadata.annotations.contains_key("kubernetes.io/config.mirror") {
        return admit_mirror(pod);
    }
    let spec = &mut pod.spec;
    if spec.service_account_name.is_empty() {
        spec.service_account_name = "default".into();
    }
    let name = spec.service_account_name.clone();
    let Some(account) = accounts.account(namespace, &name) else {
        return Err(format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"));
    };
    if enforces_mountable(account) {
        limit_references(pod, account)?;
    }
    let spec = &mut pod.spec;
    let mount = spec.automount_service_account_token.or(account.automount_service_account_token).unwrap_or(true);
    if mount {
        add_token(pod);
    }
    Ok(())
}

/// Adds the default token volume and mounts, as admission does for an account that opted in.
pub fn add_token(pod: &mut Pod) {
    let spec = &mut pod.spec;
    let existing = spec.volumes.iter().find(|v| v.name.starts_with(TOKEN_VOLUME)).map(|v| v.name.clone());
    let name = existing.clone().unwrap_or_else(|| format!("{TOKEN_VOLUME}xxxxx"));
    let mut needed = false;
    for c in spec.init_containers.iter_mut().chain(&mut spec.containers) {
        if c.volume_mounts.iter().any(|m| m.mount_path == TOKEN_PATH) {
            continue;
        }
        needed = true;
        c.volume_mounts.push(pod::VolumeMount {
            name: name.clone(),
            mount_path: TOKEN_PATH.into(),
            read_only: true,
            ..pod::VolumeMount::default()
        });
    }
    if needed && existing.is_none() {
        let token =
            TokenSource { audience: String::new(), expiration_seconds: Some(DEFAULT_EXPIRY), path: "token".into() };
        spec.volumes.push(Volume {
            name,
            projected: Some(Projected {
                sources: vec![ProjectedSource { service_account_token: Some(token), ..ProjectedSource::default() }],
            }),
            ..Volume::default()
        });
    }
}

fn admit_mirror(pod: &Pod) -> Result<(), String> {
    if !pod.spec.service_account_name.is_empty() {
        return Err("a mirror pod may not reference service accounts".into());
    }
    if !secret_references(pod).is_empty() {
        return Err("a mirror pod may not reference secrets".into());
    }
    let token = |v: &Volume| v.projected.iter().flat_map(|p| &p.sources).any(|s| s.service_account_token.is_some());
    if pod.spec.volumes.iter().any(token) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections".into());
    }
    Ok(())
}

/// Every Secret the pod names, in any field.
pub fn secret_references(pod: &Pod) -> Vec<String> {
    let mut out = Vec::new();
    for v in &pod.spec.volumes {
        out.extend(v.secret.iter().map(|s| s.secret_name.clone()));
        out.extend(
            v.projected.iter().flat_map(|p| &p.sources).filter_map(|s| s.secret.as_ref()).map(|s| s.name.clone()),
        );
        out.extend(v.csi.iter().filter_map(|c| c.node_publish_secret_ref.as_ref()).map(|s| s.name.clone()));
        out.extend(v.secret_refs.iter().cloned());
    }
    for c in pod.all_containers() {
        out.extend(
            c.container
                .env
                .iter()
                .filter_map(|e| e.value_from.as_ref()?.secret_key_ref.as_ref())
                .map(|s| s.name.clone()),
        );
        out.extend(c.container.env_from.iter().filter_map(|e| e.secret_ref.as_ref()).map(|s| s.name.clone()));
    }
    out.extend(pod.spec.image_pull_secrets.iter().map(|s| s.name.clone()));
    out.retain(|n| !n.is_empty());
    out.sort();
    out.dedup();
    out
}

/// `strconv.ParseBool` of the annotation; unreadable values do not enforce.
fn enforces_mountable(account: &ServiceAccount) -> bool {
    account
        .metadata
        .annotations
        .get("kubernetes.io/enforce-mountable-secrets")
        .is_some_and(|v| matches!(v.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"))
}

fn limit_references(pod: &Pod, account: &ServiceAccount) -> Result<(), String> {
    let who = &account.metadata.name;
    let listed = |name: &str| account.secrets.iter().any(|s| s.name == name);
    let refuse = |what: String| {
        Err(format!("{what} is not allowed because service account {who} does not reference that secret"))
    };
    for v in &pod.spec.volumes {
        if let Some(s) = &v.secret
            && !listed(&s.secret_name)
        {
            return refuse(format!("volume with secret.secretName={:?}", s.secret_name));
        }
    }
    let lists: [(&str, &[Container]); 3] = [
        ("init container", &pod.spec.init_containers),
        ("container", &pod.spec.containers),
        ("ephemeral container", &pod.spec.ephemeral_containers),
    ];
    for (label, list) in lists {
        for c in list {
            for e in &c.env {
                if let Some(s) = e.value_from.as_ref().and_then(|f| f.secret_key_ref.as_ref())
                    && !listed(&s.name)
                {
                    return refuse(format!(
                        "{label} {} with envVar {} referencing secret.secretName={:?}",
                        c.name, e.name, s.name
                    ));
                }
            }
            if let Some(s) = c.env_from.iter().filter_map(|e| e.secret_ref.as_ref()).find(|s| !listed(&s.name)) {
                return refuse(format!("{label} {} with envFrom referencing secret.secretName={:?}", c.name, s.name));
            }
        }
    }
    for (i, s) in pod.spec.image_pull_secrets.iter().enumerate() {
        if !account.image_pull_secrets.iter().any(|p| p.name == s.name) {
            return Err(format!(
                "imagePullSecrets[{i}].name={:?} is not allowed because service account {who} does not reference that imagePullSecret",
                s.name
            ));
        }
    }
    Ok(())
}

/// Every token that really arrives in a container of a stored pod, init containers first.
pub fn token_mounts(pod: &Pod, namespace: &str, accounts: &dyn Accounts) -> Vec<TokenMount> {
    let lists: [(&'static str, &[Container]); 3] = [
        ("initContainers", &pod.spec.init_containers),
        ("containers", &pod.spec.containers),
        ("ephemeralContainers", &pod.spec.ephemeral_containers),
    ];
    let mut out = Vec::new();
    for (list, containers) in lists {
        for (index, c) in containers.iter().enumerate() {
            for m in &c.volume_mounts {
                let Some(volume) = pod.spec.volumes.iter().find(|v| v.name == m.name) else { continue };
                let mut add = |token| {
                    out.push(TokenMount {
                        container: c.name.clone(),
                        list,
                        index,
                        mount_path: m.mount_path.clone(),
                        volume: volume.name.clone(),
                        token,
                    });
                };
                for s in volume.projected.iter().flat_map(|p| &p.sources) {
                    if let Some(t) = &s.service_account_token {
                        add(Token::Projected {
                            audience: t.audience.clone(),
                            expiration: t.expiration_seconds.unwrap_or(3600),
                        });
                    }
                }
                if let Some(s) = &volume.secret
                    && is_token_secret(namespace, &s.secret_name, accounts, pod)
                {
                    add(Token::Secret(s.secret_name.clone()));
                }
            }
        }
    }
    out
}

/// Whether a Secret holds an account token: by its type, or, where Secrets were not read, by the name that the
/// token controller gave (`NAME-token-xxxxx`) and its place in the account's `secrets`.
fn is_token_secret(namespace: &str, name: &str, accounts: &dyn Accounts, pod: &Pod) -> bool {
    match accounts.secret(namespace, name) {
        Some(s) if !s.kind.is_empty() => s.kind == TOKEN_SECRET,
        _ if accounts.secrets_known() => false,
        _ => {
            let looks = name.ends_with("-token") || name.contains("-token-");
            let listed =
                accounts.account(namespace, pod.account()).is_some_and(|a| a.secrets.iter().any(|s| s.name == name));
            looks && (listed || name.contains("-token-") || name.ends_with("-token"))
        }
    }
}

/// Whether a label selector selects nothing in particular: used by callers that need to say "every object".
pub fn selects_everything(selector: &rbac::LabelSelector) -> bool {
    selector.match_labels.is_empty() && selector.match_expressions.is_empty()
}
