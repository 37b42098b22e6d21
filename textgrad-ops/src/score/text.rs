//! Comparisons with the expected answer.

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::Error;

use super::{Example, Scorer, Verdict};

/// Which differences between two texts do not count, besides blanks at their ends.
///
/// # Examples
/// ```
/// use textgrad_ops::score::Normalization;
///
/// let lenient = Normalization::default().ignore_case().ignore_punctuation().collapse_blanks();
/// assert_eq!(lenient.apply(" The  answer:\n RED!"), "the answer red");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Setters)]
#[setters(bool)]
pub struct Normalization {
    /// Upper case and lower case are the same.
    ignore_case: bool,
    /// Whatever is no letter, digit or blank is left out.
    ignore_punctuation: bool,
    /// Several blanks, tabs and line breaks are one blank.
    collapse_blanks: bool,
}

impl Normalization {
    /// The text without what does not count.
    #[must_use]
    pub fn apply(self, text: &str) -> String {
        let mut text = text.trim().to_owned();
        if self.ignore_case {
            text = text.to_lowercase();
        }
        if self.ignore_punctuation {
            text.retain(|c| c.is_alphanumeric() || c.is_whitespace());
        }
        if self.collapse_blanks {
            text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        text.trim().to_owned()
    }
}

/// Whether the prediction is the expected answer.
///
/// # Examples
/// ```
/// use textgrad_ops::score::{Scorer, ExactMatch, Example, Normalization};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let example = Example::new("1").with_expected("Paris");
/// assert_eq!(ExactMatch::new().score("paris", &example).await?.passed(), Some(false));
/// let lenient = ExactMatch::new().normalization(Normalization::default().ignore_case());
/// assert_eq!(lenient.score("paris\n", &example).await?.passed(), Some(true));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Setters)]
pub struct ExactMatch {
    /// Which differences do not count.
    normalization: Normalization,
}

impl ExactMatch {
    /// Only blanks at the ends do not count.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Scorer for ExactMatch {
    fn name(&self) -> &str {
        "exact match"
    }

    async fn score(&self, prediction: &str, example: &Example) -> Result<Verdict, Error> {
        Ok((self.normalization.apply(prediction) == self.normalization.apply(example.answer()?))
            .into())
    }
}

/// Whether the prediction contains the expected answer, at the edges of words.
///
/// # Examples
/// ```
/// use textgrad_ops::score::{Contains, Scorer, Example};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let example = Example::new("1").with_expected("12");
/// assert_eq!(Contains::new().score("It is 12.", &example).await?.passed(), Some(true));
/// assert_eq!(Contains::new().score("It is 121.", &example).await?.passed(), Some(false));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Setters)]
pub struct Contains {
    /// Which differences do not count.
    normalization: Normalization,
}

impl Contains {
    /// Every difference counts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Scorer for Contains {
    fn name(&self) -> &str {
        "contains"
    }

    async fn score(&self, prediction: &str, example: &Example) -> Result<Verdict, Error> {
        let expected = self.normalization.apply(example.answer()?);
        if expected.is_empty() {
            return Err(Error::op("expected an answer to look for, but it is blank"));
        }
        Ok(contains_words(&self.normalization.apply(prediction), &expected).into())
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
        let error = ExactMatch::new().score("x", &unknown).await.unwrap_err().to_string();
        assert_eq!(error, "example \"q9\" has no expected answer");
        let blank = Example::new("1").with_expected(" ");
        assert!(Contains::new().score("x", &blank).await.is_err());
    }
}
