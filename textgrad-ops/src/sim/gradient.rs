//! The gradient: a critique turned into instructions, and several of them merged.
//!
//! Critic, gradient and updater exchange text only: one writes an instruction here, the next reads it here.

use std::cmp::Reverse;

use super::criteria::{Criterion, criteria, mentioned};
use super::rng::Rng;
use super::sections::parse;
use super::text::{entries, first, has_any, normalise, sentences};

/// The action on a criterion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Bring it in.
    Add,
    /// Take it out.
    Cut,
    /// Leave it as it is: a strength that is there, a flaw that is not.
    Keep,
}

/// A criterion and what is to be done about it.
pub(super) type Change = (&'static Criterion, Action);

const KEEPS: &str = "keep|preserve|retain|maintain";
const LACKS: &str = "chosen response lacks|neither response|the response lacks";
const HAS: &str =
    "chosen response has|rejected response lacks|both responses have|the response has";
const CLEAN: &str = "chosen response avoids|the response avoids|free of|rejected response suffers";
/// Phrases that negate the words that follow.
const REMOVALS: &str = "do not|dont|never|avoid|remove|cut|drop|leave out|take out|omit";

/// The changes in a text, each once, in order of appearance. Sections inside the text are quotations and not
/// read, unless there is nothing else.
pub(super) fn read(text: &str) -> Vec<Change> {
    let parsed = parse(text);
    let outside = parsed.outside.concat();
    let text = if outside.trim().is_empty() { text } else { &outside };
    let mut changes: Vec<Change> = Vec::new();
    for change in sentences(text).into_iter().flat_map(read_sentence) {
        if changes.iter().all(|(known, _)| *known != change.0) {
            changes.push(change);
        }
    }
    changes
}

/// The changes in one sentence.
pub(super) fn read_sentence(sentence: &str) -> Vec<Change> {
    let words = normalise(sentence);
    mentioned(&words).into_iter().map(|row| (row, action(row, &words))).collect()
}

fn action(row: &Criterion, words: &str) -> Action {
    let any = |phrases| has_any(words, entries(phrases));
    if any(KEEPS) {
        return Action::Keep;
    }
    if !row.is_wanted() {
        return if any(CLEAN) { Action::Keep } else { Action::Cut };
    }
    if any(LACKS) {
        return Action::Add;
    }
    if any(HAS) {
        return Action::Keep;
    }
    let removal = first(words, entries(REMOVALS));
    let is_negated = removal.is_some_and(|removal| first(words, &row.mentions) > Some(removal));
    if is_negated { Action::Cut } else { Action::Add }
}

/// A change as an instruction.
pub(super) fn instruction((row, action): Change, rng: &mut Rng) -> String {
    let name = rng.pick(&row.names);
    let own = rng.pick(&row.instructions);
    match (action, row.is_wanted()) {
        (Action::Add, _) | (Action::Cut, false) => own.to_owned(),
        (Action::Cut, true) => format!("Leave out {name}."),
        (Action::Keep, true) => format!("Keep {name}."),
        (Action::Keep, false) => format!("Keep the text free of {name}."),
    }
}

/// How often an instruction is made up: always a little, more so without skill.
const INVENTS: (f64, f64) = (0.02, 0.2);

pub(super) const NOTHING: &str = "The text can stay as it is.";

/// Turns a critique into instructions, forgetting some.
pub(super) fn instructions(critique: &[&str], skill: f64, rng: &mut Rng) -> String {
    let mut lines = Vec::new();
    let found = merged(critique);
    for change in &found {
        let line = instruction(*change, rng);
        if rng.chance(skill) {
            lines.push(line);
        }
    }
    let invented = criteria().nth(rng.below(criteria().count()));
    let line = invented.map(|row| instruction((row, Action::Add), rng));
    let known = found.iter().any(|(row, _)| Some(*row) == invented);
    if rng.chance(INVENTS.0 + INVENTS.1 * (1.0 - skill)) && !known {
        lines.extend(line);
    }
    listed(&lines)
}

/// Merges several feedbacks into one, without repeats. Feedback in which nothing is recognised is kept as
/// it is, so that no text is lost that a reader might understand.
pub(super) fn reduce(feedback: &[&str], rng: &mut Rng) -> String {
    let mut lines: Vec<String> =
        merged(feedback).into_iter().map(|change| instruction(change, rng)).collect();
    for text in feedback {
        let text = text.trim();
        if !text.is_empty()
            && text != NOTHING
            && read(text).is_empty()
            && lines.iter().all(|line| line != text)
        {
            lines.push(text.to_owned());
        }
    }
    listed(&lines)
}

/// The changes of several texts, each criterion once, what is to change before what is to stay, and what most
/// texts ask for first: where one text wants a thing kept and another wants it changed, the change is what there
/// is to do.
pub(super) fn merged(texts: &[&str]) -> Vec<Change> {
    let mut changes: Vec<(Change, usize)> = Vec::new();
    for (row, action) in texts.iter().flat_map(|text| read(text)) {
        match changes.iter_mut().find(|((known, _), _)| *known == row) {
            Some(((_, known), times)) => {
                *times += 1;
                if *known == Action::Keep {
                    *known = action;
                }
            }
            None => changes.push(((row, action), 1)),
        }
    }
    changes.sort_by_key(|((_, action), times)| (*action == Action::Keep, Reverse(*times)));
    changes.into_iter().map(|(change, _)| change).collect()
}

fn listed(lines: &[String]) -> String {
    match lines {
        [] => NOTHING.to_owned(),
        lines => lines.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::criteria::techniques;

    #[test]
    fn instructions_follow_the_critique_as_far_as_the_skill_goes() {
        let critique = ["The chosen response lacks a caveat. The chosen response has padding."];
        let kept = |skill: f64| {
            (0..300)
                .filter(|seed| {
                    let text = instructions(&critique, skill, &mut Rng::new(1, *seed));
                    read(&text)
                        .iter()
                        .any(|(row, action)| *action == Action::Add && row.name == "caveat")
                })
                .count()
        };
        assert!((kept(1.0), kept(0.8) > 200, kept(0.2) < 120) == (300, true, true));
        let text = instructions(&critique, 1.0, &mut Rng::new(1, 1));
        assert!(text.starts_with("- "), "{text}");
        assert_eq!(instructions(&[], 1.0, &mut Rng::new(1, 1)), NOTHING);
    }

    #[test]
    fn merging_drops_repeats_and_keeps_what_it_does_not_understand() {
        let feedback = [
            "- Add a caveat.\n- Keep a concrete example.",
            "Say where the limits are. Illustrate the point with an example.",
            "Rhyme more.",
            "Rhyme more.",
            "",
        ];
        let text = reduce(&feedback, &mut Rng::new(1, 1));
        assert_eq!(text.lines().count(), 3, "{text}");
        assert_eq!(
            read(&text).iter().map(|(_, action)| *action).collect::<Vec<_>>(),
            [Action::Add, Action::Add]
        );
        assert!(text.ends_with("- Rhyme more."));
        assert_eq!(reduce(&["", NOTHING], &mut Rng::new(1, 1)), NOTHING);
    }

    #[test]
    fn an_instruction_is_read_as_it_was_meant() {
        for row in criteria().chain(techniques().map(|(row, _)| row)) {
            let actions: &[Action] = if row.is_wanted() {
                &[Action::Add, Action::Cut, Action::Keep]
            } else {
                &[Action::Cut, Action::Keep]
            };
            for action in actions {
                for seed in 0..20 {
                    let text = instruction((row, *action), &mut Rng::new(1, seed));
                    assert_eq!(read(&text), [(row, *action)], "{text}");
                }
            }
        }
    }

    #[test]
    fn instructions_of_others_are_understood_too() {
        let names = |text: &str| -> Vec<(&'static str, Action)> {
            read(text).into_iter().map(|(row, action)| (row.name.as_str(), action)).collect()
        };
        assert_eq!(
            names("The text is wordy. It does not give any examples!\n- Do not use numbers"),
            [("padding", Action::Cut), ("example", Action::Add), ("figure", Action::Cut)]
        );
        assert!(names("All is well.").is_empty());
    }

    #[test]
    fn quotations_are_not_instructions() {
        let quoted = "<CONVERSATION>\nAdd an example.\n</CONVERSATION>\nCut the padding.";
        assert_eq!(read(quoted).len(), 1);
        assert_eq!(read("<CONTEXT>\nAdd an example.\n</CONTEXT>").len(), 1);
    }
}
