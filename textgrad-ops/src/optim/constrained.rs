//! Grammars of the replies of updates.

use super::edits;
use crate::tags::Tags;

/// The grammar of a reply in GBNF: the whole text between its tags, or so many edits at most in place of it.
pub(super) fn grammar(whole: &Tags, limit: Option<u32>) -> String {
    let Some(limit) = limit else { return whole.grammar() };
    let [edit, find, replace, insert] = edits::tags();
    let (start, end, more) = (edit.start(), edit.end(), limit.saturating_sub(1));
    let parts = r#"(find "\n" (replace | insert) | insert)"#;
    [
        format!("root ::= edits | text\nedits ::= edit (\"\\n\" edit){{0,{more}}}\n"),
        format!("edit ::= \"{start}\\n\" {parts} \"\\n{end}\"\n"),
        find.rules("find", "", false),
        replace.rules("replace", "", true),
        insert.rules("insert", "", false),
        whole.rules("text", "\n", false),
    ]
    .concat()
}
