//! The trait of optimizers, and proposals: new texts that are not assigned yet.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;
use textgrad_core::{Assignment, Feedback, Gradients, Parameter, Score, Variable};

use super::rules::Rejected;
use super::update::UpdateOutcome;
use crate::error::Error;

/// Something that proposes new texts for parameters.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, backward};
/// use textgrad_ops::{Optimizer, TextLoss, TextualGradientDescent};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new([
///     "Too vague.",
///     "Name the planet.",
///     "<IMPROVED_VARIABLE>\nMars is red.\n</IMPROVED_VARIABLE>",
/// ]));
/// let optimizer: Arc<dyn Optimizer> = Arc::new(TextualGradientDescent::builder(engine.clone()).build());
///
/// let answer = Parameter::new("It is red.", "answer to a question");
/// let objective = TextLoss::new(engine, "Say what is vague.").evaluate(&answer.variable()).await?;
/// let gradients = backward(&objective).await?;
/// let proposal = optimizer.propose(&[answer.clone()], &objective, &gradients).await?;
/// proposal.apply()?;
/// assert_eq!(answer.text().as_ref(), "Mars is red.");
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
///
/// An optimizer of one's own:
///
/// ```
/// use textgrad_core::{Gradients, Parameter, Variable, async_trait, backward};
/// use textgrad_ops::check::Length;
/// use textgrad_ops::{Error, Optimizer, Proposal, ScoreLoss};
///
/// /// Drops the last word of each text that there is feedback on.
/// struct Shorten;
///
/// #[async_trait]
/// impl Optimizer for Shorten {
///     async fn propose(
///         &self,
///         parameters: &[Parameter],
///         _: &Variable,
///         gradients: &Gradients,
///     ) -> Result<Proposal, Error> {
///         let (mut texts, mut unchanged) = (Vec::new(), Vec::new());
///         for parameter in parameters {
///             match (gradients.get(parameter), parameter.text().rsplit_once(' ')) {
///                 ([_, ..], Some((shorter, _))) => texts.push((parameter, shorter.to_owned())),
///                 _ => unchanged.push(parameter.clone()),
///             }
///         }
///         Ok(Proposal { unchanged, ..Proposal::of(texts) })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let title = Parameter::new("Man bites dog again", "headline");
/// let objective = ScoreLoss::check(Length::words(..=3)?).evaluate(&title).await?;
/// let gradients = backward(&objective).await?;
/// let proposal = Shorten.propose(&[title.clone()], &objective, &gradients).await?;
/// proposal.apply()?;
/// assert_eq!(title.text().as_ref(), "Man bites dog");
/// assert_eq!(proposal.changed().count(), 1);
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
#[async_trait]
pub trait Optimizer: Send + Sync {
    /// Whether it works from feedback on the parameters themselves. If not, no backward pass is needed, and
    /// [`propose`](Self::propose) may be given gradients that are empty.
    fn needs_gradients(&self) -> bool {
        true
    }

    /// Largest number of candidate texts per parameter in a proposal. Default: 1.
    fn candidates(&self) -> usize {
        1
    }

    /// New texts for parameters that `objective` depends on. Assigns nothing.
    ///
    /// # Errors
    /// If nothing could be proposed for any of them.
    async fn propose(
        &self,
        parameters: &[Parameter],
        objective: &Variable,
        gradients: &Gradients,
    ) -> Result<Proposal, Error>;

    /// Tells it what became of a proposal, for optimizers that learn from it.
    fn report(&self, proposal: &Proposal, outcome: ProposalOutcome) {
        let _ = (proposal, outcome);
    }

    /// Its settings beside engines, as JSON, which a resumed training must share: constraints, examples. Default: null,
    /// nothing is compared.
    fn settings(&self) -> Json {
        Json::Null
    }

    /// What it remembers, so that a later run can continue; null if it remembers nothing.
    fn state_dict(&self) -> Json {
        Json::Null
    }

