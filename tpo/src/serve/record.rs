//! Served searches in run folders: one for each set of search settings, below the directory of the server.
//!
//! A folder has the files of `tpo run`, and `served.jsonl` with a line for each request before its search begins. A
//! line is added to `results.jsonl` when a search ends; a repeated request may have several, the last of which holds.
//! When the folder is closed, and when the server starts again after a kill, the file is written anew: one line for
//! each request, in their order. A folder is closed when the server stops, and when many are open and no request holds
//! it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use textgrad_ops::util::fs::blocking;
use textgrad_ops::util::jsonl::{Reader, Writer, end_of_last_line};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::error::ApiError;
use crate::batch::QueryOutcome;
use crate::config::StopReason;
use crate::error::Error;
use crate::journal::{self, QueryJournal, digest};
use crate::query::Query;
use crate::run::{RecordedRun, ResultRecord, RunConfig, RunFolder, SERVED, Status};
use crate::search::{AlignError, Alignment, Tpo, Trajectory};
use crate::util::open_existing;

/// The source of served queries, in the settings of a run.
const SOURCE: &str = "served";
const RESULTS: &str = "results.jsonl";
/// Above so many open folders, those that no request holds are closed. Each has three open files.
const MAX_OPEN: usize = 64;

/// Records searches below a directory.
pub(crate) struct Recorder {
    root: PathBuf,
    /// By name, the one that was used last at the end.
    folders: Mutex<Vec<(String, Slot)>>,
}

/// A run folder; none while it is not open. It is locked while it is opened or closed.
type Slot = Arc<AsyncMutex<Option<Arc<ServedRun>>>>;

textgrad_core::debug_by!(Recorder { root });

/// An open run folder.
struct ServedRun {
    folder: RunFolder,
    served: Writer,
    results: Writer,
    simulated: bool,
    state: Mutex<RunState>,
}

#[derive(Default)]
struct RunState {
    next: usize,
    /// Requests by their idempotency keys.
    keys: HashMap<String, usize>,
    /// Requests whose search is under way.
    busy: HashSet<usize>,
}

/// A line of `served.jsonl`: a request, before its search.
#[derive(Serialize, Deserialize)]
struct Served {
    index: usize,
    /// The id of the answer.
    id: String,
    /// A hash of the client's idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    query: Query,
}

/// A search that is recorded, until it is dropped.
pub(crate) struct Recorded {
    run: Arc<ServedRun>,
    pub(crate) index: usize,
    /// Whether no earlier request has its place: then the journal has no steps of it.
    is_new: bool,
}

impl Recorder {
    /// Opens a directory, which is made if it is not there. Folders that a killed server left get their results.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written, [`Error::RunLocked`] if another server has it, and those of
    /// [`RunFolder::extend`].
    pub(crate) async fn open(root: &Path) -> Result<Self, Error> {
        let made = tokio::fs::create_dir_all(root).await;
        made.map_err(Error::io(root, "cannot be created"))?;
        let failed = Error::io(root, "cannot be read");
        let mut entries = tokio::fs::read_dir(root).await.map_err(&failed)?;
        while let Some(entry) = entries.next_entry().await.map_err(&failed)? {
            let path = entry.path();
            if !tokio::fs::try_exists(path.join(SERVED)).await.unwrap_or(false) {
                continue;
            }
            let run = blocking({
                let path = path.clone();
                move || RecordedRun::open(path)
            });
            let config = run.await?.config().clone();
            ServedRun::open(&path, config).await?.finish().await?;
        }
        Ok(Self { root: root.to_owned(), folders: Mutex::default() })
    }

    /// Notes a request before its search. One with the idempotency key of an earlier one takes its place: what was paid
    /// for then is answered from the journal.
    pub(crate) async fn begin(
        &self,
        tpo: &Tpo,
        id: &str,
        query: &Query,
        key: Option<String>,
    ) -> Result<Recorded, ApiError> {
        let config = RunConfig::new(tpo, SOURCE, &[]);
        let settings = digest([serde_json::to_string(&config).unwrap_or_default().as_str()]);
        let name = format!(
            "{}-d{}-n{}-{}",
            tpo.config().mode,
            tpo.config().depth(),
            tpo.config().samples,
            settings.get(..8).unwrap_or(&settings)
        );
        let run = self.folder(name, config).await.map_err(|error| ApiError::search(&error))?;
        let (index, is_new) = run.place(key.as_ref())?;
        let recorded = Recorded { run, index, is_new };
        if is_new {
            let line = Served { index, id: id.to_owned(), key, query: query.clone() };
            let written = recorded.run.served.write(&line);
            written.map_err(|error| ApiError::internal(error.to_string()))?;
        }
        Ok(recorded)
    }

