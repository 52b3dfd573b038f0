//! Pseudonyms for names, so that a snapshot can be handed on: the same name gets the same pseudonym everywhere, and what
//! rules compare, sort or look into stays as it is, so that answers are the same but for names.
//!
//! Kept are names that Kubernetes itself gives (`system:…`, `default`, objects of `kube-system` and what their labels
//! say, keys of labels under `kubernetes.io`), API groups of Kubernetes, resources, verbs, paths, addresses, and the
//! names of drivers and controllers, images of well-known network plugins and controllers included. Replaced are names and namespaces of objects, users, groups, hosts, images, labels,
//! ports and the names of other API groups.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::Snapshot;
use crate::model::platform::{
    is_controllers_group, is_policy_definition, is_policy_group, known_image, legacy_class_image, platform_word,
};
use crate::model::{Gap, Kind, Objects};

/// Fields whose text is a name.
const NAMES: [&str; 23] = [
    // A port by name; a number is no text.
    "port",
    "name",
    "namespace",
    "uid",
    "serviceAccountName",
    "serviceAccount",
    "nodeName",
    "secretName",
    "claimName",
    "runtimeClassName",
    "ingressClassName",
    "storageClassName",
    "volumeName",
    "policyName",
    "resourceClaimName",
    "gatewayClassName",
    "sectionName",
    "namedPort",
    "destinationNamedPort",
    "externalName",
    "targetPort",
    "providerID",
    "targetContainerName",
];

/// Lists of names.
const LISTS: [&str; 2] = ["resourceNames", "hosts"];

/// Mappings of labels.
const LABELS: [&str; 4] = ["labels", "matchLabels", "nodeSelector", "selector"];

/// Namespaces that every cluster has; their names stay, and so do those of the objects in the first.
const STANDARD: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

/// Names that every cluster has.
const BUILT_IN: [&str; 12] = [
    "cluster-admin",
    "admin",
    "edit",
    "view",
    "kubernetes",
    "kube-root-ca.crt",
    "true",
    "false",
    "windows",
    "linux",
    "*",
    "",
];

/// Values of annotations that are settings.
const SETTINGS: [&str; 12] = [
    "internal",
    "Internal",
    "internet-facing",
    "0.0.0.0/0",
    "nlb",
    "nlb-ip",
    "external",
    "instance",
    "ip",
    "tcp",
    "http",
    "https",
];

/// Replaces every name in a snapshot. Returns each name that was replaced with its pseudonym.
///
/// Verdicts are the same, and what is reached; of paths that are as good as each other another may be shown, because
/// pseudonyms do not sort in every place as the names do. Gaps keep their ids and lose their messages, which quote the server.
pub fn pseudonymise(snapshot: &mut Snapshot) -> BTreeMap<String, String> {
    rename(snapshot, &made)
}

/// Expressions and prefixed labels of plugins' own policies mean nothing once names are replaced: of such a policy only
/// stays that it is there.
fn leave_out(kind: Kind, value: &mut Value) {
    let own = [
        Kind::CiliumNetworkPolicy,
        Kind::CiliumClusterwideNetworkPolicy,
        Kind::CalicoNetworkPolicy,
        Kind::GlobalNetworkPolicy,
    ];
    if own.contains(&kind)
        && let Some(fields) = value.as_object_mut()
    {
        fields.remove("specs");
        let nothing = crate::model::plugin_policy::PluginPolicySpec::left_out();
        fields.insert("spec".to_owned(), serde_json::to_value(nothing).unwrap_or_default());
    }
}

