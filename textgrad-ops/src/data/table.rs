//! Tables of texts: CSV and TSV.

use serde_json::{Map, Value as Json};

use super::{Record, record, wrong};
use crate::error::Error;

/// A row of a table with its line, whatever its length.
type Row = (usize, Result<Vec<String>, String>);

/// The rows behind the header as objects.
pub(super) fn records(name: &str, text: &str, delimiter: u8) -> Result<Vec<Record>, Error> {
    // Spreadsheets of many countries separate the columns of a CSV file by semicolons.
    let first = text.lines().next().unwrap_or_default();
    let has_semicolons = delimiter == b',' && !first.contains(',') && first.contains(';');
    let delimiter = if has_semicolons { b';' } else { delimiter };
    let mut rows = rows(name, text, delimiter)?.into_iter();
    let Some((line, header)) = rows.next() else { return Ok(Vec::new()) };
    let location = format!("{name}, line {line}");
    let header = header.map_err(|reason| wrong(&location, reason))?;
    for (index, column) in header.iter().enumerate() {
        if header.iter().take(index).any(|known| known == column) {
            let reason = format!(
                "expected each column to have a name of its own, but {column:?} occurs twice"
            );
            return Err(wrong(location, reason));
        }
    }
    let object = |row: Vec<String>| match row.len() == header.len() {
        true => {
            let fields = header.iter().cloned().zip(row.into_iter().map(Json::String));
            Ok(Json::Object(fields.collect::<Map<_, _>>()))
        }
        false => Err(format!(
            "expected {} columns as in the first line, got {}",
            header.len(),
            row.len()
        )),
    };
    Ok(rows.map(|(line, row)| record(name, line, row.and_then(object))).collect())
}

/// The rows of a table, the header among them.
pub(crate) fn rows(name: &str, text: &str, delimiter: u8) -> Result<Vec<Row>, Error> {
    let quotes = quotes(text, char::from(delimiter));
    // Many programs write tables with tabs without any quoting.
    let is_quoted = match &quotes {
        Err((line, reason)) if delimiter != b'\t' => {
            return Err(wrong(format!("{name}, line {line}"), reason));
        }
        quotes => quotes.is_ok(),
    };
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).delimiter(delimiter).quoting(is_quoted);
    let mut rows = Vec::new();
    for row in reader.from_reader(text.as_bytes()).records() {
        let position = match &row {
            Ok(row) => row.position(),
            Err(error) => error.position(),
        };
        let line = position.and_then(|position| usize::try_from(position.line()).ok()).unwrap_or(0);
        let row = row.map(|row| row.iter().map(str::to_owned).collect());
        rows.push((line, row.map_err(|error| error.to_string())));
    }
    Ok(rows)
}

/// Whether quotation marks stand where RFC 4180 has them, or the line where one does not and why. The reader
/// itself takes any: one that is never closed makes a single field of all that follows.
fn quotes(text: &str, delimiter: char) -> Result<(), (usize, String)> {
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
            (_, '\n' | '\r') => At::Begin,
            (_, c) if c == delimiter => At::Begin,
            (At::Plain, '"') => {
                let reason = "expected no quotation mark within a field that does not begin with one; \
                              put the field between two, and write each within it twice";
                return Err((line, reason.to_owned()));
            }
            (At::Closed, c) => {
                let reason = "expected a comma or the end of the line behind the quotation mark that ends a \
                              field, got";
                return Err((line, format!("{reason} {c:?}; one within a field is written twice")));
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
