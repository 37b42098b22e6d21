//! The pool: all answers to one query with their scores.

use std::sync::Arc;

use foldhash::HashMap;
use textgrad_core::{Value, Variable, truncate};

use crate::config::Acceptance;
use crate::error::Error;

/// An answer with its score.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The answer, as a variable of the run's graph.
    pub answer: Variable,
    /// The score of the reward model.
    pub score: f64,
    /// The iteration that it comes from; 0 is the first sampling.
    pub iteration: u32,
}

impl Candidate {
    /// The answer's text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.answer.text().unwrap_or_default()
    }
}

/// All answers to one query so far, in their order.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    candidates: Vec<Candidate>,
    /// The first answer with each text.
    by_text: HashMap<Arc<str>, usize>,
    best: Option<usize>,
}

impl Pool {
    /// Adds an answer.
    ///
    /// # Errors
    /// [`Error::Score`] if the score is not finite; nothing is added then.
    pub fn push(&mut self, candidate: Candidate) -> Result<(), Error> {
        if !candidate.score.is_finite() {
            return Err(Error::Score {
                answer: truncate(candidate.text(), 80),
                got: candidate.score,
            });
        }
        let position = self.candidates.len();
        if let Value::Text(text) = candidate.answer.value() {
            self.by_text.entry(Arc::clone(text)).or_insert(position);
        }
        let best = self.best.and_then(|best| self.candidates.get(best));
        if best.is_none_or(|best| candidate.score > best.score) {
            self.best = Some(position);
        }
        self.candidates.push(candidate);
        Ok(())
    }

    /// Gives answers other scores, by their texts; those that are not named keep theirs.
    ///
    /// # Errors
    /// [`Error::Score`] if a score is not finite; nothing is changed then.
    pub fn rescore(&mut self, scores: &[(String, f64)]) -> Result<(), Error> {
        if let Some((text, score)) = scores.iter().find(|(_, score)| !score.is_finite()) {
            return Err(Error::Score { answer: truncate(text, 80), got: *score });
        }
        let scores: HashMap<&str, f64> =
            scores.iter().rev().map(|(text, score)| (text.as_str(), *score)).collect();
        self.map_scores(&|candidate| *scores.get(candidate.text()).unwrap_or(&candidate.score));
        Ok(())
    }

    /// Lets go of the graph that the answers come from.
    pub(super) fn detach(&mut self) {
        for candidate in &mut self.candidates {
            candidate.answer = candidate.answer.detach();
        }
    }

    /// The answers, in their order.
    #[must_use]
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The answer at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&Candidate> {
        self.candidates.get(position)
    }

    /// The position of the answer with the highest score; of equal ones, the earliest.
    #[must_use]
    pub fn best(&self) -> Option<usize> {
        self.best
    }

    /// The position of the answer with the lowest score; of equal ones, the earliest.
    #[must_use]
    pub fn worst(&self) -> Option<usize> {
        earliest(self.scores(), |score, worst| score < worst)
    }

    /// The positions of all answers, best first; of equal ones, the earliest first.
    #[must_use]
    pub fn ranked(&self) -> Vec<usize> {
        rank(self.candidates.iter().enumerate())
    }

    /// The positions of the answers that the newest iteration with any brought, best first.
    #[must_use]
    pub fn newest(&self) -> Vec<usize> {
        let newest = self.candidates.iter().map(|candidate| candidate.iteration).max();
        let candidates = self.candidates.iter().enumerate();
        rank(candidates.filter(|(_, candidate)| Some(candidate.iteration) == newest))
    }

    /// The standard deviation of the scores.
    pub(super) fn deviation(&self) -> f64 {
        let count = self.candidates.len() as f64;
        let mean = self.scores().sum::<f64>() / count;
        (self.scores().map(|score| (score - mean).powi(2)).sum::<f64>() / count).sqrt()
    }

    /// Gives each answer another score, which must be a number.
    pub(super) fn map_scores(&mut self, score: &dyn Fn(&Candidate) -> f64) {
        for candidate in &mut self.candidates {
            candidate.score = score(candidate);
        }
        self.best = earliest(self.scores(), |score, best| score > best);
    }

    fn scores(&self) -> impl Iterator<Item = f64> {
        self.candidates.iter().map(|candidate| candidate.score)
    }

