//! A graph as plain data: what is written as JSON, read back, and shown on a page.

mod build;
mod class;
mod read;
mod request;
mod words;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub(crate) use self::class::Class;
pub(crate) use self::request::RequestData;
pub use self::words::{WordChange, WordChangeKind, word_changes};

/// The version of the format.
pub(crate) const VERSION: u32 = 2;

/// A graph as plain data. Nodes are in topological order and known by their position.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GraphData {
    version: u32,
    pub(crate) nodes: Vec<NodeData>,
    pub(crate) edges: Vec<EdgeData>,
    gradients: Vec<GradientData>,
    updates: Vec<UpdateData>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeData {
    id: usize,
    pub(crate) class: Class,
    #[serde(flatten)]
    pub(crate) kind: NodeKind,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum NodeKind {
    Variable {
        role: Arc<str>,
        requires_grad: bool,
        value: ValueData,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        score: Option<ScoreData>,
    },
    Call {
        op: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestData>,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ValueData {
    Text { text: Arc<str> },
    Image { media_type: String, bytes: usize },
}

/// A score; JSON has no number for one that is not finite.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum ScoreData {
    Passed(bool),
    Number(f64),
    NotFinite(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EdgeData {
    kind: EdgeKind,
    pub(crate) from: usize,
    pub(crate) to: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Arc<str>>,
    position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EdgeKind {
    Argument,
    Output,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct GradientData {
    variable: usize,
    consumer: Option<usize>,
    argument: usize,
    kind: GradientKind,
    text: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<RequestData>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GradientKind {
    Objective,
    Feedback,
    Merged,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct UpdateData {
    call: usize,
    before: usize,
    after: usize,
    changes: Vec<WordChange>,
}

impl GraphData {
    pub(crate) fn to_json(&self) -> Json {
        // Every key is a string and every number finite, so this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}
