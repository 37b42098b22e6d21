//! Marks of a request that a model copied into its text.

use textgrad_core::{Message, Part};

use super::spelling::{self, SECTIONS};
use super::{Kind, Tags};

/// The mark in place of words that are left out where a text is shortened.
pub(crate) const OMISSION: &str = " (...) ";

/// Sections that no text has by chance, beside those of [`SECTIONS`].
const OWN: [&str; 7] = [
    "LM_SYSTEM_PROMPT",
    "LM_INPUT",
    "LM_EARLIER_INPUT",
    "LM_EARLIER_OUTPUT",
    "FUNCTION_PURPOSE",
    "FUNCTION_INPUT",
    "PAST_FEEDBACK",
];

/// The marks of a request.
pub(crate) struct Marks {
    /// Whether a text in it was shortened.
    is_shortened: bool,
    headings: Vec<String>,
    /// The tags of the reply.
    tags: Tags,
}

impl Marks {
    pub(crate) fn of(request: &[Message], tags: Tags) -> Self {
        let mut parts = request.iter().flat_map(|message| &message.parts);
        let is_omission = |part: &Part| matches!(part, Part::Text(text) if text.contains(OMISSION));
        let last = request.last().map(Message::text).unwrap_or_default();
        let headings = headings(&last).into_iter().map(str::to_owned).collect();
        Self { is_shortened: parts.any(is_omission), headings, tags }
    }

    /// What is wrong with a new text that has a mark of its request: that of an omission if the request has it, the
    /// tag of a section alone on a line, a heading between sections, or a closing tag of the reply that nothing in the
    /// text opens, as between two texts on one line. What the old text has may stay.
    pub(crate) fn copied(&self, text: &str, old: &str) -> Option<String> {
        let is_new = |mark: &&str| !old.contains(*mark);
        let omission =
            Some(OMISSION.trim()).filter(|mark| self.is_shortened && text.contains(mark));
        let is_tag = |line: &str| {
            let name = line.strip_prefix('<').and_then(|line| line.strip_suffix('>'));
            let name = name.map(|name| name.strip_prefix('/').unwrap_or(name));
            // Tags of new texts are those of the reply, which the reader knows.
            name.is_some_and(|name| name != "IMPROVED_VARIABLE" && name != "RESPONSE")
                && name.is_some_and(|name| SECTIONS.contains(&name) || OWN.contains(&name))
        };
        let is_mark = |line: &&str| is_tag(line) || self.headings.iter().any(|mark| mark == line);
        let line = || text.lines().map(str::trim).filter(is_mark).find(is_new);
        let unopened = || self.unopened(text).filter(|_| self.unopened(old).is_none());
        let mark = omission.filter(is_new).or_else(line).or_else(unopened)?;
        Some(format!("its text had {mark}, which is a mark of the request and no part of a text"))
    }

    /// The closing tag of the reply, if a text has one that nothing before it opens. Tags that are words may be such.
    fn unopened(&self, text: &str) -> Option<&str> {
        let mut open = 0_usize;
        for tag in self.tags.tags_in(text, spelling::places) {
            match tag.kind {
                Kind::Start => open += 1,
                Kind::End => match open.checked_sub(1) {
                    Some(fewer) => open = fewer,
                    None => return Some(self.tags.end()).filter(|end| end.starts_with('<')),
                },
            }
        }
        None
    }
}

/// The lines between sections that lead to one.
fn headings(request: &str) -> Vec<&str> {
    let mut open: Option<&str> = None;
    let mut headings = Vec::new();
    for line in request.lines().map(str::trim) {
        let tag = line.strip_prefix('<').and_then(|line| line.strip_suffix('>'));
        match (open, tag) {
            (None, Some(name)) if !name.starts_with('/') => open = Some(name),
            (Some(name), Some(end)) if end.strip_prefix('/') == Some(name) => open = None,
            (None, None) if line.ends_with(':') && line.split(' ').count() > 3 => {
                headings.push(line);
            }
            _ => {}
        }
    }
    headings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(text: &str, old: &str, request: &[Message]) -> Option<String> {
        Marks::of(request, Tags::default()).copied(text, old)
    }

    const REQUEST: &str = "The text to improve is used as:\n<ROLE>\nan answer\n</ROLE>\n\n<VARIABLE>\nOne of these \
                           two things:\n</VARIABLE>\n\nThis is what was said about it:\nLast line.";

    /// Kind: Tags, grades, verdicts | a new text with a mark of the request: words left out, a section's tag, a
    /// heading, a closing tag between two texts on one line | asked again with the problem
    #[test]
    fn marks_of_the_request_are_found_unless_the_old_text_has_them() {
        let request = [Message::user(REQUEST)];
        let shortened = [Message::system("It is dry (...) and cold."), Message::user(REQUEST)];
        let elided = "Keep it dry (...) in the end.";
        assert!(copied(elided, "Dry it.", &shortened).unwrap().contains("its text had (...)"));
        assert_eq!(copied(elided, elided, &shortened), None);
        for (text, mark) in [
            ("<LM_OUTPUT>\nKeep it dry.", "<LM_OUTPUT>"),
            ("Keep it dry.\n</VARIABLE>\nSo.", "</VARIABLE>"),
            ("The text to improve is used as:\nan answer", "The text to improve is used as:"),
            ("Dry.</IMPROVED_VARIABLE><IMPROVED_VARIABLE>Keep it.", "</IMPROVED_VARIABLE>"),
            ("Dry.</improved_variable> So: <improved_variable>Keep it.", "</IMPROVED_VARIABLE>"),
        ] {
            let problem = copied(text, "Dry it.", &request).unwrap();
            assert!(problem.contains(mark), "{problem}");
            assert_eq!(copied(text, text, &request), None, "{text}");
        }
        for text in [
            "Keep it dry.",
            "One of these two things:\nkeep it dry",
            "He said (...) that it is dry, and [...] left.",
            "Use the tag <VARIABLE> in a sentence.",
            "<CONTEXT>\nA section of one's own.\n</CONTEXT>",
            "Last line.",
            "Put it between <IMPROVED_VARIABLE> and </IMPROVED_VARIABLE>.",
        ] {
            assert_eq!(copied(text, "Dry it.", &request), None, "{text}");
        }
    }
}
