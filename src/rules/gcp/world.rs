//! Projects, their policies and who is named in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::roles;
use crate::iam::pattern::matches_action;
use crate::model::Cluster;
use crate::model::cloud::CloudObject;
use crate::rules::fact::Access;

/// A role given to a member by a binding of a policy.
#[derive(Debug)]
pub struct Given<'c> {
    /// Object that the policy is of.
    pub object: u32,
    /// Pointer to the member in the policy.
    pub pointer: String,
    /// The role's name.
    pub role: &'c str,
    /// What the role holds; nothing where that is not known.
    pub holds: Option<BTreeSet<String>>,
    /// Ids of what leaves it open.
    pub unknowns: Vec<String>,
}

/// The policies, as rules need them.
#[derive(Debug)]
pub struct World<'c> {
    /// Cluster with the objects of its projects.
    pub cluster: &'c Cluster,
    /// What each principal was given, by number of its object.
    pub given: BTreeMap<u32, Vec<Given<'c>>>,
    /// Project of the cluster's nodes, or the only one that was read.
    pub project: String,
    denies: Vec<Deny<'c>>,
    /// Projects by their number.
    numbers: BTreeMap<String, String>,
    /// Whether the only project that was read does not say its number.
    silent: bool,
    /// Key rings of keys by their name: how many have it.
    rings: BTreeMap<String, BTreeSet<String>>,
    /// What is above each level.
    levels: BTreeMap<u32, BTreeSet<u32>>,
    /// Ids of deny policies that were not read.
    unread: Vec<String>,
}

#[derive(Debug)]
struct Deny<'c> {
    name: &'c str,
    /// What it is attached to: `projects/NUMBER`, `folders/NUMBER`, `organizations/NUMBER`.
    attachment: &'c str,
    principals: Vec<&'c str>,
    permissions: Vec<&'c str>,
    /// Whether it has exceptions or a condition.
    open: bool,
}

