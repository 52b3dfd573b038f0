//! What roles of Azure allow.
//!
//! Built-in roles as of 2026-07 (Azure RBAC documentation, "Azure built-in roles"), reduced to what rules read; a saved
//! answer of `az role definition list` goes before the table.

use crate::iam::pattern::matches_action;

/// One set of a role's permissions: what it allows, without what it takes back.
#[derive(Debug, Clone, Default)]
pub struct Permission {
    /// Operations of Resource Manager.
    pub actions: Vec<String>,
    /// Those that are taken back.
    pub not_actions: Vec<String>,
    /// Operations on data.
    pub data: Vec<String>,
    /// Those that are taken back.
    pub not_data: Vec<String>,
    /// Whether a condition limits it.
    pub conditional: bool,
}

/// A pattern that matches an operation, whatever the case: `/*/` also stands for a single slash, as built-in roles use it.
fn matching(pattern: &str, operation: &str) -> bool {
    matches_action(pattern, operation)
        || (pattern.contains("/*/") && matches_action(&pattern.replace("/*/", "/"), operation))
}

impl Permission {
    /// Whether an operation is allowed.
    pub fn allows(&self, operation: &str, on_data: bool) -> bool {
        let (yes, no) = if on_data { (&self.data, &self.not_data) } else { (&self.actions, &self.not_actions) };
        yes.iter().any(|p| matching(p, operation)) && !no.iter().any(|p| matching(p, operation))
    }
}

/// A built-in role: id, name, actions, actions taken back, operations on data, those taken back.
type BuiltIn = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const NONE: &[&str] = &[];

/// Below every cluster.
const CLUSTERS: &str = "Microsoft.ContainerService/managedClusters/*";

