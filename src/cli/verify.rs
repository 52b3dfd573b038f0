//! `kpath verify`: a proof file against a cluster, without the search.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;

use super::source::Source;
use super::{Failure, print};
use crate::graph::{FactId, Instance};
use crate::model::cloud::Provider;
use crate::model::{Cluster, Kind};
use crate::query::selector;
use crate::report::{Question, answer, proof_file};
use crate::rules::{self, Attack};
use crate::verify::{Fault, certificate, evidence, file, proof};

/// `kpath verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// A file written by `kpath can --proof`
    proof: PathBuf,
    #[command(flatten)]
    source: Source,
}

impl Verify {
    /// Runs the command.
    ///
    /// # Errors
    /// Messages and exit codes.
    pub fn run(self) -> Result<(), Failure> {
        let shown = self.proof.display();
        let text =
            std::fs::read_to_string(&self.proof).map_err(|e| Failure::error(format!("cannot read {shown}: {e}")))?;
        let file = file::parse(&text).map_err(|e| Failure::error(format!("{shown}: {e}")))?;
        let cluster = self.source.load()?;
        let assumptions = file.question.assumptions.iter().cloned().collect();
        let attack = rules::build_for(&cluster, &assumptions);
        check(&attack, &cluster, &file)
            .map_err(|e| Failure::error(format!("{shown} is no proof of {:?} for this cluster: {e}", file.answer)))?;
        let q = &file.question;
        // A verdict holds under what it assumes: said in the same line.
        let under = |what: &str, list: &[String]| match list {
            [] => String::new(),
            _ => format!(", {what} {}", list.join(" ")),
        };
        let model = under("assuming", &q.assumptions) + &under("given", &q.given);
        print(&format!("verified: {} for {} reach {}{model}\n", file.answer, q.from, q.to))
    }
}

/// Checks a proof file against a cluster and its rule instances.
///
/// # Errors
/// The first fault.
pub fn check(attack: &Attack, cluster: &Cluster, file: &file::File) -> Result<(), Fault> {
    let question = question(&file.question)?;
    let settings = question.settings(attack);
    let select = |text: &str| selector::resolve(attack, cluster, text, true).map_err(|e| Fault::File(e.to_string()));
    let (from, to) = (select(&file.question.from)?, select(&file.question.to)?);
    for (s, text, pattern) in
        [(&from, &file.question.from, false), (&to, &file.question.to, file.question.to.contains(['*', '(']))]
    {
        // What was not read names nothing yet, and a pattern of targets may match none; anything else proves nothing.
        if s.facts.is_empty() && !pattern && s.unread.iter().all(|k| cluster.was_read(*k)) && !s.credential {
            return Err(Fault::File(format!("{text} names nothing in this cluster")));
        }
    }
    let targets = answer::targets(attack, cluster, &to).facts;
    let starts = |sources: &[FactId]| -> Vec<FactId> {
        sources.iter().flat_map(|s| answer::starts(attack, cluster, *s)).collect()
    };
    // What counts when open unknowns close the path, and when they open it.
    let assumed = |x: &Instance| x.assumptions.iter().all(|a| settings.assumptions.contains(a));
    let must = |x: &Instance| assumed(x) && x.unknowns.iter().all(|u| settings.given_yes.contains(u));
    let may = |x: &Instance| assumed(x) && !x.unknowns.iter().any(|u| settings.given_no.contains(u));
    let graph = &attack.graph;
    let numbers: BTreeMap<String, FactId> =
        (0..graph.facts as u32).map(|n| (proof_file::fact(attack, FactId(n)), FactId(n))).collect();
    let number = |f: &String| numbers.get(f).copied().ok_or_else(|| Fault::File(format!("no such fact {f}")));
    let numbers_of = |list: &[String]| list.iter().map(number).collect::<Result<Vec<FactId>, Fault>>();

    let prove = |allowed: &dyn Fn(&Instance) -> bool| {
        let source = number(&file.start)?;
        if !from.facts.contains(&source) {
            return Err(Fault::File("the proof starts from another source than the question".into()));
        }
        let steps: Vec<Option<u32>> = file.steps.iter().map(|s| find(attack, cluster, s, &numbers)).collect();
        let mut all: BTreeSet<FactId> = targets.clone();
        // A source that is asked about itself has nothing to prove.
        all.extend(to.facts.iter().filter(|f| **f == source));
        let mut given = starts(&[source]);
        given.extend(steps.is_empty().then_some(source));
        proof::check(graph, allowed, &given, &all, &steps)?;
        file.steps.iter().flat_map(|s| &s.evidence).try_for_each(|e| borne_out(cluster, e))
    };
    let certify = |allowed: &dyn Fn(&Instance) -> bool| {
        let mut covered: BTreeSet<FactId> = BTreeSet::new();
        for c in &file.certificates {
            let sources = numbers_of(&c.from)?;
            let facts: BTreeSet<FactId> = numbers_of(&c.facts)?.into_iter().collect();
            certificate::check(graph, allowed, &starts(&sources), &targets, &facts)?;
            covered.extend(sources);
        }
        let trivial = from.facts.iter().any(|f| to.facts.contains(f));
        match from.facts.is_subset(&covered) && !trivial {
            true => Ok(()),
            false => Err(Fault::File("a source of the question has no certificate".into())),
        }
    };
    let unread = !answer::unread(cluster, &question, &from, &to).is_empty();
    match (file.answer.as_str(), file.steps.is_empty()) {
        ("yes", _) => prove(&must),
        ("no", _) if unread => Err(Fault::File("something that could add a path was not read".into())),
        ("no", true) => certify(&may),
        ("unknown", false) => prove(&may).and_then(|()| certify(&must)),
        ("unknown", true) if unread => certify(&may),
        ("unknown", true) => Err(Fault::File("nothing is unknown: everything was read".into())),
        (other, _) => Err(Fault::File(format!("the answer {other:?} does not fit what is shown"))),
    }
}

