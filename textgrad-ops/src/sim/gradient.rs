//! The gradient: a critique turned into instructions, and several of them merged.

use super::aspects::rows;
use super::rng::Rng;
use super::wishes::{Action, Wish, instruction, read};

/// How often an instruction is made up: always a little, more so without skill.
const INVENTS: (f64, f64) = (0.02, 0.2);

const NOTHING: &str = "The text can stay as it is.";

/// Turns a critique into instructions, forgetting some.
pub(super) fn instructions(critique: &[&str], skill: f64, rng: &mut Rng) -> String {
    let mut lines = Vec::new();
    let found = merged(critique);
    for wish in &found {
        let line = instruction(*wish, rng);
        if rng.chance(skill) {
            lines.push(line);
        }
    }
    let invented = rng.below(rows().count());
    let line = instruction((invented, Action::Add), rng);
    let known = found.iter().any(|(index, _)| *index == invented);
    if rng.chance(INVENTS.0 + INVENTS.1 * (1.0 - skill)) && !known {
        lines.push(line);
    }
    listed(&lines)
}

/// Merges several feedbacks into one, without repeats. Feedback in which nothing is recognised is kept as
/// it is, so that no text is lost that a reader might understand.
pub(super) fn reduce(feedback: &[&str], rng: &mut Rng) -> String {
    let mut lines: Vec<String> =
        merged(feedback).into_iter().map(|wish| instruction(wish, rng)).collect();
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

/// The wishes of several texts, each aspect once, what is to change before what is to stay: where one
/// text wants a thing kept and another wants it changed, the change is what there is to do.
pub(super) fn merged(texts: &[&str]) -> Vec<Wish> {
    let mut wishes: Vec<Wish> = Vec::new();
    for wish in texts.iter().flat_map(|text| read(text)) {
        match wishes.iter_mut().find(|(index, _)| *index == wish.0) {
            Some(known) if known.1 == Action::Keep => known.1 = wish.1,
            Some(_) => {}
            None => wishes.push(wish),
        }
    }
    wishes.sort_by_key(|(_, action)| *action == Action::Keep);
    wishes
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

    #[test]
    fn instructions_follow_the_critique_as_far_as_the_skill_goes() {
        let critique = ["The chosen response lacks a caveat. The chosen response has padding."];
        let kept = |skill: f64| {
            (0..300)
                .filter(|seed| {
                    let text = instructions(&critique, skill, &mut Rng::new(1, *seed));
                    read(&text).iter().any(|(index, action)| {
                        *action == Action::Add
                            && rows().nth(*index).is_some_and(|(_, row)| row.name == "caveat")
                    })
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
}
