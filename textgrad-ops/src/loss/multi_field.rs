//! Evaluations of several named texts together.

use std::sync::Arc;

use derive_setters::Setters;
use serde_json::{Value as Json, json};
use textgrad_core::{
    Choice, Engine, Error as CoreError, Inputs, Message, Score, Variable, truncate,
};

use super::judge::Judge;
use crate::error::Error;
use crate::llm::{ReadScore, Render};
use crate::prompts::{FunctionArgument, MultiFieldContext};
use crate::tags::{Tags, read_number};

/// Several named texts evaluated together by an instruction: a question, its prediction, the ground truth.
///
/// The user message holds the instruction and the fields in their order (template `multi_field`), each with
/// the role that it has here; the roles of the variables are not touched. Every field that requires a gradient
/// gets feedback of its own, and so does the instruction.
///
/// With [`MultiFieldLoss::score_between`] the model is asked for a score between two tags, and the evaluation
/// has it. A reply without a usable score is still an evaluation and can be differentiated: it has no score,
/// unless [`MultiFieldLoss::require_score`] makes it an error.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Score, Variable, backward};
/// use textgrad_ops::{Loss, MultiFieldLoss, Tags};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Off by one.\n<SCORE>0.5</SCORE>", "Count again."]));
/// let fields = [("prediction", "what a model answered"), ("truth", "the right answer")];
/// let loss = MultiFieldLoss::new(engine, "Compare the prediction with the truth.", fields)?
///     .score_between(Tags::new("<SCORE>", "</SCORE>")?);
///
/// let (prediction, truth) = (Variable::differentiable("4", "prediction"), Variable::constant("5", "truth"));
/// let verdict = loss.call([("prediction", &prediction), ("truth", &truth)]).await?;
/// assert_eq!(verdict.score(), Some(Score::Number(0.5)));
/// assert_eq!(backward(&verdict).await?.text(&prediction), "Count again.");
///
/// // The same as an objective over the prediction.
/// let loss: Arc<dyn Loss> = Arc::new(loss.over("prediction", [("truth", &truth)])?);
/// # let _ = loss;
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Setters)]
#[setters(generate = false)]
pub struct MultiFieldLoss {
    pub(super) judge: Judge,
    instruction: Variable,
    system: Option<Variable>,
    fields: Arc<[(String, String)]>,
    reader: Option<ScoreReader>,
    /// Makes a reply without a usable score an error.
    #[setters(generate, bool)]
    require_score: bool,
}

const INSTRUCTION: &str = "instruction";
const SYSTEM: &str = "system";

impl MultiFieldLoss {
    /// What the instruction is for, in words.
    pub const INSTRUCTION_ROLE: &'static str = "instruction that texts are evaluated by";

    /// An evaluation by an instruction in words, of these fields: each a name and its role.
    ///
    /// # Errors
    /// [`Error::Fields`] if there is none, if a name is empty, occurs twice, or is `instruction` or `system`.
    pub fn new<N: Into<String>, R: Into<String>>(
        engine: Arc<dyn Engine>,
        instruction: impl Into<Arc<str>>,
        fields: impl IntoIterator<Item = (N, R)>,
    ) -> Result<Self, Error> {
        let instruction = Variable::constant(instruction.into(), Self::INSTRUCTION_ROLE);
        Self::with_instruction(engine, instruction, fields)
    }

    /// An evaluation whose instruction is a variable.
    ///
    /// # Errors
    /// Those of [`MultiFieldLoss::new`].
    pub fn with_instruction<N: Into<String>, R: Into<String>>(
        engine: Arc<dyn Engine>,
        instruction: impl Into<Variable>,
        fields: impl IntoIterator<Item = (N, R)>,
    ) -> Result<Self, Error> {
        let fields = fields.into_iter().map(|(name, role)| (name.into(), role.into()));
        let fields: Vec<(String, String)> = fields.collect();
        let sound = |place: usize, name: &str| {
            let earlier = fields.iter().take(place).any(|(other, _)| other == name);
            !earlier && !name.trim().is_empty() && name != INSTRUCTION && name != SYSTEM
        };
        let sound = fields.iter().enumerate().all(|(place, (name, _))| sound(place, name));
        if fields.is_empty() || !sound {
            let got = fields.into_iter().map(|(name, _)| name).collect();
            return Err(Error::Fields { got });
        }
        let (judge, fields) = (Judge::new(engine), fields.into());
        let instruction = instruction.into();
        Ok(Self { judge, instruction, system: None, fields, reader: None, require_score: false })
    }

