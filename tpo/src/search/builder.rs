//! The settings of a search.

use std::collections::BTreeSet;
use std::sync::Arc;

use derive_setters::Setters;
use parking_lot::Mutex;
use textgrad_core::{Engine, PromptPack, Sampling};
use textgrad_ops::layer::with_all_choices;

use super::{Guard, Method, OwnParts, PairSelection, PoolPolicy, Suspicion, Tpo, TpoParts};
use crate::config::{Mode, StopRule, TpoConfig};
use crate::error::Error;
use crate::prompts::default_pack;
use crate::reward::RewardModel;
use crate::truncate::{Tokenizer, Truncator};

/// Settings of a [`Tpo`].
#[derive(Debug, Clone, Setters)]
#[setters(strip_option)]
#[must_use = "a builder does nothing until it builds"]
pub struct TpoBuilder {
    #[setters(skip)]
    policy: Arc<dyn Engine>,
    /// The engine that gives losses and gradients. Default: the policy.
    critic: Option<Arc<dyn Engine>>,
    /// The engine that rewrites. Default: the policy.
    optimizer: Option<Arc<dyn Engine>>,
    #[setters(skip)]
    reward: Arc<dyn RewardModel>,
    /// The wording of all requests; it needs the [templates](crate::prompts::templates) of this crate.
    prompts: Option<Arc<PromptPack>>,
    #[setters(skip)]
    own: OwnParts,
    /// A rule that ends a search early, beside those of [`TpoConfig::early_stop`].
    stop_rule: Option<Arc<dyn StopRule>>,
    /// The tokenizer that counts the tokens of [`TpoConfig::truncate`].
    tokenizer: Option<Arc<dyn Tokenizer>>,
    /// All settings at once.
    pub(crate) config: TpoConfig,
    #[setters(skip)]
    warned: Arc<Mutex<BTreeSet<Suspicion>>>,
}

impl Tpo {
    /// A search in which `policy` answers and `reward` judges. The policy criticizes and rewrites too,
    /// unless other engines are given for that.
    pub fn builder(policy: Arc<dyn Engine>, reward: Arc<dyn RewardModel>) -> TpoBuilder {
        let config = TpoConfig::default();
        TpoBuilder {
            policy,
            critic: None,
            optimizer: None,
            reward,
            prompts: None,
            own: OwnParts::default(),
            stop_rule: None,
            tokenizer: None,
            config,
            warned: Arc::default(),
        }
    }

    /// The builder of the same search with other engines and another reward model.
    #[cfg(any(feature = "queue", feature = "report", feature = "serve"))]
    pub(crate) fn rebuild(
        &self,
        engine: impl Fn(&Arc<dyn Engine>) -> Arc<dyn Engine>,
        reward: impl Fn(&Arc<dyn RewardModel>) -> Arc<dyn RewardModel>,
    ) -> TpoBuilder {
        let parts = &self.0;
        let builder = Self::builder(engine(&parts.policy), reward(&parts.reward));
        let builder = TpoBuilder {
            tokenizer: parts.truncator.tokenizer().cloned(),
            own: parts.own.clone(),
            stop_rule: parts.stop_rule.clone(),
            warned: Arc::clone(&parts.warned),
            ..builder
        };
        builder
            .critic(engine(&parts.critic))
            .optimizer(engine(&parts.optimizer))
            .prompts(Arc::clone(&parts.prompts))
    }
}

/// Setters of single settings.
macro_rules! setters {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty,)+) => {
        impl TpoBuilder {
            $(
                $(#[doc = $doc])+
                #[doc = concat!(" See [`TpoConfig::", stringify!($name), "`].")]
                pub fn $name(mut self, value: $type) -> Self {
                    self.config.$name = value;
                    self
                }
            )+
        }
    };
}

