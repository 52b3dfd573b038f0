//! Any text as a selector over the demo cluster: an error with words, or facts of the graph.
#![no_main]

use std::sync::OnceLock;

use kpath::model::Cluster;
use kpath::query::selector;
use kpath::rules::{self, Attack};
use kpath::snapshot::ClusterOptions;
use kpath::snapshot::import::reader;
use libfuzzer_sys::fuzz_target;

fn world() -> &'static (Cluster, Attack) {
    static WORLD: OnceLock<(Cluster, Attack)> = OnceLock::new();
    WORLD.get_or_init(|| {
        let texts = [
            ("shop.yaml", include_str!("../../../testdata/clusters/payment-api/shop.yaml")),
            ("rbac.yaml", include_str!("../../../testdata/clusters/payment-api/rbac.yaml")),
        ];
        let cluster = reader::read_texts(texts).into_cluster(&ClusterOptions { complete: true, version: None });
        let attack = rules::build(&cluster);
        (cluster, attack)
    })
}

fuzz_target!(|text: &str| {
    let (cluster, attack) = world();
    match selector::resolve(attack, cluster, text, true) {
        Ok(selection) => assert!(selection.facts.iter().all(|f| (f.0 as usize) < attack.graph.facts)),
        Err(e) => assert!(!e.to_string().is_empty()),
    }
});
