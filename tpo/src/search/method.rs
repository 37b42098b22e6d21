//! Methods: what a search does in one iteration.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    Engine, Feedback, Inputs, Message, Output, PromptPack, Purpose, Seed, TemplateContext,
    Variable, apply, apply_one, op_fn,
};
use textgrad_ops::LlmCall;

use super::outcome::IterationRecord;
use super::pairs::{Comparison, PairCx};
use super::pool::Pool;
use super::run::Search;
use crate::config::TpoConfig;
use crate::error::Error;
use crate::query::Query;
use crate::truncate::Truncator;

/// What a search does in one iteration: from the pool to new answers.
///
/// The search samples the first answers, scores whatever a method returns, keeps every answer in the pool, stops by
/// its rules, and returns the best answer unless the method [selects](Self::select) another one. All calls that a
/// method makes through the engines of its [`IterationCx`] are journaled, counted and resumed. A method must depend
/// on nothing but what it is given, so that a run can be repeated: what it needs of earlier iterations is in
/// [`IterationCx::steps`] and [`IterationCx::pool`].
///
/// The [modes](crate::Mode) of this crate are methods. [`Rewrite`](super::Rewrite) is the one that is made of a
/// selection of pairs, a critique and an update.
///
/// # Examples
/// Ask for a shorter version of the best answer:
/// ```
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use textgrad_core::Variable;
/// use textgrad_ops::sim::Sim;
/// use tpo::search::{Iteration, IterationCx, Method};
/// use tpo::{Error, SimReward, Tpo};
///
/// struct Shorten;
///
/// #[async_trait]
/// impl Method for Shorten {
///     fn name(&self) -> String {
///         "shorten".to_owned()
///     }
///
///     async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error> {
///         let best = cx.pool().best().and_then(|best| cx.pool().get(best)).ok_or(Error::NoAnswer)?;
///         let prompt = format!("{}\nA draft: {}\nWrite a shorter answer.", cx.query().text(), best.text());
///         let prompt = Variable::constant(prompt, "request for a shorter answer");
///         made.answers = cx.answer(&prompt, 2, cx.seed()).await?;
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).method(Arc::new(Shorten)).build()?;
/// let aligned = tpo.align("Why is the sky blue?").await?;
/// assert_eq!(aligned.pool().candidates().len(), 5 + 2 * 2);
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Method: Send + Sync {
    /// A short name, for reports. A run is only continued with the same one.
    fn name(&self) -> String;

    /// One iteration: the new answers and the record of how they came about. What is put into `made` before a
    /// failure is kept in the trajectory. Neither an answer nor a step ends the search.
    ///
    /// # Errors
    /// Any failure ends the search with what was found. A method of one's own reports a fault that is not that of a
    /// call by [`Error::Part`].
    async fn iterate(&self, cx: &IterationCx<'_>, made: &mut Iteration) -> Result<(), Error>;

    /// The position in the pool of the answer that is returned. `None`, the default: the one with the highest score.
    ///
    /// # Errors
    /// As [`iterate`](Self::iterate).
    async fn select(
        &self,
        cx: &IterationCx<'_>,
        made: &mut Iteration,
    ) -> Result<Option<usize>, Error> {
        let _ = (cx, made);
        Ok(None)
    }

    /// The comparisons that an iteration makes, where they depend on nothing but the scores: verification repeats
    /// them. `None`, the default: it cannot be said.
    ///
    /// # Errors
    /// [`Error::Part`] if a comparison names an answer that does not exist.
    fn comparisons(&self, cx: &PairCx<'_>) -> Result<Option<Vec<Comparison>>, Error> {
        let _ = cx;
        Ok(None)
    }

    /// How many requests an iteration takes where the server gives all answers to one. Default: 1.
    fn requests(&self, config: &TpoConfig) -> u64 {
        let _ = config;
        1
    }

    /// Whether [`select`](Self::select) makes requests: a [budget](crate::SearchBudget) then leaves room for as much as
    /// an iteration takes. Default: no.
    fn selects_by_requests(&self) -> bool {
        false
    }

    /// Whether losses, gradients and updates can continue the policy's conversation. Default: no.
    fn can_continue(&self) -> bool {
        false
    }

    /// Whether the critique of another query is needed: [`IterationCx::borrowed`]. Default: no.
    fn needs_donor(&self) -> bool {
        false
    }
}

textgrad_core::debug_by!(dyn Method, name);

/// What an iteration brought.
#[derive(Debug, Clone, Default)]
pub struct Iteration {
    /// How it came about: one step for each comparison, or for whatever else the method counts. Where answers come
    /// without any, the search adds one that names the best answer until then.
    pub steps: Vec<Step>,
    /// The new answers. They are scored and enter the pool.
    pub answers: Vec<Variable>,
    /// What else a drawing of the search shows.
    pub ends: Vec<Variable>,
}

/// A step of an iteration: its record, and the texts of it that are variables of the graph.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The record in the trajectory.
    pub record: IterationRecord,
    /// The losses.
    pub losses: Vec<Variable>,
    /// Feedback on the answer that was rewritten.
    pub feedback: Vec<Feedback>,
}

