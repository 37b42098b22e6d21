//! `tpo worker`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use textgrad_core::PromptPack;
use textgrad_ops::util::terminal::note;
use tpo::prompts::default_pack;
use tpo::queue::{Worker, WorkerReport};
use tpo::study::StudyPack;
use tpo::{CancellationToken, Error};

use crate::args::WorkerArgs;
use crate::config::{OptionSpec, Settings};
use crate::context::{self, RunContext};
use crate::engines::Layers;
use crate::output::{line, print_data};
use crate::{exit, signals};

/// `tpo worker`.
pub(crate) async fn worker(args: &WorkerArgs) -> Result<ExitCode, Error> {
    let settings = &args.settings.0;
    check(settings)?;
    let layers = Layers::open(settings).await?;
    let (cancel, abort) = (layers.cancel.clone(), CancellationToken::new());
    signals::listen_with(cancel.clone(), abort.clone(), || {
        note("stopping: waiting for running calls to finish (Ctrl-C again to drop them)");
    });
    let patience = Duration::from_secs(args.wait.into());
    let packs = packs(settings).await?;
    let concurrency = settings.value("concurrency")?;
    let mut done = WorkerReport::default();
    note(format_args!("waiting for a run at {}", args.queue));
    let mut worker = Worker::join(&args.queue, patience, &cancel).await?;
    let mut runs = 0_u32;
    loop {
        let (run, first) = (worker.config(), packs.first());
        let pack = packs.iter().find(|(sha256, _)| *sha256 == run.prompts).or(first);
        let prompts = pack.map_or_else(|| Arc::new(default_pack()), |(_, pack)| Arc::clone(pack));
        let search = run.search.clone();
        let context = RunContext::of_search(settings, prompts, layers.clone(), search).await?;
        if runs == 0 {
            context.preflight().await?;
            note(format_args!("worker {}: {concurrency} queries at a time", worker.name()));
        }
        done += worker.work(context.tpo, concurrency, cancel.clone(), abort.clone()).await?;
        runs += 1;
        worker = match worker.next(patience, &cancel).await {
            Ok(Some(next)) => next,
            Ok(None) | Err(Error::Stopped) => break,
            Err(error) => return Err(error),
        };
    }
    layers.flush().await;
    let sent = layers.meter.snapshot();
    match settings.flag("json") {
        true => print_data(serde_json::json!({ "worker": done, "sent": sent }))?,
        false => line(format_args!(
            "{} queries; {} were given to others meanwhile, {} given back; {} requests sent",
            done.queries, done.lost, done.given_back, sent.requests
        ))?,
    }
    if let Some(source) = layers.breaker.opened() {
        return Err(Error::ServerFails { source });
    }
    Ok(ExitCode::from(if cancel.is_cancelled() { exit::INTERRUPTED } else { 0 }))
}

/// The prompt packs by their digests: those of the settings, and the default one, which a study has besides.
async fn packs(settings: &Settings) -> Result<Vec<(String, Arc<PromptPack>)>, Error> {
    let default = ("default".to_owned(), Arc::new(default_pack()));
    let packs = context::packs(settings).await?.into_iter().chain([default]);
    let known = packs.map(|(label, pack)| {
        let known = StudyPack::list([(label.as_str(), &*pack)])?;
        Ok(known.into_iter().map(move |known| (known.sha256().to_owned(), Arc::clone(&pack))))
    });
    Ok(known.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

/// Refuses flags of settings that are those of the run. In a file, which a run may share, they have no effect.
fn check(settings: &Settings) -> Result<(), Error> {
    let mut of_run = OptionSpec::all().filter(|option| !option.is_of_worker());
    match of_run.find(|option| settings.is_flag(option)) {
        None => Ok(()),
        Some(option) => Err(Error::input(
            format!("--{}", option.name),
            "a worker takes this setting from its run; give it to tpo run --queue",
        )),
    }
}
