//! Records of data files, read and written: JSON lists, JSON Lines, plain lines, tables and Parquet. Compressed
//! files are read too.

mod decode;
#[cfg(feature = "parquet")]
mod parquet;
mod table;
mod write;

use serde_json::Value as Json;
use strum::{Display, EnumString};

pub use self::decode::decode;
#[cfg(feature = "train")]
pub(crate) use self::table::rows;
pub use self::write::contents;
use crate::error::Error;
use crate::util::json::{error_in_line, read_lenient, type_name};

/// The format of a file of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "lowercase", parse_err_fn = unknown_format, parse_err_ty = Error)]
#[non_exhaustive]
pub enum DataFormat {
    /// A JSON list.
    Json,
    /// One JSON value per line; blank lines are skipped.
    Jsonl,
    /// One text per line; blank lines are skipped.
    Text,
    /// A table whose first line names the columns, after RFC 4180: a quotation mark within a field is written
    /// twice, and the field stands between two. One elsewhere is an error.
    Csv,
    /// The same with tabs between the fields.
    Tsv,
    /// Apache Parquet (feature `parquet`).
    Parquet,
}

/// Extensions of archives and compressed files that cannot be read.
const PACKED: [&str; 9] = ["zip", "xz", "bz2", "7z", "tar", "tgz", "lz4", "br", "rar"];

/// The formats, for messages.
const KNOWN: &str = "json, jsonl, text, csv, tsv or parquet";

impl DataFormat {
    /// The format that a file's extension promises (`.jsonl`, `.ndjson`, `.json`, `.csv`, `.tsv`, `.parquet`,
    /// `.txt`, `.md`), before `.gz` and `.zst`.
    ///
    /// # Examples
    /// ```
    /// use textgrad_ops::data::DataFormat;
    ///
    /// assert_eq!(DataFormat::of_name("runs/prompts.jsonl.gz"), Some(DataFormat::Jsonl));
    /// assert_eq!(DataFormat::of_name("prompts.xlsx"), None);
    /// ```
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let extension = extension(name)?;
        let name = match &*extension {
            "ndjson" => "jsonl",
            "txt" | "md" => "text",
            "tab" => "tsv",
            other => other,
        };
        name.parse().ok()
    }

    /// The format that a text looks like.
    fn of_text(text: &str) -> Self {
        let is_string = |line: &str| serde_json::from_str::<String>(line).is_ok();
        match text.trim_start().chars().next() {
            Some('[') => Self::Json,
            Some('{') => Self::Jsonl,
            // A first line that is a JSON string, and not a sentence that begins with a quotation.
            Some('"') if text.lines().next().is_some_and(is_string) => Self::Jsonl,
            _ => Self::Text,
        }
    }
}

fn unknown_format(text: &str) -> Error {
    wrong("format", format!("expected {KNOWN}, got {text:?}"))
}

/// The extension of a file's name in lower case, that of the packed file if it is compressed.
fn extension(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).to_ascii_lowercase();
    let packed = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end));
    Some(packed.unwrap_or(&name).rsplit_once('.')?.1.to_owned())
}

/// A record of a file, and the location that errors name.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The file with the line, or the location in the list.
    pub location: String,
    /// The JSON value, the row of a table as an object, or the line as a string; or why it cannot be read.
    pub value: Result<Json, String>,
}

