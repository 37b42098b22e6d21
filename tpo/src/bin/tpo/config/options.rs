//! Declaration of settings: flags, file keys, help, JSON schema and documentation derive from it.

use std::ffi::{OsStr, OsString};

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction};
use serde_json::{Map, Value as Json, json};

pub(crate) use super::table::GROUPS;

/// The type of a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ValueKind {
    Text,
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text that this function accepts.
    Parsed(fn(&str) -> Result<(), String>),
    /// A whole number in this range.
    Whole(u64, u64),
    Number,
    Bool,
    /// A list of texts, or one text.
    List,
    /// A list of texts that may begin with a hyphen.
    Arguments,
    /// A table, as JSON.
    Object,
    /// A table, as JSON or as the file of it.
    ObjectOrPath,
}

impl ValueKind {
    /// The type, in words.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Text | Self::Path | Self::Choice(_) | Self::Parsed(_) => "text",
            Self::Whole(..) => "a whole number",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::List | Self::Arguments => "a list of texts",
            Self::Object | Self::ObjectOrPath => "a table",
        }
    }

    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Arguments)
    }

    /// Checks a value as flags take it.
    pub(crate) fn check(self, value: &OsStr) -> Result<(), String> {
        if matches!(self, Self::Path) {
            return if value.is_empty() { Err("expected a path".to_owned()) } else { Ok(()) };
        }
        let text = value.to_str().ok_or("expected UTF-8")?;
        match self {
            Self::Choice(words) if !words.contains(&text) => {
                Err(format!("[possible values: {}]", words.join(", ")))
            }
            Self::Parsed(parse) => parse(text),
            Self::Whole(from, to) => match text.parse::<u64>() {
                Ok(number) if (from..=to).contains(&number) => Ok(()),
                _ if to == u64::MAX => Err(format!("expected a whole number of at least {from}")),
                _ => Err(format!("expected a whole number from {from} to {to}")),
            },
            Self::Number => match text.parse::<f64>() {
                Ok(_) => Ok(()),
                Err(_) => Err("expected a number".to_owned()),
            },
            Self::Bool if !["true", "false"].contains(&text) => {
                Err("[possible values: true, false]".to_owned())
            }
            Self::Object => match serde_json::from_str::<Map<String, Json>>(text) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("expected a JSON object: {error}")),
            },
            _ => Ok(()),
        }
    }

    fn schema(self) -> Json {
        let text = json!({ "type": "string" });
        match self {
            Self::Text | Self::Path | Self::Parsed(_) => text,
            Self::Choice(words) => json!({ "enum": words }),
            Self::Whole(from, _) => json!({ "type": "integer", "minimum": from }),
            Self::Number => json!({ "type": "number" }),
            Self::Bool => json!({ "type": "boolean" }),
            Self::List | Self::Arguments => {
                json!({ "anyOf": [text, { "type": "array", "items": { "type": "string" } }] })
            }
            Self::Object | Self::ObjectOrPath => json!({ "anyOf": [{ "type": "object" }, text] }),
        }
    }
}

/// The default of a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Default {
    /// A value.
    Value(&'static str),
    /// No value; what then holds, in words.
    Unset(&'static str),
}

/// A setting of `tpo study` that takes a list where one run takes a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StudyList {
    pub(crate) flag: &'static str,
    pub(crate) default: &'static [&'static str],
}

/// One setting. Its name is both its flag and its key in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OptionSpec {
    pub(crate) name: &'static str,
    pub(crate) kind: ValueKind,
    pub(crate) value_name: &'static str,
    pub(crate) default: Default,
    /// One sentence.
    help: &'static str,
    /// What `--help` adds to it.
    details: &'static str,
    /// Whether `-h` lists it.
    common: bool,
    /// Whether `none` takes the default back.
    none: bool,
    pub(crate) study: Option<StudyList>,
}

/// Settings under one heading of the help and in one table of a file.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) table: &'static str,
    pub(crate) title: &'static str,
    pub(crate) options: &'static [OptionSpec],
}

/// Declares a setting.
pub(crate) const fn option(
    name: &'static str,
    kind: ValueKind,
    value_name: &'static str,
    default: Default,
) -> OptionSpec {
    let (help, details) = ("", "");
    OptionSpec {
        name,
        kind,
        value_name,
        default,
        help,
        details,
        common: false,
        none: false,
        study: None,
    }
}

impl OptionSpec {
    pub(crate) const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    pub(crate) const fn details(mut self, details: &'static str) -> Self {
        self.details = details;
        self
    }

