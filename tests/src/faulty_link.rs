//! A link to a NATS server that delays, cuts and duplicates.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use textgrad_core::Seed;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The faults of a link. All are drawn by a seed and by place, but for the moments of arrival.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkFaults {
    /// The longest delay of what a client sends at a time.
    pub delay: Duration,
    /// Within the second half of so many messages, each of the first two connections is cut; 0: never. A client waits
    /// for seconds after each.
    pub cut: u64,
    /// About one of so many messages of a client arrives twice; 0: none.
    pub duplicate: u64,
}

/// A link, which ends when it is dropped.
#[derive(Debug)]
pub struct FaultyLink {
    address: SocketAddr,
    task: JoinHandle<()>,
    counts: Arc<LinkCounts>,
    is_down: Arc<AtomicBool>,
}

/// What a link did.
#[derive(Debug, Default)]
struct LinkCounts {
    cut: AtomicU64,
    duplicated: AtomicU64,
}

impl FaultyLink {
    /// A link to a server.
    pub async fn start(server: SocketAddr, faults: LinkFaults, seed: Seed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (counts, is_down) = (Arc::<LinkCounts>::default(), Arc::<AtomicBool>::default());
        let (counted, down) = (Arc::clone(&counts), Arc::clone(&is_down));
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            for number in 0.. {
                let Ok((client, _)) = listener.accept().await else { return };
                if down.load(Ordering::Relaxed) {
                    continue;
                }
                let (seed, counts) = (seed.child("connection", number), Arc::clone(&counted));
                let down = Arc::clone(&down);
                let cut = if number < 2 { faults.cut } else { 0 };
                let faults = LinkFaults { cut, ..faults };
                connections.spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let (from_server, to_server) = server.into_split();
                    let (from_client, to_client) = client.into_split();
                    let forward = forward(from_client, to_server, faults, seed, &counts);
                    let back = copy(from_server, to_client);
                    let is_down = async {
                        while !down.load(Ordering::Relaxed) {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    };
                    tokio::select! {
                        _ = forward => {}
                        _ = back => {}
                        () = is_down => {}
                    }
                });
            }
        });
        Self { address, task, counts, is_down }
    }

    /// The address of a queue of this name behind the link.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("nats://{}/{name}", self.address)
    }

    /// Cuts all connections, and accepts none until it is up again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    /// How many connections were cut and how many messages were duplicated.
    #[must_use]
    pub fn counts(&self) -> [u64; 2] {
        [&self.counts.cut, &self.counts.duplicated].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Drop for FaultyLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
) -> io::Result<u64> {
    tokio::io::copy(&mut from, &mut to).await
}

/// Forwards the commands of a client, with faults.
async fn forward(
    from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    faults: LinkFaults,
    seed: Seed,
    counts: &LinkCounts,
) -> io::Result<()> {
    let mut from = BufReader::new(from);
    let mut command = Vec::new();
    let half = (faults.cut / 2).max(1);
    let last = half + seed.child("cut", 0).value() % half;
    let mut messages = 0;
    for number in 0.. {
        command.clear();
        if from.read_until(b'\n', &mut command).await? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&command).into_owned();
        let is_message = line.starts_with("PUB ") || line.starts_with("HPUB ");
        if is_message {
            let length: usize = line.split_whitespace().last().unwrap().parse().unwrap();
            let begin = command.len();
            command.resize(begin + length + 2, 0);
            from.read_exact(&mut command[begin..]).await?;
        }
        let place = seed.child("message", number);
        let roll = |what: &str, sides: u64| place.child(what, 0).value() % sides.max(1);
        let delay = u64::try_from(faults.delay.as_micros()).unwrap();
        if delay > 0 {
            tokio::time::sleep(Duration::from_micros(roll("delay", delay))).await;
        }
        messages += u64::from(is_message);
        if is_message && faults.cut > 0 && messages > last {
            counts.cut.fetch_add(1, Ordering::Relaxed);
            // Half of it arrives.
            to.write_all(&command[..command.len() / 2]).await?;
            return Ok(());
        }
        to.write_all(&command).await?;
        if is_message && faults.duplicate > 0 && roll("duplicate", faults.duplicate) == 0 {
            counts.duplicated.fetch_add(1, Ordering::Relaxed);
            to.write_all(&command).await?;
        }
        to.flush().await?;
    }
    Ok(())
}
