//! The figures of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::batch::QueryOutcome;
use crate::search::{IterationRecord, Suspicion, Trajectory, UsageRecord, suspicion};
use crate::util::is_default;

/// The figures of a run, gathered while its outcomes come in.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Whether any part of the run is simulated: then the rewards say nothing about real models.
    pub simulated: bool,
    /// Queries that came to their end.
    pub succeeded: usize,
    /// Queries that failed.
    pub failed: usize,
    /// Queries that were begun and stopped; their requests and tokens are part of the usage.
    #[serde(skip_serializing_if = "is_default")]
    pub unfinished: usize,
    /// The mean reward of the first sample: what the policy gives without any search. Means are over the
    /// queries that came to their end; null if none did.
    pub first_sample: Option<f64>,
    /// The mean reward of the best among the first N samples: best-of-N.
    pub best_of_n: Option<f64>,
    /// The mean reward of the best answer by each iteration, the first sampling first. A search that ended early
    /// keeps its best.
    pub best_by_iteration: Vec<f64>,
    /// Iterations of the queries that came to their end.
    pub iterations: usize,
    /// Those among them that brought no new answer, because nothing that the critic or the optimizer said could be
    /// used; for the optimizer, [`IterationRecord::unusable`](crate::IterationRecord::unusable) says why.
    pub fruitless: usize,
    /// Queries whose returned answer seems to please the reward model only, by the [reason](crate::search::suspicion).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub suspicious: BTreeMap<String, usize>,
    /// Answers that were truncated at their longest length.
    pub truncated: usize,
    /// Requests, tokens, and answers scored.
    pub usage: UsageRecord,
    /// What the queue did, of a run that workers searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSummary>,
    /// The duration of the run, in seconds.
    pub wall_s: f64,
    /// With calls that take as long as these did, waits between retries included, no schedule could have
    /// taken less, in seconds: the longest chain of calls of one query, or all calls together divided by how
    /// many queries may run at a time, whichever is more. Calls that were taken from a journal count nothing.
    #[serde(skip)]
    pub critical_path_s: f64,
    #[serde(skip)]
    totals: Totals,
}

/// What the queue of a run did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct QueueSummary {
    /// How often a query was given to another worker, because one had stopped or was not heard of. Of the whole run,
    /// as `asked_again`.
    pub redelivered: u64,
    /// How often a step was asked for again, because a worker had asked for it and was not heard of: what may have been
    /// paid for twice, at most.
    pub asked_again: u64,
    /// How long queries waited for a worker, in seconds, all together. Since this coordinator began, as `workers`.
    pub waited_s: f64,
    /// The workers by name.
    pub workers: BTreeMap<String, WorkerFigures>,
}

/// What a worker of a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct WorkerFigures {
    /// Queries that it finished.
    pub queries: u64,
    /// How long their searches took, in seconds, all together.
    pub searched_s: f64,
}

#[cfg(feature = "queue")]
impl QueueSummary {
    /// The sums of queries: redelivered and asked again.
    pub(crate) fn of(queries: impl Iterator<Item = (u64, u64)>) -> Self {
        let (redelivered, asked_again) =
            queries.fold((0, 0), |sum, query| (sum.0 + query.0, sum.1 + query.1));
        Self { redelivered, asked_again, ..Self::default() }
    }

