//! Figures of reward by iteration, and by depth and width.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Dash, Figure, Point, Series, Shape, alike, dash};
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

/// What runs of one curve may differ in besides their seed.
const APART: [&str; 3] = ["/search/samples", "/search/sampling/n", "/search/iterations"];

/// For each iteration a curve over N, where runs differ in it. Runs that differ in N, D and seed alone are on one
/// curve; if there are several such groups, each has its first answers and its last iteration drawn.
pub(super) fn width(context: &Context<'_>) -> Option<Figure> {
    let runs = context.runs.iter().filter(|run| run.config.search.mode == Mode::Tpo);
    let groups = alike(runs, &APART).into_iter().map(|(_, runs)| runs);
    let groups: Vec<Vec<&RunData>> = groups.filter(|runs| widths(runs) > 1).collect();
    let mut table =
        Table::new(["like", "iteration", "width", "runs", "values", "reward", "low", "high"]);
    let mut chart = context.chart();
    chart.x = Axis { whole: true, holds: vec![0.0], ..Axis::new("N: answers drawn at a time") };
    chart.y = Axis::new("reward");
    for (place, runs) in groups.iter().enumerate() {
        let like = runs.first().map(|run| run.name.as_str()).unwrap_or_default();
        let curves = curves(context, runs, like, &mut table);
        let last = curves.keys().next_back().copied();
        for (iteration, points) in curves {
            let what = match iteration {
                0 => "first answers (best of N)".to_owned(),
                _ => format!("best by iteration {iteration}"),
            };
            let (label, colour, dash) = match groups.len() {
                1 => (what, iteration, Dash::Solid),
                _ if iteration == 0 => (format!("{like}: {what}"), place, Dash::Dashed),
                _ if Some(iteration) == last => (format!("{like}: {what}"), place, Dash::Solid),
                _ => continue,
            };
            chart.series.push(Series { label, colour, shape: Shape::Line { points, dash } });
        }
    }
    (!chart.series.is_empty()).then(|| Figure {
        name: "width",
        title: "Width",
        caption: format!(
            "The best answer so far by how many answers are drawn at a time, with {} bootstrap bands: of one kind of \
             runs a curve for each iteration, of several kinds the first answers and the last iteration. Runs of \
             mode tpo that differ in nothing but N, D and seed are of one kind, which is named by the first of them.",
            context.level()
        ),
        chart: Some(chart),
        table,
    })
}

fn widths(runs: &[&RunData]) -> usize {
    runs.iter().map(|run| run.config.search.samples).collect::<BTreeSet<_>>().len()
}

/// The points of each iteration, which also become rows.
fn curves(
    context: &Context<'_>,
    runs: &[&RunData],
    like: &str,
    table: &mut Table,
) -> BTreeMap<usize, Vec<Point>> {
    let mut values: BTreeMap<(usize, u32), (usize, Vec<f64>)> = BTreeMap::new();
    for run in runs {
        for iteration in 0..=run.depth() {
            let key = (iteration, run.config.search.samples);
            let (runs, values) = values.entry(key).or_default();
            *runs += 1;
            values.extend(run.each(|query| query.best_by(iteration)));
        }
    }
    let mut curves: BTreeMap<usize, Vec<Point>> = BTreeMap::new();
    for ((iteration, samples), (runs, values)) in &values {
        let Some((reward, interval)) = mean(values).zip(context.bootstrap.mean(values)) else {
            continue;
        };
        table.row([
            like.into(),
            (*iteration).into(),
            u64::from(*samples).into(),
            (*runs).into(),
            values.len().into(),
            reward.into(),
            interval.low.into(),
            interval.high.into(),
        ]);
        let ends = Some((interval.low, interval.high));
        let point = Point { x: f64::from(*samples), y: reward, ends, label: None };
        curves.entry(*iteration).or_default().push(point);
    }
    curves
}
