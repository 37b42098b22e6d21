//! Reading an answer with new texts for several parameters.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value as Json;
use textgrad_core::{Choice, Error};

use crate::optim::rules::{Rules, Violation, broken};
use crate::optim::tags::Tags;
use crate::optim::update::Rejected;
use crate::util::json::type_name;

/// What an answer is read by: of each parameter its name, its text and its rules.
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) rules: Rules,
}

/// What answers said of parameters, each by its place.
#[derive(Default)]
pub(super) struct Answer {
    /// New texts that may be assigned, in the order of the parameters.
    pub(super) texts: Vec<(usize, String)>,
    /// Parameters whose new texts may not.
    pub(super) broken: Vec<usize>,
    /// Parameters that are to keep their text.
    same: Vec<usize>,
}

impl Answer {
    /// Adds what a later answer said. What it says of a parameter counts, unless that breaks a rule and what
    /// was said before does not.
    pub(super) fn add(&mut self, later: Self) {
        for place in later.broken {
            if !self.has_text(place) && !self.broken.contains(&place) {
                self.broken.push(place);
            }
        }
        let settled: Vec<usize> =
            later.texts.iter().map(|(place, _)| *place).chain(later.same).collect();
        self.broken.retain(|place| !settled.contains(place));
        self.texts.retain(|(place, _)| !settled.contains(place));
        self.texts.extend(later.texts);
        self.texts.sort_unstable();
    }

    fn has_text(&self, place: usize) -> bool {
        self.texts.iter().any(|(known, _)| *known == place)
    }
}

/// What could be read of an answer, and all that is wrong with it.
pub(super) struct Reading {
    /// None if nothing could be read that is of use.
    pub(super) answer: Option<Answer>,
    pub(super) problems: Vec<String>,
    pub(super) rejected: Option<Rejected>,
}

/// Reads an answer: a JSON object of names and texts between tags, or alone.
///
/// # Errors
/// If a check panics.
pub(super) fn read(choice: Choice, tags: &Tags, expected: &[Expected]) -> Result<Reading, Error> {
    let cut_off = choice.finish_reason.is_cut_off();
    let object = match object(&choice.text, tags) {
        Ok(object) if !cut_off => object,
        Ok(_) => {
            return Ok(unusable(
                vec!["it was cut off at its longest length".into()],
                cut_off,
                choice,
            ));
        }
        Err(problem) => return Ok(unusable(vec![problem], cut_off, choice)),
    };
    let mut problems = Vec::new();
    let mut answer = Answer::default();
    let mut violations: Vec<Violation> = Vec::new();
    let mut broken_rules = Vec::new();
    for (name, value) in &object.0 {
        let Some(place) = expected.iter().position(|known| known.name == *name) else {
            let names: Vec<&str> = expected.iter().map(|known| known.name.as_str()).collect();
            problems.push(format!("{name:?} is no parameter; they are: {}", names.join(", ")));
            continue;
        };
        let Some(known) = expected.get(place) else { continue };
        match value {
            Json::String(text) if text.trim().is_empty() => {
                problems.push(format!("the new text of {name:?} is empty"));
            }
            Json::String(text) if text.trim() == known.text.trim() => answer.same.push(place),
            Json::String(text) => {
                let text = text.trim();
                let found = known.rules.violations(text)?;
                if found.is_empty() {
                    answer.texts.push((place, text.to_owned()));
                } else {
                    answer.broken.push(place);
                    broken_rules.push(format!("{name:?}: {}", broken(&found)));
                    violations.extend(found);
                }
            }
            other => {
                problems.push(format!("the value of {name:?} is {}, not a text", type_name(other)))
            }
        }
    }
    if !problems.is_empty() {
        problems.extend(broken_rules);
        // What is sound in it need not be said again.
        let answer = (!answer.texts.is_empty()).then_some(answer);
        return Ok(Reading { answer, ..unusable(problems, cut_off, choice) });
    }
    // In the order of the parameters, whatever that of the answer.
    answer.texts.sort_unstable();
    let rejected = (!violations.is_empty()).then(|| Rejected {
        problem: broken_rules.join("; "),
        ..Rejected::violating(violations, choice.text)
    });
    Ok(Reading { answer: Some(answer), problems: broken_rules, rejected })
}

fn unusable(problems: Vec<String>, cut_off: bool, choice: Choice) -> Reading {
    let problem = problems.join("; ");
    let rejected = match cut_off {
        true => Rejected::cut_off(problem, choice.text),
        false => Rejected::unusable(problem, choice.text),
    };
    Reading { answer: None, problems, rejected: Some(rejected) }
}

/// An object as it is written. That of serde_json keeps the last of equal names and says nothing.
struct Object(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if entries.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format_args!("{name:?} occurs more than once")));
            }
            entries.push((name, value));
        }
        Ok(Object(entries))
    }
}

/// The object in an answer, or what is wrong.
fn object(reply: &str, tags: &Tags) -> Result<Object, String> {
    match tags.extract(reply) {
        Ok(inner) => parse(inner).map_err(|error| {
            format!("expected one JSON object of names and texts between the tags, but: {error}")
        }),
        // A server that was told to answer in JSON leaves the tags away.
        Err(missing) => parse(reply).map_err(|error| match error.is_data() {
            true => format!("expected one JSON object of names and texts, but: {error}"),
            false => missing.to_string(),
        }),
    }
}

/// Reads a text that is an object, or has one in its last block of code.
fn parse(text: &str) -> Result<Object, serde_json::Error> {
    let whole = serde_json::from_str(text);
    match last_block(text) {
        Some(block) if whole.is_err() => serde_json::from_str(block),
        _ => whole,
    }
}

/// What stands in the last block of code of a text, between lines that begin with its marks. No line of JSON
/// begins with them.
fn last_block(text: &str) -> Option<&str> {
    const MARK: &str = "```";
    let (mut open, mut block, mut at) = (None, None, 0);
    for line in text.split_inclusive('\n') {
        let is_mark = line.trim_start().starts_with(MARK);
        match (is_mark, open) {
            (true, None) => open = Some(at + line.len()),
            (true, Some(from)) => {
                block = text.get(from..at);
                open = None;
            }
            (false, _) => {}
        }
        at += line.len();
    }
    block
}
