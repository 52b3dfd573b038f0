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

#[test]
fn realcluster_rows_have_evidence_and_commands() {
    let Some(root) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let archive = std::fs::read_dir(root.join("realcluster"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_string_lossy().ends_with(".tar.xz"));
    if let Some(a) = archive {
        let bytes = std::fs::read(a).unwrap();
        tar::Archive::new(xz2::read::XzDecoder::new(bytes.as_slice())).unpack(dir.path()).unwrap();
    } else {
        for e in std::fs::read_dir(root.join("realcluster")).unwrap() {
            let p = e.unwrap().path();
            let name = p.file_name().unwrap().to_string_lossy().replace(".xz", "");
            if name.ends_with(".json") {
                std::fs::write(dir.path().join(name), text(&p)).unwrap();
            }
        }
    }
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
