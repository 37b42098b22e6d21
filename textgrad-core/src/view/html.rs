//! A page as HTML: its data as JSON, and the elements around it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value as Json, json};

use super::Page;
use super::data::{GraphData, NodeKind, RequestData};
use super::layout::Layout;

const STYLE: &str = include_str!("assets/style.css");
/// One script of several files, so that the policy names one hash.
const SCRIPT: &str = concat!(
    include_str!("assets/dom.js"),
    include_str!("assets/unseen.js"),
    include_str!("assets/graph.js"),
    include_str!("assets/camera.js"),
    include_str!("assets/draw.js"),
    include_str!("assets/panel.js"),
    include_str!("assets/calls.js"),
    include_str!("assets/search.js"),
    include_str!("assets/main.js"),
);
/// What the page may do: run this one script and this one style, and nothing else. No address can be asked
/// for anything, and nothing that got into the page otherwise could run. The hashes are checked by a test,
/// which prints those to write here.
const POLICY: &str = "default-src 'none'; script-src 'sha256-tknHhN5wUrBePnIVTqACrTm+8XJv93+RwjHcqp8qBuE='; style-src 'sha256-ONvNAwpaDuFD1PN2GiWWjY6symOalCeNS+6BhzreGpA='; base-uri 'none'; form-action 'none'";
const BODY: &str = include_str!("assets/body.html");

pub(super) fn render(page: &Page) -> String {
    let (texts, data) = page_data(page);
    format!(
        include_str!("assets/page.html"),
        policy = POLICY,
        title = escape_text(&page.title),
        generator = escape_text(&page.generator).replace('"', "&quot;"),
        style = STYLE,
        body = BODY,
        texts = escape_json(&texts),
        data = escape_json(&data),
        script = SCRIPT
    )
}

/// Text between tags.
fn escape_text(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            c if c.is_control() => html.push(' '),
            c => html.push(c),
        }
    }
    html
}

/// JSON inside a script element: nothing in it can end the element or open a comment, since what could is
/// escaped, as is what an editor would not show. These characters occur in JSON only within strings.
pub(super) fn escape_json(json: &Json) -> String {
    let json = json.to_string();
    let mut html = String::with_capacity(json.len() + json.len() / 16);
    let special =
        |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') || c.is_control();
    for piece in json.split_inclusive(special) {
        match piece.char_indices().next_back() {
            Some((at, c)) if special(c) => {
                html.push_str(piece.get(..at).unwrap_or_default());
                let _ = write!(html, "\\u{:04x}", u32::from(c));
            }
            _ => html.push_str(piece),
        }
    }
    html
}

/// Texts shorter than this, in bytes, are not worth an entry in the table.
const MIN_SHARED_LENGTH: usize = 24;

/// The data of a page: texts that occur several times, and everything else.
fn page_data(page: &Page) -> (Json, Json) {
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
    write_settings(&mut rest);
    let mut table = Table::default();
    table.count(&rest);
    table.take(&mut rest);
    (Json::Array(table.texts), rest)
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

/// Writes the sampling parameters and the format of the answer as texts: a browser would round large numbers, and
/// provider extras and schemas must not be taken for a part of the page's data.
fn write_settings(json: &mut Json) {
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
    positions: HashMap<String, usize>,
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
        if text.len() >= MIN_SHARED_LENGTH {
            *self.counts.entry(hash(text)).or_default() += 1;
        }
    }

    /// Replaces a text that occurs several times by `{"$": position}`, and one some of whose lines do by a list
    /// `{"$": [position or text, ...]}` of its pieces.
    fn take(&mut self, json: &mut Json) {
        walk(json, &mut |json| {
            let Json::String(text) = json else { return };
            if let Some(position) = self.position(text) {
                *json = json!({ "$": position });
                return;
            }
            let mut pieces: Vec<Json> = Vec::new();
            let mut found = false;
            for line in text.split_inclusive('\n') {
                match (self.position(line), pieces.last_mut()) {
                    (Some(position), _) => {
                        found = true;
                        pieces.push(position.into());
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

    /// The position in the table of a text that occurs several times.
    fn position(&mut self, text: &str) -> Option<usize> {
        let is_shared = |count: &u32| text.len() >= MIN_SHARED_LENGTH && *count > 1;
        self.counts.get(&hash(text)).copied().filter(is_shared)?;
        if let Some(position) = self.positions.get(text) {
            return Some(*position);
        }
        let position = self.texts.len();
        self.texts.push(text.into());
        self.positions.insert(text.to_owned(), position);
        Some(position)
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

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_the_script_and_the_style() {
        let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        for (what, text) in [("script", SCRIPT), ("style", STYLE)] {
            let expected = format!("{what}-src {};", hash(text));
            assert!(
                POLICY.contains(&expected),
                "the {what} changed, the policy must say: {expected}"
            );
        }
    }

    #[test]
    fn nothing_in_the_script_or_the_style_could_end_its_element() {
        assert!(!SCRIPT.contains("</script") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style"));
    }
}
