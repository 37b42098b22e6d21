//! As many answers as were asked for, from servers that give fewer.

mod known;
mod singles;
mod store;

use std::borrow::Cow;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response};

use self::known::{Known, Multiplicity};
use self::singles::{merge, singles};
use self::store::Parts;
pub use self::store::{ChoicePart, ChoiceStore, with_choice_store};

/// An engine that asks for the answers a server did not give; see [`EngineExt::fill`](super::EngineExt::fill).
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
///
/// * Within [`with_choice_store`], every delivered part is kept before the others are waited for, and a part that
///   is kept is not asked for again.
///
/// Usage is the sum of what the server reported, so a prompt that was read `n` times counts `n` times.
#[derive(Debug)]
pub struct Fill<E> {
    engine: E,
    known: Known,
    always_single: bool,
}

impl<E> Fill<E> {
    pub(super) fn new(engine: E) -> Self {
        Self { engine, known: Known::default(), always_single: false }
    }

    /// Asks for single answers only, for servers that give all answers of a request the same seed, such as
    /// SGLang with `--enable-deterministic-inference`.
    #[must_use]
    pub fn always_single(mut self) -> Self {
        self.always_single = true;
        self
    }
}

impl<E: Engine> Fill<E> {
    async fn complete_all(&self, request: &Request, n: u32) -> Result<Response, EngineError> {
        let parts = Parts::of(self.engine.name(), request);
        let greedy = request.sampling.temperature == Some(0.0);
        let single = self.always_single || greedy || self.known.get() == Multiplicity::One;
        if single || parts.has_singles(u64::from(n)) {
            let all = singles(&self.engine, request, &parts, 0..u64::from(n)).await;
            return merge(request, None, all);
        }
        let kept = parts.recall(ChoicePart::First);
        let is_new = kept.is_none();
        let first = match kept {
            Some(first) => first,
            None => match self.engine.complete(request).await {
                Ok(first) => first,
                Err(error) => return self.after_refusal(request, &parts, n, error).await,
            },
        };
        let came = u64::try_from(first.choices.len()).unwrap_or(u64::MAX);
        let n = u64::from(n);
        self.known.saw(came);
        let (part, seeds) = match came {
            0 | 1 => (ChoicePart::Single(0), came..n),
            _ => (ChoicePart::First, n..n.saturating_add(n.saturating_sub(came))),
        };
        if is_new && came > 0 && came < n {
            parts.keep(part, &first).await?;
        }
        let rest = singles(&self.engine, request, &parts, seeds).await;
        merge(request, Some(first), rest)
    }

    /// Older servers refuse to give several answers. One single request tells that from a request that is
    /// wrong in itself.
    async fn after_refusal(
        &self,
        request: &Request,
        parts: &Parts<'_>,
        n: u32,
        error: EngineError,
    ) -> Result<Response, EngineError> {
        let refused = matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unsupported);
        if !refused || self.known.get() == Multiplicity::Many {
            return Err(error);
        }
        let Some(Ok(first)) = singles(&self.engine, request, parts, 0..1).await.pop() else {
            return Err(error);
        };
        self.known.saw(1);
        let rest = singles(&self.engine, request, parts, 1..u64::from(n)).await;
        merge(request, Some(first), rest)
    }
}

#[async_trait]
impl<E: Engine> Engine for Fill<E> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn identity(&self) -> Cow<'_, str> {
        self.engine.identity()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        match request.sampling.n {
            0 | 1 => self.engine.complete(request).await,
            n => self.complete_all(request, n).await,
        }
    }

    fn is_simulation(&self) -> bool {
        self.engine.is_simulation()
    }
}

#[cfg(test)]
mod tests;
