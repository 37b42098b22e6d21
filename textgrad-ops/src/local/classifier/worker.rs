//! The thread of a sequence classifier: calls in, scores out.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use textgrad_core::{EngineError, ErrorKind};
use tokenizers::{EncodeInput, PostProcessor, Tokenizer};
use tokio::sync::oneshot;

use super::TextScore;
use super::model::{Limits, Model};
use crate::local::{invalid, unsupported};

/// The most tokens that are computed together, but for a longer text: it bounds the memory of one pass, and more are
/// no faster.
const BATCH_TOKENS: usize = 2048;

/// A call.
#[derive(Debug)]
pub(super) struct Job {
    /// Texts as they are, or pairs, which get the tokenizer's special tokens.
    pub(super) texts: Vec<EncodeInput<'static>>,
    pub(super) reply: oneshot::Sender<Result<Vec<TextScore>, EngineError>>,
}

/// A text as a model takes it.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) ids: Vec<u32>,
    /// Of a pair, to which of both each token belongs.
    pub(super) types: Vec<u32>,
}

/// A call with the tokens of its texts, and the scores of the first of them.
struct Pending {
    texts: Vec<Tokens>,
    scores: Vec<TextScore>,
    reply: oneshot::Sender<Result<Vec<TextScore>, EngineError>>,
}

/// The model with its calls.
pub(super) struct Worker {
    model: Model,
    limits: Limits,
    tokenizer: Tokenizer,
    pool: ThreadPool,
    jobs: mpsc::Receiver<Job>,
}

impl Worker {
    pub(super) fn new(
        model: Model,
        limits: Limits,
        tokenizer: Tokenizer,
        jobs: mpsc::Receiver<Job>,
    ) -> Result<Self, EngineError> {
        let name = |at| format!("reward model {at}");
        let pool = ThreadPoolBuilder::new().thread_name(name).build().map_err(|error| {
            EngineError::new(ErrorKind::Other, "expected threads for the reward model")
                .with_source(error)
        })?;
        Ok(Self { model, limits, tokenizer, pool, jobs })
    }

    /// Works until nobody can send a call any more.
    pub(super) fn run(self) {
        let mut queue = VecDeque::new();
        while let Ok(job) = self.jobs.recv() {
            queue.extend(self.pending(job));
            while !queue.is_empty() {
                // Calls that are made at the same time are computed together.
                thread::sleep(Duration::from_millis(1));
                queue.extend(self.jobs.try_iter().filter_map(|job| self.pending(job)));
                queue.retain(|pending: &Pending| !pending.reply.is_closed());
                let model = &self.model;
                self.pool.install(|| step(model, &mut queue));
                while queue.front().is_some_and(|first| first.scores.len() == first.texts.len()) {
                    if let Some(done) = queue.pop_front() {
                        let _ = done.reply.send(Ok(done.scores));
                    }
                }
            }
        }
    }

    /// The tokens of a call, unless it has an error.
    fn pending(&self, job: Job) -> Option<Pending> {
        match job.texts.into_iter().map(|text| self.tokens(text)).collect() {
            Ok(texts) => Some(Pending { texts, scores: Vec::new(), reply: job.reply }),
            Err(error) => {
                let _ = job.reply.send(Err(error));
                None
            }
        }
    }

    /// The tokens up to the last one that counts.
    fn tokens(&self, text: EncodeInput<'static>) -> Result<Tokens, EngineError> {
        let limits = &self.limits;
        let is_pair = matches!(text, EncodeInput::Dual(..));
        if is_pair {
            self.check_pairs()?;
        }
        let encoding = self.tokenizer.encode_fast(text, is_pair);
        let encoding =
            encoding.map_err(|error| invalid(format!("the text has no tokens: {error}")))?;
        let mut ids = encoding.get_ids().to_vec();
        let types = encoding.get_type_ids().to_vec();
        if let Some(unknown) = ids.iter().find(|token| **token as usize >= limits.vocabulary) {
            return Err(invalid(format!(
                "expected tokens below {}, the size of the vocabulary in config.json, got {unknown}; \
                 tokenizer.json is of another model",
                limits.vocabulary
            )));
        }
        if let Some(other) =
            types.iter().find(|kind| limits.types > 0 && **kind as usize >= limits.types)
        {
            return Err(invalid(format!(
                "expected types of tokens below {}, the type_vocab_size in config.json, got {other}; \
                 tokenizer.json is of another model",
                limits.types
            )));
        }
        if ids.is_empty() || ids.len() > limits.max_length {
            return Err(invalid(format!(
                "expected a conversation of 1 to {} tokens, the model's maximal length, got {}; truncate answers \
                 (--reward-truncate)",
                limits.max_length,
                ids.len()
            )));
        }
        // As in transformers: of a text of nothing but padding, the first position.
        if let Some(padding) = limits.padding {
            let last = ids.iter().rposition(|token| *token != padding).unwrap_or(0);
            ids.truncate(last + 1);
        }
        Ok(Tokens { ids, types })
    }

    /// Refuses pairs for a model that does not take them.
    fn check_pairs(&self) -> Result<(), EngineError> {
        if !self.limits.is_encoder {
            return Err(unsupported(format!(
                "expected a conversation as a chat template writes it, got a pair: {} takes no pairs",
                self.limits.architecture
            )));
        }
        let processor = self.tokenizer.get_post_processor();
        if processor.is_none_or(|processor| processor.added_tokens(true) == 0) {
            return Err(unsupported(
                "expected a tokenizer.json that puts special tokens around a pair (post_processor), got one that \
                 adds none; save the tokenizer again with transformers, or name a chat template (--reward-template)",
            ));
        }
        Ok(())
    }
}

/// Scores the first texts that fit into one batch.
fn step(model: &Model, queue: &mut VecDeque<Pending>) {
    let mut counts = Vec::new();
    let mut batch: Vec<&Tokens> = Vec::new();
    let mut total = 0;
    'all: for pending in queue.iter() {
        counts.push(0);
        for text in pending.texts.iter().skip(pending.scores.len()) {
            if total > 0 && total + text.ids.len() > BATCH_TOKENS {
                break 'all;
            }
            total += text.ids.len();
            batch.push(text);
            if let Some(count) = counts.last_mut() {
                *count += 1;
            }
        }
    }
    let is_canceled = || {
        let mut of_batch = queue.iter().zip(&counts).filter(|(_, count)| **count > 0);
        of_batch.all(|(pending, _)| pending.reply.is_closed())
    };
    if batch.is_empty() {
        return;
    }
    let lengths: Vec<usize> = batch.iter().map(|text| text.ids.len()).collect();
    let Some(scores) = model.scores(&batch, &is_canceled) else { return };
    let mut scores = scores.into_iter().zip(lengths);
    for (pending, count) in queue.iter_mut().zip(counts) {
        let scored = scores.by_ref().take(count);
        pending
            .scores
            .extend(scored.map(|(score, tokens)| TextScore { score: f64::from(score), tokens }));
    }
}
