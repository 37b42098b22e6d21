//! A call of a language model.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, ContextSource, Engine, Error, Gradient, Inputs, Message, MessageRole, Op,
    OpFailure, Output, Part, Purpose, Request, Sampling, Seed, Variable, apply,
};

use super::feedback::{FeedbackSettings, QuotedCall, request_feedback};
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
/// let question = Variable::new("What is the color of Mars?", "question");
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
    engine: Arc<dyn Engine>,
    feedback: FeedbackSettings,
    sampling: Sampling,
    purpose: Purpose,
    response_role: Arc<str>,
    requires_grad: Option<bool>,
}

impl LlmCall {
    /// A call of this engine.
    pub fn builder(engine: Arc<dyn Engine>) -> LlmCallBuilder {
        LlmCallBuilder {
            name: "llm".into(),
            engine: Arc::clone(&engine),
            feedback: FeedbackSettings {
                engine,
                prompts: Prompts::default(),
                sampling: Sampling::default(),
            },
            sampling: Sampling::default(),
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

    pub(super) fn one_answer(mut self) -> Self {
        self.sampling.n = 1;
        self
    }

    pub(super) fn op_name(&self) -> &str {
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
        let call = match self.seed {
            None => self.call.clone(),
            Some(seed) => {
                let mut settings = (*self.call.0).clone();
                settings.sampling = settings.sampling.at(Some(seed));
                settings.build()
            }
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

const SYSTEM: &str = "system";
const PROMPT: &str = "prompt";
const ATTACHMENT: &str = "attachment";

/// The conversation that a call sends.
fn conversation(inputs: &Inputs) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    if inputs.find(SYSTEM).is_some() {
        let system = inputs.text(SYSTEM)?;
        if !system.is_empty() {
            messages.push(Message::system(system));
        }
    }
    let parts = inputs.iter().filter(|input| &**input.name() != SYSTEM);
    let parts = parts.map(|input| Part::from(input.variable().value()));
    messages.push(Message::new(MessageRole::User, parts));
    Ok(messages)
}

#[async_trait]
impl Op for LlmCall {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        complete(&self.0, conversation(inputs)?).await
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let messages = conversation(cx.inputs())?;
        backward_of(&self.0, cx, &messages).await
    }

    fn request(&self, inputs: &Inputs) -> Option<Request> {
        Some(request(&self.0, conversation(inputs).ok()?))
    }
}

/// What the engine is asked.
pub(super) fn request(settings: &LlmCallBuilder, messages: Vec<Message>) -> Request {
    Request::new(settings.purpose, messages).with_sampling(settings.sampling.clone())
}

/// Asks the engine and makes outputs of the answers.
pub(super) async fn complete(
    settings: &LlmCallBuilder,
    messages: Vec<Message>,
) -> Result<Vec<Output>, Error> {
    let response = settings.engine.complete(&request(settings, messages)).await?;
    Ok(response
        .choices
        .into_iter()
        .map(|choice| {
            let output = Output::new(choice.text, Arc::clone(&settings.response_role));
            match settings.requires_grad {
                Some(requires_grad) => output.with_requires_grad(requires_grad),
                None => output,
            }
        })
        .collect())
}

/// The texts of a message, one below the other: run together, an attached text and the prompt would be one.
fn quoted_text(message: &Message) -> String {
    let texts = message.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

/// Asks for feedback on every input of a conversation.
pub(super) async fn backward_of(
    settings: &LlmCallBuilder,
    cx: &BackwardCx,
    messages: &[Message],
) -> Result<Vec<Option<Gradient>>, OpFailure> {
    let of_role = |role| messages.iter().find(|message| message.role == role).map(quoted_text);
    let system: Option<Arc<str>> = of_role(MessageRole::System).map(Into::into);
    let prompt: Arc<str> = of_role(MessageRole::User).unwrap_or_default().into();
    let quote = |output: usize, made: &Output| QuotedCall {
        output,
        source: ContextSource::Conversation {
            system: system.clone(),
            prompt: Arc::clone(&prompt),
            response: made.value().describe().into(),
        },
        response_role: Arc::clone(made.role()),
    };
    cx.for_each_input(|input| request_feedback(cx, input, &settings.feedback, messages, quote))
        .await
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
