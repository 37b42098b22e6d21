//! Policies in the process: models of GGUF files, run by llama.cpp.

mod answer;
mod context;
mod conversation;
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
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use async_trait::async_trait;
use derive_setters::Setters;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::{
    Engine, EngineError, EngineInfo, EngineStatus, ErrorKind, Message, Request, Response, Usage,
};
use tokio::sync::oneshot;

use self::answer::AnswerSettings;
use self::context::ContextSize;
use self::load::Loaded;
use self::rates::Rates;
use self::worker::{Finished, Job, Worker};
use super::{invalid, unsupported};
use crate::ChatTemplate;
use crate::engine::wire::{RawChoice, RawReply, check};

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
/// The model works on threads of its own. A call whose future is dropped ends before the next token, or after at most
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
}

/// Settings of a [`LocalEngine`].
///
/// In one line, they follow the file: `model.gguf,context=8192,sequences=4,threads=8,exact=false`.
#[derive(Debug, Clone, PartialEq, Eq, Setters)]
#[must_use = "a builder does nothing until it builds"]
pub struct LocalEngineBuilder {
    #[setters(skip)]
    path: PathBuf,
    /// The longest conversation in tokens. Default: 4,096, or what the model was trained for, if that is less.
    #[setters(strip_option)]
    context: Option<usize>,
    /// How many answers are written at the same time, 1 to 64. Their keys and values are what an engine keeps of
    /// earlier conversations, too. Memory grows with it. Default: 8.
    sequences: usize,
    /// Threads that compute. Default: one per core that is idle when the model is loaded, where the system tells its
    /// load. Threads wait for each other at every layer, so one that shares its core slows all of them down, by ten
    /// times and more.
    #[setters(strip_option)]
    threads: Option<usize>,
    /// Whether the same seed gives the same answer whatever else is computed. Default: true.
    ///
    /// Where kernels of llama.cpp for the weights of the file depend on how many tokens they compute, which is measured
    /// when it is loaded, answers are then decoded one by one, and fewer tokens of earlier conversations are kept. So
    /// false is faster for such a file, on processors of many cores.
    exact: bool,
}

/// The default number of sequences.
const DEFAULT_SEQUENCES: usize = 8;

/// The settings of a line.
const SETTINGS: &str = "context, sequences, threads and exact";

impl LocalEngineBuilder {
    /// Settings from one line: the path of a GGUF file, and settings behind it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for an empty path, and a setting or a number that is not known.
    ///
    /// # Examples
    /// ```
    /// use textgrad_ops::local::{LocalEngine, LocalEngineBuilder};
    ///
    /// let builder = LocalEngineBuilder::from_line("model.gguf,context=8192")?;
    /// assert_eq!(builder, LocalEngine::builder("model.gguf").context(8192));
    /// # Ok::<(), textgrad_core::EngineError>(())
    /// ```
    pub fn from_line(line: &str) -> Result<Self, EngineError> {
        let (path, settings) = line.split_once(',').unwrap_or((line, ""));
        if path.trim().is_empty() {
            return Err(invalid(
                "expected the path of a GGUF file, as in local:model.gguf, got none",
            ));
        }
        let mut builder = LocalEngine::builder(path.trim());
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            if name.trim() == "exact" {
                builder = builder.exact(value.trim().parse().map_err(|_| {
                    invalid(format!("expected exact=true or exact=false, got {setting:?}"))
                })?);
                continue;
            }
            let number = value.trim().parse::<usize>().ok().filter(|number| *number > 0);
            let Some(number) = number else {
                return Err(invalid(format!("expected a number from 1 in {setting:?}")));
            };
            builder = match name.trim() {
                "context" => builder.context(number),
                "sequences" => builder.sequences(number),
                "threads" => builder.threads(number),
                other => {
                    return Err(invalid(format!(
                        "expected of the settings of a model in the process {SETTINGS}, got {other:?}"
                    )));
                }
            };
        }
        Ok(builder)
    }

    /// Loads the model. Blocking: it takes some tenths of a second, and longer from a slow disk.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the file cannot be read; [`ErrorKind::Unsupported`] for an architecture that
    /// llama.cpp does not know, one without a cache of keys and values, and a file without a chat template;
    /// [`ErrorKind::InvalidRequest`] for another kind of file, one that is truncated, and too little memory, with
    /// both figures.
    pub fn build(self) -> Result<LocalEngine, EngineError> {
        if !(1..=64).contains(&self.sequences) {
            return Err(invalid(format!("expected 1 to 64 sequences, got {}", self.sequences)));
        }
        let (digest, length) = load::fingerprint(&self.path)?;
        let Loaded { model, template } = load::load(&self.path, length)?;
        let context = load::context_length(&model, self.context)?;
        let size = ContextSize {
            context,
            sequences: self.sequences,
            threads: self.threads.unwrap_or_else(idle_cores),
        };
        let facts = size.facts(&model, length)?;
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let info = EngineInfo::new(format!("local:{name}"))
            .with_identity(format!("local {digest} {}", template.fingerprint()));
        let shared = Arc::new(Shared { model, template, context, facts, rates: Rates::default() });
        let (jobs, answers) = start(&shared, size, self.exact)?;
        Ok(LocalEngine { info, shared, answers, jobs })
    }
}

