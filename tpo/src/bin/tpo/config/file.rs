//! Files of settings, in TOML.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};
use tpo::Error;

use super::kind::ValueKind;
use super::options::{GROUPS, OptionSpec};
use super::secret;
use super::settings::FileValue;
use crate::suggest;

/// The most mistakes of a file that are listed.
const MAX_MISTAKES: usize = 20;

/// Reads the settings of a file.
pub(super) fn read(path: &Path) -> Result<BTreeMap<&'static str, FileValue>, Error> {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    if ["json", "yaml", "yml"].contains(&extension) {
        return Err(Error::input(
            path.display(),
            format!(
                "expected a file of settings in TOML, got .{extension}; `tpo config show --toml` prints one"
            ),
        ));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::input(
            path.display(),
            format!("expected a file of settings, cannot be read: {error}"),
        )
    })?;
    File { path, text: &text }.settings()
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
}

fn tables() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().map(|group| group.table.as_str())
}

/// A mistake in a file, with the byte that it begins at.
struct Mistake {
    start: usize,
    reason: String,
}

impl File<'_> {
    /// The settings; on failure, all mistakes in the order of their lines. The parser recovers from all but a line
    /// without `=`: below it, only the syntax is checked.
    fn settings(&self) -> Result<BTreeMap<&'static str, FileValue>, Error> {
        let (parsed, errors) = DeTable::parse_recoverable(self.text);
        let syntax = errors.iter().map(|error| Mistake {
            start: error.span().map_or(0, |span| span.start),
            reason: format!("not TOML: {}", error.message().replace('\n', " ")),
        });
        let mut mistakes: Vec<Mistake> = syntax.collect();
        let broken: Vec<usize> = mistakes.iter().map(|mistake| self.line(mistake.start)).collect();
        let mut found = BTreeMap::new();
        let mut insert = |setting: Result<(&'static OptionSpec, FileValue), Mistake>| match setting
        {
            Ok((option, value)) => drop(found.insert(option.name.as_str(), value)),
            // The rest of a line that is not TOML is a guess of the parser.
            Err(mistake) if broken.contains(&self.line(mistake.start)) => {}
            Err(mistake) => mistakes.push(mistake),
        };
        for (key, value) in parsed.get_ref() {
            let table: &str = key.get_ref();
            match value.get_ref() {
                DeValue::Table(fields) if tables().any(|known| known == table) => {
                    for (key, value) in fields {
                        insert(self.setting(table, key.get_ref(), key.span().start, value));
                    }
                }
                _ => insert(Err(unknown(None, table, key.span().start))),
            }
        }
        if mistakes.is_empty() { Ok(found) } else { Err(self.invalid(mistakes)) }
    }

    fn setting(
        &self,
        table: &str,
        key: &str,
        start: usize,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(&'static OptionSpec, FileValue), Mistake> {
        let option = OptionSpec::named(key).filter(|option| option.table() == table);
        let option = option.ok_or_else(|| unknown(Some(table), key, start))?;
        let values = values(option, value.get_ref()).map_err(|got| {
            let expected = option.kind.expected();
            let reason = format!("{key}: expected {expected}, got {got}");
            Mistake { start: value.span().start, reason }
        })?;
        if values.iter().any(|value| secret::within(value)) {
            let reason = format!(
                "{key} holds a password or a key; secrets are taken from the environment only, as \
                 OPENAI_API_KEY and REWARD_API_KEY are (see tpo run --help)"
            );
            return Err(Mistake { start, reason });
        }
        for value in &values {
            option.check(value.as_ref()).map_err(|reason| {
                let reason = format!("invalid value '{value}' for '--{key}': {reason}");
                Mistake { start, reason }
            })?;
        }
        let values = values.into_iter().map(OsString::from).collect();
        Ok((option, FileValue { line: self.line(start), values }))
    }

    /// One error of all mistakes, each with its line.
    fn invalid(&self, mut mistakes: Vec<Mistake>) -> Error {
        mistakes.sort_by_key(|mistake| mistake.start);
        let path = self.path.display().to_string();
        if let [Mistake { start, reason }] = mistakes.as_mut_slice() {
            let source_name = format!("{path}:{}", self.line(*start));
            return Error::input(source_name, std::mem::take(reason));
        }
        let mut reason = format!("{} mistakes", mistakes.len());
        for mistake in mistakes.iter().take(MAX_MISTAKES) {
            reason.push_str(&format!(
                "\n  {path}:{}: {}",
                self.line(mistake.start),
                mistake.reason
            ));
        }
        if mistakes.len() > MAX_MISTAKES {
            reason.push_str(&format!("\n  ... and {} more", mistakes.len() - MAX_MISTAKES));
        }
        Error::input(path, reason)
    }

    fn line(&self, start: usize) -> usize {
        1 + self.text.bytes().take(start).filter(|byte| *byte == b'\n').count()
    }
}

