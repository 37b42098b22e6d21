//! The `textgrad` program.

mod cache;
mod entries;
mod output;
mod units;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use textgrad_ops::engine::preset::{listed, listing, local_servers};
use textgrad_ops::store::{LogError, write_page};
use textgrad_ops::util::terminal::{note, start_logging};

use self::cache::CacheArgs;
use self::output::{FAILED, Failure, print_json};

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
    let _logging = start_logging("TEXTGRAD_LOG", "textgrad", false);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(format_args!("error: the async runtime could not be started: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let outcome = match args.command {
        Command::Cache(args) => runtime.block_on(cache::run(args)),
        Command::Page(args) => page(&args),
        Command::Engines(args) => runtime.block_on(engines(&args)),
        Command::Completions { shell } => output::completions(shell, &mut Args::command()),
    };
    outcome.map_or_else(Failure::report, |()| ExitCode::SUCCESS)
}

#[derive(Debug, clap::Args)]
struct EnginesArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `textgrad engines`.
async fn engines(args: &EnginesArgs) -> Result<(), Failure> {
    let servers = local_servers().await;
    if args.json {
        return print_json(&listed(&servers));
    }
    let mut out = io::stdout().lock();
    write!(out, "{}", listing(&servers))?;
    Ok(out.flush()?)
}

/// The page shows all that the log holds, so it is as confidential as the conversation. It needs no network
/// and no file beside it.
#[derive(Debug, clap::Args)]
struct PageArgs {
    /// The run log, JSON lines as `logged` engines write them.
    #[arg(value_name = "LOG")]
    log: PathBuf,

    /// The page; an older one is replaced once the new one is whole.
    #[arg(short, long = "output", value_name = "FILE")]
    output: PathBuf,
}

/// `textgrad page`.
fn page(args: &PageArgs) -> Result<(), Failure> {
    let PageArgs { log, output } = args;
    let same =
        log.canonicalize().is_ok_and(|log| output.canonicalize().is_ok_and(|out| out == log));
    if same {
        let log = log.display();
        return Err(Failure::input(format!(
            "expected another file for the page than the log {log}"
        )));
    }
    let read = write_page(log, output).map_err(|error| match error {
        LogError::Page { .. } => Failure::work(error),
        error => Failure::input(error),
    })?;
    let mut out = io::stdout().lock();
    let (calls, graphs) = (read.calls().len(), read.graphs().len());
    writeln!(out, "{}: {calls} call(s), {graphs} graph(s)", output.display())?;
    if read.is_torn() {
        writeln!(out, "The last line of the log is not whole and was left out.")?;
    }
    Ok(out.flush()?)
}
