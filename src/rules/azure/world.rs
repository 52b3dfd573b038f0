//! Identities, role assignments and scopes of a subscription.

use std::collections::BTreeMap;

use serde_json::Value;

use super::roles::{Permission, built_in};
use crate::model::Cluster;
use crate::model::cloud::CloudObject;

/// A role that a principal has at a scope.
#[derive(Debug)]
pub struct Assignment {
    /// Number of the assignment's object.
    pub index: u32,
    /// Number of the principal's object.
    pub principal: u32,
    /// Number of the scope's object.
    pub scope: u32,
    /// What the role allows; nothing where it is not known.
    pub permissions: Option<Vec<Permission>>,
    /// The role's name, or its id.
    pub role: String,
    /// Ids of what leaves it open.
    pub unknowns: Vec<String>,
}

/// The subscription, as rules need it.
#[derive(Debug)]
pub struct World<'c> {
    /// Cluster with the objects of the subscription.
    pub cluster: &'c Cluster,
    /// Numbers of principals by their object id in lower case.
    pub principals: BTreeMap<String, u32>,
    /// Roles that were given, in order.
    pub assignments: Vec<Assignment>,
}

/// Kinds of objects that are principals.
pub const PRINCIPALS: [&str; 4] = ["AzureIdentity", "AzureServicePrincipal", "AzureUser", "AzureGroup"];

impl<'c> World<'c> {
    /// Reads the subscription.
    pub fn new(cluster: &'c Cluster) -> Self {
        let mut world = World { cluster, principals: BTreeMap::new(), assignments: Vec::new() };
        for (index, o) in (0u32..).zip(&cluster.objects.cloud) {
            let id = match o.kind() {
                "AzureIdentity" => o.text("principalId"),
                "AzureServicePrincipal" | "AzureUser" | "AzureGroup" => o.metadata.name.as_str(),
                _ => continue,
            };
            if !id.is_empty() {
                world.principals.entry(id.to_lowercase()).or_insert(index);
            }
        }
        let all: Vec<Assignment> =
            world.of("AzureRoleAssignment").filter_map(|(i, o)| world.assignment(i, o)).collect();
        world.assignments = all;
        world
    }

    /// An object by kind and name.
    pub fn find(&self, kind: &str, name: &str) -> Option<(u32, &'c CloudObject)> {
        self.cluster.cloud_object(kind, name)
    }

