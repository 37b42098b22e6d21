//! Tagged replies: the tags between which a model writes a text or a grade, their reader, and requests that are
//! sent again with what was wrong.

mod copied;
mod fence;
mod grammar;
mod request;
mod spelling;
mod unclosed;
mod value;

use std::ops::Range;

use textgrad_core::{Choice, FinishReason};

pub(crate) use self::copied::{Marks, OMISSION};
pub(crate) use self::fence::unwrap as unwrap_fence;
pub(crate) use self::request::{CallSettings, NO_ANSWER, with_note};
pub use self::request::{TaggedReply, TaggedRequest, Unreadable};
pub(crate) use self::value::read_number;
pub use self::value::{read_grade, read_word};
use crate::error::Error;
use crate::util::reasoning::answer_in;

/// The tags between which a model puts a new text.
///
/// # Examples
/// ```
/// use textgrad_ops::Tags;
///
/// let tags = Tags::default();
/// let reply = "The <IMPROVED_VARIABLE> tags go here:\n<IMPROVED_VARIABLE>\nnew text\n</IMPROVED_VARIABLE>";
/// assert_eq!(tags.extract(reply), Ok("new text"));
/// assert!(tags.extract("new text").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    start: String,
    end: String,
}

/// Why no text could be read from an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The first tag is nowhere.
    #[error("the opening tag {0} was missing")]
    NoStart(String),
    /// The second tag does not follow the first.
    #[error("the closing tag {0} was missing")]
    NoEnd(String),
    /// There is nothing between the tags.
    #[error("there was nothing between {0} and its closing tag")]
    Empty(String),
    /// The reasoning before the text has no end.
    #[error("its reasoning did not end")]
    OpenReasoning,
    /// The reply did not end, so whatever it holds is not final.
    #[error("{}", unfinished(.0))]
    Unfinished(FinishReason),
}

fn unfinished(reason: &FinishReason) -> String {
    match reason.as_str() {
        _ if reason.is_cut_off() => {
            format!("it was truncated (finish reason {reason}); raise max tokens")
        }
        "" => "it broke off (no finish reason)".to_owned(),
        reason => format!("it broke off (finish reason {reason})"),
    }
}

impl Default for Tags {
    /// `<IMPROVED_VARIABLE>` and `</IMPROVED_VARIABLE>`, as TextGrad has them.
    fn default() -> Self {
        Self::of("<IMPROVED_VARIABLE>", "</IMPROVED_VARIABLE>")
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Start,
    End,
}

/// A tag in an answer, with the Markdown marks around it.
struct Found {
    kind: Kind,
    at: usize,
    to: usize,
    /// It is the first on its line.
    first: bool,
    /// It stands where the new text could begin or end.
    edge: bool,
}

impl Tags {
    /// Tags of one's own.
    ///
    /// # Errors
    /// [`Error::Tags`] if one is empty, spans lines, or holds the other.
    pub fn new(start: impl Into<String>, end: impl Into<String>) -> Result<Self, Error> {
        let (start, end) = (start.into(), end.into());
        let sound =
            |tag: &str| !tag.trim().is_empty() && tag.trim() == tag && tag.lines().count() == 1;
        if sound(&start) && sound(&end) && !start.contains(&end) && !end.contains(&start) {
            Ok(Self { start, end })
        } else {
            Err(Error::Tags { start, end })
        }
    }

    /// Tags that are known to be sound.
    pub(crate) fn of(start: &'static str, end: &'static str) -> Self {
        Self { start: start.to_owned(), end: end.to_owned() }
    }

    /// What stands before the new text.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    /// What stands behind it.
    #[must_use]
    pub fn end(&self) -> &str {
        &self.end
    }

