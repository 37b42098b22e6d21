//! What a person sees.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use textgrad_ops::layer::MeterSnapshot;
use textgrad_ops::store::DiskCacheStats;
use tokio::task::JoinHandle;
use tpo::run::{ResultRecord, RunFolder};
use tpo::{Error, Progress, Summary, Tpo};

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Below this, in seconds, the calls take so little that comparing the run with them says nothing.
const TELLING: f64 = 0.1;

/// Says what is about to be run.
pub(crate) fn heading(tpo: &Tpo, source: &str, queries: usize, out: Option<&Path>, known: usize) {
    let config = tpo.config();
    let [policy, _, _] = tpo.engines();
    eprintln!(
        "{}: {queries} {} from {source}, D={} N={} seed={}, policy {policy}, reward model {}",
        config.mode,
        if queries == 1 { "query" } else { "queries" },
        config.depth(),
        config.samples,
        config.seed,
        tpo.reward()
    );
    if tpo.is_simulation() {
        eprintln!(
            "SIMULATION: the model or its reward model is simulated; the figures say nothing about real ones"
        );
    }
    if let Some(out) = out {
        eprintln!("run folder: {}", out.display());
    }
    if known > 0 {
        eprintln!("resuming: {known} finished steps are taken from the journal");
    }
}

/// A bar on a terminal, a line now and then otherwise.
pub(crate) struct Bar {
    bar: ProgressBar,
    ticker: JoinHandle<()>,
}

impl Bar {
    pub(crate) fn start(total: usize, progress: Arc<Progress>) -> Self {
        let terminal = io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(total as u64) } else { ProgressBar::hidden() };
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {pos}/{len} queries, {elapsed}, {msg}")
        {
            bar.set_style(style);
        }
        let shown = bar.clone();
        let ticker = tokio::spawn(async move {
            let mut tenth = 0;
            loop {
                tokio::time::sleep(TICK).await;
                let (finished, failed) = (progress.finished(), progress.failed());
                shown.set_position(finished as u64);
                shown.set_message(format!("{failed} failed"));
                let now = finished * 10 / total.max(1);
                if !terminal && now > tenth {
                    tenth = now;
                    eprintln!("{finished}/{total} queries, {failed} failed");
                }
            }
        });
        Self { bar, ticker }
    }

    /// A line that does not tear the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    pub(crate) fn finish(self) {
        self.ticker.abort();
        self.bar.finish_and_clear();
    }
}

/// What a run has to show at its end.
pub(crate) struct Report<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) sent: &'a MeterSnapshot,
    /// What the cache did, where there is one.
    pub(crate) cache: Option<DiskCacheStats>,
    /// Steps that were taken from a journal.
    pub(crate) known: usize,
    pub(crate) interrupted: bool,
    /// The file of results, or else the results themselves.
    pub(crate) results: Result<&'a Path, &'a [ResultRecord]>,
}

impl Report<'_> {
    /// How long the run could not but take, where that can be said: calls that were taken from a journal
    /// took nothing, and calls that take next to nothing say nothing.
    fn critical_path(&self) -> Option<f64> {
        let seconds = self.summary.critical_path_s;
        (self.known == 0 && seconds >= TELLING).then_some(seconds)
    }

    /// For a person.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if let Err(records) = self.results {
            for record in records {
                answer(&mut out, record)?;
            }
        }
        self.table(&mut out)?;
        if let Ok(path) = self.results {
            writeln!(out, "results: {}", path.display())?;
        }
        out.flush()
    }

    fn table(&self, out: &mut impl Write) -> io::Result<()> {
        let summary = self.summary;
        writeln!(out, "{}", if summary.simulated { "summary (SIMULATION)" } else { "summary" })?;
        let mut row = |name: &str, value: String| writeln!(out, "{name:<28} {value:>12}");
        row("queries aligned", summary.succeeded.to_string())?;
        if summary.failed > 0 {
            row("queries failed", summary.failed.to_string())?;
        }
        if let (Some(first), Some(best)) = (summary.first_sample, summary.best_of_n) {
            row("mean reward, first sample", format!("{first:.3}"))?;
            row("  best of first N", format!("{best:.3}"))?;
            for (iteration, mean) in summary.best_by_iteration.iter().enumerate().skip(1) {
                row(&format!("  best by iteration {iteration}"), format!("{mean:.3}"))?;
            }
        }
        if summary.fruitless > 0 {
            let all = summary.iterations;
            row("iterations without answers", format!("{} of {all}", summary.fruitless))?;
        }
        row("requests answered", summary.usage.requests.to_string())?;
        row("  sent in this run", self.sent.requests.to_string())?;
        if let Some(cache) = self.cache {
            row("  from the cache", (cache.hits + cache.shared).to_string())?;
            if cache.failures > 0 {
                row("  cache failures", cache.failures.to_string())?;
            }
        }
        row("tokens read", summary.usage.tokens.prompt_tokens.to_string())?;
        row("tokens written", summary.usage.tokens.completion_tokens.to_string())?;
        row("answers scored", summary.usage.scored.to_string())?;
        row("wall time", format!("{:.2} s", summary.wall_s))?;
        if let Some(seconds) = self.critical_path() {
            row("critical path", format!("{seconds:.2} s"))?;
            row("  wall / critical path", format!("{:.2}", summary.wall_s / seconds))?;
        }
        Ok(())
    }

    /// For machines.
    pub(crate) fn print_json(&self) -> io::Result<()> {
        let report = json!({
            "summary": self.summary,
            "critical_path_s": self.critical_path(),
            "sent": self.sent,
            "cache": self.cache,
            "interrupted": self.interrupted,
            "results": self.results.ok(),
            "answers": self.results.err(),
        });
        let mut out = io::stdout().lock();
        writeln!(out, "{report}")?;
        out.flush()
    }
}

/// What came of printing.
pub(crate) fn printed(outcome: io::Result<()>) -> Result<(), Error> {
    outcome.map_err(Error::io(Path::new("standard output"), "cannot be written"))
}

fn answer(out: &mut impl Write, record: &ResultRecord) -> io::Result<()> {
    writeln!(out, "--- {}", record.query.text())?;
    let Some(best) = &record.best else { return writeln!(out, "(no answer)\n") };
    let from = match best.iteration {
        0 => "the first sampling".to_owned(),
        iteration => format!("iteration {iteration}"),
    };
    let kind = if record.simulated { "simulated reward" } else { "reward" };
    writeln!(out, "{}\n({kind} {:.2}, from {from})\n", best.text, best.score)
}

/// A line on standard output.
pub(crate) fn line(line: std::fmt::Arguments<'_>) -> Result<(), Error> {
    writeln!(io::stdout().lock(), "{line}")
        .map_err(Error::io(Path::new("standard output"), "cannot be written"))
}

/// How to go on.
pub(crate) fn interrupted(done: usize, total: usize, folder: Option<&RunFolder>) {
    eprintln!("interrupted: {done} of {total} queries are done");
    if let Some(folder) = folder {
        go_on(folder);
    }
}

/// With what a run is continued.
pub(crate) fn go_on(folder: &RunFolder) {
    eprintln!("to continue, run the same command with --out {} --resume", folder.path().display());
}
