//! Questions that are answered in words or numbers: BIG-Bench Hard, GSM8K.

use serde_json::Value as Json;

use super::super::mapping::text;
use super::super::read::{DataFormat, records};
use super::super::{Problems, wrong};
use super::{Example, examples};
use crate::error::Error;

pub(super) fn big_bench_hard(
    name: &str,
    text: &str,
    problems: &mut Problems,
) -> Result<Vec<Example>, Error> {
    let whole: Json = serde_json::from_str(text)
        .map_err(|error| wrong(name, format!("expected a JSON object: {error}")))?;
    let Some(Json::Array(items)) = whole.get("examples") else {
        let got = whole.get("examples").map_or("none", crate::util::json::type_name);
        let reason = format!("expected a JSON object with a list \"examples\", got {got}");
        return Err(wrong(name, reason));
    };
    let place = |item| format!("{name}, example {item}");
    let records = (1..).map(place).zip(items.iter().cloned()).collect();
    Ok(examples(records, problems, |number, record| {
        let example =
            Example::new(number.to_string()).with_field("question", self::text(&record, "input")?);
        Ok(example.with_expected(self::text(&record, "target")?))
    }))
}

pub(super) fn gsm8k(
    name: &str,
    text: &str,
    problems: &mut Problems,
) -> Result<Vec<Example>, Error> {
    let records = records(DataFormat::Jsonl, name, text, problems)?;
    Ok(examples(records, problems, |number, record| {
        let answer = self::text(&record, "answer")?;
        let (solution, result) = answer.rsplit_once("####").ok_or_else(|| {
            "expected the field \"answer\" to end in \"#### \" and the result".to_owned()
        })?;
        let result = result.trim().replace(',', "");
        // `nan`, `inf` and what is too large for a number are read as one, too.
        if !result.parse().is_ok_and(f64::is_finite) {
            return Err(format!("expected a number behind \"####\", got {result:?}"));
        }
        Ok(Example::new(number.to_string())
            .with_field("question", self::text(&record, "question")?)
            .with_expected(result)
            .with_metadata("solution", solution.trim_end()))
    }))
}
