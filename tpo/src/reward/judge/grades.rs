//! Pointwise grades.

use futures_util::future::join_all;
use textgrad_core::{Choice, EngineError, ErrorKind, TokenLogprob};
use textgrad_ops::score::read_grade;

use super::{END, JudgeReward, START, tags};
use crate::prompts::GradeContext;
use crate::query::Query;
use crate::stats::mean;

/// What grades there are, and whether the expected one counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) lowest: f64,
    pub(super) highest: f64,
    pub(super) expected: bool,
}

impl JudgeReward {
    pub(super) async fn grade_all(
        &self,
        query: &Query,
        answers: &[&str],
        scale: &Scale,
    ) -> Result<Vec<f64>, EngineError> {
        let graded = answers.iter().map(|answer| self.grade(query, answer, scale));
        join_all(graded).await.into_iter().collect()
    }

    /// The mean of the grades of one answer.
    async fn grade(&self, query: &Query, answer: &str, scale: &Scale) -> Result<f64, EngineError> {
        let context = GradeContext {
            query: query.text(),
            answer,
            rubric: self.settings.rubric.as_deref(),
            lowest: scale.lowest.to_string(),
            highest: scale.highest.to_string(),
            digits: scale.expected,
            start_tag: START,
            end_tag: END,
        };
        let votes = (0..self.settings.votes).map(|vote| {
            let templates = ["reward_pointwise_system", "reward_pointwise"];
            self.vote(templates, &context, vote, |text, choice| scale.read(text, choice))
        });
        let mut grades = Vec::new();
        let mut unread = None;
        for vote in join_all(votes).await {
            match vote? {
                Ok(Some(grade)) => grades.push(grade),
                Ok(None) => return Err(self.without_logprobs()),
                Err(problem) => {
                    let error = || self.unreadable(&problem, answer);
                    grades.extend(self.settings.unreadable.resolve(scale.lowest, error)?);
                    unread = Some(problem);
                }
            }
        }
        mean(&grades).ok_or_else(|| self.unreadable(&unread.unwrap_or_default(), answer))
    }

    fn without_logprobs(&self) -> EngineError {
        let message = format!(
            "expected the logprobs of tokens, which the expected grade is computed from, but the engine of {} \
             tells none",
            self.name
        );
        EngineError::new(ErrorKind::Unsupported, message)
    }
}

impl Scale {
    /// The grade; none if it cannot be known, since there are no logprobs.
    fn read(&self, text: &str, choice: &Choice) -> Result<Option<f64>, String> {
        let grade = read_grade(text, self.lowest..=self.highest)?;
        match self.expected {
            false => Ok(Some(grade)),
            true if choice.logprobs.is_empty() => Ok(None),
            // Its first digit is not the grade.
            true if grade.fract() != 0.0 => {
                Err(format!("expected one digit between the tags, got {text:?}"))
            }
            true => expected(&choice.logprobs, self).map(Some),
        }
    }
}

/// The mean of the digits that could have begun the grade, by their probabilities.
///
/// # Errors
/// What is wrong with the tokens.
pub(super) fn expected(tokens: &[TokenLogprob], scale: &Scale) -> Result<f64, String> {
    let spelled: String = tokens.iter().map(|token| token.token.as_str()).collect();
    let tags = tags().map_err(|error| error.to_string())?;
    let at = tags.find(&spelled).map_err(|error| error.to_string())?.start;
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
        (is_whole && (scale.lowest..=scale.highest).contains(&digit)).then_some(digit)
    };
    let itself = (written.token.clone(), written.logprob);
    let is_told = written.top.iter().any(|(token, _)| *token == written.token);
    let others = written.top.iter().chain((!is_told).then_some(&itself));
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
    let Scale { lowest, highest, .. } = scale;
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

    fn of(tokens: &[TokenLogprob]) -> Result<f64, String> {
        expected(tokens, &Scale { lowest: 1.0, highest: 9.0, expected: true })
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
        assert!((of(&tokens).unwrap() - (3.5 + 1.0) / 0.75).abs() < 1e-12);
    }

    #[test]
    fn tags_and_spaces_within_a_token_do_not_matter() {
        let top =
            [(">7", -1.0), (">3", -1.0), ("5", -1.0), (" 5", -1.0), (">10", -0.1), (">7.5", -0.1)];
        let tokens = [token("<VERDICT", &[]), token(">7", &top), token("</VERDICT>", &[])];
        assert!((of(&tokens).unwrap() - 5.0).abs() < 1e-12);
        let tokens = [token("<VERDICT>\n", &[]), token(" 8</", &[]), token("VERDICT>", &[])];
        assert!((of(&tokens).unwrap() - 8.0).abs() < 1e-12, "itself, where nothing else is told");
    }

    #[test]
    fn what_is_no_digit_is_told() {
        let ten = [token("<VERDICT>", &[]), token("10", &[("10", -0.1)]), token("</VERDICT>", &[])];
        assert!(of(&ten).unwrap_err().contains("one whole digit from 1 to 9"));
        assert!(of(&[token("7", &[])]).unwrap_err().contains("<VERDICT> was missing"));
        assert!(of(&[]).is_err());
    }
}
