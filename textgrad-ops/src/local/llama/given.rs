//! Logprobs of given tokens, many of them computed in one step.

use std::ops::Range;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::{FinishReason, TokenLogprob};

use super::answer::{Written, logprob};

/// The state of a text whose tokens are given.
#[derive(Debug)]
pub(super) struct GivenText {
    /// The first token that counts, at least 1: no logits stand before the first one of all.
    from: usize,
    logprobs: Vec<TokenLogprob>,
}

impl GivenText {
    pub(super) fn new(from: usize) -> Self {
        Self { from: from.max(1), logprobs: Vec::new() }
    }

    /// Whether the logits behind a position are needed.
    pub(super) fn needs_logits(&self, position: usize) -> bool {
        position + 1 >= self.from
    }

    pub(super) fn is_over(&self, tokens: usize) -> bool {
        self.from + self.logprobs.len() >= tokens
    }

    /// Reads the logprobs of the tokens behind the positions that a step computed.
    pub(super) fn read(
        &mut self,
        model: &LlamaModel,
        context: &LlamaContext<'_>,
        tokens: &[LlamaToken],
        step: Range<usize>,
    ) {
        for (row, position) in (0..).zip(step) {
            let token = tokens.get(position + 1).filter(|_| self.needs_logits(position));
            if let Some(token) = token {
                self.logprobs.push(logprob(model, context.get_logits_ith(row), *token, 0));
            }
        }
    }

    pub(super) fn finish(self) -> Written {
        Written {
            text: String::new(),
            finish_reason: FinishReason::Stop,
            logprobs: self.logprobs,
            tokens: 0,
        }
    }
}
