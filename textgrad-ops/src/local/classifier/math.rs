//! Arithmetic on rows of numbers.
//!
//! Loops run with the vector instructions that the machine has, whatever the program was compiled for. The result for
//! a row never depends on the rows beside it, so the score of a text does not depend on its batch.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::Arch;
use rayon::prelude::*;

/// A matrix of `rows` times `columns` numbers within a slice, `stride` numbers from row to row.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) stride: usize,
}

impl<'a> View<'a> {
    pub(super) fn new(numbers: &'a [f32], columns: usize) -> Self {
        Self { numbers, rows: numbers.len() / columns, columns, stride: columns }
    }

    fn mat(self) -> MatRef<'a, f32> {
        let (rows, columns) = (self.rows, self.columns);
        MatRef::from_column_major_slice_with_stride(self.numbers, columns, rows, self.stride)
            .transpose()
    }
}

/// A matrix to be written. (The function of faer 0.24.4 for rows with a stride takes them for columns.)
fn target(out: &mut [f32], rows: usize, columns: usize, stride: usize) -> MatMut<'_, f32> {
    MatMut::from_column_major_slice_with_stride_mut(out, columns, rows, stride).transpose_mut()
}

/// `out = a * b^T`, with rows of `out` that are `stride` numbers apart.
pub(super) fn product_transposed(
    out: &mut [f32],
    stride: usize,
    a: View<'_>,
    b: View<'_>,
    par: Par,
) {
    matmul(
        target(out, a.rows, b.rows, stride),
        Accum::Replace,
        a.mat(),
        b.mat().transpose(),
        1.0,
        par,
    );
}

/// `out = a * b`, with rows of `out` that are `stride` numbers apart.
pub(super) fn product(out: &mut [f32], stride: usize, a: View<'_>, b: View<'_>, par: Par) {
    matmul(target(out, a.rows, b.columns, stride), Accum::Replace, a.mat(), b.mat(), 1.0, par);
}

/// Rows times a matrix of weights, plus a bias.
///
/// A product of one row takes another path with another order of additions, so one row is computed as two.
pub(super) fn linear(x: &[f32], weight: &[f32], bias: Option<&[f32]>, inputs: usize) -> Vec<f32> {
    let (rows, outputs) = (x.len() / inputs, weight.len() / inputs);
    let twice;
    let (x, computed) = match rows {
        1 => {
            twice = [x, x].concat();
            (twice.as_slice(), 2)
        }
        rows => (x, rows),
    };
    let mut out = vec![0.0; computed * outputs];
    let par = Par::rayon(0);
    product_transposed(&mut out, outputs, View::new(x, inputs), View::new(weight, inputs), par);
    out.truncate(rows * outputs);
    if let Some(bias) = bias {
        each_row(&mut out, outputs, |_, row| add(row, bias));
    }
    out
}

/// Does the same with each row, on all threads of the pool.
pub(super) fn each_row(x: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    const ROWS: usize = 16;
    x.par_chunks_mut(ROWS * width).enumerate().for_each(|(chunk, rows)| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (at, row) in rows.chunks_exact_mut(width).enumerate() {
                    work(chunk * ROWS + at, row);
                }
            },
        );
    });
}

