//! Drawings of a graph: Graphviz and Mermaid.

use std::fmt::Write as _;

use derive_setters::Setters;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::{Annotations, Graph, GraphEdge, GraphNode};
use crate::gradient::{Gradient, Gradients, IncomingFeedback};
use crate::variable::{Variable, truncate};

/// A graph about to be drawn: how much text is shown, and whether gradients are.
///
/// # Examples
/// ```
/// use textgrad_core::{Graph, Variable};
///
/// let graph = Graph::trace(&Variable::constant("a \"quoted\" text", "example"));
/// let dot = graph.view().max_chars(8).to_dot();
/// assert!(dot.contains(r#"label="example\na \"quot…""#), "{dot}");
/// ```
#[derive(Debug, Clone, Copy, Setters)]
#[setters(generate = false)]
pub struct GraphView<'a> {
    pub(crate) graph: &'a Graph,
    /// Shows the results of a backward pass.
    #[setters(generate, strip_option)]
    gradients: Option<&'a Gradients>,
    /// Shows labels, scores and stages.
    #[setters(generate, strip_option)]
    pub(crate) annotations: Option<&'a Annotations>,
    /// Shows at most this many characters of each text; see [`truncate`]. It does not hold for JSON, which has all of
    /// every text.
    #[setters(generate)]
    max_chars: usize,
}

impl Graph {
    /// The graph, to be drawn. At most 60 characters of each text are shown, and no gradients.
    #[must_use]
    pub fn view(&self) -> GraphView<'_> {
        GraphView { graph: self, gradients: None, annotations: None, max_chars: 60 }
    }
}