    /// The folder with a name, opened if it is not open.
    async fn folder(&self, name: String, config: RunConfig) -> Result<Arc<ServedRun>, Error> {
        let path = self.root.join(&name);
        let slot = {
            let mut folders = self.folders.lock();
            let known = folders.iter().position(|(known, _)| *known == name);
            let used = known.map_or_else(|| (name, Slot::default()), |at| folders.remove(at));
            let slot = Arc::clone(&used.1);
            folders.push(used);
            slot
        };
        while let Some((name, mut run)) = self.idle() {
            if let Some(run) = run.take().and_then(Arc::into_inner)
                && let Err(error) = run.finish().await
            {
                let error = textgrad_core::describe(&error);
                tracing::error!(folder = name, error, "its results could not be written");
            }
            // It stays where a request waits for it.
            self.folders
                .lock()
                .retain(|(known, slot)| *known != name || Arc::strong_count(slot) > 2);
        }
        let mut open = slot.lock().await;
        if let Some(run) = open.as_ref() {
            return Ok(Arc::clone(run));
        }
        let run = Arc::new(ServedRun::open(&path, config).await?);
        Ok(Arc::clone(open.insert(run)))
    }

    /// If too many folders are open, the one of those that no request holds that was used longest ago.
    fn idle(&self) -> Option<(String, OwnedMutexGuard<Option<Arc<ServedRun>>>)> {
        let folders = self.folders.lock();
        if folders.len() <= MAX_OPEN {
            return None;
        }
        let mut unused = folders.iter().filter(|(_, slot)| Arc::strong_count(slot) == 1);
        unused.find_map(|(name, slot)| {
            let run = Arc::clone(slot).try_lock_owned().ok()?;
            let is_held = run.as_ref().is_some_and(|run| Arc::strong_count(run) > 1);
            (!is_held).then(|| (name.clone(), run))
        })
    }

    /// Writes the results of all folders.
    pub(crate) async fn finish(&self) -> Result<(), Error> {
        let folders = std::mem::take(&mut *self.folders.lock());
        for (_, slot) in folders {
            let Some(run) = slot.lock().await.take() else { continue };
            let path = run.folder.path().to_owned();
            // Searches that were dropped with their server let go of it as soon as the runtime runs them.
            for _ in 0..100 {
                if Arc::strong_count(&run) == 1 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            match Arc::into_inner(run) {
                Some(run) => run.finish().await?,
                None => tracing::warn!(
                    folder = %path.display(),
                    "a search still holds the folder; its results are put in order when the server starts again"
                ),
            }
        }
        Ok(())
    }
}

impl ServedRun {
    async fn open(path: &Path, config: RunConfig) -> Result<Self, Error> {
        let (file, has_run) = (path.join(SERVED), path.join(journal::FILE));
        let requests = requests(&file).await?;
        let simulated = config.simulated;
        let folder = match tokio::fs::try_exists(&has_run).await.unwrap_or(false) {
            false => RunFolder::create(path, &config).await?,
            true => {
                let queries: Vec<Query> = requests.iter().map(|(query, _)| query.clone()).collect();
                let config = config.with_queries(SOURCE, &queries);
                RunFolder::extend(path, &config, &queries).await?
            }
        };
        let keys = requests.iter().enumerate();
        let keys = keys.filter_map(|(index, (_, key))| Some((key.clone()?, index)));
        let state = RunState { next: requests.len(), keys: keys.collect(), ..RunState::default() };
        let (served, results) = (appending(file).await?, appending(path.join(RESULTS)).await?);
        Ok(Self { folder, served, results, simulated, state: Mutex::new(state) })
    }

