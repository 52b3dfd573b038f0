//! Search against brute force on random Horn graphs with ANDs, cycles and unknowns.

use std::collections::{BTreeMap, BTreeSet};

use kpath::graph::{Builder, Evidence, FactId, Graph, Instance, Object, Text};
use kpath::search::bundle::Bundles;
use kpath::search::closure::{Local, closure};
use kpath::search::lanes::Condensed;
use kpath::search::pivot::Pivot;
use kpath::search::proof::{Prover, Ranking};
use kpath::search::{Lane, Settings};
use roaring::RoaringBitmap;

fn random(rng: &mut fastrand::Rng) -> (Graph, usize) {
    let facts = rng.usize(3..14);
    let mut b = Builder::default();
    for i in 0..rng.u32(2..30) {
        let premises = (0..rng.usize(1..4))
            .map(|_| FactId(rng.u32(0..facts as u32)))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let unknowns =
            if rng.u8(0..4) == 0 { vec![b.graph.unknowns.id(&format!("u{}", rng.u8(0..3)))] } else { vec![] };
        b.add(Instance {
            premises,
            conclusion: FactId(rng.u32(0..facts as u32)),
            technique: i as u16,
            tier: rng.u8(1..4),
            unknowns: unknowns.into(),
            assumptions: Default::default(),
            evidence: vec![Evidence { object: Object(u64::from(i)), pointer: Text(0), value: Text(0), why: "" }].into(),
        });
    }
    (b.finish(facts), facts)
}

/// Naive fixpoint: the cheapest proof-tree cost of every fact.
fn brute(graph: &Graph, mask: &[bool], starts: &[FactId]) -> Vec<Option<u64>> {
    let mut best: Vec<Option<u64>> = vec![None; graph.facts];
    for s in starts {
        best[s.0 as usize] = Some(0);
    }
    loop {
        let mut changed = false;
        for (i, x) in graph.instances.iter().enumerate().filter(|(i, _)| mask[*i]) {
            let total: Option<u64> = x.premises.iter().map(|p| best[p.0 as usize]).sum();
            let Some(t) = total else { continue };
            let new = t + ((x.unknowns.len() as u64) << 40) + (u64::from(x.tier) << 16) + 1;
            let slot = &mut best[x.conclusion.0 as usize];
            if slot.is_none_or(|b| new < b) {
                *slot = Some(new);
                changed = true;
            }
            let _ = i;
        }
        if !changed {
            return best;
        }
    }
}

/// A graph with more facts than a word has bits, steps that cost nothing, and joins of many premises.
fn wide(rng: &mut fastrand::Rng) -> (Graph, usize) {
    let facts = rng.usize(80..5_000);
    let mut b = Builder::default();
    let fact = |rng: &mut fastrand::Rng| FactId(rng.u32(0..facts as u32));
    for i in 0..facts as u32 * 2 {
        let count = match rng.u8(0..100) {
            0 => rng.usize(9..100),
            1..20 => 2,
            _ => 1,
        };
        // Joins of many are of facts near each other, so that some are whole.
        let near = rng.u32(0..facts as u32 - 70);
        let one = |rng: &mut fastrand::Rng| if count > 8 { FactId(near + rng.u32(0..70)) } else { fact(rng) };
        let premises: BTreeSet<FactId> = (0..count).map(|_| one(rng)).collect();
        b.add(Instance {
            premises: premises.into_iter().collect(),
            conclusion: fact(rng),
            technique: i as u16,
            tier: rng.u8(0..3),
            unknowns: Default::default(),
            assumptions: Default::default(),
            evidence: vec![Evidence { object: Object(u64::from(i)), pointer: Text(0), value: Text(0), why: "" }].into(),
        });
    }
    (b.finish(facts), facts)
}

