//! Declaration of settings in `table.toml`: flags, file keys, help, JSON schema and documentation derive from it.

use std::ffi::{OsStr, OsString};
use std::sync::LazyLock;

use clap::builder::{
    OsStringValueParser, PossibleValue, TypedValueParser, UnknownArgumentValueParser,
};
use clap::{Arg, ArgAction, Command, ValueHint};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::kind::{Range, ValueKind};

/// Settings of other tables that are a worker's own: its files, and what its servers take.
const OF_WORKERS: [&str; 7] = [
    "prompts",
    "tokenizer",
    "no-seeds",
    "concurrency",
    "no-preflight",
    "max-consecutive-failures",
    "json",
];
/// Tables of settings that a worker takes from its run.
const TABLES_OF_RUNS: [&str; 5] = ["data", "search", "early-stop", "sampling", "run"];

/// Every setting of a run, in the order of help and documentation.
pub(crate) static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    // A test reads the table too.
    let table: Option<Table> = toml::from_str(TABLE).ok();
    table.map(|table| table.groups).unwrap_or_default()
});

pub(super) const TABLE: &str = include_str!("table.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    groups: Vec<Group>,
}

/// A setting of `tpo study` that takes a list where one run takes a value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudyList {
    pub(crate) flag: String,
    pub(crate) default: Vec<String>,
}

/// One setting. Its name is both its flag and its key in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptionSpec {
    pub(crate) name: String,
    pub(crate) kind: ValueKind,
    /// The range of a number, where its type has a wider one.
    range: Option<Range>,
    /// What help calls its value.
    value: String,
    pub(crate) default: Option<String>,
    /// What holds without a value, in words.
    #[serde(default = "not_sent")]
    pub(crate) unset: String,
    /// One sentence.
    help: String,
    /// What `--help` adds to it.
    #[serde(default)]
    details: String,
    /// Whether `-h` lists it.
    #[serde(default)]
    common: bool,
    /// Whether `none` takes the default back.
    #[serde(default)]
    none: bool,
    /// Whether a judge's engine has it too, where no run has settings.
    #[serde(default)]
    judge: bool,
    pub(crate) study: Option<StudyList>,
    /// The only kind of command that has it; default: all have it.
    only: Option<CommandKind>,
}

/// Commands by the flags that they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CommandKind {
    /// Those that align queries of files.
    Run,
    /// `tpo serve`.
    Serve,
}

fn not_sent() -> String {
    "not sent".to_owned()
}

/// Settings under one heading of the help and in one table of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) table: String,
    pub(crate) title: String,
    pub(crate) options: Vec<OptionSpec>,
}

impl OptionSpec {
    /// Whether a worker has the setting of its own, and not from its run.
    pub(crate) fn is_of_worker(&self) -> bool {
        OF_WORKERS.contains(&self.name.as_str()) || !TABLES_OF_RUNS.contains(&self.table())
    }

    /// Whether this value takes the default back.
    pub(crate) fn is_none(&self, value: &OsStr) -> bool {
        self.none && value == "none"
    }

