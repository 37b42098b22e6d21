//! Momentum by sampling: new texts are written from earlier ones too.

mod history;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::Value as Json;
use textgrad_core::{Gradients, Parameter, Score, Seed, Variable};

use self::history::{Draw, History};
use super::descent::TextualGradientDescent;
use super::memory::Slots;
use super::optimizer::{
    FeedbackTarget, Optimizer, ParameterUpdate, Proposal, ProposalOutcome, refuse_repeated,
    with_feedback,
};
use super::rules::{Rejected, Rules};
use super::shown::UpdateRequest;
use super::update::{UpdateOutcome, rewrite};
use crate::error::Error;

/// Textual gradient descent with momentum by sampling: each new text is written from a text that is drawn from
/// those that the parameter had, with the feedback on *that* text, and better ones are drawn more often.
///
/// After TSGD-M: Ding et al., "Scaling Textual Gradients via Sampling-Based Momentum", 2025, arXiv:2506.00400.
/// Our reading of it:
///
/// * An entry of the history is a text with the last feedback on it and its score: the one that was
///   [reported](Optimizer::report) when it was accepted, else the [score](Variable::score) of the objective
///   that it was first seen with. Texts without a score count as the mean of those that have one. Give scores
///   of one measure: reported ones, or the objective's.
/// * The text as it is now joins the history before the draw, so it may be drawn too; in the first step it is
///   all there is. At most [`history`](SampledMomentumBuilder::history) texts are kept, the oldest forgotten
///   first.
/// * [`bases`](SampledMomentumBuilder::bases) texts are drawn without replacement, with probabilities in
///   proportion to exp(score / temperature) (Gumbel-top-k), for each parameter by itself. Each is rewritten by
///   a request of its own; the new texts are candidates in the order of the draw.
///   [`Proposal::select`] finds out which of them is the best.
///
/// Requests do not grow with the history. Applying a proposal replaces the text as it is now, whatever the new
/// one was written from. Draws and requests are seeded by the place of the parameter in the list and the number
/// of proposals before; [`Optimizer::state_dict`] saves both and the history, as
/// [`TextualGradientDescent`] explains.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, Score, Seed, backward};
/// use textgrad_ops::{Optimizer, ProposalOutcome, SampledMomentum, TextLoss, TextualGradientDescent};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new([
///     "Too vague.",
///     "Name the planet.",
///     "<IMPROVED_VARIABLE>\nMars is red.\n</IMPROVED_VARIABLE>",
/// ]));
/// let descent = TextualGradientDescent::builder(engine.clone()).build();
/// let optimizer = SampledMomentum::builder(descent, Seed::new(7)).temperature(0.05).build()?;
///
/// let answer = Parameter::new("It is red.", "answer");
/// let objective = TextLoss::new(engine, "Judge.").evaluate(&answer.variable()).await?;
/// let gradients = backward(&objective).await?;
/// let proposal = optimizer.propose(&[answer.clone()], &objective, &gradients).await?;
/// proposal.apply()?;
/// optimizer.report(&proposal, ProposalOutcome { accepted: true, score: Some(Score::from(0.8)) });
/// assert_eq!(answer.text().as_ref(), "Mars is red.");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct SampledMomentum {
    settings: SampledMomentumBuilder,
    history: Arc<Mutex<Slots<History>>>,
}

/// Settings of [`SampledMomentum`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct SampledMomentumBuilder {
    descent: TextualGradientDescent,
    seed: Seed,
    draw: Draw,
}

impl SampledMomentumBuilder {
    /// The optimizer, with an empty history.
    ///
    /// # Errors
    /// [`Error::Setting`] if the temperature is not a finite number above 0, or the optimizer was told to
    /// remember earlier steps, which it would not do here.
    pub fn build(mut self) -> Result<SampledMomentum, Error> {
        let setting = |setting, expected, got| Error::Setting { setting, expected, got };
        let temperature = self.draw.temperature;
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(setting("temperature", "a finite number above 0", temperature.to_string()));
        }
        let memory_config = self.descent.settings.memory_config;
        if memory_config.longest() > 0 {
            return Err(setting(
                "descent",
                "an optimizer without memory, for sampled momentum keeps its own",
                format!("{memory_config:?}"),
            ));
        }
        self.draw.bases = self.draw.bases.max(1);
        self.draw.limit = self.draw.limit.max(1);
        Ok(SampledMomentum { settings: self, history: Arc::default() })
    }
}

const KIND: &str = "sampled momentum";

impl SampledMomentum {
    /// Default weight of a score: for scores between 0 and 1, a text that is better by 0.1
    /// is drawn e times as often.
    pub const DEFAULT_TEMPERATURE: f64 = 0.1;
    /// Default number of texts of a parameter that are kept.
    pub const DEFAULT_HISTORY: usize = 16;

    /// Momentum for this optimizer, which words and makes the requests. Its own seed is not used.
    pub fn builder(descent: TextualGradientDescent, seed: Seed) -> SampledMomentumBuilder {
        let (temperature, limit) = (Self::DEFAULT_TEMPERATURE, Self::DEFAULT_HISTORY);
        SampledMomentumBuilder { descent, seed, draw: Draw { temperature, bases: 1, limit } }
    }

