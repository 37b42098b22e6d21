//! Functions as differentiable ops.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use derive_setters::Setters;
use futures_util::future::BoxFuture;
use textgrad_core::{
    BackwardCx, Engine, Error, Gradient, Inputs, Op, OpFailure, Output, Quote, Score, Variable,
    apply_one,
};

use crate::llm::FeedbackRequest;

type ReadScore = dyn Fn(&str) -> Result<Option<Score>, Error> + Send + Sync;
type Function = dyn Fn(Inputs) -> BoxFuture<'static, Result<String, Error>> + Send + Sync;

/// A function on texts, with its purpose in words.
///
/// Backwards, a model is shown the purpose, what went in and what came out, and asked for feedback on every
/// input that requires a gradient. Cheap to clone.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::testing::ScriptedEngine;
/// use textgrad_core::{Variable, backward};
/// use textgrad_ops::StringFn;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let engine = Arc::new(ScriptedEngine::new(["Write the number as digits."]));
/// let check = StringFn::new(engine, "says whether the answer is the number 4", |inputs| {
///     Ok((inputs.text("answer")? == "4").to_string())
/// });
/// let answer = Variable::differentiable("four", "answer to a sum");
/// let verdict = check.call([("answer", &answer)]).await?;
/// assert_eq!(verdict.text(), Some("false"));
/// let gradients = backward(&verdict).await?;
/// assert_eq!(gradients.text(&answer), "Write the number as digits.");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Setters)]
#[setters(into)]
pub struct StringFn {
    /// The name of the op in graphs and errors; default: `function`.
    name: Arc<str>,
    #[setters(skip)]
    purpose: Arc<str>,
    /// What the result is for, in words.
    response_role: Arc<str>,
    #[setters(skip)]
    function: Arc<Function>,
    #[setters(skip)]
    score: Option<Arc<ReadScore>>,
    #[setters(skip)]
    pub(crate) feedback: FeedbackRequest,
}

impl StringFn {
    /// A function that computes at once. It runs in the caller's task: use [`StringFn::new_async`] for work
    /// that waits.
    pub fn new<F>(engine: Arc<dyn Engine>, purpose: impl Into<Arc<str>>, function: F) -> Self
    where
        F: Fn(&Inputs) -> Result<String, Error> + Send + Sync + 'static,
    {
        Self::new_async(engine, purpose, move |inputs: Inputs| {
            let computed = function(&inputs);
            async move { computed }
        })
    }

    /// An async function.
    pub fn new_async<F, Fut>(
        engine: Arc<dyn Engine>,
        purpose: impl Into<Arc<str>>,
        function: F,
    ) -> Self
    where
        F: Fn(Inputs) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Error>> + Send + 'static,
    {
        let purpose = purpose.into();
        Self {
            name: "function".into(),
            response_role: format!("result of a function: {purpose}").into(),
            purpose,
            function: Arc::new(move |inputs| Box::pin(function(inputs))),
            score: None,
            feedback: FeedbackRequest::new(engine),
        }
    }

    /// Reads the [score](Variable::score) of the result from its text; `None` is no score. It makes the function an
    /// objective with a value, for compositions and records.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::testing::ScriptedEngine;
    /// use textgrad_core::{Score, Variable};
    /// use textgrad_ops::StringFn;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let engine = Arc::new(ScriptedEngine::default());
    /// let check = StringFn::new(engine, "says whether the answer is the number 4", |inputs| {
    ///     Ok((inputs.text("answer")? == "4").to_string())
    /// });
    /// let check = check.score(|verdict| Ok(Some(Score::Passed(verdict == "true"))));
    /// let verdict = check.call([("answer", &Variable::constant("4", "answer to a sum"))]).await?;
    /// assert_eq!(verdict.score(), Some(Score::Passed(true)));
    /// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn score<F>(mut self, read: F) -> Self
    where
        F: Fn(&str) -> Result<Option<Score>, Error> + Send + Sync + 'static,
    {
        self.score = Some(Arc::new(read));
        self
    }

    /// An example of good feedback, shown in requests for feedback.
    #[must_use]
    pub fn feedback_example(mut self, feedback: impl Into<String>) -> Self {
        self.feedback.examples.push(feedback.into());
        self
    }

    /// Calls the function. To go on where it fails, with feedback on what went in, use
    /// [`Error::to_variable`](textgrad_core::Error::to_variable).
    ///
    /// # Errors
    /// [`Error::Forward`] with what the function says.
    pub async fn call(&self, inputs: impl Into<Inputs>) -> Result<Variable, Error> {
        apply_one(Arc::new(self.clone()), inputs).await
    }
}

#[async_trait]
impl Op for StringFn {
    fn name(&self) -> &str {
        &self.name
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let text = (self.function)(inputs.clone()).await?;
        let score = self.score.as_ref().map(|read| read(&text)).transpose()?.flatten();
        let output = Output::new(text, Arc::clone(&self.response_role));
        Ok(vec![match score {
            Some(score) => output.with_score(score),
            None => output,
        }])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        self.feedback.send(cx).await
    }

    fn quote(&self, _: &Inputs) -> Quote {
        Quote::function(Arc::clone(&self.purpose))
    }
}

textgrad_core::debug_by!(StringFn { name, purpose });
