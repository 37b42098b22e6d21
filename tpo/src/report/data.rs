//! The numbers of a run that figures need.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use textgrad_core::{Purpose, Usage};

use super::held_out::{HeldOut, HeldOutGrade};
use crate::error::Error;
use crate::journal::{Record, RecordHead, scan};
use crate::run::{RecordedRun, ResultRecord, RunConfig, Status};
use crate::util::open_existing;

/// The numbers of a run: no texts, so that runs of any length fit.
#[derive(Debug, Clone)]
pub(super) struct RunData {
    pub(super) name: String,
    pub(super) config: RunConfig,
    pub(super) queries: Vec<QueryData>,
    pub(super) failed: usize,
    /// The reward model that graded answers after the search, and whether it is a simulation.
    pub(super) held_out: Option<(String, bool)>,
    /// How long calls of models took together, in seconds; `None` without a journal.
    pub(super) call_seconds: Option<f64>,
}

/// The numbers of a query that was searched to its end.
#[derive(Debug, Clone)]
pub(crate) struct QueryData {
    pub(crate) index: usize,
    /// Tells queries apart.
    pub(crate) identity: u64,
    /// The scores that each iteration brought, the first sampling first.
    pub(crate) scores: Vec<Vec<f64>>,
    /// The best score of all.
    pub(crate) best: f64,
    pub(crate) best_iteration: u32,
    /// The value of the field by which a report is sliced.
    pub(crate) slice: Option<String>,
    /// The held-out grades of the first and of the returned answer.
    pub(crate) held_out: Option<[f64; 2]>,
    pub(crate) requests: u64,
    pub(crate) tokens: Usage,
    /// Answers that were scored.
    pub(crate) scored: u64,
    pub(crate) budget_left: Option<f64>,
    /// Tokens up to the end of each iteration.
    pub(crate) tokens_by: Vec<u64>,
    /// Those of the tokens that are not a judge's.
    pub(crate) policy_tokens: Usage,
    /// The tokens that the reward model read, as far as is known; those of a judge where there is one.
    pub(crate) scored_tokens: u64,
}

impl RunData {
    /// Reads a run; what is done with each result besides is up to the caller.
    ///
    /// # Errors
    /// Those of [`RecordedRun::results`] and of its items, and what `each` returns.
    pub(super) fn read(
        run: &RecordedRun,
        each: impl FnMut(&ResultRecord) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let (queries, failed) = QueryData::all(run, each)?;
        Ok(Self {
            name: run.name(),
            config: run.config().clone(),
            queries,
            failed,
            held_out: HeldOut::read(run)?.map(|held_out| (held_out.reward, held_out.simulated)),
            call_seconds: call_seconds(run)?,
        })
    }

    /// The deepest iteration.
    pub(super) fn depth(&self) -> usize {
        self.queries.iter().map(|query| query.scores.len()).max().unwrap_or(1) - 1
    }

    /// A number of each query that has it.
    pub(super) fn each(&self, number: impl Fn(&QueryData) -> Option<f64>) -> Vec<f64> {
        self.queries.iter().filter_map(number).collect()
    }

    /// The queries that are here and in another run, both sides of each.
    pub(super) fn shared<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a QueryData, &'a QueryData)> {
        let key = |query: &QueryData| (query.index, query.identity);
        let mut theirs = other.queries.iter().peekable();
        self.queries.iter().filter_map(move |query| {
            while theirs.next_if(|their| their.index < query.index).is_some() {}
            let their = theirs.peek().filter(|their| key(their) == key(query))?;
            Some((query, *their))
        })
    }

    /// The pairs of a query's numbers here and in another run, where both have the query.
    pub(super) fn paired(
        &self,
        other: &Self,
        number: impl Fn(&QueryData) -> f64,
    ) -> Vec<(f64, f64)> {
        self.shared(other).map(|(own, their)| (number(own), number(their))).collect()
    }
}

impl QueryData {
    /// The queries of a run that were searched to their end, and how many others there are.
    pub(crate) fn all(
        run: &RecordedRun,
        mut each: impl FnMut(&ResultRecord) -> Result<(), Error>,
    ) -> Result<(Vec<Self>, usize), Error> {
        let (mut queries, mut failed) = (Vec::new(), 0);
        let held_out = HeldOut::read(run)?.map(|held_out| held_out.grades).unwrap_or_default();
        let held_out: HashMap<usize, HeldOutGrade> =
            held_out.into_iter().map(|grade| (grade.index, grade)).collect();
        for record in run.results()? {
            let record = record?;
            each(&record)?;
            match Self::of(&record) {
                Some(mut query) => {
                    let returned = record.trajectory.best_index();
                    let grade = held_out.get(&query.index);
                    let grade = grade.filter(|grade| Some(grade.returned) == returned);
                    query.held_out = grade.map(|grade| [grade.first, grade.best]);
                    queries.push(query);
                }
                None => failed += 1,
            }
        }
        Ok((queries, failed))
    }

