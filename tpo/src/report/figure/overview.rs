//! What was run, in numbers.

use super::{Context, Figure, setting};
use crate::config::TpoConfig;
use crate::report::data::RunData;
use crate::report::stats::mean;
use crate::report::table::{Cell, Table};

pub(super) fn runs(context: &Context<'_>) -> Figure {
    let mut table = Table::new([
        "run",
        "mode",
        "setting",
        "seed",
        "other settings",
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
            others(run).map_or(Cell::None, Cell::Text),
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
             the best answer was rewritten, N how many answers were drawn at a time. Other settings are named where \
             they are not the usual ones.",
            context.level()
        ),
        chart: None,
        table,
    }
}

/// The settings of a search, besides its mode, size and seed, that are not the default.
fn others(run: &RunData) -> Option<String> {
    const SHOWN: [&str; 10] = [
        "/pairs",
        "/accept",
        "/layout",
        "/max_chars",
        "/stopping",
        "/reasks",
        "/sampling/temperature",
        "/sampling/top_p",
        "/sampling/max_tokens",
        "/critic/max_tokens",
    ];
    let ours = serde_json::to_value(&run.config.search).ok()?;
    let usual = serde_json::to_value(TpoConfig::default()).ok()?;
    let differ = SHOWN.iter().filter(|path| ours.pointer(path) != usual.pointer(path));
    let told = differ.filter_map(|path| {
        let name = path.trim_start_matches('/').replace('/', ".");
        Some(match ours.pointer(path)? {
            serde_json::Value::String(word) => format!("{name} {word}"),
            value => format!("{name} {value}"),
        })
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join(", "))
}
