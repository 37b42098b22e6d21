//! Figures of a report.

mod budget;
mod cost;
mod curves;
mod held_out;
mod pairs;
mod slices;
mod spread;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value as Json;
use textgrad_ops::util::json;

pub use self::cost::{Cost, DPO_PFLOPS, PAPER_PFLOPS};
use super::chart::{Axis, Chart, Dash, Point, REFERENCE as REFERENCE_COLOUR, Shape};
use super::data::{QueryData, RunData};
use super::stats::{Bootstrap, mean};
use super::table::{Table, exact, shown};
use crate::config::{Mode, TpoConfig};
use crate::prompts::default_pack;
use crate::run::pack_digest;

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

/// Titles and captions by the name of the figure. A test reads the file too.
static WORDS: LazyLock<BTreeMap<String, Words>> =
    LazyLock::new(|| toml::from_str(include_str!("figures.toml")).unwrap_or_default());

#[derive(Deserialize)]
struct Words {
    title: String,
    caption: String,
}

impl Figure {
    fn new(name: &'static str, context: &Context<'_>, chart: Option<Chart>, table: Table) -> Self {
        let words = WORDS.get(name);
        let (title, caption) =
            words.map_or((name, ""), |words| (words.title.as_str(), words.caption.as_str()));
        let values = [
            ("{level}", format!("{:.0} %", context.bootstrap.level * 100.0)),
            ("{policy}", (context.cost.policy_params / 1e9).to_string()),
            ("{reward}", (context.cost.reward_params / 1e9).to_string()),
            ("{paper}", PAPER_PFLOPS.to_string()),
            ("{training}", shown(DPO_PFLOPS)),
            ("{share}", format!("{:.4}", 100.0 * PAPER_PFLOPS / DPO_PFLOPS)),
        ];
        let with = |text: String, (name, value): &(&str, String)| text.replace(name, value);
        let caption = values.iter().fold(caption.to_owned(), with);
        Self { name, title, caption, chart: chart.map(Chart::distinguish), table }
    }
}

/// Of more runs than this, those that differ in their seed alone are drawn as one curve.
const MAX_CURVES: usize = 6;

/// The most curves that are drawn with bands and in detail: more would cover each other.
const DETAILED: usize = 3;

/// A run that is drawn, or runs that differ in their seed alone.
struct Curve<'a> {
    label: String,
    colour: usize,
    runs: Vec<&'a RunData>,
}

impl<'a> Curve<'a> {
    fn depth(&self) -> usize {
        self.runs.iter().map(|run| run.depth()).max().unwrap_or_default()
    }

    /// A number of each query of each run that has it.
    fn each(&self, number: impl Fn(&QueryData) -> Option<f64>) -> Vec<f64> {
        self.runs.iter().flat_map(|run| run.each(&number)).collect()
    }

    /// The run to pair with a run of another curve: the one with its seed, or else the first.
    fn partner(&self, of: &RunData) -> Option<&'a RunData> {
        let seed = |run: &&&RunData| run.config.search.seed == of.config.search.seed;
        self.runs.iter().find(seed).or(self.runs.first()).copied()
    }

    fn mode(&self) -> Mode {
        self.runs.first().map(|run| run.config.search.mode).unwrap_or_default()
    }

    /// Its label with its mode, where that is not its beginning.
    fn label_with_mode(&self) -> String {
        match self.label.starts_with(self.mode().as_str()) {
            true => self.label.clone(),
            false => format!("{}: {}", self.label, self.mode()),
        }
    }

    /// A baseline is drawn with dashes.
    fn dash(&self) -> Dash {
        match self.mode() {
            Mode::Tpo => Dash::Solid,
            _ => Dash::Dashed,
        }
    }
}

/// The data of figures.
pub(super) struct Context<'a> {
    pub(super) runs: &'a [RunData],
    pub(super) bootstrap: Bootstrap,
    pub(super) cost: Cost,
}

