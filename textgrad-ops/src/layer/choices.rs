//! Completion of the choices that a server leaves out of a response.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response};

use super::{Layer, Layered};
use crate::util::Learned;

/// Requests the choices that a server left out, so that a response has all [`n`](textgrad_core::Sampling::n);
/// see [`EngineExt::complete_choices`](super::EngineExt::complete_choices).
///
/// * Answer `i` of `n` stands for seed + i, as [`Sampling::seed`](textgrad_core::Sampling::seed) has it, so
///   a server that gives one answer at a time draws the same answers as one that gives all. A server that
///   gave several but not all may have dropped any of them: what is missing is then asked with seeds from
///   seed + n on, which none of the answers can have used.
/// * A server that gives one answer to a request for several is remembered, and from then on asked for
///   single answers at once and in parallel. So is one that refuses several but gives one.
/// * `temperature` 0 with several answers goes as single requests from the start: vLLM refuses the
///   combination.
/// * If some of the single requests fail for good, the others' answers are returned: they were paid for. If
///   all fail, the first one's error is.
/// * Within [`with_choice_store`], every delivered part is kept before the others are waited for, and a part that
///   is kept is not requested again.
///
/// Usage is the sum of what the server reported, so a prompt that was read `n` times counts `n` times.
#[derive(Debug)]
pub struct CompleteChoices {
    info: EngineInfo,
    support: Learned<ChoiceSupport>,
    always_single: bool,
}

impl<E> Layered<E, CompleteChoices> {
    /// Asks for single answers only, for servers that give all answers of a request the same seed, such as
    /// SGLang with `--enable-deterministic-inference`.
    #[must_use]
    pub fn always_single(mut self) -> Self {
        self.layer.always_single = true;
        self
    }
}

impl CompleteChoices {
    pub(super) fn of(engine: &impl Engine) -> Self {
        let info = engine.info().clone().with_all_choices(true);
        Self { info, support: Learned::default(), always_single: false }
    }

    async fn complete_all<E: Engine>(
        &self,
        engine: &E,
        request: &Request,
        n: u32,
    ) -> Result<Response, EngineError> {
        let parts = Parts::of(engine.name(), request);
        let greedy = request.sampling.temperature == Some(0.0);
        let single = self.always_single || greedy || self.support.get() == ChoiceSupport::One;
        if single || parts.has_singles(u64::from(n)).await {
            let all = singles(engine, request, &parts, 0..u64::from(n)).await;
            return merge(request, None, all);
        }
        let kept = parts.recall(ChoicePart::First).await;
        let is_new = kept.is_none();
        let first = match kept {
            Some(first) => first,
            None => match engine.complete(request).await {
                Ok(first) => first,
                Err(error) => return self.after_refusal(engine, request, &parts, n, error).await,
            },
        };
        let delivered = u64::try_from(first.choices.len()).unwrap_or(u64::MAX);
        let n = u64::from(n);
        self.support.raise(ChoiceSupport::shown_by(delivered));
        let (part, seeds) = match delivered {
            0 | 1 => (ChoicePart::Single(0), delivered..n),
            _ => (ChoicePart::First, n..n.saturating_add(n.saturating_sub(delivered))),
        };
        if is_new && delivered > 0 && delivered < n {
            parts.keep(part, &first).await?;
        }
        let rest = singles(engine, request, &parts, seeds).await;
        merge(request, Some(first), rest)
    }

    /// Older servers refuse requests for several choices. One single request distinguishes that from a request that
    /// is wrong in itself.
    async fn after_refusal<E: Engine>(
        &self,
        engine: &E,
        request: &Request,
        parts: &Parts<'_>,
        n: u32,
        error: EngineError,
    ) -> Result<Response, EngineError> {
        let refused = matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unsupported);
        if !refused || self.support.get() == ChoiceSupport::Many {
            return Err(error);
        }
        let Some(Ok(first)) = singles(engine, request, parts, 0..1).await.pop() else {
            return Err(error);
        };
        self.support.raise(ChoiceSupport::One);
        let rest = singles(engine, request, parts, 1..u64::from(n)).await;
        merge(request, Some(first), rest)
    }
}

impl Layer for CompleteChoices {
    async fn call(&self, engine: &impl Engine, request: &Request) -> Result<Response, EngineError> {
        match request.sampling.n {
            0 | 1 => engine.complete(request).await,
            n => self.complete_all(engine, request, n).await,
        }
    }

    fn info<'a>(&'a self, _: &'a EngineInfo) -> &'a EngineInfo {
        &self.info
    }
}

/// How many choices a server returns for one request. A server that once gave several can: a later single one was
/// an accident.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum ChoiceSupport {
    #[default]
    Unknown,
    One,
    Many,
}

