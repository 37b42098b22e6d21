//! How much of an answer enters a prompt.

#[cfg(feature = "tokenizer")]
mod hf;
#[cfg(feature = "o200k")]
mod o200k;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use textgrad_core::{Error as CoreError, Value};
use tokio::runtime::Handle;

#[cfg(feature = "tokenizer")]
pub use self::hf::HfTokenizer;
use crate::config::TpoConfig;
use crate::error::Error;

/// Splits a text into tokens, so that answers can be cut to a number of them before they enter a prompt:
/// [`TpoConfig::cut_tokens`].
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
/// use tpo::{SimReward, Tokenizer, Tpo, TpoConfig};
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
/// let config = TpoConfig { cut_tokens: Some(300), ..TpoConfig::default() };
/// let tpo = Tpo::builder(Arc::new(Sim::default()), Arc::new(SimReward)).config(config);
/// let tpo = tpo.tokenizer(Arc::new(Characters)).build()?;
/// assert_eq!(tpo.tokenizer().as_deref(), Some("characters"));
/// # Ok::<(), tpo::Error>(())
/// ```
pub trait Tokenizer: Send + Sync {
    /// What tells it from others. A run is only continued with the same one.
    fn identity(&self) -> Cow<'_, str>;

    /// The bytes of the text that each of its tokens stands for, in their order. Tokens that share a character
    /// may each name all of it, or their part; what no token stands for, as white space may be, belongs to
    /// none. Tokens that are put around every text do not count.
    ///
    /// # Errors
    /// If the text cannot be split; the search of the query ends with that.
    fn tokens(&self, text: &str) -> Result<Vec<Range<usize>>, CoreError>;
}

impl fmt::Debug for dyn Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokenizer").field(&self.identity()).finish()
    }
}

/// Where an answer is cut that is longer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cut {
    chars: Option<usize>,
    tokens: Option<(usize, Arc<dyn Tokenizer>)>,
}

impl Cut {
    /// The bounds of the settings. `tokenizer` is what counts [`TpoConfig::cut_tokens`].
    ///
    /// # Errors
    /// [`Error::Config`] if there is a bound without what counts it, or the other way round.
    pub(crate) fn new(
        config: &TpoConfig,
        tokenizer: Option<&Arc<dyn Tokenizer>>,
    ) -> Result<Self, Error> {
        let missing =
            |setting, expected| Err(Error::Config { setting, expected, got: "nothing".to_owned() });
        let tokens = match (config.cut_tokens, tokenizer) {
            (Some(most), Some(tokenizer)) => Some((most, Arc::clone(tokenizer))),
            (Some(_), None) => {
                return missing("tokenizer", "the tokenizer that counts for cut-tokens");
            }
            (None, Some(_)) => {
                return missing(
                    "cut_tokens",
                    "a number of tokens, which the tokenizer is to count",
                );
            }
            (None, None) => config.max_o200k.map(o200k).transpose()?,
        };
        Ok(Self { chars: config.max_chars, tokens })
    }

    /// What tells the tokenizer from others.
    pub(crate) fn tokenizer(&self) -> Option<&dyn Tokenizer> {
        self.tokens.as_ref().map(|(_, tokenizer)| tokenizer.as_ref())
    }

    /// The values, or their beginnings. A value that is not cut is shared, not copied. What takes its time runs
    /// beside the runtime, where there is one; dropping the future lets it finish for nothing.
    pub(crate) async fn all(&self, values: Vec<Value>) -> Result<Vec<Value>, CoreError> {
        if self.tokens.is_none() {
            return values.iter().map(|value| self.one(value)).collect();
        }
        let cut = self.clone();
        let work = move || values.iter().map(|value| cut.one(value)).collect();
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
        let end = self.chars.and_then(|most| text.char_indices().nth(most));
        let mut cut = end.and_then(|(end, _)| text.get(..end)).unwrap_or(text);
        if let Some((most, tokenizer)) = &self.tokens {
            cut = first_tokens(tokenizer.as_ref(), cut, *most)?;
        }
        Ok(if cut.len() == text.len() { value.clone() } else { Value::from(cut) })
    }
}

/// The beginning of a text that is at most so many tokens when it stands by itself. A character that the last
/// of them has only a part of is left out.
fn first_tokens<'t>(
    tokenizer: &dyn Tokenizer,
    text: &'t str,
    most: usize,
) -> Result<&'t str, CoreError> {
    let mut cut = text;
    // A beginning may be split in another way than within the whole, and a token may name all of a character of
    // which it has a part. Each turn takes a character at least.
    while let Some(last) = cut.len().checked_sub(1) {
        let tokens = tokenizer.tokens(cut)?;
        if tokens.len() <= most {
            break;
        }
        let end = tokens.iter().take(most).map(|token| token.end).max().unwrap_or(0);
        let mut ends = (0..=end.min(last)).rev();
        cut = ends.find_map(|end| cut.get(..end)).unwrap_or_default();
    }
    Ok(cut)
}

#[cfg(feature = "o200k")]
fn o200k(most: usize) -> Result<(usize, Arc<dyn Tokenizer>), Error> {
    Ok((most, Arc::new(o200k::O200k)))
}

#[cfg(not(feature = "o200k"))]
fn o200k(most: usize) -> Result<(usize, Arc<dyn Tokenizer>), Error> {
    let (setting, expected) = ("max_o200k", "none without the feature o200k");
    Err(Error::Config { setting, expected, got: most.to_string() })
}