    /// Checks a value as flags take it.
    pub(crate) fn check(&self, value: &OsStr) -> Result<(), String> {
        if self.is_none(value) {
            return Ok(());
        }
        let or_none = if self.none { " or none" } else { "" };
        let checked = self.kind.check(value);
        let Some(range) = &self.range else { return checked.map_err(|reason| reason + or_none) };
        let is_whole = self.kind.range().is_some();
        match value.to_str().and_then(|text| text.parse().ok()) {
            Some(number) if range.contains(number) => checked.map_err(|reason| reason + or_none),
            // A range of whole numbers tells what to type for a word, too.
            Some(_) => Err(format!("expected {}{or_none}", range.expected(is_whole))),
            None if is_whole => Err(format!("expected {}{or_none}", range.expected(true))),
            None => checked.map_err(|reason| reason + or_none),
        }
    }

    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        GROUPS.iter().flat_map(|group| &group.options)
    }

    /// The settings that are flags of any of these kinds of commands.
    pub(super) fn of(commands: &[CommandKind]) -> impl Iterator<Item = &'static Self> {
        Self::all().filter(move |option| option.is_of(commands))
    }

    fn is_of(&self, commands: &[CommandKind]) -> bool {
        self.only.is_none_or(|only| commands.contains(&only))
    }

    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|option| option.name == name)
    }

    /// The table of a file that it belongs to.
    pub(crate) fn table(&self) -> &'static str {
        let mut groups = GROUPS.iter();
        let group = groups.find(|group| group.options.iter().any(|own| own.name == self.name));
        group.map_or("", |group| &group.table)
    }

    /// Help and details.
    fn meaning(&self) -> String {
        let none = if self.none { "none: not sent." } else { "" };
        let parts = [&self.help, &self.details, none].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    }

    /// What shells complete its value with.
    fn hint(&self) -> ValueHint {
        match (&self.kind, self.value.as_str()) {
            (ValueKind::Path, "DIR") => ValueHint::DirPath,
            (ValueKind::Path | ValueKind::ObjectOrPath, _) => ValueHint::FilePath,
            _ => ValueHint::Other,
        }
    }

    /// The flag. For a study, settings that it varies are lists.
    fn arg(&'static self, heading: &'static str, for_study: bool) -> Arg {
        // What a study only varies if asked to is not in its short help.
        let varies = |list: &&StudyList| for_study && !list.default.iter().eq(&self.default);
        let is_short = self.common || self.study.as_ref().filter(varies).is_some();
        let mut arg = Arg::new(self.name.as_str())
            .long(self.name.as_str())
            .help_heading(heading)
            .value_name(self.value.as_str())
            .value_parser(CheckedValue { option: self, for_study })
            .value_hint(self.hint())
            .hide_possible_values(true)
            .hide_short_help(!is_short)
            .action(ArgAction::Set);
        arg = match self.kind {
            ValueKind::Bool => {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            ValueKind::List => arg.action(ArgAction::Append),
            ValueKind::Arguments => arg.action(ArgAction::Append).allow_hyphen_values(true),
            // So that the error of -1 names the range.
            ValueKind::Number | ValueKind::U32 | ValueKind::U64 | ValueKind::Positive => {
                arg.allow_negative_numbers(true)
            }
            _ => arg,
        };
        let shown = |words: &String| format!(" [default: {words}]");
        let mut default = self.default.as_ref().filter(|value| *value != "false").map(shown);
        let unset = self.default.is_none().then(|| shown(&self.unset));
        let mut several = "";
        if let Some(list) = self.study.as_ref().filter(|_| for_study) {
            arg = arg.long(list.flag.as_str()).alias(self.name.as_str()).value_delimiter(',');
            default = Some(list.default.join(",")).filter(|words| !words.is_empty());
            default = default.as_ref().map(shown);
            several = " Several values are separated by commas.";
        }
        let sentence = self.help.trim_end_matches('.');
        // Without the words for no value, an option is one line of 80 columns.
        let default = default.unwrap_or_default();
        let unset = unset.unwrap_or_default();
        arg.help(format!("{sentence}{default}"))
            .long_help(format!("{}{several}{default}{unset}", self.meaning()))
    }
}

/// Parses the value of a flag, and names the values that shells complete.
#[derive(Clone)]
struct CheckedValue {
    option: &'static OptionSpec,
    for_study: bool,
}

impl CheckedValue {
    fn check(&self, value: &OsStr) -> Result<(), String> {
        let Err(reason) = self.option.check(value) else { return Ok(()) };
        let list = self.option.study.as_ref().filter(|_| self.for_study);
        let text = value.to_string_lossy();
        let is_several =
            text.contains("..") || text.trim_start_matches('-').contains([' ', ';', ':', '-']);
        Err(match list.filter(|list| is_several && !list.default.is_empty()) {
            Some(list) => format!(
                "{reason}; several are separated by commas, as in --{}={}",
                list.flag,
                list.default.join(",")
            ),
            None => reason,
        })
    }
}

