//! Reward by how many answers are drawn at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Dash, Figure, Point, Series, Shape, alike};
use crate::config::Mode;
use crate::report::chart::Axis;
use crate::report::data::RunData;
use crate::report::stats::mean;
use crate::report::table::Table;

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
