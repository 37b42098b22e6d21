//! Journal files: create, resume, read.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use textgrad_core::Response;
use textgrad_ops::util::fs::{blocking, try_lock};
use textgrad_ops::util::jsonl::{Line, Reader, Writer, line_with_checksum};

use super::{NewRecord, Record, RecordHead, SCHEMA};
use crate::error::Error;

/// An open journal. Only one process can have it open for writing.
#[derive(Clone)]
pub struct Journal(pub(super) Arc<JournalInner>);

#[derive(Clone)]
pub(super) struct JournalInner {
    pub(super) path: PathBuf,
    /// None where it is only read.
    pub(super) writer: Option<Writer>,
    pub(super) spans: Spans,
    pub(super) finished: FinishedQueries,
    #[cfg_attr(not(feature = "queue"), expect(dead_code, reason = "read by queues"))]
    pub(super) delivered: Deliveries,
    config: Json,
}

/// By query and log: how often it was redelivered, and how many steps were asked for again.
pub(crate) type Deliveries = BTreeMap<(usize, u64), (u64, u64)>;

/// The queries that are finished under the newest settings, each with the CRC-32C of its line in `results.jsonl`.
pub(crate) type FinishedQueries = BTreeMap<usize, u32>;

/// The records of each query in the file.
pub(crate) type Spans = BTreeMap<usize, Vec<RecordSpan>>;

/// The position of a record. A journal may have millions.
#[derive(Clone, Copy)]
pub(crate) struct RecordSpan {
    offset: u64,
    length: u32,
    number: u32,
}

impl RecordSpan {
    fn of(line: &Line<'_>) -> Self {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Self { offset: line.offset, length: count(line.bytes.len()), number: count(line.number) }
    }
}

impl Journal {
    /// Starts a journal. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::RunExists`] if the file is there already, [`Error::Io`] if it cannot be written.
    pub async fn create(path: &Path, config: Json) -> Result<Self, Error> {
        let path = path.to_owned();
        blocking(move || {
            let opened = OpenOptions::new().append(true).create_new(true).open(&path);
            let file = opened.map_err(|source| match source.kind() {
                std::io::ErrorKind::AlreadyExists => Error::RunExists { path: folder(&path) },
                _ => Error::io(&path, "cannot be created")(source),
            })?;
            lock(&file, &path)?;
            append(&file, &path, &NewRecord::Run { schema: SCHEMA, config: config.clone() })?;
            Ok(Self::open(path, Some(file), Scan::default(), config))
        })
        .await
    }

    /// Continues a journal: repairs its end and finds what it knows. A journal without a whole first line,
    /// left by a process that was killed before it had begun, is begun with `config`; one whose first line is
    /// damaged goes on with it. Damaged lines are dropped with a warning. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::RunLocked`] if another process has it,
    /// [`Error::Journal`] if an intact line cannot be read, the version is unknown, or the file is no journal.
    pub async fn resume(path: &Path, config: Json) -> Result<Self, Error> {
        let path = path.to_owned();
        blocking(move || {
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .open(&path)
                .map_err(Error::io(&path, "cannot be opened"))?;
            lock(&file, &path)?;
            let mut scan = heads(&file, &path)?.sound(&path)?;
            file.set_len(scan.end).map_err(Error::io(&path, "cannot be repaired"))?;
            if scan.config.is_none() {
                let config = config.clone();
                // Steps follow on a damaged first line, so the settings are appended.
                let record = match scan.end {
                    0 => NewRecord::Run { schema: SCHEMA, config },
                    _ => NewRecord::Extended { config },
                };
                append(&file, &path, &record)?;
            }
            for line in &scan.damaged {
                tracing::warn!(
                    file = %path.display(),
                    line,
                    "expected a journal record with its checksum, got a damaged line; its step is requested again"
                );
            }
            if !scan.damaged.is_empty() {
                let lines = std::mem::take(&mut scan.damaged);
                append(&file, &path, &NewRecord::Dropped { lines })?;
                // Whose steps they were is not known.
                scan.finished.clear();
            }
            let config = scan.config.take().map_or(config, |(config, _)| config);
            Ok(Self::open(path, Some(file), scan, config))
        })
        .await
    }

