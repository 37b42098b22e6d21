//! The page of a run log.

use std::path::Path;

use textgrad_core::{GraphView, Page, PageCall};

use super::log::{Entry, RunLogger, unix_ms};
use super::run_log::{LogError, RunLog, RunLogCall, RunLogGraph};
use crate::util::fs;

impl RunLogger {
    /// Writes a graph under a name, so that [`RunLog::page`] shows it.
    ///
    /// # Errors
    /// [`LogError`] if it cannot be written.
    pub async fn graph(
        &self,
        name: impl Into<String>,
        view: &GraphView<'_>,
    ) -> Result<(), LogError> {
        let graph = RunLogGraph { time: unix_ms(), name: name.into(), json: view.to_json() };
        self.write(Entry::Graph(graph))
    }
}

impl RunLogGraph {
    /// The page of the graph alone: that of [`GraphView::to_html`], under
    /// the name of the graph.
    ///
    /// # Errors
    /// [`LogError::Graph`] if what was written is no graph of a known version.
    pub fn page(&self) -> Result<Page, LogError> {
        self.add_to(Page::new(self.name.as_str()))
    }

    fn add_to(&self, page: Page) -> Result<Page, LogError> {
        page.graph_json(self.name.as_str(), &self.json)
            .map_err(|source| LogError::Graph { name: self.name.clone(), source })
    }
}

impl RunLog {
    /// A page of all graphs and calls, the calls in the order in which they began. A node of a graph shows
    /// the calls that were asked what it asked.
    ///
    /// # Examples
    /// ```
    /// # fn show(log: &textgrad_ops::store::RunLog) -> Result<(), Box<dyn std::error::Error>> {
    /// std::fs::write("run.html", log.page()?.to_html())?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`LogError::Graph`] if a graph is of an unknown version.
    pub fn page(&self) -> Result<Page, LogError> {
        let page = Page::new("textgrad run");
        let page = self.graphs.iter().try_fold(page, |page, graph| graph.add_to(page))?;
        let mut calls: Vec<&RunLogCall> = self.calls.iter().collect();
        calls.sort_by_key(|call| call.time);
        Ok(page.calls(calls.into_iter().map(RunLogCall::on_page)))
    }
}

impl RunLogCall {
    fn on_page(&self) -> PageCall {
        PageCall::new(self.engine.clone(), self.request.clone(), self.result.clone())
            .began(self.time)
            .took(self.latency)
            .simulation(self.is_simulation)
    }
}

/// Reads the run log at `log` and writes its page to `out`, whole or not at all: an older page there is
/// replaced only when the new one is written.
///
/// Blocks; call it from a program without a runtime or within `spawn_blocking`. Returns what was read.
///
/// # Errors
/// [`LogError`] if the log cannot be read or the page cannot be written.
pub fn write_page(log: &Path, out: &Path) -> Result<RunLog, LogError> {
    let read = RunLog::read_blocking(log)?;
    let html = read.page()?.to_html();
    let written = fs::replace(out, html.as_bytes());
    written.map_err(|source| LogError::Page { path: out.to_owned(), source })?;
    Ok(read)
}
