//! `tpo run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use textgrad_ops::store::DiskCache;
use tpo::input::Format;
use tpo::run::{ResultRecord, ResultsWriter, RunConfig, RunFolder};
use tpo::{Batch, CancellationToken, Error, Outcome, Query, Summary, Tpo};

use crate::args::{FormatKind, RunArgs};
use crate::setting::{Setting, prompts};
use crate::{exit, prompt_data, show};

/// The folder is searched for a free name up to this number.
const MAX_RUNS: u32 = 9999;

pub(crate) async fn run(args: RunArgs) -> Result<ExitCode, Error> {
    let (source, queries) =
        prompt_data::read(args.data.as_deref(), format(&args), args.limit).await?;
    let prompts = prompts(&args).await?;
    let setting = Setting::new(&args, prompts).await?;
    let done = align(&args, &setting, &source, queries, |_| {}).await?;

    setting.flush().await;
    let report = show::Report {
        summary: &done.summary,
        sent: &setting.meter.snapshot(),
        cache: setting.cache.as_ref().map(DiskCache::stats),
        known: done.known,
        interrupted: done.interrupted,
        results: done.results.as_deref().ok_or(&done.shown),
    };
    show::printed(if args.json { report.print_json() } else { report.print() })?;
    done.code()
}

/// How the queries are written, if it is said.
pub(crate) fn format(args: &RunArgs) -> Option<Format> {
    args.format.map(|format| match format {
        FormatKind::Json => Format::Json,
        FormatKind::Jsonl => Format::Jsonl,
        FormatKind::Text => Format::Text,
    })
}

/// What came of a run.
pub(crate) struct Done {
    /// The folder, still held against other processes.
    pub(crate) folder: Option<RunFolder>,
    pub(crate) summary: Summary,
    pub(crate) interrupted: bool,
    /// Steps that were taken from a journal.
    known: usize,
    /// The file of results.
    results: Option<PathBuf>,
    /// The results, where no file is written.
    shown: Vec<ResultRecord>,
    total: usize,
    fatal: Option<Error>,
}

impl Done {
    /// The end of a program that has nothing more to do.
    pub(crate) fn code(self) -> Result<ExitCode, Error> {
        let failed = self.summary.failed;
        if let Some(error) = self.fatal {
            // That of a journal says so itself.
            if let (Error::Io { .. }, Some(folder)) = (&error, &self.folder) {
                show::go_on(folder);
            }
            return Err(error);
        }
        if self.interrupted {
            let done = self.summary.succeeded + failed;
            show::interrupted(done, self.total, self.folder.as_ref());
            return Ok(ExitCode::from(exit::INTERRUPTED));
        }
        Ok(ExitCode::from(if failed > 0 { exit::SOME_QUERIES_FAILED } else { 0 }))
    }

    /// Whether all queries were taken to their end, be it a failure.
    pub(crate) fn is_complete(&self) -> bool {
        self.fatal.is_none() && !self.interrupted
    }
}

/// Searches the queries, into a folder where there is one; `seen` is given every record, in their order.
pub(crate) async fn align(
    args: &RunArgs,
    setting: &Setting,
    source: &str,
    queries: Vec<Query>,
    seen: impl FnMut(&ResultRecord),
) -> Result<Done, Error> {
    let Setting { tpo, stop, .. } = setting;
    let config = RunConfig::new(tpo, source, &queries);
    let folder = open(args, &config, &queries).await?;
    let known = folder.as_ref().map_or(0, |folder| folder.journal().known_steps());
    show::heading(tpo, source, queries.len(), folder.as_ref().map(RunFolder::path), known);
    search(args, stop, tpo, folder, queries, seen).await
}

/// Searches the queries into a folder that is open.
pub(crate) async fn search(
    args: &RunArgs,
    stop: &CancellationToken,
    tpo: &Tpo,
    folder: Option<RunFolder>,
    queries: Vec<Query>,
    seen: impl FnMut(&ResultRecord),
) -> Result<Done, Error> {
    let known = folder.as_ref().map_or(0, |folder| folder.journal().known_steps());
    let (total, concurrency) = (queries.len(), args.concurrency.get());
    let mut batch = Batch::new(tpo.clone(), queries).concurrency(concurrency).stop(stop.clone());
    let mut results = None;
    if let Some(folder) = &folder {
        batch = batch.journal(folder.journal().clone());
        results = Some(folder.results().await?);
    }

    let begun = Instant::now();
    let bar = show::Bar::start(total, batch.progress());
    let mut gathered = Gathered::new(tpo.is_simulation(), results, bar, seen);
    let interrupted = gather(&mut batch, stop, &mut gathered).await;
    gathered.bar.finish();
    let summary = gathered.summary.finish(begun.elapsed(), concurrency);
    let (shown, mut fatal) = (gathered.shown, gathered.fatal);
    let mut results = None;
    if let Some(writer) = gathered.results {
        match writer.finish().await {
            Ok(path) => results = Some(path),
            Err(error) => _ = fatal.get_or_insert(error),
        }
    }
    Ok(Done { folder, summary, interrupted, known, results, shown, total, fatal })
}

