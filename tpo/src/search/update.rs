//! Updates: new versions of an answer by feedback on it.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Feedback, Variable};
use textgrad_ops::TextualGradientDescent;

use super::method::Step;
use super::rewrite::ComparisonCx;
use crate::error::Error;

/// Makes new versions of the chosen answer of a comparison.
#[async_trait]
pub trait Update: Send + Sync {
    /// A short name, for reports.
    fn name(&self) -> String;

    /// New versions, `samples` at most. None is not the end of a search: the pool is still there. Why replies could
    /// not be used belongs in the record of the step.
    ///
    /// # Errors
    /// Any failure ends the search with what was found.
    async fn update(
        &self,
        cx: &ComparisonCx<'_>,
        feedback: &[Feedback],
        samples: u32,
        step: &mut Step,
    ) -> Result<Vec<Variable>, Error>;
}

textgrad_core::debug_by!(dyn Update, name);

/// Textual gradient descent under constraints.
#[derive(Debug, Clone)]
pub struct Descent {
    constraints: Vec<Cow<'static, str>>,
}

impl Descent {
    /// An update under these constraints, each a sentence.
    pub fn new<C: Into<Cow<'static, str>>>(constraints: impl IntoIterator<Item = C>) -> Self {
        Self { constraints: constraints.into_iter().map(Into::into).collect() }
    }
}

impl Default for Descent {
    /// The constraints of the reference implementation.
    fn default() -> Self {
        Self::new([
            "Write a response to the user query that would be chosen.",
            "Do not write a response that would be rejected.",
        ])
    }
}

#[async_trait]
impl Update for Descent {
    fn name(&self) -> String {
        "descent".to_owned()
    }

    async fn update(
        &self,
        cx: &ComparisonCx<'_>,
        feedback: &[Feedback],
        samples: u32,
        step: &mut Step,
    ) -> Result<Vec<Variable>, Error> {
        let search = cx.search();
        let config = search.config();
        let mut optimizer = TextualGradientDescent::builder(Arc::clone(search.optimizer()))
            .prompts(Arc::clone(search.prompts()))
            .sampling(config.sampling.clone())
            .candidates(samples)
            .layout(config.layout)
            .parse_retries(config.parse_retries);
        for constraint in &self.constraints {
            optimizer = optimizer.constraint(constraint.clone());
        }
        let optimizer = optimizer.build();
        let seed = cx.seed().child("update", 0);
        match optimizer.rewrite(cx.chosen(), feedback, Some(seed)).await {
            Ok(rewrite) => {
                let problems = rewrite.rejected.into_iter().map(|answer| answer.problem);
                step.record.unusable.extend(problems);
                Ok(rewrite.candidates)
            }
            Err(error @ textgrad_ops::Error::NoUpdate { .. }) => {
                step.record.unusable.push(error.to_string());
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }
}
