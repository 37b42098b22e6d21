//! Progress of a run on standard error, with rate, time left, tokens and cost.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use textgrad_core::Usage;
use textgrad_ops::layer::{Meter, Money, Price, Prices};
use textgrad_ops::util::terminal::note;
use tokio::task::JoinHandle;
use tpo::BatchProgress;

/// The interval of updates.
const TICK: Duration = Duration::from_millis(200);

/// Without a terminal: the shortest and the longest time between two lines.
const MIN_INTERVAL: Duration = Duration::from_secs(10);
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// Meters of engines by their prices. Cheap to clone: clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bill {
    prices: Option<Arc<Prices>>,
    engines: Arc<Mutex<Vec<BilledEngine>>>,
}

/// An engine's calls and its price, if it has one.
#[derive(Debug)]
struct BilledEngine {
    price: Option<Price>,
    meter: Meter,
}

impl Bill {
    pub(crate) fn new(prices: Option<Prices>) -> Self {
        Self { prices: prices.map(Arc::new), engines: Arc::default() }
    }

    /// A meter for an engine, if there are prices.
    pub(crate) fn meter(&self, engine: &str) -> Option<Meter> {
        let price = self.prices.as_ref()?.of(engine);
        let meter = Meter::default();
        let mut engines = self.engines.lock();
        engines.push(BilledEngine { price, meter: meter.clone() });
        Some(meter)
    }

    /// The cost of all calls. None if an engine was used that has no price.
    pub(crate) fn total(&self) -> Option<Money> {
        self.prices.as_ref()?;
        let engines = self.engines.lock();
        engines.iter().try_fold(Money::ZERO, |sum, BilledEngine { price, meter }| {
            match (price, meter.snapshot().usage) {
                (Some(price), usage) => Some(sum.plus(price.of(usage))),
                (None, usage) => (usage == Usage::default()).then_some(sum),
            }
        })
    }
}

/// Progress: a bar on a terminal, else a line per tenth of the queries and at times. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bar {
    bar: ProgressBar,
    meter: Meter,
    bill: Bill,
    ticker: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Bar {
    pub(crate) fn new(meter: Meter, bill: Bill) -> Self {
        Self { bar: ProgressBar::hidden(), meter, bill, ticker: Arc::default() }
    }

    /// Starts with so many queries. Those that a resumed run has at once do not count in the rate.
    pub(crate) fn start(&self, total: usize, progress: &Arc<BatchProgress>, is_resumed: bool) {
        let progress = Arc::clone(progress);
        let done = move || Done {
            finished: progress.finished(),
            failed: progress.failed(),
            workers: progress.workers(),
        };
        self.start_with(total, "queries", done, is_resumed);
    }

    /// Starts with so many things of a name; `done` says how far they are.
    pub(crate) fn start_with(
        &self,
        total: usize,
        unit: &'static str,
        done: impl Fn() -> Done + Send + 'static,
        is_resumed: bool,
    ) {
        let terminal = io::stderr().is_terminal();
        self.bar.reset();
        if terminal {
            self.bar.set_length(total as u64);
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if let Ok(style) = ProgressStyle::with_template("{bar:16} {msg}") {
            self.bar.set_style(style);
        }
        let this = self.clone();
        let before = self.meter.snapshot();
        let ticker = tokio::spawn(async move {
            let (mut tenth, mut last, mut replayed) = (0, Instant::now(), None);
            let begun = Instant::now();
            loop {
                tokio::time::sleep(TICK).await;
                let Done { finished, failed, workers } = done();
                let sent = this.meter.snapshot();
                let replayed = *replayed.get_or_insert(if is_resumed { finished } else { 0 });
                let status = Status {
                    finished,
                    total,
                    unit,
                    failed,
                    workers,
                    replayed,
                    elapsed: begun.elapsed(),
                    calls: sent.requests.saturating_sub(before.requests + sent.in_flight),
                    under_way: sent.in_flight,
                    tokens: sent.usage.total().saturating_sub(before.usage.total()),
                    cost: this.bill.total(),
                };
                this.bar.set_position(finished as u64);
                this.bar.set_message(status.to_string());
                let now = finished * 10 / total.max(1);
                if !terminal && is_due(last.elapsed(), now > tenth) {
                    (tenth, last) = (now, Instant::now());
                    note(status);
                }
            }
        });
        *self.ticker.lock() = Some(ticker);
    }

    /// Prints a line above the bar.
    pub(crate) fn println(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }

    pub(crate) fn finish(&self) {
        let ticker = self.ticker.lock().take();
        if let Some(ticker) = ticker {
            ticker.abort();
        }
        self.bar.finish_and_clear();
    }
}

/// Whether a line is due without a terminal: logs are not flooded, and a slow run is seen to go on.
fn is_due(since_last: Duration, is_tenth_done: bool) -> bool {
    since_last >= MAX_INTERVAL || is_tenth_done && since_last >= MIN_INTERVAL
}

/// How far something is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Done {
    pub(crate) finished: usize,
    /// Of these.
    pub(crate) failed: usize,
    /// Workers that have something to do, where this process asks no model.
    pub(crate) workers: Option<usize>,
}

