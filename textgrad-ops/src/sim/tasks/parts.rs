//! The parts of a message to a judge.

use std::collections::BTreeSet;

use crate::sim::text::{has_any, normalise};

/// The longest label, in words.
const LABEL_WORDS: usize = 6;

pub(super) const QUESTIONS: &[&str] =
    &["question", "query", "prompt", "instruction", "task", "input", "problem"];
pub(super) const ANSWERS: &[&str] =
    &["answer", "response", "prediction", "output", "solution", "completion", "text", "a", "b"];
pub(super) const REFERENCES: &[&str] =
    &["reference", "ground truth", "expected", "correct answer", "truth", "target", "label"];

/// The parts of a message: sections of any name, or what stands behind labels at the start of lines. The
/// name of each is normalised.
pub(super) fn fields(text: &str) -> Vec<(String, &str)> {
    let sections = any_sections(text);
    if !sections.is_empty() {
        return sections;
    }
    let mut fields: Vec<(String, usize, usize)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let Some((label, value)) = line.split_once(':') else { continue };
        let label = normalise(label);
        let short = label.split_whitespace().count() <= LABEL_WORDS;
        let known = |names: &[&str]| {
            names.iter().any(|name| {
                label.trim() == *name || short && name.len() > 1 && has_any(&label, &[name])
            })
        };
        // An answer may have a last line of the form `Answer: 7`.
        let inside = fields.last().is_some_and(|(open, ..)| {
            label.trim() == "answer" && ANSWERS.iter().any(|name| has_any(open, &[name]))
        });
        if (known(QUESTIONS) || known(ANSWERS) || known(REFERENCES)) && !inside {
            fields.push((label, start, at - value.len()));
        }
    }
    let ends: Vec<usize> =
        fields.iter().skip(1).map(|(_, start, _)| *start).chain([text.len()]).collect();
    fields
        .into_iter()
        .zip(ends)
        .filter_map(|((label, _, from), end)| Some((label, text.get(from..end)?.trim())))
        .collect()
}

fn any_sections(text: &str) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    // What is not closed later is not closed later still.
    let mut unclosed = BTreeSet::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let section = after.split_once('>').and_then(|(name, body)| {
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_-".contains(c);
            if name.is_empty() || !name.chars().all(plain) || unclosed.contains(name) {
                return None;
            }
            let section = body.split_once(&format!("</{name}>"));
            if section.is_none() {
                unclosed.insert(name);
            }
            section.map(|(content, tail)| (normalise(name), content.trim(), tail))
        });
        match section {
            Some((name, content, tail)) => {
                found.push((name, content));
                rest = tail;
            }
            None => rest = after,
        }
    }
    found
}
