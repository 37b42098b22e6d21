//! The scope of one query's search: accounting, journal and cancellation of every call.
//!
//! Failed calls follow a rule of their own, since a search may go on after some and end with others. A failure is
//! first *pending*. [`Session::commit_failures`] writes the pending ones to the journal; it runs whenever the search
//! goes on: before each call and score, and at the end of a search that succeeded. A failure that ended the search
//! thus never reaches the journal, and is asked again on resume.

mod engine;
mod reward;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use textgrad_core::{EngineError, ErrorKind, Purpose, Request, Response};
use textgrad_ops::CancellationToken;
use textgrad_ops::layer::{Money, Price, Prices};

use crate::config::Spent;
use crate::error::Error;
use crate::journal::{NewRecord, QueryJournal, Record, StepKey};
use crate::search::{Pool, SearchObserver, UsageRecord, newest};

use self::engine::SessionEngine;
pub(crate) use self::reward::BoundReward;

/// The scope of one query. Every call of an engine or of the reward model goes through it: the call is counted,
/// recorded, answered from the journal if it was made before, and not begun after a cancellation.
#[derive(Clone, Default)]
pub(crate) struct Session(Arc<SessionInner>);

#[derive(Default)]
struct SessionInner {
    journal: Mutex<Option<Arc<QueryJournal>>>,
    stop: CancellationToken,
    /// Ends the search at once, without waiting for calls.
    abort: OnceLock<CancellationToken>,
    /// Whether nobody looks at the graph of the search.
    is_graph_dropped: OnceLock<()>,
    observer: OnceLock<SearchObserver>,
    /// The prices of calls.
    prices: OnceLock<Prices>,
    /// Whether the search is bounded in money, so that each engine needs a price.
    is_bounded: OnceLock<()>,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    usage: UsageRecord,
    /// The part of it that the journal did not have.
    #[cfg(feature = "serve")]
    asked: UsageRecord,
    #[cfg(feature = "serve")]
    asked_money: Money,
    money: BTreeMap<Purpose, Money>,
    /// Whether an engine was used that has no price.
    is_unpriced: bool,
    model_time: ModelTime,
    pending_failures: Vec<(StepKey, ErrorKind, String)>,
    /// First answers that were truncated at their longest length.
    truncated: BTreeSet<String>,
    /// Why a call was not made although nothing is wrong with it.
    interruption: Option<Error>,
}

/// How long calls were under way; concurrent calls count once.
#[derive(Default)]
struct ModelTime {
    under_way: usize,
    /// When the first of those that are under way began.
    since: Option<Instant>,
    before: Duration,
}

/// A call that is under way, until it is dropped.
struct UnderWay<'a>(&'a Session);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let time = &mut self.0.accounts().model_time;
        time.under_way = time.under_way.saturating_sub(1);
        if time.under_way == 0
            && let Some(since) = time.since.take()
        {
            time.before += since.elapsed();
        }
    }
}

impl Session {
    pub(crate) fn new(journal: Option<QueryJournal>, stop: CancellationToken) -> Self {
        let journal = Mutex::new(journal.map(Arc::new));
        Self(Arc::new(SessionInner { journal, stop, ..SessionInner::default() }))
    }

    /// Lets go of the graph of the search while it runs: most of the memory of a search is that of earlier requests.
    pub(crate) fn without_graph(self) -> Self {
        self.0.is_graph_dropped.get_or_init(|| ());
        self
    }

    pub(crate) fn keeps_graph(&self) -> bool {
        self.0.is_graph_dropped.get().is_none()
    }

    /// Reports scored answers.
    pub(crate) fn observed(self, observer: SearchObserver) -> Self {
        self.0.observer.get_or_init(|| observer);
        self
    }

    /// Ends the search as soon as the token is cancelled.
    pub(crate) fn abortable(self, abort: CancellationToken) -> Self {
        self.0.abort.get_or_init(|| abort);
        self
    }

