//! One search of a request: deadline, budget, gate, and the best answers that it has.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use textgrad_core::{Engine, EngineError, ErrorKind};
use textgrad_ops::CancellationToken;
use textgrad_ops::layer::Money;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::app::App;
use super::budget::{RequestBudget, Yielding};
use super::error::ApiError;
use super::images::WithImages;
use super::keys::Client;
use super::metrics::SearchEnd;
use super::options::SearchOptions;
use super::record::{Recorded, request_key};
use super::reply::ranked;
use super::request::Ask;
use crate::config::{Mode, StopReason, TpoConfig};
use crate::error::Error;
use crate::query::Query;
use crate::reward::EngineScope as _;
use crate::search::{
    AlignError, Alignment, CandidateRecord, SearchEvent, SearchObserver, Tpo, Trajectory,
    UsageRecord,
};
use crate::session::Session;

/// A search that was asked for.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) client: Client,
    /// The virtual model, as the client named it.
    pub(crate) model: String,
    pub(crate) arrived: Instant,
    /// When it is to be answered.
    pub(crate) deadline: Option<Instant>,
    /// When it arrived, in seconds since 1970.
    pub(crate) created: u64,
    pub(crate) ask: Ask,
    pub(crate) query: Query,
    /// The options of request, header, model and server together.
    pub(crate) options: SearchOptions,
    pub(crate) config: TpoConfig,
    /// The index that its seeds derive from, where searches are not recorded.
    pub(crate) index: usize,
    /// The idempotency key.
    pub(crate) key: Option<String>,
}

impl Job {
    /// Whether the end of the server comes before its deadline.
    fn is_ended(&self, app: &App) -> bool {
        app.ending.is_cancelled() && self.deadline.is_none_or(|deadline| deadline > Instant::now())
    }
}

/// A scored answer, as streams report it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Progress {
    pub(crate) iteration: u32,
    pub(crate) candidate: usize,
    pub(crate) score: f64,
    pub(crate) best: usize,
    pub(crate) best_score: f64,
    /// The text of the best answer, where it is new and the client wants drafts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) draft: Option<String>,
}

/// An answered search.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Different answers, best first; at least one.
    pub(crate) ranked: Vec<CandidateRecord>,
    pub(crate) trajectory: Trajectory,
    /// The search with its graph, if it came to its end; its trajectory is the other one.
    pub(crate) aligned: Option<Alignment>,
    /// What was spent, the gate included, without what the journal had.
    pub(crate) usage: UsageRecord,
    /// By the prices of the server.
    pub(crate) money: Option<f64>,
    pub(crate) end: SearchEnd,
    /// Why it ended before its last iteration.
    pub(crate) stopped: Option<String>,
    /// The failure that ended it, if one did.
    pub(crate) failure: Option<String>,
    pub(crate) elapsed: Duration,
}

impl Answered {
    /// The best score of the first sampling.
    pub(crate) fn first_score(&self) -> Option<f64> {
        self.trajectory.best_score_by(0)
    }

    pub(crate) fn best_score(&self) -> Option<f64> {
        self.ranked.first().map(|best| best.score)
    }
}

/// The figures of a search, counted once: also where its future is dropped.
struct Accounting<'a> {
    app: &'a App,
    job: &'a Job,
    sessions: Vec<Session>,
    end: SearchEnd,
}

impl Accounting<'_> {
    fn usage(&self) -> UsageRecord {
        let mut usage = UsageRecord::default();
        self.sessions.iter().for_each(|session| usage.add(&session.asked()));
        usage
    }

    /// The cost by the prices of the server, if each engine that was used has one.
    fn money(&self) -> Option<f64> {
        self.app.options.prices.as_ref()?;
        self.sessions.iter().map(|session| session.asked_money().map(Money::units)).sum()
    }
}

impl Drop for Accounting<'_> {
    fn drop(&mut self) {
        let usage = self.usage();
        self.app.metrics.usage(&usage, self.money());
        self.app.metrics.search(self.end, self.job.arrived.elapsed());
    }
}

/// Searches, and reports every scored answer to a channel.
pub(crate) async fn run(
    app: &App,
    job: &Job,
    progress: Option<mpsc::UnboundedSender<Progress>>,
) -> Result<Answered, ApiError> {
    let mut accounting = Accounting { app, job, sessions: Vec::new(), end: SearchEnd::Cancelled };
    let outcome = search(app, job, progress, &mut accounting).await;
    accounting.end = outcome.as_ref().map_or(SearchEnd::Failed, |answered| answered.end);
    if let Ok(answered) = &outcome
        && let (Some(first), Some(best)) = (answered.first_score(), answered.best_score())
    {
        app.metrics.scores(first, best);
    }
    outcome
}

