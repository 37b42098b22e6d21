//! From a log to a page, as files.

use std::path::Path;

use super::{LogError, RunLog};

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
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = out.with_file_name(name);
    let written = std::fs::write(&part, html).and_then(|()| std::fs::rename(&part, out));
    written.map_err(|source| LogError::Page { path: out.to_owned(), source })?;
    Ok(read)
}
