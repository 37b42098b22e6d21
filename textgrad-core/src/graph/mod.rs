//! The graph that ends in a variable, traced on demand.

mod annotations;
mod draw;
mod measure;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

pub use self::annotations::Annotations;
pub use self::draw::GraphView;
pub use self::measure::CriticalPath;
use crate::op::Call;
use crate::variable::Variable;

/// A node: a variable, or the call between variables.
#[derive(Debug, Clone)]
pub enum GraphNode {
    /// A text or an image.
    Variable(Variable),
    /// A call of an op. It may have several outputs.
    Call(Arc<Call>),
}

impl GraphNode {
    /// The variable, if it is one.
    #[must_use]
    pub fn variable(&self) -> Option<&Variable> {
        match self {
            Self::Variable(variable) => Some(variable),
            Self::Call(_) => None,
        }
    }

    /// The call, if it is one.
    #[must_use]
    pub fn call(&self) -> Option<&Arc<Call>> {
        match self {
            Self::Variable(_) => None,
            Self::Call(call) => Some(call),
        }
    }
}

/// An edge: an argument of a call, or one of its outputs. `f(x, x)` has two edges from `x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GraphEdge {
    /// From a variable to the call that it is an argument of.
    Argument {
        /// The argument's name.
        name: Arc<str>,
        /// Its position among the arguments.
        position: usize,
    },
    /// From a call to a variable that it made.
    Output {
        /// Its position among the outputs.
        position: usize,
    },
}

/// The graph that ends in one or more variables.
///
/// Node indices are in topological order: whatever a node is made of has a smaller index. The order depends
/// on nothing but the program that built the graph.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{Graph, Inputs, Output, Variable, apply_one, op_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let twice = Arc::new(op_fn("twice", |inputs: Inputs| async move {
///     Ok(vec![Output::new(inputs.texts()?.join(""), "doubled text")])
/// }));
/// let x = Variable::constant("ab", "text");
/// let xx = apply_one(twice.clone(), [("left", &x), ("right", &x)]).await?;
/// let xxxx = apply_one(twice, [("left", &xx), ("right", &xx)]).await?;
///
/// let graph = Graph::trace(&xxxx);
/// assert_eq!((graph.variables().count(), graph.calls().count()), (3, 2));
/// assert_eq!((graph.depth(), graph.width()), (2, 1));
/// assert_eq!(graph.consumers(&x).count(), 2); // one per edge
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Graph {
    pub(crate) nodes: DiGraph<GraphNode, GraphEdge>,
    index: HashMap<Variable, NodeIndex>,
    /// The nodes of calls by address; the nodes keep the calls alive.
    calls: HashMap<usize, NodeIndex>,
}

impl Graph {
    /// Everything that `root` was made of. Linear in its size; never recurses.
    pub fn trace(root: impl Into<Variable>) -> Self {
        Self::trace_all([root])
    }

    /// Everything that any of `roots` was made of, as one graph.
    pub fn trace_all<V: Into<Variable>>(roots: impl IntoIterator<Item = V>) -> Self {
        trace(roots, |_| true, |_| true)
    }

    /// The part that a backward pass from `root` goes through: only what requires a gradient.
    pub(crate) fn trace_differentiable(root: &Variable) -> Self {
        trace([root], Variable::requires_grad, |_| true)
    }

    /// The part that lies between `root` and the variables `wanted`, whatever requires a gradient: without what is
    /// stopped, and without what is closed by the op that made it.
    pub(crate) fn trace_between(root: &Variable, wanted: &HashSet<Variable>) -> Self {
        let all = trace([root], Variable::is_open, Variable::leads_on);
        let mut leads = vec![false; all.nodes.node_count()];
        // Indices are topological: what a node was made of stands before it.
        for node in all.nodes.node_indices() {
            let mut before = all.nodes.neighbors_directed(node, Direction::Incoming);
            let from_before =
                before.any(|node| leads.get(node.index()).is_some_and(|leads| *leads));
            let variable = all.nodes.node_weight(node).and_then(GraphNode::variable);
            let is_wanted = variable.is_some_and(|variable| wanted.contains(variable));
            if let Some(leads) = leads.get_mut(node.index()) {
                *leads = from_before || is_wanted;
            }
        }
        let leads = |node: Option<NodeIndex>| {
            node.and_then(|node| leads.get(node.index())).is_some_and(|leads| *leads)
        };
        let source = |variable: &Variable| all.call(variable.source()?.call());
        trace(
            [root],
            |variable| variable.is_open() && leads(all.node(variable)),
            |variable| variable.leads_on() && leads(source(variable)),
        )
    }

