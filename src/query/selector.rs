//! The selector language: `pod/NS/NAME`, `secret/NS/*`, `deploy/NS/NAME`, `pod(ns=prod, label.app=web)`, with `|`, `&`, `~`.

use std::collections::BTreeSet;

use crate::graph::FactId;
use crate::model::cloud::{CloudObject, Provider};
use crate::model::{Cluster, Kind};
use crate::rules::Attack;
use crate::rules::fact::{Fact, Subject};

/// Why a selector cannot be used. The span is in characters of the whole selector.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{message}\n  {selector}\n  {marker}{hint}")]
pub struct SelectorError {
    message: String,
    selector: String,
    marker: String,
    hint: String,
}

fn error(selector: &str, start: usize, len: usize, message: impl Into<String>, hint: Option<String>) -> SelectorError {
    SelectorError {
        message: message.into(),
        selector: selector.to_owned(),
        marker: format!(
            "{}{}",
            " ".repeat(selector.get(..start).map_or(0, |s| s.chars().count())),
            "^".repeat(len.max(1))
        ),
        hint: hint.map_or_else(String::new, |h| format!("\nhint: {h}")),
    }
}

/// What a selector stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Facts, in number order.
    pub facts: BTreeSet<FactId>,
    /// Kinds that the selector needs and that were not read.
    pub unread: BTreeSet<Kind>,
    /// Calls of the AWS CLI that the selector needs and that have no answer.
    pub unread_calls: BTreeSet<String>,
    /// The selector names identities, which hold their credential from the start.
    pub credential: bool,
}

/// Kind words that selectors start with.
const WORDS: [&str; 23] = [
    "internet",
    "cluster-admin",
    "every-secret",
    "pod",
    "secret",
    "node",
    "sa",
    "user",
    "group",
    "deploy",
    "ds",
    "sts",
    "job",
    "cronjob",
    "rs",
    "image",
    "role",
    "kms",
    "bucket",
    "cloud-secret",
    "vault",
    "volume",
    "account-admin",
];

/// Resolves a selector. `allow_empty`: a pattern that matches nothing is no error.
///
/// # Errors
/// [`SelectorError`] with the place and, for a wrong name, the nearest right one.
pub fn resolve(attack: &Attack, cluster: &Cluster, text: &str, allow_empty: bool) -> Result<Selection, SelectorError> {
    let mut out = Selection::default();
    for (offset, part) in split(text, '|') {
        let mut all: Option<Selection> = None;
        for (o, term) in split(part, '&') {
            let trimmed = term.trim_start();
            let at = offset + o + (term.len() - trimmed.len());
            let trimmed = trimmed.trim_end();
            let (negated, body) = match trimmed.strip_prefix('~') {
                Some(b) => (true, b.trim_start()),
                None => (false, trimmed),
            };
            let one = term_selection(attack, cluster, text, at, body, allow_empty || negated)?;
            all = Some(match (all, negated) {
                (None, false) => one,
                (None, true) => {
                    return Err(error(
                        text,
                        at,
                        1,
                        "~ needs something to take away from",
                        Some("write `pod/* & ~pod/kube-system/*`".into()),
                    ));
                }
                (Some(mut a), true) => {
                    a.facts.retain(|f| !one.facts.contains(f));
                    a
                }
                (Some(mut a), false) => {
                    a.facts.retain(|f| one.facts.contains(f));
                    a.unread.extend(one.unread);
                    a.unread_calls.extend(one.unread_calls);
                    a
                }
            });
        }
        if let Some(s) = all {
            out.facts.extend(s.facts);
            out.unread.extend(s.unread);
            out.unread_calls.extend(s.unread_calls);
            out.credential |= s.credential;
        }
    }
    if out.facts.is_empty() && out.unread.is_empty() && out.unread_calls.is_empty() && !allow_empty && !out.credential {
        return Err(error(
            text,
            0,
            text.chars().count(),
            "the selector matches nothing",
            Some("--allow-empty accepts that".into()),
        ));
    }
    Ok(out)
}

fn split(text: &str, at: char) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let (mut start, mut depth) = (0, 0usize);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if c == at && depth == 0 => {
                out.push((start, text.get(start..i).unwrap_or_default()));
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    out.push((start, text.get(start..).unwrap_or_default()));
    out
}

/// Nearest candidate by edit distance, when it is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(d, c)| *d <= 1 + c.chars().count() / 4)
        .min()
        .map(|(_, c)| c.to_owned())
}

