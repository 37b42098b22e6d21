//! What a page holds, as JSON.

use std::collections::HashMap;

use serde_json::{Value as Json, json};

use super::Page;
use super::layout::Layout;
use crate::graph::export::data::{GraphData, NodeKind, RequestData};

/// Texts shorter than this, in bytes, are not worth a place in the table.
const SHORTEST: usize = 24;

/// The data of a page: texts that occur several times, and everything else.
pub(super) struct PageData {
    pub(super) texts: Json,
    pub(super) rest: Json,
}

pub(super) fn of(page: &Page) -> PageData {
    let mut asked: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, call) in page.calls.iter().enumerate() {
        asked.entry(key(&call.request)).or_default().push(index);
    }
    let graphs: Vec<Json> = page
        .graphs
        .iter()
        .map(|(name, graph)| {
            let logged = logged(graph, &asked);
            json!({ "name": name, "data": graph.to_json(), "layout": Layout::of(graph), "logged": logged })
        })
        .collect();
    let mut rest = json!({ "graphs": graphs, "calls": page.calls });
    let mut counts = HashMap::new();
    settle(&mut rest);
    count(&rest, &mut counts);
    let mut table = Table::default();
    table.take(&mut rest, &counts);
    PageData { texts: Json::Array(table.texts), rest }
}

/// For each node that sent a request, the calls that were asked the same.
fn logged(graph: &GraphData, asked: &HashMap<String, Vec<usize>>) -> Vec<(usize, Vec<usize>)> {
    if asked.is_empty() {
        return Vec::new();
    }
    let nodes = graph.nodes.iter().enumerate();
    nodes
        .filter_map(|(node, data)| match &data.kind {
            NodeKind::Call { request: Some(request), .. } => {
                Some((node, asked.get(&key(request))?.clone()))
            }
            _ => None,
        })
        .collect()
}

fn key(request: &RequestData) -> String {
    serde_json::to_string(request).unwrap_or_default()
}

/// Writes settings of the sampling out: a browser would round large seeds, and what stands in provider
/// extras must not be taken for a part of the page's data.
fn settle(json: &mut Json) {
    walk(json, &mut |json| {
        if let Json::Object(object) = json
            && let Some(sampling) = object.get_mut("sampling")
        {
            *sampling = Json::String(format!("{sampling:#}"));
        }
    });
}

fn count(json: &Json, counts: &mut HashMap<String, usize>) {
    match json {
        Json::String(text) if text.len() >= SHORTEST => match counts.get_mut(text) {
            Some(count) => *count += 1,
            None => {
                counts.insert(text.clone(), 1);
            }
        },
        Json::Array(items) => items.iter().for_each(|item| count(item, counts)),
        Json::Object(object) => object.values().for_each(|item| count(item, counts)),
        _ => {}
    }
}

/// Texts that occur several times.
#[derive(Default)]
struct Table {
    texts: Vec<Json>,
    places: HashMap<String, usize>,
}

impl Table {
    /// Puts `{"$": place}` where a text stands that occurs several times.
    fn take(&mut self, json: &mut Json, counts: &HashMap<String, usize>) {
        walk(json, &mut |json| {
            if let Json::String(text) = json
                && counts.get(text).is_some_and(|count| *count > 1)
            {
                let place = *self.places.entry(text.clone()).or_insert_with(|| {
                    self.texts.push(Json::String(text.clone()));
                    self.texts.len() - 1
                });
                *json = json!({ "$": place });
            }
        });
    }
}

/// Visits every value, what it holds first. The depth is that of our own types.
fn walk(json: &mut Json, visit: &mut impl FnMut(&mut Json)) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(|item| walk(item, visit)),
        Json::Object(object) => object.values_mut().for_each(|item| walk(item, visit)),
        _ => {}
    }
    visit(json);
}
