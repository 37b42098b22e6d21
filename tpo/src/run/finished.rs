//! Results of finished queries, kept from an earlier attempt of a run.
//!
//! The journal has the checksum of the line of each finished query. A line of an earlier `results.jsonl`, or of the
//! file of an attempt that was killed, is kept if it has that checksum and is of the query as it is now. All other
//! queries are searched again from their steps.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value as Json};
use textgrad_ops::util::fs::partial_path;
use textgrad_ops::util::jsonl::{Reader, crc32c};

use super::results::ResultRecord;
use super::shard::{Shard, indices};
use crate::error::Error;
use crate::journal::{FinishedQueries, SCHEMA};
use crate::query::Query;
use crate::util::open_existing;

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;
/// Lines that are parsed at a time.
const LINES: usize = 64;

/// The lines of finished queries.
#[derive(Debug, Default)]
pub(super) struct FinishedResults {
    files: Vec<(PathBuf, File)>,
    lines: BTreeMap<usize, LineSpan>,
    /// Whether `results.jsonl` has all queries and nothing else.
    pub(super) is_whole: bool,
}

/// The position of a line.
#[derive(Debug, Clone, Copy)]
struct LineSpan {
    file: usize,
    number: usize,
    offset: u64,
    length: usize,
}

/// A line with the record that it has.
#[derive(Debug)]
pub(super) struct FinishedLine {
    pub(super) record: ResultRecord,
    pub(super) line: Vec<u8>,
}

/// The first fields of a line, as [`ResultRecord`] has them.
#[derive(Serialize)]
struct Head<'a> {
    schema: u32,
    index: usize,
    query: &'a Query,
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: &'a Map<String, Json>,
}

impl FinishedResults {
    /// Finds the lines of finished queries beside `results`. It blocks.
    ///
    /// # Errors
    /// [`Error::Io`] if a file that is there cannot be read.
    pub(super) fn find(
        results: &Path,
        finished: &FinishedQueries,
        queries: &[Query],
        shard: Option<Shard>,
    ) -> Result<Self, Error> {
        let mut found = Self::default();
        if finished.is_empty() {
            return Ok(found);
        }
        let by_crc: HashMap<u32, usize> =
            finished.iter().map(|(query, crc)| (*crc, *query)).collect();
        for path in [results.to_owned(), partial_path(results)] {
            let Some(file) = open_existing(&path)? else { continue };
            let failed = Error::io(&path, "cannot be read");
            let mut reader = Reader::new(BufReader::with_capacity(BUFFER, &file));
            let number = found.files.len();
            while let Some(line) = reader.next_line().map_err(&failed)? {
                let index = by_crc.get(&crc32c([line.bytes])).copied();
                let query = index.and_then(|index| Some((index, queries.get(index)?)));
                let Some((index, query)) = query else { continue };
                if is_of(line.bytes, index, query) {
                    let (offset, length) = (line.offset, line.bytes.len());
                    let span = LineSpan { file: number, number: line.number, offset, length };
                    found.lines.entry(index).or_insert(span);
                }
            }
            if path == results {
                let lines = reader.number();
                let expected = indices(shard, queries.len()).zip(1..);
                found.is_whole = found.lines.len() == lines
                    && reader.torn().is_none()
                    && found.lines.iter().map(|(index, span)| (*index, span.number)).eq(expected);
            }
            drop(reader);
            if path != results && found.lines.values().any(|span| span.file == number) {
                // This attempt begins a file of that name, while lines are read from the open one.
                let _ = std::fs::remove_file(&path);
            }
            found.files.push((path, file));
            if found.is_whole {
                break;
            }
        }
        Ok(found)
    }

    /// The queries of a part of so many that have no line.
    pub(super) fn missing(&self, shard: Option<Shard>, queries: usize) -> Vec<usize> {
        indices(shard, queries).filter(|index| !self.lines.contains_key(index)).collect()
    }

    /// Takes the next lines, in the order of the queries, of those below an index. It blocks.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read, [`Error::Record`] if they are not as they were any more.
    pub(super) fn take(&mut self, below: usize) -> Result<Vec<FinishedLine>, Error> {
        let mut taken = Vec::new();
        while taken.len() < LINES
            && let Some(first) = self.lines.first_entry().filter(|first| *first.key() < below)
        {
            let (index, span) = first.remove_entry();
            let Some((path, file)) = self.files.get(span.file) else { continue };
            let line = read(file, span).map_err(Error::io(path, "cannot be read"))?;
            let wrong = |reason| Error::Record { path: path.clone(), line: span.number, reason };
            let record: ResultRecord =
                serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?;
            if record.index != index {
                let got = record.index;
                return Err(wrong(format!("expected query {index}, as before, got {got}")));
            }
            taken.push(FinishedLine { record, line });
        }
        Ok(taken)
    }
}

/// Whether a line begins as that of this query does.
fn is_of(line: &[u8], index: usize, query: &Query) -> bool {
    let head = Head { schema: SCHEMA, index, query, fields: query.fields() };
    let Ok(mut head) = serde_json::to_vec(&head) else { return false };
    head.pop();
    head.extend_from_slice(br#","status":"#);
    line.starts_with(&head)
}

fn read(mut file: &File, span: LineSpan) -> io::Result<Vec<u8>> {
    let mut line = vec![0; span.length];
    file.seek(SeekFrom::Start(span.offset))?;
    file.read_exact(&mut line)?;
    Ok(line)
}
