//! The circumstances under which feedback was given.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::Message;
use crate::op::Inputs;

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
