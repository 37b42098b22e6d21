//! Setting up the engine and the reward model.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use textgrad_core::{Engine, EngineError};
use textgrad_ops::engine::layer::{DiskCache, DiskCacheConfig, Meter, RetryPolicy};
use textgrad_ops::engine::openai::MaxTokensField;
use textgrad_ops::engine::{EngineExt, OpenAi, Sim};
use tpo::{Error, RewardModel, SimReward, Stop, VllmReward};

use crate::args::{EngineKind, RewardKind, RunArgs, TokensField};

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
    stop: &Stop,
    cache: Option<&DiskCache>,
) -> Result<Arc<dyn Engine>, Error> {
    match args.engine {
        EngineKind::Sim => {
            let sim = Sim::builder()
                .skill(args.sim_skill)
                .latency(Duration::from_millis(args.sim_latency_ms))
                .build()
                .map_err(setup("engine"))?;
            Ok(kept(sim.metered(meter).fill(), cache))
        }
        EngineKind::Openai => {
            let Some(model) = &args.model else {
                return Err(missing("model", "the name of the model that the server serves"));
            };
            let mut client = OpenAi::builder(&args.base_url, model);
            if let Some(key) = secret("OPENAI_API_KEY") {
                client = client.key(key);
            }
            let client = client
                .request_timeout(Duration::from_secs(args.timeout))
                .stream(args.stream)
                .max_tokens_field(match args.max_tokens_field {
                    TokensField::MaxTokens => MaxTokensField::MaxTokens,
                    TokensField::MaxCompletionTokens => MaxTokensField::MaxCompletionTokens,
                })
                .build()
                .map_err(setup("engine"))?;
            let filled = client.metered(meter).retry(retry(args, stop)).fill();
            let filled = if args.single { filled.always_single() } else { filled };
            Ok(Arc::new(kept(filled, cache).traced()))
        }
    }
}

fn kept(engine: impl Engine + 'static, cache: Option<&DiskCache>) -> Arc<dyn Engine> {
    match cache {
        Some(cache) => Arc::new(engine.disk_cached(cache)),
        None => Arc::new(engine),
    }
}

/// The reward model.
pub(crate) fn reward(args: &RunArgs, stop: &Stop) -> Result<Arc<dyn RewardModel>, Error> {
    let kind = match (args.reward, args.engine) {
        (Some(kind), _) => kind,
        (None, EngineKind::Sim) => RewardKind::Sim,
        (None, EngineKind::Openai) => {
            return Err(missing(
                "reward",
                "vllm, or sim if simulated rewards for real answers are what you want",
            ));
        }
    };
    match kind {
        RewardKind::Sim => Ok(Arc::new(SimReward)),
        RewardKind::Vllm => {
            let Some(model) = &args.reward_model else {
                return Err(missing("reward-model", "the name of the reward model"));
            };
            let mut reward = VllmReward::builder(&args.reward_url, model)
                .timeout(Duration::from_secs(args.timeout))
                .retry(retry(args, stop));
            if let Some(key) = secret("REWARD_API_KEY") {
                reward = reward.key(key);
            }
            let reward = reward.build();
            Ok(Arc::new(reward.map_err(setup("reward model"))?))
        }
    }
}

fn retry(args: &RunArgs, stop: &Stop) -> RetryPolicy {
    RetryPolicy::default().max_retries(args.retries).stop(stop.clone())
}

fn secret(name: &str) -> Option<SecretString> {
    env::var(name).ok().filter(|key| !key.is_empty()).map(SecretString::from)
}

fn missing(setting: &'static str, expected: &'static str) -> Error {
    Error::Config { setting, expected, got: "nothing".to_owned() }
}

fn setup(what: &'static str) -> impl Fn(EngineError) -> Error {
    move |source| Error::Setup { what, source }
}
