//! Coordinates for a picture, from the graphviz-pure layout engine. The only place that knows the engine.

use std::collections::BTreeMap;

use graphviz_rust::dot_structures::{Attribute, Edge, EdgeTy, Graph, Id, Node, Stmt, Subgraph, Vertex};
use serde_json::Value;

use super::dot::{attribute, node_id, print};
use super::picture::{Picture, Shape};

/// Direction of the arrows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Direction {
    /// Left to right.
    Lr,
    /// Top to bottom.
    Tb,
    /// Left to right unless that gets wider than 1100 px.
    #[default]
    Auto,
}

/// A rectangle in pixels, y pointing down.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rect {
    /// Left.
    pub x: f64,
    /// Top.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// Control points of a cubic spline, and the place of the label.
pub type Route = (Vec<(f64, f64)>, Option<(f64, f64)>);

/// Where everything is.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Width in pixels.
    pub width: f64,
    /// Height in pixels.
    pub height: f64,
    /// Boxes by number.
    pub boxes: Vec<Rect>,
    /// Arrows by number: control points of a cubic spline, and the place of the label.
    pub arrows: Vec<Route>,
    /// Namespaces.
    pub clusters: Vec<(String, Rect)>,
}

/// Width of a text in pixels, from the proportions of Helvetica.
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    let em: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'l' | 'j' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' => 0.28,
            'f' | 't' | 'r' | '/' | ' ' | '(' | ')' | '-' => 0.34,
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 0.89,
            'A'..='Z' => 0.70,
            _ => 0.56,
        })
        .sum();
    em * size * if bold { 1.07 } else { 1.0 }
}

/// Breaks a name into lines: after space, `/`, `:`, `@` and `-`, never at a dot.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut word = String::new();
    let flush = |word: &mut String, lines: &mut Vec<String>| {
        let full = lines.last().is_some_and(|l| !l.is_empty() && l.chars().count() + word.chars().count() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(l) = lines.last_mut() {
            l.push_str(word);
        }
        word.clear();
    };
    for c in text.chars() {
        word.push(c);
        if matches!(c, ' ' | '/' | ':' | '@' | '-' | ',') {
            flush(&mut word, &mut lines);
        }
    }
    flush(&mut word, &mut lines);
    lines.into_iter().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
}

/// Size of a box.
pub fn size(b: &super::picture::Box_) -> (f64, f64) {
    if b.shape == Shape::And {
        return (34.0, 34.0);
    }
    let lines = wrap(&b.name, 22);
    let w =
        lines.iter().map(|l| text_width(l, 12.0, true)).chain([text_width(&b.kind, 9.5, false)]).fold(60.0, f64::max);
    (w + 26.0, 15.0 * lines.len() as f64 + if b.kind.is_empty() { 16.0 } else { 28.0 })
}

fn source(p: &Picture, rank: &str) -> String {
    let plain = |k: &str, v: &str| Attribute(Id::Plain(k.to_owned()), Id::Plain(v.to_owned()));
    let mut stmts = vec![
        Stmt::Attribute(attribute("rankdir", rank)),
        Stmt::Attribute(plain("splines", "true")),
        Stmt::Attribute(plain("nodesep", "0.25")),
        Stmt::Attribute(plain("ranksep", "0.4")),
    ];
    let mut clusters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, b) in p.boxes.iter().enumerate() {
        clusters.entry(&b.namespace).or_default().push(i);
    }
    for (c, (ns, members)) in clusters.iter().enumerate() {
        let nodes: Vec<Stmt> = members
            .iter()
            .filter_map(|i| p.boxes.get(*i).map(|b| (*i, size(b))))
            .map(|(i, (w, h))| {
                Stmt::Node(Node::new(
                    node_id(i),
                    vec![
                        attribute("label", ""),
                        plain("shape", "box"),
                        plain("fixedsize", "true"),
                        plain("width", &format!("{:.3}", w / 72.0)),
                        plain("height", &format!("{:.3}", h / 72.0)),
                    ],
                ))
            })
            .collect();
        if ns.is_empty() {
            stmts.extend(nodes);
        } else {
            let title = super::picture::boundary(ns);
            let mut inner = vec![
                Stmt::Attribute(plain("margin", "10")),
                Stmt::Attribute(attribute("label", &title)),
                Stmt::Attribute(attribute("fontname", "Helvetica")),
                Stmt::Attribute(plain("fontsize", "11")),
            ];
            inner.extend(nodes);
            stmts.push(Stmt::Subgraph(Subgraph { id: Id::Plain(format!("cluster_{c}")), stmts: inner }));
        }
    }
    for (n, a) in p.arrows.iter().enumerate() {
        let mut attributes = vec![attribute("id", &format!("e{n}"))];
        if !a.label.is_empty() {
            let lines = wrap(&a.label, 18);
            let w = lines.iter().map(|l| text_width(l, 10.0, true)).fold(10.0, f64::max) + 8.0;
            let h = 12.0 * lines.len() as f64 + 3.0;
            let html = format!(
                "<<TABLE BORDER=\"0\" CELLBORDER=\"0\" FIXEDSIZE=\"TRUE\" WIDTH=\"{w:.0}\" HEIGHT=\"{h:.0}\"><TR><TD></TD></TR></TABLE>>"
            );
            attributes.push(Attribute(Id::Plain("label".into()), Id::Html(html)));
        }
        stmts.push(Stmt::Edge(Edge {
            ty: EdgeTy::Pair(Vertex::N(node_id(a.from)), Vertex::N(node_id(a.to))),
            attributes,
        }));
    }
    print(Graph::DiGraph { id: Id::Plain("layout".into()), strict: false, stmts })
}

