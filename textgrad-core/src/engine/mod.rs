//! The contract between the framework and whatever generates text.
//!
//! An [`Engine`] answers a [`Request`] with a [`Response`] or an [`EngineError`]. Nothing else in this
//! crate knows how that happens: over HTTP, from a recording, from a simulation, or from a script.

mod error;
mod format;
mod from_fn;
mod message;
mod request;
mod response;

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;

pub use self::error::{EngineError, ErrorKind};
pub use self::format::{Format, FormatError};
pub use self::from_fn::{EngineFn, engine_fn};
pub use self::message::{Message, MessageRole, Part};
pub use self::request::{Purpose, Request, Sampling};
pub use self::response::{Choice, FinishReason, Response, TokenLogprob, Usage};

/// Something that completes a conversation.
///
/// Engines are shared (`Arc<dyn Engine>`) and called concurrently. Limits on concurrency, retries and
/// caching are engines around engines, never the caller's business.
///
/// # Contract
/// * `complete` may return fewer choices than [`Sampling::n`] asked for (many servers only know one), but
///   never more, and never none: a reply without any usable choice is an error of kind
///   [`ErrorKind::BadResponse`].
/// * An engine that cannot hold its answers to [`Request::format`] fails such a request with
///   [`ErrorKind::Unsupported`].
/// * An engine that cannot tell [`Sampling::top_logprobs`] fails such a request with
///   [`ErrorKind::Unsupported`], or leaves [`Choice::logprobs`] empty where only the server knows.
/// * Dropping the future abandons the call.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use textgrad_core::{Choice, Engine, EngineError, FinishReason, Request, Response};
///
/// /// Answers with the last message, in capitals.
/// #[derive(Debug)]
/// struct Shout;
///
/// #[async_trait]
/// impl Engine for Shout {
///     fn name(&self) -> &str {
///         "shout"
///     }
///     async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
///         let last = request.messages.last().map(|m| m.text()).unwrap_or_default();
///         Ok(Response::new(vec![Choice::new(last.to_uppercase(), FinishReason::Stop)]))
///     }
/// }
/// ```
#[async_trait]
pub trait Engine: Send + Sync {
    /// A short name for logs, journals and reports, such as `openai:llama-3.1-70b`. Never a secret.
    fn name(&self) -> &str;

    /// What tells this engine from every other one whose answers may be kept: two engines of the same
    /// identity must be interchangeable to a caller. The [name](Self::name) by default; an
    /// engine of a server adds where the server is. Never a secret.
    ///
    /// Caches build their keys from it, journals and recordings from the name: those belong to a run,
    /// which may move to another address.
    fn identity(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name())
    }

    /// Completes the conversation in `request`.
    ///
    /// # Errors
    /// An [`EngineError`] whose [`kind`](EngineError::kind) says what went wrong and whether trying again
    /// can help.
    async fn complete(&self, request: &Request) -> Result<Response, EngineError>;

    /// Whether what this engine writes is simulated. Anything that shows figures must say so.
    fn is_simulation(&self) -> bool {
        false
    }
}

#[async_trait]
impl<E: Engine + ?Sized> Engine for Arc<E> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn identity(&self) -> Cow<'_, str> {
        (**self).identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        (**self).complete(request).await
    }

    fn is_simulation(&self) -> bool {
        (**self).is_simulation()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Placed;

    #[async_trait]
    impl Engine for Placed {
        fn name(&self) -> &str {
            "placed"
        }

        fn identity(&self) -> Cow<'_, str> {
            Cow::Owned("placed at http://h".to_owned())
        }

        async fn complete(&self, _: &Request) -> Result<Response, EngineError> {
            Err(EngineError::new(ErrorKind::Unsupported, "answers nothing"))
        }
    }

    #[test]
    fn an_engine_is_identified_by_its_name_unless_it_says_more() {
        let named = engine_fn("named", |_| async { Ok(Response::new(Vec::new())) });
        assert_eq!(named.identity(), "named");
        let shared: Arc<dyn Engine> = Arc::new(Arc::new(Placed));
        assert_eq!(shared.name(), "placed");
        assert_eq!(shared.identity(), "placed at http://h");
    }

    #[test]
    fn engine_is_object_safe_and_shareable() {
        fn assert_send_sync<T: Send + Sync + ?Sized>() {}
        assert_send_sync::<dyn Engine>();
        assert_send_sync::<Arc<dyn Engine>>();
    }
}
