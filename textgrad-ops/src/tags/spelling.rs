//! Tags in the spellings of models: letter case, blanks, escapes, entities, attributes.

use std::ops::Range;

use crate::util::scan::positions;

/// The forms of `<`.
const LESS: [&str; 4] = ["<", "\\<", "&lt;", "＜"];
/// The forms of `>`.
const GREATER: [&str; 4] = [">", "\\>", "&gt;", "＞"];
/// The forms of a joint in a name, which may also be missing.
const JOINTS: [&str; 5] = ["\\_", "_", "\\-", "-", " "];

/// The tags of sections in requests. A model that copies them around the whole of its text did not write them.
pub(super) const SECTIONS: [&str; 8] = [
    "VARIABLE",
    "PAST_VARIABLE",
    "LM_OUTPUT",
    "RESPONSE",
    "CHOSEN_RESPONSE",
    "REJECTED_RESPONSE",
    "PAST_RESPONSE",
    "IMPROVED_VARIABLE",
];

/// Places of a tag in a text, in any spelling: start and length in bytes. A tag that is not `<NAME>` or
/// `</NAME>` has one spelling.
pub(super) fn places(text: &str, tag: &str) -> Vec<(usize, usize)> {
    let Some((name, is_end)) = name_of(tag) else {
        return text.match_indices(tag).map(|(at, _)| (at, tag.len())).collect();
    };
    // The last is the first byte of `＜` and of other characters.
    let starts = positions(text, |byte| matches!(byte, b'<' | b'\\' | b'&' | 0xEF));
    let mut places: Vec<(usize, usize)> = Vec::new();
    for at in starts {
        let is_within = places.last().is_some_and(|(before, length)| at < before + length);
        let tail = text.get(at..).unwrap_or_default();
        if let Some(length) = (!is_within).then(|| length_of(tail, name, is_end)).flatten() {
            places.push((at, length));
        }
    }
    places
}

/// The part between `<NAME>` and `</NAME>`, if these enclose the whole of it and there is no third.
pub(super) fn unwrap(text: &str, name: &str) -> Option<Range<usize>> {
    let from = length_of(text, name, false)?;
    let [(to, length)] = places(text, &format!("</{name}>")).try_into().ok()?;
    let is_whole = to + length == text.len() && places(text, &format!("<{name}>")).len() == 1;
    is_whole.then_some(from..to)
}

/// The name in `<NAME>` or `</NAME>`, and whether it is the second.
fn name_of(tag: &str) -> Option<(&str, bool)> {
    let inner = tag.strip_prefix('<')?.strip_suffix('>')?;
    let (name, is_end) = inner.strip_prefix('/').map_or((inner, false), |name| (name, true));
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, is_end))
}

/// The length of the tag that a text begins with.
fn length_of(text: &str, name: &str, is_end: bool) -> Option<usize> {
    let mut rest = one_of(text, &LESS)?;
    rest = blanks(rest);
    if is_end {
        rest = blanks(one_of(rest, &["/", "\\/", "／"])?);
    }
    for letter in name.chars() {
        rest = match letter {
            '_' | '-' => one_of(rest, &JOINTS).unwrap_or(rest),
            letter => {
                let next = rest.chars().next()?;
                let is_same = next == letter || next.to_lowercase().eq(letter.to_lowercase());
                rest.get(next.len_utf8()..).filter(|_| is_same)?
            }
        };
    }
    if !is_end {
        while let Some(behind) = attribute(rest) {
            rest = behind;
        }
    }
    rest = one_of(blanks(rest), &GREATER)?;
    Some(text.len() - rest.len())
}

/// What follows an attribute, ` key="value"`, at the beginning of a text.
fn attribute(text: &str) -> Option<&str> {
    let key = blanks(text);
    let is_key = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    let behind = key.trim_start_matches(is_key);
    if key.len() == text.len() || behind.len() == key.len() {
        return None;
    }
    let value = blanks(blanks(behind).strip_prefix('=')?);
    for quote in ["\"", "'", "&quot;"] {
        if let Some(quoted) = value.strip_prefix(quote) {
            return quoted.split_once(quote).map(|(_, behind)| behind);
        }
    }
    let is_end = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '&' | '＞');
    value.find(is_end).and_then(|end| value.get(end..))
}

fn one_of<'a>(text: &'a str, forms: &[&str]) -> Option<&'a str> {
    forms.iter().find_map(|form| text.strip_prefix(form))
}

/// The text without white space and marks of Markdown at its beginning.
fn blanks(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '`'))
}
