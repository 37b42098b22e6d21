//! The ops of a search that call no model.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{BackwardCx, Error, Gradient, Inputs, Op, OpFailure, Output, PromptPack};

use crate::prompts::SampleContext;
use crate::truncate::Truncator;

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

/// Names the answer that is rewritten and those that it is compared with. Here the differentiable part of an
/// iteration begins: the chosen answer asks for a gradient, and nothing before it is differentiated again.
pub(super) struct Choose {
    /// The role of the chosen answer.
    pub(super) role: &'static str,
    /// Truncates answers for prompts.
    pub(super) truncator: Truncator,
}

impl Choose {
    pub(super) const BEST: &'static str = "best";
    pub(super) const WORST: &'static str = "worst";
}

#[async_trait]
impl Op for Choose {
    fn name(&self) -> &str {
        "choose"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let best = inputs.named(Self::BEST)?.value().clone();
        let rejected = inputs.iter().filter(|input| &**input.name() == Self::WORST);
        let values =
            [best].into_iter().chain(rejected.map(|input| input.variable().value().clone()));
        let mut truncated = self.truncator.all(values.collect()).await?.into_iter();
        let best =
            truncated.next().map(|best| Output::new(best, self.role).with_requires_grad(true));
        let rejected = truncated.map(|rejected| {
            Output::new(rejected, "a rejected response to a user query").with_requires_grad(false)
        });
        let outputs = best.into_iter().chain(rejected).collect();
        Ok(outputs)
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(silent(cx))
    }
}
