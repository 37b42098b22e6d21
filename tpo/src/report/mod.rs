//! Figures over runs: one HTML page for people, the same as SVG and CSV for papers.
//!
//! A [`Report`] reads the folders of one or more [runs](crate::run) line by line and keeps numbers only; what
//! the page shows of single queries is compressed as it is read. Everything here blocks: call it outside of
//! async code, or on a thread that may block.
//!
//! | figure | shows |
//! |---|---|
//! | `gain` | mean gain over the first answer, over best of N, and over best-of-N at an equal budget |
//! | `held-out` | gain by a reward model that had no part in the search |
//! | `slices` | gain by the values of a field of the data |
//! | `runs` | what was run, and mean rewards |
//! | `reward-by-iteration` | the best so far and what each iteration brought, with bootstrap bands; baselines dashed |
//! | `reward-by-budget` | reward by answers drawn, beside the expected best of k first answers |
//! | `best-of-n` | searches less best-of-k at equal and larger budgets, query by query |
//! | `depth`, `width` | reward along depth and along width, of runs that differ in them |
//! | `scores` | distribution of scores |
//! | `stability` | deviation of rewards over repeated generations |
//! | `win-rates` | runs against each other, query by query |
//! | `cost` | tokens, time, and PFLOPs beside training by DPO |
//!
//! A figure is omitted where the runs lack its data.

mod chart;
mod compare;
mod data;
mod figure;
mod headroom;
mod held_out;
mod page;
mod stats;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

pub use self::chart::Chart;
pub use self::compare::{AnswerPair, Comparison, Side};
pub use self::figure::{Cost, DPO_PFLOPS, Figure, PAPER_PFLOPS};
pub use self::headroom::{BestOf, Headroom, Noise, SampleScores};
pub use self::held_out::{HeldOut, HeldOutGrade};
pub use self::stats::Paired;
pub use self::stats::{Bootstrap, Interval, deviation, expected_max, mean, quantile};
pub use self::table::Table;
pub(crate) use self::table::exact;

pub(crate) use self::data::QueryData;
use self::data::RunData;
use self::page::Details;
use crate::error::Error;
use crate::run::RecordedRun;

/// Settings of a [`Report`].
#[derive(Debug, Clone)]
pub struct ReportConfig {
    /// How intervals are found.
    pub bootstrap: Bootstrap,
    /// The sizes of the models.
    pub cost: Cost,
    /// How much of the page single queries may take, in bytes: beyond it, texts of
    /// later queries are left out, first of answers that were neither chosen, rejected nor best. 9 million, so
    /// that the page stays below 10 MB.
    pub max_bytes: usize,
    /// The field of the data by whose values gains are shown too. None.
    pub slice: Option<String>,
    /// What the runs are together, such as the name of a study, for the title of the page. Default: their names.
    pub title: Option<String>,
}

impl Default for ReportConfig {
    fn default() -> Self {
        let (bootstrap, cost) = (Bootstrap::default(), Cost::default());
        Self { bootstrap, cost, max_bytes: 9_000_000, slice: None, title: None }
    }
}

/// Figures over runs.
///
/// # Examples
/// ```no_run
/// use tpo::report::{Report, ReportConfig};
/// use tpo::run::RecordedRun;
///
/// let runs = [RecordedRun::open("runs/tpo")?, RecordedRun::open("runs/bon")?];
/// let report = Report::read(&runs, &ReportConfig::default())?;
/// report.write("report".as_ref())?;
/// # Ok::<(), tpo::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Report {
    runs: Vec<RunData>,
    figures: Vec<Figure>,
    details: Vec<Details>,
    warnings: Vec<String>,
    title: Option<String>,
}

impl Report {
    /// The generator that a page names in its `<meta name="generator">`: what replaces a page knows its own by it.
    pub const GENERATOR: &str = "tpo report";

    /// Reads runs and makes the figures. Runs of the same folder name are distinguished by their paths.
    ///
    /// # Errors
    /// Those of [`RecordedRun::results`] and of its items, and [`Error::Config`] if no query has the field by which the
    /// report is to be sliced.
    pub fn read(runs: &[RecordedRun], config: &ReportConfig) -> Result<Self, Error> {
        let (mut read, mut details) = (Vec::new(), Vec::new());
        let mut left = config.max_bytes;
        let mut fields = BTreeSet::new();
        for (place, run) in runs.iter().enumerate() {
            // What a run leaves is for those after it.
            let mut detail = Details::new(left / (runs.len() - place));
            let mut slices = HashMap::new();
            let mut data = RunData::read(run, |record| {
                if let Some(field) = &config.slice {
                    let own = &record.fields;
                    slices.extend(own.get(field).map(|value| (record.index, exact(value))));
                    fields.extend(own.keys().cloned());
                }
                detail.add(record)
            })?;
            for query in &mut data.queries {
                query.slice = slices.remove(&query.index);
            }
            if runs.iter().filter(|other| other.name() == run.name()).count() > 1 {
                data.name = run.path().display().to_string();
            }
            detail.choose();
            left = left.saturating_sub(detail.bytes());
            read.push(data);
            details.push(detail);
        }
        if let Some(field) = config.slice.as_ref().filter(|field| !fields.contains(*field)) {
            let fields: Vec<String> = fields.into_iter().collect();
            let there = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
            let got = format!("{field:?}; beside the queries the data has {there}");
            return Err(Error::config("by", "a field of the data", got));
        }
        let context =
            figure::Context { runs: &read, bootstrap: config.bootstrap, cost: config.cost };
        let figures = figure::all(&context);
        let warnings = warnings(&read);
        Ok(Self { runs: read, figures, details, warnings, title: config.title.clone() })
    }

