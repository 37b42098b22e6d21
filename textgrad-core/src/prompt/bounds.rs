//! Bounds of prompt packs.
//!
//! The parser of handlebars, the check and the rendering recurse once for each level of nesting, and handlebars
//! counts none. A template is parsed and checked on a stack that is large enough for the longest source; what
//! the check lets pass is rendered on any stack.

use std::io;
use std::thread;

/// The largest template in bytes. The longest default has 3 KB.
pub(super) const MAX_SOURCE: usize = 64 * 1024;

/// The most levels of blocks, branches, partials and parentheses. The default templates have four.
pub(super) const MAX_DEPTH: usize = 64;

/// The most `each` within each other: every one multiplies the work by the length of a list.
pub(super) const MAX_LOOPS: usize = 4;

/// The most elements of a template, with those of its partials wherever they are included.
pub(super) const MAX_ELEMENTS: usize = 20_000;

/// The longest prompt in bytes.
const MAX_PROMPT: usize = 64 * 1024 * 1024;

/// The stack of the thread that parses: 4 KiB for each byte of the longest source, which is what the parser
/// takes for a level without optimization. Memory is taken only for what is used.
const STACK: usize = 4 * 1024 * MAX_SOURCE;

/// The most levels that are parsed on any stack: 400 KB of it without optimization.
pub(super) const SHALLOW: usize = 100;

/// Does work that recurses over a source.
pub(super) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work)?;
        thread.join().map_err(|_| io::Error::other("the template engine panicked"))
    })
}

/// A prompt that refuses to grow beyond the longest that there may be.
pub(super) struct BoundedPrompt(pub(super) Vec<u8>);

impl Default for BoundedPrompt {
    fn default() -> Self {
        // What most prompts take: growth copies.
        Self(Vec::with_capacity(8 * 1024))
    }
}

impl io::Write for BoundedPrompt {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_PROMPT {
            return Err(io::Error::other(format!("expected at most {MAX_PROMPT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
