//! A sequence classifier of any architecture.

use textgrad_core::EngineError;

use super::config::{Architecture, Sizes, architecture};
use super::deberta::{self, Deberta};
use super::decoder::{self, Decoder};
use super::modern_bert::{self, ModernBert};
use super::weights::Weights;
use super::worker::Tokens;
use crate::local::unsupported;

/// The texts that a model takes.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) architecture: String,
    pub(super) vocabulary: usize,
    /// The number of types that tokens have; none where they count for nothing.
    pub(super) types: usize,
    pub(super) max_length: usize,
    /// The token that does not count at the end of a text.
    pub(super) padding: Option<u32>,
    /// Whether it takes pairs of texts.
    pub(super) is_encoder: bool,
}

/// The settings of a model.
#[derive(Debug)]
pub(super) enum Config {
    Decoder(decoder::Config),
    ModernBert(modern_bert::Config),
    Deberta(deberta::Config),
}

impl Config {
    /// Reads the text of a `config.json`.
    pub(super) fn read(json: &str) -> Result<(Self, Limits), EngineError> {
        let (kind, name) = architecture(json)?;
        let sizes = Sizes::read(json)?;
        let (config, types, padding) = match kind {
            Architecture::Decoder(family) => {
                let config = decoder::Config::read(json, sizes, family)?;
                let padding = config.padding;
                (Self::Decoder(config), 0, padding)
            }
            Architecture::ModernBert => {
                (Self::ModernBert(modern_bert::Config::read(json, sizes)?), 0, None)
            }
            Architecture::DebertaV2 => {
                let config = deberta::Config::read(json, sizes)?;
                let types = config.types;
                (Self::Deberta(config), types, None)
            }
        };
        let limits = Limits {
            architecture: name,
            vocabulary: sizes.vocabulary,
            types,
            max_length: sizes.max_length,
            padding,
            is_encoder: !matches!(kind, Architecture::Decoder(_)),
        };
        Ok((config, limits))
    }
}

/// A model with its weights.
#[derive(Debug)]
pub(super) enum Model {
    Decoder(Decoder),
    ModernBert(ModernBert),
    Deberta(Box<Deberta>),
}

impl Model {
    pub(super) fn read(config: Config, weights: &mut Weights) -> Result<Self, EngineError> {
        let head = match config {
            Config::Decoder(_) => "score.weight",
            Config::ModernBert(_) | Config::Deberta(_) => "classifier.weight",
        };
        match weights.labels(head)? {
            1 => {}
            labels => {
                return Err(unsupported(format!(
                    "expected a reward model with one label, got {labels}: a classifier's labels are no scores"
                )));
            }
        }
        Ok(match config {
            Config::Decoder(config) => Self::Decoder(Decoder::read(config, weights)?),
            Config::ModernBert(config) => Self::ModernBert(ModernBert::read(config, weights)?),
            Config::Deberta(config) => Self::Deberta(Box::new(Deberta::read(config, weights)?)),
        })
    }

    /// The score of each text. None if it was canceled, which is asked before each layer. Tokens and types are within
    /// the limits, and no text is empty.
    pub(super) fn scores(
        &self,
        texts: &[&Tokens],
        is_canceled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<f32>> {
        let ids: Vec<&[u32]> = texts.iter().map(|text| text.ids.as_slice()).collect();
        match self {
            Self::Decoder(model) => model.scores(&ids, is_canceled),
            Self::ModernBert(model) => model.scores(&ids, is_canceled),
            Self::Deberta(model) => model.scores(texts, is_canceled),
        }
    }
}
