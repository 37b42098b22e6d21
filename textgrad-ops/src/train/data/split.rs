//! Shuffling, minibatches, and training, validation and test sets.

use std::num::NonZeroUsize;

use derive_setters::Setters;
use textgrad_core::Seed;

use super::{Dataset, wrong};
use crate::error::Error;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Setters)]
#[setters(generate = false)]
pub struct Batches {
    examples: usize,
    size: NonZeroUsize,
    seed: Seed,
    /// Whether a last minibatch that is not full is left out. The only one of an epoch never is.
    #[setters(generate = true)]
    drop_last: bool,
}

impl Batches {
    /// Minibatches of at most `size` of so many examples, in an order of its own in every epoch.
    #[must_use]
    pub fn new(examples: usize, size: NonZeroUsize, seed: Seed) -> Self {
        Self { examples, size, seed, drop_last: false }
    }

    /// How many minibatches an epoch has.
    #[must_use]
    pub fn per_epoch(&self) -> usize {
        let full = self.examples / self.size;
        if self.drop_last && full > 0 { full } else { self.examples.div_ceil(self.size.get()) }
    }

    /// The minibatches of an epoch: positions in the data set.
    #[must_use]
    pub fn epoch(&self, epoch: u64) -> Vec<Vec<usize>> {
        let positions = shuffled(self.examples, self.seed.child("epoch", epoch));
        let batches = positions.chunks(self.size.get()).take(self.per_epoch());
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

/// The positions `0..count` in an order drawn with the seed.
pub(super) fn shuffled(count: usize, seed: Seed) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..count).collect();
    seed.shuffle(&mut positions);
    positions
}

/// A data set, split. The parts have no example in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// What is learned from.
    pub train: Dataset,
    /// What decides whether a step is kept.
    pub validation: Dataset,
    /// What tells how good the result is.
    pub test: Dataset,
}

impl Dataset {
    /// Splits by counts, in the order of the examples: the first `train`, the next `validation`, the rest.
    /// For a random split, [shuffle](Self::shuffled) first.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer examples than that.
    ///
    /// # Examples
    /// ```
    /// use textgrad_ops::score::Example;
    /// use textgrad_ops::train::{Dataset};
    ///
    /// let data = Dataset::new("ten", (0..10).map(|i| Example::new(i.to_string())))?;
    /// let split = data.split_counts(5, 3)?;
    /// assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (5, 3, 2));
    /// # Ok::<(), textgrad_ops::Error>(())
    /// ```
    pub fn split_counts(&self, train: usize, validation: usize) -> Result<Split, Error> {
        let both = train.saturating_add(validation);
        if both > self.len() {
            let reason = format!(
                "expected at least {both} examples to take {train} for training and {validation} for validation, got {}",
                self.len()
            );
            return Err(wrong(self.name(), reason));
        }
        let part =
            |what: &str, positions| self.pick(positions).named(format!("{} ({what})", self.name()));
        Ok(Split {
            train: part("training", 0..train),
            validation: part("validation", train..both),
            test: part("test", both..self.len()),
        })
    }

    /// Splits by shares, in the order of the examples; what is left is the test set. Counts are rounded down,
    /// so that the test set gets what does not come out even.
    ///
    /// # Errors
    /// [`Error::Setting`] if a share is not between 0 and 1 or they are more than 1 together.
    pub fn split_shares(&self, train: f64, validation: f64) -> Result<Split, Error> {
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        // A sum such as 0.7 + 0.2 + 0.1 may miss 1 by a rounding.
        if !(is_share(train) && is_share(validation) && train + validation <= 1.0 + 1e-9) {
            return Err(Error::Setting {
                setting: "shares of a split",
                expected: "two numbers from 0 to 1, together at most 1",
                got: format!("{train} and {validation}"),
            });
        }
        let count = |share: f64| (share * self.len() as f64 + 1e-9).floor() as usize;
        let train = count(train).min(self.len());
        self.split_counts(train, count(validation).min(self.len() - train))
    }

