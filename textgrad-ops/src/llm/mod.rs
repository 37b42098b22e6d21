//! Calls of language models as differentiable ops.

mod call;
mod feedback;
mod formatted;

pub use self::call::{Ask, LlmCall, LlmCallBuilder};
pub(crate) use self::call::{backward_of, complete};
pub(crate) use self::feedback::{
    FeedbackSettings, QuotedCall, quote_source, request_feedback, word_feedback,
};
pub use self::formatted::{FormattedLlmCall, FormattedLlmCallBuilder};
