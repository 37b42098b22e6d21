//! The running server: connections, their limits, and its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use textgrad_ops::CancellationToken;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::app::App;
use super::builder::ServerBuilder;
use super::routes::router;
use super::write_timeout::WriteTimeout;
use crate::error::Error;
use crate::search::Tpo;

/// The most bytes of the headers of a request.
const MAX_HEADERS: usize = 64 * 1024;

/// Connections that wait to be accepted. The system may allow fewer.
const MAX_WAITING: u32 = 4096;

/// How long no connection is accepted after a failure; twice as long after each further one.
const MIN_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How long answers may take to be sent once the time to drain is over.
const MAX_LAST_WRITE: Duration = Duration::from_secs(2);

/// How waiting for requests in flight ended.
#[derive(Clone, Copy)]
enum DrainEnd {
    /// None is left, with so much time.
    Idle(Duration),
    Late,
    Aborted,
}

fn listen_at(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Elsewhere it lets two servers share a port.
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(address)?;
    socket.listen(MAX_WAITING)
}

/// A server with OpenAI's API in front of searches.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::sim::Sim;
/// use tpo::serve::Server;
/// use tpo::{CancellationToken, SimReward, Tpo};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).build()?;
/// let server = Server::builder(tpo).max_in_flight(16).build();
/// let listener = Server::listen("127.0.0.1", 0).await.unwrap();
/// let shutdown = CancellationToken::new();
/// let running = tokio::spawn({
///     let shutdown = shutdown.clone();
///     async move { server.run(listener, shutdown, CancellationToken::new()).await }
/// });
/// // Requests are served here.
/// shutdown.cancel();
/// assert!(running.await.unwrap()?);
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Server(Arc<App>);

impl Server {
    /// Settings of a server whose searches are those of `tpo`, as far as requests do not change them.
    pub fn builder(tpo: Tpo) -> ServerBuilder {
        ServerBuilder::new(tpo)
    }

    /// Listens at an address, with room for a burst of connections: where the queue is full, as soon as 128 wait with
    /// the default of the standard library, the client's system tries again a second later. It must be called within a
    /// tokio runtime.
    ///
    /// # Errors
    /// An address that is none of this machine, or a port that is taken.
    pub async fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
        let mut failure = None;
        for address in lookup_host((host, port)).await? {
            match listen_at(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| io::Error::other("the name has no address")))
    }

    pub(crate) fn new(app: App) -> Self {
        Self(Arc::new(app))
    }

    /// Serves the connections of a listener until `shutdown` is cancelled. Then new requests get 503, and those in
    /// flight have the time of [`drain_timeout`](ServerBuilder::drain_timeout); when it is over, their searches end
    /// with the best answers that they have. Cancelling `abort` drops them at once. It must be called within a tokio
    /// runtime.
    ///
    /// Returns whether all requests in flight came to their end.
    ///
    /// # Errors
    /// Those of results that cannot be written at the end.
    pub async fn run(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
        abort: CancellationToken,
    ) -> Result<bool, Error> {
        let app = &*self.0;
        let router = router(Arc::clone(&self.0));
        let mut connections = JoinSet::new();
        let most = app.options.max_connections.max(1);
        let closing = CancellationToken::new();
        let mut pause = MIN_PAUSE;
        let end = {
            let drained = self.drained(&shutdown, &abort);
            tokio::pin!(drained);
            loop {
                tokio::select! {
                    end = &mut drained => break end,
                    Some(_) = connections.join_next() => {}
                    // Further ones wait with the system.
                    accepted = listener.accept(), if connections.len() < most => match accepted {
                        Ok((stream, _)) => {
                            pause = MIN_PAUSE;
                            connections.spawn(self.serve(stream, router.clone(), closing.clone()));
                        }
                        // Out of descriptors, or gone already: the next one may do.
                        Err(error) => {
                            if let Some(left_out) = app.failures.due("accept") {
                                tracing::warn!(%error, left_out, "a connection could not be accepted");
                            }
                            tokio::time::sleep(pause).await;
                            pause = MAX_PAUSE.min(pause * 2);
                        }
                    },
                }
            }
        };
        drop(listener);
        closing.cancel();
        let left = match end {
            DrainEnd::Idle(left) => left,
            DrainEnd::Late => {
                app.ending.cancel();
                MAX_LAST_WRITE
            }
            DrainEnd::Aborted => Duration::ZERO,
        };
        let is_closed = tokio::select! {
            () = async { while connections.join_next().await.is_some() {} } => true,
            () = tokio::time::sleep(left) => false,
            () = abort.cancelled() => false,
        };
        connections.shutdown().await;
        app.recent.drop_graphs();
        if let Some(recorder) = &app.options.recorder {
            recorder.finish().await?;
        }
        Ok(is_closed && matches!(end, DrainEnd::Idle(_)))
    }

    /// Waits for the end of the server, and then until no request is in flight.
    async fn drained(&self, shutdown: &CancellationToken, abort: &CancellationToken) -> DrainEnd {
        let app = &*self.0;
        shutdown.cancelled().await;
        app.draining.store(true, Ordering::Relaxed);
        let end = Instant::now() + app.options.drain_timeout;
        let idle = async {
            while app.admission.load() != (0, 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            biased;
            () = idle => DrainEnd::Idle(end.saturating_duration_since(Instant::now())),
            () = tokio::time::sleep_until(end) => DrainEnd::Late,
            () = abort.cancelled() => DrainEnd::Aborted,
        }
    }

    fn serve(
        &self,
        stream: TcpStream,
        router: Router,
        closing: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let app = Arc::clone(&self.0);
        async move {
            app.connections.fetch_add(1, Ordering::Relaxed);
            let _open = Open(Arc::clone(&app));
            let _ = stream.set_nodelay(true);
            let stream = WriteTimeout::new(stream, app.options.write_timeout);
            let service = TowerToHyperService::new(router);
            let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
                hyper::service::Service::call(&service, request)
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(app.options.read_timeout)
                .max_buf_size(MAX_HEADERS);
            let mut connection =
                std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// An open connection, counted until it is dropped.
struct Open(Arc<App>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