/// Replaces every name by what `made` makes of it and of its rank among all names; different names must come out
/// different. Returns each name with its replacement.
pub fn rename(snapshot: &mut Snapshot, made: &dyn Fn(&str, usize) -> String) -> BTreeMap<String, String> {
    let keep = kept(&snapshot.objects);
    let nodes: BTreeSet<String> = snapshot.objects.nodes.iter().map(|n| n.metadata.name.clone()).collect();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for kind in Kind::ALL {
        for index in 0..snapshot.objects.len(*kind) {
            if let Some(mut value) = snapshot.objects.json(*kind, index) {
                object(&mut value, &mut |name| {
                    for part in split(name, &keep, &nodes).1 {
                        if !keep.contains(part) {
                            all.insert(part.to_owned(), String::new());
                        }
                    }
                    name.to_owned()
                });
            }
        }
    }
    for (rank, (name, pseudonym)) in all.iter_mut().enumerate() {
        *pseudonym = made(name, rank);
    }
    let mut objects = Objects::default();
    let mut lost = Vec::new();
    for kind in Kind::ALL {
        for index in 0..snapshot.objects.len(*kind) {
            let Some(mut value) = snapshot.objects.json(*kind, index) else { continue };
            leave_out(*kind, &mut value);
            object(&mut value, &mut |name| replaced(name, &keep, &nodes, &all));
            // A reduced object stays one of its kind when only texts change; if not, its loss is no secret.
            if objects.push_line(*kind, &value.to_string()).is_err() {
                lost.push(*kind);
            }
        }
    }
    for map in &mut objects.config_maps {
        map.data.clear();
    }
    let _ = objects.normalise();
    // Objects of a cloud account are names throughout: none stays.
    snapshot.read.remove(&Kind::CloudObject);
    snapshot.objects = objects;
    snapshot.gaps.extend(lost.into_iter().map(|kind| Gap {
        id: format!("skipped:{}", kind.info().kind),
        hides: super::build::hides(kind).into(),
        ..Gap::default()
    }));
    for (n, gap) in snapshot.gaps.iter_mut().enumerate() {
        gap.object.clear();
        gap.file.clear();
        gap.reason = "not read (the reason was left out with the names)".into();
        if gap.id.starts_with("unread-file:") {
            gap.id = format!("unread-file:{n}");
        }
    }
    snapshot.source.name = "pseudonymised".into();
    snapshot.source.server.clear();
    all
}

/// Names that stay: what every cluster has, and what lies in `kube-system`.
fn kept(objects: &Objects) -> BTreeSet<String> {
    let mut keep: BTreeSet<String> = STANDARD.iter().chain(&BUILT_IN).map(|s| (*s).to_owned()).collect();
    for kind in Kind::ALL {
        for index in 0..objects.len(*kind) {
            let Some(meta) = objects.meta(*kind, index) else { continue };
            if meta.namespace == "kube-system" {
                keep.insert(meta.name.clone());
                keep.extend(meta.labels.iter().flat_map(|(k, v)| [k.clone(), v.clone()]));
            }
        }
    }
    // So do the classes that controllers serve by annotation.
    let classes = objects.ingresses.iter().filter_map(|i| i.metadata.annotations.get("kubernetes.io/ingress.class"));
    keep.extend(classes.filter(|c| legacy_class_image(c).is_some()).cloned());
    // And the kinds of policies that rights are about.
    let definitions = objects.resource_definitions.iter().map(|d| &d.metadata.name);
    keep.extend(definitions.filter(|n| is_policy_definition(n)).cloned());
    // Images of well-known plugins and controllers stay, so their words do everywhere.
    let pods = objects.pods.iter().map(|p| &p.spec);
    let templates = crate::model::cluster::WORKLOADS
        .iter()
        .flat_map(|k| objects.workloads(*k))
        .filter_map(|w| w.spec.pod_template());
    for c in pods.chain(templates.map(|t| &t.spec)).flat_map(|s| s.containers.iter().chain(&s.init_containers)) {
        if known_image(&c.image) {
            keep.extend(c.image.split(['/', ':', '@']).map(str::to_owned));
        }
    }
    keep
}

/// What a name begins with that stays, and the parts after it, of which each may be replaced.
fn split<'a>(name: &'a str, keep: &BTreeSet<String>, nodes: &BTreeSet<String>) -> (&'a str, Vec<&'a str>) {
    if keep.contains(name) {
        return match of_node(name, nodes) {
            Some(node) => (name.strip_suffix(node).unwrap_or_default(), vec![node]),
            None => (name, Vec::new()),
        };
    }
    for prefix in ["system:serviceaccount:", "system:serviceaccounts:", "system:node:"] {
        if let Some(rest) = name.strip_prefix(prefix) {
            return (prefix, rest.split(':').collect());
        }
    }
    // The cloud of a node, before what names the machine.
    if let Some((cloud, machine)) = name.split_once("://")
        && cloud.chars().all(|c| c.is_ascii_lowercase())
    {
        let start = name.strip_suffix(machine).unwrap_or_default();
        return (start, Some(machine).filter(|m| !m.is_empty()).into_iter().collect());
    }
    if name.starts_with("system:") || reserved_key(name) { (name, Vec::new()) } else { ("", vec![name]) }
}

