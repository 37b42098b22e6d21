//! Scores of texts: one trait, and its sources.
//!
//! | source | scorer |
//! |---|---|
//! | a check | [`CheckScorer`] |
//! | a program | [`CommandScorer`] |
//! | a language model | [`LlmJudge`] |
//! | a function | [`scorer_fn`] |
//! | the last number of a text | [`NumericMatch`] |
//! | a comparison with the expected answer | [`ExactMatch`], [`Contains`], [`ChoiceLetter`], [`MathVistaMatch`] |
//!
//! Every [`Scorer`] is an objective by [`ScoreLoss`](crate::ScoreLoss), and measures predictions in a training.

mod check;
mod choice;
mod command;
mod example;
mod judge;
mod number;
mod text;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use auto_impl::auto_impl;
use derive_setters::Setters;
use textgrad_core::{Engine, Error, PromptError, Score};

pub use self::check::CheckScorer;
pub use self::choice::{ChoiceLetter, MathVistaMatch};
pub use self::command::{CommandScorer, CommandScorerBuilder};
pub use self::example::Example;
pub(crate) use self::example::{index_of_letter, letter};
pub use self::judge::{LlmJudge, LlmJudgeBuilder};
pub use self::number::NumericMatch;
pub use self::text::{Contains, ExactMatch, Normalization};
pub use crate::tags::{TaggedReply, TaggedRequest, Unreadable, read_grade, read_word};

/// A function that replaces an engine, as by one that journals and counts its requests.
pub type ReplaceEngine<'a> = &'a dyn Fn(&Arc<dyn Engine>) -> Arc<dyn Engine>;

/// Scores a text in the context of an example. Higher is better.
///
/// The verdict must depend on nothing but the text and the example: it is cached.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::score::{Example, NumericMatch, Scorer};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let scorer: Arc<dyn Scorer> = Arc::new(NumericMatch::new());
/// let example = Example::new("1").with_expected("1200");
/// assert_eq!(scorer.score("So there are 1,200 nails.", &example).await?.passed(), Some(true));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[async_trait]
#[auto_impl(Arc)]
pub trait Scorer: Send + Sync {
    /// A short name for reports and records. Never a secret. A run is not resumed with a scorer of another name.
    fn name(&self) -> &str;

    /// The name and the settings that the name omits: two scorers of one identity give equal scores. Never a
    /// secret. Default: the name.
    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name())
    }

    /// Purpose of the scorer in words, as prompts quote it. Default: the name.
    fn purpose(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name())
    }

    /// Role of the verdict in words, where it is a variable. Default: `verdict: ` and the purpose.
    fn role(&self) -> Cow<'_, str> {
        Cow::Owned(format!("verdict: {}", self.purpose()))
    }

    /// Scores a text. An example without fields stands for no context.
    ///
    /// # Errors
    /// If there is no verdict, such as where the example lacks what the scorer needs. A text that cannot be
    /// parsed is wrong, which is a verdict.
    async fn score(&self, text: &str, example: &Example) -> Result<Verdict, Error>;

    /// Whether the scores are simulated. Default: no.
    fn is_simulation(&self) -> bool {
        false
    }

    /// The same scorer with each of its engines replaced; `None` if it asks no engine, which is the default.
    fn with_engines(&self, _replace: ReplaceEngine<'_>) -> Option<Arc<dyn Scorer>> {
        None
    }
}

textgrad_core::debug_by!(dyn Scorer, name);

/// The verdict of a [`Scorer`]: a score, the verdict in words, and feedback if something is to be improved.
#[derive(Debug, Clone, PartialEq, Setters)]
#[setters(generate = false, prefix = "with_")]
pub struct Verdict {
    score: Result<Score, String>,
    /// Replaces the verdict in words.
    #[setters(generate, into)]
    report: String,
    feedback: Option<Result<String, String>>,
}

