//! The snapshot file: a zstd-compressed tar of `manifest.json`, one JSON Lines file a kind, and `gaps.jsonl`.
//!
//! It is written once and read anywhere. It never holds secret values: the collector removed them before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use crate::model::decode::redact;
use crate::model::{Gap, Kind, Objects, SourceInfo, Version};

/// Format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Oldest format that this build reads.
pub const OLDEST: u32 = 1;

/// Why a snapshot file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file cannot be opened, read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// Path as given.
        path: String,
        /// System error.
        source: std::io::Error,
    },
    /// Not a snapshot at all.
    #[error(
        "{path} is no kpath snapshot: {reason}\nhint: write one with `kpath snapshot -o {path}`; kubectl output is read with -f"
    )]
    NotASnapshot {
        /// Path as given.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Written by a newer kpath.
    #[error(
        "{path} has snapshot format {found}, written by kpath {tool}; this kpath reads up to format {FORMAT}\nhint: update kpath"
    )]
    TooNew {
        /// Path as given.
        path: String,
        /// Format of the file.
        found: u32,
        /// Version that wrote it.
        tool: String,
    },
    /// Written by a kpath whose format is no longer read.
    #[error(
        "{path} has snapshot format {found}, written by kpath {tool}; this kpath reads format {OLDEST} and later\nhint: take a new snapshot"
    )]
    TooOld {
        /// Path as given.
        path: String,
        /// Format of the file.
        found: u32,
        /// Version that wrote it.
        tool: String,
    },
    /// Damaged content.
    #[error("{path} is damaged: {part}: {reason}\nhint: take a new snapshot")]
    Damaged {
        /// Path as given.
        path: String,
        /// File inside the snapshot.
        part: String,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Manifest {
    format: u32,
    tool: String,
    server_version: Option<String>,
    source: SourceInfo,
    kinds: BTreeMap<String, usize>,
}

/// Writes a snapshot. The bytes depend on the snapshot alone.
///
/// # Errors
/// [`SnapshotError::Io`] when the file cannot be written.
pub fn write(snapshot: &Snapshot, path: &Path) -> Result<(), SnapshotError> {
    let mut bytes = Vec::new();
    to_writer(snapshot, &mut bytes).map_err(|e| unwritten(path, e))?;
    write_private(path, &bytes)
}

fn unwritten(path: &Path, source: std::io::Error) -> SnapshotError {
    SnapshotError::Io { action: "write", path: path.display().to_string(), source }
}

/// Writes a file that only its owner can read, whole or not at all: under another name first, then renamed.
///
/// # Errors
/// Those of the file system.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.partial"));
    let result = (|| -> std::io::Result<()> {
        // What a run before left there may have another mode or owner, or be a link.
        if let Err(e) = std::fs::remove_file(&temporary)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(e);
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&temporary)?;
        // Written at once: a signal has hardly a moment to leave half a file.
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    })();
    result.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        unwritten(path, e)
    })
}

/// Writes a snapshot to any writer.
///
/// # Errors
/// The writer's error.
pub fn to_writer(snapshot: &Snapshot, out: &mut impl Write) -> std::io::Result<()> {
    let mut tar = tar::Builder::new(zstd::Encoder::new(out, 9)?);
    let mut manifest = Manifest {
        format: FORMAT,
        tool: env!("CARGO_PKG_VERSION").into(),
        server_version: snapshot.version.map(|v| v.to_string()),
        source: snapshot.source.clone(),
        kinds: BTreeMap::new(),
    };
    for kind in &snapshot.read {
        manifest.kinds.insert(kind.info().kind.into(), snapshot.objects.len(*kind));
    }
    append(&mut tar, "manifest.json", &serde_json::to_vec_pretty(&manifest)?)?;
    for kind in Kind::TABLE {
        let lines = snapshot.objects.lines(*kind);
        if snapshot.read.contains(kind) || !lines.is_empty() {
            let mut text = lines.join("\n");
            if !text.is_empty() {
                text.push('\n');
            }
            append(&mut tar, &format!("{}.jsonl", kind.info().kind), text.as_bytes())?;
        }
    }
    let mut gaps = String::new();
    for gap in &snapshot.gaps {
        gaps.push_str(&serde_json::to_string(gap)?);
        gaps.push('\n');
    }
    append(&mut tar, "gaps.jsonl", gaps.as_bytes())?;
    tar.into_inner()?.finish()?;
    Ok(())
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(0);
    header.set_cksum();
    tar.append_data(&mut header, name, bytes)
}

/// Reads a snapshot file.
///
/// # Errors
/// [`SnapshotError`] when the file cannot be read, has another format, or is damaged.
pub fn read(path: &Path) -> Result<Snapshot, SnapshotError> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|source| SnapshotError::Io { action: "read", path: shown.clone(), source })?;
    from_reader(file, &shown)
}

