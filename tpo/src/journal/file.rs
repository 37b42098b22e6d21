//! Journal files: create, resume, read.

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use textgrad_ops::util::fs::{blocking, try_lock};
use textgrad_ops::util::jsonl::{Reader, Writer};

use super::{QueryJournal, Record, SCHEMA};
use crate::error::Error;

/// An open journal. Only one process can have it open for writing.
#[derive(Clone)]
pub struct Journal(Arc<JournalInner>);

#[derive(Clone)]
struct JournalInner {
    path: PathBuf,
    /// None where it is only read.
    writer: Option<Writer>,
    spans: Spans,
    config: Json,
}

/// The records of each query in the file.
type Spans = HashMap<usize, Vec<RecordSpan>>;

#[derive(Clone, Copy)]
struct RecordSpan {
    offset: u64,
    length: usize,
    number: usize,
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
            begin(&file, &path, &config)?;
            Ok(Self::open(path, Some(file), Spans::new(), config))
        })
        .await
    }

    /// Continues a journal: repairs its end and finds what it knows. A journal without a whole first line,
    /// left by a process that was killed before it had begun, is begun with `config`. It must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::RunLocked`] if another process has it,
    /// [`Error::Journal`] if a line that is not the last cannot be read or the version is unknown.
    pub async fn resume(path: &Path, config: Json) -> Result<Self, Error> {
        let path = path.to_owned();
        blocking(move || {
            let file = OpenOptions::new()
                .read(true)
                .append(true)
                .open(&path)
                .map_err(Error::io(&path, "cannot be opened"))?;
            lock(&file, &path)?;
            let scan = scan(&file, &path)?;
            file.set_len(scan.end).map_err(Error::io(&path, "cannot be repaired"))?;
            let config = match scan.config {
                Some(config) => config,
                None => {
                    begin(&file, &path, &config)?;
                    config
                }
            };
            Ok(Self::open(path, Some(file), scan.spans, config))
        })
        .await
    }

    /// Opens a journal to look things up. Nothing is repaired or written, and a process that has it open for
    /// writing is not disturbed: what it wrote until now is known. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Journal`] if a line that is not the last cannot be read,
    /// the version is unknown, or there is no whole line.
    pub async fn read(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        blocking(move || {
            let file = File::open(&path).map_err(Error::io(&path, "cannot be opened"))?;
            let scan = scan(&file, &path)?;
            let Some(config) = scan.config else {
                let reason = "expected a record of type run, got no whole line".to_owned();
                return Err(Error::Journal { path, line: 1, reason });
            };
            Ok(Self::open(path, None, scan.spans, config))
        })
        .await
    }

    fn open(path: PathBuf, file: Option<File>, spans: Spans, config: Json) -> Self {
        let writer = file.map(Writer::new);
        Self(Arc::new(JournalInner { path, writer, spans, config }))
    }

    /// Gives the run other settings from here on.
    ///
    /// # Errors
    /// [`Error::JournalWrite`] if that cannot be written; the run is as it was then.
    pub(crate) async fn extend(self, config: Json) -> Result<Self, Error> {
        if let Some(writer) = &self.0.writer {
            let written = writer.write(&Record::Extended { config: config.clone() }).await;
            written.map_err(|error| Error::JournalWrite { reason: error.to_string() })?;
        }
        let inner = Arc::unwrap_or_clone(self.0);
        Ok(Self(Arc::new(JournalInner { config, ..inner })))
    }

    /// The settings that the run was started with, or was extended to.
    #[must_use]
    pub fn config(&self) -> &Json {
        &self.0.config
    }

    /// How many finished steps were found when it was opened.
    #[must_use]
    pub fn known_steps(&self) -> usize {
        self.0.spans.values().map(Vec::len).sum()
    }

    /// What is known about one query, read from the file.
    pub(crate) async fn query(&self, query: usize) -> Result<QueryJournal, Error> {
        let spans = self.0.spans.get(&query).cloned().unwrap_or_default();
        let records = match spans.is_empty() {
            true => Vec::new(),
            false => {
                let path = self.0.path.clone();
                blocking(move || read(&path, &spans)).await?
            }
        };
        Ok(QueryJournal::new(query, self.0.writer.clone(), records))
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

fn folder(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// What the first line begins with. A file that has no whole line and is not begun like this is not ours to repair.
const HEAD: &[u8] = br#"{"type":"run","#;

/// Writes the first line.
fn begin(mut file: &File, path: &Path, config: &Json) -> Result<(), Error> {
    let record = Record::Run { schema: SCHEMA, config: config.clone() };
    let line = serde_json::to_string(&record)
        .map_err(|error| Error::JournalWrite { reason: error.to_string() })?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io(path, "cannot be written"))
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match try_lock(file).map_err(Error::io(path, "cannot be locked"))? {
        true => Ok(()),
        false => Err(Error::RunLocked { path: folder(path) }),
    }
}

struct Scan {
    spans: Spans,
    /// What the first line says; `None` if there is no whole line.
    config: Option<Json>,
    /// Where the last whole line ends.
    end: u64,
}

fn scan(file: &File, path: &Path) -> Result<Scan, Error> {
    let damaged =
        |line: usize, reason: String| Error::Journal { path: path.to_owned(), line, reason };
    let mut reader = Reader::new(BufReader::new(file));
    let mut spans = Spans::new();
    let mut config = None;
    while let Some(line) = reader.next_line().map_err(Error::io(path, "cannot be read"))? {
        let number = line.number;
        let record: Record = line.parse().map_err(|error| damaged(number, error.to_string()))?;
        match (record, number) {
            (Record::Run { schema: SCHEMA, config: found }, 1) => config = Some(found),
            (Record::Run { schema, .. }, 1) => {
                let reason = format!("expected schema {SCHEMA}, got {schema}");
                return Err(damaged(1, reason));
            }
            (Record::Extended { config: found }, _) if config.is_some() => config = Some(found),
            (record, _) => match (record.query(), &config) {
                (Some(query), Some(_)) => {
                    let (offset, length) = (line.offset, line.bytes.len());
                    spans.entry(query).or_default().push(RecordSpan { offset, length, number });
                }
                _ => {
                    let reason = "expected one record of type run, as the first line";
                    return Err(damaged(number, reason.to_owned()));
                }
            },
        }
    }
    if let Some(torn) = reader.torn().filter(|_| config.is_none())
        && !(torn.starts_with(HEAD) || HEAD.starts_with(torn))
    {
        let reason = "expected a record of type run, got something else".to_owned();
        return Err(damaged(1, reason));
    }
    let end = reader.end();
    Ok(Scan { spans, config, end })
}

fn read(path: &Path, spans: &[RecordSpan]) -> Result<Vec<Record>, Error> {
    let failed = Error::io(path, "cannot be read");
    let mut file = File::open(path).map_err(&failed)?;
    let mut records = Vec::with_capacity(spans.len());
    for span in spans {
        file.seek(SeekFrom::Start(span.offset)).map_err(&failed)?;
        let mut line = vec![0; span.length];
        file.read_exact(&mut line).map_err(&failed)?;
        records.push(serde_json::from_slice(&line).map_err(|error| Error::Journal {
            path: path.to_owned(),
            line: span.number,
            reason: error.to_string(),
        })?);
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use textgrad_core::{Choice, FinishReason, Purpose, Response};

    use super::*;
    use crate::journal::StepKey;

    fn call(query: usize, key: &str, text: &str) -> Record {
        Record::Call {
            query,
            purpose: Purpose::Sample,
            key: StepKey(key.into()),
            response: Response::new(vec![Choice::new(text, FinishReason::Stop)]),
            ms: 1,
        }
    }

    async fn resumed(path: &Path, config: Json) -> Journal {
        for _ in 0..10_000 {
            // The thread that had the file before may be about to let go of it.
            match Journal::resume(path, config.clone()).await {
                Err(Error::RunLocked { .. }) => tokio::task::yield_now().await,
                other => return other.unwrap(),
            }
        }
        panic!("the journal is still locked");
    }

    #[tokio::test]
    async fn a_torn_last_line_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let journal = Journal::create(&path, json!({ "n": 5 })).await.unwrap();
        journal.0.writer.as_ref().unwrap().write(&call(0, "a", "one")).await.unwrap();
        journal.0.writer.as_ref().unwrap().write(&call(2, "b", "zwei — “ünïcode”")).await.unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();

        for cut in [1, 5, 40] {
            let mut torn = whole.clone();
            torn.extend_from_slice(
                br#"{"type":"call","query":0,"purpose":"sample","key":"c","resp"#,
            );
            torn.truncate(whole.len() + cut);
            std::fs::write(&path, &torn).unwrap();
            let journal = resumed(&path, json!({})).await;
            assert_eq!(journal.known_steps(), 2);
            assert_eq!(journal.config(), &json!({ "n": 5 }));
            let query = journal.query(2).await.unwrap();
            let known = query.recall_call(&StepKey("b".into())).unwrap();
            assert_eq!(known.unwrap().choices[0].text, "zwei — “ünïcode”");
            drop((journal, query));
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[tokio::test]
    async fn a_damaged_line_in_the_middle_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let header = r#"{"type":"run","schema":1,"config":{}}"#;
        for (text, line, part) in [
            (format!("{header}\nnot json\n{header}\n"), 2, "expected"),
            (format!("{header}\n{header}\n"), 2, "first line"),
            ("{\"type\":\"run\",\"schema\":9,\"config\":{}}\n".to_owned(), 1, "schema 1, got 9"),
            ("some notes".to_owned(), 1, "got something else"),
        ] {
            std::fs::write(&path, &text).unwrap();
            match Journal::resume(&path, json!({})).await {
                Err(Error::Journal { line: found, reason, .. }) => {
                    assert_eq!(found, line, "{reason}");
                    assert!(reason.contains(part), "{reason}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is left as it was");
        }
    }

    #[tokio::test]
    async fn a_journal_that_was_not_begun_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        for text in ["", "{\"type\":\"run\",\"sche"] {
            std::fs::write(&path, text).unwrap();
            let journal = resumed(&path, json!({ "n": 5 })).await;
            assert_eq!(journal.config(), &json!({ "n": 5 }));
            let begun = std::fs::read_to_string(&path).unwrap();
            assert_eq!(begun, "{\"type\":\"run\",\"schema\":1,\"config\":{\"n\":5}}\n");
            drop(journal);
        }
    }

    #[tokio::test]
    async fn two_writers_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let _open = Journal::create(&path, json!({})).await.unwrap();
        let second = Journal::resume(&path, json!({})).await.unwrap_err();
        assert!(matches!(second, Error::RunLocked { .. }), "{second}");
    }
}
