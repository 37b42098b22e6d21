//! A recorded call of an op.

use std::sync::Arc;

use super::Op;
use super::inputs::{Inputs, Output};
use crate::error::{Error, catch_panic_async};
use crate::variable::Variable;

/// One call of an op: the op, what went in and what came out.
#[derive(Debug)]
pub struct Call {
    op: Arc<dyn Op>,
    inputs: Inputs,
    outputs: Vec<Output>,
}

impl Call {
    /// The op.
    #[must_use]
    pub fn op(&self) -> &Arc<dyn Op> {
        &self.op
    }

    /// What went in.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// What came out: every output, whether anything uses it or not.
    #[must_use]
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// Whether an input requires a gradient, so that a backward pass goes through this call.
    #[must_use]
    pub fn requires_grad(&self) -> bool {
        self.inputs.iter().any(|input| input.variable().requires_grad())
    }

    /// Records a call that was made: what came out, as variables that know where they come from.
    pub(crate) fn record(op: Arc<dyn Op>, inputs: Inputs, outputs: Vec<Output>) -> Vec<Variable> {
        Self::recorded(op, inputs, outputs).1
    }

    /// The same, with the call.
    pub(crate) fn recorded(
        op: Arc<dyn Op>,
        inputs: Inputs,
        outputs: Vec<Output>,
    ) -> (Arc<Self>, Vec<Variable>) {
        let call = Arc::new(Self { op, inputs, outputs });
        let made = call.outputs.iter().enumerate();
        let made = made.map(|(position, output)| Variable::from_call(&call, position, output));
        let made = made.collect();
        (call, made)
    }

    /// Records a call that made one output.
    pub(crate) fn record_one(op: Arc<dyn Op>, inputs: Inputs, output: Output) -> Variable {
        let call = Arc::new(Self { op, inputs, outputs: vec![output.clone()] });
        Variable::from_call(&call, 0, &output)
    }

    pub(crate) fn output_requires_grad(&self, output: &Output) -> bool {
        output.requires_grad(self.requires_grad())
    }
}

/// Runs an op and records the call: the variables that come back know where they come from.
///
/// # Errors
/// [`Error::Forward`] with the op's name and what went wrong; see [`Error::to_variable`] to learn from it.
/// [`Error::Panic`] if the op, or an engine that it asked, panicked.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use textgrad_core::{Inputs, Output, Variable, apply, op_fn};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let halves = Arc::new(op_fn("halves", |inputs: Inputs| async move {
///     let (left, right) = inputs.text("text")?.split_once(' ').unwrap_or_default();
///     Ok(vec![Output::new(left, "left half"), Output::new(right, "right half")])
/// }));
/// let text = Variable::constant("hello world", "text");
/// let parts = apply(halves, [("text", &text)]).await?;
/// assert_eq!(parts[1].text(), Some("world"));
/// assert_eq!(parts[1].source().unwrap().call().op().name(), "halves");
/// # Ok::<(), textgrad_core::Error>(()) }).unwrap();
/// ```
pub async fn apply(op: Arc<dyn Op>, inputs: impl Into<Inputs>) -> Result<Vec<Variable>, Error> {
    let inputs = inputs.into();
    match catch_panic_async(async { op.forward(&inputs).await }).await {
        Ok(Ok(outputs)) => Ok(Call::record(op, inputs, outputs)),
        Ok(Err(error)) => Err(Error::in_forward(op.name(), error)),
        Err(message) => Err(Error::Panic { op: op.name().to_owned(), message }),
    }
}

/// Runs an op that has one output; see [`apply`].
///
/// # Errors
/// Those of [`apply`], and [`Error::OutputCount`] if the op did not make exactly one output.
pub async fn apply_one(op: Arc<dyn Op>, inputs: impl Into<Inputs>) -> Result<Variable, Error> {
    let name = op.name().to_owned();
    let outputs = apply(op, inputs).await?;
    match <[Variable; 1]>::try_from(outputs) {
        Ok([output]) => Ok(output),
        Err(outputs) => Err(Error::OutputCount { op: name, expected: 1, got: outputs.len() }),
    }
}
