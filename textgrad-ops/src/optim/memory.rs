//! Memory of an optimizer: earlier steps on each parameter, and its form as JSON.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{Feedback, Parameter, truncate};

use super::proposal::refuse_repeated;
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MemoryConfig {
    pub(super) feedback: usize,
    pub(super) texts: usize,
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
        if self.slot(parameter).is_none() {
            self.slots.push(Slot::new(parameter.clone(), VecDeque::new(), Versions::Ahead(0)));
        }
    }

    /// The version that a parameter counts as.
    pub(super) fn version(&mut self, parameter: &Parameter) -> u64 {
        let own = parameter.version();
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.parameter == *parameter) else {
            return own;
        };
        if let Versions::Saved(saved) = slot.versions {
            slot.versions = Versions::Ahead(saved.wrapping_sub(own));
        }
        slot.version()
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
            feedback: numbered(
                last(&slot.steps, memory_config.feedback).map(Step::shown).collect(),
            ),
            texts: slot.texts(text, memory_config.texts),
            responses: numbered(
                last(&slot.steps, memory_config.responses).map(Step::shown).collect(),
            ),
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
    fn new(parameter: Parameter, steps: VecDeque<Step>, versions: Versions) -> Self {
        Self { parameter, steps, versions }
    }

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
        let skipped = texts.len().saturating_sub(window);
        numbered(texts.iter().skip(skipped).map(Step::shown).collect())
    }
}

impl Step {
    fn shown(&self) -> PastStep {
        PastStep {
            number: 0,
            text: self.text.clone(),
            feedback_text: self.feedback.join("\n"),
            feedback: self.feedback.clone(),
            responses: self.responses.clone(),
        }
    }
}

fn last(steps: &VecDeque<Step>, window: usize) -> impl Iterator<Item = &Step> {
    steps.iter().skip(steps.len().saturating_sub(window))
}

fn numbered(mut steps: Vec<PastStep>) -> Vec<PastStep> {
    for (number, step) in (1..).zip(&mut steps) {
        step.number = number;
    }
    steps
}

/// The format that is written.
const FORMAT: u32 = 1;
const KIND: &str = "textual gradient descent";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    optimizer: String,
    format: u32,
    parameters: Vec<ParameterState>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParameterState {
    role: String,
    version: u64,
    steps: Vec<Step>,
}

impl Memory {
    /// All of it, the parameters in the order in which they came.
    pub(crate) fn to_json(&self) -> Json {
        let parameters = self.slots.iter().map(|slot| ParameterState {
            role: slot.parameter.role().to_string(),
            version: slot.version(),
            steps: slot.steps.iter().cloned().collect(),
        });
        let state =
            State { optimizer: KIND.to_owned(), format: FORMAT, parameters: parameters.collect() };
        // Texts and numbers only: nothing in it can fail to be JSON.
        serde_json::to_value(state).unwrap_or_default()
    }

    /// What was saved, for these parameters in the same order; of the steps of each, the last `limit`.
    pub(crate) fn from_json(
        parameters: &[Parameter],
        state: &Json,
        limit: usize,
    ) -> Result<Self, Error> {
        let wrong = |expected: String| Error::State { expected, got: state.to_string() };
        let saved = State::deserialize(state)
            .map_err(|error| wrong(format!("an object of {KIND:?}; {error}")))?;
        if (saved.optimizer.as_str(), saved.format) != (KIND, FORMAT) {
            return Err(wrong(format!("{KIND:?} in format {FORMAT}")));
        }
        matched(parameters, saved.parameters.iter().map(|saved| saved.role.as_str()), state)?;
        let mut memory = Self::default();
        let mut saved = saved.parameters.into_iter();
        for parameter in parameters {
            let (steps, versions) = match saved.next() {
                Some(saved) => (saved.steps.into(), Versions::Saved(saved.version)),
                None => (Default::default(), Versions::Ahead(0)),
            };
            let mut slot = Slot::new(parameter.clone(), steps, versions);
            while slot.steps.len() > limit {
                slot.steps.pop_front();
            }
            memory.slots.push(slot);
        }
        Ok(memory)
    }
}

/// Refuses parameters that are not those of a state: it is by position that they are told apart, and roles
/// are what shows that positions have changed. Parameters that are new stand behind those of the state.
pub(crate) fn matched<'a>(
    parameters: &[Parameter],
    roles: impl Iterator<Item = &'a str>,
    state: &Json,
) -> Result<(), Error> {
    refuse_repeated(&parameters.iter().collect::<Vec<_>>())?;
    let mut given = parameters.iter().map(|parameter| &**parameter.role());
    for (place, role) in roles.enumerate() {
        let given = given.next();
        if given != Some(role) {
            let found = given.map_or("there is none".to_owned(), |role| format!("it is {role:?}"));
            return Err(Error::State {
                expected: format!(
                    "of parameters in the order in which they were first proposed for; parameter {place} has the role {role:?} there, and {found} here"
                ),
                got: state.to_string(),
            });
        }
    }
    Ok(())
}
