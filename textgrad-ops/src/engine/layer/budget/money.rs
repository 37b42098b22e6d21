//! Amounts of money.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use textgrad_core::{EngineError, ErrorKind};

/// Units are held as whole billionths of a thousandth: a token at the price of one unit for a million tokens.
const PER_UNIT: f64 = 1e12;

/// An amount of money, in units of the currency in which the prices are.
///
/// It is a whole number of 10⁻¹² units, so that sums do not depend on the order in which answers come: a
/// price with up to six decimals, for a million tokens, is exact for each single token. Amounts end at 18
/// million units; what is more counts as that. Written to JSON as a number of units, which reads back as the
/// very amount up to about 9,000 units, and to within 10⁻¹⁵ of it above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many units.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if they are not a number from 0 to 18 million.
    pub fn new(units: f64) -> Result<Self, EngineError> {
        if (0.0..=18e6).contains(&units) {
            // In range, and rounded: nothing is lost by it.
            return Ok(Self((units * PER_UNIT).round() as u64));
        }
        Err(EngineError::new(
            ErrorKind::InvalidRequest,
            format!("expected an amount of money from 0 to 18 million units, got {units}"),
        ))
    }

    /// The amount in units.
    #[must_use]
    pub fn units(self) -> f64 {
        self.0 as f64 / PER_UNIT
    }

    /// The sum; what is more than 18 million units counts as that.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// What so many tokens cost at this price for a million of them.
    pub(super) fn for_tokens(tokens: u64, million: Self) -> Self {
        let exact = u128::from(tokens) * u128::from(million.0) / 1_000_000;
        Self(u64::try_from(exact).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Money {
    /// With six decimals, or fewer if fewer say it all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.units());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.units())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
