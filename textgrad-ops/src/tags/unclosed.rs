//! Texts whose closing tag is missing at the end of a reply.

use super::fence;

/// What lines begin with that are about the new text and not part of it.
const REMARKS: [&str; 24] = [
    "explanation",
    "rationale",
    "reasoning",
    "changes",
    "change log",
    "summary of changes",
    "key changes",
    "key improvements",
    "improvements",
    "what changed",
    "what i changed",
    "why this",
    "note:",
    "notes:",
    "i've",
    "i have",
    "i made",
    "i revised",
    "i improved",
    "this version",
    "this revis",
    "the revis",
    "the improved",
    "the above",
];

/// Whether what follows an opening tag, up to the end of a reply that ended, is a text and nothing else.
pub(super) fn is_text(behind: &str) -> bool {
    let begins_line = behind.trim_start_matches([' ', '\t', '\r']).starts_with('\n');
    // A sentence about the tag goes on with a blank or a comma.
    let is_sentence =
        |c: char| c.is_whitespace() || ".,:;!?)]}'\"`\u{2019}\u{2013}\u{2014}-".contains(c);
    (begins_line || !behind.starts_with(is_sentence))
        && !behind.trim().is_empty()
        && !fence::is_open(behind)
        && !behind.lines().any(begins_section)
}

/// Whether a line looks like the beginning of something else: another tag, a rule, a remark.
fn begins_section(line: &str) -> bool {
    let line = line.trim();
    let is_rule = |mark: char| line.len() >= 3 && line.chars().all(|c| c == mark);
    let words = line.trim_start_matches(|c: char| "#*_>- ".contains(c)).to_lowercase();
    is_tag(line)
        || ['-', '*', '_', '='].into_iter().any(is_rule)
        || REMARKS.iter().any(|remark| words.starts_with(remark))
}

/// Whether a line begins or ends with a tag in capital letters.
fn is_tag(line: &str) -> bool {
    let is_name = |name: &str| {
        let name = name.trim_start_matches('/');
        name.len() >= 3 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let first = line.strip_prefix('<').and_then(|line| line.split_once('>')).map(|(name, _)| name);
    let last = line.strip_suffix('>').and_then(|line| line.rsplit_once('<')).map(|(_, name)| name);
    first.into_iter().chain(last).any(is_name)
}
