//! The files of known benchmarks, as their authors publish them.

use std::path::Path;

use serde_json::{Map, Value as Json};
use textgrad_core::Seed;

use super::read::{read_file, text as text_of};
use super::split::shuffled;
use super::{Dataset, Example, Mapping, Problems, wrong};
use crate::data::{DataFormat, Record, decode, json_list, records, rows};
use crate::error::Error;
use crate::score::{index_of_letter, letter};
use crate::util::json::type_name;

/// A known format of a benchmark's files. The questions are always the field `question`.
///
/// # Examples
/// ```
/// use textgrad_ops::train::Benchmark;
///
/// let line = r#"{"question": "A box holds 600 nails. How many do two boxes hold?", "answer": "2 * 600\n#### 1,200"}"#;
/// let data = Benchmark::Gsm8k.parse("train.jsonl", line)?;
/// assert_eq!(data.get(0).unwrap().expected(), Some("1200"));
/// # Ok::<(), textgrad_ops::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Benchmark {
    /// A task of [BIG-Bench Hard](https://github.com/suzgunmirac/BIG-Bench-Hard), such as `object_counting`
    /// or `word_sorting`: a JSON object whose `examples` have `input` and `target`.
    BigBenchHard,
    /// [GSM8K](https://github.com/openai/grade-school-math): JSONL with `question` and `answer`, which ends
    /// in `#### n`. The number, without commas, is expected; what is before it is the metadata `solution`.
    Gsm8k,
    /// A subject of [MMLU](https://github.com/hendrycks/test): CSV without a header; question, four choices,
    /// letter.
    Mmlu,
    /// [GPQA](https://github.com/idavidrein/gpqa): CSV with `Question`, `Correct Answer` and
    /// `Incorrect Answer 1` to `3`. The choices are put into an order drawn with the seed, a new one for
    /// every question, and the right one's letter is expected.
    Gpqa(Seed),
    /// [MathVista](https://github.com/lupantech/MathVista): JSON (a list, or an object by `pid`) or JSONL
    /// with `pid`, `question`, `image`, `choices`, `unit`, `precision`, `question_type`, `answer_type`,
    /// `answer`. The answer may be unknown, as in its test set.
    MathVista,
}

impl Benchmark {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, and those of [`parse`](Self::parse).
    pub async fn read(self, path: &Path) -> Result<Dataset, Error> {
        let (name, contents) = read_file(path).await?;
        self.parse(&name, contents)
    }

    /// Reads a file's contents; `name` is for errors, and where JSON and JSONL are both known its ending tells them
    /// apart.
    ///
    /// # Errors
    /// [`Error::Data`] with the first record that cannot be read, and how many there are.
    pub fn parse(self, name: &str, contents: impl AsRef<[u8]>) -> Result<Dataset, Error> {
        let text = &*decode(name, contents.as_ref())?;
        let mut problems = Problems::default();
        let examples = match self {
            Self::BigBenchHard => big_bench_hard(name, text, &mut problems)?,
            Self::Gsm8k => gsm8k(name, text, &mut problems)?,
            Self::Mmlu => mmlu(name, text, &mut problems)?,
            Self::Gpqa(seed) => gpqa(name, text, seed, &mut problems)?,
            Self::MathVista => math_vista(name, text, &mut problems)?,
        };
        problems.finish()?;
        Dataset::new(name, examples)
    }
}

/// Examples of records with their locations, by a function that gets each record's number, from 1.
fn examples(
    records: Vec<Record>,
    problems: &mut Problems,
    example: impl Fn(usize, Map<String, Json>) -> Result<Example, String>,
) -> Vec<Example> {
    let numbered = (1..).zip(records);
    numbered
        .filter_map(|(number, Record { location, value })| {
            let read = value.and_then(|value| match value {
                Json::Object(record) => example(number, record),
                other => Err(format!("expected an object, got {}", type_name(&other))),
            });
            problems.take(|| location, read)
        })
        .collect()
}

fn big_bench_hard(name: &str, text: &str, problems: &mut Problems) -> Result<Vec<Example>, Error> {
    let whole: Json = serde_json::from_str(text)
        .map_err(|error| wrong(name, format!("expected a JSON object: {error}")))?;
    let Some(Json::Array(items)) = whole.get("examples") else {
        let got = whole.get("examples").map_or("none", type_name);
        let reason = format!("expected a JSON object with a list \"examples\", got {got}");
        return Err(wrong(name, reason));
    };
    let record = |(number, item): (usize, &Json)| Record {
        location: format!("{name}, example {number}"),
        value: Ok(item.clone()),
    };
    let records = (1..).zip(items).map(record).collect();
    Ok(examples(records, problems, |number, record| {
        let example =
            Example::new(number.to_string()).with_field("question", text_of(&record, "input")?);
        Ok(example.with_expected(text_of(&record, "target")?))
    }))
}

