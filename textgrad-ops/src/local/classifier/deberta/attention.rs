//! Disentangled attention: products of contents, and of contents with relative positions.

use std::ops::Range;
use std::sync::Arc;

use faer::Par;
use pulp::Arch;
use rayon::prelude::*;

use super::super::attention::{BLOCK, Heads, Packed, head_view};
use super::super::math::{self, View};
use super::super::parts::rows;

/// The rows of a table of relative positions, by the distance of a query from a key.
#[derive(Debug)]
pub(super) struct Distances {
    /// From the largest negative distance on.
    rows: Vec<usize>,
}

impl Distances {
    /// Distances of texts of at most `max_length` tokens, in a table of `2 * span` rows. Where there are buckets, they
    /// become wider with the distance, up to `max_distance`.
    pub(super) fn new(max_length: usize, span: usize, buckets: Option<(usize, usize)>) -> Self {
        let row = |distance: usize, is_negative: bool| {
            let bucket = match buckets {
                Some((buckets, max_distance)) => bucket(distance, buckets / 2, max_distance),
                None => distance,
            };
            match is_negative {
                true => span.saturating_sub(bucket),
                false => (span + bucket).min(2 * span - 1),
            }
        };
        let before = (1..max_length).rev().map(|distance| row(distance, true));
        Self { rows: before.chain((0..max_length).map(|distance| row(distance, false))).collect() }
    }

    /// The rows for a query at a position and the first `keys` keys.
    fn of(&self, query: usize, keys: usize) -> impl Iterator<Item = usize> {
        let end = self.rows.len().div_ceil(2) + query;
        self.rows.get(end.saturating_sub(keys)..end).unwrap_or_default().iter().rev().copied()
    }

    /// The rows that the distances within a text of this length have.
    fn within(&self, length: usize) -> Range<usize> {
        let zero = self.rows.len() / 2;
        let at = |index: usize| self.rows.get(index).copied().unwrap_or_default();
        at(zero.saturating_sub(length - 1))..at(zero + length - 1) + 1
    }
}

/// The bucket of a distance: itself below `middle`, then those of a logarithm.
fn bucket(distance: usize, middle: usize, max_distance: usize) -> usize {
    if distance <= middle {
        return distance;
    }
    let (distance, mid) = (distance as f32, middle as f32);
    let widest = ((max_distance - 1) as f64 / middle as f64) as f32;
    let steps = ((distance / mid).ln() / widest.ln() * (mid - 1.0)).ceil();
    middle + steps as usize
}

/// The attention of a layer.
#[derive(Debug)]
pub(super) struct Disentangled {
    /// Relative positions as keys, and as queries, which are scaled.
    pub(super) keys: Option<Vec<f32>>,
    pub(super) queries: Option<Vec<f32>>,
    pub(super) distances: Arc<Distances>,
}

impl Disentangled {
    /// Attention of the queries of each text, all or those at one position, to its keys.
    pub(super) fn attend(
        &self,
        heads: &Heads,
        query: &[f32],
        key_value: &[f32],
        packed: &Packed,
        at: Option<&[usize]>,
    ) -> Vec<f32> {
        let (dim, width) = (heads.dim, heads.width());
        let mut jobs = Vec::new();
        let mut queries = query;
        for (span, positions) in packed.queries(at) {
            let (query, more) = queries.split_at(positions.len() * width);
            queries = more;
            let of_text = (query, span, positions);
            jobs.extend((0..heads.count).map(|head| (of_text.clone(), head)));
        }
        let attended: Vec<Vec<f32>> = jobs
            .into_par_iter()
            .map(|((query, span, positions), head)| {
                self.attend_head(heads, head, query, key_value, span, positions)
            })
            .collect();
        let mut out = Vec::with_capacity(query.len());
        for of_text in attended.chunks_exact(heads.count) {
            for row in 0..of_text.first().map_or(0, |head| head.len() / dim) {
                of_text.iter().for_each(|head| out.extend_from_slice(rows(head, dim, row, 1)));
            }
        }
        out
    }