    /// With this system message, instead of the template `multi_field_system`. An empty one is not sent.
    #[must_use]
    pub fn system(mut self, system: impl Into<Variable>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// Asks for a score, a number, between these tags, and reads it from there.
    #[must_use]
    pub fn score_between(self, tags: Tags) -> Self {
        self.score_by(tags, |text| read_number(text).ok().map(Score::Number))
    }

    /// Asks for a score between these tags, and reads it by this function of what stands there.
    #[must_use]
    pub fn score_by(
        mut self,
        tags: Tags,
        read: impl Fn(&str) -> Option<Score> + Send + Sync + 'static,
    ) -> Self {
        self.reader = Some(ScoreReader { tags, read: Arc::new(read) });
        self
    }

    /// Evaluates texts: one for each field, in any order.
    ///
    /// # Errors
    /// [`CoreError::Op`] for a field that is missing, unknown or given twice; [`CoreError::Forward`] for an
    /// image, for the engine's failure, or for a score that is required and not there.
    pub async fn call(&self, fields: impl Into<Inputs>) -> Result<Variable, CoreError> {
        let given = fields.into();
        let names = self.fields.iter().map(|(name, _)| name);
        let ordered: Option<Vec<(Arc<str>, Variable)>> =
            names.map(|name| Some((Arc::from(name.as_str()), given.find(name)?.clone()))).collect();
        let ordered = ordered.filter(|ordered| ordered.len() == given.len()).ok_or_else(|| {
            let expected: Vec<&String> = self.fields.iter().map(|(name, _)| name).collect();
            let got: Vec<&str> = given.iter().map(|input| &**input.name()).collect();
            CoreError::op(format!("expected exactly the fields {expected:?}, but got {got:?}"))
        })?;
        let mut inputs: Vec<(Arc<str>, Variable)> = Vec::new();
        inputs.extend(self.system.iter().map(|system| (Arc::from(SYSTEM), system.clone())));
        inputs.push((Arc::from(INSTRUCTION), self.instruction.clone()));
        inputs.extend(ordered);
        let score = self.reader.clone().map(|reader| reader.into_reader(self.require_score));
        self.judge.word(inputs.into(), Vec::new(), self.word(), score).await
    }

    fn word(&self) -> Arc<Render> {
        let (fields, prompts) = (Arc::clone(&self.fields), self.judge.prompts.clone());
        let tags = self.reader.as_ref().map(|reader| reader.tags.clone());
        Arc::new(move |inputs: &Inputs| {
            let mut shown = Vec::new();
            for (name, role) in &*fields {
                // Not an image.
                inputs.text(name)?;
                let mut field = FunctionArgument::new(name, inputs.named(name)?);
                field.role.clone_from(role);
                shown.push(field);
            }
            let context = MultiFieldContext {
                instruction: inputs.text(INSTRUCTION)?.to_owned(),
                fields: shown,
                start_tag: tags.as_ref().map(|tags| tags.start().to_owned()),
                end_tag: tags.as_ref().map(|tags| tags.end().to_owned()),
            };
            let system = match inputs.find(SYSTEM) {
                Some(_) => inputs.text(SYSTEM)?.to_owned(),
                None => prompts.render("multi_field_system", &context)?,
            };
            let user = Message::user(prompts.render("multi_field", &context)?);
            Ok((system, user))
        })
    }

    /// An objective over one field, the texts of all others given.
    ///
    /// # Errors
    /// [`Error::Fields`] if these fields and the open one are not exactly those of the loss.
    pub fn over(self, open: &str, fixed: impl Into<Inputs>) -> Result<MultiFieldOver, Error> {
        let fixed = fixed.into();
        let given = fixed.iter().map(|input| &**input.name()).chain([open]);
        let given: Vec<&str> = given.collect();
        let all = self.fields.iter().all(|(name, _)| given.contains(&name.as_str()));
        if !all || given.len() != self.fields.len() {
            return Err(Error::Fields { got: given.into_iter().map(str::to_owned).collect() });
        }
        Ok(MultiFieldOver { loss: self, open: open.into(), fixed })
    }
}

/// A [`MultiFieldLoss`] as an objective over one of its fields; see [`MultiFieldLoss::over`].
#[derive(Debug, Clone)]
pub struct MultiFieldOver {
    loss: MultiFieldLoss,
    open: Arc<str>,
    fixed: Inputs,
}

impl MultiFieldOver {
    pub(super) fn own_settings(&self) -> Json {
        json!({ "instruction": self.loss.instruction.value().describe(), "open": &*self.open })
    }

    /// Evaluates a text.
    ///
    /// # Errors
    /// Those of [`MultiFieldLoss::call`].
    pub async fn evaluate(&self, text: impl Into<Variable>) -> Result<Variable, CoreError> {
        let fixed = self.fixed.iter();
        let fixed = fixed.map(|input| (Arc::clone(input.name()), input.variable().clone()));
        let open = (Arc::clone(&self.open), text.into());
        self.loss.call(Inputs::new(fixed.chain([open]))).await
    }
}

textgrad_core::debug_by!(MultiFieldLoss { judge, fields });

type Read = dyn Fn(&str) -> Option<Score> + Send + Sync;

/// Reads a score from between two tags.
#[derive(Clone)]
struct ScoreReader {
    tags: Tags,
    read: Arc<Read>,
}

impl ScoreReader {
    fn into_reader(self, required: bool) -> Arc<ReadScore> {
        Arc::new(move |evaluation: &Choice| {
            let read = |text: &str| {
                (self.read)(text).ok_or_else(|| format!("there stood {:?}", truncate(text, 80)))
            };
            let found = self.tags.read(evaluation).map_err(|error| error.to_string());
            match found.and_then(|text| read(&text)) {
                Ok(score) => Ok(Some(score)),
                Err(_) if !required => Ok(None),
                Err(problem) => Err(CoreError::op(format!(
                    "expected a score between {} and {} in the evaluation, but {problem}",
                    self.tags.start(),
                    self.tags.end()
                ))),
            }
        })
    }
}
