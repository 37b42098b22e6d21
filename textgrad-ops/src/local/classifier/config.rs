//! The parts of a `config.json` that all families have.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};
use textgrad_core::EngineError;

use super::attention::Heads;
use super::layer::Shape;
use super::parts::Activation;
use crate::local::{invalid, unsupported};

/// The architectures that are read, for messages.
const ARCHITECTURES: &str = "LlamaForSequenceClassification, Qwen2ForSequenceClassification, \
                             Qwen3ForSequenceClassification, Gemma2ForSequenceClassification, \
                             ModernBertForSequenceClassification or DebertaV2ForSequenceClassification";

/// A kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Architecture {
    Decoder(Family),
    ModernBert,
    DebertaV2,
}

/// A family of decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Qwen2,
    Qwen3,
    Gemma2,
}

/// What is read first: other kinds of models have other fields.
#[derive(Debug, Deserialize)]
struct Heading {
    #[serde(default)]
    architectures: Vec<String>,
    quantization_config: Option<Json>,
}

/// The most layers, heads or dimensions that a setting may name: a file with more is damaged.
const MOST: usize = 1 << 20;

/// The fields of a `config.json`.
pub(super) fn fields<T: DeserializeOwned>(json: &str) -> Result<T, EngineError> {
    serde_json::from_str(json).map_err(|error| {
        invalid("expected a config.json of a sequence classifier").with_source(error)
    })
}

/// The architecture that a `config.json` names, and its name.
pub(super) fn architecture(json: &str) -> Result<(Architecture, String), EngineError> {
    let Heading { architectures, quantization_config } = fields(json)?;
    let known = match architectures.as_slice() {
        [name] => match name.strip_suffix("ForSequenceClassification") {
            Some("Llama") => Ok(Architecture::Decoder(Family::Llama)),
            Some("Qwen2") => Ok(Architecture::Decoder(Family::Qwen2)),
            Some("Qwen3") => Ok(Architecture::Decoder(Family::Qwen3)),
            Some("Gemma2") => Ok(Architecture::Decoder(Family::Gemma2)),
            Some("ModernBert") => Ok(Architecture::ModernBert),
            Some("DebertaV2") => Ok(Architecture::DebertaV2),
            _ => Err(format!("{name:?}")),
        },
        names => Err(format!("{} names", names.len())),
    };
    let architecture = known.map_err(|got| {
        let advice = "serve others with vLLM, SGLang or text-embeddings-inference";
        unsupported(format!(
            "expected {ARCHITECTURES} in `architectures` of config.json, got {got}; {advice}"
        ))
    })?;
    if quantization_config.is_some() {
        return Err(unsupported(
            "expected weights of 32 or 16 bits, got a quantized model (quantization_config); take the original",
        ));
    }
    Ok((architecture, architectures.into_iter().next().unwrap_or_default()))
}

/// A size within bounds.
pub(super) fn bounded(name: &str, value: usize) -> Result<usize, EngineError> {
    match value {
        1..=MOST => Ok(value),
        value => {
            Err(invalid(format!("expected {name} of 1 to {MOST} in config.json, got {value}")))
        }
    }
}

/// The sizes that all models have.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Sizes {
    #[serde(rename = "vocab_size")]
    pub(super) vocabulary: usize,
    #[serde(rename = "hidden_size")]
    pub(super) hidden: usize,
    #[serde(rename = "intermediate_size")]
    pub(super) intermediate: usize,
    #[serde(rename = "num_hidden_layers")]
    pub(super) layers: usize,
    #[serde(rename = "num_attention_heads")]
    pub(super) heads: usize,
    #[serde(rename = "max_position_embeddings")]
    pub(super) max_length: usize,
}

impl Sizes {
    pub(super) fn read(json: &str) -> Result<Self, EngineError> {
        let sizes: Self = fields(json)?;
        for (name, size) in [
            ("vocab_size", sizes.vocabulary),
            ("hidden_size", sizes.hidden),
            ("intermediate_size", sizes.intermediate),
            ("num_hidden_layers", sizes.layers),
            ("num_attention_heads", sizes.heads),
        ] {
            bounded(name, size)?;
        }
        Ok(sizes)
    }

    /// The shape of an encoder whose scores of attention have a factor of 1 by the root of `terms` times the
    /// dimensions of a head.
    pub(super) fn encoder(self, terms: u8, activation: Activation) -> Result<Shape, EngineError> {
        let Self { hidden, intermediate, heads, .. } = self;
        if hidden % heads != 0 {
            return Err(invalid(format!(
                "expected a hidden_size that num_attention_heads divides in config.json, got {hidden} and {heads}"
            )));
        }
        let dim = hidden / heads;
        let scale = 1.0 / (dim as f32 * f32::from(terms)).sqrt();
        let heads = Heads { count: heads, key_values: heads, dim, scale, softcap: None };
        Ok(Shape { hidden, intermediate, heads, activation })
    }
}

/// The theta of a rotary embedding and its scaling.
///
/// They have two spellings: a theta by itself and `rope_scaling`, and since version 5 of transformers
/// `rope_parameters`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rope<'a> {
    /// The setting with the theta by itself.
    pub(super) name: &'static str,
    pub(super) theta: Option<f64>,
    pub(super) settings: Option<&'a Map<String, Json>>,
}

/// The frequencies of the rotary embedding, one for two dimensions of a head.
///
/// A theta that is in neither place is an error: the usual 10000 would give wrong scores silently.
pub(super) fn frequencies(rope: Rope<'_>, head_dim: usize) -> Result<Vec<f32>, EngineError> {
    let Rope { name, theta, settings } = rope;
    let number = |name: &str| settings.and_then(|settings| settings.get(name)?.as_f64());
    let theta = number("rope_theta").or(theta).filter(|theta| *theta > 0.0);
    let theta = theta.ok_or_else(|| {
        invalid(format!(
            "expected {name}, by itself or as rope_theta in rope_parameters, in config.json, got neither"
        ))
    })?;
    let kind = settings.and_then(|settings| settings.get("rope_type").or(settings.get("type")));
    let kind = kind.and_then(Json::as_str).unwrap_or("default");
    let wanted = |name: &'static str| {
        number(name).filter(|value| *value > 0.0).ok_or_else(|| {
            invalid(format!(
                "expected {name} of the rotary embedding of type {kind} in config.json"
            ))
        })
    };
    let plain = (0..head_dim / 2).map(|at| theta.powf(-(2.0 * at as f64) / head_dim as f64));
    if number("partial_rotary_factor").is_some_and(|factor| factor != 1.0) {
        return Err(unsupported("expected a rotary embedding of whole heads, got a part of them"));
    }
    let scaled: Vec<f64> = match kind {
        "default" => plain.collect(),
        "linear" => {
            let factor = wanted("factor")?;
            plain.map(|frequency| frequency / factor).collect()
        }
        "llama3" => {
            let (factor, low) = (wanted("factor")?, wanted("low_freq_factor")?);
            let (high, context) =
                (wanted("high_freq_factor")?, wanted("original_max_position_embeddings")?);
            // Long waves are stretched, short ones kept, and those between are mixed of both.
            let scale = |frequency: f64| {
                let waves = context * frequency / (2.0 * std::f64::consts::PI);
                let kept = ((waves - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - kept) * frequency / factor + kept * frequency
            };
            plain.map(scale).collect()
        }
        other => {
            return Err(unsupported(format!(
                "expected a rotary embedding of type default, linear or llama3 in config.json, got {other:?}"
            )));
        }
    };
    Ok(scaled.into_iter().map(|frequency| frequency as f32).collect())
}
