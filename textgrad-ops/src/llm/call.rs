//! Calls of language models.

use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use textgrad_core::{
    BackwardCx, Choice, Engine, Error, Format, Gradient, Inputs, Message, Op, OpFailure, Output,
    Part, PromptError, Purpose, Quote, Request, Sampling, Score, Seed, Variable,
};

use super::feedback::FeedbackRequest;
use super::no_answer::answers;
use super::prompt::{Field, PromptForm, Render, TurnSlot};
use super::request::LlmRequest;
use crate::layer::with_all_choices;
use crate::prompts::Exchange;

/// Default role of a response.
pub(crate) const RESPONSE_ROLE: &str = "response of the language model";
const PROMPT: &str = "prompt";

/// Reads the score from a response.
pub(crate) type ReadScore = dyn Fn(&Choice) -> Result<Option<Score>, Error> + Send + Sync;

/// A call of a language model: a system prompt and a user message, both made of variables, and N responses.
///
/// | user message | builder | call |
/// |---|---|---|
/// | a prompt, with attachments | [`LlmCall::builder`] | [`LlmCall::ask`] |
/// | a template over named fields | [`LlmCallBuilder::template`] | [`LlmCall::ask_fields`] |
/// | ordered fields of text and images | [`LlmCallBuilder::fields`] | [`LlmCall::ask_fields`] |
///
/// Backwards, it asks the model for feedback on every input that requires a gradient: in its base form if the
/// response is the objective, else with the feedback on the response. Images are shown, never differentiated.
/// Cheap to clone.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Parameter, Variable, backward};
/// use textgrad_ops::LlmCall;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Red.", "Say that the answer must have a reason."]));
/// let llm = LlmCall::builder(engine).build();
/// let system = Parameter::new("Be brief.", "system prompt");
/// let question = Variable::constant("What is the color of Mars?", "question");
///
/// let answer = llm.ask(&question).system(&system).one().await?;
/// assert_eq!(answer.text(), Some("Red."));
/// let gradients = backward(&answer).await?;
/// assert_eq!(gradients.text(&system.variable()), "Say that the answer must have a reason.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct LlmCall {
    pub(super) settings: Arc<LlmCallBuilder>,
    /// Whether the first input is a system prompt.
    pub(super) has_system: bool,
    /// The earlier turns of the request; those of the settings if there are none.
    pub(super) turns: Arc<[TurnSlot]>,
}

/// Settings of an [`LlmCall`].
#[derive(Clone, Setters)]
#[setters(strip_option)]
#[must_use = "a builder makes nothing until it is built"]
pub struct LlmCallBuilder {
    /// The name of the op in graphs and errors; default: `llm`.
    #[setters(into)]
    pub(super) name: Arc<str>,
    #[setters(skip)]
    engine: Arc<dyn Engine>,
    #[setters(skip)]
    pub(super) feedback: FeedbackRequest,
    #[setters(skip)]
    examples: Vec<Exchange>,
    /// Turns of this call's own before those of the request.
    #[setters(skip)]
    history: Arc<[Message]>,
    /// How answers are drawn, and how many.
    sampling: Sampling,
    /// The shape that answers must have; default: any. Feedback is always plain text. An engine
    /// that cannot hold its answers to it fails the call.
    format: Option<Format>,
    /// What the call is for, in the accounts; default: [`Purpose::Forward`].
    purpose: Purpose,
    /// What the answer is for, in words.
    #[setters(into)]
    response_role: Arc<str>,
    /// Whether answers require a gradient, whatever the inputs say; see
    /// [`Output::with_requires_grad`].
    requires_grad: Option<bool>,
    #[setters(skip)]
    form: PromptForm,
    /// The system prompt, a constant. A variable given to a request replaces it.
    #[setters(into)]
    system: Option<Arc<str>>,
    #[setters(skip)]
    score: Option<Arc<ReadScore>>,
}

