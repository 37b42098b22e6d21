//! Drawings of a graph.

use std::sync::Arc;

use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::{Graph, GraphEdge, GraphNode};
use crate::gradient::{Gradient, Gradients, IncomingFeedback};
use crate::op::Call;
use crate::variable::Variable;
use crate::variable::truncate;

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
#[derive(Debug, Clone, Copy)]
pub struct GraphView<'a> {
    pub(crate) graph: &'a Graph,
    gradients: Option<&'a Gradients>,
    max_chars: usize,
}

impl Graph {
    /// The graph, to be drawn. At most 60 characters of each text are shown, and no gradients.
    #[must_use]
    pub fn view(&self) -> GraphView<'_> {
        GraphView { graph: self, gradients: None, max_chars: 60 }
    }
}

impl<'a> GraphView<'a> {
    /// Shows what a backward pass found.
    #[must_use]
    pub fn gradients(mut self, gradients: &'a Gradients) -> Self {
        self.gradients = Some(gradients);
        self
    }

    /// Shows at most this many characters of each text; see [`truncate`]. It does not hold for JSON, which
    /// has all of every text.
    #[must_use]
    pub fn max_chars(mut self, max_chars: usize) -> Self {
        self.max_chars = max_chars;
        self
    }

    pub(crate) fn cut(&self, text: &str) -> String {
        truncate(text, self.max_chars)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &'a GraphNode)> {
        let nodes = &self.graph.nodes;
        nodes.node_indices().filter_map(|index| Some((index, nodes.node_weight(index)?)))
    }

    pub(crate) fn edges(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex, &'a GraphEdge)> {
        let edges = self.graph.nodes.edge_references();
        edges.map(|edge| (edge.source(), edge.target(), edge.weight()))
    }

    /// What was said, cut, as edges from a call back to a variable that it used. That the root is the
    /// objective has no such edge, and a loop from a node to itself is what drawing programs draw worst.
    pub(crate) fn drawn_notes(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex, String)> {
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
                let call = received.consumer();
                let call = call.and_then(|call| call_node(graph, node, received.argument(), call));
                (node, call, received)
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

/// The node of the call that uses the variable at `node` for this argument.
fn call_node(
    graph: &Graph,
    node: NodeIndex,
    argument: usize,
    call: &Arc<Call>,
) -> Option<NodeIndex> {
    graph.nodes.edges(node).find_map(|edge| {
        let is_argument =
            matches!(edge.weight(), GraphEdge::Argument { position, .. } if *position == argument);
        let target = graph.nodes.node_weight(edge.target())?.call()?;
        (is_argument && Arc::ptr_eq(target, call)).then(|| edge.target())
    })
}
