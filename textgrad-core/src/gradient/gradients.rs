//! Gradients: the result of a backward pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Feedback, Gradient};
use crate::op::Call;
use crate::variable::{Parameter, Variable};

/// A gradient as it reached a variable: from which call, for which argument.
#[derive(Debug, Clone)]
pub struct IncomingFeedback {
    gradient: Gradient,
    consumer: Option<Arc<Call>>,
    argument: usize,
}

impl IncomingFeedback {
    pub(crate) fn seed() -> Self {
        Self { gradient: Gradient::Objective, consumer: None, argument: 0 }
    }

    pub(crate) fn new(gradient: Gradient, consumer: Arc<Call>, argument: usize) -> Self {
        Self { gradient, consumer: Some(consumer), argument }
    }

    /// The gradient.
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
    received: Vec<IncomingFeedback>,
    gradients: Vec<Gradient>,
}

mod sealed {
    pub trait Position {
        fn position(&self, gradients: &super::Gradients) -> Option<usize>;
    }
}

/// A text that gradients are asked for: a [`Variable`] or a [`Parameter`].
pub trait GradientOf: sealed::Position {}

impl<T: sealed::Position + ?Sized> GradientOf for T {}

impl sealed::Position for Variable {
    fn position(&self, gradients: &Gradients) -> Option<usize> {
        gradients.index.get(self).copied()
    }
}

impl sealed::Position for Parameter {
    fn position(&self, gradients: &Gradients) -> Option<usize> {
        let current = gradients.index.get(&self.variable());
        current.or_else(|| gradients.last_leaves.get(&address(self.identity()))).copied()
    }
}

impl<T: sealed::Position + ?Sized> sealed::Position for &T {
    fn position(&self, gradients: &Gradients) -> Option<usize> {
        (**self).position(gradients)
    }
}

/// The result of a backward pass: the gradients of each variable.
///
/// Nothing on the variables is changed, so there is nothing to reset between passes. The order, of variables
/// and of the gradients of each, is that of the graph, never that of arrival.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    entries: Vec<Entry>,
    index: HashMap<Variable, usize>,
    /// The leaf of each parameter whose gradients were added last, by the address of the parameter's identity, which
    /// the leaf keeps alive.
    last_leaves: HashMap<usize, usize>,
}

fn address(identity: &Arc<()>) -> usize {
    Arc::as_ptr(identity).addr()
}

impl Gradients {
    pub(crate) fn insert(
        &mut self,
        variable: Variable,
        received: Vec<IncomingFeedback>,
        gradients: Vec<Gradient>,
    ) {
        if let Some(entry) = self.index.get(&variable).and_then(|i| self.entries.get_mut(*i)) {
            entry.received.extend(received);
            entry.gradients.extend(gradients);
        } else {
            if let Some(parameter) = variable.parameter() {
                self.last_leaves.insert(address(parameter), self.entries.len());
            }
            self.index.insert(variable.clone(), self.entries.len());
            self.entries.push(Entry { variable, received, gradients });
        }
    }

    fn entry(&self, of: &(impl GradientOf + ?Sized)) -> Option<&Entry> {
        self.entries.get(of.position(self)?)
    }

    /// The gradients of a variable or a parameter, merged where an op asks for that.
    ///
    /// For a [`Parameter`] these are the gradients of its current leaf or, once a step has replaced that leaf, of
    /// the leaf whose gradients were added last.
    ///
    /// # Examples
    /// ```
    /// use textgrad_core::{Parameter, Variable, backward};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let rules = Parameter::new("Be brief. ", "rules");
    /// let prompt = (rules.variable() + Variable::constant("Why?", "question"))?;
    /// let gradients = backward(&prompt).await?;
    /// rules.set("Be clear. ");
    /// assert_eq!(gradients.get(&rules).len(), 1);
    /// assert!(gradients.get(&rules.variable()).is_empty());
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn get(&self, of: &(impl GradientOf + ?Sized)) -> &[Gradient] {
        self.entry(of).map_or(&[], |entry| &entry.gradients)
    }

    /// The gradients that reached a variable or a parameter, one entry per edge, before any merge.
    #[must_use]
    pub fn received(&self, of: &(impl GradientOf + ?Sized)) -> &[IncomingFeedback] {
        self.entry(of).map_or(&[], |entry| &entry.received)
    }

    /// The feedback on a variable or a parameter.
    pub fn feedback(&self, of: &(impl GradientOf + ?Sized)) -> impl Iterator<Item = &Feedback> {
        self.get(of).iter().filter_map(Gradient::feedback)
    }

    /// The text of the feedback on a variable or a parameter, one below the other.
    #[must_use]
    pub fn text(&self, of: &(impl GradientOf + ?Sized)) -> String {
        self.feedback(of).map(Feedback::text).collect::<Vec<_>>().join("\n")
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
