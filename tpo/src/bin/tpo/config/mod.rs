//! Settings of a run, and `tpo config`.

mod file;
mod options;
mod secret;
mod settings;
mod table;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value as Json, json};
use tpo::Error;

use self::options::{Default, GROUPS, OptionSpec, ValueKind};
use self::settings::Source;
pub(crate) use self::settings::{Flags, Settings, option_of};
use crate::context;
use crate::output::print;

/// Show the settings of a run, or the JSON schema of their file.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective settings of a run with these flags, and where each comes from.
    ///
    /// Nothing is run. --json prints them as JSON.
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
    settings: Flags<false>,
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
        print(&format!("{:#}\n", options::schema()))?;
        return Ok(ExitCode::SUCCESS);
    };
    let ShowArgs { toml, settings: Flags(mut settings) } = *show;
    // To this command, the flag is the format of its own output.
    let form = match (toml, settings.take_flag("json")) {
        (true, true) => {
            let (expected, got) = ("one of --toml and --json", "both".to_owned());
            return Err(Error::Config { setting: "toml", expected, got });
        }
        (true, false) => Form::Toml,
        (false, true) => Form::Json,
        (false, false) => Form::Table,
    };
    print(&settings.show(&form)?)?;
    // Settings that cannot be run are shown too.
    context::search(&settings).await?.validate()?;
    Ok(ExitCode::SUCCESS)
}

/// Printed in place of a value that holds a password.
const HIDDEN: &str = "(hidden)";

/// The format of the output.
enum Form {
    Table,
    Json,
    Toml,
}

/// An effective setting.
struct Row {
    table: &'static str,
    option: &'static OptionSpec,
    /// As flags take them; empty if unset.
    values: Vec<String>,
    source: Source,
    has_secret: bool,
}

impl Settings {
    fn show(&self, form: &Form) -> Result<String, Error> {
        let mut rows = Vec::new();
        for group in GROUPS {
            for option in group.options {
                let (values, source) = self.get(option);
                let text = |value: &std::ffi::OsStr| {
                    value.to_str().map(str::to_owned).ok_or_else(|| Error::Input {
                        source_name: format!("--{}", option.name),
                        reason: format!("expected UTF-8, got {}", value.display()),
                    })
                };
                let values: Vec<String> = values.into_iter().map(text).collect::<Result<_, _>>()?;
                let has_secret = values.iter().any(|value| secret::within(value));
                rows.push(Row { table: group.table, option, values, source, has_secret });
            }
        }
        Ok(match form {
            Form::Table => self.table(&rows),
            Form::Json => {
                format!("{:#}\n", Json::Array(rows.iter().map(|row| self.json(row)).collect()))
            }
            Form::Toml => toml(&rows)?,
        })
    }

    fn table(&self, rows: &[Row]) -> String {
        let (mut text, mut table) = (String::new(), "");
        for row in rows {
            if row.table != table {
                table = row.table;
                text.push_str(&format!("[{table}]\n"));
            }
            let value = match row.values.as_slice() {
                [] => format!("- ({})", row.unset()),
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
            text.push_str(&format!("  {:<27} {value:<30} {source}\n", row.option.name));
        }
        text
    }

    fn json(&self, row: &Row) -> Json {
        let (source, line) = match row.source {
            Source::Default => ("default", None),
            Source::File(line) => ("file", Some(line)),
            Source::Flag => ("flag", None),
        };
        let value = if row.has_secret { HIDDEN.into() } else { row.json() };
        let mut json = json!({
            "table": row.table, "name": row.option.name, "value": value, "source": source,
        });
        if let (Some(line), Json::Object(fields)) = (line, &mut json) {
            fields.insert("file".to_owned(), self.file_path().display().to_string().into());
            fields.insert("line".to_owned(), line.into());
        }
        json
    }
}

impl Row {
    fn unset(&self) -> &'static str {
        match self.option.default {
            Default::Unset(words) | Default::Value(words) => words,
        }
    }

    fn json(&self) -> Json {
        let Some(first) = self.values.first() else { return Json::Null };
        let text = || first.as_str().into();
        match self.option.kind {
            kind if kind.is_list() => self.values.as_slice().into(),
            ValueKind::Whole(..) => first.parse::<u64>().map_or_else(|_| text(), Json::from),
            ValueKind::Number => first.parse::<f64>().map_or_else(|_| text(), Json::from),
            ValueKind::Bool => (first == "true").into(),
            ValueKind::Object | ValueKind::ObjectOrPath => {
                serde_json::from_str(first).unwrap_or_else(|_| text())
            }
            _ => text(),
        }
    }

    fn toml(&self) -> Result<String, Error> {
        if self.has_secret {
            return Err(Error::Input {
                source_name: format!("--{}", self.option.name),
                reason: "it holds a password, which does not belong into a file; take it from the environment"
                    .to_owned(),
            });
        }
        let json = self.json();
        Ok(match (toml::Value::try_from(&json), self.values.first()) {
            (Ok(value), _) => value.to_string(),
            // TOML has no null. Numbers beyond those of its library are numbers all the same.
            (Err(_), Some(text)) if !json.is_number() => {
                toml::Value::from(text.as_str()).to_string()
            }
            (Err(_), _) => json.to_string(),
        })
    }
}

fn toml(rows: &[Row]) -> Result<String, Error> {
    let (mut text, mut table) = (String::new(), "");
    for row in rows {
        if row.table != table {
            let gap = if table.is_empty() { "" } else { "\n" };
            table = row.table;
            text.push_str(&format!("{gap}[{table}]\n"));
        }
        let name = row.option.name;
        text.push_str(&match row.values.is_empty() {
            true => format!("# {name}: {}\n", row.unset()),
            false => format!("{name} = {}\n", row.toml()?),
        });
    }
    Ok(text)
}
