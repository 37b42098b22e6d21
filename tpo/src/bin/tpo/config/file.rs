//! Reading a file of settings.

use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};
use tpo::Error;

use super::secret;
use super::settings::{Kind, SETTINGS, Setting, tables};

/// Names that are this like an unknown one are offered; 1 is the same.
const NEAR: f64 = 0.75;
/// The most of them.
const OFFERED: usize = 3;

/// A setting as a file has it.
#[derive(Debug)]
pub(crate) struct FileSetting {
    pub(crate) setting: &'static Setting,
    pub(crate) line: usize,
    /// As flags take them.
    pub(crate) values: Vec<String>,
}

/// The settings of a file, in the order of [`SETTINGS`].
pub(super) fn read(path: &Path) -> Result<Vec<FileSetting>, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::Input {
        source_name: path.display().to_string(),
        reason: format!("expected a file of settings, cannot be read: {error}"),
    })?;
    File { path: path.to_owned(), text: &text }.settings()
}

struct File<'a> {
    path: PathBuf,
    text: &'a str,
}

impl File<'_> {
    fn settings(&self) -> Result<Vec<FileSetting>, Error> {
        let parsed = DeTable::parse(self.text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            self.wrong(place, format!("not TOML: {}", error.message().replace('\n', " ")))
        })?;
        let mut found = Vec::new();
        for (key, value) in parsed.get_ref() {
            let table: &str = key.get_ref();
            match value.get_ref() {
                DeValue::Table(fields) if tables().contains(&table) => {
                    for (key, value) in fields {
                        found.push(self.setting(table, key.get_ref(), key.span().start, value)?);
                    }
                }
                _ => return Err(self.unknown_table(table, key.span().start)),
            }
        }
        let place = |found: &FileSetting| {
            SETTINGS.iter().position(|setting| setting.name == found.setting.name)
        };
        found.sort_by_key(place);
        Ok(found)
    }

    fn setting(
        &self,
        table: &str,
        key: &str,
        place: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<FileSetting, Error> {
        let known = Setting::named(key).filter(|setting| setting.table == table);
        let Some(setting) = known else {
            return Err(self.unknown(table, key, place));
        };
        let values = values(setting.kind, value.get_ref()).map_err(|got| {
            let expected = setting.kind.expected();
            self.wrong(value.span().start, format!("{key}: expected {expected}, got {got}"))
        })?;
        if values.iter().any(|value| secret::within(value)) {
            let reason = format!(
                "{key} holds a password or a key; secrets are taken from the environment only, as \
                 OPENAI_API_KEY and REWARD_API_KEY are (see tpo run --help)"
            );
            return Err(self.wrong(place, reason));
        }
        Ok(FileSetting { setting, line: self.line(place), values })
    }

    fn unknown_table(&self, table: &str, place: usize) -> Error {
        if let Some(error) = self.secret("", table, place) {
            return error;
        }
        let known = tables();
        if known.contains(&table) {
            let reason = format!("expected a table [{table}], got a value");
            return self.wrong(place, reason);
        }
        let reason = match Setting::named(table) {
            Some(setting) => format!("{table} belongs into the table [{}]", setting.table),
            None => {
                let names = known.iter().copied().chain(SETTINGS.iter().map(|known| known.name));
                let near = near(table, names, |name| match Setting::named(name) {
                    Some(setting) if !known.contains(&name) => {
                        format!("{name} in [{}]", setting.table)
                    }
                    _ => format!("[{name}]"),
                });
                let near = near.unwrap_or_else(|| format!("the tables are {}", known.join(", ")));
                format!("unknown key {table:?}; {near}")
            }
        };
        self.wrong(place, reason)
    }

    fn unknown(&self, table: &str, key: &str, place: usize) -> Error {
        if let Some(error) = self.secret(table, key, place) {
            return error;
        }
        if let Some(setting) = Setting::named(key) {
            let reason = format!("{key} belongs into [{}], not [{table}]", setting.table);
            return self.wrong(place, reason);
        }
        let offered = |name: &str| match Setting::named(name) {
            Some(setting) if setting.table != table => format!("{name} in [{}]", setting.table),
            _ => name.to_owned(),
        };
        let near = near(key, SETTINGS.iter().map(|setting| setting.name), offered);
        let near = near.unwrap_or_else(|| {
            let own = SETTINGS.iter().filter(|setting| setting.table == table);
            let own: Vec<&str> = own.map(|setting| setting.name).collect();
            format!("[{table}] has {}", own.join(", "))
        });
        self.wrong(place, format!("unknown key {key:?} in [{table}]; {near}"))
    }

    fn secret(&self, table: &str, key: &str, place: usize) -> Option<Error> {
        let variable = secret::variable(table, key)?;
        let reason = format!(
            "{key} looks like a secret, which does not belong into a file; set the environment variable {variable} \
             instead"
        );
        Some(self.wrong(place, reason))
    }

    fn wrong(&self, place: usize, reason: String) -> Error {
        wrong(&self.path, self.line(place), reason)
    }

    fn line(&self, place: usize) -> usize {
        1 + self.text.bytes().take(place).filter(|byte| *byte == b'\n').count()
    }
}

