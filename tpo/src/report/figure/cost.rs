//! Tokens, time and operations.

use super::{Context, Figure, Point, Series, Shape};
use crate::report::chart::Axis;
use crate::report::cost::{DPO_PFLOPS, PAPER_PFLOPS};
use crate::report::data::{QueryData, RunData};
use crate::report::stats::mean;
use crate::report::table::{Cell, Table, shown};

pub(super) fn cost(context: &Context<'_>) -> Figure {
    let mut table = Table::new([
        "run",
        "requests per query",
        "answers per query",
        "tokens read per query",
        "of them cached",
        "tokens written per query",
        "seconds of model calls per query",
        "PFLOPs per query",
        "% of DPO training",
        "queries for the price of DPO training",
    ]);
    let mut chart = context.chart();
    chart.x = Axis { log: true, ..Axis::new("PFLOPs (logarithmic)") };
    let mut add = |name: String, colour: usize, pflops: f64| {
        let point = Point { x: pflops, y: chart.y.categories.len() as f64, ..Point::default() };
        chart.y.categories.push(name);
        let shape = Shape::Dots(vec![point]);
        chart.series.push(Series { label: String::new(), colour, shape });
    };
    for (colour, run) in context.runs.iter().enumerate() {
        let each = |number: fn(&QueryData) -> f64| mean(&run.each(|query| Some(number(query))));
        let pflops = mean(
            &run.each(|query| Some(context.cost.pflops(query.policy_tokens, query.scored_tokens))),
        );
        if let Some(pflops) = pflops.filter(|pflops| *pflops > 0.0) {
            add(format!("{}: a query", textgrad_core::excerpt(&run.name, 24)), colour, pflops);
        }
        table.row([
            run.name.clone().into(),
            each(|query| query.requests as f64).into(),
            each(|query| query.answers() as f64).into(),
            each(|query| query.tokens.prompt_tokens as f64).into(),
            each(|query| query.tokens.cached_tokens as f64).into(),
            each(|query| query.tokens.completion_tokens as f64).into(),
            seconds(run),
            pflops.into(),
            pflops.map(|pflops| 100.0 * pflops / DPO_PFLOPS).into(),
            pflops.filter(|p| *p > 0.0).map(|pflops| DPO_PFLOPS / pflops).into(),
        ]);
    }
    add("paper, D2-N5: a query".to_owned(), 7, PAPER_PFLOPS);
    add("paper: training by DPO".to_owned(), 7, DPO_PFLOPS);
    let (policy, reward) = (context.cost.policy_params, context.cost.reward_params);
    Figure {
        name: "cost",
        title: "Tokens, time and operations",
        caption: format!(
            "A PFLOP is 10^15 floating-point operations. They are 2 × parameters × tokens: for a policy of {} billion parameters, all tokens read (but those \
             that the server had cached) and written; for a reward model of {} billion, an estimate of what it read. \
             The paper (arXiv 2501.12895v1) gives {PAPER_PFLOPS} PFLOPs per query, counted at the longest texts that \
             its settings allow, and {} for training by DPO (direct preference optimization), so {:.4} % of it per query. Seconds are those that \
             calls of models took, one after the other, retries included.",
            policy / 1e9,
            reward / 1e9,
            shown(DPO_PFLOPS),
            100.0 * PAPER_PFLOPS / DPO_PFLOPS,
        ),
        chart: Some(chart),
        table,
    }
}

fn seconds(run: &RunData) -> Cell {
    let queries = run.queries.len() + run.failed;
    run.call_seconds.filter(|_| queries > 0).map(|seconds| seconds / queries as f64).into()
}