setters! {
    /// What drives the search. Default: [`Mode::Tpo`].
    mode: Mode,
    /// D: how many times the best answer is rewritten. Default: 2.
    iterations: u32,
    /// N: how many answers are sampled, and how many new versions are asked for in each iteration. Default: 5.
    samples: u32,
    /// How answers and new versions are drawn. Default: temperature 0.7, top-p 0.95, at most 2048 tokens.
    sampling: Sampling,
    /// K: how many answers one new answer is made of, in the modes that fuse answers. Default: 4.
    fuse: u32,
    /// The seed that the seeds of all requests are derived from. Default: 7.
    seed: u64,
    /// What becomes of new versions that seem to please the reward model only. Default: a warning.
    guard: Guard,
    /// How many edits of the chosen answer an update may be made of; 0, the default: whole answers are written.
    edits: u32,
    /// Whether updates are decoded under a grammar, so that their tags are always closed. Default: false.
    constrained_updates: bool,
}

impl TpoBuilder {
    /// The method, in place of that of a mode: the mode is [`Mode::Own`] then.
    pub fn method(mut self, method: Arc<dyn Method>) -> Self {
        self.config.mode = Mode::Own;
        self.own.method = Some(method);
        self
    }

    /// Which answers are compared, in place of [`TpoConfig::pairs`].
    pub fn pairs(mut self, pairs: Arc<dyn PairSelection>) -> Self {
        self.own.pairs = Some(pairs);
        self
    }

    /// Which answers may be built on, in place of [`TpoConfig::accept`].
    pub fn pool_policy(mut self, policy: Arc<dyn PoolPolicy>) -> Self {
        self.own.pool_policy = Some(policy);
        self
    }

    /// The search.
    ///
    /// # Errors
    /// [`Error::Config`] for [`Mode::Own`] without a method, or for a layout that the method cannot take,
    /// [`Error::Config`] if a setting is out of range, or if one of the tokenizer and a number of tokens to
    /// [`truncate`](TpoConfig::truncate) to is given without the other.
    pub fn build(mut self) -> Result<Tpo, Error> {
        self.config.validate()?;
        let truncator = Truncator::new(self.config.truncate, self.tokenizer.take())?;
        // So that the settings, where they are shown, say what is sent.
        self.config.sampling.n = self.config.samples;
        self.config.critic.n = 1;
        let prompts = self.prompts.unwrap_or_else(|| Arc::new(default_pack()));
        let policy = with_all_choices(self.policy);
        let given =
            |engine: Option<_>| engine.map_or_else(|| Arc::clone(&policy), with_all_choices);
        let (critic, optimizer) = (given(self.critic), given(self.optimizer));
        let engines = [policy.name(), critic.name(), optimizer.name()];
        self.config.early_stop.validate_engines(&engines)?;
        let mode = self.config.mode;
        let pairs = self.own.pairs.clone().unwrap_or_else(|| Arc::new(self.config.pairs));
        let method = match (mode, &self.own.method) {
            (Mode::Own, Some(method)) => Arc::clone(method),
            (Mode::Own, None) => {
                let expected = "a mode of this crate, or a method given to the builder";
                return Err(Error::config("mode", expected, "own without a method"));
            }
            _ => mode.method(&self.config, Arc::clone(&pairs)),
        };
        if self.config.layout.is_continued() && !method.can_continue() {
            let expected = "quoted, or a method that can continue a conversation";
            return Err(Error::config(
                "layout",
                expected,
                format!("{} with {}", self.config.layout, method.name()),
            ));
        }
        let accept = mode.pool_policy(self.config.accept);
        let pool_policy = self.own.pool_policy.clone().unwrap_or_else(|| Arc::new(accept));
        Ok(Tpo(Arc::new(TpoParts {
            critic,
            optimizer,
            policy,
            reward: self.reward,
            prompts,
            pairs,
            method,
            pool_policy,
            stop_rule: self.stop_rule,
            own: self.own,
            truncator,
            config: self.config,
            warned: self.warned,
        })))
    }
}