impl ChoiceSupport {
    /// The support that a response to a request for several choices shows.
    fn shown_by(delivered: u64) -> Self {
        match delivered {
            0 => Self::Unknown,
            1 => Self::One,
            _ => Self::Many,
        }
    }
}

/// The request for one choice alone, by its offset from the seed.
pub(crate) fn single(request: &Request, offset: u64) -> Request {
    let mut single = request.clone();
    single.sampling.n = 1;
    single.sampling.seed = request.sampling.seed.map(|seed| seed.wrapping_add(offset));
    single
}

/// Requests one choice for each offset of the seed, all at the same time.
async fn singles<E: Engine>(
    engine: &E,
    request: &Request,
    parts: &Parts<'_>,
    offsets: Range<u64>,
) -> Vec<Result<Response, EngineError>> {
    let calls = offsets.map(|offset| async move {
        let part = ChoicePart::Single(offset);
        if let Some(kept) = parts.recall(part).await {
            return Ok(kept);
        }
        let mut response = engine.complete(&single(request, offset)).await?;
        // An engine that gives more than it was asked for must not make the whole too many.
        response.choices.truncate(1);
        parts.keep(part, &response).await?;
        Ok(response)
    });
    join_all(calls).await
}

/// One response out of a first one and single ones, in their order.
fn merge(
    request: &Request,
    first: Option<Response>,
    singles: Vec<Result<Response, EngineError>>,
) -> Result<Response, EngineError> {
    let mut whole = Response::new(Vec::new());
    let mut failure = None;
    let mut failed = 0_usize;
    if let Some(first) = first {
        whole = first;
    }
    for single in singles {
        match single {
            Ok(mut single) => {
                whole.choices.append(&mut single.choices);
                whole.usage += single.usage;
                if whole.model.is_empty() {
                    whole.model = single.model;
                }
            }
            Err(error) => {
                failed += 1;
                failure.get_or_insert(error);
            }
        }
    }
    if whole.choices.is_empty() {
        return Err(failure.unwrap_or_else(|| {
            EngineError::new(ErrorKind::BadResponse, "expected answers, but none came")
        }));
    }
    if let Some(error) = failure {
        tracing::warn!(
            asked = request.sampling.n,
            came = whole.choices.len(),
            failed,
            purpose = %request.purpose,
            kind = %error.kind(),
            "some of the answers could not be had; going on with the others"
        );
    }
    Ok(whole)
}

/// Keeps the parts of a request for several choices, so that a call that was interrupted asks only for the rest when
/// it is repeated. Active for the calls within [`with_choice_store`]. A cache is one, for the calls that it makes.
#[async_trait]
pub trait ChoiceStore: Send + Sync {
    /// The response of an engine that was kept for a part of a request. Repeated calls return the same.
    async fn recall(&self, engine: &str, request: &Request, part: ChoicePart) -> Option<Response>;

    /// Keeps the response of an engine to a part of a request. The part is delivered once this returns.
    ///
    /// # Errors
    /// An [`EngineError`] where it cannot be kept: the part fails with it.
    async fn keep(
        &self,
        engine: &str,
        request: &Request,
        part: ChoicePart,
        response: &Response,
    ) -> Result<(), EngineError>;
}

textgrad_core::debug_by!(dyn ChoiceStore);

/// A part of a request for several choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChoicePart {
    /// The several, but not all, choices of one response to the whole request.
    First,
    /// One choice, asked for with the seed of the request plus this.
    Single(u64),
}

tokio::task_local! {
    static STORE: Arc<dyn ChoiceStore>;
}

/// Runs a future whose calls keep their parts in `store`. A layer that moves a call to another task hides the store
/// from it: such a call keeps no parts.
pub async fn with_choice_store<F: Future>(store: Arc<dyn ChoiceStore>, future: F) -> F::Output {
    STORE.scope(store, future).await
}

/// The store of the current scope.
pub(crate) fn choice_store() -> Option<Arc<dyn ChoiceStore>> {
    STORE.try_with(Arc::clone).ok()
}

/// The parts of one request.
struct Parts<'a> {
    engine: &'a str,
    request: &'a Request,
    store: Option<Arc<dyn ChoiceStore>>,
}

impl<'a> Parts<'a> {
    fn of(engine: &'a str, request: &'a Request) -> Self {
        Self { engine, request, store: choice_store() }
    }

    async fn recall(&self, part: ChoicePart) -> Option<Response> {
        self.store.as_ref()?.recall(self.engine, self.request, part).await
    }

    /// Whether the request was asked for by single choices before.
    async fn has_singles(&self, n: u64) -> bool {
        let singles = (0..n).map(|offset| self.recall(ChoicePart::Single(offset)));
        join_all(singles).await.iter().any(Option::is_some)
    }

    async fn keep(&self, part: ChoicePart, response: &Response) -> Result<(), EngineError> {
        match &self.store {
            Some(store) => store.keep(self.engine, self.request, part, response).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
