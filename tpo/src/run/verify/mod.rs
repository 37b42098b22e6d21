//! Verification of a run against its journal.

mod result;
mod served;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Seek as _;
use std::path::PathBuf;

use self::served::ServedRequests;
use super::folder::RecordedRun;
use super::results::Status;
use super::{SERVED, shard::indices};
use crate::error::Error;
use crate::journal::{Record, RecordHead, Scan, StepKey, digest, read, scan};
use serde::Serialize;

const RESULTS: &str = "results.jsonl";
const JOURNAL: &str = "journal.jsonl";
const CONFIG: &str = "config.json";

/// The maximum number of findings that are kept.
const MAX_FINDINGS: usize = 1000;

/// What a check of a run found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verification {
    /// Results that were checked.
    pub results: usize,
    /// Results that are of failed searches.
    pub failed: usize,
    /// Finished steps in the journal: calls of models.
    pub calls: u64,
    /// Finished steps in the journal: scores.
    pub scores: u64,
    /// What is wrong; at most 1000 findings.
    pub findings: Vec<Finding>,
}

/// Something that is wrong with a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file that shows it.
    pub file: &'static str,
    /// Its line, from 1; 0 where none is to be named.
    pub line: usize,
    /// What was expected and what is there.
    pub problem: String,
    /// Whether something is only not there yet: the run was interrupted, or is under way.
    pub incomplete: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.problem),
            line => write!(f, "{}, line {line}: {}", self.file, self.problem),
        }
    }
}

impl Verification {
    /// Whether nothing is wrong: the run is whole, and its results are what its journal says.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    /// Whether nothing is wrong but that the run is not over: it can be continued.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        !self.is_sound() && self.findings.iter().all(|finding| finding.incomplete)
    }

    fn find(&mut self, file: &'static str, line: usize, problem: impl Into<String>) {
        self.add(Finding { file, line, problem: problem.into(), incomplete: false });
    }

    /// Notes what is not there yet.
    fn lack(&mut self, file: &'static str, line: usize, problem: impl Into<String>) {
        self.add(Finding { file, line, problem: problem.into(), incomplete: true });
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }
}

impl RecordedRun {
    /// Checks the run against its journal: that every line can be read and has its checksum, or is noted as dropped,
    /// that both have the same settings, that
    /// every answer, score, loss and gradient of the results is in the journal, that requests, tokens and
    /// scores are as many as were written down, and that nothing was paid for twice. It blocks.
    ///
    /// It also goes through each search as its scores speak for it: the answers that each iteration chose and
    /// rejected, the order of what was sampled, and the best of all must be those that the settings name. Only
    /// where a reward model compares answers by asking an engine, or the selection of pairs is none of this
    /// crate, are the comparisons taken as they are. What the search would send is not checked;
    /// [`align`](RecordedRun::align) does that for a query. A part of a run has not all queries, so that only the run
    /// that is merged of all parts can be held against their checksum.
    ///
    /// Of a run that was interrupted, or is being served, that which is there is checked; what is missing is an
    /// [incomplete](Finding::incomplete) finding.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read. What is wrong inside of them is a [`Finding`].
    pub fn verify(&self) -> Result<Verification, Error> {
        let mut found = Verification::default();
        // Before the journal, which a server that runs adds to.
        let served = ServedRequests::read(self)?;
        let journal = check_journal(self, &mut found)?;
        let mut identities: Vec<(usize, String)> = Vec::new();
        let data = &self.config().data;
        let queries = served.as_ref().map_or(data.queries, |served| served.count);
        let mut expected = indices(self.config().shard, queries).peekable();
        let mut results = match self.results() {
            Ok(results) => Some(results),
            Err(Error::NoResults { .. }) => None,
            Err(error) => return Err(error),
        };
        for line in 1.. {
            let record = match results.as_mut().and_then(Iterator::next) {
                None => break,
                Some(Ok(record)) => record,
                Some(Err(Error::Record { line, reason, .. })) => {
                    found.find(RESULTS, line, reason);
                    break;
                }
                Some(Err(error)) => return Err(error),
            };
            let got = record.index;
            if served.as_ref().is_some_and(|served| !served.is_result(got, line)) {
                continue;
            }
            found.results += 1;
            found.failed += usize::from(record.status == Status::Error);
            // Queries that were interrupted have no line. Those of a server are in order when it has stopped.
            while served.is_none() && expected.next_if(|index| *index < got).is_some() {}
            let expected = if served.is_some() { Some(got) } else { expected.next() };
            if expected != Some(got) {
                let expected =
                    expected.map_or("no more".to_owned(), |index| format!("query {index}"));
                found.find(RESULTS, line, format!("expected {expected}, got query {got}"));
            }
            result::check(self, &record, &journal, line, &mut found)?;
            identities.push((got, record.query.identity()));
        }
        identities.sort_by_key(|(index, _)| *index);
        let (have, settled) = (identities.len(), self.config().queries());
        let whole = if served.is_some() { queries } else { settled };
        let help = match served.is_some() {
            true => {
                "searches are under way, or the server was killed and completes the folder when it starts again"
            }
            false => "the run is not over, --resume continues it",
        };
        if have < whole {
            let problem = format!("expected results of {whole} queries, got {have}: {help}");
            found.lack(RESULTS, 0, problem);
        } else if served.is_some() && settled != whole {
            let problem =
                format!("expected {whole} queries, as {SERVED} has, got {settled}: {help}");
            found.lack(CONFIG, 0, problem);
        } else if have > whole {
            found.find(RESULTS, 0, format!("expected results of {whole} queries, got {have}"));
        } else if self.config().shard.is_none()
            && digest(identities.iter().map(|(_, identity)| identity.as_str())) != data.sha256
        {
            found.find(RESULTS, 0, "the queries are not those of config.json");
        }
        for (query, _) in journal.scan.spans.range(queries..) {
            let problem = format!("steps of query {query}, but there are {queries} queries");
            found.find(JOURNAL, 0, problem);
        }
        Ok(found)
    }
}

