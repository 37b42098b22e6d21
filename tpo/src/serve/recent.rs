//! Searches of a server: those under way, and the latest of those that ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value as Json, json};
use textgrad_core::truncate;

use super::error::ApiError;
use super::keys::Client;
use super::metrics::SearchEnd;
use super::request::set;
use super::search::{Answered, Job};
use crate::search::{Alignment, SearchEvent};

/// The most bytes of kept searches.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The most searches whose graphs are kept, the newest ones: a graph holds every request.
const MAX_GRAPHS: usize = 32;
/// The longest beginning of a query in a list.
const MAX_QUERY: usize = 200;

/// Searches under way and ended. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recent(Arc<RecentInner>);

struct RecentInner {
    /// The most ended searches that are kept.
    capacity: usize,
    state: Mutex<RecentState>,
}

#[derive(Default)]
struct RecentState {
    live: BTreeMap<String, LiveSearch>,
    ended: VecDeque<EndedSearch>,
    bytes: usize,
}

/// A search under way, as a page shows it.
#[derive(Debug, Clone, Serialize)]
struct LiveSearch {
    id: String,
    #[serde(skip)]
    client: Client,
    model: String,
    created: u64,
    query: String,
    iteration: u32,
    candidates: usize,
    first_score: Option<f64>,
    best_score: Option<f64>,
}

struct EndedSearch {
    summary: LiveSearch,
    end: &'static str,
    elapsed_ms: u64,
    /// Everything, as JSON.
    detail: String,
    graph: Option<Arc<Alignment>>,
}

/// A search under way, to be reported on.
#[derive(Clone)]
pub(crate) struct Live {
    recent: Recent,
    id: String,
}

/// Keeps a search in the list until it is dropped.
pub(crate) struct Listed(Live);

impl Recent {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(RecentInner { capacity, state: Mutex::default() }))
    }

    /// Lists a search until the guard is dropped.
    pub(crate) fn begin(&self, job: &Job) -> Listed {
        let live = LiveSearch {
            id: job.id.clone(),
            client: job.client,
            model: truncate(&job.model, 80),
            created: job.created,
            query: truncate(job.query.text(), MAX_QUERY),
            iteration: 0,
            candidates: 0,
            first_score: None,
            best_score: None,
        };
        self.0.state.lock().live.insert(job.id.clone(), live);
        Listed(self.live(&job.id))
    }

    pub(crate) fn live(&self, id: &str) -> Live {
        Live { recent: self.clone(), id: id.to_owned() }
    }

    /// Keeps an answered search, with its detail as JSON, and its graph if it came to its end.
    pub(crate) fn answered(&self, job: &Job, answered: &mut Answered, detail: &Json) {
        let graph = answered.aligned.take();
        let (first_score, best_score) = (answered.first_score(), answered.best_score());
        let end = if answered.end == SearchEnd::Gated { "gated" } else { "answered" };
        self.end(job, end, detail, graph, |summary| {
            summary.first_score = first_score;
            summary.best_score = best_score;
        });
    }

    /// Keeps a search that failed.
    pub(crate) fn failed(&self, job: &Job, error: &ApiError) {
        let detail = json!({
            "id": job.id, "object": "tpo.search", "created": job.created, "model": job.model,
            "query": job.query, "search": job.config, "error": error.message(),
        });
        self.end(job, "failed", &detail, None, |_| {});
    }

    fn end(
        &self,
        job: &Job,
        end: &'static str,
        detail: &Json,
        graph: Option<Alignment>,
        set: impl FnOnce(&mut LiveSearch),
    ) {
        let mut state = self.0.state.lock();
        let Some(mut summary) = state.live.get(&job.id).cloned() else { return };
        set(&mut summary);
        let detail = detail.to_string();
        let elapsed_ms = u64::try_from(job.arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.bytes += detail.len();
        state.ended.push_front(EndedSearch {
            summary,
            end,
            elapsed_ms,
            detail,
            graph: graph.map(Arc::new),
        });
        if let Some(older) = state.ended.get_mut(MAX_GRAPHS) {
            older.graph = None;
        }
        while state.ended.len() > self.0.capacity || state.bytes > MAX_BYTES {
            let Some(oldest) = state.ended.pop_back() else { break };
            state.bytes = state.bytes.saturating_sub(oldest.detail.len());
        }
    }

    /// The searches of a client, newest first: those under way, and those that ended.
    pub(crate) fn list(&self, client: Client) -> Json {
        let state = self.0.state.lock();
        let live = state.live.values().filter(|live| live.client == client);
        let mut live: Vec<&LiveSearch> = live.collect();
        live.sort_by_key(|live| std::cmp::Reverse(live.created));
        let ended = state.ended.iter().filter(|ended| ended.summary.client == client);
        let ended: Vec<Json> = ended
            .map(|ended| {
                let mut summary = json!(ended.summary);
                set(&mut summary, "end", ended.end);
                set(&mut summary, "elapsed_ms", ended.elapsed_ms);
                summary
            })
            .collect();
        json!({ "live": live, "ended": ended })
    }

    /// The detail of an ended search of a client, as JSON.
    pub(crate) fn detail(&self, client: Client, id: &str) -> Option<String> {
        let state = self.0.state.lock();
        let found = state.ended.iter().find(|ended| ended.summary.id == id)?;
        (found.summary.client == client).then(|| found.detail.clone())
    }

    /// An ended search of a client, with its graph.
    pub(crate) fn graph(&self, client: Client, id: &str) -> Option<Arc<Alignment>> {
        let state = self.0.state.lock();
        let found = state.ended.iter().find(|ended| ended.summary.id == id)?;
        found.graph.clone().filter(|_| found.summary.client == client)
    }

    /// Lets go of all graphs, and of the journals that their searches wrote.
    pub(crate) fn drop_graphs(&self) {
        self.0.state.lock().ended.iter_mut().for_each(|ended| ended.graph = None);
    }
}

impl Live {
    /// Notes a scored answer.
    pub(crate) fn scored(&self, event: &SearchEvent<'_>) {
        let mut state = self.recent.0.state.lock();
        let Some(live) = state.live.get_mut(&self.id) else { return };
        live.iteration = event.iteration;
        live.candidates = event.candidate + 1;
        live.best_score = Some(event.best_score);
        if event.iteration == 0 {
            live.first_score = live.best_score;
        }
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.recent.0.state.lock().live.remove(&self.0.id);
    }
}
