//! Engines from their settings.

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::{Engine, EngineError};
use textgrad_ops::engine::HttpOptions;
use textgrad_ops::engine::openai::MaxTokensField;
use textgrad_ops::engine::preset::{self, EngineBuilder, Preset};
use textgrad_ops::layer::{EngineExt, Meter, RetryPolicy};
use textgrad_ops::store::{DiskCache, DiskCacheConfig};
use tpo::{CancellationToken, Error};

use crate::config::Settings;

/// The default address of `--engine openai`.
const LOCAL: &str = "http://localhost:8000/v1";

/// An engine and its connection.
#[derive(Debug, Clone)]
pub(crate) struct EngineSpec {
    engine: String,
    base_url: Option<String>,
    model: Option<String>,
    max_tokens_field: Option<MaxTokensField>,
    stream: bool,
    one_per_request: bool,
    pub(crate) timeout: Duration,
    retries: u32,
    sim_skill: Option<f64>,
    sim_latency_ms: Option<u64>,
}

impl EngineSpec {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let field: Option<String> = settings.get_one("max-tokens-field")?;
        Ok(Self {
            engine: settings.value("engine")?,
            base_url: settings.get_one("base-url")?,
            model: settings.get_one("model")?,
            max_tokens_field: field.map(|field| match field.as_str() {
                "max_tokens" => MaxTokensField::MaxTokens,
                _ => MaxTokensField::MaxCompletionTokens,
            }),
            stream: settings.flag("stream"),
            one_per_request: settings.flag("one-per-request"),
            timeout: Duration::from_secs(settings.value("timeout")?),
            retries: settings.value("retries")?,
            sim_skill: settings.get_one("sim-skill")?,
            sim_latency_ms: settings.get_one("sim-latency-ms")?,
        })
    }

    pub(crate) fn retry(&self, cancel: &CancellationToken) -> RetryPolicy {
        RetryPolicy::default().max_retries(self.retries).cancellation(cancel.clone())
    }
}

/// The layers that all engines of a run share: a meter, cancellation, a cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    pub(crate) meter: Meter,
    pub(crate) cancel: CancellationToken,
    pub(crate) cache: Option<DiskCache>,
}

impl Layers {
    pub(crate) async fn open(cache: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = cache else { return Ok(Self::default()) };
        let opened = DiskCache::open(path, DiskCacheConfig::default()).await;
        Ok(Self { cache: Some(opened.map_err(setup("cache"))?), ..Self::default() })
    }

    /// The engine with these layers.
    pub(crate) fn engine(&self, spec: &EngineSpec) -> Result<Arc<dyn Engine>, Error> {
        let mut builder = builder(spec)?
            .http(HttpOptions::default().request_timeout(spec.timeout))
            .stream(spec.stream);
        if let Some(field) = spec.max_tokens_field {
            builder = builder.max_tokens_field(field);
        }
        let engine = builder.build().map_err(setup("engine"))?;
        if engine.is_simulation() {
            return Ok(self.cached(engine.metered(&self.meter).complete_choices()));
        }
        let filled = engine.metered(&self.meter).retry(spec.retry(&self.cancel)).complete_choices();
        let filled = if spec.one_per_request { filled.always_single() } else { filled };
        Ok(Arc::new(self.cached(filled).traced()))
    }

    /// An engine beside the policy, such as a judge. Address, model and field of the policy do not apply to it.
    pub(crate) fn other(
        &self,
        what: &'static str,
        policy: &EngineSpec,
        engine: &str,
        base_url: Option<&str>,
    ) -> Result<Arc<dyn Engine>, Error> {
        let (engine, base_url) = (engine.to_owned(), base_url.map(str::to_owned));
        let (model, max_tokens_field) = (None, None);
        let spec = EngineSpec { engine, base_url, model, max_tokens_field, ..policy.clone() };
        self.engine(&spec).map_err(|error| match error {
            Error::Setup { source, .. } => Error::Setup { what, source },
            error => error,
        })
    }

    fn cached(&self, engine: impl Engine + 'static) -> Arc<dyn Engine> {
        match &self.cache {
            Some(cache) => Arc::new(engine.disk_cached(cache)),
            None => Arc::new(engine),
        }
    }

    pub(crate) async fn flush(&self) {
        if let Some(cache) = &self.cache
            && let Err(error) = cache.flush().await
        {
            eprintln!("warning: {}", tpo::describe(&error));
        }
    }
}

fn builder(spec: &EngineSpec) -> Result<EngineBuilder, Error> {
    let line = spec.engine.trim();
    if line == "sim" || line.starts_with("sim:") {
        let model = spec.model.as_deref();
        // An address may hold a password.
        let address = spec.base_url.as_ref().map(|_| "an address");
        for (setting, got) in [("model", model), ("base-url", address)] {
            if let Some(got) = got {
                let expected =
                    "none beside the simulation, or --engine with a server, such as openai";
                return Err(Error::Config { setting, expected, got: got.to_owned() });
            }
        }
        return preset::engine(&simulation(line, spec)).map_err(setup("engine"));
    }
    let model = || {
        let expected = "the name of the model that the server serves";
        spec.model.as_deref().ok_or_else(|| missing("model", expected))
    };
    if line == "openai" {
        let base_url = spec.base_url.as_deref().unwrap_or(LOCAL);
        let builder = EngineBuilder::compatible(base_url, model()?);
        return Ok(match secret("OPENAI_API_KEY") {
            Some(key) => builder.key(key),
            None => builder,
        });
    }
    let builder = if Preset::named(line).is_some() {
        preset::engine(&format!("{line}/{}", model()?))
    } else if let Some(model) = &spec.model {
        return Err(Error::Config {
            setting: "model",
            expected: "none beside an engine that names its model, or --engine with a preset alone",
            got: model.clone(),
        });
    } else {
        preset::engine(line)
    };
    let builder = builder.map_err(setup("engine"))?;
    Ok(match &spec.base_url {
        Some(base_url) => builder.base_url(base_url.as_str()),
        None => builder,
    })
}

/// The name of a simulation with its settings.
fn simulation(line: &str, spec: &EngineSpec) -> String {
    let mut line = line.to_owned();
    if !line.contains(':') {
        line.push(':');
    }
    if let Some(skill) = spec.sim_skill {
        line.push_str(&format!(",skill={skill}"));
    }
    if let Some(milliseconds) = spec.sim_latency_ms {
        line.push_str(&format!(",latency_ms={milliseconds}"));
    }
    line
}

pub(crate) fn secret(name: &str) -> Option<SecretString> {
    env::var(name).ok().filter(|key| !key.is_empty()).map(SecretString::from)
}

pub(crate) fn missing(setting: &'static str, expected: &'static str) -> Error {
    Error::Config { setting, expected, got: "nothing".to_owned() }
}

pub(crate) fn setup(what: &'static str) -> impl Fn(EngineError) -> Error {
    move |source| Error::Setup { what, source }
}
