//! The typed settings of a run.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value as Json};
use textgrad_core::Layout;
use textgrad_ops::engine::openai::MaxTokensField;
use textgrad_ops::layer::{Money, Prices, RetryPolicy};
use tpo::input::Format;
use tpo::{CancellationToken, Combine, Error, MoneyBound, Stopping, TpoConfig, Truncation};

use crate::config::Settings;
use crate::engines::{missing, setup};
use crate::rewards::Line;

/// What a run does, as its settings say.
#[derive(Debug, Clone)]
pub(crate) struct RunSpec {
    pub(crate) data: Option<PathBuf>,
    pub(crate) format: Option<Format>,
    pub(crate) limit: Option<usize>,
    pub(crate) search: TpoConfig,
    pub(crate) prompts: Option<PathBuf>,
    pub(crate) tokenizer: Option<PathBuf>,
    pub(crate) engine: EngineSpec,
    pub(crate) critic: Option<String>,
    pub(crate) optimizer: Option<String>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) reward: RewardSpec,
    pub(crate) out: Option<PathBuf>,
    pub(crate) resume: bool,
    pub(crate) extend: bool,
    pub(crate) concurrency: usize,
    pub(crate) json: bool,
}

/// An engine and its connection.
#[derive(Debug, Clone)]
pub(crate) struct EngineSpec {
    pub(crate) engine: String,
    pub(crate) base_url: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) max_tokens_field: Option<MaxTokensField>,
    pub(crate) stream: bool,
    pub(crate) one_per_request: bool,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) sim_skill: Option<f64>,
    pub(crate) sim_latency_ms: Option<u64>,
}

/// Reward models, and the defaults of their settings.
#[derive(Debug, Clone, Default)]
pub(crate) struct RewardSpec {
    pub(crate) lines: Vec<Line>,
    pub(crate) combine: Option<Combine>,
    pub(crate) url: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) template: Option<PathBuf>,
    pub(crate) attribute: Option<String>,
    pub(crate) batch: Option<NonZeroUsize>,
    pub(crate) concurrency: Option<NonZeroUsize>,
    pub(crate) command: Option<String>,
    pub(crate) args: Vec<String>,
}

impl RunSpec {
    /// Parses the settings.
    pub(crate) async fn new(settings: &Settings) -> Result<Self, Error> {
        let spec = Self {
            data: settings.path("data"),
            format: settings.get_one("format")?.map(|format: String| match format.as_str() {
                "json" => Format::Json,
                "jsonl" => Format::Jsonl,
                _ => Format::Text,
            }),
            limit: settings.get_one("limit")?,
            search: search(settings).await?,
            prompts: settings.path("prompts"),
            tokenizer: settings.path("tokenizer"),
            engine: EngineSpec::new(settings)?,
            critic: settings.get_one("critic")?,
            optimizer: settings.get_one("optimizer")?,
            cache: settings.path("cache"),
            reward: RewardSpec::new(settings)?,
            out: settings.path("out"),
            resume: settings.value("resume")?,
            extend: settings.value("extend")?,
            concurrency: settings.value("concurrency")?,
            json: settings.value("json")?,
        };
        if (spec.resume || spec.extend) && spec.out.is_none() {
            return Err(missing("out", "the directory of the run to continue, --out <DIR>"));
        }
        Ok(spec)
    }

    /// The retry policy of engines and reward models.
    pub(crate) fn retry(&self, cancel: &CancellationToken) -> RetryPolicy {
        self.engine.retry(cancel)
    }
}

impl EngineSpec {
    fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            engine: settings.value("engine")?,
            base_url: settings.get_one("base-url")?,
            model: settings.get_one("model")?,
            max_tokens_field: settings.get_one("max-tokens-field")?.map(
                |field: String| match field.as_str() {
                    "max_tokens" => MaxTokensField::MaxTokens,
                    _ => MaxTokensField::MaxCompletionTokens,
                },
            ),
            stream: settings.value("stream")?,
            one_per_request: settings.value("one-per-request")?,
            timeout: Duration::from_secs(settings.value("timeout")?),
            retries: settings.value("retries")?,
            sim_skill: settings.get_one("sim-skill")?,
            sim_latency_ms: settings.get_one("sim-latency-ms")?,
        })
    }

    /// Another engine with the same timeouts and retries. Address, model and field of this one do not apply to it.
    pub(crate) fn other(&self, engine: &str, base_url: Option<&str>) -> Self {
        let (base_url, model, max_tokens_field) = (base_url.map(str::to_owned), None, None);
        Self { engine: engine.to_owned(), base_url, model, max_tokens_field, ..self.clone() }
    }

    pub(crate) fn retry(&self, cancel: &CancellationToken) -> RetryPolicy {
        RetryPolicy::default().max_retries(self.retries).cancellation(cancel.clone())
    }
}

