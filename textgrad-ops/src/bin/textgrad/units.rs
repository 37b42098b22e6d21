//! Ages and sizes as people write them.

use std::time::Duration;

const AGES: [(&str, u64); 5] =
    [("w", 7 * 24 * 3600), ("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];

const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// An age such as `12h`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let seconds = AGES.iter().find_map(|(unit, seconds)| scaled(text, unit, *seconds));
    let wrong = || format!("expected a number with s, m, h, d or w, such as 7d, got {text:?}");
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// A size such as `500MB`, or in plain bytes.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let bytes = SIZES.iter().find_map(|(unit, bytes)| scaled(text, unit, *bytes));
    let wrong = || {
        format!(
            "expected bytes, or a number with kB, MB, GB, KiB, MiB or GiB, such as 500MB, got {text:?}"
        )
    };
    bytes.or_else(|| text.parse().ok()).ok_or_else(wrong)
}

fn scaled(text: &str, unit: &str, factor: u64) -> Option<u64> {
    let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
    number.checked_mul(factor)
}

/// In the largest unit of which there are two: `90m` says more than `1h`.
pub(crate) fn show_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let fits = AGES.iter().find(|(unit, length)| *unit != "w" && seconds >= 2 * length);
    let (unit, length) = fits.copied().unwrap_or(("s", 1));
    format!("{}{unit}", seconds / length)
}

pub(crate) fn show_size(bytes: u64) -> String {
    match SIZES.iter().find(|(unit, factor)| unit.contains('i') && bytes >= *factor) {
        Some((unit, factor)) => format!("{:.1} {unit}", bytes as f64 / *factor as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_and_shown() {
        for (text, seconds) in
            [("0s", 0), ("90s", 90), ("30m", 1800), ("12h", 43_200), ("2 w", 1_209_600)]
        {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "-1d", "1.5h", "7days", "18446744073709551615w"] {
            assert!(age(text).is_err(), "{text}");
        }
        for (seconds, text) in
            [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (864_000, "10d")]
        {
            assert_eq!(show_age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("7B", 7),
            ("2kB", 2000),
            ("3 MiB", 3 << 20),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MB", "-1", "1.5GB", "1TB", "18446744073709551615GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB")]
        {
            assert_eq!(show_size(bytes), text);
        }
    }
}