/// The threat model that a file states.
fn question(q: &file::Question) -> Result<Question, Fault> {
    let mut out = Question { assumptions: q.assumptions.iter().cloned().collect(), ..Question::default() };
    for g in &q.given {
        match g.rsplit_once('=') {
            Some((id, value @ ("yes" | "no"))) => out.given.push((id.to_owned(), value == "yes")),
            _ => return Err(Fault::File(format!("{g:?} is not ID=yes or ID=no"))),
        }
    }
    Ok(out)
}

/// The rule instance that a step states, word for word.
fn find(attack: &Attack, cluster: &Cluster, step: &file::Step, numbers: &BTreeMap<String, FactId>) -> Option<u32> {
    let conclusion = numbers.get(&step.conclusion)?;
    let same = |i: &&u32| {
        attack.graph.instances.get(**i as usize).is_some_and(|x| proof_file::step(attack, cluster, x) == *step)
    };
    attack.graph.concluding(*conclusion).iter().find(same).copied()
}

/// Whether the cluster has the object of a piece of evidence, saying what is cited.
fn borne_out(cluster: &Cluster, e: &file::Evidence) -> Result<(), Fault> {
    let label = format!("{} {}/{}", e.kind, e.namespace, e.name);
    let kind = Kind::ALL.iter().copied().find(|k| k.info().kind == e.kind && k.info().group == e.group);
    // Objects of a cloud account say their own kind.
    let cloud = || cluster.find(Kind::CloudObject, &e.kind, &e.name).map(|i| (Kind::CloudObject, i as usize));
    let found = kind.and_then(|k| Some((k, cluster.find(k, &e.namespace, &e.name)? as usize)));
    let found = if Provider::of_group(&e.group).is_some() { cloud() } else { found };
    let object = found.and_then(|(k, i)| cluster.objects.json(k, i));
    let Some(object) = object else { return Err(Fault::Evidence(format!("{label} does not exist"))) };
    // The subject that matches the identity is found by the report; the binding itself was found.
    if e.pointer == rules::ctx::SUBJECT_POINTER {
        return Ok(());
    }
    evidence::agrees(&object, &e.pointer, &e.value).map_err(|why| Fault::Evidence(format!("{label}: {why}")))
}
