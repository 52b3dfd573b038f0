//! Evidence says what the object says: every pointer that an instance cites is there, and its value is the cited one.

use kpath::model::Kind;
use kpath::rules;
use kpath::rules::ctx::{SUBJECT_POINTER, unpack};
use kpath::snapshot::ClusterOptions;
use kpath::verify::evidence;
use serde_json::Value;

use crate::support::{demo, repo, snapshot_of};

pub fn check(name: &str, cluster: &kpath::model::Cluster, wrong: &mut Vec<String>) -> usize {
    let attack = rules::build(cluster);
    let mut objects: std::collections::BTreeMap<Kind, Vec<Value>> = std::collections::BTreeMap::new();
    for kind in Kind::ALL {
        objects.insert(*kind, cluster.objects.lines(*kind).iter().map(|l| serde_json::from_str(l).unwrap()).collect());
    }
    let mut n = 0;
    for e in attack.graph.instances.iter().flat_map(|i| i.evidence.iter()) {
        n += 1;
        let o = unpack(e.object).unwrap();
        let (pointer, value) = (attack.graph.text(e.pointer), attack.graph.text(e.value));
        let object = &objects[&o.kind][o.index as usize];
        let label =
            format!("{name}: {} {} {pointer} = {value:?} ({})", o.kind.info().kind, object["metadata"]["name"], e.why);
        if pointer == SUBJECT_POINTER {
            continue;
        }
        if let Err(why) = evidence::agrees(object, pointer, value) {
            wrong.push(format!("{label}: {why}"));
        }
    }
    n
}

#[test]
fn every_cited_field_is_there_with_the_cited_value() {
    let mut wrong = Vec::new();
    let mut n = check("demo", &demo(), &mut wrong);
    let claim = "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v}\nspec: {hostPath: {path: /etc}, claimRef: {namespace: prod, name: d}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: prod}\nspec: {nodeName: w1, containers: [{name: c, image: i, volumeMounts: [{name: d, mountPath: /d}]}], volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]}\n";
    let options = ClusterOptions { complete: true, version: None };
    n += check("claim", &snapshot_of(&[("c.yaml".into(), claim.into())]).into_cluster(&options), &mut wrong);
    for e in std::fs::read_dir(repo("testdata/techniques")).unwrap() {
        let dir = e.unwrap().path();
        let text = std::fs::read_to_string(dir.join("fires.yaml")).unwrap();
        let cluster = snapshot_of(&[("c.yaml".into(), text)]).into_cluster(&options);
        n += check(&dir.file_name().unwrap().to_string_lossy(), &cluster, &mut wrong);
    }
    wrong.sort();
    wrong.dedup();
    assert!(n > 5_000, "{n}");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}
