//! Output for people and machines: heading and summary.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use textgrad_ops::util::terminal::{escape, escape_json, is_shell_word, note};

use serde_json::{Value as Json, json};
use textgrad_ops::layer::{MeterSnapshot, Money};
use textgrad_ops::store::CacheStats;
use tpo::Error;
use tpo::run::{ResultRecord, RunFolder, RunReport, RunStart};

use crate::config::Settings;
use crate::journey::{self, NextCommands};

/// The shortest critical path that is reported: below it, calls take too little time for a comparison.
const MIN_SECONDS: f64 = 0.1;

pub(crate) const SIMULATION: &str =
    "SIMULATION: a model is simulated; the scores say nothing about real models";

/// Printed above the journey of a query through a search in which everything is simulated.
const STOCK_PHRASES: &str = "\
SIMULATION: no language model was called. Answers are stock phrases, and scores
follow fixed rules. They show how TPO works, not how well.
";

/// Prints what is about to run.
pub(crate) fn heading(start: &RunStart<'_>) {
    let (config, queries) = (start.tpo.config(), start.queries);
    let [policy, _, _] = start.tpo.engines();
    let heading = format!(
        "{}: {queries} {} from {}, D={} N={} seed={}, policy {policy}, reward model {}",
        config.mode,
        if queries == 1 { "query" } else { "queries" },
        start.source,
        config.depth(),
        config.samples,
        config.seed,
        start.tpo.reward()
    );
    note(wrap(&heading));
    if start.tpo.is_simulation() {
        note(SIMULATION);
    }
    if let Some(out) = start.folder {
        note(format_args!("run folder: {}", out.display()));
    }
    if start.journaled_steps > 0 {
        note(format_args!("resuming: {} finished steps are in the journal", start.journaled_steps));
    }
}

/// A list in lines of 80 columns, which end behind commas; longer parts stay whole.
fn wrap(list: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for part in list.split_inclusive(", ") {
        let columns = textwrap::core::display_width(part.trim_end());
        if width > 0 && width + columns > 80 {
            lines.truncate(lines.trim_end().len());
            lines.push_str("\n  ");
            width = 2;
        }
        lines.push_str(part);
        width += textwrap::core::display_width(part);
    }
    lines
}

/// The end of a run, as it is printed.
pub(crate) struct RunSummary<'a> {
    pub(crate) report: &'a RunReport,
    pub(crate) sent: &'a MeterSnapshot,
    pub(crate) cache: Option<CacheStats>,
    /// The cost of the requests sent, if all prices are known.
    pub(crate) cost: Option<Money>,
    /// The records of built-in queries, to be shown step by step.
    pub(crate) shown: Vec<ResultRecord>,
    /// Whether the engine is the simulation.
    pub(crate) simulated_engine: bool,
    /// A model that is served on this machine, to be offered.
    pub(crate) served: Option<String>,
}

