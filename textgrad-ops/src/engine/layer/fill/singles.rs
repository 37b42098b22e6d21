//! Single requests, and one response out of many.

use std::ops::Range;

use futures_util::future::join_all;
use textgrad_core::{Engine, EngineError, ErrorKind, Request, Response};

use super::store::{ChoicePart, Parts};

type Outcome = Result<Response, EngineError>;

/// Asks for one answer for each offset of the seed, all at the same time.
pub(super) async fn singles<E: Engine>(
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
pub(super) fn merge(request: &Request, first: Option<Response>, singles: Vec<Outcome>) -> Outcome {
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
