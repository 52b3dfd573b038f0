//! A pseudonymised snapshot: no name is left in it, and every answer is the same but for names.

use std::collections::BTreeMap;

use kpath::model::{Kind, Version};
use kpath::query::selector;
use kpath::report::analyze;
use kpath::report::answer::{self, Question};
use kpath::rules::{self, table::TECHNIQUES};
use kpath::search::Lane;
use kpath::search::closure::closure;
use kpath::snapshot::{ClusterOptions, Snapshot, pseudonym};

use serde_json::Value;

use crate::support::{repo, snapshot_of};

const FROM: &str = "internet | pod/*/*";
const TO: &str = "cluster-admin | node/* | secret/*/*";

/// What does not depend on names: sizes, how far each source gets in both lanes, and the rows without their names.
#[derive(PartialEq)]
struct Shape {
    facts: usize,
    instances: BTreeMap<&'static str, usize>,
    reached: Vec<(usize, usize)>,
    rows: Vec<String>,
}

/// Which of several paths as good as each other is shown depends on names, and so does which sources share a row: with
/// `ties` the rows are only counted.
fn shape(snapshot: Snapshot, version: Option<Version>, ties: bool) -> Shape {
    let cluster = snapshot.into_cluster(&ClusterOptions { complete: true, version });
    let attack = rules::build(&cluster);
    let settings = Question::new().settings(&attack);
    let mut instances = BTreeMap::new();
    for i in &attack.graph.instances {
        *instances.entry(TECHNIQUES.get(i.technique as usize).map_or("", |t| t.id)).or_default() += 1;
    }
    let masks = [Lane::Must, Lane::May].map(|l| settings.mask(&attack.graph, l));
    let mut reached = Vec::new();
    for word in ["pod/*/*", "internet", "sa/*/*"] {
        let Ok(from) = selector::resolve(&attack, &cluster, word, false) else { continue };
        for fact in from.facts {
            let starts = answer::starts(&attack, &cluster, fact);
            let count = |mask: &[bool]| closure(&attack.graph, mask, &starts).iter().filter(|k| **k).count();
            reached.push((count(&masks[0]), count(&masks[1])));
        }
    }
    reached.sort_unstable();
    let pick = |words: &str| selector::resolve(&attack, &cluster, words, true).unwrap_or_default();
    let report = analyze::analyze(&attack, &cluster, &Question::new(), &pick(FROM), &pick(TO));
    let report = serde_json::to_value(&report).unwrap();
    let mut rows: Vec<String> = Vec::new();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for r in report["paths"].as_array().unwrap() {
        let steps: Vec<_> = r["steps"].as_array().unwrap().iter().map(|s| s["technique"].to_string()).collect();
        rows.push(format!("{} {} {} {}", r["severity"], r["answer"], r["count"], steps.join(" ")));
        *sums.entry(format!("{} {}", r["severity"], r["answer"])).or_default() += r["count"].as_u64().unwrap();
    }
    if ties {
        rows = sums.into_iter().map(|(k, n)| format!("{k} {n}")).collect();
    }
    rows.sort_unstable();
    Shape { facts: attack.graph.facts, instances, reached, rows }
}

fn same(name: &str, a: &Shape, b: &Shape) {
    assert_eq!(a.facts, b.facts, "{name}");
    assert_eq!(a.instances, b.instances, "{name}");
    let only = |x: &Shape, y: &Shape| x.rows.iter().filter(|r| !y.rows.contains(r)).cloned().collect::<Vec<_>>();
    assert_eq!((only(a, b), only(b, a)), (vec![], vec![]), "{name}: rows");
    assert!(a.reached == b.reached, "{name}: what is reached");
    assert!(a.rows == b.rows, "{name}: rows");
}

/// Checks one cluster given by texts; returns how many names were replaced.
pub fn check(name: &str, texts: &[(String, String)], version: Option<Version>, ties: bool) -> usize {
    let mut hidden = snapshot_of(texts);
    let names = pseudonym::pseudonymise(&mut hidden);
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        assert_eq!(hidden.objects.len(*kind), snapshot_of(texts).objects.len(*kind), "{name}: {}", kind.info().kind);
        lines.extend(hidden.objects.lines(*kind));
    }
    let mut found = Vec::new();
    let rest = serde_json::json!(format!("{:?} {:?}", hidden.gaps, hidden.source));
    for value in lines.iter().map(|l| serde_json::from_str(l).unwrap()).chain([rest]) {
        let mut left = Vec::new();
        words(&value, &mut |word| {
            if names.contains_key(word) {
                left.push(word.to_owned());
            }
        });
        if !left.is_empty() {
            found.push(format!("{left:?} in {value}"));
        }
    }
    assert!(found.is_empty(), "{name}: {} objects: {}", found.len(), found.join("\n"));
    same(name, &shape(snapshot_of(texts), version, ties), &shape(hidden, version, ties));
    // Any other names do as well: here those that sort the other way round.
    let mut turned = snapshot_of(texts);
    pseudonym::rename(&mut turned, &|name, rank| pseudonym::made(name, 999_999 - rank));
    same(name, &shape(snapshot_of(texts), version, true), &shape(turned, version, true));
    names.len()
}

