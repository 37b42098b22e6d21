//! The contract between the framework and whatever generates text.
//!
//! An [`Engine`] answers a [`Request`] with a [`Response`] or an [`EngineError`]. Nothing else in this
//! crate knows how that happens: over HTTP, from a recording, from a simulation, or from a script.

mod error;
mod format;
mod request;
mod response;

use std::borrow::Cow;
use std::future::Future;

use async_trait::async_trait;
use auto_impl::auto_impl;
use derive_setters::Setters;

pub use self::error::{EngineError, ErrorKind};
pub use self::format::{Format, FormatError, JsonSchema};
pub use self::request::{Message, MessageRole, Part, Purpose, Request, Sampling};
pub use self::response::{Choice, FinishReason, Response, TokenLogprob, Usage};

/// Something that completes a conversation.
///
/// Engines are shared (`Arc<dyn Engine>`) and called concurrently. Limits on concurrency, retries and
/// caching are engines around engines, never the caller's business.
///
/// # Contract
/// * `complete` may return fewer choices than [`Sampling::n`] asked for (many servers only know one), but
///   never more, and never none: a reply without any usable choice is an error of kind
///   [`ErrorKind::NoAnswer`].
/// * An engine that cannot hold its answers to [`Request::format`] fails such a request with
///   [`ErrorKind::Unsupported`].
/// * An engine that cannot tell [`Sampling::top_logprobs`] fails such a request with
///   [`ErrorKind::Unsupported`], or leaves [`Choice::logprobs`] empty where only the server knows.
/// * Dropping the future abandons the call.
/// * Connections and tasks may belong to the runtime that the engine was first called in: use one per runtime.
/// * A panic is an error of the op that asked ([`Error::Panic`](crate::Error::Panic)).
///
/// # Examples
/// ```
/// use textgrad_core::{
///     Choice, Engine, EngineError, EngineInfo, FinishReason, Request, Response, async_trait,
/// };
///
/// /// Answers with the last message, in capitals.
/// #[derive(Debug)]
/// struct Shout;
///
/// #[async_trait]
/// impl Engine for Shout {
///     fn info(&self) -> &EngineInfo {
///         static INFO: EngineInfo = EngineInfo::from_static("shout");
///         &INFO
///     }
///
///     async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
///         let last = request.messages.last().map(|m| m.text()).unwrap_or_default();
///         Ok(Response::new(vec![Choice::new(last.to_uppercase(), FinishReason::Stop)]))
///     }
/// }
/// ```
#[async_trait]
#[auto_impl(Arc)]
pub trait Engine: Send + Sync {
    /// Name, identity and nature of the engine. An engine around another returns that of the inner engine.
    fn info(&self) -> &EngineInfo;

    /// The name of the engine; see [`EngineInfo::name`].
    fn name(&self) -> &str {
        self.info().name()
    }

    /// What distinguishes this engine in caches; see [`EngineInfo::identity`].
    fn identity(&self) -> &str {
        self.info().identity()
    }

    /// Whether the responses are simulated; see [`EngineInfo::is_simulation`].
    fn is_simulation(&self) -> bool {
        self.info().is_simulation()
    }

    /// What is known about the server. It may be asked for it. An engine around another returns that of the inner
    /// engine.
    async fn status(&self) -> EngineStatus {
        EngineStatus::default()
    }

    /// Completes the conversation in `request`.
    ///
    /// # Errors
    /// An [`EngineError`] whose [`kind`](EngineError::kind) is the class of the failure, which decides
    /// whether a retry can help.
    async fn complete(&self, request: &Request) -> Result<Response, EngineError>;
}

crate::debug_by!(dyn Engine, name);

/// What is known about the server of an engine; see [`Engine::status`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// The length of the context in tokens, where the server reports it.
    pub context_length: Option<u64>,
    /// How requests are changed since the server refused others, one sentence each.
    pub adaptations: Vec<String>,
    /// What is known about a model in the process, such as its architecture and speed, by name.
    pub facts: Vec<(&'static str, String)>,
}

