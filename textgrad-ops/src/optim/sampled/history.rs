//! The texts that a parameter had, with what was said about them and what they scored.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{Parameter, Seed};

use super::gumbel::gumbel_top_k;
use crate::error::Error;
use crate::optim::memory::matched;
use crate::optim::update::RenderedFeedback;

const FORMAT: u32 = 1;
const KIND: &str = "sampled momentum";

/// A text with what was last said about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) text: String,
    pub(super) rendered: RenderedFeedback,
    score: Option<f64>,
}

/// The histories of several parameters, each held by its handle.
#[derive(Debug, Default)]
pub(super) struct History(Vec<Slot>);

#[derive(Debug)]
struct Slot {
    parameter: Parameter,
    state: SlotState,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotState {
    role: String,
    /// How many proposals there were: the place of the next draw.
    steps: u64,
    /// The text that was accepted last, and its score, until there is feedback on it.
    accepted: Option<(String, f64)>,
    entries: VecDeque<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State<S> {
    optimizer: String,
    format: u32,
    parameters: Vec<S>,
}

/// How bases are drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    pub(super) temperature: f64,
    pub(super) bases: usize,
    pub(super) limit: usize,
}

impl History {
    pub(super) fn register(&mut self, parameter: &Parameter) {
        if self.slot(parameter).is_none() {
            let role = parameter.role().to_string();
            let state = SlotState { role, ..SlotState::default() };
            self.0.push(Slot { parameter: parameter.clone(), state });
        }
    }

    fn slot(&mut self, parameter: &Parameter) -> Option<&mut SlotState> {
        let slot = self.0.iter_mut().find(|slot| slot.parameter == *parameter);
        slot.map(|slot| &mut slot.state)
    }

    /// Adds what was said about the present text of a parameter, and draws what to start from. With it comes
    /// the seed of this step.
    pub(super) fn draw(
        &mut self,
        parameter: &Parameter,
        text: &str,
        rendered: RenderedFeedback,
        score: Option<f64>,
        (draw, seed): (Draw, Seed),
    ) -> (Vec<Entry>, Seed) {
        let Some(slot) = self.slot(parameter) else { return (Vec::new(), seed) };
        let known = slot.entries.iter().position(|entry| entry.text == text);
        let earlier = known.and_then(|known| slot.entries.remove(known));
        // A score that was reported is of the text itself; that of an objective is of one batch.
        let reported = slot.accepted.take_if(|(accepted, _)| accepted == text);
        let score = reported
            .map(|(_, score)| score)
            .or_else(|| earlier.and_then(|entry| entry.score))
            .or(score);
        slot.entries.push_back(Entry { text: text.to_owned(), rendered, score });
        while slot.entries.len() > draw.limit {
            slot.entries.pop_front();
        }
        let seed = seed.child("step", slot.steps);
        let places = gumbel_top_k(&slot.scores(), draw.temperature, draw.bases, seed);
        let drawn = places.into_iter().filter_map(|place| slot.entries.get(place).cloned());
        (drawn.collect(), seed)
    }

    /// A step on this parameter is done.
    pub(super) fn advance(&mut self, parameter: &Parameter) {
        if let Some(slot) = self.slot(parameter) {
            slot.steps = slot.steps.wrapping_add(1);
        }
    }

    /// The present text of a parameter has this score.
    pub(super) fn learn(&mut self, parameter: &Parameter, score: f64) {
        let text = parameter.text();
        if let Some(slot) = self.slot(parameter) {
            match slot.entries.iter_mut().find(|entry| entry.text == *text) {
                Some(entry) => entry.score = Some(score),
                None => slot.accepted = Some((text.to_string(), score)),
            }
        }
    }

    pub(super) fn to_json(&self) -> Json {
        let parameters = self.0.iter().map(|slot| &slot.state).collect();
        let state = State { optimizer: KIND.to_owned(), format: FORMAT, parameters };
        // Texts and finite numbers only: nothing in it can fail to be JSON.
        serde_json::to_value(state).unwrap_or_default()
    }

    pub(super) fn from_json(
        parameters: &[Parameter],
        state: &Json,
        limit: usize,
    ) -> Result<Self, Error> {
        let wrong = |expected: String| Error::State { expected, got: state.to_string() };
        let saved = State::<SlotState>::deserialize(state)
            .map_err(|error| wrong(format!("an object of {KIND:?}; {error}")))?;
        if (saved.optimizer.as_str(), saved.format) != (KIND, FORMAT) {
            return Err(wrong(format!("{KIND:?} in format {FORMAT}")));
        }
        matched(parameters, saved.parameters.iter().map(|saved| saved.role.as_str()), state)?;
        let mut history = Self::default();
        for (parameter, mut state) in parameters.iter().zip(saved.parameters) {
            while state.entries.len() > limit {
                state.entries.pop_front();
            }
            history.0.push(Slot { parameter: parameter.clone(), state });
        }
        parameters.iter().for_each(|parameter| history.register(parameter));
        Ok(history)
    }
}

impl SlotState {
    /// The scores of the entries; one that has none counts as the mean of those that have.
    fn scores(&self) -> Vec<f64> {
        let known: Vec<f64> = self.entries.iter().filter_map(|entry| entry.score).collect();
        let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
        self.entries.iter().map(|entry| entry.score.unwrap_or(mean)).collect()
    }
}