async fn search(
    app: &App,
    job: &Job,
    progress: Option<mpsc::UnboundedSender<Progress>>,
    accounting: &mut Accounting<'_>,
) -> Result<Answered, ApiError> {
    let phase = Phase { app, job, budget: RequestBudget::new(&job.options), progress };
    let mut first = Vec::new();
    if let Some(gate) = job.options.gate {
        let config = TpoConfig {
            mode: Mode::Bon,
            samples: gate.samples,
            layout: app.tpo.config().layout,
            ..job.config.clone()
        };
        let outcome = phase.search(config, "gate", accounting).await?;
        let scores: Vec<f64> = outcome.candidates().iter().map(|one| one.score).collect();
        if gate.is_open(&scores) || outcome.is_over() {
            let end = outcome.end(SearchEnd::Gated);
            return outcome.answered(job, accounting, Vec::new(), end);
        }
        first = outcome.into_trajectory().candidates;
    }
    let outcome = phase.search(job.config.clone(), "search", accounting).await?;
    let end = outcome.end(SearchEnd::Complete);
    outcome.answered(job, accounting, first, end)
}

/// What the searches of one request share.
struct Phase<'a> {
    app: &'a App,
    job: &'a Job,
    budget: RequestBudget,
    progress: Option<mpsc::UnboundedSender<Progress>>,
}

impl Phase<'_> {
    fn tpo(&self, config: TpoConfig) -> Result<Tpo, ApiError> {
        let engine = |engine: &Arc<dyn Engine>| {
            let mut engine = Arc::clone(engine);
            if self.job.ask.has_image() {
                engine = Arc::new(WithImages::new(engine, &self.job.ask.messages));
            }
            self.budget.engine(&(Arc::new(Yielding(engine)) as Arc<dyn Engine>))
        };
        let mut tpo = self.app.tpo.rebuild(engine, |reward| self.budget.reward(reward));
        if self.job.options.pairs.is_some() {
            tpo = tpo.pairs(Arc::new(config.pairs));
        }
        tpo.config(config).build().map_err(|error| ApiError::search(&error))
    }

    async fn search(
        &self,
        config: TpoConfig,
        name: &str,
        accounting: &mut Accounting<'_>,
    ) -> Result<PhaseOutcome, ApiError> {
        let tpo = self.tpo(config)?;
        let recorded = self.record(&tpo, name).await?;
        let (index, journal) = match &recorded {
            Some(recorded) => {
                // That of a repeated request is searched for in the whole file.
                let journal = match self.job.deadline {
                    Some(deadline) => timeout_at(deadline, recorded.journal()).await,
                    None => Ok(recorded.journal().await),
                };
                (recorded.index, Some(journal.map_err(|_| ApiError::deadline())??))
            }
            None => (self.job.index, None),
        };
        let abort = CancellationToken::new();
        let (progress, draft) = (self.progress.clone(), self.job.options.draft.is_some());
        let live = self.app.recent.live(&self.job.id);
        let observer = move |event: &SearchEvent<'_>| {
            live.scored(event);
            let Some(progress) = &progress else { return };
            let is_new_best = event.best == event.candidate;
            // As many as the search has answers; they are read as soon as it waits.
            let _ = progress.send(Progress {
                iteration: event.iteration,
                candidate: event.candidate,
                score: event.score,
                best: event.best,
                best_score: event.best_score,
                draft: (draft && is_new_best).then(|| event.text.to_owned()),
            });
        };
        let session = Session::new(journal, CancellationToken::new());
        let session = session.observed(SearchObserver::new(observer)).abortable(abort.clone());
        let session = match &self.app.options.prices {
            Some(prices) => session.priced(prices),
            None => session,
        };
        accounting.sessions.push(session.clone());
        let search = tpo.align_in(index, self.job.query.clone(), None, session);
        let end = async {
            match self.job.deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::pin!(search);
        let outcome = tokio::select! {
            biased;
            outcome = &mut search => outcome,
            () = either(end, self.app.ending.cancelled()) => {
                abort.cancel();
                search.await
            }
        };
        let is_late = abort.is_cancelled();
        let outcome = outcome.map_err(|mut failure| {
            failure.trajectory.stopped =
                request_limit(&failure.error, is_late).or(failure.trajectory.stopped);
            failure
        });
        let outcome = match &recorded {
            Some(recorded) => recorded.finish(&self.job.query, outcome).await,
            None => outcome,
        };
        Ok(PhaseOutcome { outcome, is_late })
    }

    async fn record(&self, tpo: &Tpo, name: &str) -> Result<Option<Recorded>, ApiError> {
        let (app, job) = (self.app, self.job);
        let Some(recorder) = &app.options.recorder else { return Ok(None) };
        let scope = || app.options.keys.scope(job.client);
        let key = job.key.as_ref().map(|key| request_key(&scope(), key, name, &job.query));
        recorder.begin(tpo, &job.id, &job.query, key).await.map(Some)
    }
}

