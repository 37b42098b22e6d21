//! The search for one query: sample, compare, rewrite, repeat, return the best.
//!
//! # A search of one's own
//! | part | trait | of this crate |
//! |---|---|---|
//! | what an iteration does | [`Method`] | [`Rewrite`], and the [`methods`] of the literature |
//! | which answers are compared | [`PairSelection`] | [`Pairs`] |
//! | what is said about the chosen one | [`Critique`] | [`PreferenceCritique`], [`ListwiseCritique`], ... |
//! | how it is rewritten | [`Update`] | [`Descent`] |
//! | which answers may be built on | [`PoolPolicy`] | [`Acceptance`](crate::Acceptance) |
//! | when the search ends | [`StopRule`] | [`EarlyStop`](crate::EarlyStop) |
//! | scores | [`RewardModel`] | those of the crate |
//!
//! Pairs, critique and update are the parts of [`Rewrite`]; [`TpoBuilder`] takes the others. All modes of this crate
//! are written with these traits. Journal, resume, usage, budgets, reports, batches and studies serve parts of one's
//! own as well; their names are in `config.json`.

mod adapted;
mod builder;
mod critique;
mod guard;
mod method;
pub mod methods;
mod outcome;
mod pairs;
mod pool;
mod rewrite;
mod run;
mod shuffled;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;
use textgrad_core::{Engine, PromptPack};
use textgrad_ops::CancellationToken;
use tracing::{Instrument as _, info_span};

pub(crate) use self::adapted::{Adapted, Adaption};
pub use self::builder::TpoBuilder;
pub use self::critique::{
    Critique, Descent, ListwiseCritique, PreferenceCritique, TemplateCritique, Update,
};
pub use self::guard::{Guard, Suspicion, suspicion};
pub use self::method::{Iteration, IterationCx, Method, Step};
pub use self::outcome::{
    AlignError, Alignment, CandidateRecord, IterationRecord, PurposeUsage, SearchEvent, Trajectory,
    UsageRecord,
};
pub(crate) use self::outcome::{SearchObserver, newest};
pub use self::pairs::{Comparison, PairCx, PairSelection, Pairs};
pub use self::pool::{Candidate, Pool, PoolPolicy};
pub use self::rewrite::{ComparisonCx, Rewrite};
use self::run::Search;
pub use self::shuffled::BorrowedCritique;
pub(crate) use self::shuffled::DonorQuery;
use self::shuffled::no_donor;
use crate::config::{Mode, TpoConfig};
pub use crate::config::{Progress, Spent, StopRule};
use crate::error::Error;
use crate::query::Query;
use crate::reward::RewardModel;
use crate::run::Scores;
use crate::session::Session;
use crate::truncate::Truncator;

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
    /// What the guard has warned of.
    warned: Arc<Mutex<BTreeSet<Suspicion>>>,
}

/// Parts that were given to the builder in place of those of the settings.
#[derive(Debug, Clone, Default)]
struct OwnParts {
    method: Option<Arc<dyn Method>>,
    pairs: Option<Arc<dyn PairSelection>>,
    pool_policy: Option<Arc<dyn PoolPolicy>>,
}

impl Tpo {
    /// The engine that answers.
    #[cfg(feature = "serve")]
    pub(crate) fn policy(&self) -> &Arc<dyn Engine> {
        &self.0.policy
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
    /// [needs](Method::needs_donor) it, as [`Mode::Shuffled`] does; others take no notice of it. A
    /// [`Batch`](crate::Batch) draws one for each query.
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

    /// Aligns the query at an index of a list, reports every scored answer to an observer, which must not block, and
    /// ends when the token is cancelled: what is under way then is abandoned, and the trajectory of the error has the
    /// answers until then.
    ///
    /// # Errors
    /// An [`AlignError`] with what went wrong and the trajectory until then;
    /// [`Error::Stopped`] after a cancellation.
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
    /// let observer = |event: &SearchEvent<'_>| println!("best so far: {:.2}", event.best_score);
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
        observer: impl Fn(&SearchEvent<'_>) + Send + Sync + 'static,
        cancellation: CancellationToken,
    ) -> Result<Alignment, AlignError> {
        let session =
            Session::default().observed(SearchObserver::new(observer)).abortable(cancellation);
        self.align_in(index, query.into(), None, session).await
    }

    pub(crate) async fn align_in(
        &self,
        index: usize,
        query: Query,
        donor: Option<DonorQuery>,
        session: Session,
    ) -> Result<Alignment, AlignError> {
        let span = info_span!(
            "search",
            otel.name = %format_args!("search {}", self.0.config.mode),
            tpo.query = i64::try_from(index).ok(),
        );
        Search::new(&self.0, index, query, session).run(donor).instrument(span).await
    }

    /// Whose critique a query of a list is given, if the mode asks for that.
    pub(crate) fn donor(&self, index: usize, queries: &[Query]) -> Option<DonorQuery> {
        let needed = self.0.method.needs_donor();
        needed.then(|| DonorQuery::of(self.0.config.seed, index, queries)).flatten()
    }

    /// Whether these queries can be searched.
    ///
    /// # Errors
    /// A setting, where the mode needs the critique of another query and there is none.
    pub fn check_queries(&self, queries: &[Query]) -> Result<(), Error> {
        let needed = self.0.method.needs_donor() && !queries.is_empty();
        match needed && self.donor(0, queries).is_none() {
            true => Err(no_donor()),
            false => Ok(()),
        }
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

    /// The same search with other prompts.
    #[must_use]
    pub fn with_prompts(&self, prompts: Arc<PromptPack>) -> Self {
        Self(Arc::new(TpoParts { prompts, ..TpoParts::clone(&self.0) }))
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

    /// How many requests a query takes where the server gives all answers to one; an estimate where an iteration
    /// compares more than one pair, since the pool grows.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let config = &self.0.config;
        self.0.method.requests(config).saturating_mul(config.depth().into()).saturating_add(1)
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
