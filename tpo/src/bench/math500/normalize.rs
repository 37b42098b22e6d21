//! The boxed answer of a solution, and the two normal forms of the rules.

use std::sync::LazyLock;

use regex::Regex;

use super::latex;

/// What the last `\boxed{}` of a solution holds, braces matched; none if there is none, or if its braces are
/// not closed, as in a solution that was cut off.
///
/// # Examples
/// ```
/// use tpo::bench::math500::last_boxed;
///
/// assert_eq!(last_boxed(r"\boxed{1} or \boxed{\frac{1}{2}}."), Some(r"\frac{1}{2}"));
/// assert_eq!(last_boxed(r"\boxed{1} or \boxed{\frac{1}{2}."), None);
/// ```
#[must_use]
pub fn last_boxed(solution: &str) -> Option<&str> {
    let (_, rest) = solution.rsplit_once("\\boxed")?;
    let inside = rest.trim_start().strip_prefix('{')?;
    let mut open = 1_usize;
    let mut escaped = false;
    for (place, letter) in inside.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => open += 1,
            '}' => {
                open -= 1;
                if open == 0 {
                    return inside.split_at_checked(place).map(|(held, _)| held);
                }
            }
            _ => {}
        }
    }
    None
}

/// The normal form of the data set's own grader. Where its rules do not fit a text, the text stays as it is.
pub(super) fn first_normal_form(answer: &str) -> String {
    let answer = without_text(answer.trim());
    let answer = answer.trim();
    strip(answer).unwrap_or_else(|| answer.to_owned())
}

/// None where the rules stumble: over two units, or a root or a fraction of nothing.
fn strip(answer: &str) -> Option<String> {
    let mut text = answer.replace('\n', "").replace("\\!", "").replace("\\\\", "\\");
    for (from, to) in [
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("\\left", ""),
        ("\\right", ""),
        ("^{\\circ}", ""),
        ("^\\circ", ""),
        ("\\$", ""),
    ] {
        text = text.replace(from, to);
    }
    text = without_unit(&text)?;
    for (from, to) in [("\\%", ""), (" .", " 0."), ("{.", "{0.")] {
        text = text.replace(from, to);
    }
    if text.is_empty() {
        return Some(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    // A name before an equals sign, as in `x = 5`.
    if let [name, value] = text.split('=').collect::<Vec<_>>().as_slice()
        && name.chars().count() <= 2
    {
        text = (*value).to_owned();
    }
    text = braced_roots(&text)?.replace(' ', "");
    text = braced_fractions(&text)?;
    if text == "0.5" {
        text = "\\frac{1}{2}".to_owned();
    }
    Some(slashed(&text).unwrap_or(text))
}

fn without_unit(text: &str) -> Option<String> {
    match text.split("\\text{ ").collect::<Vec<_>>().as_slice() {
        [text] | [text, _] => Some((*text).to_owned()),
        _ => None,
    }
}

fn braced_roots(text: &str) -> Option<String> {
    let mut parts = text.split("\\sqrt");
    let mut braced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        braced.push_str("\\sqrt");
        let mut letters = part.chars();
        match letters.next()? {
            '{' => braced.push_str(part),
            letter => {
                braced.push_str(&format!("{{{letter}}}{}", letters.as_str()));
            }
        }
    }
    Some(braced)
}

/// Braces around the parts of `\frac12` and `\frac1{2}`. A fraction with one part leaves the text as it is.
fn braced_fractions(text: &str) -> Option<String> {
    let mut parts = text.split("\\frac");
    let mut braced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        braced.push_str("\\frac");
        let mut letters = part.chars();
        let over = letters.next()?;
        if over == '{' {
            braced.push_str(part);
            continue;
        }
        let Some(under) = letters.next() else { return Some(text.to_owned()) };
        let rest = letters.as_str();
        match under {
            '{' => braced.push_str(&format!("{{{over}}}{{{rest}")),
            under => braced.push_str(&format!("{{{over}}}{{{under}}}{rest}")),
        }
    }
    Some(braced)
}

/// A fraction of two whole numbers with a slash, in the form of `\frac`.
fn slashed(text: &str) -> Option<String> {
    let (over, under) = text.split_once('/')?;
    let whole = |part: &str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        let plain = digits.chars().all(|letter| letter.is_ascii_digit());
        // As Python writes an integer: no zero in front, and no minus before zero.
        plain && !digits.is_empty() && (part == "0" || !digits.starts_with('0'))
    };
    (whole(over) && whole(under)).then(|| format!("\\frac{{{over}}}{{{under}}}"))
}

/// Units, in the order in which they are taken away.
const UNITS: &str =
    "degree cm centimeter meter mile second minute hour day week month year foot feet inch yard";