pub(super) fn wrong(path: &Path, line: usize, reason: String) -> Error {
    Error::Input { source_name: format!("{}:{line}", path.display()), reason }
}

/// `near: a, b`, the nearest first, if there is any.
fn near<'a>(
    wrong: &str,
    names: impl Iterator<Item = &'a str>,
    shown: impl Fn(&str) -> String,
) -> Option<String> {
    let wrong = wrong.to_lowercase().replace('_', "-");
    let alike = |name: &'a str| (strsim::normalized_damerau_levenshtein(&wrong, name), name);
    let part = |name: &str| wrong.len() >= 4 && name.contains(&wrong);
    let mut alike: Vec<(f64, &str)> =
        names.map(alike).filter(|(likeness, name)| *likeness >= NEAR || part(name)).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let offered: Vec<String> = alike.iter().take(OFFERED).map(|(_, name)| shown(name)).collect();
    (!offered.is_empty()).then(|| format!("near: {}", offered.join(", ")))
}

/// The values as flags take them, or what came in place of them.
fn values(kind: Kind, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (kind, value) {
        (Kind::Text | Kind::Texts | Kind::Object, DeValue::String(text)) => {
            Ok(vec![text.clone().into_owned()])
        }
        (Kind::Whole | Kind::Number, DeValue::Integer(number)) => {
            Ok(vec![decimal(number).ok_or_else(|| format!("{number}, which is too large"))?])
        }
        (Kind::Number, DeValue::Float(number)) => Ok(vec![number.as_str().to_owned()]),
        (Kind::Bool, DeValue::Boolean(value)) => Ok(vec![value.to_string()]),
        (Kind::Texts, DeValue::Array(items)) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.clone().into_owned()),
                other => Err(format!("a list with {}", named(other))),
            })
            .collect(),
        (Kind::Object, table @ DeValue::Table(_)) => Ok(vec![json(table)?.to_string()]),
        (_, other) => Err(named(other)),
    }
}

/// What a value is, with the value where it is short and can be no secret.
fn named(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::String(_) => "text".to_owned(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn decimal(number: &DeInteger<'_>) -> Option<String> {
    if number.radix() == 10 {
        return Some(number.as_str().to_owned());
    }
    u64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}

fn json(value: &DeValue<'_>) -> Result<Json, String> {
    // Depth is bounded: the parser of TOML bounds it.
    Ok(match value {
        DeValue::String(text) => Json::String(text.clone().into_owned()),
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Integer(number) => {
            let decimal = decimal(number);
            let number = decimal.and_then(|decimal| decimal.parse::<Number>().ok());
            Json::Number(number.ok_or("a number that is too large")?)
        }
        DeValue::Float(number) => {
            let float = number.as_str().parse().ok().and_then(Number::from_f64);
            Json::Number(float.ok_or("a number that is not finite")?)
        }
        DeValue::Datetime(_) => return Err("a table with a date; write it as text".to_owned()),
        DeValue::Array(items) => {
            Json::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                Ok((key.get_ref().clone().into_owned(), json(value.get_ref())?))
            });
            Json::Object(fields.collect::<Result<Map<String, Json>, String>>()?)
        }
    })
}
