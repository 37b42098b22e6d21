//! The table at the end.

use serde::Serialize;

use super::grid::GridCell;
use crate::config::Mode;
use crate::error::Error;
use crate::report::{Bootstrap, Cell, Interval, Table, deviation, mean};
use crate::run::{ResultRecord, Status};
use crate::search::UsageRecord;

/// The numbers of one cell, gathered from its results in their order.
#[derive(Debug, Clone, Default)]
pub struct CellFigures {
    /// The best score of each query; none where it failed.
    best: Vec<Option<f64>>,
    /// How far the scores of the newest answers of each query lie apart.
    spread: Vec<f64>,
    /// Their mean.
    newest: Vec<f64>,
    answers: usize,
    usage: UsageRecord,
}

impl CellFigures {
    /// Takes in what came of the next query.
    pub fn add(&mut self, record: &ResultRecord) {
        let best = record.best.as_ref().filter(|_| record.status == Status::Ok);
        self.best.push(best.map(|best| best.score));
        if best.is_none() {
            return;
        }
        let candidates = &record.trajectory.candidates;
        let newest = candidates.iter().map(|candidate| candidate.iteration).max();
        let newest = candidates.iter().filter(|candidate| Some(candidate.iteration) == newest);
        let newest: Vec<f64> = newest.map(|candidate| candidate.score).collect();
        self.spread.extend(deviation(&newest));
        self.newest.extend(mean(&newest));
        self.answers += candidates.len();
        self.usage.add(&record.trajectory.usage);
    }

    fn succeeded(&self) -> usize {
        self.best.iter().flatten().count()
    }
}

/// A row of the table: the cells that differ in nothing but the seed. Figures per query are means over all
/// searches that came to their end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyRow {
    /// What was done with answers.
    pub mode: Mode,
    /// D.
    pub iterations: u32,
    /// N.
    pub samples: u32,
    /// The temperature.
    pub temperature: f64,
    /// How many seeds.
    pub seeds: usize,
    /// Searches that came to their end, over all seeds.
    pub searches: usize,
    /// Searches that failed.
    pub failed: usize,
    /// Answers drawn and kept per query.
    pub answers: f64,
    /// The mean of the best scores, with its interval over seeds and queries; none if all failed.
    pub reward: Option<Interval>,
    /// The mean score of the newest answers of a search: those of its last iteration, better or not.
    pub newest: Option<f64>,
    /// The mean standard deviation of the scores of the newest answers of a search.
    pub spread: Option<f64>,
    /// The mean standard deviation of a query's best score over the seeds; none for a single seed.
    pub seed_spread: Option<f64>,
    /// Requests to language models per query, whether they were sent or answered from another cell.
    pub calls: f64,
    /// Tokens read per query.
    pub tokens_read: f64,
    /// Tokens written per query.
    pub tokens_written: f64,
    /// Answers scored per query.
    pub scored: f64,
}

/// The table of a study.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudyTable {
    /// Whether any part of it is simulated: then the figures say nothing about real models.
    pub simulated: bool,
    /// The rows, in the order of the grid.
    pub rows: Vec<StudyRow>,
}

impl StudyTable {
    /// The table of these cells.
    #[must_use]
    pub fn new(simulated: bool, cells: &[(GridCell, CellFigures)], bootstrap: &Bootstrap) -> Self {
        let alike = |a: &GridCell, b: &GridCell| GridCell { seed: b.seed, ..*a } == *b;
        let mut rows = Vec::new();
        for (place, (cell, _)) in cells.iter().enumerate() {
            if cells.iter().take(place).any(|(earlier, _)| alike(earlier, cell)) {
                continue;
            }
            let same: Vec<&CellFigures> = cells
                .iter()
                .filter(|(other, _)| alike(other, cell))
                .map(|(_, figures)| figures)
                .collect();
            rows.push(row(cell, &same, bootstrap));
        }
        // Beside one another what is compared: by temperature and width, then mode, then depth.
        let mode = |mode: Mode| Mode::ALL.iter().position(|known| *known == mode);
        rows.sort_by(|a: &StudyRow, b: &StudyRow| {
            let key = |row: &StudyRow| (row.samples, mode(row.mode), row.iterations);
            a.temperature.total_cmp(&b.temperature).then_with(|| key(a).cmp(&key(b)))
        });
        Self { simulated, rows }
    }

