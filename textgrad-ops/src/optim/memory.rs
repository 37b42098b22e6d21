//! Memory of an optimizer: earlier steps on each parameter, and its form as JSON.

use std::collections::VecDeque;

use derive_setters::Setters;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{Feedback, Parameter, truncate};

use super::descent::TextualGradientDescentBuilder;
use super::optimizer::refuse_repeated;
use crate::error::Error;
use crate::prompts::PastStep;

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
}

/// The earlier steps that a request shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Past {
    pub(super) feedback: Vec<PastStep>,
    pub(super) texts: Vec<PastStep>,
    pub(super) responses: Vec<PastStep>,
}

/// The steps of several parameters. Each is held by its handle, so that no other can take its address.
#[derive(Debug, Default)]
pub(super) struct Memory {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    parameter: Parameter,
    steps: VecDeque<Step>,
    versions: Versions,
}

/// The version that a parameter counts as in seeds: its own, which starts anew with every process, and what
/// it had when the state was saved.
#[derive(Debug, Clone, Copy)]
enum Versions {
    /// It counts from this one on, since a state was loaded and nothing was asked yet. Texts may be loaded
    /// before or after the optimizer's state, so what is added is found out only when it is needed.
    Saved(u64),
    /// What is added to its own.
    Ahead(u64),
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
}

impl Memory {
    /// Makes room for a parameter. The order in which parameters come here is that of the state.
    pub(super) fn register(&mut self, parameter: &Parameter) {
        match self.slots.iter_mut().find(|slot| slot.parameter == *parameter) {
            Some(slot) => {
                let ahead = slot.version().wrapping_sub(parameter.version());
                slot.versions = Versions::Ahead(ahead);
            }
            None => {
                let (parameter, versions) = (parameter.clone(), Versions::Ahead(0));
                self.slots.push(Slot { parameter, steps: VecDeque::new(), versions });
            }
        }
    }

    /// The version that a parameter counts as.
    pub(super) fn version(&self, parameter: &Parameter) -> u64 {
        self.slot(parameter).map_or_else(|| parameter.version(), Slot::version)
    }

    /// What a request about a parameter with this text shows.
    pub(super) fn past(
        &self,
        parameter: &Parameter,
        text: &str,
        memory_config: MemoryConfig,
    ) -> Past {
        let Some(slot) = self.slot(parameter) else { return Past::default() };
        Past {
            feedback: shown(slot.steps.iter(), memory_config.feedback),
            texts: slot.texts(text, memory_config.texts),
            responses: shown(slot.steps.iter(), memory_config.responses),
        }
    }

    /// Remembers a step; at most `limit` of each parameter, the oldest forgotten first. The same step over
    /// again, as when it is repeated after a failure, is one step.
    pub(super) fn record(&mut self, parameter: &Parameter, step: Step, limit: usize) {
        let slot = self.slots.iter_mut().find(|slot| slot.parameter == *parameter);
        if let Some(slot) = slot
            && slot.steps.back() != Some(&step)
        {
            slot.steps.push_back(step);
            while slot.steps.len() > limit {
                slot.steps.pop_front();
            }
        }
    }

    fn slot(&self, parameter: &Parameter) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.parameter == *parameter)
    }
}

impl Slot {
    fn version(&self) -> u64 {
        match self.versions {
            Versions::Saved(saved) => saved,
            Versions::Ahead(ahead) => self.parameter.version().wrapping_add(ahead),
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

const KIND: &str = "textual gradient descent";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterState {
    role: String,
    version: u64,
    steps: VecDeque<Step>,
}

impl Memory {
    /// All of it, the parameters in the order in which they came.
    pub(super) fn to_json(&self) -> Json {
        let parameters = self.slots.iter().map(|slot| ParameterState {
            role: slot.parameter.role().to_string(),
            version: slot.version(),
            steps: slot.steps.clone(),
        });
        save(KIND, parameters.collect())
    }

    /// What was saved, for these parameters in the same order; of the steps of each, the last `limit`.
    pub(super) fn from_json(
        parameters: &[Parameter],
        state: &Json,
        limit: usize,
    ) -> Result<Self, Error> {
        let saved = load(KIND, parameters, state, |saved: &ParameterState| &saved.role)?;
        let mut memory = Self::default();
        for (parameter, saved) in parameters.iter().zip(saved) {
            let skipped = saved.steps.len().saturating_sub(limit);
            memory.slots.push(Slot {
                parameter: parameter.clone(),
                steps: saved.steps.into_iter().skip(skipped).collect(),
                versions: Versions::Saved(saved.version),
            });
        }
        parameters.iter().skip(memory.slots.len()).for_each(|new| memory.register(new));
        Ok(memory)
    }
}

/// The format that is written.
const FORMAT: u32 = 1;

/// The state of an optimizer as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedState<P> {
    optimizer: String,
    format: u32,
    parameters: Vec<P>,
}

/// The state of an optimizer of this kind.
pub(super) fn save<P: Serialize>(kind: &str, parameters: Vec<P>) -> Json {
    let state = SavedState { optimizer: kind.to_owned(), format: FORMAT, parameters };
    // Texts and finite numbers only: nothing in it can fail to be JSON.
    serde_json::to_value(state).unwrap_or_default()
}

/// The states of these parameters, at most as many as there are parameters.
///
/// # Errors
/// [`Error::State`] if it is no state of this kind, or of parameters with other roles.
pub(super) fn load<P: DeserializeOwned>(
    kind: &str,
    parameters: &[Parameter],
    state: &Json,
    role: impl Fn(&P) -> &str,
) -> Result<Vec<P>, Error> {
    let wrong = |expected: String| Error::State { expected, got: state.to_string() };
    let saved = SavedState::<P>::deserialize(state)
        .map_err(|error| wrong(format!("an object of {kind:?}; {error}")))?;
    if (saved.optimizer.as_str(), saved.format) != (kind, FORMAT) {
        return Err(wrong(format!("{kind:?} in format {FORMAT}")));
    }
    // It is by position that parameters are told apart, and roles are what shows that positions have changed.
    // Parameters that are new stand behind those of the state.
    refuse_repeated(parameters)?;
    let mut given = parameters.iter().map(|parameter| &**parameter.role());
    for (place, saved) in saved.parameters.iter().enumerate() {
        let (role, given) = (role(saved), given.next());
        if given != Some(role) {
            let found = given.map_or("there is none".to_owned(), |role| format!("it is {role:?}"));
            return Err(wrong(format!(
                "of parameters in the order in which they were first proposed for; parameter {place} has the role {role:?} there, and {found} here"
            )));
        }
    }
    Ok(saved.parameters)
}
