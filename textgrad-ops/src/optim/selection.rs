//! Selection of the best candidate of a proposal by score.

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use textgrad_core::{Assignment, Module, Parameter, Score, StateDict, Variable};

use super::optimizer::{ParameterUpdate, Proposal};
use crate::error::Error;

/// What the candidates of a proposal scored, and which of them is better than the texts that there are.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What the texts that there are scored.
    pub current: Score,
    /// What each candidate scored, in order. A candidate is a whole assignment: a text for each parameter.
    pub scores: Vec<Score>,
    /// The best candidate, if it is better than what is there; of equals, the first.
    pub best: Option<usize>,
    assignments: Vec<Assignment>,
}

impl Selection {
    /// The texts of the best candidate; empty if none is better.
    #[must_use]
    pub fn assignments(&self) -> &[Assignment] {
        &self.assignments
    }

    /// What the texts score once this is applied.
    #[must_use]
    pub fn score(&self) -> Score {
        self.best.and_then(|best| self.scores.get(best)).copied().unwrap_or(self.current)
    }

    /// Assigns the best candidate, all of its texts or none; nothing, if none is better.
    ///
    /// # Errors
    /// [`Error::Core`] if a parameter was assigned since; nothing is assigned then.
    pub fn apply(&self) -> Result<(), Error> {
        Ok(Parameter::assign_all(&self.assignments)?)
    }
}

impl Proposal {
    /// Scores each candidate of the proposal, all at the same time, and finds the best of those that score
    /// higher than the texts that there are. Assigns nothing; [`Selection::apply`] does.
    ///
    /// Where there are several parameters, candidates are whole assignments: the first text of each, the
    /// second of each, and so on; a parameter that has fewer texts than another fills up with its first. One
    /// that is [kept](ParameterUpdate::is_kept) stays as it is. Candidates with the same texts are scored
    /// once, and one that changes nothing counts as what is there. Ties keep the old texts.
    ///
    /// `current` is what the texts that there are score by the same measure; if it is not known, they are
    /// scored too. The scorer is given texts that are not assigned: see [`TrialParameter`] for how to run a program
    /// with them. How many of its requests are under way at a time is for its engine to limit.
    ///
    /// # Errors
    /// [`Error::Scoring`] if the scorer fails and [`Error::NotFinite`] if a score is no finite number: the
    /// first in the order of the candidates. [`Error::Incomplete`] and [`Error::NoCandidate`] as for
    /// [`Proposal::apply`]; nothing is scored then.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::testing::{Reply, ScriptedEngine};
    /// use textgrad_core::{Parameter, Purpose, Score, backward};
    /// use textgrad_ops::{TextLoss, TextualGradientDescent, TrialParameter};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let tag = |text| format!("<IMPROVED_VARIABLE>\n{text}\n</IMPROVED_VARIABLE>");
    /// let engine = Arc::new(
    ///     ScriptedEngine::new(["Too short.", "Say more."])
    ///         .on(Purpose::Update, Reply::texts(["No.", "Because of its rust.", "Rust."].map(tag))),
    /// );
    /// let answer = Parameter::new("Iron.", "answer");
    /// let objective = TextLoss::new(engine.clone(), "Judge.").evaluate(&answer.variable()).await?;
    /// let gradients = backward(&objective).await?;
    /// let optimizer = TextualGradientDescent::builder(engine).candidates(3).build();
    /// let proposal = optimizer.propose_updates([&answer], &gradients).await?;
    ///
    /// let scorer = async |trial: TrialParameter| {
    ///     Ok::<Score, std::io::Error>(Score::from(trial.text(&answer).len() as f64))
    /// };
    /// let selection = proposal.select(None, scorer).await?;
    /// assert_eq!((selection.current, selection.best), (Score::from(5.0), Some(1)));
    /// selection.apply()?;
    /// assert_eq!(answer.text().as_ref(), "Because of its rust.");
    /// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
    /// ```
    pub async fn select<S, F, E>(
        &self,
        current: Option<Score>,
        scorer: S,
    ) -> Result<Selection, Error>
    where
        S: Fn(TrialParameter) -> F,
        F: Future<Output = Result<Score, E>>,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let updates = self.new_texts()?;
        let candidates = candidates(&updates)?;
        let base = TrialParameter::new(
            updates
                .iter()
                .map(|update| (&update.parameter, update.base.text().unwrap_or_default())),
        );
        // Each distinct trial; of each candidate, which one it is. The first is of the texts that there are.
        let mut trials: Vec<TrialParameter> = vec![base];
        let mut positions = Vec::new();
        for assignments in &candidates {
            let trial = TrialParameter::of(assignments);
            let known = trials.iter().position(|known| known.same(&trial));
            positions.push(known.unwrap_or(trials.len()));
            if known.is_none() {
                trials.push(trial);
            }
        }
        let asked = trials.into_iter().skip(usize::from(current.is_some())).map(&scorer);
        let results = join_all(asked).await.into_iter().map(|result| result.map_err(Into::into));
        let mut scored = Vec::new();
        for (trial, result) in current.map(Ok).into_iter().chain(results).enumerate() {
            let candidate =
                positions.iter().position(|position| *position == trial).filter(|_| trial > 0);
            let score: Score = result.map_err(|source| Error::Scoring { candidate, source })?;
            if !score.as_f64().is_finite() {
                return Err(Error::NotFinite { candidate, score });
            }
            scored.push(score);
        }
        let scores: Vec<Score> =
            positions.iter().filter_map(|position| scored.get(*position).copied()).collect();
        // There is always a first trial: the default is never taken.
        let current = scored.first().copied().unwrap_or(Score::Number(0.0));
        let best = best(current, &scores);
        let assignments =
            best.and_then(|best| candidates.into_iter().nth(best)).unwrap_or_default();
        Ok(Selection { current, scores, best, assignments })
    }
}