impl<'c> World<'c> {
    /// Reads the policies.
    pub fn new(cluster: &'c Cluster) -> Self {
        let mut world = World {
            cluster,
            given: BTreeMap::new(),
            project: String::new(),
            denies: Vec::new(),
            numbers: BTreeMap::new(),
            silent: false,
            rings: BTreeMap::new(),
            levels: BTreeMap::new(),
            unread: Vec::new(),
        };
        for (_, p) in world.of("GcpProject") {
            let said = p.spec.get("projectNumber").map(|v| v.to_string().trim_matches('"').to_owned());
            let default = p.text("defaultServiceAccount").split_once('-').map(|(n, _)| n.to_owned());
            if let Some(number) = said.or(default) {
                world.numbers.insert(number, p.metadata.name.clone());
            }
        }
        world.project = world.own_project();
        let mut all = world.of("GcpProject");
        let (first, more) = (all.next(), all.next());
        world.silent = more.is_none() && first.is_none_or(|(_, p)| p.spec.get("projectNumber").is_none());
        for (_, k) in world.of("GcpKmsKey") {
            let Some((ring, _)) = k.text("path").split_once("/cryptoKeys/") else { continue };
            let name = segment(ring, "keyRings").unwrap_or_default().to_owned();
            world.rings.entry(name).or_default().insert(ring.to_owned());
        }
        for kind in ["GcpProject", "GcpFolder", "GcpOrganization"] {
            for (index, o) in world.of(kind) {
                let above = world.above(o).into_iter().collect();
                world.levels.insert(index, above);
            }
        }
        world.read_denies();
        for (object, o) in (0u32..).zip(&cluster.objects.cloud) {
            for (n, b) in o.list("bindings").iter().enumerate() {
                world.binding(object, n, b);
            }
        }
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

    fn own_project(&self) -> String {
        let nodes = self.cluster.objects.nodes.iter();
        let of_nodes = nodes.filter_map(|n| n.spec.provider_id.strip_prefix("gce://")?.split('/').next()).next();
        let of_cluster = self.of("GcpCluster").find_map(|(_, c)| segment(c.text("selfLink"), "projects"));
        let only = self.of("GcpProject").next().map(|(_, p)| p.metadata.name.as_str());
        of_nodes.or(of_cluster).or(only).unwrap_or_default().to_owned()
    }

    fn read_denies(&mut self) {
        let listed = self
            .cluster
            .objects
            .cloud
            .iter()
            .any(|o| o.kind() == "Call" && o.metadata.name.starts_with("gcloud-iam-policies-"));
        if !listed {
            self.unread.push("unread:gcloud-iam-policies-list".to_owned());
        }
        for (_, p) in self.of("GcpDenyPolicy") {
            if p.spec.get("rules").is_none() {
                let id = p.metadata.name.rsplit('/').next().unwrap_or_default();
                self.unread.push(format!("unread:gcloud-iam-policies-get-{id}"));
            }
            for r in p.list("rules") {
                let texts = |field: &str| {
                    let all = r.get(field).and_then(Value::as_array).into_iter().flatten();
                    all.filter_map(Value::as_str).collect::<Vec<_>>()
                };
                let exceptions = !texts("exceptionPrincipals").is_empty() || !texts("exceptionPermissions").is_empty();
                self.denies.push(Deny {
                    name: &p.metadata.name,
                    attachment: p.text("attachment"),
                    principals: texts("deniedPrincipals"),
                    permissions: texts("deniedPermissions"),
                    open: exceptions || r.get("conditional").is_some(),
                });
            }
        }
    }

    /// What a role holds: as an answer says, as a table does, or not known.
    fn role(&self, role: &str) -> Option<BTreeSet<String>> {
        if let Some((_, r)) = self.find("GcpRole", role) {
            return Some(r.list("includedPermissions").iter().filter_map(|p| p.as_str().map(str::to_owned)).collect());
        }
        Some(roles::predefined(role)?.into_iter().map(str::to_owned).collect())
    }

    fn binding(&mut self, object: u32, n: usize, b: &'c Value) {
        let role = b.get("role").and_then(Value::as_str).unwrap_or_default();
        let holds = self.role(role);
        let mut unknowns: Vec<String> = b
            .get("condition")
            .and_then(Value::as_str)
            .map(|t| format!("iam-condition:{}:{t}", self.named(object)))
            .into_iter()
            .collect();
        if holds.is_none() {
            unknowns.push(format!("unread:gcloud-iam-roles-describe-{}", role.replace('/', "-")));
        }
        let members = b.get("members").and_then(Value::as_array).into_iter().flatten();
        for (m, member) in members.enumerate() {
            let Some(principal) = member.as_str().and_then(|m| self.principal(m)) else { continue };
            self.given.entry(principal).or_default().push(Given {
                object,
                pointer: format!("/spec/bindings/{n}/members/{m}"),
                role,
                holds: holds.clone(),
                unknowns: unknowns.clone(),
            });
        }
    }

    /// Name of an object.
    fn named(&self, object: u32) -> &'c str {
        self.cluster.objects.cloud.get(object as usize).map_or("", |o| o.metadata.name.as_str())
    }

    /// Number of the object that a member of a policy is.
    fn principal(&self, member: &str) -> Option<u32> {
        let own = member.strip_prefix("serviceAccount:").filter(|e| !e.contains('['));
        let found = own.map_or_else(|| self.find("GcpMember", member), |email| self.find("GcpServiceAccount", email));
        found.map(|(i, _)| i)
    }

    /// What deny policies say of a permission of a principal on an object: `None` where one denies it, else ids of what may.
    pub fn denied(&self, principal: Option<&CloudObject>, permission: &str, on: u32) -> Option<Vec<String>> {
        let mut out = self.unread.clone();
        let (service, rest) = permission.split_once('.').unwrap_or((permission, ""));
        let service = if service == "resourcemanager" { "cloudresourcemanager" } else { service };
        let full = format!("{service}.googleapis.com/{rest}");
        for d in self.denies.iter().filter(|d| d.permissions.iter().any(|p| matches_action(p, &full))) {
            let Some(here) = self.attached(d.attachment, on) else { continue };
            let means = d.principals.iter().filter_map(|p| means(p, principal)).max();
            match means {
                Some(true) if !d.open && here => return None,
                Some(_) => out.push(format!("deny-policy:{}", d.name.rsplit('/').next().unwrap_or_default())),
                None => {}
            }
        }
        out.sort();
        out.dedup();
        Some(out)
    }

