//! Setting up the engine.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::{Engine, EngineError};
use textgrad_ops::engine::openai::MaxTokensField;
use textgrad_ops::engine::preset::{self, EngineBuilder, Preset};
use textgrad_ops::layer::EngineExt;
use textgrad_ops::layer::{Meter, RetryPolicy};
use textgrad_ops::store::{DiskCache, DiskCacheConfig};
use tpo::{CancellationToken, Error};

use crate::args::{RunArgs, TokensField};

/// Where `--engine openai` looks for a server.
const LOCAL: &str = "http://localhost:8000/v1";

/// The file of kept answers, where one is wanted.
pub(crate) async fn cache(args: &RunArgs) -> Result<Option<DiskCache>, Error> {
    let Some(path) = &args.cache else { return Ok(None) };
    let opened = DiskCache::open(path, DiskCacheConfig::default()).await;
    Ok(Some(opened.map_err(setup("cache"))?))
}

/// The engine, its requests counted by `meter`, its answers kept by `cache`.
pub(crate) fn engine(
    args: &RunArgs,
    meter: &Meter,
    stop: &CancellationToken,
    cache: Option<&DiskCache>,
) -> Result<Arc<dyn Engine>, Error> {
    let settings = named(args)?;
    let mut settings =
        settings.request_timeout(Duration::from_secs(args.timeout)).stream(args.stream);
    if let Some(field) = args.max_tokens_field {
        settings = settings.max_tokens_field(match field {
            TokensField::MaxTokens => MaxTokensField::MaxTokens,
            TokensField::MaxCompletionTokens => MaxTokensField::MaxCompletionTokens,
        });
    }
    let engine = settings.build().map_err(setup("engine"))?;
    if engine.is_simulation() {
        return Ok(kept(engine.metered(meter).complete_choices(), cache));
    }
    let filled = engine.metered(meter).retry(retry(args, stop)).complete_choices();
    let filled = if args.one_per_request { filled.always_single() } else { filled };
    Ok(Arc::new(kept(filled, cache).traced()))
}

/// An engine beside the policy, such as one that judges, named as `--engine` is; timeouts and retries are those
/// of the policy's.
pub(crate) fn other(
    args: &RunArgs,
    what: &'static str,
    line: &str,
    base_url: Option<&str>,
    meter: &Meter,
    stop: &CancellationToken,
    cache: Option<&DiskCache>,
) -> Result<Arc<dyn Engine>, Error> {
    // What was said of the policy's server and model does not hold for this one's.
    let (base_url, model, max_tokens_field) = (base_url.map(str::to_owned), None, None);
    let named =
        RunArgs { engine: line.to_owned(), base_url, model, max_tokens_field, ..args.clone() };
    engine(&named, meter, stop, cache).map_err(|error| match error {
        Error::Setup { source, .. } => Error::Setup { what, source },
        error => error,
    })
}

fn kept(engine: impl Engine + 'static, cache: Option<&DiskCache>) -> Arc<dyn Engine> {
    match cache {
        Some(cache) => Arc::new(engine.disk_cached(cache)),
        None => Arc::new(engine),
    }
}

/// The settings of the engine that the command line names.
fn named(args: &RunArgs) -> Result<EngineBuilder, Error> {
    let line = args.engine.trim();
    if line == "sim" || line.starts_with("sim:") {
        let model = args.model.as_deref();
        // An address may hold a password.
        let address = args.base_url.as_ref().map(|_| "an address");
        for (setting, got) in [("model", model), ("base-url", address)] {
            if let Some(got) = got {
                let expected =
                    "none beside the simulation, or --engine with a server, such as openai";
                return Err(Error::Config { setting, expected, got: got.to_owned() });
            }
        }
        return preset::engine(&simulation(line, args)).map_err(setup("engine"));
    }
    if line == "openai" {
        let model = model(args)?;
        let base_url = args.base_url.as_deref().unwrap_or(LOCAL);
        let settings = EngineBuilder::compatible(base_url, model);
        return Ok(match secret("OPENAI_API_KEY") {
            Some(key) => settings.key(key),
            None => settings,
        });
    }
    let settings = if Preset::named(line).is_some() {
        preset::engine(&format!("{line}/{}", model(args)?))
    } else if let Some(model) = &args.model {
        return Err(Error::Config {
            setting: "model",
            expected: "none beside an engine that names its model, or --engine with a preset alone",
            got: model.clone(),
        });
    } else {
        preset::engine(line)
    };
    let settings = settings.map_err(setup("engine"))?;
    Ok(match &args.base_url {
        Some(base_url) => settings.base_url(base_url.as_str()),
        None => settings,
    })
}

/// The line of a simulation with what other arguments say of it.
fn simulation(line: &str, args: &RunArgs) -> String {
    let mut line = line.to_owned();
    if !line.contains(':') {
        line.push(':');
    }
    if let Some(skill) = args.sim_skill {
        line.push_str(&format!(",skill={skill}"));
    }
    if let Some(milliseconds) = args.sim_latency_ms {
        line.push_str(&format!(",latency_ms={milliseconds}"));
    }
    line
}

fn model(args: &RunArgs) -> Result<&str, Error> {
    let expected = "the name of the model that the server serves";
    args.model.as_deref().ok_or_else(|| missing("model", expected))
}

pub(crate) fn retry(args: &RunArgs, stop: &CancellationToken) -> RetryPolicy {
    RetryPolicy::default().max_retries(args.retries).cancellation(stop.clone())
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
