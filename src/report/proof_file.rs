//! Answers as proof files, which `kpath verify` checks without the search.

use std::collections::BTreeSet;

use super::answer::{Answer, Question, Verdict, starts, targets};
use super::name;
use crate::graph::{FactId, Instance};
use crate::model::Cluster;
use crate::query::selector::Selection;
use crate::rules::Attack;
use crate::rules::technique::technique;
use crate::search::Lane;
use crate::search::closure::closure;
use crate::verify::file::{self, Certificate, File, Step};

/// Sources that are certified one by one, when together they would reach what none reaches alone.
const ONE_BY_ONE: usize = 512;

/// The name of a fact in a proof file.
pub fn fact(attack: &Attack, id: FactId) -> String {
    attack.fact(id).map(|f| format!("{f:?}")).unwrap_or_default()
}

/// A rule instance as a line of a proof file.
pub fn step(attack: &Attack, cluster: &Cluster, x: &Instance) -> Step {
    let names = |list: &[u32], of: &dyn Fn(u32) -> Option<String>| list.iter().filter_map(|n| of(*n)).collect();
    let graph = &attack.graph;
    Step {
        technique: technique(x.technique).map(|t| t.id.to_owned()).unwrap_or_default(),
        premises: x.premises.iter().map(|p| fact(attack, *p)).collect(),
        conclusion: fact(attack, x.conclusion),
        unknowns: names(&x.unknowns, &|n| graph.unknowns.get(n).cloned()),
        assumptions: names(&x.assumptions, &|n| graph.assumptions.get(n).cloned()),
        evidence: x
            .evidence
            .iter()
            .map(|e| {
                let o = name::object(cluster, e.object);
                file::Evidence {
                    kind: o.kind,
                    group: o.group,
                    namespace: o.namespace,
                    name: o.name,
                    uid: o.uid,
                    pointer: graph.text(e.pointer).to_owned(),
                    value: graph.text(e.value).to_owned(),
                    why: e.why.to_owned(),
                }
            })
            .collect(),
    }
}

/// Writes an answer down: the proof of a *yes*, the closed facts of a *no*, and both for an *unknown*.
///
/// # Errors
/// When a *no* for a set of sources would need too many certificates.
pub fn write(
    attack: &Attack,
    cluster: &Cluster,
    question: &Question,
    from: (&str, &Selection),
    to: (&str, &Selection),
    answer: &Answer,
) -> Result<File, String> {
    let given = |(id, yes): &(String, bool)| format!("{id}={}", if *yes { "yes" } else { "no" });
    let mut out = File {
        format: file::FORMAT,
        answer: answer.answer.word().into(),
        question: file::Question {
            from: from.0.into(),
            to: to.0.into(),
            assumptions: question.assumptions.iter().cloned().collect(),
            given: question.given.iter().map(given).collect(),
        },
        start: answer.source.map(|s| fact(attack, s)).unwrap_or_default(),
        steps: Vec::new(),
        certificates: Vec::new(),
    };
    if let (Some(source), Some(proof)) = (answer.source, answer.proofs.first()) {
        let wanted: BTreeSet<u32> = proof.iter().flat_map(|s| s.instances.iter().copied()).collect();
        out.steps = ordered(attack, &starts(attack, cluster, source), wanted)
            .into_iter()
            .map(|x| step(attack, cluster, x))
            .collect();
    }
    let lane = match (answer.answer, answer.proofs.is_empty()) {
        (Verdict::Yes, _) => return Ok(out),
        (Verdict::Unknown, false) => Lane::Must,
        _ => Lane::May,
    };
    let mask = question.settings(attack).mask(&attack.graph, lane);
    let targets = targets(attack, cluster, to.1).facts;
    let certify = |sources: &[FactId]| {
        let all: Vec<FactId> = sources.iter().flat_map(|s| starts(attack, cluster, *s)).collect();
        let known = closure(&attack.graph, &mask, &all);
        let facts: Vec<FactId> = known.iter().zip(0u32..).filter(|(k, _)| **k).map(|(_, n)| FactId(n)).collect();
        let open = facts.iter().any(|f| targets.contains(f));
        let words = |list: &[FactId]| list.iter().map(|f| fact(attack, *f)).collect();
        (!open).then(|| Certificate { from: words(sources), facts: words(&facts) })
    };
    let sources: Vec<FactId> = from.1.facts.iter().copied().collect();
    if let Some(one) = certify(&sources) {
        out.certificates.push(one);
        return Ok(out);
    }
    if sources.len() > ONE_BY_ONE {
        return Err(format!("{} sources need a certificate each; ask about {ONE_BY_ONE} at most", sources.len()));
    }
    for s in &sources {
        out.certificates.push(certify(&[*s]).ok_or("a source reaches what the answer denies")?);
    }
    Ok(out)
}

/// Instances in an order in which each has its premises before it.
fn ordered<'a>(attack: &'a Attack, starts: &[FactId], mut left: BTreeSet<u32>) -> Vec<&'a Instance> {
    let mut known: BTreeSet<FactId> = starts.iter().copied().collect();
    let mut out = Vec::new();
    loop {
        let ready = left.iter().copied().find(|i| {
            attack.graph.instances.get(*i as usize).is_some_and(|x| x.premises.iter().all(|p| known.contains(p)))
        });
        let Some(i) = ready else { return out };
        left.remove(&i);
        if let Some(x) = attack.graph.instances.get(i as usize) {
            known.insert(x.conclusion);
            out.push(x);
        }
    }
}
