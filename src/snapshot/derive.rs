//! What the API server and controllers add to manifests: aggregated roles, service accounts, token mounts, pods of controllers.

use std::collections::BTreeSet;

use super::Snapshot;
use crate::admission::service_account;
use crate::model::cluster::WORKLOADS;
use crate::model::meta::{Meta, OwnerReference};
use crate::model::objects::{MetaOnly, Node, Secret, ServiceAccount, Workload};
use crate::model::pod::Pod;
use crate::model::{Cluster, Kind};

/// Completes a snapshot in place. Objects that a live server already completed are left as they are.
pub fn complete_objects(snapshot: &mut Snapshot) {
    aggregate(snapshot);
    default_accounts(snapshot);
    let new_pods = derived_pods(snapshot);
    admit_manifest_pods(snapshot, new_pods);
    infer_secrets(snapshot);
    infer_places(snapshot);
    snapshot.objects.normalise();
}

/// Where Secrets could not be listed, their names come from the pods and accounts that refer to them.
fn infer_secrets(snapshot: &mut Snapshot) {
    if snapshot.read.contains(&Kind::Secret) {
        return;
    }
    let mut names: BTreeSet<(String, String)> = BTreeSet::new();
    for p in &snapshot.objects.pods {
        let ns = &p.metadata.namespace;
        names.extend(service_account::secret_references(p).into_iter().map(|n| (ns.clone(), n)));
    }
    for a in &snapshot.objects.service_accounts {
        let refs = a.secrets.iter().chain(&a.image_pull_secrets);
        names.extend(refs.map(|s| (a.metadata.namespace.clone(), s.name.clone())));
    }
    for (namespace, name) in names {
        let metadata = Meta { name, namespace, ..Meta::default() };
        snapshot.objects.secrets.push(Secret { metadata, inferred: true, ..Secret::default() });
    }
}

/// Namespaces and nodes that other objects name exist, whether or not they were listed. Where a server's own list was
/// read, what only a reference names is gone; a namespace that holds objects is there all the same.
fn infer_places(snapshot: &mut Snapshot) {
    let named = |metas: Vec<&Meta>| -> BTreeSet<String> { metas.iter().map(|m| m.name.clone()).collect() };
    let o = &snapshot.objects;
    let mut namespaces: BTreeSet<String> = BTreeSet::new();
    for kind in Kind::ALL.iter().filter(|k| k.info().namespaced) {
        namespaces.extend((0..o.len(*kind)).filter_map(|i| o.meta(*kind, i)).map(|m| m.namespace.clone()));
    }
    // A server's whole list has every one there is; a part of it, or a manifest, has not.
    let whole = |kind: Kind, list: &[&Meta]| {
        snapshot.read.contains(&kind) && list.iter().any(|m| !m.resource_version.is_empty())
    };
    if !whole(Kind::Namespace, &o.namespaces.iter().map(|n| &n.metadata).collect::<Vec<_>>()) {
        let bindings = o.role_bindings.iter().chain(&o.cluster_role_bindings);
        namespaces.extend(bindings.flat_map(|b| &b.subjects).map(|s| s.namespace.clone()));
    }
    let mut nodes: BTreeSet<String> = o.pods.iter().map(|p| p.spec.node_name.clone()).collect();
    for known in named(o.namespaces.iter().map(|n| &n.metadata).collect()) {
        namespaces.remove(&known);
    }
    for known in named(o.nodes.iter().map(|n| &n.metadata).collect()) {
        nodes.remove(&known);
    }
    let all_nodes = whole(Kind::Node, &o.nodes.iter().map(|n| &n.metadata).collect::<Vec<_>>());
    let meta = |name: String| Meta { name, ..Meta::default() };
    namespaces.remove("");
    let new = namespaces.into_iter().map(|n| MetaOnly { metadata: meta(n) });
    snapshot.objects.namespaces.extend(new);
    if !all_nodes {
        nodes.remove("");
        let new = nodes.into_iter().map(|n| Node { metadata: meta(n), ..Node::default() });
        snapshot.objects.nodes.extend(new);
    }
}

