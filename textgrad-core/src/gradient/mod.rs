//! Textual gradients: feedback on variables, and the calls that it is about.

mod gradients;
mod reduce;

use std::collections::HashSet;
use std::sync::Arc;

use derive_setters::Setters;

pub use self::gradients::{GradientOf, Gradients, IncomingFeedback};
pub use self::reduce::{Deduplicate, KeepAll, Reduce, ReduceCx, ReduceFn, reduce_fn};
use crate::engine::Message;
use crate::op::{Call, Output};
use crate::variable::Variable;

/// What reaches a variable in a backward pass.
///
/// The objective at the end of a graph has no feedback of its own: there the pass starts with
/// [`Gradient::Objective`], a variant of its own and never an empty text, so that "this is the thing to
/// improve" and "there is no feedback" cannot be mixed up.
#[derive(Debug, Clone)]
pub enum Gradient {
    /// The variable is the objective itself, or stands for it.
    Objective,
    /// Feedback on the variable.
    Feedback(Feedback),
}

impl Gradient {
    /// The feedback, if it is any.
    #[must_use]
    pub fn feedback(&self) -> Option<&Feedback> {
        match self {
            Self::Objective => None,
            Self::Feedback(feedback) => Some(feedback),
        }
    }

    /// Closes the words for a later pass.
    pub(crate) fn stop_gradient(&mut self) {
        if let Self::Feedback(feedback) = self {
            feedback.stop_gradient();
        }
    }
}

/// The text of the feedback; of the objective, `objective`.
impl std::fmt::Display for Gradient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.feedback().map_or("objective", Feedback::text))
    }
}

/// The text.
impl std::fmt::Display for Feedback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

impl From<Feedback> for Gradient {
    fn from(feedback: Feedback) -> Self {
        Self::Feedback(feedback)
    }
}

/// Feedback in words on a variable, with the circumstances under which it was given.
///
/// The words are themselves a [`Variable`]: feedback that an op made stands in the graph with its past, and
/// an update made from it can be traced back to it.
///
/// # Examples
/// ```
/// use textgrad_core::Feedback;
///
/// let feedback = Feedback::new("Give an example.");
/// assert_eq!(feedback.text(), "Give an example.");
/// assert!(feedback.contexts().is_empty());
/// ```
#[derive(Debug, Clone)]
pub struct Feedback {
    words: Variable,
    /// What the words were joined of; empty if they were not.
    parts: Arc<[Variable]>,
    contexts: Arc<[Arc<Context>]>,
}

impl Feedback {
    /// The role of feedback that is made from plain words.
    pub const ROLE: &'static str = "feedback on a variable";

    /// Feedback in plain words.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self::from_variable(Variable::constant(text.into(), Self::ROLE))
    }

    /// Feedback whose words are a variable of the graph. An image has no words: its description is used.
    pub fn from_variable(words: impl Into<Variable>) -> Self {
        let words = words.into();
        let words = match words.text() {
            Some(_) => words,
            None => Variable::constant(words.value().describe(), Arc::clone(words.role())),
        };
        Self { words, parts: Arc::from([]), contexts: Arc::from([]) }
    }

    /// Feedback whose words were joined of several.
    pub(crate) fn joined(words: Variable, parts: Vec<Variable>) -> Self {
        Self { words, parts: parts.into(), contexts: Arc::from([]) }
    }

    /// The same feedback with one more circumstance under which it was given.
    #[must_use]
    pub fn with_context(self, context: impl Into<Arc<Context>>) -> Self {
        self.with_contexts([context.into()])
    }

    /// The same feedback with more circumstances; those that it has already are not repeated.
    #[must_use]
    pub fn with_contexts(mut self, contexts: impl IntoIterator<Item = Arc<Context>>) -> Self {
        let mut known = HashSet::new();
        let all = self.contexts.iter().cloned().chain(contexts);
        self.contexts = all.filter(|context| known.insert(Arc::as_ptr(context))).collect();
        self
    }

    /// Closes the words for a later pass; see [`Variable::stop_gradient`].
    pub(crate) fn stop_gradient(&mut self) {
        self.words = self.words.stop_gradient();
        if !self.parts.is_empty() {
            self.parts = self.parts.iter().map(Variable::stop_gradient).collect();
        }
    }

    /// The words.
    #[must_use]
    pub fn text(&self) -> &str {
        self.words.text().unwrap_or_default()
    }

    /// The words as a variable of the graph.
    #[must_use]
    pub fn variable(&self) -> &Variable {
        &self.words
    }

    /// What the words were [joined](Gradient::join) of; the words themselves if they were not.
    #[must_use]
    pub fn parts(&self) -> &[Variable] {
        if self.parts.is_empty() { std::slice::from_ref(&self.words) } else { &self.parts }
    }

    /// The circumstances under which it was given.
    #[must_use]
    pub fn contexts(&self) -> &[Arc<Context>] {
        &self.contexts
    }
}

/// A call that used a variable, as the context of feedback on that variable.
///
/// [`BackwardCx::context`](crate::BackwardCx::context) gives that of the call under differentiation. Prompts quote
/// it by [`Op::quote`](crate::Op::quote): the context keeps the call, not a rendered text, so the optimizer renders it
/// with its own prompt pack and does not repeat the text of the variable.
#[derive(Debug, Clone, Setters)]
#[setters(generate = false, prefix = "with_", strip_option, into)]
pub struct Context {
    call: Arc<Call>,
    response: Output,
    response_variable: Option<Variable>,
    /// Adds the messages of the request for the feedback, followed by the feedback itself, for a later request to
    /// continue.
    #[setters(generate)]
    dialogue: Option<Arc<[Message]>>,
}

impl Context {
    /// The call that made a variable; `None` for a leaf.
    pub fn of(response: impl Into<Variable>) -> Option<Self> {
        let response = response.into();
        let source = response.source()?;
        let context = Self::new(source.call(), source.output())?;
        Some(Self { response_variable: Some(response), ..context })
    }

    /// A call and the position of the output that the feedback came through; `None` if there is no such output.
    #[must_use]
    pub fn new(call: &Arc<Call>, output: usize) -> Option<Self> {
        let response = call.outputs().get(output)?.clone();
        Some(Self { call: Arc::clone(call), response, response_variable: None, dialogue: None })
    }

    /// The call.
    #[must_use]
    pub fn call(&self) -> &Arc<Call> {
        &self.call
    }

    /// The output of the call that the feedback came through.
    #[must_use]
    pub fn response(&self) -> &Output {
        &self.response
    }

    /// The same output as a variable of the graph, if the context was made of one or in a backward pass.
    #[must_use]
    pub fn response_variable(&self) -> Option<&Variable> {
        self.response_variable.as_ref()
    }

    /// The messages of the request for the feedback, followed by the feedback itself, if a later request may
    /// continue them.
    #[must_use]
    pub fn dialogue(&self) -> Option<&Arc<[Message]>> {
        self.dialogue.as_ref()
    }
}
