//! Edits: a new text as changes of passages of the old one.

use std::fmt;
use std::ops::Range;

use similar::{Algorithm, DiffTag, capture_diff_slices};
use textgrad_core::truncate;
use unicode_segmentation::UnicodeSegmentation;

use crate::tags::Tags;
use crate::util::reasoning::answer_in;

/// A change of one passage of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    /// The passage; empty for the end of the text.
    find: String,
    /// What takes its place, or follows it.
    put: String,
    /// Whether the passage stays, and what is put follows it.
    inserts: bool,
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { find, put, inserts } = self;
        let tag = if *inserts { "INSERT" } else { "REPLACE" };
        write!(f, "<EDIT>\n<FIND>{find}</FIND>\n<{tag}>{put}</{tag}>\n</EDIT>")
    }
}

/// A text after the edits in a reply, at most `limit`, the first ones; `None` if it has none.
///
/// Each edit is `<EDIT>` with `<FIND>`, a passage of the text, and `<REPLACE>` or `<INSERT>`, what takes its place or
/// follows it. See [`TextualGradientDescent`](crate::TextualGradientDescent#edits).
///
/// # Errors
/// Which edit cannot be applied, and why. The text stays as it is then.
///
/// # Examples
/// ```
/// let reply = "<EDIT>\n<FIND>red</FIND>\n<REPLACE>red, for it rusts</REPLACE>\n</EDIT>";
/// let text = textgrad_ops::apply_edits("Mars is red.", reply, 4);
/// assert_eq!(text, Ok(Some("Mars is red, for it rusts.".to_owned())));
/// assert!(textgrad_ops::apply_edits("Mars is old.", reply, 4).is_err());
/// ```
pub fn apply_edits(text: &str, reply: &str, limit: u32) -> Result<Option<String>, String> {
    let mut edits = read(reply)?;
    edits.truncate(limit as usize);
    if edits.is_empty() { Ok(None) } else { apply(text, &edits).map(Some) }
}

/// Whether a text can be changed by edits: one that speaks of their tags cannot be told from them.
pub(super) fn is_editable(text: &str) -> bool {
    !text.trim().is_empty() && tags().iter().all(|tags| tags.count(text) == 0)
}

pub(super) fn tags() -> [Tags; 4] {
    [
        Tags::of("<EDIT>", "</EDIT>"),
        Tags::of("<FIND>", "</FIND>"),
        Tags::of("<REPLACE>", "</REPLACE>"),
        Tags::of("<INSERT>", "</INSERT>"),
    ]
}

/// The edits in a reply, in order; none if it has no tag of an edit.
///
/// # Errors
/// What is wrong with one.
fn read(reply: &str) -> Result<Vec<Edit>, String> {
    let [edit, find, replace, insert] = tags();
    let answer = answer_in(reply).and_then(|answer| reply.get(answer)).unwrap_or_default();
    let blocks = edit.pairs(answer);
    if edit.count(answer) != 2 * blocks.len() {
        return Err("one of its edits was not closed".to_owned());
    }
    let only = |tags: &Tags, block| match tags.pairs(block).as_slice() {
        [] => Ok(None),
        [text] => Ok(Some(text.trim().to_owned())),
        several => Err(format!("has {} times {}", several.len(), tags.start())),
    };
    let parsed = (1..).zip(blocks).map(|(number, block)| {
        let parts = (|| Ok((only(&find, block)?, only(&replace, block)?, only(&insert, block)?)))();
        let parts: Result<_, String> = parts;
        match parts.map_err(|problem| format!("edit {number} {problem}"))? {
            (Some(find), Some(put), None) if !find.is_empty() => {
                Ok(Edit { find, put, inserts: false })
            }
            (find, None, Some(put)) if !put.is_empty() => {
                Ok(Edit { find: find.unwrap_or_default(), put, inserts: true })
            }
            _ => Err(format!(
                "edit {number} was none: expected <FIND> with <REPLACE>, or <INSERT> with some text"
            )),
        }
    });
    parsed.collect()
}

