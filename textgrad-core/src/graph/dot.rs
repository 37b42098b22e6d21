//! Graphviz.

use std::fmt::Write as _;

use super::{GraphEdge, GraphNode, GraphView};

impl GraphView<'_> {
    /// The graph in Graphviz' DOT. Variables are boxes (doubled if they require a gradient), calls are
    /// ellipses, feedback is a dashed edge back.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut dot = String::from(
            "digraph textgrad {\n  rankdir=TB;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n",
        );
        for (index, node) in self.nodes() {
            let (label, style) = match node {
                GraphNode::Variable(variable) => (
                    format!(
                        "{}\n{}",
                        self.cut(variable.role()),
                        self.cut(&variable.value().describe())
                    ),
                    if variable.requires_grad() { "shape=box, peripheries=2" } else { "shape=box" },
                ),
                GraphNode::Call(call) => (self.cut(call.op().name()), "shape=ellipse"),
            };
            let _ = writeln!(dot, "  n{} [{style}, label=\"{}\"];", index.index(), escape(&label));
        }
        for (from, to, edge) in self.edges() {
            let label = match edge {
                GraphEdge::Argument { name, .. } => escape(&self.cut(name)),
                GraphEdge::Output { position } => position.to_string(),
            };
            let _ = writeln!(dot, "  n{} -> n{} [label=\"{label}\"];", from.index(), to.index());
        }
        for (from, to, text) in self.drawn_notes() {
            let _ = writeln!(
                dot,
                "  n{} -> n{} [style=dashed, constraint=false, color=firebrick, fontcolor=firebrick, label=\"{}\"];",
                from.index(),
                to.index(),
                escape(&text)
            );
        }
        dot.push_str("}\n");
        dot
    }
}

/// A text inside a quoted DOT string.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}
