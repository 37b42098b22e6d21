//! Grading each answer by itself.

use futures_util::future::join_all;
use textgrad_core::{EngineError, excerpt};

use super::builder::UnreadableVote;
use super::{END, JudgeReward, START, mean};
use crate::prompts::GradeContext;
use crate::query::Query;

impl JudgeReward {
    pub(super) async fn grade_all(
        &self,
        query: &Query,
        answers: &[&str],
        lowest: f64,
        highest: f64,
    ) -> Result<Vec<f64>, EngineError> {
        let graded = answers.iter().map(|answer| self.grade(query, answer, lowest, highest));
        join_all(graded).await.into_iter().collect()
    }

    /// The mean of the grades of one answer.
    async fn grade(
        &self,
        query: &Query,
        answer: &str,
        lowest: f64,
        highest: f64,
    ) -> Result<f64, EngineError> {
        let context = GradeContext {
            query: query.text(),
            answer,
            rubric: self.settings.rubric.as_deref(),
            lowest,
            highest,
            start_tag: START,
            end_tag: END,
        };
        let votes = (0..self.settings.votes).map(|vote| {
            let templates = ["reward_pointwise_system", "reward_pointwise"];
            self.vote(templates, &context, vote, |text| read(text, lowest, highest))
        });
        let mut grades = Vec::new();
        let mut unread = None;
        for vote in join_all(votes).await {
            match (vote?, self.settings.unreadable) {
                (Ok(grade), _) => grades.push(grade),
                (Err(_), UnreadableVote::Worst) => grades.push(lowest),
                (Err(problem), UnreadableVote::Fail) => {
                    return Err(self.unreadable(&problem, answer));
                }
                (Err(problem), UnreadableVote::Skip) => unread = Some(problem),
            }
        }
        mean(&grades).ok_or_else(|| self.unreadable(&unread.unwrap_or_default(), answer))
    }
}

/// A grade within its range, also as `7/10`.
fn read(text: &str, lowest: f64, highest: f64) -> Result<f64, String> {
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
