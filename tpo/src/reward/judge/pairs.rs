//! Pairwise comparisons, and strengths in the model of Bradley and Terry.

use std::collections::HashMap;

use futures_util::future::join_all;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use textgrad_core::{Choice, EngineError};
use textgrad_ops::score::read_word;

use super::{END, JudgeReward, START};
use crate::prompts::CompareContext;
use crate::query::Query;
use crate::stats::mean;
use crate::util::dedup;

/// The most comparisons of one scoring that are under way at the same time: each holds its prompts.
const MAX_COMPARISONS: usize = 256;

/// A text that takes part, and its hash with the query.
struct Entry<'a> {
    text: &'a str,
    key: AnswerKey,
}

/// The first half of a SHA-256.
pub(super) type AnswerKey = [u8; 16];

fn key(query: &str, answer: &str) -> AnswerKey {
    let length = (query.len() as u64).to_le_bytes();
    let hash =
        Sha256::new().chain_update(length).chain_update(query).chain_update(answer).finalize();
    let mut key = AnswerKey::default();
    key.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    key
}

impl JudgeReward {
    /// The strengths of answers. Equal texts are one answer.
    pub(super) async fn compare_all(
        &self,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<f64>, EngineError> {
        let identity = query.identity();
        let texts = dedup(answers.iter().copied());
        let entries: Vec<Entry<'_>> =
            texts.iter().map(|text| Entry { text, key: key(&identity, text) }).collect();
        let count = entries.len();
        let pairs =
            (0..count).flat_map(|first| (first + 1..count).map(move |second| (first, second)));
        let is_sparse = self.settings.sparse_pairs;
        let is_compared =
            |(first, second): &(usize, usize)| !is_sparse || (second - first).is_power_of_two();
        let pairs = Mutex::new(pairs.filter(is_compared));
        // Those under way end before the first failure is returned, so that no delivered vote is lost.
        let workers = MAX_COMPARISONS.min(count.saturating_mul(count.saturating_sub(1)) / 2);
        let workers = (0..workers).map(|_| async {
            let (mut games, mut failure) = (Vec::new(), None);
            while failure.is_none() {
                let pair = pairs.lock().next();
                let Some((first, second)) = pair else { break };
                let (Some(a), Some(b)) = (entries.get(first), entries.get(second)) else { break };
                match self.share(query, a, b).await {
                    Ok(share) => games.extend(share.map(|share| Game { first, second, share })),
                    Err(error) => {
                        // What the failure ends is not begun.
                        pairs.lock().by_ref().for_each(drop);
                        failure = Some(((first, second), error));
                    }
                }
            }
            (games, failure)
        });
        let (games, failures): (Vec<_>, Vec<_>) = join_all(workers).await.into_iter().unzip();
        let first = failures.into_iter().flatten().min_by_key(|(pair, _)| *pair);
        if let Some((_, error)) = first {
            return Err(error);
        }
        let mut games: Vec<Game> = games.into_iter().flatten().collect();
        // Sums of strengths must not depend on which ended first.
        games.sort_unstable_by_key(|game| (game.first, game.second));
        let strengths = strengths(texts.len(), &games);
        let strengths: HashMap<&str, f64> = texts.into_iter().zip(strengths).collect();
        Ok(answers.iter().filter_map(|answer| strengths.get(answer).copied()).collect())
    }

    /// The share of votes that `a` gets against `b`; none if no vote counts.
    async fn share(
        &self,
        query: &Query,
        a: &Entry<'_>,
        b: &Entry<'_>,
    ) -> Result<Option<f64>, EngineError> {
        let key = (a.key, b.key);
        if let Some(known) = self.compared.lock().get(&key) {
            return Ok(*known);
        }
        let verdicts = self.compare(query, a.text, b.text).await?;
        let share = mean(&verdicts.iter().map(|verdict| verdict.share).collect::<Vec<f64>>());
        self.compared.lock().insert(key, share);
        Ok(share)
    }

    /// The verdicts on two answers, each vote once in each order; without those that do not count.
    ///
    /// # Errors
    /// Those of the engine, and [`ErrorKind::BadResponse`](textgrad_core::ErrorKind::BadResponse) for a vote that
    /// cannot be read where such votes are errors.
    pub async fn compare(
        &self,
        query: &Query,
        a: &str,
        b: &str,
    ) -> Result<Vec<Verdict>, EngineError> {
        let votes = (0..self.settings.votes).flat_map(|vote| [(vote, false), (vote, true)]);
        let votes = votes.map(|(vote, swapped)| self.vote_on(query, a, b, vote, swapped));
        let votes: Result<Vec<Option<Verdict>>, EngineError> =
            join_all(votes).await.into_iter().collect();
        Ok(votes?.into_iter().flatten().collect())
    }

    /// One vote on `a`, who stands second if they are swapped; none if it does not count.
    async fn vote_on(
        &self,
        query: &Query,
        a: &str,
        b: &str,
        vote: u32,
        swapped: bool,
    ) -> Result<Option<Verdict>, EngineError> {
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
        let read = |text: &str, choice: &Choice| {
            let share = verdict(text)?;
            let share = if swapped { 1.0 - share } else { share };
            Ok(Verdict { share, rationale: choice.text.clone() })
        };
        match self.vote(templates, &context, vote, read).await? {
            Ok(verdict) => Ok(Some(verdict)),
            Err(problem) => {
                let share =
                    self.settings.unreadable.resolve(0.5, || self.unreadable(&problem, first))?;
                Ok(share.map(|share| Verdict { share, rationale: String::new() }))
            }
        }
    }
}

/// The verdict of a judge on two answers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verdict {
    /// How much of it the first answer has won: 1, 0, or 0.5 for a tie.
    pub share: f64,
    /// The judge's reply; empty if it could not be read.
    pub rationale: String,
}

