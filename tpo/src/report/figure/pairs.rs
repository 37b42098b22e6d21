//! Figures of runs against each other, query by query.

use serde_json::Value as Json;
use textgrad_core::truncate;

use super::{Context, Figure, Point, REFERENCE_COLOUR, Shape};
use crate::config::Mode;
use crate::report::chart::Axis;
use crate::report::data::{QueryData, RunData};
use crate::report::stats::{Bootstrap, Interval, Paired, expected_max, mean};
use crate::report::table::Table;

/// With more pairs than this, only those with the first run are shown.
const MAX_RUNS: usize = 28;

pub(super) fn wins(context: &Context<'_>) -> Figure {
    let runs = context.runs;
    let pairs = (0..runs.len()).flat_map(|a| (a + 1..runs.len()).map(move |b| (b, a)));
    let all = runs.len() * runs.len().saturating_sub(1) / 2 <= MAX_RUNS;
    let mut table = Table::new(
        "run,against,queries,wins,ties,losses,win rate,low,high,difference,difference: low,difference: high",
    );
    let x = Axis { holds: vec![0.0, 1.0], ..Axis::new("win rate (a tie counts half)") };
    let mut chart = context.chart(x, Axis::default());
    chart.add(String::new(), REFERENCE_COLOUR, Shape::Upright(0.5));
    let mut add = |colour: usize, run: &str, against: &str, scores: &[(f64, f64)]| {
        let Some(paired) = Paired::of(scores, &context.bootstrap) else { return };
        let name = format!("{} vs {}", truncate(run, 32), truncate(against, 28));
        chart.add_row(name, colour, Point::along(paired.win_rate));
        let counts = [scores.len(), paired.wins, paired.ties, paired.losses].map(Json::from);
        let intervals = [paired.win_rate, paired.difference].map(Interval::cells);
        let names = [run, against].map(Json::from);
        table.row(names.into_iter().chain(counts).chain(intervals.into_iter().flatten()));
    };
    for (a, b) in pairs.filter(|(_, against)| all || *against == 0) {
        let (Some(run), Some(other)) = (runs.get(a), runs.get(b)) else { continue };
        if run.config.reward == other.config.reward {
            add(a, &run.name, &other.name, &run.paired(other, |query| query.best));
        }
    }
    for (colour, run) in runs.iter().enumerate() {
        let scores = run.queries.iter().filter_map(|q| Some((q.best, *q.first().first()?)));
        add(colour, &run.name, "its first answer", &scores.collect::<Vec<_>>());
    }
    Figure::new("win-rates", context, Some(chart), table)
}

/// How far each run improves: over its first answer, over the best of its first answers, and over a run of
/// best-of-N that drew as many answers.
pub(super) fn gain(context: &Context<'_>) -> Figure {
    let mut table = Table::new("run,mode,over,queries,gain,low,high");
    for run in context.runs {
        let mut add = |over: String, queries: usize, gain: Option<Interval>| {
            let Some(gain) = gain else { return };
            let names = [&run.name, run.config.search.mode.as_str(), &over].map(Json::from);
            table.row(names.into_iter().chain([queries.into()]).chain(gain.cells()));
        };
        let mut own = |over: String, than: &dyn Fn(&QueryData) -> Option<f64>| {
            let gains = run.each(|query| Some(query.best - than(query)?));
            add(over, gains.len(), context.bootstrap.mean(&gains));
        };
        own("first answer".to_owned(), &|query| query.first().first().copied());
        if run.depth() > 0 {
            let samples = run.config.search.samples;
            own(format!("best of its first {samples} answers"), &|query| query.best_by(0));
        }
        for (rival, pairs) in rivals(context, run) {
            let contrasts = contrasts(&pairs, &context.bootstrap);
            for (_, answers, gain) in contrasts.into_iter().filter(|found| found.0 == EQUAL) {
                let over = format!("best of {answers:.0} answers of {}", rival.name);
                add(over, pairs.len(), Some(gain));
            }
        }
    }
    Figure::new("gain", context, None, table)
}

/// How many times the answers of the search best-of-N is given.
const BUDGETS: [(usize, &str); 4] = [(1, EQUAL), (2, "2 times"), (4, "4 times"), (8, "8 times")];

/// The name of the budget of the search itself.
const EQUAL: &str = "equal";

type Pairs<'a> = [(&'a QueryData, &'a QueryData)];

/// The runs of best-of-N to compare a search with, with the queries that both have; none for best-of-N itself.
fn rivals<'a>(
    context: &Context<'a>,
    run: &'a RunData,
) -> impl Iterator<Item = (&'a RunData, Vec<(&'a QueryData, &'a QueryData)>)> {
    let is_bon = |run: &RunData| run.config.search.mode == Mode::Bon;
    let rivals = context.runs.iter().filter(move |other| !is_bon(run) && is_bon(other));
    let rivals = rivals.filter(|rival| rival.config.reward == run.config.reward);
    rivals.map(|rival| (rival, run.shared(rival).collect()))
}

/// Every search against every run of best-of-N that drew enough answers.
pub(super) fn contrast(context: &Context<'_>) -> Figure {
    let mut table =
        Table::new("run,against,budget,answers,queries,difference,low,high,answers to match");
    let x = Axis { holds: vec![0.0], ..Axis::new("mean reward difference: search - best of k") };
    let mut chart = context.chart(x, Axis::default());
    chart.add(String::new(), REFERENCE_COLOUR, Shape::Upright(0.0));
    for (colour, run) in context.runs.iter().enumerate() {
        for (rival, pairs) in rivals(context, run) {
            let matching = matching(&pairs);
            for (budget, answers, difference) in contrasts(&pairs, &context.bootstrap) {
                let (name, other) = (truncate(&run.name, 24), truncate(&rival.name, 24));
                let name = format!("{name} vs {other}, k = {answers:.0} ({budget})");
                chart.add_row(name, colour, Point::along(difference));
                let names = [&run.name, &rival.name, budget].map(Json::from);
                let counts = [answers.into(), pairs.len().into()];
                let cells = names.into_iter().chain(counts).chain(difference.cells());
                table.row(cells.chain([matching.into()]));
            }
        }
    }
    Figure::new("best-of-n", context, Some(chart), table)
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
