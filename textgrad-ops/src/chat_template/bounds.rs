//! Bounds of chat templates, which are programs of others.
//!
//! The parser, the compiler and the values of minijinja recurse. Its own guard counts parentheses, brackets and
//! nested blocks, but neither operators nor branches, whose number is checked here before anything is parsed. A
//! template can still nest values as deep as its fuel lasts, so parsing and rendering run on a stack that is
//! large enough for that. Fuel pays for data too, 64 bytes a unit, and so bounds memory. Lists that are added to each
//! other pay in [`functions`](super::functions), since the operator itself does not charge for them.

use std::fmt;
use std::io;
use std::thread;

use minijinja::{Error, ErrorKind};

use super::load::ChatTemplateError;

/// The largest source in bytes. The templates of large models with tools have 5 to 30 KB.
const MAX_SOURCE: usize = 256 * 1024;

/// The most tokens of one tag: four times those of the longest tags of models with tools.
const MAX_TOKENS: usize = 1_000;

/// The most `elif` of a template: each is a level of recursion.
const MAX_BRANCHES: usize = 256;

/// The fuel of one rendering: instructions, and units of 64 bytes of data, so 19 MB in all. A turn takes some
/// 100 instructions, and its text is copied a few times.
pub(super) const FUEL: u64 = 300_000;

/// The stack of the thread that parses or renders: over 1 KiB for each level that [`FUEL`] can pay for. Memory
/// is taken only for what is used.
const STACK: usize = 256 * 1024 * 1024;

/// The longest text of a list or mapping: one that repeats its own parts can be exponentially longer than it is
/// large.
const MAX_TEXT: usize = 1024 * 1024;

/// Checks the length of a source, of its tags, and the number of its branches.
pub(super) fn check(source: &str) -> Result<(), ChatTemplateError> {
    let within = |what, most: usize, got: usize| match got > most {
        true => Err(ChatTemplateError::TooLarge { what, most, got }),
        false => Ok(()),
    };
    within("bytes", MAX_SOURCE, source.len())?;
    let (mut rest, mut branches) = (source, 0);
    while let Some((_, after)) = rest.split_once('{') {
        rest = after;
        if let Some(comment) = after.strip_prefix('#') {
            rest = comment.split_once("#}").map_or("", |(_, after)| after);
        } else if let Some(tag) = after.strip_prefix(['{', '%']) {
            let (tokens, length) = tokens(tag);
            within("tokens in one tag", MAX_TOKENS, tokens)?;
            let word = tag.trim_start_matches(['-', '+']).trim_start();
            branches += usize::from(word.starts_with("elif"));
            within("branches", MAX_BRANCHES, branches)?;
            rest = tag.get(length..).unwrap_or_default();
        }
    }
    Ok(())
}

/// The tokens of a tag, at least as many as the parser finds, and its length in bytes. As in the parser, a tag
/// ends outside of strings and brackets.
fn tokens(tag: &str) -> (usize, usize) {
    let (mut tokens, mut open, mut in_word) = (0, 0_usize, false);
    let mut chars = tag.char_indices();
    while let Some((at, c)) = chars.next() {
        let word = c.is_alphanumeric() || c == '_';
        tokens += usize::from(!(c.is_whitespace() || word && in_word));
        in_word = word;
        match c {
            '\'' | '"' => skip_string(&mut chars, c),
            '(' | '[' | '{' => open += 1,
            '}' | '%' if open == 0 && chars.as_str().starts_with('}') => return (tokens, at),
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    (tokens, tag.len())
}

fn skip_string(chars: &mut std::str::CharIndices<'_>, quote: char) {
    let mut escaped = false;
    for (_, c) in chars.by_ref() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return,
            _ => {}
        }
    }
}

/// Does work of the template engine on a stack of a known size.
pub(super) fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    let failed = |reason: String| Error::new(ErrorKind::InvalidOperation, reason);
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| failed(format!("cannot start a thread: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("the template engine panicked".to_owned())))
    })
}

/// A text that refuses to grow beyond the longest that a list or mapping may have.
#[derive(Default)]
pub(super) struct BoundedText(Vec<u8>);

impl BoundedText {
    pub(super) fn into_string(self) -> Result<String, Error> {
        String::from_utf8(self.0)
            .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
    }

    /// What a value looks like.
    pub(super) fn display(value: &impl fmt::Display) -> Result<String, Error> {
        let mut text = Self::default();
        let too_long =
            |_| Error::new(ErrorKind::InvalidOperation, format!("{TOO_LONG} {MAX_TEXT} bytes"));
        fmt::write(&mut text, format_args!("{value}")).map_err(too_long)?;
        text.into_string()
    }
}

const TOO_LONG: &str = "a list or mapping is too long to be written: expected at most";

impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        io::Write::write_all(self, text.as_bytes()).map_err(|_| fmt::Error)
    }
}

impl io::Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_TEXT {
            return Err(io::Error::other(format!("{TOO_LONG} {MAX_TEXT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