/// The name of an engine, what distinguishes it in caches, and whether its responses are simulated.
///
/// # Examples
/// ```
/// use textgrad_core::EngineInfo;
///
/// let info = EngineInfo::new("openai:llama3").with_identity("openai+http://localhost:8000/v1#llama3");
/// assert_eq!(info.name(), "openai:llama3");
/// assert!(!info.is_simulation());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Setters)]
#[setters(generate = false, prefix = "with_", into, strip_option)]
pub struct EngineInfo {
    name: Cow<'static, str>,
    /// Sets the identity.
    #[setters(generate)]
    identity: Option<String>,
    is_simulation: bool,
    gives_all_choices: bool,
}

impl EngineInfo {
    /// The info of an engine whose name identifies it, and which is no simulation.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), ..Self::from_static("") }
    }

    /// [`new`](Self::new) for a constant name, usable in a `static`.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            identity: None,
            is_simulation: false,
            gives_all_choices: false,
        }
    }

    /// Sets whether the responses are simulated.
    #[must_use]
    pub const fn with_simulation(mut self, is_simulation: bool) -> Self {
        self.is_simulation = is_simulation;
        self
    }

    /// Sets whether a response has all [choices](crate::Sampling::n) that can be had.
    #[must_use]
    pub const fn with_all_choices(mut self, gives_all_choices: bool) -> Self {
        self.gives_all_choices = gives_all_choices;
        self
    }

    /// A short name for logs, journals and reports, such as `openai:llama-3.1-70b`. Never a secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What distinguishes the engine from all others whose responses may be cached: two engines of the same
    /// identity must be interchangeable to a caller. Default: the name; the engine of a server adds its address.
    /// Never a secret.
    ///
    /// Caches build their keys from it. Journals and recordings use the name: they belong to a run, which may
    /// move to another address.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.identity.as_deref().unwrap_or(&self.name)
    }

    /// Whether the responses are simulated. Whatever shows figures of such an engine must say so.
    #[must_use]
    pub const fn is_simulation(&self) -> bool {
        self.is_simulation
    }

    /// Whether a response has all [choices](crate::Sampling::n) that can be had. Many servers give one for each
    /// request.
    #[must_use]
    pub const fn gives_all_choices(&self) -> bool {
        self.gives_all_choices
    }
}

/// An engine made of an async function; see [`engine_fn`].
#[derive(Clone)]
pub struct EngineFn<F> {
    info: EngineInfo,
    function: F,
}

/// Makes an engine of an async function.
///
/// # Examples
/// ```
/// use textgrad_core::{Choice, FinishReason, Request, Response, engine_fn};
///
/// let echo = engine_fn("echo", |request: Request| async move {
///     let last = request.messages.last().map(|m| m.text()).unwrap_or_default();
///     Ok(Response::new(vec![Choice::new(last, FinishReason::Stop)]))
/// });
/// # let _: &dyn textgrad_core::Engine = &echo;
/// ```
pub fn engine_fn<F, Fut>(name: impl Into<String>, function: F) -> EngineFn<F>
where
    F: Fn(Request) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Response, EngineError>> + Send,
{
    EngineFn { info: EngineInfo::new(name.into()), function }
}

crate::debug_by!(EngineFn<F> { info });

#[async_trait]
impl<F, Fut> Engine for EngineFn<F>
where
    F: Fn(Request) -> Fut + Send + Sync,
    Fut: Future<Output = Result<Response, EngineError>> + Send,
{
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        (self.function)(request.clone()).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    struct Placed(EngineInfo);

    #[async_trait]
    impl Engine for Placed {
        fn info(&self) -> &EngineInfo {
            &self.0
        }

        async fn complete(&self, _: &Request) -> Result<Response, EngineError> {
            Err(EngineError::new(ErrorKind::Unsupported, "answers nothing"))
        }
    }

    #[test]
    fn an_engine_is_identified_by_its_name_unless_it_says_more() {
        let named = engine_fn("named", |_| async { Ok(Response::new(Vec::new())) });
        assert_eq!(named.identity(), "named");
        let info =
            EngineInfo::new("placed").with_identity("placed at http://h").with_simulation(true);
        let shared: Arc<dyn Engine> = Arc::new(Arc::new(Placed(info.clone())));
        assert_eq!(shared.info(), &info);
        assert!(shared.is_simulation() && !named.is_simulation());
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
