//! Bounds on the length of a text.

use std::borrow::Cow;
use std::ops::{Bound, RangeBounds};

use textgrad_core::Check;
use unicode_segmentation::UnicodeSegmentation;

use crate::error::Error;

/// Bounds on the length of a text, in words or characters.
///
/// # Examples
/// ```
/// use textgrad_core::Check;
/// use textgrad_ops::check::Length;
///
/// let headline = Length::words(3..=8)?;
/// assert_eq!(headline.rule(), "it has 3 to 8 words");
/// assert_eq!(headline.check("too short"), Err("it has 2 words, 1 too few".to_owned()));
/// assert_eq!(Length::characters(..=3)?.check("👩‍👩‍👧👩‍👩‍👧"), Ok(()));
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Length {
    unit: Unit,
    min: usize,
    max: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Word,
    Character,
}

impl Length {
    /// A number of words: what stands between white space.
    ///
    /// # Errors
    /// [`Error::LengthBounds`] if no length is within the bounds.
    pub fn words(bounds: impl RangeBounds<usize>) -> Result<Self, Error> {
        Self::of(Unit::Word, &bounds)
    }

    /// A number of characters, white space and line ends too. A character is what a reader takes for one (an
    /// extended grapheme cluster), as in [`truncate`](textgrad_core::truncate).
    ///
    /// # Errors
    /// Those of [`Length::words`].
    pub fn characters(bounds: impl RangeBounds<usize>) -> Result<Self, Error> {
        Self::of(Unit::Character, &bounds)
    }

    fn of(unit: Unit, bounds: &impl RangeBounds<usize>) -> Result<Self, Error> {
        let min = match bounds.start_bound() {
            Bound::Included(min) => Some(*min),
            Bound::Excluded(below) => below.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let max = match bounds.end_bound() {
            Bound::Included(max) => Some(Some(*max)),
            Bound::Excluded(above) => above.checked_sub(1).map(Some),
            Bound::Unbounded => Some(None),
        };
        match (min, max) {
            (Some(min), Some(max)) if max.is_none_or(|max| min <= max) => {
                Ok(Self { unit, min, max })
            }
            _ => Err(Error::LengthBounds {
                start: format!("{:?}", bounds.start_bound()),
                end: format!("{:?}", bounds.end_bound()),
            }),
        }
    }

    fn units(&self, count: usize) -> String {
        let name = match self.unit {
            Unit::Word => "word",
            Unit::Character => "character",
        };
        format!("{count} {name}{}", if count == 1 { "" } else { "s" })
    }
}

impl Check for Length {
    fn rule(&self) -> Cow<'_, str> {
        Cow::Owned(match (self.min, self.max) {
            (0, None) => "it has any length".to_owned(),
            (0, Some(max)) => format!("it has at most {}", self.units(max)),
            (min, None) => format!("it has at least {}", self.units(min)),
            (min, Some(max)) if min == max => format!("it has exactly {}", self.units(max)),
            (min, Some(max)) => format!("it has {min} to {}", self.units(max)),
        })
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let length = match self.unit {
            Unit::Word => text.split_whitespace().count(),
            Unit::Character => text.graphemes(true).count(),
        };
        let off = match self.max {
            Some(max) if length > max => format!("{} too many", length - max),
            _ if length < self.min => format!("{} too few", self.min - length),
            _ => return Ok(()),
        };
        Err(format!("it has {}, {off}", self.units(length)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_of_a_range() {
        for (check, rule) in [
            (Length::words(..), "it has any length"),
            (Length::words(1..), "it has at least 1 word"),
            (Length::words(..3), "it has at most 2 words"),
            (Length::characters(2..=2), "it has exactly 2 characters"),
        ] {
            assert_eq!(check.unwrap().rule(), rule);
        }
        let two = Length::characters(2..=2).unwrap();
        assert_eq!(two.check("e\u{301}x"), Ok(()));
        assert_eq!(two.check("x"), Err("it has 1 character, 1 too few".into()));
        assert_eq!(two.check("xxxx"), Err("it has 4 characters, 2 too many".into()));
        assert_eq!(Length::words(..=0).unwrap().check(" \n "), Ok(()));
    }

    #[test]
    fn bounds_that_nothing_is_within_are_refused() {
        #[expect(clippy::reversed_empty_ranges, reason = "this is what is tested")]
        let reversed = Length::words(5..=3).unwrap_err();
        assert_eq!(
            reversed.to_string(),
            "expected bounds that some length is within, got Included(5) to Included(3)"
        );
        assert!(Length::words(3..3).is_err());
        assert!(Length::words(..0).is_err());
        assert!(Length::words((Bound::Excluded(usize::MAX), Bound::Unbounded)).is_err());
    }
}