/// The node that the name of a mirror pod ends with.
fn of_node<'a>(name: &'a str, nodes: &BTreeSet<String>) -> Option<&'a str> {
    name.match_indices('-').filter_map(|(at, _)| name.get(at + 1..)).find(|rest| nodes.contains(*rest))
}

fn replaced(name: &str, keep: &BTreeSet<String>, nodes: &BTreeSet<String>, all: &BTreeMap<String, String>) -> String {
    let (start, parts) = split(name, keep, nodes);
    let parts: Vec<&str> = parts.into_iter().map(|p| all.get(p).map_or(p, String::as_str)).collect();
    format!("{start}{}", parts.join(":"))
}

/// A pseudonym; it keeps what rules look for inside a name.
pub fn made(name: &str, rank: usize) -> String {
    let word = platform_word(name).map(|w| format!("{}-", w.trim_end_matches('-'))).unwrap_or_default();
    let token = if name.ends_with("-token") {
        "-token"
    } else if name.contains("-token-") {
        "-token-x"
    } else {
        ""
    };
    format!("{word}n{rank:06}{token}")
}

/// Keys of labels, annotations and API groups that belong to Kubernetes and its providers.
fn reserved_key(key: &str) -> bool {
    let domain = key.split('/').next().unwrap_or_default();
    let of = |d: &str| domain == d || domain.strip_suffix(d).is_some_and(|rest| rest.ends_with('.'));
    let image = key.contains(' ');
    !image
        && ["kubernetes.io", "k8s.io", "eks.amazonaws.com", "iam.gke.io", "cloud.google.com", "azure.workload.identity"]
            .into_iter()
            .any(of)
}

type Rename<'f> = dyn FnMut(&str) -> String + 'f;

fn text(value: &mut Value, rename: &mut Rename<'_>) {
    if let Value::String(s) = value {
        *s = rename(s);
    }
}

/// Walks through an object and renames.
fn object(value: &mut Value, rename: &mut Rename<'_>) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| object(v, rename)),
        Value::Object(map) => {
            let selects = map.contains_key("operator") || map.contains_key("effect");
            let rule = map.contains_key("verbs") || map.contains_key("operations");
            for (key, v) in map.iter_mut() {
                match key.as_str() {
                    "apiGroups" if rule => each(v, &mut |group| foreign(group, rename)),
                    "expression" => text(v, &mut |e| quoted(e, rename)),
                    // Names, and in a PersistentVolume `NAMESPACE/NAME`.
                    "kpathSecretRefs" => {
                        each(v, &mut |path| path.split('/').map(&mut *rename).collect::<Vec<_>>().join("/"));
                    }
                    "tolerations" | "taints" => keys(v, rename),
                    // The operating system and kernel parameters are words of Kubernetes.
                    "os" | "sysctls" => {}
                    // Marked, so that a registry's domain is not taken for the domain of a label.
                    "image" => {
                        text(v, &mut |i| if known_image(i) { i.to_owned() } else { rename(&format!("image {i}")) });
                    }
                    "address" => text(v, &mut |a| host(a, rename)),
                    "addresses" if v.as_array().is_some_and(|l| l.iter().all(Value::is_string)) => {
                        each(v, &mut |a| host(a, rename));
                    }
                    "annotations" => annotations(v, rename),
                    "host" | "hostname" => text(v, &mut |h| domain(h, rename)),
                    "hostnames" | "domainNames" => each(v, &mut |h| domain(h, rename)),
                    "audience" => text(v, &mut |a| if a.contains("kubernetes") { a.to_owned() } else { rename(a) }),
                    "key" | "value" if selects => text(v, rename),
                    "values" if selects => each(v, rename),
                    k if LABELS.contains(&k) && is_labels(v) => labels(v, rename),
                    k if LISTS.contains(&k) => each(v, rename),
                    k if NAMES.contains(&k) => match v {
                        Value::String(_) => text(v, rename),
                        _ => object(v, rename),
                    },
                    _ => object(v, rename),
                }
            }
        }
        _ => {}
    }
}