fn term_selection(
    attack: &Attack,
    cluster: &Cluster,
    whole: &str,
    at: usize,
    term: &str,
    allow_empty: bool,
) -> Result<Selection, SelectorError> {
    let mut s = Selection::default();
    match term {
        "" => return Err(error(whole, at, 1, "a selector is missing here", Some("for example pod/prod/web".into()))),
        "internet" => {
            s.facts.extend(attack.id(Fact::Internet));
            return Ok(s);
        }
        "cluster-admin" => {
            s.facts.extend(attack.id(Fact::ClusterAdmin));
            return Ok(s);
        }
        "every-secret" => {
            s.facts.extend(attack.id(Fact::AllSecrets));
            return Ok(s);
        }
        "account-admin" => {
            s.facts.extend(attack.id(Fact::AccountAdmin));
            if !cluster.read.contains(&Kind::CloudObject) {
                s.unread.insert(Kind::CloudObject);
            }
            return Ok(s);
        }
        _ => {}
    }
    let word_end = term.find(['/', '(', ':']).unwrap_or(term.len());
    let word = term.get(..word_end).unwrap_or_default();
    let rest = term.get(word_end..).unwrap_or_default();
    if rest.starts_with(':') && word != "role" {
        return Err(error(whole, at, word_end + 1, "the prefix CLUSTER: is reserved for several clusters", None));
    }
    if !WORDS.contains(&word) {
        let hint = nearest(word, WORDS)
            .map(|w| format!("did you mean {w:?}?"))
            .or_else(|| Some(format!("selectors start with one of: {}", WORDS.join(" "))));
        return Err(error(whole, at, word.chars().count(), format!("unknown selector {word:?}"), hint));
    }
    if matches!(word, "role" | "kms" | "bucket" | "cloud-secret" | "vault" | "volume") {
        return cloud(attack, cluster, whole, at, term, allow_empty);
    }
    if let Some(args) = rest.strip_prefix('(') {
        let args = args
            .strip_suffix(')')
            .ok_or_else(|| error(whole, at + term.len(), 1, "the parenthesis is not closed", None))?;
        return filtered(attack, cluster, whole, at, word, args, allow_empty);
    }
    let path = rest.strip_prefix('/').unwrap_or_default();
    if path.is_empty() {
        let shape = if matches!(word, "node" | "user" | "group" | "image") {
            format!("{word}/NAME")
        } else {
            format!("{word}/NAMESPACE/NAME")
        };
        return Err(error(
            whole,
            at,
            term.chars().count(),
            "the selector names nothing",
            Some(format!("write {shape}, or {word}/* for all")),
        ));
    }
    match word {
        "user" | "group" => {
            let subject = match (word, path.strip_prefix("system:serviceaccount:").and_then(|r| r.split_once(':'))) {
                ("user", Some((ns, n))) => Subject::ServiceAccount(ns.into(), n.into()),
                ("user", None) => Subject::User(path.into()),
                _ => Subject::Group(path.into()),
            };
            s.credential = true;
            let identity = |x: &Subject| attack.subjects.find(x).and_then(|i| attack.id(Fact::Identity(i)));
            // A user that no binding names always exists, and is authenticated like everybody but the anonymous.
            let anonymous = path == "system:anonymous" || path == "system:unauthenticated";
            let group = if anonymous { "system:unauthenticated" } else { "system:authenticated" };
            let fallback = Subject::Group(group.into());
            s.facts.extend(identity(&subject).or_else(|| identity(&fallback)));
            return Ok(s);
        }
        "image" => {
            let all = attack.repositories.iter().zip(0u32..).filter(|(r, _)| glob(path, r));
            s.facts.extend(all.filter_map(|(_, n)| attack.id(Fact::ImageWrite(n))));
            if s.facts.is_empty() && !allow_empty {
                // One that containers run and nobody is known to push to.
                let runs = attack.repositories.iter().any(|r| glob(path, r));
                let hint = match runs {
                    true => Some("an image is a start, not a target".to_owned()),
                    false => nearest(path, attack.repositories.iter().map(String::as_str))
                        .map(|n| format!("did you mean {n:?}? An image is named without its tag")),
                };
                let what = match runs {
                    true => format!("nobody is known to push image {path}"),
                    false => format!("no container runs image {path}"),
                };
                return Err(error(whole, at, term.chars().count(), what, hint));
            }
            return Ok(s);
        }
        "node" => {
            pick(cluster, Kind::Node, whole, at, "", path, allow_empty, &mut s, |i, s| {
                s.facts.extend(attack.id(Fact::Node(i)));
            })?;
            if path == "*" {
                for (i, f) in attack.facts.values().enumerate() {
                    if matches!(f, Fact::NodeOf(_) | Fact::AnyNode) {
                        s.facts.insert(FactId(i as u32));
                    }
                }
            }
            return Ok(s);
        }
        _ => {}
    }
    let (ns, name) = match path.split_once('/') {
        Some((ns, name)) => (ns, name),
        None if path == "*" => ("*", "*"),
        None => {
            return Err(error(
                whole,
                at,
                term.chars().count(),
                format!("{word} needs a namespace"),
                Some(format!("write {word}/NAMESPACE/{path}")),
            ));
        }
    };
    match word {
        "pod" => pick(cluster, Kind::Pod, whole, at, ns, name, allow_empty, &mut s, |i, s| {
            s.facts.extend(attack.id(Fact::Pod(i)))
        })?,
        "secret" => pick(cluster, Kind::Secret, whole, at, ns, name, allow_empty, &mut s, |i, s| {
            s.facts.extend(attack.id(Fact::Secret(i)))
        })?,
        "sa" => {
            s.credential = true;
            pick(cluster, Kind::ServiceAccount, whole, at, ns, name, allow_empty, &mut s, |i, s| {
                if let Some(a) = cluster.objects.service_accounts.get(i as usize) {
                    let subject = Subject::ServiceAccount(a.metadata.namespace.clone(), a.metadata.name.clone());
                    s.facts.extend(attack.subjects.find(&subject).and_then(|n| attack.id(Fact::Identity(n))));
                }
            })?;
        }
        owner => {
            let kind = owner_kind(owner);
            let mut chosen = BTreeSet::new();
            let mut found = Selection::default();
            pick(cluster, kind, whole, at, ns, name, allow_empty, &mut found, |i, _| {
                if let Some(w) = cluster.workloads_of(kind).get(i as usize) {
                    chosen.insert((w.metadata.namespace.clone(), w.metadata.name.clone()));
                }
            })?;
            s.unread.extend(found.unread);
            for (i, p) in cluster.objects.pods.iter().enumerate() {
                let direct = p.metadata.controller().map(|o| (o.kind.clone(), o.name.clone()));
                let top = p.owner(cluster);
                let own = |x: &(String, String)| {
                    x.0 == kind.info().kind && chosen.contains(&(p.metadata.namespace.clone(), x.1.clone()))
                };
                if own(&top) || direct.as_ref().is_some_and(own) {
                    s.facts.extend(attack.id(Fact::Pod(i as u32)));
                }
            }
        }
    }
    Ok(s)
}