/// Fields that hold words of Kubernetes, or paths, of which somebody may have made a name as well.
const VOCABULARY: [&str; 23] = [
    "apiVersions",
    "cidr",
    "except",
    "controller",
    "driver",
    "handler",
    "provisioner",
    "verbs",
    "resources",
    "apiGroups",
    "nonResourceURLs",
    "apiVersion",
    "kind",
    "type",
    "key",
    "path",
    "mountPath",
    "subPath",
    "operations",
    "operator",
    "phase",
    "protocol",
    "effect",
];

/// Settings in annotations.
const SETTINGS: [&str; 6] = ["internal", "internet-facing", "external", "tcp", "http", "nlb"];

/// Every word of every text outside those fields, and of the keys of labels.
fn words(value: &Value, tell: &mut dyn FnMut(&str)) {
    let mut split = |text: &str| {
        let text = text.strip_prefix("arn:aws:iam::000000000000:role/").unwrap_or(text);
        // Names that Kubernetes gives, but for those that hold somebody's.
        let own = ["system:serviceaccount:", "system:serviceaccounts:", "system:node:"];
        let rest = own.iter().find_map(|p| text.strip_prefix(p));
        let (text, marks) = match rest {
            None if text.starts_with("system:") => return,
            None => (text, "-_.@:"),
            Some(rest) => (rest, "-_.@"),
        };
        tell(text);
        text.split(|c: char| !(c.is_ascii_alphanumeric() || marks.contains(c))).for_each(&mut *tell);
    };
    match value {
        Value::String(text) if SETTINGS.contains(&text.as_str()) => {}
        Value::String(text) => split(text),
        Value::Array(list) => list.iter().for_each(|v| words(v, tell)),
        Value::Object(map) => {
            for (key, v) in map.iter().filter(|(k, _)| !VOCABULARY.contains(&k.as_str())) {
                if ["labels", "matchLabels", "nodeSelector"].contains(&key.as_str()) {
                    v.as_object().into_iter().flatten().for_each(|(k, _)| tell(k));
                }
                words(v, tell);
            }
        }
        _ => {}
    }
}

#[test]
fn the_demo_and_every_fixture() {
    let files = ["cluster", "shop", "platform", "rbac"];
    let demo: Vec<(String, String)> = files
        .iter()
        .map(|f| {
            let path = repo(&format!("testdata/clusters/payment-api/{f}.yaml"));
            (format!("{f}.yaml"), std::fs::read_to_string(path).unwrap())
        })
        .collect();
    let mut count = check("demo", &demo, None, false);
    assert!(count > 40, "{count}");
    for t in TECHNIQUES {
        for file in ["fires", "near-miss"] {
            let Ok(text) = std::fs::read_to_string(repo(&format!("testdata/techniques/{}/{file}.yaml", t.id))) else {
                continue;
            };
            let version = text.lines().find_map(|l| l.strip_prefix("# version: ")).and_then(Version::parse);
            count += check(&format!("{} {file}", t.id), &[("a.yaml".into(), text)], version, false);
        }
    }
    println!("{count} names replaced");
}

/// Names that stand in few objects: references of volumes, tolerations, ports.
#[test]
fn rare_places() {
    let text = r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-pod", "namespace": "payments-ns"}, "spec": {
            "tolerations": [{"key": "acme-team", "value": "acme-value", "effect": "NoSchedule"}], "containers": [{"name": "main-c"}],
            "volumes": [{"name": "vol-a", "azureFile": {"secretName": "stripe-live-key", "shareName": "x"}}]}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "stripe-live-key", "namespace": "payments-ns"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"}, "spec": {"taints": [{"key": "acme-team", "value": "acme-value", "effect": "NoSchedule"}]}},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "ceph-pv"}, "spec": {"cephfs": {"monitors": ["m"],
            "secretRef": {"name": "ceph-admin", "namespace": "payments-ns"}}}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np-a", "namespace": "payments-ns"}, "spec": {
            "podSelector": {}, "ingress": [{"ports": [{"port": "stripe-webhook"}]}]}}]}"#;
    let texts = [("a.json".to_owned(), text.to_owned())];
    check("rare places", &texts, None, true);
    let mut hidden = snapshot_of(&texts);
    pseudonym::pseudonymise(&mut hidden);
    let lines: String = Kind::ALL.iter().flat_map(|k| hidden.objects.lines(*k)).collect();
    for name in ["web-pod", "payments", "acme", "stripe", "ceph-admin", "ceph-pv", "vol-a", "main-c", "np-a", "node-a"]
    {
        assert!(!lines.contains(name), "{name}: {lines}");
    }
}

#[test]
fn random_clusters() {
    for seed in 1..=4 {
        for adversarial in [false, true] {
            let texts = crate::synth::texts(150, seed, adversarial);
            let count = check(&format!("seed {seed}, adversarial {adversarial}"), &texts, Version::parse("1.36"), true);
            assert!(count > 300, "{count}");
        }
    }
}
