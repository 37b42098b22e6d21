//! Arena-Hard: hard prompts, answers compared with a baseline's by a judge.
//!
//! Version 0.1 has 500 prompts, version 2 has 750 of two categories. [`read`] takes `question.jsonl` of both,
//! [`Answer`] is a line of `model_answer`, [`Judge`] plays two games with the positions swapped, a
//! [`Judgment`] is a line of `model_judgment`; [`leaderboard`] and [`StyleControlled`] are the published
//! aggregations without and with style control. The official programs read what is written here.

mod answer;
mod control;
mod judge;
mod judgment;
mod markdown;
mod score;

use serde::{Deserialize, Serialize};

pub use self::answer::{Answer, file_name, read_answers, write_answers};
pub use self::control::{Interval, StyleControlled};
pub use self::judge::{DuelContext, Judge};
pub use self::judgment::{Game, Judgment, Verdict, read_judgments, write_judgments};
pub use self::markdown::{BoldCount, HeaderCount, ListCount, Style, count_tokens};
pub use self::score::{Score, leaderboard};
use super::item::Item;
use super::records::{records, unique, wrong};
use crate::error::Error;

/// The category of version 0.1's questions where a file gives them none.
pub const V01: &str = "arena-hard-v0.1";

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its name.
    pub uid: String,
    /// Its category: `hard_prompt` or `creative_writing` in version 2.
    #[serde(default = "v01")]
    pub category: String,
    /// What it is about, in version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcategory: Option<String>,
    /// What it is about, in version 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What is asked.
    pub prompt: String,
}

fn v01() -> String {
    V01.to_owned()
}

impl Question {
    /// The model whose answers its category is compared with; none for a category that is not known.
    #[must_use]
    pub fn baseline(&self) -> Option<&'static str> {
        match self.category.as_str() {
            V01 => Some("gpt-4-0314"),
            "hard_prompt" => Some("o3-mini-2025-01-31"),
            "creative_writing" => Some("gemini-2.0-flash-001"),
            _ => None,
        }
    }
}

/// Reads `question.jsonl`. `source` is the file's name, for errors.
///
/// # Errors
/// [`Error::Input`] with the line and what was expected; also for a uid that comes twice.
///
/// # Examples
/// ```
/// use tpo::bench::arena_hard::read;
///
/// let line = r#"{"uid":"a1","category":"creative_writing","subcategory":"creative_writing","prompt":"Write."}"#;
/// assert_eq!(read("question.jsonl", line)?[0].baseline(), Some("gemini-2.0-flash-001"));
/// # Ok::<(), tpo::Error>(())
/// ```
pub fn read(source: &str, text: &str) -> Result<Vec<Question>, Error> {
    let read = records::<Question>(source, text)?;
    unique(read.iter().map(|(place, q)| (place.as_str(), q.uid.as_str())), "uid")?;
    for (place, question) in &read {
        if question.prompt.trim().is_empty() {
            return Err(wrong(place, "expected a prompt, got an empty text".to_owned()));
        }
    }
    Ok(read.into_iter().map(|(_, question)| question).collect())
}

impl From<&Question> for Item {
    fn from(question: &Question) -> Self {
        let metadata = [
            ("category", question.category.clone().into()),
            ("subcategory", question.subcategory.clone().into()),
            ("cluster", question.cluster.clone().into()),
        ];
        Self::new(question.uid.as_str(), question.prompt.as_str(), metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read() {
        let text = concat!(
            r#"{"uid":"1","category":"arena-hard-v0.1","cluster":"Tables","prompt":"a"}"#,
            "\n",
            r#"{"uid":"2","category":"hard_prompt","subcategory":"coding","prompt":"b"}"#,
            "\n",
            r#"{"uid":"3","category":"creative_writing","subcategory":"creative_writing","prompt":"c"}"#,
            "\n",
            r#"{"uid":"4","cluster":"Tables","prompt":"d"}"#,
        );
        let questions = read("f", text).unwrap();
        let baselines: Vec<_> = questions.iter().map(Question::baseline).collect();
        let expected = ["gpt-4-0314", "o3-mini-2025-01-31", "gemini-2.0-flash-001", "gpt-4-0314"];
        assert_eq!(baselines, expected.map(Some));
        assert_eq!(Item::from(&questions[0]).metadata["cluster"], "Tables");
    }

    #[test]
    fn two_questions_of_one_name_are_refused() {
        let text = "{\"uid\":\"1\",\"prompt\":\"a\"}\n{\"uid\":\"1\",\"prompt\":\"b\"}";
        let error = read("f", text).unwrap_err().to_string();
        assert_eq!(error, "f, line 2: expected each uid once, got \"1\" again");
    }
}