async fn open(
    args: &RunArgs,
    config: &RunConfig,
    queries: &[Query],
) -> Result<Option<RunFolder>, Error> {
    match (&args.out, &args.data) {
        (Some(out), _) if args.extend => Ok(Some(RunFolder::extend(out, config, queries).await?)),
        (Some(out), _) if args.resume => Ok(Some(RunFolder::resume(out, config).await?)),
        (Some(out), _) => Ok(Some(RunFolder::create(out, config).await?)),
        (None, Some(data)) => {
            for number in 1..=MAX_RUNS {
                match RunFolder::create(&default_folder(data, args, number), config).await {
                    Err(Error::RunExists { .. }) => {}
                    other => return other.map(Some),
                }
            }
            Err(Error::RunExists { path: default_folder(data, args, MAX_RUNS) })
        }
        (None, None) => Ok(None),
    }
}

fn default_folder(data: &Path, args: &RunArgs, number: u32) -> PathBuf {
    let stem = data.file_stem().unwrap_or_default().to_string_lossy();
    let stem = if stem == "-" { "stdin".into() } else { stem };
    Path::new("runs").join(format!("{stem}-{}-{number:03}", args.mode))
}

/// What is kept of the outcomes.
struct Gathered<F> {
    summary: Summary,
    simulated: bool,
    results: Option<ResultsWriter>,
    /// Outcomes to be shown at the end, where no results are written.
    shown: Vec<ResultRecord>,
    fatal: Option<Error>,
    bar: show::Bar,
    seen: F,
}

impl<F: FnMut(&ResultRecord)> Gathered<F> {
    fn new(simulated: bool, results: Option<ResultsWriter>, bar: show::Bar, seen: F) -> Self {
        let summary = Summary::new(simulated);
        Self { summary, simulated, results, shown: Vec::new(), fatal: None, bar, seen }
    }

    async fn take(&mut self, outcome: Outcome, stop: &CancellationToken) {
        match outcome.result {
            Err(failure) if matches!(failure.error, Error::Stopped) => return,
            Err(failure) if matches!(failure.error, Error::JournalWrite { .. }) => {
                stop.cancel();
                self.fatal.get_or_insert(failure.error);
                return;
            }
            _ => {}
        }
        self.summary.add(&outcome);
        let record = ResultRecord::new(&outcome, self.simulated);
        if let Some(error) = &record.error {
            self.bar.say(&format!("query {} failed: {}", outcome.index, error.message));
        }
        (self.seen)(&record);
        match self.results.take() {
            Some(mut results) => match results.write(&record).await {
                Ok(()) => self.results = Some(results),
                // Calls that are under way are paid for: they are let finish, and the journal has them.
                Err(error) => {
                    stop.cancel();
                    self.fatal.get_or_insert(error);
                }
            },
            None if self.fatal.is_none() => self.shown.push(record),
            None => {}
        }
    }
}

/// Takes outcomes until there are no more, or until a second Ctrl-C. Says whether it was interrupted.
async fn gather(
    batch: &mut Batch,
    stop: &CancellationToken,
    gathered: &mut Gathered<impl FnMut(&ResultRecord)>,
) -> bool {
    let mut interrupted = false;
    // One listener for the whole run: a signal that comes while an outcome is written is not missed.
    let mut signal = Box::pin(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            outcome = batch.next() => match outcome {
                Some(outcome) => gathered.take(outcome, stop).await,
                None => return interrupted,
            },
            heard = &mut signal => {
                if heard.is_err() || interrupted {
                    return true;
                }
                interrupted = true;
                signal.set(tokio::signal::ctrl_c());
                stop.cancel();
                gathered.bar.say(
                    "stopping: waiting for the calls that are under way (Ctrl-C again to drop them)",
                );
            }
        }
    }
}
