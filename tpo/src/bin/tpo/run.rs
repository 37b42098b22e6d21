//! `tpo run`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Once;

use textgrad_ops::layer::Breaker;
use textgrad_ops::util::terminal::note;
use tpo::run::{ResultRecord, Run, RunConfig, RunFolder, RunObserver, RunReport, RunStart, Shard};
use tpo::{Error, Mode, Query};

use crate::args::RunArgs;
use crate::cache::Cache;
use crate::config::Settings;
use crate::context::{self, RunContext};
use crate::exit;
use crate::output;
use crate::presets;
use crate::progress::Bar;
use crate::queue::{QueueOptions, queued};

/// The highest number of a new directory under `runs`.
const MAX_RUNS: u32 = 9999;

pub(crate) async fn run(args: &RunArgs) -> Result<ExitCode, Error> {
    let settings = &args.queue.defaults(&args.settings.0);
    let queue = args.queue.options();
    let (source, queries) = context::queries(settings).await?;
    let prompts = context::prompts(settings.path("prompts").as_deref()).await?;
    let context = RunContext::new(settings, prompts).await?;
    note_unused(settings)?;
    if queue.is_none() {
        context.preflight().await?;
    }
    let mut shown = Vec::new();
    let is_built_in = settings.path("data").is_none();
    let keep = |record: &ResultRecord| {
        if is_built_in {
            shown.push(record.clone());
        }
    };
    let report =
        align(&context, &source, queries, Parts { shard: args.shard, queue }, keep).await?;

    context.layers.flush().await;
    let simulated_engine = context.engine.is_simulation();
    let served = match is_built_in && simulated_engine {
        true => presets::served_model(&io::stdout()).await,
        false => None,
    };
    let summary = output::RunSummary {
        report: &report,
        sent: &context.layers.meter.snapshot(),
        cache: context.layers.cache.as_ref().map(Cache::stats),
        cost: context.layers.bill.total(),
        shown,
        simulated_engine,
        served,
    };
    summary.print(settings)?;
    output::report_hint(&report, is_built_in);
    code(report)
}

type IsUsed = fn(Mode) -> bool;

/// Settings that only some modes use, with a hint.
const OF_MODES: [(&str, IsUsed, &str); 4] = [
    ("iterations", |mode| mode != Mode::Bon, "best-of-N has none"),
    (
        "fuse",
        |mode| matches!(mode, Mode::Fuse | Mode::Rsa | Mode::Tsan),
        "fuse, rsa and tsan use it",
    ),
    ("pairs", Mode::has_pairs, "tpo and its ablations use it"),
    ("edits", Mode::has_updates, "tpo, its ablations and feedback-descent use it"),
];

/// Warns of settings that have no effect in the mode of the run.
fn note_unused(settings: &Settings) -> Result<(), Error> {
    let mode: Mode = settings.value("mode")?;
    for (name, is_used, hint) in OF_MODES {
        if !settings.is_default(name) && !is_used(mode) {
            note(format_args!("warning: --{name} has no effect in mode {mode}; {hint}"));
        }
    }
    Ok(())
}

