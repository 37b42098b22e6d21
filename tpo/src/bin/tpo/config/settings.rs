//! Settings from flags, a file and defaults, with the source of each.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{ArgMatches, Command};
use textgrad_ops::util::terminal::is_shell_word;
use tpo::Error;

use super::file;
use super::options::{self, CommandKind, OptionSpec};
use super::secret;

/// A setting from a file.
#[derive(Debug, Clone)]
pub(super) struct FileValue {
    pub(super) line: usize,
    /// The values as flags take them.
    pub(super) values: Vec<OsString>,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(usize),
    Flag,
}

/// The settings of a run: a flag overrides the file, and the file overrides the default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    file_path: Option<PathBuf>,
    flags: BTreeMap<&'static str, Vec<OsString>>,
    file: BTreeMap<&'static str, FileValue>,
    for_study: bool,
}

/// The flags of settings. For a study, those that it varies are lists; runs and servers each have some of their own.
#[derive(Debug)]
pub(crate) struct Flags<const STUDY: bool, const RUN: bool = true, const SERVE: bool = false>(
    pub(crate) Settings,
);

impl<const STUDY: bool, const RUN: bool, const SERVE: bool> Flags<STUDY, RUN, SERVE> {
    const COMMANDS: &[CommandKind] = match (RUN, SERVE) {
        (true, false) => &[CommandKind::Run],
        (false, true) => &[CommandKind::Serve],
        _ => &[CommandKind::Run, CommandKind::Serve],
    };
}

impl Settings {
    /// Reads the file that `--config` names.
    pub(crate) fn read_file(&mut self) -> Result<(), Error> {
        if let Some(path) = &self.file_path {
            self.file = file::read(path)?;
        }
        Ok(())
    }

    /// These settings, with a value for one that was not given.
    pub(crate) fn or_default(mut self, name: &'static str, value: &str) -> Self {
        if self.is_default(name) {
            self.flags.insert(name, vec![value.into()]);
        }
        self
    }

    /// Removes a flag. Returns whether it was given.
    pub(super) fn take_flag(&mut self, name: &str) -> bool {
        self.flags.remove(name).is_some()
    }

    /// The values of a setting as flags take them, and their source. Empty if it is unset.
    pub(super) fn get(&self, option: &'static OptionSpec) -> (Vec<&OsStr>, Source) {
        let (mut values, source) = self.given(option);
        if !(self.for_study && option.study.is_some()) {
            values.retain(|value| !option.is_none(value));
        }
        (values, source)
    }

    /// The values as they were given, `none` included.
    fn given(&self, option: &'static OptionSpec) -> (Vec<&OsStr>, Source) {
        if let Some(values) = self.flags.get(option.name.as_str()) {
            return (values.iter().map(OsString::as_os_str).collect(), Source::Flag);
        }
        if let Some(found) = self.file.get(option.name.as_str()) {
            let values = found.values.iter().map(OsString::as_os_str).collect();
            return (values, Source::File(found.line));
        }
        let values = match &option.study {
            Some(list) if self.for_study => list.default.iter().map(OsStr::new).collect(),
            _ => option.default.iter().map(OsStr::new).collect(),
        };
        (values, Source::Default)
    }

    pub(super) fn file_path(&self) -> &Path {
        self.file_path.as_deref().unwrap_or(Path::new(""))
    }

    fn values(&self, name: &str) -> Vec<&OsStr> {
        OptionSpec::named(name).map(|option| self.get(option).0).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.paths(name).next().map(Path::to_owned)
    }

    /// All paths of a setting.
    pub(crate) fn paths(&self, name: &str) -> impl Iterator<Item = &Path> {
        self.values(name).into_iter().map(Path::new)
    }

    /// Whether a setting was taken back with `none`.
    pub(crate) fn is_none(&self, name: &str) -> bool {
        let option = OptionSpec::named(name);
        option.is_some_and(|option| self.given(option).0.iter().any(|value| option.is_none(value)))
    }

    /// Whether a setting was not given.
    pub(crate) fn is_default(&self, name: &str) -> bool {
        OptionSpec::named(name).is_some_and(|option| self.given(option).1 == Source::Default)
    }

