//! Text of a length.

/// So many words, the same for the same seed and different for others: about six characters a word with the
/// space, as in English.
pub(crate) fn words(count: usize, seed: usize) -> String {
    const WORDS: [&str; 13] = [
        "river", "answer", "of", "table", "moves", "a", "reason", "quickly", "light", "because",
        "the", "garden", "turns",
    ];
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let words = (0..count).map(|_| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345) & 0x7fff_ffff;
        WORDS.get((state >> 8) % WORDS.len()).copied().unwrap_or_default()
    });
    words.collect::<Vec<_>>().join(" ")
}
