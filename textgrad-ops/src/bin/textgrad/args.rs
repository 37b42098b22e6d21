//! The command line.

use clap::{Parser, Subcommand};

use crate::cache::CacheArgs;

/// Tools around automatic differentiation over text.
#[derive(Debug, Parser)]
#[command(version, about, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at a file of kept answers, or make it smaller.
    Cache(CacheArgs),
}

const AFTER_HELP: &str = "\
Environment:
  TEXTGRAD_LOG     what is logged to standard error, such as info or textgrad_ops=debug (default: warn)

Exit codes:
  0    done
  1    it failed
  2    wrong command line or input";
