//! A call of a language model.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Engine, Error, Exchange, Format, Gradient, Inputs, Message, MessageRole, Op,
    OpFailure, Output, Part, Purpose, Request, Sampling, Seed, Variable, apply,
};

use super::conversation::{Conversation, backward_of, complete};
use super::feedback::FeedbackSettings;
use crate::prompts::Prompts;

/// The role of what a model answers, unless said otherwise.
pub(crate) const RESPONSE_ROLE: &str = "response of the language model";

/// A call of a language model: a system prompt and a prompt, both variables, and N answers.
///
/// Backwards, it asks the model for feedback on every input that requires a gradient: in its base form if
/// the answer is the objective, else with what was said about the answer. Images among the inputs are shown,
/// never differentiated. Cheap to clone.
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
/// let answer = llm.ask(&question).system(&system.variable()).one().await?;
/// assert_eq!(answer.text(), Some("Red."));
/// let gradients = backward(&answer).await?;
/// assert_eq!(gradients.text(&system.variable()), "Say that the answer must have a reason.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct LlmCall(Arc<LlmCallBuilder>);

/// Settings of an [`LlmCall`].
#[derive(Clone)]
pub struct LlmCallBuilder {
    name: Arc<str>,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) feedback: FeedbackSettings,
    pub(super) examples: Vec<Exchange>,
    /// Turns of this call's own before the prompt.
    pub(super) history: Arc<[Message]>,
    pub(super) sampling: Sampling,
    pub(super) format: Option<Format>,
    pub(super) purpose: Purpose,
    pub(super) response_role: Arc<str>,
    pub(super) requires_grad: Option<bool>,
}

impl LlmCall {
    /// A call of this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> LlmCallBuilder {
        LlmCallBuilder {
            name: "llm".into(),
            engine: Arc::clone(&engine),
            feedback: FeedbackSettings::new(engine),
            examples: Vec::new(),
            history: Arc::from([]),
            sampling: Sampling::default(),
            format: None,
            purpose: Purpose::Forward,
            response_role: RESPONSE_ROLE.into(),
            requires_grad: None,
        }
    }

    /// A call about to be made.
    pub fn ask(&self, prompt: &Variable) -> Ask<'_> {
        Ask {
            call: self,
            system: None,
            prompt: prompt.clone(),
            attachments: Vec::new(),
            history: Vec::new(),
            seed: None,
        }
    }
}

impl LlmCallBuilder {
    /// The name of the op in graphs and errors; `llm` unless said otherwise.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// How answers are drawn, and how many.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

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
    #[must_use]
    pub fn example(mut self, prompt: impl Into<Arc<str>>, answer: impl Into<Arc<str>>) -> Self {
        self.examples.push(Exchange { prompt: prompt.into(), answer: answer.into() });
        self
    }

    /// An example of good feedback, shown in requests for feedback in a backward pass.
    #[must_use]
    pub fn feedback_example(mut self, feedback: impl Into<String>) -> Self {
        self.feedback.examples.push(feedback.into());
        self
    }

    /// The shape that answers must have; any unless said otherwise. Feedback is always plain text. An engine
    /// that cannot hold its answers to it fails the call.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// How feedback is drawn in a backward pass; one answer whatever its `n` says.
    #[must_use]
    pub fn feedback_sampling(mut self, sampling: Sampling) -> Self {
        self.feedback.sampling = sampling.with_n(1);
        self
    }

