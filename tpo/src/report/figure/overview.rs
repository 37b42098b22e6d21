//! What was run, in numbers.

use super::{Context, Figure, setting};
use crate::report::stats::mean;
use crate::report::table::{Cell, Table};

pub(super) fn runs(context: &Context<'_>) -> Figure {
    let mut table = Table::new([
        "run",
        "mode",
        "setting",
        "seed",
        "policy",
        "reward model",
        "queries",
        "failed",
        "first answer",
        "best of N",
        "best",
        "best: low",
        "best: high",
        "gain over best of N",
    ]);
    for run in context.runs {
        let best = context.bootstrap.mean(&run.each(|query| Some(query.best)));
        let bon = mean(&run.each(|query| query.best_by(0)));
        table.row([
            run.name.clone().into(),
            run.config.search.mode.as_str().into(),
            setting(run).into(),
            run.config.search.seed.into(),
            run.config.policy.clone().into(),
            run.config.reward.clone().into(),
            run.queries.len().into(),
            run.failed.into(),
            mean(&run.each(|query| query.first().first().copied())).into(),
            bon.into(),
            best.map(|best| best.mean).into(),
            best.map(|best| best.low).into(),
            best.map(|best| best.high).into(),
            best.zip(bon).map_or(Cell::None, |(best, bon)| (best.mean - bon).into()),
        ]);
    }
    Figure {
        name: "runs",
        title: "Runs",
        caption: format!(
            "Mean rewards over the queries that came to their end: of the first answer, of the best of the first \
             N, and of the answer that was returned, with its {} bootstrap interval over queries. D is how often \
             the best answer was rewritten, N how many answers were drawn at a time.",
            context.level()
        ),
        chart: None,
        table,
    }
}
