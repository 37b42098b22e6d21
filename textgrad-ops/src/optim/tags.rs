//! The tags between which a model puts a new text, and reading it back.

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
        Self { start: "<IMPROVED_VARIABLE>".into(), end: "</IMPROVED_VARIABLE>".into() }
    }
}

/// A tag that could stand where the new text begins or ends.
#[derive(Clone, Copy, PartialEq)]
enum Tag {
    Start,
    End,
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
    /// of a line are text. Where no tag stands like that, the text runs from the last opening tag to the
    /// last closing one behind it. An answer that opens one more block and ends inside it was cut off: what
    /// it closed before was a draft.
    ///
    /// # Errors
    /// An [`ExtractError`] that says which tag was missing.
    pub fn extract<'a>(&self, reply: &'a str) -> Result<&'a str, ExtractError> {
        if self.ends_inside_a_block(reply) {
            return Err(ExtractError::NoEnd(self.end.clone()));
        }
        let found = match self.last_block(reply) {
            Some(text) => text,
            None => self.last_pair(reply)?,
        };
        let text = found.trim();
        if text.is_empty() { Err(ExtractError::Empty(self.start.clone())) } else { Ok(text) }
    }

    fn ends_inside_a_block(&self, reply: &str) -> bool {
        let closed = reply.rfind(&self.end).map_or(0, |at| at + self.end.len());
        let mut tags = self.tags_at_line_edges(reply).into_iter();
        tags.any(|(tag, at)| tag == Tag::Start && at >= closed)
    }

    /// The last block between tags that stand at the edges of lines, nested ones matched.
    fn last_block<'a>(&self, reply: &'a str) -> Option<&'a str> {
        let mut open: Vec<usize> = Vec::new();
        let mut block = None;
        for (tag, at) in self.tags_at_line_edges(reply) {
            match tag {
                Tag::Start => open.push(at + self.start.len()),
                Tag::End => {
                    if let Some(from) = open.pop()
                        && open.is_empty()
                    {
                        block = reply.get(from..at);
                    }
                }
            }
        }
        // What was opened and never closed again was only mentioned.
        if open.is_empty() { block } else { None }
    }

    /// Opening tags that begin a line and closing tags that end one, in order.
    fn tags_at_line_edges(&self, reply: &str) -> Vec<(Tag, usize)> {
        let mut tags = Vec::new();
        let mut offset = 0;
        for line in reply.split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            if line.trim_start().starts_with(&self.start) {
                tags.push((Tag::Start, offset + indent));
            }
            if line.trim_end().ends_with(&self.end) {
                tags.push((Tag::End, offset + line.trim_end().len() - self.end.len()));
            }
            offset += line.len();
        }
        tags
    }

    fn last_pair<'a>(&self, reply: &'a str) -> Result<&'a str, ExtractError> {
        let no_start = || ExtractError::NoStart(self.start.clone());
        let no_end = || ExtractError::NoEnd(self.end.clone());
        if !reply.contains(&self.start) {
            return Err(no_start());
        }
        let (before, _) = reply.rsplit_once(&self.end).ok_or_else(no_end)?;
        let (_, text) = before.rsplit_once(&self.start).ok_or_else(no_end)?;
        Ok(text)
    }
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
