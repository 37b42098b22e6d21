//! Texts without repetitions.

use std::collections::HashSet;

/// The texts in their order, equal ones once.
pub(crate) fn dedup<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    texts.into_iter().filter(|text| seen.insert(*text)).collect()
}
