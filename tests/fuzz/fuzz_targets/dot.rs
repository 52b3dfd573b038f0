//! Any text as a label: the document stays one node with one label, and the label says what it said.
#![no_main]

use graphviz_rust::dot_structures::{Graph, Id, Stmt};
use kpath::render::dot::quote;
use libfuzzer_sys::fuzz_target;

/// What a reader of DOT takes a quoted string for.
fn meant(quoted: &str) -> String {
    let inner = quoted.strip_prefix('"').and_then(|t| t.strip_suffix('"')).expect("quoted");
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c) => out.push(c),
                None => panic!("a backslash at the end"),
            },
            '"' => panic!("a quote within"),
            c => out.push(c),
        }
    }
    out.replace("&amp;", "&")
}

fuzz_target!(|text: &str| {
    let document = format!("digraph {{ n0 [label={}]; }}", quote(text));
    let Ok(Graph::DiGraph { stmts, .. }) = graphviz_rust::parse(&document) else {
        panic!("no document: {document:?}");
    };
    let [Stmt::Node(node)] = stmts.as_slice() else { panic!("not one node: {document:?}") };
    let [attribute] = node.attributes.as_slice() else { panic!("not one attribute: {document:?}") };
    let Id::Escaped(value) = &attribute.1 else { panic!("not quoted: {document:?}") };
    assert_eq!(meant(value), text.replace(['\r', '\0'], ""), "{document:?}");
    // Graphviz itself, in its port, sees one node and nothing else.
    let graph = graphviz_pure_parser::parse_dot(&document).unwrap_or_else(|e| panic!("{document:?}: {e}"));
    assert_eq!((graph.nodes.len(), graph.edges.len(), graph.subgraphs.len()), (1, 0, 0), "{document:?}");
});
