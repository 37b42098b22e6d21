//! Work on the prompt of counting questions: which techniques it asks for, and advice from answers given under it.

use super::Question;
use crate::sim::criteria::{Criterion, Technique, techniques};
use crate::sim::gradient::{Action, NOTHING, instruction, read};
use crate::sim::request::Turns;
use crate::sim::rng::Rng;
use crate::sim::sections::Parsed;
use crate::sim::text::{entries, has_any, normalise};
use crate::sim::updater::is_prompt;

/// The number of characters by which a text is recognized where it may be truncated.
const START: usize = 40;
/// The longest expected answer, in words.
const SHORT: usize = 10;
/// How often advice asks for the harmful technique: always a little, more so without skill.
const HARMFUL: (f64, f64) = (0.02, 0.2);
/// The most points that one piece of advice makes.
const MAX_POINTS: usize = 2;

const CLEARS: &str = "nothing wrong|not wrong|no mistake|no mistakes|no error|no errors";
const BLAMES: &str = "wrong|incorrect|not correct|not right|not what was expected|mistake|mistakes|mistaken|\
     failed|fails|fail|failure|false|error|errors|expected|does not match";
const PRAISES: &str = "right|correct|passed|passes|pass|true|matches|no changes";

/// The techniques that a prompt asks for and that are followed this time: all of them by somebody with skill.
pub(crate) fn followed(prompt: &str, skill: f64, rng: &mut Rng) -> Vec<Technique> {
    let lack = 1.0 - skill;
    let asked = read(prompt);
    let mut followed = Vec::new();
    for (row, technique) in techniques() {
        let follows = rng.chance(1.0 - lack * lack);
        if follows && asked.iter().any(|(known, action)| *known == row && *action != Action::Cut) {
            followed.push(technique);
        }
    }
    followed
}

/// What a judgement says of an answer: a bare figure or word, or in words.
pub(super) fn is_right(text: &str) -> Option<bool> {
    match text.trim().trim_end_matches('.').to_lowercase().as_str() {
        "0" | "0.0" | "no" => return Some(false),
        "1" | "1.0" | "yes" | "ok" => return Some(true),
        _ => {}
    }
    let words = normalise(text);
    if has_any(&words, entries(CLEARS)) {
        Some(true)
    } else if has_any(&words, entries(BLAMES)) {
        Some(false)
    } else {
        has_any(&words, entries(PRAISES)).then_some(true)
    }
}

/// The verdict of several judgements: one that finds something wrong decides.
pub(super) fn are_right(texts: &[&str]) -> Option<bool> {
    texts.iter().filter_map(|text| is_right(text)).reduce(|all, one| all && one)
}

/// A gradient about a counting question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work<'a> {
    /// Advice on a prompt, from answers that were given under it.
    Advise { prompt: String, remedies: Vec<Technique>, is_right: bool },
    /// The verdict of a check, passed on as feedback on the answer.
    Relay { is_right: bool, expected: Option<&'a str> },
}