impl LlmCall {
    /// A call of this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> LlmCallBuilder {
        LlmCallBuilder {
            name: "llm".into(),
            engine: Arc::clone(&engine),
            feedback: FeedbackRequest::new(engine),
            examples: Vec::new(),
            history: Arc::from([]),
            sampling: Sampling::default(),
            format: None,
            purpose: Purpose::Forward,
            response_role: RESPONSE_ROLE.into(),
            requires_grad: None,
            form: PromptForm::Parts,
            system: None,
            score: None,
        }
    }

    /// A request with this prompt.
    pub fn ask(&self, prompt: impl Into<Variable>) -> LlmRequest<'_> {
        self.request_of(vec![(PROMPT.into(), prompt.into())])
    }

    /// A request with one variable per field of the [template](LlmCallBuilder::template) or the [ordered
    /// fields](LlmCallBuilder::fields), each exactly once, in any order.
    pub fn ask_fields(&self, fields: impl Into<Inputs>) -> LlmRequest<'_> {
        let fields = fields.into();
        let fields = fields.iter().map(|field| (field.name().clone(), field.variable().clone()));
        self.request_of(fields.collect())
    }

    fn request_of(&self, inputs: Vec<(Arc<str>, Variable)>) -> LlmRequest<'_> {
        LlmRequest::new(self, inputs)
    }
}

impl LlmCallBuilder {
    /// An in-context example: a prompt and a good answer to it, sent as two turns before the prompt. Examples
    /// are sent in the order in which they are given, and requests for feedback show them.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::Variable;
    /// use textgrad_core::testing::ScriptedEngine;
    /// use textgrad_ops::LlmCall;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let engine = Arc::new(ScriptedEngine::new(["froid"]));
    /// let llm = LlmCall::builder(engine.clone()).example("house", "maison").example("cat", "chat");
    /// llm.build().ask(&Variable::constant("cold", "word")).one().await?;
    /// let said: Vec<String> = engine.requests()[0].messages.iter().map(|turn| turn.text()).collect();
    /// assert_eq!(said, ["house", "maison", "cat", "chat", "cold"]);
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    pub fn example(mut self, prompt: impl Into<Arc<str>>, answer: impl Into<Arc<str>>) -> Self {
        let (prompt, answer): (Arc<str>, Arc<str>) = (prompt.into(), answer.into());
        self.examples.push(Exchange { prompt: prompt.to_string(), answer: answer.to_string() });
        self
    }

    /// An example of good feedback, shown in requests for feedback in a backward pass.
    pub fn feedback_example(mut self, feedback: impl Into<String>) -> Self {
        self.feedback.examples.push(feedback.into());
        self
    }

    /// The engine that gives feedback in a backward pass; default: the call's own.
    pub fn feedback_engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.feedback.engine = engine;
        self
    }

    /// Renders the user message from a handlebars template over these fields. Values are data: braces, tags and
    /// `{{x}}` inside them are sent as they are. A field named twice is one field. The call gives one response.
    ///
    /// # Errors
    /// A [`PromptError`] that names the line, if the template does not parse or uses anything but the fields.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::Variable;
    /// use textgrad_core::testing::ScriptedEngine;
    /// use textgrad_ops::LlmCall;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let engine = Arc::new(ScriptedEngine::new(["B"]));
    /// let judge = LlmCall::builder(engine.clone())
    ///     .template("Question: {{question}}\nAnswer: {{answer}}", ["question", "answer"])?
    ///     .build();
    /// let question = Variable::constant("Is {x} a set?", "question");
    /// let answer = Variable::differentiable("Yes.", "answer");
    /// let verdict = judge.ask_fields([("question", &question), ("answer", &answer)]).one().await?;
    /// assert_eq!(verdict.text(), Some("B"));
    /// assert_eq!(engine.requests()[0].messages[0].text(), "Question: Is {x} a set?\nAnswer: Yes.");
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    pub fn template(
        mut self,
        template: &str,
        fields: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, PromptError> {
        self.form = PromptForm::template(template, fields)?;
        Ok(self)
    }

    /// Sends these fields of text and images in their order as one user message. The call gives one response.
    /// An engine without vision fails the call.
    ///
    /// # Errors
    /// [`Error::Op`] if there is no field, or two have one name.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::testing::ScriptedEngine;
    /// use textgrad_core::{Image, Variable};
    /// use textgrad_ops::{Field, LlmCall};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let engine = Arc::new(ScriptedEngine::new(["Four."]));
    /// let fields = [Field::text("Question"), Field::image("Figure")];
    /// let llm = LlmCall::builder(engine.clone()).fields(fields)?.build();
    /// let question = Variable::constant("How many bars?", "question about a figure");
    /// let figure = Variable::constant(Image::new(vec![1], "image/png").unwrap(), "figure");
    /// let answer = llm.ask_fields([("Question", &question), ("Figure", &figure)]).one().await?;
    /// assert_eq!(answer.text(), Some("Four."));
    /// assert_eq!(engine.requests()[0].messages[0].parts.len(), 2);
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Result<Self, Error> {
        self.form = PromptForm::fields(fields)?;
        Ok(self)
    }

    /// Renders both messages from the inputs, and reads the score of the response, if there is a reader.
    pub(crate) fn rendered(mut self, render: Arc<Render>, score: Option<Arc<ReadScore>>) -> Self {
        (self.form, self.score) = (PromptForm::Rendered(render), score);
        self
    }

    pub(crate) fn history(mut self, turns: impl IntoIterator<Item = Message>) -> Self {
        self.history = turns.into_iter().collect();
        self
    }

    /// The same settings, the answers drawn from the seed of a place; from their own where there is none.
    pub(crate) fn at(mut self, place: Option<Seed>) -> Self {
        self.sampling = self.sampling.at(place);
        self
    }

    /// Builds the call.
    #[must_use]
    pub fn build(mut self) -> LlmCall {
        if !matches!(self.form, PromptForm::Parts) {
            self.sampling.n = 1;
        }
        if self.sampling.n > 1 {
            self.engine = with_all_choices(self.engine);
        }
        LlmCall { settings: Arc::new(self), has_system: false, turns: Arc::from([]) }
    }
}

