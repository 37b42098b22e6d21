//! Output of `tpo config show`.

use serde_json::{Map, Number, Value as Json, json};
use tpo::Error;

use super::options::{Default, GROUPS, OptionSpec, ValueKind};
use super::secret;
use super::settings::{Settings, Source};

/// Printed in place of a value that holds a password.
const HIDDEN: &str = "(hidden)";

/// The format of the output.
pub(super) enum Form {
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
    pub(super) fn show(&self, form: &Form) -> Result<String, Error> {
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
        match (self.option.kind, self.values.as_slice()) {
            (_, []) => Json::Null,
            (kind, values) if kind.is_list() => values.into(),
            (ValueKind::Whole(..) | ValueKind::Number, [value, ..]) => {
                value.parse::<Number>().map_or_else(|_| value.as_str().into(), Json::Number)
            }
            (ValueKind::Bool, [value, ..]) => (value == "true").into(),
            (ValueKind::Object | ValueKind::ObjectOrPath, [value, ..]) => {
                serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into())
            }
            (_, [value, ..]) => value.as_str().into(),
        }
    }

    fn toml(&self) -> Result<String, Error> {
        let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let Some(first) = self.values.first() else { return Ok(String::new()) };
        if self.has_secret {
            return Err(Error::Input {
                source_name: format!("--{}", self.option.name),
                reason: "it holds a password, which does not belong into a file; take it from the environment"
                    .to_owned(),
            });
        }
        Ok(match self.option.kind {
            ValueKind::Bool => first.clone(),
            // Forms that flags accept and TOML does not, such as `.5` and `+1`.
            ValueKind::Whole(..) => first.trim_start_matches('+').to_owned(),
            ValueKind::Number => match first.parse::<f64>() {
                Ok(number) => toml::Value::Float(number).to_string(),
                Err(_) => text(first),
            },
            kind if kind.is_list() => toml::Value::from(self.values.clone()).to_string(),
            ValueKind::Object | ValueKind::ObjectOrPath => {
                let json = serde_json::from_str::<Map<String, Json>>(first).ok();
                // TOML has no null.
                let table = json.and_then(|json| toml::Value::try_from(json).ok());
                table.map_or_else(|| text(first), |table| table.to_string())
            }
            _ => text(first),
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
