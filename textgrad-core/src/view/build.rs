//! From a graph to its data.

use std::collections::HashSet;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde::{Deserialize, Serialize};

use super::data::{
    EdgeData, EdgeKind, GradientData, GradientKind, GraphData, NodeData, NodeKind, RequestData,
    ScoreData, UpdateData, VERSION, ValueData,
};
use super::words::word_changes;
use crate::engine::Purpose;
use crate::gradient::{Feedback, Gradient};
use crate::graph::{Graph, GraphEdge, GraphNode, GraphView};
use crate::variable::{Value, Variable};

impl GraphData {
    pub(super) fn of(view: &GraphView<'_>) -> Self {
        let mut nodes: Vec<NodeData> = Vec::with_capacity(view.graph.nodes.node_count());
        for (index, node) in view.nodes() {
            let node = NodeData::of(view, index, node, &nodes);
            nodes.push(node);
        }
        let mut stages = Vec::new();
        if let Some(annotations) = view.annotations {
            stages = annotations.stages().to_vec();
            for (index, stage) in annotations.stages_of_nodes(view.graph) {
                if let Some(node) = nodes.get_mut(index.index()) {
                    node.stage = Some(stage);
                }
            }
        }
        let edges = view.edges().map(|(from, to, edge)| edge_data(from, to, edge)).collect();
        let gradients = gradients(view);
        for gradient in &gradients {
            // The root of a pass is what the pass is about, whatever made it.
            if gradient.kind == GradientKind::Objective
                && gradient.consumer.is_none()
                && let Some(node) = nodes.get_mut(gradient.variable)
            {
                node.class = Class::Loss;
            }
        }
        Self { version: VERSION, stages, nodes, edges, gradients, updates: updates(view) }
    }
}

fn edge_data(from: NodeIndex, to: NodeIndex, edge: &GraphEdge) -> EdgeData {
    let (kind, name, position) = match edge {
        GraphEdge::Argument { name, position } => {
            (EdgeKind::Argument, Some(Arc::clone(name)), *position)
        }
        GraphEdge::Output { position } => (EdgeKind::Output, None, *position),
    };
    EdgeData { kind, from: from.index(), to: to.index(), name, position }
}

/// What reached each variable, one entry per edge, and then what holds where that was merged.
fn gradients(view: &GraphView<'_>) -> Vec<GradientData> {
    let mut all: Vec<GradientData> = view
        .received()
        .map(|(variable, consumer, received)| GradientData {
            consumer: consumer.map(NodeIndex::index),
            argument: received.argument(),
            ..gradient_data(view, variable, received.gradient())
        })
        .collect();
    for (found, variable, node) in view.reached() {
        // Contexts are added on the way; words that are the same node were not merged.
        let received = found.received(variable).iter();
        let received: HashSet<&Variable> = received
            .filter_map(|received| received.gradient().feedback())
            .map(Feedback::variable)
            .collect();
        let merged =
            found.feedback(variable).filter(|feedback| !received.contains(feedback.variable()));
        all.extend(merged.map(|feedback| GradientData {
            kind: GradientKind::Merged,
            ..gradient_data(view, node, &Gradient::Feedback(feedback.clone()))
        }));
    }
    all
}

fn gradient_data(view: &GraphView<'_>, variable: NodeIndex, gradient: &Gradient) -> GradientData {
    let feedback = gradient.feedback();
    let words = feedback.and_then(|feedback| view.graph.node(feedback.variable()));
    // A call in the graph shows its own request.
    let outside = feedback.filter(|_| words.is_none());
    let request = outside.and_then(|feedback| {
        let call = feedback.variable().source()?.call();
        call.op().request(call.inputs())
    });
    GradientData {
        variable: variable.index(),
        consumer: None,
        argument: 0,
        kind: match gradient {
            Gradient::Objective => GradientKind::Objective,
            Gradient::Feedback(_) => GradientKind::Feedback,
        },
        text: feedback.map(|feedback| feedback.text().into()),
        words: words.map(NodeIndex::index),
        request: request.map(RequestData::from),
    }
}

/// The new versions in the graph, each with what it is a new version of.
fn updates(view: &GraphView<'_>) -> Vec<UpdateData> {
    let updates = view.nodes().filter_map(|(index, node)| {
        let after = node.variable()?;
        let source = after.source()?;
        let call = source.call();
        let rewritten = call.op().rewrites(source.output())?;
        let before = call.inputs().get(rewritten)?.variable();
        Some(UpdateData {
            call: view.graph.call(call)?.index(),
            before: view.graph.node(before)?.index(),
            after: index.index(),
            changes: word_changes(before.text()?, after.text()?),
        })
    });
    updates.collect()
}

/// What part a node plays, for colours and filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Class {
    /// A leaf that asks for feedback.
    Parameter,
    /// A leaf that does not.
    Input,
    /// Anything between.
    Value,
    /// What nothing uses.
    Output,
    /// An objective: a loss, or anything with a score.
    Loss,
    /// Feedback in words.
    Feedback,
    /// A new version of a text.
    Update,
    /// A call of a model.
    Model,
    /// A call without any model.
    Function,
}

impl Class {
    fn of_call(request: Option<&RequestData>) -> Self {
        match request.map(|request| request.purpose) {
            None => Self::Function,
            Some(Purpose::Loss | Purpose::Judge) => Self::Loss,
            Some(Purpose::Gradient | Purpose::Reduce) => Self::Feedback,
            Some(Purpose::Update) => Self::Update,
            Some(Purpose::Sample | Purpose::Forward) => Self::Model,
        }
    }

    /// The class of a variable, by the nodes before it.
    fn of_variable(
        graph: &Graph,
        node: NodeIndex,
        variable: &Variable,
        before: &[NodeData],
    ) -> Self {
        let maker = graph.nodes.neighbors_directed(node, Direction::Incoming).next();
        let maker = maker.and_then(|maker| before.get(maker.index())).map(|maker| maker.class);
        let used = graph.nodes.neighbors(node).next().is_some();
        match maker {
            None if variable.requires_grad() => Self::Parameter,
            None => Self::Input,
            Some(made @ (Self::Loss | Self::Feedback | Self::Update)) => made,
            Some(_) if variable.score().is_some() => Self::Loss,
            Some(_) if used => Self::Value,
            Some(_) => Self::Output,
        }
    }
}

impl NodeData {
    /// The node as data; `before` are those of smaller index.
    fn of(view: &GraphView<'_>, index: NodeIndex, node: &GraphNode, before: &[Self]) -> Self {
        let (graph, annotations) = (view.graph, view.annotations);
        let (class, kind) = match node {
            GraphNode::Variable(variable) => (
                Class::of_variable(graph, index, variable, before),
                NodeKind::Variable {
                    role: variable.role().clone(),
                    label: annotations.and_then(|notes| notes.label_of(variable)).cloned(),
                    requires_grad: variable.requires_grad(),
                    value: match variable.value() {
                        Value::Text(text) => ValueData::Text { text: Arc::clone(text) },
                        Value::Image(image) => ValueData::Image {
                            media_type: image.media_type().to_owned(),
                            bytes: image.bytes().len(),
                        },
                    },
                    score: annotations
                        .and_then(|notes| notes.score_of(variable))
                        .or_else(|| variable.score())
                        .map(ScoreData::from),
                },
            ),
            GraphNode::Call(call) => {
                let request = call.op().request(call.inputs()).map(RequestData::from);
                let class = Class::of_call(request.as_ref());
                (class, NodeKind::Call { op: call.op().name().to_owned(), request })
            }
        };
        Self { id: index.index(), class, stage: None, kind }
    }
}
