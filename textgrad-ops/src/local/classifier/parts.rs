//! Parts of layers: matrices, norms, activations and embeddings.

use textgrad_core::EngineError;

use super::math::{self, each_row};
use super::weights::Weights;
use crate::local::unsupported;

/// A matrix of weights, and its bias.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    inputs: usize,
}

impl Linear {
    pub(super) fn new(weight: Vec<f32>, bias: Option<Vec<f32>>, inputs: usize) -> Self {
        Self { weight, bias, inputs }
    }

    /// Matrices of `outputs` times `inputs` below each other.
    pub(super) fn read(
        weights: &mut Weights,
        names: &[String],
        outputs: usize,
        inputs: usize,
        has_bias: bool,
    ) -> Result<Self, EngineError> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?);
            if has_bias {
                bias.extend(weights.tensor(&format!("{name}.bias"), &[outputs])?);
            }
        }
        Ok(Self::new(weight, has_bias.then_some(bias), inputs))
    }

    /// The matrix of the first `outputs` rows, and that of the others.
    pub(super) fn split(mut self, outputs: usize) -> (Self, Self) {
        let inputs = self.inputs;
        let weight = self.weight.split_off(outputs * inputs);
        let bias = self.bias.as_mut().map(|bias| bias.split_off(outputs));
        (self, Self { weight, bias, inputs })
    }

    pub(super) fn apply(&self, x: &[f32]) -> Vec<f32> {
        math::linear(x, &self.weight, self.bias.as_deref(), self.inputs)
    }
}

/// A norm of rows: by their root mean square, or with their mean taken from them before.
#[derive(Debug)]
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    epsilon: f32,
    is_centered: bool,
}

impl Norm {
    /// RMSNorm.
    pub(super) fn rms(weight: Vec<f32>, epsilon: f32) -> Self {
        Self { weight, bias: None, epsilon, is_centered: false }
    }

    /// LayerNorm.
    pub(super) fn layer(
        weights: &mut Weights,
        name: &str,
        width: usize,
        has_bias: bool,
        epsilon: f32,
    ) -> Result<Self, EngineError> {
        let weight = weights.tensor(&format!("{name}.weight"), &[width])?;
        let bias = match has_bias {
            true => Some(weights.tensor(&format!("{name}.bias"), &[width])?),
            false => None,
        };
        Ok(Self { weight, bias, epsilon, is_centered: true })
    }

    #[inline(always)]
    pub(super) fn apply_to_row(&self, row: &mut [f32]) {
        if self.is_centered {
            math::center(row);
        }
        math::normalize(row, &self.weight, self.epsilon);
        if let Some(bias) = &self.bias {
            math::add(row, bias);
        }
    }

    pub(super) fn apply(&self, mut x: Vec<f32>) -> Vec<f32> {
        each_row(
            &mut x,
            self.weight.len(),
            #[inline(always)]
            |_, row| self.apply_to_row(row),
        );
        x
    }
}

/// An activation between layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    Silu,
    /// GELU by the error function.
    Gelu,
    /// GELU by its approximation with tanh.
    GeluTanh,
    Tanh,
}

impl Activation {
    /// The activation that a setting names.
    pub(super) fn named(setting: &str, name: &str) -> Result<Self, EngineError> {
        match name {
            "silu" => Ok(Self::Silu),
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "tanh" => Ok(Self::Tanh),
            other => Err(unsupported(format!(
                "expected silu, gelu, gelu_new, gelu_pytorch_tanh or tanh as {setting} in config.json, got {other:?}"
            ))),
        }
    }

    #[inline(always)]
    fn apply_to_row(self, row: &mut [f32]) {
        match self {
            Self::Silu => row.iter_mut().for_each(|x| *x = math::silu(*x)),
            Self::Gelu => row.iter_mut().for_each(|x| *x = math::gelu(*x)),
            Self::GeluTanh => row.iter_mut().for_each(|x| *x = math::gelu_tanh(*x)),
            Self::Tanh => row.iter_mut().for_each(|x| *x = math::tanh(*x)),
        }
    }

    /// The activation of rows of `width` numbers.
    pub(super) fn apply(self, mut x: Vec<f32>, width: usize) -> Vec<f32> {
        each_row(
            &mut x,
            width,
            #[inline(always)]
            |_, row| self.apply_to_row(row),
        );
        x
    }

    /// The activation of the first half of each row times its second half, each of `width` numbers.
    pub(super) fn gate(self, both: &[f32], width: usize) -> Vec<f32> {
        let mut gated = vec![0.0; both.len() / 2];
        each_row(
            &mut gated,
            width,
            #[inline(always)]
            |at, row| {
                let both = rows(both, 2 * width, at, 1);
                let (gate, up) = both.split_at(both.len() / 2);
                row.copy_from_slice(gate);
                self.apply_to_row(row);
                row.iter_mut().zip(up).for_each(|(x, up)| *x *= up);
            },
        );
        gated
    }
}

/// `count` rows of `width` numbers from row `at` on.
pub(super) fn rows(x: &[f32], width: usize, at: usize, count: usize) -> &[f32] {
    x.get(at * width..(at + count) * width).unwrap_or_default()
}

/// The rows of a table by their numbers, such as the embeddings of tokens.
pub(super) fn gather(
    table: &[f32],
    width: usize,
    indices: impl Iterator<Item = usize>,
) -> Vec<f32> {
    let mut gathered = Vec::with_capacity(indices.size_hint().0 * width);
    indices.for_each(|index| gathered.extend_from_slice(rows(table, width, index, 1)));
    gathered
}

/// Adds rows to rows.
pub(super) fn add(x: &mut [f32], y: &[f32], width: usize) {
    each_row(
        x,
        width,
        #[inline(always)]
        |at, row| math::add(row, rows(y, width, at, 1)),
    );
}
