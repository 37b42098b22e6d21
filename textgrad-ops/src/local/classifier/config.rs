//! The `config.json` of a sequence classifier.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use textgrad_core::EngineError;

use crate::local::{invalid, unsupported};

/// The architectures that are read, for messages.
pub(super) const ARCHITECTURES: &str = "LlamaForSequenceClassification, Qwen2ForSequenceClassification, \
                                        Qwen3ForSequenceClassification or Gemma2ForSequenceClassification";

/// A family of decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Llama,
    Qwen2,
    Qwen3,
    Gemma2,
}

/// The activation between the two halves of a feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Silu,
    /// GELU by its approximation with tanh.
    GeluTanh,
}

/// The settings of a decoder, checked.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) architecture: String,
    pub(super) family: Family,
    pub(super) vocabulary: usize,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) epsilon: f32,
    pub(super) activation: Activation,
    /// Whether the projections of queries, keys and values, of the output, and of the feed-forward layer have biases.
    pub(super) qkv_bias: bool,
    pub(super) output_bias: bool,
    pub(super) mlp_bias: bool,
    /// The factor of the products of queries and keys.
    pub(super) scale: f32,
    /// The bound that the products are squeezed into by tanh.
    pub(super) softcap: Option<f32>,
    /// The factor of the embeddings.
    pub(super) embedding_scale: f32,
    /// Of each layer, how many of the last positions a position attends to; all where there is none.
    pub(super) windows: Vec<Option<usize>>,
    /// The frequencies of the rotary embedding, one for two dimensions of a head.
    pub(super) frequencies: Vec<f32>,
    pub(super) max_length: usize,
    /// The token that fills short texts: the score is that of the last position with another one.
    pub(super) padding: Option<u32>,
}

/// The kind of a model, which is read first: other kinds have other fields.
#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(default)]
    architectures: Vec<String>,
}

/// The other fields as they stand in the file.
#[derive(Debug, Deserialize)]
struct Fields {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f32,
    max_position_embeddings: usize,
    pad_token_id: Option<u32>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    query_pre_attn_scalar: Option<f32>,
    attn_logit_softcapping: Option<f32>,
    #[serde(default)]
    use_sliding_window: bool,
    sliding_window: Option<usize>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Map<String, Json>>,
    rope_parameters: Option<Map<String, Json>>,
    quantization_config: Option<Json>,
}

/// The most layers, heads or dimensions that a setting may name: a file with more is damaged.
const MOST: usize = 1 << 20;

impl Config {
    /// Reads the text of a `config.json`.
    pub(super) fn read(json: &str) -> Result<Self, EngineError> {
        let wrong = |error: serde_json::Error| {
            invalid("expected a config.json of a sequence classifier").with_source(error)
        };
        let Kind { architectures } = serde_json::from_str(json).map_err(wrong)?;
        let family = family(&architectures)?;
        let architecture = architectures.into_iter().next().unwrap_or_default();
        Self::of(serde_json::from_str(json).map_err(wrong)?, family, architecture)
    }

