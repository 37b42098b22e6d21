//! Sequence classifiers of one score from safetensors: reward models.

mod attention;
mod config;
mod deberta;
mod decoder;
mod layer;
mod math;
mod model;
mod modern_bert;
mod parts;
#[cfg(test)]
mod tests;
mod weights;
mod worker;

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use textgrad_core::{EngineError, ErrorKind};
use tokenizers::{EncodeInput, Tokenizer};
use tokio::sync::oneshot;

use self::model::{Config, Model};
use self::weights::Weights;
use self::worker::{Job, Worker};
use super::invalid;

/// A model that gives a text one score, such as a reward model, from a folder as the Hugging Face hub lays it out:
/// `config.json`, `tokenizer.json`, and `model.safetensors` or several files with an index.
///
/// It reads `LlamaForSequenceClassification`, `Qwen2ForSequenceClassification`, `Qwen3ForSequenceClassification` and
/// `Gemma2ForSequenceClassification`, which are decoders and score a text at its last token, and the encoders
/// `ModernBertForSequenceClassification` and `DebertaV2ForSequenceClassification` (DeBERTa of versions 2 and 3), with
/// one label. Scores are raw logits, computed with numbers of 32 bits, whatever the file has: weights of 16 bits take
/// twice their size in memory. They are equal to those of transformers within 1e-5, which a test holds on small models.
///
/// It works on a thread of its own and a pool of one thread per core (`RAYON_NUM_THREADS` sets another number). Texts
/// that wait at the same time are computed together without padding. The score of a text does not depend on what it
/// is computed with, to the last bit. A dropped call ends before the next layer. Cheap to clone.
///
/// # Examples
/// ```no_run
/// use textgrad_ops::local::SequenceClassifier;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let model = SequenceClassifier::load("reward-model/")?;
/// let scored = model.score(vec!["a conversation as the chat template writes it".to_owned()]).await?;
/// println!("{} ({} tokens)", scored[0].score, scored[0].tokens);
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct SequenceClassifier {
    info: ClassifierInfo,
    jobs: mpsc::Sender<Job>,
}

/// Facts about a [`SequenceClassifier`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassifierInfo {
    /// The architecture, as `config.json` names it.
    pub architecture: String,
    /// The number of weights.
    pub parameters: u64,
    /// The size of the weights in memory, in bytes.
    pub bytes: u64,
    /// The longest text in tokens.
    pub max_length: u64,
    /// Whether it is an encoder, which takes pairs of a query and an answer ([`SequenceClassifier::score_pairs`]).
    pub is_encoder: bool,
    /// SHA-256 of settings, tokenizer and weights: models of equal digests give equal scores.
    pub digest: String,
}

/// The score of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TextScore {
    /// The raw logit; higher is better.
    pub score: f64,
    /// The number of its tokens.
    pub tokens: usize,
}

impl SequenceClassifier {
    /// Reads a folder. Blocking: it reads all weights, a second or so per gigabyte.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a file that is missing, [`ErrorKind::Unsupported`] for another architecture, several
    /// labels or quantized weights, [`ErrorKind::InvalidRequest`] for a damaged file, a missing tensor or too little
    /// memory. Messages name the file and what was expected.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, EngineError> {
        let folder = folder.as_ref();
        let config_json = read(&folder.join("config.json"))?;
        let tokenizer_json = read(&folder.join("tokenizer.json"))?;
        let (config, limits) = Config::read(&config_json)?;
        let mut weights = Weights::open(folder)?;
        let tokenizer = tokenizer(&tokenizer_json, folder)?;
        let (parameters, bytes) = (weights.parameters(), weights.bytes());
        let model = Model::read(config, &mut weights)?;
        let parts = [config_json, tokenizer_json, weights.digest()];
        let info = ClassifierInfo {
            architecture: limits.architecture.clone(),
            parameters,
            bytes,
            max_length: u64::try_from(limits.max_length).unwrap_or(u64::MAX),
            is_encoder: limits.is_encoder,
            digest: crate::util::digest(parts.iter().map(String::as_str)),
        };
        warn_if_slow(&info.architecture);
        let (jobs, queue) = mpsc::channel();
        let worker = Worker::new(model, limits, tokenizer, queue)?;
        thread::Builder::new()
            .name("reward model".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| {
                EngineError::new(ErrorKind::Other, "expected a thread for the reward model")
                    .with_source(error)
            })?;
        Ok(Self { info, jobs })
    }

    /// Architecture, size and digest.
    #[must_use]
    pub fn info(&self) -> &ClassifierInfo {
        &self.info
    }

    /// Scores texts as they are: special tokens are those that stand in them, as a chat template writes them.
    ///
    /// Cancel safe: a dropped call costs at most one more layer.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a text that is empty, or longer than [`ClassifierInfo::max_length`].
    pub async fn score(&self, texts: Vec<String>) -> Result<Vec<TextScore>, EngineError> {
        self.send(texts.into_iter().map(EncodeInput::from).collect()).await
    }

    /// Scores pairs of a query and an answer, with the special tokens and types that the tokenizer gives to pairs, such
    /// as `[CLS] query [SEP] answer [SEP]`: as encoders without a chat template take conversations.
    ///
    /// Cancel safe: a dropped call costs at most one more layer.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a model that is no encoder, or whose tokenizer has no special tokens for pairs;
    /// [`ErrorKind::InvalidRequest`] for a pair that is longer than [`ClassifierInfo::max_length`].
    pub async fn score_pairs(
        &self,
        pairs: Vec<(String, String)>,
    ) -> Result<Vec<TextScore>, EngineError> {
        self.send(pairs.into_iter().map(EncodeInput::from).collect()).await
    }

    async fn send(&self, texts: Vec<EncodeInput<'static>>) -> Result<Vec<TextScore>, EngineError> {
        let ended = || EngineError::new(ErrorKind::Other, "the thread of the reward model ended");
        let (reply, scores) = oneshot::channel();
        self.jobs.send(Job { texts, reply }).map_err(|_| ended())?;
        scores.await.map_err(|_| ended())?
    }
}

fn read(path: &Path) -> Result<String, EngineError> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!(
            "expected a folder with config.json, tokenizer.json and model.safetensors, cannot read {}",
            path.display()
        );
        EngineError::new(ErrorKind::NotFound, message).with_source(error)
    })
}

/// The tokenizer, without the truncation and padding of its file.
fn tokenizer(json: &str, folder: &Path) -> Result<Tokenizer, EngineError> {
    let mut tokenizer: Tokenizer = json.parse().map_err(|error: tokenizers::Error| {
        let path = folder.join("tokenizer.json");
        invalid(format!("expected a tokenizer in {}, got another file: {error}", path.display()))
    })?;
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| invalid(format!("the tokenizer cannot be used: {error}")))?;
    Ok(tokenizer)
}

/// Products of matrices choose their instructions when they run, so only an old processor is slow.
fn warn_if_slow(model: &str) {
    #[cfg(target_arch = "x86_64")]
    let is_fast = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let is_fast = cfg!(target_arch = "aarch64");
    if !is_fast {
        tracing::warn!(
            model,
            "this machine has neither AVX2 nor NEON: scores take several times as long as they could"
        );
    }
}
