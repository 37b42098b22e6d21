//! The second normal form of the rules.

use std::sync::LazyLock;

use regex::Regex;

use super::latex;
use super::number::{digits, float, is_integer, is_whole};

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
