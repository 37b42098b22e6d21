//! The second normal form of the rules.

use std::sync::LazyLock;

use regex::Regex;

use super::latex;

/// Units, in the order in which they are taken away.
const UNITS: [&str; 16] = [
    "degree",
    "cm",
    "centimeter",
    "meter",
    "mile",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "foot",
    "feet",
    "inch",
    "yard",
];

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
            .iter()
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
pub(super) fn without_text(text: &str) -> &str {
    let found = PATTERNS.text.as_ref().and_then(|pattern| pattern.captures(text));
    found.and_then(|found| found.get(1)).map_or(text, |inner| inner.as_str())
}

/// The normal form, or why it cannot be told: then the text has LaTeX in it that is not known here.
pub(super) fn normal(answer: &str) -> Result<String, String> {
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
    fn answers_become_expressions() {
        for (answer, form) in [
            (r"\frac{1}{2}", "1/2"),
            // Without parentheses, as the rules have it.
            (r"\frac{x+1}{2}", "x+1/2"),
            (r"3\frac{1}{2}", "3+1/2"),
            (r"7 3/4", "7+3/4"),
            (r"-3 \frac12", "-3+1/2"),
            (r"2\sqrt{3}", "2sqrt(3)"),
            (r"\sqrt[3]{2}", "sqrt(2)"),
            (r"4\pi", "4pi"),
            (r"\text{Yes}", "yes"),
            (r"5\text{ meters}", "5"),
            ("10 cm^2", "10"),
            ("12 inches", "12"),
            ("3 or 4", "3,4"),
            (r"90^\circ", "90"),
            (r"90^{\circ}", "90^∘"),
            ("2 million", "2*10^6"),
            (r"1,\!000", "1000"),
            ("1,234.0", "1234"),
            ("{5}", "5"),
            ("52_8", "528"),
            ("4.99999999", "5"),
            (r"4.99999999\!", "4"),
            ("- 5", "-5"),
            ("$5$", "5"),
            (r"[1,\infty)", "[1,inf)"),
            (r"(-\infty,0]\cup[1,2)", "(-inf,0]u[1,2)"),
            ("", ""),
        ] {
            assert_eq!(normal(answer).as_deref(), Ok(form), "{answer}");
        }
        assert_eq!(PATTERNS.units.len(), UNITS.len());
    }

    #[test]
    fn unknown_latex_has_no_normal_form() {
        assert!(normal(r"\mathfrak{x}").unwrap_err().contains("\\mathfrak"));
    }
}

#[cfg(test)]
mod number_tests {
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
