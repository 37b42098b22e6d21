//! MathVista: questions about images.

use serde_json::{Map, Value as Json};

use super::super::mapping::{text, texts};
use super::super::read::{DataFormat, records};
use super::super::{Problems, wrong};
use super::{Example, examples};
use crate::error::Error;
use crate::util::json::type_name;

pub(super) fn read(name: &str, text: &str, problems: &mut Problems) -> Result<Vec<Example>, Error> {
    let records = if matches!(DataFormat::of_name(name), Ok(DataFormat::Jsonl)) {
        records(DataFormat::Jsonl, name, text, problems)?
    } else {
        json(name, text)?
    };
    Ok(examples(records, problems, |_, record| example(record)))
}

/// A list of records, or an object of records by their `pid`.
fn json(name: &str, text: &str) -> Result<Vec<(String, Json)>, Error> {
    match serde_json::from_str(text) {
        Ok(Json::Array(items)) => {
            Ok((1..).map(|item| format!("{name}, item {item}")).zip(items).collect())
        }
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
                (format!("{name}, problem {pid:?}"), record)
            };
            Ok(items.into_iter().map(with_pid).collect())
        }
        Ok(other) => {
            Err(wrong(name, format!("expected a JSON list or object, got {}", type_name(&other))))
        }
        Err(error) => Err(wrong(name, format!("expected a JSON list or object: {error}"))),
    }
}

fn example(mut record: Map<String, Json>) -> Result<Example, String> {
    let given = |name: &str| record.get(name).is_some_and(|value| !value.is_null());
    let mut example =
        Example::new(text(&record, "pid")?).with_field("question", text(&record, "question")?);
    if given("image") {
        example = example.with_image(text(&record, "image")?);
    }
    if given("choices") {
        example = example.with_choices(texts(&record, "choices")?);
    }
    if given("answer") {
        let answer = text(&record, "answer")?;
        // Answers that are kept back are empty texts.
        if !answer.is_empty() {
            example = example.with_expected(answer);
        }
    }
    for (name, known) in [
        ("question_type", ["multi_choice", "free_form"].as_slice()),
        ("answer_type", ["text", "integer", "float", "list"].as_slice()),
    ] {
        let value = text(&record, name)?;
        if !known.contains(&value.as_str()) {
            return Err(format!(
                "expected the field {name:?} to be one of {known:?}, got {value:?}"
            ));
        }
    }
    if text(&record, "question_type")? == "multi_choice" && example.choices().is_empty() {
        return Err("expected the field \"choices\" to be a list of texts for a question of type multi_choice".to_owned());
    }
    record.retain(|name, value| {
        !["pid", "question", "image", "choices", "answer"].contains(&name.as_str())
            && !value.is_null()
    });
    Ok(record
        .into_iter()
        .fold(example, |example, (name, value)| example.with_metadata(name, value)))
}
