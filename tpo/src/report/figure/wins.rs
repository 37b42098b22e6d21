//! Which run is better, query by query.

use super::{Context, Figure, Point, Series, Shape};
use crate::report::chart::Axis;
use crate::report::paired::Paired;
use crate::report::table::Table;

/// With more pairs than this, only those with the first run are shown.
const MOST: usize = 28;

pub(super) fn wins(context: &Context<'_>) -> Option<Figure> {
    let runs = context.runs;
    let pairs = (0..runs.len()).flat_map(|a| (a + 1..runs.len()).map(move |b| (b, a)));
    let all = runs.len() * runs.len().saturating_sub(1) / 2 <= MOST;
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
        let short = |name: &str| textgrad_core::excerpt(name, 18);
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
