//! Words and sentences.

/// A text as lower-case words between single spaces, apostrophes dropped, numbers as `#`: what phrases are
/// looked for in.
pub(super) fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(' ');
    for c in text.chars() {
        if c.is_alphanumeric() {
            let number = c.is_ascii_digit();
            if number && out.ends_with('#') {
                continue;
            }
            if number && out.ends_with(' ') {
                out.push('#');
            } else {
                out.extend(c.to_lowercase());
            }
        } else if !matches!(c, '\'' | '’') && !out.ends_with(' ') {
            out.push(' ');
        }
    }
    if !out.ends_with(' ') {
        out.push(' ');
    }
    out
}

/// Whether one of the phrases occurs in a normalised text, as whole words.
pub(super) fn has_any(normalised: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| has(normalised, phrase))
}

fn has(normalised: &str, phrase: &str) -> bool {
    place(normalised, phrase).is_some()
}

/// Where a phrase begins in a normalised text, as whole words.
pub(super) fn place(normalised: &str, phrase: &str) -> Option<usize> {
    let bytes = normalised.as_bytes();
    normalised.match_indices(phrase).map(|(start, _)| start).find(|start| {
        let before = start.checked_sub(1).and_then(|at| bytes.get(at));
        before == Some(&b' ') && bytes.get(start + phrase.len()) == Some(&b' ')
    })
}

/// A text as sentences, each with the space that follows it; put together they are the text.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = 0;
    let mut ended = false;
    let mut blank = true;
    for (at, c) in text.char_indices() {
        if ended && !blank && !c.is_whitespace() && !is_closer(c) {
            out.extend(text.get(start..at));
            (start, ended, blank) = (at, false, true);
        }
        match c {
            // Line breaks before its first word are part of a sentence.
            '\n' if blank => {}
            '\n' | '。' | '！' | '？' => ended = true,
            '.' | '!' | '?' => {
                // `1.` numbers an item of a list.
                let so_far = text.get(start..at).unwrap_or_default().trim();
                let number = !so_far.is_empty() && so_far.bytes().all(|b| b.is_ascii_digit());
                ended = !number
                    && text
                        .get(at + 1..)
                        .and_then(|rest| rest.chars().next())
                        .is_none_or(|next| next.is_whitespace() || is_closer(next));
            }
            _ => {}
        }
        blank = blank && c.is_whitespace();
    }
    out.extend(text.get(start..).filter(|rest| !rest.is_empty()));
    out
}

fn is_closer(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_put_together_are_the_text() {
        for text in [
            "",
            " ",
            "One. Two!  Three? \"Four.\" Five",
            "1. First\n2. Second\n\n- third 3.14 e.g. this",
            "你好。再见！",
            "...",
            "\n\n",
            "No end",
            "\nOne. \n Two",
        ] {
            assert_eq!(sentences(text).concat(), text);
        }
        assert_eq!(sentences("One. Two (or so.) Three"), ["One. ", "Two (or so.) ", "Three"]);
        assert_eq!(sentences("\n\n One. Two\n\nthree"), ["\n\n One. ", "Two\n\n", "three"]);
        assert_eq!(sentences("1. Stir.\n2. Eat 3.5 pies."), ["1. Stir.\n", "2. Eat 3.5 pies."]);
    }

    #[test]
    fn phrases_match_whole_words_only() {
        let text = normalise("Don't count 1,234 or 12: it's FOR-EXAMPLE here");
        assert_eq!(text, " dont count # # or # its for example here ");
        assert!(has_any(&text, &["for example"]));
        assert!(!has_any(&text, &["or exam", "here it", "xample"]));
    }
}
