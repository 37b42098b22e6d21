//! Labels, scores and stages that a drawing of a graph shows.

use std::collections::HashMap;
use std::sync::Arc;

#[cfg(feature = "page")]
use petgraph::graph::NodeIndex;

#[cfg(feature = "page")]
use super::Graph;
use crate::score::Score;
use crate::variable::Variable;

/// Labels, scores and stages for a drawing of a graph.
///
/// Stages follow one another, as the iterations of a search. A node without a stage of its own belongs to the first
/// stage that uses it.
///
/// # Examples
/// ```
/// use textgrad_core::{Annotations, Graph, Variable};
///
/// let answer = Variable::constant("Four.", "answer");
/// let graph = Graph::trace(&answer);
/// let mut annotations = Annotations::default();
/// annotations.label(&answer, "answer 0").score(&answer, 0.5).stage("iteration 1", [&answer]);
/// let dot = graph.view().annotations(&annotations).to_dot();
/// assert!(dot.contains(r"answer 0\niteration 1, score 0.500\nFour."), "{dot}");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    labels: HashMap<Variable, Arc<str>>,
    scores: HashMap<Variable, Score>,
    stages: Vec<Arc<str>>,
    stage_of: HashMap<Variable, usize>,
}

impl Annotations {
    /// Gives a variable a label, which is drawn in place of its role.
    pub fn label(
        &mut self,
        variable: impl Into<Variable>,
        label: impl Into<Arc<str>>,
    ) -> &mut Self {
        self.labels.insert(variable.into(), label.into());
        self
    }

    /// Gives a variable a score, which is drawn in place of its own.
    pub fn score(&mut self, variable: impl Into<Variable>, score: impl Into<Score>) -> &mut Self {
        self.scores.insert(variable.into(), score.into());
        self
    }

    /// Adds variables to a stage. A name that is new is the stage after all that there are.
    pub fn stage<V: Into<Variable>>(
        &mut self,
        name: impl Into<Arc<str>>,
        variables: impl IntoIterator<Item = V>,
    ) -> &mut Self {
        let name = name.into();
        let known = self.stages.iter().position(|stage| *stage == name);
        let stage = known.unwrap_or(self.stages.len());
        if known.is_none() {
            self.stages.push(name);
        }
        self.stage_of.extend(variables.into_iter().map(|variable| (variable.into(), stage)));
        self
    }

    pub(crate) fn label_of(&self, variable: &Variable) -> Option<&Arc<str>> {
        self.labels.get(variable)
    }

    pub(crate) fn score_of(&self, variable: &Variable) -> Option<Score> {
        self.scores.get(variable).copied()
    }

    /// The name of the stage that a variable was added to.
    pub(crate) fn stage_of(&self, variable: &Variable) -> Option<&Arc<str>> {
        self.stages.get(*self.stage_of.get(variable)?)
    }

    /// The names of the stages, in their order.
    #[cfg(feature = "page")]
    pub(crate) fn stages(&self) -> &[Arc<str>] {
        &self.stages
    }

    /// The stage of each node, by its index: its own, or the first of those that use it.
    #[cfg(feature = "page")]
    pub(crate) fn stages_of_nodes(&self, graph: &Graph) -> HashMap<NodeIndex, usize> {
        let mut stages: HashMap<NodeIndex, usize> = HashMap::new();
        // Indices are in topological order: whatever uses a node comes first here.
        for node in graph.nodes.node_indices().rev() {
            let variable = graph.nodes.node_weight(node).and_then(|node| node.variable());
            let own = variable.and_then(|variable| self.stage_of.get(variable)).copied();
            let used = || graph.nodes.neighbors(node).filter_map(|user| stages.get(&user)).min();
            if let Some(stage) = own.or_else(|| used().copied()) {
                stages.insert(node, stage);
            }
        }
        stages
    }
}