    /// Objects of a kind.
    pub fn of(&self, kind: &'static str) -> impl Iterator<Item = (u32, &'c CloudObject)> + use<'c> {
        self.cluster.cloud_objects(kind)
    }

    /// The object of that kind with an id of Resource Manager, whatever its case.
    pub fn by_id(&self, kind: &'static str, id: &str) -> Option<(u32, &'c CloudObject)> {
        let last = id.rsplit('/').next().unwrap_or(id);
        if id.is_empty() {
            return None;
        }
        let near = self.find(kind, last).filter(|(_, o)| o.text("id").eq_ignore_ascii_case(id));
        near.or_else(|| self.of(kind).find(|(_, o)| o.text("id").eq_ignore_ascii_case(id)))
    }

    /// The principal with an object id.
    pub fn principal(&self, id: &str) -> Option<u32> {
        self.principals.get(&id.to_lowercase()).copied()
    }

    fn assignment(&self, index: u32, o: &CloudObject) -> Option<Assignment> {
        let principal = self.principal(o.text("principalId"))?;
        let (scope, _) = self.find("AzureScope", o.text("scope"))?;
        let definition = o.text("roleDefinitionId").rsplit('/').next().unwrap_or_default();
        let name = o.text("roleDefinitionName");
        let permissions = self.definition(definition).or_else(|| built_in(definition, name));
        let mut unknowns = Vec::new();
        if permissions.is_none() {
            let called = if name.is_empty() { definition } else { name };
            unknowns.push(format!("unread:az-role-definition-list-{called}"));
        }
        if o.spec.get("conditional").is_some() {
            unknowns.push(format!("role-assignment-condition:{}", o.metadata.name));
        }
        let role = if name.is_empty() { definition } else { name }.to_owned();
        Some(Assignment { index, principal, scope, permissions, role, unknowns })
    }

    /// What a role allows, as an answer says.
    fn definition(&self, id: &str) -> Option<Vec<Permission>> {
        let own = |o: &CloudObject| o.metadata.name.eq_ignore_ascii_case(id);
        let (_, d) =
            self.find("AzureRoleDefinition", id).or_else(|| self.of("AzureRoleDefinition").find(|(_, o)| own(o)))?;
        let one = |p: &Value| {
            let texts = |field: &str| {
                let all = p.get(field).and_then(Value::as_array).into_iter().flatten();
                all.filter_map(|v| v.as_str().map(str::to_owned)).collect()
            };
            Permission {
                actions: texts("actions"),
                not_actions: texts("notActions"),
                data: texts("dataActions"),
                not_data: texts("notDataActions"),
                conditional: p.get("conditional").is_some(),
            }
        };
        Some(d.list("permissions").iter().map(one).collect())
    }

    /// Whether nodes of the cluster are machines of Azure, or none was read.
    pub fn on_azure(&self) -> bool {
        let mut ids =
            self.cluster.objects.nodes.iter().map(|n| n.spec.provider_id.as_str()).filter(|id| !id.is_empty());
        let described = self.of("AzureCluster").next().is_some();
        !described && (self.cluster.objects.nodes.is_empty() || ids.any(|id| id.starts_with("azure://")))
    }

    /// The cluster that a node is in by its resource group, if that is described.
    pub fn cluster_of(&self, provider_id: &str) -> Option<(u32, &'c CloudObject)> {
        let id = provider_id.to_lowercase();
        self.of("AzureCluster").find(|(_, c)| {
            let group = c.text("nodeResourceGroup").to_lowercase();
            !group.is_empty() && id.contains(&format!("/resourcegroups/{group}/"))
        })
    }

    /// Clusters that this one may be: the only one, the one whose nodes are in its resource group, or each of several.
    pub fn clusters(&self) -> Vec<(u32, &'c CloudObject, Option<String>)> {
        let mut all: Vec<_> = self.of("AzureCluster").collect();
        // The API server that was asked is that of one cluster, and of no other.
        let server = self.cluster.source.server.as_str();
        if let Some((i, c)) = all.iter().find(|(_, c)| !server.is_empty() && c.text("fqdn") == server) {
            return vec![(*i, *c, None)];
        }
        let ids: Vec<String> = self.cluster.objects.nodes.iter().map(|n| n.spec.provider_id.to_lowercase()).collect();
        let ids: Vec<String> = ids.into_iter().filter(|id| !id.is_empty()).collect();
        let holds = |c: &CloudObject| {
            let group = format!("/resourcegroups/{}/", c.text("nodeResourceGroup").to_lowercase());
            ids.iter().any(|id| id.starts_with("azure://") && id.contains(&group))
        };
        if all.iter().any(|(_, c)| holds(c)) {
            all.retain(|(_, c)| holds(c));
        }
        let several = all.len() > 1;
        let unknown = |c: &CloudObject| {
            let elsewhere = !ids.is_empty() && !c.text("nodeResourceGroup").is_empty() && !holds(c);
            (several || elsewhere).then(|| format!("aks-cluster:{}", c.metadata.name))
        };
        all.into_iter().map(|(i, c)| (i, c, unknown(c))).collect()
    }
}

/// Whether a scope covers an object of Resource Manager: it is a prefix of its id by segments. What is above subscriptions
/// covers all that was read.
pub fn covers(scope: &str, id: &str) -> bool {
    let (scope, id) = (scope.trim_end_matches('/').to_lowercase(), id.to_lowercase());
    // What has no id is nowhere.
    let above = scope.is_empty() || scope.starts_with("/providers/microsoft.management/managementgroups/");
    !id.is_empty() && (above || id == scope || id.strip_prefix(&scope).is_some_and(|rest| rest.starts_with('/')))
}
