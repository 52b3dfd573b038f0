//! What roles of Google Cloud hold, of the permissions that rules read.
//!
//! Predefined roles as of 2026-07 (Google Cloud IAM, "IAM roles and permissions index"); a saved answer of
//! `gcloud iam roles describe` goes before the table.

use std::collections::BTreeSet;

use crate::rules::fact::Access;

/// Permissions by what they give: any of them does.
pub const PERMISSIONS: [(Access, &[&str]); 12] = [
    (
        Access::Policy,
        &[
            "resourcemanager.projects.setIamPolicy",
            "resourcemanager.folders.setIamPolicy",
            "resourcemanager.organizations.setIamPolicy",
        ],
    ),
    (
        Access::Impersonate,
        &[
            "iam.serviceAccounts.getAccessToken",
            "iam.serviceAccounts.signJwt",
            "iam.serviceAccounts.signBlob",
            "iam.serviceAccounts.setIamPolicy",
        ],
    ),
    (Access::CreateKeys, &["iam.serviceAccountKeys.create"]),
    (Access::Machines, &["compute.instances.setMetadata"]),
    (Access::CommonMetadata, &["compute.projects.setCommonInstanceMetadata"]),
    (Access::Decrypt, &["cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.cryptoKeys.setIamPolicy"]),
    (Access::ReadSecrets, &["secretmanager.versions.access", "secretmanager.secrets.setIamPolicy"]),
    (Access::ReadObjects, &["storage.objects.get", "storage.buckets.setIamPolicy"]),
    (Access::ClusterSecrets, &["container.secrets.get", "container.secrets.list"]),
    (
        Access::ClusterPods,
        &[
            "container.pods.create",
            "container.deployments.create",
            "container.deployments.update",
            "container.daemonSets.create",
            "container.daemonSets.update",
            "container.statefulSets.create",
            "container.statefulSets.update",
            "container.replicaSets.create",
            "container.replicaSets.update",
            "container.replicationControllers.create",
            "container.replicationControllers.update",
            "container.jobs.create",
            "container.cronJobs.create",
            "container.cronJobs.update",
        ],
    ),
    (Access::ClusterExec, &["container.pods.exec"]),
    (Access::ClusterAccounts, &["container.serviceAccounts.createToken"]),
];

/// Permissions that give everything in a cluster, both of a pair: to bind any role, or to widen one that is bound (Kubernetes,
/// "Using RBAC Authorization", privilege escalation prevention).
pub const CLUSTER_ADMIN: [[&str; 2]; 3] = [
    ["container.clusterRoleBindings.create", "container.clusterRoles.bind"],
    ["container.clusterRoleBindings.update", "container.clusterRoles.bind"],
    ["container.clusterRoles.update", "container.clusterRoles.escalate"],
];

/// The permission to have code run as a service account; whoever starts the code needs another one too.
pub const ACT_AS: &str = "iam.serviceAccounts.actAs";

/// The permission to widen a custom role: of use to who has one.
pub const UPDATE_ROLE: &str = "iam.roles.update";

/// Permissions that start code as a service account that is passed along.
pub const STARTS: [&str; 4] =
    ["compute.instances.create", "cloudfunctions.functions.create", "run.services.create", "cloudbuild.builds.create"];

/// All of the table below that a project's owner has.
const OWNER: &[&str] = &[
    UPDATE_ROLE,
    "resourcemanager.projects.setIamPolicy",
    "iam.serviceAccounts.setIamPolicy",
    "iam.serviceAccounts.actAs",
    "iam.serviceAccountKeys.create",
    "compute.instances.setMetadata",
    "compute.projects.setCommonInstanceMetadata",
    "compute.instances.create",
    "cloudfunctions.functions.create",
    "run.services.create",
    "cloudbuild.builds.create",
    "cloudkms.cryptoKeyVersions.useToDecrypt",
    "cloudkms.cryptoKeys.setIamPolicy",
    "secretmanager.versions.access",
    "secretmanager.secrets.setIamPolicy",
    "container.clusterRoleBindings.update",
    "container.clusterRoles.bind",
    "container.secrets.get",
    "container.pods.create",
    "container.pods.exec",
    "container.serviceAccounts.createToken",
];

