//! Answers to multiple choice questions and to MathVista.

use async_trait::async_trait;
use derive_setters::Setters;
use serde_json::Value as Json;
use textgrad_core::Error;

use super::number::last_number;
use super::{Example, Scorer, Verdict, index_of_letter, letter};

/// Reads what stands behind the last occurrence of a mark, in either case, that can be read.
fn behind_last<'a, T>(text: &'a str, mark: &str, read: impl Fn(&'a str) -> Option<T>) -> Option<T> {
    text.char_indices().rev().find_map(|(at, _)| {
        let (head, rest) = text.split_at(at).1.split_at_checked(mark.len())?;
        if head.eq_ignore_ascii_case(mark) { read(rest) } else { None }
    })
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Setters)]
pub struct ChoiceLetter {
    /// So many letters from A on; from 1 to 26; default: 4.
    letters: usize,
    /// Passes over brackets, quotes, dollars and Markdown marks around the letter, and wants it to stand
    /// alone: `Answer: Blue` chooses nothing.
    #[setters(bool)]
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

    /// The letter that a text chose last.
    #[must_use]
    pub fn read(self, text: &str) -> Option<char> {
        behind_last(text, "answer", |rest| self.read_behind(rest))
    }

    fn read_behind(self, rest: &str) -> Option<char> {
        let skip = |text: &str| -> String {
            let is_mark = |c: char| self.lenient && "*_`\"'([{$\u{201c}".contains(c);
            text.trim_start_matches(|c: char| c.is_whitespace() || is_mark(c)).to_owned()
        };
        let rest = skip(skip(rest).strip_prefix(':')?);
        let mut chars = rest.chars();
        let found = chars.next()?;
        let index = index_of_letter(found).filter(|index| *index < self.letters.clamp(1, 26))?;
        let runs_on = chars.next().is_some_and(|next| next.is_alphanumeric() || next == '\'');
        if self.lenient && runs_on { None } else { letter(index) }
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
        let expected = match (chars.next().and_then(index_of_letter), chars.next()) {
            (Some(index), None) => letter(index),
            _ => None,
        };
        if expected.is_none() {
            return Err(example.unusable_answer("be a letter"));
        }
        Ok((self.read(prediction) == expected).into())
    }
}

/// Whether a prediction answers a question of MathVista, by the rules
/// of its authors once the answer is read: a letter in brackets or alone names its choice, else the nearest
/// choice by edit distance counts; integers are cut, fractions rounded to the question's `precision`.
///
/// The authors have a model read the answer out of the prediction. Here it is what follows the last
/// `Answer:`, or else the last line that is not blank, and the last number of that for questions whose
/// answer is one (of the whole text, if that line has none). A blank prediction is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MathVistaMatch;

impl MathVistaMatch {
    /// A scorer without settings.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Scorer for MathVistaMatch {
    fn name(&self) -> &str {
        "MathVista match"
    }

    async fn score(&self, prediction: &str, example: &Example) -> Result<Verdict, Error> {
        let expected = example.answer()?.trim();
        let of = |name: &str| example.metadata().get(name).and_then(Json::as_str).unwrap_or("");
        let Some(answer) = final_answer(prediction) else { return Ok(false.into()) };
        let number = |text: &str| last_number(text).filter(|number| number.is_finite());
        let numbers = || Some((number(answer).or_else(|| number(prediction))?, number(expected)?));
        let right = match (of("question_type"), of("answer_type")) {
            ("multi_choice", _) => choice(answer, example.choices()) == Some(expected),
            (_, "integer") => numbers().is_some_and(|(got, wanted)| got.trunc() == wanted.trunc()),
            (_, "float") => {
                let precision = example.metadata().get("precision").and_then(Json::as_f64);
                let digits = precision.unwrap_or(2.0).clamp(0.0, 12.0) as usize;
                let round = |number: f64| format!("{number:.digits$}");
                numbers().is_some_and(|(got, wanted)| round(got) == round(wanted))
            }
            _ => answer == expected,
        };
        Ok(right.into())
    }
}

/// What a prediction ends up with.
fn final_answer(prediction: &str) -> Option<&str> {
    let marked = behind_last(prediction, "answer:", Some);
    let not_blank = |line: &&str| !line.trim().is_empty();
    let line = match marked {
        Some(rest) => rest.lines().find(not_blank),
        None => prediction.lines().rfind(not_blank),
    };
    let is_mark = |c: char| c.is_whitespace() || "*_`".contains(c);
    line.map(|line| line.trim_matches(is_mark)).filter(|line| !line.is_empty())
}

/// The choice that an answer means.
fn choice<'a>(answer: &str, choices: &'a [String]) -> Option<&'a str> {
    let by_letter = |letter: char| choices.get(index_of_letter(letter)?);
    let bracketed = answer.split('(').skip(1).find_map(|rest| {
        let mut chars = rest.chars();
        let letter = chars.next().filter(char::is_ascii_alphabetic)?;
        (chars.next() == Some(')')).then_some(letter)
    });
    let mut chars = answer.trim_end_matches(['.', ')', ':']).chars();
    let alone = match (chars.next(), chars.next()) {
        (Some(letter), None) => Some(letter),
        _ => None,
    };
    let named = bracketed.or(alone).and_then(by_letter);
    // The first of several that are equally near, as `min_by_key` has it.
    let nearest = || choices.iter().min_by_key(|choice| strsim::levenshtein(answer, choice));
    named.or_else(nearest).map(|choice| choice.trim())
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

    async fn right(example: &Example, prediction: &str) -> bool {
        MathVistaMatch::new().score(prediction, example).await.unwrap().passed().unwrap()
    }

    fn example(question: &str, answer: &str, expected: &str) -> Example {
        Example::new("1")
            .with_metadata("question_type", question)
            .with_metadata("answer_type", answer)
            .with_expected(expected)
    }

    #[tokio::test]
    async fn choices() {
        let colors = example("multi_choice", "text", "blue").with_choices(["red", "blue", "green"]);
        for prediction in
            ["(B)", "b", "B.", "Answer: (B) blue", "It is\nblue", "**bluee**", "answer: B)\n"]
        {
            assert!(right(&colors, prediction).await, "{prediction}");
        }
        for prediction in ["", "\n ", "(C)", "A", "Answer: green", "(blue)r (A)"] {
            assert!(!right(&colors, prediction).await, "{prediction}");
        }
    }

    #[tokio::test]
    async fn numbers() {
        let count = example("free_form", "integer", "12");
        assert!(right(&count, "There are 12.0 of them").await);
        assert!(right(&count, "So 12.\nThat is it.").await);
        assert!(!right(&count, "There are 13").await);
        assert!(!right(&count, "many").await);
        let width = example("free_form", "float", "1.5").with_metadata("precision", 1.0);
        assert!(right(&width, "Answer: 1.52 cm").await);
        assert!(!right(&width, "Answer: 1.6 cm").await);
        let list = example("free_form", "list", "[1, 2]");
        assert!(right(&list, "Answer: [1, 2]").await);
        assert!(!right(&list, "Answer: [2, 1]").await);
    }
}
