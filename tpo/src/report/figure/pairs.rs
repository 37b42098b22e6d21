//! Figures of runs against each other, query by query.

use serde_json::Value as Json;

use super::{Context, Curve, Figure, Point, REFERENCE_COLOUR, Shape};
use crate::config::{Mode, TpoConfig};
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
    let mut add = |run: &str, against: &str, scores: &[(f64, f64)]| {
        let Some(paired) = Paired::of(scores, &context.bootstrap) else { return };
        let counts = [scores.len(), paired.wins, paired.ties, paired.losses].map(Json::from);
        let intervals = [paired.win_rate, paired.difference].map(Interval::cells);
        let names = [run, against].map(Json::from);
        table.row(names.into_iter().chain(counts).chain(intervals.into_iter().flatten()));
    };
    for (a, b) in pairs.filter(|(_, against)| all || *against == 0) {
        let (Some(run), Some(other)) = (runs.get(a), runs.get(b)) else { continue };
        add(&run.name, &other.name, &returned(run, other));
    }
    for run in runs {
        add(&run.name, "its first answer", &over_first(run));
    }

    let curves = context.curves();
    let against = curves.first().map(|first| format!("against {}", first.label));
    let against = against.unwrap_or_default();
    for (position, curve) in curves.iter().enumerate() {
        let first = curves.first().filter(|_| position > 0);
        let partners = curve.runs.iter().filter_map(|run| Some((*run, first?.partner(run)?)));
        let others: Vec<(f64, f64)> =
            partners.flat_map(|(run, other)| returned(run, other)).collect();
        let own: Vec<(f64, f64)> = curve.runs.iter().flat_map(|run| over_first(run)).collect();
        let kinds = [("against its first answer", 0, own), (against.as_str(), 1, others)];
        let values = kinds.into_iter().filter_map(|(kind, colour, scores)| {
            let paired = Paired::of(&scores, &context.bootstrap)?;
            Some((kind, colour, Point::along(paired.win_rate)))
        });
        chart.add_row(curve.label.clone(), values.collect());
    }
    Figure::new("win-rates", context, Some(chart), table)
}

/// The rewards of the answers that two runs returned; none where their rewards do not compare.
fn returned(run: &RunData, other: &RunData) -> Vec<(f64, f64)> {
    match run.config.reward == other.config.reward {
        true => run.paired(other, |query| query.best),
        false => Vec::new(),
    }
}

/// The rewards of the answers that a run returned, and of those that it drew first.
fn over_first(run: &RunData) -> Vec<(f64, f64)> {
    let scores = run.queries.iter().filter_map(|q| Some((q.best, *q.first().first()?)));
    scores.collect()
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
        let mut rivals: Vec<_> = rivals(context, run).collect();
        // Those with the seed of the run come first.
        rivals.sort_by_key(|(rival, _)| rival.config.search.seed != run.config.search.seed);
        for (rival, pairs) in rivals {
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

/// The most pairs of a search and a run of best-of-N that are drawn. Of more, each search has the nearest one.
const MAX_DRAWN: usize = 12;

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
    for run in context.runs {
        for (rival, pairs) in rivals(context, run) {
            let matching = matching(&pairs);
            for (budget, answers, difference) in contrasts(&pairs, &context.bootstrap) {
                let names = [&run.name, &rival.name, budget].map(Json::from);
                let counts = [answers.into(), pairs.len().into()];
                let cells = names.into_iter().chain(counts).chain(difference.cells());
                table.row(cells.chain([matching.into()]));
            }
        }
    }

    let curves = context.curves();
    let (baselines, searches): (Vec<&Curve<'_>>, Vec<&Curve<'_>>) =
        curves.iter().partition(|curve| curve.mode() == Mode::Bon);
    let crowded = baselines.len() * searches.len() > MAX_DRAWN;
    for search in searches {
        let mut rows: Vec<_> = baselines
            .iter()
            .map(|rival| (*rival, contrasts(&matched(search, rival), &context.bootstrap)))
            .filter(|(_, found)| !found.is_empty())
            .collect();
        if crowded {
            rows.sort_by_key(|(rival, found)| unlike(search, rival, found));
            rows.truncate(1);
        }
        for (rival, found) in rows {
            let values = found.into_iter().map(|(budget, _, difference)| {
                let colour = BUDGETS.iter().position(|(_, name)| *name == budget);
                (budget, colour.unwrap_or(BUDGETS.len()), Point::along(difference))
            });
            chart.add_row(format!("{} vs {}", search.label, rival.label), values.collect());
        }
    }
    Figure::new("best-of-n", context, Some(chart), table)
}

/// The queries that both curves have, with the runs of one seed beside each other.
fn matched<'a>(search: &Curve<'a>, rival: &Curve<'a>) -> Vec<(&'a QueryData, &'a QueryData)> {
    let runs = search.runs.iter().filter_map(|run| Some((*run, rival.partner(run)?)));
    let runs = runs.filter(|(run, other)| run.config.reward == other.config.reward);
    runs.flat_map(|(run, other)| run.shared(other)).collect()
}

/// How unlike a run of best-of-N is to a search: whether it has too few answers, another temperature, more answers.
fn unlike(
    search: &Curve<'_>,
    rival: &Curve<'_>,
    found: &[(&'static str, f64, Interval)],
) -> (bool, bool, Option<u32>) {
    let config = |curve: &Curve<'_>| curve.runs.first().map(|run| run.config.search.clone());
    let (own, other) = (config(search), config(rival));
    let temperature = |config: &Option<TpoConfig>| config.as_ref()?.sampling.temperature;
    let few = found.iter().all(|(budget, ..)| *budget != EQUAL);
    (few, temperature(&own) != temperature(&other), other.map(|config| config.samples))
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
