//! Settings of the engine of a GGUF file, and the start of its thread.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

use derive_setters::Setters;
use textgrad_core::{EngineError, EngineInfo, ErrorKind};

use super::context::ContextSize;
use super::load::{self, Loaded};
use super::rates::Rates;
use super::worker::{Job, Worker};
use super::{LocalEngine, Shared, ended, steps};
use crate::engine::wire::TruncatedReplies;
use crate::local::invalid;

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
    /// Keys and values are then kept as numbers of 8 bits, whose attention adds in one order. Where kernels of
    /// llama.cpp for the weights of the file depend on how many tokens they compute, which is measured when it is
    /// loaded, answers are decoded one by one, and fewer tokens of earlier conversations are kept. With false, keys and
    /// values are numbers of 16 bits, which takes twice their memory and less time.
    exact: bool,
}

/// The default number of sequences.
const DEFAULT_SEQUENCES: usize = 8;

/// The settings of a line.
const SETTINGS: &str = "context, sequences, threads and exact";

impl LocalEngineBuilder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            context: None,
            sequences: DEFAULT_SEQUENCES,
            threads: None,
            exact: true,
        }
    }

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
            is_exact: self.exact,
        };
        let facts = size.facts(&model, length)?;
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let info = EngineInfo::new(format!("local:{name}"))
            .with_identity(format!("local {digest} {}", template.fingerprint()));
        let shared = Arc::new(Shared {
            model,
            template,
            context,
            facts,
            rates: Rates::default(),
            truncated: TruncatedReplies::default(),
        });
        let (jobs, answers) = start(&shared, size)?;
        Ok(LocalEngine { info, shared, answers, jobs })
    }
}

/// Begins the thread of a model, and waits until it can take calls. Says what answers depend on.
fn start(
    shared: &Arc<Shared>,
    size: ContextSize,
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
                let _ = opened.send(Ok(match (is_equal, size.is_exact) {
                    (true, true) => "equal for equal seeds, decoded together",
                    (false, true) => {
                        "equal for equal seeds, decoded one by one (exact=false decodes them together)"
                    }
                    (_, false) => "decoded together, and change with what is decoded beside them",
                }));
                let is_batched = is_equal || !size.is_exact;
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