/// The mistake of a key in a table, or of a key at the top of the file.
fn unknown(table: Option<&str>, key: &str, start: usize) -> Mistake {
    let is_table = |name: &str| table.is_none() && tables().any(|known| known == name);
    let reason = if let Some(variable) = secret::variable(table.unwrap_or_default(), key) {
        format!(
            "{key} looks like a secret, which does not belong in a file; set the environment variable \
             {variable} instead"
        )
    } else if is_table(key) {
        format!("expected a table [{key}], got a value")
    } else if let Some(option) = OptionSpec::named(key) {
        match table {
            Some(table) => format!("{key} belongs in [{}], not [{table}]", option.table()),
            None => format!("{key} belongs in the table [{}]", option.table()),
        }
    } else {
        let shown = |name: &str| match OptionSpec::named(name).map(OptionSpec::table) {
            _ if is_table(name) => format!("[{name}]"),
            Some(other) if table != Some(other) => format!("{name} in [{other}]"),
            _ => name.to_owned(),
        };
        let top = tables().filter(|_| table.is_none());
        let names = top.chain(OptionSpec::all().map(|option| option.name.as_str()));
        let near: Vec<String> = suggest::near(key, names).into_iter().map(shown).collect();
        let near = (!near.is_empty()).then(|| format!("near: {}", near.join(", ")));
        let known = || match table {
            Some(table) => format!(
                "[{table}] has {}",
                listed(
                    OptionSpec::all()
                        .filter(|own| own.table() == table)
                        .map(|own| own.name.as_str())
                )
            ),
            None => format!("the tables are {}", listed(tables())),
        };
        let within = table.map(|table| format!(" in [{table}]")).unwrap_or_default();
        format!("unknown key {key:?}{within}; {}", near.unwrap_or_else(known))
    };
    Mistake { start, reason }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

/// The values as flags take them, so that both sources have the same parser and checks; on failure, what the value is.
fn values(option: &OptionSpec, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let is_whole = option.kind.range().is_some();
    match (&option.kind, value) {
        (_, DeValue::String(text)) if option.is_none(OsStr::new(&**text)) => {
            Ok(vec![text.clone().into_owned()])
        }
        (kind, DeValue::Integer(number)) if is_whole || matches!(kind, ValueKind::Number) => {
            Ok(vec![decimal(number).ok_or_else(|| format!("{number}, which is too large"))?])
        }
        (ValueKind::Number, DeValue::Float(number)) => Ok(vec![number.as_str().to_owned()]),
        (ValueKind::Bool, DeValue::Boolean(value)) => Ok(vec![value.to_string()]),
        (ValueKind::Object | ValueKind::ObjectOrPath, table @ DeValue::Table(_)) => {
            Ok(vec![json(table)?.to_string()])
        }
        (ValueKind::Number | ValueKind::Bool, other) => Err(named(other)),
        (_, other) if is_whole => Err(named(other)),
        (_, DeValue::String(text)) => Ok(vec![text.clone().into_owned()]),
        (kind, DeValue::Array(items)) if kind.is_list() => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.clone().into_owned()),
                other => Err(format!("a list with {}", named(other))),
            })
            .collect(),
        (_, other) => Err(named(other)),
    }
}

/// The type of a value, with the value where it is short and cannot be a secret.
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
