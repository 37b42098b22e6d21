//! From arguments to what a run works with.

use std::path::Path;
use std::sync::Arc;

use textgrad_core::{Engine, Layout, PromptPack};
use textgrad_ops::layer::Meter;
use textgrad_ops::store::DiskCache;
use textgrad_ops::util::fs::blocking;
use tpo::study::Shelf;
use tpo::{
    CancellationToken, Error, HfTokenizer, RewardModel, Tokenizer, Tpo, TpoConfig, Truncation,
};

use crate::args::{LayoutKind, RunArgs};
use crate::engines::missing;
use crate::rewards::Around;
use crate::{engines, prompt_data, rewards};

/// What a run works with.
pub(crate) struct Setting {
    pub(crate) meter: Meter,
    pub(crate) stop: CancellationToken,
    pub(crate) cache: Option<DiskCache>,
    pub(crate) prompts: Arc<PromptPack>,
    pub(crate) tpo: Tpo,
    parts: Parts,
}

/// What answers, criticizes, rewrites, scores, and counts tokens.
struct Parts {
    engine: Arc<dyn Engine>,
    critic: Option<Arc<dyn Engine>>,
    optimizer: Option<Arc<dyn Engine>>,
    reward: Arc<dyn RewardModel>,
    tokenizer: Option<Arc<dyn Tokenizer>>,
}

impl Parts {
    /// The same with what is on a shelf.
    fn on(&self, shelf: &Shelf) -> Self {
        let engine = |engine: &Arc<dyn Engine>| shelf.engine(Arc::clone(engine));
        Self {
            engine: engine(&self.engine),
            critic: self.critic.as_ref().map(engine),
            optimizer: self.optimizer.as_ref().map(engine),
            reward: shelf.reward(Arc::clone(&self.reward)),
            tokenizer: self.tokenizer.clone(),
        }
    }

    fn search(&self, config: TpoConfig, prompts: &Arc<PromptPack>) -> Result<Tpo, Error> {
        let mut tpo = Tpo::builder(Arc::clone(&self.engine), Arc::clone(&self.reward));
        if let Some(critic) = &self.critic {
            tpo = tpo.critic(Arc::clone(critic));
        }
        if let Some(optimizer) = &self.optimizer {
            tpo = tpo.optimizer(Arc::clone(optimizer));
        }
        if let Some(tokenizer) = &self.tokenizer {
            tpo = tpo.tokenizer(Arc::clone(tokenizer));
        }
        tpo.config(config).prompts(Arc::clone(prompts)).build()
    }
}

impl Setting {
    pub(crate) async fn new(args: &RunArgs, prompts: Arc<PromptPack>) -> Result<Self, Error> {
        let (meter, stop) = (Meter::default(), CancellationToken::new());
        let cache = engines::cache(args).await?;
        let engine = engines::engine(args, &meter, &stop, cache.as_ref())?;
        let around = Around {
            args,
            engine: &engine,
            prompts: &prompts,
            meter: &meter,
            stop: &stop,
            cache: cache.as_ref(),
        };
        let reward = rewards::reward(&around).await?;
        let config = config(args).await?;
        let beside = |what, line: &Option<String>| {
            let other = |line: &String| {
                engines::other(args, what, line, None, &meter, &stop, cache.as_ref())
            };
            line.as_ref().map(other).transpose()
        };
        let critic = beside("critic", &args.critic)?;
        let optimizer = beside("optimizer", &args.optimizer)?;
        let tokenizer = tokenizer(args.tokenizer.as_deref()).await?;
        let parts = Parts { engine, critic, optimizer, reward, tokenizer };
        let tpo = parts.search(config, &prompts)?;
        Ok(Self { meter, stop, cache, prompts, tpo, parts })
    }

    /// A search with other settings, by the same engine and reward model with what is on a shelf.
    pub(crate) fn search(&self, config: TpoConfig, shelf: &Shelf) -> Result<Tpo, Error> {
        self.parts.on(shelf).search(config, &self.prompts)
    }

    /// The reward model that guides the search.
    pub(crate) fn reward(&self) -> &dyn RewardModel {
        &*self.parts.reward
    }

    /// What another reward model is set up from.
    pub(crate) fn around<'a>(&'a self, args: &'a RunArgs) -> Around<'a> {
        let Self { meter, stop, cache, prompts, parts, .. } = self;
        Around { args, engine: &parts.engine, prompts, meter, stop, cache: cache.as_ref() }
    }

    pub(crate) async fn flush(&self) {
        if let Some(cache) = &self.cache {
            flush(cache).await;
        }
    }
}

/// Leaves one file where there were several.
pub(crate) async fn flush(cache: &DiskCache) {
    if let Err(error) = cache.flush().await {
        eprintln!("warning: {}", tpo::describe(&error));
    }
}

pub(crate) async fn config(args: &RunArgs) -> Result<TpoConfig, Error> {
    match (args.truncate, &args.tokenizer) {
        (Some(Truncation::Tokens(_)), None) => {
            return Err(missing("tokenizer", "a tokenizer.json beside --truncate tokens:N"));
        }
        (None | Some(Truncation::Chars(_)), Some(_)) => {
            return Err(missing("truncate", "tokens:N beside --tokenizer"));
        }
        _ => {}
    }
    let mut config = TpoConfig {
        mode: args.mode,
        layout: match args.layout {
            LayoutKind::Quoted => Layout::Quoted,
            LayoutKind::Continued => Layout::Continued,
        },
        iterations: args.iterations,
        samples: args.samples,
        seed: args.seed,
        pairs: args.pairs,
        accept: args.accept,
        stopping: args.stopping.rules().await?,
        truncate: args.truncate,
        parse_retries: args.parse_retries,
        ..TpoConfig::default()
    };
    config.sampling.top_p = Some(args.top_p);
    config.sampling.max_tokens = Some(args.max_tokens);
    config.critic.max_tokens = Some(args.critic_max_tokens);
    for sampling in [&mut config.sampling, &mut config.critic] {
        sampling.temperature = Some(args.temperature);
        sampling.frequency_penalty = Some(args.frequency_penalty);
        sampling.presence_penalty = Some(args.presence_penalty);
        sampling.extra = args.extra_body.clone().unwrap_or_default();
        if args.no_stop_sequences {
            sampling.stop.clear();
        }
    }
    config.critic.top_p = Some(args.critic_top_p);
    if let Some(temperature) = args.critic_temperature {
        config.critic.temperature = Some(temperature);
    }
    Ok(config)
}

/// The wording of all requests.
pub(crate) async fn prompts(args: &RunArgs) -> Result<Arc<PromptPack>, Error> {
    let Some(dir) = args.prompts.clone() else {
        return Ok(Arc::new(tpo::prompts::default_pack()?));
    };
    Ok(Arc::new(blocking(move || Ok::<_, Error>(tpo::prompts::load_pack(&dir)?)).await?))
}

/// What counts tokens, if anything is to.
pub(crate) async fn tokenizer(file: Option<&Path>) -> Result<Option<Arc<dyn Tokenizer>>, Error> {
    let Some(file) = file.map(Path::to_owned) else { return Ok(None) };
    let read = blocking(move || HfTokenizer::from_file(&file)).await;
    match read {
        Ok(tokenizer) => Ok(Some(Arc::new(tokenizer))),
        Err(Error::Io { path, source, .. }) => Err(prompt_data::unreadable(&path, source)),
        Err(error) => Err(error),
    }
}
