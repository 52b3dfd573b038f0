//! Benches of the parts of a run over a synthetic cluster: `cargo bench`, or `cargo bench -- eval` for one of them.
//!
//! Times depend on the machine and on what else it does; compare within one run. `scripts/instructions` counts
//! instructions instead.

use std::sync::OnceLock;

use divan::{Bencher, black_box, counter::ItemsCount};
use kpath::model::Cluster;
use kpath::netpol::exposure::exposures;
use kpath::netpol::network::Network;
use kpath::query::selector;
use kpath::report::answer::{self, Question};
use kpath::rules;
use kpath::search::Lane;
use kpath::search::closure::closure;
use kpath::snapshot::{ClusterOptions, Snapshot, file};

#[allow(dead_code, reason = "the example's own main")]
#[path = "../examples/synth.rs"]
mod synth;

#[allow(dead_code, reason = "the example's own main")]
#[path = "../examples/synth_aws.rs"]
mod synth_aws;

const SIZES: [usize; 3] = [1_000, 4_000, 16_000];

fn main() {
    divan::main();
}

fn snapshot(pods: usize) -> Snapshot {
    synth::snapshot(pods, 1, false).unwrap_or_default()
}

fn cluster(pods: usize) -> Cluster {
    snapshot(pods).into_cluster(&ClusterOptions::default())
}

#[divan::bench(args = SIZES)]
fn load(bencher: Bencher<'_, '_>, pods: usize) {
    let mut bytes = Vec::new();
    let _ = file::to_writer(&snapshot(pods), &mut bytes);
    bencher.counter(ItemsCount::new(pods)).bench(|| file::from_reader(black_box(bytes.as_slice()), "bench"));
}

#[divan::bench(args = SIZES)]
fn build(bencher: Bencher<'_, '_>, pods: usize) {
    let cluster = cluster(pods);
    bencher.counter(ItemsCount::new(pods)).bench(|| rules::build(black_box(&cluster)));
}

#[divan::bench(args = SIZES, name = "closure")]
fn one_closure(bencher: Bencher<'_, '_>, pods: usize) {
    let cluster = cluster(pods);
    let attack = rules::build(&cluster);
    let mask = Question::new().settings(&attack).mask(&attack.graph, Lane::May);
    let Ok(from) = selector::resolve(&attack, &cluster, "internet", true) else { return };
    let starts: Vec<_> = from.facts.iter().flat_map(|f| answer::starts(&attack, &cluster, *f)).collect();
    bencher.counter(ItemsCount::new(attack.graph.instances.len())).bench(|| closure(&attack.graph, &mask, &starts));
}

/// Policies, classes, peers and what the internet reaches; with `adversarial` every pod has a policy of its own.
#[divan::bench(args = SIZES, consts = [false, true])]
fn network<const ADVERSARIAL: bool>(bencher: Bencher<'_, '_>, pods: usize) {
    let snapshot = synth::snapshot(pods, 1, ADVERSARIAL).unwrap_or_default();
    let cluster = snapshot.into_cluster(&ClusterOptions::default());
    bencher.counter(ItemsCount::new(cluster.objects.network_policies.len())).bench(|| {
        let network = Network::new(black_box(&cluster));
        exposures(&cluster, &network).len()
    });
}

/// The same with one policy for every fifth pod: 5,000 for 25,000 pods, 20,000 for 100,000.
#[divan::bench(args = [25_000, 100_000], sample_count = 5)]
fn network_of_a_large_cluster(bencher: Bencher<'_, '_>, pods: usize) {
    let mut snapshot = synth::snapshot(pods, 1, true).unwrap_or_default();
    let mut n = 0usize;
    snapshot.objects.network_policies.retain(|_| {
        n += 1;
        n % 5 == 1
    });
    let cluster = snapshot.into_cluster(&ClusterOptions::default());
    bencher.counter(ItemsCount::new(cluster.objects.network_policies.len())).bench(|| {
        let network = Network::new(black_box(&cluster));
        exposures(&cluster, &network).len()
    });
}

/// The graph of a cluster without pods in an account with this many roles, two policies each, and two keys for five roles.
#[divan::bench(args = [1_000, 5_000], sample_count = 5)]
fn account(bencher: Bencher<'_, '_>, roles: usize) {
    let texts = synth_aws::texts(roles, roles * 2 / 5);
    let texts = texts.iter().map(|(n, t)| (n.as_str(), t.as_str()));
    let cluster = kpath::snapshot::import::reader::read_texts(texts).into_cluster(&ClusterOptions::default());
    bencher.counter(ItemsCount::new(roles)).bench(|| rules::build(black_box(&cluster)));
}

/// The graph with connections between pods.
#[divan::bench(args = SIZES, consts = [false, true])]
fn lateral<const ADVERSARIAL: bool>(bencher: Bencher<'_, '_>, pods: usize) {
    let snapshot = synth::snapshot(pods, 1, ADVERSARIAL).unwrap_or_default();
    let cluster = snapshot.into_cluster(&ClusterOptions::default());
    let assumptions = [rules::lateral::LATERAL.to_owned()].into();
    bencher.counter(ItemsCount::new(pods)).bench(|| rules::build_for(black_box(&cluster), &assumptions));
}

#[divan::bench(args = SIZES)]
fn can(bencher: Bencher<'_, '_>, pods: usize) {
    let cluster = cluster(pods);
    let attack = rules::build(&cluster);
    let question = Question::new();
    let pick = |words| selector::resolve(&attack, &cluster, words, true).unwrap_or_default();
    let (from, to) = (pick("pod/team-1/*"), pick("cluster-admin"));
    bencher.bench(|| answer::ask(&attack, &cluster, &question, black_box(&from), &to, 1));
}

#[divan::bench]
fn eval_rbac(bencher: Bencher<'_, '_>) {
    static INPUT: OnceLock<(Cluster, String)> = OnceLock::new();
    let (cluster, lines) = INPUT.get_or_init(|| {
        let lines = (0..1_000).map(|n| {
            format!(
                r#"{{"user":"system:serviceaccount:team-{}:app-{n}","groups":["system:authenticated"],"verb":"get","resource":"secrets","namespace":"team-{}","name":"x"}}"#,
                n % 25,
                n % 25
            )
        });
        (cluster(1_000), lines.collect::<Vec<_>>().join("\n"))
    });
    bencher.counter(ItemsCount::new(1_000usize)).bench(|| {
        let mut out = Vec::new();
        let _ = kpath::cli::eval::run(kpath::cli::eval::Engine::Rbac, cluster, lines.as_bytes(), &mut out);
        out
    });
}

#[cfg(feature = "pictures")]
#[divan::bench]
fn render(bencher: Bencher<'_, '_>) {
    use kpath::render::layout::Direction;
    use kpath::render::picture::{self, Ends};
    use kpath::render::svg;
    let cluster = cluster(1_000);
    let attack = rules::build(&cluster);
    let question = Question::new();
    let pick = |words| selector::resolve(&attack, &cluster, words, true).unwrap_or_default();
    let (from, to) = (pick("pod/*/*"), pick("cluster-admin"));
    let answer = answer::ask(&attack, &cluster, &question, &from, &to, 4);
    let lists: Vec<&[_]> = answer.proofs.iter().map(Vec::as_slice).collect();
    let targets = to.facts.iter().copied().collect();
    bencher.bench(|| {
        let (picture, _) = picture::draw(&attack, &cluster, "bench", black_box(&lists), Ends::Proven(&targets));
        svg::render(&picture, Direction::default())
    });
}