impl LlmCall {
    /// The request that the inputs make. An empty system prompt is not sent.
    fn request_of_inputs(&self, inputs: &Inputs) -> Result<Request, Error> {
        let settings = &self.settings;
        let variables = self.turns.iter().filter(|turn| matches!(turn, TurnSlot::Input(_))).count();
        let (system, prompt) = settings.form.messages(inputs, self.has_system, variables)?;
        let system = system.as_deref().or(settings.system.as_deref());
        let system = system.filter(|system| !system.is_empty()).map(Message::system);
        let examples = settings.examples.iter().flat_map(|example| {
            [Message::user(&*example.prompt), Message::assistant(&*example.answer)]
        });
        let turns = settings.history.iter().cloned().chain(self.earlier_turns(inputs));
        let turns = turns.chain([prompt]);
        let messages = system.into_iter().chain(examples).chain(turns);
        let mut request =
            Request::new(settings.purpose, messages).with_sampling(settings.sampling.clone());
        request.format.clone_from(&settings.format);
        Ok(request)
    }

    fn earlier_turns(&self, inputs: &Inputs) -> Vec<Message> {
        let mut variables = inputs.iter().skip(usize::from(self.has_system));
        let turns = self.turns.iter().filter_map(|turn| match turn {
            TurnSlot::Constant(message) => Some(message.clone()),
            TurnSlot::Input(role) => {
                let value = variables.next()?.variable().value();
                Some(Message::new(*role, [Part::from(value)]))
            }
        });
        turns.collect()
    }

    fn output_of(&self, choice: Choice) -> Result<Output, Error> {
        let settings = &self.settings;
        let score = match &settings.score {
            Some(read) => read(&choice)?,
            None => None,
        };
        let mut output = Output::new(choice.text, Arc::clone(&settings.response_role));
        if let Some(requires_grad) = settings.requires_grad {
            output = output.with_requires_grad(requires_grad);
        }
        if let Some(score) = score {
            output = output.with_score(score);
        }
        Ok(output)
    }
}

#[async_trait]
impl Op for LlmCall {
    fn name(&self) -> &str {
        &self.settings.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let settings = &self.settings;
        let response = settings.engine.complete(&self.request_of_inputs(inputs)?).await?;
        // Engines may give more than was asked for.
        let choices = answers(response)?.into_iter().take(settings.sampling.n.max(1) as usize);
        choices.map(|choice| self.output_of(choice)).collect()
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        self.settings.feedback.send(cx).await
    }

    fn quote(&self, inputs: &Inputs) -> Quote {
        match self.request_of_inputs(inputs) {
            Ok(request) => Quote::Conversation { request, examples: self.settings.examples.len() },
            Err(_) => Quote::function(self.name()),
        }
    }

    fn request(&self, inputs: &Inputs) -> Option<Request> {
        self.request_of_inputs(inputs).ok()
    }
}

textgrad_core::debug_by!(LlmCallBuilder { name, engine, sampling });