    /// Opens a journal to look things up. Nothing is repaired or written, and a process that has it open for
    /// writing is not disturbed: what it wrote until now is known. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Journal`] if an intact line cannot be read, the version is
    /// unknown, or there is no intact first line.
    pub async fn read(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        blocking(move || {
            let file = opened(&path)?;
            let mut scan = heads(&file, &path)?.sound(&path)?;
            let Some((config, _)) = scan.config.take() else {
                let reason =
                    "expected a record of type run, got no whole or a damaged line".to_owned();
                return Err(Error::Journal { path, line: 1, reason });
            };
            Ok(Self::open(path, None, scan, config))
        })
        .await
    }

    fn open(path: PathBuf, file: Option<File>, scan: Scan, config: Json) -> Self {
        let writer = file.map(Writer::with_checksums);
        let Scan { spans, finished, delivered, .. } = scan;
        Self(Arc::new(JournalInner { path, writer, spans, finished, delivered, config }))
    }

    /// Gives the run other settings from here on.
    ///
    /// # Errors
    /// [`Error::JournalWrite`] if that cannot be written; the run is as it was then.
    pub(crate) async fn extend(self, config: Json) -> Result<Self, Error> {
        self.note(&NewRecord::Extended { config: config.clone() })?;
        let inner = Arc::unwrap_or_clone(self.0);
        let finished = FinishedQueries::new();
        Ok(Self(Arc::new(JournalInner { config, finished, ..inner })))
    }

    /// The settings that the run was started with, or was extended to.
    #[must_use]
    pub fn config(&self) -> &Json {
        &self.0.config
    }

    /// Why nothing more can be written, after a failed write.
    #[cfg(feature = "serve")]
    pub(crate) fn failure(&self) -> Option<&str> {
        self.0.writer.as_ref()?.failure()
    }

    /// How many finished steps were found when it was opened.
    #[must_use]
    pub fn known_steps(&self) -> usize {
        self.0.spans.values().map(Vec::len).sum()
    }

    /// The queries that were finished when it was opened.
    pub(crate) fn finished(&self) -> &FinishedQueries {
        &self.0.finished
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.0.path)
            .field("known_steps", &self.known_steps())
            .finish_non_exhaustive()
    }
}

pub(super) fn opened(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(Error::io(path, "cannot be opened"))
}

