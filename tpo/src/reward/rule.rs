//! Rules as reward models.

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use textgrad_core::{Check, EngineError};
use unicode_segmentation::UnicodeSegmentation;

use super::RewardModel;
use crate::query::Query;

/// A reward for answers of about the right length, in words: 0 within the bounds, and below it minus one for
/// each `slack` words that are missing or too many. As a member of an [`Ensemble`](super::Ensemble) it keeps
/// a reward model that likes long answers from being pleased by length alone.
///
/// # Examples
/// ```
/// use tpo::{LengthReward, RewardModel};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let length = LengthReward::new(2, 3, 2);
/// assert_eq!(length.score(&"?".into(), &["two words", "one", "one two three four five"]).await?, [0.0, -0.5, -1.0]);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LengthReward {
    least: usize,
    most: usize,
    slack: usize,
}

impl LengthReward {
    /// A reward for `least` to `most` words. `slack` is how many words off cost one point, at least 1.
    #[must_use]
    pub fn new(least: usize, most: usize, slack: usize) -> Self {
        Self { least, most, slack: slack.max(1) }
    }

    fn of(self, answer: &str) -> f64 {
        let words = answer.unicode_words().count();
        let off = self.least.saturating_sub(words).max(words.saturating_sub(self.most));
        #[expect(clippy::cast_precision_loss, reason = "no answer has 2^52 words")]
        let points = off as f64 / self.slack as f64;
        // Not -0, which would stand in journals.
        if off == 0 { 0.0 } else { -points }
    }
}

#[async_trait]
impl RewardModel for LengthReward {
    fn name(&self) -> &'static str {
        "length"
    }

    fn identity(&self) -> Cow<'_, str> {
        let Self { least, most, slack } = self;
        format!("length of {least} to {most} words, slack {slack}").into()
    }

    async fn score(&self, _: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        Ok(answers.iter().map(|answer| self.of(answer)).collect())
    }
}

/// A reward for answers of which a [`Check`] holds, such as a format: 1 if it does, else 0.
///
/// # Examples
/// ```
/// use textgrad_core::check_fn;
/// use tpo::{CheckReward, RewardModel};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let list = CheckReward::new(check_fn("a list", |text: &str| match text.starts_with("- ") {
///     true => Ok(()),
///     false => Err("it is no list".to_owned()),
/// }));
/// assert_eq!(list.score(&"?".into(), &["- one", "one"]).await?, [1.0, 0.0]);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
pub struct CheckReward<C> {
    name: String,
    identity: String,
    check: C,
}

impl<C: Check> CheckReward<C> {
    /// A reward for what obeys this.
    pub fn new(check: C) -> Self {
        let name = format!("check: {}", check.rule());
        Self { identity: name.clone(), name, check }
    }

    /// The same by another name in journals and reports, for a rule of many words. What tells it from others stays
    /// the rule.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }
}

#[async_trait]
impl<C: Check> RewardModel for CheckReward<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.identity)
    }

    async fn score(&self, _: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let holds = |answer: &&str| f64::from(u8::from(self.check.check(answer).is_ok()));
        Ok(answers.iter().map(holds).collect())
    }
}

impl<C> fmt::Debug for CheckReward<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckReward").field("name", &self.name).finish_non_exhaustive()
    }
}