/// The records of a file, in the given format or in that of its name, else of its contents. Compressed files (gzip,
/// Zstandard), byte order marks, UTF-16, CRLF and CSV with semicolons are read. A name with an unknown extension is
/// refused without a format, because its lines are unlikely to be records.
///
/// # Errors
/// [`Error::Data`] if the file as a whole cannot be read; a record that cannot is an error of its own.
///
/// # Examples
/// ```
/// use textgrad_ops::data::records;
///
/// let table = "id,prompt\nq1,\"1, 2 or 3?\"\n";
/// let records = records("prompts.csv", table.as_bytes(), None)?;
/// assert_eq!(records[0].location, "prompts.csv, line 2");
/// assert_eq!(records[0].value.as_ref().unwrap()["prompt"], "1, 2 or 3?");
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
pub fn records(name: &str, bytes: &[u8], given: Option<DataFormat>) -> Result<Vec<Record>, Error> {
    let bytes = decode::unpack(name, bytes)?;
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        let reason = "expected data, got a pointer of Git LFS; fetch the file with `git lfs pull`";
        return Err(wrong(name, reason));
    }
    let format = given.or_else(|| DataFormat::of_name(name));
    if bytes.starts_with(b"PAR1") || format == Some(DataFormat::Parquet) {
        return parquet_records(name, bytes.into_owned());
    }
    let unknown = extension(name).filter(|_| format.is_none());
    if let Some(extension) = unknown {
        let advice = match PACKED.contains(&extension.as_str()) {
            true => "unpack it; gzip and Zstandard are read as they are",
            false => "convert it, or name its format with --format",
        };
        let reason = format!("expected a file of {KNOWN}, got .{extension}; {advice}");
        return Err(wrong(name, reason));
    }
    let text = decode::text(name, &bytes)?;
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let found = format.unwrap_or_else(|| DataFormat::of_text(&text));
    if given.is_none()
        && found == DataFormat::Text
        && let Some(line) = continued(&text)
    {
        let advice = "a text of several lines needs JSON or JSONL; set --format text if each line is a record";
        let reason = format!(
            "expected one record per line, got a line that continues the one before; {advice}"
        );
        return Err(wrong(format!("{name}, line {line}"), reason));
    }
    match found {
        // Many data sets have JSON Lines in a file named .json.
        DataFormat::Json if is_json_lines(&text) => Ok(json_lines(name, &text)),
        DataFormat::Json if text.trim_start().starts_with('<') => Err(wrong(
            name,
            "expected a JSON list, got HTML or XML; check the address that the file is from",
        )),
        DataFormat::Json => json_list(name, read_lenient(&text), "a JSON list"),
        DataFormat::Jsonl => Ok(json_lines(name, &text)),
        DataFormat::Csv => table::records(name, &text, b','),
        DataFormat::Tsv => table::records(name, &text, b'\t'),
        DataFormat::Text | DataFormat::Parquet => Ok(lines(&text)
            .map(|(number, line)| record(name, number, Ok(Json::String(line.to_owned()))))
            .collect()),
    }
}

#[cfg(feature = "parquet")]
use self::parquet::records as parquet_records;

#[cfg(not(feature = "parquet"))]
fn parquet_records(name: &str, _bytes: Vec<u8>) -> Result<Vec<Record>, Error> {
    let reason = "expected a text, got Parquet: build the program with --features parquet, or convert the file";
    Err(wrong(name, reason))
}

fn record(name: &str, line: usize, value: Result<Json, String>) -> Record {
    Record { location: format!("{name}, line {line}"), value }
}

/// The lines that are not blank, trimmed, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty())
}

/// The line that shows that lines of a text belong together: a mark of a list or a fence that the first line lacks,
/// or the indentation of code.
fn continued(text: &str) -> Option<usize> {
    let is_item = |line: &str| {
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_number =
            number.len() < line.len() && [". ", ") "].iter().any(|end| number.starts_with(end));
        ["- ", "* ", "+ ", "\u{2022}", "```"].iter().any(|mark| line.starts_with(mark)) || is_number
    };
    let is_code = |line: &str| line.starts_with("    ") || line.starts_with('\t');
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let (_, first) = lines.next()?;
    let first_is_item = is_item(first.trim_start());
    let belongs = |line: &str| {
        (is_item(line.trim_start()) && !first_is_item) || (is_code(line) && !is_code(first))
    };
    lines.find_map(|(number, line)| belongs(line).then_some(number))
}

/// Whether a text is several JSON values, one per line.
fn is_json_lines(text: &str) -> bool {
    let mut lines = lines(text).map(|(_, line)| line);
    let (first, second) = (lines.next(), lines.next());
    let is_value = |line: &str| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    // A list in one line is not parsed here.
    second.is_some() && first.is_some_and(is_value)
}

fn json_lines(name: &str, text: &str) -> Vec<Record> {
    let read = |line: &str| {
        let line = line.trim_start_matches('\u{feff}');
        read_lenient(line).map_err(|error| format!("not JSON: {}", error_in_line(&error)))
    };
    lines(text).map(|(number, line)| record(name, number, read(line))).collect()
}

/// The items of a JSON list.
pub(crate) fn json_list(
    name: &str,
    parsed: serde_json::Result<Json>,
    expected: &str,
) -> Result<Vec<Record>, Error> {
    match parsed {
        Ok(Json::Array(items)) => Ok((1..)
            .zip(items)
            .map(|(number, item)| Record {
                location: format!("{name}, item {number}"),
                value: Ok(item),
            })
            .collect()),
        Ok(other) => {
            let lists =
                other.as_object().into_iter().flatten().filter(|(_, value)| value.is_array());
            let advice = lists.map(|(field, _)| format!("; extract the list in {field:?}")).next();
            let (got, advice) = (type_name(&other), advice.unwrap_or_default());
            Err(wrong(name, format!("expected {expected}, got {got}{advice}")))
        }
        Err(error) => Err(wrong(name, format!("expected {expected}: {error}"))),
    }
}

fn wrong(location: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Data { location: location.into(), reason: reason.into(), bad: 1 }
}

#[cfg(test)]
mod tests;
