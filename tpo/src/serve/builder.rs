//! Settings of a server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use textgrad_ops::engine::http::JsonClient;
use textgrad_ops::layer::Prices;

use super::app::App;
use super::guard::check_origin;
use super::keys::Keys;
use super::model::target;
use super::options::{MaxSearch, SearchOptions};
use super::record::Recorder;
use super::server::Server;
use crate::config::Mode;
use crate::error::Error;
use crate::search::Tpo;

/// What a server does with requests that a search cannot serve, such as those with tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unsearchable {
    /// The policy serves them, without a search.
    #[default]
    Pass,
    /// They are refused, with the name of what cannot be served.
    Refuse,
}

/// The policy's own server, for requests that pass through as they are.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Clients of its addresses, at least one; their base URLs end with `/v1` or the like. Requests go to them in turn,
    /// and past one that cannot be reached.
    pub clients: Vec<JsonClient>,
    /// The name of its model.
    pub model: String,
}

/// Settings of a [`Server`]; see [`Server::builder`].
#[derive(Debug, Clone, Setters)]
#[must_use = "a builder does nothing until it builds"]
pub struct ServerBuilder {
    #[setters(skip)]
    pub(crate) tpo: Tpo,
    /// The keys of clients. Default: none, so that every client is served.
    pub(crate) keys: Keys,
    /// The policy's own server. Default: none; requests pass through the engine of the policy.
    pub(crate) upstream: Option<Upstream>,
    /// Requests that a search cannot serve. Default: the policy serves them.
    pub(crate) unsearchable: Unsearchable,
    /// Named sets of search options, as models.
    pub(crate) presets: BTreeMap<String, SearchOptions>,
    /// Prices, for costs in answers and metrics, and for bounds on money.
    pub(crate) prices: Option<Prices>,
    #[setters(skip)]
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Requests in flight, at least 1. Default: 64.
    pub(crate) max_in_flight: usize,
    /// Requests that wait. Default: 256.
    pub(crate) max_queued: usize,
    /// Open connections, at least 1; further ones wait until one ends. A connection without a request ends after
    /// `read_timeout`. Default: 2048.
    pub(crate) max_connections: usize,
    /// Requests of one key, in flight and waiting; 0: no bound. Default: 0.
    pub(crate) max_per_key: usize,
    /// The longest wait for a place. Default: 60 s.
    pub(crate) queue_timeout: Duration,
    /// The deadline of requests that name none, so that a server behind this one that never answers holds none for
    /// ever. Default: 600 s, after which OpenAI's clients give up too.
    pub(crate) deadline: Option<Duration>,
    /// The most iterations that a request may ask for. Default: 16.
    pub(crate) max_iterations: u32,
    /// The most samples that a request may ask for. Default: 64.
    pub(crate) max_samples: u32,
    /// The largest body of a request, in bytes. Default: 32 MiB.
    pub(crate) max_body: usize,
    /// How long headers, and then the body, may take to arrive. Default: 30 s.
    pub(crate) read_timeout: Duration,
    /// How long a client may take nothing of an answer; then its connection ends. Default: 60 s.
    pub(crate) write_timeout: Duration,
    /// The longest silence of a stream. Default: 10 s.
    pub(crate) keep_alive: Duration,
    /// How long requests in flight may take when the server stops. Default: 60 s.
    pub(crate) drain_timeout: Duration,
    /// The number of ended searches that `/v1/tpo` has. Default: 256.
    pub(crate) recent: usize,
    /// The origin that browsers may send requests from, or `*`. Default: none.
    pub(crate) cors: Option<String>,
    /// Whether the host of requests must be this machine, which keeps web pages of other hosts out. For servers without
    /// keys. Default: false.
    pub(crate) local_only: bool,
}

impl ServerBuilder {
    pub(crate) fn new(tpo: Tpo) -> Self {
        Self {
            tpo,
            keys: Keys::default(),
            upstream: None,
            unsearchable: Unsearchable::default(),
            presets: BTreeMap::new(),
            prices: None,
            recorder: None,
            max_in_flight: 64,
            max_queued: 256,
            max_connections: 2048,
            max_per_key: 0,
            queue_timeout: Duration::from_secs(60),
            deadline: Some(Duration::from_secs(600)),
            max_iterations: 16,
            max_samples: 64,
            max_body: 32 * 1024 * 1024,
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            keep_alive: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(60),
            recent: 256,
            cors: None,
            local_only: false,
        }
    }

    /// Records every search in a run folder below this directory, one folder for each set of search settings. What a
    /// killed server left there is finished.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read or written, [`Error::RunLocked`] if another process has a folder,
    /// and other errors of a run that cannot be opened.
    pub async fn record(self, directory: impl AsRef<Path>) -> Result<Self, Error> {
        let recorder = Recorder::open(directory.as_ref()).await?;
        Ok(Self { recorder: Some(Arc::new(recorder)), ..self })
    }

    /// Checks what requests cannot mend: presets, the mode, and the origin of browsers.
    ///
    /// # Errors
    /// [`Error::Config`] for a preset that no request could use or whose name stands for a model already, for a mode
    /// that no request can have, and for an origin that no browser sends.
    pub fn validate(&self) -> Result<(), Error> {
        self.cors.as_deref().map_or(Ok(()), check_origin)?;
        let config = self.tpo.config();
        if config.mode == Mode::Shuffled {
            let got = format!("{}, which takes the critique of another query", config.mode);
            return Err(Error::config("mode", "a mode that a request can have", got));
        }
        for (name, options) in &self.presets {
            if name.trim().is_empty() || target(name, &BTreeMap::new()).is_some() {
                let expected = "names that stand for no model yet, unlike tpo, policy and bon-8";
                return Err(Error::config("presets", expected, format!("{name:?}")));
            }
            let applied = options.apply(config, self.max_search(), self.prices.as_ref());
            let applied = applied.map_err(|error| error.message().to_owned());
            let valid = applied.and_then(|config| {
                config.validate().map_err(|error| textgrad_core::describe(&error))
            });
            if let Err(reason) = valid {
                let expected = "search options within the limits of this server";
                return Err(Error::config("presets", expected, format!("{name:?}: {reason}")));
            }
        }
        Ok(())
    }

    /// The bounds of requests. They may always ask for as much as the server does itself.
    pub(crate) fn max_search(&self) -> MaxSearch {
        let config = self.tpo.config();
        MaxSearch {
            iterations: self.max_iterations.max(config.iterations),
            samples: self.max_samples.max(config.samples),
        }
    }

    /// The server. Its search settings bound those of requests: they may always ask for as much as it does itself.
    #[must_use]
    pub fn build(self) -> Server {
        Server::new(App::new(self))
    }
}
