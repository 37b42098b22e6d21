//! A call of a language model whose prompt is a template over named variables.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value as Json};
use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Message, Op, OpFailure, Output, PromptError,
    PromptTemplate, Request, Variable, apply_one,
};

use super::call::{LlmCallBuilder, backward_of, complete, request};

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
/// let question = Variable::new("Is {x} a set?", "question");
/// let answer = Variable::leaf("Yes.", "answer");
/// let verdict = judge.call([("question", &question), ("answer", &answer)]).await?;
/// assert_eq!(verdict.text(), Some("B"));
/// assert_eq!(
///     engine.requests()[0].messages[0].text(),
///     "Question: Is {x} a set?\nAnswer: Yes.\nIs the answer right?"
/// );
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct FormattedLlmCall(Arc<FormattedLlmCallBuilder>);

/// Settings of a [`FormattedLlmCall`].
#[derive(Clone)]
pub struct FormattedLlmCallBuilder {
    call: LlmCallBuilder,
    template: PromptTemplate,
    system: Option<Arc<str>>,
    fields: Vec<String>,
}

impl FormattedLlmCall {
    /// A call with these settings, whose prompt is `template` over `fields`.
    ///
    /// # Errors
    /// A [`PromptError`] that names the line, if the template does not parse or uses anything but the fields.
    pub fn builder<F: Into<String>>(
        call: LlmCallBuilder,
        template: &str,
        fields: impl IntoIterator<Item = F>,
    ) -> Result<FormattedLlmCallBuilder, PromptError> {
        let fields: Vec<String> = fields.into_iter().map(Into::into).collect();
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

    fn messages(&self, inputs: &Inputs) -> Result<Vec<Message>, Error> {
        let mut values = Map::new();
        for field in &self.0.fields {
            values.insert(field.clone(), Json::from(inputs.text(field)?));
        }
        if inputs.len() != self.0.fields.len()
            || inputs.iter().any(|input| !values.contains_key(&**input.name()))
        {
            let got: Vec<&str> = inputs.iter().map(|input| &**input.name()).collect();
            return Err(Error::op(format!(
                "expected exactly the fields {:?}, but got {got:?}",
                self.0.fields
            )));
        }
        let prompt = Message::user(self.0.template.render(&values)?);
        Ok(self.0.system.iter().map(|system| Message::system(&**system)).chain([prompt]).collect())
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
        FormattedLlmCall(Arc::new(self))
    }
}

#[async_trait]
impl Op for FormattedLlmCall {
    fn name(&self) -> &str {
        self.0.call.op_name()
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        complete(&self.0.call, self.messages(inputs)?).await
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let messages = self.messages(cx.inputs())?;
        backward_of(&self.0.call, cx, &messages).await
    }

    fn request(&self, inputs: &Inputs) -> Option<Request> {
        Some(request(&self.0.call, self.messages(inputs).ok()?))
    }
}

impl fmt::Debug for FormattedLlmCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
