//! The lines of a journal.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use textgrad_core::{ErrorKind, Purpose, Response};
use textgrad_ops::util::jsonl::Line;

use super::StepKey;

/// A line of the journal. `R` is the response: a reference where a record is written, [`IgnoredAny`] where responses
/// are not of interest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[serde(try_from = "Fields<R>", bound(deserialize = "R: Deserialize<'de>"))]
#[non_exhaustive]
pub enum Record<R = Response> {
    /// The first line.
    Run {
        /// The version of the format.
        schema: u32,
        /// The settings that the results depend on.
        config: Json,
    },
    /// From here on the run has other settings: more iterations, or more queries. Steps before it hold on.
    Extended {
        /// The settings that the results depend on.
        config: Json,
    },
    /// Lines before this one are damaged; their steps are requested again.
    Dropped {
        /// Their numbers, from 1.
        lines: Vec<usize>,
    },
    /// A call of a language model.
    Call {
        /// The index of the query, from 0.
        query: usize,
        /// Why it was made.
        purpose: Purpose,
        /// The request.
        key: StepKey,
        /// The response.
        response: R,
        /// How long it took, in milliseconds.
        ms: u64,
    },
    /// A part of a call that several requests answer, before all parts are there.
    Choice {
        /// The index of the query, from 0.
        query: usize,
        /// The key of the call.
        call: StepKey,
        /// The key of the part.
        key: StepKey,
        /// The response.
        response: R,
    },
    /// A score of the reward model.
    Score {
        /// The index of the query, from 0.
        query: usize,
        /// The request.
        key: StepKey,
        /// The response.
        score: f64,
        /// How long it took, in milliseconds; for several that were scored together, all of them.
        ms: u64,
    },
    /// A call that failed for good and that the search went on without: a repetition does the same.
    Failed {
        /// The index of the query, from 0.
        query: usize,
        /// The request.
        key: StepKey,
        /// The class of the failure, which decides how the search went on.
        #[serde(skip_serializing_if = "is_other")]
        kind: ErrorKind,
        /// The failure.
        message: String,
    },
    /// A query that more than one worker searched, as its log at a queue tells.
    Delivered {
        /// The index of the query, from 0.
        query: usize,
        /// The log: the sequence of its first message.
        log: u64,
        /// How often it was given to another worker.
        redelivered: u64,
        /// How many steps were asked for again: they may have been paid for twice.
        asked_again: u64,
    },
    /// A query whose search came to its end: all its steps are there.
    Finished {
        /// The index of the query, from 0.
        query: usize,
        /// The CRC-32C of its line in `results.jsonl`.
        line_crc: u32,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
fn is_other(kind: &ErrorKind) -> bool {
    *kind == ErrorKind::Other
}

impl<R> Record<R> {
    /// Reads a line; `None` if its checksum does not match.
    ///
    /// # Errors
    /// An intact line that is no record of this version.
    pub(crate) fn parse(line: &Line<'_>) -> serde_json::Result<Option<Self>>
    where
        R: DeserializeOwned,
    {
        line.is_intact().then(|| line.parse()).transpose()
    }

    pub(crate) fn query(&self) -> Option<usize> {
        match self {
            Self::Run { .. } | Self::Extended { .. } | Self::Dropped { .. } => None,
            Self::Call { query, .. }
            | Self::Choice { query, .. }
            | Self::Score { query, .. }
            | Self::Failed { query, .. }
            | Self::Delivered { query, .. }
            | Self::Finished { query, .. } => Some(*query),
        }
    }
}

/// A record that is about to be written.
pub(crate) type NewRecord<'a> = Record<&'a Response>;

/// A record without its response.
pub(crate) type RecordHead = Record<IgnoredAny>;

/// The fields of all records. A tagged enum of serde would first copy a line into a tree.
#[derive(Deserialize)]
#[serde(bound = "R: Deserialize<'de>")]
struct Fields<R> {
    r#type: RecordType,
    schema: Option<u32>,
    config: Option<Json>,
    lines: Option<Vec<usize>>,
    query: Option<usize>,
    purpose: Option<Purpose>,
    call: Option<StepKey>,
    key: Option<StepKey>,
    response: Option<R>,
    score: Option<f64>,
    ms: Option<u64>,
    kind: Option<ErrorKind>,
    message: Option<String>,
    line_crc: Option<u32>,
    log: Option<u64>,
    redelivered: Option<u64>,
    asked_again: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecordType {
    Run,
    Extended,
    Dropped,
    Call,
    Choice,
    Score,
    Failed,
    Delivered,
    Finished,
}

impl<R> TryFrom<Fields<R>> for Record<R> {
    type Error = String;

    fn try_from(fields: Fields<R>) -> Result<Self, String> {
        fn field<T>(name: &str, value: Option<T>) -> Result<T, String> {
            value.ok_or_else(|| format!("missing field `{name}`"))
        }
        let query = || field("query", fields.query);
        let ms = || field("ms", fields.ms);
        Ok(match fields.r#type {
            RecordType::Run => Self::Run {
                schema: field("schema", fields.schema)?,
                config: field("config", fields.config)?,
            },
            RecordType::Extended => Self::Extended { config: field("config", fields.config)? },
            RecordType::Dropped => Self::Dropped { lines: field("lines", fields.lines)? },
            RecordType::Call => Self::Call {
                query: query()?,
                purpose: field("purpose", fields.purpose)?,
                key: field("key", fields.key)?,
                response: field("response", fields.response)?,
                ms: ms()?,
            },
            RecordType::Choice => Self::Choice {
                query: query()?,
                call: field("call", fields.call)?,
                key: field("key", fields.key)?,
                response: field("response", fields.response)?,
            },
            RecordType::Score => Self::Score {
                query: query()?,
                key: field("key", fields.key)?,
                score: field("score", fields.score)?,
                ms: ms()?,
            },
            RecordType::Failed => Self::Failed {
                query: query()?,
                key: field("key", fields.key)?,
                kind: fields.kind.unwrap_or(ErrorKind::Other),
                message: field("message", fields.message)?,
            },
            RecordType::Delivered => Self::Delivered {
                query: query()?,
                log: field("log", fields.log)?,
                redelivered: field("redelivered", fields.redelivered)?,
                asked_again: field("asked_again", fields.asked_again)?,
            },
            RecordType::Finished => {
                Self::Finished { query: query()?, line_crc: field("line_crc", fields.line_crc)? }
            }
        })
    }
}
