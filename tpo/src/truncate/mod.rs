//! Truncation of answers before they enter a prompt, by characters or by tokens.

#[cfg(test)]
mod tests;
#[cfg(feature = "tokenizer")]
mod tokenizer;

use std::borrow::Cow;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::Display;
use textgrad_core::{Error as CoreError, Value};
use tokio::runtime::Handle;

#[cfg(feature = "tokenizer")]
pub use self::tokenizer::HfTokenizer;
use crate::error::Error;

/// The longest beginning of a chosen or rejected answer that enters a prompt. Answers are scored, kept and returned
/// whole. In settings: `chars:8000` or `tokens:2048`.
///
/// # Examples
/// ```
/// use tpo::Truncation;
///
/// let truncation: Truncation = "tokens:2048".parse()?;
/// assert_eq!(truncation, Truncation::Tokens(2048));
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display)]
#[serde(try_from = "String", into = "String")]
pub enum Truncation {
    /// At most so many characters.
    #[strum(to_string = "chars:{0}")]
    Chars(usize),
    /// At most so many tokens of the [`Tokenizer`] that the search is [given](crate::TpoBuilder::tokenizer).
    #[strum(to_string = "tokens:{0}")]
    Tokens(usize),
}

impl Truncation {
    /// The greatest number of units.
    #[must_use]
    pub fn limit(self) -> usize {
        match self {
            Self::Chars(limit) | Self::Tokens(limit) => limit,
        }
    }
}

impl FromStr for Truncation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let limit = |number: &str| number.parse().ok().filter(|limit: &usize| *limit > 0);
        let parsed = match text.split_once(':') {
            Some(("chars", number)) => limit(number).map(Self::Chars),
            Some(("tokens", number)) => limit(number).map(Self::Tokens),
            _ => None,
        };
        let expected = "chars:N or tokens:N with N at least 1";
        parsed.ok_or_else(|| Error::config("truncate", expected, text))
    }
}

crate::util::text_form!(Truncation);

/// Splits a text into tokens, for [`Truncation::Tokens`].
///
/// The same text must always be split in the same way, so that a run can be repeated. It is called on threads
/// that may block.
///
/// # Examples
/// ```
/// use std::borrow::Cow;
/// use std::ops::Range;
/// use std::sync::Arc;
///
/// use textgrad_ops::sim::Sim;
/// use tpo::{SimReward, Tokenizer, Tpo, TpoConfig, Truncation};
///
/// /// Every character is a token.
/// struct Characters;
///
/// impl Tokenizer for Characters {
///     fn identity(&self) -> Cow<'_, str> {
///         "characters".into()
///     }
///
///     fn tokens(&self, text: &str) -> Result<Vec<Range<usize>>, textgrad_core::Error> {
///         Ok(text.char_indices().map(|(at, c)| at..at + c.len_utf8()).collect())
///     }
/// }
///
/// let truncate = Some(Truncation::Tokens(300));
/// let config = TpoConfig { truncate, ..TpoConfig::default() };
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).config(config);
/// let tpo = tpo.tokenizer(Arc::new(Characters)).build()?;
/// assert_eq!(tpo.tokenizer().as_deref(), Some("characters"));
/// # Ok::<(), tpo::Error>(())
/// ```
pub trait Tokenizer: Send + Sync {
    /// Identity of the tokenizer. A run is only continued with the same one.
    fn identity(&self) -> Cow<'_, str>;

    /// The bytes of the text that each of its tokens stands for, in their order. Tokens that share a character
    /// may each name all of it, or their part; what no token stands for, as white space may be, belongs to
    /// none. Tokens that are put around every text do not count.
    ///
    /// # Errors
    /// If the text cannot be split; the search of the query ends with that.
    fn tokens(&self, text: &str) -> Result<Vec<Range<usize>>, CoreError>;
}

textgrad_core::debug_by!(dyn Tokenizer, identity);

/// Truncates values as the settings say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truncator {
    truncation: Option<Truncation>,
    tokenizer: Option<Arc<dyn Tokenizer>>,
}

impl Truncator {
    /// # Errors
    /// [`Error::Config`] for a number of tokens without a tokenizer, and the reverse.
    pub(crate) fn new(
        truncation: Option<Truncation>,
        tokenizer: Option<Arc<dyn Tokenizer>>,
    ) -> Result<Self, Error> {
        let missing = |setting, expected| Err(Error::config(setting, expected, "nothing"));
        match (truncation, &tokenizer) {
            (Some(Truncation::Tokens(_)), None) => {
                missing("tokenizer", "a tokenizer that counts the tokens of truncate")
            }
            (None | Some(Truncation::Chars(_)), Some(_)) => {
                missing("truncate", "tokens:N, which the tokenizer counts")
            }
            _ => Ok(Self { truncation, tokenizer }),
        }
    }

    /// The tokenizer that counts.
    pub(crate) fn tokenizer(&self) -> Option<&Arc<dyn Tokenizer>> {
        self.tokenizer.as_ref()
    }

    /// The truncated values. A value that is short enough is shared, not copied. Tokens are counted beside the
    /// runtime, if there is one; dropping the future does not stop that.
    pub(crate) async fn all(&self, values: Vec<Value>) -> Result<Vec<Value>, CoreError> {
        if self.tokenizer.is_none() {
            return values.iter().map(|value| self.one(value)).collect();
        }
        let truncator = self.clone();
        let work = move || values.iter().map(|value| truncator.one(value)).collect();
        match Handle::try_current() {
            Ok(runtime) => {
                let done = runtime.spawn_blocking(work).await;
                done.map_err(|error| CoreError::op(error.to_string()))?
            }
            Err(_) => work(),
        }
    }

    fn one(&self, value: &Value) -> Result<Value, CoreError> {
        let Some(text) = value.as_text() else { return Ok(value.clone()) };
        let short = match (self.truncation, &self.tokenizer) {
            (Some(Truncation::Tokens(limit)), Some(tokenizer)) => {
                first_tokens(tokenizer.as_ref(), text, limit)?
            }
            (Some(Truncation::Chars(limit)), _) => {
                let end = text.char_indices().nth(limit);
                end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
            }
            _ => text,
        };
        Ok(if short.len() == text.len() { value.clone() } else { Value::from(short) })
    }
}

/// The beginning of a text that is at most so many tokens when it stands by itself. A character that the last
/// of them has only a part of is left out.
fn first_tokens<'t>(
    tokenizer: &dyn Tokenizer,
    text: &'t str,
    limit: usize,
) -> Result<&'t str, CoreError> {
    let mut short = text;
    // A beginning may be split in another way than within the whole, and a token may name all of a character of
    // which it has a part. Each turn takes a character at least.
    while let Some(last) = short.len().checked_sub(1) {
        let tokens = tokenizer.tokens(short)?;
        if tokens.len() <= limit {
            break;
        }
        let end = tokens.iter().take(limit).map(|token| token.end).max().unwrap_or(0);
        let mut ends = (0..=end.min(last)).rev();
        short = ends.find_map(|end| short.get(..end)).unwrap_or_default();
    }
    Ok(short)
}
