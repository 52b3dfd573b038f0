//! Steps of a proof: bookkeeping facts are folded away, so that one step is one thing that an attacker does.

use std::collections::BTreeMap;

use serde::Serialize;

use super::name::{self, ObjectName};
use crate::graph::{Evidence, FactId, Object};
use crate::model::cloud::Provider;
use crate::model::cluster::WORKLOADS;
use crate::model::kind::Kind;
use crate::model::{Cluster, Obj};
use crate::rules::Attack;
use crate::rules::ctx::{SUBJECT_POINTER, pack, unpack};
use crate::rules::fact::{Fact, Subject};
use crate::rules::grants::implied_groups;
use crate::rules::technique::{SCOPE, number, technique};
use crate::search::Settings;
use crate::search::proof::Proof;

/// One piece of evidence.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Proven {
    /// Object.
    pub object: ObjectName,
    /// JSON pointer.
    pub pointer: String,
    /// Value there.
    pub value: String,
    /// Why it matters.
    pub why: String,
}

/// One step.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Step {
    /// What the attacker wins.
    pub fact: String,
    /// Technique id.
    pub technique: String,
    /// Facts that this step needs, won before or given at the start.
    pub premises: Vec<String>,
    /// `certain`, or `unknown`.
    pub certainty: String,
    /// Unknowns that this step depends on.
    #[serde(rename = "unknownIf", skip_serializing_if = "Vec::is_empty")]
    pub unknown_if: Vec<String>,
    /// Assumptions that this step uses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
    /// Evidence, at least one piece.
    pub evidence: Vec<Proven>,
    /// A read-only command that checks the step.
    pub verify: String,
    /// Smallest fix.
    pub fix: String,
    /// What the audit log shows.
    pub audit: String,
    /// The fact by number, for pictures.
    #[serde(skip)]
    pub id: FactId,
    /// Premises by number.
    #[serde(skip)]
    pub premise_ids: Vec<FactId>,
    /// Instances folded into the step.
    #[serde(skip)]
    pub instances: Vec<u32>,
}

/// Turns a proof into steps.
pub fn steps(attack: &Attack, cluster: &Cluster, settings: &Settings, proof: &Proof) -> Vec<Step> {
    let by: BTreeMap<FactId, u32> = proof
        .instances
        .iter()
        .filter_map(|i| attack.graph.instances.get(*i as usize).map(|x| (x.conclusion, *i)))
        .collect();
    let mut out = Vec::new();
    for i in &proof.instances {
        let Some(x) = attack.graph.instances.get(*i as usize) else { continue };
        if x.conclusion != proof.target && hidden(attack, &by, x.conclusion) {
            continue;
        }
        out.push(step(attack, cluster, settings, &by, x.conclusion, *i));
    }
    out
}

/// Whether a fact is folded into the step after it: bookkeeping, or a scope step between two facts that are shown.
fn hidden(attack: &Attack, by: &BTreeMap<FactId, u32>, fact: FactId) -> bool {
    if attack.fact(fact).is_some_and(Fact::internal) {
        return true;
    }
    let Some(x) = by.get(&fact).and_then(|i| attack.graph.instances.get(*i as usize)) else { return false };
    x.technique == SCOPE && x.premises.iter().all(|p| !attack.fact(*p).is_some_and(Fact::internal))
}

