//! Failures of ops as feedback.

use std::sync::Arc;

use async_trait::async_trait;

use super::inputs::{Inputs, Output};
use super::{BackwardCx, Call, Op, OpFailure, Quote};
use crate::error::{Error, describe};
use crate::gradient::{Feedback, Gradient};
use crate::score::Score;
use crate::variable::Variable;

impl Error {
    /// The failure of an op with these inputs, as a variable that a backward pass can begin from.
    ///
    /// The variable holds the error in words, with the role `error of op "name"` and a score that says that it did
    /// not pass. Where it is the objective, every input of the op that requires a gradient receives the error as
    /// feedback. No model is asked for that.
    ///
    /// `None` for what the op could do nothing about: the error of an [`Engine`](crate::Engine) (network, key,
    /// budget) anywhere among the causes, a panic, and whatever [`apply`](crate::apply) does not return.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use textgrad_core::{Error, Inputs, Output, Variable, apply_one, backward, op_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let double = Arc::new(op_fn("double", |inputs: Inputs| async move {
    ///     let text = inputs.text("number")?;
    ///     let number: i32 = text.parse().map_err(|_| Error::op(format!("{text:?} is no number")))?;
    ///     Ok(vec![Output::new((2 * number).to_string(), "twice the number")])
    /// }));
    /// let number = Variable::differentiable("four", "number");
    /// let result = match apply_one(double, [("number", &number)]).await {
    ///     Ok(doubled) => doubled,
    ///     Err(error) => error.to_variable([("number", &number)]).ok_or(error)?,
    /// };
    /// assert_eq!(result.text(), Some("\"four\" is no number"));
    /// assert_eq!(
    ///     backward(&result).await?.text(&number),
    ///     "The op \"double\" failed with this text as its input \"number\": \"four\" is no number"
    /// );
    /// # Ok::<(), Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn to_variable(&self, inputs: impl Into<Inputs>) -> Option<Variable> {
        let (Self::Forward { op, .. } | Self::OutputCount { op, .. }) = self else { return None };
        // The words are those of the innermost op that failed.
        let mut cause = self;
        while let Self::Forward { source, .. } | Self::Backward { source, .. } = cause {
            cause = source;
        }
        if self.engine().is_some() || matches!(cause, Self::Panic { .. }) {
            return None;
        }
        let failure = Arc::new(Failure { op: op.as_str().into(), message: describe(cause).into() });
        let output = failure.output();
        Some(Call::record_one(failure, inputs.into(), output))
    }
}

/// The call that failed, with its error as what came out.
struct Failure {
    op: Arc<str>,
    message: Arc<str>,
}

impl Failure {
    fn output(&self) -> Output {
        let role = format!("error of op {:?}", self.op);
        Output::new(Arc::clone(&self.message), role).with_score(Score::Passed(false))
    }

    /// A statement of fact, like the error itself: what to do about it is worded by whoever shows it to a
    /// model, in a template.
    fn feedback(&self, input: &str) -> Feedback {
        let (op, message) = (&self.op, &self.message);
        Feedback::new(format!(
            "The op {op:?} failed with this text as its input {input:?}: {message}"
        ))
    }
}

#[async_trait]
impl Op for Failure {
    fn name(&self) -> &str {
        &self.op
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![self.output()])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        let context = cx.context(0).map(Arc::new);
        let said = cx.inputs().iter().map(|input| {
            let failed = self.feedback(input.name()).with_contexts(context.clone());
            // What was said about the error goes along with it.
            Gradient::join(&[&[failed.into()], cx.gradients(0)].concat())
        });
        Ok(said.collect())
    }

    fn quote(&self, _: &Inputs) -> Quote {
        Quote::function(format!("op {:?}", self.op))
    }
}
