//! Putting texts together: [`sum`], [`concat`], and [`aggregate`], which also merges the feedback that comes
//! back.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    Concat, Engine, Error, Feedback, Inputs, Purpose, Reduce, ReduceCx, Request, Sampling,
    Variable, apply_one,
};

use crate::llm::{FeedbackRequest, word_feedback};
use crate::prompts::{Prompts, ReduceContext, VariableContext};

/// What stands between the terms of a sum.
const BELOW: &str = "\n";

/// The sum of texts: one below the other.
///
/// Backwards, what is said about the sum is said about every input, exactly once; if the sum is the
/// objective, so is each of its inputs. Constants get nothing.
///
/// # Errors
/// [`Error::Forward`] if an input holds an image, or if there is none.
///
/// # Examples
/// ```
/// use textgrad_core::{Gradient, Variable, backward};
/// use textgrad_ops::sum;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (a, b) = (Variable::differentiable("first", "loss"), Variable::differentiable("second", "loss"));
/// let total = sum([&a, &b]).await?;
/// assert_eq!(total.text(), Some("first\nsecond"));
/// let gradients = backward(&total).await?;
/// assert!(matches!(gradients.get(&a), [Gradient::Objective]));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub async fn sum<V: Into<Variable>>(terms: impl IntoIterator<Item = V>) -> Result<Variable, Error> {
    join(Concat::new("sum", BELOW), terms).await
}

/// Texts with a separator between them. All else is as in [`sum`].
///
/// Without a separator, two texts are one by `&a + &b`.
///
/// # Errors
/// Those of [`sum`].
///
/// # Examples
/// ```
/// use textgrad_core::Variable;
/// use textgrad_ops::concat;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let [rules, task] = ["Be brief.", "Why?"].map(|text| Variable::differentiable(text, "part of a prompt"));
/// let prompt = concat([&rules, &task], "\n---\n").await?;
/// assert_eq!(prompt.text(), Some("Be brief.\n---\nWhy?"));
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub async fn concat<V: Into<Variable>>(
    texts: impl IntoIterator<Item = V>,
    separator: impl Into<Arc<str>>,
) -> Result<Variable, Error> {
    join(Concat::new("concat", separator), texts).await
}

/// The sum of texts, where all feedback that passes through it is merged by `reduction` at every variable
/// that more than one of its terms depends on: [`LlmReduce`] asks a model, and
/// [`Deduplicate`](textgrad_core::Deduplicate), [`KeepAll`](textgrad_core::KeepAll) and
/// [`reduce_fn`](textgrad_core::reduce_fn) do not. Of nested ones, the innermost merges first.
///
/// # Errors
/// Those of [`sum`].
pub async fn aggregate<V: Into<Variable>>(
    terms: impl IntoIterator<Item = V>,
    reduction: Arc<dyn Reduce>,
) -> Result<Variable, Error> {
    join(Concat::new("aggregate", BELOW).reduction(reduction), terms).await
}

async fn join<V: Into<Variable>>(
    op: Concat,
    terms: impl IntoIterator<Item = V>,
) -> Result<Variable, Error> {
    let inputs = Inputs::new(terms.into_iter().map(|term| ("term", term)));
    apply_one(Arc::new(op), inputs).await
}

/// A reduction that asks a model to merge feedback into one text.
#[derive(Debug, Clone)]
pub struct LlmReduce(FeedbackRequest);

impl LlmReduce {
    /// A reduction by this engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self(FeedbackRequest::new(engine))
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
        let messages = self.0.prompts.messages("reduce", &context)?;
        let sampling = self.0.sampling.clone().at(cx.seed());
        let request = Request::new(Purpose::Reduce, messages).with_sampling(sampling);
        let mut inputs = vec![("variable", cx.variable().clone())];
        inputs.extend(cx.feedback().iter().map(|part| ("feedback", part.variable().clone())));
        let templates = ["reduce_system", "reduce"];
        inputs.extend(self.0.prompts.wording(&templates, &request.messages, &inputs).await?);
        let settings = self.0.with_engine(cx.engine_or(&self.0.engine));
        let merged = word_feedback("reduce", settings, request, cx.variable(), inputs).await?;
        let blank = merged.text().is_none_or(|text| text.trim().is_empty());
        Ok((!blank).then(|| Feedback::from_variable(merged)).into_iter().collect())
    }
}