#[test]
fn large_graphs_with_joins_of_many_premises_agree_with_single_closures() {
    let mut rng = fastrand::Rng::with_seed(19);
    let settings = Settings::default();
    let (mut joined, mut proofs) = (0, 0);
    for round in 0..20 {
        let (graph, facts) = wide(&mut rng);
        let mask = settings.mask(&graph, Lane::May);
        let (api, sink) = (FactId(rng.u32(0..facts as u32)), FactId(rng.u32(0..facts as u32)));
        let sources: Vec<Vec<FactId>> =
            (0..rng.usize(60..150)).map(|n| (0..1 + n).map(|_| FactId(rng.u32(0..facts as u32))).collect()).collect();
        let (plain, sunk) =
            (Pivot::new(&graph, &mask, Some(api)), Pivot::with(&graph, &mask, Some(api), Some(sink), &|_| 0));
        let (plain, sunk) = (plain.close(&sources), sunk.close(&sources));
        for (n, starts) in sources.iter().enumerate() {
            let want = closure(&graph, &mask, starts);
            joined += graph
                .instances
                .iter()
                .filter(|x| x.premises.len() > 8 && x.premises.iter().all(|p| want[p.0 as usize]))
                .count();
            let with_sink = want[sink.0 as usize];
            for (f, want) in want.iter().enumerate() {
                let id = FactId(f as u32);
                assert_eq!(*want, plain.holds(id, n), "round {round}, lane {n}");
                assert!((with_sink && id != sink) || *want == sunk.holds(id, n), "sunk, round {round}, lane {n}");
            }
        }
        for ranking in [Ranking::Cost, Ranking::Hops] {
            let targets: Vec<u32> = (0..facts as u32).filter(|_| rng.u8(0..3) == 0).collect();
            // From targets nothing follows, and there are a set for one and a set for many.
            let mask: Vec<bool> = graph
                .instances
                .iter()
                .map(|x| x.premises.iter().all(|p| targets.binary_search(&p.0).is_err()))
                .collect();
            let leaves = Bundles::leaves(&graph, &mask, targets.iter().map(|f| FactId(*f)));
            let mut without = mask.clone();
            let bundles = Bundles::take(&graph, &settings, ranking, &mut without, &leaves, 2);
            let group = |f: u32| if f.is_multiple_of(5) { f as usize / 5 % 3 } else { 3 + f as usize % 40 };
            let sets: Vec<RoaringBitmap> =
                (0..43).map(|g| targets.iter().copied().filter(|f| group(*f) == g).collect()).collect();
            let starts = &sources[rng.usize(0..sources.len())];
            let mut prover = Prover::new(&graph, &settings, ranking);
            let each = prover.prove_each(&mask, starts, 43, &|f| targets.contains(&f.0).then(|| group(f.0)));
            let together = prover.prove_sets(&without, &bundles, starts, &sets.iter().collect::<Vec<_>>());
            assert_eq!(each, together, "round {round}");
            proofs += each.iter().flatten().count();
        }
    }
    assert!(joined > 100 && proofs > 400, "{joined} joins, {proofs} proofs");
}

#[test]
fn closure_and_best_proof_agree_with_brute_force() {
    let mut rng = fastrand::Rng::with_seed(7);
    let settings = Settings::default();
    let (mut proofs, mut walks) = (0, 0);
    for round in 0..10_000 {
        let (graph, facts) = random(&mut rng);
        let lane = if round % 2 == 0 { Lane::May } else { Lane::Must };
        let mask = settings.mask(&graph, lane);
        let sources: Vec<Vec<FactId>> = (0..3).map(|_| vec![FactId(rng.u32(0..facts as u32))]).collect();
        let condensed = Condensed::new(&graph, &mask);
        let lanes = condensed.close(&sources);
        for (n, starts) in sources.iter().enumerate() {
            let want = brute(&graph, &mask, starts);
            let width = rng.usize(1..6);
            let got = closure(&graph, &mask, starts);
            if let Some(mut few) = Local::with_width(&graph, &mask, width).closure(starts, facts) {
                walks += 1;
                few.sort();
                let all: Vec<FactId> = (0..facts as u32).map(FactId).filter(|f| got[f.0 as usize]).collect();
                assert_eq!(few, all, "short walk, round {round}");
            }
            let mut prover = Prover::with_width(&graph, &settings, Ranking::Cost, width);
            let each = prover.prove_each(&mask, starts, facts, &|f| Some(f.0 as usize));
            for f in 0..facts {
                let id = FactId(f as u32);
                assert_eq!(want[f].is_some(), got[f], "closure, round {round}");
                assert_eq!(want[f].is_some(), lanes.holds(id, n), "lanes, round {round}");
                let proof = prover.prove(&mask, &BTreeSet::new(), starts, &|x| x == id);
                assert_eq!(want[f], proof.as_ref().map(|p| p.cost), "cost, round {round}");
                assert_eq!(proof, each[f], "one by one and together, round {round}");
                let given = (rng.u8(0..3) > 0).then(|| FactId(rng.u32(0..facts as u32)));
                let guide = prover.guide(&mask, id, given);
                let guided = prover.prove_guided(&mask, starts, &guide);
                assert_eq!(want[f], guided.as_ref().map(|p| p.cost), "guided, round {round}");
                for p in [proof, guided].into_iter().flatten() {
                    proofs += 1;
                    let mut known: BTreeSet<FactId> = starts.iter().copied().collect();
                    for i in &p.instances {
                        let x = &graph.instances[*i as usize];
                        assert!(x.premises.iter().all(|q| known.contains(q)), "a premise comes after its use");
                        known.insert(x.conclusion);
                    }
                    assert!(known.contains(&id));
                }
            }
        }
    }
    assert!(proofs > 10_000 && walks > 1_000, "{proofs} proofs, {walks} short walks");
}

