//! Questions with choices: MMLU, GPQA.

use textgrad_core::Seed;

use super::super::Problems;
use super::super::batches::shuffled;
use super::super::mapping::text;
use super::super::read::{DataFormat, records, rows};
use super::{Example, examples};
use crate::error::Error;
use crate::score::{letter, place_of};

pub(super) fn mmlu(name: &str, text: &str, problems: &mut Problems) -> Result<Vec<Example>, Error> {
    let rows = (1..).zip(rows(name, text, problems)?);
    let read = |number: usize, row: Vec<String>| {
        let [question, choices @ .., answer] = row.as_slice() else {
            return Err("expected 6 columns, got too few".to_owned());
        };
        if choices.len() != 4 {
            let reason = "expected 6 columns (question, four choices, letter), got";
            return Err(format!("{reason} {}", row.len()));
        }
        let place = match answer.trim().chars().collect::<Vec<_>>().as_slice() {
            [only] => place_of(*only).filter(|place| *place < choices.len()),
            _ => None,
        };
        let letter = place.and_then(letter).ok_or_else(|| {
            format!("expected a letter from A to D in the last column, got {answer:?}")
        })?;
        Ok(Example::new(number.to_string())
            .with_field("question", question)
            .with_choices(choices.iter().map(String::as_str))
            .with_expected(letter))
    };
    Ok(rows
        .filter_map(|(number, (place, row))| problems.take(|| place, read(number, row)))
        .collect())
}

pub(super) fn gpqa(
    name: &str,
    text: &str,
    seed: Seed,
    problems: &mut Problems,
) -> Result<Vec<Example>, Error> {
    const COLUMNS: [&str; 5] = [
        "Question",
        "Correct Answer",
        "Incorrect Answer 1",
        "Incorrect Answer 2",
        "Incorrect Answer 3",
    ];
    let records = records(DataFormat::Csv, name, text, problems)?;
    Ok(examples(records, problems, |number, mut record| {
        let mut texts = COLUMNS.iter().map(|column| self::text(&record, column));
        let question = texts.next().unwrap_or_else(|| Ok(String::new()))?;
        // The file has blanks and newlines around some answers, which would give the right one away.
        let answers =
            texts.map(|text| Ok(text?.trim().to_owned())).collect::<Result<Vec<_>, String>>()?;
        let order = shuffled(answers.len(), seed.child("question", number as u64));
        let right = order.iter().position(|place| *place == 0).and_then(letter);
        let choices = order.iter().filter_map(|place| answers.get(*place).cloned());
        let mut example =
            Example::new(number.to_string()).with_field("question", question).with_choices(choices);
        if let Some(letter) = right {
            example = example.with_expected(letter);
        }
        record.retain(|column, value| {
            !COLUMNS.contains(&column.as_str())
                && value.as_str().is_some_and(|text| !text.is_empty())
        });
        Ok(record
            .into_iter()
            .fold(example, |example, (column, value)| example.with_metadata(column, value)))
    }))
}
