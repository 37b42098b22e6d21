//! Joining the gradients of an output into one.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::{BackwardCx, Call, Inputs, Op, OpFailure, Output};
use crate::error::Error;
use crate::gradient::{Feedback, Gradient};
use crate::variable::Variable;

impl Gradient {
    /// Joins gradients into one, for an op that passes the gradients of its output on to its inputs; `None` if there
    /// are none.
    ///
    /// Feedback that arrives twice is in the result once, also as a part of an earlier join, so that nested sums do not
    /// multiply it. Feedback is identified by its [variable](Feedback::variable): two feedbacks with equal words are
    /// both kept. Feedback replaces [`Gradient::Objective`], which has no words. Contexts are kept.
    ///
    /// # Examples
    /// ```
    /// use textgrad_core::{Feedback, Gradient};
    ///
    /// let [a, b] = ["Shorten it.", "Add colour."].map(|words| Gradient::from(Feedback::new(words)));
    /// let both = Gradient::join(&[a.clone(), b]).unwrap();
    /// let all = Gradient::join(&[both, Gradient::Objective, a]).unwrap();
    /// assert_eq!(all.feedback().map(Feedback::text), Some("Shorten it.\nAdd colour."));
    /// assert!(Gradient::join(&[]).is_none());
    /// ```
    #[must_use]
    pub fn join(gradients: &[Self]) -> Option<Self> {
        let said: Vec<&Feedback> = gradients.iter().filter_map(Self::feedback).collect();
        if said.is_empty() {
            return gradients.first().cloned();
        }
        let mut seen = HashSet::new();
        let parts: Vec<Variable> = said
            .iter()
            .flat_map(|feedback| feedback.parts())
            .filter(|part| seen.insert(*part))
            .cloned()
            .collect();
        // Often one of them says it all; the first is as good as another.
        let whole = said.iter().find(|feedback| feedback.parts().len() == parts.len());
        let joined = match whole {
            Some(whole) => Feedback::clone(whole),
            None => Feedback::joined(JoinFeedback::call(&parts), parts),
        };
        let contexts = said.iter().flat_map(|feedback| feedback.contexts().iter().cloned());
        Some(joined.with_contexts(contexts).into())
    }
}

/// The call that puts words below one another, so that what was joined knows what it was made of.
struct JoinFeedback;

impl JoinFeedback {
    fn call(parts: &[Variable]) -> Variable {
        let inputs = Inputs::new(parts.iter().map(|part| ("feedback", part.clone())));
        let output = Self::output(parts.iter().filter_map(Variable::text));
        Call::record_one(Arc::new(Self), inputs, output)
    }

    fn output<'a>(texts: impl Iterator<Item = &'a str>) -> Output {
        let texts: Vec<&str> = texts.collect();
        Output::new(texts.join("\n"), Feedback::ROLE).with_requires_grad(false)
    }
}

#[async_trait]
impl Op for JoinFeedback {
    fn name(&self) -> &str {
        "join feedback"
    }

    async fn forward(&self, inputs: &Inputs) -> Result<Vec<Output>, Error> {
        Ok(vec![Self::output(inputs.texts()?.into_iter())])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }
}