/// Waits for the first of two ends.
async fn either(first: impl Future<Output = ()>, second: impl Future<Output = ()>) {
    tokio::select! {
        () = first => {}
        () = second => {}
    }
}

/// The name of a reason, as results have it.
fn named(reason: &StopReason) -> Option<String> {
    serde_json::to_value(reason).ok()?.as_str().map(str::to_owned)
}

/// The limit of the request that ended a search, if one did.
fn request_limit(error: &Error, is_late: bool) -> Option<StopReason> {
    match error {
        Error::Stopped if is_late => Some(StopReason::Deadline),
        error if error.engine().map(EngineError::kind) == Some(ErrorKind::Budget) => {
            Some(StopReason::Budget)
        }
        _ => None,
    }
}

struct PhaseOutcome {
    outcome: Result<Alignment, AlignError>,
    /// Whether the deadline ended it.
    is_late: bool,
}

impl PhaseOutcome {
    fn trajectory(&self) -> &Trajectory {
        match &self.outcome {
            Ok(aligned) => aligned.trajectory(),
            Err(failure) => &failure.trajectory,
        }
    }

    fn candidates(&self) -> &[CandidateRecord] {
        &self.trajectory().candidates
    }

    fn into_trajectory(self) -> Trajectory {
        match self.outcome {
            Ok(aligned) => aligned.trajectory,
            Err(failure) => failure.trajectory,
        }
    }

    /// Whether nothing more can be done for the request.
    fn is_over(&self) -> bool {
        self.outcome.is_err()
    }

    fn end(&self, complete: SearchEnd) -> SearchEnd {
        match &self.outcome {
            Ok(_) if complete == SearchEnd::Gated => complete,
            Ok(aligned) => match &aligned.trajectory().stopped {
                Some(reason) if reason.is_bound() => SearchEnd::Partial,
                _ => complete,
            },
            Err(_) => SearchEnd::Partial,
        }
    }

    /// The answers, those of an earlier phase among them; the failure if there are none.
    fn answered(
        self,
        job: &Job,
        accounting: &Accounting<'_>,
        first: Vec<CandidateRecord>,
        end: SearchEnd,
    ) -> Result<Answered, ApiError> {
        let (stopped, failure) = match &self.outcome {
            Ok(_) if end == SearchEnd::Gated => (Some("gate".to_owned()), None),
            Ok(aligned) => (aligned.trajectory().stopped.as_ref().and_then(named), None),
            Err(AlignError { error, trajectory }) => {
                let limit = request_limit(error, self.is_late);
                if first.is_empty() && trajectory.candidates.is_empty() {
                    return Err(match limit {
                        Some(StopReason::Deadline) if job.is_ended(accounting.app) => {
                            ApiError::draining()
                        }
                        Some(StopReason::Deadline) => ApiError::deadline(),
                        Some(_) => ApiError::budget(),
                        None => ApiError::search(error),
                    });
                }
                match limit {
                    Some(limit) => (named(&limit), None),
                    None => {
                        let error = ApiError::search(error);
                        accounting.app.failures.note(&job.id, &error);
                        (Some("error".to_owned()), Some(error.message().to_owned()))
                    }
                }
            }
        };
        let (trajectory, aligned) = match self.outcome {
            Ok(mut aligned) => (std::mem::take(&mut aligned.trajectory), Some(aligned)),
            Err(failure) => (failure.trajectory, None),
        };
        let app = accounting.app;
        // Relative scores hold among answers that were scored together.
        let is_comparable = !app.tpo.scores().relative || trajectory.candidates.is_empty();
        let first = first.iter().filter(|_| is_comparable);
        let ranked = ranked(first.chain(&trajectory.candidates), trajectory.chosen());
        let usage = accounting.usage();
        let money = accounting.money();
        let elapsed = job.arrived.elapsed();
        Ok(Answered { ranked, trajectory, aligned, usage, money, end, stopped, failure, elapsed })
    }
}
