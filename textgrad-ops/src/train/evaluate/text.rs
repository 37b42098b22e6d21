//! Comparing texts.

use async_trait::async_trait;
use textgrad_core::{Error, Score};

use super::{Evaluator, Example, Normalization};

/// Whether the prediction is the expected answer.
///
/// # Examples
/// ```
/// use textgrad_ops::train::{Evaluator, ExactMatch, Example, Normalization};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let example = Example::new("1").with_expected("Paris");
/// assert_eq!(ExactMatch::new().evaluate("paris", &example).await?.passed(), Some(false));
/// let lenient = ExactMatch::new().normalization(Normalization::default().ignore_case());
/// assert_eq!(lenient.evaluate("paris\n", &example).await?.passed(), Some(true));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExactMatch(Normalization);

impl ExactMatch {
    /// Only blanks at the ends do not count.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which differences do not count.
    #[must_use]
    pub fn normalization(mut self, normalization: Normalization) -> Self {
        self.0 = normalization;
        self
    }
}

#[async_trait]
impl Evaluator for ExactMatch {
    fn name(&self) -> &str {
        "exact match"
    }

    async fn evaluate(&self, prediction: &str, example: &Example) -> Result<Score, Error> {
        Ok((self.0.apply(prediction) == self.0.apply(example.answer()?)).into())
    }
}

/// Whether the prediction contains the expected answer, at the edges of words.
///
/// # Examples
/// ```
/// use textgrad_ops::train::{Contains, Evaluator, Example};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let example = Example::new("1").with_expected("12");
/// assert_eq!(Contains::new().evaluate("It is 12.", &example).await?.passed(), Some(true));
/// assert_eq!(Contains::new().evaluate("It is 121.", &example).await?.passed(), Some(false));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contains(Normalization);

impl Contains {
    /// Every difference counts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which differences do not count.
    #[must_use]
    pub fn normalization(mut self, normalization: Normalization) -> Self {
        self.0 = normalization;
        self
    }
}

#[async_trait]
impl Evaluator for Contains {
    fn name(&self) -> &str {
        "contains"
    }

    async fn evaluate(&self, prediction: &str, example: &Example) -> Result<Score, Error> {
        let expected = self.0.apply(example.answer()?);
        if expected.is_empty() {
            return Err(Error::op("expected an answer to look for, but it is blank"));
        }
        Ok(contains_words(&self.0.apply(prediction), &expected).into())
    }
}

/// Whether `part` stands in `text` without a letter or digit of the text running into one of its own.
fn contains_words(text: &str, part: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (first, last) = (is_word(part.chars().next()), is_word(part.chars().last()));
    // Matches may overlap, so each place is looked at, not only what follows the last match.
    text.char_indices().any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        rest.strip_prefix(part).is_some_and(|after| {
            let runs_in = first && is_word(before.chars().last());
            let runs_on = last && is_word(after.chars().next());
            !runs_in && !runs_on
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_not_cut() {
        for (text, part, found) in [
            ("red or blue", "red", true),
            ("bored", "red", false),
            ("reddish red", "red", true),
            ("größe", "größ", false),
            ("a-b", "a", true),
            ("x (a) y", "(a)", true),
            ("aa aaa", "aaa", true),
            ("", "a", false),
        ] {
            assert_eq!(contains_words(text, part), found, "{part} in {text}");
        }
    }

    #[tokio::test]
    async fn nothing_expected_is_an_error() {
        let unknown = Example::new("q9");
        let error = ExactMatch::new().evaluate("x", &unknown).await.unwrap_err().to_string();
        assert_eq!(error, "example \"q9\" has no expected answer");
        let blank = Example::new("1").with_expected(" ");
        assert!(Contains::new().evaluate("x", &blank).await.is_err());
    }
}
