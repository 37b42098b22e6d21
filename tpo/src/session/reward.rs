//! Reward models within a session.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Engine, EngineError, ErrorKind, truncate};

use super::{Session, SessionEngine};
use crate::error::Error;
use crate::journal::{Record, StepKey, among, millis};
use crate::query::Query;
use crate::reward::{EngineScope, RewardInfo, RewardModel};

/// Whether a server refuses a text for its length.
fn is_too_long(error: &EngineError) -> bool {
    const WORDS: [&str; 11] = [
        "context length",
        "context window",
        "too long",
        "too large",
        "reduce the length",
        "max_model_len",
        "must have less than",
        "maximum input length",
        "exceeds the maximum",
        "exceeds maximum",
        "longer than the",
    ];
    let message = error.message().to_lowercase();
    let is_refused = error.kind() == ErrorKind::InvalidRequest;
    error.status() == Some(413) || (is_refused && WORDS.iter().any(|words| message.contains(words)))
}

/// A reward model within a session.
pub(crate) struct BoundReward {
    pub(crate) model: Arc<dyn RewardModel>,
    /// Whether the journal has its scores. A model that asks engines scores again on resume: the journal has its
    /// requests instead.
    pub(crate) is_journaled: bool,
}

impl Session {
    /// The reward model within this session.
    pub(crate) fn bind(&self, reward: &Arc<dyn RewardModel>) -> BoundReward {
        match reward.bind(self) {
            Some(model) => BoundReward { model, is_journaled: false },
            None => BoundReward { model: Arc::clone(reward), is_journaled: true },
        }
    }

