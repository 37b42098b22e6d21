//! The bookkeeping of a pass.

use std::collections::VecDeque;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::tags::{Group, Items, Tags};
use crate::error::Error;
use crate::gradient::{Feedback, Gradient, Gradients, IncomingFeedback};
use crate::graph::{Graph, GraphEdge, GraphNode};
use crate::op::Call;
use crate::variable::Variable;

struct Arrival {
    consumer: usize,
    received: IncomingFeedback,
    tag: Option<usize>,
}

/// One node: how many it still waits for (consumers of a variable, outputs of a call), and what arrived.
#[derive(Default)]
struct NodeState {
    waiting: usize,
    arrivals: Vec<Arrival>,
    /// Whether the arrivals were put in order; from then on the items hold, not the arrivals.
    gathered: bool,
    items: Items,
    /// The tag of everything that arrived: gradients that leave this node carry it too.
    tag: Option<usize>,
}

/// The bookkeeping of a pass: pure, without any call.
///
/// Methods fail with [`Error::Internal`] if an invariant is broken.
pub(super) struct State {
    graph: Graph,
    nodes: Vec<NodeState>,
    tags: Tags,
    settled: VecDeque<NodeIndex>,
}

impl State {
    /// The state of a pass over this graph, from one of its variables.
    pub(super) fn new(root: &Variable, graph: Graph) -> Result<Self, Error> {
        let node = graph.node(root).ok_or_else(|| internal("the root in its graph", "none"))?;
        let nodes = graph.nodes.node_indices();
        let nodes = nodes.map(|node| NodeState {
            waiting: graph.nodes.edges(node).count(),
            ..NodeState::default()
        });
        let nodes = nodes.collect();
        let settled = VecDeque::from([node]);
        let mut state = Self { graph, nodes, tags: Tags::default(), settled };
        state.node_mut(node)?.arrivals.push(Arrival {
            consumer: usize::MAX,
            received: IncomingFeedback::seed(),
            tag: None,
        });
        Ok(state)
    }

    fn node(&self, node: NodeIndex) -> Result<&NodeState, Error> {
        self.nodes.get(node.index()).ok_or_else(|| no_node(node))
    }

    fn node_mut(&mut self, node: NodeIndex) -> Result<&mut NodeState, Error> {
        self.nodes.get_mut(node.index()).ok_or_else(|| no_node(node))
    }

    /// The next node that waits for nothing any more.
    pub(super) fn next_settled(&mut self) -> Option<NodeIndex> {
        self.settled.pop_front()
    }

    pub(super) fn weight(&self, node: NodeIndex) -> Result<GraphNode, Error> {
        self.graph.nodes.node_weight(node).cloned().ok_or_else(|| no_node(node))
    }

    /// A variable has all that will reach it: puts it in order.
    pub(super) fn gather(&mut self, node: NodeIndex) -> Result<(), Error> {
        let Self { nodes, tags, .. } = self;
        let state = nodes.get_mut(node.index()).ok_or_else(|| no_node(node))?;
        state.gathered = true;
        state.arrivals.sort_by_key(|arrival| (arrival.consumer, arrival.received.argument()));
        let arrivals = state.arrivals.iter();
        state.tag = tags.through(node.index(), arrivals.clone().map(|arrival| arrival.tag), None);
        state.items =
            Items::new(arrivals.map(|arrival| (arrival.received.gradient().clone(), arrival.tag)));
        Ok(())
    }

    /// The next group of feedback to merge at a variable: that of the innermost reduction which two or more share.
    pub(super) fn next_group(&mut self, node: NodeIndex) -> Result<Option<Group>, Error> {
        let Self { nodes, tags, .. } = self;
        let state = nodes.get_mut(node.index()).ok_or_else(|| no_node(node))?;
        Ok(state.items.next_group(tags))
    }

    /// Replaces feedback by what it was merged into.
    pub(super) fn merged(
        &mut self,
        node: NodeIndex,
        group: &Group,
        merged: Vec<Feedback>,
    ) -> Result<(), Error> {
        let Self { nodes, tags, .. } = self;
        let state = nodes.get_mut(node.index()).ok_or_else(|| no_node(node))?;
        match state.items.merged(tags, group, merged) {
            true => Ok(()),
            false => Err(internal("feedback that was merged", "none")),
        }
    }

    /// Everything at a variable is merged: the call that made it may be due.
    pub(super) fn finish_variable(&mut self, node: NodeIndex) -> Result<(), Error> {
        let source: Vec<NodeIndex> =
            self.graph.nodes.neighbors_directed(node, Direction::Incoming).collect();
        source.into_iter().try_for_each(|call| self.settle_one(call))
    }

    /// What reached the outputs of a call: the gradients of each, and the outputs in this pass.
    #[expect(clippy::type_complexity, reason = "two lists, one entry per output")]
    pub(super) fn outputs(
        &self,
        node: NodeIndex,
        call: &Call,
    ) -> Result<(Vec<Vec<Gradient>>, Vec<Option<Variable>>), Error> {
        let mut gradients = vec![Vec::new(); call.outputs().len()];
        let mut variables = vec![None; call.outputs().len()];
        let nodes = &self.graph.nodes;
        for edge in nodes.edges(node) {
            let GraphEdge::Output { position } = edge.weight() else {
                return Err(internal("outputs behind a call", "an argument"));
            };
            let items = &self.node(edge.target())?.items;
            let (Some(gradients), Some(variable)) =
                (gradients.get_mut(*position), variables.get_mut(*position))
            else {
                return Err(internal("an output of the call", format!("output {position}")));
            };
            *gradients = items.gradients().cloned().collect();
            *variable = nodes.node_weight(edge.target()).and_then(GraphNode::variable).cloned();
        }
        Ok((gradients, variables))
    }

