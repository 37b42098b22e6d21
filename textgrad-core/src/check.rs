//! Checks of texts without a model.

use std::borrow::Cow;

use auto_impl::auto_impl;

/// Something that must hold of a text and can be checked without a model.
///
/// One check serves as a rule for a [`Parameter`](crate::Parameter)'s new texts, and as an objective. It must
/// depend on nothing but the text, and return at once.
///
/// # Examples
/// ```
/// use textgrad_core::{Check, check_fn};
///
/// let short = check_fn("at most three words", |text| match text.split_whitespace().count() {
///     0..=3 => Ok(()),
///     words => Err(format!("it has {words} words")),
/// });
/// assert_eq!(short.rule(), "at most three words");
/// assert_eq!(short.check("one two three four"), Err("it has 4 words".to_owned()));
/// ```
#[auto_impl(Arc)]
pub trait Check: Send + Sync {
    /// What must hold, in words: models are told so.
    fn rule(&self) -> Cow<'_, str>;

    /// Whether it holds.
    ///
    /// # Errors
    /// What is wrong with the text, in words that help to mend it: a model is shown them.
    fn check(&self, text: &str) -> Result<(), String>;
}

crate::debug_by!(dyn Check, rule);

/// A check made of a function; see [`check_fn`].
pub struct CheckFn<F> {
    rule: String,
    function: F,
}

/// Makes a [`Check`] of what must hold, in words, and a function that says what is wrong with a text.
pub fn check_fn<F>(rule: impl Into<String>, function: F) -> CheckFn<F>
where
    F: Fn(&str) -> Result<(), String> + Send + Sync,
{
    CheckFn { rule: rule.into(), function }
}

impl<F: Fn(&str) -> Result<(), String> + Send + Sync> Check for CheckFn<F> {
    fn rule(&self) -> Cow<'_, str> {
        Cow::Borrowed(&self.rule)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        (self.function)(text)
    }
}

crate::debug_by!(CheckFn<F> { rule });
