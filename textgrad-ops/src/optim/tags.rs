//! The tags between which a model puts a new text, and reading it back.

use std::ops::Range;

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
    pub(super) fn of(start: &'static str, end: &'static str) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn extract(reply: &str) -> Result<&str, ExtractError> {
        let tags = Tags::new("<T>", "</T>").unwrap();
        // The borrow of `tags` ends here; the text borrows from the reply only.
        tags.extract(reply)
    }

    #[test]
    fn reads_what_stands_between_the_tags() {
        assert_eq!(extract("<T>new</T>"), Ok("new"));
        assert_eq!(
            extract("thinking\n<T>\nline one\n\nline two\n</T>\nthat is all"),
            Ok("line one\n\nline two")
        );
        assert_eq!(extract("Sure: <T>new</T>"), Ok("new"));
        assert_eq!(extract("  <T> new </T>  "), Ok("new"));
        assert_eq!(extract("<T>\r\nnew\r\n</T>\r\n"), Ok("new"));
    }

    #[test]
    fn a_tag_mentioned_before_does_not_win() {
        assert_eq!(extract("I will use <T> tags.\n<T>\nnew\n</T>"), Ok("new"));
        assert_eq!(extract("I will use <T> and </T>.\n<T>\nnew\n</T>"), Ok("new"));
        assert_eq!(extract("I will use <T> tags: <T>new</T>"), Ok("new"));
    }

    #[test]
    fn tags_inside_the_text_are_text() {
        assert_eq!(
            extract("<T>\nwrite <T> before and </T> behind it\n</T>"),
            Ok("write <T> before and </T> behind it")
        );
        assert_eq!(extract("<T>\na\n<T>\nb\n</T>\nc\n</T>"), Ok("a\n<T>\nb\n</T>\nc"));
    }

    #[test]
    fn the_last_of_several_blocks_counts() {
        assert_eq!(extract("<T>\ndraft\n</T>\nBetter:\n<T>\nfinal\n</T>"), Ok("final"));
        assert_eq!(extract("<T>draft</T>\n<T>final</T>"), Ok("final"));
    }

    #[test]
    fn a_sentence_about_the_tags_is_no_text() {
        for reply in ["Between <T> and </T>: new text", "I use <T> and </T>, as asked.\nnew text"] {
            assert_eq!(extract(reply), Err(ExtractError::NoStart("<T>".into())), "{reply}");
        }
        assert_eq!(
            extract("<T>a</T> is a draft;\nbetween <T> and </T>: new text"),
            Err(ExtractError::NoEnd("</T>".into()))
        );
        assert_eq!(extract("<T>new</T> is the text."), Ok("new"));
        assert_eq!(extract("<T> and </T> are the tags.\n<T>\nnew\n</T>"), Ok("new"));
    }

    #[test]
    fn a_line_that_ends_with_a_mention_of_the_tags_is_no_text() {
        for between in [" and ", " or ", "...", " … ", " to "] {
            let line = format!("I put it between <T>{between}</T>");
            let alone = format!("{line}\nnew");
            assert_eq!(extract(&alone), Err(ExtractError::NoStart("<T>".into())), "{line}");
            assert_eq!(extract(&format!("{line}\n<T>\nnew\n</T>")), Ok("new"));
            assert_eq!(extract(&format!("<T>\nnew\n</T>\n{line}")), Ok("new"));
            assert_eq!(extract(&format!("Final: <T>new</T>\n{line}")), Ok("new"));
            let quoted = format!("<T>\n{line}\nthe rest\n</T>");
            assert_eq!(extract(&quoted), Ok(format!("{line}\nthe rest").as_str()));
        }
        assert_eq!(extract("Final: <T>and more</T>"), Ok("and more"));
        assert_eq!(extract("Final: <T> B </T>"), Ok("B"));
        // Alone on its line it is a text like any other.
        assert_eq!(extract("<T>and</T>"), Ok("and"));
    }

    #[test]
    fn one_more_closing_tag_makes_the_last_pair_count() {
        assert_eq!(
            extract("<T>\nClose it with </T>\nand then go on\n</T>"),
            Ok("Close it with </T>\nand then go on")
        );
        assert_eq!(extract("<T>\ndraft\n</T>\nFinal: <T>final</T>"), Ok("final"));
        // What comes before any block is not about it; what is behind settles it.
        assert_eq!(extract("Between <T> and </T>\n<T>\nnew\n</T>"), Ok("new"));
        assert_eq!(
            extract("<T>\na </T>\nb\n</T>\n<T>\nc\n<T>\nd\n</T>\n</T>"),
            Ok("c\n<T>\nd\n</T>")
        );
    }

    #[test]
    fn what_is_never_closed_is_not_guessed() {
        for reply in [
            "<T>\nThe tag\n<T>\nopens\n</T>",
            "<T>\nUse <T> and </T> so:\n<T>\nopens\n</T>",
            "<T> is where it goes.\n<T>\nnew\n</T>",
            "<T>\nuse <T> and </T>, and th",
            "**<T>**\nThe tag\n<T>\nopens\n</T>",
        ] {
            assert_eq!(extract(reply), Err(ExtractError::NoEnd("</T>".into())), "{reply}");
        }
    }

    #[test]
    fn marks_of_markdown_around_the_tags_are_not_text() {
        for marks in ["*", "**", "***", "_", "__", "`", "``"] {
            for reply in ["M<T>M\nnew\nM</T>M", "So:\r\n M<T>M \r\nnew\r\nM</T>M\r\nDone."] {
                assert_eq!(extract(&reply.replace('M', marks)), Ok("new"), "{marks} {reply}");
            }
            let inline = "M<T>MnewM</T>M".replace('M', marks);
            assert_eq!(extract(&inline), Ok("new"));
        }
        assert_eq!(extract("**_<T>_**\nnew\n**_</T>_**"), Ok("new"));
        assert_eq!(extract("**<T>**\nnew\n</T>"), Ok("new"));
        assert_eq!(extract("**<T>**\n**new**\n**</T>**"), Ok("**new**"));
        assert_eq!(extract("**<T>****new****</T>**"), Ok("**new**"));
        assert_eq!(extract("<T>**new**</T>"), Ok("**new**"));
        assert_eq!(extract("<T>\n*new* `text`</T>"), Ok("*new* `text`"));
        assert_eq!(
            extract("`<T>` and `</T>` are the tags.\n<T>\nnew\n</T>\nI used `<T>` and `</T>`"),
            Ok("new")
        );
        assert_eq!(
            extract("I put it between `<T>` and `</T>`\nnew"),
            Err(ExtractError::NoStart("<T>".into()))
        );
    }

    #[test]
    fn says_what_was_missing() {
        assert_eq!(extract("new"), Err(ExtractError::NoStart("<T>".into())));
        assert_eq!(extract("new</T>"), Err(ExtractError::NoStart("<T>".into())));
        assert_eq!(extract("<T>\nnew"), Err(ExtractError::NoEnd("</T>".into())));
        assert_eq!(extract("</T> and then <T>new"), Err(ExtractError::NoEnd("</T>".into())));
        assert_eq!(extract("<T>\ndraft\n</T>\n<T>\nfin"), Err(ExtractError::NoEnd("</T>".into())));
        assert_eq!(extract("<T>\n \n</T>"), Err(ExtractError::Empty("<T>".into())));
        assert_eq!(extract(""), Err(ExtractError::NoStart("<T>".into())));
    }

    #[test]
    fn tags_are_checked() {
        for (start, end) in
            [("", "</T>"), ("<T>", " "), ("<T>", "<T>"), ("<T>\n", "</T>"), ("<a><b>", "<b>")]
        {
            assert!(Tags::new(start, end).is_err(), "{start:?} {end:?}");
        }
    }
}
