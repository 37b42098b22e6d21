//! Verification of one result.

use std::collections::HashMap;
use std::sync::Arc;

use textgrad_core::{Purpose, Usage, Variable};
use textgrad_ops::apply_edits;

use super::{JOURNAL, Journaled, RESULTS, Verification};
use crate::config::{Mode, StopReason};
use crate::error::Error;
use crate::journal::{Record, StepKey, among};
use crate::query::Query;
use crate::run::config::RunConfig;
use crate::run::folder::RecordedRun;
use crate::run::results::{ResultRecord, Status};
use crate::search::{Candidate, CandidateRecord, Comparison, PairCx, Pool, Trajectory};
use crate::util::dedup;

/// The texts, scores and usage of a query in the journal.
#[derive(Default)]
struct JournaledQuery {
    texts: HashMap<Purpose, Vec<String>>,
    scores: HashMap<StepKey, f64>,
    calls: u64,
    tokens: Usage,
}

impl JournaledQuery {
    fn of(records: Vec<Record>) -> Self {
        let mut known = Self::default();
        for record in records {
            match record {
                Record::Call { purpose, response, .. } => {
                    known.calls += 1;
                    known.tokens += response.usage;
                    let texts = response.choices.into_iter().map(|choice| choice.text);
                    known.texts.entry(purpose).or_default().extend(texts);
                }
                Record::Score { key, score, .. } => {
                    known.scores.insert(key, score);
                }
                _ => {}
            }
        }
        known
    }

    /// Adds what the edits in updates make of the answers that were chosen.
    fn edit(&mut self, trajectory: &Trajectory, limit: u32) {
        let replies = self.texts.get(&Purpose::Update).cloned().unwrap_or_default();
        let chosen = trajectory.iterations.iter().map(|made| made.chosen);
        let chosen = chosen.filter_map(|index| trajectory.candidates.get(index));
        let chosen = dedup(chosen.map(|chosen| chosen.text.as_str()));
        let edited = chosen.iter().flat_map(|chosen| {
            replies.iter().filter_map(|reply| apply_edits(chosen, reply, limit).ok().flatten())
        });
        let edited: Vec<String> = edited.collect();
        self.texts.entry(Purpose::Update).or_default().extend(edited);
    }

    /// The score of an answer in the journal.
    fn score(&self, model: &str, query: &Query, answer: &str) -> Option<f64> {
        self.scores.get(&StepKey::of_score(model, query, answer)).copied()
    }

    /// Whether a completion for this purpose contains a text.
    fn has(&self, purpose: Purpose, text: &str) -> bool {
        let mut texts = self.texts.get(&purpose).into_iter().flatten();
        texts.any(|known| contains(known, text))
    }
}

/// Whether a text has another in it. To prepare a search takes time by the length of what is searched for, so
/// the beginning of a long text is searched for first.
fn contains(text: &str, part: &str) -> bool {
    const BEGINNING: usize = 32;
    /// Where a beginning is found more often, it repeats itself, and a whole search is faster.
    const TRIALS: usize = 16;
    let Some((end, _)) = part.char_indices().nth(BEGINNING) else { return text.contains(part) };
    let (begins, mut rest) = (part.get(..end).unwrap_or(part), text);
    for _ in 0..TRIALS {
        let Some(found) = rest.find(begins).and_then(|at| rest.get(at..)) else { return false };
        if found.starts_with(part) {
            return true;
        }
        let next = found.chars().next().map_or(0, char::len_utf8);
        rest = found.get(next..).unwrap_or_default();
    }
    rest.contains(part)
}

