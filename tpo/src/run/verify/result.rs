//! Verification of one result.

use std::collections::HashMap;

use textgrad_core::{Purpose, Usage};

use super::journal::StepIndex;
use super::selection;
use super::{RESULTS, Verification};
use crate::config::Mode;
use crate::error::Error;
use crate::journal::{Record, StepKey, among};
use crate::query::Query;
use crate::run::recorded::RecordedRun;
use crate::run::results::{ResultRecord, Status};
use crate::search::Trajectory;
use crate::util::dedup;

/// The texts, scores and usage of a query in the journal.
#[derive(Default)]
pub(super) struct JournaledQuery {
    texts: HashMap<Purpose, Vec<String>>,
    scores: HashMap<String, f64>,
    calls: u64,
    tokens: Usage,
}

impl JournaledQuery {
    fn of(records: Vec<Record>) -> Self {
        let mut known = Self::default();
        for record in records {
            match record {
                Record::Call { purpose, response, .. } => {
                    known.calls += 1;
                    known.tokens += response.usage;
                    let texts = response.choices.into_iter().map(|choice| choice.text);
                    known.texts.entry(purpose).or_default().extend(texts);
                }
                Record::Score { key, score, .. } => {
                    known.scores.insert(key, score);
                }
                _ => {}
            }
        }
        known
    }

    /// The score of an answer in the journal.
    pub(super) fn score(&self, model: &str, query: &Query, answer: &str) -> Option<f64> {
        self.scores.get(StepKey::of_score(model, query, answer).as_str()).copied()
    }

    /// Whether a completion for this purpose contains a text.
    fn has(&self, purpose: Purpose, text: &str) -> bool {
        let mut texts = self.texts.get(&purpose).into_iter().flatten();
        texts.any(|known| known.contains(text))
    }
}

pub(super) fn check(
    run: &RecordedRun,
    record: &ResultRecord,
    steps: &StepIndex,
    line: usize,
    found: &mut Verification,
) -> Result<(), Error> {
    let known = JournaledQuery::of(steps.of(run, record.index)?);
    let trajectory = &record.trajectory;
    let config = run.config();
    let mut find = |problem: String| {
        found.find(RESULTS, line, format!("query {}: {problem}", record.index));
    };
    let scored_by = match config.scores.relative {
        true => among(&config.reward, &dedup(texts(trajectory))),
        false => config.reward.clone(),
    };
    let mut in_order = true;
    let mut sampled_texts = known.texts.get(&Purpose::Sample).into_iter().flatten();

    for (index, candidate) in trajectory.candidates.iter().enumerate() {
        let sampled = candidate.iteration == 0 || config.search.mode == Mode::Resample;
        let from = if sampled { Purpose::Sample } else { Purpose::Update };
        if !known.has(from, &candidate.text) {
            find(format!("answer {index} is in no answer to a request for {from}"));
        } else if sampled && !sampled_texts.any(|text| text.contains(&candidate.text)) && in_order {
            in_order = false;
            find(format!("answer {index} does not stand in the order of the journal"));
        }
        if config.scores.asked {
            continue;
        }
        match known.score(&scored_by, &record.query, &candidate.text) {
            None => find(format!("the journal has no score of answer {index}")),
            Some(score) if score != candidate.score => {
                let got = candidate.score;
                find(format!("expected score {score} of answer {index}, got {got}"));
            }
            Some(_) => {}
        }
    }
    for made in &trajectory.iterations {
        let number = made.iteration;
        for loss in made.losses.iter().filter(|loss| !known.has(Purpose::Loss, loss)) {
            let words = textgrad_core::truncate(loss, 40);
            find(format!("a loss of iteration {number} is not in the journal: {words:?}"));
        }
        // A gradient may be several that were put together.
        let gradients = [Purpose::Gradient, Purpose::Reduce];
        if let Some(gradient) = &made.gradient
            && !gradients.iter().flat_map(|purpose| known.texts.get(purpose)).flatten().any(
                |text| {
                    let text = text.trim();
                    !text.is_empty() && gradient.contains(text)
                },
            )
        {
            find(format!("the gradient of iteration {number} is not in the journal"));
        }
        let count = trajectory.candidates.len();
        for index in made.rejected.iter().chain([&made.chosen]).filter(|index| **index >= count) {
            find(format!("iteration {number} compares answer {index} of {count}"));
        }
    }
    selection::check(config, record, &known, &mut find);
    consistent(record, &mut find);
    if record.status == Status::Ok {
        counts(trajectory, &known, config.scores.asked, &mut find);
    } else if trajectory.usage.requests > known.calls {
        let (expected, got) = (known.calls, trajectory.usage.requests);
        find(format!("expected at most {expected} requests, got {got}"));
    }
    Ok(())
}

fn texts(trajectory: &Trajectory) -> impl Iterator<Item = &str> {
    trajectory.candidates.iter().map(|candidate| candidate.text.as_str())
}

/// Fields of a result that repeat each other must agree.
fn consistent(record: &ResultRecord, find: &mut impl FnMut(String)) {
    let best = record.trajectory.best();
    let same = match (best, &record.best) {
        (None, None) => true,
        (Some(best), Some(best_record)) => {
            best.text == best_record.text
                && best.score == best_record.score
                && best.iteration == best_record.iteration
        }
        _ => false,
    };
    if !same {
        let index = record.trajectory.best_place();
        let expected = match (best, index) {
            (Some(best), Some(index)) => {
                format!("answer {index} of iteration {} with {}", best.iteration, best.score)
            }
            _ => "none".to_owned(),
        };
        let got = record.best.as_ref().map_or("none".to_owned(), |best_record| {
            format!("one of iteration {} with {}", best_record.iteration, best_record.score)
        });
        find(format!(
            "the best answer is not that of the trajectory: expected {expected}, got {got}"
        ));
    }
    if (record.status == Status::Error) != record.error.is_some() {
        find("an error without its status, or the other way round".to_owned());
    }
}

/// A search that came to its end has used every step that it paid for, once.
fn counts(
    trajectory: &Trajectory,
    known: &JournaledQuery,
    asked: bool,
    find: &mut impl FnMut(String),
) {
    let usage = &trajectory.usage;
    let scores = if asked { usage.scored } else { known.scores.len() as u64 };
    for (what, expected, got) in [
        ("requests", known.calls, usage.requests),
        ("prompt tokens", known.tokens.prompt_tokens, usage.tokens.prompt_tokens),
        ("completion tokens", known.tokens.completion_tokens, usage.tokens.completion_tokens),
        ("scored answers", scores, usage.scored),
    ] {
        if expected != got {
            find(format!("expected {expected} {what}, as the journal has, got {got}"));
        }
    }
    let updates: usize = trajectory.iterations.iter().map(|made| made.updates).sum();
    let rewrites = trajectory.candidates.iter().filter(|c| c.iteration > 0).count();
    if updates != rewrites {
        find(format!("expected {updates} new versions, as its iterations count, got {rewrites}"));
    }
}