    /// What deny policies between two levels say of an access that is held at the upper one, by whomever: nothing where each
    /// of its permissions is denied to everybody, else ids of what may be in the way.
    pub fn denied_below(&self, access: Access, upper: Option<u32>, lower: u32) -> Option<Vec<String>> {
        if self.denies.is_empty() {
            return Some(Vec::new());
        }
        let all: Vec<&str> = match roles::PERMISSIONS.iter().find(|(a, _)| *a == access) {
            Some((_, permissions)) => permissions.to_vec(),
            None if access == Access::ClusterAdmin => roles::CLUSTER_ADMIN.concat(),
            None => return Some(Vec::new()),
        };
        let between = |d: &&Deny<'c>| {
            self.attached(d.attachment, lower).is_some()
                && upper.is_none_or(|u| self.attached(d.attachment, u).is_none())
        };
        let denies: Vec<&Deny<'c>> = self.denies.iter().filter(between).collect();
        // Which of the permissions is held is not known below: one that is denied leaves it open.
        let mut free = false;
        let mut open = BTreeSet::new();
        for permission in all {
            let (service, rest) = permission.split_once('.').unwrap_or((permission, ""));
            let service = if service == "resourcemanager" { "cloudresourcemanager" } else { service };
            let full = format!("{service}.googleapis.com/{rest}");
            let mut closed = false;
            for d in denies.iter().filter(|d| d.permissions.iter().any(|p| matches_action(p, &full))) {
                let everybody = d.principals.iter().any(|p| p.ends_with("/public:all"));
                closed |= everybody && !d.open && self.attached(d.attachment, lower) == Some(true);
                // Those that have no role anywhere are nobody's way.
                let known = |p: &&str| {
                    let mut all = self.given.keys().filter_map(|i| self.cluster.objects.cloud.get(*i as usize));
                    all.any(|o| means(p, Some(o)).is_some())
                };
                if everybody || d.principals.iter().any(known) {
                    open.insert(format!("deny-policy:{}", d.name.rsplit('/').next().unwrap_or_default()));
                }
            }
            free |= !closed;
        }
        free.then(|| open.into_iter().collect())
    }

    /// Whether what a policy is attached to is an object or above it, for sure or perhaps; nothing where it is elsewhere.
    fn attached(&self, attachment: &str, on: u32) -> Option<bool> {
        let o = self.cluster.objects.cloud.get(on as usize)?;
        let levels: Vec<&CloudObject> = self
            .above(o)
            .into_iter()
            .chain([on])
            .filter_map(|i| self.cluster.objects.cloud.get(i as usize))
            .filter(|x| matches!(x.kind(), "GcpProject" | "GcpFolder" | "GcpOrganization"))
            .collect();
        if levels.iter().any(|x| is_level(x, attachment)) {
            return Some(true);
        }
        let (kind, name) = attachment.split_once('/').unwrap_or_default();
        let number = name.bytes().all(|b| b.is_ascii_digit());
        let same = |x: &&&CloudObject| match kind {
            // The number of a project may not have been read.
            "projects" => x.kind() == "GcpProject" && number && x.spec.get("projectNumber").is_none(),
            _ => false,
        };
        // What is above a project may not have been read.
        let ancestors = |x: &&CloudObject| x.kind() == "GcpProject" && x.spec.get("ancestors").is_none();
        let open =
            levels.iter().any(|x| same(&x)) || (kind != "projects" && levels.iter().any(ancestors)) || kind.is_empty();
        open.then_some(false)
    }

    /// Project of an object: that of its path, its address or its list; the only one where nothing says.
    pub fn project_of(&self, o: &CloudObject) -> String {
        let from_path = || segment(o.text("path"), "projects").or(segment(o.text("selfLink"), "projects"));
        let own = match o.kind() {
            "GcpProject" => Some(o.metadata.name.as_str()),
            // Above projects there is none.
            "GcpFolder" | "GcpOrganization" => return String::new(),
            "GcpServiceAccount" => {
                let said = Some(o.text("projectId")).filter(|p| !p.is_empty());
                // Accounts of Google are of no project that was read.
                return said.map(str::to_owned).or_else(|| self.of_address(&o.metadata.name)).unwrap_or_default();
            }
            "GcpBucket" => {
                let number = o.spec.get("projectNumber").map(|n| n.to_string().trim_matches('"').to_owned());
                return match number {
                    Some(n) => self.by_number(&n).unwrap_or(n),
                    None => self.project.clone(),
                };
            }
            _ => from_path(),
        };
        match own {
            Some(p) => self.by_number(p).unwrap_or_else(|| p.to_owned()),
            None => self.project.clone(),
        }
    }

    /// The project that the address of a service account tells.
    fn of_address(&self, email: &str) -> Option<String> {
        let (local, domain) = email.split_once('@')?;
        match domain {
            "developer.gserviceaccount.com" => self.by_number(local.strip_suffix("-compute")?),
            "appspot.gserviceaccount.com" => Some(local.to_owned()),
            _ => domain.strip_suffix(".iam.gserviceaccount.com").map(str::to_owned),
        }
    }

    /// The id of a project by its id or number, if it can be told.
    pub fn project_named(&self, text: &str) -> Option<String> {
        self.by_number(text).or_else(|| self.find("GcpProject", text).map(|(_, p)| p.metadata.name.clone()))
    }

    /// The narrower of two levels, if one is above the other.
    pub fn narrower(&self, a: u32, b: u32) -> Option<u32> {
        let above = |x: u32, y: u32| self.levels.get(&x).is_some_and(|l| l.contains(&y));
        match (a == b || above(a, b), above(b, a)) {
            (true, _) => Some(a),
            (_, true) => Some(b),
            _ => None,
        }
    }

    /// Whether one search told of every policy.
    pub fn searched(&self) -> bool {
        self.find("Call", "gcloud-asset-search-all-iam-policies").is_some()
    }

    /// The project that has this number.
    fn by_number(&self, number: &str) -> Option<String> {
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let named = self.numbers.get(number).cloned();
        // Where no project says its number, the only one that was read may have it.
        named.or_else(|| self.silent.then(|| self.project.clone()))
    }

    /// The ring of a key, and whether it is that one for sure: one that is known by its name alone may be another.
    pub fn ring_of(&self, key: &CloudObject) -> Option<(u32, bool)> {
        let (ring, _) = key.text("path").split_once("/cryptoKeys/")?;
        let name = segment(ring, "keyRings")?;
        let (index, r) = self.find("GcpKeyRing", name).or_else(|| self.find("GcpKeyRing", ring))?;
        if !r.text("path").is_empty() {
            return (r.text("path") == ring).then_some((index, true));
        }
        if self.project_of(key) != self.project {
            return None;
        }
        Some((index, self.rings.get(name).is_none_or(|r| r.len() == 1)))
    }

    /// The instance that a node is, `gce://PROJECT/ZONE/NAME`: others may have its name.
    pub fn instance(&self, provider_id: &str) -> Option<(u32, &'c CloudObject)> {
        let mut parts = provider_id.strip_prefix("gce://")?.split('/');
        let (project, zone, name) = (parts.next()?, parts.next()?, parts.next()?);
        let is = |o: &CloudObject| {
            let link = o.text("selfLink");
            link.is_empty() || (segment(link, "projects") == Some(project) && segment(link, "zones") == Some(zone))
        };
        let by_name = self.find("GcpInstance", name).filter(|(_, o)| is(o));
        let link = format!("https://www.googleapis.com/compute/v1/projects/{project}/zones/{zone}/instances/{name}");
        by_name.or_else(|| self.find("GcpInstance", &link))
    }

    /// What is above an object, nearest first: the key ring of a key, its project, folders, the organization.
    pub fn above(&self, o: &CloudObject) -> Vec<u32> {
        let mut out = Vec::new();
        out.extend(self.ring_of(o).filter(|(_, sure)| *sure).map(|(i, _)| i));
        if o.kind() != "GcpProject" {
            out.extend(self.find("GcpProject", &self.project_of(o)).map(|(i, _)| i));
        }
        let project = self.find("GcpProject", &self.project_of(o)).map(|(_, p)| p);
        for a in project.map(|p| p.list("ancestors")).unwrap_or_default() {
            let text = |f: &str| a.get(f).and_then(Value::as_str).unwrap_or_default();
            let kind = match text("type") {
                "folder" => "GcpFolder",
                "organization" => "GcpOrganization",
                _ => continue,
            };
            out.extend(self.find(kind, text("id")).map(|(i, _)| i));
        }
        out
    }

    /// Permissions by which a given role holds an access, any of them enough: an empty one where the role is not known.
    pub fn permissions(&self, given: &Given<'_>, access: Access) -> Vec<&'static str> {
        let Some(holds) = &given.holds else { return vec![""] };
        let kind = self.cluster.objects.cloud.get(given.object as usize).map_or("", CloudObject::kind);
        let all = roles::PERMISSIONS.iter().find(|(a, _)| *a == access).map_or(&[][..], |(_, p)| *p);
        let counts = |p: &&&str| match **p {
            // What is given above counts below, not the other way.
            "resourcemanager.folders.setIamPolicy" => kind != "GcpProject",
            "resourcemanager.organizations.setIamPolicy" => kind == "GcpOrganization",
            _ => true,
        };
        all.iter().filter(|p| holds.contains(**p)).filter(counts).copied().collect()
    }
}

