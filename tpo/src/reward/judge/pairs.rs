//! Comparing every two answers.

use futures_util::future::join_all;
use textgrad_core::{Choice, EngineError, excerpt};

use super::builder::UnreadableVote;
use super::strength::{Game, strengths};
use super::{END, JudgeReward, START};
use crate::distinct::distinct;
use crate::prompts::CompareContext;
use crate::query::Query;
use crate::stats::mean;

impl JudgeReward {
    /// The strengths of answers. Equal texts are one answer.
    pub(super) async fn compare_all(
        &self,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, EngineError> {
        let texts = distinct(answers.iter().copied());
        let behind = |place: usize| texts.iter().enumerate().skip(place + 1);
        let pairs = texts.iter().enumerate().flat_map(|(first, a)| {
            behind(first).map(move |(second, b)| ((first, *a), (second, *b)))
        });
        let played = pairs.map(|((first, a), (second, b))| async move {
            let share = self.share(query, a, b).await?;
            Ok::<_, EngineError>(share.map(|share| Game { first, second, share }))
        });
        // All of them end before the first failure is told: the votes that came are not lost.
        let played: Result<Vec<Option<Game>>, EngineError> =
            join_all(played).await.into_iter().collect();
        let games: Vec<Game> = played?.into_iter().flatten().collect();
        let strengths = strengths(texts.len(), &games);
        let strength = |answer: &&str| {
            let place = texts.iter().position(|text| text == answer)?;
            strengths.get(place).copied()
        };
        Ok(answers.iter().filter_map(strength).collect())
    }

    /// The share of votes that `a` gets against `b`; none if no vote counts.
    async fn share(&self, query: &Query, a: &str, b: &str) -> Result<Option<f64>, EngineError> {
        let key = (query.identity(), a.to_owned(), b.to_owned());
        if let Some(known) = self.compared().get(&key) {
            return Ok(*known);
        }
        let votes = (0..self.settings.votes).flat_map(|vote| [(vote, false), (vote, true)]);
        let votes = votes.map(|(vote, swapped)| self.compare(query, a, b, vote, swapped));
        let votes: Result<Vec<Option<f64>>, EngineError> =
            join_all(votes).await.into_iter().collect();
        let share = mean(&votes?.into_iter().flatten().collect::<Vec<f64>>());
        self.compared().insert(key, share);
        Ok(share)
    }

    /// What one vote is worth for `a`, who stands second if they are swapped; none if it does not count.
    async fn compare(
        &self,
        query: &Query,
        a: &str,
        b: &str,
        vote: u32,
        swapped: bool,
    ) -> Result<Option<f64>, EngineError> {
        let (first, second) = if swapped { (b, a) } else { (a, b) };
        let context = CompareContext {
            query: query.text(),
            first,
            second,
            rubric: self.settings.rubric.as_deref(),
            start_tag: START,
            end_tag: END,
        };
        let templates = ["reward_pairwise_system", "reward_pairwise"];
        let worth = self.vote(templates, &context, vote, verdict).await?;
        match (worth, self.settings.unreadable) {
            (Ok(worth), _) => Ok(Some(if swapped { 1.0 - worth } else { worth })),
            (Err(_), UnreadableVote::Worst) => Ok(Some(0.5)),
            (Err(_), UnreadableVote::Skip) => Ok(None),
            (Err(problem), UnreadableVote::Fail) => Err(self.unreadable(&problem, first)),
        }
    }
}

/// What a verdict is worth for the answer that stands first.
fn verdict(text: &str, _: &Choice) -> Result<f64, String> {
    let bare = text.trim_matches(|c: char| c.is_whitespace() || ".*\"'`[]()".contains(c));
    match bare.to_ascii_lowercase().as_str() {
        "a" => Ok(1.0),
        "b" => Ok(0.0),
        "tie" => Ok(0.5),
        _ => Err(format!("expected A, B or tie between the tags, got {:?}", excerpt(text, 40))),
    }
}
