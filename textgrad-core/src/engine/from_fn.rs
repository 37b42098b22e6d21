//! An engine from a function.

use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use super::{Engine, EngineError, EngineInfo, Request, Response};

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

impl<F> fmt::Debug for EngineFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFn").field("name", &self.info.name()).finish_non_exhaustive()
    }
}

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
