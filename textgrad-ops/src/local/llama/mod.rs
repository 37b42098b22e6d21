//! Policies in the process: models of GGUF files, run by llama.cpp.

mod answer;
mod builder;
mod context;
mod conversation;
mod given;
#[cfg(test)]
mod grammar_tests;
mod load;
mod log;
mod rates;
mod sampler;
mod slots;
mod steps;
#[cfg(test)]
mod tests;
mod text;
mod vocabulary;
mod worker;

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::{
    Engine, EngineError, EngineInfo, EngineStatus, ErrorKind, Message, Request, Response,
    TokenLogprob, Usage,
};
use tokio::sync::oneshot;

use self::answer::AnswerSettings;
pub use self::builder::LocalEngineBuilder;
use self::rates::Rates;
use self::worker::{Finished, Job, Work};
use super::{invalid, unsupported};
use crate::ChatTemplate;
use crate::engine::wire::{RawChoice, RawReply, TruncatedReplies, check};
use crate::util::fs::blocking;

/// A policy in the process: a model of a GGUF file, run by llama.cpp.
///
/// Conversations are written by the chat template of the file. All answers under way are decoded together, each in a
/// sequence of its own; the answers of a call share its prompt, which is read once, and a prompt that goes on from an
/// earlier conversation is read from where it differs. [`Usage::cached_tokens`] counts what was not read again.
///
/// It knows all of [`Sampling`](textgrad_core::Sampling), logprobs and JSON schemas included, and the extra fields
/// `top_k`, `min_p`, `repetition_penalty` and `grammar` (GBNF). Parameters that are not set leave the model's own
/// distribution.
///
/// The model works on threads of its own; a prompt becomes tokens in tokio's pool for blocking work, so calls need its
/// runtime. A call whose future is dropped ends before the next token, or after at most
/// 64 more tokens of a prompt. Cheap to clone; the model is unloaded with the last clone.
///
/// # Examples
/// ```
/// use textgrad_core::{Engine, Message, Purpose, Request, Sampling};
/// use textgrad_ops::local::LocalEngine;
///
/// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gguf/tiny.gguf");
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Here, a tiny model with random weights.
/// let engine = LocalEngine::builder(file).context(256).build()?;
/// let sampling = Sampling::default().with_n(2).with_seed(7).with_max_tokens(20);
/// let request = Request::new(Purpose::Sample, [Message::user("Hi!")]).with_sampling(sampling);
/// let response = engine.complete(&request).await?;
/// assert_eq!(response.choices.len(), 2);
/// assert_eq!(engine.complete(&request).await?.choices, response.choices);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct LocalEngine {
    info: EngineInfo,
    shared: Arc<Shared>,
    answers: &'static str,
    jobs: mpsc::Sender<Job>,
}

/// What calls of an engine need of the model.
#[derive(Debug)]
struct Shared {
    model: LlamaModel,
    template: ChatTemplate,
    context: usize,
    facts: Vec<(&'static str, String)>,
    rates: Rates,
    truncated: TruncatedReplies,
}

fn ended() -> EngineError {
    EngineError::new(ErrorKind::Other, "the thread of the model ended")
}

impl LocalEngine {
    /// Settings of the engine of a GGUF file.
    pub fn builder(path: impl AsRef<Path>) -> LocalEngineBuilder {
        LocalEngineBuilder::new(path.as_ref())
    }

    /// The chat template of the file.
    #[must_use]
    pub fn chat_template(&self) -> &ChatTemplate {
        &self.shared.template
    }

    /// The longest conversation in tokens.
    #[must_use]
    pub fn context_length(&self) -> usize {
        self.shared.context
    }

    /// The logprobs of the tokens of a given text behind a prompt, in order, under the model's own distribution. Both
    /// are texts as the chat template writes them; their special tokens are read as such. A token that holds the end
    /// of the prompt and the beginning of the text is the text's.
    ///
    /// They do not depend on what else is computed. A prompt that one of the sequences holds is not read again.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the prompt is empty, or both together are longer than the context, with both
    /// numbers.
    ///
    /// # Examples
    /// ```
    /// use textgrad_ops::local::LocalEngine;
    ///
    /// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gguf/tiny.gguf");
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let engine = LocalEngine::builder(file).context(256).build()?;
    /// let prompt = engine.chat_template().render_prompt(&[("user", "Hi!")]).unwrap();
    /// let logprobs = engine.logprobs(&prompt, "Hello.<|im_end|>").await?;
    /// // This model's tokens are bytes, and its special tokens.
    /// assert_eq!(logprobs.len(), 7);
    /// assert!(logprobs.iter().all(|token| token.logprob < 0.0));
    /// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
    /// ```
    pub async fn logprobs(
        &self,
        prompt: &str,
        text: &str,
    ) -> Result<Vec<TokenLogprob>, EngineError> {
        let Finished { answers, .. } = self.given(prompt, text).await?;
        Ok(answers.into_iter().flat_map(|answer| answer.logprobs).collect())
    }