/// Fills aggregated ClusterRoles that come from manifests (no resourceVersion): their own rules are dropped and
/// those of every selected role are taken, in name order, as the aggregation controller does.
fn aggregate(snapshot: &mut Snapshot) {
    let roles = &mut snapshot.objects.cluster_roles;
    let manifests: Vec<usize> = roles
        .iter()
        .enumerate()
        .filter(|(_, r)| r.aggregation_rule.is_some() && r.metadata.resource_version.is_empty())
        .map(|(i, _)| i)
        .collect();
    for i in &manifests {
        if let Some(r) = roles.get_mut(*i) {
            r.rules.clear();
        }
    }
    // A role may aggregate another aggregated role: repeat until nothing changes (admin ⊇ edit ⊇ view).
    for _ in 0..=manifests.len() {
        let mut changed = false;
        for i in &manifests {
            let Some(selectors) = roles.get(*i).and_then(|r| r.aggregation_rule.clone()) else { continue };
            let mut rules = Vec::new();
            for (j, other) in roles.iter().enumerate() {
                if j != *i && selectors.selects(&other.metadata.labels) {
                    for rule in &other.rules {
                        if !rules.contains(rule) {
                            rules.push(rule.clone());
                        }
                    }
                }
            }
            if let Some(r) = roles.get_mut(*i)
                && r.rules != rules
            {
                r.rules = rules;
                changed = true;
            }
        }
        if !changed {
            break;
        }
    }
}

/// The account `default` that the controller makes in every namespace, for namespaces that manifests use.
fn default_accounts(snapshot: &mut Snapshot) {
    if !is_manifest_set(snapshot) {
        return;
    }
    let mut namespaces: BTreeSet<String> =
        snapshot.objects.namespaces.iter().map(|n| n.metadata.name.clone()).collect();
    namespaces.extend(snapshot.objects.pods.iter().map(|p| p.metadata.namespace.clone()));
    for kind in WORKLOADS {
        namespaces.extend(snapshot.objects.workloads(kind).iter().map(|w| w.metadata.namespace.clone()));
    }
    for namespace in namespaces {
        let list = &mut snapshot.objects.service_accounts;
        if !list.iter().any(|a| a.metadata.namespace == namespace && a.metadata.name == "default") {
            let metadata = Meta { name: "default".into(), namespace, ..Meta::default() };
            list.push(ServiceAccount { metadata, ..ServiceAccount::default() });
        }
    }
    snapshot.objects.normalise();
}

/// Whether the input is made of manifests: no account in it was ever stored by a server.
fn is_manifest_set(snapshot: &Snapshot) -> bool {
    snapshot
        .objects
        .service_accounts
        .iter()
        .all(|a| a.metadata.resource_version.is_empty() && a.metadata.uid.is_empty())
        && (!snapshot.objects.service_accounts.is_empty()
            || snapshot.objects.pods.iter().all(|p| p.status.phase.is_empty()))
}

/// Pods of controllers that own no pod in the input and want at least one.
fn derived_pods(snapshot: &Snapshot) -> Vec<Pod> {
    let pods_read = snapshot.read.contains(&Kind::Pod);
    // Names of objects that own something: a Deployment that owns a ReplicaSet leaves the pods to it.
    let mut owners: BTreeSet<(String, String, String)> = BTreeSet::new();
    let mut note = |m: &Meta| {
        for o in &m.owner_references {
            owners.insert((m.namespace.clone(), o.kind.clone(), o.name.clone()));
        }
    };
    snapshot.objects.pods.iter().for_each(|p| note(&p.metadata));
    for kind in WORKLOADS {
        snapshot.objects.workloads(kind).iter().for_each(|w| note(&w.metadata));
    }
    let running = running_cron_jobs(snapshot);
    let mut taken: BTreeSet<(String, String)> =
        snapshot.objects.pods.iter().map(|p| (p.metadata.namespace.clone(), p.metadata.name.clone())).collect();
    let mut out = Vec::new();
    for kind in WORKLOADS {
        for w in snapshot.objects.workloads(kind) {
            let info = kind.info();
            let key = (w.metadata.namespace.clone(), info.kind.to_owned(), w.metadata.name.clone());
            // A CronJob that keeps finished Jobs still has pods to come.
            let has_pods = if kind == Kind::CronJob { running.contains(&key) } else { owners.contains(&key) };
            if has_pods || w.spec.wants_none() || w.spec.suspend == Some(true) {
                continue;
            }
            // Where a server's pods were read, a workload of that server without pods has none; a CronJob will have.
            if pods_read
                && kind != Kind::CronJob
                && !(w.metadata.uid.is_empty() && w.metadata.resource_version.is_empty())
            {
                continue;
            }
            let Some(template) = w.spec.pod_template() else { continue };
            if selected_pod(snapshot, w, template.metadata.labels.is_empty()) {
                continue;
            }
            let mut name =
                if kind == Kind::StatefulSet { format!("{}-0", w.metadata.name) } else { w.metadata.name.clone() };
            if !taken.insert((w.metadata.namespace.clone(), name.clone())) {
                name = format!("{name}-{}", info.kind.to_lowercase());
                taken.insert((w.metadata.namespace.clone(), name.clone()));
            }
            let mut metadata = template.metadata.clone();
            metadata.name = name;
            metadata.namespace = w.metadata.namespace.clone();
            metadata.owner_references = vec![OwnerReference {
                api_version: kind.api_version(),
                kind: info.kind.into(),
                name: w.metadata.name.clone(),
                uid: w.metadata.uid.clone(),
                controller: Some(true),
            }];
            out.push(Pod { metadata, spec: template.spec.clone(), derived: true, ..Pod::default() });
        }
    }
    out
}