fn gsm8k(name: &str, text: &str, problems: &mut Problems) -> Result<Vec<Example>, Error> {
    let records = records(name, text.as_bytes(), Some(DataFormat::Jsonl))?;
    Ok(examples(records, problems, |number, record| {
        let answer = text_of(&record, "answer")?;
        let (solution, result) = answer.rsplit_once("####").ok_or_else(|| {
            "expected the field \"answer\" to end in \"#### \" and the result".to_owned()
        })?;
        let result = result.trim().replace(',', "");
        // `nan`, `inf` and what is too large for a number are read as one, too.
        if !result.parse().is_ok_and(f64::is_finite) {
            return Err(format!("expected a number behind \"####\", got {result:?}"));
        }
        Ok(Example::new(number.to_string())
            .with_field("question", text_of(&record, "question")?)
            .with_expected(result)
            .with_metadata("solution", solution.trim_end()))
    }))
}

fn mmlu(name: &str, text: &str, problems: &mut Problems) -> Result<Vec<Example>, Error> {
    let rows = (1..).zip(rows(name, text, b',')?);
    let read = |number: usize, row: Vec<String>| {
        let [question, choices @ .., answer] = row.as_slice() else {
            return Err("expected 6 columns, got too few".to_owned());
        };
        if choices.len() != 4 {
            let reason = "expected 6 columns (question, four choices, letter), got";
            return Err(format!("{reason} {}", row.len()));
        }
        let index = match answer.trim().chars().collect::<Vec<_>>().as_slice() {
            [only] => index_of_letter(*only).filter(|index| *index < choices.len()),
            _ => None,
        };
        let letter = index.and_then(letter).ok_or_else(|| {
            format!("expected a letter from A to D in the last column, got {answer:?}")
        })?;
        Ok(Example::new(number.to_string())
            .with_field("question", question)
            .with_choices(choices.iter().map(String::as_str))
            .with_expected(letter))
    };
    Ok(rows
        .filter_map(|(number, (line, row))| {
            let example = row.and_then(|row| read(number, row));
            problems.take(|| format!("{name}, line {line}"), example)
        })
        .collect())
}

fn gpqa(
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
    let records = records(name, text.as_bytes(), Some(DataFormat::Csv))?;
    Ok(examples(records, problems, |number, mut record| {
        let mut texts = COLUMNS.iter().map(|column| text_of(&record, column));
        let question = texts.next().unwrap_or_else(|| Ok(String::new()))?;
        // The file has blanks and newlines around some answers, which would give the right one away.
        let answers =
            texts.map(|text| Ok(text?.trim().to_owned())).collect::<Result<Vec<_>, String>>()?;
        let order = shuffled(answers.len(), seed.child("question", number as u64));
        let right = order.iter().position(|index| *index == 0).and_then(letter);
        let choices = order.iter().filter_map(|index| answers.get(*index).cloned());
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

fn math_vista(name: &str, text: &str, problems: &mut Problems) -> Result<Vec<Example>, Error> {
    let records = if DataFormat::of_name(name) == Some(DataFormat::Jsonl) {
        records(name, text.as_bytes(), Some(DataFormat::Jsonl))?
    } else {
        problems_by_pid(name, text)?
    };
    Ok(examples(records, problems, math_vista_example))
}

/// A list of records, or an object of records by their `pid`.
fn problems_by_pid(name: &str, text: &str) -> Result<Vec<Record>, Error> {
    match serde_json::from_str(text) {
        Ok(Json::Object(items)) => {
            let mut items: Vec<(String, Json)> = items.into_iter().collect();
            // As text, 10 would come before 2.
            items.sort_by_cached_key(|(pid, _)| {
                (pid.parse::<u64>().unwrap_or(u64::MAX), pid.clone())
            });
            let with_pid = |(pid, mut record): (String, Json)| {
                if let Json::Object(fields) = &mut record {
                    fields.entry("pid").or_insert_with(|| Json::String(pid.clone()));
                }
                Record { location: format!("{name}, problem {pid:?}"), value: Ok(record) }
            };
            Ok(items.into_iter().map(with_pid).collect())
        }
        parsed => json_list(name, parsed, "a JSON list or object"),
    }
}

fn math_vista_example(number: usize, mut record: Map<String, Json>) -> Result<Example, String> {
    // Answers that are kept back are empty texts.
    record.retain(|name, value| !(value.is_null() || name == "answer" && *value == ""));
    for (name, known) in [
        ("question_type", ["multi_choice", "free_form"].as_slice()),
        ("answer_type", ["text", "integer", "float", "list"].as_slice()),
    ] {
        let value = text_of(&record, name)?;
        if !known.contains(&value.as_str()) {
            return Err(format!(
                "expected the field {name:?} to be one of {known:?}, got {value:?}"
            ));
        }
    }
    let mut mapping = Mapping::new().id("pid").field("question", "question").image("image");
    if record.contains_key("choices") {
        mapping = mapping.choices("choices");
    }
    if record.contains_key("answer") {
        mapping = mapping.expected("answer");
    }
    let is_choice = text_of(&record, "question_type")? == "multi_choice";
    let example = mapping.example(number, Json::Object(record))?;
    if is_choice && example.choices().is_empty() {
        return Err("expected the field \"choices\" to be a list of texts for a question of type multi_choice".to_owned());
    }
    Ok(example)
}

#[cfg(test)]
mod tests;
