//! Regular expressions.

use std::borrow::Cow;

use regex::Regex;
use textgrad_core::{Check, truncate};

use super::QUOTED;
use crate::error::Error;

/// A regular expression that a text must match, or must not match.
///
/// The syntax is that of the crate [`regex`](https://docs.rs/regex): no look-around and no back-references,
/// and in return the time is linear in the length of the text, whatever the text and the expression are.
/// It matches anywhere in the text unless it says otherwise by `^` and `$`.
///
/// # Examples
/// ```
/// use textgrad_core::Check;
/// use textgrad_ops::check::RegexCheck;
///
/// let letter = RegexCheck::new(r"(?m)^Answer: [A-D]$")?.in_words("the last line is `Answer: LETTER`");
/// assert_eq!(letter.check("I think so.\nAnswer: B"), Ok(()));
/// assert_eq!(letter.rule(), "the last line is `Answer: LETTER`");
///
/// let no_apology = RegexCheck::never("(?i)sorry")?;
/// assert_eq!(no_apology.check("I am Sorry."), Err(r#"it matches (?i)sorry at "Sorry""#.to_owned()));
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RegexCheck {
    pattern: Regex,
    must: bool,
    rule: Option<String>,
}

impl RegexCheck {
    /// A text must match this regular expression.
    ///
    /// # Errors
    /// [`Error::Pattern`] with the place if it does not parse, or if it is too big when compiled.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        Self::of(pattern, true)
    }

    /// A text must not match this regular expression.
    ///
    /// # Errors
    /// Those of [`RegexCheck::new`].
    pub fn never(pattern: &str) -> Result<Self, Error> {
        Self::of(pattern, false)
    }

    fn of(pattern: &str, must: bool) -> Result<Self, Error> {
        let pattern = Regex::new(pattern).map_err(|source| Error::Pattern {
            pattern: pattern.to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { pattern, must, rule: None })
    }

    /// What it means, in words; else the expression itself is told to models.
    #[must_use]
    pub fn in_words(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }
}

impl Check for RegexCheck {
    fn rule(&self) -> Cow<'_, str> {
        if let Some(rule) = &self.rule {
            return Cow::Borrowed(rule);
        }
        let verb = if self.must { "matches" } else { "does not match" };
        Cow::Owned(format!("it {verb} the regular expression {}", self.pattern))
    }

    fn check(&self, text: &str) -> Result<(), String> {
        match (self.must, self.pattern.find(text)) {
            (true, Some(_)) | (false, None) => Ok(()),
            (true, None) => Err(format!("it does not match {}", self.pattern)),
            (false, Some(found)) => {
                let found = truncate(found.as_str(), QUOTED);
                Err(format!("it matches {} at {found:?}", self.pattern))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_does_not_parse_is_named_with_its_place() {
        let error = RegexCheck::new("a(b").unwrap_err();
        assert_eq!(error.to_string(), r#"expected a regular expression, got "a(b""#);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("unclosed group"), "{source}");
        assert!(RegexCheck::never(r"(?=x)").is_err(), "look-around is not known");
        assert!(RegexCheck::new(&"a{1000}".repeat(200).replace('a', "(a{1000})")).is_err());
    }

    #[test]
    fn the_text_is_data_and_quoted_in_part() {
        let none = RegexCheck::never("x+").unwrap();
        let violation = none.check(&"x".repeat(5000)).unwrap_err();
        assert!(violation.len() < 120, "{violation}");
        assert_eq!(none.rule(), "it does not match the regular expression x+");
        let must = RegexCheck::new("^a$").unwrap();
        assert_eq!(must.check("(["), Err("it does not match ^a$".to_owned()));
    }
}
