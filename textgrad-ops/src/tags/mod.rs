//! Tagged replies: the tags between which a model writes a text or a grade, their reader, and requests that are
//! sent again with what was wrong.

mod request;

use std::ops::{Range, RangeInclusive};

use textgrad_core::truncate;

pub(crate) use self::request::{CallSettings, with_note};
pub use self::request::{TaggedReply, TaggedRequest, Unreadable};
use crate::error::Error;

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
    /// with which a line of prose ends. What is opened at the beginning of a
    /// line and never closed makes the answer unusable: it was cut off, or cannot be told from one that was.
    ///
    /// Emphasis or code marks of Markdown on both sides of a tag (`**<TAG>**`) belong to the tag.
    ///
    /// # Errors
    /// An [`ExtractError`] that says which tag was missing.
    pub fn extract<'a>(&self, reply: &'a str) -> Result<&'a str, ExtractError> {
        Ok(reply.get(self.find(reply)?).unwrap_or_default())
    }

    /// Where that text stands in the answer, in bytes.
    ///
    /// # Errors
    /// As [`extract`](Self::extract).
    pub fn find(&self, reply: &str) -> Result<Range<usize>, ExtractError> {
        let tags = without_mentions(self.tags_in(reply), reply);
        let (from, to) = match self.last_block(&tags)? {
            Some(block) => block,
            None => self.last_pair(&tags)?,
        };
        let text = reply.get(from..to).unwrap_or_default();
        let bare = text.trim_start();
        let from = from + (text.len() - bare.len());
        let length = bare.trim_end().len();
        if length == 0 {
            Err(ExtractError::Empty(self.start.clone()))
        } else {
            Ok(from..from + length)
        }
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

    /// All tags of an answer, in order.
    fn tags_in(&self, reply: &str) -> Vec<Found> {
        let mut tags = Vec::new();
        let mut offset = 0;
        for line in reply.split_inclusive('\n') {
            for (kind, name) in [(Kind::Start, &self.start), (Kind::End, &self.end)] {
                for (at, _) in line.match_indices(name.as_str()) {
                    let (before, behind) = (line.get(..at), line.get(at + name.len()..));
                    let (before, behind) = (before.unwrap_or_default(), behind.unwrap_or_default());
                    let marks = marks_around(kind, before, behind);
                    let first = before.get(..at - marks).unwrap_or_default().trim().is_empty();
                    let last = behind.get(marks..).unwrap_or_default().trim().is_empty();
                    // One with marks is as likely to be mentioned, unless it is alone on its line.
                    let edge = match kind {
                        _ if marks > 0 => first && last,
                        Kind::Start => first,
                        Kind::End => last,
                    };
                    let (at, to) = (offset + at - marks, offset + at + name.len() + marks);
                    tags.push(Found { kind, at, to, first, edge });
                }
            }
            offset += line.len();
        }
        tags.sort_by_key(|tag| tag.at);
        tags
    }
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

/// Reads a grade within a scale, also as `7/10` where 10 is the highest.
///
/// # Errors
/// What is wrong with it.
pub fn read_grade(text: &str, scale: RangeInclusive<f64>) -> Result<f64, String> {
    let (lowest, highest) = (*scale.start(), *scale.end());
    let (number, of) = match text.split_once('/') {
        Some((number, of)) => (number, of.trim().parse().unwrap_or(f64::NAN)),
        None => (text, highest),
    };
    let grade = number.trim().parse::<f64>().ok().filter(|grade| scale.contains(grade));
    grade.filter(|_| of.total_cmp(&highest).is_eq()).ok_or_else(|| {
        let got = truncate(text, 40);
        format!("expected a number from {lowest} to {highest} between the tags, got {got:?}")
    })
}

#[cfg(test)]
mod tests;