/// Objects of a cloud account: `role:ARN` or `role:NAME`, `kms/ID`, `bucket/NAME`, `cloud-secret/NAME`, `vault/NAME`, `volume/ID`.
fn cloud(
    attack: &Attack,
    cluster: &Cluster,
    whole: &str,
    at: usize,
    term: &str,
    allow_empty: bool,
) -> Result<Selection, SelectorError> {
    let mut s = Selection::default();
    let (word, name) = term.split_once([':', '/']).unwrap_or((term, ""));
    // Without data of an account nothing of it is known.
    if !cluster.read.contains(&Kind::CloudObject) {
        s.unread.insert(Kind::CloudObject);
        return Ok(s);
    }
    let kinds: &[&str] = match word {
        "role" => &[
            "IamRole",
            "IamUser",
            "GcpServiceAccount",
            "GcpMember",
            "AzureIdentity",
            "AzureServicePrincipal",
            "AzureUser",
            "AzureGroup",
        ],
        "kms" => &["KmsKey", "GcpKmsKey"],
        "bucket" => &["S3Bucket", "GcpBucket"],
        "vault" => &["AzureKeyVault"],
        "volume" => &["EbsVolume"],
        _ => &["SecretsManagerSecret", "GcpSecret"],
    };
    s.credential = word == "role";
    let all = cluster.objects.cloud.iter().zip(0u32..).filter(|(o, _)| kinds.contains(&o.kind()));
    let mut names = Vec::new();
    for (o, i) in all {
        let names_of =
            [o.metadata.name.as_str(), o.text("Arn"), o.text("ARN"), o.text("principalId"), o.text("clientId")];
        if names_of.iter().any(|n| !n.is_empty() && glob(name, n)) {
            let fact = if word == "role" { Fact::CloudPrincipal(i) } else { Fact::CloudResource(i) };
            s.facts.extend(attack.id(fact));
        }
        names.push(o.metadata.name.as_str());
    }
    s.unread_calls.extend(unread_policies(cluster, &s, attack));
    // What was not listed may be there.
    if s.facts.is_empty() {
        s.unread_calls.extend(unlisted(cluster, word));
        if !s.unread_calls.is_empty() {
            return Ok(s);
        }
    }
    if s.facts.is_empty() && !allow_empty {
        let hint = nearest(name, names).map(|n| format!("did you mean {n:?}?"));
        return Err(error(whole, at, term.chars().count(), format!("{word} {name} does not exist"), hint));
    }
    Ok(s)
}