/// An open journal, and the positions of its records.
struct Journaled {
    path: PathBuf,
    file: File,
    scan: Scan,
}

impl Journaled {
    /// The records of a query.
    fn records(&self, query: usize) -> Result<Vec<Record>, Error> {
        let spans = self.scan.spans.get(&query).map(Vec::as_slice).unwrap_or_default();
        read(&self.file, &self.path, spans)
    }
}

/// The query and the key of a step that is paid for once: every request has a seed of its own.
fn paid(record: &RecordHead) -> Option<(usize, &StepKey)> {
    match record {
        Record::Call { query, key, .. } | Record::Score { query, key, .. } => Some((*query, key)),
        _ => None,
    }
}

/// The hash of a step: a journal has millions.
fn hash(step: (usize, &StepKey)) -> u64 {
    let mut hasher = DefaultHasher::new();
    step.hash(&mut hasher);
    hasher.finish()
}

/// Finds the steps that were paid for twice, among those whose hash is there twice.
fn check_paid_once(
    journal: &Journaled,
    hashes: &[u64],
    found: &mut Verification,
) -> Result<(), Error> {
    let pairs = hashes.iter().zip(hashes.iter().skip(1));
    let twice: HashSet<u64> = pairs.filter(|(a, b)| a == b).map(|(hash, _)| *hash).collect();
    if twice.is_empty() {
        return Ok(());
    }
    let mut lines: HashMap<(usize, StepKey), usize> = HashMap::new();
    let mut file = &journal.file;
    file.rewind().map_err(Error::io(&journal.path, "cannot be read"))?;
    scan(file, &journal.path, |line, record| {
        let step = paid(record).filter(|step| twice.contains(&hash(*step)));
        if let Some((query, key)) = step
            && let Some(before) = lines.insert((query, key.clone()), line)
        {
            let problem = format!("the step of query {query} that line {before} has, paid again");
            found.find(JOURNAL, line, problem);
        }
    })?;
    Ok(())
}

/// Reads the journal, and adds what is wrong with it to the findings.
fn check_journal(run: &RecordedRun, found: &mut Verification) -> Result<Journaled, Error> {
    let path = run.journal();
    let file = File::open(&path).map_err(Error::io(&path, "cannot be read"))?;
    let mut hashes = Vec::new();
    let scan = scan(&file, &path, |_, record| {
        match record {
            RecordHead::Call { .. } => found.calls += 1,
            RecordHead::Score { .. } => found.scores += 1,
            _ => {}
        }
        hashes.extend(paid(record).map(hash));
    })?;
    hashes.sort_unstable();
    let journaled = Journaled { path, file, scan };
    check_paid_once(&journaled, &hashes, found)?;
    let journal = &journaled.scan;
    for (line, reason) in &journal.wrong {
        found.find(JOURNAL, *line, format!("not a record: {reason}"));
    }
    for line in &journal.damaged {
        let problem = "not a record: its checksum does not match, so it is damaged; --resume requests its step \
                       again";
        found.find(JOURNAL, *line, problem);
    }
    if journal.torn > 0 {
        let problem = format!(
            "{} bytes without an end, as a process leaves that is killed while it writes; --resume cuts them off",
            journal.torn
        );
        found.lack(JOURNAL, journal.lines + 1, problem);
    }
    if let Some((config, line)) = &journal.config {
        for difference in run.config().differences(config) {
            let problem = format!("its settings are not those of config.json: {difference}");
            found.find(JOURNAL, *line, problem);
        }
    }
    Ok(journaled)
}
