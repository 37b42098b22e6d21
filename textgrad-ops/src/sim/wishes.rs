//! What critiques and instructions ask for, in words and out of words.
//!
//! Critic, gradient and updater only ever meet in text: one writes it here, the next reads it here.

use super::aspects::{Aspect, rows};
use super::detect::MENTIONS;
use super::rng::Rng;
use super::sections::parse;
use super::text::{has_any, normalise, sentences};

/// What is to be done about an aspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Bring it in.
    Add,
    /// Take it out.
    Cut,
    /// Leave it as it is: a virtue that is there, a flaw that is not.
    Keep,
}

/// An aspect and what is to be done about it.
pub(super) type Wish = (usize, Action);

const KEEPS: &[&str] = &["keep", "preserve", "retain", "maintain"];
const LACKS: &[&str] = &["chosen response lacks", "neither response", "the response lacks"];
const HAS: &[&str] =
    &["chosen response has", "rejected response lacks", "both responses have", "the response has"];
const CLEAN: &[&str] = &["chosen response avoids", "the response avoids", "free of"];
const REMOVALS: &[&str] =
    &["do not", "dont", "avoid", "remove", "cut", "drop", "leave out", "omit"];

/// The wishes in a text, each once, in order of appearance. Sections inside the text are quotations and not
/// read, unless there is nothing else.
pub(super) fn read(text: &str) -> Vec<Wish> {
    let parsed = parse(text);
    let outside = parsed.outside.concat();
    let text = if outside.trim().is_empty() { text } else { &outside };
    let mut wishes: Vec<Wish> = Vec::new();
    for sentence in sentences(text) {
        let words = normalise(sentence);
        let mentioned = MENTIONS.find(&words);
        for (index, row) in rows() {
            if mentioned.contains(index) && wishes.iter().all(|(known, _)| *known != index) {
                wishes.push((index, action(row, &words)));
            }
        }
    }
    wishes
}

fn action(row: &Aspect, words: &str) -> Action {
    let any = |phrases| has_any(words, phrases);
    if !row.is_virtue() {
        let others_only = any(&["rejected response suffers"]);
        return if any(CLEAN) || any(KEEPS) || others_only { Action::Keep } else { Action::Cut };
    }
    let starts = |phrase: &&str| {
        words
            .strip_prefix(' ')
            .and_then(|words| words.strip_prefix(phrase))
            .is_some_and(|rest| rest.starts_with(' '))
    };
    if any(KEEPS) {
        Action::Keep
    } else if any(LACKS) {
        Action::Add
    } else if any(HAS) {
        Action::Keep
    } else if REMOVALS.iter().any(starts) {
        Action::Cut
    } else {
        Action::Add
    }
}

/// A wish as an instruction.
pub(super) fn instruction((index, action): Wish, rng: &mut Rng) -> String {
    let Some((_, row)) = rows().nth(index) else {
        return String::new();
    };
    let name = rng.pick(row.names);
    let own = rng.pick(row.instructions);
    match (action, row.is_virtue()) {
        (Action::Add, _) | (Action::Cut, false) => own.to_owned(),
        (Action::Cut, true) => format!("Leave out {name}."),
        (Action::Keep, true) => format!("Keep {name}."),
        (Action::Keep, false) => format!("Keep the text free of {name}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_read_as_it_was_meant() {
        for (index, row) in rows() {
            let actions: &[Action] = if row.is_virtue() {
                &[Action::Add, Action::Cut, Action::Keep]
            } else {
                &[Action::Cut, Action::Keep]
            };
            for action in actions {
                for seed in 0..20 {
                    let text = instruction((index, *action), &mut Rng::new(1, seed));
                    assert_eq!(read(&text), [(index, *action)], "{text}");
                }
            }
        }
    }

    #[test]
    fn wishes_of_others_are_understood_too() {
        let names = |text: &str| -> Vec<(&'static str, Action)> {
            read(text)
                .into_iter()
                .filter_map(|(index, action)| Some((rows().nth(index)?.1.name, action)))
                .collect()
        };
        assert_eq!(
            names("The text is wordy. It does not give any examples!\n- Do not use numbers"),
            [("padding", Action::Cut), ("example", Action::Add), ("figure", Action::Cut)]
        );
        assert!(names("All is well.").is_empty());
    }

    #[test]
    fn quotations_are_not_wishes() {
        let quoted = "<CONVERSATION>\nAdd an example.\n</CONVERSATION>\nCut the padding.";
        assert_eq!(read(quoted).len(), 1);
        assert_eq!(read("<CONTEXT>\nAdd an example.\n</CONTEXT>").len(), 1);
    }
}
