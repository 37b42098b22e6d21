//! Textual gradient descent.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Engine, Feedback, Gradients, Layout, Parameter, Sampling, Seed, Variable};

use super::optimizer::Optimizer;
use super::proposal::{ParameterUpdate, Proposal};
use super::tags::Tags;
use super::update::{Rewrite, rewrite};
use crate::error::Error;
use crate::prompts::Prompts;

/// An optimizer that shows a model a text and the feedback on it, and asks for a new version.
///
/// The model sees the whole text. An answer without its closing tag, or one that was cut off, is never taken
/// for a text: it is asked for again, with what was wrong, up to a bound.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, backward};
/// use textgrad_ops::{TextLoss, TextualGradientDescent};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new([
///     "It gives no reason.",
///     "Add a reason.",
///     "<IMPROVED_VARIABLE>\nMars is red because of its rust.\n</IMPROVED_VARIABLE>",
/// ]));
/// let answer = Parameter::new("Mars is red.", "answer to a question");
/// let loss = TextLoss::new(engine.clone(), "Say what the answer lacks.");
/// let optimizer = TextualGradientDescent::builder(engine).constraint("One sentence only.").build();
///
/// let evaluation = loss.evaluate(&answer.variable()).await?;
/// let gradients = backward(&evaluation).await?;
/// optimizer.step([&answer], &gradients).await?;
/// assert_eq!(answer.text().as_ref(), "Mars is red because of its rust.");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct TextualGradientDescent(Arc<TextualGradientDescentBuilder>);

/// Settings of [`TextualGradientDescent`].
#[derive(Clone)]
pub struct TextualGradientDescentBuilder {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) prompts: Prompts,
    pub(super) sampling: Sampling,
    pub(super) constraints: Vec<String>,
    pub(super) examples: Vec<String>,
    pub(super) tags: Tags,
    pub(super) candidates: u32,
    pub(super) reasks: u32,
    pub(super) layout: Layout,
    seed: Option<Seed>,
}

impl TextualGradientDescent {
    /// How often an unusable answer is asked for again, unless said otherwise.
    pub const DEFAULT_REASKS: u32 = 2;

    /// An optimizer that asks this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> TextualGradientDescentBuilder {
        TextualGradientDescentBuilder {
            engine,
            prompts: Prompts::default(),
            sampling: Sampling::default(),
            constraints: Vec::new(),
            examples: Vec::new(),
            tags: Tags::default(),
            candidates: 1,
            reasks: Self::DEFAULT_REASKS,
            layout: Layout::Quoted,
            seed: None,
        }
    }

    /// New versions of one text, as many as the optimizer is set to, and at least one. They are variables
    /// of the graph, made of the text and the feedback; nothing is assigned.
    ///
    /// # Errors
    /// [`Error::NoFeedback`] without feedback, [`Error::NoUpdate`] if no answer was usable,
    /// [`Error::Core`] if the engine failed before any was.
    pub async fn rewrite(
        &self,
        variable: &Variable,
        feedback: &[Feedback],
        seed: Option<Seed>,
    ) -> Result<Rewrite, Error> {
        if feedback.is_empty() {
            return Err(Error::NoFeedback { roles: vec![variable.role().to_string()] });
        }
        rewrite(&self.0, variable, feedback, seed).await
    }

    /// New texts for the parameters that have feedback, all asked for at the same time. Assigns nothing; a
    /// parameter for which no text could be had is part of the proposal, with the reason.
    ///
    /// # Errors
    /// [`Error::NoFeedback`] if none of the parameters has feedback, and [`Error::Core`] if one is given twice;
    /// nothing is asked then.
    #[must_use = "nothing is assigned until the proposal is applied"]
    pub async fn propose<'a>(
        &self,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        let parameters: Vec<&Parameter> = parameters.into_iter().collect();
        let mut unchanged = Vec::new();
        let mut asked = Vec::new();
        for (place, parameter) in parameters.iter().copied().enumerate() {
            if parameters.iter().take(place).any(|known| *known == parameter) {
                let role = parameter.role().to_string();
                return Err(textgrad_core::Error::RepeatedParameter { role }.into());
            }
            let base = parameter.variable();
            let feedback: Vec<Feedback> = gradients.feedback(&base).cloned().collect();
            if feedback.is_empty() {
                unchanged.push(parameter.clone());
                continue;
            }
            let seed = self.0.seed.map(|seed| {
                seed.child("parameter", place as u64).child("version", parameter.version())
            });
            asked.push(async move {
                let rewrite = self.rewrite(&base, &feedback, seed).await.map_err(Arc::new);
                ParameterUpdate { parameter: parameter.clone(), base, rewrite }
            });
        }
        if asked.is_empty() {
            let roles = parameters.iter().map(|parameter| parameter.role().to_string()).collect();
            return Err(Error::NoFeedback { roles });
        }
        Ok(Proposal { updates: join_all(asked).await, unchanged })
    }

    /// Proposes new texts and assigns them: all of them or none. Where a step may fail and what it brought
    /// is dear, call [`propose`](Self::propose) and [`Proposal::apply`] yourself: the proposal keeps it.
    ///
    /// # Errors
    /// Those of [`propose`](Self::propose) and of [`Proposal::apply`].
    pub async fn step<'a>(
        &self,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        let proposal = self.propose(parameters, gradients).await?;
        proposal.apply()?;
        Ok(proposal)
    }
}

#[async_trait]
impl Optimizer for TextualGradientDescent {
    async fn propose(
        &self,
        parameters: &[Parameter],
        _: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        self.propose(parameters, gradients).await
    }
}

impl TextualGradientDescentBuilder {
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

    /// How many new versions are asked for at once; 1 unless said otherwise, and never less.
    #[must_use]
    pub fn candidates(mut self, candidates: u32) -> Self {
        self.candidates = candidates.max(1);
        self
    }

    /// How often unusable answers are asked for again; [`TextualGradientDescent::DEFAULT_REASKS`] unless
    /// said otherwise.
    #[must_use]
    pub fn reasks(mut self, reasks: u32) -> Self {
        self.reasks = reasks;
        self
    }

    /// Whether the request continues the exchange that the feedback came out of, where there is exactly one.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Gives the requests of [`propose`](TextualGradientDescent::propose) and
    /// [`step`](TextualGradientDescent::step) seeds, derived from the parameter's place in the list and from
    /// its version. Without this they carry that of the sampling, or none.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The optimizer.
    #[must_use]
    pub fn build(self) -> TextualGradientDescent {
        TextualGradientDescent(Arc::new(self))
    }
}

impl fmt::Debug for TextualGradientDescent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TextualGradientDescentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextualGradientDescent")
            .field("engine", &self.engine.name())
            .field("constraints", &self.constraints)
            .field("tags", &self.tags)
            .field("candidates", &self.candidates)
            .field("reasks", &self.reasks)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
