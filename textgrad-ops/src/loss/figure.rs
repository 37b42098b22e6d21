//! Numbers as models are shown them.

/// A number with at most four significant digits: more of them carry no meaning in a prompt, and cost tokens.
pub(crate) fn figure(number: f64) -> String {
    let rounded: f64 = format!("{number:.3e}").parse().unwrap_or(number);
    // `Debug` writes very large and very small numbers with an exponent; the sum takes the sign from a zero.
    let text = format!("{:?}", rounded + 0.0);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn few_digits() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (0.123_456, "0.1235"),
            (-12.3456, "-12.35"),
            (100_000.4, "100000"),
            (1.234_56e-9, "1.235e-9"),
            (1e300, "1e300"),
            (2.0 / 3.0 * 100.0, "66.67"),
        ] {
            assert_eq!(figure(number), text);
        }
    }
}
