//! A reply put together from the events of a stream.

use std::collections::BTreeMap;

use textgrad_core::Usage;

use super::reply::{RawChoice, RawReply};

/// What came so far, by index: pieces of several answers are interleaved.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    choices: BTreeMap<u64, RawChoice>,
    pub(crate) usage: Usage,
    pub(crate) model: String,
    pub(crate) refused: Option<String>,
    /// Whether the server said that this is all.
    pub(crate) done: bool,
}

impl Pieces {
    /// The answer of an index, begun if it was not.
    pub(crate) fn choice(&mut self, index: u64) -> &mut RawChoice {
        self.choices.entry(index).or_insert_with(|| RawChoice { index, ..RawChoice::default() })
    }

    /// The whole reply, or what is missing. An end without the server's end mark is only good if all `n`
    /// answers had ended before, or if there will be none.
    pub(crate) fn finish(self, done: bool, n: u32) -> Result<RawReply, String> {
        let open = self.choices.values().filter(|choice| choice.finish_reason.is_none()).count();
        let ended = self.choices.len() - open;
        if open > 0 {
            return Err(format!(
                "the stream ended within an answer: {ended} of {} begun had a finish reason",
                self.choices.len()
            ));
        }
        let missing = u64::try_from(ended).is_ok_and(|ended| ended < u64::from(n));
        if !done && missing && self.refused.is_none() {
            return Err(format!("the stream broke off after {ended} of {n} answers"));
        }
        Ok(self.into_reply())
    }

    /// What came, whole or not.
    pub(crate) fn into_reply(self) -> RawReply {
        RawReply {
            choices: self.choices.into_values().collect(),
            usage: self.usage,
            model: self.model,
            refused: self.refused,
        }
    }
}
