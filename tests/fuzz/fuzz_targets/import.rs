//! Any text as YAML or JSON input: never a panic, and reading it again in the form of a snapshot gives the same objects.
#![no_main]

use kpath::model::Kind;
use kpath::rules;
use kpath::snapshot::import::reader;
use kpath::snapshot::{ClusterOptions, file};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for name in ["a.yaml", "pods.json"] {
        let snapshot = reader::read_texts([(name, text)]);
        let mut bytes = Vec::new();
        file::to_writer(&snapshot, &mut bytes).expect("a vector takes everything");
        let again = file::from_reader(bytes.as_slice(), "again").expect("what was written can be read");
        for kind in Kind::ALL {
            assert_eq!(snapshot.objects.lines(*kind), again.objects.lines(*kind));
        }
        let cluster = again.into_cluster(&ClusterOptions { complete: true, version: None });
        let _ = rules::build(&cluster);
    }
});