/// Lays a picture out.
///
/// # Errors
/// The engine's message.
pub fn layout(p: &Picture, direction: Direction) -> Result<Layout, String> {
    match direction {
        Direction::Lr => run(p, "LR"),
        Direction::Tb => run(p, "TB"),
        Direction::Auto => {
            let wide = run(p, "LR")?;
            if wide.width <= 1100.0 { Ok(wide) } else { run(p, "TB") }
        }
    }
}

fn run(p: &Picture, rank: &str) -> Result<Layout, String> {
    let json = graphviz_pure::render_dot(&source(p, rank), "dot", "json0").map_err(|e| e.to_string())?.into_output();
    let v: Value = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    let numbers = |s: &str| -> Vec<f64> { s.split([',', ' ']).filter_map(|x| x.parse().ok()).collect() };
    let bb = numbers(v["bb"].as_str().unwrap_or_default());
    let (Some(width), Some(height)) = (bb.get(2).copied(), bb.get(3).copied()) else {
        return Err("the layout engine gave no bounding box".into());
    };
    let mut out = Layout {
        width,
        height,
        boxes: vec![Rect::default(); p.boxes.len()],
        arrows: vec![(Vec::new(), None); p.arrows.len()],
        clusters: Vec::new(),
    };
    for o in v["objects"].as_array().into_iter().flatten() {
        let name = o["name"].as_str().unwrap_or_default();
        if let Some(bb) = o["bb"].as_str() {
            if let [x0, y0, x1, y1] = numbers(bb).as_slice() {
                out.clusters.push((
                    o["label"].as_str().unwrap_or_default().to_owned(),
                    Rect { x: *x0, y: height - y1, w: x1 - x0, h: y1 - y0 },
                ));
            }
            continue;
        }
        let Some(i) = name.strip_prefix('n').and_then(|n| n.parse::<usize>().ok()) else { continue };
        if let ([x, y], Some(slot), Some(b)) =
            (numbers(o["pos"].as_str().unwrap_or_default()).as_slice(), out.boxes.get_mut(i), p.boxes.get(i))
        {
            let (w, h) = size(b);
            *slot = Rect { x: x - w / 2.0, y: height - y - h / 2.0, w, h };
        }
    }
    for e in v["edges"].as_array().into_iter().flatten() {
        let Some(i) = e["id"].as_str().and_then(|s| s.strip_prefix('e')).and_then(|n| n.parse::<usize>().ok()) else {
            continue;
        };
        let Some(slot) = out.arrows.get_mut(i) else { continue };
        let pos = e["pos"].as_str().unwrap_or_default();
        let mut end = None;
        for part in pos.split(' ') {
            match part.split_once(',') {
                Some(("e", rest)) => end = Some(numbers(rest)),
                Some(("s", _)) => {}
                _ => {
                    if let [x, y] = numbers(part).as_slice() {
                        slot.0.push((*x, height - y));
                    }
                }
            }
        }
        if let Some([x, y]) = end.as_deref() {
            slot.0.push((*x, height - y));
        }
        if let Some([x, y]) = e["lp"].as_str().map(numbers).as_deref() {
            slot.1 = Some((*x, height - y));
        }
    }
    // The engine leaves a few edges without a route; they are drawn straight.
    for (slot, a) in out.arrows.iter_mut().zip(&p.arrows) {
        if slot.0.len() < 2
            && let (Some(f), Some(t)) = (out.boxes.get(a.from), out.boxes.get(a.to))
        {
            slot.0 = vec![(f.x + f.w / 2.0, f.y + f.h / 2.0), (t.x + t.w / 2.0, t.y + t.h / 2.0)];
        }
    }
    Ok(out)
}
