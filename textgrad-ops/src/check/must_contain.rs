//! Phrases that must stay in a text.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use textgrad_core::{Check, truncate};

use super::QUOTED;

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
}