impl Step {
    /// The step of a comparison that so many new versions came of, without losses and feedback.
    #[must_use]
    pub fn of(iteration: u32, comparison: Comparison, updates: usize) -> Self {
        let Comparison { chosen, rejected, weights } = comparison;
        let mut step = Self::default();
        step.record =
            IterationRecord { iteration, chosen, rejected, weights, updates, ..step.record };
        step
    }

    /// Lets go of the graph that the texts come from.
    pub(super) fn forget_graph(&mut self) {
        self.losses.iter_mut().for_each(|loss| *loss = loss.detach());
        self.feedback.clear();
    }

    /// Adds losses, and their texts to the record.
    pub fn add_losses(&mut self, losses: impl IntoIterator<Item = Variable>) {
        for loss in losses {
            self.record.losses.extend(loss.text().map(str::to_owned));
            self.losses.push(loss);
        }
    }
}

/// The input of a [`Method`]: the search so far, and its engines.
#[derive(Clone, Copy)]
pub struct IterationCx<'a> {
    pub(super) search: &'a Search<'a>,
    pub(super) iteration: u32,
    pub(super) seed: Seed,
}

impl fmt::Debug for IterationCx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("IterationCx");
        shown.field("query", self.query()).field("iteration", &self.iteration);
        shown.finish_non_exhaustive()
    }
}

