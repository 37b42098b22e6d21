//! Shuffling and minibatches.

use std::num::NonZeroUsize;

use textgrad_core::Seed;

use super::Dataset;

/// How a data set is cut into minibatches, epoch by epoch.
///
/// # Examples
/// ```
/// use std::num::NonZeroUsize;
/// use textgrad_core::Seed;
/// use textgrad_ops::train::Batches;
///
/// let batches = Batches::new(10, NonZeroUsize::new(4).unwrap(), Seed::new(7));
/// assert_eq!(batches.per_epoch(), 3);
/// let sizes: Vec<usize> = batches.epoch(0).iter().map(Vec::len).collect();
/// assert_eq!(sizes, [4, 4, 2]);
/// assert_eq!(batches.drop_last(true).per_epoch(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batches {
    examples: usize,
    size: NonZeroUsize,
    seed: Seed,
    drop_last: bool,
}

impl Batches {
    /// Minibatches of at most `size` of so many examples, in an order of its own in every epoch.
    #[must_use]
    pub fn new(examples: usize, size: NonZeroUsize, seed: Seed) -> Self {
        Self { examples, size, seed, drop_last: false }
    }

    /// Whether a last minibatch that is not full is left out. The only one of an epoch never is.
    #[must_use]
    pub fn drop_last(mut self, drop_last: bool) -> Self {
        self.drop_last = drop_last;
        self
    }

    /// How many minibatches an epoch has.
    #[must_use]
    pub fn per_epoch(&self) -> usize {
        let full = self.examples / self.size;
        if self.drop_last && full > 0 { full } else { self.examples.div_ceil(self.size.get()) }
    }

    /// The minibatches of an epoch: places in the data set.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Vec<Vec<usize>> {
        let places = shuffled(self.examples, self.seed.child("epoch", epoch));
        let batches = places.chunks(self.size.get()).take(self.per_epoch());
        batches.map(<[usize]>::to_vec).collect()
    }
}

impl Dataset {
    /// The same examples in an order drawn with the seed: the same on every machine.
    #[must_use]
    pub fn shuffled(&self, seed: Seed) -> Self {
        self.pick(shuffled(self.len(), seed))
    }
}

/// The places `0..count` in an order drawn with the seed (Fisher and Yates). Each draw has a seed of its
/// own place, so that the order depends on nothing else.
pub(super) fn shuffled(count: usize, seed: Seed) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // The high half of a 128-bit product: a number below `last + 1`, without the bias of a remainder.
        let draw = u128::from(seed.child("shuffle", last as u64).value()) * (last as u128 + 1);
        places.swap(last, usize::try_from(draw >> 64).unwrap_or(last));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(examples: usize, size: usize) -> Batches {
        Batches::new(examples, NonZeroUsize::new(size).unwrap(), Seed::new(1))
    }

    #[test]
    fn the_order_never_changes() {
        // Runs are resumed with the orders of earlier versions. Computed by a separate implementation.
        assert_eq!(shuffled(8, Seed::new(7)), [4, 5, 6, 3, 0, 7, 1, 2]);
    }

    #[test]
    fn every_place_occurs_once_and_orders_differ() {
        for count in [0, 1, 2, 3, 100, 1001] {
            let mut places = shuffled(count, Seed::new(3));
            places.sort_unstable();
            assert_eq!(places, (0..count).collect::<Vec<_>>());
        }
        let firsts: std::collections::HashSet<usize> =
            (0..200).map(|seed| shuffled(10, Seed::new(seed))[0]).collect();
        assert_eq!(firsts.len(), 10, "each place comes first for some seed");
    }

    #[test]
    fn an_epoch_holds_every_example_once_in_its_own_order() {
        let batches = batches(10, 3);
        for epoch in 0..3 {
            let mut all = batches.epoch(epoch).concat();
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(batches.epoch(0), batches.epoch(1));
        assert_eq!(batches.epoch(1), batches.epoch(1));
    }

    #[test]
    fn sizes() {
        let sizes = |batches: Batches| {
            let epoch: Vec<usize> = batches.epoch(0).iter().map(Vec::len).collect();
            assert_eq!(epoch.len(), batches.per_epoch());
            epoch
        };
        assert_eq!(sizes(batches(10, 3).drop_last(true)), [3, 3, 3]);
        assert_eq!(sizes(batches(2, 5)), [2]);
        assert_eq!(sizes(batches(2, 5).drop_last(true)), [2], "the only one is not dropped");
        assert_eq!(sizes(batches(6, 3).drop_last(true)), [3, 3]);
        assert!(sizes(batches(0, 3)).is_empty());
    }
}
