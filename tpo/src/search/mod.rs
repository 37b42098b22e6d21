//! One query: sample, compare, rewrite, repeat, return the best.

mod improve;
mod observe;
mod outcome;
mod pairs;
mod pool;
mod run;
mod shuffled;

use std::borrow::Cow;
use std::sync::Arc;

use derive_setters::Setters;
use textgrad_core::{Engine, PromptPack};
use textgrad_ops::CancellationToken;

pub(crate) use self::observe::newest;
pub use self::observe::{SearchEvent, SearchObserver};
pub use self::outcome::{
    AlignError, Alignment, CandidateRecord, IterationRecord, PurposeUsage, Trajectory, UsageRecord,
};
pub(crate) use self::pairs::comparisons;
pub use self::pairs::{Comparison, PairCx, PairSelection, Pairs};
pub use self::pool::{Candidate, Pool};
use self::run::Search;
pub(crate) use self::shuffled::DonorQuery;
use crate::config::{Mode, TpoConfig};
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
    truncator: Truncator,
    config: TpoConfig,
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
        let builder = TpoBuilder { tokenizer: parts.truncator.tokenizer().cloned(), ..builder };
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

    /// Aligns the query at an index of a list, with the critique of another of the list where the mode is
    /// [`Mode::Shuffled`]; other modes take no notice of it. A [`Batch`](crate::Batch) draws one for each query.
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
        let shuffled = self.0.config.mode == Mode::Shuffled;
        shuffled.then(|| DonorQuery::of(self.0.config.seed, index, queries)).flatten()
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
    /// The search.
    ///
    /// # Errors
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
        Ok(Tpo(Arc::new(TpoParts {
            critic,
            optimizer,
            policy: self.policy,
            reward: self.reward,
            prompts,
            pairs: self.pairs.unwrap_or_else(|| Arc::new(self.config.pairs)),
            truncator,
            config: self.config,
        })))
    }
}
