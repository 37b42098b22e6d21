//! What part a node plays.

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde::{Deserialize, Serialize};

use super::{NodeData, NodeKind, RequestData};
use crate::engine::Purpose;
use crate::graph::{Graph, GraphNode};
use crate::variable::Variable;

/// What part a node plays, for colours and filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
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
