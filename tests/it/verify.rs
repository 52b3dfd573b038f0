//! The checker accepts every proof that is written, and no mutation of one.

use std::collections::BTreeSet;
use std::process::Command;

use kpath::cli::verify::check;
use kpath::model::{Cluster, Version};
use kpath::query::selector;
use kpath::report::answer::{self, Question};
use kpath::report::proof_file;
use kpath::rules::{self, Attack};
use kpath::snapshot::ClusterOptions;
use kpath::verify::file::File;

use crate::support::{demo, repo, snapshot_of};

const TARGETS: [&str; 4] = ["cluster-admin", "node/*", "secret/*", "pod/*"];

struct Case {
    cluster: Cluster,
    attack: Attack,
    files: Vec<File>,
}

/// Asks a cluster from each start to each target, with the default threat model and without assumptions.
fn case(cluster: Cluster, starts: &[String]) -> Case {
    let attack = rules::build_for(&cluster, &[rules::entry::IMAGES.to_owned()].into());
    let mut files = Vec::new();
    for from in starts {
        for to in TARGETS {
            for assuming in [true, false] {
                let mut q = Question::new();
                if !assuming {
                    q.assumptions.clear();
                }
                let pick = |s: &str| selector::resolve(&attack, &cluster, s, true).unwrap();
                let (f, t) = (pick(from), pick(to));
                let a = answer::ask(&attack, &cluster, &q, &f, &t, 1);
                files.push(proof_file::write(&attack, &cluster, &q, (from, &f), (to, &t), &a).unwrap());
            }
        }
    }
    Case { cluster, attack, files }
}

fn cases() -> Vec<Case> {
    let starts =
        ["pod/*", "internet", "pod/shop/queue-worker", "deploy/shop/redis", "pod/ci/runner", "sa/shop/default"];
    let mut out = vec![case(demo(), &starts.map(str::to_owned))];
    let mut dirs: Vec<_> = std::fs::read_dir(repo("testdata/techniques")).unwrap().map(|e| e.unwrap().path()).collect();
    dirs.sort();
    for dir in dirs {
        for file in ["fires.yaml", "near-miss.yaml"] {
            let text = std::fs::read_to_string(dir.join(file)).unwrap();
            let header =
                |key: &str| text.lines().find_map(|l| l.strip_prefix(&format!("# {key}: ")).map(str::to_owned));
            let version = header("version").and_then(|v| Version::parse(&v));
            let options = ClusterOptions { complete: true, version };
            let cluster = snapshot_of(&[("cluster.yaml".into(), text.clone())]).into_cluster(&options);
            out.push(case(cluster, &[header("from").unwrap()]));
        }
    }
    // Something was not read: a no becomes unknown.
    let text = std::fs::read_to_string(repo("testdata/techniques/secret-get/near-miss.yaml")).unwrap();
    let options = ClusterOptions { complete: false, version: None };
    out.push(case(snapshot_of(&[("c.yaml".into(), text)]).into_cluster(&options), &["pod/prod/app".to_owned()]));
    out
}

#[test]
fn every_written_proof_is_accepted() {
    let (mut yes, mut no, mut unknown) = (0, 0, 0);
    for c in cases() {
        for f in &c.files {
            let q = &f.question;
            assert_eq!(check(&c.attack, &c.cluster, f), Ok(()), "{} reach {}: {}", q.from, q.to, f.answer);
            match f.answer.as_str() {
                "yes" => yes += 1,
                "no" => no += 1,
                _ => unknown += 1,
            }
        }
    }
    println!("{yes} yes, {no} no, {unknown} unknown accepted");
    assert!(yes > 200 && no > 200 && unknown > 20, "{yes} {no} {unknown}");
}