impl Verdict {
    /// A verdict with this score. Its report is `right`, `wrong` or `score: X`.
    #[must_use]
    pub fn new(score: impl Into<Score>) -> Self {
        let score = score.into();
        let report = match score {
            Score::Passed(true) => "right".to_owned(),
            Score::Passed(false) => "wrong".to_owned(),
            Score::Number(number) => format!("score: {number}"),
        };
        Self { score: Ok(score), report, feedback: None }
    }

    /// A verdict without a score, and the reason.
    #[must_use]
    pub fn without_score(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { report: reason.clone(), score: Err(reason), feedback: None }
    }

    /// Adds what is wrong with the text and how to improve it.
    #[must_use]
    pub fn with_feedback(mut self, feedback: impl Into<String>) -> Self {
        self.feedback = Some(Ok(feedback.into()));
        self
    }

    /// Adds feedback that was rendered. A template that fails is an error only where the feedback is used.
    fn with_rendered_feedback(mut self, rendered: Result<String, PromptError>) -> Self {
        self.feedback = Some(rendered.map_err(|error| error.to_string()));
        self
    }

    /// The score, if there is one.
    #[must_use]
    pub fn score(&self) -> Option<Score> {
        self.score.as_ref().ok().copied()
    }

    /// The score, where it is needed.
    ///
    /// # Errors
    /// [`Error::Op`] with the reason if there is none.
    pub fn required(&self) -> Result<Score, Error> {
        self.score.clone().map_err(Error::op)
    }

    /// Whether the text passed; `None` for a number and without a score.
    #[must_use]
    pub fn passed(&self) -> Option<bool> {
        self.score().and_then(Score::passed)
    }

    /// The verdict in words.
    #[must_use]
    pub fn report(&self) -> &str {
        &self.report
    }

    /// What is wrong with the text and how to improve it, where the scorer says so without a model.
    ///
    /// # Errors
    /// [`Error::Op`] if its template cannot be rendered.
    pub fn feedback(&self) -> Result<Option<&str>, Error> {
        let feedback = self.feedback.as_ref().map(|feedback| feedback.as_deref());
        feedback.transpose().map_err(|problem| Error::op(problem.as_str()))
    }

    pub(crate) fn has_feedback(&self) -> bool {
        self.feedback.is_some()
    }
}

impl<S: Into<Score>> From<S> for Verdict {
    fn from(score: S) -> Self {
        Self::new(score)
    }
}

/// Whether a score leaves nothing to improve: it passed, or is at least 1.
pub(crate) fn is_right(score: Score) -> bool {
    score.as_f64() >= 1.0
}

/// A scorer from a function; see [`scorer_fn`].
#[derive(Clone)]
pub struct ScorerFn<F> {
    name: String,
    function: F,
}

/// Creates a [`Scorer`] from a function that returns at once. For work that waits, implement the trait.
///
/// # Examples
/// ```
/// use textgrad_ops::score::{Example, Scorer, scorer_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let brevity = scorer_fn("brevity", |text: &str, _: &Example| Ok(1.0 / text.len().max(1) as f64));
/// assert_eq!(brevity.score("four", &Example::new("1")).await?.required()?.as_f64(), 0.25);
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub fn scorer_fn<F, V>(name: impl Into<String>, function: F) -> ScorerFn<F>
where
    F: Fn(&str, &Example) -> Result<V, Error> + Send + Sync,
    V: Into<Verdict>,
{
    ScorerFn { name: name.into(), function }
}

#[async_trait]
impl<F, V> Scorer for ScorerFn<F>
where
    F: Fn(&str, &Example) -> Result<V, Error> + Send + Sync,
    V: Into<Verdict>,
{
    fn name(&self) -> &str {
        &self.name
    }

    async fn score(&self, text: &str, example: &Example) -> Result<Verdict, Error> {
        (self.function)(text, example).map(Into::into)
    }
}

textgrad_core::debug_by!(ScorerFn<F> { name });
