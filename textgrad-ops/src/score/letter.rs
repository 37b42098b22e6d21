//! Letters of multiple choice answers.

use async_trait::async_trait;
use textgrad_core::{Error, truncate};

use super::{Example, Scorer, Verdict, letter, place_of, quoted_id};

/// Whether the prediction chose the expected letter, by its last `Answer: X`.
///
/// By default as TextGrad reads it, `(?i)Answer\s*:\s*([A-D])`: `answer : b` is B, and so is `Answer: Blue`;
/// letters in brackets or bold are not found. [`lenient`](Self::lenient) mends both.
///
/// # Examples
/// ```
/// use textgrad_ops::score::{ChoiceLetter, Scorer, Example};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let example = Example::new("1").with_expected("C");
/// assert_eq!(ChoiceLetter::new().score("Answer: A? No.\nAnswer: C", &example).await?.passed(), Some(true));
/// let lenient = ChoiceLetter::new().lenient();
/// assert_eq!(lenient.score("**Answer:** (C)", &example).await?.passed(), Some(true));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceLetter {
    letters: usize,
    lenient: bool,
}

impl Default for ChoiceLetter {
    fn default() -> Self {
        Self { letters: 4, lenient: false }
    }
}

impl ChoiceLetter {
    /// The letters A to D.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// So many letters from A on; from 1 to 26; default: 4.
    #[must_use]
    pub fn letters(mut self, letters: usize) -> Self {
        self.letters = letters.clamp(1, 26);
        self
    }

    /// Passes over brackets, quotes, dollars and Markdown marks around the letter, and wants it to stand
    /// alone: `Answer: Blue` chooses nothing.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// The letter that a text chose last.
    #[must_use]
    pub fn read(self, text: &str) -> Option<char> {
        text.char_indices().rev().find_map(|(at, _)| self.read_at(text.split_at(at).1))
    }

    fn read_at(self, text: &str) -> Option<char> {
        const WORD: &str = "answer";
        let head = text.get(..WORD.len())?;
        let rest = text.get(WORD.len()..).filter(|_| head.eq_ignore_ascii_case(WORD))?;
        let skip = |text: &str| -> String {
            let is_mark = |c: char| self.lenient && "*_`\"'([{$\u{201c}".contains(c);
            text.trim_start_matches(|c: char| c.is_whitespace() || is_mark(c)).to_owned()
        };
        let rest = skip(skip(rest).strip_prefix(':')?);
        let mut chars = rest.chars();
        let found = chars.next()?;
        let place = place_of(found).filter(|place| *place < self.letters)?;
        let runs_on = chars.next().is_some_and(|next| next.is_alphanumeric() || next == '\'');
        if self.lenient && runs_on { None } else { letter(place) }
    }
}

#[async_trait]
impl Scorer for ChoiceLetter {
    fn name(&self) -> &str {
        if self.lenient { "choice letter (lenient)" } else { "choice letter" }
    }

    async fn score(&self, prediction: &str, example: &Example) -> Result<Verdict, Error> {
        let answer = example.answer()?.trim();
        let mut chars = answer.chars();
        let expected = match (chars.next().and_then(place_of), chars.next()) {
            (Some(place), None) => letter(place),
            _ => None,
        };
        if expected.is_none() {
            let (id, answer) = (quoted_id(example), truncate(answer, 80));
            return Err(Error::op(format!(
                "expected the answer of example {id} to be a letter, got {answer:?}"
            )));
        }
        Ok((self.read(prediction) == expected).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_textgrad_reads_it() {
        for (text, letter) in [
            ("Answer: B", Some('B')),
            ("ANSWER :\n c", Some('C')),
            ("Answer: A\nAnswer: D.", Some('D')),
            ("Answer: Blue", Some('B')),
            ("Answer: E", None),
            ("Answer: (B)", None),
            ("**Answer:** B", None),
            ("The answer is B", None),
            ("Änswer: B Answer", None),
            ("Answer", None),
            ("", None),
            ("Answer: A. My final Answer: X", Some('A')),
        ] {
            assert_eq!(ChoiceLetter::new().read(text), letter, "{text}");
        }
        assert_eq!(ChoiceLetter::new().letters(6).read("answer: f"), Some('F'));
    }

    #[test]
    fn lenient() {
        for (text, letter) in [
            ("**Answer:** B", Some('B')),
            ("**Answer**: **(C)**", Some('C')),
            ("Answer: $\\boxed{A}$", None),
            ("Answer: `a`", Some('A')),
            ("Answer: Blue", None),
            ("Answer: A'", None),
            ("Answer: A: red", Some('A')),
        ] {
            assert_eq!(ChoiceLetter::new().lenient().read(text), letter, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_expected_must_be_a_letter() {
        let evaluator = ChoiceLetter::new();
        for expected in ["blue", "", "7"] {
            let example = Example::new("1").with_expected(expected);
            assert!(evaluator.score("Answer: A", &example).await.is_err(), "{expected}");
        }
        let example = Example::new("1").with_expected("b");
        assert_eq!(evaluator.score("Answer: B", &example).await.unwrap().passed(), Some(true));
    }
}