impl RunSummary<'_> {
    /// The shortest possible duration of the run, in seconds. None where calls came from a journal, which take no
    /// time, or were too short to compare.
    fn critical_path(&self) -> Option<f64> {
        let seconds = self.report.summary.critical_path_s;
        (self.report.journaled_steps == 0 && seconds >= MIN_SECONDS).then_some(seconds)
    }

    /// Prints one JSON object; or one query step by step and a table, for built-in queries; or the answers, if they
    /// are in no file, and the figures.
    pub(crate) fn print(&self, settings: &Settings) -> Result<(), Error> {
        match (settings.flag("json"), settings.flag("raw")) {
            (true, _) => print_data(self.json()),
            (false, true) => write(&self.text()),
            (false, false) if !self.shown.is_empty() => print(&self.journey(settings)),
            (false, false) => print(&self.text()),
        }
    }

    fn journey(&self, settings: &Settings) -> String {
        let summary = &self.report.summary;
        let mark = match (self.simulated_engine, summary.simulated) {
            (true, _) => format!("{STOCK_PHRASES}\n"),
            (false, true) => format!("{SIMULATION}\n\n"),
            (false, false) => String::new(),
        };
        let journey = journey::text(&self.shown, summary);
        let tokens = summary.usage.tokens;
        let mut figures = format!(
            "{} requests, {} prompt and {} completion tokens, {:.1} s",
            summary.usage.requests, tokens.prompt_tokens, tokens.completion_tokens, summary.wall_s
        );
        if summary.fruitless > 0 {
            let (none, all) = (summary.fruitless, summary.iterations);
            figures.push_str(&format!("\n{none} of {all} iterations brought no new answer"));
        }
        if let Some(cost) = self.cost {
            figures.push_str(&format!("\ncost by --prices: {cost}"));
        }
        let results = self.report.results.as_ref();
        let results = results.map(|path| format!("results: {}\n", path.display()));
        let program = program();
        let next = NextCommands {
            program: &program,
            simulated: self.simulated_engine,
            served: self.served.clone(),
            flags: settings.typed(&["engine", "reward"]),
            folder: self.report.folder.as_ref().map(RunFolder::path),
        };
        format!("{mark}{journey}\n{figures}\n{}\n{}", results.unwrap_or_default(), next.text())
    }

    fn text(&self) -> String {
        let summary = &self.report.summary;
        let mut lines: Vec<String> = self.report.records.iter().map(answer).collect();
        lines.push(if summary.simulated { "summary (SIMULATION)" } else { "summary" }.to_owned());
        let mut row = |name: &str, value: String| lines.push(format!("{name:<28} {value:>12}"));
        row("queries aligned", summary.succeeded.to_string());
        if summary.failed > 0 {
            row("queries failed", summary.failed.to_string());
        }
        if summary.unfinished > 0 {
            row("queries unfinished", summary.unfinished.to_string());
        }
        if let (Some(first), Some(best)) = (summary.first_sample, summary.best_of_n) {
            row("mean reward, first sample", format!("{first:.3}"));
            row("  best of first N", format!("{best:.3}"));
            for (iteration, mean) in summary.best_by_iteration.iter().enumerate().skip(1) {
                row(&format!("  best by iteration {iteration}"), format!("{mean:.3}"));
            }
        }
        if summary.fruitless > 0 {
            let all = summary.iterations;
            row("iterations without answers", format!("{} of {all}", summary.fruitless));
        }
        if !summary.suspicious.is_empty() {
            let kinds = summary.suspicious.iter().map(|(kind, count)| format!("{kind} {count}"));
            row("suspicious answers", kinds.collect::<Vec<_>>().join(", "));
        }
        if summary.truncated > 0 {
            row("truncated answers", summary.truncated.to_string());
        }
        row("requests answered", summary.usage.requests.to_string());
        row("  sent in this run", self.sent.requests.to_string());
        if let Some(cache) = self.cache {
            row("  from the cache", (cache.hits + cache.shared).to_string());
            if cache.failures > 0 {
                row("  cache failures", cache.failures.to_string());
            }
        }
        row("prompt tokens", summary.usage.tokens.prompt_tokens.to_string());
        row("completion tokens", summary.usage.tokens.completion_tokens.to_string());
        let sent = self.sent.usage;
        // Calls of searches that were dropped are in no other figure.
        if self.sent.errors > 0 || summary.unfinished > 0 || self.report.cancelled {
            let tokens = sent.prompt_tokens + sent.completion_tokens;
            row("tokens of all sent requests", tokens.to_string());
        }
        if let Some(cost) = self.cost {
            row("cost by --prices", cost.to_string());
        }
        row("answers scored", summary.usage.scored.to_string());
        if summary.usage.too_long > 0 {
            row("  too long for the reward", summary.usage.too_long.to_string());
        }
        if let Some(queue) = &summary.queue {
            row("workers", queue.workers.len().to_string());
            row("  queries redelivered", queue.redelivered.to_string());
            row("  steps asked again", queue.asked_again.to_string());
            row("  queries waited for workers", format!("{:.2} s", queue.waited_s));
        }
        row("wall time", format!("{:.2} s", summary.wall_s));
        if let Some(seconds) = self.critical_path() {
            row("critical path (least time)", format!("{seconds:.2} s"));
            row("  wall / critical path", format!("{:.2}", summary.wall_s / seconds));
        }
        if let Some(path) = &self.report.results {
            lines.push(format!("results: {}", path.display()));
        }
        lines.join("\n") + "\n"
    }

    fn json(&self) -> Json {
        let mut summary = json!({
            "summary": self.report.summary,
            "critical_path_s": self.critical_path(),
            "sent": self.sent,
            "cache": self.cache,
            "interrupted": self.report.cancelled,
            "results": self.report.results,
            "answers": self.report.results.is_none().then_some(&self.report.records),
        });
        if let (Some(cost), Json::Object(fields)) = (self.cost, &mut summary) {
            fields.insert("cost".to_owned(), json!(cost));
        }
        summary
    }
}

