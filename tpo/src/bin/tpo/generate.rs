//! Shell completions and man pages, generated from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use tpo::Error;

use crate::args::Args;
use crate::output::{line, print_data};

/// Print a completion script for a shell.
///
/// As in `tpo completions bash > ~/.local/share/bash-completion/completions/tpo`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// bash, elvish, fish, powershell or zsh.
    #[arg(hide_possible_values = true)]
    shell: Shell,
}

/// Write man pages of all commands to a directory.
///
/// As in `tpo man ~/.local/share/man/man1`.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Directory, which is created if it does not exist.
    #[arg(value_hint = clap::ValueHint::DirPath)]
    dir: PathBuf,
}

/// `tpo completions`.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<ExitCode, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "tpo", &mut script);
    print_data(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// `tpo man`.
pub(crate) fn man(args: &ManArgs) -> Result<ExitCode, Error> {
    let dir = args.dir.as_path();
    std::fs::create_dir_all(dir).map_err(Error::io(dir, "cannot be created"))?;
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(with_usage(command), dir)
        .map_err(Error::io(dir, "cannot be written"))?;
    line(format_args!("man pages: {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A command whose synopsis is its usage: the list of all flags would lack their values, and the options are below it.
fn with_usage(mut command: Command) -> Command {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim_start().to_owned();
    command.mut_subcommands(with_usage).override_usage(usage)
}
