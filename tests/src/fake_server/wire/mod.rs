//! What requests and answers look like on the wire.

mod completion;
mod request;
mod scores;
mod stream;
mod template;

pub(super) use self::completion::{Answer, Head, completion, estimate_tokens};
pub(super) use self::request::{ChatBody, ValidChat};
pub(super) use self::scores::{ClassifyBody, scores};
pub(super) use self::stream::{chunks, error_event, event};
