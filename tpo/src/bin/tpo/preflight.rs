//! One tiny request to each server before a run: a wrong address, key or model ends it before anything is paid for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use textgrad_core::{Engine, EngineError, ErrorKind, Message, Purpose, Request, Sampling};
use textgrad_ops::util::terminal::note;
use tpo::{CancellationToken, Error, Query, RewardModel};

/// The most tokens of an answer to a probe.
const MAX_TOKENS: u32 = 16;

/// The most retries of a probe: enough for a connection that breaks.
pub(crate) const PROBE_RETRIES: u32 = 2;

/// The longest time of a probe, retries included. A cold model may have to be loaded.
const MAX_TIME: Duration = Duration::from_secs(300);

/// A server of a run.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// An engine with its limits and few retries, without a cache.
    Engine(&'static str, Arc<dyn Engine>),
    Reward(Arc<dyn RewardModel>),
    /// A reward model in the process.
    #[cfg(feature = "local-reward")]
    Local(Arc<tpo::LocalReward>),
}

/// The servers of a run, in the order in which they were set up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers(Arc<Mutex<Vec<Server>>>);

impl Servers {
    /// Adds a server, unless it is there.
    pub(crate) fn add(&self, server: Server) {
        let mut servers = self.0.lock();
        if !servers.iter().any(|other| other.identity() == server.identity()) {
            servers.push(server);
        }
    }

    pub(crate) fn all(&self) -> Vec<Server> {
        self.0.lock().clone()
    }

    /// Probes all servers at the same time. Returns the first failure, in the order of the servers.
    pub(crate) async fn probe(&self, cancel: &CancellationToken) -> Result<(), Error> {
        let servers = self.all();
        let probes = servers.iter().map(Server::probe);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Stopped),
            results = join_all(probes) => results.into_iter().collect(),
        }
    }
}

impl Server {
    fn identity(&self) -> (bool, &str) {
        match self {
            Self::Engine(_, engine) => (true, engine.identity()),
            Self::Reward(reward) => (false, reward.identity()),
            #[cfg(feature = "local-reward")]
            Self::Local(reward) => (false, reward.identity()),
        }
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Engine(what, engine) => format!("{what} {}", engine.name()),
            Self::Reward(reward) => format!("reward model {}", reward.name()),
            #[cfg(feature = "local-reward")]
            Self::Local(reward) => format!("reward model {}", reward.name()),
        }
    }

    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let probe = async {
            match self {
                Self::Engine(_, engine) => {
                    engine.complete(&request("Reply with OK.")).await.map(|_| ())
                }
                Self::Reward(reward) => pair(reward.as_ref()).await,
                #[cfg(feature = "local-reward")]
                Self::Local(reward) => pair(reward.as_ref()).await,
            }
        };
        let error = match tokio::time::timeout(MAX_TIME, probe).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(_) => EngineError::new(
                ErrorKind::Timeout,
                format!("expected an answer within {MAX_TIME:?}, got none"),
            ),
        };
        if is_about_the_answer(&error) {
            return Ok(());
        }
        if error.kind() == ErrorKind::RateLimited {
            note(format_args!(
                "warning: the {} limits the rate of requests: {}",
                self.name(),
                tpo::describe(&error)
            ));
            return Ok(());
        }
        Err(Error::Preflight { server: self.name(), source: error })
    }
}

/// Scores one small pair.
async fn pair(reward: &dyn RewardModel) -> Result<(), EngineError> {
    reward.score(&Query::from("What is 2 + 2?"), &["4"]).await.map(|_| ())
}

/// Whether a server answered, and only this answer cannot be used: it is truncated, or the model refuses.
fn is_about_the_answer(error: &EngineError) -> bool {
    let is_answered = error.usage() != textgrad_core::Usage::default();
    error.kind() == ErrorKind::NoAnswer
        || is_answered && error.status().is_none_or(|status| status == 200)
}

/// A request of few tokens.
pub(crate) fn request(text: &str) -> Request {
    Request::new(Purpose::Sample, [Message::user(text)])
        .with_sampling(Sampling::default().with_max_tokens(MAX_TOKENS))
}
