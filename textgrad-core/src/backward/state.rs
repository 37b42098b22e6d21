//! What a pass knows about the nodes of its graph.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::gradient::{Context, Feedback, Gradient, Gradients, Received, Reduce};
use crate::graph::{Graph, GraphEdge, GraphNode};
use crate::op::Call;
use crate::variable::Variable;

/// A wish for reduction that travels with the gradients which passed through the call that has it.
#[derive(Clone)]
pub(super) struct Tag {
    /// The call's place in the graph: the smaller, the further inside.
    pub(super) rank: usize,
    pub(super) reduce: Arc<dyn Reduce>,
}

struct Arrival {
    consumer: usize,
    received: Received,
    tags: Vec<Tag>,
}

struct Item {
    gradient: Gradient,
    tags: Vec<Tag>,
}

/// One node: how many it still waits for (consumers of a variable, outputs of a call), and what arrived.
#[derive(Default)]
struct NodeState {
    waiting: usize,
    arrivals: Vec<Arrival>,
    /// Whether the arrivals were put in order; from then on the items hold, not the arrivals.
    gathered: bool,
    items: Vec<Item>,
    /// The wishes of everything that arrived: what goes on from here carries them too.
    tags: Vec<Tag>,
}

/// Feedback to be merged at a variable.
pub(super) struct Group {
    pub(super) tag: Tag,
    pub(super) feedback: Vec<Feedback>,
}

/// The bookkeeping of a pass: pure, without any call.
pub(super) struct State {
    graph: Graph,
    nodes: Vec<NodeState>,
    settled: VecDeque<NodeIndex>,
}

impl State {
    pub(super) fn new(root: &Variable) -> Self {
        let graph = Graph::trace_differentiable(root);
        let nodes = graph.as_petgraph();
        let mut states: Vec<NodeState> = nodes
            .node_indices()
            .map(|node| NodeState { waiting: nodes.edges(node).count(), ..NodeState::default() })
            .collect();
        let mut settled = VecDeque::new();
        if let Some(node) = graph.node(root)
            && let Some(state) = states.get_mut(node.index())
        {
            state.arrivals.push(Arrival {
                consumer: usize::MAX,
                received: Received::seed(),
                tags: Vec::new(),
            });
            settled.push_back(node);
        }
        Self { graph, nodes: states, settled }
    }

    /// The next node of which everything is known that it waited for.
    pub(super) fn next_settled(&mut self) -> Option<(NodeIndex, GraphNode)> {
        let node = self.settled.pop_front()?;
        Some((node, self.graph.as_petgraph().node_weight(node)?.clone()))
    }

    pub(super) fn variable(&self, node: NodeIndex) -> Option<Variable> {
        self.graph.as_petgraph().node_weight(node)?.variable().cloned()
    }

    /// A variable has all that will reach it: puts it in order.
    pub(super) fn gather(&mut self, node: NodeIndex) {
        let Some(state) = self.nodes.get_mut(node.index()) else {
            return;
        };
        state.gathered = true;
        state.arrivals.sort_by_key(|arrival| (arrival.consumer, arrival.received.argument()));
        for arrival in &state.arrivals {
            for tag in &arrival.tags {
                add_tag(&mut state.tags, tag);
            }
        }
        state.items = state
            .arrivals
            .iter()
            .map(|arrival| Item {
                gradient: arrival.received.gradient().clone(),
                tags: arrival.tags.clone(),
            })
            .collect();
    }

    /// The next group of feedback to merge at a variable: that of the innermost wish which two or more share.
    pub(super) fn next_group(&self, node: NodeIndex) -> Option<Group> {
        let state = self.nodes.get(node.index())?;
        let mut tags: Vec<&Tag> = state.items.iter().flat_map(|item| &item.tags).collect();
        tags.sort_by_key(|tag| tag.rank);
        tags.dedup_by_key(|tag| tag.rank);
        tags.into_iter().find_map(|tag| {
            let feedback: Vec<Feedback> = state
                .items
                .iter()
                .filter(|item| has_tag(&item.tags, tag))
                .filter_map(|item| item.gradient.feedback().cloned())
                .collect();
            (feedback.len() > 1).then(|| Group { tag: tag.clone(), feedback })
        })
    }

    /// Puts merged feedback in the place of what it was merged from.
    pub(super) fn merged(&mut self, node: NodeIndex, group: &Group, mut merged: Vec<Feedback>) {
        let Some(state) = self.nodes.get_mut(node.index()) else {
            return;
        };
        keep_contexts(group, &mut merged);
        let (mut items, mut inner) = (Vec::new(), Vec::new());
        let mut first = None;
        for item in std::mem::take(&mut state.items) {
            if has_tag(&item.tags, &group.tag) && item.gradient.feedback().is_some() {
                first.get_or_insert(items.len());
                for tag in item.tags.iter().filter(|tag| tag.rank != group.tag.rank) {
                    add_tag(&mut inner, tag);
                }
            } else {
                items.push(item);
            }
        }
        let replacements = merged
            .into_iter()
            .map(|feedback| Item { gradient: feedback.into(), tags: inner.clone() });
        let at = first.unwrap_or(items.len());
        items.splice(at..at, replacements);
        state.items = items;
    }

