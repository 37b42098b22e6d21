//! A decoder of the Llama family on packed texts.
//!
//! Texts of any lengths stand behind each other, without padding. Only attention sees where one ends. In the last
//! layer, only the position that is scored is computed.

use std::ops::Range;

use faer::Par;
use pulp::Arch;
use rayon::prelude::*;
use textgrad_core::EngineError;

use super::config::{Activation, Config, Family};
use super::math::{self, View, each_row, linear, normalized};
use super::weights::Weights;

/// The positions of a text that attend at once: few enough that little is computed in vain, and enough for a product
/// of matrices.
const BLOCK: usize = 64;

/// A matrix of weights, and its bias.
#[derive(Debug)]
struct Linear {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    inputs: usize,
}

impl Linear {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        linear(x, &self.weight, self.bias.as_deref(), self.inputs)
    }
}

/// One layer.
#[derive(Debug)]
struct Layer {
    attention_norm: Vec<f32>,
    query: Linear,
    /// Keys, and values behind them.
    key_value: Linear,
    /// Weights of the norms of queries and keys.
    head_norms: Option<[Vec<f32>; 2]>,
    output: Linear,
    /// Norm of what attention gives.
    attention_out_norm: Option<Vec<f32>>,
    mlp_norm: Vec<f32>,
    /// The gate, and what it is multiplied with behind it.
    gate_up: Linear,
    down: Linear,
    mlp_out_norm: Option<Vec<f32>>,
    window: Option<usize>,
}

/// A decoder with a head of one score.
#[derive(Debug)]
pub(super) struct Decoder {
    config: Config,
    embeddings: Vec<f32>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    score: Vec<f32>,
}

