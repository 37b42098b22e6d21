//! Pointwise grades.

use futures_util::future::join_all;
use textgrad_core::{Choice, EngineError, ErrorKind, TokenLogprob};
use textgrad_ops::score::read_grade;

use super::{END, JudgeReward, START, tags};
use crate::error::Error;
use crate::prompts::GradeContext;
use crate::query::Query;
use crate::stats::mean;

/// The scale of grades.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Grades {
    pub(super) lowest: f64,
    pub(super) highest: f64,
    /// Whether the expected grade is the score.
    pub(super) expected: bool,
}

impl JudgeReward {
    /// The mean of the grades of one answer.
    pub(super) async fn grade(
        &self,
        query: &Query,
        answer: &str,
        grades: &Grades,
    ) -> Result<f64, EngineError> {
        let context = GradeContext {
            query: query.text(),
            answer,
            rubric: self.settings.rubric.as_deref(),
            lowest: grades.lowest.to_string(),
            highest: grades.highest.to_string(),
            digits: grades.expected,
            start_tag: START,
            end_tag: END,
        };
        let votes = (0..self.settings.votes).map(|vote| {
            let templates = ["reward_pointwise_system", "reward_pointwise"];
            self.vote(templates, &context, vote, |text, choice| grades.read(text, choice))
        });
        let mut counted = Vec::new();
        let mut unread = None;
        for vote in join_all(votes).await {
            match vote? {
                Ok((_, Some(grade))) => counted.push(grade),
                Ok((_, None)) => return Err(self.without_logprobs()),
                Err(problem) => {
                    let error = || self.unreadable(&problem, answer);
                    counted.extend(self.settings.unreadable.resolve(grades.lowest, error)?);
                    unread = Some(problem);
                }
            }
        }
        mean(&counted).ok_or_else(|| self.unreadable(&unread.unwrap_or_default(), answer))
    }

    fn without_logprobs(&self) -> EngineError {
        let message = format!(
            "expected the logprobs of tokens, which the expected grade is computed from, but the engine of {} \
             tells none",
            self.info.name
        );
        EngineError::new(ErrorKind::Unsupported, message)
    }
}

impl Grades {
    pub(super) const DEFAULT: Self = Self { lowest: 1.0, highest: 10.0, expected: false };

    /// The digits whose expected one is the score.
    ///
    /// # Errors
    /// [`Error::Config`] for comparisons, and for grades that are not digits.
    pub(super) fn digits(grades: Option<Self>) -> Result<Self, Error> {
        let (expected, got) = match grades {
            Some(Self::DEFAULT) => return Ok(Self { lowest: 1.0, highest: 9.0, expected: true }),
            Some(Self { lowest, highest, .. }) => {
                let is_digit = |grade: f64| (0.0..=9.0).contains(&grade) && grade.fract() == 0.0;
                if is_digit(lowest) && is_digit(highest) {
                    return Ok(Self { lowest, highest, expected: true });
                }
                let expected = "digits, from 0 to 9, where the expected grade is asked for";
                (expected, format!("{lowest} to {highest}"))
            }
            None => ("grades where the expected one is asked for", "comparisons".to_owned()),
        };
        Err(Error::config("grades", expected, got))
    }

    /// # Errors
    /// [`Error::Config`] for grades that are not finite or not in order.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let Self { lowest, highest, .. } = self;
        if lowest.is_finite() && highest.is_finite() && lowest < highest {
            return Ok(());
        }
        let expected = "a lowest grade below the highest, both finite";
        Err(Error::config("grades", expected, format!("{lowest} to {highest}")))
    }

    /// The grade in the text, and the one that counts; none if it cannot be known, since there are no logprobs.
    fn read(&self, text: &str, choice: &Choice) -> Result<(f64, Option<f64>), String> {
        let grade = read_grade(text, self.lowest..=self.highest)?;
        match self.expected {
            false => Ok((grade, Some(grade))),
            true if choice.logprobs.is_empty() => Ok((grade, None)),
            // Its first digit is not the grade.
            true if grade.fract() != 0.0 => {
                Err(format!("expected one digit between the tags, got {text:?}"))
            }
            true => Ok((grade, Some(expected(&choice.logprobs, self, grade)?))),
        }
    }
}

