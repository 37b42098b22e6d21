//! Engines from their settings.

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use textgrad_ops::util::terminal::note;

use parking_lot::Mutex;
use secrecy::SecretString;
use textgrad_core::{Engine, EngineError, Request, Response, Sampling};
use textgrad_ops::engine::HttpOptions;
use textgrad_ops::engine::openai::MaxTokensField;
use textgrad_ops::engine::preset::{self, EngineBuilder, Preset};
use textgrad_ops::layer::{
    Balanced, Breaker, EngineExt, Layer, Layered, Limiter, Limits, Meter, RetryPolicy,
};
use tpo::serve::Upstream;
use tpo::{CancellationToken, Error, Likelihood};

use crate::cache::Cache;
use crate::config::Settings;
use crate::context;
#[cfg(feature = "local")]
use crate::models::Models;
use crate::preflight::{PROBE_RETRIES, Server, Servers};
use crate::progress::Bill;

/// The layers that all engines of a run share: timeouts and retries, a meter, cancellation, a cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    settings: Settings,
    pub(crate) meter: Meter,
    pub(crate) bill: Bill,
    pub(crate) cancel: CancellationToken,
    pub(crate) cache: Option<Cache>,
    /// The limits that all engines share.
    limiter: Option<Limiter>,
    pub(crate) breaker: Breaker,
    pub(crate) servers: Servers,
    #[cfg(feature = "local")]
    models: Models,
    /// Receives the policy's own server, if it has OpenAI's chat API.
    pub(crate) upstream: Option<Arc<Mutex<Option<Upstream>>>>,
}

impl Layers {
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Error> {
        let mut layers = Self { settings: settings.clone(), ..Self::default() };
        let limit = |name| Ok::<u32, Error>(settings.get_one(name)?.unwrap_or(0));
        let limits = Limits::default()
            .concurrency(limit("max-concurrent-requests")?)
            .requests_per_minute(limit("requests-per-minute")?)
            .tokens_per_minute(limit("tokens-per-minute")?);
        layers.limiter = Some(Limiter::new(limits).cancellation(layers.cancel.clone()));
        layers.bill = Bill::new(context::prices(settings).await?);
        let failures = settings.value("max-consecutive-failures")?;
        layers.breaker = Breaker::canceling(failures, layers.cancel.clone());
        match settings.path("cache") {
            Some(path) => layers.with_cache(&path).await,
            None => Ok(layers),
        }
    }

    /// These layers with a cache.
    pub(crate) async fn with_cache(&self, place: &Path) -> Result<Self, Error> {
        Ok(Self { cache: Some(Cache::open(place).await?), ..self.clone() })
    }

    /// The engine that answers.
    pub(crate) async fn policy(&self) -> Result<Arc<dyn Engine>, Error> {
        let engine: String = self.settings.value("engine")?;
        let model: Option<String> = self.settings.get_one("model")?;
        let field: Option<String> = self.settings.get_one("max-tokens-field")?;
        let mut base_urls: Vec<Option<String>> =
            self.settings.list("base-url")?.into_iter().map(Some).collect();
        if base_urls.is_empty() {
            base_urls.push(None);
        }
        let mut builders = Vec::with_capacity(base_urls.len());
        for base_url in base_urls {
            let builder = self.builder(&engine, base_url.as_deref(), model.as_deref()).await?;
            if self.settings.flag("constrained-updates") && !builder.takes_grammars() {
                let expected = "false, or an --engine that takes grammars: local:FILE.gguf, llamacpp/MODEL, \
                                vllm/MODEL, sglang/MODEL or fireworks/MODEL, with --base-url if it is elsewhere";
                return Err(Error::config(
                    "constrained-updates",
                    expected,
                    format!("true with {engine}"),
                ));
            }
            if let Some(upstream) = &self.upstream {
                let own = builder.clone().http(self.http()?).chat_client();
                if let Some((client, model)) = own.map_err(setup("engine"))? {
                    let mut upstream = upstream.lock();
                    let clients = upstream.take().map(|known| known.clients).unwrap_or_default();
                    let clients = clients.into_iter().chain([client]).collect();
                    *upstream = Some(Upstream { clients, model });
                }
            }
            builders.push(match field.as_deref() {
                None => builder,
                Some("max_tokens") => builder.max_tokens_field(MaxTokensField::MaxTokens),
                Some(_) => builder.max_tokens_field(MaxTokensField::MaxCompletionTokens),
            });
        }
        self.engine("engine", builders).await
    }

    /// An engine beside the policy, such as a judge. Address, model and field of the policy do not apply to it.
    pub(crate) async fn other(
        &self,
        what: &'static str,
        engine: &str,
        base_url: Option<&str>,
    ) -> Result<Arc<dyn Engine>, Error> {
        let made = async {
            let builder = self.builder(engine, base_url, None).await?;
            self.engine(what, vec![builder]).await
        };
        made.await.map_err(|error| match error {
            Error::Setup { source, .. } => Error::Setup { what, source },
            error => error,
        })
    }

