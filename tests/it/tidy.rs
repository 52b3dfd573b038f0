//! The layers of the design: no folder uses one above it, and no file outgrows its limit.

use std::path::{Path, PathBuf};

use crate::support::repo;

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    for e in std::fs::read_dir(dir).unwrap() {
        let p = e.unwrap().path();
        if p.is_dir() {
            files(&p, out);
        } else if p.extension().is_some_and(|x| x == "rs") {
            out.push(p);
        }
    }
}

/// What each folder may use besides itself.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("model", &[]),
    ("iam", &["model"]),
    ("admission", &["model"]),
    ("netpol", &["model"]),
    // The escalation check reads bodies with the import's decoder; the Node authorizer shares the list of references.
    ("authz", &["model", "admission", "snapshot"]),
    ("snapshot", &["model", "admission"]),
    ("collect", &["model", "snapshot"]),
    ("graph", &[]),
    ("rules", &["model", "authz", "netpol", "admission", "iam", "graph"]),
    ("search", &["graph"]),
    ("query", &["model", "graph", "rules", "snapshot"]),
    ("report", &["model", "authz", "netpol", "graph", "rules", "search", "query", "verify"]),
    ("render", &["model", "graph", "rules", "report"]),
    (
        "cli",
        &[
            "model",
            "authz",
            "netpol",
            "admission",
            "iam",
            "snapshot",
            "collect",
            "graph",
            "rules",
            "query",
            "report",
            "render",
            "verify",
        ],
    ),
    ("verify", &["graph", "model"]),
];

#[test]
fn no_layer_looks_up() {
    let mut all = Vec::new();
    files(&repo("src"), &mut all);
    assert!(all.len() > 40);
    let mut bad = Vec::new();
    for f in &all {
        let relative = f.strip_prefix(repo("src")).unwrap();
        let Some(folder) = relative.components().next().filter(|_| relative.components().count() > 1) else { continue };
        let folder = folder.as_os_str().to_string_lossy().into_owned();
        let (_, allowed) =
            ALLOWED.iter().find(|(n, _)| *n == folder).unwrap_or_else(|| panic!("folder {folder} has no rule"));
        let text = std::fs::read_to_string(f).unwrap();
        let body = text.split("#[cfg(test)]").next().unwrap();
        for part in body.split("crate::").skip(1) {
            let used: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if used != folder && !allowed.contains(&used.as_str()) && !used.is_empty() {
                bad.push(format!("{}: uses {used}", relative.display()));
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn no_file_outgrows_its_limit() {
    let mut all = Vec::new();
    files(&repo("src"), &mut all);
    for f in all.iter().filter(|f| f.file_name().unwrap() != "table.rs" || !f.to_string_lossy().contains("rules")) {
        let lines = std::fs::read_to_string(f).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines", f.display());
    }
}

#[test]
fn every_technique_has_its_parts() {
    let docs = std::fs::read_to_string(repo("docs/techniques.md")).unwrap();
    for t in kpath::rules::table::TECHNIQUES {
        for (name, text) in [
            ("title", t.title),
            ("premises", t.premises),
            ("conclusion", t.conclusion),
            ("fix", t.fix),
            ("near miss", t.near_miss),
        ] {
            assert!(!text.is_empty(), "{} has no {name}", t.id);
        }
        assert!(
            docs.contains(&kpath::cli::commands::explain(t)),
            "docs/techniques.md lacks {}; write it with `cargo test -- --ignored write_docs`",
            t.id
        );
    }
}

#[test]
#[ignore = "writes docs/techniques.md"]
fn write_docs() {
    let mut out = String::from("# Techniques\n\nGenerated from the table; `kpath explain ID` prints the same.\n");
    for t in kpath::rules::table::TECHNIQUES {
        out += &format!("\n## {}\n\n```text\n{}```\n", t.id, kpath::cli::commands::explain(t));
    }
    std::fs::write(repo("docs/techniques.md"), out).unwrap();
}