/// Changes one thing; `None` when the file has nothing of the kind that was drawn.
fn mutate(rng: &mut fastrand::Rng, c: &Case, original: &File) -> Option<(&'static str, File)> {
    let mut f = original.clone();
    let steps = f.steps.len();
    let other_fact = |rng: &mut fastrand::Rng| {
        proof_file::fact(&c.attack, kpath::graph::FactId(rng.u32(0..c.attack.graph.facts as u32)))
    };
    let pick = |rng: &mut fastrand::Rng| (steps > 0).then(|| rng.usize(0..steps));
    let what = match rng.u8(0..16) {
        0 => {
            f.steps.remove(pick(rng)?);
            "a step removed"
        }
        1 => {
            let i = pick(rng)?;
            let needed = f.steps.get(i + 1).is_some_and(|n| n.premises.contains(&f.steps[i].conclusion));
            needed.then(|| f.steps.swap(i, i + 1))?;
            "steps in the wrong order"
        }
        2 => {
            let i = pick(rng)?;
            f.steps[i].conclusion = other_fact(rng);
            "another conclusion"
        }
        3 => {
            let i = pick(rng)?;
            f.steps[i].premises[0] = other_fact(rng);
            "another premise"
        }
        4 => {
            let i = pick(rng)?;
            f.steps[i].premises.pop()?;
            "a premise dropped"
        }
        5 => {
            let i = pick(rng)?;
            f.steps[i].technique = rng.choice(rules::table::TECHNIQUES)?.id.to_owned();
            "another technique"
        }
        6 => {
            let i = pick(rng)?;
            let n = rng.usize(0..f.steps[i].evidence.len());
            let e = &mut f.steps[i].evidence[n];
            let field = rng.choice([
                &mut e.kind,
                &mut e.group,
                &mut e.namespace,
                &mut e.name,
                &mut e.uid,
                &mut e.pointer,
                &mut e.value,
                &mut e.why,
            ])?;
            field.push('x');
            "evidence changed"
        }
        7 => {
            let i = pick(rng)?;
            f.steps[i].evidence.pop()?;
            "evidence dropped"
        }
        8 => {
            f.answer = (*rng.choice(&["yes", "no", "unknown", "maybe", ""])?).to_owned();
            "another answer"
        }
        9 => {
            (steps > 0).then_some(())?;
            f.start = other_fact(rng);
            "another start"
        }
        10 => {
            let i = pick(rng)?;
            (f.steps[i].unknowns.pop().is_some() || f.steps[i].assumptions.pop().is_some()).then_some(())?;
            "a condition dropped"
        }
        11 => {
            let used: BTreeSet<&String> = f.steps.iter().flat_map(|s| &s.assumptions).collect();
            let i = f.question.assumptions.iter().position(|a| used.contains(a))?;
            f.question.assumptions.remove(i);
            "an assumption taken back"
        }
        12 => {
            f.certificates.pop()?;
            "a certificate removed"
        }
        13 => {
            let n = (!f.certificates.is_empty()).then(|| rng.usize(0..f.certificates.len()))?;
            let facts = &mut f.certificates[n].facts;
            (!facts.is_empty()).then(|| facts.remove(rng.usize(0..facts.len())))?;
            "a fact left out"
        }
        14 => {
            let n = (!f.certificates.is_empty()).then(|| rng.usize(0..f.certificates.len()))?;
            let to = selector::resolve(&c.attack, &c.cluster, &f.question.to, true).ok()?;
            let target = answer::targets(&c.attack, &c.cluster, &to).facts.into_iter().next()?;
            f.certificates[n].facts.push(proof_file::fact(&c.attack, target));
            "a target let in"
        }
        _ => {
            let i = pick(rng)?;
            let all: Vec<&String> = f.steps.iter().flat_map(|s| &s.unknowns).collect();
            let u = (*rng.choice(&all)?).clone();
            f.question.given.push(format!("{u}=no"));
            let _ = i;
            "an unknown settled against it"
        }
    };
    (f != *original).then_some((what, f))
}

#[test]
fn no_mutation_is_accepted() {
    let cases = cases();
    let mut rng = fastrand::Rng::with_seed(17);
    let mut rejected = std::collections::BTreeMap::<&str, usize>::new();
    let mut total = 0;
    while total < 10_000 {
        let c = rng.choice(&cases).unwrap();
        let original = rng.choice(&c.files).unwrap();
        let Some((what, f)) = mutate(&mut rng, c, original) else { continue };
        let verdict = check(&c.attack, &c.cluster, &f);
        let q = &f.question;
        assert!(verdict.is_err(), "{what}: {} reach {} ({}) is accepted", q.from, q.to, f.answer);
        *rejected.entry(what).or_default() += 1;
        total += 1;
    }
    println!("{total} mutations rejected: {rejected:?}");
    assert!(rejected.len() == 16 && rejected.values().all(|n| *n > 20), "{rejected:?}");
}

#[test]
fn a_proof_file_goes_through_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("proof.json");
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_kpath")).args(args).output().unwrap();
    let path = file.to_str().unwrap();
    let o = run(&["can", "pod/ci/runner", "reach", "cluster-admin", "--demo", "--proof", path]);
    assert!(o.status.success());
    let o = run(&["verify", path, "--demo"]);
    assert_eq!(
        String::from_utf8_lossy(&o.stdout),
        "verified: yes for pod/ci/runner reach cluster-admin, assuming exposed-workloads-exploitable images-run-as-root\n"
    );
    // The same proof about another cluster.
    let other = repo("testdata/techniques/secret-get/fires.yaml");
    let o = run(&["verify", path, "-f", other.to_str().unwrap()]);
    assert_eq!(o.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&o.stderr).contains("is no proof of"), "{o:?}");
    std::fs::write(&file, "{}").unwrap();
    let o = run(&["verify", path, "--demo"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&o.stderr).contains("not a proof file"), "{o:?}");
}

#[test]
fn variables_keep_their_place_and_nothing_is_proven_about_nothing() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: app, namespace: prod}\nspec: {nodeName: w1, containers: [{name: c, image: i, env: [{name: A, value: x}, {name: B, value: y}, {name: P, valueFrom: {secretKeyRef: {name: db, key: k}}}]}]}\n";
    let options = ClusterOptions { complete: true, version: None };
    let c = case(snapshot_of(&[("c.yaml".into(), text.into())]).into_cluster(&options), &["pod/prod/app".to_owned()]);
    let own = c.files.iter().find(|f| f.question.to == "secret/*").unwrap();
    assert!(own.steps.iter().flat_map(|s| &s.evidence).any(|e| e.pointer.contains("/env/2/")), "{own:?}");
    assert_eq!(check(&c.attack, &c.cluster, own), Ok(()));
    let mut empty = c.files.iter().find(|f| f.answer == "no").unwrap().clone();
    assert_eq!(check(&c.attack, &c.cluster, &empty), Ok(()));
    empty.question.from = "pod/prod/typo".into();
    empty.certificates.clear();
    assert!(check(&c.attack, &c.cluster, &empty).is_err());
}
