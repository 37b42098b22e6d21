//! `tpo config show`.

use std::ffi::OsStr;
use std::io::{self, Write};

use serde_json::{Number, Value as Json, json};
use tpo::Error;

use super::settings::{Kind, SETTINGS, Setting, tables};
use super::{Sources, secret};

/// What is printed of a value that holds a password.
const HIDDEN: &str = "(hidden)";

/// How the settings are printed.
pub(super) enum Form {
    Table,
    Json,
    Toml,
}

/// A setting as it holds.
struct Row {
    setting: &'static Setting,
    /// As flags take them; none where it is not given and has no default.
    values: Vec<String>,
    source: Source,
}

enum Source {
    Default,
    File(usize),
    Flag,
}

impl Sources {
    pub(super) fn show(&self, form: &Form) -> Result<(), Error> {
        let rows = self.rows()?;
        // It is complete before any of it is printed.
        let text = match form {
            Form::Table => self.table(&rows),
            Form::Json => {
                format!("{:#}\n", Json::Array(rows.iter().map(|r| self.json(r)).collect()))
            }
            Form::Toml => toml(&rows)?,
        };
        let printed = |text: &str| -> io::Result<()> {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        crate::show::printed(printed(&text))
    }

    fn rows(&self) -> Result<Vec<Row>, Error> {
        SETTINGS.iter().map(|setting| self.row(setting)).collect()
    }

    fn row(&self, setting: &'static Setting) -> Result<Row, Error> {
        // To `config show` itself it says how to print.
        let flag = setting.name != "json" && self.is_flag(setting);
        let source = match self.in_file(setting) {
            _ if flag => Source::Flag,
            Some(found) => Source::File(found.line),
            None => Source::Default,
        };
        let values = match (&source, self.in_file(setting)) {
            (Source::File(_), Some(found)) => found.values.clone(),
            (Source::Default, _) if setting.name == "json" => vec!["false".to_owned()],
            _ => {
                let raw = self.matches.get_raw(&setting.id()).into_iter().flatten();
                raw.map(|value| text(setting, value)).collect::<Result<_, _>>()?
            }
        };
        Ok(Row { setting, values, source })
    }

    fn source(&self, row: &Row) -> String {
        match row.source {
            Source::Default => "default".to_owned(),
            Source::File(line) => format!("{}:{line}", self.path.display()),
            Source::Flag => "flag".to_owned(),
        }
    }

    fn table(&self, rows: &[Row]) -> String {
        let shown = |row: &Row| match row.values.as_slice() {
            [] => format!("- ({})", row.setting.unset),
            values if values.iter().any(|value| secret::within(value)) => HIDDEN.to_owned(),
            values => values.join(" | "),
        };
        let mut text = String::new();
        for table in tables() {
            text.push_str(&format!("[{table}]\n"));
            for row in rows.iter().filter(|row| row.setting.table == table) {
                // A value may hold what moves a terminal's cursor.
                let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
                let value: String = shown(row).chars().map(printable).collect();
                let (name, source) = (row.setting.name, self.source(row));
                text.push_str(&format!("  {name:<22} {value:<30} {source}\n"));
            }
        }
        text
    }

    fn json(&self, row: &Row) -> Json {
        let hidden = row.values.iter().any(|value| secret::within(value));
        let mut json = json!({
            "table": row.setting.table,
            "name": row.setting.name,
            "value": if hidden { HIDDEN.into() } else { row.json() },
            "source": match row.source {
                Source::Default => "default",
                Source::File(_) => "file",
                Source::Flag => "flag",
            },
        });
        if let (Source::File(line), Json::Object(fields)) = (&row.source, &mut json) {
            fields.insert("file".to_owned(), self.path.display().to_string().into());
            fields.insert("line".to_owned(), (*line).into());
        }
        json
    }
}

fn text(setting: &Setting, value: &OsStr) -> Result<String, Error> {
    value.to_str().map(str::to_owned).ok_or_else(|| Error::Input {
        source_name: format!("--{}", setting.name),
        reason: format!("expected UTF-8, got {}", value.display()),
    })
}

impl Row {
    fn json(&self) -> Json {
        let number = |text: &String| {
            text.parse::<Number>().map_or_else(|_| text.as_str().into(), Json::Number)
        };
        match (self.setting.kind, self.values.as_slice()) {
            (_, []) => Json::Null,
            (Kind::Texts, values) => values.into(),
            (Kind::Whole | Kind::Number, [value, ..]) => number(value),
            (Kind::Bool, [value, ..]) => (value == "true").into(),
            (Kind::Object, [value, ..]) => {
                serde_json::from_str(value).unwrap_or_else(|_| value.as_str().into())
            }
            (Kind::Text, [value, ..]) => value.as_str().into(),
        }
    }

    fn toml(&self) -> Result<String, Error> {
        let text = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let Some(first) = self.values.first() else { return Ok(String::new()) };
        if self.values.iter().any(|value| secret::within(value)) {
            return Err(Error::Input {
                source_name: format!("--{}", self.setting.name),
                reason: "it holds a password, which does not belong into a file; take it from the environment"
                    .to_owned(),
            });
        }
        Ok(match self.setting.kind {
            Kind::Text => text(first),
            Kind::Bool => first.clone(),
            // What flags take and TOML does not, such as `.5` and `+1`, is written anew.
            Kind::Whole => first.trim_start_matches('+').to_owned(),
            Kind::Number => match first.parse::<f64>() {
                Ok(number) => toml::Value::Float(number).to_string(),
                Err(_) => text(first),
            },
            Kind::Texts => toml::Value::from(self.values.clone()).to_string(),
            Kind::Object => {
                let json = serde_json::from_str::<serde_json::Map<String, Json>>(first).ok();
                // TOML has no null.
                let table = json.and_then(|json| toml::Value::try_from(json).ok());
                table.map_or_else(|| text(first), |table| table.to_string())
            }
        })
    }
}

fn toml(rows: &[Row]) -> Result<String, Error> {
    let mut text = String::new();
    for table in tables() {
        let gap = if text.is_empty() { "" } else { "\n" };
        text.push_str(&format!("{gap}[{table}]\n"));
        for row in rows.iter().filter(|row| row.setting.table == table) {
            let name = row.setting.name;
            text.push_str(&match row.values.is_empty() {
                true => format!("# {name}: {}\n", row.setting.unset),
                false => format!("{name} = {}\n", row.toml()?),
            });
        }
    }
    Ok(text)
}
