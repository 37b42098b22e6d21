//! Answers to MathVista.

use async_trait::async_trait;
use serde_json::Value as Json;
use textgrad_core::Error;

use super::number::last_number;
use super::{Example, Scorer, Verdict, place_of};

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
    const MARK: &str = "answer:";
    let marked = prediction.char_indices().rev().find_map(|(at, _)| {
        let rest = prediction.split_at(at).1;
        let head = rest.get(..MARK.len())?;
        rest.get(MARK.len()..).filter(|_| head.eq_ignore_ascii_case(MARK))
    });
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
    let by_letter = |letter: char| choices.get(place_of(letter)?);
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
