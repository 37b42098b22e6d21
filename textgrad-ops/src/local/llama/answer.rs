//! An answer while it is written.

use llama_cpp_2::json_schema_to_grammar;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use serde_json::Value;
use textgrad_core::{
    EngineError, ErrorKind, FinishReason, Format, Request, TokenLogprob, truncate,
};

use super::sampler::{SamplingParams, check_grammar, logprobs, uniform};
use super::text::AnswerText;
use crate::local::invalid;

/// How the answers of a call are written.
#[derive(Debug, Clone)]
pub(super) struct AnswerSettings {
    params: SamplingParams,
    stop: Vec<String>,
    max_tokens: usize,
    top_logprobs: Option<usize>,
}

impl AnswerSettings {
    /// The settings of a request.
    pub(super) fn new(request: &Request) -> Result<Self, EngineError> {
        let sampling = &request.sampling;
        let mut params = SamplingParams::new(sampling)?;
        if let Some(format) = &request.format {
            if params.grammar.is_some() {
                return Err(invalid("expected a format or the parameter grammar, got both"));
            }
            params.grammar = Some(grammar(format)?);
        }
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        match sampling.max_tokens {
            Some(0) => Err(invalid("expected max_tokens to be at least 1, got 0")),
            most => Ok(Self {
                params,
                stop: sampling.stop.clone(),
                max_tokens: most.map_or(usize::MAX, count),
                top_logprobs: sampling.top_logprobs.map(count),
            }),
        }
    }
}

/// The grammar of a format.
fn grammar(format: &Format) -> Result<String, EngineError> {
    match format {
        Format::JsonSchema(schema) => {
            let schema = Value::Object(schema.schema().clone()).to_string();
            json_schema_to_grammar(&schema).map_err(|error| {
                invalid(format!(
                    "expected a JSON schema that llama.cpp turns into a grammar, got {:?}: {error}",
                    truncate(&schema, 80)
                ))
            })
        }
        Format::Grammar { grammar, .. } => {
            check_grammar(grammar)?;
            Ok(grammar.to_string())
        }
        _ => Err(EngineError::new(ErrorKind::Unsupported, "expected a JSON schema or a grammar")),
    }
}

/// A finished answer.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) finish_reason: FinishReason,
    pub(super) logprobs: Vec<TokenLogprob>,
    /// The one that ends the answer included.
    pub(super) tokens: usize,
}

/// The state of one answer.
pub(super) struct Answer {
    settings: AnswerSettings,
    grammar: Option<LlamaSampler>,
    seed: u64,
    /// How many tokens were drawn, the one that ends the answer included.
    tokens: usize,
    text: AnswerText,
    logprobs: Vec<TokenLogprob>,
    finish_reason: Option<FinishReason>,
}

impl Answer {
    pub(super) fn new(
        model: &LlamaModel,
        settings: &AnswerSettings,
        seed: u64,
    ) -> Result<Self, EngineError> {
        let grammar = settings.params.grammar.as_deref().map(|grammar| {
            LlamaSampler::grammar(model, grammar, "root").map_err(|error| {
                invalid(format!(
                    "expected a grammar in GBNF with the rule `root`, got {:?}, which llama.cpp does not read: {error}",
                    truncate(grammar, 80)
                ))
            })
        });
        Ok(Self {
            settings: settings.clone(),
            grammar: grammar.transpose()?,
            seed,
            tokens: 0,
            text: AnswerText::new(&settings.stop),
            logprobs: Vec::new(),
            finish_reason: None,
        })
    }

    /// How many tokens were drawn.
    pub(super) fn tokens(&self) -> usize {
        self.tokens
    }

    pub(super) fn is_over(&self) -> bool {
        self.finish_reason.is_some()
    }

    /// Ends an answer for which there is no more room.
    pub(super) fn cut_off(&mut self) {
        self.finish_reason.get_or_insert(FinishReason::Length);
    }

