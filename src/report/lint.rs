//! What a network policy names and nothing in the cluster has.

use crate::model::Cluster;
use crate::model::kind::{Kind, Obj};
use crate::model::network::IntOrString;
use crate::model::rbac::LabelSelector;
use crate::netpol::classes::named_ports;

/// Labels and port names of a policy that no pod has. A NetworkPolicy with a slip in a label isolates nothing, or allows
/// nobody.
pub fn policy(cluster: &Cluster, policy: Obj) -> Vec<String> {
    let Some(p) =
        cluster.objects.network_policies.get(policy.index as usize).filter(|_| policy.kind == Kind::NetworkPolicy)
    else {
        return Vec::new();
    };
    let rules = || p.spec.ingress.iter().chain(&p.spec.egress).flatten();
    let peers = || rules().flat_map(|r| r.from.iter().chain(&r.to));
    let selectors = std::iter::once(&p.spec.pod_selector).chain(peers().filter_map(|x| x.pod_selector.as_ref()));
    let mut out = Vec::new();
    for (k, v) in selectors.flat_map(wanted) {
        if !cluster.objects.pods.iter().any(|p| p.metadata.labels.get(k) == Some(v)) {
            out.push(format!("no pod has the label {k}={v}"));
        }
    }
    for (k, v) in peers().filter_map(|x| x.namespace_selector.as_ref()).flat_map(wanted) {
        let name = k == "kubernetes.io/metadata.name";
        let has =
            |n: &crate::model::objects::MetaOnly| n.metadata.labels.get(k) == Some(v) || name && n.metadata.name == *v;
        if !cluster.objects.namespaces.iter().any(has) {
            out.push(format!("no namespace has the label {k}={v}"));
        }
    }
    for port in rules().flat_map(|r| &r.ports) {
        if let Some(IntOrString::Str(name)) = &port.port
            && !cluster.objects.pods.iter().flat_map(named_ports).any(|(n, _, _)| n == name)
        {
            out.push(format!("no pod has a port named {name:?}"));
        }
    }
    out.sort();
    out.dedup();
    out
}

/// Labels that a selector asks for by value.
fn wanted(s: &LabelSelector) -> impl Iterator<Item = (&String, &String)> {
    let one = s.match_expressions.iter().filter(|r| r.operator == "In" && r.values.len() == 1);
    s.match_labels.iter().chain(one.filter_map(|r| Some((&r.key, r.values.first()?))))
}
