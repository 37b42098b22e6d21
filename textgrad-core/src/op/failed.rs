//! Failures of ops as something to learn from.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::inputs::{Inputs, Output};
use super::{BackwardCx, Call, Op, OpFailure, Quote};
use crate::error::Error;
use crate::gradient::{Feedback, Gradient};
use crate::score::Score;
use crate::variable::Variable;

/// An op that failed by its own doing, as a variable that a backward pass can begin from; see [`try_apply`].
///
/// It is the [`Error`] too: [`Error::from`] gives what [`apply`](crate::apply) would have returned.
#[derive(Debug)]
pub struct Failed {
    variable: Variable,
    error: Error,
}

impl Failed {
    /// The error in words, with the role `error of op "name"` and a score that says that it did not pass.
    ///
    /// Where it is the objective, every input of the op that requires a gradient is told that the op failed,
    /// and with what error. No model is asked for that.
    #[must_use]
    pub fn variable(&self) -> &Variable {
        &self.variable
    }

    /// The error.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What becomes of an error of `op` with its cause: some are not its own.
    fn new(op: &dyn Op, inputs: Inputs, error: Error) -> Result<Self, Error> {
        let message = in_words(inner(&error));
        if error.engine().is_some() || matches!(inner(&error), Error::Panic { .. }) {
            return Err(error);
        }
        let failure = Arc::new(Failure { op: op.name().into(), message: message.into() });
        let output = failure.output();
        Ok(Self { variable: Call::record_one(failure, inputs, output), error })
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for Failed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// Runs an op as [`apply`](crate::apply) does, and makes feedback of its failure: an error of the op's own
/// comes back as a [`Failed`], whose variable stands in the graph.
///
/// What the op could do nothing about stays an error: that of an [`Engine`](crate::Engine) (network, key,
/// budget) wherever it stands among the causes, and a panic.
///
/// # Errors
/// [`Error::Forward`] with an engine's error.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{Error, Inputs, Output, Variable, backward, op_fn, try_apply_one};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let double = Arc::new(op_fn("double", |inputs: Inputs| async move {
///     let text = inputs.text("number")?;
///     let number: i32 = text.parse().map_err(|_| Error::op(format!("{text:?} is no number")))?;
///     Ok(vec![Output::new((2 * number).to_string(), "twice the number")])
/// }));
/// let number = Variable::differentiable("four", "number");
/// let result = match try_apply_one(double, [("number", &number)]).await? {
///     Ok(doubled) => doubled,
///     Err(failed) => failed.variable().clone(),
/// };
/// assert_eq!(result.text(), Some("\"four\" is no number"));
/// assert_eq!(
///     backward(&result).await?.text(&number),
///     "The op \"double\" failed with this text as its input \"number\": \"four\" is no number"
/// );
/// # Ok::<(), Error>(()) }).unwrap();
/// ```
pub async fn try_apply(
    op: Arc<dyn Op>,
    inputs: impl Into<Inputs>,
) -> Result<Result<Vec<Variable>, Failed>, Error> {
    let inputs = inputs.into();
    match op.forward(&inputs).await {
        Ok(outputs) => Ok(Ok(Call::record(op, inputs, outputs))),
        Err(error) => {
            let error = Error::in_forward(op.name(), error);
            Failed::new(&*op, inputs, error).map(Err)
        }
    }
}

/// Runs an op that has one output as [`apply_one`](crate::apply_one) does; see [`try_apply`].
///
/// # Errors
/// Those of [`try_apply`].
pub async fn try_apply_one(
    op: Arc<dyn Op>,
    inputs: impl Into<Inputs>,
) -> Result<Result<Variable, Failed>, Error> {
    let inputs = inputs.into();
    let outputs = match try_apply(Arc::clone(&op), inputs.clone()).await? {
        Ok(outputs) => outputs,
        Err(failed) => return Ok(Err(failed)),
    };
    match <[Variable; 1]>::try_from(outputs) {
        Ok([output]) => Ok(Ok(output)),
        Err(outputs) => {
            let (op_name, got) = (op.name().to_owned(), outputs.len());
            let error = Error::OutputCount { op: op_name, expected: 1, got };
            Failed::new(&*op, inputs, error).map(Err)
        }
    }
}

/// What failed, below the names of the ops that it passed through.
fn inner(error: &Error) -> &Error {
    let mut error = error;
    while let Error::Forward { source, .. } | Error::Backward { source, .. } = error {
        error = source;
    }
    error
}

/// An error and its causes.
fn in_words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// The call that failed, with its error as what came out.
struct Failure {
    op: Arc<str>,
    message: Arc<str>,
}

impl Failure {
    fn output(&self) -> Output {
        Output::new(Arc::clone(&self.message), self.role()).with_score(Score::Passed(false))
    }

    fn role(&self) -> String {
        format!("error of op {:?}", self.op)
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
