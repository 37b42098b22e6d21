//! The vocabulary o200k.

use std::borrow::Cow;
use std::ops::Range;

use textgrad_core::Error;

use super::Tokenizer;

/// Special tokens are read as text.
pub(super) struct O200k;

impl Tokenizer for O200k {
    fn identity(&self) -> Cow<'_, str> {
        "o200k".into()
    }

    fn tokens(&self, text: &str) -> Result<Vec<Range<usize>>, Error> {
        let tokenizer = bpe_openai::o200k_base();
        let mut at = 0;
        let tokens = tokenizer.encode(text).into_iter().map(|token| {
            let start = at;
            at += tokenizer.bpe.token_len(token);
            start..at
        });
        Ok(tokens.collect())
    }
}
