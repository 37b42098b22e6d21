//! Comparisons of the last number with the expected one.

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::Error;

use super::{Example, Scorer, Verdict};

/// Whether the last number of the prediction is the expected one.
///
/// A number may have a sign (a hyphen, a minus or an en dash, also before the sign of a currency: `-$5`), a
/// fraction behind a point, and an exponent; digits that follow an ASCII letter (`H2`) are none. Digits are
/// those of any script.
///
/// Thousands may be separated: after one to three digits, each group of exactly three that follows one of
/// these, always the same, belongs to the number: a comma, a space (plain, no-break, narrow no-break, thin), an
/// apostrophe, and LaTeX's `{,}` and `\\,`. So `1 000` is one number and `3 4` are two. Between spaces and
/// apostrophes the first group does not begin with 0. A comma is never that of a fraction.
///
/// # Examples
/// ```
/// use textgrad_ops::score::{Scorer, Example, NumericMatch};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let example = Example::new("1").with_expected("3.14");
/// let close = NumericMatch::new().tolerance(0.01);
/// assert_eq!(close.score("First 2, then 3.142.", &example).await?.passed(), Some(true));
/// assert_eq!(close.score("I do not know.", &example).await?.passed(), Some(false));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Setters)]
pub struct NumericMatch {
    /// How far the numbers may be from each other, at most; default: 0.
    tolerance: f64,
    #[setters(skip)]
    digits: bool,
}

impl NumericMatch {
    /// Numbers must be the same.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The rule by which TextGrad reads answers to BIG-Bench Hard: of the last word that holds a digit, the
    /// digits before its first point. Signs and everything else are left out.
    #[must_use]
    pub fn big_bench_hard() -> Self {
        Self { tolerance: 0.0, digits: true }
    }

    fn read(self, text: &str) -> Option<f64> {
        if self.digits { last_digits(text) } else { last_number(text) }
    }
}

#[async_trait]
impl Scorer for NumericMatch {
    fn name(&self) -> &str {
        if self.digits { "numeric match (BIG-Bench Hard)" } else { "numeric match" }
    }

    async fn score(&self, prediction: &str, example: &Example) -> Result<Verdict, Error> {
        let expected = self.read(example.answer()?);
        let expected = expected.ok_or_else(|| example.unusable_answer("hold a number"))?;
        let got = self.read(prediction);
        Ok(got.is_some_and(|got| (got - expected).abs() <= self.tolerance.max(0.0)).into())
    }
}

fn last_digits(text: &str) -> Option<f64> {
    let is_digit = |c: &char| c.is_ascii_digit();
    let word = text.split_whitespace().rfind(|word| word.chars().any(|c| c.is_ascii_digit()))?;
    let whole: String = word.split('.').next()?.chars().filter(is_digit).collect();
    whole.parse().ok()
}

/// The digit zero of scripts whose ten digits are consecutive code points.
const ZEROS: &str = "\u{660}\u{6f0}\u{966}\u{9e6}\u{a66}\u{ae6}\u{b66}\u{be6}\u{c66}\u{ce6}\u{d66}\u{e50}\
    \u{ed0}\u{f20}\u{1040}\u{17e0}\u{1810}\u{ff10}\u{1d7ce}\u{1d7d8}\u{1d7e2}\u{1d7ec}\u{1d7f6}";

/// A digit of any script, and the Arabic signs between digits, as ASCII has them.
fn ascii(c: char) -> char {
    match c {
        '\u{66b}' => '.',
        '\u{66c}' => ',',
        c if c.is_ascii() => c,
        c => {
            let value =
                |zero: char| u32::from(c).checked_sub(u32::from(zero)).filter(|value| *value < 10);
            let digit = ZEROS.chars().find_map(value);
            digit.and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
        }
    }
}

/// The last number of a text.
pub(super) fn last_number(text: &str) -> Option<f64> {
    let chars: Vec<char> = text.chars().map(ascii).collect();
    let (mut at, mut last) = (0, None);
    while at < chars.len() {
        match number_at(&chars, at) {
            Some((number, end)) => {
                last = Some(number);
                at = end;
            }
            None => at += 1,
        }
    }
    last
}

/// The number that begins at a place, without its sign there, and where it ends.
fn number_at(chars: &[char], start: usize) -> Option<(f64, usize)> {
    let at = |place: usize| chars.get(place).copied();
    let is_digit = |place: usize| at(place).is_some_and(|c| c.is_ascii_digit());
    let digits_from = |place: usize| (place..).take_while(|place| is_digit(*place)).count();

    let leading_point = at(start) == Some('.') && is_digit(start + 1);
    let before = start.checked_sub(1).and_then(at);
    let inside_word = before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if !(is_digit(start) || leading_point) || inside_word {
        // Digits inside of a word are passed over as a whole: `H20` holds no number 0.
        return None;
    }
    let mut text = String::new();
    if is_negative(chars.get(..start).unwrap_or_default()) {
        text.push('-');
    }
    let mut end = start + digits_from(start);
    text.extend((start..end).filter_map(at));
    if (1..=3).contains(&(end - start)) {
        let separator = separator(chars, end);
        while let Some((kind, length)) = self::separator(chars, end)
            && Some((kind, length)) == separator
            && digits_from(end + length) == 3
            && (matches!(kind, ',' | '{' | '\\') || at(start) != Some('0'))
        {
            let from = end + length;
            text.extend((from..from + 3).filter_map(at));
            end = from + 3;
        }
    }
    if at(end) == Some('.') && is_digit(end + 1) {
        let to = end + 1 + digits_from(end + 1);
        text.extend((end..to).filter_map(at));
        end = to;
    }
    if matches!(at(end), Some('e' | 'E')) {
        let sign = usize::from(matches!(at(end + 1), Some('+' | '-')));
        let digits = digits_from(end + 1 + sign);
        if digits > 0 {
            let to = end + 1 + sign + digits;
            text.extend((end..to).filter_map(at));
            end = to;
        }
    }
    Some((text.parse().ok()?, end.max(start + 1)))
}