    /// Takes in a query that a worker has finished.
    pub(crate) fn add(&mut self, query: &crate::queue::QueryCounts, worker: Option<&str>) {
        self.redelivered += query.redelivered;
        self.asked_again += query.asked_again;
        self.waited_s += query.waited_s;
        if let Some(worker) = worker {
            let figures = self.workers.entry(worker.to_owned()).or_default();
            figures.queries += 1;
            figures.searched_s += query.searched_s;
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Totals {
    first_sample: f64,
    /// Of the best answers of all.
    best: f64,
    by_iteration: Vec<f64>,
    longest: Duration,
    busy: Duration,
}

impl Summary {
    /// No figures yet.
    #[must_use]
    pub fn new(simulated: bool) -> Self {
        Self { simulated, ..Self::default() }
    }

    /// Takes in what a query took whose search was stopped.
    pub(crate) fn add_unfinished(&mut self, trajectory: &Trajectory) {
        self.unfinished += 1;
        self.usage.add(&trajectory.usage);
    }

    /// Takes in what came of a query.
    pub fn add(&mut self, outcome: &QueryOutcome) {
        match &outcome.result {
            Ok(aligned) => {
                let query = outcome.query.text();
                self.add_finished(query, aligned.trajectory(), aligned.model_time());
            }
            Err(failure) => self.add_failed(&failure.trajectory),
        }
    }

    /// Takes in a search that failed.
    pub(crate) fn add_failed(&mut self, trajectory: &Trajectory) {
        self.failed += 1;
        self.usage.add(&trajectory.usage);
    }

    /// Takes in a search that came to its end.
    pub(crate) fn add_finished(
        &mut self,
        query: &str,
        trajectory: &Trajectory,
        model_time: Duration,
    ) {
        self.succeeded += 1;
        self.usage.add(&trajectory.usage);
        self.truncated += trajectory.candidates.iter().filter(|one| one.truncated).count();
        if let Some(kind) = suspected(query, trajectory) {
            *self.suspicious.entry(kind.to_string()).or_default() += 1;
        }
        // An iteration that rewrites several answers has several records.
        let made: Vec<&[IterationRecord]> =
            trajectory.iterations.chunk_by(|one, next| one.iteration == next.iteration).collect();
        self.iterations += made.len();
        let brought_none = |made: &&&[IterationRecord]| made.iter().all(|one| one.updates == 0);
        self.fruitless += made.iter().filter(brought_none).count();
        self.totals.longest = self.totals.longest.max(model_time);
        self.totals.busy += model_time;
        if let Some(first) = trajectory.candidates.first() {
            self.totals.first_sample += first.score;
        }
        // The searches so far ended before an iteration that none of them made.
        let depth = made.len().max(self.totals.by_iteration.len().saturating_sub(1));
        self.totals.by_iteration.resize(depth + 1, self.totals.best);
        for (iteration, total) in (0..).zip(&mut self.totals.by_iteration) {
            *total += trajectory.best_score_by(iteration).unwrap_or_default();
        }
        self.totals.best += trajectory.best().map_or(0.0, |best| best.score);
    }

    /// Computes the means and the critical path of a run that took `wall` with `concurrency` queries at a
    /// time.
    #[must_use]
    pub fn finish(mut self, wall: Duration, concurrency: usize) -> Self {
        self.wall_s = wall.as_secs_f64();
        let queries = concurrency.clamp(1, (self.succeeded + self.failed).max(1));
        let shared = self.totals.busy.as_secs_f64() / queries as f64;
        self.critical_path_s = self.totals.longest.as_secs_f64().max(shared);
        if self.succeeded > 0 {
            let count = self.succeeded as f64;
            self.first_sample = Some(self.totals.first_sample / count);
            self.best_by_iteration =
                self.totals.by_iteration.iter().map(|total| total / count).collect();
            self.best_of_n = self.best_by_iteration.first().copied();
        }
        self
    }
}

/// Why the answer that a search returned is suspected to please the reward model only.
fn suspected(query: &str, trajectory: &Trajectory) -> Option<Suspicion> {
    let candidates = trajectory.candidates.iter();
    let first = candidates.filter(|one| one.iteration == 0).map(|one| one.text.as_str());
    suspicion(query, &first.collect::<Vec<_>>(), &trajectory.best()?.text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use textgrad_ops::sim::Sim;

    use super::*;
    use crate::batch::Batch;
    use crate::config::{EarlyStop, TpoConfig};
    use crate::reward::SimReward;
    use crate::search::{Pairs, Tpo};

    const QUERIES: [&str; 6] = [
        "Why is the sky blue?",
        "How do I boil an egg?",
        "Why does bread rise?",
        "What is the color of Mars?",
        "How do I take care of a wooden table?",
        "Why do cats purr?",
    ];

    async fn summary(config: TpoConfig) -> (Summary, Vec<QueryOutcome>) {
        let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).config(config);
        let mut batch = Batch::new(tpo.build().unwrap(), QUERIES);
        let (mut summary, mut outcomes) = (Summary::new(true), Vec::new());
        while let Some(outcome) = batch.next().await {
            summary.add(&outcome);
            outcomes.push(outcome);
        }
        (summary.finish(Duration::ZERO, 1), outcomes)
    }

    fn depth(outcome: &QueryOutcome) -> u32 {
        let made = &outcome.result.as_ref().unwrap().trajectory().iterations;
        made.iter().map(|one| one.iteration).max().unwrap_or(0)
    }

    /// The mean, over all searches, of the best answer that each had by an iteration.
    fn best_by(outcomes: &[QueryOutcome], iteration: u32) -> f64 {
        let best = outcomes.iter().map(|outcome| {
            let candidates = &outcome.result.as_ref().unwrap().trajectory().candidates;
            let by_then = candidates.iter().filter(|candidate| candidate.iteration <= iteration);
            by_then.map(|candidate| candidate.score).fold(f64::NEG_INFINITY, f64::max)
        });
        best.sum::<f64>() / outcomes.len() as f64
    }

    fn assert_means(summary: &Summary, outcomes: &[QueryOutcome]) {
        let deepest = outcomes.iter().map(depth).max().unwrap();
        assert_eq!(summary.best_by_iteration.len(), deepest as usize + 1);
        for (iteration, mean) in (0..).zip(&summary.best_by_iteration) {
            let expected = best_by(outcomes, iteration);
            assert!((mean - expected).abs() < 1e-9, "{iteration}: {mean}, not {expected}");
        }
    }

    #[tokio::test]
    async fn a_search_that_ended_early_keeps_its_best() {
        let early_stop = EarlyStop { target: Some(3.5), ..EarlyStop::default() };
        let config = TpoConfig { iterations: 4, early_stop, ..TpoConfig::default() };
        let (summary, outcomes) = summary(config).await;
        let depths: Vec<u32> = outcomes.iter().map(depth).collect();
        let deepest = *depths.iter().max().unwrap();
        // Deeper searches stand before and behind shallower ones.
        assert!(depths.windows(2).any(|two| two[0] < two[1]), "{depths:?}");
        assert!(depths.windows(2).any(|two| two[0] > two[1]), "{depths:?}");
        assert!(deepest > 0);
        assert_means(&summary, &outcomes);
        assert_eq!(summary.iterations, depths.iter().sum::<u32>() as usize);
    }

    #[tokio::test]
    async fn an_iteration_that_rewrites_several_answers_is_one() {
        let config = TpoConfig { pairs: Pairs::TopBottom(2), ..TpoConfig::default() };
        let (mut summary, mut outcomes) = summary(config).await;
        assert!(outcomes.iter().any(|outcome| {
            outcome.result.as_ref().unwrap().trajectory().iterations.len() > depth(outcome) as usize
        }));
        assert_means(&summary, &outcomes);
        assert_eq!((summary.iterations, summary.fruitless), (2 * QUERIES.len(), 0));

        // One of its comparisons brought nothing, then none of them did.
        let outcome = outcomes.first_mut().unwrap();
        for (comparisons, fruitless) in [(1, 0), (2, 1)] {
            let made = &mut outcome.result.as_mut().unwrap().trajectory.iterations;
            assert_eq!((made[0].iteration, made[1].iteration, made[2].iteration), (1, 1, 2));
            made.iter_mut().take(comparisons).for_each(|one| one.updates = 0);
            let before = summary.fruitless;
            summary.add(outcome);
            assert_eq!(summary.fruitless - before, fruitless);
        }
    }
}
