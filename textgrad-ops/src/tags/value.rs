//! Values that models write: grades, numbers, words of a list.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value as Json};
use textgrad_core::truncate;

use super::fence;
use crate::util::json::read_lenient;

/// Reads a grade within a scale, also as `7/10` or `7 out of 10` where 10 is the highest, with marks of Markdown,
/// quotes, brackets or a label (`Score: 7`) around it. A range, two different grades and a grade of another
/// scale are none.
///
/// # Errors
/// The problem, with the text.
///
/// # Examples
/// ```
/// use textgrad_ops::score::read_grade;
///
/// for text in ["7", "**7**", "[[7]]", "Score: 7", "7/10", "7 out of 10", "７"] {
///     assert_eq!(read_grade(text, 0.0..=10.0), Ok(7.0));
/// }
/// assert!(read_grade("7-8", 0.0..=10.0).is_err());
/// ```
pub fn read_grade(text: &str, scale: RangeInclusive<f64>) -> Result<f64, String> {
    let (lowest, highest) = (*scale.start(), *scale.end());
    let number = agreed(text, |text| {
        let Number { value, of, second } = number(text)?;
        let is_ours = of.is_none_or(|of| of.total_cmp(&highest).is_eq());
        // `7,8` may be two grades.
        let is_one = second.is_none_or(|second| !scale.contains(&second));
        (is_ours && is_one && scale.contains(&value)).then_some(value)
    });
    number.ok_or_else(|| problem(format!("a number from {lowest} to {highest}"), text))
}

/// Reads a number with the same decorations. A number of a scale (`7/10`) is none.
///
/// # Errors
/// The problem, with the text.
pub(crate) fn read_number(text: &str) -> Result<f64, String> {
    let read =
        |text: &str| number(text).filter(|number| number.of.is_none() && number.second.is_none());
    agreed(text, |text| read(text).map(|number| number.value))
        .ok_or_else(|| problem("a number", text))
}

/// Reads one of some words, each with its value, with the decorations of a grade. Letter case does not matter unless
/// two words differ by nothing else. Words of different values and any other word are none.
///
/// # Errors
/// The problem, with the text.
///
/// # Examples
/// ```
/// use textgrad_ops::score::read_word;
///
/// let words = [("yes", true), ("no", false)];
/// assert_eq!(read_word("**Yes.**", &words), Ok(true));
/// assert!(read_word("yes and no", &words).is_err());
/// assert!(read_word("no answer", &words).is_err());
/// ```
pub fn read_word<T: Copy + PartialEq>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    word(&plain(text), words).ok_or_else(|| {
        let mut values = Vec::new();
        let mut expected = Vec::new();
        for (word, value) in words {
            if !values.contains(value) {
                values.push(*value);
                expected.push(*word);
            }
        }
        let expected = match expected.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => "nothing".to_owned(),
        };
        problem(expected, text)
    })
}

fn word<T: Copy + PartialEq>(bare: &str, words: &[(&str, T)]) -> Option<T> {
    let is_known = |c: char| c.is_alphanumeric() || is_decoration(c) || ".,:;!=".contains(c);
    if !bare.chars().all(is_known) {
        return None;
    }
    let find = |token: &str| {
        let exact = words.iter().find(|(word, _)| *word == token);
        let mut alike = words.iter().filter(|(word, _)| word.eq_ignore_ascii_case(token));
        let alike = alike.next().filter(|_| alike.next().is_none());
        exact.or(alike).map(|(_, value)| *value)
    };
    let mut found = None;
    let mut rest = bare.trim_start_matches(|c: char| !c.is_alphanumeric());
    while !rest.is_empty() {
        let behind = rest.trim_start_matches(char::is_alphanumeric);
        let token = rest.strip_suffix(behind).unwrap_or_default();
        rest = behind.trim_start_matches(|c: char| !c.is_alphanumeric());
        // The word that follows within the same phrase.
        let next = behind.trim_start_matches(' ');
        let next = next.strip_suffix(next.trim_start_matches(char::is_alphanumeric));
        let next = next.unwrap_or_default();
        if token.eq_ignore_ascii_case("no") && is_label(next) && !VERBS.contains(&next) {
            // `no answer`
            return None;
        }
        match find(token) {
            // `a tie`
            Some(_)
                if token.eq_ignore_ascii_case("a") && next.len() > 1 && find(next).is_some() => {}
            Some(value) if found.is_some_and(|found| found != value) => return None,
            Some(value) => found = Some(value),
            None if is_label(token) => {}
            None => return None,
        }
    }
    found
}

/// Labels that may follow a value.
const VERBS: [&str; 2] = ["is", "wins"];

fn problem(expected: impl Display, got: &str) -> String {
    let got = truncate(got, 40);
    format!("expected {expected} between the tags, got {got:?}")
}

