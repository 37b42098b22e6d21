//! Served searches in run folders: one for each set of search settings, below the directory of the server.
//!
//! A folder has the files of `tpo run`, and `served.jsonl` with a line for each request before its search begins. A
//! line is added to `results.jsonl` when a search ends; a repeated request may have several, the last of which holds.
//! When the folder is closed, and when the server starts again after a kill, the file is written anew: one line for
//! each request, in their order. A folder is closed when the server stops, and when many are open and no request holds
//! it. One whose files could not be written, as while a disk is full, is opened again for the next request.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use textgrad_ops::util::fs::blocking;
use textgrad_ops::util::jsonl::Writer;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::error::ApiError;
use super::served::{Served, appending, requests, results};
use crate::batch::QueryOutcome;
use crate::config::StopReason;
use crate::error::Error;
use crate::journal::{self, QueryJournal, digest};
use crate::query::Query;
use crate::run::{RecordedRun, ResultRecord, RunConfig, RunFolder, SERVED, Status};
use crate::search::{AlignError, Alignment, Tpo, Trajectory};

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

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("root", &self.root).finish_non_exhaustive()
    }
}

/// An open run folder.
struct ServedRun {
    folder: RunFolder,
    served: Writer,
    results: Writer,
    config: RunConfig,
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
        let run = self.folder(name, config).await;
        let run = run.map_err(|error| ApiError::not_recorded(&error))?;
        let (index, is_new) = run.place(key.as_ref())?;
        let recorded = Recorded { run, index, is_new };
        if is_new {
            let line = Served { index, id: id.to_owned(), key, query: query.clone() };
            let written = recorded.run.served.write(&line);
            written.map_err(|error| ApiError::not_recorded(&error))?;
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
        if let Some(run) = open.take_if(|run| run.has_failed()) {
            match released(run, Duration::from_millis(200)).await {
                Ok(run) => drop(run),
                Err(held) => {
                    *open = Some(held);
                    let reason = "searches still hold the folder, which could not be written";
                    return Err(Error::JournalWrite { reason: reason.to_owned() });
                }
            }
        }
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
            match released(run, Duration::from_secs(1)).await {
                Ok(run) => run.finish().await?,
                Err(_) => tracing::warn!(
                    folder = %path.display(),
                    "a search still holds the folder; its results are put in order when the server starts again"
                ),
            }
        }
        Ok(())
    }
}

/// A run as soon as no search holds it, or the run itself if that takes too long.
async fn released(mut run: Arc<ServedRun>, most: Duration) -> Result<ServedRun, Arc<ServedRun>> {
    let end = Instant::now() + most;
    loop {
        match Arc::try_unwrap(run) {
            Ok(run) => return Ok(run),
            Err(held) if Instant::now() >= end => return Err(held),
            Err(held) => run = held,
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl ServedRun {
    /// Whether one of its files could not be written: then nothing more is.
    fn has_failed(&self) -> bool {
        let files = [&self.served, &self.results].map(Writer::failure);
        files.iter().any(Option::is_some) || self.folder.journal().failure().is_some()
    }

    async fn open(path: &Path, config: RunConfig) -> Result<Self, Error> {
        let (file, has_run) = (path.join(SERVED), path.join(journal::FILE));
        let requests = requests(&file).await?;
        let kept = config.clone();
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
        Ok(Self { folder, served, results, config: kept, state: Mutex::new(state) })
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
        if self.has_failed() {
            // Opening it again repairs the ends of its files.
            let (path, config) = (self.folder.path().to_owned(), self.config.clone());
            drop(self);
            self = Self::open(&path, config).await?;
        }
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
                    ResultRecord::new(&QueryOutcome { index, query, result }, self.config.simulated)
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
        let mut record = ResultRecord::new(&outcome, run.config.simulated);
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

/// The hash of an idempotency key for one search of a request, within the scope of the client's key.
pub(crate) fn request_key(scope: &str, key: &str, search: &str, query: &Query) -> String {
    digest([scope, key, search, query.identity().as_str()])
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use textgrad_ops::sim::Sim;

    use super::*;
    use crate::reward::SimReward;

    #[tokio::test]
    async fn a_folder_that_could_not_be_written_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(directory.path()).await.unwrap();
        let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).build().unwrap();
        let query = Query::from("Why does wood float?");
        let begin = async || recorder.begin(&tpo, "id", &query, Some("key".to_owned())).await;
        let begun = begin().await.unwrap();
        assert!(begun.is_new);
        let path = begun.run.folder.path().to_owned();
        drop(begun);
        {
            // A file that takes no more lines, and half a line at its end.
            let folders = recorder.folders.lock();
            let mut slot = folders[0].1.try_lock().unwrap();
            let run = Arc::get_mut(slot.as_mut().unwrap()).unwrap();
            std::fs::write(path.join(RESULTS), "{\"index\"").unwrap();
            run.results = Writer::new(File::open(path.join(RESULTS)).unwrap());
            assert!(run.results.write(&1).is_err() && run.has_failed());
        }
        // The key is known: it was read again.
        let again = begin().await.unwrap();
        assert!(!again.is_new && !again.run.has_failed());
        // A request whose line cannot be written gets 503 and a time to retry after; the next one is served.
        drop(again);
        {
            let folders = recorder.folders.lock();
            let mut slot = folders[0].1.try_lock().unwrap();
            let run = Arc::get_mut(slot.as_mut().unwrap()).unwrap();
            run.served = Writer::new(File::open(path.join(RESULTS)).unwrap());
        }
        let one = recorder.begin(&tpo, "id", &query, None).await.err().unwrap();
        assert_eq!((one.status().as_u16(), one.name()), (503, "not_recorded"));
        assert!(!one.message().contains("os error"), "{}", one.message());
        assert!(one.detail().is_some_and(|detail| detail.contains("os error")));
        drop(recorder.begin(&tpo, "id", &query, None).await.unwrap());
        recorder.finish().await.unwrap();
    }
}
