//! The running server.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::StatusCode;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use textgrad_core::Engine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::builder::{FakeServerBuilder, Logprob, Options, Reward};
use super::delivery::Reset;
use super::error::ApiError;
use super::fault::{Fault, FaultBook};
use super::routes::{Route, router};
use super::stats::{Recorder, Stats};
use super::wire::Head;

/// How long answers under way may take when the server stops.
const GRACE: Duration = Duration::from_millis(250);

/// What the requests of one server share.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) reward: Reward,
    pub(super) logprob: Logprob,
    /// When the server started, in seconds since 1970.
    pub(super) started: u64,
    faults: Mutex<FaultBook>,
    recorder: Mutex<Recorder>,
    ids: AtomicU64,
    /// How many requests to the routes that faults can befall have ended.
    ended: watch::Sender<u64>,
    /// How many of them were to be answered, and how many may be.
    turns: AtomicU64,
    most: watch::Sender<u64>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .field("engine", &self.engine.name())
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        options: Options,
        engine: Arc<dyn Engine>,
        reward: Reward,
        logprob: Logprob,
        faults: FaultBook,
    ) -> Self {
        Self {
            options,
            engine,
            reward,
            logprob,
            started: now(),
            faults: Mutex::new(faults),
            recorder: Mutex::default(),
            ids: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            turns: AtomicU64::new(0),
            most: watch::Sender::new(u64::MAX),
        }
    }

    /// Waits until one more request may be answered.
    pub(super) async fn turn(&self) {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        // The sender lives as long as the server, so this cannot fail.
        let _ = self.most.subscribe().wait_for(|most| turn < *most).await;
    }

    pub(super) fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_fault(&self, route: Route) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.next(route)
    }

    pub(super) fn count_ended(&self, route: Route) {
        if matches!(route, Route::Chat | Route::Classify) {
            self.ended.send_modify(|ended| *ended += 1);
        }
    }

    /// The head of an answer by the model that was asked.
    pub(super) fn head(&self, prefix: &str, model: Option<String>) -> Result<Head, ApiError> {
        let model = self.options.model(model).map_err(|asked| {
            let message = format!("The model `{asked}` does not exist.");
            ApiError::new(StatusCode::NOT_FOUND, message)
        })?;
        Ok(Head {
            id: format!("{prefix}-{:08x}", self.ids.fetch_add(1, Ordering::Relaxed)),
            created: now(),
            model,
        })
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            engine: self.engine.name().to_owned(),
            simulation: self.engine.is_simulation(),
            ..self.recorder().stats()
        }
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A running server. Dropping it closes the port and ends its connections as soon as the runtime runs again;
/// [`stop`](Self::stop) waits for that.
pub struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// The server runs until this is dropped.
    running: watch::Sender<()>,
    /// How many connections are open.
    open: watch::Sender<usize>,
    task: JoinHandle<()>,
}

impl fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServer")
            .field("address", &self.address)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl FakeServer {
    /// A server that echoes, at once and without faults, until told otherwise.
    pub fn builder() -> FakeServerBuilder {
        FakeServerBuilder::new()
    }

    pub(super) async fn start(shared: Shared, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(shared);
        let (running, stop) = watch::channel(());
        let open = watch::Sender::new(0);
        let task = tokio::spawn(serve(listener, router(Arc::clone(&shared)), stop, open.clone()));
        Ok(Self { address, shared, running, open, task })
    }

    /// `http://127.0.0.1:PORT`: where `/classify`, `/health` and `/stats` are.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://127.0.0.1:PORT/v1`: what clients call the base URL.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}/v1", self.url())
    }

    /// The address itself.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was asked so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Forgets the figures and the recorded bodies, and what was read before. Rules of faults go on counting.
    pub fn reset_stats(&self) {
        self.shared.recorder().reset();
    }

    /// The bodies of the requests so far, in order of arrival; a body that is not JSON is a string. The last
    /// 4096 of them are kept, 32 MiB at most.
    #[must_use]
    pub fn requests(&self) -> Vec<Value> {
        self.shared.recorder().bodies(|_| true)
    }

    /// Those of one route.
    #[must_use]
    pub fn requests_to(&self, route: Route) -> Vec<Value> {
        self.shared.recorder().bodies(|other| other == route)
    }

    /// Waits until so many requests to `chat` and `classify` have ended, in whatever way.
    pub async fn ended(&self, count: u64) {
        let mut ended = self.shared.ended.subscribe();
        // The sender lives as long as the server, so this cannot fail.
        let _ = ended.wait_for(|ended| *ended >= count).await;
    }

    /// Answers only so many requests to `chat` and `classify`, of all since the start; the others wait, until
    /// this is called again with more or their clients leave.
    pub fn answer_at_most(&self, count: u64) {
        self.shared.most.send_replace(count);
    }

    /// Waits until all connections have ended: for ever, if a client keeps one. Then all that clients sent who
    /// are gone is counted, also what had not yet been read when they went.
    ///
    /// # Errors
    /// If the server cannot be reached.
    pub async fn quiet(&self) -> io::Result<()> {
        // Connections are accepted in their order: once this one is answered, none from before it waits.
        let mut last = TcpStream::connect(self.address).await?;
        last.write_all(b"GET /stats HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await?;
        last.read_to_end(&mut Vec::new()).await?;
        drop(last);
        // The sender lives as long as the server, so this cannot fail.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
        Ok(())
    }

    /// Closes the port, gives answers under way a quarter of a second, and ends all connections.
    pub async fn stop(self) {
        drop(self.running);
        // A task that panicked has ended too.
        let _ = self.task.await;
    }
}

/// Returns once the server is to stop.
async fn stopped(stop: &mut watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}

/// Counts a connection for as long as it lives.
struct Open(watch::Sender<usize>);

impl Open {
    fn new(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

async fn serve(
    listener: TcpListener,
    router: Router,
    mut stop: watch::Receiver<()>,
    open: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    let connection_stop = stop.clone();
    {
        let mut stopped = pin!(stopped(&mut stop));
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let open = Open::new(&open);
                        let served = connection(stream, router.clone(), connection_stop.clone());
                        connections.spawn(async move {
                            served.await;
                            drop(open);
                        });
                    }
                    // Out of file descriptors, most likely: others may close theirs meanwhile.
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                },
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, all).await;
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, router: Router, mut stop: watch::Receiver<()>) {
    // Without it small pieces wait for each other; they still arrive.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = router.call(request);
        async move {
            match answer.await {
                Ok(response) if response.extensions().get::<Reset>().is_some() => Err(Reset),
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        () = stopped(&mut stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let reset = ended.is_err_and(|error| error.source().is_some_and(|source| source.is::<Reset>()));
    if reset {
        let stream = connection.into_parts().io.into_inner();
        // Closing then sends a reset instead of an orderly end; if it cannot be set the connection still
        // ends without an answer.
        let _ = stream.set_zero_linger();
    }
}