impl<'a> IterationCx<'a> {
    /// The number of the iteration, from 1; in [`Method::select`] one more than the last.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    /// The seed of the iteration. Requests for different things need different [children](Seed::child) of it.
    #[must_use]
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// The query.
    #[must_use]
    pub fn query(&self) -> &'a Query {
        &self.search.asked
    }

    /// The query as a variable of the graph.
    #[must_use]
    pub fn query_variable(&self) -> &'a Variable {
        &self.search.query
    }

    /// All answers so far with their scores.
    #[must_use]
    pub fn pool(&self) -> &'a Pool {
        &self.search.pool
    }

    /// What the selection of pairs is given: the pool, and which of its answers may be rewritten.
    #[must_use]
    pub fn pairs(&self) -> PairCx<'a> {
        let search = self.search;
        PairCx::new(&search.pool, self.iteration, search.tpo.pool_policy.as_ref())
    }

    /// The steps of all earlier iterations, in order.
    #[must_use]
    pub fn steps(&self) -> &'a [Step] {
        &self.search.steps
    }

    /// The steps of another query's search and its index in the list, for a method that
    /// [needs](Method::needs_donor) them.
    #[must_use]
    pub fn borrowed(&self) -> Option<(usize, &'a [Step])> {
        self.search.borrowed.as_ref().map(|borrowed| (borrowed.index, borrowed.steps.as_slice()))
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &'a TpoConfig {
        &self.search.tpo.config
    }

    /// The wording of all requests.
    #[must_use]
    pub fn prompts(&self) -> &'a Arc<PromptPack> {
        &self.search.tpo.prompts
    }

    /// The engine that answers.
    #[must_use]
    pub fn policy(&self) -> &'a Arc<dyn Engine> {
        &self.search.policy
    }

    /// The engine that criticizes.
    #[must_use]
    pub fn critic(&self) -> &'a Arc<dyn Engine> {
        &self.search.critic
    }

    /// The engine that rewrites.
    #[must_use]
    pub fn optimizer(&self) -> &'a Arc<dyn Engine> {
        &self.search.optimizer
    }

    /// The policy's conversation up to its answer: system message, earlier turns, and the last one.
    pub fn dialogue(&self) -> impl Iterator<Item = Message> + use<'a> {
        self.search.dialogue().iter().cloned()
    }

    pub(super) fn truncator(&self) -> &'a Truncator {
        &self.search.tpo.truncator
    }

    /// Whether nothing after the critique of this iteration is needed.
    pub(super) fn ends_with_critique(&self) -> bool {
        self.search.critiques_only && self.iteration == self.search.tpo.config.depth()
    }

    /// Answers of the pool as prompts have them: truncated, if the settings say so.
    ///
    /// # Errors
    /// Failures of the truncation.
    pub async fn shown(&self, positions: &[usize]) -> Result<Vec<Variable>, Error> {
        let answers = positions.iter().filter_map(|position| self.pool().get(*position));
        let answers: Vec<Variable> = answers.map(|candidate| candidate.answer.clone()).collect();
        if self.config().truncate.is_none() {
            return Ok(answers);
        }
        let truncator = self.truncator().clone();
        let truncate = op_fn("truncate", move |inputs: Inputs| {
            let truncator = truncator.clone();
            async move {
                let answers = inputs.iter().map(|input| input.variable().value().clone());
                let truncated = truncator.all(answers.collect()).await?.into_iter();
                let output = |text| Output::new(text, "a response to a user query");
                Ok(truncated.map(|text| output(text).with_requires_grad(false)).collect())
            }
        });
        let inputs: Vec<_> = answers.into_iter().map(|answer| ("answer", answer)).collect();
        Ok(apply(Arc::new(truncate), inputs).await?)
    }

    /// More answers to the query itself. The same number in the same iteration gives the same answers.
    ///
    /// # Errors
    /// Those of the policy.
    pub async fn sample(&self, samples: u32) -> Result<Vec<Variable>, Error> {
        self.search.sample(self.iteration, samples).await
    }

    /// Answers of the optimizer to a prompt that stands in place of the query's last turn: behind its system message
    /// and its earlier turns.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn answer(
        &self,
        prompt: &Variable,
        samples: u32,
        seed: Seed,
    ) -> Result<Vec<Variable>, Error> {
        let sampling = self.config().sampling.clone().with_n(samples);
        let call = LlmCall::builder(Arc::clone(self.optimizer()))
            .name("answer")
            .purpose(Purpose::Update)
            .sampling(sampling)
            .response_role("a response to a user query")
            .build();
        let (system, history, _) = self.search.parts()?;
        Ok(call
            .ask(prompt)
            .system(system)
            .history(history.iter().cloned())
            .seed(seed)
            .all()
            .await?)
    }

    /// A text of the critic for a prompt, which is no answer: an analysis, a digest, a verdict.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn analyse(
        &self,
        prompt: &Variable,
        role: &str,
        seed: Seed,
    ) -> Result<Variable, Error> {
        let call = LlmCall::builder(Arc::clone(self.critic()))
            .name("analyse")
            .purpose(Purpose::Loss)
            .sampling(self.config().critic.clone())
            .response_role(role)
            .build();
        Ok(call.ask(prompt).seed(seed).one().await?)
    }

    /// A prompt worded by a template: a node of the graph that depends on the variables whose texts are in `context`.
    ///
    /// # Errors
    /// [`Error::Prompt`] if the template is not in the pack or cannot be rendered.
    pub async fn prompt<C: TemplateContext>(
        &self,
        template: &'static str,
        context: &C,
        inputs: impl IntoIterator<Item = (&'static str, Variable)>,
    ) -> Result<Variable, Error> {
        let text = self.prompts().render(template, context)?;
        let op = op_fn(template, move |_: Inputs| {
            let prompt = Output::new(text.clone(), "prompt").with_requires_grad(false);
            std::future::ready(Ok(vec![prompt]))
        });
        Ok(apply_one(Arc::new(op), inputs.into_iter().collect::<Vec<_>>()).await?)
    }
}