#[test]
fn lanes_with_a_given_fact_and_without_objects_agree_with_single_closures() {
    let mut rng = fastrand::Rng::with_seed(13);
    let (mut gone, mut with_sink) = (0, 0);
    for round in 0..3_000 {
        let (graph, facts) = random(&mut rng);
        let mask = Settings::default().mask(&graph, Lane::May);
        let given = (rng.u8(0..4) > 0).then(|| FactId(rng.u32(0..facts as u32)));
        // Eight objects; an instance needs some of them.
        let needs = |x: &Instance| if x.technique.is_multiple_of(3) { 1u8 << (x.technique % 8) } else { 0 };
        let condensed = Condensed::with(&graph, &mask, given, &[], &needs);
        let pivot = Pivot::with(&graph, &mask, given, None, &needs);
        let sink = FactId(rng.u32(0..facts as u32));
        let sunk = Pivot::with(&graph, &mask, given, Some(sink), &needs);
        let lanes: Vec<(Vec<FactId>, u8)> = (0..6)
            .map(|n| {
                let start = FactId(rng.u32(0..facts as u32));
                let given = given.filter(|_| n < 3);
                (std::iter::once(start).chain(given).collect(), if rng.bool() { rng.u8(..) } else { 0 })
            })
            .collect();
        let borrowed: Vec<(&[FactId], u8)> = lanes.iter().map(|(s, r)| (s.as_slice(), *r)).collect();
        // All lanes have the given fact, or come by it if they can.
        let (closed, divided) = (condensed.close_without(&borrowed[..3]), pivot.close_without(&borrowed));
        let sunk = sunk.close_without(&borrowed);
        for (n, (starts, removed)) in lanes.iter().enumerate() {
            let left: Vec<bool> =
                graph.instances.iter().zip(&mask).map(|(x, on)| *on && needs(x) & removed == 0).collect();
            let want = closure(&graph, &left, starts);
            let want_sink = want[sink.0 as usize];
            with_sink += usize::from(want_sink);
            for (f, want) in want.iter().enumerate() {
                let f = FactId(f as u32);
                assert!(n > 2 || *want == closed.holds(f, n), "given, round {round}");
                assert_eq!(*want, divided.holds(f, n), "divided, round {round}");
                assert_eq!(*want, divided.lanes_of(f).any(|l| l == n), "divided, round {round}");
                // Of a lane with the sink only that is told.
                assert!((want_sink && f != sink) || *want == sunk.holds(f, n), "sunk, round {round}");
            }
            gone += usize::from(want != closure(&graph, &mask, starts));
        }
    }
    assert!(gone > 500 && with_sink > 2_000, "{gone} {with_sink}");
}

#[test]
fn bundles_of_leaves_agree_with_leaves_one_by_one() {
    let mut rng = fastrand::Rng::with_seed(17);
    let settings = Settings::default();
    let (mut bundled, mut proofs, mut scopes) = (0, 0, 0);
    for round in 0..5_000 {
        let (graph, facts) = random(&mut rng);
        // From the upper half nothing follows.
        let lower = |x: &Instance| x.premises.iter().all(|p| (p.0 as usize) < facts / 2);
        let mask: Vec<bool> = graph.instances.iter().map(lower).collect();
        let targets: Vec<FactId> = (0..facts as u32).map(FactId).filter(|_| rng.bool()).collect();
        let leaves = Bundles::leaves(&graph, &mask, targets.iter().copied());
        let mut without = mask.clone();
        let bundles = Bundles::take(&graph, &settings, Ranking::Cost, &mut without, &leaves, rng.usize(1..3));
        bundled += bundles.hubs().count();
        let sets: Vec<RoaringBitmap> =
            (0..3).map(|n| targets.iter().map(|f| f.0).filter(|f| f % 3 == n).collect()).collect();
        let starts = [FactId(rng.u32(0..facts as u32))];
        let known = closure(&graph, &mask, &starts);
        let less = closure(&graph, &without, &starts);
        for f in &targets {
            let by_hub = bundles.hubs().any(|(hub, b)| less[hub.0 as usize] && b.leaves.contains(f.0));
            assert_eq!(known[f.0 as usize], less[f.0 as usize] || by_hub, "round {round}");
            // Who has a scope has each leaf of it.
            let by_scope = bundles.scopes().any(|(scope, leaves)| less[scope.0 as usize] && leaves.contains(f.0));
            assert!(known[f.0 as usize] || !by_scope, "round {round}");
            scopes += usize::from(by_scope);
        }
        let mut prover = Prover::new(&graph, &settings, Ranking::Cost);
        let each = prover.prove_each(&mask, &starts, 3, &|f| targets.contains(&f).then_some(f.0 as usize % 3));
        let together = prover.prove_sets(&without, &bundles, &starts, &sets.iter().collect::<Vec<_>>());
        assert_eq!(each, together, "round {round}");
        proofs += each.iter().flatten().count();
    }
    assert!(bundled > 2_000 && proofs > 3_000 && scopes > 50, "{bundled} bundles, {proofs} proofs, {scopes}");
}