/// Begins the thread of a model, and waits until it can take calls. Says what answers depend on.
fn start(
    shared: &Arc<Shared>,
    size: ContextSize,
    is_exact: bool,
) -> Result<(mpsc::Sender<Job>, &'static str), EngineError> {
    let (jobs, queue) = mpsc::channel();
    let (opened, is_open) = mpsc::channel();
    let shared = Arc::clone(shared);
    let run = move || {
        let prepared = size.open(&shared.model).and_then(|mut context| {
            let is_equal = steps::are_equal(&shared.model, &mut context, size.sequences)?;
            Ok((context, is_equal))
        });
        match prepared {
            Ok((context, is_equal)) => {
                let _ = opened.send(Ok(match (is_equal, is_exact) {
                    (true, _) => "equal for equal seeds, decoded together",
                    (false, true) => {
                        "equal for equal seeds, decoded one by one (exact=false decodes them together)"
                    }
                    (false, false) => "decoded together, and change with what is decoded beside them",
                }));
                let is_batched = is_equal || !is_exact;
                Worker::new(&shared.model, context, size, is_batched, &shared.rates).run(&queue);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        }
    };
    let thread = thread::Builder::new().name("local engine".to_owned()).spawn(run);
    thread.map_err(|error| {
        EngineError::new(ErrorKind::Other, "expected a thread for the model").with_source(error)
    })?;
    let answers = is_open.recv().map_err(|_| ended())??;
    Ok((jobs, answers))
}

/// The number of cores less the load of the last minute, at least 1.
fn idle_cores() -> usize {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    let is_idle = |count: &usize| {
        let busy = u32::try_from(cores - count).unwrap_or(u32::MAX);
        load.is_none_or(|load| load < f64::from(busy) + 0.5)
    };
    (1..=cores).rev().find(is_idle).unwrap_or(1)
}

fn ended() -> EngineError {
    EngineError::new(ErrorKind::Other, "the thread of the model ended")
}

impl LocalEngine {
    /// Settings of the engine of a GGUF file.
    pub fn builder(path: impl AsRef<Path>) -> LocalEngineBuilder {
        LocalEngineBuilder {
            path: path.as_ref().to_owned(),
            context: None,
            sequences: DEFAULT_SEQUENCES,
            threads: None,
            exact: true,
        }
    }

    /// The tokens of a conversation, up to where the model begins to write.
    fn tokens(&self, request: &Request) -> Result<Vec<LlamaToken>, EngineError> {
        if request.messages.iter().any(Message::has_image) {
            return Err(unsupported(
                "expected texts, got an image, which this engine does not see",
            ));
        }
        let prompt = conversation::prompt(&self.shared.template, &request.messages)?;
        let tokens = conversation::tokens(&self.shared.model, &self.shared.template, &prompt);
        match tokens.len() {
            0 => Err(invalid("expected a conversation, got none")),
            count if count < self.shared.context => Ok(tokens),
            count => Err(invalid(format!(
                "expected a prompt of fewer than {} tokens, the context of the model in the process, got {count}; \
                 enlarge it, as in local:model.gguf,context=8192, or truncate answers (--truncate)",
                self.shared.context
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
        let prompt = self.tokens(request)?;
        let prompt_tokens = prompt.len();
        let seed = request.sampling.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let seeds = (0..u64::from(request.sampling.n)).map(|i| seed.wrapping_add(i)).collect();
        let (reply, finished) = oneshot::channel();
        self.jobs.send(Job { prompt, settings, seeds, reply }).map_err(|_| ended())?;
        let Finished { answers, cached } = finished.await.map_err(|_| ended())??;
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
        Ok(reply.into_response(request.sampling.n, false)?.with_model(self.name()))
    }
}
