//! Reward by how many answers are drawn at a time.

use std::collections::BTreeMap;

use super::{Context, Dash, Figure, Point, Series, Shape};
use crate::config::Mode;
use crate::report::chart::Axis;
use crate::report::stats::mean;
use crate::report::table::Table;

/// For each iteration a curve over N, where runs differ in it. Runs of equal N count together.
pub(super) fn width(context: &Context<'_>) -> Option<Figure> {
    let runs = context.runs.iter().filter(|run| run.config.search.mode == Mode::Tpo);
    let mut values: BTreeMap<(usize, u32), (usize, Vec<f64>)> = BTreeMap::new();
    for run in runs {
        for iteration in 0..=run.depth() {
            let key = (iteration, run.config.search.samples);
            let (runs, values) = values.entry(key).or_default();
            *runs += 1;
            values.extend(run.each(|query| query.best_by(iteration)));
        }
    }
    let mut table = Table::new(["iteration", "width", "runs", "values", "reward", "low", "high"]);
    let mut curves: BTreeMap<usize, Vec<Point>> = BTreeMap::new();
    for ((iteration, samples), (runs, values)) in &values {
        let Some((reward, interval)) = mean(values).zip(context.bootstrap.mean(values)) else {
            continue;
        };
        table.row([
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
    if curves.get(&0).is_none_or(|first| first.len() < 2) {
        return None;
    }
    let mut chart = context.chart();
    chart.x = Axis { whole: true, holds: vec![0.0], ..Axis::new("N: answers drawn at a time") };
    chart.y = Axis::new("reward");
    for (iteration, points) in curves {
        let label = match iteration {
            0 => "first answers (best of N)".to_owned(),
            _ => format!("best by iteration {iteration}"),
        };
        let shape = Shape::Line { points, dash: Dash::Solid };
        chart.series.push(Series { label, colour: iteration, shape });
    }
    Some(Figure {
        name: "width",
        title: "Width",
        caption: format!(
            "The best answer so far by how many answers are drawn at a time, a curve for each iteration, with {} \
             bootstrap bands. Only runs of mode tpo are shown; those of equal N count together, whatever else they \
             differ in.",
            context.level()
        ),
        chart: Some(chart),
        table,
    })
}
