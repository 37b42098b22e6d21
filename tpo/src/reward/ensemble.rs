//! Several reward models as one.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use futures_util::future::join_all;
use textgrad_core::{EngineError, ErrorKind};

use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{EngineScope, RewardInfo, RewardModel};
use crate::error::Error;
use crate::query::Query;

/// Advice for scores that do not distinguish answers.
const ADVICE: &str =
    "see what each member makes of answers, and whether the lowest hides the others";

/// How an [`Ensemble`] makes one score of several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Combine {
    /// The weighted mean.
    Mean,
    /// The lowest, whatever the weights: an answer is as good as its harshest judge says.
    Min,
    /// The weighted mean minus `lambda` (0 or more) times the weighted standard deviation: an answer that
    /// the judges disagree on is trusted less. The pessimism guards against answers that please one reward
    /// model only (reward hacking).
    Pessimistic {
        /// How much disagreement costs.
        lambda: f64,
    },
}

impl FromStr for Combine {
    type Err = Error;

    /// Reads `mean`, `min` or `pessimistic:LAMBDA`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let lambda = text.strip_prefix("pessimistic:").and_then(|lambda| lambda.parse().ok());
        match (text, lambda) {
            ("mean", _) => Ok(Self::Mean),
            ("min", _) => Ok(Self::Min),
            (_, Some(lambda)) => Ok(Self::Pessimistic { lambda }),
            (_, None) => Err(Error::config("combine", "mean, min or pessimistic:LAMBDA", text)),
        }
    }
}

/// A reward model within an [`Ensemble`].
#[derive(Debug, Clone, Setters)]
#[setters(generate = false)]
pub struct Member {
    model: Arc<dyn RewardModel>,
    /// How much it counts; greater than 0. Default: 1.
    #[setters(generate)]
    weight: f64,
    center: f64,
    scale: f64,
}

impl Member {
    /// A member whose scores are taken as they are.
    pub fn new(model: impl RewardModel + 'static) -> Self {
        Self { model: Arc::new(model), weight: 1.0, center: 0.0, scale: 1.0 }
    }

    /// Its scores count as `(score - center) / scale`, with `scale` not 0. Reward models have scales of their
    /// own, so take the mean and the standard deviation of each over answers like those to be scored; a
    /// negative scale turns a cost into a reward.
    #[must_use]
    pub fn standardized(self, center: f64, scale: f64) -> Self {
        Self { center, scale, ..self }
    }

    fn is_valid(&self) -> bool {
        let numbers = [self.weight, self.center, self.scale];
        numbers.iter().all(|number| number.is_finite()) && self.weight > 0.0 && self.scale != 0.0
    }

    /// The standardized scores of answers.
    async fn scores(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scores = self.model.score(query, answers).await?;
        if scores.len() != answers.len() {
            let message = format!(
                "expected {} score(s) from the reward model {:?}, got {}",
                answers.len(),
                self.model.name(),
                scores.len()
            );
            return Err(EngineError::new(ErrorKind::BadResponse, message).with_retryable(false));
        }
        Ok(scores.into_iter().map(|score| (score - self.center) / self.scale).collect())
    }
}

/// Several reward models as one. All of them score at the same time; if one fails, so does the ensemble.
///
/// # Examples
/// ```
/// use tpo::{Combine, Ensemble, Member, RewardModel, reward_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let long = Member::new(reward_fn("long", |_, answer: &str| answer.len() as f64)).standardized(4.0, 2.0);
/// let polite = Member::new(reward_fn("polite", |_, answer: &str| answer.matches("please").count() as f64));
/// let both = Ensemble::new([long, polite], Combine::Min)?;
/// assert_eq!(both.score(&"?".into(), &["please", "no"]).await?, [1.0, -1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Ensemble {
    info: RewardInfo,
    members: Vec<Member>,
    combine: Combine,
    monitor: ScoreMonitor,
}

impl Ensemble {
    /// An ensemble of at least one member.
    ///
    /// # Errors
    /// [`Error::Config`] without a member, with two of one [identity](RewardModel::identity), or with a weight, a
    /// center, a scale or a lambda out of its range.
    pub fn new(members: impl IntoIterator<Item = Member>, combine: Combine) -> Result<Self, Error> {
        let members: Vec<Member> = members.into_iter().collect();
        let config = |expected, got: String| Err(Error::config("reward", expected, got));
        if members.is_empty() {
            return config("at least one reward model", "none".to_owned());
        }
        if let Some(invalid) = members.iter().find(|member| !member.is_valid()) {
            let Member { model, weight, center, scale } = invalid;
            let got =
                format!("weight {weight}, center {center}, scale {scale} for {}", model.name());
            return config("finite numbers, weights above 0, scales other than 0", got);
        }
        let mut known = HashSet::new();
        let mut identities = members.iter().map(|member| member.model.identity());
        if let Some(twice) = identities.find(|identity| !known.insert(*identity)) {
            let expected = "reward models that differ in more than address and weight, so that a journal tells their \
                            scores apart; serve one under another name, or leave it out";
            return config(expected, format!("{twice:?} twice"));
        }
        if let Combine::Pessimistic { lambda } = combine
            && !(lambda.is_finite() && lambda >= 0.0)
        {
            let expected = "pessimistic:LAMBDA with a finite number of 0 or more";
            return Err(Error::config("combine", expected, lambda.to_string()));
        }
        let info = info(&members, combine);
        let monitor = ScoreMonitor::new(ExpectedScores::Any, ADVICE);
        Ok(Self { info, members, combine, monitor })
    }

