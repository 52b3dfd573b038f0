//! Each saved question finds what it asks about, and is silent on the nearest cluster that lacks it.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::repo;

/// What a preset prints about a cluster.
fn run(id: &str, case: &str, format: &str) -> String {
    let file = repo(&format!("testdata/queries/{id}/{case}.yaml"));
    let file = file.to_str().unwrap();
    // Answers about an account are beside the objects.
    let account = repo(&format!("testdata/queries/{id}/{case}.aws"));
    let account = account.exists().then(|| ["--aws-data".to_owned(), account.display().to_string()]);
    let o = Command::new(env!("CARGO_BIN_EXE_kpath"))
        .args(["query", "run", id, "-f", file, "--complete", "-o", format])
        .args(account.into_iter().flatten())
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    assert!(o.status.success(), "{id} {case}: {}", String::from_utf8_lossy(&o.stderr));
    String::from_utf8(o.stdout).unwrap()
}

#[test]
fn every_preset_fires_and_is_silent() {
    let known: BTreeSet<String> = kpath::query::presets::all().into_iter().map(|p| p.id).collect();
    assert!(known.len() >= 15);
    for id in &known {
        for (case, rows) in [("firing", true), ("silent", false)] {
            let v: serde_json::Value = serde_json::from_str(&run(id, case, "json")).unwrap();
            let rows_of = ["paths", "connections", "namespaces"].into_iter().find_map(|k| v[k].as_array());
            let paths = rows_of.unwrap();
            assert_eq!(!paths.is_empty(), rows, "{id} {case}: {paths:?}");
            assert!(paths.iter().all(|p| p["answer"] == "yes"), "{id} {case}: {paths:?}");
            let text = run(id, case, "table").replace(repo("").to_str().unwrap(), "");
            let golden = repo(&format!("testdata/queries/{id}/{case}.txt"));
            if std::env::var_os("KPATH_WRITE").is_some() {
                std::fs::write(&golden, &text).unwrap();
            }
            let want = std::fs::read_to_string(&golden).unwrap_or_default();
            assert_eq!(text, want, "{id} {case}: write it with KPATH_WRITE=1 cargo test");
        }
    }
}
