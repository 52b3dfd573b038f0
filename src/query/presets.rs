//! Saved questions from `queries/`, embedded; a file `queries/ID.yaml` in the current folder wins over the embedded one.

use serde::{Deserialize, Serialize};

use super::selector::nearest;

/// A saved question.
#[derive(Debug, Clone, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Id, the file name without its ending.
    pub id: String,
    /// What is asked, in words.
    pub title: String,
    /// Sources.
    pub from: String,
    /// Targets.
    pub to: String,
    /// What kind of question it is.
    #[serde(default, skip_serializing_if = "is_paths")]
    pub ask: Ask,
    /// TCP port of a question about connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Only some of the roles that `to` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Only>,
    /// Only Secrets of another namespace than the source's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub foreign: bool,
}

/// Kinds of saved questions.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Attack paths from sources to targets.
    #[default]
    Paths,
    /// Pods of the sources that may connect to the target.
    Connections,
    /// Namespaces that hold Secrets and have pods that no policy isolates.
    OpenNamespaces,
}

/// Which roles of an account a saved question is about.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// Those from which cluster-admin follows for sure.
    ClusterAdmin,
    /// Those that every service account of the cluster may take on.
    AnyAccount,
}

impl Only {
    /// The word of a file.
    pub fn word(self) -> &'static str {
        match self {
            Only::ClusterAdmin => "cluster-admin",
            Only::AnyAccount => "any-account",
        }
    }
}

fn is_paths(ask: &Ask) -> bool {
    *ask == Ask::Paths
}

fn is_false(value: &bool) -> bool {
    !value
}

const EMBEDDED: [&str; 15] = [
    include_str!("../../queries/aws-roles-to-cluster-admin.yaml"),
    include_str!("../../queries/default-accounts-with-rights.yaml"),
    include_str!("../../queries/internet-to-secrets.yaml"),
    include_str!("../../queries/irsa-trusts-any-account.yaml"),
    include_str!("../../queries/namespace-breakout.yaml"),
    include_str!("../../queries/namespaces-without-default-deny.yaml"),
    include_str!("../../queries/pods-to-cluster-admin.yaml"),
    include_str!("../../queries/pods-to-cluster-admin-through-aws.yaml"),
    include_str!("../../queries/pods-to-foreign-secrets.yaml"),
    include_str!("../../queries/pods-to-kubelets.yaml"),
    include_str!("../../queries/pods-to-kms.yaml"),
    include_str!("../../queries/pods-to-metadata-service.yaml"),
    include_str!("../../queries/pods-to-nodes.yaml"),
    include_str!("../../queries/unauthenticated-rights.yaml"),
    include_str!("../../queries/who-reads-every-secret.yaml"),
];

/// All embedded presets, by id.
pub fn all() -> Vec<Preset> {
    EMBEDDED.iter().filter_map(|t| parse(t).ok()).collect()
}

/// Reads one preset.
///
/// # Errors
/// What is wrong with the file.
pub fn parse(text: &str) -> Result<Preset, String> {
    let value = crate::snapshot::import::yaml::decode(text)?;
    serde_json::from_value(value).map_err(|e| e.to_string())
}

/// Finds a preset: a file of the user first, then the embedded ones.
///
/// # Errors
/// Unknown ids, with the nearest known one, or a malformed file.
pub fn find(id: &str) -> Result<Preset, String> {
    let plain = !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain && let Ok(text) = std::fs::read_to_string(format!("queries/{id}.yaml")) {
        return parse(&text).map_err(|e| format!("queries/{id}.yaml: {e}"));
    }
    let known = all();
    known.iter().find(|p| p.id == id).cloned().ok_or_else(|| {
        let near = nearest(id, known.iter().map(|p| p.id.as_str()))
            .map(|n| format!("; did you mean {n:?}?"))
            .unwrap_or_default();
        format!("unknown query {id:?}{near}\nhint: `kpath query list` shows all")
    })
}