/// Built-in roles.
const ROLES: [BuiltIn; 42] = [
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner", &["*"], NONE, NONE, NONE),
    (
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        &["*"],
        &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
        ],
        NONE,
        NONE,
    ),
    ("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", &["*/read"], NONE, NONE, NONE),
    (
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "User Access Administrator",
        &["*/read", "Microsoft.Authorization/*"],
        NONE,
        NONE,
        NONE,
    ),
    (
        "f58310d9-a9f6-439a-9e8d-f62e7b41a168",
        "Role Based Access Control Administrator",
        &["Microsoft.Authorization/roleAssignments/write", "*/read"],
        NONE,
        NONE,
        NONE,
    ),
    (
        "0ab0b1a8-8aac-4efd-b8c2-3ee1fb270be8",
        "Azure Kubernetes Service Cluster Admin Role",
        &[
            "Microsoft.ContainerService/managedClusters/listClusterAdminCredential/action",
            "Microsoft.ContainerService/managedClusters/accessProfiles/listCredential/action",
            "Microsoft.ContainerService/managedClusters/read",
            "Microsoft.ContainerService/managedClusters/runcommand/action",
        ],
        NONE,
        NONE,
        NONE,
    ),
    (
        "4abbcc35-e782-43d8-92c5-2d3f1bd2253f",
        "Azure Kubernetes Service Cluster User Role",
        &[
            "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action",
            "Microsoft.ContainerService/managedClusters/read",
        ],
        NONE,
        NONE,
        NONE,
    ),
    (
        "ed7f3fbd-7b88-4dd4-9017-9adb7ce333f8",
        "Azure Kubernetes Service Contributor Role",
        &[CLUSTERS],
        NONE,
        NONE,
        NONE,
    ),
    (
        "3498e952-d568-435e-9b2c-8d77e338d7f7",
        "Azure Kubernetes Service RBAC Admin",
        &["Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"],
        NONE,
        &[CLUSTERS],
        &[
            "Microsoft.ContainerService/managedClusters/resourcequotas/write",
            "Microsoft.ContainerService/managedClusters/resourcequotas/delete",
            "Microsoft.ContainerService/managedClusters/namespaces/write",
            "Microsoft.ContainerService/managedClusters/namespaces/delete",
        ],
    ),
    (
        "b1ff04bb-8a4e-4dc4-8eb5-8693973ce19b",
        "Azure Kubernetes Service RBAC Cluster Admin",
        &["Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"],
        NONE,
        &[CLUSTERS],
        NONE,
    ),
    ("7f6c6a51-bcf8-42ba-9220-52d62157d7db", "Azure Kubernetes Service RBAC Reader", NONE, NONE, NONE, NONE),
    (
        "a7ffa36f-339b-4b5c-8bdf-e2c188b2c0eb",
        "Azure Kubernetes Service RBAC Writer",
        NONE,
        NONE,
        &[
            "Microsoft.ContainerService/managedClusters/apps/deployments/*",
            "Microsoft.ContainerService/managedClusters/pods/*",
            "Microsoft.ContainerService/managedClusters/secrets/*",
            "Microsoft.ContainerService/managedClusters/serviceaccounts/*",
        ],
        NONE,
    ),
    (
        "9980e02c-c2be-4d73-94e8-173b1dc7cf3c",
        "Virtual Machine Contributor",
        &["Microsoft.Compute/virtualMachines/*", "Microsoft.Compute/virtualMachineScaleSets/*"],
        NONE,
        NONE,
        NONE,
    ),
    ("1c0163c0-47e6-4577-8991-ea5c82e286e4", "Virtual Machine Administrator Login", NONE, NONE, NONE, NONE),
    (
        "00482a5a-887f-4fb3-b363-3b7fe8e74483",
        "Key Vault Administrator",
        NONE,
        NONE,
        &["Microsoft.KeyVault/vaults/*"],
        NONE,
    ),
    (
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Key Vault Secrets User",
        NONE,
        NONE,
        &["Microsoft.KeyVault/vaults/secrets/getSecret/action"],
        NONE,
    ),
    (
        "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
        "Key Vault Secrets Officer",
        NONE,
        NONE,
        &["Microsoft.KeyVault/vaults/secrets/*"],
        NONE,
    ),
    (
        "12338af0-0e69-4776-bea7-57ae8d297424",
        "Key Vault Crypto User",
        NONE,
        NONE,
        &["Microsoft.KeyVault/vaults/keys/decrypt/action", "Microsoft.KeyVault/vaults/keys/unwrap/action"],
        NONE,
    ),
    (
        "14b46e9e-c2b7-41b4-b07b-48a6ebf60603",
        "Key Vault Crypto Officer",
        NONE,
        NONE,
        &["Microsoft.KeyVault/vaults/keys/*"],
        NONE,
    ),
    ("21090545-7ca7-4776-b22c-e363652d74d2", "Key Vault Reader", NONE, NONE, NONE, NONE),
    ("f25e0fa2-a7c8-4377-a976-54943a77a395", "Key Vault Contributor", &["Microsoft.KeyVault/*"], NONE, NONE, NONE),
    (
        "f1a07417-d97a-45cb-824c-7a7467783830",
        "Managed Identity Operator",
        &["Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action"],
        NONE,
        NONE,
        NONE,
    ),
    (
        "e40ec5ca-96e0-45a2-b4ff-59039f2c2b59",
        "Managed Identity Contributor",
        &[
            "Microsoft.ManagedIdentity/userAssignedIdentities/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write",
        ],
        NONE,
        NONE,
        NONE,
    ),
    ("7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull", NONE, NONE, NONE, NONE),
    ("8311e382-0749-4cb8-b61a-304f252e45ec", "AcrPush", NONE, NONE, NONE, NONE),
    ("4d97b98b-1d4f-4787-a291-c67834d212e7", "Network Contributor", NONE, NONE, NONE, NONE),
    ("2a2b9908-6ea1-4ae2-8e65-a410df84e7d1", "Storage Blob Data Reader", NONE, NONE, NONE, NONE),
    ("ba92f5b4-2d11-453d-a403-e96b0029c9fe", "Storage Blob Data Contributor", NONE, NONE, NONE, NONE),
    ("b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "Storage Blob Data Owner", NONE, NONE, NONE, NONE),
    ("17d1049b-9a84-46fb-8f53-869881c3d3ab", "Storage Account Contributor", NONE, NONE, NONE, NONE),
    ("3913510d-42f4-4e42-8a64-420c390055eb", "Monitoring Metrics Publisher", NONE, NONE, NONE, NONE),
    ("43d0d8ad-25c7-4714-9337-8ba259a9fe05", "Monitoring Reader", NONE, NONE, NONE, NONE),
    ("749f88d5-cbae-40b8-bcfc-e573ddc772fa", "Monitoring Contributor", NONE, NONE, NONE, NONE),
    ("73c42c96-874c-492b-b04d-ab87d138a893", "Log Analytics Reader", NONE, NONE, NONE, NONE),
    ("befefa01-2a29-4197-83a8-272ff33ce314", "DNS Zone Contributor", NONE, NONE, NONE, NONE),
    ("b12aa53e-6015-4669-85d0-8515ebb3ae7f", "Private DNS Zone Contributor", NONE, NONE, NONE, NONE),
    ("090c5cfd-751d-490a-894a-3ce6f1109419", "Azure Service Bus Data Owner", NONE, NONE, NONE, NONE),
    ("4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0", "Azure Service Bus Data Receiver", NONE, NONE, NONE, NONE),
    ("69a216fc-b8fb-44d8-bc22-1f3c2cd27a39", "Azure Service Bus Data Sender", NONE, NONE, NONE, NONE),
    ("a638d3c7-ab3a-418d-83e6-5f17a39d4fde", "Azure Event Hubs Data Receiver", NONE, NONE, NONE, NONE),
    ("2b629674-e913-4c01-ae53-ef4638d8f975", "Azure Event Hubs Data Sender", NONE, NONE, NONE, NONE),
    ("5ae67dd6-50cb-40e7-96ff-dc2bfa4b606b", "App Configuration Data Owner", NONE, NONE, NONE, NONE),
];

