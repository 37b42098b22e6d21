//! The `tpo` program.

mod args;
mod engines;
mod prompt_data;
mod run;
mod show;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use self::args::{Args, Command};

/// Exit codes. 2 is also what a wrong command line gives.
mod exit {
    pub(crate) const RUN_FAILED: u8 = 1;
    pub(crate) const BAD_INPUT: u8 = 2;
    pub(crate) const SOME_QUERIES_FAILED: u8 = 3;
    pub(crate) const INTERRUPTED: u8 = 130;
}

fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_env("TPO_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the async runtime could not be started: {error}");
            return ExitCode::from(exit::RUN_FAILED);
        }
    };
    let outcome = match args.command {
        Command::Run(run) => runtime.block_on(run::run(*run)),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", tpo::describe(&error));
            let bad_input = matches!(
                error,
                tpo::Error::Config { .. }
                    | tpo::Error::Setup { .. }
                    | tpo::Error::Prompt(_)
                    | tpo::Error::Input { .. }
                    | tpo::Error::RunExists { .. }
                    | tpo::Error::NoRun { .. }
                    | tpo::Error::RunDiffers { .. }
            );
            ExitCode::from(if bad_input { exit::BAD_INPUT } else { exit::RUN_FAILED })
        }
    }
}
