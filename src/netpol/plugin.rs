//! Which pods the policies of plugins' own kinds are about. What such a policy does to them is not known.

use super::classes::Namespace;
use crate::model::kind::{Kind, Obj};
use crate::model::meta::Labels;
use crate::model::plugin_policy::{PluginPolicy, PluginPolicySpec};
use crate::model::rbac::LabelSelector;
use crate::model::{Cluster, kind::Objects};

/// A policy of a plugin, one of its specs.
#[derive(Debug)]
pub struct PluginRule<'c> {
    /// The object.
    pub object: Obj,
    /// Whether it is about traffic to the pods, and from them.
    pub directions: [bool; 2],
    /// Namespace; empty for one of the whole cluster.
    pub namespace: &'c str,
    spec: &'c PluginPolicySpec,
}

/// Policies of plugins by kind.
fn kinds(o: &Objects) -> [(Kind, &[PluginPolicy]); 4] {
    [
        (Kind::CiliumNetworkPolicy, &o.cilium_network_policies),
        (Kind::CiliumClusterwideNetworkPolicy, &o.cilium_clusterwide_network_policies),
        (Kind::CalicoNetworkPolicy, &o.calico_network_policies),
        (Kind::GlobalNetworkPolicy, &o.global_network_policies),
    ]
}

/// All policies of plugins' own kinds, one entry a spec.
pub fn rules(cluster: &Cluster) -> Vec<PluginRule<'_>> {
    let mut out = Vec::new();
    for (kind, list) in kinds(&cluster.objects) {
        let cilium = matches!(kind, Kind::CiliumNetworkPolicy | Kind::CiliumClusterwideNetworkPolicy);
        for (p, index) in list.iter().zip(0u32..) {
            for spec in std::iter::once(&p.spec).chain(&p.specs) {
                let listed = |t: &str| spec.types.iter().any(|x| x == t);
                let directions = match cilium {
                    true => [spec.ingress || spec.ingress_deny, spec.egress || spec.egress_deny],
                    // Without types: ingress, and egress where it has rules for it.
                    false if spec.types.is_empty() => [spec.ingress || !spec.egress, spec.egress],
                    false => [listed("Ingress"), listed("Egress")],
                };
                // A policy for nodes is about none of the pods.
                let pods = !cilium || spec.endpoint_selector.is_some() && !spec.node_selector;
                if pods && directions.contains(&true) {
                    let object = Obj { kind, index };
                    out.push(PluginRule { object, directions, namespace: &p.metadata.namespace, spec });
                }
            }
        }
    }
    out
}

/// Policies for nodes, by direction: Cilium's with a node selector. What they do is not known.
pub fn for_nodes(cluster: &Cluster) -> [Vec<Obj>; 2] {
    let mut out = [Vec::new(), Vec::new()];
    for (p, index) in cluster.objects.cilium_clusterwide_network_policies.iter().zip(0u32..) {
        for spec in std::iter::once(&p.spec).chain(&p.specs).filter(|s| s.node_selector) {
            let sides = [spec.ingress || spec.ingress_deny, spec.egress || spec.egress_deny];
            for (list, _) in out.iter_mut().zip(sides).filter(|(_, on)| *on) {
                list.push(Obj { kind: Kind::CiliumClusterwideNetworkPolicy, index });
            }
        }
    }
    out
}

impl PluginRule<'_> {
    /// Keys of labels that it asks for.
    pub fn keys(&self) -> Vec<String> {
        match &self.spec.endpoint_selector {
            Some(s) => {
                let all = s.match_labels.keys().chain(s.match_expressions.iter().map(|r| &r.key));
                all.filter_map(|k| plain(k)).map(str::to_owned).collect()
            }
            None => terms(&self.spec.selector).into_iter().flatten().map(|t| t.key.to_owned()).collect(),
        }
    }

    /// Whether it may be about pods of a namespace with these labels. What cannot be read counts as yes.
    pub fn concerns(&self, namespace: &Namespace, labels: &Labels) -> bool {
        if !self.namespace.is_empty() && self.namespace != namespace.name {
            return false;
        }
        if let Some(s) = &self.spec.endpoint_selector {
            return cilium(s, namespace, labels);
        }
        let in_namespace = terms(&self.spec.namespace_selector)
            .is_none_or(|all| all.iter().all(|t| !namespace.known || t.holds(&namespace.labels)));
        in_namespace && terms(&self.spec.selector).is_none_or(|all| all.iter().all(|t| t.holds(labels)))
    }
}

