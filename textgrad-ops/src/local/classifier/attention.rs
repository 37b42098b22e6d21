//! Attention within packed texts.

use std::ops::Range;

use faer::Par;
use pulp::Arch;
use rayon::prelude::*;

use super::math::{self, View};
use super::parts::{gather, rows};

/// The positions of a text that attend at once: few enough that little is computed in vain, and enough for a product
/// of matrices.
pub(super) const BLOCK: usize = 64;

/// Texts of any lengths behind each other, without padding. Only attention sees where one ends.
#[derive(Debug)]
pub(super) struct Packed {
    /// The rows of each text.
    pub(super) spans: Vec<Range<usize>>,
    /// The position of each row in its text.
    pub(super) positions: Vec<usize>,
}

impl Packed {
    pub(super) fn new(lengths: impl Iterator<Item = usize>) -> Self {
        let mut packed = Self { spans: Vec::new(), positions: Vec::new() };
        for length in lengths {
            let start = packed.positions.len();
            packed.spans.push(start..start + length);
            packed.positions.extend(0..length);
        }
        packed
    }

    /// Of rows of all texts, those at one position of each, if there are such.
    pub(super) fn pick(&self, x: Vec<f32>, width: usize, at: Option<&[usize]>) -> Vec<f32> {
        let Some(at) = at else { return x };
        gather(&x, width, self.spans.iter().zip(at).map(|(span, at)| span.start + at))
    }

    /// The mean of the rows of each text.
    pub(super) fn mean(&self, x: &[f32], width: usize) -> Vec<f32> {
        let mut means = vec![0.0; self.spans.len() * width];
        for (mean, span) in means.chunks_exact_mut(width).zip(&self.spans) {
            let of_text = rows(x, width, span.start, span.len());
            of_text.chunks_exact(width).for_each(|row| math::add(mean, row));
            mean.iter_mut().for_each(|sum| *sum /= span.len() as f32);
        }
        means
    }

    /// The texts with the positions that attend.
    pub(super) fn queries(
        &self,
        at: Option<&[usize]>,
    ) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.spans.iter().enumerate().map(move |(text, span)| {
            let one = at.and_then(|at| at.get(text)).map(|at| *at..at + 1);
            (span.clone(), one.unwrap_or(0..span.len()))
        })
    }
}

/// The heads of attention.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    pub(super) count: usize,
    /// The heads of keys and values, each for as many of queries.
    pub(super) key_values: usize,
    pub(super) dim: usize,
    /// The factor of the products of queries and keys.
    pub(super) scale: f32,
    /// The bound that the products are squeezed into by tanh.
    pub(super) softcap: Option<f32>,
}

impl Heads {
    /// The numbers of all queries of a position.
    pub(super) fn width(&self) -> usize {
        self.count * self.dim
    }

    /// The queries of one head in a block of rows, scaled. One row takes another path of a product than many: it is
    /// computed as two.
    pub(super) fn scaled(&self, query: &[f32], head: usize) -> Vec<f32> {
        let (dim, width) = (self.dim, self.width());
        let mut queries = vec![0.0; (query.len() / width).max(2) * dim];
        for (to, query) in queries.chunks_exact_mut(dim).zip(query.chunks_exact(width)) {
            let of_head = rows(query, dim, head, 1);
            to.iter_mut().zip(of_head).for_each(|(to, x)| *to = x * self.scale);
        }
        queries
    }
}

/// How many positions before and after itself a position attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) before: usize,
    pub(super) after: usize,
}

impl Reach {
    pub(super) const ALL: Self = Self { before: usize::MAX, after: usize::MAX };

    /// The positions that this one of a text of this length attends to.
    fn of(self, position: usize, length: usize) -> Range<usize> {
        let end = position.saturating_add(self.after).saturating_add(1);
        position.saturating_sub(self.before)..end.min(length)
    }
}

/// A part of `key_value`, whose rows have `stride` numbers: those of one head.
pub(super) fn head_view(
    numbers: &[f32],
    rows: Range<usize>,
    stride: usize,
    offset: usize,
    dim: usize,
) -> View<'_> {
    let count = rows.len();
    let end = (rows.end.max(1) - 1) * stride + offset + dim;
    let numbers = numbers.get(rows.start * stride + offset..end).unwrap_or_default();
    View { numbers, rows: count, columns: dim, stride }
}

/// Attention of the queries of each text, all or those at one position, to its keys. The keys of a position stand
/// before its values.
pub(super) fn attend(
    heads: &Heads,
    reach: Reach,
    query: &[f32],
    key_value: &[f32],
    packed: &Packed,
    at: Option<&[usize]>,
) -> Vec<f32> {
    let width = heads.width();
    let mut out = vec![0.0; query.len()];
    // Blocks of rows of the output, each with its text and the position of its first row.
    let mut blocks = Vec::new();
    let (mut rest, mut queries) = (out.as_mut_slice(), query);
    for (span, positions) in packed.queries(at) {
        for from in positions.clone().step_by(BLOCK) {
            let rows = BLOCK.min(positions.end - from);
            let (block, behind) = rest.split_at_mut(rows * width);
            let (query, more) = queries.split_at(rows * width);
            (rest, queries) = (behind, more);
            blocks.push((block, query, span.clone(), from));
        }
    }
    blocks.into_par_iter().for_each(|(block, query, span, from)| {
        attend_block(heads, reach, block, query, key_value, span, from);
    });
    out
}

fn attend_block(
    heads: &Heads,
    reach: Reach,
    out: &mut [f32],
    query: &[f32],
    key_value: &[f32],
    span: Range<usize>,
    from: usize,
) {
    let (dim, group) = (heads.dim, heads.count / heads.key_values);
    let (width, key_width) = (heads.width(), heads.key_values * dim);
    let rows = out.len() / width;
    // Keys that any of the rows sees.
    let begin = reach.of(from, span.len()).start;
    let end = reach.of(from + rows - 1, span.len()).end;
    let keys = end - begin;
    let view = |offset: usize| {
        let rows = span.start + begin..span.start + end;
        head_view(key_value, rows, 2 * key_width, offset, dim)
    };
    let computed = rows.max(2);
    let mut weights = vec![0.0; computed * keys];
    let mut summed = vec![0.0; computed * dim];
    for head in 0..heads.count {
        let queries = heads.scaled(query, head);
        let key_at = head / group * dim;
        let queries = View::new(&queries, dim);
        math::product_transposed(&mut weights, keys, queries, view(key_at), Par::Seq);
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (row, weights) in weights.chunks_exact_mut(keys).take(rows).enumerate() {
                    let seen = reach.of(from + row, span.len());
                    let (weights, unseen) = weights.split_at_mut((seen.end - begin).min(keys));
                    unseen.fill(0.0);
                    let hidden = (seen.start - begin).min(weights.len());
                    let (unseen, weights) = weights.split_at_mut(hidden);
                    unseen.fill(0.0);
                    if let Some(cap) = heads.softcap {
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