    /// Takes up what [`state_dict`](Self::state_dict) gave, for these parameters in the same order.
    ///
    /// # Errors
    /// If it is not the state of such an optimizer; it is then left as it was.
    fn load_state_dict(&self, parameters: &[Parameter], state: &Json) -> Result<(), Error> {
        let _ = parameters;
        match state {
            Json::Null => Ok(()),
            other => Err(Error::State {
                expected: "null, for this optimizer remembers nothing".to_owned(),
                got: other.to_string(),
            }),
        }
    }
}

textgrad_core::debug_by!(dyn Optimizer);

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProposalOutcome {
    /// Whether its texts were kept.
    pub accepted: bool,
    /// What they scored, if that was measured.
    pub score: Option<Score>,
}

/// What an optimizer has to say about one parameter.
#[derive(Debug)]
pub struct ParameterUpdate {
    /// The parameter.
    pub parameter: Parameter,
    /// The leaf that the new texts take the place of: the one that was current when they were asked for.
    pub base: Variable,
    /// The new texts, or why there are none.
    pub rewrite: Result<UpdateOutcome, Arc<Error>>,
}

impl ParameterUpdate {
    /// These new texts in place of the present one, the best first.
    ///
    /// The present text is that of this call. Where other tasks may assign the parameter while the new texts are made,
    /// set [`base`](Self::base) to the leaf that they are made from.
    pub fn new(
        parameter: &Parameter,
        texts: impl IntoIterator<Item = impl Into<Arc<str>>>,
    ) -> Self {
        let candidate = |text: Arc<str>| Variable::constant(text, Arc::clone(parameter.role()));
        let candidates = texts.into_iter().map(|text| candidate(text.into())).collect();
        let rewrite = Ok(UpdateOutcome { candidates, rejected: Vec::new() });
        Self { parameter: parameter.clone(), base: parameter.variable(), rewrite }
    }

    /// Whether the parameter keeps its text because every new one breaks a rule that is checked
    /// ([`Error::Violations`]). It does not keep the others of the proposal from being assigned: the model did
    /// answer, so this is no failure, and the step of the other parameters is not lost.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self.rewrite.as_ref().map_err(|error| &**error), Err(Error::Violations { .. }))
    }

    /// The answers that could not be used, in order, with what was wrong with each; where the parameter is
    /// [kept](Self::is_kept), those are all that came.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        match self.rewrite.as_ref().map_err(|error| &**error) {
            Ok(rewrite) => &rewrite.rejected,
            Err(Error::Violations { rejected, .. }) => rejected,
            Err(_) => &[],
        }
    }

    fn assignment(&self) -> Result<Assignment, Error> {
        let first = self.rewrite.as_ref().ok().and_then(|rewrite| rewrite.candidates.first());
        match first.and_then(Variable::text) {
            Some(text) => Ok(self.assign(text)),
            None => Err(Error::NoCandidate { role: self.parameter.role().to_string() }),
        }
    }

    /// The assignment of one of the texts.
    pub(super) fn assign(&self, text: &str) -> Assignment {
        Assignment {
            parameter: self.parameter.clone(),
            base: self.base.clone(),
            text: Arc::from(text),
        }
    }
}

/// New texts for some parameters. Nothing is assigned until [`Proposal::apply`].
#[derive(Debug)]
pub struct Proposal {
    /// One entry per parameter that was asked about, in the order in which they were given.
    pub updates: Vec<ParameterUpdate>,
    /// Parameters that nothing was asked about or proposed for, such as those without feedback.
    pub unchanged: Vec<Parameter>,
}

