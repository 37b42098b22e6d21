//! Figure of search against best-of-N, at equal and larger budgets.

use super::{Context, Figure, Point, Series, Shape};
use crate::config::Mode;
use crate::report::chart::Axis;
use crate::report::data::{QueryData, RunData};
use crate::report::stats::{Bootstrap, Interval, expected_max, mean};
use crate::report::table::{Cell, Table};

/// How many times the answers of the search best-of-N is given.
const BUDGETS: [(usize, &str); 4] = [(1, "equal"), (2, "2 times"), (4, "4 times"), (8, "8 times")];

type Pairs<'a> = [(&'a QueryData, &'a QueryData)];

/// Every search against every run of best-of-N that drew enough answers.
pub(super) fn contrast(context: &Context<'_>) -> Option<Figure> {
    let mut table = Table::new([
        "run",
        "against",
        "budget",
        "answers",
        "queries",
        "difference",
        "low",
        "high",
        "answers to match",
    ]);
    let mut chart = context.chart();
    chart.x = Axis { holds: vec![0.0], ..Axis::new("reward of the search less that of best of k") };
    chart.series.push(Series { label: String::new(), colour: 7, shape: Shape::Upright(0.0) });
    let is_bon = |run: &RunData| run.config.search.mode == Mode::Bon;
    for (colour, run) in context.runs.iter().enumerate().filter(|(_, run)| !is_bon(run)) {
        let rivals = context.runs.iter().filter(|other| is_bon(other));
        for rival in rivals.filter(|rival| rival.config.reward == run.config.reward) {
            let pairs: Vec<(&QueryData, &QueryData)> = run.shared(rival).collect();
            let matching: Cell = matching(&pairs).map_or(Cell::None, Cell::from);
            for (budget, answers, interval) in contrasts(&pairs, &context.bootstrap) {
                let short = |name: &str| textgrad_core::truncate(name, 14);
                let (name, other) = (short(&run.name), short(&rival.name));
                let y = chart.y.categories.len() as f64;
                chart.y.categories.push(format!("{name} vs {other}, k = {answers:.0} ({budget})"));
                let ends = Some((interval.low, interval.high));
                let point = Point { x: interval.mean, y, ends, ..Point::default() };
                let shape = Shape::Dots(vec![point]);
                chart.series.push(Series { label: String::new(), colour, shape });
                table.row([
                    run.name.clone().into(),
                    rival.name.clone().into(),
                    budget.into(),
                    answers.into(),
                    pairs.len().into(),
                    interval.mean.into(),
                    interval.low.into(),
                    interval.high.into(),
                    matching.clone(),
                ]);
            }
        }
    }
    (!table.rows.is_empty()).then(|| Figure {
        name: "best-of-n",
        title: "Search against best of N",
        caption: format!(
            "The reward of the answer that a search returned, less the expected best of k answers of a run of \
             best-of-N, query by query, with paired {} bootstrap intervals: right of the line the search is ahead. k \
             is as many answers as the search drew for the query (equal), multiples of it, and all that the other run \
             drew. Answers to match: the least k whose mean reaches that of the search; none if all are too few.",
            context.level()
        ),
        chart: Some(chart),
        table,
    })
}

/// For each budget that the rival has for every query: its name, the mean of k, and the mean difference.
fn contrasts(pairs: &Pairs<'_>, bootstrap: &Bootstrap) -> Vec<(&'static str, f64, Interval)> {
    let mut found = Vec::new();
    let mut add = |name: &'static str, answers: &dyn Fn(&QueryData, &QueryData) -> usize| {
        let rows: Option<Vec<(f64, f64)>> = pairs
            .iter()
            .map(|(own, rival)| {
                let k = answers(own, rival);
                Some((k as f64, own.best - expected_max(rival.first(), k)?))
            })
            .collect();
        let (answers, differences): (Vec<f64>, Vec<f64>) =
            rows.unwrap_or_default().into_iter().unzip();
        let new = |answers: &f64| found.iter().all(|(_, other, _)| other != answers);
        if let Some((answers, interval)) =
            mean(&answers).filter(new).zip(bootstrap.mean(&differences))
        {
            found.push((name, answers, interval));
        }
    };
    for (times, name) in BUDGETS {
        add(name, &|own, _| times * own.answers());
    }
    add("all", &|_, rival| rival.first().len());
    found
}

/// The least k for which the mean expected best of k reaches the mean of the search. It grows with k, so it can be
/// found by halves.
fn matching(pairs: &Pairs<'_>) -> Option<usize> {
    let most = pairs.iter().map(|(_, rival)| rival.first().len()).min()?;
    let reached = |k: usize| {
        let ahead = pairs
            .iter()
            .filter_map(|(own, rival)| Some(expected_max(rival.first(), k)? - own.best));
        ahead.sum::<f64>() >= 0.0
    };
    let (mut low, mut high) = (1, most + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match reached(middle) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    (low <= most).then_some(low)
}
