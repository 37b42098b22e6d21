//! The error that `main` returns.

use std::error::Error;
use std::fmt;

use textgrad_core::describe;

/// Any error, printed with all its causes on one line where `main` returns it.
///
/// A `main` that returns a `Result` prints the error's `Debug`, which is made for programmers: so here it is
/// what the error says.
///
/// # Examples
/// ```
/// use textgrad_examples::Failure;
///
/// fn read() -> Result<u32, Failure> {
///     Ok("seven".parse()?)
/// }
/// assert_eq!(format!("{:?}", read().unwrap_err()), "invalid digit found in string");
/// ```
pub struct Failure(String);

impl Failure {
    /// A failure in words.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(describe(&error))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
