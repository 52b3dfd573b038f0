//! A real-world dump, when it is there: every hop has evidence and a command, and the answers are stable.

use std::path::PathBuf;
use std::process::Command;

use crate::support::text;

/// Folder of data that is not in the repository.
fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("KPATH_ORACLES").map_or_else(|| crate::support::repo("../shared"), PathBuf::from);
    let found = root.join("realcluster").is_dir();
    if !found {
        println!("skipped: {} is not there", root.display());
        assert!(std::env::var_os("KPATH_REQUIRE_SHARED").is_none(), "the shared data was skipped");
    }
    found.then_some(root)
}

/// Unpacks the dump into a folder of JSON lists.
fn unpack(root: &std::path::Path) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<PathBuf> =
        std::fs::read_dir(root.join("realcluster")).unwrap().map(|e| e.unwrap().path()).collect();
    for p in entries {
        let name = p.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".tar.xz") {
            let bytes = std::fs::read(p).unwrap();
            tar::Archive::new(xz2::read::XzDecoder::new(bytes.as_slice())).unpack(dir.path()).unwrap();
        } else if name.contains(".json") {
            std::fs::write(dir.path().join(name.replace(".xz", "")), text(&p)).unwrap();
        }
    }
    dir
}

fn json_files(dir: &std::path::Path, out: &mut Vec<PathBuf>) {
    for e in std::fs::read_dir(dir).unwrap() {
        let p = e.unwrap().path();
        if p.is_dir() {
            json_files(&p, out);
        } else if p.extension().is_some_and(|x| x == "json") {
            out.push(p);
        }
    }
}

/// The dump with every namespace but kube-system there `copies` times.
fn cloned(dir: &std::path::Path, copies: usize) -> kpath::model::Cluster {
    let mut files = Vec::new();
    json_files(dir, &mut files);
    files.sort();
    let mut texts = Vec::new();
    for f in files {
        let name = f.file_name().unwrap().to_string_lossy().into_owned();
        let mut v: serde_json::Value = serde_json::from_str(&text(&f)).unwrap();
        if let Some(items) = v.get_mut("items").and_then(serde_json::Value::as_array_mut) {
            let original = items.clone();
            for k in 1..copies {
                for item in &original {
                    let is_namespace = name.starts_with("namespaces");
                    let ns = item["metadata"][if is_namespace { "name" } else { "namespace" }]
                        .as_str()
                        .unwrap_or_default()
                        .to_owned();
                    if ns.is_empty() || ns == "kube-system" {
                        continue;
                    }
                    let mut copy = item.clone();
                    copy["metadata"][if is_namespace { "name" } else { "namespace" }] = format!("{ns}-{k}").into();
                    for s in copy.get_mut("subjects").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
                        if s["namespace"] == ns.as_str() {
                            s["namespace"] = format!("{ns}-{k}").into();
                        }
                    }
                    items.push(copy);
                }
            }
        }
        texts.push((name, v.to_string()));
    }
    crate::support::snapshot_of(&texts).into_cluster(&kpath::snapshot::ClusterOptions::default())
}

#[test]
fn realcluster_evidence_says_what_the_objects_say() {
    let Some(root) = shared() else { return };
    let dir = unpack(&root);
    let mut wrong = Vec::new();
    let n = crate::evidence::check("dump", &cloned(dir.path(), 1), &mut wrong);
    println!("realcluster: {n} pieces of evidence");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
}

#[test]
fn realcluster_graph_grows_with_the_cluster_and_not_faster() {
    let Some(root) = shared() else { return };
    let dir = unpack(&root);
    let mut sizes = Vec::new();
    for copies in [1, 4, 16] {
        let cluster = cloned(dir.path(), copies);
        let attack = kpath::rules::build(&cluster);
        println!(
            "{copies:>3} x: {} pods, {} facts, {} rule instances",
            cluster.objects.pods.len(),
            attack.graph.facts,
            attack.graph.instances.len()
        );
        sizes.push((attack.graph.facts, attack.graph.instances.len()));
    }
    let [one, four, sixteen] = sizes.as_slice() else { panic!() };
    assert!(four.1 <= one.1 * 4 * 11 / 10 && sixteen.1 <= four.1 * 4 * 11 / 10, "{sizes:?}");
    assert!(four.0 <= one.0 * 4 * 11 / 10 && sixteen.0 <= four.0 * 4 * 11 / 10, "{sizes:?}");
}

#[test]
fn realcluster_rows_have_evidence_and_commands() {
    let Some(root) = shared() else { return };
    let dir = unpack(&root);
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_kpath"))
            .args(["analyze", "-o", "json", "-f"])
            .arg(dir.path())
            .output()
            .unwrap()
    };
    let out = run();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.stdout, run().stdout, "the same input gives the same bytes");
    let v: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let paths = v["paths"].as_array().unwrap();
    assert!(paths.len() > 20, "{}", paths.len());
    let mut hops = 0;
    for p in paths {
        for s in p["proof"]["steps"].as_array().unwrap() {
            hops += 1;
            assert!(!s["evidence"].as_array().unwrap().is_empty());
            assert!(s["verify"].as_str().unwrap().starts_with("kubectl "), "{s}");
            assert!(kpath::rules::technique::number(s["technique"].as_str().unwrap()).is_some(), "{s}");
        }
    }
    println!("realcluster: {} rows, {hops} hops", paths.len());
}

#[test]
fn names_do_not_matter_and_can_be_left_out() {
    let Some(root) = shared() else { return };
    let dir = unpack(&root);
    let mut files = Vec::new();
    json_files(dir.path(), &mut files);
    files.sort();
    let texts: Vec<(String, String)> =
        files.iter().map(|f| (f.file_name().unwrap().to_string_lossy().into_owned(), text(f))).collect();
    let count = crate::pseudonyms::check("the dump", &texts, None, true);
    println!("{count} names replaced");
    assert!(count > 2_000, "{count}");
}