    /// Reads the new text from an answer, without the white space around it.
    ///
    /// Models mention the tags while they think, write drafts, and write about tags; so the text is what
    /// stands between an opening tag at the beginning of a line and its closing tag at the end of one. Of
    /// several such blocks the last one counts, a block inside another is part of it, and tags in the middle
    /// of a line are text. Where no tags stand like that, or one more is closed than was opened, the text
    /// runs from the last opening tag before the last closing one to that one, if at least one of the two
    /// stands at such an edge: a sentence about the tags is no text, and neither is the `and` between two tags
    /// with which a line of prose ends.
    ///
    /// The reply must have ended: the only tag may then be an opening one at the beginning of a line, with the text up
    /// to the end of the reply behind it. Anything there that looks like another section makes the reply unusable, and
    /// so does any other opening tag at the beginning of a line that is never closed.
    ///
    /// Reasoning at the beginning (`<think>..</think>`) is left out, with all tags in it.
    ///
    /// Emphasis, code and heading marks of Markdown around a tag (`**<TAG>**`) belong to the tag. A tag may have
    /// other letter case, blanks, attributes, `\_` for `_`, and entities for its brackets. Sections of the request
    /// that enclose the whole text (`<VARIABLE>..</VARIABLE>`) are not part of it.
    ///
    /// # Errors
    /// An [`ExtractError`] that says what was missing.
    pub fn extract<'a>(&self, reply: &'a str) -> Result<&'a str, ExtractError> {
        Ok(reply.get(self.find(reply)?).unwrap_or_default())
    }

    /// Where that text stands in the answer, in bytes.
    ///
    /// # Errors
    /// As [`extract`](Self::extract).
    pub fn find(&self, reply: &str) -> Result<Range<usize>, ExtractError> {
        let answer = answer_in(reply).ok_or(ExtractError::OpenReasoning)?;
        let text = reply.get(answer.clone()).unwrap_or_default();
        let found = self.find_among(self.tags_in(text, spelling::places), text);
        let found = found.or_else(|error| {
            // A text may hold other spellings of its tags, unmatched.
            let exact = |reply: &str, tag: &str| {
                reply.match_indices(tag).map(|(at, tag)| (at, tag.len())).collect()
            };
            self.find_among(self.tags_in(text, exact), text).map_err(|_| error)
        })?;
        Ok(answer.start + found.start..answer.start + found.end)
    }

    fn find_among(&self, tags: Vec<Found>, reply: &str) -> Result<Range<usize>, ExtractError> {
        let tags = without_mentions(tags, reply);
        let unclosed = match tags.as_slice() {
            [Found { kind: Kind::Start, first: true, to, .. }] => Some(*to),
            _ => None,
        };
        let is_text = |from: &usize| unclosed::is_text(reply.get(*from..).unwrap_or_default());
        let (from, to) = match unclosed.filter(is_text) {
            Some(from) => (from, reply.len()),
            None => match self.last_block(&tags)? {
                Some(block) => block,
                None => self.last_pair(&tags)?,
            },
        };
        let mut at = trimmed(reply, from..to);
        let section = |at: &Range<usize>| {
            let text = reply.get(at.clone())?;
            let inner = spelling::SECTIONS.iter().find_map(|name| spelling::unwrap(text, name))?;
            Some(trimmed(reply, at.start + inner.start..at.start + inner.end))
        };
        while let Some(inner) = section(&at) {
            at = inner;
        }
        if at.is_empty() { Err(ExtractError::Empty(self.start.clone())) } else { Ok(at) }
    }

    /// Reads the new text from a reply that ended. Where the tags are written with entities, so is the text.
    pub(crate) fn read(&self, choice: &Choice) -> Result<String, ExtractError> {
        if !choice.finish_reason.is_end() {
            return Err(ExtractError::Unfinished(choice.finish_reason.clone()));
        }
        let at = self.find(&choice.text)?;
        let text = choice.text.get(at.clone()).unwrap_or_default();
        let before = choice.text.get(..at.start).unwrap_or_default().trim_end();
        Ok(if before.ends_with("&gt;") { value::unescape(text) } else { text.to_owned() })
    }

    /// Reads the one value of a reply that ended. With `bare`, a reply that is the value alone, or lacks one of
    /// the tags around it, has it too.
    pub(crate) fn read_value<T: PartialEq>(
        &self,
        choice: &Choice,
        bare: bool,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, String> {
        let answer = answer_in(&choice.text).and_then(|answer| choice.text.get(answer));
        let reply = answer.unwrap_or_default();
        let missing = match self.read(choice) {
            Ok(text) => {
                let value = read(&text)?;
                for other in self.pairs(reply) {
                    if other.trim() != text && read(other).is_ok_and(|other| other != value) {
                        let (start, end) = (&self.start, &self.end);
                        return Err(format!(
                            "expected one value between {start} and {end}, got two"
                        ));
                    }
                }
                return Ok(value);
            }
            Err(missing) => missing,
        };
        let tags = self.tags_in(reply, spelling::places);
        let text = match tags.as_slice() {
            _ if !bare || !choice.finish_reason.is_end() => None,
            [] => Some(reply),
            [Found { kind: Kind::Start, to, .. }] => reply.get(*to..),
            [Found { kind: Kind::End, at, .. }] => reply.get(..*at),
            _ => None,
        };
        text.and_then(|text| read(text.trim()).ok()).ok_or_else(|| missing.to_string())
    }

    /// How many tags of both kinds a text has.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.tags_in(text, spelling::places).len()
    }

    /// The texts between an opening tag and the closing tag that follows it.
    pub(crate) fn pairs<'a>(&self, reply: &'a str) -> Vec<&'a str> {
        let tags = self.tags_in(reply, spelling::places);
        let pair = |pair: &[Found]| match pair {
            [start, end] if (start.kind, end.kind) == (Kind::Start, Kind::End) => {
                reply.get(start.to..end.at)
            }
            _ => None,
        };
        tags.windows(2).filter_map(pair).collect()
    }

    /// The last block between tags that stand at the edges of lines, nested ones matched.
    fn last_block(&self, tags: &[Found]) -> Result<Option<(usize, usize)>, ExtractError> {
        let mut open = Vec::new();
        let mut block = None;
        for (index, tag) in tags.iter().enumerate().filter(|(_, tag)| tag.edge) {
            match (tag.kind, open.pop()) {
                (Kind::Start, outer) => {
                    open.extend(outer);
                    open.push((index, tag.to));
                }
                (Kind::End, Some((_, from))) if open.is_empty() => block = Some((from, tag.at)),
                (Kind::End, Some(_)) => {}
                // Either this one or the one before it was text.
                (Kind::End, None) => block = None,
            }
        }
        for (index, _) in &open {
            if !is_closed_before_an_edge(tags.iter().skip(index + 1)) {
                return Err(ExtractError::NoEnd(self.end.clone()));
            }
        }
        Ok(if open.is_empty() { block } else { None })
    }

    /// From the last opening tag before the last closing one to that one.
    fn last_pair(&self, tags: &[Found]) -> Result<(usize, usize), ExtractError> {
        let no_start = || ExtractError::NoStart(self.start.clone());
        let no_end = || ExtractError::NoEnd(self.end.clone());
        if !tags.iter().any(|tag| tag.kind == Kind::Start) {
            return Err(no_start());
        }
        let end = tags.iter().rposition(|tag| tag.kind == Kind::End).ok_or_else(no_end)?;
        let mut before = tags.iter().take(end);
        let start = before.rfind(|tag| tag.kind == Kind::Start).ok_or_else(no_end)?;
        match tags.get(end) {
            Some(end) if start.first || end.edge => Ok((start.to, end.at)),
            _ if tags.iter().any(|tag| tag.kind == Kind::Start && tag.first) => Err(no_end()),
            _ => Err(no_start()),
        }
    }

    /// All tags of an answer, in order, of those that `places` finds: start and length of each.
    fn tags_in(
        &self,
        reply: &str,
        places: impl Fn(&str, &str) -> Vec<(usize, usize)>,
    ) -> Vec<Found> {
        let mut tags = Vec::new();
        for (kind, name) in [(Kind::Start, &self.start), (Kind::End, &self.end)] {
            for (at, length) in places(reply, name) {
                let (before, behind) = (reply.get(..at), reply.get(at + length..));
                let (before, behind) = (before.unwrap_or_default(), behind.unwrap_or_default());
                let marks = marks_around(kind, before, behind);
                let before = before.get(..at - marks).unwrap_or_default();
                let behind = behind.get(marks..).unwrap_or_default();
                let is_blank = |c: char| c.is_whitespace() && c != '\n';
                // A tag may stand in a heading.
                let lead = before.trim_end_matches(|c: char| is_blank(c) || c == '#');
                let first = lead.is_empty() || lead.ends_with('\n');
                let tail = behind.trim_start_matches(is_blank);
                let last = tail.is_empty() || tail.starts_with('\n');
                // One with marks is as likely to be mentioned, unless it is alone on its line.
                let edge = match kind {
                    _ if marks > 0 => first && last,
                    Kind::Start => first,
                    Kind::End => last,
                };
                let begins = if first { lead.len() } else { before.len() };
                tags.push(Found { kind, at: begins, to: at + length + marks, first, edge });
            }
        }
        tags.sort_by_key(|tag| tag.at);
        tags
    }
}