    /// The first so many examples, or all if there are fewer.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        self.pick(0..count.min(self.len()))
    }
}

impl Split {
    /// A task of BIG-Bench Hard as TextGrad splits it: 50 for training, 100 for validation, the rest, in the
    /// order of the file.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer than 150 examples.
    pub fn big_bench_hard(task: &Dataset) -> Result<Self, Error> {
        task.split_counts(50, 100)
    }

    /// GSM8K as TextGrad splits it: of the authors' training set the first 100 for validation and the others
    /// for training; of their test set the first 300.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer than 100 training examples.
    pub fn gsm8k(train: &Dataset, test: &Dataset) -> Result<Self, Error> {
        let split = train.split_counts(100, 0)?;
        Ok(Self { train: split.test, validation: split.train, test: test.first(300) })
    }

    /// GSM8K in the sizes that TextGrad takes from DSPy: of the authors' training set 200 for training and
    /// 300 for validation, drawn with the seed, and their whole test set. TextGrad draws with Python's
    /// generator, so its examples are others.
    ///
    /// # Errors
    /// [`Error::Data`] if there are fewer than 500 training examples.
    pub fn gsm8k_dspy(train: &Dataset, test: &Dataset, seed: Seed) -> Result<Self, Error> {
        let split = train.shuffled(seed).split_counts(200, 300)?;
        Ok(Self { test: test.clone(), ..split })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Example;
    use super::*;

    fn data(count: usize) -> Dataset {
        Dataset::new("d", (0..count).map(|position| Example::new(position.to_string()))).unwrap()
    }

    fn ids(data: &Dataset) -> Vec<usize> {
        data.iter().map(|example| example.id().parse().unwrap()).collect()
    }

    #[test]
    fn parts_are_disjoint_and_complete() {
        for (train, validation) in [(0.5, 0.25), (0.0, 0.0), (1.0, 0.0), (0.7, 0.3), (0.1, 0.2)] {
            for count in [0, 1, 3, 10, 101] {
                let split = data(count).split_shares(train, validation).unwrap();
                let all = [ids(&split.train), ids(&split.validation), ids(&split.test)].concat();
                assert_eq!(all, (0..count).collect::<Vec<_>>());
            }
        }
        let split = data(10).split_shares(0.7, 0.2).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (7, 2, 1));
        assert_eq!(split.test.name(), "d (test)");
    }

    #[test]
    fn impossible_splits_are_named() {
        let error = data(3).split_counts(2, 2).unwrap_err().to_string();
        assert!(error.starts_with("d: expected at least 4 examples"), "{error}");
        for (train, validation) in [(0.8, 0.3), (-0.1, 0.5), (f64::NAN, 0.1), (1.1, 0.0)] {
            let error = data(3).split_shares(train, validation).unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
        }
    }

    #[test]
    fn splits_of_textgrad() {
        let split = Split::big_bench_hard(&data(250)).unwrap();
        assert_eq!((ids(&split.validation)[0], split.test.len()), (50, 100));
        let split = Split::gsm8k(&data(150), &data(400)).unwrap();
        assert_eq!(
            (ids(&split.validation)[99], ids(&split.train)[0], split.test.len()),
            (99, 100, 300)
        );
        let split = Split::gsm8k_dspy(&data(600), &data(7), Seed::new(0)).unwrap();
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (200, 300, 7));
        assert!(Split::gsm8k(&data(99), &data(1)).is_err());
    }

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
            let mut positions = shuffled(count, Seed::new(3));
            positions.sort_unstable();
            assert_eq!(positions, (0..count).collect::<Vec<_>>());
        }
        let firsts: std::collections::HashSet<usize> =
            (0..200).map(|seed| shuffled(10, Seed::new(seed))[0]).collect();
        assert_eq!(firsts.len(), 10, "each position comes first for some seed");
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
