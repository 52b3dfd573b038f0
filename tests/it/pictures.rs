//! Pictures: every one is rendered, boxes and labels do not overlap, DOT is accepted by a real `dot` when there is one.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use kpath::query::selector;
use kpath::render::layout::{self, Direction, Rect};
use kpath::render::picture::{self, Ends};
use kpath::render::{dot, svg};
use kpath::report::answer::{self, Question};
use kpath::rules;

use crate::support::{demo, repo};

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

fn demo_picture() -> picture::Picture {
    let cluster = demo();
    let attack = rules::build(&cluster);
    let q = Question::new();
    let pick = |s| selector::resolve(&attack, &cluster, s, false).unwrap();
    let a = answer::ask(&attack, &cluster, &q, &pick("pod/ci/runner"), &pick("cluster-admin"), 2);
    let lists: Vec<_> = a.proofs.iter().map(Vec::as_slice).collect();
    picture::draw(&attack, &cluster, "pod/ci/runner reaches cluster-admin", &lists, Ends::Proven(&BTreeSet::new())).0
}

#[test]
fn boxes_and_labels_do_not_overlap() {
    let p = demo_picture();
    assert!(p.boxes.len() > 4 && p.boxes.len() <= picture::LIMIT);
    for direction in [Direction::Lr, Direction::Tb] {
        let l = layout::layout(&p, direction).unwrap();
        for (i, a) in l.boxes.iter().enumerate() {
            assert!(a.w > 0.0, "box {i} has no place");
            for b in l.boxes.iter().skip(i + 1) {
                assert!(!overlap(a, b), "boxes overlap in {direction:?}");
            }
            for (_, label) in &l.arrows {
                let Some((x, y)) = label else { continue };
                assert!(
                    !overlap(a, &Rect { x: x - 4.0, y: y - 4.0, w: 8.0, h: 8.0 }),
                    "a label lies on a box in {direction:?}"
                );
            }
        }
    }
}

#[test]
fn svg_and_png_are_deterministic_and_escape_names() {
    let mut p = demo_picture();
    p.boxes[0].name = "</text><script>\"&\u{1b}[31m\u{202e}".into();
    let one = svg::render(&p, Direction::Auto).unwrap();
    assert_eq!(one, svg::render(&p, Direction::Auto).unwrap());
    assert!(!one.contains("<script>") && !one.contains('\u{1b}') && !one.contains('\u{202e}'));
    let png = svg::png(&one).unwrap();
    assert_eq!(&png[1..4], b"PNG");
    assert_eq!(png, svg::png(&one).unwrap());
    assert!(png.len() > 10_000, "the picture is empty");
}

#[test]
fn a_no_draws_what_was_reached() {
    let cluster = demo();
    let attack = rules::build(&cluster);
    let draw = |from: &str| {
        let from = selector::resolve(&attack, &cluster, from, false).unwrap();
        let reached = answer::reached(&attack, &cluster, &Question::new(), &from);
        let lists: Vec<_> = reached.iter().map(Vec::as_slice).collect();
        picture::draw(&attack, &cluster, "no", &lists, Ends::Reached(&from.facts)).0
    };
    let p = draw("pod/shop/queue-worker");
    let names: BTreeSet<&str> = p.boxes.iter().map(|b| b.name.as_str()).collect();
    assert!(names.contains("registry-push") && !names.contains("cluster-admin"), "{names:?}");
    assert!(p.arrows.len() >= 5);
    // From Redis nothing follows: the picture is the start.
    assert_eq!(draw("deploy/shop/redis").boxes.len(), 1);
}

#[test]
fn a_real_dot_accepts_the_document() {
    let mut p = demo_picture();
    p.boxes[1].name = "quote\" back\\slash & <b>\n".into();
    let text = dot::render(&p);
    let Ok(mut child) =
        Command::new("dot").arg("-Tsvg").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    else {
        println!("skipped: no dot on this machine");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn the_picture_of_the_readme_is_current() {
    let svg = svg::render(&demo_picture(), Direction::Auto).unwrap();
    let path = repo("docs/demo.svg");
    if std::env::var_os("KPATH_WRITE").is_some() {
        std::fs::write(&path, &svg).unwrap();
        std::fs::write(repo("target/demo.png"), svg::png(&svg).unwrap()).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).is_ok_and(|t| t == svg),
        "docs/demo.svg is old; write it with KPATH_WRITE=1 cargo test"
    );
}
