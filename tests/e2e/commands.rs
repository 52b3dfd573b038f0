//! The commands that kpath prints for checking its answers, run as printed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::caller::kubeconfig;
use super::program::kpath;

/// Runs every `verify` command of `analyze` over the demo, and over the cluster that holds it.
pub fn run_all(dir: &Path) -> Result<String, String> {
    let config = kubeconfig();
    let snapshot = dir.join("demo.kpath");
    let run = kpath(&config, &["snapshot", "-o", snapshot.to_str().unwrap()]);
    if run.code != 0 {
        return Err(run.err);
    }
    let run = kpath("", &["analyze", "-o", "json", "--snapshot", snapshot.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&run.out).map_err(|e| format!("{e}: {}", run.err))?;
    let mut commands = BTreeSet::new();
    collect(&report, &mut commands);
    // The demo's own answers hold on a server that has its objects.
    let run = kpath("", &["analyze", "-o", "json", "--demo"]);
    let demo: Value = serde_json::from_str(&run.out).map_err(|e| format!("{e}: {}", run.err))?;
    collect(&demo, &mut commands);
    if commands.len() < 10 {
        return Err(format!("only {} commands are printed", commands.len()));
    }
    let mut failed = Vec::new();
    for command in &commands {
        let output =
            Command::new("sh").args(["-c", command]).env("KUBECONFIG", &config).output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // `kubectl auth can-i` answers with its exit code too.
        if !output.status.success() || text.is_empty() || text == "no" {
            failed.push(format!("{command}: {} {text} {}", output.status, String::from_utf8_lossy(&output.stderr)));
        }
    }
    if !failed.is_empty() {
        return Err(format!("{} of {}:\n{}", failed.len(), commands.len(), failed.join("\n")));
    }
    Ok(format!("{} printed commands ran, each with an answer", commands.len()))
}

fn collect(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, v) in map {
                match v.as_str() {
                    Some(command) if key == "verify" => {
                        into.insert(command.to_owned());
                    }
                    _ => collect(v, into),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|v| collect(v, into)),
        _ => {}
    }
}
