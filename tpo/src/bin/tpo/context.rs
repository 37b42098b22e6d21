//! The parts of a run: engines, reward model, prompts, search.

use std::path::Path;
use std::sync::Arc;

use textgrad_core::{Engine, PromptPack};
use tpo::study::SharedCache;
use tpo::{Error, HfTokenizer, RewardModel, Tokenizer, Tpo, TpoConfig};

use crate::engines::Layers;
use crate::input::unreadable;
use crate::rewards::{self, RewardContext};
use crate::spec::RunSpec;

/// The parts of a run.
pub(crate) struct RunContext {
    pub(crate) spec: RunSpec,
    pub(crate) layers: Layers,
    pub(crate) prompts: Arc<PromptPack>,
    pub(crate) tpo: Tpo,
    parts: Parts,
}

/// The parts of a search.
#[derive(Clone)]
struct Parts {
    engine: Arc<dyn Engine>,
    critic: Option<Arc<dyn Engine>>,
    optimizer: Option<Arc<dyn Engine>>,
    reward: Arc<dyn RewardModel>,
    tokenizer: Option<Arc<dyn Tokenizer>>,
}

impl Parts {
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

impl RunContext {
    pub(crate) async fn new(spec: RunSpec, prompts: Arc<PromptPack>) -> Result<Self, Error> {
        let layers = Layers::open(spec.cache.as_deref()).await?;
        let engine = layers.engine(&spec.engine)?;
        let context =
            RewardContext { spec: &spec, engine: &engine, prompts: &prompts, layers: &layers };
        let reward = rewards::reward(&context).await?;
        let other = |what, line: &Option<String>| {
            line.as_ref().map(|line| layers.other(what, &spec.engine, line, None)).transpose()
        };
        let (critic, optimizer) =
            (other("critic", &spec.critic)?, other("optimizer", &spec.optimizer)?);
        let tokenizer = tokenizer(spec.tokenizer.as_deref()).await?;
        let parts = Parts { engine, critic, optimizer, reward, tokenizer };
        let tpo = parts.search(spec.search.clone(), &prompts)?;
        Ok(Self { spec, layers, prompts, tpo, parts })
    }

    /// A search with other settings, by the same engines and reward model behind a shared cache.
    pub(crate) fn search(&self, config: TpoConfig, cache: &SharedCache) -> Result<Tpo, Error> {
        let engine = |engine: &Arc<dyn Engine>| cache.engine(Arc::clone(engine));
        let parts = Parts {
            engine: engine(&self.parts.engine),
            critic: self.parts.critic.as_ref().map(engine),
            optimizer: self.parts.optimizer.as_ref().map(engine),
            reward: cache.reward(Arc::clone(&self.parts.reward)),
            tokenizer: self.parts.tokenizer.clone(),
        };
        parts.search(config, &self.prompts)
    }

    /// The reward model that guides the search.
    pub(crate) fn reward(&self) -> &dyn RewardModel {
        &*self.parts.reward
    }

    pub(crate) fn reward_context(&self) -> RewardContext<'_> {
        let Self { spec, layers, prompts, parts, .. } = self;
        RewardContext { spec, engine: &parts.engine, prompts, layers }
    }
}

/// The prompt pack of a directory, or the built-in one.
pub(crate) async fn prompts(dir: Option<&Path>) -> Result<Arc<PromptPack>, Error> {
    let Some(dir) = dir.map(Path::to_owned) else {
        return Ok(Arc::new(tpo::prompts::default_pack()?));
    };
    Ok(Arc::new(crate::blocking(move || Ok(tpo::prompts::load_pack(&dir)?)).await?))
}

pub(crate) async fn tokenizer(file: Option<&Path>) -> Result<Option<Arc<dyn Tokenizer>>, Error> {
    let Some(file) = file.map(Path::to_owned) else { return Ok(None) };
    let read = crate::blocking(move || HfTokenizer::from_file(&file)).await;
    match read {
        Ok(tokenizer) => Ok(Some(Arc::new(tokenizer))),
        Err(Error::Io { path, source, .. }) => Err(unreadable(&path, source)),
        Err(error) => Err(error),
    }
}
