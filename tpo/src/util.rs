//! Blocking work, and texts without repetitions.

use std::collections::HashSet;

use crate::error::Error;

/// Runs blocking work beside the runtime. Dropping the future does not stop the work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    textgrad_ops::util::fs::blocking(work).await
}

/// The texts in their order, equal ones once.
pub(crate) fn dedup<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(*text)).collect()
}
