//! The parts of a run from its settings: queries, prompts, engines, reward model, search.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use serde_json::{Map, Value as Json};
use textgrad_core::{Engine, Layout, PromptPack};
use textgrad_ops::data::DataFormat;
use textgrad_ops::layer::Prices;
use textgrad_ops::util::fs::blocking;
use tokio::io::AsyncReadExt;
use tpo::input::{self, Input};
use tpo::{
    CancellationToken, EarlyStop, Error, Query, RewardModel, SearchBudget, Tokenizer, Tpo,
    TpoConfig, Truncation,
};

use crate::config::{Settings, secret};
use crate::engines::{Layers, missing, setup};
use crate::progress::Bar;
use crate::rewards::{self, RewardContext};
use crate::{presets, signals, suggest};

/// The parts of a run.
pub(crate) struct RunContext {
    pub(crate) settings: Settings,
    pub(crate) layers: Layers,
    pub(crate) prompts: Arc<PromptPack>,
    pub(crate) tpo: Tpo,
    /// The policy.
    pub(crate) engine: Arc<dyn Engine>,
    /// The reward model that guides the search.
    pub(crate) reward: Arc<dyn RewardModel>,
    pub(crate) bar: Bar,
    /// Cancelled by the second signal; `layers.cancel` by the first.
    pub(crate) abort: CancellationToken,
    /// The warnings of truncated answers and of those that the reward model cannot take: a study has many runs.
    pub(crate) warnings: [Once; 2],
}

impl RunContext {
    pub(crate) async fn new(settings: &Settings, prompts: Arc<PromptPack>) -> Result<Self, Error> {
        if (settings.flag("resume") || settings.flag("extend")) && settings.path("out").is_none() {
            return Err(missing("out", "the directory of the run to continue, --out <DIR>"));
        }
        let context = Self::with_layers(settings, prompts, Layers::open(settings).await?).await?;
        let (cancel, abort) = (context.layers.cancel.clone(), context.abort.clone());
        signals::listen(cancel, abort, context.bar.clone());
        Ok(context)
    }

    /// The parts with these layers around their engines. Signals are left to the caller.
    pub(crate) async fn with_layers(
        settings: &Settings,
        prompts: Arc<PromptPack>,
        layers: Layers,
    ) -> Result<Self, Error> {
        let config = search(settings).await?;
        Self::of_search(settings, prompts, layers, config).await
    }

    /// The parts of a search with these settings, as a run has them whose worker this is.
    pub(crate) async fn of_search(
        settings: &Settings,
        prompts: Arc<PromptPack>,
        layers: Layers,
        config: TpoConfig,
    ) -> Result<Self, Error> {
        let engine = layers.policy().await?;
        let is_compact = settings.paths("prompts").any(|name| name == Path::new(COMPACT));
        if is_compact && engine.is_simulation() {
            let expected = "a directory with the simulation, which does not know the requests of this pack; name a \
                            model by --engine to use it";
            return Err(Error::config("prompts", expected, COMPACT));
        }
        let context = RewardContext {
            settings,
            search: &config,
            engine: &engine,
            prompts: &prompts,
            layers: &layers,
        };
        let reward = rewards::reward(&context).await?;
        let mut tpo = Tpo::builder(Arc::clone(&engine), Arc::clone(&reward));
        if let Some(critic) = settings.get_one::<String>("critic")? {
            tpo = tpo.critic(layers.other("critic", &critic, None).await?);
        }
        if let Some(optimizer) = settings.get_one::<String>("optimizer")? {
            tpo = tpo.optimizer(layers.other("optimizer", &optimizer, None).await?);
        }
        if let Some(Truncation::Tokens(_)) = config.truncate
            && let Some(tokenizer) = tokenizer(settings.path("tokenizer").as_deref()).await?
        {
            tpo = tpo.tokenizer(tokenizer);
        }
        let tpo = tpo.config(config).prompts(Arc::clone(&prompts)).build()?;
        let (bar, abort) =
            (Bar::new(layers.meter.clone(), layers.bill.clone()), CancellationToken::new());
        let (settings, warnings) = (settings.clone(), [Once::new(), Once::new()]);
        Ok(Self { settings, layers, prompts, tpo, engine, reward, bar, abort, warnings })
    }

    /// Notes that a simulation answers, if no engine is named. Probes the servers, unless the settings say otherwise or
    /// the run goes on from an earlier attempt.
    pub(crate) async fn preflight(&self) -> Result<(), Error> {
        presets::note_simulation(&self.settings).await;
        let is_off =
            ["no-preflight", "resume", "extend"].iter().any(|name| self.settings.flag(name));
        match is_off {
            true => Ok(()),
            false => self.layers.servers.probe(&self.layers.cancel).await,
        }
    }

    pub(crate) fn reward_context(&self) -> RewardContext<'_> {
        let Self { settings, layers, prompts, engine, .. } = self;
        RewardContext { settings, search: self.tpo.config(), engine, prompts, layers }
    }
}

