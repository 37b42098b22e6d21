//! The name that was probably meant.

/// The known name that differs least from a text, unless more than half of it differs. Of equals the first.
pub(super) fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_lowercase();
    known
        .into_iter()
        .map(|name| (edits(&text, name), name))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, name)| edits * 2 <= name.chars().count())
        .map(|(_, name)| name)
}

/// The Levenshtein distance: the fewest characters to insert, delete or replace.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, from) in from.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        let mut left = line + 1;
        next.push(left);
        for (pair, to) in row.windows(2).zip(&to) {
            let [diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(from != *to)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("flaw", "lawn", 2),
            ("é", "e", 1),
        ] {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn a_slip_is_understood_and_nonsense_is_not() {
        let known = ["openai", "ollama", "xai"];
        assert_eq!(nearest("OpenAI", known), Some("openai"));
        assert_eq!(nearest("olama", known), Some("ollama"));
        assert_eq!(nearest("claude", known), None);
        assert_eq!(nearest("", known), None);
    }
}