impl Decoder {
    pub(super) fn read(config: Config, weights: &mut Weights) -> Result<Self, EngineError> {
        let hidden = config.hidden;
        let embeddings =
            weights.tensor("model.embed_tokens.weight", &[config.vocabulary, hidden])?;
        let layers = (0..config.windows.len()).map(|at| Layer::read(&config, weights, at));
        let layers = layers.collect::<Result<_, _>>()?;
        let norm = norm(&config, weights, "model.norm.weight", hidden)?;
        let score = weights.tensor("score.weight", &[1, hidden])?;
        Ok(Self { config, embeddings, layers, norm, score })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The score of each text at its last token. None if it was canceled, which is asked before each layer. The tokens
    /// are in the vocabulary, and no text is empty.
    pub(super) fn scores(
        &self,
        texts: &[&[u32]],
        is_canceled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<f32>> {
        let config = &self.config;
        let mut spans = Vec::with_capacity(texts.len());
        let mut positions = Vec::new();
        for text in texts {
            spans.push(positions.len()..positions.len() + text.len());
            positions.extend(0..text.len());
        }
        let mut x = vec![0.0; positions.len() * config.hidden];
        let tokens = texts.iter().flat_map(|text| text.iter());
        for (row, token) in x.chunks_exact_mut(config.hidden).zip(tokens) {
            let from = *token as usize * config.hidden;
            let embedding = self.embeddings.get(from..from + config.hidden).unwrap_or_default();
            for (x, embedded) in row.iter_mut().zip(embedding) {
                *x = embedded * config.embedding_scale;
            }
        }
        for (at, layer) in self.layers.iter().enumerate() {
            if is_canceled() {
                return None;
            }
            let is_last = at + 1 == self.layers.len();
            x = layer.apply(config, x, &spans, &positions, is_last);
        }
        let x = normalized(&x, &self.norm, config.epsilon);
        Some(linear(&x, &self.score, None, config.hidden))
    }
}

fn norm(
    config: &Config,
    weights: &mut Weights,
    name: &str,
    width: usize,
) -> Result<Vec<f32>, EngineError> {
    let mut weight = weights.tensor(name, &[width])?;
    if config.family == Family::Gemma2 {
        weight.iter_mut().for_each(|weight| *weight += 1.0);
    }
    Ok(weight)
}

impl Layer {
    fn read(config: &Config, weights: &mut Weights, at: usize) -> Result<Self, EngineError> {
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        let query = config.heads * config.head_dim;
        let key = config.kv_heads * config.head_dim;
        let mut stacked = |names: &[&str], outputs: usize, inputs: usize, bias: bool| {
            let (mut weight, mut biases) = (Vec::new(), Vec::new());
            for name in names {
                let name = format!("model.layers.{at}.{name}");
                weight.extend(weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?);
                if bias {
                    biases.extend(weights.tensor(&format!("{name}.bias"), &[outputs])?);
                }
            }
            Ok::<_, EngineError>(Linear { weight, bias: bias.then_some(biases), inputs })
        };
        let (q, k) = ("self_attn.q_proj", "self_attn.k_proj");
        let query = stacked(&[q], query, hidden, config.qkv_bias)?;
        let key_value = stacked(&[k, "self_attn.v_proj"], key, hidden, config.qkv_bias)?;
        let output = stacked(
            &["self_attn.o_proj"],
            hidden,
            query.weight.len() / hidden,
            config.output_bias,
        )?;
        let gate_up =
            stacked(&["mlp.gate_proj", "mlp.up_proj"], intermediate, hidden, config.mlp_bias)?;
        let down = stacked(&["mlp.down_proj"], hidden, intermediate, config.mlp_bias)?;
        let mut norm = |name: &str, width: usize| {
            norm(config, weights, &format!("model.layers.{at}.{name}.weight"), width)
        };
        let is_gemma = config.family == Family::Gemma2;
        let after_attention = norm("post_attention_layernorm", hidden)?;
        let (attention_out_norm, mlp_norm, mlp_out_norm) = match is_gemma {
            true => {
                let before = norm("pre_feedforward_layernorm", hidden)?;
                let after = norm("post_feedforward_layernorm", hidden)?;
                (Some(after_attention), before, Some(after))
            }
            false => (None, after_attention, None),
        };
        let head_norms = match config.family {
            Family::Qwen3 => {
                let dim = config.head_dim;
                Some([norm("self_attn.q_norm", dim)?, norm("self_attn.k_norm", dim)?])
            }
            _ => None,
        };
        Ok(Self {
            attention_norm: norm("input_layernorm", hidden)?,
            query,
            key_value,
            head_norms,
            output,
            attention_out_norm,
            mlp_norm,
            gate_up,
            down,
            mlp_out_norm,
            window: config.windows.get(at).copied().flatten(),
        })
    }

    /// The layer's output for all positions, or for the last one of each text.
    fn apply(
        &self,
        config: &Config,
        x: Vec<f32>,
        spans: &[Range<usize>],
        positions: &[usize],
        last_only: bool,
    ) -> Vec<f32> {
        let hidden = config.hidden;
        let normed = normalized(&x, &self.attention_norm, config.epsilon);
        let mut key_value = self.key_value.apply(&normed);
        let [query_norm, key_norm] = match &self.head_norms {
            Some([query, key]) => [Some(query.as_slice()), Some(key.as_slice())],
            None => [None, None],
        };
        let key_width = config.kv_heads * config.head_dim;
        rotate(config, &mut key_value, 2 * key_width, key_width, key_norm, positions);
        let lasts: Vec<usize> = spans.iter().map(|span| span.end - 1).collect();
        let last_rows = |x: &[f32]| -> Vec<f32> {
            let row = |at: &usize| x.get(at * hidden..(at + 1) * hidden).unwrap_or_default();
            lasts.iter().flat_map(row).copied().collect()
        };
        let (mut x, normed, query_positions) = match last_only {
            false => (x, normed, positions.to_vec()),
            true => {
                let positions = spans.iter().map(|span| span.len() - 1).collect();
                (last_rows(&x), last_rows(&normed), positions)
            }
        };
        let mut query = self.query.apply(&normed);
        let width = config.heads * config.head_dim;
        rotate(config, &mut query, width, width, query_norm, &query_positions);
        let attended = self.attend(config, &query, &key_value, spans, last_only);
        add_normed(
            &mut x,
            self.output.apply(&attended),
            self.attention_out_norm.as_deref(),
            config,
        );
        let normed = normalized(&x, &self.mlp_norm, config.epsilon);
        let gate_up = self.gate_up.apply(&normed);
        let mut gated = vec![0.0; gate_up.len() / 2];
        let (intermediate, activation) = (config.intermediate, config.activation);
        each_row(
            &mut gated,
            intermediate,
            #[inline(always)]
            |at, row| {
                let from = 2 * at * intermediate;
                let both = gate_up.get(from..from + 2 * intermediate).unwrap_or_default();
                let (gate, up) = both.split_at(both.len() / 2);
                let values = row.iter_mut().zip(gate).zip(up);
                match activation {
                    Activation::Silu => values.for_each(|((x, g), u)| *x = math::silu(*g) * u),
                    Activation::GeluTanh => {
                        values.for_each(|((x, g), u)| *x = math::gelu_tanh(*g) * u);
                    }
                }
            },
        );
        add_normed(&mut x, self.down.apply(&gated), self.mlp_out_norm.as_deref(), config);
        x
    }

    /// Attention of the queries of each text, which are those of its last positions, to its keys.
    fn attend(
        &self,
        config: &Config,
        query: &[f32],
        key_value: &[f32],
        spans: &[Range<usize>],
        last_only: bool,
    ) -> Vec<f32> {
        let width = config.heads * config.head_dim;
        let mut out = vec![0.0; query.len()];
        // Blocks of rows of the output, each with its text and the position of its first row.
        let mut blocks = Vec::new();
        let (mut rest, mut queries) = (out.as_mut_slice(), query);
        for span in spans {
            let first = if last_only { span.len() - 1 } else { 0 };
            for from in (first..span.len()).step_by(BLOCK) {
                let rows = BLOCK.min(span.len() - from);
                let (block, behind) = rest.split_at_mut(rows * width);
                let (query, more) = queries.split_at(rows * width);
                (rest, queries) = (behind, more);
                blocks.push((block, query, span.clone(), from));
            }
        }
        blocks.into_par_iter().for_each(|(block, query, span, from)| {
            self.attend_block(config, block, query, key_value, span, from);
        });
        out
    }

    fn attend_block(
        &self,
        config: &Config,
        out: &mut [f32],
        query: &[f32],
        key_value: &[f32],
        span: Range<usize>,
        from: usize,
    ) {
        let (dim, group) = (config.head_dim, config.heads / config.kv_heads);
        let (width, key_width) = (config.heads * dim, config.kv_heads * dim);
        let rows = out.len() / width;
        // Keys that any of the rows sees: those before it, and in a window only the last of them.
        let begin = self.window.map_or(0, |window| (from + 1).saturating_sub(window));
        let keys = from + rows - begin;
        let stride = 2 * key_width;
        let view = |offset: usize| {
            let start = (span.start + begin) * stride + offset;
            let end = (span.start + begin + keys - 1) * stride + offset + dim;
            let numbers = key_value.get(start..end).unwrap_or_default();
            View { numbers, rows: keys, columns: dim, stride }
        };
        // One row takes another path of the product than many: it is computed as two.
        let computed = rows.max(2);
        let mut weights = vec![0.0; computed * keys];
        let mut summed = vec![0.0; computed * dim];
        let mut queries = vec![0.0; computed * dim];
        for head in 0..config.heads {
            for (to, query) in queries.chunks_exact_mut(dim).zip(query.chunks_exact(width)) {
                let of_head = query.get(head * dim..(head + 1) * dim).unwrap_or_default();
                to.iter_mut().zip(of_head).for_each(|(to, x)| *to = x * config.scale);
            }
            let key_at = head / group * dim;
            let heads = View::new(&queries, dim);
            math::product_transposed(&mut weights, keys, heads, view(key_at), Par::Seq);
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (row, weights) in weights.chunks_exact_mut(keys).take(rows).enumerate() {
                        let seen = from + row + 1 - begin;
                        let hidden = self.window.map_or(0, |window| seen.saturating_sub(window));
                        let (weights, unseen) = weights.split_at_mut(seen.min(keys));
                        unseen.fill(0.0);
                        let (unseen, weights) = weights.split_at_mut(hidden.min(seen));
                        unseen.fill(0.0);
                        if let Some(cap) = config.softcap {
                            weights.iter_mut().for_each(|x| *x = cap * math::tanh(*x / cap));
                        }
                        math::softmax(weights);
                    }
                },
            );
            let weights = View::new(&weights, keys);
            math::product(&mut summed, dim, weights, view(key_width + key_at), Par::Seq);
            for (out, summed) in out.chunks_exact_mut(width).zip(summed.chunks_exact(dim)) {
                if let Some(out) = out.get_mut(head * dim..(head + 1) * dim) {
                    out.copy_from_slice(summed);
                }
            }
        }
    }
}

