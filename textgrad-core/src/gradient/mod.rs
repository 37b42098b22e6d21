//! Textual gradients: what is said about a variable, and by whom.

mod gradients;
mod reduce;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::gradients::{Gradients, Received};
pub use self::reduce::{Deduplicate, KeepAll, Reduce, ReduceCx, ReduceFn, reduce_fn};
use crate::engine::Message;
use crate::op::Inputs;
use crate::variable::Variable;

/// What reaches a variable in a backward pass.
///
/// The objective at the end of a graph has no feedback of its own: there the pass starts with
/// [`Gradient::Objective`], a variant of its own and never an empty text, so that "this is the thing to
/// improve" and "nothing was said" cannot be mixed up.
#[derive(Debug, Clone)]
pub enum Gradient {
    /// The variable is the objective itself, or stands for it.
    Objective,
    /// Something was said about the variable.
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
    #[must_use]
    pub fn from_variable(words: Variable) -> Self {
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
        let mut all: Vec<Arc<Context>> = self.contexts.to_vec();
        for context in contexts {
            if !all.iter().any(|known| Arc::ptr_eq(known, &context)) {
                all.push(context);
            }
        }
        self.contexts = all.into();
        self
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

/// A prompt and a good answer to it, as an example for a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exchange {
    /// The prompt.
    pub prompt: Arc<str>,
    /// The answer.
    pub answer: Arc<str>,
}

/// What a variable was used for when the feedback on it came about.
#[derive(Debug, Clone)]
pub struct Context {
    /// The call that used the variable.
    pub source: ContextSource,
    /// What the result of that call is for, in words.
    pub response_role: Arc<str>,
    /// The exchange that the feedback came out of, its last turn being the feedback, if a later request may
    /// continue it turn by turn.
    pub dialogue: Option<Arc<[Message]>>,
}

/// The call that used a variable.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ContextSource {
    /// A call of a language model.
    Conversation {
        /// The system message, if there was one.
        system: Option<Arc<str>>,
        /// Examples that were sent before the prompt as turns of the conversation.
        examples: Arc<[Exchange]>,
        /// Turns of the conversation before the prompt, behind the examples.
        history: Arc<[Message]>,
        /// The texts of the user message.
        prompt: Arc<str>,
        /// How many images the user message held.
        images: usize,
        /// What the model answered.
        response: Arc<str>,
    },
    /// A call of a function.
    Function {
        /// What the function is for, in words.
        purpose: Arc<str>,
        /// What went in.
        inputs: Inputs,
        /// What came out.
        output: Arc<str>,
    },
}
