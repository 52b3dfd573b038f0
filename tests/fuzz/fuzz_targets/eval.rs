//! Any line as a question to each engine.
#![no_main]

use std::sync::OnceLock;

use kpath::cli::eval::{Engine, Evaluator};
use kpath::model::Cluster;
use kpath::snapshot::ClusterOptions;
use kpath::snapshot::import::reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        let texts = [("rbac.yaml", include_str!("../../../testdata/clusters/payment-api/rbac.yaml"))];
        reader::read_texts(texts).into_cluster(&ClusterOptions { complete: true, version: None })
    });
    for engine in [Engine::Rbac, Engine::Escalation, Engine::Psa, Engine::Automount] {
        assert!(Evaluator::new(engine, cluster).line(text).is_object());
    }
});
