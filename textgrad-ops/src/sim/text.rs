//! Words, sentences and tokens.

use textgrad_core::{Choice, FinishReason, Sampling};

/// A text as lower-case words between single spaces, apostrophes dropped, numbers as `#`: what phrases are
/// looked for in.
pub(super) fn normalise(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(' ');
    let mut last = ' ';
    for c in text.chars() {
        last = match c {
            '0'..='9' if last == '#' => continue,
            '0'..='9' if last == ' ' => '#',
            'a'..='z' | '0'..='9' => c,
            'A'..='Z' => c.to_ascii_lowercase(),
            '\'' | '’' => continue,
            _ if !c.is_ascii() && c.is_alphanumeric() => {
                out.extend(c.to_lowercase());
                last = c;
                continue;
            }
            _ if last == ' ' => continue,
            _ => ' ',
        };
        out.push(last);
    }
    if last != ' ' {
        out.push(' ');
    }
    out
}

/// The entries of a list with `|` between them.
pub(super) fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split('|').filter(|entry| !entry.is_empty())
}

/// Whether one of the phrases occurs in a normalised text, as whole words.
pub(super) fn has_any(normalised: &str, phrases: impl IntoIterator<Item: AsRef<str>>) -> bool {
    first(normalised, phrases).is_some()
}

/// The position of the first of the phrases in a normalised text.
pub(super) fn first(
    normalised: &str,
    phrases: impl IntoIterator<Item: AsRef<str>>,
) -> Option<usize> {
    phrases.into_iter().filter_map(|phrase| position(normalised, phrase.as_ref())).min()
}

fn position(normalised: &str, phrase: &str) -> Option<usize> {
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

/// How many tokens a text has: four for every three words, rounded up, where a word is what stands
/// between spaces.
pub(super) fn tokens(text: &str) -> u64 {
    tokens_of(text.split_whitespace().count())
}

fn tokens_of(words: usize) -> u64 {
    u64::try_from(words).unwrap_or(u64::MAX).saturating_mul(4).div_ceil(3)
}

/// Ends a text where the sampling says.
pub(super) fn finish(mut text: String, sampling: &Sampling) -> Choice {
    let stop = sampling
        .stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()))
        .min();
    if let Some(stop) = stop {
        text.truncate(stop);
    }
    let Some(limit) = sampling.max_tokens.map(u64::from) else {
        return Choice::new(text, FinishReason::Stop);
    };
    if tokens(&text) <= limit {
        return Choice::new(text, FinishReason::Stop);
    }
    text.truncate(within(&text, limit));
    Choice::new(text, FinishReason::Length)
}

/// The length of the beginning of a text that has so many tokens at most.
fn within(text: &str, limit: u64) -> usize {
    let (mut words, mut end) = (0, 0);
    for part in text.split_inclusive(char::is_whitespace) {
        words += usize::from(!part.trim().is_empty());
        if tokens_of(words) > limit {
            break;
        }
        end += part.len();
    }
    text.get(..end).map_or(0, |kept| kept.trim_end().len())
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
        assert!(has_any(&text, ["for example"]));
        assert!(!has_any(&text, entries("or exam|here it|xample")));
    }

    #[test]
    fn an_answer_ends_at_the_first_bound_that_it_meets() {
        let finish = |stop: &[&str], max_tokens: Option<u32>| {
            let sampling = Sampling {
                stop: stop.iter().map(ToString::to_string).collect(),
                max_tokens,
                ..Sampling::default()
            };
            let choice = finish("one  two\nthrée four".to_owned(), &sampling);
            (choice.text, choice.finish_reason)
        };
        let text = |text: &str, reason| (text.to_owned(), reason);
        let whole = "one  two\nthrée four";
        assert_eq!(finish(&[], None), text(whole, FinishReason::Stop));
        assert_eq!(finish(&[], Some(6)), text(whole, FinishReason::Stop));
        assert_eq!(finish(&[], Some(5)), text("one  two\nthrée", FinishReason::Length));
        assert_eq!(finish(&[], Some(3)), text("one  two", FinishReason::Length));
        assert_eq!(finish(&[], Some(1)), text("", FinishReason::Length));
        assert_eq!(finish(&["four", "two", ""], None), text("one  ", FinishReason::Stop));
        assert_eq!(finish(&["four"], Some(3)), text("one  two", FinishReason::Length));
        assert_eq!(finish(&["two"], Some(3)), text("one  ", FinishReason::Stop));
    }

    #[test]
    fn tokens_are_four_for_three_words() {
        assert_eq!(["", "a", "a b", "a b c", "a b c d"].map(tokens), [0, 2, 3, 4, 6]);
    }
}
