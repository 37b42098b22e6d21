//! Results as data sets for training: preference pairs and best answers.

use serde_json::{Map, Value as Json, json};
use strum::{Display, EnumString};

use textgrad_core::MessageRole;

use super::results::ResultRecord;
use crate::error::Error;
use crate::query::{Query, Turn};
use crate::search::CandidateRecord;

/// The rows that are made of a query's result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "lowercase", parse_err_fn = unknown_rows, parse_err_ty = Error)]
#[non_exhaustive]
pub enum ExportRows {
    /// The answers with the highest and the lowest score; none where all scores are equal.
    #[default]
    Pairs,
    /// Each chosen and rejected answer that the search compared.
    Comparisons,
    /// The best answer.
    Best,
    /// Every answer.
    Answers,
}

/// The form of a row: whose training reads it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Display, EnumString)]
#[strum(serialize_all = "kebab-case", parse_err_fn = unknown_style, parse_err_ty = Error)]
#[non_exhaustive]
pub enum ExportStyle {
    /// [TRL](https://huggingface.co/docs/trl/dataset_formats), conversational: `prompt`, `chosen`, `rejected` or
    /// `completion` are lists of messages.
    #[default]
    Trl,
    /// TRL, standard: they are texts.
    TrlText,
    /// [OpenRLHF](https://github.com/OpenRLHF/OpenRLHF) with a chat template: `chosen`, `rejected` or `messages` are
    /// whole conversations, with the prompt.
    #[strum(to_string = "openrlhf")]
    OpenRlhf,
}

fn unknown_rows(text: &str) -> Error {
    Error::config("rows", "pairs, comparisons, best or answers", text)
}

fn unknown_style(text: &str) -> Error {
    Error::config("style", "trl, trl-text or openrlhf", text)
}

impl ResultRecord {
    /// The rows of a data set for training. Each has the fields of the query's record, `index`, `simulated` and the
    /// scores. A search that failed has none, since its best answer is not that of a whole search.
    #[must_use]
    pub fn export(&self, rows: ExportRows, style: ExportStyle) -> Vec<Map<String, Json>> {
        let candidates = &self.trajectory.candidates;
        let at = |position: usize| candidates.get(position);
        let pair = |chosen: Option<&CandidateRecord>, rejected: Option<&CandidateRecord>| {
            let (chosen, rejected) = (chosen?, rejected?);
            (chosen.score > rejected.score).then(|| self.pair(chosen, rejected, style))
        };
        if self.error.is_some() {
            return Vec::new();
        }
        match rows {
            ExportRows::Pairs => {
                let worst = candidates.iter().min_by(|a, b| a.score.total_cmp(&b.score));
                pair(self.trajectory.best(), worst).into_iter().collect()
            }
            ExportRows::Comparisons => {
                let iterations = self.trajectory.iterations.iter();
                let compared = iterations.flat_map(|iteration| {
                    iteration.rejected.iter().map(move |rejected| (iteration.chosen, *rejected))
                });
                compared.filter_map(|(chosen, rejected)| pair(at(chosen), at(rejected))).collect()
            }
            ExportRows::Best => {
                self.trajectory.best().map(|best| self.answer(best, style)).into_iter().collect()
            }
            ExportRows::Answers => {
                candidates.iter().map(|candidate| self.answer(candidate, style)).collect()
            }
        }
    }

    fn pair(
        &self,
        chosen: &CandidateRecord,
        rejected: &CandidateRecord,
        style: ExportStyle,
    ) -> Map<String, Json> {
        let mut row = self.row(style);
        for (name, candidate) in [("chosen", chosen), ("rejected", rejected)] {
            row.insert(name.to_owned(), self.completion(candidate, style));
            row.insert(format!("score_{name}"), json!(candidate.score));
        }
        row
    }

    fn answer(&self, candidate: &CandidateRecord, style: ExportStyle) -> Map<String, Json> {
        let mut row = self.row(style);
        let name = if style == ExportStyle::OpenRlhf { "messages" } else { "completion" };
        row.insert(name.to_owned(), self.completion(candidate, style));
        row.insert("score".to_owned(), json!(candidate.score));
        row.insert("iteration".to_owned(), json!(candidate.iteration));
        row.insert("truncated".to_owned(), json!(candidate.truncated));
        row
    }

    /// What each row of the query has.
    fn row(&self, style: ExportStyle) -> Map<String, Json> {
        let mut row = self.fields.clone();
        row.insert("index".to_owned(), json!(self.index));
        row.insert("simulated".to_owned(), json!(self.simulated));
        match style {
            ExportStyle::Trl => row.insert("prompt".to_owned(), json!(messages(&self.query, None))),
            ExportStyle::TrlText => row.insert("prompt".to_owned(), json!(self.query.text())),
            ExportStyle::OpenRlhf => row.remove("prompt"),
        };
        row
    }

    fn completion(&self, candidate: &CandidateRecord, style: ExportStyle) -> Json {
        match style {
            ExportStyle::TrlText => json!(candidate.text),
            ExportStyle::Trl => json!([reply(&candidate.text)]),
            ExportStyle::OpenRlhf => json!(messages(&self.query, Some(&candidate.text))),
        }
    }
}

fn messages(query: &Query, answer: Option<&str>) -> Vec<Turn> {
    let turns = query.turns().map(|(role, text)| Turn { role, content: text.to_owned() });
    turns.chain(answer.map(reply)).collect()
}

fn reply(text: &str) -> Turn {
    Turn { role: MessageRole::Assistant, content: text.to_owned() }
}
