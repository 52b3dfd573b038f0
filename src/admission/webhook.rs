//! Which admission webhooks and policies would see a request, and might refuse it.

use crate::model::Cluster;
use crate::model::admission::{Webhook, WebhookRule};
use crate::model::kind::{Kind, Obj};
use crate::model::meta::Labels;

/// A request as admission sees it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'a str,
    /// API group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Resource, with `/subresource` if any.
    pub resource: &'a str,
    /// Namespace, empty for cluster-scoped resources.
    pub namespace: &'a str,
}

/// Something that may refuse a request: a webhook or an admission policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guard {
    /// Configuration object.
    pub object: Obj,
    /// JSON pointer of the webhook or of the policy's rules.
    pub pointer: String,
    /// Stable name for `webhook-admits:NAME`.
    pub name: String,
}

/// Mutating webhooks known only to inject: they add containers or environment and refuse nothing on purpose.
const INJECTORS: [&str; 16] = [
    "istio-sidecar-injector",
    "istio-revision-tag",
    "linkerd-proxy-injector",
    "pod-identity-webhook",
    "aws-load-balancer",
    "vault-agent-injector",
    "azure-wi-webhook",
    "gke-",
    "warden-mutating",
    "cert-manager-webhook",
    "neg-annotation",
    "opentelemetry-operator",
    "cilium-",
    "kuma-",
    "consul-connect-injector",
    "vpa-webhook",
];

/// Guards that would see the request, sorted by name. The object's labels are the attacker's choice, so an
/// objectSelector counts only when every object matches it: the attacker picks labels that miss it.
pub fn guards(cluster: &Cluster, request: Request<'_>) -> Vec<Guard> {
    let labels = namespace_labels(cluster, request.namespace);
    let mut out = Vec::new();
    for (i, c) in cluster.objects.validating_webhooks.iter().enumerate() {
        for (j, w) in c.webhooks.iter().enumerate() {
            if sees(w, request, &labels) {
                out.push(guard(Kind::ValidatingWebhookConfiguration, i, format!("/webhooks/{j}"), &w.name));
            }
        }
    }
    for (i, c) in cluster.objects.mutating_webhooks.iter().enumerate() {
        let injects = INJECTORS.iter().any(|n| c.metadata.name.starts_with(n) || c.metadata.name.contains(n));
        for (j, w) in c.webhooks.iter().enumerate() {
            if !injects && sees(w, request, &labels) {
                out.push(guard(Kind::MutatingWebhookConfiguration, i, format!("/webhooks/{j}"), &w.name));
            }
        }
    }
    for b in &cluster.objects.validating_policy_bindings {
        if !b.spec.validation_actions.iter().any(|a| a == "Deny") {
            continue;
        }
        let Some(i) = cluster.find(Kind::ValidatingAdmissionPolicy, "", &b.spec.policy_name) else { continue };
        let Some(policy) = cluster.objects.validating_policies.get(i as usize) else { continue };
        let m = &policy.spec.match_constraints;
        let narrow = &b.spec.match_resources;
        let rules = m.resource_rules.iter().any(|r| rule_sees(r, request))
            && (narrow.resource_rules.is_empty() || narrow.resource_rules.iter().any(|r| rule_sees(r, request)));
        let namespaces = request.namespace.is_empty()
            || (m.namespace_selector.matches(&labels) && narrow.namespace_selector.matches(&labels));
        if rules && namespaces && unavoidable(&m.object_selector) && unavoidable(&narrow.object_selector) {
            out.push(guard(
                Kind::ValidatingAdmissionPolicy,
                i as usize,
                "/spec/matchConstraints".into(),
                &policy.metadata.name,
            ));
        }
    }
    out.sort_by(|a, b| a.name.cmp(&b.name).then(a.cmp(b)));
    out.dedup_by(|a, b| a.name == b.name);
    out
}

fn guard(kind: Kind, index: usize, pointer: String, name: &str) -> Guard {
    Guard { object: Obj { kind, index: index as u32 }, pointer, name: name.to_owned() }
}

/// Whether an object selector cannot be missed by choosing labels: it selects everything, or only asks that a
/// label be absent or different, in which case setting it is the attacker's way out and the guard is avoidable.
fn unavoidable(selector: &crate::model::rbac::LabelSelector) -> bool {
    super::service_account::selects_everything(selector)
}

fn namespace_labels(cluster: &Cluster, namespace: &str) -> Labels {
    let mut labels = cluster
        .find(Kind::Namespace, "", namespace)
        .and_then(|i| cluster.objects.namespaces.get(i as usize))
        .map(|n| n.metadata.labels.clone())
        .unwrap_or_default();
    // The API server sets this label on every namespace.
    labels.entry("kubernetes.io/metadata.name".into()).or_insert_with(|| namespace.to_owned());
    labels
}

fn sees(w: &Webhook, request: Request<'_>, labels: &Labels) -> bool {
    w.rules.iter().any(|r| rule_sees(r, request))
        && (request.namespace.is_empty() || w.namespace_selector.matches(labels))
        && unavoidable(&w.object_selector)
        && !conditions_miss(w, request)
}

/// Whether a match condition plainly excludes the request: the usual form compares the namespace by name.
fn conditions_miss(w: &Webhook, request: Request<'_>) -> bool {
    w.match_conditions.iter().any(|c| {
        let e: String = c.expression.split_whitespace().collect();
        e == format!("request.namespace!='{}'", request.namespace)
            || e == format!("request.namespace!=\"{}\"", request.namespace)
    })
}

fn rule_sees(r: &WebhookRule, q: Request<'_>) -> bool {
    let any = |list: &[String], v: &str| list.iter().any(|x| x == "*" || x == v);
    let (resource, sub) = q.resource.split_once('/').map_or((q.resource, ""), |(a, b)| (a, b));
    let resources = r.resources.iter().any(|x| match x.split_once('/') {
        None => sub.is_empty() && (x == "*" || x == resource),
        Some((a, b)) => (a == "*" || a == resource) && if b == "*" { true } else { b == sub && !sub.is_empty() },
    });
    let scope = match r.scope.as_str() {
        "Cluster" => q.namespace.is_empty(),
        "Namespaced" => !q.namespace.is_empty(),
        _ => true,
    };
    any(&r.operations, q.operation)
        && any(&r.api_groups, q.group)
        && any(&r.api_versions, q.version)
        && resources
        && scope
}