    /// Which inputs of a call are part of the pass.
    pub(super) fn needs(&self, node: NodeIndex, call: &Call) -> Vec<bool> {
        let mut needs = vec![false; call.inputs().len()];
        for edge in self.graph.nodes.edges_directed(node, Direction::Incoming) {
            if let GraphEdge::Argument { position, .. } = edge.weight()
                && let Some(needs) = needs.get_mut(*position)
            {
                *needs = true;
            }
        }
        needs
    }

    /// A call is done: passes its gradients on to its inputs.
    pub(super) fn finish_call(
        &mut self,
        node: NodeIndex,
        call: &Arc<Call>,
        mut gradients: Vec<Option<Gradient>>,
    ) -> Result<(), Error> {
        let tag = self.tag_through(node, call)?;
        let mut arguments: Vec<(usize, NodeIndex)> = self
            .graph
            .nodes
            .edges_directed(node, Direction::Incoming)
            .filter_map(|edge| match edge.weight() {
                GraphEdge::Argument { position, .. } => Some((*position, edge.source())),
                GraphEdge::Output { .. } => None,
            })
            .collect();
        arguments.sort_unstable();
        for (position, variable) in arguments {
            if let Some(gradient) = gradients.get_mut(position).and_then(Option::take) {
                self.node_mut(variable)?.arrivals.push(Arrival {
                    consumer: node.index(),
                    received: IncomingFeedback::new(gradient, Arc::clone(call), position),
                    tag,
                });
            }
            self.settle_one(variable)?;
        }
        Ok(())
    }

    fn tag_through(&mut self, node: NodeIndex, call: &Call) -> Result<Option<usize>, Error> {
        let outputs = self.graph.nodes.neighbors(node);
        let arrived = outputs.map(|output| Ok(self.node(output)?.tag));
        let arrived: Vec<Option<usize>> = arrived.collect::<Result<_, Error>>()?;
        Ok(self.tags.through(node.index(), arrived.into_iter(), call.op().reduction()))
    }

    fn settle_one(&mut self, node: NodeIndex) -> Result<(), Error> {
        let state = self.node_mut(node)?;
        state.waiting = state.waiting.checked_sub(1).ok_or_else(|| {
            internal("each edge to be finished once", format!("one more at node {}", node.index()))
        })?;
        if state.waiting == 0 {
            self.settled.push_back(node);
        }
        Ok(())
    }

    /// Everything that was found so far, in the order of the graph; the error if the pass `is_whole` although a
    /// variable still waits.
    pub(super) fn into_gradients(mut self, is_whole: bool) -> (Gradients, Option<Error>) {
        let mut gradients = Gradients::default();
        let mut broken = None;
        let nodes: Vec<NodeIndex> = self.graph.nodes.node_indices().collect();
        for node in nodes {
            let Some(GraphNode::Variable(variable)) = self.graph.nodes.node_weight(node) else {
                continue;
            };
            let variable = variable.clone();
            // A pass that ended early has variables of which not everything was gathered.
            if self.node(node).is_ok_and(|state| !state.gathered) {
                if is_whole {
                    let got = format!("node {} still waiting", node.index());
                    broken.get_or_insert(internal("every variable to be reached", got));
                }
                if let Err(error) = self.gather(node) {
                    broken.get_or_insert(error);
                }
            }
            match self.node_mut(node) {
                Ok(state) if !state.arrivals.is_empty() => {
                    let received = state.arrivals.drain(..).map(|arrival| arrival.received);
                    let received = received.collect();
                    let items = std::mem::take(&mut state.items).into_gradients().collect();
                    gradients.insert(variable, received, items);
                }
                Ok(_) => {}
                Err(error) => {
                    broken.get_or_insert(error);
                }
            }
        }
        (gradients, broken)
    }
}

fn internal(expected: &'static str, got: impl Into<String>) -> Error {
    Error::Internal { expected, got: got.into() }
}

fn no_node(node: NodeIndex) -> Error {
    internal("a state for each node of the graph", format!("none for node {}", node.index()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (State, NodeIndex) {
        let x = Variable::differentiable("x", "x");
        let sum = (&x + &x).unwrap();
        let state = State::new(&sum, Graph::trace_differentiable(&sum)).unwrap();
        let node = state.graph.node(&x).unwrap();
        (state, node)
    }

    #[test]
    fn a_node_that_is_finished_too_often_is_an_error() {
        let (mut state, node) = state();
        assert!(state.settle_one(node).is_ok() && state.settle_one(node).is_ok());
        let error = state.settle_one(node).unwrap_err();
        assert!(matches!(error, Error::Internal { .. }), "{error}");
    }

    #[test]
    fn a_node_without_a_state_is_an_error() {
        let (mut state, node) = state();
        state.nodes.clear();
        assert!(matches!(state.gather(node), Err(Error::Internal { .. })));
        assert!(matches!(state.next_group(node), Err(Error::Internal { .. })));
        assert!(matches!(state.into_gradients(true).1, Some(Error::Internal { .. })));
    }

    #[test]
    fn a_whole_pass_that_left_a_variable_waiting_is_an_error() {
        assert!(matches!(state().0.into_gradients(true).1, Some(Error::Internal { .. })));
        assert!(state().0.into_gradients(false).1.is_none());
    }
}
