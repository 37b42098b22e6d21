//! Responses of engines.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use derive_setters::Setters;
use serde::{Deserialize, Serialize};

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FinishReason {
    /// The model was done, or a stop text was met.
    Stop,
    /// The answer was cut off at its longest length: it is not whole.
    Length,
    /// A filter withheld the answer or its end.
    ContentFilter,
    /// A reason that this library does not know, kept as received.
    Other(String),
}

impl FinishReason {
    /// The name that servers use.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::Other(other) => other,
        }
    }

    /// Whether the answer was truncated at its longest length.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::Length)
    }

    /// Whether the model ended the answer. A reason that is missing or unknown is no end.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Stop)
    }
}

impl From<String> for FinishReason {
    /// Reads a reason by any of the names that servers use, in any case of its letters.
    fn from(text: String) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" | "finished"
            | "complete" | "completed" => Self::Stop,
            "length"
            | "max_tokens"
            | "max_output_tokens"
            | "max_completion_tokens"
            | "model_length"
            | "model_context_window_exceeded"
            | "token_limit" => Self::Length,
            "content_filter" | "content_filtered" | "refusal" | "safety" => Self::ContentFilter,
            _ => Self::Other(text),
        }
    }
}

impl From<FinishReason> for String {
    fn from(reason: FinishReason) -> Self {
        reason.as_str().to_owned()
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How likely a token of an answer was, and which tokens were the alternatives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token as text.
    pub token: String,
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// The likeliest tokens at its position, itself perhaps among them, with theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<(String, f64)>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(generate = false, prefix = "with_")]
pub struct Choice {
    /// The text, without reasoning.
    pub text: String,
    /// The reasoning of the model before the text, if it was returned. It is kept for logs, and never scored,
    /// quoted or parsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[setters(generate, strip_option, into)]
    pub reasoning: Option<String>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Its tokens in order, if [`Sampling::top_logprobs`](super::Sampling::top_logprobs) asked for them and
    /// the server returns them. Together they are not always the text: servers leave out of the text what a
    /// model thought, and tell its end mark.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[setters(generate)]
    pub logprobs: Vec<TokenLogprob>,
}

impl Choice {
    /// An answer and why it ended.
    pub fn new(text: impl Into<String>, finish_reason: FinishReason) -> Self {
        Self { text: text.into(), reasoning: None, finish_reason, logprobs: Vec::new() }
    }
}

/// Tokens that a call cost. A prompt is counted once, whatever the number of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens.
    pub prompt_tokens: u64,
    /// Completion tokens, all answers together.
    pub completion_tokens: u64,
    /// Of the prompt tokens, those that the server had cached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
    /// Of the completion tokens, those that the model reasoned with, where the server reports them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// Prompt and completion tokens.
    #[must_use]
    pub fn total(self) -> u64 {
        self.prompt_tokens.saturating_add(self.completion_tokens)
    }
}

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            reasoning_tokens: self.reasoning_tokens.saturating_add(other.reasoning_tokens),
        }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

/// What an engine answered: at least one choice, what it cost, and which model it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Setters)]
#[setters(generate = false, prefix = "with_", into)]
pub struct Response {
    /// The answers, in the order of their index.
    pub choices: Vec<Choice>,
    /// What the call cost; zero where the server does not say.
    #[serde(default)]
    #[setters(generate)]
    pub usage: Usage,
    /// The model as the server names it; empty where it does not say.
    #[serde(default)]
    #[setters(generate)]
    pub model: String,
}

impl Response {
    /// A response without usage and model.
    #[must_use]
    pub fn new(choices: Vec<Choice>) -> Self {
        Self { choices, usage: Usage::default(), model: String::new() }
    }
}
