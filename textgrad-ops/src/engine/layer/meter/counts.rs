//! The counts, and the handle to them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use textgrad_core::{EngineError, Purpose, Response, Usage};

/// Counts calls. Cheap to clone: clones count together, and one is kept to read them.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, Engine, FinishReason, Purpose, Request, Response, engine_fn};
/// use textgrad_ops::engine::EngineExt;
/// use textgrad_ops::engine::layer::Meter;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let meter = Meter::default();
/// let engine = engine_fn("yes", |_| async { Ok(Response::new(vec![Choice::new("yes", FinishReason::Stop)])) })
///     .metered(&meter);
/// engine.complete(&Request::new(Purpose::Sample, [])).await?;
/// assert_eq!(meter.snapshot().purposes[&Purpose::Sample].requests, 1);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<MeterSnapshot>>);

/// What a [`Meter`] counted up to a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MeterSnapshot {
    /// Calls begun.
    pub requests: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls whose caller went away before they ended.
    pub abandoned: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// The most calls that were under way at a time.
    pub max_in_flight: u64,
    /// Tokens of all calls, those that failed among them as far as their servers told.
    pub usage: Usage,
    /// The same by purpose, for purposes that occurred.
    pub purposes: BTreeMap<Purpose, PurposeCount>,
}

/// What the calls of one purpose came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PurposeCount {
    /// Calls begun.
    pub requests: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Answers that came.
    pub choices: u64,
    /// Tokens read and written.
    pub usage: Usage,
}

impl Meter {
    /// The counts as they are now.
    #[must_use]
    pub fn snapshot(&self) -> MeterSnapshot {
        self.counts().clone()
    }

    pub(super) fn begin(&self, purpose: Purpose) -> Call<'_> {
        let mut counts = self.counts();
        counts.requests += 1;
        counts.in_flight += 1;
        counts.max_in_flight = counts.max_in_flight.max(counts.in_flight);
        counts.purposes.entry(purpose).or_default().requests += 1;
        Call { meter: self, purpose, ended: false }
    }

    fn counts(&self) -> MutexGuard<'_, MeterSnapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way; it ends also when it is dropped.
#[derive(Debug)]
pub(super) struct Call<'a> {
    meter: &'a Meter,
    purpose: Purpose,
    ended: bool,
}

impl Call<'_> {
    pub(super) fn end(mut self, result: &Result<Response, EngineError>) {
        self.ended = true;
        let mut counts = self.meter.counts();
        let purpose = counts.purposes.entry(self.purpose).or_default();
        match result {
            Ok(response) => {
                purpose.choices += response.choices.len() as u64;
                purpose.usage += response.usage;
                counts.usage += response.usage;
            }
            Err(error) => {
                purpose.errors += 1;
                purpose.usage += error.usage();
                counts.usage += error.usage();
                counts.errors += 1;
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut counts = self.meter.counts();
        counts.in_flight = counts.in_flight.saturating_sub(1);
        counts.abandoned += u64::from(!self.ended);
    }
}