/// The exit code of a run that is the last thing to do.
pub(crate) fn code(report: RunReport) -> Result<ExitCode, Error> {
    let failed = report.summary.failed;
    if let Some(error) = report.error {
        // The error of a journal has this hint itself.
        if let (Error::Io { .. } | Error::ServerFails { .. }, Some(folder)) =
            (&error, &report.folder)
        {
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

/// How a run is divided among machines.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    shard: Option<Shard>,
    queue: Option<QueueOptions>,
}

/// Searches the queries into the directory of the settings; `on_record` is given every record, in order.
pub(crate) async fn align(
    context: &RunContext,
    source: &str,
    queries: Vec<Query>,
    parts: Parts,
    on_record: impl FnMut(&ResultRecord) + Send,
) -> Result<RunReport, Error> {
    let settings = &context.settings;
    let Parts { shard, queue } = parts;
    // Before a directory is made.
    context.tpo.check_queries(&queries)?;
    let mut run = Run::new(context.tpo.clone(), queries.clone()).source(source);
    if let Some(shard) = shard {
        run = run.shard(shard);
    }
    if let Some(queue) = queue {
        run = queued(run, queue);
    }
    let run = match (settings.path("out"), settings.path("data")) {
        (Some(out), _) if settings.flag("extend") => run.extend(out),
        (Some(out), _) if settings.flag("resume") => run.resume(out),
        (Some(out), _) => run.create(out),
        (None, Some(data)) => {
            let config = RunConfig { shard, ..RunConfig::new(&context.tpo, source, &queries) };
            let stem = format!("{}-{}", data_stem(&data), context.tpo.config().mode);
            let new = async |path: PathBuf| RunFolder::create(&path, &config).await;
            run.open(new_folder(&stem, new).await?)
        }
        (None, None) => run,
    };
    execute(context, run, Some(on_record)).await
}

/// Executes a run with a progress bar and the handling of signals. Without `on_record`, no heading is printed.
pub(crate) async fn execute(
    context: &RunContext,
    run: Run,
    on_record: Option<impl FnMut(&ResultRecord) + Send>,
) -> Result<RunReport, Error> {
    let run = run
        .concurrency(context.settings.value("concurrency")?)
        .cancellation(context.layers.cancel.clone())
        .abort(context.abort.clone());
    let bar = &context.bar;
    let warnings = &context.warnings;
    let (breaker, failures) = (&context.layers.breaker, BTreeSet::new());
    let mut observer = Observer { bar, on_record, warnings, breaker, failures, repeated: 0 };
    let report = run.execute(&mut observer).await;
    let repeated = observer.repeated;
    bar.finish();
    if repeated > 0 {
        bar.println(&format!("failed with the errors above: {repeated} more"));
    }
    let mut report = report?;
    if let Some(source) = context.layers.breaker.opened() {
        report.error.get_or_insert(Error::ServerFails { source });
    }
    Ok(report)
}

struct Observer<'a, F> {
    bar: &'a Bar,
    on_record: Option<F>,
    warnings: &'a [Once; 2],
    breaker: &'a Breaker,
    /// The messages of failures, each printed once.
    failures: BTreeSet<String>,
    /// Failures whose message was printed before.
    repeated: usize,
}

impl<F: FnMut(&ResultRecord) + Send> RunObserver for Observer<'_, F> {
    fn started(&mut self, start: &RunStart<'_>) {
        if self.on_record.is_some() {
            output::heading(start);
        }
        self.bar.start(start.queries, &start.progress, start.journaled_steps > 0);
    }

    fn finished(&mut self, record: &ResultRecord) {
        // Once the breaker is open, its error ends the run and says what fails.
        if let Some(error) = record.error.as_ref().filter(|_| self.breaker.opened().is_none()) {
            if self.failures.insert(error.message.clone()) {
                self.bar.println(&format!("query {} failed: {}", record.index, error.message));
            } else {
                self.repeated += 1;
            }
        }
        let [truncated, too_long] = self.warnings;
        if record.trajectory.candidates.iter().any(|answer| answer.truncated) {
            let warning =
                "warning: answers were truncated at --max-tokens; raise it to have whole ones";
            truncated.call_once(|| self.bar.println(warning));
        }
        if record.trajectory.usage.too_long > 0 {
            let warning = "warning: answers that are too long for the reward model were left out; \
                           --reward-truncate has their beginning scored";
            too_long.call_once(|| self.bar.println(warning));
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

/// Creates a new directory under `runs`, numbered behind those that exist.
pub(crate) async fn new_folder<T>(
    stem: &str,
    create: impl AsyncFn(PathBuf) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut exists = PathBuf::new();
    for number in 1..=MAX_RUNS {
        match create(Path::new("runs").join(format!("{stem}-{number:03}"))).await {
            Err(Error::RunExists { path }) => exists = path,
            other => return other,
        }
    }
    Err(Error::RunExists { path: exists })
}
