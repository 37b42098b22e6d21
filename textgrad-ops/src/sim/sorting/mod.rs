//! Sorting questions: `Sort the following words alphabetically: pear apple fig`.
//!
//! They are of the kind that word sorting tests ask, over a word list of our own.

mod answer;
mod question;
#[cfg(test)]
mod tests;

use super::rng::Rng;

pub(crate) use self::question::Question;

/// How many words a question has.
const WORDS: (usize, usize) = (4, 10);
/// How often a word is taken from those beside the one before, which mostly begin alike.
const NEAR: f64 = 0.35;

/// In no order that matters, but words that begin alike stand together.
const LIST: &[&str] = &[
    "amber", "anchor", "ankle", "apron", "arrow", "attic", "basin", "basket", "beacon", "bellow",
    "bracket", "bramble", "branch", "candle", "canvas", "carbon", "cargo", "cellar", "chalk",
    "chapel", "charcoal", "damp", "dapple", "deputy", "dial", "dialect", "ember", "emblem",
    "engine", "fabric", "feather", "ferry", "fiddle", "filter", "gable", "gallop", "garnet",
    "glacier", "glimmer", "hamlet", "hammock", "harbor", "harvest", "hazel", "inlet", "island",
    "ivory", "jacket", "jasmine", "kernel", "kettle", "ladder", "lantern", "lattice", "ledger",
    "linen", "magnet", "mallet", "marble", "meadow", "mortar", "mosaic", "nettle", "nimble",
    "orbit", "orchard", "otter", "paddle", "parcel", "pebble", "pepper", "pillar", "plaster",
    "quarry", "quartz", "rafter", "ravine", "ribbon", "rivet", "saddle", "sandal", "sapling",
    "shadow", "shelter", "shingle", "tablet", "tallow", "timber", "tinder", "tunnel", "turnip",
    "umbrella", "valley", "velvet", "violet", "wagon", "walnut", "willow", "window", "yarrow",
    "zephyr",
];

/// Sorting questions with their answers: the words in order, a space between them.
///
/// The same seed gives the same questions on every machine, and the first ones of a longer list are those of
/// a shorter one.
///
/// # Examples
/// ```
/// use textgrad_ops::sim::sorting;
///
/// for (question, answer) in sorting::questions(3, 7) {
///     assert!(question.starts_with("Sort the following words alphabetically: "));
///     assert!(answer.split(' ').is_sorted());
/// }
/// ```
#[must_use]
pub fn questions(n: usize, seed: u64) -> Vec<(String, String)> {
    (0..n)
        .map(|index| {
            let mut rng = Rng::new(u64::try_from(index).unwrap_or(u64::MAX), seed);
            let words = words(&mut rng);
            let mut sorted = words.clone();
            sorted.sort_unstable();
            let text = format!("Sort the following words alphabetically: {}", words.join(" "));
            (text, sorted.join(" "))
        })
        .collect()
}

fn words(rng: &mut Rng) -> Vec<&'static str> {
    let many = WORDS.0 + rng.below(WORDS.1 - WORDS.0 + 1);
    let mut words: Vec<&str> = Vec::new();
    let mut last = 0;
    while words.len() < many {
        let anywhere = rng.below(LIST.len());
        let near = (last + 1 + rng.below(3)) % LIST.len();
        let index = if rng.chance(NEAR) && !words.is_empty() { near } else { anywhere };
        if let Some(word) = LIST.get(index)
            && !words.contains(word)
        {
            words.insert(rng.below(words.len() + 1), word);
            last = index;
        }
    }
    words
}
