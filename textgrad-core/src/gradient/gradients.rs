//! Gradients: the result of a backward pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Feedback, Gradient};
use crate::op::Call;
use crate::variable::Variable;

/// A gradient as it reached a variable: from which call, for which argument.
#[derive(Debug, Clone)]
pub struct Received {
    gradient: Gradient,
    consumer: Option<Arc<Call>>,
    argument: usize,
}

impl Received {
    pub(crate) fn seed() -> Self {
        Self { gradient: Gradient::Objective, consumer: None, argument: 0 }
    }

    pub(crate) fn new(gradient: Gradient, consumer: Arc<Call>, argument: usize) -> Self {
        Self { gradient, consumer: Some(consumer), argument }
    }

    /// What was said.
    #[must_use]
    pub fn gradient(&self) -> &Gradient {
        &self.gradient
    }

    /// The call that used the variable; `None` for the root of the pass.
    #[must_use]
    pub fn consumer(&self) -> Option<&Arc<Call>> {
        self.consumer.as_ref()
    }

    /// For which of that call's arguments.
    #[must_use]
    pub fn argument(&self) -> usize {
        self.argument
    }
}

#[derive(Debug, Clone)]
struct Entry {
    variable: Variable,
    received: Vec<Received>,
    gradients: Vec<Gradient>,
}

/// What a backward pass found: for each variable, what was said about it.
///
/// Nothing on the variables is changed, so there is nothing to reset between passes. The order, of variables
/// and of what was said about each, is that of the graph, never that of arrival.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    entries: Vec<Entry>,
    index: HashMap<Variable, usize>,
}

impl Gradients {
    pub(crate) fn insert(
        &mut self,
        variable: Variable,
        received: Vec<Received>,
        gradients: Vec<Gradient>,
    ) {
        if let Some(entry) = self.index.get(&variable).and_then(|i| self.entries.get_mut(*i)) {
            entry.received.extend(received);
            entry.gradients.extend(gradients);
        } else {
            self.index.insert(variable.clone(), self.entries.len());
            self.entries.push(Entry { variable, received, gradients });
        }
    }

    fn entry(&self, variable: &Variable) -> Option<&Entry> {
        self.index.get(variable).and_then(|index| self.entries.get(*index))
    }

    /// What holds for a variable: what reached it, merged where an op asked for that.
    #[must_use]
    pub fn get(&self, variable: &Variable) -> &[Gradient] {
        self.entry(variable).map_or(&[], |entry| &entry.gradients)
    }

    /// What reached a variable, one entry per edge, before anything was merged.
    #[must_use]
    pub fn received(&self, variable: &Variable) -> &[Received] {
        self.entry(variable).map_or(&[], |entry| &entry.received)
    }

    /// The feedback that holds for a variable.
    pub fn feedback(&self, variable: &Variable) -> impl Iterator<Item = &Feedback> {
        self.get(variable).iter().filter_map(Gradient::feedback)
    }

    /// The words of the feedback that holds for a variable, one below the other.
    #[must_use]
    pub fn text(&self, variable: &Variable) -> String {
        self.feedback(variable).map(Feedback::text).collect::<Vec<_>>().join("\n")
    }

    /// The variables that something reached, in the order of the graph: inputs before what is made of them.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.entries.iter().map(|entry| &entry.variable)
    }

    /// How many variables something reached.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing reached anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds what another pass found, behind what is there: feedback accumulates over a batch.
    pub fn accumulate(&mut self, other: Self) {
        for entry in other.entries {
            self.insert(entry.variable, entry.received, entry.gradients);
        }
    }
}