/// The words that may stand beside a value.
const LABELS: &str = "the|my|is|it|this|final|overall|total|verdict|score|grade|rating|mark|value|result|number|\
                      answer|response|winner|better|best|wins|option|output|choice|judgment|judgement|boxed|\
                      assistant|model|candidate|completion|decision|preference|i|would|rate|give|choose|prefer|pick";

fn is_label(word: &str) -> bool {
    LABELS.split('|').any(|label| label.eq_ignore_ascii_case(word))
}

const DECORATION: &str = "*_`\"'“”‘’„«»[](){}$#>\\";

fn is_decoration(c: char) -> bool {
    c.is_whitespace() || DECORATION.contains(c)
}

/// A number as it is written.
struct Number {
    value: f64,
    /// The highest of its scale.
    of: Option<f64>,
    /// The digits behind a decimal comma, as a number of their own.
    second: Option<f64>,
}

fn number(text: &str) -> Option<Number> {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let around = format!(r"[\s{}]*", regex::escape(DECORATION));
        let value = r"[+-]?(?:\d+(?:[.,]\d+)?|\.\d+)(?:e[+-]?\d+)?";
        let label = format!(r"(?:(?:{LABELS})\b{around}(?:(?:of|[:=])\s*)?{around})*");
        let of = format!(r"(?:(?:/|out\s+of\b|of\b){around}(?P<of>{value}){around})?");
        let unit = format!(r"(?:(?:points?|pts?)\b{around})?");
        let end = format!("[.!,;]?{around}");
        let whole =
            format!(r"(?is)^{around}{label}(?:an?\s+)?(?P<value>{value}){around}{of}{unit}{end}$");
        Regex::new(&whole).ok()
    });
    let found = PATTERN.as_ref()?.captures(text)?;
    let value = found.name("value")?.as_str();
    let second = match value.split_once(',') {
        // It may separate thousands.
        Some((_, digits)) if digits.len() == 3 => return None,
        Some((_, digits)) => Some(digits.parse().ok()?),
        None => None,
    };
    let parse = |text: &str| text.replace(',', ".").parse::<f64>().ok().filter(|n| n.is_finite());
    let of = match found.name("of") {
        Some(of) => Some(parse(of.as_str())?),
        None => None,
    };
    Some(Number { value: parse(value)?, of, second })
}

/// The value of a text, or of each of its lines where these have the same.
fn agreed<T: PartialEq>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let bare = plain(text);
    if let Some(value) = read(&bare) {
        return Some(value);
    }
    let mut lines = bare.lines().filter(|line| !line.chars().all(is_decoration)).map(read);
    let first = lines.next()??;
    lines.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

/// The text without entities, escapes, fullwidth forms, fences and enclosing tags.
pub(super) fn plain(text: &str) -> String {
    let unescaped = unescape(text);
    let mut plain = String::with_capacity(unescaped.len());
    for c in unescaped.chars() {
        match c {
            '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' => {}
            '\u{3000}' => plain.push(' '),
            '。' => plain.push('.'),
            '−' => plain.push('-'),
            '\u{ff01}'..='\u{ff5e}' => plain.extend(char::from_u32(u32::from(c) - 0xfee0)),
            c => plain.push(c),
        }
    }
    let mut bare = plain.trim();
    loop {
        let unfenced = fence::whole(bare).map_or(bare, |fenced| fenced.inner);
        let inner = untag(unfenced).unwrap_or(unfenced);
        if inner.len() == bare.len() {
            return field(inner).unwrap_or_else(|| inner.to_owned());
        }
        bare = inner.trim();
    }
}

/// The value in a JSON object: that of its only field whose name is a label, such as `score`.
fn field(text: &str) -> Option<String> {
    let fields: Map<String, Json> =
        text.starts_with('{').then(|| read_lenient(text).ok()).flatten()?;
    let is_value = |(name, _): &(&String, &Json)| name.split(['_', ' ']).all(is_label);
    let mut values = fields.iter().filter(is_value);
    let (_, value) = values.next().filter(|_| values.next().is_none())?;
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text with the characters that entities of HTML stand for.
pub(super) fn unescape(text: &str) -> String {
    const ENTITIES: [(&str, &str); 8] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let mut text = text.to_owned();
    for (entity, character) in ENTITIES {
        if text.contains(entity) {
            text = text.replace(entity, character);
        }
    }
    text
}

/// The text between an opening and a closing tag of one name that enclose the whole.
fn untag(text: &str) -> Option<&str> {
    let (name, inner) = text.strip_prefix('<')?.split_once('>')?;
    let (inner, last) = inner.strip_suffix('>')?.rsplit_once("</")?;
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let is_tag = !name.is_empty() && name.chars().all(is_name);
    (is_tag && name.eq_ignore_ascii_case(last.trim())).then_some(inner)
}
