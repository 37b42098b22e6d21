//! Files that a run, a recording or a log left, however they were damaged since.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tempfile::TempDir;
use textgrad_core::{Engine, Message, Purpose, Request};
use textgrad_ops::layer::EngineExt;
use textgrad_ops::sim::Sim;
use textgrad_ops::store::{CacheFilter, Replay, RunLog, RunLogger, SqliteCache, SqliteConfig};
use tokio::runtime::Runtime;
use tpo::journal::Journal;
use tpo::report::{Bootstrap, Report, ReportConfig};
use tpo::run::{RecordedRun, Run};
use tpo::{SimReward, Tpo};

const CONFIG: &str = "config.json";
const JOURNAL: &str = "journal.jsonl";
const RESULTS: &str = "results.jsonl";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The files of a run of the simulation, of a recording, of a log and of a cache, as they are written today.
struct Recorded {
    config: Vec<u8>,
    journal: Vec<u8>,
    results: Vec<u8>,
    recording: Vec<u8>,
    run_log: Vec<u8>,
    cache: Vec<u8>,
}

static RECORDED: LazyLock<Recorded> = LazyLock::new(|| {
    // A thread of its own, for the caller may be within a runtime.
    std::thread::spawn(|| runtime().block_on(record())).join().unwrap()
});

fn request(question: &str) -> Request {
    Request::new(Purpose::Forward, [Message::user(question)])
}

async fn record() -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).iterations(1).samples(2);
    let run = Run::new(tpo.build().unwrap(), ["Why is the sky blue?"]).create(path("run"));
    run.execute(&mut ()).await.unwrap();

    let log = RunLogger::open(path("log")).await.unwrap();
    let engine = Sim::default().logged(&log).record(path("recording")).await.unwrap();
    let cache = SqliteCache::open(path("cache"), SqliteConfig::default()).await.unwrap();
    let cached = Sim::default().disk_cached(&cache);
    for question in ["Why?", "How?"] {
        engine.complete(&request(question)).await.unwrap();
        cached.complete(&request(question)).await.unwrap();
    }
    drop(engine);
    drop(log);
    cache.flush().await.unwrap();
    let read = |name: &str| fs::read(path(name)).unwrap();
    Recorded {
        config: read("run/config.json"),
        journal: read("run/journal.jsonl"),
        results: read("run/results.jsonl"),
        recording: read("recording"),
        run_log: read("log"),
        cache: read("cache"),
    }
}

thread_local! {
    static FOLDER: (TempDir, Runtime) = (tempfile::tempdir().unwrap(), runtime());
}

/// A run folder, whole but for one file.
fn with_run(damaged: &str, bytes: &[u8], read: impl FnOnce(&Path, &Runtime)) {
    FOLDER.with(|(folder, runtime)| {
        let whole = [
            (CONFIG, &RECORDED.config),
            (JOURNAL, &RECORDED.journal),
            (RESULTS, &RECORDED.results),
        ];
        for (name, whole) in whole {
            let bytes = if name == damaged { bytes } else { whole };
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        read(folder.path(), runtime);
    });
}

/// All that is made of a recorded run.
fn read_run(path: &Path) {
    let Ok(run) = RecordedRun::open(path) else { return };
    let _ = run.verify();
    let bootstrap = Bootstrap { resamples: 20, ..Bootstrap::default() };
    let config = ReportConfig { bootstrap, ..ReportConfig::default() };
    if let Ok(report) = Report::read(&[run], &config) {
        assert!(report.to_html().unwrap().contains("<html"));
    }
}

/// A journal, read by all and continued.
pub(super) fn journal(bytes: &[u8]) {
    with_run(JOURNAL, bytes, |path, runtime| {
        read_run(path);
        let _ = runtime.block_on(Journal::read(&path.join(JOURNAL)));
        let _ = runtime.block_on(Journal::resume(&path.join(JOURNAL), serde_json::Value::Null));
    });
}

/// Results.
pub(super) fn results(bytes: &[u8]) {
    with_run(RESULTS, bytes, |path, _| read_run(path));
}

/// Settings of a run.
pub(super) fn config(bytes: &[u8]) {
    with_run(CONFIG, bytes, |path, _| read_run(path));
}

/// A recording of an engine.
pub(super) fn recording(bytes: &[u8]) {
    FOLDER.with(|(folder, runtime)| {
        let path = folder.path().join("recording");
        fs::write(&path, bytes).unwrap();
        if let Ok(replay) = runtime.block_on(Replay::open(&path)) {
            let _ = runtime.block_on(replay.complete(&request("Why?")));
        }
    });
}

/// A log of calls, as a page too.
pub(super) fn run_log(bytes: &[u8]) {
    FOLDER.with(|(folder, runtime)| {
        let path = folder.path().join("log");
        fs::write(&path, bytes).unwrap();
        if let Ok(log) = runtime.block_on(RunLog::read(&path)) {
            let _ = log.page().map(|page| page.to_html());
        }
    });
}

/// Everything that is read of a cache.
async fn read_cache(path: &Path) {
    let opened = SqliteCache::open_existing(path, SqliteConfig::default()).await;
    let Ok(cache) = opened else { return };
    let engine = Sim::default().disk_cached(&cache);
    // Damage costs a request, never an answer.
    for question in ["Why?", "How?", "When?"] {
        engine.complete(&request(question)).await.unwrap();
    }
    let (_, _) = (cache.info().await, cache.check().await);
    for entry in cache.entries(CacheFilter::default()).await.unwrap_or_default() {
        let _ = cache.entry(&entry.key).await;
    }
    let (_, _) = (cache.prune(1).await, cache.flush().await);
}

/// A cache.
pub(super) fn cache(bytes: &[u8]) {
    // A folder of its own: the threads of the one before may still close their files.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    fs::write(&path, bytes).unwrap();
    FOLDER.with(|(_, runtime)| {
        runtime.block_on(async {
            let read = tokio::time::timeout(Duration::from_secs(60), read_cache(&path));
            read.await.expect("a read that ends");
        });
    });
}

pub(super) fn journals() -> Vec<Vec<u8>> {
    vec![RECORDED.journal.clone()]
}

pub(super) fn all_results() -> Vec<Vec<u8>> {
    vec![RECORDED.results.clone()]
}

pub(super) fn configs() -> Vec<Vec<u8>> {
    vec![RECORDED.config.clone()]
}

pub(super) fn recordings() -> Vec<Vec<u8>> {
    vec![RECORDED.recording.clone()]
}

pub(super) fn run_logs() -> Vec<Vec<u8>> {
    vec![RECORDED.run_log.clone()]
}

pub(super) fn caches() -> Vec<Vec<u8>> {
    vec![RECORDED.cache.clone()]
}