    /// The engine that gives feedback in a backward pass; the call's own unless said otherwise.
    #[must_use]
    pub fn feedback_engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.feedback.engine = engine;
        self
    }

    /// The wording of requests for feedback.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.feedback.prompts = prompts.into();
        self
    }

    /// What the call is for, in the accounts; [`Purpose::Forward`] unless said otherwise.
    #[must_use]
    pub fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// What the answer is for, in words.
    #[must_use]
    pub fn response_role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.response_role = role.into();
        self
    }

    /// Whether answers require a gradient, whatever the inputs say; see
    /// [`Output::with_requires_grad`].
    #[must_use]
    pub fn requires_grad(mut self, requires_grad: bool) -> Self {
        self.requires_grad = Some(requires_grad);
        self
    }

    pub(crate) fn history(mut self, turns: impl IntoIterator<Item = Message>) -> Self {
        self.history = turns.into_iter().collect();
        self
    }

    pub(crate) fn one_answer(mut self) -> Self {
        self.sampling.n = 1;
        self
    }

    /// The same settings, the answers drawn from the seed of a place; from their own where there is none.
    pub(crate) fn at(mut self, place: Option<Seed>) -> Self {
        self.sampling = self.sampling.at(place);
        self
    }

    pub(crate) fn op_name(&self) -> &str {
        &self.name
    }

    /// The call.
    #[must_use]
    pub fn build(self) -> LlmCall {
        LlmCall(Arc::new(self))
    }
}

/// A call about to be made; see [`LlmCall::ask`].
#[derive(Debug, Clone)]
#[must_use = "nothing is asked until `one` or `all` is awaited"]
pub struct Ask<'a> {
    call: &'a LlmCall,
    system: Option<Variable>,
    prompt: Variable,
    attachments: Vec<Variable>,
    history: Vec<Message>,
    seed: Option<Seed>,
}

impl Ask<'_> {
    /// With this system prompt. An empty one is not sent.
    pub fn system(mut self, system: &Variable) -> Self {
        self.system = Some(system.clone());
        self
    }

    /// With this before the prompt in the same message: an image, or another text.
    pub fn attach(mut self, attachment: &Variable) -> Self {
        self.attachments.push(attachment.clone());
        self
    }

    /// With these turns between the system prompt and the prompt: what was said before. They are constants.
    pub fn history(mut self, turns: impl IntoIterator<Item = Message>) -> Self {
        self.history = turns.into_iter().collect();
        self
    }

    /// With this seed, instead of that of the call's sampling.
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// All answers: as many as came, at least one and at most the `n` of the call's sampling.
    ///
    /// # Errors
    /// [`Error::Forward`] with what went wrong.
    pub async fn all(self) -> Result<Vec<Variable>, Error> {
        let mut inputs: Vec<(&str, Variable)> = Vec::new();
        inputs.extend(self.system.map(|system| (SYSTEM, system)));
        inputs.extend(self.attachments.into_iter().map(|attachment| (ATTACHMENT, attachment)));
        inputs.push((PROMPT, self.prompt));
        let call = if self.seed.is_none() && self.history.is_empty() {
            self.call.clone()
        } else {
            (*self.call.0).clone().at(self.seed).history(self.history).build()
        };
        apply(Arc::new(call), Inputs::new(inputs)).await
    }

    /// The first answer.
    ///
    /// # Errors
    /// [`Error::Forward`] with what went wrong.
    pub async fn one(self) -> Result<Variable, Error> {
        let name = Arc::clone(&self.call.0.name);
        self.all().await?.into_iter().next().ok_or_else(|| Error::OutputCount {
            op: name.to_string(),
            expected: 1,
            got: 0,
        })
    }
}

pub(super) const SYSTEM: &str = "system";
const PROMPT: &str = "prompt";
const ATTACHMENT: &str = "attachment";

impl LlmCall {
    fn conversation(&self, inputs: &Inputs) -> Result<Conversation, Error> {
        let system = inputs.find(SYSTEM).map(|_| inputs.text(SYSTEM)).transpose()?;
        let parts = inputs.iter().filter(|input| &**input.name() != SYSTEM);
        let parts = parts.map(|input| Part::from(input.variable().value()));
        let prompt = Message::new(MessageRole::User, parts);
        Ok(Conversation::new(&self.0, system, prompt))
    }
}

#[async_trait]
impl Op for LlmCall {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        complete(&self.0, &self.conversation(inputs)?).await
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let conversation = self.conversation(cx.inputs())?;
        backward_of(&self.0, cx, &conversation).await
    }

    fn request(&self, inputs: &Inputs) -> Option<Request> {
        Some(self.conversation(inputs).ok()?.request(&self.0))
    }
}

impl fmt::Debug for LlmCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for LlmCallBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmCall")
            .field("name", &self.name)
            .field("engine", &self.engine.name())
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}