fn step(
    attack: &Attack,
    cluster: &Cluster,
    settings: &Settings,
    by: &BTreeMap<FactId, u32>,
    conclusion: FactId,
    instance: u32,
) -> Step {
    let mut folded = vec![instance];
    let mut premises: Vec<FactId> = Vec::new();
    let mut at = 0;
    while let Some(i) = folded.get(at).copied() {
        at += 1;
        let Some(x) = attack.graph.instances.get(i as usize) else { continue };
        for p in &x.premises {
            let internal = hidden(attack, by, *p);
            match by.get(p) {
                Some(j) if internal => {
                    if !folded.contains(j) {
                        folded.push(*j);
                    }
                }
                _ => {
                    if !premises.contains(p) {
                        premises.push(*p);
                    }
                }
            }
        }
    }
    let grant = number("rbac-grant");
    let techniques: Vec<u16> =
        folded.iter().filter_map(|i| attack.graph.instances.get(*i as usize)).map(|x| x.technique).collect();
    let chosen = techniques
        .iter()
        .copied()
        .find(|t| *t != SCOPE && Some(*t) != grant)
        .or_else(|| techniques.iter().copied().find(|t| *t != SCOPE))
        .or(grant);
    let chosen_technique = chosen.and_then(technique);
    let actors: Vec<Subject> = premises
        .iter()
        .filter_map(|p| match attack.fact(*p) {
            Some(Fact::Identity(s)) => attack.subjects.get(s).cloned(),
            _ => None,
        })
        .collect();
    let mut evidence: Vec<Proven> = Vec::new();
    let mut unknown_if: Vec<String> = Vec::new();
    let mut assumptions: Vec<String> = Vec::new();
    for i in folded.iter().rev() {
        let Some(x) = attack.graph.instances.get(*i as usize) else { continue };
        unknown_if.extend(settings.open(x).filter_map(|u| attack.graph.unknowns.get(u).cloned()));
        assumptions.extend(x.assumptions.iter().filter_map(|a| attack.graph.assumptions.get(*a).cloned()));
        for e in &x.evidence {
            // A name proves little where the same step cites a field.
            let p = proven(attack, cluster, e, &actors);
            if !evidence.contains(&p) {
                evidence.push(p);
            }
        }
    }
    unknown_if.sort();
    unknown_if.dedup();
    assumptions.sort();
    assumptions.dedup();
    let verify = verify(cluster, &evidence, &actors);
    let words = |id: FactId| attack.fact(id).map(|f| name::fact(attack, cluster, f)).unwrap_or_default();
    Step {
        fact: words(conclusion),
        technique: chosen_technique.map(|t| t.id.to_owned()).unwrap_or_default(),
        premises: premises.iter().map(|p| words(*p)).collect(),
        certainty: if unknown_if.is_empty() { "certain".into() } else { "unknown".into() },
        unknown_if,
        assumptions,
        evidence,
        verify,
        fix: chosen_technique.map(|t| t.fix.to_owned()).unwrap_or_default(),
        audit: chosen_technique.map(|t| t.audit.to_owned()).unwrap_or_default(),
        id: conclusion,
        premise_ids: premises,
        instances: folded,
    }
}

fn proven(attack: &Attack, cluster: &Cluster, e: &Evidence, actors: &[Subject]) -> Proven {
    let mut pointer = attack.graph.text(e.pointer).to_owned();
    let mut value = attack.graph.text(e.value).to_owned();
    if pointer == SUBJECT_POINTER {
        pointer = "/subjects".into();
        if let Some((n, who)) = unpack(e.object).and_then(|o| matching_subject(cluster, o, actors)) {
            pointer = format!("/subjects/{n}");
            value = who;
        }
    }
    let object = match template_of(cluster, e.object, &pointer) {
        Some((workload, in_template)) => {
            pointer = in_template;
            name::object(cluster, pack(workload))
        }
        None => name::object(cluster, e.object),
    };
    Proven { object, pointer, value, why: e.why.to_owned() }
}

/// The workload whose template a derived pod stands for, and where its template holds what `pointer` points to. What
/// admission adds to a pod has no place there; then it is the nearest field around it.
fn template_of(cluster: &Cluster, object: Object, pointer: &str) -> Option<(Obj, String)> {
    let o = unpack(object).filter(|o| o.kind == Kind::Pod)?;
    let pod = cluster.objects.pods.get(o.index as usize).filter(|p| p.derived)?;
    let owner = pod.metadata.owner_references.first()?;
    let kind = WORKLOADS.into_iter().find(|k| k.info().kind == owner.kind)?;
    let index = cluster.find(kind, &pod.metadata.namespace, &owner.name)?;
    let json = cluster.objects.json(kind, index as usize)?;
    let prefix = if kind == Kind::CronJob { "/spec/jobTemplate/spec/template" } else { "/spec/template" };
    let mut there = format!("{prefix}{pointer}");
    while json.pointer(&there).is_none() && there.len() > prefix.len() {
        there.truncate(there.rfind('/').unwrap_or_default());
    }
    Some((Obj { kind, index }, there))
}

/// The subject of a binding that names one of the acting identities or a group of theirs.
fn matching_subject(cluster: &Cluster, o: crate::model::Obj, actors: &[Subject]) -> Option<(usize, String)> {
    let list = match o.kind {
        Kind::ClusterRoleBinding => &cluster.objects.cluster_role_bindings,
        Kind::RoleBinding => &cluster.objects.role_bindings,
        _ => return None,
    };
    let b = list.get(o.index as usize)?;
    let fits = |s: &crate::model::rbac::Subject| {
        let key = crate::authz::rbac::subject_key(s, &b.metadata.namespace);
        actors.iter().any(|a| match &key {
            Some(crate::authz::rbac::Key::User(u)) => a.user_name().as_ref() == Some(u),
            Some(crate::authz::rbac::Key::Group(g)) => implied_groups(a).contains(g) || *a == Subject::Group(g.clone()),
            None => false,
        })
    };
    let n = b.subjects.iter().position(fits)?;
    let s = b.subjects.get(n)?;
    let path = if s.namespace.is_empty() { s.name.clone() } else { format!("{}/{}", s.namespace, s.name) };
    Some((n, format!("{} {path}", s.kind)))
}

