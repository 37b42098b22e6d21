//! A layer with norms before its parts, a rotary embedding and a gated feed-forward network: that of the decoders
//! and of ModernBERT.

use std::borrow::Cow;
use std::sync::Arc;

use super::attention::{Heads, Packed, Reach, attend};
use super::math::each_row;
use super::parts::{Activation, Linear, Norm, add};

/// The dimensions of all layers of a model.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) heads: Heads,
    pub(super) activation: Activation,
}

/// What a layer makes of positions.
#[derive(Debug, Clone)]
pub(super) struct Positional {
    pub(super) reach: Reach,
    /// The frequencies of the rotary embedding, one for two dimensions of a head.
    pub(super) frequencies: Arc<[f32]>,
}

/// One layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: Option<Norm>,
    pub(super) query: Linear,
    /// Keys, and values behind them.
    pub(super) key_value: Linear,
    /// Norms of queries and keys.
    pub(super) head_norms: Option<[Norm; 2]>,
    pub(super) output: Linear,
    /// Norm of what attention gives.
    pub(super) attention_out_norm: Option<Norm>,
    pub(super) mlp_norm: Norm,
    /// The gate, and what it is multiplied with behind it.
    pub(super) gate_up: Linear,
    pub(super) down: Linear,
    pub(super) mlp_out_norm: Option<Norm>,
    pub(super) positional: Positional,
}

impl Layer {
    /// The layer's output for all positions, or for one of each text.
    pub(super) fn apply(
        &self,
        shape: &Shape,
        x: Vec<f32>,
        packed: &Packed,
        at: Option<&[usize]>,
    ) -> Vec<f32> {
        let heads = &shape.heads;
        let normed = match &self.attention_norm {
            Some(norm) => Cow::Owned(norm.apply(x.clone())),
            None => Cow::Borrowed(&x),
        };
        let mut key_value = self.key_value.apply(&normed);
        let [query_norm, key_norm] = match &self.head_norms {
            Some([query, key]) => [Some(query), Some(key)],
            None => [None, None],
        };
        let key_width = heads.key_values * heads.dim;
        let positions = &packed.positions;
        self.rotate(heads.dim, &mut key_value, 2 * key_width, key_width, key_norm, positions);
        let normed = packed.pick(normed.into_owned(), shape.hidden, at);
        let mut query = self.query.apply(&normed);
        let width = heads.width();
        self.rotate(heads.dim, &mut query, width, width, query_norm, at.unwrap_or(positions));
        let attended = attend(heads, self.positional.reach, &query, &key_value, packed, at);
        let mut x = packed.pick(x, shape.hidden, at);
        let add_normed = |x: &mut [f32], y: Vec<f32>, norm: &Option<Norm>| {
            let y = match norm {
                Some(norm) => norm.apply(y),
                None => y,
            };
            add(x, &y, shape.hidden);
        };
        add_normed(&mut x, self.output.apply(&attended), &self.attention_out_norm);
        let gate_up = self.gate_up.apply(&self.mlp_norm.apply(x.clone()));
        let gated = shape.activation.gate(&gate_up, shape.intermediate);
        add_normed(&mut x, self.down.apply(&gated), &self.mlp_out_norm);
        x
    }

    /// Norms the heads in the first `used` numbers of each row, and turns them by the row's position.
    fn rotate(
        &self,
        dim: usize,
        x: &mut [f32],
        width: usize,
        used: usize,
        norm: Option<&Norm>,
        positions: &[usize],
    ) {
        each_row(x, width, |at, row| {
            let position = positions.get(at).copied().unwrap_or_default() as f32;
            let turns: Vec<(f32, f32)> = self
                .positional
                .frequencies
                .iter()
                .map(|frequency| (position * frequency).sin_cos())
                .collect();
            for head in row.get_mut(..used).unwrap_or_default().chunks_exact_mut(dim) {
                if let Some(norm) = norm {
                    norm.apply_to_row(head);
                }
                let (first, second) = head.split_at_mut(dim / 2);
                for ((a, b), (sin, cos)) in first.iter_mut().zip(second).zip(&turns) {
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        });
    }
}
