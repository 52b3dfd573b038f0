//! Properties over clusters put together at random from the fixtures.

use std::collections::BTreeSet;

use kpath::query::selector;
use kpath::report::answer::{self, Question};
use kpath::report::{analyze, name};
use kpath::rules;
use kpath::search::Lane;
use kpath::search::closure::closure;
use kpath::snapshot::ClusterOptions;
use kpath::snapshot::import::yaml;
use serde_json::{Value, json};

use crate::support::{repo, snapshot_of};

/// A fixture: its start and its objects.
struct Fixture {
    id: String,
    from: String,
    objects: Vec<Value>,
}

fn fixtures() -> Vec<Fixture> {
    let mut dirs: Vec<_> = std::fs::read_dir(repo("testdata/techniques")).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    let read = |dir: &std::path::Path| {
        let text = std::fs::read_to_string(dir.join("fires.yaml")).unwrap();
        let from = text.lines().find_map(|l| l.strip_prefix("# from: ")).unwrap().to_owned();
        let objects = text.split("\n---\n").map(|d| yaml::decode(d).unwrap()).filter(Value::is_object).collect();
        Fixture { id: dir.file_name().unwrap().to_string_lossy().into_owned(), from, objects }
    };
    dirs.iter().map(|d| read(d)).collect()
}

fn cluster(objects: &[Value]) -> kpath::model::Cluster {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let snapshot = snapshot_of(&[("cluster.json".into(), list)]);
    snapshot.into_cluster(&ClusterOptions { complete: true, version: None })
}

/// What a start reaches, in words, for sure or perhaps.
fn reached(objects: &[Value], from: &str, lane: Lane) -> BTreeSet<String> {
    let cluster = cluster(objects);
    // What is a start without a rule is known to every attack.
    let attack = rules::build_for(&cluster, &[rules::entry::IMAGES.to_owned()].into());
    let mask = Question::new().settings(&attack).mask(&attack.graph, lane);
    let from = selector::resolve(&attack, &cluster, from, false).unwrap();
    let starts: Vec<_> = from.facts.iter().flat_map(|f| answer::starts(&attack, &cluster, *f)).collect();
    let known = closure(&attack.graph, &mask, &starts);
    let facts = known.iter().zip(0u32..).filter(|(k, _)| **k).filter_map(|(_, n)| attack.facts.get(n).copied());
    facts.filter(|f| !f.internal()).map(|f| name::fact(&attack, &cluster, f)).collect()
}

/// An object under a name of its own.
fn renamed(mut o: Value, to: &str) -> Value {
    o["metadata"]["name"] = to.into();
    o
}

/// A role with its binding, an account or a pod from another fixture, under a new name.
fn addition(rng: &mut fastrand::Rng, all: &[Fixture]) -> Option<Vec<Value>> {
    let other = rng.choice(all)?;
    let o = rng.choice(&other.objects)?.clone();
    match o["kind"].as_str()? {
        "ServiceAccount" | "Pod" => Some(vec![renamed(o, "added")]),
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = other.objects.iter().find(|r| {
                r["kind"] == o["roleRef"]["kind"]
                    && r["metadata"]["name"] == o["roleRef"]["name"]
                    && (r["kind"] == "ClusterRole" || r["metadata"]["namespace"] == o["metadata"]["namespace"])
            })?;
            let mut binding = renamed(o, "added");
            binding["roleRef"]["name"] = "added".into();
            Some(vec![renamed(role.clone(), "added"), binding])
        }
        _ => None,
    }
}

#[test]
fn what_is_added_never_takes_a_fact_away() {
    let all = fixtures();
    let mut rng = fastrand::Rng::with_seed(23);
    let (mut tried, mut more) = (0, 0);
    for f in &all {
        for lane in [Lane::May, Lane::Must] {
            let before = reached(&f.objects, &f.from, lane);
            for _ in 0..12 {
                let Some(added) = addition(&mut rng, &all) else { continue };
                let mut objects = f.objects.clone();
                // A namespace that the addition needs is no addition of its own.
                for a in &added {
                    let ns = a["metadata"]["namespace"].as_str().unwrap_or_default();
                    let there = |o: &Value| o["kind"] == "Namespace" && o["metadata"]["name"] == ns;
                    if !ns.is_empty() && !objects.iter().any(there) {
                        objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}}));
                    }
                }
                objects.extend(added.iter().cloned());
                let after = reached(&objects, &f.from, lane);
                let lost: Vec<&String> = before.difference(&after).collect();
                assert!(lost.is_empty(), "{}, {lane:?}: {lost:?} lost by adding {added:?}", f.id);
                tried += 1;
                more += usize::from(after.len() > before.len());
            }
        }
    }
    println!("{tried} additions, {more} of them added facts");
    assert!(tried > 500 && more > 50);
}

#[test]
fn the_order_of_objects_changes_no_byte() {
    let all = fixtures();
    let mut rng = fastrand::Rng::with_seed(29);
    let print = |objects: &[Value]| {
        let cluster = cluster(objects);
        let attack = rules::build(&cluster);
        let pick = |s| selector::resolve(&attack, &cluster, s, true).unwrap();
        let (from, to) = (pick("internet | pod/* | sa/*"), pick("cluster-admin | node/* | secret/*"));
        let a = analyze::analyze(&attack, &cluster, &Question::new(), &from, &to);
        serde_json::to_string(&a).unwrap()
    };
    for f in &all {
        let mut objects = f.objects.clone();
        let want = print(&objects);
        for _ in 0..3 {
            rng.shuffle(&mut objects);
            assert_eq!(print(&objects), want, "{}", f.id);
        }
    }
}