/// Calls that would tell who reads what was named: policies of its own that were not read.
fn unread_policies(cluster: &Cluster, s: &Selection, attack: &Attack) -> Vec<String> {
    let called = |call: &str| cluster.find(Kind::CloudObject, "Call", call).is_some();
    let searched = called("gcloud-asset-search-all-iam-policies");
    let objects = s.facts.iter().filter_map(|f| match attack.fact(*f) {
        Some(Fact::CloudResource(i)) => cluster.objects.cloud.get(i as usize),
        _ => None,
    });
    let call = |o: &CloudObject| {
        let name = &o.metadata.name;
        let without = |field: &str| o.spec.get(field).is_none();
        let call = match o.kind() {
            "GcpSecret" if without("bindings") && !searched => "gcloud-secrets-get-iam-policy",
            "GcpKmsKey" if without("bindings") && !searched => "gcloud-kms-keys-get-iam-policy",
            "GcpBucket" if without("bindings") && !searched => "gcloud-storage-buckets-get-iam-policy",
            "AzureKeyVault" if without("enableRbacAuthorization") => "az-keyvault-show",
            _ => return None,
        };
        Some(format!("{call}-{}", name.rsplit('/').next().unwrap_or(name)))
    };
    objects.filter_map(call).collect()
}

/// Calls that would list what a word means, of the clouds that there is data of, and have no answer.
fn unlisted(cluster: &Cluster, word: &str) -> Vec<String> {
    let called = |call: &str| cluster.find(Kind::CloudObject, "Call", call).is_some();
    let lists: &[&[&str]] = match word {
        "role" => &[
            &["iam-get-account-authorization-details", "iam-list-roles"],
            &["gcloud-iam-service-accounts-list"],
            &["az-identity-list", "az-role-assignment-list"],
        ],
        "kms" => &[&["kms-list-keys"], &["gcloud-kms-keys-list"]],
        "bucket" => &[&["s3api-list-buckets"], &["gcloud-storage-buckets-list"]],
        "vault" => &[&["az-keyvault-list"]],
        "volume" => &[&["ec2-describe-volumes"]],
        _ => &[&["secretsmanager-list-secrets"], &["gcloud-secrets-list"]],
    };
    let read: BTreeSet<Provider> = cluster.objects.cloud.iter().map(CloudObject::provider).collect();
    let own = lists.iter().filter(|l| l.first().and_then(|c| Provider::of_call(c)).is_some_and(|p| read.contains(&p)));
    let missing = own.filter(|l| !l.iter().any(|c| called(c) || listed_in_parts(cluster, c)));
    missing.filter_map(|l| l.first().map(|c| (*c).to_owned())).collect()
}

/// Whether a list was asked for with arguments, as those of keys are: by location and key ring.
fn listed_in_parts(cluster: &Cluster, call: &str) -> bool {
    let start = format!("{call}-");
    cluster.objects.cloud.iter().any(|o| o.kind() == "Call" && o.metadata.name.starts_with(&start))
}

fn owner_kind(word: &str) -> Kind {
    match word {
        "deploy" => Kind::Deployment,
        "ds" => Kind::DaemonSet,
        "sts" => Kind::StatefulSet,
        "job" => Kind::Job,
        "cronjob" => Kind::CronJob,
        _ => Kind::ReplicaSet,
    }
}

