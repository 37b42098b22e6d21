//! What is wrong with a file: all of it counted, the first named.

use crate::error::Error;

/// Collects what could be read of a file, or what could not.
pub(super) struct Problems {
    first: Option<(String, String)>,
    count: usize,
}

impl Problems {
    pub(super) fn new() -> Self {
        Self { first: None, count: 0 }
    }

    /// Keeps the value, or takes note of why there is none.
    pub(super) fn take<T>(
        &mut self,
        place: impl FnOnce() -> String,
        read: Result<T, String>,
    ) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(reason) => {
                self.count += 1;
                if self.first.is_none() {
                    self.first = Some((place(), reason));
                }
                None
            }
        }
    }

    /// Fails if anything was wrong.
    pub(super) fn finish(self) -> Result<(), Error> {
        match self.first {
            None => Ok(()),
            Some((place, reason)) => Err(Error::Data { place, reason, bad: self.count }),
        }
    }
}

/// One thing that is wrong.
pub(super) fn wrong(place: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Data { place: place.into(), reason: reason.into(), bad: 1 }
}