/// What separates thousands at a place: its first character and its length.
fn separator(chars: &[char], place: usize) -> Option<(char, usize)> {
    match chars.get(place..)? {
        ['{', ',', '}', ..] => Some(('{', 3)),
        ['\\', ',', ..] => Some(('\\', 2)),
        [kind @ (',' | ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '\u{2019}'), ..] => {
            Some((*kind, 1))
        }
        _ => None,
    }
}

/// Whether there is a minus before a number, or before the sign of a currency before it. One between two
/// things is an operator or a hyphen.
fn is_negative(before: &[char]) -> bool {
    let before = match before {
        [rest @ .., '\\', '$'] => rest,
        [
            rest @ ..,
            '$' | '¢' | '£' | '¤' | '¥' | '\u{20a0}'..='\u{20cf}' | '\u{ff04}' | '\u{ffe5}',
        ] => rest,
        rest => rest,
    };
    match before {
        [rest @ .., '-' | '\u{2212}' | '\u{2013}' | '\u{fe63}' | '\u{ff0d}'] => {
            !rest.last().is_some_and(|c| c.is_alphanumeric() || *c == ')')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read() {
        for (text, number) in [
            ("", None),
            ("none", None),
            ("It is 7.", Some(7.0)),
            ("$1,234,567.50 in all", Some(1_234_567.5)),
            ("1,2,3", Some(3.0)),
            ("1,23", Some(23.0)),
            ("1234,567", Some(567.0)),
            ("x = -5", Some(-5.0)),
            ("10-5", Some(5.0)),
            ("(3)-2", Some(2.0)),
            ("\u{2212}4", Some(-4.0)),
            ("-.5", Some(-0.5)),
            ("6.02e23 of them", Some(6.02e23)),
            ("5e", Some(5.0)),
            ("5 and H20", Some(5.0)),
            ("答案是42。", Some(42.0)),
            ("**12**", Some(12.0)),
            ("5kg", Some(5.0)),
            ("3.1.4", Some(4.0)),
            ("1e999", Some(f64::INFINITY)),
            // Signs.
            ("-$5", Some(-5.0)),
            ("It lost -\\$1,234.50", Some(-1234.5)),
            ("\u{2212}€3", Some(-3.0)),
            ("$-5", Some(-5.0)),
            ("x = \u{2013}5", Some(-5.0)),
            ("\u{ff0d}5", Some(-5.0)),
            ("10-$5", Some(5.0)),
            ("pages 3\u{2013}5", Some(5.0)),
            ("(3)\u{2013}5", Some(5.0)),
            ("so \u{2014}5", Some(5.0)),
            ("- $5", Some(5.0)),
            // Thousands.
            ("1 000", Some(1000.0)),
            ("12 345 678.5 km", Some(12_345_678.5)),
            ("1\u{202f}000\u{202f}000", Some(1e6)),
            ("1\u{a0}000", Some(1000.0)),
            ("1\u{2009}000", Some(1000.0)),
            ("-1'000", Some(-1000.0)),
            ("1\u{2019}000\u{2019}000", Some(1e6)),
            ("$1{,}234$", Some(1234.0)),
            ("1{,}234{,}567.5", Some(1_234_567.5)),
            ("1\\,234", Some(1234.0)),
            ("3 4", Some(4.0)),
            ("3 40", Some(40.0)),
            ("3 4000", Some(4000.0)),
            ("1234 567", Some(567.0)),
            ("2 000 1", Some(1.0)),
            ("1 234,567", Some(567.0)),
            ("0 123", Some(123.0)),
            ("007 123", Some(123.0)),
            ("1.5 000", Some(0.0)),
            ("in 1999 200 came", Some(200.0)),
            ("1 000kg", Some(1000.0)),
            ("a1 000", Some(0.0)),
            ("1  000", Some(0.0)),
            ("1\n000", Some(0.0)),
            ("1{,}23", Some(23.0)),
            ("it's 5' 300", Some(300.0)),
            // Digits.
            ("٤٢", Some(42.0)),
            ("१२३", Some(123.0)),
            ("१,२३४", Some(1234.0)),
            ("-۱٫۵", Some(-1.5)),
            ("１２．5", Some(5.0)),
            ("𝟏𝟐", Some(12.0)),
            ("x² and ½", None),
        ] {
            assert_eq!(last_number(text), number, "{text}");
        }
    }

    #[test]
    fn digits_are_read_as_textgrad_does() {
        for (text, number) in [
            ("The answer is 12.", Some(12.0)),
            ("Answer: $12.50 each", Some(12.0)),
            ("1,200 or so", Some(1200.0)),
            ("x=-7", Some(7.0)),
            ("a1b2", Some(12.0)),
            (".5", None),
            ("no digits", None),
        ] {
            assert_eq!(last_digits(text), number, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_expected_must_be_a_number() {
        let example = Example::new("1").with_expected("four");
        let error = NumericMatch::new().score("4", &example).await.unwrap_err().to_string();
        assert_eq!(error, "expected the answer of example \"1\" to hold a number, got \"four\"");
        let example = Example::new("1").with_expected("4");
        let huge = NumericMatch::new().score("1e999", &example).await.unwrap();
        assert_eq!(huge.passed(), Some(false));
    }
}
