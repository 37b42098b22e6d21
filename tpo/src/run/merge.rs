//! The parts of a run made one run.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use textgrad_ops::util::fs::{partial_path, replace, try_lock};
use textgrad_ops::util::jsonl::{Reader, line_with_checksum};

use super::config::RunConfig;
use super::folder::RecordedRun;
use super::results::{Indexed, lines};
use super::shard::Shard;
use super::verify::Verification;
use crate::error::Error;
use crate::journal::{FinishedQueries, NewRecord, Record, RecordHead, SCHEMA};

/// Bytes that are read and written at a time.
const BUFFER: usize = 256 * 1024;

/// How many missing parts an error names.
const MAX_NAMED: usize = 10;

/// Makes one run of all parts of a run, in the folder `out`: `results.jsonl` is, byte for byte, that of the run made
/// at once with the same answers, and the journal has the steps of all parts. The new run is
/// [verified](RecordedRun::verify) before it is put in its place; the parts are only read. It blocks.
///
/// # Errors
/// [`Error::Merge`] if a part is missing, given twice or not whole, or if settings differ; [`Error::RunExists`] if
/// there is something at `out`; those of reading and writing files. Then there is nothing at `out`.
pub fn merge(parts: &[PathBuf], out: &Path) -> Result<Verification, Error> {
    let runs: Vec<RecordedRun> = parts.iter().map(RecordedRun::open).collect::<Result<_, _>>()?;
    let (config, runs) = ordered(&runs)?;
    if out.exists() {
        return Err(Error::RunExists { path: out.to_owned() });
    }
    // A merge that was killed leaves a folder that the next one writes anew.
    let partial = partial_path(out);
    fs::create_dir_all(&partial).map_err(Error::io(&partial, "cannot be created"))?;
    let merged = write(&config, &runs, &partial, out);
    if merged.is_err() && !matches!(merged, Err(Error::RunLocked { .. })) {
        // The error says more than a folder that cannot be removed.
        let _ = fs::remove_dir_all(&partial);
    }
    merged
}

/// The settings of the whole, and the parts in their order.
fn ordered(runs: &[RecordedRun]) -> Result<(RunConfig, Vec<&RecordedRun>), Error> {
    let mut parts: BTreeMap<Shard, &RecordedRun> = BTreeMap::new();
    let mut first: Option<(&RecordedRun, serde_json::Value)> = None;
    for run in runs {
        let wrong = |reason: String| Error::Merge { path: run.path().to_owned(), reason };
        let Some(shard) = run.config().shard else {
            return Err(wrong(
                "expected a part of a run, made with --shard I/N, got a whole run".to_owned(),
            ));
        };
        let whole = RunConfig { shard: None, ..run.config().clone() };
        match &first {
            None => first = Some((run, whole.to_json()?)),
            Some((other, then)) => {
                let mut differences = whole.differences(then);
                let then = other.config().shard.map_or(0, Shard::count);
                if shard.count() != then {
                    differences.push(format!("parts: {then} there, {} here", shard.count()));
                }
                if !differences.is_empty() {
                    let (other, differences) = (other.path().display(), differences.join("; "));
                    return Err(wrong(format!(
                        "expected the settings of {other}, got others: {differences}"
                    )));
                }
            }
        }
        if let Some(twice) = parts.insert(shard, run) {
            let path = twice.path().display();
            return Err(wrong(format!(
                "expected each part once, got part {shard}, which {path} is too"
            )));
        }
    }
    let Some((first, _)) = first else {
        return Err(Error::config("parts", "the directories of at least one part", "none"));
    };
    let count = first.config().shard.map_or(0, Shard::count);
    if parts.len() < count {
        let missing = (1..=count).filter(|number| parts.keys().all(|one| one.number() != *number));
        let named: Vec<String> =
            missing.take(MAX_NAMED).map(|number| format!("{number}/{count}")).collect();
        let more = if count - parts.len() > MAX_NAMED { ", ..." } else { "" };
        let reason = format!("expected all {count} parts, got none of {}{more}", named.join(", "));
        return Err(Error::Merge { path: first.path().to_owned(), reason });
    }
    let config = RunConfig { shard: None, ..first.config().clone() };
    Ok((config, parts.into_values().collect()))
}