    /// Accepts `none`: nothing is sent.
    pub(crate) const fn or_none(mut self) -> Self {
        self.none = true;
        self
    }

    pub(crate) const fn common(mut self) -> Self {
        self.common = true;
        self
    }

    pub(crate) const fn study(
        mut self,
        flag: &'static str,
        default: &'static [&'static str],
    ) -> Self {
        self.study = Some(StudyList { flag, default });
        self
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
        self.kind.check(value).map_err(|reason| reason + or_none)
    }

    pub(crate) fn all() -> impl Iterator<Item = &'static Self> {
        GROUPS.iter().flat_map(|group| group.options)
    }

    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        Self::all().find(|option| option.name == name)
    }

    /// The table of a file that it belongs to.
    pub(crate) fn table(&self) -> &'static str {
        let mut groups = GROUPS.iter();
        let group = groups.find(|group| group.options.iter().any(|own| own.name == self.name));
        group.map_or("", |group| group.table)
    }

    /// Help and details.
    fn meaning(&self) -> String {
        let none = if self.none { "none: not sent." } else { "" };
        let parts = [self.help, self.details, none].into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(" ")
    }

    /// The flag. For a study, settings that it varies are lists.
    fn arg(&'static self, heading: &'static str, for_study: bool) -> Arg {
        let kind = self.kind;
        let parser = OsStringValueParser::new()
            .try_map(move |value: OsString| self.check(&value).map(|()| value));
        let mut arg = Arg::new(self.name)
            .long(self.name)
            .help_heading(heading)
            .value_name(self.value_name)
            .value_parser(parser)
            .hide_short_help(!self.common)
            .action(ArgAction::Set);
        arg = match kind {
            ValueKind::Bool => {
                arg.num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            ValueKind::List => arg.action(ArgAction::Append),
            ValueKind::Arguments => arg.action(ArgAction::Append).allow_hyphen_values(true),
            ValueKind::Number => arg.allow_negative_numbers(true),
            _ => arg,
        };
        let mut default = match self.default {
            Default::Value("false") => String::new(),
            Default::Value(words) | Default::Unset(words) => format!(" [default: {words}]"),
        };
        let mut several = "";
        if let Some(list) = self.study.filter(|_| for_study) {
            arg = arg.long(list.flag).alias(self.name).value_delimiter(',');
            default = format!(" [default: {}]", list.default.join(","));
            several = " Several values are separated by commas.";
        }
        let sentence = self.help.trim_end_matches('.');
        arg.help(format!("{sentence}{default}"))
            .long_help(format!("{}{several}{default}", self.meaning()))
    }
}

/// The flags of a run or of a study.
pub(super) fn args(for_study: bool) -> impl Iterator<Item = Arg> {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(clap::value_parser!(std::path::PathBuf))
        .help_heading("Run")
        .help("TOML file of settings; flags override it (see docs/configuration.md)");
    let flags = move |group: &'static Group| {
        group.options.iter().map(move |option| option.arg(group.title, for_study))
    };
    GROUPS.iter().flat_map(flags).chain([config])
}

/// The JSON schema of a file of settings.
pub(crate) fn schema() -> Json {
    let table = |group: &Group| {
        let option = |option: &OptionSpec| {
            let mut schema = option.kind.schema();
            if option.none {
                schema = json!({ "anyOf": [schema, { "const": "none" }] });
            }
            if let Json::Object(fields) = &mut schema {
                fields.insert("description".to_owned(), option.meaning().into());
                if let Default::Value(text) = option.default {
                    let default = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                    fields.insert("default".to_owned(), default);
                }
            }
            (option.name.to_owned(), schema)
        };
        let options: Map<String, Json> = group.options.iter().map(option).collect();
        let schema = json!({
            "type": "object", "title": group.title, "properties": options, "additionalProperties": false,
        });
        (group.table.to_owned(), schema)
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
    for group in GROUPS {
        text.push_str(&format!("\n### {} (`[{}]`)\n\n", group.title, group.table));
        text.push_str("| setting | type | default | meaning |\n|---|---|---|---|\n");
        for option in group.options {
            let default = match option.default {
                Default::Value(value) => format!("`{value}`"),
                Default::Unset(words) => words.to_owned(),
            };
            let (name, kind) = (option.name, option.kind.expected());
            let meaning = option.meaning().replace('|', "\\|");
            text.push_str(&format!("| `{name}` | {kind} | {default} | {meaning} |\n"));
        }
    }
    text
}
