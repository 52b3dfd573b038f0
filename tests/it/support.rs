//! Helpers that tests share.

use std::io::Read;
use std::path::{Path, PathBuf};

use kpath::model::Cluster;
use kpath::model::cloud::Provider;
use kpath::snapshot::import::reader;
use kpath::snapshot::{ClusterOptions, Snapshot};

/// A path inside the repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file, decompressed when it ends in `.xz`.
pub fn text(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut out = String::new();
    if path.extension().is_some_and(|e| e == "xz") {
        xz2::read::XzDecoder::new(bytes.as_slice()).read_to_string(&mut out).unwrap();
    } else {
        out = String::from_utf8(bytes).unwrap();
    }
    out
}

/// A complete cluster made of files.
pub fn cluster_of(files: &[PathBuf]) -> Cluster {
    let texts: Vec<(String, String)> =
        files.iter().map(|f| (f.file_name().unwrap().to_string_lossy().replace(".xz", ""), text(f))).collect();
    snapshot_of(&texts).into_cluster(&ClusterOptions { complete: true, version: None })
}

/// A snapshot of named texts.
pub fn snapshot_of(texts: &[(String, String)]) -> Snapshot {
    reader::read_texts(texts.iter().map(|(n, t)| (n.as_str(), t.as_str())))
}

/// The embedded demo cluster.
pub fn demo() -> Cluster {
    let files =
        ["cluster", "shop", "platform", "rbac"].map(|f| repo(&format!("testdata/clusters/payment-api/{f}.yaml")));
    cluster_of(&files)
}

/// A complete cluster made of one text of manifests.
pub fn cluster_from(objects: &str) -> Cluster {
    snapshot_of(&[("cluster.yaml".into(), objects.to_owned())])
        .into_cluster(&ClusterOptions { complete: true, version: None })
}

/// The threat model of a fixture: what every question has, and the assumptions that a line `# assume: NAME` switches on.
pub fn threat_model(text: &str) -> kpath::report::answer::Question {
    let mut question = kpath::report::answer::Question::new();
    question.assumptions.extend(text.lines().filter_map(|l| l.strip_prefix("# assume: ")).map(str::to_owned));
    question
}

/// The answers of a cloud's command line beside a fixture: `fires.aws.json` holds one a call.
pub fn account_of(fixture: &Path) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for provider in Provider::ALL {
        let folder = provider.folder();
        let Ok(text) = std::fs::read_to_string(fixture.with_extension(format!("{folder}.json"))) else { continue };
        let all: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        out.extend(all.into_iter().map(|(call, answer)| (format!("{folder}/{call}.json"), answer.to_string())));
    }
    out
}
