//! Figures of the spread of scores: over queries, and over repetitions.

use std::collections::BTreeMap;

use super::{Context, Figure, Point, REFERENCE_COLOUR, Shape, alike};
use crate::report::chart::Axis;
use crate::report::data::{QueryData, RunData};
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
    let mut add = |runs: &str, kind: &str, values: Vec<f64>| {
        let Some(deviation) = context.bootstrap.mean(&values) else { return };
        let cells = [runs.into(), kind.into(), values.len().into()];
        table.row(cells.into_iter().chain(deviation.cells()));
    };
    for run in context.runs {
        for (kind, of) in WITHIN {
            add(&run.name, kind, run.each(of));
        }
    }
    let repeated = alike(context.runs.iter(), &[]);
    let repeated = repeated.into_iter().map(|(_, runs)| runs).filter(|runs| runs.len() > 1);
    let repeated: Vec<Vec<&RunData>> = repeated.collect();
    for runs in &repeated {
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        for (kind, values) in over_seeds(runs) {
            add(&names.join(" + "), kind, values);
        }
    }

    let mut draw = |name: String, values: &[(&'static str, usize, Vec<f64>)]| {
        let values = values.iter().filter_map(|(kind, colour, values)| {
            Some((*kind, *colour, Point::along(context.bootstrap.mean(values)?)))
        });
        let values: Vec<(&str, usize, Point)> = values.collect();
        if !values.is_empty() {
            chart.add_row(name, values);
        }
    };
    for curve in context.curves() {
        let values = WITHIN.into_iter().enumerate();
        let values = values.map(|(colour, (kind, of))| (kind, colour, curve.each(of)));
        draw(curve.label.clone(), &values.collect::<Vec<_>>());
    }
    for runs in &repeated {
        let name = runs.first().map(|run| run.name.as_str()).unwrap_or_default();
        let name = format!("{name}, over {} seeds", runs.len());
        let values = over_seeds(runs).into_iter().zip(WITHIN.len()..);
        let values = values.map(|((kind, values), colour)| (kind, colour, values));
        draw(name, &values.collect::<Vec<_>>());
    }
    Figure::new("stability", context, Some(chart), table)
}

type OfQuery = fn(&QueryData) -> Option<f64>;

/// Deviations within the answers to a query.
const WITHIN: [(&str, OfQuery); 2] = [
    ("first answers", |query| deviation(query.first())),
    // A search that ended early has a last iteration too, and one may bring nothing.
    ("last iteration", |query| {
        deviation(query.scores.iter().skip(1).rfind(|brought| !brought.is_empty())?)
    }),
];

/// For each query that at least two of the runs have: the deviation of the first and of the returned answer's
/// scores.
fn over_seeds(runs: &[&RunData]) -> [(&'static str, Vec<f64>); 2] {
    let mut firsts: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let mut bests: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for query in runs.iter().flat_map(|run| &run.queries) {
        firsts.entry(query.index).or_default().extend(query.first().first());
        bests.entry(query.index).or_default().push(query.best);
    }
    let deviations = |scores: BTreeMap<usize, Vec<f64>>| {
        scores.values().filter_map(|scores| deviation(scores)).collect()
    };
    [("one answer", deviations(firsts)), ("returned answer", deviations(bests))]
}
