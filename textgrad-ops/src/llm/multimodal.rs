//! A call of a language model over ordered fields of text and images.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Message, MessageRole, Op, OpFailure, Output, Part,
    Request, Variable, apply_one,
};

use super::call::LlmCallBuilder;
use super::conversation::{Conversation, backward_of, complete};
use super::fields::{after_system, system_and_fields};

/// A field of a [`MultimodalLlmCall`]: its name, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    name: Arc<str>,
    image: bool,
}

impl Field {
    /// A field that holds text. It is sent as `{name}: {text}`.
    pub fn text(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), image: false }
    }

    /// A field that holds an image. It is sent as it is, without its name.
    pub fn image(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), image: true }
    }

    fn part(&self, inputs: &Inputs) -> Result<Part, Error> {
        if self.image {
            return Ok(Part::Image(inputs.image(&self.name)?.clone()));
        }
        Ok(Part::Text(format!("{}: {}", self.name, inputs.text(&self.name)?)))
    }
}

/// A call of a language model over named fields of text and images, which are sent in their order as one
/// message.
///
/// Any engine may be used; one that cannot see says so. Backwards, every text that requires a gradient gets
/// feedback of its own, and the request for it shows the images.
///
/// For a prompt with images before it and no names, [`Ask::attach`](crate::Ask::attach) is enough.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Image, Variable};
/// use textgrad_ops::{Field, LlmCall, MultimodalLlmCall};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Right."]));
/// let fields = [Field::text("Question"), Field::image("Figure"), Field::text("Answer")];
/// let judge = MultimodalLlmCall::builder(LlmCall::builder(engine.clone()), fields)?.build();
///
/// let question = Variable::constant("How many bars?", "question about a figure");
/// let figure = Variable::constant(Image::new(vec![1], "image/png").unwrap(), "figure");
/// let answer = Variable::differentiable("Four.", "answer");
/// let verdict =
///     judge.call([("Question", &question), ("Figure", &figure), ("Answer", &answer)]).await?;
/// assert_eq!(verdict.text(), Some("Right."));
/// assert_eq!(engine.requests()[0].messages[0].parts.len(), 3);
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct MultimodalLlmCall {
    settings: Arc<MultimodalLlmCallBuilder>,
    /// Whether the first input is a system prompt.
    has_system: bool,
}

/// Settings of a [`MultimodalLlmCall`].
#[derive(Clone)]
pub struct MultimodalLlmCallBuilder {
    call: LlmCallBuilder,
    system: Option<Arc<str>>,
    fields: Vec<Field>,
}

impl MultimodalLlmCall {
    /// A call with these settings over these fields, in this order.
    ///
    /// # Errors
    /// [`Error::Op`] if there is no field, or two have one name.
    pub fn builder(
        call: LlmCallBuilder,
        fields: impl IntoIterator<Item = Field>,
    ) -> Result<MultimodalLlmCallBuilder, Error> {
        let fields: Vec<Field> = fields.into_iter().collect();
        let names: Vec<&str> = fields.iter().map(|field| &*field.name).collect();
        let repeated =
            names.iter().enumerate().any(|(i, name)| names.iter().take(i).any(|n| n == name));
        if names.is_empty() || repeated {
            return Err(Error::op(format!(
                "expected at least one field, and each name once, but got the fields {names:?}"
            )));
        }
        Ok(MultimodalLlmCallBuilder { call, system: None, fields })
    }

    /// Makes the call: one variable per field, each exactly once, in any order. They are sent in the order of
    /// the fields.
    ///
    /// # Errors
    /// [`Error::Forward`] with what went wrong: a field that is missing, unknown or given twice, an image
    /// where text is needed or the other way round, or the engine's failure.
    pub async fn call(&self, fields: impl Into<Inputs>) -> Result<Variable, Error> {
        apply_one(Arc::new(self.clone()), fields).await
    }

    /// Makes the call with a system prompt that is a variable, in the place of that of the settings. An empty
    /// one is not sent.
    ///
    /// # Errors
    /// Those of [`MultimodalLlmCall::call`].
    pub async fn call_with_system(
        &self,
        system: &Variable,
        fields: impl Into<Inputs>,
    ) -> Result<Variable, Error> {
        let call = Self { settings: Arc::clone(&self.settings), has_system: true };
        apply_one(Arc::new(call), after_system(system, &fields.into())).await
    }

    fn conversation(&self, inputs: &Inputs) -> Result<Conversation, Error> {
        let settings = &self.settings;
        let names: Vec<&str> = settings.fields.iter().map(|field| &*field.name).collect();
        let (system, values) = system_and_fields(inputs, self.has_system, &names)?;
        let parts: Result<Vec<Part>, Error> =
            settings.fields.iter().map(|field| field.part(&values)).collect();
        let prompt = Message::new(MessageRole::User, parts?);
        Ok(Conversation::new(&settings.call, system.or(settings.system.as_deref()), prompt))
    }
}

impl MultimodalLlmCallBuilder {
    /// With this system prompt, a constant.
    #[must_use]
    pub fn system(mut self, system: impl Into<Arc<str>>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// The call.
    #[must_use]
    pub fn build(mut self) -> MultimodalLlmCall {
        // All fields make one message: one answer to it.
        self.call = self.call.one_answer();
        MultimodalLlmCall { settings: Arc::new(self), has_system: false }
    }
}

#[async_trait]
impl Op for MultimodalLlmCall {
    fn name(&self) -> &str {
        self.settings.call.op_name()
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        complete(&self.settings.call, &self.conversation(inputs)?).await
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let conversation = self.conversation(cx.inputs())?;
        backward_of(&self.settings.call, cx, &conversation).await
    }

    fn request(&self, inputs: &Inputs) -> Option<Request> {
        Some(self.conversation(inputs).ok()?.request(&self.settings.call))
    }
}

impl fmt::Debug for MultimodalLlmCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for MultimodalLlmCallBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultimodalLlmCall")
            .field("call", &self.call)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
