//! The `tpo` program.

mod args;
mod bench;
mod compare;
mod config;
mod engines;
mod graph;
mod prompt_data;
mod report;
mod rewards;
mod run;
mod setting;
mod show;
mod stopping;
mod study;
mod verify;

use std::io::{ErrorKind, IsTerminal};
use std::process::ExitCode;

use tpo::Error;
use tracing_subscriber::EnvFilter;

use self::args::Command;

/// Exit codes. 2 is also what a wrong command line gives.
mod exit {
    pub(crate) const RUN_FAILED: u8 = 1;
    pub(crate) const BAD_INPUT: u8 = 2;
    pub(crate) const SOME_QUERIES_FAILED: u8 = 3;
    pub(crate) const INTERRUPTED: u8 = 130;
}

fn main() -> ExitCode {
    let (args, sources) = match config::parse(std::env::args_os().collect()) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("error: {}", tpo::describe(&error));
            return ExitCode::from(exit::BAD_INPUT);
        }
    };
    start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime could not be started: {error}");
            return ExitCode::from(exit::RUN_FAILED);
        }
    };
    let outcome = match args.command {
        Command::Run(run) => runtime.block_on(run::run(*run)),
        Command::Bench(bench) => runtime.block_on(bench::bench(*bench)),
        Command::Study(args) => runtime.block_on(study::study(*args)),
        Command::Report(args) => report::run(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Graph(args) => runtime.block_on(graph::graph(args)),
        Command::Config(args) => runtime.block_on(config::config(*args, &sources)),
    };
    match outcome {
        Ok(code) => code,
        // Whoever reads the output has seen enough, as in `tpo run | head`.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", tpo::describe(&error));
            if let Some(origin) = sources.origin(&error) {
                eprintln!("{origin}");
            }
            let bad_input = matches!(
                error,
                Error::Config { .. }
                    | Error::Setup { .. }
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
            );
            ExitCode::from(if bad_input { exit::BAD_INPUT } else { exit::RUN_FAILED })
        }
    }
}

fn start_logging() {
    let wanted = std::env::var("TPO_LOG").unwrap_or_else(|_| "warn".to_owned());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
        eprintln!("warning: TPO_LOG is not understood, so warnings are logged: {error}");
        EnvFilter::new("warn")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