    /// The index of a request, and whether it is new.
    fn place(&self, key: Option<&String>) -> Result<(usize, bool), ApiError> {
        let mut state = self.state.lock();
        let known = key.and_then(|key| state.keys.get(key).copied());
        let index = known.unwrap_or(state.next);
        if !state.busy.insert(index) {
            return Err(ApiError::conflict("a request with this idempotency key is under way"));
        }
        if known.is_none() {
            state.next += 1;
            if let Some(key) = key {
                state.keys.insert(key.clone(), index);
            }
        }
        Ok((index, known.is_none()))
    }

    /// Writes `results.jsonl` anew, in the order of the requests; those that were dropped are failures.
    async fn finish(mut self) -> Result<(), Error> {
        let requests = requests(&self.folder.path().join(SERVED)).await?;
        let mut results = results(self.folder.path().join(RESULTS)).await?;
        let queries: Vec<Query> = requests.into_iter().map(|(query, _)| query).collect();
        self.folder.set_queries(SOURCE, &queries).await?;
        let mut writer = self.folder.results().await?;
        for (index, query) in queries.into_iter().enumerate() {
            let record = match results.remove(&index) {
                Some(record) => record,
                None => {
                    let (error, trajectory) = (Error::Stopped, Trajectory::default());
                    let result = Err(AlignError { error, trajectory });
                    ResultRecord::new(&QueryOutcome { index, query, result }, self.simulated)
                }
            };
            writer.write(&record).await?;
        }
        writer.finish().await.map(|_| ())
    }
}

impl Recorded {
    /// The journal of the search, with the steps of earlier attempts.
    pub(crate) async fn journal(&self) -> Result<QueryJournal, ApiError> {
        let journal = self.run.folder.journal();
        let journal = match self.is_new {
            true => journal.query(self.index).await,
            false => journal.query_anew(self.index).await,
        };
        journal.map_err(|error| ApiError::search(&error))
    }

    /// Notes the result of the search. One that a limit of its request ended came to its end as the client wanted it.
    pub(crate) async fn finish(
        &self,
        query: &Query,
        result: Result<Alignment, AlignError>,
    ) -> Result<Alignment, AlignError> {
        let run = &self.run;
        let outcome = QueryOutcome { index: self.index, query: query.clone(), result };
        let mut record = ResultRecord::new(&outcome, run.simulated);
        let stopped = record.trajectory.stopped.as_ref();
        if record.best.is_some() && stopped.is_some_and(StopReason::is_request_limit) {
            (record.status, record.error) = (Status::Ok, None);
        }
        if let Err(error) = run.results.write(&record) {
            tracing::error!(%error, "a result could not be recorded");
        }
        outcome.result
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        self.run.state.lock().busy.remove(&self.index);
    }
}

/// Requests in their order, with the hashes of their keys.
type Requests = Vec<(Query, Option<String>)>;

/// The requests of a file.
async fn requests(path: &Path) -> Result<Requests, Error> {
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
async fn results(path: PathBuf) -> Result<BTreeMap<usize, ResultRecord>, Error> {
    let mut results = BTreeMap::new();
    blocking(move || {
        lines(&path, |record: ResultRecord| drop(results.insert(record.index, record)))?;
        Ok(results)
    })
    .await
}

/// Reads the lines of a file; none, if it is not there.
fn lines<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> Result<(), Error> {
    let Some(file) = open_existing(path)? else { return Ok(()) };
    let mut reader = Reader::new(BufReader::new(file));
    while let Some(line) = reader.next_line().map_err(Error::io(path, "cannot be read"))? {
        let wrong = |reason| Error::Record { path: path.to_owned(), line: line.number, reason };
        each(line.parse().map_err(|error| wrong(error.to_string()))?);
    }
    Ok(())
}

/// Opens a file to add lines to it. A process that was killed may have left half a line, which is cut off.
async fn appending(path: PathBuf) -> Result<Writer, Error> {
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

/// The hash of a client's idempotency key for one search of a request.
pub(crate) fn request_key(client: &str, key: &str, search: &str, query: &Query) -> String {
    digest([client, key, search, query.identity().as_str()])
}