/// CronJobs with a pod that has not ended, by way of its Job.
fn running_cron_jobs(snapshot: &Snapshot) -> BTreeSet<(String, String, String)> {
    let jobs: BTreeSet<(&str, &str)> = snapshot
        .objects
        .pods
        .iter()
        .filter(|p| !p.finished())
        .flat_map(|p| p.metadata.owner_references.iter().map(|o| (p.metadata.namespace.as_str(), o.name.as_str())))
        .collect();
    let active = snapshot.objects.workloads(Kind::Job).iter().map(|j| &j.metadata);
    active
        .filter(|m| jobs.contains(&(m.namespace.as_str(), m.name.as_str())))
        .flat_map(|m| m.owner_references.iter().map(|o| (m.namespace.clone(), o.kind.clone(), o.name.clone())))
        .collect()
}

/// Whether a pod of the input matches the controller's selector without naming an owner.
fn selected_pod(snapshot: &Snapshot, w: &Workload, no_labels: bool) -> bool {
    let Some(selector) = &w.spec.selector else { return false };
    if no_labels || service_account::selects_everything(selector) {
        return false;
    }
    let pods = &snapshot.objects.pods;
    let start = pods.partition_point(|p| p.metadata.namespace < w.metadata.namespace);
    let mut own = pods.iter().skip(start).take_while(|p| p.metadata.namespace == w.metadata.namespace);
    own.any(|p| {
        p.metadata.owner_references.is_empty() && !p.metadata.labels.is_empty() && selector.matches(&p.metadata.labels)
    })
}

/// Lets ServiceAccount admission see pods that no server has seen: derived ones and plain manifests.
fn admit_manifest_pods(snapshot: &mut Snapshot, derived: Vec<Pod>) {
    let stored = |p: &Pod| !p.status.phase.is_empty() || !p.metadata.resource_version.is_empty();
    let (keep, mut fresh): (Vec<Pod>, Vec<Pod>) =
        std::mem::take(&mut snapshot.objects.pods).into_iter().partition(stored);
    fresh.extend(derived);
    let accounts = Cluster {
        objects: crate::model::Objects {
            service_accounts: snapshot.objects.service_accounts.clone(),
            secrets: snapshot.objects.secrets.clone(),
            ..crate::model::Objects::default()
        },
        ..Cluster::default()
    };
    for pod in &mut fresh {
        let namespace = pod.metadata.namespace.clone();
        // A missing account would be refused by the server; its pod is kept, because accounts may lack in the
        // input, and mounts are added as for an account without settings of its own.
        if service_account::admit(pod, &namespace, &accounts).is_err()
            && accounts.service_account(&namespace, pod.account()).is_none()
            && !pod.is_mirror()
            && pod.spec.automount_service_account_token != Some(false)
        {
            service_account::add_token(pod);
        }
    }
    snapshot.objects.pods = keep;
    snapshot.objects.pods.append(&mut fresh);
    // Derived pods are as good as a list, but not where a list failed: what it would have held is still missing.
    if !snapshot.objects.pods.is_empty() && !snapshot.gaps.iter().any(|g| g.id == "unread:Pod") {
        snapshot.read.insert(Kind::Pod);
    }
}