/// The queries of the settings, and the name of their source.
pub(crate) async fn queries(settings: &Settings) -> Result<(String, Vec<Query>), Error> {
    let (name, bytes) = match settings.path("data") {
        None => ("built-in".to_owned(), None),
        Some(path) if path == Path::new("-") => {
            let (name, mut bytes) = ("standard input", Vec::new());
            let read = tokio::io::stdin().read_to_end(&mut bytes).await;
            if let Err(source) = read {
                return Err(unreadable(Path::new(name), source).await);
            }
            (name.to_owned(), Some(bytes))
        }
        Some(path) => match tokio::fs::read(&path).await {
            Ok(bytes) => (path.display().to_string(), Some(bytes)),
            Err(source) => return Err(unreadable(&path, source).await),
        },
    };
    let mut queries = match bytes {
        None => input::BUILTIN.map(Query::from).to_vec(),
        Some(bytes) => {
            let mut input = Input::default();
            if let Some(format) = settings.get_one::<DataFormat>("format")? {
                input = input.format(format);
            }
            if let Some(column) = settings.get_one::<String>("prompt-column")? {
                input = input.prompt_column(column);
            }
            blocking({
                let name = name.clone();
                move || input.parse(&name, bytes)
            })
            .await?
        }
    };
    limit_to(&mut queries, settings)?;
    Ok((name, queries))
}

/// Keeps the first items, as many as `--limit` says.
pub(crate) fn limit_to<T>(items: &mut Vec<T>, settings: &Settings) -> Result<(), Error> {
    items.truncate(settings.get_one("limit")?.unwrap_or(usize::MAX));
    Ok(())
}

/// The error of a file of the user that cannot be read.
pub(crate) async fn unreadable(path: &Path, source: std::io::Error) -> Error {
    let name = path.to_string_lossy();
    let is_remote = ["hf:", "hf://", "http:", "https:"].iter().any(|start| name.starts_with(start));
    let hint = match source.kind() {
        _ if is_remote => {
            "; expected a local file: download one, for example with `hf download --repo-type dataset`"
        }
        ErrorKind::IsADirectory => "; expected one file: name one of those in the directory",
        ErrorKind::NotFound if name.contains(['*', '?']) => "; expected one file, got a pattern",
        ErrorKind::NotFound if !name.contains('.') && name.matches('/').count() == 1 => {
            "; if it is the name of a data set, download a file of it, for example with `hf download --repo-type dataset`"
        }
        _ => "",
    };
    let near = match source.kind() {
        ErrorKind::NotFound if !is_remote => {
            let path = path.to_owned();
            blocking(move || Ok::<_, Error>(suggest::near_files(&path))).await.unwrap_or_default()
        }
        _ => String::new(),
    };
    let reason = format!("cannot be read: {source}{hint}{near}");
    Error::input(path.display(), reason)
}

/// The names of the built-in packs.
const DEFAULT: &str = "default";
const COMPACT: &str = "compact";

/// The prompt pack of a directory, or a built-in one.
pub(crate) async fn prompts(dir: Option<&Path>) -> Result<Arc<PromptPack>, Error> {
    let dir = match dir {
        None => return Ok(Arc::new(tpo::prompts::default_pack())),
        Some(name) if name == DEFAULT => return Ok(Arc::new(tpo::prompts::default_pack())),
        Some(name) if name == COMPACT => return Ok(Arc::new(tpo::prompts::compact_pack())),
        Some(dir) => dir.to_owned(),
    };
    Ok(Arc::new(crate::blocking(move || Ok(tpo::prompts::load_pack(&dir)?)).await?))
}

/// The prompt packs of a study, each with its label: the name of its directory.
pub(crate) async fn packs(settings: &Settings) -> Result<Vec<(String, Arc<PromptPack>)>, Error> {
    let mut packs = Vec::new();
    for path in settings.paths("prompts") {
        let pack = prompts(Some(path)).await?;
        let is_built_in = path == DEFAULT || path == COMPACT;
        let found = if is_built_in {
            path.to_owned()
        } else {
            tokio::fs::canonicalize(path).await.unwrap_or_else(|_| path.to_owned())
        };
        packs.push((found.file_name().unwrap_or_default().to_string_lossy().into_owned(), pack));
    }
    Ok(packs)
}

pub(crate) async fn tokenizer(file: Option<&Path>) -> Result<Option<Arc<dyn Tokenizer>>, Error> {
    match file.map(Path::to_owned) {
        Some(file) => tokenizer_of(file).await.map(Some),
        None => Ok(None),
    }
}

#[cfg(feature = "tokenizer")]
async fn tokenizer_of(file: PathBuf) -> Result<Arc<dyn Tokenizer>, Error> {
    let read = crate::blocking(move || tpo::HfTokenizer::from_file(&file)).await;
    match read {
        Ok(tokenizer) => Ok(Arc::new(tokenizer)),
        Err(Error::Io { path, source, .. }) => Err(unreadable(&path, source).await),
        Err(error) => Err(error),
    }
}

