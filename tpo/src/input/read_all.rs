//! Errors of files in which several records cannot be read.

use std::fmt::Write as _;

use crate::error::Error;

/// The most records that an error describes.
const MAX_SHOWN: usize = 3;

/// All records of a file, each with its location.
///
/// # Errors
/// [`Error::Input`] with the location and the reason of a record that cannot be read; of several, with their number
/// and the first of them.
pub(crate) fn read_all<T>(
    source: &str,
    records: impl Iterator<Item = (String, Result<T, String>)>,
) -> Result<Vec<(String, T)>, Error> {
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for (location, record) in records {
        match record {
            Ok(record) => read.push((location, record)),
            Err(reason) => unread.push((location, reason)),
        }
    }
    let (bad, count) = (unread.len(), read.len() + unread.len());
    let mut unread = unread.into_iter();
    let Some((source_name, reason)) = unread.next() else { return Ok(read) };
    if bad == 1 {
        return Err(Error::Input { source_name, reason });
    }
    let mut listed = format!("{bad} of {count} records cannot be read\n  {source_name}: {reason}");
    for (location, reason) in unread.take(MAX_SHOWN - 1) {
        // Writing to a string cannot fail.
        let _ = write!(listed, "\n  {location}: {reason}");
    }
    if bad > MAX_SHOWN {
        let _ = write!(listed, "\n  ... and {} more", bad - MAX_SHOWN);
    }
    Err(Error::Input { source_name: source.to_owned(), reason: listed })
}

#[cfg(test)]
mod tests {
    use crate::input::parse;

    #[test]
    fn several_records_that_cannot_be_read_are_counted_and_the_first_are_described() {
        let refused = |text: &str| parse("q.jsonl", text).unwrap_err().to_string();
        let good = "{\"prompt\":\"one?\"}\n";
        let one = refused(&format!("{good}{{\n{good}"));
        assert!(one.starts_with("q.jsonl, line 2: not JSON: ") && !one.contains('\n'), "{one}");
        let two = refused(&format!("{good}{{\n{good}7\n"));
        let lines: Vec<&str> = two.lines().collect();
        assert_eq!(lines[0], "q.jsonl: 2 of 4 records cannot be read");
        assert!(lines[1].starts_with("  q.jsonl, line 2: not JSON: "), "{two}");
        assert!(lines[2].starts_with("  q.jsonl, line 4: expected "), "{two}");
        assert_eq!(lines.len(), 3, "{two}");
        let many = refused(&format!("{good}{}", "7\n".repeat(1000)));
        assert!(many.starts_with("q.jsonl: 1000 of 1001 records cannot be read\n"), "{many}");
        assert!(many.ends_with("\n  ... and 997 more") && many.lines().count() == 5, "{many}");
    }
}
