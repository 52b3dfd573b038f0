//! Files, folders and standard input.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::{Importer, yaml};
use crate::model::Kind;
use crate::model::cloud::Provider;
use crate::snapshot::Snapshot;

/// Why an input could not be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The path cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Path as given.
        path: String,
        /// System error.
        source: std::io::Error,
    },
    /// Nothing in the input is a Kubernetes object.
    #[error(
        "{path} holds no Kubernetes object that kpath can read{detail}\nhint: write one with `kubectl get pods,serviceaccounts,secrets,roles,rolebindings,clusterroles,clusterrolebindings,nodes,namespaces -A -o yaml`"
    )]
    Nothing {
        /// Path as given.
        path: String,
        /// First reasons, one a line.
        detail: String,
    },
}

/// Reads a file, a folder (with its sub-folders) or `-` for standard input.
///
/// # Errors
/// [`ImportError`] when the path cannot be read or nothing in it is a Kubernetes object.
pub fn read(path: &Path) -> Result<Snapshot, ImportError> {
    let mut importer = Importer::default();
    let shown = path.display().to_string();
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|source| ImportError::Read { path: "standard input".into(), source })?;
        take(&mut importer, &bytes, "-", None, false);
    } else if fs::metadata(path).map_err(|source| ImportError::Read { path: shown.clone(), source })?.is_dir() {
        let mut files = Vec::new();
        walk(path, 0, &mut files).map_err(|source| ImportError::Read { path: shown.clone(), source })?;
        for file in files {
            one_file(&mut importer, path, &file);
        }
    } else {
        let bytes = fs::read(path).map_err(|source| ImportError::Read { path: shown.clone(), source })?;
        let json = path.extension().is_some_and(|e| e == "json");
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        take(&mut importer, &bytes, &name, kind_hint(&name), json);
    }
    if importer.accepted == 0 {
        let reasons: Vec<String> =
            importer.snapshot.gaps.iter().take(5).map(|g| format!("\n  {}: {}", g.file, g.reason)).collect();
        return Err(ImportError::Nothing { path: shown, detail: reasons.concat() });
    }
    let mut snapshot = importer.finish();
    snapshot.source.kind = "files".into();
    snapshot.source.name = shown;
    Ok(snapshot)
}

/// Adds the saved answers of a cloud's command line in a folder to a snapshot.
///
/// # Errors
/// [`ImportError::Read`] when the folder cannot be read.
pub fn read_answers(snapshot: &mut Snapshot, provider: Provider, dir: &Path) -> Result<(), ImportError> {
    let mut importer = Importer::default();
    let mut files = Vec::new();
    walk(dir, 0, &mut files).map_err(|source| ImportError::Read { path: dir.display().to_string(), source })?;
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "json")) {
        let name = file.strip_prefix(dir).unwrap_or(file).to_string_lossy().into_owned();
        match fs::read(file) {
            Ok(bytes) => importer.cloud(provider, &name, &bytes),
            Err(e) => importer.unread_file(&name, format!("cannot be read: {e}")),
        }
    }
    let taken = importer.finish();
    snapshot.objects.cloud.extend(taken.objects.cloud);
    let _ = snapshot.objects.normalise();
    snapshot.read.extend(taken.read);
    snapshot.gaps.extend(taken.gaps);
    Ok(())
}

/// Reads a text that is already in memory, such as the embedded demo.
pub fn read_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Snapshot {
    let mut importer = Importer::default();
    for (name, text) in texts {
        if let Some(provider) = Provider::of_folder(name) {
            importer.cloud(provider, name, text.as_bytes());
            continue;
        }
        take(&mut importer, text.as_bytes(), name, kind_hint(name), false);
    }
    importer.finish()
}

fn walk(dir: &Path, depth: usize, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)?.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // Symbolic links to folders are not followed: they can form loops.
        match entry.file_type() {
            Ok(t) if t.is_dir() && depth < 8 && !entry.file_name().to_string_lossy().starts_with('.') => {
                walk(&path, depth + 1, out)?
            }
            Ok(t) if t.is_file() || (t.is_symlink() && path.is_file()) => out.push(path),
            _ => {}
        }
    }
    Ok(())
}

