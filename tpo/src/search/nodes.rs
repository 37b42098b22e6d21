//! The ops of a search that call no model.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{BackwardCx, Error, Gradient, Inputs, Op, OpFailure, Output, PromptPack};

use crate::config::Mode;
use crate::prompts::SampleContext;

fn silent(cx: &BackwardCx) -> Vec<Option<Gradient>> {
    vec![None; cx.inputs().len()]
}

/// Makes the system message of the first answers.
pub(super) struct SampleInstruction(pub(super) Arc<PromptPack>);

#[async_trait]
impl Op for SampleInstruction {
    fn name(&self) -> &str {
        "sample instruction"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let context = SampleContext { query: inputs.text("query")? };
        let text = self.0.render("sample_system", &context)?;
        Ok(vec![Output::new(text, "system prompt of the policy").with_requires_grad(false)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(silent(cx))
    }
}

/// Names the best and the worst answer. Here the differentiable part of an iteration begins: the chosen
/// answer asks for a gradient, and nothing before it is differentiated again.
pub(super) struct Choose(pub(super) Mode);

#[async_trait]
impl Op for Choose {
    fn name(&self) -> &str {
        "choose"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        // The values are shared with the answers, not copied.
        let chosen = Output::new(inputs.named("best")?.value().clone(), self.0.chosen_role());
        let mut outputs = vec![chosen.with_requires_grad(true)];
        if inputs.find("worst").is_some() {
            let rejected =
                Output::new(inputs.text("worst")?, "a rejected response to a user query");
            outputs.push(rejected.with_requires_grad(false));
        }
        Ok(outputs)
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(silent(cx))
    }
}
