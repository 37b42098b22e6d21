//! Data sets from files: from a record to an example.

use std::path::{Path, PathBuf};

use derive_setters::Setters;
use serde_json::{Map, Value as Json};

use super::{Dataset, Example, Problems, wrong};
use crate::data::{DataFormat, Record};
use crate::error::Error;
use crate::util::json::type_name;

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

/// Which parts of a file's records are what.
///
/// Without any [`field`](Self::field), every text that is not something else becomes a field under its own
/// name. What is not mapped is kept as metadata.
///
/// # Examples
/// ```
/// use textgrad_ops::train::{Dataset, Mapping};
///
/// let table = "qid,question,solution\nq1,\"1, 2 or 3?\",3\n";
/// let mapping = Mapping::new().id("qid").expected("solution");
/// let data = Dataset::parse("table.csv", table, &mapping)?;
/// let example = data.get(0).unwrap();
/// assert_eq!((example.id(), example.expected()), ("q1", Some("3")));
/// assert_eq!(example.field("question"), Some("1, 2 or 3?"));
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq, Setters)]
#[setters(into, strip_option)]
pub struct Mapping {
    /// Where the id stands. Without it, examples are numbered from 1 in the order of the file.
    id: Option<String>,
    #[setters(skip)]
    fields: Vec<(String, String)>,
    /// Where the answers to choose from stand: a list of texts.
    choices: Option<String>,
    /// Where the path of the image stands. It may be missing in a record, or empty.
    image: Option<String>,
    /// Where the expected answer stands.
    expected: Option<String>,
}

impl Mapping {
    /// Nothing is mapped: every text is a field under its own name, examples are numbered from 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// A field of the examples, and what it is called in the file.
    pub fn field(mut self, field: impl Into<String>, name: impl Into<String>) -> Self {
        self.fields.push((field.into(), name.into()));
        self
    }

    /// An example of one record; `number` counts from 1.
    pub(super) fn example(&self, number: usize, record: Json) -> Result<Example, String> {
        let mut record = match record {
            Json::Object(record) => record,
            Json::String(text) => {
                // A list of strings has no names: its texts are the first field.
                let name = self.fields.first().map_or("text", |(_, name)| name.as_str());
                Map::from_iter([(name.to_owned(), Json::String(text))])
            }
            other => {
                return Err(format!("expected an object or a string, got {}", type_name(&other)));
            }
        };
        // A column may be mapped to several fields, so columns are taken out only when all are read.
        let mut used: Vec<&str> = Vec::new();
        let read = |name: &str| -> Result<String, String> { text(&record, name) };
        let mut example = Example::new(match &self.id {
            Some(name) => read(name)?,
            None => number.to_string(),
        });
        for (field, name) in &self.fields {
            example = example.with_field(field.as_str(), read(name)?);
            used.push(name);
        }
        if let Some(name) = &self.expected {
            example = example.with_expected(read(name)?);
            used.push(name);
        }
        if let Some(name) = &self.choices {
            example = example.with_choices(texts(&record, name)?);
            used.push(name);
        }
        if let Some(name) = &self.image {
            match record.get(name) {
                None | Some(Json::Null) => {}
                Some(Json::String(path)) if path.is_empty() => {}
                Some(_) => example = example.with_image(PathBuf::from(text(&record, name)?)),
            }
            used.push(name);
        }
        used.extend(self.id.as_deref());
        record.retain(|name, _| !used.contains(&name.as_str()));
        for (name, value) in record {
            example = match value {
                Json::String(text) if self.fields.is_empty() => example.with_field(name, text),
                value => example.with_metadata(name, value),
            };
        }
        if example.is_empty() {
            return Err("expected at least one field that is not blank, or an image".to_owned());
        }
        Ok(example)
    }
}

/// A text of a record; a number or a boolean as it is written.
pub(super) fn text(record: &Map<String, Json>, name: &str) -> Result<String, String> {
    match record.get(name) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(Json::Number(number)) => Ok(number.to_string()),
        Some(Json::Bool(truth)) => Ok(truth.to_string()),
        Some(other) => {
            Err(format!("expected the field {name:?} to be a text, got {}", type_name(other)))
        }
        None => Err(missing(record, name)),
    }
}

/// A list of texts of a record.
pub(super) fn texts(record: &Map<String, Json>, name: &str) -> Result<Vec<String>, String> {
    let Some(list) = record.get(name) else { return Err(missing(record, name)) };
    let items = list.as_array().and_then(|items| {
        items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    items.ok_or_else(|| {
        format!("expected the field {name:?} to be a list of texts, got {}", type_name(list))
    })
}

fn missing(record: &Map<String, Json>, name: &str) -> String {
    let names: Vec<&String> = record.keys().take(20).collect();
    format!("expected the field {name:?}, but the fields are {names:?}")
}
