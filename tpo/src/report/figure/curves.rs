//! Reward by iteration.

use super::{Context, Dash, Figure, Point, Series, Shape, dash};
use crate::config::Mode;
use crate::report::chart::Axis;
use crate::report::data::RunData;
use crate::report::stats::{Interval, mean};
use crate::report::table::Table;

/// Of more runs than this, only the best answers are drawn.
const DETAILED: usize = 3;

pub(super) fn rewards(context: &Context<'_>) -> Figure {
    let mut table = Table::new(["run", "iteration", "series", "queries", "mean", "low", "high"]);
    let mut chart = context.chart();
    chart.x = Axis { whole: true, ..Axis::new("iteration (0: the first N answers)") };
    chart.y = Axis::new("reward");
    for (colour, run) in context.runs.iter().enumerate() {
        let best =
            by_iteration(context, run, |run, iteration| run.each(|query| query.best_by(iteration)));
        let new = by_iteration(context, run, |run, iteration| {
            run.each(|query| mean(query.brought(iteration)))
        });
        for (name, rows) in [("best so far", &best), ("new answers", &new)] {
            for (iteration, queries, interval) in rows {
                table.row([
                    run.name.clone().into(),
                    (*iteration).into(),
                    name.into(),
                    (*queries).into(),
                    interval.mean.into(),
                    interval.low.into(),
                    interval.high.into(),
                ]);
            }
        }
        let label = |what: &str| format!("{}: {what}", run.name);
        if run.config.search.mode == Mode::Bon {
            if let Some((_, _, level)) = best.first() {
                let label = label(&format!("best of {}", run.config.search.samples));
                chart.series.push(Series { label, colour, shape: Shape::Level(level.mean) });
            }
            continue;
        }
        let points = |rows: &[(usize, usize, Interval)]| rows.iter().map(point).collect();
        chart.series.push(Series {
            label: label("best so far"),
            colour,
            shape: Shape::Line { points: points(&best), dash: dash(run) },
        });
        if context.runs.len() <= DETAILED {
            let shape = Shape::Line { points: points(&new), dash: Dash::Dotted };
            chart.series.push(Series { label: label("new answers"), colour, shape });
        }
    }
    for (policy, level) in alone(context.runs) {
        let label = format!("{policy}: one answer, no search");
        chart.series.push(Series { label, colour: 7, shape: Shape::Level(level) });
    }
    Figure {
        name: "reward-by-iteration",
        title: "Reward by iteration",
        caption: format!(
            "The best answer so far, and the mean of the answers that an iteration brought (dotted, for up to three \
             runs), as means over queries with {} bootstrap bands. Baselines are dashed: one answer and best of N as \
             levels, revision as a curve. A search that ended early keeps its best.",
            context.level()
        ),
        chart: Some(chart),
        table,
    }
}

/// What each policy reaches without a search: the mean of first answers, in its first run.
fn alone(runs: &[RunData]) -> Vec<(&str, f64)> {
    let mut levels: Vec<(&str, f64)> = Vec::new();
    for run in runs {
        let policy = run.config.policy.as_str();
        let level = mean(&run.each(|query| mean(query.first())));
        if let Some(level) = level.filter(|_| levels.iter().all(|(known, _)| *known != policy)) {
            levels.push((policy, level));
        }
    }
    levels
}

fn point((iteration, _, interval): &(usize, usize, Interval)) -> Point {
    let ends = Some((interval.low, interval.high));
    Point { x: *iteration as f64, y: interval.mean, ends, label: None }
}

/// For each iteration that any query has: its number, how many queries count, and the mean.
fn by_iteration(
    context: &Context<'_>,
    run: &RunData,
    values: impl Fn(&RunData, usize) -> Vec<f64>,
) -> Vec<(usize, usize, Interval)> {
    let means = (0..=run.depth()).filter_map(|iteration| {
        let values = values(run, iteration);
        Some((iteration, values.len(), context.bootstrap.mean(&values)?))
    });
    means.collect()
}
