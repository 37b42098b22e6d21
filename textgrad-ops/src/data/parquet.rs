//! Apache Parquet.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use serde_json::{Map, Value as Json};

use super::write::{cell, columns};
use super::{Record, wrong};
use crate::error::Error;

/// The rows of a file as objects. Binary columns are texts in base64.
pub(super) fn records(name: &str, bytes: Vec<u8>) -> std::result::Result<Vec<Record>, Error> {
    let rows = move || -> Result<Vec<Json>> {
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes))?;
        reader.get_row_iter(None)?.map(|row| Ok(row?.to_json_value())).collect()
    };
    // The reader asserts what a damaged file does not hold to.
    let rows = catch_unwind(rows)
        .map_err(|_| wrong(name, "expected Parquet, but the file is damaged"))?
        .map_err(|error| match error {
            ParquetError::General(text)
                if text.starts_with("Disabled feature at compile time: ") =>
            {
                let codec = text.rsplit(' ').next().unwrap_or_default();
                let codecs = "expected Parquet without compression, or with snappy, gzip or zstd";
                wrong(name, format!("{codecs}, got {codec}; write it again with one of them"))
            }
            error => wrong(name, format!("expected Parquet: {error}")),
        })?;
    let record =
        |(number, value)| Record { location: format!("{name}, row {number}"), value: Ok(value) };
    Ok((1..).zip(rows).map(record).collect())
}

/// The type of a column.
enum Kind {
    Text,
    Whole,
    Number,
    Bool,
    /// A list of objects with these keys, whose values are texts.
    Conversation(BTreeSet<String>),
}

impl Kind {
    /// The narrowest type that all values of a column have; null is of any.
    fn of<'a>(values: impl Iterator<Item = &'a Json> + Clone) -> Self {
        let values = values.filter(|value| !value.is_null());
        let all = |is: fn(&Json) -> bool| values.clone().all(is);
        let turns = |value: &Json| -> Option<Vec<String>> {
            let turns = value.as_array()?.iter().map(|turn| {
                let turn = turn.as_object().filter(|turn| !turn.is_empty())?;
                turn.values().all(Json::is_string).then(|| turn.keys().cloned())
            });
            Some(turns.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect())
        };
        if all(Json::is_string) {
            return Self::Text;
        }
        match values.clone().map(turns).collect::<Option<Vec<_>>>() {
            Some(keys) if keys.iter().any(|keys| !keys.is_empty()) => {
                Self::Conversation(keys.into_iter().flatten().collect())
            }
            _ if all(Json::is_i64) => Self::Whole,
            _ if all(Json::is_number) => Self::Number,
            _ if all(Json::is_boolean) => Self::Bool,
            _ => Self::Text,
        }
    }

    fn schema(&self, name: &str) -> Result<Type> {
        let leaf = |name: &str, physical, logical| {
            let leaf = Type::primitive_type_builder(name, physical).with_logical_type(logical);
            leaf.with_repetition(Repetition::OPTIONAL).build()
        };
        let text = |name: &str| leaf(name, Physical::BYTE_ARRAY, Some(LogicalType::String));
        match self {
            Self::Text => text(name),
            Self::Whole => leaf(name, Physical::INT64, None),
            Self::Number => leaf(name, Physical::DOUBLE, None),
            Self::Bool => leaf(name, Physical::BOOLEAN, None),
            Self::Conversation(keys) => {
                let fields =
                    keys.iter().map(|key| text(key).map(Arc::new)).collect::<Result<_>>()?;
                let group = |name, repetition, logical, fields| {
                    let group = Type::group_type_builder(name).with_repetition(repetition);
                    group.with_logical_type(logical).with_fields(fields).build()
                };
                let turn = group("element", Repetition::REQUIRED, None, fields)?;
                let list = group("list", Repetition::REPEATED, None, vec![Arc::new(turn)])?;
                let logical = Some(LogicalType::List);
                group(name, Repetition::OPTIONAL, logical, vec![Arc::new(list)])
            }
        }
    }

    /// Writes the columns of the file that hold the values.
    fn write(
        &self,
        values: &[&Json],
        group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    ) -> Result<()> {
        let text = |value: &Json| Some(ByteArray::from(cell(value).into_bytes()));
        match self {
            Self::Text => flat::<ByteArrayType>(group, values, text),
            Self::Whole => flat::<Int64Type>(group, values, Json::as_i64),
            Self::Number => flat::<DoubleType>(group, values, Json::as_f64),
            Self::Bool => flat::<BoolType>(group, values, Json::as_bool),
            Self::Conversation(keys) => keys.iter().try_for_each(|key| {
                let mut cells = Vec::new();
                for value in values {
                    match value.as_array().map(Vec::as_slice) {
                        None => cells.push((0, 0, None)),
                        Some([]) => cells.push((0, 1, None)),
                        Some(turns) => {
                            for (index, turn) in turns.iter().enumerate() {
                                let text = turn.get(key).and_then(text);
                                cells.push((
                                    i16::from(index > 0),
                                    if text.is_some() { 3 } else { 2 },
                                    text,
                                ));
                            }
                        }
                    }
                }
                column::<ByteArrayType>(group, cells)
            }),
        }
    }
}

/// Writes a column without nesting.
fn flat<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[&Json],
    read: impl Fn(&Json) -> Option<T::T>,
) -> Result<()> {
    let cells = values.iter().map(|value| {
        let read = if value.is_null() { None } else { read(value) };
        (0, i16::from(read.is_some()), read)
    });
    column::<T>(group, cells.collect())
}

/// Writes one column: its cells with their levels of repetition and definition.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: Vec<(i16, i16, Option<T::T>)>,
) -> Result<()> {
    let repetition: Vec<i16> = cells.iter().map(|(level, ..)| *level).collect();
    let definition: Vec<i16> = cells.iter().map(|(_, level, _)| *level).collect();
    let values: Vec<T::T> = cells.into_iter().filter_map(|(.., value)| value).collect();
    let missing = || parquet::errors::ParquetError::General("a column is missing".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(&values, Some(&definition), Some(&repetition))?;
    column.close()
}

/// A file of rows, with one column for each key, compressed by Snappy.
pub(super) fn contents(rows: &[Map<String, Json>]) -> Result<Vec<u8>> {
    let columns: Vec<(&str, Vec<&Json>)> = columns(rows)
        .into_iter()
        .map(|name| (name, rows.iter().map(|row| row.get(name).unwrap_or(&Json::Null)).collect()))
        .collect();
    let kinds: Vec<Kind> =
        columns.iter().map(|(_, values)| Kind::of(values.iter().copied())).collect();
    let fields =
        kinds.iter().zip(&columns).map(|(kind, (name, _))| kind.schema(name).map(Arc::new));
    let schema =
        Type::group_type_builder("rows").with_fields(fields.collect::<Result<_>>()?).build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (kind, (_, values)) in kinds.iter().zip(&columns) {
        kind.write(values, &mut group)?;
    }
    group.close()?;
    writer.into_inner()
}
