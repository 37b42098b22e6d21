//! DeBERTa of versions 2 and 3: an encoder that attends to contents and relative positions apart.

mod attention;
mod config;

use std::sync::Arc;

use textgrad_core::EngineError;

use self::attention::{Disentangled, Distances};
pub(super) use self::config::Config;
use self::config::Relative;
use super::attention::{Packed, Reach, attend};
use super::layer::Shape;
use super::math::each_row;
use super::parts::{Activation, Linear, Norm, add, gather, rows};
use super::weights::Weights;
use super::worker::Tokens;

/// One layer: its norms come behind its parts.
#[derive(Debug)]
struct Layer {
    query: Linear,
    /// Keys, and values behind them.
    key_value: Linear,
    /// None where positions count for nothing.
    attention: Option<Disentangled>,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

/// A convolution over positions beside the first layer.
#[derive(Debug)]
struct Convolution {
    /// A row of weights has those of all positions of the kernel behind each other.
    linear: Linear,
    kernel: usize,
    hidden: usize,
    activation: Activation,
    norm: Norm,
}

/// A DeBERTa with a head of one score.
#[derive(Debug)]
pub(super) struct Deberta {
    config: Config,
    /// Embeddings of tokens, and of positions and types where there are such.
    words: Vec<f32>,
    positions: Option<Vec<f32>>,
    types: Option<Vec<f32>>,
    projection: Option<Linear>,
    embedding_norm: Norm,
    layers: Vec<Layer>,
    convolution: Option<Convolution>,
    pooler: Linear,
    classifier: Linear,
}

impl Deberta {
    pub(super) fn read(config: Config, weights: &mut Weights) -> Result<Self, EngineError> {
        let Config { embedding, types, sizes, .. } = config;
        let hidden = sizes.hidden;
        let mut table = |name: &str, rows: usize| {
            weights
                .tensor(&format!("deberta.embeddings.{name}_embeddings.weight"), &[rows, embedding])
        };
        let words = table("word", sizes.vocabulary)?;
        let positions =
            config.has_positions.then(|| table("position", sizes.max_length)).transpose()?;
        let types = (types > 0).then(|| table("token_type", types)).transpose()?;
        let projection = match embedding == hidden {
            true => None,
            false => Some(config.linear(
                weights,
                "deberta.embeddings.embed_proj",
                hidden,
                embedding,
                false,
            )?),
        };
        let embedding_norm = config.norm(weights, "deberta.embeddings.LayerNorm")?;
        let relative = match &config.relative {
            Some(relative) => Some(Positions::read(&config, relative, weights)?),
            None => None,
        };
        let layers = (0..sizes.layers)
            .map(|at| Layer::read(&config, relative.as_ref(), weights, at))
            .collect::<Result<_, _>>()?;
        let convolution = match config.convolution {
            Some((kernel, activation)) => {
                Some(Convolution::read(&config, weights, kernel, activation)?)
            }
            None => None,
        };
        let pooler = config.linear(weights, "pooler.dense", hidden, hidden, true)?;
        let classifier = config.linear(weights, "classifier", 1, hidden, true)?;
        Ok(Self {
            config,
            words,
            positions,
            types,
            projection,
            embedding_norm,
            layers,
            convolution,
            pooler,
            classifier,
        })
    }

    /// The score of each text. None if it was canceled, which is asked before each layer. The tokens are in the
    /// vocabulary, their types in the table, and no text is empty.
    pub(super) fn scores(
        &self,
        texts: &[&Tokens],
        is_canceled: &(dyn Fn() -> bool + Sync),
    ) -> Option<Vec<f32>> {
        let shape = &self.config.shape;
        let packed = Packed::new(texts.iter().map(|text| text.ids.len()));
        let mut x = self.embedded(texts, &packed);
        let mut convolution = self.convolution.as_ref();
        let firsts = vec![0; texts.len()];
        for (at, layer) in self.layers.iter().enumerate() {
            if is_canceled() {
                return None;
            }
            let is_last = at + 1 == self.layers.len();
            let wanted = is_last.then_some(firsts.as_slice());
            let beside = convolution.take().map(|beside| (beside, beside.apply(&x, &packed)));
            x = layer.apply(shape, x, &packed, wanted);
            if let Some((Convolution { norm, .. }, y)) = beside {
                add(&mut x, &packed.pick(y, shape.hidden, wanted), shape.hidden);
                x = norm.apply(x);
            }
        }
        let x = self.config.pooler_activation.apply(self.pooler.apply(&x), shape.hidden);
        Some(self.classifier.apply(&x))
    }

    fn embedded(&self, texts: &[&Tokens], packed: &Packed) -> Vec<f32> {
        let width = self.config.embedding;
        let indices = |of: fn(&Tokens) -> &[u32]| {
            texts.iter().flat_map(move |text| of(text)).map(|index| *index as usize)
        };
        let mut x = gather(&self.words, width, indices(|text| &text.ids));
        if let Some(table) = &self.positions {
            add(&mut x, &gather(table, width, packed.positions.iter().copied()), width);
        }
        if let Some(table) = &self.types {
            add(&mut x, &gather(table, width, indices(|text| &text.types)), width);
        }
        let x = match &self.projection {
            Some(projection) => projection.apply(&x),
            None => x,
        };
        self.embedding_norm.apply(x)
    }
}

impl Config {
    fn linear(
        &self,
        weights: &mut Weights,
        name: &str,
        outputs: usize,
        inputs: usize,
        has_bias: bool,
    ) -> Result<Linear, EngineError> {
        Linear::read(weights, &[name.to_owned()], outputs, inputs, has_bias)
    }