/// A read-only command that shows the decisive evidence.
fn verify(cluster: &Cluster, evidence: &[Proven], actors: &[Subject]) -> String {
    let rule = evidence
        .iter()
        .rev()
        .find(|e| matches!(e.object.kind.as_str(), "Role" | "ClusterRole") && e.pointer.starts_with("/rules/"));
    if let (Some(rule), Some(actor)) = (rule, actors.first()) {
        let scope = evidence
            .iter()
            .find(|e| e.object.kind == "RoleBinding")
            .map(|e| format!(" -n {}", word(&e.object.namespace)));
        let mut words = rule.value.split_whitespace();
        let (verb, resource) = (words.next().unwrap_or("*"), words.next().unwrap_or("*"));
        let (verb, resource) = if resource == "on" { ("*", "*") } else { (verb, resource) };
        let (resource, sub) = match resource.split_once('/') {
            Some((r, s)) => (r, format!(" --subresource={}", word(s.split('.').next().unwrap_or_default()))),
            None => (resource, String::new()),
        };
        // A rule that is limited to names answers for one of them only.
        let resource = match named(cluster, rule, evidence) {
            Some(name) => format!("{resource}/{name}"),
            None => resource.to_owned(),
        };
        let (verb, resource) = (word(verb), word(&resource));
        return format!(
            "kubectl auth can-i {verb} {resource}{sub}{} {}",
            scope.unwrap_or_else(|| " -A".into()),
            impersonation(actor)
        );
    }
    let Some(e) = evidence
        .last()
        .filter(|_| evidence.len() < 2)
        .or_else(|| evidence.iter().rev().find(|e| e.pointer.starts_with("/spec") || e.pointer.starts_with("/status")))
        .or(evidence.last())
    else {
        return String::new();
    };
    let o = &e.object;
    if Provider::of_group(&o.group).is_some() {
        return super::cloud::command(cluster, o, &e.pointer);
    }
    let kind =
        if o.group.is_empty() { o.kind.to_lowercase() } else { format!("{}.{}", o.kind.to_lowercase(), o.group) };
    let ns = if o.namespace.is_empty() { String::new() } else { format!(" -n {}", word(&o.namespace)) };
    let field = word(&format!("{{{}}}", jsonpath(&e.pointer)));
    format!("kubectl get {kind} {}{ns} -o jsonpath={field}", word(&o.name))
}

/// The name that a rule's `resourceNames` allow and the step is about; any of them when the evidence has none.
fn named(cluster: &Cluster, rule: &Proven, evidence: &[Proven]) -> Option<String> {
    let kind = if rule.object.kind == "Role" { Kind::Role } else { Kind::ClusterRole };
    let index = cluster.find(kind, &rule.object.namespace, &rule.object.name)? as usize;
    let roles = if kind == Kind::Role { &cluster.objects.roles } else { &cluster.objects.cluster_roles };
    let number: usize = rule.pointer.strip_prefix("/rules/")?.split('/').next()?.parse().ok()?;
    let names = &roles.get(index)?.rules.get(number)?.resource_names;
    let about = evidence.iter().map(|e| &e.object.name).find(|n| names.contains(n));
    about.or(names.first()).cloned()
}

/// `--as` flags for kubectl.
fn impersonation(actor: &Subject) -> String {
    let user = word(&actor.user_name().unwrap_or_default());
    match actor {
        Subject::Group(g) => format!("--as=someone --as-group={}", word(g)),
        Subject::User(u) if u.starts_with("system:node:") => format!("--as={user} --as-group=system:nodes"),
        _ => format!("--as={user}"),
    }
}

/// One word of a shell command. Names of roles, users and groups may hold anything, `$(…)` too, and a reader pastes what
/// is printed.
pub(super) fn word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:@=,+".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A JSON pointer as kubectl's JSONPath.
fn jsonpath(pointer: &str) -> String {
    let mut out = String::new();
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty() {
            out.push_str(&format!("[{part}]"));
        } else {
            out.push('.');
            out.push_str(&part.replace('.', "\\."));
        }
    }
    out
}
