//! What a person sees.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use textgrad_ops::engine::layer::MeterSnapshot;
use tokio::task::JoinHandle;
use tpo::run::{ResultRecord, RunFolder};
use tpo::{Progress, Summary, Tpo};

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Says what is about to be run.
pub(crate) fn heading(tpo: &Tpo, source: &str, queries: usize, out: Option<&Path>, known: usize) {
    let config = tpo.config();
    let [policy, _, _] = tpo.engines();
    eprintln!(
        "{}: {queries} queries from {source}, D={} N={} seed={}, policy {policy}, reward model {}",
        config.mode,
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
        let terminal = std::io::stderr().is_terminal();
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

    pub(crate) fn finish(self) {
        self.ticker.abort();
        self.bar.finish_and_clear();
    }
}

/// The answers of a run that writes no files.
pub(crate) fn answers(records: &[ResultRecord]) {
    for record in records {
        println!("--- {}", record.query);
        match &record.best {
            Some(best) => println!(
                "{}\n(reward {:.2}, from {})\n",
                best.text,
                best.score,
                match best.iteration {
                    0 => "the first sampling".to_owned(),
                    iteration => format!("iteration {iteration}"),
                }
            ),
            None => println!("(no answer)\n"),
        }
    }
}

/// The figures.
pub(crate) fn table(summary: &Summary, sent: &MeterSnapshot, known: usize) {
    let row = |name: &str, value: String| println!("{name:<28} {value:>12}");
    println!("{}", if summary.simulated { "summary (SIMULATION)" } else { "summary" });
    row("queries aligned", summary.succeeded.to_string());
    if summary.failed > 0 {
        row("queries failed", summary.failed.to_string());
    }
    if let (Some(first), Some(best)) = (summary.first_sample, summary.best_of_n) {
        row("mean reward, first sample", format!("{first:.3}"));
        row("  best of first N", format!("{best:.3}"));
        for (iteration, mean) in summary.best_by_iteration.iter().enumerate().skip(1) {
            row(&format!("  best by iteration {iteration}"), format!("{mean:.3}"));
        }
    }
    row("requests answered", summary.usage.requests.to_string());
    row("  sent in this run", sent.requests.to_string());
    row("tokens read", summary.usage.tokens.prompt_tokens.to_string());
    row("tokens written", summary.usage.tokens.completion_tokens.to_string());
    row("answers scored", summary.usage.scored.to_string());
    row("wall time", format!("{:.2} s", summary.wall_s));
    if known == 0 && summary.critical_path_s > 0.0 {
        row("critical path", format!("{:.2} s", summary.critical_path_s));
        row("  wall / critical path", format!("{:.2}", summary.wall_s / summary.critical_path_s));
    }
}

/// The figures for machines.
pub(crate) fn json(summary: &Summary, sent: &MeterSnapshot, results: Option<&Path>) {
    println!("{}", json!({ "summary": summary, "sent": sent, "results": results }));
}

/// How to go on.
pub(crate) fn interrupted(done: usize, total: usize, folder: Option<&RunFolder>) {
    eprintln!("interrupted: {done} of {total} queries are done");
    if let Some(folder) = folder {
        eprintln!(
            "to continue, run the same command with --out {} --resume",
            folder.path().display()
        );
    }
}
