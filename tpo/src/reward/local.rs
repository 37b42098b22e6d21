//! Reward models in the process.

use std::path::Path;

use async_trait::async_trait;
use textgrad_core::{EngineError, ErrorKind};
use textgrad_ops::local::{ClassifierInfo, SequenceClassifier, TextScore};
use textgrad_ops::{ChatTemplate, ChatTemplateError};

use super::monitor::{ExpectedScores, ScoreMonitor};
use super::{RewardInfo, RewardModel, conversation, refused};
use crate::query::Query;

/// What to check where all scores are the same.
const TEMPLATE_ADVICE: &str = "check the chat template";
const PAIR_ADVICE: &str = "check the tokenizer, or name a chat template";

/// A reward model in the process: a [`SequenceClassifier`] with its chat template.
///
/// A conversation is written as its chat template writes it, with at most one token at its beginning that begins a
/// text, and no other special tokens are added: as transformers' `apply_chat_template` does. An encoder without a chat
/// template takes the query, a conversation of several turns written turn by turn, and the answer as a pair, with the
/// special tokens that its tokenizer gives to pairs. Scores are raw logits.
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
    /// None for pairs.
    template: Option<ChatTemplate>,
    monitor: ScoreMonitor,
}

impl LocalReward {
    /// The model of a folder, with the chat template that is in it. Blocking: it reads all weights.
    ///
    /// # Errors
    /// Those of [`SequenceClassifier::load`]; [`ErrorKind::InvalidRequest`] if the template cannot be used, or there is
    /// none and the model is no encoder.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, EngineError> {
        let folder = folder.as_ref();
        let unusable = |error| {
            let message =
                format!("expected the chat template of the reward model in {}", folder.display());
            EngineError::new(ErrorKind::InvalidRequest, message).with_source(error)
        };
        match ChatTemplate::from_file(folder) {
            Ok(template) => Self::with_template(folder, template),
            Err(error) if is_missing(&error) => {
                let model = SequenceClassifier::load(folder)?;
                if !model.info().is_encoder {
                    return Err(unusable(error));
                }
                Ok(Self::new(folder, model, None))
            }
            Err(error) => Err(unusable(error)),
        }
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
        Ok(Self::new(folder, SequenceClassifier::load(folder)?, Some(template)))
    }

    fn new(folder: &Path, model: SequenceClassifier, template: Option<ChatTemplate>) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("local:{name}");
        let digest: String = model.info().digest.chars().take(16).collect();
        let (how, advice) = match &template {
            Some(template) => (format!("template {}", template.fingerprint()), TEMPLATE_ADVICE),
            None => ("pairs".to_owned(), PAIR_ADVICE),
        };
        let identity = format!("local {digest} with {how}");
        // Answers are scored one by one, so one that is too long does not lose the others. Those of the same time are
        // computed together all the same.
        let info = RewardInfo::new(name).with_identity(identity).with_batch(1);
        let monitor = ScoreMonitor::new(ExpectedScores::Raw, advice);
        Self { info, model, template, monitor }
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
        let Some(template) = &self.template else {
            let pair = |answer: &&str| (query.text().to_owned(), (*answer).to_owned());
            return self.model.score_pairs(answers.iter().map(pair).collect()).await;
        };
        let text = |answer: &&str| {
            let text = template.render(&conversation(query, answer))?;
            Ok(template.with_one_bos(&text))
        };
        let texts = answers.iter().map(text).collect::<Result<_, _>>();
        let texts = texts.map_err(|error| refused(error, "the reward model's chat template"))?;
        self.model.score(texts).await
    }
}

/// Whether a folder has no chat template, or no settings of a tokenizer that could have one.
fn is_missing(error: &ChatTemplateError) -> bool {
    match error {
        ChatTemplateError::Missing { .. } => true,
        ChatTemplateError::Read { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use serde_json::Value as Json;
    use textgrad_core::Message;

    use super::*;

    fn fixture(name: &str) -> PathBuf {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../textgrad-ops/tests/classifiers");
        Path::new(folder).join(name)
    }

    /// The scores of transformers: `pairs` or `chats`, of which the third has several turns.
    fn expected(name: &str, which: &str) -> Vec<f64> {
        let text = fs::read_to_string(fixture(name).join("expected.json")).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        let of_each = json[which].as_array().unwrap().iter();
        of_each.map(|entry| entry["score"].as_f64().unwrap()).collect()
    }

    async fn scores(reward: &LocalReward) -> Vec<f64> {
        let talk = Query::conversation([
            Message::system("Answer in one sentence."),
            Message::user("Why is the sky blue?"),
            Message::assistant("Air scatters blue light more than red light."),
            Message::user("And why is the sunset red?"),
        ]);
        let answer = "The light crosses more air, which leaves the red of it. ".repeat(6);
        let mars = reward.score(&"What is the color of Mars?".into(), &["Red."]).await.unwrap();
        let talk = reward.score(&talk.unwrap(), &[&answer]).await.unwrap();
        [mars, talk].concat()
    }

    fn assert_near(got: &[f64], expected: &[f64]) {
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-5, "{got}, {expected}");
        }
    }

    #[tokio::test]
    async fn an_encoder_without_a_template_takes_pairs() {
        for name in ["modernbert", "deberta", "deberta_conv"] {
            let reward = LocalReward::load(fixture(name)).unwrap();
            assert!(reward.identity().ends_with(" with pairs"), "{}", reward.identity());
            assert_near(&scores(&reward).await, &expected(name, "pairs")[1..3]);
        }
    }

    #[tokio::test]
    async fn a_template_replaces_pairs() {
        let name = "modernbert_mean";
        let reward = LocalReward::load(fixture(name)).unwrap();
        let of_chats = expected(name, "chats");
        assert_near(&scores(&reward).await, &of_chats[1..3]);
        // The same template beside a model without one.
        let template = ChatTemplate::from_file(fixture(name)).unwrap();
        let reward = LocalReward::with_template(fixture("modernbert"), template).unwrap();
        assert!(reward.identity().contains(" with template "), "{}", reward.identity());
        let moved = scores(&reward).await[0] - expected("modernbert", "pairs")[1];
        assert!(moved.abs() > 1e-3, "{moved}");
    }

    #[test]
    fn a_decoder_needs_a_template() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::copy(fixture("llama").join(file), folder.path().join(file)).unwrap();
        }
        let error = LocalReward::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("expected the chat template of the reward model"), "{error}");
    }
}