    /// Scores answers and counts them. An answer that is too long for the reward model has no score, and is counted
    /// apart.
    pub(crate) async fn score(
        &self,
        reward: &BoundReward,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<Option<f64>>, Error> {
        let (scores, known) = self.scores(reward, query, answers).await?;
        let scored = scores.iter().flatten().count();
        let mut accounts = self.accounts();
        #[cfg(feature = "serve")]
        {
            accounts.asked.scored += scored.saturating_sub(known) as u64;
        }
        #[cfg(not(feature = "serve"))]
        let _ = known;
        accounts.usage.scored += scored as u64;
        accounts.usage.too_long += (scores.len() - scored) as u64;
        Ok(scores)
    }

    /// Scores answers, as many at a time as the reward model takes. Each score is written down as soon as it is
    /// there; the failure of one answer does not lose the others. Also returns how many of them the journal had.
    async fn scores(
        &self,
        reward: &BoundReward,
        query: &Query,
        answers: &[&str],
    ) -> Result<(Vec<Option<f64>>, usize), Error> {
        self.may_go_on()?;
        self.commit_failures().await?;
        let BoundReward { model, is_journaled } = reward;
        let (identity, batch) = match model.is_relative() {
            true => (among(model.identity(), answers), usize::MAX),
            false => (model.identity().to_owned(), model.batch().max(1)),
        };
        let keys = answers.iter().map(|answer| StepKey::of_score(&identity, query, answer));
        let keys: Vec<StepKey> = keys.collect();
        let journal = self.journal().filter(|_| *is_journaled);
        let known = keys.iter().map(|key| journal.as_ref()?.recall_score(key));
        let mut known: Vec<Option<f64>> = known.collect();
        // Relative scores are asked for together or not at all.
        if model.is_relative() && known.contains(&None) {
            known.fill(None);
        }
        let steps = answers.iter().copied().zip(keys).zip(&known);
        let unknown: Vec<(&str, StepKey)> =
            steps.filter(|(_, known)| known.is_none()).map(|(step, _)| step).collect();
        let chunks = || unknown.chunks(batch);
        let scored = join_all(chunks().map(|chunk| self.score_chunk(reward, query, chunk))).await;
        let (mut scores, mut too_long) = (Vec::new(), None);
        for (chunk, scored) in chunks().zip(scored) {
            match scored {
                Ok(scored) => scores.extend(scored.into_iter().map(Some)),
                Err(Error::Reward { source, .. })
                    if is_too_long(&source) && !model.is_relative() =>
                {
                    for step in chunk {
                        let alone = self.score_alone(reward, query, step, chunk.len()).await?;
                        scores.push(alone);
                    }
                    too_long = Some(source);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(source) = too_long {
            tracing::debug!(
                "answers that are too long for the reward model are left out: {source}"
            );
            if scores.iter().all(Option::is_none) && known.iter().all(Option::is_none) {
                let answer = truncate(answers.first().copied().unwrap_or_default(), 80);
                return Err(Error::Reward { model: model.name().to_owned(), answer, source });
            }
        }
        let mut scores = scores.into_iter();
        let recalled = known.iter().flatten().count();
        let scores = known.into_iter().map(|known| known.or_else(|| scores.next().flatten()));
        Ok((scores.collect(), recalled))
    }

    /// Scores one answer of a chunk that was too long; none if it is the long one.
    async fn score_alone(
        &self,
        reward: &BoundReward,
        query: &Query,
        step: &(&str, StepKey),
        chunk: usize,
    ) -> Result<Option<f64>, Error> {
        if chunk == 1 {
            return Ok(None);
        }
        match self.score_chunk(reward, query, std::slice::from_ref(step)).await {
            Ok(scores) => Ok(scores.first().copied()),
            Err(Error::Reward { source, .. }) if is_too_long(&source) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn score_chunk(
        &self,
        reward: &BoundReward,
        query: &Query,
        chunk: &[(&str, StepKey)],
    ) -> Result<Vec<f64>, Error> {
        let BoundReward { model, is_journaled } = reward;
        let answers: Vec<&str> = chunk.iter().map(|(answer, _)| *answer).collect();
        let failed = |source| Error::Reward {
            model: model.name().to_owned(),
            answer: truncate(answers.first().copied().unwrap_or_default(), 80),
            source,
        };
        self.may_begin().map_err(failed)?;
        if *is_journaled {
            let keys: Vec<&StepKey> = chunk.iter().map(|(_, key)| key).collect();
            self.ask(&keys).await.map_err(failed)?;
        }
        let begun = Instant::now();
        let scores = {
            // The calls of engines count for themselves.
            let _under_way = is_journaled.then(|| self.begin());
            model.score(query, &answers).await
        };
        let scores = scores.map_err(|error| failed(self.map_cancelled(error)))?;
        let ms = millis(begun.elapsed());
        if scores.len() != answers.len() {
            return Err(Error::ScoreCount { expected: answers.len(), got: scores.len() });
        }
        let scored = chunk.iter().zip(scores.iter().copied());
        // A journal cannot hold what is not a number.
        let finite = scored.clone().take_while(|(_, score)| score.is_finite());
        if *is_journaled {
            let steps = |query| {
                let step = |((_, key), score): (&(&str, StepKey), f64)| Record::Score {
                    query,
                    key: key.clone(),
                    score,
                    ms,
                };
                finite.map(step).collect()
            };
            self.write(steps).await.map_err(failed)?;
        }
        match scored.into_iter().find(|(_, score)| !score.is_finite()) {
            Some(((answer, _), got)) => Err(Error::Score { answer: truncate(answer, 80), got }),
            None => Ok(scores),
        }
    }
}

impl EngineScope for Session {
    fn engine(&self, engine: &Arc<dyn Engine>) -> Arc<dyn Engine> {
        Arc::new(SessionEngine { inner: Arc::clone(engine), session: self.clone() })
    }

    fn reward(&self, reward: &Arc<dyn RewardModel>) -> Arc<dyn RewardModel> {
        let bound = BoundReward { model: Arc::clone(reward), is_journaled: true };
        Arc::new(SessionReward { bound, session: self.clone() })
    }
}

/// A reward model that is part of another: its scores are journaled, and counted by the whole.
struct SessionReward {
    bound: BoundReward,
    session: Session,
}

#[async_trait]
impl RewardModel for SessionReward {
    fn info(&self) -> &RewardInfo {
        self.bound.model.info()
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scored = self.session.scores(&self.bound, query, answers).await;
        let (scored, _) = scored.map_err(|error| match error.engine() {
            Some(engine) => engine.clone(),
            None => {
                EngineError::new(ErrorKind::BadResponse, error.to_string()).with_retryable(false)
            }
        })?;
        // The whole then scores the answers one by one, and leaves the long one out.
        let too_long = || EngineError::new(ErrorKind::InvalidRequest, "an answer is too long");
        scored.into_iter().collect::<Option<Vec<f64>>>().ok_or_else(too_long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_for_length_are_distinguished_from_others() {
        let error = |message| EngineError::new(ErrorKind::InvalidRequest, message);
        for message in [
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
            "`inputs` must have less than 512 tokens. Given: 900",
            "Input is too long for this model",
        ] {
            assert!(is_too_long(&error(message)), "{message}");
        }
        assert!(is_too_long(&EngineError::new(ErrorKind::InvalidRequest, "").with_status(413)));
        assert!(!is_too_long(&error("the model `m` does not exist")));
        assert!(!is_too_long(&EngineError::new(ErrorKind::Server, "context length")));
    }
}