    /// An engine of one model, at one or several addresses.
    async fn engine(
        &self,
        what: &'static str,
        builders: Vec<EngineBuilder>,
    ) -> Result<Arc<dyn Engine>, Error> {
        let mut engines = Vec::with_capacity(builders.len());
        for builder in builders {
            let builder = builder.http(self.http()?).stream(self.settings.flag("stream"));
            let builder = builder.predicted_outputs(self.settings.flag("predicted-outputs"));
            let builder = match self.settings.flag("inline-reasoning") {
                true => builder.inline_reasoning(),
                false => builder,
            };
            engines.push(self.build(builder).await?);
        }
        let mut engine: Arc<dyn Engine> = match engines.pop() {
            Some(only) if engines.is_empty() => only,
            last => {
                Arc::new(Balanced::new(engines.into_iter().chain(last)).map_err(setup("engine"))?)
            }
        };
        if let Some(meter) = self.bill.meter(engine.name()) {
            engine = Arc::new(engine.metered(&meter));
        }
        if engine.is_simulation() {
            return Ok(self.cached(engine.metered(&self.meter).complete_choices()));
        }
        let engine: Arc<dyn Engine> = match self.settings.flag("no-seeds") {
            true => Arc::new(Layered::new(engine, NoSeeds)),
            false => engine,
        };
        let limiter =
            self.limiter.as_ref().map_or_else(|| Limits::default().into(), Limiter::another);
        let calls: Arc<dyn Engine> = Arc::new(engine.metered(&self.meter).limit(limiter));
        let probes =
            Arc::clone(&calls).retry(self.retry()?.max_retries(self.retries()?.min(PROBE_RETRIES)));
        self.servers.add(Server::Engine(what, Arc::new(probes)));
        let retried = calls.retry(self.retry()?).breaker(&self.breaker.another());
        let filled = retried.complete_choices();
        // A prediction is of one answer.
        let single =
            ["one-per-request", "predicted-outputs"].iter().any(|name| self.settings.flag(name));
        let filled = if single { filled.always_single() } else { filled };
        Ok(Arc::new(self.cached(filled).traced()))
    }

