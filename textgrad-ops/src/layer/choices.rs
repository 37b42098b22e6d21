//! Completion of the choices that a server leaves out of a response.

mod parts;

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use futures_util::future::join_all;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Request, Response};

use self::parts::Parts;
#[doc(inline)]
pub use self::parts::{ChoicePart, ChoiceStore, with_choice_store};

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
pub struct CompleteChoices<E> {
    engine: E,
    support: LearnedSupport,
    always_single: bool,
}

impl<E> CompleteChoices<E> {
    pub(super) fn new(engine: E) -> Self {
        Self { engine, support: LearnedSupport::default(), always_single: false }
    }

    /// The inner engine.
    pub fn get_ref(&self) -> &E {
        &self.engine
    }

    /// The inner engine, by value.
    pub fn into_inner(self) -> E {
        self.engine
    }

    /// Asks for single answers only, for servers that give all answers of a request the same seed, such as
    /// SGLang with `--enable-deterministic-inference`.
    #[must_use]
    pub fn always_single(mut self) -> Self {
        self.always_single = true;
        self
    }
}

impl<E: Engine> CompleteChoices<E> {
    async fn complete_all(&self, request: &Request, n: u32) -> Result<Response, EngineError> {
        let parts = Parts::of(self.engine.name(), request);
        let greedy = request.sampling.temperature == Some(0.0);
        let single = self.always_single || greedy || self.support.get() == ChoiceSupport::One;
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
        let delivered = u64::try_from(first.choices.len()).unwrap_or(u64::MAX);
        let n = u64::from(n);
        self.support.observe(delivered);
        let (part, seeds) = match delivered {
            0 | 1 => (ChoicePart::Single(0), delivered..n),
            _ => (ChoicePart::First, n..n.saturating_add(n.saturating_sub(delivered))),
        };
        if is_new && delivered > 0 && delivered < n {
            parts.keep(part, &first).await?;
        }
        let rest = singles(&self.engine, request, &parts, seeds).await;
        merge(request, Some(first), rest)
    }

    /// Older servers refuse requests for several choices. One single request distinguishes that from a request that
    /// is wrong in itself.
    async fn after_refusal(
        &self,
        request: &Request,
        parts: &Parts<'_>,
        n: u32,
        error: EngineError,
    ) -> Result<Response, EngineError> {
        let refused = matches!(error.kind(), ErrorKind::InvalidRequest | ErrorKind::Unsupported);
        if !refused || self.support.get() == ChoiceSupport::Many {
            return Err(error);
        }
        let Some(Ok(first)) = singles(&self.engine, request, parts, 0..1).await.pop() else {
            return Err(error);
        };
        self.support.observe(1);
        let rest = singles(&self.engine, request, parts, 1..u64::from(n)).await;
        merge(request, Some(first), rest)
    }
}

#[async_trait]
impl<E: Engine> Engine for CompleteChoices<E> {
    fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        match request.sampling.n {
            0 | 1 => self.engine.complete(request).await,
            n => self.complete_all(request, n).await,
        }
    }
}

/// How many choices a server returns for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChoiceSupport {
    Unknown,
    One,
    Many,
}

/// The support learned so far. A server that once gave several answers can: a later single one was an accident.
#[derive(Debug, Default)]
struct LearnedSupport(AtomicU8);

const ONE: u8 = 1;
const MANY: u8 = 2;

impl LearnedSupport {
    fn get(&self) -> ChoiceSupport {
        match self.0.load(Ordering::Relaxed) {
            ONE => ChoiceSupport::One,
            MANY => ChoiceSupport::Many,
            _ => ChoiceSupport::Unknown,
        }
    }

    /// Records how many choices a request for several returned.
    fn observe(&self, answers: u64) {
        match answers {
            0 => {}
            1 => {
                self.0.fetch_max(ONE, Ordering::Relaxed);
            }
            _ => {
                self.0.fetch_max(MANY, Ordering::Relaxed);
            }
        }
    }
}

type Outcome = Result<Response, EngineError>;

/// Requests one choice for each offset of the seed, all at the same time.
async fn singles<E: Engine>(
    engine: &E,
    request: &Request,
    parts: &Parts<'_>,
    offsets: Range<u64>,
) -> Vec<Outcome> {
    let calls = offsets.map(|offset| async move {
        let part = ChoicePart::Single(offset);
        if let Some(kept) = parts.recall(part) {
            return Ok(kept);
        }
        let mut single = request.clone();
        single.sampling.n = 1;
        single.sampling.seed = request.sampling.seed.map(|seed| seed.wrapping_add(offset));
        let mut response = engine.complete(&single).await?;
        // An engine that gives more than it was asked for must not make the whole too many.
        response.choices.truncate(1);
        parts.keep(part, &response).await?;
        Ok(response)
    });
    join_all(calls).await
}

/// One response out of a first one and single ones, in their order.
fn merge(request: &Request, first: Option<Response>, singles: Vec<Outcome>) -> Outcome {
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

#[cfg(test)]
mod tests;