/// Prints a text that is complete, with its control characters escaped.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    write(&escape(text))
}

/// Prints JSON or TOML, with control characters escaped as in JSON.
pub(crate) fn print_data(data: impl Display) -> Result<(), Error> {
    write(&escape_json(&format!("{data}\n")))
}

fn write(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    printed.map_err(Error::io(Path::new("standard output"), "cannot be written"))
}

/// Prints a line.
pub(crate) fn line(line: std::fmt::Arguments<'_>) -> Result<(), Error> {
    print(&format!("{line}\n"))
}

/// Refuses a file that exists, as what is to be written without --force. Devices and pipes may be written to.
pub(crate) fn new_file(file: &Path) -> Result<(), Error> {
    match file.is_file() {
        true => {
            let expected = "a file that does not exist yet, or --force to replace it";
            Err(Error::config("out", expected, file.display().to_string()))
        }
        false => Ok(()),
    }
}

/// Refuses a file that exists, unless it is a page that the same command wrote: a page names its generator near its
/// beginning.
pub(crate) fn new_page(file: &Path, generator: &str) -> Result<(), Error> {
    if is_page_of(file, generator) { Ok(()) } else { new_file(file) }
}

/// Whether a file is a page of this generator.
pub(crate) fn is_page_of(file: &Path, generator: &str) -> bool {
    const HEAD_BYTES: u64 = 2048;
    let mut head = Vec::new();
    let is_read =
        File::open(file).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head)).is_ok();
    let mark = format!(r#"<meta name="generator" content="{generator}">"#);
    is_read && String::from_utf8_lossy(&head).contains(&mark)
}

/// The program as it was called, if that can be typed again.
fn program() -> String {
    let called = std::env::args_os().next();
    let called = called.as_deref().map(Path::new).filter(|called| called.is_relative());
    let called = called.and_then(Path::to_str).filter(|called| is_shell_word(called));
    called.unwrap_or("tpo").to_owned()
}

fn answer(record: &ResultRecord) -> String {
    let query = record.query.text();
    let Some(best) = &record.best else { return format!("--- {query}\n(no answer)\n") };
    let from = match best.iteration {
        0 => "the first sampling".to_owned(),
        iteration => format!("iteration {iteration}"),
    };
    let kind = if record.simulated { "simulated reward" } else { "reward" };
    format!("--- {query}\n{}\n({kind} {:.2}, from {from})\n", best.text, best.score)
}

pub(crate) fn interrupted(done: usize, total: usize, folder: Option<&RunFolder>) {
    note(format_args!("interrupted: {done} of {total} queries are done"));
    if let Some(folder) = folder {
        resume_hint(folder);
    }
}

/// Prints the command that shows the results of a run, for people. Built-in queries have hints of their own.
pub(crate) fn report_hint(report: &RunReport, is_built_in: bool) {
    if let Some(folder) = report.folder.as_ref().filter(|_| report.is_complete() && !is_built_in) {
        figures_hint(folder.path());
    }
}

/// Prints the command that shows the runs of a folder, for people.
pub(crate) fn figures_hint(folder: &Path) {
    if io::stderr().is_terminal() {
        note(format_args!("figures and answers: {} report {}", program(), folder.display()));
    }
}

/// Prints the flags that continue a run.
pub(crate) fn resume_hint(folder: &RunFolder) {
    note(format_args!(
        "to continue, run the same command with --out {} --resume",
        folder.path().display()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_in_lines_of_80_columns() {
        let model = "openai:meta-llama/Llama-3.3-70B-Instruct-AWQ-INT4";
        let heading =
            format!("tpo: 2 queries from q.json, D=2, policy {model}, reward model {model}");
        let wrapped = wrap(&heading);
        assert!(wrapped.lines().all(|line| line.len() <= 80), "{wrapped}");
        assert_eq!(wrapped.replace("\n  ", " "), heading);
        let long = "m".repeat(100);
        assert_eq!(wrap(&long), long);
    }
}
