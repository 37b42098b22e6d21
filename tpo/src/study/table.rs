//! The table of a study as CSV and text.

use super::figures::{StudyRow, StudyTable};
use crate::error::Error;
use crate::report::{Cell, Table};

impl StudyTable {
    /// As CSV.
    ///
    /// # Errors
    /// None in practice; see [`Table::to_csv`].
    pub fn to_csv(&self) -> Result<String, Error> {
        table(self.rows.iter(), |_| true).to_csv(self.simulated)
    }

    /// For a person, in columns: the settings with their figures, then the differences.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut shown = in_columns(&table(self.rows.iter(), |column| !is_paired(column)));
        let paired = || self.rows.iter().filter(|row| row.ahead.is_some());
        if let Some(against) = self.against.filter(|_| paired().next().is_some()) {
            shown.push_str(&format!("\nreward ahead of {against}, paired by query and seed\n"));
            let setting = ["mode", "D", "N", "temperature"];
            let of = |column: &str| is_paired(column) || setting.contains(&column);
            shown.push_str(&in_columns(&table(paired(), of)));
        }
        shown
    }
}

/// What a column shows of a row.
type Shown = fn(&StudyRow) -> Cell;

/// The columns.
const COLUMNS: [(&str, Shown); 21] = [
    ("mode", |row| row.mode.as_str().into()),
    ("D", |row| u64::from(row.iterations).into()),
    ("N", |row| u64::from(row.samples).into()),
    ("temperature", |row| row.temperature.into()),
    ("seeds", |row| row.seeds.into()),
    ("searches", |row| row.searches.into()),
    ("failed", |row| row.failed.into()),
    ("answers", |row| row.answers.into()),
    ("reward", |row| row.reward.as_ref().map(|reward| reward.mean).into()),
    ("low", |row| row.reward.as_ref().map(|reward| reward.low).into()),
    ("high", |row| row.reward.as_ref().map(|reward| reward.high).into()),
    ("newest", |row| row.newest.into()),
    ("spread", |row| row.spread.into()),
    ("seed_spread", |row| row.seed_spread.into()),
    ("calls", |row| row.calls.into()),
    ("read", |row| row.tokens_read.into()),
    ("written", |row| row.tokens_written.into()),
    ("scored", |row| row.scored.into()),
    ("ahead", |row| row.ahead.as_ref().map(|ahead| ahead.mean).into()),
    ("ahead_low", |row| row.ahead.as_ref().map(|ahead| ahead.low).into()),
    ("ahead_high", |row| row.ahead.as_ref().map(|ahead| ahead.high).into()),
];

/// Whether a column is of the difference to another mode.
fn is_paired(column: &str) -> bool {
    column.starts_with("ahead")
}

/// Rows with the columns that are wanted.
fn table<'a>(rows: impl Iterator<Item = &'a StudyRow>, wanted: impl Fn(&str) -> bool) -> Table {
    let wanted: Vec<_> = COLUMNS.iter().filter(|(name, _)| wanted(name)).collect();
    let cells = |row: &StudyRow| wanted.iter().map(|(_, of)| of(row)).collect();
    Table {
        rows: rows.map(cells).collect(),
        columns: wanted.iter().map(|(name, _)| *name).collect(),
    }
}

/// A table as text, the first column to the left.
fn in_columns(table: &Table) -> String {
    let mut lines = vec![table.columns.iter().map(ToString::to_string).collect::<Vec<_>>()];
    lines.extend(table.rows.iter().map(|row| row.iter().map(rounded).collect()));
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
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