    /// Everything at a variable is merged: the call that made it may be due.
    pub(super) fn finish_variable(&mut self, node: NodeIndex) {
        let source: Vec<NodeIndex> =
            self.graph.as_petgraph().neighbors_directed(node, Direction::Incoming).collect();
        for call in source {
            self.settle_one(call);
        }
    }

    /// What reached the outputs of a call: the gradients of each, and the outputs in this pass.
    pub(super) fn outputs(
        &self,
        node: NodeIndex,
        call: &Call,
    ) -> (Vec<Vec<Gradient>>, Vec<Option<Variable>>) {
        let mut gradients = vec![Vec::new(); call.outputs().len()];
        let mut variables = vec![None; call.outputs().len()];
        let nodes = self.graph.as_petgraph();
        for edge in nodes.edges(node) {
            let GraphEdge::Output { position } = edge.weight() else {
                continue;
            };
            let items = self.nodes.get(edge.target().index()).map_or(&[][..], |state| &state.items);
            if let Some(slot) = gradients.get_mut(*position) {
                *slot = items.iter().map(|item| item.gradient.clone()).collect();
            }
            if let Some(slot) = variables.get_mut(*position) {
                *slot = nodes.node_weight(edge.target()).and_then(GraphNode::variable).cloned();
            }
        }
        (gradients, variables)
    }

    /// A call is done: hands what it said on to its inputs.
    pub(super) fn finish_call(
        &mut self,
        node: NodeIndex,
        call: &Arc<Call>,
        mut said: Vec<Option<Gradient>>,
    ) {
        let tags = self.tags_through(node, call);
        let mut arguments: Vec<(usize, NodeIndex)> = self
            .graph
            .as_petgraph()
            .edges_directed(node, Direction::Incoming)
            .filter_map(|edge| match edge.weight() {
                GraphEdge::Argument { position, .. } => Some((*position, edge.source())),
                GraphEdge::Output { .. } => None,
            })
            .collect();
        arguments.sort_unstable();
        for (position, variable) in arguments {
            if let Some(gradient) = said.get_mut(position).and_then(Option::take)
                && let Some(state) = self.nodes.get_mut(variable.index())
            {
                state.arrivals.push(Arrival {
                    consumer: node.index(),
                    received: Received::new(gradient, Arc::clone(call), position),
                    tags: tags.clone(),
                });
            }
            self.settle_one(variable);
        }
    }

    fn tags_through(&self, node: NodeIndex, call: &Call) -> Vec<Tag> {
        let mut tags = Vec::new();
        for output in self.graph.as_petgraph().neighbors(node) {
            for tag in self.nodes.get(output.index()).map_or(&[][..], |state| &state.tags) {
                add_tag(&mut tags, tag);
            }
        }
        if let Some(reduce) = call.op().reduction() {
            add_tag(&mut tags, &Tag { rank: node.index(), reduce });
        }
        tags
    }

    fn settle_one(&mut self, node: NodeIndex) {
        if let Some(state) = self.nodes.get_mut(node.index()) {
            state.waiting = state.waiting.saturating_sub(1);
            if state.waiting == 0 {
                self.settled.push_back(node);
            }
        }
    }

    /// Everything that was found so far, in the order of the graph.
    pub(super) fn into_gradients(mut self) -> Gradients {
        let mut gradients = Gradients::default();
        let variables: Vec<NodeIndex> = self.graph.as_petgraph().node_indices().collect();
        for node in variables {
            let Some(GraphNode::Variable(variable)) = self.graph.as_petgraph().node_weight(node)
            else {
                continue;
            };
            let variable = variable.clone();
            // A pass that ended early has variables of which not everything was gathered.
            if self.nodes.get(node.index()).is_some_and(|state| !state.gathered) {
                self.gather(node);
            }
            let Some(state) = self.nodes.get_mut(node.index()) else {
                continue;
            };
            if state.arrivals.is_empty() {
                continue;
            }
            let received = state.arrivals.drain(..).map(|arrival| arrival.received).collect();
            let items = state.items.drain(..).map(|item| item.gradient).collect();
            gradients.insert(variable, received, items);
        }
        gradients
    }
}

/// What was merged is still about the same uses of the variable: contexts that the merge let go of belong to
/// the first that it made.
fn keep_contexts(group: &Group, merged: &mut [Feedback]) {
    let kept: HashSet<*const Context> =
        merged.iter().flat_map(Feedback::contexts).map(Arc::as_ptr).collect();
    let contexts = group.feedback.iter().flat_map(Feedback::contexts);
    let lost: Vec<Arc<Context>> =
        contexts.filter(|context| !kept.contains(&Arc::as_ptr(context))).cloned().collect();
    if let Some(first) = merged.first_mut() {
        *first = first.clone().with_contexts(lost);
    }
}

fn has_tag(tags: &[Tag], tag: &Tag) -> bool {
    tags.iter().any(|known| known.rank == tag.rank)
}

fn add_tag(tags: &mut Vec<Tag>, tag: &Tag) {
    if !has_tag(tags, tag) {
        tags.push(tag.clone());
    }
}