    fn norm(&self, weights: &mut Weights, name: &str) -> Result<Norm, EngineError> {
        Norm::layer(weights, name, self.shape.hidden, true, self.epsilon)
    }
}

/// The embeddings of relative positions, which all layers share.
struct Positions<'a> {
    settings: &'a Relative,
    table: Vec<f32>,
    distances: Arc<Distances>,
}

impl<'a> Positions<'a> {
    fn read(
        config: &Config,
        settings: &'a Relative,
        weights: &mut Weights,
    ) -> Result<Self, EngineError> {
        let shape = [2 * settings.span, config.shape.hidden];
        let mut table = weights.tensor("deberta.encoder.rel_embeddings.weight", &shape)?;
        if settings.has_norm {
            table = config.norm(weights, "deberta.encoder.LayerNorm")?.apply(table);
        }
        let distances = Distances::new(config.sizes.max_length, settings.span, settings.buckets);
        Ok(Self { settings, table, distances: Arc::new(distances) })
    }
}

impl Layer {
    fn read(
        config: &Config,
        positions: Option<&Positions<'_>>,
        weights: &mut Weights,
        at: usize,
    ) -> Result<Self, EngineError> {
        let Shape { hidden, intermediate, ref heads, .. } = config.shape;
        let name = |part: &str| format!("deberta.encoder.layer.{at}.{part}");
        let mut linear = |parts: &[&str], outputs: usize, inputs: usize| {
            let names: Vec<String> = parts.iter().map(|part| name(part)).collect();
            Linear::read(weights, &names, outputs, inputs, true)
        };
        let (query, key) = ("attention.self.query_proj", "attention.self.key_proj");
        let query_weights = linear(&[query], hidden, hidden)?;
        let key_value = linear(&[key, "attention.self.value_proj"], hidden, hidden)?;
        let attention = match positions {
            Some(Positions { settings, table, distances }) => {
                let (as_key, as_query) = match settings.is_shared {
                    true => (key, query),
                    false => ("attention.self.pos_key_proj", "attention.self.pos_query_proj"),
                };
                let mut projected = |is_used: bool, name: &str| {
                    let projection = is_used.then(|| linear(&[name], hidden, hidden));
                    Ok::<_, EngineError>(projection.transpose()?.map(|linear| linear.apply(table)))
                };
                let keys = projected(settings.are_keys, as_key)?;
                let mut queries = projected(settings.are_queries, as_query)?;
                queries.iter_mut().flatten().for_each(|x| *x *= heads.scale);
                Some(Disentangled { keys, queries, distances: Arc::clone(distances) })
            }
            None => None,
        };
        let output = linear(&["attention.output.dense"], hidden, hidden)?;
        let up = linear(&["intermediate.dense"], intermediate, hidden)?;
        let down = linear(&["output.dense"], hidden, intermediate)?;
        Ok(Self {
            query: query_weights,
            key_value,
            attention,
            output,
            attention_norm: config.norm(weights, &name("attention.output.LayerNorm"))?,
            up,
            down,
            norm: config.norm(weights, &name("output.LayerNorm"))?,
        })
    }

    /// The layer's output for all positions, or for one of each text.
    fn apply(&self, shape: &Shape, x: Vec<f32>, packed: &Packed, at: Option<&[usize]>) -> Vec<f32> {
        let Shape { hidden, intermediate, ref heads, activation } = *shape;
        let key_value = self.key_value.apply(&x);
        let mut x = packed.pick(x, hidden, at);
        let query = self.query.apply(&x);
        let attended = match &self.attention {
            Some(attention) => attention.attend(heads, &query, &key_value, packed, at),
            None => attend(heads, Reach::ALL, &query, &key_value, packed, at),
        };
        add(&mut x, &self.output.apply(&attended), hidden);
        let mut x = self.attention_norm.apply(x);
        let up = activation.apply(self.up.apply(&x), intermediate);
        add(&mut x, &self.down.apply(&up), hidden);
        self.norm.apply(x)
    }
}

impl Convolution {
    fn read(
        config: &Config,
        weights: &mut Weights,
        kernel: usize,
        activation: Activation,
    ) -> Result<Self, EngineError> {
        let hidden = config.shape.hidden;
        let name = "deberta.encoder.conv";
        let weight = weights.tensor(&format!("{name}.conv.weight"), &[hidden, hidden, kernel])?;
        let bias = weights.tensor(&format!("{name}.conv.bias"), &[hidden])?;
        // In the file, the positions of the kernel stand behind each other for each input.
        let outputs = weight.chunks_exact(hidden * kernel);
        let by_position = outputs.flat_map(|of_output| {
            let position = move |at| of_output.iter().skip(at).step_by(kernel).copied();
            (0..kernel).flat_map(position)
        });
        let linear = Linear::new(by_position.collect(), Some(bias), hidden * kernel);
        let norm = config.norm(weights, &format!("{name}.LayerNorm"))?;
        Ok(Self { linear, kernel, hidden, activation, norm })
    }

    /// Of each position, with zeros beyond the ends of its text.
    fn apply(&self, x: &[f32], packed: &Packed) -> Vec<f32> {
        let width = self.hidden * self.kernel;
        let mut windows = vec![0.0; packed.positions.len() * width];
        let mut begun = windows.as_mut_slice();
        for span in &packed.spans {
            let (of_text, behind) = begun.split_at_mut(span.len() * width);
            begun = behind;
            each_row(of_text, width, |position, window| {
                for (offset, to) in window.chunks_exact_mut(self.hidden).enumerate() {
                    let from = (position + offset).checked_sub(self.kernel / 2);
                    if let Some(from) = from.filter(|from| *from < span.len()) {
                        to.copy_from_slice(rows(x, self.hidden, span.start + from, 1));
                    }
                }
            });
        }
        self.activation.apply(self.linear.apply(&windows), self.hidden)
    }
}
