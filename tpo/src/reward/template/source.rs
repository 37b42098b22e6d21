//! Tags that only Hugging Face's library knows.

/// The template with `{% generation %}` blocks, which mark an answer's tokens for training and print their
/// content, written as a block that every Jinja knows.
pub(super) fn plain(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        plain.push_str(before);
        plain.push_str("{%");
        let word = tag.trim_start_matches(['-', '+']).trim_start();
        let lead = tag.strip_suffix(word).unwrap_or_default();
        let (name, statement) = match word {
            _ if is_word(word, "endgeneration") => ("endgeneration", "endif"),
            _ if is_word(word, "generation") => ("generation", "if true"),
            _ => ("", ""),
        };
        plain.push_str(lead);
        plain.push_str(statement);
        rest = word.strip_prefix(name).unwrap_or(word);
    }
    plain.push_str(rest);
    plain
}

fn is_word(text: &str, word: &str) -> bool {
    let next = text.strip_prefix(word).map(|rest| rest.chars().next());
    matches!(next, Some(Some(next)) if !next.is_alphanumeric() && next != '_')
}