impl Proposal {
    /// One new text for each of these parameters; see [`ParameterUpdate::new`].
    pub fn of<'a>(texts: impl IntoIterator<Item = (&'a Parameter, impl Into<Arc<str>>)>) -> Self {
        let updates =
            texts.into_iter().map(|(parameter, text)| ParameterUpdate::new(parameter, [text]));
        Self { updates: updates.collect(), unchanged: Vec::new() }
    }

    /// The parameters whose first new text is another than the text that it replaces. A step can succeed without any:
    /// a parameter without feedback keeps its text, and so does one whose new texts all break a rule.
    pub fn changed(&self) -> impl Iterator<Item = &Parameter> {
        let is_new = |update: &&ParameterUpdate| {
            let first = update.rewrite.as_ref().ok().and_then(|new| new.candidates.first());
            first.is_some_and(|first| first.value() != update.base.value())
        };
        self.updates.iter().filter(is_new).map(|update| &update.parameter)
    }

    /// Assigns the first new text of every parameter: all of them or none. A parameter that is
    /// [kept](ParameterUpdate::is_kept) is left as it is and is no failure; if all of them are, nothing is
    /// assigned, and that is none either.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if a parameter has no new text for another reason, [`Error::NoCandidate`] if all
    /// of its new texts were taken out, [`Error::Core`] if one was assigned since; then nothing is assigned,
    /// and the proposal still holds what there is.
    pub fn apply(&self) -> Result<(), Error> {
        let assignments = self.new_texts()?.into_iter().map(ParameterUpdate::assignment);
        let assignments = assignments.collect::<Result<Vec<Assignment>, Error>>()?;
        Ok(Parameter::assign_all(&assignments)?)
    }

    /// The updates that have new texts.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if one has none and is not kept.
    pub(super) fn new_texts(&self) -> Result<Vec<&ParameterUpdate>, Error> {
        let (kept, asked): (Vec<&ParameterUpdate>, Vec<&ParameterUpdate>) =
            self.updates.iter().partition(|update| update.is_kept());
        let mut failures = asked.iter().filter_map(|update| update.rewrite.as_ref().err());
        if let Some(first) = failures.next() {
            return Err(Error::Incomplete {
                failed: 1 + failures.count(),
                total: kept.len() + asked.len(),
                source: Arc::clone(first),
            });
        }
        Ok(asked)
    }
}

/// Refuses a parameter that occurs twice.
pub(super) fn refuse_repeated(parameters: &[Parameter]) -> Result<(), Error> {
    for (place, parameter) in parameters.iter().enumerate() {
        if parameters.iter().take(place).any(|known| known == parameter) {
            let role = parameter.role().to_string();
            return Err(textgrad_core::Error::RepeatedParameter { role }.into());
        }
    }
    Ok(())
}

/// A parameter that there is feedback on.
pub(super) struct FeedbackTarget {
    pub(super) position: u64,
    pub(super) parameter: Parameter,
    pub(super) base: Variable,
    pub(super) feedback: Vec<Feedback>,
}

/// The parameters that there is feedback on, and the others.
///
/// # Errors
/// [`Error::NoFeedback`] if there is none on any, [`Error::NoParameters`] without a parameter.
pub(super) fn with_feedback(
    parameters: &[Parameter],
    gradients: &Gradients,
) -> Result<(Vec<FeedbackTarget>, Vec<Parameter>), Error> {
    if parameters.is_empty() {
        return Err(Error::NoParameters { frozen: 0 });
    }
    let (mut targets, mut unchanged) = (Vec::new(), Vec::new());
    for (position, parameter) in (0..).zip(parameters.iter().cloned()) {
        let base = parameter.variable();
        let feedback: Vec<Feedback> = gradients.feedback(&base).cloned().collect();
        if feedback.is_empty() {
            unchanged.push(parameter);
        } else {
            targets.push(FeedbackTarget { position, parameter, base, feedback });
        }
    }
    if targets.is_empty() {
        let roles = parameters.iter().map(|parameter| parameter.role().to_string()).collect();
        return Err(Error::NoFeedback { roles });
    }
    Ok((targets, unchanged))
}
