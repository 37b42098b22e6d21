//! Figures of a report.

mod budget;
mod contrast;
mod curves;
mod overview;
mod spread;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::chart::{Chart, Dash, Point, Series, Shape};
use super::data::RunData;
use super::table::Table;
use super::{Bootstrap, Cost};
use crate::config::Mode;

/// A figure: what is drawn, the numbers behind it, and what they mean.
#[derive(Debug, Clone)]
pub struct Figure {
    /// A short name, for files.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// How it is to be read.
    pub caption: String,
    /// The drawing; none where numbers say it all.
    pub chart: Option<Chart>,
    /// The numbers.
    pub table: Table,
}

/// The data of figures.
pub(super) struct Context<'a> {
    pub(super) runs: &'a [RunData],
    pub(super) bootstrap: Bootstrap,
    pub(super) cost: Cost,
}

impl Context<'_> {
    fn simulated(&self) -> bool {
        self.runs.iter().any(|run| run.config.simulated)
    }

    fn chart(&self) -> Chart {
        Chart { simulated: self.simulated(), ..Chart::default() }
    }

    /// How many per cent an interval holds, in words.
    fn level(&self) -> String {
        format!("{:.0} %", self.bootstrap.level * 100.0)
    }
}

/// All figures that these runs have the data for.
pub(super) fn all(context: &Context<'_>) -> Vec<Figure> {
    let figures = [
        Some(overview::runs(context)),
        Some(curves::rewards(context)),
        Some(budget::budget(context)),
        contrast::contrast(context),
        budget::depth(context),
        curves::width(context),
        Some(spread::distribution(context)),
        spread::stability(context),
        overview::wins(context),
        Some(budget::cost(context)),
    ];
    figures.into_iter().flatten().filter(|figure| !figure.table.rows.is_empty()).collect()
}

/// Runs that differ in nothing but their seed and in what `besides` names, by JSON pointers into their settings;
/// each group with the place of its first run.
fn alike<'a>(
    runs: impl Iterator<Item = &'a RunData>,
    besides: &[&str],
) -> Vec<(usize, Vec<&'a RunData>)> {
    let mut groups: BTreeMap<String, (usize, Vec<&RunData>)> = BTreeMap::new();
    for (place, run) in runs.enumerate() {
        let mut config = serde_json::to_value(&run.config).unwrap_or_default();
        for gone in ["/search/seed", "/tpo", "/data/source"].iter().chain(besides) {
            if let Some(value) = config.pointer_mut(gone) {
                *value = Json::Null;
            }
        }
        groups.entry(config.to_string()).or_insert((place, Vec::new())).1.push(run);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|(place, _)| *place);
    groups
}

/// The setting of a run as it is named beside a point.
fn setting(run: &RunData) -> String {
    let search = &run.config.search;
    format!("D{}-N{}", search.depth(), search.samples)
}

/// A baseline is drawn with dashes.
fn dash(run: &RunData) -> Dash {
    match run.config.search.mode {
        Mode::Tpo => Dash::Solid,
        _ => Dash::Dashed,
    }
}
