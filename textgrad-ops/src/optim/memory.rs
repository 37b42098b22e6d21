//! Memory of an optimizer: what it keeps for each parameter, and its form as JSON.

use std::collections::VecDeque;

use derive_setters::Setters;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{Feedback, Parameter, truncate};

use super::descent::TextualGradientDescentBuilder;
use super::optimizer::refuse_repeated;
use crate::error::Error;
use crate::prompts::{PastStep, RejectedChange};

/// What happened to one parameter in one step: the text that feedback was given on, the words of the
/// feedback, and what came of the calls that the text was used in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) text: String,
    pub(super) feedback: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) responses: Vec<String>,
}

/// How many steps of each kind a request shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Setters)]
#[setters(generate_delegates(ty = "TextualGradientDescentBuilder", field = "memory_config"))]
pub(super) struct MemoryConfig {
    /// Shows the feedback of that many last steps on a parameter beside that of this one; 0, the default, is none.
    /// See [`TextualGradientDescent`](super::TextualGradientDescent) for what a step is.
    #[setters(rename = "gradient_memory")]
    pub(super) feedback: usize,
    /// Momentum: shows the texts that a parameter had in that many last steps, each with what was said about it;
    /// 0, the default, is none. The text as it is now is not shown a second time, and several steps from one text
    /// are shown as one text with all that was said about it.
    #[setters(rename = "momentum")]
    pub(super) texts: usize,
    /// Shows the outputs, in that many last steps, of the calls that a parameter was used in, each with what was
    /// said then, and asks to overcome stagnation; 0, the default, is none.
    ///
    /// After REVOLVE: Zhang et al., "Revolve: Optimizing AI Systems by Tracking Response Evolution in Textual
    /// Optimization", ICML 2025, arXiv:2412.03092. Our reading of it: the responses are the outputs of the
    /// calls in the contexts of the feedback, of each step the first
    /// [`SHOWN_RESPONSES`](super::TextualGradientDescent::SHOWN_RESPONSES) and of each the first
    /// [`RESPONSE_CHARS`](super::TextualGradientDescent::RESPONSE_CHARS) characters; the comparison is left to the
    /// model that writes the new text, in the same request.
    #[setters(rename = "response_history")]
    pub(super) responses: usize,
    /// Shows that many of the last changes that were [reported](super::Optimizer::report) as not accepted, each with
    /// the score that the text had with it; 0, the default, is none. A change is shown as the edits that make it,
    /// sentence by sentence, however it was written.
    ///
    /// After SkillOpt (arXiv:2605.23904), whose buffer is emptied after each epoch and also holds summaries of what
    /// failed.
    #[setters(rename = "rejected_memory")]
    pub(super) rejected: usize,
    /// Empties the memory of a parameter when a text of it is reported as accepted: what it holds is about the text
    /// before. Default: false. With a gradient memory this is the memory of Feedback Descent
    /// (arXiv:2511.07919).
    pub(super) reset_on_acceptance: bool,
}

/// The earlier steps that a request shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub(super) feedback: Vec<PastStep>,
    pub(super) texts: Vec<PastStep>,
    pub(super) responses: Vec<PastStep>,
    pub(super) rejected: Vec<RejectedChange>,
}

/// The memory of one parameter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The version that the parameter counts as in seeds.
    pub(super) version: u64,
    /// How far it is ahead of the parameter's own version, which starts anew with every process. Texts may be loaded
    /// before or after the optimizer's state, so this is found out only when it is needed.
    #[serde(skip)]
    ahead: Option<u64>,
    steps: VecDeque<Step>,
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    rejected: VecDeque<RejectedChange>,
}

impl Default for Memory {
    /// The memory of a new parameter counts with it; a saved one goes on from its own version.
    fn default() -> Self {
        Self { version: 0, ahead: Some(0), steps: VecDeque::new(), rejected: VecDeque::new() }
    }
}

impl Step {
    /// How many responses of one step are kept.
    pub(super) const RESPONSES: usize = 8;
    /// How many characters of each are kept.
    pub(super) const RESPONSE_CHARS: usize = 2_000;

    /// What is remembered of feedback on a text.
    pub(super) fn new(text: &str, feedback: &[Feedback], responses: bool) -> Self {
        let contexts = feedback.iter().flat_map(Feedback::contexts).filter(|_| responses);
        Self {
            text: text.to_owned(),
            feedback: feedback.iter().map(|feedback| feedback.text().to_owned()).collect(),
            responses: contexts
                .map(|context| context.response().value().describe())
                .map(|response| truncate(&response, Self::RESPONSE_CHARS))
                .take(Self::RESPONSES)
                .collect(),
        }
    }
}

impl MemoryConfig {
    /// How many steps are kept.
    pub(super) fn longest(self) -> usize {
        self.feedback.max(self.texts).max(self.responses)
    }

    /// Whether there is anything to remember.
    pub(super) fn remembers(self) -> bool {
        self.longest() > 0 || self.rejected > 0
    }
}

impl Memory {
    /// Follows the assignments to the parameter since the last proposal.
    pub(super) fn refresh(&mut self, parameter: &Parameter) {
        if let Some(ahead) = self.ahead {
            self.version = parameter.version().wrapping_add(ahead);
        }
    }

    /// Prepares for a proposal: from now on the version is that of the parameter and what it is ahead.
    pub(super) fn follow(&mut self, parameter: &Parameter) {
        self.refresh(parameter);
        self.ahead = Some(self.version.wrapping_sub(parameter.version()));
    }

