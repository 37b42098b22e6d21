//! Calls of language models as differentiable ops.

mod call;
mod feedback;
mod no_answer;
mod prompt;
mod quote;
mod request;

pub(crate) use self::call::ReadScore;
pub use self::call::{LlmCall, LlmCallBuilder};
pub use self::feedback::FeedbackRequest;
pub(crate) use self::feedback::word_feedback;
pub(crate) use self::no_answer::no_answer;
pub(crate) use self::prompt::Render;
pub use self::prompt::{Field, Turn};
pub(crate) use self::quote::quote_call;
pub use self::request::LlmRequest;