    /// Whether any of the runs is simulated: then the figures say nothing about real models.
    #[must_use]
    pub fn is_simulation(&self) -> bool {
        self.runs.iter().any(|run| run.config.simulated)
    }

    /// The figures.
    #[must_use]
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// What keeps the runs from being looked at side by side, if anything does.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The page: one file that needs nothing else and asks nobody for anything. Texts are shown, never run.
    ///
    /// # Errors
    /// None in practice: it is rendered in memory.
    pub fn to_html(&self) -> Result<String, Error> {
        page::render(self)
    }

    /// One row per query and run.
    #[must_use]
    pub fn queries(&self) -> Table {
        let mut table = Table::new(
            "run,query,first_answer,best_of_n,best,best_iteration,answers,requests,prompt_tokens,completion_tokens",
        );
        for run in &self.runs {
            for query in &run.queries {
                table.row([
                    run.name.as_str().into(),
                    query.index.into(),
                    query.first().first().copied().into(),
                    query.best_by(0).into(),
                    query.best.into(),
                    query.best_iteration.into(),
                    query.answers().into(),
                    query.requests.into(),
                    query.tokens.prompt_tokens.into(),
                    query.tokens.completion_tokens.into(),
                ]);
            }
        }
        table
    }

    /// Writes `report.html`, each figure as `NAME.svg` and `NAME.csv`, and `queries.csv` into a folder, which
    /// is made if it is not there. Files of these names are replaced.
    ///
    /// # Errors
    /// [`Error::Io`] if that cannot be done.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let made = std::fs::create_dir_all(folder);
        made.map_err(Error::io(folder, "cannot be created"))?;
        write(&folder.join("report.html"), &self.to_html()?)?;
        let simulated = self.is_simulation();
        for figure in &self.figures {
            if let Some(chart) = &figure.chart {
                let path = folder.join(format!("{}.svg", figure.name));
                write(&path, &chart.to_svg(figure.title))?;
            }
            let path = folder.join(format!("{}.csv", figure.name));
            write(&path, &figure.table.to_csv(simulated)?)?;
        }
        write(&folder.join("queries.csv"), &self.queries().to_csv(simulated)?)
    }

    /// Writes the page alone into a file.
    ///
    /// # Errors
    /// [`Error::Io`] if that cannot be done.
    pub fn write_html(&self, file: &Path) -> Result<(), Error> {
        if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(Error::io(folder, "cannot be created"))?;
        }
        write(file, &self.to_html()?)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::io(path, "cannot be written"))
}

/// What the runs are together, or the names of as many of them as a title holds.
fn shown_runs(report: &Report) -> String {
    if let Some(title) = &report.title {
        return title.clone();
    }
    const MAX_NAMES: usize = 4;
    let names: Vec<&str> = report.runs.iter().map(|run| run.name.as_str()).collect();
    match names.get(..MAX_NAMES) {
        Some(first) if names.len() > MAX_NAMES => {
            format!("{} and {} more", first.join(", "), names.len() - MAX_NAMES)
        }
        _ => names.join(", "),
    }
}

fn warnings(runs: &[RunData]) -> Vec<String> {
    let differ = |of: fn(&RunData) -> &str| {
        let mut all: Vec<&str> = runs.iter().map(of).collect();
        all.sort_unstable();
        all.dedup();
        (all.len() > 1).then(|| all.join(", "))
    };
    let mut warnings = Vec::new();
    if let Some(models) = differ(|run| &run.config.reward) {
        warnings.push(format!(
            "The runs were scored by different reward models ({models}): their rewards cannot be compared."
        ));
    }
    if runs.len() > 1 && runs.iter().any(|run| run.config.scores.relative) {
        warnings.push(
            "Rewards are relative: they hold only among the answers that one search found for a query, so that those \
             of several runs cannot be compared."
                .to_owned(),
        );
    }
    if differ(|run| &run.config.data.sha256).is_some() {
        warnings.push(
            "The runs are over different queries: means are not of the same, win rates are over those that two \
             runs share at the same place."
                .to_owned(),
        );
    }
    for run in runs {
        let (found, whole) = (run.queries.len() + run.failed, run.config.queries());
        if found < whole {
            let name = &run.name;
            warnings
                .push(format!("{name} was interrupted: {found} of its {whole} queries are done."));
        }
        if run.failed > 0 {
            let (name, failed) = (&run.name, run.failed);
            warnings.push(format!("{name}: {failed} failed queries are not in the figures."));
        }
    }
    warnings
}
