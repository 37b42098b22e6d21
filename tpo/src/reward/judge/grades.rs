//! Grading each answer by itself.

use futures_util::future::join_all;
use textgrad_core::{Choice, EngineError, ErrorKind, excerpt};

use super::builder::UnreadableVote;
use super::expected::expected;
use super::{END, JudgeReward, START};
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
            match (vote?, self.settings.unreadable) {
                (Ok(Some(grade)), _) => grades.push(grade),
                (Ok(None), _) => return Err(self.without_logprobs()),
                (Err(_), UnreadableVote::Worst) => grades.push(scale.lowest),
                (Err(problem), UnreadableVote::Fail) => {
                    return Err(self.unreadable(&problem, answer));
                }
                (Err(problem), UnreadableVote::Skip) => unread = Some(problem),
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
        let grade = self.written(text)?;
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

    /// A grade within the range, also as `7/10`.
    fn written(&self, text: &str) -> Result<f64, String> {
        let Self { lowest, highest, .. } = *self;
        let (number, of) = match text.split_once('/') {
            Some((number, of)) => (number, of.trim().parse().unwrap_or(f64::NAN)),
            None => (text, highest),
        };
        let number = number.trim().parse::<f64>().ok();
        let grade = number.filter(|grade| (lowest..=highest).contains(grade));
        grade.filter(|_| of.total_cmp(&highest).is_eq()).ok_or_else(|| {
            let got = excerpt(text, 40);
            format!("expected a number from {lowest} to {highest} between the tags, got {got:?}")
        })
    }
}
