//! The answer in a solution.

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