/// The mean of the digits that could have begun the grade, by their probabilities.
///
/// # Errors
/// What is wrong with the tokens.
fn expected(tokens: &[TokenLogprob], grades: &Grades, grade: f64) -> Result<f64, String> {
    let spelled: String = tokens.iter().map(|token| token.token.as_str()).collect();
    let tags = tags().map_err(|error| error.to_string())?;
    // Without tags, the reply is the grade.
    let value = tags.find(&spelled).unwrap_or(0..spelled.len());
    let is_grade = |c: char| c.to_digit(10).map(f64::from) == Some(grade);
    let first = spelled.get(value.clone()).and_then(|text| text.find(|c: char| c.is_numeric()));
    let at = value.start + first.unwrap_or_default();
    if !spelled.get(at..).is_some_and(|text| text.starts_with(is_grade)) {
        return Err(format!("expected the tokens to spell the grade {grade} between the tags"));
    }
    let mut begins = 0;
    let written = tokens.iter().find_map(|token| {
        // What the token holds before the grade: the end of the tag, white space.
        let lead = at.saturating_sub(begins);
        begins += token.token.len();
        (begins > at).then(|| (token, token.token.get(..lead).unwrap_or_default()))
    });
    let (written, lead) = written.ok_or("the tokens do not reach the grade")?;
    let digit = |token: &str| {
        let mut text = token.strip_prefix(lead).unwrap_or(token).trim_start().chars();
        let digit = text.next().and_then(|first| first.to_digit(10)).map(f64::from)?;
        // `10` and `7.5` are no digits.
        let is_whole = !text.next().is_some_and(|next| next.is_numeric() || next == '.');
        (is_whole && (grades.lowest..=grades.highest).contains(&digit)).then_some(digit)
    };
    let itself = (written.token.clone(), written.logprob);
    let is_listed = written.top.iter().any(|(token, _)| *token == written.token);
    let others = written.top.iter().chain((!is_listed).then_some(&itself));
    let (mut sum, mut mass) = (0.0, 0.0);
    for (token, logprob) in others {
        if let Some(digit) = digit(token) {
            let probability = logprob.exp();
            sum += probability * digit;
            mass += probability;
        }
    }
    if mass > 0.0 {
        return Ok(sum / mass);
    }
    let Grades { lowest, highest, .. } = grades;
    let got = &written.token;
    Err(format!(
        "expected one whole digit from {lowest} to {highest} between the tags, got {got:?}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(token: &str, top: &[(&str, f64)]) -> TokenLogprob {
        let logprob = top.iter().find(|(other, _)| *other == token).map_or(-0.7, |found| found.1);
        let top = top.iter().map(|(token, logprob)| ((*token).to_owned(), *logprob)).collect();
        TokenLogprob { token: token.to_owned(), logprob, top }
    }

    fn of(tokens: &[TokenLogprob], grade: f64) -> Result<f64, String> {
        expected(tokens, &Grades { lowest: 1.0, highest: 9.0, expected: true }, grade)
    }

    #[test]
    fn digits_count_by_their_probabilities_and_nothing_else_does() {
        let top =
            [("7", 0.5_f64.ln()), ("4", 0.25_f64.ln()), ("x", 0.1_f64.ln()), ("0", 0.1_f64.ln())];
        let tokens = [
            // A draft, and what the model thought, before it.
            token("4", &[("4", 0.0)]),
            token(" of 9\n<VER", &[]),
            token("DICT>", &[]),
            token("7", &top),
            token("</VERDICT>", &[]),
            token("<|im_end|>", &[]),
        ];
        assert!((of(&tokens, 7.0).unwrap() - (3.5 + 1.0) / 0.75).abs() < 1e-12);
    }

    #[test]
    fn tags_and_spaces_within_a_token_do_not_matter() {
        let top =
            [(">7", -1.0), (">3", -1.0), ("5", -1.0), (" 5", -1.0), (">10", -0.1), (">7.5", -0.1)];
        let tokens = [token("<VERDICT", &[]), token(">7", &top), token("</VERDICT>", &[])];
        assert!((of(&tokens, 7.0).unwrap() - 5.0).abs() < 1e-12);
        let tokens = [token("<VERDICT>\n", &[]), token(" 8</", &[]), token("VERDICT>", &[])];
        assert!(
            (of(&tokens, 8.0).unwrap() - 8.0).abs() < 1e-12,
            "itself, where nothing else is reported"
        );
    }

    #[test]
    fn what_is_no_digit_is_an_error() {
        let ten = [token("<VERDICT>", &[]), token("10", &[("10", -0.1)]), token("</VERDICT>", &[])];
        assert!(of(&ten, 1.0).unwrap_err().contains("one whole digit from 1 to 9"));
        assert!(of(&[], 7.0).is_err());
        assert!(of(&[token("seven", &[])], 7.0).unwrap_err().contains("spell the grade 7"));
    }

    #[test]
    fn the_digit_is_found_in_its_decoration() {
        let top = [("7", -1.0), ("5", -1.0)];
        let bold = [
            token("<VERDICT>", &[]),
            token("**", &[]),
            token("7", &top),
            token("**</VERDICT>", &[]),
        ];
        assert!((of(&bold, 7.0).unwrap() - 6.0).abs() < 1e-12);
        let bare = [token("Score", &[]), token(": ", &[]), token("7", &top)];
        assert!((of(&bare, 7.0).unwrap() - 6.0).abs() < 1e-12);
    }
}
