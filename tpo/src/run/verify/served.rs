//! Served runs, whose results are in order only when their server has stopped.

use std::collections::{BTreeSet, HashMap};
use std::io::BufReader;
use std::path::Path;

use textgrad_ops::util::jsonl::Reader;

use crate::error::Error;
use crate::run::SERVED;
use crate::run::folder::RecordedRun;
use crate::run::results::Indexed;
use crate::util::open_existing;

/// The requests of a served run, and the lines of their results.
pub(super) struct ServedRequests {
    pub(super) count: usize,
    /// The last line of each request, by its index.
    last_lines: HashMap<usize, usize>,
}

impl ServedRequests {
    /// Reads the files of a run as they are now. `None` if it was not served.
    pub(super) fn read(run: &RecordedRun) -> Result<Option<Self>, Error> {
        let served = run.path().join(SERVED);
        if !served.exists() {
            return Ok(None);
        }
        // The results first: a request is written before its result.
        let results = indices(&run.path().join(super::RESULTS))?.unwrap_or_default();
        let requests = indices(&served)?.unwrap_or_default();
        let last_lines: HashMap<usize, usize> = results.into_iter().zip(1..).collect();
        // As its server reads them: the line of a request before the last may be lost with a kill.
        let requests: BTreeSet<usize> = requests.into_iter().collect();
        let count =
            requests.into_iter().zip(0..).take_while(|(index, place)| index == place).count();
        Ok(Some(Self { count, last_lines }))
    }

    /// Whether a line has the result of its request: the last one of several.
    pub(super) fn is_result(&self, index: usize, line: usize) -> bool {
        self.last_lines.get(&index) == Some(&line)
    }
}

/// The indices of the lines of a file, up to one that has none. `None` if there is no file.
fn indices(path: &Path) -> Result<Option<Vec<usize>>, Error> {
    let Some(file) = open_existing(path)? else { return Ok(None) };
    let (mut indices, mut reader) = (Vec::new(), Reader::new(BufReader::new(file)));
    while let Some(line) = reader.next_line().map_err(Error::io(path, "cannot be read"))? {
        let Ok(Indexed { index }) = line.parse() else { break };
        indices.push(index);
    }
    Ok(Some(indices))
}