/// Adds what a part of a layer gives, after its norm if it has one.
fn add_normed(x: &mut [f32], y: Vec<f32>, weight: Option<&[f32]>, config: &Config) {
    let y = match weight {
        Some(weight) => normalized(&y, weight, config.epsilon),
        None => y,
    };
    let hidden = config.hidden;
    each_row(
        x,
        hidden,
        #[inline(always)]
        |at, row| math::add(row, y.get(at * hidden..(at + 1) * hidden).unwrap_or_default()),
    );
}

/// Norms the heads in the first `used` numbers of each row, and turns them by the row's position.
fn rotate(
    config: &Config,
    x: &mut [f32],
    width: usize,
    used: usize,
    weight: Option<&[f32]>,
    positions: &[usize],
) {
    let (dim, frequencies) = (config.head_dim, &config.frequencies);
    each_row(x, width, |at, row| {
        let position = positions.get(at).copied().unwrap_or_default() as f32;
        let turns: Vec<(f32, f32)> =
            frequencies.iter().map(|frequency| (position * frequency).sin_cos()).collect();
        for head in row.get_mut(..used).unwrap_or_default().chunks_exact_mut(dim) {
            if let Some(weight) = weight {
                math::normalize(head, weight, config.epsilon);
            }
            let (first, second) = head.split_at_mut(dim / 2);
            for ((a, b), (sin, cos)) in first.iter_mut().zip(second).zip(&turns) {
                (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
            }
        }
    });
}
