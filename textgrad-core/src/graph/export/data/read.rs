//! From JSON back to data.

use serde::Deserialize as _;
use serde_json::Value as Json;

use super::{GraphData, VERSION};
use crate::error::Error;

impl GraphData {
    /// Reads what [`GraphData::to_json`] wrote, and checks that everything it points to is there.
    pub(crate) fn from_json(json: &Json) -> Result<Self, Error> {
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
        data.complaint().map_or(Ok(data), |problem| Err(wrong(problem)))
    }

    fn complaint(&self) -> Option<String> {
        let count = self.nodes.len();
        let unknown = |node: usize| node >= count;
        if let Some((place, node)) = self.nodes.iter().enumerate().find(|(i, node)| node.id != *i) {
            return Some(format!("node {place} has the id {}", node.id));
        }
        if let Some(edge) = self.edges.iter().find(|edge| edge.from >= edge.to || unknown(edge.to))
        {
            return Some(format!(
                "an edge leads from {} to {}, but edges lead from smaller ids to larger ones below {count}",
                edge.from, edge.to
            ));
        }
        let gradients = self.gradients.iter().flat_map(|gradient| {
            [Some(gradient.variable), gradient.consumer, gradient.words].into_iter().flatten()
        });
        let updates =
            self.updates.iter().flat_map(|update| [update.call, update.before, update.after]);
        gradients.chain(updates).find(|node| unknown(*node)).map(|node| {
            format!("a gradient or an update is about node {node}, but there are {count} nodes")
        })
    }
}
