//! The `tpo` program.

mod args;
mod bench;
mod cache;
mod check;
mod compare;
mod config;
mod context;
mod engines;
mod export;
mod generate;
mod grade;
mod headroom;
mod inspect;
mod journey;
#[cfg(feature = "local")]
mod models;
mod output;
mod preflight;
mod presets;
mod progress;
#[cfg(feature = "queue")]
mod queue;
#[cfg(not(feature = "queue"))]
#[path = "without_queue.rs"]
mod queue;
mod rewards;
mod run;
mod serve;
mod signals;
mod study;
mod suggest;
#[cfg(feature = "queue")]
mod worker;

use std::io::ErrorKind;
use std::process::ExitCode;
use textgrad_ops::util::terminal::{note, start_logging};

use tpo::Error;

use self::args::Command;

/// Searches allocate and free many texts on all threads, and a server gives memory back when it is idle.
#[cfg(all(feature = "jemalloc", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Exit codes. 2 is also that of an invalid command line.
mod exit {
    pub(crate) const RUN_FAILED: u8 = 1;
    pub(crate) const BAD_INPUT: u8 = 2;
    pub(crate) const SOME_QUERIES_FAILED: u8 = 3;
    pub(crate) const INTERRUPTED: u8 = 130;
}

fn main() -> ExitCode {
    let mut command = args::parse().command;
    let mut settings = None;
    if let Some(given) = command.settings() {
        if let Err(error) = given.read_file() {
            note(format_args!("error: {}", tpo::describe(&error)));
            return ExitCode::from(exit::BAD_INPUT);
        }
        settings = Some(given.clone());
    }
    // A server runs for long.
    let has_time = matches!(command, Command::Serve(_));
    let _logging = start_logging("TPO_LOG", "tpo", has_time);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(format_args!("error: the async runtime could not be started: {error}"));
            return ExitCode::from(exit::RUN_FAILED);
        }
    };
    let outcome = match command {
        Command::Run(args) => runtime.block_on(run::run(&args)),
        #[cfg(feature = "queue")]
        Command::Worker(args) => runtime.block_on(worker::worker(&args)),
        #[cfg(not(feature = "queue"))]
        Command::Worker(args) => match args.queue {},
        Command::Bench(bench) => runtime.block_on(bench::bench(*bench)),
        Command::Study(settings) => runtime.block_on(study::study(*settings)),
        Command::Serve(settings) => runtime.block_on(serve::serve(&settings.0)),
        Command::Check(settings) => runtime.block_on(check::check(&settings.0)),
        Command::Headroom(args) => runtime.block_on(headroom::headroom(*args)),
        Command::Engines(args) => runtime.block_on(presets::engines(&args)),
        Command::Report(args) => inspect::report(&args),
        Command::Compare(args) => runtime.block_on(compare::compare(*args)),
        Command::Grade(args) => runtime.block_on(grade::grade(*args)),
        Command::Verify(args) => inspect::verify(&args),
        Command::Graph(args) => runtime.block_on(inspect::graph(args)),
        Command::Export(args) => export::export(&args),
        Command::Merge(args) => export::merge(&args),
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Config(args) => runtime.block_on(config::config(args)),
    };
    match outcome {
        Ok(code) => code,
        // The reader of the output has seen enough, as in `tpo run | head`.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(Error::Stopped) => ExitCode::from(exit::INTERRUPTED),
        Err(error) => {
            // Settings are spelled as their flags.
            match (&error, suggest::flag_of(&error)) {
                (Error::Config { expected, got, .. }, Some(flag)) => {
                    note(format_args!("error: {flag}: expected {expected}, got {got}"));
                }
                _ => note(format_args!("error: {}", tpo::describe(&error))),
            }
            if let Some(origin) = settings.and_then(|settings| settings.origin(&error)) {
                note(origin);
            }
            let bad_input = matches!(
                error,
                Error::Config { .. }
                    | Error::Setup { .. }
                    | Error::Preflight { .. }
                    | Error::Prompt(_)
                    | Error::Tokenizer { .. }
                    | Error::Input { .. }
                    | Error::RunExists { .. }
                    | Error::NoRun { .. }
                    | Error::NoStudy { .. }
                    | Error::RunDiffers { .. }
                    | Error::NotARun { .. }
                    | Error::NoResults { .. }
                    | Error::NoResult { .. }
                    | Error::NotComparable { .. }
                    | Error::Merge { .. }
                    | Error::Queue { .. }
            );
            ExitCode::from(if bad_input { exit::BAD_INPUT } else { exit::RUN_FAILED })
        }
    }
}

/// Runs blocking work beside the runtime. Dropping the future does not stop the work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    textgrad_ops::util::fs::blocking(work).await
}
