//! Handing on what was said about a whole to its parts.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{
    BackwardCx, Error, Feedback, Gradient, Inputs, Op, OpFailure, Output, apply_one,
};

/// One gradient that says all that several say. The same words said twice are one, so that sums of sums do
/// not double what passes through them.
pub(crate) async fn through(gradients: &[Gradient]) -> Result<Option<Gradient>, Error> {
    let mut said: Vec<Feedback> = Vec::new();
    for feedback in gradients.iter().filter_map(Gradient::feedback) {
        match said.iter_mut().find(|known| known.variable() == feedback.variable()) {
            Some(known) => {
                *known = known.clone().with_contexts(feedback.contexts().iter().cloned());
            }
            None => said.push(feedback.clone()),
        }
    }
    match said.as_slice() {
        [] => Ok(gradients.first().cloned()),
        [only] => Ok(Some(only.clone().into())),
        several => {
            let words = several.iter().map(|feedback| ("feedback", feedback.variable().clone()));
            let joined = apply_one(Arc::new(JoinFeedback), Inputs::new(words)).await?;
            let contexts = several.iter().flat_map(|feedback| feedback.contexts().iter().cloned());
            Ok(Some(Feedback::from_variable(joined).with_contexts(contexts).into()))
        }
    }
}

struct JoinFeedback;

#[async_trait]
impl Op for JoinFeedback {
    fn name(&self) -> &str {
        "join feedback"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        let joined = inputs.texts()?.join("\n");
        Ok(vec![Output::new(joined, Feedback::ROLE).with_requires_grad(false)])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }
}
