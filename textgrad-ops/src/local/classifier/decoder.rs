//! Decoders of the Llama family.
//!
//! In the last layer, only the position that is scored is computed.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use textgrad_core::EngineError;

use super::attention::{Heads, Packed, Reach};
use super::config::{Family, Rope, Sizes, bounded, fields, frequencies};
use super::layer::{Layer, Positional, Shape};
use super::parts::{Activation, Linear, Norm, gather};
use super::weights::Weights;
use crate::local::invalid;

/// The settings of a decoder, checked.
#[derive(Debug, Clone)]
pub(super) struct Config {
    family: Family,
    shape: Shape,
    sizes: Sizes,
    /// The token that fills short texts: the score is that of the last position with another one.
    pub(super) padding: Option<u32>,
    epsilon: f32,
    /// Whether the projections of queries, keys and values, of the output, and of the feed-forward layer have biases.
    qkv_bias: bool,
    output_bias: bool,
    mlp_bias: bool,
    /// The factor of the embeddings.
    embedding_scale: f32,
    layers: Vec<Positional>,
}

/// The fields as they stand in the file.
#[derive(Debug, Deserialize)]
struct Fields {
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f32,
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
}

impl Config {
    /// Reads the text of a `config.json`.
    pub(super) fn read(json: &str, sizes: Sizes, family: Family) -> Result<Self, EngineError> {
        let fields: Fields = fields(json)?;
        let Sizes { hidden, intermediate, layers, heads, .. } = sizes;
        let kv_heads = bounded("num_key_value_heads", fields.num_key_value_heads.unwrap_or(heads))?;
        let is_gemma = family == Family::Gemma2;
        let default_dim = if is_gemma { 256 } else { hidden / heads };
        let head_dim = bounded("head_dim", fields.head_dim.unwrap_or(default_dim))?;
        if heads % kv_heads != 0 || head_dim % 2 != 0 {
            return Err(invalid(format!(
                "expected heads that key-value heads divide and an even head_dim in config.json, got {heads} \
                 heads, {kv_heads} key-value heads and a head_dim of {head_dim}"
            )));
        }
        let activation = match (&fields.hidden_activation, &fields.hidden_act) {
            (Some(name), _) if is_gemma => name.as_str(),
            (None, _) if is_gemma => "gelu_pytorch_tanh",
            (_, Some(name)) => name,
            _ => "silu",
        };
        let scale = match fields.query_pre_attn_scalar {
            Some(scalar) if is_gemma => scalar,
            _ => head_dim as f32,
        };
        let rope = Rope {
            name: "rope_theta",
            theta: fields.rope_theta,
            settings: fields.rope_parameters.as_ref().or(fields.rope_scaling.as_ref()),
        };
        let frequencies = Arc::<[f32]>::from(frequencies(rope, head_dim)?);
        Ok(Self {
            family,
            shape: Shape {
                hidden,
                intermediate,
                heads: Heads {
                    count: heads,
                    key_values: kv_heads,
                    dim: head_dim,
                    scale: 1.0 / scale.sqrt(),
                    softcap: fields.attn_logit_softcapping.filter(|_| is_gemma),
                },
                activation: Activation::named("hidden_act", activation)?,
            },
            sizes,
            padding: fields.pad_token_id,
            epsilon: fields.rms_norm_eps,
            qkv_bias: fields.attention_bias || family == Family::Qwen2,
            output_bias: fields.attention_bias && family != Family::Qwen2,
            mlp_bias: fields.mlp_bias && family == Family::Llama,
            embedding_scale: if is_gemma { (hidden as f32).sqrt() } else { 1.0 },
            layers: (0..layers)
                .map(|at| Positional {
                    reach: reach(&fields, family, at),
                    frequencies: Arc::clone(&frequencies),
                })
                .collect(),
        })
    }
}

/// How far a layer sees: all positions before its own, or the last of them.
fn reach(fields: &Fields, family: Family, at: usize) -> Reach {
    let is_sliding = match (&fields.layer_types, family) {
        (Some(types), _) => types.get(at).is_some_and(|kind| kind == "sliding_attention"),
        (None, Family::Gemma2) => at.is_multiple_of(2),
        (None, Family::Qwen2 | Family::Qwen3) => {
            fields.use_sliding_window && at >= fields.max_window_layers.unwrap_or(0)
        }
        (None, Family::Llama) => false,
    };
    let window = fields.sliding_window.filter(|window| *window > 0 && is_sliding);
    Reach { before: window.map_or(usize::MAX, |window| window - 1), after: 0 }
}

