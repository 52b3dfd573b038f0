//! Policies of Cilium's and Calico's own kinds, as far as they are like the standard ones: selectors of pods, words for
//! ends, addresses, ports, deny rules, order and tiers. Whatever else a policy uses makes what it is about unknown.
//!
//! Sources: Cilium documentation "Layer 3/4 policies", "Deny policies", `pkg/policy/api`; Calico documentation
//! "NetworkPolicy", "GlobalNetworkPolicy", "Tier", "Selectors".

mod calico;
mod cilium;

use super::classes::Namespace;
use super::compile::{Match, Namespaces, OrderedRule, Policies};
use crate::model::Cluster;
use crate::model::kind::{Kind, Obj, Objects};
use crate::model::meta::Labels;
use crate::model::plugin_policy::PluginPolicy;
use crate::model::rbac::LabelSelector;

/// Whose own policies have an effect in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Plugin {
    /// Those of the plugin whose policies are there, if they are of one alone.
    #[default]
    Theirs,
    /// Cilium's.
    Cilium,
    /// Calico's.
    Calico,
    /// It is not known, or another plugin's: of both it is not known what they do.
    Other,
}

/// When a policy is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// In a tier of Calico before that of NetworkPolicies: its rank, and whether what no rule decides goes on.
    Tier(u32, bool),
    /// In the tier of NetworkPolicies, before them.
    Before,
    /// Together with NetworkPolicies: what one allows is allowed, unless one denies it.
    With,
    /// In their tier, after them.
    After,
}

/// Pods that a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Namespaces.
    pub namespaces: Namespaces,
    /// Labels.
    pub selector: LabelSelector,
    /// Whether that is all that it says: else it is about some of these.
    pub sure: bool,
}

/// A policy of a plugin, one of its specs.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The object.
    pub object: Obj,
    /// When it is asked.
    pub stage: Stage,
    /// Place in its stage: lower first.
    pub order: u32,
    /// Pods that it is about.
    pub subject: Subject,
    /// Directions that it is about.
    pub directions: [bool; 2],
    /// Whether what no rule decides is denied.
    pub isolates: [bool; 2],
    /// Rules by direction.
    pub rules: [Vec<OrderedRule>; 2],
    /// Why what it does is not known, if so.
    pub unknown: Option<&'static str>,
}

/// A policy that uses what is not modelled.
const FIELD: &str = "the policy uses a field that is not modelled";
/// A policy of which it is not known whether it is about a pod.
const SUBJECT: &str = "whether the policy is about the pod is not known";
/// A policy of a plugin that is not known to run.
const STRANGE: &str = "no plugin is known to run that enforces policies of this kind";
/// A policy that is asked at a time that is not known.
const ORDER: &str = "in which order the policy is asked is not known";

/// Policies of plugins by kind.
fn kinds(o: &Objects) -> [(Kind, &[PluginPolicy]); 4] {
    [
        (Kind::CiliumNetworkPolicy, &o.cilium_network_policies),
        (Kind::CiliumClusterwideNetworkPolicy, &o.cilium_clusterwide_network_policies),
        (Kind::CalicoNetworkPolicy, &o.calico_network_policies),
        (Kind::GlobalNetworkPolicy, &o.global_network_policies),
    ]
}

fn of_cilium(kind: Kind) -> bool {
    matches!(kind, Kind::CiliumNetworkPolicy | Kind::CiliumClusterwideNetworkPolicy)
}

/// All policies of plugins' own kinds, one entry a spec, in the order in which they are asked.
pub fn compile(cluster: &Cluster, plugin: Plugin, all: &mut Policies) -> Vec<Compiled> {
    let some = |cilium: bool| kinds(&cluster.objects).iter().any(|(k, l)| of_cilium(*k) == cilium && !l.is_empty());
    let effective = |cilium: bool| match plugin {
        Plugin::Theirs => !some(!cilium),
        Plugin::Cilium => cilium,
        Plugin::Calico => !cilium,
        Plugin::Other => false,
    };
    let orders = calico::orders(cluster);
    let mut out = Vec::new();
    for (kind, list) in kinds(&cluster.objects) {
        for (p, index) in list.iter().zip(0u32..) {
            for (spec, n) in std::iter::once(&p.spec).chain(&p.specs).zip(0u32..) {
                let object = Obj { kind, index };
                let compiled = match of_cilium(kind) {
                    true => cilium::compile(object, n, &p.metadata.namespace, spec, all),
                    false => calico::compile(object, &p.metadata.namespace, spec, cluster, &orders, all),
                };
                let Some(mut c) = compiled else { continue };
                if !effective(of_cilium(kind)) {
                    c.unknown = Some(STRANGE);
                }
                if c.directions.contains(&true) {
                    out.push(c);
                }
            }
        }
    }
    out.sort_by_key(|c| (c.stage, c.order));
    out
}

/// An address without a prefix is a single one.
fn with_prefix(cidr: &str) -> String {
    match (cidr.contains('/'), cidr.contains(':')) {
        (true, _) => cidr.to_owned(),
        (false, true) => format!("{cidr}/128"),
        (false, false) => format!("{cidr}/32"),
    }
}

/// What limits nodes, by direction: Cilium's policies with a node selector, and Calico's host endpoints, which deny what no
/// policy allows. What they do is not known.
pub fn for_nodes(cluster: &Cluster) -> [Vec<Obj>; 2] {
    let mut out = [Vec::new(), Vec::new()];
    for index in 0..cluster.objects.host_endpoints.len() as u32 {
        out.iter_mut().for_each(|list| list.push(Obj { kind: Kind::HostEndpoint, index }));
    }
    for (p, index) in cluster.objects.cilium_clusterwide_network_policies.iter().zip(0u32..) {
        for spec in std::iter::once(&p.spec).chain(&p.specs).filter(|s| s.node_selector.is_some()) {
            let sides = [
                spec.ingress.is_some() || spec.ingress_deny.is_some(),
                spec.egress.is_some() || spec.egress_deny.is_some(),
            ];
            for (list, _) in out.iter_mut().zip(sides).filter(|(_, on)| *on) {
                list.push(Obj { kind: Kind::CiliumClusterwideNetworkPolicy, index });
            }
        }
    }
    out
}

impl Compiled {
    /// Why what it does is not known to a pod that it is, or may be, about.
    pub fn unknown(&self) -> &'static str {
        self.unknown.unwrap_or(SUBJECT)
    }

    /// Whether it is about pods of a namespace with these labels.
    pub fn concerns(&self, namespace: &Namespace, labels: &Labels) -> Match {
        let place = match &self.subject.namespaces {
            Namespaces::One(n) => Some(*n == namespace.name),
            Namespaces::Labelled(s) => namespace.matches(s),
        };
        match (self.subject.selector.matches(labels), place) {
            (false, _) | (_, Some(false)) => Match::No,
            (true, Some(true)) if self.subject.sure => Match::Yes,
            _ => Match::Maybe,
        }
    }
}
