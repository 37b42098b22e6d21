//! A call of a language model whose prompt is a template over named variables.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Message, Op, OpFailure, Output, PromptError,
    PromptTemplate, Request, Variable, apply_one,
};

use super::call::LlmCallBuilder;
use super::conversation::{Conversation, backward_of, complete};
use super::fields::{after_system, system_and_fields};

/// A call of a language model whose prompt is a handlebars template over named variables.
///
/// Values are data: braces, tags and `{{x}}` inside them are sent as they are. Backwards, every variable that
/// requires a gradient gets feedback of its own.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::Variable;
/// use textgrad_ops::{FormattedLlmCall, LlmCall};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["B"]));
/// let judge = FormattedLlmCall::builder(
///     LlmCall::builder(engine.clone()),
///     "Question: {{question}}\nAnswer: {{answer}}\nIs the answer right?",
///     ["question", "answer"],
/// )?
/// .build();
/// let question = Variable::constant("Is {x} a set?", "question");
/// let answer = Variable::differentiable("Yes.", "answer");
/// let verdict = judge.call([("question", &question), ("answer", &answer)]).await?;
/// assert_eq!(verdict.text(), Some("B"));
/// assert_eq!(
///     engine.requests()[0].messages[0].text(),
///     "Question: Is {x} a set?\nAnswer: Yes.\nIs the answer right?"
/// );
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct FormattedLlmCall {
    settings: Arc<FormattedLlmCallBuilder>,
    /// Whether the first input is a system prompt.
    has_system: bool,
}

/// Settings of a [`FormattedLlmCall`].
#[derive(Clone)]
pub struct FormattedLlmCallBuilder {
    call: LlmCallBuilder,
    template: PromptTemplate,
    system: Option<Arc<str>>,
    fields: Vec<String>,
}

impl FormattedLlmCall {
    /// A call with these settings, whose prompt is `template` over `fields`. A field named twice is one field.
    ///
    /// # Errors
    /// A [`PromptError`] that names the line, if the template does not parse or uses anything but the fields.
    pub fn builder<F: Into<String>>(
        call: LlmCallBuilder,
        template: &str,
        fields: impl IntoIterator<Item = F>,
    ) -> Result<FormattedLlmCallBuilder, PromptError> {
        let mut fields: Vec<String> = fields.into_iter().map(Into::into).collect();
        let mut seen = HashSet::new();
        fields.retain(|field| seen.insert(field.clone()));
        let example: Map<String, Json> =
            fields.iter().map(|field| (field.clone(), Json::from(""))).collect();
        let template = PromptTemplate::new("prompt", template, &Json::Object(example))?;
        Ok(FormattedLlmCallBuilder { call, template, system: None, fields })
    }

    /// Makes the call: one variable per field, each exactly once, in any order.
    ///
    /// # Errors
    /// [`Error::Forward`] with what went wrong: a field that is missing, unknown or given twice, an image
    /// where text is needed, or the engine's failure.
    pub async fn call(&self, fields: impl Into<Inputs>) -> Result<Variable, Error> {
        apply_one(Arc::new(self.clone()), fields).await
    }

    /// Makes the call with a system prompt that is a variable, in the place of that of the settings. An empty
    /// one is not sent.
    ///
    /// # Errors
    /// Those of [`FormattedLlmCall::call`].
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
        let names: Vec<&str> = settings.fields.iter().map(String::as_str).collect();
        let (system, fields) = system_and_fields(inputs, self.has_system, &names)?;
        let mut values = Map::new();
        for name in names {
            values.insert(name.to_owned(), Json::from(fields.text(name)?));
        }
        let prompt = Message::user(settings.template.render(&values)?);
        Ok(Conversation::new(&settings.call, system.or(settings.system.as_deref()), prompt))
    }
}

impl FormattedLlmCallBuilder {
    /// With this system prompt, a constant.
    #[must_use]
    pub fn system(mut self, system: impl Into<Arc<str>>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// The call.
    #[must_use]
    pub fn build(mut self) -> FormattedLlmCall {
        // The prompt makes one text of all fields: one answer to it.
        self.call = self.call.one_answer();
        FormattedLlmCall { settings: Arc::new(self), has_system: false }
    }
}

#[async_trait]
impl Op for FormattedLlmCall {
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

impl fmt::Debug for FormattedLlmCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for FormattedLlmCallBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormattedLlmCall")
            .field("call", &self.call)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