impl TypedValueParser for CheckedValue {
    type Value = OsString;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<OsString, clap::Error> {
        let this = self.clone();
        OsStringValueParser::new()
            .try_map(move |value: OsString| this.check(&value).map(|()| value))
            .parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values: Vec<&str> = match &self.option.kind {
            ValueKind::Choice(words) => words.iter().map(String::as_str).collect(),
            ValueKind::Bool => vec!["true", "false"],
            ValueKind::Mode => tpo::Mode::ALL.iter().map(Into::into).collect(),
            _ => return None,
        };
        Some(Box::new(values.into_iter().map(PossibleValue::new)))
    }
}

/// The flags of kinds of commands; for a study, those that it varies are lists.
pub(super) fn args(commands: &[CommandKind], for_study: bool) -> impl Iterator<Item = Arg> {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .value_hint(ValueHint::FilePath)
        .help_heading("Run")
        .help("TOML file of settings; flags override it");
    // Refused, without its value.
    let key = Arg::new("api-key").long("api-key").value_name("KEY").hide(true).value_parser(
        UnknownArgumentValueParser::suggest(
            "keys are read from the environment, as OPENAI_API_KEY and REWARD_API_KEY are",
        ),
    );
    let flags = move |group: &'static Group| {
        let own = group.options.iter().filter(move |option| option.is_of(commands));
        own.map(move |option| {
            let arg = option.arg(&group.title, for_study);
            // Where commands of several kinds have one help, the short one has what they share.
            if option.only.is_some() && commands.len() > 1 {
                arg.hide_short_help(true)
            } else {
                arg
            }
        })
    };
    GROUPS.iter().flat_map(flags).chain([config, key])
}

/// The settings of a judge's engine, where no run has them.
pub(super) fn of_judge() -> impl Iterator<Item = &'static OptionSpec> {
    OptionSpec::all().filter(|option| option.judge)
}

/// The flags of a judge's engine.
pub(super) fn args_of_judge() -> impl Iterator<Item = Arg> {
    of_judge().map(|option| option.arg("Judge", false).requires("judge"))
}

/// The JSON schema of a file of settings.
pub(crate) fn schema() -> Json {
    let table = |group: &Group| {
        let option = |option: &OptionSpec| {
            let mut schema = option.kind.schema();
            if let (Some(range), Json::Object(fields)) = (&option.range, &mut schema) {
                range.schema(fields);
            }
            if option.none {
                schema = json!({ "anyOf": [schema, { "const": "none" }] });
            }
            if let Json::Object(fields) = &mut schema {
                fields.insert("description".to_owned(), option.meaning().into());
                if let Some(text) = &option.default {
                    let default =
                        serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into());
                    fields.insert("default".to_owned(), default);
                }
            }
            (option.name.clone(), schema)
        };
        let options: Map<String, Json> = group.options.iter().map(option).collect();
        let schema = json!({
            "type": "object", "title": group.title, "properties": options, "additionalProperties": false,
        });
        (group.table.clone(), schema)
    };
    let tables: Map<String, Json> = GROUPS.iter().map(table).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of tpo run", "type": "object", "properties": tables, "additionalProperties": false,
    })
}

/// The tables of docs/configuration.md.
#[cfg(test)]
pub(super) fn document() -> String {
    let mut text = String::new();
    for group in GROUPS.iter() {
        text.push_str(&format!("\n### {} (`[{}]`)\n\n", group.title, group.table));
        text.push_str("| setting | type | default | meaning |\n|---|---|---|---|\n");
        for option in &group.options {
            let default = option.default.as_ref().map(|value| format!("`{value}`"));
            let default = default.unwrap_or_else(|| option.unset.clone());
            let (name, kind) = (&option.name, option.kind.expected());
            let meaning = option.meaning().replace('|', "\\|");
            text.push_str(&format!("| `{name}` | {kind} | {default} | {meaning} |\n"));
        }
    }
    text
}
