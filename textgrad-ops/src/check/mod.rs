//! Checks: what must hold of a text, told without a model.
//!
//! Each is a [`Check`], so it serves as a rule for the new texts of a
//! [`Parameter`](textgrad_core::Parameter) and, by [`ScoreLoss`](crate::ScoreLoss), as an objective.

mod length;
#[cfg(feature = "json-schema")]
mod schema;

use std::borrow::Cow;
use std::sync::LazyLock;

use derive_setters::Setters;
use regex::Regex;
use textgrad_core::{Check, truncate};

pub use self::length::Length;
#[cfg(feature = "json-schema")]
pub use self::schema::JsonSchema;
use crate::error::Error;

/// How much of a text a violation or a rule quotes, in characters.
const QUOTED: usize = 80;

/// Phrases that must stay in a text as they are: placeholders of a template, names, a disclaimer.
///
/// # Examples
/// ```
/// use textgrad_core::Check;
/// use textgrad_ops::check::MustContain;
///
/// let keeps = MustContain::placeholders_of("Answer {question} in {{language}}, as {\"a\": 1}.");
/// assert_eq!(keeps.phrases(), ["{question}", "{{language}}"]);
/// assert_eq!(keeps.check("In {{language}}: {question}?"), Ok(()));
/// assert_eq!(keeps.check("{question}?"), Err(r#"it has lost "{{language}}""#.to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MustContain {
    phrases: Vec<String>,
}

impl MustContain {
    /// These phrases must stay, letter by letter, anywhere in the text. Empty ones, and repetitions, are dropped.
    pub fn new<P: Into<String>>(phrases: impl IntoIterator<Item = P>) -> Self {
        let mut kept: Vec<String> = Vec::new();
        for phrase in phrases.into_iter().map(Into::into) {
            if !phrase.is_empty() && !kept.contains(&phrase) {
                kept.push(phrase);
            }
        }
        Self { phrases: kept }
    }

    /// The placeholders of a text must stay: a name between one, two or three braces, such as `{name}`,
    /// `{{user.name}}` or `{{{name}}}`. Braces around anything else are text.
    #[must_use]
    pub fn placeholders_of(text: &str) -> Self {
        const NAME: &str = r"\s*[\p{Alphabetic}_][\w.\-]*\s*";
        static PLACEHOLDER: LazyLock<Result<Regex, regex::Error>> = LazyLock::new(|| {
            Regex::new(&format!(r"\{{\{{\{{{NAME}\}}\}}\}}|\{{\{{{NAME}\}}\}}|\{{{NAME}\}}"))
        });
        // The expression is a constant that a test compiles.
        let found = PLACEHOLDER.as_ref().ok().map(|regex| regex.find_iter(text));
        Self::new(found.into_iter().flatten().map(|found| found.as_str()))
    }

    /// The phrases, each once, in order.
    #[must_use]
    pub fn phrases(&self) -> &[String] {
        &self.phrases
    }
}

fn quoted<'a>(phrases: impl IntoIterator<Item = &'a String>) -> String {
    let quoted = phrases.into_iter().map(|phrase| format!("{:?}", truncate(phrase, QUOTED)));
    quoted.collect::<Vec<_>>().join(", ")
}

impl Check for MustContain {
    fn rule(&self) -> Cow<'_, str> {
        let phrases = self.phrases.iter().map(|phrase| format!("{phrase:?}"));
        let phrases: Vec<String> = phrases.collect();
        Cow::Owned(format!("it keeps, as they are: {}", phrases.join(", ")))
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let lost: Vec<&String> =
            self.phrases.iter().filter(|phrase| !text.contains(phrase.as_str())).collect();
        if lost.is_empty() { Ok(()) } else { Err(format!("it has lost {}", quoted(lost))) }
    }
}

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
#[derive(Debug, Clone, Setters)]
#[setters(generate = false)]
pub struct RegexCheck {
    pattern: Regex,
    must: bool,
    /// What it means, in words; else the expression itself is told to models.
    #[setters(generate, into, strip_option, rename = "in_words")]
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
    fn placeholders_are_names_between_braces() {
        let keeps =
            MustContain::placeholders_of("{a} {{ b.c }} {{{d}}} {} { 1 } {\"x\": {y}} {a} {x y}");
        assert_eq!(keeps.phrases(), ["{a}", "{{ b.c }}", "{{{d}}}", "{y}"]);
        assert_eq!(MustContain::placeholders_of("none").check("anything"), Ok(()));
    }

    #[test]
    fn all_that_is_lost_is_named() {
        let keeps = MustContain::new(["a", "", "b", "a", "c"]);
        assert_eq!(keeps.rule(), r#"it keeps, as they are: "a", "b", "c""#);
        assert_eq!(keeps.check("b"), Err(r#"it has lost "a", "c""#.to_owned()));
    }

    #[test]
    fn an_expression_that_does_not_parse_is_named_with_its_position() {
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
