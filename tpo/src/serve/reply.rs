//! Answers, of a search or of the policy alone, as every API words them.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};
use textgrad_core::{Choice, Response, Sampling, Usage};

use super::metrics::SearchEnd;
use super::request::{Ask, set};
use super::search::{Answered, Job};
use crate::search::CandidateRecord;

/// What is known of an answer from the beginning.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) id: &'a str,
    /// In seconds since 1970.
    pub(crate) created: u64,
    /// As the client named it.
    pub(crate) model: &'a str,
    pub(crate) ask: &'a Ask,
    pub(crate) sampling: &'a Sampling,
}

/// An answer.
pub(crate) struct Reply<'a> {
    pub(crate) head: Head<'a>,
    /// Best first; at least one.
    pub(crate) choices: Vec<ReplyChoice<'a>>,
    /// What was spent.
    pub(crate) tokens: Usage,
    /// The field `tpo`, of a search.
    pub(crate) own: Option<Json>,
}

pub(crate) struct ReplyChoice<'a> {
    pub(crate) text: &'a str,
    pub(crate) finish_reason: &'a str,
    /// The field `tpo`, of a search.
    pub(crate) own: Option<Json>,
}

impl Job {
    pub(crate) fn head(&self) -> Head<'_> {
        let Self { id, model, ask, created, config, .. } = self;
        Head { id, created: *created, model, ask, sampling: &config.sampling }
    }
}

impl<'a> Reply<'a> {
    /// The best answers of a search. The text of a draft that a client was sent is the first of them; the field `tpo`
    /// then has the answer that replaces it.
    pub(crate) fn of_search(
        job: &'a Job,
        answered: &'a Answered,
        draft: Option<&str>,
        simulated: bool,
    ) -> Self {
        let mut own = extension(job, answered, simulated);
        let mut ranked: Vec<&CandidateRecord> = answered.ranked.iter().collect();
        let is_draft = |one: &&CandidateRecord| Some(one.text.as_str()) == draft;
        if let Some(drafted) = ranked.iter().position(is_draft).filter(|position| *position > 0) {
            set(&mut own, "answer", ranked.first().map(|best| best.text.as_str()));
            let draft = ranked.remove(drafted);
            ranked.insert(0, draft);
        }
        let choices = ranked.into_iter().take(job.ask.n).map(|candidate| ReplyChoice {
            text: &candidate.text,
            finish_reason: if candidate.truncated { "length" } else { "stop" },
            own: Some(json!({"score": candidate.score, "iteration": candidate.iteration})),
        });
        let tokens = answered.usage.tokens;
        Self { head: job.head(), choices: choices.collect(), tokens, own: Some(own) }
    }

    /// The answers of the policy.
    pub(crate) fn of_policy(head: Head<'a>, response: &'a Response) -> Self {
        let choice = |choice: &'a Choice| ReplyChoice {
            text: &choice.text,
            finish_reason: match choice.finish_reason.as_str() {
                "" => "stop",
                reason => reason,
            },
            own: None,
        };
        let choices = response.choices.iter().map(choice).collect();
        Self { head, choices, tokens: response.usage, own: None }
    }

    /// The text of the first answer.
    pub(crate) fn text(&self) -> &'a str {
        self.choices.first().map_or("", |first| first.text)
    }
}

/// The field `tpo` of an answer.
fn extension(job: &Job, answered: &Answered, simulated: bool) -> Json {
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
    set(&mut detail, "answer", answered.ranked.first().map(|best| best.text.as_str()));
    set(&mut detail, "trajectory", json!(answered.trajectory));
    detail
}

/// Different answers: the one that the method chose, then the others, best first; of equal scores, the earliest first.
pub(crate) fn ranked<'a>(
    candidates: impl Iterator<Item = &'a CandidateRecord>,
    chosen: Option<&'a CandidateRecord>,
) -> Vec<CandidateRecord> {
    let mut ranked: Vec<&CandidateRecord> = candidates.collect();
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked.splice(0..0, chosen);
    let mut seen = HashSet::new();
    ranked.into_iter().filter(|one| seen.insert(one.text.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_ranked_once_each() {
        let record = |text: &str, score| CandidateRecord {
            iteration: 0,
            text: text.to_owned(),
            score,
            truncated: false,
        };
        let pool = [record("a", 1.0), record("b", 2.0), record("a", 1.0), record("c", 2.0)];
        let texts: Vec<String> =
            ranked(pool.iter(), None).into_iter().map(|one| one.text).collect();
        assert_eq!(texts, ["b", "c", "a"]);
        let voted: Vec<String> =
            ranked(pool.iter(), pool.last()).into_iter().map(|one| one.text).collect();
        assert_eq!(voted, ["c", "b", "a"]);
    }
}
