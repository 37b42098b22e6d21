//! Columns of the table of a study.

use serde_json::Value as Json;

use super::figures::StudyRow;
use crate::report::{Table, exact};

/// What a column shows of a row.
pub(super) type Shown = fn(&StudyRow) -> Json;

/// The columns.
pub(super) const COLUMNS: [(&str, Shown); 32] = [
    ("mode", |row| row.mode.as_str().into()),
    ("D", |row| if row.left.is_some() { Json::Null } else { row.iterations.into() }),
    ("made", |row| row.made.into()),
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
    ("prompt_tokens", |row| row.prompt_tokens.into()),
    ("completion_tokens", |row| row.completion_tokens.into()),
    ("scored", |row| row.scored.into()),
    ("left", |row| row.left.into()),
    ("ahead", |row| row.ahead.as_ref().map(|ahead| ahead.mean).into()),
    ("ahead_low", |row| row.ahead.as_ref().map(|ahead| ahead.low).into()),
    ("ahead_high", |row| row.ahead.as_ref().map(|ahead| ahead.high).into()),
    ("ahead_of_bon", |row| row.ahead_of_bon.map(|ahead| ahead.mean).into()),
    ("ahead_of_bon_low", |row| row.ahead_of_bon.map(|ahead| ahead.low).into()),
    ("ahead_of_bon_high", |row| row.ahead_of_bon.map(|ahead| ahead.high).into()),
    ("held_out", |row| row.held_out.map(|grade| grade.mean).into()),
    ("held_out_low", |row| row.held_out.map(|grade| grade.low).into()),
    ("held_out_high", |row| row.held_out.map(|grade| grade.high).into()),
    ("held_out_ahead", |row| row.held_out_ahead.map(|ahead| ahead.mean).into()),
    ("held_out_ahead_low", |row| row.held_out_ahead.map(|ahead| ahead.low).into()),
    ("held_out_ahead_high", |row| row.held_out_ahead.map(|ahead| ahead.high).into()),
];

/// Rows with the columns that are wanted.
pub(super) fn table<'a>(
    rows: impl Iterator<Item = &'a StudyRow>,
    wanted: impl Fn(&str) -> bool,
) -> Table {
    let wanted: Vec<_> = COLUMNS.iter().filter(|(name, _)| wanted(name)).collect();
    let cells = |row: &StudyRow| wanted.iter().map(|(_, of)| of(row)).collect();
    Table {
        rows: rows.map(cells).collect(),
        columns: wanted.iter().map(|(name, _)| *name).collect(),
    }
}

/// A table as text, the first column to the left.
pub(super) fn in_columns(table: &Table) -> String {
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
fn rounded(cell: &Json) -> String {
    match cell.as_f64().filter(|number| number.fract() != 0.0) {
        Some(number) if number.abs() >= 100.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.3}").trim_end_matches('0').to_owned(),
        None if cell.is_null() => "-".to_owned(),
        None => exact(cell),
    }
}
