//! Cost of a query in floating-point operations.
//!
//! A decoder of P parameters takes about 2 P operations for each token that it reads or writes (Kaplan et
//! al., arXiv 2001.08361, without the term of attention). For a query of a run:
//!
//! `PFLOPs = 2 * (P_policy * (prompt - cached + completion) + P_reward * scored) / 10^15`
//!
//! where `scored` are the tokens that the reward model reads: those of each answer that it judged, and of the
//! query with each. The reward model's tokens are estimated from the policy's, for its server does not tell
//! them; where a judge scores, they are the tokens that it read and wrote. One model is assumed for answers,
//! losses, gradients and rewrites.
//!
//! The paper of TPO (arXiv 2501.12895v1) gives 9.3 PFLOPs per query for D2-N5 with a policy of 70B, and
//! 72,840 PFLOPs for training by DPO. Its figure per query is what comes of the longest texts that its
//! settings allow, without the reward model: 5 answers of 2048 tokens and 14 texts of 4096 (10 rewrites, 2
//! losses, 2 gradients), 67,584 tokens in all, times 2 * 70 * 10^9, are 9.46 PFLOPs. The
//! ratio of the paper's two figures is 0.0128 %, and training is as dear as some 7,800 queries.

use textgrad_core::Usage;

use super::{Context, Figure, Point, REFERENCE_COLOUR};
use crate::report::chart::Axis;
use crate::report::data::QueryData;
use crate::report::stats::mean;
use crate::report::table::Table;

/// What training by DPO took in the paper of TPO, in PFLOPs.
pub const DPO_PFLOPS: f64 = 72_840.0;

/// What the paper of TPO gives for a query, in PFLOPs.
pub const PAPER_PFLOPS: f64 = 9.3;

/// The sizes of the models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Parameters of the policy; 70 * 10^9 as in the paper.
    pub policy_params: f64,
    /// Parameters of the reward model; 8 * 10^9 as in the paper.
    pub reward_params: f64,
}

impl Default for Cost {
    fn default() -> Self {
        Self { policy_params: 70e9, reward_params: 8e9 }
    }
}

impl Cost {
    /// PFLOPs for these tokens of the policy and so many that the reward model read.
    ///
    /// # Examples
    /// ```
    /// use textgrad_core::Usage;
    /// use tpo::report::Cost;
    ///
    /// let tokens = Usage { completion_tokens: 5 * 2048 + 14 * 4096, ..Usage::default() };
    /// let pflops = Cost::default().pflops(tokens, 0);
    /// assert_eq!(format!("{pflops:.2}"), "9.46");
    /// ```
    #[must_use]
    pub fn pflops(&self, tokens: Usage, scored: u64) -> f64 {
        let computed = tokens.total().saturating_sub(tokens.cached_tokens);
        2.0 * (self.policy_params * computed as f64 + self.reward_params * scored as f64) / 1e15
    }
}

pub(super) fn cost(context: &Context<'_>) -> Figure {
    let mut table = Table::new(
        "run,requests per query,answers per query,prompt tokens per query,of them cached,\
         completion tokens per query,seconds of model calls per query,PFLOPs per query,\
         % of DPO training,queries for the price of DPO training",
    );
    let x =
        Axis { log: true, ..Axis::new("PFLOPs per query, and for training by DPO (logarithmic)") };
    let mut chart = context.chart(x, Axis::default());
    let point = |pflops| Point { x: pflops, ..Point::default() };
    let of_query =
        |query: &QueryData| context.cost.pflops(query.policy_tokens, query.scored_tokens);
    for curve in context.curves() {
        let pflops = mean(&curve.each(|query| Some(of_query(query))));
        if let Some(pflops) = pflops.filter(|pflops| *pflops > 0.0) {
            chart.add_row(curve.label, vec![("", curve.colour, point(pflops))]);
        }
    }
    for run in context.runs {
        let each =
            |number: &dyn Fn(&QueryData) -> f64| mean(&run.each(|query| Some(number(query))));
        let pflops = each(&of_query);
        let computed = pflops.filter(|pflops| *pflops > 0.0);
        let queries = run.queries.len() + run.failed;
        let seconds = run.call_seconds.filter(|_| queries > 0);
        table.row([
            run.name.as_str().into(),
            each(&|query| query.requests as f64).into(),
            each(&|query| query.answers() as f64).into(),
            each(&|query| query.tokens.prompt_tokens as f64).into(),
            each(&|query| query.tokens.cached_tokens as f64).into(),
            each(&|query| query.tokens.completion_tokens as f64).into(),
            seconds.map(|seconds| seconds / queries as f64).into(),
            pflops.into(),
            pflops.map(|pflops| 100.0 * pflops / DPO_PFLOPS).into(),
            computed.map(|pflops| DPO_PFLOPS / pflops).into(),
        ]);
    }
    for (name, pflops) in [("paper, D2-N5", PAPER_PFLOPS), ("paper: training by DPO", DPO_PFLOPS)] {
        chart.add_row(name.to_owned(), vec![("", REFERENCE_COLOUR, point(pflops))]);
    }
    Figure::new("cost", context, Some(chart), table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_by_hand() {
        let tokens = Usage {
            prompt_tokens: 900,
            completion_tokens: 300,
            cached_tokens: 200,
            ..Usage::default()
        };
        let cost = Cost { policy_params: 10e9, reward_params: 5e9 };
        // 2 * (10e9 * 1000 + 5e9 * 400) / 1e15
        assert!((cost.pflops(tokens, 400) - 0.024).abs() < 1e-15);
    }

    #[test]
    fn the_papers_figures_are_what_they_are_said_to_be() {
        assert_eq!(format!("{:.4}", 100.0 * PAPER_PFLOPS / DPO_PFLOPS), "0.0128");
        assert_eq!((DPO_PFLOPS / PAPER_PFLOPS).round(), 7832.0);
    }
}
