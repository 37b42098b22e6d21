//! Figures of reward by iteration, and by width.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::{Context, DETAILED, Dash, Figure, Point, REFERENCE_COLOUR, Shape, alike};
use crate::config::Mode;
use crate::report::chart::Axis;
use crate::report::data::{QueryData, RunData};
use crate::report::stats::{Interval, mean};
use crate::report::table::Table;

/// A mean over the queries that have an iteration.
struct Step {
    iteration: usize,
    queries: usize,
    reward: Interval,
}

pub(super) fn rewards(context: &Context<'_>) -> Figure {
    let x = Axis { whole: true, ..Axis::new("iteration (0: the first N answers)") };
    let mut chart = context.chart(x, Axis::new("reward"));
    let mut table = Table::new("run,iteration,series,queries,mean,low,high");
    let best_by = QueryData::best_by;
    let brought = |query: &QueryData, iteration| mean(query.brought(iteration));
    for run in context.runs {
        let best = steps(context, run.depth(), |iteration| run.each(|q| best_by(q, iteration)));
        let new = steps(context, run.depth(), |iteration| run.each(|q| brought(q, iteration)));
        for (series, steps) in [("best so far", &best), ("new answers", &new)] {
            for Step { iteration, queries, reward } in steps {
                let name = run.name.as_str().into();
                let cells = [name, (*iteration).into(), series.into(), (*queries).into()];
                table.row(cells.into_iter().chain(reward.cells()));
            }
        }
    }
    let curves = context.curves();
    let is_detailed = curves.len() <= DETAILED;
    for curve in &curves {
        let best = steps(context, curve.depth(), |iteration| curve.each(|q| best_by(q, iteration)));
        let label = |what: &str| match is_detailed {
            true => format!("{}: {what}", curve.label),
            false => curve.label.clone(),
        };
        if let (Mode::Bon, Some(run)) = (curve.mode(), curve.runs.first()) {
            if let Some(first) = best.first() {
                let label = label(&format!("best of {}", run.config.search.samples));
                chart.add(label, curve.colour, Shape::Level(first.reward.mean));
            }
            continue;
        }
        let line = |steps: &[Step], dash| {
            // The queries of several seeds are not independent, so their interval would be too narrow.
            let has_band = is_detailed && curve.runs.len() == 1;
            let point = |Step { iteration, reward, .. }: &Step| match has_band {
                true => Point::over(*iteration as f64, *reward),
                false => Point { x: *iteration as f64, y: reward.mean, ..Point::default() },
            };
            Shape::Line { points: steps.iter().map(point).collect(), dash }
        };
        chart.add(label("best so far"), curve.colour, line(&best, curve.dash()));
        if is_detailed {
            let new = |iteration| curve.each(|query| brought(query, iteration));
            let new = steps(context, curve.depth(), new);
            chart.add(label("new answers"), curve.colour, line(&new, Dash::Dotted));
        }
    }
    for (policy, level) in alone(context.runs) {
        let label = format!("{policy}: one answer, no search");
        chart.add(label, REFERENCE_COLOUR, Shape::Level(level));
    }
    Figure::new("reward-by-iteration", context, Some(chart), table)
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

/// The mean of a number of queries at each iteration that any query has.
fn steps(context: &Context<'_>, depth: usize, values: impl Fn(usize) -> Vec<f64>) -> Vec<Step> {
    let steps = (0..=depth).filter_map(|iteration| {
        let values = values(iteration);
        let reward = context.bootstrap.mean(&values)?;
        Some(Step { iteration, queries: values.len(), reward })
    });
    steps.collect()
}

/// What runs of one curve may differ in besides their seed.
const APART: [&str; 3] = ["/search/samples", "/search/sampling/n", "/search/iterations"];

/// For each iteration a curve over N, where runs differ in it. Runs that differ in N, D and seed alone are on one
/// curve; if there are several such groups, each has its first answers and its last iteration drawn.
pub(super) fn width(context: &Context<'_>) -> Figure {
    let runs = context.runs.iter().filter(|run| run.config.search.mode == Mode::Tpo);
    let groups = alike(runs, &APART).into_iter().map(|(_, runs)| runs);
    let groups: Vec<Vec<&RunData>> = groups.filter(|runs| widths(runs) > 1).collect();
    let mut table = Table::new("like,iteration,width,runs,values,reward,low,high");
    let x = Axis { whole: true, holds: vec![0.0], ..Axis::new("N: answers drawn at a time") };
    let mut chart = context.chart(x, Axis::new("reward"));
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
            chart.add(label, colour, Shape::Line { points, dash });
        }
    }
    Figure::new("width", context, Some(chart), table)
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
    for ((iteration, samples), (runs, values)) in values {
        let Some(reward) = context.bootstrap.mean(&values) else { continue };
        let counts = [iteration, samples as usize, runs, values.len()].map(Json::from);
        table.row([like.into()].into_iter().chain(counts).chain(reward.cells()));
        let point = Point::over(f64::from(samples), reward);
        curves.entry(iteration).or_default().push(point);
    }
    curves
}
