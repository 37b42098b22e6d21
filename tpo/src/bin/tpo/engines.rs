//! Engines from their settings.

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use textgrad_ops::util::terminal::note;

use secrecy::SecretString;
use textgrad_core::{Engine, EngineError};
use textgrad_ops::engine::HttpOptions;
use textgrad_ops::engine::openai::MaxTokensField;
use textgrad_ops::engine::preset::{self, EngineBuilder, Preset};
use textgrad_ops::layer::{EngineExt, Meter, RetryPolicy};
use textgrad_ops::store::{SqliteCache, SqliteConfig};
use tpo::{CancellationToken, Error};

use crate::config::Settings;

/// The default address of `--engine openai`.
const LOCAL: &str = "http://localhost:8000/v1";

/// The layers that all engines of a run share: timeouts and retries, a meter, cancellation, a cache.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers {
    settings: Settings,
    pub(crate) meter: Meter,
    pub(crate) cancel: CancellationToken,
    pub(crate) cache: Option<SqliteCache>,
}

impl Layers {
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Error> {
        let layers = Self { settings: settings.clone(), ..Self::default() };
        match settings.path("cache") {
            Some(path) => layers.with_cache(&path).await,
            None => Ok(layers),
        }
    }

    /// These layers with a cache in a file.
    pub(crate) async fn with_cache(&self, path: &Path) -> Result<Self, Error> {
        let opened = SqliteCache::open(path, SqliteConfig::default()).await;
        Ok(Self { cache: Some(opened.map_err(setup("cache"))?), ..self.clone() })
    }

    /// The engine that answers.
    pub(crate) fn policy(&self) -> Result<Arc<dyn Engine>, Error> {
        let engine: String = self.settings.value("engine")?;
        let base_url: Option<String> = self.settings.get_one("base-url")?;
        let model: Option<String> = self.settings.get_one("model")?;
        let builder = self.builder(&engine, base_url.as_deref(), model.as_deref())?;
        let field: Option<String> = self.settings.get_one("max-tokens-field")?;
        self.engine(match field.as_deref() {
            None => builder,
            Some("max_tokens") => builder.max_tokens_field(MaxTokensField::MaxTokens),
            Some(_) => builder.max_tokens_field(MaxTokensField::MaxCompletionTokens),
        })
    }

    /// An engine beside the policy, such as a judge. Address, model and field of the policy do not apply to it.
    pub(crate) fn other(
        &self,
        what: &'static str,
        engine: &str,
        base_url: Option<&str>,
    ) -> Result<Arc<dyn Engine>, Error> {
        let builder = self.builder(engine, base_url, None);
        builder.and_then(|builder| self.engine(builder)).map_err(|error| match error {
            Error::Setup { source, .. } => Error::Setup { what, source },
            error => error,
        })
    }

    fn engine(&self, builder: EngineBuilder) -> Result<Arc<dyn Engine>, Error> {
        let builder = builder
            .http(HttpOptions::default().request_timeout(self.timeout()?))
            .stream(self.settings.flag("stream"));
        let engine = builder.build().map_err(setup("engine"))?;
        if engine.is_simulation() {
            return Ok(self.cached(engine.metered(&self.meter).complete_choices()));
        }
        let filled = engine.metered(&self.meter).retry(self.retry()?).complete_choices();
        let single = self.settings.flag("one-per-request");
        let filled = if single { filled.always_single() } else { filled };
        Ok(Arc::new(self.cached(filled).traced()))
    }

    pub(crate) fn timeout(&self) -> Result<Duration, Error> {
        Ok(Duration::from_secs(self.settings.value("timeout")?))
    }

    pub(crate) fn retry(&self) -> Result<RetryPolicy, Error> {
        let retries = self.settings.value("retries")?;
        Ok(RetryPolicy::default().max_retries(retries).cancellation(self.cancel.clone()))
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
            note(format_args!("warning: {}", tpo::describe(&error)));
        }
    }

    fn builder(
        &self,
        engine: &str,
        base_url: Option<&str>,
        model: Option<&str>,
    ) -> Result<EngineBuilder, Error> {
        let line = engine.trim();
        let unused = |setting, expected, got: &str| {
            Err(Error::Config { setting, expected, got: got.to_owned() })
        };
        if line == "sim" || line.starts_with("sim:") {
            let expected = "none beside the simulation, or --engine with a server, such as openai";
            return match (model, base_url) {
                (Some(model), _) => unused("model", expected, model),
                // An address may hold a password.
                (None, Some(_)) => unused("base-url", expected, "an address"),
                (None, None) => preset::engine(&self.simulation(line)?).map_err(setup("engine")),
            };
        }
        let named = || {
            model.ok_or_else(|| missing("model", "the name of the model that the server serves"))
        };
        if line == "openai" {
            let builder = EngineBuilder::compatible(base_url.unwrap_or(LOCAL), named()?);
            return Ok(match secret("OPENAI_API_KEY") {
                Some(key) => builder.key(key),
                None => builder,
            });
        }
        let builder = match (Preset::named(line), model) {
            (Some(_), _) => preset::engine(&format!("{line}/{}", named()?)),
            (None, None) => preset::engine(line),
            (None, Some(model)) => {
                let expected =
                    "none beside an engine that names its model, or --engine with a preset alone";
                return unused("model", expected, model);
            }
        };
        let builder = builder.map_err(setup("engine"))?;
        Ok(match base_url {
            Some(base_url) => builder.base_url(base_url),
            None => builder,
        })
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

pub(crate) fn secret(name: &str) -> Option<SecretString> {
    env::var(name).ok().filter(|key| !key.is_empty()).map(SecretString::from)
}

pub(crate) fn missing(setting: &'static str, expected: &'static str) -> Error {
    Error::Config { setting, expected, got: "nothing".to_owned() }
}

pub(crate) fn setup(what: &'static str) -> impl Fn(EngineError) -> Error {
    move |source| Error::Setup { what, source }
}
