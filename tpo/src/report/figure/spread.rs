//! Figures of the spread of scores: over queries, and over repetitions.

use std::collections::BTreeMap;

use textgrad_core::truncate;

use super::{Context, Figure, Point, REFERENCE_COLOUR, Shape, alike};
use crate::report::chart::Axis;
use crate::report::data::RunData;
use crate::report::stats::deviation;
use crate::report::table::Table;

/// How many bars a histogram has.
const BINS: usize = 32;

/// The distribution of scores: first answers, and the best.
pub(super) fn distribution(context: &Context<'_>) -> Figure {
    let first: Vec<Vec<f64>> = context.runs.iter().map(all_first).collect();
    let best: Vec<Vec<f64>> =
        context.runs.iter().map(|run| run.each(|query| Some(query.best))).collect();
    let all = first.iter().chain(&best).flatten().copied();
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
        (low.min(score), high.max(score))
    });
    let width = ((high - low) / BINS as f64).max(f64::MIN_POSITIVE);
    let mut table = Table::new("run,scores,from,to,share");
    let mut chart = context.chart(Axis::new("reward"), Axis::new("share of answers"));
    // Of several runs only the best answers are drawn, since more would cover each other.
    let alone = context.runs.len() == 1;
    for (position, run) in context.runs.iter().enumerate() {
        let (first, best) = (first.get(position), best.get(position));
        for (kind, scores) in [("first answers", first), ("best", best)] {
            let Some(scores) = scores.filter(|scores| !scores.is_empty()) else { continue };
            let steps = histogram(scores, low, width);
            for (from, to, share) in &steps {
                let name = run.name.clone().into();
                table.row([name, kind.into(), (*from).into(), (*to).into(), (*share).into()]);
            }
            if alone && kind != "best" {
                let label = format!("{}: {kind}", run.name);
                let shape = Shape::Steps { steps: within(steps), filled: true };
                chart.add(label, REFERENCE_COLOUR, shape);
            }
        }
    }
    let curves = context.curves();
    for curve in &curves {
        let best = curve.each(|query| Some(query.best));
        if !best.is_empty() {
            let steps = within(histogram(&best, low, width));
            let shape = Shape::Steps { steps, filled: curves.len() < 3 };
            chart.add(format!("{}: best", curve.label), curve.colour, shape);
        }
    }
    Figure::new("scores", context, Some(chart), table)
}

fn all_first(run: &RunData) -> Vec<f64> {
    run.queries.iter().flat_map(|query| query.first()).copied().collect()
}

/// Without the empty bars before the first and after the last.
fn within(steps: Vec<(f64, f64, f64)>) -> Vec<(f64, f64, f64)> {
    let full = |(_, _, height): &(f64, f64, f64)| *height > 0.0;
    let end = steps.iter().rposition(full).map_or(0, |last| last + 1);
    steps.into_iter().take(end).skip_while(|step| !full(step)).collect()
}

fn histogram(scores: &[f64], low: f64, width: f64) -> Vec<(f64, f64, f64)> {
    let mut counts = [0_usize; BINS];
    for score in scores {
        let place = ((score - low) / width) as usize;
        if let Some(count) = counts.get_mut(place.min(BINS - 1)) {
            *count += 1;
        }
    }
    let bars = counts.into_iter().enumerate().map(|(place, count)| {
        let left = low + place as f64 * width;
        (left, left + width, count as f64 / scores.len() as f64)
    });
    bars.collect()
}

/// The standard deviation of rewards over repetitions of the same prompt.
pub(super) fn stability(context: &Context<'_>) -> Figure {
    let mut table = Table::new("run,repetitions,queries,standard deviation,low,high");
    let x = Axis {
        holds: vec![0.0],
        ..Axis::new("standard deviation of rewards within a query, mean over queries")
    };
    let mut chart = context.chart(x, Axis::default());
    let mut add = |name: &str, runs: &str, kind: &str, colour: usize, values: Vec<f64>| {
        let Some(deviation) = context.bootstrap.mean(&values) else { return };
        let label = format!("{}: {kind}", truncate(name, 26));
        chart.add_row(label, colour, Point::along(deviation));
        let cells = [runs.into(), kind.into(), values.len().into()];
        table.row(cells.into_iter().chain(deviation.cells()));
    };
    for (colour, run) in context.runs.iter().enumerate() {
        let first = run.each(|query| deviation(query.first()));
        add(&run.name, &run.name, "first answers", colour, first);
        if run.depth() > 0 {
            // A search that ended early has a last iteration too, and one may bring nothing.
            let last = run.each(|query| {
                let brought = query.scores.iter().skip(1).rfind(|brought| !brought.is_empty());
                deviation(brought?)
            });
            add(&run.name, &run.name, "last iteration", colour, last);
        }
    }
    let repeated = alike(context.runs.iter(), &[]);
    for (place, runs) in repeated.into_iter().filter(|(_, runs)| runs.len() > 1) {
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let (first, best) = over_seeds(&runs);
        let (label, all) = (names.first().copied().unwrap_or_default(), names.join(" + "));
        let label = format!("{} and {} more", truncate(label, 16), names.len() - 1);
        add(&label, &all, "one answer", place, first);
        add(&label, &all, "returned answer", place, best);
    }
    Figure::new("stability", context, Some(chart), table)
}

/// For each query that at least two of the runs have: the deviation of the first and of the returned answer's
/// scores.
fn over_seeds(runs: &[&RunData]) -> (Vec<f64>, Vec<f64>) {
    let mut firsts: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let mut bests: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for query in runs.iter().flat_map(|run| &run.queries) {
        firsts.entry(query.index).or_default().extend(query.first().first());
        bests.entry(query.index).or_default().push(query.best);
    }
    let deviations = |scores: BTreeMap<usize, Vec<f64>>| {
        scores.values().filter_map(|scores| deviation(scores)).collect()
    };
    (deviations(firsts), deviations(bests))
}