/// A part of a text without the white space around it.
fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let part = text.get(at.clone()).unwrap_or_default();
    let from = at.start + (part.len() - part.trim_start().len());
    from..from + part.trim().len()
}

/// The tags without those that only end a sentence about tags: `... between <T> and </T>`.
fn without_mentions(tags: Vec<Found>, reply: &str) -> Vec<Found> {
    const BETWEEN: [&str; 6] = ["and", "or", "to", "&", "...", "…"];
    let is_mention = |pair: &[Found]| match pair {
        [start, end] if !start.first && end.edge => {
            let kinds = (start.kind, end.kind) == (Kind::Start, Kind::End);
            let between = reply.get(start.to..end.at).unwrap_or_default();
            kinds && !between.contains('\n') && BETWEEN.contains(&between.trim())
        }
        _ => false,
    };
    let mentions: Vec<bool> = tags.windows(2).map(is_mention).collect();
    let is_one = |place: usize| mentions.get(place).is_some_and(|mention| *mention);
    tags.into_iter()
        .enumerate()
        .filter(|(place, _)| !is_one(*place) && !place.checked_sub(1).is_some_and(is_one))
        .map(|(_, tag)| tag)
        .collect()
}

/// How many bytes of Markdown marks stand on both sides of a tag.
fn marks_around(kind: Kind, before: &str, behind: &str) -> usize {
    let is_mark = |c: &char| matches!(c, '*' | '_' | '`');
    let outside = before.chars().rev().take_while(is_mark);
    let inside = behind.chars().take_while(is_mark);
    // All marks outside of the block are the tag's; inside, some may belong to the text.
    let (outside, inside): (String, String) = match kind {
        Kind::Start => (outside.collect(), inside.collect()),
        Kind::End => (inside.collect(), outside.collect()),
    };
    if inside.starts_with(&outside) { outside.len() } else { 0 }
}

/// Whether a tag that these follow is closed in the middle of a line, before the next one at an edge.
fn is_closed_before_an_edge<'a>(behind: impl Iterator<Item = &'a Found>) -> bool {
    let mut depth = 1_usize;
    for tag in behind.take_while(|tag| !tag.edge) {
        match tag.kind {
            Kind::Start => depth += 1,
            Kind::End => depth = depth.saturating_sub(1),
        }
        if depth == 0 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod value_tests;
