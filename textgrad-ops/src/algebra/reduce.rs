//! Merging feedback by a model.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    Engine, Error, Feedback, Message, Purpose, Reduce, ReduceCx, Request, Sampling,
};

use crate::llm::{FeedbackSettings, word_feedback};
use crate::prompts::{Prompts, ReduceContext, VariableContext};

/// A reduction that asks a model to merge feedback into one text.
#[derive(Clone)]
pub struct LlmReduce(FeedbackSettings);

impl LlmReduce {
    /// A reduction by this engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self(FeedbackSettings::new(engine))
    }

    /// The wording of the request.
    #[must_use]
    pub fn prompts(mut self, prompts: impl Into<Prompts>) -> Self {
        self.0.prompts = prompts.into();
        self
    }

    /// How the merged text is drawn; one answer whatever its `n` says.
    #[must_use]
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.0.sampling = sampling.with_n(1);
        self
    }
}

#[async_trait]
impl Reduce for LlmReduce {
    fn name(&self) -> &str {
        "llm reduce"
    }

    async fn reduce(&self, cx: &ReduceCx) -> Result<Vec<Feedback>, Error> {
        let context = ReduceContext {
            variable: VariableContext::new(cx.variable()),
            feedback: cx.feedback().iter().map(|feedback| feedback.text().to_owned()).collect(),
        };
        let messages = [
            Message::system(self.0.prompts.render("reduce_system", &context)?),
            Message::user(self.0.prompts.render("reduce", &context)?),
        ];
        let sampling = self.0.sampling.clone().at(cx.seed());
        let request = Request::new(Purpose::Reduce, messages).with_sampling(sampling);
        let mut inputs = vec![("variable", cx.variable().clone())];
        inputs.extend(cx.feedback().iter().map(|part| ("feedback", part.variable().clone())));
        let engine = cx.engine_or(&self.0.engine);
        let merged = word_feedback("reduce", engine, request, cx.variable(), inputs).await?;
        let blank = merged.text().is_none_or(|text| text.trim().is_empty());
        Ok((!blank).then(|| Feedback::from_variable(merged)).into_iter().collect())
    }
}

impl fmt::Debug for LlmReduce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmReduce").field("engine", &self.0.engine.name()).finish_non_exhaustive()
    }
}
