//! The running server: connections, their limits, and its end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use textgrad_ops::CancellationToken;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep};

use super::app::App;
use super::builder::ServerBuilder;
use super::routes::router;
use crate::search::Tpo;

/// The most bytes of the headers of a request.
const MAX_HEADERS: usize = 64 * 1024;

/// Connections that wait to be accepted. The system may allow fewer.
const MAX_WAITING: u32 = 4096;

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
/// running.await.unwrap();
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

    /// Serves the connections of a listener until `shutdown` is cancelled. Then no connection is accepted, no request
    /// is taken, and those in flight have the time of [`drain_timeout`](ServerBuilder::drain_timeout), or until
    /// `abort` is cancelled. It must be called within a tokio runtime.
    ///
    /// Returns whether all requests in flight were answered, and what they left was written.
    pub async fn run(
        &self,
        listener: TcpListener,
        shutdown: CancellationToken,
        abort: CancellationToken,
    ) -> bool {
        let router = router(Arc::clone(&self.0));
        let mut connections = JoinSet::new();
        let most = self.0.options.max_connections.max(1);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = connections.join_next() => {}
                // Further ones wait with the system.
                accepted = listener.accept(), if connections.len() < most => match accepted {
                    Ok((stream, _)) => {
                        let served = self.serve(stream, router.clone(), shutdown.clone());
                        connections.spawn(served);
                    }
                    // Out of descriptors, or gone already: the next one may do.
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(listener);
        self.0.draining.store(true, Ordering::Relaxed);
        let drained = async { while connections.join_next().await.is_some() {} };
        let is_drained = tokio::select! {
            () = drained => true,
            () = tokio::time::sleep(self.0.options.drain_timeout) => false,
            () = abort.cancelled() => false,
        };
        connections.shutdown().await;
        self.0.recent.drop_graphs();
        let Some(recorder) = &self.0.options.recorder else { return is_drained };
        match recorder.finish().await {
            Ok(()) => is_drained,
            Err(error) => {
                tracing::error!(
                    error = textgrad_core::describe(&error),
                    "results could not be written"
                );
                false
            }
        }
    }

    fn serve(
        &self,
        stream: TcpStream,
        router: Router,
        shutdown: CancellationToken,
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
                () = shutdown.cancelled() => {
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

/// A connection that fails when its peer takes nothing for too long.
pub(crate) struct WriteTimeout {
    stream: TcpStream,
    within: Duration,
    /// Runs while a write waits.
    sleep: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl WriteTimeout {
    pub(crate) fn new(stream: TcpStream, within: Duration) -> Self {
        Self { stream, within, sleep: Box::pin(sleep(within)), is_waiting: false }
    }

    /// The outcome of a write, or the failure of one that waits for too long.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.is_waiting = false;
            return polled;
        }
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.sleep.as_mut().reset(Instant::now() + self.within);
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for WriteTimeout {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteTimeout {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, polled)
    }
}
