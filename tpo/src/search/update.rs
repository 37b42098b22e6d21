//! Updates: new versions of an answer by feedback on it.

use std::sync::Arc;

use async_trait::async_trait;
use textgrad_core::{Feedback, Variable};
use textgrad_ops::TextualGradientDescent;

use super::method::Step;
use super::rewrite::ComparisonCx;
use crate::error::Error;
use crate::prompts::AnswerContext;

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

/// Textual gradient descent under the constraints of the template `update_constraints`, one in each line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Descent;

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
        // Edits of a truncated text would not be edits of the answer.
        let whole = search.pool().get(cx.comparison().chosen).map(|chosen| chosen.text());
        let edits = if whole == cx.chosen().text() { config.edits } else { 0 };
        let mut optimizer = TextualGradientDescent::builder(Arc::clone(search.optimizer()))
            .prompts(Arc::clone(search.prompts()))
            .query(search.query().text())
            .sampling(config.sampling.clone())
            .candidates(samples)
            .edits(edits)
            .constrained_decoding(config.constrained_updates)
            .layout(config.layout)
            .parse_retries(config.parse_retries);
        let compared = !cx.comparison().rejected.is_empty();
        let context = AnswerContext { query: search.query().text(), compared };
        let constraints = search.prompts().render("update_constraints", &context)?;
        for constraint in constraints.lines().map(str::trim).filter(|line| !line.is_empty()) {
            optimizer = optimizer.constraint(constraint);
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
