//! A graph as plain data: what is written as JSON, read back, and shown on a page.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::build::Class;
use super::words::WordChange;
use crate::engine::{Format, MessageRole, Part, Purpose, Request, Sampling};
use crate::error::Error;
use crate::score::Score;

/// The version of the format.
pub(super) const VERSION: u32 = 2;

/// A graph as plain data. Nodes are in topological order and known by their position.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct GraphData {
    pub(super) version: u32,
    /// The names of stages, which follow one another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) stages: Vec<Arc<str>>,
    pub(super) nodes: Vec<NodeData>,
    pub(super) edges: Vec<EdgeData>,
    pub(super) gradients: Vec<GradientData>,
    pub(super) updates: Vec<UpdateData>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NodeData {
    pub(super) id: usize,
    pub(super) class: Class,
    /// The position of the node's stage among all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stage: Option<usize>,
    #[serde(flatten)]
    pub(super) kind: NodeKind,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum NodeKind {
    Variable {
        role: Arc<str>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<Arc<str>>,
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
pub(super) enum ValueData {
    Text { text: Arc<str> },
    Image { media_type: String, bytes: usize },
}

/// A score; JSON has no number for one that is not finite.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum ScoreData {
    Passed(bool),
    Number(f64),
    NotFinite(String),
}

impl From<Score> for ScoreData {
    fn from(score: Score) -> Self {
        match score {
            Score::Passed(passed) => Self::Passed(passed),
            Score::Number(number) if number.is_finite() => Self::Number(number),
            Score::Number(number) => Self::NotFinite(number.to_string()),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EdgeData {
    pub(super) kind: EdgeKind,
    pub(super) from: usize,
    pub(super) to: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<Arc<str>>,
    pub(super) position: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EdgeKind {
    Argument,
    Output,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct GradientData {
    pub(super) variable: usize,
    pub(super) consumer: Option<usize>,
    pub(super) argument: usize,
    pub(super) kind: GradientKind,
    pub(super) text: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) words: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<RequestData>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GradientKind {
    Objective,
    Feedback,
    Merged,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct UpdateData {
    pub(super) call: usize,
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) changes: Vec<WordChange>,
}

impl GraphData {
    pub(super) fn to_json(&self) -> Json {
        // Every key is a string and every number finite, so this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads what [`GraphData::to_json`] wrote, and checks that everything it points to is there.
    pub(super) fn from_json(json: &Json) -> Result<Self, Error> {
        let wrong = |problem: String| Error::GraphJson { expected: VERSION, problem };
        match json.get("version").map(Json::as_u64) {
            Some(Some(version)) if version == u64::from(VERSION) => {}
            Some(version) => {
                let version = version.map_or_else(|| "no number".to_owned(), |v| v.to_string());
                return Err(wrong(format!("its version is {version}")));
            }
            None => return Err(wrong("it has no field `version`".to_owned())),
        }
        let data = Self::deserialize(json).map_err(|error| wrong(error.to_string()))?;
        data.validate().map_err(wrong)?;
        Ok(data)
    }

    /// # Errors
    /// What is wrong with ids, edges or references, in words.
    fn validate(&self) -> Result<(), String> {
        let count = self.nodes.len();
        let unknown = |node: usize| node >= count;
        let stages = self.stages.len();
        let stage = |node: &NodeData| node.stage.filter(|stage| *stage >= stages);
        if let Some(stage) = self.nodes.iter().find_map(stage) {
            return Err(format!("a node is of stage {stage}, but there are {stages} stages"));
        }
        if let Some((index, node)) = self.nodes.iter().enumerate().find(|(i, node)| node.id != *i) {
            return Err(format!("node {index} has the id {}", node.id));
        }
        if let Some(edge) = self.edges.iter().find(|edge| edge.from >= edge.to || unknown(edge.to))
        {
            return Err(format!(
                "an edge leads from {} to {}, but edges lead from smaller ids to larger ones below {count}",
                edge.from, edge.to
            ));
        }
        let gradients = self.gradients.iter().flat_map(|gradient| {
            [Some(gradient.variable), gradient.consumer, gradient.words].into_iter().flatten()
        });
        let updates =
            self.updates.iter().flat_map(|update| [update.call, update.before, update.after]);
        match gradients.chain(updates).find(|node| unknown(*node)) {
            None => Ok(()),
            Some(node) => Err(format!(
                "a gradient or an update is about node {node}, but there are {count} nodes"
            )),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RequestData {
    pub(super) purpose: Purpose,
    messages: Vec<MessageData>,
    sampling: Sampling,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    format: Option<Format>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct MessageData {
    role: MessageRole,
    parts: Vec<PartData>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
enum PartData {
    Text { text: String },
    Image { media_type: String, bytes: usize },
}

impl From<Request> for RequestData {
    fn from(request: Request) -> Self {
        let part = |part: Part| match part {
            Part::Text(text) => PartData::Text { text: text.to_string() },
            Part::Image(image) => PartData::Image {
                media_type: image.media_type().to_owned(),
                bytes: image.bytes().len(),
            },
        };
        let messages = request.messages.into_iter().map(|message| MessageData {
            role: message.role,
            parts: message.parts.into_iter().map(part).collect(),
        });
        Self {
            purpose: request.purpose,
            messages: messages.collect(),
            sampling: request.sampling,
            format: request.format,
        }
    }
}
