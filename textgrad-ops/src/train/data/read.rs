//! Data sets from files.

use std::path::Path;

use super::{Dataset, Mapping};
use super::{Problems, wrong};
use crate::data::{DataFormat, Record};
use crate::error::Error;

impl Dataset {
    /// Reads a file in the format that its name promises.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, and those of [`parse`](Self::parse).
    pub async fn read(path: &Path, mapping: &Mapping) -> Result<Self, Error> {
        let (name, bytes) = read_file(path).await?;
        Self::parse(&name, bytes, mapping)
    }

    /// Reads a file's contents in the format that `name` promises, as [`records`](crate::data::records) reads them.
    ///
    /// # Errors
    /// [`Error::Data`] with the first line that cannot be read, and how many there are; nothing is skipped.
    pub fn parse(name: &str, contents: impl AsRef<[u8]>, mapping: &Mapping) -> Result<Self, Error> {
        let format = DataFormat::of_name(name).filter(|format| *format != DataFormat::Text);
        let format = format.ok_or_else(|| {
            let endings = ".jsonl, .ndjson, .json, .csv, .tsv or .parquet";
            wrong(
                name,
                format!("expected a name that ends in {endings}; or say which format it is"),
            )
        })?;
        Self::parse_as(format, name, contents, mapping)
    }

    /// Reads a file's contents in a given format; see [`parse`](Self::parse).
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn parse_as(
        format: DataFormat,
        name: &str,
        contents: impl AsRef<[u8]>,
        mapping: &Mapping,
    ) -> Result<Self, Error> {
        let mut problems = Problems::default();
        let records = crate::data::records(name, contents.as_ref(), Some(format))?;
        let examples: Vec<_> = (1..)
            .zip(records)
            .filter_map(|(number, Record { location, value })| {
                let example = value.and_then(|record| mapping.example(number, record));
                problems.take(|| location, example)
            })
            .collect();
        problems.finish()?;
        Self::new(name, examples)
    }
}

/// The contents of a file, with the name for errors.
pub(super) async fn read_file(path: &Path) -> Result<(String, Vec<u8>), Error> {
    let bytes = tokio::fs::read(path).await;
    let bytes = bytes.map_err(|source| Error::Io {
        path: path.to_owned(),
        action: "cannot be read",
        source,
    })?;
    Ok((path.display().to_string(), bytes))
}

#[cfg(test)]
mod tests;
