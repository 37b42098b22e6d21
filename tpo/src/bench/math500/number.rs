//! Numbers as the rules read them: as Python does.

use std::sync::LazyLock;

use regex::Regex;

/// A number as Python's `float` reads a text: white space around it and single underscores between digits are
/// allowed, and so are infinities.
pub(super) fn float(text: &str) -> Option<f64> {
    let mut digits = String::new();
    let mut letters = text.trim().chars().peekable();
    let mut before = None;
    while let Some(letter) = letters.next() {
        if letter == '_' {
            let between = [before, letters.peek().copied()];
            let digit = |side: Option<char>| side.is_some_and(|side| side.is_ascii_digit());
            if !between.into_iter().all(digit) {
                return None;
            }
        } else {
            digits.push(letter);
        }
        before = Some(letter);
    }
    digits.parse().ok()
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
pub(super) fn digits(number: f64) -> String {
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
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, number) in [
            ("5", Some(5.0)),
            (" -.5 ", Some(-0.5)),
            ("1e3", Some(1000.0)),
            ("52_8", Some(528.0)),
            ("5_", None),
            ("_5", None),
            ("5__2", None),
            ("5,0", None),
            ("", None),
            ("0x1", None),
            ("inf", Some(f64::INFINITY)),
        ] {
            assert_eq!(float(text), number, "{text}");
        }
        assert!(is_integer("1,000") && is_integer("12,345,678") && is_integer("4.00000001"));
        assert!(!is_integer("1,00") && !is_integer("inf") && !is_integer("4.5"));
        assert_eq!(
            (digits(-0.0), digits(1e21)),
            ("0".to_owned(), "1000000000000000000000".to_owned())
        );
    }

    #[test]
    fn commas_of_lists_stay() {
        assert_eq!(without_commas("1,234,567"), "1234567");
        assert_eq!(without_commas("(1,234)"), "(1234)");
        assert_eq!(without_commas("1,2,3"), "1,2,3");
        assert_eq!(without_commas("1,2345"), "1,2345");
    }

    #[test]
    fn fractions_may_have_one_odd_letter() {
        for text in ["1/2", "-10/04", "1x/2", "1/2a"] {
            assert!(is_fraction(text), "{text}");
        }
        for text in ["1/0", "x/2", "1/2/3", "1.5/22.5", "--1/2"] {
            assert!(!is_fraction(text), "{text}");
        }
    }
}