/// A built-in role by its id, or by its name.
pub fn built_in(id: &str, name: &str) -> Option<Vec<Permission>> {
    let by_id = ROLES.iter().find(|r| r.0.eq_ignore_ascii_case(id));
    let (_, _, actions, not_actions, data, not_data) =
        by_id.or_else(|| ROLES.iter().find(|r| !name.is_empty() && r.1.eq_ignore_ascii_case(name)))?;
    let owned = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect();
    Some(vec![Permission {
        actions: owned(actions),
        not_actions: owned(not_actions),
        data: owned(data),
        not_data: owned(not_data),
        conditional: false,
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_roles_allow_what_they_are_for() {
        let allows = |name: &str, operation: &str, data: bool| {
            built_in("", name).unwrap_or_default().iter().any(|p| p.allows(operation, data))
        };
        let federate = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write";
        let assign = "Microsoft.Authorization/roleAssignments/write";
        let exec = "Microsoft.ContainerService/managedClusters/pods/exec/action";
        assert!(allows("Owner", assign, false) && !allows("Contributor", assign, false));
        assert!(allows("contributor", federate, false) && !allows("Reader", federate, false));
        // Roles of Resource Manager say nothing of data.
        assert!(!allows("Owner", exec, true) && allows("Azure Kubernetes Service RBAC Writer", exec, true));
        assert!(allows(
            "Managed Identity Operator",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            false
        ));
        let quota = "Microsoft.ContainerService/managedClusters/resourcequotas/write";
        assert!(!allows("Azure Kubernetes Service RBAC Admin", quota, true));
        assert!(built_in("B24988AC-6180-42A0-AB88-20F7382DD24C", "").is_some());
        assert!(built_in("", "").is_none() && built_in("x", "Nobody's Role").is_none());
    }
}