    async fn given(&self, prompt: &str, text: &str) -> Result<Finished, EngineError> {
        let (shared, prompt) = (Arc::clone(&self.shared), prompt.to_owned());
        let whole = format!("{prompt}{text}");
        let (before, whole) = blocking(move || {
            Ok::<_, EngineError>([prompt, whole].map(|text| shared.tokens(&text)))
        })
        .await?
        .into();
        let from = before.iter().zip(&whole).take_while(|(before, token)| before == token).count();
        let context = self.shared.context;
        if from == whole.len() {
            return Ok(Finished::default());
        }
        if from == 0 {
            return Err(invalid(
                "expected a prompt before the text whose logprobs count, got none",
            ));
        }
        if whole.len() > context {
            return Err(invalid(format!(
                "expected a prompt and an answer of at most {context} tokens, the context of the model in the \
                 process, got {}; enlarge it, as in local:model.gguf,context=8192",
                whole.len()
            )));
        }
        self.ask(whole, Work::Logprobs { from }).await
    }

    async fn ask(&self, prompt: Vec<LlamaToken>, work: Work) -> Result<Finished, EngineError> {
        let (reply, finished) = oneshot::channel();
        self.jobs.send(Job { prompt, work, reply }).map_err(|_| ended())?;
        finished.await.map_err(|_| ended())?
    }
}

impl Shared {
    fn tokens(&self, text: &str) -> Vec<LlamaToken> {
        conversation::tokens(&self.model, &self.template, text)
    }

    /// The tokens of a conversation, up to where the model begins to write.
    fn prompt_tokens(&self, messages: &[Message]) -> Result<Vec<LlamaToken>, EngineError> {
        if messages.iter().any(Message::has_image) {
            return Err(unsupported(
                "expected texts, got an image, which this engine does not see",
            ));
        }
        let tokens = self.tokens(&conversation::prompt(&self.template, messages)?);
        match tokens.len() {
            0 => Err(invalid("expected a conversation, got none")),
            count if count < self.context => Ok(tokens),
            count => Err(invalid(format!(
                "expected a prompt of fewer than {} tokens, the context of the model in the process, got {count}; \
                 enlarge it, as in local:model.gguf,context=8192, or truncate answers (--truncate)",
                self.context
            ))),
        }
    }
}

#[async_trait]
impl Engine for LocalEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn status(&self) -> EngineStatus {
        let mut facts = self.shared.facts.clone();
        facts.push(("answers", self.answers.to_owned()));
        let [prefill, decode] = self.shared.rates.per_second();
        if let (Some(prefill), Some(decode)) = (prefill, decode) {
            facts.push((
                "speed",
                format!("{prefill:.0} prompt tokens/s, {decode:.0} completion tokens/s"),
            ));
        }
        let context_length = u64::try_from(self.shared.context).ok();
        EngineStatus { context_length, facts, ..EngineStatus::default() }
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        check(&request.sampling)?;
        let settings = AnswerSettings::new(request)?;
        let (shared, messages) = (Arc::clone(&self.shared), request.messages.clone());
        let prompt = blocking(move || shared.prompt_tokens(&messages)).await?;
        let prompt_tokens = prompt.len();
        let seed = request.sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let seeds = (0..u64::from(request.sampling.n)).map(|i| seed.wrapping_add(i)).collect();
        let Finished { answers, cached } =
            self.ask(prompt, Work::Answers { settings, seeds }).await?;
        let count = |tokens: usize| u64::try_from(tokens).unwrap_or(u64::MAX);
        let usage = Usage {
            prompt_tokens: count(prompt_tokens),
            completion_tokens: answers.iter().map(|answer| count(answer.tokens)).sum(),
            cached_tokens: count(cached),
            reasoning_tokens: 0,
        };
        let choices = answers.into_iter().map(|answer| RawChoice {
            text: Some(answer.text),
            finish_reason: Some(answer.finish_reason.into()),
            logprobs: answer.logprobs,
            ..RawChoice::default()
        });
        let choices = (0..).zip(choices).collect();
        let reply = RawReply { choices, usage, done: true, ..RawReply::default() };
        let response = reply.into_response(request.sampling.n, false)?.with_model(self.name());
        self.shared.truncated.warn(self.name(), request.purpose, &response);
        Ok(response)
    }
}
