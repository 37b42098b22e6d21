//! Textual gradient descent.

mod builder;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::Value as Json;
use textgrad_core::{Engine, Feedback, Gradients, Parameter, Seed, Variable};

pub use self::builder::TextualGradientDescentBuilder;
use super::memory::{Memory, Step};
use super::optimizer::Optimizer;
use super::proposal::{ParameterUpdate, Proposal, refuse_repeated};
use super::rules::Rules;
use super::update::{UpdateOutcome, UpdateRequest, rewrite};
use crate::error::Error;

/// An optimizer that shows a model a text and the feedback on it, and asks for a new version.
///
/// The model sees the whole text. An answer without its closing tag, or one that was cut off, is never taken
/// for a text: it is asked for again, with what was wrong, up to a bound. So is a text that breaks one of the
/// [checks](Parameter::checks) of its parameter, with the rule that it breaks; if no text is found that breaks
/// none, the parameter keeps the one that it has, the others are assigned, and
/// [`ParameterUpdate::rejected`] has all that was answered. The model is told the optimizer's constraints, the
/// parameter's, and the rules of its checks.
///
/// # Memory
/// With [`gradient_memory`](TextualGradientDescentBuilder::gradient_memory),
/// [`momentum`](TextualGradientDescentBuilder::momentum) or
/// [`response_history`](TextualGradientDescentBuilder::response_history), requests show earlier steps on the
/// same parameter. A step is remembered, with the text that the feedback was about, when
/// [`propose_updates`](Self::propose_updates) returns, for every parameter for which the model gave a text,
/// whether the text
/// may be assigned or not and whether it is; not where the request failed, for that step will be repeated.
/// Clones share the memory, and it holds the parameters. [`Optimizer::state_dict`] saves it, with the versions
/// that seeds are derived from, so that an optimizer that loads it sends what the first would have sent; the
/// parameters' texts are their module's to save, before or after.
///
/// The state tells parameters apart by their position: in the order in which they were first given to
/// [`propose_updates`](Self::propose_updates). Give the same list each time, and to [`Optimizer::load_state_dict`].
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
pub struct TextualGradientDescent(Arc<Inner>);

struct Inner {
    settings: Arc<TextualGradientDescentBuilder>,
    memory: Mutex<Memory>,
}

impl TextualGradientDescent {
    /// Default number of retries after an unusable answer.
    pub const DEFAULT_PARSE_RETRIES: u32 = 2;
    /// How many responses of a step the [response history](TextualGradientDescentBuilder::response_history)
    /// keeps.
    pub const SHOWN_RESPONSES: usize = Step::RESPONSES;
    /// How many characters of each it keeps.
    pub const RESPONSE_CHARS: usize = Step::RESPONSE_CHARS;

