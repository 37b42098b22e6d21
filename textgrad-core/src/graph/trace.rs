//! From a variable back to everything that it was made of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};

use super::{Graph, GraphEdge, GraphNode};
use crate::op::Call;
use crate::variable::Variable;

enum Step {
    Enter(Variable),
    LeaveCall(Arc<Call>),
    LeaveVariable(Variable),
}

/// Traces what `roots` were made of, following the inputs that `follow` wants. Depth first and from left to
/// right with a stack of its own, so that the order is the program's and a long chain cannot overflow the
/// stack.
pub(super) fn trace<V: Into<Variable>>(
    roots: impl IntoIterator<Item = V>,
    follow: impl Fn(&Variable) -> bool,
) -> Graph {
    let mut nodes: DiGraph<GraphNode, GraphEdge> = DiGraph::new();
    let mut index: HashMap<Variable, NodeIndex> = HashMap::new();
    let mut calls: HashMap<*const Call, NodeIndex> = HashMap::new();
    let mut entered: HashSet<Variable> = HashSet::new();
    let mut entered_calls: HashSet<*const Call> = HashSet::new();

    for root in roots {
        let mut steps = vec![Step::Enter(root.into())];
        while let Some(step) = steps.pop() {
            match step {
                Step::Enter(variable) => {
                    if !entered.insert(variable.clone()) {
                        continue;
                    }
                    let call = variable.source().map(|source| Arc::clone(source.call()));
                    steps.push(Step::LeaveVariable(variable));
                    if let Some(call) = call
                        && entered_calls.insert(Arc::as_ptr(&call))
                    {
                        steps.push(Step::LeaveCall(Arc::clone(&call)));
                        for input in call.inputs().iter().rev() {
                            if follow(input.variable()) {
                                steps.push(Step::Enter(input.variable().clone()));
                            }
                        }
                    }
                }
                Step::LeaveCall(call) => {
                    let node = nodes.add_node(GraphNode::Call(Arc::clone(&call)));
                    calls.insert(Arc::as_ptr(&call), node);
                    for (position, input) in call.inputs().iter().enumerate() {
                        if let Some(from) = index.get(input.variable()) {
                            let name = Arc::clone(input.name());
                            nodes.add_edge(*from, node, GraphEdge::Argument { name, position });
                        }
                    }
                }
                Step::LeaveVariable(variable) => {
                    let node = nodes.add_node(GraphNode::Variable(variable.clone()));
                    if let Some(source) = variable.source()
                        && let Some(call) = calls.get(&Arc::as_ptr(source.call()))
                    {
                        nodes.add_edge(
                            *call,
                            node,
                            GraphEdge::Output { position: source.output() },
                        );
                    }
                    index.insert(variable, node);
                }
            }
        }
    }
    Graph { nodes, index }
}
