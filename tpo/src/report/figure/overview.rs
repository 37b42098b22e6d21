//! Tables of runs, and of wins.

use super::{Context, Figure, Point, Series, Shape, setting};
use crate::config::TpoConfig;
use crate::report::chart::Axis;
use crate::report::data::RunData;
use crate::report::stats::Paired;
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
        "/truncate",
        "/early_stop",
        "/parse_retries",
        "/sampling/temperature",
        "/sampling/top_p",
        "/sampling/max_tokens",
        "/critic/max_tokens",
    ];
    let ours = serde_json::to_value(&run.config.search).ok()?;
    let usual = serde_json::to_value(TpoConfig::default()).ok()?;
    let differ = SHOWN.iter().filter(|path| ours.pointer(path) != usual.pointer(path));
    let reported = differ.filter_map(|path| {
        let name = path.trim_start_matches('/').replace('/', ".");
        Some(match ours.pointer(path)? {
            serde_json::Value::String(word) => format!("{name} {word}"),
            value => format!("{name} {value}"),
        })
    });
    let reported: Vec<String> = reported.collect();
    (!reported.is_empty()).then(|| reported.join(", "))
}

/// With more pairs than this, only those with the first run are shown.
const MAX_RUNS: usize = 28;

pub(super) fn wins(context: &Context<'_>) -> Option<Figure> {
    let runs = context.runs;
    let pairs = (0..runs.len()).flat_map(|a| (a + 1..runs.len()).map(move |b| (b, a)));
    let all = runs.len() * runs.len().saturating_sub(1) / 2 <= MAX_RUNS;
    let pairs = pairs.filter(|(_, against)| all || *against == 0);
    let mut table = Table::new([
        "run",
        "against",
        "queries",
        "wins",
        "ties",
        "losses",
        "win rate",
        "low",
        "high",
        "difference",
        "difference: low",
        "difference: high",
    ]);
    let mut chart = context.chart();
    chart.x = Axis { holds: vec![0.0, 1.0], ..Axis::new("win rate (a tie counts half)") };
    chart.series.push(Series { label: String::new(), colour: 7, shape: Shape::Upright(0.5) });
    let mut add = |colour: usize, name: &str, other: &str, scores: &[(f64, f64)]| {
        let Some(paired) = Paired::of(scores, &context.bootstrap) else { return };
        let (rate, difference) = (paired.win_rate, paired.difference);
        let y = chart.y.categories.len() as f64;
        let short = |name: &str| textgrad_core::truncate(name, 18);
        chart.y.categories.push(format!("{} vs {}", short(name), short(other)));
        let point =
            Point { x: rate.mean, y, ends: Some((rate.low, rate.high)), ..Point::default() };
        let shape = Shape::Dots(vec![point]);
        chart.series.push(Series { label: String::new(), colour, shape });
        table.row([
            name.into(),
            other.into(),
            scores.len().into(),
            paired.wins.into(),
            paired.ties.into(),
            paired.losses.into(),
            rate.mean.into(),
            rate.low.into(),
            rate.high.into(),
            difference.mean.into(),
            difference.low.into(),
            difference.high.into(),
        ]);
    };
    for (a, b) in pairs {
        let (Some(run), Some(other)) = (runs.get(a), runs.get(b)) else { continue };
        if run.config.reward == other.config.reward {
            add(a, &run.name, &other.name, &run.paired(other, |query| query.best));
        }
    }
    for (colour, run) in runs.iter().enumerate() {
        let scores = run.queries.iter().filter_map(|q| Some((q.best, *q.first().first()?)));
        add(colour, &run.name, "its first answer", &scores.collect::<Vec<_>>());
    }
    (!table.rows.is_empty()).then(|| Figure {
        name: "win-rates",
        title: "Win rates",
        caption: format!(
            "How often the answer that a run returned has a higher reward than another run's, over the queries that \
             both finished, and than the first answer that it drew itself, with paired {} bootstrap intervals. It is the reward model that the search itself \
             climbed that judges here: a win says that the search worked, not that people would agree.",
            context.level()
        ),
        chart: Some(chart),
        table,
    })
}
