//! Data of a page, as JSON.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value as Json, json};

use super::Page;
use super::data::{GraphData, NodeKind, RequestData};
use super::layout::Layout;

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
    settle(&mut rest);
    let mut table = Table::default();
    table.count(&rest);
    table.take(&mut rest);
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

/// Writes settings of the sampling and the format of the answer out: a browser would round large numbers, and
/// what stands in provider extras and schemas must not be taken for a part of the page's data.
fn settle(json: &mut Json) {
    walk(json, &mut |json| {
        let Json::Object(object) = json else { return };
        for field in ["sampling", "format"] {
            if let Some(settings) = object.get_mut(field) {
                *settings = Json::String(format!("{settings:#}"));
            }
        }
    });
}

/// Texts and lines that occur several times: requests quote what stands elsewhere.
#[derive(Default)]
struct Table {
    /// How often each was seen, by its hash: two that share one are at worst in the table for nothing.
    counts: HashMap<u64, u32>,
    texts: Vec<Json>,
    places: HashMap<String, usize>,
}

impl Table {
    fn count(&mut self, json: &Json) {
        match json {
            Json::String(text) => {
                self.see(text);
                let lines = text.split_inclusive('\n');
                lines.filter(|line| line.len() < text.len()).for_each(|line| self.see(line));
            }
            Json::Array(items) => items.iter().for_each(|item| self.count(item)),
            Json::Object(object) => object.values().for_each(|item| self.count(item)),
            _ => {}
        }
    }

    fn see(&mut self, text: &str) {
        if text.len() >= SHORTEST {
            *self.counts.entry(hash(text)).or_default() += 1;
        }
    }

    /// Where a text stands that occurs several times, puts `{"$": place}`, and where one stands some of
    /// whose lines do, a list `{"$": [place or text, ...]}` of its pieces.
    fn take(&mut self, json: &mut Json) {
        walk(json, &mut |json| {
            let Json::String(text) = json else { return };
            if let Some(place) = self.place(text) {
                *json = json!({ "$": place });
                return;
            }
            let mut pieces: Vec<Json> = Vec::new();
            let mut found = false;
            for line in text.split_inclusive('\n') {
                match (self.place(line), pieces.last_mut()) {
                    (Some(place), _) => {
                        found = true;
                        pieces.push(place.into());
                    }
                    (None, Some(Json::String(before))) => before.push_str(line),
                    (None, _) => pieces.push(line.into()),
                }
            }
            if found {
                *json = json!({ "$": pieces });
            }
        });
    }

    /// The place in the table of a text that occurs several times.
    fn place(&mut self, text: &str) -> Option<usize> {
        let often = text.len() >= SHORTEST && self.counts.get(&hash(text)).is_some_and(|n| *n > 1);
        if !often {
            return None;
        }
        if let Some(place) = self.places.get(text) {
            return Some(*place);
        }
        self.texts.push(text.into());
        self.places.insert(text.to_owned(), self.texts.len() - 1);
        Some(self.texts.len() - 1)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
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