#[allow(clippy::too_many_arguments, reason = "the place in the selector travels with the names")]
fn pick(
    cluster: &Cluster,
    kind: Kind,
    whole: &str,
    at: usize,
    ns: &str,
    name: &str,
    allow_empty: bool,
    s: &mut Selection,
    mut each: impl FnMut(u32, &mut Selection),
) -> Result<(), SelectorError> {
    let mut any = false;
    for i in 0..cluster.objects.len(kind) {
        let Some(m) = cluster.objects.meta(kind, i) else { continue };
        if glob(ns, &m.namespace) && glob(name, &m.name) {
            any = true;
            each(i as u32, s);
        }
    }
    if !cluster.was_read(kind) {
        s.unread.insert(kind);
        return Ok(());
    }
    if any || allow_empty {
        return Ok(());
    }
    let shown = if ns.is_empty() { name.to_owned() } else { format!("{ns}/{name}") };
    let all: Vec<String> = (0..cluster.objects.len(kind))
        .filter_map(|i| cluster.objects.meta(kind, i))
        .map(crate::model::meta::Meta::path)
        .collect();
    let hint = nearest(&shown, all.iter().map(String::as_str)).map(|n| format!("did you mean {n:?}?"));
    let what = if shown.contains('*') { "matches nothing" } else { "does not exist" };
    Err(error(
        whole,
        at,
        whole.get(at..).map_or(1, |t| t.split(['|', '&']).next().unwrap_or_default().trim_end().chars().count()),
        format!("{} {shown} {what}", kind.info().kind),
        hint.or_else(|| Some("--allow-empty accepts a pattern without a match".into())),
    ))
}

/// `*` matches any run of characters.
pub fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => {
            let Some(rest) = text.strip_prefix(head) else { return false };
            if tail.is_empty() {
                return true;
            }
            (0..=rest.len()).filter(|i| rest.is_char_boundary(*i)).any(|i| rest.get(i..).is_some_and(|r| glob(tail, r)))
        }
    }
}

fn filtered(
    attack: &Attack,
    cluster: &Cluster,
    whole: &str,
    at: usize,
    word: &str,
    args: &str,
    allow_empty: bool,
) -> Result<Selection, SelectorError> {
    let kind = match word {
        "pod" => Kind::Pod,
        "secret" => Kind::Secret,
        "sa" => Kind::ServiceAccount,
        "node" => Kind::Node,
        other => {
            return Err(error(
                whole,
                at,
                other.chars().count(),
                format!("{other} takes no filter"),
                Some("use pod(…), secret(…), sa(…) or node(…)".into()),
            ));
        }
    };
    let mut filters = Vec::new();
    for part in args.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((k, v)) = part.split_once('=') else {
            return Err(error(
                whole,
                at,
                word.chars().count(),
                format!("filter {part:?} has no value"),
                Some("write ns=prod or label.app=web".into()),
            ));
        };
        if !matches!(k, "ns" | "name") && !k.starts_with("label.") {
            return Err(error(
                whole,
                at,
                word.chars().count(),
                format!("unknown filter {k:?}"),
                Some("filters are ns, name and label.KEY".into()),
            ));
        }
        filters.push((k.trim(), v.trim()));
    }
    let mut s = Selection { credential: word == "sa", ..Selection::default() };
    for i in 0..cluster.objects.len(kind) {
        let Some(m) = cluster.objects.meta(kind, i) else { continue };
        let ok = filters.iter().all(|(k, v)| match *k {
            "ns" => glob(v, &m.namespace),
            "name" => glob(v, &m.name),
            k => m.labels.get(k.trim_start_matches("label.")).is_some_and(|x| glob(v, x)),
        });
        if !ok {
            continue;
        }
        let i = i as u32;
        let fact = match kind {
            Kind::Pod => attack.id(Fact::Pod(i)),
            Kind::Secret => attack.id(Fact::Secret(i)),
            Kind::Node => attack.id(Fact::Node(i)),
            _ => attack
                .subjects
                .find(&Subject::ServiceAccount(m.namespace.clone(), m.name.clone()))
                .and_then(|n| attack.id(Fact::Identity(n))),
        };
        s.facts.extend(fact);
    }
    if !cluster.was_read(kind) {
        s.unread.insert(kind);
    } else if s.facts.is_empty() && !allow_empty {
        return Err(error(
            whole,
            at,
            word.chars().count(),
            "the filter matches nothing",
            Some("--allow-empty accepts that".into()),
        ));
    }
    Ok(s)
}
