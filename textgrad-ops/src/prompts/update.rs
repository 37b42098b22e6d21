//! The variables of requests for new texts.

use serde::{Deserialize, Serialize};

use super::context::VariableContext;
use crate::optim::Violation;

/// One feedback for an optimizer: `variable`; `feedback`; and `contexts`, each with `call`, `function`,
/// `response_role`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GradientContext {
    /// The text that it is about.
    pub variable: VariableContext,
    /// What was said.
    pub feedback: String,
    /// The calls that it was said about.
    pub contexts: Vec<CallContext>,
}

/// A call that feedback was given about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallContext {
    /// The call, quoted.
    pub call: String,
    /// Whether it is a function's.
    pub function: bool,
    /// What its output is for, in words.
    pub response_role: String,
}

/// A request for a new text: `variable`; `gradients` (every feedback as `gradient` shows it, joined by
/// newlines); `feedback` (the words alone, a list) and `feedback_text`; `constraints` (each with `number`,
/// from 1, and `text`) and `constraints_text` (one per line, numbered); `examples` (a list of texts) and
/// `examples_text` (joined by newlines); `start_tag`, `end_tag`; `edits`; and, if the optimizer remembers them, earlier
/// steps, oldest first, each as [`PastStep`]: `past_feedback`, `past_texts` (without the text as it is now,
/// whose number in that row would be `text_number`), `past_responses`; and `rejected_changes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpdateContext {
    /// The text to rewrite.
    pub variable: VariableContext,
    /// The query that it answers, if there is one.
    pub query: Option<String>,
    /// Every feedback with its contexts.
    pub gradients: String,
    /// The words alone.
    pub feedback: Vec<String>,
    /// The same, joined by newlines.
    pub feedback_text: String,
    /// What the new text must obey.
    pub constraints: Vec<Constraint>,
    /// The same, one per line: `1. first`.
    pub constraints_text: String,
    /// Examples of good texts.
    pub examples: Vec<String>,
    /// The same, joined by newlines.
    pub examples_text: String,
    /// What stands before the new text in the answer.
    pub start_tag: String,
    /// What stands behind it.
    pub end_tag: String,
    /// How many edits the answer may be made of; 0 where the whole text is asked for.
    pub edits: u32,
    /// The last steps, for their feedback; empty without gradient memory.
    pub past_feedback: Vec<PastStep>,
    /// The last texts before this one, with their feedback; empty without momentum.
    pub past_texts: Vec<PastStep>,
    /// The number of this text behind those.
    pub text_number: usize,
    /// The last steps, for their responses and feedback; empty without response history.
    pub past_responses: Vec<PastStep>,
    /// Changes that were not accepted, oldest first; empty without a memory of them.
    pub rejected_changes: Vec<RejectedChange>,
}

/// A change of a text that was not accepted: `changes`, `score`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedChange {
    /// The edits that make it.
    pub changes: String,
    /// The score of the text with it; null if that was not measured.
    pub score: Option<String>,
}

/// A numbered constraint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Constraint {
    /// Its number, from 1.
    pub number: usize,
    /// What must hold.
    pub text: String,
}

/// Why an answer could not be used: `problem`, `cut_off`, `start_tag`, `end_tag`; `attempts`, how often it was asked
/// for before; if its text broke rules that are checked, `violations` (each with `rule` and `problem`) and `text`,
/// which else are empty.
///
/// A pack that shows `attempts` makes every repetition another request: without a seed, one that is wrong in the same
/// way twice would else be asked a third time in the same words, and a cache would give the same answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetryContext {
    /// What was wrong, in words.
    pub problem: String,
    /// Whether the answer was cut off at its longest length.
    pub cut_off: bool,
    /// What must stand before the new text.
    pub start_tag: String,
    /// What must stand behind it.
    pub end_tag: String,
    /// How many requests were made before, at least 1.
    pub attempts: u32,
    /// The rules that its text broke.
    pub violations: Vec<Violation>,
    /// That text.
    pub text: String,
}

