//! The variables of requests that show a whole graph.

use serde::Serialize;
use serde_json::{Value as Json, json};
use textgrad_core::TemplateContext;

use super::context::Constraint;

/// A line of the listing of a graph: a call, with `outputs` (a list of names), `op`, `inputs` (each with
/// `argument` and `name`); or, where `left_out` is not 0, that many calls that are not shown.
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Clone, Serialize)]
pub struct GraphArgument {
    /// The argument's name.
    pub argument: String,
    /// The name of what was given for it.
    pub name: String,
}

impl TemplateContext for GraphCallContext {
    fn example() -> Json {
        json!({
            "outputs": [""], "op": "", "inputs": [{ "argument": "", "name": "" }], "left_out": 0,
        })
    }
}

/// A request for new texts of any of a graph's parameters: `program` (the calls as `graph_call` lists them,
/// one per line) and `left_out` (how many of them are not shown); `values` (each with `name`, `role`, `value`,
/// and `cut` if it is longer); `parameters` (each with `name`, `role`, `value`, `constraints`,
/// `constraints_text`); `objective` (with `name`, `role`), `feedback` (its text), `feedback_cut`, `score`
/// (null if it has none); `constraints` and `constraints_text` as in [`UpdateContext`](super::UpdateContext),
/// for every parameter; `start_tag`, `end_tag`.
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Clone, Serialize)]
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
#[derive(Debug, Clone, Serialize)]
pub struct GraphObjective {
    /// Its name in the program.
    pub name: String,
    /// What it is for, in words.
    pub role: String,
}

impl TemplateContext for GraphUpdateContext {
    fn example() -> Json {
        let constraint = json!({ "number": 1, "text": "" });
        json!({
            "program": "", "left_out": 0,
            "values": [{ "name": "", "role": "", "value": "", "cut": false }],
            "parameters": [{
                "name": "", "role": "", "value": "", "constraints": [constraint], "constraints_text": "",
            }],
            "objective": { "name": "", "role": "" }, "feedback": "", "feedback_cut": false, "score": "",
            "constraints": [constraint], "constraints_text": "", "start_tag": "", "end_tag": "",
        })
    }
}

/// Why an answer with new texts for a graph could not be used: `problems` (a list), `answer`, `cut_off`,
/// `attempts` as in [`RetryContext`](super::RetryContext), `start_tag`, `end_tag`.
#[derive(Debug, Clone, Serialize)]
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

impl TemplateContext for GraphRetryContext {
    fn example() -> Json {
        json!({
            "problems": [""], "answer": "", "cut_off": false, "attempts": 1, "start_tag": "", "end_tag": "",
        })
    }
}
