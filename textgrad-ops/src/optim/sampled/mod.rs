//! Momentum by sampling: new texts are written from earlier ones too.

mod builder;
mod gumbel;
mod history;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::Value as Json;
use textgrad_core::{Feedback, Gradients, Parameter, Score, Seed, Variable};

pub use self::builder::SampledMomentumBuilder;
use self::history::{Draw, History};
use super::descent::TextualGradientDescent;
use super::optimizer::{Optimizer, ProposalOutcome};
use super::proposal::{ParameterUpdate, Proposal, refuse_repeated};
use super::rules::Rules;
use super::update::{Rejected, UpdateOutcome, UpdateRequest, rewrite};
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
#[derive(Clone)]
pub struct SampledMomentum(Arc<Inner>);

struct Inner {
    descent: TextualGradientDescent,
    draw: Draw,
    seed: Seed,
    history: Mutex<History>,
}

impl SampledMomentum {
    /// Default weight of a score: for scores between 0 and 1, a text that is better by 0.1
    /// is drawn e times as often.
    pub const DEFAULT_TEMPERATURE: f64 = 0.1;
    /// Default number of texts of a parameter that are kept.
    pub const DEFAULT_HISTORY: usize = 16;

    /// Momentum for this optimizer, which words and makes the requests. Its own seed is not used.
    #[must_use]
    pub fn builder(descent: TextualGradientDescent, seed: Seed) -> SampledMomentumBuilder {
        SampledMomentumBuilder::new(descent, seed)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// New texts for one parameter, from each text that is drawn.
    async fn update(
        &self,
        place: usize,
        parameter: &Parameter,
        base: Variable,
        feedback: Vec<Feedback>,
        score: Option<f64>,
    ) -> ParameterUpdate {
        let rewrite = self.rewrite(place, parameter, &base, &feedback, score).await;
        ParameterUpdate { parameter: parameter.clone(), base, rewrite: rewrite.map_err(Arc::new) }
    }

    async fn rewrite(
        &self,
        place: usize,
        parameter: &Parameter,
        base: &Variable,
        feedback: &[Feedback],
        score: Option<f64>,
    ) -> Result<UpdateOutcome, Error> {
        let settings = self.0.descent.settings();
        let rules = Rules::of(parameter)?;
        let text = base.text().unwrap_or_default();
        let said = UpdateRequest::new(settings, base, feedback)?.rendered;
        let seed = self.0.seed.child("parameter", place as u64);
        let (drawn, seed) = self.history().draw(parameter, text, said, score, (self.0.draw, seed));
        let mut asked = Vec::new();
        for (rank, entry) in (0_u64..).zip(drawn) {
            let mut ask = if entry.text == text {
                UpdateRequest::new(settings, base, feedback)?
            } else {
                let earlier = Variable::constant(entry.text, Arc::clone(parameter.role()));
                UpdateRequest::again(earlier, entry.rendered)
            };
            ask.rules = rules.clone();
            asked.push(rewrite(settings, ask, Some(seed.child("base", rank))));
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
                rejected.push(Rejected::unusable(error.to_string(), String::new()));
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
        self.0.draw.bases.saturating_mul(self.0.descent.candidates())
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
        refuse_repeated(&parameters.iter().collect::<Vec<_>>())?;
        {
            let mut history = self.history();
            parameters.iter().for_each(|parameter| history.register(parameter));
        }
        let score = objective.score().map(Score::as_f64).filter(|score| score.is_finite());
        let mut unchanged = Vec::new();
        let mut asked = Vec::new();
        for (place, parameter) in parameters.iter().enumerate() {
            let base = parameter.variable();
            let feedback: Vec<Feedback> = gradients.feedback(&base).cloned().collect();
            if feedback.is_empty() {
                unchanged.push(parameter.clone());
            } else {
                asked.push(self.update(place, parameter, base, feedback, score));
            }
        }
        if asked.is_empty() {
            let roles = parameters.iter().map(|parameter| parameter.role().to_string()).collect();
            return Err(Error::NoFeedback { roles });
        }
        let updates = join_all(asked).await;
        let mut history = self.history();
        for update in updates.iter().filter(|update| update.rewrite.is_ok() || update.is_kept()) {
            history.advance(&update.parameter);
        }
        drop(history);
        Ok(Proposal { updates, unchanged })
    }

    /// Learns the score of the texts that the parameters have now, if the proposal was accepted.
    fn report(&self, proposal: &Proposal, outcome: ProposalOutcome) {
        let score = outcome.score.map(Score::as_f64).filter(|score| score.is_finite());
        if let (true, Some(score)) = (outcome.accepted, score) {
            let mut history = self.history();
            let parameters = proposal.updates.iter().map(|update| &update.parameter);
            parameters
                .chain(&proposal.unchanged)
                .for_each(|parameter| history.learn(parameter, score));
        }
    }

    fn state_dict(&self) -> Json {
        self.history().to_json()
    }

    fn load_state_dict(&self, parameters: &[Parameter], state: &Json) -> Result<(), Error> {
        let loaded = History::from_json(parameters, state, self.0.draw.limit)?;
        *self.history() = loaded;
        Ok(())
    }
}

impl fmt::Debug for SampledMomentum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SampledMomentum")
            .field("descent", &self.0.descent)
            .field("draw", &self.0.draw)
            .finish_non_exhaustive()
    }
}
