//! What ablations do in place of losses and gradients.

use std::sync::Arc;

use textgrad_core::{Feedback, Seed, Variable};
use textgrad_ops::ListwiseLoss;

use super::improve::Improved;
use super::run::Search;
use crate::error::Error;
use crate::prompts::DirectContext;

impl Search<'_> {
    /// The comparison itself as feedback.
    pub(super) fn direct(
        &self,
        chosen: &Variable,
        rejected: &[Variable],
    ) -> Result<Vec<Feedback>, Error> {
        let context = DirectContext {
            query: self.query.text().unwrap_or_default(),
            chosen: chosen.text().unwrap_or_default(),
            rejected: rejected.iter().filter_map(Variable::text).collect(),
        };
        Ok(vec![Feedback::new(self.tpo.prompts.render("direct_feedback", &context)?)])
    }

    /// The loss over a ranking.
    pub(super) async fn listwise_loss(
        &self,
        chosen: &Variable,
        others: &[Variable],
        comparison: (usize, &[usize]),
        seed: Seed,
        improved: &mut Improved,
    ) -> Result<Vec<Variable>, Error> {
        let (own, positions) = comparison;
        let score = |position: usize| self.pool.get(position).map_or(f64::NAN, |c| c.score);
        let ranked = [(chosen, score(own))].into_iter();
        let ranked =
            ranked.chain(others.iter().zip(positions).map(|(answer, at)| (answer, score(*at))));
        let critic = &self.tpo.config.critic;
        let loss = ListwiseLoss::new(Arc::clone(&self.critic), &self.query, ranked)?
            .prompts(Arc::clone(&self.tpo.prompts))
            .sampling(critic.clone())
            .feedback_sampling(critic.clone())
            .seed(seed.child("loss", 0));
        let losses = vec![loss.evaluate(chosen).await?];
        improved.found(&losses);
        Ok(losses)
    }
}