    /// An optimizer that asks this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> TextualGradientDescentBuilder {
        TextualGradientDescentBuilder::new(engine)
    }

    pub(super) fn settings(&self) -> &Arc<TextualGradientDescentBuilder> {
        &self.0.settings
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // A panic elsewhere leaves at worst a step unrecorded.
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything to be saved.
    fn remembers(&self) -> bool {
        self.settings().memory_config.longest() > 0 || self.settings().seed.is_some()
    }

    /// New versions of one text, as many as the optimizer is set to, and at least one. They are variables
    /// of the graph, made of the text and the feedback; nothing is assigned. It shows nothing of earlier steps
    /// and is none that is remembered: those are a parameter's.
    ///
    /// # Errors
    /// [`Error::NoFeedback`] without feedback, [`Error::NoUpdate`] if no answer was usable,
    /// [`Error::Core`] if the engine failed before any was.
    pub async fn rewrite(
        &self,
        variable: &Variable,
        feedback: &[Feedback],
        seed: Option<Seed>,
    ) -> Result<UpdateOutcome, Error> {
        if feedback.is_empty() {
            return Err(Error::NoFeedback { roles: vec![variable.role().to_string()] });
        }
        let ask = UpdateRequest::new(self.settings(), variable, feedback)?;
        rewrite(self.settings(), ask, seed).await
    }

    /// New texts for the parameters that have feedback, all asked for at the same time. Assigns nothing; a
    /// parameter for which no text could be had is part of the proposal, with the reason.
    ///
    /// # Errors
    /// [`Error::NoFeedback`] if none of the parameters has feedback, and [`Error::Core`] if one is given twice;
    /// nothing is asked then.
    #[must_use = "nothing is assigned until the proposal is applied"]
    pub async fn propose_updates<'a>(
        &self,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        let parameters: Vec<&Parameter> = parameters.into_iter().collect();
        refuse_repeated(&parameters)?;
        if self.remembers() {
            let mut memory = self.memory();
            parameters.iter().for_each(|parameter| memory.register(parameter));
        }
        let mut unchanged = Vec::new();
        let mut asked = Vec::new();
        for (place, parameter) in parameters.iter().copied().enumerate() {
            let version = self.memory().version(parameter);
            let base = parameter.variable();
            let feedback: Vec<Feedback> = gradients.feedback(&base).cloned().collect();
            if feedback.is_empty() {
                unchanged.push(parameter.clone());
                continue;
            }
            let seed = self.settings().seed;
            let seed =
                seed.map(|seed| seed.child("parameter", place as u64).child("version", version));
            asked.push(self.update(parameter, base, feedback, seed));
        }
        if asked.is_empty() {
            let roles = parameters.iter().map(|parameter| parameter.role().to_string()).collect();
            return Err(Error::NoFeedback { roles });
        }
        let (updates, steps): (Vec<ParameterUpdate>, Vec<Step>) =
            join_all(asked).await.into_iter().unzip();
        let limit = self.settings().memory_config.longest();
        if limit > 0 {
            let mut memory = self.memory();
            for (update, step) in updates.iter().zip(steps) {
                if update.rewrite.is_ok() || update.is_kept() {
                    memory.record(&update.parameter, step, limit);
                }
            }
        }
        Ok(Proposal { updates, unchanged })
    }

    /// New texts for one parameter, and what is to be remembered of the step.
    async fn update(
        &self,
        parameter: &Parameter,
        base: Variable,
        feedback: Vec<Feedback>,
        seed: Option<Seed>,
    ) -> (ParameterUpdate, Step) {
        let memory_config = self.settings().memory_config;
        let text = base.text().unwrap_or_default();
        let step = Step::new(text, &feedback, memory_config.responses > 0);
        let ask = || {
            let mut ask = UpdateRequest::new(self.settings(), &base, &feedback)?;
            ask.rules = Rules::of(parameter)?;
            ask.past = self.memory().past(parameter, text, memory_config);
            Ok::<UpdateRequest, Error>(ask)
        };
        let rewrite = match ask() {
            Ok(ask) => rewrite(self.settings(), ask, seed).await,
            Err(error) => Err(error),
        };
        let rewrite = rewrite.map_err(Arc::new);
        (ParameterUpdate { parameter: parameter.clone(), base, rewrite }, step)
    }

    /// Proposes new texts and assigns them: all of them or none. Where a step may fail and what it brought
    /// is dear, call [`propose_updates`](Self::propose_updates) and [`Proposal::apply`] yourself: the proposal
    /// keeps it.
    ///
    /// # Errors
    /// Those of [`propose_updates`](Self::propose_updates) and of [`Proposal::apply`].
    pub async fn step<'a>(
        &self,
        parameters: impl IntoIterator<Item = &'a Parameter>,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        let proposal = self.propose_updates(parameters, gradients).await?;
        proposal.apply()?;
        Ok(proposal)
    }
}

#[async_trait]
impl Optimizer for TextualGradientDescent {
    fn candidates(&self) -> usize {
        self.settings().candidates as usize
    }

    async fn propose(
        &self,
        parameters: &[Parameter],
        _: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        self.propose_updates(parameters, gradients).await
    }

    fn state_dict(&self) -> Json {
        if self.remembers() { self.memory().to_json() } else { Json::Null }
    }

    fn load_state_dict(&self, parameters: &[Parameter], state: &Json) -> Result<(), Error> {
        if !self.remembers() && state.is_null() {
            return Ok(());
        }
        let limit = self.settings().memory_config.longest();
        let loaded = Memory::from_json(parameters, state, limit)?;
        *self.memory() = loaded;
        Ok(())
    }
}

impl fmt::Debug for TextualGradientDescent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.settings.fmt(f)
    }
}