/// Reads a snapshot from any reader; `shown` names it in errors.
///
/// # Errors
/// As [`read`].
pub fn from_reader(input: impl Read, shown: &str) -> Result<Snapshot, SnapshotError> {
    let not = |reason: String| SnapshotError::NotASnapshot { path: shown.to_owned(), reason };
    let decoder = zstd::Decoder::new(input).map_err(|e| not(e.to_string()))?;
    let mut archive = tar::Archive::new(decoder);
    let mut snapshot = Snapshot::default();
    let mut manifest: Option<Manifest> = None;
    for entry in archive.entries().map_err(|e| not(e.to_string()))? {
        let entry = entry.map_err(|e| match manifest {
            None => not(format!("not a zstd-compressed tar ({e})")),
            Some(_) => damaged(shown, "archive", &e.to_string()),
        })?;
        let name = entry.path().map(|p| p.display().to_string()).unwrap_or_default();
        let Some(m) = &manifest else {
            if name != "manifest.json" {
                return Err(not(format!("it starts with {name:?}, not with manifest.json")));
            }
            let m: Manifest =
                serde_json::from_reader(entry).map_err(|e| damaged(shown, &name, &redact(&e.to_string())))?;
            check_format(&m, shown)?;
            snapshot.version = m.server_version.as_deref().and_then(Version::parse);
            snapshot.source = m.source.clone();
            manifest = Some(m);
            continue;
        };
        if name == "gaps.jsonl" {
            for_lines(entry, shown, &name, |_, line| {
                snapshot.gaps.push(
                    serde_json::from_str::<Gap>(line).map_err(|e| damaged(shown, &name, &redact(&e.to_string())))?,
                );
                Ok(())
            })?;
            continue;
        }
        // Files of kinds that this version does not know are left alone: a newer minor release may add kinds.
        let kind = name.strip_suffix(".jsonl").and_then(|k| Kind::TABLE.iter().copied().find(|x| x.info().kind == k));
        let Some(kind) = kind else { continue };
        // What a manifest says is believed as far as memory is cheap.
        let said = m.kinds.get(kind.info().kind).copied().unwrap_or(0);
        snapshot.objects.reserve(kind, said.min(MOST_RESERVED));
        objects(entry, shown, &name, kind, &mut snapshot.objects)?;
        if m.kinds.contains_key(kind.info().kind) {
            let expected = m.kinds.get(kind.info().kind).copied().unwrap_or(0);
            if snapshot.objects.len(kind) != expected {
                let reason = format!("{} objects, the manifest says {expected}", snapshot.objects.len(kind));
                return Err(damaged(shown, &name, &reason));
            }
            snapshot.read.insert(kind);
        }
    }
    let Some(m) = manifest else { return Err(not("it is empty".into())) };
    for (kind, count) in &m.kinds {
        if *count > 0
            && !snapshot.read.iter().any(|k| k.info().kind == kind)
            && Kind::TABLE.iter().any(|k| k.info().kind == kind)
        {
            return Err(damaged(shown, &format!("{kind}.jsonl"), "missing; the file was cut off"));
        }
    }
    snapshot.objects.normalise();
    if snapshot.source.kind.is_empty() {
        snapshot.source.kind = "snapshot".into();
    }
    if snapshot.source.name.is_empty() {
        snapshot.source.name = shown.to_owned();
    }
    Ok(snapshot)
}

fn check_format(m: &Manifest, path: &str) -> Result<(), SnapshotError> {
    let (path, tool) = (path.to_owned(), m.tool.clone());
    match m.format {
        f if f > FORMAT => Err(SnapshotError::TooNew { path, found: f, tool }),
        f if f < OLDEST => Err(SnapshotError::TooOld { path, found: f, tool }),
        _ => Ok(()),
    }
}

fn damaged(path: &str, part: &str, reason: &str) -> SnapshotError {
    SnapshotError::Damaged { path: path.to_owned(), part: part.to_owned(), reason: reason.to_owned() }
}

/// Most objects of a kind that room is made for before they were read.
const MOST_RESERVED: usize = 1 << 18;

/// Bytes of lines that are parsed at a time.
const CHUNK: usize = 4 << 20;

/// Reads the objects of a kind, on two threads.
fn objects(entry: impl Read, path: &str, part: &str, kind: Kind, into: &mut Objects) -> Result<(), SnapshotError> {
    let parse = |lines: &[(usize, String)]| {
        let mut out = Objects::default();
        for (number, line) in lines {
            out.push_line(kind, line).map_err(|e| damaged(path, part, &format!("line {number}: {e}")))?;
        }
        Ok::<Objects, SnapshotError>(out)
    };
    let mut flush = |lines: &mut Vec<(usize, String)>| {
        let (left, right) = lines.split_at(lines.len() / 2);
        let (a, b) = std::thread::scope(|s| {
            let other = s.spawn(|| parse(right));
            (parse(left), other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        into.append(a?);
        into.append(b?);
        lines.clear();
        Ok(())
    };
    let (mut lines, mut bytes) = (Vec::new(), 0);
    for_lines(entry, path, part, |number, line| {
        bytes += line.len();
        lines.push((number, line.to_owned()));
        if bytes >= CHUNK {
            flush(&mut lines)?;
            bytes = 0;
        }
        Ok(())
    })?;
    flush(&mut lines)
}

fn for_lines(
    entry: impl Read,
    path: &str,
    part: &str,
    mut each: impl FnMut(usize, &str) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let mut reader = BufReader::with_capacity(1 << 16, entry);
    let mut line = String::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        let n = reader.read_line(&mut line).map_err(|e| damaged(path, part, &e.to_string()))?;
        if n == 0 {
            return Ok(());
        }
        let text = line.trim_end();
        if !text.is_empty() {
            each(number, text)?;
        }
    }
}
