//! Verification of the pairs that a search selected.

use textgrad_core::Variable;

use super::result::JournaledQuery;
use crate::config::{StopReason, TpoConfig};
use crate::journal::among;
use crate::run::config::RunConfig;
use crate::run::results::{ResultRecord, Status};
use crate::search::{Candidate, CandidateRecord, Comparison, IterationRecord, Pool, comparisons};
use crate::util::dedup;

/// Compares the selected answers of each iteration with those that the scores select.
pub(super) fn check(
    config: &RunConfig,
    record: &ResultRecord,
    journaled: &JournaledQuery,
    find: &mut impl FnMut(String),
) {
    let candidates = &record.trajectory.candidates;
    let made = &record.trajectory.iterations;
    if !candidates.is_sorted_by_key(|candidate| candidate.iteration)
        || !made.is_sorted_by_key(|made| made.iteration)
    {
        find("its answers or iterations are not in the order in which they came".to_owned());
        return;
    }
    let last = made.last().map_or(0, |made| made.iteration);
    let depth = config.search.depth();
    let whole = record.status == Status::Ok && record.trajectory.stopped.is_none();
    if last > depth || (whole && last < depth) {
        find(format!("expected {depth} iteration(s), got {last}"));
        return;
    }
    let search = SearchCheck { config, record, journaled };
    // A selection that is not of this crate cannot be repeated, nor can scores that only a model would tell.
    let is_known = config.pairs == config.search.pairs.to_string();
    if is_known && !(config.scores.asked && config.scores.relative) {
        search.check(last, find);
    }
}

struct SearchCheck<'a> {
    config: &'a RunConfig,
    record: &'a ResultRecord,
    journaled: &'a JournaledQuery,
}

impl SearchCheck<'_> {
    fn check(&self, last: u32, find: &mut impl FnMut(String)) {
        let search: &TpoConfig = &self.config.search;
        let trajectory = &self.record.trajectory;
        let (mut candidates, mut made) =
            (trajectory.candidates.iter().peekable(), trajectory.iterations.iter().peekable());
        let mut pool = Pool::default();
        // Every turn takes an iteration off the list, so a false number makes no long loop.
        for iteration in 1..=last {
            let came = |candidate: &&CandidateRecord| candidate.iteration < iteration;
            while let Some(candidate) = candidates.next_if(came) {
                // What is no number is no score, and was found.
                let _ = pool.push(Candidate {
                    answer: Variable::constant(candidate.text.as_str(), "answer"),
                    score: candidate.score,
                    iteration: candidate.iteration,
                });
            }
            if let Err(problem) = self.rescore(&mut pool) {
                find(format!("iteration {iteration}: {problem}"));
                return;
            }
            let expected = match comparisons(search, &search.pairs, &pool, iteration) {
                Ok(expected) => expected,
                Err(error) => return find(error.to_string()),
            };
            let mut got = Vec::new();
            while let Some(IterationRecord { chosen, rejected, .. }) =
                made.next_if(|made| made.iteration == iteration)
            {
                got.push(Comparison { chosen: *chosen, rejected: rejected.clone() });
            }
            if expected != got {
                let (expected, got) = (shown(&expected), shown(&got));
                find(format!(
                    "iteration {iteration}: expected {expected}, as the scores say, got {got}"
                ));
            }
            if got.is_empty() {
                return;
            }
        }
        let over = trajectory.stopped == Some(StopReason::NoPair);
        let left = comparisons(search, &search.pairs, &pool, last + 1);
        if over && left.is_ok_and(|left| !left.is_empty()) {
            find(format!("iteration {}: there are answers to compare", last + 1));
        }
    }

    /// Restores the scores that the answers of a pool had at that iteration.
    fn rescore(&self, pool: &mut Pool) -> Result<(), String> {
        if !self.config.scores.relative {
            return Ok(());
        }
        let texts = dedup(pool.candidates().iter().map(Candidate::text));
        let identity = among(&self.config.reward, &texts);
        let mut scores = Vec::new();
        for text in texts {
            let score = self.journaled.score(&identity, &self.record.query, text);
            let score = score.ok_or("the journal lacks scores of the answers up to there")?;
            scores.push((text.to_owned(), score));
        }
        pool.rescore(&scores).map_err(|error| error.to_string())
    }
}

fn shown(comparisons: &[Comparison]) -> String {
    let one = |Comparison { chosen, rejected }: &Comparison| match rejected.as_slice() {
        [] => format!("answer {chosen} against none"),
        rejected => format!("answer {chosen} against {rejected:?}"),
    };
    match comparisons {
        [] => "no comparison".to_owned(),
        some => some.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}
