//! Settings of the optimizer of a whole graph.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use textgrad_core::{Engine, Sampling, Seed};

use super::{GraphOptimizer, Inner};
use crate::optim::tags::Tags;
use crate::prompts::Prompts;

/// Settings of [`GraphOptimizer`].
#[derive(Clone)]
pub struct GraphOptimizerBuilder {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) prompts: Prompts,
    pub(super) sampling: Sampling,
    pub(super) constraints: Vec<String>,
    pub(super) tags: Tags,
    pub(super) parse_retries: u32,
    pub(super) max_calls: usize,
    pub(super) value_chars: usize,
    pub(super) feedback_chars: usize,
    pub(super) seed: Option<Seed>,
}

impl GraphOptimizerBuilder {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            prompts: Prompts::default(),
            sampling: Sampling::default(),
            constraints: Vec::new(),
            tags: Tags::of("<NEW_TEXTS>", "</NEW_TEXTS>"),
            parse_retries: GraphOptimizer::DEFAULT_PARSE_RETRIES,
            max_calls: GraphOptimizer::DEFAULT_MAX_CALLS,
            value_chars: GraphOptimizer::DEFAULT_VALUE_CHARS,
            feedback_chars: GraphOptimizer::DEFAULT_FEEDBACK_CHARS,
            seed: None,
        }
    }

    /// The wording of the requests.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.prompts = prompts.into();
        self
    }

    /// How the answer is drawn; one answer whatever its `n` says.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Something that every new text must obey, in words, beside what its parameter demands.
    #[must_use]
    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.constraints.push(constraint.into());
        self
    }

    /// The tags between which the model is to put the new texts; `<NEW_TEXTS>` and `</NEW_TEXTS>` unless said
    /// otherwise.
    #[must_use]
    pub fn tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// How often an unusable answer is asked for again; [`GraphOptimizer::DEFAULT_PARSE_RETRIES`] unless said
    /// otherwise.
    #[must_use]
    pub fn parse_retries(mut self, parse_retries: u32) -> Self {
        self.parse_retries = parse_retries;
        self
    }

    /// The largest number of calls that are shown; default: [`GraphOptimizer::DEFAULT_MAX_CALLS`].
    #[must_use]
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// How many characters are shown of a value that is no parameter;
    /// Default: [`GraphOptimizer::DEFAULT_VALUE_CHARS`].
    #[must_use]
    pub fn value_chars(mut self, chars: usize) -> Self {
        self.value_chars = chars;
        self
    }

    /// How many characters are shown of what the objective says;
    /// Default: [`GraphOptimizer::DEFAULT_FEEDBACK_CHARS`].
    #[must_use]
    pub fn feedback_chars(mut self, chars: usize) -> Self {
        self.feedback_chars = chars;
        self
    }

    /// Gives the requests seeds, derived from the number of proposals before. Without this they carry that of
    /// the sampling, or none.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The optimizer.
    #[must_use]
    pub fn build(self) -> GraphOptimizer {
        GraphOptimizer(Arc::new(Inner { settings: Arc::new(self), steps: AtomicU64::new(0) }))
    }
}

impl fmt::Debug for GraphOptimizerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphOptimizer")
            .field("engine", &self.engine.name())
            .field("constraints", &self.constraints)
            .field("tags", &self.tags)
            .field("parse_retries", &self.parse_retries)
            .field("max_calls", &self.max_calls)
            .finish_non_exhaustive()
    }
}
