//! The files of served runs: `served.jsonl` and `results.jsonl`, read and opened for more lines.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use textgrad_ops::util::fs::blocking;
use textgrad_ops::util::jsonl::{Reader, Writer, end_of_last_line};

use crate::error::Error;
use crate::query::Query;
use crate::run::ResultRecord;

/// A line of `served.jsonl`: a request, before its search.
#[derive(Serialize, Deserialize)]
pub(super) struct Served {
    pub(super) index: usize,
    /// The id of the answer.
    pub(super) id: String,
    /// A hash of the client's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    pub(super) query: Query,
}

/// Requests in their order, with the hashes of their keys.
pub(super) type Requests = Vec<(Query, Option<String>)>;

/// The requests of a file.
pub(super) async fn requests(path: &Path) -> Result<Requests, Error> {
    let path = path.to_owned();
    let mut requests = BTreeMap::new();
    let add = |requests: &mut BTreeMap<_, _>, served: Served| {
        drop(requests.insert(served.index, (served.query, served.key)));
    };
    blocking(move || {
        lines(&path, |served| add(&mut requests, served)).map(|()| {
            // Lines of concurrent requests may be out of order, and the last of them be lost with a kill.
            let whole =
                requests.into_iter().zip(0..).take_while(|((index, _), place)| index == place);
            whole.map(|((_, request), _)| request).collect()
        })
    })
    .await
}

/// The last result of each request.
pub(super) async fn results(path: PathBuf) -> Result<BTreeMap<usize, ResultRecord>, Error> {
    let mut results = BTreeMap::new();
    blocking(move || {
        lines(&path, |record: ResultRecord| drop(results.insert(record.index, record)))?;
        Ok(results)
    })
    .await
}

/// Reads the lines of a file; none, if it is not there.
fn lines<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> Result<(), Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(path, "cannot be opened")(error)),
    };
    let mut reader = Reader::new(BufReader::new(file));
    while let Some(line) = reader.next_line().map_err(Error::io(path, "cannot be read"))? {
        let wrong = |reason| Error::Record { path: path.to_owned(), line: line.number, reason };
        each(line.parse().map_err(|error| wrong(error.to_string()))?);
    }
    Ok(())
}

/// Opens a file to add lines to it. A process that was killed may have left half a line, which is cut off.
pub(super) async fn appending(path: PathBuf) -> Result<Writer, Error> {
    blocking(move || {
        let failed = Error::io(&path, "cannot be opened");
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut opened = opened.map_err(&failed)?;
        let end = end_of_last_line(&mut opened).map_err(&failed)?;
        opened.set_len(end).map_err(&failed)?;
        Ok(Writer::new(opened))
    })
    .await
}