    /// What a request about the parameter with this text shows.
    pub(super) fn past(&self, text: &str, memory_config: MemoryConfig) -> Past {
        Past {
            feedback: shown(self.steps.iter(), memory_config.feedback),
            texts: self.texts(text, memory_config.texts),
            responses: shown(self.steps.iter(), memory_config.responses),
            rejected: self.rejected.iter().cloned().collect(),
        }
    }

    /// Forgets all steps and changes.
    pub(super) fn forget(&mut self) {
        self.steps.clear();
        self.rejected.clear();
    }

    /// Remembers a change that was not accepted; at most `limit`, the oldest forgotten first. One that comes again
    /// counts as the newest.
    pub(super) fn reject(&mut self, change: RejectedChange, limit: usize) {
        self.rejected.retain(|known| known.changes != change.changes);
        self.rejected.push_back(change);
        while self.rejected.len() > limit {
            self.rejected.pop_front();
        }
    }

    /// Remembers a step; at most `limit`, the oldest forgotten first. The same step over again, as when it is repeated
    /// after a failure, is one step.
    pub(super) fn record(&mut self, step: Step, limit: usize) {
        if self.steps.back() != Some(&step) {
            self.steps.push_back(step);
        }
        while self.steps.len() > limit {
            self.steps.pop_front();
        }
    }

    /// Earlier texts with what was said about them. The text as it is now is shown elsewhere; several steps
    /// from one text, as after a proposal that was turned down, are one text with all that was said.
    fn texts(&self, now: &str, window: usize) -> Vec<PastStep> {
        let mut texts: Vec<Step> = Vec::new();
        for step in self.steps.iter().filter(|step| step.text != now) {
            match texts.last_mut() {
                Some(last) if last.text == step.text => {
                    last.feedback.extend(step.feedback.iter().cloned());
                }
                _ => texts.push(step.clone()),
            }
        }
        shown(texts.iter(), window)
    }
}

/// The last of these steps, as requests show them.
fn shown<'a>(steps: impl ExactSizeIterator<Item = &'a Step>, window: usize) -> Vec<PastStep> {
    let skipped = steps.len().saturating_sub(window);
    let last = (1..).zip(steps.skip(skipped));
    let shown = last.map(|(number, step)| PastStep {
        number,
        text: step.text.clone(),
        feedback_text: step.feedback.join("\n"),
        feedback: step.feedback.clone(),
        responses: step.responses.clone(),
    });
    shown.collect()
}

/// The format that is written.
const FORMAT: u32 = 1;

/// State of several parameters, in the order in which they were first proposed for. Each is held by its handle, so that
/// no other can take its address.
#[derive(Debug)]
pub(super) struct Slots<T>(Vec<(Parameter, T)>);

/// The state of an optimizer as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedState<T> {
    optimizer: String,
    format: u32,
    parameters: Vec<SavedSlot<T>>,
}

#[derive(Serialize, Deserialize)]
struct SavedSlot<T> {
    role: String,
    #[serde(flatten)]
    state: T,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone + Default + Serialize + DeserializeOwned> Slots<T> {
    /// Makes room for parameters.
    pub(super) fn register(&mut self, parameters: &[Parameter]) {
        for parameter in parameters {
            if self.get(parameter).is_none() {
                self.0.push((parameter.clone(), T::default()));
            }
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut (Parameter, T)> {
        self.0.iter_mut()
    }

    pub(super) fn get(&mut self, parameter: &Parameter) -> Option<&mut T> {
        self.0.iter_mut().find(|(known, _)| known == parameter).map(|(_, state)| state)
    }

    /// The state of an optimizer of this kind.
    pub(super) fn save(&self, kind: &str) -> Json {
        let slots = self.0.iter().map(|(parameter, state)| SavedSlot {
            role: parameter.role().to_string(),
            state: state.clone(),
        });
        let (optimizer, format, parameters) = (kind.to_owned(), FORMAT, slots.collect());
        // Texts and finite numbers only: nothing in it can fail to be JSON.
        serde_json::to_value(SavedState { optimizer, format, parameters }).unwrap_or_default()
    }

    /// What was saved, for these parameters in the same order. Parameters that are new stand behind those of the state.
    ///
    /// # Errors
    /// [`Error::State`] if it is no state of this kind, or of parameters with other roles.
    pub(super) fn load(kind: &str, parameters: &[Parameter], state: &Json) -> Result<Self, Error> {
        let wrong = |expected: String| Error::State { expected, got: state.to_string() };
        let saved = SavedState::<T>::deserialize(state)
            .map_err(|error| wrong(format!("an object of {kind:?}; {error}")))?;
        if (saved.optimizer.as_str(), saved.format) != (kind, FORMAT) {
            return Err(wrong(format!("{kind:?} in format {FORMAT}")));
        }
        // Parameters are told apart by position, and roles show that positions have changed.
        refuse_repeated(parameters)?;
        let mut slots = Self::default();
        for (position, SavedSlot { role, state }) in saved.parameters.into_iter().enumerate() {
            match parameters.get(position) {
                Some(parameter) if **parameter.role() == *role => {
                    slots.0.push((parameter.clone(), state));
                }
                given => {
                    let found = given.map_or("there is none".to_owned(), |given| {
                        format!("it is {:?}", given.role())
                    });
                    return Err(wrong(format!(
                        "of parameters in the order in which they were first proposed for; parameter {position} has the role {role:?} there, and {found} here"
                    )));
                }
            }
        }
        slots.register(parameters);
        Ok(slots)
    }
}
