//! Configuration of a server.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use textgrad_core::Engine;

use super::echo::{Echo, echo_reward};
use super::echoed::EchoStyle;
use super::error::ErrorShape;
use super::fault::{FaultBook, FaultRule, MAX_DELAY};
use super::rewards::RewardServer;
use super::server::{FakeServer, Shared};

/// The model of a server that was told no names.
const MODEL: &str = "fake";

/// A function of query and answer.
pub(super) type Reward = Arc<dyn Fn(&str, &str) -> f64 + Send + Sync>;
/// A function of a token.
pub(super) type Logprob = Arc<dyn Fn(&str) -> f64 + Send + Sync>;

/// What does not change while a server runs.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) latency: Duration,
    pub(super) error_shape: ErrorShape,
    pub(super) max_choices: Option<u32>,
    pub(super) api_key: Option<String>,
    pub(super) models: Vec<String>,
    pub(super) reward_server: RewardServer,
    pub(super) bos: Option<String>,
    pub(super) echo_style: EchoStyle,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("latency", &self.latency)
            .field("error_shape", &self.error_shape)
            .field("max_choices", &self.max_choices)
            .field("has_api_key", &self.api_key.is_some())
            .field("models", &self.models)
            .field("reward_server", &self.reward_server)
            .field("bos", &self.bos)
            .field("echo_style", &self.echo_style)
            .finish()
    }
}

impl Options {
    /// The names that `/v1/models` lists.
    pub(super) fn model_names(&self) -> impl Iterator<Item = &str> {
        let default = self.models.is_empty().then_some(MODEL);
        self.models.iter().map(String::as_str).chain(default)
    }

    /// The name to answer by; none if the model is not served.
    pub(super) fn model(&self, asked: Option<String>) -> Result<String, String> {
        match asked {
            Some(asked) if self.models.is_empty() || self.models.contains(&asked) => Ok(asked),
            Some(asked) => Err(asked),
            None => Ok(self.model_names().next().unwrap_or(MODEL).to_owned()),
        }
    }
}

/// Sets up a [`FakeServer`]; see [`FakeServer::builder`].
#[must_use = "a builder does nothing until started"]
pub struct FakeServerBuilder {
    options: Options,
    port: u16,
    faults: Vec<FaultRule>,
    engine: Arc<dyn Engine>,
    reward: Reward,
    logprob: Logprob,
}

impl fmt::Debug for FakeServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServerBuilder")
            .field("options", &self.options)
            .field("port", &self.port)
            .field("faults", &self.faults)
            .field("engine", &self.engine.name())
            .finish_non_exhaustive()
    }
}

impl FakeServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            options: Options {
                latency: Duration::ZERO,
                error_shape: ErrorShape::default(),
                max_choices: None,
                api_key: None,
                models: Vec::new(),
                reward_server: RewardServer::default(),
                bos: None,
                echo_style: EchoStyle::default(),
            },
            port: 0,
            faults: Vec::new(),
            engine: Arc::new(Echo),
            reward: Arc::new(echo_reward),
            logprob: Arc::new(|_| -1.0),
        }
    }

    /// Listens on this port of the loopback interface; 0, the default, is any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Takes this long for every answer of `chat` and `classify`, ten minutes at most; errors come at once.
    /// Zero by default.
    pub fn latency(mut self, latency: Duration) -> Self {
        self.options.latency = latency.min(MAX_DELAY);
        self
    }

    /// Adds a fault. Of several that fit one request, the first added happens.
    pub fn fault(mut self, rule: impl Into<FaultRule>) -> Self {
        self.faults.push(rule.into());
        self
    }

    /// Answers chats with this engine; with [`Echo`] by default.
    pub fn engine(mut self, engine: impl Engine + 'static) -> Self {
        self.engine = Arc::new(engine);
        self
    }

    /// Scores with this function of query and answer; with [`echo_reward`] by default.
    pub fn reward(mut self, reward: impl Fn(&str, &str) -> f64 + Send + Sync + 'static) -> Self {
        self.reward = Arc::new(reward);
        self
    }

    /// Has the reward routes, the traps and the shape of errors of this server; those of vLLM by default.
    pub fn reward_server(mut self, server: RewardServer) -> Self {
        self.options.reward_server = server;
        self.options.error_shape = server.error_shape();
        self
    }

    /// Serves a model whose texts begin with this token; with none by default.
    pub fn bos(mut self, token: impl Into<String>) -> Self {
        self.options.bos = Some(token.into());
        self
    }

    /// Echoes prompts with their logprobs as this kind of server does; as vLLM by default.
    pub fn echo_style(mut self, style: EchoStyle) -> Self {
        self.options.echo_style = style;
        self
    }

    /// Says that tokens of a prompt have these logarithms of probabilities; -1 by default. A token begins at
    /// white space and at `<`, and ends behind `>`.
    pub fn logprob(mut self, logprob: impl Fn(&str) -> f64 + Send + Sync + 'static) -> Self {
        self.logprob = Arc::new(logprob);
        self
    }

    /// Gives at most so many choices to a request, and says nothing about it. With 1 it is like Ollama.
    pub fn max_choices(mut self, most: u32) -> Self {
        self.options.max_choices = Some(most.max(1));
        self
    }

    /// Asks for this key on paths that begin with `/v1`.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.options.api_key = Some(key.into());
        self
    }

    /// Writes errors in this shape.
    pub fn error_shape(mut self, shape: ErrorShape) -> Self {
        self.options.error_shape = shape;
        self
    }

    /// Serves only these models: others are 404. Without names any model is served.
    pub fn models<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.options.models = names.into_iter().map(Into::into).collect();
        self
    }

    /// Starts the server on the runtime of the caller.
    ///
    /// # Errors
    /// If the port cannot be bound.
    pub async fn start(self) -> io::Result<FakeServer> {
        let faults = FaultBook::new(self.faults);
        let shared = Shared::new(self.options, self.engine, self.reward, self.logprob, faults);
        FakeServer::start(shared, self.port).await
    }
}
