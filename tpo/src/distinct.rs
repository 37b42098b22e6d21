//! Texts without repetitions.

use std::collections::HashSet;

/// Texts in the order in which they came, equal ones once.
pub(crate) fn distinct<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(*text)).collect()
}