impl<'a> GraphView<'a> {
    /// The graph in Graphviz' DOT. Variables are boxes (doubled if they require a gradient), calls are ellipses,
    /// feedback is a dashed edge back.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut dot = String::from(
            "digraph textgrad {\n  rankdir=TB;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\"];\n",
        );
        for (index, node) in self.nodes() {
            let (label, style) = match node {
                GraphNode::Variable(variable) => (
                    self.label(variable),
                    if variable.requires_grad() { "shape=box, peripheries=2" } else { "shape=box" },
                ),
                GraphNode::Call(call) => (self.cut(call.op().name()), "shape=ellipse"),
            };
            let _ =
                writeln!(dot, "  n{} [{style}, label=\"{}\"];", index.index(), escape_dot(&label));
        }
        for (from, to, edge) in self.edges() {
            let label = escape_dot(&self.edge_label(edge));
            let _ = writeln!(dot, "  n{} -> n{} [label=\"{label}\"];", from.index(), to.index());
        }
        for (from, to, text) in self.feedback_edges() {
            let _ = writeln!(
                dot,
                "  n{} -> n{} [style=dashed, constraint=false, color=firebrick, fontcolor=firebrick, label=\"{}\"];",
                from.index(),
                to.index(),
                escape_dot(&text)
            );
        }
        dot.push_str("}\n");
        dot
    }

    /// The graph in Mermaid, which GitHub and many editors draw. Variables are boxes (doubled at the sides if they
    /// require a gradient), calls are rounded, feedback is a dotted edge back.
    #[must_use]
    pub fn to_mermaid(&self) -> String {
        let mut mermaid = String::from("flowchart TB\n");
        for (index, node) in self.nodes() {
            let index = index.index();
            let _ = match node {
                GraphNode::Variable(variable) => {
                    let label = self.label(variable);
                    let (open, close) =
                        if variable.requires_grad() { ("[[", "]]") } else { ("[", "]") };
                    writeln!(mermaid, "  n{index}{open}\"{}\"{close}", escape_mermaid(&label))
                }
                GraphNode::Call(call) => {
                    writeln!(
                        mermaid,
                        "  n{index}(\"{}\")",
                        escape_mermaid(&self.cut(call.op().name()))
                    )
                }
            };
        }
        for (from, to, edge) in self.edges() {
            let label = escape_mermaid(&self.edge_label(edge));
            let (from, to) = (from.index(), to.index());
            let _ = writeln!(mermaid, "  n{from} -->|\"{label}\"| n{to}");
        }
        for (from, to, text) in self.feedback_edges() {
            let (from, to) = (from.index(), to.index());
            let _ = writeln!(mermaid, "  n{from} -.->|\"{}\"| n{to}", escape_mermaid(&text));
        }
        mermaid
    }

    fn cut(&self, text: &str) -> String {
        truncate(text, self.max_chars)
    }

    fn label(&self, variable: &Variable) -> String {
        let value = self.cut(&variable.value().describe());
        let Some(annotations) = self.annotations else {
            return format!("{}\n{value}", self.cut(variable.role()));
        };
        let label = annotations.label_of(variable).unwrap_or_else(|| variable.role());
        let stage = annotations.stage_of(variable).map(|stage| self.cut(stage));
        let score = annotations.score_of(variable).map(|score| format!("score {score:.3}"));
        let notes = stage.into_iter().chain(score).collect::<Vec<_>>().join(", ");
        let lines = [self.cut(label), notes, value].into_iter();
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn edge_label(&self, edge: &GraphEdge) -> String {
        match edge {
            GraphEdge::Argument { name, .. } => self.cut(name),
            GraphEdge::Output { position } => position.to_string(),
        }
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &'a GraphNode)> {
        let nodes = &self.graph.nodes;
        nodes.node_indices().filter_map(|index| Some((index, nodes.node_weight(index)?)))
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex, &'a GraphEdge)> {
        let edges = self.graph.nodes.edge_references();
        edges.map(|edge| (edge.source(), edge.target(), edge.weight()))
    }

    /// Feedback, truncated, as edges from a call back to a variable that it used. That the root is the
    /// objective has no such edge, and a loop from a node to itself is what drawing programs draw worst.
    fn feedback_edges(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex, String)> {
        self.received().filter_map(|(variable, consumer, received)| {
            let text = match received.gradient() {
                Gradient::Objective => "objective".to_owned(),
                Gradient::Feedback(feedback) => self.cut(feedback.text()),
            };
            Some((consumer?, variable, text))
        })
    }

    /// What reached a variable, and from which call, one entry per edge, in the order of the graph.
    pub(crate) fn received(
        &self,
    ) -> impl Iterator<Item = (NodeIndex, Option<NodeIndex>, &'a IncomingFeedback)> {
        let graph = self.graph;
        self.reached().flat_map(move |(gradients, variable, node)| {
            gradients.received(variable).iter().map(move |received| {
                let consumer = received.consumer().and_then(|call| graph.call(call));
                (node, consumer, received)
            })
        })
    }

    /// The variables of the graph that something reached.
    pub(crate) fn reached(&self) -> impl Iterator<Item = (&'a Gradients, &'a Variable, NodeIndex)> {
        let graph = self.graph;
        self.gradients.into_iter().flat_map(move |gradients| {
            gradients
                .variables()
                .filter_map(move |variable| Some((gradients, variable, graph.node(variable)?)))
        })
    }
}

/// A text inside a quoted DOT string.
fn escape_dot(text: &str) -> String {
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

/// A text inside a quoted Mermaid label: everything that Mermaid, Markdown or HTML could read as markup goes
/// as a character entity. Mermaid looks for directives inside labels too, and refuses to draw a label in
/// which it finds a list or a link; between pairs of dollars it finds formulas, and
/// in a backslash before an n a line break.
fn escape_mermaid(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let (mut line, mut digits) = (String::new(), true);
    for c in text.chars() {
        let number = digits && !line.is_empty();
        match c {
            '\n' => escaped.push_str("<br/>"),
            '"' | '#' | '%' | '&' | '*' | ':' | ';' | '<' | '>' | '@' | '[' | '\\' | ']' | '_'
            | '`' | '{' | '|' | '}' | '~' => push_entity(&mut escaped, c),
            // Entities do not hide a formula or a line break: a space of no width does.
            '$' if line.ends_with('$') => escaped.push_str("#8203;$"),
            'n' if line.ends_with('\\') => escaped.push_str("#8203;n"),
            '-' | '+' if line.is_empty() => push_entity(&mut escaped, c),
            '.' | ')' if number || line.ends_with("www") => push_entity(&mut escaped, c),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
        if c == '\n' {
            line.clear();
            digits = true;
        } else if !(line.is_empty() && c.is_whitespace()) {
            digits &= c.is_ascii_digit();
            line.push(c);
        }
    }
    escaped
}

fn push_entity(escaped: &mut String, c: char) {
    let _ = write!(escaped, "#{};", u32::from(c));
}
