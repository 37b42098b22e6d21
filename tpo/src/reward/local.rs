//! Reward models in the process.

use std::path::Path;

use async_trait::async_trait;
use textgrad_core::{EngineError, ErrorKind};
use textgrad_ops::ChatTemplate;
use textgrad_ops::local::{ClassifierInfo, SequenceClassifier, TextScore};

use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{RewardInfo, RewardModel, conversation, refused};
use crate::query::Query;

const ADVICE: &str = "check the chat template";

/// A reward model in the process: a [`SequenceClassifier`] with its chat template.
///
/// A conversation is written as its chat template writes it, with at most one token at its beginning that begins a
/// text, and no other special tokens are added: as transformers' `apply_chat_template` does. Scores are raw logits.
///
/// # Examples
/// ```
/// use tpo::{LocalReward, RewardModel};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../textgrad-ops/tests/classifiers/llama");
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // A folder as the Hugging Face hub lays it out. Here, a tiny model with random weights.
/// let reward = LocalReward::load(folder)?;
/// let scores = reward.score(&"What is the color of Mars?".into(), &["Red.", "Blue."]).await?;
/// assert!((scores[0] - -0.4582).abs() < 1e-3);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct LocalReward {
    info: RewardInfo,
    model: SequenceClassifier,
    template: ChatTemplate,
    monitor: ScoreMonitor,
}

impl LocalReward {
    /// The model of a folder, with the chat template that is in it. Blocking: it reads all weights.
    ///
    /// # Errors
    /// Those of [`SequenceClassifier::load`]; [`ErrorKind::InvalidRequest`] if the template cannot be used.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, EngineError> {
        let folder = folder.as_ref();
        let template = ChatTemplate::from_file(folder).map_err(|error| {
            let message =
                format!("expected the chat template of the reward model in {}", folder.display());
            EngineError::new(ErrorKind::InvalidRequest, message).with_source(error)
        })?;
        Self::with_template(folder, template)
    }

    /// The model of a folder, with another chat template. Blocking: it reads all weights.
    ///
    /// # Errors
    /// Those of [`SequenceClassifier::load`].
    pub fn with_template(
        folder: impl AsRef<Path>,
        template: ChatTemplate,
    ) -> Result<Self, EngineError> {
        let folder = folder.as_ref();
        let model = SequenceClassifier::load(folder)?;
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("local:{name}");
        let digest: String = model.info().digest.chars().take(16).collect();
        let identity = format!("local {digest} with template {}", template.fingerprint());
        // Answers are scored one by one, so one that is too long does not lose the others. Those of the same time are
        // computed together all the same.
        let info = RewardInfo::new(name).with_identity(identity).with_batch(1);
        let monitor = ScoreMonitor::new(ExpectedScores::Raw, ADVICE);
        Ok(Self { info, model, template, monitor })
    }

    /// Architecture, size and digest of the model.
    #[must_use]
    pub fn classifier(&self) -> &ClassifierInfo {
        self.model.info()
    }

    /// Scores with the number of tokens of each conversation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a conversation that the template refuses, or that is too long.
    pub async fn scored(
        &self,
        query: &Query,
        answers: &[&str],
    ) -> Result<Vec<TextScore>, EngineError> {
        let text = |answer: &&str| {
            let text = self.template.render(&conversation(query, answer))?;
            Ok(self.template.with_one_bos(&text))
        };
        let texts = answers.iter().map(text).collect::<Result<_, _>>();
        let texts = texts.map_err(|error| refused(error, "the reward model's chat template"))?;
        self.model.score(texts).await
    }
}

#[async_trait]
impl RewardModel for LocalReward {
    fn info(&self) -> &RewardInfo {
        &self.info
    }

    async fn max_length(&self) -> Option<u64> {
        Some(self.classifier().max_length)
    }

    async fn score(&self, query: &Query, answers: &[&str]) -> Result<Vec<f64>, EngineError> {
        let scored = self.scored(query, answers).await?;
        let scores: Vec<f64> = scored.iter().map(|scored| scored.score).collect();
        self.monitor.observe(self.name(), query, answers, &scores);
        Ok(scores)
    }
}
