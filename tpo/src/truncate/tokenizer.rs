//! Tokenizers of Hugging Face, from a `tokenizer.json`.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use textgrad_core::Error as CoreError;
use tokenizers::ModelWrapper;

use super::Tokenizer;
use crate::error::Error;
use crate::journal::sha256;

/// A tokenizer of Hugging Face, from the `tokenizer.json` that stands beside the weights of a model.
///
/// It counts the tokens of a text by itself: truncation and padding of the file do not hold, and the tokens
/// that a model wants around a text are not added. Special tokens that stand in a text are one token each, as
/// on servers that read them so. Characters that a tokenizer drops count nothing.
///
/// # Examples
/// ```
/// use tpo::{HfTokenizer, Tokenizer};
///
/// let words = r#"{
///     "pre_tokenizer": { "type": "WhitespaceSplit" },
///     "model": { "type": "WordLevel", "vocab": { "?": 0, "wood": 1, "oil": 2 }, "unk_token": "?" }
/// }"#;
/// let tokenizer = HfTokenizer::from_json(words)?;
/// assert_eq!(tokenizer.tokens("oil the wood")?, [0..3, 4..7, 8..12]);
/// # Ok::<(), tpo::Error>(())
/// ```
pub struct HfTokenizer {
    inner: tokenizers::Tokenizer,
    identity: String,
}

impl HfTokenizer {
    /// Reads a file of this kind. It blocks: a large vocabulary takes a second.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Tokenizer`] if it holds no tokenizer.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let json = std::fs::read(path).map_err(Error::io(path, "cannot be read"))?;
        Self::read(&json, &path.display().to_string())
    }

    /// Reads the content of such a file.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if it is no tokenizer.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self::read(json.as_ref(), "the tokenizer")
    }

    fn read(json: &[u8], name: &str) -> Result<Self, Error> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json)
            .and_then(|mut inner| {
                inner.with_truncation(None)?;
                Ok(inner)
            })
            .map_err(|source| Error::Tokenizer { name: name.to_owned(), source })?;
        inner.with_padding(None);
        // It is for training, and would split the same text in other ways each time.
        if let ModelWrapper::BPE(model) = inner.get_model()
            && model.dropout.is_some()
        {
            let mut model = model.clone();
            model.dropout = None;
            inner.with_model(model);
        }
        Ok(Self { inner, identity: sha256(json) })
    }
}

impl Tokenizer for HfTokenizer {
    /// SHA-256 of the file.
    fn identity(&self) -> Cow<'_, str> {
        self.identity.as_str().into()
    }

    fn tokens(&self, text: &str) -> Result<Vec<Range<usize>>, CoreError> {
        let encoding = self.inner.encode(text, false).map_err(|error| {
            CoreError::op(format!("the tokenizer could not split an answer: {error}"))
        })?;
        Ok(encoding.get_offsets().iter().map(|(start, end)| *start..*end).collect())
    }
}

textgrad_core::debug_by!(HfTokenizer { identity });
