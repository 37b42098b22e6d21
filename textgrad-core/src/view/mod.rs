//! Graphs and calls as one HTML page to look at.

mod build;
mod data;
mod html;
mod layout;
mod words;

use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use serde::Serialize;
use serde_json::Value as Json;

use self::data::{GraphData, RequestData};
pub use self::words::{WordChange, WordChangeKind, word_changes};
use crate::engine::{EngineError, Request, Response};
use crate::error::Error;
use crate::graph::GraphView;

/// Graphs and calls of engines as one HTML page, for people.
///
/// The page is a single file that needs nothing else: it has its own style and script, asks no server for
/// anything (its content security policy forbids it), and works from a disk. Each graph is drawn, can be
/// moved, enlarged and searched; a node shows its whole text, role and score, what was said about it and by
/// whom, the request that was sent, and what an update changed by word. Calls are a table by purpose.
///
/// Texts are data: whatever stands in them is shown, and never run. They are all in the page, so it is as
/// confidential as they are.
///
/// # Examples
/// ```
/// use textgrad_core::{Graph, Page, Variable};
///
/// let graph = Graph::trace(&Variable::constant("</script><script>alert(1)</script>", "question"));
/// let html = graph.view().to_html();
/// assert!(html.contains("\\u003c/script\\u003e"));
///
/// // The same page from JSON, as from a log.
/// let read = Page::new("textgrad graph").graph_json("graph", &graph.view().to_json())?;
/// assert_eq!(read.to_html(), html);
/// # Ok::<(), textgrad_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Page {
    title: Arc<str>,
    generator: Arc<str>,
    graphs: Vec<(Arc<str>, GraphData)>,
    calls: Vec<PageCall>,
}

impl Page {
    /// The part of the page's script that shows characters that would not be seen by a sign: control characters,
    /// and those that turn the order of what follows around or have no width. Other pages that show texts of
    /// models should carry it too, so that nothing is hidden on any of them.
    ///
    /// It defines `signs(text)`, the text with signs, and `fill(node, text)`, which appends the text to an element
    /// with each sign in a `span` of the class `code`. It needs `el(tag, properties)`, which makes an element. It
    /// holds nothing that could end a script element.
    pub const UNSEEN_SCRIPT: &str = include_str!("assets/unseen.js");

    /// JSON for the inside of a script element, which nothing in it can end.
    #[must_use]
    pub fn script_json(json: &serde_json::Value) -> String {
        html::escape_json(json)
    }

    /// A page without content.
    pub fn new(title: impl Into<Arc<str>>) -> Self {
        let generator = "textgrad-core".into();
        Self { title: title.into(), generator, graphs: Vec::new(), calls: Vec::new() }
    }

    /// The name of the program that makes the page, in its `<meta name="generator">`: a program can know its own pages
    /// by it. Default: `textgrad-core`.
    ///
    /// # Examples
    /// ```
    /// let html = textgrad_core::Page::new("a search").generator("my program").to_html();
    /// assert!(html.contains(r#"<meta name="generator" content="my program">"#));
    /// ```
    #[must_use]
    pub fn generator(mut self, name: impl Into<Arc<str>>) -> Self {
        self.generator = name.into();
        self
    }

    /// Adds a graph under a name.
    #[must_use]
    pub fn graph(mut self, name: impl Into<Arc<str>>, view: &GraphView<'_>) -> Self {
        self.graphs.push((name.into(), GraphData::of(view)));
        self
    }

    /// Adds a graph under a name, from what [`GraphView::to_json`] wrote.
    ///
    /// # Errors
    /// [`Error::GraphJson`] if it is none, is of another version, or points to nodes that it does not have.
    pub fn graph_json(mut self, name: impl Into<Arc<str>>, graph: &Json) -> Result<Self, Error> {
        self.graphs.push((name.into(), GraphData::from_json(graph)?));
        Ok(self)
    }

    /// Adds calls, to be listed in this order. Where a call of a graph sent the same request, its node shows
    /// what it came to.
    #[must_use]
    pub fn calls(mut self, calls: impl IntoIterator<Item = PageCall>) -> Self {
        self.calls.extend(calls);
        self
    }

    /// The page. A text or a line that occurs several times, as in requests that quote it, is in it once.
    #[must_use]
    pub fn to_html(&self) -> String {
        html::render(self)
    }
}

impl GraphView<'_> {
    /// The graph as one HTML page; see [`Page`]. Like JSON, it has all of every text.
    #[must_use]
    pub fn to_html(&self) -> String {
        Page::new("textgrad graph").graph("graph", self).to_html()
    }

    /// The graph as JSON, with whatever a person would look for in it.
    ///
    /// | field | |
    /// |---|---|
    /// | `version` | of this format; it goes up when an older reader would misread it |
    /// | `stages` | the names of stages, which follow one another; missing without [annotations](crate::Annotations) |
    /// | `nodes` | in topological order, `id` counting from 0. A `variable` has `role`, `requires_grad`, `value` and, where there is one, `score` and `label`; a `call` has `op` and, where an engine was asked, `request`. `class` says what part it plays: `parameter`, `input`, `value`, `output`, `loss`, `feedback`, `update`, `model`, `function`. `stage` is a position in `stages` |
    /// | `edges` | `argument` from a variable to a call, `output` from a call to a variable |
    /// | `gradients` | what reached which variable, from which call (`consumer`) for which `argument`; empty unless gradients are shown. `words` is the node of the feedback's words if it is in the graph, `request` the request that brought them if it is not. Kind `merged` is what a reduction made of several |
    /// | `updates` | which variable is a new version of which, and what changed by word: pairs of `=`, `-` or `+` and a number of characters (Unicode scalar values), to be read along both texts |
    ///
    /// Texts are whole; of an image, type and size are given. [`Page`](crate::Page) makes a page of it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        GraphData::of(self).to_json()
    }
}

/// A call of an engine, for [`Page::calls`](crate::Page::calls).
#[derive(Debug, Clone, Serialize, Setters)]
#[setters(generate = false)]
pub struct PageCall {
    engine: String,
    /// Whether the answer is simulated; the page says so.
    #[setters(generate)]
    simulation: bool,
    request: RequestData,
    #[serde(flatten)]
    outcome: Outcome,
    /// When it began, in milliseconds since the Unix epoch.
    #[setters(generate, rename = "began", strip_option)]
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Response(Response),
    Error(Json),
}

impl PageCall {
    /// A call: the engine's name, what it was asked, and what it answered.
    pub fn new(
        engine: impl Into<String>,
        request: Request,
        result: Result<Response, EngineError>,
    ) -> Self {
        Self {
            engine: engine.into(),
            simulation: false,
            request: request.into(),
            outcome: match result {
                Ok(response) => Outcome::Response(response),
                Err(error) => Outcome::Error(serde_json::json!({
                    "kind": error.kind().as_str(),
                    "message": error.to_string(),
                    "retryable": error.is_retryable(),
                })),
            },
            time: None,
            ms: None,
        }
    }

    /// How long it took.
    #[must_use]
    pub fn took(mut self, latency: Duration) -> Self {
        self.ms = Some(latency.as_secs_f64() * 1e3);
        self
    }
}