    /// New texts for one parameter, from each text that is drawn.
    async fn update(&self, target: FeedbackTarget, score: Option<f64>) -> ParameterUpdate {
        let rewrite = self.rewrite(&target, score).await.map_err(Arc::new);
        ParameterUpdate { parameter: target.parameter, base: target.base, rewrite }
    }

    async fn rewrite(
        &self,
        target: &FeedbackTarget,
        score: Option<f64>,
    ) -> Result<UpdateOutcome, Error> {
        let SampledMomentumBuilder { descent, seed, draw } = &self.settings;
        let FeedbackTarget { position, parameter, base, feedback } = target;
        let rules = Rules::of(parameter)?;
        let text = base.text().unwrap_or_default();
        let rendered = UpdateRequest::new(&descent.settings, base, feedback)?.rendered;
        let seed = seed.child("parameter", *position);
        let (drawn, seed) = match self.history.lock().get(parameter) {
            Some(history) => history.draw(text, rendered, score, (*draw, seed)),
            None => (Vec::new(), seed),
        };
        let mut asked = Vec::new();
        for (rank, entry) in (0_u64..).zip(drawn) {
            let mut ask = if entry.text == text {
                UpdateRequest::new(&descent.settings, base, feedback)?
            } else {
                let earlier = Variable::constant(entry.text, Arc::clone(parameter.role()));
                UpdateRequest::again(earlier, entry.rendered)
            };
            ask.rules = rules.clone();
            asked.push(rewrite(&descent.settings, ask, Some(seed.child("base", rank))));
        }
        merged(join_all(asked).await)
    }
}

/// The new texts of several requests, in order. What there is is kept; if there is none, an engine that failed
/// says more than texts that break a rule.
fn merged(results: Vec<Result<UpdateOutcome, Error>>) -> Result<UpdateOutcome, Error> {
    let (mut candidates, mut rejected) = (Vec::new(), Vec::new());
    let (mut violations, mut failure) = (None, None);
    for result in results {
        match result {
            Ok(rewrite) => {
                candidates.extend(rewrite.candidates);
                rejected.extend(rewrite.rejected);
            }
            Err(Error::Violations { role, requests, rejected: answers }) => {
                let total = violations.map_or(0, |(_, total)| total) + requests;
                violations = Some((role, total));
                rejected.extend(answers);
            }
            Err(error) => {
                rejected.push(Rejected::failed(error.to_string()));
                failure = failure.or(Some(error));
            }
        }
    }
    match (failure, violations) {
        _ if !candidates.is_empty() => Ok(UpdateOutcome { candidates, rejected }),
        (Some(failure), _) => Err(failure),
        (None, Some((role, requests))) => Err(Error::Violations { role, requests, rejected }),
        // At least one text is drawn.
        (None, None) => Err(Error::NoFeedback { roles: Vec::new() }),
    }
}

#[async_trait]
impl Optimizer for SampledMomentum {
    fn candidates(&self) -> usize {
        self.settings.draw.bases.saturating_mul(self.settings.descent.candidates())
    }

    /// # Errors
    /// [`Error::NoFeedback`] if none of the parameters has feedback, and [`Error::Core`] if one is given twice;
    /// nothing is asked then.
    async fn propose(
        &self,
        parameters: &[Parameter],
        objective: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, Error> {
        refuse_repeated(parameters)?;
        self.history.lock().register(parameters);
        let score = objective.score().map(Score::as_f64).filter(|score| score.is_finite());
        let (targets, unchanged) = with_feedback(parameters, gradients)?;
        let asked = targets.into_iter().map(|target| self.update(target, score));
        let updates = join_all(asked).await;
        let mut history = self.history.lock();
        for update in updates.iter().filter(|update| update.rewrite.is_ok() || update.is_kept()) {
            if let Some(history) = history.get(&update.parameter) {
                history.steps = history.steps.wrapping_add(1);
            }
        }
        drop(history);
        Ok(Proposal { updates, unchanged })
    }

    /// Learns the score of the texts that the parameters have now, if the proposal was accepted.
    fn report(&self, proposal: &Proposal, outcome: ProposalOutcome) {
        let score = outcome.score.map(Score::as_f64).filter(|score| score.is_finite());
        if let (true, Some(score)) = (outcome.accepted, score) {
            let mut history = self.history.lock();
            let parameters = proposal.updates.iter().map(|update| &update.parameter);
            for parameter in parameters.chain(&proposal.unchanged) {
                if let Some(history) = history.get(parameter) {
                    history.learn(&parameter.text(), score);
                }
            }
        }
    }

    fn settings(&self) -> Json {
        self.settings.descent.settings()
    }

    fn state_dict(&self) -> Json {
        self.history.lock().save(KIND)
    }

    fn load_state_dict(&self, parameters: &[Parameter], state: &Json) -> Result<(), Error> {
        let loaded = Slots::load(KIND, parameters, state)?;
        *self.history.lock() = loaded;
        Ok(())
    }
}