    /// Draws the next token from the logits behind the conversation so far, of which `prompt` tokens are the prompt.
    /// None if the answer ends.
    pub(super) fn next(
        &mut self,
        model: &LlamaModel,
        logits: &[f32],
        so_far: &[LlamaToken],
        prompt: usize,
    ) -> Option<LlamaToken> {
        let drawn = self.draw(logits, so_far, prompt);
        self.tokens += 1;
        let Some(token) = drawn else {
            self.finish_reason = Some(FinishReason::Other("no token is possible".to_owned()));
            return None;
        };
        let vocabulary = model.vocab();
        if let Some(most) = self.settings.top_logprobs {
            self.logprobs.push(logprob(model, logits, token, most));
        }
        if vocabulary.is_eog(token) {
            self.finish_reason = Some(FinishReason::Stop);
            return None;
        }
        if let Some(grammar) = &mut self.grammar {
            grammar.accept(token);
        }
        if self.text.push(&vocabulary.token_to_piece(token, false, None)) {
            self.finish_reason = Some(FinishReason::Stop);
            return None;
        }
        if self.tokens >= self.settings.max_tokens {
            self.finish_reason = Some(FinishReason::Length);
            return None;
        }
        Some(token)
    }

    fn draw(&mut self, logits: &[f32], so_far: &[LlamaToken], prompt: usize) -> Option<LlamaToken> {
        let ids: Vec<u32> = so_far.iter().map(|token| id(*token)).collect();
        let (prompt, answer) = ids.split_at_checked(prompt)?;
        // Two numbers for each token: the second one is for tokens that a grammar refuses.
        let position = u64::try_from(self.tokens).unwrap_or(u64::MAX).saturating_mul(2);
        let params = &self.settings.params;
        let drawn = params.draw(logits, prompt, answer, uniform(self.seed, position))?;
        let drawn = token(drawn);
        let Some(grammar) = &mut self.grammar else { return Some(drawn) };
        // All tokens of a vocabulary against a grammar takes long, and most that are drawn satisfy it.
        if !allowed(grammar, [(drawn, 0.0)]).is_empty() {
            return Some(drawn);
        }
        let mut kept = vec![f32::NEG_INFINITY; logits.len()];
        let all = (0..).map(LlamaToken).zip(logits.iter().copied());
        for (token, logit) in allowed(grammar, all) {
            if let Some(place) = usize::try_from(token.0).ok().and_then(|at| kept.get_mut(at)) {
                *place = logit;
            }
        }
        let number = uniform(self.seed, position.saturating_add(1));
        params.draw(&kept, prompt, answer, number).map(token)
    }

    pub(super) fn finish(self) -> Written {
        Written {
            text: self.text.finish(),
            finish_reason: self.finish_reason.unwrap_or(FinishReason::Length),
            logprobs: self.logprobs,
            tokens: self.tokens,
        }
    }
}

/// The tokens that a grammar allows next.
fn allowed(
    grammar: &mut LlamaSampler,
    tokens: impl IntoIterator<Item = (LlamaToken, f32)>,
) -> Vec<(LlamaToken, f32)> {
    let tokens = tokens.into_iter().map(|(token, logit)| LlamaTokenData::new(token, logit, 0.0));
    let mut tokens = LlamaTokenDataArray::from_iter(tokens, false);
    tokens.apply_sampler(grammar);
    let allowed = tokens.data.iter().filter(|data| data.logit() > f32::NEG_INFINITY);
    allowed.map(|data| (data.id(), data.logit())).collect()
}

/// How likely a token is, and the likeliest ones, with their texts.
pub(super) fn logprob(
    model: &LlamaModel,
    logits: &[f32],
    of: LlamaToken,
    most: usize,
) -> TokenLogprob {
    let vocabulary = model.vocab();
    let text = |token: LlamaToken| {
        String::from_utf8_lossy(&vocabulary.token_to_piece(token, true, None)).into_owned()
    };
    let (logprob, top) = logprobs(logits, id(of), most);
    let top = top.into_iter().map(|(other, logprob)| (text(token(other)), logprob)).collect();
    TokenLogprob { token: text(of), logprob, top }
}

fn id(token: LlamaToken) -> u32 {
    u32::try_from(token.0).unwrap_or(u32::MAX)
}

fn token(id: u32) -> LlamaToken {
    LlamaToken(i32::try_from(id).unwrap_or(i32::MAX))
}
