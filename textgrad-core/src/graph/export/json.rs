//! JSON, for other programs.

use serde_json::{Value as Json, json};

use super::GraphView;
use crate::graph::{GraphEdge, GraphNode};
use crate::value::Value;

/// The version of the format that [`GraphView::to_json`] writes.
const VERSION: u32 = 1;

impl GraphView<'_> {
    /// The graph as JSON: `version`, `nodes` in topological order (`id` counts from 0), `edges`, and
    /// `gradients` (empty unless they are shown). Texts are whole; of an image, type and size are given.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let nodes: Vec<Json> = self
            .nodes()
            .map(|(index, node)| match node {
                GraphNode::Variable(variable) => json!({
                    "id": index.index(),
                    "kind": "variable",
                    "role": variable.role(),
                    "requires_grad": variable.requires_grad(),
                    "value": value(variable.value()),
                }),
                GraphNode::Call(call) => json!({
                    "id": index.index(),
                    "kind": "call",
                    "op": call.op().name(),
                }),
            })
            .collect();
        let edges: Vec<Json> = self
            .edges()
            .map(|(from, to, edge)| {
                let (from, to) = (from.index(), to.index());
                match edge {
                    GraphEdge::Argument { name, position } => json!({
                        "kind": "argument", "from": from, "to": to, "name": name, "position": position,
                    }),
                    GraphEdge::Output { position } => json!({
                        "kind": "output", "from": from, "to": to, "position": position,
                    }),
                }
            })
            .collect();
        let gradients: Vec<Json> = self
            .notes()
            .into_iter()
            .map(|note| {
                json!({
                    "variable": note.variable.index(),
                    "consumer": note.consumer.map(|consumer| consumer.index()),
                    "argument": note.argument,
                    "kind": if note.text.is_some() { "feedback" } else { "objective" },
                    "text": note.text,
                })
            })
            .collect();
        json!({ "version": VERSION, "nodes": nodes, "edges": edges, "gradients": gradients })
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({ "type": "text", "text": text }),
        Value::Image(image) => {
            json!({ "type": "image", "media_type": image.media_type(), "bytes": image.bytes().len() })
        }
    }
}
