//! Early stopping.

use tpo::{Mode, StopReason};

use super::Loop;

impl Loop<'_, '_> {
    /// Why the search ends after this iteration, if it does; the first sampling is iteration 0.
    pub(super) fn reason_to_stop(&self, iteration: u32) -> Option<StopReason> {
        let rules = &self.case.early_stop;
        let best = self.best_by(iteration)?;
        if let Some(target) = rules.target
            && best >= target
        {
            return Some(StopReason::Target);
        }
        if let Some(patience) = rules.patience
            && iteration >= patience
            && best - self.best_by(iteration - patience)? <= rules.min_gain
        {
            return Some(StopReason::Plateau);
        }
        if let Some(margin) = rules.min_margin {
            let patience = rules.margin_patience.unwrap_or(1);
            let mut within = 0;
            for made in 0..=iteration {
                let close = self.margin_of(made).is_some_and(|reached| reached <= margin);
                within = if close { within + 1 } else { 0 };
            }
            if within >= patience {
                return Some(StopReason::Margin);
            }
        }
        let calls = rules.budget.calls.is_some_and(|bound| self.spent + self.next > bound);
        calls.then_some(StopReason::Calls)
    }

    /// Counts the calls of an iteration; the next one may take as many as the one that took the most.
    pub(super) fn count(&mut self, iteration: u32) {
        let spent = self.found.answered - self.aside;
        let took = spent - self.spent;
        self.next = match (iteration, self.case.mode) {
            (0, Mode::Resample | Mode::Shuffled) => took,
            (0, _) => 3 * took,
            (1, _) => took,
            _ => took.max(self.next),
        };
        self.spent = spent;
    }

    /// The best score when an iteration had ended.
    fn best_by(&self, iteration: u32) -> Option<f64> {
        let mut best: Option<f64> = None;
        for (made, _, score) in &self.found.pool {
            if *made <= iteration && best.is_none_or(|best| *score > best) {
                best = Some(*score);
            }
        }
        best
    }

    /// How far the worst answer of an iteration was below the best one then; none if it brought no answer.
    fn margin_of(&self, iteration: u32) -> Option<f64> {
        let mut worst: Option<f64> = None;
        for (made, _, score) in &self.found.pool {
            if *made == iteration && worst.is_none_or(|worst| *score < worst) {
                worst = Some(*score);
            }
        }
        Some(self.best_by(iteration)? - worst?)
    }
}
