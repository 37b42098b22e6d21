//! Answers to multiple choice questions, at test time.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Engine, Error, Inputs, Message, Variable};

use super::Loss;
use super::judge::{Judge, judge_setters};
use crate::prompts::MultipleChoiceContext;

/// The answer to a multiple choice question, evaluated without knowing the right one: what a model is asked
/// at test time, to better its answer.
///
/// Instruction, question and answer are one user message (templates `multiple_choice_system` and
/// `multiple_choice`); texts are data, whatever braces or tags they hold.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Variable, backward};
/// use textgrad_ops::MultipleChoiceLoss;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["The second step is not justified.", "Justify it."]));
/// let question = Variable::constant("Is {1} a set?\nA) yes\nB) no", "question");
/// let loss = MultipleChoiceLoss::new(engine, "Look for mistakes in the reasoning.", &question);
/// let answer = Variable::differentiable("It has braces, so: A", "answer with its reasoning");
/// assert_eq!(backward(&loss.evaluate(&answer).await?).await?.text(&answer), "Justify it.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct MultipleChoiceLoss {
    judge: Judge,
    instruction: Variable,
    question: Variable,
}

impl MultipleChoiceLoss {
    /// What the instruction is for, in words.
    pub const INSTRUCTION_ROLE: &'static str = "instruction that an answer is evaluated by";

    /// The evaluation of answers to this question, by an instruction in words.
    pub fn new(
        engine: Arc<dyn Engine>,
        instruction: impl Into<Arc<str>>,
        question: &Variable,
    ) -> Self {
        let instruction = Variable::constant(instruction.into(), Self::INSTRUCTION_ROLE);
        Self::with_instruction(engine, instruction, question)
    }

    /// The same, by an instruction that is a variable.
    pub fn with_instruction(
        engine: Arc<dyn Engine>,
        instruction: Variable,
        question: &Variable,
    ) -> Self {
        Self { judge: Judge::new(engine), instruction, question: question.clone() }
    }

    judge_setters!();

    /// Evaluates an answer.
    ///
    /// # Errors
    /// [`Error::Forward`] with the engine's failure, or if one of the texts is an image.
    pub async fn evaluate(&self, answer: impl Into<Variable>) -> Result<Variable, Error> {
        let answer = answer.into();
        let prompts = self.judge.prompts.clone();
        let word = move |inputs: &Inputs| {
            let context = MultipleChoiceContext {
                instruction: inputs.text("instruction")?,
                question: inputs.text("question")?,
                answer: inputs.text("answer")?,
            };
            let system = prompts.render("multiple_choice_system", &context)?;
            let user = prompts.render("multiple_choice", &context)?;
            Ok((system, Message::user(user)))
        };
        let inputs =
            [("instruction", &self.instruction), ("question", &self.question), ("answer", &answer)];
        self.judge.word(inputs.into(), Arc::new(word), None).await
    }
}

#[async_trait]
impl Loss for MultipleChoiceLoss {
    async fn evaluate(&self, text: &Variable) -> Result<Variable, Error> {
        self.evaluate(text).await
    }
}