    /// The underlying graph, for petgraph's own algorithms.
    #[must_use]
    pub fn as_petgraph(&self) -> &DiGraph<GraphNode, GraphEdge> {
        &self.nodes
    }

    /// The variables, in topological order.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.nodes.node_weights().filter_map(GraphNode::variable)
    }

    /// The calls, in topological order.
    pub fn calls(&self) -> impl Iterator<Item = &Arc<Call>> {
        self.nodes.node_weights().filter_map(GraphNode::call)
    }

    /// Whether a variable is part of the graph.
    #[must_use]
    pub fn contains(&self, variable: impl Into<Variable>) -> bool {
        self.index.contains_key(&variable.into())
    }

    /// The calls that use a variable, with the position of the argument: one per edge, in topological order.
    pub fn consumers<V: Into<Variable>>(
        &self,
        variable: V,
    ) -> impl Iterator<Item = (&Arc<Call>, usize)> + use<'_, V> {
        let mut edges: Vec<(NodeIndex, usize)> = self
            .node(&variable.into())
            .into_iter()
            .flat_map(|node| self.nodes.edges(node))
            .filter_map(|edge| match edge.weight() {
                GraphEdge::Argument { position, .. } => Some((edge.target(), *position)),
                GraphEdge::Output { .. } => None,
            })
            .collect();
        edges.sort_unstable();
        edges
            .into_iter()
            .filter_map(|(node, position)| Some((self.nodes.node_weight(node)?.call()?, position)))
    }

    pub(crate) fn node(&self, variable: &Variable) -> Option<NodeIndex> {
        self.index.get(variable).copied()
    }

    pub(crate) fn call(&self, call: &Arc<Call>) -> Option<NodeIndex> {
        self.calls.get(&address(call)).copied()
    }
}

fn address(call: &Arc<Call>) -> usize {
    Arc::as_ptr(call).addr()
}

enum Step {
    Enter(Variable),
    LeaveCall(Arc<Call>),
    LeaveVariable(Variable),
}

/// Traces what `roots` were made of, following the inputs that `follow` wants, and from a variable to the call that
/// made it where `leads_on` says so. Depth first and from left to
/// right with a stack of its own, so that the order is the program's and a long chain cannot overflow the
/// stack.
fn trace<V: Into<Variable>>(
    roots: impl IntoIterator<Item = V>,
    follow: impl Fn(&Variable) -> bool,
    leads_on: impl Fn(&Variable) -> bool,
) -> Graph {
    let mut nodes: DiGraph<GraphNode, GraphEdge> = DiGraph::new();
    let mut index: HashMap<Variable, NodeIndex> = HashMap::new();
    let mut calls: HashMap<usize, NodeIndex> = HashMap::new();
    let mut entered: HashSet<Variable> = HashSet::new();
    let mut entered_calls: HashSet<usize> = HashSet::new();

    for root in roots {
        let mut steps = vec![Step::Enter(root.into())];
        while let Some(step) = steps.pop() {
            match step {
                Step::Enter(variable) => {
                    // The first reference to a node may be one that is stopped.
                    let variable = variable.unstopped();
                    if !entered.insert(variable.clone()) {
                        continue;
                    }
                    let source = variable.source().filter(|_| leads_on(&variable));
                    let call = source.map(|source| Arc::clone(source.call()));
                    steps.push(Step::LeaveVariable(variable));
                    if let Some(call) = call
                        && entered_calls.insert(address(&call))
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
                    calls.insert(address(&call), node);
                    for (position, input) in call.inputs().iter().enumerate() {
                        if let Some(from) = index.get(input.variable())
                            && follow(input.variable())
                        {
                            let name = Arc::clone(input.name());
                            nodes.add_edge(*from, node, GraphEdge::Argument { name, position });
                        }
                    }
                }
                Step::LeaveVariable(variable) => {
                    let node = nodes.add_node(GraphNode::Variable(variable.clone()));
                    if let Some(source) = variable.source().filter(|_| leads_on(&variable))
                        && let Some(call) = calls.get(&address(source.call()))
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
    Graph { nodes, index, calls }
}
