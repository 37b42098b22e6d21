//! ModernBERT: an encoder with rotary embeddings, most of whose layers see a window.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use textgrad_core::EngineError;

use super::attention::{Packed, Reach};
use super::config::{Rope, Sizes, bounded, fields, frequencies};
use super::layer::{Layer, Positional, Shape};
use super::parts::{Activation, Linear, Norm, gather};
use super::weights::Weights;
use crate::local::{invalid, unsupported};

/// What of a text the head scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    First,
    Mean,
}

/// The settings of a ModernBERT, checked.
#[derive(Debug, Clone)]
pub(super) struct Config {
    shape: Shape,
    vocabulary: usize,
    epsilon: f32,
    attention_bias: bool,
    mlp_bias: bool,
    norm_bias: bool,
    classifier_bias: bool,
    pooling: Pooling,
    classifier_activation: Activation,
    layers: Vec<Positional>,
}

/// The fields as they stand in the file.
#[derive(Debug, Deserialize)]
struct Fields {
    norm_eps: f32,
    local_attention: usize,
    hidden_activation: Option<String>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    norm_bias: bool,
    #[serde(default)]
    classifier_bias: bool,
    classifier_activation: Option<String>,
    classifier_pooling: Option<String>,
    layer_types: Option<Vec<String>>,
    global_attn_every_n_layers: Option<usize>,
    global_rope_theta: Option<f64>,
    local_rope_theta: Option<f64>,
    rope_scaling: Option<Map<String, Json>>,
    rope_parameters: Option<Map<String, Json>>,
}

impl Config {
    /// Reads the text of a `config.json`.
    pub(super) fn read(json: &str, sizes: Sizes) -> Result<Self, EngineError> {
        let fields: Fields = fields(json)?;
        let activation = |setting: &str, name: &Option<String>| {
            Activation::named(setting, name.as_deref().unwrap_or("gelu"))
        };
        let pooling = match fields.classifier_pooling.as_deref() {
            None | Some("cls") => Pooling::First,
            Some("mean") => Pooling::Mean,
            Some(other) => {
                return Err(unsupported(format!(
                    "expected cls or mean as classifier_pooling in config.json, got {other:?}"
                )));
            }
        };
        let shape =
            sizes.encoder(1, activation("hidden_activation", &fields.hidden_activation)?)?;
        let dim = shape.heads.dim;
        if dim % 2 != 0 {
            return Err(invalid(format!(
                "expected heads of an even number of dimensions in config.json, got {dim}"
            )));
        }
        Ok(Self {
            shape,
            vocabulary: sizes.vocabulary,
            epsilon: fields.norm_eps,
            attention_bias: fields.attention_bias,
            mlp_bias: fields.mlp_bias,
            norm_bias: fields.norm_bias,
            classifier_bias: fields.classifier_bias,
            pooling,
            classifier_activation: activation(
                "classifier_activation",
                &fields.classifier_activation,
            )?,
            layers: layers(&fields, sizes.layers, dim)?,
        })
    }
}

/// How far each layer sees, and the frequencies of its rotary embedding: every third layer sees all, the others half of
/// a window on each side.
fn layers(fields: &Fields, count: usize, dim: usize) -> Result<Vec<Positional>, EngineError> {
    let rope = |kind: &str, name: &'static str, theta: Option<f64>| {
        let of_kind = fields.rope_parameters.as_ref().and_then(|rope| rope.get(kind)?.as_object());
        let settings = of_kind.or(fields.rope_scaling.as_ref());
        Ok::<_, EngineError>(Arc::<[f32]>::from(frequencies(Rope { name, theta, settings }, dim)?))
    };
    let all = rope("full_attention", "global_rope_theta", fields.global_rope_theta)?;
    let local_theta = fields.local_rope_theta.or(fields.global_rope_theta);
    let local = rope("sliding_attention", "local_rope_theta", local_theta)?;
    let half = fields.local_attention / 2;
    let every =
        bounded("global_attn_every_n_layers", fields.global_attn_every_n_layers.unwrap_or(3))?;
    let layer = |at: usize| {
        let is_local = match &fields.layer_types {
            Some(types) => match types.get(at).map(String::as_str) {
                Some("full_attention") => false,
                Some("sliding_attention") => true,
                got => {
                    return Err(unsupported(format!(
                        "expected full_attention or sliding_attention as type of layer {at} in config.json, got \
                         {got:?}"
                    )));
                }
            },
            None => !at.is_multiple_of(every),
        };
        Ok(match is_local {
            true => Positional {
                reach: Reach { before: half, after: half },
                frequencies: Arc::clone(&local),
            },
            false => Positional { reach: Reach::ALL, frequencies: Arc::clone(&all) },
        })
    };
    (0..count).map(layer).collect()
}

