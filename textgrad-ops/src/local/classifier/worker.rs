//! The thread of a sequence classifier: calls in, scores out.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use textgrad_core::{EngineError, ErrorKind};
use tokenizers::Tokenizer;
use tokio::sync::oneshot;

use super::TextScore;
use super::decoder::Decoder;
use crate::local::invalid;

/// The most tokens that are computed together, but for a longer text: it bounds the memory of one pass, and more are
/// no faster.
const BATCH_TOKENS: usize = 2048;

/// A call.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) texts: Vec<String>,
    pub(super) reply: oneshot::Sender<Result<Vec<TextScore>, EngineError>>,
}

/// A call with the tokens of its texts, and the scores of the first of them.
struct Pending {
    texts: Vec<Vec<u32>>,
    scores: Vec<TextScore>,
    reply: oneshot::Sender<Result<Vec<TextScore>, EngineError>>,
}

/// The model with its calls.
pub(super) struct Worker {
    decoder: Decoder,
    tokenizer: Tokenizer,
    pool: ThreadPool,
    jobs: mpsc::Receiver<Job>,
}

impl Worker {
    pub(super) fn new(
        decoder: Decoder,
        tokenizer: Tokenizer,
        jobs: mpsc::Receiver<Job>,
    ) -> Result<Self, EngineError> {
        let name = |at| format!("reward model {at}");
        let pool = ThreadPoolBuilder::new().thread_name(name).build().map_err(|error| {
            EngineError::new(ErrorKind::Other, "expected threads for the reward model")
                .with_source(error)
        })?;
        Ok(Self { decoder, tokenizer, pool, jobs })
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
                let decoder = &self.decoder;
                self.pool.install(|| step(decoder, &mut queue));
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

    /// The tokens up to the one whose score counts.
    fn tokens(&self, text: String) -> Result<Vec<u32>, EngineError> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding =
            encoding.map_err(|error| invalid(format!("the text has no tokens: {error}")))?;
        let mut tokens = encoding.get_ids().to_vec();
        let config = self.decoder.config();
        if let Some(unknown) = tokens.iter().find(|token| **token as usize >= config.vocabulary) {
            return Err(invalid(format!(
                "expected tokens below {}, the size of the vocabulary in config.json, got {unknown}; \
                 tokenizer.json is of another model",
                config.vocabulary
            )));
        }
        if tokens.is_empty() || tokens.len() > config.max_length {
            return Err(invalid(format!(
                "expected a conversation of 1 to {} tokens, the model's maximal length, got {}; truncate answers \
                 (--reward-truncate)",
                config.max_length,
                tokens.len()
            )));
        }
        // As in transformers: of a text of nothing but padding, the first position.
        if let Some(padding) = config.padding {
            let last = tokens.iter().rposition(|token| *token != padding).unwrap_or(0);
            tokens.truncate(last + 1);
        }
        Ok(tokens)
    }
}

/// Scores the first texts that fit into one batch.
fn step(decoder: &Decoder, queue: &mut VecDeque<Pending>) {
    let mut counts = Vec::new();
    let mut batch: Vec<&[u32]> = Vec::new();
    let mut total = 0;
    'all: for pending in queue.iter() {
        counts.push(0);
        for text in pending.texts.iter().skip(pending.scores.len()) {
            if total > 0 && total + text.len() > BATCH_TOKENS {
                break 'all;
            }
            total += text.len();
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
    let lengths: Vec<usize> = batch.iter().map(|text| text.len()).collect();
    let Some(scores) = decoder.scores(&batch, &is_canceled) else { return };
    let mut scores = scores.into_iter().zip(lengths);
    for (pending, count) in queue.iter_mut().zip(counts) {
        let scored = scores.by_ref().take(count);
        pending
            .scores
            .extend(scored.map(|(score, tokens)| TextScore { score: f64::from(score), tokens }));
    }
}