    fn of(record: &ResultRecord) -> Option<Self> {
        let best = record.best.as_ref().filter(|_| record.status == Status::Ok)?;
        let trajectory = &record.trajectory;
        let deepest = trajectory.iterations.iter().map(|made| made.iteration).max().unwrap_or(0);
        let mut scores = vec![Vec::new(); deepest as usize + 1];
        for candidate in &trajectory.candidates {
            if let Some(brought) = scores.get_mut(candidate.iteration as usize) {
                brought.push(candidate.score);
            }
        }
        let mut hasher = DefaultHasher::new();
        record.query.identity().hash(&mut hasher);
        let usage = &trajectory.usage;
        Some(Self {
            index: record.index,
            identity: hasher.finish(),
            scores,
            best: best.score,
            best_iteration: best.iteration,
            slice: None,
            held_out: None,
            requests: usage.requests,
            tokens: usage.tokens,
            scored: usage.scored,
            budget_left: trajectory.budget_left,
            tokens_by: trajectory.tokens_by.clone(),
            policy_tokens: without(usage.tokens, judged(record)),
            scored_tokens: scored_tokens(record),
        })
    }

    /// The scores of the first answers.
    pub(super) fn first(&self) -> &[f64] {
        self.scores.first().map_or(&[], Vec::as_slice)
    }

    /// The best score by an iteration; a search that had ended before keeps its best.
    pub(super) fn best_by(&self, iteration: usize) -> Option<f64> {
        self.scores.iter().take(iteration + 1).flatten().copied().reduce(f64::max)
    }

    /// The best score that so many tokens bought; none if they do not reach for the first answers.
    pub(super) fn best_for(&self, tokens: f64) -> Option<f64> {
        let iterations = self.tokens_by.iter().take_while(|spent| **spent as f64 <= tokens).count();
        self.best_by(iterations.checked_sub(1)?)
    }

    /// The best score of the first answers of the pool.
    pub(super) fn best_of_first(&self, answers: usize) -> Option<f64> {
        self.scores.iter().flatten().take(answers).copied().reduce(f64::max)
    }

    /// The scores that an iteration brought.
    pub(super) fn brought(&self, iteration: usize) -> &[f64] {
        self.scores.get(iteration).map_or(&[], Vec::as_slice)
    }

    /// The scores of the newest answers.
    pub(crate) fn newest(&self) -> &[f64] {
        self.scores.iter().rfind(|scores| !scores.is_empty()).map_or(&[], Vec::as_slice)
    }

    /// All answers.
    pub(crate) fn answers(&self) -> usize {
        self.scores.iter().map(Vec::len).sum()
    }
}

/// What a judge read and wrote.
fn judged(record: &ResultRecord) -> Usage {
    let judged = record.trajectory.usage.by_purpose.get(&Purpose::Judge);
    judged.map_or_else(Usage::default, |judged| judged.tokens)
}

fn without(all: Usage, part: Usage) -> Usage {
    Usage {
        prompt_tokens: all.prompt_tokens.saturating_sub(part.prompt_tokens),
        completion_tokens: all.completion_tokens.saturating_sub(part.completion_tokens),
        cached_tokens: all.cached_tokens.saturating_sub(part.cached_tokens),
        reasoning_tokens: all.reasoning_tokens.saturating_sub(part.reasoning_tokens),
    }
}

/// What a judge took, or else what was written for answers and rewrites, in the share that was scored, and the
/// query with each.
fn scored_tokens(record: &ResultRecord) -> u64 {
    let judged = judged(record);
    if judged.total() > 0 {
        return judged.total().saturating_sub(judged.cached_tokens);
    }
    let usage = &record.trajectory.usage;
    let of = |purpose| usage.by_purpose.get(&purpose).copied().unwrap_or_default();
    let (sample, update) = (of(Purpose::Sample), of(Purpose::Update));
    let answers = record.trajectory.candidates.len().max(1) as f64;
    let written = (sample.tokens.completion_tokens + update.tokens.completion_tokens) as f64;
    let query = sample.tokens.prompt_tokens as f64 / sample.requests.max(1) as f64;
    ((written / answers + query) * usage.scored as f64).round() as u64
}

/// The time of all calls. Lines that cannot be read are skipped; `verify` reports them.
fn call_seconds(run: &RecordedRun) -> Result<Option<f64>, Error> {
    let path = run.journal();
    let Some(file) = open_existing(&path)? else { return Ok(None) };
    let mut millis = 0_u64;
    scan(&file, &path, |_, record: &RecordHead| {
        if let Record::Call { ms, .. } = record {
            millis = millis.saturating_add(*ms);
        }
    })?;
    Ok(Some(millis as f64 / 1000.0))
}
