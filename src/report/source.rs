//! Where an attacker may start: the internet, an identity, or pods that are alike in every way out.

use std::collections::{BTreeMap, BTreeSet};

use super::answer;
use crate::graph::FactId;
use crate::model::Cluster;
use crate::query::selector::Selection;
use crate::rules::Attack;
use crate::rules::fact::Fact;
use crate::search::closure::Local;

/// One way out of a container: technique, conclusion, unknowns, assumptions, other premises.
type WayOut = (u16, FactId, Vec<u32>, Vec<u32>, Vec<FactId>);

/// A start, or pods whose containers have the same ways out.
#[derive(Debug)]
pub(super) struct Source {
    /// Pods; empty for a start that is none.
    pub(super) pods: Vec<u32>,
    /// Facts that the start gives.
    pub(super) starts: Vec<FactId>,
    /// Whether it is the internet.
    pub(super) internet: bool,
    /// Secrets that it holds itself.
    pub(super) own: BTreeSet<FactId>,
}

/// Groups pods whose containers have the same ways out.
pub(super) fn classes(attack: &Attack, cluster: &Cluster, from: &Selection) -> Vec<Source> {
    let mut map: BTreeMap<Vec<WayOut>, Source> = BTreeMap::new();
    let mut out = Vec::new();
    let numbers: BTreeMap<&str, u32> = attack.namespaces.iter().map(String::as_str).zip(0..).collect();
    for f in &from.facts {
        let Some(Fact::Pod(p)) = attack.fact(*f) else {
            out.push(Source {
                pods: Vec::new(),
                starts: answer::starts(attack, cluster, *f),
                internet: attack.fact(*f) == Some(Fact::Internet),
                own: BTreeSet::new(),
            });
            continue;
        };
        let starts = answer::starts(attack, cluster, *f);
        if starts.is_empty() {
            continue;
        }
        let mut signature = Vec::new();
        let mut own = BTreeSet::new();
        for s in &starts {
            for i in attack.graph.using(*s) {
                let Some(x) = attack.graph.instances.get(*i as usize) else { continue };
                if matches!(attack.fact(x.conclusion), Some(Fact::Exec(q, _) | Fact::Pod(q)) if q == p) {
                    continue;
                }
                if matches!(attack.fact(x.conclusion), Some(Fact::Secret(_))) {
                    own.insert(x.conclusion);
                }
                let others = x.premises.iter().copied().filter(|q| !starts.contains(q)).collect();
                signature.push((x.technique, x.conclusion, x.unknowns.to_vec(), x.assumptions.to_vec(), others));
            }
        }
        signature.sort();
        signature.dedup();
        let ns = cluster.objects.pods.get(p as usize).map_or("", |x| x.metadata.namespace.as_str());
        // The namespace decides which Secrets are foreign.
        let marker = numbers.get(ns).copied().unwrap_or(0);
        signature.push((u16::MAX, FactId(u32::MAX), vec![marker], Vec::new(), Vec::new()));
        map.entry(signature).or_insert_with(|| Source { pods: Vec::new(), starts, internet: false, own }).pods.push(p);
    }
    out.extend(map.into_values());
    out
}

/// Sources that reach some target beside what they hold themselves, as far as a short walk tells.
pub(super) fn loud(attack: &Attack, mask: &[bool], sources: Vec<Source>, to: &Selection) -> Vec<Source> {
    /// Facts after which a walk is no longer short.
    const SHORT: usize = 256;
    let mut local = Local::new(&attack.graph, mask);
    let mut targets = vec![false; attack.graph.facts];
    for f in &to.facts {
        if let Some(t) = targets.get_mut(f.0 as usize) {
            *t = true;
        }
    }
    let finding = |s: &Source, f: &FactId| targets.get(f.0 as usize) == Some(&true) && !s.own.contains(f);
    sources
        .into_iter()
        .filter(|s| local.closure(&s.starts, SHORT).is_none_or(|known| known.iter().any(|f| finding(s, f))))
        .collect()
}