/// Whether an object is the project, the folder or the organization that a policy is attached to.
fn is_level(o: &CloudObject, attachment: &str) -> bool {
    let number = || o.spec.get("projectNumber").map(|n| n.to_string());
    let (kind, name) = attachment.split_once('/').unwrap_or_default();
    match (o.kind(), kind) {
        ("GcpProject", "projects") => o.metadata.name == name || number().is_some_and(|n| n.trim_matches('"') == name),
        ("GcpFolder", "folders") | ("GcpOrganization", "organizations") => o.metadata.name == name,
        _ => false,
    }
}

/// Whether a denied principal means one: for sure, perhaps (a set whose members are not known), or not.
fn means(denied: &str, principal: Option<&CloudObject>) -> Option<bool> {
    if denied.ends_with("/public:all") {
        return Some(true);
    }
    let Some(p) = principal else { return Some(false) };
    let name = &p.metadata.name;
    if denied == name {
        return Some(true);
    }
    if let Some((_, email)) = denied.split_once("/serviceAccounts/") {
        let other = p.kind() == "GcpServiceAccount" || name.starts_with("user:");
        if email == name || other {
            return (email == name).then_some(true);
        }
    }
    let subject = denied.strip_prefix("principal://goog/subject/");
    if subject.is_some_and(|email| name == email || name.strip_prefix("user:") == Some(email)) {
        return Some(true);
    }
    // Another single principal is not this one; a set may have it, and this one may be a set that has it.
    let set = !matches!(p.kind(), "GcpServiceAccount") && !name.starts_with("user:") && !name.starts_with("principal:");
    let set = set && !name.starts_with("serviceAccount:");
    (set || !denied.starts_with("principal://")).then_some(false)
}

/// The segment of a path or a link after another.
pub fn segment<'a>(path: &'a str, after: &str) -> Option<&'a str> {
    let mut parts = path.split('/');
    parts.find(|p| *p == after)?;
    parts.next().filter(|p| !p.is_empty())
}
