//! Rows as the contents of a data file.

use serde_json::{Map, Value as Json};

use super::{DataFormat, wrong};
use crate::error::Error;

/// The contents of a file of rows. A column is a key that any row has; where a row lacks it, the cell is empty.
/// In tables, a value that is no text stands as JSON. In Parquet, columns of texts, numbers, booleans and
/// conversations (lists of objects of texts) have their types, and other values stand as JSON.
///
/// # Errors
/// [`Error::Data`] for plain text, which has no columns, and for Parquet without the feature `parquet`.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use textgrad_ops::data::{DataFormat, contents, records};
///
/// let row = json!({ "prompt": "one, two?", "score": 0.5 });
/// let rows = [row.as_object().unwrap().clone()];
/// assert_eq!(contents(DataFormat::Csv, &rows)?, b"prompt,score\n\"one, two?\",0.5\n");
/// let jsonl = contents(DataFormat::Jsonl, &rows)?;
/// assert_eq!(records("rows.jsonl", &jsonl, None)?[0].value, Ok(row));
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
pub fn contents(format: DataFormat, rows: &[Map<String, Json>]) -> Result<Vec<u8>, Error> {
    let failed = |error: &dyn std::fmt::Display| wrong("a row", error.to_string());
    match format {
        DataFormat::Json => {
            let mut text = serde_json::to_vec_pretty(rows).map_err(|error| failed(&error))?;
            text.push(b'\n');
            Ok(text)
        }
        DataFormat::Jsonl => {
            let mut text = Vec::new();
            for row in rows {
                serde_json::to_writer(&mut text, row).map_err(|error| failed(&error))?;
                text.push(b'\n');
            }
            Ok(text)
        }
        DataFormat::Csv | DataFormat::Tsv => {
            let delimiter = if format == DataFormat::Csv { b',' } else { b'\t' };
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            let columns = columns(rows);
            writer.write_record(&columns).map_err(|error| failed(&error))?;
            for row in rows {
                let cells =
                    columns.iter().map(|column| row.get(*column).map_or_else(String::new, cell));
                writer.write_record(cells).map_err(|error| failed(&error))?;
            }
            writer.into_inner().map_err(|error| failed(&error))
        }
        DataFormat::Parquet => parquet(rows),
        DataFormat::Text => Err(wrong(
            "format",
            "expected json, jsonl, csv, tsv or parquet, got text: it has no columns",
        )),
    }
}

#[cfg(feature = "parquet")]
fn parquet(rows: &[Map<String, Json>]) -> Result<Vec<u8>, Error> {
    super::parquet::contents(rows)
        .map_err(|error| wrong("rows", format!("cannot be written as Parquet: {error}")))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_rows: &[Map<String, Json>]) -> Result<Vec<u8>, Error> {
    Err(wrong(
        "format",
        "expected json, jsonl, csv or tsv, got parquet: build the program with --features parquet",
    ))
}

/// The keys of all rows, sorted.
pub(super) fn columns(rows: &[Map<String, Json>]) -> Vec<&str> {
    let mut columns: Vec<&str> =
        rows.iter().flat_map(|row| row.keys().map(String::as_str)).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// A value as a text: a string as it is, null as nothing, all else as JSON.
pub(super) fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}
