//! The boxed answer of a solution, and the first normal form of the rules.

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

/// The normal form. Where its rules do not fit a text, the text stays as it is.
pub(super) fn normal(answer: &str) -> String {
    let answer = super::normalize::without_text(answer.trim());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_counts_with_matched_braces() {
        for (solution, held) in [
            (r"\boxed{5}", Some("5")),
            (r"a \boxed{1} b \boxed {x^{2}} c}", Some("x^{2}")),
            (r"\boxed{\{1, 2\}}", Some(r"\{1, 2\}")),
            (r"\boxed{}", Some("")),
            (r"\boxed 5", None),
            (r"\boxed{5", None),
            ("boxed{5}", None),
            ("", None),
            (r"\boxed{ß}", Some("ß")),
        ] {
            assert_eq!(last_boxed(solution), held, "{solution}");
        }
    }
}

#[cfg(test)]
mod mathd_tests {
    use super::*;

    #[test]
    fn answers_that_are_written_otherwise_become_the_same() {
        for (answer, form) in [
            (r"\dfrac{1}{2}", r"\frac{1}{2}"),
            (r"\tfrac12", r"\frac{1}{2}"),
            (r"\frac1{72}", r"\frac{1}{72}"),
            ("0.5", r"\frac{1}{2}"),
            (".5", r"\frac{1}{2}"),
            ("1/2", r"\frac{1}{2}"),
            ("-3/4", r"\frac{-3}{4}"),
            ("01/2", "01/2"),
            ("a/b", "a/b"),
            ("x = 5", "5"),
            ("abc=5", "abc=5"),
            (r"\sqrt3", r"\sqrt{3}"),
            (r"\text{ (A) }", "(A)"),
            (r"5\text{ cm}", "5"),
            (r"90^\circ", "90"),
            (r"\left(1, 2\right)", "(1,2)"),
            (r"50\%", "50"),
            (r"\$18", "18"),
            ("  ", ""),
            (r"1\\2", r"1\2"),
        ] {
            assert_eq!(normal(answer), form, "{answer}");
        }
    }

    #[test]
    fn what_the_rules_stumble_over_stays() {
        for answer in [r"1\text{ a}\text{ b}", r"x \sqrt", r"x \frac"] {
            assert_eq!(normal(answer), answer);
        }
        assert_eq!(normal(r"x \frac1"), r"x\frac1");
    }
}
