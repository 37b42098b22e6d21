//! Checks: what must hold of a text, told without a model.
//!
//! Each is a [`Check`], so it serves as a rule for the new texts of a
//! [`Parameter`](textgrad_core::Parameter) and, by [`ScoreLoss`](crate::ScoreLoss), as an objective.

mod length;
mod must_contain;
mod regex_check;
#[cfg(feature = "json-schema")]
mod schema;

use textgrad_core::{Check, catch_panic};

pub use self::length::Length;
pub use self::must_contain::MustContain;
pub use self::regex_check::RegexCheck;
#[cfg(feature = "json-schema")]
pub use self::schema::JsonSchema;

/// How much of a text a violation or a rule quotes, in characters.
const QUOTED: usize = 80;

/// What a check says of a text; the outer error is what it said when it panicked.
pub(crate) fn verdict(check: &dyn Check, text: &str) -> Result<Result<(), String>, String> {
    // A check borrows its text and returns a verdict; what a panic leaves half-done is its own affair.
    catch_panic(|| check.check(text))
}