/// Every proof of a fact: one instance for each fact that is needed, none of which needs itself. `None` when there are
/// more than a test can look at.
struct Enumeration<'a> {
    graph: &'a Graph,
    mask: &'a [bool],
    starts: &'a [FactId],
    found: BTreeSet<(u64, Vec<u32>)>,
    steps: usize,
}

impl Enumeration<'_> {
    fn go(&mut self, chosen: &mut BTreeMap<FactId, u32>, open: &mut Vec<FactId>, target: FactId) -> bool {
        self.steps += 1;
        if self.steps > 20_000 {
            return false;
        }
        let Some(fact) = open.pop() else {
            if let Some(cost) = self.cost(chosen, target, &mut Vec::new()) {
                let mut set: Vec<u32> = chosen.values().copied().collect();
                set.sort_unstable();
                self.found.insert((cost, set));
            }
            return true;
        };
        if self.starts.contains(&fact) || chosen.contains_key(&fact) {
            let fine = self.go(chosen, open, target);
            open.push(fact);
            return fine;
        }
        let all: Vec<u32> = self.graph.concluding(fact).iter().copied().filter(|i| self.mask[*i as usize]).collect();
        for i in all {
            let before = open.len();
            chosen.insert(fact, i);
            open.extend(self.graph.instances[i as usize].premises.iter().copied());
            let kept = open.clone();
            if !self.go(chosen, open, target) {
                return false;
            }
            *open = kept;
            open.truncate(before);
            chosen.remove(&fact);
        }
        open.push(fact);
        true
    }

    /// What the proof tree costs; `None` when a fact needs itself.
    fn cost(&self, chosen: &BTreeMap<FactId, u32>, fact: FactId, above: &mut Vec<FactId>) -> Option<u64> {
        if self.starts.contains(&fact) {
            return Some(0);
        }
        if above.contains(&fact) {
            return None;
        }
        above.push(fact);
        let x = &self.graph.instances[*chosen.get(&fact)? as usize];
        let mut total = ((x.unknowns.len() as u64) << 40) + (u64::from(x.tier) << 16) + 1;
        for p in &x.premises {
            total += self.cost(chosen, *p, above)?;
        }
        above.pop();
        Some(total)
    }
}

#[test]
fn several_proofs_are_the_cheapest_of_all() {
    let mut rng = fastrand::Rng::with_seed(11);
    let settings = Settings::default();
    let (mut several, mut too_many) = (0, 0);
    for round in 0..10_000 {
        let (graph, facts) = random(&mut rng);
        let mask = settings.mask(&graph, Lane::May);
        let target = FactId(rng.u32(0..facts as u32));
        let start = [FactId(rng.u32(0..facts as u32))];
        let list = Prover::new(&graph, &settings, Ranking::Cost).prove_many(&mask, &start, &|x| x == target, 5);
        let mut all = Enumeration { graph: &graph, mask: &mask, starts: &start, found: BTreeSet::new(), steps: 0 };
        if !all.go(&mut BTreeMap::new(), &mut vec![target], target) {
            too_many += 1;
            continue;
        }
        let got: BTreeSet<(u64, Vec<u32>)> = list
            .iter()
            .map(|p| {
                let mut set = p.instances.clone();
                set.sort_unstable();
                (p.cost, set)
            })
            .collect();
        assert_eq!(got.len(), list.len(), "the same proof twice, round {round}");
        assert!(got.is_subset(&all.found), "no proof, or another cost, round {round}");
        let costs: Vec<u64> = all.found.iter().map(|(c, _)| *c).take(5).collect();
        assert_eq!(list.iter().map(|p| p.cost).collect::<Vec<_>>(), costs, "round {round}");
        several += usize::from(list.len() > 1);
    }
    assert!(several > 1_000 && too_many < 500, "{several} with several proofs, {too_many} too large");
}