    fn attend_head(
        &self,
        heads: &Heads,
        head: usize,
        query: &[f32],
        key_value: &[f32],
        span: Range<usize>,
        positions: Range<usize>,
    ) -> Vec<f32> {
        let (dim, width, keys) = (heads.dim, heads.width(), span.len());
        let at = head * dim;
        let content = head_view(key_value, span.clone(), 2 * width, at, dim);
        let values = head_view(key_value, span, 2 * width, width + at, dim);
        let used = self.distances.within(keys);
        let relative = |table: &'_ Option<Vec<f32>>, x: View<'_>| {
            let table = head_view(table.as_ref()?, used.clone(), width, at, dim);
            let mut products = vec![0.0; x.rows * used.len()];
            math::product_transposed(&mut products, used.len(), x, table, Par::Seq);
            Some(products)
        };
        // Of each key, with all distances: they do not depend on the query.
        let of_keys = relative(&self.queries, content);
        let mut out = Vec::with_capacity(positions.len() * dim);
        for (block, query) in query.chunks(BLOCK * width).enumerate() {
            let count = query.len() / width;
            let queries = heads.scaled(query, head);
            let queries = View::new(&queries, dim);
            let mut weights = vec![0.0; queries.rows * keys];
            math::product_transposed(&mut weights, keys, queries, content, Par::Seq);
            let of_queries = relative(&self.keys, queries);
            Arch::new().dispatch(|| {
                for (row, weights) in weights.chunks_exact_mut(keys).take(count).enumerate() {
                    let position = positions.start + block * BLOCK + row;
                    let distances = || self.distances.of(position, keys).map(|at| at - used.start);
                    if let Some(products) = &of_queries {
                        let products = rows(products, used.len(), row, 1);
                        for (x, at) in weights.iter_mut().zip(distances()) {
                            *x += products.get(at).copied().unwrap_or_default();
                        }
                    }
                    if let Some(products) = &of_keys {
                        let products = products.chunks_exact(used.len()).zip(distances());
                        for (x, (products, at)) in weights.iter_mut().zip(products) {
                            *x += products.get(at).copied().unwrap_or_default();
                        }
                    }
                    math::softmax(weights);
                }
            });
            let mut summed = vec![0.0; queries.rows * dim];
            math::product(&mut summed, dim, View::new(&weights, keys), values, Par::Seq);
            out.extend_from_slice(rows(&summed, dim, 0, count));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_distances_are_clamped_or_in_buckets() {
        let distances = Distances::new(6, 3, None);
        assert_eq!(distances.of(5, 6).collect::<Vec<_>>(), [5, 5, 5, 5, 4, 3]);
        assert_eq!(distances.of(0, 4).collect::<Vec<_>>(), [3, 2, 1, 0]);
        assert_eq!(distances.of(0, 6).collect::<Vec<_>>(), [3, 2, 1, 0, 0, 0]);
        assert_eq!((distances.within(1), distances.within(3)), (3..4, 1..6));
        assert_eq!(distances.within(6), 0..6);
    }

    /// Buckets of DeBERTa-v3, by transformers' `make_log_bucket_position`.
    #[test]
    fn buckets_are_those_of_transformers() {
        let distances = Distances::new(512, 256, Some((256, 512)));
        let rows: Vec<usize> = distances.of(511, 512).collect();
        let buckets: Vec<usize> = rows.iter().rev().map(|row| row - 256).collect();
        let some: Vec<usize> = (128..512).step_by(48).map(|at| buckets[at]).collect();
        assert_eq!(some, [128, 158, 180, 198, 213, 225, 237, 247]);
        let weighted: usize = buckets.iter().enumerate().map(|(at, bucket)| at * bucket).sum();
        assert_eq!((buckets.iter().sum::<usize>(), weighted), (87_297, 27_457_213));
        let mirrored: Vec<usize> = distances.of(0, 512).map(|row| 256 - row).collect();
        assert_eq!(mirrored, buckets);
    }
}
