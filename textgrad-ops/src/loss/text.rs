//! An objective in words.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use textgrad_core::{Engine, Error, Variable};

use super::judge::Judge;

/// An objective in words: a model evaluates a text by an instruction.
///
/// The instruction is the system message and the text is the user message. It may be a
/// [`Parameter`](textgrad_core::Parameter)'s variable, so that an objective can be learned too.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, Variable, backward};
/// use textgrad_ops::TextLoss;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["The second step is wrong.", "Redo the second step."]));
/// let loss = TextLoss::new(engine, "Find errors in the solution. Do not solve the problem yourself.");
/// let solution = Parameter::new("2 + 2 = 4, so 4 + 1 = 6.", "solution of a problem");
/// let evaluation = loss.evaluate(&solution.variable()).await?;
/// let gradients = backward(&evaluation).await?;
/// assert_eq!(gradients.text(&solution.variable()), "Redo the second step.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TextLoss {
    instruction: Variable,
    pub(super) judge: Judge,
}

impl TextLoss {
    /// What the instruction of a loss is for, in words.
    pub const INSTRUCTION_ROLE: &'static str = "instruction that a text is evaluated by";

    /// An objective given by an instruction in words.
    pub fn new(engine: Arc<dyn Engine>, instruction: impl Into<Arc<str>>) -> Self {
        Self::with_instruction(
            engine,
            Variable::constant(instruction.into(), Self::INSTRUCTION_ROLE),
        )
    }

    /// An objective whose instruction is a variable.
    pub fn with_instruction(engine: Arc<dyn Engine>, instruction: impl Into<Variable>) -> Self {
        Self { instruction: instruction.into(), judge: Judge::new(engine) }
    }

    pub(super) fn own_settings(&self) -> Json {
        json!({ "instruction": self.instruction.value().describe() })
    }

    /// Evaluates a text.
    ///
    /// # Errors
    /// [`Error::Forward`] with the engine's failure.
    pub async fn evaluate(&self, text: impl Into<Variable>) -> Result<Variable, Error> {
        self.judge.read(&self.instruction, &text.into()).await
    }
}
