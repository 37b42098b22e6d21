//! The files of known benchmarks, as their authors publish them.

mod math_vista;
mod multiple_choice;
mod words;

use std::path::Path;

use serde_json::{Map, Value as Json};
use textgrad_core::Seed;

use super::Problems;
use super::read::{read_text, without_mark};
use super::{Dataset, Example};
use crate::error::Error;
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
        let (name, text) = read_text(path).await?;
        self.parse(&name, &text)
    }

    /// Reads a text; `name` is for errors, and where JSON and JSONL are both known its ending tells them
    /// apart.
    ///
    /// # Errors
    /// [`Error::Data`] with the first place that cannot be read, and how many there are.
    pub fn parse(self, name: &str, text: &str) -> Result<Dataset, Error> {
        let text = without_mark(text);
        let mut problems = Problems::new();
        let examples = match self {
            Self::BigBenchHard => words::big_bench_hard(name, text, &mut problems)?,
            Self::Gsm8k => words::gsm8k(name, text, &mut problems)?,
            Self::Mmlu => multiple_choice::mmlu(name, text, &mut problems)?,
            Self::Gpqa(seed) => multiple_choice::gpqa(name, text, seed, &mut problems)?,
            Self::MathVista => math_vista::read(name, text, &mut problems)?,
        };
        problems.finish()?;
        Dataset::new(name, examples)
    }
}

/// Examples of records with their places, by a function that gets each record's number, from 1.
fn examples(
    records: Vec<(String, Json)>,
    problems: &mut Problems,
    example: impl Fn(usize, Map<String, Json>) -> Result<Example, String>,
) -> Vec<Example> {
    let numbered = (1..).zip(records);
    numbered
        .filter_map(|(number, (place, record))| {
            let read = match record {
                Json::Object(record) => example(number, record),
                other => Err(format!("expected an object, got {}", type_name(&other))),
            };
            problems.take(|| place, read)
        })
        .collect()
}

#[cfg(test)]
mod tests;
