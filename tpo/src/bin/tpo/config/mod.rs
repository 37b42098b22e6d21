//! Settings from a file, with flags over them, and `tpo config show`.

mod file;
mod secret;
mod settings;
mod show;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Subcommand};
use tpo::Error;

use self::file::FileSetting;
use self::settings::Setting;
use self::show::Form;
use crate::args::{Args, RunArgs};
use crate::study;

/// Look into the settings of a run.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting that a run with these flags would have, and where it comes from.
    ///
    /// Nothing is run. `--json` prints it as JSON.
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Print a file for `--config` that gives these settings.
    #[arg(long)]
    toml: bool,

    #[command(flatten)]
    run: RunArgs,
}

/// Where the settings come from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    path: PathBuf,
    file: Vec<FileSetting>,
    /// Identifiers of the flags that were given.
    flags: Vec<String>,
    /// What the parser of flags found, those of the file among them.
    matches: ArgMatches,
}

/// The command line, completed by the file that it names.
///
/// The file becomes flags that stand before the others, but for those that are given, so that a value of a
/// file is read as a flag is.
pub(crate) fn parse(argv: Vec<OsString>) -> Result<(Args, Sources), Error> {
    let sources = match looked_through(&argv) {
        Some((path, flags, depth)) => {
            let file = match &path {
                Some(path) => file::read(path)?,
                None => Vec::new(),
            };
            let path = path.unwrap_or_default();
            let sources = Sources { path, file, flags, matches: ArgMatches::default() };
            return sources.complete(argv, depth);
        }
        None => Sources::default(),
    };
    let matches = Args::command().get_matches_from(argv);
    Ok((args(&matches), sources))
}

fn args(matches: &ArgMatches) -> Args {
    Args::from_arg_matches(matches).unwrap_or_else(|error| error.exit())
}

/// The file of settings that is named, the flags that are given, and how many words come before them. What is
/// wrong is told later: the file may have what is missing.
fn looked_through(argv: &[OsString]) -> Option<(Option<PathBuf>, Vec<String>, usize)> {
    let matches = Args::command().ignore_errors(true).try_get_matches_from(argv).ok()?;
    let (matches, depth) = leaf(&matches);
    let path = matches.try_get_one::<PathBuf>("config").ok()?.cloned();
    let given =
        |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    // The names of groups of flags are among them; they are no setting's name.
    Some((path, matches.ids().filter(given).map(ToString::to_string).collect(), depth))
}

/// The innermost command, and how many names lead to it.
fn leaf(matches: &ArgMatches) -> (&ArgMatches, usize) {
    let (mut inner, mut depth) = (matches, 0);
    while let Some((_, below)) = inner.subcommand() {
        (inner, depth) = (below, depth + 1);
    }
    (inner, depth)
}

impl Sources {
    fn complete(mut self, mut argv: Vec<OsString>, depth: usize) -> Result<(Args, Sources), Error> {
        self.check(&argv, depth)?;
        let given = self.file.iter().filter(|found| !self.is_flag(found.setting));
        let flags: Vec<OsString> = given.flat_map(FileSetting::flags).collect();
        let place = (1 + depth).min(argv.len());
        argv.splice(place..place, flags);
        let matches = Args::command().get_matches_from(argv);
        let args = args(&matches);
        self.matches = leaf(&matches).0.clone();
        Ok((args, self))
    }

    /// Checks each value of the file by itself, so that the line is known.
    fn check(&self, argv: &[OsString], depth: usize) -> Result<(), Error> {
        let words: Vec<&OsString> = argv.iter().take(1 + depth).collect();
        for found in &self.file {
            let flags = found.flags();
            let line = words.iter().map(|word| (*word).clone()).chain(flags);
            let Err(error) = Args::command().try_get_matches_from(line) else { continue };
            if error.kind() != ErrorKind::MissingRequiredArgument {
                return Err(file::wrong(&self.path, found.line, told(&error)));
            }
        }
        Ok(())
    }

    fn is_flag(&self, setting: &Setting) -> bool {
        let list = study::LISTS.iter().find(|(name, _)| *name == setting.name);
        let given = |id: &str| self.flags.iter().any(|flag| flag == id);
        given(&setting.id()) || list.is_some_and(|(_, list)| given(list))
    }

    fn in_file(&self, setting: &Setting) -> Option<&FileSetting> {
        self.file.iter().find(|found| found.setting.name == setting.name)
    }

    /// Where the setting that an error names was set, if that was in a file.
    pub(crate) fn origin(&self, error: &Error) -> Option<String> {
        let Error::Config { setting, .. } = error else { return None };
        let setting = Setting::named(&setting.replace('_', "-"))?;
        let found = self.in_file(setting).filter(|_| !self.is_flag(setting))?;
        Some(format!("{} is set in {}:{}", setting.name, self.path.display(), found.line))
    }
}

impl FileSetting {
    fn flags(&self) -> Vec<OsString> {
        let name = self.setting.name;
        self.values.iter().map(|value| format!("--{name}={value}").into()).collect()
    }
}

/// What is wrong with a value, without what the program says of flags in general.
fn told(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.split("\n\n").next().unwrap_or(&text);
    let lines = text.trim_start_matches("error: ").lines().map(str::trim);
    lines.collect::<Vec<_>>().join(" ")
}

/// `tpo config`.
pub(crate) async fn config(args: ConfigArgs, sources: &Sources) -> Result<ExitCode, Error> {
    let ConfigCommand::Show(show) = args.command;
    let json = show.run.json && sources.flags.iter().any(|flag| flag == "json");
    sources.show(&match (show.toml, json) {
        (true, true) => {
            let (expected, got) = ("one of --toml and --json", "both".to_owned());
            return Err(Error::Config { setting: "toml", expected, got });
        }
        (true, false) => Form::Toml,
        (false, true) => Form::Json,
        (false, false) => Form::Table,
    })?;
    // What holds is shown even where it cannot be run.
    crate::setting::config(&show.run).await?.validate()?;
    Ok(ExitCode::SUCCESS)
}

/// The flags of a run, for documents and tests.
#[cfg(test)]
fn command() -> clap::Command {
    let args = Args::command();
    args.get_subcommands().find(|command| command.get_name() == "run").cloned().unwrap_or_default()
}