fn each(value: &mut Value, rename: &mut Rename<'_>) {
    if let Value::Array(list) = value {
        list.iter_mut().for_each(|v| text(v, rename));
    }
}

/// Keys of tolerations and taints, which are keys of labels.
fn keys(value: &mut Value, rename: &mut Rename<'_>) {
    for item in value.as_array_mut().into_iter().flatten() {
        for field in ["key", "value"] {
            if let Some(v) = item.get_mut(field) {
                text(v, rename);
            }
        }
    }
}

fn is_labels(value: &Value) -> bool {
    value.as_object().is_some_and(|m| m.values().all(Value::is_string))
}

fn labels(value: &mut Value, rename: &mut Rename<'_>) {
    let Value::Object(map) = value else { return };
    *map = std::mem::take(map)
        .into_iter()
        .map(|(key, mut v)| {
            // Levels and versions of Pod Security are words of Kubernetes.
            if !key.starts_with("pod-security.kubernetes.io/") {
                text(&mut v, rename);
            }
            (rename(&key), v)
        })
        .collect::<Map<_, _>>();
}

fn annotations(value: &mut Value, rename: &mut Rename<'_>) {
    let Value::Object(map) = value else { return };
    *map = std::mem::take(map)
        .into_iter()
        .map(|(key, mut v)| {
            match key.as_str() {
                "eks.amazonaws.com/role-arn" => {
                    text(&mut v, &mut |arn| format!("arn:aws:iam::000000000000:role/{}", rename(arn)));
                }
                // Levels, profiles and mirror hashes are compared or only there; the rest may name anything.
                k if k.starts_with("pod-security") || k.contains("seccomp") || k.contains("apparmor") => {}
                "kubernetes.io/config.mirror" | "kubernetes.io/config.source" => {}
                _ => text(&mut v, &mut |t| if SETTINGS.contains(&t) { t.to_owned() } else { rename(t) }),
            }
            // The name of a container stands at the end of these keys.
            let key = match key.split_once("kubernetes.io/").filter(|(start, _)| start.starts_with("container.")) {
                Some((start, container)) => format!("{start}kubernetes.io/{}", rename(container)),
                None => key,
            };
            (key, v)
        })
        .collect::<Map<_, _>>();
}

/// A host by name; an address stays, because whether it is public counts.
fn host(address: &str, rename: &mut Rename<'_>) -> String {
    if address.parse::<std::net::IpAddr>().is_ok() { address.to_owned() } else { rename(address) }
}

/// A name in the DNS, part by part: what is below what stays so.
fn domain(name: &str, rename: &mut Rename<'_>) -> String {
    if name.parse::<std::net::IpAddr>().is_ok() {
        return name.to_owned();
    }
    name.split('.').map(&mut *rename).collect::<Vec<_>>().join(".")
}

/// An API group: those with a dot that are not Kubernetes' are somebody's own, but for those of network plugins.
fn foreign(group: &str, rename: &mut Rename<'_>) -> String {
    if is_policy_group(group) || is_controllers_group(group) {
        return group.to_owned();
    }
    if group.contains('.') && !reserved_key(group) { rename(group) } else { group.to_owned() }
}

/// The quoted texts of a CEL expression.
fn quoted(expression: &str, rename: &mut Rename<'_>) -> String {
    let mut out = String::new();
    let mut rest = expression;
    while let Some((before, mark, after)) =
        rest.find(['\'', '"']).and_then(|at| Some((rest.get(..at)?, rest.get(at..=at)?, rest.get(at + 1..)?)))
    {
        out.push_str(before);
        out.push_str(mark);
        let Some(end) = after.find(mark) else {
            rest = after;
            continue;
        };
        out.push_str(&rename(after.get(..end).unwrap_or_default()));
        out.push_str(mark);
        rest = after.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}
