//! The search for one query: sample, compare, rewrite, repeat, return the best.
//!
//! # A search of one's own
//! | part | trait | of this crate |
//! |---|---|---|
//! | what an iteration does | [`Method`] | [`Rewrite`], and the [`methods`] of the literature |
//! | which answers are compared | [`PairSelection`] | [`Pairs`] |
//! | what is said about the chosen one | [`Critique`] | [`PreferenceCritique`], [`ListwiseCritique`], [`TemplateCritique`], [`BorrowedCritique`] |
//! | how it is rewritten | [`Update`] | [`Descent`] |
//! | which answers may be built on | [`PoolPolicy`] | [`Acceptance`](crate::Acceptance) |
//! | when the search ends | [`StopRule`] | [`EarlyStop`](crate::EarlyStop) |
//! | scores | [`RewardModel`] | those of the crate |
//!
//! Pairs, critique and update are the parts of [`Rewrite`]; [`TpoBuilder`] takes the others. All modes of this crate
//! are written with these traits. Journal, resume, usage, budgets, reports, batches and studies serve parts of one's
//! own as well; their names are in `config.json`.

mod critique;
mod method;
pub mod methods;
mod observe;
mod outcome;
mod pairs;
mod pool;
mod rewrite;
mod run;
mod shuffled;
mod update;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use derive_setters::Setters;
use textgrad_core::{Engine, Layout, PromptPack};
use textgrad_ops::CancellationToken;

pub use self::critique::{Critique, ListwiseCritique, PreferenceCritique, TemplateCritique};
pub use self::method::{Iteration, IterationCx, Method, Step};
pub(crate) use self::observe::newest;
pub use self::observe::{SearchEvent, SearchObserver};
pub use self::outcome::{
    AlignError, Alignment, CandidateRecord, IterationRecord, PurposeUsage, Trajectory, UsageRecord,
};
pub(crate) use self::pairs::{Adapted, Adaption};
pub use self::pairs::{Comparison, PairCx, PairSelection, Pairs};
pub use self::pool::{Candidate, Pool, PoolPolicy};
pub use self::rewrite::{ComparisonCx, Rewrite};
use self::run::Search;
pub use self::shuffled::BorrowedCritique;
pub(crate) use self::shuffled::DonorQuery;
pub use self::update::{Descent, Update};
use crate::config::{Mode, TpoConfig};
pub use crate::config::{Progress, StopRule};
use crate::error::Error;
use crate::prompts::default_pack;
use crate::query::Query;
use crate::reward::RewardModel;
use crate::run::Scores;
use crate::session::Session;
use crate::truncate::{Tokenizer, Truncator};

/// Test-time preference optimization: the best answer to a query that can be had without training.
///
/// Sample N answers; let the reward model name the best and the worst; ask why the one is preferred (loss);
/// turn that into instructions (gradient); rewrite the best (update); repeat D times; return the best answer
/// ever seen. Cheap to clone.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_ops::sim::Sim;
/// use tpo::{SimReward, Tpo};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).iterations(2).build()?;
/// let aligned = tpo.align("Why is the sky blue?").await?;
/// assert_eq!(aligned.trajectory().usage.requests, 1 + 3 * 2);
/// assert!(Some(aligned.score()) >= aligned.trajectory().best_score_by(0));
/// println!("{}\n{}", aligned.answer(), aligned.graph().view().to_mermaid());
/// # Ok::<(), tpo::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Tpo(Arc<TpoParts>);

#[derive(Debug, Clone)]
struct TpoParts {
    policy: Arc<dyn Engine>,
    critic: Arc<dyn Engine>,
    optimizer: Arc<dyn Engine>,
    reward: Arc<dyn RewardModel>,
    prompts: Arc<PromptPack>,
    pairs: Arc<dyn PairSelection>,
    method: Arc<dyn Method>,
    pool_policy: Arc<dyn PoolPolicy>,
    stop_rule: Option<Arc<dyn StopRule>>,
    own: OwnParts,
    truncator: Truncator,
    config: TpoConfig,
}

