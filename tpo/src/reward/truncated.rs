//! Reward models that score the beginning of long answers.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{EngineError, Value};

use super::{EngineScope, RewardInfo, RewardModel, engine_error};
use crate::error::Error;
use crate::query::Query;
use crate::truncate::{Tokenizer, Truncation, Truncator};

/// A reward model that scores the beginning of each answer, for servers with a maximal length.
///
/// # Examples
/// ```
/// use tpo::{RewardModel, TruncatedReward, Truncation, reward_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let length = reward_fn("length", |_, answer: &str| answer.len() as f64);
/// let reward = TruncatedReward::new(length, Truncation::Chars(3), None)?;
/// assert_eq!(reward.score(&"?".into(), &["four", "to"]).await?, [3.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TruncatedReward {
    info: RewardInfo,
    model: Arc<dyn RewardModel>,
    truncator: Truncator,
}

impl TruncatedReward {
    /// A reward model around another. The tokenizer counts [`Truncation::Tokens`].
    ///
    /// # Errors
    /// [`Error::Config`] for a number of tokens without a tokenizer, and the reverse.
    pub fn new(
        model: impl RewardModel + 'static,
        truncation: Truncation,
        tokenizer: Option<Arc<dyn Tokenizer>>,
    ) -> Result<Self, Error> {
        let mut identity = format!("{} of answers truncated at {truncation}", model.identity());
        if let Some(tokenizer) = &tokenizer {
            identity.push_str(&format!(" of {}", tokenizer.identity()));
        }
        Ok(Self {
            info: model.info().clone().with_identity(identity),
            model: Arc::new(model),
            truncator: Truncator::new(Some(truncation), tokenizer)?,
        })
    }
}

#[async_trait]
impl RewardModel for TruncatedReward {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn max_length(&self) -> Option<u64> {
        self.model.max_length().await
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let answers = answers.iter().map(|answer| Value::from(*answer)).collect();
        let truncated = self.truncator.all(answers).await.map_err(engine_error)?;
        let truncated: Vec<&str> = truncated.iter().filter_map(Value::as_text).collect();
        self.model.score(query, &truncated).await
    }

    fn bind(&self, scope: &dyn EngineScope) -> Option<Arc<dyn RewardModel>> {
        let model = self.model.bind(scope)?;
        Some(Arc::new(Self { model, ..self.clone() }))
    }
}