pub(super) fn check(
    run: &RecordedRun,
    record: &ResultRecord,
    journal: &Journaled,
    line: usize,
    found: &mut Verification,
) -> Result<(), Error> {
    let mut known = match journal.records(record.index) {
        Ok(records) => JournaledQuery::of(records),
        Err(Error::Journal { line, reason, .. }) => {
            found.find(JOURNAL, line, format!("not a record: {reason}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let trajectory = &record.trajectory;
    let config = run.config();
    if config.search.edits > 0 {
        known.edit(trajectory, config.search.edits);
    }
    let mut find = |problem: String| {
        found.find(RESULTS, line, format!("query {}: {problem}", record.index));
    };
    let scored_by = match config.scores.relative {
        true => among(&config.reward, &dedup(texts(trajectory))),
        false => config.reward.clone(),
    };
    let mut in_order = true;
    let mut sampled_texts = known.texts.get(&Purpose::Sample).into_iter().flatten();

    for (index, candidate) in trajectory.candidates.iter().enumerate() {
        let sampled = match (candidate.iteration, config.search.mode.samples()) {
            (0, _) => true,
            (_, Some(sampled)) => sampled,
            (_, None) => !known.has(Purpose::Update, &candidate.text),
        };
        let from = if sampled { Purpose::Sample } else { Purpose::Update };
        let is_known_update = !sampled && config.search.mode.samples().is_none();
        if !is_known_update && !known.has(from, &candidate.text) {
            find(format!("answer {index} is in no answer to a request for {from}"));
        } else if sampled && !sampled_texts.any(|text| contains(text, &candidate.text)) && in_order
        {
            in_order = false;
            find(format!("answer {index} does not stand in the order of the journal"));
        }
        if config.scores.asked {
            continue;
        }
        match known.score(&scored_by, &record.query, &candidate.text) {
            None => find(format!("the journal has no score of answer {index}")),
            Some(score) if score != candidate.score => {
                let got = candidate.score;
                find(format!("expected score {score} of answer {index}, got {got}"));
            }
            Some(_) => {}
        }
    }
    for made in &trajectory.iterations {
        let number = made.iteration;
        // What a method of one's own calls a loss need not come from a model.
        let is_own = config.search.mode == Mode::Own;
        let asked = |loss: &&String| {
            [Purpose::Loss, Purpose::Judge].iter().any(|purpose| known.has(*purpose, loss))
        };
        for loss in made.losses.iter().filter(|loss| !is_own && !asked(loss)) {
            let words = textgrad_core::truncate(loss, 40);
            find(format!("a loss of iteration {number} is not in the journal: {words:?}"));
        }
        // A gradient may be several that were put together.
        let gradients = [Purpose::Gradient, Purpose::Reduce];
        if let Some(gradient) = made.gradient.as_ref().filter(|_| !is_own)
            && !gradients.iter().flat_map(|purpose| known.texts.get(purpose)).flatten().any(
                |text| {
                    let text = text.trim();
                    !text.is_empty() && contains(gradient, text)
                },
            )
        {
            find(format!("the gradient of iteration {number} is not in the journal"));
        }
        let count = trajectory.candidates.len();
        for index in made.rejected.iter().chain([&made.chosen]).filter(|index| **index >= count) {
            find(format!("iteration {number} compares answer {index} of {count}"));
        }
    }
    check_selection(config, record, &known, &mut find);
    consistent(record, &mut find);
    let is_cut = trajectory.stopped.as_ref().is_some_and(StopReason::is_request_limit);
    if record.status == Status::Ok && !is_cut {
        counts(trajectory, &known, config.scores.asked, &mut find);
    } else if trajectory.usage.requests > known.calls {
        let (expected, got) = (known.calls, trajectory.usage.requests);
        find(format!("expected at most {expected} requests, got {got}"));
    }
    Ok(())
}

fn texts(trajectory: &Trajectory) -> impl Iterator<Item = &str> {
    trajectory.candidates.iter().map(|candidate| candidate.text.as_str())
}

/// Fields of a result that repeat each other must agree.
fn consistent(record: &ResultRecord, find: &mut impl FnMut(String)) {
    let best = record.trajectory.best();
    if best != record.best.as_ref() {
        let expected = match (best, record.trajectory.best_index()) {
            (Some(best), Some(index)) => {
                format!("answer {index} of iteration {} with {}", best.iteration, best.score)
            }
            _ => "none".to_owned(),
        };
        let got = record.best.as_ref().map_or("none".to_owned(), |best| {
            format!("one of iteration {} with {}", best.iteration, best.score)
        });
        find(format!(
            "the best answer is not that of the trajectory: expected {expected}, got {got}"
        ));
    }
    if (record.status == Status::Error) != record.error.is_some() {
        find("an error without its status, or the other way round".to_owned());
    }
}

/// A search that came to its end has used every step that it paid for, once.
fn counts(
    trajectory: &Trajectory,
    known: &JournaledQuery,
    asked: bool,
    find: &mut impl FnMut(String),
) {
    let usage = &trajectory.usage;
    let scores = if asked { usage.scored } else { known.scores.len() as u64 };
    for (what, expected, got) in [
        ("requests", known.calls, usage.requests),
        ("prompt tokens", known.tokens.prompt_tokens, usage.tokens.prompt_tokens),
        ("completion tokens", known.tokens.completion_tokens, usage.tokens.completion_tokens),
        ("scored answers", scores, usage.scored),
    ] {
        if expected != got {
            find(format!("expected {expected} {what}, as the journal has, got {got}"));
        }
    }
    let updates: usize = trajectory.iterations.iter().map(|made| made.updates).sum();
    let rewrites = trajectory.candidates.iter().filter(|c| c.iteration > 0).count();
    if updates != rewrites {
        find(format!("expected {updates} new versions, as its iterations count, got {rewrites}"));
    }
}

/// Compares the selected answers of each iteration with those that the scores select.
fn check_selection(
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
    let is_known = config.pairs == config.search.pairs.to_string() && config.own_parts.is_empty();
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
        let search = &self.config.search;
        let trajectory = &self.record.trajectory;
        let (mut candidates, mut made) =
            (trajectory.candidates.iter().peekable(), trajectory.iterations.iter().peekable());
        let mut pool = Pool::default();
        let method = search.mode.method(search, Arc::new(search.pairs));
        let policy = search.mode.pool_policy(search.accept);
        let select =
            |pool: &Pool, iteration| method.comparisons(&PairCx::new(pool, iteration, &policy));
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
            let expected = match select(&pool, iteration) {
                Ok(Some(expected)) => expected,
                Ok(None) => return,
                Err(error) => return find(error.to_string()),
            };
            let mut got = Vec::new();
            while let Some(record) = made.next_if(|made| made.iteration == iteration) {
                got.push(record.comparison());
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
        let left = select(&pool, last + 1).ok().flatten();
        if over && left.is_some_and(|left| !left.is_empty()) {
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
    let one = |Comparison { chosen, rejected, .. }: &Comparison| match rejected.as_slice() {
        [] => format!("answer {chosen} against none"),
        rejected => format!("answer {chosen} against {rejected:?}"),
    };
    match comparisons {
        [] => "no comparison".to_owned(),
        some => some.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_part_is_found_as_the_standard_library_finds_it() {
        let long = "ab".repeat(40);
        for text in ["", "a", "ä — b", &long, &format!("x{long}c"), &format!("{long}{long}d")] {
            for part in ["", "a", "—", "b", &long, &format!("{long}c"), &format!("b{long}d")] {
                assert_eq!(contains(text, part), text.contains(part), "{part:?} in {text:?}");
            }
        }
    }
}