/// Parts that were given to the builder in place of those of the settings.
#[derive(Debug, Clone, Default)]
struct OwnParts {
    method: Option<Arc<dyn Method>>,
    pool_policy: Option<Arc<dyn PoolPolicy>>,
}

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
    /// Replaces the pair selection of the settings.
    pairs: Option<Arc<dyn PairSelection>>,
    #[setters(skip)]
    own: OwnParts,
    /// A rule that ends a search early, beside those of [`TpoConfig::early_stop`].
    stop_rule: Option<Arc<dyn StopRule>>,
    /// The tokenizer that counts the tokens of [`TpoConfig::truncate`].
    tokenizer: Option<Arc<dyn Tokenizer>>,
    /// All settings at once.
    pub(crate) config: TpoConfig,
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
            pairs: None,
            own: OwnParts::default(),
            stop_rule: None,
            tokenizer: None,
            config,
        }
    }

    /// The engine that answers.
    #[cfg(feature = "serve")]
    pub(crate) fn policy(&self) -> &Arc<dyn Engine> {
        &self.0.policy
    }

    /// The builder of the same search with other engines and another reward model.
    #[cfg(any(feature = "report", feature = "serve"))]
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
            ..builder
        };
        builder
            .critic(engine(&parts.critic))
            .optimizer(engine(&parts.optimizer))
            .pairs(Arc::clone(&parts.pairs))
            .prompts(Arc::clone(&parts.prompts))
    }

    /// Aligns one query.
    ///
    /// Dropping the future abandons what is under way.
    ///
    /// # Errors
    /// An [`AlignError`] with what went wrong and the trajectory until then.
    pub async fn align(&self, query: impl Into<Query>) -> Result<Alignment, AlignError> {
        self.align_at(0, query).await
    }

    /// Aligns the query at an index of a list: the index decides the seeds of its requests.
    ///
    /// # Errors
    /// An [`AlignError`] with what went wrong and the trajectory until then.
    pub async fn align_at(
        &self,
        index: usize,
        query: impl Into<Query>,
    ) -> Result<Alignment, AlignError> {
        self.align_in(index, query.into(), None, Session::default()).await
    }

    /// Aligns the query at an index of a list, with the critique of another of the list where the method
    /// [needs](Method::needs_donor) it, as [`Mode::Shuffled`] does; others take no notice of it. A [`Batch`](crate::Batch) draws one for each query.
    ///
    /// # Errors
    /// An [`AlignError`] with what went wrong and the trajectory until then.
    pub async fn align_with(
        &self,
        index: usize,
        query: impl Into<Query>,
        other_index: usize,
        other: impl Into<Query>,
    ) -> Result<Alignment, AlignError> {
        let donor = DonorQuery { index: other_index, query: other.into() };
        self.align_in(index, query.into(), Some(donor), Session::default()).await
    }

    /// Aligns the query at an index of a list, reports every scored answer to an observer, and ends when the token is
    /// cancelled: what is under way then is abandoned, and the trajectory of the error has the answers until then.
    ///
    /// # Errors
    /// An [`AlignError`] with what went wrong and the trajectory until then; [`Error::Stopped`] after a cancellation.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use textgrad_ops::sim::Sim;
    /// use tpo::{CancellationToken, SearchEvent, SimReward, Tpo};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).build()?;
    /// let observer = Arc::new(|event: &SearchEvent<'_>| println!("best so far: {:.2}", event.best_score));
    /// let token = CancellationToken::new();
    /// let deadline = token.clone();
    /// tokio::spawn(async move {
    ///     tokio::time::sleep(Duration::from_secs(30)).await;
    ///     deadline.cancel();
    /// });
    /// let best = match tpo.align_observed(0, "Why is the sky blue?", observer, token).await {
    ///     Ok(aligned) => Some(aligned.answer().to_owned()),
    ///     Err(failure) => failure.trajectory.best().map(|best| best.text.clone()),
    /// };
    /// assert!(best.is_some());
    /// # Ok::<(), tpo::Error>(()) }).unwrap();
    /// ```
    pub async fn align_observed(
        &self,
        index: usize,
        query: impl Into<Query>,
        observer: Arc<dyn SearchObserver>,
        cancellation: CancellationToken,
    ) -> Result<Alignment, AlignError> {
        let session = Session::default().observed(observer, cancellation);
        self.align_in(index, query.into(), None, session).await
    }

    pub(crate) async fn align_in(
        &self,
        index: usize,
        query: Query,
        donor: Option<DonorQuery>,
        session: Session,
    ) -> Result<Alignment, AlignError> {
        Search::new(&self.0, index, query, session).run(donor).await
    }

    /// Whose critique a query of a list is given, if the mode asks for that.
    pub(crate) fn donor(&self, index: usize, queries: &[Query]) -> Option<DonorQuery> {
        let needed = self.0.method.needs_donor();
        needed.then(|| DonorQuery::of(self.0.config.seed, index, queries)).flatten()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &TpoConfig {
        &self.0.config
    }

    /// The wording of all requests.
    #[must_use]
    pub fn prompts(&self) -> &PromptPack {
        &self.0.prompts
    }

    /// The names of policy, critic and optimizer.
    #[must_use]
    pub fn engines(&self) -> [&str; 3] {
        [self.0.policy.name(), self.0.critic.name(), self.0.optimizer.name()]
    }

    /// The name of the way in which answers are paired.
    #[must_use]
    pub fn pairs(&self) -> String {
        self.0.pairs.name()
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Arc<dyn Method> {
        &self.0.method
    }

    /// How many requests a query takes where the server gives all answers to one and an iteration compares one pair.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let config = &self.0.config;
        1 + self.0.method.requests(config) * u64::from(config.depth())
    }

    /// The names of parts that are not of this crate, by what they are: of method, pool policy and stop rule.
    pub(crate) fn own_parts(&self) -> BTreeMap<String, String> {
        let parts = &*self.0;
        let method = (parts.config.mode == Mode::Own).then(|| parts.method.name());
        let pool_policy = parts.own.pool_policy.as_ref().map(|policy| policy.name());
        let stop_rule = parts.stop_rule.as_ref().map(|rule| rule.name());
        let named = [("method", method), ("pool_policy", pool_policy), ("stop_rule", stop_rule)];
        named.into_iter().filter_map(|(part, name)| Some((part.to_owned(), name?))).collect()
    }

    /// The identity of the tokenizer that counts [`TpoConfig::truncate`], if there is one.
    #[must_use]
    pub fn tokenizer(&self) -> Option<Cow<'_, str>> {
        self.0.truncator.tokenizer().map(|tokenizer| tokenizer.identity())
    }

    /// The name of the reward model.
    #[must_use]
    pub fn reward(&self) -> &str {
        self.0.reward.name()
    }

    /// The identity of the reward model: its name and the settings that change its scores.
    #[must_use]
    pub fn reward_identity(&self) -> &str {
        self.0.reward.identity()
    }

    /// What a journal has of the scores.
    pub(crate) fn scores(&self) -> Scores {
        let asked = !Session::default().bind(&self.0.reward).is_journaled;
        Scores { asked, relative: self.0.reward.is_relative() }
    }

    /// Whether any part of it is simulated. Anything that shows its figures must say so.
    #[must_use]
    pub fn is_simulation(&self) -> bool {
        [&self.0.policy, &self.0.critic, &self.0.optimizer].iter().any(|e| e.is_simulation())
            || self.0.reward.is_simulation()
    }
}

