//! The `textgrad` program.

mod cache;
mod engines;
mod entries;
mod output;
mod page;
mod units;

use std::process::ExitCode;
use textgrad_ops::util::terminal::{note, start_logging};

use clap::{CommandFactory, Parser, Subcommand};

use self::cache::CacheArgs;
use self::engines::EnginesArgs;
use self::output::{FAILED, Failure};
use self::page::PageArgs;

/// Tools around automatic differentiation over text.
#[derive(Debug, Parser)]
#[command(name = "textgrad", version, after_help = AFTER_HELP)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the cached answers of a file, or remove some.
    Cache(CacheArgs),
    /// Make a page of a run log: its calls and graphs, to be opened in a browser.
    Page(PageArgs),
    /// The engines that are known by name, and the model servers of this machine that answer.
    Engines(EnginesArgs),
    /// Print a completion script for a shell.
    ///
    /// As in `textgrad completions bash > ~/.local/share/bash-completion/completions/textgrad`.
    Completions {
        /// bash, elvish, fish, powershell or zsh.
        #[arg(hide_possible_values = true)]
        shell: clap_complete::Shell,
    },
}

const AFTER_HELP: &str = "\
Examples:
  textgrad cache info answers.db
  textgrad page run.jsonl -o run.html
  textgrad engines

Environment:
  TEXTGRAD_LOG    what is logged to standard error, such as info (default: warn)

Exit codes:
  0    done
  1    it failed
  2    wrong command line or input";

fn main() -> ExitCode {
    let args = Args::parse();
    let _logging = start_logging("TEXTGRAD_LOG", "textgrad");
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(format_args!("error: the async runtime could not be started: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let outcome = match args.command {
        Command::Cache(args) => runtime.block_on(cache::run(args)),
        Command::Page(args) => page::run(&args),
        Command::Engines(args) => runtime.block_on(engines::run(&args)),
        Command::Completions { shell } => output::completions(shell, &mut Args::command()),
    };
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}