/// A ModernBERT with a head of one score.
#[derive(Debug)]
pub(super) struct ModernBert {
    config: Config,
    embeddings: Vec<f32>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    norm: Norm,
    dense: Linear,
    dense_norm: Norm,
    classifier: Linear,
}

impl ModernBert {
    pub(super) fn read(config: Config, weights: &mut Weights) -> Result<Self, EngineError> {
        let hidden = config.shape.hidden;
        let table = "model.embeddings.tok_embeddings.weight";
        let embeddings = weights.tensor(table, &[config.vocabulary, hidden])?;
        let embedding_norm = config.norm(weights, "model.embeddings.norm")?;
        let layers = config.layers.iter().enumerate();
        let layers = layers.map(|(at, layer)| config.layer(weights, at, layer.clone()));
        let layers = layers.collect::<Result<_, _>>()?;
        let norm = config.norm(weights, "model.final_norm")?;
        let dense = ["head.dense".to_owned()];
        let dense = Linear::read(weights, &dense, hidden, hidden, config.classifier_bias)?;
        let dense_norm = config.norm(weights, "head.norm")?;
        let classifier = Linear::read(weights, &["classifier".to_owned()], 1, hidden, true)?;
        Ok(Self { config, embeddings, embedding_norm, layers, norm, dense, dense_norm, classifier })
    }

    /// The score of each text. None if it was canceled, which is asked before each layer. The tokens are in the
    /// vocabulary, and no text is empty.
    pub(super) fn scores(
        &self,
        texts: &[&[u32]],
        is_canceled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<f32>> {
        let shape = &self.config.shape;
        let packed = Packed::new(texts.iter().map(|text| text.len()));
        let tokens = texts.iter().flat_map(|text| text.iter()).map(|token| *token as usize);
        let mut x = self.embedding_norm.apply(gather(&self.embeddings, shape.hidden, tokens));
        let firsts = vec![0; texts.len()];
        for (at, layer) in self.layers.iter().enumerate() {
            if is_canceled() {
                return None;
            }
            let is_last = at + 1 == self.layers.len() && self.config.pooling == Pooling::First;
            x = layer.apply(shape, x, &packed, is_last.then_some(&firsts));
        }
        let mut x = self.norm.apply(x);
        if self.config.pooling == Pooling::Mean {
            x = packed.mean(&x, shape.hidden);
        }
        let x = self.config.classifier_activation.apply(self.dense.apply(&x), shape.hidden);
        Some(self.classifier.apply(&self.dense_norm.apply(x)))
    }
}

impl Config {
    fn norm(&self, weights: &mut Weights, name: &str) -> Result<Norm, EngineError> {
        Norm::layer(weights, name, self.shape.hidden, self.norm_bias, self.epsilon)
    }

    fn layer(
        &self,
        weights: &mut Weights,
        at: usize,
        positional: Positional,
    ) -> Result<Layer, EngineError> {
        let Shape { hidden, intermediate, .. } = self.shape;
        let name = |part: &str| format!("model.layers.{at}.{part}");
        // The first layer's input has a norm already.
        let attention_norm = match at {
            0 => None,
            _ => Some(self.norm(weights, &name("attn_norm"))?),
        };
        let mut linear = |part: &str, outputs: usize, inputs: usize, bias: bool| {
            Linear::read(weights, &[name(part)], outputs, inputs, bias)
        };
        let (query, key_value) =
            linear("attn.Wqkv", 3 * hidden, hidden, self.attention_bias)?.split(hidden);
        let output = linear("attn.Wo", hidden, hidden, self.attention_bias)?;
        let gate_up = linear("mlp.Wi", 2 * intermediate, hidden, self.mlp_bias)?;
        let down = linear("mlp.Wo", hidden, intermediate, self.mlp_bias)?;
        Ok(Layer {
            attention_norm,
            query,
            key_value,
            head_norms: None,
            output,
            attention_out_norm: None,
            mlp_norm: self.norm(weights, &name("mlp_norm"))?,
            gate_up,
            down,
            mlp_out_norm: None,
            positional,
        })
    }
}
