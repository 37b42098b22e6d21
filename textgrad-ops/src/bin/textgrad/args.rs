//! The command line.

use clap::{Parser, Subcommand};

use crate::cache::CacheArgs;
use crate::engines::EnginesArgs;
use crate::page::PageArgs;

/// Tools around automatic differentiation over text.
#[derive(Debug, Parser)]
#[command(name = "textgrad", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at a file of kept answers, or make it smaller.
    Cache(CacheArgs),
    /// Make a page of a run log: its calls and graphs, to be opened in a browser.
    Page(PageArgs),
    /// The model servers that are known by name.
    Engines(EnginesArgs),
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