/// The state of a run at a moment.
struct Status {
    finished: usize,
    total: usize,
    /// What is counted.
    unit: &'static str,
    failed: usize,
    workers: Option<usize>,
    /// Queries that were finished at the start.
    replayed: usize,
    elapsed: Duration,
    /// Calls that ended, and those under way.
    calls: u64,
    under_way: u64,
    tokens: u64,
    cost: Option<Money>,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { finished, total, unit, failed, replayed, elapsed, tokens, cost, .. } = self;
        write!(f, "{finished}/{total} {unit}")?;
        let per_second =
            finished.saturating_sub(*replayed) as f64 / elapsed.as_secs_f64().max(1e-3);
        if per_second > 0.0 {
            match per_second {
                10.0.. => write!(f, ", {per_second:.0}/s")?,
                _ => write!(f, ", {:.1}/min", per_second * 60.0)?,
            }
            let left = total.saturating_sub(*finished) as f64 / per_second;
            match left {
                ..100.0 => write!(f, ", {left:.0} s left")?,
                ..6000.0 => write!(f, ", {:.0} min left", left / 60.0)?,
                _ => write!(f, ", {:.1} h left", left / 3600.0)?,
            }
        }
        if let Some(workers) = self.workers {
            write!(f, ", {workers} workers")?;
        } else {
            write!(f, ", {} calls", self.calls)?;
            if self.under_way > 0 {
                write!(f, " and {} under way", self.under_way)?;
            }
            match tokens {
                ..10_000 => write!(f, ", {tokens} tokens")?,
                ..10_000_000 => write!(f, ", {}k tokens", tokens / 1000)?,
                _ => write!(f, ", {}M tokens", tokens / 1_000_000)?,
            }
        }
        if let Some(cost) = cost {
            write!(f, ", cost {:.2}", cost.units())?;
        }
        if *failed > 0 {
            write!(f, ", {failed} failed")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(finished: usize, total: usize, seconds: u64, tokens: u64) -> Status {
        let elapsed = Duration::from_secs(seconds);
        let unit = "queries";
        let (failed, replayed, under_way, cost) = (0, 0, 0, None);
        Status {
            finished,
            total,
            unit,
            failed,
            workers: None,
            replayed,
            elapsed,
            calls: 7,
            under_way,
            tokens,
            cost,
        }
    }

    #[test]
    fn rate_time_left_tokens_and_cost_are_shown() {
        for (status, words) in [
            (status(0, 8, 3, 950), "0/8 queries, 7 calls, 950 tokens"),
            (status(4, 8, 20, 45_120), "4/8 queries, 12.0/min, 20 s left, 7 calls, 45k tokens"),
            (status(400, 9000, 20, 0), "400/9000 queries, 20/s, 7 min left, 7 calls, 0 tokens"),
            (
                status(10, 9000, 600, 25_000_000),
                "10/9000 queries, 1.0/min, 149.8 h left, 7 calls, 25M tokens",
            ),
        ] {
            assert_eq!(status.to_string(), words);
        }
        let resumed = Status { replayed: 4, failed: 1, ..status(6, 8, 60, 0) };
        assert_eq!(
            resumed.to_string(),
            "6/8 queries, 2.0/min, 60 s left, 7 calls, 0 tokens, 1 failed"
        );
        let pairs = Status { unit: "pairs", ..status(1, 2, 60, 0) };
        assert_eq!(pairs.to_string(), "1/2 pairs, 1.0/min, 60 s left, 7 calls, 0 tokens");
        let at_workers = Status { workers: Some(3), ..status(4, 8, 20, 0) };
        assert_eq!(at_workers.to_string(), "4/8 queries, 12.0/min, 20 s left, 3 workers");
        let cost = Some(Money::new(1.5).unwrap());
        assert!(
            Status { cost, ..status(0, 8, 3, 0) }
                .to_string()
                .ends_with("7 calls, 0 tokens, cost 1.50")
        );
    }

    #[test]
    fn lines_are_few_without_a_terminal() {
        let seconds = Duration::from_secs;
        assert!(!is_due(seconds(1), true) && !is_due(seconds(50), false));
        assert!(is_due(seconds(10), true) && is_due(seconds(60), false));
    }

    #[test]
    fn a_bill_needs_the_price_of_each_engine_that_is_used() {
        assert!(Bill::default().total().is_none() && Bill::default().meter("a").is_none());
        let prices = Prices::default().with("a", Price::new(1.0, 2.0).unwrap());
        let bill = Bill::new(Some(prices));
        assert!(bill.meter("openai:a").is_some() && bill.meter("b").is_some());
        assert_eq!(bill.total(), Some(Money::ZERO));
    }
}