#[inline(always)]
pub(super) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// The sum, in eight sums that vector instructions take at once.
#[inline(always)]
fn sum(row: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let chunks = row.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// The sum of products, in eight sums that vector instructions take at once.
#[inline(always)]
fn dot(x: &[f32], y: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in xs.zip(ys) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Divides a row by its root mean square and multiplies it with weights.
#[inline(always)]
pub(super) fn normalize(row: &mut [f32], weight: &[f32], epsilon: f32) {
    let mean = dot(row, row) / row.len() as f32;
    let factor = 1.0 / (mean + epsilon).sqrt();
    for (x, weight) in row.iter_mut().zip(weight) {
        *x = *x * factor * weight;
    }
}

/// Takes the mean of a row from it.
#[inline(always)]
pub(super) fn center(row: &mut [f32]) {
    let mean = sum(row) / row.len() as f32;
    row.iter_mut().for_each(|x| *x -= mean);
}

/// The exponential function, to two units in the last place: a polynomial, which vector instructions can compute.
/// (Cephes, `expf`.)
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Below, the result is the smallest normal number or so; above, it is near the largest.
    let x = x.clamp(-87.3, 88.3);
    let power = (x * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0;
    let r = x - power * (355.0 / 512.0) + power * 2.121_944_4e-4;
    let mut p = 1.987_569_2e-4_f32;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let p = p * r * r + r + 1.0;
    p * f32::from_bits(((power as i32 + 127) as u32) << 23)
}

/// `x / (1 + exp(-x))`.
#[inline(always)]
pub(super) fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    // Both ends of the range of `exp` give -1 and 1.
    let e = exp(2.0 * x);
    1.0 - 2.0 / (e + 1.0)
}

/// GELU by its approximation with tanh.
#[inline(always)]
pub(super) fn gelu_tanh(x: f32) -> f32 {
    const ROOT: f32 = 0.797_884_6;
    0.5 * x * (1.0 + tanh(ROOT * (x + 0.044_715 * x * x * x)))
}

/// GELU by the error function, which is within 2e-7. (Abramowitz and Stegun, 7.1.26.)
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4_f32;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = p * t + coefficient;
    }
    // Half of what the error function lacks of 1, on the side of the tail.
    let tail = 0.5 * p * t * exp(-z * z);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// Exponentials divided by their sum.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let mut highest = [f32::NEG_INFINITY; 8];
    let chunks = row.chunks_exact(8);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        for (high, x) in highest.iter_mut().zip(chunk) {
            *high = if *x > *high { *x } else { *high };
        }
    }
    let highest = highest.into_iter().fold(rest, f32::max);
    for x in row.iter_mut() {
        *x = exp(*x - highest);
    }
    let factor = 1.0 / sum(row);
    for x in row {
        *x *= factor;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_function_is_that_of_the_library() {
        for step in -8700..8800_i16 {
            let x = f32::from(step) / 100.0;
            let error = (exp(x) / x.exp() - 1.0).abs();
            assert!(error < 3e-7, "{x}: {error}");
        }
        assert!((0.0..1e-37).contains(&exp(-1000.0)) && exp(1000.0).is_finite());
        assert_eq!([tanh(-50.0), tanh(50.0)], [-1.0, 1.0]);
        assert!(silu(-1000.0).abs() < 1e-30);
    }

    #[test]
    fn gelu_is_that_of_the_error_function() {
        // The series of the error function, in 64 bits.
        let erf = |z: f64| {
            let (mut term, mut sum) = (z, z);
            for n in 1..120 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            2.0 / std::f64::consts::PI.sqrt() * sum
        };
        for step in -500..=500_i16 {
            let x = f64::from(step) / 100.0;
            let error = f64::from(gelu(x as f32)) - 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt()));
            assert!(error.abs() < 3e-7 * x.abs().max(1.0), "{x}: {error:e}");
        }
        assert!(gelu(-100.0).abs() < 1e-30);
        assert_eq!([gelu(0.0), gelu(100.0)], [0.0, 100.0]);
    }

    #[test]
    fn a_row_does_not_depend_on_those_beside_it() {
        let number = |at: usize| (at * 7919 % 1000) as f32 / 500.0 - 1.0;
        let (inputs, outputs) = (96, 40);
        let weight: Vec<f32> = (0..inputs * outputs).map(number).collect();
        let x: Vec<f32> = (0..inputs * 33).map(|at| number(at + 5)).collect();
        let all = linear(&x, &weight, None, inputs);
        for (from, to) in [(0, 1), (3, 5), (7, 30), (32, 33)] {
            let some = linear(&x[from * inputs..to * inputs], &weight, None, inputs);
            assert_eq!(some, all[from * outputs..to * outputs], "{from}..{to}");
        }
    }
}