/// What a verdict is worth for the answer that stands first.
fn verdict(text: &str) -> Result<f64, String> {
    read_word(
        text,
        &[("A", 1.0), ("B", 0.0), ("tie", 0.5), ("tied", 0.5), ("draw", 0.5), ("equal", 0.5)],
    )
}

/// The most rounds of the iteration, which stops long before.
const MAX_ROUNDS: usize = 10_000;

/// How little the logarithms of strengths move in the last round.
const TOLERANCE: f64 = 1e-12;

/// A comparison of two answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Game {
    pub(super) first: usize,
    pub(super) second: usize,
    /// How much of it the first has won, from 0 to 1.
    pub(super) share: f64,
}

/// The logarithms of the strengths of so many answers, at the mode of their posterior: each has drawn one more
/// game, with an answer of strength 1. Found by minorization and maximization (Hunter, "MM algorithms for
/// generalized Bradley-Terry models", Annals of Statistics 32, 2004), which raises the posterior in every
/// round; that game makes it strictly concave, so there is one mode, and it is finite.
pub(super) fn strengths(answers: usize, games: &[Game]) -> Vec<f64> {
    let mut won = vec![0.5; answers];
    let mut met = vec![Vec::new(); answers];
    for Game { first, second, share } in games {
        for (me, other, share) in [(*first, *second, *share), (*second, *first, 1.0 - share)] {
            if let (Some(won), Some(met)) = (won.get_mut(me), met.get_mut(me)) {
                *won += share;
                met.push(other);
            }
        }
    }
    let mut strengths = vec![1.0_f64; answers];
    for _ in 0..MAX_ROUNDS {
        let mut moved = 0.0_f64;
        // One after the other, each against the newest strengths of the others: every step raises the posterior.
        for (me, (won, met)) in won.iter().zip(&met).enumerate() {
            let strength = |index: usize| strengths.get(index).copied().unwrap_or(1.0);
            let mine = strength(me);
            let played = met.iter().map(|other| 1.0 / (mine + strength(*other))).sum::<f64>();
            let next = won / (played + 1.0 / (mine + 1.0));
            moved = moved.max((next.ln() - mine.ln()).abs());
            if let Some(strength) = strengths.get_mut(me) {
                *strength = next;
            }
        }
        if moved < TOLERANCE {
            break;
        }
    }
    strengths.into_iter().map(f64::ln).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(first: usize, second: usize, share: f64) -> Game {
        Game { first, second, share }
    }

    /// The derivative of the logarithm of the posterior, which is 0 at its mode.
    fn slope(strengths: &[f64], games: &[Game], me: usize) -> f64 {
        let beats = |a: f64, b: f64| 1.0 / (1.0 + (b - a).exp());
        let prior = 0.5 - beats(strengths[me], 0.0);
        let played = games.iter().map(|game| {
            let expected = beats(strengths[game.first], strengths[game.second]);
            match me {
                me if me == game.first => game.share - expected,
                me if me == game.second => expected - game.share,
                _ => 0.0,
            }
        });
        prior + played.sum::<f64>()
    }

    #[test]
    fn two_answers_have_strengths_that_can_be_computed_by_hand() {
        // By symmetry the strengths are s and -s, and 1.5 = 1/(1+1/x^2) + 1/(1+1/x) for x = e^s.
        let found = strengths(2, &[game(0, 1, 1.0)]);
        assert!((found[0] + found[1]).abs() < 1e-9);
        let x = found[0].exp();
        assert!((x.powi(3) - x.powi(2) - x - 3.0).abs() < 1e-8, "{x}");
        assert_eq!(strengths(2, &[game(0, 1, 0.5)]), [0.0, 0.0]);
        assert_eq!(strengths(1, &[]), [0.0]);
        assert!(strengths(0, &[]).is_empty());
    }

    #[test]
    fn any_outcome_has_one_finite_mode() {
        let often = [game(0, 1, 1.0); 50];
        let tournaments: [&[Game]; 5] = [
            &[game(0, 1, 1.0), game(0, 2, 1.0), game(1, 2, 1.0)],
            &[game(0, 1, 1.0), game(1, 2, 1.0), game(2, 0, 1.0)],
            &[game(0, 1, 0.75), game(2, 0, 0.5)],
            &often,
            &[],
        ];
        for games in tournaments {
            let found = strengths(3, games);
            for me in 0..3 {
                assert!(slope(&found, games, me).abs() < 1e-9, "{games:?}: {found:?}");
            }
        }
        let all: Vec<Game> =
            (0..40).flat_map(|a| (a + 1..40).map(move |b| game(a, b, 1.0))).collect();
        let found = strengths(40, &all);
        assert!(found.is_sorted_by(|a, b| a > b), "{found:?}");
        assert!((0..40).all(|me| slope(&found, &all, me).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn a_cycle_is_a_tie() {
        let found = strengths(3, &[game(0, 1, 1.0), game(1, 2, 1.0), game(2, 0, 1.0)]);
        assert!(found.iter().all(|strength| strength.abs() < 1e-9), "{found:?}");
    }
}
