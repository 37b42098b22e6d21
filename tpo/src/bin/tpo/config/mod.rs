//! Settings of a run, and `tpo config`.

mod file;
mod kind;
mod options;
pub(crate) mod secret;
mod settings;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Number, Value as Json, json};
use tpo::Error;

use self::kind::ValueKind;
pub(crate) use self::kind::parsed;
pub(crate) use self::options::OptionSpec;
use self::options::{GROUPS, Group};
use self::settings::Source;
pub(crate) use self::settings::{Flags, JudgeFlags, Settings};
use crate::context;
use crate::output::print_data;

/// Show the settings of a run or a server, or the JSON schema of their file.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective settings, and where each comes from.
    ///
    /// Flags are those of `tpo run` and `tpo serve`. Nothing is run. --json prints them as JSON.
    Show(Box<ShowArgs>),
    /// Print the JSON schema of the file of --config, for editors and validators.
    Schema,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Print a file for --config with these settings.
    #[arg(long)]
    toml: bool,

    #[command(flatten)]
    settings: Flags<false, true, true>,
}

impl ConfigArgs {
    pub(crate) fn settings(&mut self) -> Option<&mut Settings> {
        match &mut self.command {
            ConfigCommand::Show(show) => Some(&mut show.settings.0),
            ConfigCommand::Schema => None,
        }
    }
}

/// `tpo config`.
pub(crate) async fn config(args: ConfigArgs) -> Result<ExitCode, Error> {
    let ConfigCommand::Show(show) = args.command else {
        print_data(format_args!("{:#}", options::schema()))?;
        return Ok(ExitCode::SUCCESS);
    };
    let ShowArgs { toml, settings: Flags(mut settings) } = *show;
    // To this command, the flag is the format of its own output.
    let text = match (toml, settings.take_flag("json")) {
        (true, true) => {
            return Err(Error::config("toml", "one of --toml and --json", "both"));
        }
        (true, false) => settings.lines("\n", Row::toml)?,
        (false, true) => {
            let rows = OptionSpec::all().map(|option| Ok(settings.json(&settings.row(option)?)));
            format!("{:#}\n", Json::Array(rows.collect::<Result<_, Error>>()?))
        }
        (false, false) => settings.lines("", |row| Ok(settings.line(row)))?,
    };
    print_data(text.trim_end_matches('\n'))?;
    // Settings that cannot be run are shown too.
    context::search(&settings).await?.validate()?;
    Ok(ExitCode::SUCCESS)
}

/// Printed in place of a value that holds a password.
const HIDDEN: &str = "(hidden)";

/// An effective setting.
struct Row {
    option: &'static OptionSpec,
    /// As flags take them; empty if unset.
    values: Vec<String>,
    source: Source,
    has_secret: bool,
}

impl Settings {
    fn row(&self, option: &'static OptionSpec) -> Result<Row, Error> {
        let (values, source) = self.get(option);
        let text = |value: &OsStr| {
            value.to_str().map(str::to_owned).ok_or_else(|| {
                Error::input(
                    format!("--{}", option.name),
                    format!("expected UTF-8, got {}", value.display()),
                )
            })
        };
        let values: Vec<String> = values.into_iter().map(text).collect::<Result<_, _>>()?;
        let has_secret = values.iter().any(|value| secret::within(value));
        Ok(Row { option, values, source, has_secret })
    }

    /// The settings by table, each as `line` writes it.
    fn lines(
        &self,
        gap: &str,
        line: impl Fn(&Row) -> Result<String, Error>,
    ) -> Result<String, Error> {
        let table = |group: &'static Group| {
            let mut text = format!("[{}]\n", group.table);
            for option in &group.options {
                text.push_str(&line(&self.row(option)?)?);
            }
            Ok(text)
        };
        let tables: Vec<String> = GROUPS.iter().map(table).collect::<Result<_, Error>>()?;
        Ok(tables.join(gap))
    }

    fn line(&self, row: &Row) -> String {
        let value = match row.values.as_slice() {
            [] => format!("- ({})", row.option.unset),
            _ if row.has_secret => HIDDEN.to_owned(),
            values => values.join(" | "),
        };
        // Control characters could move the cursor of a terminal.
        let value = value.replace(char::is_control, "\u{fffd}");
        let source = match row.source {
            Source::Default => "default".to_owned(),
            Source::File(line) => format!("{}:{line}", self.file_path().display()),
            Source::Flag => "flag".to_owned(),
        };
        format!("  {:<27} {value:<30} {source}\n", row.option.name)
    }

    fn json(&self, row: &Row) -> Json {
        let (source, line) = match row.source {
            Source::Default => ("default", None),
            Source::File(line) => ("file", Some(line)),
            Source::Flag => ("flag", None),
        };
        let value = if row.has_secret { HIDDEN.into() } else { row.json() };
        let (table, name) = (row.option.table(), &row.option.name);
        let mut json = json!({ "table": table, "name": name, "value": value, "source": source });
        if let (Some(line), Json::Object(fields)) = (line, &mut json) {
            fields.insert("file".to_owned(), self.file_path().display().to_string().into());
            fields.insert("line".to_owned(), line.into());
        }
        json
    }
}

impl Row {
    fn json(&self) -> Json {
        let Some(first) = self.values.first() else { return Json::Null };
        let text = || first.as_str().into();
        match &self.option.kind {
            kind if kind.is_list() => self.values.as_slice().into(),
            kind if kind.range().is_some() => {
                first.parse::<u64>().map_or_else(|_| text(), Json::from)
            }
            ValueKind::Number => {
                let whole = first.parse::<i64>().ok().map(Number::from);
                let number = whole.or_else(|| first.parse().ok().and_then(Number::from_f64));
                number.map_or_else(text, Json::Number)
            }
            ValueKind::Bool => (first == "true").into(),
            ValueKind::Object | ValueKind::ObjectOrPath => {
                serde_json::from_str(first).unwrap_or_else(|_| text())
            }
            _ => text(),
        }
    }

    /// The line of a file that sets it; a comment if it is unset.
    fn toml(&self) -> Result<String, Error> {
        let OptionSpec { name, default, unset, .. } = self.option;
        let Some(first) = self.values.first() else {
            return Ok(match default {
                None => format!("# {name}: {unset}\n"),
                Some(_) => format!("{name} = \"none\"\n"),
            });
        };
        if self.has_secret {
            return Err(Error::input(
                format!("--{name}"),
                "it holds a password, which does not belong in a file; take it from the environment",
            ));
        }
        let json = self.json();
        let value = match toml::Value::try_from(&json) {
            Ok(value) => value.to_string(),
            // A number beyond those of the library.
            Err(_) if json.is_number() => json.to_string(),
            // TOML has no null.
            Err(_) => toml::Value::from(first.as_str()).to_string(),
        };
        Ok(format!("{name} = {value}\n"))
    }
}
