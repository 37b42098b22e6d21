//! Depth and width of a graph.

use petgraph::Direction;
use petgraph::graph::NodeIndex;

use super::{Graph, GraphNode};
use crate::op::Call;

/// The most expensive chain of calls: no schedule can be faster.
#[derive(Debug, Clone)]
pub struct CriticalPath {
    /// The sum of the costs along it.
    pub cost: f64,
    /// Its nodes, variables and calls, from a leaf to the end.
    pub nodes: Vec<GraphNode>,
}

impl Graph {
    /// The largest number of calls on a chain; 0 for a leaf. Linear in the size of the graph.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.levels().into_iter().map(|(_, level)| level).max().unwrap_or(0)
    }

    /// The largest number of calls that have the same depth, and so could run at the same time. Linear in
    /// the size of the graph.
    #[must_use]
    pub fn width(&self) -> usize {
        let mut counts = vec![0_usize; self.depth() + 1];
        for (node, level) in self.levels() {
            if matches!(self.nodes.node_weight(node), Some(GraphNode::Call(_)))
                && let Some(count) = counts.get_mut(level)
            {
                *count += 1;
            }
        }
        counts.into_iter().max().unwrap_or(0)
    }

    /// The most expensive chain of calls, where `cost` is what one call takes, in any unit. Of equally
    /// expensive ones, the first in the order of the graph. Linear in the size of the graph.
    pub fn critical_path(&self, cost: impl Fn(&Call) -> f64) -> CriticalPath {
        let mut best: Vec<(f64, Option<NodeIndex>)> = Vec::with_capacity(self.nodes.node_count());
        for node in self.nodes.node_indices() {
            let own = match self.nodes.node_weight(node) {
                Some(GraphNode::Call(call)) => cost(call),
                _ => 0.0,
            };
            let before = self.costliest(self.inputs_of(node), &best);
            let (sum, from) = before.map_or((0.0, None), |(sum, from)| (sum, Some(from)));
            best.push((sum + own, from));
        }
        // A call costs as much as what it made: without this, a path would stop short of its end.
        let ends = self.nodes.externals(Direction::Outgoing).collect();
        let Some((cost, end)) = self.costliest(ends, &best) else {
            return CriticalPath { cost: 0.0, nodes: Vec::new() };
        };
        let mut nodes = Vec::new();
        let mut next = Some(end);
        while let Some(node) = next {
            nodes.extend(self.nodes.node_weight(node).cloned());
            next = best.get(node.index()).and_then(|(_, from)| *from);
        }
        nodes.reverse();
        CriticalPath { cost, nodes }
    }

    fn costliest(
        &self,
        nodes: Vec<NodeIndex>,
        best: &[(f64, Option<NodeIndex>)],
    ) -> Option<(f64, NodeIndex)> {
        let mut found: Option<(f64, NodeIndex)> = None;
        for node in nodes {
            if let Some((sum, _)) = best.get(node.index())
                && found.is_none_or(|(most, _)| *sum > most)
            {
                found = Some((*sum, node));
            }
        }
        found
    }

    /// What a node is made of, in topological order.
    fn inputs_of(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut inputs: Vec<NodeIndex> =
            self.nodes.neighbors_directed(node, Direction::Incoming).collect();
        inputs.sort_unstable();
        inputs
    }

    /// Each node with the number of calls on the longest chain that ends in it.
    fn levels(&self) -> Vec<(NodeIndex, usize)> {
        let mut levels: Vec<(NodeIndex, usize)> = Vec::with_capacity(self.nodes.node_count());
        for node in self.nodes.node_indices() {
            let below = self
                .nodes
                .neighbors_directed(node, Direction::Incoming)
                .filter_map(|input| levels.get(input.index()).map(|(_, level)| *level))
                .max()
                .unwrap_or(0);
            let own = matches!(self.nodes.node_weight(node), Some(GraphNode::Call(_)));
            levels.push((node, below + usize::from(own)));
        }
        levels
    }
}
