//! From a graph to its data.

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
use crate::op::Call;
use crate::score::Score;
use crate::variable::Value;
use crate::variable::Variable;

/// The argument for which an op that rewrites a text takes the text.
const REWRITTEN: &str = "variable";

impl GraphData {
    pub(super) fn of(view: &GraphView<'_>) -> Self {
        let mut nodes: Vec<NodeData> = Vec::with_capacity(view.graph.nodes.node_count());
        for (index, node) in view.nodes() {
            let node = NodeData::of(view.graph, index, node, &nodes);
            nodes.push(node);
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
        let updates = updates(view, &nodes);
        Self { version: VERSION, nodes, edges, gradients, updates }
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

impl From<&Value> for ValueData {
    fn from(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text { text: Arc::clone(text) },
            Value::Image(image) => Self::Image {
                media_type: image.media_type().to_owned(),
                bytes: image.bytes().len(),
            },
        }
    }
}

impl From<Score> for ScoreData {
    fn from(score: Score) -> Self {
        match score {
            Score::Passed(passed) => Self::Passed(passed),
            Score::Number(number) if number.is_finite() => Self::Number(number),
            Score::Number(number) => Self::NotFinite(number.to_string()),
        }
    }
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
        let received = found.received(variable);
        // Contexts are added on the way; words that are the same node were not merged.
        let merged = found.feedback(variable).filter(|feedback| {
            let same = |other: &Feedback| other.variable() == feedback.variable();
            !received.iter().any(|one| one.gradient().feedback().is_some_and(same))
        });
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
        text: feedback.and_then(|feedback| text_of(feedback.variable())),
        words: words.map(NodeIndex::index),
        request: request.map(RequestData::from),
    }
}

fn text_of(variable: &Variable) -> Option<Arc<str>> {
    match variable.value() {
        Value::Text(text) => Some(Arc::clone(text)),
        Value::Image(_) => None,
    }
}

/// The new versions in the graph, each with what it was made from: all outputs of a call that rewrites one
/// text, or one output for each of several.
fn updates(view: &GraphView<'_>, nodes: &[NodeData]) -> Vec<UpdateData> {
    let mut all = Vec::new();
    for (index, node) in view.nodes() {
        let GraphNode::Variable(after) = node else { continue };
        let Some(source) = after.source() else { continue };
        let Some(call) = view.graph.nodes.neighbors_directed(index, petgraph::Incoming).next()
        else {
            continue;
        };
        let rewrites = nodes.get(call.index()).is_some_and(|node| {
            node.class == Class::Update && matches!(node.kind, NodeKind::Call { .. })
        });
        let before = rewrites.then(|| rewritten(source.call(), source.output())).flatten();
        let Some(before) = before else { continue };
        if let (Some(old), Some(new), Some(base)) =
            (before.text(), after.text(), view.graph.node(before))
        {
            all.push(UpdateData {
                call: call.index(),
                before: base.index(),
                after: index.index(),
                changes: word_changes(old, new),
            });
        }
    }
    all
}

fn rewritten(call: &Call, output: usize) -> Option<&Variable> {
    let mut inputs = call.inputs().iter().filter(|input| &**input.name() == REWRITTEN);
    let first = inputs.next()?;
    match inputs.next() {
        None => Some(first.variable()),
        Some(second) if output > 0 => {
            std::iter::once(second).chain(inputs).nth(output - 1).map(|input| input.variable())
        }
        Some(_) => Some(first.variable()),
    }
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
    pub(super) fn of_call(request: Option<&RequestData>) -> Self {
        match request.map(|request| request.purpose) {
            None => Self::Function,
            Some(Purpose::Loss | Purpose::Judge) => Self::Loss,
            Some(Purpose::Gradient | Purpose::Reduce) => Self::Feedback,
            Some(Purpose::Update) => Self::Update,
            Some(Purpose::Sample | Purpose::Forward) => Self::Model,
        }
    }

    /// The class of a variable, by the nodes before it.
    pub(super) fn of_variable(
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
    pub(super) fn of(graph: &Graph, index: NodeIndex, node: &GraphNode, before: &[Self]) -> Self {
        let (class, kind) = match node {
            GraphNode::Variable(variable) => (
                Class::of_variable(graph, index, variable, before),
                NodeKind::Variable {
                    role: variable.role().clone(),
                    requires_grad: variable.requires_grad(),
                    value: variable.value().into(),
                    score: variable.score().map(Into::into),
                },
            ),
            GraphNode::Call(call) => {
                let request = call.op().request(call.inputs()).map(RequestData::from);
                let class = Class::of_call(request.as_ref());
                (class, NodeKind::Call { op: call.op().name().to_owned(), request })
            }
        };
        Self { id: index.index(), class, kind }
    }
}
