//! The `textgrad` program.

mod args;
mod cache;
mod engines;
mod failure;
mod page;
mod screen;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use self::args::{Args, Command};
use self::failure::{Failure, exit};

fn main() -> ExitCode {
    let args = Args::parse();
    start_logging();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime could not be started: {error}");
            return ExitCode::from(exit::FAILED);
        }
    };
    let outcome = match args.command {
        Command::Cache(args) => runtime.block_on(cache::run(args)),
        Command::Page(args) => page::run(&args),
        Command::Engines(args) => engines::run(&args),
    };
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

fn start_logging() {
    let wanted = std::env::var("TEXTGRAD_LOG").unwrap_or_else(|_| "warn".to_owned());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
        eprintln!("warning: TEXTGRAD_LOG is not understood, so warnings are logged: {error}");
        EnvFilter::new("warn")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