    /// Builds an engine. A model in the process is loaded, unless it is there with the same settings.
    #[cfg_attr(
        not(feature = "local"),
        expect(clippy::unused_async, reason = "as with the feature")
    )]
    async fn build(&self, builder: EngineBuilder) -> Result<Arc<dyn Engine>, Error> {
        #[cfg(feature = "local")]
        if let Some(settings) = builder.local_model() {
            return Ok(Arc::new(self.models.load(settings.clone()).await?));
        }
        builder.build().map_err(setup("engine"))
    }

    /// The likelihoods of a model in the process.
    #[cfg_attr(
        not(feature = "local"),
        expect(clippy::unused_async, unused_variables, reason = "as with the feature")
    )]
    pub(crate) async fn likelihood(&self, builder: &EngineBuilder) -> Result<Likelihood, Error> {
        #[cfg(feature = "local")]
        if let Some(settings) = builder.local_model() {
            let model = self.models.load(settings.clone()).await?;
            self.servers.add(Server::Engine("likelihood", Arc::new(model.clone())));
            return Ok(Likelihood::local(model));
        }
        Err(missing("reward-model", "a model in the process, as in local:FILE"))
    }

    fn http(&self) -> Result<HttpOptions, Error> {
        let proxy_loopback = self.settings.flag("proxy-loopback");
        Ok(HttpOptions::default().request_timeout(self.timeout()?).proxy_loopback(proxy_loopback))
    }

    pub(crate) fn timeout(&self) -> Result<Duration, Error> {
        Ok(Duration::from_secs(self.settings.value("timeout")?))
    }

    pub(crate) fn retry(&self) -> Result<RetryPolicy, Error> {
        let policy = RetryPolicy::default().max_retries(self.retries()?);
        Ok(policy.cancellation(self.cancel.clone()))
    }

    fn retries(&self) -> Result<u32, Error> {
        self.settings.value("retries")
    }

    fn cached(&self, engine: impl Engine + 'static) -> Arc<dyn Engine> {
        match &self.cache {
            Some(cache) => cache.over(Arc::new(engine)),
            None => Arc::new(engine),
        }
    }

    pub(crate) async fn flush(&self) {
        if let Some(cache) = &self.cache {
            cache.flush().await;
        }
    }

    /// What the work comes to; `None` if the program is to stop before. What the caches have is on the disk then.
    ///
    /// # Errors
    /// Those of the work, and [`Error::ServerFails`] if that is why it is to stop.
    pub(crate) async fn until_cancelled<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Error> {
        let outcome = tokio::select! {
            outcome = work => Some(outcome),
            () = self.cancel.cancelled() => None,
        };
        self.flush().await;
        match (outcome, self.breaker.opened()) {
            (Some(outcome), _) => outcome.map(Some),
            (None, Some(source)) => Err(Error::ServerFails { source }),
            (None, None) => Ok(None),
        }
    }

    async fn builder(
        &self,
        engine: &str,
        base_url: Option<&str>,
        model: Option<&str>,
    ) -> Result<EngineBuilder, Error> {
        let line = engine.trim();
        let unused = |setting, expected, got: &str| Err(Error::config(setting, expected, got));
        let in_process = match line {
            line if line == "sim" || line.starts_with("sim:") => {
                Some(("the simulation", self.simulation(line)?))
            }
            line if line.starts_with("local:") => Some(("a model in the process", line.to_owned())),
            _ => None,
        };
        if let Some((what, line)) = in_process {
            let expected = "--engine with a server beside it, such as vllm or openai";
            return match (model, base_url) {
                (Some(model), _) => unused("model", expected, &format!("{what} and {model}")),
                // An address may hold a password.
                (None, Some(_)) => unused("base-url", expected, &format!("{what} and an address")),
                (None, None) => preset::engine(&line).map_err(setup("engine")),
            };
        }
        // Any server with this chat API; without an address it is the preset.
        if line == "openai"
            && let Some(base_url) = base_url
        {
            let builder = EngineBuilder::compatible(base_url, model.unwrap_or_default());
            let builder = match secret("OPENAI_API_KEY") {
                Some(key) => builder.key(key),
                None => builder,
            };
            return if model.is_some() { Ok(builder) } else { named(builder).await };
        }
        let is_named = model.is_some() || Preset::named(line).is_none();
        let builder = match (Preset::named(line), model) {
            (Some(_), model) => preset::engine(&format!("{line}/{}", model.unwrap_or("MODEL"))),
            (None, None) => preset::engine(line),
            (None, Some(model)) if line.contains("://") && !line.contains('#') => {
                preset::engine(&format!("{line}#{model}"))
            }
            (None, Some(model)) => {
                let expected =
                    "none beside an engine that names its model, or --engine with a preset alone";
                return unused("model", expected, model);
            }
        };
        let builder = builder.map_err(setup("engine"))?;
        let builder = match base_url {
            Some(base_url) => builder.base_url(base_url),
            None => builder,
        };
        if is_named { Ok(builder) } else { named(builder).await }
    }

    /// The name of a simulation with its settings.
    fn simulation(&self, line: &str) -> Result<String, Error> {
        let mut line = line.to_owned();
        if !line.contains(':') {
            line.push(':');
        }
        if let Some(skill) = self.settings.get_one::<f64>("sim-skill")? {
            line.push_str(&format!(",skill={skill}"));
        }
        if let Some(milliseconds) = self.settings.get_one::<u64>("sim-latency-ms")? {
            line.push_str(&format!(",latency_ms={milliseconds}"));
        }
        Ok(line)
    }
}

/// Sends no seeds.
struct NoSeeds;

impl Layer for NoSeeds {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        let sampling = Sampling { seed: None, ..request.sampling.clone() };
        engine.complete(&request.clone().with_sampling(sampling)).await
    }
}

/// The builder with the only model that its server lists.
async fn named(builder: EngineBuilder) -> Result<EngineBuilder, Error> {
    let model = only_model("model", builder.served_models().await)?;
    Ok(builder.model(model))
}

/// The only model of a server's list.
pub(crate) fn only_model(
    setting: &'static str,
    models: Result<Vec<String>, EngineError>,
) -> Result<String, Error> {
    const SHOWN: usize = 20;
    let got = match models.as_deref() {
        Ok([model]) => {
            note(format_args!("{setting}: {model}, the only one that the server lists"));
            return Ok(model.clone());
        }
        Ok([]) => "nothing, and the server lists none".to_owned(),
        Ok(models) => {
            let shown: Vec<&str> = models.iter().take(SHOWN).map(String::as_str).collect();
            let more = if models.len() > SHOWN { ", ..." } else { "" };
            format!("nothing, and the server lists {}{more}", shown.join(", "))
        }
        Err(error) if error.status().is_none() => {
            let message = format!(
                "{}; its server is asked for the name of the model, since --{setting} got nothing; `tpo engines` \
                 lists servers that answer",
                error.message()
            );
            let what = if setting == "model" { "engine" } else { "reward model" };
            return Err(Error::Setup { what, source: error.clone().with_message(message) });
        }
        Err(error) => {
            format!("nothing, and the server's list cannot be read: {}", tpo::describe(error))
        }
    };
    Err(Error::config(setting, "the name of a model that the server serves", got))
}

pub(crate) fn secret(name: &str) -> Option<SecretString> {
    env::var(name).ok().filter(|key| !key.is_empty()).map(SecretString::from)
}

pub(crate) fn missing(setting: &'static str, expected: &'static str) -> Error {
    Error::config(setting, expected, "nothing")
}

pub(crate) fn setup(what: &'static str) -> impl Fn(EngineError) -> Error {
    move |source| Error::Setup { what, source }
}
