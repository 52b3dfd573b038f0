//! Runs the built kpath.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What one run gave.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs kpath with a kubeconfig (or a list of them, as KUBECONFIG has it).
pub fn kpath(kubeconfig: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Run {
    kpath_with(kubeconfig, args, "")
}

/// The same with standard input.
pub fn kpath_with(kubeconfig: impl AsRef<std::ffi::OsStr>, args: &[&str], input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kpath"))
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // Written beside the reading, so that no full pipe stops both.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
    Run { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// Takes a snapshot as the administrator.
pub fn snapshot(path: &Path) -> kpath::snapshot::Snapshot {
    let run = kpath(super::caller::kubeconfig(), &["snapshot", "-o", path.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.err);
    kpath::snapshot::file::read(path).unwrap()
}
