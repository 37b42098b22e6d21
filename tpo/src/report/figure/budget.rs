//! Figures of reward by budget.

use std::collections::BTreeSet;

use super::{Context, DETAILED, Dash, Figure, Point, Shape, setting};
use crate::config::Mode;
use crate::report::chart::{Axis, Chart};
use crate::report::data::{QueryData, RunData};
use crate::report::stats::{expected_max, mean};
use crate::report::table::Table;

/// Best-of-k for every k that the first answers allow, and the runs by how many answers they drew.
pub(super) fn budget(context: &Context<'_>) -> Figure {
    let mut table = Table::new("run,series,answers,queries,reward");
    let mut chart = reward_by_answers(context);
    for run in context.runs {
        for point in best_of_first(std::slice::from_ref(&run)) {
            let (name, kind) = (run.name.clone().into(), "best of k first answers".into());
            table.row([
                name,
                kind,
                (point.x as usize).into(),
                run.queries.len().into(),
                point.y.into(),
            ]);
        }
        for point in spent(std::slice::from_ref(&run)) {
            let (name, kind) = (run.name.clone().into(), "best so far".into());
            table.row([name, kind, point.x.into(), run.queries.len().into(), point.y.into()]);
        }
    }
    let curves = context.curves();
    let alone = !context.runs.iter().any(is_baseline);
    for curve in &curves {
        let is_baseline = curve.mode() == Mode::Bon;
        // Beside a run of best-of-N, which reaches further, those of others would only cover it.
        if is_baseline || alone && curves.len() <= DETAILED {
            let label = format!("{}: best of k", curve.label);
            let points = best_of_first(&curve.runs);
            chart.add(label, curve.colour, Shape::Line { points, dash: Dash::Dotted });
        }
        if !is_baseline {
            let label = curve.label_with_mode();
            let points = spent(&curve.runs);
            chart.add(label, curve.colour, Shape::Line { points, dash: curve.dash() });
        }
    }
    Figure::new("reward-by-budget", context, Some(chart), table)
}

/// The points of a curve by tokens.
const TOKEN_STEPS: u32 = 24;

/// The best answer by the tokens that were spent.
pub(super) fn tokens(context: &Context<'_>) -> Figure {
    let mut table = Table::new("run,tokens,queries,reward");
    for run in context.runs {
        for point in by_tokens(std::slice::from_ref(&run)) {
            let tokens = point.x.round() as u64;
            table.row([
                run.name.as_str().into(),
                tokens.into(),
                run.queries.len().into(),
                point.y.into(),
            ]);
        }
    }
    let x = Axis { log: true, ..Axis::new("tokens per query (logarithmic)") };
    let mut chart = context.chart(x, Axis::new("reward"));
    for curve in context.curves() {
        let shape = match by_tokens(&curve.runs) {
            points if points.len() > 1 => Shape::Line { points, dash: curve.dash() },
            points => Shape::Dots(points),
        };
        chart.add(curve.label_with_mode(), curve.colour, shape);
    }
    Figure::new("reward-by-tokens", context, Some(chart), table)
}

/// From where every query has its first answers to where every search has ended, in equal ratios.
fn by_tokens(runs: &[&RunData]) -> Vec<Point> {
    let first = each(runs, |query| Some(*query.tokens_by.first()? as f64)).into_iter();
    let last = each(runs, |query| Some(*query.tokens_by.last()? as f64)).into_iter();
    let (Some(from), Some(to)) = (first.reduce(f64::max), last.reduce(f64::max)) else {
        return Vec::new();
    };
    let steps = if to > from && from > 0.0 { TOKEN_STEPS } else { 0 };
    let points = (0..=steps).filter_map(|step| {
        let share = f64::from(step) / f64::from(steps.max(1));
        // Not below its ends by a rounding.
        let x = if step == 0 { from } else { (from * (to / from).powf(share)).ceil() };
        let y = mean(&each(runs, |query| query.best_for(x)))?;
        Some(Point { x, y, ..Point::default() })
    });
    points.collect()
}

/// Best of k, for every k that the first answers of all queries allow.
fn best_of_first(runs: &[&RunData]) -> Vec<Point> {
    let most = each(runs, |query| Some(query.first().len() as f64));
    let most = most.into_iter().fold(f64::INFINITY, f64::min);
    let most = if most.is_finite() { most as usize } else { 0 };
    let point = |k: usize| {
        let reward = mean(&each(runs, |query| expected_max(query.first(), k)))?;
        Some(Point { x: k as f64, y: reward, ..Point::default() })
    };
    sizes(most).into_iter().filter_map(point).collect()
}

fn each(runs: &[&RunData], number: impl Fn(&QueryData) -> Option<f64>) -> Vec<f64> {
    runs.iter().flat_map(|run| run.each(&number)).collect()
}

/// Every number of answers up to 32, then steps of a tenth, and the last.
fn sizes(most: usize) -> Vec<usize> {
    let next = |k: &usize| Some(if *k < 32 { k + 1 } else { k + k / 10 });
    let mut sizes: Vec<usize> =
        std::iter::successors(Some(1), next).take_while(|k| *k < most).collect();
    sizes.extend((most > 0).then_some(most));
    sizes
}

fn is_baseline(run: &RunData) -> bool {
    run.config.search.mode == Mode::Bon
}

/// Along depth, from width to width, where runs differ in them.
pub(super) fn depth(context: &Context<'_>) -> Figure {
    let of_tpo = |run: &&RunData| run.config.search.mode == Mode::Tpo;
    let mut runs: Vec<&RunData> = context.runs.iter().filter(of_tpo).collect();
    let settings: BTreeSet<String> = runs.iter().map(|run| setting(run)).collect();
    if settings.len() < 2 {
        runs.clear();
    }
    let mut table = Table::new("run,depth,width,answers,reward,low,high");
    let mut chart = reward_by_answers(context);
    for run in runs {
        for (iteration, point) in spent(&[run]).iter().enumerate() {
            let values = run.each(|query| query.best_by(iteration));
            let Some(reward) = context.bootstrap.mean(&values) else { continue };
            let samples = run.config.search.samples;
            let cells =
                [run.name.as_str().into(), iteration.into(), samples.into(), point.x.into()];
            table.row(cells.into_iter().chain(reward.cells()));
        }
    }
    let mut labelled = BTreeSet::new();
    for curve in context.curves().into_iter().filter(|curve| curve.mode() == Mode::Tpo) {
        let mut points = spent(&curve.runs);
        let setting = curve.runs.first().map(|run| setting(run)).unwrap_or_default();
        let new = labelled.insert(setting.clone());
        if let Some(last) = points.last_mut().filter(|_| new) {
            last.label = Some(setting);
        }
        chart.add(curve.label, curve.colour, Shape::Line { points, dash: Dash::Solid });
    }
    Figure::new("depth", context, Some(chart), table)
}

fn reward_by_answers(context: &Context<'_>) -> Chart {
    let x = Axis { whole: true, holds: vec![0.0], ..Axis::new("answers per query") };
    context.chart(x, Axis::new("reward"))
}

/// The mean best by each iteration, over the mean number of answers until then.
fn spent(runs: &[&RunData]) -> Vec<Point> {
    let depth = runs.iter().map(|run| run.depth()).max().unwrap_or_default();
    let points = (0..=depth).filter_map(|iteration| {
        let answers = each(runs, |query| {
            Some(query.scores.iter().take(iteration + 1).map(Vec::len).sum::<usize>() as f64)
        });
        let y = mean(&each(runs, |query| query.best_by(iteration)))?;
        Some(Point { x: mean(&answers)?, y, ..Point::default() })
    });
    points.collect()
}