impl RewardSpec {
    fn new(settings: &Settings) -> Result<Self, Error> {
        let lines: Vec<String> = settings.list("reward")?;
        let combined: Option<String> = settings.get_one("combine")?;
        Ok(Self {
            lines: lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?,
            // The text was checked.
            combine: combined.and_then(|text| combine(&text).ok()),
            url: settings.get_one("reward-url")?,
            model: settings.get_one("reward-model")?,
            template: settings.path("reward-template"),
            attribute: settings.get_one("reward-attribute")?,
            batch: settings.get_one("reward-batch")?,
            concurrency: settings.get_one("reward-concurrency")?,
            command: settings.get_one("reward-command")?,
            args: settings.list("reward-arg")?,
        })
    }
}

/// The settings of the search.
pub(crate) async fn search(settings: &Settings) -> Result<TpoConfig, Error> {
    let mut config = TpoConfig {
        mode: settings.value("mode")?,
        layout: match settings.value::<String>("layout")?.as_str() {
            "continued" => Layout::Continued,
            _ => Layout::Quoted,
        },
        iterations: settings.value("iterations")?,
        samples: settings.value("samples")?,
        seed: settings.value("seed")?,
        pairs: settings.value("pairs")?,
        accept: settings.value("accept")?,
        stopping: early_stopping(settings).await?,
        truncate: settings.get_one("truncate")?,
        parse_retries: settings.value("parse-retries")?,
        ..TpoConfig::default()
    };
    match (config.truncate, settings.path("tokenizer")) {
        (Some(Truncation::Tokens(_)), None) => {
            return Err(missing("tokenizer", "a tokenizer.json beside --truncate tokens:N"));
        }
        (None | Some(Truncation::Chars(_)), Some(_)) => {
            return Err(missing("truncate", "tokens:N beside --tokenizer"));
        }
        _ => {}
    }
    let temperature = settings.value("temperature")?;
    let extra: Option<String> = settings.get_one("extra-body")?;
    let extra: Option<Map<String, Json>> = extra.and_then(|text| serde_json::from_str(&text).ok());
    for sampling in [&mut config.sampling, &mut config.critic] {
        sampling.temperature = Some(temperature);
        sampling.frequency_penalty = Some(settings.value("frequency-penalty")?);
        sampling.presence_penalty = Some(settings.value("presence-penalty")?);
        sampling.extra = extra.clone().unwrap_or_default();
        if settings.value("no-stop-sequences")? {
            sampling.stop.clear();
        }
    }
    config.sampling.top_p = Some(settings.value("top-p")?);
    config.sampling.max_tokens = Some(settings.value("max-tokens")?);
    config.critic.top_p = Some(settings.value("critic-top-p")?);
    config.critic.max_tokens = Some(settings.value("critic-max-tokens")?);
    if let Some(temperature) = settings.get_one("critic-temperature")? {
        config.critic.temperature = Some(temperature);
    }
    Ok(config)
}

async fn early_stopping(settings: &Settings) -> Result<Stopping, Error> {
    let money: Option<f64> = settings.get_one("early-stop-money")?;
    let prices: Option<String> = settings.get_one("prices")?;
    let money = match (money, prices) {
        (None, None) => None,
        (Some(_), None) => {
            return Err(missing("prices", "prices of tokens beside --early-stop-money"));
        }
        (None, Some(_)) => {
            return Err(missing("early-stop-money", "a bound on money beside --prices"));
        }
        (Some(bound), Some(prices)) => {
            let invalid = setup("bound on money");
            let prices = match prices.trim_start().starts_with('{') {
                true => Prices::from_json(&prices),
                false => Prices::load(Path::new(&prices)).await,
            };
            let prices = prices.map_err(&invalid)?;
            Some(MoneyBound { bound: Money::new(bound).map_err(&invalid)?, prices })
        }
    };
    Ok(Stopping {
        target: settings.get_one("early-stop-target")?,
        patience: settings.get_one("early-stop-patience")?,
        min_gain: settings.get_one("early-stop-min-gain")?.unwrap_or(0.0),
        min_margin: settings.get_one("early-stop-margin")?,
        margin_patience: settings.get_one("early-stop-margin-patience")?,
        calls: settings.get_one("early-stop-calls")?,
        tokens: settings.get_one("early-stop-tokens")?,
        seconds: settings.get_one("early-stop-seconds")?,
        money,
    })
}

/// Parses `--combine`.
pub(crate) fn combine(text: &str) -> Result<Combine, String> {
    match text {
        "mean" => Ok(Combine::Mean),
        "min" => Ok(Combine::Min),
        _ => text
            .strip_prefix("pessimistic:")
            .and_then(|lambda| lambda.parse().ok())
            .map(|lambda| Combine::Pessimistic { lambda })
            .ok_or_else(|| "expected mean, min or pessimistic:LAMBDA".to_owned()),
    }
}