impl<'a> Context<'a> {
    /// What is drawn of the runs. Tables have each run.
    fn curves(&self) -> Vec<Curve<'a>> {
        let groups = match self.runs.len() {
            ..=MAX_CURVES => self.runs.iter().map(|run| vec![run]).enumerate().collect(),
            _ => alike(self.runs.iter(), &[]),
        };
        let short = |runs: &[&RunData]| runs.first().map(|run| named_by_setting(run));
        let shorts: Vec<Option<String>> = groups.iter().map(|(_, runs)| short(runs)).collect();
        let curve = |(colour, (_, runs)): (usize, (usize, Vec<&'a RunData>))| {
            let first = runs.first();
            let own = shorts.get(colour).cloned().flatten();
            // Curves that differ in other settings too are named by their folders.
            let own = own
                .filter(|own| shorts.iter().flatten().filter(|short| *short == own).count() == 1);
            let label = match (runs.len(), first) {
                (_, None) => String::new(),
                (1, Some(run)) => run.name.clone(),
                (seeds, Some(run)) => {
                    format!("{} ({seeds} seeds)", own.unwrap_or_else(|| without_seed(run)))
                }
            };
            Curve { label, colour, runs }
        };
        groups.into_iter().enumerate().map(curve).collect()
    }

    fn chart(&self, x: Axis, y: Axis) -> Chart {
        let simulated = self.runs.iter().any(|run| run.config.simulated);
        Chart { x, y, simulated, ..Chart::default() }
    }
}

/// All figures that these runs have the data for.
pub(super) fn all(context: &Context<'_>) -> Vec<Figure> {
    let figures = [
        pairs::gain(context),
        held_out::held_out(context),
        slices::slices(context),
        runs(context),
        curves::rewards(context),
        budget::budget(context),
        budget::tokens(context),
        pairs::contrast(context),
        budget::depth(context),
        curves::width(context),
        spread::distribution(context),
        spread::stability(context),
        pairs::wins(context),
        cost::cost(context),
    ];
    figures.into_iter().filter(|figure| !figure.table.rows.is_empty()).collect()
}

/// What was run, and mean rewards.
fn runs(context: &Context<'_>) -> Figure {
    let mut table = Table::new(
        "run,mode,setting,seed,other settings,policy,reward model,queries,failed,first answer,best of N,\
         best,best: low,best: high,gain over best of N",
    );
    for run in context.runs {
        let best = context.bootstrap.mean(&run.each(|query| Some(query.best)));
        let best_of_n = mean(&run.each(|query| query.best_by(0)));
        table.row([
            run.name.as_str().into(),
            run.config.search.mode.as_str().into(),
            setting(run).into(),
            run.config.search.seed.into(),
            others(run).into(),
            run.config.policy.as_str().into(),
            run.config.reward.as_str().into(),
            run.queries.len().into(),
            run.failed.into(),
            mean(&run.each(|query| query.first().first().copied())).into(),
            best_of_n.into(),
            best.map(|best| best.mean).into(),
            best.map(|best| best.low).into(),
            best.map(|best| best.high).into(),
            best.zip(best_of_n).map(|(best, best_of_n)| best.mean - best_of_n).into(),
        ]);
    }
    Figure::new("runs", context, None, table)
}

/// The settings of a search, besides its mode, size and seed, that are not the default.
fn others(run: &RunData) -> Option<String> {
    const NAMED: [&str; 6] =
        ["mode", "iterations", "samples", "seed", "sampling.n", "early_stop.budget"];
    let usual = serde_json::to_value(TpoConfig::default()).ok()?;
    let ours = serde_json::to_value(&run.config.search).ok()?;
    let differ = json::differences(&usual, &ours);
    let differ = differ.iter().filter(|setting| !NAMED.contains(&setting.path.as_str()));
    let shown = differ.map(|setting| format!("{} {}", setting.path, exact(setting.now)));
    let mut shown: Vec<String> = shown.collect();
    // A pack is named by the beginning of its digest, which `config.json` has.
    if run.config.prompts != pack_digest(&default_pack()) {
        shown.push(format!("prompts {}", run.config.prompts.get(..8).unwrap_or_default()));
    }
    (!shown.is_empty()).then(|| shown.join(", "))
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

/// The mode and the setting of a run, as `tpo D2-N5`.
fn named_by_setting(run: &RunData) -> String {
    format!("{} {}", run.config.search.mode, setting(run))
}

/// The name of a run without its seed at the end, where it has that.
fn without_seed(run: &RunData) -> String {
    let end = format!("-s{}", run.config.search.seed);
    run.name.strip_suffix(&end).unwrap_or(&run.name).to_owned()
}

/// The setting of a run as it is named beside a point.
fn setting(run: &RunData) -> String {
    let search = &run.config.search;
    match search.early_stop.budget {
        budget if budget.is_unbounded() => format!("D{}-N{}", search.depth(), search.samples),
        budget => format!("{budget}, N{}", search.samples),
    }
}