    /// The score of an identical text that is there already.
    #[must_use]
    pub fn score_of(&self, text: &str) -> Option<f64> {
        let first = self.by_text.get(text)?;
        Some(self.candidates.get(*first)?.score)
    }
}

fn rank<'a>(candidates: impl Iterator<Item = (usize, &'a Candidate)>) -> Vec<usize> {
    let mut ranked: Vec<(usize, f64)> =
        candidates.map(|(position, candidate)| (position, candidate.score)).collect();
    // The sort is stable, so equal ones stay in their order. Zero and minus zero are equal.
    ranked.sort_by(|(_, a), (_, b)| (b + 0.0).total_cmp(&(a + 0.0)));
    ranked.into_iter().map(|(position, _)| position).collect()
}

/// Says which answers of a pool the next iteration may build on. Every answer stays in the pool, and the best of all
/// is returned.
///
/// It must depend on nothing but the pool, so that a run can be repeated. [`Acceptance`](crate::Acceptance) has those
/// of this crate.
pub trait PoolPolicy: Send + Sync {
    /// A short name, for reports. A run is only continued with the same one.
    fn name(&self) -> String;

    /// The positions of the answers that may be built on, best first. None ends the search.
    fn eligible(&self, pool: &Pool) -> Vec<usize>;
}

textgrad_core::debug_by!(dyn PoolPolicy, name);

impl PoolPolicy for Acceptance {
    fn name(&self) -> String {
        self.as_str().to_owned()
    }

    fn eligible(&self, pool: &Pool) -> Vec<usize> {
        match self {
            Self::Improvement => pool.ranked(),
            Self::Always => pool.newest(),
        }
    }
}

/// The position of the score that is better than all before it and not worse than any behind it.
pub(super) fn earliest(
    scores: impl Iterator<Item = f64>,
    better: impl Fn(f64, f64) -> bool,
) -> Option<usize> {
    let mut found: Option<(usize, f64)> = None;
    for (position, score) in scores.enumerate() {
        if found.is_none_or(|(_, best)| better(score, best)) {
            found = Some((position, score));
        }
    }
    found.map(|(position, _)| position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(scores: &[f64]) -> Pool {
        let mut pool = Pool::default();
        for (i, score) in scores.iter().enumerate() {
            let answer = Variable::constant(format!("answer {i}"), "answer");
            pool.push(Candidate { answer, score: *score, iteration: 0 }).unwrap();
        }
        pool
    }

    #[test]
    fn ties_go_to_the_earliest() {
        let pool = pool(&[1.0, 3.0, -2.0, 3.0, -2.0]);
        assert_eq!((pool.best(), pool.worst()), (Some(1), Some(2)));
        let equal = self::pool(&[0.5, 0.5]);
        assert_eq!((equal.best(), equal.worst()), (Some(0), Some(0)));
        assert_eq!(Pool::default().best(), None);
    }

    #[test]
    fn other_scores_change_the_best_and_equal_texts_have_one_score() {
        let mut pool = pool(&[1.0, 3.0, 2.0]);
        let again = Variable::constant("answer 0", "answer");
        pool.push(Candidate { answer: again, score: 1.0, iteration: 1 }).unwrap();
        assert_eq!((pool.score_of("answer 0"), pool.score_of("other")), (Some(1.0), None));
        pool.rescore(&[("answer 0".to_owned(), 9.0), ("other".to_owned(), 10.0)]).unwrap();
        assert_eq!((pool.best(), pool.score_of("answer 0")), (Some(0), Some(9.0)));
        assert_eq!(pool.candidates()[3].score, 9.0);
        pool.rescore(&[("answer 0".to_owned(), 2.0)]).unwrap();
        assert_eq!((pool.best(), pool.ranked()), (Some(1), vec![1, 0, 2, 3]));
        assert!(pool.rescore(&[("answer 1".to_owned(), f64::NAN)]).is_err());
        assert_eq!(pool.best(), Some(1));
    }

    #[test]
    fn a_score_that_is_not_finite_names_the_answer() {
        let mut pool = pool(&[1.0]);
        for score in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let answer = Variable::constant("the bad one", "answer");
            let error = pool.push(Candidate { answer, score, iteration: 1 }).unwrap_err();
            assert!(error.to_string().contains("the bad one"), "{error}");
        }
        assert_eq!(pool.candidates().len(), 1);
    }
}
