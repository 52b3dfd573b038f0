//! Each technique fires on its fixture and not on the nearest other configuration.
//!
//! A fixture is a complete cluster. `# from:` names the start; the technique fires when one of its instances has
//! every premise within reach of that start, unknowns taken as open.

use std::collections::BTreeSet;

use kpath::model::Version;
use kpath::query::selector;
use kpath::report::answer;
use kpath::rules::{self, table::TECHNIQUES, technique};
use kpath::search::Lane;
use kpath::search::closure::closure;
use kpath::snapshot::ClusterOptions;

use crate::support::{account_of, repo, snapshot_of, threat_model};

/// Techniques whose step has no rule of its own yet, with the reason.
const WITHOUT_RULE: [(&str, &str); 2] =
    [("entry-compromised-pod", "a start, not a step"), ("entry-stolen-kubeconfig", "a start, not a step")];

/// Whether a technique fires, and what the start wins through it.
fn fires(id: &str, text: &str, account: &[(String, String)]) -> bool {
    let header = |key: &str| text.lines().find_map(|l| l.strip_prefix(&format!("# {key}: ")).map(str::to_owned));
    let version = header("version").and_then(|v| Version::parse(&v));
    let texts: Vec<(String, String)> =
        [("cluster.yaml".to_owned(), text.to_owned())].into_iter().chain(account.iter().cloned()).collect();
    let cluster = snapshot_of(&texts).into_cluster(&ClusterOptions { complete: true, version });
    let skipped: Vec<_> = cluster.gaps.iter().filter(|g| !g.id.is_empty()).collect();
    assert!(skipped.is_empty(), "{id}: {skipped:?}");
    let question = threat_model(text);
    let attack = rules::build_for(&cluster, &question.assumptions);
    let settings = question.settings(&attack);
    let mask = settings.mask(&attack.graph, Lane::May);
    let from =
        selector::resolve(&attack, &cluster, &header("from").unwrap(), false).unwrap_or_else(|e| panic!("{id}: {e}"));
    let starts: Vec<_> = from.facts.iter().flat_map(|f| answer::starts(&attack, &cluster, *f)).collect();
    let known = closure(&attack.graph, &mask, &starts);
    let wanted = technique::number(id).unwrap();
    attack.graph.instances.iter().zip(&mask).any(|(x, on)| {
        *on && x.technique == wanted && !x.evidence.is_empty() && x.premises.iter().all(|p| known[p.0 as usize])
    })
}

#[test]
fn every_technique_fires_and_every_near_miss_does_not() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for t in TECHNIQUES {
        if WITHOUT_RULE.iter().any(|(id, _)| *id == t.id) {
            continue;
        }
        for (file, expected) in [("fires", true), ("near-miss", false)] {
            let path = repo(&format!("testdata/techniques/{}/{file}.yaml", t.id));
            let Ok(text) = std::fs::read_to_string(&path) else {
                wrong.push(format!("{}: {file}.yaml is missing", t.id));
                continue;
            };
            checked += 1;
            if fires(t.id, &text, &account_of(&path)) != expected {
                wrong.push(format!("{}: {file}.yaml {}", t.id, if expected { "does not fire" } else { "fires" }));
            }
        }
    }
    println!("{checked} fixtures");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// AWS in China and AWS GovCloud write the same ARNs with another partition: nothing else may change.
#[test]
fn accounts_of_other_partitions_are_read_alike() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for t in TECHNIQUES {
        for (file, expected) in [("fires", true), ("near-miss", false)] {
            let path = repo(&format!("testdata/techniques/{}/{file}.yaml", t.id));
            let account = account_of(&path);
            let own = account.iter().any(|(call, _)| call.starts_with("aws/"));
            let Some(text) = std::fs::read_to_string(&path).ok().filter(|_| own) else { continue };
            for partition in ["arn:aws-cn:", "arn:aws-us-gov:"] {
                let other = |s: &str| s.replace("arn:aws:", partition);
                let account: Vec<_> = account.iter().map(|(call, answer)| (call.clone(), other(answer))).collect();
                checked += 1;
                if fires(t.id, &other(&text), &account) != expected {
                    wrong.push(format!("{}: {file}.yaml in {partition}", t.id));
                }
            }
        }
    }
    assert!(checked >= 80, "{checked} fixtures");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fixture_belongs_to_a_technique() {
    let known: BTreeSet<&str> = TECHNIQUES.iter().map(|t| t.id).collect();
    for e in std::fs::read_dir(repo("testdata/techniques")).unwrap() {
        let name = e.unwrap().file_name().to_string_lossy().into_owned();
        assert!(known.contains(name.as_str()), "{name}");
    }
}
