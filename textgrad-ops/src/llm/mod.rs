//! Calls of language models as differentiable ops.

mod call;
mod conversation;
mod feedback;
mod fields;
mod formatted;
mod multimodal;
mod quote;

pub use self::call::{Ask, LlmCall, LlmCallBuilder};
pub(crate) use self::conversation::{Conversation, backward_of, complete};
pub(crate) use self::feedback::{FeedbackSettings, QuotedCall, request_feedback, word_feedback};
pub use self::formatted::{FormattedLlmCall, FormattedLlmCallBuilder};
pub use self::multimodal::{Field, MultimodalLlmCall, MultimodalLlmCallBuilder};
pub(crate) use self::quote::quote_source;