    /// One score of those that the members give to an answer.
    fn combined(&self, scores: &[f64]) -> f64 {
        match self.combine {
            // Not `f64::min`, which overlooks what is not a number.
            Combine::Min => {
                let scores = scores.iter().copied();
                scores.reduce(|a, b| if a.is_nan() || a <= b { a } else { b }).unwrap_or(f64::NAN)
            }
            Combine::Mean => self.mean(scores.iter().copied()),
            Combine::Pessimistic { lambda } => {
                let center = self.mean(scores.iter().copied());
                let variance = self.mean(scores.iter().map(|score| (score - center).powi(2)));
                center - lambda * variance.sqrt()
            }
        }
    }

    /// The weighted mean of one value per member.
    fn mean(&self, values: impl Iterator<Item = f64>) -> f64 {
        let total: f64 = self.members.iter().map(|member| member.weight).sum();
        values.zip(&self.members).map(|(value, member)| value * member.weight).sum::<f64>() / total
    }
}

fn info(members: &[Member], combine: Combine) -> RewardInfo {
    let models = || members.iter().map(|member| &member.model);
    let names: Vec<&str> = models().map(RewardModel::name).collect();
    let how = match combine {
        Combine::Mean => "mean".to_owned(),
        Combine::Min => "min".to_owned(),
        Combine::Pessimistic { lambda } => format!("mean-{lambda}sd"),
    };
    let name = format!("{how}({})", names.join(", "));
    let identities = members.iter().map(|Member { model, weight, center, scale }| {
        format!("{weight} * ({} - {center}) / {scale}", model.identity())
    });
    let identity = format!("{name}: {}", identities.collect::<Vec<_>>().join("; "));
    RewardInfo::new(name)
        .with_identity(identity)
        // That of the member that takes the fewest.
        .with_batch(models().map(RewardModel::batch).min().unwrap_or(usize::MAX))
        .with_simulation(models().any(RewardModel::is_simulation))
        .with_relative(models().any(RewardModel::is_relative))
}

#[async_trait]
impl RewardModel for Ensemble {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scored = self.members.iter().map(|member| member.scores(query, answers));
        // All end before the first failure is returned, so that no delivered score is lost.
        let by_member: Vec<Vec<f64>> =
            join_all(scored).await.into_iter().collect::<Result<_, _>>()?;
        let combined = |answer: usize| {
            let scores = by_member.iter().filter_map(|scores| scores.get(answer).copied());
            self.combined(&scores.collect::<Vec<f64>>())
        };
        let scores: Vec<f64> = (0..answers.len()).map(combined).collect();
        self.monitor.observe(self.name(), query, answers, &scores);
        Ok(scores)
    }

    /// None if no member asks an engine: the scores of the ensemble are then written down as one.
    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        let bound: Vec<Option<Arc<dyn RewardModel>>> =
            self.members.iter().map(|member| member.model.bind(scope)).collect();
        if bound.iter().all(Option::is_none) {
            return None;
        }
        let members = self.members.iter().zip(bound).map(|(member, bound)| Member {
            model: bound.unwrap_or_else(|| scope.reward(&member.model)),
            ..member.clone()
        });
        Some(Arc::new(Self { members: members.collect(), ..self.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::{SimReward, reward_fn};

    fn constant(name: &str, score: f64) -> Member {
        Member::new(reward_fn(name, move |_, _: &str| score))
    }

    async fn score(members: Vec<Member>, combine: Combine) -> f64 {
        let ensemble = Ensemble::new(members, combine).unwrap();
        ensemble.score(&"q".into(), &["a"]).await.unwrap()[0]
    }

    #[tokio::test]
    async fn weights_count() {
        let members = || vec![constant("a", 1.0).weight(3.0), constant("b", 5.0)];
        assert_eq!(score(members(), Combine::Mean).await, 2.0);
        assert_eq!(score(members(), Combine::Min).await, 1.0);
        // Deviations -1 (weight 3) and 3 (weight 1): variance (3 + 9) / 4.
        let pessimistic = score(members(), Combine::Pessimistic { lambda: 2.0 }).await;
        assert!((pessimistic - (2.0 - 2.0 * 3.0_f64.sqrt())).abs() < 1e-12, "{pessimistic}");
    }

    #[tokio::test]
    async fn a_cost_becomes_a_reward() {
        assert_eq!(
            score(vec![constant("cost", 4.0).standardized(1.0, -2.0)], Combine::Mean).await,
            -1.5
        );
    }

    #[tokio::test]
    async fn a_score_that_is_not_finite_stays_so() {
        for combine in [Combine::Mean, Combine::Min, Combine::Pessimistic { lambda: 1.0 }] {
            assert!(
                score(vec![constant("a", f64::NAN), constant("b", 1.0)], combine).await.is_nan()
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |members: Vec<Member>, combine| Ensemble::new(members, combine).unwrap_err();
        refused(vec![], Combine::Mean);
        refused(vec![constant("a", 1.0).weight(0.0)], Combine::Mean);
        refused(vec![constant("a", 1.0).standardized(0.0, 0.0)], Combine::Mean);
        refused(vec![constant("a", 1.0)], Combine::Pessimistic { lambda: -1.0 });
        let error = refused(vec![constant("bad one", 1.0).weight(f64::NAN)], Combine::Min);
        assert!(error.to_string().contains("bad one"), "{error}");
        let error = refused(vec![constant("a", 1.0), constant("a", 2.0).weight(2.0)], Combine::Min);
        assert!(error.to_string().contains("got \"a\" twice"), "{error}");
    }

    #[test]
    fn it_says_who_is_in_it_and_whether_one_is_simulated() {
        let members = [constant("a", 1.0), Member::new(SimReward)];
        let ensemble = Ensemble::new(members, Combine::Pessimistic { lambda: 0.5 }).unwrap();
        assert_eq!(ensemble.name(), "mean-0.5sd(a, sim)");
        assert!(ensemble.is_simulation());
    }
}
