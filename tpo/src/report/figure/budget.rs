//! Figures of reward by budget, and of cost.

use super::{Context, Dash, Figure, Point, Series, Shape, dash, setting};
use crate::config::Mode;
use crate::report::chart::{Axis, Chart};
use crate::report::cost::{DPO_PFLOPS, PAPER_PFLOPS};
use crate::report::data::{QueryData, RunData};
use crate::report::stats::{expected_max, mean};
use crate::report::table::{Cell, Table, shown};

/// Best-of-k for every k that the first answers allow, and the runs by how many answers they drew.
pub(super) fn budget(context: &Context<'_>) -> Figure {
    let mut table = Table::new(["run", "series", "answers", "queries", "reward"]);
    let mut chart = reward_by_answers(context);
    for (colour, run) in context.runs.iter().enumerate() {
        let alone = !context.runs.iter().any(is_baseline);
        let most = run.each(|query| Some(query.first().len() as f64));
        let most = most.into_iter().fold(f64::INFINITY, f64::min);
        let most = if most.is_finite() { most as usize } else { 0 };
        let mut points = Vec::new();
        for k in sizes(most) {
            let values = run.each(|query| expected_max(query.first(), k));
            let Some(reward) = mean(&values) else { continue };
            let (name, kind) = (run.name.clone().into(), "best of k first answers".into());
            table.row([name, kind, k.into(), values.len().into(), reward.into()]);
            points.push(Point { x: k as f64, y: reward, ..Point::default() });
        }
        // Beside a run of best-of-N, which reaches further, those of others would only cover it.
        if alone || is_baseline(run) {
            let shape = Shape::Line { points, dash: Dash::Dotted };
            chart.series.push(Series { label: format!("{}: best of k", run.name), colour, shape });
        }
        let points = spent(run);
        for point in &points {
            let (name, kind) = (run.name.clone().into(), "best so far".into());
            table.row([name, kind, point.x.into(), run.queries.len().into(), point.y.into()]);
        }
        if !is_baseline(run) {
            let shape = Shape::Line { points, dash: dash(run) };
            let label = format!("{}: {}", run.name, run.config.search.mode);
            chart.series.push(Series { label, colour, shape });
        }
    }
    Figure {
        name: "reward-by-budget",
        title: "Reward by budget",
        caption: "Reward by how many answers were drawn for a query. Best of k (dotted) is the expected best of k \
                  of the first answers, drawn without replacement: an unbiased estimate for every k up to N. To see \
                  best-of-N at the budget of a search and beyond, give a run of best-of-N that drew as many."
            .to_owned(),
        chart: Some(chart),
        table,
    }
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
pub(super) fn depth(context: &Context<'_>) -> Option<Figure> {
    let of_tpo = |run: &&(usize, &RunData)| run.1.config.search.mode == Mode::Tpo;
    let numbered: Vec<(usize, &RunData)> = context.runs.iter().enumerate().collect();
    let runs: Vec<&(usize, &RunData)> = numbered.iter().filter(of_tpo).collect();
    let mut settings: Vec<String> = runs.iter().map(|(_, run)| setting(run)).collect();
    settings.sort_unstable();
    settings.dedup();
    if settings.len() < 2 {
        return None;
    }
    let mut table = Table::new(["run", "depth", "width", "answers", "reward", "low", "high"]);
    let mut chart = reward_by_answers(context);
    let mut labelled: Vec<String> = Vec::new();
    for (colour, run) in runs {
        for (depth, point) in spent(run).into_iter().enumerate() {
            let values = run.each(|query| query.best_by(depth));
            let Some(interval) = context.bootstrap.mean(&values) else { continue };
            table.row([
                run.name.clone().into(),
                depth.into(),
                u64::from(run.config.search.samples).into(),
                point.x.into(),
                interval.mean.into(),
                interval.low.into(),
                interval.high.into(),
            ]);
        }
        let points = spent(run);
        let last = points.len().saturating_sub(1);
        let name = setting(run);
        let new = !labelled.contains(&name);
        let named = points.into_iter().enumerate().map(|(place, point)| Point {
            label: (place == last && new).then(|| name.clone()),
            ..point
        });
        let shape = Shape::Line { points: named.collect(), dash: Dash::Solid };
        labelled.push(name);
        let label = format!("{}: N = {}", run.name, run.config.search.samples);
        chart.series.push(Series { label, colour: *colour, shape });
    }
    Some(Figure {
        name: "depth",
        title: "Depth",
        caption: "The best answer so far by how many answers were drawn. Along a line the search goes deeper, from \
                  line to line it is wider; where two lines meet at the same number of answers, depth makes up for \
                  width. Only runs of mode tpo are shown."
            .to_owned(),
        chart: Some(chart),
        table,
    })
}

fn reward_by_answers(context: &Context<'_>) -> Chart {
    let mut chart = context.chart();
    chart.x = Axis { whole: true, holds: vec![0.0], ..Axis::new("answers per query") };
    chart.y = Axis::new("reward");
    chart
}

/// The mean best by each iteration, over the mean number of answers until then.
fn spent(run: &RunData) -> Vec<Point> {
    let points = (0..=run.depth()).filter_map(|iteration| {
        let answers = run.each(|query| {
            Some(query.scores.iter().take(iteration + 1).map(Vec::len).sum::<usize>() as f64)
        });
        let y = mean(&run.each(|query| query.best_by(iteration)))?;
        Some(Point { x: mean(&answers)?, y, ..Point::default() })
    });
    points.collect()
}

pub(super) fn cost(context: &Context<'_>) -> Figure {
    let mut table = Table::new([
        "run",
        "requests per query",
        "answers per query",
        "prompt tokens per query",
        "of them cached",
        "completion tokens per query",
        "seconds of model calls per query",
        "PFLOPs per query",
        "% of DPO training",
        "queries for the price of DPO training",
    ]);
    let mut chart = context.chart();
    chart.x = Axis { log: true, ..Axis::new("PFLOPs (logarithmic)") };
    let mut add = |name: String, colour: usize, pflops: f64| {
        let point = Point { x: pflops, y: chart.y.categories.len() as f64, ..Point::default() };
        chart.y.categories.push(name);
        let shape = Shape::Dots(vec![point]);
        chart.series.push(Series { label: String::new(), colour, shape });
    };
    for (colour, run) in context.runs.iter().enumerate() {
        let each = |number: fn(&QueryData) -> f64| mean(&run.each(|query| Some(number(query))));
        let pflops = mean(
            &run.each(|query| Some(context.cost.pflops(query.policy_tokens, query.scored_tokens))),
        );
        if let Some(pflops) = pflops.filter(|pflops| *pflops > 0.0) {
            add(format!("{}: a query", textgrad_core::truncate(&run.name, 24)), colour, pflops);
        }
        table.row([
            run.name.clone().into(),
            each(|query| query.requests as f64).into(),
            each(|query| query.answers() as f64).into(),
            each(|query| query.tokens.prompt_tokens as f64).into(),
            each(|query| query.tokens.cached_tokens as f64).into(),
            each(|query| query.tokens.completion_tokens as f64).into(),
            seconds(run),
            pflops.into(),
            pflops.map(|pflops| 100.0 * pflops / DPO_PFLOPS).into(),
            pflops.filter(|p| *p > 0.0).map(|pflops| DPO_PFLOPS / pflops).into(),
        ]);
    }
    add("paper, D2-N5: a query".to_owned(), 7, PAPER_PFLOPS);
    add("paper: training by DPO".to_owned(), 7, DPO_PFLOPS);
    let (policy, reward) = (context.cost.policy_params, context.cost.reward_params);
    Figure {
        name: "cost",
        title: "Tokens, time and operations",
        caption: format!(
            "A PFLOP is 10^15 floating-point operations. They are 2 × parameters × tokens: for a policy of {} billion parameters, all prompt tokens (but those \
             that the server had cached) and written; for a reward model of {} billion, an estimate of what it read. \
             The paper (arXiv 2501.12895v1) gives {PAPER_PFLOPS} PFLOPs per query, counted at the longest texts that \
             its settings allow, and {} for training by DPO (direct preference optimization), so {:.4} % of it per query. Seconds are those that \
             calls of models took, one after the other, retries included.",
            policy / 1e9,
            reward / 1e9,
            shown(DPO_PFLOPS),
            100.0 * PAPER_PFLOPS / DPO_PFLOPS,
        ),
        chart: Some(chart),
        table,
    }
}

fn seconds(run: &RunData) -> Cell {
    let queries = run.queries.len() + run.failed;
    run.call_seconds.filter(|_| queries > 0).map(|seconds| seconds / queries as f64).into()
}
