//! Comparison of two runs over the same queries.

use std::collections::HashMap;

use serde::Serialize;
use textgrad_core::{Usage, truncate};

use super::data::{QueryData, RunData};
use super::figure::Cost;
use super::stats::{Bootstrap, Paired, mean};
use crate::error::Error;
use crate::query::Query;
use crate::run::{RecordedRun, ResultRecord, SettingDifference, Status};

/// Below this number of queries a comparison does not support conclusions.
const MIN_QUERIES: usize = 30;

/// Two runs over the same queries, compared query by query. Rewards are those of the answers that were returned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether one of them is simulated: then the figures say nothing about real models.
    pub simulated: bool,
    /// The one run.
    pub a: Side,
    /// The other run.
    pub b: Side,
    /// The settings that differ.
    pub settings: Vec<SettingDifference>,
    /// Queries that both finished: only these count.
    pub queries: usize,
    /// The first run's rewards against the second's; `None` if no query was finished by both.
    pub reward: Option<Paired>,
    /// The same at an equal number of answers: of each query, the best of the first answers of either run, as many as
    /// the smaller pool has. `None` if all pools are of equal size.
    pub equal_budget: Option<Paired>,
}

/// The answers that two runs returned to one query.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerPair {
    /// The index of the query.
    pub index: usize,
    /// The query.
    pub query: Query,
    /// The answer of the first run.
    pub a: String,
    /// The answer of the second run.
    pub b: String,
}

/// A run of a [`Comparison`], in means over the queries that both finished.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The name of its folder.
    pub name: String,
    /// Queries that failed.
    pub failed: usize,
    /// The reward of the answer that was returned; `None` if no query was finished by both.
    pub reward: Option<f64>,
    /// Requests per query.
    pub requests: Option<f64>,
    /// Answers per query.
    pub answers: Option<f64>,
    /// Tokens of all these queries.
    pub tokens: Usage,
    /// PFLOPs per query.
    pub pflops: Option<f64>,
    /// Seconds that calls of models took per query, of all queries; `None` without a journal.
    pub call_seconds: Option<f64>,
}

impl Comparison {
    /// Compares two runs. It blocks.
    ///
    /// # Errors
    /// [`Error::NotComparable`] if they are over different queries, were scored by different reward models, or by
    /// one whose scores hold only among the answers of one search, and those of [`RecordedRun::results`] and of
    /// its items.
    pub fn read(
        a: &RecordedRun,
        b: &RecordedRun,
        bootstrap: &Bootstrap,
        cost: &Cost,
    ) -> Result<Self, Error> {
        same_queries(a, b)?;
        let differ = |reason: String| Err(not_comparable(a, b, reason));
        let (one, other) = (a.config(), b.config());
        if one.reward != other.reward {
            let reason = format!(
                "their rewards are of different reward models: {} and {}",
                one.reward, other.reward
            );
            return differ(reason);
        }
        if one.scores.relative {
            let reason = "their rewards are relative: they hold only among the answers that one search found for a \
                          query";
            return differ(reason.to_owned());
        }
        let (one, other) = (RunData::read(a, |_| Ok(()))?, RunData::read(b, |_| Ok(()))?);
        let scores = one.paired(&other, |query| query.best);
        let unequal = one.shared(&other).any(|(own, their)| own.answers() != their.answers());
        let equal = one.shared(&other).filter_map(|(own, their)| {
            let budget = own.answers().min(their.answers());
            Some((own.best_of_first(budget)?, their.best_of_first(budget)?))
        });
        let equal: Vec<(f64, f64)> = equal.filter(|_| unequal).collect();
        Ok(Self {
            simulated: one.config.simulated || other.config.simulated,
            queries: scores.len(),
            settings: SettingDifference::all(&one.config, &other.config),
            equal_budget: Paired::of(&equal, bootstrap),
            reward: Paired::of(&scores, bootstrap),
            a: Side::of(&one, &other, cost),
            b: Side::of(&other, &one, cost),
        })
    }

    /// The answers that two runs returned to the queries that both finished, in the order of the queries, for a judge.
    /// It blocks.
    ///
    /// # Errors
    /// [`Error::NotComparable`] if the runs are over different queries, and those of [`RecordedRun::results`] and of
    /// its items.
    pub fn answers(a: &RecordedRun, b: &RecordedRun) -> Result<Vec<AnswerPair>, Error> {
        same_queries(a, b)?;
        let returned = |record: ResultRecord| {
            let text = record.best.filter(|_| record.status == Status::Ok)?.text;
            Some((record.index, (record.query, text)))
        };
        let theirs = b.results()?.map(|record| record.map(returned));
        let mut theirs: HashMap<usize, (Query, String)> =
            theirs.filter_map(Result::transpose).collect::<Result<_, Error>>()?;
        let mut pairs = Vec::new();
        for record in a.results()? {
            if let Some((index, (query, a))) = returned(record?)
                && let Some((_, b)) = theirs.remove(&index).filter(|(other, _)| *other == query)
            {
                pairs.push(AnswerPair { index, query, a, b });
            }
        }
        Ok(pairs)
    }

    /// A warning if there are too few queries to tell the runs apart.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let Self { queries, .. } = self;
        (*queries < MIN_QUERIES).then(|| {
            format!(
                "{queries} queries are too few: fewer than {MIN_QUERIES} do not support conclusions, and their \
                 intervals are too narrow; run both on more queries"
            )
        })
    }
}

impl Side {
    fn of(run: &RunData, other: &RunData, cost: &Cost) -> Self {
        let own: Vec<&QueryData> = run.shared(other).map(|(own, _)| own).collect();
        let each = |number: &dyn Fn(&QueryData) -> f64| {
            mean(&own.iter().map(|query| number(query)).collect::<Vec<f64>>())
        };
        let queries = (run.queries.len() + run.failed).max(1) as f64;
        Self {
            name: run.name.clone(),
            failed: run.failed,
            reward: each(&|query| query.best),
            requests: each(&|query| query.requests as f64),
            answers: each(&|query| query.answers() as f64),
            tokens: own.iter().map(|query| query.tokens).sum(),
            pflops: each(&|query| cost.pflops(query.policy_tokens, query.scored_tokens)),
            call_seconds: run.call_seconds.map(|seconds| seconds / queries),
        }
    }
}

fn not_comparable(a: &RecordedRun, b: &RecordedRun, reason: String) -> Error {
    Error::NotComparable { a: a.path().to_owned(), b: b.path().to_owned(), reason }
}

fn same_queries(a: &RecordedRun, b: &RecordedRun) -> Result<(), Error> {
    match a.config().data.sha256 == b.config().data.sha256 {
        true => Ok(()),
        false => Err(not_comparable(a, b, difference(a, b)?)),
    }
}

/// The difference between the queries of two runs: their number, or the first that differs.
fn difference(a: &RecordedRun, b: &RecordedRun) -> Result<String, Error> {
    let (ours, theirs) = (&a.config().data, &b.config().data);
    if ours.queries != theirs.queries {
        return Ok(format!(
            "they are over different queries: {} ({}) and {} ({})",
            ours.queries, ours.source, theirs.queries, theirs.source
        ));
    }
    for (one, other) in a.results()?.zip(b.results()?) {
        let (one, other) = (one?, other?);
        if one.index == other.index && one.query != other.query {
            return Ok(format!(
                "they are over different queries: number {} is {:?} and {:?}",
                one.index,
                truncate(one.query.text(), 60),
                truncate(other.query.text(), 60)
            ));
        }
    }
    Ok(format!("they are over different queries ({} and {})", ours.source, theirs.source))
}
