//! Columns of the table of a study.

use serde_json::Value as Json;

use super::figures::{StudyRow, StudyTable};
use crate::config::Mode;
use crate::report::{Interval, Table, exact};

/// What a column shows of a row.
type Shown = fn(&StudyRow) -> Json;

/// The columns.
pub(super) const COLUMNS: [(&str, Shown); 39] = [
    ("method", |row| row.method.as_str().into()),
    ("mode", |row| row.mode.as_str().into()),
    ("pairs", |row| row.pairs.to_string().into()),
    ("edits", |row| row.edits.into()),
    ("prompts", |row| row.prompts.as_str().into()),
    ("D", |row| if row.budget_left.is_some() { Json::Null } else { row.iterations.into() }),
    ("mean_iterations", |row| row.mean_iterations.into()),
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
    ("budget_left", |row| row.budget_left.into()),
    ("difference", |row| row.difference.map(|found| found.mean).into()),
    ("difference_low", |row| row.difference.map(|found| found.low).into()),
    ("difference_high", |row| row.difference.map(|found| found.high).into()),
    ("difference_from_bon", |row| row.difference_from_bon.map(|found| found.mean).into()),
    ("difference_from_bon_low", |row| row.difference_from_bon.map(|found| found.low).into()),
    ("difference_from_bon_high", |row| row.difference_from_bon.map(|found| found.high).into()),
    ("difference_from_prompts", |row| row.difference_from_prompts.map(|found| found.mean).into()),
    ("difference_from_prompts_low", |row| {
        row.difference_from_prompts.map(|found| found.low).into()
    }),
    ("difference_from_prompts_high", |row| {
        row.difference_from_prompts.map(|found| found.high).into()
    }),
    ("held_out", |row| row.held_out.map(|grade| grade.mean).into()),
    ("held_out_low", |row| row.held_out.map(|grade| grade.low).into()),
    ("held_out_high", |row| row.held_out.map(|grade| grade.high).into()),
    ("held_out_difference", |row| row.held_out_difference.map(|found| found.mean).into()),
    ("held_out_difference_low", |row| row.held_out_difference.map(|found| found.low).into()),
    ("held_out_difference_high", |row| row.held_out_difference.map(|found| found.high).into()),
];

/// A paired difference of a row.
type Difference = fn(&StudyRow) -> Option<Interval>;