/// An earlier step, as requests for a new text show it: `number`, `text`, `feedback`, `feedback_text`,
/// `responses`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastStep {
    /// Its number among those that are shown, from 1 for the oldest.
    pub number: usize,
    /// The text as it was then.
    pub text: String,
    /// What was said about it.
    pub feedback: Vec<String>,
    /// The same, joined by newlines.
    pub feedback_text: String,
    /// What came of the calls that it was used in; empty unless the optimizer keeps them.
    pub responses: Vec<String>,
}

/// A line of the listing of a graph: a call, with `outputs` (a list of names), `op`, `inputs` (each with
/// `argument` and `name`); or, where `left_out` is not 0, that many calls that are not shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphCallContext {
    /// The names of what it made, in order; `_` for what the objective does not depend on.
    pub outputs: Vec<String>,
    /// The name of the op.
    pub op: String,
    /// What went in, in order.
    pub inputs: Vec<GraphArgument>,
    /// How many calls are left out here.
    pub left_out: usize,
}

/// An argument of a call: `argument`, `name`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphArgument {
    /// The argument's name.
    pub argument: String,
    /// The name of what was given for it.
    pub name: String,
}

/// A request for new texts of any of a graph's parameters: `program` (the calls as `graph_call` lists them,
/// one per line) and `left_out` (how many of them are not shown); `values` (each with `name`, `role`, `value`,
/// and `cut` if it is longer); `parameters` (each with `name`, `role`, `value`, `constraints`,
/// `constraints_text`); `objective` (with `name`, `role`), `feedback` (its text), `feedback_cut`, `score`
/// (null if it has none); `constraints` and `constraints_text` as in [`UpdateContext`],
/// for every parameter; `start_tag`, `end_tag`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphUpdateContext {
    /// The calls between the parameters and the objective, one per line.
    pub program: String,
    /// How many of them are not shown.
    pub left_out: usize,
    /// What is named in the program and is no parameter.
    pub values: Vec<GraphValue>,
    /// The texts that may change.
    pub parameters: Vec<GraphParameter>,
    /// What is to be improved.
    pub objective: GraphObjective,
    /// What the objective says.
    pub feedback: String,
    /// Whether it says more.
    pub feedback_cut: bool,
    /// Its value, if it has one.
    pub score: Option<String>,
    /// What every new text must obey.
    pub constraints: Vec<Constraint>,
    /// The same, one per line.
    pub constraints_text: String,
    /// What stands before the new texts in the answer.
    pub start_tag: String,
    /// What stands behind them.
    pub end_tag: String,
}

/// A value in a graph: `name`, `role`, `value`, `cut`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphValue {
    /// Its name in the program.
    pub name: String,
    /// What it is for, in words.
    pub role: String,
    /// The text, or its beginning; an image by its description.
    pub value: String,
    /// Whether it is longer.
    pub cut: bool,
}

/// A text that may change: `name`, `role`, `value`, `constraints`, `constraints_text`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphParameter {
    /// Its name in the program and in the answer.
    pub name: String,
    /// What it is for, in words.
    pub role: String,
    /// The whole text.
    pub value: String,
    /// What its new texts must obey.
    pub constraints: Vec<Constraint>,
    /// The same, one per line.
    pub constraints_text: String,
}

/// An objective: `name`, `role`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphObjective {
    /// Its name in the program.
    pub name: String,
    /// What it is for, in words.
    pub role: String,
}

/// Why an answer with new texts for a graph could not be used: `problems` (a list), `answer`, `cut_off`,
/// `attempts` as in [`RetryContext`], `start_tag`, `end_tag`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GraphRetryContext {
    /// All that was wrong, in words.
    pub problems: Vec<String>,
    /// The answer.
    pub answer: String,
    /// Whether it was cut off at its longest length.
    pub cut_off: bool,
    /// How many requests were made before, at least 1.
    pub attempts: u32,
    /// What must stand before the new texts.
    pub start_tag: String,
    /// What must stand behind them.
    pub end_tag: String,
}