    fn of(fields: Fields, family: Family, architecture: String) -> Result<Self, EngineError> {
        let bounded = |name: &str, value: usize| match value {
            1..=MOST => Ok(value),
            value => {
                Err(invalid(format!("expected {name} of 1 to {MOST} in config.json, got {value}")))
            }
        };
        let heads = bounded("num_attention_heads", fields.num_attention_heads)?;
        let hidden = bounded("hidden_size", fields.hidden_size)?;
        let layers = bounded("num_hidden_layers", fields.num_hidden_layers)?;
        let kv_heads = bounded("num_key_value_heads", fields.num_key_value_heads.unwrap_or(heads))?;
        let default_dim = if family == Family::Gemma2 { 256 } else { hidden / heads };
        let head_dim = bounded("head_dim", fields.head_dim.unwrap_or(default_dim))?;
        if heads % kv_heads != 0 || head_dim % 2 != 0 {
            return Err(invalid(format!(
                "expected heads that key-value heads divide and an even head_dim in config.json, got {heads} \
                 heads, {kv_heads} key-value heads and a head_dim of {head_dim}"
            )));
        }
        if fields.quantization_config.is_some() {
            return Err(unsupported(
                "expected weights of 32 or 16 bits, got a quantized model (quantization_config); take the \
                 original",
            ));
        }
        let is_gemma = family == Family::Gemma2;
        let activation = match (&fields.hidden_activation, &fields.hidden_act) {
            (Some(name), _) if is_gemma => name.as_str(),
            (None, _) if is_gemma => "gelu_pytorch_tanh",
            (_, Some(name)) => name,
            _ => "silu",
        };
        let activation = match activation {
            "silu" => Activation::Silu,
            "gelu_pytorch_tanh" => Activation::GeluTanh,
            other => {
                return Err(unsupported(format!(
                    "expected silu or gelu_pytorch_tanh as hidden_act in config.json, got {other:?}"
                )));
            }
        };
        let scale = match fields.query_pre_attn_scalar {
            Some(scalar) if is_gemma => scalar,
            _ => head_dim as f32,
        };
        Ok(Self {
            architecture,
            family,
            vocabulary: bounded("vocab_size", fields.vocab_size)?,
            hidden,
            intermediate: bounded("intermediate_size", fields.intermediate_size)?,
            heads,
            kv_heads,
            head_dim,
            epsilon: fields.rms_norm_eps,
            activation,
            qkv_bias: fields.attention_bias || family == Family::Qwen2,
            output_bias: fields.attention_bias && family != Family::Qwen2,
            mlp_bias: fields.mlp_bias && family == Family::Llama,
            scale: 1.0 / scale.sqrt(),
            softcap: fields.attn_logit_softcapping.filter(|_| is_gemma),
            embedding_scale: if is_gemma { (hidden as f32).sqrt() } else { 1.0 },
            windows: windows(&fields, family, layers),
            frequencies: frequencies(&fields, head_dim)?,
            max_length: fields.max_position_embeddings,
            padding: fields.pad_token_id,
        })
    }
}

fn family(names: &[String]) -> Result<Family, EngineError> {
    let got = match names {
        [name] => match name.strip_suffix("ForSequenceClassification") {
            Some("Llama") => return Ok(Family::Llama),
            Some("Qwen2") => return Ok(Family::Qwen2),
            Some("Qwen3") => return Ok(Family::Qwen3),
            Some("Gemma2") => return Ok(Family::Gemma2),
            _ => format!("{name:?}"),
        },
        names => format!("{} names", names.len()),
    };
    let advice = "serve others with vLLM, SGLang or text-embeddings-inference";
    Err(unsupported(format!(
        "expected {ARCHITECTURES} in `architectures` of config.json, got {got}; {advice}"
    )))
}

/// How far each layer sees.
fn windows(fields: &Fields, family: Family, layers: usize) -> Vec<Option<usize>> {
    let is_sliding = |layer: usize| match (&fields.layer_types, family) {
        (Some(types), _) => types.get(layer).is_some_and(|kind| kind == "sliding_attention"),
        (None, Family::Gemma2) => layer.is_multiple_of(2),
        (None, Family::Qwen2 | Family::Qwen3) => {
            fields.use_sliding_window && layer >= fields.max_window_layers.unwrap_or(0)
        }
        (None, Family::Llama) => false,
    };
    (0..layers)
        .map(|layer| fields.sliding_window.filter(|window| *window > 0 && is_sliding(layer)))
        .collect()
}

/// The frequencies of the rotary embedding.
///
/// Its settings have two spellings: `rope_theta` and `rope_scaling`, and since version 5 of transformers
/// `rope_parameters`. A theta that is in neither is an error: the usual 10000 would give wrong scores silently.
fn frequencies(fields: &Fields, head_dim: usize) -> Result<Vec<f32>, EngineError> {
    let settings = fields.rope_parameters.as_ref().or(fields.rope_scaling.as_ref());
    let number = |name: &str| settings.and_then(|settings| settings.get(name)?.as_f64());
    let theta = number("rope_theta").or(fields.rope_theta).filter(|theta| *theta > 0.0);
    let theta = theta.ok_or_else(|| {
        invalid("expected rope_theta, by itself or in rope_parameters, in config.json, got neither")
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
