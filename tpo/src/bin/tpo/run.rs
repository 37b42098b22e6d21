//! `tpo run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use textgrad_ops::store::DiskCache;
use tpo::run::{ResultRecord, Run, RunConfig, RunFolder, RunObserver, RunReport, RunStart};
use tpo::{CancellationToken, Error, Query, Tpo};

use crate::config::Settings;
use crate::context::{RunContext, prompts};
use crate::output::{self, Bar};
use crate::spec::RunSpec;
use crate::{exit, input};

/// The highest number of a new directory under `runs`.
const MAX_RUNS: u32 = 9999;

pub(crate) async fn run(settings: &Settings) -> Result<ExitCode, Error> {
    let spec = RunSpec::new(settings).await?;
    let (source, queries) = input::read(spec.data.as_deref(), spec.format, spec.limit).await?;
    let prompts = prompts(spec.prompts.as_deref()).await?;
    let context = RunContext::new(spec, prompts).await?;
    let report = align(&context, &source, queries, |_| {}).await?;

    context.layers.flush().await;
    let summary = output::RunSummary {
        report: &report,
        sent: &context.layers.meter.snapshot(),
        cache: context.layers.cache.as_ref().map(DiskCache::stats),
    };
    let printed = if context.spec.json { summary.print_json() } else { summary.print() };
    output::printed(printed)?;
    code(report)
}

/// The exit code of a run that is the last thing to do.
pub(crate) fn code(report: RunReport) -> Result<ExitCode, Error> {
    let failed = report.summary.failed;
    if let Some(error) = report.error {
        // The error of a journal has this hint itself.
        if let (Error::Io { .. }, Some(folder)) = (&error, &report.folder) {
            output::resume_hint(folder);
        }
        return Err(error);
    }
    if report.cancelled {
        let done = report.summary.succeeded + failed;
        output::interrupted(done, report.queries, report.folder.as_ref());
        return Ok(ExitCode::from(exit::INTERRUPTED));
    }
    Ok(ExitCode::from(if failed > 0 { exit::SOME_QUERIES_FAILED } else { 0 }))
}

/// Searches the queries into the directory of the settings; `on_record` is given every record, in order.
pub(crate) async fn align(
    context: &RunContext,
    source: &str,
    queries: Vec<Query>,
    on_record: impl FnMut(&ResultRecord),
) -> Result<RunReport, Error> {
    let spec = &context.spec;
    let run = Run::new(context.tpo.clone(), queries.clone()).source(source);
    let run = match (&spec.out, &spec.data) {
        (Some(out), _) if spec.extend => run.extend(out),
        (Some(out), _) if spec.resume => run.resume(out),
        (Some(out), _) => run.create(out),
        (None, Some(data)) => {
            let config = RunConfig::new(&context.tpo, source, &queries);
            let stem = format!("{}-{}", data_stem(data), spec.search.mode);
            run.open(new_folder(&stem, &config).await?)
        }
        (None, None) => run,
    };
    execute(context, run, Some(on_record)).await
}

/// Executes a run with a progress bar and the handling of Ctrl-C. Without `on_record`, no heading is printed.
pub(crate) async fn execute(
    context: &RunContext,
    run: Run,
    on_record: Option<impl FnMut(&ResultRecord)>,
) -> Result<RunReport, Error> {
    let (cancel, abort) = (context.layers.cancel.clone(), CancellationToken::new());
    let run =
        run.concurrency(context.spec.concurrency).cancellation(cancel.clone()).abort(abort.clone());
    let bar = Bar::new();
    let signals = tokio::spawn(signals(cancel, abort, bar.clone()));
    let mut observer = Observer { bar: bar.clone(), on_record };
    let report = run.execute(&mut observer).await;
    signals.abort();
    bar.finish();
    report
}

/// The first Ctrl-C cancels, a second one aborts.
async fn signals(cancel: CancellationToken, abort: CancellationToken, bar: Bar) {
    if tokio::signal::ctrl_c().await.is_ok() {
        cancel.cancel();
        bar.println("stopping: waiting for running calls to finish (Ctrl-C again to drop them)");
        if tokio::signal::ctrl_c().await.is_ok() {
            abort.cancel();
        }
    }
}

struct Observer<F> {
    bar: Bar,
    on_record: Option<F>,
}

impl<F: FnMut(&ResultRecord)> RunObserver for Observer<F> {
    fn started(&mut self, start: &RunStart<'_>) {
        if self.on_record.is_some() {
            output::heading(start);
        }
        self.bar.start(start.queries, &start.progress);
    }

    fn finished(&mut self, record: &ResultRecord) {
        if let Some(error) = &record.error {
            self.bar.println(&format!("query {} failed: {}", record.index, error.message));
        }
        if let Some(on_record) = &mut self.on_record {
            on_record(record);
        }
    }
}

/// The name of a file of queries without its extension.
pub(crate) fn data_stem(data: &Path) -> String {
    let stem = data.file_stem().unwrap_or_default().to_string_lossy();
    if stem == "-" { "stdin".to_owned() } else { stem.into_owned() }
}

/// The paths of new directories under `runs`, in the order in which they are tried.
pub(crate) fn numbered(stem: &str) -> impl Iterator<Item = PathBuf> {
    (1..=MAX_RUNS).map(move |number| Path::new("runs").join(format!("{stem}-{number:03}")))
}

async fn new_folder(stem: &str, config: &RunConfig) -> Result<RunFolder, Error> {
    let mut exists = PathBuf::new();
    for path in numbered(stem) {
        match RunFolder::create(&path, config).await {
            Err(Error::RunExists { path }) => exists = path,
            other => return other,
        }
    }
    Err(Error::RunExists { path: exists })
}

/// A run of `tpo` in a folder that is open.
pub(crate) fn in_folder(tpo: &Tpo, queries: &[Query], folder: RunFolder) -> Run {
    Run::new(tpo.clone(), queries.to_vec()).open(folder)
}