fn one_file(importer: &mut Importer, root: &Path, path: &Path) {
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    // Answers of the command line of a cloud beside the cluster.
    if let Some(provider) = Provider::of_folder(&name).filter(|_| extension == "json") {
        match fs::read(path) {
            Ok(bytes) => importer.cloud(provider, &name, &bytes),
            Err(e) => importer.unread_file(&name, format!("cannot be read: {e}")),
        }
        return;
    }
    if !matches!(extension.as_str(), "json" | "yaml" | "yml") {
        importer.skip(&name, "", "not a .json, .yaml or .yml file".into());
        return;
    }
    match fs::read(path) {
        Ok(bytes) => {
            let base = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
            take(importer, &bytes, &name, kind_hint(&base), extension == "json");
        }
        Err(e) => importer.unread_file(&name, format!("cannot be read: {e}")),
    }
}

/// The kind that a file name gives: `secrets.json`, `secrets.metadata.json`, `networkpolicies.networking.k8s.io.yaml`.
pub fn kind_hint(name: &str) -> Option<Kind> {
    let lower = name.to_ascii_lowercase();
    let stem = lower.rsplit_once('.').map_or(lower.as_str(), |(s, _)| s);
    let stem = stem.strip_suffix(".metadata").unwrap_or(stem);
    Kind::by_resource(stem)
}

/// Decodes one file and hands its documents to the importer. Problems become gaps.
fn take(importer: &mut Importer, bytes: &[u8], file: &str, hint: Option<Kind>, json: bool) {
    let text = match decode_text(bytes) {
        Ok(t) => t,
        Err(reason) => return importer.unread_file(file, reason),
    };
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return importer.skip(file, "", "the file is empty".into());
    }
    if json || text.trim_start().starts_with(['{', '[']) {
        match json_documents(text) {
            (docs, None) => return docs.into_iter().for_each(|d| one_document(importer, d, file, hint)),
            // YAML flow style also starts with a brace; files that say they are JSON get JSON's message.
            (docs, Some(error)) if json || !docs.is_empty() => {
                docs.into_iter().for_each(|d| one_document(importer, d, file, hint));
                return importer.unread_file(file, format!("malformed JSON: {error}"));
            }
            _ => {}
        }
    }
    let documents = yaml::documents(text);
    if documents.is_empty() {
        return importer.skip(file, "", "the file has only comments".into());
    }
    for (line, document) in documents {
        match yaml::decode(document) {
            Ok(Value::Null) => {}
            Ok(value) => one_document(importer, value, file, hint),
            Err(e) => importer.unread_file(file, format!("malformed YAML in the document at line {line}: {e}")),
        }
    }
}

fn one_document(importer: &mut Importer, value: Value, file: &str, hint: Option<Kind>) {
    if let Err(reason) = importer.document(value, file, hint) {
        importer.skip(file, "", reason);
    }
}

/// Concatenated JSON documents up to the first error.
fn json_documents(text: &str) -> (Vec<Value>, Option<String>) {
    let mut docs = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text);
    loop {
        if let Ok(()) = stream.end() {
            return (docs, None);
        }
        match Value::deserialize(&mut stream) {
            Ok(v) => docs.push(v),
            Err(e) => return (docs, Some(e.to_string())),
        }
    }
}

/// UTF-8, or UTF-16 with a byte order mark as PowerShell redirection writes it.
fn decode_text(bytes: &[u8]) -> Result<String, String> {
    let wide = |little: bool| {
        let units: Vec<u16> = bytes
            .get(2..)
            .unwrap_or_default()
            .chunks_exact(2)
            .filter_map(|c| <[u8; 2]>::try_from(c).ok())
            .map(|c| if little { u16::from_le_bytes(c) } else { u16::from_be_bytes(c) })
            .collect();
        String::from_utf16(&units).map_err(|_| "not valid UTF-16 text".to_owned())
    };
    match bytes {
        [0xff, 0xfe, ..] => wide(true),
        [0xfe, 0xff, ..] => wide(false),
        _ => match std::str::from_utf8(bytes) {
            Ok(t) => Ok(t.to_owned()),
            Err(e) => Err(format!("not UTF-8 text (byte {})", e.valid_up_to())),
        },
    }
}
