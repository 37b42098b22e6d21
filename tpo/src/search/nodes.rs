//! The ops of a search that call no model.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error, Gradient, Inputs, Op, OpFailure, Output, PromptPack, Value,
};

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

/// Names the answer that is rewritten and those that it is compared with. Here the differentiable part of an
/// iteration begins: the chosen answer asks for a gradient, and nothing before it is differentiated again.
pub(super) struct Choose {
    /// What the chosen answer is, in words.
    pub(super) role: &'static str,
    /// How much of each answer prompts are shown, in characters.
    pub(super) max_chars: Option<usize>,
}

impl Choose {
    pub(super) const BEST: &'static str = "best";
    pub(super) const WORST: &'static str = "worst";

    /// The value, or its beginning. A value that is not cut is shared with the answer, not copied.
    fn cut(&self, value: &Value) -> Value {
        let beginning = value.as_text().and_then(|text| {
            let (end, _) = text.char_indices().nth(self.max_chars?)?;
            text.get(..end)
        });
        beginning.map_or_else(|| value.clone(), Value::from)
    }
}

#[async_trait]
impl Op for Choose {
    fn name(&self) -> &str {
        "choose"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let best = self.cut(inputs.named(Self::BEST)?.value());
        let mut outputs = vec![Output::new(best, self.role).with_requires_grad(true)];
        for input in inputs.iter().filter(|input| &**input.name() == Self::WORST) {
            let rejected = self.cut(input.variable().value());
            let rejected = Output::new(rejected, "a rejected response to a user query");
            outputs.push(rejected.with_requires_grad(false));
        }
        Ok(outputs)
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(silent(cx))
    }
}
