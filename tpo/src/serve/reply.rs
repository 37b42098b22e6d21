//! Answers as chat completions.

use serde_json::{Map, Value as Json, json};

use super::json::set;
use super::metrics::SearchEnd;
use super::search::{Answered, Job};
use crate::search::{CandidateRecord, UsageRecord};

/// A chat completion.
pub(crate) fn completion(job: &Job, answered: &Answered, simulated: bool) -> Json {
    let choices: Vec<Json> = answered
        .ranked
        .iter()
        .take(job.ask.n)
        .enumerate()
        .map(|(index, candidate)| {
            json!({
                "index": index,
                "message": {"role": "assistant", "content": candidate.text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish_reason(candidate),
                "tpo": {"score": candidate.score, "iteration": candidate.iteration},
            })
        })
        .collect();
    json!({
        "id": job.id, "object": "chat.completion", "created": job.created, "model": job.model,
        "choices": choices, "usage": usage(&answered.usage),
        "tpo": extension(job, answered, simulated),
    })
}

pub(crate) fn finish_reason(candidate: &CandidateRecord) -> &'static str {
    if candidate.truncated { "length" } else { "stop" }
}

/// What was spent, as OpenAI's API has it.
pub(crate) fn usage(usage: &UsageRecord) -> Json {
    let tokens = usage.tokens;
    json!({
        "prompt_tokens": tokens.prompt_tokens,
        "completion_tokens": tokens.completion_tokens,
        "total_tokens": tokens.total(),
        "prompt_tokens_details": {"cached_tokens": tokens.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning_tokens, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    })
}

/// The field `tpo` of an answer.
pub(crate) fn extension(job: &Job, answered: &Answered, simulated: bool) -> Json {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
    add("id", job.id.as_str().into());
    add("mode", job.config.mode.as_str().into());
    add("score", answered.best_score().into());
    add("first_score", answered.first_score().into());
    add("complete", (answered.end != SearchEnd::Partial).into());
    add("gated", (answered.end == SearchEnd::Gated).into());
    add("stopped", answered.stopped.as_deref().into());
    if let Some(failure) = &answered.failure {
        add("error", failure.as_str().into());
    }
    let iterations = answered.trajectory.iterations.iter().map(|record| record.iteration).max();
    add("iterations", iterations.unwrap_or(0).into());
    add("candidates", answered.trajectory.candidates.len().into());
    add("usage", json!(answered.usage));
    if let Some(money) = answered.money {
        add("money", money.into());
    }
    add("elapsed_ms", u64::try_from(answered.elapsed.as_millis()).unwrap_or(u64::MAX).into());
    add("simulated", simulated.into());
    if job.options.trajectory == Some(true) {
        add("trajectory", json!(answered.trajectory));
    }
    Json::Object(fields)
}

/// Everything about an ended search, for `/v1/tpo/{id}`.
pub(crate) fn detail(job: &Job, answered: &Answered, simulated: bool) -> Json {
    let mut detail = extension(job, answered, simulated);
    set(&mut detail, "object", "tpo.search");
    set(&mut detail, "created", job.created);
    set(&mut detail, "model", job.model.as_str());
    set(&mut detail, "query", json!(job.query));
    set(&mut detail, "search", json!(job.config));
    set(&mut detail, "trajectory", json!(answered.trajectory));
    detail
}