const EDITOR: &[&str] = &[
    "iam.serviceAccounts.actAs",
    "iam.serviceAccountKeys.create",
    "compute.instances.setMetadata",
    "compute.projects.setCommonInstanceMetadata",
    "compute.instances.create",
    "cloudfunctions.functions.create",
    "run.services.create",
    "cloudbuild.builds.create",
    "container.secrets.get",
    "container.pods.create",
    "container.pods.exec",
];

const CONTAINER_ADMIN: &[&str] = &[
    "container.clusterRoleBindings.update",
    "container.clusterRoles.bind",
    "container.secrets.get",
    "container.pods.create",
    "container.pods.exec",
    "container.serviceAccounts.createToken",
];

const COMPUTE_ADMIN: &[&str] =
    &["compute.instances.setMetadata", "compute.projects.setCommonInstanceMetadata", "compute.instances.create"];

const TOKENS: &[&str] =
    &["iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.signJwt", "iam.serviceAccounts.signBlob"];

const OBJECTS: &[&str] = &["storage.objects.get"];

const NOTHING: &[&str] = &[];

/// Predefined roles.
const ROLES: [(&str, &[&str]); 68] = [
    ("roles/owner", OWNER),
    ("roles/admin", OWNER),
    ("roles/editor", EDITOR),
    ("roles/writer", EDITOR),
    ("roles/viewer", NOTHING),
    ("roles/reader", NOTHING),
    ("roles/browser", NOTHING),
    ("roles/container.admin", CONTAINER_ADMIN),
    (
        "roles/container.developer",
        &[
            "container.secrets.get",
            "container.pods.create",
            "container.pods.exec",
            "container.serviceAccounts.createToken",
        ],
    ),
    ("roles/container.viewer", NOTHING),
    ("roles/container.clusterViewer", NOTHING),
    ("roles/container.clusterAdmin", NOTHING),
    ("roles/container.nodeServiceAccount", OBJECTS),
    ("roles/container.defaultNodeServiceAccount", NOTHING),
    ("roles/container.hostServiceAgentUser", NOTHING),
    ("roles/iam.workloadIdentityUser", &["iam.serviceAccounts.getAccessToken"]),
    ("roles/iam.serviceAccountTokenCreator", TOKENS),
    ("roles/iam.serviceAccountOpenIdTokenCreator", NOTHING),
    ("roles/iam.serviceAccountUser", &["iam.serviceAccounts.actAs"]),
    ("roles/iam.serviceAccountAdmin", &["iam.serviceAccounts.setIamPolicy"]),
    ("roles/iam.serviceAccountKeyAdmin", &["iam.serviceAccountKeys.create"]),
    ("roles/iam.serviceAccountViewer", NOTHING),
    ("roles/iam.serviceAccountCreator", NOTHING),
    ("roles/iam.serviceAccountDeleter", NOTHING),
    ("roles/iam.securityReviewer", NOTHING),
    (
        "roles/iam.securityAdmin",
        &[
            "resourcemanager.projects.setIamPolicy",
            "resourcemanager.folders.setIamPolicy",
            "resourcemanager.organizations.setIamPolicy",
            "iam.serviceAccounts.setIamPolicy",
            "cloudkms.cryptoKeys.setIamPolicy",
            "secretmanager.secrets.setIamPolicy",
            "storage.buckets.setIamPolicy",
        ],
    ),
    ("roles/iam.roleAdmin", &[UPDATE_ROLE]),
    ("roles/iam.organizationRoleAdmin", &[UPDATE_ROLE]),
    ("roles/resourcemanager.projectIamAdmin", &["resourcemanager.projects.setIamPolicy"]),
    (
        "roles/resourcemanager.folderAdmin",
        &["resourcemanager.projects.setIamPolicy", "resourcemanager.folders.setIamPolicy"],
    ),
    (
        "roles/resourcemanager.organizationAdmin",
        &[
            "resourcemanager.projects.setIamPolicy",
            "resourcemanager.folders.setIamPolicy",
            "resourcemanager.organizations.setIamPolicy",
        ],
    ),
    ("roles/resourcemanager.projectCreator", NOTHING),
    ("roles/resourcemanager.organizationViewer", NOTHING),
    ("roles/compute.admin", COMPUTE_ADMIN),
    ("roles/compute.instanceAdmin.v1", COMPUTE_ADMIN),
    ("roles/compute.instanceAdmin", &["compute.instances.setMetadata", "compute.instances.create"]),
    ("roles/compute.viewer", NOTHING),
    ("roles/compute.networkAdmin", NOTHING),
    ("roles/compute.networkUser", NOTHING),
    ("roles/compute.networkViewer", NOTHING),
    ("roles/compute.securityAdmin", NOTHING),
    ("roles/compute.loadBalancerAdmin", NOTHING),
    ("roles/compute.storageAdmin", NOTHING),
    ("roles/cloudkms.admin", &["cloudkms.cryptoKeys.setIamPolicy"]),
    ("roles/cloudkms.cryptoKeyDecrypter", &["cloudkms.cryptoKeyVersions.useToDecrypt"]),
    ("roles/cloudkms.cryptoKeyEncrypterDecrypter", &["cloudkms.cryptoKeyVersions.useToDecrypt"]),
    ("roles/cloudkms.cryptoOperator", &["cloudkms.cryptoKeyVersions.useToDecrypt"]),
    ("roles/cloudkms.cryptoKeyEncrypter", NOTHING),
    ("roles/cloudkms.publicKeyViewer", NOTHING),
    ("roles/cloudkms.signerVerifier", NOTHING),
    ("roles/cloudkms.viewer", NOTHING),
    ("roles/secretmanager.admin", &["secretmanager.versions.access", "secretmanager.secrets.setIamPolicy"]),
    ("roles/secretmanager.secretAccessor", &["secretmanager.versions.access"]),
    ("roles/secretmanager.secretVersionAdder", NOTHING),
    ("roles/secretmanager.secretVersionManager", NOTHING),
    ("roles/secretmanager.viewer", NOTHING),
    ("roles/storage.admin", &["storage.objects.get", "storage.buckets.setIamPolicy"]),
    ("roles/storage.objectAdmin", OBJECTS),
    ("roles/storage.objectUser", OBJECTS),
    ("roles/storage.objectViewer", OBJECTS),
    ("roles/storage.legacyObjectReader", OBJECTS),
    ("roles/storage.legacyObjectOwner", OBJECTS),
    ("roles/storage.legacyBucketOwner", &["storage.buckets.setIamPolicy"]),
    ("roles/storage.legacyBucketReader", NOTHING),
    ("roles/storage.legacyBucketWriter", NOTHING),
    ("roles/storage.objectCreator", NOTHING),
    ("roles/storage.insightsCollectorService", NOTHING),
    ("roles/composer.worker", CONTAINER_ADMIN),
];

/// Services whose predefined roles hold nothing that rules read.
const HARMLESS: [&str; 20] = [
    "artifactregistry",
    "autoscaling",
    "bigquery",
    "billing",
    "cloudprofiler",
    "cloudsql",
    "cloudtrace",
    "containeranalysis",
    "containerscanning",
    "datastore",
    "dns",
    "errorreporting",
    "file",
    "logging",
    "monitoring",
    "networkmanagement",
    "pubsub",
    "redis",
    "serviceusage",
    "stackdriver",
];

/// What a role holds, of the permissions that rules read; `None` for a role that is in no table.
pub fn predefined(role: &str) -> Option<BTreeSet<&'static str>> {
    if let Some((_, permissions)) = ROLES.iter().find(|(r, _)| *r == role) {
        return Some(permissions.iter().copied().collect());
    }
    let service = role.strip_prefix("roles/")?.split('.').next()?;
    let harmless = HARMLESS.contains(&service) && !role.ends_with("erviceAgent");
    harmless.then(BTreeSet::new)
}
