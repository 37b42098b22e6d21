//! Answers to questions: multiple choice, or about an image.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use textgrad_core::{Engine, Error, Inputs, Message, MessageRole, Part, Variable};

use super::judge::Judge;
use crate::prompts::{FunctionArgument, MultipleChoiceContext};

const INSTRUCTION: &str = "instruction";
const QUESTION: &str = "question";
const IMAGE: &str = "image";
const ANSWER: &str = "answer";
const SYSTEM: &str = "system";
const ROLE: &str = "instruction that an answer is evaluated by";

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
    pub(super) judge: Judge,
    system: Option<Variable>,
    instruction: Variable,
    question: Variable,
}

impl MultipleChoiceLoss {
    /// What the instruction is for, in words.
    pub const INSTRUCTION_ROLE: &'static str = ROLE;

    /// The evaluation of answers to this question, by an instruction in words.
    pub fn new(
        engine: Arc<dyn Engine>,
        instruction: impl Into<Arc<str>>,
        question: impl Into<Variable>,
    ) -> Self {
        let instruction = Variable::constant(instruction.into(), Self::INSTRUCTION_ROLE);
        Self::with_instruction(engine, instruction, question)
    }

    /// The same, by an instruction that is a variable.
    pub fn with_instruction(
        engine: Arc<dyn Engine>,
        instruction: impl Into<Variable>,
        question: impl Into<Variable>,
    ) -> Self {
        let (instruction, question) = (instruction.into(), question.into());
        Self { judge: Judge::new(engine), system: None, instruction, question }
    }

    /// With this system message, instead of the template `multiple_choice_system`. An empty one is not sent.
    #[must_use]
    pub fn system(mut self, system: impl Into<Variable>) -> Self {
        self.system = Some(system.into());
        self
    }

    pub(super) fn own_settings(&self) -> Json {
        json!({ "instruction": self.instruction.value().describe() })
    }

    /// Evaluates an answer.
    ///
    /// # Errors
    /// [`Error::Forward`] with the engine's failure, or if one of the texts is an image.
    pub async fn evaluate(&self, answer: impl Into<Variable>) -> Result<Variable, Error> {
        let answer = answer.into();
        let prompts = self.judge.prompts.clone();
        let word = move |inputs: &Inputs| {
            let context = MultipleChoiceContext {
                instruction: inputs.text(INSTRUCTION)?,
                question: inputs.text(QUESTION)?,
                answer: inputs.text(ANSWER)?,
            };
            let system = match inputs.find(SYSTEM) {
                Some(system) => system.require_text(SYSTEM)?.to_owned(),
                None => prompts.render("multiple_choice_system", &context)?,
            };
            let user = prompts.render("multiple_choice", &context)?;
            Ok((system, Message::user(user)))
        };
        let inputs =
            [(INSTRUCTION, &self.instruction), (QUESTION, &self.question), (ANSWER, &answer)];
        let inputs = with_system(self.system.as_ref(), inputs);
        self.judge.word(inputs, Vec::new(), Arc::new(word), None).await
    }
}

/// The answer to a question about an image, evaluated by a model that sees the image.
///
/// The user message holds, in this order, the instruction, the question, the image and the answer, each text
/// worded by the template `image_qa`; the system message is `image_qa_system`. Feedback is asked for on the
/// texts, and the image is shown then too.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Image, Variable, backward};
/// use textgrad_ops::ImageQaLoss;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["There are two dogs.", "Count the dogs again."]));
/// let png = Image::from_bytes(vec![0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a])?;
/// let image = Variable::constant(png, "photograph");
/// let question = Variable::constant("How many dogs are there?", "question");
///
/// let loss = ImageQaLoss::new(engine.clone(), "Is the answer right?", &question, &image);
/// let answer = Variable::differentiable("One.", "answer");
/// let gradients = backward(&loss.evaluate(&answer).await?).await?;
/// assert_eq!(gradients.text(&answer), "Count the dogs again.");
/// assert!(engine.requests().iter().all(|request| request.messages[1].has_image()));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct ImageQaLoss {
    pub(super) judge: Judge,
    system: Option<Variable>,
    instruction: Variable,
    question: Variable,
    image: Variable,
}

impl ImageQaLoss {
    /// What the instruction is for, in words.
    pub const INSTRUCTION_ROLE: &'static str = ROLE;

    /// The evaluation of answers to this question about this image, by an instruction in words.
    pub fn new(
        engine: Arc<dyn Engine>,
        instruction: impl Into<Arc<str>>,
        question: impl Into<Variable>,
        image: impl Into<Variable>,
    ) -> Self {
        let instruction = Variable::constant(instruction.into(), Self::INSTRUCTION_ROLE);
        Self::with_instruction(engine, instruction, question, image)
    }

    /// The same, by an instruction that is a variable.
    pub fn with_instruction(
        engine: Arc<dyn Engine>,
        instruction: impl Into<Variable>,
        question: impl Into<Variable>,
        image: impl Into<Variable>,
    ) -> Self {
        let (instruction, question) = (instruction.into(), question.into());
        let image = image.into();
        Self { judge: Judge::new(engine), system: None, instruction, question, image }
    }

    /// With this system message, instead of the template `image_qa_system`. An empty one is not sent.
    #[must_use]
    pub fn system(mut self, system: impl Into<Variable>) -> Self {
        self.system = Some(system.into());
        self
    }

    pub(super) fn own_settings(&self) -> Json {
        json!({ "instruction": self.instruction.value().describe() })
    }

    /// Evaluates an answer.
    ///
    /// # Errors
    /// [`Error::Forward`] with the engine's failure, if the image is a text, or if a text is an image.
    pub async fn evaluate(&self, answer: impl Into<Variable>) -> Result<Variable, Error> {
        let answer = answer.into();
        let prompts = self.judge.prompts.clone();
        let word = move |inputs: &Inputs| {
            let mut parts = Vec::new();
            for input in inputs.iter().filter(|input| &**input.name() != SYSTEM) {
                let (name, variable) = (&**input.name(), input.variable());
                if name == IMAGE {
                    parts.push(Part::Image(inputs.image(name)?.clone()));
                } else {
                    // Not an image.
                    inputs.text(name)?;
                    let field = FunctionArgument::new(name, variable);
                    parts.push(Part::Text(prompts.render("image_qa", &field)?.into()));
                }
            }
            let instruction = FunctionArgument::new(INSTRUCTION, inputs.named(INSTRUCTION)?);
            let system = match inputs.find(SYSTEM) {
                Some(system) => system.require_text(SYSTEM)?.to_owned(),
                None => prompts.render("image_qa_system", &instruction)?,
            };
            Ok((system, Message::new(MessageRole::User, parts)))
        };
        let inputs = [
            (INSTRUCTION, &self.instruction),
            (QUESTION, &self.question),
            (IMAGE, &self.image),
            (ANSWER, &answer),
        ];
        let inputs = with_system(self.system.as_ref(), inputs);
        self.judge.word(inputs, Vec::new(), Arc::new(word), None).await
    }
}

/// The inputs of an evaluation, a system message of its own first.
fn with_system<const K: usize>(
    system: Option<&Variable>,
    inputs: [(&str, &Variable); K],
) -> Inputs {
    system.map(|system| (SYSTEM, system)).into_iter().chain(inputs).collect()
}
