//! Records of Apache Parquet files.

use std::panic::catch_unwind;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::{Record, wrong};
use crate::error::Error;

/// The rows of a file as objects. Binary columns are texts in base64.
pub(super) fn records(name: &str, bytes: Vec<u8>) -> Result<Vec<Record>, Error> {
    // The reader asserts what a damaged file does not hold to.
    let read = catch_unwind(move || rows(name, bytes));
    read.unwrap_or_else(|_| Err(wrong(name, "expected Parquet, but the file is damaged")))
}

fn rows(name: &str, bytes: Vec<u8>) -> Result<Vec<Record>, Error> {
    let unreadable = |error: ParquetError| wrong(name, format!("expected Parquet: {error}"));
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(unreadable)?;
    let rows = reader.get_row_iter(None).map_err(unreadable)?;
    let records = (1..).zip(rows).map(|(number, row)| {
        let value = row.map_err(unreadable)?.to_json_value();
        Ok(Record { place: format!("{name}, row {number}"), value: Ok(value) })
    });
    records.collect()
}
