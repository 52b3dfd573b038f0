//! DOT documents, built and printed with graphviz-rust. That crate escapes nothing: every string goes through [`quote`].

use std::collections::BTreeMap;

use graphviz_rust::dot_structures::{Attribute, Edge, EdgeTy, Graph, Id, Node, NodeId, Stmt, Subgraph, Vertex};
use graphviz_rust::printer::{DotPrinter, PrinterContext};

use super::picture::{Picture, Shape};

/// Quotes a string for DOT. `&` is written as an entity, because Graphviz decodes entities in labels.
pub fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' | '\0' => {}
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

pub(super) fn attribute(key: &str, value: &str) -> Attribute {
    Attribute(Id::Plain(key.to_owned()), Id::Escaped(quote(value)))
}

pub(super) fn node_id(n: usize) -> NodeId {
    NodeId(Id::Plain(format!("n{n}")), None)
}

/// The document that users get: readable labels, colours and clusters, made for `dot` and for editing.
pub fn render(p: &Picture) -> String {
    let mut stmts = vec![
        Stmt::Attribute(attribute("rankdir", "LR")),
        Stmt::Attribute(attribute("label", &p.caption)),
        Stmt::Attribute(attribute("labelloc", "b")),
        Stmt::Attribute(attribute("fontname", "Helvetica")),
    ];
    let mut clusters: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, b) in p.boxes.iter().enumerate() {
        clusters.entry(&b.namespace).or_default().push(i);
    }
    for (c, (namespace, members)) in clusters.iter().enumerate() {
        let nodes: Vec<Stmt> = members
            .iter()
            .filter_map(|i| p.boxes.get(*i).map(|b| (i, b)))
            .map(|(i, b)| {
                let (fill, line, text) = b.shape.colors();
                let label = if b.kind.is_empty() { b.name.clone() } else { format!("{}\n{}", b.kind, b.name) };
                let shape = match b.shape {
                    Shape::Attacker | Shape::Workload => "box",
                    Shape::Group => "folder",
                    Shape::Target => "octagon",
                    Shape::Node => "box3d",
                    Shape::Permission => "note",
                    Shape::Identity => "square",
                    Shape::And => "circle",
                };
                let shape = if b.shape == Shape::Identity { "box" } else { shape };
                let style =
                    if matches!(b.shape, Shape::Attacker | Shape::Workload) { "filled,rounded" } else { "filled" };
                Stmt::Node(Node::new(
                    node_id(*i),
                    vec![
                        attribute("label", &label),
                        attribute("shape", shape),
                        attribute("style", style),
                        attribute("fillcolor", fill),
                        attribute("color", line),
                        attribute("fontcolor", text),
                        attribute("fontname", "Helvetica"),
                    ],
                ))
            })
            .collect();
        if namespace.is_empty() {
            stmts.extend(nodes);
        } else {
            let mut inner = vec![
                Stmt::Attribute(attribute("label", &super::picture::boundary(namespace))),
                Stmt::Attribute(attribute("bgcolor", "#F4F4F4")),
            ];
            match namespace.starts_with(super::picture::ACCOUNT) {
                true => inner.push(Stmt::Attribute(attribute("color", "#00664B"))),
                false => inner.push(Stmt::Attribute(attribute("style", "dashed"))),
            }
            inner.extend(nodes);
            stmts.push(Stmt::Subgraph(Subgraph { id: Id::Plain(format!("cluster_{c}")), stmts: inner }));
        }
    }
    for a in &p.arrows {
        let mut attributes = vec![
            attribute("label", &if a.unknown { format!("{} ?", a.label) } else { a.label.clone() }),
            attribute("fontname", "Helvetica"),
        ];
        attributes.push(attribute("style", if a.unknown { "dotted" } else { "solid" }));
        attributes.push(attribute("color", if a.strong { "#B3002D" } else { "#444444" }));
        stmts.push(Stmt::Edge(Edge {
            ty: EdgeTy::Pair(Vertex::N(node_id(a.from)), Vertex::N(node_id(a.to))),
            attributes,
        }));
    }
    print(Graph::DiGraph { id: Id::Plain("kpath".into()), strict: false, stmts })
}

pub(super) fn print(g: Graph) -> String {
    let mut text = g.print(&mut PrinterContext::default());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_inside_its_quotes() {
        assert_eq!(quote("a\"b\\c\nd&e\r\0"), "\"a\\\"b\\\\c\\nd&amp;e\"");
    }
}