    /// The flags of some tables, and the file, as they are typed in a shell. Those that hold a secret are left out.
    pub(crate) fn typed(&self, tables: &[&str]) -> String {
        let quoted = |value: &OsStr| {
            let value = value.to_string_lossy();
            let has_secret = secret::within(&value);
            let text = match is_shell_word(&value) {
                true => value.into_owned(),
                false => format!("'{}'", value.replace('\'', r"'\''")),
            };
            (!has_secret).then_some(text)
        };
        let mut typed = String::new();
        let file = self.file_path.iter().map(|path| ("config", path.as_os_str()));
        let options = OptionSpec::all().filter(|option| tables.contains(&option.table()));
        let flags = options.filter_map(|option| self.flags.get_key_value(option.name.as_str()));
        let flags = flags.flat_map(|(name, values)| values.iter().map(|value| (*name, &**value)));
        for (name, value) in file.chain(flags) {
            if let Some(value) = quoted(value) {
                typed.push_str(&format!(" --{name}={value}"));
            }
        }
        typed
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.values(name).first().is_some_and(|value| *value == "true")
    }

    /// All values of a setting.
    pub(crate) fn list<T: FromStr>(&self, name: &'static str) -> Result<Vec<T>, Error> {
        let parsed = |value: &OsStr| {
            let kind = OptionSpec::named(name).map(|option| &option.kind);
            let expected = kind.map_or("a value", |kind| kind.expected());
            let parsed = value.to_str().and_then(|text| text.parse().ok());
            parsed.ok_or_else(|| Error::config(name, expected, value.display().to_string()))
        };
        self.values(name).into_iter().map(parsed).collect()
    }

    /// The value of a setting that may be unset.
    pub(crate) fn get_one<T: FromStr>(&self, name: &'static str) -> Result<Option<T>, Error> {
        Ok(self.list(name)?.into_iter().next())
    }

    /// The value of a setting that has a default.
    pub(crate) fn value<T: FromStr>(&self, name: &'static str) -> Result<T, Error> {
        self.get_one(name)?.ok_or_else(|| Error::config(name, "a value", "nothing"))
    }

    /// Whether a setting was given as a flag.
    #[cfg(feature = "queue")]
    pub(crate) fn is_flag(&self, option: &OptionSpec) -> bool {
        self.flags.contains_key(option.name.as_str())
    }

    /// Where the setting that an error names was set, if that was in a file.
    pub(crate) fn origin(&self, error: &Error) -> Option<String> {
        let option = option_of(error)?;
        let (_, Source::File(line)) = self.get(option) else { return None };
        Some(format!("{} is set in {}:{line}", option.name, self.file_path().display()))
    }
}

/// The setting that an error names.
fn option_of(error: &Error) -> Option<&'static OptionSpec> {
    let Error::Config { setting, .. } = error else { return None };
    OptionSpec::named(&setting.replace('_', "-"))
}

/// The values of flags.
fn given(
    matches: &ArgMatches,
    options: impl Iterator<Item = &'static OptionSpec>,
) -> BTreeMap<&'static str, Vec<OsString>> {
    let given = |option: &'static OptionSpec| {
        let values = matches.get_raw(&option.name)?;
        Some((option.name.as_str(), values.map(OsStr::to_owned).collect()))
    };
    options.filter_map(given).collect()
}

impl<const STUDY: bool, const RUN: bool, const SERVE: bool> clap::FromArgMatches
    for Flags<STUDY, RUN, SERVE>
{
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let file_path = matches.get_one::<PathBuf>("config").cloned();
        let flags = given(matches, OptionSpec::of(Self::COMMANDS));
        Ok(Self(Settings { file_path, flags, file: BTreeMap::new(), for_study: STUDY }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<const STUDY: bool, const RUN: bool, const SERVE: bool> clap::Args
    for Flags<STUDY, RUN, SERVE>
{
    fn augment_args(command: Command) -> Command {
        command.args(options::args(Self::COMMANDS, STUDY))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The flags of a judge's engine, for a command without a run. All need `--judge`.
#[derive(Debug)]
pub(crate) struct JudgeFlags(pub(crate) Settings);

impl clap::FromArgMatches for JudgeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = given(matches, options::of_judge());
        Ok(Self(Settings { flags, ..Settings::default() }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for JudgeFlags {
    fn augment_args(command: Command) -> Command {
        command.args(options::args_of_judge())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