#[cfg(feature = "train")]
impl Proposal {
    /// The candidates as whole assignments, in order, each once.
    pub(crate) fn trials(&self) -> Result<Vec<TrialParameter>, Error> {
        let mut trials: Vec<TrialParameter> = Vec::new();
        for assignments in candidates(&self.new_texts()?)? {
            let trial = TrialParameter::of(&assignments);
            if !trials.iter().any(|known| known.same(&trial)) {
                trials.push(trial);
            }
        }
        Ok(trials)
    }
}

/// The first of the highest scores that are above the current one.
fn best(current: Score, scores: &[Score]) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (position, score) in scores.iter().enumerate() {
        let score = score.as_f64();
        if score > best.map_or(current.as_f64(), |(_, most)| most) {
            best = Some((position, score));
        }
    }
    best.map(|(position, _)| position)
}

/// The candidates of a proposal as whole assignments.
fn candidates(updates: &[&ParameterUpdate]) -> Result<Vec<Vec<Assignment>>, Error> {
    let mut columns: Vec<(&ParameterUpdate, Vec<&str>)> = Vec::new();
    for update in updates {
        let variables = update.rewrite.as_ref().map(|rewrite| rewrite.candidates.as_slice());
        let texts: Vec<&str> =
            variables.unwrap_or_default().iter().filter_map(Variable::text).collect();
        if texts.is_empty() {
            return Err(Error::NoCandidate { role: update.parameter.role().to_string() });
        }
        columns.push((update, texts));
    }
    let count = columns.iter().map(|(_, texts)| texts.len()).max().unwrap_or(0);
    let row = |position: usize| {
        let texts = columns.iter().filter_map(|(update, texts)| {
            Some(update.assign(texts.get(position).or_else(|| texts.first())?))
        });
        texts.collect()
    };
    Ok((0..count).map(row).collect())
}

/// New texts for some parameters, to be tried without being assigned.
///
/// A program is tried with them if it is built of [`variable`](Self::variable)s where it else would take
/// [`Parameter::variable`]; or, for a [`Module`], on a copy of it that [`state_dict`](Self::state_dict) is
/// loaded into. Cheap to clone.
///
/// # Examples
/// ```
/// use textgrad_core::{Parameter, Variable};
/// use textgrad_ops::TrialParameter;
///
/// // The program, as a function of the text that may change.
/// fn program(prompt: &Variable) -> usize {
///     prompt.text().unwrap_or_default().len()
/// }
///
/// let prompt = Parameter::new("Answer.", "system prompt");
/// let trial = TrialParameter::new([(&prompt, "Answer in verse.")]);
/// assert_eq!(program(&prompt.variable()), 7);
/// assert_eq!(program(&trial.variable(&prompt)), 16);
/// assert_eq!(prompt.text().as_ref(), "Answer.");
/// ```
#[derive(Debug, Clone)]
pub struct TrialParameter(Arc<[(Parameter, Arc<str>)]>);

impl TrialParameter {
    /// These texts for these parameters.
    pub fn new<'a, T: Into<Arc<str>>>(texts: impl IntoIterator<Item = (&'a Parameter, T)>) -> Self {
        let texts = texts.into_iter();
        Self(texts.map(|(parameter, text)| (parameter.clone(), text.into())).collect())
    }

    fn of(assignments: &[Assignment]) -> Self {
        Self::new(assignments.iter().map(|new| (&new.parameter, new.text.clone())))
    }

    /// The text to try for a parameter; the one that it has, if there is no other.
    #[must_use]
    pub fn text(&self, parameter: &Parameter) -> Arc<str> {
        let own = self.iter().find(|(known, _)| *known == parameter);
        own.map_or_else(|| parameter.text(), |(_, text)| Arc::clone(text))
    }

    /// The same as a constant with the parameter's role.
    #[must_use]
    pub fn variable(&self, parameter: &Parameter) -> Variable {
        Variable::constant(self.text(parameter), Arc::clone(parameter.role()))
    }

    /// The texts of a module's parameters, these in the place of those that they have: for a copy of the
    /// module, by [`Module::load_state_dict`].
    ///
    /// # Errors
    /// Those of [`Module::named_parameters`].
    pub fn state_dict(&self, module: &dyn Module) -> Result<StateDict, textgrad_core::Error> {
        let mut state = StateDict::default();
        for (name, parameter) in module.named_parameters()? {
            state.insert(name, self.text(&parameter));
        }
        Ok(state)
    }

    /// The parameters with their texts.
    pub fn iter(&self) -> impl Iterator<Item = (&Parameter, &Arc<str>)> {
        self.0.iter().map(|(parameter, text)| (parameter, text))
    }

    /// Whether another tries the same texts for the same parameters, in the same order.
    fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
