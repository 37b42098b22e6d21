//! Wire formats of requests and answers.

mod completion;
mod request;
mod stream;
mod template;

pub(super) use self::completion::{Answer, Head, completion, estimate_tokens};
pub(super) use self::request::{ChatBody, Conversation, OneOrMany, ValidChat};
pub(super) use self::stream::{chunks, error_event, event};
pub(super) use self::template::query_and_answer;
