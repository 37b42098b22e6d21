//! Settings of textual gradient descent.

use std::fmt;
use std::sync::{Arc, Mutex};

use textgrad_core::{Engine, Layout, Sampling, Seed};

use super::{Inner, TextualGradientDescent};
use crate::optim::memory::MemoryConfig;
use crate::optim::tags::Tags;
use crate::prompts::Prompts;

/// Settings of [`TextualGradientDescent`].
#[derive(Clone)]
pub struct TextualGradientDescentBuilder {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) prompts: Prompts,
    pub(crate) sampling: Sampling,
    pub(crate) constraints: Vec<String>,
    pub(crate) examples: Vec<String>,
    pub(crate) tags: Tags,
    pub(crate) candidates: u32,
    pub(crate) parse_retries: u32,
    pub(crate) layout: Layout,
    pub(super) seed: Option<Seed>,
    pub(crate) memory_config: MemoryConfig,
}

impl TextualGradientDescentBuilder {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        Self {
            engine,
            prompts: Prompts::default(),
            sampling: Sampling::default(),
            constraints: Vec::new(),
            examples: Vec::new(),
            tags: Tags::default(),
            candidates: 1,
            parse_retries: TextualGradientDescent::DEFAULT_PARSE_RETRIES,
            layout: Layout::Quoted,
            seed: None,
            memory_config: MemoryConfig::default(),
        }
    }

    /// The wording of the requests.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.prompts = prompts.into();
        self
    }

    /// How new texts are drawn; their number is that of [`candidates`](Self::candidates).
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Something that a new text must obey, in words.
    #[must_use]
    pub fn constraint(mut self, constraint: impl Into<String>) -> Self {
        self.constraints.push(constraint.into());
        self
    }

    /// An example of a good text of this kind.
    #[must_use]
    pub fn example(mut self, example: impl Into<String>) -> Self {
        self.examples.push(example.into());
        self
    }

    /// The tags between which the model is to put the new text.
    #[must_use]
    pub fn tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// How many new versions are asked for at once; default: 1, and never less.
    #[must_use]
    pub fn candidates(mut self, candidates: u32) -> Self {
        self.candidates = candidates.max(1);
        self
    }

    /// How often unusable answers are asked for again; [`TextualGradientDescent::DEFAULT_PARSE_RETRIES`] unless
    /// said otherwise.
    #[must_use]
    pub fn parse_retries(mut self, parse_retries: u32) -> Self {
        self.parse_retries = parse_retries;
        self
    }

    /// Whether the request continues the exchange that the feedback came out of, where there is exactly one.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Gives the requests of [`propose_updates`](TextualGradientDescent::propose_updates) and
    /// [`step`](TextualGradientDescent::step) seeds, derived from the parameter's place in the list and from
    /// its version. Without this they carry that of the sampling, or none.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Shows the feedback of the last `steps` steps on a parameter beside that of this one; 0, the default,
    /// is none. See [`TextualGradientDescent`] for what a step is.
    #[must_use]
    pub fn gradient_memory(mut self, steps: usize) -> Self {
        self.memory_config.feedback = steps;
        self
    }

    /// Momentum: shows the texts that a parameter had in the last `steps` steps, each with what was said about
    /// it; 0, the default, is none. The text as it is now is not shown a second time, and several steps from
    /// one text are shown as one text with all that was said about it.
    #[must_use]
    pub fn momentum(mut self, steps: usize) -> Self {
        self.memory_config.texts = steps;
        self
    }

    /// Shows what came, in the last `steps` steps, of the calls that a parameter was used in, each with what
    /// was said then, and asks to overcome stagnation; 0, the default, is none.
    ///
    /// After REVOLVE: Zhang et al., "Revolve: Optimizing AI Systems by Tracking Response Evolution in Textual
    /// Optimization", ICML 2025, arXiv:2412.03092. Our reading of it: the responses are the outputs of the
    /// calls in the contexts of the feedback, of each step the first
    /// [`SHOWN_RESPONSES`](TextualGradientDescent::SHOWN_RESPONSES) and of each the first
    /// [`RESPONSE_CHARS`](TextualGradientDescent::RESPONSE_CHARS) characters; the comparison is left to the
    /// model that writes the new text, in the same request.
    #[must_use]
    pub fn response_history(mut self, steps: usize) -> Self {
        self.memory_config.responses = steps;
        self
    }

    /// The optimizer, remembering nothing yet.
    #[must_use]
    pub fn build(self) -> TextualGradientDescent {
        TextualGradientDescent(Arc::new(Inner {
            settings: Arc::new(self),
            memory: Mutex::default(),
        }))
    }
}

impl fmt::Debug for TextualGradientDescentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextualGradientDescent")
            .field("engine", &self.engine.name())
            .field("constraints", &self.constraints)
            .field("tags", &self.tags)
            .field("candidates", &self.candidates)
            .field("parse_retries", &self.parse_retries)
            .field("layout", &self.layout)
            .field("memory_config", &self.memory_config)
            .finish_non_exhaustive()
    }
}
