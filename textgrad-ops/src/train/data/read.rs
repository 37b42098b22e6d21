//! Reading JSONL, JSON and CSV.

use std::path::Path;

use serde_json::{Map, Value as Json};

use super::{Dataset, Mapping};
use super::{Problems, wrong};
use crate::error::Error;
use crate::util::json::type_name;

/// How a file of examples is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataFormat {
    /// One JSON object or string a line; blank lines are skipped.
    Jsonl,
    /// A JSON list of objects or of strings.
    Json,
    /// A table whose first line names the columns, after RFC 4180: a quotation mark within a field is written
    /// twice, and the field stands between two. One that stands elsewhere is an error.
    Csv,
}

impl DataFormat {
    /// The format that a file's name promises (`.jsonl`, `.ndjson`, `.json`, `.csv`).
    ///
    /// # Errors
    /// [`Error::Data`] if the name promises none.
    pub fn of_name(name: &str) -> Result<Self, Error> {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            _ => Err(wrong(
                name,
                "expected a name that ends in .jsonl, .ndjson, .json or .csv; or say which format it is",
            )),
        }
    }
}

impl Dataset {
    /// Reads a file in the format that its name promises.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, and those of [`parse`](Self::parse).
    pub async fn read(path: &Path, mapping: &Mapping) -> Result<Self, Error> {
        let (name, text) = read_text(path).await?;
        Self::parse(&name, &text, mapping)
    }

    /// Reads a text in the format that `name` promises. A byte order mark and CRLF are fine.
    ///
    /// # Errors
    /// [`Error::Data`] with the first line that cannot be read, and how many there are; nothing is skipped.
    pub fn parse(name: &str, text: &str, mapping: &Mapping) -> Result<Self, Error> {
        Self::parse_as(DataFormat::of_name(name)?, name, text, mapping)
    }

    /// Reads a text in a given format; see [`parse`](Self::parse).
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn parse_as(
        format: DataFormat,
        name: &str,
        text: &str,
        mapping: &Mapping,
    ) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let records = records(format, name, text, &mut problems)?;
        let examples: Vec<_> = (1..)
            .zip(records)
            .filter_map(|(number, (place, record))| {
                problems.take(|| place, mapping.example(number, record))
            })
            .collect();
        problems.finish()?;
        Self::new(name, examples)
    }
}

/// The text of a file, with the name for errors.
pub(super) async fn read_text(path: &Path) -> Result<(String, String), Error> {
    let name = path.display().to_string();
    let bytes = tokio::fs::read(path).await;
    let bytes = bytes.map_err(|source| Error::Io {
        path: path.to_owned(),
        action: "cannot be read",
        source,
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let upto = error.utf8_error().valid_up_to();
            let line = error.as_bytes().iter().take(upto).filter(|byte| **byte == b'\n').count();
            Err(wrong(format!("{name}, line {}", line + 1), "expected UTF-8, got other bytes"))
        }
    }
}

pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The records of a text with their places. Lines that are none go to `problems`.
pub(super) fn records(
    format: DataFormat,
    name: &str,
    text: &str,
    problems: &mut Problems,
) -> Result<Vec<(String, Json)>, Error> {
    let text = without_mark(text);
    match format {
        DataFormat::Jsonl => Ok(json_lines(name, text, problems)),
        DataFormat::Json => json_list(name, serde_json::from_str(text), "a JSON list"),
        DataFormat::Csv => table(name, text, problems),
    }
}

/// The items of a JSON list with their places.
pub(super) fn json_list(
    name: &str,
    parsed: serde_json::Result<Json>,
    expected: &str,
) -> Result<Vec<(String, Json)>, Error> {
    match parsed {
        Ok(Json::Array(items)) => {
            Ok((1..).map(|item| format!("{name}, item {item}")).zip(items).collect())
        }
        Ok(other) => Err(wrong(name, format!("expected {expected}, got {}", type_name(&other)))),
        Err(error) => Err(wrong(name, format!("expected {expected}: {error}"))),
    }
}

fn json_lines(name: &str, text: &str, problems: &mut Problems) -> Vec<(String, Json)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let mut records = Vec::new();
    for (number, line) in lines {
        let place = || format!("{name}, line {number}");
        let read = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"));
        records.extend(problems.take(place, read).map(|record| (place(), record)));
    }
    records
}

fn table(name: &str, text: &str, problems: &mut Problems) -> Result<Vec<(String, Json)>, Error> {
    let rows = rows(name, text, problems)?;
    let mut rows = rows.into_iter();
    let Some((_, header)) = rows.next() else { return Ok(Vec::new()) };
    for (place, column) in header.iter().enumerate() {
        if header.iter().take(place).any(|known| known == column) {
            let reason = format!(
                "expected each column to have a name of its own, but {column:?} occurs twice"
            );
            return Err(wrong(format!("{name}, line 1"), reason));
        }
    }
    let mut records = Vec::new();
    for (place, row) in rows {
        let read = if row.len() == header.len() {
            Ok(header.iter().cloned().zip(row.into_iter().map(Json::String)).collect::<Map<_, _>>())
        } else {
            Err(format!(
                "expected {} columns as in the first line, got {}",
                header.len(),
                row.len()
            ))
        };
        let record = problems.take(|| place.clone(), read);
        records.extend(record.map(|record| (place, Json::Object(record))));
    }
    Ok(records)
}

/// The rows of a table with their places, whatever their lengths.
pub(super) fn rows(
    name: &str,
    text: &str,
    problems: &mut Problems,
) -> Result<Vec<(String, Vec<String>)>, Error> {
    let text = without_mark(text);
    if let Err((line, reason)) = quotes(text) {
        return Err(wrong(format!("{name}, line {line}"), reason));
    }
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for record in reader.records() {
        let position = match &record {
            Ok(record) => record.position(),
            Err(error) => error.position(),
        };
        let place = format!("{name}, line {}", position.map_or(0, csv::Position::line));
        let read = record.map_err(|error| error.to_string());
        let row = problems.take(|| place.clone(), read);
        rows.extend(row.map(|row| (place, row.iter().map(str::to_owned).collect())));
    }
    Ok(rows)
}

/// Whether quotation marks stand where RFC 4180 has them, or the line where one does not and why. The reader
/// itself takes any: one that is never closed makes a single field of all that follows.
fn quotes(text: &str) -> Result<(), (usize, String)> {
    #[derive(Clone, Copy)]
    enum At {
        Begin,
        Plain,
        Quoted { since: usize },
        Closed,
    }
    let (mut at, mut line) = (At::Begin, 1);
    for c in text.chars() {
        at = match (at, c) {
            (At::Begin, '"') | (At::Closed, '"') => At::Quoted { since: line },
            (At::Quoted { .. }, '"') => At::Closed,
            (At::Quoted { since }, _) => At::Quoted { since },
            (_, ',' | '\n' | '\r') => At::Begin,
            (At::Plain, '"') => {
                let reason = "expected no quotation mark within a field that does not begin with one; \
                              put the field between two, and write each within it twice";
                return Err((line, reason.to_owned()));
            }
            (At::Closed, c) => {
                let reason = "expected a comma or the end of the line behind the quotation mark that ends a \
                              field, got";
                return Err((line, format!("{reason} {c:?}; write each within the field twice")));
            }
            (At::Begin | At::Plain, _) => At::Plain,
        };
        line += usize::from(c == '\n');
    }
    match at {
        At::Quoted { since } => Err((
            since,
            "expected a quotation mark to end the field that begins with one here".to_owned(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