/// A decoder with a head of one score.
#[derive(Debug)]
pub(super) struct Decoder {
    config: Config,
    embeddings: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    score: Linear,
}

impl Decoder {
    pub(super) fn read(config: Config, weights: &mut Weights) -> Result<Self, EngineError> {
        let hidden = config.shape.hidden;
        let embeddings =
            weights.tensor("model.embed_tokens.weight", &[config.sizes.vocabulary, hidden])?;
        let layers = config.layers.iter().enumerate();
        let layers = layers.map(|(at, layer)| config.layer(weights, at, layer.clone()));
        let layers = layers.collect::<Result<_, _>>()?;
        let norm = config.norm(weights, "model.norm", hidden)?;
        let score = Linear::read(weights, &["score".to_owned()], 1, hidden, false)?;
        Ok(Self { config, embeddings, layers, norm, score })
    }

    /// The score of each text at its last token. None if it was canceled, which is asked before each layer. The tokens
    /// are in the vocabulary, and no text is empty.
    pub(super) fn scores(
        &self,
        texts: &[&[u32]],
        is_canceled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<f32>> {
        let Config { shape, embedding_scale, .. } = &self.config;
        let packed = Packed::new(texts.iter().map(|text| text.len()));
        let tokens = texts.iter().flat_map(|text| text.iter()).map(|token| *token as usize);
        let mut x = gather(&self.embeddings, shape.hidden, tokens);
        x.iter_mut().for_each(|x| *x *= embedding_scale);
        let lasts: Vec<usize> = texts.iter().map(|text| text.len() - 1).collect();
        for (at, layer) in self.layers.iter().enumerate() {
            if is_canceled() {
                return None;
            }
            let is_last = at + 1 == self.layers.len();
            x = layer.apply(shape, x, &packed, is_last.then_some(&lasts));
        }
        Some(self.score.apply(&self.norm.apply(x)))
    }
}

impl Config {
    fn norm(&self, weights: &mut Weights, name: &str, width: usize) -> Result<Norm, EngineError> {
        let mut weight = weights.tensor(&format!("{name}.weight"), &[width])?;
        if self.family == Family::Gemma2 {
            weight.iter_mut().for_each(|weight| *weight += 1.0);
        }
        Ok(Norm::rms(weight, self.epsilon))
    }

    fn layer(
        &self,
        weights: &mut Weights,
        at: usize,
        positional: Positional,
    ) -> Result<Layer, EngineError> {
        let Shape { hidden, intermediate, ref heads, .. } = self.shape;
        let query = heads.width();
        let key = heads.key_values * heads.dim;
        let mut stacked = |names: &[&str], outputs: usize, inputs: usize, bias: bool| {
            let names: Vec<String> =
                names.iter().map(|name| format!("model.layers.{at}.{name}")).collect();
            Linear::read(weights, &names, outputs, inputs, bias)
        };
        let (q, k, v) = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj");
        let (gate, up) = ("mlp.gate_proj", "mlp.up_proj");
        let query_weights = stacked(&[q], query, hidden, self.qkv_bias)?;
        let key_value = stacked(&[k, v], key, hidden, self.qkv_bias)?;
        let output = stacked(&["self_attn.o_proj"], hidden, query, self.output_bias)?;
        let gate_up = stacked(&[gate, up], intermediate, hidden, self.mlp_bias)?;
        let down = stacked(&["mlp.down_proj"], hidden, intermediate, self.mlp_bias)?;
        let mut norm = |name: &str, width: usize| {
            self.norm(weights, &format!("model.layers.{at}.{name}"), width)
        };
        let after_attention = norm("post_attention_layernorm", hidden)?;
        let (attention_out_norm, mlp_norm, mlp_out_norm) = match self.family {
            Family::Gemma2 => {
                let before = norm("pre_feedforward_layernorm", hidden)?;
                let after = norm("post_feedforward_layernorm", hidden)?;
                (Some(after_attention), before, Some(after))
            }
            _ => (None, after_attention, None),
        };
        let head_norms = match self.family {
            Family::Qwen3 => {
                let dim = heads.dim;
                Some([norm("self_attn.q_norm", dim)?, norm("self_attn.k_norm", dim)?])
            }
            _ => None,
        };
        Ok(Layer {
            attention_norm: Some(norm("input_layernorm", hidden)?),
            query: query_weights,
            key_value,
            head_norms,
            output,
            attention_out_norm,
            mlp_norm,
            gate_up,
            down,
            mlp_out_norm,
            positional,
        })
    }
}
