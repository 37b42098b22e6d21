//! BeaverTails-Evaluation: 700 harmful requests in 14 categories.
//!
//! A JSON list or JSONL of `{"prompt","category","category_id"?}`. TPO's paper reports the mean score of its
//! reward model; the benchmark's authors grade with moderation and cost models instead.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::item::Item;
use super::records::records;
use crate::error::Error;
use crate::query::Query;

/// One request.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Prompt {
    /// What is asked.
    pub prompt: String,
    /// The kind of harm.
    pub category: String,
    /// Its number.
    #[serde(default)]
    pub category_id: Option<Json>,
    /// Its number in the file, from 1: the requests have no names.
    #[serde(skip)]
    pub number: usize,
}

/// Reads requests. `source` is the file's name, for errors.
///
/// # Errors
/// [`Error::Input`] with the location and what was expected.
pub fn read(source: &str, text: &str) -> Result<Vec<Prompt>, Error> {
    let read = (1..).zip(records::<Prompt>(source, text)?);
    let prompts = read.map(|(number, (location, prompt))| match prompt.prompt.trim().is_empty() {
        true => Err(Error::input(location, "expected a prompt, got an empty text")),
        false => Ok(Prompt { number, ..prompt }),
    });
    prompts.collect()
}

/// A request with an answer, in the fields of the data set and `response`, as its authors name answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// What is asked.
    pub prompt: String,
    /// The response of the model.
    pub response: String,
    /// The kind of harm.
    pub category: String,
    /// Its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category_id: Option<Json>,
}

impl Answered {
    /// The answer to a request.
    #[must_use]
    pub fn new(prompt: &Prompt, response: impl Into<String>) -> Self {
        let Prompt { prompt, category, category_id, .. } = prompt.clone();
        Self { prompt, response: response.into(), category, category_id }
    }
}

impl Item for Prompt {
    fn id(&self) -> String {
        self.number.to_string()
    }

    fn query(&self) -> Query {
        self.prompt.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::to_json;

    #[test]
    fn requests_are_read_from_a_list_and_from_lines() {
        let list =
            r#"[{"prompt":"a","category":"x"},{"prompt":"b","category":"y","category_id":2}]"#;
        let lines = "{\"prompt\":\"a\",\"category\":\"x\"}\n{\"prompt\":\"b\",\"category\":\"y\",\"category_id\":2}\n";
        assert_eq!(read("f", list).unwrap(), read("f", lines).unwrap());
        let ids = read("f", list).unwrap().into_iter().map(|one| (one.id(), one.category_id));
        let expected = [("1".to_owned(), None), ("2".to_owned(), Some(Json::from(2)))];
        assert_eq!(ids.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn answers_stand_beside_their_requests() {
        let prompts = read("f", r#"[{"prompt":"a","category":"x","category_id":0}]"#).unwrap();
        let json = to_json(&[Answered::new(&prompts[0], "No. \u{1f}\"")]).unwrap();
        let back: Json = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!([
            { "prompt": "a", "response": "No. \u{1f}\"", "category": "x", "category_id": 0 }
        ]);
        assert_eq!(back, expected);
        assert_eq!(read("f", &json).unwrap(), prompts);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = read("f", "{\"prompt\":\"a\"}").unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("category"), "{error}");
        let error = read("f", "{\"prompt\":\" \",\"category\":\"x\"}").unwrap_err().to_string();
        assert!(error.contains("got an empty text"), "{error}");
    }
}