impl TpoBuilder {
    /// The method, in place of that of a mode: the mode is [`Mode::Own`] then.
    pub fn method(mut self, method: Arc<dyn Method>) -> Self {
        self.config.mode = Mode::Own;
        self.own.method = Some(method);
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
        let prompts = match self.prompts {
            Some(prompts) => prompts,
            None => Arc::new(default_pack()?),
        };
        let critic = self.critic.unwrap_or_else(|| Arc::clone(&self.policy));
        let optimizer = self.optimizer.unwrap_or_else(|| Arc::clone(&self.policy));
        let engines = [self.policy.name(), critic.name(), optimizer.name()];
        self.config.early_stop.validate_engines(&engines)?;
        let mode = self.config.mode;
        let pairs = self.pairs.unwrap_or_else(|| Arc::new(self.config.pairs));
        let method = match (mode, &self.own.method) {
            (Mode::Own, Some(method)) => Arc::clone(method),
            (Mode::Own, None) => {
                let expected = "a mode of this crate, or a method given to the builder";
                return Err(Error::config("mode", expected, "own without a method"));
            }
            _ => mode.method(&self.config, Arc::clone(&pairs)),
        };
        if self.config.layout == Layout::Continued && !method.can_continue() {
            let expected = "quoted, or a method that can continue a conversation";
            return Err(Error::config(
                "layout",
                expected,
                format!("continued with {}", method.name()),
            ));
        }
        let accept = mode.pool_policy(self.config.accept);
        let pool_policy = self.own.pool_policy.clone().unwrap_or_else(|| Arc::new(accept));
        Ok(Tpo(Arc::new(TpoParts {
            critic,
            optimizer,
            policy: self.policy,
            reward: self.reward,
            prompts,
            pairs,
            method,
            pool_policy,
            stop_rule: self.stop_rule,
            own: self.own,
            truncator,
            config: self.config,
        })))
    }
}
