//! Signals that end a run: SIGINT (Ctrl-C), SIGTERM and SIGHUP.

use std::io;

use textgrad_ops::util::terminal::note;
use tpo::CancellationToken;

use crate::progress::Bar;

/// Cancels at the first signal and aborts at the second, for the rest of the process.
pub(crate) fn listen(cancel: CancellationToken, abort: CancellationToken, bar: Bar) {
    let words = "stopping: waiting for running calls to finish (Ctrl-C again to drop them)";
    listen_with(cancel, abort, move || bar.println(words));
}

/// [`listen`], with another note after the first signal.
pub(crate) fn listen_with(
    cancel: CancellationToken,
    abort: CancellationToken,
    cancelled: impl FnOnce() + Send + 'static,
) {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return note(format_args!("warning: signals are not handled: {error}")),
    };
    tokio::spawn(async move {
        signals.next().await;
        cancel.cancel();
        cancelled();
        signals.next().await;
        abort.cancel();
    });
}

#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let mut signals = vec![signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        // A program under nohup outlives its terminal.
        if !is_ignored(SignalKind::hangup().as_raw_value()) {
            signals.push(signal(SignalKind::hangup())?);
        }
        Ok(Self(signals))
    }

    async fn next(&mut self) {
        let received = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(received).await;
    }
}

/// Whether this process was started to ignore a signal. Where that cannot be read: false.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