    /// Reports the newest answer of the pool of the query with this index.
    pub(crate) fn report_newest(&self, query: usize, pool: &Pool) {
        if let Some(observer) = self.0.observer.get()
            && let Some(event) = newest(query, pool)
        {
            observer.scored(&event);
        }
    }

    /// The outcome of some work, or none if the search was ended before it was done.
    pub(crate) async fn until_aborted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Some(abort) = self.0.abort.get() else { return Some(work.await) };
        tokio::select! {
            biased;
            outcome = work => Some(outcome),
            () = abort.cancelled() => None,
        }
    }

    /// Counts what calls cost from now on.
    pub(crate) fn priced(self, prices: &Prices) -> Self {
        self.0.prices.get_or_init(|| prices.clone());
        self
    }

    /// [`priced`](Self::priced), for a search that is bounded in money: an engine without a price is refused.
    pub(crate) fn bounded(self, prices: &Prices) -> Self {
        self.0.is_bounded.get_or_init(|| ());
        self.priced(prices)
    }

    /// What the calls cost that the journal did not have, by the prices of their engines. None without prices, or
    /// without that of an engine.
    #[cfg(feature = "serve")]
    pub(crate) fn asked_money(&self) -> Option<Money> {
        self.0.prices.get()?;
        let accounts = self.accounts();
        (!accounts.is_unpriced).then_some(accounts.asked_money)
    }

    /// The usage of this session, without what the journal had.
    #[cfg(feature = "serve")]
    pub(crate) fn asked(&self) -> UsageRecord {
        self.accounts().asked.clone()
    }

    /// Fails after the search was to end at once. Steps that take no time let nothing else notice it.
    fn may_go_on(&self) -> Result<(), EngineError> {
        match self.0.abort.get().is_some_and(CancellationToken::is_cancelled) {
            true => Err(self.interrupt(Error::Stopped)),
            false => Ok(()),
        }
    }

    /// Fails after a cancellation, and when the journal cannot be written.
    fn may_begin(&self) -> Result<(), EngineError> {
        if let Some(journal) = self.journal()
            && let Some(reason) = journal.failure()
        {
            return Err(self.interrupt(Error::JournalWrite { reason: reason.to_owned() }));
        }
        if self.is_stopped() {
            return Err(self.interrupt(Error::Stopped));
        }
        Ok(())
    }

    /// Counts the time of a call until the guard is dropped.
    fn begin(&self) -> UnderWay<'_> {
        let time = &mut self.accounts().model_time;
        time.under_way += 1;
        time.since.get_or_insert_with(Instant::now);
        UnderWay(self)
    }

    /// Notes a call that failed for good; see the module for when it is recorded.
    fn fail_call(&self, key: &StepKey, error: EngineError) -> EngineError {
        let error = self.map_cancelled(error);
        let mut accounts = self.accounts();
        if accounts.interruption.is_none() {
            accounts.pending_failures.push((key.clone(), error.kind(), error.to_string()));
        }
        error
    }

    /// A failure is an interruption if the cancellation ended its retries.
    fn map_cancelled(&self, error: EngineError) -> EngineError {
        match self.is_stopped() && error.is_retryable() {
            true => self.interrupt(Error::Stopped),
            false => error,
        }
    }

    /// Records the failures that the search went on after: a repetition must go on without these calls too, since
    /// everything after them depends on it.
    pub(crate) async fn commit_failures(&self) -> Result<(), EngineError> {
        let failures = std::mem::take(&mut self.accounts().pending_failures);
        if failures.is_empty() {
            return Ok(());
        }
        let failed =
            |query| move |(key, kind, message)| Record::Failed { query, key, kind, message };
        self.write(|query| failures.into_iter().map(failed(query)).collect()).await
    }

    fn count_call(
        &self,
        request: &Request,
        response: &Response,
        price: Option<Price>,
        is_recalled: bool,
    ) {
        let mut accounts = self.accounts();
        #[cfg(feature = "serve")]
        if !is_recalled {
            accounts.asked.add_call(request.purpose, response.usage);
            let cost = price.map_or(Money::ZERO, |price| price.of_call(request, response));
            accounts.asked_money = accounts.asked_money.plus(cost);
        }
        #[cfg(not(feature = "serve"))]
        let _ = is_recalled;
        accounts.usage.add_call(request.purpose, response.usage);
        if request.purpose == Purpose::Sample {
            let truncated =
                response.choices.iter().filter(|choice| choice.finish_reason.is_cut_off());
            accounts.truncated.extend(truncated.map(|choice| choice.text.clone()));
        }
        if let Some(price) = price {
            let money = accounts.money.entry(request.purpose).or_default();
            *money = money.plus(price.of_call(request, response));
        } else if self.0.prices.get().is_some() {
            accounts.is_unpriced = true;
        }
    }

    /// The price of an engine, if there are prices.
    fn price(&self, engine: &str) -> Result<Option<Price>, EngineError> {
        let Some(prices) = self.0.prices.get() else { return Ok(None) };
        let price = prices.of(engine);
        if price.is_none() && self.0.is_bounded.get().is_some() {
            let message = format!(
                "expected a price for the engine {engine:?}, for the search is bounded in money; add one, 0 if it \
                 costs nothing"
            );
            return Err(EngineError::new(ErrorKind::InvalidRequest, message));
        }
        Ok(price)
    }

    /// What the calls for these purposes took, without the answers, which the session does not count.
    pub(crate) fn cost(&self, counts: impl Fn(Purpose) -> bool) -> Spent {
        let accounts = self.accounts();
        let mut cost = Spent::default();
        for (purpose, usage) in accounts.usage.by_purpose.iter().filter(|(of, _)| counts(**of)) {
            cost.calls += usage.requests;
            cost.tokens += usage.tokens;
            cost.money = cost.money.plus(accounts.money.get(purpose).copied().unwrap_or_default());
        }
        cost
    }

    /// Notes in the journal that steps are about to be asked for, where that is of interest.
    async fn ask(&self, keys: &[&StepKey]) -> Result<(), EngineError> {
        let Some(journal) = self.journal() else { return Ok(()) };
        let asked = journal.ask(keys).await;
        asked.map_err(|reason| self.interrupt(Error::JournalWrite { reason }))
    }

    /// Writes steps to the journal, if there is one.
    async fn write<'a>(
        &self,
        steps: impl FnOnce(usize) -> Vec<NewRecord<'a>>,
    ) -> Result<(), EngineError> {
        let Some(journal) = self.journal() else { return Ok(()) };
        let written = journal.write(steps).await;
        written.map_err(|reason| self.interrupt(Error::JournalWrite { reason }))
    }

    fn is_stopped(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    fn interrupt(&self, interruption: Error) -> EngineError {
        let message = match &interruption {
            Error::Stopped => "the run was asked to stop",
            _ => "the journal could not be written",
        };
        self.accounts().interruption.get_or_insert(interruption);
        EngineError::new(ErrorKind::Other, message)
    }

    /// Why the session was interrupted, if it was: that is then why the search failed.
    pub(crate) fn take_interruption(&self) -> Option<Error> {
        self.accounts().interruption.take()
    }

    /// Whether an answer was truncated.
    pub(crate) fn is_truncated(&self, text: &str) -> bool {
        self.accounts().truncated.contains(text)
    }

    pub(crate) fn usage(&self) -> UsageRecord {
        self.accounts().usage.clone()
    }

    /// How long the search waited for calls. Recalled calls take no time; concurrent calls count once.
    pub(crate) fn model_time(&self) -> Duration {
        self.accounts().model_time.before
    }

    fn journal(&self) -> Option<Arc<QueryJournal>> {
        self.0.journal.lock().clone()
    }

    /// Lets go of the journal: the graph of a search holds its engines, and so this session, for as long as
    /// somebody looks at it.
    pub(crate) fn close(&self) {
        *self.0.journal.lock() = None;
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.accounts.lock()
    }
}
