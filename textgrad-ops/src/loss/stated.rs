//! Feedback that an op gives without a model.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error, Feedback, Gradient, Inputs, Op, OpFailure, Output, Variable, apply_one,
};

/// Feedback in these words, as a call of this name in the graph.
pub(super) async fn constant_feedback(
    name: &'static str,
    words: String,
    inputs: Vec<(&str, Variable)>,
) -> Result<Feedback, Error> {
    let words = apply_one(Arc::new(ConstantFeedback { name, words }), Inputs::new(inputs)).await?;
    Ok(Feedback::from_variable(words))
}

struct ConstantFeedback {
    name: &'static str,
    words: String,
}

#[async_trait]
impl Op for ConstantFeedback {
    fn name(&self) -> &str {
        self.name
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![Output::new(self.words.as_str(), Feedback::ROLE).with_requires_grad(false)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }
}

/// What a program's verdict on its inputs says about each of them: the complaint, if it has one, and what was
/// said about the verdict, if anything was. No model is asked.
pub(super) async fn complain(
    cx: &BackwardCx,
    name: &'static str,
    complaint: Option<&str>,
) -> Result<Vec<Option<Gradient>>, OpFailure> {
    cx.for_each_input(|position| complain_of(cx, position, name, complaint)).await
}

async fn complain_of(
    cx: &BackwardCx,
    position: usize,
    name: &'static str,
    complaint: Option<&str>,
) -> Result<Option<Gradient>, Error> {
    let Some(input) = cx.inputs().get(position) else { return Ok(None) };
    let mut gradients: Vec<Gradient> = Vec::new();
    if let Some(complaint) = complaint {
        let mut inputs = vec![("variable", input.variable().clone())];
        inputs.extend(cx.output_variable(0).map(|output| ("response", output.clone())));
        gradients.push(constant_feedback(name, complaint.to_owned(), inputs).await?.into());
    }
    let said = cx.gradients(0).iter().filter(|gradient| gradient.feedback().is_some());
    gradients.extend(said.cloned());
    let Some(Gradient::Feedback(feedback)) = Gradient::join(&gradients) else { return Ok(None) };
    Ok(Some(feedback.with_contexts(cx.context(0).map(Arc::new)).into()))
}
