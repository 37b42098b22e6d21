//! The variables that show what went before.

use serde::Serialize;
use serde_json::{Value as Json, json};
use textgrad_core::Message;

/// An earlier step, as requests for a new text show it: `number`, `text`, `feedback`, `feedback_text`,
/// `responses`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PastStep {
    /// Its number among those that are shown, from 1 for the oldest.
    pub number: usize,
    /// The text as it was then.
    pub text: String,
    /// What was said about it.
    pub feedback: Vec<String>,
    /// The same, joined by newlines.
    pub feedback_text: String,
    /// What came of the calls that it was used in; empty unless the optimizer keeps them.
    pub responses: Vec<String>,
}

impl PastStep {
    pub(super) fn example() -> Json {
        json!({ "number": 1, "text": "", "feedback": [""], "feedback_text": "", "responses": [""] })
    }
}

/// A rule that a text broke: `rule`, `problem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenRule {
    /// What must hold.
    pub rule: String,
    /// What was wrong with the text.
    pub problem: String,
}

impl BrokenRule {
    pub(super) fn example() -> Json {
        json!({ "rule": "", "problem": "" })
    }
}

/// A turn of a conversation.
#[derive(Debug, Clone, Serialize)]
pub struct TurnContext {
    /// Who spoke: `user` or `assistant`.
    pub role: &'static str,
    /// What was said.
    pub text: String,
    /// Whether that is the text that is shown as the variable in the same request.
    pub is_variable: bool,
}

impl TurnContext {
    pub(crate) fn new(turn: &Message, variable: Option<&str>) -> Self {
        let (role, text) = (turn.role.as_str(), turn.text());
        Self { role, is_variable: variable == Some(&text), text }
    }

    pub(super) fn example() -> Json {
        json!({ "role": "user", "text": "", "is_variable": false })
    }
}