struct Patterns {
    text: Option<Regex>,
    units: Vec<Regex>,
    degree: Option<Regex>,
    thin_space: Option<Regex>,
    minus: Option<Regex>,
    mixed: Option<Regex>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).ok();
    Patterns {
        text: regex(r"^\\text\{(.+?)\}$"),
        units: UNITS
            .split(' ')
            .filter_map(|unit| regex(&format!(r"{unit}(es)?(s)? *(\^[0-9]+)?")))
            .collect(),
        degree: regex(r"\^ *\\circ"),
        thin_space: regex(r",\\! *"),
        minus: regex("- *"),
        mixed: regex("([0-9]) +([0-9])"),
    }
});

fn replace(pattern: &Option<Regex>, text: &str, with: &str) -> String {
    pattern.as_ref().map_or_else(|| text.to_owned(), |found| found.replace_all(text, with).into())
}

/// What stands in a `\text{}` that is all there is.
fn without_text(text: &str) -> &str {
    let found = PATTERNS.text.as_ref().and_then(|pattern| pattern.captures(text));
    found.and_then(|found| found.get(1)).map_or(text, |inner| inner.as_str())
}

/// The normal form of the rules, or why it cannot be told: then the text has LaTeX in it that is not known here.
pub(super) fn second_normal_form(answer: &str) -> Result<String, String> {
    let mut text = without_text(answer).to_owned();
    for (from, to) in [
        ("\\%", "%"),
        ("\\$", "$"),
        ("$", ""),
        ("%", ""),
        (" or ", " , "),
        (" and ", " , "),
        ("million", "*10^6"),
        ("billion", "*10^9"),
        ("trillion", "*10^12"),
    ] {
        text = text.replace(from, to);
    }
    for unit in &PATTERNS.units {
        text = unit.replace_all(&text, "").into_owned();
    }
    text = replace(&PATTERNS.degree, &text, "");
    if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        text = inner.to_owned();
    }
    text = replace(&PATTERNS.thin_space, &text, "");
    if let Some(number) = float(&text).filter(|number| is_whole(*number)) {
        text = digits(number.round_ties_even());
    }
    if text.contains('\\') {
        text = latex::plain(&text)?;
    }
    text = replace(&PATTERNS.minus, &text, "-");
    // A mixed number, as in 7 3/4.
    text = replace(&PATTERNS.mixed, &text, "${1}+${2}");
    text = text.replace([' ', '{', '}'], "").to_lowercase();
    if is_integer(&text)
        && let Some(number) = float(&text.replace(',', ""))
    {
        // Cut off and not rounded, which differs for a number that is nearly whole.
        text = digits(number.trunc());
    }
    Ok(text)
}

/// A number as Python's `float` reads a text: white space around it and single underscores between digits are
/// allowed, and so are infinities.
pub(super) fn float(text: &str) -> Option<f64> {
    let parts: Vec<&str> = text.trim().split('_').collect();
    let digit = |side: Option<char>| side.is_some_and(|side| side.is_ascii_digit());
    let joined = parts
        .iter()
        .zip(parts.iter().skip(1))
        .all(|(before, after)| digit(before.chars().next_back()) && digit(after.chars().next()));
    if joined { parts.concat().parse().ok() } else { None }
}

/// Whether a number is whole, or nearly.
pub(super) fn is_whole(number: f64) -> bool {
    number.is_finite() && (number - number.round_ties_even()).abs() <= 1e-7
}

/// Whether a text, without the commas between its thousands, is a whole number.
pub(super) fn is_integer(text: &str) -> bool {
    float(&without_commas(text)).is_some_and(is_whole)
}

/// A whole number as digits.
fn digits(number: f64) -> String {
    // Not -0.
    format!("{:.0}", number + 0.0)
}

/// Takes the commas between thousands away, not those of a list.
pub(super) fn without_commas(text: &str) -> String {
    static THOUSANDS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\d)(,)(\d\d\d)($|\D)").ok());
    let mut text = text.to_owned();
    while let Some(thousands) = THOUSANDS.as_ref() {
        let next = thousands.replace_all(&text, "${1}${3}${4}").into_owned();
        if next == text {
            break;
        }
        text = next;
    }
    text
}

/// Whether a text is a fraction of two whole numbers, with up to one odd letter after each.
pub(super) fn is_fraction(text: &str) -> bool {
    static FRACTION: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^-?[0-9]+.?/0*[1-9][0-9]*.?$").ok());
    FRACTION.as_ref().is_some_and(|fraction| fraction.is_match(text))
}

#[cfg(test)]
mod tests;
