//! Hints for mistakes on the command line, and flags as they are typed.

use std::path::Path;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use textgrad_ops::data::DataFormat;

use crate::args::Args;
use crate::suggest;

/// The flag that an error names, as it is typed.
pub(crate) fn flag_of(error: &tpo::Error) -> Option<String> {
    let tpo::Error::Config { setting, .. } = error else { return None };
    let name = setting.replace('_', "-");
    let command = Args::command();
    let nested = command.get_subcommands().flat_map(clap::Command::get_subcommands);
    let commands = command.get_subcommands().chain(nested);
    let is_flag =
        commands.flat_map(clap::Command::get_arguments).any(|arg| arg.get_long() == Some(&name));
    is_flag.then(|| format!("--{name}"))
}

/// Names that other programs have for a flag or a command, and what to type instead.
const OTHER_NAMES: [(&[&str], &str); 9] = [
    (&["--file", "--input", "--dataset", "--queries", "-f", "-i"], "--data FILE"),
    (&["--output", "--output-dir", "-o"], "--out"),
    (&["-n", "-N", "--n"], "--samples N"),
    (&["-d", "-D", "--depth"], "--iterations D"),
    (&["-m", "--policy"], "--engine PRESET/MODEL"),
    (&["-t", "-T"], "--temperature T"),
    (&["-v", "--verbose", "--debug"], "TPO_LOG=debug tpo COMMAND"),
    (&["-q", "--quiet", "--silent"], "TPO_LOG=off tpo COMMAND 2>/dev/null"),
    (&["resume", "continue"], "tpo run --out DIR --resume"),
];

/// A hint for a file, a directory, a query or a number where a command or a flag is expected.
pub(crate) fn tip(error: &Error) -> Option<String> {
    let kind = match error.kind() {
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        _ => return None,
    };
    let Some(ContextValue::String(got)) = error.get(kind) else { return None };
    if kind == ContextKind::InvalidSubcommand
        && error.get(ContextKind::SuggestedSubcommand).is_none()
    {
        let command = Args::command();
        let names = command.get_subcommands().map(clap::Command::get_name);
        if let Some(near) = suggest::one_edit(got, names) {
            return Some(format!("a similar subcommand exists: '{near}'"));
        }
    }
    let path = Path::new(got);
    if let Some((_, advice)) = OTHER_NAMES.iter().find(|(names, _)| names.contains(&got.as_str())) {
        return Some(format!("use '{advice}'"));
    }
    if got.starts_with('-') {
        let number = got.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        return number
            .then(|| "a value that begins with a hyphen is written --flag=VALUE".to_owned());
    }
    if path.is_dir() {
        return Some(format!("to see the results of a run, use 'tpo report {got}'"));
    }
    if path.is_file() || DataFormat::of_name(got).is_some() {
        return Some(format!("to align the queries of a file, use 'tpo run --data {got}'"));
    }
    let is_query = got.contains(char::is_whitespace);
    is_query.then(|| "to align one query, use 'echo \"QUERY\" | tpo run --data -'".to_owned())
}
