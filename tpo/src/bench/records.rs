//! Records in JSON files, and files of data sets.

use std::fmt::Display;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use textgrad_ops::data::{DataFormat, decode};
use textgrad_ops::util::fs::blocking;

use crate::error::Error;
use crate::input::read_all;

/// Reads a file of a data set, compressed or not; its name does not matter.
///
/// # Errors
/// [`Error::Input`] if it cannot be read, is no text or decompresses to more than 1 GiB.
pub async fn read_file(path: &Path) -> Result<String, Error> {
    let path = path.to_owned();
    blocking(move || {
        let name = path.display().to_string();
        let bytes = std::fs::read(&path);
        let bytes =
            bytes.map_err(|error| Error::input(&name, format!("cannot be read: {error}")))?;
        Ok(decode(&name, &bytes)?)
    })
    .await
}

/// The records of a JSON list or of JSONL, each with its location for errors. A file without any is refused.
pub(super) fn records<T: DeserializeOwned>(
    source: &str,
    text: &str,
) -> Result<Vec<(String, T)>, Error> {
    let is_list = text.trim_start_matches('\u{feff}').trim_start().starts_with('[');
    let format = if is_list { DataFormat::Json } else { DataFormat::Jsonl };
    let records = textgrad_ops::data::records(source, text.as_bytes(), Some(format))?;
    let read = |value: Result<Json, String>| {
        serde_json::from_value(value?).map_err(|error| error.to_string())
    };
    placed(source, records.into_iter().map(|record| (record.location, read(record.value))))
}

/// The records of a CSV file, as [`records`] are read.
pub(super) fn csv_records<T: DeserializeOwned>(
    source: &str,
    text: &str,
) -> Result<Vec<(String, T)>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        return Err(Error::input(
            source,
            "expected CSV with the columns in its first line, got JSON",
        ));
    }
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let locations = (1..).map(|number| format!("{source}, record {number}"));
    placed(source, locations.zip(reader.deserialize()))
}

fn placed<T, E: Display>(
    source: &str,
    parsed: impl Iterator<Item = (String, Result<T, E>)>,
) -> Result<Vec<(String, T)>, Error> {
    let parsed = parsed.map(|(location, record)| (location, record.map_err(|e| e.to_string())));
    let records = read_all(source, parsed)?;
    if records.is_empty() {
        return Err(Error::input(source, "expected at least one record, found none"));
    }
    Ok(records)
}

/// Refuses ids that come twice.
pub(super) fn unique<'a>(
    ids: impl IntoIterator<Item = (&'a str, &'a str)>,
    what: &str,
) -> Result<(), Error> {
    let mut seen = std::collections::HashSet::new();
    for (location, id) in ids {
        if !seen.insert(id) {
            let short = textgrad_core::truncate(id, 60);
            return Err(Error::input(
                location,
                format!("expected each {what} once, got {short:?} again"),
            ));
        }
    }
    Ok(())
}

/// Records as a JSON list: outputs and annotations of AlpacaEval, answers of BeaverTails.
///
/// # Errors
/// None in practice.
pub fn to_json<T: Serialize>(records: &[T]) -> Result<String, Error> {
    let text = serde_json::to_string_pretty(records);
    text.map_err(|error| Error::input("a record", error.to_string()))
}

/// Records as JSONL: pairs of HH-RLHF, judgments of Arena-Hard, grades of MATH-500.
///
/// # Errors
/// None in practice.
pub fn to_jsonl<T: Serialize>(records: &[T]) -> Result<String, Error> {
    let lines = records.iter().map(|record| Ok(serde_json::to_string(record)? + "\n"));
    let text = lines.collect::<Result<String, serde_json::Error>>();
    text.map_err(|error| Error::input("a record", error.to_string()))
}

/// Records as CSV: completions of XSTest, graded or not.
///
/// # Errors
/// None in practice.
pub fn to_csv<T: Serialize>(records: &[T]) -> Result<String, Error> {
    let failed = |reason: String| Error::input("a record", reason);
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.serialize(record).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn a_compressed_file_is_read_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no-ending");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all("grüß dich".as_bytes()).unwrap();
        let bytes = encoder.finish().unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_file(&path).await.unwrap(), "grüß dich");
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        let error = read_file(&path).await.unwrap_err().to_string();
        assert!(error.contains("compressed by gzip, but it is damaged"), "{error}");
        std::fs::write(&path, [b'a', 0xff]).unwrap();
        let error = read_file(&path).await.unwrap_err().to_string();
        assert!(error.contains("line 1: expected UTF-8, got other bytes"), "{error}");
        let error = read_file(&dir.path().join("none")).await.unwrap_err().to_string();
        assert!(error.contains("none: cannot be read: "), "{error}");
    }

    #[test]
    fn errors_name_the_place() {
        let read = |text: &str| records::<Vec<u8>>("f", text).unwrap_err().to_string();
        assert!(read("[[1], [300]]").starts_with("f, item 2: "));
        assert!(read("{\"a\": 1}\n").starts_with("f, line 1: "));
        assert_eq!(read("\n\n"), "f: expected at least one record, found none");
        assert!(read("[1").starts_with("f: expected a JSON list: "));
        assert_eq!(records::<String>("f", "\u{feff}\"a\"\n\n\"b\"").unwrap()[1].0, "f, line 3");
    }
}
