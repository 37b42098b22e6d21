//! The steps of a journal that may be damaged.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};

use textgrad_ops::util::jsonl::Reader;

use super::{JOURNAL, Verification};
use crate::error::Error;
use crate::journal::{Record, SCHEMA};
use crate::run::recorded::RecordedRun;

/// The positions of the steps of each query.
pub(super) struct StepIndex {
    positions: BTreeMap<usize, Vec<(u64, usize)>>,
}

impl StepIndex {
    /// Scans the journal, and adds what is wrong with it to the findings.
    pub(super) fn scan(run: &RecordedRun, found: &mut Verification) -> Result<Self, Error> {
        let path = run.journal();
        let file = File::open(&path).map_err(Error::io(&path, "cannot be read"))?;
        let mut reader = Reader::new(BufReader::new(file));
        let mut positions: BTreeMap<usize, Vec<(u64, usize)>> = BTreeMap::new();
        // What was asked, by query, and the line of the answer.
        let mut paid: HashMap<(usize, String), usize> = HashMap::new();
        // The newest settings, and the line that has them.
        let mut settings = None;
        while let Some(read) = reader.next_line().map_err(Error::io(&path, "cannot be read"))? {
            let (line, position) = (read.number, (read.offset, read.bytes.len()));
            let record: Record = match read.parse() {
                Ok(record) => record,
                Err(error) => {
                    found.find(JOURNAL, line, format!("not a record: {error}"));
                    continue;
                }
            };
            if let Record::Run { schema, config } = &record {
                first(*schema, line, found);
                settings = Some((config.clone(), line));
                continue;
            }
            if let Record::Extended { config } = record {
                settings = Some((config, line));
                continue;
            }
            if line == 1 {
                found.find(JOURNAL, 1, "expected a record of type run as the first line");
            }
            let (query, key) = match record {
                Record::Call { query, key, .. } => {
                    found.calls += 1;
                    (query, Some(key))
                }
                Record::Score { query, key, .. } => {
                    found.scores += 1;
                    (query, Some(key))
                }
                Record::Choice { query, .. } | Record::Failed { query, .. } => (query, None),
                Record::Run { .. } | Record::Extended { .. } => continue,
            };
            positions.entry(query).or_default().push(position);
            // Every request has a seed of its own, so no step is asked for twice.
            if let Some(before) = key.and_then(|key| paid.insert((query, key), line)) {
                let problem =
                    format!("the step of query {query} that line {before} has, paid again");
                found.find(JOURNAL, line, problem);
            }
        }
        if let Some(torn) = reader.torn() {
            let problem = format!(
                "{} bytes without an end, as a process leaves that is killed while it writes; --resume cuts them off",
                torn.len()
            );
            found.find(JOURNAL, reader.number() + 1, problem);
        }
        if let Some((config, line)) = settings {
            for difference in run.config().differences(&config) {
                let problem = format!("its settings are not those of config.json: {difference}");
                found.find(JOURNAL, line, problem);
            }
        }
        Ok(Self { positions })
    }

    /// The steps of a query that can be parsed.
    pub(super) fn of(&self, run: &RecordedRun, query: usize) -> Result<Vec<Record>, Error> {
        let path = run.journal();
        let mut file = File::open(&path).map_err(Error::io(&path, "cannot be read"))?;
        let mut records = Vec::new();
        for (offset, length) in self.positions.get(&query).map(Vec::as_slice).unwrap_or_default() {
            let mut text = vec![0; *length];
            file.seek(SeekFrom::Start(*offset)).map_err(Error::io(&path, "cannot be read"))?;
            file.read_exact(&mut text).map_err(Error::io(&path, "cannot be read"))?;
            records.extend(serde_json::from_slice::<Record>(&text));
        }
        Ok(records)
    }

    /// Queries with steps whose index is not below this.
    pub(super) fn beyond(&self, queries: usize) -> impl Iterator<Item = usize> {
        self.positions.range(queries..).map(|(query, _)| *query)
    }
}

fn first(schema: u32, line: usize, found: &mut Verification) {
    if line != 1 {
        found.find(JOURNAL, line, "a record of type run, expected as the first line only");
        return;
    }
    if schema != SCHEMA {
        found.find(JOURNAL, line, format!("expected schema {SCHEMA}, got {schema}"));
    }
}
