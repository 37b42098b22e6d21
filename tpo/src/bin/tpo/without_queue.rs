//! Stand-ins for queues in a program without them: no address of one is accepted, so that nothing else is called.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use textgrad_ops::util::terminal::hide_login;
use tpo::Error;
use tpo::run::Run;

use crate::cache::AnyCache;

#[derive(Debug, Clone)]
pub(crate) enum QueueAddress {}

impl FromStr for QueueAddress {
    type Err = &'static str;

    fn from_str(_: &str) -> Result<Self, Self::Err> {
        Err("expected a program that has the feature queue: build it with \
             `cargo install --locked --path tpo --features queue`")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct QueueOptions;

impl QueueOptions {
    pub(crate) fn new(address: QueueAddress) -> Self {
        match address {}
    }

    pub(crate) fn ack_wait(self, _: Duration) -> Self {
        self
    }

    pub(crate) fn study(self, _: String, _: bool) -> Self {
        self
    }

    pub(crate) fn others(self, _: Vec<PathBuf>) -> Self {
        self
    }
}

pub(crate) async fn open_cache(address: &str) -> Result<Arc<dyn AnyCache>, Error> {
    let expected = "a file, or a program that has the feature queue: build it with \
                    `cargo install --locked --path tpo --features queue`";
    Err(Error::config("cache", expected, hide_login(address)))
}

pub(crate) fn queued(run: Run, _: QueueOptions) -> Run {
    run
}