/// The text after edits, all of them. Passages are those of the text as it is, so the order of edits does not count.
///
/// # Errors
/// Which edit cannot be applied, and why.
pub(crate) fn apply(base: &str, edits: &[Edit]) -> Result<String, String> {
    let mut placed = Vec::new();
    for (number, edit) in (1..).zip(edits) {
        let at = match edit.find.as_str() {
            "" => base.trim_end().len()..base.trim_end().len(),
            find => locate(base, find).map_err(|problem| {
                format!("the passage {:?} of edit {number} {problem}", truncate(find, 80))
            })?,
        };
        let (at, put) = match edit.inserts {
            true => (at.end..at.end, format!("{}{}", separator(base, at.end), edit.put)),
            false => (at, edit.put.clone()),
        };
        placed.push((at, put, number));
    }
    placed.sort_by_key(|(at, _, number)| (at.start, at.end, *number));
    let overlapping = placed.windows(2).find_map(|pair| match pair {
        [(first, _, one), (second, _, other)] if second.start < first.end => Some((*one, *other)),
        _ => None,
    });
    if let Some((one, other)) = overlapping {
        let (one, other) = (one.min(other), one.max(other));
        return Err(format!("edits {one} and {other} change the same passage"));
    }
    let (mut text, mut done) = (String::new(), 0);
    for (at, put, _) in placed {
        let at = if put.is_empty() { with_space(base, at) } else { at };
        text.push_str(base.get(done..at.start).unwrap_or_default());
        text.push_str(&put);
        done = done.max(at.end);
    }
    text.push_str(base.get(done..).unwrap_or_default());
    match text.trim() {
        "" => Err("its edits leave no text".to_owned()),
        text if text == base.trim() => Err("its edits change nothing".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// Where a passage stands: exactly as quoted, or but for its white space.
fn locate(base: &str, find: &str) -> Result<Range<usize>, String> {
    let (text, places) = squeezed(base);
    let quoted = squeezed(find).0;
    let (exact, loose) = (occurrences(base, find), occurrences(&text, &quoted));
    match (exact.as_slice(), loose.as_slice()) {
        ([at], _) => Ok(*at..at + find.len()),
        ([], [at]) => {
            let end = places.get(at + quoted.len() - 1).map(|last| last + 1);
            let start = places.get(*at).copied();
            start.zip(end).map(|(start, end)| start..end).ok_or_else(|| "is not there".to_owned())
        }
        ([], []) => Err("is not in the text".to_owned()),
        ([], several) | (several, _) => Err(format!("stands {} times in the text", several.len())),
    }
}

/// Where a passage begins in a text, also within another occurrence of itself.
fn occurrences(text: &str, passage: &str) -> Vec<usize> {
    let step = passage.chars().next().map_or(1, char::len_utf8);
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(passage)) {
        found.push(from + at);
        from += at + step;
    }
    found
}

/// A text with single blanks for white space, and where each byte of it came from.
fn squeezed(text: &str) -> (String, Vec<usize>) {
    let (mut squeezed, mut places) = (String::new(), Vec::new());
    for (at, c) in text.trim_end().char_indices() {
        if !c.is_whitespace() {
            squeezed.push(c);
            places.extend(at..at + c.len_utf8());
        } else if !squeezed.is_empty() && !squeezed.ends_with(' ') {
            squeezed.push(' ');
            places.push(at);
        }
    }
    (squeezed, places)
}

/// What stands between a passage that ends here and one that is put behind it: what the text has there, or, at its end,
/// what it last had between lines.
fn separator(base: &str, at: usize) -> &str {
    let (before, behind) = base.split_at_checked(at).unwrap_or((base, ""));
    let space = space_at_start(behind);
    match (before.is_empty(), space.len() == behind.len()) {
        (true, _) => "",
        (_, false) if space.is_empty() => " ",
        (_, false) => space,
        (_, true) => {
            let line =
                before.trim_end().rfind('\n').map(|end| before.get(..end).unwrap_or_default());
            let gap = line.map(|line| {
                let gap = before.get(line.trim_end().len()..).unwrap_or_default();
                space_at_start(gap)
            });
            gap.unwrap_or(" ")
        }
    }
}

fn space_at_start(text: &str) -> &str {
    text.get(..text.len() - text.trim_start().len()).unwrap_or_default()
}

/// A passage to delete, with the smaller of the two gaps around it.
fn with_space(base: &str, at: Range<usize>) -> Range<usize> {
    let before = base.get(..at.start).unwrap_or_default();
    let behind = base.get(at.end..).unwrap_or_default();
    let (kept, space) = (before.trim_end().len(), space_at_start(behind).len());
    let lines = |gap: Option<&str>| gap.unwrap_or_default().matches('\n').count();
    let is_first = kept == 0;
    let is_inside = kept == before.len() && !is_first;
    if is_inside {
        at
    } else if is_first || lines(before.get(kept..)) >= lines(behind.get(..space)) {
        at.start..at.end + space
    } else {
        kept..at.end
    }
}

/// The edits that make one text of another, by sentences.
pub(crate) fn between(old: &str, new: &str) -> Vec<Edit> {
    let (before, after) = (Sentences::of(old), Sentences::of(new));
    let ops = capture_diff_slices(Algorithm::Myers, &before.trimmed(), &after.trimmed());
    let edits = ops.into_iter().filter(|op| op.tag() != DiffTag::Equal).map(|op| {
        let (at, put) = (op.old_range(), after.text(op.new_range()));
        match (at.is_empty(), at.start.checked_sub(1), before.text(0..1)) {
            (false, ..) => Edit { find: before.text(at), put, inserts: false },
            (true, Some(last), _) => Edit { find: before.text(last..at.start), put, inserts: true },
            (true, None, first) if first.is_empty() => Edit { find: first, put, inserts: true },
            (true, None, first) => {
                Edit { put: format!("{put} {first}"), find: first, inserts: false }
            }
        }
    });
    edits.collect()
}

/// A text and where its sentences begin, each with the white space behind it.
struct Sentences<'a> {
    text: &'a str,
    bounds: Vec<&'a str>,
}

impl<'a> Sentences<'a> {
    fn of(text: &'a str) -> Self {
        Self { text, bounds: text.split_sentence_bounds().collect() }
    }

    fn trimmed(&self) -> Vec<&'a str> {
        self.bounds.iter().map(|sentence| sentence.trim()).collect()
    }

    fn text(&self, at: Range<usize>) -> String {
        let length = |sentences: Option<&[&str]>| -> usize {
            sentences.unwrap_or_default().iter().map(|sentence| sentence.len()).sum()
        };
        let to = self.bounds.len().min(at.end);
        let from = length(self.bounds.get(..at.start.min(to)));
        self.text.get(from..length(self.bounds.get(..to))).unwrap_or_default().trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "Oil the table. Wipe it dry.\n\n- Use a cloth.\n- Wait a day.";

    fn edited(reply: &str) -> Result<String, String> {
        apply(TEXT, &read(reply)?)
    }

    fn replaced(find: &str, put: &str) -> String {
        format!("<EDIT>\n<FIND>{find}</FIND>\n<REPLACE>{put}</REPLACE>\n</EDIT>")
    }

    fn inserted(find: &str, put: &str) -> String {
        format!("<EDIT>\n<FIND>\n{find}\n</FIND>\n<INSERT>\n{put}\n</INSERT>\n</EDIT>")
    }

    #[test]
    fn passages_are_replaced_deleted_and_added_to() {
        let cases = [
            (replaced("Oil", "Wax"), TEXT.replace("Oil", "Wax")),
            (replaced("Wipe  it\ndry.", "Rub it."), TEXT.replace("Wipe it dry.", "Rub it.")),
            (replaced("Oil the table.", ""), TEXT.replace("Oil the table. ", "")),
            (replaced("Wipe it dry.", ""), TEXT.replace(" Wipe it dry.", "")),
            (replaced("- Use a cloth.", ""), TEXT.replace("- Use a cloth.\n", "")),
            (replaced("- Wait a day.", ""), TEXT.replace("\n- Wait a day.", "")),
            (replaced("le", ""), TEXT.replace("le", "")),
            (
                inserted("Oil the table.", "Both sides."),
                TEXT.replace("table. ", "table. Both sides. "),
            ),
            (inserted("- Use a cloth.", "- Rub."), TEXT.replace("cloth.\n", "cloth.\n- Rub.\n")),
            (inserted("dry.", "Once."), TEXT.replace("dry.", "dry.\n\nOnce.")),
            (inserted("", "- Look."), format!("{TEXT}\n- Look.")),
            ("<Edit>\n<insert>- Look.</insert>\n</Edit>".to_owned(), format!("{TEXT}\n- Look.")),
            (inserted("tab", "b"), TEXT.replace("tab", "tab b ")),
        ];
        for (reply, expected) in cases {
            let expected = expected.replace("tab b le", "tab ble");
            assert_eq!(edited(&reply), Ok(expected), "{reply}");
        }
    }

    #[test]
    fn several_edits_are_of_the_text_as_it_was() {
        let reply = [
            replaced("Wait a day.", "Oil the table."),
            "Some words between.".to_owned(),
            replaced("Oil the table. ", ""),
            replaced("Wipe it dry.", ""),
            inserted("- Use a cloth.", "- First."),
            inserted("- Use a cloth.", "- Second."),
        ];
        let expected = "- Use a cloth.\n- First.\n- Second.\n- Oil the table.";
        assert_eq!(edited(&reply.join("\n")).as_deref(), Ok(expected));
        assert_eq!(read(&format!("<think>{}</think>\nNo.", reply[0])), Ok(Vec::new()));
    }

    #[test]
    fn a_passage_that_overlaps_itself_stands_twice() {
        let edits = read(&replaced("so so", "so")).unwrap();
        let problem = "the passage \"so so\" of edit 1 stands 2 times in the text";
        assert_eq!(apply("It is so so so.", &edits), Err(problem.to_owned()));
    }

    #[test]
    fn an_edit_that_cannot_be_applied_says_why() {
        let several = [replaced("Oil the table", "A"), replaced("the table. Wipe", "B")].join("\n");
        let cases = [
            (
                replaced("Oil the chair.", "A"),
                "the passage \"Oil the chair.\" of edit 1 is not in the text",
            ),
            (replaced("a", "A"), "the passage \"a\" of edit 1 stands 5 times in the text"),
            (several, "edits 1 and 2 change the same passage"),
            (replaced("Oil", "Oil"), "its edits change nothing"),
            (replaced(TEXT, ""), "its edits leave no text"),
            (
                replaced("", "A"),
                "edit 1 was none: expected <FIND> with <REPLACE>, or <INSERT> with some text",
            ),
            (
                "<EDIT>\n<FIND>Oil</FIND>\n</EDIT>".to_owned(),
                "edit 1 was none: expected <FIND> with <REPLACE>, or <INSERT> with some text",
            ),
            ("<EDIT>\n<FIND>Oil</FIND>".to_owned(), "one of its edits was not closed"),
            (replaced("Oil</FIND><FIND>the", "A"), "edit 1 has 2 times <FIND>"),
        ];
        for (reply, problem) in cases {
            assert_eq!(edited(&reply), Err(problem.to_owned()), "{reply}");
        }
        assert!(is_editable(TEXT) && !is_editable(" ") && !is_editable("Write <find> here."));
    }

    proptest! {
        #[test]
        fn edits_between_texts_make_one_of_the_other(
            old in proptest::collection::vec(0..12_u32, 1..12),
            new in proptest::collection::vec(0..12_u32, 1..12),
        ) {
            let text = |numbers: &[u32]| -> String {
                numbers.iter().map(|n| format!("Sentence {n} is a sentence. ")).collect()
            };
            let (old, new) = (text(&old), text(&new));
            let edits = between(&old, &new);
            let written: Vec<String> = edits.iter().map(ToString::to_string).collect();
            prop_assert_eq!(read(&written.join("\n")), Ok(edits.clone()));
            // Passages that stand there twice are refused, never guessed.
            match apply(&old, &edits) {
                Ok(text) => prop_assert_eq!(text, new.trim()),
                Err(problem) => {
                    let known = problem.contains(" times ") || problem.contains("change nothing")
                        || problem.contains("same passage");
                    prop_assert!(known, "{}", problem);
                }
            }
        }

        #[test]
        fn any_reply_is_read(reply in "(<EDIT>|</EDIT>|<FIND>|</FIND>|<INSERT>|</INSERT>|a| |\n|é){0,24}") {
            if let Ok(edits) = read(&reply) {
                let _ = apply("a é a\n", &edits);
            }
        }
    }
}