/// Writes the run to `partial`, verifies it, and moves it to `out`.
fn write(
    config: &RunConfig,
    runs: &[&RecordedRun],
    partial: &Path,
    out: &Path,
) -> Result<Verification, Error> {
    let path = partial.join("journal.jsonl");
    let failed = Error::io(&path, "cannot be written");
    let journal = File::options().create(true).append(true).open(&path).map_err(&failed)?;
    if !try_lock(&journal).map_err(&failed)? {
        return Err(Error::RunLocked { path: partial.to_owned() });
    }
    journal.set_len(0).map_err(&failed)?;
    let json = config.to_json()?;
    let mut lines = BufWriter::with_capacity(BUFFER, &journal);
    append(&mut lines, &NewRecord::Run { schema: SCHEMA, config: json.clone() })
        .map_err(&failed)?;
    for run in runs {
        join_journal(run, &mut lines, &failed)?;
    }
    lines.flush().and_then(|()| journal.sync_all()).map_err(&failed)?;
    join_results(runs, config.data.queries, &partial.join("results.jsonl"))?;
    let file = partial.join("config.json");
    replace(&file, format!("{json:#}\n").as_bytes())
        .map_err(Error::io(&file, "cannot be written"))?;

    let found = RecordedRun::open(partial)?.verify()?;
    if let Some(finding) = found.findings.first() {
        let (count, of) = (found.findings.len(), "the parts together are not sound");
        let reason = format!("{of}: {finding} (findings: {count}); tpo verify checks each part");
        return Err(Error::Merge { path: out.to_owned(), reason });
    }
    fs::rename(partial, out).map_err(Error::io(out, "cannot be created"))?;
    Ok(found)
}

fn append(lines: &mut impl Write, record: &NewRecord<'_>) -> io::Result<()> {
    lines.write_all(line_with_checksum(record)?.as_bytes())
}

/// Appends the steps of a part. Its settings and its damaged lines stay behind.
fn join_journal(
    run: &RecordedRun,
    lines: &mut impl Write,
    failed: &impl Fn(io::Error) -> Error,
) -> Result<(), Error> {
    let path = run.journal();
    let unreadable = Error::io(&path, "cannot be read");
    let file = File::open(&path).map_err(&unreadable)?;
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, file));
    let mut finished = FinishedQueries::new();
    while let Some(line) = reader.next_line().map_err(&unreadable)? {
        let wrong = |reason| Error::Journal { path: path.clone(), line: line.number, reason };
        match RecordHead::parse(&line).map_err(|error| wrong(error.to_string()))? {
            // Whose line a damaged one was is not known.
            None | Some(Record::Run { .. } | Record::Extended { .. } | Record::Dropped { .. }) => {
                finished.clear();
            }
            Some(Record::Finished { query, line_crc }) => {
                finished.insert(query, line_crc);
            }
            Some(step) => {
                let (query, shard) = (step.query(), run.config().shard);
                if let (Some(query), Some(shard)) = (query, shard)
                    && !shard.has(query)
                {
                    return Err(wrong(format!(
                        "expected steps of part {shard}, got one of query {query}"
                    )));
                }
                lines.write_all(line.bytes).map_err(failed)?;
            }
        }
    }
    let finished =
        finished.into_iter().map(|(query, line_crc)| NewRecord::Finished { query, line_crc });
    finished.into_iter().try_for_each(|record| append(lines, &record)).map_err(failed)
}

/// Writes the lines of the parts in the order of their queries.
fn join_results(runs: &[&RecordedRun], queries: usize, to: &Path) -> Result<(), Error> {
    let failed = Error::io(to, "cannot be written");
    let file = File::create(to).map_err(&failed)?;
    let mut joined = BufWriter::with_capacity(BUFFER, &file);
    let mut parts = Vec::with_capacity(runs.len());
    for run in runs {
        let path = run.path().join("results.jsonl");
        let reader = lines(run.path(), &path)?;
        parts.push((run, path, reader));
    }
    let count = parts.len();
    for index in 0..queries {
        let Some((run, path, reader)) = parts.get_mut(index % count) else { continue };
        let number = reader.number() + 1;
        let Some(line) = reader.next_line().map_err(Error::io(path, "cannot be read"))? else {
            let reason = format!(
                "expected a result of query {index}, got none: --resume finishes this part"
            );
            return Err(Error::Merge { path: run.path().to_owned(), reason });
        };
        let wrong = |reason| Error::Record { path: path.clone(), line: number, reason };
        let got = line.parse::<Indexed>().map_err(|error| wrong(error.to_string()))?.index;
        if got != index {
            let hint = "--resume finishes a part that was interrupted";
            return Err(wrong(format!("expected query {index}, got {got}; {hint}")));
        }
        joined.write_all(line.bytes).map_err(&failed)?;
    }
    for (_, path, reader) in &mut parts {
        if reader.next_line().map_err(Error::io(path, "cannot be read"))?.is_some()
            || reader.torn().is_some()
        {
            let reason =
                format!("expected the last result before it, of {queries} queries, got more");
            return Err(Error::Record { path: path.clone(), line: reader.number(), reason });
        }
    }
    joined.flush().and_then(|()| file.sync_all()).map_err(&failed)
}