    /// The row of these settings.
    #[must_use]
    pub fn row(&self, mode: Mode, iterations: u32, samples: u32) -> Option<&StudyRow> {
        self.rows
            .iter()
            .find(|row| (row.mode, row.iterations, row.samples) == (mode, iterations, samples))
    }

    /// As CSV.
    ///
    /// # Errors
    /// None in practice; see [`Table::to_csv`].
    pub fn to_csv(&self) -> Result<String, Error> {
        self.table().to_csv(self.simulated)
    }

    /// For a person, in columns.
    #[must_use]
    pub fn shown(&self) -> String {
        let table = self.table();
        let mut lines = vec![table.columns.iter().map(ToString::to_string).collect::<Vec<_>>()];
        lines.extend(table.rows.iter().map(|row| row.iter().map(rounded).collect()));
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
        let mut text = String::new();
        for line in &lines {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    fn table(&self) -> Table {
        let columns = vec![
            "mode",
            "D",
            "N",
            "temperature",
            "seeds",
            "searches",
            "failed",
            "answers",
            "reward",
            "low",
            "high",
            "newest",
            "spread",
            "seed_spread",
            "calls",
            "read",
            "written",
            "scored",
        ];
        let rows = self.rows.iter().map(|row| {
            let end = |end: fn(&Interval) -> f64| Cell::from(row.reward.as_ref().map(end));
            vec![
                row.mode.as_str().into(),
                u64::from(row.iterations).into(),
                u64::from(row.samples).into(),
                row.temperature.into(),
                row.seeds.into(),
                row.searches.into(),
                row.failed.into(),
                row.answers.into(),
                end(|reward| reward.mean),
                end(|reward| reward.low),
                end(|reward| reward.high),
                row.newest.into(),
                row.spread.into(),
                row.seed_spread.into(),
                row.calls.into(),
                row.tokens_read.into(),
                row.tokens_written.into(),
                row.scored.into(),
            ]
        });
        Table { columns, rows: rows.collect() }
    }
}

/// A number with three digits behind the point, if it has any.
fn rounded(cell: &Cell) -> String {
    match cell {
        Cell::Number(number) if number.fract() == 0.0 => format!("{number}"),
        Cell::Number(number) if number.abs() >= 100.0 => format!("{number:.0}"),
        Cell::Number(number) => format!("{number:.3}").trim_end_matches('0').to_owned(),
        Cell::None => "-".to_owned(),
        other => other.exact(),
    }
}

fn row(cell: &GridCell, seeds: &[&CellFigures], bootstrap: &Bootstrap) -> StudyRow {
    let searches: usize = seeds.iter().map(|figures| figures.succeeded()).sum();
    let all: usize = seeds.iter().map(|figures| figures.best.len()).sum();
    let mut usage = UsageRecord::default();
    for figures in seeds {
        usage.add(&figures.usage);
    }
    let each = |sum: u64| if searches == 0 { 0.0 } else { sum as f64 / searches as f64 };
    let best: Vec<&[Option<f64>]> = seeds.iter().map(|figures| &figures.best[..]).collect();
    let queries = best.iter().map(|best| best.len()).max().unwrap_or(0);
    let over_seeds: Vec<f64> = (0..queries)
        .filter_map(|query| {
            let scores = best.iter().filter_map(|best| *best.get(query)?);
            deviation(&scores.collect::<Vec<f64>>())
        })
        .collect();
    let newest: Vec<f64> = seeds.iter().flat_map(|figures| &figures.newest).copied().collect();
    let spread: Vec<f64> = seeds.iter().flat_map(|figures| &figures.spread).copied().collect();
    StudyRow {
        mode: cell.mode,
        iterations: cell.iterations,
        samples: cell.samples,
        temperature: cell.temperature,
        seeds: seeds.len(),
        searches,
        failed: all - searches,
        answers: each(seeds.iter().map(|figures| figures.answers as u64).sum()),
        reward: bootstrap.crossed(&best),
        newest: mean(&newest),
        spread: mean(&spread),
        seed_spread: mean(&over_seeds),
        calls: each(usage.requests),
        tokens_read: each(usage.tokens.prompt_tokens),
        tokens_written: each(usage.tokens.completion_tokens),
        scored: each(usage.scored),
    }
}
