//! Figures of the spread of scores: over queries, and over repetitions.

use std::collections::BTreeMap;

use super::{Context, Figure, Point, Series, Shape, alike};
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
    let mut table = Table::new(["run", "scores", "from", "to", "share"]);
    let mut chart = context.chart();
    (chart.x, chart.y) = (Axis::new("reward"), Axis::new("share of answers"));
    // Of several runs only the best answers are drawn: more would be a tangle.
    let alone = context.runs.len() == 1;
    for (colour, run) in context.runs.iter().enumerate() {
        let (first, best) = (first.get(colour), best.get(colour));
        for (kind, scores) in [("first answers", first), ("best", best)] {
            let Some(scores) = scores.filter(|scores| !scores.is_empty()) else { continue };
            let steps = histogram(scores, low, width);
            for (from, to, share) in &steps {
                let name = run.name.clone().into();
                table.row([name, kind.into(), (*from).into(), (*to).into(), (*share).into()]);
            }
            if alone || kind == "best" {
                let colour = if kind == "best" { colour } else { 7 };
                let label = format!("{}: {kind}", run.name);
                let shape = Shape::Steps { steps: within(steps), filled: context.runs.len() < 3 };
                chart.series.push(Series { label, colour, shape });
            }
        }
    }
    Figure {
        name: "scores",
        title: "Distribution of scores",
        caption: "The scores of the first answers (all of them) and of the answers that were returned. Of several \
                  runs, the answers that were returned are drawn."
            .to_owned(),
        chart: Some(chart),
        table,
    }
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

/// How far rewards of each query lie apart in repetitions of one kind.
struct Spread {
    label: String,
    runs: String,
    kind: &'static str,
    colour: usize,
    values: Vec<f64>,
}

impl Spread {
    fn new(name: &str, runs: String, kind: &'static str, colour: usize, values: Vec<f64>) -> Self {
        let label = format!("{}: {kind}", textgrad_core::truncate(name, 26));
        Self { label, runs, kind, colour, values }
    }
}

/// The standard deviation of rewards over repetitions of the same prompt.
pub(super) fn stability(context: &Context<'_>) -> Option<Figure> {
    let mut rows: Vec<Spread> = Vec::new();
    for (colour, run) in context.runs.iter().enumerate() {
        let first = run.each(|query| deviation(query.first()));
        let name = &run.name;
        rows.push(Spread::new(name, name.clone(), "first answers", colour, first));
        if run.depth() > 0 {
            // A search that ended early has a last iteration too, and one may bring nothing.
            let last = run.each(|query| {
                let brought = query.scores.iter().skip(1).rfind(|brought| !brought.is_empty());
                deviation(brought?)
            });
            rows.push(Spread::new(name, name.clone(), "last iteration", colour, last));
        }
    }
    let repeated = alike(context.runs.iter(), &[]);
    for (place, runs) in repeated.into_iter().filter(|(_, runs)| runs.len() > 1) {
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let (first, best) = over_seeds(&runs);
        let (label, all) = (names.first().copied().unwrap_or_default(), names.join(" + "));
        let label = format!("{} and {} more", textgrad_core::truncate(label, 16), names.len() - 1);
        rows.push(Spread::new(&label, all.clone(), "one answer", place, first));
        rows.push(Spread::new(&label, all, "returned answer", place, best));
    }
    let mut table =
        Table::new(["run", "repetitions", "queries", "standard deviation", "low", "high"]);
    let mut chart = context.chart();
    chart.x = Axis {
        holds: vec![0.0],
        ..Axis::new("standard deviation of rewards within a query, mean over queries")
    };
    for Spread { label, runs, kind, colour, values } in rows {
        let Some(interval) = context.bootstrap.mean(&values) else { continue };
        let y = chart.y.categories.len() as f64;
        chart.y.categories.push(label);
        let ends = Some((interval.low, interval.high));
        let point = Point { x: interval.mean, y, ends, label: None };
        chart.series.push(Series { label: String::new(), colour, shape: Shape::Dots(vec![point]) });
        table.row([
            runs.into(),
            kind.into(),
            values.len().into(),
            interval.mean.into(),
            interval.low.into(),
            interval.high.into(),
        ]);
    }
    (!table.rows.is_empty()).then(|| Figure {
        name: "stability",
        title: "Inference stability",
        caption: format!(
            "How much the reward of a query changes from one generation to the next: the standard deviation (n - 1) \
             over the first answers, over the answers of its last iteration, and over runs that differ in nothing \
             but their seed; means over queries with {} bootstrap intervals.",
            context.level()
        ),
        chart: Some(chart),
        table,
    })
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
