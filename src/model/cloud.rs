//! Objects of a cloud account, each as its API describes it, reduced to what rules read.
//!
//! They are kept beside the objects of the cluster, so that evidence points into them in the same way: an object of kind
//! `IamRole` with the pointer `/spec/AssumeRolePolicyDocument/Statement/0`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::meta::Meta;

/// Whose account it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
}

impl Provider {
    /// Every one.
    pub const ALL: [Provider; 3] = [Provider::Aws, Provider::Gcp, Provider::Azure];

    /// Folder of saved answers beside a dump, which is also the group that evidence names for objects.
    pub fn folder(self) -> &'static str {
        match self {
            Provider::Aws => "aws",
            Provider::Gcp => "gcp",
            Provider::Azure => "azure",
        }
    }

    /// Program that gives the answers.
    pub fn program(self) -> &'static str {
        match self {
            Provider::Aws => "aws",
            Provider::Gcp => "gcloud",
            Provider::Azure => "az",
        }
    }

    /// Whose answers a folder holds; `None` for any other file.
    pub fn of_folder(file: &str) -> Option<Self> {
        let (folder, _) = file.split_once('/')?;
        Self::ALL.into_iter().find(|p| p.folder() == folder)
    }

    /// Whose objects evidence means by a group; `None` for a group of the cluster.
    pub fn of_group(group: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.folder() == group)
    }

    /// Whose an object is, by its kind: those of AWS have no prefix.
    pub fn of_kind(kind: &str) -> Self {
        let own = |p: &Provider| match p {
            Provider::Aws => false,
            Provider::Gcp => kind.starts_with("Gcp"),
            Provider::Azure => kind.starts_with("Azure"),
        };
        Self::ALL.into_iter().find(own).unwrap_or(Provider::Aws)
    }

    /// Whose call the name of an unknown is; `None` for what is no call. Those of AWS have no prefix, but that of a service.
    pub fn of_call(name: &str) -> Option<Self> {
        const SERVICES: [&str; 14] = [
            "iam",
            "eks",
            "kms",
            "s3api",
            "s3control",
            "organizations",
            "sts",
            "ec2",
            "ecr",
            "ecs",
            "lambda",
            "codebuild",
            "cloudformation",
            "secretsmanager",
        ];
        let (first, _) = scope(name).1.split_once('-')?;
        match first {
            "gcloud" => Some(Provider::Gcp),
            "az" => Some(Provider::Azure),
            _ => SERVICES.contains(&first).then_some(Provider::Aws),
        }
    }

    /// What an account is called.
    pub fn account(self) -> &'static str {
        match self {
            Provider::Aws => "AWS account",
            Provider::Gcp => "Google Cloud project",
            Provider::Azure => "Azure subscription",
        }
    }

    /// Name of a call in ids of unknowns: `iam-get-role-NAME`, `gcloud-projects-get-iam-policy-P`, `az-aks-show-NAME`.
    pub fn call(self, stem: &str) -> String {
        match self {
            Provider::Aws => stem.to_owned(),
            _ => format!("{}-{stem}", self.program()),
        }
    }
}

/// The account that a name begins with, `ACCOUNT:NAME`, and the rest: objects and calls of the cluster's own account have
/// none, those of other accounts of AWS that were read as well have theirs.
pub fn scope(name: &str) -> (&str, &str) {
    let is = |a: &str| a.len() == 12 && a.bytes().all(|b| b.is_ascii_digit());
    name.split_once(':').filter(|(a, _)| is(a)).unwrap_or(("", name))
}

/// One object of a cloud account.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CloudObject {
    /// Name of the object, and its kind in the place of a namespace: objects are found and sorted by both.
    pub metadata: Meta,
    /// Fields as the API spells them; policy documents are JSON, not text.
    pub spec: Value,
}

impl CloudObject {
    /// Kind: `IamRole`, `KmsKey`, …; `Call` for an answer that was read.
    pub fn kind(&self) -> &str {
        &self.metadata.namespace
    }

    /// Whose account the object is of; of an answer that was read, whose call it is.
    pub fn provider(&self) -> Provider {
        match self.kind() {
            "Call" => Provider::of_call(&self.metadata.name).unwrap_or(Provider::Aws),
            kind => Provider::of_kind(kind),
        }
    }

    /// A text of the spec; empty where it is not there.
    pub fn text(&self, field: &str) -> &str {
        self.spec.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A list of the spec; empty where it is not there.
    pub fn list(&self, field: &str) -> &[Value] {
        self.spec.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}
