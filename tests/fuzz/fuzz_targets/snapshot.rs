//! Any bytes as a snapshot file: an error or a snapshot, in bounded memory.
#![no_main]

use kpath::snapshot::{ClusterOptions, file};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(snapshot) = file::from_reader(data, "fuzz") {
        let cluster = snapshot.into_cluster(&ClusterOptions::default());
        let _ = kpath::rules::build(&cluster);
    }
});