fn folder(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

/// What the first line begins with. A file that has no whole line and is not begun like this is not ours to repair.
const HEAD: &[u8] = br#"{"type":"run","#;

/// Writes a line of a journal that is being opened.
fn append(mut file: &File, path: &Path, record: &NewRecord<'_>) -> Result<(), Error> {
    let line = line_with_checksum(record).map_err(Error::journal_write)?;
    file.write_all(line.as_bytes()).map_err(Error::io(path, "cannot be written"))
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match try_lock(file).map_err(Error::io(path, "cannot be locked"))? {
        true => Ok(()),
        false => Err(Error::RunLocked { path: folder(path) }),
    }
}

/// What a journal has.
#[derive(Default)]
pub(crate) struct Scan {
    pub(crate) spans: Spans,
    pub(crate) finished: FinishedQueries,
    pub(crate) delivered: Deliveries,
    /// The newest settings, and their line; `None` if there is no whole line.
    pub(crate) config: Option<(Json, usize)>,
    /// Where the last whole line ends.
    end: u64,
    /// How many whole lines there are.
    pub(crate) lines: usize,
    /// The length of a last line without its end, in bytes.
    pub(crate) torn: usize,
    /// Damaged lines that are not noted as dropped.
    pub(crate) damaged: Vec<usize>,
    /// Intact lines that cannot be read or have no business there, and why.
    pub(crate) wrong: Vec<(usize, String)>,
}

impl Scan {
    /// Fails with the first line that is wrong.
    fn sound(self, path: &Path) -> Result<Self, Error> {
        match self.wrong.into_iter().next() {
            Some((line, reason)) => Err(Error::Journal { path: path.to_owned(), line, reason }),
            None => Ok(Self { wrong: Vec::new(), ..self }),
        }
    }
}

/// Whether a line is the first of a journal from before there were checksums, rather than a damaged one.
fn has_no_checksum(line: &Line<'_>) -> bool {
    let fields = line.parse::<serde_json::Map<String, Json>>().unwrap_or_default();
    fields.len() == 3 && ["type", "schema", "config"].iter().all(|name| fields.contains_key(*name))
}

/// The positions of the records of a journal.
pub(super) fn heads(file: &File, path: &Path) -> Result<Scan, Error> {
    scan(file, path, |_, _: &RecordHead| {})
}

/// Reads a journal to its end; `visit` is given every intact record with its line.
///
/// # Errors
/// [`Error::Io`]. Lines that are damaged or wrong are in the scan.
pub(crate) fn scan<R: DeserializeOwned>(
    file: &File,
    path: &Path,
    mut visit: impl FnMut(usize, &Record<R>),
) -> Result<Scan, Error> {
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, file));
    let mut scan = Scan::default();
    while let Some(line) = reader.next_line().map_err(Error::io(path, "cannot be read"))? {
        let (number, span) = (line.number, RecordSpan::of(&line));
        let record = match Record::<R>::parse(&line) {
            Ok(Some(record)) => record,
            Ok(None) if number == 1 && has_no_checksum(&line) => {
                let reason = "expected a checksum (crc) in each line, got a journal without; begin a new run";
                scan.wrong.push((1, reason.to_owned()));
                continue;
            }
            Ok(None) => {
                scan.damaged.push(number);
                continue;
            }
            Err(error) => {
                scan.wrong.push((number, error.to_string()));
                continue;
            }
        };
        visit(number, &record);
        match (record, number) {
            (Record::Run { schema: SCHEMA, config }, 1) | (Record::Extended { config }, 2..) => {
                scan.config = Some((config, number));
                scan.finished.clear();
            }
            (Record::Run { schema, .. }, 1) => {
                scan.wrong.push((1, format!("expected schema {SCHEMA}, got {schema}")));
            }
            (Record::Dropped { lines }, 2..) => {
                scan.damaged.retain(|line| !lines.contains(line));
                scan.finished.clear();
            }
            (Record::Delivered { query, log, redelivered, asked_again }, 2..) => {
                scan.delivered.insert((query, log), (redelivered, asked_again));
            }
            (Record::Finished { query, line_crc }, 2..) => {
                scan.finished.insert(query, line_crc);
            }
            (record, _) => match (record.query(), number) {
                (Some(query), 2..) => scan.spans.entry(query).or_default().push(span),
                _ => {
                    let reason = "expected one record of type run, as the first line";
                    scan.wrong.push((number, reason.to_owned()));
                }
            },
        }
    }
    (scan.lines, scan.end) = (reader.number(), reader.end());
    scan.torn = reader.torn().map_or(0, <[u8]>::len);
    let is_foreign = match scan.lines {
        0 => reader.torn().is_some_and(|torn| !torn.starts_with(HEAD) && !HEAD.starts_with(torn)),
        lines => scan.damaged.len() == lines,
    };
    if is_foreign {
        let reason = "expected a record of type run, got something else";
        scan.wrong.push((1, reason.to_owned()));
    }
    Ok(scan)
}

/// Reads records at their positions.
pub(crate) fn read(
    mut file: &File,
    path: &Path,
    spans: &[RecordSpan],
) -> Result<Vec<Record>, Error> {
    let failed = Error::io(path, "cannot be read");
    let (mut records, mut bytes) = (Vec::with_capacity(spans.len()), Vec::new());
    // Lines that follow one another are read at once.
    for lines in spans.chunk_by(|one, next| one.offset + u64::from(one.length) == next.offset) {
        let Some(first) = lines.first() else { continue };
        file.seek(SeekFrom::Start(first.offset)).map_err(&failed)?;
        bytes.resize(lines.iter().map(|line| line.length as usize).sum(), 0);
        file.read_exact(&mut bytes).map_err(&failed)?;
        let mut rest = bytes.as_slice();
        for span in lines {
            let (line, after) = rest.split_at_checked(span.length as usize).unwrap_or((rest, &[]));
            rest = after;
            let line = Line { number: span.number as usize, offset: span.offset, bytes: line };
            let wrong =
                |reason| Error::Journal { path: path.to_owned(), line: line.number, reason };
            match Record::<Response>::parse(&line).map_err(|error| wrong(error.to_string()))? {
                Some(record) => records.push(record),
                None => {
                    let reason = "its checksum matched when the run began, and no longer does";
                    return Err(wrong(reason.to_owned()));
                }
            }
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