/// The work that a request for feedback asks for, if it is about a check or about the prompt of a question.
pub(crate) fn work<'a>(turns: &Turns<'a>) -> Option<Work<'a>> {
    let nothing = Parsed::default();
    let last = turns.users.last().unwrap_or(&nothing);
    let mut outputs = last.all("LM_OUTPUT");
    let feedback = last.all("FEEDBACK");
    let variable = last.get("VARIABLE").unwrap_or_default();
    let start: String = variable.chars().take(START).collect();
    if !last.all("FUNCTION_PURPOSE").is_empty() {
        let is_right = are_right(if feedback.is_empty() { &outputs } else { &feedback })?;
        // Beside the text that is judged, a short one is the expected answer.
        let is_expected =
            |text: &&str| !text.starts_with(&start) && text.split_whitespace().count() <= SHORT;
        let expected = last.all("FUNCTION_INPUT").into_iter().find(is_expected);
        return Some(Work::Relay { is_right, expected });
    }
    let mut inputs = last.all("LM_INPUT");
    let mut system = last.all("LM_SYSTEM_PROMPT").first().copied().unwrap_or_default();
    // A continued conversation shows the call by its own turns.
    let conversation = turns.conversation;
    if outputs.is_empty()
        && let ([question, _, ..], [answer, ..]) =
            (conversation.users.as_slice(), conversation.assistants.as_slice())
    {
        (system, inputs, outputs) =
            (&conversation.system, vec![question.as_str()], vec![answer.as_str()]);
    }
    let calls: Vec<(Question, &str)> = inputs
        .iter()
        .zip(outputs)
        .filter_map(|(input, output)| Some((Question::read(input)?.0, output)))
        .collect();
    if calls.is_empty() || !is_prompt(last.get("ROLE").unwrap_or_default()) {
        return None;
    }
    let mut remedies: Vec<Technique> = Vec::new();
    for remedy in calls.iter().flat_map(|(question, answer)| question.review(answer)) {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    let prompt = match system.starts_with(&start) {
        true => system.to_owned(),
        false => format!("{system}\n{variable}"),
    };
    // Where nobody says whether the answer is right, the critic looks for itself.
    let is_right = are_right(&feedback).unwrap_or(remedies.is_empty());
    Some(Work::Advise { prompt, remedies, is_right })
}

impl Work<'_> {
    /// Writes the feedback.
    pub(crate) fn write(&self, skill: f64, rng: &mut Rng) -> String {
        match self {
            Self::Advise { is_right: true, .. } => NOTHING.to_owned(),
            Self::Advise { prompt, remedies, .. } => advice(prompt, remedies, skill, rng),
            Self::Relay { is_right: true, .. } => {
                "The answer is right. Keep it as it is.".to_owned()
            }
            Self::Relay { expected: Some(expected), .. } => {
                format!("The answer is wrong: expected {expected}.")
            }
            Self::Relay { .. } => "The answer is wrong.".to_owned(),
        }
    }
}

/// Advice on a prompt under which an answer was wrong.
fn advice(prompt: &str, remedies: &[Technique], skill: f64, rng: &mut Rng) -> String {
    let asked = read(prompt);
    let row = |wanted| techniques().find(|(_, technique)| *technique == wanted).map(|(row, _)| row);
    let mut points: Vec<(&Criterion, bool)> = Vec::new();
    // The draws are the same whatever is seen, so that one mistake more does not change all that follows.
    for position in 0..MAX_POINTS {
        let other = techniques().nth(rng.below(techniques().count() - 1)).map(|(row, _)| row);
        let sees = rng.chance(skill);
        let remedy = match (remedies.get(position), position) {
            (Some(remedy), _) => Some(*remedy),
            (None, 0) => Some(Technique::Form),
            (None, _) => None,
        };
        if remedy.is_some() {
            let seen = remedy.filter(|_| sees).and_then(row);
            points.extend(seen.or(other).map(|row| (row, sees)));
        }
    }
    let mut lines = vec!["The answer was wrong.".to_owned()];
    for (row, sees) in points {
        let mistake = if sees { row.mistake.as_str() } else { "It may help." };
        let line = instruction((row, Action::Add), rng);
        lines.push(match asked.contains(&(row, Action::Add)) {
            true => format!("- {mistake} The prompt speaks against it: no change."),
            false => format!("- {mistake} {line}"),
        });
    }
    if let Some(brief) = row(Technique::Brief) {
        let is_asked = asked.contains(&(brief, Action::Add));
        if rng.chance(skill) && is_asked {
            lines.push(format!("- {}", instruction((brief, Action::Cut), rng)));
        }
        if rng.chance(HARMFUL.0 + HARMFUL.1 * (1.0 - skill)) {
            lines.push(format!("- {}", instruction((brief, Action::Add), rng)));
        }
    }
    lines.join("\n")
}
