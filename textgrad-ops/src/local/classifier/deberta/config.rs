//! The settings of a DeBERTa.

use serde::Deserialize;
use serde_json::Value as Json;
use textgrad_core::EngineError;

use super::super::config::{Sizes, bounded, fields};
use super::super::layer::Shape;
use super::super::parts::Activation;
use crate::local::{invalid, unsupported};

/// The settings of a DeBERTa, checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(super) shape: Shape,
    pub(super) sizes: Sizes,
    /// The number of types that tokens have; none where they count for nothing.
    pub(crate) types: usize,
    pub(super) epsilon: f32,
    pub(super) embedding: usize,
    pub(super) has_positions: bool,
    pub(super) relative: Option<Relative>,
    pub(super) convolution: Option<(usize, Activation)>,
    pub(super) pooler_activation: Activation,
}

/// The settings of relative positions.
#[derive(Debug, Clone)]
pub(super) struct Relative {
    /// Half of the rows of their table.
    pub(super) span: usize,
    /// The number of buckets, and the distance that the last of them holds.
    pub(super) buckets: Option<(usize, usize)>,
    /// Whether positions are keys for contents, and whether they are queries.
    pub(super) are_keys: bool,
    pub(super) are_queries: bool,
    /// Whether they have the projections of contents.
    pub(super) is_shared: bool,
    pub(super) has_norm: bool,
}

/// The fields as they stand in the file.
#[derive(Debug, Deserialize)]
struct Fields {
    layer_norm_eps: f32,
    #[serde(default)]
    type_vocab_size: usize,
    hidden_act: Option<String>,
    pooler_hidden_act: Option<String>,
    embedding_size: Option<usize>,
    attention_head_size: Option<usize>,
    position_biased_input: Option<bool>,
    #[serde(default)]
    relative_attention: bool,
    max_relative_positions: Option<i64>,
    position_buckets: Option<i64>,
    pos_att_type: Option<Json>,
    #[serde(default)]
    share_att_key: bool,
    norm_rel_ebd: Option<String>,
    conv_kernel_size: Option<usize>,
    conv_groups: Option<usize>,
    conv_act: Option<String>,
}

impl Config {
    /// Reads the text of a `config.json`.
    pub(crate) fn read(json: &str, sizes: Sizes) -> Result<Self, EngineError> {
        let fields: Fields = fields(json)?;
        let max_length = bounded("max_position_embeddings", sizes.max_length)?;
        let (are_keys, are_queries) = kinds(fields.pos_att_type.as_ref())?;
        let terms = 1 + u8::from(are_keys) + u8::from(are_queries);
        let activation = |setting: &str, name: &Option<String>, default: &str| {
            Activation::named(setting, name.as_deref().unwrap_or(default))
        };
        let relative = match fields.relative_attention {
            true => Some(Relative { are_keys, are_queries, ..relative(&fields, max_length)? }),
            false => None,
        };
        let convolution = match fields.conv_kernel_size {
            None | Some(0) => None,
            Some(kernel) if kernel % 2 == 1 && fields.conv_groups.unwrap_or(1) == 1 => Some((
                bounded("conv_kernel_size", kernel)?,
                activation("conv_act", &fields.conv_act, "tanh")?,
            )),
            Some(kernel) => {
                return Err(unsupported(format!(
                    "expected an odd conv_kernel_size and conv_groups of 1 in config.json, got {kernel} and {}",
                    fields.conv_groups.unwrap_or(1)
                )));
            }
        };
        let shape = sizes.encoder(terms, activation("hidden_act", &fields.hidden_act, "gelu")?)?;
        let dim = shape.heads.dim;
        if let Some(other) = fields.attention_head_size.filter(|size| *size != dim) {
            return Err(unsupported(format!(
                "expected an attention_head_size of {dim} in config.json, got {other}"
            )));
        }
        Ok(Self {
            shape,
            sizes,
            types: fields.type_vocab_size,
            epsilon: fields.layer_norm_eps,
            embedding: bounded("embedding_size", fields.embedding_size.unwrap_or(sizes.hidden))?,
            has_positions: fields.position_biased_input.unwrap_or(true),
            relative,
            convolution,
            pooler_activation: activation("pooler_hidden_act", &fields.pooler_hidden_act, "gelu")?,
        })
    }
}

/// Whether relative positions are keys, and whether they are queries: a list, or a text with bars.
fn kinds(setting: Option<&Json>) -> Result<(bool, bool), EngineError> {
    let names: Vec<String> = match setting {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::String(names)) => {
            names.to_lowercase().split('|').map(|name| name.trim().to_owned()).collect()
        }
        Some(Json::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map_or_else(|| name.to_string(), str::to_owned))
            .collect(),
        Some(other) => vec![other.to_string()],
    };
    match names.iter().find(|name| !matches!(name.as_str(), "c2p" | "p2c" | "")) {
        Some(other) => Err(unsupported(format!(
            "expected c2p and p2c in pos_att_type of config.json, got {other:?}"
        ))),
        None => {
            let has = |kind: &str| names.iter().any(|name| name == kind);
            Ok((has("c2p"), has("p2c")))
        }
    }
}

fn relative(fields: &Fields, max_length: usize) -> Result<Relative, EngineError> {
    let positive = |value: Option<i64>| usize::try_from(value?).ok().filter(|value| *value > 0);
    let positions = positive(fields.max_relative_positions).unwrap_or(max_length);
    let positions = bounded("max_relative_positions", positions)?;
    let buckets = positive(fields.position_buckets);
    if let Some(buckets) = buckets.filter(|buckets| *buckets < 4 || positions <= buckets / 2 + 1) {
        return Err(invalid(format!(
            "expected at least 4 position_buckets, and fewer than twice the {positions} positions in config.json, \
             got {buckets}"
        )));
    }
    let norm = fields.norm_rel_ebd.as_deref().unwrap_or("none");
    let has_norm = match norm.trim().to_lowercase().as_str() {
        "none" | "" => false,
        "layer_norm" => true,
        _ => {
            return Err(unsupported(format!(
                "expected none or layer_norm as norm_rel_ebd in config.json, got {norm:?}"
            )));
        }
    };
    Ok(Relative {
        span: bounded("position_buckets", buckets.unwrap_or(positions))?,
        buckets: buckets.map(|buckets| (buckets, positions)),
        are_keys: false,
        are_queries: false,
        is_shared: fields.share_att_key,
        has_norm,
    })
}