#[cfg(not(feature = "tokenizer"))]
async fn tokenizer_of(file: PathBuf) -> Result<Arc<dyn Tokenizer>, Error> {
    let expected = "none: build the program with --features tokenizer";
    Err(Error::config("tokenizer", expected, file.display().to_string()))
}

/// The settings of the search.
pub(crate) async fn search(settings: &Settings) -> Result<TpoConfig, Error> {
    let mut config = TpoConfig {
        mode: settings.value("mode")?,
        layout: match settings.value::<String>("layout")?.as_str() {
            "continued" => Layout::Continued,
            "chained" => Layout::Chained,
            _ => Layout::Quoted,
        },
        iterations: settings.value("iterations")?,
        samples: settings.value("samples")?,
        fuse: settings.value("fuse")?,
        seed: settings.value("seed")?,
        pairs: settings.value("pairs")?,
        accept: settings.value("accept")?,
        guard: settings.value("guard")?,
        early_stop: early_stop(settings).await?,
        truncate: settings.get_one("truncate")?,
        parse_retries: settings.value("parse-retries")?,
        edits: settings.value("edits")?,
        constrained_updates: settings.flag("constrained-updates"),
        ..TpoConfig::default()
    };
    let reward_truncate = settings.get_one("reward-truncate")?;
    let counts_tokens = [config.truncate, reward_truncate]
        .iter()
        .any(|unit| matches!(unit, Some(Truncation::Tokens(_))));
    match (counts_tokens, settings.path("tokenizer")) {
        (true, None) => {
            return Err(missing(
                "tokenizer",
                "a tokenizer.json beside --truncate or --reward-truncate tokens:N",
            ));
        }
        (false, Some(_)) => return Err(missing("truncate", "tokens:N beside --tokenizer")),
        _ => {}
    }
    let extra: Option<String> = settings.get_one("extra-body")?;
    let extra: Option<Json> = extra.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(field) = extra.as_ref().and_then(secret::named) {
        let variable = secret::variable("", field).unwrap_or_else(|| "OPENAI_API_KEY".to_owned());
        let reason = format!(
            "{field:?} looks like a secret, which a run folder would keep; set the environment variable {variable} \
             (or that of the server's preset) instead"
        );
        return Err(Error::input("--extra-body", reason));
    }
    let extra: Option<Map<String, Json>> = extra.and_then(|extra| extra.as_object().cloned());
    for sampling in [&mut config.sampling, &mut config.critic] {
        sampling.temperature = settings.get_one("temperature")?;
        // Some servers refuse a penalty even of 0.
        let penalty = |name| Ok::<_, Error>(settings.get_one(name)?.filter(|value| *value != 0.0));
        sampling.frequency_penalty = penalty("frequency-penalty")?;
        sampling.presence_penalty = penalty("presence-penalty")?;
        sampling.extra = extra.clone().unwrap_or_default();
        if settings.flag("no-stop-sequences") {
            sampling.stop.clear();
        }
    }
    config.sampling.top_p = settings.get_one("top-p")?;
    config.sampling.max_tokens = settings.get_one("max-tokens")?;
    config.critic.top_p = settings.get_one("critic-top-p")?;
    config.critic.max_tokens = settings.get_one("critic-max-tokens")?;
    if let Some(temperature) = settings.get_one("critic-temperature")? {
        config.critic.temperature = Some(temperature);
    } else if settings.is_none("critic-temperature") {
        config.critic.temperature = None;
    }
    Ok(config)
}

/// The prices of tokens.
pub(crate) async fn prices(settings: &Settings) -> Result<Option<Prices>, Error> {
    let Some(prices) = settings.get_one::<String>("prices")? else { return Ok(None) };
    let prices = match prices.trim_start().starts_with('{') {
        true => Prices::from_json(&prices),
        false => Prices::load(Path::new(&prices)).await,
    };
    prices.map(Some).map_err(setup("table of prices"))
}

/// What a query may take. A study has a list in place of one value with commas.
pub(crate) fn budget(settings: &Settings) -> Result<SearchBudget, Error> {
    let bounds = settings.list::<SearchBudget>("budget")?;
    Ok(bounds.into_iter().fold(SearchBudget::default(), SearchBudget::or))
}

async fn early_stop(settings: &Settings) -> Result<EarlyStop, Error> {
    let budget = budget(settings)?;
    Ok(EarlyStop {
        target: settings.get_one("early-stop-target")?,
        patience: settings.get_one("early-stop-patience")?,
        min_gain: settings.get_one("early-stop-min-gain")?.unwrap_or(0.0),
        min_margin: settings.get_one("early-stop-margin")?,
        margin_patience: settings.get_one("early-stop-margin-patience")?,
        seconds: settings.get_one("early-stop-seconds")?,
        budget,
        prices: if budget.money.is_some() { prices(settings).await? } else { None },
    })
}
