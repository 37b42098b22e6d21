//! Reading an answer with new texts for several parameters.

use serde_json::{Map, Value as Json};
use textgrad_core::{Choice, Error};

use crate::optim::rules::{Rules, Violation, broken};
use crate::optim::tags::Tags;
use crate::optim::update::Rejected;

/// What an answer is read by: of each parameter its name, its text and its rules.
pub(super) struct Expected {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) rules: Rules,
}

/// An answer that could be read.
pub(super) struct Answer {
    /// New texts that may be assigned, with the place of the parameter.
    pub(super) texts: Vec<(usize, String)>,
    /// Parameters whose new texts may not.
    pub(super) broken: Vec<usize>,
}

/// An answer, or all that is wrong with it; both, where it can be read and some texts break rules.
pub(super) struct Reading {
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
    let mut answer = Answer { texts: Vec::new(), broken: Vec::new() };
    let mut violations: Vec<Violation> = Vec::new();
    let mut broken_rules = Vec::new();
    for (name, value) in &object {
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
            Json::String(text) if text.trim() == known.text.trim() => {}
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
            other => problems.push(format!("the value of {name:?} is {}, not a text", kind(other))),
        }
    }
    if !problems.is_empty() {
        problems.extend(broken_rules);
        return Ok(unusable(problems, cut_off, choice));
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

/// The object in an answer, or what is wrong.
fn object(reply: &str, tags: &Tags) -> Result<Map<String, Json>, String> {
    let inner = match tags.extract(reply) {
        Ok(inner) => inner,
        Err(error) => {
            // A server that was told to answer in JSON leaves the tags away.
            let alone = serde_json::from_str(without_marks(reply));
            return alone.map_err(|_| error.to_string());
        }
    };
    serde_json::from_str(without_marks(inner)).map_err(|error| {
        format!("expected one JSON object of names and texts between the tags, but: {error}")
    })
}

/// A text without the marks of a code block around it.
fn without_marks(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    let inner = inner.and_then(|rest| rest.split_once('\n'));
    inner.map_or(text, |(_, inner)| inner.trim())
}

fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