/// The key of a pod's own label; Cilium marks where a label comes from. `None` for labels of another source.
fn plain(key: &str) -> Option<&str> {
    let own = key.strip_prefix("k8s:").or(key.strip_prefix("any:")).or(key.strip_prefix("k8s.")).unwrap_or(key);
    let foreign = key.starts_with("reserved")
        || key.starts_with("cidr")
        || own.starts_with("io.kubernetes.")
        || own.starts_with("io.cilium.");
    (!foreign).then_some(own)
}

fn cilium(s: &LabelSelector, namespace: &Namespace, labels: &Labels) -> bool {
    let of_namespace = |key: &str| key.ends_with("io.kubernetes.pod.namespace");
    s.match_labels.iter().all(|(k, v)| match plain(k) {
        Some(own) => labels.get(own) == Some(v),
        None if of_namespace(k) => *v == namespace.name,
        None => true,
    }) && s.match_expressions.iter().all(|r| {
        let Some(own) = plain(&r.key) else { return true };
        let one = crate::model::rbac::Requirement { key: own.to_owned(), ..r.clone() };
        LabelSelector { match_expressions: vec![one], ..LabelSelector::default() }.matches(labels)
    })
}

/// One condition of an expression of Calico.
struct Term<'a> {
    key: &'a str,
    /// The value that it must have; none is any.
    value: Option<&'a str>,
    /// Whether the condition is turned round.
    not: bool,
}

impl Term<'_> {
    fn holds(&self, labels: &Labels) -> bool {
        let has = match (labels.get(self.key), self.value) {
            (Some(v), Some(want)) => v == want,
            (Some(_), None) => true,
            (None, _) => false,
        };
        has != self.not
    }
}

/// Conditions that must all hold; `None` for an expression of any other form, which may mean any pod.
fn terms(expression: &str) -> Option<Vec<Term<'_>>> {
    let text = expression.trim();
    if text.is_empty() || text == "all()" {
        return Some(Vec::new());
    }
    text.split("&&").map(|part| term(part.trim())).collect()
}

fn term(part: &str) -> Option<Term<'_>> {
    let label = |k: &str| {
        let plain = !k.is_empty() && k.chars().all(|c| c.is_alphanumeric() || "-_./".contains(c));
        plain && !k.starts_with("projectcalico.org/") && !k.starts_with("pcns.") && !k.starts_with("pcsa.")
    };
    let quoted = |v: &'_ str| {
        let v = v.trim();
        let bare = v
            .strip_prefix('\'')
            .and_then(|v| v.strip_suffix('\''))
            .or(v.strip_prefix('"').and_then(|v| v.strip_suffix('"')));
        bare.filter(|v| !v.contains(['\'', '"'])).map(|v| v.len())
    };
    let (body, not) = match part.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (part, false),
    };
    if let Some(key) = body.strip_prefix("has(").and_then(|r| r.strip_suffix(')')).map(str::trim) {
        return label(key).then_some(Term { key, value: None, not });
    }
    for (operator, turned) in [("==", false), ("!=", true)] {
        if let Some((key, value)) = body.split_once(operator) {
            let (key, value) = (key.trim(), value.trim());
            let length = quoted(value)?;
            let value = value.get(1..1 + length)?;
            return (label(key) && !not).then_some(Term { key, value: Some(value), not: turned });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_calico() {
        let labels: Labels = [("app".to_owned(), "web".to_owned())].into();
        let holds = |e: &str| terms(e).map(|all| all.iter().all(|t| t.holds(&labels)));
        for (expression, wanted) in [
            ("", Some(true)),
            ("all()", Some(true)),
            ("app == 'web'", Some(true)),
            ("app == \"db\"", Some(false)),
            ("app != 'db'", Some(true)),
            ("tier != 'x'", Some(true)),
            ("has(app) && !has(tier)", Some(true)),
            ("has(app) && has(tier)", Some(false)),
            ("app == 'web' || app == 'db'", None),
            ("app in {'web'}", None),
            ("(app == 'web')", None),
            ("projectcalico.org/namespace == 'a'", None),
            ("!app == 'web'", None),
        ] {
            assert_eq!(holds(expression), wanted, "{expression}");
        }
    }
}
