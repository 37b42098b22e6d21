//! Parts of a run, for machines that share no server.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// One of several equal parts of a run: every N-th query, from the I-th on. The parts of a run are searched
/// independently, and [`merge`](super::merge) makes one run of them. More queries at the end of the data leave the
/// others in their parts.
///
/// # Examples
/// ```
/// use tpo::run::Shard;
///
/// let shard: Shard = "2/3".parse()?;
/// assert_eq!((shard.indices(8).collect::<Vec<_>>(), shard.len(8)), (vec![1, 4, 7], 3));
/// assert!("0/3".parse::<Shard>().is_err());
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Shard {
    number: usize,
    count: usize,
}

impl Shard {
    /// The number of the part, from 1.
    #[must_use]
    pub fn number(self) -> usize {
        self.number
    }

    /// How many parts there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.count
    }

    /// The indices of its queries, in order, of so many.
    pub fn indices(self, queries: usize) -> impl Iterator<Item = usize> {
        (self.number - 1..queries).step_by(self.count)
    }

    /// How many of so many queries it has.
    #[must_use]
    pub fn len(self, queries: usize) -> usize {
        queries.saturating_sub(self.number - 1).div_ceil(self.count)
    }

    /// Whether it has none of so many queries.
    #[must_use]
    pub fn is_empty(self, queries: usize) -> bool {
        self.len(queries) == 0
    }

    /// Whether a query is of this part.
    #[must_use]
    pub fn has(self, index: usize) -> bool {
        index % self.count == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text.split_once('/');
        let numbers =
            numbers.and_then(|(number, count)| Some((number.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((number, count)) if (1..=count).contains(&number) => Ok(Self { number, count }),
            _ => Err(Error::config("shard", "I/N with I from 1 to N, as 2/8", text)),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

crate::util::text_form!(Shard);

/// The indices of the queries of a run or of a part of it.
pub(super) fn indices(shard: Option<Shard>, queries: usize) -> impl Iterator<Item = usize> {
    let whole = Shard { number: 1, count: 1 };
    shard.unwrap_or(whole).indices(queries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_counted_are_iterated_also_of_very_many_parts() {
        for text in [
            "1/1",
            "1/3",
            "2/3",
            "3/3",
            "1/18446744073709551615",
            "18446744073709551615/18446744073709551615",
        ] {
            let shard: Shard = text.parse().unwrap();
            for queries in 0..8 {
                assert_eq!(
                    shard.len(queries),
                    shard.indices(queries).count(),
                    "{text} of {queries}"
                );
            }
        }
    }
}