impl StudyTable {
    /// For a person, in tables of about 80 columns: rewards, their spread, cost, and the differences.
    #[must_use]
    pub fn shown(&self) -> String {
        let has_budget = !self.equal.is_unbounded();
        let varies = |number: fn(&StudyRow) -> String| {
            let first = self.rows.first().map(number);
            self.rows.iter().any(|row| Some(number(row)) != first)
        };
        let setting = |column: &str| match column {
            "method" | "N" => true,
            "D" => !has_budget,
            "temperature" => varies(|row| row.temperature.to_string()),
            _ => false,
        };
        let mut shown = match has_budget {
            true => format!(
                "each search up to {}; budget_left: the part of it that was not spent\n\n",
                self.equal
            ),
            false => String::new(),
        };
        for (title, columns) in [
            (
                "reward: mean of the best scores; low, high: ends of its 95 % interval\n",
                &["seeds", "failed", "answers", "reward", "low", "high"][..],
            ),
            (
                "\nspread of rewards; newest: mean score of the answers of the last iteration,\n\
                 spread: their standard deviation per search, seed_spread: that of a query's\n\
                 best score over the seeds\n",
                match has_budget {
                    true => &["searches", "newest", "spread", "seed_spread", "mean_iterations"],
                    false => &["searches", "newest", "spread", "seed_spread"],
                },
            ),
            (
                "\nper query; calls: requests to models, scored: answers that were scored\n",
                match has_budget {
                    true => &["calls", "prompt_tokens", "completion_tokens", "budget_left"],
                    false => &["calls", "prompt_tokens", "completion_tokens", "scored"],
                },
            ),
        ] {
            let wanted = |column: &str| columns.contains(&column) || setting(column);
            shown.push_str(title);
            shown.push_str(&in_columns(&table(self.rows.iter(), wanted)));
        }
        let mut part = |title: String, columns: [&str; 3], of: Difference| {
            let paired: Vec<&StudyRow> = self.rows.iter().filter(|row| of(row).is_some()).collect();
            if !paired.is_empty() {
                let wanted = |column: &str| columns.contains(&column) || setting(column);
                shown.push_str(&format!("\n{title}\n"));
                let mut table = table(paired.into_iter(), wanted);
                // The title says what they are of.
                for (name, column) in table.columns.iter_mut().rev().zip(["high", "low"]) {
                    *name = column;
                }
                shown.push_str(&in_columns(&table));
            }
        };
        let of_bon = if has_budget { Mode::Resample } else { Mode::Bon };
        if let Some(against) = self.against.as_ref().filter(|against| **against != of_bon.as_str())
        {
            let columns = ["difference", "difference_low", "difference_high"];
            let title = format!("paired difference in reward from {against}");
            part(title, columns, |row| row.difference);
        }
        let title = match has_budget {
            true => "best-of-N (resample) at equal budget",
            false => "best-of-N at N(1 + D) answers",
        };
        let columns =
            ["difference_from_bon", "difference_from_bon_low", "difference_from_bon_high"];
        let title = format!("paired difference in reward from {title}");
        part(title, columns, |row| row.difference_from_bon);
        // Of the first method alone, it is the difference from that method.
        let of_first = |row: &StudyRow| row.difference_from_prompts == row.difference;
        if let Some(against) =
            self.against_prompts.as_ref().filter(|_| !self.rows.iter().all(of_first))
        {
            let columns = [
                "difference_from_prompts",
                "difference_from_prompts_low",
                "difference_from_prompts_high",
            ];
            let title =
                format!("paired difference in reward from the prompts {against}, all else equal");
            part(title, columns, |row| row.difference_from_prompts);
        }
        let title = "mean grade of the returned answers by the held-out reward model".to_owned();
        part(title, ["held_out", "held_out_low", "held_out_high"], |row| row.held_out);
        if let Some(against) = &self.against {
            let columns =
                ["held_out_difference", "held_out_difference_low", "held_out_difference_high"];
            let title = format!("paired difference in held-out grade from {against}");
            part(title, columns, |row| row.held_out_difference);
        }
        shown
    }
}

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
fn in_columns(table: &Table) -> String {
    let mut lines = vec![table.columns.iter().map(ToString::to_string).collect::<Vec<_>>()];
    let decimals: Vec<usize> = (0..table.columns.len())
        .map(|column| decimals(table.rows.iter().filter_map(|row| row.get(column)?.as_f64())))
        .collect();
    let cells = |row: &Vec<Json>| {
        row.iter().zip(&decimals).map(|(cell, decimals)| shown(cell, *decimals)).collect()
    };
    lines.extend(table.rows.iter().map(cells));
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

/// The decimals of the numbers of a column: as many as its numbers need, up to three, and none beside a number of 100
/// or more.
fn decimals(numbers: impl Iterator<Item = f64>) -> usize {
    const MAX_DECIMALS: usize = 3;
    let (mut needed, mut largest) = (0, 0.0_f64);
    for number in numbers {
        let text = format!("{number:.MAX_DECIMALS$}");
        let zeros = text.len() - text.trim_end_matches('0').len();
        needed = needed.max(MAX_DECIMALS.saturating_sub(zeros));
        largest = largest.max(number.abs());
    }
    if largest >= 100.0 { 0 } else { needed }
}

fn shown(cell: &Json, decimals: usize) -> String {
    match cell.as_f64() {
        Some(number) => format!("{:.decimals$}", number + 0.0),
        None if cell.is_null() => "-".to_owned(),
        None => exact(cell),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_column_have_equal_decimals() {
        let table = Table {
            columns: vec!["mode", "N", "low", "temperature", "calls", "high"],
            rows: vec![
                vec![
                    "tpo".into(),
                    5.into(),
                    3.999_96.into(),
                    0.7.into(),
                    1234.5.into(),
                    4.0.into(),
                ],
                vec!["bon".into(), 15.into(), 5.206.into(), 1.0.into(), 7.25.into(), Json::Null],
            ],
        };
        let text = "mode   N    low  temperature  calls  high\n\
                    tpo    5  4.000          0.7   1234     4\n\
                    bon   15  5.206          1.0      7     -\n";
        assert_eq!(in_columns(&table), text);
    }
}
